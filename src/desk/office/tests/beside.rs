//! What goes on beside the messages: connections, subscribers, the hook, files.

use super::*;

#[test]
fn a_takeover_is_a_warning_until_the_bot_is_connected_again() {
    for version in VERSIONS {
        let mut scene = Scene::new(version);
        let events: Arc<Mutex<Vec<Event>>> = Arc::default();
        let into = Arc::clone(&events);
        scene.office.subscribe(move |event: &Event| into.lock().unwrap().push(event.clone()));
        scene.office.save_channel("7", |key| format!("a {key}")).unwrap();
        scene.office.test_channel("7", "shop-bot").unwrap();
        while scene.heard.try_recv().is_ok() {}
        scene.told("botframework", &Body::Notice(Notice::Deactivated));
        assert_eq!(scene.office.line("7").unwrap().attention_since, Some(NOON), "{version}");
        let reply = scene.told("botframework.msteams", &Body::Message(Box::new(incoming("ann", "Hi"))));
        assert_eq!(reply["ERROR"][0]["CODE"], "NOT_ACTIVE_LINE", "{version}");
        scene.office.test_channel("7", "shop-bot").unwrap();
        assert_eq!(scene.command(), "testConnect", "{version}");
        let line = scene.office.line("7").unwrap();
        assert_eq!((line.bot.as_deref(), line.attention_since), (Some("shop-bot"), None), "{version}");
        scene.office.disconnect_channel("7").unwrap();
        assert_eq!(scene.office.line("7").unwrap().bot, None, "{version}");
        let names: Vec<_> = events.lock().unwrap().iter().map(|event| event.kind.name()).collect();
        let status = |what: &str| format!("On{what}StatusConnector");
        assert_eq!(names, ["Add", "Update", "Update", "Delete"].map(status), "{version}");
    }
}

#[test]
fn subscribers_hear_of_everything_in_order() {
    for version in VERSIONS {
        let mut scene = Scene::new(version);
        let eve = scene.office.add_operator("Eve", None).unwrap();
        let (told, events) = crossbeam_channel::unbounded();
        scene.office.subscribe(move |event: &Event| {
            let _ = told.send((event.kind.name(), event.message, event.data["text"].as_str().map(str::to_owned)));
        });
        scene.says(incoming("ann", "Hi"));
        scene.says(Incoming { kind: IncomingKind::Update, ..incoming("ann", "Hello") });
        scene.says(Incoming { kind: IncomingKind::Delete, ..incoming("ann", "") });
        let id = scene.office.say(eve, scene.talk().id, "Yes", None).unwrap();
        scene.delivered(id);
        let first = scene.talk().entries[0].id;
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(
            events.try_iter().collect::<Vec<_>>(),
            [
                ("OnReceivedMessage", Some(first), text("Hi")),
                ("OnReceivedMessageUpdate", Some(first), text("Hello")),
                ("OnReceivedMessageDel", Some(first), text("")),
                ("OnReceivedStatusDelivery", Some(id), None),
            ],
            "{version}"
        );
    }
}

/// Answers every call with the next of these statuses, then 200, and keeps what was posted.
#[derive(Debug, Default)]
struct Away {
    statuses: Mutex<Vec<u16>>,
    bodies: Mutex<Vec<Call>>,
}

impl Net for Away {
    fn call(&self, call: Call) -> Result<Answer, NetError> {
        self.bodies.lock().unwrap().push(call);
        let status = self.statuses.lock().unwrap().pop().unwrap_or(200);
        Ok(Answer { status, body: b"content".to_vec(), ..Answer::default() })
    }
}

