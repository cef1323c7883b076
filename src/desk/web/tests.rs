//! The page's addresses, asked as a browser asks them.

use std::sync::Arc;

use serde_json::{Value as Json, json};

use super::*;
use crate::desk::Unsigned;
use crate::desk::office::tests::Scene;

/// A signed-in browser.
struct Browser {
    page: Page,
    cookie: Option<String>,
}

fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &Json) -> Request {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    Request {
        method: method.to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
        headers: headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        body: body.to_string().into_bytes(),
    }
}

impl Browser {
    fn new(scene: &Scene) -> Self {
        Self { page: Page::new(Arc::clone(&scene.office)), cookie: None }
    }

    fn ask(&self, method: &str, path: &str, body: &Json) -> (u16, Json) {
        let mut headers = vec![("Host", "desk.test"), ("Content-Type", "application/json")];
        let cookie = self.cookie.as_deref().unwrap_or_default();
        headers.extend([("Cookie", cookie), ("Origin", "http://desk.test")]);
        let reply = self.page.answer(&request(method, path, &headers, body)).unwrap();
        (reply.status, serde_json::from_slice(&reply.body).unwrap_or_default())
    }

    fn get(&self, path: &str) -> Json {
        let (status, json) = self.ask("GET", path, &Json::Null);
        assert_eq!(status, 200, "{path}: {json}");
        json
    }

    fn post(&self, path: &str, body: &Json) -> Json {
        let (status, json) = self.ask("POST", path, body);
        assert_eq!(status, 200, "{path}: {json}");
        json
    }

    fn sign_in(&mut self, operator: i64, password: &str) -> u16 {
        let body = json!({"operator": operator, "password": password});
        let headers = [("Content-Type", "application/json")];
        let reply = self.page.answer(&request("POST", "/desk/sign-in", &headers, &body)).unwrap();
        let cookie = reply.headers.iter().find(|(name, _)| *name == "Set-Cookie").map(|(_, value)| value.clone());
        if let Some(cookie) = cookie {
            assert!(cookie.contains("; HttpOnly; SameSite=Strict"), "{cookie}");
            self.cookie = cookie.split(';').next().map(|pair| format!("theme=dark; {pair}"));
        }
        reply.status
    }
}

#[test]
fn nothing_is_told_to_who_has_not_signed_in() {
    let scene = Scene::new("20.0.75");
    let eve = scene.office.add_operator("Eve", Some(&Secret::new("secret"))).unwrap();
    let mut browser = Browser::new(&scene);
    for (method, name) in [
        ("GET", "news?after=0"),
        ("GET", "older?talk=101&before=9999"),
        ("GET", "file?id=1"),
        ("GET", "channel?line=7"),
        ("GET", "line?line=7"),
        ("POST", "say"),
        ("POST", "channel/save"),
        ("POST", "channel/disconnect"),
        ("POST", "sign-out"),
        ("POST", "nonsense"),
    ] {
        assert_eq!(browser.ask(method, &format!("/desk/{name}"), &json!({})).0, 401, "{method} {name}");
    }
    let door = browser.get("/desk/door");
    assert_eq!(door["operators"], json!([{"id": eve, "name": "Eve", "password": true}]));
    assert_eq!(door["me"], Json::Null);
    assert!(!door.to_string().contains("secret") && !door.to_string().contains("pbkdf2"));
    assert_eq!(browser.sign_in(eve, "wrong"), 401);
    assert_eq!(browser.sign_in(9, ""), 404);
    assert_eq!(browser.sign_in(eve, "secret"), 200);
    assert_eq!(browser.get("/desk/door")["me"]["name"], "Eve");
    let old = browser.cookie.clone();
    browser.post("/desk/sign-out", &json!({}));
    browser.cookie = old;
    assert_eq!(browser.ask("GET", "/desk/news?after=0", &Json::Null).0, 401, "the cookie is worth nothing any more");
}

/// The question for news that a browser left open is answered long after.
#[test]
fn who_has_signed_out_is_told_no_more_news() {
    let scene = Scene::new("20.0.75");
    let eve = scene.office.add_operator("Eve", None).unwrap();
    let mut browser = Browser::new(&scene);
    browser.sign_in(eve, "");
    let version = scene.office.wait_for_news(0, Duration::ZERO);
    let (asked, asking) = std::sync::mpsc::channel();
    let status = std::thread::scope(|threads| {
        let news = threads.spawn(|| {
            asked.send(()).unwrap();
            browser.ask("GET", &format!("/desk/news?after={version}"), &Json::Null).0
        });
        asking.recv().unwrap();
        browser.post("/desk/sign-out", &json!({}));
        news.join().unwrap()
    });
    assert_eq!(status, 401);
}

