//! Schema version in `pragma user_version`. A fresh file gets schema.sql; older ones get the numbered steps they lack,
//! all in one transaction. A file from a newer program is refused.

use rusqlite::{Connection, TransactionBehavior};

use super::StoreError;
use crate::fault;

/// The schema of a fresh database.
const SCHEMA: &str = include_str!("../../schema.sql");

/// Steps from version N to N+1; the first entry leads from 1 to 2. A released step is never edited.
const STEPS: &[&str] = &[];

/// The version that `schema.sql` describes.
pub const VERSION: i64 = 1;

#[expect(clippy::cast_possible_wrap, reason = "a handful of steps")]
const _: () = assert!(VERSION == 1 + STEPS.len() as i64, "each step raises the version by one");

/// Brings the file behind `db` to [`VERSION`].
pub fn run(db: &mut Connection) -> Result<(), StoreError> {
    // First without the write lock, which another process may hold for long: most openings change nothing.
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

fn version(db: &Connection) -> rusqlite::Result<i64> {
    db.pragma_query_value(None, "user_version", |row| row.get(0))
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

    #[test]
    fn a_file_from_a_newer_program_is_refused() {
        let mut db = Connection::open_in_memory().unwrap();
        db.pragma_update(None, "user_version", VERSION + 1).unwrap();
        assert!(matches!(run(&mut db), Err(StoreError::Newer { .. })));
    }
}
