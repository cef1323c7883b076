//! All time comes from here (promise 11): the 24-hour schedule runs in milliseconds under a [`ManualClock`].

use std::fmt::Debug;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const DAY_MILLIS: i64 = 86_400_000;

/// Milliseconds since 1970-01-01 UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixMillis(pub i64);

impl UnixMillis {
    /// This moment and `after` more; saturates instead of wrapping.
    #[must_use]
    pub fn plus(self, after: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(after.as_millis()).unwrap_or(i64::MAX)))
    }

    /// The same moment after the clock was set by so much.
    #[must_use]
    pub fn shifted(self, millis: i64) -> Self {
        Self(self.0.saturating_add(millis))
    }

    /// How long it is from `earlier` until this moment; zero when `earlier` lies in the future.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// Whole seconds since 1970, as protocols write dates.
    pub fn secs(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// RFC 3339 in UTC with milliseconds: `2026-11-24T10:00:00.000Z`.
    pub fn rfc3339(self) -> String {
        jiff::Timestamp::from_millisecond(self.0).map_or_else(|_| String::from("out of range"), |at| format!("{at:.3}"))
    }
}

/// Within this span of now, people want to see seconds.
const NEAR: Duration = Duration::from_mins(10);

/// Words for people. All of them are UTC and say so, whatever the time zone of the terminal: two administrators who
/// compare what they see must see the same.
impl UnixMillis {
    fn format(self, format: &str) -> String {
        jiff::Timestamp::from_millisecond(self.0)
            .map_or_else(|_| String::from("out of range"), |at| at.strftime(format).to_string())
    }

    /// For the columns of a table whose heading says UTC: `2026-11-24 13:01:05`.
    pub fn stamp(self) -> String {
        self.format("%F %T")
    }

    /// After "since", "until": `13:01 UTC`, `yesterday at 13:01 UTC`, `2026-11-20 13:01 UTC`.
    pub fn spoken(self, now: Self) -> String {
        let near = self.since(now).max(now.since(self)) < NEAR;
        let time = self.format(if near { "%T UTC" } else { "%R UTC" });
        match self.0.div_euclid(DAY_MILLIS) - now.0.div_euclid(DAY_MILLIS) {
            0 => time,
            1 => format!("tomorrow at {time}"),
            -1 => format!("yesterday at {time}"),
            _ => self.format("%F %R UTC"),
        }
    }

    /// As an adverb: `at 13:01 UTC`, `tomorrow at 13:01 UTC`, `on 2026-11-20 at 13:01 UTC`.
    pub fn adverb(self, now: Self) -> String {
        match self.0.div_euclid(DAY_MILLIS) - now.0.div_euclid(DAY_MILLIS) {
            0 => format!("at {}", self.spoken(now)),
            1 | -1 => self.spoken(now),
            _ => self.format("on %F at %R UTC"),
        }
    }
}

/// The source of time.
pub trait Clock: Debug + Send + Sync {
    /// The wall clock.
    fn now(&self) -> UnixMillis;
    /// A monotonic reading for durations; its zero means nothing.
    fn ticks(&self) -> Duration;
}

/// The machine's own clock.
#[derive(Debug)]
pub struct SystemClock {
    start: Instant,
}

impl SystemClock {
    /// A clock whose ticks begin now.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
    pub fn new() -> Self {
        Self { start: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
    fn now(&self) -> UnixMillis {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        UnixMillis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    fn ticks(&self) -> Duration {
        self.start.elapsed()
    }
}

/// A clock that stands still until it is told to move. For tests and for `simulate`.
#[derive(Debug)]
pub struct ManualClock {
    now: AtomicI64,
    /// How much of it was set and has not passed.
    set_by: AtomicI64,
}

impl ManualClock {
    /// A clock that shows `at`.
    pub fn at(at: UnixMillis) -> Self {
        Self { now: AtomicI64::new(at.0), set_by: AtomicI64::new(0) }
    }

    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        self.now.fetch_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX), Ordering::SeqCst);
    }

