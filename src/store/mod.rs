//! The database file: opening, pragmas, schema version, readers. It knows tables, not what they mean to a queue.
//! One connection writes (`writer`); readers are separate and read-only, so none waits for another.

pub mod attempts;
pub mod check;
pub mod counters;
pub mod deliveries;
pub mod directory;
pub mod look;
mod mark;
pub mod migrate;
pub mod readers;
mod words;
pub mod writer;

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

pub use writer::{Tx, WriteError, Writer};

/// Name of the database file inside the data directory.
pub const FILE: &str = "trunkline.db";
/// Name of the file that a running server keeps locked.
pub const LOCK_FILE: &str = "server.lock";

/// Why the database can't be used.
#[derive(Debug)]
pub enum StoreError {
    /// The data directory can't be made or entered.
    Folder {
        /// Which.
        path: PathBuf,
        /// Why.
        why: std::io::Error,
    },
    /// Another server works in this data directory.
    Locked(PathBuf),
    /// The file was written by a newer version.
    Newer {
        /// Version in the file.
        found: i64,
        /// Newest version this program knows.
        known: i64,
    },
    /// The file may not be written.
    ReadOnly {
        /// Which.
        path: PathBuf,
        /// Why.
        why: std::io::Error,
    },
    /// The file system can't hold the database's log; the journal mode that is left.
    Journal(String),
    /// The file is no sound database.
    Corrupt(String),
    /// The file lacks accepted messages: its log is missing, or it is an older copy.
    Behind {
        /// How many at least.
        missing: i64,
        /// Where the last ids are noted.
        mark: PathBuf,
    },
    /// SQLite refused.
    Sqlite(rusqlite::Error),
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder { path, why } => write!(f, "the data directory `{}` can't be used: {why}", path.display()),
            Self::Locked(path) => {
                write!(f, "another server works in `{}`; stop it or choose another data_dir", path.display())
            }
            Self::Newer { found, known } => write!(
                f,
                "the database has schema {found}, this program knows up to {known}; install the newer program again"
            ),
            Self::ReadOnly { path, why } => write!(
                f,
                "`{}` can't be written ({why}); it must belong to the server's user, on a file system that is not \
                 mounted read-only",
                path.display()
            ),
            Self::Journal(mode) => write!(
                f,
                "the file system of the data directory can't hold the database's log (SQLite fell back to `{mode}`); \
                 choose a data_dir on a local disk"
            ),
            Self::Corrupt(why) => write!(
                f,
                "the database is damaged ({why}); keep it for what came after the last backup, put that backup in its \
                 place and start again"
            ),
            Self::Behind { missing, mark } => write!(
                f,
                "the database lacks {missing} messages that were accepted: its log `{FILE}-wal` was removed, or an \
                 older copy was put in its place; bring the log or the newer file back before anything else, or, to \
                 go on without these messages, delete `{}`",
                mark.display()
            ),
            Self::Sqlite(error) => write!(f, "the database refused: {}", words::of(error)),
        }
    }
}

impl std::error::Error for StoreError {}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        if words::is_damage(&error) { Self::Corrupt(error.to_string()) } else { Self::Sqlite(error) }
    }
}

/// The data directory and how to open connections into it.
#[derive(Clone, Debug)]
pub struct Store {
    path: Arc<PathBuf>,
    /// The connection that opened the file, kept for the first who writes. Closed in between it would be the last one,
    /// and SQLite would copy a killed server's whole log into the file before the server is ready.
    first: Arc<Mutex<Option<Connection>>>,
}

impl Store {
    /// Makes the directory and the file when missing and brings the schema to the newest version.
    pub fn open(data_dir: &Path) -> Result<Self, StoreError> {
        make_folder(data_dir).map_err(|why| StoreError::Folder { path: data_dir.to_owned(), why })?;
        let path = data_dir.join(FILE);
        if !path.exists() {
            mark::check_absent(&path)?;
        }
        make_file(&path).map_err(|why| match why.kind() {
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
                StoreError::ReadOnly { path: path.clone(), why }
            }
            _ => StoreError::Folder { path: path.clone(), why },
        })?;
        let store = Self { path: Arc::new(path), first: Arc::default() };
        let mut db = store.writing()?;
        mark::check(store.path(), &db)?;
        migrate::run(&mut db)?;
        *store.first.lock().unwrap_or_else(PoisonError::into_inner) = Some(db);
        Ok(store)
    }

    /// The database file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A connection that writes. The server has exactly one, inside [`Writer`]; commands open theirs for a moment.
    pub fn writing(&self) -> Result<Connection, StoreError> {
        if let Some(first) = self.first.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return Ok(first);
        }
        let db = Connection::open_with_flags(
            self.path.as_ref(),
            OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
        )?;
        db.busy_timeout(Duration::from_secs(5))?;
        let pages: i64 = db.pragma_query_value(None, "page_count", |row| row.get(0))?;
        if pages == 0 {
            // Only an empty file can be told; before the journal's mode, which writes the first page.
            db.pragma_update(None, "auto_vacuum", "incremental")?;
        }
        let mode: String = db.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0))?;
        if mode != "wal" {
            return Err(StoreError::Journal(mode));
        }
        db.pragma_update(None, "synchronous", "full")?;
        db.pragma_update(None, "foreign_keys", true)?;
        db.pragma_update(None, "cache_size", -16_384)?;
        // 64 MB of WAL before a checkpoint in line: the best 99th percentile (limits.md B6); the housekeeper
        // checkpoints in idle moments, and the file shrinks back to this size.
        db.pragma_update(None, "wal_autocheckpoint", 16_000)?;
        db.pragma_update(None, "journal_size_limit", 65_536_000)?;
        settle_plans(&db)?;
        db.set_prepared_statement_cache_capacity(128);
        Ok(db)
    }

    /// A read-only connection. Keep no read transaction open longer than a packet: the WAL grows behind it.
    pub fn reading(&self) -> Result<Connection, StoreError> {
        let db = Connection::open_with_flags(
            self.path.as_ref(),
            OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
        )?;
        db.busy_timeout(Duration::from_secs(5))?;
        db.pragma_update(None, "query_only", true)?;
        settle_plans(&db)?;
        db.set_prepared_statement_cache_capacity(64);
        Ok(db)
    }

    /// Takes the data directory for one server; the lock falls with the process, however it ends.
    pub fn lock(&self) -> Result<ServerLock, StoreError> {
        let folder = self.path.parent().unwrap_or(Path::new(".")).to_owned();
        let open = OpenOptions::new().create(true).truncate(false).write(true).open(folder.join(LOCK_FILE));
        let file = open.map_err(|why| StoreError::Folder { path: folder.clone(), why })?;
        file.try_lock().map_err(|_| StoreError::Locked(folder))?;
        Ok(ServerLock { _file: file })
    }
}

