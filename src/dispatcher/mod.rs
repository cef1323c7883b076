//! The dispatcher: one thread that owns the lanes of the outbox. One lane per chat, one call of a lane in flight, so a
//! chat's order is kept; a lane that must wait delays no other. The blocking calls are made by the workers of `pool`.
//!
//! Here are the loop and its events; `turns` says who goes next, `outcome` what a call has come to, `pace` how fast.

mod hand;
mod lane;
mod outcome;
mod pace;
mod pool;
mod turns;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use rusqlite::Connection;

use crate::channels::Factory;
use crate::clock::{Clock, JumpWatch, UnixMillis};
use crate::ids::LineId;
use crate::outbox::{self, Lane};
use crate::records::LineState;
use crate::sender;
use crate::store::{Store, StoreError, Writer, directory};

use lane::{LaneTask, LineTask, Stage};
use outcome::{Fate, Outcome};
use pace::Paces;
use pool::Pool;

/// Events that may wait for the dispatcher.
const EVENTS_MAX: usize = 65_536;

/// What the dispatcher is told.
#[derive(Debug)]
pub enum Event {
    /// A lane has a new row.
    Wake(Lane),
    /// A worker is back.
    Done(Lane, Box<Outcome>),
    /// What the worker brought is on the disk, or could not be written.
    Written(Lane, Option<Fate>),
    /// Settings of a line, or anything by another process, have changed.
    Changed,
    /// Look at the clock again (tests move it by hand).
    Tick,
    /// Answer as a sign of life.
    Ping(Sender<()>),
    /// End after what is in flight.
    Stop,
}

/// The way to the dispatcher; clones share it.
#[derive(Clone, Debug)]
pub struct Bell(Sender<Event>);

impl Bell {
    /// Says that a lane has a new row. Call it after the commit.
    pub fn wake(&self, lane: Lane) {
        drop(self.0.send(Event::Wake(lane)));
    }

    /// Passes an event on.
    pub fn tell(&self, event: Event) {
        drop(self.0.send(event));
    }
}

/// Makes the channel to a dispatcher before it exists.
pub fn channel() -> (Bell, Receiver<Event>) {
    let (sender, receiver) = bounded(EVENTS_MAX);
    (Bell(sender), receiver)
}

/// Options as configured.
#[derive(Clone, Debug)]
pub struct Options {
    /// Messages older than this are given up.
    pub ttl: Duration,
    /// Channel workers.
    pub workers: usize,
    /// Portals are told of messages that have failed.
    pub notify: bool,
}

/// What the dispatcher needs from outside.
#[derive(Debug)]
pub struct Parts {
    /// The database.
    pub store: Store,
    /// The writer.
    pub writer: Writer,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// The connectors.
    pub factory: Arc<Factory>,
    /// To tell the sender of delivery statuses.
    pub sender: sender::Bell,
}

/// The loop and everything it owns.
pub struct Dispatcher {
    db: Connection,
    writer: Writer,
    clock: Arc<dyn Clock>,
    factory: Arc<Factory>,
    sender: sender::Bell,
    options: Options,
    bell: Bell,
    events: Receiver<Event>,
    pool: Pool,
    lanes: HashMap<Lane, LaneTask>,
    lines: HashMap<LineId, LineTask>,
    paces: Paces,
    ready: VecDeque<Lane>,
    timers: BinaryHeap<Reverse<(UnixMillis, LineId, String)>>,
    jumps: JumpWatch,
    stopping: bool,
}

impl std::fmt::Debug for Dispatcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dispatcher").field("lanes", &self.lanes.len()).finish_non_exhaustive()
    }
}

