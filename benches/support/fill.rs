//! Portals, lines and messages written straight into the database: ten thousand lines by command would take minutes.
//! No server may run meanwhile.

use std::sync::Arc;

use rusqlite::params;
use trunkline::message::{Body, Chat, Incoming, IncomingKind, User};
use trunkline::portals::boxed;
use trunkline::queue::body;
use trunkline::store::Store;

use super::load::Build;

/// The licence key of every portal here.
pub const LICENCE_KEY: &str = "BENCH-LICENCE-KEY-0001";

/// A line as its channel's platform knows it.
#[derive(Clone, Debug)]
pub struct Line {
    pub id: i64,
    pub hash: String,
}

/// Makes one boxed portal of module 23 for each address, and so many Bot Framework lines that go to them in turn.
pub fn lines(store: &Store, urls: &[String], count: usize) -> Vec<Line> {
    let mut db = store.writing().unwrap();
    db.pragma_update(None, "synchronous", "off").unwrap();
    let tx = db.transaction().unwrap();
    let key = boxed::key_md5(LICENCE_KEY);
    let mut portals = Vec::new();
    for (index, url) in urls.iter().enumerate() {
        tx.execute(
            "insert into portals (name, protocol, url, licence, key, version, seen_at, created_at)
             values (?1, 'box', ?2, ?3, ?4, '23.100.0', 0, 0)",
            params![format!("portal-{index}"), url, format!("licence-{index}"), key.reveal()],
        )
        .unwrap();
        portals.push(tx.last_insert_rowid());
    }
    let mut made = Vec::new();
    for index in 0..count {
        let number = index + 1;
        let (hash, app) = (format!("{number:064x}"), format!("{number:08x}-2222-3333-4444-555555555555"));
        tx.prepare_cached(
            "insert into lines (portal_id, connector, line, hash, entity, created_at)
             values (?1, 'botframework', ?2, ?3, ?4, 0)",
        )
        .unwrap()
        .execute(params![portals[index % portals.len()], number.to_string(), hash, app])
        .unwrap();
        let id = tx.last_insert_rowid();
        for (key, value) in [("bot_handle", "bench"), ("app_id", &app), ("app_secret", "s3cret")] {
            tx.prepare_cached("insert into settings values (?1, ?2, ?3)").unwrap().execute((id, key, value)).unwrap();
        }
        made.push(Line { id, hash });
    }
    tx.commit().unwrap();
    made
}

/// A text message of a customer as the queue stores it, about 700 bytes with a text of 500.
pub fn message(text: &str) -> Body {
    Body::Message(Box::new(Incoming {
        connector: "botframework.webchat".into(),
        kind: IncomingKind::Message,
        key: None,
        user: User { id: "customer".into(), name: "Ann Example".into(), ..User::default() },
        chat: Chat { id: "conversation".into(), ..Chat::default() },
        message_id: "0123456789abcdef".into(),
        date: Some(1_500_000_000),
        text: text.into(),
        files: vec![],
        attachments: vec![],
        route: None,
    }))
}

/// Queues so many messages, to the lines in turn, and brings them to the disk.
pub fn queue(store: &Store, lines: &[Line], count: i64) {
    let db = store.writing().unwrap();
    db.pragma_update(None, "synchronous", "off").unwrap();
    let body = body::encode(message(&"x".repeat(500)));
    let (first, number) = (lines[0].id, i64::try_from(lines.len()).unwrap());
    // Made by `lines`: their ids follow each other.
    db.execute(
        "with recursive n(i) as (select 0 union all select i + 1 from n where i < ?1 - 1)
         insert into queue (line_id, connector, command, chat, message, files, body, accepted_at)
         select ?4 + i % ?2, 'botframework.webchat', 'message', 'c' || i, 'm' || i, 0, ?3,
                cast(strftime('%s') as integer) * 1000 from n",
        params![count, number, &body, first],
    )
    .unwrap();
    db.execute(
        "insert into counters values ('accepted', 'botframework.webchat', 'in', '', ?1)
         on conflict do update set value = value + excluded.value",
        [count],
    )
    .unwrap();
    db.query_row("pragma wal_checkpoint(truncate)", [], |_| Ok(())).unwrap();
    std::fs::File::open(store.path()).unwrap().sync_all().unwrap();
}

/// Requests that bring new messages to these lines in turn, from 50 customers each. `run` sets them apart from those of
/// another load: same words and number, same message. Message ids are `RUN-NUMBER`.
pub fn webhooks(lines: &[Line], run: &str) -> Build {
    let (run, text) = (run.to_owned(), "Is the blue one in stock? ".repeat(12));
    post(lines, move |number, body| {
        use std::io::Write;
        let customer = number % 50;
        write!(
            body,
            "{{\"type\":\"message\",\"id\":\"{run}-{number}\",\"channelId\":\"webchat\",\
             \"timestamp\":\"2026-11-24T10:00:00Z\",\"serviceUrl\":\"http://127.0.0.1:9/\",\"text\":\"{text}\",\
             \"textFormat\":\"plain\",\"from\":{{\"id\":\"customer-{customer}\",\"name\":\"Ann Lee\"}},\
             \"recipient\":{{\"id\":\"28:bot\",\"name\":\"ShopBot\"}},\
             \"conversation\":{{\"id\":\"conversation-{customer}\"}}}}"
        )
        .unwrap();
    })
}

/// The same way with nothing to store: an activity that is not for the portal.
pub fn traces(lines: &[Line]) -> Build {
    let text = "Is the blue one in stock? ".repeat(12);
    post(lines, move |number, body| {
        use std::io::Write;
        write!(
            body,
            "{{\"type\":\"trace\",\"id\":\"{number}\",\"channelId\":\"webchat\",\
             \"timestamp\":\"2026-11-24T10:00:00Z\",\"serviceUrl\":\"http://127.0.0.1:9/\",\"text\":\"{text}\",\
             \"textFormat\":\"plain\",\"from\":{{\"id\":\"customer\",\"name\":\"Ann Lee\"}},\
             \"recipient\":{{\"id\":\"28:bot\",\"name\":\"ShopBot\"}}}}"
        )
        .unwrap();
    })
}

/// Requests to the lines in turn with bodies that `write` makes.
pub fn post(lines: &[Line], write: impl Fn(u64, &mut Vec<u8>) + Send + Sync + 'static) -> Build {
    let hashes: Vec<String> = lines.iter().map(|line| line.hash.clone()).collect();
    Arc::new(move |number, request| {
        let hash = &hashes[usize::try_from(number).unwrap() % hashes.len()];
        request.extend_from_slice(b"POST /imwebhook/?hash=");
        request.extend_from_slice(hash.as_bytes());
        request.extend_from_slice(b" HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nContent-Length: ");
        // The length is known last and stands first: room for four digits.
        let length_at = request.len();
        request.extend_from_slice(b"0000\r\n\r\n");
        let body_at = request.len();
        write(number, request);
        let length = format!("{:04}", request.len() - body_at);
        request[length_at..length_at + 4].copy_from_slice(length.as_bytes());
    })
}
