//! What is pushed to portals of each version: limits, and what they would drop or break.

use super::*;
use crate::message::{Attachment, Route};

/// A message whose every text holds an emoji of two planes.
fn colourful() -> Incoming {
    let smile = |text: &str| format!("{text}😄🫠❤");
    Incoming {
        connector: "botframework.msteams".into(),
        kind: IncomingKind::Message,
        key: None,
        user: User {
            id: "777".into(),
            name: smile("Ivan"),
            last_name: smile("Petrov"),
            url: Some(smile("https://t.test/")),
            picture: Some(smile("https://cdn.test/?a=")),
            email: Some(smile("i@x.test")),
            phone: Some(smile("+7")),
        },
        chat: Chat {
            id: "c".into(), url: Some(smile("https://пример.test/")), description: Some(smile("General"))
        },
        message_id: "42".into(),
        date: Some(1_500_000_000),
        text: smile("Hello"),
        files: vec![
            FileLink {
                url: smile("https://cdn.test/"),
                name: Some(smile("f")),
                mime: Some(smile("x")),
                protected: false,
            },
            FileLink { url: "https://smba.test/1".into(), name: Some(smile("p")), mime: None, protected: true },
        ],
        attachments: vec![
            Attachment::Location { title: smile("A"), text: smile("B"), latitude: "1.5".into(), longitude: "2".into() },
            Attachment::Contact { name: smile("N"), phone: smile("1") },
        ],
        route: Some(Route {
            recipient_id: "28:b".into(),
            recipient_name: smile("Bot"),
            service_url: "https://s/".into(),
        }),
    }
}

fn data(version: &str, body: Body) -> Value {
    let body = pushed(&portal(version), "botframework.msteams", &[body]);
    let push = identity(version).read_push(body.as_bytes()).unwrap();
    assert!(push.signed);
    push.data.items().next().unwrap().clone()
}

fn message(version: &str, change: impl FnOnce(&mut Incoming)) -> Value {
    let mut message = colourful();
    change(&mut message);
    data(version, Body::Message(Box::new(message)))
}

fn at(value: &Value, path: &str) -> Option<Value> {
    path.split('/').try_fold(value.clone(), |value, name| match name.parse::<usize>() {
        Ok(place) => value.items().nth(place).cloned(),
        Err(_) => value.get(name).cloned(),
    })
}

fn text(value: &Value, path: &str) -> String {
    match at(value, path) {
        Some(Value::Str(text)) => text,
        other => panic!("{path}: {other:?}"),
    }
}

/// §6: "no supplementary-plane characters at all". Regression: file names, the bot's name and addresses kept theirs.
#[test]
fn nothing_beyond_the_basic_plane_reaches_an_old_portal() {
    let old = message("17.0.14", |_| ());
    let bytes = php::encode(&old);
    assert!(bytes.chars().all(|char| char.len_utf16() == 1), "{bytes}");
    assert_eq!(text(&old, "message/files/0/name"), "f:smile:(melting face):heart:");
    assert_eq!(text(&old, "recipient/name"), "Bot:smile:(melting face):heart:");
    assert_eq!(text(&old, "chat/url"), "https://xn--e1afmkfd.test/%F0%9F%98%84%F0%9F%AB%A0%E2%9D%A4");
    let failed = Notice::Failed {
        im: PortalRef { chat_id: "1".into(), message_id: "2".into() },
        chat: "c".into(),
        deleting: false,
        code: "X".into(),
        text: "no 😄".into(),
        customer: None,
    };
    assert!(text(&data("18.7.200", Body::Notice(failed)), "message/text").ends_with("no :smile:"));
    for version in ["20.0.75", "26.100.0"] {
        let new = message(version, |_| ());
        assert_eq!(text(&new, "message/files/0/name"), "f😄🫠❤");
        assert_eq!(text(&new, "user/name"), "Ivan😄🫠❤");
    }
}

/// §11. A short name that the cut would leave without its end goes as a whole.
#[test]
fn names_keep_to_their_limit() {
    let name =
        |version: &str, name: &str| text(&message(version, |message| message.user.name = name.into()), "user/name");
    assert_eq!(name("20.0.75", &"я".repeat(60)), "я".repeat(50));
    assert_eq!(name("17.0.14", &format!("{}😄", "я".repeat(44))), format!("{}", "я".repeat(44)));
    assert_eq!(name("17.0.14", &format!("{}😄", "я".repeat(43))), format!("{}:smile:", "я".repeat(43)));
    assert_eq!(name("17.0.14", &"😄".repeat(60)), ":smile:".repeat(7));
    let long = message("20.0.75", |message| message.message_id = "x".repeat(120));
    assert_eq!(text(&long, "message/id"), "x".repeat(100));
}

