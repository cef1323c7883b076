//! What the server says: customers' messages and the fate of operators', stored first, then confirmed, then told on.

use rusqlite::{Transaction, named_params};
use serde_json::{Value as Json, json};

use super::abilities::Abilities;
use super::events::{Event, EventKind};
use super::rows::{self, NewMessage, TalkRow};
use super::turns::{arrived, write_text};
use super::{Author, Office, OfficeError, settings};
use crate::clock::UnixMillis;
use crate::desk::values::{number, plain};
use crate::desk::{Delivered, Failed, Kind, Received, codes};
use crate::portals::boxed::portal_side::Push;
use crate::portals::boxed::push::FAILED_ID;
use crate::text;

/// First version that carries characters instead of short names (`portal-box.md` §6).
const CHARACTERS_FROM: u32 = 20;
/// First version whose lines refuse once their bot is connected elsewhere (`portal-box.md` §8).
const STRICT_FROM: u32 = 20;
/// First version that confirms by its reply alone, and that minds customers' edits in groups.
const REPLY_FROM: u32 = 21;

/// Whether a packet is confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Confirm {
    /// As the portal's version does it: `setStatusDelivered` up to 20, the reply alone from then on.
    AsVersion,
    /// It is kept and not confirmed, as by a portal that is broken; for tests.
    Never,
}

/// What becomes of a message that the server sends again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeats {
    /// It is confirmed and not shown again.
    Absorbed,
    /// It shows twice, as it does at a portal.
    Shown,
}

const EDIT: &str = "update messages set text = :text, edited = 1 where id = :id";
const DELETE: &str = "update messages set deleted = 1 where id = :id";
const FORGET_FILES: &str = "delete from files where message = :id";
const OWN: &str = "select talks.connector, talks.line, talks.id from messages join talks on talks.id = messages.talk
    where messages.id = :id and messages.author <> 'customer'";
// What a message has reached it keeps: statuses come twice, late and out of order.
const DELIVERED: &str =
    "update messages set mark = 'delivered', why = null where id = :id and mark in ('sending', 'failed')";
const IN_TALK: &str = "select 1 from messages where id = :id and talk = :talk and author <> 'customer'";
const FAILED: &str = "update messages set mark = 'failed', why = :why, spent = 1
    where id = :id and mark in ('sending', 'failed')";
const READ: &str = "update messages set mark = 'read'
    where talk = :talk and (id < :id and mark = 'delivered' or id = :id)";
const UNDELETE: &str = "update messages set deleted = 0, why = :why where id = :id";
const BLOCK: &str =
    "update talks set blocked = :blocked where connector = :connector and line = :line and chat = :chat";

/// What a transaction leaves to be done once it is committed.
#[derive(Default)]
struct After {
    events: Vec<Event>,
    /// The desk's own messages to send.
    texts: Vec<i64>,
}

