//! The incoming queue, channel → portal: push, next packet, confirm, and the way into dead letters. Every function that
//! writes takes a [`Tx`] of the store writer and changes the counters with the rows (promise 4).

pub mod blocks;
pub mod body;
pub mod dead;
pub mod lost;

use rusqlite::{Connection, OptionalExtension, Result, Row, named_params, params};
use sha2::{Digest, Sha256};

use crate::clock::UnixMillis;
use crate::fault;
use crate::ids::{LineId, MessageId};
use crate::message::{Body, IncomingKind, Notice};
use crate::store::counters::{Counter, Direction};
use crate::store::{Tx, deliveries};

/// One row, its body still encoded.
#[derive(Clone, Debug)]
pub struct Queued {
    /// Row.
    pub id: MessageId,
    /// Virtual connector id.
    pub connector: String,
    /// `message`, `delivered` … (see [`command`]).
    pub command: String,
    /// External chat id.
    pub chat: String,
    /// External message id.
    pub message: String,
    /// Files the portal will download.
    pub files: usize,
    /// Encoded body.
    pub body: Vec<u8>,
    /// When it was accepted.
    pub accepted_at: UnixMillis,
    /// Posts that were not confirmed.
    pub attempts: u32,
}

impl Queued {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            id: MessageId(row.get("id")?),
            connector: row.get("connector")?,
            command: row.get("command")?,
            chat: row.get("chat")?,
            message: row.get("message")?,
            files: usize::try_from(row.get::<_, i64>("files")?).unwrap_or(0),
            body: row.get("body")?,
            accepted_at: UnixMillis(row.get("accepted_at")?),
            attempts: row.get("attempts")?,
        })
    }
}

/// What of a body stands in columns: rows of one packet have the same command.
pub fn command(body: &Body) -> &'static str {
    match body {
        Body::Message(_) => "message",
        Body::Notice(Notice::Delivered { .. }) => "delivered",
        Body::Notice(Notice::Read { .. }) => "read",
        Body::Notice(Notice::Failed { .. }) => "failed",
        Body::Notice(Notice::Lost { .. }) => "lost",
        Body::Notice(Notice::Deactivated) => "deactivated",
    }
}

/// External chat id and message id of a body, as the portal names them in its confirmation.
fn address(body: &Body) -> (&str, &str) {
    match body {
        Body::Message(message) => (&message.chat.id, &message.message_id),
        Body::Notice(Notice::Delivered { chat, im, .. } | Notice::Failed { chat, im, .. }) => (chat, &im.message_id),
        Body::Notice(Notice::Read { chat, ids, .. }) => (chat, ids.first().map_or("", String::as_str)),
        Body::Notice(Notice::Lost { .. } | Notice::Deactivated) => ("", ""),
    }
}

fn files(body: &Body) -> usize {
    match body {
        Body::Message(message) if message.kind != IncomingKind::Delete => {
            message.files.len() + usize::from(message.user.picture.is_some())
        }
        Body::Message(_) | Body::Notice(_) => 0,
    }
}

/// The row's id is known before the row is there: ids are AUTOINCREMENT, one connection writes, and the row is made next.
const SEEN_IN: &str = "
    insert or ignore into seen (key, at, line_id, external, queue_id)
    values (:key, :now, :line, :external, 1 + coalesce((select seq from sqlite_sequence where name = 'queue'), 0))";
const SEEN_OUT: &str = "
    insert or ignore into seen (key, at, line_id, external, outbox_id)
    values (:key, :now, :line, :external, 1 + coalesce((select seq from sqlite_sequence where name = 'outbox'), 0))";

const FORGET_EVENT: &str = "delete from seen where key = :key";

/// An event as `seen` keeps it.
#[derive(Clone, Debug)]
pub struct Mark {
    direction: Direction,
    line: LineId,
    key: [u8; 16],
    external: i64,
}

impl Mark {
    /// `event` is unique within its line and direction; `external` is what the other side calls the message.
    pub fn new(direction: Direction, line: LineId, event: &str, external: &str) -> Self {
        let mut digest = Sha256::new();
        digest.update(direction.as_str());
        digest.update(line.0.to_le_bytes());
        digest.update(event);
        let mut key = [0; 16];
        key.iter_mut().zip(digest.finalize()).for_each(|(to, from)| *to = from);
        Self { direction, line, key, external: external_mark(external) }
    }

