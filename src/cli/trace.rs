//! `trunkline trace`: the life of one message in the order of time, and what is not known of it any more.

use std::io::Write;

use clap::Args;
use serde_json::{Value, json};

use super::dead::sentence;
use super::open::{Opened, time};
use super::output::{self, many};
use super::{CliError, Context, ExitCode};
use crate::clock::UnixMillis;
use crate::ids::MessageId;
use crate::records::Line;
use crate::store::counters::Direction;
use crate::store::directory;
use crate::trace::{self, Fate, Life, Moment};

/// Tell the life of one message: accepted, attempts, confirmed or given up
///
/// No content. A message that waits or was given up is known exactly. Of a confirmed one it is known for some days when it
/// was accepted (`queue.dedup_keep`) and in which minute it was confirmed (a week); the command says what it can't know.
#[derive(Args, Debug)]
#[command(before_long_help = "\
Example:
  trunkline trace 4711")]
pub struct TraceArgs {
    /// Id as `queue list` shows it, or what the channel or the portal calls the message
    #[arg(value_name = "MSG")]
    pub message: String,
    /// The number is one of the outbox, as `queue list --out` shows it
    #[arg(long)]
    pub out: bool,
    /// The number is the channel's or the portal's own
    #[arg(long, conflicts_with = "out")]
    pub external: bool,
}

pub(crate) fn run(ctx: &Context, args: &TraceArgs, out: &mut dyn Write) -> Result<ExitCode, CliError> {
    let open = Opened::new(ctx)?;
    let (life, others) = find(&open, args)?;
    let line = match life.line {
        Some(line) => directory::line_by_id(&open.db, line)?,
        None => None,
    };
    if ctx.global.json {
        output::json(out, &as_json(&open, &life, line.as_ref())?)?;
    } else {
        told(&open, &life, line.as_ref(), out)?;
        for other in others {
            writeln!(out, "another one of that name: {}", command(&other))?;
        }
    }
    Ok(ExitCode::Done)
}

/// The message, and others that could have been meant.
fn find(open: &Opened, args: &TraceArgs) -> Result<(Life, Vec<Life>), CliError> {
    let mut lives = Vec::new();
    if let Some(id) = args.message.parse().ok().filter(|_| !args.external).map(MessageId) {
        let ways: &[Direction] = if args.out { &[Direction::Out] } else { &[Direction::In, Direction::Out] };
        for way in ways {
            lives.extend(trace::life(&open.db, *way, id)?);
        }
    }
    if lives.is_empty() && !args.out {
        lives = trace::by_external(&open.db, &args.message)?;
    }
    // An edit carries the id of what it edits: the message itself came first.
    let mut lives = lives.into_iter();
    let missing = || CliError::NotFound { what: "message", name: args.message.clone(), near: None };
    Ok((lives.next().ok_or_else(missing)?, lives.collect()))
}

fn command(life: &Life) -> String {
    let out = if life.direction == Direction::Out { " --out" } else { "" };
    format!("trunkline trace {}{out}", life.id)
}

fn bounds(moment: Option<Moment>) -> (Option<UnixMillis>, Option<UnixMillis>) {
    match moment {
        Some(Moment::At(at)) => (Some(at), Some(at)),
        Some(Moment::Between(after, at)) => (Some(after), Some(at)),
        None => (None, None),
    }
}

fn as_json(open: &Opened, life: &Life, line: Option<&Line>) -> Result<Value, CliError> {
    let portal = line.map(|line| directory::portal_by_id(&open.db, line.portal)).transpose()?.flatten();
    let portal = portal.map(|portal| portal.name).or_else(|| life.deaths.last().map(|letter| letter.portal.clone()));
    let (accepted_after, accepted) = bounds(life.accepted);
    let confirmed = if let Fate::Confirmed(moment) = life.fate { Some(moment) } else { None };
    let (confirmed_after, confirmed) = bounds(confirmed);
    let attempts: Vec<Value> = life
        .attempts
        .iter()
        .map(|attempt| json!({"at": attempt.at.rfc3339(), "millis": attempt.millis, "outcome": attempt.outcome}))
        .collect();
    let deaths: Vec<Value> = life
        .deaths
        .iter()
        .map(|letter| {
            json!({
                "dead_letter": letter.id, "message_id": letter.message_id.0, "died_at": letter.died_at.rfc3339(),
                "reason": letter.reason, "sentence": sentence(open, &letter.reason), "error": letter.error,
                "replayed_at": time(letter.replayed.map(|(at, _)| at)),
                "replayed_as": letter.replayed.map(|(_, id)| id.0),
            })
        })
        .collect();
    Ok(json!({
        "id": life.id.0, "direction": life.direction.as_str(), "line": life.line.map(|line| line.0), "portal": portal,
        "connector": life.connector, "kind": life.kind, "chat": life.chat, "message": life.message,
        "state": state(&life.fate), "accepted_at": time(accepted), "accepted_after": time(accepted_after),
        "attempts": attempts, "deaths": deaths, "confirmed_at": time(confirmed),
        "confirmed_after": time(confirmed_after), "next_attempt_at": time(next_attempt(life, line)),
        "unknown": unknown(open, life),
    }))
}

fn state(fate: &Fate) -> &'static str {
    match fate {
        Fate::Waiting { .. } => "waiting",
        Fate::Dead => "dead",
        Fate::Confirmed(_) => "confirmed",
        Fate::Left => "gone",
    }
}

