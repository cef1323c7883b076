//! The desk's records and the statements over them; what they mean to a conversation stands in `turns` and `take`.

use rusqlite::{Connection, OptionalExtension, Row, Transaction, named_params};

use super::{Author, Mark, TalkState};
use crate::clock::UnixMillis;
use crate::desk::{Customer, Received, WayBack};
use crate::portals::boxed::php;

type Result<T> = rusqlite::Result<T>;

/// A conversation, as it stands in the file.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "a row, whose columns are independent of each other")]
pub(super) struct TalkRow {
    pub id: i64,
    pub connector: String,
    pub line: String,
    pub chat: String,
    pub title: String,
    pub state: TalkState,
    pub since: UnixMillis,
    pub operator: Option<i64>,
    pub turn: Option<i64>,
    pub turn_until: Option<UnixMillis>,
    pub tried: Vec<i64>,
    pub away_said: bool,
    pub rating_asked: bool,
    pub rating: Option<i64>,
    pub blocked: bool,
    pub group: bool,
}

const TALK: &str = "select id, connector, line, chat, customer, title, state, since, operator, turn, turn_until, tried,
        away_said, rating_asked, rating, blocked
    from talks where id = :id";
const TALK_AT: &str = "select id from talks
    where connector = :connector and line = :line and chat = :chat and coalesce(customer, 0) = coalesce(:customer, 0)";
const NEW_TALK: &str = "insert into talks (connector, line, chat, customer, title, state, since)
    values (:connector, :line, :chat, :customer, :title, 'closed', :now)";
const SAVE_TALK: &str = "update talks set state = :state, since = :since, operator = :operator, turn = :turn,
        turn_until = :turn_until, tried = :tried, away_said = :away_said, rating_asked = :rating_asked,
        rating = :rating, blocked = :blocked
    where id = :id";

impl TalkRow {
    fn read(row: &Row<'_>) -> Result<Self> {
        let tried: String = row.get("tried")?;
        Ok(Self {
            id: row.get("id")?,
            connector: row.get("connector")?,
            line: row.get("line")?,
            chat: row.get("chat")?,
            title: row.get("title")?,
            state: TalkState::of(&row.get::<_, String>("state")?),
            since: UnixMillis(row.get("since")?),
            operator: row.get("operator")?,
            turn: row.get("turn")?,
            turn_until: row.get::<_, Option<i64>>("turn_until")?.map(UnixMillis),
            tried: serde_json::from_str(&tried).unwrap_or_default(),
            away_said: row.get("away_said")?,
            rating_asked: row.get("rating_asked")?,
            rating: row.get("rating")?,
            blocked: row.get("blocked")?,
            group: row.get::<_, Option<i64>>("customer")?.is_none(),
        })
    }

    pub(super) fn find(db: &Connection, id: i64) -> Result<Option<Self>> {
        db.prepare_cached(TALK)?.query_row(named_params! {":id": id}, Self::read).optional()
    }

    /// The conversation of a message.
    pub(super) fn at(
        db: &Connection,
        (connector, line, chat): (&str, &str, &str),
        customer: Option<i64>,
    ) -> Result<Option<Self>> {
        let place = named_params! {":connector": connector, ":line": line, ":chat": chat, ":customer": customer};
        let id = db.prepare_cached(TALK_AT)?.query_row(place, |row| row.get(0)).optional()?;
        id.map_or(Ok(None), |id| Self::find(db, id))
    }

    /// A conversation where there is none, closed.
    pub(super) fn make(
        tx: &Transaction<'_>,
        (connector, line, chat): (&str, &str, &str),
        customer: Option<i64>,
        title: &str,
        now: UnixMillis,
    ) -> Result<Self> {
        let new = named_params! {":connector": connector, ":line": line, ":chat": chat, ":customer": customer,
        ":title": title, ":now": now.0};
        let id = tx.prepare_cached(NEW_TALK)?.insert(new)?;
        Self::find(tx, id)?.ok_or(rusqlite::Error::QueryReturnedNoRows)
    }

    /// Writes what may change.
    pub(super) fn save(&self, tx: &Transaction<'_>) -> Result<()> {
        let tried = serde_json::Value::from(self.tried.clone()).to_string();
        tx.prepare_cached(SAVE_TALK)?.execute(named_params! {
            ":id": self.id, ":state": self.state.word(), ":since": self.since.0, ":operator": self.operator,
            ":turn": self.turn, ":turn_until": self.turn_until.map(|at| at.0), ":tried": tried,
            ":away_said": self.away_said, ":rating_asked": self.rating_asked, ":rating": self.rating,
            ":blocked": self.blocked,
        })?;
        Ok(())
    }
}

