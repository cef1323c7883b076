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
use super::{Authentication, SEGMENT, is_loopback, is_safe};
use crate::channels::{SendError, Step, Tools};
use crate::message::{Outgoing, OutgoingKind, Progress};
use crate::net::{Answer, Call, Reach};
use crate::records::Settings;

const TIMEOUT: Duration = Duration::from_secs(30);
const ANSWER_MAX_BYTES: usize = 256 * 1024;
const MESSAGE_ID_MAX: usize = 100;
/// Stands before the id of a file in an alias: an edit of the text must not touch it. No id begins with it.
const FILE: &str = "file\n";
/// The conversation is no more, or not for us.
const CHAT_GONE: &str = "CHAT_GONE";
/// The message is no more.
const MESSAGE_GONE: &str = "MESSAGE_GONE";
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
    /// An earlier one goes because a shorter text leaves it over.
    Withdraw(&'a str),
    /// The operator takes one back.
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
        // Portals look their copy up with wildcards, so it may belong to another chat; ours was proved for this one.
        if message
            .service_url
            .as_ref()
            .is_some_and(|copy| copy.trim_end_matches('/') != chat.service_url.trim_end_matches('/'))
        {
            log::debug!("the portal's copy of a chat's address is another one than ours, which is used");
        }
        let actions = actions(&chat, message, resolve);
        if actions.is_empty() {
            let why = String::from("nothing of the message can be shown in this channel");
            return Err(SendError::Permanent { code: "EMPTY", why });
        }
        if let OutgoingKind::Update { ids, .. } = &message.kind
            && progress.parts == 0
        {
            progress.ids.clone_from(ids);
        }
        if let Some(action) = actions.get(progress.parts) {
            self.act(&chat, action, resolve, progress)?;
            (progress.parts, progress.unknown) = (progress.parts + 1, 0);
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
        let delete = |id: &str| match self.call(chat, "DELETE", Some(&real_id(id, resolve)), &Value::Null) {
            Err(SendError::Permanent { code: CHAT_GONE | MESSAGE_GONE, why }) => Err(why),
            other => Ok(other.map(drop)),
        };
        match action {
            Action::Post(part) => {
                let id = self.part(chat, "POST", None, part)?;
                if id.is_empty() {
                    return Ok(());
                }
                let known = short(&id, MESSAGE_ID_MAX);
                let words = if part.is_file { format!("{FILE}{id}") } else { id };
                progress.ids.push(known.clone());
                if known != words {
                    progress.aliases.push((known, words));
                }
            }
            Action::Put(id, part) => drop(self.part(chat, "PUT", Some(&real_id(id, resolve)), part)?),
            Action::Withdraw(id) => {
                // Gone already is as good: an earlier try may have done it.
                delete(id).unwrap_or(Ok(()))?;
                progress.ids.retain(|known| known != id);
            }
            Action::Delete(id) => match delete(id) {
                Err(_) if progress.unknown > 0 => (),
                Err(why) => return Err(SendError::Permanent { code: MESSAGE_GONE, why }),
                Ok(done) => done?,
            },
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
            fields.remove("text");
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
                _ => {
                    note_operation(&answer);
                    return Err(classify(&answer));
                }
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
        // No encoding keeps these two from being read as a way up.
        if [Some(chat.conversation.id.as_str()), id].iter().any(|id| matches!(id, Some("." | ".."))) {
            let why = String::from("the channel has no message or chat of that id");
            return Err(SendError::Permanent { code: MESSAGE_GONE, why });
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

/// All calls of a message, in order; none when there is nothing to show.
fn actions<'a>(chat: &ChatData, message: &'a Outgoing, resolve: &dyn Fn(&str) -> Option<String>) -> Vec<Action<'a>> {
    match &message.kind {
        OutgoingKind::Send { text, files } => {
            wording::outgoing(&chat.channel, text, files).into_iter().map(Action::Post).collect()
        }
        OutgoingKind::Update { ids, text } => {
            let whole = wording::outgoing(&chat.channel, text, &[]);
            if whole.is_empty() {
                return vec![];
            }
            // Only texts are edited: the files of a message have ids of their own and stay.
            let mut ids = ids.iter().filter(|id| !resolve(id).is_some_and(|words| words.starts_with(FILE)));
            let mut actions = Vec::with_capacity(whole.len());
            for part in whole {
                actions.push(match ids.next() {
                    Some(id) => Action::Put(id, part),
                    // What a longer text adds leaves as new messages rather than not at all.
                    None => Action::Post(part),
                });
            }
            // A shorter text leaves parts over: they go, or the customer reads the old end.
            actions.extend(ids.map(|id| Action::Withdraw(id)));
            actions
        }
        OutgoingKind::Delete { id } => vec![Action::Delete(id)],
        OutgoingKind::Typing => vec![Action::Typing],
    }
}

/// The channel's own id behind one that the portal knows.
fn real_id(id: &str, resolve: &dyn Fn(&str) -> Option<String>) -> String {
    let words = resolve(id).unwrap_or_else(|| id.to_owned());
    words.strip_prefix(FILE).map_or_else(|| words.clone(), str::to_owned)
}

fn compose(chat: &ChatData, text: &str, format: &str) -> Value {
    let mut activity = json!({
        "type": "message", "from": chat.bot, "conversation": chat.conversation, "textFormat": format, "text": text,
    });
    if let Some(fields) = activity.as_object_mut() {
        if !chat.conversation.is_group() && !chat.user.id.is_empty() {
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

/// The channel's own number of a call that it refused, for whoever asks its support.
fn note_operation(answer: &Answer) {
    let operation = answer.header("x-correlating-operationid").unwrap_or_default();
    let operation: String =
        operation.chars().filter(|char| char.is_ascii_alphanumeric() || *char == '-').take(64).collect();
    if !operation.is_empty() {
        log::info!(request = operation.as_str(); "the channel refused a call of this number");
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
        404 if code == "ActivityNotFoundInConversation" => permanent(MESSAGE_GONE),
        404 => permanent(CHAT_GONE),
        405 | 501 => permanent("UNSUPPORTED"),
        413 => permanent(TOO_BIG),
        408 | 412 | 429 | 502..=504 => SendError::Retry { why, after: answer.retry_after(), ambiguous: false },
        500..=599 => SendError::Retry { why, after: answer.retry_after(), ambiguous: true },
        _ => permanent(REFUSED),
    }
}
