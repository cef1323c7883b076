//! What the portal is told of customers' messages that were given up: one row for each line, which waits until the
//! portal can hear it. A later loss is added to the row that still waits, so that a portal that is away for a month
//! hears one sentence.

use rusqlite::{OptionalExtension, Result, Row, named_params};

use super::body;
use crate::clock::UnixMillis;
use crate::ids::{LineId, MessageId};
use crate::language::Language;
use crate::message::{Body, Notice};
use crate::store::Tx;

/// How the portal is told.
#[derive(Clone, Copy, Debug)]
pub struct Tell {
    /// Language of the sentence.
    pub language: Language,
    /// The messages are kept as dead letters.
    pub kept: bool,
}

/// Messages that were given up together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    /// Virtual connector id of one of them: the portal knows it.
    pub connector: String,
    /// How many.
    pub messages: i64,
    /// When the first of them was accepted, unix seconds.
    pub since: i64,
    /// And the last.
    pub until: i64,
}

/// The oldest rows of a line, as the way into dead letters takes them.
const HEAD: &str = "
    select count(*) as messages, min(accepted_at) as since, max(accepted_at) as until, max(connector) as connector
      from (select command, accepted_at, connector
              from queue
             where line_id = :line and command <> 'lost'
             order by id
             limit :limit)
     where command = 'message'
    having count(*) > 0";

const ROW: &str = "
    select 1 as messages, accepted_at as since, accepted_at as until, connector
      from queue
     where id = :id and command = 'message'";

fn lost(row: &Row<'_>) -> Result<Lost> {
    let secs = |name| row.get(name).map(|at| UnixMillis(at).secs());
    Ok(Lost {
        connector: row.get("connector")?,
        messages: row.get("messages")?,
        since: secs("since")?,
        until: secs("until")?,
    })
}

/// What would be lost with one row; nothing when it is a notice of the server.
pub fn of_row(tx: &Tx<'_>, id: MessageId) -> Result<Option<Lost>> {
    tx.db().prepare_cached(ROW)?.query_row(named_params! {":id": id.0}, lost).optional()
}

/// What would be lost with the oldest `limit` rows of a line; notices of the server do not count.
pub fn of_head(tx: &Tx<'_>, line: LineId, limit: usize) -> Result<Option<Lost>> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    tx.db().prepare_cached(HEAD)?.query_row(named_params! {":line": line.0, ":limit": limit}, lost).optional()
}

/// The row that still waits stands at the end of the queue or near it.
const WAITING: &str = "
    select id, body from queue where line_id = :line and command = 'lost' order by id desc limit 1";

/// Queues the news of a loss for the line's portal, or adds it to the news that waits.
pub fn tell(tx: &mut Tx<'_>, line: LineId, lost: &Lost, how: Tell) -> Result<()> {
    let waiting: Option<(i64, Vec<u8>)> = tx
        .db()
        .prepare_cached(WAITING)?
        .query_row(named_params! {":line": line.0}, |row| Ok((row.get("id")?, row.get("body")?)))
        .optional()?;
    let Some((id, bytes)) = waiting else {
        super::push(tx, line, &lost.connector, None, &notice(line, lost, how))?;
        return Ok(());
    };
    let mut all = lost.clone();
    if let Ok(Body::Notice(Notice::Lost { messages, since, until, .. })) = body::decode(&bytes) {
        all.messages += messages;
        (all.since, all.until) = (all.since.min(since), all.until.max(until));
    }
    let body = body::encode(&notice(line, &all, how));
    tx.db()
        .prepare_cached("update queue set body = :body where id = :id")?
        .execute(named_params! {":body": body, ":id": id})
        .map(drop)
}

fn notice(line: LineId, lost: &Lost, how: Tell) -> Body {
    let text = sentence(line, lost, how);
    Body::Notice(Notice::Lost { messages: lost.messages, since: lost.since, until: lost.until, text })
}

fn sentence(line: LineId, lost: &Lost, how: Tell) -> String {
    let stamp = |secs: i64| UnixMillis(secs.saturating_mul(1000)).stamp();
    let (messages, since, until) = (lost.messages, stamp(lost.since), stamp(lost.until));
    match (how.language, how.kept) {
        (Language::En, true) => format!(
            "Messages of customers that could not be delivered to this portal: {messages}, received from {since} to \
             {until}. They are kept; the administrator of the connector server can bring them back: trunkline dead \
             replay --line {line}"
        ),
        (Language::En, false) => format!(
            "Messages of customers that could not be delivered to this portal: {messages}, received from {since} to \
             {until}. They were not kept."
        ),
        (Language::Ru, true) => format!(
            "Сообщений клиентов, которые не удалось доставить на этот портал: {messages}; получены с {since} по \
             {until}. Они сохранены, администратор сервера коннекторов может их вернуть: trunkline dead replay --line \
             {line}"
        ),
        (Language::Ru, false) => format!(
            "Сообщений клиентов, которые не удалось доставить на этот портал: {messages}; получены с {since} по \
             {until}. Они не сохранены."
        ),
    }
}
