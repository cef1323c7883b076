//! What the database says, read in one transaction, so that the figures belong together.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Result, named_params};

use crate::clock::UnixMillis;
use crate::doctor::facts::{Contents, Dead, LineFacts, PortalFacts, Waiting};
use crate::ids::LineId;
use crate::records::{Line, LineState};
use crate::store::counters::{self, Direction};
use crate::store::look::WriteLock;
use crate::store::{attempts, deliveries, directory};

/// Attempts shown for a line.
const ATTEMPTS: usize = 20;
/// What counts as lately for dead letters.
const DAY: Duration = Duration::from_hours(24);

pub(super) fn read(db: &Connection, now: UnixMillis) -> Result<Contents> {
    let reading = db.unchecked_transaction()?;
    let contents = Contents {
        write_lock: WriteLock::Free,
        lock_holder: None,
        accounting: counters::accounting(&reading)?,
        portals: portals(&reading)?,
        lines: directory::lines(&reading)?.into_iter().map(|line| self::line(&reading, line)).collect::<Result<_>>()?,
        dead: dead(&reading, now)?,
        newest: newest(&reading)?,
        step_back: step_back(&reading)?,
    };
    reading.finish()?;
    Ok(contents)
}

fn portals(db: &Connection) -> Result<Vec<PortalFacts>> {
    const TIMES: &str = "select seen_at, created_at from portals where id = :id";
    let mut times = db.prepare_cached(TIMES)?;
    let mut facts = |portal: crate::records::Portal| {
        let (seen_at, created_at) = times.query_row(named_params! {":id": portal.id.0}, |row| {
            Ok((row.get::<_, Option<i64>>("seen_at")?.map(UnixMillis), UnixMillis(row.get("created_at")?)))
        })?;
        Ok(PortalFacts { portal, seen_at, created_at })
    };
    directory::portals(db)?.into_iter().map(&mut facts).collect()
}

const LINE: &str = "
    select lines.created_at, proved_at, status_missing_at, portals.name as portal,
           exists (select 1 from settings where line_id = lines.id) as connected
      from lines
      join portals on portals.id = lines.portal_id
     where lines.id = :line";

const QUEUE: &str = "
    select (select count(*) from queue where line_id = :line) as waiting,
           (select coalesce(replayed_at, accepted_at) from queue where line_id = :line order by id limit 1) as oldest,
           null as error";

const OUTBOX: &str = "
    select (select count(*) from outbox where line_id = :line) as waiting,
           (select coalesce(replayed_at, accepted_at) from outbox where line_id = :line order by id limit 1) as oldest,
           (select last_error from outbox where line_id = :line order by id limit 1) as error";

const TAKEN_OVER: &str = "
    select detail from journal where line_id = :line and what = 'takeover' order by id desc limit 1";

/// What is known of one line; for `line show` too.
pub fn line(db: &Connection, line: Line) -> Result<LineFacts> {
    let id = line.id;
    let time = |row: &rusqlite::Row<'_>, name: &str| row.get::<_, Option<i64>>(name).map(|at| at.map(UnixMillis));
    let (portal, connected, created_at, proved_at, status_missing_at) =
        db.prepare_cached(LINE)?.query_row(named_params! {":line": id.0}, |row| {
            let created = UnixMillis(row.get("created_at")?);
            let (proved, missing) = (time(row, "proved_at")?, time(row, "status_missing_at")?);
            Ok((row.get("portal")?, row.get("connected")?, created, proved, missing))
        })?;
    let waiting = |sql: &str| {
        db.prepare_cached(sql)?.query_row(named_params! {":line": id.0}, |row| {
            Ok(Waiting { count: row.get("waiting")?, oldest: time(row, "oldest")?, error: row.get("error")? })
        })
    };
    let last = |direction| deliveries::latest(db, id, direction).map(|minute| minute.map(|minute| minute.last_at));
    let taken_over = if line.state == LineState::TakenOver { taken_over(db, id)? } else { None };
    Ok(LineFacts {
        portal,
        connected,
        created_at,
        proved_at,
        status_missing_at,
        queue: waiting(QUEUE)?,
        outbox: waiting(OUTBOX)?,
        confirmed_at: last(Direction::In)?,
        sent_at: last(Direction::Out)?,
        attempts: attempts::of_line(db, id, ATTEMPTS)?,
        taken_over,
        line,
    })
}

fn taken_over(db: &Connection, line: LineId) -> Result<Option<String>> {
    db.prepare_cached(TAKEN_OVER)?.query_row(named_params! {":line": line.0}, |row| row.get(0)).optional()
}

fn dead(db: &Connection, now: UnixMillis) -> Result<Dead> {
    const FRESH: &str = "
        select reason, count(*) from dead_letters
         where replayed_at is null and died_at >= :since group by reason order by 2 desc, 1 limit 100";
    const OLDER: &str = "select count(*) from dead_letters where replayed_at is null and died_at < :since";
    let since = now.0.saturating_sub(i64::try_from(DAY.as_millis()).unwrap_or(i64::MAX));
    let fresh = db
        .prepare_cached(FRESH)?
        .query_map(named_params! {":since": since}, |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_>>()?;
    let older = db.prepare_cached(OLDER)?.query_row(named_params! {":since": since}, |row| row.get(0))?;
    Ok(Dead { fresh, older })
}

/// Each table's last row was written last.
fn newest(db: &Connection) -> Result<Option<UnixMillis>> {
    const NEWEST: &str = "
        select max(at)
          from (select (select at from seen order by id desc limit 1) as at
                union all select (select at from journal order by id desc limit 1)
                union all select (select at from attempts order by id desc limit 1)
                union all select (select coalesce(replayed_at, accepted_at) from queue order by id desc limit 1)
                union all select (select died_at from dead_letters order by id desc limit 1))";
    let newest: Option<i64> = db.prepare_cached(NEWEST)?.query_row([], |row| row.get(0))?;
    Ok(newest.map(UnixMillis))
}

/// Among the last events, the largest step back of more than a minute.
fn step_back(db: &Connection) -> Result<Option<(UnixMillis, UnixMillis)>> {
    const STEPS: &str = "
        select earlier, later
          from (select lag(at) over (order by id) as earlier, at as later
                  from (select id, at from seen order by id desc limit 10000))
         where earlier - later > 60000
         order by earlier - later desc
         limit 1";
    db.prepare_cached(STEPS)?
        .query_row([], |row| Ok((UnixMillis(row.get("earlier")?), UnixMillis(row.get("later")?))))
        .optional()
}
