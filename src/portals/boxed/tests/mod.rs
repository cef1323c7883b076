//! The worked examples of `portal-box.md` §9, byte for byte and both ways, and what §10 wants refused.

mod pushes;
mod requests;

use super::command::{Args, Command, Name, Refusal, decode};
use super::form::Form;
use super::php::Value;
use super::portal_side::Identity;
use super::*;
use crate::ids::PortalId;
use crate::message::Notice;
use crate::message::{Chat, FileLink, Incoming, OutgoingKind, PortalRef, User};
use crate::net::{Answer, NetError};

pub(crate) const KEY: &str = "TEST-LICENCE-KEY-0001";

pub(crate) const TEST_CONNECT_17: &str = concat!(
    "BX_COMMAND=testConnect&BX_LICENCE=13333e2802122d439634aeab0944c696&BX_DOMAIN=https%3A%2F%2Fportal.ex",
    "ample.test&BX_TYPE=CP&BX_VERSION=17.0.14&CONNECTOR=telegrambot&LINE=3&DATA=czo3OiIjRU1QVFkjIjs%3D&BX",
    "_HASH=3d38ba911bb5e3886b3caf7f56a76514",
);

pub(crate) const LIST_CONNECTOR: &str = concat!(
    "BX_COMMAND=listConnector&BX_LICENCE=13333e2802122d439634aeab0944c696&BX_DOMAIN=https%3A%2F%2Fportal.",
    "example.test&BX_TYPE=CP&BX_VERSION=17.0.14&CONNECTOR=all&LINE=%23EMPTY%23&DATA=czo3OiIjRU1QVFkjIjs%3",
    "D&BX_HASH=d919b1cf9031a5ca59983bbfb07e2e94",
);

pub(crate) const TEST_CONNECT_23: &str = concat!(
    "BX_COMMAND=testConnect&BX_LICENCE=13333e2802122d439634aeab0944c696&BX_DOMAIN=https%3A%2F%2Fportal.ex",
    "ample.test&BX_TYPE=CP&BX_REGION=ru&BX_VERSION=23.100.0&CONNECTOR=telegrambot&LINE=3&DATA=czoxMzoiI0V",
    "NUFRZX0FSUkFZIyI7&BX_HASH=a82303e120c358545c944ddc2f587efd",
);

pub(crate) const SAVE_SETTINGS: &str = concat!(
    "BX_COMMAND=saveSettings&BX_LICENCE=13333e2802122d439634aeab0944c696&BX_DOMAIN=https%3A%2F%2Fportal.e",
    "xample.test&BX_TYPE=CP&BX_VERSION=17.0.14&CONNECTOR=telegrambot&LINE=3&DATA=YToxOntpOjA7YToxOntzOjk6",
    "ImFwaV90b2tlbiI7czoxMzoiMTIzNDU2OkFBdGVzdCI7fX0%3D&BX_HASH=cb42cadbbc0c5ce1a0d355dc97df7d08",
);

