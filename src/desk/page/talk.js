// The open conversation: its head, its messages, the writing row, and how it changes hands.

import { ask, keep, make, steady } from './common.js';
import { glyph } from './glyphs.js';
import { writer } from './writer.js';
import { menu } from './menu.js';
import { items } from './messages.js';
import { face, turn } from './list.js';
import { askOlder, channelName, isMine, isMyTurn, lineName, nameOfOperator, state, talkOf } from './state.js';

const at = (id) => document.getElementById(id);
const SHELF = 'desk.drafts';

/** What was begun in each conversation; survives a reload, not the tab. */
const drafts = new Map(Object.entries(JSON.parse(sessionStorage.getItem(SHELF) || '{}')));

function keepDraft(id, draft) {
  if (draft && (draft.text || draft.link || draft.editing !== null)) drafts.set(id, draft);
  else drafts.delete(id);
  sessionStorage.setItem(SHELF, JSON.stringify(Object.fromEntries(drafts)));
}

let shown = null;
let fresh = null;
let news = 0;
let row;
let loading = false;

/** Shows what went wrong, for a while. */
export function trouble(problem) {
  const box = at('trouble');
  box.replaceChildren(make('span', { class: 'grow' }, problem.message || String(problem)),
    make('button', { type: 'button', class: 'icon', 'aria-label': 'Dismiss', onclick: () => { box.hidden = true; } }, glyph('close')));
  box.hidden = false;
  clearTimeout(trouble.timer);
  trouble.timer = setTimeout(() => { box.hidden = true; }, 10_000);
}

/** Asks the desk to do something with the open conversation. */
export const act = (what, more = {}) => ask(`desk/${what}`, { talk: talkOf(state.open)?.id, ...more }).catch(trouble);

const does = { me: () => state.news.me.name, edit: (id, text) => row.edit(id, text), quote: (words) => row.quote(words), trouble };

/** Operators to hand over to, those who are here first. */
export function handOver(talk) {
  const { me, operators } = state.news;
  const others = operators.filter((one) => one.id !== me.id && one.id !== talk.operator)
    .sort((one, other) => Number(other.here) - Number(one.here) || one.name.localeCompare(other.name));
  return [
    ...others.map((one) => ({
      id: one.id, label: one.name, note: one.here ? `${one.load} open` : 'away', icon: make('span', { class: `dot${one.here ? ' on' : ''}` }),
      run: () => act('transfer', { to: one.id }),
    })),
    ...(talk.state === 'waiting' ? [] : [null, { id: 'queue', label: 'Back to the queue', icon: glyph('inbox'), run: () => act('transfer', { to: null }) }]),
  ];
}

function button(what, words, icon, look, run) {
  return make('button', { type: 'button', class: `${look} tool`, 'data-do': what, title: words, onclick: run }, glyph(icon), make('span', { class: 'words' }, words));
}

function buttons(talk) {
  const held = talk.state === 'taken' && !isMine(talk);
  return [
    talk.state === 'waiting' || held ? button('take', held ? 'Take over' : 'Take', 'check', talk.state === 'waiting' ? 'primary' : 'plain', () => act('take')) : null,
    menu({ class: 'plain tool', 'data-do': 'transfer', title: 'Transfer' }, [glyph('transfer'), make('span', { class: 'words' }, 'Transfer')], () => handOver(talk), { class: 'right' }),
    talk.state === 'closed' ? null : button('close', 'Close', 'both', 'plain', () => act('close')),
    make('button', { type: 'button', class: 'icon tool-details', 'data-do': 'details', 'aria-label': 'Details', title: 'Details', onclick: () => at('desk').classList.toggle('with-details') }, glyph('info')),
  ];
}

function showHead(talk) {
  const sign = JSON.stringify([talk.id, talk.name, talk.state, talk.operator, talk.line, state.news.me.id, state.news.lines]);
  keep(at('head'), [
    { key: 'back', build: () => make('a', { class: 'icon back', href: '#', 'aria-label': 'Back to the conversations', 'data-do': 'back' }, glyph('back')) },
    { key: 'face', sign: talk.name, build: () => face(talk.name, talk.group) },
    {
      key: 'name', sign, build: () => make('div', { class: 'grow' }, make('h2', { class: 'name' }, talk.name),
        make('div', { class: 'small soft sub' }, `${channelName(talk.connector)} · ${lineName(talk.line)}`)),
    },
    { key: 'tools', sign, build: () => make('div', { class: 'tools' }, ...buttons(talk)) },
  ]);
}

/** The strip that says whose conversation it is where that is not plain. */
function showHeld(talk) {
  const box = at('held');
  const held = talk.state === 'taken' && !isMine(talk);
  box.hidden = talk.state === 'taken' && !held;
  box.className = `held${isMyTurn(talk) ? ' now' : ''}`;
  if (talk.state === 'waiting') {
    box.replaceChildren(turn(talk), make('span', {}, isMyTurn(talk) ? 'Take it, or answer: that takes it too.' : 'You can take it all the same.'));
  } else if (held) box.replaceChildren(make('span', {}, `${nameOfOperator(talk.operator)} holds this conversation.`));
  else if (talk.state === 'closed') {
    const rated = talk.rating === null ? '' : talk.rating ? ' The customer was satisfied.' : ' The customer was not satisfied.';
    box.replaceChildren(make('span', {}, `Closed.${rated} Writing opens it again.`));
  }
}

