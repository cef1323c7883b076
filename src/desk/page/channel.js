// The channel settings of a line: the Bot Framework, step by step, and later on one form.

import { ask, make, outside, whole } from './common.js';
import { glyph } from './glyphs.js';
import { busyButton, errorBox, labelled } from './settings.js';
import { state } from './state.js';

const HIDDEN = '#HIDDEN#';
const BOT = [
  ['bot_handle', 'Bot handle', 'The name of the bot’s resource in Azure.'],
  ['tenant', 'Tenant id', 'Directory (tenant) id of a single-tenant bot; empty for a multi-tenant one.'],
  ['app_id', 'App id', 'Microsoft App ID, as in 00000000-0000-0000-0000-000000000000.'],
  ['app_secret', 'App secret', 'The value of a client secret, not its id.'],
];
const ADDRESSES = [
  ['url_msteams', 'Teams'], ['url_webchat', 'Web Chat'], ['url_telegram', 'Telegram'], ['url_facebook', 'Messenger'], ['url_slack', 'Slack'],
  ['url_skypebot', 'Skype'], ['url_email', 'E-mail'], ['url_twilio', 'SMS'], ['url_groupme', 'GroupMe'], ['url_kik', 'Kik'],
];
const LINKS = {
  URL: 'Bot', URL_MSTEAMS: 'Teams', URL_WEBCHAT: 'Web Chat', URL_TELEGRAM: 'Telegram', URL_FACEBOOK: 'Messenger', URL_SLACK: 'Slack', URL_SKYPE: 'Skype',
  URL_EMAIL: 'E-mail', URL_SMS: 'SMS', URL_TWILIO: 'SMS', URL_GROUPME: 'GroupMe', URL_KIK: 'Kik', URL_DIRECTLINE: 'Direct Line',
};
const STEPS = ['Bot', 'Webhook', 'Channels', 'Test'];

/** What is shown at present: the desk's answer, what was typed, the step. */
let view = null;

/** The form's values of what is stored: the tenant stands behind the handle, where the protocol has no field for it. */
function valuesOf(settings = {}) {
  const [handle, tenant = ''] = (settings.bot_handle || '').split('@');
  return { ...settings, bot_handle: handle, tenant, app_secret: settings.app_secret === HIDDEN ? '' : settings.app_secret || '' };
}

/** What is sent. */
function settingsOf({ tenant, ...values }) {
  const handle = (values.bot_handle || '').trim();
  const sent = { ...Object.fromEntries([...BOT, ...ADDRESSES].map(([key]) => [key, (values[key] || '').trim()])) };
  delete sent.tenant;
  return { ...sent, bot_handle: tenant?.trim() && !handle.includes('@') ? `${handle}@${tenant.trim()}` : handle };
}

function input([key, label, hint], type = 'text') {
  const stored = key === 'app_secret' && view.data.settings?.app_secret === HIDDEN;
  const field = make('input', {
    id: key, class: `field${type === 'url' ? '' : ' code'}`, type, autocomplete: 'off', spellcheck: 'false', autocapitalize: 'off',
    placeholder: stored ? 'Stored. Leave it empty to keep it.' : type === 'url' ? 'https://…' : null,
  });
  field.value = view.values[key] || '';
  field.addEventListener('input', () => { view.values[key] = field.value; });
  return labelled({ label, hint }, field);
}

async function save() {
  const { webhook } = await ask('desk/channel/save', { line: view.line, settings: settingsOf(view.values) });
  if (webhook) view.data.webhook = webhook;
  if (view.values.app_secret) view.data.settings = { ...view.data.settings, app_secret: HIDDEN };
  view.values.app_secret = '';
  view.saved = true;
}

async function test() {
  const result = await ask('desk/channel/test', { line: view.line });
  Object.assign(view.data, { connected: Boolean(result.connected), links: result.links || null, attention: null });
  view.tested = true;
}

function webhook() {
  const field = make('input', { id: 'webhook', class: 'field code', readonly: true, 'aria-label': 'Webhook address' });
  field.value = view.data.webhook || '';
  field.addEventListener('focus', () => field.select());
  const words = make('span', {}, 'Copy');
  const copy = make('button', {
    type: 'button', class: 'plain', 'data-do': 'copy', onclick: async () => {
      field.select();
      // Without https a browser has no clipboard to write to, but still this old command.
      try { await navigator.clipboard.writeText(field.value); } catch { document.execCommand('copy'); }
      words.textContent = 'Copied';
      setTimeout(() => { words.textContent = 'Copy'; }, 2000);
    },
  }, glyph('copy'), words);
  return make('div', { class: 'webhook' }, field, copy);
}

