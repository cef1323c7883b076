//! From an activity to what the server stores. Every chat event refreshes the chat's record; only messages, edits,
//! deletions and typing become rows for the portal.

use sha2::{Digest, Sha256};

use super::activity::{Account, Activity, ChatData, at};
use super::attachments::{self, Sorted};
use super::services::virtual_id;
use super::{cards, places, wording};
use crate::channels::Rejected;
use crate::clock::UnixMillis;
use crate::message::{Chat, ChatRecord, FileLink, Incoming, IncomingKind, Received, Route, User};
use crate::net::Net;
use crate::text;

const MESSAGE_ID_MAX: usize = 100;
const CHAT_ID_MAX: usize = 150;
const USER_ID_MAX: usize = 32;
const NAME_MAX: usize = 50;
const SUBJECT_MAX: usize = 200;

/// All that one activity comes to.
pub(super) fn receive(activity: &Activity, net: &dyn Net, now: UnixMillis) -> Result<Received, Rejected> {
    if activity.channel_id.is_empty() {
        return Err(Rejected::Malformed("the activity names no channel"));
    }
    let mut received = Received::default();
    if activity.conversation.id.is_empty() && activity.kind.starts_with("message") {
        return Err(Rejected::Malformed("the activity names no conversation"));
    }
    if activity.conversation.id.is_empty() || activity.kind == "invoke" {
        return Ok(received);
    }
    let connector = virtual_id(&activity.channel_id).unwrap_or("botframework.directline").to_owned();
    let chat = chat_id(activity);
    received.chats.push(record(activity, &connector, &chat));
    let kind = match activity.kind.as_str() {
        "message" => IncomingKind::Message,
        "messageUpdate" => IncomingKind::Update,
        "messageDelete" => IncomingKind::Delete,
        "typing" => IncomingKind::Typing,
        "event" => {
            let read = at(&activity.value, "/lastReadMessageId");
            if activity.name == "application/vnd.microsoft.readReceipt" && !read.is_empty() {
                received.read.push((connector, chat, short(&read, MESSAGE_ID_MAX)));
            }
            return Ok(received);
        }
        _ => return Ok(received),
    };
    let made = || digest(&format!("{chat}\n{}\n{}\n{}", activity.timestamp, activity.text, now.0));
    let message_id = if activity.id.is_empty() { made() } else { short(&activity.id, MESSAGE_ID_MAX) };
    if !activity.id.is_empty() && message_id != activity.id {
        received.aliases.push((message_id.clone(), activity.id.clone()));
    }
    let attachments = if kind == IncomingKind::Message { places::find(activity) } else { vec![] };
    let (text, files) = match kind {
        IncomingKind::Message | IncomingKind::Update => content(activity, net, !attachments.is_empty()),
        IncomingKind::Delete | IncomingKind::Typing => Default::default(),
    };
    received.messages.push(Incoming {
        connector,
        kind,
        key: key(activity, kind),
        user: user(activity),
        chat: Chat { id: chat, description: subject(activity), ..Chat::default() },
        message_id,
        date: Some(
            activity.timestamp.parse::<jiff::Timestamp>().map_or_else(|_| now.secs(), jiff::Timestamp::as_second),
        ),
        text,
        files,
        attachments,
        route: Some(Route {
            recipient_id: activity.recipient.id.clone(),
            recipient_name: activity.recipient.name.clone(),
            service_url: activity.service_url.clone(),
        }),
    });
    Ok(received)
}

fn record(activity: &Activity, connector: &str, chat: &str) -> ChatRecord {
    let removed = activity.kind == "conversationUpdate"
        && activity.members_removed.iter().any(|member| member.id == activity.recipient.id);
    // `remove-upgrade` is the first half of an upgrade: the bot stays.
    let left =
        matches!(activity.kind.as_str(), "contactRelationUpdate" | "installationUpdate") && activity.action == "remove";
    let by_customer = activity.kind.starts_with("message") || activity.kind == "typing";
    let data = ChatData {
        channel: activity.channel_id.clone(),
        service_url: activity.service_url.clone(),
        conversation: activity.conversation.clone(),
        bot: activity.recipient.clone(),
        // Events come from the channel or the bot itself; only who writes is a customer.
        user: if by_customer { activity.from.clone() } else { Account::default() },
        locale: activity.locale.clone(),
    };
    ChatRecord {
        chat: chat.to_owned(),
        connector: connector.to_owned(),
        data: serde_json::to_string(&data).unwrap_or_default(),
        closed: removed || left,
        by_customer,
    }
}

