//! The open ports. `front` frames requests (hyper; with `listen`, `watched` and `worded` the only asynchronous files), `workers` runs
//! handlers on a synchronous pool; handlers are functions from our own [`Request`] to our own [`Response`].

mod commands;
pub mod front;
mod health;
mod hook;
pub mod known;
mod limits;
mod listen;
pub mod service;
pub mod tls;
mod watched;
mod worded;
mod workers;

use std::net::IpAddr;

/// Which port a request came in by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Channels and portals.
    Public,
    /// The administrator; never public.
    Admin,
}

/// One whole request, its body already limited.
#[derive(Clone, Debug)]
pub struct Request {
    /// Port.
    pub side: Side,
    /// `GET`, `POST` …
    pub method: String,
    /// Path, still percent-encoded, without the query.
    pub path: String,
    /// Query without `?`, empty for none.
    pub query: String,
    /// Names in lower case; values that are not UTF-8 are lossy.
    pub headers: Vec<(String, String)>,
    /// Whole body.
    pub body: Vec<u8>,
    /// The other end; `None` on a UNIX socket.
    pub peer: Option<IpAddr>,
}

impl Request {
    /// The first header of that (lower-case) name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// The part of a path that may stand in a log: a webhook's address holds its line's hash further on.
pub(crate) fn shown_path(path: &str) -> &str {
    let end = path.char_indices().filter(|(_, char)| *char == '/').nth(1).map_or(path.len(), |(at, _)| at);
    path.get(..end).unwrap_or_default()
}

/// One answer. Always sent with `Content-Length`, never chunked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// HTTP status.
    pub status: u16,
    /// Further headers; `content-length`, `date` and `connection` are the front's.
    pub headers: Vec<(&'static str, String)>,
    /// Body.
    pub body: Vec<u8>,
    /// Close the connection after this answer (portals read to the end of the stream).
    pub close: bool,
}

impl Response {
    /// A text answer.
    pub fn text(status: u16, content_type: &'static str, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: vec![("content-type", content_type.to_owned())], body: body.into(), close: false }
    }

    /// The one error shape of the public side: `{"error":{"code":…,"message":…}}`.
    pub fn error(status: u16, code: &str, message: &str) -> Self {
        let body = serde_json::json!({"error": {"code": code, "message": message}});
        Self::text(status, "application/json", body.to_string())
    }

    /// Adds a header.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}
