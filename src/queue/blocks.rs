//! The block schedule (design §6), pure: how many attempts have failed and when → blocked until when, or give up.

use std::time::Duration;

use crate::clock::UnixMillis;

/// What an unconfirmed attempt leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// Failed attempts including this one.
    pub attempts: u32,
    /// The first of them.
    pub first_attempt_at: UnixMillis,
    /// Nothing is posted before; after the last one everything becomes dead letters.
    pub until: UnixMillis,
    /// This was the last attempt of the table.
    pub last: bool,
}

/// The table of waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule(Vec<Duration>);

/// A portal that asks to come again at once is not taken at its word.
const PAUSE_MIN: Duration = Duration::from_secs(1);

/// Time for one more attempt when the schedule has ended unseen. A running server acts at its end within milliseconds.
const LAST_CALL: Duration = Duration::from_mins(1);

/// The default waits in microseconds: 42.1875 s twice, then doubling up to 12 h.
const DEFAULT_MICROS: [u64; 12] = [
    42_187_500,
    42_187_500,
    84_375_000,
    168_750_000,
    337_500_000,
    675_000_000,
    1_350_000_000,
    2_700_000_000,
    5_400_000_000,
    10_800_000_000,
    21_600_000_000,
    43_200_000_000,
];

const _: () = {
    let (mut rest, mut total, mut last) = (DEFAULT_MICROS.as_slice(), 0, 0);
    while let [next, tail @ ..] = rest {
        assert!(last <= *next, "no wait is shorter than the one before");
        (rest, total, last) = (tail, total + *next, *next);
    }
    assert!(last == 12 * 3_600_000_000, "the last wait is 12 hours");
    assert!(total == 24 * 3_600_000_000, "24 hours in all");
};

impl Default for Schedule {
    fn default() -> Self {
        Self(DEFAULT_MICROS.into_iter().map(Duration::from_micros).collect())
    }
}

impl Schedule {
    /// A schedule of these waits; an empty list gives the default one.
    pub fn new(waits: Vec<Duration>) -> Self {
        if waits.is_empty() { Self::default() } else { Self(waits) }
    }

    /// Time from the first attempt to the end of the last block.
    pub fn total(&self) -> Duration {
        self.0.iter().sum()
    }

    /// How many attempts there are before giving up.
    pub fn attempts(&self) -> u32 {
        u32::try_from(self.0.len()).unwrap_or(u32::MAX)
    }

    /// The wait after failed attempt `k`, counted from 1.
    pub fn wait(&self, k: u32) -> Duration {
        let last = self.0.last().copied().unwrap_or_default();
        usize::try_from(k).ok().and_then(|k| self.0.get(k.checked_sub(1)?)).copied().unwrap_or(last)
    }

    /// The block after an attempt that began at `began` and failed at `failed`. `before` is how many failed until then
    /// and when the first began. Waits run from the failure, so that a portal that answers slowly is not hammered; only
    /// the end of the schedule is fixed: exactly [`Schedule::total`] after the first attempt began.
    pub fn block(&self, before: (u32, Option<UnixMillis>), began: UnixMillis, failed: UnixMillis) -> Block {
        let attempts = before.0.saturating_add(1).min(self.attempts());
        let first_attempt_at = before.1.unwrap_or(began);
        let end = first_attempt_at.plus(self.total());
        let last = attempts >= self.attempts();
        let until = if last { end } else { failed.plus(self.wait(attempts)).min(end) };
        Block { attempts, first_attempt_at, until, last }
    }

    /// The block after an answer that asked for a pause (`Retry-After`): `wish`, but never longer than the block would
    /// have been. It is no failed attempt, though the 24 hours run from it when it was the first trouble.
    pub fn pause(
        &self,
        before: (u32, Option<UnixMillis>),
        began: UnixMillis,
        answered: UnixMillis,
        wish: Duration,
    ) -> Block {
        let attempts = before.0;
        let first_attempt_at = before.1.unwrap_or(began);
        let wait = wish.max(PAUSE_MIN).min(self.wait(attempts.saturating_add(1)));
        let until = answered.plus(wait).min(first_attempt_at.plus(self.total()));
        Block { attempts, first_attempt_at, until, last: false }
    }

    /// What a stored block, `first_attempt_at` and `blocked_until`, means at `now`, whatever the clock has done since it
    /// was written. It lasts no longer than a block of its row of the table, and its day has begun by now: a clock that
    /// was set back must not make them longer. A day that has ended unseen, because the server was off or the clock was
    /// set forward, leaves time for one more attempt: nothing is given up that nobody has asked for.
    pub fn mend(
        &self,
        attempts: u32,
        stored: (Option<UnixMillis>, Option<UnixMillis>),
        now: UnixMillis,
    ) -> (Option<UnixMillis>, Option<UnixMillis>) {
        // A pause that the portal asked for may be as long as the next block.
        let longest = now.plus(self.wait(attempts.saturating_add(1)));
        let millis = |time: Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        // Latest begin at which the day is not long over.
        let oldest = now.shifted(-millis(self.total()));
        let first = stored.0.map(|first| {
            let unseen = now.since(first.plus(self.total())) > LAST_CALL;
            if unseen { oldest.plus(LAST_CALL) } else { first.min(now) }
        });
        (first, stored.1.map(|until| until.min(longest)))
    }

