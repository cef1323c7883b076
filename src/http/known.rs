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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;
    use crate::ids::{LineId, PortalId};
    use crate::secret::Secret;
    use crate::store::directory::NewPortal;
    use crate::store::{Store, Writer};

    const WAIT: Duration = Duration::from_secs(5);

    /// Whatever changes what a webhook must know makes the server forget what it knew, and a command that was on its way
    /// sees it in its own transaction, also when another process did it and nobody has told.
    #[test]
    fn what_is_kept_never_outlives_a_change() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let (writer, thread) = Writer::start(store.writing().unwrap(), Arc::new(SystemClock::new()), || ()).unwrap();
        let settings = |value: &str| Settings::from_pairs([("key".to_owned(), value.to_owned())]);
        let first = settings("old");
        let (portal, line): (PortalId, LineId) = writer
            .write(WAIT, move |tx| {
                let portal = NewPortal {
                    name: "p".into(),
                    protocol: "box",
                    url: "https://p.test".into(),
                    licence: "l".into(),
                    key: Secret::new("k"),
                };
                let portal = directory::add_portal(tx.db(), &portal, tx.now)?;
                let line = directory::ensure_line(tx, portal, "x", "1", "h")?.id;
                directory::save_settings(tx, line, &first, None)?;
                Ok((portal, line))
            })
            .unwrap();
        let (lines, db) = (KnownLines::default(), store.reading().unwrap());
        let look = || {
            let state = writer.lines_state();
            if let Some(kept) = lines.get("h", state) {
                return (true, Some(kept));
            }
            (false, lines.read(&db, "h", state).unwrap())
        };
        let is_live = |known: &Arc<Known>| {
            let known = Arc::clone(known);
            writer.write(WAIT, move |tx| known.is_live(tx)).unwrap()
        };
        assert!(!look().0);
        assert!(look().0, "kept");
        writer.write(WAIT, move |tx| directory::line_proved(tx, line)).unwrap();
        assert!(look().0, "a proof changes nothing that counts");
        let new = settings("new");
        writer.write(WAIT, move |tx| directory::save_settings(tx, line, &new, None)).unwrap();
        let (is_kept, known) = look();
        assert_eq!((is_kept, known.unwrap().settings.get("key")), (false, Some("new")));
        writer.write(WAIT, move |tx| directory::portal_seen(tx, portal, "23.100.0")).unwrap();
        let (is_kept, known) = look();
        let known = known.unwrap();
        assert_eq!((is_kept, known.portal.major()), (false, 23));
        writer.write(WAIT, move |tx| directory::portal_seen(tx, portal, "23.100.0")).unwrap();
        assert!(look().0 && is_live(&known), "the same version again");

        let other = store.writing().unwrap();
        other.execute_batch("update lines set hash = 'elsewhere'").unwrap();
        assert!(!is_live(&known), "another process");
        other.execute_batch("update lines set hash = 'h'").unwrap();
        assert!(is_live(&known));
        let known = look().1.unwrap();
        writer.write(WAIT, move |tx| directory::retire_line(tx, line)).unwrap();
        assert!(!is_live(&known));
        assert!(look().1.is_none());
        let before = writer.lines_state();
        writer.write(WAIT, move |tx| directory::remove_line(tx, line)).unwrap();
        assert_ne!(writer.lines_state(), before);
        thread.stop();
    }
}
