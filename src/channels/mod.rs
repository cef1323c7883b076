//! The connector contract and the factory. A connector never touches the database nor the HTTP server: what it needs
//! arrives as arguments, what it learns leaves as values. Adding a channel: its file, one line in [`Factory::new`],
//! its fixtures.

pub mod botframework;

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt::{self, Debug};
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;
use crate::ids::real_connector;
use crate::message::{Outgoing, Progress, Received, User};
use crate::net::Net;
use crate::records::Settings;
use crate::secret::Secret;

/// One setting of a line.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Key as portals and `line add --set` name it.
    pub key: &'static str,
    /// What it is, for people.
    pub label: &'static str,
    /// Never shown back.
    pub secret: bool,
    /// The channel can't work without it.
    pub required: bool,
    /// The portal's form shows its value, so a stubbed value clears it; the others keep theirs (`portal-box.md` §3.5).
    pub visible: bool,
}

/// What a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// The calls of one bot into one chat.
    Chat,
    /// All calls of one bot through one channel.
    Bot,
}

/// A limit of a channel: at most so many calls in so long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// What is counted.
    pub scope: Scope,
    /// So many …
    pub calls: u32,
    /// … in any window of this length.
    pub per: Duration,
}

/// A virtual channel that runs through a real one.
#[derive(Clone, Copy, Debug)]
pub struct Virtual {
    /// Id as portals know it, e.g. `botframework.skype`.
    pub id: &'static str,
    /// Name for people.
    pub title: &'static str,
    /// Operators may edit their messages.
    pub edit: bool,
    /// Operators may delete their messages.
    pub delete: bool,
    /// Chats may have several customers.
    pub group: bool,
    /// Longest text of one message in UTF-16 units; longer ones are split.
    pub text_max_units: usize,
    /// How fast a bot may speak; empty where no limit is known.
    pub pace: &'static [Pace],
}

/// A webhook as it came, its line already found by the hash.
#[derive(Clone, Copy, Debug, Default)]
pub struct Webhook<'a> {
    /// `POST` or `GET`.
    pub method: &'a str,
    /// Query as it came, without `?`.
    pub query: &'a str,
    /// Header names in lower case.
    pub headers: &'a [(String, String)],
    /// Whole body.
    pub body: &'a [u8],
}

impl Webhook<'_> {
    /// The first header of that (lower-case) name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// A webhook whose sender has been proved. Only this folder can make one, so `receive` never sees unchecked bytes. What the
/// proof has read of the body stays with it, in the connector's own form: a body is parsed once.
#[derive(Debug)]
pub struct Verified(Box<dyn Any + Send>);

impl Verified {
    /// What the proof has read; `None` when another connector made it.
    fn read<T: 'static>(&self) -> Option<&T> {
        self.0.downcast_ref()
    }
}

/// Why a webhook was not taken; the words after the dash are the HTTP answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rejected {
    /// Not the shape of this channel at all — 400.
    Malformed(&'static str),
    /// No proof or a wrong one — 401.
    Unproved(&'static str),
    /// Proved, but not entitled — 403.
    Forbidden(&'static str),
    /// The proof can't be checked at the moment — 503 with `Retry-After`.
    Unavailable(&'static str),
}

/// What to answer a webhook once its messages are stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookAnswer {
    /// HTTP status.
    pub status: u16,
    /// JSON body, empty for none.
    pub body: Vec<u8>,
}

/// What one step of sending a message has come to; the ids are in its [`Progress`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The channel has taken a part; the next one goes with the next step.
    More,
    /// The channel has taken all of it.
    Done,
}

/// Why the channel has not taken a part of a message (`botframework.md` §4.2). Parts that had left before stand in the
/// [`Progress`] and are not sent again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SendError {
    /// Try again, not before `after` when the channel says so.
    Retry {
        /// What happened.
        why: String,
        /// The channel's own wish.
        after: Option<Duration>,
        /// The message may have been delivered.
        ambiguous: bool,
    },
    /// Never will: blocked by the customer, chat gone.
    Permanent {
        /// Stable code, e.g. `CHAT_GONE`.
        code: &'static str,
        /// What happened, for the operator.
        why: String,
    },
    /// The credentials are refused: the line is broken until new settings come.
    Auth {
        /// What happened.
        why: String,
    },
}

/// Why the settings do not work; the sentence is shown by the portal's page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestError {
    /// Stable code, e.g. `APP_SECRET_WRONG`.
    pub code: &'static str,
    /// What is wrong and what to do.
    pub message: String,
}

