//! The wall clock set back and forward by a day, while the server runs and while it is off: blocks neither vanish nor last
//! for ever, and nothing becomes a dead letter that nobody has asked for (promises 7 and 11).

use std::time::Duration;

use trunkline::clock::{Clock, UnixMillis};
use trunkline::queue::blocks::Schedule;

use crate::support::house::{House, gone, ok};

const DAY_MILLIS: i64 = 86_400_000;
const DAY: Duration = Duration::from_hours(24);

/// A line with one message whose portal was away once, just now.
fn blocked() -> (House, trunkline::ids::LineId) {
    let mut house = House::new();
    house.portal("box.test", |_| gone());
    let line = house.line("box.test", "1", "23.100.0");
    house.push(line, "held");
    house.settle();
    assert_eq!(posts(&house), 1);
    (house, line)
}

fn posts(house: &House) -> usize {
    house.heard("box.test").len()
}

fn wait(attempt: u32) -> Duration {
    Schedule::default().wait(attempt)
}

fn set(house: &mut House, millis: i64) {
    house.stage.clock.jump(millis);
    house.settle();
}

fn restart_at(house: &mut House, millis: i64) {
    let now = house.stage.clock.now();
    house.stage.clock.set(UnixMillis(now.0 + millis));
    house.stage.restart().unwrap();
    house.settle();
}

/// A running server knows by how much the clock was set: every block lasts exactly as long as it was meant to, also as it
/// is stored and shown, and the day is 24 hours of time that has passed.
#[test]
fn a_clock_that_is_set_beside_a_running_server_changes_no_block() {
    for millis in [-DAY_MILLIS, DAY_MILLIS, -3 * DAY_MILLIS, 30 * DAY_MILLIS] {
        let (mut house, line) = blocked();
        house.pass(Duration::from_secs(10));
        set(&mut house, millis);
        assert_eq!(posts(&house), 1, "{millis}");
        let left = house.blocked_for(line).unwrap();
        assert!(left.abs_diff(wait(1) - Duration::from_secs(10)) <= Duration::from_millis(1), "{millis}: {left:?}");
        house.pass(wait(1) - Duration::from_secs(11));
        assert_eq!(posts(&house), 1, "{millis}");
        house.pass(Duration::from_secs(2));
        assert_eq!(posts(&house), 2, "{millis}");
        house.pass(DAY - wait(1) - Duration::from_secs(2));
        assert_eq!((posts(&house), house.sums().queued), (12, 1), "{millis}");
        house.pass(Duration::from_secs(2));
        assert_eq!((house.sums().queued, house.sums().dead), (0, 1), "{millis}");
    }
}

/// What a portal was found to be by the old time is not believed for a day.
#[test]
fn lines_do_not_take_an_old_finding_for_new() {
    let (mut house, _) = blocked();
    let second = house.line("box.test", "2", "23.100.0");
    let third = house.line("box.test", "3", "23.100.0");
    house.push(second, "seconds");
    house.settle();
    set(&mut house, -DAY_MILLIS);
    house.pass(Duration::from_secs(61));
    house.portal("box.test", |_| ok());
    house.push(third, "asks itself");
    house.settle();
    assert!(house.heard("box.test").concat().contains(&"asks itself".to_owned()));
}

/// A server that was off does not know: no block is longer than the table allows, and the day ends.
#[test]
fn a_clock_that_was_set_back_while_the_server_was_off_makes_no_block_longer() {
    let (mut house, line) = blocked();
    restart_at(&mut house, -DAY_MILLIS);
    assert_eq!(posts(&house), 1);
    let shown = house.blocked_for(line).unwrap();
    assert!(shown.abs_diff(wait(2)) <= Duration::from_millis(1), "as it is shown: {shown:?}");
    house.pass(wait(2));
    assert_eq!(posts(&house), 2);
    assert_eq!(house.record(line).attempts, 2);
    house.pass(DAY);
    assert_eq!((house.sums().queued, house.sums().dead), (0, 1));
}

/// Set forward, or off for days: the portal is asked once more before anything is given up.
#[test]
fn a_day_that_passed_unseen_ends_with_an_attempt() {
    for days in [1, 3, 400] {
        let (mut house, _) = blocked();
        house.portal("box.test", |_| ok());
        restart_at(&mut house, days * DAY_MILLIS + 120_000);
        assert_eq!((posts(&house), house.sums().confirmed), (2, 1), "{days} days, and the portal is back");

        let (mut house, _) = blocked();
        restart_at(&mut house, days * DAY_MILLIS + 120_000);
        assert_eq!((posts(&house), house.sums().queued), (2, 1), "{days} days, and the portal is still away");
        house.pass(Duration::from_secs(61));
        assert_eq!((house.sums().queued, house.sums().dead), (0, 1), "{days} days");
    }
}
