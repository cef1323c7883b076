//! What the sender knows of one line between two events. Pure state; the loop acts on it.

use std::collections::HashSet;
use std::time::Duration;

use super::packet::Cut;
use super::trouble::Trouble;
use crate::clock::UnixMillis;
use crate::ids::MessageId;
use crate::portals::Packet;
use crate::queue::Queued;
use crate::queue::blocks::Block;
use crate::records::Line;

/// Rows on their way to dead letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moving {
    /// The schedule is over: all of them.
    Expired,
    /// The entity belongs to another line: all but the deactivation.
    TakenOver,
    /// One that can't be read.
    One,
    /// One that the portal does not take while others pass.
    Poison,
}

/// A post during a block, which is no attempt of the schedule: when it fails, the block goes on as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extra {
    /// The portal gave a sign of life.
    Lifted,
    /// The message behind a suspect shows whether others pass.
    Evidence,
}

/// A sign of life lifts a line's block at most so often.
const LIFT_PAUSE: Duration = Duration::from_mins(1);

/// One line.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts, each with its own life")]
pub(super) struct LineTask {
    pub record: Line,
    /// Rows up to this id are confirmed; their deletion may still be on its way to the disk.
    pub after: MessageId,
    pub flight: Option<Flight>,
    /// There may be rows behind `after`.
    pub pending: bool,
    /// Stands in the ready list or is parked at its portal.
    pub waits_turn: bool,
    pub moving: Option<Moving>,
    /// A line that was taken over: its rows have been moved.
    pub emptied: bool,
    /// The row was changed by somebody else while this line was busy: read it again before the next step.
    pub stale: bool,
    /// The last failure left the outcome open.
    pub ambiguous: bool,
    /// Own changes of the row that are not on the disk yet.
    pub writes: u32,
    /// The next post, or the one in flight, is an extra one.
    pub extra: Option<Extra>,
    /// What its unconfirmed packets have taught.
    pub trouble: Trouble,
    /// Since when it waits for its turn.
    pub ready_at: UnixMillis,
    /// When this process last saw it fail.
    failed_at: Option<UnixMillis>,
    lifted_at: Option<UnixMillis>,
    /// Messages the portal said OK to, whose `setStatusDelivered` is expected until then.
    expected: Option<(UnixMillis, Vec<(String, String)>)>,
}

/// A packet on its way.
#[derive(Debug)]
pub(super) struct Flight {
    pub connector: String,
    pub rows: Vec<FlightRow>,
    pub began: UnixMillis,
    pub confirmed: HashSet<MessageId>,
    /// It has kept its worker for so long that another took the place.
    pub slow: bool,
    /// The reply is in and only the confirmation is awaited (`queue.confirm = "status"`).
    pub answered: bool,
    pub confirm_until: UnixMillis,
}

/// One row of a packet on its way.
#[derive(Debug)]
pub(super) struct FlightRow {
    pub id: MessageId,
    pub chat: String,
    pub message: String,
    pub attempts: u32,
    pub accepted_at: UnixMillis,
    /// Customers' messages are confirmed by name; notices only by the reply.
    pub named: bool,
}

impl Flight {
    /// Splits a cut into what the sender remembers and what the worker posts.
    pub(super) fn new(cut: Cut, line: &str, now: UnixMillis) -> (Self, Packet) {
        let (rows, bodies): (Vec<Queued>, Vec<_>) = cut.rows.into_iter().unzip();
        let packet = Packet::new(cut.connector.clone(), line.to_owned(), bodies);
        let rows = rows
            .into_iter()
            .map(|row| FlightRow {
                id: row.id,
                named: row.command == "message",
                chat: row.chat,
                message: row.message,
                attempts: row.attempts,
                accepted_at: row.accepted_at,
            })
            .collect();
        let flight = Self {
            connector: cut.connector,
            rows,
            began: now,
            confirmed: HashSet::new(),
            slow: false,
            answered: false,
            confirm_until: now,
        };
        (flight, packet)
    }

    pub(super) fn open(&self) -> Vec<MessageId> {
        self.rows.iter().map(|row| row.id).filter(|id| !self.confirmed.contains(id)).collect()
    }

    /// Rows that a `setStatusDelivered` names.
    pub(super) fn named(&self, connector: &str, named: &[(String, String)]) -> Vec<MessageId> {
        if !self.connector.eq_ignore_ascii_case(connector) {
            return Vec::new();
        }
        self.rows
            .iter()
            .filter(|row| row.named && named.iter().any(|(chat, id)| *chat == row.chat && *id == row.message))
            .map(|row| row.id)
            .collect()
    }
}

