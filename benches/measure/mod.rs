//! The measurements, each a module; every one prints one table and holds its ratios against the design's targets.

mod accept;
pub mod baseline;
mod dead;
mod depth;
mod disk;
mod idle_connections;
mod idle_line;
mod lines;
mod peer;
mod pipeline;
mod rig;
mod start;
mod table;

use std::path::PathBuf;
use std::time::Duration;

use crate::support::fill::{self, Line};
use crate::support::machine::{Raw, raw_syncs};
use crate::support::server::Place;

/// One of them.
pub struct Measurement {
    pub name: &'static str,
    pub about: &'static str,
    pub run: fn(&Bench),
}

/// All of them, in the order in which they run.
pub const MEASUREMENTS: &[Measurement] = &[
    Measurement { name: "disk", about: "rows committed for each raw sync, in this process", run: disk::run },
    Measurement { name: "accept", about: "webhooks stored, against servers that do less", run: accept::run },
    Measurement { name: "pipeline", about: "delivered under load, processor time of a message", run: pipeline::run },
    Measurement { name: "peer", about: "the whole way, against PHP with a table in MariaDB", run: peer::run },
    Measurement { name: "idle-line", about: "from the 200 to the first byte at the portal", run: idle_line::run },
    Measurement { name: "lines", about: "ten thousand lines against ten", run: lines::run },
    Measurement { name: "dead", about: "portals that never answer beside a hundred that do", run: dead::run },
    Measurement { name: "idle-connections", about: "5,000 silent connections", run: idle_connections::run },
    Measurement { name: "depth", about: "a million messages queued against ten thousand", run: depth::run },
    Measurement { name: "start", about: "time to ready, memory, size of the program", run: start::run },
];

/// How to measure.
pub struct Bench {
    pub rounds: usize,
    /// Length of one slice of a round.
    pub slice: Duration,
    pub folder: PathBuf,
    pub program: PathBuf,
    /// Messages of a long queue.
    pub queued: i64,
}

/// A line that failed once is left alone: only what a measurement means to be blocked or free is.
const ONE_LONG_BLOCK: &str = "[retry]\nblocks = [\"12h\"]\n";
/// Nobody listens on the discard port.
const NOBODY: &str = "http://127.0.0.1:9";

impl Bench {
    /// A place for a server whose lines stay blocked after their first failure. `more` is further configuration.
    fn place(&self, more: &str) -> Place {
        Place::new(&self.folder, &self.program, &format!("{ONE_LONG_BLOCK}{more}"))
    }

    /// The same with lines whose portals nobody answers for: their servers accept and do nothing else.
    fn place_without_portal(&self, lines: usize) -> (Place, Vec<Line>) {
        let place = self.place("");
        let lines = fill::lines(&place.store(), &[NOBODY.to_owned()], lines);
        (place, lines)
    }

    /// The disk's own rate, now.
    fn raw(&self) -> Raw {
        raw_syncs(&self.folder, self.slice.min(Duration::from_millis(500)))
    }
}
