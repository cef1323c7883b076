//! Proof of callers (`botframework.md` §2).

use super::*;

/// Promise 8, `botframework.md` §2.1 row by row.
#[test]
fn only_the_channel_service_gets_in() {
    let Rig { service, clock, bot, .. } = rig();
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