/// Channels that share one portal id are kept apart by their own id.
fn prefixed(channel: &str, id: &str) -> String {
    match virtual_id(channel) {
        Some(_) => id.to_owned(),
        None => format!("{channel}:{id}"),
    }
}

fn chat_id(activity: &Activity) -> String {
    let id = prefixed(&activity.channel_id, &activity.conversation.id);
    if id.contains('|') { digest(&id) } else { short(&id, CHAT_ID_MAX) }
}

fn user(activity: &Activity) -> User {
    user_of(&activity.channel_id, &activity.from)
}

/// A customer as the portal knows him: always the same, for the portal compares.
pub(super) fn user_of(channel: &str, account: &Account) -> User {
    let Account { id, name } = account;
    let name = text::clean_name(name, NAME_MAX);
    User { id: short(&prefixed(channel, id), USER_ID_MAX), name, ..User::default() }
}

/// The subject of a mail; portals show it once, at the start of a session.
fn subject(activity: &Activity) -> Option<String> {
    let subject = text::clean_name(&at(&activity.channel_data, "/Subject"), SUBJECT_MAX);
    Some(subject).filter(|subject| activity.channel_id == "email" && !subject.is_empty())
}

/// `botframework.md` §1.2: edits and deletions carry the first message's id, so they add their time, and an edit its
/// content: a message may be deleted, restored and deleted again.
fn key(activity: &Activity, kind: IncomingKind) -> Option<String> {
    if activity.id.is_empty() || kind == IncomingKind::Typing {
        return None;
    }
    let mut parts =
        vec![&activity.channel_id, &activity.recipient.id, &activity.conversation.id, &activity.kind, &activity.id];
    let content;
    if kind != IncomingKind::Message {
        parts.push(&activity.timestamp);
    }
    if kind == IncomingKind::Update {
        content = digest(&format!("{}\n{:?}", activity.text, activity.attachments));
        parts.push(&content);
    }
    // Length first, so that no two lists of parts read alike.
    let whole: Vec<String> = parts.iter().map(|part| format!("{}:{part}", part.len())).collect();
    Some(digest(&whole.concat()))
}

/// Text and files; never both empty unless the message `shows` a place or a contact.
fn content(activity: &Activity, net: &dyn Net, shows: bool) -> (String, Vec<FileLink>) {
    let Sorted { files, quotes, lines, html } = attachments::sort(activity, net);
    let mut text = wording::incoming(activity, &activity.text);
    if text.is_empty() && lines.is_empty() && files.is_empty() && quotes.is_empty() && !shows {
        text = if html.is_empty() { spare(activity) } else { html };
    }
    for line in lines {
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&line);
    }
    ((quotes + &text).trim_end().to_owned(), files)
}

/// What a message without text and files says.
fn spare(activity: &Activity) -> String {
    let data = &activity.channel_data;
    let own = ["/message/sticker/emoji", "/postback/title", "/postback/payload", "/message/quick_reply/payload"];
    let own = own.iter().map(|pointer| at(data, pointer));
    let words = [activity.summary.clone(), cards::pressed(&activity.value)].into_iter().chain(own);
    let mut words = words.map(|words| wording::incoming(activity, &words));
    words.find(|words| !words.is_empty()).unwrap_or_else(|| String::from("(empty message)"))
}

/// The id itself, or its digest when it is too long for a portal or holds what no id should.
pub(super) fn short(id: &str, max_chars: usize) -> String {
    if id.chars().count() <= max_chars && !id.contains(char::is_control) { id.to_owned() } else { digest(id) }
}

/// `~` and 26 characters of base32: 130 bits of SHA-256.
fn digest(text: &str) -> String {
    const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let (mut out, mut bits, mut count) = (String::from("~"), 0_u32, 0);
    for byte in Sha256::digest(text.as_bytes()).iter().take(17).copied() {
        (bits, count) = (bits << 8 | u32::from(byte), count + 8);
        while count >= 5 && out.len() < 27 {
            count -= 5;
            let index = usize::try_from(bits >> count & 31).unwrap_or(0);
            out.push(ALPHABET.get(index).copied().map_or('a', char::from));
        }
        bits &= (1 << count) - 1;
    }
    out
}
