//! The twin against a bot that only writes down what it is sent.

use crossbeam_channel::{Receiver, unbounded};
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};

use super::*;
use crate::clock::SystemClock;
use crate::net::{Answer, Out};

const APP: &str = "11111111-2222-3333-4444-555555555555";
const LIMIT: Duration = Duration::from_secs(10);

fn twin() -> BotFrameworkTwin {
    let options = Options {
        port: 0,
        app_id: APP.to_owned(),
        app_secret: "s3cret+/=".to_owned(),
        webhook: None,
        faults: Faults::default(),
    };
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let net = Arc::new(Out::new(&clock, Vec::new(), &[]).unwrap());
    BotFrameworkTwin::start(options, clock, net).unwrap()
}

/// A bot's endpoint: every request it gets comes out of the channel.
fn bot(twin: &BotFrameworkTwin, status: u16) -> Receiver<Ask> {
    let (told, asked) = unbounded();
    let url = host::start(0, move |ask| {
        let _ = told.send(ask);
        Tell::new(status, "text/plain", Vec::new())
    });
    twin.set_webhook(&format!("{}/imwebhook/?hash=1", url.unwrap()));
    asked
}

fn call(twin: &BotFrameworkTwin, method: &'static str, url: String, token: &str, body: &str) -> (u16, Value, Answer) {
    let call = Call {
        method,
        url,
        headers: vec![("Authorization".to_owned(), format!("Bearer {token}"))],
        body: body.as_bytes().to_vec(),
        reach: Reach::Configured,
        timeout: LIMIT,
        answer_max_bytes: 65_536,
    };
    let answer = twin.0.net.call(call).unwrap();
    (answer.status, serde_json::from_slice(&answer.body).unwrap_or_default(), answer)
}

fn sign_in(twin: &BotFrameworkTwin, id: &str, secret: &str) -> (u16, Value) {
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    form.append_pair("grant_type", "client_credentials").append_pair("client_id", id);
    form.append_pair("client_secret", secret).append_pair("scope", "https://api.botframework.com/.default");
    let url = twin.token_url().replace("{tenant}", "botframework.com");
    let (status, body, _) = call(twin, "POST", url, "", &form.finish());
    (status, body)
}

fn keys(twin: &BotFrameworkTwin) -> JwkSet {
    let (_, metadata, _) = call(twin, "GET", twin.metadata_url(), "", "");
    let (_, keys, _) = call(twin, "GET", metadata["jwks_uri"].as_str().unwrap().to_owned(), "", "");
    serde_json::from_value(keys).unwrap()
}

/// Checks a token as a bot does, against the keys that the twin serves.
fn check(authorization: &str, keys: &JwkSet) -> jsonwebtoken::errors::Result<Value> {
    let token = authorization.strip_prefix("Bearer ").unwrap();
    let kid = jsonwebtoken::decode_header(token)?.kid.unwrap();
    let jwk = keys.find(&kid).ok_or(jsonwebtoken::errors::ErrorKind::InvalidKeyFormat)?;
    let mut validation = Validation::new(Algorithm::RS256);
    validation.set_audience(&[APP]);
    validation.set_issuer(&["https://api.botframework.com"]);
    validation.validate_nbf = true;
    jsonwebtoken::decode(token, &DecodingKey::from_jwk(jwk)?, &validation).map(|data| data.claims)
}

/// `botframework.md` §3.
#[test]
fn the_directory_says_what_is_wrong_with_a_bot() {
    let twin = twin();
    for (id, secret, status, code) in [
        (APP, "s3cret+/=", 200, Value::Null),
        (&APP.to_uppercase(), "s3cret+/=", 200, Value::Null),
        ("99999999-2222-3333-4444-555555555555", "s3cret+/=", 400, json!(700_016)),
        (APP, "s3cret", 401, json!(7_000_215)),
        ("", "", 400, json!(700_016)),
    ] {
        let (got, body) = sign_in(&twin, id, secret);
        assert_eq!((got, &body["error_codes"][0]), (status, &code), "{id} {secret}");
        let words = body["error_description"].as_str().unwrap_or_default();
        assert!(code.is_null() || words.starts_with(&format!("AADSTS{code}: ")), "{words}");
    }
    assert_eq!(twin.token_requests(), 5);
}

