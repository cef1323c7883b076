//! What happens at the desk, told to whoever asked: subscribers inside the program, and an HTTP hook for programs in
//! other languages. The names are those of a portal's module.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Connection, OptionalExtension, Transaction, named_params};
use serde_json::{Value as Json, json};

use super::Office;
use crate::clock::UnixMillis;

/// What has happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// A customer wrote.
    Message,
    /// A customer edited.
    MessageUpdate,
    /// A customer deleted.
    MessageDelete,
    /// Something that comments are written under came.
    Post,
    /// It was edited.
    PostUpdate,
    /// The channel has an operator's message.
    StatusDelivery,
    /// The customer has read up to a message.
    StatusReading,
    /// An operator's message never reached the channel.
    Failure,
    /// A line was connected with a channel.
    AddStatus,
    /// That connection changed, as by a deactivation.
    UpdateStatus,
    /// It has ended.
    DeleteStatus,
}

impl EventKind {
    /// Its name, as portals have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Message => "OnReceivedMessage",
            Self::MessageUpdate => "OnReceivedMessageUpdate",
            Self::MessageDelete => "OnReceivedMessageDel",
            Self::Post => "OnReceivedPost",
            Self::PostUpdate => "OnReceivedPostUpdate",
            Self::StatusDelivery => "OnReceivedStatusDelivery",
            Self::StatusReading => "OnReceivedStatusReading",
            Self::Failure => "OnReceivedError",
            Self::AddStatus => "OnAddStatusConnector",
            Self::UpdateStatus => "OnUpdateStatusConnector",
            Self::DeleteStatus => "OnDeleteStatusConnector",
        }
    }
}

/// Something that has happened and is already in the desk's file.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// What.
    pub kind: EventKind,
    /// When.
    pub at: UnixMillis,
    /// Connector id, virtual where there is one.
    pub connector: String,
    /// Line.
    pub line: String,
    /// Conversation, where it is about one.
    pub talk: Option<i64>,
    /// Message, where it is about one the desk has.
    pub message: Option<i64>,
    /// More of it, by kind: `{"user":{"id","name"},"chat","text","files":[{"name","url"}]}` of customers' messages,
    /// `{"external":[…]}` of deliveries, `{"why"}` of failures, `{"connected","error"}` of connections.
    pub data: Json,
}

impl Event {
    /// As the hook posts it: `{"type":"OnReceivedMessage","timestamp":RFC 3339,"data":{"connector","line","talk",
    /// "message", …}}`.
    pub fn to_json(&self) -> Json {
        let mut data = json!({"connector": self.connector, "line": self.line, "talk": self.talk,
            "message": self.message});
        if let (Some(all), Some(more)) = (data.as_object_mut(), self.data.as_object()) {
            all.extend(more.clone());
        }
        json!({"type": self.kind.name(), "timestamp": self.at.rfc3339(), "data": data})
    }
}

/// Is told of events, in order for each conversation, on the thread that brought them; it must not block for long.
pub trait Subscriber: Send + Sync {
    /// One event. What it does can't undo what has happened.
    fn on(&self, event: &Event);
}

impl<F: Fn(&Event) + Send + Sync> Subscriber for F {
    fn on(&self, event: &Event) {
        self(event);
    }
}

/// Everybody who asked.
#[derive(Default)]
pub(super) struct Subscribers(Mutex<Vec<Arc<dyn Subscriber>>>);

impl fmt::Debug for Subscribers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Subscribers")
    }
}

/// Events that wait for the hook; the newest are refused beyond that, a hook that is away for good must not fill a disk.
const WAITING_MAX: i64 = 100_000;

// Only the oldest ever goes, so those that wait have consecutive ids and need no counting.
const KEEP: &str = "insert into events (at, body, due) select :at, :body, :at
    where (select coalesce(max(id), 0) from events) - (select coalesce(min(id), 1) from events) < :max - 1";
const OLDEST: &str = "select id, body, attempts, due from events order by id limit 1";
const LATER: &str = "update events set attempts = attempts + 1, due = :due where id = :id";
const DONE: &str = "delete from events where id = :id";

/// An event that the hook has not taken yet.
#[derive(Debug)]
pub(super) struct Waiting {
    pub id: i64,
    pub body: String,
    pub attempts: u32,
    pub due: UnixMillis,
}

/// The oldest event that the hook has not taken.
pub(super) fn oldest(db: &Connection) -> rusqlite::Result<Option<Waiting>> {
    let read = |row: &rusqlite::Row<'_>| {
        Ok(Waiting {
            id: row.get("id")?,
            body: row.get("body")?,
            attempts: row.get("attempts")?,
            due: UnixMillis(row.get("due")?),
        })
    };
    db.prepare_cached(OLDEST)?.query_row([], read).optional()
}

/// The hook has an event, or never will.
pub(super) fn done(tx: &Transaction<'_>, id: i64) -> rusqlite::Result<()> {
    tx.prepare_cached(DONE)?.execute(named_params! {":id": id}).map(drop)
}

/// The hook did not take an event.
pub(super) fn later(tx: &Transaction<'_>, id: i64, due: UnixMillis) -> rusqlite::Result<()> {
    tx.prepare_cached(LATER)?.execute(named_params! {":id": id, ":due": due.0}).map(drop)
}

impl Office {
    /// Tells `subscriber` of every event from now on.
    pub fn subscribe(&self, subscriber: impl Subscriber + 'static) {
        self.subscribers.0.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::new(subscriber));
    }

    /// Keeps events for the hook, in the transaction that brings them about.
    pub(super) fn keep_events(&self, tx: &Transaction<'_>, events: &[Event]) -> rusqlite::Result<()> {
        if self.hook.is_none() {
            return Ok(());
        }
        let mut keep = tx.prepare_cached(KEEP)?;
        for event in events {
            let body = event.to_json().to_string();
            let kept = keep.execute(named_params! {":at": event.at.0, ":body": body, ":max": WAITING_MAX})?;
            if kept == 0 {
                log::warn!("an event is not told to the hook: too many wait for it");
            }
        }
        Ok(())
    }

    /// Tells subscribers, once the transaction is committed, and wakes whoever calls the hook.
    pub(super) fn publish(&self, events: &[Event]) {
        // Copied, because a subscriber may act on the desk, which tells subscribers.
        let subscribers = self.subscribers.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for event in events {
            for subscriber in &subscribers {
                subscriber.on(event);
            }
        }
        if !events.is_empty() {
            self.errands.ring();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desk::office::tests::plan;

    #[test]
    fn events_wait_up_to_a_limit_that_costs_nothing_to_know() {
        assert!(!plan(KEEP).contains("SCAN events"), "{}", plan(KEEP));
        let db = Connection::open_in_memory().unwrap();
        db.execute_batch(include_str!("schema.sql")).unwrap();
        let keep = || db.execute(KEEP, named_params! {":at": 0, ":body": "{}", ":max": 2}).unwrap();
        assert_eq!([keep(), keep(), keep()], [1, 1, 0]);
        for _ in 0..2 {
            let oldest = oldest(&db).unwrap().unwrap();
            db.execute(DONE, named_params! {":id": oldest.id}).unwrap();
            assert_eq!([keep(), keep()], [1, 0]);
        }
        db.execute("delete from events", []).unwrap();
        assert_eq!([keep(), keep(), keep()], [1, 1, 0], "also where none is left");
    }
}
