//! The desk's file: opening, its version, transactions. Everything in it is read and written under one lock, which is
//! plenty for people who type; whoever waits for news sleeps beside it.

use std::fmt;
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, Transaction, TransactionBehavior};

use crate::clock::UnixMillis;
use crate::desk::watched::Watched;

const SCHEMA: &str = include_str!("schema.sql");
/// `pragma user_version` of [`SCHEMA`].
const VERSION: i64 = 1;
/// `pragma application_id`: "Desk".
const APPLICATION: i64 = 0x4465_736B;
/// The id before the first of a new file. A message's is the present second, above those of an earlier file: the server
/// remembers ids for days and takes a known one for a repeat.
const FIRST_IDS: &str = "insert into sqlite_sequence (name, seq) values ('talks', 100), ('messages', ?1)";

/// Why the desk's file can't be used.
#[derive(Debug)]
pub enum StoreError {
    /// It can't be made or opened.
    Path(std::io::Error),
    /// Another process has it open.
    InUse,
    /// It is something else: no database, or one of another program.
    Foreign,
    /// It was written by a newer version of this program.
    Newer(i64),
    /// SQLite's own words.
    Sqlite(rusqlite::Error),
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(why) => write!(f, "the desk's file can't be opened: {why}"),
            Self::InUse => f.write_str("another process has the desk's file open; stop it first"),
            Self::Foreign => f.write_str("the file that is there is no desk's; name another one"),
            Self::Newer(found) => {
                write!(f, "the desk's file has version {found}, this program knows {VERSION}; use a newer program")
            }
            Self::Sqlite(error) => write!(f, "the desk's file can't be used: {error}"),
        }
    }
}

impl std::error::Error for StoreError {}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked) => Self::InUse,
            Some(rusqlite::ErrorCode::NotADatabase) => Self::Foreign,
            _ => Self::Sqlite(error),
        }
    }
}

/// The open file, or one in memory that vanishes with it.
#[derive(Debug)]
pub(super) struct Store(Watched<Connection>);

impl Store {
    /// Opens a file, made when it is missing; without a path, one in memory. `now` numbers the versions from here on: there
    /// is less than one change a millisecond, so they are above those of an earlier life.
    pub(super) fn open(path: Option<&Path>, now: UnixMillis) -> Result<Self, StoreError> {
        let mut db = match path {
            Some(path) => {
                // Nobody else on the machine reads what customers write; SQLite gives its log the same mode.
                let made = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path);
                made.map_err(StoreError::Path)?;
                Connection::open(path)?
            }
            None => Connection::open_in_memory()?,
        };
        // One process at a time: the lock is kept from the first look on.
        db.pragma_update(None, "locking_mode", "exclusive")?;
        db.pragma_update(None, "journal_mode", "wal")?;
        db.pragma_update(None, "synchronous", "full")?;
        db.pragma_update(None, "foreign_keys", true)?;
        let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let pragma = |name: &str| tx.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
        let tables: i64 = tx.query_row("select count(*) from sqlite_schema", [], |row| row.get(0))?;
        match (pragma("application_id")?, pragma("user_version")?) {
            (0, 0) if tables == 0 => {
                tx.execute_batch(SCHEMA)?;
                tx.execute(FIRST_IDS, [now.secs()])?;
                tx.pragma_update(None, "application_id", APPLICATION)?;
                tx.pragma_update(None, "user_version", VERSION)?;
            }
            (APPLICATION, VERSION) => (),
            (APPLICATION, found) => return Err(StoreError::Newer(found)),
            _ => return Err(StoreError::Foreign),
        }
        tx.commit()?;
        Ok(Self(Watched::from_version(u64::try_from(now.0).unwrap_or(1), db)))
    }

    /// Looks at the file.
    pub(super) fn read<R>(&self, look: impl FnOnce(&Connection) -> rusqlite::Result<R>) -> rusqlite::Result<R> {
        self.0.read(|db| look(db))
    }

    /// Changes the file in one transaction, committed before it returns, and wakes those who wait for news. An error of
    /// the change leaves the file as it was.
    pub(super) fn write<R, E: From<rusqlite::Error>>(
        &self,
        change: impl FnOnce(&Transaction<'_>) -> Result<R, E>,
    ) -> Result<R, E> {
        self.0.change(|db| {
            let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let result = change(&tx)?;
            tx.commit()?;
            Ok(result)
        })
    }

    /// Waits for a version above `after`, at most for `limit`, and looks.
    pub(super) fn news<R>(&self, after: u64, limit: Duration, look: impl FnOnce(u64, &Connection) -> R) -> R {
        self.0.news(after, limit, look)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMillis = UnixMillis(1_795_608_000_000);

    #[test]
    fn a_file_is_opened_again_by_one_process_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("desk.db");
        let store = Store::open(Some(&path), NOW).unwrap();
        store.write(|tx| tx.execute("insert into operators (name) values ('Anna')", [])).unwrap();
        assert!(matches!(Store::open(Some(&path), NOW), Err(StoreError::InUse)));
        drop(store);
        let store = Store::open(Some(&path), NOW).unwrap();
        let name = store.read(|db| db.query_row("select name from operators", [], |row| row.get::<_, String>(0)));
        assert_eq!(name.as_deref(), Ok("Anna"));
    }

    #[test]
    fn another_file_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("text"), "this is no database, and long enough to be seen as none of them".repeat(20))
            .unwrap();
        let other = Connection::open(path("other")).unwrap();
        other.execute_batch("create table t (x)").unwrap();
        drop(other);
        drop(Store::open(Some(&path("newer")), NOW).unwrap());
        Connection::open(path("newer")).unwrap().pragma_update(None, "user_version", 99).unwrap();
        assert!(matches!(Store::open(Some(&path("text")), NOW), Err(StoreError::Foreign)));
        assert!(matches!(Store::open(Some(&path("other")), NOW), Err(StoreError::Foreign)));
        assert!(matches!(Store::open(Some(&path("newer")), NOW), Err(StoreError::Newer(99))));
    }

    /// The server remembers ids longer than a desk in memory lives.
    #[test]
    fn a_new_file_uses_no_id_of_an_earlier_one() {
        let first_id = |now: UnixMillis| {
            let store = Store::open(None, now).unwrap();
            let write = |tx: &Transaction<'_>| {
                tx.execute_batch(
                    "insert into talks (id, connector, line, chat, title, state, since) values (1, '', '', '', '', 'closed', 0)",
                )?;
                tx.execute("insert into messages (talk, at, author, text) values (1, 0, 'system', '')", [])?;
                Ok::<_, rusqlite::Error>(tx.last_insert_rowid())
            };
            store.write(write).unwrap()
        };
        assert!(first_id(UnixMillis(NOW.0 + 60_000)) >= first_id(NOW) + 60);
    }

    #[test]
    fn an_error_leaves_no_half_a_change() {
        let store = Store::open(None, NOW).unwrap();
        let result: Result<(), rusqlite::Error> = store.write(|tx| {
            tx.execute("insert into operators (name) values ('Anna')", [])?;
            Err(rusqlite::Error::QueryReturnedNoRows)
        });
        assert!(result.is_err());
        let count = store.read(|db| db.query_row("select count(*) from operators", [], |row| row.get::<_, i64>(0)));
        assert_eq!(count, Ok(0));
    }
}
