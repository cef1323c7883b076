//! All outgoing HTTP (the only importer of ureq): time-outs, answer caps, no redirects, forbidden addresses.
//! Callers see [`Net`], so that tests answer in memory.

mod resolve;

use std::collections::HashMap;
use std::fmt::{self, Debug};
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ipnet::IpNet;
use ureq::Agent;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, TlsProvider, parse_pem};
use ureq::unversioned::resolver::DefaultResolver;
use ureq::unversioned::transport::DefaultConnector;

use self::resolve::{Checked, ForbiddenAddress};
use crate::clock::Clock;

pub use self::resolve::is_public;

/// Who chose the address: decides which networks may be reached (promise 8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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

impl fmt::Display for NetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
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
    /// Whether an address that came in a message may be passed on to be fetched, as far as can be told without asking
    /// anybody: a customer must not make a portal look into its own network.
    fn may_pass_on(&self, url: &str) -> bool {
        let _ = url;
        true
    }
}

/// Connecting has its own limit: an address that swallows packets must not hold a worker for the whole time.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Buffers of a connection, bytes. The usual 128 KB each are fetched from the system, cleared and given back for each
/// packet, which costs more than the packet. The head of an answer must fit into the first.
const INPUT_BUFFER: usize = 32 * 1024;
const OUTPUT_BUFFER: usize = 16 * 1024;
/// Agents kept, one for each host: a shared one falls to 50 posts a second with 1,000 hosts (`limits.md` D).
const AGENTS_MAX: usize = 1024;

/// The way out over ureq.
#[derive(Debug)]
pub struct Out {
    clock: Arc<dyn Clock>,
    allow: Arc<Vec<IpNet>>,
    tls: TlsConfig,
    agents: Mutex<Agents>,
}

#[derive(Debug, Default)]
struct Agents {
    by_host: HashMap<(String, Reach), (u64, Agent)>,
    uses: u64,
}

/// A root certificate that can't be used.
#[derive(Debug)]
pub struct BadCaFile {
    path: PathBuf,
    why: String,
}

