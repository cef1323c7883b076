//! Looking into a data directory without changing anything there: no file is made, no schema is brought up, no log is
//! written back. For whoever examines a server that may run, may be stopped, and may be broken.

use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::{FILE, LOCK_FILE, StoreError};
use crate::clock::Clock;

/// How long a reader waits for a lock.
const PATIENCE: Duration = Duration::from_secs(2);
/// Steps of SQLite's machine between two looks at the clock.
const STEPS: i32 = 10_000;
const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'.').remove(b'-').remove(b'_');

/// A reader of the file that is there. While nobody has it open there is no log beside it, and then it is read as a file
/// that can't change: SQLite would otherwise make a log of its own and leave it behind.
pub fn open(data_dir: &Path) -> Result<Connection, StoreError> {
    use std::os::unix::ffi::OsStrExt;
    let path = data_dir.join(FILE);
    let still = if beside(&path, "-wal").exists() { "" } else { "?immutable=1" };
    let name = format!("file:{}{still}", percent_encode(path.as_os_str().as_bytes(), PATH));
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(name, flags)?;
    db.busy_timeout(PATIENCE)?;
    db.pragma_update(None, "query_only", true)?;
    Ok(db)
}

/// The database's companion of that ending.
pub fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(ending);
    name.into()
}

/// Whether a server works in this data directory. The shared lock that is tried falls at once; a server that starts in
/// this very moment would be refused and start a second later.
pub fn is_served(data_dir: &Path) -> bool {
    let Ok(file) = File::open(data_dir.join(LOCK_FILE)) else { return false };
    matches!(file.try_lock_shared(), Err(std::fs::TryLockError::WouldBlock))
}

/// What keeps others from writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteLock {
    /// Nothing.
    Free,
    /// Somebody held the lock for the whole time.
    Held,
    /// The file or its folder takes no writes.
    ReadOnly,
}

/// Whether the write lock can be had within `patience`; it is given back unused. Without a log nobody has the file open,
/// so nobody holds a lock, and asking would make the log.
pub fn write_lock(data_dir: &Path, patience: Duration) -> Result<WriteLock, StoreError> {
    let path = data_dir.join(FILE);
    if !beside(&path, "-wal").exists() {
        return Ok(WriteLock::Free);
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(&path, flags)?;
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    db.busy_timeout(patience)?;
    match db.execute_batch("begin immediate; rollback") {
        Ok(()) => Ok(WriteLock::Free),
        Err(error) => match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Ok(WriteLock::Held),
            Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen) => Ok(WriteLock::ReadOnly),
            _ => Err(error.into()),
        },
    }
}

/// Reads the whole file for damage, for at most `patience`: the first thing that is wrong with it, if anything was found.
pub fn damage(db: &mut Connection, clock: &Arc<dyn Clock>, patience: Duration) -> Result<Option<String>, StoreError> {
    let until = clock.ticks() + patience;
    let watch = Arc::clone(clock);
    db.progress_handler(STEPS, Some(move || watch.ticks() > until))?;
    let found = db.query_row("pragma quick_check(1)", [], |row| row.get::<_, String>(0));
    db.progress_handler(0, None::<fn() -> bool>)?;
    match found {
        Ok(word) if word == "ok" => Ok(None),
        Ok(word) => Ok(Some(word)),
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted) => Ok(None),
        Err(error) => match StoreError::from(error) {
            StoreError::Corrupt(why) => Ok(Some(why)),
            other => Err(other),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::clock::SystemClock;
    use crate::store::Store;

    fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
        let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        entries.map(|path| (path.clone(), std::fs::read(path).unwrap())).collect()
    }

    fn look(folder: &Path) -> i64 {
        let mut db = open(folder).unwrap();
        assert_eq!(write_lock(folder, Duration::ZERO).unwrap(), WriteLock::Free);
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        assert_eq!(damage(&mut db, &clock, Duration::from_secs(10)).unwrap(), None);
        db.query_row("select count(*) from shelf", [], |row| row.get(0)).unwrap()
    }

    #[test]
    fn looking_leaves_a_stopped_database_as_it_was() {
        // A folder whose name a careless address would misread.
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("a ?b#c%20");
        let store = Store::open(&folder).unwrap();
        store.writing().unwrap().execute("insert into shelf (name, body, at) values ('x', '', 0)", []).unwrap();
        let before = files(&folder);
        assert_eq!(before.len(), 1, "closed cleanly");
        assert_eq!(look(&folder), 1);
        assert_eq!(files(&folder), before);
    }

    /// A killed server leaves its log; looking neither loses nor writes it back.
    #[test]
    fn looking_sees_what_a_killed_server_left() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let db = store.writing().unwrap();
        db.execute("insert into shelf (name, body, at) values ('x', '', 0)", []).unwrap();
        let killed = tempfile::tempdir().unwrap();
        for (path, bytes) in files(folder.path()).into_iter().filter(|(path, _)| !path.ends_with("trunkline.db-shm")) {
            std::fs::write(killed.path().join(path.file_name().unwrap()), bytes).unwrap();
        }
        let before = files(killed.path());
        assert_eq!(before.len(), 2);
        assert_eq!(look(killed.path()), 1);
        let after = files(killed.path());
        for (path, bytes) in before {
            assert_eq!(after[&path], bytes, "{}", path.display());
        }
    }

    #[test]
    fn a_held_lock_and_a_running_server_are_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        assert!(!is_served(folder.path()));
        let lock = store.lock().unwrap();
        assert!(is_served(folder.path()));
        drop(lock);
        assert!(!is_served(folder.path()));
        let db = store.writing().unwrap();
        db.execute_batch("begin immediate").unwrap();
        assert_eq!(write_lock(folder.path(), Duration::ZERO).unwrap(), WriteLock::Held);
    }
}
