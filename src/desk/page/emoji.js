// The emoji picker: a field that searches by word, groups, and the arrow keys.

import { make } from './common.js';
import { GROUPS } from './emoji_table.js';

const SHELF = 'desk.emoji';
const RECENT_MAX = 16;

/** The last ones chosen; a browser that stores nothing only forgets them. */
function recent() {
  try { return JSON.parse(localStorage.getItem(SHELF)) || []; } catch { return []; }
}

function remember(char) {
  const list = [char, ...recent().filter((one) => one !== char)].slice(0, RECENT_MAX);
  try { localStorage.setItem(SHELF, JSON.stringify(list)); } catch { /* nothing to remember it in */ }
}

const TABLE = GROUPS.map(([name, mark, rows]) => [name, mark, rows.map((row) => {
  const end = row.indexOf(' ');
  return { char: row.slice(0, end), words: row.slice(end + 1) };
})]);
const ALL = TABLE.flatMap(([, , rows]) => rows);

/** Those that each of the words begins a word of; whole words first. */
export function search(text) {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  const found = ALL.filter((row) => words.every((word) => ` ${row.words}`.includes(` ${word}`)));
  const exact = (row) => words.every((word) => row.words.split(' ').includes(word));
  return [...found.filter(exact), ...found.filter((row) => !exact(row))];
}

/**
 * A picker as an element; `pick(char)` is called with what is chosen, `leave()` on Escape. Open it with `open()`, which
 * puts the cursor into its field.
 */
export function picker(pick, leave) {
  const field = make('input', { type: 'search', class: 'field', placeholder: 'Search emoji', 'aria-label': 'Search emoji', 'data-emoji': 'search', autocomplete: 'off' });
  const body = make('div', { class: 'emoji-body' });
  const tabs = make('div', { class: 'emoji-tabs' });
  const root = make('div', { class: 'emoji hidden', role: 'dialog', 'aria-label': 'Choose an emoji' }, field, body, tabs);

  const cell = ({ char, words }) => make('button', {
    type: 'button', tabindex: '-1', title: words, 'aria-label': words, 'data-emoji': char, onclick: () => { remember(char); pick(char); },
  }, char);
  const section = (name, rows) => make('section', { 'aria-label': name, 'data-group': name },
    make('h3', {}, name), make('div', { class: 'emoji-grid' }, ...rows.map(cell)));

  const fill = () => {
    const text = field.value.trim();
    tabs.classList.toggle('hidden', Boolean(text));
    if (text) {
      const rows = search(text);
      body.replaceChildren(rows.length ? section('Found', rows) : make('p', { class: 'soft small emoji-none' }, `No emoji for “${text}”.`));
    } else {
      const last = recent().map((char) => ALL.find((row) => row.char === char)).filter(Boolean);
      body.replaceChildren(...(last.length ? [section('Recent', last)] : []), ...TABLE.map(([name, , rows]) => section(name, rows)));
    }
    body.querySelector('button')?.setAttribute('tabindex', '0');
    body.scrollTop = 0;
  };

  tabs.append(...TABLE.map(([name, mark]) => make('button', {
    type: 'button', title: name, 'aria-label': name,
    onclick: () => { body.scrollTop += body.querySelector(`[data-group="${name}"]`).getBoundingClientRect().top - body.getBoundingClientRect().top; },
  }, mark)));

  /** The neighbour of a cell; up and down look for the one nearest below or above. */
  const beside = (from, key) => {
    const cells = [...body.querySelectorAll('.emoji-grid button')];
    const at = cells.indexOf(from);
    if (key === 'ArrowLeft') return cells[at - 1];
    if (key === 'ArrowRight') return cells[at + 1];
    const box = from.getBoundingClientRect();
    const off = (one) => one.getBoundingClientRect();
    const side = cells.filter((one) => (key === 'ArrowDown' ? off(one).top > box.top + 2 : off(one).top < box.top - 2));
    const row = key === 'ArrowDown' ? off(side[0] || from).top : off(side.at(-1) || from).top;
    return side.filter((one) => Math.abs(off(one).top - row) < 2)
      .sort((one, other) => Math.abs(off(one).left - box.left) - Math.abs(off(other).left - box.left))[0];
  };
  const go = (cell) => {
    body.querySelector('[tabindex="0"]')?.setAttribute('tabindex', '-1');
    cell.setAttribute('tabindex', '0');
    cell.focus();
  };

  field.addEventListener('input', fill);
  root.addEventListener('keydown', (event) => {
    if (event.key === 'Escape') { event.stopPropagation(); leave(); return; }
    const inField = event.target === field;
    if (event.key === 'Enter' && inField) {
      event.preventDefault();
      body.querySelector('button')?.click();
    } else if (inField && event.key === 'ArrowDown') {
      event.preventDefault();
      const first = body.querySelector('button');
      if (first) go(first);
    } else if (!inField && event.key.startsWith('Arrow') && body.contains(event.target)) {
      event.preventDefault();
      const next = beside(event.target, event.key);
      if (next) go(next);
      else if (event.key === 'ArrowUp') field.focus();
    }
  });
  return { root, open() { field.value = ''; fill(); root.classList.remove('hidden'); body.scrollTop = 0; field.focus({ preventScroll: true }); } };
}
