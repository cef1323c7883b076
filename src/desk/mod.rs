//! The portal's side: what a backend needs that speaks to a connector server as a boxed portal does. The twin of a portal
//! is built on it; the server never calls it, and it knows nothing of the server but the wire.

pub mod codes;
mod input;
mod output;
mod received;
mod values;
mod wire;

use std::fmt;

pub use input::{Delivered, Failed, Handler, Input, Unsigned, refusal};
pub use output::{Client, Deletion, Edit, File, MessageRef, Outgoing, Output, WayBack};
pub use received::{Customer, Kind, Received};

/// Why the server did not do what the portal asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallError {
    /// No answer.
    Unreachable(String),
    /// An answer that is not of the protocol.
    NotJson,
    /// `OK:false` with these words.
    Refused(String),
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(why) => write!(f, "the connector server can't be reached: {why}"),
            Self::NotJson => f.write_str("the connector server answered something that is no reply"),
            Self::Refused(why) => write!(f, "the connector server refused: {why}"),
        }
    }
}

impl std::error::Error for CallError {}

#[cfg(test)]
pub(crate) mod tests;
