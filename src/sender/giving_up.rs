//! The way out of the queue without a confirmation: rows become dead letters in steps, so that other commands get their
//! turn between two, and the line moves on when the last step is on the disk.

use super::line::Moving;
use super::{Event, SenderLoop};
use crate::ids::{LineId, MessageId, PortalId};
use crate::queue::{dead, lost};
use crate::store::counters::Direction;

/// Rows moved to dead letters in one command.
const BURY_STEP: usize = 500;

impl SenderLoop {
    pub(super) fn bury_one(&mut self, id: LineId, row: MessageId, moving: Moving, why: String) {
        if let Some(task) = self.lines.get_mut(&id) {
            task.moving = Some(moving);
            task.writes += 1;
        }
        let reason = if moving == Moving::Poison { dead::Reason::Poison } else { dead::Reason::Unreadable };
        log::error!(line:% = id, message:% = row, error = why.as_str(); "a message became a dead letter");
        let (bell, told) = (self.bell.clone(), self.options.tell.is_some());
        self.writer.submit(
            move |tx| {
                let lost = if told { lost::of_row(tx, row)? } else { None };
                let buried = dead::bury(tx, Direction::In, row, reason, &why)?;
                if let Some(lost) = lost.filter(|_| buried) {
                    lost::add(tx, id, &lost)?;
                }
                Ok(())
            },
            move |result| bell.tell(if result.is_ok() { Event::Buried(id, 0) } else { Event::NotWritten(id) }),
        );
    }

    /// Moves a step of the line's rows to dead letters; [`Event::Buried`] tells how many. Of customers' messages that are
    /// lost with the end of the schedule the portal will hear; after a takeover it hears of that instead.
    pub(super) fn bury(&mut self, id: LineId, reason: dead::Reason) {
        let bell = self.bell.clone();
        let told = self.options.tell.is_some() && reason == dead::Reason::Expired;
        let error = match reason {
            dead::Reason::TakenOver => "the bot, group or page now belongs to another line".to_owned(),
            _ => self.lines.get(&id).and_then(|task| task.record.last_error.clone()).unwrap_or_default(),
        };
        if let Some(task) = self.lines.get_mut(&id) {
            task.writes += 1;
        }
        self.writer.submit(
            move |tx| {
                let lost = if told { lost::of_head(tx, id, BURY_STEP)? } else { None };
                let moved = dead::bury_line(tx, Direction::In, id, reason, &error, BURY_STEP)?;
                if let Some(lost) = lost {
                    lost::add(tx, id, &lost)?;
                }
                if reason == dead::Reason::TakenOver {
                    return Ok(moved + dead::bury_line(tx, Direction::Out, id, reason, &error, BURY_STEP)?);
                }
                Ok(moved)
            },
            move |result| match result {
                Ok(moved) => bell.tell(Event::Buried(id, moved)),
                Err(error) => {
                    log::error!(line:% = id, error:% = error; "dead letters could not be written");
                    bell.tell(Event::NotWritten(id));
                }
            },
        );
    }

    /// The end of the schedule: everything the line has queued becomes dead letters, also what came in meanwhile.
    pub(super) fn expire(&mut self, id: LineId) {
        let Some(task) = self.lines.get_mut(&id) else { return };
        log::error!(
            line:% = id, attempts = task.record.attempts;
            "the portal confirmed nothing for the whole schedule: the line's queue becomes dead letters"
        );
        task.moving = Some(Moving::Expired);
        self.bury(id, dead::Reason::Expired);
    }

    pub(super) fn buried(&mut self, id: LineId, moved: usize) {
        let Some(task) = self.lines.get_mut(&id) else { return };
        task.writes = task.writes.saturating_sub(1);
        let moving = task.moving;
        if moved >= BURY_STEP {
            let reason = if moving == Some(Moving::Expired) { dead::Reason::Expired } else { dead::Reason::TakenOver };
            self.bury(id, reason);
            return;
        }
        task.moving = None;
        task.pending = true;
        match moving {
            Some(Moving::Expired) => {
                let error = task.record.last_error.take();
                task.lift(error);
                self.save_block(id, Vec::new(), None);
            }
            Some(Moving::TakenOver) => task.emptied = true,
            Some(Moving::One | Moving::Poison) | None => (),
        }
        self.loss(id);
        if moving == Some(Moving::Poison) {
            // Others pass, so it can hear of this one now.
            if let Some(portal) = self.lines.get(&id).map(|task| task.record.portal) {
                self.tell_losses(portal);
            }
        }
        self.consider(id);
    }

    /// The line may have lost something of which its portal has yet to hear.
    pub(super) fn loss(&mut self, id: LineId) {
        if let Some(task) = self.lines.get(&id)
            && self.options.tell.is_some()
            && let Some(portal) = self.portals.get_mut(&task.record.portal)
        {
            portal.untold.insert(id);
        }
    }

    /// The portal can hear: what its lines have lost becomes news in their queues.
    pub(super) fn tell_losses(&mut self, id: PortalId) {
        let Some(how) = self.options.tell else { return };
        let Some(portal) = self.portals.get_mut(&id) else { return };
        for line in std::mem::take(&mut portal.untold) {
            let bell = self.bell.clone();
            if let Some(task) = self.lines.get_mut(&line) {
                task.writes += 1;
            }
            self.writer.submit(
                move |tx| lost::tell(tx, line, how),
                move |result| {
                    if let Err(error) = result {
                        log::error!(line:% = line, error:% = error; "the news of a loss could not be written");
                    }
                    bell.tell(Event::Written(line));
                    bell.wake(line);
                },
            );
        }
    }
}