impl Office {
    /// `receivingMessage`: keeps the packet, then confirms it. An error is the code of a refusal.
    pub fn take(&self, push: &Push, confirm: Confirm) -> Result<Json, &'static str> {
        let (now, major) = (self.clock.now(), self.client.identity().major());
        let stored = self.store.write(|tx| {
            if major >= STRICT_FROM && settings::line(tx, &push.line)?.attention_since.is_some() {
                return Ok(None);
            }
            settings::make(tx, &push.line)?;
            let mut after = After::default();
            for received in &Received::all(push) {
                self.take_one(tx, push, received, now, &mut after)?;
            }
            self.keep_events(tx, &after.events)?;
            Ok::<_, rusqlite::Error>(Some(after))
        });
        let after = match stored {
            Ok(Some(after)) => after,
            Ok(None) => return Err(codes::NOT_ACTIVE_LINE),
            Err(error) => {
                log::error!(error:% = error; "customers' messages can't be stored");
                return Err(codes::NOT_STORED);
            }
        };
        if confirm == Confirm::AsVersion && major < REPLY_FROM {
            self.confirm(push);
        }
        for message in after.texts {
            // It is marked as failed; the customer's message is safe.
            let _ = self.send(message);
        }
        self.publish(&after.events);
        self.errands.ring();
        if confirm == Confirm::Never { Err(codes::NOT_CONFIRMED) } else { Ok(json!([])) }
    }

    fn take_one(
        &self,
        tx: &Transaction<'_>,
        push: &Push,
        received: &Received,
        now: UnixMillis,
        after: &mut After,
    ) -> rusqlite::Result<()> {
        let major = self.client.identity().major();
        let customer = rows::customer(tx, &push.connector, &received.user)?;
        let Some(mut talk) = talk_of(tx, push, received, customer, now)? else { return Ok(()) };
        rows::keep_way(tx, &push.connector, received)?;
        let text = if major < CHARACTERS_FROM {
            text::smileys(&text::from_shortnames(&received.text))
        } else {
            received.text.clone()
        };
        let known = match received.kind {
            Kind::Message | Kind::Update | Kind::Delete => rows::customers_message(tx, talk.id, &received.message)?,
            Kind::Post | Kind::PostUpdate => rows::post_of(tx, talk.id)?,
        };
        let new = NewMessage {
            talk: talk.id,
            at: now,
            author: Author::Customer,
            operator: None,
            customer: Some(customer),
            post: received.kind == Kind::Post,
            text: &text,
        };
        let message = match received.kind {
            Kind::Message if known.is_some() && self.repeats == Repeats::Absorbed => return Ok(()),
            Kind::Message => {
                let id = new.insert(tx)?;
                rows::set_externals(tx, id, std::slice::from_ref(&received.message))?;
                self.add_files(tx, id, received)?;
                if let Some(failed) = failed_by(received) {
                    // It stands in the chat as at a portal, but no customer wrote it: nothing begins with it.
                    note_failure(tx, talk.id, failed, &text)?;
                    let (kind, data) = (EventKind::Failure, json!({"why": text, "deleting": false}));
                    after.events.extend(self.about(tx, kind, failed, data)?);
                    return Ok(());
                }
                for text in arrived(tx, &mut talk, &text, now)? {
                    after.texts.extend(write_text(tx, &talk, &text, now)?);
                }
                Some(id)
            }
            Kind::Post if known.is_none() => {
                let id = new.insert(tx)?;
                self.add_files(tx, id, received)?;
                Some(id)
            }
            Kind::Post => known,
            // Up to version 20 a customer's edits and deletions in a group are overlooked.
            Kind::Update | Kind::Delete if major < REPLY_FROM && Abilities::of(&push.connector).group => return Ok(()),
            Kind::Update | Kind::PostUpdate => {
                known.map(|id| self.edit_of_customer(tx, id, &text, received)).transpose()?;
                known
            }
            Kind::Delete => {
                known.map(|id| tx.prepare_cached(DELETE)?.execute(named_params! {":id": id})).transpose()?;
                known
            }
        };
        after.events.push(Event {
            kind: event_of(received.kind),
            at: now,
            connector: push.connector.clone(),
            line: push.line.clone(),
            talk: Some(talk.id),
            message,
            data: told(received, &text),
        });
        Ok(())
    }

    /// A message has another text from now on, and other files where some come with it.
    fn edit_of_customer(&self, tx: &Transaction<'_>, id: i64, text: &str, received: &Received) -> rusqlite::Result<()> {
        tx.prepare_cached(EDIT)?.execute(named_params! {":text": text, ":id": id})?;
        if !received.files.is_empty() {
            tx.prepare_cached(FORGET_FILES)?.execute(named_params! {":id": id})?;
            self.add_files(tx, id, received)?;
        }
        Ok(())
    }

    fn add_files(&self, tx: &Transaction<'_>, message: i64, received: &Received) -> rusqlite::Result<()> {
        for file in &received.files {
            let name = file.safe_name();
            let what = (name.as_str(), file.url.as_str(), file.kind.as_deref());
            rows::add_file(tx, message, what, &file.headers, self.fetch.is_some())?;
        }
        Ok(())
    }

    /// `setStatusDelivered` for the whole packet, on a connection of its own.
    fn confirm(&self, push: &Push) {
        // A connector that a portal of 17 does not know of is never confirmed (`portal-box-observed.md` §6).
        if !self.knows_connectors() {
            return;
        }
        let output = self.client.output(&push.connector, &push.line);
        if let Err(error) = output.set_status_delivered(push.data.items()) {
            log::warn!(error:% = error; "the desk's confirmation did not leave");
        }
    }

    /// `receivingStatusDelivery`: the channel has operators' messages.
    pub fn delivered(&self, push: &Push) -> Result<(), OfficeError> {
        self.judge(|tx, events| {
            for delivered in Delivered::all(push) {
                let id = delivered.at.message_id;
                let data = json!({"external": delivered.external});
                let Some(event) = self.about(tx, EventKind::StatusDelivery, id, data)? else { continue };
                tx.prepare_cached(DELIVERED)?.execute(named_params! {":id": id})?;
                if !delivered.external.is_empty() {
                    rows::set_externals(tx, id, &delivered.external)?;
                }
                events.push(event);
            }
            Ok(())
        })
    }

    /// `receivingStatusReading`: the customer has read up to these messages.
    pub fn read_by_customer(&self, push: &Push) -> Result<(), OfficeError> {
        self.judge(|tx, events| {
            for item in push.data.items() {
                let inner = |outer: &str, inner: &str| item.get(outer).and_then(|value| value.get(inner));
                // Channels that name the message by their own id leave ours out.
                let external = inner("message", "id").and_then(|ids| ids.items().find_map(plain));
                let chat = inner("chat", "id").and_then(plain).unwrap_or_default();
                let place = (push.connector.as_str(), push.line.as_str(), chat.as_str());
                let id = match (inner("im", "message_id").and_then(number), external) {
                    (Some(id), _) => Some(id),
                    (None, Some(external)) => rows::own_message(tx, place, &external)?,
                    (None, None) => None,
                };
                let Some(id) = id else { continue };
                let Some(event) = self.about(tx, EventKind::StatusReading, id, json!({}))? else { continue };
                tx.prepare_cached(READ)?.execute(named_params! {":talk": event.talk, ":id": id})?;
                events.push(event);
            }
            Ok(())
        })
    }

    /// `receivingError`: operators' messages, or their deletions, that never reached the channel.
    pub fn failed(&self, push: &Push) -> Result<(), OfficeError> {
        self.judge(|tx, events| {
            for failed in Failed::all(push) {
                let (id, why) = (failed.message_id, failed.why);
                let data = json!({"why": why, "deleting": failed.deleting});
                let Some(event) = self.about(tx, EventKind::Failure, id, data)? else { continue };
                if failed.deleting {
                    tx.prepare_cached(UNDELETE)?.execute(named_params! {":why": why, ":id": id})?;
                } else {
                    tx.prepare_cached(FAILED)?.execute(named_params! {":why": why, ":id": id})?;
                }
                events.push(event);
            }
            Ok(())
        })
    }

    /// `receivingStatusBlock`: customers who have blocked the bot, or let it in again.
    pub fn blocked(&self, push: &Push) -> Result<(), OfficeError> {
        self.judge(|tx, _| {
            for item in push.data.items() {
                let inner = |outer: &str, inner: &str| item.get(outer)?.get(inner).and_then(plain);
                if let Some(chat) = inner("chat", "id") {
                    let blocked = inner("message", "type").as_deref() == Some("message_deny");
                    let key = named_params! {":connector": push.connector, ":line": push.line, ":chat": chat,
                    ":blocked": blocked};
                    tx.prepare_cached(BLOCK)?.execute(key)?;
                }
            }
            Ok(())
        })
    }

    /// `deactivateConnector`: the line's bot is connected elsewhere now.
    pub fn deactivated(&self, push: &Push) -> Result<(), OfficeError> {
        let now = self.clock.now();
        self.judge(|tx, events| {
            settings::set_attention(tx, &push.line, now)?;
            let data = json!({"connected": false, "error": true});
            events.push(self.connection(EventKind::UpdateStatus, &push.connector, &push.line, data));
            Ok(())
        })
    }

    /// An event about a connection.
    pub(super) fn connection(&self, kind: EventKind, connector: &str, line: &str, data: Json) -> Event {
        let (connector, line) = (connector.to_owned(), line.to_owned());
        Event { kind, at: self.clock.now(), connector, line, talk: None, message: None, data }
    }

    /// An event about an operator's or the desk's own message; nothing when there is no such.
    fn about(
        &self,
        tx: &Transaction<'_>,
        kind: EventKind,
        message: i64,
        data: Json,
    ) -> rusqlite::Result<Option<Event>> {
        use rusqlite::OptionalExtension;
        let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
        let found = tx.prepare_cached(OWN)?.query_row(named_params! {":id": message}, read).optional()?;
        Ok(found.map(|(connector, line, talk)| Event {
            kind,
            at: self.clock.now(),
            connector,
            line,
            talk: Some(talk),
            message: Some(message),
            data,
        }))
    }

    /// Stores what a push says and tells it on.
    fn judge(
        &self,
        change: impl FnOnce(&Transaction<'_>, &mut Vec<Event>) -> rusqlite::Result<()>,
    ) -> Result<(), OfficeError> {
        let events = self.store.write(|tx| {
            let mut events = Vec::new();
            change(tx, &mut events)?;
            self.keep_events(tx, &events)?;
            Ok::<_, rusqlite::Error>(events)
        })?;
        self.publish(&events);
        Ok(())
    }
}

