//! `trunkline dead`: messages that were given up, and the way back for them.

mod export;
mod replay;

use std::io::Write;
use std::path::PathBuf;

use clap::{ArgGroup, Args, Subcommand};
use serde_json::{Value, json};

use super::open::{Opened, time};
use super::output::{self, many};
use super::since::{Since, since};
use super::{CliError, Context, ExitCode};
use crate::ids::LineId;
use crate::queue::dead::{self, Chosen, DeadLetter, Reason};
use crate::store::counters::Direction;
use crate::store::directory;

/// Look at messages that were given up, and bring them back
#[derive(Args, Debug)]
#[command(before_long_help = "\
Example:
  trunkline dead list --since 2h
  trunkline dead replay --line 3 --dry-run")]
pub struct DeadArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: DeadCommand,
}

/// What can be done with dead letters.
#[derive(Debug, Subcommand)]
pub enum DeadCommand {
    /// List dead letters, oldest first
    #[command(before_long_help = "Example:\n  trunkline dead list --line 3 --json")]
    List {
        /// Which.
        #[command(flatten)]
        of: OfArgs,
    },
    /// Show one: why it was given up, when, whether it can come back; no content
    #[command(before_long_help = "Example:\n  trunkline dead show 12")]
    Show {
        /// Id of the dead letter, as `dead list` shows it
        id: i64,
    },
    /// Put dead letters back into the queue or the outbox
    ///
    /// They come back in the order in which they were accepted, behind what waits already, and keep the time at which
    /// they were accepted. A replay is never taken for a repeat. Letters whose line was removed or taken over stay.
    #[command(before_long_help = "\
Example:
  trunkline dead replay --line 3 --dry-run
  trunkline dead replay 12 13")]
    #[command(group = ArgGroup::new("which").args(["ids", "line", "since"]).required(true).multiple(true))]
    Replay {
        /// Which.
        #[command(flatten)]
        which: WhichArgs,
        /// Say what would come back, change nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Write dead letters with what was said in them into a file
    ///
    /// One JSON document a line. The file holds customers' and operators' words and names: it is made readable for its
    /// owner only, and a file that is there already is never written over.
    #[command(before_long_help = "Example:\n  trunkline dead export letters.jsonl --line 3")]
    Export {
        /// File to make
        file: PathBuf,
        /// Which; all when nothing is said.
        #[command(flatten)]
        of: OfArgs,
    },
    /// Delete dead letters for good
    #[command(before_long_help = "\
Example:
  trunkline dead purge --line 3 --yes")]
    Purge {
        /// Which; all when nothing is said.
        #[command(flatten)]
        which: WhichArgs,
        /// Do it; without this the command says what would be deleted
        #[arg(long)]
        yes: bool,
    },
}

/// A line, a time.
#[derive(Args, Debug)]
pub struct OfArgs {
    /// Only those of this line
    #[arg(long, value_name = "ID")]
    pub line: Option<i64>,
    /// Only those given up since then: RFC 3339, or a span such as 2h
    #[arg(long, value_name = "T", value_parser = since)]
    pub since: Option<Since>,
}

/// The same, or some by name.
#[derive(Args, Debug)]
pub struct WhichArgs {
    /// Ids of dead letters, as `dead list` shows them
    #[arg(value_name = "MSG", conflicts_with_all = ["line", "since"])]
    pub ids: Vec<i64>,
    /// By line and time.
    #[command(flatten)]
    pub of: OfArgs,
}

/// Rows a listing for people shows at most.
const SHOWN_MAX: usize = 1000;
/// Letters changed in one transaction: a running server gets its turn between two.
const STEP: usize = 200;

pub(crate) fn run(ctx: &Context, args: &DeadArgs, out: &mut dyn Write) -> Result<ExitCode, CliError> {
    let open = Opened::new(ctx)?;
    match &args.command {
        DeadCommand::List { of } => list(ctx, &open, of, out)?,
        DeadCommand::Show { id } => show(ctx, &open, &letter(&open, *id)?, out)?,
        DeadCommand::Replay { which, dry_run } => replay::run(ctx, &open, which, *dry_run, out)?,
        DeadCommand::Export { file, of } => export::run(ctx, &open, file, &chosen(&open, of)?, out)?,
        DeadCommand::Purge { which, yes } => purge(ctx, &open, which, *yes, out)?,
    }
    Ok(ExitCode::Done)
}

fn letter(open: &Opened, id: i64) -> Result<DeadLetter, CliError> {
    let missing = || CliError::NotFound { what: "dead letter", name: id.to_string(), near: None };
    dead::by_id(&open.db, id)?.ok_or_else(missing)
}

fn chosen(open: &Opened, of: &OfArgs) -> Result<Vec<Chosen>, CliError> {
    let since = of.since.map(|since| since.moment(open.clock.now()));
    let letters = dead::chosen(&open.db, of.line.map(LineId), since)?;
    // A line that is gone may still have letters; one that never was is a slip of the fingers.
    if let (Some(line), true) = (of.line, letters.is_empty()) {
        open.line(line)?;
    }
    Ok(letters)
}

impl WhichArgs {
    fn chosen(&self, open: &Opened) -> Result<Vec<Chosen>, CliError> {
        if self.ids.is_empty() {
            return chosen(open, &self.of);
        }
        let mut letters = self.ids.iter().map(|id| letter(open, *id)).collect::<Result<Vec<_>, _>>()?;
        letters.sort_by_key(|letter| letter.id);
        letters.dedup_by_key(|letter| letter.id);
        let short = |letter: DeadLetter| Chosen {
            id: letter.id,
            line: letter.line,
            direction: letter.direction,
            origin: letter.origin,
            died_at: letter.died_at,
        };
        Ok(letters.into_iter().map(short).collect())
    }
}

/// The sentence in the configured language; the code itself for a reason of a newer program.
pub(super) fn sentence(open: &Opened, code: &str) -> String {
    Reason::from_code(code).map_or(code, |reason| reason.sentence(open.config.language)).to_owned()
}

fn as_json(open: &Opened, letter: &DeadLetter) -> Value {
    json!({
        "id": letter.id, "line": letter.line.0, "direction": letter.direction.as_str(), "reason": letter.reason,
        "sentence": sentence(open, &letter.reason), "error": letter.error, "message": letter.message,
        "accepted_at": letter.accepted_at.rfc3339(), "died_at": letter.died_at.rfc3339(), "attempts": letter.attempts,
        "message_id": letter.message_id.0, "portal": letter.portal, "connector": letter.connector,
        "portal_line": letter.number, "kind": letter.command, "chat": letter.chat,
        "replayed_at": time(letter.replayed.map(|(at, _)| at)), "replayed_as": letter.replayed.map(|(_, id)| id.0),
    })
}

fn list(ctx: &Context, open: &Opened, of: &OfArgs, out: &mut dyn Write) -> Result<(), CliError> {
    let letters = chosen(open, of)?;
    // One that was purged or replayed in between is left out.
    let read = |one: &Chosen| dead::by_id(&open.db, one.id).map_err(CliError::from).transpose();
    if ctx.global.json {
        return output::array(out, letters.iter().filter_map(read).map(|letter| Ok(as_json(open, &letter?))));
    }
    let row = |letter: DeadLetter| {
        let way = if letter.direction == Direction::In { "to portal" } else { "to channel" };
        vec![
            letter.id.to_string(),
            letter.line.to_string(),
            way.to_owned(),
            letter.reason,
            letter.accepted_at.stamp(),
            letter.died_at.stamp(),
            letter.message,
        ]
    };
    let shown = letters.iter().take(SHOWN_MAX).filter_map(read).map(|letter| letter.map(row));
    let rows = shown.collect::<Result<Vec<_>, _>>()?;
    output::table(out, &["id", "line", "way", "reason", "accepted (UTC)", "given up (UTC)", "message"], &rows)?;
    if letters.len() > SHOWN_MAX {
        writeln!(out, "\nthe oldest {SHOWN_MAX} of {}; --line, --since or --json show the others", letters.len())?;
    }
    Ok(())
}

/// What a letter was, for people.
fn kind(letter: &DeadLetter) -> &'static str {
    match (letter.direction, letter.command.as_str()) {
        (Direction::In, "message") => "a customer's message",
        (Direction::In, "delivered") => "the news that an operator's message had arrived",
        (Direction::In, "read") => "a reading mark",
        (Direction::In, "failed") => "the news that an operator's message had failed",
        (Direction::In, "deactivated") => "the news that a connection had ended",
        (Direction::In, "lost") => "the news that messages were given up",
        (Direction::In, _) => "something for the portal",
        (Direction::Out, "update") => "an operator's edit",
        (Direction::Out, "delete") => "an operator's deletion",
        (Direction::Out, "typing") => "an operator's typing mark",
        (Direction::Out, _) => "an operator's message",
    }
}

