//! Dead letters: nothing is forgotten by deletion (promise 7). Rows leave the queue or the outbox for here with a
//! reason code and a sentence; `letters` reads them, `replay` brings them back.

mod letters;
mod reason;
mod replay;

use std::collections::BTreeMap;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Result, named_params};

use crate::clock::UnixMillis;
use crate::ids::{LineId, MessageId};
use crate::store::counters::{Counter, Direction};
use crate::store::{Store, StoreError, Tx};

pub use letters::{Chosen, DeadLetter, body, by_id, chosen, count, list, of_message};
pub use reason::{REASONS, Reason};
pub use replay::{Refusal, may_return, replay};

/// One row, or the oldest rows of a line.
macro_rules! bury_in {
    ($which:literal) => {
        concat!(
            "insert into dead_letters (direction, message_id, line_id, portal, connector, line, reason, error, command,
                                       chat, message, body, accepted_at, died_at, attempts, origin)
             select 'in', m.id, m.line_id, portals.name, m.connector, lines.line, :reason, :error, m.command,
                    m.chat, m.message, m.body, m.accepted_at, :now, m.attempts, m.origin
               from (select * from queue where ",
            $which,
            ") m
               join lines on lines.id = m.line_id
               join portals on portals.id = lines.portal_id
              order by m.id
             returning connector"
        )
    };
}

/// What an outgoing message names stands in its body; one that can't be read is known by its line alone.
macro_rules! bury_out {
    ($which:literal) => {
        concat!(
            "insert into dead_letters (direction, message_id, line_id, portal, connector, line, reason, error, command,
                                       chat, message, body, accepted_at, died_at, attempts, progress, origin)
             select 'out', m.id, m.line_id, portals.name, coalesce(json ->> 'connector', lines.connector), lines.line,
                    :reason, :error, coalesce(json ->> 't', 'out'), m.chat, coalesce(json ->> 'im_message', ''), m.body,
                    m.accepted_at, :now, m.attempts, m.progress, m.origin
               from (select *, case when json_valid(cast(body as text)) then cast(body as text) end as json
                       from outbox where ",
            $which,
            ") m
               join lines on lines.id = m.line_id
               join portals on portals.id = lines.portal_id
              order by m.id
             returning connector"
        )
    };
}

const BURY_IN: &str = bury_in!("id = :id");
const BURY_OUT: &str = bury_out!("id = :id");
const BURY_LINE_IN: &str = bury_in!("line_id = :line and command <> :spared order by id limit :limit");
const BURY_LINE_OUT: &str = bury_out!("line_id = :line and :spared is not null order by id limit :limit");

/// The same rows as were copied: nothing comes between in a transaction.
const DELETE_LINE_IN: &str = "
    delete from queue
     where id in (select id from queue where line_id = :line and command <> :spared order by id limit :limit)";
const DELETE_LINE_OUT: &str = "
    delete from outbox
     where id in (select id from outbox where line_id = :line and :spared is not null order by id limit :limit)";

/// Moves one row of the queue or the outbox into dead letters; false when it is gone already.
pub fn bury(tx: &mut Tx<'_>, direction: Direction, id: MessageId, reason: Reason, error: &str) -> Result<bool> {
    let (copy, delete) = match direction {
        Direction::In => (BURY_IN, "delete from queue where id = :id"),
        Direction::Out => (BURY_OUT, "delete from outbox where id = :id"),
    };
    let db = tx.db();
    let params = named_params! {":id": id.0, ":reason": reason.as_str(), ":error": error, ":now": tx.now.0};
    let copied = db.prepare_cached(copy)?.query_row(params, |row| row.get::<_, String>(0)).optional()?;
    let Some(connector) = copied else { return Ok(false) };
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
    let (copy, delete) = match direction {
        Direction::In => (BURY_LINE_IN, DELETE_LINE_IN),
        Direction::Out => (BURY_LINE_OUT, DELETE_LINE_OUT),
    };
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut moved = 0;
    let mut connectors: BTreeMap<String, i64> = BTreeMap::new();
    let mut copy = tx.db().prepare_cached(copy)?;
    let mut rows = copy.query(named_params! {
        ":line": line.0, ":spared": reason.spares(), ":limit": limit,
        ":reason": reason.as_str(), ":error": error, ":now": tx.now.0,
    })?;
    while let Some(row) = rows.next()? {
        *connectors.entry(row.get(0)?).or_default() += 1;
        moved += 1;
    }
    drop(rows);
    drop(copy);
    tx.db().prepare_cached(delete)?.execute(named_params! {
        ":line": line.0, ":spared": reason.spares(), ":limit": limit,
    })?;
    for (connector, count) in connectors {
        tx.deltas.add(Counter::Dead, &connector, direction, reason.as_str(), count);
    }
    Ok(moved)
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

/// The writing connection of a server or a command that keeps dead letters for `keep`. With "0" whatever it makes a dead
/// letter is counted and gone at once, in the same transaction, whoever gave it up.
pub fn writing(store: &Store, keep: Duration) -> std::result::Result<Connection, StoreError> {
    let db = store.writing()?;
    if keep.is_zero() {
        db.execute_batch(
            "create temp trigger keep_none after insert on main.dead_letters
             begin delete from dead_letters where id = new.id; end",
        )?;
    }
    Ok(db)
}

/// Deletes these dead letters for good, whatever their age; returns how many were there.
pub fn purge(tx: &Tx<'_>, ids: &[i64]) -> Result<usize> {
    let mut delete = tx.db().prepare_cached("delete from dead_letters where id = :id and replayed_at is null")?;
    let mut gone = 0;
    for id in ids {
        gone += delete.execute(named_params! {":id": id})?;
    }
    Ok(gone)
}
