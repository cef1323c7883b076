//! The twin against a server that only writes down what it is sent.

use serde_json::json;

use super::*;
use crate::clock::SystemClock;
use crate::desk::office::Mark;
use crate::desk::tests::{KEY, LIMIT, out, server};
use crate::portals::boxed::form::Form;
use crate::portals::boxed::key_md5;
use crate::portals::boxed::php::Value;

fn twin(version: &str, server: &str) -> PortalTwin {
    PortalTwin::start(options(version, server), Arc::new(SystemClock::new()), out()).unwrap()
}

fn options(version: &str, server: &str) -> Options {
    Options {
        port: 0,
        license_key: KEY.to_owned(),
        version: version.to_owned(),
        server: server.to_owned(),
        faults: Faults::default(),
        file: None,
        fetch: None,
        hook: None,
        page: true,
    }
}

/// A push of the server, signed with the key of `license_key`.
fn push(license_key: &str, command: &str, data: &Value) -> Vec<u8> {
    push_from(license_key, "botframework.msteams", command, data)
}

fn push_from(license_key: &str, connector: &str, command: &str, data: &Value) -> Vec<u8> {
    use base64::Engine;
    let data = base64::engine::general_purpose::STANDARD.encode(crate::portals::boxed::php::encode(data));
    let fields = [
        ("BX_COMMAND", command),
        ("BX_TYPE", "CP"),
        ("BX_VERSION", "1"),
        ("CONNECTOR", connector),
        ("LINE", "3"),
        ("DATA", &data),
    ];
    let mut form = Form(fields.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec());
    form.sign(&key_md5(license_key));
    form.encode().into_bytes()
}

fn message(kind: &str, text: &str) -> Value {
    let id = |id: &str| Value::map([("id", Value::text(id))]);
    Value::list([Value::map([
        ("user", Value::map([("id", Value::text("29:u")), ("name", Value::text("Ben"))])),
        ("message", Value::map([("id", Value::Int(42)), ("text", Value::text(text))])),
        ("chat", id("a:1")),
        ("type_message", Value::text(kind)),
        ("recipient", id("28:bot")),
        ("service_url", Value::text("https://smba.example.com/")),
    ])])
}

fn post(twin: &PortalTwin, body: Vec<u8>) -> (u16, Json) {
    let call = crate::net::Call {
        method: "POST",
        url: format!("{}/pub/imconnector/", twin.url()),
        headers: vec![("Content-Type".to_owned(), "application/x-www-form-urlencoded".to_owned())],
        body,
        reach: crate::net::Reach::Configured,
        timeout: LIMIT,
        answer_max_bytes: 65_536,
    };
    let answer = out().call(call).unwrap();
    (answer.status, serde_json::from_slice(&answer.body).unwrap_or_default())
}

/// The commands that a push brings about, seen before its reply: `portal-box.md` §8.
#[test]
fn each_version_confirms_in_its_own_way() {
    for (version, before_the_reply) in [
        ("17.0.14", &["listConnector", "setStatusDelivered"][..]),
        ("18.7.200", &["setStatusDelivered"]),
        ("20.0.75", &["setStatusDelivered"]),
        ("23.100.0", &[]),
    ] {
        let (url, heard) = server();
        let twin = twin(version, &url);
        let (status, reply) = post(&twin, push(KEY, "receivingMessage", &message("message", "Hi")));
        assert_eq!((status, &reply), (200, &json!({"OK": true, "DATA": []})), "{version}");
        for command in before_the_reply {
            let heard = heard.recv_timeout(LIMIT).unwrap();
            assert_eq!(heard.command(), *command, "{version}");
            assert!(heard.form.is_signed_with(&key_md5(KEY)), "{version}");
        }
        assert!(heard.try_recv().is_err(), "{version} says nothing more");
        let talk = twin.talks().remove(0);
        assert_eq!((talk.name.as_str(), talk.entries[0].text.as_str()), ("Ben", "Hi"), "{version}");
    }
}

