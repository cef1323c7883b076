//! Proof of callers and the channel service's keys (`botframework.md` §2).

use std::sync::LazyLock;

use super::*;

/// Making keys takes longer than everything else here.
static KEY: LazyLock<RsaKey> = LazyLock::new(|| RsaKey::generate(KeySize::Rsa2048).unwrap());
static OTHER: LazyLock<RsaKey> = LazyLock::new(|| RsaKey::generate(KeySize::Rsa2048).unwrap());

fn header() -> Value {
    json!({"alg": "RS256", "kid": "k1", "typ": "JWT"})
}

fn good() -> String {
    format!("Bearer {}", token(&KEY, &header(), &claims()))
}

/// A token under a key id.
fn under(kid: &str) -> String {
    format!("Bearer {}", token(&KEY, &with(header(), "kid", json!(kid)), &claims()))
}

impl Rig {
    fn status(&self, authorization: &str, body: &Value) -> u16 {
        match verify(&self.bot, authorization, body) {
            Ok(_) => 200,
            Err(Rejected::Malformed(_)) => 400,
            Err(Rejected::Unproved(_)) => 401,
            Err(Rejected::Forbidden(_)) => 403,
            Err(Rejected::Unavailable(_)) => 503,
        }
    }

    fn publish(&self, kids: &[&str]) {
        *self.service.keys.lock().unwrap() = kids.iter().map(|kid| jwk(&KEY, kid)).collect();
    }

    fn fetches(&self) -> usize {
        self.service.key_fetches.load(Ordering::SeqCst)
    }
}

fn published() -> Rig {
    let rig = rig();
    rig.publish(&["k1"]);
    rig
}

/// Promise 8, the table of §2.1 row by row.
#[test]
fn only_the_channel_service_gets_in() {
    let rig = published();
    assert_eq!(rig.status(&good(), &body()), 200);
    // 1, 2: header and shape.
    for bad in ["", "Bearer", "Bearer ", "Basic x", "Bearer a b", "Bearer a.b.c", "Bearer ....", "Bearer e30.e30."] {
        assert_eq!(rig.status(bad, &body()), 401, "{bad}");
    }
    let whole = body().to_string();
    let headless = Webhook { body: whole.as_bytes(), ..Webhook::default() };
    assert!(matches!(rig.bot.verify(&headless, &settings()), Err(Rejected::Unproved(_))));
    // 3, 5: algorithm and key id.
    for (name, value) in [
        ("alg", json!("none")),
        ("alg", json!("HS256")),
        ("alg", json!("ES256")),
        ("alg", json!("RS512")),
        ("alg", Value::Null),
        ("kid", Value::Null),
        ("kid", json!("")),
        ("kid", json!("k9")),
    ] {
        let bearer = format!("Bearer {}", token(&KEY, &with(header(), name, value.clone()), &claims()));
        assert_eq!(rig.status(&bearer, &body()), 401, "{name} {value}");
    }
    // 4, 7, 8: issuer, times at their borders, audience.
    for (name, value, want) in [
        ("iss", json!("https://api.botframework.us"), 401),
        ("iss", json!("https://api.botframework.com/"), 401),
        ("iss", json!("https://login.microsoftonline.com/d6d49420-f39b-4df7-a1dc-d59a935871db/v2.0"), 401),
        ("iss", Value::Null, 401),
        ("exp", json!(NOW - 300), 401),
        ("exp", json!(NOW - 299), 200),
        ("exp", json!("soon"), 401),
        ("exp", Value::Null, 401),
        ("nbf", json!(NOW + 300), 401),
        ("nbf", json!(NOW + 299), 200),
        ("nbf", json!("soon"), 401),
        ("nbf", Value::Null, 200),
        ("aud", json!([APP]), 401),
        ("aud", json!("22222222-2222-3333-4444-555555555555"), 401),
        ("aud", json!("https://api.botframework.com"), 401),
        ("aud", Value::Null, 401),
        ("aud", json!(APP.to_uppercase()), 200),
        // 11: the claim's side.
        ("serviceurl", Value::Null, 403),
        ("serviceurl", json!(""), 403),
        ("serviceurl", json!(SERVICE.to_uppercase()), 403),
    ] {
        let bearer = format!("Bearer {}", token(&KEY, &header(), &with(claims(), name, value.clone())));
        assert_eq!(rig.status(&bearer, &body()), want, "{name} {value}");
    }
    // 6: signature.
    assert_eq!(rig.status(&format!("Bearer {}", token(&OTHER, &header(), &claims())), &body()), 401);
    let (signed, _) = good().rsplit_once('.').map(|(signed, end)| (signed.to_owned(), end.len())).unwrap();
    assert_eq!(rig.status(&format!("{signed}.{}", "A".repeat(342)), &body()), 401);
    // 9, 10, 11: the body's side.
    assert_eq!(rig.status(&good(), &with(body(), "channelId", Value::Null)), 403);
    assert_eq!(rig.status(&good(), &with(body(), "channelId", json!("slack"))), 403);
    assert_eq!(rig.status(&good(), &with(body(), "channelId", json!("MSTeams"))), 403);
    assert_eq!(rig.status(&good(), &with(body(), "serviceUrl", json!(SERVICE.trim_end_matches('/')))), 403);
    assert_eq!(rig.status(&good(), &with(body(), "serviceUrl", Value::Null)), 403);
    assert_eq!(rig.status(&good(), &json!([])), 400);
    assert_eq!(rig.status(&good(), &json!({"text": "no type"})), 400);
    assert_eq!(rig.fetches(), 1);
    rig.clock.advance(Duration::from_mins(65));
    assert_eq!(rig.status(&good(), &body()), 401, "remembered, but expired");
}