impl fmt::Display for BadCaFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` holds no usable certificates: {}", self.path.display(), self.why)
    }
}

impl std::error::Error for BadCaFile {}

impl Out {
    /// `allow`: private ranges that learned addresses may reach. `ca_files`: further roots, for portals with a private
    /// certificate authority.
    pub fn new(clock: &Arc<dyn Clock>, allow: Vec<IpNet>, ca_files: &[PathBuf]) -> Result<Self, BadCaFile> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut tls = TlsConfig::builder()
            .provider(TlsProvider::Rustls)
            .unversioned_rustls_crypto_provider(provider)
            .root_certs(RootCerts::WebPki);
        if !ca_files.is_empty() {
            let mut roots: Vec<Certificate<'static>> = Vec::new();
            for path in ca_files {
                let bad = |why: String| BadCaFile { path: path.clone(), why };
                let pem = std::fs::read(path).map_err(|error| bad(error.to_string()))?;
                for item in parse_pem(&pem) {
                    if let PemItem::Certificate(certificate) = item.map_err(|error| bad(error.to_string()))? {
                        roots.push(certificate);
                    }
                }
            }
            roots.extend(public_roots());
            tls = tls.root_certs(RootCerts::new_with_certs(&roots));
        }
        let (clock, allow) = (Arc::clone(clock), Arc::new(allow));
        Ok(Self { clock, allow, tls: tls.build(), agents: Mutex::default() })
    }

    fn agent(&self, host: &str, reach: Reach) -> Agent {
        let mut agents = self.agents.lock().unwrap_or_else(PoisonError::into_inner);
        agents.uses += 1;
        let now = agents.uses;
        if let Some((used, agent)) = agents.by_host.get_mut(&(host.to_owned(), reach)) {
            *used = now;
            return agent.clone();
        }
        if agents.by_host.len() >= AGENTS_MAX
            && let Some(oldest) = agents.by_host.iter().min_by_key(|(_, (used, _))| *used).map(|(key, _)| key.clone())
        {
            agents.by_host.remove(&oldest);
        }
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .input_buffer_size(INPUT_BUFFER)
            .output_buffer_size(OUTPUT_BUFFER)
            .user_agent("Trunkline")
            .proxy(None)
            .tls_config(self.tls.clone())
            .build();
        let (clock, allow) = (Arc::clone(&self.clock), Arc::clone(&self.allow));
        let resolver = Checked::new(clock, allow, reach, DefaultResolver::default());
        let agent = Agent::with_parts(config, DefaultConnector::default(), resolver);
        agents.by_host.insert((host.to_owned(), reach), (now, agent.clone()));
        agent
    }

    /// Scheme and shape of an address; gives its host and port.
    fn check_url(&self, call: &Call) -> Result<String, NetError> {
        let url = url::Url::parse(&call.url).map_err(|error| NetError::BadUrl(error.to_string()))?;
        let host = url.host().ok_or_else(|| NetError::BadUrl("it has no host".to_owned()))?;
        let port = url.port_or_known_default().unwrap_or(0);
        match (url.scheme(), call.reach) {
            ("https", _) | ("http", Reach::Configured) => (),
            ("http", Reach::Learned) => {
                let loopback = match host {
                    url::Host::Ipv4(ip) => {
                        ip.is_loopback() && self.allow.iter().any(|net| net.contains(&IpAddr::V4(ip)))
                    }
                    url::Host::Ipv6(ip) => {
                        ip.is_loopback() && self.allow.iter().any(|net| net.contains(&IpAddr::V6(ip)))
                    }
                    url::Host::Domain(name) => {
                        name == "localhost" && self.allow.iter().any(|net| net.contains(&IpAddr::from([127, 0, 0, 1])))
                    }
                };
                if !loopback {
                    return Err(NetError::BadUrl("plain http is taken for allowed loopback addresses only".to_owned()));
                }
            }
            (scheme, _) => return Err(NetError::BadUrl(format!("the scheme `{scheme}` is not taken"))),
        }
        if call.reach == Reach::Learned && (!url.username().is_empty() || url.password().is_some()) {
            return Err(NetError::BadUrl("it carries a user name".to_owned()));
        }
        Ok(format!("{host}:{port}"))
    }
}

/// Mozilla's roots in ureq's own type, to stand beside private ones.
fn public_roots() -> impl Iterator<Item = Certificate<'static>> {
    webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().map(|der| Certificate::from_der(der.as_ref()).to_owned())
}

impl Net for Out {
    fn may_pass_on(&self, url: &str) -> bool {
        let allows = |ip: IpAddr| is_public(ip) || self.allow.iter().any(|net| net.contains(&ip));
        let Ok(url) = url::Url::parse(url) else { return false };
        match url.host() {
            _ if !matches!(url.scheme(), "https" | "http") => false,
            Some(url::Host::Ipv4(ip)) => allows(IpAddr::V4(ip)),
            Some(url::Host::Ipv6(ip)) => allows(IpAddr::V6(ip)),
            Some(url::Host::Domain(name)) => {
                let name = name.trim_end_matches('.');
                let last = name.rsplit('.').next().unwrap_or_default();
                // Names that mean something only inside a network.
                let inner = last == name || ["localhost", "local", "internal", "lan", "home", "corp"].contains(&last);
                !inner || (last == "localhost" && allows(IpAddr::from([127, 0, 0, 1])))
            }
            None => false,
        }
    }

    fn call(&self, call: Call) -> Result<Answer, NetError> {
        let host = self.check_url(&call)?;
        let agent = self.agent(&host, call.reach);
        let mut builder = ureq::http::Request::builder().method(call.method).uri(&call.url);
        for (name, value) in &call.headers {
            builder = builder.header(name.as_str(), value.as_str());
        }
        let explain = |error: ureq::Error| explain(error, &host, call.timeout, call.answer_max_bytes);
        let request = builder.body(call.body).map_err(|error| NetError::BadUrl(error.to_string()))?;
        let request = agent.configure_request(request).timeout_global(Some(call.timeout)).build();
        let mut response = agent.run(request).map_err(explain)?;
        let limit = u64::try_from(call.answer_max_bytes).unwrap_or(u64::MAX);
        let body =
            response.body_mut().with_config().limit(limit).read_to_vec().map_err(|error| match explain(error) {
                // Once the head of an answer is in, nothing is a mere failure to connect.
                NetError::Connect(why) => NetError::Broken(why),
                other => other,
            })?;
        let headers = response
            .headers()
            .iter()
            .map(|(name, value)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
            .collect();
        Ok(Answer { status: response.status().as_u16(), headers, body })
    }
}

fn explain(error: ureq::Error, host: &str, timeout: Duration, max: usize) -> NetError {
    match error {
        ureq::Error::Timeout(ureq::Timeout::Connect) => {
            NetError::Connect(format!("nothing answered within {} s", CONNECT_TIMEOUT.as_secs()))
        }
        ureq::Error::Timeout(ureq::Timeout::Resolve) | ureq::Error::HostNotFound => NetError::Resolve(host.to_owned()),
        ureq::Error::Timeout(_) => NetError::Timeout(timeout),
        ureq::Error::BodyExceedsLimit(_) => NetError::TooLong(max),
        ureq::Error::BadUri(why) => NetError::BadUrl(why),
        ureq::Error::ConnectionFailed => NetError::Connect("no address of it takes connections".to_owned()),
        ureq::Error::Tls(why) => NetError::Connect(format!("TLS: {why}")),
        ureq::Error::Rustls(error) => NetError::Connect(format!("TLS: {error}")),
        ureq::Error::Io(error) if is_out_of_descriptors(&error) => {
            NetError::Connect("the server has no free file descriptor for it; raise its limit".to_owned())
        }
        ureq::Error::Io(error) => match error.kind() {
            std::io::ErrorKind::ConnectionRefused
            | std::io::ErrorKind::HostUnreachable
            | std::io::ErrorKind::NetworkUnreachable
            | std::io::ErrorKind::AddrNotAvailable => NetError::Connect(error.to_string()),
            _ => NetError::Broken(error.to_string()),
        },
        ureq::Error::Other(inner) if inner.is::<ForbiddenAddress>() => NetError::Forbidden(host.to_owned()),
        other => NetError::Broken(other.to_string()),
    }
}

/// A socket is made before anything is sent.
fn is_out_of_descriptors(error: &std::io::Error) -> bool {
    let code = rustix::io::Errno::from_io_error(error);
    matches!(code, Some(rustix::io::Errno::MFILE | rustix::io::Errno::NFILE))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{ManualClock, UnixMillis};

    /// `portal-box.md` §10: files of customers are fetched by the portal, from inside its network.
    #[test]
    fn inner_addresses_are_not_passed_on() {
        let may = |allow: &[&str], url: &str| {
            let allow = allow.iter().map(|net| net.parse().unwrap()).collect();
            let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(UnixMillis(0)));
            Out::new(&clock, allow, &[]).unwrap().may_pass_on(url)
        };
        for url in [
            "https://cdn.example.test/a.png",
            "http://cdn.example.test:8080/a",
            "https://9.9.9.9/",
            "https://[2620:fe::9]/",
        ] {
            assert!(may(&[], url), "{url}");
        }
        for url in [
            "http://127.0.0.1/",
            "http://localhost:8080/",
            "http://x.localhost/",
            "http://192.168.0.1/admin",
            "http://169.254.169.254/latest/meta-data/",
            "http://[::1]/",
            "http://[::ffff:10.0.0.1]/",
            "http://2130706433/",
            "http://0x7f.1/",
            "http://intranet/",
            "http://portal.local./",
            "http://metadata.google.internal/",
            "ftp://ex.test/",
            "file:///etc/passwd",
            "data:text/plain,x",
            "rubbish",
        ] {
            assert!(!may(&[], url), "{url}");
        }
        let allow = ["127.0.0.0/8", "192.168.0.0/16"];
        for url in ["http://127.0.0.1:9/", "http://localhost/", "http://192.168.0.1/"] {
            assert!(may(&allow, url), "{url}");
        }
        assert!(!may(&allow, "http://10.0.0.1/"));
    }
}
