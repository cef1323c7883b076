//! Where a message has gone, from what is still known of it: its row while it waits, its dead letters, the attempts of
//! its line, and after its confirmation what `seen` and `deliveries` keep for a week. No content. What is not known any
//! more is left out here and said by whoever shows it.

use std::collections::BTreeSet;

use rusqlite::{Connection, OptionalExtension, Result, Row, named_params};

use crate::clock::UnixMillis;
use crate::ids::{LineId, MessageId};
use crate::queue::dead::{self, DeadLetter};
use crate::queue::external_mark;
use crate::store::attempts::{self, Attempted};
use crate::store::counters::Direction;
use crate::store::deliveries;

/// Times a message may have died and come back before a trace gives up; each was somebody's command.
const LIVES_MAX: usize = 64;

/// A moment as far as it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Exactly.
    At(UnixMillis),
    /// After the first and not after the second.
    Between(UnixMillis, UnixMillis),
}

impl Moment {
    fn earliest(self) -> UnixMillis {
        match self {
            Self::At(at) | Self::Between(at, _) => at,
        }
    }
}

/// How a message's way has ended, or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It waits.
    Waiting {
        /// Posts or sends that failed.
        attempts: u32,
        /// Outgoing: not sent before.
        due: Option<UnixMillis>,
        /// Outgoing: what the last attempt came to.
        error: Option<String>,
    },
    /// It is the last of its dead letters.
    Dead,
    /// It was confirmed, or taken by the channel.
    Confirmed(Moment),
    /// It does not wait, and whether it was confirmed is not known any more.
    Left,
}

/// The life of one message.
#[derive(Clone, Debug)]
pub struct Life {
    /// Which way it goes.
    pub direction: Direction,
    /// The id it was asked for by, or got when it last came back.
    pub id: MessageId,
    /// Its line.
    pub line: Option<LineId>,
    /// Virtual connector id.
    pub connector: Option<String>,
    /// `message`, `delivered` …, outgoing: `send`, `update` …
    pub kind: Option<String>,
    /// External chat id.
    pub chat: Option<String>,
    /// External message id; outgoing: the portal's own.
    pub message: Option<String>,
    /// When it was accepted.
    pub accepted: Option<Moment>,
    /// The failed attempts that are still known, oldest first.
    pub attempts: Vec<Attempted>,
    /// The times it was given up, oldest first; after all but the last one it came back.
    pub deaths: Vec<DeadLetter>,
    /// When it last came back, also when the dead letter it came from is not kept any more.
    pub returned_at: Option<UnixMillis>,
    /// What became of it.
    pub fate: Fate,
}

/// A row of queue or outbox without its body.
struct Waiting {
    line: LineId,
    connector: String,
    kind: String,
    chat: String,
    message: String,
    accepted_at: UnixMillis,
    replayed_at: Option<UnixMillis>,
    fate: Fate,
}

const WAITING_IN: &str = "
    select line_id, connector, command, chat, message, accepted_at, attempts, replayed_at, null as due, null as error
      from queue
     where id = :id";

const WAITING_OUT: &str = "
    select line_id, coalesce(json ->> 'connector', '') as connector, coalesce(json ->> 't', 'out') as command, chat,
           coalesce(json ->> 'im_message', '') as message, accepted_at, attempts, replayed_at, due_at as due,
           last_error as error
      from (select *, case when json_valid(cast(body as text)) then cast(body as text) end as json
              from outbox where id = :id)";

impl Waiting {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        let time = |name: &str| row.get::<_, Option<i64>>(name).map(|at| at.map(UnixMillis));
        Ok(Self {
            line: LineId(row.get("line_id")?),
            connector: row.get("connector")?,
            kind: row.get("command")?,
            chat: row.get("chat")?,
            message: row.get("message")?,
            accepted_at: UnixMillis(row.get("accepted_at")?),
            replayed_at: time("replayed_at")?,
            fate: Fate::Waiting { attempts: row.get("attempts")?, due: time("due")?, error: row.get("error")? },
        })
    }

    fn read(db: &Connection, direction: Direction, id: MessageId) -> Result<Option<Self>> {
        let sql = if direction == Direction::In { WAITING_IN } else { WAITING_OUT };
        db.prepare_cached(sql)?.query_row(named_params! {":id": id.0}, Self::from_row).optional()
    }
}

