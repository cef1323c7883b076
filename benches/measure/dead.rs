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
const ALL: usize = 200;
/// Beyond the length of a slice, so that it ends before the line is blocked.
const MARGIN: Duration = Duration::from_secs(1);
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
    let timeout = bench.slice + 2 * MARGIN;
    let more = format!("[queue]\nconfirm_timeout = \"{}ms\"\n", timeout.as_millis());
    let pair = Delivering::with(bench, ALL, ALL, &more, &Ears::default());
    let mut slices = 0;
    let mut slice = |row: &str, dead: usize| {
        slices += 1;
        let build = fill::webhooks(&pair.lines[..LIVING], &format!("{round}-{slices}"));
        let seen = steady(bench, &pair.server, &build);
        table.note(row, "accepted/s", seen.accepted);
        table.note(row, "delivered/s", seen.delivered);
        table.note(row, "accept 99 % ms", seen.outcome.latency.millis(0.99));
        assert!(pair.drain(dead as f64, PATIENCE), "not drained: {}", pair.server.log());
    };
    let choke = |portals: std::ops::Range<usize>| {
        for portal in portals.clone() {
            pair.sink.set(portal, Manner::Silent);
        }
        let build = fill::webhooks(&pair.lines[portals.clone()], &format!("{round}-choke"));
        assert!(Load::for_requests(pair.server.public, 1, portals.len() as u64, &build).run().is_clean());
        // All of them, or as many as can be in flight.
        let wanted = WORKERS.min(portals.len() as u64);
        let begin = Instant::now();
        while portals.clone().map(|portal| pair.sink.packets_of(portal)).sum::<u64>() < wanted {
            assert!(begin.elapsed() < PATIENCE, "the dead portals were not asked");
            std::thread::yield_now();
        }
    };
    let blocked = |count: f64| {
        let seen = pair.server.wait_for(PATIENCE, |figures| figures.sum("blocked_lines") >= count);
        assert!(seen.is_some(), "the dead portals' lines were not blocked");
    };
    slice("none dead", 0);
    choke(LIVING..LIVING + 1);
    slice("1 dead, not yet blocked", 1);
    blocked(1.0);
    slice("1 dead, blocked", 1);
    choke(LIVING + 1..ALL);
    slice("101 dead, not yet blocked", ALL - LIVING);
    blocked((ALL - LIVING) as f64);
    slice("101 dead, blocked", ALL - LIVING);
}
