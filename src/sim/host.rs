//! The twins' HTTP server: tiny_http on loopback, a fixed number of threads, whole requests in, whole answers out.

use std::io::Read;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::Faults;

/// Threads: pages that wait for news hold one each.
const THREADS: usize = 24;
/// Longest body a twin reads.
const BODY_MAX: u64 = 4 * 1024 * 1024;

/// A request.
pub(super) struct Ask {
    pub method: String,
    pub path: String,
    pub query: String,
    pub authorization: String,
    pub body: Vec<u8>,
}

impl Ask {
    /// One value of the query.
    pub(super) fn query(&self, name: &str) -> Option<String> {
        url::form_urlencoded::parse(self.query.as_bytes()).find(|(key, _)| key == name).map(|(_, value)| value.into())
    }

    /// The body as JSON; null when it is none.
    pub(super) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// An answer.
pub(super) struct Tell {
    pub status: u16,
    pub kind: &'static str,
    pub body: Vec<u8>,
}

impl Tell {
    pub(super) fn json(status: u16, value: &serde_json::Value) -> Self {
        Self { status, kind: "application/json", body: value.to_string().into_bytes() }
    }

    pub(super) fn page(kind: &'static str, body: &[u8]) -> Self {
        Self { status: 200, kind, body: body.to_vec() }
    }

    pub(super) fn missing() -> Self {
        Self::json(404, &serde_json::json!({"error": {"code": "NotFound", "message": "nothing is here"}}))
    }
}

/// Listens on loopback and answers with `handler` until the process ends. Gives the base address.
pub(super) fn start(
    port: u16,
    handler: impl Fn(Ask) -> Tell + Send + Sync + 'static,
) -> Result<String, Box<dyn std::error::Error + Send + Sync>> {
    let server = Arc::new(tiny_http::Server::http(SocketAddr::from(([127, 0, 0, 1], port)))?);
    let url = format!("http://{}", server.server_addr());
    let handler = Arc::new(handler);
    for number in 0..THREADS {
        let (server, handler) = (Arc::clone(&server), Arc::clone(&handler));
        std::thread::Builder::new().name(format!("twin-{number}")).spawn(move || {
            while let Ok(request) = server.recv() {
                serve(request, handler.as_ref());
            }
        })?;
    }
    Ok(url)
}

fn serve(mut request: tiny_http::Request, handler: &(impl Fn(Ask) -> Tell + ?Sized)) {
    let (path, query) = match request.url().split_once('?') {
        Some((path, query)) => (path.to_owned(), query.to_owned()),
        None => (request.url().to_owned(), String::new()),
    };
    let authorization = request.headers().iter().find(|header| header.field.equiv("Authorization"));
    let authorization = authorization.map(|header| header.value.as_str().to_owned()).unwrap_or_default();
    let mut body = Vec::new();
    if request.as_reader().take(BODY_MAX).read_to_end(&mut body).is_err() {
        return;
    }
    let method = request.method().as_str().to_owned();
    let tell = handler(Ask { method, path, query, authorization, body });
    let mut response = tiny_http::Response::from_data(tell.body).with_status_code(tell.status);
    let policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:";
    for (name, value) in [
        ("Content-Type", tell.kind),
        ("Cache-Control", "no-store"),
        ("Content-Security-Policy", policy),
        ("X-Content-Type-Options", "nosniff"),
    ] {
        if let Ok(header) = tiny_http::Header::from_bytes(name, value) {
            response = response.with_header(header);
        }
    }
    // Whoever asked may be gone.
    let _ = request.respond(response);
}

/// Decides which requests fail; the same sequence in every run.
#[derive(Debug, Default)]
pub(super) struct Dice(AtomicU64);

impl Dice {
    /// Waits as the faults say; true when this request shall fail.
    pub(super) fn strike(&self, faults: &Faults) -> bool {
        if !faults.slow.is_zero() {
            // A channel that nobody sends to is a pause that needs no clock.
            let (_keep, pause) = crossbeam_channel::bounded::<()>(0);
            let _ = pause.recv_timeout(faults.slow.min(Duration::from_hours(1)));
        }
        let number = self.0.fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::Relaxed);
        let mixed = (number ^ (number >> 31)).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 40;
        #[expect(clippy::cast_precision_loss, reason = "24 bits fit")]
        let share = mixed as f64 / f64::from(1 << 24);
        faults.down || share < faults.fail_rate
    }
}