pub(crate) const SEND_MESSAGE: &str = concat!(
    "BX_COMMAND=sendMessage&BX_LICENCE=13333e2802122d439634aeab0944c696&BX_DOMAIN=https%3A%2F%2Fportal.ex",
    "ample.test&BX_TYPE=CP&BX_VERSION=17.0.14&CONNECTOR=botframework.skype&LINE=3&DATA=YToxOntpOjA7YToxOn",
    "tpOjA7YTo1OntzOjI6ImltIjthOjI6e3M6NzoiY2hhdF9pZCI7aToxMTM7czoxMDoibWVzc2FnZV9pZCI7aToyMTk2O31zOjc6Im",
    "1lc3NhZ2UiO2E6NTp7czo3OiJ1c2VyX2lkIjtpOjM7czo0OiJ0ZXh0IjtzOjMwOiJbYl1Bbm5hIEl2YW5vdmE6Wy9iXVticl0gSG",
    "VsbG8iO3M6NToiZmlsZXMiO3M6NzoiI0VNUFRZIyI7czoxMToiYXR0YWNobWVudHMiO3M6NzoiI0VNUFRZIyI7czo2OiJwYXJhbX",
    "MiO3M6NzoiI0VNUFRZIyI7fXM6NDoiY2hhdCI7YToxOntzOjI6ImlkIjtzOjEwOiIyOToxQWJDZEVmIjt9czo0OiJmcm9tIjthOj",
    "I6e3M6MjoiaWQiO3M6Mzk6IjI4OjExMTExMTExLTIyMjItMzMzMy00NDQ0LTU1NTU1NTU1NTU1NSI7czo0OiJuYW1lIjtzOjc6Il",
    "Nob3BCb3QiO31zOjExOiJzZXJ2aWNlX3VybCI7czozMToiaHR0cHM6Ly9zbWJhLmV4YW1wbGUudGVzdC9hcGlzLyI7fX19&BX_HA",
    "SH=04a7b5486257ec7d3d01a794bf534147",
);

pub(crate) const STATUS_DELIVERED: &str = concat!(
    "BX_COMMAND=setStatusDelivered&BX_LICENCE=13333e2802122d439634aeab0944c696&BX_DOMAIN=https%3A%2F%2Fpo",
    "rtal.example.test&BX_TYPE=CP&BX_VERSION=17.0.14&CONNECTOR=telegrambot&LINE=3&DATA=YToxOntpOjA7YToxOn",
    "tpOjA7YToyOntzOjQ6ImNoYXQiO2E6MTp7czoyOiJpZCI7czozOiI1NTUiO31zOjc6Im1lc3NhZ2UiO2E6MTp7czoyOiJpZCI7cz",
    "oyOiI0MiI7fX19fQ%3D%3D&BX_HASH=651b788d532146e177e24f3643dd5b0e",
);

pub(crate) const RECEIVING_MESSAGE: &str = concat!(
    "BX_COMMAND=receivingMessage&BX_TYPE=CP&BX_VERSION=1&CONNECTOR=telegrambot&LINE=3&DATA=YToxOntpOjA7YT",
    "o0OntzOjQ6InVzZXIiO2E6NTp7czoyOiJpZCI7czozOiI3NzciO3M6NDoibmFtZSI7czo0OiJJdmFuIjtzOjk6Imxhc3RfbmFtZS",
    "I7czo2OiJQZXRyb3YiO3M6MzoidXJsIjtzOjE3OiJodHRwczovL3QubWUvaXZhbiI7czo3OiJwaWN0dXJlIjthOjE6e3M6MzoidX",
    "JsIjtzOjM0OiJodHRwczovL2Nkbi5leGFtcGxlLnRlc3QvdS83NzcuanBnIjt9fXM6NzoibWVzc2FnZSI7YTo0OntzOjI6ImlkIj",
    "tzOjI6IjQyIjtzOjQ6ImRhdGUiO2k6MTUwMDAwMDAwMDtzOjQ6InRleHQiO3M6MjA6ItCf0YDQuNCy0LXRgiA6c21pbGU6IjtzOj",
    "U6ImZpbGVzIjthOjE6e2k6MDthOjM6e3M6MzoidXJsIjtzOjMyOiJodHRwczovL2Nkbi5leGFtcGxlLnRlc3QvZi8xLnBkZiI7cz",
    "o0OiJuYW1lIjtzOjk6InByaWNlLnBkZiI7czo0OiJ0eXBlIjtzOjE1OiJhcHBsaWNhdGlvbi9wZGYiO319fXM6NDoiY2hhdCI7YT",
    "oxOntzOjI6ImlkIjtzOjM6Ijc3NyI7fXM6MTI6InR5cGVfbWVzc2FnZSI7czo3OiJtZXNzYWdlIjt9fQ%3D%3D&BX_HASH=4fb9c",
    "a2b432d5f12d75ed78623de91d6",
);

