//! What the sender makes of answers and confirmations.

use std::cmp::Reverse;

use super::{ATTEMPTS_KEPT, Event, SenderLoop};
use crate::ids::{LineId, MessageId};
use crate::portals::{PortalError, Receipt};
use crate::queue;
use crate::store::{StoreError, directory};
use crossbeam_channel::Sender;

/// Frees a handler that waits for its confirmation to be on the disk; it may have given up by then.
fn tell(done: Option<Sender<()>>) {
    if let Some(done) = done {
        let _ = done.try_send(());
    }
}

impl SenderLoop {
    /// A worker's answer.
    pub(super) fn done(&mut self, id: LineId, result: Result<Receipt, PortalError>) {
        self.pool.free += 1;
        let Some(task) = self.lines.get_mut(&id) else { return };
        let portal_id = task.record.portal;
        if let Some(portal) = self.portals.get_mut(&portal_id) {
            portal.in_flight = portal.in_flight.saturating_sub(1);
            portal.failing = result.as_ref().is_err_and(|error| !error.is_alive());
            // The others get their turn; a failing portal is asked by one of them.
            self.ready.extend(portal.parked.drain(..));
        }
        let by_status = self.options.by_status && self.confirms_by_status(portal_id);
        let Some(task) = self.lines.get_mut(&id) else { return };
        let Some(flight) = &mut task.flight else { return };
        match result {
            Ok(receipt) => {
                let named: Vec<MessageId> = match receipt {
                    Receipt::All => {
                        flight.rows.iter().filter(|row| !(by_status && row.named)).map(|row| row.id).collect()
                    }
                    Receipt::Some(list) => flight
                        .rows
                        .iter()
                        .enumerate()
                        .filter(|(at, _)| list.contains(at))
                        .map(|(_, row)| row.id)
                        .collect(),
                };
                let fresh: Vec<_> = named.into_iter().filter(|row| flight.confirmed.insert(*row)).collect();
                let waits = by_status && !flight.open().is_empty();
                if waits {
                    flight.answered = true;
                    flight.confirm_until = flight.began.plus(self.options.confirm_timeout);
                    self.timers.push(Reverse((flight.confirm_until, id)));
                }
                self.write_confirmed(id, fresh, None);
                if waits {
                    return;
                }
                self.settle(id, "the portal confirmed only a part");
            }
            Err(error) => {
                task.ambiguous = error.is_ambiguous();
                self.settle(id, &error.to_string());
            }
        }
    }

    /// Ends the flight: everything confirmed → the next packet leaves at once, else attempt k has failed.
    fn settle(&mut self, id: LineId, error: &str) {
        let Some(task) = self.lines.get_mut(&id) else { return };
        let Some(flight) = &task.flight else { return };
        if flight.open().is_empty() {
            self.succeed(id);
        } else {
            let ambiguous = task.ambiguous;
            self.fail(id, error, ambiguous);
        }
    }

    fn succeed(&mut self, id: LineId) {
        let now = self.clock.now();
        let wait = self.options.confirm_timeout;
        let Some(task) = self.lines.get_mut(&id) else { return };
        let Some(flight) = task.flight.take() else { return };
        for row in &flight.rows {
            self.metrics.delivered(now.since(row.accepted_at));
            task.after = task.after.max(row.id);
        }
        let portal = task.record.portal;
        let recovered = task.lift(None);
        if self.confirms_by_status(portal)
            && let Some(task) = self.lines.get_mut(&id)
            && let Some(until) = task.expect_status(&flight, now, wait)
        {
            self.timers.push(Reverse((until, id)));
        }
        if recovered {
            log::info!(line:% = id; "the portal takes messages again");
            self.save_block(id, Vec::new(), Some((flight.rows.len(), now.since(flight.began), "confirmed".to_owned())));
        }
        self.consider(id);
    }

