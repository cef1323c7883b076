//! What a portal is told of customers' messages that were given up. While it is away the sum stands in `losses`, one row
//! for each line; when it gives a sign of life, the sum becomes one notice in the line's queue. So a portal that is away
//! for a month hears one sentence, and a line whose schedule is over has nothing left to send.

use rusqlite::{Connection, OptionalExtension, Result, Row, named_params};

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

/// Messages that were given up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    /// Virtual connector id of one of them: the portal knows it.
    connector: String,
    messages: i64,
    /// When the first of them was accepted, unix seconds.
    since: i64,
    /// And the last.
    until: i64,
}

impl Lost {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            connector: row.get("connector")?,
            messages: row.get("messages")?,
            since: row.get("since")?,
            until: row.get("until")?,
        })
    }

    fn and(self, messages: i64, since: i64, until: i64) -> Self {
        Self {
            messages: self.messages + messages,
            since: self.since.min(since),
            until: self.until.max(until),
            connector: self.connector,
        }
    }
}

const ROW: &str = "
    select 1 as messages, accepted_at / 1000 as since, accepted_at / 1000 as until, connector
      from queue
     where id = :id and command = 'message'";

/// What would be lost with one row; nothing when it is a notice of the server.
pub fn of_row(tx: &Tx<'_>, id: MessageId) -> Result<Option<Lost>> {
    tx.db().prepare_cached(ROW)?.query_row(named_params! {":id": id.0}, Lost::from_row).optional()
}

/// The oldest rows of a line, as the way into dead letters takes them.
const HEAD: &str = "
    select count(*) as messages, min(accepted_at) / 1000 as since, max(accepted_at) / 1000 as until,
           max(connector) as connector
      from (select command, accepted_at, connector from queue where line_id = :line order by id limit :limit)
     where command = 'message'
    having count(*) > 0";

const NEWS: &str = "
    select connector, body
      from (select command, connector, body from queue where line_id = :line order by id limit :limit)
     where command = 'lost'";

/// What would be lost with the oldest `limit` rows of a line, news of earlier losses among them.
pub fn of_head(tx: &Tx<'_>, line: LineId, limit: usize) -> Result<Option<Lost>> {
    let params = named_params! {":line": line.0, ":limit": i64::try_from(limit).unwrap_or(i64::MAX)};
    let mut lost = tx.db().prepare_cached(HEAD)?.query_row(params, Lost::from_row).optional()?;
    let mut news = tx.db().prepare_cached(NEWS)?;
    let mut rows = news.query(params)?;
    while let Some(row) = rows.next()? {
        let bytes: Vec<u8> = row.get("body")?;
        if let Ok(Body::Notice(Notice::Lost { messages, since, until, .. })) = body::decode(&bytes) {
            lost = Some(match lost {
                Some(lost) => lost.and(messages, since, until),
                None => Lost { connector: row.get("connector")?, messages, since, until },
            });
        }
    }
    Ok(lost)
}

const ADD: &str = "
    insert into losses (line_id, connector, messages, since, until)
    values (:line, :connector, :messages, :since, :until)
    on conflict do update
       set messages = messages + excluded.messages, since = min(since, excluded.since),
           until = max(until, excluded.until), connector = excluded.connector";

/// Adds a loss to what the line's portal has yet to hear.
pub fn add(tx: &Tx<'_>, line: LineId, lost: &Lost) -> Result<()> {
    tx.db()
        .prepare_cached(ADD)?
        .execute(named_params! {
            ":line": line.0, ":connector": lost.connector, ":messages": lost.messages, ":since": lost.since,
            ":until": lost.until,
        })
        .map(drop)
}

/// Lines whose portals have yet to hear of a loss.
pub fn lines(db: &Connection) -> Result<Vec<LineId>> {
    db.prepare_cached("select line_id from losses order by line_id limit 1000000")?
        .query_map([], |row| Ok(LineId(row.get("line_id")?)))?
        .collect()
}

const TAKE: &str = "delete from losses where line_id = :line returning connector, messages, since, until";

/// Queues the news of what the line has lost; nothing when its portal has heard it.
pub fn tell(tx: &mut Tx<'_>, line: LineId, how: Tell) -> Result<()> {
    let lost = tx.db().prepare_cached(TAKE)?.query_row(named_params! {":line": line.0}, Lost::from_row).optional()?;
    if let Some(lost) = lost {
        let text = sentence(line, &lost, how);
        let notice = Notice::Lost { messages: lost.messages, since: lost.since, until: lost.until, text };
        super::push(tx, line, &lost.connector, None, &Body::Notice(notice))?;
    }
    Ok(())
}

fn sentence(line: LineId, lost: &Lost, how: Tell) -> String {
    let stamp = |secs: i64| UnixMillis(secs.saturating_mul(1000)).stamp();
    let (messages, since, until) = (lost.messages, stamp(lost.since), stamp(lost.until));
    match (how.language, how.kept) {
        (Language::En, true) => format!(
            "Messages of customers that could not be delivered to this portal: {messages}, received from {since} to \
             {until} (UTC). They are kept; the administrator of the connector server can bring them back: trunkline \
             dead replay --line {line}"
        ),
        (Language::En, false) => format!(
            "Messages of customers that could not be delivered to this portal: {messages}, received from {since} to \
             {until} (UTC). They were not kept."
        ),
        (Language::Ru, true) => format!(
            "Сообщений клиентов, которые не удалось доставить на этот портал: {messages}; получены с {since} по \
             {until} (UTC). Они сохранены, администратор сервера коннекторов может их вернуть: trunkline dead replay \
             --line {line}"
        ),
        (Language::Ru, false) => format!(
            "Сообщений клиентов, которые не удалось доставить на этот портал: {messages}; получены с {since} по \
             {until} (UTC). Они не сохранены."
        ),
    }
}
