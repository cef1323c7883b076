//! The outbox, complete (design §7), on a manual clock with a channel made of a script: one test for each rule. Every
//! look at the sums checks promise 4.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use trunkline::channels::{
    ConnectInfo, Connector, Factory, Field, HookAnswer, Pace, Rejected, Scope, SendError, Step, TestError, Verified,
    Virtual, Webhook,
};
use trunkline::clock::{Clock, ManualClock, UnixMillis};
use trunkline::dispatcher::{self, Dispatcher, Event};
use trunkline::ids::LineId;
use trunkline::message::{Body, ChatRecord, Notice, Outgoing, OutgoingKind, PortalRef, Progress, Received};
use trunkline::outbox::{self, Lane};
use trunkline::portals::boxed;
use trunkline::queue::{self, body, dead};
use trunkline::records::{LineState, Settings};
use trunkline::registry;
use trunkline::sender;
use trunkline::store::counters::{self, Accounting};
use trunkline::store::directory::{self, NewPortal};
use trunkline::store::writer::WriterThread;
use trunkline::store::{Store, Writer};

use crate::support::until;

const START: UnixMillis = UnixMillis(1_500_000_000_000);
const TTL: Duration = Duration::from_hours(24);
const WAIT: Duration = Duration::from_secs(5);

type Reply = Result<Step, SendError>;

/// One call as the channel saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Heard {
    at: Duration,
    chat: String,
    text: String,
    part: usize,
    secret: String,
}

/// A channel that answers each chat as its script says, and well when it says nothing.
#[derive(Debug)]
struct Channel {
    clock: Arc<ManualClock>,
    scripts: Mutex<HashMap<String, VecDeque<Reply>>>,
    heard: Mutex<Vec<Heard>>,
    /// Whoever calls waits for a word, while there is somebody to give it.
    hold: Mutex<Option<crossbeam_channel::Receiver<()>>>,
}

const PACES: &[Pace] = &[
    Pace { scope: Scope::Chat, calls: 3, per: Duration::from_secs(1) },
    Pace { scope: Scope::Bot, calls: 5, per: Duration::from_secs(10) },
];

const ROWS: &[Virtual] = &[
    Virtual { id: "fake.free", title: "Free", edit: true, delete: true, group: false, text_max_units: 1000, pace: &[] },
    Virtual {
        id: "fake.paced",
        title: "Paced",
        edit: true,
        delete: true,
        group: false,
        text_max_units: 1000,
        pace: PACES,
    },
];

impl Connector for Channel {
    fn name(&self) -> &'static str {
        "fake"
    }
    fn title(&self) -> &'static str {
        "Fake"
    }
    fn fields(&self) -> &'static [Field] {
        &[]
    }
    fn virtuals(&self) -> &'static [Virtual] {
        ROWS
    }
    fn entity(&self, _: &Settings) -> Option<String> {
        Some("bot".into())
    }
    fn check(&self, _: &Settings) -> Result<(), TestError> {
        Ok(())
    }
    fn verify(&self, _: &Webhook<'_>, _: &Settings) -> Result<Verified, Rejected> {
        Err(Rejected::Forbidden("not here"))
    }
    fn receive(&self, _: &Verified, _: &Settings) -> Result<Received, Rejected> {
        Ok(Received::default())
    }
    fn answer(&self, _: &Verified) -> HookAnswer {
        HookAnswer { status: 200, body: vec![] }
    }
    fn send(
        &self,
        settings: &Settings,
        _: Option<&str>,
        message: &Outgoing,
        _: &dyn Fn(&str) -> Option<String>,
        progress: &mut Progress,
    ) -> Reply {
        let text = match &message.kind {
            OutgoingKind::Send { text, .. } | OutgoingKind::Update { text, .. } => text.clone(),
            OutgoingKind::Delete { id } => format!("delete {id}"),
            OutgoingKind::Typing => "typing".into(),
        };
        let chat = message.chat.clone();
        self.heard.lock().unwrap().push(Heard {
            at: self.clock.now().since(START),
            chat: chat.clone(),
            text,
            part: progress.parts,
            secret: settings.get("secret").unwrap_or_default().to_owned(),
        });
        let hold = self.hold.lock().unwrap().clone();
        if let Some(hold) = hold {
            let _ = hold.recv();
        }
        let reply = self.scripts.lock().unwrap().get_mut(&chat).and_then(VecDeque::pop_front);
        let reply = reply.unwrap_or(Ok(Step::Done));
        if reply.is_ok() {
            progress.parts += 1;
            progress.unknown = 0;
            progress.ids.push(format!("id-{}", progress.parts));
        }
        reply
    }
    fn test(&self, _: &Settings) -> Result<(), TestError> {
        Ok(())
    }
    fn info(&self, _: &Settings) -> ConnectInfo {
        ConnectInfo::default()
    }
}

