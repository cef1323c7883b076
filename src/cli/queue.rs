//! `trunkline queue`: messages that wait, for a portal or for a channel.

use std::io::Write;

use clap::{Args, Subcommand};

use serde_json::{Value, json};

use super::open::{Opened, time};
use super::output::{self, many};
use super::{CliError, Context, ExitCode};
use crate::channels::Connector;
use crate::clock::UnixMillis;
use crate::ids::{LineId, MessageId};
use crate::message::{Body, Notice, OutgoingKind};
use crate::outbox;
use crate::queue::{self, dead};
use crate::store::counters::{self, Direction};
use crate::store::{Tx, directory};

/// Look at messages that wait for a portal or a channel
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
        /// Operators' messages that wait for a channel instead
        #[arg(long)]
        out: bool,
    },
    /// Show one waiting message; no content
    #[command(before_long_help = "Example:\n  trunkline queue show 4711")]
    Show {
        /// Id of the message, as `queue list` shows it
        #[arg(value_name = "MSG")]
        message: i64,
        /// The id is one of `queue list --out`
        #[arg(long)]
        out: bool,
    },
    /// Take a message out of the queue; it becomes a dead letter
    #[command(before_long_help = "Example:\n  trunkline queue drop 4711 --yes")]
    Drop {
        /// Id of the message
        #[arg(value_name = "MSG")]
        message: i64,
        /// The id is one of `queue list --out`; the operator is told
        #[arg(long)]
        out: bool,
        /// Do it; without this the command says what would be dropped
        #[arg(long)]
        yes: bool,
    },
}

/// Rows a listing for people shows at most.
const SHOWN_MAX: usize = 1000;
/// Rows read at once for a document.
const PAGE: usize = 500;

pub(crate) fn run(ctx: &Context, args: &QueueArgs, out: &mut dyn Write) -> Result<ExitCode, CliError> {
    let open = Opened::new(ctx)?;
    let way = |out: bool| if out { Direction::Out } else { Direction::In };
    match &args.command {
        QueueCommand::List { line, out: outgoing } => list(ctx, &open, *line, way(*outgoing), out)?,
        QueueCommand::Show { message, out: outgoing } => {
            show(ctx, &open, &find(&open, *message, way(*outgoing))?, out)?;
        }
        QueueCommand::Drop { message, out: outgoing, yes } => {
            take_out(ctx, &open, &find(&open, *message, way(*outgoing))?, *yes, out)?;
        }
    }
    Ok(ExitCode::Done)
}

/// A waiting message of either direction.
struct Entry {
    way: Direction,
    id: MessageId,
    line: LineId,
    connector: String,
    kind: String,
    chat: String,
    message: String,
    accepted_at: UnixMillis,
    attempts: u32,
    files: usize,
    bytes: usize,
    /// Outgoing: not sent before, and what the last try came to.
    due: Option<(UnixMillis, Option<String>)>,
}

impl From<queue::Listed> for Entry {
    fn from(listed: queue::Listed) -> Self {
        let queue::Listed { line, row } = listed;
        Self {
            way: Direction::In,
            id: row.id,
            line,
            connector: row.connector,
            kind: row.command,
            chat: row.chat,
            message: row.message,
            accepted_at: row.accepted_at,
            attempts: row.attempts,
            files: row.files,
            bytes: row.body.len(),
            due: None,
        }
    }
}

impl From<outbox::Listed> for Entry {
    fn from(row: outbox::Listed) -> Self {
        Self {
            way: Direction::Out,
            id: row.id,
            line: row.line,
            connector: row.connector,
            kind: row.kind,
            chat: row.chat,
            message: row.message,
            accepted_at: row.accepted_at,
            attempts: row.attempts,
            files: 0,
            bytes: row.bytes,
            due: Some((row.due_at, row.last_error)),
        }
    }
}

