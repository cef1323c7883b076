//! The only connection that writes, on a thread of its own, with group commit: everything that waits is applied in one
//! transaction and committed once, then every waiter is answered. One caller's error undoes that caller's work alone:
//! a command can be applied again, so that it changes nothing but the database.
//! No delay is added: an idle writer commits a single command at once.

mod deadlines;
mod job;
mod lines;
mod space;
mod stats;
#[cfg(test)]
mod tests;
mod trouble;

use std::cell::Cell;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use rusqlite::{Connection, ErrorCode, Transaction, TransactionBehavior};

use self::deadlines::{Done, Held, Told};
use self::job::{Applied, Begun, Duty, Job, Task};
use self::lines::LinesState;
use self::trouble::{LogWatch, Trouble};
use super::counters::Deltas;
use super::look::beside;
use super::mark::Mark;
use super::{check, words};
use crate::clock::{Clock, UnixMillis};
use crate::fault;

pub use deadlines::{Deadlines, Kept};
pub use stats::Stats;

/// Commands applied in one transaction at most: bounds the time a commit takes.
const GROUP_MAX: usize = 1024;
/// Commands that may wait for the writer.
const WAITING_MAX: usize = 4096;
/// How often other processes' changes are looked for, and how long an idle WAL waits for its checkpoint.
const WATCH: Duration = Duration::from_secs(1);
/// How long the end of the server waits for a lock of another process.
const STOP_WAIT: Duration = Duration::from_secs(10);

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

impl From<&rusqlite::Error> for WriteError {
    fn from(error: &rusqlite::Error) -> Self {
        Self::Refused(words::of(error))
    }
}

/// What a command may use while it runs.
pub struct Tx<'a> {
    open: &'a Transaction<'a>,
    /// Counter changes of this command; dropped with it when it fails.
    pub deltas: Deltas,
    /// One moment for everything in this group.
    pub now: UnixMillis,
    lines: &'a Cell<u64>,
}

impl<'a> Tx<'a> {
    fn new(open: &'a Transaction<'a>, now: UnixMillis, lines: &'a LinesState) -> Self {
        Self { open, deltas: Deltas::default(), now, lines: &lines.now }
    }
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

    /// Which state of the lines this is; changes with everything that webhooks must know of them, whoever changes it.
    pub fn lines_state(&self) -> u64 {
        self.lines.get()
    }

    /// Says that this command changes what webhooks must know: which lines live, their settings, their portal's version.
    pub fn lines_change(&self) {
        self.lines.set(self.lines.get() + 1);
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
    clock: Arc<dyn Clock>,
    late: Arc<Mutex<Trouble>>,
    lines_stored: Arc<AtomicU64>,
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
        let stopping = Arc::new(AtomicBool::new(false));
        let lines_stored = Arc::<AtomicU64>::default();
        let mark = Mark::of(&db);
        let log = db.path().filter(|name| !name.is_empty()).map(|name| beside(Path::new(name), "-wal"));
        let worker = Worker {
            db,
            clock: Arc::clone(&clock),
            receiver,
            stopping: Arc::clone(&stopping),
            stats: Arc::clone(&stats),
            on_foreign_change: Box::new(on_foreign_change),
            data_version: None,
            lines: LinesState::new(Arc::clone(&lines_stored)),
            // What a killed server has left in the log goes into the file in the first idle moment.
            dirty: true,
            mark,
            owed: Vec::new(),
            trouble: Trouble::default(),
            log,
            log_watch: LogWatch::default(),
        };
        let thread = std::thread::Builder::new().name("store-writer".into()).spawn(move || worker.run())?;
        let writer = Self { sender: sender.clone(), clock, late: Arc::default(), lines_stored, stats };
        Ok((writer, WriterThread { sender, stopping, thread }))
    }

