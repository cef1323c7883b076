//! Dead letters and their way back: order, time, repeats, accounting at every step (promises 4 and 7), refusals; then the
//! same through the program.

use std::sync::Arc;
use std::time::Duration;

use trunkline::clock::{ManualClock, UnixMillis};
use trunkline::ids::{LineId, MessageId};
use trunkline::message::{
    Body, Chat, FileLink, Incoming, IncomingKind, Notice, Outgoing, OutgoingKind, PortalRef, User,
};
use trunkline::outbox;
use trunkline::portals::boxed;
use trunkline::queue::dead::{self, Reason, Refusal};
use trunkline::queue::{self, Pushed};
use trunkline::registry;
use trunkline::store::counters::{self, Accounting, Direction};
use trunkline::store::directory::{self, NewPortal};
use trunkline::store::writer::WriterThread;
use trunkline::store::{Store, Tx, Writer};

pub const WAIT: Duration = Duration::from_secs(5);
pub const START: UnixMillis = UnixMillis(1_790_000_000_000);

/// A database with one line and no loops.
pub struct Shelf {
    pub folder: tempfile::TempDir,
    pub store: Store,
    pub writer: Writer,
    thread: Option<WriterThread>,
    pub clock: Arc<ManualClock>,
    pub line: LineId,
}

impl Shelf {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let clock = Arc::new(ManualClock::at(START));
        let (writer, thread) = Writer::start(store.writing().unwrap(), clock.clone(), || ()).unwrap();
        let line = writer
            .write(WAIT, |tx| {
                let new = NewPortal {
                    name: "sales".into(),
                    protocol: "box",
                    url: "https://sales.test".into(),
                    licence: "l".into(),
                    key: boxed::key_md5("TEST-LICENCE-KEY-0001"),
                };
                let portal = directory::add_portal(tx.db(), &new, tx.now)?;
                Ok(directory::ensure_line(tx, portal, "botframework", "7", "h")?.id)
            })
            .unwrap();
        Self { folder, store, writer, thread: Some(thread), clock, line }
    }

    pub fn write<T: Send + 'static>(&self, work: impl Fn(&mut Tx<'_>) -> rusqlite::Result<T> + Send + 'static) -> T {
        let done = self.writer.write(WAIT, work).unwrap();
        assert_eq!(self.sums().difference(), 0, "promise 4");
        done
    }

    pub fn sums(&self) -> Accounting {
        counters::accounting(&self.store.reading().unwrap()).unwrap()
    }

    pub fn push(&self, mark: &str, files: usize) -> MessageId {
        let (line, body) = (self.line, message(mark, files));
        let key = mark.to_owned();
        match self.write(move |tx| queue::push(tx, line, "botframework.webchat", Some(&key), &body)) {
            Pushed::New(id) => id,
            Pushed::Repeat => panic!("{mark} was taken for a repeat"),
        }
    }

    pub fn send(&self, mark: &str) -> MessageId {
        let line = self.line;
        let message = Outgoing {
            connector: "botframework.webchat".into(),
            chat: "c".into(),
            im: PortalRef { chat_id: "1".into(), message_id: mark.to_owned() },
            kind: OutgoingKind::Send { text: mark.to_owned(), files: vec![] },
            service_url: None,
        };
        self.write(move |tx| outbox::push(tx, line, &message)).unwrap()
    }

    pub fn bury(&self, direction: Direction, id: MessageId, reason: Reason) -> i64 {
        assert!(self.write(move |tx| dead::bury(tx, direction, id, reason, "why")));
        dead::of_message(&self.store.reading().unwrap(), direction, id).unwrap().last().unwrap().id
    }

    pub fn replay(&self, id: i64) -> Result<MessageId, Refusal> {
        self.write(move |tx| dead::replay(tx, id)).map(|(_, id)| id)
    }

    fn waiting(&self) -> Vec<(String, UnixMillis, usize)> {
        let rows = queue::list(&self.store.reading().unwrap(), None, 100).unwrap();
        rows.into_iter().map(|entry| (entry.row.message, entry.row.accepted_at, entry.row.files)).collect()
    }
}

impl Drop for Shelf {
    fn drop(&mut self) {
        self.thread.take().unwrap().stop();
    }
}

fn message(mark: &str, files: usize) -> Body {
    let file = |number: usize| FileLink { url: format!("https://cdn.test/{number}"), ..FileLink::default() };
    Body::Message(Box::new(Incoming {
        connector: "botframework.webchat".into(),
        kind: IncomingKind::Message,
        key: None,
        user: User { id: "u".into(), name: "Ann".into(), ..User::default() },
        chat: Chat { id: "c".into(), ..Chat::default() },
        message_id: mark.to_owned(),
        date: None,
        text: mark.to_owned(),
        files: (0..files).map(file).collect(),
        attachments: vec![],
        route: None,
    }))
}

