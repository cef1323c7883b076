//! Calls of the channel service (`botframework.md` §4, §7).

use super::*;

/// A chat's record as `receive` makes it.
fn record(channel: &str, conversation: &Value) -> String {
    json!({"channel": channel, "serviceUrl": SERVICE, "conversation": conversation, "locale": "ru",
           "bot": {"id": "28:b", "name": "Bot"}, "user": {"id": "29:a", "name": "Anna"}})
    .to_string()
}

fn outgoing(kind: OutgoingKind) -> Outgoing {
    Outgoing {
        connector: String::from("botframework.msteams"),
        chat: String::from("a:1"),
        im: PortalRef::default(),
        kind,
        service_url: None,
    }
}

fn text(text: &str) -> OutgoingKind {
    OutgoingKind::Send { text: text.to_owned(), files: vec![] }
}

fn file(name: &str, mime: Option<&str>) -> OutFile {
    OutFile { name: name.to_owned(), link: format!("https://p.test/{name}"), image: false, mime: mime.map(Into::into) }
}

impl Rig {
    fn step(&self, chat: &str, kind: OutgoingKind, progress: &mut Progress) -> Result<Step, SendError> {
        let known = progress.aliases.clone();
        let resolve = |id: &str| known.iter().find(|(short, _)| short == id).map(|(_, long)| long.clone());
        self.bot.send(&settings(), Some(chat), &outgoing(kind), &resolve, progress)
    }

    /// Steps to the end or the first failure.
    fn whole(&self, chat: &str, kind: &OutgoingKind, progress: &mut Progress) -> Result<(), SendError> {
        while self.step(chat, kind.clone(), progress)? == Step::More {}
        Ok(())
    }

    fn send(&self, chat: &str, kind: &OutgoingKind) -> Result<(), SendError> {
        self.whole(chat, kind, &mut Progress::default())
    }
}

/// Ours go out in order, under a token, and a retry goes on after the parts that have left.
#[test]
fn parts_leave_in_order_and_once() {
    let rig = rig();
    let chat = record("msteams", &json!({"id": "19:a b+c@x;y=1|2/é"}));
    let kind = OutgoingKind::Send { text: String::from("hello"), files: vec![file("f1", None), file("f2", None)] };
    let mut progress = Progress::default();
    for (status, code) in [(401, "Unauthorized"), (200, ""), (429, "Throttled")] {
        rig.service.then(status, code);
    }
    rig.service.answers.lock().unwrap()[1] = Ok(answer(200, &json!({"id": "first"})));
    assert_eq!(rig.step(&chat, kind.clone(), &mut progress), Ok(Step::More));
    assert!(matches!(rig.step(&chat, kind.clone(), &mut progress), Err(SendError::Retry { ambiguous: false, .. })));
    assert_eq!((progress.parts, rig.service.token_fetches.load(Ordering::SeqCst)), (1, 2));
    assert_eq!(rig.step(&chat, kind.clone(), &mut progress), Ok(Step::More));
    assert_eq!(rig.step(&chat, kind, &mut progress), Ok(Step::Done));
    assert_eq!(progress.ids, ["first", "m4", "m5"]);
    let heard = rig.service.heard();
    assert_eq!(
        heard[0].1,
        "https://smba.example.test/emea/v3/conversations/19%3Aa%20b%2Bc%40x%3By%3D1%7C2%2F%C3%A9/activities"
    );
    let told: Vec<&str> = heard[1..].iter().map(|(_, _, body)| body["text"].as_str().unwrap()).collect();
    assert_eq!(told, ["hello", "f1: https://p.test/f1", "f1: https://p.test/f1", "f2: https://p.test/f2"]);
}

fn edit(ids: &[&str], text: &str) -> OutgoingKind {
    OutgoingKind::Update { ids: ids.iter().map(|id| (*id).to_owned()).collect(), text: text.to_owned() }
}

/// A text for two Facebook messages.
fn long_text() -> String {
    "word ".repeat(500)
}

