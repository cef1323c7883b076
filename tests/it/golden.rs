//! Recorded-shape activities through the whole way: connector → what is queued → the portal's array. One folder per
//! channel service, `<case>.json` and its `<case>.golden`; `UPDATE_GOLDEN=1` rewrites them, the difference is reviewed.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Value as Json, json};
use trunkline::channels::botframework::{Authentication, BotFramework, Options};
use trunkline::channels::{Connector, Shelf, Tools, Webhook};
use trunkline::clock::{ManualClock, UnixMillis};
use trunkline::ids::PortalId;
use trunkline::message::Body;
use trunkline::net::{Answer, Call, Net, NetError};
use trunkline::portals::boxed::php::{Key, Value};
use trunkline::portals::boxed::{key_md5, push};
use trunkline::queue::body;
use trunkline::records::{Portal, Settings};

#[derive(Debug)]
struct Nothing;

impl Net for Nothing {
    fn call(&self, _: Call) -> Result<Answer, NetError> {
        panic!("receiving needs no network");
    }
}

impl Shelf for Nothing {
    fn get(&self, _: &str) -> Option<String> {
        None
    }
    fn put(&self, _: &str, _: &str) {}
}

fn cases() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/botframework");
    let mut cases: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "json"))
        .collect();
    cases.sort();
    cases
}

fn as_json(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Bool(flag) => json!(flag),
        Value::Int(number) => json!(number),
        Value::Float(number) => json!(number),
        Value::Str(text) => json!(text),
        Value::Array(pairs) if pairs.iter().all(|(key, _)| matches!(key, Key::Int(_))) => {
            pairs.iter().map(|(_, value)| as_json(value)).collect()
        }
        Value::Array(pairs) => pairs
            .iter()
            .map(|(key, value)| match key {
                Key::Str(key) => (key.clone(), as_json(value)),
                Key::Int(key) => (key.to_string(), as_json(value)),
            })
            .collect::<serde_json::Map<_, _>>()
            .into(),
    }
}

fn portal(version: &str) -> Portal {
    Portal {
        id: PortalId(1),
        name: "office".into(),
        protocol: "box".into(),
        url: "https://portal.example.test".into(),
        licence: String::new(),
        key: key_md5("TEST-LICENCE-KEY-0001"),
        version: Some(version.into()),
    }
}

/// What a case comes to, as stable text.
fn run(case: &Path) -> String {
    let options = Options { authentication: Authentication::Off, ..Options::default() };
    let tools = Tools {
        net: Arc::new(Nothing),
        clock: Arc::new(ManualClock::at(UnixMillis(1_790_000_000_000))),
        shelf: Arc::new(Nothing),
    };
    let bot = BotFramework::new(&tools, &options);
    let settings = Settings::from_pairs([
        ("app_id".to_owned(), "11111111-2222-3333-4444-555555555555".to_owned()),
        ("bot_handle".to_owned(), "shop".to_owned()),
    ]);
    let body = std::fs::read(case).unwrap();
    let verified = bot.verify(&Webhook { method: "POST", body: &body, ..Webhook::default() }, &settings).unwrap();
    let received = bot.receive(&verified, &settings).unwrap();
    let mut out = String::new();
    for chat in &received.chats {
        let data: Json = serde_json::from_str(&chat.data).unwrap();
        out +=
            &format!("chat {} of {}{}: {data}\n", chat.chat, chat.connector, if chat.closed { ", closed" } else { "" });
    }
    for (short, long) in &received.aliases {
        out += &format!("alias {short} stands for {} characters\n", long.len());
    }
    for message in received.messages {
        out +=
            &format!("{:?} for {}, key {}\n", message.kind, message.connector, message.key.clone().unwrap_or_default());
        assert!(message.files.iter().all(|file| !file.url.starts_with("data:")));
        // Through the stored form, as in life.
        let body = body::decode(&body::encode(Body::Message(Box::new(message)))).unwrap();
        for version in ["20.0.75", "17.0.14"] {
            let (command, data) = push::content(&portal(version), std::slice::from_ref(&body));
            out += &format!("{command} to {version}: {:#}\n", as_json(&data));
        }
    }
    out
}

#[test]
fn every_channels_activities_reach_the_portal_as_the_golden_files_say() {
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut wrong = Vec::new();
    for case in cases() {
        let golden = case.with_extension("golden");
        let got = run(&case);
        // `botframework.md` §5.3: a live token that must be stored nowhere.
        assert!(!got.contains("MARK-SECRET"), "{case:?}");
        if update {
            std::fs::write(&golden, &got).unwrap();
        } else if std::fs::read_to_string(&golden).unwrap_or_default() != got {
            wrong.push(format!("{}:\n{got}", case.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Mutated recordings: whatever a channel sends, the connector answers and does not panic.
#[test]
fn mutated_activities_never_panic() {
    let mut random = crate::support::Random::new(7);
    let options = Options { authentication: Authentication::Off, ..Options::default() };
    let tools = Tools {
        net: Arc::new(Nothing),
        clock: Arc::new(ManualClock::at(UnixMillis(1_790_000_000_000))),
        shelf: Arc::new(Nothing),
    };
    let bot = BotFramework::new(&tools, &options);
    let settings = Settings::from_pairs([("app_id".to_owned(), "x".to_owned())]);
    for case in cases() {
        let whole = std::fs::read(&case).unwrap();
        for _ in 0..40 {
            let mut body = whole.clone();
            for _ in 0..=random.below(4) {
                let at = usize::try_from(random.below(body.len() as u64)).unwrap();
                match random.below(3) {
                    0 => body[at] = random.next().to_le_bytes()[0],
                    1 => drop(body.remove(at)),
                    _ => body.truncate(at.max(1)),
                }
            }
            let hook = Webhook { method: "POST", body: &body, ..Webhook::default() };
            if let Ok(verified) = bot.verify(&hook, &settings) {
                let _ = bot.receive(&verified, &settings);
                let _ = bot.answer(&verified);
            }
        }
    }
}
