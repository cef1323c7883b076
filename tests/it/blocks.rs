//! Blocking, complete (design §6): smaller packets, poison, signs of life, probing, pauses that a portal asks for. On a
//! manual clock.

use std::time::Duration;

use trunkline::clock::{Clock, UnixMillis};
use trunkline::ids::{LineId, MessageId};
use trunkline::language::Language;
use trunkline::net::Answer;
use trunkline::queue::lost::Tell;
use trunkline::queue::{self, dead};
use trunkline::sender::Event;
use trunkline::store::counters::Direction;
use trunkline::store::{Tx, directory};

use crate::support::house::{House, Reply, START, Ways, answer, gone, ok, refused, silent};

const FIRST: Duration = Duration::from_millis(42_187);

fn reasons(house: &House) -> Vec<(String, String)> {
    let letters = dead::list(&house.stage.store.reading().unwrap(), 1000).unwrap();
    letters.into_iter().map(|letter| (letter.message, letter.reason)).collect()
}

/// A portal that takes everything but packets with `poison` in them.
fn chokes_on(poison: &'static str, how: fn() -> Reply) -> impl FnMut(&[String]) -> Reply + Send + 'static {
    move |marks| if marks.iter().any(|mark| mark == poison) { how() } else { ok() }
}

#[test]
fn a_portal_that_answers_but_refuses_gets_smaller_packets() {
    let mut house = House::new();
    house.portal("box.test", |_| refused());
    let line = house.line("box.test", "1", "23.100.0");
    for number in 0..12 {
        house.push(line, &format!("m{number}"));
    }
    house.pass(Duration::from_mins(3));
    let sizes = |house: &House| house.heard("box.test").iter().map(Vec::len).collect::<Vec<_>>();
    assert_eq!(sizes(&house), [10, 5, 2, 1]);
    // Once it takes them, they grow again.
    house.portal("box.test", |_| ok());
    house.pass(Duration::from_mins(3));
    assert_eq!(sizes(&house)[4..], [1, 2, 4, 5]);

    // Nobody there: smaller packets would not help.
    let line = house.line("away.test", "1", "23.100.0");
    house.portal("away.test", |_| gone());
    for number in 0..12 {
        house.push(line, &format!("m{number}"));
    }
    house.pass(Duration::from_mins(3));
    assert!(house.heard("away.test").iter().all(|marks| marks.len() == 10));
}

/// One bad message harms nobody else: it is found, parked and told, and the order of the others is kept.
#[test]
fn a_message_that_the_portal_does_not_take_is_parked_while_others_pass() {
    for (case, how) in [
        ("a refusal", refused as fn() -> Reply),
        ("a fatal error", || answer(500, "<html>Fatal error")),
        ("half a body", || answer(200, r#"{"OK":tr"#)),
        ("silence", silent),
    ] {
        let mut house = House::new();
        house.portal("box.test", |_| gone());
        let line = house.line("box.test", "1", "23.100.0");
        let mark = |number: u32| format!("{}/m{number}", ["ann", "ben", "cat"][number as usize % 3]);
        for number in 0..25 {
            house.push(line, &mark(number));
        }
        house.settle();
        house.portal("box.test", chokes_on("ben/m13", how));
        house.pass(Duration::from_hours(1));
        assert_eq!(reasons(&house), [("ben/m13".to_owned(), "poison".to_owned())], "{case}");
        let sums = house.sums();
        assert_eq!((sums.confirmed, sums.dead, sums.queued), (24, 1, 0), "{case}");
        let mut passed = house.heard("box.test");
        passed.remove(0);
        passed.retain(|marks| !marks.contains(&"ben/m13".to_owned()));
        let passed = passed.concat();
        assert_eq!(passed.len(), 24, "{case}: each once");
        for chat in ["ann", "ben", "cat"] {
            let of = |mark: &String| mark.starts_with(chat);
            let want: Vec<_> = (0..25).filter(|number| *number != 13).map(mark).filter(of).collect();
            let got: Vec<_> = passed.iter().filter(|mark| of(mark)).cloned().collect();
            assert_eq!(got, want, "{case}: in order");
        }
        let record = house.record(line);
        assert_eq!((record.attempts, record.blocked_until), (0, None), "{case}");
    }
}

/// Where only one chat waits, what it wrote next is the evidence, in its order, if the portal answers at all.
#[test]
fn a_chat_that_is_alone_is_judged_by_the_portals_answers_only() {
    for (case, how, dead) in [
        ("a refusal", refused as fn() -> Reply, 1),
        ("a fatal error", || answer(500, "<html>Fatal error"), 1),
        ("silence", silent, 0),
    ] {
        let mut house = House::new();
        house.portal("box.test", chokes_on("m0", how));
        let line = house.line("box.test", "1", "23.100.0");
        for number in 0..5 {
            house.push(line, &format!("m{number}"));
        }
        house.pass(Duration::from_hours(12));
        assert_eq!(reasons(&house).len(), dead, "{case}");
        // A portal that says nothing may have come back during any of these silences.
        assert!(house.heard("box.test").concat().contains(&"m4".to_owned()), "{case}");
        let others = house.heard("box.test").iter().filter(|marks| !marks.contains(&"m0".to_owned())).count();
        assert_eq!(others > 0, dead == 1, "{case}");
    }
}

/// Promise 3. Regression: a portal that came back during a suspect's silence took the evidence, a later message of the
/// same chat, before the suspect.
#[test]
fn promise_3_nobody_of_a_chat_is_overtaken_by_evidence() {
    for marks in [&["a/0", "a/1", "b/0", "b/1"][..], &["a/0", "a/1", "a/2"], &["a/0", "b/0", "b/1", "a/1", "c/0"]] {
        for returns_after in 1..8 {
            let mut house = House::new();
            let mut lone = 0;
            house.portal("box.test", move |marks| {
                lone += u32::from(marks == ["a/0"]);
                // It comes back while the server still waits for the answer to that one.
                if lone < returns_after || (lone == returns_after && marks == ["a/0"]) { silent() } else { ok() }
            });
            let line = house.line("box.test", "1", "23.100.0");
            for mark in marks {
                house.push(line, mark);
            }
            house.pass(Duration::from_hours(20));
            assert_eq!((house.sums().queued, house.sums().dead), (0, 0), "{marks:?} {returns_after}");
            let mut heard = house.heard("box.test").concat();
            // The last time that each came is the one that it was taken.
            let mut seen = std::collections::BTreeSet::new();
            heard.reverse();
            heard.retain(|mark| seen.insert(mark.clone()));
            heard.reverse();
            for chat in ["a", "b", "c"] {
                let of: Vec<_> = heard.iter().filter(|mark| mark.starts_with(chat)).collect();
                assert!(of.is_sorted(), "{marks:?} {returns_after}: {heard:?}");
            }
        }
    }
}

#[test]
fn a_message_is_judged_only_after_as_many_lone_failures_as_configured() {
    for attempts in [1, 2, 5] {
        let mut house = House::with(Ways { poison_attempts: attempts, ..Ways::default() });
        house.portal("box.test", chokes_on("bad", refused));
        let line = house.line("box.test", "1", "23.100.0");
        house.push(line, "bad");
        house.push(line, "good");
        house.pass(Duration::from_hours(2));
        let lone = house.heard("box.test").iter().filter(|marks| **marks == ["bad"]).count();
        assert_eq!(lone, usize::try_from(attempts).unwrap() + 1, "and once more after the evidence");
        assert_eq!(house.sums().dead, 1);
    }
}

/// A portal that refuses everything, or is away, is no reason to give a single message up.
#[test]
fn nothing_is_poison_without_evidence() {
    for (case, how) in [("refuses all", refused as fn() -> Reply), ("silent", silent), ("gone", gone)] {
        let mut house = House::new();
        house.portal("box.test", move |_| how());
        let line = house.line("box.test", "1", "23.100.0");
        for number in 0..5 {
            house.push(line, &format!("m{number}"));
        }
        house.pass(Duration::from_hours(23));
        assert_eq!((house.sums().queued, house.sums().dead), (5, 0), "{case}");
        house.portal("box.test", |_| ok());
        house.pass(Duration::from_mins(59));
        // Their time is not over: the portal's sign of life saves all of them.
        let portal = house.record(line).portal;
        house.stage.bell.tell(Event::Alive(portal));
        house.settle();
        assert_eq!((house.sums().queued, house.sums().confirmed), (0, 5), "{case}");
    }
}

/// Regression: a portal that answered rubbish to everything and came back between the last failure of a suspect and the
/// evidence made that evidence false.
#[test]
fn a_portal_that_comes_back_before_the_evidence_proves_nothing() {
    for (case, how) in
        [("a refusal", refused as fn() -> Reply), ("a page", || answer(200, "<html>")), ("silence", silent)]
    {
        let mut house = House::new();
        let mut lone = 0;
        house.portal("box.test", move |marks| {
            if marks == ["m0"] {
                lone += 1;
            }
            if lone < 3 || (lone == 3 && marks == ["m0"]) { how() } else { ok() }
        });
        let line = house.line("box.test", "1", "23.100.0");
        for mark in ["m0", "m1", "m2", "d/m3", "m4"] {
            house.push(line, mark);
        }
        house.pass(Duration::from_hours(12));
        assert_eq!(reasons(&house), [], "{case}");
        assert_eq!((house.sums().queued, house.sums().confirmed), (0, 5), "{case}");
    }
}

/// The last message of a line has nothing behind it that could be the evidence: the next one that comes in is, at once,
/// although the block has hours to go.
#[test]
fn a_new_message_is_evidence_against_a_suspect() {
    let mut house = House::new();
    house.portal("box.test", chokes_on("bad", refused));
    let line = house.line("box.test", "1", "23.100.0");
    house.push(line, "bad");
    house.pass(Duration::from_hours(7));
    assert!(house.record(line).blocked_until.unwrap() > house.stage.clock.now().plus(Duration::from_hours(4)));
    house.push(line, "good");
    house.settle();
    assert_eq!(reasons(&house), [("bad".to_owned(), "poison".to_owned())]);
    assert_eq!((house.sums().confirmed, house.sums().queued), (1, 0));
}

/// Several in a row: each is found, and what stands between and behind them passes.
#[test]
fn neighbours_that_are_both_poison_are_both_found() {
    let mut house = House::new();
    house.portal("box.test", |marks: &[String]| {
        if marks.iter().any(|mark| ["m3", "m4", "m5", "m8"].contains(&mark.as_str())) { refused() } else { ok() }
    });
    let line = house.line("box.test", "1", "23.100.0");
    for number in 0..12 {
        house.push(line, &format!("m{number}"));
    }
    house.pass(Duration::from_hours(12));
    let dead: Vec<String> = reasons(&house).into_iter().map(|(mark, _)| mark).collect();
    assert_eq!(dead, ["m3", "m4", "m5", "m8"]);
    assert_eq!((house.sums().confirmed, house.sums().queued), (8, 0));
}

/// A partial confirmation removes what it names; the rest counts as unconfirmed and begins a day of its own.
#[test]
fn a_partial_confirmation_is_progress() {
    let mut house = House::with(Ways { by_status: true, ..Ways::default() });
    let line = house.line("box.test", "1", "17.0.14");
    house.push(line, "m0");
    house.settle();
    for number in 1..=6 {
        house.push(line, &format!("m{number}"));
    }
    house.stage.status(line, &["m0"]);
    house.settle();
    house.stage.status(line, &["m1", "m2", "m4", "m6"]);
    house.settle();
    assert_eq!((house.sums().confirmed, house.record(line).attempts), (5, 0));
    house.pass(Duration::from_secs(91));
    assert_eq!((house.record(line).attempts, house.sums().queued), (1, 2));
    house.pass(FIRST);
    assert_eq!(house.heard("box.test").last().unwrap(), &["m3"], "half of what was left");
    house.stage.status(line, &["m3"]);
    house.settle();
    house.stage.status(line, &["m5"]);
    house.settle();
    assert_eq!((house.sums().queued, house.record(line).attempts, house.record(line).blocked_until), (0, 0, None));
}

#[test]
fn a_sign_of_life_lifts_a_block_once_a_minute_without_counting() {
    let mut house = House::new();
    house.portal("box.test", |_| gone());
    let line = house.line("box.test", "1", "23.100.0");
    house.push(line, "m");
    house.pass(Duration::from_hours(1));
    let before = house.record(line);
    let posts = house.heard("box.test").len();
    let alive = |house: &mut House, times: usize| {
        for _ in 0..times {
            house.stage.bell.tell(Event::Alive(before.portal));
            house.settle();
        }
        house.heard("box.test").len() - posts
    };
    assert_eq!(alive(&mut house, 3), 1);
    let after = house.record(line);
    assert_eq!((after.attempts, after.blocked_until), (before.attempts, before.blocked_until), "as it was");
    house.pass(Duration::from_secs(59));
    assert_eq!(alive(&mut house, 1), 1, "within the minute");
    house.pass(Duration::from_secs(1));
    assert_eq!(alive(&mut house, 1), 2);
    // The 24 hours run on all the same.
    house.stage.clock.set(START.plus(Duration::from_hours(24)));
    house.settle();
    assert_eq!(reasons(&house), [("m".to_owned(), "expired".to_owned())]);
}

#[test]
fn a_success_on_one_line_lifts_the_others_of_the_portal() {
    let mut house = House::new();
    house.portal("box.test", |_| gone());
    let lines: Vec<LineId> = (0..5).map(|number| house.line("box.test", &number.to_string(), "23.100.0")).collect();
    let other = house.line("other.test", "1", "23.100.0");
    for line in &lines {
        house.push(*line, "m");
    }
    house.pass(Duration::from_hours(2));
    house.portal("box.test", |_| ok());
    house.push(other, "elsewhere");
    house.settle();
    assert_eq!(house.sums().queued, 5, "another portal's success says nothing");
    house.push(house.line("box.test", "new", "23.100.0"), "fresh");
    house.settle();
    assert_eq!(house.sums().queued, 0, "all at once");
    assert!(lines.iter().all(|line| house.record(*line).attempts == 0));
}

/// Design §6: a portal that is down is probed by one line at a time, not by all of its lines; each line's day ends when it
/// must all the same.
#[test]
fn a_portal_that_is_down_is_probed_by_few() {
    let mut house = House::new();
    house.portal("box.test", |_| gone());
    let lines: Vec<LineId> = (0..100).map(|number| house.line("box.test", &number.to_string(), "23.100.0")).collect();
    for line in &lines {
        house.push(*line, "m");
    }
    house.settle();
    assert_eq!(house.heard("box.test").len(), 2, "one, and a second opinion");
    assert!(lines.iter().all(|line| house.record(*line).attempts == 1), "the others take their word");
    house.pass(Duration::from_hours(23));
    assert!(house.heard("box.test").len() <= 30, "{} posts", house.heard("box.test").len());
    assert!(lines.iter().all(|line| house.record(*line).attempts == 12));
    house.pass(Duration::from_hours(1));
    assert_eq!((house.sums().dead, house.sums().queued), (100, 0));
}

/// One line whose own message chokes the portal does not speak for the others.
#[test]
fn one_lines_silence_does_not_stop_the_other_lines() {
    let mut house = House::new();
    house.portal("box.test", chokes_on("bad", silent));
    let bad = house.line("box.test", "1", "23.100.0");
    let good = house.line("box.test", "2", "23.100.0");
    house.push(bad, "bad");
    house.settle();
    house.push(good, "good");
    house.settle();
    assert_eq!((house.sums().confirmed, house.record(good).attempts), (1, 0));
}

#[test]
fn a_wish_for_a_pause_is_kept_and_is_no_attempt() {
    let busy = |status, wish: &str| {
        Ok(Answer { status, headers: vec![("retry-after".into(), wish.into())], body: Vec::new() }) as Reply
    };
    for (status, wish, attempts, wait) in [
        (503, "20", 0, Duration::from_secs(20)),
        (429, "20", 0, Duration::from_secs(20)),
        (503, "86400", 0, FIRST),
        (503, "soon", 1, FIRST),
        (502, "20", 1, FIRST),
    ] {
        let mut house = House::new();
        house.script("box.test", [busy(status, wish)]);
        let line = house.line("box.test", "1", "23.100.0");
        house.push(line, "m");
        house.settle();
        assert_eq!(house.record(line).attempts, attempts, "{status} {wish}");
        assert_eq!(house.blocked_for(line), Some(wait), "{status} {wish}");
        house.pass(wait);
        assert_eq!((house.sums().queued, house.record(line).first_attempt_at), (0, None), "{status} {wish}");
    }
    // A portal that asks for pauses for ever: the day ends all the same.
    let mut house = House::new();
    house.portal("box.test", move |_| busy(503, "3600"));
    let line = house.line("box.test", "1", "23.100.0");
    house.push(line, "m");
    house.pass(Duration::from_hours(24) - Duration::from_millis(1));
    assert_eq!((house.sums().queued, house.record(line).attempts), (1, 0));
    house.pass(Duration::from_millis(1));
    assert_eq!(reasons(&house), [("m".to_owned(), "expired".to_owned())]);
}

/// A restart in the middle of everything changes neither the count nor the end of the day.
#[test]
fn a_restart_keeps_the_block() {
    let mut house = House::new();
    house.portal("box.test", |_| gone());
    let line = house.line("box.test", "1", "23.100.0");
    house.push(line, "m");
    house.pass(Duration::from_hours(1));
    let (before, posts) = (house.record(line), house.heard("box.test").len());
    house.stage.restart().unwrap();
    house.settle();
    let after = house.record(line);
    assert_eq!(house.heard("box.test").len(), posts, "a restart is no attempt");
    assert_eq!((after.attempts, after.blocked_until), (before.attempts, before.blocked_until));
    house.stage.advance(UnixMillis(START.0 + 24 * 3_600_000)).unwrap();
    assert_eq!(reasons(&house), [("m".to_owned(), "expired".to_owned())]);
}

/// Promise 6: the portal hears of what was lost as soon as it gives a sign of life, once for each line, however long it
/// was away and whatever was restarted meanwhile; switched off it hears nothing.
#[test]
fn promise_6_a_portal_hears_once_what_was_lost_while_it_was_away() {
    for (language, words) in [(Language::En, "could not be delivered"), (Language::Ru, "не удалось доставить")]
    {
        let tell = Some(Tell { language, kept: true });
        let mut house = House::with(Ways { tell, ..Ways::default() });
        house.portal("box.test", |_| gone());
        let line = house.line("box.test", "1", "17.0.14");
        for day in 0..3 {
            for number in 0..600 {
                house.push(line, &format!("m{day}-{number}"));
            }
            house.pass(Duration::from_hours(24));
            let record = house.record(line);
            assert_eq!((record.attempts, record.blocked_until, house.sums().queued), (0, None, 0), "day {day}");
        }
        assert_eq!(house.sums().dead, 1800);
        house.stage.restart().unwrap();
        house.portal("box.test", |_| ok());
        house.pass(Duration::from_hours(1));
        assert!(house.heard("box.test").iter().all(|post| !post[0].contains(words)), "nobody knows that it is back");
        house.stage.bell.tell(Event::Alive(house.record(line).portal));
        house.settle();
        let news = house.heard("box.test").pop().unwrap();
        assert!(news.len() == 1 && news[0].contains(words) && news[0].contains(": 1800"), "{news:?}");
        assert!(news[0].contains("2017-07-14 02:40:00") && news[0].contains(&format!("--line {line}")), "{news:?}");
        house.push(line, "the next message");
        house.stage.bell.tell(Event::Alive(house.record(line).portal));
        house.settle();
        assert_eq!(house.heard("box.test").last().unwrap(), &["the next message"], "once");
    }
    let mut house = House::new();
    house.portal("box.test", |_| gone());
    let line = house.line("box.test", "1", "17.0.14");
    house.push(line, "m");
    house.pass(Duration::from_hours(24));
    house.portal("box.test", |_| ok());
    house.push(line, "after");
    house.settle();
    assert_eq!(house.heard("box.test").last().unwrap(), &["after"]);
}

/// News that is itself lost is not forgotten: the next one says both.
#[test]
fn promise_6_lost_news_of_a_loss_is_added_to_the_next() {
    let tell = Some(Tell { language: Language::En, kept: true });
    let mut house = House::with(Ways { tell, ..Ways::default() });
    house.portal("box.test", |_| gone());
    let line = house.line("box.test", "1", "17.0.14");
    let alive = Event::Alive(house.record(line).portal);
    house.push(line, "one");
    house.pass(Duration::from_hours(24));
    house.stage.bell.tell(alive);
    house.pass(Duration::from_hours(1));
    house.push(line, "two");
    house.pass(Duration::from_hours(24));
    assert_eq!((house.sums().queued, house.sums().dead), (0, 3), "two messages and the news");
    house.portal("box.test", |_| ok());
    house.push(line, "three");
    house.settle();
    let heard = house.heard("box.test").concat();
    assert!(heard.iter().any(|text| text.contains("this portal: 2, received")), "{heard:?}");
}

#[test]
fn promise_6_a_portal_hears_of_a_message_that_it_did_not_take() {
    let tell = Some(Tell { language: Language::En, kept: false });
    let mut house = House::with(Ways { tell, ..Ways::default() });
    house.portal("box.test", chokes_on("bad", refused));
    let line = house.line("box.test", "1", "23.100.0");
    house.push(line, "bad");
    house.push(line, "good");
    house.pass(Duration::from_hours(1));
    let news = house.heard("box.test").pop().unwrap();
    assert!(news[0].contains(": 1, received") && news[0].ends_with("They were not kept."), "{news:?}");
    assert_eq!((house.sums().dead, house.sums().queued), (1, 0));
}

/// A proxy may ask for a pause although the portal behind it has taken the packet and says so a moment later.
#[test]
fn a_confirmation_during_a_wished_pause_counts() {
    let busy = Answer { status: 503, headers: vec![("retry-after".into(), "30".into())], body: Vec::new() };
    let mut house = House::new();
    house.script("box.test", [Ok(busy)]);
    let line = house.line("box.test", "1", "17.0.14");
    house.push(line, "m");
    house.settle();
    assert_eq!((house.record(line).attempts, house.sums().queued), (0, 1));
    house.stage.status(line, &["m"]);
    house.settle();
    let record = house.record(line);
    assert_eq!((house.sums().confirmed, record.blocked_until, record.first_attempt_at), (1, None, None));
    house.pass(Duration::from_mins(5));
    assert_eq!(house.heard("box.test").len(), 1, "not posted again");
}

/// What a person does to a line is seen by the server like any change from outside.
fn by_hand(house: &mut House, work: impl Fn(&mut Tx<'_>) -> rusqlite::Result<()> + Send + 'static) {
    house.stage.writer.write(Duration::from_secs(5), work).unwrap();
    house.stage.bell.tell(Event::Changed);
    house.settle();
}

/// A day belongs to the messages that waited through it: when they were dropped by hand, the next one begins its own
/// and is not given up untried.
#[test]
fn a_line_that_was_emptied_by_hand_begins_a_new_day() {
    let mut house = House::new();
    house.portal("box.test", |_| gone());
    let line = house.line("box.test", "1", "23.100.0");
    house.push(line, "dropped");
    house.settle();
    by_hand(&mut house, move |tx| {
        let row = queue::head(tx.db(), line, MessageId(0), 1)?.remove(0);
        dead::bury(tx, Direction::In, row.id, dead::Reason::Dropped, "by hand").map(drop)
    });
    house.pass(Duration::from_hours(25));
    let record = house.record(line);
    assert_eq!((record.attempts, record.first_attempt_at, record.blocked_until), (0, None, None));
    house.portal("box.test", |_| ok());
    house.push(line, "next");
    house.settle();
    assert_eq!((house.sums().confirmed, house.sums().dead), (1, 1));
}

/// The end of a trouble is stored also when it never counted an attempt and its pause was ended by hand.
#[test]
fn an_unblocked_pause_leaves_no_day_behind() {
    let busy = Answer { status: 503, headers: vec![("retry-after".into(), "30".into())], body: Vec::new() };
    let mut house = House::new();
    house.script("box.test", [Ok(busy)]);
    let line = house.line("box.test", "1", "23.100.0");
    house.push(line, "m");
    house.settle();
    let mut record = house.record(line);
    record.blocked_until = None;
    by_hand(&mut house, move |tx| directory::set_block(tx, &record));
    assert_eq!((house.sums().confirmed, house.record(line).first_attempt_at), (1, None));
}
