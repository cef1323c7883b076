//! `trunkline line list` and `show`: the state of lines as documents and in words.

use std::io::Write;
use std::time::Duration;

use serde_json::{Value, json};

use crate::cli::open::{Opened, time};
use crate::cli::output::{self, span};
use crate::cli::{CliError, Context};
use crate::clock::UnixMillis;
use crate::doctor::facts::LineFacts;
use crate::doctor::{look, words};
use crate::queue::blocks::Schedule;
use crate::records::{Line, LineState};
use crate::registry;
use crate::store::attempts::Attempted;
use crate::store::counters::Direction;
use crate::store::directory;

pub(super) fn address(open: &Opened, line: &Line) -> Option<String> {
    line.hash.as_deref().map(|hash| registry::webhook_url(&open.public_url(), hash))
}

/// `active`, `blocked`, `broken`, `taken_over`.
fn state(open: &Opened, line: &Line) -> &'static str {
    match line.state {
        LineState::Active if line.blocked_until.is_some_and(|until| until > open.clock.now()) => "blocked",
        other => directory::state_name(other),
    }
}

pub(super) fn as_json(open: &Opened, line: &Line) -> Result<Value, CliError> {
    let portal = directory::portal_by_id(&open.db, line.portal)?.map(|portal| portal.name);
    Ok(json!({
        "id": line.id.0, "portal": portal, "connector": line.connector, "line": line.line, "hash": line.hash,
        "webhook_url": address(open, line), "state": state(open, line), "attempts": line.attempts,
        "blocked_until": time(line.blocked_until), "last_error": line.last_error,
        "queued": crate::queue::count(&open.db, line.id)?, "outbox": crate::outbox::count(&open.db, line.id)?,
    }))
}

pub(super) fn list(ctx: &Context, open: &Opened, out: &mut dyn Write) -> Result<(), CliError> {
    let lines = directory::lines(&open.db)?;
    if ctx.global.json {
        return output::array(out, lines.iter().map(|line| as_json(open, line)));
    }
    let cell = |document: &Value, key: &str| match document.get(key) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Null) | None => "-".to_owned(),
        Some(other) => other.to_string(),
    };
    let columns = ["id", "portal", "connector", "line", "state", "queued", "outbox"];
    let row = |line: &Line| -> Result<Vec<String>, CliError> {
        let document = as_json(open, line)?;
        Ok(columns.iter().map(|key| cell(&document, key)).collect())
    };
    let rows = lines.iter().map(row).collect::<Result<Vec<_>, _>>()?;
    output::table(out, &columns, &rows)?;
    Ok(())
}

pub(super) fn show(ctx: &Context, open: &Opened, line: Line, out: &mut dyn Write) -> Result<(), CliError> {
    let mut document = as_json(open, &line)?;
    let facts = look::line(&open.db, line)?;
    let schedule = Schedule::new(open.config.retry.blocks.clone());
    if ctx.global.json {
        if let (Value::Object(fields), Value::Object(more)) = (&mut document, more(&facts, &schedule)) {
            fields.extend(more);
        }
        output::json(out, &document)?;
        return Ok(());
    }
    let LineFacts { line, portal, .. } = &facts;
    writeln!(out, "line {}: {} on line {} of portal `{portal}`", line.id, line.connector, line.line)?;
    if let Some(address) = address(open, line) {
        writeln!(out, "webhook address: {address}")?;
    }
    let now = open.clock.now();
    let (sentence, remedy) = in_words(&facts, &schedule, now);
    writeln!(out, "\n{sentence}.")?;
    if let Some(remedy) = remedy {
        writeln!(out, "  try: {remedy}")?;
    }
    writeln!(out)?;
    writeln!(out, "{}", words::waiting(&facts.queue, "portal", now))?;
    writeln!(out, "{}", words::waiting(&facts.outbox, "channel", now))?;
    for (at, what) in [
        (facts.confirmed_at, "the portal last confirmed something"),
        (facts.sent_at, "the channel last took something"),
        (facts.proved_at, "the channel last called"),
    ] {
        if let Some(at) = at {
            writeln!(out, "{what} {}", at.adverb(now))?;
        }
    }
    if !facts.attempts.is_empty() {
        writeln!(out, "\nThe last attempts that failed or ended a block, newest first:")?;
        output::table(
            out,
            &["at (UTC)", "to", "messages", "took", "outcome"],
            &facts.attempts.iter().map(row).collect::<Vec<_>>(),
        )?;
    }
    Ok(())
}

/// What `show` knows beyond the list's fields.
fn more(facts: &LineFacts, schedule: &Schedule) -> Value {
    let attempt = |attempt: &Attempted| {
        json!({
            "at": attempt.at.rfc3339(), "direction": attempt.direction.as_str(), "messages": attempt.messages,
            "millis": attempt.millis, "outcome": attempt.outcome,
        })
    };
    json!({
        "blocked_since": time(facts.line.first_attempt_at), "lost_at": time(words::end(facts, schedule)),
        "oldest_queued_at": time(facts.queue.oldest), "oldest_outbox_at": time(facts.outbox.oldest),
        "last_confirmed_at": time(facts.confirmed_at), "last_sent_at": time(facts.sent_at),
        "last_webhook_at": time(facts.proved_at),
        "recent_attempts": facts.attempts.iter().map(attempt).collect::<Vec<_>>(),
    })
}

/// The state as a person would say it, and the command that helps.
fn in_words(facts: &LineFacts, schedule: &Schedule, now: UnixMillis) -> (String, Option<String>) {
    let id = facts.line.id;
    let name = words::name(facts);
    match facts.line.state {
        LineState::TakenOver => {
            let how = facts.taken_over.as_deref().map(|how| format!(" ({how})")).unwrap_or_default();
            let fate = "what waited became dead letters; save its settings again to take the channel back";
            (format!("{name} has lost its bot, group or page to another line{how}; {fate}"), None)
        }
        LineState::Broken => {
            let error = facts.line.last_error.as_deref().unwrap_or("no reason was noted");
            let sentence = format!("{name} waits for new credentials: the channel refused these ({error})");
            (sentence, Some(format!("trunkline line test {id}")))
        }
        LineState::Active => match words::blocked(facts, schedule, now) {
            Some(sentence) => (sentence, Some(format!("trunkline portal test {}", facts.portal))),
            None if !facts.connected => (format!("{name} has an address but no channel yet"), None),
            None => (format!("{name} has nothing in its way"), None),
        },
    }
}

fn row(attempt: &Attempted) -> Vec<String> {
    let whom = if attempt.direction == Direction::In { "portal" } else { "channel" };
    let took = Duration::from_millis(u64::try_from(attempt.millis).unwrap_or(0));
    vec![attempt.at.stamp(), whom.to_owned(), attempt.messages.to_string(), span(took), attempt.outcome.clone()]
}
