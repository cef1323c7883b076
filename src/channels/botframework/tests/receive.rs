//! From activities to what is stored (`botframework.md` §1, §5).

use super::*;
use crate::message::{Attachment, FileLink, Incoming, IncomingKind};

fn of(channel: &str, text: &str) -> Value {
    with(with(body(), "channelId", json!(channel)), "text", json!(text))
}

fn typed(kind: &str) -> Value {
    with(body(), "type", json!(kind))
}

fn message(activity: &Value) -> Incoming {
    let mut received = received(activity);
    assert_eq!(received.messages.len(), 1, "{activity}");
    received.messages.remove(0)
}

fn key(activity: &Value) -> Option<String> {
    message(activity).key
}

/// The record that a later send reads.
fn data(activity: &Value) -> Value {
    serde_json::from_str(&received(activity).chats[0].data).unwrap()
}

/// §1.2: what tells a repeat from a new event.
#[test]
fn keys() {
    let first = body();
    assert_eq!(key(&first), key(&with(body(), "timestamp", json!("2026-01-01T00:00:00Z"))), "a repeat is a repeat");
    for (what, other) in [
        ("channel", with(body(), "channelId", json!("webchat"))),
        ("bot", with(body(), "recipient", json!({"id": "28:c"}))),
        ("conversation", with(body(), "conversation", json!({"id": "a:2"}))),
        ("type", typed("messageDelete")),
        ("id", with(body(), "id", json!("2"))),
    ] {
        assert_ne!(key(&first), key(&other), "{what}");
    }
    let edit =
        |at: &str, text: &str| key(&with(with(typed("messageUpdate"), "text", json!(text)), "timestamp", json!(at)));
    let (one, two) = ("2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z");
    assert_eq!(edit(one, "a"), edit(one, "a"));
    assert_ne!(edit(one, "a"), edit(two, "a"), "back to the first text");
    assert_ne!(edit(one, "a"), edit(one, "b"), "twice within the clock's step");
    let deletion = |at: &str| key(&with(typed("messageDelete"), "timestamp", json!(at)));
    assert_eq!(deletion(one), deletion(one));
    assert_ne!(deletion(one), deletion(two), "deleted, restored, deleted again");
    for kind in ["message", "messageUpdate", "messageDelete"] {
        assert_eq!(key(&with(typed(kind), "id", Value::Null)), None, "{kind} without an id is never a repeat");
    }
    let without = message(&with(body(), "id", Value::Null));
    assert!(!without.message_id.is_empty(), "the portal needs one all the same");
}

/// §1.4, type by type.
#[test]
fn every_type_of_activity() {
    for (activity, kind) in [
        (typed("message"), IncomingKind::Message),
        (typed("messageUpdate"), IncomingKind::Update),
        (with(typed("messageUpdate"), "channelData", json!({"eventType": "undeleteMessage"})), IncomingKind::Update),
        (typed("messageDelete"), IncomingKind::Delete),
        (typed("typing"), IncomingKind::Typing),
    ] {
        let message = message(&activity);
        assert_eq!(message.kind, kind);
        let text = if matches!(kind, IncomingKind::Message | IncomingKind::Update) { "hi" } else { "" };
        assert_eq!(message.text, text);
    }
    for kind in [
        "conversationUpdate",
        "contactRelationUpdate",
        "installationUpdate",
        "messageReaction",
        "event",
        "endOfConversation",
        "invokeResponse",
        "trace",
        "suggestion",
        "handoff",
        "command",
        "commandResult",
        "deleteUserData",
        "ping",
        "somethingNew",
    ] {
        let received = received(&typed(kind));
        assert!(received.messages.is_empty() && received.read.is_empty(), "{kind}");
        assert_eq!((received.chats.len(), received.chats[0].closed), (1, false), "{kind}");
    }
    assert_eq!(received(&typed("invoke")), Received::default());
    let receipt = with(typed("event"), "name", json!("application/vnd.microsoft.readReceipt"));
    let receipt = received(&with(receipt, "value", json!({"lastReadMessageId": 1_500_000_000_001_i64})));
    let (connector, chat, id) = &receipt.read[0];
    assert_eq!((connector.as_str(), chat.as_str(), id.as_str()), ("botframework.msteams", "a:1", "1500000000001"));
    let other = with(typed("event"), "value", json!({"lastReadMessageId": "1"}));
    assert!(received(&other).read.is_empty());
}

