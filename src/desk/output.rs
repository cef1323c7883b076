//! Portal → server: any remote method by name, and those that need work before as functions (`portal-box.md` §3.4, §5).

#![expect(clippy::indexing_slicing, reason = "a missing key of a JSON value is null, not a panic")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value as Json;

use super::CallError;
use super::wire::Wire;
use crate::clock::Clock;
use crate::net::Net;
use crate::portals::boxed::php::Value;
use crate::portals::boxed::portal_side::Identity;

/// Commands that nobody waits for (`portal-box.md` §3.1).
const NO_WAIT: [&str; 6] = [
    "sendMessage",
    "updateMessage",
    "deleteMessage",
    "setStatusDelivered",
    "setStatusReading",
    "initializeReceiveMessages",
];
/// `CONNECTOR` of what concerns the whole portal.
const ALL: &str = "all";
/// How long what the server says of its connectors and of a line's is used.
const KEPT: Duration = Duration::from_hours(24);

/// A connector server as one portal sees it.
#[derive(Debug)]
pub struct Client {
    wire: Wire,
    clock: Arc<dyn Clock>,
    kept: Mutex<BTreeMap<String, Kept>>,
}

#[derive(Debug)]
struct Kept {
    until: Duration,
    data: Json,
}

impl Client {
    /// The server at the base address `server`, called as the portal `identity`.
    pub fn new(identity: Identity, server: &str, net: Arc<dyn Net>, clock: Arc<dyn Clock>) -> Self {
        Self { wire: Wire { identity, server: server.to_owned(), net }, clock, kept: Mutex::default() }
    }

    /// Who calls.
    pub fn identity(&self) -> &Identity {
        &self.wire.identity
    }

    /// The server's methods about one line of a connector: the real id for settings, the virtual one for messages of a
    /// virtual channel.
    pub fn output<'a>(&'a self, connector: &'a str, line: &'a str) -> Output<'a> {
        Output { client: self, connector, line: Some(line) }
    }

    /// The server's methods about the portal as a whole.
    pub fn portal(&self) -> Output<'_> {
        Output { client: self, connector: ALL, line: None }
    }

    /// Ids of the connectors that the server has. Kept for a day.
    pub fn list_connectors(&self) -> Result<Vec<String>, CallError> {
        let data = self.kept("listConnector", &[])?;
        // A list of ids, or a map from id to anything.
        Ok(match data {
            Json::Object(map) => map.into_iter().map(|(id, _)| id).filter(|id| !id.is_empty()).collect(),
            Json::Array(ids) => ids.iter().filter_map(Json::as_str).map(str::to_owned).collect(),
            _ => Vec::new(),
        })
    }

    /// What is connected with a line, by connector id: `{id, url, url_im, name, picture:{url}}`. Kept for a day, or until
    /// [`Self::forget`].
    pub fn info_connectors_line(&self, line: &str) -> Result<Json, CallError> {
        self.kept("infoConnectorsLine", &[Value::text(line)])
    }

    /// Forgets what was kept, as after a change of settings.
    pub fn forget(&self) {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Disconnects everything from a line that is no more.
    pub fn delete_line(&self, line: &str) -> Result<(), CallError> {
        self.forget();
        self.portal().call("deleteLine", vec![Value::text(line)]).map(drop)
    }

    /// Tells the server the portal's new public address.
    pub fn save_domain(&self, url: &str) -> Result<(), CallError> {
        self.portal().call("saveDomainSite", vec![Value::text(url)]).map(drop)
    }

    /// What the server said last, unless that is too long ago. A failure is not kept.
    fn kept(&self, command: &str, args: &[Value]) -> Result<Json, CallError> {
        let kept = || self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let name = format!("{command} {args:?}");
        let now = self.clock.ticks();
        if let Some(kept) = kept().get(&name).filter(|kept| now < kept.until) {
            return Ok(kept.data.clone());
        }
        let data = self.portal().call(command, args.to_vec())?;
        kept().insert(name, Kept { until: self.clock.ticks() + KEPT, data: data.clone() });
        Ok(data)
    }
}

/// The server's methods about one connector of one line, or about the portal.
#[derive(Clone, Copy, Debug)]
pub struct Output<'a> {
    client: &'a Client,
    connector: &'a str,
    line: Option<&'a str>,
}

