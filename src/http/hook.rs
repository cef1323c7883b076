//! The single webhook address: hash → line → proof → messages → commit → 200. Nothing is answered 200 before its
//! messages are on the disk (promise 1).

use super::service::{Service, not_stored, unavailable};
use super::{Request, Response};
use crate::channels::{Connector, Rejected, Webhook};
use crate::message::{Body, IncomingKind, Notice, Received};
use crate::portals::protocol;
use crate::queue;
use crate::records::{Line, LineState, Portal, Settings};
use crate::store::{Tx, directory};

/// `/imwebhook/?hash=HASH`.
pub(super) fn by_query(service: &Service, request: &Request) -> Response {
    let hash = url::form_urlencoded::parse(request.query.as_bytes())
        .find(|(key, _)| key == "hash")
        .map(|(_, value)| value.into_owned())
        .unwrap_or_default();
    by_hash(service, request, &hash)
}

/// The same answer for every hash that leads nowhere: missing, malformed, unknown, without settings.
fn nowhere() -> Response {
    Response::error(404, "UNKNOWN_HASH", "no line has this address")
}

/// `/imwebhook/h/HASH`.
pub(super) fn by_hash(service: &Service, request: &Request, hash: &str) -> Response {
    let began = service.clock.ticks();
    let found = match find(service, hash) {
        Ok(Some(found)) => found,
        Ok(None) => return nowhere(),
        Err(answer) => return answer,
    };
    let Some(connector) = service.factory.get(&found.line.connector) else { return nowhere() };
    let methods: &[&str] = if connector.takes_get() { &["GET", "POST"] } else { &["POST"] };
    super::service::only(request, methods, || {
        let answer = take(service, request, connector.as_ref(), &found);
        if answer.status < 300 {
            service.metrics.accepted(service.clock.ticks().saturating_sub(began));
        }
        answer
    })
}

struct Found {
    line: Line,
    portal: Portal,
    settings: Settings,
}

fn find(service: &Service, hash: &str) -> Result<Option<Found>, Response> {
    let db = service.reader()?;
    let read = || -> rusqlite::Result<Option<Found>> {
        let Some(line) = directory::line_by_hash(&db, hash)? else { return Ok(None) };
        let settings = directory::settings(&db, line.id)?;
        let Some(portal) = directory::portal_by_id(&db, line.portal)? else { return Ok(None) };
        let live = !settings.is_empty() && line.state != LineState::TakenOver;
        Ok(live.then_some(Found { line, portal, settings }))
    };
    read().map_err(|error| {
        log::error!(error:% = error; "a line can't be looked up");
        unavailable("the database can't be read at the moment")
    })
}

/// Platforms send JSON or a form and say so. What calls itself something else comes from no platform: a page in a
/// browser, say, which may send a text to any address without asking.
fn is_taken(content_type: &str) -> bool {
    let kind = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let forms = ["", "application/json", "text/json", "application/x-www-form-urlencoded", "multipart/form-data"];
    forms.contains(&kind.as_str()) || (kind.starts_with("application/") && kind.ends_with("+json"))
}

fn take(service: &Service, request: &Request, connector: &dyn Connector, found: &Found) -> Response {
    if !is_taken(request.header("content-type").unwrap_or_default()) {
        return Response::error(415, "TYPE_UNSUPPORTED", "webhooks are JSON or forms");
    }
    let hook =
        Webhook { method: &request.method, query: &request.query, headers: &request.headers, body: &request.body };
    let verified = match connector.verify(&hook, &found.settings) {
        Ok(verified) => verified,
        Err(rejected) => return refuse(found, &rejected),
    };
    let received = match connector.receive(&verified, &found.settings) {
        Ok(received) => received,
        Err(rejected) => return refuse(found, &rejected),
    };
    let line = found.line.id;
    let bodies = speakable(&found.portal, received.messages.clone());
    let stored = service.writer.write(service.commit_wait, move |tx| store(tx, &received, &bodies, line));
    match stored {
        Ok(true) => service.sender.wake(line),
        Ok(false) => (),
        Err(error) => return not_stored(&error),
    }
    let answer = connector.answer(&verified);
    let mut response = Response::text(answer.status, "application/json", answer.body);
    if response.body.is_empty() {
        response.headers.clear();
    }
    response
}

/// Leaves out what the portal's version has no word for (typing marks).
fn speakable(portal: &Portal, messages: Vec<crate::message::Incoming>) -> Vec<(Option<String>, Body)> {
    let protocol = protocol(&portal.protocol);
    messages
        .into_iter()
        .map(|message| (message.key.clone(), Body::Message(Box::new(message))))
        .filter(|(_, body)| protocol.is_some_and(|protocol| protocol.can_say(portal, body)))
        .collect()
}

/// Stores everything one webhook brought; true when something waits for the portal now.
fn store(
    tx: &mut Tx<'_>,
    received: &Received,
    bodies: &[(Option<String>, Body)],
    line: crate::ids::LineId,
) -> rusqlite::Result<bool> {
    // The chat's record comes first: an operator's answer may follow the message at once.
    for chat in &received.chats {
        directory::put_chat(tx, line, chat)?;
    }
    for (short, long) in &received.aliases {
        directory::put_alias(tx, line, short, long)?;
    }
    let mut wake = false;
    for (key, body) in bodies {
        let Body::Message(message) = body else { continue };
        // A typing mark that comes late is worse than none; it is not worth a place among the repeats either.
        let key = if message.kind == IncomingKind::Typing { None } else { key.as_deref() };
        wake |= queue::push(tx, line, &message.connector, key, body)? != queue::Pushed::Repeat;
    }
    for (connector, chat, message) in &received.read {
        let notice = Notice::Read { im: None, chat: chat.clone(), ids: vec![message.clone()], date: tx.now.secs() };
        queue::push(tx, line, connector, None, &Body::Notice(notice))?;
        wake = true;
    }
    directory::line_proved(tx, line)?;
    Ok(wake)
}

fn refuse(found: &Found, rejected: &Rejected) -> Response {
    let line = found.line.id;
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