/// The conversation of what came, made for a message or a post; nothing where an edit or a deletion is of something that
/// the desk never had.
fn talk_of(
    tx: &Transaction<'_>,
    push: &Push,
    received: &Received,
    customer: i64,
    now: UnixMillis,
) -> rusqlite::Result<Option<TalkRow>> {
    let place = (push.connector.as_str(), push.line.as_str(), received.chat.as_str());
    let owner = Some(customer).filter(|_| !Abilities::of(&push.connector).group);
    if let Some(talk) = TalkRow::at(tx, place, owner)? {
        return Ok(Some(talk));
    }
    let begins = matches!(received.kind, Kind::Message | Kind::Post);
    begins.then(|| TalkRow::make(tx, place, owner, &received.user.full_name(), now)).transpose()
}

fn event_of(kind: Kind) -> EventKind {
    match kind {
        Kind::Message => EventKind::Message,
        Kind::Update => EventKind::MessageUpdate,
        Kind::Delete => EventKind::MessageDelete,
        Kind::Post => EventKind::Post,
        Kind::PostUpdate => EventKind::PostUpdate,
    }
}

/// The desk's own message whose failure the server tells in the chat, as portals below 23 can be told no other way.
fn failed_by(received: &Received) -> Option<i64> {
    received.message.strip_prefix(FAILED_ID)?.parse().ok()
}

/// Such a failure is of the message itself while that is on its way, else of its deletion.
fn note_failure(tx: &Transaction<'_>, talk: i64, id: i64, why: &str) -> rusqlite::Result<()> {
    if !tx.prepare_cached(IN_TALK)?.exists(named_params! {":id": id, ":talk": talk})? {
        return Ok(());
    }
    if tx.prepare_cached(FAILED)?.execute(named_params! {":why": why, ":id": id})? == 0 {
        tx.prepare_cached(UNDELETE)?.execute(named_params! {":why": why, ":id": id})?;
    }
    Ok(())
}

/// What subscribers learn of a customer's message.
fn told(received: &Received, text: &str) -> Json {
    let files: Vec<_> = received.files.iter().map(|file| json!({"name": file.name, "url": file.url})).collect();
    json!({"user": {"id": received.user.id, "name": received.user.full_name()}, "chat": received.chat,
        "external": received.message, "text": text, "files": files})
}
