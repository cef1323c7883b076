//! The command line: what can be typed, and the step from there to one function a command. Each command has its file
//! with its arguments and its `run`; results go to the `out` that is handed in, talk to standard error.

pub mod bench;
pub mod completions;
pub mod config;
pub mod connector;
pub mod dead;
pub mod demo;
pub mod doctor;
pub mod line;
pub mod man;
mod open;
pub mod portal;
pub mod queue;
pub mod schedule;
pub mod serve;
pub mod sim;
pub mod simulate;
pub mod since;
pub mod tls;
pub mod trace;

mod exit;
mod output;

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use clap::error::ErrorKind;
use clap::{ArgAction, Args, CommandFactory, Parser, Subcommand};

use crate::clock::{Clock, SystemClock};
use crate::config::{Env, Flag, Loaded, Mistakes, find_file, load};
use crate::{fault, logging};

pub use exit::{CliError, ExitCode};
pub use output::read_secret;

/// Carries messages between channels and Bitrix24 Open Lines and loses none.
#[derive(Debug, Parser)]
#[command(name = "trunkline", version, term_width = 79, subcommand_required = true, arg_required_else_help = true)]
#[command(before_long_help = "\
Example:
  trunkline demo
  trunkline --config /etc/trunkline/trunkline.toml serve")]
#[command(after_long_help = "\
Files:
  /etc/trunkline/trunkline.toml       configuration, see `config default`
  /var/lib/trunkline/trunkline.db     queue, portals, lines (under systemd)

Exit codes:
  0 done, 1 failed, 2 wrong usage, 3 not found, 4 refused, 78 bad configuration")]
pub struct Cli {
    /// Options that every command takes.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Options that every command takes.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// Configuration file
    ///
    /// When not given, $TRUNKLINE_CONFIG, else /etc/trunkline/trunkline.toml if it is there, else the defaults.
    #[arg(long, value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,
    /// Folder of the database; overrides `data_dir`
    #[arg(long, value_name = "DIR", global = true)]
    pub data_dir: Option<PathBuf>,
    /// Print results as one JSON document
    #[arg(long, global = true)]
    pub json: bool,
    /// Log errors only
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// Log more; twice for everything
    #[arg(short, long, action = ArgAction::Count, global = true, conflicts_with = "quiet")]
    pub verbose: u8,
    /// No colours in the log
    #[arg(long, global = true)]
    pub no_color: bool,
}

/// What can be done; each command is described at its arguments, which clap shows only if nothing stands here.
#[derive(Debug, Subcommand)]
#[expect(missing_docs, reason = "a sentence here would replace the longer text of the arguments")]
pub enum Command {
    Serve(serve::ServeArgs),
    Demo(demo::DemoArgs),
    Portal(portal::PortalArgs),
    Line(line::LineArgs),
    Connector(connector::ConnectorArgs),
    Queue(queue::QueueArgs),
    Dead(dead::DeadArgs),
    Trace(trace::TraceArgs),
    Doctor(doctor::DoctorArgs),
    Config(config::ConfigArgs),
    Schedule(schedule::ScheduleArgs),
    Simulate(simulate::SimulateArgs),
    Sim(sim::SimArgs),
    Bench(bench::BenchArgs),
    Tls(tls::TlsArgs),
    Completions(completions::CompletionsArgs),
    Man(man::ManArgs),
}

/// What a command gets besides its own arguments.
#[derive(Debug)]
pub struct Context {
    /// The environment as it was at the start.
    pub env: Env,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// The options that every command takes.
    pub global: Global,
}

impl Context {
    /// Reads the configuration; `flags` are the command's own, `--data-dir` is added here.
    pub(crate) fn load(&self, mut flags: Vec<Flag>) -> Result<Loaded, Mistakes> {
        if let Some(dir) = &self.global.data_dir {
            flags.push(Flag { name: "--data-dir", path: "data_dir", value: dir.display().to_string() });
        }
        load(find_file(self.global.config.as_deref(), &self.env).as_deref(), &self.env, &flags)
    }
}