impl Entry {
    fn as_json(&self) -> Value {
        let mut document = json!({
            "id": self.id.0, "line": self.line.0, "chat": self.chat, "message": self.message, "kind": self.kind,
            "accepted_at": self.accepted_at.rfc3339(), "attempts": self.attempts, "connector": self.connector,
            "direction": self.way.as_str(),
        });
        if let (Some((due, error)), Some(fields)) = (&self.due, document.as_object_mut()) {
            fields.insert("due_at".to_owned(), time(Some(*due)));
            fields.insert("last_error".to_owned(), error.clone().into());
        }
        document
    }

    /// `message 17`, and with `--out` where the number alone would mean another one.
    fn number(&self) -> String {
        let out = if self.way == Direction::Out { " --out" } else { "" };
        format!("{}{out}", self.id)
    }
}

fn page(open: &Opened, way: Direction, line: Option<LineId>, after: MessageId) -> Result<Vec<Entry>, CliError> {
    Ok(match way {
        Direction::In => queue::list_behind(&open.db, line, after, PAGE)?.into_iter().map(Entry::from).collect(),
        Direction::Out => outbox::list(&open.db, line, after, PAGE)?.into_iter().map(Entry::from).collect(),
    })
}

/// Every entry, read in pages: no transaction stays open while a long list is printed.
fn entries(open: &Opened, way: Direction, line: Option<LineId>) -> impl Iterator<Item = Result<Entry, CliError>> {
    let mut rows: std::vec::IntoIter<Entry> = Vec::new().into_iter();
    let mut after = Some(MessageId(0));
    std::iter::from_fn(move || {
        if rows.len() == 0
            && let Some(last) = after
        {
            match page(open, way, line, last) {
                Ok(page) => {
                    after = page.last().filter(|_| page.len() == PAGE).map(|entry| entry.id);
                    rows = page.into_iter();
                }
                Err(error) => {
                    after = None;
                    return Some(Err(error));
                }
            }
        }
        rows.next().map(Ok)
    })
}

fn list(ctx: &Context, open: &Opened, line: Option<i64>, way: Direction, out: &mut dyn Write) -> Result<(), CliError> {
    if let Some(line) = line {
        open.line(line)?;
    }
    let line = line.map(LineId);
    let entries = entries(open, way, line);
    if ctx.global.json {
        return output::array(out, entries.map(|entry| Ok(entry?.as_json())));
    }
    let shown = entries.take(SHOWN_MAX).collect::<Result<Vec<_>, _>>()?;
    let row = |entry: &Entry| {
        vec![
            entry.id.to_string(),
            entry.line.to_string(),
            entry.kind.clone(),
            entry.attempts.to_string(),
            entry.accepted_at.stamp(),
            entry.message.clone(),
        ]
    };
    let rows: Vec<_> = shown.iter().map(row).collect();
    output::table(out, &["id", "line", "kind", "attempts", "accepted (UTC)", "message"], &rows)?;
    let all = match (way, line) {
        (Direction::In, Some(line)) => queue::count(&open.db, line)?,
        (Direction::Out, Some(line)) => outbox::count(&open.db, line)?,
        (Direction::In, None) => counters::accounting(&open.db)?.queued,
        (Direction::Out, None) => counters::accounting(&open.db)?.outbox,
    };
    if i64::try_from(shown.len()).is_ok_and(|shown| shown < all) {
        writeln!(out, "\nthe oldest {} of {all}; --line or --json show the others", shown.len())?;
    }
    Ok(())
}

fn find(open: &Opened, message: i64, way: Direction) -> Result<Entry, CliError> {
    let id = MessageId(message);
    let found = match way {
        Direction::In => queue::by_id(&open.db, id)?.map(Entry::from),
        Direction::Out => outbox::by_id(&open.db, id)?.map(Entry::from),
    };
    let what = if way == Direction::In { "queued message" } else { "message in the outbox" };
    found.ok_or_else(|| CliError::NotFound { what, name: message.to_string(), near: None })
}

