//! Conversations and messages as they are shown: to the page, to programs, to tests.

use rusqlite::{Connection, OptionalExtension, Row, named_params};

use super::abilities::Abilities;
use super::rows::TalkRow;
use super::{Office, OfficeError};
use crate::clock::UnixMillis;

/// Who wrote a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Author {
    /// A customer.
    Customer,
    /// An operator.
    Operator,
    /// The desk by itself.
    System,
}

impl Author {
    /// The word in the file and on the page.
    pub fn word(self) -> &'static str {
        match self {
            Self::Customer => "customer",
            Self::Operator => "operator",
            Self::System => "system",
        }
    }

    pub(super) fn of(word: &str) -> Self {
        match word {
            "operator" => Self::Operator,
            "system" => Self::System,
            _ => Self::Customer,
        }
    }
}

/// How far a message of the desk has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// Handed to the server.
    Sending,
    /// The channel has it.
    Delivered,
    /// The customer has read it.
    Read,
    /// It never will be delivered.
    Failed,
}

impl Mark {
    /// The word in the file and on the page.
    pub fn word(self) -> &'static str {
        match self {
            Self::Sending => "sending",
            Self::Delivered => "delivered",
            Self::Read => "read",
            Self::Failed => "failed",
        }
    }

    fn of(word: &str) -> Self {
        match word {
            "delivered" => Self::Delivered,
            "read" => Self::Read,
            "failed" => Self::Failed,
            _ => Self::Sending,
        }
    }
}

/// Where a conversation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TalkState {
    /// For an operator to take it.
    Waiting,
    /// An operator has it.
    Taken,
    /// It has ended; the customer's next message begins it anew.
    Closed,
}

impl TalkState {
    /// The word in the file and on the page.
    pub fn word(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Taken => "taken",
            Self::Closed => "closed",
        }
    }

    pub(super) fn of(word: &str) -> Self {
        match word {
            "waiting" => Self::Waiting,
            "taken" => Self::Taken,
            _ => Self::Closed,
        }
    }
}

/// What has become of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileState {
    /// It is a link and stays one.
    Link,
    /// It is to be fetched.
    Waiting,
    /// The desk has it; [`Office::file`] gives it.
    Here,
    /// It could not be fetched; the link is left.
    Failed,
}

impl FileState {
    /// The word in the file and on the page.
    pub fn word(self) -> &'static str {
        match self {
            Self::Link => "link",
            Self::Waiting => "waiting",
            Self::Here => "here",
            Self::Failed => "failed",
        }
    }

    fn of(word: &str) -> Self {
        match word {
            "waiting" => Self::Waiting,
            "here" => Self::Here,
            "failed" => Self::Failed,
            _ => Self::Link,
        }
    }
}

/// A file of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredFile {
    /// The desk's id.
    pub id: i64,
    /// Name, safe to save under.
    pub name: String,
    /// Where it came from.
    pub url: String,
    /// MIME type, where somebody said it.
    pub mime: Option<String>,
    /// What has become of it.
    pub state: FileState,
    /// Bytes, of one that is here.
    pub size: Option<i64>,
}

impl StoredFile {
    /// `image` or `file`, as the wire has it: by the type, else by the name.
    pub fn kind(&self) -> &'static str {
        let named = || {
            let end = self.name.rsplit_once('.').map(|(_, end)| end.to_ascii_lowercase());
            matches!(end.as_deref(), Some("png" | "jpg" | "jpeg" | "gif" | "webp"))
        };
        let image = self.mime.as_deref().map_or_else(named, |mime| mime.starts_with("image/"));
        if image { "image" } else { "file" }
    }
}

/// A message on the desk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// `im.message_id`.
    pub id: i64,
    /// When it came to the desk.
    pub at: UnixMillis,
    /// Who wrote it.
    pub author: Author,
    /// That one's name; empty for the desk itself.
    pub who: String,
    /// BB-code as it stands now.
    pub text: String,
    /// Files.
    pub files: Vec<StoredFile>,
    /// External ids.
    pub external: Vec<String>,
    /// How far it has come; `None` for a customer's.
    pub mark: Option<Mark>,
    /// Why it, or its deletion, failed.
    pub why: Option<String>,
    /// It was edited.
    pub edited: bool,
    /// It was deleted.
    pub deleted: bool,
}

