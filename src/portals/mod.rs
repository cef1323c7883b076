//! The portal protocols: how a packet is posted and what counts as its confirmation. No database, no HTTP server here.

pub mod boxed;
pub mod files;

use std::fmt::{self, Debug};
use std::time::Duration;

use crate::message::Body;
use crate::net::{Net, NetError, Reach};
use crate::records::Portal;

/// Several queue rows of one line for one virtual connector that travel in one request. All bodies ask for the same
/// command.
#[derive(Clone, Debug)]
pub struct Packet {
    /// Virtual connector id for messages, real id for [`crate::message::Notice::Deactivated`].
    pub connector: String,
    /// The portal's line number.
    pub line: String,
    /// In order.
    pub bodies: Vec<Body>,
    /// What the portal's downloads of protected files need.
    pub opened: files::Opened,
}

impl Packet {
    /// A packet whose files nobody has opened yet.
    pub fn new(connector: String, line: String, bodies: Vec<Body>) -> Self {
        Self { connector, line, bodies, opened: files::Opened::default() }
    }
}

/// The portal's word about a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Receipt {
    /// It has everything.
    All,
    /// It has these (indices into `bodies`); nothing is known of the rest.
    Some(Vec<usize>),
}

/// Why a packet is not confirmed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PortalError {
    /// No answer.
    Net(NetError),
    /// An answer, but not of the protocol: HTML, redirect, half a JSON, status 4xx or 5xx.
    Rubbish {
        /// HTTP status.
        status: u16,
        /// The portal's wish in `Retry-After` (429 and 503).
        retry_after: Option<Duration>,
    },
    /// The portal refused in its own words: error code, e.g. `NOT_ACTIVE_LINE`.
    Refused {
        /// The first `CODE` of the reply.
        code: String,
    },
}

impl PortalError {
    /// The portal may have taken the packet all the same.
    pub fn is_ambiguous(&self) -> bool {
        match self {
            Self::Net(error) => error.is_ambiguous(),
            Self::Rubbish { .. } => true,
            Self::Refused { .. } => false,
        }
    }

    /// Where the fault lies.
    pub fn fault(&self) -> Fault {
        match self {
            // What a proxy or a busy server says in the portal's stead.
            Self::Rubbish { status: 429 | 502 | 503 | 504, .. } => Fault::Portal,
            // Another page is the portal's own: a fatal error in its code may well come from one message.
            Self::Refused { .. } | Self::Rubbish { .. } => Fault::Packet,
            Self::Net(NetError::Timeout(_) | NetError::Broken(_) | NetError::TooLong(_)) => Fault::Unclear,
            Self::Net(NetError::BadUrl(_) | NetError::Forbidden(_) | NetError::Resolve(_) | NetError::Connect(_)) => {
                Fault::Portal
            }
        }
    }

    /// The pause that the portal asked for.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Rubbish { status: 429 | 503, retry_after } => *retry_after,
            Self::Net(_) | Self::Rubbish { .. } | Self::Refused { .. } => None,
        }
    }
}

/// Where the fault of an unconfirmed packet lies: what the sender does next depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The portal is there and does not take this packet: a smaller one may pass.
    Packet,
    /// Nobody can be reached there: whatever is sent, it will not pass.
    Portal,
    /// Sent and not answered: a dead portal, or a packet that it chokes on.
    Unclear,
}

impl fmt::Display for PortalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Net(error) => write!(f, "{error}"),
            Self::Rubbish { status, .. } => {
                write!(f, "the portal answered {status} and not in the protocol")
            }
            Self::Refused { code } => {
                write!(f, "the portal refused with `{code}`")?;
                meaning(code).map_or(Ok(()), |meaning| write!(f, ": {meaning}"))
            }
        }
    }
}

impl std::error::Error for PortalError {}

/// What lies behind a portal's code, where its own word does not say it (`portal-box.md` §4.6).
fn meaning(code: &str) -> Option<&'static str> {
    Some(match code {
        "LICENCE_ERROR" => "its licence key is not the one it is registered with here",
        "HASH_EMPTY" => "the request did not arrive whole; a redirect or a limit of its web server may be in the way",
        "NOT_ACTIVE_LINE" => "the connector is not switched on for that line there",
        "IMCONNECTOR_NO_CORRECT_PROVIDER" => "its version has no such connector",
        "MODULE_NOT_INSTALLED" => "its module `imconnector` is not installed",
        _ => return None,
    })
}

/// One way to talk to portals.
pub trait Protocol: Debug + Send + Sync {
    /// Name as in `portal add --protocol`.
    fn name(&self) -> &'static str;
    /// Posts one packet and reads the answer. Blocking.
    fn deliver(
        &self,
        net: &dyn Net,
        portal: &Portal,
        packet: &Packet,
        timeout: Duration,
    ) -> Result<Receipt, PortalError>;
    /// Asks whether a portal with this key answers at its address, about no line. `reach` says who chose the address.
    fn knock(&self, net: &dyn Net, portal: &Portal, reach: Reach) -> Result<(), PortalError>;
    /// The same for one line of one connector.
    fn test(&self, net: &dyn Net, portal: &Portal, connector: &str, line: &str) -> Result<(), PortalError>;
    /// The portal sends `setStatusDelivered` of its own (box below 21).
    fn confirms_by_status(&self, portal: &Portal) -> bool;
    /// Whether a body of this kind can be said to the portal at all; one that can't is dropped as confirmed by its maker
    /// before it is queued.
    fn can_say(&self, portal: &Portal, body: &Body) -> bool;
}

/// Every protocol the server speaks.
pub static PROTOCOLS: &[&dyn Protocol] = &[&boxed::Boxed];

/// The protocol of a portal's record.
pub fn protocol(name: &str) -> Option<&'static dyn Protocol> {
    PROTOCOLS.iter().copied().find(|protocol| protocol.name() == name)
}
