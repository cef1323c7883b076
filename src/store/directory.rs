//! Portals, lines, settings, chats, aliases, the journal and the shelf: rows as records and back.

use rusqlite::{Connection, OptionalExtension, Result, Row, named_params};

use super::Tx;
use crate::clock::UnixMillis;
use crate::ids::{LineId, PortalId};
use crate::message::ChatRecord;
use crate::records::{Line, LineState, Portal, Settings};
use crate::secret::Secret;

fn portal(row: &Row<'_>) -> Result<Portal> {
    Ok(Portal {
        id: PortalId(row.get("id")?),
        name: row.get("name")?,
        protocol: row.get("protocol")?,
        url: row.get("url")?,
        licence: row.get("licence")?,
        key: Secret::new(row.get::<_, String>("key")?),
        version: row.get("version")?,
    })
}

fn line(row: &Row<'_>) -> Result<Line> {
    let state: String = row.get("state")?;
    Ok(Line {
        id: LineId(row.get("id")?),
        portal: PortalId(row.get("portal_id")?),
        connector: row.get("connector")?,
        line: row.get("line")?,
        hash: row.get("hash")?,
        state: match state.as_str() {
            "broken" => LineState::Broken,
            "taken_over" => LineState::TakenOver,
            _ => LineState::Active,
        },
        attempts: row.get("attempts")?,
        first_attempt_at: row.get::<_, Option<i64>>("first_attempt_at")?.map(UnixMillis),
        blocked_until: row.get::<_, Option<i64>>("blocked_until")?.map(UnixMillis),
        last_error: row.get("last_error")?,
    })
}

/// As it is stored and shown.
pub fn state_name(state: LineState) -> &'static str {
    match state {
        LineState::Active => "active",
        LineState::Broken => "broken",
        LineState::TakenOver => "taken_over",
    }
}

macro_rules! portals {
    ($where:literal) => {
        concat!("select id, name, protocol, url, licence, key, version from portals where ", $where)
    };
}

macro_rules! lines {
    ($where:literal) => {
        concat!(
            "select id, portal_id, connector, line, hash, state, attempts, first_attempt_at, blocked_until, last_error ",
            "from lines where ",
            $where
        )
    };
}

/// A portal by row id.
pub fn portal_by_id(db: &Connection, id: PortalId) -> Result<Option<Portal>> {
    db.prepare_cached(portals!("id = :id"))?.query_row(named_params! {":id": id.0}, portal).optional()
}

/// A portal by the administrator's name.
pub fn portal_by_name(db: &Connection, name: &str) -> Result<Option<Portal>> {
    db.prepare_cached(portals!("name = :name"))?.query_row(named_params! {":name": name}, portal).optional()
}

/// A box by `BX_LICENCE`.
pub fn portal_by_licence(db: &Connection, licence: &str) -> Result<Option<Portal>> {
    if licence.is_empty() {
        return Ok(None);
    }
    db.prepare_cached(portals!("licence = :licence and licence <> ''"))?
        .query_row(named_params! {":licence": licence}, portal)
        .optional()
}

/// Every portal, by name.
pub fn portals(db: &Connection) -> Result<Vec<Portal>> {
    db.prepare_cached(portals!("true order by name limit 100000"))?.query_map([], portal)?.collect()
}

const ADD_PORTAL: &str = "
    insert into portals (name, protocol, url, licence, key, created_at)
    values (:name, :protocol, :url, :licence, :key, :now)";

/// A portal to be registered.
#[derive(Clone, Debug)]
pub struct NewPortal {
    /// Unique name.
    pub name: String,
    /// Protocol.
    pub protocol: &'static str,
    /// Base address without a trailing slash.
    pub url: String,
    /// Box: `BX_LICENCE`.
    pub licence: String,
    /// Box: `K`.
    pub key: Secret,
}

/// Registers a portal.
pub fn add_portal(db: &Connection, new: &NewPortal, now: UnixMillis) -> Result<PortalId> {
    db.prepare_cached(ADD_PORTAL)?.execute(named_params! {
        ":name": new.name, ":protocol": new.protocol, ":url": new.url,
        ":licence": new.licence, ":key": new.key.reveal(), ":now": now.0,
    })?;
    Ok(PortalId(db.last_insert_rowid()))
}

/// Notes a portal's new address.
pub fn move_portal(db: &Connection, id: PortalId, url: &str) -> Result<()> {
    db.prepare_cached("update portals set url = :url where id = :id")?
        .execute(named_params! {":url": url, ":id": id.0})
        .map(drop)
}