pub(crate) const RECEIVING_STATUS: &str = concat!(
    "BX_COMMAND=receivingStatusDelivery&BX_TYPE=CP&BX_VERSION=1&CONNECTOR=telegrambot&LINE=3&DATA=YToxOnt",
    "pOjA7YTozOntzOjI6ImltIjthOjI6e3M6NzoiY2hhdF9pZCI7aToxMTM7czoxMDoibWVzc2FnZV9pZCI7aToyMTk2O31zOjc6Im1",
    "lc3NhZ2UiO2E6Mjp7czoyOiJpZCI7YToxOntpOjA7czozOiI3NzEiO31zOjQ6ImRhdGUiO2k6MTUwMDAwMDAwMTt9czo0OiJjaGF",
    "0IjthOjE6e3M6MjoiaWQiO3M6MzoiNzc3Ijt9fX0%3D&BX_HASH=005fc2c0e69336e5de587d60cb4baca6",
);

pub(crate) const PUSH_TEST: &str = concat!(
    "BX_COMMAND=testConnect&BX_TYPE=CP&BX_VERSION=1&CONNECTOR=telegrambot&LINE=3&DATA=YTowOnt9&BX_HASH=7e",
    "92df340d4f0db97efa7d310bff8bae",
);

pub(crate) const DEACTIVATE: &str = concat!(
    "BX_COMMAND=deactivateConnector&BX_TYPE=CP&BX_VERSION=1&CONNECTOR=botframework&LINE=3&DATA=YTowOnt9&B",
    "X_HASH=f8ba5e9fba10f6f48b62a05ebe77b130",
);

fn portal(version: &str) -> Portal {
    Portal {
        id: PortalId(1),
        name: "office".into(),
        protocol: "box".into(),
        url: "https://portal.example.test".into(),
        licence: licence_id(KEY),
        key: key_md5(KEY),
        version: Some(version.into()),
    }
}

fn identity(version: &str) -> Identity {
    Identity::new(KEY, "https://portal.example.test", version)
}

fn prove(body: &str) -> Command {
    decode(body.as_bytes()).unwrap().prove(&key_md5(KEY)).unwrap()
}

fn pushed(portal: &Portal, connector: &str, bodies: &[Body]) -> String {
    let (command, data) = push::content(portal, bodies);
    push::form(portal, command, connector, "3", &data).encode()
}

#[test]
fn the_two_ids_of_a_licence() {
    assert_eq!(key_md5(KEY).reveal(), "d22bd6d6768779c9dea2dccfc067d176");
    assert_eq!(licence_id(KEY), "13333e2802122d439634aeab0944c696");
    assert_eq!(check_key(" demo "), Err(WeakKey));
    assert_eq!(check_key(""), Err(WeakKey));
    assert_eq!(check_key(KEY), Ok(()));
}

/// §9.1 to §9.6, as the server reads them.
#[test]
fn the_portals_requests_are_read() {
    let command = prove(TEST_CONNECT_17);
    assert_eq!((command.name, command.line.as_deref(), command.args), (Name::TestConnect, Some("3"), Args::None));
    assert_eq!((command.version.as_str(), command.domain.as_str()), ("17.0.14", "https://portal.example.test"));

    let command = prove(LIST_CONNECTOR);
    assert_eq!((command.name, command.connector.as_str(), command.line), (Name::ListConnector, "all", None));

    let command = prove(TEST_CONNECT_23);
    assert_eq!((command.name, command.version.as_str()), (Name::TestConnect, "23.100.0"));

    let command = prove(SAVE_SETTINGS);
    assert_eq!(command.args, Args::Settings(vec![("api_token".into(), Some("123456:AAtest".into()))]));

    let command = prove(SEND_MESSAGE);
    let Args::Messages(messages) = command.args else { panic!("{:?}", command.args) };
    let [message] = messages.as_slice() else { panic!("{messages:?}") };
    assert_eq!(message.connector, "botframework.skype");
    assert_eq!(message.chat, "29:1AbCdEf");
    assert_eq!(message.im, PortalRef { chat_id: "113".into(), message_id: "2196".into() });
    assert_eq!(message.service_url.as_deref(), Some("https://smba.example.test/apis/"));
    assert_eq!(message.kind, OutgoingKind::Send { text: "[b]Anna Ivanova:[/b][br] Hello".into(), files: vec![] });

    let command = prove(STATUS_DELIVERED);
    assert_eq!(command.name, Name::SetStatusDelivered);
    assert_eq!(command.args, Args::Statuses(vec![("555".into(), "42".into())]));
}

