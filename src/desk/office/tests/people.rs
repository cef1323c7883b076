//! Operators: what they have read, how they sign in, what they may not send.

use std::num::NonZeroU32;

use super::*;

#[test]
fn unread_marks_are_each_operators_own() {
    let mut scene = Scene::new("20.0.75");
    let (eve, max) = (scene.office.add_operator("Eve", None).unwrap(), scene.office.add_operator("Max", None).unwrap());
    scene.writes("ann", "Hi");
    scene.writes("ann", "Hello?");
    let unread = |scene: &Scene, operator| scene.office.summaries(operator, 10).unwrap()[0].unread;
    assert_eq!((unread(&scene, eve), unread(&scene, max)), (2, 2));
    scene.office.read_all(eve, scene.talk().id).unwrap();
    assert_eq!((unread(&scene, eve), unread(&scene, max)), (0, 2));
    let version = scene.office.wait_for_news(0, Duration::ZERO);
    scene.office.read_all(eve, scene.talk().id).unwrap();
    assert_eq!(scene.office.wait_for_news(0, Duration::ZERO), version, "nobody is woken for nothing");
    scene.writes("ann", "Hello??");
    assert_eq!((unread(&scene, eve), unread(&scene, max)), (1, 3));
}

#[test]
fn a_desk_keeps_everything_over_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("desk.db");
    let open = || Scene::with("20.0.75", out(), |options| options.file = Some(file.clone()));
    let mut scene = open();
    let eve = scene.office.add_operator("Eve", Some(&Secret::new("secret"))).unwrap();
    scene.writes("ann", "Hi");
    scene.office.say(eve, scene.talk().id, "Hello", None).unwrap();
    let token = scene.office.sign_in(eve, &Secret::new("secret")).unwrap();
    let before = scene.office.talks().unwrap();
    drop(scene);
    let scene = open();
    assert_eq!(scene.office.talks().unwrap(), before);
    assert_eq!(scene.office.signed_in(&token).unwrap(), Some(eve));
}

#[test]
fn signing_in_takes_the_password_and_patience_ends() {
    let scene = Scene::new("20.0.75");
    let eve = scene.office.add_operator("Eve", Some(&Secret::new("secret"))).unwrap();
    let max = scene.office.add_operator("Max", None).unwrap();
    // As it is stored, only sooner checked.
    let quick = crate::desk::password::hash_in(NonZeroU32::MIN, &Secret::new("secret"));
    scene
        .office
        .store
        .write(|tx| tx.execute("update operators set password = ?1 where id = ?2", (quick, eve)))
        .unwrap();
    let try_it = |password: &str| scene.office.sign_in(eve, &Secret::new(password));
    assert!(matches!(try_it("wrong"), Err(OfficeError::NotAllowed(_))));
    let token = try_it("secret").unwrap();
    for _ in 0..10 {
        assert_eq!(try_it("wrong").unwrap_err().to_string(), "the password is wrong");
    }
    assert!(try_it("secret").unwrap_err().to_string().contains("try again in a minute"));
    scene.clock.advance(Duration::from_mins(1));
    try_it("secret").unwrap();
    assert!(scene.office.sign_in(max, &Secret::new("")).is_ok(), "nobody asks");
    assert!(matches!(scene.office.sign_in(9, &Secret::new("")), Err(OfficeError::NotThere(_))));
    assert_eq!(scene.office.signed_in(&token).unwrap(), Some(eve));
    assert_eq!(scene.office.signed_in(&Secret::new("made up")).unwrap(), None);
    scene.office.sign_out(&token).unwrap();
    assert_eq!(scene.office.signed_in(&token).unwrap(), None);
    let token = try_it("secret").unwrap();
    scene.clock.advance(Duration::from_hours(30 * 24));
    assert_eq!(scene.office.signed_in(&token).unwrap(), None, "after a month one signs in again");
}

