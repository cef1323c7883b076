//! The portal's calls against a server that only writes down what it is sent.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, unbounded};
use serde_json::{Value as Json, json};

use super::*;
use crate::clock::{Clock, ManualClock, SystemClock, UnixMillis};
use crate::ids::PortalId;
use crate::net::{Net, Out};
use crate::portals::boxed::form::Form;
use crate::portals::boxed::key_md5;
use crate::portals::boxed::php::{self, Value};
use crate::portals::boxed::portal_side::Identity;
use crate::records::Portal;

pub(crate) const KEY: &str = "TEST-LICENCE-KEY-0001";
pub(crate) const LIMIT: Duration = Duration::from_secs(10);
/// One that closes at once, and one that reads the head of the answer.
const VERSIONS: [&str; 2] = ["20.0.75", "23.100.0"];

/// Head and body of one request as they came over the wire.
pub(crate) struct Heard {
    pub(crate) head: String,
    pub(crate) form: Form,
}

impl Heard {
    pub(crate) fn command(&self) -> &str {
        self.form.get("BX_COMMAND").unwrap()
    }

    /// The arguments as PHP would write them.
    pub(crate) fn data(&self) -> String {
        use base64::Engine;
        let data = base64::engine::general_purpose::STANDARD.decode(self.form.get("DATA").unwrap()).unwrap();
        String::from_utf8(data).unwrap()
    }
}

/// Answers every command with what the settings page needs; the requests come out of the channel in order.
pub(crate) fn server() -> (String, Receiver<Heard>) {
    let data = json!({"RESULT": {"URL_WEBHOOK": "http://x/imwebhook/?hash=1"}});
    answering("", json!({"OK": true, "DATA": data}).to_string())
}

/// Answers every command with these headers and this body.
fn answering(headers: &'static str, reply: String) -> (String, Receiver<Heard>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (told, heard) = unbounded();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let (head, body) = request(&mut stream);
            let _ = told.send(Heard { head, form: Form::decode(&body).unwrap() });
            let length = reply.len();
            // Whoever does not wait for the answer has gone.
            let _ = write!(
                stream,
                "HTTP/1.1 200 OK\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n{reply}"
            );
        }
    });
    (url, heard)
}

pub(crate) fn request(stream: &mut impl Read) -> (String, Vec<u8>) {
    let mut bytes = Vec::new();
    let mut byte = [0; 1];
    while !bytes.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap();
        bytes.extend(byte);
    }
    let head = String::from_utf8(bytes).unwrap();
    let length = head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body).unwrap();
    (head, body)
}

/// The portal as the server knows it.
pub(crate) fn portal(version: &str, license_key: &str) -> Portal {
    Portal {
        id: PortalId(1),
        name: "office".into(),
        protocol: "box".into(),
        url: "https://portal.test".into(),
        licence: String::new(),
        key: key_md5(license_key),
        version: Some(version.into()),
    }
}

pub(crate) fn out() -> Arc<dyn Net> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    Arc::new(Out::new(&clock, Vec::new(), &[]).unwrap())
}

fn client(version: &str, server: &str) -> Client {
    client_at(version, server, Arc::new(SystemClock::new()))
}

fn client_at(version: &str, server: &str, clock: Arc<dyn Clock>) -> Client {
    Client::new(Identity::new(KEY, "https://portal.test", version), server, out(), clock)
}

#[test]
fn any_method_is_called_by_its_name() {
    for version in VERSIONS {
        let (url, heard) = answering("", json!({"OK": true, "DATA": {"id": "28:bot"}}).to_string());
        let client = client(version, &url);
        let data = client.output("botframework", "7").call("infoConnect", vec![]).unwrap();
        assert_eq!(data, json!({"id": "28:bot"}), "{version}");
        let heard = heard.recv_timeout(LIMIT).unwrap();
        let field = |name| heard.form.get(name).unwrap();
        assert!(heard.form.is_signed_with(&key_md5(KEY)), "{version}");
        assert_eq!((field("CONNECTOR"), field("LINE"), field("BX_VERSION")), ("botframework", "7", version));
        client.save_domain("https://new.test").unwrap();
        client.delete_line("7").unwrap();
    }
}

#[test]
fn a_failure_says_why() {
    for version in VERSIONS {
        let refused = json!({"OK": false, "DATA": [], "ERROR": [{"MESSAGE": "", "CODE": "NO_SUCH", "METHOD": ""}]});
        for (reply, want) in [
            (refused.to_string(), CallError::Refused("NO_SUCH".to_owned())),
            (json!({"OK": false}).to_string(), CallError::Refused("no reason given".to_owned())),
            ("<html>".to_owned(), CallError::NotJson),
        ] {
            let (url, _heard) = answering("", reply);
            assert_eq!(client(version, &url).output("viber", "7").call("testConnect", vec![]), Err(want), "{version}");
        }
        let nobody = client(version, "http://127.0.0.1:9");
        let error = nobody.portal().call("testConnect", vec![]).unwrap_err();
        assert!(matches!(error, CallError::Unreachable(_)), "{version}: {error}");
    }
}

fn place() -> MessageRef {
    MessageRef { chat_id: 23, message_id: 2002, chat: "19:abc".to_owned() }
}

