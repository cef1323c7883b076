//! A boxed portal's side of the conversation against the running program: the settings chain, the replies as the portal
//! reads them, operators' messages from clients that hang up at once, takeover, foreign lines.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value as Json, json};
use trunkline::portals::boxed::php::Value;
use trunkline::portals::boxed::portal_side::Identity;

use crate::crash::activity;
use crate::support::http::Client;
use crate::support::portal::Ear;
use crate::support::program::{LICENCE_KEY, Place, Server};
use crate::support::until;

pub const OFF: &str = "[bot_framework]\nauthentication = \"off\"\n[network]\nallow = [\"127.0.0.0/8\"]\n";
const APP: &str = "11111111-2222-3333-4444-555555555555";

/// A house with one portal, registered but not connected.
pub struct House {
    pub place: Place,
    pub server: Server,
    pub portal: Identity,
    pub ear: Ear,
}

fn house(version: &str) -> House {
    house_with(version, OFF)
}

/// A house whose server is configured so.
pub fn house_with(version: &str, config: &str) -> House {
    house_of(version, config, LICENCE_KEY, "127.0.0.1")
}

/// The same with a portal of this licence key, and a server at this address.
pub fn house_of(version: &str, config: &str, key: &str, address: &str) -> House {
    let ear = Ear::start();
    let place = Place::new(config);
    let licence = place.path("licence");
    std::fs::write(&licence, key).unwrap();
    place.run(&[
        "portal",
        "add",
        "office",
        "--protocol",
        "box",
        "--url",
        &ear.url,
        "--license-key-file",
        licence.to_str().unwrap(),
    ]);
    let server = place.serve_as(&["serve", "--listen", &format!("{address}:0")]);
    House { portal: Identity::new(key, &ear.url, version), place, server, ear }
}

/// Posts as a portal of 2017 does: HTTP/1.0, head and body in two writes, reads to the end of the stream.
pub fn post(server: &Server, body: &str) -> Json {
    let mut stream = TcpStream::connect(server.public.trim_start_matches("http://")).unwrap();
    write_request(&mut stream, body);
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(!head.to_lowercase().contains("chunked"), "{head}");
    assert!(head.to_lowercase().contains("connection: close") || head.starts_with("HTTP/1.0"), "{head}");
    serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {answer}"))
}

