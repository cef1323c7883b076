//! Customers' messages and operators': stored, confirmed, shown, marked.

use super::*;
use crate::desk::office::rows::NewMessage;

#[test]
fn a_repeat_is_confirmed_and_shown_once() {
    for version in VERSIONS {
        let mut scene = Scene::new(version);
        scene.says(incoming("ann", "Hi"));
        scene.says(incoming("ann", "Hi"));
        assert_eq!(scene.talk().entries.len(), 1, "{version}");
        let confirmed = if version == "20.0.75" { 2 } else { 0 };
        assert_eq!(scene.confirmations, confirmed, "{version}");
        scene.is_quiet();
    }
}

/// Promise 1, at this end of the wire: no confirmation without a commit.
#[test]
fn what_can_not_be_stored_is_not_confirmed() {
    for version in VERSIONS {
        let mut scene = Scene::new(version);
        scene.office.store.write(|tx| tx.execute_batch("alter table externals rename to broken")).unwrap();
        let reply = scene.told("botframework.msteams", &Body::Message(Box::new(incoming("ann", "Hi"))));
        assert_eq!(reply["ERROR"][0]["CODE"], "NOT_STORED", "{version}");
        scene.is_quiet();
        assert_eq!(
            scene.office.store.read(|db| db.query_row("select count(*) from messages", [], |row| row.get(0))),
            Ok(0)
        );
        scene.office.store.write(|tx| tx.execute_batch("alter table broken rename to externals")).unwrap();
        scene.says(incoming("ann", "Hi"));
        assert_eq!(scene.talk().entries.len(), 1, "{version}");
    }
}

/// `portal-box.md` §4.5.
#[test]
fn a_customer_is_one_at_each_channel_and_written_anew_only_after_a_change() {
    for version in VERSIONS {
        let mut scene = Scene::new(version);
        let changes = |scene: &Scene| {
            let db = &scene.office.store;
            db.read(|db| Ok(db.total_changes())).unwrap()
        };
        let customers = |scene: &Scene| {
            let sql = "select name from customers order by id";
            let read = |db: &rusqlite::Connection| {
                db.prepare(sql)?.query_map([], |row| row.get::<_, String>(0))?.collect::<rusqlite::Result<Vec<_>>>()
            };
            scene.office.store.read(read).unwrap()
        };
        scene.writes("ann", "1");
        let before = changes(&scene);
        scene.writes("ann", "2");
        let usual = changes(&scene) - before;
        let before = changes(&scene);
        let named = User { name: "Annie".into(), ..incoming("ann", "").user };
        scene.says(Incoming { user: named, message_id: "x".into(), ..incoming("ann", "3") });
        assert!(changes(&scene) - before > usual, "{version}: a new name is written");
        assert_eq!(customers(&scene), ["Annie"], "{version}");
        assert_eq!(scene.talk().name, "Annie", "{version}");
        scene.says(Incoming { connector: "botframework.webchat".into(), ..incoming("ann", "Hi") });
        assert_eq!(customers(&scene), ["Annie", "ann"], "{version}: the same id at another channel");
    }
}

#[test]
fn edits_and_deletions_find_their_message_by_its_external_id() {
    for version in VERSIONS {
        let mut scene = Scene::new(version);
        scene.says(incoming("ann", "Hi"));
        scene.says(Incoming { message_id: "m1".into(), ..incoming("ann", "Two") });
        scene.says(Incoming { kind: IncomingKind::Update, ..incoming("ann", "Hello") });
        scene.says(Incoming { kind: IncomingKind::Update, message_id: "unknown".into(), ..incoming("ann", "No") });
        scene.says(Incoming { kind: IncomingKind::Delete, message_id: "m1".into(), ..incoming("ann", "") });
        let entries = scene.talk().entries;
        let shown: Vec<_> = entries.iter().map(|one| (one.text.as_str(), one.edited, one.deleted)).collect();
        assert_eq!(shown, [("Hello", true, false), ("Two", false, true)], "{version}");
    }
}

#[test]
fn emoji_are_characters_whatever_the_version_sends() {
    for version in ["17.0.14", "20.0.75", "23.100.0"] {
        let mut scene = Scene::new(version);
        scene.says(incoming("ann", "Hi 👋 at 10:30"));
        assert_eq!(scene.talk().entries[0].text, "Hi 👋 at 10:30", "{version}");
    }
}

