//! The program's ports from outside: routes, statuses, the shape of errors (`interface.md` §3 and §4), addresses that are
//! sockets, the figures.

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use serde_json::json;

use crate::commands::OFF;
use crate::crash::activity;
use crate::support::http::{Answer, Client};
use crate::support::portal::Ear;
use crate::support::program::{LICENCE_KEY, Place, Server};
use crate::support::until;

const APP: &str = "11111111-2222-3333-4444-555555555555";

fn ask(address: &str, method: &str, path: &str) -> Answer {
    Client::connect(address).unwrap().request(method, path, "", b"").unwrap()
}

fn is_error(answer: &Answer, status: u16, code: &str) {
    assert_eq!(answer.status, status, "{}", answer.text());
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let body = answer.json();
    assert!(body.as_object().unwrap().keys().eq(["error"]), "{body}");
    assert!(body["error"].as_object().unwrap().keys().eq(["code", "message"]), "{body}");
    assert_eq!(body["error"]["code"], code);
    assert!(!answer.headers.iter().any(|(name, _)| name == "server" || name == "x-powered-by"));
}

#[test]
fn routes_have_their_methods_and_errors_their_shape() {
    let ear = Ear::start();
    let place = Place::new(OFF);
    let (_, hash) = place.connect("office", &ear.url, APP);
    let server = place.serve();
    for side in [&server.public, &server.admin] {
        assert_eq!((ask(side, "GET", "/healthz").status, ask(side, "GET", "/healthz").text()), (200, "ok\n".into()));
        for path in ["/", "/nothing", "/imwebhooks", "/healthz/", "/../etc/passwd", "/%2e%2e/"] {
            is_error(&ask(side, "GET", path), 404, "NOT_FOUND");
        }
        let refused = ask(side, "POST", "/healthz");
        is_error(&refused, 405, "METHOD_NOT_ALLOWED");
        assert_eq!(refused.header("allow"), Some("GET, HEAD"));
    }
    for path in ["/metrics", "/readyz"] {
        is_error(&ask(&server.public, "GET", path), 404, "NOT_FOUND");
        assert_eq!(ask(&server.admin, "GET", path).status, 200);
        is_error(&ask(&server.admin, "DELETE", path), 405, "METHOD_NOT_ALLOWED");
    }
    let known = format!("/imwebhook/?hash={hash}");
    let refused = ask(&server.public, "GET", &known);
    is_error(&refused, 405, "METHOD_NOT_ALLOWED");
    assert_eq!(refused.header("allow"), Some("POST"));
    let mut client = Client::connect(&server.public).unwrap();
    let post = |client: &mut Client, path: &str, kind: &str| {
        client.request("POST", path, &format!("Content-Type: {kind}\r\n"), activity("m").as_bytes()).unwrap()
    };
    for kind in ["text/plain", "text/html; charset=utf-8", "application/xml"] {
        is_error(&post(&mut client, &known, kind), 415, "TYPE_UNSUPPORTED");
    }
    for path in [known.clone(), format!("/imwebhook?hash={hash}"), format!("/imwebhook/h/{hash}")] {
        assert_eq!(post(&mut client, &path, "Application/JSON; charset=utf-8").status, 200, "{path}");
    }
    is_error(&client.post_json(&known, "{").unwrap(), 400, "MALFORMED");
}

