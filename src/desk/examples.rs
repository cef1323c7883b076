//! The worked examples of `portal-box.md` §9 through the library, both ways: what it sends is compared byte for byte, what
//! the vendor's server sends gets the documented reply and means what it says. The bytes stand with the wire's own tests.

use std::io::Write;
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use crossbeam_channel::{Receiver, unbounded};
use serde_json::{Value as Json, json};

use super::tests::{LIMIT, out, request};
use super::*;
use crate::clock::SystemClock;
use crate::net::{Answer, Call, Net, NetError};
use crate::portals::boxed::form::Form;
use crate::portals::boxed::key_md5;
use crate::portals::boxed::php::Value;
use crate::portals::boxed::portal_side::{Identity, Push};
use crate::portals::boxed::tests::{
    DEACTIVATE, KEY, LIST_CONNECTOR, PUSH_TEST, RECEIVING_MESSAGE, RECEIVING_STATUS, SAVE_SETTINGS, SEND_MESSAGE,
    STATUS_DELIVERED, TEST_CONNECT_17, TEST_CONNECT_23,
};

const LINE: &str = "3";

fn identity(version: &str) -> Identity {
    Identity::new(KEY, "https://portal.example.test", version)
}

/// A server for old portals, which bring their own HTTP: answers every request alike and gives their bodies away.
fn server(reply: &Json) -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (told, bodies) = unbounded();
    let reply = reply.to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let (_, body) = request(&mut stream);
            let _ = told.send(String::from_utf8(body).unwrap());
            // Whoever does not wait for the answer has gone.
            let _ = write!(stream, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{reply}");
        }
    });
    (url, bodies)
}

fn old_client(reply: &Json) -> (Client, Receiver<String>) {
    let (url, bodies) = server(reply);
    (Client::new(identity("17.0.14"), &url, out(), Arc::new(SystemClock::new())), bodies)
}

/// 9.1, 9.2, 9.4: settings and what is asked of the whole portal.
#[test]
fn settings_are_sent_byte_for_byte() {
    let list = json!({"telegrambot": "telegrambot", "botframework": "botframework",
        "botframework.skype": "botframework.skype"});
    let (client, bodies) = old_client(&json!({"OK": true, "DATA": list}));
    let next = || bodies.recv_timeout(LIMIT).unwrap();
    let telegram = client.output("telegrambot", LINE);
    telegram.call("testConnect", vec![]).unwrap();
    assert_eq!(next(), TEST_CONNECT_17);
    let mut connectors = client.list_connectors().unwrap();
    connectors.sort();
    assert_eq!(connectors, ["botframework", "botframework.skype", "telegrambot"]);
    assert_eq!(next(), LIST_CONNECTOR);
    telegram.call("saveSettings", vec![Value::map([("api_token", Value::text("123456:AAtest"))])]).unwrap();
    assert_eq!(next(), SAVE_SETTINGS);
}

/// 9.5, 9.6: what nobody waits for. The way back is what came with the customer's message.
#[test]
fn messages_are_sent_byte_for_byte() {
    let (client, bodies) = old_client(&json!({}));
    let next = || bodies.recv_timeout(LIMIT).unwrap();
    let recipient =
        Value::map([("id", Value::text("28:11111111-2222-3333-4444-555555555555")), ("name", Value::text("ShopBot"))]);
    let message = Outgoing {
        at: MessageRef { chat_id: 113, message_id: 2196, chat: "29:1AbCdEf".into() },
        user_id: 3,
        text: "[b]Anna Ivanova:[/b][br] Hello".into(),
        files: vec![],
        way_back: Some(WayBack { recipient, service_url: "https://smba.example.test/apis/".into() }),
    };
    client.output("botframework.skype", LINE).send_message(&[message]).unwrap();
    assert_eq!(next(), SEND_MESSAGE);
    let id = |id: &str| Value::map([("id", Value::text(id))]);
    let taken = Value::map([("user", id("777")), ("message", id("42")), ("chat", id("555"))]);
    client.output("telegrambot", LINE).set_status_delivered([taken].iter()).unwrap();
    assert_eq!(next(), STATUS_DELIVERED);
}

/// Answers in memory, as newer portals bring no HTTP of their own.
#[derive(Debug, Default)]
struct Memory(Mutex<Vec<Call>>);

impl Net for Memory {
    fn call(&self, call: Call) -> Result<Answer, NetError> {
        self.0.lock().unwrap().push(call);
        Ok(Answer { status: 200, headers: vec![], body: b"{\"OK\":true,\"DATA\":[]}".to_vec() })
    }
}

/// 9.3.
#[test]
fn a_newer_portal_sends_byte_for_byte() {
    let net = Arc::new(Memory::default());
    let client =
        Client::new(identity("23.100.0"), "https://im.example.test/", net.clone(), Arc::new(SystemClock::new()));
    assert_eq!(client.output("telegrambot", LINE).call("testConnect", vec![]), Ok(json!([])));
    let call = net.0.lock().unwrap().remove(0);
    assert_eq!(call.url, "https://im.example.test/imwebhook/portal.php");
    assert_eq!(String::from_utf8(call.body).unwrap(), TEST_CONNECT_23);
}

