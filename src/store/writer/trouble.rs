//! What the writer says when something outside keeps it: once a while and at the end, however often it happens.

use std::time::Duration;

/// Between two lines in the log about the same.
const TELL_EVERY: Duration = Duration::from_secs(30);
/// So long without a failure is an end.
const QUIET: Duration = Duration::from_secs(1);

/// A database that takes no writes: said once a while and when it is over, not for each of a thousand requests.
#[derive(Debug, Default)]
pub(super) struct Trouble {
    failed: u64,
    last: Option<Duration>,
    told: Option<Duration>,
}

impl Trouble {
    pub(super) fn failed(&mut self, now: Duration, why: &str) {
        self.failed += 1;
        self.last = Some(now);
        if self.told.is_none_or(|told| now.saturating_sub(told) >= TELL_EVERY) {
            self.told = Some(now);
            log::error!(attempts = self.failed, error = why; "the database takes no writes; requests are answered 503");
        }
    }

    pub(super) fn is_on(&self) -> bool {
        self.failed > 0
    }

    /// At the brink small writes still succeed: only a while without failures counts as recovery.
    pub(super) fn over(&mut self, now: Duration) {
        if self.last.is_some_and(|last| now.saturating_sub(last) >= QUIET) {
            log::info!(attempts = self.failed; "the database takes writes again");
            *self = Self::default();
        }
    }
}
