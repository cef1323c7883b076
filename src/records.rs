//! What the server knows of portals and lines, as values that travel between modules. The rows behind them are
//! `store`'s affair; secrets are wrapped.

use std::collections::BTreeMap;

use crate::clock::UnixMillis;
use crate::ids::{LineId, PortalId};
use crate::secret::Secret;

/// A site with operators.
#[derive(Clone, Debug)]
pub struct Portal {
    /// Row.
    pub id: PortalId,
    /// The name the administrator gave it.
    pub name: String,
    /// `box`, `rest` or `webhook`.
    pub protocol: String,
    /// Base address with scheme, without a trailing slash.
    pub url: String,
    /// Box: `BX_LICENCE`, the public account id (`portal-box.md` §1). Empty for other protocols.
    pub licence: String,
    /// Box: `K` = md5 of the licence key; as good as the key itself.
    pub key: Secret,
    /// Module version last seen in a signed request, e.g. `17.0.14`; `None` before the first.
    pub version: Option<String>,
}

impl Portal {
    /// Major module version, 0 when none was seen yet or it can't be read.
    pub fn major(&self) -> u32 {
        self.version
            .as_deref()
            .and_then(|version| version.split('.').next())
            .and_then(|major| major.parse().ok())
            .unwrap_or(0)
    }
}

/// State of a line as it is stored; "blocked" is derived from `blocked_until`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineState {
    /// In use.
    Active,
    /// The channel refuses the credentials; the outbox waits for new settings.
    Broken,
    /// Another line took the external entity; only notices still leave.
    TakenOver,
}

/// One Open Line of one portal joined to one real channel.
#[derive(Clone, Debug)]
pub struct Line {
    /// Row.
    pub id: LineId,
    /// Its portal.
    pub portal: PortalId,
    /// Real connector id.
    pub connector: String,
    /// The portal's own line number, a decimal string.
    pub line: String,
    /// 64 hex digits that the webhook address carries; `None` once taken over.
    pub hash: Option<String>,
    /// Active, broken, taken over.
    pub state: LineState,
    /// Failed attempts of the packet at the head, 0 when all is well.
    pub attempts: u32,
    /// When the first of those attempts was made: the 24 hours run from here.
    pub first_attempt_at: Option<UnixMillis>,
    /// Nothing is posted before this moment.
    pub blocked_until: Option<UnixMillis>,
    /// What the last attempt or the channel complained of.
    pub last_error: Option<String>,
}

/// The connection parameters of one line. Keys differ by connector; values are all treated as secrets because
/// some are.
#[derive(Clone, Debug, Default)]
pub struct Settings(BTreeMap<String, Secret>);

impl Settings {
    /// Settings from pairs; later ones win.
    pub fn from_pairs(pairs: impl IntoIterator<Item = (String, String)>) -> Self {
        Self(pairs.into_iter().map(|(key, value)| (key, Secret::new(value))).collect())
    }

    /// The value of `key` when it is there and not empty.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(Secret::reveal).filter(|value| !value.is_empty())
    }

    /// Sets one value.
    pub fn set(&mut self, key: &str, value: &str) {
        self.0.insert(key.to_owned(), Secret::new(value));
    }

    /// Removes one value.
    pub fn remove(&mut self, key: &str) {
        self.0.remove(key);
    }

    /// Holds the same values. For telling new settings from old ones, not for checking what somebody claims.
    pub fn is_same(&self, other: &Self) -> bool {
        let pairs = |settings: &Self| {
            settings.0.iter().map(|(key, value)| (key.clone(), value.reveal().to_owned())).collect::<Vec<_>>()
        };
        pairs(self) == pairs(other)
    }

    /// Keys in alphabetical order.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// No value at all: the line has a hash but no channel yet.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
