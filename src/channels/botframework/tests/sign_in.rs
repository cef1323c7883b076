//! The token of outgoing calls, and `testConnect` (`botframework.md` §3).

use super::*;

impl Rig {
    fn token_of(&self, settings: &Settings) -> Result<String, token::NoToken> {
        self.bot.tokens.get(&self.tools, settings).map(|token| token.reveal().to_owned())
    }

    fn asked(&self) -> usize {
        self.service.token_fetches.load(Ordering::SeqCst)
    }

    /// What the sign-in service answers next.
    fn signs(&self, status: u16, body: &Value) {
        self.service.tokens.lock().unwrap().push_back(Ok(answer(status, body)));
    }

    fn test(&self, settings: &Settings) -> Result<(), TestError> {
        self.service.keys.lock().unwrap().push(json!({"kty": "RSA", "kid": "k", "n": "AQAB", "e": "AQAB"}));
        self.bot.test(settings)
    }
}

fn changed(key: &str, value: &str) -> Settings {
    let mut settings = settings();
    settings.set(key, value);
    settings
}

#[test]
fn the_request_is_as_the_directory_wants_it() {
    let rig = rig();
    rig.token_of(&settings()).unwrap();
    let calls = rig.service.calls.lock().unwrap();
    let [call] = &calls[..] else { panic!("{calls:?}") };
    assert_eq!(
        (call.method, call.url.as_str()),
        ("POST", "https://login.microsoftonline.com/botframework.com/oauth2/v2.0/token")
    );
    assert!(call.headers.contains(&(String::from("content-type"), String::from("application/x-www-form-urlencoded"))));
    assert_eq!(
        String::from_utf8(call.body.clone()).unwrap(),
        format!(
            "grant_type=client_credentials&client_id={APP}&client_secret=s%7E%2B%2F%3D\
             &scope=https%3A%2F%2Fapi.botframework.com%2F.default"
        )
    );
}

/// A single-tenant bot names its tenant in its own setting, or in the one field that portals have for it.
#[test]
fn the_tenant_is_part_of_the_address() {
    for (key, value, tenant) in [
        ("app_tenant", "contoso.test", "contoso.test"),
        ("app_tenant", " 1-2/3 ", "1-2%2F3"),
        ("bot_handle", "shop@contoso.test", "contoso.test"),
        ("bot_handle", "shop@", "botframework.com"),
        ("bot_handle", "shop", "botframework.com"),
    ] {
        let rig = rig();
        rig.token_of(&changed(key, value)).unwrap();
        let url = rig.service.calls.lock().unwrap()[0].url.clone();
        assert_eq!(url, format!("https://login.microsoftonline.com/{tenant}/oauth2/v2.0/token"), "{key} {value}");
    }
    let mut both = changed("app_tenant", "own.test");
    both.set("bot_handle", "shop@other.test");
    let rig = rig();
    rig.token_of(&both).unwrap();
    assert!(rig.service.calls.lock().unwrap()[0].url.contains("/own.test/"));
    assert_eq!(rig.bot.info(&both).name, "shop");
}

/// Kept until five minutes before its end; other settings never get it.
#[test]
fn a_token_is_kept_and_refreshed_early() {
    let rig = rig();
    assert_eq!(rig.token_of(&settings()).unwrap(), "t0");
    rig.clock.advance(Duration::from_mins(55) - Duration::from_secs(1));
    assert_eq!(rig.token_of(&settings()).unwrap(), "t0");
    rig.clock.advance(Duration::from_secs(1));
    assert_eq!(rig.token_of(&settings()).unwrap(), "t1");
    for (key, value) in [("app_secret", "new"), ("app_id", "22222222-2222-3333-4444-555555555555"), ("app_tenant", "t")]
    {
        let asked = rig.asked();
        assert_eq!(rig.token_of(&changed(key, value)).unwrap(), format!("t{asked}"), "{key}");
    }
    assert_eq!(rig.token_of(&changed("app_id", &format!(" {} ", APP.to_uppercase()))).unwrap(), "t1", "the same bot");
}

