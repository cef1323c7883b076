//! The administrator's commands beside a running server and without one: results, refusals, exit codes (`interface.md` §1).

use std::time::Duration;

use crate::commands::OFF;
use crate::crash::activity;
use crate::support::far_end::{self, FarEnd};
use crate::support::http::Client;
use crate::support::portal::Ear;
use crate::support::program::Place;
use crate::support::until;

const APP: &str = "11111111-2222-3333-4444-555555555555";

fn code(place: &Place, args: &[&str]) -> (i32, String) {
    let output = place.output(args);
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output.status.code().unwrap(), text)
}

#[test]
fn what_must_not_be_done_is_refused_in_words() {
    let place = Place::new(OFF);
    let licence = place.path("licence");
    let add = |name: &str, url: &str, file: &std::path::Path| {
        code(
            &place,
            &["portal", "add", name, "--protocol", "box", "--url", url, "--license-key-file", file.to_str().unwrap()],
        )
    };
    std::fs::write(place.path("demo"), "DEMO\n").unwrap();
    let (exit, text) = add("office", "https://portal.example.test", &place.path("demo"));
    assert!(exit == 4 && text.contains("public knowledge"), "{exit} {text}");
    for url in ["portal.example.test", "ftp://x", "https://u:p@x", "https://x/?a=1"] {
        let (exit, text) = add("office", url, &licence);
        assert!(exit == 2 && text.contains("portal's address"), "{url}: {exit} {text}");
    }
    assert_eq!(add("office", "https://portal.example.test/", &licence).0, 0);
    assert_eq!(add("office", "https://elsewhere.test", &licence).0, 4);
    assert_eq!(add("second", "https://elsewhere.test", &licence).0, 4, "one licence, one portal");
    assert_eq!(place.json(&["portal", "list"])[0]["url"], "https://portal.example.test");

    let target = ["line", "add", "--portal", "office", "--connector", "botframework", "--line", "7"];
    let with = |more: &[&str]| code(&place, &[&target[..], more].concat());
    let (exit, text) = with(&["--set", "app_secret=MARK-SECRET"]);
    assert!(exit == 2 && text.contains("--set-file") && !text.contains("MARK-SECRET"), "{exit} {text}");
    let (exit, text) = with(&["--set", "colour=blue"]);
    assert!(exit == 2 && text.contains("bot_handle"), "{exit} {text}");
    let (exit, text) = code(&place, &["line", "show", "99"]);
    assert!(exit == 3 && text.contains("no line `99`"), "{exit} {text}");
    let (exit, text) = code(&place, &["portal", "show", "ofice"]);
    assert!(exit == 3 && text.contains("did you mean `office`"), "{exit} {text}");
    assert_eq!(code(&place, &["portal", "remove", "office"]).0, 4);
    assert_eq!(code(&place, &["portal", "remove", "office", "--yes"]).0, 0);
    assert_eq!(place.json(&["portal", "list"]), serde_json::json!([]));
}

#[test]
fn a_running_server_notices_what_the_commands_change() {
    let ear = Ear::start();
    ear.well.store(false, std::sync::atomic::Ordering::SeqCst);
    let place = Place::new(OFF);
    let (line, hash) = place.connect("office", &ear.url, APP);
    let line = line.to_string();
    let server = place.serve();
    let second = place.output(&["serve"]);
    assert_eq!(second.status.code(), Some(1), "one server a data directory");
    assert!(String::from_utf8_lossy(&second.stderr).contains("another server works in"));

    let path = format!("/imwebhook/?hash={hash}");
    for number in 1..=3 {
        let body = activity(&format!("mark-{number}"));
        assert_eq!(Client::connect(&server.public).unwrap().post_json(&path, &body).unwrap().status, 200);
    }
    let wait = Duration::from_secs(10);
    until("the block", wait, || place.json(&["line", "show", &line])["state"] == "blocked");
    let shown = place.json(&["line", "show", &line]);
    assert_eq!((shown["attempts"].as_i64(), shown["queued"].as_i64()), (Some(1), Some(3)), "{shown}");
    assert!(shown["last_error"].as_str().unwrap().contains("502"), "{shown}");
    let words = place.run(&["line", "show", &line]);
    assert!(words.contains("waits until") && words.contains("  try: trunkline portal test office\n"), "{words}");

    let queue = place.json(&["queue", "list", "--line", &line]);
    assert_eq!(queue.as_array().unwrap().len(), 3);
    let last = queue[2]["id"].to_string();
    assert!(place.run(&["queue", "show", &last]).contains("mark-3"));
    assert_eq!(code(&place, &["queue", "drop", &last]).0, 4);
    assert!(place.run(&["queue", "drop", &last, "--yes"]).contains("dead letter"));
    assert_eq!(code(&place, &["queue", "show", &last]).0, 3);

    ear.well.store(true, std::sync::atomic::Ordering::SeqCst);
    assert!(place.run(&["portal", "test", "office"]).contains("its key is right"));
    place.run(&["line", "unblock", &line]);
    until("delivery after unblock", wait, || server.metric("trunkline_queued") == 0.0);
    assert_eq!(ear.marks("mark").len(), 2);
    assert_eq!(server.metric("trunkline_accounting_difference"), 0.0);
    assert_eq!(place.json(&["line", "show", &line])["state"], "active");

    assert_eq!(Client::connect(&server.admin).unwrap().request("GET", "/readyz", "", b"").unwrap().status, 200);
    assert_eq!(Client::connect(&server.public).unwrap().request("GET", "/metrics", "", b"").unwrap().status, 404);
    assert_eq!(code(&place, &["line", "remove", &line]).0, 4);
    // The server knows the line by heart when it goes, and must not take another message for it.
    let known = Client::connect(&server.public).unwrap().post_json(&path, &activity("mark-8")).unwrap();
    assert_eq!(known.status, 200);
    place.run(&["line", "remove", &line, "--yes"]);
    let gone = Client::connect(&server.public).unwrap().post_json(&path, &activity("mark-9")).unwrap();
    assert_eq!(gone.status, 404);
}

