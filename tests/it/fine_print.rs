//! The fine print of the box protocol against the running program: what each version of the module sends, what each
//! command is answered, what is refused.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::{Value as Json, json};
use trunkline::portals::boxed::php::Value;
use trunkline::portals::boxed::portal_side::Identity;

use crate::commands::{Channel, House, OFF, house_with, post};
use crate::support::http::Client;
use crate::support::portal::Ear;
use crate::support::until;

const WAIT: Duration = Duration::from_secs(10);

fn house(version: &str) -> House {
    house_with(version, OFF)
}

/// One request as a client of today sends it: HTTP/1.1 on a connection of its own. Gives status, headers, body.
fn modern(house: &House, path: &str, head: &str, body: &[u8]) -> (u16, String, Json) {
    let mut stream = TcpStream::connect(house.server.public.trim_start_matches("http://")).unwrap();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: im.example.test\r\nContent-Type: application/x-www-form-urlencoded\r\n{head}\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    let _ = stream.write_all(body);
    // The client does not ask for it: the server closes by itself.
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{answer:?}"));
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, head.to_lowercase(), serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {answer}")))
}

fn refused(reply: &Json, code: &str) {
    assert_eq!((&reply["OK"], &reply["ERROR"][0]["CODE"]), (&json!(false), &json!(code)), "{reply}");
    let error = reply["ERROR"][0].as_object().unwrap();
    assert!(error.keys().eq(["CODE", "MESSAGE", "METHOD", "PARAMS"]), "{reply}");
    assert!(!error["MESSAGE"].as_str().unwrap().is_empty(), "{reply}");
}

/// `portal-box.md` §3.1, 23.x and later: a query that nobody signed, `Expect` without a value, a header that marks what
/// was refused, and the connection's end.
#[test]
fn a_portal_of_today_reads_the_head_alone() {
    let house = house("26.100.0");
    let body = house.portal.command("testConnect", "botframework", Some("7"), vec![]);
    let head = "Referer: https://portal.example.test\r\nx-bitrix-licence: x\r\nConnection: close\r\n";
    let path = "/imwebhook/portal.php?connector=other&command=deleteLine";
    let (status, head, reply) = modern(&house, path, head, body.as_bytes());
    assert_eq!(status, 200);
    refused(&reply, "LINE_NOT_CONNECTED");
    assert!(head.contains("x-bitrix-error: line_not_connected") && head.contains("connection: close"), "{head}");
    assert!(!head.contains("transfer-encoding") && !head.contains("content-encoding"), "{head}");

    assert_eq!(house.save()["OK"], true);
    let (_, head, reply) = modern(&house, path, "", body.as_bytes());
    assert!(reply["OK"] == true && !head.contains("x-bitrix-error"), "{head} {reply}");
    assert!(head.contains("connection: close"), "nobody asked, and still: {head}");
    for command in ["startSession", "finishSession", "setStatusReading", "initializeReceiveMessages"] {
        assert_eq!(house.call(command, vec![Value::list([Value::map([])])])["OK"], true, "{command}");
    }
    let typing = Value::map([
        ("message", Value::map([("type", Value::text("typing_start"))])),
        ("chat", Value::map([("id", Value::text("conversation-1"))])),
    ]);
    assert_eq!(house.call("sendMessage", vec![Value::list([typing])])["OK"], true);
    refused(&house.call("sendMessage", vec![Value::list([Value::map([])])]), "MESSAGE_EMPTY");
    refused(&house.call("sendMessage", vec![]), "DATA_MALFORMED");
    // A 23 knows the marks of an address only by its own words for them.
    let moved = post(&house.server, &house.portal.command("saveDomainSite", "all", None, vec![Value::text("ftp://x")]));
    refused(&moved, "IM_CONNECTOR_SERVER_ERROR_PUBLIC_URL_MALFORMED");
}

/// What is not even read is said so that both a portal's page and its header find it.
#[test]
fn limits_are_answered_in_the_portals_words_too() {
    let house = house("26.100.0");
    let path = "/imwebhook/portal.php";
    let (status, head, reply) = modern(&house, path, "", &[b'x'; 1_100_000]);
    assert_eq!(status, 413, "{head}");
    refused(&reply, "TOO_LARGE");
    assert_eq!(reply["error"]["code"], "TOO_LARGE");
    assert!(head.contains("x-bitrix-error: too_large") && head.contains("connection: close"), "{head}");
    let answer = Client::connect(&house.server.public).unwrap().request("GET", path, "", b"").unwrap();
    assert_eq!((answer.status, answer.header("allow")), (405, Some("POST")));
}

