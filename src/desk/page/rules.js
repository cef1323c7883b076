// What holds for a line: greeting, away text, working hours, who gets the next conversation, rating.

import { ask, make } from './common.js';
import { busyButton, errorBox, labelled } from './settings.js';

const DAYS = ['Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday', 'Sunday'];
const WAYS = [
  ['all', 'Everybody at once', 'All operators see it; whoever takes it first has it.'],
  ['evenly', 'Evenly', 'Offered to the one who holds the fewest, then to the next.'],
  ['strictly', 'In order', 'Always offered from the top of the list.'],
];
const TEXTS = [
  ['welcome', 'Welcome', 'Sent once when a conversation begins. Empty: nothing is sent.', 'Hello! How can we help?'],
  [
    'away',
    'Away',
    'Sent when nobody is here or outside working hours. Empty: nothing is sent.',
    'We are away at the moment and answer in the morning.',
  ],
  [
    'rating',
    'Rating',
    'Asks when a conversation is closed; the customer answers 1 or 0. Empty: nobody is asked.',
    'Were you satisfied? 1 for yes, 0 for no.',
  ],
];
const WORKDAY = [540, 1080];

const clock = (minutes) =>
  `${String(Math.floor(minutes / 60) % 24).padStart(2, '0')}:${String(minutes % 60).padStart(2, '0')}`;
const minutes = (text) => {
  const [hour, minute] = text.split(':').map(Number);
  return hour * 60 + minute;
};
const zone = (offset) => `UTC${offset < 0 ? '−' : '+'}${clock(Math.abs(offset))}`;
const ZONES = [...Array(27).keys()]
  .map((hour) => (hour - 12) * 60)
  .concat([-210, 210, 270, 330, 345, 390, 570])
  .sort((one, other) => one - other);

let view = null;

/** The hours of one day: a box whether it is a working day, and from when to when. */
function dayRow(name, nth) {
  const open = view.rules.hours.days[nth];
  const box = make('input', { type: 'checkbox', id: `day-${nth}` });
  box.checked = Boolean(open);
  const time = (which, label) => {
    const field = make('input', {
      type: 'time',
      class: 'field',
      'aria-label': `${name} ${label}`,
      id: `day-${nth}-${label}`,
      step: '300',
      required: true,
    });
    // Midnight at the end of a day is 24:00, which the field calls 00:00.
    field.value = clock((open || WORKDAY)[which]);
    field.addEventListener('input', () => {
      if (!field.value) return;
      const value = minutes(field.value);
      view.rules.hours.days[nth][which] = which === 1 && value === 0 ? 1440 : value;
    });
    return field;
  };
  box.addEventListener('change', () => {
    view.rules.hours.days[nth] = box.checked ? [...(open || WORKDAY)] : null;
    draw();
    document.getElementById(box.id).focus();
  });
  return make(
    'div',
    { class: 'day-row' },
    make('label', { class: 'check' }, box, name),
    ...(open
      ? [time(0, 'from'), make('span', { class: 'soft' }, '–'), time(1, 'to')]
      : [make('span', { class: 'soft closed' }, 'Closed')]),
  );
}

function copyMonday() {
  const monday = view.rules.hours.days[0];
  view.rules.hours.days = view.rules.hours.days.map((day) => (day && monday ? [...monday] : day));
  draw();
}

