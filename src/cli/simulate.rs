//! `trunkline simulate`: what would happen when, played with the real queue on a clock of its own.

use std::io::Write;
use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::output::{self, seconds, span};
use super::{CliError, Context, ExitCode};
use crate::clock::UnixMillis;
use crate::queue::blocks::Schedule;
use crate::sender::{self, packet};
use crate::simulate::outage::{Entry, Happened, Outage, Played, play};

/// Most messages of one simulation.
const MESSAGES_MAX: u64 = 1_000_000;

/// Play what would happen, on a clock of its own
#[derive(Args, Debug)]
#[command(before_long_help = "\
Example:
  trunkline simulate outage --hours 30")]
pub struct SimulateArgs {
    /// What to play.
    #[command(subcommand)]
    pub command: SimulateCommand,
}

/// What can be played.
#[derive(Debug, Subcommand)]
pub enum SimulateCommand {
    /// Play a portal's outage and print what happens when
    ///
    /// Runs the real queue and sender with the configured `[retry]` and `[queue]` against a portal that is away for so
    /// long; nothing is sent, and the server's own data is not touched. The portal gives no sign of life when it is
    /// back: in reality a request of its own, or a message on another of its lines, ends the wait at once.
    #[command(before_long_help = "\
Example:
  trunkline simulate outage --hours 30 --messages-per-hour 60")]
    Outage(OutageArgs),
}

/// `simulate outage`.
#[derive(Args, Debug)]
pub struct OutageArgs {
    /// How long the portal is away
    #[arg(long, value_name = "H", value_parser = clap::value_parser!(u32).range(1..=8_760))]
    pub hours: u32,
    /// Messages that come in meanwhile, evenly spread
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=MESSAGES_MAX))]
    pub messages_per_hour: u64,
    /// Moment at which the outage begins, RFC 3339; now when not given
    #[arg(long, value_name = "T", value_parser = super::since::moment)]
    pub first: Option<UnixMillis>,
}

pub(crate) fn run(ctx: &Context, args: &SimulateArgs, out: &mut dyn Write) -> Result<ExitCode, CliError> {
    match &args.command {
        SimulateCommand::Outage(args) => outage(ctx, args, out),
    }
}

fn outage(ctx: &Context, args: &OutageArgs, out: &mut dyn Write) -> Result<ExitCode, CliError> {
    if u64::from(args.hours).saturating_mul(args.messages_per_hour) > MESSAGES_MAX {
        return Err(CliError::Usage(format!("that would be more than {MESSAGES_MAX} messages; ask for fewer an hour")));
    }
    let config = ctx.load(vec![])?.config;
    let schedule = Schedule::new(config.retry.blocks.clone());
    let total = schedule.total();
    let options = sender::Options {
        limits: packet::Limits {
            messages: config.queue.packet_max_messages,
            files: config.queue.packet_max_files,
            bytes: config.queue.packet_max_bytes,
        },
        by_status: false,
        confirm_timeout: config.queue.confirm_timeout,
        // One line, so one packet at a time.
        workers: 1,
        schedule,
        poison_attempts: config.retry.poison_attempts,
        // The news of a loss would be one more message in every sum.
        tell: None,
    };
    let lasts = Duration::from_hours(u64::from(args.hours));
    let wish = Outage { lasts, messages_per_hour: args.messages_per_hour };
    let start = args.first.unwrap_or_else(|| ctx.clock.now());
    // What the sender reports of its troubles is what this command prints, in better words.
    let was = log::max_level();
    log::set_max_level(log::LevelFilter::Off);
    let played = play(start, wish, options);
    log::set_max_level(was);
    let played = played.map_err(|error| CliError::Failed(error.to_string()))?;
    if ctx.global.json {
        output::json(out, &as_json(start, &played))?;
    } else {
        tell(start, total, args, &played, out)?;
    }
    Ok(ExitCode::Done)
}

fn as_json(start: UnixMillis, played: &Played) -> Value {
    let entry = |entry: &Entry| {
        let mut document = json!({
            "at": entry.at.rfc3339(), "after_seconds": seconds(entry.at.since(start)), "queued": entry.queued,
        });
        let facts = match entry.what {
            Happened::Blocked { number, until } => {
                json!({"event": "blocked", "attempt": number, "blocked_until": until.rfc3339()})
            }
            Happened::Expired { messages } => json!({"event": "expired", "messages": messages}),
            Happened::Back => json!({"event": "back"}),
            Happened::Recovered => json!({"event": "recovered"}),
            Happened::Empty { confirmed } => json!({"event": "empty", "confirmed": confirmed}),
        };
        if let (Some(document), Value::Object(facts)) = (document.as_object_mut(), facts) {
            document.extend(facts);
        }
        document
    };
    let sums = played.sums;
    json!({
        "events": played.entries.iter().map(entry).collect::<Vec<_>>(),
        "accepted": sums.accepted, "confirmed": sums.confirmed, "dead": sums.dead, "queued": sums.queued,
        "difference": sums.difference(),
    })
}

fn tell(
    start: UnixMillis,
    total: Duration,
    args: &OutageArgs,
    played: &Played,
    out: &mut dyn Write,
) -> std::io::Result<()> {
    let lasts = Duration::from_hours(u64::from(args.hours));
    writeln!(
        out,
        "A portal is away for {} from {} on; {} messages an hour come in.\nMessages wait for at most {}.\n",
        span(lasts),
        start.rfc3339(),
        args.messages_per_hour,
        span(total),
    )?;
    let words = |entry: &Entry| match entry.what {
        Happened::Blocked { number, until } => {
            let pause = span(rounded(until.since(entry.at)));
            match number {
                0 => format!("the portal asks for a pause of {pause}"),
                _ => format!("attempt {number} fails, the line pauses for {pause}"),
            }
        }
        Happened::Expired { messages } => format!("the time is over: {messages} messages become dead letters"),
        Happened::Back => "the portal is back".to_owned(),
        Happened::Recovered => "the next attempt is confirmed, the line is free".to_owned(),
        Happened::Empty { confirmed } => format!("all that waited has left: {confirmed} messages"),
    };
    let row = |entry: &Entry| {
        let after = span(rounded(entry.at.since(start)));
        vec![after, entry.at.rfc3339(), entry.queued.to_string(), words(entry)]
    };
    output::table(
        out,
        &["after", "at", "waiting", "what happens"],
        &played.entries.iter().map(row).collect::<Vec<_>>(),
    )?;
    let sums = played.sums;
    writeln!(
        out,
        "\n{} accepted = {} confirmed + {} dead letters + {} waiting",
        sums.accepted, sums.confirmed, sums.dead, sums.queued
    )?;
    if sums.dead > 0 {
        writeln!(out, "Dead letters are kept and can be replayed: trunkline dead --help")?;
    }
    Ok(())
}

/// Whole seconds from a minute on: fractions of the block table are noise to a reader.
fn rounded(duration: Duration) -> Duration {
    let half = Duration::from_millis(500);
    if duration < Duration::from_mins(1) { duration } else { Duration::from_secs((duration + half).as_secs()) }
}
