//! Server → portal: reads a packet, checks who sent it, and hands it to the handler of its command (`portal-box.md` §4).

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Value as Json, json};

use super::values::{number, plain};
use super::{MessageRef, codes};
use crate::portals::boxed::php::Value;
use crate::portals::boxed::portal_side::{Identity, Push};

/// First module version that carries nothing out that is not signed (`portal-box.md` §4.6).
const STRICT_FROM: u32 = 20;
/// First one with the commands of the second half of [`COMMANDS`], and whose test gives nothing back.
const NEWER: u32 = 23;
/// What servers say, and since which module version portals know it.
const COMMANDS: [(&str, u32); 8] = [
    ("testConnect", 0),
    ("receivingMessage", 0),
    ("receivingStatusDelivery", 0),
    ("receivingStatusReading", 0),
    ("deactivateConnector", 0),
    ("receivingError", NEWER),
    ("receivingStatusBlock", NEWER),
    ("setChatName", NEWER),
];

/// Carries out the packets of one command.
pub trait Handler: Send + Sync {
    /// What it gives becomes `DATA` of the reply; an error is the code of a refusal.
    fn handle(&self, push: &Push) -> Result<Json, &'static str>;
}

impl<F: Fn(&Push) -> Result<Json, &'static str> + Send + Sync> Handler for F {
    fn handle(&self, push: &Push) -> Result<Json, &'static str> {
        self(push)
    }
}

/// What becomes of a packet that the server has not signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsigned {
    /// It is refused.
    Refused,
    /// As the portal's version has it: below 20 it is carried out and answered as if it had been refused.
    ByVersion,
}

/// A portal's door for packets of its connector server. A command that it knows and nobody handles is accepted without
/// effect; one that its version does not know is refused.
pub struct Input {
    identity: Identity,
    unsigned: Unsigned,
    handlers: BTreeMap<&'static str, Box<dyn Handler>>,
}

impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let handled: Vec<_> = self.handlers.keys().collect();
        f.debug_struct("Input").field("identity", &self.identity).field("handled", &handled).finish_non_exhaustive()
    }
}

impl Input {
    /// The door of the portal `identity`.
    pub fn new(identity: Identity, unsigned: Unsigned) -> Self {
        Self { identity, unsigned, handlers: BTreeMap::new() }
    }

    /// Hands the packets of `command`, as `BX_COMMAND` has it, to `handler`.
    #[must_use]
    pub fn on(mut self, command: &'static str, handler: impl Handler + 'static) -> Self {
        self.handlers.insert(command, Box::new(handler));
        self
    }

    /// Takes the body of a request to `/pub/imconnector/` and gives the reply, which is answered 200 in any case.
    pub fn receive(&self, body: &[u8]) -> Json {
        match self.read(body) {
            Ok(push) => self.carry_out(&push),
            Err(code) => refusal(code),
        }
    }

    /// Reads a packet and checks who sent it; an error is the code of a refusal.
    pub fn read(&self, body: &[u8]) -> Result<Push, &'static str> {
        let push = self.identity.read_push(body).ok_or(codes::HASH_EMPTY)?;
        let is_lenient = self.unsigned == Unsigned::ByVersion && self.identity.major() < STRICT_FROM;
        if push.signed || is_lenient { Ok(push) } else { Err(codes::LICENCE_ERROR) }
    }

    /// Carries out what [`Self::read`] gave, and gives the reply.
    pub fn carry_out(&self, push: &Push) -> Json {
        let done = self.handle(push);
        match done {
            _ if !push.signed => refusal(codes::LICENCE_ERROR),
            Ok(data) => json!({"OK": true, "DATA": data}),
            Err(code) => refusal(code),
        }
    }

    fn handle(&self, push: &Push) -> Result<Json, &'static str> {
        let major = self.identity.major();
        let known = COMMANDS.iter().find(|(name, from)| *name == push.command && major >= *from);
        let (name, _) = known.ok_or(codes::NO_SUCH_COMMAND)?;
        match self.handlers.get(name) {
            Some(handler) => handler.handle(push),
            None if *name == "testConnect" && major < NEWER => Ok(json!({"RESULT": "OK"})),
            None => Ok(json!([])),
        }
    }
}

/// The reply that refuses a packet with this code.
pub fn refusal(code: &str) -> Json {
    json!({"OK": false, "DATA": [], "ERROR": [{"CODE": code}]})
}

/// A channel has taken an operator's message: an element of `receivingStatusDelivery`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivered {
    /// Which message it is.
    pub at: MessageRef,
    /// What the channel calls it; several where it was sent in parts.
    pub external: Vec<String>,
}

impl Delivered {
    /// The elements of a packet; what is none is left out.
    pub fn all(push: &Push) -> Vec<Self> {
        let read = |item: &Value| {
            let inner = |outer: &str, inner: &str| item.get(outer).and_then(|value| value.get(inner));
            let at = MessageRef {
                chat_id: inner("im", "chat_id").and_then(number)?,
                message_id: inner("im", "message_id").and_then(number)?,
                chat: inner("chat", "id").and_then(plain).unwrap_or_default(),
            };
            let external = inner("message", "id").map(|ids| ids.items().filter_map(plain).collect());
            Some(Self { at, external: external.unwrap_or_default() })
        };
        push.data.items().filter_map(read).collect()
    }
}