/// A statement keeps the plan it was prepared with. Otherwise SQLite plans it anew whenever another value is bound to it,
/// in the hope of statistics that nobody collects here.
fn settle_plans(db: &Connection) -> Result<(), StoreError> {
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(())
}

/// Held while a server runs.
#[derive(Debug)]
pub struct ServerLock {
    _file: File,
}

#[cfg(unix)]
fn make_folder(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// The file holds secrets: only its owner reads it. SQLite gives the WAL the same mode.
#[cfg(unix)]
fn make_file(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    OpenOptions::new().create(true).append(true).mode(0o600).open(path).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_for_its_owner_alone() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("deep/er")).unwrap();
        assert_eq!(std::fs::metadata(store.path()).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn commits_are_synchronous_and_readers_cannot_write() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let value = |db: &Connection, name: &str| -> String {
            db.pragma_query_value(None, name, |row| row.get::<_, rusqlite::types::Value>(0)).map_or_else(
                |error| error.to_string(),
                |value| match value {
                    rusqlite::types::Value::Integer(number) => number.to_string(),
                    rusqlite::types::Value::Text(text) => text,
                    other => format!("{other:?}"),
                },
            )
        };
        let db = store.writing().unwrap();
        assert_eq!(value(&db, "journal_mode"), "wal");
        assert_eq!(value(&db, "synchronous"), "2");
        assert_eq!(value(&db, "foreign_keys"), "1");
        assert!(store.reading().unwrap().execute("delete from portals", []).is_err());
    }

    /// Regression: the next packet's statement was planned anew for each packet, and the line's after each change.
    #[test]
    fn a_statement_keeps_its_plan_whatever_is_bound_to_it() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        for db in [store.writing().unwrap(), store.reading().unwrap()] {
            let mut stmt =
                db.prepare("select id from queue where line_id = ?1 and id > ?2 order by id limit 10").unwrap();
            for after in 0..3 {
                assert_eq!(stmt.query_map([1, after], |row| row.get::<_, i64>(0)).unwrap().count(), 0);
            }
            assert_eq!(stmt.get_status(rusqlite::StatementStatus::RePrepare), 0);
        }
    }

    /// Start-up needs no repair step: what a kill left in the log is read from there.
    #[test]
    fn opening_leaves_a_killed_servers_log_where_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let db = store.writing().unwrap();
        db.execute("insert into shelf (name, body, at) values ('x', '', 0)", []).unwrap();
        let killed = tempfile::tempdir().unwrap();
        for name in [FILE, "trunkline.db-wal"] {
            std::fs::copy(folder.path().join(name), killed.path().join(name)).unwrap();
        }
        let log = || std::fs::metadata(killed.path().join("trunkline.db-wal")).unwrap().len();
        let before = log();
        assert!(before > 0);
        let store = Store::open(killed.path()).unwrap();
        let _writer = store.writing().unwrap();
        assert_eq!(log(), before);
        let rows: i64 = store.reading().unwrap().query_row("select count(*) from shelf", [], |row| row.get(0)).unwrap();
        assert_eq!(rows, 1);
    }

    #[test]
    fn a_second_server_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let _first = store.lock().unwrap();
        assert!(matches!(store.lock(), Err(StoreError::Locked(_))));
    }

    #[test]
    fn a_file_that_is_no_database_is_refused_in_words() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(FILE), vec![b'x'; 8192]).unwrap();
        let error = Store::open(folder.path()).unwrap_err();
        assert!(matches!(error, StoreError::Corrupt(_)), "{error}");
    }
}
