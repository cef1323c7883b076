//! `trunkline dead replay`: what comes back, what can't, and what to know about it.

use std::collections::BTreeMap;
use std::io::Write;

use serde_json::{Value, json};

use super::{STEP, WhichArgs};
use crate::cli::open::Opened;
use crate::cli::output::{self, many};
use crate::cli::{CliError, Context};
use crate::ids::{LineId, MessageId};
use crate::queue::blocks::Schedule;
use crate::queue::dead::{self, Chosen, Refusal};
use crate::records::LineState;
use crate::store::counters::Direction;
use crate::store::directory;

/// What became, or would become, of each letter.
#[derive(Debug, Default)]
struct Outcome {
    /// With the new id once there is one.
    back: Vec<(Chosen, Option<MessageId>)>,
    refused: Vec<(i64, Refusal)>,
}

pub(super) fn run(
    ctx: &Context,
    open: &Opened,
    which: &WhichArgs,
    dry_run: bool,
    out: &mut dyn Write,
) -> Result<(), CliError> {
    let mut letters = which.chosen(open)?;
    letters.sort_by_key(|letter| (letter.direction, letter.origin));
    let plan = plan(open, &letters)?;
    // Who names letters wants exactly these; who names a line or a time wants what is possible of it.
    if let (false, Some((id, refusal))) = (which.ids.is_empty(), plan.refused.first()) {
        return Err(CliError::Refused(format!("dead letter {id} can't come back: {refusal}; nothing was changed")));
    }
    if let (true, Some((_, refusal))) = (plan.back.is_empty(), plan.refused.first()) {
        let count = many(i64::try_from(plan.refused.len()).unwrap_or(i64::MAX), "dead letter");
        return Err(CliError::Refused(format!("none of {count} can come back: {refusal}")));
    }
    let done = if dry_run { plan } else { carry_out(open, plan)? };
    if ctx.global.json {
        output::json(out, &as_json(&done, dry_run))?;
    } else {
        told(open, &done, dry_run, out)?;
    }
    Ok(())
}

fn plan(open: &Opened, letters: &[Chosen]) -> Result<Outcome, CliError> {
    let mut plan = Outcome::default();
    for letter in letters {
        match dead::may_return(&open.db, letter.id)? {
            Ok(_) => plan.back.push((*letter, None)),
            Err(refusal) => plan.refused.push((letter.id, refusal)),
        }
    }
    Ok(plan)
}

fn carry_out(open: &Opened, plan: Outcome) -> Result<Outcome, CliError> {
    let mut done = Outcome { back: Vec::new(), refused: plan.refused };
    for step in plan.back.chunks(STEP) {
        let letters: Vec<Chosen> = step.iter().map(|(letter, _)| *letter).collect();
        let results = open.write(move |tx| {
            let mut results = Vec::with_capacity(letters.len());
            let mut back = 0;
            for letter in letters.iter().copied() {
                let result = dead::replay(tx, letter.id)?;
                back += usize::from(result.is_ok());
                results.push((letter, result.map(|(_, id)| id)));
            }
            let line = results.first().map(|(letter, _)| letter.line);
            let line = line.filter(|line| results.iter().all(|(letter, _)| letter.line == *line));
            let ids = results.iter().map(|(letter, _)| letter.id);
            let (first, last) = (ids.clone().min().unwrap_or(0), ids.max().unwrap_or(0));
            let detail = format!("{back} of {first} to {last}");
            directory::journal(tx, "command line", "dead letters replayed", line, &detail)?;
            Ok(results)
        })?;
        for (letter, result) in results {
            match result {
                Ok(id) => done.back.push((letter, Some(id))),
                Err(refusal) => done.refused.push((letter.id, refusal)),
            }
        }
    }
    Ok(done)
}

fn as_json(done: &Outcome, dry_run: bool) -> Value {
    let back = |(letter, id): &(Chosen, Option<MessageId>)| {
        let id = id.map(|id| id.0);
        json!({"id": letter.id, "line": letter.line.0, "direction": letter.direction.as_str(), "message_id": id})
    };
    let refused = |(id, refusal): &(i64, Refusal)| json!({"id": id, "why": refusal.to_string()});
    json!({
        "dry_run": dry_run,
        "count": done.back.len(),
        "replayed": done.back.iter().map(back).collect::<Vec<_>>(),
        "refused": done.refused.iter().map(refused).collect::<Vec<_>>(),
    })
}

fn told(open: &Opened, done: &Outcome, dry_run: bool, out: &mut dyn Write) -> Result<(), CliError> {
    if done.back.is_empty() {
        writeln!(out, "there is nothing to replay")?;
        return Ok(());
    }
    let mut lines: BTreeMap<LineId, (i64, i64)> = BTreeMap::new();
    for (letter, _) in &done.back {
        let (incoming, outgoing) = lines.entry(letter.line).or_default();
        *(if letter.direction == Direction::In { incoming } else { outgoing }) += 1;
    }
    let verb = if dry_run { "would come back" } else { "came back" };
    for (line, (incoming, outgoing)) in lines {
        let incoming = many(incoming, "message");
        writeln!(out, "line {line}: {incoming} to the portal and {outgoing} to the channel {verb}")?;
        warn(open, line, out)?;
    }
    let mut refused: BTreeMap<String, i64> = BTreeMap::new();
    for (_, refusal) in &done.refused {
        *refused.entry(refusal.to_string()).or_default() += 1;
    }
    for (why, count) in refused {
        writeln!(out, "{} can't: {why}", many(count, "dead letter"))?;
    }
    writeln!(out, "{}", if dry_run { "nothing was changed" } else { "they leave within a second if the server runs" })?;
    Ok(())
}

/// A line that is in trouble keeps what comes back waiting, and may give it up again.
fn warn(open: &Opened, line: LineId, out: &mut dyn Write) -> Result<(), CliError> {
    let Some(line) = directory::line_by_id(&open.db, line)? else { return Ok(()) };
    let now = open.clock.now();
    if line.state == LineState::Broken {
        writeln!(out, "  the channel refuses the line's credentials: what goes there waits for new ones")?;
    }
    if let (Some(first), Some(until)) = (line.first_attempt_at, line.blocked_until) {
        let end = first.plus(Schedule::new(open.config.retry.blocks.clone()).total());
        let (until, end) = (until.spoken(now), end.adverb(now));
        writeln!(
            out,
            "  the line waits until {until}; if its portal stays silent they become dead letters again {end}"
        )?;
    }
    Ok(())
}
