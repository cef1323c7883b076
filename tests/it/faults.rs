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
struct Disk(PathBuf);

impl Disk {
    fn mount(at: &Path, size: &str) -> Option<Self> {
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
    let told = |what: &str| server.log.text().matches(what).count();
    assert_eq!(told("the disk is full; make room"), 1, "{}", server.log.text());
    let ready = Client::connect(&server.admin).unwrap().request("GET", "/readyz", "", b"").unwrap();
    assert!(ready.status == 503 && ready.text().contains("the disk is full; make room"), "{}", ready.text());

    std::fs::remove_file(disk.0.join("ballast")).unwrap();
    until("room again, and the log says so", WAIT, || {
        ask(&ledger, &server).status == 200 && told("takes writes again") == 1
    });
    let balance = ledger.balance_of(&server);
    println!("{taken} taken, {refused} refused; {balance:?}");
    assert!(server.log.text().lines().count() < 20, "{}", server.log.text());
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