/// The confirmation carries the ids with the types they were pushed with (`portal-box-observed.md` §6).
#[test]
fn a_confirmation_gives_the_ids_back_as_they_came() {
    use base64::Engine;
    let (url, heard) = server();
    let twin = twin("20.0.75", &url);
    post(&twin, push(KEY, "receivingMessage", &message("message", "Hi")));
    let data = heard.recv_timeout(LIMIT).unwrap().form.get("DATA").unwrap().to_owned();
    let bytes = base64::engine::general_purpose::STANDARD.decode(data).unwrap();
    let expected =
        r#"a:1:{i:0;a:1:{i:0;a:2:{s:4:"chat";a:1:{s:2:"id";s:3:"a:1";}s:7:"message";a:1:{s:2:"id";i:42;}}}}"#;
    assert_eq!(String::from_utf8(bytes).unwrap(), expected);
}

#[test]
fn a_wrong_signature_stops_nothing_before_version_20() {
    for (version, taken) in [("17.0.14", 1), ("18.7.200", 1), ("20.0.75", 0), ("23.100.0", 0)] {
        let (url, _heard) = server();
        let twin = twin(version, &url);
        let (_, reply) = post(&twin, push("ANOTHER-KEY", "receivingMessage", &message("message", "Hi")));
        assert_eq!(reply["ERROR"][0]["CODE"], "LICENCE_ERROR", "{version}");
        assert_eq!(twin.talks().len(), taken, "{version}");
    }
}

#[test]
fn faults_are_seen_on_the_wire() {
    let (url, heard) = server();
    let twin = twin("20.0.75", &url);
    let hello = || push(KEY, "receivingMessage", &message("message", "Hi"));
    twin.set_faults(Faults { down: true, ..Faults::default() });
    assert_eq!(post(&twin, hello()).0, 503);
    twin.set_faults(Faults { no_confirm: true, ..Faults::default() });
    assert_eq!(post(&twin, hello()).1["OK"], false);
    assert!(heard.try_recv().is_err(), "no confirmation");
    twin.set_faults(Faults::default());
    assert_eq!(post(&twin, hello()).1["OK"], true);
    assert_eq!(twin.talks()[0].entries.len(), 2, "what was taken without a word shows twice");
}

/// `portal-box.md` §7: each customer has a conversation of his own, except where the chat is a group; whose edits are
/// overlooked up to version 20.
#[test]
fn a_conversation_belongs_to_a_customer_or_to_a_group() {
    for (version, connector, talks, edited) in [
        ("20.0.75", "botframework.msteams", 2, true),
        ("20.0.75", "botframework.skype", 1, false),
        ("23.100.0", "botframework.skype", 1, true),
    ] {
        let (url, _heard) = server();
        let twin = twin(version, &url);
        let write = |kind: &str, user: &str| {
            let id = |id: &str| Value::map([("id", Value::text(id))]);
            let message = Value::map([
                ("user", id(user)),
                ("message", Value::map([("id", Value::text(user)), ("text", Value::text(kind))])),
                ("chat", id("a:1")),
                ("type_message", Value::text(kind)),
            ]);
            post(&twin, push_from(KEY, connector, "receivingMessage", &Value::list([message])));
        };
        write("message", "ann");
        write("message", "ben");
        write("message_update", "ann");
        assert_eq!(twin.talks().len(), talks, "{version} {connector}");
        assert_eq!(twin.talks()[0].entries[0].edited, edited, "{version} {connector}");
    }
}

