//! The portal's side: what a backend needs that speaks to a connector server as a boxed portal does. The twin of a portal
//! is built on it; the server never calls it, and it knows nothing of the server but the wire.
//!
//! A backend that answers every message, whatever serves its HTTP:
//!
//! ```
//! use std::sync::Arc;
//!
//! use serde_json::json;
//! use trunkline::clock::{Clock, SystemClock};
//! use trunkline::desk::{Client, Input, MessageRef, Outgoing, Received, Unsigned};
//! use trunkline::net::Out;
//! use trunkline::portals::boxed::portal_side::{Identity, Push};
//!
//! let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
//! let net = Arc::new(Out::new(&clock, vec![], &[])?);
//! let portal = Identity::new("MY-LICENCE-KEY", "https://backend.example.com", "23.100.0");
//! let server = Client::new(portal.clone(), "https://im.example.com", net, clock);
//! let door = Input::new(portal, Unsigned::Refused).on("receivingMessage", move |push: &Push| {
//!     for message in Received::all(push) {
//!         let text = format!("You wrote: {}", message.text);
//!         let at = MessageRef { chat_id: 1, message_id: 1, chat: message.chat };
//!         let answer = Outgoing { at, user_id: 1, text, files: vec![], way_back: message.way_back };
//!         server.output(&push.connector, &push.line).send_message(&[answer]).map_err(|_| "SERVER_AWAY")?;
//!     }
//!     Ok(json!([]))
//! });
//! // The body of each POST to /pub/imconnector/ goes in, what is to be answered comes out.
//! let reply = door.receive(b"BX_COMMAND=testConnect&DATA=");
//! assert_eq!(reply["ERROR"][0]["CODE"], "LICENCE_ERROR", "nobody has signed it");
//! # Ok::<(), trunkline::net::BadCaFile>(())
//! ```

pub mod codes;
pub mod distribution;
pub mod fetch;
pub mod hook;
mod hours;
mod input;
mod output;
pub mod password;
mod received;
mod values;
mod wire;

use std::fmt;

pub use fetch::FileLink;
pub use hook::{BadSecret, Hook, HookError};
pub use hours::{BadHours, Hours};
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
mod examples;
#[cfg(test)]
pub(crate) mod tests;
