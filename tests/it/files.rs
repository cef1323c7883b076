//! Files that only the bot's token opens, the whole way: an activity of the channel → queue → sender → the portal's
//! array (`botframework.md` §5.5, `portal-box.md` §4.4).

use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use serde_json::json;
use trunkline::app::{Files, StoreShelf};
use trunkline::channels::botframework::{Authentication, Options};
use trunkline::channels::{self, Factory, Tools, Webhook};
use trunkline::clock::{Clock, ManualClock, UnixMillis};
use trunkline::message::Body;
use trunkline::metrics::Metrics;
use trunkline::net::{Answer, Call, Net, NetError};
use trunkline::portals::boxed;
use trunkline::queue::blocks::Schedule;
use trunkline::records::Settings;
use trunkline::sender::{self, SenderLoop, packet};
use trunkline::store::directory::{self, NewPortal};
use trunkline::store::readers::Readers;
use trunkline::store::{Store, Writer};
use trunkline::{queue, registry};

const WAIT: Duration = Duration::from_secs(5);
const IMAGE: &str = "https://smba.trafficmanager.net/emea/v3/attachments/1/views/original";

/// A sign-in service that may be down, and a portal that takes everything.
#[derive(Debug, Default)]
struct World {
    signed_out: bool,
    posts: Mutex<Vec<String>>,
    asked: Mutex<usize>,
}

