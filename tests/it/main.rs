//! Tests from outside, one binary: every module starts the built program or a whole server. `UPDATE_GOLDEN=1` rewrites
//! the golden files; the difference is then reviewed like code.

#![allow(
    unreachable_pub,
    missing_docs,
    clippy::pedantic,
    clippy::unwrap_used,
    clippy::float_cmp,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "tests say what they expect by unwrapping; clippy.toml reaches only functions marked as tests"
)]

// What the others share.
mod support;
// Queue, sender and box protocol on a manual clock: order, independence, blocks, confirmations.
mod delivery;
// Blocking, complete: smaller packets, poison, signs of life, probing, wished pauses.
mod blocks;
// Queue and blocks against a naive model.
mod model;
// The outbox on a manual clock: order, waits, pace, unknown outcomes, broken lines.
mod outbox;
// The clock set back and forward, while the server runs and while it is off.
mod clocks;
// A portal's half answers, rubbish and confirmations out of place, on the wire.
mod oddities;
// Every statement finds its rows by an index.
mod plans;
// The house rules: imports, lengths, words.
mod tidy;
// The command line: help, exit codes, results of the commands that need no store.
mod cli;
// Promise 5: the program killed at random moments under load.
mod crash;
// Full disks, locks, damage, clocks, panics: survived, or the end with a sentence.
mod faults;
// README and help texts: every command they show can be typed.
mod docs;
// A boxed portal's commands against the running program.
mod commands;
// The fine print of the box protocol: every reply's shape, every version's ways, what is refused.
mod fine_print;
// The front against slow, broken and hostile clients.
mod front;
// What scripts rely on: JSON fields, exit codes, the ready line.
mod shapes;
// The program's ports: routes, statuses, sockets, figures.
mod ports;
// The front on the wire: framing, resets, deadlines, each as bytes.
mod wire;
// What a disk can promise, measured.
mod disk;
// Two servers behind a real nginx.
mod nginx;
// A real PHP as the portal.
mod php;
// A real receiver of signed hooks, in Python.
mod hooks;
// Recorded activities of every channel, down to the portal's array.
mod golden;
// Files that only the bot's token opens, down to the portal's array.
mod files;
// Server and twins joined as in the demo, portals of each version, faults.
mod twins;
// The demo's pages in a real browser.
mod pages;
// The administrator's commands beside a running server.
mod admin;
// Dead letters: what becomes one, the way back, refusals.
mod dead;
// The life of a message.
mod trace;
// What doctor finds, each fault with its words.
mod doctor;