/// Runs the program: parses `args` (the program's name first), does what they say, writes results to `out` and talk
/// to `err`.
pub fn run(args: impl IntoIterator<Item = OsString>, env: Env, out: &mut dyn Write, err: &mut dyn Write) -> ExitCode {
    let args: Vec<OsString> = args.into_iter().collect();
    let cli = match Cli::try_parse_from(&args) {
        Ok(cli) => cli,
        Err(error) => return explain(&error, &args, out, err),
    };
    logging::init(logging::Style {
        quiet: cli.global.quiet,
        verbose: cli.global.verbose,
        color: !cli.global.no_color && env.get("NO_COLOR").is_none(),
        timestamps: env.get("JOURNAL_STREAM").is_none(),
    });
    fault::arm(|name| env.get(name));
    let ctx = Context { env, clock: Arc::new(SystemClock::new()), global: cli.global };
    match dispatch(&ctx, cli.command, out).and_then(|code| Ok(out.flush().map(|()| code)?)) {
        Ok(code) => code,
        Err(error) => {
            if error.code() != ExitCode::Done {
                // Nobody is left to tell when standard error is closed.
                let _ = writeln!(err, "trunkline: {error}");
            }
            error.code()
        }
    }
}

fn dispatch(ctx: &Context, command: Command, out: &mut dyn Write) -> Result<ExitCode, CliError> {
    match command {
        Command::Serve(args) => serve::run(ctx, &args, out),
        Command::Demo(args) => demo::run(ctx, &args, out),
        Command::Portal(args) => portal::run(ctx, &args, out),
        Command::Line(args) => line::run(ctx, &args, out),
        Command::Connector(args) => connector::run(ctx, &args, out),
        Command::Queue(args) => queue::run(ctx, &args, out),
        Command::Dead(args) => dead::run(ctx, &args, out),
        Command::Trace(args) => trace::run(ctx, &args, out),
        Command::Doctor(args) => doctor::run(ctx, &args, out),
        Command::Config(args) => config::run(ctx, &args, out),
        Command::Schedule(args) => schedule::run(ctx, &args, out),
        Command::Simulate(args) => simulate::run(ctx, &args, out),
        Command::Sim(args) => sim::run(ctx, &args, out),
        Command::Bench(args) => bench::run(ctx, &args, out),
        Command::Tls(args) => tls::run(ctx, &args, out),
        Command::Completions(args) => completions::run(&args, out),
        Command::Man(args) => man::run(&args, out),
    }
}

/// Help and version are results; everything else is wrong usage, told with the command that explains it.
fn explain(error: &clap::Error, args: &[OsString], out: &mut dyn Write, err: &mut dyn Write) -> ExitCode {
    let text = error.render().to_string();
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        return match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            Ok(()) => ExitCode::Done,
            Err(error) => CliError::from(error).code(),
        };
    }
    let text = text.replace("\nFor more information, try '--help'.\n", "");
    let mut command = Cli::command();
    let mut path = String::from("trunkline help");
    for word in args.iter().skip(1).filter_map(|word| word.to_str()) {
        if let Some(inner) = command.find_subcommand(word).cloned() {
            path.push(' ');
            path.push_str(word);
            command = inner;
        }
    }
    let _ = writeln!(err, "{}\n\ntry: {path}", text.trim_end());
    ExitCode::Usage
}

/// Reads `KEY=VALUE` of `--set` and `KEY=FILE` of `--set-file`.
fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(String::from("must be KEY=VALUE")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_has_an_example() {
        fn check(command: &clap::Command) {
            let example = command.get_before_long_help().map(ToString::to_string).unwrap_or_default();
            assert!(example.starts_with("Example:\n  trunkline "), "{}: {example}", command.get_name());
            command.get_subcommands().filter(|inner| inner.get_name() != "help").for_each(check);
        }
        check(&Cli::command());
    }

    #[test]
    fn pairs() {
        assert_eq!(pair("a=b=c"), Ok(("a".into(), "b=c".into())));
        assert_eq!(pair("a="), Ok(("a".into(), String::new())));
        assert!(pair("a").is_err() && pair("=b").is_err());
    }
}
