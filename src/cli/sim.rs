//! `trunkline sim`: the twins alone, for other people's integration tests.

use std::io::Write;
use std::sync::Arc;

use clap::{Args, Subcommand};

use super::{CliError, Context, ExitCode, read_secret, serve};
use crate::net::{Net, Out};
use crate::sim::args::{BotFrameworkArgs, PortalArgs};

/// Run a stand-in for a portal or for the Bot Framework
///
/// The twins speak the real wire protocols and make faults on demand. They run until a signal ends them.
#[derive(Args, Debug)]
#[command(before_long_help = "\
Example:
  trunkline sim portal --server http://127.0.0.1:8080 --license-key-file licence.txt")]
pub struct SimArgs {
    /// Which one.
    #[command(subcommand)]
    pub command: SimCommand,
}

/// Which twin.
#[derive(Debug, Subcommand)]
pub enum SimCommand {
    #[expect(missing_docs, reason = "the arguments' own words are the help")]
    Portal(PortalArgs),
    #[expect(missing_docs, reason = "the arguments' own words are the help")]
    BotFramework(BotFrameworkArgs),
}

pub(crate) fn run(ctx: &Context, args: &SimArgs, out: &mut dyn Write) -> Result<ExitCode, CliError> {
    let clock = Arc::clone(&ctx.clock);
    // A twin is tried on one machine, where the other end's files are too.
    let loopback = ["127.0.0.0/8".parse(), "::1/128".parse()].into_iter().flatten().collect();
    let net = Out::new(&clock, loopback, &[]).map_err(|error| CliError::Failed(error.to_string()))?;
    let net: Arc<dyn Net> = Arc::new(net);
    let signals = serve::signals().map_err(CliError::io("signals can't be caught"))?;
    match &args.command {
        SimCommand::Portal(args) => {
            let hook_secret = args.hook_secret_file.as_deref().map(read_secret).transpose()?;
            args.run(&read_secret(&args.license_key_file)?, hook_secret, clock, net, out).map(drop)
        }
        SimCommand::BotFramework(args) => args.run(&read_secret(&args.app_secret_file)?, clock, net, out).map(drop),
    }
    .map_err(|error| CliError::Failed(format!("the twin can't be started: {error}")))?;
    // Until a signal comes; a closed channel is one that will never come.
    let _ = signals.recv();
    Ok(ExitCode::Done)
}