/// Promise 8: a page of another site can't act in an operator's name.
#[test]
fn promise_8_only_the_desks_own_page_acts() {
    let mut scene = Scene::new("20.0.75");
    let eve = scene.office.add_operator("Eve", None).unwrap();
    scene.writes("ann", "Hi");
    let mut browser = Browser::new(&scene);
    assert_eq!(browser.sign_in(eve, ""), 200);
    let cookie = browser.cookie.clone().unwrap();
    let body = json!({"talk": scene.talk().id, "text": "forged"});
    for (headers, status) in [
        (vec![("Content-Type", "text/plain")], 415),
        (vec![("Content-Type", "application/x-www-form-urlencoded")], 415),
        (vec![], 415),
        (vec![("Content-Type", "application/json"), ("Host", "desk.test"), ("Origin", "https://evil.test")], 415),
        // As of a sandboxed frame.
        (vec![("Content-Type", "application/json"), ("Host", "desk.test"), ("Origin", "null")], 415),
        (vec![("Content-Type", "application/json"), ("Origin", "http://desk.test")], 415),
    ] {
        let headers: Vec<_> = headers.into_iter().chain([("Cookie", cookie.as_str())]).collect();
        let reply = browser.page.answer(&request("POST", "/desk/say", &headers, &body)).unwrap();
        assert_eq!(reply.status, status, "{headers:?}");
    }
    assert_eq!(scene.talk().entries.len(), 1);
}

#[test]
fn an_operator_sees_and_does_everything_on_the_page() {
    let mut scene = Scene::new("20.0.75");
    let (eve, max) = (scene.office.add_operator("Eve", None).unwrap(), scene.office.add_operator("Max", None).unwrap());
    scene.writes("ann", "Hi");
    let talk = scene.talk().id;
    let mut browser = Browser::new(&scene);
    browser.sign_in(eve, "");
    let news = |browser: &Browser| browser.get(&format!("/desk/news?after=0&talk={talk}"));
    let shown = news(&browser);
    let first = &shown["talks"][0];
    assert_eq!((&first["state"], &first["unread"], &first["name"]), (&json!("waiting"), &json!(1), &json!("ann")));
    assert_eq!(first["offered"], json!({"to": null, "until": null}));
    assert_eq!(first["can"], json!({"edit": true, "delete": true, "write": true}));
    assert_eq!(shown["talk"]["messages"][0]["text"], "Hi");
    assert_eq!(shown["talk"]["messages"][0]["mark"], Json::Null);
    browser.post("/desk/read", &json!({"talk": talk}));
    assert_eq!(news(&browser)["talks"][0]["unread"], 0);
    let file = json!({"talk": talk, "text": "Yes", "file": "https://x.test/a.png", "file_name": "a.png"});
    let id = browser.post("/desk/say", &file)["id"].as_i64().unwrap();
    scene.delivered(id);
    let message = news(&browser)["talk"]["messages"][1].clone();
    assert_eq!((&message["mark"], &message["who"]), (&json!("delivered"), &json!("Eve")));
    assert_eq!(message["files"][0]["state"], "link");
    browser.post("/desk/edit", &json!({"id": id, "text": "No"}));
    browser.post("/desk/delete", &json!({"id": id}));
    let message = news(&browser)["talk"]["messages"][1].clone();
    assert_eq!((&message["edited"], &message["deleted"]), (&json!(true), &json!(true)));
    browser.post("/desk/transfer", &json!({"talk": talk, "to": max}));
    assert_eq!(news(&browser)["talks"][0]["operator"], max);
    assert_eq!(news(&browser)["talks"][0]["last"]["who"], "Eve", "who wrote it, whoever has it now");
    let (status, refused) = browser.ask("POST", "/desk/say", &json!({"talk": talk, "text": "x"}));
    assert_eq!((status, &refused["error"]), (409, &json!("Max has this conversation; take it over first")));
    // As on a page that has not heard yet that Max has it.
    let (status, refused) = browser.ask("POST", "/desk/take", &json!({"talk": talk}));
    assert_eq!((status, &refused["error"]), (409, &json!("Max has this conversation; take it over first")));
    browser.post("/desk/take-over", &json!({"talk": talk}));
    assert_eq!(news(&browser)["talks"][0]["operator"], eve);
    browser.post("/desk/take", &json!({"talk": talk}));
    browser.post("/desk/close", &json!({"talk": talk}));
    assert_eq!(news(&browser)["talks"][0]["state"], "closed");
    browser.post("/desk/here", &json!({"here": false}));
    assert_eq!(news(&browser)["me"]["here"], false);
    let older = browser.get(&format!("/desk/older?talk={talk}&before={id}"));
    assert_eq!((older["messages"].as_array().unwrap().len(), &older["older"]), (1, &json!(false)));
}

