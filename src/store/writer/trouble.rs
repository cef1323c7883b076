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

/// The log's usual size is a quarter of it. Beyond this somebody reads the database and does not end: a program beside
/// the server, for our own readers hold no view for longer than a packet.
const LOG_HELD_BYTES: u64 = 256 * 1024 * 1024;

/// Watches the length of the database's log.
#[derive(Debug, Default)]
pub(super) struct LogWatch {
    told: bool,
}

impl LogWatch {
    /// Says once that the log has grown so far, and once that it has shrunk. Returns what was said, for the tests.
    pub(super) fn look(&mut self, bytes: u64) -> Option<&'static str> {
        let is_held = bytes > LOG_HELD_BYTES;
        if is_held == std::mem::replace(&mut self.told, is_held) {
            return None;
        }
        let said = if is_held {
            "another program keeps an old view of the database open: the log grows with every commit, and each is \
             slower; end that program"
        } else {
            "the database's log has its usual size again"
        };
        log::log!(if is_held { log::Level::Warn } else { log::Level::Info }, "{said}");
        Some(said)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_that_is_held_is_told_once_and_its_end_too() {
        let mut watch = LogWatch::default();
        assert_eq!(watch.look(LOG_HELD_BYTES), None);
        assert!(watch.look(LOG_HELD_BYTES + 1).is_some_and(|said| said.contains("end that program")));
        assert_eq!(watch.look(LOG_HELD_BYTES * 2), None);
        assert!(watch.look(65_536_000).is_some_and(|said| said.contains("usual size")));
        assert_eq!(watch.look(0), None);
    }
}
