//! The last attempts of each line: when, how long, which messages, what came of it. No content.

use rusqlite::{Connection, Result, Row, named_params};

use super::Tx;
use super::counters::Direction;
use crate::clock::UnixMillis;
use crate::ids::{LineId, MessageId};

/// One attempt that is to be noted.
#[derive(Clone, Copy, Debug)]
pub struct Attempt<'a> {
    /// Its line.
    pub line: LineId,
    /// To the portal, or to the channel.
    pub direction: Direction,
    /// How long it took.
    pub millis: i64,
    /// Messages in it.
    pub messages: usize,
    /// Lowest and highest id of those it failed for.
    pub range: Option<(MessageId, MessageId)>,
    /// `confirmed`, or the sentence of the failure.
    pub outcome: &'a str,
}

const PUT: &str = "
    insert into attempts (line_id, at, millis, messages, outcome, direction, first_id, last_id)
    values (:line, :now, :millis, :messages, :outcome, :direction, :first, :last)";

const TRIM: &str = "
    delete from attempts
     where line_id = :line and direction = :direction
       and id <= (select id from attempts
                   where line_id = :line and direction = :direction order by id desc limit 1 offset :keep)";

/// Notes an attempt, and forgets all but the newest `keep` of its line and direction.
pub fn note(tx: &Tx<'_>, attempt: &Attempt<'_>, keep: i64) -> Result<()> {
    let db = tx.db();
    let (line, direction) = (attempt.line.0, attempt.direction.as_str());
    db.prepare_cached(PUT)?.execute(named_params! {
        ":line": line, ":now": tx.now.0, ":millis": attempt.millis,
        ":messages": i64::try_from(attempt.messages).unwrap_or(i64::MAX), ":outcome": attempt.outcome,
        ":direction": direction, ":first": attempt.range.map(|(first, _)| first.0),
        ":last": attempt.range.map(|(_, last)| last.0),
    })?;
    db.prepare_cached(TRIM)?.execute(named_params! {":line": line, ":direction": direction, ":keep": keep}).map(drop)
}

/// One attempt as it was noted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempted {
    /// To the portal, or to the channel.
    pub direction: Direction,
    /// When it had ended.
    pub at: UnixMillis,
    /// How long it took.
    pub millis: i64,
    /// Messages in it.
    pub messages: i64,
    /// `confirmed`, or the sentence of the failure.
    pub outcome: String,
}

impl Attempted {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        let direction: String = row.get("direction")?;
        Ok(Self {
            direction: if direction == Direction::Out.as_str() { Direction::Out } else { Direction::In },
            at: UnixMillis(row.get("at")?),
            millis: row.get("millis")?,
            messages: row.get("messages")?,
            outcome: row.get("outcome")?,
        })
    }
}

/// The newest attempts of a line, newest first.
pub fn of_line(db: &Connection, line: LineId, limit: usize) -> Result<Vec<Attempted>> {
    const OF_LINE: &str = "
        select direction, at, millis, messages, outcome
          from attempts
         where line_id = :line
         order by id desc
         limit :limit";
    db.prepare_cached(OF_LINE)?
        .query_map(
            named_params! {":line": line.0, ":limit": i64::try_from(limit).unwrap_or(i64::MAX)},
            Attempted::from_row,
        )?
        .collect()
}

/// The failed attempts that are still known and had message `id` among theirs, oldest first.
pub fn of_message(db: &Connection, line: LineId, direction: Direction, id: MessageId) -> Result<Vec<Attempted>> {
    const OF_MESSAGE: &str = "
        select direction, at, millis, messages, outcome
          from attempts
         where line_id = :line and direction = :direction and first_id <= :id and last_id >= :id
         order by id
         limit 1000";
    db.prepare_cached(OF_MESSAGE)?
        .query_map(named_params! {":line": line.0, ":direction": direction.as_str(), ":id": id.0}, Attempted::from_row)?
        .collect()
}