/// `portal-box-observed.md` §7: kept per virtual connector and chat, in everything that goes back.
#[test]
fn the_way_back_of_a_chat_is_kept_for_that_chat() {
    for version in VERSIONS {
        let mut scene = Scene::new(version);
        scene.office.add_operator("Eve Lee", None).unwrap();
        let route = |number: u32| Route {
            recipient_id: "28:bot".into(),
            recipient_name: "Bot".into(),
            service_url: format!("https://smba{number}.test/"),
        };
        scene.says(Incoming { route: Some(route(1)), ..incoming("ann", "Hi") });
        scene.says(Incoming { route: Some(route(2)), message_id: "m1".into(), ..incoming("ann", "Hi again") });
        scene.says(Incoming { message_id: "m2".into(), ..incoming("ann", "without one") });
        let skype = "botframework.skype".to_owned();
        scene.says(Incoming { connector: skype, ..incoming("ann", "The same chat id elsewhere") });
        let talks = scene.office.talks().unwrap();
        let id = scene.office.say(1, talks[0].id, "Yes", None).unwrap();
        let back = r#"s:4:"from";a:2:{s:2:"id";s:6:"28:bot";s:4:"name";s:3:"Bot";}s:11:"service_url";s:19:"https://smba2.test/";"#;
        assert!(scene.sent().contains(back), "{version}");
        scene.office.say(1, talks[1].id, "Yes", None).unwrap();
        assert!(!scene.sent().contains("service_url"), "{version}");
        scene.delivered(id);
        scene.office.edit(id, "No").unwrap();
        let edit = scene.heard();
        assert_eq!(edit.command(), "updateMessage");
        assert!(edit.data().contains(back) && edit.data().contains("[b]Eve Lee:[/b][br]"), "{version}");
        scene.office.delete(id).unwrap();
        assert!(scene.heard().data().contains(back), "{version}");
    }
}

#[test]
fn marks_follow_a_message_and_a_failed_one_goes_again() {
    for version in VERSIONS {
        let mut scene = Scene::new(version);
        let eve = scene.office.add_operator("Eve", None).unwrap();
        scene.writes("ann", "Hi");
        let talk = scene.talk().id;
        let mark = |scene: &Scene| scene.talk().entries[1].mark.unwrap();
        let id = scene.office.say(eve, talk, "Yes", None).unwrap();
        assert_eq!((scene.command().as_str(), mark(&scene)), ("sendMessage", Mark::Sending), "{version}");
        assert!(matches!(scene.office.edit(id, "No"), Err(OfficeError::NotThere(_))), "{version}: not before");
        assert!(matches!(scene.office.send_again(id), Err(OfficeError::NotThere(_))), "{version}: not failed");
        scene.delivered(id);
        assert_eq!(mark(&scene), Mark::Delivered, "{version}");
        let read = Notice::Read { im: None, chat: "a:ann".into(), ids: vec![format!("e{id}")], date: 2 };
        scene.told("botframework.msteams", &Body::Notice(read));
        assert_eq!(mark(&scene), Mark::Read, "{version}");
        scene.clock.advance(Duration::from_hours(72));
        scene.office.edit(id, "No").unwrap();
        assert_eq!(scene.command(), "updateMessage");
        scene.clock.advance(Duration::from_millis(1));
        let late = scene.office.edit(id, "Perhaps").unwrap_err();
        assert_eq!(late.to_string(), "a message can be changed for three days", "{version}");
    }
    let mut scene = Scene::new("23.100.0");
    let eve = scene.office.add_operator("Eve", None).unwrap();
    scene.writes("ann", "Hi");
    let id = scene.office.say(eve, scene.talk().id, "Yes", None).unwrap();
    scene.sent();
    let (code, text) = ("forbidden".to_owned(), "the bot is blocked".to_owned());
    let failed = Notice::Failed { im: im(id), chat: "a:ann".into(), deleting: false, code, text, customer: None };
    scene.told("botframework.msteams", &Body::Notice(failed));
    let entry = scene.talk().entries.remove(1);
    assert_eq!((entry.mark, entry.why.as_deref()), (Some(Mark::Failed), Some("the bot is blocked")));
    scene.office.send_again(id).unwrap();
    assert!(scene.sent().contains("Yes"));
    assert_eq!(scene.talk().entries[1].mark, Some(Mark::Sending));
}

