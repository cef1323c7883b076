//! The operators' page over HTTP: requests in, replies out, whatever serves them. Everything but the page itself and the
//! sign-in asks for an operator's cookie; what changes something takes JSON from the page's own origin only.

mod acts;
mod shown;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value as Json, json};

use super::CallError;
use super::office::{Office, OfficeError, Operator};
use crate::secret::Secret;

/// How long a question for news is held.
const NEWS_WAIT: Duration = Duration::from_secs(25);
/// Name of the cookie; its value is the operator's token.
const COOKIE: &str = "desk";
/// How long the browser keeps it, seconds; the desk forgets it at the same time.
const COOKIE_SECS: u32 = 30 * 24 * 3600;
/// What the page may do: talk to its own origin, nothing else.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
    img-src 'self' data:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// A request to the page.
#[derive(Default)]
pub struct Request {
    /// `GET`, `POST`.
    pub method: String,
    /// Path without the query.
    pub path: String,
    /// Query without the question mark.
    pub query: String,
    /// Header names in any case.
    pub headers: Vec<(String, String)>,
    /// Body, whole; the caller limits it.
    pub body: Vec<u8>,
}

impl fmt::Debug for Request {
    /// Neither headers nor body: there are a cookie and a password in them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request").field("method", &self.method).field("path", &self.path).finish_non_exhaustive()
    }
}

impl Request {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    fn query(&self, name: &str) -> Option<String> {
        url::form_urlencoded::parse(self.query.as_bytes()).find(|(key, _)| key == name).map(|(_, value)| value.into())
    }

    fn number(&self, name: &str) -> Option<i64> {
        self.query(name)?.parse().ok()
    }

    fn token(&self) -> Option<Secret> {
        let cookies = self.header("cookie")?.split(';');
        let pairs = cookies.filter_map(|pair| pair.trim().split_once('='));
        pairs.into_iter().find(|(name, _)| *name == COOKIE).map(|(_, value)| Secret::new(value.to_owned()))
    }

    /// JSON from the page itself: another site's form can neither say that type nor hide its origin.
    fn is_own(&self) -> bool {
        let json = self.header("content-type").is_some_and(|kind| kind.starts_with("application/json"));
        // A page that hides its origin says `null`, which is no host.
        let host = self.header("host").unwrap_or_default();
        let own = |origin: &str| origin.split_once("://").is_some_and(|(_, at)| at == host);
        json && self.header("origin").is_none_or(own)
    }
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// Header names and values, `Content-Type` and the page's policy among them.
    pub headers: Vec<(&'static str, String)>,
    /// Body.
    pub body: Vec<u8>,
}

impl Reply {
    fn new(status: u16, kind: &str, body: Vec<u8>) -> Self {
        let headers = [
            ("Content-Type", kind),
            ("Cache-Control", "no-store"),
            ("Content-Security-Policy", POLICY),
            ("X-Content-Type-Options", "nosniff"),
            ("Referrer-Policy", "no-referrer"),
        ];
        Self { status, headers: headers.map(|(name, value)| (name, value.to_owned())).to_vec(), body }
    }

    fn json(value: &Json) -> Self {
        Self::new(200, "application/json", value.to_string().into_bytes())
    }

    fn error(status: u16, words: &str) -> Self {
        Self { status, ..Self::json(&json!({"error": words})) }
    }

    /// Nobody has signed in there.
    fn unknown() -> Self {
        Self::error(401, "sign in first")
    }

    fn with(mut self, name: &'static str, value: String) -> Self {
        self.headers.push((name, value));
        self
    }
}

/// The HTTP status that tells of an error.
pub fn status_of(error: &OfficeError) -> u16 {
    match error {
        OfficeError::NotThere(_) => 404,
        OfficeError::NotAllowed(_) | OfficeError::Call(CallError::Refused(_)) => 409,
        OfficeError::Wrong(_) => 400,
        OfficeError::Call(CallError::Unreachable(_) | CallError::NotJson) => 502,
        OfficeError::Store(_) => 500,
    }
}

impl From<OfficeError> for Reply {
    fn from(error: OfficeError) -> Self {
        Self::error(status_of(&error), &error.to_string())
    }
}

const SCRIPT: &str = "text/javascript; charset=utf-8";
const SHEET: &str = "text/css; charset=utf-8";
/// The page's files: name, type, content.
const ASSETS: &[(&str, &str, &[u8])] = &[
    ("act.js", SCRIPT, include_bytes!("../page/act.js")),
    ("base.css", SHEET, include_bytes!("../page/base.css")),
    ("bbcode.js", SCRIPT, include_bytes!("../page/bbcode.js")),
    ("bot.js", SCRIPT, include_bytes!("../page/bot.js")),
    ("channel.js", SCRIPT, include_bytes!("../page/channel.js")),
    ("common.js", SCRIPT, include_bytes!("../page/common.js")),
    ("desk.css", SHEET, include_bytes!("../page/desk.css")),
    ("desk.js", SCRIPT, include_bytes!("../page/desk.js")),
    ("details.js", SCRIPT, include_bytes!("../page/details.js")),
    ("door.js", SCRIPT, include_bytes!("../page/door.js")),
    ("emoji.js", SCRIPT, include_bytes!("../page/emoji.js")),
    ("emoji_table.js", SCRIPT, include_bytes!("../page/emoji_table.js")),
    ("glyphs.js", SCRIPT, include_bytes!("../page/glyphs.js")),
    ("head.js", SCRIPT, include_bytes!("../page/head.js")),
    ("keys.js", SCRIPT, include_bytes!("../page/keys.js")),
    ("list.js", SCRIPT, include_bytes!("../page/list.js")),
    ("menu.js", SCRIPT, include_bytes!("../page/menu.js")),
    ("messages.js", SCRIPT, include_bytes!("../page/messages.js")),
    ("rules.js", SCRIPT, include_bytes!("../page/rules.js")),
    ("settings.css", SHEET, include_bytes!("../page/settings.css")),
    ("settings.js", SCRIPT, include_bytes!("../page/settings.js")),
    ("state.js", SCRIPT, include_bytes!("../page/state.js")),
    ("talk.js", SCRIPT, include_bytes!("../page/talk.js")),
    ("writer.js", SCRIPT, include_bytes!("../page/writer.js")),
];

/// The operators' page.
#[derive(Clone, Debug)]
pub struct Page {
    office: Arc<Office>,
}

impl Page {
    /// The page of an office.
    pub fn new(office: Arc<Office>) -> Self {
        Self { office }
    }