impl Output<'_> {
    /// Calls a method by its name with its positional arguments and gives `DATA` of the reply; of a command that nobody
    /// waits for, null.
    pub fn call(&self, command: &str, args: Vec<Value>) -> Result<Json, CallError> {
        let body = self.client.wire.identity.command(command, self.connector, self.line, args);
        if NO_WAIT.iter().any(|name| name.eq_ignore_ascii_case(command)) {
            return self.client.wire.tell(body).map(|()| Json::Null);
        }
        let reply: Json = serde_json::from_slice(&self.client.wire.ask(body)?).map_err(|_| CallError::NotJson)?;
        if reply["OK"] == true {
            return Ok(reply["DATA"].clone());
        }
        let error = &reply["ERROR"][0];
        let words = [&error["MESSAGE"], &error["CODE"]].into_iter().filter_map(Json::as_str);
        let words = words.into_iter().find(|words| !words.is_empty()).unwrap_or("no reason given");
        Err(CallError::Refused(words.to_owned()))
    }

    /// Hands operators' messages over.
    pub fn send_message(&self, messages: &[Outgoing]) -> Result<(), CallError> {
        let element = |message: &Outgoing| {
            let files = message.files.iter().map(|file| {
                Value::map([
                    ("name", Value::text(&file.name)),
                    ("type", Value::text(file.kind)),
                    ("link", Value::text(&file.link)),
                    ("size", Value::text(file.size.to_string())),
                ])
            });
            let body = Value::map([
                ("user_id", Value::Int(message.user_id)),
                ("text", Value::text(&message.text)),
                ("files", Value::list(files)),
                ("attachments", Value::list([])),
                ("params", Value::list([])),
            ]);
            let id = Value::Int(message.at.message_id);
            element(&message.at, id, body, message.way_back.as_ref())
        };
        self.list("sendMessage", messages.iter().map(element))
    }

    /// Changes messages that the channel has.
    pub fn update_message(&self, edits: &[Edit]) -> Result<(), CallError> {
        let element = |edit: &Edit| {
            let body = Value::map([
                ("id", Value::list(edit.external.iter().map(Value::text))),
                ("text", Value::text(&edit.text)),
            ]);
            element(&edit.at, from_column(&edit.at), body, edit.way_back.as_ref())
        };
        self.list("updateMessage", edits.iter().map(element))
    }

    /// Takes messages back that the channel has: each with an element for each of its external ids.
    pub fn delete_message(&self, deletions: &[Deletion]) -> Result<(), CallError> {
        let elements = deletions.iter().flat_map(|deletion| {
            deletion.external.iter().map(|id| {
                let body = Value::map([("id", Value::text(id))]);
                element(&deletion.at, from_column(&deletion.at), body, deletion.way_back.as_ref())
            })
        });
        self.list("deleteMessage", elements)
    }

    /// Confirms messages by the ids that they came with, of the types that they came with.
    pub fn set_status_delivered<'v>(&self, messages: impl Iterator<Item = &'v Value>) -> Result<(), CallError> {
        let names = messages.map(|item| {
            let id = |outer: &str| item.get(outer).and_then(|value| value.get("id")).cloned().unwrap_or(Value::Null);
            Value::map([("chat", Value::map([("id", id("chat"))])), ("message", Value::map([("id", id("message"))]))])
        });
        self.list("setStatusDelivered", names)
    }

    /// A command whose only argument is a list.
    fn list(&self, command: &str, elements: impl Iterator<Item = Value>) -> Result<(), CallError> {
        self.call(command, vec![Value::list(elements)]).map(drop)
    }
}

/// A message of the portal and the chat outside that it belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageRef {
    /// `im.chat_id`.
    pub chat_id: i64,
    /// `im.message_id`.
    pub message_id: i64,
    /// External chat id.
    pub chat: String,
}

/// What a message of a Bot Framework channel came with, mixed into what goes back to its chat
/// (`portal-box-observed.md` §7).
#[derive(Clone, Debug, PartialEq)]
pub struct WayBack {
    /// `recipient`, as it came; goes out as `from`.
    pub recipient: Value,
    /// `service_url`.
    pub service_url: String,
}

/// An operator's message.
#[derive(Clone, Debug, PartialEq)]
pub struct Outgoing {
    /// Which message it is.
    pub at: MessageRef,
    /// The operator's user id.
    pub user_id: i64,
    /// BB-code, with the operator's signature before it where there is one.
    pub text: String,
    /// Files as links.
    pub files: Vec<File>,
    /// For channels of the Bot Framework.
    pub way_back: Option<WayBack>,
}

/// A file that the channel or its users fetch from the portal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Name to show.
    pub name: String,
    /// `file` or `image`.
    pub kind: &'static str,
    /// Public address.
    pub link: String,
    /// Bytes, 0 where nobody knows.
    pub size: u64,
}

/// A new text for a message.
#[derive(Clone, Debug, PartialEq)]
pub struct Edit {
    /// Which message it is.
    pub at: MessageRef,
    /// Its external ids.
    pub external: Vec<String>,
    /// BB-code.
    pub text: String,
    /// For channels of the Bot Framework.
    pub way_back: Option<WayBack>,
}

/// A message that is to vanish.
#[derive(Clone, Debug, PartialEq)]
pub struct Deletion {
    /// Which message it is.
    pub at: MessageRef,
    /// Its external ids.
    pub external: Vec<String>,
    /// For channels of the Bot Framework.
    pub way_back: Option<WayBack>,
}

/// Columns of the portal's database come as text (`portal-box-observed.md` §1).
fn from_column(at: &MessageRef) -> Value {
    Value::text(at.message_id.to_string())
}

fn element(at: &MessageRef, message_id: Value, message: Value, way_back: Option<&WayBack>) -> Value {
    let mut element = vec![
        ("im", Value::map([("chat_id", Value::Int(at.chat_id)), ("message_id", message_id)])),
        ("message", message),
        ("chat", Value::map([("id", Value::text(&at.chat))])),
    ];
    if let Some(back) = way_back {
        element.push(("from", back.recipient.clone()));
        element.push(("service_url", Value::text(&back.service_url)));
    }
    Value::map(element)
}
