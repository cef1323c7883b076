//! Calls of the channel service (`botframework.md` §4, §7).

use super::*;

/// A chat's record as `receive` makes it.
fn record(channel: &str, conversation: &Value) -> String {
    json!({"channel": channel, "serviceUrl": SERVICE, "conversation": conversation, "locale": "ru",
           "bot": {"id": "28:b", "name": "Bot"}, "user": {"id": "29:a", "name": "Anna"}})
    .to_string()
}

fn outgoing(kind: OutgoingKind) -> Outgoing {
    Outgoing {
        connector: String::from("botframework.msteams"),
        chat: String::from("a:1"),
        im: PortalRef::default(),
        kind,
        service_url: None,
    }
}

fn text(text: &str) -> OutgoingKind {
    OutgoingKind::Send { text: text.to_owned(), files: vec![] }
}

fn file(name: &str, mime: Option<&str>) -> OutFile {
    OutFile { name: name.to_owned(), link: format!("https://p.test/{name}"), image: false, mime: mime.map(Into::into) }
}

impl Rig {
    fn step(&self, chat: &str, kind: OutgoingKind, progress: &mut Progress) -> Result<Step, SendError> {
        let known = progress.aliases.clone();
        let resolve = |id: &str| known.iter().find(|(short, _)| short == id).map(|(_, long)| long.clone());
        self.bot.send(&settings(), Some(chat), &outgoing(kind), &resolve, progress)
    }

    /// Steps to the end or the first failure.
    fn whole(&self, chat: &str, kind: &OutgoingKind, progress: &mut Progress) -> Result<(), SendError> {
        while self.step(chat, kind.clone(), progress)? == Step::More {}
        Ok(())
    }

    fn send(&self, chat: &str, kind: &OutgoingKind) -> Result<(), SendError> {
        self.whole(chat, kind, &mut Progress::default())
    }
}

/// Ours go out in order, under a token, and a retry goes on after the parts that have left.
#[test]
fn parts_leave_in_order_and_once() {
    let rig = rig();
    let chat = record("msteams", &json!({"id": "19:a b+c@x;y=1|2/é"}));
    let kind = OutgoingKind::Send { text: String::from("hello"), files: vec![file("f1", None), file("f2", None)] };
    let mut progress = Progress::default();
    for (status, code) in [(401, "Unauthorized"), (200, ""), (429, "Throttled")] {
        rig.service.then(status, code);
    }
    rig.service.answers.lock().unwrap()[1] = Ok(answer(200, &json!({"id": "first"})));
    assert_eq!(rig.step(&chat, kind.clone(), &mut progress), Ok(Step::More));
    assert!(matches!(rig.step(&chat, kind.clone(), &mut progress), Err(SendError::Retry { ambiguous: false, .. })));
    assert_eq!((progress.parts, rig.service.token_fetches.load(Ordering::SeqCst)), (1, 2));
    assert_eq!(rig.step(&chat, kind.clone(), &mut progress), Ok(Step::More));
    assert_eq!(rig.step(&chat, kind, &mut progress), Ok(Step::Done));
    assert_eq!(progress.ids, ["first", "m4", "m5"]);
    let heard = rig.service.heard();
    assert_eq!(
        heard[0].1,
        "https://smba.example.test/emea/v3/conversations/19%3Aa%20b%2Bc%40x%3By%3D1%7C2%2F%C3%A9/activities"
    );
    let told: Vec<&str> = heard[1..].iter().map(|(_, _, body)| body["text"].as_str().unwrap()).collect();
    assert_eq!(told, ["hello", "f1: https://p.test/f1", "f1: https://p.test/f1", "f2: https://p.test/f2"]);
}

fn edit(ids: &[&str], text: &str) -> OutgoingKind {
    OutgoingKind::Update { ids: ids.iter().map(|id| (*id).to_owned()).collect(), text: text.to_owned() }
}

/// A text for two Facebook messages.
fn long_text() -> String {
    "word ".repeat(500)
}

