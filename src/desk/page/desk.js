// The operator's desk: puts the parts together and says which of them is shown.

import { ask, keep, make } from './common.js';
import { glyph } from './glyphs.js';
import { menu } from './menu.js';
import { plain } from './bbcode.js';
import { buildList, choose, face, left, showList, step } from './list.js';
import { trouble } from './act.js';
import { buildTalk, showTalk, write } from './talk.js';
import { showDetails, tick } from './details.js';
import { hideSettings, showSettings } from './settings.js';
import { showClosedDoor, showDoor } from './door.js';
import { help, listen } from './keys.js';
import { follow, look, state, talkOf } from './state.js';

const at = (id) => document.getElementById(id);

/** Where the address says that we are: `#talk/12`, `#line/1/channel`, `#line/1/rules`, or the list. */
function route() {
  const [what, id, tab] = location.hash.slice(1).split('/').map(decodeURIComponent);
  if (what === 'talk' && id) return { talk: id };
  if (what === 'line')
    return { line: id || state.news?.lines[0]?.line || '', tab: tab === 'rules' ? 'rules' : 'channel' };
  return {};
}

function showMe() {
  const { me, domain, module } = state.news;
  keep(at('me'), [
    { key: 'face', sign: me.name, build: () => face(me.name) },
    {
      key: 'name',
      sign: JSON.stringify([me, domain, module]),
      build: () =>
        menu(
          { class: 'my-name', 'data-do': 'me' },
          [make('span', { class: 'name' }, me.name)],
          () => [
            { id: 'settings', label: 'Settings', icon: glyph('gear'), run: settings },
            { id: 'keys', label: 'Keyboard', icon: glyph('help'), run: help },
            null,
            { id: 'sign-out', label: 'Sign out', note: '', icon: glyph('out'), run: signOut },
          ],
          { class: 'up' },
        ),
    },
    {
      key: 'here',
      sign: String(me.here),
      build: () =>
        make(
          'button',
          {
            type: 'button',
            class: 'switch',
            role: 'switch',
            id: 'here',
            'data-do': 'here',
            'aria-checked': String(me.here),
            'aria-label': 'Here',
            title: me.here ? 'You get new conversations' : 'You get no new conversations',
            onclick: here,
          },
          make('span', { class: 'knob' }),
          make('span', { class: 'words' }, me.here ? 'Here' : 'Away'),
        ),
    },
  ]);
}

/** What needs somebody: a bot that works elsewhere now. */
function showNotices() {
  at('lost').hidden = !state.lost;
  const { attention } = state.news;
  // Its settings say the same, and more.
  const there = route();
  at('attention').hidden = !attention.length || (there.tab === 'channel' && there.line === attention[0].line);
  keep(
    at('attention'),
    attention.slice(0, 1).map((one) => ({
      key: one.line,
      sign: JSON.stringify(attention),
      build: () =>
        make(
          'div',
          { class: 'notice-row' },
          glyph('warn'),
          make(
            'span',
            { class: 'grow' },
            make('strong', {}, 'The connector needs attention. '),
            `Line ${one.line} was connected elsewhere; its messages no longer arrive here.`,
            attention.length > 1 ? ` So were ${attention.length - 1} more.` : null,
          ),
          make(
            'a',
            {
              class: 'button',
              href: `#line/${encodeURIComponent(one.line)}/channel`,
              'data-do': 'attention',
              'data-line': one.line,
            },
            'Open its settings',
          ),
        ),
    })),
  );
}

/** What to say aloud: the last words of each customer that are new since the last time. */
const heard = new Map();
function announce() {
  const news = state.news.talks.filter(
    ({ id, last }) =>
      last?.author === 'customer' &&
      !last.deleted &&
      heard.size &&
      heard.get(id) !== last.at &&
      !(heard.get(id) > last.at),
  );
  if (news.length)
    at('live').textContent = news
      .slice(0, 3)
      .map(({ name, last }) => `${name}: ${plain(last.text) || last.file || 'a file'}`)
      .join('. ');
  for (const { id, last } of state.news.talks) heard.set(id, last?.at || 0);
  if (!state.news.talks.length) heard.set('', 0);
}

function showTitle() {
  const unread = state.news.talks.reduce((sum, talk) => sum + talk.unread, 0);
  const open = talkOf(state.open);
  document.title = `${unread ? `(${unread}) ` : ''}${open ? `${open.name} · ` : ''}Trunkline desk`;
}

