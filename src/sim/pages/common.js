// What both pages share: asking the twin, building elements without ever writing markup, live state, writing.
'use strict';

/** Builds an element: `make('p', {class: 'x', onclick: f}, 'text', child)`. Text is always text. */
function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith('on')) element.addEventListener(key.slice(2), value);
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(key, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined && child !== ''));
  return element;
}

async function post(path, body) {
  const answer = await fetch(path, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) });
  const result = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(result.error || `the twin answered ${answer.status}`);
  return result;
}

/** Calls `show(state)` now and after each change; the twin holds the question until there is news. */
async function live(show, lost) {
  let version = 0;
  for (;;) {
    try {
      const answer = await fetch(`/sim/state?after=${version}`);
      const state = await answer.json();
      lost(false);
      if (state.version !== version) { version = state.version; show(state); }
    } catch {
      lost(true);
      await new Promise((wake) => setTimeout(wake, 1500));
    }
  }
}

/** Addresses in a plain text become links; only http and https ever do. */
function linked(text) {
  const parts = [];
  let rest = text;
  for (let found; (found = rest.match(/https?:\/\/[^\s<>"'\]]+/));) {
    parts.push(rest.slice(0, found.index));
    parts.push(make('a', { href: found[0], target: '_blank', rel: 'noreferrer noopener' }, found[0]));
    rest = rest.slice(found.index + found[0].length);
  }
  return [...parts, rest];
}

/** A file is a link and never opened by itself: the page asks no foreign host for anything. */
function fileRow(file) {
  const safe = /^https?:\/\//i.test(file.url);
  return make(safe ? 'a' : 'span', { class: 'file', href: safe && file.url, title: file.url, target: '_blank', rel: 'noreferrer noopener' },
    make('span', { class: 'glyph clip', 'aria-hidden': 'true' }), make('span', {}, file.name));
}

const CLOCK = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' });
const DAY = new Intl.DateTimeFormat(undefined, { weekday: 'long', day: 'numeric', month: 'long' });

/** When it was said, as `<time>`. */
const moment = (at) => make('time', { datetime: new Date(at).toISOString() }, CLOCK.format(at));

/** A line with the date before the first message of each day; `of(message)` makes a bubble. */
function withDays(messages, of) {
  let last = '';
  return messages.flatMap((message) => {
    const day = DAY.format(message.at);
    const line = day === last ? [] : [make('div', { class: 'day small soft' }, day)];
    last = day;
    return [...line, of(message)];
  });
}

/** Edit and Delete; deleting asks once more on the button itself, because a deletion travels to the other side. */
function actions(edit, remove) {
  const erase = make('button', { type: 'button' }, 'Delete');
  erase.addEventListener('click', async () => {
    if (erase.dataset.sure !== 'yes') {
      erase.dataset.sure = 'yes';
      erase.textContent = 'Delete for both?';
      erase.classList.add('bad');
      return;
    }
    erase.disabled = true;
    await remove().catch((problem) => { erase.disabled = false; erase.textContent = problem.message; });
  });
  return make('span', { class: 'actions' }, make('button', { type: 'button', onclick: edit }, 'Edit'), erase);
}

const EMOJI = ['🙂', '😀', '😉', '😍', '🤔', '😢', '😮', '😂', '👍', '👎', '👋', '🙏', '🎉', '❤️', '🔥', '✅', '⏰', '📎'];

/** The last part of an address as a file's name. */
function nameOf(address) {
  const last = address.split(/[?#]/)[0].split('/').pop();
  try { return decodeURIComponent(last) || 'file'; } catch { return last || 'file'; }
}

/** The writing row: emoji, file link, send with Enter, edit in place. `send(text, file, editing)` does the work. */
function writer(root, send) {
  const text = make('textarea', { rows: '1', placeholder: 'Write a message', 'aria-label': 'Message' });
  const emoji = make('div', { class: 'emoji hidden' }, ...EMOJI.map((char) => make('button', {
    type: 'button', onclick: () => { text.setRangeText(char, text.selectionStart, text.selectionEnd, 'end'); text.focus(); },
  }, char)));
  const link = make('input', { class: 'field', type: 'url', placeholder: 'https://… address of a file', 'aria-label': 'Address of a file' });
  const extra = make('div', { class: 'extra hidden' }, link);
  const note = make('div', { class: 'note small hidden' });
  const error = make('div', { class: 'error small hidden', role: 'alert' });
  let editing = null;
  const toggle = (part) => part.classList.toggle('hidden');
  const grow = () => {
    text.style.height = '';
    // Hidden, it has no height to measure.
    if (text.value && text.scrollHeight) text.style.height = `${text.scrollHeight + 2}px`;
  };
  const clear = () => {
    editing = null; text.value = ''; link.value = '';
    note.classList.add('hidden'); extra.classList.add('hidden'); emoji.classList.add('hidden'); grow();
  };
  let busy = false;
  const go = async () => {
    if (busy) return;
    const said = text.value.trim();
    const address = link.value.trim();
    if (!said && !address) return;
    error.classList.add('hidden');
    busy = true;
    try {
      const file = address ? { file: address, file_name: nameOf(address) } : {};
      await send(said, file, editing);
      clear();
    } catch (problem) {
      error.textContent = problem.message;
      error.classList.remove('hidden');
    }
    busy = false;
    text.focus();
  };
  text.addEventListener('input', grow);
  text.addEventListener('keydown', (event) => {
    // While an input method composes, Enter chooses a word.
    if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) { event.preventDefault(); go(); }
  });
  link.addEventListener('keydown', (event) => { if (event.key === 'Enter') { event.preventDefault(); go(); } });
  root.addEventListener('keydown', (event) => {
    if (event.key !== 'Escape') return;
    if (editing) clear();
    emoji.classList.add('hidden'); extra.classList.add('hidden'); text.focus();
  });
  root.replaceChildren(error, note, emoji, extra, make('div', { class: 'row' },
    make('button', { class: 'icon', type: 'button', title: 'Emoji', 'aria-label': 'Emoji', onclick: () => toggle(emoji) }, make('span', { class: 'glyph smile' })),
    make('button', { class: 'icon', type: 'button', title: 'File link', 'aria-label': 'File link', onclick: () => { toggle(extra); link.focus(); } }, make('span', { class: 'glyph clip' })),
    text, make('button', { class: 'primary', type: 'button', onclick: go }, 'Send')));
  return {
    clear,
    edit(id, old) {
      editing = id; text.value = old;
      note.replaceChildren('Editing a message', make('button', { type: 'button', onclick: clear }, 'Cancel'));
      note.classList.remove('hidden'); grow(); text.focus();
    },
  };
}

/** Replaces the messages, stays at the end when the reader was there, and keeps the keyboard's place. */
function fill(box, children) {
  const focused = box.contains(document.activeElement) ? document.activeElement.closest('[data-id]')?.dataset.id : null;
  const atEnd = box.scrollHeight - box.scrollTop - box.clientHeight < 60;
  box.replaceChildren(...children);
  if (atEnd || box.dataset.fresh !== 'no') box.scrollTop = box.scrollHeight;
  box.dataset.fresh = 'no';
  if (focused) box.querySelector(`[data-id="${CSS.escape(focused)}"] button`)?.focus();
}