impl Net for World {
    fn call(&self, call: Call) -> Result<Answer, NetError> {
        let answer = |body: &str| Ok(Answer { status: 200, headers: vec![], body: body.as_bytes().to_vec() });
        if call.url.starts_with("https://login.microsoftonline.com/") {
            *self.asked.lock().unwrap() += 1;
            if self.signed_out {
                return Err(NetError::Connect("refused".into()));
            }
            return answer(r#"{"access_token":"MARK-TOKEN","expires_in":3599}"#);
        }
        assert!(call.url.starts_with("https://portal.test/"), "{}", call.url);
        let data = url::form_urlencoded::parse(&call.body).find(|(key, _)| key == "DATA").unwrap().1.into_owned();
        let data = base64::engine::general_purpose::STANDARD.decode(data).unwrap();
        self.posts.lock().unwrap().push(String::from_utf8(data).unwrap());
        answer(r#"{"OK":true,"DATA":[]}"#)
    }
}

/// Takes in an activity with these attachments and gives what the portal was posted.
fn posted(world: &Arc<World>, text: &str, attachments: &serde_json::Value) -> String {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(UnixMillis(1_500_000_000_000)));
    let (writer, thread) = Writer::start(store.writing().unwrap(), Arc::clone(&clock), || ()).unwrap();
    let net: Arc<dyn Net> = world.clone();
    let factory = |authentication| {
        let shelf = Arc::new(StoreShelf::new(store.clone(), writer.clone()));
        let tools = Tools { net: Arc::clone(&net), clock: Arc::clone(&clock), shelf };
        let botframework = Options { authentication, ..Options::default() };
        Arc::new(Factory::new(&tools, &channels::Options { botframework }))
    };
    let pairs = [("app_id", "11111111-2222-3333-4444-555555555555"), ("app_secret", "s"), ("bot_handle", "shop")];
    let settings = Settings::from_pairs(pairs.map(|(key, value)| (key.to_owned(), value.to_owned())));

    // Taken in without a token; what is tested begins behind that door.
    let activity = json!({"type": "message", "id": "1", "channelId": "msteams", "serviceUrl": "http://127.0.0.1:1/",
        "from": {"id": "29:a", "name": "Anna"}, "recipient": {"id": "28:b"}, "conversation": {"id": "a:1"},
        "text": text, "attachments": attachments});
    let door = factory(Authentication::Off);
    let connector = door.get("botframework").unwrap();
    let body = activity.to_string();
    let hook = Webhook { method: "POST", body: body.as_bytes(), ..Webhook::default() };
    let received = connector.receive(&connector.verify(&hook, &settings).unwrap(), &settings).unwrap();
    let line = writer
        .write(WAIT, move |tx| {
            let new = NewPortal {
                name: "office".into(),
                protocol: "box",
                url: "https://portal.test".into(),
                licence: "l".into(),
                key: boxed::key_md5("TEST-LICENCE-KEY-0001"),
            };
            let portal = directory::add_portal(tx.db(), &new, tx.now)?;
            let line = directory::ensure_line(tx, portal, "botframework", "7", &registry::new_hash())?.id;
            directory::save_settings(tx, line, &settings, None)?;
            for message in &received.messages {
                queue::push(tx, line, "botframework.msteams", None, &Body::Message(Box::new(message.clone())))?;
            }
            Ok(line)
        })
        .unwrap();

    let (bell, events) = sender::channel();
    let parts = sender::Parts {
        store: store.clone(),
        writer: writer.clone(),
        clock: Arc::clone(&clock),
        net: Arc::clone(&net),
        opener: Arc::new(Files::new(Readers::new(store.clone(), 2), factory(Authentication::Required))),
        metrics: Metrics::default(),
    };
    let options = sender::Options {
        limits: packet::Limits { messages: 10, files: 3, bytes: 1 << 20 },
        by_status: false,
        confirm_timeout: Duration::from_secs(90),
        workers: 2,
        schedule: Schedule::default(),
        poison_attempts: 3,
        tell: None,
    };
    let mut sender = SenderLoop::new(parts, options, bell, events).unwrap();
    assert!(sender.settle().unwrap());
    assert_eq!(queue::count(&store.reading().unwrap(), line).unwrap(), 0, "the message has arrived");
    thread.stop();
    let stored = std::fs::read(folder.path().join("trunkline.db")).unwrap();
    let wal = std::fs::read(folder.path().join("trunkline.db-wal")).unwrap_or_default();
    assert!(![stored, wal].concat().windows(10).any(|bytes| bytes == b"MARK-TOKEN"), "the token is stored nowhere");
    let mut posts = world.posts.lock().unwrap();
    assert_eq!(posts.len(), 1);
    posts.remove(0)
}

fn image(url: &str) -> serde_json::Value {
    json!({"contentType": "image/png", "contentUrl": url, "name": "p.png"})
}

#[test]
fn the_portal_gets_the_headers_that_open_a_file() {
    let world = Arc::new(World::default());
    let post = posted(&world, "see", &json!([image(IMAGE), image("https://cdn.example/e.png")]));
    let file = format!(
        "{{s:3:\"url\";s:{}:\"{IMAGE}\";s:4:\"name\";s:5:\"p.png\";s:4:\"type\";s:9:\"image/png\";s:7:\"headers\";a:1:\
         {{i:0;a:2:{{s:4:\"name\";s:13:\"Authorization\";s:5:\"value\";s:17:\"Bearer MARK-TOKEN\";}}}}}}",
        IMAGE.len()
    );
    assert!(post.contains(&file), "{post}");
    assert_eq!(post.matches("MARK-TOKEN").count(), 1, "nobody else's host gets it");
    assert_eq!(post.matches("\"headers\"").count(), 1);
}

/// Nothing is dropped silently: without a token the message arrives with the link in its text.
#[test]
fn without_a_token_the_link_stands_in_the_text() {
    let world = Arc::new(World { signed_out: true, ..World::default() });
    let post = posted(&world, "see", &json!([image(IMAGE), image("https://cdn.example/e.png")]));
    let text = format!("see\np.png: {IMAGE}");
    assert!(post.contains(&format!("s:4:\"text\";s:{}:\"{text}\";", text.len())), "{post}");
    assert_eq!((post.matches("\"url\"").count(), post.matches("\"headers\"").count()), (1, 0));
    let alone = posted(&world, "", &json!([image(IMAGE)]));
    assert!(alone.contains(&format!("\"p.png: {IMAGE}\"")) && !alone.contains("\"files\""), "{alone}");
}

#[test]
fn files_that_anyone_can_open_cost_no_token() {
    let world = Arc::new(World::default());
    let post = posted(&world, "see", &json!([image("https://cdn.example/e.png")]));
    assert!(!post.contains("\"headers\""), "{post}");
    assert_eq!(*world.asked.lock().unwrap(), 0);
}
