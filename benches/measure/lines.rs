//! Ten thousand lines against ten, on ten portals each: every message goes to the next line. At full load the many cost
//! more for another reason: a line's packet holds what has come for it meanwhile, which is one message then, and every
//! packet is a request. So latency is compared at the same pace.

use std::time::Duration;

use super::Bench;
use super::rig::{Delivering, note};
use super::table::{Samples, Table, Target, Verdicts};
use crate::support::fill;
use crate::support::load::Load;
use crate::support::portal::Ears;

const PORTALS: usize = 10;
const COUNTS: [usize; 2] = [10, 10_000];
/// Connections, and messages a second when there is a limit.
const LOADS: [(usize, Option<f64>); 3] = [(1, None), (64, Some(1_000.0)), (64, None)];
const PATIENCE: Duration = Duration::from_mins(1);

fn row(lines: usize, load: (usize, Option<f64>)) -> String {
    format!("{lines} lines, {}", name(load))
}

fn name(load: (usize, Option<f64>)) -> String {
    match load {
        (_, Some(pace)) => format!("{pace} a second"),
        (connections, None) => format!("{connections} in flight"),
    }
}

pub fn run(bench: &Bench) {
    let pairs = COUNTS.map(|count| Delivering::with(bench, PORTALS, count, "", &Ears::default()));
    let mut table = Table::default();
    let mut raw = Samples::default();
    let mut slices = 0;
    for _ in 0..bench.rounds {
        for load in LOADS {
            raw.push(bench.raw().per_second);
            for (pair, count) in pairs.iter().zip(COUNTS) {
                slices += 1;
                let build = fill::webhooks(&pair.lines, &format!("{slices}"));
                let (connections, per_second) = load;
                // Not always the same few of the many lines.
                let first = slices * 1_000;
                let whole = Load::for_time(pair.server.public, connections, bench.slice, &build);
                let row = row(count, load);
                let before = pair.server.figures();
                note(&mut table, &row, pair.server.pid(), || Load { first, per_second, ..whole }.run());
                assert!(pair.drain(0.0, PATIENCE), "not drained: {}", pair.server.log());
                let after = pair.server.figures();
                let more = |name: &str| after.sum(name) - before.sum(name);
                let seconds = more("delivery_seconds_sum") / more("delivery_seconds_count");
                table.note(&row, "mean ms to confirmed", seconds * 1e3);
            }
        }
    }
    println!("raw syncs/s {}", raw.show());
    for (pair, count) in pairs.iter().zip(COUNTS) {
        table.note(&row(count, LOADS[0]), "MB", pair.server.usage().resident_mb);
    }
    table.print();
    let mut verdicts = Verdicts::default();
    for load in LOADS {
        let [few, many] = COUNTS.map(|count| row(count, load));
        let is_full = load == (64, None);
        let target = if is_full { Target::None } else { Target::AtMost(1.2) };
        for column in ["median ms", "mean ms to confirmed"] {
            verdicts.add(&format!("{}: {column}", name(load)), &table.ratio(column, &many, &few), target);
        }
        verdicts.add(&format!("{}: requests/s", name(load)), &table.ratio("requests/s", &many, &few), Target::None);
    }
    verdicts.print();
}
