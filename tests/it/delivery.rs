//! Queue, sender and box protocol together on a manual clock, the portal played by a script: order, independence of
//! lines, confirmations, the 24-hour schedule, dead letters.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use trunkline::clock::{Clock, ManualClock, UnixMillis};
use trunkline::ids::LineId;
use trunkline::message::{Body, Chat, Incoming, IncomingKind, User};
use trunkline::metrics::Metrics;
use trunkline::net::{Answer, Call, Net, NetError};
use trunkline::portals::boxed;
use trunkline::queue::blocks::Schedule;
use trunkline::queue::{self, dead};
use trunkline::sender::{self, Event, SenderLoop, packet};
use trunkline::store::counters::{self, Accounting};
use trunkline::store::directory::{self, NewPortal};
use trunkline::store::writer::WriterThread;
use trunkline::store::{Store, Writer};

use crate::support::until;

const WAIT: Duration = Duration::from_secs(5);
const START: UnixMillis = UnixMillis(1_500_000_000_000);

type Script = Arc<Mutex<VecDeque<Result<Answer, NetError>>>>;

/// Answers by host: what its script says, `OK` when it is empty; notes every post.
#[derive(Clone, Debug, Default)]
struct Portals {
    posts: Arc<Mutex<Vec<(String, String)>>>,
    bad: Script,
    always_bad: Arc<std::sync::atomic::AtomicBool>,
    hang: Arc<Mutex<Option<crossbeam_channel::Receiver<()>>>>,
}

