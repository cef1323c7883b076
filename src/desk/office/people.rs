//! Operators: who they are, whether they are here, how they sign in.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, named_params};

use super::{Office, OfficeError};
use crate::desk::password;
use crate::secret::Secret;

/// How long a browser stays signed in.
const SIGNED_IN: Duration = Duration::from_hours(30 * 24);
/// Wrong passwords of one operator after which the next ones are refused unseen, until [`TRIES_FOR`] is over.
const TRIES_MAX: u32 = 10;
const TRIES_FOR: Duration = Duration::from_mins(1);
/// Longest name, characters.
const NAME_MAX: usize = 50;

/// Somebody who answers customers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operator {
    /// The desk's id, `message.user_id` on the wire.
    pub id: i64,
    /// Full name, as customers see it.
    pub name: String,
    /// Whether conversations are offered.
    pub here: bool,
    /// How many conversations the operator has.
    pub load: u32,
    /// Signing in takes a password.
    pub password: bool,
}

/// Wrong passwords lately, by operator: how many, since when.
pub(super) type Tries = Mutex<HashMap<i64, (u32, Duration)>>;

const OPERATORS: &str = "select id, name, here, password is not null as password,
        (select count(*) from talks where talks.operator = operators.id and talks.state = 'taken') as load
    from operators order by id";
const ADD: &str = "insert into operators (name, password) values (:name, :password)
    on conflict (name) do update set password = :password returning id";
const EXISTS: &str = "select 1 from operators where id = :id";
const NAME: &str = "select name from operators where id = :id";
const HERE: &str = "update operators set here = :here where id = :id";
const PASSWORD_OF: &str = "select password from operators where name = :name";
const PASSWORD: &str = "select password from operators where id = :id";
const SIGN_IN: &str = "insert into signed_in (token, operator, until) values (:token, :operator, :until)";
const SIGNED: &str = "select operator from signed_in where token = :token and until > :now";
const SIGN_ALL_OUT: &str = "delete from signed_in where operator = :operator";
const SIGN_OUT: &str = "delete from signed_in where token = :token";
const TIME_OVER: &str = "delete from signed_in where until <= :now";

/// Everybody, in the order of the queue.
pub(super) fn all(db: &Connection) -> rusqlite::Result<Vec<Operator>> {
    let read = |row: &rusqlite::Row<'_>| {
        Ok(Operator {
            id: row.get("id")?,
            name: row.get("name")?,
            here: row.get("here")?,
            load: row.get("load")?,
            password: row.get("password")?,
        })
    };
    db.prepare_cached(OPERATORS)?.query_map([], read)?.collect()
}

/// An error unless there is such an operator.
pub(super) fn must_exist(db: &Connection, operator: i64) -> Result<(), OfficeError> {
    let found = db.prepare_cached(EXISTS)?.exists(named_params! {":id": operator})?;
    if found { Ok(()) } else { Err(OfficeError::NotThere("there is no such operator")) }
}

/// An operator's full name.
pub(super) fn name(db: &Connection, operator: i64) -> rusqlite::Result<Option<String>> {
    db.prepare_cached(NAME)?.query_row(named_params! {":id": operator}, |row| row.get(0)).optional()
}

impl Office {
    /// Adds an operator, last in the queue, or gives the one of that name a new password; without one, nobody asks. A
    /// password that was another one before ends what was signed in until then.
    pub fn add_operator(&self, name: &str, password: Option<&Secret>) -> Result<i64, OfficeError> {
        let name = name.trim();
        if name.is_empty() || name.chars().count() > NAME_MAX {
            return Err(OfficeError::Wrong(format!("an operator's name has 1 to {NAME_MAX} characters")));
        }
        let stored: Option<String> = self.store.read(|db| {
            let key = named_params! {":name": name};
            Ok(db.prepare_cached(PASSWORD_OF)?.query_row(key, |row| row.get(0)).optional()?.flatten())
        })?;
        // Programs add their operators at each start.
        let same = stored.filter(|stored| password.is_some_and(|given| password::verify(given, stored)));
        let signs_out = password.is_some() && same.is_none();
        let password = same.or_else(|| password.map(password::hash));
        let id = self.store.write(|tx| {
            let values = named_params! {":name": name, ":password": password};
            let id = tx.prepare_cached(ADD)?.query_row(values, |row| row.get(0))?;
            if signs_out {
                tx.prepare_cached(SIGN_ALL_OUT)?.execute(named_params! {":operator": id})?;
            }
            super::turns::came_or_went(tx, id, true, self.clock.now())?;
            Ok::<_, OfficeError>(id)
        })?;
        self.errands.ring();
        Ok(id)
    }

