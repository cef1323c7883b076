//! The connector against a channel service made of closures: proof of callers, tokens, sending.

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

/// Promise 8, `botframework.md` §2.1 row by row.
#[test]
fn only_the_channel_service_gets_in() {
    let (service, clock, bot) = rig();
    let (key, other) = (RsaKey::generate(KeySize::Rsa2048).unwrap(), RsaKey::generate(KeySize::Rsa2048).unwrap());
    let header = json!({"alg": "RS256", "kid": "k1"});
    let good = format!("Bearer {}", token(&key, &header, &claims()));
    let status = |authorization: &str, body: &Value| match bot.verify(hook(authorization, body), &settings()) {
        Ok(_) => 200,
        Err(Rejected::Malformed(_)) => 400,
        Err(Rejected::Unproved(_)) => 401,
        Err(Rejected::Forbidden(_)) => 403,
        Err(Rejected::Unavailable(_)) => 503,
    };
    assert_eq!(status(&good, &body()), 503, "no keys yet");
    service.keys.lock().unwrap().push(jwk(&key, "k1"));
    assert_eq!(status(&good, &body()), 503, "a failed fetch is not repeated at once");
    clock.advance(Duration::from_secs(6));
    assert_eq!(status(&good, &body()), 200);
    for bad in ["", "Bearer", "Basic x", "Bearer a b", "Bearer a.b.c", "Bearer ...."] {
        assert_eq!(status(bad, &body()), 401, "{bad}");
    }
    for (name, value) in [
        ("iss", json!("https://api.botframework.us")),
        ("exp", json!(NOW - 300)),
        ("exp", Value::Null),
        ("nbf", json!(NOW + 306)),
        ("aud", json!([APP])),
        ("aud", json!("22222222-2222-3333-4444-555555555555")),
    ] {
        let bearer = format!("Bearer {}", token(&key, &header, &with(claims(), name, value.clone())));
        assert_eq!(status(&bearer, &body()), 401, "{name} {value}");
    }
    for (name, value) in [("alg", json!("none")), ("alg", json!("RS512")), ("kid", Value::Null), ("kid", json!("k9"))] {
        let bearer = format!("Bearer {}", token(&key, &with(header.clone(), name, value.clone()), &claims()));
        assert_eq!(status(&bearer, &body()), 401, "{name} {value}");
    }
    assert_eq!(status(&format!("Bearer {}", token(&other, &header, &claims())), &body()), 401);
    assert_eq!(status(&good, &with(body(), "channelId", Value::Null)), 403);
    assert_eq!(status(&good, &with(body(), "channelId", json!("slack"))), 403);
    assert_eq!(status(&good, &with(body(), "serviceUrl", json!("https://smba.example.test/emea"))), 403);
    assert_eq!(status(&good, &json!([])), 400);
    assert_eq!(service.key_fetches.load(Ordering::SeqCst), 2, "one failed, one good; an unknown key asks once an hour");
    clock.advance(Duration::from_mins(65));
    assert_eq!(status(&good, &body()), 401, "remembered, but expired");
}

/// Ours go out in order, under a token, and a retry goes on after the parts that have left.
#[test]
fn parts_leave_in_order_and_once() {
    let (service, _, bot) = rig();
    let chat =
        json!({"channel": "msteams", "serviceUrl": SERVICE, "conversation": {"id": "19:a b+c@x;y=1|2/é"}}).to_string();
    let files = [1, 2].map(|n| crate::message::OutFile {
        name: format!("f{n}"),
        link: String::from("https://p.test"),
        image: false,
        mime: None,
    });
    let kind = OutgoingKind::Send { text: String::from("hello"), files: files.to_vec() };
    let message = Outgoing {
        connector: String::from("botframework.msteams"),
        chat: String::new(),
        im: PortalRef::default(),
        kind,
        service_url: None,
    };
    let mut progress = Progress::default();
    *service.statuses.lock().unwrap() = vec![429, 200, 401];
    let step = |progress: &mut Progress| bot.send(&settings(), Some(&chat), &message, &|_| None, progress);
    assert_eq!(step(&mut progress), Ok(Step::More));
    assert!(matches!(step(&mut progress), Err(SendError::Retry { ambiguous: false, .. })));
    assert_eq!((progress.parts, service.token_fetches.load(Ordering::SeqCst)), (1, 2));
    assert_eq!(step(&mut progress), Ok(Step::More));
    assert_eq!(step(&mut progress), Ok(Step::Done));
    assert_eq!(progress.ids, ["m2", "m4", "m5"]);
    let url = service.calls.lock().unwrap()[0].url.clone();
    assert_eq!(
        url,
        "https://smba.example.test/emea/v3/conversations/19%3Aa%20b%2Bc%40x%3By%3D1%7C2%2F%C3%A9/activities"
    );
    *service.statuses.lock().unwrap() = vec![401, 401];
    assert!(matches!(step(&mut Progress::default()), Err(SendError::Auth { .. })));
    let unknown = bot.send(&settings(), None, &message, &|_| None, &mut Progress::default());
    assert!(matches!(unknown, Err(SendError::Permanent { code: "CHAT_UNKNOWN", .. })));
}

fn received(activity: &Value) -> Received {
    rig().2.receive(&Verified(hook("", activity)), &settings()).unwrap()
}

/// `botframework.md` §1.2 and §1.4.
#[test]
fn activities_become_messages_and_never_vanish() {
    let first = received(&body());
    let message = &first.messages[0];
    assert_eq!((message.connector.as_str(), message.text.as_str()), ("botframework.msteams", "hi"));
    assert_eq!(first, received(&body()), "the same event gives the same key");
    let edit = |text: &str| received(&with(with(body(), "type", json!("messageUpdate")), "text", json!(text)));
    assert_ne!(edit("a").messages[0].key, edit("b").messages[0].key, "a second edit is no repeat");
    assert_eq!(received(&with(body(), "id", Value::Null)).messages[0].key, None);
    assert_eq!(received(&with(body(), "text", Value::Null)).messages[0].text, "(empty message)");
    let long = received(&with(body(), "id", json!("x".repeat(101))));
    assert_eq!((long.messages[0].message_id.len(), long.aliases.len()), (27, 1));
    let odd = &received(&with(body(), "channelId", json!("acs"))).chats[0];
    assert_eq!((odd.chat.as_str(), odd.connector.as_str()), ("acs:a:1", "botframework.directline"));
    let removed = with(body(), "type", json!("conversationUpdate"));
    assert!(received(&with(removed, "membersRemoved", json!([{"id": "28:b"}]))).chats[0].closed);
    let place = json!([{"type": "Place", "name": "Home", "geo": {"latitude": 1.5, "longitude": "2"}}]);
    assert_eq!(received(&with(body(), "entities", place)).messages[0].attachments.len(), 1);
    for odd in [json!({"type": 5, "from": "x", "attachments": {}}), json!({"type": "message", "channelId": "x"})] {
        let _ = rig().2.receive(&Verified(hook("", &odd)), &settings());
    }
}
