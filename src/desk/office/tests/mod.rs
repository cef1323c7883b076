//! The office against a server that only writes down what it is sent; what it is told is made by the server's own code.
//! Each part runs as a portal that confirms by a command and as one that confirms by its reply.

mod beside;
mod lines;
mod messages;
mod people;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use crossbeam_channel::Receiver;
use serde_json::json;

use super::*;
use crate::clock::{ManualClock, UnixMillis};
use crate::desk::distribution::Mode;
use crate::desk::hours::Hours;
use crate::desk::tests::{Heard, KEY, LIMIT, out, portal, server};
use crate::message::{Body, Chat, Incoming, IncomingKind, Notice, PortalRef, Route, User};
use crate::net::{Answer, Call, NetError};
use crate::portals::boxed::php::Value;
use crate::portals::boxed::push;
use crate::records::Portal;
use crate::secret::Secret;

const VERSIONS: [&str; 2] = ["20.0.75", "23.100.0"];
/// Wednesday, 2026-11-25, 12:00 UTC.
const NOON: UnixMillis = UnixMillis(1_795_608_000_000);

/// An office, the server that it calls, and the clock.
pub(crate) struct Scene {
    pub(crate) office: Arc<Office>,
    heard: Receiver<Heard>,
    clock: Arc<ManualClock>,
    version: &'static str,
    confirmations: usize,
    next: u32,
}

fn options(version: &str, url: &str) -> Options {
    Options::new(Identity::new(KEY, "https://portal.test", version), url)
}

impl Scene {
    pub(crate) fn new(version: &'static str) -> Self {
        Self::with(version, out(), |_| ())
    }

    fn with(version: &'static str, net: Arc<dyn Net>, change: impl FnOnce(&mut Options)) -> Self {
        let (url, heard) = server();
        let clock = Arc::new(ManualClock::at(NOON));
        let mut options = options(version, &url);
        change(&mut options);
        let office = Arc::new(Office::open(options, net, Arc::<ManualClock>::clone(&clock)).unwrap());
        Self { office, heard, clock, version, confirmations: 0, next: 0 }
    }

    /// As one whose portal confirms by its reply, with a server that can't be reached.
    pub(crate) fn without_server() -> Self {
        Self::with("23.100.0", out(), |options| options.server = "http://127.0.0.1:9".into())
    }

    fn portal(&self) -> Portal {
        portal(self.version, KEY)
    }

    /// The server says something about line 7; gives the reply of the office's door.
    fn told(&mut self, connector: &str, body: &Body) -> Json {
        let portal = self.portal();
        let (command, data) = push::content(&portal, std::slice::from_ref(body));
        let body = push::form(&portal, command, connector, "7", &data).encode();
        let reply = self.office.door(Unsigned::Refused).receive(body.as_bytes());
        if command == "receivingMessage" && self.version == "20.0.75" && reply["OK"] == true {
            assert_eq!(self.command(), "setStatusDelivered");
            self.confirmations += 1;
        }
        reply
    }

    /// A customer writes at a channel.
    pub(crate) fn writes_at(&mut self, connector: &str, user: &str, text: &str) {
        self.says(Incoming { connector: connector.to_owned(), ..incoming(user, text) });
    }

    /// A customer writes at Teams, in a chat of that customer's own. The desk confirms it.
    pub(crate) fn writes(&mut self, user: &str, text: &str) {
        self.next += 1;
        let message = Incoming { message_id: format!("m{}", self.next), ..incoming(user, text) };
        self.says(message);
    }

    fn says(&mut self, message: Incoming) {
        let connector = message.connector.clone();
        let reply = self.told(&connector, &Body::Message(Box::new(message)));
        assert_eq!(reply, json!({"OK": true, "DATA": []}), "{}", self.version);
    }

    /// The next command that reaches the server.
    fn heard(&self) -> Heard {
        self.heard.recv_timeout(LIMIT).unwrap()
    }

    fn command(&self) -> String {
        self.heard().command().to_owned()
    }

    /// The text of the next `sendMessage`.
    fn sent(&self) -> String {
        let heard = self.heard();
        assert_eq!(heard.command(), "sendMessage");
        heard.data()
    }

    fn is_quiet(&self) {
        assert!(self.heard.try_recv().is_err(), "{} says nothing more", self.version);
    }

    pub(crate) fn talk(&self) -> Talk {
        self.office.talks().unwrap().remove(0)
    }

    pub(crate) fn delivered(&mut self, message: i64) {
        let (im, chat) = (im(message), "a:ann".to_owned());
        let notice = Notice::Delivered { im, chat, ids: vec![format!("e{message}")], date: 1 };
        self.told("botframework.msteams", &Body::Notice(notice));
    }

    /// Whose turn each waiting conversation is.
    fn turns(&self) -> Vec<Option<i64>> {
        let mut talks = self.office.summaries(1, 100).unwrap();
        talks.retain(|talk| talk.state == TalkState::Waiting);
        talks.sort_by_key(|talk| talk.id);
        talks.iter().map(|talk| talk.turn.map(|(to, _)| to)).collect()
    }

    fn line(&self, change: impl FnOnce(&mut LineSettings)) {
        let mut settings = LineSettings::default();
        change(&mut settings);
        self.office.set_line("7", &settings).unwrap();
    }
}

/// How SQLite goes about a statement on a new file, a line for each step.
pub(crate) fn plan(sql: &str) -> String {
    let read = |db: &rusqlite::Connection| {
        let mut plan = db.prepare(&format!("explain query plan {sql}"))?;
        let mut rows = plan.raw_query();
        let mut steps = String::new();
        while let Some(row) = rows.next()? {
            steps.extend([&row.get::<_, String>("detail")?, "\n"]);
        }
        Ok(steps)
    };
    Scene::new("23.100.0").office.store.read(read).unwrap()
}

fn im(message: i64) -> PortalRef {
    PortalRef { chat_id: "101".into(), message_id: message.to_string() }
}

fn incoming(user: &str, text: &str) -> Incoming {
    Incoming {
        connector: "botframework.msteams".into(),
        kind: IncomingKind::Message,
        key: None,
        user: User { id: format!("29:{user}"), name: user.into(), ..User::default() },
        chat: Chat { id: format!("a:{user}"), ..Chat::default() },
        message_id: "m0".into(),
        date: Some(1_500_000_000),
        text: text.into(),
        files: vec![],
        attachments: vec![],
        route: None,
    }
}
