//! A count that every change of the lines raises, whoever makes it.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What is counted so that others may keep what they have read of the lines.
pub(super) struct LinesState {
    /// In the open transaction.
    pub(super) now: Cell<u64>,
    /// On the disk.
    stored: Arc<AtomicU64>,
    data_version: Option<i64>,
}

impl LinesState {
    pub(super) fn new(stored: Arc<AtomicU64>) -> Self {
        Self { now: Cell::new(0), stored, data_version: None }
    }

    /// Another process may have changed anything.
    pub(super) fn look(&mut self, data_version: i64) {
        if self.data_version.replace(data_version) != Some(data_version) {
            self.now.set(self.now.get() + 1);
        }
    }

    /// Only what is committed may be told: a reader would keep the old rows under the new number.
    pub(super) fn store(&self) {
        self.stored.store(self.now.get(), Ordering::Release);
    }
}
