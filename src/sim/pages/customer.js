// A customer's chat of the Bot Framework's twin.

import { actions, ask, keep, linked, make, moment, outside, steady, withDays } from './common.js';
import { glyph } from './glyphs.js';
import { Writer } from './writer.js';

const at = (id) => document.getElementById(id);
const NAMES = {
  webchat: 'Web Chat',
  msteams: 'Teams',
  telegram: 'Telegram',
  slack: 'Slack',
  skype: 'Skype',
  facebook: 'Messenger',
  email: 'E-mail',
  sms: 'SMS',
  directline: 'Direct Line',
  groupme: 'GroupMe',
};
let state = { chats: {}, channels: [] };
let me = { name: 'Ben', channel: 'webchat' };

const idOf = (who) => `${who.channel}-${who.name.toLowerCase().replace(/[^\p{L}\p{N}]/gu, '-')}`;

/** One line of Markdown: marks, links and escapes, which is what the bot's texts are made of. */
function inline(root, line) {
  const open = [{ mark: '', element: root }];
  const names = { '**': 'strong', '*': 'em', '~~': 's' };
  const top = () => open.at(-1).element;
  let last = 0;
  for (const found of line.matchAll(
    /\\([!-/:-@[-`{-~])|\*\*|\*|~~|\[((?:\\.|[^\]\\])*)\]\((https?:[^\s)]+)\)|<(https?:[^\s>]+)>/g,
  )) {
    top().append(...linked(line.slice(last, found.index)));
    last = found.index + found[0].length;
    const [whole, escaped, words, target, address] = found;
    if (escaped) top().append(escaped);
    else if (target || address)
      top().append(outside(target || address, {}, words?.replace(/\\(.)/g, '$1') || target || address));
    else if (open.some((entry) => entry.mark === whole)) {
      while (open.pop().mark !== whole);
    } else {
      const element = make(names[whole]);
      top().append(element);
      open.push({ mark: whole, element });
    }
  }
  top().append(...linked(line.slice(last)));
}

/** Markdown as Web Chat shows it: lines, quotes, and what stands in them. */
function markdown(text) {
  const root = make('div', { class: 'text' });
  for (const line of text.split('\n')) {
    const quote = line.match(/^> ?(.*)$/);
    const box = make(quote ? 'blockquote' : 'p');
    inline(box, (quote ? quote[1] : line).trimEnd());
    if (!box.textContent) box.append('\u00a0');
    root.append(box);
  }
  return root;
}

/**
 * What a channel renders of the bot's text, by its `textFormat`: `plain` is text to the letter, `markdown` is that, others
 * may carry the inline tags and links of the rich channels, which become elements. Any other tag stays text.
 */
function rendered({ text, format }) {
  if (format === 'markdown') return markdown(text);
  const root = make('p');
  if (format === 'plain') {
    root.append(...linked(text));
    return root;
  }
  const open = [{ tag: '', element: root }];
  const names = { b: 'strong', strong: 'strong', i: 'em', em: 'em', u: 'u', s: 's', strike: 's' };
  const decode = (part) =>
    part.replaceAll('&lt;', '<').replaceAll('&gt;', '>').replaceAll('&quot;', '"').replaceAll('&amp;', '&');
  const push = (tag, element) => {
    open.at(-1).element.append(element);
    open.push({ tag, element });
  };
  for (const part of text.split(/(<[^<>]+>)/)) {
    const start = part.match(/^<(b|strong|i|em|u|s|strike)>$/i)?.[1].toLowerCase();
    const end = part.match(/^<\/(b|strong|i|em|u|s|strike|a)>$/i)?.[1].toLowerCase();
    const href = part.match(/^<a\s[^>]*href="(https?:[^"]+)"/i)?.[1];
    if (start) push(start, make(names[start]));
    else if (href) push('a', outside(decode(href), {}));
    else if (end && open.some((entry) => entry.tag === end)) {
      while (open.pop().tag !== end);
    } else if (/^<br\s*\/?>$/i.test(part)) open.at(-1).element.append('\n');
    else
      open.at(-1).element.append(...(open.some((entry) => entry.tag === 'a') ? [decode(part)] : linked(decode(part))));
  }
  return root;
}

/** A file is a link and never opened by itself. */
const fileRow = (file) =>
  outside(file.url, { class: 'file', title: file.url }, glyph('file'), make('span', {}, file.name));

function bubble(message, conversation) {
  const own = !message.bot && !message.deleted && message.taken;
  const mark = message.failed ? ['Not sent', 'bad'] : message.taken ? ['✓ Sent', 'ok'] : ['Sending…', ''];
  const edit = () => tools.edit(message.id, message.text);
  const remove = () => ask('/sim/delete', { conversation, id: message.id });
  const meta = make(
    'div',
    { class: 'meta' },
    message.edited && !message.deleted ? make('span', {}, 'edited') : null,
    moment(message.at),
    message.bot || message.deleted ? null : make('span', { class: mark[1] }, mark[0]),
  );
  return make(
    'article',
    { class: `bubble${message.bot ? '' : ' mine'}${message.deleted ? ' gone' : ''}`, 'data-id': message.id },
    message.deleted ? make('p', {}, 'Message deleted') : message.text ? rendered(message) : null,
    ...(message.deleted ? [] : message.files.map(fileRow)),
    meta,
    own ? make('div', { class: 'actions' }, ...actions(edit, remove)) : null,
  );
}

const tools = new Writer(at('write'), async (text, file, editing) => {
  if (editing) return ask('/sim/edit', { conversation: idOf(me), id: editing, text });
  return ask('/sim/say', { ...me, text, ...file });
});

/** The last message in one line. */
function preview(message) {
  if (!message) return '';
  if (message.deleted) return 'Message deleted';
  return rendered(message).textContent.trim() || 'File';
}

function show() {
  if (!at('channel').options.length) {
    at('channel').replaceChildren(
      ...state.channels.map((id) =>
        make('option', { value: id, selected: id === me.channel ? '' : null }, NAMES[id] || id),
      ),
    );
  }
  at('list').replaceChildren(
    ...Object.entries(state.chats).map(([id, chat]) =>
      make(
        'button',
        {
          type: 'button',
          'aria-current': id === idOf(me),
          onclick: () => {
            me = { name: chat.name, channel: chat.channel };
            at('app').dataset.open = 'true';
            tools.set();
            show();
          },
        },
        make('span', { class: 'face', 'aria-hidden': 'true' }, [...chat.name][0]?.toUpperCase() || '?'),
        make('span', { class: 'who' }, chat.name),
        make('span', { class: 'small soft' }, NAMES[chat.channel] || chat.channel),
        make('span', { class: 'last' }, preview(chat.messages.at(-1))),
      ),
    ),
  );
  const chat = state.chats[idOf(me)];
  at('head').replaceChildren(
    make(
      'button',
      {
        class: 'icon back',
        type: 'button',
        'aria-label': 'Back',
        onclick: () => {
          at('app').dataset.open = 'false';
        },
      },
      glyph('back'),
    ),
    make(
      'div',
      { class: 'grow' },
      make('div', { class: 'name' }, 'ShopBot'),
      make('div', { class: 'small soft' }, `you are ${me.name}`),
    ),
    make('span', { class: 'tag' }, NAMES[me.channel] || me.channel),
  );
  if (!chat) {
    delete at('talk').dataset.of;
    at('talk').replaceChildren(
      make(
        'div',
        { class: 'empty' },
        make('strong', {}, 'Say hello'),
        'Your first message opens the conversation on the operator’s desk.',
      ),
    );
    return;
  }
  const box = at('talk');
  const fresh = box.dataset.of !== idOf(me);
  if (fresh) box.replaceChildren();
  box.dataset.of = idOf(me);
  steady(box, () =>
    keep(
      box,
      withDays(chat.messages, (message) => ({
        key: `m${message.id}`,
        sign: JSON.stringify(message),
        build: () => bubble(message, idOf(me)),
      })),
    ),
  );
  if (fresh) box.scrollTop = box.scrollHeight;
}

at('form').addEventListener('submit', (event) => {
  event.preventDefault();
  me = { name: at('name').value.trim() || 'Guest', channel: at('channel').value || 'webchat' };
  at('app').dataset.open = 'true';
  show();
  at('write').querySelector('textarea').focus();
});

/** Shows the state now and after each change; the twin holds the question until there is news. */
for (let version = 0; ;) {
  try {
    const news = await ask(`/sim/state?after=${version}`);
    document.title = "Customer's chat · Trunkline";
    if (news.version !== version) {
      version = news.version;
      state = news;
      show();
    }
  } catch {
    document.title = 'Offline · Trunkline';
    await new Promise((wake) => {
      setTimeout(wake, 1500);
    });
  }
}
