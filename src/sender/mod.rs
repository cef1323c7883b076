//! The sender: one thread that owns the state of every line (idle, in flight, blocked until), forms packets and decides
//! what an answer means. Work lives in the database: a lost wake-up costs time, never a message, and stopping between
//! two packets loses nothing. The blocking calls are made by the workers of `pool`.
//!
//! Invariant: at most one packet of a line is in flight, so a line's order is kept (promise 3).

mod bell;
mod giving_up;
mod hand;
mod line;
mod outcome;
pub mod packet;
mod pool;
mod portal;
mod relief;
mod set_clock;
mod trouble;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError};
use rusqlite::Connection;

use crate::clock::{Clock, JumpWatch, UnixMillis};
use crate::fault;
use crate::ids::{LineId, MessageId, PortalId};
use crate::metrics::Metrics;
use crate::net::Net;
use crate::portals::files::Opener;
use crate::portals::protocol;
use crate::queue::blocks::Schedule;
use crate::queue::lost::Tell;
use crate::queue::{self, dead, lost};
use crate::records::{Line, LineState};
use crate::store::counters::{Counter, Direction};
use crate::store::{Store, StoreError, Writer, directory};

use bell::Woken;
pub use bell::{Bell, Ear, Event, channel};

use outcome::Failure;

use line::{Extra, LineTask, Moving};
use packet::{Limits, Next};
use pool::{Job, Pool};
use portal::PortalTask;
use trouble::Plan;

/// Attempts kept for each line.
const ATTEMPTS_KEPT: i64 = 50;

/// Options of the sender; durations as configured.
#[derive(Clone, Debug)]
pub struct Options {
    /// Packet limits.
    pub limits: Limits,
    /// Only `setStatusDelivered` confirms on portals that send it.
    pub by_status: bool,
    /// How long a packet may stay unconfirmed.
    pub confirm_timeout: Duration,
    /// Delivery workers.
    pub workers: usize,
    /// The block table.
    pub schedule: Schedule,
    /// How often a single message may fail alone before it is judged.
    pub poison_attempts: u32,
    /// How a portal is told of customers' messages that were given up; `None` for not at all.
    pub tell: Option<Tell>,
}

/// The loop and everything it owns.
pub struct SenderLoop {
    db: Connection,
    writer: Writer,
    clock: Arc<dyn Clock>,
    options: Options,
    metrics: Metrics,
    bell: Bell,
    events: Receiver<Event>,
    woken: Woken,
    pool: Pool,
    lines: HashMap<LineId, LineTask>,
    portals: HashMap<PortalId, PortalTask>,
    ready: VecDeque<LineId>,
    timers: BinaryHeap<Reverse<(UnixMillis, LineId)>>,
    /// When to look for slow posts; posts that begin later become slow later.
    relief_at: Option<UnixMillis>,
    jumps: JumpWatch,
    stopping: bool,
}

impl std::fmt::Debug for SenderLoop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SenderLoop").field("lines", &self.lines.len()).finish_non_exhaustive()
    }
}

/// What the sender needs from outside.
#[derive(Debug)]
pub struct Parts {
    /// The database.
    pub store: Store,
    /// The writer.
    pub writer: Writer,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// The way out.
    pub net: Arc<dyn Net>,
    /// Opens the channels' protected files.
    pub opener: Arc<dyn Opener>,
    /// Durations.
    pub metrics: Metrics,
}

impl SenderLoop {
    /// Opens a reader, starts the workers and looks for lines that wait.
    pub fn new(parts: Parts, options: Options, bell: Bell, ear: Ear) -> Result<Self, StoreError> {
        let pool = Pool::start(options.workers, &parts.net, &parts.opener, &bell.events)
            .map_err(|why| StoreError::Folder { path: "delivery workers".into(), why })?;
        let jumps = JumpWatch::new(parts.clock.as_ref());
        let mut sender = Self {
            db: parts.store.reading()?,
            writer: parts.writer,
            clock: parts.clock,
            options,
            metrics: parts.metrics,
            bell,
            events: ear.events,
            woken: ear.woken,
            pool,
            lines: HashMap::new(),
            portals: HashMap::new(),
            ready: VecDeque::new(),
            timers: BinaryHeap::new(),
            relief_at: None,
            jumps,
            stopping: false,
        };
        sender.rescan()?;
        Ok(sender)
    }