/// §9.1 to §9.6, as the portal writes them.
#[test]
fn the_portals_requests_are_written() {
    let old = identity("17.0.14");
    assert_eq!(old.command("testConnect", "telegrambot", Some("3"), vec![]), TEST_CONNECT_17);
    assert_eq!(old.command("listConnector", "all", None, vec![]), LIST_CONNECTOR);
    assert_eq!(identity("23.100.0").command("testConnect", "telegrambot", Some("3"), vec![]), TEST_CONNECT_23);
    let settings = Value::map([("api_token", Value::text("123456:AAtest"))]);
    assert_eq!(old.command("saveSettings", "telegrambot", Some("3"), vec![settings]), SAVE_SETTINGS);
    let message = Value::map([
        ("im", Value::map([("chat_id", Value::Int(113)), ("message_id", Value::Int(2196))])),
        (
            "message",
            Value::map([
                ("user_id", Value::Int(3)),
                ("text", Value::text("[b]Anna Ivanova:[/b][br] Hello")),
                ("files", Value::list([])),
                ("attachments", Value::Null),
                ("params", Value::Bool(false)),
            ]),
        ),
        ("chat", Value::map([("id", Value::text("29:1AbCdEf"))])),
        (
            "from",
            Value::map([
                ("id", Value::text("28:11111111-2222-3333-4444-555555555555")),
                ("name", Value::text("ShopBot")),
            ]),
        ),
        ("service_url", Value::text("https://smba.example.test/apis/")),
    ]);
    let sent = old.command("sendMessage", "botframework.skype", Some("3"), vec![Value::list([message])]);
    assert_eq!(sent, SEND_MESSAGE);
    let status = Value::map([
        ("chat", Value::map([("id", Value::text("555"))])),
        ("message", Value::map([("id", Value::text("42"))])),
    ]);
    let sent = old.command("setStatusDelivered", "telegrambot", Some("3"), vec![Value::list([status])]);
    assert_eq!(sent, STATUS_DELIVERED);
}

/// §9.7: a Cyrillic text, an emoji that this version wants as a short name, a file.
#[test]
fn a_message_is_pushed_byte_for_byte() {
    let message = Incoming {
        connector: "telegrambot".into(),
        kind: IncomingKind::Message,
        key: None,
        user: User {
            id: "777".into(),
            name: "Ivan".into(),
            last_name: "Petrov".into(),
            url: Some("https://t.me/ivan".into()),
            picture: Some("https://cdn.example.test/u/777.jpg".into()),
            ..User::default()
        },
        chat: Chat { id: "777".into(), ..Chat::default() },
        message_id: "42".into(),
        date: Some(1_500_000_000),
        text: "Привет 😄".into(),
        files: vec![FileLink {
            url: "https://cdn.example.test/f/1.pdf".into(),
            name: Some("price.pdf".into()),
            mime: Some("application/pdf".into()),
            protected: false,
        }],
        attachments: vec![],
        route: None,
    };
    let body = [Body::Message(Box::new(message))];
    assert_eq!(pushed(&portal("17.0.14"), "telegrambot", &body), RECEIVING_MESSAGE);
    let newer = identity("23.100.0").read_push(pushed(&portal("23.100.0"), "telegrambot", &body).as_bytes()).unwrap();
    let text = newer.data.items().next().and_then(|item| item.get("message")?.get("text").cloned());
    assert_eq!(text, Some(Value::text("Привет 😄")), "newer portals take the character");
}

