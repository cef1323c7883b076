//! Server → portal: from queue rows to a signed form, and what the reply means (`portal-box.md` §4).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::form::{Form, md5_hex};
use super::php::{self, Value};
use crate::message::{Attachment, Body, FileLink, Incoming, IncomingKind, Notice, PortalRef, User};
use crate::net::Answer;
use crate::portals::files::Opened;
use crate::portals::{PortalError, Receipt};
use crate::records::Portal;
use crate::text;

/// Longest first and last name (§11).
const NAME_MAX_CHARS: usize = 50;
/// First module version that takes raw Unicode emoji (§6).
const RAW_EMOJI_FROM: u32 = 20;
/// The chat of the server itself, for what concerns a whole line.
const OWN_CHAT: &str = "trunkline";
/// First module version with `receivingError` (§4.3).
pub(super) const ERRORS_FROM: u32 = 23;

/// A signed form, ready to be posted.
pub fn form(portal: &Portal, command: &str, connector: &str, line: &str, data: &Value) -> Form {
    let mut form = Form(
        [
            ("BX_COMMAND", command),
            ("BX_TYPE", "CP"),
            ("BX_VERSION", "1"),
            ("CONNECTOR", connector),
            ("LINE", line),
            ("DATA", &STANDARD.encode(php::encode(data))),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect(),
    );
    form.sign(&portal.key);
    form
}

/// How the id of a message begins that tells an older portal of a failure; the portal's own id of what failed follows.
pub const FAILED_ID: &str = "trunkline-failed-";

/// The command and its list for bodies of one kind, no file opened.
pub fn content(portal: &Portal, bodies: &[Body]) -> (&'static str, Value) {
    content_opened(portal, bodies, &Opened::default())
}

/// The command and its list for bodies of one kind, with what the downloads of their files need.
pub fn content_opened(portal: &Portal, bodies: &[Body], opened: &Opened) -> (&'static str, Value) {
    let command = match bodies.first() {
        Some(Body::Notice(Notice::Delivered { .. })) => "receivingStatusDelivery",
        Some(Body::Notice(Notice::Read { .. })) => "receivingStatusReading",
        Some(Body::Notice(Notice::Deactivated)) => return ("deactivateConnector", Value::list([])),
        Some(Body::Notice(Notice::Failed { .. })) if portal.major() >= ERRORS_FROM => "receivingError",
        Some(Body::Notice(Notice::Failed { .. } | Notice::Lost { .. }) | Body::Message(_)) | None => "receivingMessage",
    };
    (command, Value::list(bodies.iter().map(|body| element(portal, body, opened))))
}

fn element(portal: &Portal, body: &Body, opened: &Opened) -> Value {
    match body {
        Body::Message(message) => message_element(portal, message, opened),
        Body::Notice(Notice::Delivered { im, chat, ids, date }) => status(Some(im), chat, ids, *date),
        Body::Notice(Notice::Read { im, chat, ids, date }) => status(im.as_ref(), chat, ids, *date),
        Body::Notice(Notice::Failed { im, chat, deleting, code, text, customer }) => {
            if portal.major() >= ERRORS_FROM {
                error(im, *deleting, code, text)
            } else {
                let id = format!("{FAILED_ID}{}", im.message_id);
                let text = format!("[b]Connector server[/b]: the message was not delivered: {}", harmless(text));
                told_in_chat(portal, customer.as_deref(), chat, id, &text)
            }
        }
        Body::Notice(Notice::Lost { until, text, .. }) => {
            told_in_chat(portal, None, OWN_CHAT, format!("trunkline-lost-{until}"), &harmless(text))
        }
        Body::Notice(Notice::Deactivated) => Value::list([]),
    }
}

/// Ids go back as they came: numbers as numbers.
fn id(text: &str) -> Value {
    match text.parse::<i64>() {
        Ok(number) if number.to_string() == text => Value::Int(number),
        Ok(_) | Err(_) => Value::text(text),
    }
}

fn im(im: &PortalRef) -> Value {
    Value::map([("chat_id", id(&im.chat_id)), ("message_id", id(&im.message_id))])
}

/// `{im, message:{id:[…], date}, chat:{id}}`; the list is needed even for one id (§5.3).
fn status(portal_ref: Option<&PortalRef>, chat: &str, ids: &[String], date: i64) -> Value {
    let mut pairs = Vec::new();
    if let Some(portal_ref) = portal_ref {
        pairs.push(("im", im(portal_ref)));
    }
    let ids = Value::list(ids.iter().map(|id| Value::text(cut(id, 100))));
    pairs.push(("message", Value::map([("id", ids), ("date", Value::Int(date))])));
    pairs.push(("chat", Value::map([("id", Value::text(chat))])));
    Value::map(pairs)
}

fn error(portal_ref: &PortalRef, deleting: bool, code: &str, why: &str) -> Value {
    let kind = if deleting { "CONNECTOR_ERROR_DELETE_MESSAGE" } else { "CONNECTOR_NOT_SEND_MESSAGE_CHAT" };
    Value::map([
        ("code", Value::text(kind)),
        ("chatId", id(&portal_ref.chat_id)),
        ("messageId", id(&portal_ref.message_id)),
        ("messageConnector", Value::text(harmless(why))),
        ("params", Value::map([("errorCode", Value::text(code)), ("errorSubCode", Value::text(""))])),
    ])
}

/// A sentence of ours, which may repeat words of others.
fn harmless(why: &str) -> String {
    text::neutralise(&text::clean_name(why, 500))
}

/// What the protocol has no word for, failures before `receivingError` and losses in every version, is said as a message
/// in a chat. Portals make a chat of each pair of customer and external chat, so what belongs into a customer's chat must
/// come in that customer's name; the text says who speaks. Where there is none, the user is plainly the server.
fn told_in_chat(portal: &Portal, customer: Option<&User>, chat: &str, message_id: String, text: &str) -> Value {
    let own = || User { id: "trunkline".to_owned(), name: "Connector server".to_owned(), ..User::default() };
    let message = Incoming {
        connector: String::new(),
        kind: IncomingKind::Message,
        key: None,
        user: customer.cloned().unwrap_or_else(own),
        chat: crate::message::Chat { id: chat.to_owned(), ..crate::message::Chat::default() },
        message_id,
        date: None,
        text: text.to_owned(),
        files: Vec::new(),
        attachments: Vec::new(),
        route: None,
    };
    message_element(portal, &message, &Opened::default())
}

fn cut(text: &str, max: usize) -> String {
    text.chars().take(max).collect()
}

/// How a portal's version wants text: up to 18 nothing from beyond the basic plane may reach it anywhere, because its
/// database cuts there, and its own conversion breaks raw emoji (§6). Ids alone go out as they are: the portal's
/// confirmation names them.
#[derive(Clone, Copy)]
struct Say {
    raw: bool,
}

impl Say {
    fn to(portal: &Portal) -> Self {
        Self { raw: portal.major() >= RAW_EMOJI_FROM }
    }

    fn plain(self, text: &str) -> String {
        if self.raw { text.to_owned() } else { text::to_shortnames(text) }
    }

    fn text(self, text: &str) -> Value {
        Value::Str(self.plain(text))
    }

    /// Cut so that no short name is left without its end.
    fn name(self, text: &str) -> Value {
        let mut ends = text.char_indices().rev().map(|(at, _)| at);
        let mut shown = self.plain(text);
        while shown.chars().count() > NAME_MAX_CHARS {
            let Some(part) = ends.next().and_then(|end| text.get(..end)) else { break };
            shown = self.plain(part);
        }
        Value::Str(shown)
    }
}

/// An address in plain ASCII, untouched where it is so already: some are signed to the letter.
fn address(url: &str) -> Value {
    let plain = url.bytes().all(|byte| byte.is_ascii_graphic());
    let parsed = if plain { None } else { url::Url::parse(url).ok() };
    Value::Str(parsed.map_or_else(|| url.chars().filter(char::is_ascii_graphic).collect(), String::from))
}

/// The message array of §4.4, keys in the order of the worked example: the portal compares the user by the md5 of its
/// serialized array, so it must be byte-stable.
fn message_element(portal: &Portal, message: &Incoming, opened: &Opened) -> Value {
    let say = Say::to(portal);
    let mut pairs = vec![("user", user(&message.user, &message.chat.id, say))];
    let mut inner = vec![("id", Value::text(cut(&message.message_id, 100)))];
    if let Some(date) = message.date {
        inner.push(("date", Value::Int(date)));
    }
    if matches!(message.kind, IncomingKind::Message | IncomingKind::Update) {
        inner.extend(content_of(message, opened, say));
    }
    pairs.push(("message", Value::map(inner)));
    let mut chat = vec![("id", Value::text(message.chat.id.replace('|', "_")))];
    if let Some(url) = &message.chat.url {
        chat.push(("url", address(url)));
    }
    if let Some(description) = &message.chat.description {
        chat.push(("description", say.text(description)));
    }
    pairs.push(("chat", Value::map(chat)));
    let kind = match message.kind {
        IncomingKind::Message => "message",
        IncomingKind::Update => "message_update",
        IncomingKind::Delete => "message_del",
        IncomingKind::Typing => "typing_start",
    };
    pairs.push(("type_message", Value::text(kind)));
    if let Some(route) = &message.route {
        let recipient = [("id", Value::text(&route.recipient_id)), ("name", say.text(&route.recipient_name))];
        pairs.push(("recipient", Value::map(recipient)));
        pairs.push(("service_url", address(&route.service_url)));
    }
    Value::map(pairs)
}

/// Text, files and attachments; never nothing, for the portal would drop the message without a word and confirm it.
fn content_of(message: &Incoming, opened: &Opened, say: Say) -> Vec<(&'static str, Value)> {
    let (closed, open): (Vec<_>, Vec<_>) =
        message.files.iter().partition(|file| file.protected && opened.of(file).is_empty());
    let mut lines = vec![message.text.clone()];
    // The portal would fetch these in vain, and leave them out without a word too.
    lines.extend(closed.into_iter().map(|file| {
        let name = text::clean_name(file.name.as_deref().unwrap_or("without a name"), 100);
        format!("(a file that only the channel can open: {name})")
    }));
    lines.retain(|line| !line.is_empty());
    if lines.is_empty() && open.is_empty() && message.attachments.is_empty() {
        lines.push("(empty message)".to_owned());
    }
    let words = lines.join("\n");
    let mut pairs = Vec::new();
    if !words.is_empty() {
        pairs.push(("text", say.text(&words)));
    }
    if !open.is_empty() {
        pairs.push(("files", Value::list(open.into_iter().map(|link| file(link, opened, say)))));
    }
    if !message.attachments.is_empty() {
        pairs.push(("attachments", Value::list(message.attachments.iter().map(|one| attachment(one, say)))));
    }
    pairs
}

fn user(user: &User, chat: &str, say: Say) -> Value {
    // A message of nobody would be dropped like an empty one: nobody in particular is the chat itself.
    let id = if user.id.is_empty() { md5_hex(chat.as_bytes()) } else { user.id.clone() };
    let mut pairs = vec![("id", Value::Str(id)), ("name", say.name(&user.name))];
    if !user.last_name.is_empty() {
        pairs.push(("last_name", say.name(&user.last_name)));
    }
    if let Some(url) = &user.url {
        pairs.push(("url", address(url)));
    }
    if let Some(picture) = &user.picture {
        pairs.push(("picture", Value::map([("url", address(picture))])));
    }
    if let Some(email) = &user.email {
        pairs.push(("email", say.text(email)));
    }
    if let Some(phone) = &user.phone {
        pairs.push(("phone", say.text(phone)));
    }
    Value::map(pairs)
}

fn file(file: &FileLink, opened: &Opened, say: Say) -> Value {
    let mut pairs = vec![("url", address(&file.url))];
    if let Some(name) = &file.name {
        pairs.push(("name", say.text(name)));
    }
    if let Some(mime) = &file.mime {
        pairs.push(("type", say.text(mime)));
    }
    let headers = opened.of(file).iter();
    let headers: Vec<Value> = headers
        .map(|(name, value)| Value::map([("name", Value::text(name)), ("value", Value::text(value.reveal()))]))
        .collect();
    if !headers.is_empty() {
        pairs.push(("headers", Value::list(headers)));
    }
    Value::map(pairs)
}

fn attachment(attachment: &Attachment, say: Say) -> Value {
    match attachment {
        Attachment::Location { title, text, latitude, longitude } => {
            let point = [("latitude", Value::text(latitude)), ("longitude", Value::text(longitude))];
            let place = [("title", say.text(title)), ("text", say.text(text)), ("coordinates", Value::map(point))];
            Value::map([("location", Value::map(place))])
        }
        Attachment::Contact { name, phone } => {
            Value::map([("contact", Value::map([("name", say.text(name)), ("phone", say.text(phone))]))])
        }
    }
}

/// What the reply means (§4.6): only `OK` is judged.
pub fn receipt(answer: &Answer) -> Result<Receipt, PortalError> {
    let rubbish = || PortalError::Rubbish { status: answer.status, retry_after: answer.retry_after() };
    // Somebody's edit of a portal's start-up file often leaves a byte order mark before everything it says.
    let body = answer.body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&answer.body);
    let reply: serde_json::Value = serde_json::from_slice(body).map_err(|_| rubbish())?;
    // The portal's own code always answers 200: another status with a body of this shape comes from something between.
    if answer.status != 200 || !reply.is_object() {
        return Err(rubbish());
    }
    if reply.get("OK").and_then(serde_json::Value::as_bool) == Some(true) {
        return Ok(Receipt::All);
    }
    // One old reply has a single error instead of a list (`MODULE_NOT_INSTALLED`).
    let errors = reply.get("ERROR");
    let error = errors.and_then(|list| list.get(0)).or(errors);
    match error.and_then(|error| error.get("CODE")).and_then(serde_json::Value::as_str) {
        Some(code) => Err(PortalError::Refused { code: cut(code, 100) }),
        None => Err(rubbish()),
    }
}
