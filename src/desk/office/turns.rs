//! Open Lines: a conversation waits until an operator takes it, is offered to one after another or to all, passes on when
//! nobody answers, ends, and begins anew with the customer's next message.

use std::time::Duration;

use rusqlite::{Connection, Transaction, named_params};

use super::rows::{NewMessage, TalkRow};
use super::settings::{self, LineSettings};
use super::{Author, Office, OfficeError, TalkState};
use crate::clock::UnixMillis;
use crate::desk::distribution::{self, Candidate, Turn};

type Result<T> = rusqlite::Result<T>;

const CANDIDATES: &str = "select id, last_turn,
        (select count(*) from talks where talks.operator = operators.id and talks.state = 'taken') as load
    from operators where here = 1 order by id";
const HAD_A_TURN: &str = "update operators set last_turn = :now where id = :id";
const OVERDUE: &str = "select id from talks where state = 'waiting' and turn_until <= :now order by turn_until";
const NEXT_DUE: &str = "select min(turn_until) from talks where state = 'waiting'";
const WAITING: &str = "select id from talks where state = 'waiting' and line = :line order by since";
const FORGET_ROUNDS: &str = "update talks set tried = '[]' where state = 'waiting' and line = :line";
const WAITING_FOR: &str = "select id from talks where state = 'waiting' and turn = :operator order by since";
const NOBODYS: &str = "select id from talks where state = 'waiting' and turn is null order by since";

fn candidates(db: &Connection) -> Result<Vec<Candidate>> {
    let read = |row: &rusqlite::Row<'_>| {
        Ok(Candidate {
            id: row.get("id")?,
            load: row.get("load")?,
            last_offer: row.get::<_, Option<i64>>("last_turn")?.map(UnixMillis),
        })
    };
    db.prepare_cached(CANDIDATES)?.query_map([], read)?.collect()
}

/// Offers a conversation that waits to whoever is next.
fn give_turn(tx: &Transaction<'_>, talk: &mut TalkRow, settings: &LineSettings, now: UnixMillis) -> Result<()> {
    let next = distribution::next(settings.distribution, &candidates(tx)?, &talk.tried);
    if next.anew {
        talk.tried.clear();
    }
    (talk.turn, talk.turn_until) = match next.turn {
        Turn::To(operator) => {
            talk.tried.push(operator);
            tx.prepare_cached(HAD_A_TURN)?.execute(named_params! {":now": now.0, ":id": operator})?;
            (Some(operator), Some(now.plus(Duration::from_secs(settings.offer_secs.into()))))
        }
        Turn::Everybody | Turn::Nobody => (None, None),
    };
    Ok(())
}

fn ids(db: &Connection, sql: &str, params: &[(&str, &dyn rusqlite::ToSql)]) -> Result<Vec<i64>> {
    db.prepare_cached(sql)?.query_map(params, |row| row.get(0))?.collect()
}

/// Gives each of these conversations its next turn.
fn turn_over(tx: &Transaction<'_>, talks: Vec<i64>, now: UnixMillis) -> Result<()> {
    for id in talks {
        if let Some(mut talk) = TalkRow::find(tx, id)? {
            let settings = settings::line(tx, &talk.line)?.settings;
            give_turn(tx, &mut talk, &settings, now)?;
            talk.save(tx)?;
        }
    }
    Ok(())
}

/// Begins the round of every conversation that waits in a line.
pub(super) fn offer_anew(tx: &Transaction<'_>, line: &str, now: UnixMillis) -> Result<()> {
    tx.prepare_cached(FORGET_ROUNDS)?.execute(named_params! {":line": line})?;
    turn_over(tx, ids(tx, WAITING, named_params! {":line": line})?, now)
}

/// An operator has come or gone: who has gone loses turns, who has come gets what nobody was there for.
pub(super) fn came_or_went(tx: &Transaction<'_>, operator: i64, here: bool, now: UnixMillis) -> Result<()> {
    let talks =
        if here { ids(tx, NOBODYS, &[])? } else { ids(tx, WAITING_FOR, named_params! {":operator": operator})? };
    turn_over(tx, talks, now)
}

