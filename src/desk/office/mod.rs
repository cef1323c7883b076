//! Open Lines as a portal has them: customers of all channels in one place, conversations that wait for operators, marks,
//! events for other programs; all of it in one SQLite file. It stands on the desk's [`Client`] and [`Input`] and knows
//! nothing of the connector server but the wire.
//!
//! Everything is stored before it is confirmed: [`Office::take`] answers only after its commit.

mod abilities;
mod channel;
mod errands;
mod events;
mod people;
mod rows;
mod say;
mod settings;
mod store;
mod take;
mod talks;
mod turns;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value as Json, json};

pub use abilities::Abilities;
pub use channel::Channel;
pub use errands::Errands;
pub use events::{Event, EventKind, Subscriber};
pub use people::Operator;
pub use say::FileGiven;
pub use settings::{Line, LineSettings};
pub use store::StoreError;
pub use take::{Confirm, Repeats};
pub use talks::{Author, Entry, FileState, Mark, StoredFile, Summary, Talk, TalkState};

use super::fetch::Limits;
use super::hook::Hook;
use super::{CallError, Client, Input, Unsigned};
use crate::clock::Clock;
use crate::net::Net;
use crate::portals::boxed::portal_side::{Identity, Push};

/// Why something was not done.
#[derive(Debug)]
pub enum OfficeError {
    /// The desk has no such thing.
    NotThere(&'static str),
    /// It may not be done, with the reason.
    NotAllowed(String),
    /// What was typed can't be used, with the reason.
    Wrong(String),
    /// The connector server did not do its part.
    Call(CallError),
    /// The desk's file can't be read or written.
    Store(rusqlite::Error),
}

impl fmt::Display for OfficeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotThere(what) => f.write_str(what),
            Self::NotAllowed(why) | Self::Wrong(why) => f.write_str(why),
            Self::Call(error) => write!(f, "{error}"),
            Self::Store(error) => write!(f, "the desk's file can't be used: {error}"),
        }
    }
}

impl std::error::Error for OfficeError {}

impl From<CallError> for OfficeError {
    fn from(error: CallError) -> Self {
        Self::Call(error)
    }
}

impl From<rusqlite::Error> for OfficeError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error)
    }
}

/// How an office is set up.
#[derive(Debug)]
pub struct Options {
    /// Who the portal is.
    pub identity: Identity,
    /// Base address of the connector server.
    pub server: String,
    /// The desk's file; `None`: in memory, gone with the process.
    pub file: Option<PathBuf>,
    /// What becomes of a message that the server sends again.
    pub repeats: Repeats,
    /// Fetches customers' files within these limits; `None`: they stay links.
    pub fetch: Option<Limits>,
    /// Where events go by HTTP.
    pub hook: Option<Hook>,
}

impl Options {
    /// An office in memory that shows what comes again only once, fetches nothing and calls no hook.
    pub fn new(identity: Identity, server: &str) -> Self {
        let (file, repeats) = (None, Repeats::Absorbed);
        Self { identity, server: server.to_owned(), file, repeats, fetch: None, hook: None }
    }
}

/// The operators' office. Everything is done by `&self`, from any thread.
pub struct Office {
    client: Client,
    net: Arc<dyn Net>,
    clock: Arc<dyn Clock>,
    store: store::Store,
    repeats: Repeats,
    fetch: Option<Limits>,
    hook: Option<Hook>,
    subscribers: events::Subscribers,
    errands: errands::Bell,
    passwords: people::Tries,
}

impl fmt::Debug for Office {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Office").field("client", &self.client).finish_non_exhaustive()
    }
}

impl Office {
    /// Opens the desk's file. Files are fetched, turns pass on and the hook is called once [`Self::run_errands`] was.
    pub fn open(options: Options, net: Arc<dyn Net>, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        let store = store::Store::open(options.file.as_deref(), clock.now())?;
        let client = Client::new(options.identity, &options.server, Arc::clone(&net), Arc::clone(&clock));
        Ok(Self {
            client,
            net,
            clock,
            store,
            repeats: options.repeats,
            fetch: options.fetch,
            hook: options.hook,
            subscribers: events::Subscribers::default(),
            errands: errands::Bell::default(),
            passwords: people::Tries::default(),
        })
    }

    /// Calls to the server that the office has no function for.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The door for the server's packets, with every command that the office handles; more handlers may be added.
    pub fn door(self: &Arc<Self>, unsigned: Unsigned) -> Input {
        let on = |act: fn(&Self, &Push) -> Result<(), OfficeError>| {
            let office = Arc::clone(self);
            move |push: &Push| -> Result<Json, &'static str> {
                act(&office, push).map_err(|error| {
                    log::warn!(error:% = error; "the desk could not keep what the server said");
                    super::codes::NOT_STORED
                })?;
                Ok(json!([]))
            }
        };
        let taking = Arc::clone(self);
        Input::new(self.client.identity().clone(), unsigned)
            .on("receivingMessage", move |push: &Push| taking.take(push, Confirm::AsVersion))
            .on("receivingStatusDelivery", on(Self::delivered))
            .on("receivingStatusReading", on(Self::read_by_customer))
            .on("receivingError", on(Self::failed))
            .on("receivingStatusBlock", on(Self::blocked))
            .on("deactivateConnector", on(Self::deactivated))
    }

    /// Waits for a version above `after`, at most for `limit`, and gives it; a new one comes with each change.
    pub fn wait_for_news(&self, after: u64, limit: Duration) -> u64 {
        self.store.news(after, limit, |version, _| version)
    }
}

#[cfg(test)]
pub(crate) mod tests;