/// Notes a portal's new key.
pub fn set_portal_key(db: &Connection, id: PortalId, licence: &str, key: &Secret) -> Result<()> {
    db.prepare_cached("update portals set licence = :licence, key = :key where id = :id")?
        .execute(named_params! {":licence": licence, ":key": key.reveal(), ":id": id.0})
        .map(drop)
}

/// Removes a portal that has no lines left.
pub fn remove_portal(db: &Connection, id: PortalId) -> Result<()> {
    db.prepare_cached("delete from portals where id = :id")?.execute(named_params! {":id": id.0}).map(drop)
}

/// Notes a signed request: module version and time. The time is kept coarse (a minute), so that a busy portal costs no
/// write a request.
pub fn portal_seen(tx: &Tx<'_>, id: PortalId, version: &str) -> Result<()> {
    const VERSION: &str = "update portals set version = :version where id = :id and version is not :version";
    const SEEN: &str = "update portals set seen_at = :now where id = :id and coalesce(seen_at, 0) < :now - 60000";
    if tx.db().prepare_cached(VERSION)?.execute(named_params! {":version": version, ":id": id.0})? > 0 {
        tx.lines_change();
    }
    tx.db().prepare_cached(SEEN)?.execute(named_params! {":now": tx.now.0, ":id": id.0}).map(drop)
}

/// A line by row id.
pub fn line_by_id(db: &Connection, id: LineId) -> Result<Option<Line>> {
    db.prepare_cached(lines!("id = :id"))?.query_row(named_params! {":id": id.0}, line).optional()
}

/// The line whose webhook address carries `hash`.
pub fn line_by_hash(db: &Connection, hash: &str) -> Result<Option<Line>> {
    db.prepare_cached(lines!("hash = :hash"))?.query_row(named_params! {":hash": hash}, line).optional()
}

/// The line that a portal calls `line` of the real connector `connector`.
pub fn line_of(db: &Connection, portal: PortalId, connector: &str, number: &str) -> Result<Option<Line>> {
    db.prepare_cached(lines!("portal_id = :portal and connector = :connector and line = :line"))?
        .query_row(named_params! {":portal": portal.0, ":connector": connector, ":line": number}, line)
        .optional()
}

/// The live line that holds an external entity.
pub fn line_by_entity(db: &Connection, connector: &str, entity: &str) -> Result<Option<Line>> {
    db.prepare_cached(lines!("connector = :connector and entity = :entity"))?
        .query_row(named_params! {":connector": connector, ":entity": entity}, line)
        .optional()
}

/// Every line, in the order they were made.
pub fn lines(db: &Connection) -> Result<Vec<Line>> {
    db.prepare_cached(lines!("true order by id limit 1000000"))?.query_map([], line)?.collect()
}

/// The lines of one portal.
pub fn lines_of_portal(db: &Connection, portal: PortalId) -> Result<Vec<Line>> {
    db.prepare_cached(lines!("portal_id = :portal order by id limit 1000000"))?
        .query_map(named_params! {":portal": portal.0}, line)?
        .collect()
}

const ENSURE_LINE: &str = "
    insert into lines (portal_id, connector, line, hash, created_at)
    values (:portal, :connector, :line, :hash, :now)
    on conflict (portal_id, connector, line) do update
       set hash = coalesce(hash, excluded.hash),
           state = case when hash is null then 'active' else state end";

/// Finds the line or makes it with `hash`; a line that was taken over gets the new hash and is live again. Its hash
/// never changes otherwise (`interface.md` §6).
pub fn ensure_line(tx: &Tx<'_>, portal: PortalId, connector: &str, number: &str, hash: &str) -> Result<Line> {
    if let Some(line) = line_of(tx.db(), portal, connector, number)?
        && line.hash.is_some()
    {
        return Ok(line);
    }
    tx.db().prepare_cached(ENSURE_LINE)?.execute(named_params! {
        ":portal": portal.0, ":connector": connector, ":line": number, ":hash": hash, ":now": tx.now.0,
    })?;
    line_of(tx.db(), portal, connector, number)?.ok_or(rusqlite::Error::QueryReturnedNoRows)
}

/// The settings of a line.
pub fn settings(db: &Connection, line: LineId) -> Result<Settings> {
    let mut stmt = db.prepare_cached("select key, value from settings where line_id = :line limit 1000")?;
    let pairs = stmt
        .query_map(named_params! {":line": line.0}, |row| Ok((row.get("key")?, row.get("value")?)))?
        .collect::<Result<Vec<(String, String)>>>()?;
    Ok(Settings::from_pairs(pairs))
}

