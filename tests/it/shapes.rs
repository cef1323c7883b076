//! The contract that scripts rely on (`interface.md` §1 and §6): names of JSON fields, exit codes, the one line on
//! standard output.

use std::io::Read;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::commands::OFF;
use crate::crash::activity;
use crate::support::http::Client;
use crate::support::portal::Ear;
use crate::support::program::Place;
use crate::support::until;

const APP: &str = "11111111-2222-3333-4444-555555555555";

/// The document has at least these fields.
fn has(document: &Value, fields: &[&str]) {
    let object = document.as_object().unwrap_or_else(|| panic!("{document}"));
    for field in fields {
        assert!(object.contains_key(*field), "no `{field}` in {document}");
    }
}

#[test]
fn listings_have_the_fields_of_the_contract() {
    let ear = Ear::start();
    ear.well.store(false, std::sync::atomic::Ordering::SeqCst);
    let place = Place::new(OFF);
    let (line, hash) = place.connect("office", &ear.url, APP);
    let server = place.serve();
    let path = format!("/imwebhook/?hash={hash}");
    assert_eq!(Client::connect(&server.public).unwrap().post_json(&path, &activity("m-1")).unwrap().status, 200);
    let line = line.to_string();
    until("the block", Duration::from_secs(10), || place.json(&["line", "show", &line])["state"] == "blocked");

    let portal = ["name", "protocol", "url", "state", "version"];
    has(&place.json(&["portal", "list"])[0], &portal);
    has(&place.json(&["portal", "show", "office"]), &portal);
    let fields = [
        "id",
        "portal",
        "connector",
        "line",
        "hash",
        "webhook_url",
        "state",
        "attempts",
        "blocked_until",
        "last_error",
        "queued",
        "outbox",
    ];
    has(&place.json(&["line", "list"])[0], &fields);
    let shown = place.json(&["line", "show", &line]);
    has(&shown, &fields);
    assert_eq!((&shown["portal"], &shown["line"], shown["id"].is_i64()), (&"office".into(), &"7".into(), true));
    for time in [&shown["blocked_until"], &place.json(&["queue", "list"])[0]["accepted_at"]] {
        let time = time.as_str().unwrap_or_else(|| panic!("{shown}"));
        assert!(time.parse::<jiff::Timestamp>().is_ok() && time.ends_with('Z'), "{time}");
    }
    has(&place.json(&["queue", "list"])[0], &["id", "line", "chat", "message", "kind", "accepted_at", "attempts"]);
    let id = place.json(&["queue", "list"])[0]["id"].to_string();
    has(&place.json(&["queue", "show", &id]), &["id", "line", "chat", "message", "kind", "accepted_at", "attempts"]);
    for attempt in place.json(&["schedule"]).as_array().unwrap() {
        has(attempt, &["attempt", "after_seconds", "block_seconds", "at"]);
    }
    for connector in place.json(&["connector", "list"]).as_array().unwrap() {
        has(connector, &["id"]);
    }
}

#[test]
fn exit_codes_are_those_of_the_contract() {
    let place = Place::new(OFF);
    for (args, want) in [
        (&["portal", "list"][..], 0),
        (&["portal"], 2),
        (&["portal", "list", "--colour"], 2),
        (&["nonsense"], 2),
        (&["line", "add"], 2),
        (&["portal", "show", "none"], 3),
        (&["line", "show", "9"], 3),
        (&["queue", "show", "9"], 3),
        (&["connector", "show", "carrier-pigeon"], 3),
        (&["portal", "remove", "none", "--yes"], 3),
        (&["portal", "test", "none"], 3),
        (&["config", "check"], 0),
        (&["serve", "--listen", "nowhere"], 78),
        // Without authentication on loopback only.
        (&["serve", "--listen", "0.0.0.0:0"], 78),
        // Somebody else's address: nothing that is written wrongly, and it may heal.
        (&["serve", "--admin-listen", "192.0.2.1:1"], 1),
    ] {
        let output = place.output(args);
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(want), "{args:?}: {words}");
        assert_eq!(want == 0, words.is_empty(), "{args:?}: {words}");
        assert!(want == 0 || output.stdout.is_empty(), "{args:?}: failures speak on standard error alone");
    }
}

#[test]
fn standard_output_is_one_ready_line() {
    let place = Place::new(OFF);
    let mut child =
        place.command(&["serve"]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut out = child.stdout.take().unwrap();
    let (mut text, mut byte) = (Vec::new(), [0]);
    while !text.ends_with(b"\n") {
        out.read_exact(&mut byte).unwrap();
        text.extend(byte);
    }
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    out.read_to_end(&mut text).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let text = String::from_utf8(text).unwrap();
    let words: Vec<&str> = text.trim_end().split(' ').collect();
    let [ready, public, admin] = words.as_slice() else { panic!("{text:?}") };
    assert_eq!((*ready, text.lines().count()), ("ready", 1));
    for (word, name) in [(public, "public="), (admin, "admin=")] {
        let address = word.strip_prefix(name).and_then(|url| url.strip_prefix("http://")).unwrap();
        assert_ne!(address.parse::<std::net::SocketAddr>().unwrap().port(), 0, "the real port");
    }
}

/// `interface.md` §1: 0 only if every step was seen at its far end, and nothing stays behind.
#[test]
fn the_demo_ends_well_or_says_why_not_and_leaves_nothing() {
    let place = Place::new("");
    let tmp = place.path("tmp");
    std::fs::create_dir(&tmp).unwrap();
    let left = || std::fs::read_dir(&tmp).unwrap().count();
    let once = place.command(&["demo", "--once"]).env("TMPDIR", &tmp).output().unwrap();
    let text = String::from_utf8(once.stdout).unwrap();
    assert_eq!((once.status.code(), left()), (Some(0), 0), "{text}");
    // The README shows what is printed; only sums may differ.
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let shown = readme.split_once("```text\n").and_then(|(_, rest)| rest.split_once("```")).unwrap().0;
    let words = |text: &str| text.lines().map(|line| line.split(':').next().unwrap().to_owned()).collect::<Vec<_>>();
    assert_eq!(words(&text), words(shown), "{text}");

    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let failed = place.command(&["demo", "--once", "--port", &port]).env("TMPDIR", &tmp).output().unwrap();
    let words = String::from_utf8(failed.stderr).unwrap();
    assert_eq!((failed.status.code(), left()), (Some(1), 0), "{words}");
    assert!(words.contains("the demo failed"), "{words}");

    let mut demo = place.command(&["demo"]).env("TMPDIR", &tmp).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(demo.stdout.take().unwrap()));
    assert!(lines.any(|line| line.unwrap().contains("the operator's desk    http://127.0.0.1:")));
    assert_eq!(left(), 1);
    assert!(Command::new("kill").args(["-INT", &demo.id().to_string()]).status().unwrap().success());
    assert_eq!((demo.wait().unwrap().code(), left()), (Some(0), 0));
}