#[test]
fn edits_deletions_and_marks_find_their_message() {
    let (url, heard) = server();
    let twin = twin("23.100.0", &url);
    post(&twin, push(KEY, "receivingMessage", &message("message", "Hi")));
    post(&twin, push(KEY, "receivingMessage", &message("message_update", "Hello")));
    let talk = twin.talks().remove(0);
    assert!(talk.entries[0].edited && talk.entries[0].text == "Hello");
    post(&twin, push(KEY, "receivingMessage", &message("message_del", "")));
    assert!(twin.talks()[0].entries[0].deleted);

    let id = twin.say(talk.id, "Yes", None).unwrap();
    assert_eq!(heard.recv_timeout(LIMIT).unwrap().command(), "sendMessage");
    assert!(matches!(twin.edit(id, "No"), Err(OfficeError::NotThere(_))), "not before it is delivered");
    let ids = Value::list([Value::text("e1"), Value::text("e2")]);
    let delivered = Value::list([Value::map([
        ("im", Value::map([("chat_id", Value::Int(talk.id)), ("message_id", Value::Int(id))])),
        ("message", Value::map([("id", ids), ("date", Value::Int(1))])),
        ("chat", Value::map([("id", Value::text("a:1"))])),
    ])]);
    post(&twin, push(KEY, "receivingStatusDelivery", &delivered));
    let entry = twin.talks()[0].entries[1].clone();
    assert_eq!((entry.mark, entry.external), (Some(Mark::Delivered), vec!["e1".to_owned(), "e2".to_owned()]));
    twin.delete(id).unwrap();
    assert_eq!(heard.recv_timeout(LIMIT).unwrap().command(), "deleteMessage");
    assert!(heard.try_recv().is_err(), "one command for all external ids");
    let failed = |code: &str, id: i64| {
        Value::list([Value::map([
            ("code", Value::text(code)),
            ("chatId", Value::Int(talk.id)),
            ("messageId", Value::Int(id)),
            ("messageConnector", Value::text("the chat is gone")),
        ])])
    };
    post(&twin, push(KEY, "receivingError", &failed("CONNECTOR_ERROR_DELETE_MESSAGE", id)));
    let entry = twin.talks()[0].entries[1].clone();
    assert_eq!((entry.mark, entry.deleted), (Some(Mark::Delivered), false), "it is still there");
    let other = twin.say(talk.id, "Perhaps", None).unwrap();
    post(&twin, push(KEY, "receivingError", &failed("CONNECTOR_NOT_SEND_MESSAGE_CHAT", other)));
    assert_eq!(twin.talks()[0].entries[2].mark, Some(Mark::Failed));
}

/// `portal-box-observed.md` §1 and §4, byte for byte where the portal's bytes are known.
#[test]
fn the_settings_page_calls_in_the_observed_order() {
    for (version, first) in
        [("17.0.14", &["listConnector", "unregister"][..]), ("18.7.200", &["unregister"]), ("20.0.75", &[])]
    {
        let (url, heard) = server();
        let twin = twin(version, &format!("{url}/prefix"));
        let webhook = twin.connect_bot("3", "shop", "id", "secret").unwrap();
        assert_eq!(webhook, "http://x/imwebhook/?hash=1");
        let rest = ["saveSettingsBotFramework", "testConnect", "getAuthorizationInformation", "infoConnectLink"];
        for command in first.iter().copied().chain(rest) {
            let heard = heard.recv_timeout(LIMIT).unwrap();
            assert_eq!(heard.command(), command, "{version}");
            let licence =
                if version == "17.0.14" { "" } else { "x-bitrix-licence: 13333e2802122d439634aeab0944c696\r\n" };
            let head = format!(
                "POST /prefix/imwebhook/portal.php HTTP/1.0\r\nUser-Agent: Bitrix Connector Client\r\n{licence}\
                 Host: 127.0.0.1\r\nConnection: close\r\nAccept: */*\r\nAccept-Language: en\r\n\
                 Content-Type: application/x-www-form-urlencoded\r\nContent-Length: "
            );
            assert!(heard.head.starts_with(&head), "{}", heard.head);
        }
    }
}

#[test]
fn a_line_that_was_taken_over_refuses_from_version_20_on() {
    for (version, code) in [("18.7.200", Json::Null), ("20.0.75", json!("NOT_ACTIVE_LINE"))] {
        let (url, _heard) = server();
        let twin = twin(version, &url);
        post(&twin, push(KEY, "deactivateConnector", &Value::list([])));
        assert!(twin.is_deactivated());
        let (_, reply) = post(&twin, push(KEY, "receivingMessage", &message("message", "Hi")));
        assert_eq!(reply.pointer("/ERROR/0/CODE").cloned().unwrap_or_default(), code, "{version}");
    }
}

