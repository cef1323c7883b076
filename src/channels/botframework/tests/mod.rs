//! The connector against a channel service that answers from memory: what the tests share.

mod auth;
mod receive;
mod send;

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
use crate::clock::{ManualClock, UnixMillis};
use crate::message::{OutgoingKind, PortalRef};
use crate::net::{Answer, Call, Net, NetError};

const APP: &str = "11111111-2222-3333-4444-555555555555";
const NOW: i64 = 1_790_000_000;
const SERVICE: &str = "https://smba.example.test/emea/";

#[derive(Debug, Default)]
struct NoShelf;
impl Shelf for NoShelf {
    fn get(&self, _: &str) -> Option<String> {
        None
    }
    fn put(&self, _: &str, _: &str) {}
}

#[derive(Debug, Default)]
struct Service {
    keys: Mutex<Vec<Value>>,
    key_fetches: AtomicUsize,
    token_fetches: AtomicUsize,
    statuses: Mutex<Vec<u16>>,
    calls: Mutex<Vec<Call>>,
}

impl Net for Service {
    fn call(&self, call: Call) -> Result<Answer, NetError> {
        let ok = |body: &Value| Answer { status: 200, body: body.to_string().into_bytes(), ..Answer::default() };
        if call.url.ends_with("openidconfiguration") {
            return Ok(ok(&json!({"jwks_uri": "https://login.botframework.com/v1/.well-known/keys"})));
        }
        if call.url.ends_with("/keys") {
            self.key_fetches.fetch_add(1, Ordering::SeqCst);
            let keys = self.keys.lock().unwrap();
            return if keys.is_empty() {
                Err(NetError::Connect(String::new()))
            } else {
                Ok(ok(&json!({"keys": *keys})))
            };
        }
        if call.url.ends_with("/token") {
            let count = self.token_fetches.fetch_add(1, Ordering::SeqCst);
            return Ok(ok(&json!({"access_token": format!("t{count}"), "expires_in": "3600"})));
        }
        let mut calls = self.calls.lock().unwrap();
        calls.push(call);
        let status = self.statuses.lock().unwrap().pop().unwrap_or(200);
        Ok(Answer { status, ..ok(&json!({"id": format!("m{}", calls.len())})) })
    }
}

fn rig() -> (Arc<Service>, Arc<ManualClock>, BotFramework) {
    let service = Arc::new(Service::default());
    let clock = Arc::new(ManualClock::at(UnixMillis(NOW * 1000)));
    let tools = Tools {
        net: Arc::<Service>::clone(&service),
        clock: Arc::<ManualClock>::clone(&clock),
        shelf: Arc::new(NoShelf),
    };
    let bot = BotFramework::new(&tools, &Options::default());
    (service, clock, bot)
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

fn hook(authorization: &str, body: &Value) -> Webhook {
    let headers = vec![(String::from("authorization"), authorization.to_owned())];
    Webhook { headers, body: body.to_string().into_bytes(), ..Webhook::default() }
}

fn body() -> Value {
    json!({"type": "message", "id": "1", "channelId": "msteams", "serviceUrl": SERVICE, "text": "hi",
           "from": {"id": "29:a", "name": "Anna"}, "recipient": {"id": "28:b", "name": "Bot"},
           "conversation": {"id": "a:1"}})
}
