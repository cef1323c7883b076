//! The Bot Framework's twin (`botframework.md` §1 to §4): sign-in service, public keys, channel service, and customers who
//! write to the bot with proved activities. Its page is a customer's chat.

#![expect(clippy::indexing_slicing, reason = "a missing key of a JSON value is null, not a panic")]

mod chat;
mod keys;
mod page;

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

pub use self::chat::{Conversation, Heard, Refused, Said};
pub use self::keys::Proof;

use self::chat::{State, said};
use self::keys::{Claims, Ring};
use super::host::{self, Ask, Dice, Strike, Tell};
use super::{Faults, Watched};
use crate::clock::Clock;
use crate::net::{Call, Net, Reach};

/// Channels that the customer's page offers, also the key's endorsements.
const CHANNELS: [&str; 10] =
    ["webchat", "msteams", "telegram", "slack", "skype", "facebook", "email", "sms", "directline", "groupme"];

/// What the twin is told at the start.
#[derive(Clone, Debug)]
pub struct Options {
    /// Port on loopback, 0 for any.
    pub port: u16,
    /// The bot's app id.
    pub app_id: String,
    /// Its secret.
    pub app_secret: String,
    /// Where activities are posted; may be set later.
    pub webhook: Option<String>,
    /// Faults on demand.
    pub faults: Faults,
}

struct Inner {
    url: String,
    options: Options,
    clock: Arc<dyn Clock>,
    net: Arc<dyn Net>,
    ring: Mutex<Ring>,
    dice: Dice,
    state: Watched<State>,
}

/// The running twin; clones share it. Its threads end with the process.
#[derive(Clone)]
pub struct BotFrameworkTwin(Arc<Inner>);

impl std::fmt::Debug for BotFrameworkTwin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BotFrameworkTwin").field("url", &self.0.url).finish_non_exhaustive()
    }
}

type Boxed = Box<dyn std::error::Error + Send + Sync>;