/// A conversation with its messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Talk {
    /// `im.chat_id`.
    pub id: i64,
    /// Virtual connector id.
    pub connector: String,
    /// Line.
    pub line: String,
    /// External chat id.
    pub chat: String,
    /// External id of the customer, in a group of the one who wrote last; the portal's key of a user is
    /// `connector|user`.
    pub user: String,
    /// Name of the customer or of who began the group.
    pub name: String,
    /// Where it stands.
    pub state: TalkState,
    /// Who has it, or had it last.
    pub operator: Option<i64>,
    /// The customer's last rating, 1 or 0.
    pub rating: Option<i64>,
    /// Messages in order.
    pub entries: Vec<Entry>,
}

/// A conversation in the list of one operator.
#[derive(Clone, Debug)]
pub struct Summary {
    /// `im.chat_id`.
    pub id: i64,
    /// Virtual connector id.
    pub connector: String,
    /// Line.
    pub line: String,
    /// Name of the customer or of who began the group.
    pub name: String,
    /// Several customers write in it.
    pub group: bool,
    /// Where it stands, and since when.
    pub state: TalkState,
    /// Since when.
    pub since: UnixMillis,
    /// Who has it, or had it last.
    pub operator: Option<i64>,
    /// While it waits: whose turn it is, and until when.
    pub turn: Option<(i64, UnixMillis)>,
    /// Customers' messages that the operator has not read.
    pub unread: u32,
    /// The customer's last rating.
    pub rating: Option<i64>,
    /// The customer has blocked the bot.
    pub blocked: bool,
    /// What can be done at its channel.
    pub abilities: Abilities,
    /// The newest message.
    pub last: Option<Entry>,
}

const ENTRIES: &str = "select messages.id, messages.at, messages.author, messages.text, messages.mark, messages.why,
        messages.edited, messages.deleted, operators.name as operator_name,
        trim(customers.name || ' ' || customers.last_name) as customer_name
    from messages left join operators on operators.id = messages.operator
        left join customers on customers.id = messages.customer
    where messages.talk = :talk and messages.id < :before order by messages.id desc limit :limit";
const EXTERNALS: &str = "select external from externals where message = :message order by place";
const FILES: &str = "select id, name, url, kind, state, size from files where message = :message order by id";
const FILE: &str = "select id, name, url, kind, state, size, content from files where id = :id and state = 'here'";
const TALKS: &str = "select id from talks order by id";
// Who waits or is held is left out last: nobody would look for them.
const LISTED: &str = "select listed.id,
        (select count(*) from messages where messages.talk = listed.id and messages.author = 'customer'
            and messages.id > coalesce(seen.message, 0)) as unread
    from (select id, newest from talks order by state = 'closed', newest desc limit :limit) as listed
        left join seen on seen.talk = listed.id and seen.operator = :operator
    order by listed.newest desc";
const USER: &str = "select customers.external from messages join customers on customers.id = messages.customer
    where messages.talk = :talk order by messages.id desc limit 1";
const SEEN: &str = "insert into seen (operator, talk, message)
    select :operator, id, newest from talks where id = :talk
    on conflict (operator, talk) do update set message = excluded.message";
const SEEN_ALREADY: &str = "select 1 from seen join talks on talks.id = seen.talk
    where seen.operator = :operator and seen.talk = :talk and seen.message >= talks.newest";

fn entry(db: &Connection, row: &Row<'_>) -> rusqlite::Result<Entry> {
    let id = row.get("id")?;
    let author = Author::of(&row.get::<_, String>("author")?);
    let name = if author == Author::Customer { "customer_name" } else { "operator_name" };
    Ok(Entry {
        id,
        at: UnixMillis(row.get("at")?),
        author,
        who: row.get::<_, Option<String>>(name)?.unwrap_or_default(),
        text: row.get("text")?,
        files: files_of(db, id)?,
        external: externals_of(db, id)?,
        mark: row.get::<_, Option<String>>("mark")?.map(|word| Mark::of(&word)),
        why: row.get("why")?,
        edited: row.get("edited")?,
        deleted: row.get("deleted")?,
    })
}

/// At most `limit` messages of a conversation below the id `before`, in order.
fn entries(db: &Connection, talk: i64, before: i64, limit: u32) -> rusqlite::Result<Vec<Entry>> {
    let place = named_params! {":talk": talk, ":before": before, ":limit": limit};
    let mut entries: Vec<_> =
        db.prepare_cached(ENTRIES)?.query_map(place, |row| entry(db, row))?.collect::<rusqlite::Result<_>>()?;
    entries.reverse();
    Ok(entries)
}

/// What the channel calls a message.
pub(super) fn externals_of(db: &Connection, message: i64) -> rusqlite::Result<Vec<String>> {
    db.prepare_cached(EXTERNALS)?.query_map(named_params! {":message": message}, |row| row.get(0))?.collect()
}

