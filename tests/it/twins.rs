//! The whole system as `demo` joins it, with portals of each kind, and with faults.

use std::sync::Arc;
use std::time::Duration;

use trunkline::clock::{Clock, SystemClock};
use trunkline::demo::Demo;
use trunkline::sim::Faults;
use trunkline::store::counters;

use crate::support::until;

fn demo(version: &str) -> Demo {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    Demo::start(&clock, 0, version).unwrap()
}

const STEP: Duration = Duration::from_secs(10);

/// Confirmation as each kind of portal gives it (`portal-box.md` §4.6), emoji, edits, deletions, files, both ways.
#[test]
fn the_conversation_plays_with_every_kind_of_portal() {
    for version in ["17.0.14", "18.7.200", "20.0.75", "23.100.0"] {
        let demo = demo(version);
        let mut out = Vec::new();
        if let Err(error) = demo.play(&mut out) {
            // Portals of 17 keep emoji as short names, so the twin's desk shows another text than was typed.
            panic!("{version}: {error}\n{}", String::from_utf8_lossy(&out));
        }
        demo.app.stop();
    }
}

/// Promise 8: what does not prove itself is refused, in the shape of `interface.md` §3.
#[test]
fn promise_8_only_proved_webhooks_get_in() {
    use crate::support::http::Client;
    let demo = demo("20.0.75");
    let address = demo.app.public_addr();
    let ask = |method: &str, path: &str, headers: &str, body: &str| {
        Client::connect(&address).unwrap().request(method, path, headers, body.as_bytes()).unwrap()
    };
    let shapes: Vec<_> =
        ["/imwebhook/", "/imwebhook/?hash=", "/imwebhook/?hash=00", "/imwebhook/h/ffff", "/imwebhook?x=1"]
            .into_iter()
            .map(|path| {
                let answer = ask("POST", path, "Content-Type: application/json\r\n", "{}");
                assert_eq!(answer.status, 404, "{path}");
                assert_eq!(answer.header("content-type"), Some("application/json"));
                answer.text()
            })
            .collect();
    assert!(shapes.windows(2).all(|pair| pair[0] == pair[1]), "the same for every wrong hash: {shapes:?}");

    let hash: String = {
        let db = demo.app.service().readers.get().unwrap();
        db.query_row("select hash from lines", [], |row| row.get(0)).unwrap()
    };
    for path in [format!("/imwebhook/?hash={hash}"), format!("/imwebhook/h/{hash}")] {
        let body = crate::crash::activity("x");
        let answer = ask("POST", &path, "Content-Type: application/json\r\n", &body);
        assert_eq!((answer.status, answer.json()["error"]["code"].as_str()), (401, Some("UNPROVED")));
        let answer = ask("POST", &path, "Authorization: Bearer a.b.c\r\nContent-Type: application/json\r\n", &body);
        assert_eq!(answer.status, 401);
        let answer = ask("GET", &path, "", "");
        assert_eq!((answer.status, answer.header("allow")), (405, Some("POST")));
    }
    let huge = vec![b'x'; 2 * 1024 * 1024];
    let head = format!("POST /imwebhook/?hash={hash} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", huge.len());
    let mut stream = std::net::TcpStream::connect(address.trim_start_matches("http://")).unwrap();
    std::io::Write::write_all(&mut stream, head.as_bytes()).unwrap();
    let mut answer = String::new();
    let _ = std::io::Read::read_to_string(&mut stream, &mut answer);
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    demo.app.stop();
}

/// Promise 1: a busy database is waited for; the answer 200 comes only after the commit.
#[test]
fn promise_1_a_locked_database_is_waited_for() {
    let demo = demo("20.0.75");
    let path = {
        let db = demo.app.service().readers.get().unwrap();
        db.path().unwrap().to_owned()
    };
    let lock = rusqlite::Connection::open(path).unwrap();
    lock.execute_batch("begin immediate").unwrap();
    let bot = demo.bot.clone();
    let call = std::thread::spawn(move || bot.say("webchat", "Ann", "through the lock", None));
    let service = Arc::clone(demo.app.service());
    let accepted = || counters::accounting(&service.readers.get().unwrap()).unwrap().accepted;
    let before = accepted();
    until("the request is waiting", STEP, || !call.is_finished());
    assert_eq!(accepted(), before);
    lock.execute_batch("commit").unwrap();
    call.join().unwrap().unwrap();
    until("delivered", STEP, || {
        demo.portal.talks().iter().any(|talk| talk.entries.iter().any(|entry| entry.text == "through the lock"))
    });
    demo.app.stop();
}

