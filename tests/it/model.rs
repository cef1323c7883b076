//! The queue and its blocks against a model that is too simple to be wrong: every short sequence of actions, then long
//! random ones whose seed is printed (`TRUNKLINE_SEED` plays one again).

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use trunkline::clock::{Clock, UnixMillis};
use trunkline::ids::LineId;
use trunkline::queue::{self, dead};
use trunkline::sender::Event;

use crate::support::Random;
use crate::support::house::{House, Ways, answer, gone, ok, refused, silent};

const MINUTE: i64 = 60_000;
const DAY: i64 = 24 * 60 * MINUTE;
/// The table of design §6 in whole milliseconds, as the clock counts them.
const WAITS: [i64; 12] = [
    42_187, 42_187, 84_375, 168_750, 337_500, 675_000, 1_350_000, 2_700_000, 5_400_000, 10_800_000, 21_600_000,
    43_200_000,
];

fn seed() -> u64 {
    std::env::var("TRUNKLINE_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(20_261_125)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Push,
    PortalWell,
    PortalGone,
    EndOfBlock,
    Minute,
    SignOfLife,
    Restart,
}

const ACTIONS: [Action; 7] = [
    Action::Push,
    Action::PortalWell,
    Action::PortalGone,
    Action::EndOfBlock,
    Action::Minute,
    Action::SignOfLife,
    Action::Restart,
];

/// One line as the design describes it, one chat, one portal that is well or gone.
#[derive(Debug, Default)]
struct Model {
    now: i64,
    gone: bool,
    queue: VecDeque<String>,
    attempts: usize,
    first: Option<i64>,
    until: Option<i64>,
    lifted: Option<i64>,
    confirmed: Vec<String>,
    dead: usize,
    posts: usize,
}

impl Model {
    fn act(&mut self, action: Action, mark: &str) {
        match action {
            Action::Push => self.queue.push_back(mark.to_owned()),
            Action::PortalWell => self.gone = false,
            Action::PortalGone => self.gone = true,
            Action::EndOfBlock => self.now = self.until.unwrap_or(self.now),
            Action::Minute => {
                let target = self.now + MINUTE;
                while let Some(until) = self.until.filter(|until| *until <= target) {
                    self.now = until;
                    self.post();
                }
                self.now = target;
            }
            Action::SignOfLife => {
                let rested = self.lifted.is_none_or(|lifted| self.now - lifted >= MINUTE);
                if self.until.is_some_and(|until| until > self.now) && rested {
                    self.lifted = Some(self.now);
                    if self.gone {
                        self.posts += 1;
                    } else {
                        self.until = None;
                    }
                }
            }
            Action::Restart => self.lifted = None,
        }
        self.post();
    }

    /// Everything the line can do at this moment.
    fn post(&mut self) {
        while !self.queue.is_empty() && self.until.is_none_or(|until| until <= self.now) {
            if self.first.is_some_and(|first| self.now >= first + DAY) {
                self.dead += self.queue.len();
                self.queue.clear();
                (self.attempts, self.first, self.until) = (0, None, None);
                return;
            }
            self.posts += 1;
            if self.gone {
                let first = *self.first.get_or_insert(self.now);
                self.attempts = (self.attempts + 1).min(12);
                let end = if self.attempts == 12 { first + DAY } else { self.now + WAITS[self.attempts - 1] };
                self.until = Some(end.min(first + DAY));
                return;
            }
            (self.attempts, self.first, self.until) = (0, None, None);
            let packet = self.queue.len().min(10);
            self.confirmed.extend(self.queue.drain(..packet));
        }
    }
}

/// Plays a sequence on a line of its own and holds every step against the model.
fn play(house: &mut House, number: usize, actions: &[Action]) {
    let host = format!("p{number}.test");
    let line = house.line(&host, "1", "23.100.0");
    let before = house.sums();
    let mut model = Model { now: house.stage.clock.now().0, ..Model::default() };
    for (step, action) in actions.iter().enumerate() {
        let mark = format!("{number}-{step}");
        match action {
            Action::Push => house.push(line, &mark),
            Action::PortalWell => house.portal(&host, |_| ok()),
            Action::PortalGone => house.portal(&host, |_| gone()),
            Action::EndOfBlock => {
                let until = house.record(line).blocked_until.unwrap_or_else(|| house.stage.clock.now());
                house.stage.advance(until).unwrap();
            }
            Action::Minute => house.pass(Duration::from_mins(1)),
            Action::SignOfLife => house.stage.bell.tell(Event::Alive(house.record(line).portal)),
            Action::Restart => house.stage.restart().unwrap(),
        }
        house.settle();
        model.act(*action, &mark);
        let record = house.record(line);
        let sums = house.sums();
        let heard = house.heard(&host);
        let got = (
            (record.attempts, record.first_attempt_at.map(|at| at.0), record.blocked_until.map(|at| at.0)),
            (sums.queued, sums.dead - before.dead, sums.confirmed - before.confirmed),
            heard.len(),
        );
        let want = (
            (u32::try_from(model.attempts).unwrap(), model.first, model.until),
            (model.queue.len() as i64, model.dead as i64, model.confirmed.len() as i64),
            model.posts,
        );
        assert_eq!(got, want, "after step {step} of {actions:?}");
    }
    // Whatever happened, a portal that is back gets what waits, in order.
    house.portal(&host, |_| ok());
    model.act(Action::PortalWell, "");
    while model.until.is_some() {
        let until = house.record(line).blocked_until.unwrap();
        house.stage.advance(until).unwrap();
        model.act(Action::EndOfBlock, "");
    }
    house.settle();
    assert_eq!(house.sums().queued, 0, "{actions:?}");
    let heard = house.heard(&host).concat();
    let firsts: Vec<&String> = model.confirmed.iter().collect();
    let last_heard: Vec<&String> = heard.iter().filter(|mark| model.confirmed.contains(mark)).collect();
    let mut order: Vec<&String> = Vec::new();
    last_heard.iter().rev().for_each(|mark| {
        if !order.contains(mark) {
            order.push(mark);
        }
    });
    order.reverse();
    assert_eq!(order, firsts, "{actions:?}");
}

#[test]
fn every_short_sequence_follows_the_model() {
    let length = std::env::var("TRUNKLINE_MODEL_LENGTH").ok().and_then(|text| text.parse().ok()).unwrap_or(3);
    let mut house = House::new();
    let total = ACTIONS.len().pow(length);
    for number in 0..total {
        let mut rest = number;
        let mut actions: Vec<Action> = (0..length)
            .map(|_| {
                let action = ACTIONS[rest % ACTIONS.len()];
                rest /= ACTIONS.len();
                action
            })
            .collect();
        // Every interesting sequence begins with trouble.
        actions.splice(0..0, [Action::PortalGone, Action::Push]);
        play(&mut house, number, &actions);
    }
    println!("{total} sequences");
}

#[test]
fn long_random_sequences_follow_the_model() {
    let seed = seed();
    println!("seed {seed}");
    let mut random = Random::new(seed);
    let mut house = House::new();
    for number in 0..12 {
        let actions: Vec<Action> = (0..80).map(|_| ACTIONS[random.below(7) as usize]).collect();
        play(&mut house, number, &actions);
    }
}

/// What the portal of the wild test does with a packet.
#[derive(Debug, Default)]
struct Wild {
    mood: u64,
    poison: BTreeSet<String>,
    /// Marks it said OK to, in order.
    took: Vec<String>,
}

/// Portals in every mood, messages that choke them, confirmations late and partial, restarts: no exact model, but what
/// must never happen, never does.
#[test]
fn nothing_is_lost_doubled_or_out_of_order_whatever_portals_do() {
    let seed = seed();
    println!("seed {seed}");
    let mut random = Random::new(seed);
    for round in 0..6 {
        let mut house = House::with(Ways { messages: 4, poison_attempts: 2, ..Ways::default() });
        let wild: Arc<Mutex<Wild>> = Arc::default();
        let inner = Arc::clone(&wild);
        house.portal("wild.test", move |marks| {
            let mut wild = inner.lock().unwrap();
            match wild.mood {
                1 => gone(),
                2 => silent(),
                3 => refused(),
                4 => answer(502, ""),
                _ if marks.iter().any(|mark| wild.poison.contains(mark)) => answer(500, "<html>"),
                _ => {
                    wild.took.extend_from_slice(marks);
                    ok()
                }
            }
        });
        let line = house.line("wild.test", "1", "17.0.14");
        let mut pushed: Vec<String> = Vec::new();
        for _ in 0..150 {
            match random.below(10) {
                0..=3 => {
                    let mark = format!("w{}", pushed.len());
                    if random.below(12) == 0 {
                        wild.lock().unwrap().poison.insert(mark.clone());
                    }
                    house.push(line, &mark);
                    pushed.push(mark);
                }
                4 => wild.lock().unwrap().mood = random.below(7),
                5 => house.stage.restart().unwrap(),
                6 => house.stage.bell.tell(Event::Alive(house.record(line).portal)),
                7 => {
                    // A portal may confirm at any time what it was ever sent, and what it never was.
                    let pick = format!("w{}", random.below(pushed.len() as u64 + 3));
                    let sent = house.heard("wild.test").concat().contains(&pick);
                    let before = house.sums();
                    house.stage.status(line, &[&pick]);
                    house.settle();
                    if sent {
                        wild.lock().unwrap().took.push(pick);
                    } else {
                        assert_eq!(house.sums(), before, "seed {seed} round {round}: {pick}");
                    }
                }
                8 => house.pass(Duration::from_secs(random.below(7_200))),
                _ => house.pass(Duration::from_secs(random.below(60))),
            }
            house.settle();
            check(&house, line, &pushed, &wild.lock().unwrap(), seed);
        }
        // The portal is well for good: what it does not choke on arrives.
        wild.lock().unwrap().mood = 0;
        house.pass(Duration::from_hours(30));
        check(&house, line, &pushed, &wild.lock().unwrap(), seed);
        let queued = queue::list(&house.stage.store.reading().unwrap(), Some(line), 1000).unwrap();
        let wild = wild.lock().unwrap();
        let left: Vec<_> = queued.iter().map(|entry| &entry.row.message).collect();
        assert!(
            left.iter().all(|mark| wild.poison.contains(*mark)),
            "seed {seed} round {round}: {left:?}, {:?}, poison {:?}",
            house.record(line),
            wild.poison
        );
    }
}

fn check(house: &House, line: LineId, pushed: &[String], wild: &Wild, seed: u64) {
    let db = house.stage.store.reading().unwrap();
    let queued: Vec<String> =
        queue::list(&db, Some(line), 10_000).unwrap().into_iter().map(|entry| entry.row.message).collect();
    let letters = dead::list(&db, 10_000).unwrap();
    let record = house.record(line);
    // Nothing lost, nothing in two places.
    for mark in pushed {
        let places = usize::from(queued.contains(mark)) + letters.iter().filter(|l| l.message == *mark).count();
        let taken = wild.took.contains(mark);
        assert!(places == 1 || (places == 0 && taken), "seed {seed}: {mark} is in {places} places, taken: {taken}");
    }
    assert_eq!(queued.iter().collect::<BTreeSet<_>>().len(), queued.len(), "seed {seed}: doubled");
    // Only what the portal chokes on is poison.
    for letter in letters.iter().filter(|letter| letter.reason == "poison") {
        assert!(wild.poison.contains(&letter.message), "seed {seed}: {} is no poison", letter.message);
    }
    // What is queued stays in order.
    let number = |mark: &String| mark.strip_prefix('w').unwrap().parse::<usize>().unwrap();
    assert!(queued.is_sorted_by_key(number), "seed {seed}: {queued:?}");
    // The block is within the day.
    if let (Some(first), Some(until)) = (record.first_attempt_at, record.blocked_until) {
        assert!(until <= UnixMillis(first.0 + DAY) && record.attempts <= 12, "seed {seed}: {record:?}");
    }
}