    /// Notes the event; false when it was noted before (promise 2: the unique key decides, never a cache). Call it just
    /// before the event's row is made.
    pub fn is_first(&self, tx: &Tx<'_>) -> Result<bool> {
        let sql = match self.direction {
            Direction::In => SEEN_IN,
            Direction::Out => SEEN_OUT,
        };
        // By their place, here and in `push`: looking up twelve names was 6 % of the writer's work.
        let changed = tx.db().prepare_cached(sql)?.execute((self.key, tx.now.0, self.line.0, self.external))?;
        Ok(changed == 1)
    }

    /// Forgets the event: it came to nothing, and whoever asks for it again means it.
    pub fn forget(&self, tx: &Tx<'_>) -> Result<()> {
        tx.db().prepare_cached(FORGET_EVENT)?.execute(named_params! {":key": self.key}).map(drop)
    }
}

/// A message's external id as `seen` keeps it: eight bytes find a message again, whatever length its channel's ids have.
pub fn external_mark(id: &str) -> i64 {
    let digest = Sha256::digest(id.as_bytes());
    digest.iter().take(8).fold(0, |mark, byte| (mark << 8) | i64::from(*byte))
}

const PUSH: &str = "
    insert into queue (line_id, connector, command, chat, message, files, body, accepted_at)
    values (:line, :connector, :command, :chat, :message, :files, :body, :now)";

/// What became of a push.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pushed {
    /// Stored.
    New(MessageId),
    /// A repeat: it had been stored before, nothing was added.
    Repeat,
}

/// One row that is about to be stored, made where there is time: the writer's thread only binds it.
#[derive(Clone, Debug)]
pub struct Entry {
    line: LineId,
    connector: String,
    mark: Option<Mark>,
    command: &'static str,
    chat: String,
    message: String,
    files: i64,
    body: Vec<u8>,
}

impl Entry {
    /// One body for the portal of `line`. `key` as the connector gave it; `connector` is the virtual id.
    pub fn new(line: LineId, connector: &str, key: Option<&str>, body: Body) -> Self {
        let (chat, message) = address(&body);
        Self {
            line,
            connector: connector.to_owned(),
            mark: key.map(|key| Mark::new(Direction::In, line, key, message)),
            command: command(&body),
            chat: chat.to_owned(),
            message: message.to_owned(),
            files: i64::try_from(files(&body)).unwrap_or(i64::MAX),
            body: body::encode(body),
        }
    }

    /// Accepts it, unless its event was accepted before.
    pub fn push(&self, tx: &mut Tx<'_>) -> Result<Pushed> {
        if let Some(mark) = &self.mark
            && !mark.is_first(tx)?
        {
            tx.deltas.add(Counter::Repeated, &self.connector, Direction::In, "", 1);
            return Ok(Pushed::Repeat);
        }
        tx.db().prepare_cached(PUSH)?.execute(params![
            self.line.0,
            self.connector,
            self.command,
            self.chat,
            self.message,
            self.files,
            self.body,
            tx.now.0,
        ])?;
        let id = MessageId(tx.db().last_insert_rowid());
        fault::point("after insert");
        tx.deltas.add(Counter::Accepted, &self.connector, Direction::In, "", 1);
        Ok(Pushed::New(id))
    }
}

/// Accepts one body for the portal of `line`: an [`Entry`] made and pushed in one go.
pub fn push(tx: &mut Tx<'_>, line: LineId, connector: &str, key: Option<&str>, body: &Body) -> Result<Pushed> {
    Entry::new(line, connector, key, body.clone()).push(tx)
}

/// Oldest first. Index: `queue_line_id_idx`.
const HEAD: &str = "
    select id, connector, command, chat, message, files, body, accepted_at, attempts
      from queue
     where line_id = :line and id > :after
     order by id
     limit :limit";

/// The oldest rows of `line` behind the id `after`.
pub fn head(db: &Connection, line: LineId, after: MessageId, limit: usize) -> Result<Vec<Queued>> {
    db.prepare_cached(HEAD)?
        .query_map(
            named_params! {":line": line.0, ":after": after.0, ":limit": i64::try_from(limit).unwrap_or(i64::MAX)},
            Queued::from_row,
        )?
        .collect()
}

