//! What the Bot Framework's twin remembers: conversations, what the bot asked for, and why something did not reach it.

use std::collections::{BTreeMap, HashSet, VecDeque};

use serde_json::Value;

use super::Proof;
use crate::clock::UnixMillis;
use crate::net::NetError;
use crate::sim::Faults;

/// Most requests of the bot that are remembered.
const HEARD_MAX: usize = 10_000;

/// A message in a conversation, from either end.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts of a message")]
pub struct Said {
    /// Activity id.
    pub id: String,
    /// When it was said.
    pub at: UnixMillis,
    /// The bot wrote it.
    pub by_bot: bool,
    /// Text as it stands now.
    pub text: String,
    /// `textFormat`: `plain`, `markdown`, `xml`; empty when the bot did not say.
    pub format: String,
    /// Names and addresses of attachments.
    pub files: Vec<(String, String)>,
    /// It was edited.
    pub edited: bool,
    /// It was deleted.
    pub deleted: bool,
    /// The bot's endpoint answered 200 (customers' messages).
    pub taken: bool,
    /// It did not, or could not be asked.
    pub failed: bool,
}

/// A request of the bot to the channel service, as it came.
#[derive(Clone, Debug, PartialEq)]
pub struct Heard {
    /// `POST`, `PUT`, `DELETE`.
    pub method: String,
    /// Conversation of the address, decoded.
    pub conversation: String,
    /// Activity of the address, decoded.
    pub activity: Option<String>,
    /// The activity; null when there was none.
    pub body: Value,
}

/// A conversation of one customer with the bot.
#[derive(Clone, Debug)]
pub struct Conversation {
    /// `channelId`.
    pub channel: String,
    /// The customer's name.
    pub name: String,
    /// Messages in order.
    pub messages: Vec<Said>,
}

pub(super) struct State {
    pub webhook: Option<String>,
    pub faults: Faults,
    pub proof: Proof,
    pub tokens: HashSet<String>,
    pub conversations: BTreeMap<String, Conversation>,
    pub heard: VecDeque<Heard>,
    pub next: u64,
    pub key_fetches: u64,
    pub token_requests: u64,
}

impl State {
    /// Writes a request of the bot down; the oldest make room.
    pub(super) fn note(&mut self, heard: Heard) {
        if self.heard.len() >= HEARD_MAX {
            self.heard.pop_front();
        }
        self.heard.push_back(heard);
    }
}

/// The bot's message as the customer sees it.
pub(super) fn said(id: String, at: UnixMillis, body: &Value) -> Said {
    let files = body["attachments"].as_array().into_iter().flatten().filter_map(|attachment| {
        let url = attachment["contentUrl"].as_str()?;
        Some((attachment["name"].as_str().unwrap_or("file").to_owned(), url.to_owned()))
    });
    Said {
        id,
        at,
        by_bot: true,
        text: body["text"].as_str().unwrap_or_default().to_owned(),
        format: body["textFormat"].as_str().unwrap_or_default().to_owned(),
        files: files.collect(),
        edited: false,
        deleted: false,
        taken: true,
        failed: false,
    }
}

/// Why a customer's message did not reach the bot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// No address of the bot is set yet.
    NoWebhook,
    /// Nobody has written in that conversation.
    NoConversation,
    /// The conversation has no such message of the customer, or it is deleted.
    NoMessage,
    /// The token can't be signed.
    NoToken,
    /// No answer.
    Net(NetError),
    /// An answer other than 2xx.
    Status(u16),
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoWebhook => f.write_str("the bot has no messaging endpoint yet"),
            Self::NoConversation => f.write_str("nobody has written in that conversation"),
            Self::NoMessage => f.write_str("the customer has no such message"),
            Self::NoToken => f.write_str("the token can't be signed"),
            Self::Net(error) => write!(f, "{error}"),
            Self::Status(status) => write!(f, "the bot's endpoint answered {status}"),
        }
    }
}

impl std::error::Error for Refused {}
