//! A state that people look at: readers wait for its next version.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A state with a version that grows with each change.
#[derive(Debug, Default)]
pub(crate) struct Watched<T> {
    state: Mutex<(u64, T)>,
    changed: Condvar,
}

impl<T> Watched<T> {
    pub(crate) fn new(state: T) -> Self {
        Self::from_version(1, state)
    }

    /// With that version to begin with: one above those of an earlier life, so that whoever watched that one has news.
    pub(crate) fn from_version(version: u64, state: T) -> Self {
        Self { state: Mutex::new((version, state)), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, (u64, T)> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at the state.
    pub(crate) fn read<R>(&self, look: impl FnOnce(&T) -> R) -> R {
        look(&self.lock().1)
    }

    /// Changes the state and wakes those who wait.
    pub(crate) fn change<R>(&self, change: impl FnOnce(&mut T) -> R) -> R {
        let mut guard = self.lock();
        let result = change(&mut guard.1);
        guard.0 += 1;
        drop(guard);
        self.changed.notify_all();
        result
    }

    /// Waits for a version above `after`, at most for `limit`, and looks.
    pub(crate) fn news<R>(&self, after: u64, limit: Duration, look: impl FnOnce(u64, &T) -> R) -> R {
        let guard = self.lock();
        let (guard, _) = self
            .changed
            .wait_timeout_while(guard, limit, |(version, _)| *version <= after)
            .unwrap_or_else(PoisonError::into_inner);
        look(guard.0, &guard.1)
    }
}