/// Row 10: a key without endorsements speaks for nobody.
#[test]
fn a_key_speaks_only_for_the_channels_it_names() {
    for endorsements in [Value::Null, json!([]), json!("msteams"), json!(["slack", "MSTEAMS"])] {
        let rig = rig();
        rig.service.keys.lock().unwrap().push(with(jwk(&KEY, "k1"), "endorsements", endorsements.clone()));
        assert_eq!(rig.status(&good(), &body()), 403, "{endorsements}");
    }
}

/// Row 12.
#[test]
fn without_any_keys_the_caller_is_told_to_come_again() {
    let rig = rig();
    assert_eq!(rig.status(&good(), &body()), 503);
    rig.publish(&["k1"]);
    assert_eq!((rig.status(&good(), &body()), rig.fetches()), (503, 1), "a failed fetch is not repeated at once");
    rig.clock.advance(Duration::from_secs(6));
    assert_eq!((rig.status(&good(), &body()), rig.fetches()), (200, 2));
}

/// §2.3: forged key ids must not make the server ask again and again.
#[test]
fn an_unknown_key_asks_once_an_hour() {
    let rig = published();
    assert_eq!(rig.status(&good(), &body()), 200);
    rig.publish(&["k1", "k2"]);
    for minutes in [1, 58] {
        rig.clock.advance(Duration::from_mins(minutes));
        assert_eq!((rig.status(&under("k2"), &body()), rig.fetches()), (401, 1), "inside the hour");
    }
    rig.clock.advance(Duration::from_mins(1));
    assert_eq!((rig.status(&under("k2"), &body()), rig.fetches()), (200, 2));
    assert_eq!((rig.status(&under("k3"), &body()), rig.fetches()), (401, 2));
}

/// §2.3: refreshed when older than a day; what cannot be fetched leaves the old keys in force and is tried again after
/// a while, not on every request.
#[test]
fn keys_are_refreshed_daily_and_outlive_a_failed_fetch() {
    let rig = published();
    let fresh = || {
        let now = rig.clock.now().secs();
        format!("Bearer {}", token(&KEY, &header(), &with(with(claims(), "nbf", json!(now)), "exp", json!(now + 60))))
    };
    assert_eq!(rig.status(&fresh(), &body()), 200);
    rig.clock.advance(Duration::from_hours(24) - Duration::from_secs(1));
    assert_eq!((rig.status(&fresh(), &body()), rig.fetches()), (200, 1));
    rig.clock.advance(Duration::from_secs(1));
    rig.publish(&[]);
    for _ in 0..3 {
        assert_eq!((rig.status(&fresh(), &body()), rig.fetches()), (200, 2), "the old keys");
    }
    rig.clock.advance(Duration::from_secs(5));
    assert_eq!((rig.status(&fresh(), &body()), rig.fetches()), (200, 3), "after a pause");
    rig.clock.advance(Duration::from_secs(5));
    assert_eq!((rig.status(&fresh(), &body()), rig.fetches()), (200, 3), "which grows");
    rig.publish(&["k1"]);
    rig.clock.advance(Duration::from_secs(5));
    assert_eq!((rig.status(&fresh(), &body()), rig.fetches()), (200, 4));
    rig.clock.advance(Duration::from_hours(1));
    assert_eq!((rig.status(&fresh(), &body()), rig.fetches()), (200, 4));
}

/// §2.3: a restarted server proves callers although nobody tells it keys; keys of another cloud do not count.
#[test]
fn keys_are_found_again_after_a_restart() {
    let rig = published();
    assert_eq!(rig.status(&good(), &body()), 200);
    rig.publish(&[]);
    let again = |options: Options| {
        let bot = BotFramework::new(&rig.tools, &options);
        verify(&bot, &good(), &body()).map(drop)
    };
    assert_eq!(again(Options::default()), Ok(()));
    assert_eq!(rig.fetches(), 1);
    let elsewhere = Some(String::from("https://other.test/openidconfiguration"));
    assert!(matches!(
        again(Options { openid_metadata_url: elsewhere, ..Options::default() }),
        Err(Rejected::Unavailable(_))
    ));
}

