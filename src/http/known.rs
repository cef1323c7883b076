//! What webhooks need to know of lines, kept between them: three lookups in the database would cost more than everything
//! else a webhook does. What is kept is never trusted alone: the command that stores the messages looks whether anybody
//! has changed a line since, in its own transaction, and a refusal is looked at again with what the database says.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::records::{Line, LineState, Portal, Settings};
use crate::store::{Tx, directory};

/// Lines kept; beyond that all are forgotten and read anew.
const KEPT_MAX: usize = 16_384;
/// A line's proof is noted once in so long.
const PROVED_EVERY: Duration = Duration::from_mins(1);

/// A live line as a webhook needs it.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) line: Line,
    pub(super) portal: Portal,
    pub(super) settings: Settings,
    /// The state of the lines that this was read in.
    state: u64,
    /// Milliseconds of ticks at the last noted proof, and one; 0 before the first.
    proved: AtomicU64,
}

impl Known {
    /// Reads the line whose webhook address carries `hash`; `None` when there is none that lives.
    fn read(db: &rusqlite::Connection, hash: &str, state: u64) -> rusqlite::Result<Option<Self>> {
        let Some(line) = directory::line_by_hash(db, hash)? else { return Ok(None) };
        let settings = directory::settings(db, line.id)?;
        let Some(portal) = directory::portal_by_id(db, line.portal)? else { return Ok(None) };
        let is_live = !settings.is_empty() && line.state != LineState::TakenOver;
        Ok(is_live.then(|| Self { line, portal, settings, state, proved: AtomicU64::new(0) }))
    }

    /// Whether the address still leads to this line in the open transaction.
    pub(super) fn is_live(&self, tx: &Tx<'_>) -> rusqlite::Result<bool> {
        if tx.lines_state() == self.state {
            return Ok(true);
        }
        let hash = self.line.hash.as_deref().unwrap_or_default();
        let now = Self::read(tx.db(), hash, tx.lines_state())?;
        Ok(now.is_some_and(|now| now.line.id == self.line.id))
    }

    /// Whether a proof is to be noted; true once a minute.
    pub(super) fn is_proof_due(&self, ticks: Duration) -> bool {
        let now = u64::try_from(ticks.as_millis()).unwrap_or(u64::MAX).saturating_add(1);
        let every = u64::try_from(PROVED_EVERY.as_millis()).unwrap_or(u64::MAX);
        let last = self.proved.load(Ordering::Relaxed);
        if last != 0 && now.saturating_sub(last) < every {
            return false;
        }
        self.proved.store(now, Ordering::Relaxed);
        true
    }
}

/// The lines that webhooks have asked for.
#[derive(Debug, Default)]
pub struct KnownLines(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    state: u64,
    by_hash: HashMap<String, Arc<Known>>,
}

impl KnownLines {
    fn lock(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is kept of a line under the present `state` of all of them.
    pub(super) fn get(&self, hash: &str, state: u64) -> Option<Arc<Known>> {
        let mut kept = self.lock();
        if kept.state != state {
            kept.state = state;
            kept.by_hash.clear();
        }
        kept.by_hash.get(hash).cloned()
    }

    /// Reads a line and keeps it. `state` must have been asked for before: what changes after that is noticed.
    pub(super) fn read(
        &self,
        db: &rusqlite::Connection,
        hash: &str,
        state: u64,
    ) -> rusqlite::Result<Option<Arc<Known>>> {
        let Some(known) = Known::read(db, hash, state)?.map(Arc::new) else { return Ok(None) };
        let mut kept = self.lock();
        if kept.state == state {
            if kept.by_hash.len() >= KEPT_MAX {
                kept.by_hash.clear();
            }
            kept.by_hash.insert(hash.to_owned(), Arc::clone(&known));
        }
        Ok(Some(known))
    }
}
