//! Thousands of connections that are open and say nothing, beside a few that work.

use super::Bench;
use super::rig::{Alone, note};
use super::table::{Samples, Table, Target, Verdicts};
use crate::support::fill;
use crate::support::load::{Load, idle_connections};

const IDLE: usize = 5_000;
const ACTIVE: usize = 16;
/// Request workers, delivery workers and channel workers of the default configuration.
const POOLS: f64 = 64.0 + 16.0 + 16.0;

pub fn run(bench: &Bench) {
    let alone = Alone::start(bench, 1);
    let mut table = Table::default();
    let mut raw = Samples::default();
    for round in 0..bench.rounds {
        raw.push(bench.raw().per_second);
        for idle in [0, IDLE] {
            let connections = idle_connections(alone.server.public, idle);
            let builds = [
                ("stored", fill::webhooks(&alone.lines, &format!("{round}-{idle}"))),
                ("nothing to store", fill::traces(&alone.lines)),
            ];
            for (what, build) in builds {
                let row = format!("{what}, {idle} idle");
                let load = Load::for_time(alone.server.public, ACTIVE, bench.slice, &build);
                note(&mut table, &row, alone.server.pid(), || load.run());
                let usage = alone.server.usage();
                table.note(&row, "MB", usage.resident_mb);
                table.note(&row, "threads", usage.threads as f64);
                table.note(&row, "connections", alone.server.figures().sum("http_connections"));
            }
            drop(connections);
        }
    }
    println!("raw syncs/s {}", raw.show());
    table.print();
    let mut verdicts = Verdicts::default();
    for what in ["stored", "nothing to store"] {
        let [without, with] = [0, IDLE].map(|idle| format!("{what}, {idle} idle"));
        let ratio = table.ratio("requests/s", &with, &without);
        verdicts.add(&format!("requests/s, {what}: with : without"), &ratio, Target::AtLeast(0.95));
    }
    let threads = table.get(&format!("stored, {IDLE} idle"), "threads").each(|threads| threads - POOLS);
    verdicts.add("threads beyond the pools", &threads, Target::AtMost(20.0));
    verdicts.print();
}
