// A customer's chat of the Bot Framework's twin.
'use strict';

const at = (id) => document.getElementById(id);
const NAMES = {
  webchat: 'Web Chat', msteams: 'Teams', telegram: 'Telegram', slack: 'Slack', skype: 'Skype', facebook: 'Messenger', email: 'E-mail',
  sms: 'SMS', directline: 'Direct Line', groupme: 'GroupMe',
};
let state = { chats: {}, channels: [] };
let me = { name: 'Ben', channel: 'webchat' };

const idOf = (who) => `${who.channel}-${who.name.toLowerCase().replace(/[^\p{L}\p{N}]/gu, '-')}`;

/** What channels render of the bot's text: the inline tags of the rich ones, as elements; everything else is text. */
function rendered(text) {
  const root = make('p');
  const stack = [root];
  const names = { b: 'strong', strong: 'strong', i: 'em', em: 'em', u: 'u', s: 's', strike: 's' };
  const plain = (part) => part.replaceAll('&lt;', '<').replaceAll('&gt;', '>').replaceAll('&quot;', '"').replaceAll('&amp;', '&');
  const rich = /<(?:\/?(?:b|strong|i|em|u|s|strike)|br\s*\/?|a )/.test(text);
  if (!rich) { root.append(...linked(plain(text))); return root; }
  for (const part of text.split(/(<[^<>]+>)/)) {
    const open = part.match(/^<(b|strong|i|em|u|s|strike)>$/);
    if (open) { const element = make(names[open[1]]); stack.at(-1).append(element); stack.push(element); }
    else if (/^<\/(?:b|strong|i|em|u|s|strike)>$/.test(part)) { if (stack.length > 1) stack.pop(); }
    else if (/^<br\s*\/?>$/.test(part)) stack.at(-1).append('\n');
    else if (/^<\/?a\b/.test(part)) { const href = part.match(/href="(https?:[^"]+)"/); if (href) stack.at(-1).append(...linked(''), ''); }
    else stack.at(-1).append(...linked(plain(part)));
  }
  return root;
}

function bubble(message, tools, conversation) {
  const own = !message.bot && !message.deleted;
  const meta = make('div', { class: 'meta' },
    own ? make('button', { type: 'button', onclick: () => tools.edit(message.id, message.text) }, 'Edit') : null,
    own ? make('button', { type: 'button', onclick: () => post('/sim/delete', { conversation, id: message.id }).catch((problem) => alert(problem.message)) }, 'Delete') : null,
    message.edited && !message.deleted ? 'edited' : null,
    message.bot ? null : make('span', { class: message.taken ? 'ok' : '' }, message.taken ? '✓ Sent' : 'Sending…'));
  return make('article', { class: `bubble${message.bot ? '' : ' mine'}${message.deleted ? ' gone' : ''}` },
    message.deleted ? make('p', {}, 'Message deleted') : rendered(message.text),
    ...(message.deleted ? [] : message.files.map(fileRow)), meta);
}

const tools = writer(at('write'), async (text, file, editing) => {
  if (editing) return post('/sim/edit', { conversation: idOf(me), id: editing, text });
  return post('/sim/say', { ...me, text, ...file });
});

function show() {
  if (!at('channel').options.length) {
    at('channel').replaceChildren(...state.channels.map((id) => make('option', { value: id, selected: id === me.channel ? '' : null }, NAMES[id] || id)));
  }
  at('list').replaceChildren(...Object.entries(state.chats).map(([id, chat]) => make('button', {
    type: 'button', 'aria-current': id === idOf(me), onclick: () => { me = { name: chat.name, channel: chat.channel }; at('app').dataset.open = 'true'; delete at('talk').dataset.fresh; show(); },
  }, make('span', { class: 'face', 'aria-hidden': 'true' }, [...chat.name][0]?.toUpperCase() || '?'), make('span', { class: 'who' }, chat.name),
  make('span', { class: 'small soft' }, NAMES[chat.channel] || chat.channel), make('span', { class: 'last' }, chat.messages.at(-1)?.text || ''))));
  const chat = state.chats[idOf(me)];
  at('head').replaceChildren(
    make('button', { class: 'back', type: 'button', 'aria-label': 'Back', onclick: () => { at('app').dataset.open = 'false'; } }, '←'),
    make('div', { class: 'grow' }, make('div', { class: 'name' }, 'ShopBot'), make('div', { class: 'small soft' }, `you are ${me.name}`)),
    make('span', { class: 'tag' }, NAMES[me.channel] || me.channel));
  if (!chat) {
    at('talk').replaceChildren(make('div', { class: 'empty' }, make('strong', {}, 'Say hello'), 'Your first message opens the conversation on the operator’s desk.'));
    return;
  }
  fill(at('talk'), chat.messages.map((message) => bubble(message, tools, idOf(me))));
}

at('form').addEventListener('submit', (event) => {
  event.preventDefault();
  me = { name: at('name').value.trim() || 'Guest', channel: at('channel').value || 'webchat' };
  at('app').dataset.open = 'true';
  delete at('talk').dataset.fresh;
  show();
  at('write').querySelector('textarea').focus();
});

live((news) => { state = news; show(); }, (lost) => { document.title = lost ? 'Offline · Trunkline' : "Customer's chat · Trunkline"; });
