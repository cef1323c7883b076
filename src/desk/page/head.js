// The head of the open conversation: whose it is, and how it changes hands.

import { keep, make } from './common.js';
import { act } from './act.js';
import { glyph } from './glyphs.js';
import { menu } from './menu.js';
import { face, turn } from './list.js';
import { channelName, isMine, isMyTurn, lineName, nameOfOperator, state } from './state.js';

const at = (id) => document.getElementById(id);

/** Operators to hand over to, those who are here first. */
function handOver(talk) {
  const { me, operators } = state.news;
  const others = operators
    .filter((one) => one.id !== me.id && one.id !== talk.operator)
    .sort((one, other) => Number(other.here) - Number(one.here) || one.name.localeCompare(other.name));
  return [
    ...others.map((one) => ({
      id: one.id,
      label: one.name,
      note: one.here ? `${one.load} open` : 'away',
      icon: make('span', { class: `dot${one.here ? ' on' : ''}` }),
      run: () => act('transfer', { to: one.id }),
    })),
    ...(talk.state === 'waiting'
      ? []
      : [
          null,
          { id: 'queue', label: 'Back to the queue', icon: glyph('inbox'), run: () => act('transfer', { to: null }) },
        ]),
  ];
}

function button(what, words, icon, look, run) {
  return make(
    'button',
    { type: 'button', class: `${look} tool`, 'data-do': what, title: words, onclick: run },
    glyph(icon),
    make('span', { class: 'words' }, words),
  );
}

function buttons(talk) {
  const held = talk.state === 'taken' && !isMine(talk);
  return [
    talk.state === 'waiting' || held
      ? button('take', held ? 'Take over' : 'Take', 'check', talk.state === 'waiting' ? 'primary' : 'plain', () =>
          act(held ? 'take-over' : 'take'),
        )
      : null,
    menu(
      { class: 'plain tool', 'data-do': 'transfer', title: 'Transfer' },
      [glyph('transfer'), make('span', { class: 'words' }, 'Transfer')],
      () => handOver(talk),
      { class: 'right' },
    ),
    talk.state === 'closed' ? null : button('close', 'Close', 'both', 'plain', () => act('close')),
    make(
      'button',
      {
        type: 'button',
        class: 'icon tool-details',
        'data-do': 'details',
        'aria-label': 'Details',
        title: 'Details',
        onclick: () => at('desk').classList.toggle('with-details'),
      },
      glyph('info'),
    ),
  ];
}

/** Draws the head. */
export function showHead(talk) {
  const sign = JSON.stringify([
    talk.id,
    talk.name,
    talk.state,
    talk.operator,
    talk.line,
    state.news.me.id,
    state.news.lines,
  ]);
  keep(at('head'), [
    {
      key: 'back',
      build: () =>
        make(
          'a',
          { class: 'icon back', href: '#', 'aria-label': 'Back to the conversations', 'data-do': 'back' },
          glyph('back'),
        ),
    },
    { key: 'face', sign: talk.name, build: () => face(talk.name, talk.group) },
    {
      key: 'name',
      sign,
      build: () =>
        make(
          'div',
          { class: 'grow' },
          make('h2', { class: 'name' }, talk.name),
          make('div', { class: 'small soft sub' }, `${channelName(talk.connector)} · ${lineName(talk.line)}`),
        ),
    },
    { key: 'tools', sign, build: () => make('div', { class: 'tools' }, ...buttons(talk)) },
  ]);
}

/** The strip that says whose conversation it is where that is not plain. */
export function showHeld(talk) {
  const box = at('held');
  const held = talk.state === 'taken' && !isMine(talk);
  box.hidden = talk.state === 'taken' && !held;
  box.className = `held${isMyTurn(talk) ? ' now' : ''}`;
  if (talk.state === 'waiting') {
    box.replaceChildren(
      turn(talk),
      make('span', {}, isMyTurn(talk) ? 'Take it, or answer: that takes it too.' : 'You can take it all the same.'),
    );
  } else if (held) box.replaceChildren(make('span', {}, `${nameOfOperator(talk.operator)} holds this conversation.`));
  else if (talk.state === 'closed') {
    const rated =
      talk.rating === null ? '' : talk.rating ? ' The customer was satisfied.' : ' The customer was not satisfied.';
    box.replaceChildren(make('span', {}, `Closed.${rated}${talk.can.write ? ' Writing opens it again.' : ''}`));
  }
}