/// The life of the message that has, or had, this id; `None` when the id was never given.
pub fn life(db: &Connection, direction: Direction, id: MessageId) -> Result<Option<Life>> {
    if !was_given(db, direction, id)? {
        return Ok(None);
    }
    let deaths = deaths(db, direction, id)?;
    let id = deaths.last().and_then(|letter| letter.replayed).map_or(id, |(_, id)| id);
    let waiting = Waiting::read(db, direction, id)?;
    let seen = seen(db, direction, deaths.first().map_or(id, |letter| letter.message_id))?;
    let mut life = Life {
        direction,
        id,
        line: seen.line,
        connector: None,
        kind: None,
        chat: None,
        message: None,
        accepted: seen.accepted,
        attempts: Vec::new(),
        returned_at: deaths.last().and_then(|letter| letter.replayed).map(|(at, _)| at),
        fate: if deaths.last().is_some_and(|letter| letter.replayed.is_none()) { Fate::Dead } else { Fate::Left },
        deaths,
    };
    if let Some(letter) = life.deaths.last().cloned() {
        life.line = Some(letter.line);
        life.accepted = Some(Moment::At(letter.accepted_at));
        (life.connector, life.kind) = (Some(letter.connector), Some(letter.command));
        (life.chat, life.message) = (Some(letter.chat), Some(letter.message));
    }
    if let Some(row) = waiting {
        life.line = Some(row.line);
        life.accepted = Some(Moment::At(row.accepted_at));
        (life.connector, life.kind) = (Some(row.connector), Some(row.kind));
        (life.chat, life.message) = (Some(row.chat), Some(row.message));
        (life.returned_at, life.fate) = (row.replayed_at, row.fate);
    }
    if let Some(line) = life.line {
        for id in life.deaths.iter().map(|letter| letter.message_id).chain([life.id]).collect::<BTreeSet<_>>() {
            life.attempts.extend(attempts::of_message(db, line, direction, id)?);
        }
        if life.fate == Fate::Left {
            life.fate = confirmation(db, &life, line)?;
        }
    }
    Ok(Some(life))
}

/// Ids are never reused, so the highest one that was ever given decides.
fn was_given(db: &Connection, direction: Direction, id: MessageId) -> Result<bool> {
    const HIGHEST: &str = "select seq from sqlite_sequence where name = :table";
    let table = if direction == Direction::In { "queue" } else { "outbox" };
    let highest: Option<i64> =
        db.prepare_cached(HIGHEST)?.query_row(named_params! {":table": table}, |row| row.get(0)).optional()?;
    Ok((1..=highest.unwrap_or(0)).contains(&id.0))
}

/// Every dead letter of the message, from its first life to its last, whichever of them `id` belongs to.
fn deaths(db: &Connection, direction: Direction, id: MessageId) -> Result<Vec<DeadLetter>> {
    const BEFORE: &str = "
        select message_id from dead_letters where replayed_as = :id and direction = :direction limit 1";
    let mut first = id;
    for _ in 0..LIVES_MAX {
        let before = db
            .prepare_cached(BEFORE)?
            .query_row(named_params! {":id": first.0, ":direction": direction.as_str()}, |row| row.get(0))
            .optional()?;
        match before {
            Some(before) => first = MessageId(before),
            None => break,
        }
    }
    let mut deaths: Vec<DeadLetter> = Vec::new();
    let mut next = Some(first);
    while let (Some(id), true) = (next, deaths.len() < LIVES_MAX) {
        let letter = dead::of_message(db, direction, id)?.pop();
        next = letter.as_ref().and_then(|letter| letter.replayed).map(|(_, id)| id);
        deaths.extend(letter);
    }
    Ok(deaths)
}

fn confirmation(db: &Connection, life: &Life, line: LineId) -> Result<Fate> {
    let from = life.returned_at.or(life.accepted.map(Moment::earliest)).unwrap_or(UnixMillis(0));
    Ok(match deliveries::find(db, line, life.direction, life.id, from)? {
        None => Fate::Left,
        Some(minute) if minute.messages == 1 => Fate::Confirmed(Moment::At(minute.last_at)),
        Some(minute) => Fate::Confirmed(Moment::Between(minute.from.max(from), minute.last_at)),
    })
}

/// What `seen` says of a message.
struct Seen {
    line: Option<LineId>,
    accepted: Option<Moment>,
}