/// What an operator sends waits for a channel that can't be reached; it can be looked at and dropped, and the operator
/// is told.
#[test]
fn operators_messages_are_listed_shown_and_dropped_too() {
    use trunkline::portals::boxed::php::Value;
    use trunkline::portals::boxed::portal_side::Identity;

    let ear = Ear::start();
    let place = Place::new(OFF);
    let (line, hash) = place.connect("office", &ear.url, APP);
    let server = place.serve();
    let path = format!("/imwebhook/?hash={hash}");
    assert_eq!(Client::connect(&server.public).unwrap().post_json(&path, &activity("mark-1")).unwrap().status, 200);
    let portal = Identity::new(crate::support::program::LICENCE_KEY, &ear.url, "20.0.75");
    let message = Value::map([
        ("im", Value::map([("chat_id", Value::Int(113)), ("message_id", Value::Int(2196))])),
        ("message", Value::map([("user_id", Value::Int(1)), ("text", Value::text("MARK-WORDS"))])),
        ("chat", Value::map([("id", Value::text("conversation-1"))])),
    ]);
    let body = portal.command("sendMessage", "botframework.webchat", Some("7"), vec![Value::list([message])]);
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    let answer = Client::connect(&server.public)
        .unwrap()
        .request("POST", "/imwebhook/portal.php", form, body.as_bytes())
        .unwrap();
    assert_eq!(answer.json()["OK"], true, "{}", answer.text());

    let waiting = || place.json(&["queue", "list", "--out"]);
    until("the first try", Duration::from_secs(10), || waiting()[0]["attempts"].as_i64() == Some(1));
    let entry = waiting()[0].clone();
    let line = line.to_string();
    assert_eq!((entry["message"].as_str(), entry["kind"].as_str()), (Some("2196"), Some("send")), "{entry}");
    assert_eq!(place.json(&["queue", "list", "--out", "--line", &line]), serde_json::json!([entry]));
    let id = entry["id"].to_string();
    let shown = place.run(&["queue", "show", &id, "--out"]);
    assert!(shown.contains("for the channel") && shown.contains("not before") && !shown.contains("MARK"), "{shown}");
    let words = place.run(&["line", "show", &line]);
    assert!(words.contains("1 message waits for the channel, since"), "{words}");
    let traced = place.json(&["trace", &id, "--out"]);
    assert_eq!((traced["state"].as_str(), traced["message"].as_str()), (Some("waiting"), Some("2196")), "{traced}");
    // Why it waits is told everywhere.
    let why = entry["last_error"].as_str().unwrap();
    assert_eq!(traced["attempts"][0]["outcome"], why, "{traced}");
    assert!(shown.contains(why) && words.contains(why) && words.contains("channel  1"), "{words}");

    assert_eq!(code(&place, &["queue", "drop", &id, "--out"]).0, 4);
    assert_eq!(place.json(&["queue", "drop", &id, "--out", "--yes"])["dropped"], true);
    assert_eq!(waiting(), serde_json::json!([]));
    let letter = place.json(&["dead", "list"])[0].clone();
    assert_eq!((letter["direction"].as_str(), letter["reason"].as_str()), (Some("out"), Some("dropped")), "{letter}");
    until("the operator is told", Duration::from_secs(10), || {
        ear.heard.lock().unwrap().iter().any(|data| data.contains("dropped by the administrator"))
    });
    assert_eq!(server.metric("trunkline_accounting_difference"), 0.0);
}

#[test]
fn a_takeover_is_told_beforehand() {
    let place = Place::new(OFF);
    let (line, _) = place.connect("office", "http://127.0.0.1:9", APP);
    let app = format!("app_id={APP}");
    let target = ["line", "takeover", "--portal", "office", "--connector", "botframework", "--line", "8", "--dry-run"];
    let with = |more: &[&str]| code(&place, &[&target[..], more].concat());
    let (exit, words) = with(&["--set", &app]);
    assert!(
        exit == 0 && words.contains(&format!("the connection of line {line} (portal `office`) would end")),
        "{words}"
    );
    assert!(words.ends_with("nothing was changed\n"), "{words}");
    let (exit, words) = with(&["--set", "app_id=99999999-2222-3333-4444-555555555555"]);
    assert!(exit == 0 && words.contains("nobody's connection would end"), "{words}");
    let (exit, words) = with(&[]);
    assert!(exit == 2 && words.contains("app_id"), "{exit} {words}");
    assert_eq!(place.json(&["line", "list"]).as_array().unwrap().len(), 1);
}

/// Portals from 23 on refuse even a test about a connector that they have lost: that says nothing of address and key.
#[test]
fn a_portal_of_today_is_tested_by_a_connector_that_it_knows() {
    let portal = FarEnd::start(|body| {
        let known = String::from_utf8_lossy(body).contains("CONNECTOR=telegrambot");
        let reply = if known { r#"{"OK":true,"DATA":[]}"# } else { NO_PROVIDER };
        Some(far_end::answer("200 OK", reply))
    });
    let place = Place::new("");
    place.connect("office", &portal.url, "11111111-2222-3333-4444-555555555555");
    assert!(place.run(&["portal", "test", "office"]).contains("its key is right"));
}

const NO_PROVIDER: &str = r#"{"OK":false,"DATA":[],"ERROR":[{"CODE":"IMCONNECTOR_NO_CORRECT_PROVIDER"}]}"#;
