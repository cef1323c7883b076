//! Portals that take a packet and never say a word, beside a hundred that answer: what the living ones get, before the
//! dead ones' lines are blocked and after. Only the living are loaded; each dead one has one message to choke on.

use std::time::{Duration, Instant};

use super::Bench;
use super::rig::{Delivering, steady};
use super::table::{Samples, Table, Target, Verdicts};
use crate::support::fill;
use crate::support::load::Load;
use crate::support::portal::{Ears, Manner};

const LIVING: usize = 99;
const DEAD: usize = 101;
const PATIENCE: Duration = Duration::from_mins(1);
/// Packets in flight over all lines, the default.
const WORKERS: u64 = 16;

pub fn run(bench: &Bench) {
    let mut table = Table::default();
    let mut raw = Samples::default();
    for round in 0..bench.rounds {
        raw.push(bench.raw().per_second);
        measure(bench, &mut table, round);
    }
    println!("raw syncs/s {}", raw.show());
    table.print();
    let mut verdicts = Verdicts::default();
    for (row, target) in [
        ("1 dead, not yet blocked", Target::AtLeast(0.8)),
        ("1 dead, blocked", Target::AtLeast(0.95)),
        ("101 dead, not yet blocked", Target::None),
        ("101 dead, blocked", Target::None),
    ] {
        verdicts.add(&format!("delivered/s: {row} : none"), &table.ratio("delivered/s", row, "none dead"), target);
    }
    verdicts.print();
}

fn measure(bench: &Bench, table: &mut Table, round: usize) {
    // The slices end before the silence has lasted long enough.
    let mut rig = Rig::start(bench, round, bench.slice + Duration::from_millis(1_500));
    rig.drain();
    rig.slice(bench, table, "none dead");
    rig.choke(1);
    rig.slice(bench, table, "1 dead, not yet blocked");
    rig.wait_until_blocked();
    rig.drain();
    rig.slice(bench, table, "1 dead, blocked");
    rig.choke(DEAD - 1);
    rig.slice(bench, table, "101 dead, not yet blocked");
    drop(rig);
    // A new one with less patience: sixteen at a time, the dead take long to be blocked.
    let mut rig = Rig::start(bench, round, Duration::from_secs(1));
    rig.choke(DEAD);
    rig.wait_until_blocked();
    rig.slice(bench, table, "101 dead, blocked");
}

struct Rig {
    pair: Delivering,
    round: usize,
    slices: usize,
    dead: usize,
}

impl Rig {
    fn start(bench: &Bench, round: usize, confirm_timeout: Duration) -> Self {
        let more = format!("[queue]\nconfirm_timeout = \"{}ms\"\n", confirm_timeout.as_millis());
        let pair = Delivering::with(bench, LIVING + DEAD, LIVING + DEAD, &more, &Ears::default());
        // A new database grows at first, and the first slice of a server would be a slow one.
        let build = fill::webhooks(&pair.lines[..LIVING], "first");
        assert!(Load::for_time(pair.server.public, 64, bench.slice, &build).run().is_clean());
        Self { pair, round, slices: 0, dead: 0 }
    }

    /// Loads the living.
    fn slice(&mut self, bench: &Bench, table: &mut Table, row: &str) {
        self.slices += 1;
        let build = fill::webhooks(&self.pair.lines[..LIVING], &format!("{}-{}", self.round, self.slices));
        let seen = steady(bench.slice, &self.pair.server, &build);
        table.note(row, "accepted/s", seen.accepted);
        table.note(row, "delivered/s", seen.delivered);
        table.note(row, "accept 99 % ms", seen.outcome.latency.millis(0.99));
    }

    /// Lets the living get what the last slice has left behind.
    fn drain(&self) {
        let is_over = self.pair.drain(self.dead as f64, PATIENCE);
        assert!(is_over, "not drained: {}", self.pair.server.log());
    }

    /// Makes so many more portals fall silent, each over a message.
    fn choke(&mut self, count: usize) {
        self.drain();
        let portals = LIVING + self.dead..LIVING + self.dead + count;
        self.dead += count;
        for portal in portals.clone() {
            self.pair.sink.set(portal, Manner::Silent);
        }
        let build = fill::webhooks(&self.pair.lines[portals.clone()], "choke");
        let load = Load::for_requests(self.pair.server.public, 1, count as u64, &build);
        assert!(load.run().is_clean());
        // All of them, or as many as can be in flight.
        let begin = Instant::now();
        while portals.clone().map(|portal| self.pair.sink.packets_of(portal)).sum::<u64>() < WORKERS.min(count as u64) {
            assert!(begin.elapsed() < PATIENCE, "the dead portals were not asked");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn wait_until_blocked(&self) {
        let blocked = |count: f64| count >= self.dead as f64;
        let seen = self.pair.server.wait_for(PATIENCE, |figures| blocked(figures.sum("blocked_lines")));
        assert!(seen.is_some(), "the dead portals' lines were not blocked");
    }
}
