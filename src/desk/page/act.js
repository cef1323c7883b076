// Asking the desk to do something, and saying what went wrong.

import { ask, make } from './common.js';
import { glyph } from './glyphs.js';
import { state, talkOf } from './state.js';

const at = (id) => document.getElementById(id);
const SHOWN_MS = 10_000;
let timer;

/** Shows what went wrong, for a while. */
export function trouble(problem) {
  const box = at('trouble');
  const hide = () => {
    box.hidden = true;
  };
  const words = make('span', { class: 'grow' }, problem.message || String(problem));
  const button = { type: 'button', class: 'icon', 'aria-label': 'Dismiss', onclick: hide };
  box.replaceChildren(words, make('button', button, glyph('close')));
  box.hidden = false;
  clearTimeout(timer);
  timer = setTimeout(hide, SHOWN_MS);
}

/** Asks the desk to do something with the open conversation. */
export const act = (what, more = {}) => ask(`desk/${what}`, { talk: talkOf(state.open)?.id, ...more }).catch(trouble);
