//! What the sender makes of answers and confirmations.

use std::cmp::Reverse;
use std::time::Duration;

use crossbeam_channel::Sender;

use super::line::{Extra, Moving};
use super::{ATTEMPTS_KEPT, Event, SenderLoop};
use crate::ids::{LineId, MessageId};
use crate::portals::{Fault, PortalError, Receipt};
use crate::queue;
use crate::store::attempts::{self, Attempt};
use crate::store::counters::Direction;
use crate::store::{StoreError, directory};

/// An attempt that was not confirmed.
#[derive(Debug)]
pub(super) struct Failure {
    error: String,
    /// The portal may have the packet all the same.
    ambiguous: bool,
    fault: Fault,
    retry_after: Option<Duration>,
}

impl Failure {
    fn of(error: &PortalError) -> Self {
        Self {
            error: error.to_string(),
            ambiguous: error.is_ambiguous(),
            fault: error.fault(),
            retry_after: error.retry_after(),
        }
    }

    /// The portal answered, but did not confirm everything.
    pub(super) fn silent(error: &str) -> Self {
        Self { error: error.to_owned(), ambiguous: true, fault: Fault::Packet, retry_after: None }
    }
}

/// Frees a handler that waits for its confirmation to be on the disk; it may have given up by then.
fn tell(done: Option<Sender<()>>) {
    if let Some(done) = done {
        let _ = done.try_send(());
    }
}

impl SenderLoop {
    /// A worker's answer.
    pub(super) fn done(&mut self, id: LineId, result: Result<Receipt, PortalError>) {
        let now = self.clock.now();
        let was_slow = self.lines.get(&id).and_then(|task| task.flight.as_ref()).is_some_and(|flight| flight.slow);
        self.pool.ended(was_slow);
        let Some(task) = self.lines.get_mut(&id) else { return };
        let portal_id = task.record.portal;
        if let Some(portal) = self.portals.get_mut(&portal_id) {
            portal.in_flight = portal.in_flight.saturating_sub(1);
            match &result {
                Err(error) if error.fault() != Fault::Packet => portal.found_down(id, error.clone(), now),
                Ok(_) | Err(_) => portal.found_up(),
            }
            // The others get their turn; a portal that is down is asked by one of them.
            self.ready.extend(portal.parked.drain(..));
        }
        match result {
            Ok(receipt) => {
                self.confirmed(id, &receipt);
                self.alive(portal_id);
            }
            Err(error) => self.end_flight(id, Failure::of(&error)),
        }
    }

    /// The reply named these rows.
    fn confirmed(&mut self, id: LineId, receipt: &Receipt) {
        let Some(task) = self.lines.get(&id) else { return };
        let by_status = self.options.by_status && self.confirms_by_status(task.record.portal);
        let Some(flight) = self.lines.get_mut(&id).and_then(|task| task.flight.as_mut()) else { return };
        let named: Vec<MessageId> = match receipt {
            Receipt::All => flight.rows.iter().filter(|row| !(by_status && row.named)).map(|row| row.id).collect(),
            Receipt::Some(list) => {
                flight.rows.iter().enumerate().filter(|(at, _)| list.contains(at)).map(|(_, row)| row.id).collect()
            }
        };
        let fresh: Vec<_> = named.into_iter().filter(|row| flight.confirmed.insert(*row)).collect();
        let waits = by_status && !flight.open().is_empty();
        if waits {
            flight.answered = true;
            flight.confirm_until = flight.began.plus(self.options.confirm_timeout);
            self.timers.push(Reverse((flight.confirm_until, id)));
        }
        self.write_confirmed(id, fresh, None);
        if !waits {
            self.end_flight(id, Failure::silent("the portal confirmed only a part"));
        }
    }

    /// Ends the flight: everything confirmed → the next packet leaves at once, else attempt k has failed.
    fn end_flight(&mut self, id: LineId, failure: Failure) {
        let Some(flight) = self.lines.get(&id).and_then(|task| task.flight.as_ref()) else { return };
        if flight.open().is_empty() {
            self.succeed(id);
        } else {
            self.fail(id, failure);
        }
    }

