//! The single webhook address: hash → line → proof → messages → commit → 200. Nothing is answered 200 before its
//! messages are on the disk (promise 1). The worker does what comes before the commit and is free; the answer comes from
//! the writer's thread, or from the watch when the disk keeps it too long.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use super::known::Known;
use super::service::{Service, not_stored, only, unavailable};
use super::workers::Answer;
use super::{Request, Response, Side};
use crate::channels::{Connector, HookAnswer, Rejected, Webhook};
use crate::ids::LineId;
use crate::message::{Body, IncomingKind, Notice, Received};
use crate::portals::protocol;
use crate::queue::{self, Entry};
use crate::store::{Tx, directory};

/// What stands before a hash in the path.
const BY_PATH: &str = "/imwebhook/h/";

/// Whether a request is a webhook, whatever line it is for.
pub(super) fn is_webhook(request: &Request) -> bool {
    let path = request.path.as_str();
    request.side == Side::Public && (matches!(path, "/imwebhook" | "/imwebhook/") || path.starts_with(BY_PATH))
}

/// The hash that a webhook's address carries, `/imwebhook/?hash=HASH` or `/imwebhook/h/HASH`; `None` for other paths.
pub(super) fn hash(request: &Request) -> Option<Cow<'_, str>> {
    if !is_webhook(request) {
        return None;
    }
    if let Some(hash) = request.path.strip_prefix(BY_PATH) {
        return Some(hash.trim_end_matches('/').into());
    }
    let mut pairs = url::form_urlencoded::parse(request.query.as_bytes());
    Some(pairs.find(|(key, _)| key == "hash").map(|(_, value)| value).unwrap_or_default())
}

/// Takes one webhook in, and answers it.
pub(super) fn take(service: &Arc<Service>, request: &Request, hash: &str, answer: Answer) {
    let began = service.clock.ticks();
    match read(service, request, hash) {
        Ok(taken) => store(service, taken, began, answer),
        Err(response) => answer.give(response),
    }
}

/// The same answer for every hash that leads nowhere: missing, malformed, unknown, without settings.
fn nowhere() -> Response {
    Response::error(404, "UNKNOWN_HASH", "no line has this address")
}

/// Reads the line from the database.
fn look_up(service: &Service, hash: &str, state: u64) -> Result<Arc<Known>, Response> {
    let db = service.reader()?;
    let found = service.lines.read(&db, hash, state).map_err(|error| {
        log::error!(error:% = error; "a line can't be looked up");
        unavailable("the database can't be read at the moment")
    })?;
    found.ok_or_else(nowhere)
}

/// Platforms send JSON or a form and say so. What calls itself something else comes from no platform: a page in a
/// browser, say, which may send a text to any address without asking.
fn is_taken(content_type: &str) -> bool {
    let kind = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let forms = ["", "application/json", "text/json", "application/x-www-form-urlencoded", "multipart/form-data"];
    forms.contains(&kind.as_str()) || (kind.starts_with("application/") && kind.ends_with("+json"))
}

/// What one webhook leaves to be stored, and what it is answered then.
struct Taken {
    known: Arc<Known>,
    /// That the webhook proved itself is to be noted.
    proved: bool,
    received: Received,
    entries: Vec<Entry>,
    answer: HookAnswer,
}

/// Everything up to the commit. What is kept of a line may be older than the database, so nobody is refused by it.
fn read(service: &Service, request: &Request, hash: &str) -> Result<Taken, Response> {
    let state = service.writer.lines_state();
    if let Some(known) = service.lines.get(hash, state)
        && let Ok(Ok(taken)) = judge(service, request, &known)
    {
        return Ok(taken);
    }
    let known = look_up(service, hash, state)?;
    judge(service, request, &known)?.map_err(|rejected| refuse(&known, &rejected))
}

fn judge(service: &Service, request: &Request, known: &Arc<Known>) -> Result<Result<Taken, Rejected>, Response> {
    let connector = service.factory.get(&known.line.connector).ok_or_else(nowhere)?;
    let methods: &[&str] = if connector.takes_get() { &["GET", "POST"] } else { &["POST"] };
    only(request, methods)?;
    if !is_taken(request.header("content-type").unwrap_or_default()) {
        return Err(Response::error(415, "TYPE_UNSUPPORTED", "webhooks are JSON or forms"));
    }
    Ok(convert(connector.as_ref(), request, known, service.clock.ticks()))
}