#[test]
fn the_hook_gets_every_event_in_order_also_after_a_restart() {
    use base64::Engine;
    let secret = base64::engine::general_purpose::STANDARD.encode([7; 32]);
    let hook = || Some(Hook::new("https://hook.test/desk", &Secret::new(format!("whsec_{secret}"))).unwrap());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("desk.db");
    let net = Arc::new(Away::default());
    let open = || {
        Scene::with("23.100.0", Arc::<Away>::clone(&net), |options| {
            (options.hook, options.file) = (hook(), Some(file.clone()));
        })
    };
    let mut scene = open();
    scene.writes("ann", "one");
    scene.writes("ann", "two");
    net.statuses.lock().unwrap().push(503);
    let wait = scene.office.call_hook().unwrap();
    assert!(wait > Duration::ZERO, "it comes again later");
    assert_eq!(scene.office.call_hook().unwrap(), wait, "not before its time, and none before it");
    drop(scene);
    let scene = open();
    scene.clock.advance(wait);
    while scene.office.call_hook().unwrap() == Duration::ZERO {}
    let bodies = net.bodies.lock().unwrap();
    let texts: Vec<_> = bodies
        .iter()
        .map(|call| {
            let body: Json = serde_json::from_slice(&call.body).unwrap();
            assert_eq!(body["type"], "OnReceivedMessage");
            body["data"]["text"].as_str().unwrap().to_owned()
        })
        .collect();
    assert_eq!(texts, ["one", "one", "two"]);
    let id = |call: &Call| call.headers.iter().find(|(name, _)| name == "webhook-id").unwrap().1.clone();
    assert_eq!(id(&bodies[0]), id(&bodies[1]), "a repeat can be known by its id");
    assert_ne!(id(&bodies[1]), id(&bodies[2]));
}

#[test]
fn files_are_fetched_registered_and_given_by_the_desks_id() {
    for version in VERSIONS {
        let net = Arc::new(Away::default());
        let mut scene = Scene::with(version, Arc::<Away>::clone(&net), |options| {
            let limits = Limits { max_bytes: 100, ..Limits::default() };
            (options.fetch, options.repeats) = (Some(limits), Repeats::Shown);
        });
        // The net answers from memory, so nothing is confirmed by a command here.
        let text = |text: &str| Value::text(text);
        let header = Value::map([("name", text("Authorization")), ("value", text("Bearer secret"))]);
        let file = |name: &str| {
            Value::map([
                ("url", text("https://cdn.test/x")),
                ("name", text(name)),
                ("type", text("image/png")),
                ("headers", Value::list([header.clone()])),
            ])
        };
        let data = Value::list([Value::map([
            ("user", Value::map([("id", text("29:ann"))])),
            ("message", Value::map([("id", text("m")), ("files", Value::list([file("../../a.png"), file("b.png")]))])),
            ("chat", Value::map([("id", text("a:ann"))])),
        ])]);
        let (command, connector) = ("receivingMessage".to_owned(), "botframework.msteams".to_owned());
        let push = Push { command, connector, line: "7".into(), signed: true, data };
        scene.office.take(&push, Confirm::Never).unwrap_err();
        let states =
            |scene: &mut Scene| scene.talk().entries[0].files.iter().map(|file| file.state).collect::<Vec<_>>();
        assert_eq!(states(&mut scene), [FileState::Waiting; 2], "{version}");
        scene.office.fetch_file().unwrap();
        net.statuses.lock().unwrap().push(404);
        scene.office.fetch_file().unwrap();
        assert_eq!(states(&mut scene), [FileState::Here, FileState::Failed], "{version}");
        let file = scene.talk().entries[0].files[0].clone();
        assert!(!file.name.contains('/'), "{version}: {}", file.name);
        assert_eq!(scene.office.file(file.id).unwrap().1, b"content", "{version}");
        assert!(matches!(scene.office.file(file.id + 1), Err(OfficeError::NotThere(_))), "{version}");
        let secrets = "select count(*) from files where headers like '%secret%'";
        let left: i64 = scene.office.store.read(|db| db.query_row(secrets, [], |row| row.get(0))).unwrap();
        assert_eq!(left, 0, "{version}: what opened the address is forgotten");
        assert!(net.bodies.lock().unwrap()[0].headers.contains(&("Authorization".into(), "Bearer secret".into())));
    }
}

/// A picture with comments under it.
#[test]
fn a_post_has_its_files() {
    let scene = Scene::new("23.100.0");
    let text = |text: &str| Value::text(text);
    let file = Value::map([("url", text("https://cdn.test/a.png")), ("name", text("a.png"))]);
    let data = Value::list([Value::map([
        ("type_message", text("post")),
        ("user", Value::map([("id", text("ann"))])),
        ("message", Value::map([("files", Value::list([file]))])),
        ("chat", Value::map([("id", text("post1"))])),
    ])]);
    let (command, connector) = ("receivingMessage".to_owned(), "facebookcomments".to_owned());
    scene.office.take(&Push { command, connector, line: "7".into(), signed: true, data }, Confirm::AsVersion).unwrap();
    let entries = scene.talk().entries;
    assert_eq!(entries[0].files.iter().map(|file| file.name.as_str()).collect::<Vec<_>>(), ["a.png"]);
}