const how = (...lines) => make('ol', { class: 'how' }, ...lines.map((line) => make('li', {}, ...[line].flat())));
const strong = (text) => make('strong', {}, text);

/** The four steps; each gives its title, its words and its form. */
const PANELS = [
  () => ['Create the bot and give its keys', how(
    ['In the Azure portal create an ', strong('Azure Bot'), ', single-tenant. Note its handle, its Microsoft App ID and the tenant id.'],
    ['Under ', strong('Certificates & secrets'), ' of its app registration make a client secret and copy its value.'],
  ), make('div', { class: 'grid' }, ...BOT.map((row) => input(row, row[0] === 'app_secret' ? 'password' : 'text')))],
  () => ['Paste the webhook address', how(
    ['In Azure open your bot’s ', strong('Configuration'), ' and paste this address into ', strong('Messaging endpoint'), '.'], ['Press ', strong('Apply'), ' there.'],
  ), webhook()],
  () => ['Switch on channels', how(
    ['In Azure switch on what your customers use under ', strong('Channels'), ': Teams, Telegram, Messenger and so on.'],
    ['If you like, enter where customers find you; these addresses are only shown, nothing depends on them.'],
  ), make('div', { class: 'grid' }, ...ADDRESSES.map((row) => input(row, 'url')))],
  () => ['Test the connection', make('p', {}, 'The server signs in at Microsoft with the bot’s keys. If that works, this line is connected and messages arrive at the desk.')],
];

function step(error) {
  const [title, ...inside] = PANELS[view.step]();
  const to = (number) => { view.step = number; draw(true); };
  const back = view.step ? make('button', { type: 'button', class: 'plain', 'data-do': 'step-back', onclick: () => to(view.step - 1) }, 'Back') : null;
  const next = [
    () => busyButton({ class: 'primary', id: 'save', type: 'submit', 'data-do': 'save' }, 'Save and continue', 'Saving…', error, async () => { await save(); to(1); }),
    () => make('button', { type: 'button', class: 'primary', 'data-do': 'step-next', onclick: () => to(2) }, 'I have pasted it'),
    () => busyButton({ class: 'primary', id: 'save', type: 'submit', 'data-do': 'save' }, 'Save and continue', 'Saving…', error, async () => { await save(); to(3); }),
    () => busyButton({ class: 'primary', id: 'test', 'data-do': 'test' }, 'Test the connection', 'Testing…', error, async () => { await test(); draw(true); }),
  ][view.step]();
  const skip = view.step === 2 ? make('button', { type: 'button', class: 'plain', 'data-do': 'step-skip', onclick: () => to(3) }, 'Skip') : null;
  return make('form', { class: 'card step', 'data-step': view.step + 1, 'aria-label': `Step ${view.step + 1} of ${STEPS.length}` },
    make('h3', { tabindex: '-1' }, title), ...inside, error, make('div', { class: 'buttons' }, back, make('span', { class: 'grow' }), skip, next));
}

function wizard() {
  const reached = view.data.webhook ? STEPS.length : 1;
  const steps = make('ol', { class: 'steps', id: 'steps' }, ...STEPS.map((name, nth) => make('li', {}, make('button', {
    type: 'button', class: nth < view.step ? 'done' : null, 'aria-current': nth === view.step ? 'step' : null, disabled: nth >= reached, 'data-to-step': nth + 1,
    onclick: () => { view.step = nth; draw(true); },
  }, make('span', { class: 'number' }, nth < view.step ? glyph('check') : String(nth + 1)), name))));
  return [
    make('p', { class: 'lead', id: 'connected', 'data-connected': 'no' }, make('span', { class: 'dot' }), 'Not connected yet.'),
    steps, step(errorBox()),
  ];
}

function linkList(links) {
  const rows = Object.entries(links || {}).filter(([key, value]) => typeof value === 'string' && value && LINKS[key]);
  return rows.length ? make('ul', { class: 'links' }, ...rows.map(([key, value]) => make('li', {}, make('span', { class: 'soft' }, LINKS[key]), outside(value, {}, value)))) : null;
}

