//! The dispatcher driven by hand instead of by its own thread: tests move a manual clock and let it settle. The rules
//! are the same; only the waiting is somebody else's.

use std::cmp::Reverse;
use std::time::Duration;

use super::Dispatcher;
use super::lane::LaneTask;
use crate::clock::UnixMillis;
use crate::store::StoreError;

/// How long an answer of a worker or the disk may take before a settling dispatcher gives up waiting for it.
const PATIENCE: Duration = Duration::from_secs(30);

impl Dispatcher {
    /// When the next timer fires: nothing happens of itself before.
    pub fn next_timer(&self) -> Option<UnixMillis> {
        self.timers.peek().map(|Reverse((at, ..))| *at)
    }

    /// Steps until nothing is left to do at this moment of the clock. False when a worker or the disk kept it waiting too
    /// long.
    pub fn settle(&mut self) -> Result<bool, StoreError> {
        loop {
            self.step()?;
            if self.events.is_empty() && self.ready.is_empty() && self.lanes.values().all(LaneTask::rests) {
                return Ok(true);
            }
            match self.events.recv_timeout(PATIENCE) {
                Ok(event) => self.handle(event)?,
                Err(_) => return Ok(false),
            }
        }
    }
}
