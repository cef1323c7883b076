//! A real PHP as the portal: what its `serialize`, `md5` and `http_build_query` make is read here, what we make is read by
//! its `unserialize`. Left out, and said so, where PHP is not installed.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::Value as Json;
use trunkline::ids::PortalId;
use trunkline::message::{Body, Chat, FileLink, Incoming, IncomingKind, Notice, OutgoingKind, PortalRef, Route, User};
use trunkline::portals::boxed::command::{Args, Command as PortalCommand, Name, decode};
use trunkline::portals::boxed::{key_md5, licence_id, push};
use trunkline::records::Portal;

const KEY: &str = "TEST-LICENCE-KEY-0001";

/// Runs the peer; `None` without PHP.
fn php(args: &[&str], input: &str) -> Option<Json> {
    let peer = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/peers/portal.php");
    let mut child = match Command::new("php")
        .arg(peer)
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
