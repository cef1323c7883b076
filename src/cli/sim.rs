//! `trunkline sim`: the twins alone, for other people's integration tests.

use std::io::Write;

use clap::{Args, Subcommand};

use super::{CliError, Context, ExitCode, not_yet};

/// Run a stand-in for a portal or for the Bot Framework
///
/// The twins speak the real wire protocols and make faults on demand.
#[derive(Args, Debug)]
#[command(before_long_help = "\
Example:
  trunkline sim portal")]
pub struct SimArgs {
    /// Which one.
    #[command(subcommand)]
    pub command: SimCommand,
}

/// Which twin.
#[derive(Debug, Subcommand)]
pub enum SimCommand {
    /// A boxed portal with an operator desk in the browser
    #[command(before_long_help = "Example:\n  trunkline sim portal")]
    Portal,
    /// The Bot Framework: tokens, keys and the connector API
    #[command(before_long_help = "Example:\n  trunkline sim bot-framework")]
    BotFramework,
}

pub(crate) fn run(_ctx: &Context, _args: &SimArgs, _out: &mut dyn Write) -> Result<ExitCode, CliError> {
    Err(not_yet("sim"))
}