/// A rating as a customer gives one: `1`, `0`, maybe with words after it (`portal-box.md` §4.5).
fn rating(text: &str) -> Option<i64> {
    let word = text.trim();
    [("1", 1), ("0", 0)].into_iter().find_map(|(digit, rating)| {
        let rest = word.strip_prefix(digit)?;
        (rest.is_empty() || rest.starts_with(' ')).then_some(rating)
    })
}

/// Moves a conversation on by a customer's new message. Gives what the desk says by itself.
pub(super) fn arrived(tx: &Transaction<'_>, talk: &mut TalkRow, text: &str, now: UnixMillis) -> Result<Vec<String>> {
    let settings = settings::line(tx, &talk.line)?.settings;
    let mut texts = Vec::new();
    talk.blocked = false;
    if talk.state == TalkState::Closed {
        if let Some(rating) = rating(text).filter(|_| talk.rating_asked) {
            (talk.rating, talk.rating_asked) = (Some(rating), false);
            talk.save(tx)?;
            return Ok(texts);
        }
        wait(talk, now);
        (talk.rating, talk.rating_asked, talk.away_said) = (None, false, false);
        texts.push(settings.welcome.clone());
        give_turn(tx, talk, &settings, now)?;
    }
    let somebody = settings.is_open(now) && !candidates(tx)?.is_empty();
    if talk.state == TalkState::Waiting && !somebody && !talk.away_said && !settings.away.is_empty() {
        talk.away_said = true;
        texts.push(settings.away);
    }
    talk.save(tx)?;
    texts.retain(|text| !text.is_empty());
    Ok(texts)
}

/// Puts a conversation into the queue, its round not begun.
fn wait(talk: &mut TalkRow, now: UnixMillis) {
    (talk.state, talk.since, talk.operator) = (TalkState::Waiting, now, None);
    (talk.turn, talk.turn_until) = (None, None);
    talk.tried.clear();
}

/// The conversation is that operator's from now on.
pub(super) fn give_to(talk: &mut TalkRow, operator: i64, now: UnixMillis) {
    if talk.state != TalkState::Taken || talk.operator != Some(operator) {
        (talk.state, talk.since, talk.operator) = (TalkState::Taken, now, Some(operator));
    }
    (talk.turn, talk.turn_until, talk.rating_asked) = (None, None, false);
    talk.tried.clear();
}

/// An error where another operator has the conversation.
pub(super) fn refuse_others(db: &Connection, talk: &TalkRow, operator: i64) -> std::result::Result<(), OfficeError> {
    if talk.state != TalkState::Taken || talk.operator == Some(operator) {
        return Ok(());
    }
    let name = talk.operator.map(|other| super::people::name(db, other)).transpose()?.flatten();
    let name = name.unwrap_or_else(|| "another operator".to_owned());
    Err(OfficeError::NotAllowed(format!("{name} has this conversation; take it over first")))
}

/// Writes what the desk says by itself, where it reaches the customer; gives the message to send.
pub(super) fn write_text(tx: &Transaction<'_>, talk: &TalkRow, text: &str, at: UnixMillis) -> Result<Option<i64>> {
    if text.is_empty() || !super::abilities::Abilities::of(&talk.connector).system {
        return Ok(None);
    }
    let (operator, customer) = (None, None);
    let message = NewMessage { talk: talk.id, at, author: Author::System, operator, customer, post: false, text };
    message.insert(tx).map(Some)
}

impl Office {
    /// Takes a conversation that nobody else has: of several operators who try at once one has it.
    pub fn take_free(&self, operator: i64, talk: i64) -> std::result::Result<(), OfficeError> {
        self.with_talk(talk, |tx, talk, now| {
            super::people::must_exist(tx, operator)?;
            refuse_others(tx, talk, operator)?;
            give_to(talk, operator, now);
            Ok(())
        })
    }

    /// Takes a conversation, also one that another operator has.
    pub fn take_over(&self, operator: i64, talk: i64) -> std::result::Result<(), OfficeError> {
        self.with_talk(talk, |tx, talk, now| {
            super::people::must_exist(tx, operator)?;
            give_to(talk, operator, now);
            Ok(())
        })
    }

