//! The outbox, portal → channel: push, the head of a chat's lane, settle, postpone. Every function that writes takes a
//! [`Tx`] and changes the counters with the rows (promise 4).

pub mod body;
mod list;

use rusqlite::{Connection, OptionalExtension, Result, named_params};
use sha2::{Digest, Sha256};

use crate::clock::UnixMillis;
use crate::fault;
use crate::ids::{LineId, MessageId};
use crate::message::{Outgoing, OutgoingKind};
use crate::queue::Mark;
use crate::store::counters::{Counter, Direction};
use crate::store::{Tx, deliveries};

pub use list::{Listed, by_id, list, stored};

/// One chat of one line: its messages leave one after another.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Lane {
    /// Line.
    pub line: LineId,
    /// Chat as the portal knows it.
    pub chat: String,
}

/// One row.
#[derive(Clone, Debug)]
pub struct Waiting {
    /// Row.
    pub id: MessageId,
    /// Encoded body.
    pub body: Vec<u8>,
    /// Parts that have left, encoded.
    pub progress: String,
    /// When it was accepted, or came back from the dead letters: its time to live runs from here.
    pub accepted_at: UnixMillis,
    /// Tries that failed.
    pub attempts: u32,
    /// Not before.
    pub due_at: UnixMillis,
}

impl Waiting {
    /// Until when it still has to wait; nothing when its time has come. One that was accepted in the future is due: the
    /// clock was set back while the server was off, and what was noted by the old time means nothing.
    pub fn due(&self, now: UnixMillis) -> Option<UnixMillis> {
        (self.due_at > now && self.accepted_at <= now).then_some(self.due_at)
    }
}

/// What tells a portal's repeat from a new command; `None` where a repeat can't be told (edits: the same text may come
/// again with good reason, and applying it twice changes nothing).
fn event_key(message: &Outgoing) -> Option<String> {
    if message.im.message_id.is_empty() {
        return None;
    }
    match &message.kind {
        OutgoingKind::Send { .. } => Some(format!("send {}", message.im.message_id)),
        OutgoingKind::Delete { id } => {
            let digest = Sha256::digest(id.as_bytes());
            Some(format!("delete {} {digest:02x?}", message.im.message_id))
        }
        OutgoingKind::Update { .. } | OutgoingKind::Typing => None,
    }
}

const PUSH: &str = "
    insert into outbox (line_id, chat, body, accepted_at, due_at) values (:line, :chat, :body, :now, :now)";

/// Accepts one command of a portal; `None` when it is a repeat (promise 2).
pub fn push(tx: &mut Tx<'_>, line: LineId, message: &Outgoing) -> Result<Option<MessageId>> {
    if let Some(key) = event_key(message)
        && !Mark::new(Direction::Out, line, &key, &message.im.message_id).is_first(tx)?
    {
        tx.deltas.add(Counter::Repeated, &message.connector, Direction::Out, "", 1);
        return Ok(None);
    }
    tx.db().prepare_cached(PUSH)?.execute(named_params! {
        ":line": line.0, ":chat": message.chat, ":body": body::encode(message), ":now": tx.now.0,
    })?;
    let id = MessageId(tx.db().last_insert_rowid());
    fault::point("after outbox insert");
    tx.deltas.add(Counter::Accepted, &message.connector, Direction::Out, "", 1);
    Ok(Some(id))
}

/// A deletion was given up: the portal shows the message again, and an operator who deletes it once more means it. A
/// message that was given up is a dead letter, which is replayed instead.
pub fn may_come_again(tx: &Tx<'_>, line: LineId, message: &Outgoing) -> Result<()> {
    match (&message.kind, event_key(message)) {
        (OutgoingKind::Delete { .. }, Some(key)) => {
            Mark::new(Direction::Out, line, &key, &message.im.message_id).forget(tx)
        }
        _ => Ok(()),
    }
}

/// Oldest of the lane. Index: `outbox_lane_idx`.
const HEAD: &str = "
    select id, body, progress, coalesce(replayed_at, accepted_at) as accepted_at, attempts, due_at
      from outbox
     where line_id = :line and chat = :chat
     order by id
     limit 1";

/// The message whose turn it is in a lane.
pub fn head(db: &Connection, lane: &Lane) -> Result<Option<Waiting>> {
    db.prepare_cached(HEAD)?
        .query_row(named_params! {":line": lane.line.0, ":chat": lane.chat}, |row| {
            Ok(Waiting {
                id: MessageId(row.get("id")?),
                body: row.get("body")?,
                progress: row.get("progress")?,
                accepted_at: UnixMillis(row.get("accepted_at")?),
                attempts: row.get("attempts")?,
                due_at: UnixMillis(row.get("due_at")?),
            })
        })
        .optional()
}

const LANES: &str = "select distinct line_id, chat from outbox order by line_id, chat limit 1000000";

/// Every lane that has something to send.
pub fn lanes(db: &Connection) -> Result<Vec<Lane>> {
    db.prepare_cached(LANES)?
        .query_map([], |row| Ok(Lane { line: LineId(row.get("line_id")?), chat: row.get("chat")? }))?
        .collect()
}

/// Removes a message that the channel has taken; false when it is gone already.
pub fn settle(tx: &mut Tx<'_>, id: MessageId, connector: &str) -> Result<bool> {
    fault::point("after taking");
    let line: Option<i64> = tx
        .db()
        .prepare_cached("delete from outbox where id = :id returning line_id")?
        .query_row(named_params! {":id": id.0}, |row| row.get(0))
        .optional()?;
    let Some(line) = line else { return Ok(false) };
    deliveries::note(tx, LineId(line), Direction::Out, [id].into_iter())?;
    tx.deltas.add(Counter::Confirmed, connector, Direction::Out, "", 1);
    Ok(true)
}

const POSTPONE: &str = "
    update outbox set due_at = :due, attempts = attempts + :spent, progress = :progress where id = :id";

/// Puts a message off until `due`. `spent` is false when the channel itself asked for the wait.
pub fn postpone(tx: &Tx<'_>, id: MessageId, due: UnixMillis, spent: bool, progress: &str) -> Result<()> {
    tx.db()
        .prepare_cached(POSTPONE)?
        .execute(named_params! {":due": due.0, ":spent": i64::from(spent), ":progress": progress, ":id": id.0})
        .map(drop)
}

/// Keeps what the last try came to.
pub fn note_error(tx: &Tx<'_>, id: MessageId, error: &str) -> Result<()> {
    tx.db()
        .prepare_cached("update outbox set last_error = :error where id = :id")?
        .execute(named_params! {":error": error, ":id": id.0})
        .map(drop)
}

/// Messages that wait for one line's channel.
pub fn count(db: &Connection, line: LineId) -> Result<i64> {
    db.prepare_cached("select count(*) from outbox where line_id = :line")?
        .query_row(named_params! {":line": line.0}, |row| row.get(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_waits_as_long_as_it_was_put_off_unless_the_clock_was_set_back() {
        let at = |secs: i64| UnixMillis(1_500_000_000_000 + secs * 1000);
        let waiting = |due_at| Waiting {
            id: MessageId(1),
            body: vec![],
            progress: String::new(),
            accepted_at: at(0),
            attempts: 1,
            due_at,
        };
        assert_eq!(waiting(at(8)).due(at(2)), Some(at(8)));
        assert_eq!(waiting(at(8)).due(at(8)), None);
        assert_eq!(waiting(at(0)).due(at(-86_400)), None, "never put off");
        assert_eq!(waiting(at(8)).due(at(-86_400)), None, "accepted tomorrow");
    }
}
