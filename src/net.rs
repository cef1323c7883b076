//! All outgoing HTTP (the only importer of ureq): time-outs, answer caps, no redirects, forbidden addresses.
//! Callers see [`Net`], so that tests answer in memory.

use std::fmt::Debug;
use std::time::Duration;

/// Who chose the address: decides which networks may be reached (promise 8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// The administrator wrote it (portal table, configuration).
    Configured,
    /// It came in a message (`serviceUrl`, file links): public addresses only, plus `network.allow`; https only,
    /// plain http just for loopback inside `network.allow`.
    Learned,
}

/// One outgoing request.
#[derive(Clone, Debug)]
pub struct Call {
    /// `GET`, `POST`, `PUT`, `DELETE`.
    pub method: &'static str,
    /// Absolute address.
    pub url: String,
    /// Header names and values; values may be secret and are never logged.
    pub headers: Vec<(String, String)>,
    /// Body, empty for none.
    pub body: Vec<u8>,
    /// Who chose the address.
    pub reach: Reach,
    /// From the first byte sent to the last byte read; connecting has its own, shorter limit.
    pub timeout: Duration,
    /// Answers longer than this are an error.
    pub answer_max_bytes: usize,
}

/// What came back; every status is an answer, also 4xx and 5xx, also redirects (never followed).
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Header names in lower case.
    pub headers: Vec<(String, String)>,
    /// Body, whole.
    pub body: Vec<u8>,
}

impl Answer {
    /// The first header of that (lower-case) name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// `Retry-After` in seconds (delta form) when there is one.
    pub fn retry_after(&self) -> Option<Duration> {
        self.header("retry-after")?.trim().parse().ok().map(Duration::from_secs)
    }
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NetError {
    /// The address can't be used: not absolute, wrong scheme.
    BadUrl(String),
    /// The address lies in a network that a learned address must not reach.
    Forbidden(String),
    /// The name has no address.
    Resolve(String),
    /// Nobody listens there, or TLS failed: nothing was sent.
    Connect(String),
    /// Sent, wholly or in part, and no whole answer in time: the outcome is unknown.
    Timeout(Duration),
    /// The connection broke after something was sent: the outcome is unknown.
    Broken(String),
    /// The answer is longer than allowed.
    TooLong(usize),
}

impl NetError {
    /// The request may have been carried out.
    pub fn is_ambiguous(&self) -> bool {
        match self {
            Self::Timeout(_) | Self::Broken(_) | Self::TooLong(_) => true,
            Self::BadUrl(_) | Self::Forbidden(_) | Self::Resolve(_) | Self::Connect(_) => false,
        }
    }
}

impl std::fmt::Display for NetError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::BadUrl(why) => write!(f, "the address can't be used: {why}"),
            Self::Forbidden(host) => {
                write!(f, "`{host}` lies in a network that addresses from messages must not reach; see `network.allow`")
            }
            Self::Resolve(host) => write!(f, "the name `{host}` has no address"),
            Self::Connect(why) => write!(f, "no connection: {why}"),
            Self::Timeout(after) => write!(f, "no answer within {} s", after.as_secs()),
            Self::Broken(why) => write!(f, "the connection broke: {why}"),
            Self::TooLong(max) => write!(f, "the answer is longer than {max} bytes"),
        }
    }
}

impl std::error::Error for NetError {}

/// The way out.
pub trait Net: Debug + Send + Sync {
    /// Makes one call and reads the answer to its end.
    fn call(&self, call: Call) -> Result<Answer, NetError>;
}
