//! Logging: the one set-up of env_logger, the list of keys, and [`Repeats`], which keeps a failing loop from filling
//! the disk (promise 10). A line has a fixed message and its facts in keys; never content, secrets, whole webhook
//! addresses or foreign `Debug` output.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use env_logger::{Builder, TimestampPrecision, WriteStyle};
use log::LevelFilter;

/// Every key that a log line may have.
pub const KEYS: &[&str] = &["line", "portal", "connector", "message", "attempts", "millis", "error", "request"];

/// What goes to standard error and how.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    /// `-q`: errors only.
    pub quiet: bool,
    /// Number of `-v`: one shows requests and packets, two sizes and timings.
    pub verbose: u8,
    /// Colours when standard error is a terminal.
    pub color: bool,
    /// Off under journald, which has its own.
    pub timestamps: bool,
}

impl Style {
    fn level(self) -> LevelFilter {
        match (self.quiet, self.verbose) {
            (true, _) => LevelFilter::Error,
            (false, 0) => LevelFilter::Info,
            (false, 1) => LevelFilter::Debug,
            (false, _) => LevelFilter::Trace,
        }
    }
}

/// Starts logging; a second call changes nothing.
pub fn init(style: Style) {
    // The error says only that a logger is there already, as in a test that runs several commands.
    let _ = builder(style).try_init();
}

/// Other people's crates speak from warnings on: at debug level HTTP libraries print headers, which hold secrets.
fn builder(style: Style) -> Builder {
    let mut builder = Builder::new();
    builder
        .filter_level(style.level().min(LevelFilter::Warn))
        .filter_module("trunkline", style.level())
        .write_style(if style.color { WriteStyle::Auto } else { WriteStyle::Never })
        .format_timestamp(style.timestamps.then_some(TimestampPrecision::Millis))
        .format_target(false);
    builder
}

/// Lets the same warning through once a while. Bounded: the subject that was silent longest is forgotten first.
#[derive(Debug)]
pub struct Repeats {
    every: Duration,
    most: usize,
    seen: Mutex<BTreeMap<String, Seen>>,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    told_at: Duration,
    held_back: u64,
    total: u64,
}

impl Repeats {
    /// Tells a subject at most once every `every`, and remembers `most` of them.
    pub fn new(every: Duration, most: usize) -> Self {
        Self { every, most, seen: Mutex::default() }
    }

    /// Notes a failure of `subject` at `ticks` ([`crate::clock::Clock::ticks`]). `Some` asks the caller to log it and
    /// says how many were held back since the last time.
    pub fn failed(&self, subject: &str, ticks: Duration) -> Option<u64> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = seen.get_mut(subject) {
            known.total = known.total.saturating_add(1);
            if ticks.saturating_sub(known.told_at) < self.every {
                known.held_back = known.held_back.saturating_add(1);
                return None;
            }
            known.told_at = ticks;
            return Some(std::mem::take(&mut known.held_back));
        }
        if seen.len() >= self.most {
            let oldest = seen.iter().min_by_key(|(_, known)| known.told_at).map(|(name, _)| name.clone());
            oldest.map(|name| seen.remove(&name));
        }
        seen.insert(subject.to_owned(), Seen { told_at: ticks, held_back: 0, total: 1 });
        Some(0)
    }

    /// Notes that `subject` works again. `Some` asks the caller to say so and tells after how many failures.
    pub fn recovered(&self, subject: &str) -> Option<u64> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.remove(subject).map(|known| known.total)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::Arc;

    use env_logger::Target;
    use log::{Level, Log, Record};

    use super::*;

    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn written(style: Style, target: &str, level: Level) -> String {
        let shared = Shared::default();
        let logger = builder(style).target(Target::Pipe(Box::new(shared.clone()))).build();
        let facts = [("line", 7)];
        let record = Record::builder()
            .level(level)
            .target(target)
            .key_values(&facts)
            .args(format_args!("portal refused the packet"))
            .build();
        if logger.enabled(record.metadata()) {
            logger.log(&record);
        }
        let bytes = shared.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn facts_are_printed_and_levels_follow_the_flags() {
        let style = Style { quiet: false, verbose: 0, color: false, timestamps: false };
        assert_eq!(written(style, "trunkline::sender", Level::Warn), "[WARN ] portal refused the packet line=7\n");
        for (quiet, verbose, level, shown) in [
            (false, 0, Level::Info, true),
            (false, 0, Level::Debug, false),
            (false, 1, Level::Debug, true),
            (false, 1, Level::Trace, false),
            (false, 2, Level::Trace, true),
            (true, 0, Level::Warn, false),
            (true, 0, Level::Error, true),
        ] {
            let style = Style { quiet, verbose, ..style };
            assert_eq!(!written(style, "trunkline", level).is_empty(), shown, "{quiet} {verbose} {level}");
        }
    }

    /// Promise 9: HTTP libraries print headers at debug level.
    #[test]
    fn other_crates_stay_silent_below_warnings() {
        let style = Style { quiet: false, verbose: 9, color: false, timestamps: false };
        assert_eq!(written(style, "ureq::run", Level::Info), "");
        assert_ne!(written(style, "ureq::run", Level::Warn), "");
    }

    /// Promise 10.
    #[test]
    fn a_repeated_warning_is_told_once_a_while() {
        let repeats = Repeats::new(Duration::from_secs(30), 2);
        let at = Duration::from_secs;
        assert_eq!(repeats.failed("a", at(0)), Some(0));
        assert_eq!(repeats.failed("a", at(1)), None);
        assert_eq!(repeats.failed("a", at(29)), None);
        assert_eq!(repeats.failed("b", at(29)), Some(0));
        assert_eq!(repeats.failed("a", at(30)), Some(2));
        assert_eq!(repeats.recovered("a"), Some(4));
        assert_eq!(repeats.recovered("a"), None);
        assert_eq!(repeats.failed("c", at(31)), Some(0));
        assert_eq!(repeats.failed("d", at(32)), Some(0), "`b` makes room");
        assert_eq!(repeats.recovered("b"), None);
        assert_eq!(repeats.seen.lock().unwrap().len(), 2);
    }
}