/// A token of a few minutes is not fetched anew for each call.
#[test]
fn a_short_lived_token_is_kept_too() {
    let rig = rig();
    rig.signs(200, &json!({"access_token": "short", "expires_in": 120}));
    for _ in 0..3 {
        assert_eq!(rig.token_of(&settings()).unwrap(), "short");
    }
    assert_eq!(rig.asked(), 1);
    rig.clock.advance(Duration::from_secs(61));
    assert_eq!(rig.token_of(&settings()).unwrap(), "t1");
}

/// While a token is good a failed refresh is no error, and not one that each call waits for.
#[test]
fn a_good_token_outlives_a_failed_refresh() {
    let rig = rig();
    rig.token_of(&settings()).unwrap();
    rig.clock.advance(Duration::from_mins(56));
    rig.service.tokens.lock().unwrap().push_back(Err(gone()));
    for _ in 0..3 {
        assert_eq!(rig.token_of(&settings()).unwrap(), "t0");
    }
    assert_eq!(rig.asked(), 2);
    rig.clock.advance(Duration::from_secs(30));
    assert_eq!(rig.token_of(&settings()).unwrap(), "t2");
}

/// A sign-in service that is down is not asked by every message.
#[test]
fn a_failed_fetch_is_not_repeated_at_once() {
    let rig = rig();
    rig.service.tokens.lock().unwrap().push_back(Err(gone()));
    for _ in 0..3 {
        assert!(rig.token_of(&settings()).unwrap_err().temporary);
    }
    assert_eq!(rig.asked(), 1);
    rig.clock.advance(Duration::from_secs(5));
    rig.service.tokens.lock().unwrap().push_back(Err(gone()));
    assert!(rig.token_of(&settings()).is_err());
    assert_eq!(rig.asked(), 2);
    assert_eq!(rig.test(&settings()), Ok(()), "whoever tests the settings wants to know now");
    assert_eq!(rig.token_of(&settings()).unwrap(), "t2", "and what the test has brought is used");
}

#[test]
fn one_fetch_at_a_time() {
    let rig = rig();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| assert_eq!(rig.token_of(&settings()).unwrap(), "t0"));
        }
    });
    assert_eq!(rig.asked(), 1);
}

/// The table of the directory's errors: each told apart, the foreign description never repeated.
#[test]
fn test_connect_tells_the_errors_apart() {
    let refused = |code: u32, error: &str| json!({"error": error, "error_codes": [code], "error_description": format!("AADSTS{code}: <b>MARK</b>")});
    for (status, body, want, words) in [
        (400, refused(700_016, "unauthorized_client"), "APP_ID_UNKNOWN", "tenant"),
        (401, refused(7_000_215, "invalid_client"), "APP_SECRET_WRONG", "value, not its id"),
        (401, refused(7_000_222, "invalid_client"), "APP_SECRET_EXPIRED", "new one"),
        (401, refused(7_000_229, "invalid_client"), "APP_NOT_IN_TENANT", "service principal"),
        (400, refused(90_002, "invalid_request"), "TENANT_UNKNOWN", "AADSTS90002"),
        (400, refused(900_023, "invalid_request"), "TENANT_UNKNOWN", "AADSTS900023"),
        (400, refused(900_144, "invalid_request"), "SIGN_IN_REFUSED", "AADSTS900144"),
        (400, refused(53_003, "access_denied"), "SIGN_IN_REFUSED", "AADSTS53003"),
        (400, json!({"error": "x", "error_description": "AADSTS7000222: MARK"}), "APP_SECRET_EXPIRED", "AADSTS7000222"),
        (403, json!("<html>MARK"), "SIGN_IN_REFUSED", "it answered 403"),
        (400, json!({"error": "temporarily_unavailable"}), "SIGN_IN_BUSY", "try again"),
        (408, json!({}), "SIGN_IN_BUSY", "408"),
        (429, json!({}), "SIGN_IN_BUSY", "429"),
        (503, json!({}), "SIGN_IN_BUSY", "503"),
        (200, json!({"token_type": "Bearer"}), "SIGN_IN_BUSY", "200"),
    ] {
        let rig = rig();
        rig.signs(status, &body);
        let error = rig.test(&settings()).unwrap_err();
        assert_eq!(error.code, want, "{body}");
        assert!(error.message.contains(words) && !error.message.contains("MARK"), "{}", error.message);
    }
    let rig = rig();
    rig.service.tokens.lock().unwrap().push_back(Err(gone()));
    let error = rig.test(&settings()).unwrap_err();
    assert_eq!(error.code, "SIGN_IN_UNREACHABLE");
    assert!(error.message.contains("no way to the sign-in service"), "{}", error.message);
    for (settings, want) in [
        (changed("app_id", "shop"), "APP_ID_BAD"),
        (changed("app_id", ""), "SETTING_MISSING"),
        (changed("app_secret", " "), "SETTING_MISSING"),
    ] {
        let rig = self::rig();
        assert_eq!(rig.test(&settings).unwrap_err().code, want);
        assert_eq!(rig.asked(), 0);
    }
}

