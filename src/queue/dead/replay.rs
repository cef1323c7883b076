//! Bringing dead letters back.
//!
//! A replayed letter enters queue or outbox as a new row: the new id is its nonce. Repeats are told by `seen` before a row
//! is made, and a replay makes its row without asking there, so nothing swallows it; and because the letter is marked in
//! the same transaction, asking twice brings it back once. It stands behind what waits already, in the order in which the
//! letters were accepted, and keeps the time at which it was accepted: that is what a customer's date and a listing say.
//! How long it waits is counted from its return.
//!
//! The counters only grow. The first life has ended as `dead`, so the second one counts as `accepted` once more, and
//! accepted = queued + confirmed + dead holds before, between and after; `replayed` counts the second lives, and
//! accepted − replayed is what channels and portals have really sent.

use std::fmt;

use rusqlite::{Connection, Result, named_params};

use super::{DeadLetter, by_id};
use crate::clock::UnixMillis;
use crate::ids::{LineId, MessageId};
use crate::queue::body;
use crate::records::LineState;
use crate::store::counters::{Counter, Direction};
use crate::store::{Tx, directory};

/// Why a dead letter can't come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It is not there any more: purged, or kept long enough.
    Gone,
    /// It came back already.
    Replayed {
        /// When.
        at: UnixMillis,
        /// Under which id.
        id: MessageId,
    },
    /// Its line was removed.
    LineGone(LineId),
    /// Its line has lost its bot, group or page to another one.
    TakenOver(LineId),
    /// It told a portal that its connection had ended: said today, it would switch off one that works.
    Deactivation,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gone => f.write_str("it is not there any more"),
            Self::Replayed { at, id } => write!(f, "it was replayed at {} as message {id}", at.rfc3339()),
            Self::LineGone(line) => {
                write!(
                    f,
                    "line {line} was removed; `trunkline dead export` keeps its words, a replay has nowhere to go"
                )
            }
            Self::TakenOver(line) => {
                write!(
                    f,
                    "another line has taken the bot, group or page of line {line}; connect line {line} again first"
                )
            }
            Self::Deactivation => f.write_str("it told a portal that its connection had ended, which is not true now"),
        }
    }
}

/// Whether a letter could come back now.
pub fn may_return(db: &Connection, id: i64) -> Result<std::result::Result<DeadLetter, Refusal>> {
    let Some(letter) = by_id(db, id)? else { return Ok(Err(Refusal::Gone)) };
    if let Some((at, id)) = letter.replayed {
        return Ok(Err(Refusal::Replayed { at, id }));
    }
    if letter.command == "deactivated" {
        return Ok(Err(Refusal::Deactivation));
    }
    Ok(match directory::line_by_id(db, letter.line)? {
        None => Err(Refusal::LineGone(letter.line)),
        Some(line) if line.state == LineState::TakenOver => Err(Refusal::TakenOver(letter.line)),
        Some(_) => Ok(letter),
    })
}

const RETURN_IN: &str = "
    insert into queue (line_id, connector, command, chat, message, files, body, accepted_at, origin, replayed_at)
    select line_id, connector, command, chat, message, :files, body, accepted_at, coalesce(origin, message_id), :now
      from dead_letters
     where id = :id";

const RETURN_OUT: &str = "
    insert into outbox (line_id, chat, body, progress, accepted_at, due_at, origin, replayed_at)
    select line_id, chat, body, progress, accepted_at, :now, coalesce(origin, message_id), :now
      from dead_letters
     where id = :id";

const MARK: &str = "
    update dead_letters set replayed_at = :now, replayed_as = :as, body = x'' where id = :id";

/// Brings one dead letter back; gives the letter and its new id.
pub fn replay(tx: &mut Tx<'_>, id: i64) -> Result<std::result::Result<(DeadLetter, MessageId), Refusal>> {
    let letter = match may_return(tx.db(), id)? {
        Ok(letter) => letter,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let db = tx.db();
    match letter.direction {
        Direction::In => {
            let stored = super::body(db, id)?.unwrap_or_default();
            let files = body::decode(&stored).map_or(0, |body| crate::queue::files(&body));
            db.prepare_cached(RETURN_IN)?.execute(named_params! {
                ":id": id, ":files": i64::try_from(files).unwrap_or(i64::MAX), ":now": tx.now.0,
            })?;
        }
        Direction::Out => {
            db.prepare_cached(RETURN_OUT)?.execute(named_params! {":id": id, ":now": tx.now.0})?;
        }
    }
    let new = MessageId(db.last_insert_rowid());
    db.prepare_cached(MARK)?.execute(named_params! {":id": id, ":as": new.0, ":now": tx.now.0})?;
    tx.deltas.add(Counter::Accepted, &letter.connector, letter.direction, "", 1);
    tx.deltas.add(Counter::Replayed, &letter.connector, letter.direction, "", 1);
    Ok(Ok((letter, new)))
}