/// Oldest first. Index: `queue_line_id_idx`.
const CHATS: &str = "select id, chat from queue where line_id = :line and id > :after order by id limit :limit";

/// The oldest rows of `line` behind the id `after`, each with its chat.
pub fn chats(db: &Connection, line: LineId, after: MessageId, limit: usize) -> Result<Vec<(MessageId, String)>> {
    db.prepare_cached(CHATS)?
        .query_map(
            named_params! {":line": line.0, ":after": after.0, ":limit": i64::try_from(limit).unwrap_or(i64::MAX)},
            |row| Ok((MessageId(row.get(0)?), row.get(1)?)),
        )?
        .collect()
}

const CONFIRM: &str = "delete from queue where id = :id and line_id = :line returning connector";

/// Removes confirmed rows; returns how many were still there. Rows that another confirmation has removed already are
/// not counted twice.
pub fn confirm(tx: &mut Tx<'_>, line: LineId, ids: &[MessageId]) -> Result<usize> {
    fault::point("after confirmation");
    let db = tx.db();
    let mut confirmed: Vec<(MessageId, String)> = Vec::with_capacity(ids.len());
    let mut delete = db.prepare_cached(CONFIRM)?;
    for id in ids {
        let mut rows = delete.query((id.0, line.0))?;
        while let Some(row) = rows.next()? {
            confirmed.push((*id, row.get(0)?));
        }
    }
    drop(delete);
    deliveries::note(tx, line, Direction::In, confirmed.iter().map(|(id, _)| *id))?;
    let gone = confirmed.len();
    for (_, connector) in confirmed {
        tx.deltas.add(Counter::Confirmed, &connector, Direction::In, "", 1);
    }
    Ok(gone)
}

const FAILED: &str = "update queue set attempts = attempts + 1 where id = :id";

/// Notes an unconfirmed post on its rows: only rows that were posted may be confirmed later.
pub fn note_failure(tx: &Tx<'_>, ids: &[MessageId]) -> Result<()> {
    let mut stmt = tx.db().prepare_cached(FAILED)?;
    for id in ids {
        stmt.execute(named_params! {":id": id.0})?;
    }
    Ok(())
}

/// The inner limit is twice the largest packet: without it every row of a long queue would be looked at for a message
/// that is not among the posted ones.
const POSTED: &str = "
    select id, connector, chat, message
      from (select id, connector, command, chat, message, attempts
              from queue
             where line_id = :line
             order by id
             limit 2000)
     where command = 'message' and attempts > 0
     order by id";

/// Rows of `line` that were posted and failed, named by `(chat, message)`: a late `setStatusDelivered` still removes
/// them (`interface.md` §6). Posted rows stand at the head, so no index over chat and message is needed.
pub fn find_posted(
    db: &Connection,
    line: LineId,
    connector: &str,
    named: &[(String, String)],
) -> Result<Vec<MessageId>> {
    let mut stmt = db.prepare_cached(POSTED)?;
    let mut rows = stmt.query(named_params! {":line": line.0})?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let (of, chat, message): (String, String, String) =
            (row.get("connector")?, row.get("chat")?, row.get("message")?);
        if of.eq_ignore_ascii_case(connector) && named.iter().any(|name| name.0 == chat && name.1 == message) {
            found.push(MessageId(row.get("id")?));
        }
    }
    Ok(found)
}

/// A row with its line, for listings.
#[derive(Clone, Debug)]
pub struct Listed {
    /// The line it waits for.
    pub line: LineId,
    /// The row.
    pub row: Queued,
}

impl Listed {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self { line: LineId(row.get("line_id")?), row: Queued::from_row(row)? })
    }
}

const LIST: &str = "
    select id, line_id, connector, command, chat, message, files, body, accepted_at, attempts
      from queue
     where id > :after
     order by id
     limit :limit";

/// The oldest rows of one line, or of all.
pub fn list(db: &Connection, line: Option<LineId>, limit: usize) -> Result<Vec<Listed>> {
    list_behind(db, line, MessageId(0), limit)
}

