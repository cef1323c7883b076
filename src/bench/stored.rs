//! The store as the server has it: schema, writer, a queue entry with a key, each caller waiting for its commit as an HTTP
//! worker does. No HTTP, no portal, and nothing is delivered.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::ScopedJoinHandle;
use std::time::Duration;

use super::{BenchError, Series, Until};
use crate::clock::Clock;
use crate::ids::LineId;
use crate::message::{Body, Chat, Incoming, IncomingKind, User};
use crate::queue::Entry;
use crate::secret::Secret;
use crate::store::directory::{self, NewPortal};
use crate::store::look;
use crate::store::readers::Readers;
use crate::store::{Store, StoreError, Tx, Writer};

/// The most callers of a round.
pub(super) const CALLERS_MAX: usize = 64;
/// Most messages of a round, so that a fast disk is not filled.
const MESSAGES_MAX: usize = 50_000;
/// What the rounds may need of the disk: five of them at a kilobyte a message, and the log twice.
pub(super) const BYTES_MAX: u64 = 448 * 1024 * 1024;
/// The connector's name in the rows; none of the real ones.
const CONNECTOR: &str = "bench";
/// Stored as JSON with a name, a chat and ids, this comes to some 700 bytes.
const TEXT_CHARS: usize = 480;
const WAIT: Duration = Duration::from_mins(1);

/// Whether commits reach the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Safety {
    /// As the server does.
    Synced,
    /// Never synced: shows what the CPU would do by itself.
    Unsynced,
}

/// A database of its own with a line for each caller.
#[derive(Debug)]
pub(super) struct Stored {
    store: Store,
    /// Holds one connection open between the rounds: with the last one SQLite would remove the log, and the next round
    /// would pay for growing it again.
    _readers: Readers,
    clock: Arc<dyn Clock>,
    lines: Vec<LineId>,
    rounds: u64,
}

impl Stored {
    pub(super) fn new(folder: &Path, clock: &Arc<dyn Clock>) -> Result<Self, BenchError> {
        let store = Store::open(&folder.join("data"))?;
        let (writer, thread) = start(&store, clock, Safety::Synced)?;
        let lines = writer.write(WAIT, lines);
        let readers = Readers::new(store.clone(), 1);
        // Only a connection that has read something has the log open.
        let reader = readers.get()?;
        directory::portals(&reader).map_err(StoreError::from)?;
        drop(reader);
        thread.stop();
        Ok(Self { store, _readers: readers, clock: Arc::clone(clock), lines: lines?, rounds: 0 })
    }

    /// Lets the log grow to its usual size, unmeasured: a sync that makes a file longer takes twice as long, and a server
    /// that has run for a while has none of these.
    pub(super) fn grow(&mut self, until: &Until) -> Result<(), BenchError> {
        // Alone, because many who share a commit write fewer pages to it.
        self.round(1, Safety::Unsynced, until)?;
        let log = look::beside(self.store.path(), "-wal");
        let synced = File::open(&log).and_then(|file| file.sync_all());
        synced.map_err(|why| BenchError::Folder { path: log, why })
    }

    /// Lets `callers` store until it is over, one message each at least. The log is copied into the file after each
    /// round, so that the next one begins it anew.
    pub(super) fn round(&mut self, callers: usize, safety: Safety, until: &Until) -> Result<Series, BenchError> {
        self.rounds += 1;
        let (writer, thread) = start(&self.store, &self.clock, safety)?;
        let most = MESSAGES_MAX / callers.max(1);
        let failed = AtomicBool::new(false);
        let begin = until.clock.ticks();
        let parts = std::thread::scope(|scope| {
            let mut handles: Vec<ScopedJoinHandle<'_, Result<Vec<Duration>, BenchError>>> = Vec::new();
            for (line, number) in self.lines.iter().take(callers).zip(0_u64..) {
                let caller = Caller { line: *line, name: self.rounds * 1_000 + number, writer: writer.clone() };
                let failed = &failed;
                let work = move || caller.run(most, until, failed);
                match std::thread::Builder::new().name("bench-caller".into()).spawn_scoped(scope, work) {
                    Ok(handle) => handles.push(handle),
                    Err(error) => {
                        failed.store(true, Ordering::Relaxed);
                        return Err(BenchError::Thread(error));
                    }
                }
            }
            let join = |handle: ScopedJoinHandle<'_, _>| {
                handle.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            };
            handles.into_iter().map(join).collect::<Result<Vec<_>, _>>()
        });
        let took = until.clock.ticks().saturating_sub(begin);
        thread.stop();
        until.check()?;
        Ok(Series { each: parts?.concat(), took })
    }
}