/// `interface.md` §3: nobody learns from the answer how wrong a hash is.
#[test]
fn promise_8_every_wrong_hash_has_the_same_answer() {
    let ear = Ear::start();
    let place = Place::new(OFF);
    let (_, hash) = place.connect("office", &ear.url, APP);
    let server = place.serve();
    // A line without settings: its form was opened and never saved.
    let portal = trunkline::portals::boxed::portal_side::Identity::new(LICENCE_KEY, &ear.url, "20.0.75");
    let body = portal.command("getAuthorizationInformation", "botframework", Some("8"), vec![]);
    let form = crate::commands::post(&server, &body);
    let unsaved = form["DATA"]["RESULT"]["URL_WEBHOOK"].as_str().unwrap().split_once("hash=").unwrap().1.to_owned();
    let near = format!("{}{}", &hash[..63], if hash.ends_with('0') { '1' } else { '0' });
    let (upper, twice, zeros) = (hash.to_uppercase(), format!("{hash}{hash}"), "0".repeat(64));
    let mut answers = Vec::new();
    for wrong in ["", "x", "%00", "'--", &unsaved, &near, &upper, &twice, &zeros] {
        for path in [format!("/imwebhook/?hash={wrong}"), format!("/imwebhook/h/{wrong}")] {
            for (method, body) in [("POST", activity("m")), ("GET", String::new()), ("PUT", String::new())] {
                let mut client = Client::connect(&server.public).unwrap();
                let length = if method == "PUT" { "Content-Length: 0\r\n" } else { "" };
                let answer = client.request(method, &path, length, body.as_bytes()).unwrap();
                is_error(&answer, 404, "UNKNOWN_HASH");
                let headers = answer.headers.into_iter().filter(|(name, _)| name != "date").collect::<Vec<_>>();
                answers.push((headers, answer.body));
            }
        }
    }
    for path in ["/imwebhook", "/imwebhook/", "/imwebhook/?other=1", "/imwebhook/h/"] {
        let answer = ask(&server.public, "GET", path);
        let headers = answer.headers.into_iter().filter(|(name, _)| name != "date").collect::<Vec<_>>();
        answers.push((headers, answer.body));
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
}

fn over(path: &std::path::Path, request: &str) -> String {
    let mut stream = UnixStream::connect(path).unwrap();
    stream.write_all(format!("GET {request} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// Both sides on sockets; a proxy with a user of its own reaches the public one, the admin one is its owner's.
#[test]
fn both_sides_can_be_sockets() {
    let place = Place::new(OFF);
    let (public, admin) = (place.path("public.sock"), place.path("admin.sock"));
    let (at_public, at_admin) = (format!("unix:{}", public.display()), format!("unix:{}", admin.display()));
    let flags = ["serve", "--listen", &at_public, "--admin-listen", &at_admin];
    let server = place.serve_as(&flags);
    assert_eq!((&server.public, &server.admin), (&at_public, &at_admin));
    assert!(over(&public, "/healthz").ends_with("ok\n"));
    assert!(over(&admin, "/metrics").contains("trunkline_accounting_difference 0"));
    assert!(over(&public, "/metrics").starts_with("HTTP/1.1 404"));
    let mode = |path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&public), mode(&admin)), (0o666, 0o660));
    assert_eq!(server.terminate(), Some(0));
    assert!(!public.exists() && !admin.exists());
}

/// What a platform is told to call is what the administrator wrote, whatever the port; the command line says the same.
#[test]
fn webhook_addresses_begin_with_the_public_one() {
    let ear = Ear::start();
    let place = Place::new(&format!("public_url = \"https://im.example.test/in/\"\n{OFF}"));
    place.connect("office", &ear.url, APP);
    let server = place.serve();
    let told = place.json(&["line", "show", "1"])["webhook_url"].as_str().unwrap().to_owned();
    assert!(told.starts_with("https://im.example.test/in/imwebhook/?hash="), "{told}");
    let portal = trunkline::portals::boxed::portal_side::Identity::new(LICENCE_KEY, &ear.url, "20.0.75");
    let form = portal.command("getAuthorizationInformation", "botframework", Some("7"), vec![]);
    let form = crate::commands::post(&server, &form);
    assert_eq!(form["DATA"]["RESULT"]["URL_WEBHOOK"], told);
}

/// What `interface.md` §4 lists is there before anything has happened, and the ports count what they turn away.
#[test]
fn the_figures_are_there_from_the_start() {
    let place = Place::new(OFF);
    let server: Server = place.serve();
    let text = ask(&server.admin, "GET", "/metrics").text();
    for name in [
        "accepted_total{connector=\"botframework.msteams\",direction=\"in\",class=\"\"} 0",
        "confirmed_total{connector=\"botframework.msteams\",direction=\"out\",class=\"\"} 0",
        "dead_total{connector=\"botframework\",direction=\"in\",class=\"\"} 0",
        "queued 0",
        "outbox 0",
        "accounting_difference 0",
        "oldest_queued_seconds 0",
        "blocked_lines 0",
        "accept_seconds_count 0",
        "delivery_seconds_count 0",
        "commit_seconds_count",
        "commit_group_size_count",
        "build_info{version=",
        "http_rejected_total{status=\"413\"} 0",
        "http_connections ",
    ] {
        assert!(text.lines().any(|line| line.starts_with(&format!("trunkline_{name}"))), "{name} in\n{text}");
    }
    let mut client = Client::connect(&server.public).unwrap();
    assert_eq!(client.post_json("/imwebhook/", &"x".repeat(2_000_000)).map_or(413, |answer| answer.status), 413);
    until("it is counted", Duration::from_secs(5), || {
        server.metric("trunkline_http_rejected_total{status=\"413\"}") == 1.0
    });
    assert_eq!(ask(&server.admin, "GET", "/readyz").json(), json!({"ready": true}));
}
