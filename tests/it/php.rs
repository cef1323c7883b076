//! A real PHP as the portal: what its `serialize`, `md5` and `http_build_query` make is read here, what we make is read by
//! its `unserialize`, and both talk to the running program. Left out, and said so, where PHP is not installed.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value as Json, json};
use trunkline::ids::PortalId;
use trunkline::message::{Body, Chat, FileLink, Incoming, IncomingKind, Notice, OutgoingKind, PortalRef, Route, User};
use trunkline::portals::boxed::command::{Args, Command as PortalCommand, Name, decode};
use trunkline::portals::boxed::{key_md5, licence_id, push};
use trunkline::records::Portal;

use crate::commands::{Channel, OFF};
use crate::crash::activity;
use crate::support::http::Client;
use crate::support::program::{Place, Server};
use crate::support::until;

const KEY: &str = "TEST-LICENCE-KEY-0001";
const PEER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/peers/portal.php");

/// Runs the peer; `None` without PHP.
fn php(args: &[&str], input: &str) -> Option<Json> {
    let mut child = match Command::new("php")
        .arg(PEER)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
    {
        Ok(child) => child,
        Err(error) => {
            println!("left out: php can't be run ({error})");
            return None;
        }
    };
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

fn prove(body: &Json) -> PortalCommand {
    decode(body.as_str().unwrap().as_bytes()).unwrap().prove(&key_md5(KEY)).unwrap()
}

#[test]
fn what_php_builds_is_read() {
    for version in ["17.0.14", "20.0.75", "23.100.0"] {
        let Some(built) = php(&["build", version], "") else { return };
        assert_eq!(prove(&built["test"]).version, version);
        assert_eq!(prove(&built["list"]).line, None);
        let Args::Settings(settings) = prove(&built["save"]).args else { panic!() };
        let value = |key: &str| settings.iter().find(|(name, _)| name == key).unwrap().1.clone();
        assert_eq!((value("bot_handle").as_deref(), value("app_secret")), (Some("shop"), None));
        assert_eq!(
            (value("n").as_deref(), value("f").as_deref(), value("t").as_deref()),
            (Some("0"), Some("1.5"), Some("1"))
        );
        let Args::Messages(messages) = prove(&built["send"]).args else { panic!() };
        let OutgoingKind::Send { text, files } = &messages[0].kind else { panic!() };
        assert_eq!(text, "[b]Анна:[/b][br] Привет 👋 & <b>\"'+/=");
        assert_eq!((files[0].name.as_str(), files[0].image), ("прайс.pdf", false));
        let Args::Messages(messages) = prove(&built["update"]).args else { panic!() };
        assert_eq!(messages[0].kind, OutgoingKind::Update { ids: vec!["a".into(), "b".into()], text: "new".into() });
        assert_eq!(prove(&built["status"]).args, Args::Statuses(vec![("555".into(), "42".into())]));
        let line = prove(&built["line"]);
        assert_eq!((line.name, line.args), (Name::DeleteLine, Args::Text(Some("9".into()))));
    }
}

#[test]
fn what_we_push_is_read_by_php() {
    let portal = |version: &str| Portal {
        id: PortalId(1),
        name: "office".into(),
        protocol: "box".into(),
        url: "https://portal.example.test".into(),
        licence: licence_id(KEY),
        key: key_md5(KEY),
        version: Some(version.into()),
    };
    let message = Incoming {
        connector: "botframework.msteams".into(),
        kind: IncomingKind::Message,
        key: None,
        user: User { id: "29:1".into(), name: "Иван \"Ваня\"".into(), ..User::default() },
        chat: Chat { id: "a:1".into(), ..Chat::default() },
        message_id: "42".into(),
        date: Some(1_500_000_000),
        text: "Привет 👋\n[b]x[/b] & 'y' \\ \u{7f}".into(),
        files: vec![FileLink { url: "https://cdn.example.test/f".into(), ..FileLink::default() }],
        attachments: vec![],
        route: Some(Route {
            recipient_id: "28:b".into(),
            recipient_name: "Bot".into(),
            service_url: "https://s/".into(),
        }),
    };
    let delivered = Notice::Delivered {
        im: PortalRef { chat_id: "113".into(), message_id: "2196".into() },
        chat: "a:1".into(),
        ids: vec!["x".into(), "y".into()],
        date: 5,
    };
    for (version, body) in [("20.0.75", Body::Message(Box::new(message))), ("17.0.14", Body::Notice(delivered))] {
        let portal = portal(version);
        let (command, data) = push::content(&portal, std::slice::from_ref(&body));
        let form = push::form(&portal, command, "botframework.msteams", "3", &data).encode();
        let Some(read) = php(&["read"], &form) else { return };
        assert_eq!(read["signed"], true);
        assert_eq!(read["again"], true, "PHP would write the same bytes");
        assert_eq!(read["command"], command);
        match body {
            Body::Message(message) => {
                assert_eq!(read["data"][0]["message"]["text"], message.text);
                assert_eq!(read["data"][0]["message"]["date"], 1_500_000_000);
                assert_eq!(read["data"][0]["recipient"]["id"], "28:b");
            }
            Body::Notice(_) => {
                assert_eq!(read["data"][0]["im"]["message_id"], 2196);
                assert_eq!(read["data"][0]["message"]["id"][1], "y");
            }
        }
    }
}

/// PHP's own web server as the portal's; killed when dropped.
struct Endpoint {
    child: Child,
    url: String,
    place: Place,
}

impl Endpoint {
    fn start(place: Place, server: &Server, version: &str) -> Option<Self> {
        let mut command = Command::new("php");
        command.args(["-S", "127.0.0.1:0", PEER]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        command.env("SERVER", &server.public).env("VERSION", version).env("LOG", place.path("pushes"));
        let Ok(mut child) = command.spawn() else {
            println!("left out: php can't be run");
            return None;
        };
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        log.read_line(&mut line).unwrap();
        let url = line.split_once('(').and_then(|(_, rest)| rest.split_once(')')).expect(&line).0.to_owned();
        // A full pipe would stop it.
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        Some(Self { child, url, place })
    }

    /// What was pushed, as PHP reads it.
    fn pushes(&self, command: &str) -> Vec<Json> {
        let log = std::fs::read_to_string(self.place.path("pushes")).unwrap_or_default();
        let all = log.lines().filter_map(|line| serde_json::from_str::<Json>(line).ok());
        all.filter(|push| push["command"] == command).collect()
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A portal of each kind from the first look at its page to the deletion of its line: `portal-box-observed.md` §4 to §6
/// with both sides real.
#[test]
fn a_portal_in_php_lives_with_the_program() {
    for version in ["17.0.14", "20.0.75", "23.100.0"] {
        let place = Place::new(OFF);
        let server = place.serve();
        let licence = place.path("licence");
        let Some(portal) = Endpoint::start(place, &server, version) else { return };
        let licence = licence.to_str().unwrap();
        let add = ["portal", "add", "office", "--protocol", "box", "--url", &portal.url, "--license-key-file", licence];
        portal.place.run(&add);
        let ask = |what: &str| php(&[what, &server.public, version, &portal.url], "").unwrap();

        let replies = ask("pages");
        for (name, reply) in replies.as_object().unwrap() {
            let fine = name != "unknown";
            assert_eq!((reply["OK"] == true, reply["x-bitrix-error"] == ""), (fine, fine), "{version} {name}: {reply}");
        }
        assert_eq!(replies["unknown"]["ERROR"][0]["CODE"], "COMMAND_UNKNOWN");
        assert_eq!(replies["list"].is_null(), version != "17.0.14");
        let form = |name: &str| replies[name]["DATA"]["RESULT"].clone();
        assert_eq!(form("form")["URL_WEBHOOK"], form("after")["URL_WEBHOOK"]);
        assert_eq!(
            (form("form")["SETTINGS"].clone(), &form("saved")["SETTINGS"]["app_secret"]),
            (json!([]), &json!("#HIDDEN#"))
        );
        assert_eq!(form("after")["SETTINGS"]["app_secret"], "#HIDDEN#", "kept");
        assert_eq!(replies["links"]["DATA"]["ID"], "11111111-2222-3333-4444-555555555555");
        let slack = "https://slack.example.test/привет";
        assert_eq!(replies["widgets"]["DATA"]["botframework.slack"]["url"], slack);
        assert_eq!(portal.pushes("testConnect").len(), 2);

        let channel = Channel::start();
        let webhook = form("form")["URL_WEBHOOK"].as_str().unwrap().to_owned();
        let path = webhook.split_once("/imwebhook").map(|(_, rest)| format!("/imwebhook{rest}")).unwrap();
        let text = "Привет 👋🏽 \"[b]\" & 'é' 10:30";
        let written = activity("m-1").replace("\"text\":\"m-1\"", &format!("\"text\":{}", json!(text)));
        let written = written.replace("http://127.0.0.1:9/", &channel.url);
        assert_eq!(Client::connect(&server.public).unwrap().post_json(&path, &written).unwrap().status, 200);
        until("the message at the portal", WAIT, || portal.pushes("receivingMessage").len() == 1);
        let push = portal.pushes("receivingMessage").remove(0);
        assert_eq!((&push["signed"], &push["again"], &push["line"]), (&json!(true), &json!(true), &json!("7")));
        let shown = if version == "17.0.14" { text.replace("👋🏽", ":wave_tone3:") } else { text.to_owned() };
        assert_eq!(push["data"][0]["message"]["text"], shown, "{version}");
        until("the confirmation", WAIT, || server.metric("trunkline_queued") == 0.0);

        ask("say");
        until("the answer at the channel", WAIT, || channel.count("Привет") == 1);
        until("its status at the portal", WAIT, || portal.pushes("receivingStatusDelivery").len() == 1);
        let status = portal.pushes("receivingStatusDelivery").remove(0)["data"][0].clone();
        assert_eq!(status["im"], json!({"chat_id": 113, "message_id": 2196}), "numbers stay numbers");
        assert_eq!(status["message"]["id"][0], "sent-1", "{status}");
        until("all confirmed", WAIT, || server.metric("trunkline_queued") == 0.0);
        assert_eq!(server.metric("trunkline_accounting_difference"), 0.0);

        for reply in ask("remove").as_array().unwrap() {
            assert_eq!(reply["OK"], true, "{version}: {reply}");
        }
        assert_eq!(portal.place.json(&["line", "list"]), json!([]));
    }
}

/// `portal-box-observed.md` §2: with session tickets 10 of 30 bodies of 40 KB and 25 of 30 of 500 KB were cut when this
/// client closed at once. Ours sends none: 90 of 90 arrive whole.
#[test]
fn long_messages_over_tls_survive_a_portal_that_hangs_up() {
    let place = Place::new(OFF);
    place.run(&["tls", "self-signed", "--host", "127.0.0.1", "--dir", place.folder.path().to_str().unwrap()]);
    let files =
        ["cert", "key"].map(|name| format!("{name}_file = {:?}\n", place.path(&format!("{name}.pem")))).concat();
    let config = std::fs::read_to_string(place.path("trunkline.toml")).unwrap();
    std::fs::write(place.path("trunkline.toml"), format!("{config}[tls]\n{files}")).unwrap();
    let domain = "https://portal.example.test";
    place.connect("office", domain, "11111111-2222-3333-4444-555555555555");
    let server = place.serve();
    assert!(server.public.starts_with("https://"), "{}", server.public);
    for bytes in ["30000", "75000", "370000"] {
        if php(&["flood", &server.public, "17.0.14", domain, "30", bytes], "").is_none() {
            return;
        }
    }
    let accepted = "trunkline_accepted_total{connector=\"botframework.webchat\",direction=\"out\",class=\"\"}";
    until("90 of 90 are stored", Duration::from_secs(30), || server.metric_or_zero(accepted) == 90.0);
    assert_eq!(server.metric("trunkline_http_truncated_total"), 0.0);
}

const WAIT: Duration = Duration::from_secs(10);