/// An operator's message, or its deletion, never reached the channel: an element of `receivingError`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    /// `im.message_id`.
    pub message_id: i64,
    /// The deletion failed, not the message.
    pub deleting: bool,
    /// Why, in the server's words.
    pub why: String,
}

impl Failed {
    /// The elements of a packet; what is none is left out.
    pub fn all(push: &Push) -> Vec<Self> {
        let read = |item: &Value| {
            Some(Self {
                message_id: item.get("messageId").and_then(number)?,
                deleting: item.get("code").and_then(plain)? == "CONNECTOR_ERROR_DELETE_MESSAGE",
                why: item.get("messageConnector").and_then(plain).unwrap_or_default(),
            })
        };
        push.data.items().filter_map(read).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::desk::tests::{KEY, portal};
    use crate::message::{Body, Notice, PortalRef};
    use crate::portals::boxed::push;
    use crate::records::Portal;

    const VERSIONS: [&str; 3] = ["17.0.14", "20.0.75", "23.100.0"];

    /// What the server posts.
    fn posted(portal: &Portal, command: &str, data: &Value) -> Vec<u8> {
        push::form(portal, command, "botframework.msteams", "7", data).encode().into_bytes()
    }

    fn door(version: &str, unsigned: Unsigned) -> (Input, Arc<Mutex<Vec<Push>>>) {
        let heard: Arc<Mutex<Vec<Push>>> = Arc::default();
        let (into, identity) = (Arc::clone(&heard), Identity::new(KEY, "https://portal.test", version));
        let input = Input::new(identity, unsigned).on("receivingMessage", move |push: &Push| {
            into.lock().unwrap().push(push.clone());
            Ok(json!([]))
        });
        (input, heard)
    }

    fn code(reply: &Json) -> &str {
        assert_eq!(reply.get("OK"), Some(&Json::Bool(false)), "{reply}");
        reply.pointer("/ERROR/0/CODE").and_then(Json::as_str).unwrap()
    }

    /// `portal-box.md` §4.3, by version.
    #[test]
    fn a_command_has_its_handler_or_the_answer_of_its_version() {
        for version in VERSIONS {
            let (input, heard) = door(version, Unsigned::Refused);
            let portal = portal(version, KEY);
            let say = |command: &str| input.receive(&posted(&portal, command, &Value::list([Value::text("x")])));
            let is_newer = version == "23.100.0";
            let tested = if is_newer { json!([]) } else { json!({"RESULT": "OK"}) };
            assert_eq!(say("testConnect"), json!({"OK": true, "DATA": tested}), "{version}");
            assert_eq!(say("receivingMessage"), json!({"OK": true, "DATA": []}), "{version}");
            let taken = heard.lock().unwrap().remove(0);
            assert_eq!((taken.connector.as_str(), taken.line.as_str()), ("botframework.msteams", "7"));
            assert_eq!(taken.data.items().collect::<Vec<_>>(), [&Value::text("x")]);
            assert_eq!(say("receivingStatusReading"), json!({"OK": true, "DATA": []}), "accepted without effect");
            assert_eq!(code(&say("dropTables")), codes::NO_SUCH_COMMAND, "{version}");
            let failure = say("receivingError");
            assert_eq!(failure.get("OK") == Some(&Json::Bool(true)), is_newer, "{failure}");
            assert_eq!(code(&input.receive(b"rubbish")), codes::HASH_EMPTY);
        }
    }

    #[test]
    fn what_is_not_signed_is_refused() {
        for (version, unsigned, carried_out) in [
            ("17.0.14", Unsigned::Refused, 0),
            ("17.0.14", Unsigned::ByVersion, 1),
            ("20.0.75", Unsigned::ByVersion, 0),
            ("23.100.0", Unsigned::ByVersion, 0),
        ] {
            let (input, heard) = door(version, unsigned);
            let body = posted(&portal(version, "ANOTHER-KEY"), "receivingMessage", &Value::list([]));
            assert_eq!(code(&input.receive(&body)), codes::LICENCE_ERROR, "{version} {unsigned:?}");
            assert_eq!(heard.lock().unwrap().len(), carried_out, "{version} {unsigned:?}");
        }
    }

    /// What the server says of a message is read back as it was meant.
    #[test]
    fn the_fate_of_a_message_is_understood() {
        let portal = portal("23.100.0", KEY);
        let identity = Identity::new(KEY, "https://portal.test", "23.100.0");
        let im = PortalRef { chat_id: "23".into(), message_id: "2002".into() };
        let said = |notice: Notice| {
            let (command, data) = push::content(&portal, &[Body::Notice(notice)]);
            identity.read_push(&posted(&portal, command, &data)).unwrap()
        };
        let (chat, ids) = ("19:abc".to_owned(), vec!["e1".to_owned(), "e2".to_owned()]);
        let push = said(Notice::Delivered { im: im.clone(), chat: chat.clone(), ids: ids.clone(), date: 1 });
        let at = MessageRef { chat_id: 23, message_id: 2002, chat: chat.clone() };
        assert_eq!(Delivered::all(&push), [Delivered { at, external: ids }]);
        for deleting in [false, true] {
            let (code, text) = ("forbidden".to_owned(), "the bot is blocked".to_owned());
            let failed = Notice::Failed { im: im.clone(), chat: chat.clone(), deleting, code, text, customer: None };
            let want = Failed { message_id: 2002, deleting, why: "the bot is blocked".to_owned() };
            assert_eq!(Failed::all(&said(failed)), [want]);
        }
    }
}
