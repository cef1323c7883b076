// The emoji picker: a field that searches by word, groups, and the arrow keys.

import { make, recall, store } from './common.js';
import { GROUPS } from './emoji_table.js';

const SHELF = 'desk.emoji';
const RECENT_MAX = 16;

/** The last ones chosen. */
const recent = () => recall(SHELF, []);

function remember(char) {
  store(SHELF, [char, ...recent().filter((one) => one !== char)].slice(0, RECENT_MAX));
}

const TABLE = GROUPS.map(([name, mark, rows]) => [
  name,
  mark,
  rows.map((row) => {
    const end = row.indexOf(' ');
    return { char: row.slice(0, end), words: row.slice(end + 1) };
  }),
]);
const ALL = TABLE.flatMap(([, , rows]) => rows);

/** Those that each of the words begins a word of; whole words first. */
function search(text) {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  const found = ALL.filter((row) => words.every((word) => ` ${row.words}`.includes(` ${word}`)));
  const exact = (row) => words.every((word) => row.words.split(' ').includes(word));
  return [...found.filter(exact), ...found.filter((row) => !exact(row))];
}

/** The cell nearest above or below one, in the next row that has any. */
function nearest(cells, from, down) {
  const box = (cell) => cell.getBoundingClientRect();
  const { top, left } = box(from);
  const beyond = cells.filter((cell) => (down ? box(cell).top > top + 2 : box(cell).top < top - 2));
  if (!beyond.length) return undefined;
  const row = box(down ? beyond[0] : beyond.at(-1)).top;
  const far = (cell) => Math.abs(box(cell).left - left);
  return beyond.filter((cell) => Math.abs(box(cell).top - row) < 2).sort((one, other) => far(one) - far(other))[0];
}

/** The picker; `root` is its element. */
export class Picker {
  /**
   * @param {(char: string) => void} pick is called with what is chosen
   * @param {() => void} leave is called on Escape
   */
  constructor(pick, leave) {
    this.pick = pick;
    this.leave = leave;
    this.field = make('input', {
      type: 'search',
      class: 'field',
      placeholder: 'Search emoji',
      'aria-label': 'Search emoji',
      'data-emoji': 'search',
      autocomplete: 'off',
    });
    this.body = make('div', { class: 'emoji-body' });
    this.tabs = make('div', { class: 'emoji-tabs' }, ...TABLE.map(([name, mark]) => this.tab(name, mark)));
    const name = { class: 'emoji hidden', role: 'dialog', 'aria-label': 'Choose an emoji' };
    this.root = make('div', name, this.field, this.body, this.tabs);
    this.field.addEventListener('input', () => this.fill());
    this.root.addEventListener('keydown', (event) => this.key(event));
  }

  /** Shows it and puts the cursor into its field. */
  open() {
    this.field.value = '';
    this.root.classList.remove('hidden');
    this.fill();
    this.field.focus({ preventScroll: true });
  }

  tab(name, mark) {
    const go = () => {
      const section = this.body.querySelector(`[data-group="${name}"]`);
      this.body.scrollTop += section.getBoundingClientRect().top - this.body.getBoundingClientRect().top;
    };
    return make('button', { type: 'button', title: name, 'aria-label': name, onclick: go }, mark);
  }

  cell({ char, words }) {
    const choose = () => {
      remember(char);
      this.pick(char);
    };
    const name = { title: words, 'aria-label': words, 'data-emoji': char };
    return make('button', { type: 'button', tabindex: '-1', onclick: choose, ...name }, char);
  }

  section(name, rows) {
    const grid = make('div', { class: 'emoji-grid' }, ...rows.map((row) => this.cell(row)));
    return make('section', { 'aria-label': name, 'data-group': name }, make('h3', {}, name), grid);
  }

  /** What the field asks for; with nothing in it the last ones and all groups. */
  fill() {
    const { body, field, tabs } = this;
    const text = field.value.trim();
    const rows = text ? search(text) : recent().flatMap((char) => ALL.find((row) => row.char === char) || []);
    tabs.classList.toggle('hidden', Boolean(text));
    body.replaceChildren(
      ...(rows.length ? [this.section(text ? 'Found' : 'Recent', rows)] : []),
      ...(text ? [] : TABLE.map(([name, , all]) => this.section(name, all))),
    );
    if (!body.firstChild) body.append(make('p', { class: 'soft small emoji-none' }, `No emoji for “${text}”.`));
    body.querySelector('button')?.setAttribute('tabindex', '0');
    body.scrollTop = 0;
  }

  go(cell) {
    this.body.querySelector('[tabindex="0"]')?.setAttribute('tabindex', '-1');
    cell.setAttribute('tabindex', '0');
    cell.focus();
  }

  key(event) {
    const { key, target } = event;
    const cells = [...this.body.querySelectorAll('.emoji-grid button')];
    const at = cells.indexOf(target);
    if (key === 'Escape') {
      event.stopPropagation();
      this.leave();
    } else if (target === this.field && key === 'Enter') {
      event.preventDefault();
      cells[0]?.click();
    } else if (target === this.field && key === 'ArrowDown') {
      event.preventDefault();
      if (cells.length) this.go(cells[0]);
    } else if (at >= 0 && key.startsWith('Arrow')) {
      event.preventDefault();
      const side = { ArrowLeft: cells[at - 1], ArrowRight: cells[at + 1] };
      const next = key in side ? side[key] : nearest(cells, target, key === 'ArrowDown');
      if (next) this.go(next);
      else if (key === 'ArrowUp') this.field.focus();
    }
  }
}