/// `portal-box.md` §3.1: up to version 20 the portal is gone before any answer, from 23 on a header refuses. What an
/// operator's acts look like is `portal-box.md` §5.
#[test]
fn what_operators_do_is_handed_over_without_a_reply() {
    for (version, answer) in VERSIONS.into_iter().zip([Ok(()), Err(CallError::Refused("NO_LINE".to_owned()))]) {
        let (url, heard) = answering("x-bitrix-error: NO_LINE\r\n", String::new());
        let client = client(version, &url);
        let output = client.output("botframework.msteams", "7");
        let recipient = Value::map([("id", Value::text("28:bot"))]);
        let way_back = Some(WayBack { recipient, service_url: "https://smba.test/".to_owned() });
        let file = File { name: "a.png".into(), kind: "image", link: "https://portal.test/a".into(), size: 12 };
        let message =
            Outgoing { at: place(), user_id: 3, text: "Hi".into(), files: vec![file], way_back: way_back.clone() };
        assert_eq!(output.send_message(&[message]), answer, "{version}");
        let heard_next = || heard.recv_timeout(LIMIT).unwrap();
        let sent = php::decode(heard_next().data().as_bytes()).unwrap();
        let element = sent.items().next().unwrap().items().next().unwrap();
        let at = |path: &[&str]| path.iter().try_fold(element, |value, key| value.get(key)).cloned();
        assert_eq!(at(&["im", "message_id"]), Some(Value::Int(2002)));
        assert_eq!(at(&["message", "text"]), Some(Value::text("Hi")));
        assert_eq!(at(&["from", "id"]), Some(Value::text("28:bot")), "what came back goes out as the sender");
        assert_eq!(at(&["service_url"]), Some(Value::text("https://smba.test/")));

        let external = vec!["e1".to_owned(), "e2".to_owned()];
        let edit = Edit { at: place(), external: external.clone(), text: "Ho".into(), way_back: None };
        assert_eq!(output.update_message(&[edit]), answer, "{version}");
        let im = r#"s:2:"im";a:2:{s:7:"chat_id";i:23;s:10:"message_id";s:4:"2002";}"#;
        let chat = r#"s:4:"chat";a:1:{s:2:"id";s:6:"19:abc";}"#;
        let ids = r#"s:2:"id";a:2:{i:0;s:2:"e1";i:1;s:2:"e2";}"#;
        let want =
            format!(r#"a:1:{{i:0;a:1:{{i:0;a:3:{{{im}s:7:"message";a:2:{{{ids}s:4:"text";s:2:"Ho";}}{chat}}}}}}}"#);
        let updated = heard_next();
        assert_eq!((updated.command(), updated.data()), ("updateMessage", want));

        assert_eq!(output.delete_message(&[Deletion { at: place(), external, way_back: None }]), answer);
        let one = |at: u8, id: &str| format!(r#"i:{at};a:3:{{{im}s:7:"message";a:1:{{s:2:"id";s:2:"{id}";}}{chat}}}"#);
        let want = format!("a:1:{{i:0;a:2:{{{}{}}}}}", one(0, "e1"), one(1, "e2"));
        let deleted = heard_next();
        assert_eq!((deleted.command(), deleted.data()), ("deleteMessage", want), "one element for each external id");
    }
}

/// `portal-box.md` §3.4: kept for a day.
#[test]
fn what_the_server_says_of_its_connectors_is_kept() {
    for (data, ids) in [
        (json!({"viber": "Viber", "botframework.skype": "Skype", "": "x"}), ["botframework.skype", "viber"]),
        (json!(["telegrambot", "viber"]), ["telegrambot", "viber"]),
    ] {
        let (url, heard) = answering("", json!({"OK": true, "DATA": data}).to_string());
        let clock = Arc::new(ManualClock::at(UnixMillis(0)));
        let client = client_at("17.0.14", &url, clock.clone());
        let asked = || heard.try_iter().map(|heard| heard.command().to_owned()).collect::<Vec<_>>();
        assert_eq!(client.list_connectors().unwrap(), ids);
        clock.advance(Duration::from_hours(24) - Duration::from_millis(1));
        client.list_connectors().unwrap();
        assert_eq!(asked(), ["listConnector"]);
        clock.advance(Duration::from_millis(1));
        client.list_connectors().unwrap();
        assert_eq!(asked(), ["listConnector"], "the day is over");
        for line in ["7", "8", "7"] {
            assert_eq!(client.info_connectors_line(line).unwrap(), data);
        }
        assert_eq!(asked(), ["infoConnectorsLine", "infoConnectorsLine"], "each line for itself");
        client.forget();
        client.info_connectors_line("7").unwrap();
        assert_eq!(asked(), ["infoConnectorsLine"]);
    }
}

#[test]
fn a_failure_is_not_kept() {
    let (url, heard) = answering("", json!({"OK": false}).to_string());
    let client = client("23.100.0", &url);
    assert!(client.info_connectors_line("7").is_err() && client.info_connectors_line("7").is_err());
    assert_eq!(heard.try_iter().count(), 2);
}

/// The module takes any certificate and does not wait (`portal-box-observed.md` §1, §2).
#[test]
fn a_no_wait_command_arrives_whole_over_tls() {
    use rustls::pki_types::PrivateKeyDer;
    let pair = rcgen::generate_simple_self_signed(vec!["somebody.example.com".to_owned()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(pair.signing_key.serialize_der().into());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut config = builder.with_no_client_auth().with_single_cert(vec![pair.cert.der().clone()], key).unwrap();
    config.send_tls13_tickets = 0;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let (told, heard) = unbounded();
    std::thread::spawn(move || {
        let (tcp, _) = listener.accept().unwrap();
        let session = rustls::ServerConnection::new(Arc::new(config)).unwrap();
        let _ = told.send(request(&mut rustls::StreamOwned::new(session, tcp)));
    });
    let client = client("20.0.75", &url);
    let long = "long ".repeat(100_000);
    let message = Value::map([("text", Value::text(long))]);
    assert_eq!(client.output("botframework.msteams", "3").call("sendMessage", vec![message]), Ok(Json::Null));
    let (_, body) = heard.recv_timeout(LIMIT).unwrap();
    assert!(Form::decode(&body).unwrap().is_signed_with(&key_md5(KEY)));
}
