//! The twins' HTTP server: tiny_http on loopback, a fixed number of threads, whole requests in, whole answers out, one
//! on each connection.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::Faults;
use crate::desk::web::{Reply, Request};

/// Threads: pages that wait for news hold one each.
const THREADS: usize = 24;
/// Longest body a twin reads.
const BODY_MAX: u64 = 4 * 1024 * 1024;

/// A request.
pub(super) struct Ask {
    pub method: String,
    pub path: String,
    pub query: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Ask {
    /// One value of the query.
    pub(super) fn query(&self, name: &str) -> Option<String> {
        url::form_urlencoded::parse(self.query.as_bytes()).find(|(key, _)| key == name).map(|(_, value)| value.into())
    }

    /// The first header of that name.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// It was asked for by a number or by a name without a dot, such as `localhost`, and not by a page of elsewhere. Such a
    /// page can have a name of its own lead here, and a browser then takes what it asks for its own; or it posts without
    /// a look at the answer. It can hide neither that name, which has a dot, nor its origin.
    pub(super) fn is_local(&self) -> bool {
        let host = self.header("host").unwrap_or_default();
        let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
        let named = !name.contains('.') || name.parse::<std::net::Ipv4Addr>().is_ok();
        let own = |origin: &str| origin.split_once("://").is_some_and(|(_, at)| at == host);
        named && self.header("origin").is_none_or(own)
    }

    /// The body as JSON; null when it is none.
    pub(super) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

impl From<Ask> for Request {
    fn from(ask: Ask) -> Self {
        let Ask { method, path, query, headers, body } = ask;
        Self { method, path, query, headers, body }
    }
}

impl From<Reply> for Tell {
    fn from(reply: Reply) -> Self {
        let Reply { status, headers, body } = reply;
        Self { status, body, headers }
    }
}

/// An answer.
pub(super) struct Tell {
    pub status: u16,
    pub body: Vec<u8>,
    /// Headers beside `Content-Type`.
    pub headers: Vec<(&'static str, String)>,
}

/// What the twins' own pages may do: talk to their own origin, show pictures by address.
const POLICY: &str =
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data: http: https:";

impl Tell {
    pub(super) fn new(status: u16, kind: &'static str, body: Vec<u8>) -> Self {
        let headers = [
            ("Content-Type", kind),
            ("Cache-Control", "no-store"),
            ("Content-Security-Policy", POLICY),
            ("X-Content-Type-Options", "nosniff"),
        ];
        Self { status, body, headers: headers.map(|(name, value)| (name, value.to_owned())).to_vec() }
    }

    /// With `Retry-After`, in seconds.
    pub(super) fn retry_after(mut self, secs: u32) -> Self {
        self.headers.push(("Retry-After", secs.to_string()));
        self
    }

    pub(super) fn json(status: u16, value: &serde_json::Value) -> Self {
        Self::new(status, "application/json", value.to_string().into_bytes())
    }

    pub(super) fn page(kind: &'static str, body: &[u8]) -> Self {
        Self::new(200, kind, body.to_vec())
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
    let pair = |header: &tiny_http::Header| (header.field.to_string(), header.value.to_string());
    let headers = request.headers().iter().map(pair).collect();
    let mut body = Vec::new();
    let declared = request.body_length();
    if request.as_reader().take(BODY_MAX).read_to_end(&mut body).is_err() {
        return;
    }
    // tiny_http hands a body that was cut short as if it were whole.
    if declared.is_some_and(|declared| declared != body.len()) {
        let _ = request.respond(tiny_http::Response::empty(400));
        return;
    }
    let method = request.method().as_str().to_owned();
    let tell = handler(Ask { method, path, query, headers, body });
    let mut response = tiny_http::Response::from_data(tell.body).with_status_code(tell.status);
    for (name, value) in tell.headers {
        if let Ok(header) = tiny_http::Header::from_bytes(name, value) {
            response = response.with_header(header);
        }
    }
    // Said in version 1.0, it is the last answer of its connection: a connection that a browser keeps holds a thread of
    // tiny_http, which loses count of its idle ones and then leaves a new connection waiting for the end of an old one.
    let (asked, version) = (request.headers().to_vec(), tiny_http::HTTPVersion(1, 0));
    let without_body = *request.method() == tiny_http::Method::Head;
    let mut writer = request.into_writer();
    let printed = response.raw_print(&mut writer, version, &asked, without_body, None);
    // Whoever asked may be gone.
    let _ = printed.and_then(|()| writer.flush());
}

/// How a request shall fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Strike {
    /// The twin is down.
    Down,
    /// It broke: 500.
    Broken,
    /// It has had enough for now: 429 with `Retry-After`.
    TooMany,
}

/// Decides which requests fail; the same sequence in every run.
#[derive(Debug, Default)]
pub(super) struct Dice(AtomicU64);

impl Dice {
    /// Waits as the faults say, then tells whether and how this request shall fail.
    pub(super) fn strike(&self, faults: &Faults) -> Option<Strike> {
        if !faults.slow.is_zero() {
            // A channel that nobody sends to is a pause that needs no clock.
            let (_keep, pause) = crossbeam_channel::bounded::<()>(0);
            let _ = pause.recv_timeout(faults.slow.min(Duration::from_hours(1)));
        }
        if faults.down {
            return Some(Strike::Down);
        }
        let number = self.0.fetch_add(1, Ordering::Relaxed);
        // splitmix64: neighbours in, unrelated numbers out.
        let mixed = number.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        let share = f64::from(u32::try_from(mixed >> 40).unwrap_or(0)) / f64::from(1 << 24);
        (share < faults.fail_rate).then_some(if mixed & 1 == 0 { Strike::Broken } else { Strike::TooMany })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dice_keep_to_their_share() {
        for (fail_rate, least, most) in [(0.0, 0, 0), (0.25, 200, 300), (1.0, 1000, 1000)] {
            let (dice, faults) = (Dice::default(), Faults { fail_rate, ..Faults::default() });
            let struck = (0..1000).filter(|_| dice.strike(&faults).is_some()).count();
            assert!((least..=most).contains(&struck), "{fail_rate}: {struck}");
        }
        let faults = Faults { down: true, ..Faults::default() };
        assert_eq!(Dice::default().strike(&faults), Some(Strike::Down));
    }

    #[test]
    fn only_a_whole_body_reaches_the_handler() {
        let url = start(0, |ask| Tell::new(200, "text/plain", ask.body)).unwrap();
        // Up to 1024 bytes tiny_http reads by itself and hangs up on a short body; longer ones reach us.
        for (declared, sent, status) in
            [(5, 5, Some("200")), (9, 5, None), (2000, 2000, Some("200")), (2000, 1500, Some("400"))]
        {
            let mut stream = std::net::TcpStream::connect(url.strip_prefix("http://").unwrap()).unwrap();
            let body = "x".repeat(sent);
            write!(stream, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {declared}\r\n\r\n{body}").unwrap();
            stream.shutdown(std::net::Shutdown::Write).unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            assert_eq!(answer.split(' ').nth(1), status, "{declared} {sent}: {answer}");
        }
    }

    /// A browser opens several connections at once and keeps those that it may for minutes.
    #[test]
    fn browsers_that_come_at_once_are_all_served() {
        use std::io::{BufRead, BufReader};
        let url = start(0, |ask| Tell::new(200, "text/plain", ask.body)).unwrap();
        let address = url.strip_prefix("http://").unwrap().to_owned();
        let visit = |address: String| {
            let mut stream = BufReader::new(std::net::TcpStream::connect(address).unwrap());
            stream.get_ref().set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            stream.get_mut().write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
            let mut status = String::new();
            stream.read_line(&mut status).unwrap();
            // What may be kept for the next request is kept.
            status.starts_with("HTTP/1.1").then_some(stream)
        };
        let mut kept = Vec::new();
        for round in 0..40 {
            let visits: Vec<_> = (0..8)
                .map(|_| {
                    std::thread::spawn({
                        let address = address.clone();
                        move || visit(address)
                    })
                })
                .collect();
            for one in visits {
                kept.push(one.join().unwrap_or_else(|_| panic!("round {round}: a browser waits in vain")));
            }
        }
    }
}