function showNothing(where) {
  const talk = where.talk && talkOf(where.talk);
  at('nothing').hidden = Boolean(talk) || 'line' in where;
  const any = state.news.talks.length;
  const connected = state.news.lines.some((one) => one.connected);
  const [title, text] = where.talk
    ? ['This conversation is not here', 'It may be older than the list reaches.']
    : any
      ? ['No conversation chosen', 'Choose one on the left, or press J and K to go through them.']
      : connected
        ? ['Quiet so far', 'When a customer writes, the conversation appears here.']
        : ['Welcome', 'Connect a channel first, so that customers can write.'];
  keep(at('nothing'), [
    {
      key: 'nothing',
      sign: title,
      build: () =>
        make(
          'div',
          {},
          glyph('inbox'),
          make('strong', {}, title),
          make('p', {}, text),
          !any && !connected && !where.talk
            ? make('a', { class: 'button primary', href: '#line', 'data-do': 'set-up' }, 'Set up a channel')
            : null,
        ),
    },
  ]);
}

function show() {
  const where = route();
  at('desk').dataset.view = where.talk ? 'talk' : 'line' in where ? 'settings' : 'list';
  if (where.talk && state.open !== where.talk) look(where.talk);
  if (!where.talk && state.open) look(null);
  if (!state.news) return;
  showNotices();
  showMe();
  showList();
  showTalk();
  showDetails();
  if ('line' in where) showSettings(where.line, where.tab);
  else hideSettings();
  showNothing(where);
  showTitle();
  announce();
}

const settings = () => {
  location.hash = 'line';
};
const here = () => ask('desk/here', { here: !state.news.me.here }).catch(trouble);
async function signOut() {
  await ask('desk/sign-out', {}).catch(trouble);
  location.reload();
}

/** Escape: from the row to the list, from a conversation or the settings back to where one came from. */
function leave() {
  const focused = document.activeElement;
  if (at('desk').classList.contains('with-details')) {
    at('desk').classList.remove('with-details');
    return;
  }
  if (at('settings').contains(focused) && focused.matches('input, textarea, select')) focused.blur();
  else if (at('write').contains(focused)) at('list').querySelector('[aria-current=true], .entry')?.focus();
  else if (location.hash.length > 1) location.hash = '';
}

function build() {
  at('side-head').replaceChildren(
    make('h1', { class: 'grow' }, 'Conversations'),
    make(
      'button',
      {
        type: 'button',
        class: 'icon',
        'aria-label': 'Keyboard shortcuts',
        title: 'Keyboard shortcuts (?)',
        'data-do': 'help',
        onclick: help,
      },
      glyph('help'),
    ),
    make(
      'a',
      {
        class: 'icon',
        href: '#line',
        'aria-label': 'Settings',
        title: 'Settings (G)',
        id: 'open-settings',
        'data-do': 'settings',
      },
      glyph('gear'),
    ),
  );
  buildList();
  buildTalk();
  const press = (what) => document.querySelector(`#head [data-do=${what}]`)?.click();
  listen({
    search: () => {
      if (!at('list').checkVisibility()) location.hash = '';
      at('search').focus();
      at('search').select();
    },
    step: (by) => step(by, true),
    filter: (nth) => choose(['mine', 'waiting', 'all', 'closed'][nth]),
    take: () => press('take'),
    close: () => press('close'),
    transfer: () => press('transfer'),
    details: () => press('details'),
    write,
    help,
    here,
    settings,
    leave,
  });
  addEventListener('hashchange', () => {
    const from = at('list').contains(document.activeElement);
    const last = state.open;
    at('desk').classList.remove('with-details');
    show();
    // On a telephone what was pressed is hidden now.
    if (from && !at('list').checkVisibility()) at('talk').focus({ preventScroll: true });
    // And on the way back the keyboard goes on where it left the list.
    if (last && !state.open && !from)
      at('list')
        .querySelector(`[data-talk="${CSS.escape(last)}"]`)
        ?.focus({ preventScroll: true });
  });
  at('main').addEventListener('pointerdown', (event) => {
    if (!event.target.closest('[data-do=details]')) at('desk').classList.remove('with-details');
  });
  document.addEventListener('visibilitychange', () => {
    if (!document.hidden) show();
  });
  setInterval(() => tick(left), 1000);
}

/** One sitting: in by the door, then live until the session ends. */
async function sit() {
  const door = await ask('desk/door');
  if (!door.me) {
    await new Promise((done) => {
      showDoor(door, done);
    });
  }
  at('door').hidden = true;
  at('desk').hidden = false;
  state.news = null;
  await follow(show);
}

build();
for (;;) {
  try {
    await sit();
  } catch (problem) {
    await new Promise((again) => {
      showClosedDoor(problem, again);
    });
  }
}
