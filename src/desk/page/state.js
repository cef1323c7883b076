// What the page knows, and the question that the desk holds until there is something new.

import { ask } from './common.js';

/**
 * @typedef {{id: number|string, name: string, here: boolean, load?: number}} Operator
 * @typedef {{id: number|string, connector: string, line: string, name: string, group: boolean,
 *   state: 'waiting'|'taken'|'closed', operator: Operator['id']|null,
 *   offered: {to: Operator['id']|null, until: number|null}|null, since: number, unread: number, rating: 0|1|null,
 *   can: {edit: boolean, delete: boolean, write: boolean}, last: object|null}} Talk
 * @typedef {{version: number, me: Operator, module: string, domain: string, operators: Operator[], talks: Talk[],
 *   talk: object|null, attention: {line: string, connector: string, since: number}[],
 *   lines: {line: string, connected: boolean, name: string|null}[]}} News
 */
export const state = {
  /** @type {News|null} */ news: null,
  /** Id of the open conversation, as text. @type {string|null} */ open: null,
  /** Messages seen of each conversation: `{list, older}`. */ logs: new Map(),
  /** No answer comes at present. */ lost: false,
  /** What the desk's clock is ahead of this one, ms. */ ahead: 0,
};

/** Now, by the desk's clock. */
export const now = () => Date.now() + state.ahead;

export const talkOf = (id) => state.news?.talks.find((talk) => String(talk.id) === String(id)) || null;
export const nameOfOperator = (id) => state.news?.operators.find((one) => one.id === id)?.name || 'somebody';
export const isMine = (talk) => talk.state === 'taken' && talk.operator === state.news.me.id;
/** It waits, and it is this operator's turn or everybody's. */
export const isMyTurn = (talk) =>
  talk.state === 'waiting' && (!talk.offered || talk.offered.to === null || talk.offered.to === state.news.me.id);

const CHANNELS = {
  msteams: 'Teams',
  webchat: 'Web Chat',
  telegram: 'Telegram',
  slack: 'Slack',
  skype: 'Skype',
  facebookmessenger: 'Messenger',
  emailoffice365: 'E-mail',
  twilio: 'SMS',
  directline: 'Direct Line',
  groupme: 'GroupMe',
  kik: 'Kik',
  line: 'LINE',
};
/** A channel by the name people know it by. */
export const channelName = (connector) => CHANNELS[connector.split('.')[1]] || connector;
/** A line with the name of its bot, if it has one. */
export const lineName = (line) => {
  const name = state.news?.lines.find((one) => one.line === line)?.name;
  return name ? `Line ${line} · ${name}` : `Line ${line}`;
};

/** Takes the newest messages in: what was read of older ones stays, unless there is a hole between. */
export function remember(id, { messages, older }) {
  const log = state.logs.get(id);
  const at = log && messages.length ? log.list.findIndex((message) => message.id === messages[0].id) : -1;
  if (at < 0) state.logs.set(id, { list: messages, older });
  else state.logs.set(id, { list: [...log.list.slice(0, at), ...messages], older: at > 0 ? log.older : older });
}

/** Asks for messages before the first known one. */
export async function askOlder(id) {
  const first = state.logs.get(id)?.list[0];
  if (!first) return;
  const { messages, older } = await ask(`desk/older?${new URLSearchParams({ talk: id, before: first.id })}`);
  const log = state.logs.get(id);
  if (log?.list[0]?.id === first.id) state.logs.set(id, { list: [...messages, ...log.list], older });
}

let question = new AbortController();
let after = 0;

/** Opens a conversation, or none: the held question is asked anew at once, so that its messages come. */
export function look(id) {
  if (state.open === id) return;
  state.open = id;
  after = 0;
  question.abort();
}

const WAITS = [500, 1000, 2000, 4000, 8000];

/** Tells how far apart the clocks are by an answer's `Date`, which has whole seconds; small differences are none. */
function setClock(date) {
  const ahead = Date.parse(date) - Date.now();
  state.ahead = Math.abs(ahead) > 5000 ? ahead : 0;
}

/** One question; false when nobody is signed in. */
async function next() {
  question = new AbortController();
  const open = state.open;
  const answer = await fetch(`desk/news?${new URLSearchParams({ after, ...(open && { talk: open }) })}`, {
    signal: question.signal,
  });
  if (answer.status === 401) return false;
  if (!answer.ok) throw new Error(`news: ${answer.status}`);
  const news = await answer.json();
  // Meanwhile another one was opened, and its question is the one that counts.
  if (open !== state.open) return true;
  if (answer.headers.get('date')) setClock(answer.headers.get('date'));
  if (news.talk && String(news.talk.id) === open) remember(open, news.talk);
  after = news.version;
  state.news = news;
  return true;
}

/** Calls `show()` after each change and when the connection comes or goes, until nobody is signed in any more. */
export async function follow(show) {
  after = 0;
  for (let failed = 0; ;) {
    try {
      if (!(await next())) return;
      failed = 0;
      state.lost = false;
      show();
    } catch (problem) {
      if (problem.name === 'AbortError') continue;
      // One failed question is no news; a second one is.
      if (failed > 0 && !state.lost) {
        state.lost = true;
        show();
      }
      await new Promise((wake) => {
        setTimeout(wake, WAITS[Math.min(failed, WAITS.length - 1)]);
      });
      failed += 1;
    }
  }
}