const SEEN_BOUNDS: &str = "select min(id), max(id) from seen";
const SEEN_IN: &str = "
    select id, queue_id as row_id, at, line_id from seen where id >= :id and queue_id is not null order by id limit 1";
const SEEN_OUT: &str = "
    select id, outbox_id as row_id, at, line_id from seen where id >= :id and outbox_id is not null order by id limit 1";

/// Finds the event of a row by halving: both ids grow together, so that no index over millions of rows is needed. A
/// message whose event has no id of its own, or a notice, lies between its neighbours.
fn seen(db: &Connection, direction: Direction, wanted: MessageId) -> Result<Seen> {
    let mut probe = db.prepare_cached(if direction == Direction::In { SEEN_IN } else { SEEN_OUT })?;
    let (low, high): (Option<i64>, Option<i64>) =
        db.prepare_cached(SEEN_BOUNDS)?.query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let (Some(mut low), Some(mut high)) = (low, high.map(|high| high + 1)) else {
        return Ok(Seen { line: None, accepted: None });
    };
    let (mut before, mut after) = (None, None);
    while low < high {
        let middle = low + (high - low) / 2;
        let found = probe
            .query_row(named_params! {":id": middle}, |row| {
                let (id, of): (i64, i64) = (row.get("id")?, row.get("row_id")?);
                let line: Option<i64> = row.get("line_id")?;
                Ok((id, MessageId(of), UnixMillis(row.get("at")?), line.map(LineId)))
            })
            .optional()?;
        match found {
            Some((_, of, at, line)) if of == wanted => return Ok(Seen { line, accepted: Some(Moment::At(at)) }),
            Some((id, of, at, _)) if of < wanted => (low, before) = (id + 1, Some(at)),
            Some((_, _, at, _)) => (high, after) = (middle, Some(at)),
            None => high = middle,
        }
    }
    let accepted = before.zip(after).map(|(before, after)| Moment::Between(before, after));
    Ok(Seen { line: None, accepted })
}

const EXTERNAL_IN: &str = "select id from queue where message = :message order by id limit 100";
const EXTERNAL_OUT: &str = "
    select id
      from (select id, case when json_valid(cast(body as text)) then cast(body as text) end as json from outbox)
     where json ->> 'im_message' = :message
     order by id limit 100";
const EXTERNAL_DEAD: &str = "
    select message_id, direction = 'out' from dead_letters where message = :message order by id limit 100";
const EXTERNAL_SEEN: &str = "
    select coalesce(queue_id, outbox_id), queue_id is null
      from seen
     where external = :mark and coalesce(queue_id, outbox_id) is not null
     order by id limit 100";

/// The messages that the other side calls so: one, or several when edits share the id or lines share a channel. Looks
/// through everything; only a person asks.
pub fn by_external(db: &Connection, message: &str) -> Result<Vec<Life>> {
    let way = |out: bool| if out { Direction::Out } else { Direction::In };
    let mut found: BTreeSet<(Direction, MessageId)> = BTreeSet::new();
    for (sql, direction) in [(EXTERNAL_IN, Direction::In), (EXTERNAL_OUT, Direction::Out)] {
        let mut stmt = db.prepare_cached(sql)?;
        let ids = stmt.query_map(named_params! {":message": message}, |row| Ok((direction, MessageId(row.get(0)?))))?;
        found.extend(ids.collect::<Result<Vec<_>>>()?);
    }
    let named = |row: &Row<'_>| Ok((way(row.get(1)?), MessageId(row.get(0)?)));
    let mut stmt = db.prepare_cached(EXTERNAL_DEAD)?;
    found.extend(stmt.query_map(named_params! {":message": message}, named)?.collect::<Result<Vec<_>>>()?);
    let mut stmt = db.prepare_cached(EXTERNAL_SEEN)?;
    let mark = external_mark(message);
    found.extend(stmt.query_map(named_params! {":mark": mark}, named)?.collect::<Result<Vec<_>>>()?);
    // Two ids of one message are two of its lives.
    let mut lives: Vec<Life> = Vec::new();
    for (direction, id) in found {
        if let Some(mut life) = life(db, direction, id)?
            && !lives.iter().any(|known| (known.direction, known.id) == (direction, life.id))
        {
            life.message.get_or_insert_with(|| message.to_owned());
            lives.push(life);
        }
    }
    Ok(lives)
}
