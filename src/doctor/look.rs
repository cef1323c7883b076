//! Facts of this machine: files, disk, database, the server's own word. Nothing is changed.

mod contents;

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::facts::{Database, FileFacts, Place, Ready, Server};
use crate::clock::{Clock, UnixMillis};
use crate::config::{Config, Listen, TlsFiles};
use crate::http::tls;
use crate::net::{Call, Net, Reach};
use crate::store::look::{self, WriteLock};
use crate::store::{FILE, LOCK_FILE, StoreError, migrate};

pub use contents::line;

/// How long the whole file is read for damage.
const READING: Duration = Duration::from_secs(2);
/// How long the write lock is waited for: longer than any commit takes on a disk that works.
const LOCK: Duration = Duration::from_millis(1500);
/// The server looks for signs of life itself, for two seconds each.
const READY: Duration = Duration::from_secs(8);
const ANSWER_MAX_BYTES: usize = 64 * 1024;

/// Folder, files, disk.
pub fn place(data_dir: &Path) -> Place {
    let runs_as = rustix::process::geteuid().as_raw();
    let folder = match std::fs::metadata(data_dir) {
        Ok(folder) if folder.is_dir() => folder,
        Ok(_) => return Place { refused: Some("it is not a folder".to_owned()), runs_as, ..Place::default() },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Place { runs_as, ..Place::default() },
        Err(error) => return Place { refused: Some(error.to_string()), runs_as, ..Place::default() },
    };
    let mut place =
        Place { exists: true, owner: folder.uid(), mode: folder.mode() & 0o7777, runs_as, ..Place::default() };
    if let Err(error) = std::fs::read_dir(data_dir) {
        place.refused = Some(error.to_string());
    }
    let names = [FILE.to_owned(), format!("{FILE}-wal"), format!("{FILE}-shm"), LOCK_FILE.to_owned()];
    for name in names {
        if let Ok(file) = std::fs::metadata(data_dir.join(&name)) {
            let changed_at = UnixMillis(file.mtime().saturating_mul(1000));
            place.files.push(FileFacts { name, owner: file.uid(), mode: file.mode() & 0o7777, changed_at });
        }
    }
    if let Ok(disk) = rustix::fs::statvfs(data_dir) {
        place.free_bytes = disk.f_bavail.saturating_mul(disk.f_frsize);
        place.whole_bytes = disk.f_blocks.saturating_mul(disk.f_frsize);
        place.free_files = (disk.f_files > 0).then_some(disk.f_favail);
        place.read_only = disk.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY);
    }
    place
}

/// The span of time in which the certificate is valid, once it and its key are known to fit.
pub fn certificate(files: &TlsFiles) -> Result<(UnixMillis, UnixMillis), String> {
    tls::load(&files.cert_file, &files.key_file)
        .and_then(|_| tls::validity(&files.cert_file))
        .map_err(|error| error.to_string())
}

/// The server's own word about itself.
pub fn server(config: &Config, net: &dyn Net) -> Server {
    if !look::is_served(&config.data_dir) {
        return Server::Stopped;
    }
    let address = match &config.admin_listen {
        Listen::Tcp(address) if address.port() != 0 => address,
        Listen::Tcp(_) | Listen::Unix(_) => return Server::Running(Ready::Unasked),
    };
    let host = if address.ip().is_unspecified() { "127.0.0.1".to_owned() } else { address.ip().to_string() };
    let host = if host.contains(':') { format!("[{host}]") } else { host };
    let call = Call {
        method: "GET",
        url: format!("http://{host}:{}/readyz", address.port()),
        headers: Vec::new(),
        body: Vec::new(),
        reach: Reach::Configured,
        timeout: READY,
        answer_max_bytes: ANSWER_MAX_BYTES,
    };
    Server::Running(match net.call(call) {
        Ok(answer) if answer.status == 200 => Ready::Yes,
        Ok(answer) => {
            let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap_or_default();
            let texts = |key: &str| -> Vec<String> {
                let list = body.get(key).and_then(serde_json::Value::as_array);
                list.into_iter().flatten().filter_map(|text| text.as_str().map(str::to_owned)).collect()
            };
            let reasons: Vec<_> = texts("codes").into_iter().zip(texts("reasons")).collect();
            match (reasons.is_empty(), answer.status) {
                (false, _) => Ready::No(reasons),
                (true, status) => Ready::Silent(format!("something else answers there, with status {status}")),
            }
        }
        Err(error) => Ready::Silent(error.to_string()),
    })
}

/// The database, as far as it can be read. A running server that says it is ready has just committed: then nobody holds
/// the lock.
pub fn database(data_dir: &Path, server: &Server, clock: &Arc<dyn Clock>) -> Database {
    if !data_dir.join(FILE).exists() {
        return Database::Missing;
    }
    let told = |error: StoreError| match error {
        StoreError::Corrupt(why) => Database::Damaged(why),
        other => Database::Refused(other.to_string()),
    };
    let read = || -> Result<Database, StoreError> {
        let mut db = look::open(data_dir)?;
        let found = migrate::version(&db)?;
        if found != migrate::VERSION {
            return Ok(Database::Schema { found, known: migrate::VERSION });
        }
        if let Some(why) = look::damage(&mut db, clock, READING)? {
            return Ok(Database::Damaged(why));
        }
        let write_lock = match server {
            Server::Running(Ready::Yes) => WriteLock::Free,
            Server::Running(_) | Server::Stopped => look::write_lock(data_dir, LOCK)?,
        };
        let mut contents = contents::read(&db, clock.now())?;
        contents.write_lock = write_lock;
        if write_lock == WriteLock::Held {
            contents.lock_holder = lock_holder(data_dir);
        }
        Ok(Database::Open(Box::new(contents)))
    };
    read().unwrap_or_else(told)
}

/// Who holds SQLite's write lock: byte 120 of the shared memory beside the database, in the kernel's own list.
fn lock_holder(data_dir: &Path) -> Option<String> {
    const WRITE_LOCK_BYTE: u64 = 120;
    let inode = std::fs::metadata(look::beside(&data_dir.join(FILE), "-shm")).ok()?.ino();
    let locks = std::fs::read_to_string("/proc/locks").ok()?;
    let pid = locks.lines().find_map(|line| {
        // `1: POSIX  ADVISORY  WRITE 4711 08:01:123456 120 120`
        let words: Vec<&str> = line.split_whitespace().collect();
        let [_, "POSIX", _, "WRITE", pid, file, first, last] = *words.as_slice() else { return None };
        let same = file.rsplit(':').next().and_then(|number| number.parse().ok()) == Some(inode);
        let range = first.parse().ok()?..=last.parse().unwrap_or(u64::MAX);
        (same && range.contains(&WRITE_LOCK_BYTE)).then(|| pid.to_owned())
    })?;
    let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    Some(format!("process {pid} ({})", name.trim()))
}
