//! Outgoing messages as people look at them: one, those of a line, all. Nothing here decides anything.

use rusqlite::{Connection, OptionalExtension, Result, Row, named_params};

use crate::clock::UnixMillis;
use crate::ids::{LineId, MessageId};

/// One row, its body only looked into for what it names.
#[derive(Clone, Debug)]
pub struct Listed {
    /// Row.
    pub id: MessageId,
    /// The line whose channel it waits for.
    pub line: LineId,
    /// Virtual connector id; empty when the body can't be read.
    pub connector: String,
    /// `send`, `update`, `delete`, `typing`; `out` when the body can't be read.
    pub kind: String,
    /// Chat as the portal knows it.
    pub chat: String,
    /// The portal's own message id.
    pub message: String,
    /// When it was accepted.
    pub accepted_at: UnixMillis,
    /// Tries that failed.
    pub attempts: u32,
    /// Not before.
    pub due_at: UnixMillis,
    /// What the last try came to.
    pub last_error: Option<String>,
    /// Size of the stored body.
    pub bytes: usize,
}

impl Listed {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            id: MessageId(row.get("id")?),
            line: LineId(row.get("line_id")?),
            connector: row.get("connector")?,
            kind: row.get("kind")?,
            chat: row.get("chat")?,
            message: row.get("message")?,
            accepted_at: UnixMillis(row.get("accepted_at")?),
            attempts: row.get("attempts")?,
            due_at: UnixMillis(row.get("due_at")?),
            last_error: row.get("last_error")?,
            bytes: usize::try_from(row.get::<_, i64>("bytes")?).unwrap_or(0),
        })
    }
}

macro_rules! listed {
    ($rest:literal) => {
        concat!(
            "select id, line_id, coalesce(json ->> 'connector', '') as connector, coalesce(json ->> 't', 'out') as kind,",
            " chat, coalesce(json ->> 'im_message', '') as message, accepted_at, attempts, due_at, last_error, bytes",
            " from (select *, length(body) as bytes,",
            " case when json_valid(cast(body as text)) then cast(body as text) end as json from outbox where ",
            $rest,
            ")"
        )
    };
}

/// The oldest rows of one line, or of all, behind the id `after`.
pub fn list(db: &Connection, line: Option<LineId>, after: MessageId, limit: usize) -> Result<Vec<Listed>> {
    const LIST: &str = listed!("id > :after and (:line is null or line_id = :line) order by id limit :limit");
    db.prepare_cached(LIST)?
        .query_map(
            named_params! {
                ":line": line.map(|line| line.0), ":after": after.0, ":limit": i64::try_from(limit).unwrap_or(i64::MAX),
            },
            Listed::from_row,
        )?
        .collect()
}

/// One row.
pub fn by_id(db: &Connection, id: MessageId) -> Result<Option<Listed>> {
    db.prepare_cached(listed!("id = :id"))?.query_row(named_params! {":id": id.0}, Listed::from_row).optional()
}

/// One row's body.
pub fn stored(db: &Connection, id: MessageId) -> Result<Option<Vec<u8>>> {
    db.prepare_cached("select body from outbox where id = :id")?
        .query_row(named_params! {":id": id.0}, |row| row.get(0))
        .optional()
}
