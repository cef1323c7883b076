//! What SQLite's errors mean to somebody who can do something about them.

use rusqlite::ErrorCode;

/// A sentence without a full stop; for errors of the machine it says what to do.
pub(super) fn of(error: &rusqlite::Error) -> String {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => "the disk is full; make room where the database lies".to_owned(),
        Some(ErrorCode::ReadOnly) => {
            "the database can't be written; it must belong to the server's user, on a file system that is not mounted \
             read-only"
                .to_owned()
        }
        Some(ErrorCode::SystemIoFailure) => format!("the disk reports errors ({error}); look into the system's log"),
        Some(ErrorCode::CannotOpen) => {
            format!("a file of the database can't be opened ({error}); permissions and free descriptors decide that")
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            "another process keeps the database locked".to_owned()
        }
        _ => error.to_string(),
    }
}

/// The file itself is damaged: nothing gets better by going on.
pub(super) fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}