/// §1.1 and §1.4: what the channel gets for an answer.
#[test]
fn answers() {
    let answer = |activity: &Value| {
        let answer = rig().bot.answer(&proved(activity));
        (answer.status, String::from_utf8(answer.body).unwrap())
    };
    assert_eq!(answer(&body()), (200, String::new()));
    assert_eq!(
        answer(&with(body(), "deliveryMode", json!("expectReplies"))),
        (200, String::from(r#"{"activities":[]}"#))
    );
    assert_eq!(answer(&with(body(), "deliveryMode", json!("notification"))), (200, String::new()));
    assert_eq!(answer(&typed("invoke")), (501, String::new()));
    assert_eq!(answer(&with(typed("invoke"), "name", json!("fileConsent/invoke"))), (200, String::new()));
}

/// §1.4: the bot out of the chat closes it; whatever comes later opens it again.
#[test]
fn a_chat_without_the_bot_is_closed() {
    let closed = |activity: &Value| received(activity).chats[0].closed;
    let members = |id: &str| with(typed("conversationUpdate"), "membersRemoved", json!([{"id": id}]));
    assert!(closed(&members("28:b")));
    assert!(!closed(&members("29:a")), "somebody else left");
    for kind in ["contactRelationUpdate", "installationUpdate"] {
        for (action, want) in [("add", false), ("remove", true), ("add-upgrade", false), ("remove-upgrade", false)] {
            assert_eq!(closed(&with(typed(kind), "action", json!(action))), want, "{kind} {action}");
        }
    }
    assert!(!closed(&body()));
    assert!(!closed(&typed("endOfConversation")), "later sends may fail, so they are tried");
}

/// §1.3: the record names what the activity knows; an event does not know the customer.
#[test]
fn the_record_holds_what_a_later_send_needs() {
    let conversation =
        json!({"id": "19:x", "isGroup": true, "conversationType": "channel", "tenantId": "t", "name": "n"});
    let whole = with(with(body(), "conversation", conversation), "locale", json!("ru"));
    assert_eq!(
        data(&whole),
        json!({"channel": "msteams", "serviceUrl": SERVICE, "locale": "ru",
            "conversation": {"id": "19:x", "isGroup": true, "conversationType": "channel", "tenantId": "t"},
            "bot": {"id": "28:b", "name": "Bot"}, "user": {"id": "29:a", "name": "Anna"}})
    );
    let event = typed("conversationUpdate");
    assert_eq!(
        data(&event),
        json!({"channel": "msteams", "serviceUrl": SERVICE, "conversation": {"id": "a:1"},
            "bot": {"id": "28:b", "name": "Bot"}})
    );
    assert!(!received(&event).chats[0].by_customer);
    assert_eq!(received(&body()), received(&body()), "the same event stores the same bytes");
    let route = message(&body()).route.unwrap();
    assert_eq!((route.recipient_id.as_str(), route.service_url.as_str()), ("28:b", SERVICE));
}

/// §5.1: every service has its portal id; those without one share Direct Line's, kept apart by their own.
#[test]
fn services_and_their_portal_ids() {
    for (channel, connector) in [
        ("msteams", "botframework.msteams"),
        ("webchat", "botframework.webchat"),
        ("directline", "botframework.directline"),
        ("directlinespeech", "botframework.directline"),
        ("email", "botframework.emailoffice365"),
        ("sms", "botframework.twilio"),
        ("twilio-sms", "botframework.twilio"),
        ("telegram", "botframework.telegram"),
        ("facebook", "botframework.facebookmessenger"),
        ("slack", "botframework.slack"),
        ("groupme", "botframework.groupme"),
        ("skype", "botframework.skype"),
        ("skypeforbusiness", "botframework.skype"),
        ("kik", "botframework.kik"),
    ] {
        let message = message(&of(channel, "hi"));
        assert_eq!((message.connector.as_str(), message.chat.id.as_str()), (connector, "a:1"), "{channel}");
    }
    for channel in ["line", "wechat", "acs", "omnichannel", "outlook", "alexa", "emulator", "tomorrow", "MSTeams"] {
        let activity = of(channel, "hi");
        let message = message(&activity);
        assert_eq!(message.connector, "botframework.directline", "{channel}");
        assert_eq!(message.chat.id, format!("{channel}:a:1"));
        assert_eq!(message.user.id, format!("{channel}:29:a"));
        assert_eq!(data(&activity)["channel"], channel, "the service itself decides conversion");
    }
}

/// `portal-box.md` §11.
#[test]
fn ids_fit_the_portal() {
    let conversation = |id: &str| message(&with(body(), "conversation", json!({"id": id}))).chat.id;
    assert_eq!(conversation(&"c".repeat(150)).len(), 150);
    for id in ["c".repeat(151), String::from("a|b"), String::from("a\0b")] {
        let short = conversation(&id);
        assert!(short.len() == 27 && short.starts_with('~'), "{short}");
        assert_eq!(data(&with(body(), "conversation", json!({"id": id})))["conversation"]["id"], id.as_str());
    }
    let user = |id: &str| message(&with(body(), "from", json!({"id": id, "name": "A"}))).user.id;
    assert_eq!((user(&"u".repeat(32)).len(), user(&"u".repeat(33)).len()), (32, 27));
    let direct_line = with(body(), "id", json!("conversation|0000003"));
    assert_eq!(message(&direct_line).message_id, "conversation|0000003");
    for id in ["x".repeat(101), String::from("a\nb")] {
        let received = received(&with(body(), "id", json!(id)));
        assert_eq!(received.aliases, [(received.messages[0].message_id.clone(), id)]);
    }
    let named = with(body(), "from", json!({"id": "29:a", "name": "[b]A&B</script>\u{0}\n".repeat(10)}));
    let name = message(&named).user.name;
    assert!(name.chars().count() <= 50 && !name.contains(['[', '<', '&', '\n', '\0']), "{name}");
}

/// §1.2: dates are the channel's; without one it is the time of acceptance, which a later delivery must not change.
#[test]
fn dates() {
    let date = |timestamp: Value| message(&with(body(), "timestamp", timestamp)).date.unwrap();
    assert_eq!(date(json!("2017-07-14T02:40:00.1234567Z")), 1_500_000_000);
    assert_eq!(date(json!("2017-07-14T02:40:00+00:00")), 1_500_000_000);
    assert_eq!(date(json!("2017-07-14T05:40:00.1+03:00")), 1_500_000_000);
    for odd in [Value::Null, json!("yesterday"), json!({})] {
        assert_eq!(date(odd), NOW);
    }
}

/// §1.4: nothing is dropped silently.
#[test]
fn a_message_without_text_says_what_it_has() {
    let empty = || with(body(), "text", Value::Null);
    for (activity, want) in [
        (empty(), "(empty message)"),
        (with(empty(), "text", json!(" \u{0}\u{7}\n ")), "(empty message)"),
        (with(with(empty(), "summary", json!("in short")), "value", json!("v")), "in short"),
        (with(empty(), "value", json!({"text": "Option B", "choice": 2})), "Option B"),
        (with(empty(), "value", json!({"choice": 2})), "choice: 2"),
        (with(empty(), "value", json!("pressed")), "pressed"),
        (with(empty(), "attachments", json!([{"contentType": "application/x-odd"}])), "(application/x-odd)"),
        (with(empty(), "attachments", json!([{}])), "(attachment)"),
        (with(empty(), "attachments", json!([{"contentType": "text/plain", "content": "just text"}])), "just text"),
        (
            with(
                empty(),
                "attachments",
                json!([{"contentType": "text/html", "content": "<p>hi&nbsp;<img alt=\"😀\"/></p>"}]),
            ),
            "hi 😀",
        ),
        (
            with(
                with(of("telegram", ""), "attachments", Value::Null),
                "channelData",
                json!({"message": {"sticker": {"emoji": "🎉"}}}),
            ),
            "🎉",
        ),
        (with(of("facebook", ""), "channelData", json!({"postback": {"title": "Start", "payload": "P"}})), "Start"),
        (with(of("facebook", ""), "channelData", json!({"message": {"quick_reply": {"payload": "RED"}}})), "RED"),
    ] {
        let message = message(&activity);
        assert_eq!((message.text.as_str(), message.files.len()), (want, 0), "{activity}");
    }
    let repeated = json!([{"contentType": "text/html", "content": "<p>hi</p>"}]);
    assert_eq!(message(&with(body(), "attachments", repeated)).text, "hi", "the HTML only repeats the text");
}

/// Groups: the portal shows each message under its own user, so the text stays as it was written.
#[test]
fn group_messages_keep_their_text() {
    let group = with(body(), "conversation", json!({"id": "19:x", "isGroup": true}));
    let entity = json!([{"type": "mention", "text": "<at>Bot</at>", "mentioned": {"id": "28:b", "name": "Bot"}}]);
    let message = message(&with(with(group, "text", json!("<at>Bot</at>: help&nbsp;me")), "entities", entity));
    assert_eq!((message.text.as_str(), message.user.name.as_str()), ("help me", "Anna"));
}

fn attached(channel: &str, attachment: &Value) -> Incoming {
    message(&with(of(channel, ""), "attachments", json!([attachment])))
}

/// §5.5, row by row: who is given which link, and who needs the token for it.
#[test]
fn files_become_links() {
    let smba = "https://smba.trafficmanager.net/emea/v3/attachments/1/views/original";
    for (channel, attachment, want) in [
        (
            "msteams",
            json!({"contentType": "application/vnd.microsoft.teams.file.download.info", "name": "price list.pdf",
                "contentUrl": "https://c.sharepoint.example/p.pdf",
                "content": {"downloadUrl": "https://c.sharepoint.example/d?tempauth=x", "fileType": "pdf"}}),
            ("https://c.sharepoint.example/d?tempauth=x", Some("price list.pdf"), None, false),
        ),
        (
            "msteams",
            json!({"contentType": "application/vnd.microsoft.teams.file.download.info", "name": "price",
                "content": "{\"downloadUrl\": \"https://c.sharepoint.example/d\", \"fileType\": \"docx\"}"}),
            ("https://c.sharepoint.example/d", Some("price.docx"), None, false),
        ),
        ("msteams", json!({"contentType": "image/*", "contentUrl": smba}), (smba, Some("file.jpg"), None, true)),
        (
            "msteams",
            json!({"contentType": "image/gif", "contentUrl": "https://cdn.example/e.gif"}),
            ("https://cdn.example/e.gif", Some("file.gif"), Some("image/gif"), false),
        ),
        (
            "skype",
            json!({"contentType": "image", "name": "a/b\\c.png", "contentUrl": "https://df-api.asm.skype.com/v2/attachments/1/views/original"}),
            ("https://df-api.asm.skype.com/v2/attachments/1/views/original", Some("c.png"), None, true),
        ),
        (
            "telegram",
            json!({"contentType": "image/jpeg", "contentUrl": "https://telegram.botframework.com/v3/attachments/1/views/original"}),
            (
                "https://telegram.botframework.com/v3/attachments/1/views/original",
                Some("file.jpg"),
                Some("image/jpeg"),
                false,
            ),
        ),
        (
            "facebook",
            json!({"contentType": "audio/mpeg", "contentUrl": "https://cdn.fbsbx.example/v.mp3?oh=1"}),
            ("https://cdn.fbsbx.example/v.mp3?oh=1", Some("file.mp3"), Some("audio/mpeg"), false),
        ),
        (
            "webchat",
            json!({"contentType": "application/pdf", "contentUrl": "https://webchat.botframework.com/attachments/1/0/a.pdf",
                "name": "https://x.example/dir/a.pdf?sig=1"}),
            ("https://webchat.botframework.com/attachments/1/0/a.pdf", Some("a.pdf"), Some("application/pdf"), false),
        ),
        (
            "acs",
            json!({"contentType": "image/png", "contentUrl": "https://acs.botframework.com/v3/attachments/1/views/original"}),
            ("https://acs.botframework.com/v3/attachments/1/views/original", Some("file.png"), Some("image/png"), true),
        ),
    ] {
        let message = attached(channel, &attachment);
        let (url, name, mime, protected) = want;
        let want = FileLink { url: url.into(), name: name.map(Into::into), mime: mime.map(Into::into), protected };
        assert_eq!((message.files, message.text.as_str()), (vec![want], ""), "{channel} {attachment}");
    }
    // Only the allowed hosts, only over https, ever get a token.
    for url in [
        "http://smba.trafficmanager.net/v3/attachments/1",
        "https://smba.trafficmanager.net.evil.test/v3/attachments/1",
        "https://evil.test/smba.trafficmanager.net",
        "https://x.smba.trafficmanager.net/",
        "https://evilskype.com/v2/attachments/1",
        "https://smba.trafficmanager.net:8443/v3/attachments/1",
        "https://user@smba.trafficmanager.net/v3/attachments/1",
    ] {
        let message = attached("msteams", &json!({"contentType": "image/png", "contentUrl": url}));
        assert!(!message.files[0].protected, "{url}");
    }
}

/// §5.5: what cannot be a file is text.
#[test]
fn what_is_no_file_is_told() {
    let private = "https://files.slack.com/files-pri/T1-F1/p.png";
    let slack = json!({"contentType": "image/png", "contentUrl": private, "name": "p.png"});
    assert_eq!(attached("slack", &slack).text, format!("p.png\n{private}"));
    let page = "https://acme.slack.com/files/U1/F1/p.png";
    let data = json!({"SlackMessage": {"event": {"files": [{"url_private": private, "permalink": page}]}}, "ApiToken": "MARK"});
    let with_page = with(with(of("slack", ""), "attachments", json!([slack])), "channelData", data);
    let message = message(&with_page);
    assert_eq!((message.text.as_str(), message.files.len()), (format!("p.png\n{page}").as_str(), 0));
    assert!(!format!("{:?}", received(&with_page)).contains("MARK"), "the live token is stored nowhere");
    for (url, want) in [
        ("data:image/png;base64,iVBORw0KGgo=", "dot.png (8 bytes inside the message, which can't be passed on)"),
        ("data:text/plain,a%20b", "dot.png (3 bytes inside the message, which can't be passed on)"),
        ("ftp://ex.test/dot.png", "dot.png\nftp://ex.test/dot.png"),
        ("javascript:alert(1)", "dot.png\njavascript:alert(1)"),
        // A customer must not make the portal look into its own network.
        ("http://192.168.0.1/admin", "dot.png\nhttp://192.168.0.1/admin"),
    ] {
        let message =
            attached("directline", &json!({"contentType": "image/png", "contentUrl": url, "name": "dot.png"}));
        assert_eq!((message.text.as_str(), message.files.len()), (want, 0), "{url}");
    }
    let card = json!({"contentType": "application/vnd.microsoft.card.hero", "content": {"title": "[user=1]Sale[/user]",
        "images": [{"url": "https://ex.test/a.png"}], "buttons": [{"type": "openUrl", "title": "Go", "value": "https://ex.test"}]}});
    assert_eq!(attached("webchat", &card).text, "［user=1]Sale［/user]\nhttps://ex.test/a.png\nGo: https://ex.test");
    let folded =
        json!({"contentType": "application/vnd.microsoft.card.adaptive", "content": "{\"body\":[{\"text\":\"in\"}]}"});
    assert_eq!(attached("webchat", &folded).text, "in");
}

/// §5.4: what a message answers stands before it as the portal's quote block.
#[test]
fn quotes() {
    let content = json!({"messageId": "1500000000123", "messagePreview": "when?",
        "messageSender": {"user": {"displayName": "Anna [x]"}}});
    let dashes = "-".repeat(54);
    for content in [content.clone(), json!(content.to_string())] {
        let attachment = json!([{"contentType": "messageReference", "content": content}]);
        let answer = message(&with(of("msteams", "now"), "attachments", attachment));
        assert_eq!(answer.text, format!("{dashes}\nAnna (x)[2017-07-14 02:40]\nwhen?\n{dashes}\nnow"));
    }
    let odd = json!([{"contentType": "messageReference", "content": 5}]);
    assert_eq!(message(&with(of("msteams", "now"), "attachments", odd)).text, "now");
}

/// §5.4: places, however they come.
#[test]
fn places() {
    let point = |title: &str, text: &str| Attachment::Location {
        title: title.into(),
        text: text.into(),
        latitude: "1.5".into(),
        longitude: "-2".into(),
    };
    let geo = json!({"type": "GeoCoordinates", "latitude": 1.5, "longitude": "-2"});
    let place = json!({"type": "Place", "name": "Home", "address": "Street 1", "geo": geo});
    let address = json!({"type": "PostalAddress", "streetAddress": "Street 1", "addressLocality": "Town"});
    let fields = |entities: Value| with(of("telegram", ""), "entities", entities);
    let facebook = |key: &str, value: Value| with(of("facebook", ""), key, value);
    for (activity, want) in [
        (fields(json!([place])), point("Home", "Street 1")),
        (fields(json!([place, geo])), point("Home", "Street 1")),
        (fields(json!([with(place.clone(), "address", address)])), point("Home", "Town, Street 1")),
        (fields(json!([geo])), point("", "")),
        (
            facebook(
                "attachments",
                json!([{"contentType": "location", "name": "Pin", "content": {"coordinates": {"lat": 1.5, "long": -2}}}]),
            ),
            point("Pin", ""),
        ),
        (
            facebook(
                "channelData",
                json!({"message": {"attachments": [{"type": "location", "title": "Pin",
                "payload": {"coordinates": {"lat": 1.5, "long": -2}}}]}}),
            ),
            point("Pin", ""),
        ),
    ] {
        let message = message(&activity);
        assert_eq!((message.attachments, message.text.as_str()), (vec![want], ""), "{activity}");
    }
    for bad in [json!({"latitude": 91, "longitude": 0}), json!({"latitude": "NaN", "longitude": 0}), json!("1,2")] {
        let message = message(&fields(json!([{"type": "Place", "geo": bad}])));
        assert_eq!((message.attachments.len(), message.text.as_str()), (0, "(empty message)"));
    }
    let contact = json!({"message": {"contact": {"phone_number": "+1", "first_name": "Ann", "last_name": "Lee"}}});
    let message = message(&with(of("telegram", ""), "channelData", contact));
    assert_eq!(message.attachments, [Attachment::Contact { name: "Ann Lee".into(), phone: "+1".into() }]);
}

/// A mail's subject is shown once, at the start of a session.
#[test]
fn the_subject_of_a_mail() {
    let mail = with(of("email", "Dear shop"), "channelData", json!({"Subject": "Order <7>\n"}));
    let message = message(&mail);
    assert_eq!((message.text.as_str(), message.chat.description.as_deref()), ("Dear shop", Some("Order 7")));
    assert_eq!(self::message(&of("email", "x")).chat.description, None);
}

/// §1.3: any field may be null, missing or of another type; only what says nothing at all is refused.
#[test]
fn odd_activities() {
    for odd in [
        json!({"type": 5, "channelId": "x", "from": "x", "attachments": {}}),
        json!({"type": "message", "channelId": "x", "conversation": {"id": "c"}, "entities": [1, null], "attachments": [null, 5],
            "channelData": "text", "value": null, "membersAdded": {}, "serviceUrl": 7, "text": {"a": 1}, "from": null}),
    ] {
        assert!(rig().bot.receive(&proved(&odd), &settings()).is_ok(), "{odd}");
    }
    for bad in [json!([]), json!("x"), json!({}), json!({"type": null}), with(body(), "conversation", Value::Null)] {
        let refused = rig().bot.receive(&proved(&bad), &settings());
        assert!(matches!(refused, Err(Rejected::Malformed(_))), "{bad}");
    }
    assert_eq!(received(&with(typed("ping"), "conversation", Value::Null)), Received::default());
    let twice =
        Activity::parse(br#" {"type":"typing","type":"message","from":{"id":"a","id":1.5},"text":{}}"#).unwrap();
    assert_eq!((twice.kind.as_str(), twice.from.id.as_str(), twice.text.as_str()), ("message", "1.5", ""));
}