fn retry(after: Option<u64>) -> Reply {
    let after = after.map(Duration::from_secs);
    Err(SendError::Retry { why: "the channel answered 503".into(), after, ambiguous: false })
}

fn unknown() -> Reply {
    Err(SendError::Retry { why: "no answer within 30 s".into(), after: None, ambiguous: true })
}

fn permanent() -> Reply {
    Err(SendError::Permanent { code: "BLOCKED", why: "the channel answered 403".into() })
}

fn auth() -> Reply {
    Err(SendError::Auth { why: "the secret is wrong".into() })
}

struct House {
    _folder: tempfile::TempDir,
    store: Store,
    writer: Writer,
    thread: Option<WriterThread>,
    clock: Arc<ManualClock>,
    channel: Arc<Channel>,
    dispatcher: Dispatcher,
    bell: dispatcher::Bell,
    /// The sender's ear: nobody listens, but the channel must not be closed.
    _sender: sender::Ear,
    workers: usize,
    said: usize,
}

fn start(
    store: &Store,
    writer: &Writer,
    clock: &Arc<ManualClock>,
    channel: &Arc<Channel>,
    workers: usize,
) -> (Dispatcher, dispatcher::Bell, sender::Ear) {
    let (bell, events) = dispatcher::channel();
    let (sender, ear) = sender::channel();
    let factory = Arc::new(Factory::of(vec![channel.clone()]));
    let parts =
        dispatcher::Parts { store: store.clone(), writer: writer.clone(), clock: clock.clone(), factory, sender };
    let options = dispatcher::Options { ttl: TTL, workers, notify: true };
    (Dispatcher::new(parts, options, bell.clone(), events).unwrap(), bell, ear)
}

impl House {
    fn new() -> Self {
        Self::with_workers(8)
    }

    fn with_workers(workers: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let clock = Arc::new(ManualClock::at(START));
        let (writer, thread) = Writer::start(store.writing().unwrap(), clock.clone(), || ()).unwrap();
        let channel = Arc::new(Channel {
            clock: clock.clone(),
            scripts: Mutex::default(),
            heard: Mutex::default(),
            hold: Mutex::default(),
        });
        let (dispatcher, bell, ear) = start(&store, &writer, &clock, &channel, workers);
        Self {
            _folder: folder,
            store,
            writer,
            thread: Some(thread),
            clock,
            channel,
            dispatcher,
            bell,
            _sender: ear,
            workers,
            said: 0,
        }
    }

    /// Forgets everything that is not in the database.
    fn restart(&mut self) {
        let (dispatcher, bell, ear) = start(&self.store, &self.writer, &self.clock, &self.channel, self.workers);
        (self.dispatcher, self.bell, self._sender) = (dispatcher, bell, ear);
    }

    fn line(&self, number: &str) -> LineId {
        let number = number.to_owned();
        self.write(move |tx| {
            let portal = match directory::portal_by_name(tx.db(), "office")? {
                Some(portal) => portal.id,
                None => {
                    let new = NewPortal {
                        name: "office".into(),
                        protocol: "box",
                        url: "https://portal.test".into(),
                        licence: "licence".into(),
                        key: boxed::key_md5("TEST-LICENCE-KEY-0001"),
                    };
                    directory::add_portal(tx.db(), &new, tx.now)?
                }
            };
            let line = directory::ensure_line(tx, portal, "fake", &number, &registry::new_hash())?.id;
            directory::save_settings(tx, line, &secret("old"), Some(&format!("bot {number}")))?;
            Ok(line)
        })
    }

