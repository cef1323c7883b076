//! Faults of the machine around the running program, and of itself: each is survived, or ends the server with a sentence
//! that says what to do; in no case is an accepted message lost.

use std::time::Duration;

use crate::support::http::Client;
use crate::support::ledger::Ledger;
use crate::support::until;

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