fn stored_file(row: &Row<'_>) -> rusqlite::Result<StoredFile> {
    Ok(StoredFile {
        id: row.get("id")?,
        name: row.get("name")?,
        url: row.get("url")?,
        mime: row.get("kind")?,
        state: FileState::of(&row.get::<_, String>("state")?),
        size: row.get("size")?,
    })
}

/// The files of a message.
pub(super) fn files_of(db: &Connection, message: i64) -> rusqlite::Result<Vec<StoredFile>> {
    db.prepare_cached(FILES)?.query_map(named_params! {":message": message}, stored_file)?.collect()
}

impl Office {
    /// Every conversation with every message, oldest first: for tests and small programs.
    pub fn talks(&self) -> Result<Vec<Talk>, OfficeError> {
        Ok(self.store.read(|db| {
            let ids: Vec<i64> =
                db.prepare_cached(TALKS)?.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
            let whole = |id| {
                let talk = TalkRow::find(db, id)?.ok_or(rusqlite::Error::QueryReturnedNoRows)?;
                let user =
                    db.prepare_cached(USER)?.query_row(named_params! {":talk": id}, |row| row.get(0)).optional()?;
                Ok(Talk {
                    id,
                    connector: talk.connector,
                    line: talk.line,
                    chat: talk.chat,
                    user: user.unwrap_or_default(),
                    name: talk.title,
                    state: talk.state,
                    operator: talk.operator,
                    rating: talk.rating,
                    entries: entries(db, id, i64::MAX, u32::MAX)?,
                })
            };
            ids.into_iter().map(whole).collect()
        })?)
    }

    /// At most `limit` conversations as that operator's list has them, newest first; closed ones give way to others.
    pub fn summaries(&self, operator: i64, limit: u32) -> Result<Vec<Summary>, OfficeError> {
        Ok(self.store.read(|db| {
            let key = named_params! {":operator": operator, ":limit": limit};
            let read = |row: &Row<'_>| summary(db, row.get("id")?, row.get("unread")?);
            db.prepare_cached(LISTED)?.query_map(key, read)?.collect()
        })?)
    }

    /// At most `limit` messages of a conversation below the id `before`, in order, and whether older ones are left.
    pub fn entries(&self, talk: i64, before: i64, limit: u32) -> Result<(Vec<Entry>, bool), OfficeError> {
        let mut entries = self.store.read(|db| entries(db, talk, before, limit.saturating_add(1)))?;
        let older = entries.len() > limit as usize;
        if older {
            entries.remove(0);
        }
        Ok((entries, older))
    }

    /// An operator has read a conversation to its end.
    pub fn read_all(&self, operator: i64, talk: i64) -> Result<(), OfficeError> {
        let key = named_params! {":operator": operator, ":talk": talk};
        // Looked at first, so that a page that says it again wakes nobody.
        if self.store.read(|db| db.prepare_cached(SEEN_ALREADY)?.exists(key))? {
            return Ok(());
        }
        self.store.write(|tx| Ok(tx.prepare_cached(SEEN)?.execute(key).map(drop)?))
    }

    /// A file that is here, with its content.
    pub fn file(&self, id: i64) -> Result<(StoredFile, Vec<u8>), OfficeError> {
        let read = |row: &Row<'_>| Ok((stored_file(row)?, row.get("content")?));
        let found =
            self.store.read(|db| db.prepare_cached(FILE)?.query_row(named_params! {":id": id}, read).optional())?;
        found.ok_or(OfficeError::NotThere("there is no such file"))
    }
}

fn summary(db: &Connection, id: i64, unread: u32) -> rusqlite::Result<Summary> {
    let talk = TalkRow::find(db, id)?.ok_or(rusqlite::Error::QueryReturnedNoRows)?;
    let last = entries(db, id, i64::MAX, 1)?.pop();
    Ok(Summary {
        id,
        abilities: Abilities::of(&talk.connector),
        connector: talk.connector,
        line: talk.line,
        name: talk.title,
        group: talk.group,
        state: talk.state,
        since: talk.since,
        operator: talk.operator,
        turn: talk.turn.zip(talk.turn_until),
        unread,
        rating: talk.rating,
        blocked: talk.blocked,
        last,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desk::office::tests::plan;

    #[test]
    fn the_list_is_read_in_the_order_of_its_index() {
        let plan = plan(LISTED);
        assert!(plan.contains("INDEX talks_listed"), "{plan}");
        assert!(plan.contains("SEARCH messages USING INDEX messages_talk (talk=? AND id>?)"), "{plan}");
    }
}
