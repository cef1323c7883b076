//! One portal's outage, played: what is tried when, what is lost when, what happens when it is over.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::{SimulateError, Stage};
use crate::clock::{Clock, UnixMillis};
use crate::ids::LineId;
use crate::net::{Answer, Call, Net, NetError};
use crate::sender;
use crate::store::counters::{self, Accounting};
use crate::store::directory;

/// A portal that can be away and back.
#[derive(Debug, Default)]
struct Away(AtomicBool);

impl Net for Away {
    fn call(&self, _: Call) -> Result<Answer, NetError> {
        if self.0.load(Ordering::SeqCst) {
            return Err(NetError::Connect("nobody listens there".into()));
        }
        Ok(Answer { status: 200, headers: vec![], body: br#"{"OK":true,"DATA":[]}"#.to_vec() })
    }
}

/// An outage to be played.
#[derive(Clone, Copy, Debug)]
pub struct Outage {
    /// How long the portal is away.
    pub lasts: Duration,
    /// Messages come in evenly, so many an hour, from its beginning to its end.
    pub messages_per_hour: u64,
}

impl Outage {
    /// When each message comes in, and its name; at least one does.
    fn arrivals(self, start: UnixMillis) -> impl Iterator<Item = (UnixMillis, String)> {
        let hour = 3_600_000_u128;
        let messages = self.lasts.as_millis() * u128::from(self.messages_per_hour) / hour;
        (0..messages.max(1)).map(move |number| {
            let after = number * hour / u128::from(self.messages_per_hour.max(1));
            let at = start.plus(Duration::from_millis(u64::try_from(after).unwrap_or(u64::MAX)));
            (at, format!("message {number}"))
        })
    }
}

/// What happened at one moment of the outage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Happened {
    /// Attempt `number` was not confirmed; the line is blocked until then.
    Blocked {
        /// Failed attempts so far.
        number: u32,
        /// End of the block.
        until: UnixMillis,
    },
    /// The schedule was over: so many messages became dead letters.
    Expired {
        /// How many.
        messages: i64,
    },
    /// The portal answers again.
    Back,
    /// A packet was confirmed after the trouble.
    Recovered,
    /// Nothing waits any more.
    Empty {
        /// Confirmed since the portal was back.
        confirmed: i64,
    },
}

/// A moment with what happened, and what waited then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// When.
    pub at: UnixMillis,
    /// What.
    pub what: Happened,
    /// Messages that wait after it.
    pub queued: i64,
}

/// How an outage went.
#[derive(Clone, Debug)]
pub struct Played {
    /// In order of time.
    pub entries: Vec<Entry>,
    /// At the end.
    pub sums: Accounting,
}

/// Plays `outage` from the moment `start` until nothing waits any more.
pub fn play(start: UnixMillis, outage: Outage, options: sender::Options) -> Result<Played, SimulateError> {
    let portal = Arc::new(Away::default());
    portal.0.store(true, Ordering::SeqCst);
    let mut stage = Stage::new(start, portal.clone(), options)?;
    let line = stage.line("portal.test", "1", "23.100.0")?;
    let db = stage.store.reading()?;
    let mut watch = Watch { db, line, attempts: 0, until: None, dead: 0, entries: Vec::new() };
    let end = start.plus(outage.lasts);
    let mut arrivals = outage.arrivals(start).peekable();
    // The clock stops at every timer and every arrival; what arrives while the line pauses changes nothing until the
    // next of them, so it comes in at one go.
    loop {
        let timer = stage.sender.next_timer();
        let away = portal.0.load(Ordering::SeqCst);
        let turn = [timer, away.then_some(end)].into_iter().flatten().min();
        let pauses = watch.until.is_some_and(|until| until > stage.clock.now());
        let mut came = Vec::new();
        while let Some(arrival) = arrivals.next_if(|(at, _)| match turn {
            Some(turn) => *at <= turn && (pauses || came.is_empty()),
            None => came.is_empty(),
        }) {
            came.push(arrival);
        }
        let Some(next) = came.last().map(|(at, _)| *at).or(turn) else { break };
        if next > stage.clock.now() {
            stage.clock.set(next);
        }
        if away && next >= end {
            portal.0.store(false, Ordering::SeqCst);
            watch.note(&stage, Happened::Back)?;
        }
        if !came.is_empty() {
            stage.push_all(line, came)?;
        }
        stage.settle()?;
        watch.look(&stage)?;
    }
    let sums = stage.sums()?;
    watch.note(&stage, Happened::Empty { confirmed: sums.confirmed })?;
    Ok(Played { entries: watch.entries, sums })
}

/// Turns what the database says of the line into entries.
struct Watch {
    db: rusqlite::Connection,
    line: LineId,
    attempts: u32,
    until: Option<UnixMillis>,
    dead: i64,
    entries: Vec<Entry>,
}

impl Watch {
    fn note(&mut self, stage: &Stage, what: Happened) -> Result<(), SimulateError> {
        let queued = counters::accounting(&self.db)?.queued;
        self.entries.push(Entry { at: stage.clock.now(), what, queued });
        Ok(())
    }

    /// Notes what has changed of the line's block since the last look.
    fn look(&mut self, stage: &Stage) -> Result<(), SimulateError> {
        let Some(line) = directory::line_by_id(&self.db, self.line)? else { return Ok(()) };
        if (line.attempts, line.blocked_until) == (self.attempts, self.until) {
            return Ok(());
        }
        (self.attempts, self.until) = (line.attempts, line.blocked_until);
        let dead = counters::accounting(&self.db)?.dead;
        let expired = dead - std::mem::replace(&mut self.dead, dead);
        if expired > 0 {
            self.note(stage, Happened::Expired { messages: expired })?;
        }
        match line.blocked_until {
            Some(until) => self.note(stage, Happened::Blocked { number: line.attempts, until }),
            None if expired > 0 => Ok(()),
            None => self.note(stage, Happened::Recovered),
        }
    }
}
