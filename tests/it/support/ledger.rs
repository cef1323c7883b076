//! A house under siege: customers' messages in and operators' messages out, through servers that die again and again,
//! and a ledger of what was acknowledged, held against what the far ends received.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use trunkline::portals::boxed::php::Value;
use trunkline::portals::boxed::portal_side::Identity;

use super::far_end::{self, FarEnd};
use super::http::{Answer, Client};
use super::portal::{Ear, marks_of};
use super::program::{LICENCE_KEY, Place, Server};
use super::{Random, until};

/// Chats that both sides write into; each is a lane of its own on the way out.
pub const CHATS: u64 = 3;
/// `queue.packet_max_messages`: what one post may hold.
pub const PACKET: usize = 10;
/// Ids of operators' messages are this much above their numbers, so that a status names one and nothing else.
const OUT: u64 = 7_000_000;
pub const OFF: &str = "[bot_framework]\nauthentication = \"off\"\n[network]\nallow = [\"127.0.0.0/8\"]\n";

/// One direction's numbers.
#[derive(Debug, Default)]
pub struct Way {
    next: AtomicU64,
    /// Answered OK: these must arrive.
    pub acknowledged: Mutex<BTreeSet<u64>>,
    /// Sent, and no answer or a refusal came: they may have been stored.
    unanswered: Mutex<Vec<u64>>,
}

impl Way {
    /// A new number, or one whose sender got no answer and tries again, as platforms and portals do.
    fn number(&self) -> u64 {
        let again = self.unanswered.lock().unwrap().pop();
        again.unwrap_or_else(|| self.next.fetch_add(1, Ordering::SeqCst))
    }

    fn note(&self, number: u64, acknowledged: bool) {
        if acknowledged {
            self.acknowledged.lock().unwrap().insert(number);
        } else {
            self.unanswered.lock().unwrap().push(number);
        }
    }

    fn acknowledged(&self) -> u64 {
        self.acknowledged.lock().unwrap().len() as u64
    }
}

/// How a server is to die.
#[derive(Debug)]
pub enum Blow {
    /// SIGKILL from outside once so many more messages were acknowledged.
    Random(u64),
    /// At a named step, by itself.
    Step(String),
}

/// The house.
#[derive(Debug)]
pub struct Ledger {
    pub place: Place,
    pub ear: Ear,
    channel: FarEnd,
    /// What the channel's service took, in order.
    sent: Arc<Mutex<Vec<u64>>>,
    portal: Identity,
    pub path: String,
    pub incoming: Arc<Way>,
    pub outgoing: Arc<Way>,
    /// How much each far end had received when a server died: portal's posts, channel's calls.
    deaths: Vec<(usize, usize)>,
}

impl Ledger {
    pub fn new() -> Self {
        Self::at(Place::new(OFF))
    }

    /// A connected line whose chats are known, so that operators can write.
    pub fn at(place: Place) -> Self {
        let ear = Ear::start();
        let sent: Arc<Mutex<Vec<u64>>> = Arc::default();
        let taken = sent.clone();
        let channel = FarEnd::start(move |body| {
            let body: serde_json::Value = serde_json::from_slice(body).ok()?;
            let number = body["text"].as_str()?.strip_prefix("out-")?.parse().ok()?;
            taken.lock().unwrap().push(number);
            Some(far_end::answer("201 Created", &format!("{{\"id\":\"sent-{number}\"}}")))
        });
        let (_, hash) = place.connect("office", &ear.url, "11111111-2222-3333-4444-555555555555");
        let ledger = Self {
            portal: Identity::new(LICENCE_KEY, &ear.url, "23.100.0"),
            path: format!("/imwebhook/?hash={hash}"),
            incoming: Arc::default(),
            outgoing: Arc::default(),
            deaths: Vec::new(),
            place,
            ear,
            channel,
            sent,
        };
        let server = ledger.place.serve();
        let mut client = Client::connect(&server.public).unwrap();
        for _ in 0..CHATS {
            assert!(ledger.customer().write(&mut client).is_ok());
        }
        ledger.settle(&server);
        drop(server);
        ledger
    }

    pub fn customer(&self) -> Customer {
        Customer { way: self.incoming.clone(), path: self.path.clone(), channel: self.channel.url.clone() }
    }

    pub fn operator(&self) -> Operator {
        Operator { way: self.outgoing.clone(), portal: self.portal.clone() }
    }

    /// How often the channel's service has taken the newest of operators' messages.
    pub fn sent_last(&self) -> usize {
        let last = self.outgoing.next.load(Ordering::SeqCst) - 1;
        self.sent.lock().unwrap().iter().filter(|number| **number == last).count()
    }

