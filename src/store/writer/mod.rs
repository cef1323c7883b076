//! The only connection that writes, on a thread of its own, with group commit: everything that waits is applied in one
//! transaction and committed once, then every waiter is answered. One caller's error undoes that caller's work alone.
//! No delay is added: an idle writer commits a single command at once.

mod job;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use rusqlite::{Connection, ErrorCode, Transaction, TransactionBehavior};

use self::job::{Applied, Begun, Job, Task};
use super::counters::Deltas;
use crate::clock::{Clock, UnixMillis};
use crate::fault;

/// Commands applied in one transaction at most: bounds the time a commit takes.
const GROUP_MAX: usize = 1024;
/// Commands that may wait for the writer.
const WAITING_MAX: usize = 4096;
/// How often other processes' changes are looked for, and how long an idle WAL waits for its checkpoint.
const WATCH: Duration = Duration::from_secs(1);

/// Why a command was not committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WriteError {
    /// The disk or a lock kept the writer longer than the caller could wait. Nothing of the command was applied,
    /// unless `unknown`: then the commit had begun.
    Timeout {
        /// The command may still be committed.
        unknown: bool,
    },
    /// Too many commands wait.
    Overloaded,
    /// SQLite refused: disk full, constraint, damaged file.
    Refused(String),
    /// The server is stopping.
    Stopped,
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timeout { .. } => f.write_str("the database was busy for too long"),
            Self::Overloaded => f.write_str("too many writes wait for the disk"),
            Self::Refused(why) => write!(f, "the database refused: {why}"),
            Self::Stopped => f.write_str("the server is stopping"),
        }
    }
}

impl std::error::Error for WriteError {}

impl From<rusqlite::Error> for WriteError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Refused(error.to_string())
    }
}

/// What a command may use while it runs.
pub struct Tx<'a> {
    open: &'a Transaction<'a>,
    /// Counter changes of this command; dropped with it when it fails.
    pub deltas: Deltas,
    /// One moment for everything in this group.
    pub now: UnixMillis,
}

impl fmt::Debug for Tx<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tx").field("now", &self.now).finish_non_exhaustive()
    }
}

impl Tx<'_> {
    /// The open transaction, for statements.
    pub fn db(&self) -> &Connection {
        self.open
    }
}

/// Figures for `/metrics`.
#[derive(Debug)]
pub struct Stats {
    /// Commits so far.
    pub commits: AtomicU64,
    /// Commands in them.
    pub commands: AtomicU64,
    /// Commits that failed as a whole.
    pub failures: AtomicU64,
    /// From begin to the end of a commit.
    pub commit_seconds: Histogram,
    /// Commands committed together.
    pub group_size: Histogram,
}

impl Default for Stats {
    fn default() -> Self {
        Self {
            commits: AtomicU64::new(0),
            commands: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            // 0.1 ms … 3.3 s
            commit_seconds: Histogram::new(exponential_buckets(0.000_1, 2.0, 16)),
            group_size: Histogram::new(exponential_buckets(1.0, 2.0, 11)),
        }
    }
}

enum Message {
    Job(Box<dyn Job>),
    Stop,
}

/// The way to the writing connection; clones share it.
#[derive(Clone)]
pub struct Writer {
    sender: Sender<Message>,
    /// Figures for `/metrics`.
    pub stats: Arc<Stats>,
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").field("waiting", &self.sender.len()).finish_non_exhaustive()
    }
}

impl Writer {
    /// Starts the thread. `on_foreign_change` runs on it when another process has committed to the file.
    pub fn start(
        db: Connection,
        clock: Arc<dyn Clock>,
        on_foreign_change: impl FnMut() + Send + 'static,
    ) -> std::io::Result<(Self, WriterThread)> {
        let (sender, receiver) = bounded(WAITING_MAX);
        let stats = Arc::new(Stats::default());
        let worker = Worker {
            db,
            clock,
            receiver,
            stats: Arc::clone(&stats),
            on_foreign_change: Box::new(on_foreign_change),
            data_version: None,
            dirty: false,
        };
        let thread = std::thread::Builder::new().name("store-writer".into()).spawn(move || worker.run())?;
        let writer = Self { sender: sender.clone(), stats };
        Ok((writer, WriterThread { sender, thread }))
    }

    /// Runs `work` in the next transaction and returns what it gave once that is on the disk. Waits at most `wait`;
    /// a command that has not begun by then never runs.
    pub fn write<T: Send + 'static>(
        &self,
        wait: Duration,
        work: impl FnOnce(&mut Tx<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, WriteError> {
        let (answer, answered) = bounded(1);
        let begun = Begun::default();
        // The receiver is gone only when the caller has given up waiting.
        let task = Task::new(work, move |result| drop(answer.send(result)), begun.clone());
        self.sender
            .send_timeout(Message::Job(Box::new(task)), wait)
            .map_err(|error| if error.is_timeout() { WriteError::Overloaded } else { WriteError::Stopped })?;
        match answered.recv_timeout(wait) {
            Ok(result) => result,
            Err(RecvTimeoutError::Disconnected) => Err(WriteError::Stopped),
            Err(RecvTimeoutError::Timeout) => Err(WriteError::Timeout { unknown: !begun.cancel() }),
        }
    }

    /// Runs `work` in the next transaction and then `done` on the writer's thread; for callers that must not wait.
    /// `done` must be quick and must not write.
    pub fn submit<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Tx<'_>) -> rusqlite::Result<T> + Send + 'static,
        done: impl FnOnce(Result<T, WriteError>) + Send + 'static,
    ) {
        let task = Task::new(work, done, Begun::default());
        if let Err(error) = self.sender.send(Message::Job(Box::new(task)))
            && let Message::Job(job) = error.0
        {
            job.finish(Err(WriteError::Stopped));
        }
    }
}