    /// The line's time is over: the last block has ended.
    pub fn is_over(&self, first_attempt_at: Option<UnixMillis>, now: UnixMillis) -> bool {
        first_attempt_at.is_some_and(|first| now >= first.plus(self.total()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Design §6: twelve attempts, exactly 24 h.
    #[test]
    fn twelve_attempts_last_exactly_24_hours() {
        let schedule = Schedule::default();
        let start = UnixMillis(1_500_000_000_000);
        let (mut before, mut now) = ((0, None), start);
        for k in 1..=12 {
            let block = schedule.block(before, now, now);
            assert_eq!((block.attempts, block.first_attempt_at, block.last), (k, start, k == 12));
            assert!(!schedule.is_over(Some(start), UnixMillis(block.until.0 - 1)));
            before = (block.attempts, Some(block.first_attempt_at));
            now = block.until;
        }
        assert_eq!(now.since(start), Duration::from_hours(24));
        assert!(schedule.is_over(Some(start), now));
    }

    #[test]
    fn slow_failures_shorten_the_last_block_not_the_day() {
        let schedule = Schedule::default();
        let start = UnixMillis(0);
        let (mut before, mut now) = ((0, None), start);
        let mut block = schedule.block(before, now, now);
        for _ in 0..12 {
            block = schedule.block(before, now, now.plus(Duration::from_secs(90)));
            before = (block.attempts, Some(block.first_attempt_at));
            now = block.until;
        }
        assert!(block.last);
        assert_eq!(block.until.since(start), Duration::from_hours(24));
    }

    #[test]
    fn a_stored_block_means_the_same_whatever_the_clock_did() {
        let schedule = Schedule::default();
        let (start, day) = (UnixMillis(1_500_000_000_000), Duration::from_hours(24));
        for attempts in 1..=12 {
            let mut before = (0, None);
            let mut block = schedule.block(before, start, start);
            while block.attempts < attempts {
                before = (block.attempts, Some(block.first_attempt_at));
                block = schedule.block(before, block.until, block.until);
            }
            let stored = (Some(block.first_attempt_at), Some(block.until));
            let mend = |now| schedule.mend(attempts, stored, now);
            let wait = schedule.wait(attempts);
            let failed = UnixMillis(block.until.0 - i64::try_from(wait.as_millis()).unwrap());
            for unchanged in
                [failed, UnixMillis(block.until.0 - 1), block.until, start.plus(day), start.plus(day + LAST_CALL)]
            {
                assert_eq!(mend(unchanged), stored, "attempt {attempts}, seen at {unchanged:?}");
            }
            // Set back by a day: neither for ever nor gone.
            let back = UnixMillis(failed.0 - 86_400_000);
            let (first, until) = mend(back);
            assert_eq!(first, Some(back.min(start)));
            assert!(until > Some(back) && until <= Some(back.plus(schedule.wait(attempts + 1))), "attempt {attempts}");
            // Set forward, or off, by a day and more: one more attempt, and then the end.
            let late = start.plus(day * 3);
            let (first, until) = mend(late);
            assert!(until <= Some(late) && !schedule.is_over(first, late), "attempt {attempts}");
            let failed = schedule.block((attempts, first), late, late.plus(Duration::from_secs(90)));
            assert!(schedule.is_over(Some(failed.first_attempt_at), failed.until), "attempt {attempts}");
            assert!(failed.until.since(late) <= LAST_CALL);
        }
        assert_eq!(schedule.mend(0, (None, None), start), (None, None));
    }

    #[test]
    fn a_configured_table_is_followed() {
        let schedule = Schedule::new(vec![Duration::from_secs(1), Duration::from_secs(3)]);
        let first = schedule.block((0, None), UnixMillis(0), UnixMillis(0));
        assert_eq!((first.until, first.last), (UnixMillis(1000), false));
        let second = schedule.block((1, Some(UnixMillis(0))), UnixMillis(1000), UnixMillis(1500));
        assert_eq!((second.until, second.last), (UnixMillis(4000), true));
    }

    #[test]
    fn a_wished_pause_is_kept_within_the_block_and_is_no_attempt() {
        let schedule = Schedule::default();
        let start = UnixMillis(0);
        let pause = |before, wish| schedule.pause(before, start, start, Duration::from_secs(wish));
        for (wish, until) in [(0, 1_000), (5, 5_000), (42, 42_000), (43, 42_187), (1_000_000, 42_187)] {
            let block = pause((0, None), wish);
            assert_eq!((block.attempts, block.until, block.last), (0, UnixMillis(until), false), "{wish} s");
            assert_eq!(block.first_attempt_at, start);
        }
        assert_eq!(pause((3, Some(start)), 600).until, UnixMillis(168_750), "the 4th wait");
        let late = schedule.total().as_millis() - 1_000;
        let late = UnixMillis(i64::try_from(late).unwrap());
        let block = schedule.pause((12, Some(start)), late, late, Duration::from_hours(1));
        assert_eq!(block.until.since(start), Duration::from_hours(24), "the day ends all the same");
        assert!(!schedule.is_over(None, UnixMillis(i64::MAX)));
    }
}
