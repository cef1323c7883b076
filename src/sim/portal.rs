//! The boxed portal's twin (`portal-box.md`, `portal-box-observed.md`): takes pushes and confirms them as a module of the
//! chosen version does, keeps conversations, and sends what its operators do. Its page is an operator's desk.
//!
//! By version: 17.x asks for the list of connectors before it confirms; up to 20 `setStatusDelivered` goes out on a new
//! connection before the reply; below 20 a wrong signature is reported and the command carried out all the same; 23
//! confirms by its reply alone.

#![expect(clippy::indexing_slicing, reason = "a missing key of a JSON value is null, not a panic")]

use std::sync::Arc;
use std::sync::OnceLock;
use std::time::Duration;

use serde_json::{Value as Json, json};

use super::host::{self, Ask, Dice, Tell};
use super::portal_wire::{CallError, Wire};
use super::{Faults, NEWS_WAIT, Watched};
use crate::clock::Clock;
use crate::net::Net;
use crate::portals::boxed::php::{self, Value};
use crate::portals::boxed::portal_side::{Identity, Push};

/// The operator whose name stands before each message.
const OPERATOR: &str = "Anna Ivanova";

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

/// How far an operator's message has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// Handed to the server.
    Sending,
    /// The channel has it.
    Delivered,
    /// It never will.
    Failed,
}

/// A message on the desk.
#[derive(Clone, Debug)]
pub struct Entry {
    /// `im.message_id`.
    pub id: i64,
    /// An operator wrote it.
    pub by_operator: bool,
    /// BB-code as it stands now.
    pub text: String,
    /// Names and addresses of files.
    pub files: Vec<(String, String)>,
    /// External ids.
    pub external: Vec<String>,
    /// Delivery mark of operators' messages.
    pub mark: Mark,
    /// It was edited.
    pub edited: bool,
    /// It was deleted.
    pub deleted: bool,
}

/// A conversation on the desk.
#[derive(Clone, Debug)]
pub struct Talk {
    /// `im.chat_id`.
    pub id: i64,
    /// Virtual connector id.
    pub connector: String,
    /// Line.
    pub line: String,
    /// External chat id.
    pub chat: String,
    /// The customer's name.
    pub name: String,
    /// Messages in order.
    pub entries: Vec<Entry>,
    /// The old `recipient` and the `service_url`, mixed into what is sent (`portal-box-observed.md` §7).
    way_back: Option<(Value, String)>,
}

#[derive(Debug, Default)]
struct State {
    faults: Faults,
    talks: Vec<Talk>,
    next: i64,
    knows_connectors: bool,
    deactivated: bool,
    pushes: u64,
}

struct Inner {
    url: String,
    version: String,
    wire: Wire,
    clock: Arc<dyn Clock>,
    net: Arc<dyn Net>,
    dice: Dice,
    state: Watched<State>,
}

/// The running twin; clones share it. Its threads end with the process.
#[derive(Clone)]
pub struct PortalTwin(Arc<Inner>);

