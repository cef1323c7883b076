//! Commands in the writer's channel: what a caller wants done inside the transaction, and how it learns what became of
//! it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

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
    /// Applies the command; `Err` only when the whole transaction is lost.
    fn run(&mut self, tx: &mut Tx<'_>) -> Applied;
    /// Tells the caller, after the commit or instead of it.
    fn finish(self: Box<Self>, fate: Result<(), WriteError>);
}

/// What became of one command inside the transaction.
pub(super) enum Applied {
    Done,
    Undo,
    Skipped,
}

/// A command that is applied once.
pub(super) struct Task<T, F, D> {
    work: Option<F>,
    result: Option<rusqlite::Result<T>>,
    done: Option<D>,
    begun: Begun,
}

impl<T, F, D> Task<T, F, D> {
    pub(super) fn new(work: F, done: D, begun: Begun) -> Self {
        Self { work: Some(work), result: None, done: Some(done), begun }
    }
}

impl<T, F, D> Job for Task<T, F, D>
where
    T: Send,
    F: FnOnce(&mut Tx<'_>) -> rusqlite::Result<T> + Send,
    D: FnOnce(Result<T, WriteError>) + Send,
{
    fn run(&mut self, tx: &mut Tx<'_>) -> Applied {
        if !self.begun.begin() {
            return Applied::Skipped;
        }
        let Some(work) = self.work.take() else { return Applied::Skipped };
        let result = work(tx);
        let applied = if result.is_ok() { Applied::Done } else { Applied::Undo };
        self.result = Some(result);
        applied
    }

    fn finish(mut self: Box<Self>, fate: Result<(), WriteError>) {
        let Some(done) = self.done.take() else { return };
        done(match (fate, self.result.take()) {
            (_, Some(Err(error))) => Err(error.into()),
            (Err(error), _) => Err(error),
            (Ok(()), Some(Ok(value))) => Ok(value),
            (Ok(()), None) => Err(WriteError::Timeout { unknown: false }),
        });
    }
}
