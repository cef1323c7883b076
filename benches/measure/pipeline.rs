//! The whole way of a message: accepted, committed, delivered, confirmed, deleted. Each line has a portal of its own.

use std::time::Duration;

use super::Bench;
use super::rig::{Delivering, steady};
use super::table::{Samples, Table, Target, Verdicts};
use crate::support::fill;
use crate::support::portal::Ears;
use crate::support::process;

/// Lines, and messages of a packet at most.
const CASES: [(usize, usize); 5] = [(1, 10), (10, 10), (100, 10), (100, 1), (100, 50)];
/// How long what a load has left behind may take.
const PATIENCE: Duration = Duration::from_secs(20);

fn row((lines, packet): (usize, usize)) -> String {
    format!("{lines} lines, packets of {packet}")
}

pub fn run(bench: &Bench) {
    let mut table = Table::default();
    let mut raw = Samples::default();
    for round in 0..bench.rounds {
        for case in CASES {
            raw.push(bench.raw().per_second);
            measure(bench, &mut table, case, round);
        }
    }
    println!("raw syncs/s {}", raw.show());
    table.print();
    let mut verdicts = Verdicts::default();
    for case in CASES {
        let ratio = table.ratio_of_columns(&row(case), "delivered/s", "accepted/s");
        // The design's figure is for the packets that are the default.
        let is_default = case.1 == 10;
        let at_least = if is_default { Target::AtLeast(0.97) } else { Target::None };
        verdicts.add(&format!("{}: delivered : accepted", row(case)), &ratio, at_least);
        let at_most = if is_default { Target::AtMost(120.0) } else { Target::None };
        verdicts.add(&format!("{}: CPU µs a message", row(case)), &table.get(&row(case), "CPU µs"), at_most);
    }
    verdicts.print();
}

fn measure(bench: &Bench, table: &mut Table, case: (usize, usize), round: usize) {
    let (lines, packet) = case;
    let row = row(case);
    let more = format!("[queue]\npacket_max_messages = {packet}\n");
    let pair = Delivering::with(bench, lines, lines, &more, &Ears::default());
    let pid = pair.server.pid();
    let (cpu, build) = (process::cpu(pid), fill::webhooks(&pair.lines, &format!("{round}")));
    // One line's portal is asked once at a time and takes several times as long as accepting does.
    let time = if lines == 1 { bench.slice / 2 } else { bench.slice };
    let slice = steady(time, &pair.server, &build);
    table.note(&row, "accepted/s", slice.accepted);
    table.note(&row, "delivered/s", slice.delivered);
    table.note(&row, "accept 99 % ms", slice.outcome.latency.millis(0.99));
    table.note(&row, "left behind", pair.server.figures().queued());
    // Processor time of the whole way can only be told once every message has gone it.
    if pair.drain(0.0, PATIENCE) {
        let cpu = process::cpu(pid).saturating_sub(cpu).as_secs_f64();
        table.note(&row, "CPU µs", cpu * 1e6 / slice.outcome.ok as f64);
    }
    let figures = pair.server.figures();
    table.note(&row, "messages a packet", figures.confirmed() / pair.sink.packets() as f64);
    table.note(&row, "MB at most", pair.server.usage().peak_mb);
    assert!(figures.sum("accounting_difference").abs() < 0.5, "the sums differ");
}
