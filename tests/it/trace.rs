//! The life of a message from what is left of it: while it waits, dead, back again, confirmed, forgotten.

use std::time::Duration;

use trunkline::clock::UnixMillis;
use trunkline::ids::MessageId;
use trunkline::message::{Body, Notice};
use trunkline::queue::{self, dead::Reason};
use trunkline::store::attempts::{self, Attempt};
use trunkline::store::counters::Direction;
use trunkline::store::deliveries;
use trunkline::trace::{self, Fate, Life, Moment};
use trunkline::{outbox, queue::Pushed};

use crate::dead::{START, Shelf, WAIT};

impl Shelf {
    fn life(&self, id: MessageId) -> Life {
        trace::life(&self.store.reading().unwrap(), Direction::In, id).unwrap().unwrap()
    }

    fn fail(&self, ids: &[MessageId], outcome: &'static str) {
        let (line, ids) = (self.line, ids.to_vec());
        self.write(move |tx| {
            queue::note_failure(tx, &ids)?;
            let range = ids.first().copied().zip(ids.last().copied());
            let messages = ids.len();
            attempts::note(tx, &Attempt { line, direction: Direction::In, millis: 7, messages, range, outcome }, 50)
        });
    }

    fn confirm(&self, ids: &[MessageId]) {
        let (line, ids) = (self.line, ids.to_vec());
        assert_eq!(self.write(move |tx| queue::confirm(tx, line, &ids)), 1);
    }
}

fn secs(secs: u64) -> UnixMillis {
    START.plus(Duration::from_secs(secs))
}

#[test]
fn a_message_is_followed_from_acceptance_to_confirmation() {
    let shelf = Shelf::new();
    let (a, b) = (shelf.push("a", 0), shelf.push("b", 0));
    assert_eq!(shelf.life(a).fate, Fate::Waiting { attempts: 0, due: None, error: None });
    shelf.clock.advance(Duration::from_secs(3));
    shelf.fail(&[a, b], "the portal answered 502");
    shelf.fail(&[b], "another packet");
    let life = shelf.life(a);
    assert_eq!((life.accepted, life.message.as_deref()), (Some(Moment::At(START)), Some("a")));
    assert_eq!(life.attempts.iter().map(|one| one.outcome.as_str()).collect::<Vec<_>>(), ["the portal answered 502"]);
    shelf.clock.advance(Duration::from_secs(120));
    shelf.confirm(&[a]);
    let life = shelf.life(a);
    assert_eq!((life.line, life.accepted), (Some(shelf.line), Some(Moment::At(START))));
    assert_eq!(life.fate, Fate::Confirmed(Moment::At(secs(123))), "alone in its minute");
    assert_eq!(life.attempts.len(), 1);
    shelf.clock.advance(Duration::from_secs(10));
    shelf.confirm(&[b]);
    let Fate::Confirmed(Moment::Between(after, at)) = shelf.life(b).fate else { panic!("{:?}", shelf.life(b)) };
    assert!(after <= secs(123) && at == secs(133));
    let db = shelf.store.reading().unwrap();
    assert!(trace::life(&db, Direction::In, MessageId(3)).unwrap().is_none(), "never given");
    assert!(trace::life(&db, Direction::In, MessageId(0)).unwrap().is_none());
    assert!(trace::life(&db, Direction::Out, a).unwrap().is_none());
}

#[test]
fn lives_are_chained_whichever_of_them_is_asked_for() {
    let shelf = Shelf::new();
    let first = shelf.push("a", 0);
    let letter = shelf.bury(Direction::In, first, Reason::Expired);
    shelf.clock.advance(Duration::from_secs(60));
    let second = shelf.replay(letter).unwrap();
    for id in [first, second] {
        let life = shelf.life(id);
        assert_eq!((life.id, life.deaths.len(), life.returned_at), (second, 1, Some(secs(60))), "{id}");
        assert!(matches!(life.fate, Fate::Waiting { .. }));
    }
    let letter = shelf.bury(Direction::In, second, Reason::Dropped);
    let life = shelf.life(first);
    assert_eq!((life.fate, life.deaths.len()), (Fate::Dead, 2));
    let third = shelf.replay(letter).unwrap();
    shelf.clock.advance(Duration::from_secs(60));
    shelf.confirm(&[third]);
    for id in [first, second, third] {
        let life = shelf.life(id);
        assert_eq!((life.id, life.accepted, life.deaths.len()), (third, Some(Moment::At(START)), 2));
        assert_eq!(life.fate, Fate::Confirmed(Moment::At(secs(120))));
    }
}

#[test]
fn what_is_forgotten_is_not_made_up() {
    let shelf = Shelf::new();
    let ids: Vec<_> = (0..5).map(|number| shelf.push(&number.to_string(), 0)).collect();
    for id in &ids {
        shelf.confirm(&[*id]);
    }
    // A notice has no event of its own: it lies between its neighbours.
    let line = shelf.line;
    shelf.clock.advance(Duration::from_secs(5));
    let notice = Body::Notice(Notice::Deactivated);
    let pushed = shelf.write(move |tx| queue::push(tx, line, "botframework", None, &notice));
    let Pushed::New(notice) = pushed else { panic!("never a repeat") };
    shelf.confirm(&[notice]);
    shelf.clock.advance(Duration::from_secs(5));
    shelf.push("later", 0);
    let life = shelf.life(notice);
    assert_eq!((life.line, life.accepted), (None, Some(Moment::Between(START, secs(10)))));
    assert_eq!(life.fate, Fate::Left, "without a line no confirmation is found");
    // After `queue.dedup_keep` only the id is left.
    shelf.write(|tx| queue::forget_seen(tx, UnixMillis(i64::MAX), 100));
    let life = shelf.life(ids[2]);
    assert_eq!((life.line, life.accepted, life.fate), (None, None, Fate::Left));
}

