//! What was acknowledged, held against what arrived. One entry of sixteen bytes for each message of either direction,
//! numbered from 0, so that an hour fits into a few megabytes.
//!
//! A far end says of each message when it came and how it was answered. Only a message whose last answer was not a clear
//! yes, or whose server was killed right after it, may come again; every other repeat is written down as a fault. Order
//! is judged among the first clear yeses of a chat: what a portal refused has not been told to anybody.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::support::histogram::Histogram;

/// A killed server may have had so much of its last seconds not on the disk; a repeat of anything older is a fault.
const BEFORE_KILL_SECS: f64 = 10.0;
/// An unheard command must arrive when its server lived on for at least that long.
const UNHEARD_SECS: f64 = 10.0;
/// Faults kept in words; all are counted.
const WORDS_MAX: usize = 40;
/// Ticks of a second in entries.
const TICKS: f64 = 10_000.0;

/// Where a message stands at its far end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stand {
    /// It has not come.
    #[default]
    Away,
    /// It came and has had no answer yet.
    Open,
    /// It was answered badly, or the answer did not get through.
    Doubt,
    /// Answered with a clear yes.
    Taken,
}

/// One message; times in ticks since the start, 0 for never.
#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    acknowledged: u32,
    /// First time at the far end.
    came: u32,
    /// Last clear yes.
    taken: u32,
    chat: u16,
    /// In which life of the server it came last.
    life: u8,
    stand: Stand,
}

/// How a life of the server ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Terminated,
    Killed,
}

/// One direction.
#[derive(Debug)]
struct Way {
    name: &'static str,
    entries: Vec<Entry>,
    /// The newest number of each chat that was taken.
    newest: Vec<u32>,
    /// Chats whose senders do not wait for an answer, so that their order is nobody's promise.
    unordered: Vec<bool>,
    sums: Sums,
}

/// What has been counted of one direction.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sums {
    pub acknowledged: u64,
    /// Distinct messages that came, taken or not.
    pub came: u64,
    /// Distinct messages that were taken.
    pub taken: u64,
    /// Came again after a bad or lost answer.
    pub again_after_doubt: u64,
    /// Came again after a kill.
    pub again_after_kill: u64,
}

/// Which direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    In = 0,
    Out = 1,
}

/// Since the last look.
#[derive(Clone, Debug, Default)]
pub struct Window {
    pub acknowledged: [u64; 2],
    pub taken: [u64; 2],
    /// Request to answer, of those answered 200.
    pub accept: Histogram,
    /// Acknowledged to first arrival.
    pub age: Histogram,
    /// The same where nothing was out of order lately.
    pub calm_age: Histogram,
    /// Requests that were refused or broke off.
    pub refused: u64,
}

impl Window {
    /// Adds a later one.
    pub fn absorb(&mut self, other: &Self) {
        for way in 0..2 {
            self.acknowledged[way] += other.acknowledged[way];
            self.taken[way] += other.taken[way];
        }
        self.accept.absorb(&other.accept);
        self.age.absorb(&other.age);
        self.calm_age.absorb(&other.calm_age);
        self.refused += other.refused;
    }
}

#[derive(Debug)]
struct Books {
    ways: [Way; 2],
    /// When each life ended; the last one goes on.
    ends: Vec<(f64, End)>,
    /// Operators' messages whose delivery the portal was told of.
    statuses: Vec<bool>,
    /// Operators' messages whose sender did not wait for the answer: number, when.
    unheard: Vec<(u32, f64)>,
    window: Window,
    faults: u64,
    words: Vec<String>,
    notices: Vec<String>,
}

/// The books of both directions, for all threads.
#[derive(Debug)]
pub struct Ledger {
    begin: Instant,
    books: Mutex<Books>,
}

/// What the books say in the end.
#[derive(Clone, Debug)]
pub struct Balance {
    pub incoming: Sums,
    pub outgoing: Sums,
    /// Acknowledged and never taken: first some of them.
    pub missing: Vec<String>,
    pub missing_count: u64,
    /// Operators' messages that left but whose delivery was never reported.
    pub statuses_missing: u64,
    /// Commands that nobody waited for: sent, and lost with a server that died right then.
    pub unheard: u64,
    pub unheard_lost: u64,
    pub faults: u64,
    pub words: Vec<String>,
    pub notices: Vec<String>,
}

