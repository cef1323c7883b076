//! Commands in the writer's channel: what a caller wants done inside the transaction, and how it learns what became of
//! it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use rusqlite::ErrorCode;

use super::{Tx, WriteError};

const PENDING: u8 = 0;
const RUNNING: u8 = 1;
const CANCELLED: u8 = 2;

/// Whether a command has begun; its caller may give up before that.
#[derive(Clone, Debug, Default)]
pub(super) struct Begun(Arc<AtomicU8>);

impl Begun {
    fn begin(&self) -> bool {
        self.0.compare_exchange(PENDING, RUNNING, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }

    /// Takes the command back; false when it has begun.
    pub(super) fn cancel(&self) -> bool {
        self.0.compare_exchange(PENDING, CANCELLED, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }
}

/// A command in the writer's channel.
pub(super) trait Job: Send {
    /// Applies the command inside the open transaction.
    fn run(&mut self, tx: &mut Tx<'_>) -> Applied;
    /// What the command itself ran into.
    fn error(&self) -> Option<&rusqlite::Error>;
    /// Whether it must be applied again after its group met `fate`.
    fn is_owed(&self, fate: &Result<(), WriteError>) -> bool;
    /// Tells the caller, after the commit or instead of it.
    fn finish(self: Box<Self>, fate: Result<(), WriteError>);
}

/// What became of one command inside the transaction.
pub(super) enum Applied {
    Done,
    Undo,
    Skipped,
}

/// A command whose caller waits for it, and tells its own caller when it fails. Once its group is decided, it is not
/// applied again.
pub(super) struct Task<T, F, D> {
    work: F,
    result: Option<rusqlite::Result<T>>,
    done: D,
    begun: Begun,
}

impl<T, F, D> Task<T, F, D> {
    pub(super) fn new(work: F, done: D, begun: Begun) -> Self {
        Self { work, result: None, done, begun }
    }
}

impl<T, F, D> Job for Task<T, F, D>
where
    T: Send,
    F: Fn(&mut Tx<'_>) -> rusqlite::Result<T> + Send,
    D: FnOnce(Result<T, WriteError>) + Send,
{
    fn run(&mut self, tx: &mut Tx<'_>) -> Applied {
        if self.result.is_none() && !self.begun.begin() {
            return Applied::Skipped;
        }
        let result = self.result.insert((self.work)(tx));
        if result.is_ok() { Applied::Done } else { Applied::Undo }
    }

    fn error(&self) -> Option<&rusqlite::Error> {
        self.result.as_ref()?.as_ref().err()
    }

    fn is_owed(&self, _: &Result<(), WriteError>) -> bool {
        false
    }

    fn finish(self: Box<Self>, fate: Result<(), WriteError>) {
        (self.done)(match (fate, self.result) {
            (_, Some(Err(error))) => Err((&error).into()),
            (Err(error), _) => Err(error),
            (Ok(()), Some(Ok(value))) => Ok(value),
            (Ok(()), None) => Err(WriteError::Timeout { unknown: false }),
        });
    }
}

/// A command that notes what has happened outside, at a portal or a channel, and can't be taken back. A disk that is
/// full or fails does not end it: it is applied again until it is written.
pub(super) struct Duty<T, F, D> {
    work: F,
    result: Option<rusqlite::Result<T>>,
    done: D,
}

impl<T, F, D> Duty<T, F, D> {
    pub(super) fn new(work: F, done: D) -> Self {
        Self { work, result: None, done }
    }
}

impl<T, F, D> Job for Duty<T, F, D>
where
    T: Send,
    F: Fn(&mut Tx<'_>) -> rusqlite::Result<T> + Send,
    D: FnOnce(Result<T, WriteError>) + Send,
{
    fn run(&mut self, tx: &mut Tx<'_>) -> Applied {
        let result = self.result.insert((self.work)(tx));
        if result.is_ok() { Applied::Done } else { Applied::Undo }
    }

    fn error(&self) -> Option<&rusqlite::Error> {
        self.result.as_ref()?.as_ref().err()
    }

    fn is_owed(&self, fate: &Result<(), WriteError>) -> bool {
        match &self.result {
            None => true,
            Some(Ok(_)) => fate.is_err(),
            Some(Err(error)) => passes(error),
        }
    }

    fn finish(self: Box<Self>, fate: Result<(), WriteError>) {
        (self.done)(match (fate, self.result) {
            (_, Some(Err(error))) => Err((&error).into()),
            (Err(error), _) => Err(error),
            (Ok(()), Some(Ok(value))) => Ok(value),
            (Ok(()), None) => Err(WriteError::Stopped),
        });
    }
}

/// An error of the machine, which may be over in a while, and not of the command.
fn passes(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(
            ErrorCode::DiskFull
                | ErrorCode::SystemIoFailure
                | ErrorCode::OutOfMemory
                | ErrorCode::ReadOnly
                | ErrorCode::CannotOpen
                | ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::FileLockingProtocolFailed
        )
    )
}
