//! Names to addresses, and which of them may be reached.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

use super::Reach;

/// Resolves and throws out what a learned address must not reach; the connection goes to the checked address, so a name
/// can't change its mind in between.
#[derive(Debug)]
pub(super) struct Checked {
    allow: Arc<Vec<IpNet>>,
    reach: Reach,
    inner: DefaultResolver,
}

impl Checked {
    pub(super) fn new(allow: Arc<Vec<IpNet>>, reach: Reach) -> Self {
        Self { allow, reach, inner: DefaultResolver::default() }
    }
}

impl Resolver for Checked {
    fn resolve(
        &self,
        uri: &ureq::http::Uri,
        config: &ureq::config::Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let found = self.inner.resolve(uri, config, timeout)?;
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
