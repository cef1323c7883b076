//! What the front is told and what it tells: its limits, where it listens, why it can't, its figures. Values only; what
//! they do is in `front` and `watched`.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

/// Everything a stranger could use up.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Threads of the pool.
    pub workers: usize,
    /// Open connections of the public side.
    pub max_connections: usize,
    /// Bytes of a body.
    pub max_body: usize,
    /// From the first byte of a head to its last; also the TLS handshake.
    pub header_timeout: Duration,
    /// The whole body.
    pub body_timeout: Duration,
    /// Between two requests of a connection.
    pub idle_timeout: Duration,
    /// Without any byte of the answer being taken.
    pub write_timeout: Duration,
    /// Bytes of a head.
    pub head_max: usize,
    /// Bytes of bodies that may wait for a worker.
    pub waiting_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            workers: 64,
            max_connections: 4096,
            max_body: 1024 * 1024,
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(75),
            write_timeout: Duration::from_secs(30),
            head_max: 16 * 1024,
            waiting_bytes: 64 * 1024 * 1024,
        }
    }
}

/// Where a side listens.
#[derive(Clone, Debug)]
pub enum Bind {
    /// Address and port; port 0 takes any free one.
    Tcp(SocketAddr),
    /// A socket in the file system.
    Unix(PathBuf),
}

impl fmt::Display for Bind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Why a side can't be opened.
#[derive(Debug)]
pub struct FrontError {
    pub(super) what: String,
    pub(super) why: io::Error,
}

impl fmt::Display for FrontError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.why)
    }
}

impl std::error::Error for FrontError {}

/// Figures for `/metrics`.
#[derive(Debug, Default)]
pub struct FrontStats {
    /// Connections open now.
    pub open: AtomicUsize,
    /// Connections refused because of the cap.
    pub refused: AtomicU64,
    /// Bytes of bodies that wait for a worker now.
    pub waiting: AtomicUsize,
    /// Requests answered 503 because too much waited for a worker.
    pub overloaded: AtomicU64,
    /// Requests whose body ended before its announced length: dropped, never parsed.
    pub truncated: AtomicU64,
    rejected: [AtomicU64; REJECTED.len()],
}

/// The statuses with which the front itself turns requests away.
const REJECTED: [u16; 8] = [400, 405, 408, 411, 413, 414, 415, 431];

impl FrontStats {
    /// How many requests were turned away, by status.
    pub fn rejected(&self) -> impl Iterator<Item = (u16, u64)> {
        REJECTED.into_iter().zip(self.rejected.iter().map(|count| count.load(Ordering::Relaxed)))
    }

    pub(super) fn reject(&self, status: u16) {
        if let Some((_, count)) = REJECTED.iter().zip(&self.rejected).find(|(known, _)| **known == status) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }
}
