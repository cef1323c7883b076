//! Sums that live in the database and change in the same transaction as the rows they count (promise 4).

use std::collections::BTreeMap;

use rusqlite::{Connection, Transaction, named_params};

/// Which way a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Direction {
    /// Channel to portal.
    In,
    /// Portal to channel.
    Out,
}

impl Direction {
    /// As it is stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::In => "in",
            Self::Out => "out",
        }
    }
}

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Counter {
    /// Stored for delivery.
    Accepted,
    /// Confirmed by the portal, or taken by the channel.
    Confirmed,
    /// Became a dead letter.
    Dead,
    /// Came back from the dead letters; counted as accepted once more.
    Replayed,
    /// Was there already: a platform's or portal's repeat.
    Repeated,
    /// Posted again although an earlier post may have arrived: the portal may show it twice.
    MaybeTwice,
    /// The portal said OK but its `setStatusDelivered` never came.
    StatusMissing,
}

impl Counter {
    /// As it is stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Confirmed => "confirmed",
            Self::Dead => "dead",
            Self::Replayed => "replayed",
            Self::Repeated => "repeated",
            Self::MaybeTwice => "maybe_twice",
            Self::StatusMissing => "status_missing",
        }
    }
}

type Key = (Counter, Direction, &'static str);

/// Changes by connector that wait for the end of the group: one statement for each counter, not for each message.
#[derive(Debug, Default)]
pub struct Deltas(BTreeMap<String, BTreeMap<Key, i64>>);

const ADD: &str = "
    insert into counters (name, connector, direction, class, value)
    values (:name, :connector, :direction, :class, :value)
    on conflict do update set value = value + excluded.value";

impl Deltas {
    /// Adds `by` to a counter; `class` is the reason class of [`Counter::Dead`], else empty.
    pub fn add(&mut self, counter: Counter, connector: &str, direction: Direction, class: &'static str, by: i64) {
        if by == 0 {
            return;
        }
        if !self.0.contains_key(connector) {
            self.0.insert(connector.to_owned(), BTreeMap::new());
        }
        if let Some(changes) = self.0.get_mut(connector) {
            *changes.entry((counter, direction, class)).or_default() += by;
        }
    }

    pub(super) fn absorb(&mut self, other: Self) {
        for (connector, changes) in other.0 {
            let into = self.0.entry(connector).or_default();
            for (key, by) in changes {
                *into.entry(key).or_default() += by;
            }
        }
    }

    pub(super) fn flush(&mut self, tx: &Transaction<'_>) -> rusqlite::Result<()> {
        let mut add = tx.prepare_cached(ADD)?;
        for (connector, changes) in std::mem::take(&mut self.0) {
            for ((counter, direction, class), value) in changes {
                add.execute(named_params! {
                    ":name": counter.as_str(),
                    ":connector": connector,
                    ":direction": direction.as_str(),
                    ":class": class,
                    ":value": value,
                })?;
            }
        }
        Ok(())
    }
}

/// One counter as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// `accepted`, `confirmed` …
    pub name: String,
    /// Real or virtual connector id.
    pub connector: String,
    /// `in`, `out`.
    pub direction: String,
    /// Reason class of `dead`.
    pub class: String,
    /// Sum since the file was made.
    pub value: i64,
}

const ALL: &str = "select name, connector, direction, class, value from counters limit 10000";

/// Every counter.
pub fn all(db: &Connection) -> rusqlite::Result<Vec<Row>> {
    db.prepare_cached(ALL)?
        .query_map([], |row| {
            Ok(Row {
                name: row.get("name")?,
                connector: row.get("connector")?,
                direction: row.get("direction")?,
                class: row.get("class")?,
                value: row.get("value")?,
            })
        })?
        .collect()
}

/// The sum of promise 4 at one instant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Accounting {
    /// Stored for delivery, both ways.
    pub accepted: i64,
    /// Confirmed.
    pub confirmed: i64,
    /// Dead letters made.
    pub dead: i64,
    /// Rows in `queue`.
    pub queued: i64,
    /// Rows in `outbox`.
    pub outbox: i64,
}

impl Accounting {
    /// accepted − (queued + confirmed + dead): zero, or something was lost or counted twice.
    pub fn difference(&self) -> i64 {
        self.accepted - self.confirmed - self.dead - self.queued - self.outbox
    }
}

const ACCOUNT: &str = "
    select (select coalesce(sum(value), 0) from counters where name = 'accepted') as accepted,
           (select coalesce(sum(value), 0) from counters where name = 'confirmed') as confirmed,
           (select coalesce(sum(value), 0) from counters where name = 'dead') as dead,
           (select count(*) from queue) as queued,
           (select count(*) from outbox) as outbox";

/// Reads all five figures in one statement, so that they belong to the same instant. The rows are really counted:
/// a counter of them would agree with the others by construction and prove nothing.
pub fn accounting(db: &Connection) -> rusqlite::Result<Accounting> {
    db.prepare_cached(ACCOUNT)?.query_row([], |row| {
        Ok(Accounting {
            accepted: row.get("accepted")?,
            confirmed: row.get("confirmed")?,
            dead: row.get("dead")?,
            queued: row.get("queued")?,
            outbox: row.get("outbox")?,
        })
    })
}