    /// Answers what belongs to the page: `/` and all below `/desk/`; nothing for other paths. A question for news is
    /// held for up to 25 s, so each open page occupies a thread of the caller.
    pub fn answer(&self, request: &Request) -> Option<Reply> {
        if let ("GET" | "HEAD", "/") = (request.method.as_str(), request.path.as_str()) {
            return Some(Reply::new(200, "text/html; charset=utf-8", include_bytes!("../page/desk.html").to_vec()));
        }
        let name = request.path.strip_prefix("/desk/")?;
        Some(self.below_desk(request, name).unwrap_or_else(Reply::from))
    }

    fn below_desk(&self, request: &Request, name: &str) -> Result<Reply, OfficeError> {
        let get = matches!(request.method.as_str(), "GET" | "HEAD");
        if let Some((_, kind, content)) = ASSETS.iter().find(|(asset, ..)| get && *asset == name) {
            return Ok(Reply::new(200, kind, content.to_vec()));
        }
        if !get && !request.is_own() {
            return Ok(Reply::error(415, "the desk takes JSON from its own page only"));
        }
        let me = self.me(request)?;
        match (get, name) {
            (true, "door") => return self.door(me.as_ref()),
            (false, "sign-in") => return self.sign_in(request),
            _ => (),
        }
        let Some(me) = me else { return Ok(Reply::unknown()) };
        if get { self.look(request, name, &me) } else { self.act(request, name, &me) }
    }

    /// Who asks.
    fn me(&self, request: &Request) -> Result<Option<Operator>, OfficeError> {
        let Some(token) = request.token() else { return Ok(None) };
        let Some(id) = self.office.signed_in(&token)? else { return Ok(None) };
        Ok(self.office.operators()?.into_iter().find(|operator| operator.id == id))
    }

    fn look(&self, request: &Request, name: &str, me: &Operator) -> Result<Reply, OfficeError> {
        let line = || request.query("line").unwrap_or_default();
        Ok(match name {
            "news" => {
                let after = request.number("after").and_then(|after| u64::try_from(after).ok()).unwrap_or(0);
                let version = self.office.wait_for_news(after, NEWS_WAIT);
                // Meanwhile the browser may have been signed out.
                if self.me(request)?.is_none() {
                    return Ok(Reply::unknown());
                }
                Reply::json(&self.news(version, me, request.number("talk"))?)
            }
            "older" => Reply::json(&self.older(request)?),
            "file" => self.file(request)?,
            "channel" => Reply::json(&shown::channel(&self.office.channel(&line())?)),
            "line" => Reply::json(&shown::line_settings(&self.office.line(&line())?)),
            _ => Reply::error(404, "nothing is here"),
        })
    }

    fn door(&self, me: Option<&Operator>) -> Result<Reply, OfficeError> {
        let identity = self.office.client().identity();
        let operators = self.office.operators()?;
        let operators = operators.iter().map(|one| json!({"id": one.id, "name": one.name, "password": one.password}));
        Ok(Reply::json(&json!({"portal": identity.domain, "module": identity.version,
            "operators": operators.collect::<Vec<_>>(), "me": me.map(shown::me)})))
    }

    fn sign_in(&self, request: &Request) -> Result<Reply, OfficeError> {
        let body = acts::body(request)?;
        let password = body.get("password").and_then(Json::as_str).unwrap_or_default();
        let id = body.get("operator").and_then(Json::as_i64).unwrap_or(0);
        let token = match self.office.sign_in(id, &Secret::new(password.to_owned())) {
            Ok(token) => token,
            Err(OfficeError::NotAllowed(why)) => return Ok(Reply::error(401, &why)),
            Err(error) => return Err(error),
        };
        let me = self.office.operators()?.into_iter().find(|operator| operator.id == id);
        let cookie = format!("{COOKIE}={}; Path=/; Max-Age={COOKIE_SECS}; HttpOnly; SameSite=Strict", token.reveal());
        Ok(Reply::json(&json!({"me": me.as_ref().map(shown::me)})).with("Set-Cookie", cookie))
    }

    /// A file that the desk has fetched. It came from a customer: nothing but a plain picture is shown by the browser,
    /// everything else is saved.
    fn file(&self, request: &Request) -> Result<Reply, OfficeError> {
        let (file, content) = self.office.file(request.number("id").unwrap_or(0))?;
        let mime = file.mime.as_deref().unwrap_or_default();
        let picture = shown::PICTURES.contains(&mime);
        let kind = if picture { mime } else { "application/octet-stream" };
        let name = percent_encoding::utf8_percent_encode(&file.name, percent_encoding::NON_ALPHANUMERIC);
        let how = if picture { "inline" } else { "attachment" };
        let saved = format!("{how}; filename*=UTF-8''{name}");
        Ok(Reply::new(200, kind, content).with("Content-Disposition", saved))
    }
}

#[cfg(test)]
mod tests;
