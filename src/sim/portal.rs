//! The boxed portal's twin (`portal-box.md`, `portal-box-observed.md`): takes pushes and confirms them as a module of the
//! chosen version does, keeps conversations, and sends what its operators do. Its page is an operator's desk.
//!
//! By version: 17.x asks for the list of connectors before it confirms; up to 20 `setStatusDelivered` goes out on a new
//! connection before the reply; below 20 a wrong signature is reported and the command carried out all the same; 23
//! confirms by its reply alone.

mod desk;
mod page;

use std::fmt;
use std::sync::Arc;
use std::sync::OnceLock;
use std::time::Duration;

use serde_json::{Value as Json, json};

pub use self::desk::{Entry, Mark, Talk};

use self::desk::State;
use super::host::{self, Ask, Dice, Tell};
use super::{Faults, Watched};
use crate::clock::Clock;
use crate::desk::{
    CallError, Client, Deletion, Delivered, Edit, Failed, File, Input, MessageRef, Outgoing, Received, Unsigned, codes,
    refusal,
};
use crate::net::Net;
use crate::portals::boxed::php::Value;
use crate::portals::boxed::portal_side::{Identity, Push};

/// The operator whose name stands before each message.
const OPERATOR: &str = "Anna Ivanova";
const OPERATOR_ID: i64 = 3;

/// Why an operator's act came to nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ActError {
    /// The desk has no such message or conversation, or the message has not been delivered.
    NotThere(&'static str),
    /// The server did not take it.
    Call(CallError),
}

impl fmt::Display for ActError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotThere(what) => f.write_str(what),
            Self::Call(error) => write!(f, "{error}"),
        }
    }
}

impl std::error::Error for ActError {}

impl From<CallError> for ActError {
    fn from(error: CallError) -> Self {
        Self::Call(error)
    }
}

/// What the twin is told at the start.
#[derive(Clone, Debug)]
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
}

