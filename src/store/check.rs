//! Is the file sound? A look at start that takes milliseconds, and SQLite's whole check in the background. What either
//! finds is noted in a file beside the database, so that no later start goes on before a whole check has passed.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, ErrorCode};

use super::look::beside;
use super::{Store, StoreError, words};

/// What nothing works without, and what stays small however long the queue is.
const SMALL: [&str; 4] = [
    "pragma integrity_check('portals')",
    "pragma integrity_check('lines')",
    "pragma integrity_check('settings')",
    "pragma integrity_check('counters')",
];
/// Steps of the check between two looks at whether it should go on.
const STEPS: i32 = 10_000;
/// The log may grow so far behind the check: the check's view of the file keeps it from being begun anew, and each
/// commit is dearer for it (`limits.md` B5). The log's usual size is half of it.
const LOG_MAX_BYTES: u64 = 128 * 1024 * 1024;

/// What a whole check came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing was found.
    Sound,
    /// The first finding.
    Damaged(String),
    /// It was told to end, or stood in the way of too much writing.
    Interrupted,
}

/// The look at start. After damage was noted it is a whole check, however long that takes.
pub fn at_start(store: &Store) -> Result<(), StoreError> {
    let note = note_path(store.path());
    if note.exists() {
        log::warn!("damage was found in the database; it is checked as a whole before anything else");
        return match whole(store, || true)? {
            Verdict::Sound => {
                std::fs::remove_file(&note).map_err(|why| StoreError::Folder { path: note, why })?;
                log::info!("the database is sound");
                Ok(())
            }
            Verdict::Damaged(why) => Err(StoreError::Corrupt(why)),
            Verdict::Interrupted => Err(StoreError::Corrupt("the check did not come to an end".to_owned())),
        };
    }
    let db = store.reading()?;
    for sql in SMALL {
        if let Some(why) = finding(&db, sql)? {
            note_damage(store.path(), &why);
            return Err(StoreError::Corrupt(why));
        }
    }
    Ok(())
}

/// Reads every page and holds rows against indexes, on a connection of its own that delays no commit. `go_on` is asked
/// many times a second.
pub fn whole(store: &Store, mut go_on: impl FnMut() -> bool + Send + 'static) -> Result<Verdict, StoreError> {
    let mut db = store.reading()?;
    let log = beside(store.path(), "-wal");
    db.progress_handler(
        STEPS,
        Some(move || !go_on() || std::fs::metadata(&log).is_ok_and(|log| log.len() > LOG_MAX_BYTES)),
    )?;
    match finding(&db, "pragma integrity_check(1)") {
        Ok(None) => Ok(Verdict::Sound),
        Ok(Some(why)) => {
            note_damage(store.path(), &why);
            Ok(Verdict::Damaged(why))
        }
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted) => Ok(Verdict::Interrupted),
        Err(error) => Err(error.into()),
    }
}

/// The first thing that a check complains of; an error that means damage is one.
fn finding(db: &Connection, sql: &str) -> rusqlite::Result<Option<String>> {
    match db.query_row(sql, [], |row| row.get::<_, String>(0)) {
        Ok(word) if word == "ok" => Ok(None),
        Ok(found) => Ok(Some(found.split_whitespace().collect::<Vec<_>>().join(" "))),
        Err(error) if words::is_damage(&error) => Ok(Some(error.to_string())),
        Err(error) => Err(error),
    }
}

/// Leaves word for the next start. Without it the server would start, serve and stop again and again.
pub(super) fn note_damage(database: &Path, why: &str) {
    let note = note_path(database);
    if let Err(error) = std::fs::write(&note, format!("{why}\n")) {
        log::error!(error:% = error; "the damage could not be noted in `{}`", note.display());
    }
}

fn note_path(database: &Path) -> PathBuf {
    beside(database, "-damaged")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::FileExt;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// Ten thousand rows with an index, and the page of a name overwritten.
    fn store(damaged: Option<&str>) -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let db = store.writing().unwrap();
        db.execute_batch(
            "with recursive n(i) as (select 1 union all select i + 1 from n where i < 10000)
             insert into seen (key, at) select cast(i as blob), 0 from n;
             pragma wal_checkpoint(truncate)",
        )
        .unwrap();
        if let Some(name) = damaged {
            let root: i64 =
                db.query_row("select rootpage from sqlite_schema where name = ?1", [name], |row| row.get(0)).unwrap();
            let file = std::fs::OpenOptions::new().write(true).open(store.path()).unwrap();
            file.write_all_at(&[0x5a; 4096], (u64::try_from(root).unwrap() - 1) * 4096).unwrap();
        }
        (folder, store)
    }

    #[test]
    fn a_sound_file_passes_both_checks() {
        let (_folder, store) = store(None);
        at_start(&store).unwrap();
        assert_eq!(whole(&store, || true).unwrap(), Verdict::Sound);
    }

    #[test]
    fn the_look_at_start_sees_damage_where_nothing_works_without() {
        let (_folder, store) = store(Some("lines"));
        assert!(matches!(at_start(&store), Err(StoreError::Corrupt(_))));
    }

    /// Damage elsewhere is found by the whole check; after that no start goes on until the file is sound.
    #[test]
    fn damage_is_remembered_until_the_file_is_sound_again() {
        let (folder, store) = store(Some("seen"));
        at_start(&store).unwrap();
        assert!(matches!(whole(&store, || true).unwrap(), Verdict::Damaged(_)));
        let error = at_start(&store).unwrap_err();
        assert!(error.to_string().contains("backup"), "{error}");
        let (_other, sound) = self::store(None);
        std::fs::copy(sound.path(), store.path()).unwrap();
        at_start(&store).unwrap();
        assert!(!note_path(&folder.path().join(super::super::FILE)).exists());
    }

    #[test]
    fn the_whole_check_ends_when_it_is_told_to() {
        let (_folder, store) = store(None);
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        let verdict = whole(&store, move || count.fetch_add(1, Ordering::SeqCst) < 2).unwrap();
        assert_eq!((verdict, asked.load(Ordering::SeqCst)), (Verdict::Interrupted, 3));
    }
}
