//! `trunkline demo`: server, portal twin and Bot Framework twin on loopback, with nothing to set up.

use std::io::Write;

use clap::Args;

use super::{CliError, Context, ExitCode, serve};
use crate::demo::{self, Demo};

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
    /// Port of the operator's desk, the next one is the customer's chat; 0 takes free ones
    #[arg(long, value_name = "P", default_value_t = 0)]
    pub port: u16,
}

/// The version that the demo's portal plays: the last line of modules with a page for the Bot Framework.
const MODULE: &str = "20.0.75";

pub(crate) fn run(ctx: &Context, args: &DemoArgs, out: &mut dyn Write) -> Result<ExitCode, CliError> {
    let failed = |error: demo::Failed| CliError::Failed(format!("the demo failed: {error}"));
    let signals = serve::signals().map_err(CliError::io("signals can't be caught"))?;
    let demo = Demo::start(&ctx.clock, args.port, MODULE).map_err(failed)?;
    let played = if args.once {
        demo.play(out).and_then(|()| Ok(writeln!(out, "every step was seen at its far end")?))
    } else {
        demo::greet(&demo, out)?;
        // Until a signal comes.
        let _ = signals.recv();
        Ok(())
    };
    demo.app.stop();
    played.map(|()| ExitCode::Done).map_err(failed)
}