impl Ledger {
    /// Empty books for so many chats.
    pub fn new(chats: usize) -> Self {
        let way = |name| Way {
            name,
            entries: Vec::new(),
            newest: vec![0; chats],
            unordered: vec![false; chats],
            sums: Sums::default(),
        };
        let books = Books {
            ways: [way("in"), way("out")],
            ends: Vec::new(),
            statuses: Vec::new(),
            unheard: Vec::new(),
            window: Window::default(),
            faults: 0,
            words: Vec::new(),
            notices: Vec::new(),
        };
        Self { begin: Instant::now(), books: Mutex::new(books) }
    }

    /// Seconds since the start.
    pub fn now(&self) -> f64 {
        self.begin.elapsed().as_secs_f64()
    }

    /// The start.
    pub fn begin(&self) -> Instant {
        self.begin
    }

    fn write<T>(&self, work: impl FnOnce(&mut Books, f64) -> T) -> T {
        let now = self.now();
        work(&mut self.books.lock().unwrap(), now)
    }

    /// The next number of a chat.
    pub fn number(&self, direction: Direction, chat: usize) -> u32 {
        self.write(|books, _| {
            if direction == Direction::Out {
                books.statuses.push(false);
            }
            let entries = &mut books.ways[direction as usize].entries;
            entries.push(Entry { chat: u16::try_from(chat).unwrap(), ..Entry::default() });
            u32::try_from(entries.len() - 1).unwrap()
        })
    }

    /// From now on the order of this chat's operators is not looked at.
    pub fn is_unordered(&self, direction: Direction, chat: usize) {
        self.write(|books, _| books.ways[direction as usize].unordered[chat] = true);
    }

    /// The server has answered 200; `took` where the time says something of the server.
    pub fn acknowledged(&self, direction: Direction, number: u32, took: impl Into<Option<Duration>>) {
        self.write(|books, now| {
            if let Some(took) = took.into() {
                books.window.accept.note(took);
            }
            books.acknowledge(direction, number, now);
        });
    }

    /// A command whose sender closes without listening.
    pub fn unheard(&self, number: u32) {
        self.write(|books, now| books.unheard.push((number, now)));
    }

    /// The request was refused or broke off.
    pub fn refused(&self) {
        self.write(|books, _| books.window.refused += 1);
    }

    /// These came to a far end in one call. `calm` when nothing there was out of order lately.
    pub fn came(&self, direction: Direction, numbers: &[u32], calm: bool) {
        self.write(|books, now| {
            for number in numbers {
                books.came(direction, *number, calm, now);
            }
        });
    }

    /// And were answered with a clear yes, or not.
    pub fn answered(&self, direction: Direction, numbers: &[u32], yes: bool) {
        self.write(|books, now| {
            for number in numbers {
                books.answered(direction, *number, yes, now);
            }
        });
    }

    /// A portal was told that these operators' messages have been delivered, and has said yes.
    pub fn statuses(&self, numbers: &[u32]) {
        self.write(|books, _| {
            for number in numbers {
                match books.statuses.get_mut(*number as usize) {
                    Some(told) => *told = true,
                    None => books.fault(format!("a status for out-{number}, which nobody wrote")),
                }
            }
        });
    }

    /// Something came that nobody sent, or came to the wrong place.
    pub fn stray(&self, what: String) {
        self.write(|books, _| books.fault(what));
    }

    /// A portal was told of a failure.
    pub fn notice(&self, what: String) {
        self.write(|books, _| {
            if books.notices.len() < WORDS_MAX {
                books.notices.push(what);
            }
        });
    }

    /// The server's life has ended, and all that it had said has been heard. `at` is when the blow fell.
    pub fn life_ended(&self, at: f64, end: End) {
        self.write(|books, _| books.ends.push((at, end)));
    }

    /// What has happened since the last look.
    pub fn window(&self) -> Window {
        self.write(|books, _| std::mem::take(&mut books.window))
    }

    /// The balance.
    pub fn balance(&self) -> Balance {
        self.write(|books, _| books.balance())
    }
}

fn ticks(seconds: f64) -> u32 {
    // Never 0, which stands for never.
    (seconds * TICKS) as u32 + 1
}

fn seconds(ticks: u32) -> f64 {
    f64::from(ticks - 1) / TICKS
}

impl Books {
    fn fault(&mut self, what: String) {
        self.faults += 1;
        if self.words.len() < WORDS_MAX {
            self.words.push(what);
        }
    }

