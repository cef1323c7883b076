//! Posts that keep their workers for long must not keep the others waiting: their places are given to further threads.

use std::time::Duration;

use super::SenderLoop;

/// A post that has had no answer for so long gives its worker's place to a line that waits for one.
const SLOW_AFTER: Duration = Duration::from_secs(1);

impl SenderLoop {
    /// Lines wait for a worker, and a slow post could give up its own.
    pub(super) fn is_starving(&self) -> bool {
        self.pool.free == 0 && !self.ready.is_empty() && self.pool.can_relieve()
    }

    /// Gives the places of slow posts to the lines that wait. The posts are looked through when the oldest of them may
    /// have become slow, not at each event.
    pub(super) fn relieve(&mut self) {
        let now = self.clock.now();
        if !self.is_starving() || self.relief_at.is_some_and(|at| at > now) {
            return;
        }
        self.relief_at = None;
        let flights = self.lines.values_mut().filter_map(|line| line.flight.as_mut());
        for flight in flights.filter(|flight| !flight.slow && !flight.answered) {
            let slow_at = flight.began.plus(SLOW_AFTER);
            if slow_at <= now {
                flight.slow = self.pool.relieve();
            }
            if !flight.slow {
                self.relief_at = Some(self.relief_at.map_or(slow_at, |at| at.min(slow_at)));
            }
        }
    }
}
