//! `trunkline queue`: messages that wait for a portal.

use std::io::Write;

use clap::{Args, Subcommand};

use super::{CliError, Context, ExitCode, not_yet};

/// Look at messages that wait for a portal
#[derive(Args, Debug)]
#[command(before_long_help = "\
Example:
  trunkline queue list --line 3")]
pub struct QueueArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: QueueCommand,
}

/// What can be done with the queue.
#[derive(Debug, Subcommand)]
pub enum QueueCommand {
    /// List waiting messages, oldest first
    #[command(before_long_help = "Example:\n  trunkline queue list --line 3 --json")]
    List {
        /// Only this line
        #[arg(long, value_name = "ID")]
        line: Option<i64>,
    },
    /// Show one waiting message
    #[command(before_long_help = "Example:\n  trunkline queue show 4711")]
    Show {
        /// Id of the message, as `queue list` shows it
        message: i64,
    },
    /// Take a message out of the queue; it becomes a dead letter
    #[command(before_long_help = "Example:\n  trunkline queue drop 4711 --yes")]
    Drop {
        /// Id of the message
        message: i64,
        /// Do it; without this the command says what would be dropped
        #[arg(long)]
        yes: bool,
    },
}

pub(crate) fn run(_ctx: &Context, _args: &QueueArgs, _out: &mut dyn Write) -> Result<ExitCode, CliError> {
    Err(not_yet("queue"))
}