/** The bot works elsewhere now: one button saves the same settings again, which takes it back. */
function attention() {
  const error = errorBox();
  const found = state.news.attention.find((one) => one.line === view.line);
  return make('section', { class: 'card alarm', id: 'attention-card' }, make('h3', {}, glyph('warn'), 'The connector needs attention'),
    make('p', {}, `This bot was connected elsewhere${found?.since ? ` on ${whole(found.since)}` : ''}, so its messages no longer arrive here. Save its settings again to take it back.`), error,
    make('div', { class: 'buttons' }, busyButton({ class: 'primary', id: 'take-back', 'data-do': 'take-back' }, 'Take it back', 'Taking it back…', error, async () => {
      await save();
      await test();
      draw(true);
    })));
}

function form() {
  const error = errorBox();
  const testError = errorBox();
  const held = view.data.attention || state.news.attention.some((one) => one.line === view.line);
  const sure = make('button', { type: 'button', class: 'plain', 'data-do': 'disconnect' }, 'Disconnect');
  sure.addEventListener('blur', () => { delete sure.dataset.sure; sure.textContent = 'Disconnect'; sure.classList.remove('bad'); });
  sure.addEventListener('click', async () => {
    if (sure.dataset.sure !== 'yes') { sure.dataset.sure = 'yes'; sure.textContent = 'Really disconnect?'; sure.classList.add('bad'); return; }
    try {
      await ask('desk/channel/disconnect', { line: view.line });
      await load();
    } catch (problem) { testError.textContent = problem.message; testError.hidden = false; }
  });
  return [
    held ? attention() : null,
    make('section', { class: 'card' },
      make('h3', { id: 'connected', 'data-connected': held ? 'held' : 'yes', tabindex: '-1' }, make('span', { class: `dot ${held ? 'bad' : 'on'}` }), held ? 'Connected elsewhere' : view.tested ? 'Connected. The test went well.' : 'Connected'),
      linkList(view.data.links), view.saved && !view.tested ? make('p', { class: 'soft', role: 'status' }, 'Saved. Test the connection to be sure.') : null, testError,
      make('div', { class: 'buttons' }, busyButton({ class: 'plain', id: 'test', 'data-do': 'test' }, 'Test the connection', 'Testing…', testError, async () => { await test(); draw(true); }), sure,
        make('span', { class: 'grow' }), make('button', { type: 'button', class: 'plain', 'data-do': 'wizard', onclick: () => { view.wizard = true; view.step = 0; draw(true); } }, 'Set up step by step'))),
    make('section', { class: 'card' }, make('h3', {}, 'Webhook address'), make('p', { class: 'soft' }, 'Messaging endpoint of the bot in Azure.'), webhook()),
    make('form', { class: 'card' }, make('h3', {}, 'Bot'), make('div', { class: 'grid' }, ...BOT.map((row) => input(row, row[0] === 'app_secret' ? 'password' : 'text'))),
      make('h3', {}, 'Where customers find you'), make('div', { class: 'grid' }, ...ADDRESSES.map((row) => input(row, 'url'))), error,
      make('div', { class: 'buttons' }, make('span', { class: 'grow' }), busyButton({ class: 'primary', id: 'save', type: 'submit', 'data-do': 'save' }, 'Save', 'Saving…', error, async () => { await save(); view.tested = false; draw(true); }))),
  ];
}

function draw(moved) {
  const ready = view.data.connected || view.data.attention;
  const steps = !ready || (view.wizard && !view.tested);
  view.body.replaceChildren(make('div', { class: 'column' }, make('h2', { class: 'unseen' }, 'Microsoft Bot Framework'), ...(steps ? wizard() : form()).filter(Boolean)));
  if (!moved) return;
  view.body.scrollTop = 0;
  view.body.querySelector('h3[tabindex]')?.focus({ preventScroll: true });
}

async function load() {
  const { body, line } = view;
  const data = await ask(`desk/channel?${new URLSearchParams({ line })}`);
  if (view.line !== line || view.body !== body) return;
  const began = data.webhook && data.settings?.app_id;
  view = { ...view, data, values: valuesOf(data.settings), step: began ? 1 : 0, saved: false, tested: false, wizard: false };
  draw(false);
}

/** Shows the channel settings of a line in `body`. */
export async function showChannel(body, line) {
  view = { ...(view?.line === line && view.tested ? view : { step: 0, values: {}, data: {} }), body, line };
  const { tested } = view;
  if (!tested) body.replaceChildren();
  try {
    await load();
    if (tested && view.data.connected) { view.tested = true; draw(false); }
  } catch (problem) {
    body.replaceChildren(make('div', { class: 'column' }, make('section', { class: 'card' }, make('p', { class: 'error', role: 'alert' }, problem.message),
      make('div', { class: 'buttons' }, make('button', { type: 'button', class: 'plain', onclick: () => showChannel(body, line) }, 'Try again')))));
  }
}