struct Inner {
    url: String,
    version: String,
    client: Client,
    input: Input,
    clock: Arc<dyn Clock>,
    dice: Dice,
    state: Watched<State>,
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
        options: &Options,
        clock: Arc<dyn Clock>,
        net: Arc<dyn Net>,
    ) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let slot: Arc<OnceLock<PortalTwin>> = Arc::default();
        let inside = Arc::clone(&slot);
        let answer = move |ask: Ask| inside.get().map_or_else(Tell::missing, |twin| twin.answer(&ask));
        let url = host::start(options.port, answer)?;
        let identity = Identity::new(&options.license_key, &url, &options.version);
        let inner = Inner {
            url,
            version: options.version.clone(),
            input: input(&identity, &slot),
            client: Client::new(identity, &options.server, net, Arc::clone(&clock)),
            clock,
            dice: Dice::default(),
            state: Watched::new(State { faults: options.faults.clone(), next: 2000, ..State::default() }),
        };
        let twin = Self(Arc::new(inner));
        let _ = slot.set(twin.clone());
        Ok(twin)
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> &str {
        &self.0.url
    }

    /// Faults from now on.
    pub fn set_faults(&self, faults: Faults) {
        self.0.state.change(|state| state.faults = faults);
    }

    /// Whether the server said that the bot is connected elsewhere now.
    pub fn is_deactivated(&self) -> bool {
        self.0.state.read(|state| !state.deactivated.is_empty())
    }

    /// How many correctly formed pushes were carried out.
    pub fn pushes(&self) -> u64 {
        self.0.state.read(|state| state.pushes)
    }

    /// Every conversation.
    pub fn talks(&self) -> Vec<Talk> {
        self.0.state.read(|state| state.talks.clone())
    }

    /// Waits until `holds` is true of the desk; false after `limit`.
    pub fn wait(&self, limit: Duration, holds: impl Fn(&[Talk]) -> bool) -> bool {
        let deadline = self.0.clock.ticks() + limit;
        let mut version = 0;
        loop {
            let left = deadline.saturating_sub(self.0.clock.ticks());
            let held = self.0.state.news(version, left, |now, state| {
                version = now;
                holds(&state.talks)
            });
            if held || left.is_zero() {
                return held;
            }
        }
    }

    fn major(&self) -> u32 {
        self.0.client.identity().major()
    }

    /// What the settings page does on the first save (`portal-box-observed.md` §4). Gives the webhook address.
    pub fn connect_bot(&self, line: &str, handle: &str, app_id: &str, app_secret: &str) -> Result<String, CallError> {
        if !self.knows_connectors() {
            return Err(CallError::Refused("the list of connectors can't be had, so its page offers none".to_owned()));
        }
        let ask = |command: &str, args| self.0.client.output("botframework", line).call(command, args);
        // Before 20 a new connection is cleared first, from 20 on an existing one; the reply is ignored.
        if self.0.state.read(|state| state.connected.contains(line)) == (self.major() >= 20) {
            let _ = ask("unregister", vec![]);
        }
        let mut form = vec![
            ("bot_handle", Value::text(handle)),
            ("app_id", Value::text(app_id)),
            ("app_secret", Value::text(app_secret)),
        ];
        let empty = [
            "url_skypebot",
            "url_slack",
            "url_kik",
            "url_groupme",
            "url_twilio",
            "url_msteams",
            "url_webchat",
            "url_email",
            "url_telegram",
            "url_facebook",
        ];
        form.extend(empty.map(|key| (key, Value::text(""))));
        ask("saveSettingsBotFramework", vec![Value::map(form)])?;
        ask("testConnect", vec![])?;
        let page = ask("getAuthorizationInformation", vec![])?;
        ask("infoConnectLink", vec![])?;
        self.0.state.change(|state| {
            state.deactivated.remove(line);
            state.connected.insert(line.to_owned());
        });
        let webhook = page.pointer("/RESULT/URL_WEBHOOK").and_then(Json::as_str);
        webhook.map(str::to_owned).ok_or(CallError::NotJson)
    }

    fn answer(&self, ask: &Ask) -> Tell {
        if let Some(tell) = self.page(ask) {
            return tell;
        }
        if !matches!(ask.path.as_str(), "/pub/imconnector/" | "/pub/imconnector/index.php") {
            return Tell::missing();
        }
        let faults = self.0.state.read(|state| state.faults.clone());
        if self.0.dice.strike(&faults).is_some() {
            return Tell::new(503, "text/html", b"<html>down on demand</html>".to_vec());
        }
        let reply = match self.0.input.read(&ask.body) {
            Ok(push) => {
                self.0.state.change(|state| state.pushes += 1);
                self.0.input.carry_out(&push)
            }
            Err(code) => refusal(code),
        };
        Tell::new(200, "application/x-javascript; charset=UTF-8", reply.to_string().into_bytes())
    }

    /// `receivingMessage`.
    fn take(&self, push: &Push) -> Result<Json, &'static str> {
        if self.major() >= 20 && self.0.state.read(|state| state.deactivated.contains(&push.line)) {
            return Err(codes::NOT_ACTIVE_LINE);
        }
        let no_confirm = self.0.state.read(|state| state.faults.no_confirm);
        if self.major() < 21 && !no_confirm {
            self.confirm(push);
        }
        let (now, major) = (self.0.clock.now(), self.major());
        let received = Received::all(push);
        self.0.state.change(|state| received.into_iter().for_each(|one| state.take(push, one, now, major)));
        if no_confirm { Err("NOT_CONFIRMED_ON_DEMAND") } else { Ok(json!([])) }
    }

    /// `receivingStatusDelivery`.
    fn delivered(&self, push: &Push) {
        self.0.state.change(|state| Delivered::all(push).into_iter().for_each(|one| state.delivered(one)));
    }

    /// `receivingError`.
    fn failed(&self, push: &Push) {
        self.0.state.change(|state| Failed::all(push).iter().for_each(|one| state.failed(one)));
    }

    /// `deactivateConnector`.
    fn deactivated(&self, push: &Push) {
        self.0.state.change(|state| state.deactivated.insert(push.line.clone()));
    }

    /// `setStatusDelivered` for the whole packet, before any of it is processed, on a connection of its own.
    fn confirm(&self, push: &Push) {
        // A connector that the portal does not know of is never confirmed (`portal-box-observed.md` §6).
        if !self.knows_connectors() {
            return;
        }
        let output = self.0.client.output(&push.connector, &push.line);
        if let Err(error) = output.set_status_delivered(push.data.items()) {
            log::warn!(error:% = error; "the twin's confirmation did not leave");
        }
    }

    /// 17.x works only with the server's list of connectors, which it asks for once a day.
    fn knows_connectors(&self) -> bool {
        self.major() >= 18 || self.0.client.list_connectors().is_ok()
    }

    /// An operator writes, maybe with a file as a link. Gives `im.message_id`.
    pub fn say(&self, talk: i64, text: &str, file: Option<(String, String)>) -> Result<i64, ActError> {
        let now = self.0.clock.now();
        let written = self.0.state.change(|state| state.write(talk, text, file.clone(), now));
        let (talk, id) = written.ok_or(ActError::NotThere("there is no such conversation"))?;
        let message = Outgoing {
            at: place(&talk, id),
            user_id: OPERATOR_ID,
            text: signed(text),
            files: file.into_iter().map(|(name, link)| File { name, kind: "file", link, size: 0 }).collect(),
            way_back: talk.way_back.clone(),
        };
        if let Err(error) = self.0.client.output(&talk.connector, &talk.line).send_message(&[message]) {
            // The older client reports success whatever happens; here the desk is honest.
            self.change(id, |entry| entry.mark = Mark::Failed);
            return Err(error.into());
        }
        Ok(id)
    }

    /// An operator edits a message that has been delivered.
    pub fn edit(&self, id: i64, text: &str) -> Result<i64, ActError> {
        let (talk, entry) = self.find(id)?;
        let (at, way_back) = (place(&talk, id), talk.way_back.clone());
        let edit = Edit { at, external: entry.external, text: signed(text), way_back };
        self.0.client.output(&talk.connector, &talk.line).update_message(&[edit])?;
        self.change(id, |entry| {
            text.clone_into(&mut entry.text);
            entry.edited = true;
        });
        Ok(id)
    }

    /// An operator deletes a message that has been delivered.
    pub fn delete(&self, id: i64) -> Result<i64, ActError> {
        let (talk, entry) = self.find(id)?;
        let (at, way_back) = (place(&talk, id), talk.way_back.clone());
        let deletion = Deletion { at, external: entry.external, way_back };
        self.0.client.output(&talk.connector, &talk.line).delete_message(&[deletion])?;
        self.change(id, |entry| entry.deleted = true);
        Ok(id)
    }

    fn change(&self, id: i64, change: impl FnOnce(&mut Entry)) {
        self.0.state.change(|state| state.entry(id).map(change));
    }

    fn find(&self, id: i64) -> Result<(Talk, Entry), ActError> {
        self.0
            .state
            .read(|state| {
                state.talks.iter().find_map(|talk| {
                    let own = |entry: &&Entry| entry.id == id && entry.by_operator && !entry.external.is_empty();
                    let entry = talk.entries.iter().find(own)?;
                    Some((talk.clone(), entry.clone()))
                })
            })
            .ok_or(ActError::NotThere("there is no such message of an operator, or it has not been delivered yet"))
    }
}

