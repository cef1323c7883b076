//! The stored form of an outbox row's body and of its progress: JSON with names of its own.

use serde::{Deserialize, Serialize};

use crate::message::{OutFile, Outgoing, OutgoingKind, PortalRef, Progress};

#[derive(Serialize, Deserialize)]
struct Stored {
    connector: String,
    chat: String,
    im_chat: String,
    im_message: String,
    #[serde(flatten)]
    kind: StoredKind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    service_url: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "t", rename_all = "snake_case")]
enum StoredKind {
    Send { text: String, files: Vec<StoredFile> },
    Update { ids: Vec<String>, text: String },
    Delete { id: String },
    Typing,
}

#[derive(Serialize, Deserialize)]
struct StoredFile {
    name: String,
    link: String,
    image: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mime: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct StoredProgress {
    parts: usize,
    ids: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    aliases: Vec<(String, String)>,
    #[serde(default)]
    unknown: u32,
}

/// Message → bytes for the database.
pub fn encode(message: &Outgoing) -> Vec<u8> {
    let kind = match &message.kind {
        OutgoingKind::Send { text, files } => StoredKind::Send {
            text: text.clone(),
            files: files
                .iter()
                .map(|file| StoredFile {
                    name: file.name.clone(),
                    link: file.link.clone(),
                    image: file.image,
                    mime: file.mime.clone(),
                })
                .collect(),
        },
        OutgoingKind::Update { ids, text } => StoredKind::Update { ids: ids.clone(), text: text.clone() },
        OutgoingKind::Delete { id } => StoredKind::Delete { id: id.clone() },
        OutgoingKind::Typing => StoredKind::Typing,
    };
    let stored = Stored {
        connector: message.connector.clone(),
        chat: message.chat.clone(),
        im_chat: message.im.chat_id.clone(),
        im_message: message.im.message_id.clone(),
        kind,
        service_url: message.service_url.clone(),
    };
    // Serializing owned strings and numbers to memory has no way to fail.
    serde_json::to_vec(&stored).unwrap_or_default()
}

/// Bytes of the database → message; `None` when they can't be read.
pub fn decode(bytes: &[u8]) -> Option<Outgoing> {
    let stored: Stored = serde_json::from_slice(bytes).ok()?;
    Some(Outgoing {
        connector: stored.connector,
        chat: stored.chat,
        im: PortalRef { chat_id: stored.im_chat, message_id: stored.im_message },
        kind: match stored.kind {
            StoredKind::Send { text, files } => OutgoingKind::Send {
                text,
                files: files
                    .into_iter()
                    .map(|file| OutFile { name: file.name, link: file.link, image: file.image, mime: file.mime })
                    .collect(),
            },
            StoredKind::Update { ids, text } => OutgoingKind::Update { ids, text },
            StoredKind::Delete { id } => OutgoingKind::Delete { id },
            StoredKind::Typing => OutgoingKind::Typing,
        },
        service_url: stored.service_url,
    })
}

/// How far a message has come → text for the database.
pub fn encode_progress(progress: &Progress) -> String {
    let Progress { parts, ids, aliases, unknown } = progress.clone();
    serde_json::to_string(&StoredProgress { parts, ids, aliases, unknown }).unwrap_or_default()
}

/// Text of the database → how far the message has come; nowhere when the text is empty.
pub fn decode_progress(text: &str) -> Progress {
    serde_json::from_str::<StoredProgress>(text).map_or_else(
        |_| Progress::default(),
        |StoredProgress { parts, ids, aliases, unknown }| Progress { parts, ids, aliases, unknown },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_comes_back() {
        for kind in [
            OutgoingKind::Send {
                text: "[b]Anna:[/b][br] Привет".into(),
                files: vec![OutFile { name: "a".into(), link: "https://p/~x".into(), image: true, mime: None }],
            },
            OutgoingKind::Update { ids: vec!["1".into(), "2".into()], text: "x".into() },
            OutgoingKind::Delete { id: "1".into() },
            OutgoingKind::Typing,
        ] {
            let message = Outgoing {
                connector: "botframework.skype".into(),
                chat: "29:1".into(),
                im: PortalRef { chat_id: "113".into(), message_id: "2196".into() },
                kind,
                service_url: Some("https://smba.example.test/apis/".into()),
            };
            assert_eq!(decode(&encode(&message)), Some(message));
        }
        assert_eq!(decode(b"{}"), None);
        let progress =
            Progress { parts: 2, ids: vec!["a".into()], aliases: vec![("a".into(), "b".into())], unknown: 1 };
        assert_eq!(decode_progress(&encode_progress(&progress)), progress);
        assert_eq!(decode_progress(r#"{"parts":1,"ids":[]}"#), Progress { parts: 1, ..Progress::default() });
        assert_eq!(decode_progress(""), Progress::default());
    }
}
