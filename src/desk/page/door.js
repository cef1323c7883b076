// Signing in: choose who you are, give the password if one is asked for.

import { ask, make } from './common.js';
import { face } from './list.js';

const at = (id) => document.getElementById(id);

function password(operator, done) {
  const field = make('input', {
    class: 'field',
    type: 'password',
    name: 'password',
    autocomplete: 'current-password',
    'aria-label': `Password of ${operator.name}`,
    placeholder: 'Password',
  });
  const error = make('p', { class: 'error small', role: 'alert', hidden: true });
  // Whoever keeps passwords needs a name to keep this one under.
  const name = make('input', {
    type: 'text',
    name: 'username',
    autocomplete: 'username',
    hidden: true,
    value: operator.name,
  });
  const form = make(
    'form',
    { class: 'door-form', hidden: true },
    name,
    field,
    make('button', { class: 'primary', type: 'submit', 'data-do': 'sign-in' }, 'Sign in'),
    error,
  );
  const enter = async () => {
    error.hidden = true;
    try {
      await ask('desk/sign-in', { operator: operator.id, ...(operator.password && { password: field.value }) });
      done();
    } catch (problem) {
      error.textContent = problem.message;
      error.hidden = false;
      form.hidden = false;
      if (operator.password) field.select();
      else field.hidden = true;
    }
  };
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    enter();
  });
  return { form, field, enter };
}

/** Shows the door until somebody has come in; `door` is what the desk said of itself. */
export function showDoor(door, done) {
  const rows = door.operators.map((operator) => {
    const { form, field, enter } = password(operator, done);
    const choose = make(
      'button',
      {
        type: 'button',
        class: 'door-who',
        'data-operator': operator.id,
        'aria-expanded': operator.password ? 'false' : null,
        onclick: () => {
          if (!operator.password) {
            enter();
            return;
          }
          for (const other of at('door').querySelectorAll('form')) {
            other.hidden = other !== form || !form.hidden;
            const button = other.previousElementSibling;
            if (button.ariaExpanded !== null) button.ariaExpanded = String(!other.hidden);
          }
          if (!form.hidden) field.focus();
        },
      },
      face(operator.name),
      make('span', { class: 'grow' }, operator.name),
      make('span', { class: 'small soft' }, operator.password ? 'Password' : 'Enter'),
    );
    return make('li', {}, choose, form);
  });
  at('door').replaceChildren(
    make(
      'div',
      { class: 'door-card' },
      make('h1', {}, 'Trunkline desk'),
      make('p', { class: 'soft' }, door.operators.length ? 'Who is at the desk?' : 'This desk has no operators yet.'),
      make('ul', { class: 'door-list' }, ...rows),
      make(
        'p',
        { class: 'small soft door-foot' },
        `${door.portal.replace(/^https?:\/\//, '')} · module ${door.module}`,
      ),
    ),
  );
  at('door').hidden = false;
  at('desk').hidden = true;
  document.title = 'Sign in · Trunkline desk';
}

/** The door when the desk itself does not answer. */
export function showClosedDoor(problem, again) {
  at('door').replaceChildren(
    make(
      'div',
      { class: 'door-card' },
      make('h1', {}, 'Trunkline desk'),
      make('p', { class: 'error', role: 'alert' }, problem.message),
      make('button', { type: 'button', class: 'primary', onclick: again }, 'Try again'),
    ),
  );
  at('door').hidden = false;
}
