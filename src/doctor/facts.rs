//! What the checks judge: plain values, gathered at one moment.

use std::path::PathBuf;
use std::time::Duration;

use crate::channels::TestError;
use crate::clock::UnixMillis;
use crate::config::Config;
use crate::ids::LineId;
use crate::portals::PortalError;
use crate::records::{Line, Portal};
use crate::store::attempts::Attempted;
use crate::store::counters::Accounting;
use crate::store::look::WriteLock;

/// Everything.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The moment they belong to.
    pub now: UnixMillis,
    /// The configuration, without mistakes.
    pub config: Config,
    /// The data directory.
    pub place: Place,
    /// The server.
    pub server: Server,
    /// The certificate's span of time, when `[tls]` is given and the pair can be used.
    pub certificate: Option<Result<(UnixMillis, UnixMillis), String>>,
    /// The database.
    pub database: Database,
    /// What portals and channels answered; `None` when they were not asked.
    pub answers: Option<Answers>,
}

/// Files, folder and disk.
#[derive(Clone, Debug, Default)]
pub struct Place {
    /// Why the folder can't be entered; `None` when it can.
    pub refused: Option<String>,
    /// There is a folder.
    pub exists: bool,
    /// Owner of the folder.
    pub owner: u32,
    /// Its permission bits.
    pub mode: u32,
    /// Who runs this.
    pub runs_as: u32,
    /// Bytes and files that may still be written.
    pub free_bytes: u64,
    /// Bytes of the whole disk.
    pub whole_bytes: u64,
    /// Files that may still be made; `None` where the file system does not count them.
    pub free_files: Option<u64>,
    /// The file system is mounted read-only.
    pub read_only: bool,
    /// The server's files in the folder.
    pub files: Vec<FileFacts>,
}

/// One file of the server.
#[derive(Clone, Debug)]
pub struct FileFacts {
    /// Its name.
    pub name: String,
    /// Its owner.
    pub owner: u32,
    /// Permission bits.
    pub mode: u32,
    /// When it was last changed.
    pub changed_at: UnixMillis,
}

/// Whether a server works here, and what it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Server {
    /// No server has the data directory.
    Stopped,
    /// One has.
    Running(Ready),
}

/// A running server's own word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ready {
    /// Its admin address is not known from the configuration (port 0, UNIX socket).
    Unasked,
    /// It is ready.
    Yes,
    /// It is not, for these reasons: code and sentence.
    No(Vec<(String, String)>),
    /// It gave no answer.
    Silent(String),
}

/// The database file as it was found.
#[derive(Clone, Debug)]
pub enum Database {
    /// There is none.
    Missing,
    /// It can't be read.
    Refused(String),
    /// It is no sound database.
    Damaged(String),
    /// Its schema is another one.
    Schema {
        /// Version in the file.
        found: i64,
        /// Version of this program.
        known: i64,
    },
    /// It can be read.
    Open(Box<Contents>),
}

/// What was read from the database.
#[derive(Clone, Debug)]
pub struct Contents {
    /// Whether others can write.
    pub write_lock: WriteLock,
    /// Who holds the lock: `process 4711 (sqlite3)`.
    pub lock_holder: Option<String>,
    /// The sums.
    pub accounting: Accounting,
    /// Portals by name.
    pub portals: Vec<PortalFacts>,
    /// Lines by id.
    pub lines: Vec<LineFacts>,
    /// Dead letters that are kept.
    pub dead: Dead,
    /// The newest moment that anything was written at.
    pub newest: Option<UnixMillis>,
    /// Two events, the later of which was written at an earlier time: before and after.
    pub step_back: Option<(UnixMillis, UnixMillis)>,
}

/// One portal.
#[derive(Clone, Debug)]
pub struct PortalFacts {
    /// Its record.
    pub portal: Portal,
    /// When it last called with a right signature.
    pub seen_at: Option<UnixMillis>,
    /// When it was registered.
    pub created_at: UnixMillis,
}

/// One line.
#[derive(Clone, Debug)]
pub struct LineFacts {
    /// Its record.
    pub line: Line,
    /// Its portal's name.
    pub portal: String,
    /// It has settings.
    pub connected: bool,
    /// When it was made.
    pub created_at: UnixMillis,
    /// When a webhook last proved itself.
    pub proved_at: Option<UnixMillis>,
    /// When the portal last owed a confirmation.
    pub status_missing_at: Option<UnixMillis>,
    /// What waits for the portal.
    pub queue: Waiting,
    /// What waits for the channel.
    pub outbox: Waiting,
    /// When the portal last confirmed something.
    pub confirmed_at: Option<UnixMillis>,
    /// When the channel last took something.
    pub sent_at: Option<UnixMillis>,
    /// The newest attempts, newest first.
    pub attempts: Vec<Attempted>,
    /// Who took the entity, from the journal.
    pub taken_over: Option<String>,
}

/// Messages that wait in one direction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Waiting {
    /// How many.
    pub count: i64,
    /// Since when the oldest waits.
    pub oldest: Option<UnixMillis>,
    /// What its last attempt came to, where that is known.
    pub error: Option<String>,
}

/// Dead letters that are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dead {
    /// Given up within the last day: reason and count.
    pub fresh: Vec<(String, i64)>,
    /// Given up before.
    pub older: i64,
}

/// What was asked over the network.
#[derive(Clone, Debug, Default)]
pub struct Answers {
    /// Portals by name.
    pub portals: Vec<(String, Result<(), PortalError>)>,
    /// Lines whose channel was asked.
    pub channels: Vec<(LineId, Result<(), TestError>)>,
    /// How far others' clocks are ahead of ours: host and seconds.
    pub clocks: Vec<(String, i64)>,
    /// Portals and channels that nobody got round to.
    pub unasked: usize,
    /// How long all of it may take.
    pub limit: Duration,
}

impl Facts {
    /// What was read from the database, when it could be.
    pub fn contents(&self) -> Option<&Contents> {
        match &self.database {
            Database::Open(contents) => Some(contents),
            Database::Missing | Database::Refused(_) | Database::Damaged(_) | Database::Schema { .. } => None,
        }
    }

    /// The lines; none when the database can't be read.
    pub fn lines(&self) -> &[LineFacts] {
        self.contents().map_or(&[], |contents| &contents.lines)
    }

    /// The portals; none when the database can't be read.
    pub fn portals(&self) -> &[PortalFacts] {
        self.contents().map_or(&[], |contents| &contents.portals)
    }

    /// The data directory.
    pub fn folder(&self) -> &PathBuf {
        &self.config.data_dir
    }

    /// The set-up of somebody who tests on one machine: nothing from outside is expected.
    pub fn is_local_test(&self) -> bool {
        let loopback = |net: &ipnet::IpNet| net.addr().is_loopback();
        !self.config.bot_framework.authentication_required || self.config.network.allow.iter().any(loopback)
    }
}
