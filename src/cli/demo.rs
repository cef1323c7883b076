//! `trunkline demo`: server, portal twin and Bot Framework twin on loopback, with nothing to set up.

use std::io::Write;

use clap::Args;

use super::{CliError, Context, ExitCode, not_yet};

/// Try the whole system on this machine, no set-up needed
///
/// Starts the server, a stand-in for a portal with an operator desk in the browser, a stand-in for the Bot Framework
/// and a customer's chat page, all on loopback and in a folder that vanishes, and prints the addresses.
#[derive(Args, Debug)]
#[command(before_long_help = "\
Example:
  trunkline demo
  trunkline demo --once")]
pub struct DemoArgs {
    /// Play one conversation both ways, print each step and end
    ///
    /// The exit code is 0 only if every step was seen at its far end.
    #[arg(long)]
    pub once: bool,
    /// Port of the start page, 0 for any free one
    #[arg(long, value_name = "P", default_value_t = 0)]
    pub port: u16,
}

pub(crate) fn run(_ctx: &Context, _args: &DemoArgs, _out: &mut dyn Write) -> Result<ExitCode, CliError> {
    Err(not_yet("demo"))
}
