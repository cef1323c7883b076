//! The same work with ten thousand and with a million messages waiting on a thousand lines: storing one more, reading a
//! line's next packet, finding the lines that wait, comparing the sums, and what a server delivers from the start on.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use trunkline::clock::SystemClock;
use trunkline::ids::{LineId, MessageId};
use trunkline::queue;
use trunkline::store::writer::WriterThread;
use trunkline::store::{Store, Writer, counters};

use super::Bench;
use super::table::{Samples, Table, Target, Verdicts, number};
use crate::support::fill;
use crate::support::portal::{Manner, Sink};
use crate::support::server::Place;

const LINES: usize = 1_000;
const PORTALS: usize = 100;
const SMALL: i64 = 10_000;
/// Rows of a packet.
const PACKET: usize = 10;
const READS: i64 = 2_000;
const COMMITS: i64 = 1_000;
/// Of the small queue's thousand full packets: the last ones are too few to keep the senders busy.
const DRAINED: u64 = 900;
const WAIT: Duration = Duration::from_mins(1);

pub fn run(bench: &Bench) {
    let sink = Sink::start(PORTALS);
    let depths = [SMALL, bench.queued];
    let rows = depths.map(|queued| number(queued as f64));
    let mut table = Table::default();
    let mut raw = Samples::default();
    let places = depths.map(|queued| filled(bench, &sink, queued));
    let works = places.each_ref().map(|place| Work::start(&place.data()));
    for round in 0..bench.rounds {
        raw.push(bench.raw().latency.millis(0.5) * 1e3);
        for ((work, row), queued) in works.iter().zip(&rows).zip(depths) {
            work.measure(&mut table, row, queued, i64::try_from(round).unwrap());
        }
    }
    for (work, row) in works.into_iter().zip(&rows) {
        let size = std::fs::metadata(work.store.path()).unwrap().len();
        table.note(row, "file MB", size as f64 / 1e6);
        work.thread.stop();
    }
    let [small, large] = places;
    drop(small);
    for _ in 0..bench.rounds {
        // The small one anew: it ends with nothing left.
        table.note(&rows[0], "drained/s", drain(&filled(bench, &sink, SMALL), &sink));
        table.note(&rows[1], "drained/s", drain(&large, &sink));
    }
    println!("raw sync, median µs {}", raw.show());
    table.print();
    let [small, large] = &rows;
    let ratio = |column: &str| table.ratio(column, large, small);
    let mut verdicts = Verdicts::default();
    verdicts.add("insert and commit, large : small", &ratio("commit µs"), Target::AtMost(1.15));
    verdicts.add("next packet, µs a row, large", &table.get(large, "packet µs a row"), Target::AtMost(8.0));
    verdicts.add("next packet, large : small", &ratio("packet µs a row"), Target::None);
    verdicts.add("drain rate, large : small", &ratio("drained/s"), Target::AtLeast(0.9));
    verdicts.print();
}

fn filled(bench: &Bench, sink: &Sink, queued: i64) -> Place {
    let place = bench.place("");
    let store = place.store();
    let lines = fill::lines(&store, &sink.urls(), LINES);
    fill::queue(&store, &lines, queued);
    place
}

/// The store of one depth, open in this process.
struct Work {
    store: Store,
    db: rusqlite::Connection,
    writer: Writer,
    thread: WriterThread,
}

impl Work {
    fn start(data: &Path) -> Self {
        let store = Store::open(data).unwrap();
        let db = store.reading().unwrap();
        let (writer, thread) = Writer::start(store.writing().unwrap(), Arc::new(SystemClock::new()), || ()).unwrap();
        Self { store, db, writer, thread }
    }

    fn measure(&self, table: &mut Table, row: &str, queued: i64, round: i64) {
        let packet = median_micros(READS, |at| {
            let rows = queue::head(&self.db, line(at * 7), MessageId(0), PACKET).unwrap();
            assert!(!rows.is_empty());
        });
        let rows = (PACKET as f64).min(queued as f64 / LINES as f64);
        table.note(row, "packet µs a row", packet / rows);
        let body = fill::message(&"y".repeat(500));
        let commit = median_micros(COMMITS, |at| {
            let (body, key) = (body.clone(), format!("event {round} {at}"));
            let push = move |tx: &mut trunkline::store::Tx<'_>| {
                queue::push(tx, line(at * 13), "botframework.webchat", Some(&key), &body)
            };
            self.writer.write(WAIT, push).unwrap();
        });
        table.note(row, "commit µs", commit);
        let waiting = || assert_eq!(queue::waiting_lines(&self.db).unwrap().len(), LINES);
        table.note(row, "lines ms", median_micros(5, |_| waiting()) / 1e3);
        let sums = || assert_eq!(counters::accounting(&self.db).unwrap().difference(), 0);
        table.note(row, "books ms", median_micros(5, |_| sums()) / 1e3);
    }
}

fn line(number: i64) -> LineId {
    LineId(1 + number % LINES as i64)
}

fn median_micros(times: i64, mut work: impl FnMut(i64)) -> f64 {
    let took = (0..times).map(|at| {
        let start = Instant::now();
        work(at);
        start.elapsed().as_secs_f64() * 1e6
    });
    took.collect::<Samples>().median()
}

/// Messages a second that reach the portals, of a server that has checked its database: a million rows take seconds, and
/// the drain of ten thousand would be over before. Meanwhile the portals hold back their answers. They also count: the
/// server's own figures are sums over the queue, and asking for them all the time would slow down the longer one.
fn drain(place: &Place, sink: &Sink) -> f64 {
    sink.set_all(Manner::Silent);
    let server = place.serve();
    assert!(server.rests(WAIT), "the server does not come to rest");
    let (before, begin) = (sink.packets(), Instant::now());
    sink.set_all(Manner::Answers);
    while sink.packets() - before < DRAINED {
        assert!(begin.elapsed() < WAIT, "the queue does not move: {}", server.log());
        std::thread::sleep(Duration::from_millis(1));
    }
    let rate = ((sink.packets() - before) * PACKET as u64) as f64 / begin.elapsed().as_secs_f64();
    assert!(server.terminate().success());
    rate
}
