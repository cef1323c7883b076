//! What a disk can promise: raw syncs beside commits of the real store, in turn, so that both see the same minutes. Works
//! in a folder of its own, which vanishes; wording is `words`, judging is `promise`, neither measures.

pub mod place;
pub mod promise;
mod raw;
mod stored;
pub mod words;

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::clock::Clock;
use crate::store::{StoreError, WriteError};

pub use place::Place;

/// How many callers store at the same time, round by round: one connection, a few, many.
pub const CALLERS: [usize; 3] = [1, 8, 64];
/// The raw figure is taken before, between and after the rounds.
const SLICES: u32 = 4;

/// Why nothing was measured.
#[derive(Debug)]
pub enum BenchError {
    /// The folder can't be used: which, why.
    Folder {
        /// Which.
        path: PathBuf,
        /// What the system says.
        why: io::Error,
    },
    /// The disk has too little room.
    Full {
        /// Where.
        path: PathBuf,
        /// Free bytes.
        left: u64,
        /// What is asked for.
        needed: u64,
    },
    /// The measurement's own database can't be made.
    Store(StoreError),
    /// A commit was refused.
    Write(WriteError),
    /// A caller's thread can't be started.
    Thread(io::Error),
    /// A signal came.
    Interrupted,
}

impl fmt::Display for BenchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder { path, why } => {
                let help = match why.kind() {
                    io::ErrorKind::PermissionDenied => "; the data directory is its server's, so measure as that user",
                    io::ErrorKind::NotADirectory => "; `data_dir` names a folder",
                    _ => "",
                };
                write!(f, "`{}` can't be measured: {why}{help}", path.display())
            }
            Self::Full { path, left, needed } => write!(
                f,
                "the disk of `{}` has {} MiB left and the measurement needs {} MiB; make room",
                path.display(),
                left / MIB,
                needed / MIB
            ),
            Self::Store(error) => write!(f, "{error}"),
            Self::Write(error) => write!(f, "{error}"),
            Self::Thread(error) => write!(f, "a thread can't be started: {error}"),
            Self::Interrupted => f.write_str("interrupted, nothing is left behind"),
        }
    }
}

impl std::error::Error for BenchError {}

impl From<StoreError> for BenchError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<WriteError> for BenchError {
    fn from(error: WriteError) -> Self {
        Self::Write(error)
    }
}

const MIB: u64 = 1024 * 1024;

/// When a measurement ends: after a while, or at a signal.
#[derive(Clone, Debug)]
pub struct Until {
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Set when a signal has come.
    pub stop: Arc<AtomicBool>,
    end: Duration,
}

impl Until {
    /// From now on for `span`.
    pub fn after(span: Duration, clock: &Arc<dyn Clock>, stop: &Arc<AtomicBool>) -> Self {
        Self { clock: Arc::clone(clock), stop: Arc::clone(stop), end: clock.ticks() + span }
    }

    fn is_over(&self) -> bool {
        self.clock.ticks() >= self.end || self.stop.load(Ordering::Relaxed)
    }

    fn check(&self) -> Result<(), BenchError> {
        if self.stop.load(Ordering::Relaxed) { Err(BenchError::Interrupted) } else { Ok(()) }
    }
}

/// Something done again and again: how long each took, and all of them together.
#[derive(Clone, Debug, Default)]
pub struct Series {
    /// Each, in no order.
    pub each: Vec<Duration>,
    /// From the first's begin to the last's end.
    pub took: Duration,
}

impl Series {
    fn with(mut self, more: &Self) -> Self {
        self.each.extend(&more.each);
        self.took += more.took;
        self
    }

    /// How many in a second.
    #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52")]
    pub fn per_second(&self) -> f64 {
        let secs = self.took.as_secs_f64();
        if secs > 0.0 { self.each.len() as f64 / secs } else { 0.0 }
    }

    fn speed(mut self) -> Speed {
        let per_second = self.per_second();
        self.each.sort_unstable();
        let last = self.each.len().saturating_sub(1);
        let at = |percent: usize| self.each.get(last * percent / 100).copied().unwrap_or_default();
        Speed { count: self.each.len(), per_second, median: at(50), p99: at(99) }
    }
}