pub fn write_request(stream: &mut TcpStream, body: &str) {
    // Without it a reset throws away what the client's own kernel still holds back.
    stream.set_nodelay(true).unwrap();
    let head = format!(
        "POST /imwebhook/portal.php HTTP/1.0\r\nUser-Agent: Bitrix Connector Client\r\nHost: im.example.test\r\n\
         Connection: close\r\nAccept: */*\r\nAccept-Language: en\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(body.as_bytes()).unwrap();
}

impl House {
    pub fn call(&self, command: &str, args: Vec<Value>) -> Json {
        post(&self.server, &self.portal.command(command, "botframework", Some("7"), args))
    }

    pub fn save(&self) -> Json {
        let settings = [
            ("bot_handle", Value::text("shop")),
            ("app_id", Value::text(APP)),
            ("app_secret", Value::text("MARK-SECRET")),
            ("url_slack", Value::text("https://slack.example.test/x")),
            ("url_kik", Value::text("")),
        ];
        self.call("saveSettingsBotFramework", vec![Value::map(settings)])
    }

    /// Connects and lets a customer write, so that the chat is known.
    pub fn connect(&self, channel: &Channel) -> String {
        assert_eq!(self.save()["OK"], true);
        let form = self.call("getAuthorizationInformation", vec![]);
        let url = form["DATA"]["RESULT"]["URL_WEBHOOK"].as_str().unwrap().to_owned();
        let path = url.split_once("/imwebhook").map(|(_, rest)| format!("/imwebhook{rest}")).unwrap();
        let body = activity("mark-1").replace("http://127.0.0.1:9/", &channel.url);
        let answer = Client::connect(&self.server.public).unwrap().post_json(&path, &body).unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
        path
    }

    pub fn said(&self, message_id: i64, text: &str) -> String {
        self.said_with(message_id, text, Value::list([]))
    }

    /// The same with a part that the server does not need.
    pub fn said_with(&self, message_id: i64, text: &str, params: Value) -> String {
        let message = Value::map([
            ("im", Value::map([("chat_id", Value::Int(113)), ("message_id", Value::Int(message_id))])),
            (
                "message",
                Value::map([
                    ("user_id", Value::Int(3)),
                    ("text", Value::text(text)),
                    ("files", Value::list([])),
                    ("attachments", Value::list([])),
                    ("params", params),
                ]),
            ),
            ("chat", Value::map([("id", Value::text("conversation-1"))])),
        ]);
        self.portal.command("sendMessage", "botframework.webchat", Some("7"), vec![Value::list([message])])
    }
}

/// A channel service reduced to its ear: takes every activity with an id of its own.
#[derive(Clone)]
pub struct Channel {
    pub url: String,
    pub heard: Arc<Mutex<Vec<String>>>,
}

impl Channel {
    pub fn start() -> Self {
        let server = tiny_http::Server::http("127.0.0.1:0").unwrap();
        let channel = Self { url: format!("http://{}/", server.server_addr().to_ip().unwrap()), heard: Arc::default() };
        let heard = channel.heard.clone();
        std::thread::spawn(move || {
            for mut request in server.incoming_requests() {
                let mut body = String::new();
                request.as_reader().read_to_string(&mut body).unwrap();
                let number = {
                    let mut heard = heard.lock().unwrap();
                    heard.push(format!("{} {} {body}", request.method(), request.url()));
                    heard.len()
                };
                let status = if body.contains("refuse me") { 403 } else { 200 };
                let answer = tiny_http::Response::from_string(format!("{{\"id\":\"sent-{number}\"}}"));
                let _ = request.respond(answer.with_status_code(status));
            }
        });
        channel
    }

    pub fn count(&self, mark: &str) -> usize {
        self.heard.lock().unwrap().iter().filter(|line| line.contains(mark)).count()
    }
}

const WAIT: Duration = Duration::from_secs(10);

/// `portal-box-observed.md` §4: the calls of the first save, with the replies that the portal looks for.
#[test]
fn the_settings_chain_of_a_portal_works() {
    let house = house("17.0.14");
    let list = post(&house.server, &house.portal.command("listConnector", "all", None, vec![]));
    assert_eq!(list["DATA"]["botframework"], "botframework");
    assert_eq!(list["DATA"]["botframework.msteams"], "botframework.msteams");

    let empty = house.call("getAuthorizationInformation", vec![]);
    let url = empty["DATA"]["RESULT"]["URL_WEBHOOK"].as_str().unwrap().to_owned();
    assert!(url.contains("/imwebhook/?hash="), "the form shows the address before there is a bot: {url}");

    assert_eq!(house.call("unregister", vec![])["OK"], true);
    assert_eq!(house.save()["OK"], true);
    let test = house.call("testConnect", vec![]);
    assert_eq!(test["OK"], true, "{test}");

    let form = house.call("getAuthorizationInformation", vec![]);
    let result = &form["DATA"]["RESULT"];
    assert_eq!(result["URL_WEBHOOK"], url, "the hash never changes");
    assert_eq!(result["SETTINGS"]["app_secret"], "#HIDDEN#");
    assert_eq!(result["SETTINGS"]["url_slack"], "https://slack.example.test/x");
    assert!(!form.to_string().contains("MARK-SECRET"));

    let links = house.call("infoConnectLink", vec![]);
    assert_eq!(links["DATA"]["URL_SLACK"], "https://slack.example.test/x");
    assert!(links["DATA"]["URL"].is_string() && links["DATA"]["ID"].is_string(), "{links}");
    let info = house.call("infoConnect", vec![]);
    assert!(info["DATA"]["id"].is_string() && info["DATA"]["url"].is_string(), "{info}");
    let settings = house.call("readSettings", vec![]);
    assert_eq!(settings["DATA"]["RESULT"]["app_secret"], "#HIDDEN#");
    let line = post(&house.server, &house.portal.command("infoConnectorsLine", "all", None, vec![Value::text("7")]));
    assert_eq!(line["DATA"]["botframework.slack"]["url"], "https://slack.example.test/x", "{line}");

    // A later save with an untouched secret keeps it; an emptied visible field is cleared.
    let later = [
        ("bot_handle", Value::text("shop")),
        ("app_id", Value::text(APP)),
        ("app_secret", Value::text("")),
        ("url_slack", Value::text("")),
    ];
    assert_eq!(house.call("saveSettingsBotFramework", vec![Value::map(later)])["OK"], true);
    let form = house.call("getAuthorizationInformation", vec![]);
    assert_eq!(form["DATA"]["RESULT"]["SETTINGS"]["app_secret"], "#HIDDEN#");
    assert!(form["DATA"]["RESULT"]["SETTINGS"]["url_slack"].is_null());

    assert_eq!(house.call("register", vec![])["OK"], true);
    assert_eq!(house.call("deleteConnector", vec![])["OK"], true);
    assert_eq!(house.call("deleteConnector", vec![])["OK"], true, "idempotent");
    assert_eq!(house.call("infoConnect", vec![])["OK"], false);
}

#[test]
fn what_cannot_be_done_is_said_in_the_portals_shape() {
    let house = house("17.0.14");
    let refused = |reply: Json, code: &str| {
        assert_eq!(reply["OK"], false, "{reply}");
        assert_eq!(reply["ERROR"][0]["CODE"], code, "{reply}");
        assert!(!reply["ERROR"][0]["MESSAGE"].as_str().unwrap().is_empty());
    };
    refused(house.call("someNewCommand", vec![]), "COMMAND_UNKNOWN");
    refused(house.call("testConnect", vec![]), "LINE_NOT_CONNECTED");
    refused(
        post(&house.server, &house.portal.command("register", "telegrambot", Some("7"), vec![])),
        "CONNECTOR_UNKNOWN",
    );
    refused(post(&house.server, &house.portal.command("register", "botframework", None, vec![])), "LINE_MISSING");
    let stranger = Identity::new("ANOTHER-KEY", &house.ear.url, "17.0.14");
    refused(post(&house.server, &stranger.command("listConnector", "all", None, vec![])), "LICENCE_ERROR");
    let forged = house.portal.command("listConnector", "all", None, vec![]).replace("BX_HASH=", "BX_HASH=0");
    refused(post(&house.server, &forged), "LICENCE_ERROR");
    refused(post(&house.server, "nonsense"), "REQUEST_MALFORMED");
    let bad_app =
        [("bot_handle", Value::text("x")), ("app_id", Value::text("not a guid")), ("app_secret", Value::text("x"))];
    let reply = house.call("saveSettingsBotFramework", vec![Value::map(bad_app)]);
    assert_eq!(reply["OK"], false, "{reply}");
    house.ear.well.store(false, std::sync::atomic::Ordering::SeqCst);
    assert_eq!(house.save()["OK"], true);
    refused(house.call("testConnect", vec![]), "PORTAL_UNREACHABLE");
}

/// Portals up to version 20 close as soon as they have written; 500 of 500 commands are carried out, whether the close
/// arrives as FIN or as RST (`limits.md` C).
#[test]
fn clients_that_hang_up_at_once_lose_nothing() {
    for reset in [false, true] {
        let house = house("17.0.14");
        let channel = Channel::start();
        house.connect(&channel);
        for number in 0..500 {
            let mut stream = TcpStream::connect(house.server.public.trim_start_matches("http://")).unwrap();
            write_request(&mut stream, &house.said(1000 + number, &format!("answer-{number}.")));
            if reset {
                rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).unwrap();
            }
            drop(stream);
        }
        let accepted = "trunkline_accepted_total{connector=\"botframework.webchat\",direction=\"out\",class=\"\"}";
        until("500 of 500 are stored", Duration::from_secs(30), || house.server.metric_or_zero(accepted) == 500.0);
        // One chat's messages leave one after another, each with its commits: a loaded machine takes its time.
        until("500 of 500 are sent", Duration::from_secs(180), || channel.count("answer-") == 500);
        for number in 0..500 {
            assert_eq!(channel.count(&format!("answer-{number}.")), 1, "reset {reset}, message {number}");
        }
    }
}