    fn succeed(&mut self, id: LineId) {
        let now = self.clock.now();
        let wait = self.options.confirm_timeout;
        let full = self.options.limits.messages;
        let Some(task) = self.lines.get_mut(&id) else { return };
        let Some(flight) = task.flight.take() else { return };
        for row in &flight.rows {
            self.metrics.delivered(now.since(row.accepted_at));
        }
        if task.extra == Some(Extra::Evidence) {
            task.trouble.evidence_passed();
        } else {
            task.trouble.passed(full);
            task.after = flight.rows.iter().map(|row| row.id).fold(task.after, Ord::max);
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

    /// Attempt k has failed: block the line for the k-th wait. A failed extra post leaves the block as it was.
    pub(super) fn fail(&mut self, id: LineId, failure: Failure) {
        let now = self.clock.now();
        let Some(task) = self.lines.get_mut(&id) else { return };
        let Some(flight) = task.flight.take() else { return };
        let extra = task.extra.take();
        let open = flight.open();
        let posted = flight.rows.len();
        let partly = open.len() < posted;
        task.ambiguous = failure.ambiguous;
        let mut poison = None;
        if extra == Some(Extra::Evidence) {
            task.trouble.evidence_failed();
        } else if partly || failure.fault != Fault::Portal {
            let answered = failure.fault == Fault::Packet;
            poison = task.trouble.refused(posted, &open, self.options.poison_attempts, answered);
        }
        let attempt = Some((posted, now.since(flight.began), failure.error.clone()));
        if let Some(row) = poison {
            task.lift(None);
            self.save_block(id, open, attempt);
            self.bury_one(id, row, Moving::Poison, failure.error);
            return;
        }
        if extra.is_some() && !partly && task.is_blocked(now) {
            task.record.last_error = Some(failure.error);
            if task.trouble.wants_evidence() {
                task.allow_extra(Extra::Evidence, now);
            }
            self.save_block(id, open, attempt);
            return;
        }
        if partly {
            // What was confirmed is progress: the rest begins a day of its own.
            task.lift(None);
        }
        self.block(id, &failure, flight.began, open, attempt);
    }

    /// Another line of the portal has just found it down: that counts as this line's attempt, and nothing is posted.
    pub(super) fn share(&mut self, id: LineId, error: &PortalError) {
        let now = self.clock.now();
        let Some(task) = self.lines.get_mut(&id) else { return };
        if task.extra.take().is_some() {
            self.consider(id);
            return;
        }
        let failure = Failure::of(error);
        let attempt = Some((0, Duration::ZERO, failure.error.clone()));
        self.block(id, &failure, now, Vec::new(), attempt);
    }

    fn block(
        &mut self,
        id: LineId,
        failure: &Failure,
        began: crate::clock::UnixMillis,
        failed: Vec<MessageId>,
        attempt: Option<(usize, Duration, String)>,
    ) {
        let now = self.clock.now();
        let Some(task) = self.lines.get_mut(&id) else { return };
        let before = (task.record.attempts, task.record.first_attempt_at);
        let block = match failure.retry_after {
            Some(wish) => self.options.schedule.pause(before, began, now, wish),
            None => self.options.schedule.block(before, began, now),
        };
        task.set_block(block, failure.error.clone(), now);
        log::warn!(
            line:% = id, attempts = block.attempts, millis = block.until.since(now).as_millis(),
            error = failure.error.as_str();
            "the portal confirmed nothing; the line is blocked"
        );
        if task.trouble.wants_evidence() {
            task.allow_extra(Extra::Evidence, now);
        }
        self.save_block(id, failed, attempt);
    }

    /// Writes the line's block as it stands in memory, notes the failure on its rows and the attempt in the list.
    pub(super) fn save_block(
        &mut self,
        id: LineId,
        failed: Vec<MessageId>,
        attempt: Option<(usize, Duration, String)>,
    ) {
        let Some(task) = self.lines.get_mut(&id) else { return };
        task.writes += 1;
        let record = task.record.clone();
        self.watch_block(&record);
        let bell = self.bell.clone();
        self.writer.submit(
            move |tx| {
                directory::set_block(tx, &record)?;
                queue::note_failure(tx, &failed)?;
                if let Some((messages, took, outcome)) = &attempt {
                    let millis = i64::try_from(took.as_millis()).unwrap_or(i64::MAX);
                    let range = failed.first().copied().zip(failed.last().copied());
                    let direction = Direction::In;
                    let attempt = Attempt { line: id, direction, millis, messages: *messages, range, outcome };
                    attempts::note(tx, &attempt, ATTEMPTS_KEPT)?;
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
        if rows.len() < named.len() && task.is_troubled() {
            rows.extend(queue::find_posted(&self.db, id, connector, named)?);
        }
        rows.sort_unstable();
        rows.dedup();
        task.trouble.confirmed(&rows);
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