    /// Runs until [`Event::Stop`], then lets what is in flight finish.
    pub fn run(mut self) -> Result<(), StoreError> {
        self.step()?;
        loop {
            let event = match self.until_timer() {
                None => self.events.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(wait) => self.events.recv_timeout(wait),
            };
            match event {
                Ok(event) => self.handle(event)?,
                Err(RecvTimeoutError::Timeout) => (),
                Err(RecvTimeoutError::Disconnected) => break,
            }
            self.step()?;
            if self.stopping
                && self.lines.values().all(|line| line.flight.as_ref().is_none_or(|flight| flight.answered))
            {
                break;
            }
        }
        self.pool.stop();
        Ok(())
    }

    /// Handles every event that waits, fires due timers and hands out packets. Does not wait; tests drive the sender
    /// with it on a manual clock.
    pub fn step(&mut self) -> Result<(), StoreError> {
        self.watch_clock();
        while let Ok(event) = self.events.try_recv() {
            self.handle(event)?;
        }
        let now = self.clock.now();
        while let Some(Reverse((at, line))) = self.timers.peek().copied()
            && at <= now
        {
            self.timers.pop();
            self.timer(line, now);
        }
        self.hand_out()
    }

    fn until_timer(&self) -> Option<Duration> {
        let timer = self.timers.peek().map(|Reverse((at, _))| *at);
        let relief = self.relief_at.filter(|_| self.is_starving());
        let at = [timer, relief].into_iter().flatten().min()?;
        // A millisecond more: the clock counts whole ones, and waking too early would spin.
        Some(at.since(self.clock.now()) + Duration::from_millis(1))
    }

    fn handle(&mut self, event: Event) -> Result<(), StoreError> {
        self.watch_clock();
        match event {
            Event::Wake => {
                for line in self.woken.take() {
                    self.wake(line)?;
                }
            }
            Event::Done { line, result } => self.done(line, result),
            Event::Status { line, connector, named, done } => self.status(line, &connector, &named, done)?,
            Event::Alive(portal) => self.alive(portal),
            Event::Buried(line, moved) => self.buried(line, moved),
            Event::Written(line) => self.written(line),
            Event::NotWritten(line) => {
                if let Some(task) = self.lines.get_mut(&line) {
                    task.after = MessageId(0);
                    task.writes = task.writes.saturating_sub(1);
                    (task.pending, task.moving) = (true, None);
                    self.timers.push(Reverse((self.clock.now().plus(Duration::from_secs(1)), line)));
                }
            }
            Event::Changed => self.changed()?,
            Event::Tick => (),
            Event::Ping(answer) => {
                let _ = answer.try_send(());
            }
            Event::Stop => self.stopping = true,
        }
        Ok(())
    }

    fn rescan(&mut self) -> Result<(), StoreError> {
        for line in queue::waiting_lines(&self.db)? {
            self.wake(line)?;
        }
        for line in lost::lines(&self.db)? {
            self.load(line)?;
            self.loss(line);
        }
        Ok(())
    }

    /// Loads the line when it is new here; false when it does not exist any more.
    fn load(&mut self, id: LineId) -> Result<bool, StoreError> {
        if self.lines.contains_key(&id) {
            return Ok(true);
        }
        let Some(record) = directory::line_by_id(&self.db, id)? else { return Ok(false) };
        let stored = record.blocked_until;
        let record = self.mended(record);
        let is_changed = record.blocked_until != stored;
        if !self.portals.contains_key(&record.portal) {
            let Some(portal) = directory::portal_by_id(&self.db, record.portal)? else { return Ok(false) };
            self.portals.insert(record.portal, PortalTask::new(portal));
        }
        self.watch_block(&record);
        self.lines.insert(id, LineTask::new(record));
        if is_changed {
            // What is shown elsewhere is what happens here.
            self.save_block(id, Vec::new(), None);
        }
        Ok(true)
    }