/// A clock that was wrong for a while must not keep the server from ever asking again.
#[test]
fn keys_from_the_future_are_old() {
    let rig = published();
    rig.clock.advance(Duration::from_hours(24 * 365));
    assert_eq!(rig.status(&under("k9"), &body()), 401);
    rig.clock.set(UnixMillis(NOW * 1000));
    rig.publish(&["k1", "k2"]);
    assert_eq!((rig.status(&under("k2"), &body()), rig.fetches()), (200, 2));
    rig.publish(&[]);
    rig.clock.advance(Duration::from_hours(24 * 365));
    assert_eq!(rig.status(&under("k9"), &body()), 401);
    rig.clock.set(UnixMillis((NOW + 3600) * 1000));
    rig.publish(&["k1", "k3"]);
    let later = with(with(claims(), "nbf", json!(NOW + 3600)), "exp", json!(NOW + 7200));
    let bearer = format!("Bearer {}", token(&KEY, &with(header(), "kid", json!("k3")), &later));
    assert_eq!(rig.status(&bearer, &body()), 200, "nor must the pause after a failure");
}

/// §2.2: the address of the keys must belong to whoever publishes the metadata.
#[test]
fn keys_come_from_the_configured_hosts_family() {
    for (uri, status) in [
        ("https://login.botframework.com/v1/.well-known/keys", 200),
        ("https://keys.login.botframework.com/keys", 200),
        ("https://other.botframework.com/keys", 200),
        ("http://login.botframework.com/keys", 503),
        ("https://botframework.com.evil.test/keys", 503),
        ("https://evilbotframework.com/keys", 503),
        ("https://127.0.0.1/keys", 503),
        ("", 503),
    ] {
        let rig = published();
        uri.clone_into(&mut rig.service.jwks_uri.lock().unwrap());
        assert_eq!(rig.status(&good(), &body()), status, "{uri}");
    }
    // Addresses have no families.
    let options = |url: &str| Options { openid_metadata_url: Some(url.to_owned()), ..Options::default() };
    let rig = rig_with(&options("https://10.0.0.5/openidconfiguration"));
    rig.publish(&["k1"]);
    *rig.service.jwks_uri.lock().unwrap() = String::from("https://99.0.0.5/keys");
    assert_eq!(rig.status(&good(), &body()), 503);
}

/// §2.3: one fetch at a time; who comes meanwhile uses the key that is there, or waits for the fetch.
#[test]
fn one_fetch_at_a_time() {
    let rig = published();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| assert_eq!(rig.status(&good(), &body()), 200));
        }
    });
    assert_eq!(rig.fetches(), 1);
}

/// §2.5.
#[test]
fn the_government_cloud_has_its_own_addresses() {
    let rig = rig_with(&Options { gov: true, ..Options::default() });
    rig.publish(&["k1"]);
    *rig.service.jwks_uri.lock().unwrap() = String::from("https://login.botframework.azure.us/v1/.well-known/keys");
    assert_eq!(rig.status(&good(), &body()), 401, "the public cloud's issuer");
    let gov = with(claims(), "iss", json!("https://api.botframework.us"));
    assert_eq!(rig.status(&format!("Bearer {}", token(&KEY, &header(), &gov)), &body()), 200);
    assert_eq!(rig.bot.test(&settings()), Ok(()));
    let calls = rig.service.calls.lock().unwrap();
    let has = |url: &str| calls.iter().any(|call| call.url == url);
    assert!(has("https://login.botframework.azure.us/v1/.well-known/openidconfiguration"));
    assert!(has("https://login.microsoftonline.us/MicrosoftServices.onmicrosoft.us/oauth2/v2.0/token"));
    let form = calls.iter().find(|call| call.url.ends_with("/token")).map(|call| call.body.clone()).unwrap();
    assert!(String::from_utf8(form).unwrap().ends_with("scope=https%3A%2F%2Fapi.botframework.us%2F.default"));
}

/// §2.6: only this machine may call without a token.
#[test]
fn without_authentication_only_this_machine_calls() {
    let rig = rig_with(&Options { authentication: Authentication::Off, ..Options::default() });
    for (service, status) in [
        ("http://127.0.0.1:3978/", 200),
        ("http://[::1]:3978/", 200),
        ("http://localhost:3978", 200),
        ("https://smba.example.test/", 403),
        ("http://127.0.0.1.evil.test/", 403),
        ("", 403),
    ] {
        assert_eq!(rig.status("", &with(body(), "serviceUrl", json!(service))), status, "{service}");
    }
    assert_eq!(rig.status("", &json!("no object")), 400);
    assert!(rig.service.calls.lock().unwrap().is_empty());
}
