// What the operator's desk and the customer's chat share: building elements without ever writing markup, asking the
// server, and changing what is shown without disturbing who reads or writes.

import { glyph } from './glyphs.js';

/**
 * Builds an element: `make('p', {class: 'x', onclick: f}, 'text', child)`. Text is always text. Attributes that are
 * `null`, `undefined` or `false` are left out, `true` makes an empty one, and so are empty children.
 */
export function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith('on')) element.addEventListener(key.slice(2), value);
    else if (value !== false && value !== null && value !== undefined)
      element.setAttribute(key, value === true ? '' : value);
  }
  element.append(
    ...children.filter((child) => child !== null && child !== undefined && child !== false && child !== ''),
  );
  return element;
}

/** An answer that is none: its `status` is the HTTP status, 0 if nothing came back at all. */
class Refused extends Error {
  constructor(words, status) {
    super(words);
    this.status = status;
  }
}

/** Asks the server: a GET, or a POST with `body` as JSON. Gives the JSON of the answer; throws `Refused`. */
export async function ask(path, body, signal) {
  const how =
    body === undefined
      ? {}
      : {
          method: 'POST',
          headers: { 'Content-Type': 'application/json' },
          body: JSON.stringify(body),
        };
  let answer;
  try {
    answer = await fetch(path, { ...how, signal });
  } catch (problem) {
    if (problem.name === 'AbortError') throw problem;
    throw new Refused('The server can’t be reached. Try again in a moment.', 0);
  }
  const result = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Refused(result.error || `The server answered ${answer.status}.`, answer.status);
  return result;
}

const SAFE = /^https?:\/\//i;

/** A link to elsewhere: only http and https ever become one, and the other side learns nothing of this page. */
export function outside(url, attributes, ...children) {
  if (!SAFE.test(url)) return make('span', attributes, ...children);
  return make('a', { ...attributes, href: url, target: '_blank', rel: 'noreferrer noopener' }, ...children);
}

/** Addresses in a plain text become links; a full stop or bracket behind one belongs to the sentence. */
export function linked(text) {
  const parts = [];
  let last = 0;
  for (const found of text.matchAll(/https?:\/\/[^\s<>"'\]]+/gi)) {
    const address = found[0].replace(/[.,;:!?)]+$/, (end) =>
      end.startsWith(')') && found[0].includes('(') ? ')' : '',
    );
    parts.push(text.slice(last, found.index), outside(address, {}, address));
    last = found.index + address.length;
  }
  parts.push(text.slice(last));
  return parts.filter((part) => part !== '');
}

const CLOCK = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' });
const DAY = new Intl.DateTimeFormat(undefined, { weekday: 'long', day: 'numeric', month: 'long' });
const WEEKDAY = new Intl.DateTimeFormat(undefined, { weekday: 'short' });
const DATE = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short' });
const WHOLE = new Intl.DateTimeFormat(undefined, {
  day: 'numeric',
  month: 'short',
  hour: '2-digit',
  minute: '2-digit',
});
const WITH_YEAR = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'short' });

/** When it was, as `<time>`: the hour; the whole date is in its title. */
export const moment = (at) =>
  make('time', { datetime: new Date(at).toISOString(), title: WITH_YEAR.format(at) }, CLOCK.format(at));

/** Date and hour as text; the year too if it is another one. */
export const whole = (at) => (new Date(at).getFullYear() === new Date().getFullYear() ? WHOLE : WITH_YEAR).format(at);

/** The day as text; equal for two moments of one day. */
export const day = (at) => {
  const text = DAY.format(at);
  if (text === DAY.format(Date.now())) return 'Today';
  return text === DAY.format(Date.now() - 86_400_000) ? 'Yesterday' : text;
};

/** As short as a list needs it: the hour today, the weekday this week, else the date. */
export function brief(at) {
  if (day(at) === 'Today') return CLOCK.format(at);
  return Date.now() - at < 6 * 86_400_000 ? WEEKDAY.format(at) : DATE.format(at);
}

/** What was stored under a name; a browser that stores nothing only forgets. */
export function recall(name, otherwise, shelf = 'localStorage') {
  try {
    return JSON.parse(window[shelf].getItem(name)) ?? otherwise;
  } catch {
    return otherwise;
  }
}