#[test]
fn an_operators_message_goes_out_once_and_its_status_comes_back() {
    let house = house("20.0.75");
    let channel = Channel::start();
    house.connect(&channel);
    let body = house.said(2196, "[b]Anna Ivanova:[/b][br] Hello");
    for _ in 0..3 {
        assert_eq!(post(&house.server, &body)["OK"], true);
    }
    until("the delivery status", WAIT, || {
        house.ear.heard.lock().unwrap().iter().any(|data| data.contains("i:2196;") && data.contains("sent-1"))
    });
    assert_eq!(channel.count("Hello"), 1, "repeats of im.message_id add nothing");
    let edit = Value::map([
        ("im", Value::map([("chat_id", Value::text("113")), ("message_id", Value::text("2196"))])),
        ("message", Value::map([("id", Value::list([Value::text("sent-1")])), ("text", Value::text("Hello again"))])),
        ("chat", Value::map([("id", Value::text("conversation-1"))])),
    ]);
    post(
        &house.server,
        &house.portal.command("updateMessage", "botframework.webchat", Some("7"), vec![Value::list([edit])]),
    );
    until("the edit", WAIT, || channel.count("PUT /v3/conversations/conversation-1/activities/sent-1") == 1);
    let delete = Value::map([
        ("im", Value::map([("chat_id", Value::text("113")), ("message_id", Value::text("2196"))])),
        ("message", Value::map([("id", Value::text("sent-1"))])),
        ("chat", Value::map([("id", Value::text("conversation-1"))])),
    ]);
    post(
        &house.server,
        &house.portal.command("deleteMessage", "botframework.webchat", Some("7"), vec![Value::list([delete])]),
    );
    until("the deletion", WAIT, || channel.count("DELETE /v3/conversations/conversation-1/activities/sent-1") == 1);
    until("quiet", WAIT, || {
        house.server.metric("trunkline_outbox") == 0.0 && house.server.metric("trunkline_queued") == 0.0
    });
    assert_eq!(house.server.metric("trunkline_accounting_difference"), 0.0);
}

