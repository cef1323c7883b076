//! The wall clock was set, or the machine slept: what the sender has noted by the old time moves with it, so that blocks
//! neither vanish nor last for ever. What was stored before this process began is mended when it is read.

use std::cmp::Reverse;

use super::SenderLoop;
use crate::ids::LineId;
use crate::records::Line;

impl SenderLoop {
    /// A line as it was stored, its block as it is to be understood now.
    pub(super) fn mended(&self, mut record: Line) -> Line {
        let stored = (record.first_attempt_at, record.blocked_until);
        (record.first_attempt_at, record.blocked_until) =
            self.options.schedule.mend(record.attempts, stored, self.clock.now());
        record
    }

    /// Looks whether the clock was set since the last look; before anything is decided by it.
    pub(super) fn watch_clock(&mut self) {
        let Some(millis) = self.jumps.look(self.clock.as_ref()) else { return };
        log::warn!(millis; "the clock was set, or the machine slept; blocks last as long as they were meant to");
        self.timers = self.timers.drain().map(|Reverse((at, line))| Reverse((at.shifted(millis), line))).collect();
        self.relief_at = self.relief_at.map(|at| at.shifted(millis));
        for portal in self.portals.values_mut() {
            portal.shift(millis);
        }
        let mut blocked: Vec<LineId> = Vec::new();
        for (id, task) in &mut self.lines {
            task.shift(millis);
            if task.record.blocked_until.is_some() {
                blocked.push(*id);
            }
        }
        for id in blocked {
            self.save_block(id, Vec::new(), None);
        }
    }
}
