//! `trunkline bench`: what this machine can promise, measured in a folder that vanishes.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use signal_hook::consts::TERM_SIGNALS;

use super::output::{self, many};
use super::{CliError, Context, ExitCode};
use crate::bench::promise::Promise;
use crate::bench::{self, BenchError, Figures, Place, Speed, words};

/// Measure what this machine can promise
#[derive(Args, Debug)]
#[command(before_long_help = "\
Example:
  trunkline bench disk")]
pub struct BenchArgs {
    /// What is measured.
    #[command(subcommand)]
    pub command: BenchCommand,
}

/// What can be measured.
#[derive(Debug, Subcommand)]
pub enum BenchCommand {
    /// Measure how many messages a second the disk takes safely
    ///
    /// Writes and syncs 4 KB again and again, and stores messages of 700 bytes as the server does, with 1, 8 and 64
    /// callers at the same time; then says what that promises. Works in a folder of its own inside `data_dir`, or in
    /// the nearest folder above it that is there, and removes it; the database is not touched. Takes 512 MiB for as
    /// long as it runs, about eight seconds, and keeps disk and CPU busy meanwhile.
    #[command(before_long_help = "\
Example:
  trunkline bench disk
  trunkline --data-dir /mnt/other bench disk --seconds 5 --json")]
    Disk(DiskArgs),
}

/// `bench disk`.
#[derive(Args, Debug)]
pub struct DiskArgs {
    /// How long each of the five measurements takes
    #[arg(long, value_name = "N", default_value = "1.5", value_parser = span)]
    pub seconds: Duration,
}

fn span(text: &str) -> Result<Duration, String> {
    let secs: Option<f64> = text.parse().ok().filter(|secs| (0.1..=60.0).contains(secs));
    secs.map(Duration::from_secs_f64).ok_or_else(|| String::from("must be a number from 0.1 to 60"))
}

impl From<BenchError> for CliError {
    fn from(error: BenchError) -> Self {
        Self::Failed(error.to_string())
    }
}

pub(crate) fn run(ctx: &Context, args: &BenchArgs, out: &mut dyn Write) -> Result<ExitCode, CliError> {
    match &args.command {
        BenchCommand::Disk(args) => disk(ctx, args, out),
    }
}

fn disk(ctx: &Context, args: &DiskArgs, out: &mut dyn Write) -> Result<ExitCode, CliError> {
    let config = ctx.load(vec![])?.config;
    let place = Place::of(&config.data_dir)?;
    let stop = interruption().map_err(CliError::io("signals can't be caught"))?;
    let figures = bench::disk(&place, args.seconds, &ctx.clock, &stop)?;
    let promise = Promise::of(&place, &figures);
    let sentences = words::sentences(config.language, &place, &figures, &promise);
    if ctx.global.json {
        output::json(out, &document(&place, &figures, &promise, &sentences))?;
    } else {
        tell(&place, &figures, &sentences, out)?;
    }
    Ok(ExitCode::Done)
}

/// Set by SIGINT or SIGTERM, so that the folder goes also then; the second signal ends the process at once.
fn interruption() -> std::io::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in TERM_SIGNALS {
        signal_hook::flag::register_conditional_shutdown(*signal, 1, Arc::clone(&stop))?;
        signal_hook::flag::register(*signal, Arc::clone(&stop))?;
    }
    Ok(stop)
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// As many digits as say something.
fn rounded(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}

fn document(place: &Place, figures: &Figures, promise: &Promise, sentences: &[String]) -> Value {
    let round = |round: &bench::Round| {
        let speed = round.speed;
        json!({
            "callers": round.callers, "count": speed.count, "per_second": rounded(speed.per_second),
            "median_ms": rounded(millis(speed.median)), "p99_ms": rounded(millis(speed.p99)),
            "per_raw_sync": rounded(round.per_sync),
        })
    };
    let raw = json!({
        "count": figures.raw.count, "per_second": rounded(figures.raw.per_second),
        "median_ms": rounded(millis(figures.raw.median)), "p99_ms": rounded(millis(figures.raw.p99)),
    });
    let promised = promise.disk.is_trusted().then(|| {
        json!({
            "one_connection_per_second": rounded(promise.one), "many_connections_per_second": rounded(promise.many),
            "server_per_second": rounded(promise.server), "server_per_day": promise.day.round(),
        })
    });
    json!({
        "folder": place.folder.display().to_string(), "file_system": place.file_system, "served": place.is_served,
        "raw": raw, "store": figures.rounds.iter().map(round).collect::<Vec<_>>(),
        "unsynced_per_second": rounded(figures.unsynced), "disk": promise.disk.as_str(),
        "limit": promise.limit.as_str(), "promise": promised, "sentences": sentences,
    })
}

fn tell(place: &Place, figures: &Figures, sentences: &[String], out: &mut dyn Write) -> Result<(), CliError> {
    let kind = place.file_system.map(|name| format!(" ({name})")).unwrap_or_default();
    writeln!(out, "Measured in `{}`{kind}\n", place.folder.display())?;
    let row = |what: String, speed: Speed, per_sync: f64| {
        let ms = |duration| format!("{:.2}", millis(duration));
        vec![what, format!("{:.0}", speed.per_second), ms(speed.median), ms(speed.p99), format!("{per_sync:.2}")]
    };
    let mut rows = vec![row("4 KB written and synced".to_owned(), figures.raw, 1.0)];
    for round in &figures.rounds {
        let callers = many(i64::try_from(round.callers).unwrap_or(i64::MAX), "caller");
        rows.push(row(format!("messages of {callers}"), round.speed, round.per_sync));
    }
    rows.push(vec!["the same without syncs".to_owned(), format!("{:.0}", figures.unsynced)]);
    output::table(out, &["what", "a second", "median ms", "99 % ms", "per raw sync"], &rows)?;
    writeln!(out)?;
    for sentence in sentences {
        writeln!(out, "{sentence}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans() {
        assert_eq!(span("0.5"), Ok(Duration::from_millis(500)));
        assert_eq!(span("60"), Ok(Duration::from_mins(1)));
        for wrong in ["0", "61", "-1", "NaN", "inf", "", "2s"] {
            assert!(span(wrong).is_err(), "{wrong}");
        }
    }
}
