//! The writer against real files: grouping, errors, locks, full disks, other processes.

use super::super::Store;
use super::*;
use crate::clock::SystemClock;
use crate::store::counters::{self, Counter, Direction};

fn start(store: &Store) -> (Writer, WriterThread) {
    Writer::start(store.writing().unwrap(), Arc::new(SystemClock::new()), || ()).unwrap()
}

fn put(name: &'static str) -> impl Fn(&mut Tx<'_>) -> rusqlite::Result<()> + Send + 'static {
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

/// Promise 1: what stood in a group before the one that failed is undone with it, and must be applied again.
#[test]
fn what_a_neighbours_error_undid_is_done_again() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let blocker = store.writing().unwrap();
    blocker.execute_batch("begin immediate").unwrap();
    let (writer, thread) = start(&store);
    let (told, heard) = crossbeam_channel::unbounded();
    let kept = ["a", "b", "c", "c"].map(|name| {
        let told = told.clone();
        writer.write_then(WAIT, put(name), move |result| told.send(result.is_ok()).unwrap())
    });
    blocker.execute_batch("commit").unwrap();
    thread.stop();
    drop(kept);
    assert_eq!(heard.try_iter().collect::<Vec<_>>(), [true, true, true, false]);
    let db = store.reading().unwrap();
    let names: String = db.query_row("select group_concat(name) from shelf", [], |row| row.get(0)).unwrap();
    assert_eq!((names.as_str(), counters::all(&db).unwrap()[0].value), ("a,b,c", 3));
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

/// Callers that leave are told as those that wait: once, the result or that it took too long.
#[test]
fn callers_that_leave_are_answered_too() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let (writer, thread) = start(&store);
    let deadlines = Deadlines::new(Arc::new(SystemClock::new()));
    let watch = std::thread::spawn({
        let deadlines = deadlines.clone();
        move || deadlines.run()
    });
    let (told, heard) = crossbeam_channel::unbounded();
    let write = |name, wait| {
        let told = told.clone();
        deadlines.keep(writer.write_then(wait, put(name), move |result| told.send(result).unwrap()));
        heard.recv().unwrap()
    };
    assert_eq!(write("a", WAIT), Ok(()));
    assert!(matches!(write("a", WAIT), Err(WriteError::Refused(_))), "its own mistake");
    let blocker = store.writing().unwrap();
    blocker.execute_batch("begin immediate").unwrap();
    assert_eq!(write("late", Duration::from_millis(20)), Err(WriteError::Timeout { unknown: false }));
    blocker.execute_batch("commit").unwrap();
    assert_eq!(write("b", WAIT), Ok(()));
    thread.stop();
    assert_eq!(write("c", WAIT), Err(WriteError::Stopped));
    deadlines.stop();
    watch.join().unwrap();
    assert!(heard.is_empty(), "each is told once");
    let names: String =
        store.reading().unwrap().query_row("select group_concat(name) from shelf", [], |row| row.get(0)).unwrap();
    assert_eq!(names, "a,b");
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

/// What happened outside can't be taken back: it waits for room, in order, while callers that can say no are told.
#[test]
fn a_duty_outlives_a_full_disk() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let other = store.writing().unwrap();
    let fill = "insert into shelf (name, body, at) values ('filler', zeroblob(200000) || '', 0)";
    other.execute(fill, []).unwrap();
    let db = store.writing().unwrap();
    let pages: i64 = db.pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
    db.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(())).unwrap();
    let (writer, thread) = Writer::start(db, Arc::new(SystemClock::new()), || ()).unwrap();
    let (done, told) = bounded(10);
    for name in ["first", "second"] {
        let done = done.clone();
        writer.submit(
            move |tx| {
                let row = (name, "x".repeat(50_000));
                tx.db().execute("insert into shelf (name, body, at) values (?1, ?2, 0)", row).map(drop)
            },
            move |result| done.send((name, result)).unwrap(),
        );
    }
    let refused = writer.write(WAIT, put("third")).unwrap_err();
    assert!(refused.to_string().contains("make room"), "{refused}");
    assert!(told.is_empty(), "nobody gave the duties up");
    other.execute("delete from shelf where name = 'filler'", []).unwrap();
    assert_eq!(told.recv_timeout(WAIT).unwrap(), ("first", Ok(())));
    assert_eq!(told.recv_timeout(WAIT).unwrap(), ("second", Ok(())));
    writer.write(WAIT, put("fourth")).unwrap();
    thread.stop();
}

