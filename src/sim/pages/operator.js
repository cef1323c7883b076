// The operator's desk of the portal's twin.
'use strict';

const at = (id) => document.getElementById(id);
const read = new Map();
let state = { talks: [] };
let open = null;

const CHANNEL = {
  msteams: 'Teams', webchat: 'Web Chat', telegram: 'Telegram', slack: 'Slack', skype: 'Skype', facebookmessenger: 'Messenger',
  emailoffice365: 'E-mail', twilio: 'SMS', directline: 'Direct Line', groupme: 'GroupMe', kik: 'Kik',
};
const channel = (id) => CHANNEL[id.split('.')[1]] || id;

/** BB-code as elements: the few tags people use; every other tag stays text. */
function bbcode(text) {
  const root = make('p');
  const stack = [{ tag: '', element: root }];
  const top = () => stack[stack.length - 1].element;
  const names = { b: 'strong', i: 'em', u: 'u', s: 's' };
  for (const part of text.split(/(\[\/?(?:b|i|u|s|br)\]|\[url=[^\]]+\]|\[url\]|\[\/url\])/i)) {
    const tag = part.toLowerCase();
    const close = tag.match(/^\[\/(b|i|u|s|url)\]$/);
    const plain = tag.match(/^\[(b|i|u|s)\]$/);
    const link = part.match(/^\[url=(https?:[^\]]+)\]$/i);
    if (tag === '[br]') top().append('\n');
    else if (plain) { const element = make(names[plain[1]]); top().append(element); stack.push({ tag: plain[1], element }); }
    else if (link) {
      const element = make('a', { href: link[1], target: '_blank', rel: 'noreferrer noopener' });
      top().append(element); stack.push({ tag: 'url', element });
    } else if (tag === '[url]') continue;
    else if (close && stack.some((entry) => entry.tag === close[1])) { while (stack.length > 1 && stack.pop().tag !== close[1]); }
    else if (tag === '[/url]') continue;
    else top().append(...(stack.some((entry) => entry.tag === 'url') ? [part] : linked(part)));
  }
  return root;
}

function bubble(entry, tools) {
  const mark = { sending: ['Sending…', ''], delivered: ['✓ Delivered', 'ok'], failed: ['Not delivered', 'bad'] }[entry.mark];
  const own = entry.operator && !entry.deleted && entry.mark === 'delivered';
  const meta = make('div', { class: 'meta' },
    own ? actions(() => tools.edit(entry.id, entry.text), () => post('/sim/delete', { id: entry.id })) : null,
    entry.edited && !entry.deleted ? make('span', {}, 'edited') : null,
    moment(entry.at),
    entry.operator && !entry.deleted ? make('span', { class: mark[1] }, mark[0]) : null);
  return make('article', { class: `bubble${entry.operator ? ' mine' : ''}${entry.deleted ? ' gone' : ''}`, 'data-id': entry.id },
    entry.deleted ? make('p', {}, 'Message deleted') : entry.text ? bbcode(entry.text) : null,
    ...(entry.deleted ? [] : entry.files.map(fileRow)), meta);
}

const tools = writer(at('write'), async (text, file, editing) => {
  if (editing) return post('/sim/edit', { id: editing, text });
  return post('/sim/say', { talk: open, text, ...file });
});

function show() {
  at('module').textContent = `portal ${state.module || ''}`;
  at('deactivated').classList.toggle('hidden', !state.deactivated?.length);
  const newest = [...state.talks].sort((one, other) => (other.entries.at(-1)?.at ?? 0) - (one.entries.at(-1)?.at ?? 0));
  const wide = matchMedia('(min-width: 721px)').matches;
  if (open === null && wide && newest.length) open = newest[0].id;
  const talk = state.talks.find((candidate) => candidate.id === open);
  if (talk && at('talk').dataset.of !== String(talk.id)) { at('talk').dataset.of = talk.id; delete at('talk').dataset.fresh; tools.clear(); }
  if (talk && document.hasFocus()) read.set(talk.id, talk.entries.length);
  at('app').dataset.open = String(Boolean(talk));
  at('list').replaceChildren(...newest.map((entry) => {
    const unread = entry.entries.slice(read.get(entry.id) || 0).filter((message) => !message.operator).length;
    const last = entry.entries.at(-1);
    return make('button', { type: 'button', 'aria-current': entry.id === open, onclick: () => { open = entry.id; read.set(open, entry.entries.length); delete at('talk').dataset.fresh; show(); } },
      make('span', { class: 'face', 'aria-hidden': 'true' }, [...entry.name][0]?.toUpperCase() || '?'),
      make('span', { class: 'who' }, entry.name),
      unread ? make('span', { class: 'dot', title: 'unread' }, String(unread)) : make('span', { class: 'small soft' }, channel(entry.connector)),
      make('span', { class: 'last' }, last ? (last.deleted ? 'Message deleted' : last.text.replace(/\[\/?(?:b|i|u|s|br|url)(?:=[^\]]*)?\]/gi, '') || last.files[0]?.name || 'File') : ''));
  }));
  if (!state.talks.length) at('list').replaceChildren(make('p', { class: 'empty' }, 'Nobody has written yet.'));
  at('write').classList.toggle('hidden', !talk);
  if (!talk) {
    at('head').replaceChildren(make('span', { class: 'soft' }, 'No conversation chosen'));
    at('talk').replaceChildren(make('div', { class: 'empty' }, make('strong', {}, 'Quiet so far'), 'Write something in the customer’s chat, and it appears here.'));
    return;
  }
  at('head').replaceChildren(
    make('button', { class: 'back', type: 'button', 'aria-label': 'Back', onclick: () => { open = null; show(); } }, '←'),
    make('div', { class: 'grow' }, make('div', { class: 'name' }, talk.name), make('div', { class: 'small soft' }, `line ${talk.line} · ${talk.connector}`)),
    make('span', { class: 'tag' }, channel(talk.connector)));
  fill(at('talk'), withDays(talk.entries, (entry) => bubble(entry, tools)));
}

addEventListener('focus', show);
live((news) => { state = news; show(); }, (lost) => { document.title = lost ? 'Offline · Trunkline' : "Operator's desk · Trunkline"; });
