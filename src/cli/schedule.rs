//! `trunkline schedule`: when a packet that fails is tried again, on the clock on the wall.

use std::io::Write;
use std::time::Duration;

use clap::Args;
use serde_json::json;

use super::output::{self, seconds, span};
use super::since::moment;
use super::{CliError, Context, ExitCode};
use crate::clock::UnixMillis;

/// Print when a failing packet is tried again
///
/// The table follows `retry.blocks`. The end of the last block is when everything that still waits for the line
/// becomes dead letters.
#[derive(Args, Debug)]
#[command(before_long_help = "\
Example:
  trunkline schedule --first 2026-11-24T10:00:00Z")]
pub struct ScheduleArgs {
    /// Moment of the first attempt, RFC 3339; now when not given
    #[arg(long, value_name = "T", value_parser = moment)]
    pub first: Option<UnixMillis>,
}

/// One attempt: its number, when it is made, how long the line is blocked if it fails.
struct Attempt {
    number: usize,
    after: Duration,
    block: Duration,
}

fn attempts(blocks: &[Duration]) -> Vec<Attempt> {
    let mut after = Duration::ZERO;
    let step = |(block, number): (&Duration, usize)| {
        let attempt = Attempt { number, after, block: *block };
        after = after.saturating_add(*block);
        attempt
    };
    blocks.iter().zip(1..).map(step).collect()
}

pub(crate) fn run(ctx: &Context, args: &ScheduleArgs, out: &mut dyn Write) -> Result<ExitCode, CliError> {
    let config = ctx.load(vec![])?.config;
    let first = args.first.unwrap_or_else(|| ctx.clock.now());
    let attempts = attempts(&config.retry.blocks);
    if ctx.global.json {
        let entry = |attempt: &Attempt| {
            let at = first.plus(attempt.after);
            json!({
                "attempt": attempt.number,
                "after_seconds": seconds(attempt.after),
                "block_seconds": seconds(attempt.block),
                "at": at.rfc3339(),
                "end": first.plus(attempt.after.saturating_add(attempt.block)).rfc3339(),
            })
        };
        output::json(out, &attempts.iter().map(entry).collect())?;
        return Ok(ExitCode::Done);
    }
    let row = |attempt: &Attempt| {
        let at = first.plus(attempt.after).stamp();
        vec![attempt.number.to_string(), span(attempt.after), at, span(attempt.block)]
    };
    let rows: Vec<_> = attempts.iter().map(row).collect();
    output::table(out, &["attempt", "after", "at (UTC)", "then blocked"], &rows)?;
    let total: Duration = config.retry.blocks.iter().sum();
    writeln!(out, "\n{} after the first attempt, at {} UTC,", span(total), first.plus(total).stamp())?;
    writeln!(out, "what still waits for the line becomes dead letters")?;
    Ok(ExitCode::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_follow_one_another_without_gaps() {
        let blocks = [Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(4)];
        let afters: Vec<_> =
            attempts(&blocks).iter().map(|attempt| (attempt.number, attempt.after.as_secs())).collect();
        assert_eq!(afters, [(1, 0), (2, 1), (3, 3)]);
    }
}