impl BotFrameworkTwin {
    /// Makes the keys and listens on loopback.
    pub fn start(options: Options, clock: Arc<dyn Clock>, net: Arc<dyn Net>) -> Result<Self, Boxed> {
        let ring = Mutex::new(Ring::new(&CHANNELS)?);
        let state = State {
            webhook: options.webhook.clone(),
            faults: options.faults.clone(),
            proof: Proof::Good,
            tokens: HashSet::new(),
            conversations: BTreeMap::new(),
            heard: VecDeque::new(),
            next: 0,
            key_fetches: 0,
            token_requests: 0,
        };
        // The address is part of what the twin says of itself, so the port is opened before there is a twin.
        let slot: Arc<OnceLock<BotFrameworkTwin>> = Arc::default();
        let inside = Arc::clone(&slot);
        let port = options.port;
        let url = host::start(port, move |ask| inside.get().map_or_else(Tell::missing, |twin| twin.answer(&ask)))?;
        let inner = Inner { url, options, clock, net, ring, dice: Dice::default(), state: Watched::new(state) };
        let twin = Self(Arc::new(inner));
        let _ = slot.set(twin.clone());
        Ok(twin)
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> &str {
        &self.0.url
    }

    /// For `bot_framework.token_url`.
    pub fn token_url(&self) -> String {
        format!("{}/{{tenant}}/oauth2/v2.0/token", self.0.url)
    }

    /// For `bot_framework.openid_metadata_url`.
    pub fn metadata_url(&self) -> String {
        format!("{}/v1/.well-known/openidconfiguration", self.0.url)
    }

    /// Where activities are posted from now on.
    pub fn set_webhook(&self, url: &str) {
        self.0.state.change(|state| state.webhook = Some(url.to_owned()));
    }

    /// Faults from now on.
    pub fn set_faults(&self, faults: Faults) {
        self.0.state.change(|state| state.faults = faults);
    }

    /// How often the public keys were fetched.
    pub fn key_fetches(&self) -> u64 {
        self.0.state.read(|state| state.key_fetches)
    }

    /// How often a token was asked for.
    pub fn token_requests(&self) -> u64 {
        self.0.state.read(|state| state.token_requests)
    }

    /// What the bot has asked of the channel service, oldest first.
    pub fn heard(&self) -> Vec<Heard> {
        self.0.state.read(|state| state.heard.iter().cloned().collect())
    }

    /// What the tokens of activities are like from now on.
    pub fn set_proof(&self, proof: Proof) {
        self.0.state.change(|state| state.proof = proof);
    }

    /// Forgets every token it has given out: the next call of the bot is answered 401.
    pub fn forget_tokens(&self) {
        self.0.state.change(|state| state.tokens.clear());
    }

    /// Signs with a new key from now on; the old one is published no longer.
    pub fn rotate_keys(&self) -> Result<(), Boxed> {
        self.0.ring.lock().unwrap_or_else(PoisonError::into_inner).rotate(&CHANNELS)
    }

    /// A conversation as it stands.
    pub fn conversation(&self, id: &str) -> Option<Conversation> {
        self.0.state.read(|state| state.conversations.get(id).cloned())
    }

    /// Waits until `holds` is true of a conversation; false after `limit`.
    pub fn wait(&self, id: &str, limit: Duration, holds: impl Fn(&Conversation) -> bool) -> bool {
        let deadline = self.0.clock.ticks() + limit;
        let mut version = 0;
        loop {
            let left = deadline.saturating_sub(self.0.clock.ticks());
            let held = self.0.state.news(version, left, |now, state| {
                version = now;
                state.conversations.get(id).is_some_and(&holds)
            });
            if held || left.is_zero() {
                return held;
            }
        }
    }

    fn answer(&self, ask: &Ask) -> Tell {
        if ask.is_local()
            && let Some(tell) = self.page(ask)
        {
            return tell;
        }
        let faults = self.0.state.read(|state| state.faults.clone());
        if let Some(strike) = self.0.dice.strike(&faults) {
            let (status, code, retry_after) = match strike {
                Strike::Down => (503, "ServiceUnavailable", None),
                Strike::Broken => (500, "ServiceError", None),
                Strike::TooMany => (429, "Throttled", Some(1)),
            };
            let tell = Tell::json(status, &json!({"error": {"code": code, "message": "on demand"}}));
            return match retry_after {
                Some(secs) => tell.retry_after(secs),
                None => tell,
            };
        }
        match ask.path.as_str() {
            "/v1/.well-known/openidconfiguration" => Tell::json(
                200,
                &json!({"issuer": "https://api.botframework.com", "jwks_uri": format!("{}/v1/.well-known/keys", self.0.url),
                    "id_token_signing_alg_values_supported": ["RS256"]}),
            ),
            "/v1/.well-known/keys" => {
                self.0.state.change(|state| state.key_fetches += 1);
                Tell::json(200, &self.0.ring.lock().unwrap_or_else(PoisonError::into_inner).published())
            }
            path if path.ends_with("/oauth2/v2.0/token") => self.token(ask),
            path => match path.strip_prefix("/v3/conversations/") {
                Some(rest) => self.channel(ask, rest),
                None => Tell::missing(),
            },
        }
    }

    /// `botframework.md` §3, with the directory's own error numbers.
    fn token(&self, ask: &Ask) -> Tell {
        self.0.state.change(|state| state.token_requests += 1);
        let form: BTreeMap<_, _> = url::form_urlencoded::parse(&ask.body).into_owned().collect();
        let field = |name: &str| form.get(name).map_or("", String::as_str);
        let refuse = |status, error: &str, code: u32| {
            Tell::json(
                status,
                &json!({"error": error, "error_codes": [code], "error_description": format!("AADSTS{code}: refused")}),
            )
        };
        if field("grant_type") != "client_credentials" {
            return refuse(400, "invalid_request", 900_144);
        }
        if !field("client_id").eq_ignore_ascii_case(&self.0.options.app_id) {
            return refuse(400, "unauthorized_client", 700_016);
        }
        if field("client_secret") != self.0.options.app_secret {
            return refuse(401, "invalid_client", 7_000_215);
        }
        let token = self.0.state.change(|state| {
            state.next += 1;
            let token = format!("twin-token-{}", state.next);
            state.tokens.insert(token.clone());
            token
        });
        Tell::json(200, &json!({"token_type": "Bearer", "expires_in": 3599, "access_token": token}))
    }

    /// `botframework.md` §4.1: append, reply, edit, delete.
    fn channel(&self, ask: &Ask, rest: &str) -> Tell {
        let fail = |status, code: &str| Tell::json(status, &json!({"error": {"code": code, "message": "refused"}}));
        let token = ask.header("authorization").and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
        if !self.0.state.read(|state| state.tokens.contains(token)) {
            return fail(401, "Unauthorized");
        }
        let parts: Vec<String> = rest
            .split('/')
            .map(|part| percent_encoding::percent_decode_str(part).decode_utf8_lossy().into_owned())
            .collect();
        let (conversation, activity) = match parts.as_slice() {
            [conversation, word] if word == "activities" => (conversation, None),
            [conversation, word, activity] if word == "activities" => (conversation, Some(activity)),
            _ => return fail(404, "NotFound"),
        };
        let body = ask.json();
        let now = self.0.clock.now();
        self.0.state.change(|state| {
            state.note(Heard {
                method: ask.method.clone(),
                conversation: conversation.clone(),
                activity: activity.cloned(),
                body: body.clone(),
            });
            let Some(chat) = state.conversations.get_mut(conversation) else {
                return fail(404, "ConversationNotFound");
            };
            let known = activity.and_then(|id| chat.messages.iter_mut().find(|said| said.id == *id));
            match (ask.method.as_str(), activity) {
                ("POST", _) if body["type"] == "typing" => Tell::json(202, &json!({})),
                ("POST", _) => {
                    state.next += 1;
                    let id = format!("twin-bot-{}", state.next);
                    chat.messages.push(said(id.clone(), now, &body));
                    Tell::json(200, &json!({"id": id}))
                }
                ("PUT", Some(_)) => match known {
                    Some(message) => {
                        body["text"].as_str().unwrap_or_default().clone_into(&mut message.text);
                        message.edited = true;
                        Tell::json(200, &json!({"id": message.id}))
                    }
                    None => fail(404, "ActivityNotFoundInConversation"),
                },
                ("DELETE", Some(_)) => match known {
                    Some(message) => {
                        message.deleted = true;
                        Tell::json(200, &json!({}))
                    }
                    None => fail(404, "ActivityNotFoundInConversation"),
                },
                _ => fail(405, "MethodNotAllowed"),
            }
        })
    }

    /// The customer `name` writes on `channel`, maybe with a file as a link. Gives conversation and activity id.
    pub fn say(
        &self,
        channel: &str,
        name: &str,
        text: &str,
        file: Option<(String, String)>,
    ) -> Result<(String, String), Refused> {
        let name = if name.trim().is_empty() { "Guest" } else { name.trim() };
        let conversation =
            format!("{channel}-{}", name.to_lowercase().replace(|char: char| !char.is_alphanumeric(), "-"));
        let now = self.0.clock.now();
        let id = self.0.state.change(|state| {
            state.next += 1;
            let id = format!("twin-{}", state.next);
            let chat = state.conversations.entry(conversation.clone()).or_insert_with(|| Conversation {
                channel: channel.to_owned(),
                name: name.to_owned(),
                messages: Vec::new(),
            });
            chat.messages.push(Said {
                id: id.clone(),
                at: now,
                by_bot: false,
                text: text.to_owned(),
                format: "plain".to_owned(),
                files: file.clone().into_iter().collect(),
                edited: false,
                deleted: false,
                taken: false,
                failed: false,
            });
            id
        });
        let mut more = json!({"text": text, "textFormat": "plain"});
        if let Some((file_name, link)) = file {
            more["attachments"] = json!([{"contentType": mime(&file_name), "contentUrl": link, "name": file_name}]);
        }
        let posted = self.post("message", &conversation, &id, &more);
        self.touch(&conversation, &id, |said| (said.taken, said.failed) = (posted.is_ok(), posted.is_err()));
        posted.map(|()| (conversation, id))
    }

    /// The customer edits a message.
    pub fn edit(&self, conversation: &str, id: &str, text: &str) -> Result<(String, String), Refused> {
        self.own(conversation, id)?;
        self.post("messageUpdate", conversation, id, &json!({"text": text, "textFormat": "plain"}))?;
        self.touch(conversation, id, |said| {
            text.clone_into(&mut said.text);
            said.edited = true;
        });
        Ok((conversation.to_owned(), id.to_owned()))
    }

    /// The customer deletes a message.
    pub fn delete(&self, conversation: &str, id: &str) -> Result<(String, String), Refused> {
        self.own(conversation, id)?;
        self.post("messageDelete", conversation, id, &json!({}))?;
        self.touch(conversation, id, |said| said.deleted = true);
        Ok((conversation.to_owned(), id.to_owned()))
    }

    /// Nobody changes what the other side wrote.
    fn own(&self, conversation: &str, id: &str) -> Result<(), Refused> {
        self.0.state.read(|state| {
            let chat = state.conversations.get(conversation).ok_or(Refused::NoConversation)?;
            let own = chat.messages.iter().any(|said| said.id == id && !said.by_bot && !said.deleted);
            own.then_some(()).ok_or(Refused::NoMessage)
        })
    }

    fn touch(&self, conversation: &str, id: &str, change: impl FnOnce(&mut Said)) {
        self.0.state.change(|state| {
            let chat = state.conversations.get_mut(conversation);
            if let Some(said) = chat.and_then(|chat| chat.messages.iter_mut().find(|said| said.id == id)) {
                change(said);
            }
        });
    }

    /// Posts one activity of a conversation to the bot's endpoint.
    fn post(&self, kind: &str, conversation: &str, id: &str, more: &Value) -> Result<(), Refused> {
        let (chat, proof) = self.0.state.read(|state| (state.conversations.get(conversation).cloned(), state.proof));
        let chat = chat.ok_or(Refused::NoConversation)?;
        let mut activity = json!({
            "type": kind, "id": id, "timestamp": self.0.clock.now().rfc3339(), "channelId": chat.channel,
            "serviceUrl": self.service_url(), "from": {"id": format!("user-{}", chat.name), "name": chat.name},
            "recipient": {"id": format!("28:{}", self.0.options.app_id), "name": "ShopBot"},
            "conversation": {"id": conversation},
        });
        if let (Some(activity), Some(more)) = (activity.as_object_mut(), more.as_object()) {
            activity.extend(more.clone());
        }
        match self.post_activity(&activity, proof)? {
            (200..300, _) => Ok(()),
            (status, _) => Err(Refused::Status(status)),
        }
    }

    /// Posts `activity` to the bot's endpoint exactly as it is, with a token of that kind for its `serviceUrl`. Gives
    /// status and body of the answer, whatever they are.
    pub fn post_activity(&self, activity: &Value, proof: Proof) -> Result<(u16, String), Refused> {
        let webhook = self.0.state.read(|state| state.webhook.clone()).ok_or(Refused::NoWebhook)?;
        let own = self.service_url();
        let claims = Claims {
            app_id: &self.0.options.app_id,
            service_url: activity["serviceUrl"].as_str().unwrap_or(&own),
            now: self.0.clock.now().secs(),
        };
        let ring = self.0.ring.lock().unwrap_or_else(PoisonError::into_inner);
        let authorization = ring.authorization(proof, &claims).map_err(|_| Refused::NoToken)?;
        // No lock is held across a call.
        drop(ring);
        let mut headers = vec![("Content-Type".to_owned(), "application/json; charset=utf-8".to_owned())];
        headers.extend(authorization.map(|value| ("Authorization".to_owned(), value)));
        let call = Call {
            method: "POST",
            url: webhook,
            headers,
            body: activity.to_string().into_bytes(),
            reach: Reach::Configured,
            timeout: Duration::from_secs(15),
            answer_max_bytes: 64 * 1024,
        };
        let answer = self.0.net.call(call).map_err(Refused::Net)?;
        Ok((answer.status, String::from_utf8_lossy(&answer.body).into_owned()))
    }

    fn service_url(&self) -> String {
        format!("{}/", self.0.url)
    }
}

/// What a channel would call a file of that name.
fn mime(name: &str) -> &'static str {
    match name.rsplit('.').next().unwrap_or_default().to_lowercase().as_str() {
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "pdf" => "application/pdf",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests;
