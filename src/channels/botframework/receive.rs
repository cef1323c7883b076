//! From an activity to what the server stores. Every chat event refreshes the chat's record; only messages, edits,
//! deletions and typing become rows for the portal.

use sha2::{Digest, Sha256};

use super::activity::{Account, Activity, Attached, ChatData, at, plain};
use super::services::virtual_id;
use super::{places, wording};
use crate::channels::Rejected;
use crate::clock::UnixMillis;
use crate::message::{Chat, ChatRecord, FileLink, Incoming, IncomingKind, Received, Route, User};
use crate::text;

const MESSAGE_ID_MAX: usize = 100;
const CHAT_ID_MAX: usize = 150;
const USER_ID_MAX: usize = 32;
const NAME_MAX: usize = 50;

/// All that one activity comes to.
pub(super) fn receive(activity: &Activity, now: UnixMillis) -> Result<Received, Rejected> {
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
    received.chats.push(record(activity, &connector, &chat, now));
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
        IncomingKind::Message
            if !attachments.is_empty() && activity.text.is_empty() && activity.attachments.is_empty() =>
        {
            Default::default()
        }
        IncomingKind::Message | IncomingKind::Update => content(activity),
        IncomingKind::Delete | IncomingKind::Typing => Default::default(),
    };
    received.messages.push(Incoming {
        connector,
        kind,
        key: key(activity, kind),
        user: user(activity),
        chat: Chat { id: chat, ..Chat::default() },
        message_id,
        date: activity.timestamp.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_second),
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

fn record(activity: &Activity, connector: &str, chat: &str, now: UnixMillis) -> ChatRecord {
    let removed = activity.kind == "conversationUpdate"
        && activity.members_removed.iter().any(|member| member.id == activity.recipient.id);
    let left = matches!(activity.kind.as_str(), "contactRelationUpdate" | "installationUpdate")
        && matches!(activity.action.as_str(), "remove" | "remove-upgrade");
    let by_customer = activity.kind.starts_with("message") || activity.kind == "typing";
    let data = ChatData {
        channel: activity.channel_id.clone(),
        service_url: activity.service_url.clone(),
        conversation: activity.conversation.clone(),
        bot: activity.recipient.clone(),
        // Events come from the channel or the bot itself; only who writes is a customer.
        user: if by_customer { activity.from.clone() } else { Account::default() },
        locale: activity.locale.clone(),
        proved_at: now.0,
    };
    ChatRecord {
        chat: chat.to_owned(),
        connector: connector.to_owned(),
        data: serde_json::to_string(&data).unwrap_or_default(),
        closed: removed || left || activity.kind == "endOfConversation",
        by_customer,
    }
}

/// Channels that share one portal id are kept apart by their own id.
fn prefixed(activity: &Activity, id: &str) -> String {
    match virtual_id(&activity.channel_id) {
        Some(_) => id.to_owned(),
        None => format!("{}:{id}", activity.channel_id),
    }
}

fn chat_id(activity: &Activity) -> String {
    let id = prefixed(activity, &activity.conversation.id);
    if id.contains('|') { digest(&id) } else { short(&id, CHAT_ID_MAX) }
}

fn user(activity: &Activity) -> User {
    let Account { id, name } = &activity.from;
    let name = text::clean_name(name, NAME_MAX);
    User { id: short(&prefixed(activity, id), USER_ID_MAX), name, ..User::default() }
}

/// `botframework.md` §1.2: edits and deletions carry the first message's id, so an edit adds its time and content.
fn key(activity: &Activity, kind: IncomingKind) -> Option<String> {
    if activity.id.is_empty() || kind == IncomingKind::Typing {
        return None;
    }
    let mut parts =
        vec![&activity.channel_id, &activity.recipient.id, &activity.conversation.id, &activity.kind, &activity.id];
    let content = digest(&format!("{}\n{:?}", activity.text, activity.attachments));
    if kind == IncomingKind::Update {
        parts.extend([&activity.timestamp, &content]);
    }
    // Length first, so that no two lists of parts read alike.
    let whole: Vec<String> = parts.iter().map(|part| format!("{}:{part}", part.len())).collect();
    Some(digest(&whole.concat()))
}

/// Text and files; never both empty.
fn content(activity: &Activity) -> (String, Vec<FileLink>) {
    let mut text = wording::incoming(activity, &activity.text);
    let mut files = vec![];
    let mut left = vec![];
    for attached in &activity.attachments {
        match file(attached) {
            Some(link) => files.push(link),
            None if attached.content_type == "text/html" && attached.content_url.is_empty() => (),
            None => left.push(described(activity, attached)),
        }
    }
    for line in left {
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&line);
    }
    if text.is_empty() && files.is_empty() {
        let value = at(&activity.value, "/text");
        let value = if value.is_empty() { plain(&activity.value) } else { value };
        let spare = [activity.summary.as_str(), value.as_str(), "(empty message)"];
        text = spare
            .iter()
            .map(|words| wording::incoming(activity, words))
            .find(|words| !words.is_empty())
            .unwrap_or_default();
    }
    if activity.conversation.is_group() && !activity.from.name.is_empty() && !text.is_empty() {
        text = format!("{}: {text}", user(activity).name);
    }
    (text, files)
}

/// A file the portal can be given as a link.
fn file(attached: &Attached) -> Option<FileLink> {
    let teams = attached.content_type == "application/vnd.microsoft.teams.file.download.info";
    let address = if teams { at(&attached.content, "/downloadUrl") } else { attached.content_url.clone() };
    let url = url::Url::parse(&address).ok().filter(|url| matches!(url.scheme(), "https" | "http"))?;
    let host = url.host_str().unwrap_or_default();
    if host == "slack.com" || host.ends_with(".slack.com") {
        return None;
    }
    let token_hosts = [".botframework.com", ".skype.com", ".botframework.azure.us"];
    let protected = !teams
        && url.scheme() == "https"
        && (host == "smba.trafficmanager.net" || token_hosts.iter().any(|end| host.ends_with(end)));
    let kind = Some(attached.content_type.as_str()).filter(|kind| !teams && !kind.is_empty());
    let name = text::file_name(Some(&attached.name), kind);
    let mime = kind.filter(|kind| kind.contains('/')).map(str::to_owned);
    Some(FileLink { url: address, name, mime, protected })
}

/// What stands for an attachment that is no file.
fn described(activity: &Activity, attached: &Attached) -> String {
    let mut lines = vec![];
    for pointer in ["/title", "/subtitle", "/text"] {
        lines.push(at(&attached.content, pointer));
    }
    if attached.content_url.starts_with("data:") {
        lines.push(format!("{} ({} bytes)", attached.name, attached.content_url.len() / 4 * 3));
    } else {
        lines.push(attached.name.clone());
        lines.push(attached.content_url.clone());
    }
    lines.retain(|line| !line.is_empty());
    if lines.is_empty() {
        lines.push(format!("({})", attached.content_type));
    }
    wording::incoming(activity, &lines.join("\n"))
}

/// The id itself, or its digest when it is too long for a portal.
pub(super) fn short(id: &str, max_chars: usize) -> String {
    if id.chars().count() <= max_chars { id.to_owned() } else { digest(id) }
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
