//! The real store, queue, sender and box protocol on a clock that is moved by hand, with a portal that answers from
//! memory: a day passes in milliseconds, and no rule is written a second time. Behind `trunkline simulate` and behind
//! the tests of blocking.

pub mod outage;

use std::sync::Arc;
use std::time::Duration;

use crate::clock::{Clock, ManualClock, UnixMillis};
use crate::ids::LineId;
use crate::message::{Body, Chat, Incoming, IncomingKind, User};
use crate::metrics::Metrics;
use crate::net::Net;
use crate::portals::boxed;
use crate::portals::files::Shut;
use crate::queue;
use crate::sender::{self, Event, SenderLoop};
use crate::store::counters::{self, Accounting};
use crate::store::directory::{self, NewPortal};
use crate::store::writer::WriterThread;
use crate::store::{Store, StoreError, WriteError, Writer};

/// How long a write into the simulation's own database may take.
const WAIT: Duration = Duration::from_secs(30);
/// The connector of the simulated line.
const CONNECTOR: &str = "simulated";

/// Why a simulation ended early.
#[derive(Debug)]
pub enum SimulateError {
    /// Its database.
    Store(StoreError),
    /// A write into it.
    Write(WriteError),
    /// Its folder or a thread.
    Io(std::io::Error),
    /// The sender waited for something that did not come.
    Stuck,
}

impl std::fmt::Display for SimulateError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Store(error) => write!(f, "{error}"),
            Self::Write(error) => write!(f, "{error}"),
            Self::Io(error) => write!(f, "the simulation's folder or thread: {error}"),
            Self::Stuck => f.write_str("the simulation stands still: its disk or a thread does not answer"),
        }
    }
}

impl std::error::Error for SimulateError {}

impl From<StoreError> for SimulateError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<rusqlite::Error> for SimulateError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error.into())
    }
}

impl From<WriteError> for SimulateError {
    fn from(error: WriteError) -> Self {
        Self::Write(error)
    }
}

impl From<std::io::Error> for SimulateError {
    fn from(error: std::io::Error) -> Self {
        Self::Io(error)
    }
}

/// Store, writer and sender on a manual clock, in a folder that vanishes with them.
#[derive(Debug)]
pub struct Stage {
    folder: tempfile::TempDir,
    /// The database.
    pub store: Store,
    /// Its writer.
    pub writer: Writer,
    /// The clock; it stands still until it is set.
    pub clock: Arc<ManualClock>,
    /// The sender, driven by hand.
    pub sender: SenderLoop,
    /// The way to it.
    pub bell: sender::Bell,
    net: Arc<dyn Net>,
    options: sender::Options,
    thread: Option<WriterThread>,
}

impl Stage {
    /// An empty database at the moment `start`; portals are played by `net`. Nothing here has to survive a power cut, so
    /// commits do not wait for the disk.
    pub fn new(start: UnixMillis, net: Arc<dyn Net>, options: sender::Options) -> Result<Self, SimulateError> {
        let folder = tempfile::Builder::new().prefix("trunkline-simulate-").tempdir()?;
        let store = Store::open(folder.path())?;
        let clock = Arc::new(ManualClock::at(start));
        let db = store.writing()?;
        db.pragma_update(None, "synchronous", "off")?;
        let (writer, thread) = Writer::start(db, clock.clone(), || ())?;
        let (sender, bell) = start_sender(&store, &writer, &clock, &net, &options)?;
        Ok(Self { folder, store, writer, clock, sender, bell, net, options, thread: Some(thread) })
    }

    /// Forgets everything that is not in the database, as a restart does. Packets in flight are forgotten too.
    pub fn restart(&mut self) -> Result<(), SimulateError> {
        (self.sender, self.bell) = start_sender(&self.store, &self.writer, &self.clock, &self.net, &self.options)?;
        Ok(())
    }

