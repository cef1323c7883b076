//! Servers with what they need around them, and the ways in which they are loaded.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::Bench;
use super::table::Table;
use crate::support::fill::{self, Line};
use crate::support::load::{Build, Load, Outcome, Until};
use crate::support::portal::{Ears, Sink};
use crate::support::process;
use crate::support::server::{Place, Server};

/// How long a load runs before a steady slice of it is looked at.
pub const WARM_UP: Duration = Duration::from_millis(500);

/// Runs a load and notes what came of it and what it cost the process; every request must have been answered 200.
pub fn note(table: &mut Table, row: &str, pid: u32, load: impl FnOnce() -> Outcome) -> Outcome {
    let before = process::cpu(pid);
    let outcome = load();
    let cpu = process::cpu(pid).saturating_sub(before);
    assert!(outcome.is_clean(), "{row}: answers {:?}, broken connections {}", outcome.other, outcome.broken);
    table.note(row, "requests/s", outcome.rate());
    table.note(row, "median ms", outcome.latency.millis(0.5));
    table.note(row, "99 % ms", outcome.latency.millis(0.99));
    table.note(row, "CPU µs each", cpu.as_secs_f64() * 1e6 / outcome.ok as f64);
    outcome
}

/// What a server did while a load went on that had begun before and ended after.
pub struct Steady {
    pub accepted: f64,
    pub delivered: f64,
    pub outcome: Outcome,
}

/// Loads a server from 64 connections and looks at a slice from the middle: what is on its way at both ends is the same
/// then, unless more and more stays behind.
pub fn steady(time: Duration, server: &Server, build: &Build) -> Steady {
    let stop = Arc::new(AtomicBool::new(false));
    let load = Load { until: Until::Told(Arc::clone(&stop)), ..Load::for_requests(server.public, 64, 0, build) };
    let load = load.spawn();
    std::thread::sleep(WARM_UP);
    let (before, begin) = (server.figures(), Instant::now());
    std::thread::sleep(time);
    let (after, seconds) = (server.figures(), begin.elapsed().as_secs_f64());
    stop.store(true, Ordering::Relaxed);
    let outcome = load.join().unwrap();
    assert!(outcome.is_clean(), "answers {:?}, broken connections {}", outcome.other, outcome.broken);
    Steady {
        accepted: (after.accepted() - before.accepted()) / seconds,
        delivered: (after.confirmed() - before.confirmed()) / seconds,
        outcome,
    }
}

/// A server that delivers to nobody.
pub struct Alone {
    pub server: Server,
    pub lines: Vec<Line>,
    _place: Place,
}

impl Alone {
    pub fn start(bench: &Bench, lines: usize) -> Self {
        let (place, lines) = bench.place_without_portal(lines);
        let server = place.serve();
        // So many that each line has failed once.
        let first =
            Load::for_requests(server.public, 8, 2 * lines.len() as u64, &fill::webhooks(&lines, "first")).run();
        assert!(first.is_clean());
        let blocked = server.wait_for(Duration::from_secs(10), |figures| figures.sum("blocked_lines") > 0.0);
        assert!(blocked.is_some(), "nothing was blocked: {}", server.log());
        Self { server, lines, _place: place }
    }
}

/// A server and the portals of its lines, one for each line.
pub struct Delivering {
    pub server: Server,
    pub lines: Vec<Line>,
    pub sink: Sink,
    _place: Place,
}

impl Delivering {
    pub fn start(bench: &Bench, lines: usize) -> Self {
        Self::with(bench, lines, lines, "", &Ears::default())
    }

    /// The same with lines that share portals, with more configuration, and with somebody who hears the portals.
    pub fn with(bench: &Bench, portals: usize, lines: usize, more: &str, ears: &Ears) -> Self {
        let sink = Sink::with(portals, ears);
        let place = bench.place(more);
        let lines = fill::lines(&place.store(), &sink.urls(), lines);
        Self { server: place.serve(), lines, sink, _place: place }
    }

    /// Waits until no more than `left` messages wait for a portal; false when that takes too long.
    pub fn drain(&self, left: f64, patience: Duration) -> bool {
        self.server.wait_for(patience, |figures| figures.queued() <= left).is_some()
    }
}
