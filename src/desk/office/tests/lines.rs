//! Open Lines: who gets a conversation, what the desk says by itself, how one ends.

use super::*;

#[test]
fn conversations_are_handed_out_and_pass_on() {
    for version in VERSIONS {
        for (mode, first, second, back) in [
            (Mode::Strictly, [Some(1), Some(1)], [Some(2), Some(2)], [Some(1), Some(1)]),
            (Mode::Evenly, [Some(1), Some(2)], [Some(2), Some(1)], [Some(1), Some(2)]),
        ] {
            let mut scene = Scene::new(version);
            scene.office.add_operator("Eve", None).unwrap();
            scene.office.add_operator("Max", None).unwrap();
            scene.line(|line| (line.distribution, line.offer_secs) = (mode, 30));
            scene.writes("ann", "Hi");
            scene.clock.advance(Duration::from_secs(1));
            scene.writes("ben", "Hi");
            assert_eq!(scene.turns(), first, "{version} {mode}");
            scene.clock.advance(Duration::from_millis(28_999));
            assert_eq!(scene.office.pass_on().unwrap(), Some(NOON.plus(Duration::from_secs(30))), "{version} {mode}");
            assert_eq!(scene.turns(), first, "{version} {mode}: not a moment too soon");
            scene.clock.advance(Duration::from_secs(2));
            scene.office.pass_on().unwrap();
            assert_eq!(scene.turns(), second, "{version} {mode}");
            scene.clock.advance(Duration::from_secs(31));
            scene.office.pass_on().unwrap();
            assert_eq!(scene.turns(), back, "{version} {mode}: all have had it, and it begins anew");
        }
        let mut scene = Scene::new(version);
        scene.office.add_operator("Eve", None).unwrap();
        scene.writes("ann", "Hi");
        assert_eq!((scene.turns(), scene.office.pass_on().unwrap()), (vec![None], None), "{version}: everybody's");
    }
}

#[test]
fn who_goes_away_loses_the_turn_and_who_comes_gets_what_waits() {
    let mut scene = Scene::new("20.0.75");
    scene.line(|line| line.distribution = Mode::Strictly);
    scene.writes("ann", "Hi");
    assert_eq!(scene.turns(), [None], "nobody is there at all");
    scene.office.add_operator("Eve", None).unwrap();
    assert_eq!(scene.turns(), [Some(1)]);
    scene.office.add_operator("Max", None).unwrap();
    scene.office.set_here(1, false).unwrap();
    assert_eq!(scene.turns(), [Some(2)]);
    scene.office.set_here(2, false).unwrap();
    assert_eq!(scene.turns(), [None]);
    scene.office.set_here(1, true).unwrap();
    assert_eq!(scene.turns(), [Some(1)]);
    assert!(matches!(scene.office.set_here(9, true), Err(OfficeError::NotThere(_))));
}

#[test]
fn a_conversation_is_taken_transferred_closed_and_begins_anew() {
    for version in VERSIONS {
        let mut scene = Scene::new(version);
        let (eve, max) =
            (scene.office.add_operator("Eve", None).unwrap(), scene.office.add_operator("Max", None).unwrap());
        scene.writes("ann", "Hi");
        let id = scene.talk().id;
        scene.office.say(eve, id, "Hello", None).unwrap();
        scene.sent();
        assert_eq!((scene.talk().state, scene.talk().operator), (TalkState::Taken, Some(eve)), "{version}");
        let refused = scene.office.say(max, id, "Me too", None).unwrap_err();
        assert_eq!(refused.to_string(), "Eve has this conversation; take it over first", "{version}");
        scene.office.transfer(id, Some(max)).unwrap();
        scene.office.say(max, id, "Hello from Max", None).unwrap();
        assert!(scene.sent().contains("[b]Max:[/b]"), "{version}");
        scene.office.take_over(eve, id).unwrap();
        assert_eq!(scene.office.holder(id).unwrap(), Some(eve), "{version}");
        scene.office.transfer(id, None).unwrap();
        assert_eq!(scene.talk().state, TalkState::Waiting, "{version}");
        scene.office.take_over(eve, id).unwrap();
        scene.office.close(id).unwrap();
        scene.office.close(id).unwrap();
        assert_eq!((scene.talk().state, scene.office.holder(id).unwrap()), (TalkState::Closed, None), "{version}");
        scene.writes("ann", "One more thing");
        assert_eq!(scene.talk().state, TalkState::Waiting, "{version}");
        scene.office.close(id).unwrap();
        scene.office.say(max, id, "By the way", None).unwrap();
        assert_eq!((scene.talk().state, scene.talk().operator), (TalkState::Taken, Some(max)), "{version}");
        for error in [
            scene.office.take_over(eve, 9).unwrap_err(),
            scene.office.take_over(9, id).unwrap_err(),
            scene.office.close(9).unwrap_err(),
            scene.office.say(9, id, "x", None).unwrap_err(),
        ] {
            assert!(matches!(error, OfficeError::NotThere(_)), "{version}: {error}");
        }
    }
}