function hours() {
  const { hours: set } = view.rules;
  const choice = (id, label, on, change) => {
    const box = make('input', { type: 'radio', name: 'hours', id });
    box.checked = on;
    box.addEventListener('change', () => {
      change();
      draw();
      document.getElementById(id).focus();
    });
    return make('label', { class: 'check' }, box, label);
  };
  const parts = [
    make(
      'div',
      { class: 'choices row-choices' },
      choice('hours-always', 'Always open', !set, () => {
        view.hours = set;
        view.rules.hours = null;
      }),
      choice('hours-set', 'Set hours', Boolean(set), () => {
        view.rules.hours = view.hours || {
          offset_minutes: -new Date().getTimezoneOffset(),
          days: DAYS.map((_, nth) => (nth < 5 ? [...WORKDAY] : null)),
        };
      }),
    ),
  ];
  if (set) {
    const zones = [...new Set([...ZONES, set.offset_minutes])].sort((one, other) => one - other);
    const select = make(
      'select',
      { class: 'field', id: 'offset' },
      ...zones.map((offset) =>
        make('option', { value: offset, selected: offset === set.offset_minutes }, zone(offset)),
      ),
    );
    select.addEventListener('change', () => {
      set.offset_minutes = Number(select.value);
    });
    parts.push(
      labelled({ label: 'Time zone' }, select),
      make('div', { class: 'days' }, ...DAYS.map(dayRow)),
      set.days[0] && set.days.slice(1).some(Boolean)
        ? make(
            'button',
            { type: 'button', class: 'plain small', 'data-do': 'copy-monday', onclick: copyMonday },
            'Monday’s hours for every working day',
          )
        : null,
    );
  }
  return make('section', { class: 'card' }, make('h3', {}, 'Working hours'), ...parts);
}

function distribution() {
  const radio = ([id, name, hint]) => {
    const box = make('input', { type: 'radio', name: 'distribution', id: `way-${id}`, value: id });
    box.checked = view.rules.distribution === id;
    box.addEventListener('change', () => {
      view.rules.distribution = id;
      draw();
      document.getElementById(box.id).focus();
    });
    return make('label', { class: 'check tall' }, box, make('span', {}, name, make('span', { class: 'hint' }, hint)));
  };
  const secs = make('input', {
    type: 'number',
    class: 'field narrow',
    id: 'offer_secs',
    min: '5',
    max: '3600',
    step: '5',
  });
  secs.value = view.rules.offer_secs;
  secs.addEventListener('input', () => {
    view.rules.offer_secs = Number(secs.value);
  });
  return make(
    'section',
    { class: 'card' },
    make('h3', {}, 'Who gets a new conversation'),
    make('div', { class: 'choices', role: 'radiogroup', 'aria-label': 'Distribution' }, ...WAYS.map(radio)),
    view.rules.distribution === 'all'
      ? null
      : labelled({ label: 'Seconds to take it', hint: 'After that it is the next one’s turn.' }, secs),
  );
}

function text([key, label, hint, example]) {
  const field = make('textarea', { class: 'field', id: key, rows: '2', placeholder: `For example: ${example}` });
  field.value = view.rules[key] || '';
  field.addEventListener('input', () => {
    view.rules[key] = field.value;
  });
  return labelled({ label, hint }, field);
}

function draw() {
  const { body } = view;
  const top = body.scrollTop;
  const error = errorBox();
  const done = make('span', { class: 'small ok', role: 'status', 'data-saved': true });
  const save = busyButton({ class: 'primary', id: 'save', 'data-do': 'save' }, 'Save', 'Saving…', error, async () => {
    const { offer_secs: secs, distribution: way } = view.rules;
    if (way !== 'all' && !(secs >= 5 && secs <= 3600))
      throw new Error('An operator has between 5 and 3600 seconds to take a conversation.');
    done.textContent = '';
    await ask('desk/line', { ...view.rules, line: view.line });
    done.textContent = 'Saved';
  });
  body.replaceChildren(
    make(
      'div',
      { class: 'column' },
      make('section', { class: 'card' }, make('h3', {}, 'Texts'), ...TEXTS.map(text)),
      distribution(),
      hours(),
      error,
      make('div', { class: 'buttons last-buttons' }, done, make('span', { class: 'grow' }), save),
    ),
  );
  body.scrollTop = top;
}

/** Shows the rules of a line in `body`. */
export async function showRules(body, line) {
  view = { body, line };
  body.replaceChildren();
  try {
    const rules = await ask(`desk/line?${new URLSearchParams({ line })}`);
    if (view.body !== body) return;
    view.rules = rules;
    draw();
  } catch (problem) {
    body.replaceChildren(
      make('div', { class: 'column' }, make('p', { class: 'error', role: 'alert' }, problem.message)),
    );
  }
}