/// What a series comes to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Speed {
    /// How many were measured.
    pub count: usize,
    /// How many in a second.
    pub per_second: f64,
    /// Half of them took no longer.
    pub median: Duration,
    /// 99 of a hundred took no longer.
    pub p99: Duration,
}

/// One round of the store.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Round {
    /// Callers at the same time.
    pub callers: usize,
    /// Messages of theirs.
    pub speed: Speed,
    /// Messages for each raw sync of the same minute.
    pub per_sync: f64,
}

/// Everything that was measured.
#[derive(Clone, Debug)]
pub struct Figures {
    /// 4 KB overwritten and synced.
    pub raw: Speed,
    /// One for each of [`CALLERS`].
    pub rounds: Vec<Round>,
    /// The last round again without syncs: what the CPU alone would store in a second.
    pub unsynced: f64,
}

/// Measures the disk of `place`, each thing for `span`.
pub fn disk(
    place: &Place,
    span: Duration,
    clock: &Arc<dyn Clock>,
    stop: &Arc<AtomicBool>,
) -> Result<Figures, BenchError> {
    let folder = place.make()?;
    let figures = measure(folder.path(), span, clock, stop);
    let path = folder.path().to_owned();
    // Also after an error; dropped alone it would not tell what it had to leave behind.
    let closed = folder.close().map_err(|why| BenchError::Folder { path, why });
    figures.and_then(|figures| closed.map(|()| figures))
}

fn measure(
    folder: &std::path::Path,
    span: Duration,
    clock: &Arc<dyn Clock>,
    stop: &Arc<AtomicBool>,
) -> Result<Figures, BenchError> {
    let until = |span: Duration| Until::after(span, clock, stop);
    let refused = |why| BenchError::Folder { path: folder.to_owned(), why };
    let mut raw = raw::Raw::new(folder).map_err(refused)?;
    let mut store = stored::Stored::new(folder, clock)?;
    store.grow(&until(span / 2))?;
    let mut syncs = raw.slice(&until(span / SLICES)).map_err(refused)?;
    let (mut all, mut rounds) = (syncs.clone(), Vec::new());
    for callers in CALLERS {
        let stored = store.round(callers, stored::Safety::Synced, &until(span))?;
        let next = raw.slice(&until(span / SLICES)).map_err(refused)?;
        let beside = syncs.with(&next).per_second();
        let per_sync = if beside > 0.0 { stored.per_second() / beside } else { 0.0 };
        rounds.push(Round { callers, speed: stored.speed(), per_sync });
        all = all.with(&next);
        syncs = next;
    }
    let unsynced = store.round(stored::CALLERS_MAX, stored::Safety::Unsynced, &until(span))?.per_second();
    until(span).check()?;
    Ok(Figures { raw: all.speed(), rounds, unsynced })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;

    fn system() -> (Arc<dyn Clock>, Arc<AtomicBool>) {
        (Arc::new(SystemClock::new()), Arc::default())
    }

    #[test]
    fn a_series_has_its_middle_and_its_tail() {
        let each = (1..=100).rev().map(Duration::from_millis).collect();
        let speed = Series { each, took: Duration::from_secs(10) }.speed();
        assert_eq!((speed.count, speed.median, speed.p99), (100, Duration::from_millis(50), Duration::from_millis(99)));
        assert!((speed.per_second - 10.0).abs() < 1e-9);
        assert_eq!(Series::default().speed().count, 0);
    }

    #[test]
    fn the_folder_vanishes_whatever_happens() {
        let home = tempfile::tempdir().unwrap();
        let (clock, stop) = system();
        let place = Place::of(&home.path().join("not/yet/there")).unwrap();
        let figures = disk(&place, Duration::from_millis(40), &clock, &stop).unwrap();
        assert!(figures.raw.count > 0 && figures.unsynced > 0.0);
        for (round, callers) in figures.rounds.iter().zip(CALLERS) {
            assert!(round.callers == callers && round.speed.count >= callers, "{round:?}");
            assert!(round.speed.median <= round.speed.p99 && round.per_sync > 0.0, "{round:?}");
        }
        stop.store(true, Ordering::Relaxed);
        let error = disk(&place, Duration::from_mins(1), &clock, &stop).unwrap_err();
        assert!(matches!(error, BenchError::Interrupted), "{error}");
        assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0);
    }
}