#[test]
fn what_can_not_be_sent_is_refused_with_a_reason() {
    let mut scene = Scene::new("23.100.0");
    let eve = scene.office.add_operator("Eve", None).unwrap();
    scene.writes("ann", "Hi");
    let talk = scene.talk().id;
    let file = |url: &str| FileGiven { name: "a".into(), url: url.into() };
    for (text, file, words) in [
        (" \n", None, "nothing to send"),
        (&"x".repeat(20_001), None, "at most 20000 characters"),
        ("", Some(file("javascript:alert(1)")), "begins with https://"),
        ("", Some(file("https://x.test/a b")), "begins with https://"),
    ] {
        let error = scene.office.say(eve, talk, text, file.as_ref()).unwrap_err();
        assert!(matches!(&error, OfficeError::Wrong(why) if why.contains(words)), "{error}");
    }
    for name in ["", "   ", &"x".repeat(51)] {
        assert!(matches!(scene.office.add_operator(name, None), Err(OfficeError::Wrong(_))), "{name:?}");
    }
    scene.is_quiet();
    assert_eq!(scene.talk().entries.len(), 1);
}

/// Whoever came in by an old password, or before there was one, is out.
#[test]
fn a_new_password_ends_what_was_signed_in() {
    let scene = Scene::new("20.0.75");
    let secret = Secret::new;
    let eve = scene.office.add_operator("Eve", None).unwrap();
    let max = scene.office.add_operator("Max", None).unwrap();
    let others = scene.office.sign_in(max, &secret("")).unwrap();
    let sign_in = |password: &str| scene.office.sign_in(eve, &Secret::new(password)).unwrap();
    let mut token = sign_in("");
    for password in ["first", "second"] {
        scene.office.add_operator("Eve", Some(&secret(password))).unwrap();
        assert_eq!(scene.office.signed_in(&token).unwrap(), None, "{password}");
        token = sign_in(password);
    }
    // As a program does at each start.
    scene.office.add_operator("Eve", Some(&secret("second"))).unwrap();
    assert_eq!(scene.office.signed_in(&token).unwrap(), Some(eve), "the same password is no new one");
    assert_eq!(scene.office.signed_in(&others).unwrap(), Some(max));
}

/// Few sign out: browsers whose time is over go when the next one comes.
#[test]
fn browsers_that_nobody_signs_out_do_not_pile_up() {
    let scene = Scene::new("20.0.75");
    let eve = scene.office.add_operator("Eve", None).unwrap();
    for _ in 0..3 {
        scene.office.sign_in(eve, &Secret::new("")).unwrap();
        scene.clock.advance(Duration::from_hours(30 * 24));
    }
    let count = "select count(*) from signed_in";
    let kept: i64 = scene.office.store.read(|db| db.query_row(count, [], |row| row.get(0))).unwrap();
    assert_eq!(kept, 1);
}

/// A list that forgets them would leave a customer waiting for ever.
#[test]
fn those_who_wait_and_those_who_are_held_stay_in_the_list() {
    let mut scene = Scene::new("23.100.0");
    let eve = scene.office.add_operator("Eve", None).unwrap();
    for user in ["ann", "ben", "cid", "dan"] {
        scene.writes(user, "Hi");
    }
    let talks: Vec<i64> = scene.office.talks().unwrap().iter().map(|talk| talk.id).collect();
    scene.office.take_over(eve, talks[1]).unwrap();
    for closed in &talks[2..] {
        scene.office.close(*closed).unwrap();
    }
    let listed = |limit| scene.office.summaries(eve, limit).unwrap().iter().map(|one| one.id).collect::<Vec<_>>();
    assert_eq!(listed(3), [talks[3], talks[1], talks[0]], "newest first");
    assert_eq!(listed(2), [talks[1], talks[0]]);
    assert_eq!(listed(9), [talks[3], talks[2], talks[1], talks[0]]);
}
