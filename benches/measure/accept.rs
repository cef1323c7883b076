//! What accepting costs: the whole path of a webhook down to the commit, against the same path with nothing to store and
//! against servers that store the body unread.

use std::net::SocketAddr;

use super::Bench;
use super::baseline::{Baseline, Kind};
use super::rig::{Alone, Delivering, note};
use super::table::{Samples, Table, Target, Verdicts};
use crate::support::fill;
use crate::support::load::{Build, Load};

/// Keep-alive connections.
const CONNECTIONS: [usize; 3] = [64, 8, 1];
const MANY_LINES: usize = 100;

pub fn run(bench: &Bench) {
    // These servers' portals refuse: they accept and do nothing else.
    let one = Alone::start(bench, 1);
    let many = Alone::start(bench, MANY_LINES);
    let baselines =
        [Kind::Hyper, Kind::HyperPool, Kind::TinyHttp].map(|kind| (kind, Baseline::start(kind, &bench.folder)));
    let mut table = Table::default();
    let mut raw = Samples::default();
    let mut syncs = Samples::default();
    for round in 0..bench.rounds {
        for connections in CONNECTIONS {
            let measured = bench.raw();
            raw.push(measured.per_second);
            syncs.push(measured.latency.millis(0.5));
            // The fewer connections, the fewer slices: the design speaks of 64.
            let is_full = connections == CONNECTIONS[0];
            let time = if is_full { bench.slice } else { bench.slice / 2 };
            let mut slice = |row: &str, pid: u32, address: SocketAddr, build: &Build| {
                let row = format!("{connections}: {row}");
                let outcome = note(&mut table, &row, pid, || Load::for_time(address, connections, time, build).run());
                table.note(&row, "to a raw sync", outcome.rate() / measured.per_second);
            };
            let run = format!("{round}-{connections}");
            let webhooks = fill::webhooks(&one.lines, &run);
            slice("stored", one.server.pid(), one.server.public, &webhooks);
            for (kind, baseline) in &baselines {
                if is_full || *kind != Kind::HyperPool {
                    slice(kind.name(), baseline.pid(), baseline.address, &webhooks);
                }
            }
            if !is_full {
                continue;
            }
            slice("nothing to store", one.server.pid(), one.server.public, &fill::traces(&one.lines));
            slice("stored, 100 lines", many.server.pid(), many.server.public, &fill::webhooks(&many.lines, &run));
            for (lines, row) in [(1, "stored and delivered"), (MANY_LINES, "stored and delivered, 100 lines")] {
                let pair = Delivering::start(bench, lines);
                slice(row, pair.server.pid(), pair.server.public, &fill::webhooks(&pair.lines, &run));
            }
        }
    }
    println!("raw syncs/s {}, median ms {}", raw.show(), syncs.show());
    table.print();
    let rate = |row: &str, baseline: &str| table.ratio("requests/s", row, baseline);
    let faster = [Kind::Hyper, Kind::HyperPool]
        .map(|kind| format!("64: {}", kind.name()))
        .into_iter()
        .max_by(|one, other| {
            let median = |row: &str| table.get(row, "requests/s").median();
            median(one).total_cmp(&median(other))
        })
        .unwrap();
    let mut verdicts = Verdicts::default();
    verdicts.add(&format!("stored : {faster} (the faster one)"), &rate("64: stored", &faster), Target::AtLeast(0.6));
    verdicts.add("stored : tiny_http", &rate("64: stored", "64: tiny_http"), Target::AtLeast(1.0));
    verdicts.add("stored : nothing to store", &rate("64: stored", "64: nothing to store"), Target::None);
    verdicts.add("100 lines : one line", &rate("64: stored, 100 lines", "64: stored"), Target::None);
    // The design's limit is for a disk of 0.2 ms.
    let limit = if syncs.median() <= 0.3 { Target::AtMost(12.0) } else { Target::None };
    verdicts.add("99 % ms, 64 connections", &table.get("64: stored", "99 % ms"), limit);
    for connections in &CONNECTIONS[1..] {
        for kind in [Kind::Hyper, Kind::TinyHttp] {
            let (row, baseline) = (format!("{connections}: stored"), format!("{connections}: {}", kind.name()));
            verdicts.add(&format!("{row} : {}", kind.name()), &rate(&row, &baseline), Target::None);
        }
    }
    verdicts.print();
}