    /// Attempt k has failed: block the line for the k-th wait.
    pub(super) fn fail(&mut self, id: LineId, error: &str, ambiguous: bool) {
        let now = self.clock.now();
        let Some(task) = self.lines.get_mut(&id) else { return };
        let Some(flight) = task.flight.take() else { return };
        let before = (task.record.attempts, task.record.first_attempt_at);
        let block = self.options.schedule.block(before, flight.began, now);
        task.ambiguous = ambiguous;
        task.set_block(block, error.to_owned());
        self.timers.push(Reverse((block.until, id)));
        log::warn!(
            line:% = id, attempts = block.attempts, millis = block.until.since(now).as_millis(), error;
            "the portal confirmed nothing; the line is blocked"
        );
        let took = now.since(flight.began);
        self.save_block(id, flight.open(), Some((flight.rows.len(), took, error.to_owned())));
    }

    /// Writes the line's block as it stands in memory, notes the failure on its rows and the attempt in the list.
    pub(super) fn save_block(
        &mut self,
        id: LineId,
        failed: Vec<MessageId>,
        attempt: Option<(usize, std::time::Duration, String)>,
    ) {
        let Some(task) = self.lines.get_mut(&id) else { return };
        task.writes += 1;
        let record = task.record.clone();
        let bell = self.bell.clone();
        self.writer.submit(
            move |tx| {
                directory::set_block(tx, &record)?;
                queue::note_failure(tx, &failed)?;
                if let Some((messages, took, outcome)) = &attempt {
                    let millis = i64::try_from(took.as_millis()).unwrap_or(i64::MAX);
                    directory::note_attempt(tx, id, millis, *messages, outcome, ATTEMPTS_KEPT)?;
                }
                Ok(())
            },
            move |result| {
                if let Err(error) = result {
                    log::error!(line:% = id, error:% = error; "the block of a line could not be written");
                }
                bell.tell(Event::Written(id));
            },
        );
    }

    fn write_confirmed(&mut self, id: LineId, rows: Vec<MessageId>, done: Option<Sender<()>>) {
        if rows.is_empty() {
            tell(done);
            return;
        }
        if let Some(task) = self.lines.get_mut(&id) {
            task.writes += 1;
        }
        let bell = self.bell.clone();
        self.writer.submit(
            move |tx| queue::confirm(tx, id, &rows),
            move |result| {
                tell(done);
                match result {
                    Ok(_) => bell.tell(Event::Written(id)),
                    Err(error) => {
                        log::error!(line:% = id, error:% = error; "a confirmation could not be written; the packet will leave again");
                        bell.tell(Event::NotWritten(id));
                    }
                }
            },
        );
    }

    /// `setStatusDelivered`, before or after the reply, also long after it (`interface.md` §6). Only messages that were
    /// posted can be confirmed.
    pub(super) fn status(
        &mut self,
        id: LineId,
        connector: &str,
        named: &[(String, String)],
        done: Option<Sender<()>>,
    ) -> Result<(), StoreError> {
        if !self.load(id)? {
            return Ok(());
        }
        let Some(task) = self.lines.get_mut(&id) else { return Ok(()) };
        task.status_came(named);
        let mut rows = task.flight.as_ref().map(|flight| flight.named(connector, named)).unwrap_or_default();
        if rows.len() < named.len() && task.record.attempts > 0 {
            rows.extend(queue::find_posted(&self.db, id, connector, named)?);
        }
        rows.sort_unstable();
        rows.dedup();
        let mut late = false;
        match &mut task.flight {
            Some(flight) => flight.confirmed.extend(rows.iter().copied()),
            None => late = !rows.is_empty(),
        }
        self.write_confirmed(id, rows, done);
        let answered = self
            .lines
            .get(&id)
            .and_then(|task| task.flight.as_ref())
            .is_some_and(|flight| flight.answered && flight.open().is_empty());
        if answered {
            self.succeed(id);
        } else if late && let Some(task) = self.lines.get_mut(&id) {
            // The portal has what the block was about.
            task.lift(None);
            task.pending = true;
            self.save_block(id, Vec::new(), None);
        }
        Ok(())
    }

    /// One own change of the line's row is on the disk.
    pub(super) fn written(&mut self, id: LineId) {
        if let Some(task) = self.lines.get_mut(&id) {
            task.writes = task.writes.saturating_sub(1);
        }
        self.consider(id);
    }
}