/// Replaces the settings of a line, names its entity, and lifts "broken": new settings deserve a new try.
pub fn save_settings(tx: &Tx<'_>, line: LineId, settings: &Settings, entity: Option<&str>) -> Result<()> {
    const PUT: &str = "insert into settings (line_id, key, value) values (:line, :key, :value)";
    tx.lines_change();
    let db = tx.db();
    db.prepare_cached("delete from settings where line_id = :line")?.execute(named_params! {":line": line.0})?;
    let mut put = db.prepare_cached(PUT)?;
    for key in settings.keys() {
        put.execute(named_params! {":line": line.0, ":key": key, ":value": settings.get(key).unwrap_or("")})?;
    }
    db.prepare_cached("update lines set entity = :entity, state = 'active' where id = :line")?
        .execute(named_params! {":entity": entity, ":line": line.0})
        .map(drop)
}

/// Marks a line broken, with the channel's complaint; false when it was not in use, so that each breakdown is told once.
pub fn break_line(tx: &Tx<'_>, line: LineId, error: &str) -> Result<bool> {
    let broken = tx
        .db()
        .prepare_cached("update lines set state = 'broken', last_error = :error where id = :line and state = 'active'")?
        .execute(named_params! {":error": error, ":line": line.0})?;
    Ok(broken == 1)
}

/// A broken line is whole again.
pub fn mend(tx: &Tx<'_>, line: LineId) -> Result<()> {
    tx.db()
        .prepare_cached("update lines set state = 'active', last_error = null where id = :line and state = 'broken'")?
        .execute(named_params! {":line": line.0})
        .map(drop)
}

/// Stores the block of a line (`None`s: no block).
pub fn set_block(tx: &Tx<'_>, line: &Line) -> Result<()> {
    const SET: &str = "
        update lines
           set attempts = :attempts, first_attempt_at = :first, blocked_until = :until, last_error = :error
         where id = :line";
    tx.db()
        .prepare_cached(SET)?
        .execute(named_params! {
            ":attempts": line.attempts,
            ":first": line.first_attempt_at.map(|at| at.0),
            ":until": line.blocked_until.map(|at| at.0),
            ":error": line.last_error,
            ":line": line.id.0,
        })
        .map(drop)
}

/// Takes what makes a line live: hash, entity, settings, chats. The row stays for the notices that still leave.
pub fn retire_line(tx: &Tx<'_>, line: LineId) -> Result<()> {
    tx.lines_change();
    let db = tx.db();
    for sql in [
        "delete from settings where line_id = :line",
        "delete from chats where line_id = :line",
        "delete from aliases where line_id = :line",
        "update lines set hash = null, entity = null, state = 'taken_over' where id = :line",
    ] {
        db.prepare_cached(sql)?.execute(named_params! {":line": line.0})?;
    }
    Ok(())
}

/// Deletes a line whose queue and outbox are empty.
pub fn remove_line(tx: &Tx<'_>, line: LineId) -> Result<()> {
    tx.lines_change();
    tx.db().prepare_cached("delete from lines where id = :line")?.execute(named_params! {":line": line.0}).map(drop)
}

/// Notes that a webhook of this line proved itself.
pub fn line_proved(tx: &Tx<'_>, line: LineId) -> Result<()> {
    const PROVED: &str = "update lines set proved_at = :now where id = :line and coalesce(proved_at, 0) < :now - 60000";
    tx.db().prepare_cached(PROVED)?.execute(named_params! {":now": tx.now.0, ":line": line.0}).map(drop)
}

/// Notes that the portal said OK but sent no `setStatusDelivered`.
pub fn status_missing(tx: &Tx<'_>, line: LineId) -> Result<()> {
    tx.db()
        .prepare_cached("update lines set status_missing_at = :now where id = :line")?
        .execute(named_params! {":now": tx.now.0, ":line": line.0})
        .map(drop)
}

/// What an event of the channel knows is laid over what is there; a customer's message replaces it.
const PUT_CHAT: &str = "
    insert into chats (line_id, chat, connector, data, closed, updated_at)
    values (:line, :chat, :connector, :data, :closed, :now)
    on conflict do update
       set connector = excluded.connector, closed = excluded.closed, updated_at = excluded.updated_at,
           data = case when :whole or not json_valid(data) then excluded.data else json_patch(data, excluded.data) end
     where closed is not excluded.closed or connector is not excluded.connector
        or data is not case when :whole or not json_valid(data) then excluded.data else json_patch(data, excluded.data) end";

/// Remembers what a later send into a chat needs; unchanged data costs no write.
pub fn put_chat(tx: &Tx<'_>, line: LineId, chat: &ChatRecord) -> Result<()> {
    // By their place, because each message of a customer comes by here.
    let row = (line.0, &chat.chat, &chat.connector, &chat.data, chat.closed, tx.now.0, chat.by_customer);
    tx.db().prepare_cached(PUT_CHAT)?.execute(row).map(drop)
}

