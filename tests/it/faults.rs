//! Faults of the machine around the running program, and of itself: each is survived, or ends the server with a sentence
//! that says what to do; in no case is an accepted message lost.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::http::{Answer, Client};
use crate::support::ledger::{Ledger, OFF, PACKET};
use crate::support::program::{Place, Server};
use crate::support::{asked, until};

/// A portal that was down is tried again at once, and not given up.
const BRIEF: &str = "[retry]\nblocks = [\"100ms\", \"100ms\", \"100ms\", \"100ms\", \"100ms\", \"100ms\", \"1h\"]\n";
const MAYBE_TWICE: &str = "trunkline_maybe_twice_total{connector=\"botframework.webchat\",direction=\"in\",class=\"\"}";
const WAIT: Duration = Duration::from_secs(20);

/// Not stored, and told when to come again (`interface.md` §3).
fn assert_unavailable(answer: &Answer) {
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert!(answer.header("retry-after").is_some(), "{answer:?}");
    assert_eq!(answer.json()["error"]["code"], "UNAVAILABLE");
}

fn ask(ledger: &Ledger, server: &Server) -> Answer {
    ledger.customer().ask(&mut Client::connect(&server.public).unwrap()).unwrap()
}

/// A small file system of its own; needs root.
pub struct Disk(PathBuf);

