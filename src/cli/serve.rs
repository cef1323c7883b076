//! `trunkline serve`: runs the server until a signal ends it.

use std::io::Write;

use clap::Args;

use super::{CliError, Context, ExitCode, not_yet};
use crate::config::Flag;

/// Run the server
///
/// When it takes requests it prints one line, `ready public=http://A:P admin=http://A:P`, with the real ports, and
/// tells systemd. SIGTERM and SIGINT end it after the requests in flight; a second one does not wait.
#[derive(Args, Debug)]
#[command(before_long_help = "\
Example:
  trunkline serve --listen 127.0.0.1:8080 --admin-listen 127.0.0.1:8081")]
pub struct ServeArgs {
    /// Public side, ADDRESS:PORT or unix:/PATH; port 0 takes any free one
    #[arg(long, value_name = "A:P")]
    pub listen: Option<String>,
    /// Admin side, never to be public
    #[arg(long, value_name = "A:P")]
    pub admin_listen: Option<String>,
}

impl ServeArgs {
    /// The keys that these arguments set.
    pub fn flags(&self) -> Vec<Flag> {
        let listen = self.listen.iter().map(|value| Flag { name: "--listen", path: "listen", value: value.clone() });
        let admin = self.admin_listen.iter();
        let admin = admin.map(|value| Flag { name: "--admin-listen", path: "admin_listen", value: value.clone() });
        listen.chain(admin).collect()
    }
}

pub(crate) fn run(ctx: &Context, args: &ServeArgs, _out: &mut dyn Write) -> Result<ExitCode, CliError> {
    ctx.load(args.flags())?;
    Err(not_yet("serve"))
}