impl Dispatcher {
    /// Opens a reader, starts the workers and looks for lanes that wait.
    pub fn new(parts: Parts, options: Options, bell: Bell, events: Receiver<Event>) -> Result<Self, StoreError> {
        let pool = Pool::start(options.workers, &parts.store, &parts.clock, &bell.0)?;
        let jumps = JumpWatch::new(parts.clock.as_ref());
        let mut dispatcher = Self {
            db: parts.store.reading()?,
            writer: parts.writer,
            clock: parts.clock,
            factory: parts.factory,
            sender: parts.sender,
            options,
            bell,
            events,
            pool,
            lanes: HashMap::new(),
            lines: HashMap::new(),
            paces: Paces::default(),
            ready: VecDeque::new(),
            timers: BinaryHeap::new(),
            jumps,
            stopping: false,
        };
        dispatcher.rescan()?;
        Ok(dispatcher)
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
            if self.stopping && self.lanes.values().all(LaneTask::rests) {
                break;
            }
        }
        self.pool.stop();
        Ok(())
    }

    /// The clock was set, or the machine slept: what waits does so for as long as it was meant to. What was sent before
    /// counts for no pace any more.
    fn watch_clock(&mut self) {
        let Some(millis) = self.jumps.look(self.clock.as_ref()) else { return };
        for due in self.lanes.values_mut().filter_map(|task| task.due.as_mut()) {
            *due = due.shifted(millis);
        }
        let shifted =
            |Reverse((at, line, chat)): Reverse<(UnixMillis, _, _)>| Reverse((at.shifted(millis), line, chat));
        self.timers = self.timers.drain().map(shifted).collect();
        self.paces = Paces::default();
    }

    /// Handles what waits, fires due timers, hands out messages. Does not wait.
    pub fn step(&mut self) -> Result<(), StoreError> {
        self.watch_clock();
        while let Ok(event) = self.events.try_recv() {
            self.handle(event)?;
        }
        let now = self.clock.now();
        while self.timers.peek().is_some_and(|Reverse((at, ..))| *at <= now) {
            if let Some(Reverse((_, line, chat))) = self.timers.pop() {
                self.consider(&Lane { line, chat });
            }
        }
        self.hand_out()
    }

    fn until_timer(&self) -> Option<Duration> {
        // A millisecond more: the clock counts whole ones, and waking too early would spin.
        self.timers.peek().map(|Reverse((at, ..))| at.since(self.clock.now()) + Duration::from_millis(1))
    }

    fn handle(&mut self, event: Event) -> Result<(), StoreError> {
        self.watch_clock();
        match event {
            Event::Wake(lane) => self.wake(&lane),
            Event::Done(lane, outcome) => self.done(&lane, *outcome),
            Event::Written(lane, fate) => self.written(&lane, fate)?,
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
        for lane in outbox::lanes(&self.db)? {
            self.wake(&lane);
        }
        Ok(())
    }

    /// Reads every line anew: settings may have come, lines may have gone.
    fn changed(&mut self) -> Result<(), StoreError> {
        let ids: Vec<LineId> = self.lines.keys().copied().collect();
        for id in ids {
            self.reload(id)?;
        }
        self.rescan()
    }

    /// Reads a line anew. What waited for its settings goes on at once.
    fn reload(&mut self, id: LineId) -> Result<(), StoreError> {
        let Some(task) = self.lines.get_mut(&id) else { return Ok(()) };
        let settings = directory::settings(&self.db, id)?;
        // A line that is gone has no rows left; what it has in flight comes back to nothing.
        let state = directory::line_by_id(&self.db, id)?.map_or(LineState::TakenOver, |record| record.state);
        if task.state == state && settings.is_same(&task.settings) {
            return Ok(());
        }
        (task.state, task.settings) = (state, Arc::new(settings));
        self.ready.extend(task.parked.drain(..));
        if task.in_flight == 0 {
            self.lines.remove(&id);
        }
        let waiting: Vec<Lane> = self.lanes.keys().filter(|lane| lane.line == id).cloned().collect();
        for lane in waiting {
            if let Some(task) = self.lanes.get_mut(&lane).filter(|task| matches!(task.stage, Stage::Idle)) {
                task.due = None;
            }
            self.wake(&lane);
        }
        Ok(())
    }

    /// Sets a lane's next look at the clock.
    fn wait_until(&mut self, lane: &Lane, at: UnixMillis) {
        if let Some(task) = self.lanes.get_mut(lane)
            && task.due != Some(at)
        {
            task.due = Some(at);
            self.timers.push(Reverse((at, lane.line, lane.chat.clone())));
        }
    }
}
