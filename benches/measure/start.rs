//! A start with a long queue, after an end in order and after a kill; memory without work and under load; the size of
//! the program.

use std::time::Duration;

use super::Bench;
use super::table::{Samples, Table, Target, Verdicts, number};
use crate::support::fill;
use crate::support::load::Load;

const LINES: usize = 1_000;
/// How long an idle server is left alone before its memory is looked at.
const REST: Duration = Duration::from_secs(2);

pub fn run(bench: &Bench) {
    let (long, lines) = bench.place_without_portal(LINES);
    fill::queue(&long.store(), &lines, bench.queued);
    let (idle, _) = bench.place_without_portal(LINES);
    let queued = format!("{} queued", number(bench.queued as f64));
    let mut table = Table::default();
    let mut raw = Samples::default();
    for round in 0..bench.rounds {
        raw.push(bench.raw().latency.millis(0.5));
        let server = idle.serve();
        table.note("nothing queued", "ready ms", server.ready_after.as_secs_f64() * 1e3);
        std::thread::sleep(REST);
        table.note("nothing queued", "idle MB", server.usage().resident_mb);
        assert!(server.terminate().success());

        let server = long.serve();
        table.note(&queued, "ready ms", server.ready_after.as_secs_f64() * 1e3);
        std::thread::sleep(REST);
        table.note(&queued, "idle MB", server.usage().resident_mb);
        let build = fill::webhooks(&lines, &format!("{round}"));
        let outcome = Load::for_time(server.public, 64, bench.slice, &build).run();
        assert!(outcome.is_clean(), "answers {:?}", outcome.other);
        table.note(&queued, "MB at most under load", server.usage().peak_mb);
        server.kill();

        let server = long.serve();
        table.note(&queued, "ready ms after a kill", server.ready_after.as_secs_f64() * 1e3);
        assert!(server.terminate().success());
    }
    println!("raw sync, median ms {}", raw.show());
    table.print();
    let mut verdicts = Verdicts::default();
    verdicts.add("ready ms", &table.get(&queued, "ready ms"), Target::AtMost(100.0));
    verdicts.add("ready ms after a kill", &table.get(&queued, "ready ms after a kill"), Target::AtMost(100.0));
    verdicts.add("MB idle with 1,000 lines", &table.get("nothing queued", "idle MB"), Target::AtMost(30.0));
    verdicts.add("MB under load", &table.get(&queued, "MB at most under load"), Target::AtMost(100.0));
    let size = std::fs::metadata(&bench.program).unwrap().len() as f64 / 1e6;
    verdicts.add("the program, MB", &Samples::from_iter([size]), Target::AtMost(15.0));
    verdicts.print();
}
