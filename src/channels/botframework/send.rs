//! From an operator's message to calls of the channel service. The address comes from the chat's record only: a
//! portal's `service_url` is signed but may be replayed, and the call carries a token.

use std::time::Duration;

use percent_encoding::utf8_percent_encode;
use serde_json::{Value, json};
use url::Url;

use super::activity::{ChatData, at};
use super::receive::short;
use super::token::{NoToken, Tokens};
use super::{Authentication, ROWS, SEGMENT, is_loopback, is_safe, wording};
use crate::channels::{Progress, SendError, Sent, Tools};
use crate::message::{OutFile, Outgoing, OutgoingKind};
use crate::net::{Answer, Call, Reach};
use crate::records::Settings;

const TIMEOUT: Duration = Duration::from_secs(30);
const ANSWER_MAX_BYTES: usize = 256 * 1024;
const MESSAGE_ID_MAX: usize = 100;
const TEXT_MAX_UNITS: usize = 1000;

/// What one send needs.
pub(super) struct Way<'a> {
    pub(super) tools: &'a Tools,
    pub(super) tokens: &'a Tokens,
    pub(super) settings: &'a Settings,
    pub(super) authentication: Authentication,
}

impl Way<'_> {
    pub(super) fn send(
        &self,
        chat: Option<&str>,
        message: &Outgoing,
        resolve: &dyn Fn(&str) -> Option<String>,
        progress: &mut Progress,
    ) -> Result<Sent, SendError> {
        let chat = chat.and_then(|chat| serde_json::from_str::<ChatData>(chat).ok());
        let chat = chat.filter(|chat| !chat.service_url.is_empty() && !chat.conversation.id.is_empty());
        let Some(chat) = chat else {
            let why = String::from("nothing is known of this chat: the customer has to write first");
            return Err(SendError::Permanent { code: "CHAT_UNKNOWN", why });
        };
        let long = |id: &str| resolve(id).unwrap_or_else(|| id.to_owned());
        match &message.kind {
            OutgoingKind::Send { text, files } => {
                let mut parts = wording::outgoing(text, max_units(&message.connector));
                parts.extend(files.iter().map(link));
                self.send_parts(&chat, &parts, progress)
            }
            OutgoingKind::Update { ids, text } => {
                let whole = wording::outgoing(text, max_units(&message.connector));
                for (id, part) in ids.iter().zip(&whole) {
                    self.call(&chat, "PUT", Some(&long(id)), &compose(&chat, part))?;
                }
                // What the longer text adds leaves as new messages rather than not at all.
                let more = whole.get(ids.len()..).unwrap_or_default();
                self.send_parts(&chat, more, progress)
            }
            OutgoingKind::Delete { id } => {
                self.call(&chat, "DELETE", Some(&long(id)), &Value::Null)?;
                Ok(Sent::default())
            }
            OutgoingKind::Typing => {
                let mut activity = compose(&chat, "");
                if let Some(fields) = activity.as_object_mut() {
                    fields.retain(|name, _| name != "text" && name != "textFormat");
                    fields.insert(String::from("type"), Value::from("typing"));
                }
                // Nobody misses an indicator, so its errors end here.
                let _ = self.call(&chat, "POST", None, &activity);
                Ok(Sent::default())
            }
        }
    }

    fn send_parts(&self, chat: &ChatData, parts: &[String], progress: &mut Progress) -> Result<Sent, SendError> {
        let mut aliases = vec![];
        for part in parts.iter().skip(progress.parts) {
            let id = self.call(chat, "POST", None, &compose(chat, part))?;
            progress.parts += 1;
            if id.is_empty() {
                continue;
            }
            let known = short(&id, MESSAGE_ID_MAX);
            if known != id {
                aliases.push((known.clone(), id));
            }
            progress.ids.push(known);
        }
        Ok(Sent { ids: progress.ids.clone(), aliases })
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

fn max_units(connector: &str) -> usize {
    ROWS.iter().find(|row| row.id == connector).map_or(TEXT_MAX_UNITS, |row| row.text_max_units)
}

fn link(file: &OutFile) -> String {
    if file.name.is_empty() { file.link.clone() } else { format!("{}: {}", file.name, file.link) }
}

fn compose(chat: &ChatData, text: &str) -> Value {
    let mut activity = json!({
        "type": "message", "from": chat.bot, "conversation": chat.conversation, "textFormat": "plain", "text": text,
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
        413 => permanent("TOO_BIG"),
        408 | 412 | 429 | 502..=504 => SendError::Retry { why, after: answer.retry_after(), ambiguous: false },
        500..=599 => SendError::Retry { why, after: answer.retry_after(), ambiguous: true },
        _ => permanent("REFUSED"),
    }
}
