//! The writer against real files: grouping, errors, locks, full disks, other processes.

use super::super::Store;
use super::*;
use crate::clock::SystemClock;
use crate::store::counters::{self, Counter, Direction};

fn start(store: &Store) -> (Writer, WriterThread) {
    Writer::start(store.writing().unwrap(), Arc::new(SystemClock::new()), || ()).unwrap()
}

fn put(name: &'static str) -> impl FnOnce(&mut Tx<'_>) -> rusqlite::Result<()> + Send + 'static {
    move |tx| {
        tx.deltas.add(Counter::Accepted, "x", Direction::In, "", 1);
        tx.db().execute("insert into shelf (name, body, at) values (?1, '', 0)", [name]).map(drop)
    }
}

const WAIT: Duration = Duration::from_secs(5);

/// Promise 1: the answer comes after the commit, so another connection sees the row.
#[test]
fn what_was_answered_is_committed() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let (writer, thread) = start(&store);
    writer.write(WAIT, put("a")).unwrap();
    let count: i64 = store.reading().unwrap().query_row("select count(*) from shelf", [], |row| row.get(0)).unwrap();
    assert_eq!(count, 1);
    thread.stop();
}

#[test]
fn one_callers_error_spoils_nobody_else() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    // The lock makes it likely that commands end up in one group; what is asserted holds for every grouping.
    let blocker = store.writing().unwrap();
    blocker.execute_batch("begin immediate").unwrap();
    let (writer, thread) = start(&store);
    let calls: Vec<_> = ["a", "a", "b"]
        .into_iter()
        .map(|name| {
            let writer = writer.clone();
            std::thread::spawn(move || writer.write(WAIT, put(name)))
        })
        .collect();
    blocker.execute_batch("commit").unwrap();
    let results: Vec<_> = calls.into_iter().map(|call| call.join().unwrap()).collect();
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 2, "{results:?}");
    thread.stop();
    let db = store.reading().unwrap();
    assert_eq!(counters::all(&db).unwrap()[0].value, 2, "the failed command counted nothing");
}

#[test]
fn a_caller_that_gave_up_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let blocker = store.writing().unwrap();
    blocker.execute_batch("begin immediate").unwrap();
    let (writer, thread) = start(&store);
    let error = writer.write(Duration::from_millis(20), put("late")).unwrap_err();
    assert_eq!(error, WriteError::Timeout { unknown: false });
    blocker.execute_batch("commit").unwrap();
    writer.write(WAIT, put("next")).unwrap();
    thread.stop();
    let names: String =
        store.reading().unwrap().query_row("select group_concat(name) from shelf", [], |row| row.get(0)).unwrap();
    assert_eq!(names, "next");
}

#[test]
fn a_full_disk_is_told_and_survived() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let db = store.writing().unwrap();
    let pages: i64 = db.pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
    db.pragma_update_and_check(None, "max_page_count", pages + 2, |_| Ok(())).unwrap();
    let (writer, thread) = Writer::start(db, Arc::new(SystemClock::new()), || ()).unwrap();
    let big = |size: usize| {
        move |tx: &mut Tx<'_>| {
            tx.db()
                .execute("insert into shelf (name, body, at) values (?1, ?2, 0)", (size.to_string(), "x".repeat(size)))
                .map(drop)
        }
    };
    assert!(matches!(writer.write(WAIT, big(100_000)), Err(WriteError::Refused(_))));
    writer.write(WAIT, big(10)).unwrap();
    thread.stop();
}

#[test]
fn changes_of_other_processes_are_noticed_but_not_our_own() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let (told, tells) = bounded(10);
    let (writer, thread) =
        Writer::start(store.writing().unwrap(), Arc::new(SystemClock::new()), move || told.send(()).unwrap()).unwrap();
    writer.write(WAIT, put("own")).unwrap();
    assert!(tells.recv_timeout(Duration::from_millis(1500)).is_err());
    store.writing().unwrap().execute("insert into shelf (name, body, at) values ('foreign', '', 0)", []).unwrap();
    tells.recv_timeout(WAIT).unwrap();
    thread.stop();
}