/// One signature check for a busy channel's token and one fetch of its keys (`botframework.md` §2.3).
#[test]
fn keys_are_fetched_once() {
    let demo = demo("20.0.75");
    for number in 0..20 {
        demo.bot.say("webchat", "Ann", &format!("message {number}"), None).unwrap();
    }
    assert_eq!(demo.bot.key_fetches(), 1);
    demo.app.stop();
}

/// Promise 6: a portal that does not confirm blocks its line, and the line says why.
#[test]
fn promise_6_a_line_that_is_blocked_says_why() {
    let demo = demo("20.0.75");
    demo.portal.set_faults(Faults { down: true, ..Faults::default() });
    demo.bot.say("webchat", "Ann", "held", None).unwrap();
    let service = Arc::clone(demo.app.service());
    let blocked = || {
        let db = service.readers.get().unwrap();
        let line = trunkline::store::directory::lines(&db).unwrap().remove(0);
        (line.attempts == 1 && line.blocked_until.is_some()).then(|| line.last_error.unwrap())
    };
    until("the block", STEP, || blocked().is_some());
    assert!(blocked().unwrap().contains("503"), "{:?}", blocked());
    assert_eq!(counters::accounting(&service.readers.get().unwrap()).unwrap().queued, 1);
    demo.app.stop();
}

/// A desk that has confirmed a packet has it, however it ends.
#[test]
fn a_desk_that_is_killed_has_what_it_confirmed() {
    use crate::support::http::Client;
    use crate::support::program::{LICENCE_KEY, Place};
    use std::io::{BufRead, BufReader};
    use trunkline::message::{Body, Chat, Incoming, IncomingKind, User};
    use trunkline::portals::boxed::{key_md5, push};
    use trunkline::records::Portal;

    let place = Place::new("");
    let (licence, data) = (place.path("licence"), place.path("desk.db"));
    let start = || {
        let mut command = place.command(&["sim", "portal", "--server", "http://127.0.0.1:9", "--license-key-file"]);
        command.arg(&licence).arg("--data").arg(&data).args(["--module", "23.100.0"]);
        let mut child = command.stdout(std::process::Stdio::piped()).spawn().unwrap();
        let mut ready = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut ready).unwrap();
        let url = ready.trim().strip_prefix("ready portal=").unwrap().to_owned();
        (child, url)
    };
    let portal = Portal {
        id: trunkline::ids::PortalId(1),
        name: "office".into(),
        protocol: "box".into(),
        url: String::new(),
        licence: String::new(),
        key: key_md5(LICENCE_KEY),
        version: Some("23.100.0".into()),
    };
    let said = |number: u32| Incoming {
        connector: "botframework.webchat".into(),
        kind: IncomingKind::Message,
        key: None,
        user: User { id: "ann".into(), name: "Ann".into(), ..User::default() },
        chat: Chat { id: "c".into(), ..Chat::default() },
        message_id: format!("m{number}"),
        date: None,
        text: format!("number {number}"),
        files: vec![],
        attachments: vec![],
        route: None,
    };
    for life in 0..4 {
        let (mut child, url) = start();
        let (command, data) = push::content(&portal, &[Body::Message(Box::new(said(life)))]);
        let body = push::form(&portal, command, "botframework.webchat", "7", &data).encode();
        let headers = "Content-Type: application/x-www-form-urlencoded\r\n";
        let mut client = Client::connect(&url).unwrap();
        let reply = client.request("POST", "/pub/imconnector/", headers, body.as_bytes()).unwrap();
        assert_eq!(reply.json()["OK"], true);
        // SIGKILL.
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let (mut child, url) = start();
    let kept = Client::connect(&url).unwrap().request("GET", "/sim/messages", "", b"").unwrap().json();
    child.kill().unwrap();
    child.wait().unwrap();
    let texts: Vec<_> = kept.as_array().unwrap().iter().map(|one| one["text"].as_str().unwrap().to_owned()).collect();
    assert_eq!(texts, ["number 0", "number 1", "number 2", "number 3"]);
}
