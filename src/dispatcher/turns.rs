//! Whose turn it is: from lanes that may go to jobs for the workers. What stands in a message's way is decided here
//! before anybody is called: its age, the state of its line, the pace of its bot.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::lane::{LineTask, Stage};
use super::outcome::{self, Outcome, Verdict};
use super::pool::Job;
use super::{Dispatcher, Lane};
use crate::clock::UnixMillis;
use crate::fault;
use crate::ids::LineId;
use crate::message::{Outgoing, OutgoingKind};
use crate::outbox::{self, Waiting, body};
use crate::queue::dead::Reason;
use crate::records::LineState;
use crate::store::{StoreError, directory};

/// An indicator is shown for three seconds; one that waited longer than this would lie.
const TYPING_MAX_AGE: Duration = Duration::from_secs(5);

impl Dispatcher {
    pub(super) fn wake(&mut self, lane: &Lane) {
        self.lanes.entry(lane.clone()).or_default().pending = true;
        self.consider(lane);
    }

    /// Puts the lane among the ready ones when it may go, or tries again to write what it has brought.
    pub(super) fn consider(&mut self, lane: &Lane) {
        let now = self.clock.now();
        let Some(task) = self.lanes.get_mut(lane) else { return };
        if task.may_go(now) {
            task.waits_turn = true;
            self.ready.push_back(lane.clone());
        } else if matches!(task.stage, Stage::Unwritten(_)) && task.is_due(now) {
            self.write(lane);
        }
    }

    /// Loads the line of a lane; false when it is gone or its connector is unknown here.
    fn load(&mut self, id: LineId) -> Result<bool, StoreError> {
        if self.lines.contains_key(&id) {
            return Ok(true);
        }
        let Some(record) = directory::line_by_id(&self.db, id)? else { return Ok(false) };
        let Some(connector) = self.factory.get(&record.connector) else { return Ok(false) };
        let task = LineTask {
            connector: Arc::clone(connector),
            settings: Arc::new(directory::settings(&self.db, id)?),
            state: record.state,
            in_flight: 0,
            parked: VecDeque::new(),
        };
        self.lines.insert(id, task);
        Ok(true)
    }

    pub(super) fn hand_out(&mut self) -> Result<(), StoreError> {
        while self.pool.free > 0 && !self.stopping {
            let Some(lane) = self.ready.pop_front() else { return Ok(()) };
            let known = self.load(lane.line)?;
            let share = self.share();
            let Some(task) = self.lanes.get_mut(&lane) else { continue };
            let Some(line) = self.lines.get_mut(&lane.line).filter(|_| known) else {
                self.lanes.remove(&lane);
                continue;
            };
            if line.in_flight >= share {
                line.parked.push_back(lane);
                continue;
            }
            task.waits_turn = false;
            self.start(&lane)?;
        }
        Ok(())
    }

    /// A bot may hold a quarter of the workers, so that a slow channel leaves room for the others.
    pub(super) fn share(&self) -> usize {
        (self.options.workers / 4).max(1)
    }

    /// Gives the lane's head to a worker, or says why not yet or not at all.
    fn start(&mut self, lane: &Lane) -> Result<(), StoreError> {
        let Some(waiting) = outbox::head(&self.db, lane)? else {
            self.lanes.remove(lane);
            return Ok(());
        };
        let now = self.clock.now();
        let end = waiting.accepted_at.plus(self.options.ttl);
        let Some(message) = body::decode(&waiting.body) else {
            let why = String::from("the stored message can't be read");
            let verdict = Verdict::GiveUp { reason: Reason::Unreadable, code: "UNREADABLE", why };
            self.judge(lane, Outcome::judged(&waiting, None, verdict));
            return Ok(());
        };
        let Some(line) = self.lines.get_mut(&lane.line) else { return Ok(()) };
        if let Some(verdict) = hopeless(&waiting, &message, line.state, now, end) {
            self.judge(lane, Outcome::judged(&waiting, Some(message), verdict));
            return Ok(());
        }
        // A broken line's messages wait for new settings, those of a line that was taken over for the sender, which
        // moves them to dead letters. Both are looked at again when they have become too old.
        if line.state != LineState::Active {
            self.wait_until(lane, end);
            return Ok(());
        }
        let (id, limits) = (message.connector.as_str(), line.connector.pace(&message.connector));
        let paced = self.paces.free_at(lane, id, limits, now);
        // A lane that has waited so long goes, whatever the clock was set to meanwhile.
        let waited = self.lanes.get(lane).is_some_and(|task| task.due.is_some());
        let due = waiting.due(now).filter(|_| !waited).map_or(paced, |due| due.max(paced));
        if due > now {
            self.wait_until(lane, due.min(end));
            return Ok(());
        }
        self.paces.note(lane, id, limits, now);
        fault::point("lane's turn");
        line.in_flight += 1;
        let job = Job {
            lane: lane.clone(),
            progress: body::decode_progress(&waiting.progress),
            waiting,
            message,
            connector: Arc::clone(&line.connector),
            settings: Arc::clone(&line.settings),
        };
        if let Some(task) = self.lanes.get_mut(lane) {
            (task.stage, task.due) = (Stage::Sending, None);
        }
        self.pool.give(job);
        Ok(())
    }
}

/// What is decided without asking the channel.
fn hopeless(
    waiting: &Waiting,
    message: &Outgoing,
    state: LineState,
    now: UnixMillis,
    end: UnixMillis,
) -> Option<Verdict> {
    let age = now.since(waiting.accepted_at);
    match &message.kind {
        OutgoingKind::Typing if age > TYPING_MAX_AGE || state != LineState::Active => return Some(Verdict::Settle),
        OutgoingKind::Update { ids, .. } if ids.iter().all(|id| outcome::is_own(id)) => return Some(no_id()),
        OutgoingKind::Delete { id } if outcome::is_own(id) => return Some(no_id()),
        _ => (),
    }
    if now < end {
        return None;
    }
    let progress = body::decode_progress(&waiting.progress);
    let why = match state {
        LineState::Broken => "the channel refuses the line's credentials and nobody has changed them in time",
        LineState::Active | LineState::TakenOver => "the channel did not take the message in time",
    };
    let why = outcome::with_rest(why, &progress);
    Some(Verdict::GiveUp { reason: Reason::TooOld, code: "TOO_OLD", why })
}

fn no_id() -> Verdict {
    let why = String::from("the channel gave this message no id, so it can't be changed or withdrawn");
    Verdict::GiveUp { reason: Reason::Permanent, code: "NO_ID", why }
}