/// The door of the twin that will stand in `slot`.
fn input(identity: &Identity, slot: &Arc<OnceLock<PortalTwin>>) -> Input {
    let on = |act: fn(&PortalTwin, &Push)| {
        let slot = Arc::clone(slot);
        move |push: &Push| {
            if let Some(twin) = slot.get() {
                act(twin, push);
            }
            Ok(json!([]))
        }
    };
    let taking = Arc::clone(slot);
    Input::new(identity.clone(), Unsigned::ByVersion)
        .on("receivingMessage", move |push: &Push| taking.get().map_or(Ok(json!([])), |twin| twin.take(push)))
        .on("receivingStatusDelivery", on(PortalTwin::delivered))
        .on("receivingError", on(PortalTwin::failed))
        .on("deactivateConnector", on(PortalTwin::deactivated))
}

fn place(talk: &Talk, message_id: i64) -> MessageRef {
    MessageRef { chat_id: talk.id, message_id, chat: talk.chat.clone() }
}

/// The operator's signature (`portal-box-observed.md` §8).
fn signed(text: &str) -> String {
    if text.is_empty() { format!("[b]{OPERATOR}:[/b]") } else { format!("[b]{OPERATOR}:[/b][br] {text}") }
}

#[cfg(test)]
mod tests;