#[test]
fn a_replay_keeps_order_and_time_and_is_no_repeat() {
    let shelf = Shelf::new();
    let ids: Vec<_> = ["a", "b", "c"].map(|mark| shelf.push(mark, usize::from(mark == "b") * 2)).into();
    // They die in another order than they came in, and one dies later.
    shelf.clock.advance(Duration::from_hours(1));
    let c = shelf.bury(Direction::In, ids[2], Reason::Poison);
    let a = shelf.bury(Direction::In, ids[0], Reason::Expired);
    shelf.clock.advance(Duration::from_hours(1));
    let b = shelf.bury(Direction::In, ids[1], Reason::Expired);
    shelf.clock.advance(Duration::from_hours(20));
    let new = shelf.push("new", 0);

    let db = shelf.store.reading().unwrap();
    let mut order = dead::chosen(&db, Some(shelf.line), None).unwrap();
    assert_eq!(order.iter().map(|one| one.id).collect::<Vec<_>>(), [c, a, b]);
    order.sort_by_key(|one| one.origin);
    for one in order {
        assert!(shelf.replay(one.id).unwrap() > new, "its own id is its nonce");
    }
    let back = |mark: &str, files| (mark.to_owned(), START, files);
    let fresh = ("new".to_owned(), START.plus(Duration::from_hours(22)), 0);
    assert_eq!(shelf.waiting(), [fresh, back("a", 0), back("b", 2), back("c", 0)]);
    assert_eq!(dead::count(&db).unwrap(), 0);
    // Accepted 4 and 3 times back, 3 ended as dead letters.
    assert_eq!(shelf.sums(), Accounting { accepted: 7, confirmed: 0, dead: 3, queued: 4, outbox: 0 });

    // Once back it can't come back again, and the platform's own repeat is still one.
    assert!(matches!(shelf.replay(a), Err(Refusal::Replayed { .. })));
    let (line, body) = (shelf.line, message("a", 0));
    let again = shelf.write(move |tx| queue::push(tx, line, "botframework.webchat", Some("a"), &body));
    assert_eq!(again, Pushed::Repeat);
    // How long the oldest waits is counted from its return.
    let (line, first) = (shelf.line, new);
    assert_eq!(shelf.write(move |tx| queue::confirm(tx, line, &[first])), 1);
    assert_eq!(queue::oldest(&db).unwrap(), Some(START.plus(Duration::from_hours(22))));
}

#[test]
fn a_replay_that_dies_again_comes_back_in_its_old_place() {
    let shelf = Shelf::new();
    let (a, b) = (shelf.push("a", 0), shelf.push("b", 0));
    let first = shelf.bury(Direction::In, a, Reason::Expired);
    let again = shelf.replay(first).unwrap();
    let later = shelf.bury(Direction::In, b, Reason::Expired);
    let second = shelf.bury(Direction::In, again, Reason::Expired);
    let db = shelf.store.reading().unwrap();
    let mut order = dead::chosen(&db, None, None).unwrap();
    order.sort_by_key(|one| one.origin);
    assert_eq!(order.iter().map(|one| one.id).collect::<Vec<_>>(), [second, later]);
    assert_eq!(dead::by_id(&db, second).unwrap().unwrap().origin, a);
    assert_eq!(dead::by_id(&db, first).unwrap().unwrap().replayed.unwrap().1, again);
    assert_eq!(dead::body(&db, first).unwrap().unwrap(), b"", "words are not kept twice");
}

