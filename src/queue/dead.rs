//! Dead letters: nothing is forgotten by deletion (promise 7). Rows leave the queue or the outbox for here with a
//! reason code and a sentence.

use rusqlite::{Connection, Result, Row, named_params};

use crate::clock::UnixMillis;
use crate::ids::{LineId, MessageId};
use crate::store::Tx;
use crate::store::counters::{Counter, Direction};

/// Why a message was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The portal confirmed nothing for the whole schedule.
    Expired,
    /// Another line took the external entity.
    TakenOver,
    /// The line or its portal was removed.
    LineRemoved,
    /// An administrator dropped it.
    Dropped,
    /// The channel will never take it.
    Permanent,
    /// The channel did not take it within `outbox.ttl`.
    TooOld,
    /// The stored body can't be read.
    Unreadable,
    /// The portal does not take this one while others of the line pass.
    Poison,
}

impl Reason {
    /// As it is stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::TakenOver => "taken_over",
            Self::LineRemoved => "line_removed",
            Self::Dropped => "dropped",
            Self::Permanent => "permanent",
            Self::TooOld => "too_old",
            Self::Unreadable => "unreadable",
            Self::Poison => "poison",
        }
    }

    /// The command whose rows stay in the queue when a whole line is given up for this reason: after a takeover the
    /// earlier portal must still hear of it.
    fn spares(self) -> &'static str {
        match self {
            Self::TakenOver => "deactivated",
            Self::Expired
            | Self::LineRemoved
            | Self::Dropped
            | Self::Permanent
            | Self::TooOld
            | Self::Unreadable
            | Self::Poison => "",
        }
    }
}

macro_rules! bury {
    ($direction:literal, $table:literal, $connector:literal, $command:literal, $message:literal) => {
        concat!(
            "insert into dead_letters (direction, message_id, line_id, portal, connector, line, reason, error, command,",
            " chat, message, body, accepted_at, died_at) ",
            "select '", $direction, "', m.id, m.line_id, portals.name, ", $connector, ", lines.line, :reason, :error, ",
            $command, ", m.chat, ", $message, ", m.body, m.accepted_at, :now",
            " from ", $table, " m join lines on lines.id = m.line_id join portals on portals.id = lines.portal_id",
            " where m.id = :id"
        )
    };
}

const BURY_IN: &str = bury!("in", "queue", "m.connector", "m.command", "m.message");
const BURY_OUT: &str = bury!("out", "outbox", "lines.connector", "'out'", "''");

/// Moves one row of the queue or the outbox into dead letters; false when it is gone already.
pub fn bury(tx: &mut Tx<'_>, direction: Direction, id: MessageId, reason: Reason, error: &str) -> Result<bool> {
    let (copy, delete) = match direction {
        Direction::In => (BURY_IN, "delete from queue where id = :id"),
        Direction::Out => (BURY_OUT, "delete from outbox where id = :id"),
    };
    let db = tx.db();
    let copied = db.prepare_cached(copy)?.execute(named_params! {
        ":id": id.0, ":reason": reason.as_str(), ":error": error, ":now": tx.now.0,
    })?;
    if copied == 0 {
        return Ok(false);
    }
    let connector: String = db
        .prepare_cached("select connector from dead_letters where id = :id")?
        .query_row(named_params! {":id": db.last_insert_rowid()}, |row| row.get(0))?;
    db.prepare_cached(delete)?.execute(named_params! {":id": id.0})?;
    tx.deltas.add(Counter::Dead, &connector, direction, reason.as_str(), 1);
    Ok(true)
}

/// Moves the oldest `limit` rows of one line but those that the reason spares; returns how many were moved, so that a
/// caller can go on in steps and other commands get their turn between them.
pub fn bury_line(
    tx: &mut Tx<'_>,
    direction: Direction,
    line: LineId,
    reason: Reason,
    error: &str,
    limit: usize,
) -> Result<usize> {
    const QUEUE: &str = "select id from queue where line_id = :line and command <> :spared order by id limit :limit";
    const OUTBOX: &str = "select id from outbox where line_id = :line and :spared is not null order by id limit :limit";
    let sql = match direction {
        Direction::In => QUEUE,
        Direction::Out => OUTBOX,
    };
    let ids = tx
        .db()
        .prepare_cached(sql)?
        .query_map(
            named_params! {
                ":line": line.0, ":spared": reason.spares(), ":limit": i64::try_from(limit).unwrap_or(i64::MAX),
            },
            |row| Ok(MessageId(row.get(0)?)),
        )?
        .collect::<Result<Vec<_>>>()?;
    for id in &ids {
        bury(tx, direction, *id, reason, error)?;
    }
    Ok(ids.len())
}

/// One dead letter, without its body.
#[derive(Clone, Debug)]
pub struct DeadLetter {
    /// Row.
    pub id: i64,
    /// `in`, `out`.
    pub direction: String,
    /// Line it belonged to.
    pub line: LineId,
    /// Reason code.
    pub reason: String,
    /// Sentence.
    pub error: String,
    /// External message id.
    pub message: String,
    /// When it was accepted.
    pub accepted_at: UnixMillis,
    /// When it was given up.
    pub died_at: UnixMillis,
}

impl DeadLetter {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            id: row.get("id")?,
            direction: row.get("direction")?,
            line: LineId(row.get("line_id")?),
            reason: row.get("reason")?,
            error: row.get("error")?,
            message: row.get("message")?,
            accepted_at: UnixMillis(row.get("accepted_at")?),
            died_at: UnixMillis(row.get("died_at")?),
        })
    }
}

const LIST: &str = "
    select id, direction, line_id, reason, error, message, accepted_at, died_at
      from dead_letters
     order by id
     limit :limit";

/// The oldest dead letters.
pub fn list(db: &Connection, limit: usize) -> Result<Vec<DeadLetter>> {
    db.prepare_cached(LIST)?
        .query_map(named_params! {":limit": i64::try_from(limit).unwrap_or(i64::MAX)}, DeadLetter::from_row)?
        .collect()
}

const FORGET: &str = "
    delete from dead_letters
     where id in (select id from dead_letters where died_at < :before order by died_at limit :limit)";

/// Deletes dead letters that were kept long enough (`dead_letters.keep`), a limited number at a time.
pub fn forget(tx: &Tx<'_>, before: UnixMillis, limit: usize) -> Result<usize> {
    tx.db().prepare_cached(FORGET)?.execute(named_params! {
        ":before": before.0, ":limit": i64::try_from(limit).unwrap_or(i64::MAX),
    })
}
