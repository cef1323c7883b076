//! The portal's side: what a backend needs that speaks to a connector server as a boxed portal does. The twin of a portal
//! is built on it; the server never calls it, and it knows nothing of the server but the wire.
//!
//! [`Client`] calls the server, [`Input`] takes what the server sends, [`Received`], [`Delivered`] and [`Failed`] read it.
//! `docs/portal-client.md` begins with a whole backend made of them. The rest serves a desk with people at it, each part
//! by itself, and knows of no database: [`fetch`], [`distribution`], [`Hours`], [`password`], [`Hook`].

pub mod codes;
pub mod distribution;
pub mod fetch;
pub mod hook;
mod hours;
mod input;
pub mod office;
mod output;
pub mod password;
mod received;
mod values;
pub(crate) mod watched;
pub mod web;
mod wire;

use std::fmt;

pub use fetch::FileLink;
pub use hook::{BadSecret, Hook, HookError};
pub use hours::{BadHours, Hours};
pub use input::{Delivered, Failed, Handler, Input, Unsigned, refusal};
pub use output::{Client, Deletion, Edit, File, MessageRef, Outgoing, Output, WayBack};
pub use received::{Customer, Kind, Received};

pub use crate::portals::boxed::portal_side::{Identity, Push};

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

/// Compiles what the guide shows.
#[cfg(doctest)]
#[doc = include_str!("../../docs/portal-client.md")]
struct Guide;

#[cfg(test)]
mod examples;
#[cfg(test)]
pub(crate) mod tests;