/// The running thread; stop it last, after everything that writes.
#[derive(Debug)]
pub struct WriterThread {
    sender: Sender<Message>,
    thread: JoinHandle<()>,
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Job(_) => "Job",
            Self::Stop => "Stop",
        })
    }
}

impl WriterThread {
    /// Commits what waits and ends the thread.
    pub fn stop(self) {
        if self.sender.send(Message::Stop).is_ok() && self.thread.join().is_err() {
            log::error!("the store writer ended with a panic");
        }
    }
}

struct Worker {
    db: Connection,
    clock: Arc<dyn Clock>,
    receiver: Receiver<Message>,
    stats: Arc<Stats>,
    on_foreign_change: Box<dyn FnMut() + Send>,
    data_version: Option<i64>,
    dirty: bool,
}

impl Worker {
    fn run(mut self) {
        let mut watched_at = self.clock.ticks();
        // From now on: the loops read the database after this thread was started.
        self.watch();
        loop {
            match self.receiver.recv_timeout(WATCH) {
                Ok(Message::Job(first)) => {
                    let stopping = self.group(first);
                    if stopping {
                        break;
                    }
                }
                Ok(Message::Stop) | Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => self.checkpoint(),
            }
            let now = self.clock.ticks();
            if now.saturating_sub(watched_at) >= WATCH {
                watched_at = now;
                self.watch();
            }
        }
        self.checkpoint();
    }

    /// Applies `first` and what else waits; true when the stop was among it.
    fn group(&mut self, first: Box<dyn Job>) -> bool {
        let mut jobs = vec![first];
        let mut stopping = false;
        while jobs.len() < GROUP_MAX {
            match self.receiver.try_recv() {
                Ok(Message::Job(job)) => jobs.push(job),
                Ok(Message::Stop) => {
                    stopping = true;
                    break;
                }
                Err(_) => break,
            }
        }
        self.dirty = true;
        let start = self.clock.ticks();
        let fate = self.commit(&mut jobs);
        self.stats.commit_seconds.observe(self.clock.ticks().saturating_sub(start).as_secs_f64());
        #[expect(clippy::cast_precision_loss, reason = "at most 1024")]
        self.stats.group_size.observe(jobs.len() as f64);
        self.stats.commits.fetch_add(1, Ordering::Relaxed);
        self.stats.commands.fetch_add(jobs.len() as u64, Ordering::Relaxed);
        if let Err(error) = &fate {
            self.stats.failures.fetch_add(1, Ordering::Relaxed);
            log::error!(error:% = error; "a commit failed; its callers were told");
        }
        for job in jobs {
            job.finish(fate.clone());
        }
        stopping
    }

    fn commit(&mut self, jobs: &mut [Box<dyn Job>]) -> Result<(), WriteError> {
        let now = self.clock.now();
        // A lock held by another process is waited for as long as it takes: callers give up one by one and their
        // commands are then skipped (promise 1: storing must almost never fail).
        let tx = loop {
            match self.db.transaction_with_behavior(TransactionBehavior::Immediate) {
                Ok(tx) => break tx,
                Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => (),
                Err(error) => return Err(error.into()),
            }
        };
        let mut deltas = Deltas::default();
        for job in jobs {
            tx.prepare_cached("savepoint command")?.execute([])?;
            let mut scope = Tx { open: &tx, deltas: Deltas::default(), now };
            match job.run(&mut scope) {
                Applied::Done => deltas.absorb(scope.deltas),
                Applied::Skipped => (),
                Applied::Undo => {
                    // Some errors (disk full) end the transaction by themselves: then the whole group is refused.
                    tx.prepare_cached("rollback to command")?.execute([])?;
                }
            }
            tx.prepare_cached("release command")?.execute([])?;
        }
        deltas.flush(&tx)?;
        fault::point("before commit");
        tx.commit()?;
        fault::point("after commit");
        Ok(())
    }

    /// `data_version` of this connection changes only when another one commits: the command line.
    fn watch(&mut self) {
        let version = self.db.pragma_query_value(None, "data_version", |row| row.get::<_, i64>(0)).ok();
        if self.data_version.is_some() && version != self.data_version {
            (self.on_foreign_change)();
        }
        self.data_version = version;
    }

    fn checkpoint(&mut self) {
        if std::mem::take(&mut self.dirty)
            && let Err(error) = self.db.query_row("pragma wal_checkpoint(passive)", [], |_| Ok(()))
        {
            log::warn!(error:% = error; "the checkpoint failed; the next one tries again");
        }
    }
}
