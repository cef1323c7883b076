//! TLS for the public side: certificate and key from PEM files, TLS 1.2 and 1.3, and no session tickets at all. Portals
//! write and close at once; a ticket they never read turns their close into a reset that takes unsent bytes along
//! (`portal-box-observed.md` §2).

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::NoServerSessionStorage;
use simple_asn1::ASN1Block;

use crate::clock::UnixMillis;

/// How long a self-made certificate is valid: boxed portals do not verify, and nobody renews it.
const SELF_SIGNED_DAYS: i64 = 3650;

/// Why there is no TLS.
#[derive(Debug)]
pub enum TlsError {
    /// A file can't be read or holds something else.
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// Certificate and key do not fit, or are of an unknown kind.
    Pair(String),
    /// A pair can't be made.
    Make(String),
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, why } => write!(f, "`{}` can't be used for TLS: {why}", path.display()),
            Self::Pair(why) => write!(f, "certificate and key can't be used together: {why}"),
            Self::Make(why) => write!(f, "no certificate can be made: {why}"),
        }
    }
}

impl std::error::Error for TlsError {}

/// Reads both files.
pub fn load(cert_file: &Path, key_file: &Path) -> Result<Arc<ServerConfig>, TlsError> {
    let bad = |path: &Path, why: String| TlsError::File { path: path.to_owned(), why };
    let chain = CertificateDer::pem_file_iter(cert_file)
        .map_err(|error| bad(cert_file, error.to_string()))?
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| bad(cert_file, error.to_string()))?;
    if chain.is_empty() {
        return Err(bad(cert_file, "it holds no certificate".to_owned()));
    }
    let key = PrivateKeyDer::from_pem_file(key_file).map_err(|error| bad(key_file, error.to_string()))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
        .map_err(|error| TlsError::Pair(format!("`{}`, `{}`: {error}", cert_file.display(), key_file.display())))?;
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// From when to when the server's own certificate is valid, the first one in the file.
pub fn validity(cert_file: &Path) -> Result<(UnixMillis, UnixMillis), TlsError> {
    let bad = |why: &str| TlsError::File { path: cert_file.to_owned(), why: why.to_owned() };
    let certificate = CertificateDer::from_pem_file(cert_file).map_err(|error| bad(&error.to_string()))?;
    let blocks = simple_asn1::from_der(&certificate).map_err(|error| bad(&error.to_string()))?;
    span(&blocks).ok_or_else(|| bad("it names no span of time"))
}

/// `Validity` is the only sequence of two times in a certificate (RFC 5280 §4.1), whatever stands before it.
fn span(blocks: &[ASN1Block]) -> Option<(UnixMillis, UnixMillis)> {
    let time = |block: &ASN1Block| match block {
        ASN1Block::UTCTime(_, time) | ASN1Block::GeneralizedTime(_, time) => {
            Some(UnixMillis(time.assume_utc().unix_timestamp().saturating_mul(1000)))
        }
        _ => None,
    };
    blocks.iter().find_map(|block| {
        let ASN1Block::Sequence(_, inner) = block else { return None };
        match inner.as_slice() {
            [from, until] => time(from).zip(time(until)).or_else(|| span(inner)),
            _ => span(inner),
        }
    })
}

/// A self-signed pair for these names and addresses: PEM of the certificate and of its key.
pub fn self_signed(names: &[String], now: UnixMillis) -> Result<(String, String), TlsError> {
    let make = |error: rcgen::Error| TlsError::Make(error.to_string());
    let mut params = rcgen::CertificateParams::new(names.to_vec()).map_err(make)?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(rcgen::DnType::CommonName, names.first().map_or("trunkline", String::as_str));
    let date = |days: i64| {
        let day = UnixMillis(now.0.saturating_add(days * 86_400_000)).rfc3339();
        let mut parts = day.split(['-', 'T']).map(|part| part.parse::<u16>().unwrap_or(1));
        let mut part = || parts.next().unwrap_or(1);
        let (year, month, day) = (part(), part(), part());
        rcgen::date_time_ymd(i32::from(year), u8::try_from(month).unwrap_or(1), u8::try_from(day).unwrap_or(1))
    };
    // A day back, for portals whose clock is slow.
    params.not_before = date(-1);
    params.not_after = date(SELF_SIGNED_DAYS);
    let key = rcgen::KeyPair::generate().map_err(make)?;
    let certificate = params.self_signed(&key).map_err(make)?;
    Ok((certificate.pem(), key.serialize_pem()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_self_made_pair_loads() {
        let folder = tempfile::tempdir().unwrap();
        let (cert, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
        let names = ["im.office.lan".to_owned(), "192.168.0.5".to_owned()];
        let (cert_pem, key_pem) = self_signed(&names, UnixMillis(1_500_000_000_000)).unwrap();
        std::fs::write(&cert, cert_pem).unwrap();
        std::fs::write(&key, key_pem).unwrap();
        let config = load(&cert, &key).unwrap();
        assert_eq!(config.send_tls13_tickets, 0);
        let (from, until) = validity(&cert).unwrap();
        assert_eq!((from.stamp().as_str(), until.stamp().as_str()), ("2017-07-13 00:00:00", "2027-07-12 00:00:00"));
        assert!(validity(&key).is_err());
        assert!(matches!(load(&key, &cert), Err(TlsError::File { .. })));
        assert!(load(&folder.path().join("none"), &key).unwrap_err().to_string().contains("none"));
    }
}
