// The writing row of both pages: text, emoji, a file by its link, editing in place.

import { make, nameOf } from './common.js';
import { glyph } from './glyphs.js';
import { picker } from './emoji.js';

const BUTTONS = [['b', 'B', 'Bold'], ['i', 'I', 'Italic'], ['u', 'U', 'Underlined'], ['s', 'S', 'Struck out']];

/** Marks and link buttons of BB-code around the selected words. */
function formatting(text, changed) {
  const wrap = (before, after) => {
    const { selectionStart: from, selectionEnd: to } = text;
    text.setRangeText(before + text.value.slice(from, to) + after, from, to, 'end');
    if (from === to) text.selectionEnd = from + before.length;
    text.focus();
    changed();
  };
  const link = () => {
    const chosen = text.value.slice(text.selectionStart, text.selectionEnd).trim();
    if (/^https?:\/\//i.test(chosen)) wrap('[url]', '[/url]'); else wrap('[url=https://]', '[/url]');
  };
  text.addEventListener('keydown', (event) => {
    const key = event.key.toLowerCase();
    if (!(event.ctrlKey || event.metaKey) || event.altKey || event.shiftKey || !'biu'.includes(key)) return;
    event.preventDefault();
    wrap(`[${key}]`, `[/${key}]`);
  });
  return make('span', { class: 'marks' }, ...BUTTONS.map(([tag, letter, name]) => make('button', {
    class: `icon mark-${tag}`, type: 'button', title: name, 'aria-label': name, 'data-do': `mark-${tag}`, onclick: () => wrap(`[${tag}]`, `[/${tag}]`),
  }, letter)), make('button', { class: 'icon', type: 'button', title: 'Link', 'aria-label': 'Link', 'data-do': 'mark-url', onclick: link }, glyph('link')));
}

/**
 * Fills `root` with the row. `send(text, file, editing)` does the work, `file` being `{}` or `{file, file_name}`;
 * `options.format` adds the marks of BB-code, `options.changed(draft)` hears of each change, `options.last()` gives the
 * message that the up arrow in an empty field edits, `{id, text}`, or nothing.
 */
export function writer(root, send, options = {}) {
  const text = make('textarea', { rows: '1', placeholder: 'Write a message', 'aria-label': 'Message', 'data-write': 'text' });
  const link = make('input', { class: 'field', type: 'url', placeholder: 'https://… address of a file', 'aria-label': 'Address of a file', 'data-write': 'file' });
  const extra = make('div', { class: 'extra hidden' }, link);
  const note = make('div', { class: 'note small hidden' });
  const error = make('div', { class: 'error small hidden', role: 'alert' });
  let editing = null;
  let busy = false;

  const grow = () => {
    text.style.height = '';
    // Hidden, it has no height to measure.
    if (text.value && text.scrollHeight) text.style.height = `${text.scrollHeight + 2}px`;
  };
  const draft = () => ({ text: text.value, link: link.value, editing });
  const changed = () => { grow(); options.changed?.(draft()); };
  const leave = () => { emoji.root.classList.add('hidden'); smile.setAttribute('aria-expanded', 'false'); };
  const emoji = picker((char) => {
    text.setRangeText(char, text.selectionStart, text.selectionEnd, 'end');
    leave();
    text.focus();
    changed();
  }, () => { leave(); text.focus(); });
  const set = ({ text: words = '', link: address = '', editing: id = null } = {}) => {
    editing = id;
    text.value = words;
    link.value = address;
    extra.classList.toggle('hidden', !address);
    error.classList.add('hidden');
    note.classList.toggle('hidden', id === null);
    leave();
    grow();
  };
  const clear = () => { set(); options.changed?.(draft()); };

  const go = async () => {
    const said = text.value.trim();
    const address = link.value.trim();
    if (busy || (!said && !address)) return;
    const fail = (words) => { error.textContent = words; error.classList.remove('hidden'); };
    if (address && !/^https?:\/\/[^\s]+$/i.test(address)) { fail('A file’s address begins with http:// or https://.'); return; }
    error.classList.add('hidden');
    busy = true;
    // Whoever goes to another conversation meanwhile has another draft in the field.
    const sent = JSON.stringify(draft());
    try {
      await send(said, address ? { file: address, file_name: nameOf(address) } : {}, editing);
      if (JSON.stringify(draft()) === sent) clear();
    } catch (problem) {
      fail(problem.message);
    }
    busy = false;
    if (root.contains(document.activeElement) || document.activeElement === document.body) text.focus();
  };

  const edit = (id, old) => { set({ text: old, editing: id }); options.changed?.(draft()); text.focus(); text.setSelectionRange(old.length, old.length); };
  const smile = make('button', {
    class: 'icon', type: 'button', title: 'Emoji', 'aria-label': 'Emoji', 'aria-expanded': 'false', 'data-do': 'emoji',
    onclick: () => {
      if (!emoji.root.classList.contains('hidden')) { leave(); text.focus(); return; }
      smile.setAttribute('aria-expanded', 'true');
      emoji.open();
    },
  }, glyph('smile'));
  const clip = make('button', {
    class: 'icon', type: 'button', title: 'File link', 'aria-label': 'File link', 'data-do': 'file',
    onclick: () => { extra.classList.toggle('hidden'); if (!extra.classList.contains('hidden')) link.focus(); },
  }, glyph('clip'));
  note.append('Editing a message', make('button', { type: 'button', 'data-do': 'cancel-edit', onclick: () => { clear(); text.focus(); } }, 'Cancel'));

  text.addEventListener('input', changed);
  link.addEventListener('input', changed);
  text.addEventListener('keydown', (event) => {
    // While an input method composes, Enter chooses a word.
    if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) { event.preventDefault(); go(); }
    const last = event.key === 'ArrowUp' && !text.value && editing === null && !event.altKey && options.last?.();
    if (last) { event.preventDefault(); edit(last.id, last.text); }
  });
  link.addEventListener('keydown', (event) => { if (event.key === 'Enter') { event.preventDefault(); go(); } });
  root.addEventListener('keydown', (event) => {
    if (event.key !== 'Escape') return;
    const inside = editing !== null || !extra.classList.contains('hidden');
    if (editing !== null) clear();
    if (!inside) return;
    event.stopPropagation();
    extra.classList.add('hidden');
    link.value = '';
    changed();
    text.focus();
  });
  document.addEventListener('pointerdown', (event) => { if (!root.contains(event.target)) leave(); });

  root.replaceChildren(error, note, emoji.root, make('div', { class: 'box' }, text, extra, make('div', { class: 'row' },
    smile, clip, options.format ? formatting(text, changed) : null, make('span', { class: 'grow' }),
    options.format ? make('span', { class: 'keys small soft' }, 'Enter sends · Shift+Enter new line') : null,
    make('button', { class: 'primary', type: 'button', 'data-do': 'send', onclick: go }, 'Send'))));
  return { clear, edit, set, draft, text, quote: (words) => { text.setRangeText(words, 0, 0, 'end'); text.selectionStart = text.value.length; text.focus(); changed(); } };
}