/// Design §8, promise 6.
#[test]
fn the_newest_connection_of_a_bot_wins_and_the_old_portal_is_told() {
    let house = house("17.0.14");
    let channel = Channel::start();
    let old_path = house.connect(&channel);
    let other = Ear::start();
    std::fs::write(house.place.path("other"), "OTHER-LICENCE-KEY-0002").unwrap();
    let key = house.place.path("other");
    house.place.run(&[
        "portal",
        "add",
        "shop",
        "--protocol",
        "box",
        "--url",
        &other.url,
        "--license-key-file",
        key.to_str().unwrap(),
    ]);
    let preview = house.place.json(&[
        "line",
        "takeover",
        "--portal",
        "shop",
        "--connector",
        "botframework",
        "--line",
        "9",
        "--set",
        &format!("app_id={APP}"),
        "--dry-run",
    ]);
    assert_eq!(preview["would_end"][0]["portal"], "office");

    let newcomer = Identity::new("OTHER-LICENCE-KEY-0002", &other.url, "17.0.14");
    let settings = [
        ("bot_handle", Value::text("shop")),
        ("app_id", Value::text(APP.to_uppercase())),
        ("app_secret", Value::text("x")),
    ];
    let saved = post(
        &house.server,
        &newcomer.command("saveSettingsBotFramework", "botframework", Some("9"), vec![Value::map(settings)]),
    );
    assert_eq!(saved["OK"], true, "{saved}");
    until("deactivateConnector", WAIT, || house.ear.heard.lock().unwrap().iter().any(|data| data == "a:0:{}"));
    let gone = Client::connect(&house.server.public).unwrap().post_json(&old_path, &activity("mark-2")).unwrap();
    assert_eq!(gone.status, 404);
    let lines = house.place.json(&["line", "list"]);
    assert_eq!((&lines[0]["state"], &lines[1]["state"]), (&json!("taken_over"), &json!("active")));

    // The first portal takes it back; its line has a new address.
    assert_eq!(house.save()["OK"], true);
    let lines = house.place.json(&["line", "list"]);
    assert_eq!((&lines[0]["state"], &lines[1]["state"]), (&json!("active"), &json!("taken_over")));
}

/// Promise 9: marker words that are secrets or content appear in no log line, and no other portal's line is reachable.
#[test]
fn promise_9_logs_hold_neither_secrets_nor_content() {
    let house = house("17.0.14");
    let channel = Channel::start();
    let path = house.connect(&channel);
    let mut client = Client::connect(&house.server.public).unwrap();
    let body = activity("mark-9").replace("\"text\":\"mark-9\"", "\"text\":\"MARK-CONTENT\"");
    client.post_json(&path, &body.replace("http://127.0.0.1:9/", &channel.url)).unwrap();
    client.post_json(&path, "{broken MARK-BROKEN").unwrap();
    // A cut body is logged; the line's hash in its address is not.
    let cut = path.replace("?hash=", "h/");
    let mut stream = TcpStream::connect(house.server.public.trim_start_matches("http://")).unwrap();
    write!(stream, "POST {cut} HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\nMARK-CUT").unwrap();
    drop(stream);
    until("the cut body is noticed", WAIT, || house.server.log.text().contains("ended before its announced length"));
    post(&house.server, &house.said(5, "MARK-ANSWER"));
    post(&house.server, &house.portal.command("nonsense", "botframework", Some("7"), vec![Value::text("MARK-ARG")]));
    until("sent", WAIT, || channel.count("MARK-ANSWER") == 1);
    let log = house.server.log.text();
    let key = trunkline::portals::boxed::key_md5(LICENCE_KEY);
    let hash = path.split_once("hash=").unwrap().1;
    for secret in ["MARK-", LICENCE_KEY, key.reveal(), hash] {
        assert!(!log.contains(secret), "{secret} in\n{log}");
    }
}
