//! What a key takes: reading a raw value, checking its range, saying what is allowed. Each kind carries the function
//! that puts the checked value into the draft, so that a key can't be read as one type and stored as another.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;
use serde_json::{Value, json};
use url::{Host, Url};

use super::{Config, Env, Listen, units};

/// The configuration while it is being put together.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) config: Config,
    pub(super) cert_file: Option<PathBuf>,
    pub(super) key_file: Option<PathBuf>,
}

/// A value as it was written.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Raw {
    /// A text of the file.
    Text(String),
    /// A number of the file.
    Int(i64),
    /// A truth value of the file.
    Bool(bool),
    /// A list of texts of the file.
    List(Vec<String>),
    /// Something of the file that no key takes, as TOML calls it.
    Other(&'static str),
    /// Environment, flag or default: the kind decides how it is read.
    Typed(String),
}

impl Raw {
    fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) | Self::Typed(text) => Some(text),
            Self::Int(_) | Self::Bool(_) | Self::List(_) | Self::Other(_) => None,
        }
    }

    fn items(&self) -> Option<Vec<&str>> {
        match self {
            Self::List(items) => Some(items.iter().map(String::as_str).collect()),
            Self::Typed(text) => Some(split(text)),
            Self::Text(_) | Self::Int(_) | Self::Bool(_) | Self::Other(_) => None,
        }
    }

    fn count(&self) -> Option<usize> {
        match self {
            Self::Int(number) => usize::try_from(*number).ok(),
            Self::Typed(text) => text.parse().ok(),
            Self::Text(_) | Self::Bool(_) | Self::List(_) | Self::Other(_) => None,
        }
    }
}

fn split(text: &str) -> Vec<&str> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty()).collect()
}

/// Stores a checked value.
type Put<T> = fn(&mut Draft, T);

/// What a key takes. Ranges include their ends; the longest duration is in seconds.
#[derive(Debug)]
pub(super) enum Kind {
    Duration(Duration, u64, Put<Duration>),
    Durations(Duration, u64, Put<Vec<Duration>>),
    Size(usize, usize, Put<usize>),
    Count(usize, usize, Put<usize>),
    Switch(Put<bool>),
    Word(&'static [&'static str], fn(&mut Draft, &str)),
    Address(Put<Listen>),
    /// An address that others use to reach this server.
    Url(Put<String>),
    /// An address that this server calls: plain http on loopback only.
    Endpoint(Put<String>),
    Folder(Put<PathBuf>),
    /// A path, or `credential:NAME`.
    File(Put<PathBuf>),
    Files(Put<Vec<PathBuf>>),
    Networks(Put<Vec<IpNet>>),
}

impl Kind {
    /// Reads, checks and stores; the error says what is allowed.
    pub(super) fn take(&self, raw: &Raw, env: &Env, draft: &mut Draft) -> Result<(), String> {
        let wrong = || format!("must be {}", self.allowed());
        match self {
            Self::Duration(min, max, put) => put(draft, bounded(raw, *min, *max).ok_or_else(wrong)?),
            Self::Durations(min, max, put) => put(draft, blocks(raw, *min, *max).ok_or_else(wrong)?),
            Self::Size(min, max, put) => put(draft, bytes(raw, *min, *max).ok_or_else(wrong)?),
            Self::Count(min, max, put) => {
                put(draft, raw.count().filter(|count| (*min..=*max).contains(count)).ok_or_else(wrong)?);
            }
            Self::Switch(put) => put(draft, switch(raw).ok_or_else(wrong)?),
            Self::Word(words, put) => {
                put(draft, raw.text().filter(|text| words.contains(text)).ok_or_else(wrong)?);
            }
            Self::Address(put) => put(draft, raw.text().and_then(address).ok_or_else(wrong)?),
            Self::Url(put) => put(draft, raw.text().and_then(base_url).ok_or_else(wrong)?),
            Self::Endpoint(put) => put(draft, raw.text().and_then(endpoint).ok_or_else(wrong)?),
            Self::Folder(put) => put(draft, raw.text().filter(|text| !text.is_empty()).ok_or_else(wrong)?.into()),
            Self::File(put) => {
                let path = file(raw.text().ok_or_else(wrong)?, env);
                put(draft, path.map_err(|why| why.unwrap_or_else(wrong))?);
            }
            Self::Files(put) => {
                let items = raw.items().ok_or_else(wrong)?;
                let files: Result<_, _> = items.into_iter().map(|item| file(item, env)).collect();
                put(draft, files.map_err(|why| why.unwrap_or_else(wrong))?);
            }
            Self::Networks(put) => {
                let items = raw.items().ok_or_else(wrong)?;
                put(draft, items.into_iter().map(network).collect::<Option<_>>().ok_or_else(wrong)?);
            }
        }
        Ok(())
    }

