// Messages as they are shown: bubbles, marks, files, what can be done with one.

import { actions, ask, make, moment, outside, withDays } from './common.js';
import { bbcode, plain } from './bbcode.js';
import { glyph } from './glyphs.js';

/** Messages of one author that follow each other within this stand together. */
const TOGETHER_MS = 5 * 60_000;

const MARKS = {
  sending: ['Sending…', '', null],
  delivered: ['Delivered', 'ok', 'check'],
  read: ['Read', 'ok', 'both'],
  failed: ['Not delivered', 'bad', null],
};

function size(bytes) {
  if (bytes === null || bytes === undefined) return '';
  if (bytes < 1024) return `${bytes} B`;
  return bytes < 1024 * 1024 ? `${Math.round(bytes / 1024)} KB` : `${(bytes / 1024 / 1024).toFixed(1)} MB`;
}

/** A file: shown small if it is an image that is here, else a link. The page asks no foreign host for anything. */
export function fileRow(file) {
  const here = file.state === 'here' ? `desk/file?${new URLSearchParams({ id: file.id })}` : '';
  const note = { waiting: 'being fetched…', failed: 'could not be fetched' }[file.state] || size(file.size);
  if (here && file.image) {
    return make(
      'a',
      { class: 'picture', href: here, target: '_blank', rel: 'noreferrer noopener', title: file.name },
      make('img', { src: here, alt: file.name, loading: 'lazy', decoding: 'async' }),
    );
  }
  const inside = [
    glyph('file'),
    make('span', { class: 'file-name' }, file.name),
    note && make('span', { class: 'small soft' }, note),
  ];
  const how = { class: 'file', 'data-file': file.state, title: file.url };
  if (here) return make('a', { ...how, href: here, target: '_blank', rel: 'noreferrer noopener' }, ...inside);
  return outside(file.url, how, ...inside);
}

/** The delivery mark; what failed says why and offers another try. */
function mark(message, trouble) {
  if (!MARKS[message.mark] || message.deleted) return null;
  const [words, look, drawn] = MARKS[message.mark];
  const shown = make('span', { class: `mark ${look}`, 'data-mark': message.mark }, drawn && glyph(drawn), words);
  if (message.mark !== 'failed') return shown;
  const again = make('button', { type: 'button', class: 'again', 'data-do': 'again' }, 'Try again');
  again.addEventListener('click', async () => {
    again.disabled = true;
    await ask('desk/again', { id: message.id }).catch((problem) => {
      again.disabled = false;
      trouble(problem);
    });
  });
  return make('span', { class: 'failed' }, shown, again);
}

/** A message's text as a quote that BB-code and every channel understand. */
const quoted = (text) =>
  `${(plain(text) || text)
    .split('\n')
    .map((line) => `>> ${line}`)
    .join('\n')}\n`;

/** What can be done with a message, for those who point at it or reach it by keyboard. */
function tools(message, talk, does) {
  if (message.deleted || message.author === 'system') return null;
  const own = message.author === 'operator' && message.mark !== 'sending';
  const sent = own && message.mark !== 'failed';
  return make(
    'div',
    { class: 'actions', role: 'group', 'aria-label': 'This message' },
    talk.can.write && message.text
      ? make(
          'button',
          {
            type: 'button',
            'data-do': 'quote',
            title: 'Quote',
            'aria-label': 'Quote',
            onclick: () => does.quote(quoted(message.text)),
          },
          glyph('quote'),
        )
      : null,
    ...actions(
      sent && talk.can.edit && (() => does.edit(message.id, message.text)),
      sent && talk.can.delete && (() => ask('desk/delete', { id: message.id })),
    ),
  );
}

function bubble(message, { talk, does, first, named }) {
  const mine = message.author === 'operator';
  const kind = message.author === 'system' ? ' system' : mine ? ' mine' : '';
  const files = message.deleted ? [] : message.files;
  const bare = !message.text && files.length && files.every((file) => file.image && file.state === 'here');
  return make(
    'article',
    {
      class: `bubble${kind}${message.deleted ? ' gone' : ''}${first ? ' first' : ''}${bare ? ' bare' : ''}`,
      'data-message': message.id,
      'data-author': message.author,
      'aria-label': message.who || message.author,
      tabindex: '-1',
    },
    named ? make('div', { class: 'who' }, message.who) : null,
    message.deleted ? make('p', { class: 'text' }, 'Message deleted') : message.text ? bbcode(message.text) : null,
    ...files.map(fileRow),
    message.why && message.mark === 'failed' ? make('p', { class: 'why' }, message.why) : null,
    make(
      'div',
      { class: 'meta' },
      message.edited && !message.deleted ? make('span', {}, 'edited') : null,
      moment(message.at),
      mark(message, does.trouble),
    ),
    tools(message, talk, does),
  );
}

/**
 * Messages as items for `keep`. `fresh` is the id of the first one that had not been read when the conversation was
 * opened; a line stands above it.
 */
export function items(talk, messages, fresh, does) {
  let before = null;
  const list = withDays(messages, (message) => {
    const first =
      !before || before.author !== message.author || before.who !== message.who || message.at - before.at > TOGETHER_MS;
    const named =
      first &&
      message.who &&
      message.author !== 'system' &&
      (talk.group || ![talk.name, does.me()].includes(message.who));
    before = message;
    return {
      key: `m${message.id}`,
      sign: JSON.stringify([message, first, named, talk.can]),
      message: message.id,
      build: () => bubble(message, { talk, does, first, named }),
    };
  });
  const at = list.findIndex((item) => fresh !== null && item.message === fresh);
  if (at >= 0)
    list.splice(at, 0, {
      key: 'fresh',
      build: () => make('div', { class: 'fresh', id: 'fresh' }, make('span', {}, 'New')),
    });
  return list;
}