const CUSTOMER: &str = "select id, fingerprint from customers where connector = :connector and external = :external";
const NEW_CUSTOMER: &str = "insert into customers (connector, external, name, last_name, url, picture, fingerprint)
    values (:connector, :external, :name, :last_name, :url, :picture, :fingerprint)
    on conflict (connector, external) do update set name = :name, last_name = :last_name, url = :url,
        picture = :picture, fingerprint = :fingerprint
    returning id";
const RENAME: &str = "update talks set title = :title where customer = :customer";

/// The id of a customer, who is made when new and written anew only when something said of him differs
/// (`portal-box.md` §4.5).
pub(super) fn customer(tx: &Transaction<'_>, connector: &str, customer: &Customer) -> Result<i64> {
    let key = named_params! {":connector": connector, ":external": customer.id};
    let known = tx
        .prepare_cached(CUSTOMER)?
        .query_row(key, |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?)))
        .optional()?;
    if let Some((id, fingerprint)) = known
        && fingerprint == customer.fingerprint
    {
        return Ok(id);
    }
    let id = tx.prepare_cached(NEW_CUSTOMER)?.query_row(
        named_params! {":connector": connector, ":external": customer.id, ":name": customer.name,
        ":last_name": customer.last_name, ":url": customer.url, ":picture": customer.picture,
        ":fingerprint": customer.fingerprint},
        |row| row.get(0),
    )?;
    tx.prepare_cached(RENAME)?.execute(named_params! {":title": customer.full_name(), ":customer": id})?;
    Ok(id)
}

/// What is written of a new message.
#[derive(Debug)]
pub(super) struct NewMessage<'a> {
    pub talk: i64,
    pub at: UnixMillis,
    pub author: Author,
    pub operator: Option<i64>,
    pub customer: Option<i64>,
    pub post: bool,
    pub text: &'a str,
}

const NEW_MESSAGE: &str = "insert into messages (talk, at, author, operator, customer, post, text, mark)
    values (:talk, :at, :author, :operator, :customer, :post, :text, :mark)";
const NEWEST: &str = "update talks set newest = :message where id = :talk";

impl NewMessage<'_> {
    /// Writes it and gives its id.
    pub(super) fn insert(&self, tx: &Transaction<'_>) -> Result<i64> {
        let mark = (self.author != Author::Customer).then(|| Mark::Sending.word());
        let id = tx.prepare_cached(NEW_MESSAGE)?.insert(named_params! {
            ":talk": self.talk, ":at": self.at.0, ":author": self.author.word(), ":operator": self.operator,
            ":customer": self.customer, ":post": self.post, ":text": self.text, ":mark": mark,
        })?;
        tx.prepare_cached(NEWEST)?.execute(named_params! {":message": id, ":talk": self.talk})?;
        Ok(id)
    }
}

const RENEWED: &str = "insert into messages (talk, at, author, operator, text, mark)
    select talk, :now, author, operator, text, mark from messages where id = :id";
const MOVE_FILES: &str = "update files set message = :new where message = :id";
const FORGET_MESSAGE: &str = "delete from messages where id = :id";
const NEWEST_OF: &str = "update talks set newest = :new where id = (select talk from messages where id = :new)";

/// Gives one of the desk's own messages another id, as if it was written now.
pub(super) fn renew(tx: &Transaction<'_>, id: i64, now: UnixMillis) -> Result<i64> {
    let new = tx.prepare_cached(RENEWED)?.insert(named_params! {":now": now.0, ":id": id})?;
    tx.prepare_cached(MOVE_FILES)?.execute(named_params! {":new": new, ":id": id})?;
    tx.prepare_cached(FORGET_MESSAGE)?.execute(named_params! {":id": id})?;
    tx.prepare_cached(NEWEST_OF)?.execute(named_params! {":new": new})?;
    Ok(new)
}

const FORGET_EXTERNALS: &str = "delete from externals where message = :message";
const EXTERNAL: &str = "insert into externals (message, place, external) values (:message, :place, :external)";