/// Regression: after `commit_wait` an operator's message was thrown away, although a portal of that age has closed its
/// socket and sends nothing twice. One of today is told instead.
#[test]
fn a_message_that_nobody_sends_again_waits_for_the_database() {
    let slow = format!("{OFF}[http]\ncommit_wait = \"2s\"\n");
    for (version, heard) in [("20.0.75", false), ("23.100.0", true)] {
        let house = house_with(version, &slow);
        let channel = Channel::start();
        house.connect(&channel);
        until("quiet", WAIT, || house.server.metric("trunkline_queued") == 0.0);
        let db = rusqlite::Connection::open(house.place.path("data").join("trunkline.db")).unwrap();
        db.execute_batch("begin immediate").unwrap();
        let (status, head, reply) = modern(&house, "/imwebhook/portal.php", "", house.said(9, "late-1.").as_bytes());
        assert_eq!(status, 503, "{reply}");
        refused(&reply, "UNAVAILABLE");
        assert!(head.contains("x-bitrix-error: unavailable") && head.contains("retry-after"), "{head}");
        db.execute_batch("rollback").unwrap();
        post(&house.server, &house.said(10, "after-2."));
        until("the next message", WAIT, || channel.count("after-2.") == 1);
        assert_eq!(channel.count("late-1."), usize::from(!heard), "{version}");
        assert_eq!(house.server.metric("trunkline_accounting_difference"), 0.0);
    }
}

/// `portal-box.md` §10: a portal reaches its own lines only, whatever it signs.
#[test]
fn promise_8_another_portals_line_is_out_of_reach() {
    let house = house("17.0.14");
    let channel = Channel::start();
    house.connect(&channel);
    let other = Ear::start();
    let key = house.place.path("other");
    std::fs::write(&key, "OTHER-LICENCE-KEY-0002").unwrap();
    let key = key.to_str().unwrap();
    house.place.run(&["portal", "add", "shop", "--protocol", "box", "--url", &other.url, "--license-key-file", key]);
    let stranger = Identity::new("OTHER-LICENCE-KEY-0002", &other.url, "17.0.14");
    let ask = |command: &str, args| post(&house.server, &stranger.command(command, "botframework", Some("7"), args));
    for command in ["testConnect", "register", "infoConnect", "infoConnectLink"] {
        refused(&ask(command, vec![]), "LINE_NOT_CONNECTED");
    }
    let message = Value::map([
        ("im", Value::map([("message_id", Value::Int(1))])),
        ("message", Value::map([("text", Value::text("stolen"))])),
        ("chat", Value::map([("id", Value::text("conversation-1"))])),
    ]);
    refused(&ask("sendMessage", vec![Value::list([message])]), "LINE_NOT_CONNECTED");
    assert_eq!(ask("deleteConnector", vec![])["OK"], true);
    assert_eq!(ask("deleteLine", vec![Value::text("7")])["OK"], true);
    assert_eq!(ask("infoConnectorsLine", vec![Value::text("7")])["DATA"], json!({}));
    let form = ask("getAuthorizationInformation", vec![]);
    assert_eq!(form["DATA"]["RESULT"]["SETTINGS"], json!({}));
    assert_eq!(house.call("infoConnect", vec![])["OK"], true, "untouched");
    assert_eq!(channel.count("stolen"), 0);
}