    /// Runs `work` in the next transaction and returns what it gave once that is on the disk. Waits at most `wait`;
    /// a command that has not begun by then never runs. `work` may run more than once; only the last time counts.
    pub fn write<T: Send + 'static>(
        &self,
        wait: Duration,
        work: impl Fn(&mut Tx<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, WriteError> {
        let (answer, answered) = bounded(1);
        let begun = Begun::default();
        // The receiver is gone only when the caller has given up waiting.
        let task = Task::new(work, move |result| drop(answer.send(result)), begun.clone());
        self.sender.send_timeout(Message::Job(Box::new(task)), wait).map_err(|error| {
            if error.is_timeout() { self.late(WriteError::Overloaded) } else { WriteError::Stopped }
        })?;
        match answered.recv_timeout(wait) {
            Ok(result) => result,
            Err(RecvTimeoutError::Disconnected) => Err(WriteError::Stopped),
            Err(RecvTimeoutError::Timeout) => Err(self.late(WriteError::Timeout { unknown: !begun.cancel() })),
        }
    }

    /// Runs `work` in the next transaction and then `done`, on the writer's thread, with what it gave once that is on the
    /// disk. The caller goes on at once; give what is returned to the [`Deadlines`], which call `done` instead when nothing
    /// is known after `wait`. A command that has not begun by then never runs; one that has may run more than once, of
    /// which the last time counts. `done` must be quick and must not write.
    pub fn write_then<T: Send + 'static>(
        &self,
        wait: Duration,
        work: impl Fn(&mut Tx<'_>) -> rusqlite::Result<T> + Send + 'static,
        done: impl FnOnce(Result<T, WriteError>) + Send + 'static,
    ) -> Kept {
        let begun = Begun::default();
        let held = Arc::new(Held::new(Told::new(done), begun.clone(), Arc::clone(&self.late)));
        let finish = Arc::clone(&held);
        let tell = move |result| {
            if let Some(done) = finish.take() {
                done.tell(result);
            }
        };
        let task = Task::new(work, tell, begun);
        if let Err(error) = self.sender.send_timeout(Message::Job(Box::new(task)), wait)
            && let Some(done) = held.take()
        {
            done.fail(if error.is_timeout() { self.late(WriteError::Overloaded) } else { WriteError::Stopped });
        }
        Kept::new(self.clock.ticks() + wait, held)
    }

    /// The state of the lines that a reader finds now, or an older one (see [`Tx::lines_state`]).
    pub fn lines_state(&self) -> u64 {
        self.lines_stored.load(Ordering::Acquire)
    }

    /// A caller had to give up waiting: said once a while, whatever keeps the writer.
    fn late(&self, error: WriteError) -> WriteError {
        self.late.lock().unwrap_or_else(PoisonError::into_inner).failed(self.clock.ticks(), &error.to_string());
        error
    }

    /// Runs `work` in the next transaction and then `done` on the writer's thread; for what has happened outside and
    /// can't be taken back. A disk that is full or fails makes it wait: it runs again until it is written, in the order
    /// of submission, and `done` gets an error only for a mistake in the command itself, or at the end of the server.
    /// `done` must be quick and must not write.
    pub fn submit<T: Send + 'static>(
        &self,
        work: impl Fn(&mut Tx<'_>) -> rusqlite::Result<T> + Send + 'static,
        done: impl FnOnce(Result<T, WriteError>) + Send + 'static,
    ) {
        let duty = Duty::new(work, done);
        if let Err(error) = self.sender.send(Message::Job(Box::new(duty)))
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
    stopping: Arc<AtomicBool>,
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
        self.stopping.store(true, Ordering::Relaxed);
        if self.sender.send(Message::Stop).is_ok() && self.thread.join().is_err() {
            log::error!("the store writer ended with a panic");
        }
    }
}

struct Worker {
    db: Connection,
    clock: Arc<dyn Clock>,
    receiver: Receiver<Message>,
    stopping: Arc<AtomicBool>,
    stats: Arc<Stats>,
    on_foreign_change: Box<dyn FnMut() + Send>,
    data_version: Option<i64>,
    lines: LinesState,
    dirty: bool,
    mark: Mark,
    /// Duties that the disk has refused so far, in order.
    owed: Vec<Box<dyn Job>>,
    trouble: Trouble,
    log: Option<PathBuf>,
    log_watch: LogWatch,
}

/// Why a whole group was not committed.
struct Lost {
    why: WriteError,
    is_damage: bool,
}

impl From<&rusqlite::Error> for Lost {
    fn from(error: &rusqlite::Error) -> Self {
        Self { why: error.into(), is_damage: words::is_damage(error) }
    }
}

impl From<rusqlite::Error> for Lost {
    fn from(error: rusqlite::Error) -> Self {
        (&error).into()
    }
}

/// What comes after a group.
#[derive(PartialEq, Eq)]
enum Next {
    GoOn,
    Stop,
}

impl Worker {
    fn run(mut self) {
        let mut watched_at = self.clock.ticks();
        // Short, so that the end of the server need not wait for a lock; the wait itself has no end.
        let _ = self.db.busy_timeout(WATCH);
        // From now on: the loops read the database after this thread was started.
        self.watch();
        loop {
            let next = match self.receiver.recv_timeout(WATCH) {
                Ok(Message::Job(first)) => self.group(Some(first)),
                Ok(Message::Stop) | Err(RecvTimeoutError::Disconnected) => Next::Stop,
                Err(RecvTimeoutError::Timeout) if !self.owed.is_empty() => self.group(None),
                Err(RecvTimeoutError::Timeout) => {
                    self.tidy_up();
                    Next::GoOn
                }
            };
            if next == Next::Stop {
                break;
            }
            let now = self.clock.ticks();
            if now.saturating_sub(watched_at) >= WATCH {
                watched_at = now;
                self.watch();
            }
        }
        if !self.owed.is_empty() {
            self.group(None);
        }
        for duty in std::mem::take(&mut self.owed) {
            duty.finish(Err(WriteError::Stopped));
        }
        self.checkpoint();
    }