/// `botframework.md` §2: what the twin signs can be checked with what it serves, before and after a rotation.
#[test]
fn an_activity_is_proved_by_the_served_keys() {
    let twin = twin();
    let asked = bot(&twin, 200);
    for round in 0..2 {
        let (conversation, id) = twin.say("msteams", "Ben", "Hello", None).unwrap();
        let ask = asked.recv_timeout(LIMIT).unwrap();
        let activity = ask.json();
        assert_eq!((&activity["type"], &activity["id"]), (&json!("message"), &json!(id)));
        assert_eq!(activity["conversation"]["id"], json!(conversation));
        let claims = check(ask.header("authorization").unwrap(), &keys(&twin)).unwrap();
        assert_eq!(claims["serviceurl"], activity["serviceUrl"]);
        assert_eq!(ask.query, "hash=1");
        let before = keys(&twin);
        twin.rotate_keys().unwrap();
        assert!(
            check(ask.header("authorization").unwrap(), &keys(&twin)).is_err(),
            "round {round}: the old key is gone"
        );
        assert!(check(ask.header("authorization").unwrap(), &before).is_ok());
    }
    assert_eq!(twin.key_fetches(), 6);
}

#[test]
fn wrong_tokens_are_wrong_in_the_way_they_say() {
    let twin = twin();
    let asked = bot(&twin, 200);
    let keys = keys(&twin);
    for (word, proof) in Proof::ALL {
        twin.set_proof(proof);
        twin.say("msteams", "Ben", "Hello", None).unwrap();
        let ask = asked.recv_timeout(LIMIT).unwrap();
        let activity = ask.json();
        let verdict = (proof != Proof::Missing).then(|| check(ask.header("authorization").unwrap(), &keys));
        match (proof, verdict) {
            (Proof::Missing, None) => assert_eq!(ask.header("authorization"), None),
            (Proof::Good, Some(verdict)) => assert_eq!(verdict.unwrap()["serviceurl"], activity["serviceUrl"]),
            (Proof::OtherServiceUrl, Some(verdict)) => {
                assert_ne!(verdict.unwrap()["serviceurl"], activity["serviceUrl"]);
            }
            // Its signature is right; that the key may not speak for the channel stands beside the key.
            (Proof::Unendorsed, Some(verdict)) => drop(verdict.unwrap()),
            (_, verdict) => assert!(verdict.unwrap().is_err(), "{word}"),
        }
        assert_eq!((Proof::named(word), proof.word()), (Some(proof), word));
    }
}