    /// What may stand there, in words that follow "must be".
    pub(super) fn allowed(&self) -> String {
        let time = units::show_duration;
        match self {
            Self::Duration(min, max, _) => {
                format!("a duration from {} to {}, such as \"90s\"", time(*min), time(Duration::from_secs(*max)))
            }
            Self::Durations(min, max, _) => format!(
                "a list of 1 to 64 durations from {} to {}, such as [\"60s\", \"12h\"]",
                time(*min),
                time(Duration::from_secs(*max))
            ),
            Self::Size(min, max, _) => {
                format!("a size from {} to {}, such as \"1MiB\"", units::show_size(*min), units::show_size(*max))
            }
            Self::Count(min, max, _) => format!("a whole number from {min} to {max}"),
            Self::Switch(_) => String::from("true or false"),
            Self::Word(words, _) => words.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(" or "),
            Self::Address(_) => String::from("\"ADDRESS:PORT\" with a numeric address, or \"unix:/PATH\""),
            Self::Url(_) => String::from("an address that begins with https:// or http://, without user, ? and #"),
            Self::Endpoint(_) => {
                String::from("an address that begins with https:// (http:// on loopback only), without user and #")
            }
            Self::Folder(_) => String::from("a folder"),
            Self::File(_) => String::from("a file or \"credential:NAME\""),
            Self::Files(_) => String::from("a list of files or \"credential:NAME\""),
            Self::Networks(_) => String::from("a list of networks, such as [\"192.168.0.0/16\"]"),
        }
    }

    /// The value as JSON, which for these types is also how TOML writes it.
    pub(super) fn json(&self, raw: &Raw) -> Value {
        match raw {
            Raw::Text(text) => json!(text),
            Raw::Int(number) => json!(number),
            Raw::Bool(value) => json!(value),
            Raw::List(items) => json!(items),
            Raw::Other(what) => json!(what),
            Raw::Typed(text) => match self {
                Self::Durations(..) | Self::Files(_) | Self::Networks(_) => json!(split(text)),
                Self::Count(..) => text.parse::<usize>().map_or_else(|_| json!(text), |count| json!(count)),
                Self::Switch(_) => switch(raw).map_or_else(|| json!(text), |value| json!(value)),
                Self::Duration(..)
                | Self::Size(..)
                | Self::Word(..)
                | Self::Address(_)
                | Self::Url(_)
                | Self::Endpoint(_)
                | Self::Folder(_)
                | Self::File(_) => json!(text),
            },
        }
    }
}

fn bounded(raw: &Raw, min: Duration, max: u64) -> Option<Duration> {
    within(units::duration(raw.text()?)?, min, max)
}

fn within(duration: Duration, min: Duration, max: u64) -> Option<Duration> {
    (min..=Duration::from_secs(max)).contains(&duration).then_some(duration)
}

fn blocks(raw: &Raw, min: Duration, max: u64) -> Option<Vec<Duration>> {
    let items = raw.items()?;
    let list: Option<Vec<_>> = items.into_iter().map(|item| within(units::duration(item)?, min, max)).collect();
    list.filter(|list| (1..=64).contains(&list.len()))
}

fn bytes(raw: &Raw, min: usize, max: usize) -> Option<usize> {
    raw.count().or_else(|| units::size(raw.text()?)).filter(|size| (min..=max).contains(size))
}

fn switch(raw: &Raw) -> Option<bool> {
    match raw {
        Raw::Bool(value) => Some(*value),
        Raw::Typed(text) => text.parse().ok(),
        Raw::Text(_) | Raw::Int(_) | Raw::List(_) | Raw::Other(_) => None,
    }
}

fn address(text: &str) -> Option<Listen> {
    match text.strip_prefix("unix:") {
        Some(path) => Path::new(path).is_absolute().then(|| Listen::Unix(path.into())),
        None => text.parse().ok().map(Listen::Tcp),
    }
}

/// A single address or a network; bits beyond the prefix are cut.
fn network(text: &str) -> Option<IpNet> {
    text.parse::<IpNet>().map(|net| net.trunc()).ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
}

fn base_url(text: &str) -> Option<String> {
    let url = http_url(text)?;
    (url.query().is_none()).then(|| text.trim_end_matches('/').to_owned())
}

fn endpoint(text: &str) -> Option<String> {
    let url = http_url(text)?;
    (url.scheme() == "https" || is_loopback(&url)).then(|| text.to_owned())
}

/// User names are refused, so that no address of the configuration holds a secret.
fn http_url(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let plain = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
    (matches!(url.scheme(), "http" | "https") && url.has_host() && plain).then_some(url)
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

/// `Err(None)`: not a path at all; `Err(Some(…))`: a credential that can't be found.
fn file(text: &str, env: &Env) -> Result<PathBuf, Option<String>> {
    let Some(name) = text.strip_prefix("credential:") else {
        return if text.is_empty() { Err(None) } else { Ok(text.into()) };
    };
    if name.is_empty() || name.contains('/') || name.starts_with('.') {
        return Err(None);
    }
    let dir = env.get("CREDENTIALS_DIRECTORY").ok_or_else(|| {
        Some(format!(
            "names the credential `{name}` but $CREDENTIALS_DIRECTORY is not set; \
             add `LoadCredential={name}:/path` to the unit"
        ))
    })?;
    Ok(Path::new(dir).join(name))
}
