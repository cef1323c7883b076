//! `trunkline completions`: scripts for shells.

use std::io::Write;

use clap::{Args, CommandFactory};

use super::{Cli, CliError, ExitCode};

/// Print a completion script for a shell
#[derive(Args, Debug)]
#[command(before_long_help = "\
Example:
  trunkline completions bash > /etc/bash_completion.d/trunkline")]
pub struct CompletionsArgs {
    /// Shell
    pub shell: clap_complete::Shell,
}

pub(crate) fn run(args: &CompletionsArgs, out: &mut dyn Write) -> Result<ExitCode, CliError> {
    // The generator panics when it can't write, so it writes to memory.
    let mut script = vec![];
    clap_complete::generate(args.shell, &mut Cli::command(), "trunkline", &mut script);
    out.write_all(&script)?;
    Ok(ExitCode::Done)
}