/// No content: what customers write is not the administrator's to read; `export` has it for whoever must.
fn show(ctx: &Context, open: &Opened, letter: &DeadLetter, out: &mut dyn Write) -> Result<(), CliError> {
    let refusal = dead::may_return(&open.db, letter.id)?.err();
    if ctx.global.json {
        let mut document = as_json(open, letter);
        if let Some(fields) = document.as_object_mut() {
            fields.insert("replayable".to_owned(), refusal.is_none().into());
            fields.insert("refusal".to_owned(), refusal.map(|refusal| refusal.to_string()).into());
        }
        output::json(out, &document)?;
        return Ok(());
    }
    let DeadLetter { id, line, portal, connector, number, .. } = letter;
    writeln!(out, "dead letter {id}: {} of line {line} ({connector}, line {number} of `{portal}`)", kind(letter))?;
    writeln!(out, "{}: {}", letter.reason, sentence(open, &letter.reason))?;
    if !letter.error.is_empty() {
        writeln!(out, "the last error: {}", letter.error)?;
    }
    let (accepted, died) = (letter.accepted_at.stamp(), letter.died_at.stamp());
    let attempts = many(i64::from(letter.attempts), "failed attempt");
    writeln!(out, "accepted {accepted} UTC as message {}, given up {died} UTC after {attempts}", letter.message_id)?;
    writeln!(out, "chat {}, external id {}, {} of content", letter.chat, letter.message, many(letter.bytes, "byte"))?;
    match refusal {
        None => writeln!(out, "it can come back: trunkline dead replay {id}")?,
        Some(refusal) => writeln!(out, "it can't come back: {refusal}")?,
    }
    Ok(())
}

