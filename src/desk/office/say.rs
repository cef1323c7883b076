//! What operators write, change and take back; the way it goes out is the desk's client.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Transaction, named_params};

use super::abilities::Abilities;
use super::rows::{self, NewMessage, TalkRow};
use super::turns::{give_to, refuse_others};
use super::{Author, Office, OfficeError, people, talks};
use crate::clock::UnixMillis;
use crate::desk::{Deletion, Edit, File, MessageRef, Outgoing};

/// How long a message can be changed or taken back (`portal-box.md` §7).
const CHANGEABLE: Duration = Duration::from_hours(3 * 24);
/// How long handing a message over may take; after that nobody is at it any more.
const HANDING: Duration = Duration::from_mins(2);
/// Longest message, characters: what a portal's messenger takes.
const TEXT_MAX: usize = 20_000;
/// Longest address of a file.
const URL_MAX: usize = 2000;
/// First version without a blank behind the signature (`portal-box.md` §5.2).
const TIGHT_SIGNATURE_FROM: u32 = 23;

const TEXT: &str = "update messages set text = :text, edited = 1 where id = :id";
const GONE: &str = "update messages set deleted = 1 where id = :id";
const FAILED: &str = "update messages set mark = 'failed', why = :why where id = :id and mark = 'sending'";
const SENDING: &str =
    "update messages set mark = 'sending', why = null where id = :id and mark = 'failed' returning spent";
const HANDED: &str = "update messages set handed = 1 where id = :id";
const UNSENT: &str = "select id, at from messages where mark = 'sending' and handed = 0 order by id limit 1";
const OWN: &str = "select talk, at, author, operator, text, deleted from messages where id = :id";

/// A file that an operator gives as a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileGiven {
    /// Name to show.
    pub name: String,
    /// Public address, http or https.
    pub url: String,
}

struct Own {
    talk: TalkRow,
    at: UnixMillis,
    author: Author,
    operator: Option<i64>,
    text: String,
    deleted: bool,
}

impl Office {
    /// An operator writes, maybe with a file as a link, and has the conversation from then on. Gives `im.message_id`; when
    /// the server can't be reached, the message stays on the desk, marked as failed, and the error says why.
    pub fn say(&self, operator: i64, talk: i64, text: &str, file: Option<&FileGiven>) -> Result<i64, OfficeError> {
        let text = sound(text)?;
        if text.is_empty() && file.is_none() {
            return Err(OfficeError::Wrong("there is nothing to send".to_owned()));
        }
        if let Some(file) = file {
            let scheme = file.url.starts_with("https://") || file.url.starts_with("http://");
            if !scheme || file.url.len() > URL_MAX || file.url.contains(char::is_whitespace) {
                let words = "a file is given as an address that begins with https:// or http://";
                return Err(OfficeError::Wrong(words.to_owned()));
            }
        }
        let now = self.clock.now();
        let id = self.store.write(|tx| {
            people::must_exist(tx, operator)?;
            let mut talk = TalkRow::find(tx, talk)?.ok_or(OfficeError::NotThere("there is no such conversation"))?;
            refuse_others(tx, &talk, operator)?;
            give_to(&mut talk, operator, now);
            talk.save(tx)?;
            let (author, operator, customer) = (Author::Operator, Some(operator), None);
            let new = NewMessage { talk: talk.id, at: now, author, operator, customer, post: false, text };
            let id = new.insert(tx)?;
            if let Some(file) = file {
                rows::add_file(tx, id, (&file.name, &file.url, None), &[], false)?;
            }
            Ok::<_, OfficeError>(id)
        })?;
        self.send(id)?;
        Ok(id)
    }

    /// Sends a message once more that has failed. Gives its id: another one, at the end of the conversation, where the
    /// server had it and gave up, for a server takes each `im.message_id` once; the same one where it could not be handed
    /// over, so that a server that has it all the same knows a repeat.
    pub fn send_again(&self, id: i64) -> Result<i64, OfficeError> {
        let now = self.clock.now();
        let id = self.store.write(|tx| {
            let key = named_params! {":id": id};
            let spent = tx.prepare_cached(SENDING)?.query_row(key, |row| row.get::<_, bool>("spent")).optional()?;
            match spent {
                None => Err(OfficeError::NotThere("there is no such message that has failed")),
                Some(false) => Ok(id),
                Some(true) => Ok(rows::renew(tx, id, now)?),
            }
        })?;
        self.send(id)?;
        Ok(id)
    }

    /// Hands a stored message to the server; one that can't be handed over is marked as failed.
    pub(super) fn send(&self, id: i64) -> Result<(), OfficeError> {
        let (own, message) = self.store.read(|db| {
            let own = own(db, id)?.ok_or(rusqlite::Error::QueryReturnedNoRows)?;
            let name = own.operator.map(|operator| people::name(db, operator)).transpose()?.flatten();
            let files = talks::files_of(db, id)?.into_iter();
            let files =
                files.map(|file| File { kind: file.kind(), name: file.name, link: file.url, size: 0 }).collect();
            let message = Outgoing {
                at: place(&own.talk, id),
                user_id: own.operator.unwrap_or(0),
                text: self.signed(&own, name.as_deref()),
                files,
                way_back: rows::way(db, &own.talk.connector, &own.talk.chat)?,
            };
            Ok((own, message))
        })?;
        let sent = self.client.output(&own.talk.connector, &own.talk.line).send_message(&[message]);
        let Err(error) = sent else {
            let handed = |tx: &Transaction<'_>| tx.prepare_cached(HANDED)?.execute(named_params! {":id": id}).map(drop);
            return Ok(self.store.write(handed)?);
        };
        // The older client reports success whatever happens; the desk is honest.
        let failed = self
            .store
            .write(|tx| tx.prepare_cached(FAILED)?.execute(named_params! {":why": error.to_string(), ":id": id}))?;
        // With another mark by now, the server has it and only its answer was lost.
        if failed > 0 { Err(error.into()) } else { Ok(()) }
    }

