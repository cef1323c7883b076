//! `trunkline queue`: messages that wait for a portal.

use std::io::Write;

use clap::{Args, Subcommand};

use serde_json::{Value, json};

use super::open::Opened;
use super::{CliError, Context, ExitCode, output};
use crate::ids::{LineId, MessageId};
use crate::queue::{self, dead};
use crate::store::counters::Direction;

/// Look at messages that wait for a portal
#[derive(Args, Debug)]
#[command(before_long_help = "\
Example:
  trunkline queue list --line 3")]
pub struct QueueArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: QueueCommand,
}

/// What can be done with the queue.
#[derive(Debug, Subcommand)]
pub enum QueueCommand {
    /// List waiting messages, oldest first
    #[command(before_long_help = "Example:\n  trunkline queue list --line 3 --json")]
    List {
        /// Only this line
        #[arg(long, value_name = "ID")]
        line: Option<i64>,
    },
    /// Show one waiting message
    #[command(before_long_help = "Example:\n  trunkline queue show 4711")]
    Show {
        /// Id of the message, as `queue list` shows it
        message: i64,
    },
    /// Take a message out of the queue; it becomes a dead letter
    #[command(before_long_help = "Example:\n  trunkline queue drop 4711 --yes")]
    Drop {
        /// Id of the message
        message: i64,
        /// Do it; without this the command says what would be dropped
        #[arg(long)]
        yes: bool,
    },
}

/// Rows a listing shows at most; a longer queue is looked at line by line.
const SHOWN_MAX: usize = 1000;

pub(crate) fn run(ctx: &Context, args: &QueueArgs, out: &mut dyn Write) -> Result<ExitCode, CliError> {
    let open = Opened::new(ctx)?;
    match &args.command {
        QueueCommand::List { line } => list(ctx, &open, *line, out)?,
        QueueCommand::Show { message } => show(ctx, &open, *message, out)?,
        QueueCommand::Drop { message, yes } => take_out(&open, *message, *yes, out)?,
    }
    Ok(ExitCode::Done)
}

fn as_json(entry: &queue::Listed) -> Value {
    json!({
        "id": entry.row.id.0, "line": entry.line.0, "chat": entry.row.chat, "message": entry.row.message,
        "kind": entry.row.command, "accepted_at": entry.row.accepted_at.rfc3339(), "attempts": entry.row.attempts,
    })
}

fn list(ctx: &Context, open: &Opened, line: Option<i64>, out: &mut dyn Write) -> Result<(), CliError> {
    if let Some(line) = line {
        open.line(line)?;
    }
    let rows = queue::list(&open.db, line.map(LineId), SHOWN_MAX)?;
    if ctx.global.json {
        output::json(out, &rows.iter().map(as_json).collect::<Vec<_>>().into())?;
        return Ok(());
    }
    let cells: Vec<Vec<String>> = rows
        .iter()
        .map(|entry| {
            vec![
                entry.row.id.to_string(),
                entry.line.to_string(),
                entry.row.command.clone(),
                entry.row.attempts.to_string(),
                entry.row.accepted_at.rfc3339(),
                entry.row.message.clone(),
            ]
        })
        .collect();
    output::table(out, &["id", "line", "kind", "attempts", "accepted", "message"], &cells)?;
    if rows.len() == SHOWN_MAX {
        writeln!(out, "the oldest {SHOWN_MAX}; there may be more")?;
    }
    Ok(())
}

fn find(open: &Opened, message: i64) -> Result<queue::Listed, CliError> {
    queue::by_id(&open.db, MessageId(message))?.ok_or_else(|| CliError::NotFound {
        what: "queued message",
        name: message.to_string(),
        near: None,
    })
}

/// No content: what customers write is not the administrator's to read.
fn show(ctx: &Context, open: &Opened, message: i64, out: &mut dyn Write) -> Result<(), CliError> {
    let entry = find(open, message)?;
    if ctx.global.json {
        output::json(out, &as_json(&entry))?;
        return Ok(());
    }
    writeln!(out, "message {} ({}) of line {}", entry.row.id, entry.row.command, entry.line)?;
    writeln!(out, "connector {}, chat {}, external id {}", entry.row.connector, entry.row.chat, entry.row.message)?;
    writeln!(out, "accepted {}, {} posts were not confirmed", entry.row.accepted_at.rfc3339(), entry.row.attempts)?;
    writeln!(
        out,
        "{} bytes, {} files; the line: trunkline line show {}",
        entry.row.body.len(),
        entry.row.files,
        entry.line
    )?;
    Ok(())
}

fn take_out(open: &Opened, message: i64, yes: bool, out: &mut dyn Write) -> Result<(), CliError> {
    let entry = find(open, message)?;
    if !yes {
        return Err(CliError::Refused(format!(
            "message {} of line {} would become a dead letter; say --yes to drop it",
            entry.row.id, entry.line
        )));
    }
    let (id, line) = (entry.row.id, entry.line);
    let gone = open.write(move |tx| {
        crate::store::directory::journal(tx, "command line", "message dropped", Some(line), &id.to_string())?;
        dead::bury(tx, Direction::In, id, dead::Reason::Dropped, "dropped by the administrator")
    })?;
    if gone {
        writeln!(out, "message {id} is a dead letter now")?;
    } else {
        writeln!(out, "message {id} has just been confirmed; there was nothing to drop")?;
    }
    Ok(())
}