impl std::fmt::Debug for PortalTwin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
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
            wire: Wire { identity, server: options.server.clone() },
            clock,
            net,
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
        self.0.state.read(|state| state.deactivated)
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
        self.0.wire.identity.major()
    }

    /// What the settings page does on the first save (`portal-box-observed.md` §4). Gives the webhook address.
    pub fn connect_bot(&self, line: &str, handle: &str, app_id: &str, app_secret: &str) -> Result<String, CallError> {
        let ask = |command: &str, args| self.0.wire.ask(self.0.net.as_ref(), command, "botframework", Some(line), args);
        // Its reply is ignored by the portal, too.
        let _ = ask("unregister", vec![]);
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
        self.0.state.change(|state| state.deactivated = false);
        page["RESULT"]["URL_WEBHOOK"].as_str().map(str::to_owned).ok_or(CallError::NotJson)
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
        let reply = self.push(&ask.body, &faults);
        Tell::new(200, "application/x-javascript; charset=UTF-8", reply.to_string().into_bytes())
    }

    /// One push, as the module's entry page handles it.
    fn push(&self, body: &[u8], faults: &Faults) -> Json {
        let error = |code: &str| json!({"OK": false, "DATA": [], "ERROR": [{"CODE": code}]});
        let Some(push) = self.0.wire.identity.read_push(body) else { return error("HASH_EMPTY") };
        if !push.signed && self.major() >= 20 {
            return error("LICENCE_ERROR");
        }
        let done = self.carry_out(&push, faults);
        if push.signed { done.unwrap_or_else(error) } else { error("LICENCE_ERROR") }
    }

    fn carry_out<'a>(&self, push: &Push, faults: &Faults) -> Result<Json, &'a str> {
        self.0.state.change(|state| state.pushes += 1);
        match push.command.as_str() {
            "testConnect" if self.major() >= 23 => Ok(json!({"OK": true, "DATA": []})),
            "testConnect" => Ok(json!({"OK": true, "DATA": {"RESULT": "OK"}})),
            "receivingMessage" => {
                if faults.no_confirm {
                    return Err("NOT_CONFIRMED_ON_DEMAND");
                }
                if self.major() < 21 {
                    self.confirm(push);
                }
                for item in push.data.items() {
                    self.take(push, item);
                }
                Ok(json!({"OK": true, "DATA": []}))
            }
            "receivingStatusDelivery" => {
                push.data.items().for_each(|item| self.delivered(item));
                Ok(json!({"OK": true, "DATA": []}))
            }
            "receivingError" if self.major() >= 23 => {
                push.data.items().for_each(|item| self.failed(item));
                Ok(json!({"OK": true, "DATA": []}))
            }
            "receivingStatusReading" => Ok(json!({"OK": true, "DATA": []})),
            "deactivateConnector" => {
                self.0.state.change(|state| state.deactivated = true);
                Ok(json!({"OK": true, "DATA": []}))
            }
            _ => Err("IMCONNECTOR_NOT_SPECIFIED_CORRECT_COMMAND"),
        }
    }

    /// `setStatusDelivered` for the whole packet, before any of it is processed, on a connection of its own.
    fn confirm(&self, push: &Push) {
        if self.major() < 18 && !self.0.state.read(|state| state.knows_connectors) {
            let list = self.0.wire.ask(self.0.net.as_ref(), "listConnector", "all", None, vec![]);
            self.0.state.change(|state| state.knows_connectors = list.is_ok());
        }
        let names = push.data.items().map(|item| {
            let id = |outer: &str| item.get(outer).and_then(|value| value.get("id")).cloned().unwrap_or(Value::Null);
            Value::map([("chat", Value::map([("id", id("chat"))])), ("message", Value::map([("id", id("message"))]))])
        });
        let args = vec![Value::list(names)];
        if let Err(error) =
            self.0.wire.tell(self.0.net.as_ref(), "setStatusDelivered", &push.connector, &push.line, args)
        {
            log::warn!(error:% = error; "the twin's confirmation did not leave");
        }
    }

    /// One message of a packet.
    fn take(&self, push: &Push, item: &Value) {
        let read = |path: [&str; 2]| item.get(path[0]).and_then(|value| value.get(path[1])).and_then(plain);
        let (Some(chat), Some(user)) = (read(["chat", "id"]), read(["user", "id"])) else { return };
        let external = read(["message", "id"]).unwrap_or_default();
        let text = read(["message", "text"]).unwrap_or_default();
        let files: Vec<(String, String)> = item
            .get("message")
            .and_then(|message| message.get("files"))
            .into_iter()
            .flat_map(Value::items)
            .filter_map(|file| {
                let url = file.get("url").and_then(plain)?;
                Some((file.get("name").and_then(plain).unwrap_or_else(|| "file".to_owned()), url))
            })
            .collect();
        let kind = item.get("type_message").and_then(plain).unwrap_or_else(|| "message".to_owned());
        // A message without text and files is dropped, silently, like there.
        if kind != "message_del" && text.is_empty() && files.is_empty() {
            return;
        }
        let name = read(["user", "name"]).filter(|name| !name.is_empty()).unwrap_or(user);
        self.0.state.change(|state| {
            let talk = state.talk(push, &chat, &name);
            if let (Some(recipient), Some(url)) = (item.get("recipient"), item.get("service_url").and_then(plain)) {
                talk.way_back = Some((recipient.clone(), url));
            }
            let known = talk.entries.iter_mut().find(|entry| !entry.by_operator && entry.external.contains(&external));
            match (kind.as_str(), known) {
                ("message_update", Some(entry)) => (entry.text, entry.edited) = (text, true),
                ("message_del", Some(entry)) => entry.deleted = true,
                ("message", _) => {
                    let entry = Entry {
                        id: 0,
                        by_operator: false,
                        text,
                        files,
                        external: vec![external],
                        mark: Mark::Delivered,
                        edited: false,
                        deleted: false,
                    };
                    talk.entries.push(entry);
                    state.number_last(&push.connector, &chat);
                }
                _ => (),
            }
        });
    }

    fn delivered(&self, item: &Value) {
        let id = item.get("im").and_then(|im| im.get("message_id")).and_then(plain).and_then(|id| id.parse().ok());
        let ids: Vec<String> = item
            .get("message")
            .and_then(|message| message.get("id"))
            .map(|ids| ids.items().filter_map(plain).collect())
            .unwrap_or_default();
        self.mark(id, Mark::Delivered, ids);
    }

    fn failed(&self, item: &Value) {
        let id = item.get("messageId").and_then(plain).and_then(|id| id.parse().ok());
        self.mark(id, Mark::Failed, Vec::new());
    }

    fn mark(&self, id: Option<i64>, mark: Mark, ids: Vec<String>) {
        self.0.state.change(|state| {
            let entry = state.talks.iter_mut().flat_map(|talk| &mut talk.entries).find(|entry| Some(entry.id) == id);
            if let Some(entry) = entry {
                entry.mark = mark;
                if !ids.is_empty() {
                    entry.external = ids;
                }
            }
        });
    }

    /// An operator writes, maybe with a file as a link. Gives `im.message_id`.
    pub fn say(&self, talk: i64, text: &str, file: Option<(String, String)>) -> Result<i64, CallError> {
        let Some((shape, id)) = self.0.state.change(|state| {
            state.next += 1;
            let id = state.next;
            let talk = state.talks.iter_mut().find(|entry| entry.id == talk)?;
            talk.entries.push(Entry {
                id,
                by_operator: true,
                text: text.to_owned(),
                files: file.clone().into_iter().collect(),
                external: vec![],
                mark: Mark::Sending,
                edited: false,
                deleted: false,
            });
            Some((talk.clone(), id))
        }) else {
            return Err(CallError::Refused("there is no such conversation".to_owned()));
        };
        let files = file.into_iter().map(|(name, link)| {
            Value::map([
                ("name", Value::Str(name)),
                ("type", Value::text("file")),
                ("link", Value::Str(link)),
                ("size", Value::text("0")),
            ])
        });
        let message = Value::map([
            ("user_id", Value::Int(3)),
            ("text", Value::Str(signed(text))),
            ("files", Value::list(files)),
            ("attachments", Value::list([])),
            ("params", Value::list([])),
        ]);
        self.send("sendMessage", &shape, Value::Int(id), message)?;
        Ok(id)
    }

    /// An operator edits a message that has been delivered.
    pub fn edit(&self, id: i64, text: &str) -> Result<i64, CallError> {
        let (talk, entry) = self.find(id)?;
        let ids = Value::list(entry.external.iter().map(Value::text));
        let message = Value::map([("id", ids), ("text", Value::Str(signed(text)))]);
        // Columns of the database come as text (`portal-box-observed.md` §1).
        self.send("updateMessage", &talk, Value::text(id.to_string()), message)?;
        self.change(id, |entry| {
            text.clone_into(&mut entry.text);
            entry.edited = true;
        });
        Ok(id)
    }

    /// An operator deletes a message that has been delivered: one element for each external id.
    pub fn delete(&self, id: i64) -> Result<i64, CallError> {
        let (talk, entry) = self.find(id)?;
        for external in &entry.external {
            let message = Value::map([("id", Value::text(external))]);
            self.send("deleteMessage", &talk, Value::text(id.to_string()), message)?;
        }
        self.change(id, |entry| entry.deleted = true);
        Ok(id)
    }

    fn change(&self, id: i64, change: impl FnOnce(&mut Entry)) {
        self.0.state.change(|state| {
            if let Some(entry) = state.talks.iter_mut().flat_map(|talk| &mut talk.entries).find(|entry| entry.id == id)
            {
                change(entry);
            }
        });
    }

    fn find(&self, id: i64) -> Result<(Talk, Entry), CallError> {
        self.0
            .state
            .read(|state| {
                state.talks.iter().find_map(|talk| {
                    let entry = talk.entries.iter().find(|entry| entry.id == id && !entry.external.is_empty())?;
                    Some((talk.clone(), entry.clone()))
                })
            })
            .ok_or_else(|| CallError::Refused("the message has not been delivered".to_owned()))
    }

    fn send(&self, command: &str, talk: &Talk, message_id: Value, message: Value) -> Result<(), CallError> {
        let mut element = vec![
            ("im", Value::map([("chat_id", Value::Int(talk.id)), ("message_id", message_id)])),
            ("message", message),
            ("chat", Value::map([("id", Value::text(&talk.chat))])),
        ];
        if let Some((recipient, service_url)) = &talk.way_back {
            element.push(("from", recipient.clone()));
            element.push(("service_url", Value::text(service_url)));
        }
        let args = vec![Value::list([Value::map(element)])];
        self.0.wire.tell(self.0.net.as_ref(), command, &talk.connector, &talk.line, args)
    }

    /// The operator's page and what it asks for.
    fn page(&self, ask: &Ask) -> Option<Tell> {
        let body = || ask.json();
        Some(match (ask.method.as_str(), ask.path.as_str()) {
            ("GET", "/") => Tell::page("text/html; charset=utf-8", include_bytes!("pages/operator.html")),
            ("GET", "/operator.js") => {
                Tell::page("text/javascript; charset=utf-8", include_bytes!("pages/operator.js"))
            }
            ("GET", "/common.js") => Tell::page("text/javascript; charset=utf-8", include_bytes!("pages/common.js")),
            ("GET", "/style.css") => Tell::page("text/css; charset=utf-8", include_bytes!("pages/style.css")),
            ("GET", "/sim/state") => {
                let after = ask.query("after").and_then(|text| text.parse().ok()).unwrap_or(0);
                let shown = |version, state: &State| Tell::json(200, &self.shown(version, state));
                self.0.state.news(after, NEWS_WAIT, shown)
            }
            ("POST", "/sim/say") => {
                let body = body();
                let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
                let file = Some((text("file_name"), text("file"))).filter(|(_, link)| !link.is_empty());
                done(self.say(body["talk"].as_i64().unwrap_or(0), &text("text"), file))
            }
            ("POST", "/sim/edit") => {
                let body = body();
                done(self.edit(body["id"].as_i64().unwrap_or(0), body["text"].as_str().unwrap_or_default()))
            }
            ("POST", "/sim/delete") => done(self.delete(body()["id"].as_i64().unwrap_or(0))),
            _ => return None,
        })
    }

    fn shown(&self, version: u64, state: &State) -> Json {
        let talks: Vec<_> = state
            .talks
            .iter()
            .map(|talk| {
                let entries: Vec<_> = talk
                    .entries
                    .iter()
                    .map(|entry| {
                        let files: Vec<_> =
                            entry.files.iter().map(|(name, url)| json!({"name": name, "url": url})).collect();
                        let mark = match entry.mark {
                            Mark::Sending => "sending",
                            Mark::Delivered => "delivered",
                            Mark::Failed => "failed",
                        };
                        json!({"id": entry.id, "operator": entry.by_operator, "text": entry.text, "files": files,
                            "mark": mark, "edited": entry.edited, "deleted": entry.deleted})
                    })
                    .collect();
                json!({"id": talk.id, "connector": talk.connector, "name": talk.name, "entries": entries})
            })
            .collect();
        json!({"version": version, "module": self.0.version, "deactivated": state.deactivated, "talks": talks})
    }
}