#[test]
fn a_server_that_is_away_is_said_on_the_message() {
    let scene = Scene::with("23.100.0", out(), |options| options.server = "http://127.0.0.1:9".into());
    let eve = scene.office.add_operator("Eve", None).unwrap();
    let push = Push {
        command: "receivingMessage".into(),
        connector: "botframework.msteams".into(),
        line: "7".into(),
        signed: true,
        data: push::content(&scene.portal(), &[Body::Message(Box::new(incoming("ann", "Hi")))]).1,
    };
    scene.office.take(&push, Confirm::AsVersion).unwrap();
    let error = scene.office.say(eve, scene.talk().id, "Yes", None).unwrap_err();
    assert!(matches!(error, OfficeError::Call(CallError::Unreachable(_))), "{error}");
    let entry = scene.talk().entries.remove(1);
    assert_eq!(entry.mark, Some(Mark::Failed));
    assert!(entry.why.unwrap().contains("can't be reached"));
}

#[test]
fn long_conversations_come_in_pages() {
    let mut scene = Scene::new("23.100.0");
    for number in 0..7 {
        scene.writes("ann", &number.to_string());
    }
    let talk = scene.talk().id;
    let texts = |entries: &[Entry]| entries.iter().map(|entry| entry.text.clone()).collect::<String>();
    let (newest, older) = scene.office.entries(talk, i64::MAX, 3).unwrap();
    assert_eq!((texts(&newest).as_str(), older), ("456", true));
    let (before, older) = scene.office.entries(talk, newest[0].id, 3).unwrap();
    assert_eq!((texts(&before).as_str(), older), ("123", true));
    let (first, older) = scene.office.entries(talk, before[0].id, 3).unwrap();
    assert_eq!((texts(&first).as_str(), older), ("0", false));
}

/// A status may come twice, late or out of order.
#[test]
fn a_mark_never_goes_back() {
    for version in VERSIONS {
        let mut scene = Scene::new(version);
        let eve = scene.office.add_operator("Eve", None).unwrap();
        scene.writes("ann", "Hi");
        let id = scene.office.say(eve, scene.talk().id, "Yes", None).unwrap();
        let read = Notice::Read { im: Some(im(id)), chat: "a:ann".into(), ids: vec![format!("e{id}")], date: 2 };
        scene.told("botframework.msteams", &Body::Notice(read));
        assert_eq!(scene.talk().entries[1].mark, Some(Mark::Read), "{version}: who reads a message has it");
        scene.delivered(id);
        let entry = scene.talk().entries.remove(1);
        assert_eq!((entry.mark, entry.external), (Some(Mark::Read), vec![format!("e{id}")]), "{version}");
    }
    let mut scene = Scene::new("23.100.0");
    let eve = scene.office.add_operator("Eve", None).unwrap();
    scene.writes("ann", "Hi");
    let id = scene.office.say(eve, scene.talk().id, "Yes", None).unwrap();
    scene.delivered(id);
    let (code, text) = ("late".to_owned(), "too late".to_owned());
    let failed = Notice::Failed { im: im(id), chat: "a:ann".into(), deleting: false, code, text, customer: None };
    scene.told("botframework.msteams", &Body::Notice(failed));
    let entry = scene.talk().entries.remove(1);
    assert_eq!((entry.mark, entry.why), (Some(Mark::Delivered), None));
}

/// Says that a message is delivered while the call that hands it over is still open, and breaks that call.
#[derive(Debug, Default)]
struct Overtaking(Mutex<std::sync::Weak<Office>>);

impl Net for Overtaking {
    fn call(&self, _: Call) -> Result<Answer, NetError> {
        let office = self.0.lock().unwrap().upgrade().unwrap();
        let id = office.talks().unwrap()[0].entries.last().unwrap().id;
        let im = Value::map([("chat_id", Value::Int(101)), ("message_id", Value::Int(id))]);
        let message = Value::map([("id", Value::list([Value::text("e1")]))]);
        let data = Value::list([Value::map([("im", im), ("message", message)])]);
        let (command, connector) = ("receivingStatusDelivery".to_owned(), "botframework.msteams".to_owned());
        office.delivered(&Push { command, connector, line: "7".into(), signed: true, data }).unwrap();
        Err(NetError::Broken("cut".into()))
    }
}