/// What portals show of a connected channel (`portal-box.md` §3.4 `infoConnect`, `infoConnectLink`, `infoConnectorsLine`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConnectInfo {
    /// Id of the external entity.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The bot's admin page, or the chat's page.
    pub url: String,
    /// Virtual connector id → address that opens a chat.
    pub links: Vec<(String, String)>,
}

/// One messaging network.
pub trait Connector: Debug + Send + Sync {
    /// Real connector id. Stored, so it never changes.
    fn name(&self) -> &'static str;
    /// Name for people.
    fn title(&self) -> &'static str;
    /// The settings of a line.
    fn fields(&self) -> &'static [Field];
    /// Virtual channels; empty when the real one is the only one.
    fn virtuals(&self) -> &'static [Virtual];
    /// How fast a bot may speak through the channel of that virtual id.
    fn pace(&self, id: &str) -> &'static [Pace] {
        self.virtuals().iter().find(|row| row.id == id).map_or(&[], |row| row.pace)
    }
    /// The network also calls the webhook address with GET (a handshake).
    fn takes_get(&self) -> bool {
        false
    }
    /// The external entity that belongs to one line only, `None` while the settings don't name it.
    fn entity(&self, settings: &Settings) -> Option<String>;
    /// Shape of the settings, no network.
    fn check(&self, settings: &Settings) -> Result<(), TestError>;
    /// Proves who sent `hook`. May fetch the network's public keys; never acts on the body.
    fn verify(&self, hook: &Webhook<'_>, settings: &Settings) -> Result<Verified, Rejected>;
    /// Turns a proved webhook into messages. No network.
    fn receive(&self, hook: &Verified, settings: &Settings) -> Result<Received, Rejected>;
    /// The answer once everything is stored.
    fn answer(&self, hook: &Verified) -> HookAnswer;
    /// Makes the next call that a message needs: sends, edits or deletes one part of it. `chat` is the data the connector
    /// put into [`crate::message::ChatRecord`]; `resolve` gives what an id stands for; `progress` is moved on with each
    /// part that the channel has taken. Blocking; never called while a transaction is open.
    fn send(
        &self,
        settings: &Settings,
        chat: Option<&str>,
        message: &Outgoing,
        resolve: &dyn Fn(&str) -> Option<String>,
        progress: &mut Progress,
    ) -> Result<Step, SendError>;
    /// Headers with which a file that came in through this line can be downloaded, or why there are none now. Asked for
    /// protected files only, at each delivery. Blocking; never called while a transaction is open.
    fn file_headers(&self, settings: &Settings, url: &str) -> Result<Vec<(String, Secret)>, String> {
        let _ = (settings, url);
        Err(String::from("this channel has no protected files"))
    }
    /// The customer of a one-to-one chat as [`crate::message::Incoming::user`] names him, from the data the connector put
    /// into [`crate::message::ChatRecord`]; `None` in groups and while nobody has written.
    fn customer(&self, chat: &str) -> Option<User> {
        let _ = chat;
        None
    }
    /// Checks the credentials against the network; called by `testConnect` and `line test`.
    fn test(&self, settings: &Settings) -> Result<(), TestError>;
    /// What portals show of it.
    fn info(&self, settings: &Settings) -> ConnectInfo;
}

/// A small durable shelf for what a connector wants to find again after a restart, such as public keys.
pub trait Shelf: Debug + Send + Sync {
    /// The stored text of that name.
    fn get(&self, name: &str) -> Option<String>;
    /// Stores a text.
    fn put(&self, name: &str, text: &str);
}

/// What every connector may use.
#[derive(Clone, Debug)]
pub struct Tools {
    /// The way out.
    pub net: Arc<dyn Net>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Durable shelf.
    pub shelf: Arc<dyn Shelf>,
}

/// Makes connectors and finds them by id.
pub struct Factory(BTreeMap<&'static str, Arc<dyn Connector>>);

impl Debug for Factory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Factory {
    /// Every connector the server has. One line each.
    pub fn new(tools: &Tools, options: &Options) -> Self {
        let all: Vec<Arc<dyn Connector>> =
            vec![Arc::new(botframework::BotFramework::new(tools, &options.botframework))];
        Self::of(all)
    }

    /// A factory of these connectors.
    pub fn of(all: Vec<Arc<dyn Connector>>) -> Self {
        Self(all.into_iter().map(|connector| (connector.name(), connector)).collect())
    }

    /// The connector of a real or virtual id.
    pub fn get(&self, id: &str) -> Option<&Arc<dyn Connector>> {
        self.0.get(real_connector(id).as_str())
    }

    /// All, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<dyn Connector>> {
        self.0.values()
    }
}

/// Configuration of the connectors, section by section.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Bot Framework.
    pub botframework: botframework::Options,
}
