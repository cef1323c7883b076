//! What the dispatcher knows of one lane and one line between two events. Pure state; the loop acts on it.

use std::collections::VecDeque;
use std::sync::Arc;

use super::outcome::Outcome;
use crate::channels::Connector;
use crate::clock::UnixMillis;
use crate::outbox::Lane;
use crate::records::{LineState, Settings};

/// Where a lane's head is.
#[derive(Debug, Default)]
pub(super) enum Stage {
    /// In the database only.
    #[default]
    Idle,
    /// With a worker.
    Sending,
    /// The channel has spoken; its word is on the way to the disk.
    Writing(Arc<Outcome>),
    /// The store refused it. It is kept and written again: sending again would show the message twice.
    Unwritten(Arc<Outcome>),
}

/// One chat.
#[derive(Debug, Default)]
pub(super) struct LaneTask {
    pub stage: Stage,
    /// There may be rows.
    pub pending: bool,
    /// Stands in the ready list or is parked at its line.
    pub waits_turn: bool,
    /// Nothing to do before.
    pub due: Option<UnixMillis>,
    /// How often the store has refused what the lane has brought.
    pub refusals: u32,
}

impl LaneTask {
    /// Idle, with something to say, and its time has come.
    pub(super) fn may_go(&self, now: UnixMillis) -> bool {
        matches!(self.stage, Stage::Idle) && self.pending && !self.waits_turn && self.is_due(now)
    }

    pub(super) fn is_due(&self, now: UnixMillis) -> bool {
        self.due.is_none_or(|due| due <= now)
    }

    /// Nothing of it is under way.
    pub(super) fn rests(&self) -> bool {
        match self.stage {
            Stage::Idle | Stage::Unwritten(_) => true,
            Stage::Sending | Stage::Writing(_) => false,
        }
    }
}

/// One line.
#[derive(Debug)]
pub(super) struct LineTask {
    pub connector: Arc<dyn Connector>,
    pub settings: Arc<Settings>,
    pub state: LineState,
    /// Calls under way.
    pub in_flight: usize,
    /// Lanes that wait because the line has its share of the workers.
    pub parked: VecDeque<Lane>,
}
