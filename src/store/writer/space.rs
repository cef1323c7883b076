//! What a drained queue leaves free goes back to the file system, in idle moments and in small steps: a step is a commit
//! of its own, and a caller that comes in waits for one of them at most.

use rusqlite::{Connection, Result};

/// Pages of one step: 1 MiB.
const STEP_PAGES: i64 = 256;
/// Free pages that stay, 16 MiB: the next burst uses them again at full speed.
const KEEP_PAGES: i64 = 4096;

/// Gives free pages back until few are left or `interrupted`. Returns whether anything was given back. A file from before
/// this was decided keeps its pages and uses them again; only a fresh file can be told.
pub(super) fn give_back(db: &Connection, interrupted: impl Fn() -> bool) -> Result<bool> {
    let mut free = free_pages(db)?;
    let mut any = false;
    while free > KEEP_PAGES && !interrupted() {
        let step = STEP_PAGES.min(free - KEEP_PAGES);
        // The number is ours; a pragma takes no parameters.
        let mut vacuum = db.prepare(&format!("pragma incremental_vacuum({step})"))?;
        let mut rows = vacuum.query([])?;
        while rows.next()?.is_some() {}
        let left = free_pages(db)?;
        if left >= free {
            return Ok(any);
        }
        (free, any) = (left, true);
    }
    Ok(any)
}

fn free_pages(db: &Connection) -> Result<i64> {
    db.pragma_query_value(None, "freelist_count", |row| row.get(0))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::store::Store;

    #[test]
    fn a_drained_file_shrinks_step_by_step() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let db = store.writing().unwrap();
        db.pragma_update(None, "synchronous", "off").unwrap();
        let size = || {
            db.query_row("pragma wal_checkpoint(truncate)", [], |_| Ok(())).unwrap();
            std::fs::metadata(store.path()).unwrap().len()
        };
        db.execute_batch(
            "with recursive n(i) as (select 1 union all select i + 1 from n where i < 40000)
             insert into shelf (name, body, at) select 'n' || i, hex(zeroblob(500)), 0 from n;",
        )
        .unwrap();
        let full = size();
        assert!(full > 40_000_000, "{full}");
        db.execute_batch("delete from shelf").unwrap();
        assert!(size() >= full, "a deletion alone gives nothing back");
        let asked = Cell::new(0);
        let interrupted = || {
            asked.set(asked.get() + 1);
            asked.get() > 2
        };
        assert!(give_back(&db, interrupted).unwrap());
        let less = size();
        assert!(less < full && full - less <= 2 * 1024 * 1024 + 4096 * 4, "two steps: {full} {less}");
        assert!(give_back(&db, || false).unwrap());
        assert!(size() < 20_000_000, "{}", size());
        assert!(!give_back(&db, || false).unwrap(), "the rest is kept");
    }
}
