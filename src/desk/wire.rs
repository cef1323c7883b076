//! How a portal calls the server (`portal-box.md` §3.1). Up to version 20 the module's client is its own: HTTP/1.0,
//! headers in a fixed order, `Host` without the port, head and body in two writes, certificates not verified; commands
//! that nobody waits for are written and the connection is closed at once. From 23 on it is an ordinary client.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned};

use super::CallError;
use crate::net::{Answer, Call, Net, Reach};
use crate::portals::boxed::portal_side::Identity;

/// Longest wait for the server, for each read.
const TIMEOUT: Duration = Duration::from_secs(20);
/// Longest answer that is read.
const ANSWER_MAX: usize = 1024 * 1024;

fn unreachable(error: impl fmt::Display) -> CallError {
    CallError::Unreachable(error.to_string())
}

/// The way to one server.
#[derive(Debug)]
pub(super) struct Wire {
    pub identity: Identity,
    pub server: String,
    pub net: Arc<dyn Net>,
}

impl Wire {
    /// Posts a signed command and gives the body of the answer.
    pub(super) fn ask(&self, body: String) -> Result<Vec<u8>, CallError> {
        if self.is_newer() { Ok(self.call(body)?.body) } else { self.old_call(&body) }
    }

    /// Posts a command that nobody waits for. Up to version 20 the portal closes as soon as it has written; from 23 on it
    /// reads the head of the answer first, where `x-bitrix-error` is a refusal.
    pub(super) fn tell(&self, body: String) -> Result<(), CallError> {
        if !self.is_newer() {
            return self.open(&body).map(drop).map_err(unreachable);
        }
        match self.call(body)?.header("x-bitrix-error") {
            Some(code) => Err(CallError::Refused(code.to_owned())),
            None => Ok(()),
        }
    }

    fn is_newer(&self) -> bool {
        self.identity.major() >= 21
    }

    fn call(&self, body: String) -> Result<Answer, CallError> {
        let headers = [
            ("User-Agent", "Bitrix Connector Client CP"),
            ("x-bitrix-licence", self.identity.licence()),
            ("Content-Type", "application/x-www-form-urlencoded"),
            ("Connection", "close"),
        ];
        let call = Call {
            method: "POST",
            url: format!("{}/imwebhook/portal.php", self.server.trim_end_matches('/')),
            headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
            body: body.into_bytes(),
            reach: Reach::Configured,
            timeout: TIMEOUT,
            answer_max_bytes: ANSWER_MAX,
        };
        self.net.call(call).map_err(unreachable)
    }

    /// The old client's call: everything up to the end of the stream; `Content-Length` is not looked at.
    fn old_call(&self, body: &str) -> Result<Vec<u8>, CallError> {
        let mut stream = self.open(body).map_err(unreachable)?;
        let mut answer = Vec::new();
        let read = (&mut *stream).take(ANSWER_MAX as u64).read_to_end(&mut answer);
        // A TLS end without a farewell is still an end: the client takes what has come.
        if let Err(error) = read
            && error.kind() != io::ErrorKind::UnexpectedEof
        {
            return Err(unreachable(error));
        }
        let end = answer.windows(4).position(|four| four == b"\r\n\r\n").ok_or(CallError::NotJson)?;
        Ok(answer.split_off(end + 4))
    }

    /// Connects and writes one request.
    fn open(&self, body: &str) -> io::Result<Box<dyn ReadWrite>> {
        let wrong = |what: String| io::Error::new(io::ErrorKind::InvalidInput, what);
        let url = url::Url::parse(&self.server).map_err(|error| wrong(error.to_string()))?;
        let host = url.host_str().ok_or_else(|| wrong("the server's address has no host".to_owned()))?;
        let port = url.port_or_known_default().unwrap_or(443);
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let address = (bare, port).to_socket_addrs()?.next();
        let address = address.ok_or_else(|| wrong(format!("`{host}` has no address")))?;
        let tcp = TcpStream::connect_timeout(&address, TIMEOUT)?;
        tcp.set_write_timeout(Some(TIMEOUT))?;
        tcp.set_read_timeout(Some(TIMEOUT))?;
        let mut stream: Box<dyn ReadWrite> = match url.scheme() {
            "https" => {
                let name = ServerName::try_from(bare.to_owned()).map_err(|error| wrong(error.to_string()))?;
                let config = blind_config().map_err(io::Error::other)?;
                let session = ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)?;
                Box::new(StreamOwned::new(session, tcp))
            }
            _ => Box::new(tcp),
        };
        stream.write_all(self.head(host, url.path().trim_end_matches('/'), body.len()).as_bytes())?;
        stream.write_all(body.as_bytes())?;
        stream.flush()?;
        Ok(stream)
    }

    fn head(&self, host: &str, prefix: &str, length: usize) -> String {
        // From 17.5.2 on.
        let version: Vec<u32> = self.identity.version.split('.').filter_map(|part| part.parse().ok()).collect();
        let licence = if version.as_slice() >= [17, 5, 2].as_slice() {
            format!("x-bitrix-licence: {}\r\n", self.identity.licence())
        } else {
            String::new()
        };
        format!(
            "POST {prefix}/imwebhook/portal.php HTTP/1.0\r\nUser-Agent: Bitrix Connector Client\r\n{licence}Host: {host}\r\n\
             Connection: close\r\nAccept: */*\r\nAccept-Language: en\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {length}\r\n\r\n"
        )
    }
}

/// A connection, plain or not.
trait ReadWrite: Read + Write {}
impl<T: Read + Write> ReadWrite for T {}

/// TLS that takes any certificate, as the module does (`portal-box.md` §3.1): the server proves itself to nobody there.
fn blind_config() -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let schemes = provider.signature_verification_algorithms.supported_schemes();
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let verifier = Arc::new(TakesAny(schemes));
    Ok(builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth())
}

#[derive(Debug)]
struct TakesAny(Vec<SignatureScheme>);

impl ServerCertVerifier for TakesAny {
    fn verify_server_cert(
        &self,
        _end: &CertificateDer<'_>,
        _others: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.clone()
    }
}