/// An edit is made in place; what it adds gets an id of its own, what it leaves over goes, and files stay.
#[test]
fn edits_grow_and_shrink() {
    let rig = rig();
    let chat = record("facebook", &json!({"id": "100-200"}));
    let calls = |rig: &Rig| -> Vec<String> {
        let heard = rig.service.heard();
        let end = |url: &str| url.split("/activities").nth(1).unwrap().to_owned();
        heard.into_iter().map(|(method, url, _)| format!("{method} {}", end(&url))).collect()
    };
    let mut same = Progress::default();
    rig.whole(&chat, &edit(&["a"], "short"), &mut same).unwrap();
    assert_eq!(same.ids, ["a"], "nothing to tell the portal");
    let mut grown = Progress::default();
    rig.whole(&chat, &edit(&["a"], &long_text()), &mut grown).unwrap();
    assert_eq!(grown.ids, ["a", "m3"]);
    assert_eq!(calls(&rig), ["PUT /a", "PUT /a", "POST "]);

    // One of the parts left over is gone already, as it is after a try that was carried out without an answer.
    let shrinking = self::rig();
    for (status, code) in [(200, ""), (404, "ActivityNotFoundInConversation")] {
        shrinking.service.then(status, code);
    }
    let mut shrunk = Progress::default();
    shrinking.whole(&chat, &edit(&["a", "b", "c"], "short"), &mut shrunk).unwrap();
    assert_eq!(shrunk.ids, ["a"]);
    assert_eq!(calls(&shrinking), ["PUT /a", "DELETE /b", "DELETE /c"]);

    // The file of a message is no part of its text.
    let with_file = self::rig();
    let mut sent = Progress::default();
    let kind = OutgoingKind::Send { text: String::from("see"), files: vec![file("f", None)] };
    with_file.whole(&chat, &kind, &mut sent).unwrap();
    assert_eq!(sent.ids, ["m1", "m2"]);
    let mut edited = Progress { aliases: sent.aliases, ..Progress::default() };
    with_file.whole(&chat, &edit(&["m1", "m2"], "look"), &mut edited).unwrap();
    assert_eq!(edited.ids, ["m1", "m2"]);
    assert_eq!(calls(&with_file), ["POST ", "POST ", "PUT /m1"]);
    with_file.whole(&chat, &OutgoingKind::Delete { id: String::from("m2") }, &mut edited.clone()).unwrap();
}

/// A deletion that an earlier try has made is done; one of a message that was never there is told.
#[test]
fn a_deletion_is_done_when_the_message_is_gone() {
    let chat = record("msteams", &json!({"id": "a:1"}));
    let delete = OutgoingKind::Delete { id: String::from("a") };
    for (unknown, done) in [(1, true), (0, false)] {
        let rig = rig();
        rig.service.then(404, "ActivityNotFoundInConversation");
        let mut progress = Progress { unknown, ..Progress::default() };
        assert_eq!(rig.whole(&chat, &delete, &mut progress).is_ok(), done);
    }
}

/// `portal-box.md` §11: ids over 100 characters get a short one that still leads to the message.
#[test]
fn long_ids_are_kept_also_across_a_retry() {
    let rig = rig();
    let chat = record("facebook", &json!({"id": "100-200"}));
    let (first, second) = ("x".repeat(101), "y".repeat(300));
    let id = |id: &str| Ok(answer(201, &json!({"id": id})));
    rig.service.answers.lock().unwrap().extend([id(&first), Err(gone()), id(&second)]);
    let mut progress = Progress::default();
    assert!(rig.whole(&chat, &text(&long_text()), &mut progress).is_err());
    rig.whole(&chat, &text(&long_text()), &mut progress).unwrap();
    let [one, two] = &progress.ids[..] else { panic!("{progress:?}") };
    assert!(one.len() <= 100 && two.len() <= 100 && one != two);
    assert_eq!(progress.aliases, [(one.clone(), first.clone()), (two.clone(), second)]);
    let mut edited = Progress { aliases: progress.aliases.clone(), ..Progress::default() };
    rig.whole(&chat, &edit(&[one], "short"), &mut edited).unwrap();
    assert!(rig.service.heard().last().unwrap().1.ends_with(&format!("/activities/{first}")));
}

/// Nothing to show is never silently "sent".
#[test]
fn empty_messages_are_refused() {
    let chat = record("msteams", &json!({"id": "a:1"}));
    for kind in [text(""), text(" [b] [/b]\n"), edit(&["a", "b"], "")] {
        let rig = rig();
        let refused = rig.send(&chat, &kind);
        assert!(matches!(refused, Err(SendError::Permanent { code: "EMPTY", .. })), "{kind:?} {refused:?}");
        assert!(rig.service.heard().is_empty());
    }
}
