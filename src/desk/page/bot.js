// What the channel settings are made of: the Bot Framework's fields, the words of each step, addresses to show.

import { make, outside } from './common.js';
import { glyph } from './glyphs.js';
import { labelled } from './settings.js';

/** What the desk says instead of a secret that it keeps. */
export const HIDDEN = '#HIDDEN#';
const BOT = [
  ['bot_handle', 'Bot handle', 'The name of the bot’s resource in Azure.'],
  ['tenant', 'Tenant id', 'Directory (tenant) id of a single-tenant bot; empty for a multi-tenant one.'],
  ['app_id', 'App id', 'Microsoft App ID, as in 00000000-0000-0000-0000-000000000000.'],
  ['app_secret', 'App secret', 'The value of a client secret, not its id.'],
];
const ADDRESSES = [
  ['url_msteams', 'Teams'],
  ['url_webchat', 'Web Chat'],
  ['url_telegram', 'Telegram'],
  ['url_facebook', 'Messenger'],
  ['url_slack', 'Slack'],
  ['url_skypebot', 'Skype'],
  ['url_email', 'E-mail'],
  ['url_twilio', 'SMS'],
  ['url_groupme', 'GroupMe'],
  ['url_kik', 'Kik'],
];
const LINKS = {
  URL: 'Bot',
  URL_MSTEAMS: 'Teams',
  URL_WEBCHAT: 'Web Chat',
  URL_TELEGRAM: 'Telegram',
  URL_FACEBOOK: 'Messenger',
  URL_SLACK: 'Slack',
  URL_SKYPE: 'Skype',
  URL_EMAIL: 'E-mail',
  URL_SMS: 'SMS',
  URL_TWILIO: 'SMS',
  URL_GROUPME: 'GroupMe',
  URL_KIK: 'Kik',
  URL_DIRECTLINE: 'Direct Line',
};

/** The form's values of what is stored: the tenant stands behind the handle, where the protocol has no field for it. */
export function valuesOf(settings = {}) {
  const [handle, tenant = ''] = (settings.bot_handle || '').split('@');
  return {
    ...settings,
    bot_handle: handle,
    tenant,
    app_secret: settings.app_secret === HIDDEN ? '' : settings.app_secret || '',
  };
}

/** What is sent. */
export function settingsOf({ tenant, ...values }) {
  const handle = (values.bot_handle || '').trim();
  const sent = { ...Object.fromEntries([...BOT, ...ADDRESSES].map(([key]) => [key, (values[key] || '').trim()])) };
  delete sent.tenant;
  return { ...sent, bot_handle: tenant?.trim() && !handle.includes('@') ? `${handle}@${tenant.trim()}` : handle };
}

/** A field that writes into `view.values`. */
function input(view, [key, label, hint], type = 'text') {
  const stored = key === 'app_secret' && view.data.settings?.app_secret === HIDDEN;
  const field = make('input', {
    id: key,
    class: `field${type === 'url' ? '' : ' code'}`,
    type,
    autocomplete: 'off',
    spellcheck: 'false',
    autocapitalize: 'off',
    placeholder: stored ? 'Stored. Leave it empty to keep it.' : type === 'url' ? 'https://…' : null,
  });
  field.value = view.values[key] || '';
  field.addEventListener('input', () => {
    view.values[key] = field.value;
  });
  return labelled({ label, hint }, field);
}

/** All fields of the bot, and all addresses, as a grid. */
export const botFields = (view) =>
  make('div', { class: 'grid' }, ...BOT.map((row) => input(view, row, row[0] === 'app_secret' ? 'password' : 'text')));
export const addressFields = (view) =>
  make('div', { class: 'grid' }, ...ADDRESSES.map((row) => input(view, row, 'url')));

/** The address to paste in Azure, with its button. */
export function webhook(view) {
  const field = make('input', { id: 'webhook', class: 'field code', readonly: true, 'aria-label': 'Webhook address' });
  field.value = view.data.webhook || '';
  field.addEventListener('focus', () => field.select());
  const words = make('span', {}, 'Copy');
  const copy = make(
    'button',
    {
      type: 'button',
      class: 'plain',
      'data-do': 'copy',
      onclick: async () => {
        field.select();
        // Without https a browser has no clipboard to write to, but still this old command.
        try {
          await navigator.clipboard.writeText(field.value);
        } catch {
          document.execCommand('copy');
        }
        words.textContent = 'Copied';
        setTimeout(() => {
          words.textContent = 'Copy';
        }, 2000);
      },
    },
    glyph('copy'),
    words,
  );
  return make('div', { class: 'webhook' }, field, copy);
}

const how = (...lines) => make('ol', { class: 'how' }, ...lines.map((line) => make('li', {}, ...[line].flat())));
const strong = (text) => make('strong', {}, text);

/** The four steps; each gives its title, its words and its form, and with the last one the line is connected. */
export const PANELS = [
  (view) => [
    'Create the bot and give its keys',
    how(
      [
        'In the Azure portal create an ',
        strong('Azure Bot'),
        ', single-tenant. Note its handle, its Microsoft App ID and the tenant id.',
      ],
      ['Under ', strong('Certificates & secrets'), ' of its app registration make a client secret and copy its value.'],
    ),
    botFields(view),
  ],
  (view) => [
    'Paste the webhook address',
    how(
      [
        'In Azure open your bot’s ',
        strong('Configuration'),
        ' and paste this address into ',
        strong('Messaging endpoint'),
        '.',
      ],
      ['Press ', strong('Apply'), ' there.'],
    ),
    webhook(view),
  ],
  (view) => [
    'Switch on channels',
    how(
      [
        'In Azure switch on what your customers use under ',
        strong('Channels'),
        ': Teams, Telegram, Messenger and so on.',
      ],
      ['If you like, enter where customers find you; these addresses are only shown, nothing depends on them.'],
    ),
    addressFields(view),
  ],
  () => [
    'Test the connection',
    make('p', {}, 'The server signs in at Microsoft with the bot’s keys. If that works, the line is connected.'),
  ],
];

/** Where customers find the bot, as the server says; nothing if it says nothing. */
export function linkList(links) {
  const rows = Object.entries(links || {}).filter(([key, value]) => typeof value === 'string' && value && LINKS[key]);
  return rows.length
    ? make(
        'ul',
        { class: 'links' },
        ...rows.map(([key, value]) =>
          make('li', {}, make('span', { class: 'soft' }, LINKS[key]), outside(value, {}, value)),
        ),
      )
    : null;
}
