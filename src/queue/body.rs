//! The stored form of a queue row's body: JSON with names of its own, so that a network's or a portal's rename cannot
//! change what lies in the database. Short names: a million rows carry them.

use serde::{Deserialize, Serialize};

use crate::message::{Attachment, Body, Chat, FileLink, Incoming, IncomingKind, Notice, PortalRef, Route, User};

/// A stored body can't be read: the file is damaged or from another version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadBody(pub String);

impl std::fmt::Display for BadBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "a stored message can't be read: {}", self.0)
    }
}

impl std::error::Error for BadBody {}

#[derive(Serialize, Deserialize)]
#[serde(tag = "t", rename_all = "snake_case")]
enum Stored {
    Message(Box<StoredMessage>),
    Delivered {
        im: StoredRef,
        chat: String,
        ids: Vec<String>,
        date: i64,
    },
    Read {
        im: Option<StoredRef>,
        chat: String,
        ids: Vec<String>,
        date: i64,
    },
    Failed {
        im: StoredRef,
        chat: String,
        deleting: bool,
        code: String,
        text: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        customer: Option<Box<StoredUser>>,
    },
    Lost {
        messages: i64,
        since: i64,
        until: i64,
        text: String,
    },
    Deactivated,
}

#[derive(Serialize, Deserialize)]
struct StoredRef {
    chat: String,
    message: String,
}