    /// One server under load until the blow falls.
    pub fn strike(&mut self, blow: &Blow) {
        let server = match blow {
            Blow::Random(_) => Some(self.place.serve()),
            Blow::Step(step) => self.place.serve_until(step),
        };
        if let Some(server) = server {
            self.under_load(server, blow);
        }
        self.died();
    }

    /// Notes that a server has died: what comes again after this is its repeat.
    pub fn died(&mut self) {
        // What the dead server had put on the wire still arrives.
        let far_ends = [self.ear.far_end.as_ref().unwrap(), &self.channel];
        until("quiet at the far ends", Duration::from_secs(10), || far_ends.iter().all(|end| end.is_quiet()));
        self.deaths.push((self.ear.heard.lock().unwrap().len(), self.sent.lock().unwrap().len()));
    }

    fn under_load(&self, server: Server, blow: &Blow) {
        let total = |ledger: &Self| ledger.incoming.acknowledged() + ledger.outgoing.acknowledged();
        let before = total(self);
        let stop = Arc::new(AtomicBool::new(false));
        let mut threads = Vec::new();
        for _ in 0..3 {
            let (customer, address, stop) = (self.customer(), server.public.clone(), stop.clone());
            threads.push(std::thread::spawn(move || {
                let Ok(mut client) = Client::connect(&address) else { return };
                while !stop.load(Ordering::Relaxed) && customer.write(&mut client).is_ok() {}
            }));
        }
        for _ in 0..2 {
            let (operator, address, stop) = (self.operator(), server.public.clone(), stop.clone());
            threads.push(std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) && operator.write(&address).is_ok() {}
            }));
        }
        match blow {
            Blow::Random(more) => {
                until("load", Duration::from_secs(30), || total(self) >= before + more);
                server.kill();
            }
            Blow::Step(step) => drop(server.ended(&format!("the step `{step}` is reached"))),
        }
        stop.store(true, Ordering::Relaxed);
        for thread in threads {
            thread.join().unwrap();
        }
    }

    /// Waits until a living server has nothing left to deliver.
    pub fn settle(&self, server: &Server) {
        until("queue and outbox to run empty", Duration::from_secs(60), || {
            server.metric("trunkline_queued") == 0.0 && server.metric("trunkline_outbox") == 0.0
        });
        assert_eq!(server.metric("trunkline_accounting_difference"), 0.0, "promise 4");
    }

    /// The end: a server that is left alone, and the books held against each other.
    pub fn balance(&self) -> Balance {
        let server = self.place.serve();
        self.balance_of(&server)
    }

    /// The same with a server that runs.
    pub fn balance_of(&self, server: &Server) -> Balance {
        self.settle(server);
        let heard = self.ear.heard.lock().unwrap();
        let incoming = arrivals(
            heard.iter().map(|data| marks_of(data, "in").collect()),
            self.deaths.iter().map(|death| death.0).collect(),
        );
        let statuses = arrivals(heard.iter().map(|data| statuses_of(data)), self.deaths.iter().map(|d| d.0).collect());
        let outgoing = arrivals(
            self.sent.lock().unwrap().iter().map(|number| vec![*number]),
            self.deaths.iter().map(|death| death.1).collect(),
        );
        assert_arrived("incoming", &self.incoming, &incoming);
        assert_arrived("outgoing", &self.outgoing, &outgoing);
        assert_arrived("status of outgoing", &self.outgoing, &statuses);
        // Every message was stored once: what was accepted is what is known by distinct numbers, repeats of senders
        // that got no answer included. A status is accepted for the portal like a message.
        let accepted = |direction: &str| {
            let labels = format!("connector=\"botframework.webchat\",direction=\"{direction}\",class=\"\"");
            server.metric_or_zero(&format!("trunkline_accepted_total{{{labels}}}"))
        };
        assert_eq!(accepted("in"), (incoming.len() + statuses.len()) as f64, "queued twice, or not delivered");
        assert_eq!(accepted("out"), outgoing.len() as f64, "in the outbox twice, or not delivered");
        Balance {
            acknowledged: (self.incoming.acknowledged(), self.outgoing.acknowledged()),
            incoming: repeats(&incoming),
            outgoing: repeats(&outgoing),
            statuses: repeats(&statuses),
        }
    }
}

/// Somebody who writes to the bot.
#[derive(Debug)]
pub struct Customer {
    way: Arc<Way>,
    path: String,
    channel: String,
}

impl Customer {
    /// Writes once; an error is a connection that broke before the answer.
    pub fn write(&self, client: &mut Client) -> std::io::Result<()> {
        let answer = self.ask(client)?;
        assert_eq!(answer.status, 200, "{}", answer.text());
        Ok(())
    }