/// A duty that is itself wrong is not tried for ever.
#[test]
fn a_duty_that_breaks_a_rule_is_given_up() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let (writer, thread) = start(&store);
    let (done, told) = bounded(10);
    writer.write(WAIT, put("a")).unwrap();
    writer.submit(
        |tx| tx.db().execute("insert into shelf (name, body, at) values ('a', '', 0)", []).map(drop),
        move |result| done.send(result).unwrap(),
    );
    assert!(matches!(told.recv_timeout(WAIT).unwrap(), Err(WriteError::Refused(_))));
    thread.stop();
}

/// Design §5: a damaged file is not written on.
#[test]
fn the_writer_ends_when_it_meets_damage() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let db = store.writing().unwrap();
    db.execute("insert into shelf (name, body, at) values ('a', '', 0)", []).unwrap();
    let root: u64 = db
        .query_row("select rootpage from sqlite_schema where name = 'shelf'", [], |row| row.get::<_, i64>(0))
        .unwrap()
        .try_into()
        .unwrap();
    drop(db);
    let file = std::fs::OpenOptions::new().write(true).open(store.path()).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &[0x5a; 4096], (root - 1) * 4096).unwrap();
    let (writer, thread) = start(&store);
    let refused = writer.write(WAIT, put("b")).unwrap_err();
    assert!(refused.to_string().contains("malformed"), "{refused}");
    thread.thread.join().unwrap();
    assert_eq!(writer.write(WAIT, put("c")), Err(WriteError::Stopped));
}

/// A reader that stays keeps the log from being begun anew; when it has left, the log shrinks to its limit (`limits.md`
/// B5). The limits are a hundredth of the real ones.
#[test]
fn the_log_shrinks_when_a_long_reader_has_left() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let db = store.writing().unwrap();
    let limit: i64 = db.pragma_query_value(None, "journal_size_limit", |row| row.get(0)).unwrap();
    let checkpoint: i64 = db.pragma_query_value(None, "wal_autocheckpoint", |row| row.get(0)).unwrap();
    assert_eq!((limit, checkpoint), (65_536_000, 16_000));
    db.pragma_update(None, "journal_size_limit", limit / 100).unwrap();
    let limit = u64::try_from(limit / 100).unwrap();
    db.pragma_update(None, "wal_autocheckpoint", checkpoint / 100).unwrap();
    db.pragma_update(None, "synchronous", "off").unwrap();
    let (writer, thread) = Writer::start(db, Arc::new(SystemClock::new()), || ()).unwrap();
    let size = || std::fs::metadata(folder.path().join("trunkline.db-wal")).unwrap().len();
    let write = |count: u64| {
        for number in 0..count {
            let body = format!("{number}{}", "x".repeat(20_000));
            let put = "insert or replace into shelf (name, body, at) values (?1, ?2, 0)";
            writer.write(WAIT, move |tx| tx.db().execute(put, ((number % 10).to_string(), &body)).map(drop)).unwrap();
        }
    };
    write(200);
    assert!(size() <= 2 * limit, "without readers: {}", size());
    let reader = store.reading().unwrap();
    reader.execute_batch("begin; select count(*) from shelf").unwrap();
    write(600);
    let held = size();
    assert!(held > 4 * limit, "held by a reader: {held}");
    reader.execute_batch("rollback").unwrap();
    write(20);
    assert!(size() <= 2 * limit, "after the reader: {} of {held}", size());
    thread.stop();
}
