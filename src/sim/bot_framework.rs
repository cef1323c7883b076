//! The Bot Framework's twin (`botframework.md` §1 to §4): sign-in service, public keys, channel service, and customers who
//! write to the bot with proved activities. Its page is a customer's chat.

#![expect(clippy::indexing_slicing, reason = "a missing key of a JSON value is null, not a panic")]

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair as RsaKey, KeySize};
use aws_lc_rs::signature::KeyPair;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use super::host::{self, Ask, Dice, Tell};
use super::{Faults, NEWS_WAIT, Watched};
use crate::clock::Clock;
use crate::net::{Call, Net, NetError, Reach};

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

/// A message in a conversation, from either end.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts of a message")]
pub struct Said {
    /// Activity id.
    pub id: String,
    /// The bot wrote it.
    pub by_bot: bool,
    /// Text as it stands now.
    pub text: String,
    /// Names and addresses of attachments.
    pub files: Vec<(String, String)>,
    /// It was edited.
    pub edited: bool,
    /// It was deleted.
    pub deleted: bool,
    /// The bot's endpoint answered 200 (customers' messages).
    pub taken: bool,
}

/// A conversation of one customer with the bot.
#[derive(Clone, Debug)]
pub struct Conversation {
    /// `channelId`.
    pub channel: String,
    /// The customer's name.
    pub name: String,
    /// Messages in order.
    pub messages: Vec<Said>,
}

struct State {
    webhook: Option<String>,
    faults: Faults,
    tokens: HashSet<String>,
    conversations: BTreeMap<String, Conversation>,
    next: u64,
    key_fetches: u64,
}