    /// Sets the timer of a block and lists the line among the portal's blocked ones, or takes it off the list.
    fn watch_block(&mut self, record: &Line) {
        let portal = self.portals.get_mut(&record.portal);
        if let Some(until) = record.blocked_until {
            self.timers.push(Reverse((until, record.id)));
            portal.map(|portal| portal.blocked.insert(record.id));
        } else {
            portal.map(|portal| portal.blocked.remove(&record.id));
        }
    }

    fn wake(&mut self, id: LineId) -> Result<(), StoreError> {
        let now = self.clock.now();
        if self.load(id)?
            && let Some(task) = self.lines.get_mut(&id)
        {
            task.pending = true;
            if task.trouble.wants_evidence() {
                // The new message may be the one that shows whether others pass, right after the suspect's next failure:
                // what it failed of long ago may be over.
                task.allow_extra(Extra::Lifted, now);
            }
            self.consider(id);
        }
        Ok(())
    }

    /// A sign of life: the portal's blocked lines try again at once, each at most once a minute, and it hears what they
    /// have lost.
    fn alive(&mut self, id: PortalId) {
        let now = self.clock.now();
        self.tell_losses(id);
        let Some(portal) = self.portals.get(&id).filter(|portal| !portal.blocked.is_empty()) else { return };
        let lines: Vec<LineId> = portal.blocked.iter().copied().collect();
        for id in lines {
            if self.lines.get_mut(&id).is_some_and(|task| task.allow_extra(Extra::Lifted, now)) {
                self.consider(id);
            }
        }
    }

    /// Reads the row again when somebody else has changed it and nothing of ours is on its way to it.
    fn refresh(&mut self, id: LineId) {
        let Some(task) = self.lines.get_mut(&id) else { return };
        if !task.stale || task.writes > 0 || task.flight.is_some() || task.moving.is_some() {
            return;
        }
        match directory::line_by_id(&self.db, id) {
            Ok(Some(record)) => {
                let record = self.mended(record);
                let Some(task) = self.lines.get_mut(&id) else { return };
                (task.stale, task.emptied, task.record) = (false, false, record.clone());
                self.watch_block(&record);
            }
            Ok(None) => {
                let portal = task.record.portal;
                self.lines.remove(&id);
                self.portals.get_mut(&portal).map(|portal| portal.blocked.remove(&id));
            }
            Err(error) => log::error!(line:% = id, error:% = error; "a line can't be read"),
        }
    }

    /// Puts the line among the ready ones when it may post.
    fn consider(&mut self, id: LineId) {
        self.refresh(id);
        let now = self.clock.now();
        if let Some(task) = self.lines.get_mut(&id)
            && task.may_post(now)
        {
            task.waits_turn = true;
            task.ready_at = now;
            self.ready.push_back(id);
        }
    }

    fn hand_out(&mut self) -> Result<(), StoreError> {
        self.relieve();
        // A portal may hold a quarter of the workers, so that a black hole with many lines leaves room for the others.
        let share = (self.options.workers / 4).max(1);
        while self.pool.free > 0 && !self.stopping {
            let Some(id) = self.ready.pop_front() else { return Ok(()) };
            let Some(task) = self.lines.get_mut(&id) else { continue };
            let Some(portal) = self.portals.get_mut(&task.record.portal) else { continue };
            if !portal.has_room(share) {
                portal.parked.push_back(id);
                continue;
            }
            task.waits_turn = false;
            self.post(id)?;
        }
        Ok(())
    }