    /// Applies what is owed, `first` and what else waits.
    fn group(&mut self, first: Option<Box<dyn Job>>) -> Next {
        let mut jobs = std::mem::take(&mut self.owed);
        jobs.extend(first);
        let mut next = Next::GoOn;
        while jobs.len() < GROUP_MAX {
            match self.receiver.try_recv() {
                Ok(Message::Job(job)) => jobs.push(job),
                Ok(Message::Stop) => {
                    next = Next::Stop;
                    break;
                }
                Err(_) => break,
            }
        }
        self.dirty = true;
        let start = self.clock.ticks();
        let fate = self.commit(&mut jobs);
        self.stats.commit_seconds.observe(self.clock.ticks().saturating_sub(start).as_secs_f64());
        #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
        self.stats.group_size.observe(jobs.len() as f64);
        self.stats.commits.fetch_add(1, Ordering::Relaxed);
        self.stats.commands.fetch_add(jobs.len() as u64, Ordering::Relaxed);
        let fate = fate.map_err(|lost| {
            self.stats.failures.fetch_add(1, Ordering::Relaxed);
            if lost.is_damage {
                log::error!(error:% = lost.why; "the database is damaged; the server must not go on with it");
                if let Some(path) = self.db.path() {
                    check::note_damage(Path::new(path), &lost.why.to_string());
                }
                next = Next::Stop;
            }
            lost.why
        });
        for job in jobs {
            if job.is_owed(&fate) {
                self.owed.push(job);
            } else {
                job.finish(fate.clone());
            }
        }
        if self.trouble.is_on() {
            // What little room there is must not go to the log: once all of it is in the file, the next commit begins
            // it anew. An error here is a part of the same trouble.
            let _ = passive_checkpoint(&self.db);
        }
        match &fate {
            Err(why) => self.trouble.failed(self.clock.ticks(), &why.to_string()),
            Ok(()) if self.owed.is_empty() => self.trouble.over(self.clock.ticks()),
            Ok(()) => (),
        }
        next
    }

    /// One transaction. The commands are applied without a way back for each of them, which would copy every page that one
    /// of them changes; when one fails, all are undone and applied again, each for itself.
    fn commit(&mut self, jobs: &mut [Box<dyn Job>]) -> Result<(), Lost> {
        let mut tx = begin(&self.db, self.clock.as_ref(), &self.stopping, &mut self.trouble)?;
        self.lines.look(data_version(&tx)?);
        let now = self.clock.now();
        let mut deltas = if let Some(deltas) = together(Tx::new(&tx, now, &self.lines), jobs) {
            deltas
        } else {
            drop(tx);
            tx = begin(&self.db, self.clock.as_ref(), &self.stopping, &mut self.trouble)?;
            self.lines.look(data_version(&tx)?);
            apart(&tx, now, &self.lines, jobs)?
        };
        deltas.flush(&tx)?;
        let last = self.mark.last(&tx);
        fault::point("before commit");
        tx.commit()?;
        self.lines.store();
        fault::point("after commit");
        self.mark.set(last);
        Ok(())
    }