#[test]
fn an_operators_message_goes_on_where_it_stopped() {
    let shelf = Shelf::new();
    let id = shelf.send("2196");
    shelf.write(move |tx| outbox::postpone(tx, id, tx.now, true, r#"{"parts":2,"ids":["x","y"]}"#));
    let letter = shelf.bury(Direction::Out, id, Reason::TooOld);
    let db = shelf.store.reading().unwrap();
    let shown = dead::by_id(&db, letter).unwrap().unwrap();
    assert_eq!((shown.message.as_str(), shown.connector.as_str()), ("2196", "botframework.webchat"));
    assert_eq!((shown.command.as_str(), shown.attempts), ("send", 1));
    shelf.clock.advance(Duration::from_hours(30));
    shelf.replay(letter).unwrap();
    let lane = outbox::Lane { line: shelf.line, chat: "c".into() };
    let head = outbox::head(&db, &lane).unwrap().unwrap();
    let progress = outbox::body::decode_progress(&head.progress);
    assert_eq!((progress.parts, progress.ids), (2, vec!["x".to_owned(), "y".to_owned()]));
    assert_eq!(head.accepted_at, START.plus(Duration::from_hours(30)), "its time to live starts anew");
    assert_eq!((head.attempts, head.due_at), (0, head.accepted_at));
    assert_eq!(shelf.sums(), Accounting { accepted: 2, confirmed: 0, dead: 1, queued: 0, outbox: 1 });
}

#[test]
fn an_outgoing_message_that_cannot_be_read_still_dies() {
    let shelf = Shelf::new();
    let id = shelf.send("1");
    shelf.write(move |tx| tx.db().execute("update outbox set body = x'ff00' where id = ?1", [id.0]));
    let letter = shelf.bury(Direction::Out, id, Reason::Unreadable);
    let shown = dead::by_id(&shelf.store.reading().unwrap(), letter).unwrap().unwrap();
    assert_eq!((shown.connector.as_str(), shown.message.as_str()), ("botframework", ""));
}

#[test]
fn what_has_nowhere_to_go_stays() {
    let shelf = Shelf::new();
    let line = shelf.line;
    let a = shelf.push("a", 0);
    let Pushed::New(notice) =
        shelf.write(move |tx| queue::push(tx, line, "botframework", None, &Body::Notice(Notice::Deactivated)))
    else {
        panic!("a notice is never a repeat");
    };
    let a = shelf.bury(Direction::In, a, Reason::Expired);
    let notice = shelf.bury(Direction::In, notice, Reason::LineRemoved);
    assert_eq!(shelf.replay(notice), Err(Refusal::Deactivation));
    shelf.write(move |tx| directory::retire_line(tx, line));
    assert_eq!(shelf.replay(a), Err(Refusal::TakenOver(line)));
    shelf.write(move |tx| directory::ensure_line(tx, trunkline::ids::PortalId(1), "botframework", "7", "h2").map(drop));
    assert!(shelf.replay(a).is_ok(), "connected again");
    let b = shelf.push("b", 0);
    let b = shelf.bury(Direction::In, b, Reason::Dropped);
    registry::remove(&shelf.writer, WAIT, line, "test").unwrap();
    assert_eq!(shelf.replay(b), Err(Refusal::LineGone(line)));
    assert_eq!(shelf.replay(999), Err(Refusal::Gone));
    assert_eq!(dead::count(&shelf.store.reading().unwrap()).unwrap(), 3, "the replayed one died with its line");
    let purged = shelf.write(move |tx| dead::purge(tx, &[b, 999]));
    assert_eq!((purged, dead::count(&shelf.store.reading().unwrap()).unwrap()), (1, 2));
}

/// `dead_letters.keep = "0"`: counted, and gone in the same transaction.
#[test]
fn where_none_are_kept_none_is_ever_seen() {
    let mut shelf = Shelf::new();
    shelf.thread.take().unwrap().stop();
    let db = dead::writing(&shelf.store, Duration::ZERO).unwrap();
    let (writer, thread) = Writer::start(db, shelf.clock.clone(), || ()).unwrap();
    (shelf.writer, shelf.thread) = (writer, Some(thread));
    let a = shelf.push("a", 0);
    assert!(shelf.write(move |tx| dead::bury(tx, Direction::In, a, Reason::Dropped, "why")));
    assert_eq!(shelf.sums(), Accounting { accepted: 1, confirmed: 0, dead: 1, queued: 0, outbox: 0 });
    let rows: i64 =
        shelf.store.reading().unwrap().query_row("select count(*) from dead_letters", [], |row| row.get(0)).unwrap();
    assert_eq!((rows, shelf.folder.path().exists()), (0, true));
}

mod program {
    use std::os::unix::fs::PermissionsExt;
    use std::sync::atomic::Ordering;
    use std::time::Duration;

    use crate::crash::activity;
    use crate::support::http::Client;
    use crate::support::portal::Ear;
    use crate::support::program::Place;
    use crate::support::until;

    const APP: &str = "11111111-2222-3333-4444-555555555555";
    const WAIT: Duration = Duration::from_secs(10);

    fn code(place: &Place, args: &[&str]) -> (i32, String) {
        let output = place.output(args);
        let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        (output.status.code().unwrap(), text)
    }

    /// An outage that is over: three messages have died, the portal is well again and the server runs.
    #[test]
    fn letters_come_back_beside_a_running_server() {
        let ear = Ear::start();
        ear.well.store(false, Ordering::SeqCst);
        let place = Place::new(&format!("language = \"ru\"\n{}[retry]\nblocks = [\"50ms\"]\n", crate::commands::OFF));
        let (line, hash) = place.connect("office", &ear.url, APP);
        let line = line.to_string();
        let server = place.serve();
        let path = format!("/imwebhook/?hash={hash}");
        for number in 1..=3 {
            let body = activity(&format!("mark-{number}"));
            assert_eq!(Client::connect(&server.public).unwrap().post_json(&path, &body).unwrap().status, 200);
        }
        until("dead letters", WAIT, || place.json(&["dead", "list"]).as_array().unwrap().len() == 3);
        let letters = place.json(&["dead", "list", "--line", &line, "--since", "1h"]);
        let ids: Vec<String> = letters.as_array().unwrap().iter().map(|letter| letter["id"].to_string()).collect();
        for (key, want) in [("direction", "in"), ("reason", "expired"), ("message", "mark-1")] {
            assert_eq!(letters[0][key], want, "{letters}");
        }
        assert!(letters[0]["sentence"].as_str().unwrap().contains("портал"), "{letters}");
        let shown = place.run(&["dead", "show", &ids[0]]);
        assert!(shown.contains("expired: портал") && shown.contains("502"), "{shown}");
        assert!(shown.contains(&format!("trunkline dead replay {}", ids[0])), "{shown}");

        // Export: for the owner only, never over a file, with the words.
        let file = place.path("letters.jsonl");
        let file = file.to_str().unwrap();
        assert!(place.run(&["dead", "export", file]).contains("3 dead letters"));
        assert_eq!(std::fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
        let text = std::fs::read_to_string(file).unwrap();
        let first: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
        assert_eq!((first["content"]["text"].as_str(), text.lines().count()), (Some("mark-1"), 3));
        let (exit, words) = code(&place, &["dead", "export", file]);
        assert!(exit == 4 && words.contains("there already"), "{exit} {words}");
        assert_eq!(std::fs::read_to_string(file).unwrap(), text);

        // A dry run changes nothing; the real one is delivered in order within a second or two.
        ear.well.store(true, Ordering::SeqCst);
        let dry = place.json(&["dead", "replay", "--line", &line, "--dry-run"]);
        assert_eq!((dry["count"].as_u64(), dry["replayed"][0]["message_id"].is_null()), (Some(3), true), "{dry}");
        assert_eq!(place.json(&["dead", "list"]).as_array().unwrap().len(), 3);
        let back = place.json(&["dead", "replay", &ids[2], &ids[0]]);
        assert_eq!(back["count"], 2);
        until("the way back", WAIT, || ear.marks("mark").len() == 2 && server.metric("trunkline_queued") == 0.0);
        let heard = ear.heard.lock().unwrap().concat();
        assert!(heard.find("mark-1").unwrap() < heard.find("mark-3").unwrap(), "the order is kept");
        assert_eq!(server.metric("trunkline_accounting_difference"), 0.0);
        let replayed = "trunkline_replayed_total{connector=\"botframework.webchat\",direction=\"in\",class=\"\"}";
        assert_eq!(server.metric(replayed), 2.0);
        let (exit, words) = code(&place, &["dead", "replay", &ids[0]]);
        assert!(exit == 4 && words.contains("it was replayed at"), "{exit} {words}");
        assert!(place.run(&["dead", "show", &ids[0]]).contains("it was replayed at"));

        // What is deleted is said beforehand.
        let (exit, words) = code(&place, &["dead", "purge"]);
        assert!(exit == 4 && words.contains("1 dead letter,") && words.contains("--yes"), "{exit} {words}");
        assert_eq!(place.json(&["dead", "purge", "--yes"])["purged"], 1);
        assert_eq!(place.json(&["dead", "list"]), serde_json::json!([]));
        assert_eq!(code(&place, &["dead", "show", &ids[1]]).0, 3);
        assert!(place.run(&["dead", "replay", "--line", &line]).contains("nothing to replay"));
    }

    #[test]
    fn letters_of_a_line_that_is_gone_can_only_be_exported() {
        let place = Place::new(crate::commands::OFF);
        let (line, hash) = place.connect("office", "http://127.0.0.1:9", APP);
        let line = line.to_string();
        let server = place.serve();
        let path = format!("/imwebhook/?hash={hash}");
        assert_eq!(Client::connect(&server.public).unwrap().post_json(&path, &activity("m")).unwrap().status, 200);
        place.run(&["line", "remove", &line, "--yes"]);
        let id = place.json(&["dead", "list", "--line", &line])[0]["id"].to_string();
        for args in [&["dead", "replay", &id][..], &["dead", "replay", "--line", &line, "--dry-run"]] {
            let (exit, words) = code(&place, args);
            assert!(exit == 4 && words.contains("was removed") && words.contains("dead export"), "{exit} {words}");
        }
        assert_eq!(place.json(&["dead", "show", &id])["replayable"], false);
        assert_eq!(code(&place, &["dead", "list", "--line", "99"]).0, 3);
    }
}