    /// Forms the next packet of a ready line and gives it to a worker.
    fn post(&mut self, id: LineId) -> Result<(), StoreError> {
        let now = self.clock.now();
        let Some(task) = self.lines.get_mut(&id) else { return Ok(()) };
        if !task.may_post(now) {
            return Ok(());
        }
        if self.options.schedule.is_over(task.record.first_attempt_at, now) {
            self.expire(id);
            return Ok(());
        }
        if task.record.state == LineState::TakenOver && !task.emptied {
            task.moving = Some(Moving::TakenOver);
            self.bury(id, dead::Reason::TakenOver);
            return Ok(());
        }
        let full = self.options.limits;
        let (rows, limits) = match task.trouble.plan(task.extra == Some(Extra::Evidence)) {
            Plan::Head(size) => {
                let limits = Limits { messages: size.unwrap_or(full.messages), ..full };
                (queue::head(&self.db, id, task.after, limits.messages)?, limits)
            }
            Plan::Behind(evidence) => {
                let waiting = queue::chats(&self.db, id, task.after, trouble::EVIDENCE_WITHIN)?;
                let rows = match evidence.of(&waiting) {
                    Some(MessageId(row)) => queue::head(&self.db, id, MessageId(row - 1), 1)?,
                    None => Vec::new(),
                };
                (rows, Limits { messages: 1, ..full })
            }
        };
        match packet::cut(rows, limits) {
            Next::Empty if task.extra == Some(Extra::Evidence) => {
                task.extra = None;
                task.trouble.evidence_missing();
            }
            Next::Empty => {
                (task.pending, task.extra) = (false, None);
                // What the trouble was about was taken out by hand: the next message begins a day of its own.
                if task.lift(None) {
                    self.save_block(id, Vec::new(), None);
                }
            }
            Next::Unreadable(row, why) => {
                self.bury_one(id, row, Moving::One, why);
            }
            Next::Packet(cut) => {
                let Some(portal) = self.portals.get_mut(&task.record.portal) else { return Ok(()) };
                if let Some(error) = portal.finding(id, task.asks_since(), now).cloned() {
                    self.share(id, &error);
                    return Ok(());
                }
                let (flight, packet) = line::Flight::new(cut, &task.record.line, now);
                fault::point("packet formed");
                let again = flight.rows.iter().filter(|row| row.attempts > 0).count();
                let twice = if task.ambiguous { i64::try_from(again).unwrap_or(0) } else { 0 };
                let connector = flight.connector.clone();
                task.flight = Some(flight);
                portal.in_flight += 1;
                let portal = Arc::clone(&portal.record);
                if twice > 0 {
                    self.count(Counter::MaybeTwice, connector, twice);
                }
                self.pool.give(Job { line: id, portal, packet, timeout: self.options.confirm_timeout });
            }
        }
        Ok(())
    }

    fn timer(&mut self, id: LineId, now: UnixMillis) {
        let Some(task) = self.lines.get_mut(&id) else { return };
        if task.flight.as_ref().is_some_and(|flight| flight.answered && flight.confirm_until <= now) {
            self.fail(id, Failure::silent("no setStatusDelivered came in time"));
            return;
        }
        if let Some(missed) = task.status_missed(now) {
            self.count_missed(id, missed);
        }
        let Some(task) = self.lines.get_mut(&id) else { return };
        let idle = task.flight.is_none() && task.moving.is_none();
        if idle && self.options.schedule.is_over(task.record.first_attempt_at, now) {
            self.expire(id);
        } else {
            self.consider(id);
        }
    }

    fn count_missed(&mut self, id: LineId, missed: i64) {
        let Some(task) = self.lines.get(&id) else { return };
        let connector = task.record.connector.clone();
        log::warn!(line:% = id; "the portal said OK but sent no confirmation; is the connector switched on there?");
        self.writer.submit(
            move |tx| {
                tx.deltas.add(Counter::StatusMissing, &connector, Direction::In, "", missed);
                directory::status_missing(tx, id)
            },
            |_| (),
        );
    }

    fn count(&self, counter: Counter, connector: String, by: i64) {
        self.writer.submit(
            move |tx| {
                tx.deltas.add(counter, &connector, Direction::In, "", by);
                Ok(())
            },
            |_| (),
        );
    }

    /// Reads every line and portal anew, as soon as each has nothing of its own on the way to the disk.
    fn changed(&mut self) -> Result<(), StoreError> {
        let ids: Vec<LineId> = self.lines.keys().copied().collect();
        for id in ids {
            if let Some(task) = self.lines.get_mut(&id) {
                task.stale = true;
            }
            self.consider(id);
        }
        for (id, task) in &mut self.portals {
            if let Some(record) = directory::portal_by_id(&self.db, *id)? {
                task.record = Arc::new(record);
            }
        }
        self.rescan()
    }

    /// Whether the portal sends `setStatusDelivered` of its own.
    fn confirms_by_status(&self, portal: PortalId) -> bool {
        self.portals.get(&portal).is_some_and(|task| {
            protocol(&task.record.protocol).is_some_and(|protocol| protocol.confirms_by_status(&task.record))
        })
    }
}