fn start(
    store: &Store,
    clock: &Arc<dyn Clock>,
    safety: Safety,
) -> Result<(Writer, crate::store::writer::WriterThread), BenchError> {
    let db = store.writing()?;
    if safety == Safety::Unsynced {
        db.pragma_update(None, "synchronous", "off").map_err(StoreError::from)?;
    }
    Writer::start(db, Arc::clone(clock), || ()).map_err(BenchError::Thread)
}

/// A portal, and a line for each caller.
fn lines(tx: &mut Tx<'_>) -> rusqlite::Result<Vec<LineId>> {
    let portal = NewPortal {
        name: CONNECTOR.into(),
        protocol: "box",
        url: "http://127.0.0.1:9".into(),
        licence: String::new(),
        key: Secret::new(""),
    };
    let portal = directory::add_portal(tx.db(), &portal, tx.now)?;
    (0..CALLERS_MAX)
        .map(|number| {
            let number = number.to_string();
            directory::ensure_line(tx, portal, CONNECTOR, &number, &number).map(|line| line.id)
        })
        .collect()
}

/// One who stores a message, waits for its commit, and stores the next.
struct Caller {
    line: LineId,
    /// Unique among all callers of all rounds: their messages' keys begin with it.
    name: u64,
    writer: Writer,
}

impl Caller {
    fn run(self, most: usize, until: &Until, failed: &AtomicBool) -> Result<Vec<Duration>, BenchError> {
        let mut each: Vec<Duration> = Vec::new();
        while each.is_empty() || (!until.is_over() && each.len() < most && !failed.load(Ordering::Relaxed)) {
            let (line, key) = (self.line, format!("{} {}", self.name, each.len()));
            let entry = Entry::new(line, CONNECTOR, Some(&key), message(&key));
            let begin = until.clock.ticks();
            let pushed = self.writer.write(WAIT, move |tx| entry.push(tx));
            if let Err(error) = pushed {
                failed.store(true, Ordering::Relaxed);
                return Err(error.into());
            }
            each.push(until.clock.ticks().saturating_sub(begin));
        }
        Ok(each)
    }
}

fn message(key: &str) -> Body {
    Body::Message(Box::new(Incoming {
        connector: CONNECTOR.into(),
        kind: IncomingKind::Message,
        key: Some(key.into()),
        user: User { id: "customer-0123456789".into(), name: "Ann Example".into(), ..User::default() },
        chat: Chat { id: format!("conversation {key}"), ..Chat::default() },
        message_id: key.into(),
        date: Some(1_500_000_000),
        text: "x".repeat(TEXT_CHARS),
        files: Vec::new(),
        attachments: Vec::new(),
        route: None,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Else each round would measure a log that grows.
    #[test]
    fn the_log_keeps_its_size_between_the_rounds() {
        let folder = tempfile::tempdir().unwrap();
        let clock: Arc<dyn Clock> = Arc::new(crate::clock::SystemClock::new());
        let mut stored = Stored::new(folder.path(), &clock).unwrap();
        let until = |millis| Until::after(Duration::from_millis(millis), &clock, &Arc::default());
        stored.grow(&until(200)).unwrap();
        let log = look::beside(stored.store.path(), "-wal");
        let size = || std::fs::metadata(&log).unwrap().len();
        let grown = size();
        for callers in [1, 8] {
            stored.round(callers, Safety::Synced, &until(1)).unwrap();
            assert_eq!(size(), grown, "begun anew");
        }
    }

    #[test]
    fn every_message_of_every_round_is_a_new_one() {
        let folder = tempfile::tempdir().unwrap();
        let clock: Arc<dyn Clock> = Arc::new(crate::clock::SystemClock::new());
        let mut stored = Stored::new(folder.path(), &clock).unwrap();
        let mut messages = 0;
        for (callers, safety) in [(1, Safety::Synced), (3, Safety::Synced), (3, Safety::Unsynced)] {
            let until = Until::after(Duration::from_millis(20), &clock, &Arc::default());
            let series = stored.round(callers, safety, &until).unwrap();
            assert!(series.each.len() >= callers);
            messages += series.each.len();
        }
        let db = stored.store.reading().unwrap();
        let sums = "select count(*), min(length(body)), max(length(body)) from queue";
        let (rows, least, most): (i64, i64, i64) =
            db.query_row(sums, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
        assert_eq!(usize::try_from(rows).unwrap(), messages);
        assert!(650 <= least && most <= 750, "{least} to {most} bytes are no usual message");
    }
}