fn convert(
    connector: &dyn Connector,
    request: &Request,
    known: &Arc<Known>,
    ticks: Duration,
) -> Result<Taken, Rejected> {
    let hook =
        Webhook { method: &request.method, query: &request.query, headers: &request.headers, body: &request.body };
    let verified = connector.verify(&hook, &known.settings)?;
    let mut received = connector.receive(&verified, &known.settings)?;
    let line = known.line.id;
    let protocol = protocol(&known.portal.protocol);
    let entries = std::mem::take(&mut received.messages)
        .into_iter()
        .filter_map(|mut message| {
            // A typing mark that comes late is worse than none; it is not worth a place among the repeats either.
            let key = message.key.take().filter(|_| message.kind != IncomingKind::Typing);
            let connector = message.connector.clone();
            let body = Body::Message(Box::new(message));
            // What the portal's version has no word for (typing marks) is left out.
            let can_say = protocol.is_some_and(|protocol| protocol.can_say(&known.portal, &body));
            can_say.then(|| Entry::new(line, &connector, key.as_deref(), body))
        })
        .collect();
    let answer = connector.answer(&verified);
    Ok(Taken { known: Arc::clone(known), proved: known.is_proof_due(ticks), received, entries, answer })
}

/// Hands what was taken to the writer, and leaves the answer to it.
fn store(service: &Arc<Service>, taken: Taken, began: Duration, answer: Answer) {
    let Taken { known, proved, received, entries, answer: said } = taken;
    let (after, line) = (Arc::clone(service), known.line.id);
    let kept = service.writer.write_then(
        service.commit_wait,
        move |tx| {
            if !known.is_live(tx)? {
                return Ok(Put::Nowhere);
            }
            if proved {
                directory::line_proved(tx, line)?;
            }
            put(tx, line, &received, &entries)
        },
        move |stored| {
            answer.give(match stored {
                Ok(Put::Nowhere) => nowhere(),
                Ok(put) => {
                    if put == Put::Waits {
                        after.sender.wake(line);
                    }
                    if said.status < 300 {
                        after.metrics.accepted(after.clock.ticks().saturating_sub(began));
                    }
                    in_words(said)
                }
                Err(error) => not_stored(&error),
            });
        },
    );
    service.deadlines.keep(kept);
}

fn in_words(said: HookAnswer) -> Response {
    if said.body.is_empty() {
        Response { status: said.status, headers: Vec::new(), body: Vec::new(), close: false }
    } else {
        Response::text(said.status, "application/json", said.body)
    }
}

/// What has become of a webhook.
#[derive(PartialEq, Eq)]
enum Put {
    /// Somebody has taken its line away meanwhile.
    Nowhere,
    /// Stored, and nothing of it is for the portal.
    Quiet,
    /// Stored, and something waits for the portal.
    Waits,
}

/// Stores everything one webhook brought.
fn put(tx: &mut Tx<'_>, line: LineId, received: &Received, entries: &[Entry]) -> rusqlite::Result<Put> {
    // The chat's record comes first: an operator's answer may follow the message at once.
    for chat in &received.chats {
        directory::put_chat(tx, line, chat)?;
    }
    for (short, long) in &received.aliases {
        directory::put_alias(tx, line, short, long)?;
    }
    let mut wake = false;
    for entry in entries {
        wake |= entry.push(tx)? != queue::Pushed::Repeat;
    }
    for (connector, chat, message) in &received.read {
        let notice = Notice::Read { im: None, chat: chat.clone(), ids: vec![message.clone()], date: tx.now.secs() };
        queue::push(tx, line, connector, None, &Body::Notice(notice))?;
        wake = true;
    }
    Ok(if wake { Put::Waits } else { Put::Quiet })
}

fn refuse(known: &Known, rejected: &Rejected) -> Response {
    let line = known.line.id;
    match rejected {
        Rejected::Malformed(why) => {
            log::warn!(line:% = line, error = *why; "a webhook was refused");
            Response::error(400, "MALFORMED", why)
        }
        Rejected::Unproved(why) => {
            log::warn!(line:% = line, error = *why; "a webhook did not prove its sender");
            Response::error(401, "UNPROVED", why).with("www-authenticate", "Bearer")
        }
        Rejected::Forbidden(why) => {
            log::warn!(line:% = line, error = *why; "a webhook's sender is not entitled");
            Response::error(403, "FORBIDDEN", why)
        }
        Rejected::Unavailable(why) => {
            log::error!(line:% = line, error = *why; "a webhook's proof can't be checked");
            unavailable(why)
        }
    }
}