    /// Everybody, in the order of the queue.
    pub fn operators(&self) -> Result<Vec<Operator>, OfficeError> {
        Ok(self.store.read(all)?)
    }

    /// An operator comes, and gets what nobody was there for; or goes, and loses the turns.
    pub fn set_here(&self, operator: i64, here: bool) -> Result<(), OfficeError> {
        self.store.write(|tx| {
            must_exist(tx, operator)?;
            tx.prepare_cached(HERE)?.execute(named_params! {":id": operator, ":here": here})?;
            Ok::<_, OfficeError>(super::turns::came_or_went(tx, operator, here, self.clock.now())?)
        })?;
        self.errands.ring();
        Ok(())
    }

    /// Signs an operator in and gives the token by which the browser is known from then on. Browsers whose time is over are
    /// forgotten.
    pub fn sign_in(&self, operator: i64, given: &Secret) -> Result<Secret, OfficeError> {
        let stored = self.store.read(|db| {
            let key = named_params! {":id": operator};
            db.prepare_cached(PASSWORD)?.query_row(key, |row| row.get::<_, Option<String>>(0)).optional()
        })?;
        let stored = stored.ok_or(OfficeError::NotThere("there is no such operator"))?;
        if let Some(stored) = stored {
            self.may_try(operator)?;
            if !password::verify(given, &stored) {
                return Err(OfficeError::NotAllowed("the password is wrong".to_owned()));
            }
            self.tries().remove(&operator);
        }
        let token = password::token();
        let now = self.clock.now();
        self.store.write(|tx| {
            tx.prepare_cached(TIME_OVER)?.execute(named_params! {":now": now.0})?;
            let until = now.plus(SIGNED_IN).0;
            let row = named_params! {":token": password::token_hash(&token), ":operator": operator, ":until": until};
            tx.prepare_cached(SIGN_IN)?.execute(row).map(drop)
        })?;
        Ok(token)
    }

    /// Counts a try with a password; an error after too many.
    fn may_try(&self, operator: i64) -> Result<(), OfficeError> {
        let now = self.clock.ticks();
        let mut tries = self.tries();
        let (count, since) = tries.entry(operator).or_insert((0, now));
        if now.saturating_sub(*since) >= TRIES_FOR {
            (*count, *since) = (0, now);
        }
        *count += 1;
        if *count > TRIES_MAX {
            let words = "too many wrong passwords; try again in a minute";
            return Err(OfficeError::NotAllowed(words.to_owned()));
        }
        Ok(())
    }

    fn tries(&self) -> std::sync::MutexGuard<'_, HashMap<i64, (u32, Duration)>> {
        self.passwords.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whose browser that is.
    pub fn signed_in(&self, token: &Secret) -> Result<Option<i64>, OfficeError> {
        let (hash, now) = (password::token_hash(token), self.clock.now());
        let find = |db: &Connection| {
            let key = named_params! {":token": hash, ":now": now.0};
            db.prepare_cached(SIGNED)?.query_row(key, |row| row.get(0)).optional()
        };
        Ok(self.store.read(find)?)
    }

    /// Forgets a browser.
    pub fn sign_out(&self, token: &Secret) -> Result<(), OfficeError> {
        self.store.write(|tx| {
            let key = named_params! {":token": password::token_hash(token)};
            Ok(tx.prepare_cached(SIGN_OUT)?.execute(key).map(drop)?)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desk::office::tests::plan;

    /// It runs for each request of the page.
    #[test]
    fn operators_loads_are_counted_by_an_index() {
        assert!(plan(OPERATORS).contains("SEARCH talks USING COVERING INDEX talks_held"), "{}", plan(OPERATORS));
    }
}
