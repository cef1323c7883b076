// BB-code as elements, read as the server reads it: a tag counts when it is closed, what is never closed stays text, and
// an unknown pair loses its tags and keeps what is inside.

import { linked, make, outside } from './common.js';

const LINE = '-'.repeat(54);
const TAG = /(\[\/?[a-z][a-z0-9]{0,19}(?:[= ][^[\]\n]*)?\])/i;
const SHOWN = { b: 'strong', i: 'em', u: 'u', s: 's', code: 'code' };
const SAFE = /^https?:\/\//i;

/** `[icon=https://… title=Smile size=20]` is its title. */
function title(value) {
  const found = value.match(/title="([^"]*)"/i) || value.match(/title=(.*?)(?:\s(?:size|width|height)=|$)/i);
  return found ? found[1].trim() : '';
}

/** What stands for a tag that has no end; nothing for the others. */
function single({ name, value }) {
  if (name === 'br') return '\n';
  if (name === 'like') return '👍';
  if (name === 'dislike') return '👎';
  if (name === 'icon' && value) return title(value);
  if (name === 'rating' && value) return `${value}/5`;
  if ((name === 'disk' || name === 'attach') && value) return '📎';
  return null;
}

/** Texts and tags in turn; a tag is `{raw, name, closing, value, mate}`. */
function tokens(text) {
  const open = new Map();
  let code = false;
  return text
    .split(TAG)
    .filter(Boolean)
    .map((raw) => {
      const [, slash, name, value = ''] = raw.match(/^\[(\/?)([a-z][a-z0-9]{0,19})(?:[= ]([^[\]\n]*))?\]$/i) || [];
      if (!name || (code && !(slash && name.toLowerCase() === 'code'))) return raw;
      const tag = { raw, name: name.toLowerCase(), closing: Boolean(slash), value: value.trim(), mate: null };
      if (tag.name === 'code') code = !tag.closing && text.toLowerCase().includes('[/code]');
      const same = open.get(tag.name) || [];
      if (!tag.closing) open.set(tag.name, [...same, tag]);
      else if (same.length) {
        tag.mate = same.pop();
        tag.mate.mate = tag;
      }
      return tag;
    });
}

/** A paragraph's worth of BB-code into `root`. */
function inline(root, text) {
  const list = tokens(text);
  const open = [{ tag: null, element: root }];
  const inLink = () => open.some((entry) => entry.element.localName === 'a');
  const put = (words) => open.at(-1).element.append(...(inLink() ? [words] : linked(words)));
  list.forEach((token, nth) => {
    if (typeof token === 'string') return put(token);
    const alone = token.closing ? null : single(token);
    if (alone !== null) return put(alone);
    if (!token.mate) return put(token.raw);
    if (token.closing) {
      if (open.some((entry) => entry.tag === token.mate)) while (open.pop().tag !== token.mate);
      return undefined;
    }
    let element = null;
    if (SHOWN[token.name]) element = make(SHOWN[token.name]);
    else if ((token.name === 'url' || token.name === 'img') && !inLink()) {
      const address =
        token.value.replace(/^["']|["']$/g, '') || (typeof list[nth + 1] === 'string' ? list[nth + 1].trim() : '');
      if (SAFE.test(address)) element = outside(address, {});
    }
    if (!element) return undefined;
    open.at(-1).element.append(element);
    return open.push({ tag: token, element });
  });
}

/** Lines as blocks: `{quote, lines}`. */
function blocks(text) {
  const lines = text.replace(/\[br\] ?|#BR# ?/gi, '\n').split('\n');
  let dashes = lines.filter((line) => line.trimEnd() === LINE).length;
  // A last one without a partner is just a line.
  dashes -= dashes % 2;
  const found = [];
  let seen = 0;
  for (const line of lines) {
    if (seen < dashes && line.trimEnd() === LINE) {
      seen += 1;
      if (seen % 2) found.push({ quote: 'block', lines: [] });
      continue;
    }
    const quote = seen % 2 ? 'block' : line.startsWith('>>') ? 'line' : '';
    const words = quote === 'line' ? line.slice(2).replace(/^ /, '') : line;
    if (found.at(-1)?.quote === quote) found.at(-1).lines.push(words);
    else found.push({ quote, lines: [words] });
  }
  return found;
}

/** Whose words a block quotes, and when: its first line, `Name[date]`. */
function head(lines) {
  const found = lines[0]?.match(/^(.{1,80}?)\s?\[([^[\]]{1,40})\]\s*$/);
  return found ? make('cite', {}, found[1], make('span', { class: 'soft' }, ` ${found[2]}`)) : null;
}

/** BB-code as an element. */
export function bbcode(text) {
  const root = make('div', { class: 'text' });
  for (const { quote, lines } of blocks(text)) {
    const box = make(quote ? 'blockquote' : 'p');
    const cite = quote === 'block' ? head(lines) : null;
    if (cite) box.append(cite);
    const words = (cite ? lines.slice(1) : lines).join('\n').replace(/^\n+|\n+$/g, '');
    if (!words && !cite) continue;
    inline(box, words);
    root.append(box);
  }
  return root;
}

/** BB-code in one line and without quotes, for lists. */
export function plain(text) {
  const shown = bbcode(text);
  const said = [...shown.children].filter((part) => part.localName === 'p');
  return (said.length ? said : [shown])
    .map((part) => part.textContent)
    .join(' ')
    .replace(/\s+/g, ' ')
    .trim();
}