/// §9.8 to §9.10.
#[test]
fn statuses_and_notices_are_pushed_byte_for_byte() {
    let portal = portal("17.0.14");
    let delivered = Body::Notice(Notice::Delivered {
        im: PortalRef { chat_id: "113".into(), message_id: "2196".into() },
        chat: "777".into(),
        ids: vec!["771".into()],
        date: 1_500_000_001,
    });
    assert_eq!(pushed(&portal, "telegrambot", &[delivered]), RECEIVING_STATUS);
    let test = push::form(&portal, "testConnect", "telegrambot", "3", &Value::list([]));
    assert_eq!(test.encode(), PUSH_TEST);
    assert_eq!(pushed(&portal, "botframework", &[Body::Notice(Notice::Deactivated)]), DEACTIVATE);
}

#[test]
fn a_failure_is_said_in_the_words_of_the_version() {
    let failed = [Body::Notice(Notice::Failed {
        im: PortalRef { chat_id: "113".into(), message_id: "2196".into() },
        chat: "c1".into(),
        deleting: false,
        code: "CHAT_GONE".into(),
        text: "the customer has blocked the bot".into(),
        customer: None,
    })];
    let read = |version: &str| {
        identity(version).read_push(pushed(&portal(version), "botframework.skype", &failed).as_bytes()).unwrap()
    };
    let newer = read("23.100.0");
    assert_eq!(newer.command, "receivingError");
    let first = newer.data.items().next().unwrap();
    assert_eq!(first.get("code"), Some(&Value::text("CONNECTOR_NOT_SEND_MESSAGE_CHAT")));
    assert_eq!((first.get("chatId"), first.get("messageId")), (Some(&Value::Int(113)), Some(&Value::Int(2196))));
    let older = read("20.0.75");
    assert_eq!(older.command, "receivingMessage");
    let text = older.data.items().next().and_then(|item| item.get("message")?.get("text").cloned());
    assert!(matches!(text, Some(Value::Str(text)) if text.contains("the customer has blocked the bot")));
}

/// §10: what is not signed, or not in the portal's form, is refused.
#[test]
fn promise_8_forged_and_malformed_requests_are_refused() {
    let cut_hash = TEST_CONNECT_17.replace("BX_HASH=3d", "BX_HASH=4d");
    assert_eq!(decode(cut_hash.as_bytes()).unwrap().prove(&key_md5(KEY)), Err(Refusal::Signature));
    assert_eq!(decode(TEST_CONNECT_17.as_bytes()).unwrap().prove(&key_md5("other")), Err(Refusal::Signature));
    let other_line = TEST_CONNECT_17.replace("LINE=3", "LINE=4");
    assert_eq!(decode(other_line.as_bytes()).unwrap().prove(&key_md5(KEY)), Err(Refusal::Signature));
    let cloud = TEST_CONNECT_17.replace("BX_TYPE=CP", "BX_TYPE=B24");
    assert!(matches!(decode(cloud.as_bytes()), Err(Refusal::Cloud)));
    for body in [
        String::new(),
        "{}".to_owned(),
        TEST_CONNECT_17.replace("&LINE=3", ""),
        TEST_CONNECT_17.replace("CONNECTOR=telegrambot&LINE=3", "LINE=3&CONNECTOR=telegrambot"),
        format!("{TEST_CONNECT_17}&LINE=4"),
        TEST_CONNECT_17.replace("LINE=3", "LINE[]=3"),
        TEST_CONNECT_17.replace("LINE=3", "LINE=3%7C4"),
    ] {
        assert!(matches!(decode(body.as_bytes()), Err(Refusal::Malformed(_))), "{body}");
    }
}

