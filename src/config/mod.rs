//! The configuration: one table of keys (`keys`) drives the file, the environment, the flags, the example file, the
//! manual page and what `config show` prints. Every mistake is found in one go, each with its place and the allowed
//! range. Nothing here opens a port or a database; the environment comes in as an [`Env`] value.

mod checks;
mod env;
mod example;
mod keys;
mod kinds;
mod load;
mod mistakes;
#[cfg(test)]
mod tests;
mod units;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

pub use env::Env;
pub use example::example;
pub use keys::{KEYS, Key};
pub use load::{DEFAULT_FILE, Flag, Loaded, Setting, find_file, load, load_text};
pub use mistakes::{Mistake, Mistakes, Origin};
pub use units::{duration as read_duration, show_duration, show_size};

pub use crate::language::Language;

/// Everything the server may be told, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where the database, the admin token and the lock are.
    pub data_dir: PathBuf,
    /// Channels and portals come in here.
    pub listen: Listen,
    /// The administrator comes in here; never public.
    pub admin_listen: Listen,
    /// What webhook addresses begin with; no trailing slash.
    pub public_url: Option<String>,
    /// Language of sentences for operators.
    pub language: Language,
    /// File with the admin token instead of `data_dir/admin-token`.
    pub admin_token_file: Option<PathBuf>,
    /// Certificate of the public side; `None` when a proxy ends TLS.
    pub tls: Option<TlsFiles>,
    /// The open ports.
    pub http: Http,
    /// From channels to portals.
    pub queue: Queue,
    /// The 24 hours of attempts.
    pub retry: Retry,
    /// From portals to channels.
    pub outbox: Outbox,
    /// What could not be delivered.
    pub dead_letters: DeadLetters,
    /// What may be reached.
    pub network: Network,
    /// The Bot Framework connector.
    pub bot_framework: BotFramework,
}

/// Where a port is opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// Address and port; port 0 takes any free one.
    Tcp(SocketAddr),
    /// A UNIX socket.
    Unix(PathBuf),
}

impl Listen {
    /// Only this machine can connect.
    pub fn is_local(&self) -> bool {
        match self {
            Self::Tcp(address) => address.ip().is_loopback(),
            Self::Unix(_) => true,
        }
    }
}

impl std::fmt::Display for Listen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Certificate chain and private key, PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// Chain, the server's own certificate first.
    pub cert_file: PathBuf,
    /// Private key.
    pub key_file: PathBuf,
}

/// Limits of the open ports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Http {
    /// Requests handled at once, which is also how many share one commit.
    pub workers: usize,
    /// Open connections of the public side; a further one is answered 503.
    pub max_connections: usize,
    /// Longest request body in bytes.
    pub max_body: usize,
    /// Time for the request line and the headers.
    pub header_timeout: Duration,
    /// Time for the whole body.
    pub body_timeout: Duration,
    /// A connection without a request is closed after this.
    pub idle_timeout: Duration,
    /// How long a request waits for a busy disk before 503.
    pub commit_wait: Duration,
}

/// What confirms a packet at a boxed portal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Confirm {
    /// The reply or `setStatusDelivered`, whichever comes first.
    Either,
    /// Only `setStatusDelivered`.
    Status,
}

/// Packets and their confirmation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Queue {
    /// Messages of one packet.
    pub packet_max_messages: usize,
    /// Files of one packet.
    pub packet_max_files: usize,
    /// Bytes of one packet.
    pub packet_max_bytes: usize,
    /// What counts as a confirmation.
    pub confirm: Confirm,
    /// Time for the confirmation.
    pub confirm_timeout: Duration,
    /// Packets in flight over all lines.
    pub delivery_workers: usize,
    /// How long ids of events are kept to recognise repeats.
    pub dedup_keep: Duration,
}

/// Blocks after failed attempts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retry {
    /// Pause after the 1st, 2nd … failed attempt; the end of the last one ends the packet's life.
    pub blocks: Vec<Duration>,
    /// A single message that fails so often while others pass is put aside.
    pub poison_attempts: u32,
}

/// Messages to channels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outbox {
    /// How long a message is tried.
    pub ttl: Duration,
    /// Calls in flight over all channels.
    pub channel_workers: usize,
}

/// What could not be delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetters {
    /// How long they are kept; zero deletes at once.
    pub keep: Duration,
    /// Tell the portal in the chat.
    pub notify_portal: bool,
}

/// What may be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    /// Private ranges that addresses from messages may reach.
    pub allow: Vec<IpNet>,
    /// Further root certificates, PEM.
    pub ca_files: Vec<PathBuf>,
}

/// The Bot Framework connector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BotFramework {
    /// Channel tokens are checked; off only on loopback.
    pub authentication_required: bool,
    /// Address of the OpenID document instead of Microsoft's.
    pub openid_metadata_url: Option<String>,
    /// Address of the token endpoint instead of Microsoft's.
    pub token_url: Option<String>,
    /// The US Government cloud.
    pub gov: bool,
}