impl Disk {
    pub fn mount(at: &Path, size: &str) -> Option<Self> {
        std::fs::create_dir(at).unwrap();
        let options = format!("size={size},mode=700");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(at).output();
        if mounted.is_ok_and(|output| output.status.success()) {
            return Some(Self(at.to_owned()));
        }
        println!("left out: only root may mount a small file system");
        None
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

/// A full disk refuses what is new and loses nothing of what is old; what portals and channels have said meanwhile is
/// written when there is room again, not asked for a second time.
#[test]
fn a_full_disk_is_answered_503_and_survived() {
    let place = Place::new(OFF);
    let Some(disk) = Disk::mount(&place.path("data"), "2m") else { return };
    let ledger = Ledger::at(place);
    let server = ledger.place.serve();
    std::fs::write(disk.0.join("ballast"), vec![0; 1 << 20]).unwrap();
    let mut client = Client::connect(&server.public).unwrap();
    let mut refused = 0;
    let mut taken = 0;
    while refused < 50 {
        let answer = ledger.customer().ask(&mut client).unwrap();
        if answer.status == 200 {
            taken += 1;
            ledger.operator().ask(&server.public).unwrap();
            assert!(taken < 5000, "the disk never ran full");
        } else {
            assert_unavailable(&answer);
            refused += 1;
        }
    }
    // A disk that is nearly full takes a small write now and then: each end of the trouble may be followed by another.
    let told = |what: &str| server.log.text().matches(what).count();
    assert!(told("takes no writes") >= 1, "{}", server.log.text());
    assert!(told("the disk is full; make room") > 0, "{}", server.log.text());
    let ready = Client::connect(&server.admin).unwrap().request("GET", "/readyz", "", b"").unwrap();
    assert!(ready.status == 503 && ready.text().contains("\"disk_full\""), "{}", ready.text());

    std::fs::remove_file(disk.0.join("ballast")).unwrap();
    until("room again, and the log says so", WAIT, || {
        let well = ask(&ledger, &server).status == 200;
        well && told("takes writes again") == told("takes no writes")
    });
    let balance = ledger.balance_of(&server);
    println!("{taken} taken, {refused} refused; {balance:?}");
    assert!(server.log.text().lines().count() < 60, "{}", server.log.text());
}

/// Another process, such as a backup tool, keeps the write lock: requests wait as long as their platforms do, then come
/// again; nothing has to be restarted. `TRUNKLINE_LOCK_SECS` makes it longer.
#[test]
fn a_locked_database_is_answered_503_and_survived() {
    let ledger = Ledger::at(Place::new(&format!("{OFF}{BRIEF}[http]\ncommit_wait = \"500ms\"\n")));
    let server = ledger.place.serve();
    // Three packets wait for a portal that is down.
    ledger.ear.well.store(false, std::sync::atomic::Ordering::SeqCst);
    for _ in 0..3 * PACKET {
        assert_eq!(ask(&ledger, &server).status, 200);
    }
    let heard = || ledger.ear.heard.lock().unwrap().len();
    let before = heard();
    let lock = rusqlite::Connection::open(ledger.place.path("data/trunkline.db")).unwrap();
    lock.execute_batch("begin immediate").unwrap();
    let start = now();
    assert_unavailable(&ask(&ledger, &server));
    assert!(start.elapsed() >= Duration::from_millis(500), "it waited first");
    assert_unavailable(&ledger.operator().ask(&server.public).unwrap());

    ledger.ear.well.store(true, std::sync::atomic::Ordering::SeqCst);
    ledger.place.run(&["line", "list"]);
    until("the lock's time", Duration::from_secs(600), || {
        start.elapsed() >= Duration::from_secs(asked("TRUNKLINE_LOCK_SECS", 3))
    });
    assert!(server.log.text().contains("another process keeps the database locked"), "{}", server.log.text());
    // A crash now would repeat what was posted: no more than one packet.
    assert!(heard() - before <= 1, "{} posts whose confirmations are not on the disk", heard() - before);
    lock.execute_batch("commit").unwrap();
    until("recovery", WAIT, || ask(&ledger, &server).status == 200);
    ledger.balance_of(&server);
}

/// Connections in have used up the descriptors: the way out fails too, is not taken for a word of the portal's, and
/// recovers by itself.
#[test]
fn calls_without_a_descriptor_were_not_made() {
    let waits = "\"100ms\", ".repeat(60);
    let more = format!("{OFF}[http]\nworkers = 2\n[queue]\ndelivery_workers = 2\n[outbox]\nchannel_workers = 2\n");
    let ledger = Ledger::at(Place::new(&format!("{more}[retry]\nblocks = [{waits}\"1h\"]\n")));
    let server = ledger.place.serve_with_descriptors(100);
    let mut kept = Client::connect(&server.public).unwrap();
    ledger.customer().write(&mut kept).unwrap();
    ledger.settle(&server);
    let address = server.public.trim_start_matches("http://");
    let held: Vec<_> = (0..300).map(|_| std::net::TcpStream::connect(address).unwrap()).collect();
    let log = || server.log.text();
    until("no descriptors", WAIT, || log().contains("could not be accepted"));
    // One may become free for a moment, so that a message or two still leave.
    until("a call without a descriptor", WAIT, || {
        ledger.customer().write(&mut kept).unwrap();
        log().contains("no free file descriptor")
    });
    drop(held);
    let balance = ledger.balance_of(&server);
    assert_eq!(server.metric_or_zero(MAYBE_TWICE), 0.0, "{balance:?}: what was not sent is not sent again");
}

/// What a start that must not succeed says.
fn refused(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{text}");
    text
}

#[test]
fn a_database_that_may_not_be_written_is_refused_in_words() {
    use std::os::unix::fs::{PermissionsExt, chown};
    use std::os::unix::process::CommandExt;
    let place = Place::new("");
    place.run(&["portal", "list"]);
    let database = place.path("data/trunkline.db");
    std::fs::set_permissions(&database, std::fs::Permissions::from_mode(0o400)).unwrap();
    let mut command = place.command(&["serve"]);
    // Permissions mean nothing to root, so root starts it as somebody else.
    if rustix::process::geteuid().is_root() {
        const NOBODY: u32 = 65_534;
        for path in [place.path(""), place.path("trunkline.toml"), place.path("data"), database.clone()] {
            chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
        }
        command.uid(NOBODY).gid(NOBODY);
    }
    let said = refused(&mut command);
    assert!(said.contains("trunkline.db` can't be written") && said.contains("server's user"), "{said}");
    std::fs::set_permissions(&database, std::fs::Permissions::from_mode(0o600)).unwrap();
    place.run(&["portal", "list"]);
}

/// SQLite takes a file without its log for whole; what was accepted and not yet copied from the log would be gone without
/// a word.
#[test]
fn a_log_that_was_deleted_is_missed() {
    let mut ledger = Ledger::new();
    let server = ledger.place.serve();
    ledger.ear.well.store(false, std::sync::atomic::Ordering::SeqCst);
    for _ in 0..5 {
        assert_eq!(ask(&ledger, &server).status, 200);
    }
    server.kill();
    ledger.died();
    let log = ledger.place.path("data/trunkline.db-wal");
    let kept = std::fs::read(&log).unwrap();
    std::fs::remove_file(&log).unwrap();
    for command in [&["serve"][..], &["line", "list"]] {
        let said = refused(&mut ledger.place.command(command));
        assert!(
            said.contains(" messages that were accepted") && said.contains("trunkline.db-wal` was removed"),
            "{said}"
        );
        assert!(said.contains("bring the log") && said.contains("trunkline.db-mark"), "{said}");
    }
    std::fs::write(&log, kept).unwrap();
    ledger.ear.well.store(true, std::sync::atomic::Ordering::SeqCst);
    let server = ledger.place.serve();
    ledger.place.run(&["line", "unblock", "1"]);
    ledger.balance_of(&server);
    // After an end in order everything is in the file: there is nothing to miss.
    assert_eq!(server.terminate(), Some(0));
    std::fs::remove_file(&log).unwrap();
    drop(ledger.place.serve());
}

/// Overwrites the first page of a table.
fn damage(ledger: &Ledger, table: &str) {
    let path = ledger.place.path("data/trunkline.db");
    let db = rusqlite::Connection::open(&path).unwrap();
    let root: u64 = db
        .query_row("select rootpage from sqlite_schema where name = ?1", [table], |row| row.get::<_, i64>(0))
        .unwrap()
        .try_into()
        .unwrap();
    db.execute_batch("pragma wal_checkpoint(truncate)").unwrap();
    drop(db);
    let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &[0x5a; 4096], (root - 1) * 4096).unwrap();
}

/// Design §5. Where nothing works without it the start sees it; elsewhere the check in the background does, stops the
/// server, and no later start serves from the file.
#[test]
fn damage_stops_the_server_loudly() {
    let ledger = Ledger::new();
    let database = ledger.place.path("data/trunkline.db");
    ledger.place.run(&["line", "list"]);
    let backup = std::fs::read(&database).unwrap();
    let restore = || std::fs::write(&database, &backup).unwrap();

    damage(&ledger, "lines");
    let said = refused(&mut ledger.place.command(&["serve"]));
    assert!(said.contains("the database is damaged") && said.contains("put that backup in its place"), "{said}");
    restore();
    drop(ledger.place.serve());

    damage(&ledger, "attempts");
    let server = ledger.place.serve();
    let log = server.log.clone();
    assert_eq!(server.ended("the check in the background").code(), Some(1));
    until("the log", WAIT, || log.text().contains("so must the server"));
    assert!(log.text().contains("the database is damaged"), "{}", log.text());
    let said = refused(&mut ledger.place.command(&["serve"]));
    assert!(said.contains("checked as a whole") && said.contains("put that backup in its place"), "{said}");
    restore();
    ledger.balance();
}

#[expect(clippy::disallowed_methods, reason = "the test holds a lock for so long by the clock of the wall")]
fn now() -> Instant {
    Instant::now()
}

/// `style.md` §4: an open transaction rolls back and the service manager restarts the process; a server that went on
/// without one of its threads would be deaf.
#[test]
fn a_panic_in_any_thread_ends_the_process_loudly() {
    let mut ledger = Ledger::new();
    for (step, part) in [
        ("before commit", "store writer"),
        ("packet formed", "sender"),
        ("lane's turn", "dispatcher"),
        ("accepted", "front"),
        ("housekeeping", "housekeeper"),
    ] {
        let mut command = ledger.place.command(&["serve"]);
        // The housekeeper feeds the watchdog three times in that time.
        command.env("CRASH_AT", format!("panic {step}")).env("WATCHDOG_USEC", "300000");
        let server = ledger.place.start(command);
        let log = server.log.clone();
        // Whatever becomes of these requests; the far ends are held against what was acknowledged below.
        let _ = Client::connect(&server.public).and_then(|mut client| ledger.customer().ask(&mut client));
        let _ = ledger.operator().ask(&server.public);
        let status = server.ended(part);
        ledger.died();
        until("the log", Duration::from_secs(5), || log.text().contains("so must the server"));
        let log = log.text();
        assert_eq!(status.code(), Some(1), "{part}: {log}");
        assert!(log.contains("panicked") && log.contains(&format!("the {part} has ended")), "{part}: {log}");
    }
    ledger.balance();
}
