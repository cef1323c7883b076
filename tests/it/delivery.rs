//! Queue, sender and box protocol together on a manual clock, the portal played by a script: order, independence of
//! lines, confirmations, the 24-hour schedule.

use std::time::Duration;

use trunkline::clock::{Clock, UnixMillis};
use trunkline::ids::LineId;
use trunkline::queue::dead;
use trunkline::store::counters::Accounting;

use crate::support::house::{House, START, Ways, answer, gone, ok, silent};
use crate::support::until;

const WAIT: Duration = Duration::from_secs(5);

#[test]
fn promise_3_a_lines_messages_leave_in_order_and_in_packets() {
    let mut house = House::new();
    let line = house.line("good.test", "1", "23.100.0");
    let marks: Vec<String> = (0..25).map(|number| format!("m{number}")).collect();
    for mark in &marks {
        house.push(line, mark);
    }
    house.settle();
    let heard = house.heard("good.test");
    assert_eq!(heard.concat(), marks);
    assert!(heard.iter().all(|packet| packet.len() <= 10), "{heard:?}");
    assert_eq!(house.sums(), Accounting { accepted: 25, confirmed: 25, ..Accounting::default() });
}

#[test]
fn promise_2_a_repeat_adds_nothing() {
    let mut house = House::new();
    let line = house.line("good.test", "1", "23.100.0");
    house.push(line, "once");
    house.push(line, "once");
    house.settle();
    house.push(line, "once");
    house.push(line, "end");
    house.settle();
    assert_eq!(house.heard("good.test").concat(), ["once", "end"]);
}

#[test]
fn promise_3_a_dead_and_a_silent_portal_delay_nobody_else() {
    let mut house = House::new();
    let (release, hang) = crossbeam_channel::bounded::<()>(0);
    house.portal("bad.test", move |_| {
        let _ = hang.recv();
        ok()
    });
    // More silent lines than workers: they must not take all of them.
    let bad: Vec<LineId> = (0..8).map(|number| house.line("bad.test", &number.to_string(), "23.100.0")).collect();
    let good = house.line("good.test", "1", "23.100.0");
    for line in &bad {
        house.push(*line, "stuck");
    }
    house.stage.sender.step().unwrap();
    assert!(house.stage.sender.in_flight() > 0);
    house.push(good, "through");
    until("the good portal", WAIT, || {
        house.stage.sender.step().unwrap();
        !house.heard("good.test").is_empty() && house.sums().queued == 8
    });
    drop(release);
    house.settle();
    assert_eq!(house.sums().queued, 0);
}

/// As many silent portals as there are workers, and more: each keeps its worker for one second, not for as long as a
/// packet may stay unconfirmed.
#[test]
fn promise_3_many_silent_portals_at_once_delay_nobody_else_for_long() {
    let mut house = House::new();
    let (release, hang) = crossbeam_channel::bounded::<()>(0);
    let workers = Ways::default().workers;
    for number in 0..2 * workers {
        let hang = hang.clone();
        house.portal(&format!("bad{number}.test"), move |_| {
            let _ = hang.recv();
            ok()
        });
        let line = house.line(&format!("bad{number}.test"), "1", "23.100.0");
        house.push(line, "stuck");
    }
    house.stage.sender.step().unwrap();
    let good = house.line("good.test", "1", "23.100.0");
    house.push(good, "through");
    for round in 1..=2 {
        house.stage.sender.step().unwrap();
        assert_eq!(house.stage.sender.in_flight(), round * workers);
        assert!(house.heard("good.test").is_empty());
        house.stage.clock.set(house.stage.clock.now().plus(Duration::from_secs(1)));
    }
    until("the good portal", WAIT, || {
        house.stage.sender.step().unwrap();
        !house.heard("good.test").is_empty() && house.stage.sender.in_flight() == 2 * workers
    });
    drop(release);
    house.settle();
    assert_eq!(house.sums().queued, 0);
    assert_eq!(house.sums().difference(), 0);
}

/// Design §6, promises 6, 7 and 11.
#[test]
fn promise_7_after_twelve_attempts_and_24_hours_everything_is_a_dead_letter() {
    let mut house = House::new();
    house.portal("bad.test", |_| gone());
    let line = house.line("bad.test", "1", "23.100.0");
    house.push(line, "first");
    for attempt in 1..=12 {
        house.settle();
        let record = house.record(line);
        assert_eq!(record.attempts, attempt);
        let until = record.blocked_until.unwrap();
        let posts = house.heard("bad.test").len();
        assert_eq!(posts, usize::try_from(attempt).unwrap());
        // A message that comes in during a block wakes nothing.
        house.push(line, &format!("during {attempt}"));
        house.pass(Duration::from_millis(u64::try_from(until.0 - 1 - house.stage.clock.now().0).unwrap()));
        assert_eq!(house.heard("bad.test").len(), posts, "attempt {attempt}");
        house.stage.clock.set(until);
    }
    assert_eq!(house.stage.clock.now().since(START), Duration::from_hours(24));
    house.settle();
    let sums = house.sums();
    assert_eq!((sums.accepted, sums.dead, sums.confirmed), (13, 13, 0));
    assert!(house.record(line).blocked_until.is_none());
    let letters = dead::list(&house.stage.store.reading().unwrap(), 100).unwrap();
    assert_eq!(letters.len(), 13);
    assert!(letters.iter().all(|letter| letter.reason == "expired" && !letter.error.is_empty()));
    // The line works again at once.
    house.portal("bad.test", |_| ok());
    house.push(line, "after");
    house.settle();
    assert_eq!(house.sums().queued, 0);
}