#[derive(Serialize, Deserialize)]
struct StoredMessage {
    connector: String,
    kind: StoredKind,
    user: StoredUser,
    chat: StoredChat,
    id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    date: Option<i64>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    text: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    files: Vec<StoredFile>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    attachments: Vec<StoredAttachment>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    route: Option<StoredRoute>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StoredKind {
    Message,
    Update,
    Delete,
    Typing,
}

#[derive(Serialize, Deserialize)]
struct StoredUser {
    id: String,
    name: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    last: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    picture: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    email: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    phone: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct StoredChat {
    id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    description: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct StoredFile {
    url: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mime: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    protected: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StoredAttachment {
    Location { title: String, text: String, latitude: String, longitude: String },
    Contact { name: String, phone: String },
}

#[derive(Serialize, Deserialize)]
struct StoredRoute {
    id: String,
    name: String,
    service_url: String,
}

/// Body → bytes for the database.
pub fn encode(body: Body) -> Vec<u8> {
    let stored = match body {
        Body::Message(message) => Stored::Message(Box::new(store_message(*message))),
        Body::Notice(notice) => store_notice(notice),
    };
    // Serializing owned strings and numbers to memory has no way to fail.
    serde_json::to_vec(&stored).unwrap_or_default()
}

/// Bytes of the database → body.
pub fn decode(bytes: &[u8]) -> Result<Body, BadBody> {
    let stored: Stored = serde_json::from_slice(bytes).map_err(|error| BadBody(error.to_string()))?;
    Ok(match stored {
        Stored::Message(message) => Body::Message(Box::new(load_message(*message))),
        Stored::Delivered { im, chat, ids, date } => {
            Body::Notice(Notice::Delivered { im: load_ref(im), chat, ids, date })
        }
        Stored::Read { im, chat, ids, date } => Body::Notice(Notice::Read { im: im.map(load_ref), chat, ids, date }),
        Stored::Failed { im, chat, deleting, code, text, customer } => {
            let customer = customer.map(|user| Box::new(load_user(*user)));
            Body::Notice(Notice::Failed { im: load_ref(im), chat, deleting, code, text, customer })
        }
        Stored::Lost { messages, since, until, text } => Body::Notice(Notice::Lost { messages, since, until, text }),
        Stored::Deactivated => Body::Notice(Notice::Deactivated),
    })
}

fn store_ref(im: PortalRef) -> StoredRef {
    StoredRef { chat: im.chat_id, message: im.message_id }
}

fn load_ref(im: StoredRef) -> PortalRef {
    PortalRef { chat_id: im.chat, message_id: im.message }
}

fn store_notice(notice: Notice) -> Stored {
    match notice {
        Notice::Delivered { im, chat, ids, date } => Stored::Delivered { im: store_ref(im), chat, ids, date },
        Notice::Read { im, chat, ids, date } => Stored::Read { im: im.map(store_ref), chat, ids, date },
        Notice::Failed { im, chat, deleting, code, text, customer } => {
            let customer = customer.map(|user| Box::new(store_user(*user)));
            Stored::Failed { im: store_ref(im), chat, deleting, code, text, customer }
        }
        Notice::Lost { messages, since, until, text } => Stored::Lost { messages, since, until, text },
        Notice::Deactivated => Stored::Deactivated,
    }
}

fn store_user(user: User) -> StoredUser {
    StoredUser {
        id: user.id,
        name: user.name,
        last: user.last_name,
        url: user.url,
        picture: user.picture,
        email: user.email,
        phone: user.phone,
    }
}

fn load_user(stored: StoredUser) -> User {
    User {
        id: stored.id,
        name: stored.name,
        last_name: stored.last,
        url: stored.url,
        picture: stored.picture,
        email: stored.email,
        phone: stored.phone,
    }
}

fn store_message(message: Incoming) -> StoredMessage {
    let Incoming { connector, kind, key: _, user, chat, message_id, date, text, files, attachments, route } = message;
    StoredMessage {
        connector,
        kind: match kind {
            IncomingKind::Message => StoredKind::Message,
            IncomingKind::Update => StoredKind::Update,
            IncomingKind::Delete => StoredKind::Delete,
            IncomingKind::Typing => StoredKind::Typing,
        },
        user: store_user(user),
        chat: StoredChat { id: chat.id, url: chat.url, description: chat.description },
        id: message_id,
        date,
        text,
        files: files
            .into_iter()
            .map(|file| StoredFile { url: file.url, name: file.name, mime: file.mime, protected: file.protected })
            .collect(),
        attachments: attachments
            .into_iter()
            .map(|attachment| match attachment {
                Attachment::Location { title, text, latitude, longitude } => {
                    StoredAttachment::Location { title, text, latitude, longitude }
                }
                Attachment::Contact { name, phone } => StoredAttachment::Contact { name, phone },
            })
            .collect(),
        route: route.map(|route| StoredRoute {
            id: route.recipient_id,
            name: route.recipient_name,
            service_url: route.service_url,
        }),
    }
}

fn load_message(stored: StoredMessage) -> Incoming {
    Incoming {
        connector: stored.connector,
        kind: match stored.kind {
            StoredKind::Message => IncomingKind::Message,
            StoredKind::Update => IncomingKind::Update,
            StoredKind::Delete => IncomingKind::Delete,
            StoredKind::Typing => IncomingKind::Typing,
        },
        key: None,
        user: load_user(stored.user),
        chat: Chat { id: stored.chat.id, url: stored.chat.url, description: stored.chat.description },
        message_id: stored.id,
        date: stored.date,
        text: stored.text,
        files: stored
            .files
            .into_iter()
            .map(|file| FileLink { url: file.url, name: file.name, mime: file.mime, protected: file.protected })
            .collect(),
        attachments: stored
            .attachments
            .into_iter()
            .map(|attachment| match attachment {
                StoredAttachment::Location { title, text, latitude, longitude } => {
                    Attachment::Location { title, text, latitude, longitude }
                }
                StoredAttachment::Contact { name, phone } => Attachment::Contact { name, phone },
            })
            .collect(),
        route: stored.route.map(|route| Route {
            recipient_id: route.id,
            recipient_name: route.name,
            service_url: route.service_url,
        }),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A message with everything in it, for this and other modules' tests.
    pub(crate) fn full() -> Incoming {
        Incoming {
            connector: "botframework.msteams".into(),
            kind: IncomingKind::Message,
            key: None,
            user: User {
                id: "29:1".into(),
                name: "Иван".into(),
                last_name: "Petrov".into(),
                url: Some("https://t.me/ivan".into()),
                picture: Some("https://cdn.example.test/u/777.jpg".into()),
                email: Some("i@ex.test".into()),
                phone: Some("+7".into()),
            },
            chat: Chat { id: "a:1".into(), url: None, description: Some("General".into()) },
            message_id: "42".into(),
            date: Some(1_500_000_000),
            text: "[b]hi[/b] 👋".into(),
            files: vec![FileLink {
                url: "https://cdn.example.test/f".into(),
                name: Some("f.pdf".into()),
                mime: None,
                protected: true,
            }],
            attachments: vec![
                Attachment::Location {
                    title: "A".into(),
                    text: "B".into(),
                    latitude: "1.5".into(),
                    longitude: "2".into(),
                },
                Attachment::Contact { name: "N".into(), phone: "P".into() },
            ],
            route: Some(Route {
                recipient_id: "28:b".into(),
                recipient_name: "Bot".into(),
                service_url: "https://s/".into(),
            }),
        }
    }

    #[test]
    fn what_is_stored_comes_back() {
        let im = PortalRef { chat_id: "113".into(), message_id: "2196".into() };
        for body in [
            Body::Message(Box::new(full())),
            Body::Notice(Notice::Delivered { im: im.clone(), chat: "c".into(), ids: vec!["1".into()], date: 5 }),
            Body::Notice(Notice::Read { im: None, chat: "c".into(), ids: vec![], date: 5 }),
            Body::Notice(Notice::Failed {
                im,
                chat: "c".into(),
                deleting: true,
                code: "X".into(),
                text: "y".into(),
                customer: Some(Box::new(full().user)),
            }),
            Body::Notice(Notice::Lost { messages: 12, since: 1, until: 2, text: "lost".into() }),
            Body::Notice(Notice::Deactivated),
        ] {
            assert_eq!(decode(&encode(body.clone())).unwrap(), body);
        }
        assert!(decode(b"{\"t\":\"elsewhat\"}").is_err());
        assert!(decode(b"").is_err());
    }
}