struct Inner {
    url: String,
    options: Options,
    clock: Arc<dyn Clock>,
    net: Arc<dyn Net>,
    key: (EncodingKey, Value),
    other: Value,
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

/// A fresh signing key and its public half as a JWK.
fn make_key(kid: &str, endorsements: &[&str]) -> Result<(EncodingKey, Value), Boxed> {
    let key = RsaKey::generate(KeySize::Rsa2048)?;
    let der: Pkcs8V1Der<'_> = key.as_der()?;
    let pem = format!(
        "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
        STANDARD.encode(der.as_ref()).as_bytes().chunks(64).map(String::from_utf8_lossy).collect::<Vec<_>>().join("\n")
    );
    let public = key.public_key();
    let jwk = json!({
        "kty": "RSA", "use": "sig", "kid": kid, "x5t": kid, "e": "AQAB", "x5c": [], "endorsements": endorsements,
        "n": URL_SAFE_NO_PAD.encode(public.modulus().big_endian_without_leading_zero()),
    });
    Ok((EncodingKey::from_rsa_pem(pem.as_bytes())?, jwk))
}

impl BotFrameworkTwin {
    /// Makes the keys and listens on loopback.
    pub fn start(options: Options, clock: Arc<dyn Clock>, net: Arc<dyn Net>) -> Result<Self, Boxed> {
        let key = make_key("twin-1", &CHANNELS)?;
        let (_, other) = make_key("twin-2", &[])?;
        let state = State {
            webhook: options.webhook.clone(),
            faults: options.faults.clone(),
            tokens: HashSet::new(),
            conversations: BTreeMap::new(),
            next: 0,
            key_fetches: 0,
        };
        // The address is part of what the twin says of itself, so the port is opened before there is a twin.
        let slot: Arc<std::sync::OnceLock<BotFrameworkTwin>> = Arc::default();
        let inside = Arc::clone(&slot);
        let port = options.port;
        let url = host::start(port, move |ask| inside.get().map_or_else(Tell::missing, |twin| twin.answer(&ask)))?;
        let inner = Inner { url, options, clock, net, key, other, dice: Dice::default(), state: Watched::new(state) };
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
        if let Some(tell) = self.page(ask) {
            return tell;
        }
        let faults = self.0.state.read(|state| state.faults.clone());
        if self.0.dice.strike(&faults) {
            return Tell::json(503, &json!({"error": {"code": "ServiceUnavailable", "message": "on demand"}}));
        }
        match ask.path.as_str() {
            "/v1/.well-known/openidconfiguration" => Tell::json(
                200,
                &json!({"issuer": "https://api.botframework.com", "jwks_uri": format!("{}/v1/.well-known/keys", self.0.url),
                    "id_token_signing_alg_values_supported": ["RS256"]}),
            ),
            "/v1/.well-known/keys" => {
                self.0.state.change(|state| state.key_fetches += 1);
                Tell::json(200, &json!({"keys": [self.0.key.1, self.0.other]}))
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
        let token = ask.authorization.strip_prefix("Bearer ").unwrap_or_default();
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
        self.0.state.change(|state| {
            let Some(chat) = state.conversations.get_mut(conversation) else {
                return fail(404, "ConversationNotFound");
            };
            let known = activity.and_then(|id| chat.messages.iter_mut().find(|said| said.id == *id));
            match (ask.method.as_str(), activity) {
                ("POST", _) if body["type"] == "typing" => Tell::json(202, &json!({})),
                ("POST", _) => {
                    state.next += 1;
                    let id = format!("twin-bot-{}", state.next);
                    chat.messages.push(said(id.clone(), &body));
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

    /// The customer's page and what it asks for.
    fn page(&self, ask: &Ask) -> Option<Tell> {
        Some(match (ask.method.as_str(), ask.path.as_str()) {
            ("GET", "/") => Tell::page("text/html; charset=utf-8", include_bytes!("pages/customer.html")),
            ("GET", "/customer.js") => {
                Tell::page("text/javascript; charset=utf-8", include_bytes!("pages/customer.js"))
            }
            ("GET", "/common.js") => Tell::page("text/javascript; charset=utf-8", include_bytes!("pages/common.js")),
            ("GET", "/style.css") => Tell::page("text/css; charset=utf-8", include_bytes!("pages/style.css")),
            ("GET", "/sim/state") => {
                let after = ask.query("after").and_then(|text| text.parse().ok()).unwrap_or(0);
                self.0.state.news(after, NEWS_WAIT, |version, state| Tell::json(200, &shown(version, state)))
            }
            ("POST", "/sim/say") => {
                let body = ask.json();
                let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
                let file = Some((text("file_name"), text("file"))).filter(|(_, link)| !link.is_empty());
                done(self.say(&text("channel"), &text("name"), &text("text"), file))
            }
            ("POST", "/sim/edit") => {
                let body = ask.json();
                let field = |name: &str| body[name].as_str().unwrap_or_default();
                done(self.edit(field("conversation"), field("id"), field("text")))
            }
            ("POST", "/sim/delete") => {
                let body = ask.json();
                let field = |name: &str| body[name].as_str().unwrap_or_default();
                done(self.delete(field("conversation"), field("id")))
            }
            _ => return None,
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
                by_bot: false,
                text: text.to_owned(),
                files: file.clone().into_iter().collect(),
                edited: false,
                deleted: false,
                taken: false,
            });
            id
        });
        let mut more = json!({"text": text, "textFormat": "plain"});
        if let Some((file_name, link)) = file {
            let is_image = std::path::Path::new(&link).extension().is_some_and(|end| end.eq_ignore_ascii_case("png"));
            let mime = if is_image { "image/png" } else { "application/octet-stream" };
            more["attachments"] = json!([{"contentType": mime, "contentUrl": link, "name": file_name}]);
        }
        self.post("message", &conversation, &id, &more)?;
        Ok((conversation, id))
    }

    /// The customer edits a message.
    pub fn edit(&self, conversation: &str, id: &str, text: &str) -> Result<(String, String), Refused> {
        self.touch(conversation, id, |said| {
            text.clone_into(&mut said.text);
            said.edited = true;
        });
        self.post("messageUpdate", conversation, id, &json!({"text": text, "textFormat": "plain"}))?;
        Ok((conversation.to_owned(), id.to_owned()))
    }

    /// The customer deletes a message.
    pub fn delete(&self, conversation: &str, id: &str) -> Result<(String, String), Refused> {
        self.touch(conversation, id, |said| said.deleted = true);
        self.post("messageDelete", conversation, id, &json!({}))?;
        Ok((conversation.to_owned(), id.to_owned()))
    }

    fn touch(&self, conversation: &str, id: &str, change: impl FnOnce(&mut Said)) {
        self.0.state.change(|state| {
            let chat = state.conversations.get_mut(conversation);
            if let Some(said) = chat.and_then(|chat| chat.messages.iter_mut().find(|said| said.id == id)) {
                change(said);
            }
        });
    }

    /// Posts one proved activity to the bot's endpoint.
    fn post(&self, kind: &str, conversation: &str, id: &str, more: &Value) -> Result<(), Refused> {
        let (webhook, chat) =
            self.0.state.read(|state| (state.webhook.clone(), state.conversations.get(conversation).cloned()));
        let webhook = webhook.ok_or(Refused::NoWebhook)?;
        let chat = chat.ok_or(Refused::NoConversation)?;
        let service_url = format!("{}/", self.0.url);
        let mut activity = json!({
            "type": kind, "id": id, "timestamp": self.0.clock.now().rfc3339(), "channelId": chat.channel,
            "serviceUrl": service_url, "from": {"id": format!("user-{}", chat.name), "name": chat.name},
            "recipient": {"id": format!("28:{}", self.0.options.app_id), "name": "ShopBot"},
            "conversation": {"id": conversation},
        });
        if let (Some(activity), Some(more)) = (activity.as_object_mut(), more.as_object()) {
            activity.extend(more.clone());
        }
        let answer = self
            .0
            .net
            .call(Call {
                method: "POST",
                url: webhook,
                headers: vec![
                    ("Content-Type".to_owned(), "application/json".to_owned()),
                    ("Authorization".to_owned(), format!("Bearer {}", self.sign(&service_url)?)),
                ],
                body: activity.to_string().into_bytes(),
                reach: Reach::Configured,
                timeout: Duration::from_secs(15),
                answer_max_bytes: 64 * 1024,
            })
            .map_err(Refused::Net)?;
        if !(200..300).contains(&answer.status) {
            return Err(Refused::Status(answer.status));
        }
        self.touch(conversation, id, |said| said.taken = true);
        Ok(())
    }

    /// A channel token (§2.2) for the bot.
    fn sign(&self, service_url: &str) -> Result<String, Refused> {
        let now = self.0.clock.now().secs();
        let mut header = Header::new(Algorithm::RS256);
        header.kid = Some("twin-1".to_owned());
        let claims = json!({
            "serviceurl": service_url, "nbf": now - 60, "exp": now + 3600, "iss": "https://api.botframework.com",
            "aud": self.0.options.app_id,
        });
        jsonwebtoken::encode(&header, &claims, &self.0.key.0).map_err(|_| Refused::NoToken)
    }
}

/// Why a customer's message did not reach the bot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// No address of the bot is set yet.
    NoWebhook,
    /// Nobody has written in that conversation.
    NoConversation,
    /// The token can't be signed.
    NoToken,
    /// No answer.
    Net(NetError),
    /// An answer other than 2xx.
    Status(u16),
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoWebhook => f.write_str("the bot has no messaging endpoint yet"),
            Self::NoConversation => f.write_str("nobody has written in that conversation"),
            Self::NoToken => f.write_str("the token can't be signed"),
            Self::Net(error) => write!(f, "{error}"),
            Self::Status(status) => write!(f, "the bot's endpoint answered {status}"),
        }
    }
}

impl std::error::Error for Refused {}

fn done(result: Result<(String, String), Refused>) -> Tell {
    match result {
        Ok((conversation, id)) => Tell::json(200, &json!({"conversation": conversation, "id": id})),
        Err(refused) => Tell::json(502, &json!({"error": refused.to_string()})),
    }
}

fn said(id: String, body: &Value) -> Said {
    let files = body["attachments"].as_array().into_iter().flatten().filter_map(|attachment| {
        let url = attachment["contentUrl"].as_str()?;
        Some((attachment["name"].as_str().unwrap_or("file").to_owned(), url.to_owned()))
    });
    Said {
        id,
        by_bot: true,
        text: body["text"].as_str().unwrap_or_default().to_owned(),
        files: files.collect(),
        edited: false,
        deleted: false,
        taken: true,
    }
}

fn shown(version: u64, state: &State) -> Value {
    let chats: BTreeMap<_, _> = state
        .conversations
        .iter()
        .map(|(id, chat)| {
            let messages: Vec<_> = chat
                .messages
                .iter()
                .map(|said| {
                    let files: Vec<_> =
                        said.files.iter().map(|(name, url)| json!({"name": name, "url": url})).collect();
                    json!({"id": said.id, "bot": said.by_bot, "text": said.text, "files": files,
                        "edited": said.edited, "deleted": said.deleted, "taken": said.taken})
                })
                .collect();
            (id, json!({"channel": chat.channel, "name": chat.name, "messages": messages}))
        })
        .collect();
    json!({"version": version, "channels": CHANNELS, "ready": state.webhook.is_some(), "chats": chats})
}