/// `portal-box-observed.md` §6: without user, text and file a message is confirmed, answered OK, and gone.
#[test]
fn nothing_is_pushed_that_the_portal_would_drop() {
    let bare = |message: &mut Incoming| {
        (message.text, message.files, message.attachments) = (String::new(), vec![], vec![]);
    };
    assert_eq!(text(&message("20.0.75", bare), "message/text"), "(empty message)");
    let update = message("20.0.75", |message| {
        bare(message);
        message.kind = IncomingKind::Update;
    });
    assert_eq!(text(&update, "message/text"), "(empty message)");
    let deleted = message("20.0.75", |message| message.kind = IncomingKind::Delete);
    assert_eq!((at(&deleted, "message/text"), text(&deleted, "type_message").as_str()), (None, "message_del"));
    assert_eq!(at(&deleted, "message/date"), Some(Value::Int(1_500_000_000)));
    let place = message("20.0.75", |message| {
        (message.text, message.files) = (String::new(), vec![]);
        message.attachments.truncate(1);
    });
    assert_eq!(
        (at(&place, "message/text"), text(&place, "message/attachments/0/location/coordinates/latitude")),
        (None, "1.5".into())
    );
    let nobody = |chat: &str| {
        text(
            &message("20.0.75", |message| (message.user.id, message.chat.id) = (String::new(), chat.into())),
            "user/id",
        )
    };
    assert!(nobody("a").len() == 32 && nobody("a") == nobody("a") && nobody("a") != nobody("b"));
}

/// What only the bot's token opens is named, not linked: the portal would leave it out, and with it a message that holds
/// nothing else.
#[test]
fn a_file_that_the_portal_cannot_fetch_is_named() {
    let only = message("20.0.75", |message| {
        (message.text, message.attachments) = (String::new(), vec![]);
        message.files.remove(0);
    });
    assert_eq!(text(&only, "message/text"), "(a file that only the channel can open: p😄🫠❤)");
    assert_eq!(at(&only, "message/files"), None);
    let both = message("20.0.75", |_| ());
    assert_eq!(text(&both, "message/text"), "Hello😄🫠❤\n(a file that only the channel can open: p😄🫠❤)");
    assert_eq!(at(&both, "message/files/1"), None);
}

/// Signed addresses are signed to the letter; others become ASCII.
#[test]
fn addresses_are_plain() {
    for (url, want) in [
        (
            "https://b.test/a?se=2026-01-01T00%3A00%3A00Z&sig=a%2Fb'c|d",
            "https://b.test/a?se=2026-01-01T00%3A00%3A00Z&sig=a%2Fb'c|d",
        ),
        ("https://b.test/a b.pdf", "https://b.test/a%20b.pdf"),
        ("not an address é", "notanaddress"),
    ] {
        let sent = message("20.0.75", |message| message.files[0].url = url.into());
        assert_eq!(text(&sent, "message/files/0/url"), want);
    }
}

/// §4.5: the portal compares the user by md5 of its bytes.
#[test]
fn the_user_is_the_same_to_the_byte_in_every_message() {
    let user = |version: &str, change: fn(&mut Incoming)| php::encode(&at(&message(version, change), "user").unwrap());
    for version in ["17.0.14", "26.100.0"] {
        let plain = user(version, |_| ());
        assert_eq!(user(version, |message| message.kind = IncomingKind::Update), plain);
        assert_eq!(user(version, |message| (message.text, message.chat.id) = ("other".into(), "d".into())), plain);
    }
}

/// §4.3, `receivingError` of version 23 and later.
#[test]
fn an_error_has_the_shape_of_newer_portals() {
    let failed = |deleting: bool| Notice::Failed {
        im: PortalRef { chat_id: "113".into(), message_id: "2196".into() },
        chat: "c".into(),
        deleting,
        code: "BLOCKED".into(),
        text: "the customer [user=1]blocked[/user] the bot".into(),
        customer: None,
    };
    let sent = php::encode(&data("23.100.0", Body::Notice(failed(false))));
    assert_eq!(
        sent,
        "a:5:{s:4:\"code\";s:31:\"CONNECTOR_NOT_SEND_MESSAGE_CHAT\";s:6:\"chatId\";i:113;s:9:\"messageId\";i:2196;\
         s:16:\"messageConnector\";s:43:\"the customer (user=1)blocked(/user) the bot\";\
         s:6:\"params\";a:2:{s:9:\"errorCode\";s:7:\"BLOCKED\";s:12:\"errorSubCode\";s:0:\"\";}}"
    );
    assert_eq!(text(&data("23.100.0", Body::Notice(failed(true))), "code"), "CONNECTOR_ERROR_DELETE_MESSAGE");
}

#[test]
fn a_reply_may_begin_with_a_byte_order_mark() {
    let reply = Answer { status: 200, headers: vec![], body: b"\xef\xbb\xbf{\"OK\":true,\"DATA\":[]}".to_vec() };
    assert_eq!(push::receipt(&reply), Ok(Receipt::All));
}