#[test]
fn a_success_ends_the_block_and_the_count() {
    let mut house = House::new();
    house.script("bad.test", [gone(), gone()]);
    let line = house.line("bad.test", "1", "23.100.0");
    house.push(line, "m");
    house.settle();
    let first = house.record(line).blocked_until.unwrap();
    house.stage.clock.set(first);
    house.settle();
    let record = house.record(line);
    let second = record.blocked_until.unwrap();
    assert_eq!((record.attempts, second.since(first)), (2, Duration::from_millis(42_187)));
    house.stage.clock.set(second);
    house.settle();
    let record = house.record(line);
    assert_eq!((house.sums().queued, record.attempts), (0, 0));
    assert_eq!((record.blocked_until, record.first_attempt_at, record.last_error), (None, None, None));
}

/// Whatever a portal answers that is not its OK, nothing is deleted.
#[test]
fn only_ok_true_confirms() {
    for (case, bad) in [
        ("rubbish", answer(200, "<html>hello</html>")),
        ("half a body", answer(200, r#"{"OK":tr"#)),
        ("empty", answer(200, "")),
        ("a refusal", answer(200, r#"{"OK":false,"DATA":[],"ERROR":[{"CODE":"NOT_ACTIVE_LINE"}]}"#)),
        ("an error object", answer(200, r#"{"OK":false,"ERROR":{"CODE":"MODULE_NOT_INSTALLED"}}"#)),
        ("502", answer(502, "")),
        ("a redirect", answer(302, "")),
        ("a time-out", silent()),
    ] {
        let mut house = House::new();
        house.script("bad.test", [bad]);
        let line = house.line("bad.test", "1", "23.100.0");
        house.push(line, "m");
        house.settle();
        assert_eq!((house.record(line).attempts, house.sums().queued), (1, 1), "{case}");
        assert!(house.record(line).last_error.is_some(), "{case}");
    }
}

/// `interface.md` §6: a confirmation that comes after the time-out still removes its messages and ends the block.
#[test]
fn a_late_set_status_delivered_still_confirms() {
    let mut house = House::new();
    house.script("bad.test", [silent()]);
    let line = house.line("bad.test", "1", "17.0.14");
    house.push(line, "late");
    house.settle();
    house.stage.status(line, &["other", "late"]);
    house.settle();
    assert_eq!(house.record(line).blocked_until, None);
    assert_eq!((house.sums().queued, house.sums().confirmed), (0, 1));
    assert_eq!(house.heard("bad.test").len(), 1, "not posted again");
}

#[test]
fn what_was_never_posted_cannot_be_confirmed() {
    let mut house = House::new();
    house.script("bad.test", [gone()]);
    let line = house.line("bad.test", "1", "17.0.14");
    house.push(line, "posted");
    house.settle();
    house.push(line, "waiting");
    house.stage.status(line, &["waiting"]);
    house.settle();
    assert_eq!((house.record(line).attempts, house.sums().queued), (1, 2));
}

/// `queue.confirm = "status"`: the reply alone is not enough for portals that send `setStatusDelivered`.
#[test]
fn confirmation_by_status_waits_for_the_status() {
    let mut house = House::with(Ways { by_status: true, ..Ways::default() });
    let line = house.line("good.test", "1", "17.0.14");
    house.push(line, "a");
    house.push(line, "b");
    // The order of reply and status does not matter: here both packets are answered first.
    for mark in ["a", "b"] {
        house.settle();
        house.stage.status(line, &[mark]);
    }
    house.settle();
    assert_eq!(house.sums().confirmed, 2);

    // A portal of a version that sends none is confirmed by its reply.
    let newer = house.line("new.test", "1", "23.100.0");
    house.push(newer, "c");
    house.settle();
    assert_eq!(house.sums().confirmed, 3);

    // And one that owes it and never sends it is blocked after the time-out.
    house.push(line, "silent");
    house.settle();
    assert_eq!((house.stage.sender.in_flight(), house.record(line).attempts), (1, 0));
    house.pass(Duration::from_secs(91));
    assert_eq!((house.sums().queued, house.record(line).attempts), (1, 1));
}

/// A confirmation of something that was never sent, or the same one twice, changes nothing.
#[test]
fn confirmations_out_of_place_change_nothing() {
    let mut house = House::new();
    let line = house.line("good.test", "1", "17.0.14");
    house.stage.status(line, &["never"]);
    house.push(line, "once");
    house.settle();
    for _ in 0..2 {
        house.stage.status(line, &["once"]);
        house.settle();
    }
    assert_eq!(house.sums(), Accounting { accepted: 1, confirmed: 1, ..Accounting::default() });
    assert_eq!(UnixMillis(START.0), house.stage.clock.now(), "nothing waited");
}