    fn acknowledge(&mut self, direction: Direction, number: u32, now: f64) {
        let way = &mut self.ways[direction as usize];
        let entry = &mut way.entries[number as usize];
        if entry.acknowledged == 0 {
            entry.acknowledged = ticks(now);
            way.sums.acknowledged += 1;
            self.window.acknowledged[direction as usize] += 1;
            // It was quicker than its own acknowledgement.
            if entry.came > 0 {
                self.window.age.note(Duration::ZERO);
            }
        }
    }

    fn came(&mut self, direction: Direction, number: u32, calm: bool, now: f64) {
        let life = u8::try_from(self.ends.len()).unwrap();
        let way = &mut self.ways[direction as usize];
        let name = way.name;
        let Some(entry) = way.entries.get_mut(number as usize) else {
            return self.fault(format!("{name}-{number} came, which nobody sent"));
        };
        let before = *entry;
        (entry.life, entry.stand) = (life, Stand::Open);
        match before.stand {
            Stand::Away => {
                entry.came = ticks(now);
                way.sums.came += 1;
                if before.acknowledged > 0 {
                    let age = Duration::from_secs_f64((now - seconds(before.acknowledged)).max(0.0));
                    self.window.age.note(age);
                    if calm {
                        self.window.calm_age.note(age);
                    }
                }
            }
            Stand::Open | Stand::Doubt => way.sums.again_after_doubt += 1,
            Stand::Taken if before.life == life => {
                self.fault(format!(
                    "{name}-{number} came again at {now:.1} s though it was taken at {:.1} s, in the same life",
                    seconds(before.taken)
                ));
            }
            Stand::Taken => {
                let (end, how) = self.ends[usize::from(before.life)];
                let taken = seconds(before.taken);
                if how == End::Killed && end - taken < BEFORE_KILL_SECS {
                    way.sums.again_after_kill += 1;
                } else {
                    self.fault(format!(
                        "{name}-{number} came again at {now:.1} s though it was taken at {taken:.1} s, and its server was \
                         {how:?} at {end:.1} s"
                    ));
                }
            }
        }
    }

    fn answered(&mut self, direction: Direction, number: u32, yes: bool, now: f64) {
        let way = &mut self.ways[direction as usize];
        let Some(entry) = way.entries.get_mut(number as usize) else { return };
        if !yes {
            // A portal may have confirmed by a command of its own before its answer failed.
            if entry.stand == Stand::Open {
                entry.stand = Stand::Doubt;
            }
            return;
        }
        let first = entry.taken == 0;
        (entry.taken, entry.stand) = (ticks(now), Stand::Taken);
        if !first {
            return;
        }
        way.sums.taken += 1;
        self.window.taken[direction as usize] += 1;
        let chat = usize::from(entry.chat);
        let newest = way.newest[chat];
        way.newest[chat] = newest.max(number);
        if newest > number && !way.unordered[chat] {
            let name = way.name;
            self.fault(format!("{name}-{number} was taken after {name}-{newest} of the same chat {chat}"));
        }
    }

    fn balance(&self) -> Balance {
        let mut missing = Vec::new();
        for way in &self.ways {
            let lost = way.entries.iter().enumerate().filter(|(_, entry)| entry.acknowledged > 0 && entry.taken == 0);
            for (number, entry) in lost {
                let at = seconds(entry.acknowledged);
                let (name, chat) = (way.name, entry.chat);
                let came = if entry.came > 0 { "came and was not taken" } else { "never came" };
                missing.push(format!("{name}-{number} of chat {chat}, acknowledged at {at:.1} s, {came}"));
            }
        }
        let out = &self.ways[Direction::Out as usize];
        let mut unheard_lost = 0;
        for (number, sent) in &self.unheard {
            if out.entries[*number as usize].taken > 0 {
                continue;
            }
            if self.ends.iter().any(|(end, _)| *end > sent - 1.0 && end - sent < UNHEARD_SECS) {
                unheard_lost += 1;
            } else {
                missing.push(format!("out-{number}, sent at {sent:.1} s by a portal that does not listen, never came"));
            }
        }
        let told = |(number, entry): (usize, &Entry)| entry.taken == 0 || self.statuses[number];
        let mut words = missing.clone();
        words.truncate(WORDS_MAX);
        Balance {
            incoming: self.ways[Direction::In as usize].sums,
            outgoing: out.sums,
            missing_count: missing.len() as u64,
            missing: words,
            statuses_missing: out.entries.iter().enumerate().filter(|pair| !told(*pair)).count() as u64,
            unheard: self.unheard.len() as u64,
            unheard_lost,
            faults: self.faults,
            words: self.words.clone(),
            notices: self.notices.clone(),
        }
    }
}
