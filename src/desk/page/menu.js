// A button that opens a menu: arrow keys, Escape, a click elsewhere.

import { make } from './common.js';

/**
 * A button with a menu. `items()` gives what is in it when it is opened, each `{label, note, icon, on, run}` (or `null` for
 * a line); `run()` is called when it is chosen.
 */
export function menu(attributes, inside, items, extra = {}) {
  const button = make(
    'button',
    { type: 'button', 'aria-haspopup': 'menu', 'aria-expanded': 'false', ...attributes },
    ...inside,
  );
  const list = make('div', { class: `menu ${extra.class || ''}`, role: 'menu', hidden: true });
  const root = make('span', { class: 'menu-root' }, button, list);
  const close = (back) => {
    if (list.hidden) return;
    list.hidden = true;
    button.setAttribute('aria-expanded', 'false');
    document.removeEventListener('pointerdown', elsewhere);
    if (back) button.focus();
  };
  const elsewhere = (event) => {
    if (!root.contains(event.target)) close(false);
  };
  const open = () => {
    list.replaceChildren(
      ...items().map((item) =>
        item
          ? make(
              'button',
              {
                type: 'button',
                role: item.on === undefined ? 'menuitem' : 'menuitemradio',
                'aria-checked': item.on === undefined ? null : String(item.on),
                tabindex: '-1',
                'data-choice': item.id,
                onclick: () => {
                  close(true);
                  item.run();
                },
              },
              item.icon || null,
              make('span', { class: 'grow' }, item.label),
              item.note && make('span', { class: 'small soft' }, item.note),
            )
          : make('hr'),
      ),
    );
    list.hidden = false;
    button.setAttribute('aria-expanded', 'true');
    document.addEventListener('pointerdown', elsewhere);
    list.querySelector('button')?.focus();
  };
  button.addEventListener('click', () => (list.hidden ? open() : close(true)));
  root.addEventListener('keydown', (event) => {
    if (list.hidden) {
      if (event.key === 'ArrowDown' && event.target === button) {
        event.preventDefault();
        open();
      }
      return;
    }
    const all = [...list.querySelectorAll('button')];
    const at = all.indexOf(document.activeElement);
    const to = {
      ArrowDown: (at + 1) % all.length,
      ArrowUp: (at - 1 + all.length) % all.length,
      Home: 0,
      End: all.length - 1,
    }[event.key];
    if (to !== undefined) {
      event.preventDefault();
      all[to].focus();
    }
    if (event.key === 'Escape') {
      event.preventDefault();
      event.stopPropagation();
      close(true);
    }
    if (event.key === 'Tab') close(false);
  });
  root.addEventListener('focusout', (event) => {
    if (event.relatedTarget && !root.contains(event.relatedTarget)) close(false);
  });
  return root;
}
