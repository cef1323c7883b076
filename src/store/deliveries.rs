//! Which messages of a line were confirmed in which minute. A confirmed message leaves no row of its own behind; a row a
//! minute and line is enough to say when it was, and costs a busy line one small update a packet.

use rusqlite::{Connection, OptionalExtension, Result, named_params};

use super::Tx;
use super::counters::Direction;
use crate::clock::UnixMillis;
use crate::ids::{LineId, MessageId};

const MINUTE_MILLIS: i64 = 60_000;
/// How long they are kept: a week, as a platform's repeats are remembered.
const KEPT_MINUTES: i64 = 7 * 24 * 60;

/// Confirmations of one line in one minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Lowest id among them.
    pub first: MessageId,
    /// Highest id.
    pub last: MessageId,
    /// How many.
    pub messages: i64,
    /// Begin of the minute.
    pub from: UnixMillis,
    /// When the last of them was confirmed.
    pub last_at: UnixMillis,
}

const EXTEND: &str = "
    update deliveries
       set first_id = min(first_id, :first), last_id = max(last_id, :last), messages = messages + :messages,
           last_at = :now
     where line_id = :line and direction = :direction and minute = :minute";

const BEGIN: &str = "
    insert into deliveries (line_id, direction, minute, first_id, last_id, messages, last_at)
    values (:line, :direction, :minute, :first, :last, :messages, :now)";

const FORGET: &str = "
    delete from deliveries where line_id = :line and direction = :direction and minute < :minute";

/// Notes that these messages were confirmed just now. What is too old is forgotten when a new minute begins.
pub fn note(
    tx: &Tx<'_>,
    line: LineId,
    direction: Direction,
    ids: impl Iterator<Item = MessageId> + Clone,
) -> Result<()> {
    let (Some(first), Some(last)) = (ids.clone().min(), ids.clone().max()) else { return Ok(()) };
    let minute = tx.now.0.div_euclid(MINUTE_MILLIS);
    let params = named_params! {
        ":line": line.0, ":direction": direction.as_str(), ":minute": minute, ":first": first.0, ":last": last.0,
        ":messages": i64::try_from(ids.count()).unwrap_or(i64::MAX), ":now": tx.now.0,
    };
    let db = tx.db();
    if db.prepare_cached(EXTEND)?.execute(params)? == 0 {
        db.prepare_cached(BEGIN)?.execute(params)?;
        db.prepare_cached(FORGET)?.execute(named_params! {
            ":line": line.0, ":direction": direction.as_str(), ":minute": minute - KEPT_MINUTES,
        })?;
    }
    Ok(())
}

macro_rules! deliveries {
    ($rest:literal) => {
        concat!(
            "select first_id, last_id, messages, minute, last_at from deliveries",
            " where line_id = :line and direction = :direction",
            $rest
        )
    };
}

fn delivery(row: &rusqlite::Row<'_>) -> Result<Delivery> {
    Ok(Delivery {
        first: MessageId(row.get("first_id")?),
        last: MessageId(row.get("last_id")?),
        messages: row.get("messages")?,
        from: UnixMillis(row.get::<_, i64>("minute")?.saturating_mul(MINUTE_MILLIS)),
        last_at: UnixMillis(row.get("last_at")?),
    })
}

/// The first minute since `from` whose confirmations may have had message `id` among them.
pub fn find(
    db: &Connection,
    line: LineId,
    direction: Direction,
    id: MessageId,
    from: UnixMillis,
) -> Result<Option<Delivery>> {
    const FIND: &str =
        deliveries!(" and minute >= :minute and first_id <= :id and last_id >= :id order by minute limit 1");
    db.prepare_cached(FIND)?
        .query_row(
            named_params! {
                ":line": line.0, ":direction": direction.as_str(), ":id": id.0,
                ":minute": from.0.div_euclid(MINUTE_MILLIS),
            },
            delivery,
        )
        .optional()
}

/// The last confirmations of a line.
pub fn latest(db: &Connection, line: LineId, direction: Direction) -> Result<Option<Delivery>> {
    const LATEST: &str = deliveries!(" order by minute desc limit 1");
    db.prepare_cached(LATEST)?
        .query_row(named_params! {":line": line.0, ":direction": direction.as_str()}, delivery)
        .optional()
}