/// `portal-box.md` §3.4 and §3.5: what is answered to what comes twice, too early or for a connector of another server.
#[test]
fn settings_commands_can_be_repeated() {
    let house = house("20.0.75");
    let ask = |command: &str, connector: &str, args| {
        post(&house.server, &house.portal.command(command, connector, Some("7"), args))
    };
    for _ in 0..2 {
        assert_eq!(house.call("unregister", vec![])["OK"], true, "before the first save");
        assert_eq!(house.call("deleteConnector", vec![])["OK"], true);
        assert_eq!(ask("deleteConnector", "telegrambot", vec![])["OK"], true, "what another server had can be deleted");
        assert_eq!(
            post(&house.server, &house.portal.command("deleteLine", "all", None, vec![Value::Int(7)]))["OK"],
            true
        );
    }
    let all = |command: &str, args| post(&house.server, &house.portal.command(command, "all", None, args));
    refused(&all("deleteLine", vec![]), "ARGUMENTS_WRONG");
    refused(
        &ask("saveSettings", "telegrambot", vec![Value::map([("api_token", Value::text("1:x"))])]),
        "CONNECTOR_UNKNOWN",
    );

    assert_eq!(house.save()["OK"], true);
    assert_eq!(house.save()["OK"], true);
    // The placeholder of a secret, sent back as it was shown, is no new secret; the programmatic way saves the same.
    let again = [("app_secret", Value::text("#HIDDEN#")), ("url_slack", Value::text("https://s.test/?a=1&b=2 \"'<"))];
    assert_eq!(house.call("saveSettings", vec![Value::map(again)])["OK"], true);
    let form = house.call("getAuthorizationInformation", vec![]);
    let shown = &form["DATA"]["RESULT"]["SETTINGS"];
    assert_eq!((&shown["bot_handle"], &shown["app_secret"]), (&json!("shop"), &json!("#HIDDEN#")));
    assert_eq!(shown["url_slack"], "https://s.test/?a=1&b=2%20%22%27%3C");
    let log = house.place.output(&["--json", "line", "show", "1"]);
    assert!(!String::from_utf8_lossy(&log.stdout).contains("MARK-SECRET"));
    assert!(stored(&house, "app_secret") == "MARK-SECRET", "the placeholder was stored");

    // Everything a page prints unescaped is harmless.
    let links = house.call("infoConnectLink", vec![]);
    assert_eq!(links["DATA"]["URL_SLACK"], shown["url_slack"]);
    assert_eq!(links["DATA"]["URL_SKYPE"], "https://join.skype.com/bot/11111111-2222-3333-4444-555555555555");
    let named =
        [("bot_handle", Value::text("<b>\"Shop\"&'x'@tenant")), ("url_email", Value::text("javascript:alert(1)"))];
    assert_eq!(house.call("saveSettings", vec![Value::map(named)])["OK"], true);
    for reply in [
        house.call("infoConnect", vec![]),
        house.call("infoConnectLink", vec![]),
        all("infoConnectorsLine", vec![Value::Int(7)]),
    ] {
        let text = reply["DATA"].to_string();
        assert!(!text.contains(['<', '>', '\'', '\\']) && !text.contains("javascript"), "{reply}");
    }
    let info = house.call("infoConnect", vec![])["DATA"].clone();
    assert!(info.as_object().unwrap().keys().eq(["id", "name", "url", "url_im"]), "{info}");
    assert_eq!(info["name"], "bShopx");
    let line = all("infoConnectorsLine", vec![Value::Int(7)]);
    for entry in line["DATA"].as_object().unwrap().values() {
        assert!(entry.as_object().unwrap().keys().eq(["id", "name", "url", "url_im"]), "{line}");
    }
}

/// What is stored of a line's settings, read past the program.
fn stored(house: &House, key: &str) -> String {
    let db = rusqlite::Connection::open(house.place.path("data").join("trunkline.db")).unwrap();
    db.query_row("select value from settings where key = ?1", [key], |row| row.get(0)).unwrap()
}

/// `portal-box.md` §10: a new address is taken only from a portal that answers there, and never leads inside.
#[test]
fn promise_8_a_portals_new_address_is_proved_first() {
    let house = house("20.0.75");
    let save =
        |url: &str| post(&house.server, &house.portal.command("saveDomainSite", "all", None, vec![Value::text(url)]));
    let address = || house.place.json(&["portal", "show", "office"])["url"].as_str().unwrap().to_owned();
    let posts = || house.ear.posts.load(Ordering::SeqCst);
    assert_eq!(save(&format!("{}/", house.ear.url))["OK"], true, "the known one, asked about with a slash");
    assert_eq!(posts(), 0);
    let code = |tail: &str| format!("IM_CONNECTOR_SERVER_ERROR_{tail}");
    refused(&save(""), &code("PUBLIC_URL_EMPTY"));
    for url in ["nonsense", "file:///etc/passwd", "https://user:word@x.test", "https://x.test/?a", "https://x.test/#a"]
    {
        refused(&save(url), &code("PUBLIC_URL_MALFORMED"));
    }
    for url in ["https://10.0.0.1", "https://169.254.169.254/latest", "https://[::1]:9", "https://192.168.1.1:8443"] {
        refused(&save(url), &code("PUBLIC_URL_LOCALHOST"));
    }
    refused(&save("http://10.0.0.1"), &code("PUBLIC_URL_FAIL"));
    let before = address();
    // The same machine at another port: it must answer as a portal does.
    let other = Ear::start();
    other.well.store(false, Ordering::SeqCst);
    refused(&save(&other.url), &code("PUBLIC_URL_ANSWER_MALFORMED"));
    assert_eq!(address(), before);
    other.well.store(true, Ordering::SeqCst);
    assert_eq!(save(&other.url)["OK"], true);
    assert_eq!(address(), other.url);
    assert_eq!(posts(), 0);
    assert_eq!(other.heard.lock().unwrap().as_slice(), ["a:0:{}"]);
}

