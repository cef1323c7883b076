//! What figures promise: judged here, said in `words`.

use std::time::Duration;

use super::place::{Kind, Place};
use super::{Figures, Round};

/// A sync that takes this long is a spinning disk's, a network disk's or a busy one's.
const SLOW: Duration = Duration::from_millis(2);
/// No write to a disk is as fast as this; only a cache answers so.
const CACHE: Duration = Duration::from_micros(20);
/// What of the store's figure the whole server reaches: it also speaks HTTP, proves webhooks, posts to portals and deletes
/// what was confirmed. `docs/capacity.md` has both measured side by side.
const WHOLE_SERVER: f64 = 0.25;
const DAY_SECS: f64 = 86_400.0;

/// What the disk's own word is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disk {
    /// Nothing speaks against it.
    Sound,
    /// Safe, but each sync takes long.
    Slow,
    /// It says "written" sooner than a disk can write.
    Cached,
    /// It lies in memory.
    Memory,
    /// It lies on another machine.
    Network,
    /// A program behind FUSE decides.
    Program,
}

impl Disk {
    /// As it stands in the document.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sound => "sound",
            Self::Slow => "slow",
            Self::Cached => "cached",
            Self::Memory => "memory",
            Self::Network => "network",
            Self::Program => "program",
        }
    }

    /// Whether the figures hold when the power fails.
    pub fn is_trusted(self) -> bool {
        match self {
            Self::Sound | Self::Slow => true,
            Self::Cached | Self::Memory | Self::Network | Self::Program => false,
        }
    }
}

/// What sets the limit for many connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Its syncs.
    Disk,
    /// Its one core for the writer.
    Cpu,
}

impl Limit {
    /// As it stands in the document.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Disk => "disk",
            Self::Cpu => "cpu",
        }
    }
}

/// What can be said of a place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Promise {
    /// What the disk's word is worth.
    pub disk: Disk,
    /// What sets the limit.
    pub limit: Limit,
    /// Messages a second of one caller.
    pub one: f64,
    /// Of many callers.
    pub many: f64,
    /// Of many, without syncs.
    pub unsynced: f64,
    /// What the whole server takes and delivers in a second.
    pub server: f64,
    /// The same in a day.
    pub day: f64,
}

impl Promise {
    /// Judges what was measured at a place.
    pub fn of(place: &Place, figures: &Figures) -> Self {
        let speed = |round: Option<&Round>| round.map_or(0.0, |round| round.speed.per_second);
        let (one, many) = (speed(figures.rounds.first()), speed(figures.rounds.last()));
        let disk = match place.kind {
            Kind::Memory => Disk::Memory,
            Kind::Network => Disk::Network,
            Kind::Program => Disk::Program,
            Kind::Disk if figures.raw.median < CACHE => Disk::Cached,
            Kind::Disk if figures.raw.median >= SLOW => Disk::Slow,
            Kind::Disk => Disk::Sound,
        };
        // With half of what no syncs would give, more than half of the time went into something else.
        // The machine's next second is another one: no syncs at all are never slower.
        let unsynced = figures.unsynced.max(many);
        let limit = if many >= unsynced / 2.0 { Limit::Cpu } else { Limit::Disk };
        let server = many * WHOLE_SERVER;
        Self { disk, limit, one, many, unsynced, server, day: server * DAY_SECS }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::Speed;

    fn judged(kind: Kind, sync_micros: u64, many: f64) -> Promise {
        let speed = |per_second| Speed { count: 1, per_second, median: Duration::ZERO, p99: Duration::ZERO };
        let round = |callers, per_second| Round { callers, speed: speed(per_second), per_sync: 1.0 };
        let raw = Speed { median: Duration::from_micros(sync_micros), ..speed(1.0) };
        let figures =
            Figures { raw, rounds: vec![round(1, 900.0), round(8, 3_000.0), round(64, many)], unsynced: 20_000.0 };
        let place = Place { folder: ".".into(), file_system: None, kind, is_served: false };
        Promise::of(&place, &figures)
    }

    #[test]
    fn disks_are_told_apart_by_their_sync() {
        for (micros, disk) in [
            (0, Disk::Cached),
            (19, Disk::Cached),
            (20, Disk::Sound),
            (1_999, Disk::Sound),
            (2_000, Disk::Slow),
            (12_000, Disk::Slow),
        ] {
            let promise = judged(Kind::Disk, micros, 9_000.0);
            assert_eq!(promise.disk, disk, "{micros} µs");
            assert_eq!(promise.disk.is_trusted(), micros >= 20);
        }
        for (kind, disk) in
            [(Kind::Memory, Disk::Memory), (Kind::Network, Disk::Network), (Kind::Program, Disk::Program)]
        {
            let promise = judged(kind, 500, 9_000.0);
            assert!(promise.disk == disk && !disk.is_trusted());
        }
    }

    #[test]
    fn the_limit_is_what_takes_more_than_half_of_the_time() {
        assert_eq!(judged(Kind::Disk, 500, 9_999.0).limit, Limit::Disk);
        let promise = judged(Kind::Disk, 500, 10_000.0);
        assert_eq!((promise.limit, promise.one, promise.many), (Limit::Cpu, 900.0, 10_000.0));
        assert!((promise.day - promise.server * 86_400.0).abs() < 1e-6 && promise.server < promise.many);
    }
}