#[test]
fn the_other_sides_name_finds_it() {
    let shelf = Shelf::new();
    let (waiting, dead, gone) = (shelf.push("waiting", 0), shelf.push("dead", 0), shelf.push("gone", 0));
    let letter = shelf.bury(Direction::In, dead, Reason::Expired);
    let back = shelf.replay(letter).unwrap();
    shelf.confirm(&[gone]);
    let sent = shelf.send("2196");
    let db = shelf.store.reading().unwrap();
    for (name, direction, id) in [
        ("waiting", Direction::In, waiting),
        ("dead", Direction::In, back),
        ("gone", Direction::In, gone),
        ("2196", Direction::Out, sent),
    ] {
        let lives = trace::by_external(&db, name).unwrap();
        assert_eq!(lives.len(), 1, "{name}");
        assert_eq!((lives[0].direction, lives[0].id, lives[0].message.as_deref()), (direction, id, Some(name)));
    }
    assert!(shelf.writer.write(WAIT, move |tx| outbox::settle(tx, sent, "botframework.webchat")).unwrap());
    let lives = trace::by_external(&db, "2196").unwrap();
    assert_eq!(lives[0].fate, Fate::Confirmed(Moment::At(START)));
    assert!(trace::by_external(&db, "never").unwrap().is_empty());
}

/// The id noted with the event is the id of the row that follows.
#[test]
fn events_know_their_rows() {
    let shelf = Shelf::new();
    let notice = || Body::Notice(Notice::Deactivated);
    let line = shelf.line;
    let mut rows = Vec::new();
    for number in 0..20 {
        if number % 3 == 0 {
            shelf.write(move |tx| queue::push(tx, line, "botframework", None, &notice()));
        }
        rows.push((shelf.push(&format!("in {number}"), 0), shelf.send(&number.to_string())));
    }
    let db = shelf.store.reading().unwrap();
    let mut stmt = db.prepare("select queue_id, outbox_id from seen order by id").unwrap();
    let known: Vec<(Option<i64>, Option<i64>)> =
        stmt.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().collect::<Result<_, _>>().unwrap();
    let want: Vec<_> =
        rows.iter().flat_map(|(incoming, outgoing)| [(Some(incoming.0), None), (None, Some(outgoing.0))]).collect();
    assert_eq!(known, want);
    for (incoming, outgoing) in rows {
        let life = |way, id| trace::life(&db, way, id).unwrap().unwrap().accepted;
        assert_eq!(life(Direction::In, incoming), Some(Moment::At(START)));
        assert_eq!(life(Direction::Out, outgoing), Some(Moment::At(START)));
    }
}

#[test]
fn confirmations_are_kept_a_week_and_a_row_a_minute() {
    let shelf = Shelf::new();
    for minute in 0..3 {
        for number in 0..5 {
            let id = shelf.push(&format!("{minute} {number}"), 0);
            shelf.confirm(&[id]);
        }
        shelf.clock.advance(Duration::from_secs(60));
    }
    let db = shelf.store.reading().unwrap();
    let rows = || db.query_row("select count(*) from deliveries", [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(rows(), 3);
    let latest = deliveries::latest(&db, shelf.line, Direction::In).unwrap().unwrap();
    assert_eq!((latest.messages, latest.first, latest.last), (5, MessageId(11), MessageId(15)));
    shelf.clock.advance(Duration::from_hours(8 * 24));
    let id = shelf.push("a week later", 0);
    shelf.confirm(&[id]);
    assert_eq!(rows(), 1);
}

#[test]
fn the_command_tells_it_in_words() {
    use std::sync::atomic::Ordering;

    use crate::support::http::Client;
    use crate::support::until;

    let ear = crate::support::portal::Ear::start();
    ear.well.store(false, Ordering::SeqCst);
    let place = crate::support::program::Place::new(crate::commands::OFF);
    let (line, hash) = place.connect("office", &ear.url, "11111111-2222-3333-4444-555555555555");
    let server = place.serve();
    let body = crate::crash::activity("mark-1");
    let path = format!("/imwebhook/?hash={hash}");
    assert_eq!(Client::connect(&server.public).unwrap().post_json(&path, &body).unwrap().status, 200);
    let traced = || place.json(&["trace", "mark-1"]);
    until("the first attempt", WAIT, || traced()["attempts"].as_array().unwrap().len() == 1);
    let words = place.run(&["trace", "mark-1"]);
    for part in ["(message) to the portal, of line", "accepted", "attempt failed after", "502", "the next attempt is"] {
        assert!(words.contains(part), "{part}: {words}");
    }
    let shown = traced();
    assert!(shown["next_attempt_at"].is_string() && shown["state"] == "waiting", "{shown}");
    ear.well.store(true, Ordering::SeqCst);
    place.run(&["line", "unblock", &line.to_string()]);
    until("the confirmation", WAIT, || traced()["state"] == "confirmed");
    let words = place.run(&["trace", &shown["id"].to_string()]);
    assert!(words.contains("confirmed by the portal") && !words.contains("not known"), "{words}");
    assert!(!words.contains("Ann"), "no content");
    assert_eq!(traced()["unknown"], serde_json::json!([]));
    let missing = place.output(&["trace", "never"]);
    assert_eq!(missing.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&missing.stderr).contains("there is no message `never`"));
}