/// The page offers neither there; another program that speaks to it may try.
#[test]
fn a_channel_that_takes_no_edits_gets_none() {
    let mut scene = Scene::new("23.100.0");
    let eve = scene.office.add_operator("Eve", None).unwrap();
    scene.writes_at("botframework.webchat", "ann", "Hi");
    let mut browser = Browser::new(&scene);
    browser.sign_in(eve, "");
    let id = browser.post("/desk/say", &json!({"talk": scene.talk().id, "text": "Yes"}))["id"].clone();
    for (act, why) in [("edit", "this channel takes no edits"), ("delete", "this channel takes no deletions")] {
        let (status, refused) = browser.ask("POST", &format!("/desk/{act}"), &json!({"id": id, "text": "No"}));
        assert_eq!((status, &refused["error"]), (409, &json!(why)));
    }
    assert_eq!(browser.ask("POST", "/desk/edit", &json!({"id": 1, "text": "No"})).0, 404);
}

#[test]
fn lines_and_channels_are_set_up_on_the_page() {
    let scene = Scene::new("23.100.0");
    let eve = scene.office.add_operator("Eve", None).unwrap();
    let mut browser = Browser::new(&scene);
    browser.sign_in(eve, "");
    browser.post("/desk/line/add", &json!({"line": "3"}));
    assert_eq!(browser.ask("POST", "/desk/line/add", &json!({"line": "three"})).0, 400);
    let settings = json!({"line": "3", "welcome": "Hello", "away": "", "rating": "", "distribution": "strictly",
        "offer_secs": 30, "hours": {"offset_minutes": 0, "days": [[0, 60], null, null, null, null, null, null]}});
    browser.post("/desk/line", &settings);
    assert_eq!(browser.get("/desk/line?line=3"), settings);
    let (status, error) = browser.ask("POST", "/desk/line", &json!({"line": "3", "offer_secs": 1}));
    assert_eq!((status, &error["error"]), (400, &json!("an offer lasts 5 to 86400 seconds")));
    let webhook = "http://x/imwebhook/?hash=1";
    assert_eq!(browser.get("/desk/channel?line=3")["webhook"], webhook);
    let form = json!({"line": "3", "settings": {"bot_handle": "shop", "app_id": "1", "app_secret": "s"}});
    assert_eq!(browser.post("/desk/channel/save", &form)["webhook"], webhook);
    assert_eq!(browser.post("/desk/channel/test", &json!({"line": "3"}))["connected"], true);
    assert_eq!(browser.get("/desk/news?after=0")["lines"][0]["connected"], true);
    browser.post("/desk/channel/disconnect", &json!({"line": "3"}));
    assert_eq!(browser.get("/desk/news?after=0")["lines"][0]["connected"], false);
    for body in [json!([]), json!("x"), Json::Null] {
        assert_eq!(browser.ask("POST", "/desk/say", &body).0, 400, "{body}");
    }
    assert_eq!(browser.ask("POST", "/desk/nonsense", &json!({})).0, 404);
    assert_eq!(browser.ask("GET", "/desk/nonsense", &Json::Null).0, 404);
}

#[test]
fn the_page_and_its_files_come_with_the_policy() {
    let scene = Scene::new("20.0.75");
    let page = Page::new(Arc::clone(&scene.office));
    for path in std::iter::once("/".to_owned()).chain(ASSETS.iter().map(|(name, ..)| format!("/desk/{name}"))) {
        let reply = page.answer(&request("GET", &path, &[], &Json::Null)).unwrap();
        assert_eq!(reply.status, 200, "{path}");
        assert!(!reply.body.is_empty(), "{path}");
        let policy = reply.headers.iter().find(|(name, _)| *name == "Content-Security-Policy").unwrap();
        assert!(policy.1.starts_with("default-src 'none'; script-src 'self'"), "{path}");
    }
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/desk/page");
    let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    let mut left_out = files.filter(|file| file != "desk.html" && ASSETS.iter().all(|(name, ..)| name != file));
    assert_eq!(left_out.next(), None, "is not served");
    assert!(page.answer(&request("GET", "/pub/imconnector/", &[], &Json::Null)).is_none(), "the protocol's own");
    // What the door refuses never reaches the page.
    let door = scene.office.door(Unsigned::Refused);
    assert_eq!(door.receive(b"")["OK"], false);
}

/// Said twice, once in the conversation and once in the writing row, it would be sent twice.
#[test]
fn what_could_not_be_handed_over_is_said_on_the_message_alone() {
    let mut scene = Scene::without_server();
    let eve = scene.office.add_operator("Eve", None).unwrap();
    scene.writes("ann", "Hi");
    let talk = scene.talk().id;
    let mut browser = Browser::new(&scene);
    browser.sign_in(eve, "");
    browser.post("/desk/say", &json!({"talk": talk, "text": "Yes"}));
    let message = browser.get(&format!("/desk/news?after=0&talk={talk}"))["talk"]["messages"][1].clone();
    assert_eq!((&message["text"], &message["mark"]), (&json!("Yes"), &json!("failed")));
    assert!(message["why"].as_str().unwrap().contains("can't be reached"), "{message}");
}