/// Writes what the channel calls a message, in place of what was known.
pub(super) fn set_externals(tx: &Transaction<'_>, message: i64, externals: &[String]) -> Result<()> {
    tx.prepare_cached(FORGET_EXTERNALS)?.execute(named_params! {":message": message})?;
    let mut insert = tx.prepare_cached(EXTERNAL)?;
    for (place, external) in (0_i64..).zip(externals) {
        insert.execute(named_params! {":message": message, ":place": place, ":external": external})?;
    }
    Ok(())
}

const CUSTOMERS_MESSAGE: &str = "select messages.id from externals join messages on messages.id = externals.message
    where externals.external = :external and messages.talk = :talk and messages.author = 'customer'
    order by messages.id limit 1";

/// The customer's message of that external id in a conversation; none by an empty one, which names no message.
pub(super) fn customers_message(db: &Connection, talk: i64, external: &str) -> Result<Option<i64>> {
    if external.is_empty() {
        return Ok(None);
    }
    let key = named_params! {":talk": talk, ":external": external};
    db.prepare_cached(CUSTOMERS_MESSAGE)?.query_row(key, |row| row.get(0)).optional()
}

const OWN_MESSAGE: &str = "select messages.id from externals join messages on messages.id = externals.message
        join talks on talks.id = messages.talk
    where externals.external = :external and talks.connector = :connector and talks.line = :line
        and talks.chat = :chat and messages.author <> 'customer'
    order by messages.id desc limit 1";

/// The desk's own message of that external id in a chat; in another one that id is another message's.
pub(super) fn own_message(
    db: &Connection,
    (connector, line, chat): (&str, &str, &str),
    external: &str,
) -> Result<Option<i64>> {
    let key = named_params! {":external": external, ":connector": connector, ":line": line, ":chat": chat};
    db.prepare_cached(OWN_MESSAGE)?.query_row(key, |row| row.get(0)).optional()
}

const POST: &str = "select id from messages where talk = :talk and post = 1 order by id limit 1";

/// What a conversation's comments are written under.
pub(super) fn post_of(db: &Connection, talk: i64) -> Result<Option<i64>> {
    db.prepare_cached(POST)?.query_row(named_params! {":talk": talk}, |row| row.get(0)).optional()
}

const NEW_FILE: &str = "insert into files (message, name, url, kind, headers, state)
    values (:message, :name, :url, :kind, :headers, :state)";

/// A file of a message: to be fetched, or a link for ever.
pub(super) fn add_file(
    tx: &Transaction<'_>,
    message: i64,
    (name, url, kind): (&str, &str, Option<&str>),
    headers: &[(String, String)],
    fetched: bool,
) -> Result<()> {
    let headers = if fetched { serde_json::json!(headers).to_string() } else { "[]".to_owned() };
    tx.prepare_cached(NEW_FILE)?.execute(named_params! {
        ":message": message, ":name": name, ":url": url, ":kind": kind, ":headers": headers,
        ":state": if fetched { "waiting" } else { "link" },
    })?;
    Ok(())
}

const KEEP_WAY: &str = "insert into ways (connector, chat, recipient, service_url)
    values (:connector, :chat, :recipient, :service_url)
    on conflict (connector, chat) do update set recipient = :recipient, service_url = :service_url";
const WAY: &str = "select recipient, service_url from ways where connector = :connector and chat = :chat";

/// Keeps the way back to a chat of a virtual connector, where a message came with one.
pub(super) fn keep_way(tx: &Transaction<'_>, connector: &str, received: &Received) -> Result<()> {
    if let Some(back) = &received.way_back {
        tx.prepare_cached(KEEP_WAY)?.execute(named_params! {
            ":connector": connector, ":chat": received.chat, ":recipient": php::encode(&back.recipient),
            ":service_url": back.service_url,
        })?;
    }
    Ok(())
}

/// The way back to a chat.
pub(super) fn way(db: &Connection, connector: &str, chat: &str) -> Result<Option<WayBack>> {
    let key = named_params! {":connector": connector, ":chat": chat};
    let found: Option<(String, String)> =
        db.prepare_cached(WAY)?.query_row(key, |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    Ok(found.and_then(|(recipient, service_url)| {
        let recipient = php::decode(recipient.as_bytes()).ok()?;
        Some(WayBack { recipient, service_url })
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desk::office::tests::plan;

    /// Both run for each new customer.
    #[test]
    fn a_customers_conversations_are_found_by_an_index() {
        assert!(plan(RENAME).contains("SEARCH talks USING INDEX talks_customer"));
        assert!(plan(TALK_AT).contains("SEARCH talks USING COVERING INDEX talks_place"), "{}", plan(TALK_AT));
    }
}
