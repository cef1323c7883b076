//! Schema version in `pragma user_version`. A fresh file gets schema.sql; older ones get the numbered steps they lack,
//! all in one transaction. A file from a newer program is refused.

use rusqlite::{Connection, TransactionBehavior};

use super::StoreError;
use crate::fault;

/// The schema of a fresh database.
const SCHEMA: &str = include_str!("../../schema.sql");

/// Steps from version N to N+1; the first entry leads from 1 to 2. A released step is never edited.
const STEPS: &[&str] = &[include_str!("../../migrations/0002-replay-and-trace.sql")];

/// The version that `schema.sql` describes.
pub const VERSION: i64 = 2;

#[expect(clippy::cast_possible_wrap, reason = "a handful of steps")]
const _: () = assert!(VERSION == 1 + STEPS.len() as i64, "each step raises the version by one");

/// The version of the file behind `db`; 0 when it has no tables yet.
pub fn version(db: &Connection) -> rusqlite::Result<i64> {
    db.pragma_query_value(None, "user_version", |row| row.get(0))
}

/// Brings the file behind `db` to [`VERSION`]. A file that is there already costs no lock, so that a command is not
/// held up by a server that writes.
pub fn run(db: &mut Connection) -> Result<(), StoreError> {
    if version(db)? == VERSION {
        return Ok(());
    }
    let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found = version(&tx)?;
    match found {
        VERSION => return Ok(()),
        0 => tx.execute_batch(SCHEMA)?,
        older if older > 0 && older < VERSION => {
            let done = usize::try_from(older - 1).unwrap_or(0);
            for step in STEPS.iter().skip(done) {
                tx.execute_batch(step)?;
            }
        }
        _ => return Err(StoreError::Newer { found, known: VERSION }),
    }
    tx.pragma_update(None, "user_version", VERSION)?;
    fault::point("during migration");
    tx.commit()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fresh_file_gets_the_schema_once() {
        let mut db = Connection::open_in_memory().unwrap();
        run(&mut db).unwrap();
        run(&mut db).unwrap();
        let tables: i64 =
            db.query_row("select count(*) from sqlite_schema where type = 'table'", [], |row| row.get(0)).unwrap();
        assert!(tables > 10);
        let loose: i64 = db
            .query_row("select count(*) from pragma_table_list where schema = 'main' and strict = 0 and name not like 'sqlite_%'", [], |row| {
                row.get(0)
            })
            .unwrap();
        assert_eq!(loose, 0, "every table is strict");
    }

    /// Every statement of the schema without comments and with single blanks, so that only what it says counts.
    fn schema(db: &Connection) -> Vec<String> {
        let mut stmt = db.prepare("select sql from sqlite_schema where sql is not null order by type, name").unwrap();
        let statements = stmt.query_map([], |row| row.get::<_, String>(0)).unwrap();
        let plain = |sql: String| {
            let code: Vec<&str> = sql.lines().map(|line| line.split("--").next().unwrap_or_default()).collect();
            let words: Vec<&str> = code.iter().flat_map(|line| line.split_whitespace()).collect();
            words.join(" ").replace(" ,", ",").replace("( ", "(").replace(" )", ")")
        };
        statements.map(|sql| plain(sql.unwrap())).collect()
    }

    #[test]
    fn an_old_file_ends_in_the_same_schema_and_keeps_its_rows() {
        let mut old = Connection::open_in_memory().unwrap();
        old.execute_batch(include_str!("../../tests/fixtures/schema/1.sql")).unwrap();
        old.execute_batch(
            "insert into portals (name, protocol, url, key, created_at) values ('p', 'box', 'https://p.test', 'k', 1);
             insert into lines (portal_id, connector, line, created_at) values (1, 'x', '7', 1);
             insert into seen (key, at) values (x'01', 1);
             insert into queue (line_id, connector, command, chat, message, files, body, accepted_at)
               values (1, 'x', 'message', 'c', 'm', 0, x'7b7d', 5);
             insert into attempts (line_id, at, millis, messages, outcome) values (1, 1, 1, 1, 'confirmed');
             pragma user_version = 1;",
        )
        .unwrap();
        run(&mut old).unwrap();
        let mut fresh = Connection::open_in_memory().unwrap();
        run(&mut fresh).unwrap();
        assert_eq!(schema(&old), schema(&fresh));
        let kept = "select accepted_at, origin is null, (select direction from attempts) from queue";
        let row: (i64, bool, String) =
            old.query_row(kept, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
        assert_eq!((row.0, row.1, row.2.as_str()), (5, true, "in"));
    }

    #[test]
    fn a_file_from_a_newer_program_is_refused() {
        let mut db = Connection::open_in_memory().unwrap();
        db.pragma_update(None, "user_version", VERSION + 1).unwrap();
        assert!(matches!(run(&mut db), Err(StoreError::Newer { .. })));
    }
}