/// An edit is made in place; what it adds gets an id of its own, what it leaves over goes, and files stay.
#[test]
fn edits_grow_and_shrink() {
    let rig = rig();
    let chat = record("facebook", &json!({"id": "100-200"}));
    let calls = |rig: &Rig| -> Vec<String> {
        let heard = rig.service.heard();
        let end = |url: &str| url.split("/activities").nth(1).unwrap().to_owned();
        heard.into_iter().map(|(method, url, _)| format!("{method} {}", end(&url))).collect()
    };
    let mut same = Progress::default();
    rig.whole(&chat, &edit(&["a"], "short"), &mut same).unwrap();
    assert_eq!(same.ids, ["a"], "nothing to tell the portal");
    let mut grown = Progress::default();
    rig.whole(&chat, &edit(&["a"], &long_text()), &mut grown).unwrap();
    assert_eq!(grown.ids, ["a", "m3"]);
    assert_eq!(calls(&rig), ["PUT /a", "PUT /a", "POST "]);

    // One of the parts left over is gone already, as it is after a try that was carried out without an answer.
    let shrinking = self::rig();
    for (status, code) in [(200, ""), (404, "ActivityNotFoundInConversation")] {
        shrinking.service.then(status, code);
    }
    let mut shrunk = Progress::default();
    shrinking.whole(&chat, &edit(&["a", "b", "c"], "short"), &mut shrunk).unwrap();
    assert_eq!(shrunk.ids, ["a"]);
    assert_eq!(calls(&shrinking), ["PUT /a", "DELETE /b", "DELETE /c"]);

    // The file of a message is no part of its text.
    let with_file = self::rig();
    let mut sent = Progress::default();
    let kind = OutgoingKind::Send { text: String::from("see"), files: vec![file("f", None)] };
    with_file.whole(&chat, &kind, &mut sent).unwrap();
    assert_eq!(sent.ids, ["m1", "m2"]);
    let mut edited = Progress { aliases: sent.aliases, ..Progress::default() };
    with_file.whole(&chat, &edit(&["m1", "m2"], "look"), &mut edited).unwrap();
    assert_eq!(edited.ids, ["m1", "m2"]);
    assert_eq!(calls(&with_file), ["POST ", "POST ", "PUT /m1"]);
    with_file.whole(&chat, &OutgoingKind::Delete { id: String::from("m2") }, &mut edited.clone()).unwrap();
}

/// A deletion that an earlier try has made is done; one of a message that was never there is told.
#[test]
fn a_deletion_is_done_when_the_message_is_gone() {
    let chat = record("msteams", &json!({"id": "a:1"}));
    let delete = OutgoingKind::Delete { id: String::from("a") };
    for (unknown, done) in [(1, true), (0, false)] {
        let rig = rig();
        rig.service.then(404, "ActivityNotFoundInConversation");
        let mut progress = Progress { unknown, ..Progress::default() };
        assert_eq!(rig.whole(&chat, &delete, &mut progress).is_ok(), done);
    }
}

/// `portal-box.md` §11: ids over 100 characters get a short one that still leads to the message.
#[test]
fn long_ids_are_kept_also_across_a_retry() {
    let rig = rig();
    let chat = record("facebook", &json!({"id": "100-200"}));
    let (first, second) = ("x".repeat(101), "y".repeat(300));
    let id = |id: &str| Ok(answer(201, &json!({"id": id})));
    rig.service.answers.lock().unwrap().extend([id(&first), Err(gone()), id(&second)]);
    let mut progress = Progress::default();
    assert!(rig.whole(&chat, &text(&long_text()), &mut progress).is_err());
    rig.whole(&chat, &text(&long_text()), &mut progress).unwrap();
    let [one, two] = &progress.ids[..] else { panic!("{progress:?}") };
    assert!(one.len() <= 100 && two.len() <= 100 && one != two);
    assert_eq!(progress.aliases, [(one.clone(), first.clone()), (two.clone(), second)]);
    let mut edited = Progress { aliases: progress.aliases.clone(), ..Progress::default() };
    rig.whole(&chat, &edit(&[one], "short"), &mut edited).unwrap();
    assert!(rig.service.heard().last().unwrap().1.ends_with(&format!("/activities/{first}")));
}