    /// Where the database is.
    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// The line `number` of a box at `https://HOST`, both made when they are new. `version` is the portal's module.
    pub fn line(&self, host: &str, number: &str, version: &str) -> Result<LineId, SimulateError> {
        let (host, number, version) = (host.to_owned(), number.to_owned(), version.to_owned());
        let work = move |tx: &mut crate::store::Tx<'_>| {
            let known = directory::portal_by_name(tx.db(), &host)?;
            let portal = match known.map(|portal| portal.id) {
                Some(id) => id,
                None => directory::add_portal(tx.db(), &boxed_portal(&host), tx.now)?,
            };
            directory::portal_seen(tx, portal, &version)?;
            Ok(directory::ensure_line(tx, portal, CONNECTOR, &number, &format!("{host} {number}"))?.id)
        };
        Ok(self.writer.write(WAIT, work)?)
    }

    /// A customer's message whose id, key and text are all `mark`, accepted at the clock's moment: of the chat that stands
    /// before a slash in the mark, of `c` where there is none.
    pub fn push(&self, line: LineId, mark: &str) -> Result<(), SimulateError> {
        self.push_all(line, vec![(self.clock.now(), mark.to_owned())])
    }

    /// Several of them, each accepted at a moment of its own, in one commit.
    pub fn push_all(&self, line: LineId, marks: Vec<(UnixMillis, String)>) -> Result<(), SimulateError> {
        self.writer.write(WAIT, move |tx| {
            for (at, mark) in &marks {
                tx.now = *at;
                queue::push(tx, line, CONNECTOR, Some(mark), &message(mark, *at))?;
            }
            Ok(())
        })?;
        self.bell.wake(line);
        Ok(())
    }

    /// The portal's own word that it has these messages.
    pub fn status(&self, line: LineId, marks: &[&str]) {
        let named = marks.iter().map(|mark| (chat_of(mark).to_owned(), (*mark).to_owned())).collect();
        self.bell.tell(Event::Status { line, connector: CONNECTOR.to_owned(), named, done: None });
    }

    /// Lets the sender do all it can at this moment.
    pub fn settle(&mut self) -> Result<(), SimulateError> {
        if self.sender.settle()? { Ok(()) } else { Err(SimulateError::Stuck) }
    }

    /// Moves the clock to `until`, stopping at every timer on the way.
    pub fn advance(&mut self, until: UnixMillis) -> Result<(), SimulateError> {
        self.settle()?;
        while let Some(at) = self.sender.next_timer().filter(|at| *at <= until) {
            if at > self.clock.now() {
                self.clock.set(at);
            }
            self.settle()?;
        }
        if until > self.clock.now() {
            self.clock.set(until);
        }
        self.settle()
    }

    /// The sums at this moment.
    pub fn sums(&self) -> Result<Accounting, SimulateError> {
        Ok(counters::accounting(&self.store.reading()?)?)
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take() {
            thread.stop();
        }
    }
}

fn chat_of(mark: &str) -> &str {
    mark.split_once('/').map_or("c", |(chat, _)| chat)
}

fn message(mark: &str, at: UnixMillis) -> Body {
    Body::Message(Box::new(Incoming {
        connector: CONNECTOR.into(),
        kind: IncomingKind::Message,
        key: Some(mark.to_owned()),
        user: User { id: "u".into(), name: "Ann".into(), ..User::default() },
        chat: Chat { id: chat_of(mark).to_owned(), ..Chat::default() },
        message_id: mark.to_owned(),
        date: Some(at.secs()),
        text: mark.to_owned(),
        files: vec![],
        attachments: vec![],
        route: None,
    }))
}

fn boxed_portal(host: &str) -> NewPortal {
    NewPortal {
        name: host.to_owned(),
        protocol: "box",
        url: format!("https://{host}"),
        licence: boxed::licence_id(host),
        key: boxed::key_md5(host),
    }
}

fn start_sender(
    store: &Store,
    writer: &Writer,
    clock: &Arc<ManualClock>,
    net: &Arc<dyn Net>,
    options: &sender::Options,
) -> Result<(SenderLoop, sender::Bell), StoreError> {
    let (bell, events) = sender::channel();
    let parts = sender::Parts {
        store: store.clone(),
        writer: writer.clone(),
        clock: clock.clone(),
        net: Arc::clone(net),
        opener: Arc::new(Shut),
        metrics: Metrics::default(),
    };
    Ok((SenderLoop::new(parts, options.clone(), bell.clone(), events)?, bell))
}
