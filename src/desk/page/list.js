// The list of conversations: filters, search, unread marks, and whose turn it is.

import { brief, keep, make, recall, store } from './common.js';
import { glyph } from './glyphs.js';
import { plain } from './bbcode.js';
import { channelName, isMine, isMyTurn, nameOfOperator, now, state } from './state.js';

const FILTERS = [
  ['mine', 'Mine', isMine, 'Conversations you take stay here until you close them.'],
  ['waiting', 'Waiting', (talk) => talk.state === 'waiting', 'Nobody waits for an answer.'],
  ['all', 'All', () => true, 'When a customer writes, the conversation appears here.'],
  ['closed', 'Closed', (talk) => talk.state === 'closed', 'Conversations that were closed are found here.'],
];
const SHELF = 'desk.filter';

let filter = FILTERS.some(([id]) => id === recall(SHELF)) ? recall(SHELF) : 'all';
let words = '';

const at = (id) => document.getElementById(id);

/** What was said last, in one line. */
function preview({ last }) {
  if (!last) return '';
  if (last.deleted) return 'Message deleted';
  return plain(last.text) || last.file || 'File';
}

/** A round with the first letters of a name; its shade follows the name, so that one finds people again. */
export function face(name, group = false) {
  const letters = name
    .split(/[\s.@]+/)
    .map((part) => part.match(/\p{L}/u)?.[0])
    .filter(Boolean);
  let sum = 0;
  for (const char of name) sum = (sum * 31 + char.codePointAt(0)) % 997;
  const shown = letters.length > 1 ? letters[0] + letters.at(-1) : letters[0] || '#';
  return make(
    'span',
    { class: `face shade-${sum % 6}`, 'aria-hidden': 'true' },
    group ? glyph('group') : shown.toUpperCase(),
  );
}

/** Seconds left as text. */
export const left = (until) => {
  const secs = Math.max(0, Math.ceil((until - now()) / 1000));
  return secs < 100 ? `${secs} s` : `${Math.ceil(secs / 60)} min`;
};

/** How long ago as text. */
export const ago = (since) => {
  const mins = Math.floor((now() - since) / 60_000);
  if (mins < 1) return 'just now';
  if (mins < 60) return `${mins} min`;
  return mins < 48 * 60 ? `${Math.floor(mins / 60)} h` : `${Math.floor(mins / 1440)} d`;
};

/** Whose turn it is, as an element whose seconds run; empty for what does not wait. */
export function turn(talk) {
  if (talk.state !== 'waiting') return null;
  const to = talk.offered?.to ?? null;
  const mine = to === state.news.me.id;
  const who = mine ? 'Your turn' : to === null ? 'Waiting' : `${nameOfOperator(to).split(' ')[0]}’s turn`;
  return make(
    'span',
    { class: `turn${isMyTurn(talk) ? ' now' : ''}`, 'data-turn': mine ? 'me' : to === null ? 'all' : 'other' },
    who,
    talk.offered?.until
      ? make('span', { class: 'secs', 'data-until': talk.offered.until }, left(talk.offered.until))
      : make('span', { class: 'secs', 'data-since': talk.since }, ago(talk.since)),
  );
}

function status(talk) {
  if (talk.state === 'waiting') return turn(talk);
  if (talk.state === 'closed') return make('span', { class: 'soft' }, 'Closed');
  return isMine(talk)
    ? make('span', { class: 'soft' }, 'You')
    : make('span', { class: 'soft' }, nameOfOperator(talk.operator));
}

/** A text with the words that were searched for marked. */
function marked(text) {
  const found = words && text.toLowerCase().indexOf(words);
  if (!words || found < 0) return [text];
  return [
    text.slice(0, found),
    make('mark', {}, text.slice(found, found + words.length)),
    text.slice(found + words.length),
  ];
}

function entry(talk) {
  const said = preview(talk);
  // Whoever wrote it, not whoever has the conversation now.
  const who = talk.last?.author === 'operator' ? talk.last.who : '';
  const by = who === state.news.me.name ? 'You' : who.split(' ')[0];
  const current = String(talk.id) === state.open;
  return make(
    'a',
    {
      class: `entry${talk.unread ? ' unread' : ''}${talk.state === 'closed' ? ' shut' : ''}`,
      href: `#talk/${talk.id}`,
      'data-talk': talk.id,
      'aria-current': current ? 'true' : null,
      'data-state': talk.state,
      tabindex: '-1',
    },
    face(talk.name, talk.group),
    make('span', { class: 'name' }, ...marked(talk.name)),
    talk.last
      ? make('time', { class: 'when', datetime: new Date(talk.last.at).toISOString() }, brief(talk.last.at))
      : null,
    make('span', { class: 'last' }, by && make('span', { class: 'own' }, `${by}: `), ...marked(said)),
    talk.unread
      ? make(
          'span',
          { class: 'badge', 'data-unread': talk.unread },
          String(talk.unread),
          make('span', { class: 'unseen' }, ' unread'),
        )
      : null,
    make('span', { class: 'meta' }, make('span', {}, channelName(talk.connector)), status(talk)),
  );
}