fn purge(ctx: &Context, open: &Opened, which: &WhichArgs, yes: bool, out: &mut dyn Write) -> Result<(), CliError> {
    let letters = which.chosen(open)?;
    let count = many(i64::try_from(letters.len()).unwrap_or(i64::MAX), "dead letter");
    let Some(oldest) = letters.iter().map(|letter| letter.died_at).min() else {
        return output::result(ctx, &json!({"purged": 0}), "there is nothing to delete", out);
    };
    if !yes {
        return Err(CliError::Refused(format!(
            "{count}, the oldest given up {} UTC, would be deleted for good; say --yes to delete, or keep them first: \
             trunkline dead export FILE",
            oldest.stamp()
        )));
    }
    let mut gone = 0;
    for step in letters.chunks(STEP) {
        let ids: Vec<i64> = step.iter().map(|letter| letter.id).collect();
        gone += open.write(move |tx| {
            let gone = dead::purge(tx, &ids)?;
            let (first, last) = (ids.first().copied().unwrap_or(0), ids.last().copied().unwrap_or(0));
            directory::journal(
                tx,
                "command line",
                "dead letters purged",
                None,
                &format!("{gone} of {first} to {last}"),
            )?;
            Ok(gone)
        })?;
    }
    let deleted = many(i64::try_from(gone).unwrap_or(i64::MAX), "dead letter");
    output::result(ctx, &json!({"purged": gone}), &format!("deleted {deleted}"), out)
}