    /// Sends what was written and not handed over, because the desk ended in between; the server knows a repeat by its id.
    /// Gives how long it is to the next one, if one is left that may still be on its way.
    pub(super) fn send_left(&self) -> Result<Option<Duration>, OfficeError> {
        let now = self.clock.now();
        let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, UnixMillis(row.get(1)?)));
        let oldest = self.store.read(|db| db.prepare_cached(UNSENT)?.query_row([], read).optional())?;
        let Some((id, at)) = oldest else { return Ok(None) };
        let due = at.plus(HANDING);
        if due <= now {
            match self.send(id) {
                // A failure of the call stands on the message.
                Ok(()) | Err(OfficeError::Call(_)) => (),
                Err(error) => return Err(error),
            }
        }
        Ok(Some(due.since(now)))
    }

    /// The text as it goes out: the operator's name stands before it where the channel has that.
    fn signed(&self, own: &Own, name: Option<&str>) -> String {
        let Some(name) = name.filter(|_| Abilities::of(&own.talk.connector).signature) else {
            return own.text.clone();
        };
        let blank = if self.client.identity().major() < TIGHT_SIGNATURE_FROM { " " } else { "" };
        match own.text.as_str() {
            "" => format!("[b]{name}:[/b]"),
            text => format!("[b]{name}:[/b][br]{blank}{text}"),
        }
    }

    /// What can be done at the channel of a message.
    pub fn abilities(&self, id: i64) -> Result<Abilities, OfficeError> {
        let own = self.store.read(|db| own(db, id))?.ok_or(OfficeError::NotThere("there is no such message"))?;
        Ok(Abilities::of(&own.talk.connector))
    }

    /// An operator edits a message that has been delivered; whether the channel takes that is for the caller to ask.
    pub fn edit(&self, id: i64, text: &str) -> Result<(), OfficeError> {
        let text = sound(text)?;
        if text.is_empty() {
            return Err(OfficeError::Wrong("an edited message needs a text; delete it instead".to_owned()));
        }
        let (mut own, external, way_back, name) = self.changeable(id)?;
        text.clone_into(&mut own.text);
        let edit = Edit { at: place(&own.talk, id), external, text: self.signed(&own, name.as_deref()), way_back };
        self.client.output(&own.talk.connector, &own.talk.line).update_message(&[edit])?;
        self.store.write(|tx| {
            tx.prepare_cached(TEXT)?.execute(named_params! {":text": text, ":id": id})?;
            Ok(())
        })
    }

    /// An operator takes back a message that has been delivered.
    pub fn delete(&self, id: i64) -> Result<(), OfficeError> {
        let (own, external, way_back, _) = self.changeable(id)?;
        let deletion = Deletion { at: place(&own.talk, id), external, way_back };
        self.client.output(&own.talk.connector, &own.talk.line).delete_message(&[deletion])?;
        self.store.write(|tx| {
            tx.prepare_cached(GONE)?.execute(named_params! {":id": id})?;
            Ok(())
        })
    }

    #[expect(clippy::type_complexity, reason = "four values that both callers take apart at once")]
    fn changeable(
        &self,
        id: i64,
    ) -> Result<(Own, Vec<String>, Option<crate::desk::WayBack>, Option<String>), OfficeError> {
        let now = self.clock.now();
        let found = self.store.read(|db| {
            let Some(own) = own(db, id)? else { return Ok(None) };
            let external = talks::externals_of(db, id)?;
            let way = rows::way(db, &own.talk.connector, &own.talk.chat)?;
            let name = own.operator.map(|operator| people::name(db, operator)).transpose()?.flatten();
            Ok(Some((own, external, way, name)))
        })?;
        let found =
            found.filter(|(own, external, ..)| own.author == Author::Operator && !own.deleted && !external.is_empty());
        let found = found.ok_or(OfficeError::NotThere(
            "there is no such message of an operator, or it has not been delivered yet",
        ))?;
        if now.since(found.0.at) > CHANGEABLE {
            return Err(OfficeError::NotAllowed("a message can be changed for three days".to_owned()));
        }
        Ok(found)
    }
}

fn own(db: &Connection, id: i64) -> rusqlite::Result<Option<Own>> {
    let read = |row: &rusqlite::Row<'_>| {
        let author: String = row.get("author")?;
        Ok((
            row.get::<_, i64>("talk")?,
            UnixMillis(row.get("at")?),
            Author::of(&author),
            row.get("operator")?,
            row.get("text")?,
            row.get("deleted")?,
        ))
    };
    let found = db.prepare_cached(OWN)?.query_row(named_params! {":id": id}, read).optional()?;
    let Some((talk, at, author, operator, text, deleted)) = found else { return Ok(None) };
    let talk = TalkRow::find(db, talk)?.ok_or(rusqlite::Error::QueryReturnedNoRows)?;
    Ok(Some(Own { talk, at, author, operator, text, deleted }))
}

fn place(talk: &TalkRow, message_id: i64) -> MessageRef {
    MessageRef { chat_id: talk.id, message_id, chat: talk.chat.clone() }
}

fn sound(text: &str) -> Result<&str, OfficeError> {
    let text = text.trim();
    if text.chars().count() > TEXT_MAX {
        return Err(OfficeError::Wrong(format!("a message has at most {TEXT_MAX} characters")));
    }
    Ok(text)
}
