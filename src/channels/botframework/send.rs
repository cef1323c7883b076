//! From an operator's message to calls of the channel service. The address comes from the chat's record only: a
//! portal's `service_url` is signed but may be replayed, and the call carries a token.

use std::time::Duration;

use percent_encoding::utf8_percent_encode;
use serde_json::{Value, json};
use url::Url;

use super::activity::{ChatData, at};
use super::receive::short;
use super::token::{NoToken, Tokens};
use super::wording::{self, Part};
use super::{Authentication, ROWS, SEGMENT, is_loopback, is_safe};
use crate::channels::{SendError, Step, Tools};
use crate::message::{OutFile, Outgoing, OutgoingKind, Progress};
use crate::net::{Answer, Call, Reach};
use crate::records::Settings;

const TIMEOUT: Duration = Duration::from_secs(30);
const ANSWER_MAX_BYTES: usize = 256 * 1024;
const MESSAGE_ID_MAX: usize = 100;
const TEXT_MAX_UNITS: usize = 1000;
/// The channel refuses this form of a message.
const REFUSED: &str = "REFUSED";
/// The message is too big for the channel.
const TOO_BIG: &str = "TOO_BIG";

/// What one send needs.
pub(super) struct Way<'a> {
    pub(super) tools: &'a Tools,
    pub(super) tokens: &'a Tokens,
    pub(super) settings: &'a Settings,
    pub(super) authentication: Authentication,
}

/// One call that a message needs.
enum Action<'a> {
    /// A new message.
    Post(Part),
    /// New text for an earlier one.
    Put(&'a str, Part),
    /// An earlier one goes.
    Delete(&'a str),
    /// The indicator.
    Typing,
}

impl Way<'_> {
    /// Makes the call whose turn it is.
    pub(super) fn send(
        &self,
        chat: Option<&str>,
        message: &Outgoing,
        resolve: &dyn Fn(&str) -> Option<String>,
        progress: &mut Progress,
    ) -> Result<Step, SendError> {
        let chat = chat.and_then(|chat| serde_json::from_str::<ChatData>(chat).ok());
        let chat = chat.filter(|chat| !chat.service_url.is_empty() && !chat.conversation.id.is_empty());
        let Some(chat) = chat else {
            let why = String::from("nothing is known of this chat: the customer has to write first");
            return Err(SendError::Permanent { code: "CHAT_UNKNOWN", why });
        };
        let actions = actions(&chat, message);
        if let Some(action) = actions.get(progress.parts) {
            self.act(&chat, action, resolve, progress)?;
            progress.parts += 1;
        }
        Ok(if progress.parts < actions.len() { Step::More } else { Step::Done })
    }

    fn act(
        &self,
        chat: &ChatData,
        action: &Action<'_>,
        resolve: &dyn Fn(&str) -> Option<String>,
        progress: &mut Progress,
    ) -> Result<(), SendError> {
        let long = |id: &str| resolve(id).unwrap_or_else(|| id.to_owned());
        match action {
            Action::Post(part) => {
                let id = self.part(chat, "POST", None, part)?;
                let known = short(&id, MESSAGE_ID_MAX);
                if known != id {
                    progress.aliases.push((known.clone(), id));
                }
                progress.ids.extend(Some(known).filter(|id| !id.is_empty()));
            }
            Action::Put(id, part) => drop(self.part(chat, "PUT", Some(&long(id)), part)?),
            Action::Delete(id) => drop(self.call(chat, "DELETE", Some(&long(id)), &Value::Null)?),
            Action::Typing => {
                let mut activity = compose(chat, "", "plain");
                if let Some(fields) = activity.as_object_mut() {
                    fields.retain(|name, _| name != "text" && name != "textFormat");
                    fields.insert(String::from("type"), Value::from("typing"));
                }
                // Nobody misses an indicator, so its errors end here.
                let _ = self.call(chat, "POST", None, &activity);
            }
        }
        Ok(())
    }

    /// One message; a form that the channel refuses is tried once more as plain text, a file as a link.
    fn part(&self, chat: &ChatData, method: &'static str, id: Option<&str>, part: &Part) -> Result<String, SendError> {
        let mut activity = compose(chat, &part.text, part.format);
        if let Some(fields) = activity.as_object_mut().filter(|_| !part.attachment.is_null()) {
            fields.insert(String::from("attachments"), json!([part.attachment]));
            fields.retain(|name, _| name != "text" && name != "textFormat");
        }
        let plain = part.format == "plain" && part.attachment.is_null();
        match self.call(chat, method, id, &activity) {
            Err(SendError::Permanent { code: REFUSED | TOO_BIG, .. }) if !plain => {
                self.call(chat, method, id, &compose(chat, &part.fallback, "plain"))
            }
            other => other,
        }
    }

    /// One call with its token; a refused token is replaced once. The id of the new activity, if any.
    fn call(&self, chat: &ChatData, method: &'static str, id: Option<&str>, body: &Value) -> Result<String, SendError> {
        let url = self.address(chat, id)?;
        let body = if body.is_null() { vec![] } else { body.to_string().into_bytes() };
        let mut again = true;
        loop {
            let mut headers = vec![
                (String::from("content-type"), String::from("application/json; charset=utf-8")),
                (String::from("accept"), String::from("application/json")),
            ];
            let token = match self.authentication {
                Authentication::Required => Some(self.tokens.get(self.tools, self.settings).map_err(no_token)?),
                Authentication::Off => None,
            };
            if let Some(token) = &token {
                headers.push((String::from("authorization"), format!("Bearer {}", token.reveal())));
            }
            let (url, body, reach) = (url.clone(), body.clone(), Reach::Learned);
            let call = Call { method, url, headers, body, reach, timeout: TIMEOUT, answer_max_bytes: ANSWER_MAX_BYTES };
            let answer = self.tools.net.call(call).map_err(|why| SendError::Retry {
                ambiguous: why.is_ambiguous(),
                why: why.to_string(),
                after: None,
            })?;
            match (answer.status, &token) {
                (200..=299, _) => {
                    return Ok(at(&serde_json::from_slice(&answer.body).unwrap_or_default(), "/id"));
                }
                (401, Some(token)) if again => {
                    again = false;
                    self.tokens.drop_used(self.settings, token);
                }
                _ => return Err(classify(&answer)),
            }
        }
    }

    fn address(&self, chat: &ChatData, id: Option<&str>) -> Result<String, SendError> {
        let safe = match self.authentication {
            Authentication::Required => is_safe(&chat.service_url),
            Authentication::Off => Url::parse(&chat.service_url).is_ok_and(|url| is_loopback(&url)),
        };
        if !safe {
            let why = String::from("the channel's address for this chat is not https");
            return Err(SendError::Permanent { code: "SERVICE_URL_UNSAFE", why });
        }
        let base = chat.service_url.trim_end_matches('/');
        let conversation = utf8_percent_encode(&chat.conversation.id, SEGMENT);
        let mut url = format!("{base}/v3/conversations/{conversation}/activities");
        if let Some(id) = id {
            url.push('/');
            url.extend(utf8_percent_encode(id, SEGMENT));
        }
        Ok(url)
    }
}