/// A signed body whose data is not what the portal's code makes.
#[test]
fn signed_rubbish_is_refused_too() {
    let signed = |command: &str, data: &[u8]| {
        use base64::Engine;
        let data = base64::engine::general_purpose::STANDARD.encode(data);
        let mut form = Form::decode(TEST_CONNECT_17.as_bytes()).unwrap();
        form.0.retain(|(name, _)| name != "BX_HASH");
        for (name, value) in &mut form.0 {
            match name.as_str() {
                "DATA" => value.clone_from(&data),
                "BX_COMMAND" => command.clone_into(value),
                _ => (),
            }
        }
        form.sign(&key_md5(KEY));
        decode(form.encode().as_bytes()).unwrap().prove(&key_md5(KEY))
    };
    for data in [&b"O:8:\"stdClass\":0:{}"[..], b"s:3:\"ab\";", b"a:1:{i:0;R:1;}", b"", b"i:1;x"] {
        assert!(matches!(signed("testConnect", data), Err(Refusal::Data(_))), "{data:?}");
    }
    assert!(matches!(signed("sendMessage", b"i:1;"), Err(Refusal::Data(_))));
    assert!(matches!(signed("saveSettings", b"a:1:{i:0;i:5;}"), Err(Refusal::Data(_))));
    // Elements without a chat, a text, a message id are left out, not fatal.
    let command = signed("sendMessage", b"a:1:{i:0;a:2:{i:0;i:5;i:1;a:1:{s:4:\"chat\";i:1;}}}").unwrap();
    assert_eq!(command.args, Args::Messages(vec![]));
    let command = signed("someNewCommand", b"s:7:\"#EMPTY#\";").unwrap();
    assert_eq!(command.name, Name::Unknown("someNewCommand".into()));
}

#[test]
fn unknown_signed_fields_are_hashed_and_ignored() {
    let mut form = Form::decode(TEST_CONNECT_17.as_bytes()).unwrap();
    form.0.retain(|(name, _)| name != "BX_HASH");
    form.0.insert(4, ("BX_NEWS".into(), "x".into()));
    form.sign(&key_md5(KEY));
    let body = form.encode();
    assert_eq!(decode(body.as_bytes()).unwrap().prove(&key_md5(KEY)).unwrap().name, Name::TestConnect);
    let forged = body.replace("BX_NEWS=x", "BX_NEWS=y");
    assert_eq!(decode(forged.as_bytes()).unwrap().prove(&key_md5(KEY)), Err(Refusal::Signature));
}

#[test]
fn only_ok_counts_in_a_reply() {
    let answer = |status, body: &str| Answer { status, headers: vec![], body: body.as_bytes().to_vec() };
    assert_eq!(push::receipt(&answer(200, r#"{"OK":true,"DATA":{"RESULT":"OK"}}"#)), Ok(Receipt::All));
    let wrong_key = r#"{"OK":false,"DATA":{"RESULT":"OK"},"ERROR":[{"CODE":"LICENCE_ERROR"}]}"#;
    let refused = |code: &str| Err(PortalError::Refused { code: code.into() });
    assert_eq!(push::receipt(&answer(200, wrong_key)), refused("LICENCE_ERROR"));
    let single = r#"{"OK":false,"ERROR":{"CODE":"MODULE_NOT_INSTALLED"}}"#;
    assert_eq!(push::receipt(&answer(200, single)), refused("MODULE_NOT_INSTALLED"));
    for (status, body) in [(200, ""), (200, "true"), (200, "[]"), (200, "<html>"), (500, r#"{"OK":true}"#), (302, "")] {
        assert!(matches!(push::receipt(&answer(status, body)), Err(PortalError::Rubbish { .. })), "{status} {body}");
    }
    assert!(PortalError::Net(NetError::Timeout(TEST_TIMEOUT)).is_ambiguous());
}
