// Shortcuts, and the dialog that lists them.

import { make, recall, store } from './common.js';
import { glyph } from './glyphs.js';

const at = (id) => document.getElementById(id);
const SHELF = 'desk.letters';

const ROWS = [
  [
    'Conversations',
    [
      ['Alt ↑ ↓', 'The one above or below, also while writing'],
      ['K J', 'The same'],
      ['Ctrl K', 'Search'],
      ['1 2 3 4', 'Mine, Waiting, All, Closed'],
    ],
  ],
  [
    'This conversation',
    [
      ['R', 'Write; so does Enter on the open one'],
      ['T', 'Take'],
      ['F', 'Transfer'],
      ['E', 'Close'],
      ['I', 'Details'],
    ],
  ],
  [
    'Writing',
    [
      ['Enter', 'Send'],
      ['Shift Enter', 'New line'],
      ['Ctrl B I U', 'Bold, italic, underlined'],
      ['↑', 'Edit your last message, in an empty field'],
      ['Esc', 'Leave'],
    ],
  ],
  [
    'Desk',
    [
      ['H', 'Here or away'],
      ['G', 'Settings'],
      ['?', 'This list'],
    ],
  ],
];

const letters = () => recall(SHELF, true);

function build() {
  const box = make('input', { type: 'checkbox', id: 'letters' });
  box.checked = letters();
  box.addEventListener('change', () => store(SHELF, box.checked));
  const keys = (text) => text.split(' ').map((key) => make('kbd', {}, key));
  at('help').replaceChildren(
    make(
      'header',
      {},
      make('h2', { id: 'help-title' }, 'Keyboard'),
      make(
        'button',
        { type: 'button', class: 'icon', 'aria-label': 'Close', onclick: () => at('help').close() },
        glyph('close'),
      ),
    ),
    make(
      'div',
      { class: 'help-body' },
      ...ROWS.map(([title, rows]) =>
        make(
          'section',
          {},
          make('h3', {}, title),
          make('dl', {}, ...rows.flatMap(([key, what]) => [make('dt', {}, ...keys(key)), make('dd', {}, what)])),
        ),
      ),
    ),
    make('label', { class: 'check small' }, box, 'Single letters work outside text fields'),
  );
}

/** Opens the list of shortcuts. */
export function help() {
  build();
  at('help').showModal();
}

/** Listens for shortcuts; `does` has a function for each. */
export function listen(does) {
  at('help').addEventListener('click', (event) => {
    if (event.target === at('help')) at('help').close();
  });
  document.addEventListener('keydown', (event) => {
    if (at('desk').hidden || at('help').open || event.defaultPrevented || event.isComposing) return;
    const run = (what, ...values) => {
      event.preventDefault();
      does[what](...values);
    };
    const { key } = event;
    const typing = event.target.matches('textarea, select, input:not([type=checkbox]):not([type=radio])');
    if ((event.ctrlKey || event.metaKey) && key.toLowerCase() === 'k') return run('search');
    if (event.altKey && (key === 'ArrowDown' || key === 'ArrowUp')) return run('step', key === 'ArrowDown' ? 1 : -1);
    if (key === 'Escape') return run('leave');
    if (
      typing ||
      event.ctrlKey ||
      event.metaKey ||
      event.altKey ||
      !letters() ||
      event.target.closest('[role=menu], .emoji')
    )
      return undefined;
    if (key === 'Enter' && event.target.matches('.entry[aria-current]')) return run('write');
    const what = {
      j: ['step', 1],
      k: ['step', -1],
      r: ['write'],
      t: ['take'],
      f: ['transfer'],
      e: ['close'],
      i: ['details'],
      h: ['here'],
      g: ['settings'],
      '?': ['help'],
      '/': ['search'],
    }[key];
    if (what) return run(...what);
    return '1234'.includes(key) ? run('filter', Number(key) - 1) : undefined;
  });
}
