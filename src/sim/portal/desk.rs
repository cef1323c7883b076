//! What the portal's twin remembers: conversations, their messages and how far each has come. Pure: no network here.

use std::collections::BTreeSet;

use crate::clock::UnixMillis;
use crate::desk::{Delivered, Failed, FileLink, Kind, Received, WayBack};
use crate::portals::boxed::portal_side::Push;
use crate::sim::Faults;

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

impl Mark {
    /// The word that the page and the control answers use.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Sending => "sending",
            Self::Delivered => "delivered",
            Self::Failed => "failed",
        }
    }
}

/// A message on the desk.
#[derive(Clone, Debug)]
pub struct Entry {
    /// `im.message_id`.
    pub id: i64,
    /// When it came to the desk.
    pub at: UnixMillis,
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
    /// External user id; the portal's key of a user is `connector|user`.
    pub user: String,
    /// The customer's name.
    pub name: String,
    /// Messages in order.
    pub entries: Vec<Entry>,
    /// The old `recipient` and the `service_url`, mixed into what is sent (`portal-box-observed.md` §7).
    pub(super) way_back: Option<WayBack>,
}

/// Connectors whose chats hold several customers: one conversation for a chat, whoever writes (`portal-box.md` §7). At
/// the others each customer has one of his own.
const GROUPS: [&str; 3] = ["botframework.skype", "botframework.slack", "botframework.groupme"];

#[derive(Debug, Default)]
pub(super) struct State {
    pub faults: Faults,
    pub talks: Vec<Talk>,
    pub next: i64,
    /// Lines that the settings page has connected.
    pub connected: BTreeSet<String>,
    /// Lines whose bot is connected elsewhere now.
    pub deactivated: BTreeSet<String>,
    pub pushes: u64,
}

/// Name and address, as the page shows a file.
fn shown(file: FileLink) -> (String, String) {
    (file.name.unwrap_or_else(|| "file".to_owned()), file.url)
}

impl State {
    /// One message of a packet.
    pub(super) fn take(&mut self, push: &Push, received: Received, at: UnixMillis, major: u32) {
        self.next += 1;
        let id = self.next;
        let talk = self.talk(push, &received);
        if received.way_back.is_some() {
            talk.way_back = received.way_back;
        }
        let is_it = |entry: &&mut Entry| !entry.by_operator && entry.external.contains(&received.message);
        let known = talk.entries.iter_mut().find(is_it);
        // Up to version 20 a customer's edits and deletions in a group are overlooked.
        if received.kind != Kind::Message && major < 21 && GROUPS.contains(&push.connector.as_str()) {
            return;
        }
        match (received.kind, known) {
            (Kind::Update, Some(entry)) => (entry.text, entry.edited) = (received.text, true),
            (Kind::Delete, Some(entry)) => entry.deleted = true,
            // Nothing tells a repeat from a new message there: it shows twice.
            (Kind::Message, _) => talk.entries.push(Entry {
                id,
                at,
                by_operator: false,
                text: received.text,
                files: received.files.into_iter().map(shown).collect(),
                external: vec![received.message],
                mark: Mark::Delivered,
                edited: false,
                deleted: false,
            }),
            (Kind::Update | Kind::Delete, None) | (Kind::Post | Kind::PostUpdate, _) => (),
        }
    }

    /// The channel has a message.
    pub(super) fn delivered(&mut self, delivered: Delivered) {
        if let Some(entry) = self.entry(delivered.at.message_id) {
            entry.mark = Mark::Delivered;
            if !delivered.external.is_empty() {
                entry.external = delivered.external;
            }
        }
    }

    /// The channel will never have it, or will keep it.
    pub(super) fn failed(&mut self, failed: &Failed) {
        match self.entry(failed.message_id) {
            Some(entry) if failed.deleting => entry.deleted = false,
            Some(entry) => entry.mark = Mark::Failed,
            None => (),
        }
    }

    /// The message of that id.
    pub(super) fn entry(&mut self, id: i64) -> Option<&mut Entry> {
        self.talks.iter_mut().flat_map(|talk| &mut talk.entries).find(|entry| entry.id == id)
    }

    /// An operator's new message; gives its conversation and its id, nothing when there is no such conversation.
    pub(super) fn write(
        &mut self,
        talk: i64,
        text: &str,
        file: Option<(String, String)>,
        at: UnixMillis,
    ) -> Option<(Talk, i64)> {
        self.next += 1;
        let id = self.next;
        let talk = self.talks.iter_mut().find(|entry| entry.id == talk)?;
        talk.entries.push(Entry {
            id,
            at,
            by_operator: true,
            text: text.to_owned(),
            files: file.into_iter().collect(),
            external: Vec::new(),
            mark: Mark::Sending,
            edited: false,
            deleted: false,
        });
        Some((talk.clone(), id))
    }

    /// The conversation of a push, made when it is new.
    fn talk(&mut self, push: &Push, received: &Received) -> &mut Talk {
        let (chat, user) = (&received.chat, &received.user.id);
        let group = GROUPS.contains(&push.connector.as_str());
        let same = |talk: &Talk| {
            let place = talk.connector == push.connector && talk.line == push.line && talk.chat == *chat;
            place && (group || talk.user == *user)
        };
        let at = self.talks.iter().position(same);
        let at = at.unwrap_or_else(|| {
            self.next += 1;
            self.talks.push(Talk {
                id: self.next,
                connector: push.connector.clone(),
                line: push.line.clone(),
                chat: chat.clone(),
                user: user.clone(),
                name: received.user.full_name(),
                entries: Vec::new(),
                way_back: None,
            });
            self.talks.len() - 1
        });
        self.talks.get_mut(at).expect("found or pushed just now")
    }
}
