//! The program: hands the arguments to the library and ends with its code.

use std::io::{stderr, stdout};

use trunkline::config::Env;

fn main() -> std::process::ExitCode {
    // Neither stream is locked for long: other threads log to standard error.
    trunkline::run(std::env::args_os(), Env::of_process(), &mut stdout(), &mut stderr()).into()
}
