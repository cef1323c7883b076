//! What the sender is told, and the way to tell it.

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

use crate::ids::{LineId, PortalId};
use crate::portals::{PortalError, Receipt};

/// Events that may wait for the sender.
const EVENTS_MAX: usize = 65_536;

/// What the sender is told.
#[derive(Debug)]
pub enum Event {
    /// A line has a new row.
    Wake(LineId),
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

/// The way to the sender; clones share it.
#[derive(Clone, Debug)]
pub struct Bell(pub(super) Sender<Event>);

impl Bell {
    /// Says that a line has a new row. Call it after the commit. When the sender is so far behind that its channel is
    /// full it will see the row anyway: the line that filled the channel is being worked on.
    pub fn wake(&self, line: LineId) {
        if let Err(TrySendError::Full(event)) = self.0.try_send(Event::Wake(line)) {
            drop(self.0.send(event));
        }
    }

    /// Passes an event on, waiting for room.
    pub fn tell(&self, event: Event) {
        drop(self.0.send(event));
    }
}

/// Makes the channel to a sender before the sender itself exists, so that the writer and others can be given the bell.
pub fn channel() -> (Bell, Receiver<Event>) {
    let (sender, receiver) = bounded(EVENTS_MAX);
    (Bell(sender), receiver)
}