function showWriter(talk) {
  const may = talk.can.write;
  at('write').classList.toggle('mute', !may);
  row.text.disabled = !may;
  row.text.placeholder = !may ? 'This channel takes no messages' : talk.state === 'closed' ? 'Write to open it again' : `Write to ${talk.name}`;
}

function showJump() {
  at('jump').hidden = !news;
  at('jump').replaceChildren(`${news} new`, glyph('down'));
}

/** Loads what was said before when the reader comes to the top. */
async function older(id) {
  if (loading) return;
  loading = true;
  await askOlder(id).catch(trouble);
  loading = false;
  if (shown === id) showTalk();
}

function showMessages(talk, opened) {
  const id = String(talk.id);
  const log = state.logs.get(id);
  const box = at('talk');
  if (!log) {
    if (opened) box.replaceChildren();
    return;
  }
  const before = log.list.findIndex((one) => String(one.id) === box.lastElementChild?.dataset.message);
  const list = items(talk, log.list, fresh, does);
  if (log.older) {
    list.unshift({ key: 'older', build: () => make('button', { type: 'button', class: 'older plain', 'data-do': 'older', onclick: () => older(id) }, 'Older messages') });
  }
  if (!list.length) list.push({ key: 'none', build: () => make('p', { class: 'soft none' }, 'No messages yet.') });
  const first = opened || box.dataset.of !== id;
  box.dataset.of = id;
  const atEnd = steady(box, () => keep(box, list));
  if (first) {
    const line = at('fresh');
    box.scrollTop = line ? line.offsetTop - 48 : box.scrollHeight;
    if (!line) box.scrollTop = box.scrollHeight;
  } else if (!atEnd) news += log.list.slice(before + 1).filter((one) => before >= 0 && one.author === 'customer').length;
  if (atEnd || first) news = 0;
  showJump();
}

/** The id of the first message nobody has read yet. */
function firstUnread(talk) {
  const list = state.logs.get(String(talk.id))?.list.filter((one) => one.author === 'customer') || [];
  return talk.unread && list.length ? list[Math.max(0, list.length - talk.unread)].id : null;
}

/** Draws the open conversation, or nothing. */
export function showTalk() {
  const talk = talkOf(state.open);
  at('pane').hidden = !talk;
  if (!talk) { shown = null; return; }
  const id = String(talk.id);
  const opened = shown !== id;
  if (opened) {
    shown = id;
    fresh = null;
    news = 0;
    at('talk').dataset.of = '';
    row.set(drafts.get(id));
  }
  // Its messages come a moment after it was opened.
  if (at('talk').dataset.of !== id) fresh = firstUnread(talk);
  showHead(talk);
  showHeld(talk);
  showWriter(talk);
  showMessages(talk, opened);
  markRead(talk);
}

/** Tells the desk that the open conversation was read, once somebody looks at it. */
function markRead(talk) {
  if (!talk.unread || !document.hasFocus() || document.hidden || markRead.asked === talk.last?.at) return;
  markRead.asked = talk.last?.at;
  ask('desk/read', { talk: talk.id }).catch(() => { markRead.asked = null; });
}

/** Puts the cursor into the writing row. */
export const write = () => { if (!row.text.disabled) row.text.focus(); };

/** Builds what never changes. */
export function buildTalk() {
  row = writer(at('write'), async (text, file, editing) => {
    const talk = talkOf(state.open);
    const id = String(talk.id);
    if (editing !== null) await ask('desk/edit', { id: editing, text });
    else await ask('desk/say', { talk: talk.id, text, ...file });
    keepDraft(id, null);
    at('talk').scrollTop = at('talk').scrollHeight;
  }, {
    format: true,
    changed: (draft) => { if (shown) keepDraft(shown, draft); },
    last: () => {
      const talk = talkOf(shown);
      const found = talk?.can.edit && state.logs.get(shown)?.list.findLast((one) => one.author === 'operator' && !one.deleted && one.mark === 'delivered');
      return found && found.text ? found : null;
    },
  });
  const box = at('talk');
  box.addEventListener('scroll', () => {
    if (box.scrollHeight - box.scrollTop - box.clientHeight < 80 && news) { news = 0; showJump(); }
  }, { passive: true });
  at('jump').addEventListener('click', () => { box.scrollTop = box.scrollHeight; news = 0; showJump(); });
  // The row grows, a keyboard comes up: who was at the end stays there.
  let height = 0;
  new ResizeObserver(() => {
    if (height && box.scrollHeight - box.scrollTop - height < 80) box.scrollTop = box.scrollHeight;
    height = box.clientHeight;
  }).observe(box);
  addEventListener('focus', () => { if (shown) showTalk(); });
}
