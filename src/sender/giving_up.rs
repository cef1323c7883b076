//! The way out of the queue without a confirmation: rows become dead letters in steps, so that other commands get their
//! turn between two, and the line moves on when the last step is on the disk.

use super::line::Moving;
use super::{Event, SenderLoop};
use crate::ids::{LineId, MessageId};
use crate::queue::{dead, lost};
use crate::store::counters::Direction;

/// Rows moved to dead letters in one command.
const BURY_STEP: usize = 500;

impl SenderLoop {
    pub(super) fn bury_one(&mut self, id: LineId, row: MessageId, moving: Moving, why: String) {
        if let Some(task) = self.lines.get_mut(&id) {
            task.moving = Some(moving);
        }
        let reason = if moving == Moving::Poison { dead::Reason::Poison } else { dead::Reason::Unreadable };
        log::error!(line:% = id, message:% = row, error = why.as_str(); "a message became a dead letter");
        let (bell, tell) = (self.bell.clone(), self.options.tell);
        self.writer.submit(
            move |tx| {
                let lost = match tell {
                    Some(tell) => lost::of_row(tx, row)?.map(|lost| (lost, tell)),
                    None => None,
                };
                let buried = dead::bury(tx, Direction::In, row, reason, &why)?;
                if let Some((lost, tell)) = lost.filter(|_| buried) {
                    lost::tell(tx, id, &lost, tell)?;
                }
                Ok(())
            },
            move |result| bell.tell(if result.is_ok() { Event::Buried(id, 0) } else { Event::NotWritten(id) }),
        );
    }

    /// Moves a step of the line's rows to dead letters; [`Event::Buried`] tells how many. The portal is told of customers'
    /// messages that are lost with the end of the schedule; after a takeover it hears of that instead.
    pub(super) fn bury(&mut self, id: LineId, reason: dead::Reason) {
        let bell = self.bell.clone();
        let tell = self.options.tell.filter(|_| reason == dead::Reason::Expired);
        let error = match reason {
            dead::Reason::TakenOver => "the bot, group or page now belongs to another line".to_owned(),
            _ => self.lines.get(&id).and_then(|task| task.record.last_error.clone()).unwrap_or_default(),
        };
        self.writer.submit(
            move |tx| {
                let lost = match tell {
                    Some(tell) => lost::of_head(tx, id, BURY_STEP)?.map(|lost| (lost, tell)),
                    None => None,
                };
                let moved = dead::bury_line(tx, Direction::In, id, reason, &error, BURY_STEP)?;
                if let Some((lost, tell)) = lost {
                    lost::tell(tx, id, &lost, tell)?;
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
        self.consider(id);
    }
}