/// All calls of a message, in order.
fn actions<'a>(chat: &ChatData, message: &'a Outgoing) -> Vec<Action<'a>> {
    let parts =
        |text: &str, files: &[OutFile]| wording::outgoing(&chat.channel, text, files, max_units(&message.connector));
    match &message.kind {
        OutgoingKind::Send { text, files } => parts(text, files).into_iter().map(Action::Post).collect(),
        OutgoingKind::Update { ids, text } => {
            let whole = parts(text, &[]);
            let kept = whole.len();
            let mut ids = ids.iter();
            // What a longer text adds leaves as new messages rather than not at all.
            let mut actions: Vec<_> = whole
                .into_iter()
                .map(|part| match ids.next() {
                    Some(id) => Action::Put(id, part),
                    None => Action::Post(part),
                })
                .collect();
            // A shorter text leaves parts over: they go, or the customer reads the old end.
            actions.extend(ids.skip(usize::from(kept == 0)).map(|id| Action::Delete(id)));
            actions
        }
        OutgoingKind::Delete { id } => vec![Action::Delete(id)],
        OutgoingKind::Typing => vec![Action::Typing],
    }
}

fn max_units(connector: &str) -> usize {
    ROWS.iter().find(|row| row.id == connector).map_or(TEXT_MAX_UNITS, |row| row.text_max_units)
}

fn compose(chat: &ChatData, text: &str, format: &str) -> Value {
    let mut activity = json!({
        "type": "message", "from": chat.bot, "conversation": chat.conversation, "textFormat": format, "text": text,
    });
    if let Some(fields) = activity.as_object_mut() {
        if chat.conversation.is_group != Some(true) && !chat.user.id.is_empty() {
            fields.insert(String::from("recipient"), json!(chat.user));
        }
        if !chat.locale.is_empty() {
            fields.insert(String::from("locale"), Value::from(chat.locale.as_str()));
        }
    }
    activity
}

fn no_token(why: NoToken) -> SendError {
    let sentence = why.error.message;
    if why.temporary {
        SendError::Retry { why: sentence, after: None, ambiguous: false }
    } else {
        SendError::Auth { why: sentence }
    }
}

/// `botframework.md` §4.2.
fn classify(answer: &Answer) -> SendError {
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let code = at(&body, "/error/code");
    let code: String = code.chars().filter(char::is_ascii_alphanumeric).take(60).collect();
    let why = format!("the channel answered {} {code}", answer.status).trim_end().to_owned();
    let permanent = |code| SendError::Permanent { code, why: why.clone() };
    match answer.status {
        401 => SendError::Auth { why },
        403 => permanent("BLOCKED"),
        404 if code == "ActivityNotFoundInConversation" => permanent("MESSAGE_GONE"),
        404 => permanent("CHAT_GONE"),
        405 | 501 => permanent("UNSUPPORTED"),
        413 => permanent(TOO_BIG),
        408 | 412 | 429 | 502..=504 => SendError::Retry { why, after: answer.retry_after(), ambiguous: false },
        500..=599 => SendError::Retry { why, after: answer.retry_after(), ambiguous: true },
        _ => permanent(REFUSED),
    }
}
