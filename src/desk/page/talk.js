// The open conversation: its messages, the writing row, what has been read.

import { ask, keep, make, recall, steady, store } from './common.js';
import { trouble } from './act.js';
import { glyph } from './glyphs.js';
import { showHead, showHeld } from './head.js';
import { Writer } from './writer.js';
import { items } from './messages.js';
import { askOlder, state, talkOf } from './state.js';

const at = (id) => document.getElementById(id);
const SHELF = 'desk.drafts';
/** That near to the end, px, is at the end. */
const END = 80;

/** What was begun in each conversation; survives a reload, not the tab. */
const drafts = new Map(Object.entries(recall(SHELF, {}, 'sessionStorage')));

function keepDraft(id, draft) {
  if (draft && (draft.text || draft.link || draft.editing !== null)) drafts.set(id, draft);
  else drafts.delete(id);
  store(SHELF, Object.fromEntries(drafts), 'sessionStorage');
}

/** What is on the page: a conversation's id, and whether the messages are those of the last news. */
let shown = null;
let settled = false;
/** How many were unread when it was opened, and the first of them. */
let unread = 0;
let fresh = null;
/** The reader is at the end; else how many came meanwhile. */
let ended = true;
let below = 0;
let loading = false;
/** @type {Writer} */
let row;

const does = {
  me: () => state.news.me.name,
  edit: (id, text) => row.edit(id, text),
  quote: (words) => row.quote(words),
  trouble,
};

function showWriter(talk) {
  const may = talk.can.write;
  at('write').classList.toggle('mute', !may);
  row.text.disabled = !may;
  row.text.placeholder = !may
    ? 'This channel takes no messages'
    : talk.state === 'closed'
      ? 'Write to open it again'
      : `Write to ${talk.name}`;
}

function showJump() {
  at('jump').hidden = !below;
  at('jump').replaceChildren(`${below} new`, glyph('down'));
}

/** Loads what was said before. */
async function older(id) {
  if (loading) return;
  loading = true;
  await askOlder(id).catch(trouble);
  loading = false;
  if (shown === id) showTalk();
}

function olderButton(id) {
  const how = { type: 'button', class: 'older plain', 'data-do': 'older', onclick: () => older(id) };
  return make('button', how, 'Older messages');
}

/** Draws the messages; `first` is true when a reader has not seen them yet, who then starts at what is new. */
function showMessages(talk, { list, older: more }, first) {
  const id = String(talk.id);
  const box = at('talk');
  const last = list.findIndex((one) => String(one.id) === box.lastElementChild?.dataset.message);
  const shownItems = items(talk, list, fresh, does);
  if (more) shownItems.unshift({ key: 'older', build: () => olderButton(id) });
  if (!list.length)
    shownItems.push({ key: 'none', build: () => make('p', { class: 'soft none' }, 'No messages yet.') });
  const atEnd = steady(box, () => keep(box, shownItems));
  if (first) {
    const line = at('fresh');
    box.scrollTop = line ? line.offsetTop - 48 : box.scrollHeight;
    ended = box.scrollHeight - box.scrollTop - box.clientHeight < END;
  }
  const came = last < 0 ? [] : list.slice(last + 1).filter((one) => one.author === 'customer');
  below = atEnd || first ? 0 : below + came.length;
  showJump();
}

/** The id of the first message that nobody had read when the conversation was opened. */
function firstUnread(list) {
  const theirs = list.filter((one) => one.author === 'customer');
  return unread && theirs.length ? theirs[Math.max(0, theirs.length - unread)].id : null;
}

/** Draws the open conversation, or nothing. */
export function showTalk() {
  const talk = talkOf(state.open);
  at('pane').hidden = !talk;
  if (!talk) {
    shown = null;
    return;
  }
  const id = String(talk.id);
  const opened = shown !== id;
  if (opened) {
    [shown, settled, unread, fresh] = [id, false, talk.unread, null];
    at('talk').replaceChildren();
    row.set(drafts.get(id));
  }
  showHead(talk);
  showHeld(talk);
  showWriter(talk);
  // What was read before is shown at once; what is new comes a moment after it was opened.
  const log = state.logs.get(id);
  if (!log) return;
  const settles = !settled && String(state.news.talk?.id) === id;
  if (settles) {
    settled = true;
    fresh = firstUnread(log.list);
  }
  showMessages(talk, log, opened || settles);
  if (settled) markRead(talk);
}

let asked = '';

/** Tells the desk that the open conversation was read, once somebody looks at it. */
function markRead(talk) {
  const mark = `${talk.id} ${talk.last?.at}`;
  if (!talk.unread || document.hidden || !document.hasFocus() || asked === mark) return;
  asked = mark;
  ask('desk/read', { talk: talk.id }).catch(() => {
    asked = '';
  });
}

/** Puts the cursor into the writing row. */
export const write = () => {
  if (!row.text.disabled) row.text.focus();
};

/** Says or edits something in the open conversation. */
async function send(text, file, editing) {
  const talk = talkOf(state.open);
  const id = String(talk.id);
  const sent = drafts.get(id);
  try {
    if (editing !== null) await ask('desk/edit', { id: editing, text });
    else await ask('desk/say', { talk: talk.id, text, ...file });
  } catch (problem) {
    // The row says so itself, unless another conversation stands there by now.
    if (shown !== id) trouble(problem);
    throw problem;
  }
  // What was written meanwhile is another draft, and what editing had taken the place of comes back.
  if (drafts.get(id) === sent) keepDraft(id, sent?.begun && { ...sent.begun, editing: null, begun: null });
  if (shown === id) at('talk').scrollTop = at('talk').scrollHeight;
}

/** The operator's last message, if it can be edited. */
function lastOwn() {
  const list = talkOf(shown)?.can.edit ? state.logs.get(shown)?.list || [] : [];
  const found = list.findLast((one) => one.author === 'operator' && !one.deleted && one.mark !== 'sending');
  return found?.text && found.mark !== 'failed' ? found : null;
}

/** Keeps whoever is at the end there, and says how much came below. */
function watchEnd(box) {
  const reached = () => {
    below = 0;
    showJump();
  };
  const scrolled = () => {
    ended = box.scrollHeight - box.scrollTop - box.clientHeight < END;
    if (ended && below) reached();
  };
  box.addEventListener('scroll', scrolled, { passive: true });
  at('jump').addEventListener('click', () => {
    box.scrollTop = box.scrollHeight;
    reached();
  });
  // The row grows, a keyboard comes up, a window is made smaller.
  new ResizeObserver(() => {
    if (ended) box.scrollTop = box.scrollHeight;
  }).observe(box);
}

/** Builds what never changes. */
export function buildTalk() {
  const changed = (draft) => {
    if (shown) keepDraft(shown, draft);
  };
  row = new Writer(at('write'), send, { format: true, changed, last: lastOwn });
  watchEnd(at('talk'));
  addEventListener('focus', () => {
    if (shown) showTalk();
  });
}