#[test]
fn the_desk_greets_once_and_says_once_that_nobody_is_there() {
    for version in VERSIONS {
        let mut scene = Scene::new(version);
        scene.office.add_operator("Eve", None).unwrap();
        // Open on Wednesdays from 12:00 to 12:30 UTC.
        let hours = Hours::new(0, [None, None, Some((720, 750)), None, None, None, None]).unwrap();
        scene.line(|line| {
            (line.welcome, line.away) = ("Welcome!".into(), "We are away.".into());
            line.hours = Some(hours);
        });
        scene.writes("ann", "Hi");
        assert!(scene.sent().contains("Welcome!"), "{version}");
        scene.writes("ann", "Anybody?");
        scene.is_quiet();
        scene.clock.advance(Duration::from_mins(30));
        scene.writes("ann", "Hello?");
        let away = scene.sent();
        assert!(away.contains("We are away.") && away.contains(r#"s:7:"user_id";i:0;"#), "{version}: {away}");
        assert!(!away.contains("[b]"), "{version}: the desk signs nothing");
        scene.writes("ann", "Hello??");
        scene.is_quiet();
        scene.office.take_over(1, scene.talk().id).unwrap();
        scene.office.close(scene.talk().id).unwrap();
        scene.writes("ann", "Me again");
        assert!(scene.sent().contains("Welcome!"), "{version}");
        assert!(scene.sent().contains("We are away."), "{version}: a new conversation is told anew");
        // A channel that takes no texts of the desk gets none.
        scene.says(Incoming { connector: "botframework.twilio".into(), ..incoming("ann", "Hi") });
        scene.is_quiet();
        assert_eq!(scene.office.talks().unwrap()[1].entries.len(), 1, "{version}");
    }
}

#[test]
fn nobody_here_is_away_too() {
    let mut scene = Scene::new("23.100.0");
    let eve = scene.office.add_operator("Eve", None).unwrap();
    scene.office.set_here(eve, false).unwrap();
    scene.line(|line| line.away = "We are away.".into());
    scene.writes("ann", "Hi");
    assert!(scene.sent().contains("We are away."));
}

#[test]
fn a_rating_is_asked_for_at_the_end_and_opens_nothing() {
    for version in VERSIONS {
        let mut scene = Scene::new(version);
        let eve = scene.office.add_operator("Eve", None).unwrap();
        scene.line(|line| line.rating = "Were we of help? 1 or 0".into());
        scene.writes("ann", "1");
        let id = scene.talk().id;
        assert_eq!((scene.talk().state, scene.talk().rating), (TalkState::Waiting, None), "{version}: nobody asked");
        scene.office.take_over(eve, id).unwrap();
        scene.office.close(id).unwrap();
        assert!(scene.sent().contains("Were we of help?"), "{version}");
        scene.writes("ann", "1 thank you");
        assert_eq!((scene.talk().state, scene.talk().rating), (TalkState::Closed, Some(1)), "{version}");
        scene.writes("ann", "0");
        assert_eq!((scene.talk().state, scene.talk().rating), (TalkState::Waiting, None), "{version}: only one");
        scene.office.close(id).unwrap();
        scene.sent();
        scene.writes("ann", "10 pieces, please");
        assert_eq!(scene.talk().state, TalkState::Waiting, "{version}: no rating");
    }
}

/// The thread that passes turns on sleeps until it is rung for, at most for an hour.
#[test]
fn a_new_operators_turn_is_watched() {
    let mut scene = Scene::new("23.100.0");
    scene.line(|line| line.distribution = Mode::Strictly);
    scene.writes("ann", "Hi");
    scene.office.errands.was_rung();
    scene.office.add_operator("Eve", None).unwrap();
    assert_eq!(scene.turns(), [Some(1)]);
    assert!(scene.office.errands.was_rung());
}