/// No content: what customers write is not the administrator's to read.
fn show(ctx: &Context, open: &Opened, entry: &Entry, out: &mut dyn Write) -> Result<(), CliError> {
    if ctx.global.json {
        output::json(out, &entry.as_json())?;
        return Ok(());
    }
    let whom = if entry.way == Direction::In { "the portal" } else { "the channel" };
    writeln!(out, "message {} ({}) of line {}, for {whom}", entry.id, entry.kind, entry.line)?;
    writeln!(out, "connector {}, chat {}, external id {}", entry.connector, entry.chat, entry.message)?;
    let failed = many(i64::from(entry.attempts), "failed attempt");
    writeln!(out, "accepted {} UTC, {failed}", entry.accepted_at.stamp())?;
    if let Some((due, error)) = &entry.due {
        let now = open.clock.now();
        let when = if *due > now { format!("not before {}", due.spoken(now)) } else { "due now".to_owned() };
        let error = error.as_deref().map(|error| format!(" (last error: {error})")).unwrap_or_default();
        writeln!(out, "{when}{error}")?;
    }
    let files = many(i64::try_from(entry.files).unwrap_or(i64::MAX), "file");
    let bytes = many(i64::try_from(entry.bytes).unwrap_or(i64::MAX), "byte");
    let what = if entry.way == Direction::In { format!("{bytes} of content, {files}") } else { bytes };
    writeln!(out, "{what}")?;
    writeln!(out, "its life: trunkline trace {}", entry.number())?;
    writeln!(out, "its line: trunkline line show {}", entry.line)?;
    Ok(())
}

const WHY: &str = "dropped by the administrator";

fn take_out(ctx: &Context, open: &Opened, entry: &Entry, yes: bool, out: &mut dyn Write) -> Result<(), CliError> {
    let (id, line, way) = (entry.id, entry.line, entry.way);
    if !yes {
        let whom = if way == Direction::In { "the portal" } else { "the channel" };
        return Err(CliError::Refused(format!(
            "message {id} of line {line} would never reach {whom} and become a dead letter; say --yes to drop it"
        )));
    }
    let connector = open.factory.get(&open.line(line.0)?.connector).cloned();
    let gone = open.write(move |tx| {
        directory::journal(tx, "command line", "message dropped", Some(line), &id.to_string())?;
        match way {
            Direction::In => dead::bury(tx, way, id, dead::Reason::Dropped, WHY),
            Direction::Out => drop_outgoing(tx, line, id, connector.as_deref()),
        }
    })?;
    let words = if gone {
        format!("message {id} is a dead letter now")
    } else {
        format!("message {id} has just been delivered; there was nothing to drop")
    };
    output::result(ctx, &json!({"dropped": gone, "id": id.0}), &words, out)
}

/// An operator whose message is dropped must not go on seeing "sending".
fn drop_outgoing(
    tx: &mut Tx<'_>,
    line: LineId,
    id: MessageId,
    connector: Option<&dyn Connector>,
) -> rusqlite::Result<bool> {
    let message = outbox::stored(tx.db(), id)?.and_then(|body| outbox::body::decode(&body));
    if !dead::bury(tx, Direction::Out, id, dead::Reason::Dropped, WHY)? {
        return Ok(false);
    }
    if let Some(message) = message.filter(|message| message.kind != OutgoingKind::Typing) {
        let chat = directory::chat(tx.db(), line, &message.chat)?;
        let customer = chat.zip(connector).and_then(|(chat, connector)| connector.customer(&chat.data)).map(Box::new);
        let notice = Notice::Failed {
            im: message.im,
            chat: message.chat,
            deleting: matches!(message.kind, OutgoingKind::Delete { .. }),
            code: "DROPPED".to_owned(),
            text: WHY.to_owned(),
            customer,
        };
        queue::push(tx, line, &message.connector, None, &Body::Notice(notice))?;
    }
    Ok(true)
}