    /// Moves the clock to a moment, also backwards.
    pub fn set(&self, to: UnixMillis) {
        self.now.store(to.0, Ordering::SeqCst);
    }

    /// Sets the wall clock as an administrator or a time server does: no time passes.
    pub fn jump(&self, millis: i64) {
        self.now.fetch_add(millis, Ordering::SeqCst);
        self.set_by.fetch_add(millis, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> UnixMillis {
        UnixMillis(self.now.load(Ordering::SeqCst))
    }

    fn ticks(&self) -> Duration {
        let passed = self.now().0.saturating_sub(self.set_by.load(Ordering::SeqCst));
        Duration::from_millis(u64::try_from(passed).unwrap_or(0))
    }
}

/// What a clock may gain or lose on its own between two looks: time servers slew it.
const SLEW_MAX_MILLIS: i64 = 10_000;

/// Notices that the wall clock was set while the process ran, or that the machine slept: then what was noted by the old
/// time means something else.
#[derive(Debug)]
pub struct JumpWatch {
    /// The wall clock's lead over the ticks at the last look.
    lead: i64,
}

impl JumpWatch {
    /// From now on.
    pub fn new(clock: &dyn Clock) -> Self {
        Self { lead: lead(clock) }
    }

    /// By how many milliseconds the clock was set since the last look.
    pub fn look(&mut self, clock: &dyn Clock) -> Option<i64> {
        let lead = lead(clock);
        let by = lead.saturating_sub(self.lead);
        self.lead = lead;
        (by.abs() > SLEW_MAX_MILLIS).then_some(by)
    }
}

fn lead(clock: &dyn Clock) -> i64 {
    clock.now().0.saturating_sub(i64::try_from(clock.ticks().as_millis()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_in_words() {
        let now: UnixMillis = UnixMillis(1_790_000_000_000); // 2026-09-21T14:13:20Z
        let at = |secs: i64| UnixMillis(now.0 + secs * 1000);
        for (secs, spoken, adverb) in [
            (65, "14:14:25 UTC", "at 14:14:25 UTC"),
            (-65, "14:12:15 UTC", "at 14:12:15 UTC"),
            (3600, "15:13 UTC", "at 15:13 UTC"),
            (10 * 3600, "tomorrow at 00:13 UTC", "tomorrow at 00:13 UTC"),
            (-24 * 3600, "yesterday at 14:13 UTC", "yesterday at 14:13 UTC"),
            (48 * 3600, "2026-09-23 14:13 UTC", "on 2026-09-23 at 14:13 UTC"),
        ] {
            assert_eq!((at(secs).spoken(now).as_str(), at(secs).adverb(now).as_str()), (spoken, adverb));
        }
        assert_eq!(now.stamp(), "2026-09-21 14:13:20");
        assert_eq!(UnixMillis(i64::MAX).stamp(), "out of range");
    }

    #[test]
    fn a_clock_that_was_set_is_noticed_once_and_time_that_passes_never() {
        let clock = ManualClock::at(UnixMillis(1_500_000_000_000));
        let mut watch = JumpWatch::new(&clock);
        clock.advance(Duration::from_hours(24));
        assert_eq!(watch.look(&clock), None);
        clock.jump(-86_400_000);
        assert_eq!(watch.look(&clock), Some(-86_400_000));
        assert_eq!(watch.look(&clock), None);
        clock.jump(9_000);
        assert_eq!(watch.look(&clock), None, "slewed");
        clock.jump(3_600_000);
        assert_eq!(watch.look(&clock), Some(3_600_000));
    }

    /// Promise 11.
    #[test]
    fn a_manual_clock_moves_only_when_told() {
        let clock = ManualClock::at(UnixMillis(1_500_000_000_000));
        assert_eq!(clock.now(), UnixMillis(1_500_000_000_000));
        clock.advance(Duration::from_hours(24));
        assert_eq!(clock.now().since(UnixMillis(1_500_000_000_000)), Duration::from_hours(24));
        assert_eq!(clock.now().rfc3339(), "2017-07-15T02:40:00.000Z");
    }
}
