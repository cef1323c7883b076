//! `trunkline serve`: runs the server until a signal ends it.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use clap::Args;
use crossbeam_channel::{Receiver, bounded, select};
use signal_hook::consts::TERM_SIGNALS;
use signal_hook::iterator::Signals;

use super::{CliError, Context, ExitCode};
use crate::app::App;
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

pub(crate) fn run(ctx: &Context, args: &ServeArgs, out: &mut dyn Write) -> Result<ExitCode, CliError> {
    let config = ctx.load(args.flags())?.config;
    let signals = signals().map_err(CliError::io("signals can't be caught"))?;
    let app = App::start(&config, Arc::clone(&ctx.clock)).map_err(|error| CliError::Failed(error.to_string()))?;
    writeln!(out, "ready public={} admin={}", app.public_addr(), app.admin_addr())?;
    out.flush()?;
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
    let code = select! {
        recv(signals) -> _ => ExitCode::Done,
        recv(app.ended()) -> name => {
            log::error!("the {} has ended; so must the server", name.unwrap_or("?"));
            ExitCode::Failed
        }
    };
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
    log::info!("stopping");
    app.stop();
    Ok(code)
}

/// One message at the first SIGTERM or SIGINT; the second one ends the process at once.
pub(crate) fn signals() -> std::io::Result<Receiver<()>> {
    let (tell, told) = bounded(1);
    let again = Arc::new(AtomicBool::new(false));
    for signal in TERM_SIGNALS {
        signal_hook::flag::register_conditional_shutdown(*signal, 1, Arc::clone(&again))?;
        signal_hook::flag::register(*signal, Arc::clone(&again))?;
    }
    let mut signals = Signals::new(TERM_SIGNALS)?;
    std::thread::Builder::new().name("signals".into()).spawn(move || {
        for _ in signals.forever() {
            if tell.try_send(()).is_err() {
                return;
            }
        }
    })?;
    Ok(told)
}
