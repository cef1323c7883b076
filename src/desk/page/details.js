// The narrow column beside a conversation: customer, channel, line, state, times, files.

import { keep, make, outside, whole } from './common.js';
import { glyph } from './glyphs.js';
import { ago, face, turn } from './list.js';
import { channelName, isMine, lineName, nameOfOperator, state, talkOf } from './state.js';

const at = (id) => document.getElementById(id);
const FILES_MAX = 8;

const row = (name, ...value) => [make('dt', {}, name), make('dd', {}, ...value)];
const part = (title, ...inside) => make('section', { class: 'part' }, make('h3', {}, title), ...inside);

function stateOf(talk) {
  if (talk.state === 'waiting') return [turn(talk)];
  if (talk.state === 'closed') return ['Closed'];
  return [isMine(talk) ? 'Taken by you' : `Taken by ${nameOfOperator(talk.operator)}`];
}

const SINCE = { waiting: 'Waiting since', taken: 'Taken', closed: 'Closed' };

function conversation(talk) {
  const line = state.news.lines.find((one) => one.line === talk.line);
  const held = state.news.attention.some((one) => one.line === talk.line);
  return make(
    'dl',
    {},
    ...row('State', ...stateOf(talk)),
    ...row(SINCE[talk.state], whole(talk.since)),
    ...row('Channel', channelName(talk.connector)),
    ...row(
      'Line',
      make('a', { href: `#line/${encodeURIComponent(talk.line)}/channel` }, lineName(talk.line)),
      make(
        'span',
        { class: `small state ${held ? 'bad' : line?.connected ? 'ok' : 'soft'}` },
        held ? 'needs attention' : line?.connected ? 'connected' : 'not connected',
      ),
    ),
    ...(talk.rating === null
      ? []
      : row('Rating', make('span', { 'data-rating': talk.rating }, talk.rating ? '👍 satisfied' : '👎 not satisfied'))),
  );
}

function times({ list, older }) {
  const first = list.find((one) => one.author === 'customer');
  const last = list.findLast((one) => one.author === 'customer');
  const answer = list.findLast((one) => one.author === 'operator');
  const one = (name, message) =>
    message ? row(name, make('time', { datetime: new Date(message.at).toISOString() }, whole(message.at))) : [];
  return make(
    'dl',
    {},
    ...(first !== last && !older ? one('First message', first) : []),
    ...one('Last message', last),
    ...one('Last answer', answer),
  );
}

function files(list) {
  const all = list
    .filter((one) => !one.deleted)
    .flatMap((one) => one.files)
    .reverse();
  if (!all.length) return null;
  return part(
    'Files',
    make(
      'ul',
      { class: 'plain-list' },
      ...all.slice(0, FILES_MAX).map((file) => {
        const here = file.state === 'here';
        const inside = [glyph('file'), make('span', {}, file.name)];
        return make(
          'li',
          {},
          here
            ? make(
                'a',
                {
                  href: `desk/file?${new URLSearchParams({ id: file.id })}`,
                  target: '_blank',
                  rel: 'noreferrer noopener',
                },
                ...inside,
              )
            : outside(file.url, { title: file.url }, ...inside),
        );
      }),
    ),
    all.length > FILES_MAX ? make('p', { class: 'small soft' }, `and ${all.length - FILES_MAX} more`) : null,
  );
}

/** Draws the column for the open conversation. */
export function showDetails() {
  const talk = talkOf(state.open);
  at('details').hidden = !talk;
  if (!talk) return;
  const log = state.logs.get(String(talk.id)) || { list: [], older: false };
  const { list } = log;
  const { operators, lines, attention, me } = state.news;
  const last = list.at(-1);
  keep(at('details'), [
    {
      key: 'who',
      sign: JSON.stringify([talk.id, talk.name, talk.group]),
      build: () =>
        make(
          'header',
          { class: 'who-card' },
          make(
            'button',
            {
              type: 'button',
              class: 'icon leave',
              'aria-label': 'Close the details',
              'data-do': 'details-close',
              onclick: () => at('desk').classList.remove('with-details'),
            },
            glyph('close'),
          ),
          face(talk.name, talk.group),
          make('h3', {}, talk.name),
          make('p', { class: 'small soft' }, talk.group ? 'A group chat' : 'Customer'),
        ),
    },
    {
      key: 'state',
      sign: JSON.stringify([
        talk.state,
        talk.operator,
        talk.offered,
        talk.since,
        talk.rating,
        talk.line,
        lines,
        attention,
        operators.map((one) => one.name),
        me.id,
      ]),
      build: () => part('Conversation', conversation(talk)),
    },
    ...(list.length
      ? [
          {
            key: 'times',
            sign: JSON.stringify([list[0].id, last.id, log.older]),
            build: () => part('Times', times(log)),
          },
        ]
      : []),
    ...(list.some((one) => !one.deleted && one.files.length)
      ? [{ key: 'files', sign: JSON.stringify(list.map((one) => [one.deleted, one.files])), build: () => files(list) }]
      : []),
  ]);
}

/** Lets the seconds run: each element that says until when, or since when. */
export function tick(left) {
  for (const one of document.querySelectorAll('[data-until]')) one.textContent = left(Number(one.dataset.until));
  for (const one of document.querySelectorAll('[data-since]')) one.textContent = ago(Number(one.dataset.since));
}
