// The channel settings of a line: the Bot Framework, step by step, and later on one form.

import { ask, make, whole } from './common.js';
import { glyph } from './glyphs.js';
import { addressFields, botFields, HIDDEN, linkList, PANELS, settingsOf, valuesOf, webhook } from './bot.js';
import { busyButton, errorBox, typesIn } from './settings.js';
import { state } from './state.js';

const STEPS = ['Bot', 'Webhook', 'Channels', 'Test'];

/** What is shown at present: the desk's answer, what was typed, the step. */
let view = null;

/** Saves what was typed; false when something else is shown by then. */
async function save() {
  const { body, line } = view;
  const { webhook } = await ask('desk/channel/save', { line, settings: settingsOf(view.values) });
  if (view.body !== body) return false;
  if (webhook) view.data.webhook = webhook;
  if (view.values.app_secret) view.data.settings = { ...view.data.settings, app_secret: HIDDEN };
  view.values.app_secret = '';
  view.saved = true;
  return true;
}

/** Tests the connection; false when something else is shown by then. */
async function test() {
  const { body, line } = view;
  const result = await ask('desk/channel/test', { line });
  if (view.body !== body) return false;
  Object.assign(view.data, { connected: Boolean(result.connected), links: result.links || null, attention: null });
  view.tested = true;
  return true;
}

function step(error) {
  const [title, ...inside] = PANELS[view.step](view);
  const to = (number) => {
    view.step = number;
    draw(true);
  };
  const back = view.step
    ? make(
        'button',
        { type: 'button', class: 'plain', 'data-do': 'step-back', onclick: () => to(view.step - 1) },
        'Back',
      )
    : null;
  const next = [
    () =>
      busyButton(
        { class: 'primary', id: 'save', type: 'submit', 'data-do': 'save' },
        'Save and continue',
        'Saving…',
        error,
        async () => {
          if (await save()) to(1);
        },
      ),
    () =>
      make(
        'button',
        { type: 'button', class: 'primary', 'data-do': 'step-next', onclick: () => to(2) },
        'I have pasted it',
      ),
    () =>
      busyButton(
        { class: 'primary', id: 'save', type: 'submit', 'data-do': 'save' },
        'Save and continue',
        'Saving…',
        error,
        async () => {
          if (await save()) to(3);
        },
      ),
    () =>
      busyButton(
        { class: 'primary', id: 'test', 'data-do': 'test' },
        'Test the connection',
        'Testing…',
        error,
        async () => {
          if (await test()) draw(true);
        },
      ),
  ][view.step]();
  const skip =
    view.step === 2
      ? make('button', { type: 'button', class: 'plain', 'data-do': 'step-skip', onclick: () => to(3) }, 'Skip')
      : null;
  return make(
    'form',
    { class: 'card step', 'data-step': view.step + 1, 'aria-label': `Step ${view.step + 1} of ${STEPS.length}` },
    make('h3', { tabindex: '-1' }, title),
    ...inside,
    error,
    make('div', { class: 'buttons' }, back, make('span', { class: 'grow' }), skip, next),
  );
}

function wizard() {
  const reached = view.data.webhook ? STEPS.length : 1;
  const steps = make(
    'ol',
    { class: 'steps', id: 'steps' },
    ...STEPS.map((name, nth) =>
      make(
        'li',
        {},
        make(
          'button',
          {
            type: 'button',
            class: nth < view.step ? 'done' : null,
            'aria-current': nth === view.step ? 'step' : null,
            disabled: nth >= reached,
            'data-to-step': nth + 1,
            onclick: () => {
              view.step = nth;
              draw(true);
            },
          },
          make('span', { class: 'number' }, nth < view.step ? glyph('check') : String(nth + 1)),
          name,
        ),
      ),
    ),
  );
  return [
    isHeld()
      ? attention()
      : make(
          'p',
          { class: 'lead', id: 'connected', 'data-connected': 'no' },
          make('span', { class: 'dot' }),
          'Not connected yet.',
        ),
    steps,
    step(errorBox()),
  ];
}

/** The bot works elsewhere now. */
const isHeld = () => view.data.attention || state.news.attention.some((one) => one.line === view.line);
/** The server still has the bot's keys. */
const isKept = () => Boolean(view.data.settings?.app_id);

/**
 * The bot works elsewhere now. Where its keys are kept, one button saves them again, which takes it back; else the steps
 * below do.
 */
function attention() {
  const error = errorBox();
  const found = state.news.attention.find((one) => one.line === view.line);
  return make(
    'section',
    { class: 'card alarm', id: 'attention-card' },
    make('h3', {}, glyph('warn'), 'The connector needs attention'),
    make(
      'p',
      {},
      `This bot was connected elsewhere${found?.since ? ` on ${whole(found.since)}` : ''}, so its messages no longer arrive `,
      isKept()
        ? 'here. Save its settings again to take it back.'
        : 'here. To take it back, go through the steps again: its keys and its webhook address are new ones.',
    ),
    error,
    isKept() && make(
      'div',
      { class: 'buttons' },
      busyButton(
        { class: 'primary', id: 'take-back', 'data-do': 'take-back' },
        'Take it back',
        'Taking it back…',
        error,
        async () => {
          if ((await save()) && (await test())) draw(true);
        },
      ),
    ),
  );
}

