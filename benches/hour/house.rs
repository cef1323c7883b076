//! Who takes part: ten portals with five lines each, a thousand chats, and what each of them says on the wire.

use std::fmt::Write;

use rusqlite::params;
use trunkline::portals::boxed;
use trunkline::portals::boxed::php::Value;
use trunkline::portals::boxed::portal_side::Identity;
use trunkline::store::Store;

use super::dice::mix;

pub const PORTALS: usize = 10;
pub const LINES: usize = 50;
/// Customers write on so many connections; each chat belongs to one of them, so that its order is known.
pub const CONNECTIONS: usize = 50;
/// Chats of the load.
pub const CHATS: usize = 1000;
/// And of clients with odd manners, one for each.
pub const ODD_CHATS: usize = 40;
/// The portal of module 18: it confirms by `setStatusDelivered` and does not wait for the answers to its commands.
pub const OLD: usize = PORTALS - 1;
/// Operators' message ids lie so much above their numbers.
pub const OUT: i64 = 7_000_000;

const CONNECTOR: &str = "botframework.webchat";

/// The line of a chat, counted from 0.
pub fn line_of(chat: usize) -> usize {
    (chat / CONNECTIONS + chat) % LINES
}

/// The portal of a line.
pub fn portal_of(line: usize) -> usize {
    line % PORTALS
}

/// The connection of a chat.
pub fn connection_of(chat: usize) -> usize {
    chat % CONNECTIONS
}

fn key(portal: usize) -> String {
    format!("ENDURANCE-LICENCE-KEY-{portal:04}")
}

/// Who the portals are.
pub fn identities(urls: &[String]) -> Vec<Identity> {
    let version = |portal| if portal == OLD { "18.7.200" } else { "23.100.0" };
    urls.iter().enumerate().map(|(portal, url)| Identity::new(&key(portal), url, version(portal))).collect()
}

/// Writes portals and lines into a fresh database.
pub fn furnish(store: &Store, urls: &[String]) {
    let mut db = store.writing().unwrap();
    let tx = db.transaction().unwrap();
    for (portal, url) in urls.iter().enumerate() {
        let (licence, secret) = (boxed::licence_id(&key(portal)), boxed::key_md5(&key(portal)));
        tx.execute(
            "insert into portals (id, name, protocol, url, licence, key, version, seen_at, created_at)
             values (?1, ?2, 'box', ?3, ?4, ?5, ?6, 0, 0)",
            params![
                portal as i64 + 1,
                format!("portal-{portal}"),
                url,
                licence,
                secret.reveal(),
                if portal == OLD { "18.7.200" } else { "23.100.0" }
            ],
        )
        .unwrap();
    }
    for line in 0..LINES {
        let app = format!("{line:08x}-2222-3333-4444-555555555555");
        tx.execute(
            "insert into lines (id, portal_id, connector, line, hash, entity, created_at)
             values (?1, ?2, 'botframework', ?3, ?4, ?5, 0)",
            params![line as i64 + 1, portal_of(line) as i64 + 1, number(line), hash(line), app],
        )
        .unwrap();
        for (key, value) in [("bot_handle", "endurance"), ("app_id", &app), ("app_secret", "s3cret")] {
            tx.execute("insert into settings values (?1, ?2, ?3)", params![line as i64 + 1, key, value]).unwrap();
        }
    }
    tx.commit().unwrap();
}

/// The portal's own number of a line.
pub fn number(line: usize) -> String {
    (line + 1).to_string()
}

fn hash(line: usize) -> String {
    format!("{:064x}", line + 1)
}

/// How a customer's message looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    Text,
    /// Some kilobytes.
    Long,
    /// With a file by link.
    File,
    /// A new text for an earlier message.
    Edit(u32),
}

/// A whole webhook request with message `in-NUMBER`.
pub fn webhook(run: u64, number: u32, chat: usize, shape: Shape, channel: &str) -> Vec<u8> {
    let (kind, id) = match shape {
        Shape::Edit(earlier) => ("messageUpdate", earlier),
        _ => ("message", number),
    };
    let mut text = format!("in-{number} Is the blue one in stock? ");
    let repeats = if shape == Shape::Long { 200 + mix(u64::from(number)) as usize % 1500 } else { 8 };
    for _ in 0..repeats {
        text.push_str("Or the green one, in size M? ");
    }
    let attachments = if shape == Shape::File {
        format!(
            ",\"attachments\":[{{\"contentType\":\"image/png\",\"contentUrl\":\"{channel}/files/{number}.png\",\
             \"name\":\"photo-{number}.png\"}}]"
        )
    } else {
        String::new()
    };
    let body = format!(
        "{{\"type\":\"{kind}\",\"id\":\"{run}-{id}\",\"channelId\":\"webchat\",\
         \"timestamp\":\"2026-11-24T10:{:02}:{:02}Z\",\"serviceUrl\":\"{channel}/\",\"text\":\"{text}\",\
         \"textFormat\":\"plain\",\"from\":{{\"id\":\"customer-{chat}\",\"name\":\"Ann Lee\"}},\
         \"recipient\":{{\"id\":\"28:bot\",\"name\":\"ShopBot\"}},\
         \"conversation\":{{\"id\":\"{}\"}}{attachments}}}",
        number / 60 % 60,
        number % 60,
        chat_id(chat),
    );
    let mut request = String::new();
    write!(
        request,
        "POST /imwebhook/?hash={} HTTP/1.1\r\nHost: endurance\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        hash(line_of(chat)),
        body.len()
    )
    .unwrap();
    request.into_bytes()
}

/// A chat as the channel and the portals know it.
pub fn chat_id(chat: usize) -> String {
    format!("conversation-{chat}")
}

/// A whole command request with operators' message `out-NUMBER`.
pub fn command(portal: &Identity, number: u32, chat: usize) -> Vec<u8> {
    let content = Value::map([
        ("user_id", Value::Int(3)),
        ("text", Value::text(format!("out-{number} Yes, it is; shall we put one aside for you?"))),
        ("files", Value::list([])),
        ("attachments", Value::list([])),
        ("params", Value::list([])),
    ]);
    let id = OUT + i64::from(number);
    let message = Value::map([
        ("im", Value::map([("chat_id", Value::Int(113)), ("message_id", Value::Int(id))])),
        ("message", content),
        ("chat", Value::map([("id", Value::text(chat_id(chat)))])),
    ]);
    let line = self::number(line_of(chat));
    posted(&portal.command("sendMessage", CONNECTOR, Some(&line), vec![Value::list([message])]))
}

/// A whole command request that confirms these messages: chat and id of each.
pub fn confirmation(portal: &Identity, line: &str, names: &[(String, String)]) -> Vec<u8> {
    let named = |id: &str| Value::map([("id", Value::text(id))]);
    let names = names.iter().map(|(chat, id)| Value::map([("chat", named(chat)), ("message", named(id))]));
    posted(&portal.command("setStatusDelivered", CONNECTOR, Some(line), vec![Value::list(names)]))
}

fn posted(body: &str) -> Vec<u8> {
    format!(
        "POST /imwebhook/portal.php HTTP/1.1\r\nHost: endurance\r\nConnection: close\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}