/// Who can't fetch the channel's keys will refuse every message.
#[test]
fn test_connect_looks_at_the_keys_too() {
    let rig = rig();
    let error = rig.bot.test(&settings()).unwrap_err();
    assert_eq!((error.code, error.message.contains("login.botframework.com")), ("KEYS_UNREACHABLE", true));
    assert_eq!(rig.test(&settings()), Ok(()), "and again at once, not after a pause");
    rig.service.keys.lock().unwrap().clear();
    assert_eq!(rig.bot.test(&settings()), Ok(()), "keys that are fresh will do");
}

/// `portal-box.md` §10: the portal's page prints these addresses as they are.
#[test]
fn addresses_for_the_portals_page_are_harmless() {
    let mut settings = settings();
    settings.set("url_slack", "https://acme.slack.example/'onclick=\"x");
    settings.set("url_kik", "javascript:alert(1)");
    let info = rig().bot.info(&settings);
    let link = |id: &str| info.links.iter().find(|(known, _)| known == id).map(|(_, url)| url.as_str());
    assert_eq!(link("botframework.slack"), Some("https://acme.slack.example/%27onclick=%22x"));
    assert_eq!(link("botframework.kik"), None);
    assert_eq!(
        link("botframework.msteams"),
        Some(format!("https://teams.microsoft.com/l/chat/0/0?users=28:{APP}").as_str())
    );
}

/// A token that a channel refuses is replaced once; a second refusal is about the credentials.
#[test]
fn a_refused_token_is_replaced_once() {
    let rig = rig();
    let chat = json!({"channel": "msteams", "serviceUrl": SERVICE, "conversation": {"id": "c"}}).to_string();
    let message = Outgoing {
        connector: String::from("botframework.msteams"),
        chat: String::from("c"),
        im: PortalRef::default(),
        kind: OutgoingKind::Send { text: String::from("hi"), files: vec![] },
        service_url: None,
    };
    let send = || rig.bot.send(&settings(), Some(&chat), &message, &|_| None, &mut Progress::default());
    rig.service.then(401, "Unauthorized");
    assert_eq!(send(), Ok(Step::Done));
    assert_eq!(rig.asked(), 2);
    rig.service.then(401, "Unauthorized");
    rig.service.then(401, "Unauthorized");
    assert!(matches!(send(), Err(SendError::Auth { .. })));
    assert_eq!(rig.asked(), 3);
    assert!(!format!("{:?}", rig.bot.tokens).contains("\"t2"), "no token in a Debug output");
}