function form() {
  const error = errorBox();
  const testError = errorBox();
  const held = isHeld();
  const sure = make('button', { type: 'button', class: 'plain', 'data-do': 'disconnect' }, 'Disconnect');
  sure.addEventListener('blur', () => {
    delete sure.dataset.sure;
    sure.textContent = 'Disconnect';
    sure.classList.remove('bad');
  });
  sure.addEventListener('click', async () => {
    if (sure.dataset.sure !== 'yes') {
      sure.dataset.sure = 'yes';
      sure.textContent = 'Really disconnect?';
      sure.classList.add('bad');
      return;
    }
    const { body, line } = view;
    try {
      await ask('desk/channel/disconnect', { line });
      if (view.body === body) await load();
    } catch (problem) {
      testError.textContent = problem.message;
      testError.hidden = false;
    }
  });
  return [
    held ? attention() : null,
    make(
      'section',
      { class: 'card' },
      make(
        'h3',
        { id: 'connected', 'data-connected': held ? 'held' : 'yes', tabindex: '-1' },
        make('span', { class: `dot ${held ? 'bad' : 'on'}` }),
        held ? 'Connected elsewhere' : view.tested ? 'Connected. The test went well.' : 'Connected',
      ),
      linkList(view.data.links),
      view.saved && !view.tested
        ? make('p', { class: 'soft', role: 'status' }, 'Saved. Test the connection to be sure.')
        : null,
      testError,
      make(
        'div',
        { class: 'buttons' },
        busyButton(
          { class: 'plain', id: 'test', 'data-do': 'test' },
          'Test the connection',
          'Testing…',
          testError,
          async () => {
            if (await test()) draw(true);
          },
        ),
        sure,
        make('span', { class: 'grow' }),
        make(
          'button',
          {
            type: 'button',
            class: 'plain',
            'data-do': 'wizard',
            onclick: () => {
              view.wizard = true;
              view.step = 0;
              draw(true);
            },
          },
          'Set up step by step',
        ),
      ),
    ),
    make(
      'section',
      { class: 'card' },
      make('h3', {}, 'Webhook address'),
      make('p', { class: 'soft' }, 'Messaging endpoint of the bot in Azure.'),
      webhook(view),
    ),
    make(
      'form',
      { class: 'card' },
      make('h3', {}, 'Bot'),
      botFields(view),
      make('h3', {}, 'Where customers find you'),
      addressFields(view),
      error,
      make(
        'div',
        { class: 'buttons' },
        make('span', { class: 'grow' }),
        busyButton(
          { class: 'primary', id: 'save', type: 'submit', 'data-do': 'save' },
          'Save',
          'Saving…',
          error,
          async () => {
            if (!(await save())) return;
            view.tested = false;
            draw(true);
          },
        ),
      ),
    ),
  ];
}

function draw(moved) {
  const ready = view.data.connected || view.data.attention;
  const steps = !ready || (isHeld() && !isKept()) || (view.wizard && !view.tested);
  view.body.replaceChildren(
    make(
      'div',
      { class: 'column' },
      make('h2', { class: 'unseen' }, 'Microsoft Bot Framework'),
      ...(steps ? wizard() : form()).filter(Boolean),
    ),
  );
  if (!moved) return;
  view.body.scrollTop = 0;
  view.body.querySelector('h3[tabindex]')?.focus({ preventScroll: true });
}

/** Asks for what is stored and draws it; false when it is not for what is shown. */
async function load() {
  const { body, line } = view;
  const data = await ask(`desk/channel?${new URLSearchParams({ line })}`);
  // Nor is it drawn over what somebody has begun to type meanwhile.
  if (view.body !== body || typesIn(body)) return false;
  const begun = data.webhook && data.settings?.app_id ? 1 : 0;
  // What was connected and has been saved anew needs its test before it is again.
  view = {
    ...view,
    data,
    values: valuesOf(data.settings),
    step: view.saved && begun ? STEPS.length - 1 : begun,
    tested: false,
    wizard: false,
  };
  draw(false);
  return true;
}

/** These settings are on the page already, and only news brings them again. */
const shownNow = () =>
  view.body.contains(document.getElementById('connected')) && !document.getElementById('settings').hidden;

/** Shows the channel settings of a line in `body`. */
export async function showChannel(body, line) {
  view = {
    ...(view?.line === line && shownNow() ? view : { step: 0, values: {}, data: {}, saved: false, tested: false }),
    body,
    line,
  };
  const { tested } = view;
  try {
    if ((await load()) && tested && view.data.connected) {
      view.tested = true;
      draw(false);
    }
  } catch (problem) {
    body.replaceChildren(
      make(
        'div',
        { class: 'column' },
        make(
          'section',
          { class: 'card' },
          make('p', { class: 'error', role: 'alert' }, problem.message),
          make(
            'div',
            { class: 'buttons' },
            make('button', { type: 'button', class: 'plain', onclick: () => showChannel(body, line) }, 'Try again'),
          ),
        ),
      ),
    );
  }
}