/// The chat of a line.
pub fn chat(db: &Connection, line: LineId, chat: &str) -> Result<Option<ChatRecord>> {
    db.prepare_cached("select chat, connector, data, closed from chats where line_id = :line and chat = :chat")?
        .query_row(named_params! {":line": line.0, ":chat": chat}, |row| {
            Ok(ChatRecord {
                chat: row.get("chat")?,
                connector: row.get("connector")?,
                data: row.get("data")?,
                closed: row.get("closed")?,
                by_customer: true,
            })
        })
        .optional()
}

/// Remembers that `short` stands for `long`.
pub fn put_alias(tx: &Tx<'_>, line: LineId, short: &str, long: &str) -> Result<()> {
    const PUT: &str = "insert or ignore into aliases (line_id, short, long, at) values (:line, :short, :long, :now)";
    tx.db()
        .prepare_cached(PUT)?
        .execute(named_params! {":line": line.0, ":short": short, ":long": long, ":now": tx.now.0})
        .map(drop)
}

/// The long id behind a short one.
pub fn alias(db: &Connection, line: LineId, short: &str) -> Result<Option<String>> {
    db.prepare_cached("select long from aliases where line_id = :line and short = :short")?
        .query_row(named_params! {":line": line.0, ":short": short}, |row| row.get("long"))
        .optional()
}

/// Writes down who changed what.
pub fn journal(tx: &Tx<'_>, who: &str, what: &str, line: Option<LineId>, detail: &str) -> Result<()> {
    const PUT: &str = "insert into journal (at, who, what, line_id, detail) values (:now, :who, :what, :line, :detail)";
    tx.db()
        .prepare_cached(PUT)?
        .execute(named_params! {
            ":now": tx.now.0, ":who": who, ":what": what, ":line": line.map(|line| line.0), ":detail": detail,
        })
        .map(drop)
}

/// A text from the shelf.
pub fn shelf_get(db: &Connection, name: &str) -> Result<Option<String>> {
    db.prepare_cached("select body from shelf where name = :name")?
        .query_row(named_params! {":name": name}, |row| row.get("body"))
        .optional()
}

/// Puts a text on the shelf.
pub fn shelf_put(tx: &Tx<'_>, name: &str, body: &str) -> Result<()> {
    const PUT: &str = "
        insert into shelf (name, body, at) values (:name, :body, :now)
        on conflict do update set body = excluded.body, at = excluded.at";
    tx.db().prepare_cached(PUT)?.execute(named_params! {":name": name, ":body": body, ":now": tx.now.0}).map(drop)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::clock::SystemClock;
    use crate::store::{Store, Writer};

    /// A membership event names no customer and must not take him from the record, but its address for answers is the
    /// newest that proved itself.
    #[test]
    fn an_event_of_the_channel_changes_only_what_it_names() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let (writer, thread) = Writer::start(store.writing().unwrap(), Arc::new(SystemClock::new()), || ()).unwrap();
        let record = |data: &str, by_customer: bool, closed: bool| ChatRecord {
            chat: "c".into(),
            connector: "x".into(),
            data: data.into(),
            closed,
            by_customer,
        };
        let changes = |tx: &Tx<'_>| tx.db().query_row("select total_changes()", [], |row| row.get::<_, i64>(0));
        let id = writer
            .write(Duration::from_secs(5), move |tx| {
                let new = NewPortal {
                    name: "p".into(),
                    protocol: "box",
                    url: "https://p.test".into(),
                    licence: "l".into(),
                    key: Secret::new("k"),
                };
                let portal = add_portal(tx.db(), &new, tx.now)?;
                let line = ensure_line(tx, portal, "x", "1", "h")?.id;
                put_chat(tx, line, &record(r#"{"url":"first"}"#, false, false))?;
                put_chat(tx, line, &record(r#"{"url":"old","user":"анна"}"#, true, false))?;
                put_chat(tx, line, &record(r#"{"url":"new"}"#, false, true))?;
                let before = changes(tx)?;
                put_chat(tx, line, &record(r#"{"url":"new"}"#, false, true))?;
                assert_eq!(changes(tx)?, before, "unchanged data costs no write");
                Ok(line)
            })
            .unwrap();
        thread.stop();
        let found = chat(&store.reading().unwrap(), id, "c").unwrap().unwrap();
        assert_eq!((found.data.as_str(), found.closed), (r#"{"url":"new","user":"анна"}"#, true));
    }
}