/** Those that filter and search leave, newest first. A search looks everywhere. */
function listed() {
  const talks = state.news?.talks || [];
  if (words)
    return talks.filter(
      (talk) => talk.name.toLowerCase().includes(words) || preview(talk).toLowerCase().includes(words),
    );
  const [, , holds] = FILTERS.find(([id]) => id === filter);
  return talks.filter(holds);
}

export function showList() {
  const { talks } = state.news;
  keep(
    at('filters'),
    FILTERS.map(([id, name, holds]) => {
      const count = id === 'mine' || id === 'waiting' ? talks.filter(holds).length : 0;
      return {
        key: id,
        sign: `${filter}${count}${words}`,
        build: () =>
          make(
            'button',
            {
              type: 'button',
              'data-filter': id,
              'data-do': 'filter',
              'aria-pressed': String(!words && filter === id),
              onclick: () => choose(id),
            },
            name,
            count ? make('span', { class: `count${id === 'waiting' ? ' hot' : ''}` }, String(count)) : null,
          ),
      };
    }),
  );
  const shown = listed();
  const items = shown.map((talk) => ({
    key: talk.id,
    sign: JSON.stringify([talk, String(talk.id) === state.open, words, state.news.operators.map((one) => one.name)]),
    build: () => entry(talk),
  }));
  if (!items.length) {
    const [title, text] = words
      ? ['Nothing found', `No name or last message holds “${words}”.`]
      : [talks.length || filter !== 'all' ? 'Nothing here' : 'Quiet so far', FILTERS.find(([id]) => id === filter)[3]];
    items.push({
      key: 'none',
      sign: title + text,
      build: () => make('p', { class: 'list-none' }, make('strong', {}, title), text),
    });
  }
  keep(at('list'), items);
  const entries = [...at('list').querySelectorAll('.entry')];
  const reach =
    entries.find((one) => one === document.activeElement) ||
    entries.find((one) => one.ariaCurrent === 'true') ||
    entries[0];
  for (const one of entries) one.tabIndex = one === reach ? 0 : -1;
}

/** Shows those of one filter. */
export function choose(id) {
  filter = id;
  store(SHELF, id);
  at('search').value = '';
  words = '';
  showList();
  at('list').scrollTop = 0;
}

/** Moves the keyboard, or the open conversation with it, `by` entries on. */
export function step(by, open) {
  const entries = [...at('list').querySelectorAll('.entry')];
  if (!entries.length) return;
  const from = entries.findIndex((one) => (open ? one.dataset.talk === state.open : one === document.activeElement));
  const to = entries[Math.min(entries.length - 1, Math.max(0, from + by))];
  to.scrollIntoView({ block: 'nearest' });
  if (open) location.replace(to.href);
  if (!open || !document.activeElement?.matches('textarea')) to.focus({ preventScroll: true });
}

/** Builds what never changes. */
export function buildList() {
  const field = make('input', {
    id: 'search',
    class: 'field',
    type: 'search',
    placeholder: 'Search',
    'aria-label': 'Search names and last messages',
    autocomplete: 'off',
    spellcheck: 'false',
  });
  field.addEventListener('input', () => {
    words = field.value.trim().toLowerCase();
    showList();
  });
  field.addEventListener('keydown', (event) => {
    if (event.key === 'ArrowDown' || event.key === 'Enter') {
      event.preventDefault();
      const first = at('list').querySelector('.entry');
      if (event.key === 'Enter') first?.click();
      else first?.focus();
    }
    if (event.key !== 'Escape') return;
    event.stopPropagation();
    if (words) {
      field.value = '';
      words = '';
      showList();
    } else field.blur();
  });
  at('find').replaceChildren(
    glyph('search'),
    field,
    make('kbd', { 'aria-hidden': 'true' }, /Mac|iPhone|iPad/.test(navigator.platform) ? '⌘K' : 'Ctrl K'),
  );
  at('list').addEventListener('keydown', (event) => {
    const by = { ArrowDown: 1, ArrowUp: -1, Home: -1e6, End: 1e6 }[event.key];
    if (!by || event.altKey) return;
    event.preventDefault();
    step(by, false);
  });
}