/// Both halves of a test have their own words, and a portal at an address that is not the registered one is told so.
#[test]
fn a_test_says_which_half_failed() {
    let house = house("20.0.75");
    assert_eq!(house.save()["OK"], true);
    let elsewhere = Identity::new(crate::support::program::LICENCE_KEY, "https://new.example.test/", "20.0.75");
    house.ear.well.store(false, Ordering::SeqCst);
    let reply = post(&house.server, &elsewhere.command("testConnect", "botframework", Some("7"), vec![]));
    refused(&reply, "PORTAL_UNREACHABLE");
    let words = reply["ERROR"][0]["MESSAGE"].as_str().unwrap();
    for part in [house.ear.url.as_str(), "answered 502", "https://new.example.test:", "trunkline portal move"] {
        assert!(words.contains(part), "{words}");
    }
}

/// `portal-box.md` §11: whatever a channel's ids are like, the portal gets ids that fit its columns, and an operator's
/// answer to them finds the long ones again.
#[test]
fn ids_fit_the_portals_columns_and_lead_back() {
    let house = house("20.0.75");
    let channel = Channel::start();
    let path = house.connect(&channel);
    let long = |what: &str| format!("{what}|{}", "я".repeat(200));
    let body = crate::crash::activity("m-1")
        .replace("\"m-1\"", &format!("{:?}", long("message")))
        .replace("\"conversation-1\"", &format!("{:?}", long("chat")))
        .replace("\"customer\"", &format!("{:?}", long("user")))
        .replace("\"Ann\"", &format!("{:?}", "Ann ".repeat(40)))
        .replace("http://127.0.0.1:9/", &channel.url);
    let answer = Client::connect(&house.server.public).unwrap().post_json(&path, &body).unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    let heard = || house.ear.heard.lock().unwrap().clone();
    until("the message", WAIT, || heard().iter().any(|data| data.contains("message|")));
    let data = heard().into_iter().find(|data| data.contains("message|")).unwrap();
    let data = trunkline::portals::boxed::php::decode(data.as_bytes()).unwrap();
    let message = data.items().next().unwrap();
    let field = |outer: &str, inner: &str| match message.get(outer).and_then(|value| value.get(inner)) {
        Some(Value::Str(text)) => text.clone(),
        other => panic!("{outer}.{inner}: {other:?}"),
    };
    let chat = field("chat", "id");
    assert!(chat.chars().count() <= 150 && !chat.contains('|'), "{chat}");
    assert!(field("message", "id").chars().count() <= 100 && field("user", "id").chars().count() <= 32);
    assert!(field("user", "name").chars().count() <= 50);

    let said = Value::map([
        ("im", Value::map([("chat_id", Value::Int(1)), ("message_id", Value::Int(2))])),
        ("message", Value::map([("text", Value::text("found-it"))])),
        ("chat", Value::map([("id", Value::text(chat))])),
    ]);
    let said = house.portal.command("sendMessage", "botframework.webchat", Some("7"), vec![Value::list([said])]);
    assert_eq!(post(&house.server, &said)["OK"], true);
    until("the answer", WAIT, || channel.count("found-it") == 1);
    assert_eq!(channel.count(&format!("chat%7C{}", "%D1%8F".repeat(200))), 1, "in the long conversation");
}

/// `interface.md` §6: a failed message is told in that chat, once. Portals make a chat of each pair of customer and external
/// chat, so the word must come in the customer's name, just as his own messages do.
#[test]
fn promise_6_a_failure_is_told_in_the_customers_own_chat() {
    for (more, told) in [("", true), ("[dead_letters]\nnotify_portal = false\n", false)] {
        let house = house_with("20.0.75", &format!("{OFF}{more}"));
        let channel = Channel::start();
        house.connect(&channel);
        until("quiet", WAIT, || house.server.metric("trunkline_queued") == 0.0);
        let user = |data: &str| {
            let user = data.split("s:4:\"user\";").nth(1)?.split("s:7:\"message\"").next()?;
            Some(user.to_owned())
        };
        let customer = house.ear.heard.lock().unwrap().iter().find_map(|data| user(data)).unwrap();
        post(&house.server, &house.said(9, "refuse me"));
        until("the refusal", WAIT, || house.server.metric("trunkline_outbox") == 0.0);
        until("quiet", WAIT, || house.server.metric("trunkline_queued") == 0.0);
        let heard = house.ear.heard.lock().unwrap();
        let words: Vec<&String> = heard.iter().filter(|data| data.contains("was not delivered")).collect();
        assert_eq!(words.len(), usize::from(told), "{heard:?}");
        for data in words {
            assert_eq!(user(data).unwrap(), customer, "byte for byte, or the portal would change the customer");
            assert!(data.contains("conversation-1") && data.contains("[b]Connector server[/b]"), "{data}");
        }
    }
}