impl LineTask {
    pub(super) fn new(record: Line) -> Self {
        Self {
            record,
            after: MessageId(0),
            flight: None,
            pending: false,
            waits_turn: false,
            moving: None,
            stale: false,
            emptied: false,
            ambiguous: false,
            writes: 0,
            extra: None,
            trouble: Trouble::default(),
            ready_at: UnixMillis(0),
            failed_at: None,
            lifted_at: None,
            expected: None,
        }
    }

    /// Idle, not blocked unless for an extra post, and with something to say. What the portal has confirmed must be off
    /// the disk first: a crash would post it again, and that must never be more than one packet.
    pub(super) fn may_post(&self, now: UnixMillis) -> bool {
        self.pending
            && self.flight.is_none()
            && self.writes == 0
            && self.moving.is_none()
            && !self.waits_turn
            && (self.extra.is_some() || !self.is_blocked(now))
    }

    pub(super) fn is_blocked(&self, now: UnixMillis) -> bool {
        self.record.blocked_until.is_some_and(|until| until > now)
    }

    /// Another line's finding counts for this one when it is not older than this.
    pub(super) fn asks_since(&self) -> UnixMillis {
        match self.failed_at {
            Some(failed) if self.extra.is_none() => self.ready_at.min(failed.plus(Duration::from_millis(1))),
            Some(_) | None => self.ready_at,
        }
    }

    /// Allows one extra post; false when the line is not blocked, is busy, or had one within the last minute.
    pub(super) fn allow_extra(&mut self, extra: Extra, now: UnixMillis) -> bool {
        let rested = self.lifted_at.is_none_or(|lifted| now.since(lifted) >= LIFT_PAUSE);
        let allowed = self.is_blocked(now)
            && self.flight.is_none()
            && self.moving.is_none()
            && self.extra.is_none()
            && (rested || extra == Extra::Evidence);
        if allowed {
            self.extra = Some(extra);
            self.lifted_at = Some(now);
        }
        allowed
    }

    pub(super) fn set_block(&mut self, block: Block, error: String, now: UnixMillis) {
        self.failed_at = Some(now);
        self.record.attempts = block.attempts;
        self.record.first_attempt_at = Some(block.first_attempt_at);
        self.record.blocked_until = Some(block.until);
        self.record.last_error = Some(error);
    }

    /// A packet was left unconfirmed and the trouble is not over: its day runs, whether or not an attempt was counted.
    pub(super) fn is_troubled(&self) -> bool {
        self.record.first_attempt_at.is_some() || self.record.blocked_until.is_some()
    }

    /// Ends the trouble; true when there was one.
    pub(super) fn lift(&mut self, error: Option<String>) -> bool {
        let had = self.is_troubled();
        self.extra = None;
        self.record.attempts = 0;
        self.record.first_attempt_at = None;
        self.record.blocked_until = None;
        self.record.last_error = error;
        self.ambiguous = false;
        had
    }

    /// The clock was set by so much: every moment noted here moves with it.
    pub(super) fn shift(&mut self, millis: i64) {
        let flight = self.flight.as_mut().map(|flight| [&mut flight.began, &mut flight.confirm_until]);
        let expected = self.expected.as_mut().map(|(until, _)| until);
        let record = [self.record.first_attempt_at.as_mut(), self.record.blocked_until.as_mut()];
        let own = [Some(&mut self.ready_at), self.failed_at.as_mut(), self.lifted_at.as_mut(), expected];
        for at in flight.into_iter().flatten().chain(record.into_iter().chain(own).flatten()) {
            *at = at.shifted(millis);
        }
    }

    /// The portal said OK: its own confirmation of these messages should follow within `wait`.
    pub(super) fn expect_status(&mut self, flight: &Flight, now: UnixMillis, wait: Duration) -> Option<UnixMillis> {
        let names: Vec<_> = flight
            .rows
            .iter()
            .filter(|row| row.named && !flight.confirmed.contains(&row.id))
            .map(|row| (row.chat.clone(), row.message.clone()))
            .collect();
        if names.is_empty() || self.expected.is_some() {
            return None;
        }
        let until = now.plus(wait);
        self.expected = Some((until, names));
        Some(until)
    }

    pub(super) fn status_came(&mut self, named: &[(String, String)]) {
        if let Some((_, names)) = &mut self.expected {
            names.retain(|name| !named.contains(name));
            if names.is_empty() {
                self.expected = None;
            }
        }
    }

    /// How many expected confirmations have not come by `now`; told once.
    pub(super) fn status_missed(&mut self, now: UnixMillis) -> Option<i64> {
        if self.expected.as_ref().is_some_and(|(until, _)| *until <= now) {
            return self.expected.take().map(|(_, names)| i64::try_from(names.len()).unwrap_or(0));
        }
        None
    }
}
