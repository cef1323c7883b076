// Drawn marks, so that no page depends on a font of pictures. Each is lines on a field of 20 by 20.

const SHAPES = {
  search: 'M9 3.5a5.5 5.5 0 1 0 0 11a5.5 5.5 0 1 0 0-11M13 13l4 4',
  gear:
    'M10 7.4a2.6 2.6 0 1 0 0 5.2a2.6 2.6 0 1 0 0-5.2M10 2.5v2M10 15.5v2M2.5 10h2M15.5 10h2' +
    'M4.7 4.7l1.4 1.4M13.9 13.9l1.4 1.4M4.7 15.3l1.4-1.4M13.9 6.1l1.4-1.4',
  help: 'M10 2.5a7.5 7.5 0 1 0 0 15a7.5 7.5 0 1 0 0-15M7.8 7.8a2.2 2.2 0 1 1 3.2 2c-.7.4-1 .8-1 1.6M10 14v.1',
  back: 'M12 4l-6 6l6 6',
  down: 'M5 7.5l5 5l5-5',
  close: 'M5 5l10 10M15 5l-10 10',
  check: 'M4 10.5l4 4l8-9',
  both: 'M2 10.5l3.5 4l7-9M9.5 13.5l1 1l7.5-9',
  transfer: 'M3.5 7h12M12 3.5l3.5 3.5l-3.5 3.5M16.5 13h-12M8 16.5l-3.5-3.5l3.5-3.5',
  info: 'M10 2.5a7.5 7.5 0 1 0 0 15a7.5 7.5 0 1 0 0-15M10 9.2v4.3M10 6.5v.1',
  send: 'M3.5 10h8M3.5 10l-1-6.5l15 6.5l-15 6.5z',
  copy: 'M7 7h9.5v9.5h-9.5zM13 7v-3.5h-9.5v9.5h3.5',
  warn: 'M10 3l7.5 13.5h-15zM10 8v4M10 14.2v.1',
  again: 'M16 10a6 6 0 1 1-1.8-4.3M16.5 3v3.5h-3.5',
  out: 'M12 3.5h-7.5v13h7.5M9 10h8M14 7l3 3l-3 3',
  plus: 'M10 4v12M4 10h12',
  group:
    'M7.5 4a2.7 2.7 0 1 0 0 5.4a2.7 2.7 0 1 0 0-5.4M2.5 16c.3-3 2.2-4.5 5-4.5s4.7 1.5 5 4.5' +
    'M13 4.3a2.6 2.6 0 0 1 0 4.9M14.5 11.8c1.8.5 2.8 1.9 3 4.2',
  file: 'M5 2.5h6.5l3.5 3.5v11.5h-10zM11.5 2.5v3.5h3.5',
  link: 'M8.5 11.5a3 3 0 0 0 4.3 0l3-3a3 3 0 0 0-4.3-4.3l-1 1M11.5 8.5a3 3 0 0 0-4.3 0l-3 3a3 3 0 0 0 4.3 4.3l1-1',
  clip: 'M16.5 9.5l-6.8 6.8a4.1 4.1 0 0 1-5.9-5.9l7.1-7.1a2.8 2.8 0 0 1 4 4l-7.1 7.1a1.4 1.4 0 0 1-2-2l6.4-6.4',
  smile: 'M10 2.5a7.5 7.5 0 1 0 0 15a7.5 7.5 0 1 0 0-15M6.7 11.7a3.8 3.8 0 0 0 6.6 0M7.5 7.7v.1M12.5 7.7v.1',
  edit: 'M12.5 4.5l3 3l-8.5 8.5l-3.7.7l.7-3.7zM10.5 6.5l3 3',
  trash: 'M4 5.5h12M8 5.5v-2h4v2M5.5 5.5l.7 11h7.6l.7-11M8.5 8.5v5M11.5 8.5v5',
  quote: 'M4 5v10M8 6.5h8.5M8 10h8.5M8 13.5h5',
  inbox: 'M2.5 11l2.5-7h10l2.5 7v5.5h-15zM2.5 11h4.5l1 2h4l1-2h4.5',
  clock: 'M10 2.5a7.5 7.5 0 1 0 0 15a7.5 7.5 0 1 0 0-15M10 6v4.2l2.7 1.7',
};

/** A mark as an element; it says nothing to those who listen, so its button needs a label. */
export function glyph(name) {
  const drawn = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  for (const [key, value] of [
    ['viewBox', '0 0 20 20'],
    ['class', 'glyph'],
    ['aria-hidden', 'true'],
  ])
    drawn.setAttribute(key, value);
  const path = document.createElementNS('http://www.w3.org/2000/svg', 'path');
  path.setAttribute('d', SHAPES[name]);
  drawn.append(path);
  return drawn;
}
