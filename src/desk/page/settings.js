// The settings: which line, its channel or its rules.

import { ask, keep, make } from './common.js';
import { glyph } from './glyphs.js';
import { showChannel } from './channel.js';
import { showRules } from './rules.js';
import { state } from './state.js';

const at = (id) => document.getElementById(id);
const TABS = [
  ['channel', 'Channel'],
  ['rules', 'Rules'],
];

let shown = '';

/** A labelled field: `{label, hint}` and the input, which gets an id so that both belong together. */
export function labelled({ label, hint }, input, ...more) {
  const id = input.id;
  if (hint) input.setAttribute('aria-describedby', `${id}-hint`);
  return make(
    'div',
    { class: 'labelled' },
    make('label', { for: id }, label),
    input,
    ...more,
    hint ? make('p', { class: 'hint', id: `${id}-hint` }, hint) : null,
  );
}

/** A button that is busy while `run()` goes on; what goes wrong is said in `error`. */
export function busyButton(attributes, words, busyWords, error, run) {
  const button = make('button', { type: 'button', ...attributes }, words);
  button.addEventListener('click', async (event) => {
    event.preventDefault();
    if (button.disabled) return;
    error.hidden = true;
    button.disabled = true;
    button.textContent = busyWords;
    try {
      await run();
    } catch (problem) {
      error.textContent = problem.message;
      error.hidden = false;
    }
    button.disabled = false;
    button.textContent = words;
  });
  return button;
}

/** Somebody types into what `box` shows. */
export const typesIn = (box) =>
  box.contains(document.activeElement) && document.activeElement.matches('input, textarea, select');

/** A place for what went wrong. */
export const errorBox = () => make('p', { class: 'error', role: 'alert', hidden: true, 'data-error': true });

function adder() {
  const field = make('input', {
    id: 'new-line',
    class: 'field',
    inputmode: 'numeric',
    placeholder: 'Number',
    'aria-label': 'Number of the new line',
    maxlength: '9',
  });
  const error = errorBox();
  const form = make(
    'form',
    { class: 'add-line', hidden: true },
    field,
    make('button', { class: 'plain', type: 'submit', 'data-do': 'line-add' }, 'Add'),
    error,
  );
  const open = make(
    'button',
    {
      type: 'button',
      class: 'chip',
      'data-do': 'line-new',
      onclick: () => {
        form.hidden = !form.hidden;
        if (!form.hidden) field.focus();
      },
    },
    glyph('plus'),
    'Add a line',
  );
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    error.hidden = true;
    const line = field.value.trim();
    if (!line) return;
    try {
      await ask('desk/line/add', { line });
      form.hidden = true;
      field.value = '';
      location.hash = `line/${encodeURIComponent(line)}/channel`;
    } catch (problem) {
      error.textContent = problem.message;
      error.hidden = false;
    }
  });
  return make('div', { class: 'adder' }, open, form);
}

/** The chips with the lines and the two tabs; redrawn by news. */
function showNav(line, tab) {
  const { lines, attention } = state.news;
  const chips = lines.map((one) => {
    const held = attention.some((other) => other.line === one.line);
    const mark = held ? 'bad' : one.connected ? 'on' : '';
    return {
      key: `line ${one.line}`,
      sign: JSON.stringify([one, line, tab, held]),
      build: () =>
        make(
          'a',
          {
            class: 'chip',
            href: `#line/${encodeURIComponent(one.line)}/${tab}`,
            'data-line': one.line,
            'data-do': 'line',
            'aria-current': one.line === line ? 'page' : null,
          },
          make('span', { class: `dot ${mark}` }),
          `Line ${one.line}`,
          one.name ? make('span', { class: 'soft' }, one.name) : null,
          make('span', { class: 'unseen' }, held ? 'needs attention' : one.connected ? 'connected' : 'not connected'),
        ),
    };
  });
  keep(at('line-chips'), chips);
  keep(
    at('line-tabs'),
    TABS.map(([id, name]) => ({
      key: id,
      sign: `${line}${tab}`,
      build: () =>
        make(
          'a',
          {
            href: `#line/${encodeURIComponent(line)}/${id}`,
            'data-tab': id,
            'data-do': 'tab',
            'aria-current': id === tab ? 'page' : null,
          },
          name,
        ),
    })),
  );
}

/** Shows the settings of a line, or only brings what the news changed up to date. */
export function showSettings(line, tab) {
  const route = `${line}/${tab}`;
  at('settings').hidden = false;
  if (!at('line-chips')) {
    at('settings').replaceChildren(
      make(
        'header',
        { class: 'bar' },
        make('a', { class: 'icon', href: '#', 'aria-label': 'Leave the settings', 'data-do': 'leave' }, glyph('back')),
        make('h2', { class: 'grow' }, 'Settings'),
      ),
      make(
        'div',
        { class: 'settings-nav' },
        make('div', { class: 'chip-row' }, make('div', { class: 'chips', id: 'line-chips' }), adder()),
        make('nav', { class: 'tabs', id: 'line-tabs', 'aria-label': 'Settings of the line' }),
      ),
      make('div', { class: 'settings-body', id: 'settings-body' }),
    );
  }
  showNav(line, tab);
  const held = state.news.attention.some((one) => one.line === line);
  const connected = Boolean(state.news.lines.find((one) => one.line === line)?.connected);
  // News redraws the form only if it says something of this line, and never over what somebody types.
  const sign = tab === 'rules' ? route : `${route}/${held}/${connected}`;
  if (shown === sign) return;
  const typing = shown.startsWith(route) && typesIn(at('settings-body'));
  // Each line and tab has an element of its own: what is answered late to another one is drawn where nobody sees it.
  if (!shown.startsWith(route)) {
    const fresh = make('div', { class: 'settings-body', id: 'settings-body' });
    at('settings-body').replaceWith(fresh);
  }
  shown = sign;
  if (typing) return;
  const body = at('settings-body');
  if (!line)
    body.replaceChildren(
      make('p', { class: 'soft' }, 'Add a line to begin with: the number of the Open Line in the portal.'),
    );
  else if (tab === 'rules') showRules(body, line);
  else showChannel(body, line);
}

/** Leaves the settings. */
export function hideSettings() {
  at('settings').hidden = true;
  shown = '';
}