/// The same, behind the id `after`.
pub fn list_behind(db: &Connection, line: Option<LineId>, after: MessageId, limit: usize) -> Result<Vec<Listed>> {
    if let Some(line) = line {
        return Ok(head(db, line, after, limit)?.into_iter().map(|row| Listed { line, row }).collect());
    }
    db.prepare_cached(LIST)?
        .query_map(
            named_params! {":after": after.0, ":limit": i64::try_from(limit).unwrap_or(i64::MAX)},
            Listed::from_row,
        )?
        .collect()
}

const BY_ID: &str = "
    select id, line_id, connector, command, chat, message, files, body, accepted_at, attempts
      from queue
     where id = :id";

/// One row.
pub fn by_id(db: &Connection, id: MessageId) -> Result<Option<Listed>> {
    db.prepare_cached(BY_ID)?.query_row(named_params! {":id": id.0}, Listed::from_row).optional()
}

/// Lines that have something to post.
pub fn waiting_lines(db: &Connection) -> Result<Vec<LineId>> {
    const WAITING: &str = "
        select id from lines
         where exists (select 1 from queue where queue.line_id = lines.id)
         order by id limit 1000000";
    db.prepare_cached(WAITING)?.query_map([], |row| Ok(LineId(row.get(0)?)))?.collect()
}

/// Rows that wait for one line's portal.
pub fn count(db: &Connection, line: LineId) -> Result<i64> {
    db.prepare_cached("select count(*) from queue where line_id = :line")?
        .query_row(named_params! {":line": line.0}, |row| row.get(0))
}

/// Since when the row that has waited longest waits: since it was accepted, or came back from the dead letters.
pub fn oldest(db: &Connection) -> Result<Option<UnixMillis>> {
    db.prepare_cached("select coalesce(replayed_at, accepted_at) from queue order by id limit 1")?
        .query_row([], |row| Ok(UnixMillis(row.get(0)?)))
        .optional()
}

const FORGET: &str = "
    delete from seen
     where id <= (select coalesce(max(id), 0)
                    from (select id, at from seen order by id limit :limit)
                   where at < :before)
       and at < :before";

/// Forgets events older than `before`, a limited number at a time; returns how many. Ids grow with time, so the
/// oldest stand first and no index over time is needed.
pub fn forget_seen(tx: &Tx<'_>, before: UnixMillis, limit: usize) -> Result<usize> {
    tx.db().prepare_cached(FORGET)?.execute(named_params! {
        ":before": before.0, ":limit": i64::try_from(limit).unwrap_or(i64::MAX),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::store::Store;

    /// Portals confirm what they like; a million waiting messages must not be read for it on the sender's thread.
    #[test]
    fn a_confirmation_of_the_unknown_costs_the_same_however_long_the_queue() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let mut db = store.writing().unwrap();
        db.execute_batch("pragma foreign_keys = off; pragma synchronous = off").unwrap();
        let steps = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&steps);
        let counted = move || {
            count.fetch_add(1, Ordering::Relaxed);
            false
        };
        let mut cost = |rows: i64| {
            db.progress_handler(0, None::<fn() -> bool>).unwrap();
            let fill = "
                with recursive n(i) as (select 1 union all select i + 1 from n where i < ?1)
                insert into queue (line_id, connector, command, chat, message, files, body, accepted_at, attempts)
                select 1, 'x', 'message', 'c', 'm' || i, 0, x'', 0, i <= 10 from n";
            db.execute("delete from queue", []).unwrap();
            db.execute(fill, [rows]).unwrap();
            db.progress_handler(100, Some(counted.clone())).unwrap();
            steps.store(0, Ordering::Relaxed);
            let named = |id: &str| vec![("c".to_owned(), id.to_owned())];
            assert!(find_posted(&db, LineId(1), "x", &named("unknown")).unwrap().is_empty());
            assert_eq!(find_posted(&db, LineId(1), "X", &named("m7")).unwrap().len(), 1);
            steps.load(Ordering::Relaxed)
        };
        let (short, long) = (cost(3_000), cost(30_000));
        assert!(long <= short + short / 10, "{short} and {long} hundred steps");
    }
}