impl State {
    /// The conversation of a push, made when it is new.
    fn talk(&mut self, push: &Push, chat: &str, name: &str) -> &mut Talk {
        let at = self.talks.iter().position(|talk| talk.connector == push.connector && talk.chat == chat);
        let at = at.unwrap_or_else(|| {
            self.next += 1;
            self.talks.push(Talk {
                id: self.next,
                connector: push.connector.clone(),
                line: push.line.clone(),
                chat: chat.to_owned(),
                name: name.to_owned(),
                entries: Vec::new(),
                way_back: None,
            });
            self.talks.len() - 1
        });
        self.talks.get_mut(at).expect("found or pushed just now")
    }

    fn number_last(&mut self, connector: &str, chat: &str) {
        self.next += 1;
        let id = self.next;
        let talk = self.talks.iter_mut().find(|talk| talk.connector == connector && talk.chat == chat);
        if let Some(entry) = talk.and_then(|talk| talk.entries.last_mut()) {
            entry.id = id;
        }
    }
}

/// A scalar as text.
fn plain(value: &php::Value) -> Option<String> {
    match value {
        Value::Str(text) => Some(text.clone()),
        Value::Int(number) => Some(number.to_string()),
        Value::Null | Value::Bool(_) | Value::Float(_) | Value::Array(_) => None,
    }
}

/// The operator's signature (`portal-box-observed.md` §8).
fn signed(text: &str) -> String {
    if text.is_empty() { format!("[b]{OPERATOR}:[/b]") } else { format!("[b]{OPERATOR}:[/b][br] {text}") }
}

fn done(result: Result<i64, CallError>) -> Tell {
    match result {
        Ok(id) => Tell::json(200, &json!({"id": id})),
        Err(error) => Tell::json(502, &json!({"error": error.to_string()})),
    }
}