/// Nothing to show is never silently "sent".
#[test]
fn empty_messages_are_refused() {
    let chat = record("msteams", &json!({"id": "a:1"}));
    for kind in [text(""), text(" [b] [/b]\n"), edit(&["a", "b"], "")] {
        let rig = rig();
        let refused = rig.send(&chat, &kind);
        assert!(matches!(refused, Err(SendError::Permanent { code: "EMPTY", .. })), "{kind:?} {refused:?}");
        assert!(rig.service.heard().is_empty());
    }
}

/// `botframework.md` §4.3: composed from the record of the chat, groups without a recipient.
#[test]
fn a_message_is_composed_from_the_chats_record() {
    let rig = rig();
    let conversation = json!({"id": "a:1", "conversationType": "personal", "tenantId": "t-1"});
    rig.send(&record("msteams", &conversation), &text("[b]Anna:[/b][br] 1 < 2")).unwrap();
    let group = json!({"id": "19:x@thread.v2", "isGroup": true, "conversationType": "groupChat"});
    rig.send(&record("msteams", &group), &text("hi")).unwrap();
    rig.send(&record("msteams", &json!({"id": "19:y", "conversationType": "channel"})), &text("hi")).unwrap();
    rig.send(&record("msteams", &conversation), &OutgoingKind::Typing).unwrap();
    let image = file("p.png", Some("image/png"));
    let with_image = OutgoingKind::Send { text: String::new(), files: vec![image] };
    rig.send(&record("msteams", &conversation), &with_image).unwrap();
    let bodies: Vec<Value> = rig.service.heard().into_iter().map(|(_, _, body)| body).collect();
    let common = json!({"type": "message", "from": {"id": "28:b", "name": "Bot"}, "locale": "ru"});
    let whole = |more: Value| {
        let mut body = common.clone();
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    let anna = json!({"id": "29:a", "name": "Anna"});
    assert_eq!(
        bodies,
        [
            whole(json!({"conversation": conversation, "recipient": anna, "textFormat": "xml",
                "text": "<strong>Anna:</strong><br/>1 &lt; 2"})),
            whole(json!({"conversation": group, "textFormat": "xml", "text": "hi"})),
            whole(
                json!({"conversation": {"id": "19:y", "conversationType": "channel"}, "textFormat": "xml", "text": "hi"})
            ),
            whole(json!({"type": "typing", "conversation": conversation, "recipient": anna})),
            whole(json!({"conversation": conversation, "recipient": anna, "textFormat": "plain",
                "attachments": [{"contentType": "image/png", "contentUrl": "https://p.test/p.png", "name": "p.png"}]})),
        ]
    );
    let calls = rig.service.calls.lock().unwrap();
    let sent = calls.iter().find(|call| call.url.contains("/v3/")).unwrap();
    let header = |name: &str| sent.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    assert_eq!(header("authorization"), Some("Bearer t0"));
    assert_eq!(header("content-type"), Some("application/json; charset=utf-8"));
    assert_eq!(header("accept"), Some("application/json"));
}

/// `botframework.md` §4.1: exactly one slash, whatever the address ends with; no segment leaves its place.
#[test]
fn addresses() {
    for (service, conversation, want) in [
        ("https://s.test", "c", "https://s.test/v3/conversations/c/activities"),
        ("https://s.test/", "c", "https://s.test/v3/conversations/c/activities"),
        ("https://s.test/emea//", "a/b c+d~e", "https://s.test/emea/v3/conversations/a%2Fb%20c%2Bd~e/activities"),
    ] {
        let rig = rig();
        let chat = json!({"channel": "msteams", "serviceUrl": service, "conversation": {"id": conversation}});
        rig.send(&chat.to_string(), &text("hi")).unwrap();
        assert_eq!(rig.service.heard()[0].1, want);
    }
    for (service, conversation, id) in [
        ("http://s.test/", "c", "x"),
        ("ftp://s.test/", "c", "x"),
        ("https://s.test/", "..", "x"),
        ("https://s.test", "c", ".."),
    ] {
        let rig = rig();
        let chat = json!({"channel": "msteams", "serviceUrl": service, "conversation": {"id": conversation}});
        let delete = OutgoingKind::Delete { id: id.to_owned() };
        let refused = rig.send(&chat.to_string(), &delete);
        assert!(matches!(refused, Err(SendError::Permanent { .. })), "{service} {conversation}: {refused:?}");
        assert!(rig.service.calls.lock().unwrap().is_empty(), "not even a token");
    }
}

/// `botframework.md` §4.3: a portal's copy of the address is replayable and may belong to another chat, because
/// portals look it up with wildcards. Ours wins; without one there is nowhere to send to.
#[test]
fn the_portals_copy_of_the_address_decides_nothing() {
    let rig = rig();
    let message = Outgoing { service_url: Some(String::from("https://evil.test/")), ..outgoing(text("hi")) };
    let chat = record("msteams", &json!({"id": "a:1"}));
    let sent = rig.bot.send(&settings(), Some(&chat), &message, &|_| None, &mut Progress::default());
    assert_eq!(sent, Ok(Step::Done));
    let unknown = rig.bot.send(&settings(), None, &message, &|_| None, &mut Progress::default());
    assert!(matches!(unknown, Err(SendError::Permanent { code: "CHAT_UNKNOWN", .. })));
    let urls: Vec<String> = rig.service.calls.lock().unwrap().iter().map(|call| call.url.clone()).collect();
    assert!(urls.iter().all(|url| !url.contains("evil")), "{urls:?}");
}

/// `botframework.md` §4.2, row by row.
#[test]
fn answers_are_classed_as_the_reference_says() {
    let chat = record("telegram", &json!({"id": "1"}));
    let class = |status: u16, code: &str| {
        let rig = rig();
        // A refused token is fetched anew once.
        for _ in 0..2 {
            rig.service.then(status, code);
        }
        match rig.send(&chat, &text("hi")).unwrap_err() {
            SendError::Retry { ambiguous, .. } => format!("retry {ambiguous}"),
            SendError::Permanent { code, .. } => code.to_owned(),
            SendError::Auth { .. } => String::from("auth"),
        }
    };
    for (status, code, want) in [
        (400, "BadSyntax", "REFUSED"),
        (400, "BadArgument", "REFUSED"),
        (401, "Unauthorized", "auth"),
        (401, "BotNotRegistered", "auth"),
        (403, "BotDisabledByAdmin", "BLOCKED"),
        (403, "BotNotInConversationRoster", "BLOCKED"),
        (403, "ConversationBlockedByUser", "BLOCKED"),
        (403, "MessageWritesBlocked", "BLOCKED"),
        (403, "ForbiddenOperationException", "BLOCKED"),
        (404, "ConversationNotFound", "CHAT_GONE"),
        (404, "ActivityNotFoundInConversation", "MESSAGE_GONE"),
        (404, "ServiceError", "CHAT_GONE"),
        (405, "", "UNSUPPORTED"),
        (501, "", "UNSUPPORTED"),
        (412, "PreconditionFailed", "retry false"),
        (413, "MessageSizeTooBig", "TOO_BIG"),
        (415, "", "REFUSED"),
        (429, "Throttled", "retry false"),
        (500, "ServiceError", "retry true"),
        (502, "BotTimeout", "retry false"),
        (503, "ServiceUnavailable", "retry false"),
        (504, "GatewayTimeout", "retry false"),
    ] {
        assert_eq!(class(status, code), want, "{status} {code}");
    }
    let slow = rig();
    slow.service.answers.lock().unwrap().push_back(Err(NetError::Timeout(Duration::from_secs(30))));
    assert!(matches!(slow.send(&chat, &text("hi")), Err(SendError::Retry { ambiguous: true, .. })));
    let busy = rig();
    let headers = vec![(String::from("retry-after"), String::from("17"))];
    busy.service.answers.lock().unwrap().push_back(Ok(Answer { headers, ..answer(429, &json!({})) }));
    let wait = Some(Duration::from_secs(17));
    assert!(matches!(busy.send(&chat, &text("hi")), Err(SendError::Retry { after, .. }) if after == wait));
    // An answer that is no JSON tells nothing but its status.
    let html = rig();
    let page = Answer { status: 403, body: b"<html>".to_vec(), ..Answer::default() };
    html.service.answers.lock().unwrap().push_back(Ok(page));
    let why = String::from("the channel answered 403");
    assert_eq!(html.send(&chat, &text("hi")), Err(SendError::Permanent { code: "BLOCKED", why }));
}

/// `botframework.md` §4.1 and §7: a form that the channel refuses leaves once more as plain text, a file as its link.
#[test]
fn a_refused_form_is_tried_once_more_as_plain_text() {
    let chat = record("msteams", &json!({"id": "a:1"}));
    let image = OutgoingKind::Send { text: String::new(), files: vec![file("p.png", Some("image/png"))] };
    for (kind, status, plain) in [
        (text("[b]Anna:[/b] 1 < 2"), 400, "Anna: 1 < 2"),
        (image.clone(), 400, "p.png: https://p.test/p.png"),
        (image.clone(), 413, "p.png: https://p.test/p.png"),
        (image, 415, "p.png: https://p.test/p.png"),
    ] {
        let rig = rig();
        rig.service.then(status, "BadArgument");
        rig.send(&chat, &kind).unwrap();
        let (_, _, again) = &rig.service.heard()[1];
        assert_eq!((again["textFormat"].as_str(), again["text"].as_str()), (Some("plain"), Some(plain)));
        assert!(again.get("attachments").is_none());
    }
    let rig = rig();
    rig.service.then(400, "BadArgument");
    let sms = record("sms", &json!({"id": "+1"}));
    assert!(rig.send(&sms, &text("plain already")).is_err());
    assert_eq!(rig.service.heard().len(), 1);
}

/// `botframework.md` §4.1: an answer without an id, or without a body, is an answer all the same.
#[test]
fn an_id_may_be_missing() {
    let chat = record("webchat", &json!({"id": "c"}));
    for body in [&b""[..], b"{}", b"{\"id\":null}", b"rubbish"] {
        let rig = rig();
        let answer = Answer { status: 202, body: body.to_vec(), ..Answer::default() };
        rig.service.answers.lock().unwrap().push_back(Ok(answer));
        let mut progress = Progress::default();
        rig.whole(&chat, &text("hi"), &mut progress).unwrap();
        assert_eq!(progress, Progress { parts: 1, ..Progress::default() });
    }
}

/// `botframework.md` §4.4: split at the service's own limit, counted in UTF-16 units.
#[test]
fn long_texts_are_split_at_the_services_limit() {
    for (channel, max, units) in [
        ("telegram", 4_096, "😀".repeat(2_048)),
        ("sms", 1_600, "a".repeat(1_600)),
        ("groupme", 1_000, "a".repeat(1_000)),
        ("facebook", 2_000, "a".repeat(2_000)),
        ("line", 5_000, "a".repeat(5_000)),
        ("msteams", 28_000, "я".repeat(28_000)),
    ] {
        for (written, parts) in [(units.clone(), 1), (format!("{units}a"), 2)] {
            let rig = rig();
            rig.send(&record(channel, &json!({"id": "c"})), &text(&written)).unwrap();
            let heard = rig.service.heard();
            assert_eq!(heard.len(), parts, "{channel}");
            assert!(heard.iter().all(|(.., body)| body["text"].as_str().unwrap().encode_utf16().count() <= max));
        }
    }
}

/// `botframework.md` §2.6: without authentication no token is asked for or attached, and only this machine is called.
#[test]
fn without_authentication_no_token_leaves() {
    let rig = rig_with(&Options { authentication: Authentication::Off, ..Options::default() });
    let chat = |service: &str| json!({"channel": "x", "serviceUrl": service, "conversation": {"id": "c"}}).to_string();
    rig.send(&chat("http://127.0.0.1:3978/"), &text("hi")).unwrap();
    assert!(rig.send(&chat("https://s.test/"), &text("hi")).is_err());
    let calls = rig.service.calls.lock().unwrap();
    assert!(calls.len() == 1 && calls[0].headers.iter().all(|(name, _)| name != "authorization"));
}
