//! A portal that answers half a body, rubbish, or too much, confirms twice, or confirms what it was never sent: on the
//! wire, against the running program. Nothing is lost, nothing is taken for confirmed that is not, and the line says why
//! it waits.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use trunkline::portals::boxed::php::Value;
use trunkline::portals::boxed::portal_side::Identity;

use crate::crash::activity;
use crate::support::far_end::{FarEnd, answer};
use crate::support::http::Client;
use crate::support::ledger::OFF;
use crate::support::portal::{data, marks_of};
use crate::support::program::{LICENCE_KEY, Place, Server};
use crate::support::until;

const WAIT: Duration = Duration::from_secs(20);
const APP: &str = "11111111-2222-3333-4444-555555555555";
const OK: &str = "{\"OK\":true,\"DATA\":[]}";

fn patient() -> Place {
    Place::new(&format!("{OFF}[retry]\nblocks = [\"1ms\", \"1ms\", \"1h\", \"1h\"]\n"))
}

fn write(server: &Server, path: &str, mark: &str) {
    let answer = Client::connect(&server.public).unwrap().post_json(path, &activity(mark)).unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[test]
fn an_answer_that_is_no_answer_confirms_nothing() {
    let cut = b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{\"OK\":tr".to_vec();
    let cut_chunk = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n15\r\n{\"OK\":true,\"DATA\":[]".to_vec();
    let headless = b"{\"OK\":true,\"DATA\":[]}".to_vec();
    let huge = answer("200 OK", &format!("{{\"OK\":true,\"DATA\":\"{}\"}}", "x".repeat(20_000_000)));
    for (case, bad, said) in [
        ("half a body", Some(cut), "broke"),
        ("half a chunk", Some(cut_chunk), "broke"),
        ("no head", Some(headless), "broke"),
        ("a hang-up", None, "broke"),
        ("too much", Some(huge), "longer than"),
        ("rubbish", Some(answer("200 OK", "<html>It works!</html>")), "answered 200"),
        ("two answers in one", Some(answer("200 OK", &format!("{OK}{OK}"))), "answered 200"),
    ] {
        let script = Arc::new(Mutex::new(VecDeque::from([bad])));
        let heard: Arc<Mutex<Vec<u64>>> = Arc::default();
        let (told, posts) = (heard.clone(), script.clone());
        let portal = FarEnd::start(move |body| {
            told.lock().unwrap().extend(marks_of(&data(body)?, "mark"));
            posts.lock().unwrap().pop_front().unwrap_or_else(|| Some(answer("200 OK", OK)))
        });
        let place = patient();
        let (_, hash) = place.connect("office", &portal.url, APP);
        let server = place.serve();
        write(&server, &format!("/imwebhook/?hash={hash}"), "mark-1");
        until(case, WAIT, || server.metric("trunkline_queued") == 0.0);
        assert_eq!(*heard.lock().unwrap(), [1, 1], "{case}: posted again after the bad answer, and then no more");
        assert_eq!(server.metric("trunkline_accounting_difference"), 0.0, "{case}");
        let log = server.log.text();
        let line =
            log.lines().find(|line| line.contains("the line is blocked")).unwrap_or_else(|| panic!("{case}: {log}"));
        assert!(line.contains(said), "{case}: {line}");
    }
}

/// The reply and `setStatusDelivered`, in any number and order, about anything (`interface.md` §6).
#[test]
fn confirmations_that_come_twice_or_out_of_nowhere_change_nothing() {
    let heard: Arc<Mutex<Vec<u64>>> = Arc::default();
    let told = heard.clone();
    let portal = FarEnd::start(move |body| {
        told.lock().unwrap().extend(marks_of(&data(body)?, "mark"));
        Some(answer("200 OK", OK))
    });
    let place = patient();
    let (_, hash) = place.connect("office", &portal.url, APP);
    let server = place.serve();
    let identity = Identity::new(LICENCE_KEY, &portal.url, "17.0.14");
    let confirm = |ids: &[&str]| {
        let element = |id: &&str| {
            Value::map([
                ("chat", Value::map([("id", Value::text("conversation-1"))])),
                ("message", Value::map([("id", Value::text(*id))])),
            ])
        };
        let list = Value::list(ids.iter().map(element).collect::<Vec<_>>());
        let body = identity.command("setStatusDelivered", "botframework.webchat", Some("7"), vec![list]);
        let form = "Content-Type: application/x-www-form-urlencoded\r\n";
        let mut client = Client::connect(&server.public).unwrap();
        let answer = client.request("POST", "/imwebhook/portal.php", form, body.as_bytes()).unwrap();
        assert_eq!(answer.json()["OK"], true, "{}", answer.text());
    };
    confirm(&["mark-1", "mark-2", "never"]);
    let path = format!("/imwebhook/?hash={hash}");
    for mark in ["mark-1", "mark-2"] {
        write(&server, &path, mark);
        until("delivered", WAIT, || server.metric("trunkline_queued") == 0.0);
        confirm(&[mark, "never", mark]);
        confirm(&[mark]);
    }
    assert_eq!(*heard.lock().unwrap(), [1, 2], "what was confirmed before it was sent was sent all the same");
    let confirmed = "trunkline_confirmed_total{connector=\"botframework.webchat\",direction=\"in\",class=\"\"}";
    assert_eq!(server.metric(confirmed), 2.0);
    assert_eq!(server.metric("trunkline_accounting_difference"), 0.0);
}
