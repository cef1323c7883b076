//! The channel service's public keys: fetched at most once an hour for an unknown key id, kept when a fetch fails,
//! found again on the shelf after a restart. No lock is held while fetching; one caller fetches, the others wait
//! briefly or use what is there.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::Url;

use super::activity::at;
use super::{is_loopback, is_safe};
use crate::channels::Tools;
use crate::clock::UnixMillis;
use crate::net::{Call, Reach};

const KEEP: Duration = Duration::from_hours(24);
const UNKNOWN_KEY_PAUSE: Duration = Duration::from_hours(1);
const RETRY_FIRST: Duration = Duration::from_secs(5);
const RETRY_MAX: Duration = Duration::from_mins(5);
const FETCH_TIMEOUT: Duration = Duration::from_secs(4);
/// Two fetches at most: shorter than the time a channel waits for its answer.
const WAIT: Duration = Duration::from_secs(5);
const ANSWER_MAX_BYTES: usize = 1 << 20;
const KEYS_MAX: usize = 200;
const SHELF_NAME: &str = "botframework.keys";

/// One RSA key and the channels it may speak for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Key {
    pub(super) n: String,
    pub(super) e: String,
    pub(super) endorsements: Vec<String>,
}

/// Why there is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoKey {
    /// The service does not know that key id.
    Unknown,
    /// Nothing could be loaded yet.
    Unavailable,
}

/// What lies on the shelf. The source is kept so that keys of another cloud are never trusted.
#[derive(Serialize, Deserialize)]
struct Shelved {
    source: String,
    fetched_at: i64,
    keys: BTreeMap<String, Key>,
}

#[derive(Debug, Default)]
struct State {
    loaded: bool,
    keys: BTreeMap<String, Arc<Key>>,
    fetched_at: Option<UnixMillis>,
    retry_at: Option<UnixMillis>,
    failures: u32,
    fetching: bool,
}

/// The cache.
#[derive(Debug)]
pub(super) struct Keys {
    metadata_url: String,
    state: Mutex<State>,
    fetched: Condvar,
}

impl Keys {
    pub(super) fn new(metadata_url: String) -> Self {
        Self { metadata_url, state: Mutex::default(), fetched: Condvar::new() }
    }

    /// The key of that id, fetching when the cache is empty, old, or may ask again for an unknown id.
    pub(super) fn find(&self, tools: &Tools, kid: &str) -> Result<Arc<Key>, NoKey> {
        let now = tools.clock.now();
        let mut state = self.lock();
        self.load(&mut state, tools);
        if !state.wants_fetch(kid, now) {
            return state.get(kid);
        }
        if state.fetching {
            if state.keys.contains_key(kid) {
                return state.get(kid);
            }
            let (state, _) = self
                .fetched
                .wait_timeout_while(state, WAIT, |state| state.fetching)
                .unwrap_or_else(PoisonError::into_inner);
            return state.get(kid);
        }
        state.fetching = true;
        drop(state);
        self.refresh(tools, now);
        self.lock().get(kid)
    }

    /// Where the keys come from, for people.
    pub(super) fn host(&self) -> String {
        Url::parse(&self.metadata_url).ok().and_then(|url| url.host().map(|host| host.to_string())).unwrap_or_default()
    }

    /// Whether callers can be proved: fresh keys are there, or can be fetched now.
    pub(super) fn ready(&self, tools: &Tools) -> bool {
        let now = tools.clock.now();
        let mut state = self.lock();
        self.load(&mut state, tools);
        if state.age(now).is_some_and(|age| age < KEEP) || std::mem::replace(&mut state.fetching, true) {
            return !state.keys.is_empty();
        }
        drop(state);
        self.refresh(tools, now)
    }