/// A door whose handlers note what they are handed.
fn door(version: &str, commands: &[&'static str]) -> (Input, Arc<Mutex<Vec<Push>>>) {
    let heard: Arc<Mutex<Vec<Push>>> = Arc::default();
    let input = commands.iter().fold(Input::new(identity(version), Unsigned::Refused), |input, command| {
        let heard = Arc::clone(&heard);
        input.on(command, move |push: &Push| {
            heard.lock().unwrap().push(push.clone());
            Ok(json!([]))
        })
    });
    (input, heard)
}

const VERSIONS: [&str; 2] = ["17.0.14", "23.100.0"];

/// 9.7.
#[test]
fn a_customers_message_is_taken() {
    for version in VERSIONS {
        let (input, heard) = door(version, &["receivingMessage"]);
        assert_eq!(input.receive(RECEIVING_MESSAGE.as_bytes()), json!({"OK": true, "DATA": []}), "{version}");
        let push = heard.lock().unwrap().remove(0);
        assert_eq!((push.connector.as_str(), push.line.as_str(), push.signed), ("telegrambot", LINE, true));
        let [got] = Received::all(&push).try_into().unwrap();
        let user = Customer {
            id: "777".into(),
            name: "Ivan".into(),
            last_name: "Petrov".into(),
            url: Some("https://t.me/ivan".into()),
            picture: Some("https://cdn.example.test/u/777.jpg".into()),
            // PHP's `md5(serialize($user))`.
            fingerprint: "180aa1ea56771735ab12d2558f316db3".into(),
        };
        let file = FileLink {
            name: Some("price.pdf".into()),
            url: "https://cdn.example.test/f/1.pdf".into(),
            kind: Some("application/pdf".into()),
            headers: vec![],
        };
        let want = Received {
            kind: Kind::Message,
            user,
            chat: "777".into(),
            message: "42".into(),
            date: Some(1_500_000_000),
            text: "Привет :smile:".into(),
            files: vec![file],
            way_back: None,
        };
        assert_eq!(got, want, "{version}");
        assert_eq!(crate::text::from_shortnames(&got.text), "Привет 😄");
    }
}

/// 9.8.
#[test]
fn a_delivery_is_taken() {
    for version in VERSIONS {
        let (input, heard) = door(version, &["receivingStatusDelivery"]);
        assert_eq!(input.receive(RECEIVING_STATUS.as_bytes()), json!({"OK": true, "DATA": []}), "{version}");
        let at = MessageRef { chat_id: 113, message_id: 2196, chat: "777".into() };
        let push = heard.lock().unwrap().remove(0);
        assert_eq!(Delivered::all(&push), [Delivered { at, external: vec!["771".into()] }]);
    }
}

/// 9.9, 9.10.
#[test]
fn a_test_and_a_takeover_are_answered() {
    for (version, tested) in VERSIONS.into_iter().zip([json!({"RESULT": "OK"}), json!([])]) {
        let (input, heard) = door(version, &["deactivateConnector"]);
        assert_eq!(input.receive(PUSH_TEST.as_bytes()), json!({"OK": true, "DATA": tested}), "{version}");
        assert_eq!(input.receive(DEACTIVATE.as_bytes()), json!({"OK": true, "DATA": []}), "{version}");
        let push = heard.lock().unwrap().remove(0);
        assert_eq!((push.connector.as_str(), push.line.as_str()), ("botframework", LINE));
        assert_eq!(push.data, Value::list([]));
    }
}

/// The error replies at the end of §9.
#[test]
fn what_is_wrong_gets_its_code() {
    let code = |code: &str| json!({"OK": false, "DATA": [], "ERROR": [{"CODE": code}]});
    for version in VERSIONS {
        let (input, heard) = door(version, &["receivingMessage", "deactivateConnector"]);
        for body in [RECEIVING_MESSAGE, DEACTIVATE, PUSH_TEST] {
            let (rest, hash) = body.split_at(body.len() - 1);
            let other = if hash == "0" { "1" } else { "0" };
            let forged =
                [format!("{rest}{other}"), body.replace("LINE=3", "LINE=4"), body.replace("TYPE=CP", "TYPE=B24")];
            for forged in forged {
                assert_eq!(input.receive(forged.as_bytes()), code("LICENCE_ERROR"), "{version}");
            }
        }
        let mut form = Form::decode(PUSH_TEST.as_bytes()).unwrap();
        form.0.retain(|(name, _)| name != "BX_HASH");
        form.0[0].1 = "TestConnect".to_owned();
        form.sign(&key_md5(KEY));
        let unknown = input.receive(form.encode().as_bytes());
        assert_eq!(unknown, code("IMCONNECTOR_NOT_SPECIFIED_CORRECT_COMMAND"), "commands are matched exactly");
        assert!(heard.lock().unwrap().is_empty());
    }
}