/// `None` when nothing stands in its way.
fn next_attempt(life: &Life, line: Option<&Line>) -> Option<UnixMillis> {
    match &life.fate {
        Fate::Waiting { due: Some(due), attempts, .. } if *attempts > 0 => Some(*due),
        Fate::Waiting { due: None, .. } => line.and_then(|line| line.blocked_until),
        Fate::Waiting { .. } | Fate::Dead | Fate::Confirmed(_) | Fate::Left => None,
    }
}

/// What a reader would miss, and why it is not there.
fn unknown(open: &Opened, life: &Life) -> Vec<String> {
    let mut unknown = Vec::new();
    match life.accepted {
        Some(Moment::At(_)) => (),
        Some(Moment::Between(..)) => {
            unknown.push("when exactly it was accepted: its event has no id of its own".to_owned());
        }
        None => unknown.push(format!(
            "when it was accepted: that is remembered for {} (`queue.dedup_keep`), and for messages with an id only",
            output::span(open.config.queue.dedup_keep)
        )),
    }
    if life.line.is_none() {
        unknown.push("which line it was for: that goes with the memory of its acceptance".to_owned());
    }
    let failed = match &life.fate {
        Fate::Waiting { attempts, .. } => i64::from(*attempts),
        _ => 0,
    } + life.deaths.iter().map(|letter| i64::from(letter.attempts)).sum::<i64>();
    let listed = i64::try_from(life.attempts.len()).unwrap_or(i64::MAX);
    if failed > listed {
        unknown
            .push(format!("{} more: only the newest of each line are kept", many(failed - listed, "failed attempt")));
    }
    match life.fate {
        Fate::Left if life.deaths.is_empty() => unknown.push(
            "whether it was confirmed or was a dead letter that is not kept any more: confirmations are remembered for a \
             week"
                .to_owned(),
        ),
        Fate::Left => unknown.push("what became of it after it came back: that was more than a week ago".to_owned()),
        Fate::Confirmed(Moment::Between(..)) => {
            unknown.push("when exactly it was confirmed: only the minute of a confirmation is kept".to_owned());
        }
        Fate::Waiting { .. } | Fate::Dead | Fate::Confirmed(Moment::At(_)) => (),
    }
    unknown
}

fn told(open: &Opened, life: &Life, line: Option<&Line>, out: &mut dyn Write) -> Result<(), CliError> {
    let way = if life.direction == Direction::In { "to the portal" } else { "to the channel" };
    let of = life.line.map_or_else(|| "of a line that is not known".to_owned(), |line| format!("of line {line}"));
    let kind = life.kind.as_deref().map(|kind| format!(" ({kind})")).unwrap_or_default();
    writeln!(out, "message {}{kind} {way}, {of}", life.id)?;
    let named = [("connector", &life.connector), ("chat", &life.chat), ("external id", &life.message)];
    let named = named.iter().filter_map(|(what, value)| Some(format!("{what} {}", value.as_deref()?)));
    let named: Vec<String> = named.collect();
    if !named.is_empty() {
        writeln!(out, "{}", named.join(", "))?;
    }
    writeln!(out)?;
    for (at, words) in events(open, life) {
        writeln!(out, "{} UTC  {words}", at.stamp())?;
    }
    let now = open.clock.now();
    if let Fate::Waiting { error, .. } = &life.fate {
        let next = match next_attempt(life, line).filter(|at| *at > now) {
            Some(at) => format!("it waits; the next attempt is {}", at.adverb(now)),
            None => "it waits for its turn".to_owned(),
        };
        let error = error.as_deref().map(|error| format!(" (last error: {error})")).unwrap_or_default();
        writeln!(out, "{next}{error}")?;
    }
    if let Some(line) = life.line.filter(|_| matches!(life.fate, Fate::Waiting { .. })) {
        writeln!(out, "the line: trunkline line show {line}")?;
    }
    if let (Fate::Dead, Some(letter)) = (&life.fate, life.deaths.last()) {
        writeln!(out, "the dead letter: trunkline dead show {}", letter.id)?;
    }
    for what in unknown(open, life) {
        writeln!(out, "not known: {what}")?;
    }
    Ok(())
}

/// Everything that has a time, in its order.
fn events(open: &Opened, life: &Life) -> Vec<(UnixMillis, String)> {
    let until = |moment: Moment| match moment {
        Moment::At(at) => (at, String::new()),
        Moment::Between(after, at) => (at, format!(" at the latest, after {} UTC", after.stamp())),
    };
    let mut events = Vec::new();
    if let Some((at, more)) = life.accepted.map(until) {
        events.push((at, format!("accepted{more}")));
    }
    for attempt in &life.attempts {
        events.push((attempt.at, format!("attempt failed after {} ms: {}", attempt.millis, attempt.outcome)));
    }
    for letter in &life.deaths {
        events.push((letter.died_at, format!("given up ({}): {}", letter.reason, sentence(open, &letter.reason))));
        if let Some((at, id)) = letter.replayed {
            events.push((at, format!("came back as message {id}")));
        }
    }
    if let (Some(at), true) = (life.returned_at, life.deaths.is_empty()) {
        events.push((at, "came back from the dead letters".to_owned()));
    }
    if let Fate::Confirmed(moment) = life.fate {
        let (at, more) = until(moment);
        let who = if life.direction == Direction::In { "confirmed by the portal" } else { "taken by the channel" };
        events.push((at, format!("{who}{more}")));
    }
    events.sort_by_key(|(at, _)| *at);
    events
}
