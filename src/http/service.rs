//! What every handler may use, and the table of paths.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crossbeam_channel::bounded;

use super::known::KnownLines;
use super::limits::FrontStats;
use super::workers::{Answer, Pace};
use super::{Request, Response, Side, commands, health, hook};
use crate::channels::Factory;
use crate::clock::Clock;
use crate::ids::PortalId;
use crate::metrics::Metrics;
use crate::net::Net;
use crate::store::readers::{Reader, Readers};
use crate::store::writer::Deadlines;
use crate::store::{WriteError, Writer};
use crate::{dispatcher, sender};

/// Everything a handler may use. Handlers are plain functions on it.
#[derive(Debug)]
pub struct Service {
    /// Readers of the database.
    pub readers: Readers,
    /// Where the data lies, for the disk's free room.
    pub data_dir: std::path::PathBuf,
    /// The writer.
    pub writer: Writer,
    /// Answers webhooks whose commit takes too long.
    pub deadlines: Deadlines,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// The way out.
    pub net: Arc<dyn Net>,
    /// The connectors.
    pub factory: Arc<Factory>,
    /// Wakes the sender.
    pub sender: sender::Bell,
    /// Wakes the dispatcher.
    pub dispatcher: dispatcher::Bell,
    /// Durations.
    pub metrics: Metrics,
    /// What webhooks have asked of the lines.
    pub lines: KnownLines,
    /// How long a request waits for its commit.
    pub commit_wait: Duration,
    /// When a portal's call was noted last, in ticks.
    pub seen: Mutex<HashMap<PortalId, Duration>>,
    /// Figures of the ports; known once they are open.
    pub front: std::sync::OnceLock<Arc<FrontStats>>,
    /// What webhook addresses begin with; known once the ports are open.
    pub public_url: std::sync::OnceLock<String>,
}

/// A busy portal costs a write a minute for the fact that it calls, not one a call.
const SEEN_EVERY: Duration = Duration::from_mins(1);
/// Where boxed portals call.
const PORTAL: &str = "/imwebhook/portal.php";

/// An answer of the front itself, for a request that was not even read, in the words of that path.
pub(super) fn refused(path: &str, response: Response) -> Response {
    if path == PORTAL { commands::in_portals_words(response) } else { response }
}

/// A webhook leaves its answer to the writer; everything else waits for what it needs.
pub(super) fn pace(request: &Request) -> Pace {
    if hook::is_webhook(request) { Pace::Quick } else { Pace::Waiting }
}

impl Service {
    /// Answers one request, a webhook when its messages are on the disk.
    pub fn handle(self: &Arc<Self>, request: &Request, answer: Answer) {
        match hook::hash(request) {
            Some(hash) => hook::take(self, request, &hash, answer),
            None => answer.give(self.respond(request)),
        }
    }

    /// The answer to everything but webhooks.
    fn respond(&self, request: &Request) -> Response {
        let look: fn(&Self) -> Response = match (request.side, request.path.as_str()) {
            (Side::Public, PORTAL) => {
                return only(request, &["POST"]).map_or_else(|refused| refused, |()| commands::portal(self, request));
            }
            (_, "/healthz") => |_| health::healthz(),
            (Side::Admin, "/readyz") => health::readyz,
            (Side::Admin, "/metrics") => health::metrics,
            _ => return Response::error(404, "NOT_FOUND", "there is nothing at this address"),
        };
        only(request, &["GET", "HEAD"]).map_or_else(|refused| refused, |()| look(self))
    }

    /// Whether this portal's call was noted within the last minute; if not, it is about to be.
    pub(super) fn was_seen_lately(&self, portal: PortalId) -> bool {
        let now = self.clock.ticks();
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let lately = seen.get(&portal).is_some_and(|at| now.saturating_sub(*at) < SEEN_EVERY);
        if !lately {
            seen.insert(portal, now);
        }
        lately
    }

    /// What webhook addresses begin with.
    pub(super) fn base_url(&self) -> String {
        self.public_url.get().cloned().unwrap_or_default()
    }

    /// A reader, or the answer that says why there is none.
    pub(super) fn reader(&self) -> Result<Reader, Response> {
        self.readers.get().map_err(|error| {
            log::error!(error:% = error; "no reader of the database");
            unavailable("the database can't be read at the moment")
        })
    }

    /// The sender's and the dispatcher's signs of life: names of those that gave none within `wait`.
    pub fn silent_loops(&self, wait: Duration) -> Vec<&'static str> {
        let (one, sender_lives) = bounded(1);
        let (two, dispatcher_lives) = bounded(1);
        self.sender.tell(sender::Event::Ping(one));
        self.dispatcher.tell(dispatcher::Event::Ping(two));
        let mut silent = Vec::new();
        if sender_lives.recv_timeout(wait).is_err() {
            silent.push("sender");
        }
        if dispatcher_lives.recv_timeout(wait).is_err() {
            silent.push("dispatcher");
        }
        silent
    }
}

/// 405 with `Allow` for every other method.
pub(super) fn only(request: &Request, methods: &[&str]) -> Result<(), Response> {
    if methods.contains(&request.method.as_str()) {
        return Ok(());
    }
    let refused = Response::error(405, "METHOD_NOT_ALLOWED", "this address takes other methods");
    Err(refused.with("allow", methods.join(", ")))
}

/// 503: nothing was stored, come again.
pub(super) fn unavailable(message: &str) -> Response {
    Response::error(503, "UNAVAILABLE", message).with("retry-after", "2")
}

/// The answer when a command could not be committed. The writer says so once a while, for somebody must act.
pub(super) fn not_stored(error: &WriteError) -> Response {
    log::debug!(error:% = error; "a request could not be stored and was refused");
    unavailable("the message could not be stored; send it again")
}
