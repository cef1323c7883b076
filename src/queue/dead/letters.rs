//! Reading dead letters: one, all, those of a line or of a time. A replayed one is no dead letter any more, only a
//! record of what became of it: it is shown when it is asked for by its id, and never listed.

use rusqlite::{Connection, OptionalExtension, Result, Row, named_params};

use crate::clock::UnixMillis;
use crate::ids::{LineId, MessageId};
use crate::store::counters::Direction;

/// One dead letter, without its body.
#[derive(Clone, Debug)]
pub struct DeadLetter {
    /// Row.
    pub id: i64,
    /// Which way it was going.
    pub direction: Direction,
    /// The id it had in queue or outbox.
    pub message_id: MessageId,
    /// The id it was first accepted under; differs from `message_id` when it had been replayed before.
    pub origin: MessageId,
    /// Line it belonged to; may be gone.
    pub line: LineId,
    /// The portal's name at that time.
    pub portal: String,
    /// Virtual connector id.
    pub connector: String,
    /// The portal's own number of the line.
    pub number: String,
    /// Reason code, also one that only a newer program knows.
    pub reason: String,
    /// What the last attempt or the channel complained of.
    pub error: String,
    /// `message`, `delivered` …, outgoing: `send`, `update` …
    pub command: String,
    /// External chat id.
    pub chat: String,
    /// External message id; outgoing: the portal's own.
    pub message: String,
    /// Size of the stored body.
    pub bytes: i64,
    /// When it was accepted.
    pub accepted_at: UnixMillis,
    /// When it was given up.
    pub died_at: UnixMillis,
    /// Posts or sends that failed.
    pub attempts: u32,
    /// When it went back to queue or outbox, and under which id.
    pub replayed: Option<(UnixMillis, MessageId)>,
}

impl DeadLetter {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        let replayed_at: Option<i64> = row.get("replayed_at")?;
        let replayed_as: Option<i64> = row.get("replayed_as")?;
        Ok(Self {
            id: row.get("id")?,
            direction: direction(row)?,
            message_id: MessageId(row.get("message_id")?),
            origin: MessageId(row.get("first_id")?),
            line: LineId(row.get("line_id")?),
            portal: row.get("portal")?,
            connector: row.get("connector")?,
            number: row.get("line")?,
            reason: row.get("reason")?,
            error: row.get("error")?,
            command: row.get("command")?,
            chat: row.get("chat")?,
            message: row.get("message")?,
            bytes: row.get("bytes")?,
            accepted_at: UnixMillis(row.get("accepted_at")?),
            died_at: UnixMillis(row.get("died_at")?),
            attempts: row.get("attempts")?,
            replayed: replayed_at.zip(replayed_as).map(|(at, id)| (UnixMillis(at), MessageId(id))),
        })
    }
}

fn direction(row: &Row<'_>) -> Result<Direction> {
    let direction: String = row.get("direction")?;
    Ok(if direction == Direction::Out.as_str() { Direction::Out } else { Direction::In })
}

macro_rules! letters {
    ($rest:literal) => {
        concat!(
            "select id, direction, message_id, coalesce(origin, message_id) as first_id, line_id, portal, connector,",
            " line, reason, error, command, chat, message, length(body) as bytes, accepted_at, died_at, attempts,",
            " replayed_at, replayed_as from dead_letters where ",
            $rest
        )
    };
}

/// The oldest dead letters.
pub fn list(db: &Connection, limit: usize) -> Result<Vec<DeadLetter>> {
    db.prepare_cached(letters!("replayed_at is null order by id limit :limit"))?
        .query_map(named_params! {":limit": i64::try_from(limit).unwrap_or(i64::MAX)}, DeadLetter::from_row)?
        .collect()
}

/// One dead letter, also a replayed one.
pub fn by_id(db: &Connection, id: i64) -> Result<Option<DeadLetter>> {
    db.prepare_cached(letters!("id = :id"))?.query_row(named_params! {":id": id}, DeadLetter::from_row).optional()
}

/// The dead letters that a message has become, replayed ones included, oldest first.
pub fn of_message(db: &Connection, direction: Direction, message: MessageId) -> Result<Vec<DeadLetter>> {
    db.prepare_cached(letters!("message_id = :id and direction = :direction order by id limit 100"))?
        .query_map(named_params! {":id": message.0, ":direction": direction.as_str()}, DeadLetter::from_row)?
        .collect()
}

/// The stored body, `None` when there is no such letter.
pub fn body(db: &Connection, id: i64) -> Result<Option<Vec<u8>>> {
    db.prepare_cached("select body from dead_letters where id = :id")?
        .query_row(named_params! {":id": id}, |row| row.get(0))
        .optional()
}

/// How many there are. Index: `dead_letters_line_id_idx`.
pub fn count(db: &Connection) -> Result<i64> {
    db.prepare_cached("select count(*) from dead_letters where replayed_at is null")?.query_row([], |row| row.get(0))
}

/// A dead letter as far as choosing goes: a million of them fit into memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chosen {
    /// Row.
    pub id: i64,
    /// Line it belonged to.
    pub line: LineId,
    /// Which way it was going.
    pub direction: Direction,
    /// The id it was first accepted under: the order in which a replay brings letters back, whenever they died.
    pub origin: MessageId,
    /// When it was given up.
    pub died_at: UnixMillis,
}

const CHOSEN: &str = "
    select id, line_id, direction, coalesce(origin, message_id) as first_id, died_at
      from dead_letters
     where replayed_at is null and died_at >= :since and :line is null
     order by id limit 10000000";

/// Index: `dead_letters_line_id_idx`.
const CHOSEN_OF_LINE: &str = "
    select id, line_id, direction, coalesce(origin, message_id) as first_id, died_at
      from dead_letters
     where replayed_at is null and died_at >= :since and line_id = :line
     order by id limit 10000000";

/// The dead letters of one line or of all, given up at `since` or later, in the order in which they died.
pub fn chosen(db: &Connection, line: Option<LineId>, since: Option<UnixMillis>) -> Result<Vec<Chosen>> {
    let since = since.map_or(i64::MIN, |since| since.0);
    db.prepare_cached(if line.is_some() { CHOSEN_OF_LINE } else { CHOSEN })?
        .query_map(named_params! {":line": line.map(|line| line.0), ":since": since}, |row| {
            Ok(Chosen {
                id: row.get("id")?,
                line: LineId(row.get("line_id")?),
                direction: direction(row)?,
                origin: MessageId(row.get("first_id")?),
                died_at: UnixMillis(row.get("died_at")?),
            })
        })?
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lines_letters_are_found_by_their_index() {
        let db = Connection::open_in_memory().unwrap();
        db.execute_batch(include_str!("../../../schema.sql")).unwrap();
        for (sql, index) in [
            (CHOSEN_OF_LINE, "dead_letters_line_id_idx"),
            ("select count(*) from dead_letters where replayed_at is null", "dead_letters_line_id_idx"),
            (letters!("message_id = 1 and direction = 'in'"), "dead_letters_message_id_idx"),
        ] {
            let mut plan = db.prepare(&format!("explain query plan {sql}")).unwrap();
            let nothing = vec![None::<i64>; plan.parameter_count()];
            let steps = plan.query_map(rusqlite::params_from_iter(nothing), |row| row.get("detail")).unwrap();
            let steps: Vec<String> = steps.collect::<Result<_>>().unwrap();
            assert!(steps.iter().any(|step| step.contains(index)), "{sql}: {steps:?}");
        }
    }
}
