//! The boxed portal's twin (`portal-box.md`, `portal-box-observed.md`): takes pushes and confirms them as a module of the
//! chosen version does, keeps conversations, and sends what its operators do. Its page is an operator's desk.
//!
//! By version: 17.x asks for the list of connectors before it confirms; up to 20 `setStatusDelivered` goes out on a new
//! connection before the reply; below 20 a wrong signature is reported and the command carried out all the same; 23
//! confirms by its reply alone.

mod page;

use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use serde_json::Value as Json;

use super::host::{self, Ask, Dice, Tell};
use super::{Faults, Watched};
use crate::clock::Clock;
use crate::desk::fetch::Limits;
use crate::desk::hook::Hook;
use crate::desk::office::{self, Confirm, Errands, FileGiven, Office, OfficeError, Repeats, Talk};
use crate::desk::web::Page;
use crate::desk::{Input, Unsigned, refusal};
use crate::net::Net;
use crate::portals::boxed::portal_side::{Identity, Push};

/// The operators of a new desk; the first one writes what scripts say.
const OPERATORS: [&str; 2] = ["Anna Ivanova", "Peter Orlov"];

/// What the twin is told at the start.
#[derive(Debug)]
pub struct Options {
    /// Port on loopback, 0 for any.
    pub port: u16,
    /// Licence key, the secret of both sides.
    pub license_key: String,
    /// Module version, e.g. `17.0.14`, `20.0.75`, `23.100.0`.
    pub version: String,
    /// Base address of the server.
    pub server: String,
    /// Faults on demand.
    pub faults: Faults,
    /// The desk's file; `None`: in memory, gone with the process.
    pub file: Option<PathBuf>,
    /// Fetches customers' files within these limits; `None`: they stay links.
    pub fetch: Option<Limits>,
    /// Where events go by HTTP.
    pub hook: Option<Hook>,
    /// Operators' page at `/`.
    pub page: bool,
}

struct Inner {
    url: String,
    office: Arc<Office>,
    input: Input,
    page: Option<Page>,
    clock: Arc<dyn Clock>,
    dice: Dice,
    faults: Arc<Watched<Faults>>,
    pushes: AtomicU64,
    _errands: Errands,
}

/// The running twin; clones share it. Its threads end with the process.
#[derive(Clone)]
pub struct PortalTwin(Arc<Inner>);

impl fmt::Debug for PortalTwin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PortalTwin").field("url", &self.0.url).finish_non_exhaustive()
    }
}

impl PortalTwin {
    /// Listens on loopback.
    pub fn start(
        options: Options,
        clock: Arc<dyn Clock>,
        net: Arc<dyn Net>,
    ) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let slot: Arc<OnceLock<PortalTwin>> = Arc::default();
        let inside = Arc::clone(&slot);
        let answer = move |ask: Ask| inside.get().map_or_else(Tell::missing, |twin| twin.answer(ask));
        let url = host::start(options.port, answer)?;
        let setup = office::Options {
            identity: Identity::new(&options.license_key, &url, &options.version),
            server: options.server,
            file: options.file,
            repeats: Repeats::Shown,
            fetch: options.fetch,
            hook: options.hook,
        };
        let office = Arc::new(Office::open(setup, net, Arc::clone(&clock))?);
        if office.operators()?.is_empty() {
            for name in OPERATORS {
                office.add_operator(name, None)?;
            }
        }
        let faults = Arc::new(Watched::new(options.faults));
        let inner = Inner {
            url,
            input: input(&office, &faults),
            page: options.page.then(|| Page::new(Arc::clone(&office))),
            clock,
            dice: Dice::default(),
            faults,
            pushes: AtomicU64::new(0),
            _errands: office.run_errands()?,
            office,
        };
        let twin = Self(Arc::new(inner));
        let _ = slot.set(twin.clone());
        Ok(twin)
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> &str {
        &self.0.url
    }

    /// Its operators and what they have.
    pub fn office(&self) -> &Arc<Office> {
        &self.0.office
    }

    /// Faults from now on.
    pub fn set_faults(&self, faults: Faults) {
        self.0.faults.change(|now| *now = faults);
    }

