//! The connector against a channel service that answers from memory: what the tests share.

mod auth;
mod receive;
mod send;
mod sign_in;

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKey, KeySize};
use aws_lc_rs::signature::{KeyPair, RSA_PKCS1_SHA256};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::*;
use crate::channels::Shelf;
use crate::clock::{Clock, ManualClock, UnixMillis};
use crate::message::{OutFile, OutgoingKind, PortalRef};
use crate::net::{Answer, Call, Net, NetError};

const APP: &str = "11111111-2222-3333-4444-555555555555";
const NOW: i64 = 1_790_000_000;
const SERVICE: &str = "https://smba.example.test/emea/";

/// A shelf in memory.
#[derive(Debug, Default)]
struct Store(Mutex<BTreeMap<String, String>>);

impl Shelf for Store {
    fn get(&self, name: &str) -> Option<String> {
        self.0.lock().unwrap().get(name).cloned()
    }
    fn put(&self, name: &str, text: &str) {
        self.0.lock().unwrap().insert(name.to_owned(), text.to_owned());
    }
}

type Script = Mutex<VecDeque<Result<Answer, NetError>>>;

/// Sign-in service, keys and channel service. Whatever has no script is answered well.
#[derive(Debug)]
struct Service {
    keys: Mutex<Vec<Value>>,
    jwks_uri: Mutex<String>,
    key_fetches: AtomicUsize,
    token_fetches: AtomicUsize,
    /// Answers of the sign-in service.
    tokens: Script,
    /// Answers of the channel service.
    answers: Script,
    /// Everything that was called.
    calls: Mutex<Vec<Call>>,
}

fn answer(status: u16, body: &Value) -> Answer {
    Answer { status, body: body.to_string().into_bytes(), ..Answer::default() }
}

fn gone() -> NetError {
    NetError::Connect(String::from("refused"))
}

impl Service {
    /// What the channel service answers next.
    fn then(&self, status: u16, code: &str) {
        let body = if code.is_empty() { json!({}) } else { json!({"error": {"code": code, "message": "m"}}) };
        self.answers.lock().unwrap().push_back(Ok(answer(status, &body)));
    }

    /// Calls of the channel service: method, address, body.
    fn heard(&self) -> Vec<(String, String, Value)> {
        let calls = self.calls.lock().unwrap();
        let channel = calls.iter().filter(|call| call.url.contains("/v3/"));
        channel
            .map(|call| {
                let body = serde_json::from_slice(&call.body).unwrap_or_default();
                (call.method.to_owned(), call.url.clone(), body)
            })
            .collect()
    }
}

impl Net for Service {
    fn may_pass_on(&self, url: &str) -> bool {
        !url.contains("//192.168.")
    }

    fn call(&self, call: Call) -> Result<Answer, NetError> {
        let url = call.url.clone();
        self.calls.lock().unwrap().push(call);
        if url.ends_with("openidconfiguration") {
            self.key_fetches.fetch_add(1, Ordering::SeqCst);
            return Ok(answer(200, &json!({"jwks_uri": *self.jwks_uri.lock().unwrap()})));
        }
        if url.ends_with("/keys") {
            let keys = self.keys.lock().unwrap();
            return if keys.is_empty() { Err(gone()) } else { Ok(answer(200, &json!({"keys": *keys}))) };
        }
        if url.ends_with("/token") {
            let count = self.token_fetches.fetch_add(1, Ordering::SeqCst);
            let good = || Ok(answer(200, &json!({"access_token": format!("t{count}"), "expires_in": "3600"})));
            return self.tokens.lock().unwrap().pop_front().unwrap_or_else(good);
        }
        let count = self.heard().len();
        let good = || Ok(answer(200, &json!({"id": format!("m{count}")})));
        self.answers.lock().unwrap().pop_front().unwrap_or_else(good)
    }
}

/// A connector with everything around it.
struct Rig {
    service: Arc<Service>,
    clock: Arc<ManualClock>,
    tools: Tools,
    bot: BotFramework,
}

fn rig_with(options: &Options) -> Rig {
    let service = Arc::new(Service {
        keys: Mutex::default(),
        jwks_uri: Mutex::new(String::from("https://login.botframework.com/v1/.well-known/keys")),
        key_fetches: AtomicUsize::new(0),
        token_fetches: AtomicUsize::new(0),
        tokens: Mutex::default(),
        answers: Mutex::default(),
        calls: Mutex::default(),
    });
    let clock = Arc::new(ManualClock::at(UnixMillis(NOW * 1000)));
    let tools = Tools {
        net: Arc::<Service>::clone(&service),
        clock: Arc::<ManualClock>::clone(&clock),
        shelf: Arc::new(Store::default()),
    };
    let bot = BotFramework::new(&tools, options);
    Rig { service, clock, tools, bot }
}

fn rig() -> Rig {
    rig_with(&Options::default())
}

fn settings() -> Settings {
    let pairs = [("bot_handle", "shop"), ("app_id", APP), ("app_secret", "s~+/=")];
    Settings::from_pairs(pairs.map(|(key, value)| (key.to_owned(), value.to_owned())))
}

fn jwk(key: &RsaKey, kid: &str) -> Value {
    let n = URL_SAFE_NO_PAD.encode(&key.public_key().as_ref()[9..265]);
    json!({"kty": "RSA", "kid": kid, "n": n, "e": "AQAB", "endorsements": ["msteams"]})
}

fn token(key: &RsaKey, header: &Value, claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(header), part(claims));
    let mut signature = vec![0; key.public_modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature).unwrap();
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn claims() -> Value {
    json!({"iss": "https://api.botframework.com", "aud": APP, "exp": NOW + 3600, "nbf": NOW, "serviceurl": SERVICE})
}

fn with(mut value: Value, key: &str, new: Value) -> Value {
    value[key] = new;
    value
}

/// What `bot` says to a webhook with this header and body.
fn verify(bot: &BotFramework, authorization: &str, body: &Value) -> Result<Verified, Rejected> {
    let headers = [(String::from("authorization"), authorization.to_owned())];
    let body = body.to_string();
    bot.verify(&Webhook { headers: &headers, body: body.as_bytes(), ..Webhook::default() }, &settings())
}

/// The activity as if it were proved.
fn proved(activity: &Value) -> Verified {
    match Activity::parse(activity.to_string().as_bytes()) {
        Some(activity) => Verified(Box::new(activity)),
        None => Verified(Box::new(())),
    }
}

fn body() -> Value {
    json!({"type": "message", "id": "1", "channelId": "msteams", "serviceUrl": SERVICE, "text": "hi",
           "from": {"id": "29:a", "name": "Anna"}, "recipient": {"id": "28:b", "name": "Bot"},
           "conversation": {"id": "a:1"}})
}

fn received(activity: &Value) -> Received {
    rig().bot.receive(&proved(activity), &settings()).unwrap()
}