#[test]
fn rubbish_is_answered_in_the_protocol() {
    let (url, _heard) = server();
    let twin = twin("20.0.75", &url);
    for body in [&b""[..], b"\xff\xfe", b"BX_COMMAND=x&BX_COMMAND=y", b"{}"] {
        let (status, reply) = post(&twin, body.to_vec());
        assert_eq!((status, &reply["OK"]), (200, &Json::Bool(false)), "{body:?}");
    }
}

/// What a page of elsewhere asks for, whose name leads to this machine, is not answered; the protocol is.
#[test]
fn the_page_and_the_scripts_addresses_are_for_this_machine() {
    use crate::sim::host::Ask;
    let (url, _heard) = server();
    let twin = twin("20.0.75", &url);
    let ask = |path: &str, host: &str| {
        let headers = vec![("Host".to_owned(), host.to_owned())];
        twin.answer(Ask { method: "GET".into(), path: path.into(), query: String::new(), headers, body: vec![] }).status
    };
    for host in ["127.0.0.1:7400", "localhost:7400", "localhost"] {
        assert_eq!((ask("/", host), ask("/sim/messages", host)), (200, 200), "{host}");
    }
    for host in ["evil.test:7400", "evil.test", "127.0.0.1.evil.test"] {
        assert_eq!((ask("/", host), ask("/sim/messages", host), ask("/desk/door", host)), (404, 404, 404), "{host}");
        assert_eq!(ask("/pub/imconnector/", host), 200, "{host}");
    }
}

/// A page of elsewhere may post here without asking, as long as it does not want to see the answer.
#[test]
fn promise_8_a_page_of_elsewhere_does_not_act_as_a_script() {
    use crate::sim::host::Ask;
    let (url, _heard) = server();
    let twin = twin("20.0.75", &url);
    let post = |path: &str, origin: Option<&str>| {
        let headers = [("Host", Some("127.0.0.1:7400")), ("Content-Type", Some("text/plain")), ("Origin", origin)];
        let headers = headers.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())));
        let (path, query, body) = (path.to_owned(), String::new(), br#"{"down": true}"#.to_vec());
        twin.answer(Ask { method: "POST".into(), path, query, headers: headers.collect(), body }).status
    };
    for origin in ["https://evil.test", "http://127.0.0.1:9999", "null"] {
        assert_eq!(post("/sim/faults", Some(origin)), 404, "{origin}");
    }
    assert!(!twin.0.faults.read(|faults| faults.down));
    assert_eq!(post("/sim/faults", Some("http://127.0.0.1:7400")), 200);
    assert_eq!(post("/sim/faults", None), 200);
}

#[test]
fn without_a_page_only_the_wire_is_left() {
    let (url, _heard) = server();
    let (clock, net) = (Arc::new(SystemClock::new()), out());
    let twin = PortalTwin::start(Options { page: false, ..options("20.0.75", &url) }, clock, net).unwrap();
    for (path, status) in [("/", 404), ("/desk/door", 404), ("/desk/desk.js", 404), ("/sim/messages", 200)] {
        let call = crate::net::Call {
            method: "GET",
            url: format!("{}{path}", twin.url()),
            headers: vec![],
            body: vec![],
            reach: crate::net::Reach::Configured,
            timeout: LIMIT,
            answer_max_bytes: 65_536,
        };
        assert_eq!(out().call(call).unwrap().status, status, "{path}");
    }
}

#[test]
fn a_desks_file_is_one_process_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let (url, _heard) = server();
    let kept = || Options { file: Some(folder.path().join("desk.db")), ..options("20.0.75", &url) };
    let _first = PortalTwin::start(kept(), Arc::new(SystemClock::new()), out()).unwrap();
    let error = PortalTwin::start(kept(), Arc::new(SystemClock::new()), out()).unwrap_err();
    assert_eq!(error.to_string(), "another process has the desk's file open; stop it first");
}
