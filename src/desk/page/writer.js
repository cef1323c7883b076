// The writing row of both pages: text, emoji, a file by its link, editing in place.

import { make, nameOf } from './common.js';
import { glyph } from './glyphs.js';
import { Picker } from './emoji.js';

/** @typedef {{text: string, link: string, editing: *, begun: object|null}} Draft `editing` is the message's id, or null. */

const MARKS = [
  ['b', 'B', 'Bold'],
  ['i', 'I', 'Italic'],
  ['u', 'U', 'Underlined'],
  ['s', 'S', 'Struck out'],
];

const iconButton = (what, name, inside, onclick, more = {}) =>
  make(
    'button',
    { class: 'icon', type: 'button', title: name, 'aria-label': name, 'data-do': what, onclick, ...more },
    inside,
  );

/** Puts marks around the selected words; with none selected the cursor goes between them. */
function wrap(text, before, after) {
  const { selectionStart: from, selectionEnd: to } = text;
  text.setRangeText(before + text.value.slice(from, to) + after, from, to, 'end');
  if (from === to) text.selectionEnd = from + before.length;
  text.focus();
  text.dispatchEvent(new Event('input'));
}

/** The buttons for BB-code, and the same on Ctrl+B, I and U. */
function marks(text) {
  const link = () => {
    const chosen = text.value.slice(text.selectionStart, text.selectionEnd).trim();
    wrap(text, /^https?:\/\//i.test(chosen) ? '[url]' : '[url=https://]', '[/url]');
  };
  text.addEventListener('keydown', (event) => {
    const key = event.key.toLowerCase();
    if (!(event.ctrlKey || event.metaKey) || event.altKey || event.shiftKey || !['b', 'i', 'u'].includes(key)) return;
    event.preventDefault();
    wrap(text, `[${key}]`, `[/${key}]`);
  });
  const buttons = MARKS.map(([tag, letter, name]) =>
    iconButton(`mark-${tag}`, name, letter, () => wrap(text, `[${tag}]`, `[/${tag}]`), { class: `icon mark-${tag}` }),
  );
  return make('span', { class: 'marks' }, ...buttons, iconButton('mark-url', 'Link', glyph('link'), link));
}

/** The row as an object; it fills the element it is given. */
export class Writer {
  /**
   * @param {HTMLElement} root
   * @param {(text: string, file: {file?: string, file_name?: string}, editing: *) => Promise} send does the work
   * @param {{format?: boolean, changed?: (draft: Draft) => void, last?: () => {id: *, text: string}|null}} options
   *   `format` adds the marks of BB-code, `changed` hears of each change, `last` gives the message that the up arrow in an
   *   empty field edits
   */
  constructor(root, send, options = {}) {
    this.root = root;
    this.send = send;
    this.options = options;
    this.editing = null;
    // What stood in the field when editing began; it comes back.
    this.begun = null;
    this.busy = false;
    this.text = make('textarea', {
      rows: '1',
      placeholder: 'Write a message',
      'aria-label': 'Message',
      'data-write': 'text',
    });
    this.link = make('input', {
      class: 'field',
      type: 'url',
      placeholder: 'https://… address of a file',
      'aria-label': 'Address of a file',
      'data-write': 'file',
    });
    this.extra = make('div', { class: 'extra hidden' }, this.link);
    this.error = make('div', { class: 'error small hidden', role: 'alert' });
    const leave = () => {
      this.clear();
      this.text.focus();
    };
    const cancel = make('button', { type: 'button', 'data-do': 'cancel-edit', onclick: leave }, 'Cancel');
    this.note = make('div', { class: 'note small hidden' }, 'Editing a message', cancel);
    this.build();
    this.listen();
  }

  /** Lays the row out. */
  build() {
    const { options, text } = this;
    this.smile = iconButton('emoji', 'Emoji', glyph('smile'), () => this.toggleEmoji(), { 'aria-expanded': 'false' });
    this.emoji = new Picker(
      (char) => this.insert(char),
      () => {
        this.closeEmoji();
        text.focus();
      },
    );
    const clip = iconButton('file', 'File link', glyph('clip'), () => {
      this.extra.classList.toggle('hidden');
      if (!this.extra.classList.contains('hidden')) this.link.focus();
    });
    const keys = make('span', { class: 'keys small soft' }, 'Enter sends · Shift+Enter new line');
    const go = make(
      'button',
      { class: 'primary', type: 'button', 'data-do': 'send', onclick: () => this.go() },
      'Send',
    );
    const format = options.format ? marks(text) : null;
    const row = make(
      'div',
      { class: 'row' },
      this.smile,
      clip,
      format,
      make('span', { class: 'grow' }),
      format && keys,
      go,
    );
    this.root.replaceChildren(
      this.error,
      this.note,
      this.emoji.root,
      make('div', { class: 'box' }, text, this.extra, row),
    );
  }

  listen() {
    const { text, link, root } = this;
    text.addEventListener('input', () => this.changed());
    link.addEventListener('input', () => this.changed());
    text.addEventListener('keydown', (event) => {
      // While an input method composes, Enter chooses a word.
      if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) {
        event.preventDefault();
        this.go();
      }
      const up = event.key === 'ArrowUp' && !event.altKey && !text.value && this.editing === null;
      const last = up && this.options.last?.();
      if (last) {
        event.preventDefault();
        this.edit(last.id, last.text);
      }
    });
    link.addEventListener('keydown', (event) => {
      if (event.key !== 'Enter') return;
      event.preventDefault();
      this.go();
    });
    root.addEventListener('keydown', (event) => this.escape(event));
    document.addEventListener('pointerdown', (event) => {
      if (!root.contains(event.target)) this.closeEmoji();
    });
  }

  /** Escape ends editing, then puts the file's field away; otherwise it is the page's. */
  escape(event) {
    const filing = !this.extra.classList.contains('hidden');
    if (event.key !== 'Escape' || (this.editing === null && !filing)) return;
    event.stopPropagation();
    if (this.editing !== null) this.clear();
    else {
      this.extra.classList.add('hidden');
      this.link.value = '';
      this.changed();
    }
    this.text.focus();
  }

  /** The field is as high as its text. */
  grow() {
    const { text } = this;
    text.style.height = '';
    // Hidden, it has no height to measure.
    if (text.value && text.scrollHeight) text.style.height = `${text.scrollHeight + 2}px`;
  }

  changed() {
    this.grow();
    this.options.changed?.(this.draft());
  }

  /** @returns {Draft} */
  draft() {
    return { text: this.text.value, link: this.link.value, editing: this.editing, begun: this.begun };
  }

  /** Puts a draft into the row, or nothing; `changed` does not hear of it. */
  set({ text = '', link = '', editing = null, begun = null } = {}) {
    Object.assign(this, { editing, begun });
    this.text.value = text;
    this.link.value = link;
    this.extra.classList.toggle('hidden', !link);
    this.error.classList.add('hidden');
    this.note.classList.toggle('hidden', editing === null);
    this.closeEmoji();
    this.grow();
  }

  /** Empties the row, or brings back what editing had taken the place of. */
  clear() {
    this.set(this.begun || {});
    this.changed();
  }

  /** Takes a message into the row. */
  edit(id, old) {
    const begun = this.begun || { text: this.text.value, link: this.link.value };
    this.set({ text: old, editing: id, begun });
    this.changed();
    this.text.focus();
    this.text.setSelectionRange(old.length, old.length);
  }

  /** Puts words before what is written. */
  quote(words) {
    this.text.setRangeText(words, 0, 0, 'end');
    this.text.selectionStart = this.text.value.length;
    this.text.focus();
    this.changed();
  }

  insert(char) {
    this.text.setRangeText(char, this.text.selectionStart, this.text.selectionEnd, 'end');
    this.closeEmoji();
    this.text.focus();
    this.changed();
  }

  toggleEmoji() {
    if (this.emoji.root.classList.contains('hidden')) {
      this.smile.setAttribute('aria-expanded', 'true');
      this.emoji.open();
    } else {
      this.closeEmoji();
      this.text.focus();
    }
  }

  closeEmoji() {
    this.emoji.root.classList.add('hidden');
    this.smile.setAttribute('aria-expanded', 'false');
  }

  fail(words) {
    this.error.textContent = words;
    this.error.classList.remove('hidden');
  }

  /** Sends what is written. */
  async go() {
    const said = this.text.value.trim();
    const address = this.link.value.trim();
    if (this.busy || (!said && !address)) return;
    if (address && !/^https?:\/\/\S+$/i.test(address)) {
      this.fail('A file’s address begins with http:// or https://.');
      return;
    }
    this.error.classList.add('hidden');
    this.busy = true;
    // Whoever goes to another conversation meanwhile has another draft in the field.
    const sent = JSON.stringify(this.draft());
    const same = () => JSON.stringify(this.draft()) === sent;
    try {
      await this.send(said, address ? { file: address, file_name: nameOf(address) } : {}, this.editing);
      if (same()) this.clear();
    } catch (problem) {
      if (same()) this.fail(problem.message);
    }
    this.busy = false;
    if (this.root.contains(document.activeElement) || document.activeElement === document.body) this.text.focus();
  }
}