    /// Fetches and keeps what came, or the old keys. The caller has claimed the fetch.
    fn refresh(&self, tools: &Tools, now: UnixMillis) -> bool {
        /// Ends the claim, also when the fetch panics: nobody would ever ask again.
        struct Claim<'a>(&'a Keys);
        impl Drop for Claim<'_> {
            fn drop(&mut self) {
                self.0.lock().fetching = false;
                self.0.fetched.notify_all();
            }
        }
        let _claim = Claim(self);
        let Some(keys) = self.fetch(tools) else {
            let mut state = self.lock();
            let pause = RETRY_FIRST.saturating_mul(1 << state.failures.min(6)).min(RETRY_MAX);
            state.failures = state.failures.saturating_add(1);
            state.retry_at = Some(now.plus(pause));
            log::warn!(attempts = state.failures; "channel keys can't be fetched, the old ones stay");
            return false;
        };
        self.shelve(tools, now, &keys);
        let mut state = self.lock();
        state.keys = keys.into_iter().map(|(kid, key)| (kid, Arc::new(key))).collect();
        (state.fetched_at, state.retry_at, state.failures) = (Some(now), None, 0);
        true
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn load(&self, state: &mut State, tools: &Tools) {
        if std::mem::replace(&mut state.loaded, true) {
            return;
        }
        let Some(text) = tools.shelf.get(SHELF_NAME) else { return };
        if let Ok(shelved) = serde_json::from_str::<Shelved>(&text)
            && shelved.source == self.metadata_url
        {
            state.keys = shelved.keys.into_iter().map(|(kid, key)| (kid, Arc::new(key))).collect();
            state.fetched_at = Some(UnixMillis(shelved.fetched_at));
        }
    }

    fn shelve(&self, tools: &Tools, now: UnixMillis, keys: &BTreeMap<String, Key>) {
        let shelved = Shelved { source: self.metadata_url.clone(), fetched_at: now.0, keys: keys.clone() };
        if let Ok(text) = serde_json::to_string(&shelved) {
            tools.shelf.put(SHELF_NAME, &text);
        }
    }

    fn fetch(&self, tools: &Tools) -> Option<BTreeMap<String, Key>> {
        let keys_url = at(&get(tools, &self.metadata_url)?, "/jwks_uri");
        if !same_family(&self.metadata_url, &keys_url) {
            return None;
        }
        let document = get(tools, &keys_url)?;
        let list = document.get("keys")?.as_array()?;
        let keys: BTreeMap<String, Key> = list.iter().take(KEYS_MAX).filter_map(read_key).collect();
        (!keys.is_empty()).then_some(keys)
    }
}

impl State {
    fn wants_fetch(&self, kid: &str, now: UnixMillis) -> bool {
        // A pause longer than any is one of a clock that was wrong.
        if self.retry_at.is_some_and(|at| now < at && at <= now.plus(RETRY_MAX)) {
            return false;
        }
        let Some(age) = self.age(now) else { return true };
        age >= KEEP || (age >= UNKNOWN_KEY_PAUSE && !self.keys.contains_key(kid))
    }

    /// How old the keys are; nothing when there are none, or only some from the future.
    fn age(&self, now: UnixMillis) -> Option<Duration> {
        self.fetched_at.filter(|at| *at <= now).map(|at| now.since(at))
    }

    fn get(&self, kid: &str) -> Result<Arc<Key>, NoKey> {
        match self.keys.get(kid) {
            Some(key) => Ok(Arc::clone(key)),
            None if self.keys.is_empty() => Err(NoKey::Unavailable),
            None => Err(NoKey::Unknown),
        }
    }
}

fn read_key(value: &Value) -> Option<(String, Key)> {
    let (kid, n, e) = (at(value, "/kid"), at(value, "/n"), at(value, "/e"));
    if at(value, "/kty") != "RSA" || kid.is_empty() || n.is_empty() || e.is_empty() {
        return None;
    }
    let endorsements = value.get("endorsements").and_then(Value::as_array);
    let endorsements = endorsements.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect();
    Some((kid, Key { n, e, endorsements }))
}

fn get(tools: &Tools, url: &str) -> Option<Value> {
    if !is_safe(url) {
        return None;
    }
    let call = Call {
        method: "GET",
        url: url.to_owned(),
        headers: vec![(String::from("accept"), String::from("application/json"))],
        body: vec![],
        reach: Reach::Configured,
        timeout: FETCH_TIMEOUT,
        answer_max_bytes: ANSWER_MAX_BYTES,
    };
    let answer = tools.net.call(call).ok().filter(|answer| answer.status == 200)?;
    serde_json::from_slice(&answer.body).ok()
}

/// The key address must end in the same registered name as the configured document's.
fn same_family(metadata: &str, keys: &str) -> bool {
    let (Ok(metadata), Ok(keys)) = (Url::parse(metadata), Url::parse(keys)) else { return false };
    if is_loopback(&metadata) || is_loopback(&keys) {
        return is_loopback(&metadata) && is_loopback(&keys);
    }
    if metadata.host() == keys.host() {
        return true;
    }
    let (Some(metadata), Some(keys)) = (metadata.domain(), keys.domain()) else { return false };
    let family = metadata.split_once('.').map_or(metadata, |(_, rest)| rest);
    family.contains('.') && keys.strip_suffix(family).is_some_and(|host| host.ends_with('.'))
}
