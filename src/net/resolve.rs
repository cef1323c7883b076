//! Names to addresses, and which of them may be reached.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ipnet::IpNet;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

use super::Reach;
use crate::clock::Clock;

/// How long the addresses of a name serve further connections: a busy portal's name is not asked for with every packet.
const KEPT: Duration = Duration::from_secs(5);

/// Resolves the one name of an agent and throws out what a learned address must not reach; the connection goes to the
/// checked address, so a name can't change its mind in between.
#[derive(Debug)]
pub(super) struct Checked<R = DefaultResolver> {
    allow: Arc<Vec<IpNet>>,
    reach: Reach,
    clock: Arc<dyn Clock>,
    inner: R,
    kept: Mutex<Option<Kept>>,
}

/// What a lookup gave, and the ticks until which it holds.
#[derive(Debug)]
struct Kept {
    until: Duration,
    found: ResolvedSocketAddrs,
}

impl<R: Resolver> Checked<R> {
    pub(super) fn new(clock: Arc<dyn Clock>, allow: Arc<Vec<IpNet>>, reach: Reach, inner: R) -> Self {
        Self { allow, reach, clock, inner, kept: Mutex::default() }
    }

    /// Asks for the name, which takes a thread of its own for as long as it takes, because a lookup can't be cut short.
    fn look_up(&self, uri: &Uri, config: &Config, timeout: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let kept = || self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.ticks();
        if let Some(kept) = kept().as_ref().filter(|kept| now < kept.until) {
            return Ok(kept.found.clone());
        }
        let found = self.inner.resolve(uri, config, timeout)?;
        *kept() = Some(Kept { until: self.clock.ticks() + KEPT, found: found.clone() });
        Ok(found)
    }
}

/// The address that stands in an address itself.
fn literal(uri: &Uri) -> Option<SocketAddr> {
    let host = uri.host()?;
    let ip = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let default = if uri.scheme_str() == Some("https") { 443 } else { 80 };
    Some(SocketAddr::new(ip.parse().ok()?, uri.port_u16().unwrap_or(default)))
}

impl<R: Resolver> Resolver for Checked<R> {
    fn resolve(&self, uri: &Uri, config: &Config, timeout: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let found = if let Some(address) = literal(uri) {
            let mut found = self.empty();
            found.push(address);
            found
        } else {
            self.look_up(uri, config, timeout)?
        };
        if self.reach == Reach::Configured {
            return Ok(found);
        }
        let mut kept = self.empty();
        for address in &found {
            let ip = address.ip();
            if is_public(ip) || self.allow.iter().any(|net| net.contains(&ip)) {
                kept.push(*address);
            }
        }
        if kept.is_empty() { Err(ureq::Error::Other(Box::new(ForbiddenAddress))) } else { Ok(kept) }
    }
}

#[derive(Debug)]
pub(super) struct ForbiddenAddress;

impl fmt::Display for ForbiddenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("forbidden address")
    }
}

impl std::error::Error for ForbiddenAddress {}

/// Whether an address belongs to the open internet. Forms of IPv6 that carry an IPv4 address are judged by it.
pub fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            let [a, b, ..] = ip.octets();
            let shared = a == 100 && (64..128).contains(&b);
            let benchmark = a == 198 && (b == 18 || b == 19);
            let protocol = a == 192 && b == 0 && ip.octets().get(2) == Some(&0);
            !(ip.is_private()
                || ip.is_loopback()
                || ip.is_link_local()
                || ip.is_unspecified()
                || ip.is_broadcast()
                || ip.is_multicast()
                || ip.is_documentation()
                || shared
                || benchmark
                || protocol
                || a == 0
                || a >= 240)
        }
        IpAddr::V6(ip) => {
            let [first, second, .., seventh, eighth] = ip.segments();
            let v4 = |high: u16, low: u16| {
                let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
                is_public(IpAddr::from([a, b, c, d]))
            };
            if let Some(mapped) = ip.to_ipv4_mapped() {
                return is_public(IpAddr::V4(mapped));
            }
            match first {
                0x0064 if second == 0xff9b => v4(seventh, eighth),
                0x2002 => v4(second, ip.segments().get(2).copied().unwrap_or(0)),
                // Global unicast without Teredo, documentation and benchmarking.
                0x2001 => !matches!(second, 0x0000 | 0x0002 | 0x0db8),
                _ => (0x2000..0x4000).contains(&first),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use ureq::Timeout;
    use ureq::unversioned::transport::time::Duration as Left;

    use super::*;
    use crate::clock::{ManualClock, UnixMillis};

    /// Answers with one address and counts how often it is asked.
    #[derive(Debug)]
    struct Counting(Arc<AtomicUsize>);

    impl Resolver for Counting {
        fn resolve(&self, _: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
            self.0.fetch_add(1, Ordering::Relaxed);
            let mut found = self.empty();
            found.push(SocketAddr::from(([10, 0, 0, 7], 443)));
            Ok(found)
        }
    }

    fn ask(checked: &Checked<Counting>, uri: &'static str) -> Result<SocketAddr, String> {
        let left = NextTimeout { after: Left::from_secs(1), reason: Timeout::Resolve, ..NextTimeout::default() };
        let found = checked.resolve(&Uri::from_static(uri), &Config::default(), left);
        found.map(|found| found[0]).map_err(|error| match error {
            ureq::Error::Other(inner) => inner.to_string(),
            other => other.to_string(),
        })
    }

    #[test]
    fn a_name_is_asked_for_once_in_a_while() {
        let (clock, asked) = (Arc::new(ManualClock::at(UnixMillis(0))), Arc::new(AtomicUsize::new(0)));
        let checked = Checked::new(clock.clone(), Arc::default(), Reach::Configured, Counting(Arc::clone(&asked)));
        for (wait, times) in [(0, 1), (4_999, 1), (1, 2), (1, 2)] {
            clock.advance(Duration::from_millis(wait));
            assert_eq!(ask(&checked, "https://portal.test/"), Ok(SocketAddr::from(([10, 0, 0, 7], 443))));
            assert_eq!(asked.load(Ordering::Relaxed), times, "after {wait} ms more");
        }
    }

    /// Nobody is asked for them, and they are judged as what a name leads to is.
    #[test]
    fn addresses_are_taken_as_they_stand() {
        let asked = Arc::new(AtomicUsize::new(0));
        let checked = |reach| {
            Checked::new(Arc::new(ManualClock::at(UnixMillis(0))), Arc::default(), reach, Counting(Arc::clone(&asked)))
        };
        for (uri, want) in [
            ("http://192.168.0.1/x", "192.168.0.1:80"),
            ("https://192.168.0.1", "192.168.0.1:443"),
            ("https://[fd00::1]:8443/", "[fd00::1]:8443"),
        ] {
            assert_eq!(ask(&checked(Reach::Configured), uri), Ok(want.parse().unwrap()));
            assert_eq!(ask(&checked(Reach::Learned), uri), Err("forbidden address".to_owned()), "{uri}");
        }
        assert_eq!(ask(&checked(Reach::Learned), "https://9.9.9.9/"), Ok("9.9.9.9:443".parse().unwrap()));
        assert_eq!(asked.load(Ordering::Relaxed), 0);
        assert_eq!(ask(&checked(Reach::Learned), "https://portal.test/"), Err("forbidden address".to_owned()));
    }
}
