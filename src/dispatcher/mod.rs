//! The dispatcher: one thread that owns the lanes of the outbox. One lane per chat, one message of a lane in flight, so
//! a chat's order is kept; a lane that must wait delays no other. The blocking calls are made by the workers of `pool`.

mod pool;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use rusqlite::Connection;

use crate::channels::{Connector, Factory, SendError, Step};
use crate::clock::{Clock, UnixMillis};
use crate::fault;
use crate::ids::{LineId, MessageId};
use crate::message::{Body, Notice, Outgoing, OutgoingKind, Progress};
use crate::outbox::{self, Lane, body};
use crate::queue::{self, dead};
use crate::records::{LineState, Settings};
use crate::sender;
use crate::store::counters::Direction;
use crate::store::{Store, StoreError, Tx, Writer, directory};

use pool::{Job, Outcome, Pool};

/// Events that may wait for the dispatcher.
const EVENTS_MAX: usize = 65_536;
/// The first wait after a failed try; doubles up to [`WAIT_MAX`].
const WAIT_FIRST: Duration = Duration::from_secs(2);
/// The longest wait between two tries.
const WAIT_MAX: Duration = Duration::from_mins(10);

/// What the dispatcher is told.
#[derive(Debug)]
pub enum Event {
    /// A lane has a new row.
    Wake(Lane),
    /// A worker is back.
    Done(Lane, Box<Outcome>),
    /// What the worker brought is on the disk, or could not be written.
    Written(Lane, bool),
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

#[derive(Debug, Default)]
struct LaneTask {
    busy: bool,
    pending: bool,
    waits_turn: bool,
    due: Option<UnixMillis>,
}

struct LineTask {
    connector: Arc<dyn Connector>,
    settings: Arc<Settings>,
    state: LineState,
    in_flight: usize,
    parked: VecDeque<Lane>,
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
    ready: VecDeque<Lane>,
    timers: BinaryHeap<Reverse<(UnixMillis, LineId, String)>>,
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
        let pool = Pool::start(options.workers, &parts.store, &bell.0)?;
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
            ready: VecDeque::new(),
            timers: BinaryHeap::new(),
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
            if self.stopping && self.lanes.values().all(|lane| !lane.busy) {
                break;
            }
        }
        self.pool.stop();
        Ok(())
    }

    /// Handles what waits, fires due timers, hands out messages. Does not wait.
    pub fn step(&mut self) -> Result<(), StoreError> {
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
        self.timers.peek().map(|Reverse((at, ..))| at.since(self.clock.now()) + Duration::from_millis(1))
    }

    fn handle(&mut self, event: Event) -> Result<(), StoreError> {
        match event {
            Event::Wake(lane) => self.wake(&lane),
            Event::Done(lane, outcome) => self.done(&lane, *outcome),
            Event::Written(lane, fine) => self.written(&lane, fine),
            Event::Changed => {
                self.lines.retain(|_, line| line.in_flight > 0 || !line.parked.is_empty());
                for (id, task) in &mut self.lines {
                    if let Some(record) = directory::line_by_id(&self.db, *id)? {
                        task.state = record.state;
                        task.settings = Arc::new(directory::settings(&self.db, *id)?);
                    }
                }
                self.rescan()?;
            }
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

    fn wake(&mut self, lane: &Lane) {
        self.lanes.entry(lane.clone()).or_default().pending = true;
        self.consider(lane);
    }

    fn consider(&mut self, lane: &Lane) {
        let now = self.clock.now();
        if let Some(task) = self.lanes.get_mut(lane)
            && task.pending
            && !task.busy
            && !task.waits_turn
            && task.due.is_none_or(|due| due <= now)
        {
            task.waits_turn = true;
            self.ready.push_back(lane.clone());
        }
    }

    /// Loads the line of a lane; false when it is gone or its connector is unknown here.
    fn load(&mut self, id: LineId) -> Result<bool, StoreError> {
        if self.lines.contains_key(&id) {
            return Ok(true);
        }
        let Some(record) = directory::line_by_id(&self.db, id)? else { return Ok(false) };
        let Some(connector) = self.factory.get(&record.connector) else { return Ok(false) };
        let task = LineTask {
            connector: Arc::clone(connector),
            settings: Arc::new(directory::settings(&self.db, id)?),
            state: record.state,
            in_flight: 0,
            parked: VecDeque::new(),
        };
        self.lines.insert(id, task);
        Ok(true)
    }

    fn hand_out(&mut self) -> Result<(), StoreError> {
        // A bot may hold a quarter of the workers, so that a slow channel leaves room for the others.
        let share = (self.options.workers / 4).max(1);
        while self.pool.free > 0 && !self.stopping {
            let Some(lane) = self.ready.pop_front() else { return Ok(()) };
            let known = self.load(lane.line)?;
            let Some(task) = self.lanes.get_mut(&lane) else { continue };
            let Some(line) = self.lines.get_mut(&lane.line).filter(|_| known) else {
                self.lanes.remove(&lane);
                continue;
            };
            if line.in_flight >= share {
                line.parked.push_back(lane);
                continue;
            }
            task.waits_turn = false;
            if line.state == LineState::Active {
                self.send(&lane)?;
            }
            // Otherwise it stays pending: a broken line's messages wait for new settings, a taken-over line's are
            // moved to dead letters by the sender.
        }
        Ok(())
    }

    fn send(&mut self, lane: &Lane) -> Result<(), StoreError> {
        let Some(waiting) = outbox::head(&self.db, lane)? else {
            self.lanes.remove(lane);
            return Ok(());
        };
        let (Some(task), Some(line)) = (self.lanes.get_mut(lane), self.lines.get_mut(&lane.line)) else {
            return Ok(());
        };
        let now = self.clock.now();
        if waiting.due_at > now {
            task.due = Some(waiting.due_at);
            self.timers.push(Reverse((waiting.due_at, lane.line, lane.chat.clone())));
            return Ok(());
        }
        fault::point("lane's turn");
        task.due = None;
        task.busy = true;
        let Some(message) = body::decode(&waiting.body) else {
            self.bury(
                lane,
                waiting.id,
                None,
                dead::Reason::Unreadable,
                "UNREADABLE",
                "the stored message can't be read",
            );
            return Ok(());
        };
        if now.since(waiting.accepted_at) > self.options.ttl {
            let why = "the channel did not take the message in time";
            self.bury(lane, waiting.id, Some(message), dead::Reason::TooOld, "TOO_OLD", why);
            return Ok(());
        }
        line.in_flight += 1;
        self.pool.give(Job {
            lane: lane.clone(),
            id: waiting.id,
            message,
            progress: body::decode_progress(&waiting.progress),
            connector: Arc::clone(&line.connector),
            settings: Arc::clone(&line.settings),
        });
        Ok(())
    }

    fn done(&mut self, lane: &Lane, outcome: Outcome) {
        self.pool.free += 1;
        let Some(line) = self.lines.get_mut(&lane.line) else { return };
        line.in_flight = line.in_flight.saturating_sub(1);
        self.ready.extend(line.parked.drain(..));
        let Outcome { id, message, progress, result } = outcome;
        match result {
            Ok(Step::Done) => self.settle(lane, id, message, progress),
            Ok(Step::More) => self.note(lane, id, &progress),
            // A typing mark is worth nothing a moment later.
            Err(_) if message.kind == OutgoingKind::Typing => self.settle(lane, id, message, progress),
            Err(SendError::Permanent { code, why }) => {
                log::warn!(line:% = lane.line, message:% = id, error = why.as_str(); "the channel refused a message for good");
                self.bury(lane, id, Some(message), dead::Reason::Permanent, code, &why);
            }
            Err(SendError::Retry { why, after, .. }) => {
                log::warn!(line:% = lane.line, message:% = id, error = why.as_str(); "the channel did not take a message; it is tried again");
                self.postpone(lane, id, after, &progress);
            }
            Err(SendError::Auth { why }) => self.broken(lane, id, &message, &progress, why),
        }
    }

    /// The channel has the message: the row leaves, and the portal learns the external ids.
    fn settle(&self, lane: &Lane, id: MessageId, message: Outgoing, progress: Progress) {
        let line = lane.line;
        let work = move |tx: &mut Tx<'_>| {
            if !outbox::settle(tx, id, &message.connector)? {
                return Ok(());
            }
            for (short, long) in &progress.aliases {
                directory::put_alias(tx, line, short, long)?;
            }
            let news = match &message.kind {
                OutgoingKind::Send { .. } => true,
                // An edit that became longer or shorter has other parts now.
                OutgoingKind::Update { ids, .. } => *ids != progress.ids,
                OutgoingKind::Delete { .. } | OutgoingKind::Typing => false,
            };
            if news {
                // Without any id the portal would show "sending" for ever; edits of such a message are impossible.
                let ids = if progress.ids.is_empty() { vec![format!("trunkline-{id}")] } else { progress.ids.clone() };
                let (im, chat) = (message.im.clone(), message.chat.clone());
                let notice = Notice::Delivered { im, chat, ids, date: tx.now.secs() };
                queue::push(tx, line, &message.connector, None, &Body::Notice(notice))?;
            }
            Ok(())
        };
        self.write(lane, work);
    }

    /// A part has left: a crash from here on does not repeat it.
    fn note(&self, lane: &Lane, id: MessageId, progress: &Progress) {
        let progress = body::encode_progress(progress);
        self.write(lane, move |tx| outbox::postpone(tx, id, tx.now, false, &progress));
    }

    fn postpone(&mut self, lane: &Lane, id: MessageId, after: Option<Duration>, progress: &Progress) {
        let progress = body::encode_progress(progress);
        let work = move |tx: &mut Tx<'_>| {
            let attempts: u32 = tx
                .db()
                .prepare_cached("select attempts from outbox where id = ?1")?
                .query_row([id.0], |row| row.get(0))?;
            let wait = after.unwrap_or_else(|| (WAIT_FIRST * 2_u32.saturating_pow(attempts.min(16))).min(WAIT_MAX));
            outbox::postpone(tx, id, tx.now.plus(wait), after.is_none(), &progress)
        };
        self.write(lane, work);
    }

    /// Out of the outbox for good; the operator is told where there is somebody to tell.
    fn bury(
        &self,
        lane: &Lane,
        id: MessageId,
        message: Option<Outgoing>,
        reason: dead::Reason,
        code: &'static str,
        why: &str,
    ) {
        let (line, why) = (lane.line, why.to_owned());
        let work = move |tx: &mut Tx<'_>| {
            if dead::bury(tx, Direction::Out, id, reason, &why)?
                && let Some(message) = &message
            {
                let notice = failed(message, code, &why);
                queue::push(tx, line, &message.connector, None, &Body::Notice(notice))?;
            }
            Ok(())
        };
        self.write(lane, work);
    }

    /// The channel refuses the credentials: the line's messages wait for new settings, the operator is told once.
    fn broken(&mut self, lane: &Lane, id: MessageId, message: &Outgoing, progress: &Progress, why: String) {
        let Some(line) = self.lines.get_mut(&lane.line) else { return };
        let first = line.state == LineState::Active;
        line.state = LineState::Broken;
        log::error!(line:% = lane.line, error = why.as_str(); "the channel refuses the line's credentials; its messages wait for new settings");
        let (line, progress) = (lane.line, body::encode_progress(progress));
        let message = message.clone();
        let work = move |tx: &mut Tx<'_>| {
            outbox::postpone(tx, id, tx.now, true, &progress)?;
            if first {
                directory::set_state(tx, line, LineState::Broken, Some(&why))?;
                let notice =
                    failed(&message, "CREDENTIALS_REFUSED", &format!("{why}; the message waits for new settings"));
                queue::push(tx, line, &message.connector, None, &Body::Notice(notice))?;
            }
            Ok(())
        };
        self.write(lane, work);
    }

    fn write(&self, lane: &Lane, work: impl FnMut(&mut Tx<'_>) -> rusqlite::Result<()> + Send + 'static) {
        let (bell, sender, lane) = (self.bell.clone(), self.sender.clone(), lane.clone());
        self.writer.submit(work, move |result| {
            if let Err(error) = &result {
                log::error!(line:% = lane.line, error:% = error; "the outcome of a send could not be written; it may be sent again");
            }
            sender.wake(lane.line);
            bell.tell(Event::Written(lane, result.is_ok()));
        });
    }

    fn written(&mut self, lane: &Lane, fine: bool) {
        if let Some(task) = self.lanes.get_mut(lane) {
            task.busy = false;
            task.pending = true;
            if !fine {
                let due = self.clock.now().plus(WAIT_FIRST);
                task.due = Some(due);
                self.timers.push(Reverse((due, lane.line, lane.chat.clone())));
            }
        }
        self.consider(lane);
    }
}

fn failed(message: &Outgoing, code: &str, text: &str) -> Notice {
    let deleting = matches!(message.kind, OutgoingKind::Delete { .. });
    let (im, chat) = (message.im.clone(), message.chat.clone());
    Notice::Failed { im, chat, deleting, code: code.to_owned(), text: text.to_owned() }
}