    /// The same where a refusal is an answer too.
    pub fn ask(&self, client: &mut Client) -> std::io::Result<Answer> {
        let number = self.way.number();
        let body = crate::crash::activity(&format!("in-{number}"))
            .replace("http://127.0.0.1:9/", &format!("{}/", self.channel))
            .replace("conversation-1", &chat(number));
        let answer = client.post_json(&self.path, &body);
        self.way.note(number, answer.as_ref().is_ok_and(|answer| answer.status == 200));
        answer
    }
}

/// Somebody who answers from the portal.
#[derive(Debug)]
pub struct Operator {
    way: Arc<Way>,
    portal: Identity,
}

impl Operator {
    /// Writes once, as a portal that waits for the answer.
    pub fn write(&self, address: &str) -> std::io::Result<()> {
        let answer = self.ask(address)?;
        assert_eq!(answer.json()["OK"], true, "{}", answer.text());
        Ok(())
    }

    /// The same where a refusal is an answer too.
    pub fn ask(&self, address: &str) -> std::io::Result<Answer> {
        let number = self.way.number();
        let id = i64::try_from(OUT + number).unwrap();
        let content = Value::map([
            ("user_id", Value::Int(3)),
            ("text", Value::text(format!("out-{number}"))),
            ("files", Value::list([])),
            ("attachments", Value::list([])),
            ("params", Value::list([])),
        ]);
        let message = Value::map([
            ("im", Value::map([("chat_id", Value::Int(113)), ("message_id", Value::Int(id))])),
            ("message", content),
            ("chat", Value::map([("id", Value::text(chat(number)))])),
        ]);
        let body = self.portal.command("sendMessage", "botframework.webchat", Some("7"), vec![Value::list([message])]);
        let form = "Content-Type: application/x-www-form-urlencoded\r\n";
        let answer = Client::connect(address)
            .and_then(|mut client| client.request("POST", "/imwebhook/portal.php", form, body.as_bytes()));
        self.way.note(number, answer.as_ref().is_ok_and(|answer| answer.status == 200 && answer.json()["OK"] == true));
        answer
    }
}

fn chat(number: u64) -> String {
    format!("conversation-{}", number % CHATS)
}

/// Operators' messages whose delivery a post reports.
fn statuses_of(data: &str) -> Vec<u64> {
    let ids = data.split("\"message_id\";i:").skip(1);
    ids.filter_map(|part| part.split(';').next()?.parse::<u64>().ok()?.checked_sub(OUT)).collect()
}

/// In which life of the server each number arrived, in order; one entry for each arrival.
type Arrivals = BTreeMap<u64, Vec<usize>>;

fn arrivals(posts: impl Iterator<Item = Vec<u64>>, deaths: Vec<usize>) -> Arrivals {
    let mut arrivals = Arrivals::new();
    for (at, numbers) in posts.enumerate() {
        let life = deaths.iter().take_while(|death| **death <= at).count();
        for number in numbers {
            arrivals.entry(number).or_default().push(life);
        }
    }
    arrivals
}

fn assert_arrived(what: &str, way: &Way, arrivals: &Arrivals) {
    let acknowledged = way.acknowledged.lock().unwrap();
    let lost: Vec<_> = acknowledged.iter().filter(|number| !arrivals.contains_key(number)).collect();
    assert!(lost.is_empty(), "{what}: lost {lost:?} of {}", acknowledged.len());
}

/// What came more than once: for each death of a server, how many were repeated after it. The same message twice in one
/// life would be a fault of its own.
fn repeats(arrivals: &Arrivals) -> BTreeMap<usize, usize> {
    let mut by_death = BTreeMap::new();
    for (number, lives) in arrivals {
        for pair in lives.windows(2) {
            assert!(pair[0] < pair[1], "{number} came twice without a crash between: {lives:?}");
            *by_death.entry(pair[0]).or_default() += 1;
        }
    }
    by_death
}

/// What the books say in the end.
#[derive(Debug)]
pub struct Balance {
    /// Incoming, outgoing.
    pub acknowledged: (u64, u64),
    /// Repeats by the death that caused them.
    pub incoming: BTreeMap<usize, usize>,
    pub outgoing: BTreeMap<usize, usize>,
    pub statuses: BTreeMap<usize, usize>,
}

impl Balance {
    /// Repeats of one direction: in all, and after the worst death.
    pub fn sums(repeats: &BTreeMap<usize, usize>) -> (usize, usize) {
        (repeats.values().sum(), repeats.values().max().copied().unwrap_or(0))
    }
}

/// A passing of a step, somewhere among the first messages of a server's life.
pub fn passing(step: &str, random: &mut Random) -> Blow {
    Blow::Step(format!("{step}:{}", 1 + random.below(25)))
}
