//! Tests from outside, one binary: every module starts the built program or a whole server. `UPDATE_GOLDEN=1` rewrites
//! the golden files; the difference is then reviewed like code.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests say what they expect by unwrapping; clippy.toml reaches only functions marked as tests"
)]

// The command line: help, exit codes, results of the commands that need no store.
mod cli;
// README and help texts: every command they show can be typed.
mod docs;