    fn write<T: Send + 'static>(
        &self,
        work: impl Fn(&mut trunkline::store::Tx<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> T {
        self.writer.write(WAIT, work).unwrap()
    }

    fn save(&self, line: LineId, value: &str) {
        let settings = secret(value);
        self.write(move |tx| directory::save_settings(tx, line, &settings, Some("bot 1")));
    }

    /// An operator's command.
    fn order(&mut self, line: LineId, connector: &str, chat: &str, kind: OutgoingKind) {
        self.said += 1;
        let message = Outgoing {
            connector: connector.into(),
            chat: chat.into(),
            im: PortalRef { chat_id: "113".into(), message_id: self.said.to_string() },
            kind,
            service_url: None,
        };
        self.write(move |tx| outbox::push(tx, line, &message));
        self.bell.wake(Lane { line, chat: chat.into() });
    }

    fn say(&mut self, line: LineId, chat: &str, text: &str) {
        self.order(line, "fake.free", chat, OutgoingKind::Send { text: text.into(), files: vec![] });
    }

    fn script(&self, chat: &str, replies: impl IntoIterator<Item = Reply>) {
        self.channel.scripts.lock().unwrap().entry(chat.into()).or_default().extend(replies);
    }

    fn settle(&mut self) {
        assert!(self.dispatcher.settle().unwrap(), "the dispatcher is not quiet");
        self.sums();
    }

    /// Moves the clock, stopping at every timer.
    fn pass(&mut self, by: Duration) {
        let end = self.clock.now().plus(by);
        self.settle();
        while let Some(at) = self.dispatcher.next_timer().filter(|at| *at <= end) {
            self.clock.set(at.max(self.clock.now()));
            self.settle();
        }
        self.clock.set(end);
        self.settle();
    }

    fn sums(&self) -> Accounting {
        let sums = counters::accounting(&self.store.reading().unwrap()).unwrap();
        assert_eq!(sums.difference(), 0, "promise 4: {sums:?}");
        sums
    }

    /// What waits for the channel.
    fn waiting(&self) -> i64 {
        self.sums().outbox
    }

    fn heard(&self) -> Vec<Heard> {
        self.channel.heard.lock().unwrap().clone()
    }

    fn texts(&self, chat: &str) -> Vec<String> {
        self.heard().into_iter().filter(|heard| heard.chat == chat).map(|heard| heard.text).collect()
    }

    /// When the calls of a chat were made.
    fn times(&self, chat: &str) -> Vec<Duration> {
        self.heard().into_iter().filter(|heard| heard.chat == chat).map(|heard| heard.at).collect()
    }

    /// Reason and sentence of every dead letter.
    fn dead(&self) -> Vec<(String, String)> {
        let letters = dead::list(&self.store.reading().unwrap(), 1000).unwrap();
        letters.into_iter().map(|letter| (letter.reason, letter.error)).collect()
    }

    /// What the portal is told.
    fn notices(&self) -> Vec<Notice> {
        let rows = queue::list(&self.store.reading().unwrap(), None, 1000).unwrap();
        let bodies = rows.into_iter().map(|listed| body::decode(&listed.row.body).unwrap());
        bodies
            .map(|body| match body {
                Body::Notice(notice) => notice,
                Body::Message(_) => panic!("no customer has written"),
            })
            .collect()
    }

    /// Code and sentence of every failure that the portal is told.
    fn failures(&self) -> Vec<(String, String)> {
        let failures = self.notices().into_iter().filter_map(|notice| match notice {
            Notice::Failed { code, text, .. } => Some((code, text)),
            _ => None,
        });
        failures.collect()
    }

    fn state(&self, line: LineId) -> LineState {
        directory::line_by_id(&self.store.reading().unwrap(), line).unwrap().unwrap().state
    }

    fn attempts(&self, line: LineId, chat: &str) -> u32 {
        let lane = Lane { line, chat: chat.into() };
        outbox::head(&self.store.reading().unwrap(), &lane).unwrap().unwrap().attempts
    }
}

impl Drop for House {
    fn drop(&mut self) {
        // Whoever is held must not hold up the end of a test.
        *self.channel.hold.lock().unwrap() = None;
        if let Some(thread) = self.thread.take() {
            thread.stop();
        }
    }
}

fn secret(value: &str) -> Settings {
    Settings::from_pairs([("secret".to_owned(), value.to_owned())])
}

#[test]
fn a_chats_messages_leave_in_order_and_no_chat_waits_for_another() {
    let mut house = House::new();
    let line = house.line("1");
    house.script("slow", [retry(Some(60))]);
    for number in 0..5 {
        house.say(line, "slow", &format!("s{number}"));
        house.say(line, "quick", &format!("q{number}"));
    }
    house.settle();
    assert_eq!(house.texts("quick"), ["q0", "q1", "q2", "q3", "q4"]);
    assert_eq!(house.texts("slow"), ["s0"], "nothing overtakes the head of a chat");
    house.pass(Duration::from_mins(1));
    assert_eq!(house.texts("slow"), ["s0", "s0", "s1", "s2", "s3", "s4"]);
    assert_eq!((house.waiting(), house.notices().len()), (0, 10));
}

/// `Retry-After` is the channel's own wish: kept, and not counted as a failed try.
#[test]
fn a_wished_wait_is_kept_and_spends_nothing() {
    let mut house = House::new();
    let line = house.line("1");
    house.script("c", [retry(Some(17)), retry(Some(0)), retry(None), retry(None)]);
    house.say(line, "c", "m");
    house.settle();
    assert_eq!(house.attempts(line, "c"), 0);
    house.pass(Duration::from_secs(17));
    assert_eq!((house.times("c").len(), house.attempts(line, "c")), (2, 0));
    house.pass(Duration::from_secs(1));
    assert_eq!((house.times("c").len(), house.attempts(line, "c")), (3, 1), "a wish of nothing is a second");
    house.pass(Duration::from_mins(1));
    let times = house.times("c");
    let waits: Vec<u64> = times.windows(2).map(|pair| (pair[1] - pair[0]).as_millis().try_into().unwrap()).collect();
    assert_eq!(waits[..2], [17_000, 1_000]);
    assert!((2_000..=2_500).contains(&waits[2]) && (4_000..=5_000).contains(&waits[3]), "{waits:?}");
    assert_eq!(house.waiting(), 0);
}

/// A channel that is away is waited for until the message's time is over, and not a moment longer.
#[test]
fn a_message_dies_when_its_time_is_over() {
    let mut house = House::new();
    let line = house.line("1");
    house.script("away", std::iter::repeat_with(|| retry(None)).take(1000));
    house.script("wish", [retry(Some(1_000_000))]);
    house.say(line, "away", "a");
    house.say(line, "wish", "w");
    house.pass(Duration::from_hours(1));
    house.say(line, "wish", "later");
    house.pass(Duration::from_hours(23) - Duration::from_millis(1));
    assert_eq!(house.waiting(), 3);
    house.pass(Duration::from_millis(1));
    assert_eq!(house.waiting(), 0, "the one behind has had its turn at once");
    assert_eq!(house.texts("wish"), ["w", "later"]);
    let reasons: Vec<String> = house.dead().into_iter().map(|(reason, _)| reason).collect();
    assert_eq!(reasons, ["too_old", "too_old"]);
    assert_eq!(house.failures().iter().filter(|(code, _)| code == "TOO_OLD").count(), 2, "the operator is told");
    let tries = house.times("away").len();
    assert!((120..160).contains(&tries), "{tries} tries: 2 s growing to 10 min");
}

/// `botframework.md` §4.2: a try of unknown outcome may have shown the message, so it is repeated a few times only.
#[test]
fn unknown_outcomes_are_repeated_a_few_times_only() {
    let mut house = House::new();
    let line = house.line("1");
    house.script("c", std::iter::repeat_with(unknown).take(100));
    house.say(line, "c", "m");
    house.pass(Duration::from_hours(1));
    assert_eq!(house.texts("c").len(), 4);
    let [(reason, why)] = &house.dead()[..] else { panic!("{:?}", house.dead()) };
    assert!(reason == "unknown_outcome" && why.contains("4 tries") && why.contains("may have been delivered"), "{why}");
    let [(code, told)] = &house.failures()[..] else { panic!("{:?}", house.failures()) };
    assert_eq!((code.as_str(), told), ("OUTCOME_UNKNOWN", why));

    // A clear answer in between does not make it forget, nor does a restart.
    house.script("d", [unknown(), retry(None), unknown(), retry(None)]);
    house.say(line, "d", "n");
    house.pass(Duration::from_secs(20));
    house.script("d", [unknown(), unknown()]);
    house.restart();
    house.pass(Duration::from_hours(1));
    assert_eq!(house.dead().len(), 2);

    // One that arrives after all is counted: the customer may see it twice.
    house.script("e", [unknown()]);
    house.say(line, "e", "o");
    house.pass(Duration::from_mins(1));
    let rows = counters::all(&house.store.reading().unwrap()).unwrap();
    let twice = rows.iter().find(|row| row.name == "maybe_twice" && row.direction == "out").unwrap();
    assert_eq!((twice.value, house.waiting()), (1, 0));
}

#[test]
fn a_refusal_for_good_is_told_and_the_chat_goes_on() {
    let mut house = House::new();
    let line = house.line("1");
    house.script("c", [Ok(Step::More), permanent()]);
    house.say(line, "c", "bad");
    house.say(line, "c", "good");
    house.settle();
    assert_eq!(house.texts("c"), ["bad", "bad", "good"]);
    let why = "the channel answered 403; a part of the message has arrived".to_owned();
    assert_eq!(house.dead(), [("permanent".to_owned(), why.clone())]);
    assert_eq!(house.failures(), [("BLOCKED".to_owned(), why)]);
    house.script("c", [permanent()]);
    house.order(line, "fake.free", "c", OutgoingKind::Delete { id: "x".into() });
    house.settle();
    let deleting = house.notices().into_iter().any(|notice| matches!(notice, Notice::Failed { deleting: true, .. }));
    assert!(deleting, "the operator learns that it was the deletion");
}

/// An operator whose deletion failed sees the message again, and may delete it once more; a deletion that is on its way
/// or was carried out is a repeat.
#[test]
fn a_deletion_that_failed_may_be_asked_for_again() {
    let mut house = House::new();
    let line = house.line("1");
    let delete = |house: &mut House, replies: Vec<Reply>| {
        house.script("c", replies);
        // The same message of the portal each time.
        house.said = 7;
        house.order(line, "fake.free", "c", OutgoingKind::Delete { id: "x".into() });
        house.settle();
        house.texts("c").len()
    };
    assert_eq!(delete(&mut house, vec![permanent()]), 1);
    assert_eq!(delete(&mut house, vec![]), 2, "it goes out again");
    assert_eq!(delete(&mut house, vec![]), 2, "it was carried out: a repeat");
}

/// Refused credentials stop the line, not its messages; the portal is told once; new settings let all go on in order.
#[test]
fn a_broken_line_waits_for_new_settings() {
    let mut house = House::with_workers(1);
    let line = house.line("1");
    let other = house.line("2");
    house.script("a", [auth()]);
    house.script("b", [auth()]);
    for text in ["a0", "a1"] {
        house.say(line, "a", text);
    }
    house.say(line, "b", "b0");
    house.settle();
    assert_eq!(house.state(line), LineState::Broken);
    house.say(line, "c", "c0");
    house.say(other, "z", "z0");
    house.pass(Duration::from_hours(1));
    assert_eq!(house.heard().len(), 2, "one call was enough, and the other line works: {:?}", house.heard());
    let told = "the secret is wrong; the message waits for new settings";
    assert_eq!(house.failures(), [("CREDENTIALS_REFUSED".to_owned(), told.to_owned())]);

    house.channel.scripts.lock().unwrap().clear();
    house.save(line, "new");
    house.bell.tell(Event::Changed);
    house.settle();
    assert_eq!((house.waiting(), house.state(line)), (0, LineState::Active));
    assert_eq!(house.texts("a")[1..], ["a0", "a1"]);
    assert!(house.heard()[2..].iter().all(|heard| heard.secret == "new"));

    // The next breakdown is told again.
    house.script("a", [auth()]);
    house.say(line, "a", "a2");
    house.settle();
    assert_eq!(house.failures().len(), 2);
    // A test that succeeds, or another process, mends it with the same settings.
    house.write(move |tx| directory::mend(tx, line));
    house.bell.tell(Event::Changed);
    house.settle();
    assert_eq!((house.waiting(), house.state(line)), (0, LineState::Active));
}

/// One breakdown is one notice, also when several calls were under way, and after a restart.
#[test]
fn a_breakdown_is_told_once() {
    let mut house = House::with_workers(16);
    let line = house.line("1");
    let (release, hold) = crossbeam_channel::unbounded();
    *house.channel.hold.lock().unwrap() = Some(hold);
    for chat in ["a", "b", "c", "d"] {
        house.script(chat, [auth(), auth()]);
        house.say(line, chat, "m");
    }
    until("four calls", WAIT, || {
        house.dispatcher.step().unwrap();
        house.heard().len() == 4
    });
    drop(release);
    house.settle();
    assert_eq!((house.failures().len(), house.waiting()), (1, 4));
    house.restart();
    house.pass(Duration::from_hours(1));
    assert_eq!((house.failures().len(), house.heard().len()), (1, 4), "a broken line is still broken");
}

/// Settings that were replaced while their call was under way do not break the line.
#[test]
fn a_refusal_of_old_settings_breaks_nothing() {
    let mut house = House::new();
    let line = house.line("1");
    let (release, hold) = crossbeam_channel::unbounded();
    *house.channel.hold.lock().unwrap() = Some(hold);
    house.script("c", [auth()]);
    house.say(line, "c", "m");
    until("the call", WAIT, || {
        house.dispatcher.step().unwrap();
        house.heard().len() == 1
    });
    house.save(line, "new");
    // The word of the change may come later than the answer.
    drop(release);
    house.settle();
    assert_eq!((house.state(line), house.waiting()), (LineState::Active, 0));
    let secrets: Vec<String> = house.heard().into_iter().map(|heard| heard.secret).collect();
    assert_eq!(secrets, ["old", "new"]);
    assert!(house.failures().is_empty());
}

/// The time of messages runs on while their line is broken or their chat waits.
#[test]
fn messages_of_a_broken_line_die_too() {
    let mut house = House::new();
    let line = house.line("1");
    house.script("a", [auth()]);
    house.say(line, "a", "a0");
    house.settle();
    for chat in ["a", "b"] {
        house.pass(Duration::from_hours(1));
        house.say(line, chat, "later");
    }
    house.restart();
    house.pass(Duration::from_hours(22) - Duration::from_millis(1));
    assert_eq!(house.waiting(), 3);
    for left in [2, 1, 0] {
        house.pass(Duration::from_millis(1));
        assert_eq!(house.waiting(), left);
        house.pass(Duration::from_hours(1) - Duration::from_millis(1));
    }
    assert!(
        house.dead().iter().all(|(reason, why)| reason == "too_old" && why.contains("credentials")),
        "{:?}",
        house.dead()
    );
    assert_eq!(house.failures().iter().filter(|(code, _)| code == "TOO_OLD").count(), 3);
}

/// A line may go while its message is on the way: whatever comes back changes nothing.
#[test]
fn a_line_goes_while_its_message_is_on_the_way() {
    for reply in [Ok(Step::Done), retry(None), permanent(), auth()] {
        for removed in [true, false] {
            let mut house = House::new();
            let line = house.line("1");
            let (release, hold) = crossbeam_channel::unbounded();
            *house.channel.hold.lock().unwrap() = Some(hold);
            house.script("c", [reply.clone()]);
            house.say(line, "c", "m");
            house.say(line, "c", "behind");
            until("the call", WAIT, || {
                house.dispatcher.step().unwrap();
                house.heard().len() == 1
            });
            if removed {
                registry::remove(&house.writer, WAIT, line, "test").unwrap();
            } else {
                house.write(move |tx| directory::retire_line(tx, line));
            }
            drop(release);
            house.bell.tell(Event::Changed);
            house.settle();
            assert_eq!(house.heard().len(), 1, "{reply:?}");
            if removed {
                let sums = house.sums();
                assert_eq!((sums.outbox, sums.dead), (0, 2), "{reply:?}");
                assert!(house.notices().is_empty(), "nobody is there to be told");
            } else {
                assert_eq!(house.state(line), LineState::TakenOver, "{reply:?}");
                assert!(house.failures().iter().all(|(code, _)| code != "CREDENTIALS_REFUSED"));
            }
        }
    }
}

/// The channel has the message and the disk refuses to say so: it is written later, not sent again.
#[test]
fn a_store_that_refuses_makes_no_message_twice() {
    let mut house = House::new();
    let line = house.line("1");
    house.say(line, "c", "m");
    house.say(line, "c", "n");
    let refuse = "create trigger refuse before delete on outbox begin select raise(abort, 'no'); end";
    house.write(move |tx| tx.db().execute_batch(refuse));
    house.settle();
    house.pass(Duration::from_mins(1));
    assert_eq!((house.texts("c"), house.waiting()), (vec!["m".to_owned()], 2));
    house.write(|tx| tx.db().execute_batch("drop trigger refuse"));
    house.pass(Duration::from_mins(1));
    assert_eq!((house.texts("c"), house.waiting()), (vec!["m".to_owned(), "n".to_owned()], 0));
    assert_eq!(house.notices().len(), 2);
}

/// A long message goes on where it stopped, also after a crash between two parts.
#[test]
fn parts_that_have_left_are_not_repeated() {
    let mut house = House::new();
    let line = house.line("1");
    house.script("c", [Ok(Step::More), Ok(Step::More), retry(None), Ok(Step::More), retry(Some(60))]);
    house.say(line, "c", "long");
    house.pass(Duration::from_secs(3));
    let parts = |house: &House| house.heard().iter().map(|heard| heard.part).collect::<Vec<_>>();
    assert_eq!(parts(&house), [0, 1, 2, 2, 3]);
    house.restart();
    house.pass(Duration::from_mins(1));
    assert_eq!(parts(&house), [0, 1, 2, 2, 3, 3]);
    let ids = ["id-1", "id-2", "id-3", "id-4"].map(str::to_owned).to_vec();
    assert!(matches!(&house.notices()[..], [Notice::Delivered { ids: told, .. }] if *told == ids));
}

/// The connector's table holds the pace: three calls a second into a chat, five in ten seconds for the bot.
#[test]
fn a_bot_keeps_its_pace() {
    let mut house = House::new();
    let line = house.line("1");
    let (free, paced) = ("fake.free", "fake.paced");
    for number in 0..7 {
        house.order(line, paced, "p", OutgoingKind::Send { text: number.to_string(), files: vec![] });
        house.order(line, free, "f", OutgoingKind::Send { text: number.to_string(), files: vec![] });
    }
    house.settle();
    assert_eq!((house.times("p").len(), house.times("f").len()), (3, 7));
    assert_eq!(house.attempts(line, "p"), 0, "waiting for the pace is no failed try");
    house.pass(Duration::from_secs(30));
    let millis: Vec<u128> = house.times("p").iter().map(Duration::as_millis).collect();
    assert_eq!(millis, [0, 0, 0, 1_001, 1_001, 10_001, 10_001]);
    assert_eq!(house.texts("p"), ["0", "1", "2", "3", "4", "5", "6"]);
}

/// The parts of a long message are calls like any other.
#[test]
fn a_long_message_keeps_the_pace_too() {
    let mut house = House::new();
    let line = house.line("1");
    house.script("p", std::iter::repeat_with(|| Ok(Step::More)).take(4));
    house.order(line, "fake.paced", "p", OutgoingKind::Send { text: "long".into(), files: vec![] });
    house.pass(Duration::from_secs(30));
    let millis: Vec<u128> = house.times("p").iter().map(Duration::as_millis).collect();
    assert_eq!(millis, [0, 0, 0, 1_001, 1_001]);
}

/// An indicator that comes late would lie, and nobody misses it.
#[test]
fn typing_is_never_late_and_never_a_dead_letter() {
    let mut house = House::new();
    let line = house.line("1");
    house.order(line, "fake.free", "c", OutgoingKind::Typing);
    house.script("c", [permanent()]);
    house.settle();
    assert_eq!(house.texts("c"), ["typing"]);
    house.script("d", [retry(Some(6))]);
    house.say(line, "d", "m");
    house.order(line, "fake.free", "d", OutgoingKind::Typing);
    house.pass(Duration::from_secs(10));
    assert_eq!(house.texts("d"), ["m", "m"]);
    house.script("e", [auth()]);
    house.say(line, "e", "m");
    house.settle();
    house.order(line, "fake.free", "f", OutgoingKind::Typing);
    house.settle();
    assert_eq!((house.texts("f").len(), house.waiting()), (0, 1), "a broken line has no indicators");
    assert!(house.dead().is_empty());
}

/// A message that the channel gave no id is sent, and can be neither changed nor withdrawn.
#[test]
fn a_message_without_an_id_cannot_be_changed() {
    let mut house = House::new();
    let line = house.line("1");
    let own = || "trunkline-5".to_owned();
    house.order(line, "fake.free", "c", OutgoingKind::Update { ids: vec![own()], text: "new".into() });
    house.order(line, "fake.free", "c", OutgoingKind::Delete { id: own() });
    house.order(line, "fake.free", "c", OutgoingKind::Update { ids: vec!["x".into()], text: "good".into() });
    house.settle();
    assert_eq!(house.texts("c"), ["good"]);
    let codes: Vec<String> = house.failures().into_iter().map(|(code, _)| code).collect();
    assert_eq!(codes, ["NO_ID", "NO_ID"]);
    // The edit has other parts now than the portal knows.
    let told = house.notices().into_iter().find_map(|notice| match notice {
        Notice::Delivered { ids, .. } => Some(ids),
        _ => None,
    });
    assert_eq!(told, Some(vec!["id-1".to_owned()]));
}

/// The bot was removed from the chat: the operator is told at once, and nobody is called.
#[test]
fn a_closed_chat_takes_nothing() {
    let mut house = House::new();
    let line = house.line("1");
    let record = |closed: bool| ChatRecord {
        chat: "c".into(),
        connector: "fake.free".into(),
        data: "{}".into(),
        closed,
        by_customer: true,
    };
    house.write(move |tx| directory::put_chat(tx, line, &record(true)));
    house.say(line, "c", "m");
    house.settle();
    assert!(house.heard().is_empty());
    assert_eq!(house.failures()[0].0, "CHAT_CLOSED");
    house.write(move |tx| directory::put_chat(tx, line, &record(false)));
    house.say(line, "c", "n");
    house.settle();
    assert_eq!(house.texts("c"), ["n"], "he is back");
}

/// Promise 3 for the other direction: a channel that hangs leaves workers for other bots, and its own chats follow one
/// after another as workers come back.
#[test]
fn a_slow_channel_leaves_room_for_others() {
    let mut house = House::with_workers(8);
    let (slow, quick) = (house.line("1"), house.line("2"));
    let (release, hold) = crossbeam_channel::unbounded();
    *house.channel.hold.lock().unwrap() = Some(hold);
    for number in 0..20 {
        house.say(slow, &format!("s{number}"), "m");
    }
    until("two calls", WAIT, || {
        house.dispatcher.step().unwrap();
        house.heard().len() == 2
    });
    *house.channel.hold.lock().unwrap() = None;
    house.say(quick, "q", "m");
    until("the other bot's call", WAIT, || {
        house.dispatcher.step().unwrap();
        !house.texts("q").is_empty()
    });
    assert_eq!(house.heard().len(), 3, "a quarter of the workers each");
    drop(release);
    house.settle();
    assert_eq!((house.heard().len(), house.waiting()), (21, 0));
}

/// A start finds what waits, and what it waits for.
#[test]
fn a_restart_forgets_nothing() {
    let mut house = House::new();
    let line = house.line("1");
    house.script("c", [retry(Some(60))]);
    house.say(line, "c", "m");
    house.settle();
    house.restart();
    house.pass(Duration::from_secs(59));
    assert_eq!(house.heard().len(), 1, "the wished wait holds");
    house.pass(Duration::from_secs(1));
    assert_eq!((house.heard().len(), house.waiting()), (2, 0));
}

/// `trunkline line test` mends a broken line, as the portal's own test does.
#[test]
fn a_test_that_succeeds_mends_the_line() {
    let place = crate::support::program::Place::new(crate::commands::OFF);
    let (id, _) = place.connect("office", "https://portal.test", "11111111-2222-3333-4444-555555555555");
    let store = Store::open(&place.path("data")).unwrap();
    let state = || place.json(&["line", "show", &id.to_string()])["state"].as_str().unwrap().to_owned();
    store.writing().unwrap().execute("update lines set state = 'broken'", []).unwrap();
    assert_eq!(state(), "broken");
    assert!(place.run(&["line", "test", &id.to_string()]).contains("in use again"));
    assert_eq!(state(), "active");
}