fn ok() -> Result<Answer, NetError> {
    Ok(Answer { status: 200, headers: vec![], body: br#"{"OK":true,"DATA":[]}"#.to_vec() })
}

fn gone() -> Result<Answer, NetError> {
    Err(NetError::Connect("refused".into()))
}

impl Net for Portals {
    fn call(&self, call: Call) -> Result<Answer, NetError> {
        use base64::Engine;
        let data = url::form_urlencoded::parse(&call.body).find(|(key, _)| key == "DATA").unwrap().1.into_owned();
        let data = base64::engine::general_purpose::STANDARD.decode(data).unwrap();
        let host = url::Url::parse(&call.url).unwrap().host_str().unwrap().to_owned();
        self.posts.lock().unwrap().push((host.clone(), String::from_utf8_lossy(&data).into_owned()));
        if host == "bad.test" {
            let hang = self.hang.lock().unwrap().clone();
            if let Some(hang) = hang {
                let _ = hang.recv();
            }
            if self.always_bad.load(std::sync::atomic::Ordering::SeqCst) {
                return gone();
            }
            return self.bad.lock().unwrap().pop_front().unwrap_or_else(ok);
        }
        ok()
    }
}

struct House {
    _folder: tempfile::TempDir,
    store: Store,
    writer: Writer,
    thread: Option<WriterThread>,
    clock: Arc<ManualClock>,
    portals: Portals,
    sender: SenderLoop,
    bell: sender::Bell,
}

impl House {
    fn new(by_status: bool, workers: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let clock = Arc::new(ManualClock::at(START));
        let (writer, thread) = Writer::start(store.writing().unwrap(), clock.clone(), || ()).unwrap();
        let portals = Portals::default();
        let (bell, events) = sender::channel();
        let parts = sender::Parts {
            store: store.clone(),
            writer: writer.clone(),
            clock: clock.clone(),
            net: Arc::new(portals.clone()),
            metrics: Metrics::default(),
        };
        let options = sender::Options {
            limits: packet::Limits { messages: 10, files: 3, bytes: 1 << 20 },
            by_status,
            confirm_timeout: Duration::from_secs(90),
            workers,
            schedule: Schedule::default(),
        };
        let sender = SenderLoop::new(parts, options, bell.clone(), events).unwrap();
        Self { _folder: folder, store, writer, thread: Some(thread), clock, portals, sender, bell }
    }

    fn line(&self, host: &str, number: &str, version: &str) -> LineId {
        let (host, number, version) = (host.to_owned(), number.to_owned(), version.to_owned());
        self.writer
            .write(WAIT, move |tx| {
                let portal = match directory::portal_by_name(tx.db(), &host)? {
                    Some(portal) => portal.id,
                    None => {
                        let new = NewPortal {
                            name: host.clone(),
                            protocol: "box",
                            url: format!("https://{host}"),
                            licence: format!("licence of {host}"),
                            key: boxed::key_md5("TEST-LICENCE-KEY-0001"),
                        };
                        directory::add_portal(tx.db(), &new, tx.now)?
                    }
                };
                directory::portal_seen(tx, portal, &version)?;
                Ok(directory::ensure_line(tx, portal, "botframework", &number, &format!("{host} {number}"))?.id)
            })
            .unwrap()
    }

    fn push(&self, line: LineId, mark: &str) {
        let message = Incoming {
            connector: "botframework.webchat".into(),
            kind: IncomingKind::Message,
            key: Some(mark.to_owned()),
            user: User { id: "u".into(), name: "Ann".into(), ..User::default() },
            chat: Chat { id: "c".into(), ..Chat::default() },
            message_id: mark.to_owned(),
            date: Some(START.secs()),
            text: mark.to_owned(),
            files: vec![],
            attachments: vec![],
            route: None,
        };
        let key = message.key.clone();
        let body = Body::Message(Box::new(message));
        self.writer
            .write(WAIT, move |tx| queue::push(tx, line, "botframework.webchat", key.as_deref(), &body))
            .unwrap();
        self.bell.wake(line);
    }

    fn status(&self, line: LineId, marks: &[&str]) {
        let (done, told) = crossbeam_channel::bounded(1);
        let named = marks.iter().map(|mark| ("c".to_owned(), (*mark).to_owned())).collect();
        let connector = "botframework.webchat".to_owned();
        self.bell.tell(Event::Status { line, connector, named, done: Some(done) });
        drop(told);
    }

    /// Steps until `condition` holds.
    fn run(&mut self, what: &str, mut condition: impl FnMut(&mut Self) -> bool) {
        until(what, WAIT, || {
            self.sender.step().unwrap();
            condition(self)
        });
        assert_eq!(self.sums().difference(), 0, "promise 4, {what}");
    }

    fn sums(&self) -> Accounting {
        counters::accounting(&self.store.reading().unwrap()).unwrap()
    }

    fn queued(&self) -> i64 {
        self.sums().queued
    }

    /// The marks that reached a host, post by post.
    fn heard(&self, host: &str) -> Vec<Vec<String>> {
        let posts = self.portals.posts.lock().unwrap();
        posts
            .iter()
            .filter(|(of, _)| of == host)
            .map(|(_, data)| {
                data.split("\"text\";s:").skip(1).map(|part| part.split('"').nth(1).unwrap().to_owned()).collect()
            })
            .collect()
    }

    fn record(&self, line: LineId) -> trunkline::records::Line {
        directory::line_by_id(&self.store.reading().unwrap(), line).unwrap().unwrap()
    }

    /// Waits until the line's row shows this many failed attempts and nothing is in flight.
    fn attempts(&mut self, line: LineId, count: u32) {
        self.run(&format!("{count} failed attempts"), |house| {
            house.record(line).attempts == count && house.sender.in_flight() == 0
        });
    }
}

impl Drop for House {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take() {
            thread.stop();
        }
    }
}

#[test]
fn promise_3_a_lines_messages_leave_in_order_and_in_packets() {
    let mut house = House::new(false, 4);
    let line = house.line("good.test", "1", "23.100.0");
    let marks: Vec<String> = (0..25).map(|number| format!("m{number}")).collect();
    for mark in &marks {
        house.push(line, mark);
    }
    house.run("all confirmed", |house| house.queued() == 0);
    let heard = house.heard("good.test");
    assert_eq!(heard.concat(), marks);
    assert!(heard.iter().all(|packet| packet.len() <= 10), "{heard:?}");
    assert_eq!(house.sums(), Accounting { accepted: 25, confirmed: 25, ..Accounting::default() });
}

#[test]
fn promise_2_a_repeat_adds_nothing() {
    let mut house = House::new(false, 4);
    let line = house.line("good.test", "1", "23.100.0");
    house.push(line, "once");
    house.push(line, "once");
    house.run("confirmed", |house| house.queued() == 0);
    house.push(line, "once");
    house.push(line, "end");
    house.run("confirmed", |house| house.queued() == 0);
    assert_eq!(house.heard("good.test").concat(), ["once", "end"]);
}

#[test]
fn promise_3_a_dead_and_a_silent_portal_delay_nobody_else() {
    let mut house = House::new(false, 4);
    let (release, hang) = crossbeam_channel::bounded::<()>(0);
    *house.portals.hang.lock().unwrap() = Some(hang);
    // More silent lines than workers: they must not take all of them.
    let bad: Vec<LineId> = (0..8).map(|number| house.line("bad.test", &number.to_string(), "23.100.0")).collect();
    let good = house.line("good.test", "1", "23.100.0");
    for line in &bad {
        house.push(*line, "stuck");
    }
    house.run("the black hole", |house| house.sender.in_flight() > 0);
    house.push(good, "through");
    house.run("the good portal", |house| !house.heard("good.test").is_empty() && house.queued() == 8);
    drop(release);
    house.run("the rest", |house| house.queued() == 0);
}

/// Design §6, promises 6, 7 and 11.
#[test]
fn promise_7_after_twelve_attempts_and_24_hours_everything_is_a_dead_letter() {
    let mut house = House::new(false, 4);
    house.portals.always_bad.store(true, std::sync::atomic::Ordering::SeqCst);
    let line = house.line("bad.test", "1", "23.100.0");
    house.push(line, "first");
    for attempt in 1..=12 {
        house.attempts(line, attempt);
        let until = house.record(line).blocked_until.unwrap();
        let posts = house.heard("bad.test").len();
        assert_eq!(posts, usize::try_from(attempt).unwrap());
        // A message that comes in during a block wakes nothing.
        house.push(line, &format!("during {attempt}"));
        house.clock.set(UnixMillis(until.0 - 1));
        house.sender.step().unwrap();
        assert_eq!((house.heard("bad.test").len(), house.sender.in_flight()), (posts, 0), "attempt {attempt}");
        house.clock.set(until);
        house.bell.tell(Event::Tick);
    }
    assert_eq!(house.clock.now().since(START), Duration::from_hours(24));
    house.run("dead letters", |house| house.queued() == 0 && house.record(line).attempts == 0);
    let sums = house.sums();
    assert_eq!((sums.accepted, sums.dead, sums.confirmed), (13, 13, 0));
    assert!(house.record(line).blocked_until.is_none());
    let letters = dead::list(&house.store.reading().unwrap(), 100).unwrap();
    assert_eq!(letters.len(), 13);
    assert!(letters.iter().all(|letter| letter.reason == "expired" && !letter.error.is_empty()));
    // The line works again at once.
    house.portals.always_bad.store(false, std::sync::atomic::Ordering::SeqCst);
    house.push(line, "after");
    house.run("the next day", |house| house.queued() == 0);
}

#[test]
fn a_success_ends_the_block_and_the_count() {
    let mut house = House::new(false, 4);
    house.portals.bad.lock().unwrap().extend([gone(), gone()]);
    let line = house.line("bad.test", "1", "23.100.0");
    house.push(line, "m");
    house.attempts(line, 1);
    let first = house.record(line).blocked_until.unwrap();
    house.clock.set(first);
    house.attempts(line, 2);
    let second = house.record(line).blocked_until.unwrap();
    assert_eq!(second.since(first), Duration::from_millis(42_187));
    house.clock.set(second);
    house.run("confirmed", |house| house.queued() == 0 && house.record(line).attempts == 0);
    let record = house.record(line);
    assert_eq!((record.blocked_until, record.first_attempt_at, record.last_error), (None, None, None));
}

/// Whatever a portal answers that is not its OK, nothing is deleted.
#[test]
fn only_ok_true_confirms() {
    let answer = |status: u16, body: &str| Ok(Answer { status, headers: vec![], body: body.as_bytes().to_vec() });
    for (case, bad) in [
        ("rubbish", answer(200, "<html>hello</html>")),
        ("half a body", answer(200, r#"{"OK":tr"#)),
        ("empty", answer(200, "")),
        ("a refusal", answer(200, r#"{"OK":false,"DATA":[],"ERROR":[{"CODE":"NOT_ACTIVE_LINE"}]}"#)),
        ("an error object", answer(200, r#"{"OK":false,"ERROR":{"CODE":"MODULE_NOT_INSTALLED"}}"#)),
        ("502", answer(502, "")),
        ("a redirect", answer(302, "")),
        ("a time-out", Err(NetError::Timeout(Duration::from_secs(90)))),
    ] {
        let mut house = House::new(false, 4);
        house.portals.bad.lock().unwrap().push_back(bad);
        let line = house.line("bad.test", "1", "23.100.0");
        house.push(line, "m");
        house.attempts(line, 1);
        assert_eq!(house.queued(), 1, "{case}");
        assert!(house.record(line).last_error.is_some(), "{case}");
    }
}

/// `interface.md` §6: a confirmation that comes after the time-out still removes its messages and ends the block.
#[test]
fn a_late_set_status_delivered_still_confirms() {
    let mut house = House::new(false, 4);
    house.portals.bad.lock().unwrap().push_back(Err(NetError::Timeout(Duration::from_secs(90))));
    let line = house.line("bad.test", "1", "17.0.14");
    house.push(line, "late");
    house.attempts(line, 1);
    house.status(line, &["other", "late"]);
    house.run("the late confirmation", |house| house.queued() == 0 && house.record(line).blocked_until.is_none());
    assert_eq!(house.sums().confirmed, 1);
    assert_eq!(house.heard("bad.test").len(), 1, "not posted again");
}

#[test]
fn what_was_never_posted_cannot_be_confirmed() {
    let mut house = House::new(false, 4);
    house.portals.bad.lock().unwrap().push_back(gone());
    let line = house.line("bad.test", "1", "17.0.14");
    house.push(line, "posted");
    house.attempts(line, 1);
    house.push(line, "waiting");
    house.status(line, &["waiting"]);
    house.run("the status handled", |house| house.record(line).attempts == 1);
    assert_eq!(house.queued(), 2);
}

/// `queue.confirm = "status"`: the reply alone is not enough for portals that send `setStatusDelivered`.
#[test]
fn confirmation_by_status_waits_for_the_status() {
    let mut house = House::new(true, 4);
    let line = house.line("good.test", "1", "17.0.14");
    house.push(line, "a");
    house.push(line, "b");
    house.run("posted", |house| {
        house.heard("good.test").concat().contains(&"b".to_owned()) || {
            house.status(line, &["a"]);
            false
        }
    });
    house.status(line, &["a", "b"]);
    house.run("both confirmed", |house| house.queued() == 0);

    // A portal of a version that sends none is confirmed by its reply.
    let newer = house.line("new.test", "1", "23.100.0");
    house.push(newer, "c");
    house.run("confirmed by the reply", |house| house.queued() == 0);

    // And one that owes it and never sends it is blocked after the time-out.
    house.push(line, "silent");
    house.run("answered", |house| house.heard("good.test").concat().contains(&"silent".to_owned()));
    house.run("in flight until the status", |house| house.sender.in_flight() == 1);
    house.clock.advance(Duration::from_secs(91));
    house.attempts(line, 1);
    assert_eq!(house.queued(), 1);
}