    /// Who has a conversation now.
    pub fn holder(&self, talk: i64) -> std::result::Result<Option<i64>, OfficeError> {
        let talk = self.store.read(|db| TalkRow::find(db, talk))?;
        let talk = talk.ok_or(OfficeError::NotThere("there is no such conversation"))?;
        Ok(talk.operator.filter(|_| talk.state == TalkState::Taken))
    }

    /// Gives a conversation to another operator, or back to the queue.
    pub fn transfer(&self, talk: i64, to: Option<i64>) -> std::result::Result<(), OfficeError> {
        self.with_talk(talk, |tx, talk, now| {
            let Some(operator) = to else {
                wait(talk, now);
                let settings = settings::line(tx, &talk.line)?.settings;
                return Ok(give_turn(tx, talk, &settings, now)?);
            };
            super::people::must_exist(tx, operator)?;
            give_to(talk, operator, now);
            Ok(())
        })?;
        self.errands.ring();
        Ok(())
    }

    /// Ends a conversation and, where the line says so, asks the customer for a rating.
    pub fn close(&self, talk: i64) -> std::result::Result<(), OfficeError> {
        let now = self.clock.now();
        let asked = self.store.write(|tx| {
            let mut talk = TalkRow::find(tx, talk)?.ok_or(OfficeError::NotThere("there is no such conversation"))?;
            if talk.state == TalkState::Closed {
                return Ok(None);
            }
            (talk.state, talk.since, talk.turn, talk.turn_until) = (TalkState::Closed, now, None, None);
            let text = settings::line(tx, &talk.line)?.settings.rating;
            let asked = if talk.blocked { None } else { write_text(tx, &talk, &text, now)? };
            talk.rating_asked = asked.is_some();
            talk.save(tx)?;
            Ok::<_, OfficeError>(asked)
        })?;
        asked.map_or(Ok(()), |message| self.send(message))
    }

    /// Passes conversations on whose time with one operator is over. Gives when the next one is.
    pub fn pass_on(&self) -> std::result::Result<Option<UnixMillis>, OfficeError> {
        let now = self.clock.now();
        let overdue = self.store.read(|db| ids(db, OVERDUE, named_params! {":now": now.0}))?;
        if !overdue.is_empty() {
            self.store.write(|tx| turn_over(tx, ids(tx, OVERDUE, named_params! {":now": now.0})?, now))?;
        }
        let next: Option<i64> = self.store.read(|db| db.query_row(NEXT_DUE, [], |row| row.get(0)))?;
        Ok(next.map(UnixMillis))
    }

    fn with_talk(
        &self,
        talk: i64,
        change: impl FnOnce(&Transaction<'_>, &mut TalkRow, UnixMillis) -> std::result::Result<(), OfficeError>,
    ) -> std::result::Result<(), OfficeError> {
        let now = self.clock.now();
        self.store.write(|tx| {
            let mut talk = TalkRow::find(tx, talk)?.ok_or(OfficeError::NotThere("there is no such conversation"))?;
            change(tx, &mut talk, now)?;
            Ok(talk.save(tx)?)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desk::office::tests::plan;

    #[test]
    fn what_waits_and_what_is_held_is_found_by_an_index() {
        assert!(plan(CANDIDATES).contains("SEARCH talks USING COVERING INDEX talks_held"), "{}", plan(CANDIDATES));
        for sql in [OVERDUE, NEXT_DUE, WAITING, WAITING_FOR, NOBODYS] {
            assert!(plan(sql).contains("INDEX talks_waiting"), "{sql}: {}", plan(sql));
        }
    }

    #[test]
    fn a_rating_is_a_digit_that_stands_alone() {
        for (text, want) in [
            ("1", Some(1)),
            (" 0 ", Some(0)),
            ("1 thanks", Some(1)),
            ("10", None),
            ("1.", None),
            ("", None),
            ("no", None),
        ] {
            assert_eq!(rating(text), want, "{text:?}");
        }
    }
}