    /// Whether the server said that the bot is connected elsewhere now.
    pub fn is_deactivated(&self) -> bool {
        self.0.office.lines().is_ok_and(|lines| lines.iter().any(|line| line.attention_since.is_some()))
    }

    /// How many correctly formed pushes were carried out.
    pub fn pushes(&self) -> u64 {
        self.0.pushes.load(Ordering::Relaxed)
    }

    /// Every conversation.
    pub fn talks(&self) -> Vec<Talk> {
        self.0.office.talks().unwrap_or_default()
    }

    /// Waits until `holds` is true of the desk; false after `limit`.
    pub fn wait(&self, limit: Duration, holds: impl Fn(&[Talk]) -> bool) -> bool {
        let deadline = self.0.clock.ticks() + limit;
        let mut version = 0;
        loop {
            let left = deadline.saturating_sub(self.0.clock.ticks());
            version = self.0.office.wait_for_news(version, left);
            let held = holds(&self.talks());
            if held || left.is_zero() {
                return held;
            }
        }
    }

    /// What the settings page does on the first save (`portal-box-observed.md` §4). Gives the webhook address.
    pub fn connect_bot(&self, line: &str, handle: &str, app_id: &str, app_secret: &str) -> Result<String, OfficeError> {
        let office = &self.0.office;
        let form = [("bot_handle", handle), ("app_id", app_id), ("app_secret", app_secret)];
        office.save_channel(line, |key| {
            form.iter().find(|(name, _)| *name == key).map(|(_, value)| (*value).to_owned()).unwrap_or_default()
        })?;
        office.test_channel(line, handle)?;
        Ok(office.channel(line)?.webhook)
    }

    fn answer(&self, ask: Ask) -> Tell {
        if !matches!(ask.path.as_str(), "/pub/imconnector/" | "/pub/imconnector/index.php") {
            if !ask.is_local() {
                return Tell::missing();
            }
            if let Some(tell) = self.control(&ask) {
                return tell;
            }
            let page = self.0.page.as_ref();
            return page.and_then(|page| page.answer(&ask.into())).map_or_else(Tell::missing, Tell::from);
        }
        let faults = self.0.faults.read(Faults::clone);
        if self.0.dice.strike(&faults).is_some() {
            return Tell::new(503, "text/html", b"<html>down on demand</html>".to_vec());
        }
        let reply = match self.0.input.read(&ask.body) {
            Ok(push) => {
                self.0.pushes.fetch_add(1, Ordering::Relaxed);
                self.0.input.carry_out(&push)
            }
            Err(code) => refusal(code),
        };
        Tell::new(200, "application/x-javascript; charset=UTF-8", reply.to_string().into_bytes())
    }

    /// Whoever has a conversation writes, maybe with a file as a link; in one that nobody has, the first operator. Gives
    /// `im.message_id`.
    pub fn say(&self, talk: i64, text: &str, file: Option<(String, String)>) -> Result<i64, OfficeError> {
        let office = &self.0.office;
        let holder = office.holder(talk)?;
        let first = || office.operators().map(|all| all.first().map_or(0, |one| one.id));
        let operator = holder.map_or_else(first, Ok)?;
        let file = file.map(|(name, url)| FileGiven { name, url });
        office.say(operator, talk, text, file.as_ref())
    }

    /// An operator edits a message that has been delivered.
    pub fn edit(&self, id: i64, text: &str) -> Result<(), OfficeError> {
        self.0.office.edit(id, text)
    }

    /// An operator deletes a message that has been delivered.
    pub fn delete(&self, id: i64) -> Result<(), OfficeError> {
        self.0.office.delete(id)
    }
}

/// The office's door, with the fault of a portal that keeps a packet and does not say so.
fn input(office: &Arc<Office>, faults: &Arc<Watched<Faults>>) -> Input {
    let (taking, faults) = (Arc::clone(office), Arc::clone(faults));
    office.door(Unsigned::ByVersion).on("receivingMessage", move |push: &Push| -> Result<Json, &'static str> {
        let never = faults.read(|faults| faults.no_confirm);
        taking.take(push, if never { Confirm::Never } else { Confirm::AsVersion })
    })
}

#[cfg(test)]
mod tests;
