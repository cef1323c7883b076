//! What the sender is told, and the way to tell it.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::ids::{LineId, PortalId};
use crate::portals::{PortalError, Receipt};

/// Events that may wait for the sender.
const EVENTS_MAX: usize = 65_536;

/// What the sender is told.
#[derive(Debug)]
pub enum Event {
    /// Lines have new rows; a list beside the channel says which.
    Wake,
    /// A worker has its answer.
    Done {
        /// Line of the packet.
        line: LineId,
        /// What came back.
        result: Result<Receipt, PortalError>,
    },
    /// The portal's `setStatusDelivered`.
    Status {
        /// Line.
        line: LineId,
        /// Connector id as the portal sent it.
        connector: String,
        /// Chat and message ids.
        named: Vec<(String, String)>,
        /// Told when the confirmation is on the disk.
        done: Option<Sender<()>>,
    },
    /// The portal has proved that it is alive: a signed request of its own came in.
    Alive(PortalId),
    /// A step of moving rows to dead letters has ended: how many were moved.
    Buried(LineId, usize),
    /// A change of a line's rows is on the disk.
    Written(LineId),
    /// A change could not be written: the rows are still there.
    NotWritten(LineId),
    /// Another process has changed the database, or a portal or line was edited.
    Changed,
    /// Look at the clock again (tests move it by hand).
    Tick,
    /// Answer as a sign of life.
    Ping(Sender<()>),
    /// End after what is in flight.
    Stop,
}

/// The lines that have new rows and of which the sender has not heard. A busy line rings once for all that came meanwhile,
/// so that the sender is not woken for each message.
#[derive(Clone, Debug, Default)]
pub(super) struct Woken(Arc<Mutex<BTreeSet<LineId>>>);

impl Woken {
    fn lock(&self) -> MutexGuard<'_, BTreeSet<LineId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes them all; whoever rings from now on is heard again.
    pub(super) fn take(&self) -> BTreeSet<LineId> {
        std::mem::take(&mut *self.lock())
    }
}

/// The way to the sender; clones share it.
#[derive(Clone, Debug)]
pub struct Bell {
    pub(super) events: Sender<Event>,
    woken: Woken,
}

impl Bell {
    /// Says that a line has a new row. Call it after the commit.
    pub fn wake(&self, line: LineId) {
        let is_first = {
            let mut woken = self.woken.lock();
            woken.insert(line) && woken.len() == 1
        };
        if is_first {
            self.tell(Event::Wake);
        }
    }

    /// Passes an event on, waiting for room.
    pub fn tell(&self, event: Event) {
        drop(self.events.send(event));
    }
}

/// What the sender hears.
#[derive(Debug)]
pub struct Ear {
    pub(super) events: Receiver<Event>,
    pub(super) woken: Woken,
}

/// Makes the channel to a sender before the sender itself exists, so that the writer and others can be given the bell.
pub fn channel() -> (Bell, Ear) {
    let (sender, receiver) = bounded(EVENTS_MAX);
    let woken = Woken::default();
    (Bell { events: sender, woken: woken.clone() }, Ear { events: receiver, woken })
}