#[test]
fn a_status_that_overtakes_the_call_stands() {
    let net = Arc::new(Overtaking::default());
    let mut scene = Scene::with("23.100.0", Arc::<Overtaking>::clone(&net), |_| ());
    *net.0.lock().unwrap() = Arc::downgrade(&scene.office);
    let eve = scene.office.add_operator("Eve", None).unwrap();
    scene.writes("ann", "Hi");
    scene.office.say(eve, scene.talk().id, "Yes", None).unwrap();
    let entry = scene.talk().entries.remove(1);
    assert_eq!((entry.mark, entry.why, entry.external), (Some(Mark::Delivered), None, vec!["e1".to_owned()]));
}

/// The server takes each `im.message_id` once: what it gave up on goes again under another one.
#[test]
fn what_the_server_gave_up_on_goes_again_under_a_new_id() {
    let mut scene = Scene::new("23.100.0");
    let eve = scene.office.add_operator("Eve", None).unwrap();
    scene.writes("ann", "Hi");
    let file = FileGiven { name: "a.png".into(), url: "https://x.test/a.png".into() };
    let id = scene.office.say(eve, scene.talk().id, "Yes", Some(&file)).unwrap();
    scene.sent();
    let (code, text) = ("forbidden".to_owned(), "no".to_owned());
    let failed = Notice::Failed { im: im(id), chat: "a:ann".into(), deleting: false, code, text, customer: None };
    scene.told("botframework.msteams", &Body::Notice(failed));
    let again = scene.office.send_again(id).unwrap();
    assert_ne!(again, id);
    let sent = scene.sent();
    assert!(sent.contains(&format!(r#"s:10:"message_id";i:{again};"#)), "{sent}");
    assert!(sent.contains("https://x.test/a.png") && sent.contains("[b]Eve:[/b][br]Yes"), "{sent}");
    let entries = scene.talk().entries;
    let shown: Vec<_> = entries.iter().map(|one| (one.id, one.mark)).collect();
    assert_eq!(shown[1..], [(again, Some(Mark::Sending))], "it is not shown twice");
    assert_eq!(scene.office.summaries(eve, 1).unwrap()[0].last.as_ref().map(|last| last.id), Some(again));
    assert!(matches!(scene.office.send_again(id), Err(OfficeError::NotThere(_))));
}

/// Whether the server has a message that could not be handed over nobody knows: under the same id it can tell.
#[test]
fn what_could_not_be_handed_over_goes_again_under_its_id() {
    let mut scene = Scene::with("23.100.0", Arc::new(Gone), |_| ());
    let eve = scene.office.add_operator("Eve", None).unwrap();
    scene.writes("ann", "Hi");
    scene.office.say(eve, scene.talk().id, "Yes", None).unwrap_err();
    let id = scene.talk().entries[1].id;
    scene.office.send_again(id).unwrap_err();
    let entries = scene.talk().entries;
    assert_eq!((entries.len(), entries[1].id, entries[1].mark), (2, id, Some(Mark::Failed)));
}

/// Nobody is reached.
#[derive(Debug)]
struct Gone;

impl Net for Gone {
    fn call(&self, _: Call) -> Result<Answer, NetError> {
        Err(NetError::Broken("gone".into()))
    }
}

/// Ids of messages are unique within a chat, no further: Telegram counts each chat from 1.
#[test]
fn a_reading_status_is_for_its_own_chat() {
    for version in VERSIONS {
        let mut scene = Scene::new(version);
        let eve = scene.office.add_operator("Eve", None).unwrap();
        scene.writes("ann", "Hi");
        scene.writes("ben", "Hi");
        for talk in scene.office.talks().unwrap() {
            let id = scene.office.say(eve, talk.id, "Yes", None).unwrap();
            let (im, chat) = (im(id), talk.chat.clone());
            let notice = Notice::Delivered { im, chat, ids: vec!["5".into()], date: 1 };
            scene.told("botframework.msteams", &Body::Notice(notice));
        }
        let read = Notice::Read { im: None, chat: "a:ann".into(), ids: vec!["5".into()], date: 2 };
        scene.told("botframework.msteams", &Body::Notice(read));
        let marks: Vec<_> = scene.office.talks().unwrap().iter().map(|talk| talk.entries[1].mark.unwrap()).collect();
        assert_eq!(marks, [Mark::Read, Mark::Delivered], "{version}");
    }
}

#[test]
fn messages_without_an_id_are_no_repeats_of_each_other() {
    for version in VERSIONS {
        let mut scene = Scene::new(version);
        for text in ["one", "two"] {
            scene.says(Incoming { message_id: String::new(), ..incoming("ann", text) });
        }
        scene.says(Incoming { kind: IncomingKind::Delete, message_id: String::new(), ..incoming("ann", "") });
        let entries = scene.talk().entries;
        let shown: Vec<_> = entries.iter().map(|one| (one.text.as_str(), one.deleted)).collect();
        assert_eq!(shown, [("one", false), ("two", false)], "{version}");
    }
}

#[test]
fn an_edit_or_deletion_of_what_the_desk_never_had_makes_no_conversation() {
    for version in VERSIONS {
        let mut scene = Scene::new(version);
        for kind in [IncomingKind::Update, IncomingKind::Delete] {
            scene.says(Incoming { kind, ..incoming("ann", "Hello") });
        }
        assert_eq!(scene.office.talks().unwrap(), [], "{version}");
    }
}

/// A portal below 23 is told of a failure in the chat (`portal-box.md` §4.3): the desk marks the message, and no
/// conversation begins with the server's words.
#[test]
fn a_failure_that_is_told_in_the_chat_marks_its_message_and_begins_nothing() {
    let mut scene = Scene::new("20.0.75");
    let eve = scene.office.add_operator("Eve", None).unwrap();
    scene.line(|line| line.welcome = "Welcome!".into());
    scene.writes("ann", "Hi");
    scene.sent();
    let talk = scene.talk().id;
    let id = scene.office.say(eve, talk, "Yes", None).unwrap();
    scene.sent();
    scene.office.close(talk).unwrap();
    let failed = |deleting: bool| Notice::Failed {
        im: im(id),
        chat: "a:ann".into(),
        deleting,
        code: "BLOCKED".into(),
        text: "the bot is blocked".into(),
        customer: Some(Box::new(incoming("ann", "").user)),
    };
    scene.told("botframework.msteams", &Body::Notice(failed(false)));
    let after = scene.talk();
    assert_eq!((after.state, after.entries[2].mark), (TalkState::Closed, Some(Mark::Failed)));
    assert!(after.entries[2].why.as_deref().unwrap().contains("the bot is blocked"), "{:?}", after.entries[2].why);
    assert!(after.entries[3].text.contains("the bot is blocked"), "and it stands in the chat");
    scene.is_quiet();
}

/// Promise 5 at this end: a desk that ends between storing an operator's message and handing it over sends it later.
#[test]
fn what_was_stored_and_not_handed_over_is_sent_after_the_start() {
    for version in VERSIONS {
        let mut scene = Scene::new(version);
        let eve = scene.office.add_operator("Eve", None).unwrap();
        scene.writes("ann", "Hi");
        let talk = scene.talk().id;
        scene.office.say(eve, talk, "Yes", None).unwrap();
        scene.sent();
        assert_eq!(scene.office.send_left().unwrap(), None, "{version}: nothing is left of what was handed over");
        let left = NewMessage {
            talk,
            at: NOON,
            author: Author::Operator,
            operator: Some(eve),
            customer: None,
            post: false,
            text: "Left",
        };
        scene.office.store.write(|tx| left.insert(tx)).unwrap();
        let wait = scene.office.send_left().unwrap().unwrap();
        assert!(wait > Duration::ZERO, "{version}: somebody may be at it");
        scene.is_quiet();
        scene.clock.advance(wait);
        assert_eq!(scene.office.send_left().unwrap(), Some(Duration::ZERO), "{version}");
        assert!(scene.sent().contains("Left"), "{version}");
        assert_eq!(scene.office.send_left().unwrap(), None, "{version}");
        scene.is_quiet();
    }
}