/** Stores a value under a name, if the browser lets it. */
export function store(name, value, shelf = 'localStorage') {
  try {
    window[shelf].setItem(name, JSON.stringify(value));
  } catch {
    // There is nothing to store it in.
  }
}

/** The last part of an address as a file's name. */
export function nameOf(address) {
  const last = address.split(/[?#]/)[0].split('/').pop();
  try {
    return decodeURIComponent(last) || 'file';
  } catch {
    return last || 'file';
  }
}

/** Edit and Delete; deleting asks once more on the button itself, because a deletion travels to the other side. */
export function actions(edit, remove) {
  const erase = make(
    'button',
    { type: 'button', 'data-do': 'delete', title: 'Delete', 'aria-label': 'Delete' },
    glyph('trash'),
  );
  const calm = () => {
    delete erase.dataset.sure;
    erase.setAttribute('aria-label', 'Delete');
    erase.replaceChildren(glyph('trash'));
    erase.classList.remove('bad');
  };
  erase.addEventListener('blur', calm);
  erase.addEventListener('click', async () => {
    if (erase.dataset.sure !== 'yes') {
      erase.dataset.sure = 'yes';
      erase.removeAttribute('aria-label');
      erase.textContent = 'Delete for both?';
      erase.classList.add('bad');
      return;
    }
    erase.disabled = true;
    await remove().catch((problem) => {
      erase.disabled = false;
      erase.textContent = problem.message;
    });
  });
  return [
    edit &&
      make(
        'button',
        { type: 'button', 'data-do': 'edit', title: 'Edit', 'aria-label': 'Edit', onclick: edit },
        glyph('edit'),
      ),
    remove && erase,
  ];
}

/** A line with the date before the first message of each day; `of(message)` makes an item for `keep`. */
export function withDays(messages, of) {
  let last = '';
  return messages.flatMap((message) => {
    const now = day(message.at);
    const line =
      now === last ? [] : [{ key: `day ${now}`, build: () => make('div', { class: 'day' }, make('span', {}, now)) }];
    last = now;
    return [...line, of(message)];
  });
}

const signs = new WeakMap();

/**
 * Gives `box` the children that `items` describe, each `{key, sign, build()}`, and touches only those whose sign changed:
 * the others keep their selection, and the keyboard stays where it was, found again by `data-do`.
 */
export function keep(box, items) {
  const held = box.contains(document.activeElement) ? document.activeElement : null;
  const place = held?.closest('[data-key]')?.dataset.key;
  const wanted = new Set(items.map((item) => String(item.key)));
  const old = new Map();
  for (const child of [...box.children]) {
    if (wanted.has(child.dataset.key)) old.set(child.dataset.key, child);
    else child.remove();
  }
  let next = box.firstElementChild;
  for (const { key, sign = '', build } of items) {
    let element = old.get(String(key));
    if (!element || signs.get(element) !== sign) {
      const fresh = build();
      fresh.dataset.key = key;
      signs.set(fresh, sign);
      if (element === next) next = fresh;
      if (element) element.replaceWith(fresh);
      element = fresh;
    }
    if (element.isConnected && element === next) next = next.nextElementSibling;
    else box.insertBefore(element, next);
  }
  if (!held || document.activeElement === held || !place) return;
  const home = box.querySelector(`[data-key="${CSS.escape(place)}"]`);
  const again = held.isConnected ? held : held.dataset.do && home?.querySelector(`[data-do="${held.dataset.do}"]`);
  (again || home)?.focus({ preventScroll: true });
}

/**
 * Runs `change` and keeps what is read in its place, for which messages have keys that begin with `m`; whoever was at the
 * end stays there. True at the end.
 */
export function steady(box, change) {
  const atEnd = box.scrollHeight - box.scrollTop - box.clientHeight < 80;
  const edge = box.getBoundingClientRect().top;
  const anchor = [...box.children].find(
    (child) => child.dataset.key?.startsWith('m') && child.getBoundingClientRect().bottom > edge,
  );
  const before = anchor?.getBoundingClientRect().top;
  change();
  if (atEnd) box.scrollTop = box.scrollHeight;
  else if (anchor?.isConnected) box.scrollTop += anchor.getBoundingClientRect().top - before;
  return atEnd;
}
