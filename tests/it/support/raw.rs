//! Bytes on a connection, and a front to send them to: what no decent client would write, and how it is answered.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, unbounded};
use rustls::pki_types::pem::PemObject;
use trunkline::http::front::{Answer, Bind, Front, FrontError, FrontStats, Handler, Limits};
use trunkline::http::{Request, Response};

/// A front in this process. Its handler knows `/panic`, `/big/BYTES`, `/slow` and `/held` (until
/// [`Port::release`]), and counts.
#[derive(Debug)]
pub struct Port {
    pub front: Option<Front>,
    pub address: String,
    handled: Arc<AtomicUsize>,
    hold: Sender<()>,
}

/// Deadlines short enough to be waited for.
pub fn limits() -> Limits {
    Limits {
        workers: 4,
        max_connections: 2000,
        max_body: 100_000,
        header_timeout: Duration::from_millis(400),
        body_timeout: Duration::from_millis(600),
        idle_timeout: Duration::from_secs(1),
        write_timeout: Duration::from_millis(600),
        head_max: 16 * 1024,
        waiting_bytes: 1_000_000,
    }
}

fn anywhere() -> Bind {
    Bind::Tcp("127.0.0.1:0".parse().unwrap())
}

fn handler(handled: Arc<AtomicUsize>, held: Receiver<()>) -> Handler {
    Arc::new(move |request: Request, answer: Answer| {
        handled.fetch_add(1, Ordering::SeqCst);
        // Webhooks' addresses behave as the others, but the front expects them to be quick.
        let path = request.path.strip_prefix("/imwebhook/h").unwrap_or(&request.path);
        answer.give(match path {
            "/panic" => panic!("on purpose"),
            "/slow" => {
                std::thread::park_timeout(Duration::from_millis(300));
                Response::text(200, "text/plain", "slow")
            }
            "/held" => {
                let _ = held.recv();
                Response::text(200, "text/plain", "released")
            }
            path => match path.strip_prefix("/big/").and_then(|bytes| bytes.parse().ok()) {
                Some(bytes) => Response::text(200, "text/plain", vec![b'x'; bytes]),
                None => Response::text(200, "text/plain", format!("{} {}", request.method, request.body.len())),
            },
        });
    })
}

impl Port {
    pub fn open(limits: Limits) -> Self {
        Self::try_open(limits, &anywhere()).unwrap()
    }

    pub fn try_open(limits: Limits, public: &Bind) -> Result<Self, FrontError> {
        Self::start(limits, public, None)
    }

    /// The same behind TLS, with a pair made for it in `folder`.
    pub fn open_tls(limits: Limits, folder: &Path) -> Self {
        Self::open_tls_at(limits, folder, &anywhere())
    }

    pub fn open_tls_at(limits: Limits, folder: &Path, public: &Bind) -> Self {
        let now = trunkline::clock::UnixMillis(1_790_000_000_000);
        let (cert, key) = trunkline::http::tls::self_signed(&["localhost".to_owned()], now).unwrap();
        std::fs::write(folder.join("cert.pem"), cert).unwrap();
        std::fs::write(folder.join("key.pem"), key).unwrap();
        let tls = trunkline::http::tls::load(&folder.join("cert.pem"), &folder.join("key.pem")).unwrap();
        Self::start(limits, public, Some(tls)).unwrap()
    }

    fn start(limits: Limits, public: &Bind, tls: Option<Arc<rustls::ServerConfig>>) -> Result<Self, FrontError> {
        let handled = Arc::new(AtomicUsize::new(0));
        let (hold, held) = unbounded();
        let front = Front::start(public, &anywhere(), tls, limits, &handler(Arc::clone(&handled), held))?;
        let address = front.public_addr().rsplit('/').next().unwrap().to_owned();
        Ok(Self { front: Some(front), address, handled, hold })
    }

    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        // Without it a reset throws away what the client's own kernel still holds back.
        stream.set_nodelay(true).unwrap();
        stream
    }

    /// Sends bytes and reads until the server closes.
    pub fn send(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect();
        let _ = stream.write_all(bytes);
        let _ = stream.shutdown(Shutdown::Write);
        rest(&mut stream)
    }

    /// A proper request is still served.
    pub fn is_well(&self) {
        let answer = self.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi");
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("POST 2"), "{answer}");
    }

    /// Lets one request for `/held` go on.
    pub fn release(&self) {
        self.hold.send(()).unwrap();
    }

    pub fn handled(&self) -> usize {
        self.handled.load(Ordering::SeqCst)
    }

    pub fn stats(&self) -> Arc<FrontStats> {
        Arc::clone(self.front.as_ref().unwrap().stats())
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        if let Some(front) = self.front.take() {
            front.stop();
        }
    }
}

/// Everything until the other side closes, resets or says nothing for long.
pub fn rest(stream: &mut impl Read) -> String {
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

/// From now on closing this stream sends a reset instead of an end.
pub fn reset_on_close(stream: &TcpStream) {
    rustix::net::sockopt::set_socket_linger(stream, Some(Duration::ZERO)).unwrap();
}

/// A TLS client that trusts the pair in `folder`.
pub fn tls_client(folder: &Path, version: &'static rustls::SupportedProtocolVersion) -> rustls::ClientConnection {
    tls_client_for(folder, version, "localhost")
}

/// The same for a server of that name.
pub fn tls_client_for(
    folder: &Path,
    version: &'static rustls::SupportedProtocolVersion,
    name: &str,
) -> rustls::ClientConnection {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(rustls::pki_types::CertificateDer::from_pem_file(folder.join("cert.pem")).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = rustls::pki_types::ServerName::try_from(name.to_owned()).unwrap();
    rustls::ClientConnection::new(Arc::new(config), name).unwrap()
}