    /// `data_version` of this connection changes only when another one commits: the command line.
    fn watch(&mut self) {
        let version = data_version(&self.db).ok();
        if self.data_version.is_some() && version != self.data_version {
            (self.on_foreign_change)();
        }
        self.data_version = version;
        if let Some(version) = version {
            self.lines.look(version);
            self.lines.store();
        }
        if let Some(log) = self.log.as_ref().and_then(|log| std::fs::metadata(log).ok()) {
            self.log_watch.look(log.len());
        }
    }

    fn checkpoint(&mut self) {
        if std::mem::take(&mut self.dirty)
            && let Err(error) = passive_checkpoint(&self.db)
        {
            log::warn!(error = words::of(&error).as_str(); "the checkpoint failed; the next one tries again");
        }
    }

    /// An idle moment: the log goes into the file, free pages go back to the disk.
    fn tidy_up(&mut self) {
        if !self.dirty {
            return;
        }
        self.checkpoint();
        match space::give_back(&self.db, || !self.receiver.is_empty()) {
            // What was given back stands in the log, for the next idle moment.
            Ok(any) => self.dirty = any,
            Err(error) => log::warn!(error = words::of(&error).as_str(); "free pages could not be given back"),
        }
    }
}

/// Applies all commands; `None` when one has failed and all must be undone.
fn together(mut tx: Tx<'_>, jobs: &mut [Box<dyn Job>]) -> Option<Deltas> {
    for job in jobs {
        if matches!(job.run(&mut tx), Applied::Undo) {
            return None;
        }
    }
    Some(tx.deltas)
}

/// Applies all commands. A command's own error undoes that command; an error that ends the transaction by itself, as a
/// full disk may, is everybody's.
fn apart(
    open: &Transaction<'_>,
    now: UnixMillis,
    lines: &LinesState,
    jobs: &mut [Box<dyn Job>],
) -> Result<Deltas, Lost> {
    let mut deltas = Deltas::default();
    for job in jobs {
        open.prepare_cached("savepoint command")?.execute([])?;
        let mut tx = Tx::new(open, now, lines);
        let applied = job.run(&mut tx);
        let is_lost = |error: &&rusqlite::Error| open.is_autocommit() || words::is_damage(error);
        match (applied, job.error().filter(is_lost)) {
            (Applied::Undo, Some(error)) => return Err(error.into()),
            (Applied::Undo, None) => {
                open.prepare_cached("rollback to command")?.execute([])?;
            }
            (Applied::Done, _) => deltas.absorb(tx.deltas),
            (Applied::Skipped, _) => (),
        }
        open.prepare_cached("release command")?.execute([])?;
    }
    Ok(deltas)
}

fn data_version(db: &Connection) -> rusqlite::Result<i64> {
    db.prepare_cached("pragma data_version")?.query_row([], |row| row.get(0))
}

/// Copies what the log holds into the file, as far as no reader stands in the way.
fn passive_checkpoint(db: &Connection) -> rusqlite::Result<()> {
    db.query_row("pragma wal_checkpoint(passive)", [], |_| Ok(()))
}

/// A lock held by another process is waited for as long as it takes: callers give up one by one and their commands are
/// then skipped (promise 1: storing must almost never fail). Only the end of the server does not wait.
fn begin<'a>(
    db: &'a Connection,
    clock: &dyn Clock,
    stopping: &AtomicBool,
    trouble: &mut Trouble,
) -> Result<Transaction<'a>, Lost> {
    let start = clock.ticks();
    loop {
        match Transaction::new_unchecked(db, TransactionBehavior::Immediate) {
            Ok(tx) => return Ok(tx),
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => {
                let now = clock.ticks();
                if stopping.load(Ordering::Relaxed) && now.saturating_sub(start) > STOP_WAIT {
                    return Err(error.into());
                }
                trouble.failed(now, &words::of(&error));
            }
            Err(error) => return Err(error.into()),
        }
    }
}
