//! The sender driven by hand instead of by its own thread: tests and simulations move a manual clock and let it settle.
//! The rules are the same; only the waiting is somebody else's.

use std::time::Duration;

use super::{Reverse, SenderLoop};
use crate::clock::UnixMillis;
use crate::store::StoreError;

/// How long an answer of a worker or the disk may take before a settling sender gives up waiting for it.
const PATIENCE: Duration = Duration::from_secs(30);

impl SenderLoop {
    /// Packets that wait for an answer; for tests that wait for quiet.
    pub fn in_flight(&self) -> usize {
        self.lines.values().filter(|line| line.flight.is_some()).count()
    }

    /// When the next timer fires: nothing happens of itself before.
    pub fn next_timer(&self) -> Option<UnixMillis> {
        self.timers.peek().map(|Reverse((at, _))| *at)
    }

    /// Steps until nothing is left to do at this moment of the clock: no packet in flight that is not just waiting for
    /// its confirmation, no change on its way to the disk. False when a worker or the disk kept it waiting too long.
    pub fn settle(&mut self) -> Result<bool, StoreError> {
        loop {
            self.step()?;
            if self.is_quiet() {
                return Ok(true);
            }
            match self.events.recv_timeout(PATIENCE) {
                Ok(event) => self.handle(event)?,
                Err(_) => return Ok(false),
            }
        }
    }

    fn is_quiet(&self) -> bool {
        let rests = |line: &super::LineTask| {
            line.moving.is_none() && line.writes == 0 && line.flight.as_ref().is_none_or(|flight| flight.answered)
        };
        self.events.is_empty() && self.ready.is_empty() && self.lines.values().all(rests)
    }
}
