//! Group commit without anything around it: producers push messages through the store writer of this process.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use trunkline::clock::SystemClock;
use trunkline::ids::LineId;
use trunkline::queue;
use trunkline::store::{Store, Writer};

use super::table::{Samples, Table, Target, Verdicts};
use super::{Bench, baseline};
use crate::support::fill;
use crate::support::histogram::Histogram;

const WAIT: Duration = Duration::from_mins(1);
/// Threads with one row in flight each, and what a row is.
const CASES: [(usize, Row); 4] = [(1, Row::Message), (8, Row::Message), (64, Row::Message), (64, Row::Bare)];

#[derive(Clone, Copy)]
enum Row {
    /// What the server stores: encoded, its key noted, counted.
    Message,
    /// An insert of the same length and nothing else.
    Bare,
}

impl Row {
    fn name(self) -> &'static str {
        match self {
            Self::Message => "messages",
            Self::Bare => "bare rows",
        }
    }
}

pub fn run(bench: &Bench) {
    let folder = tempfile::tempdir_in(&bench.folder).unwrap();
    let store = Store::open(folder.path()).unwrap();
    let lines = fill::lines(&store, &[super::NOBODY.to_owned()], 1_000);
    let (writer, thread) = Writer::start(store.writing().unwrap(), Arc::new(SystemClock::new()), || ()).unwrap();
    let numbers = Arc::new(AtomicI64::new(0));
    let mut table = Table::default();
    let mut sync_millis = Samples::default();
    for _ in 0..bench.rounds {
        for (producers, what) in CASES {
            // A slice before and one after: the disk's rate moves from second to second.
            let before = bench.raw();
            let (rate, latency, group) = produce(&writer, &numbers, (producers, what), lines.len(), bench.slice);
            let after = bench.raw();
            let raw = f64::midpoint(before.per_second, after.per_second);
            sync_millis.push(before.latency.millis(0.5));
            let row = format!("{producers} in flight, {}", what.name());
            table.note(&row, "rows/s", rate);
            table.note(&row, "raw syncs/s", raw);
            table.note(&row, "rows a sync", rate / raw);
            table.note(&row, "rows a commit", group);
            table.note(&row, "median ms", latency.millis(0.5));
            table.note(&row, "99 % ms", latency.millis(0.99));
        }
    }
    thread.stop();
    table.print();
    let cost = sync_millis.median();
    let mut verdicts = Verdicts::default();
    verdicts.add("raw sync, median ms", &sync_millis, Target::None);
    let single = if cost >= 0.6 { 0.95 } else { 0.65 };
    verdicts.add(
        "one client, commits a raw sync",
        &table.get("1 in flight, messages", "rows a sync"),
        Target::AtLeast(single),
    );
    let group = match cost {
        cost if cost < 0.16 => 6.0,
        cost if cost < 0.6 => 15.0,
        _ => 30.0,
    };
    verdicts.add(
        "64 in flight, messages a raw sync",
        &table.get("64 in flight, messages", "rows a sync"),
        Target::AtLeast(group),
    );
    let bare = table.ratio("rows/s", "64 in flight, messages", "64 in flight, bare rows");
    verdicts.add("64 in flight, messages : bare rows", &bare, Target::None);
    verdicts.print();
}

/// So many threads, each with one message in flight: rows a second, their latency, rows a commit.
fn produce(
    writer: &Writer,
    numbers: &Arc<AtomicI64>,
    (producers, what): (usize, Row),
    lines: usize,
    time: Duration,
) -> (f64, Histogram, f64) {
    let counts = || (writer.stats.commits.load(Ordering::Relaxed), writer.stats.commands.load(Ordering::Relaxed));
    let (commits, commands) = counts();
    let begin = Instant::now();
    let threads: Vec<_> = (0..producers)
        .map(|_| {
            let (writer, numbers) = (writer.clone(), Arc::clone(numbers));
            std::thread::spawn(move || {
                let body = fill::message(&"y".repeat(500));
                let mut latency = Histogram::default();
                while begin.elapsed() < time {
                    let number = numbers.fetch_add(1, Ordering::Relaxed);
                    let line = LineId(1 + number * 13 % lines as i64);
                    let (body, start) = (body.clone(), Instant::now());
                    writer
                        .write(WAIT, move |tx| match what {
                            Row::Bare => baseline::insert(tx, &[b'y'; 640]),
                            Row::Message => {
                                let key = format!("event {number}");
                                queue::push(tx, line, "botframework.webchat", Some(&key), &body).map(drop)
                            }
                        })
                        .unwrap();
                    latency.note(start.elapsed());
                }
                latency
            })
        })
        .collect();
    let mut latency = Histogram::default();
    for thread in threads {
        latency.absorb(&thread.join().unwrap());
    }
    let rate = latency.count() as f64 / begin.elapsed().as_secs_f64();
    let after = counts();
    (rate, latency, (after.1 - commands) as f64 / (after.0 - commits) as f64)
}
