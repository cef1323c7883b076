//! The mark: a small file beside the database with the last ids that were committed. A database that knows less has lost
//! accepted messages, and SQLite can't tell: a missing log (`-wal`) and an older copy of the file look whole to it.
//!
//! The mark is written after each commit that accepted something and never synced: it survives every end of the process,
//! and after a loss of power it is at most too old, which hides something and never raises a false alarm.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::StoreError;
use super::look::beside;

/// What was accepted, from either side.
const LAST: &str = "
    select coalesce(max(seq) filter (where name = 'queue'), 0),
           coalesce(max(seq) filter (where name = 'outbox'), 0)
      from sqlite_sequence";

/// Last ids of `queue` and `outbox`.
pub(super) type Last = [i64; 2];

fn path(database: &Path) -> PathBuf {
    beside(database, "-mark")
}

fn last(db: &Connection) -> rusqlite::Result<Last> {
    db.prepare_cached(LAST)?.query_row([], |row| Ok([row.get(0)?, row.get(1)?]))
}

/// Fixed width, so that a mark is always overwritten as a whole.
fn encode([queue, outbox]: Last) -> String {
    format!("queue {queue:020} outbox {outbox:020}\n")
}

fn decode(text: &str) -> Option<Last> {
    let mut words = text.split_whitespace();
    let mut next = |name: &str| words.next().filter(|word| *word == name).and(words.next())?.parse().ok();
    Some([next("queue")?, next("outbox")?])
}

/// Refuses a database that has forgotten what was accepted; before anything is written to it.
pub(super) fn check(database: &Path, db: &Connection) -> Result<(), StoreError> {
    let is_fresh = db.query_row("select not exists (select 1 from sqlite_schema)", [], |row| row.get(0))?;
    compare(database, if is_fresh { Last::default() } else { last(db)? })
}

/// The same where there is no file at all: somebody has moved it, or this is the first start.
pub(super) fn check_absent(database: &Path) -> Result<(), StoreError> {
    compare(database, Last::default())
}

fn compare(database: &Path, known: Last) -> Result<(), StoreError> {
    let mark = path(database);
    let Ok(text) = std::fs::read_to_string(&mark) else { return Ok(()) };
    // What a loss of power has left of it may be anything.
    let Some(marked) = decode(&text) else { return Ok(()) };
    let missing: i64 = marked.iter().zip(known).map(|(marked, known)| marked.saturating_sub(known).max(0)).sum();
    if missing == 0 { Ok(()) } else { Err(StoreError::Behind { missing, mark }) }
}

/// The writer's hand on the mark.
#[derive(Debug)]
pub(super) struct Mark {
    file: Option<File>,
    written: Last,
}

impl Mark {
    /// The mark of the file behind `db`; without one, as for a database in memory, nothing is marked.
    pub(super) fn of(db: &Connection) -> Self {
        let path = db.path().filter(|name| !name.is_empty()).map(|name| path(Path::new(name)));
        let open = |path: PathBuf| OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path);
        let file = path.and_then(|path| {
            open(path).inspect_err(|error| log::warn!(error:% = error; "the mark can't be kept")).ok()
        });
        Self { file, written: Last::default() }
    }

    /// What the open transaction of `db` will have accepted; `None` where nothing is marked. An error costs the alarm, not
    /// the message.
    pub(super) fn last(&self, db: &Connection) -> Option<Last> {
        self.file.as_ref().and_then(|_| last(db).ok())
    }

    /// Notes what was committed.
    pub(super) fn set(&mut self, last: Option<Last>) {
        if let (Some(file), Some(last)) = (&self.file, last)
            && last != self.written
            && file.write_all_at(encode(last).as_bytes(), 0).is_ok()
        {
            self.written = last;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;

    #[test]
    fn what_is_marked_is_read_back_and_rubbish_is_no_alarm() {
        for last in [[0, 0], [1, 2], [i64::MAX, 7]] {
            assert_eq!(decode(&encode(last)), Some(last));
            assert_eq!(encode(last).len(), encode([0, 0]).len());
        }
        for rubbish in ["", "\0\0\0", "queue x outbox 3", "queue 5", "outbox 1 queue 2"] {
            assert_eq!(decode(rubbish), None, "{rubbish:?}");
        }
    }

    /// Only what is accepted counts: a file that has lost nothing, or only deletions, is no alarm.
    #[test]
    fn a_file_that_knows_less_than_was_accepted_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let db = store.writing().unwrap();
        let mut mark = Mark::of(&db);
        mark.set(mark.last(&db));
        check(store.path(), &db).unwrap();
        db.execute_batch(
            "pragma foreign_keys = off;
             insert into outbox (line_id, chat, body, accepted_at, due_at) values (1, 'c', x'', 0, 0);
             insert into outbox (line_id, chat, body, accepted_at, due_at) values (1, 'c', x'', 0, 0);",
        )
        .unwrap();
        mark.set(mark.last(&db));
        db.execute_batch("delete from outbox").unwrap();
        check(store.path(), &db).unwrap();
        db.execute_batch("update sqlite_sequence set seq = 1 where name = 'outbox'").unwrap();
        let error = check(store.path(), &db).unwrap_err();
        assert!(matches!(error, StoreError::Behind { missing: 1, .. }), "{error}");
        drop(db);
        std::fs::remove_file(store.path()).unwrap();
        let error = Store::open(folder.path()).unwrap_err();
        assert!(matches!(error, StoreError::Behind { missing: 2, .. }), "{error}");
        assert!(!store.path().exists(), "nothing is put in the place of a file that was moved");
    }
}