/// `botframework.md` §4.1.
#[test]
fn the_channel_keeps_what_the_bot_sends() {
    let twin = twin();
    let _asked = bot(&twin, 200);
    let (conversation, question) = twin.say("msteams", "Ben", "Hello", None).unwrap();
    let base = format!("{}/v3/conversations/{conversation}/activities", twin.url());
    let message = r#"{"type":"message","text":"Yes","textFormat":"plain","attachments":[{"contentUrl":"https://x/1.pdf","name":"1.pdf"}]}"#;
    assert_eq!(call(&twin, "POST", base.clone(), "made-up", message).0, 401);
    let token = sign_in(&twin, APP, "s3cret+/=").1["access_token"].as_str().unwrap().to_owned();

    let (status, body, _) = call(&twin, "POST", format!("{base}/{question}"), &token, message);
    let id = body["id"].as_str().unwrap().to_owned();
    assert_eq!(status, 200);
    let last = || twin.conversation(&conversation).unwrap().messages.pop().unwrap();
    assert_eq!((last().text.as_str(), last().files), ("Yes", vec![("1.pdf".to_owned(), "https://x/1.pdf".to_owned())]));
    assert_eq!(call(&twin, "PUT", format!("{base}/{id}"), &token, r#"{"type":"message","text":"No"}"#).0, 200);
    assert_eq!((last().text.as_str(), last().edited), ("No", true));
    assert_eq!(call(&twin, "DELETE", format!("{base}/{id}"), &token, "").0, 200);
    assert!(last().deleted);
    assert_eq!(twin.heard().iter().map(|heard| heard.method.as_str()).collect::<Vec<_>>(), ["POST", "PUT", "DELETE"]);

    for (method, url, status) in [
        ("PUT", format!("{base}/nothing"), 404),
        ("POST", format!("{}/v3/conversations/nobody/activities", twin.url()), 404),
        ("PUT", base.clone(), 405),
        ("POST", format!("{}/v3/conversations", twin.url()), 404),
    ] {
        assert_eq!(call(&twin, method, url.clone(), &token, message).0, status, "{method} {url}");
    }
    twin.forget_tokens();
    assert_eq!(call(&twin, "POST", base, &token, message).0, 401);
}

#[test]
fn customers_change_only_their_own_words_and_only_when_the_bot_hears_it() {
    let twin = twin();
    assert!(matches!(twin.say("sms", "Ben", "Hello", None), Err(Refused::NoWebhook)));
    let asked = bot(&twin, 200);
    let (conversation, id) = twin.say("sms", "Ben", "Hello", None).unwrap();
    assert!(matches!(twin.edit(&conversation, "twin-bot-1", "x"), Err(Refused::NoMessage)));
    assert!(matches!(twin.delete("sms-nobody", &id), Err(Refused::NoConversation)));
    twin.edit(&conversation, &id, "Hello!").unwrap();
    twin.delete(&conversation, &id).unwrap();
    let kinds: Vec<_> = asked.try_iter().map(|ask| ask.json()["type"].clone()).collect();
    assert_eq!(kinds, ["message", "messageUpdate", "messageDelete"]);

    let (_, second) = twin.say("sms", "Ben", "Again", None).unwrap();
    let _asked = bot(&twin, 503);
    assert!(matches!(twin.edit(&conversation, &second, "x"), Err(Refused::Status(503))));
    assert!(matches!(twin.say("sms", "Ben", "Lost", None), Err(Refused::Status(503))));
    let messages = twin.conversation(&conversation).unwrap().messages;
    let of = |text: &str| messages.iter().find(|said| said.text == text).unwrap();
    assert!(of("Again").taken && !of("Again").edited);
    assert!(of("Lost").failed && !of("Lost").taken);
}

#[test]
fn faults_are_seen_on_the_wire() {
    let twin = twin();
    twin.set_faults(Faults { down: true, ..Faults::default() });
    assert_eq!(call(&twin, "GET", twin.metadata_url(), "", "").0, 503);
    twin.set_faults(Faults { fail_rate: 1.0, ..Faults::default() });
    let answers: Vec<_> = (0..40).map(|_| call(&twin, "GET", twin.metadata_url(), "", "")).collect();
    assert!(answers.iter().any(|(status, ..)| *status == 500));
    assert!(answers.iter().any(|(status, _, answer)| *status == 429 && answer.retry_after().is_some()));
    assert!(answers.iter().all(|(status, ..)| [429, 500].contains(status)));
    // The page and control stay reachable, or nobody could end the fault.
    assert_eq!(call(&twin, "POST", format!("{}/sim/faults", twin.url()), "", r#"{"fail_rate":0}"#).0, 200);
    assert_eq!(call(&twin, "GET", twin.metadata_url(), "", "").0, 200);
}

#[test]
fn control_requests_do_what_the_methods_do() {
    let twin = twin();
    let asked = bot(&twin, 200);
    let control = |path: &str, body: Value| call(&twin, "POST", format!("{}{path}", twin.url()), "", &body.to_string());
    let (status, said, _) = control("/sim/say", json!({"channel": "webchat", "name": "Ida", "text": "Hi"}));
    assert_eq!((status, &said["conversation"]), (200, &json!("webchat-ida")));
    let (status, answer, _) = control("/sim/activity", json!({"activity": {"type": "ping"}, "token": "expired"}));
    assert_eq!((status, &answer["status"]), (200, &json!(200)));
    assert_eq!(asked.try_iter().count(), 2);
    assert_eq!(control("/sim/activity", json!({"activity": {}, "token": "odd"})).0, 400);
    assert_eq!(control("/sim/activity", json!({})).0, 400);
    assert_eq!(control("/sim/edit", json!([])).0, 404);
    assert_eq!(control("/sim/nothing", json!({})).0, 404);
    let (_, messages, _) = call(&twin, "GET", format!("{}/sim/messages", twin.url()), "", "");
    assert_eq!((&messages[0]["text"], &messages[0]["name"]), (&json!("Hi"), &json!("Ida")));
}
