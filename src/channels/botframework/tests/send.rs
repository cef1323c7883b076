//! Calls of the channel service (`botframework.md` §4, §7).

use super::*;

/// Ours go out in order, under a token, and a retry goes on after the parts that have left.
#[test]
fn parts_leave_in_order_and_once() {
    let (service, _, bot) = rig();
    let chat =
        json!({"channel": "msteams", "serviceUrl": SERVICE, "conversation": {"id": "19:a b+c@x;y=1|2/é"}}).to_string();
    let files = [1, 2].map(|n| crate::message::OutFile {
        name: format!("f{n}"),
        link: String::from("https://p.test"),
        image: false,
        mime: None,
    });
    let kind = OutgoingKind::Send { text: String::from("hello"), files: files.to_vec() };
    let message = Outgoing {
        connector: String::from("botframework.msteams"),
        chat: String::new(),
        im: PortalRef::default(),
        kind,
        service_url: None,
    };
    let mut progress = Progress::default();
    *service.statuses.lock().unwrap() = vec![429, 200, 401];
    let step = |progress: &mut Progress| bot.send(&settings(), Some(&chat), &message, &|_| None, progress);
    assert_eq!(step(&mut progress), Ok(Step::More));
    assert!(matches!(step(&mut progress), Err(SendError::Retry { ambiguous: false, .. })));
    assert_eq!((progress.parts, service.token_fetches.load(Ordering::SeqCst)), (1, 2));
    assert_eq!(step(&mut progress), Ok(Step::More));
    assert_eq!(step(&mut progress), Ok(Step::Done));
    assert_eq!(progress.ids, ["m2", "m4", "m5"]);
    let url = service.calls.lock().unwrap()[0].url.clone();
    assert_eq!(
        url,
        "https://smba.example.test/emea/v3/conversations/19%3Aa%20b%2Bc%40x%3By%3D1%7C2%2F%C3%A9/activities"
    );
    *service.statuses.lock().unwrap() = vec![401, 401];
    assert!(matches!(step(&mut Progress::default()), Err(SendError::Auth { .. })));
    let unknown = bot.send(&settings(), None, &message, &|_| None, &mut Progress::default());
    assert!(matches!(unknown, Err(SendError::Permanent { code: "CHAT_UNKNOWN", .. })));
}
