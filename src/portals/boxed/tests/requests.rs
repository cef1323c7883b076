//! What portals of one version or another send that the worked examples don't show.

use super::*;

fn sent(arguments: Vec<Value>) -> Vec<crate::message::Outgoing> {
    let body = identity("20.0.75").command("sendMessage", "BotFramework.Skype", Some("3"), arguments);
    let Args::Messages(messages) = prove(&body).args else { panic!("{body}") };
    messages
}

fn element(message: Value) -> Value {
    Value::map([
        ("im", Value::map([("chat_id", Value::Int(113)), ("message_id", Value::text("2196"))])),
        ("message", message),
        ("chat", Value::map([("id", Value::text("29:1AbCdEf"))])),
    ])
}

/// Regression: a message without the key `files` was left out.
#[test]
fn what_a_message_does_not_say_is_empty() {
    let messages = sent(vec![Value::list([element(Value::map([("text", Value::text("hi"))]))])]);
    assert_eq!(messages[0].kind, OutgoingKind::Send { text: "hi".into(), files: vec![] });
    assert_eq!((messages[0].connector.as_str(), messages[0].chat.as_str()), ("botframework.skype", "29:1AbCdEf"));
}

#[test]
fn a_short_link_of_the_portal_becomes_a_whole_one() {
    for (link, want) in [
        ("/~AbC1", "https://portal.example.test/~AbC1"),
        ("https://portal.example.test/~AbC1#img.png", "https://portal.example.test/~AbC1#img.png"),
        ("//elsewhere.test/x", "//elsewhere.test/x"),
    ] {
        let file =
            Value::map([("name", Value::text("a.png")), ("type", Value::text("image")), ("link", Value::text(link))]);
        let messages = sent(vec![Value::list([element(Value::map([("files", Value::list([file]))]))])]);
        let OutgoingKind::Send { files, .. } = &messages[0].kind else { panic!() };
        assert_eq!((files[0].link.as_str(), files[0].image), (want, true));
    }
}

/// A message of attaches alone still says something; beside a text they are left out, as links with a preview are.
#[test]
fn an_attach_is_read_only_when_there_is_nothing_else() {
    let old = Value::text(concat!(
        r##"{"ID":1,"COLOR":"#fff","BLOCKS":[{"MESSAGE":"Order \u002217\u0022"},"##,
        r#"{"LINK":{"NAME":"Pay","LINK":"https://p.test/17"}},"#,
        r#"{"GRID":[{"NAME":"Sum","VALUE":"5"}]},{"DELIMITER":{"SIZE":200}}]}"#,
    ));
    let new = Value::map([("url", Value::text("https://n.test")), ("title", Value::text("News"))]);
    let text = |text: &str, attachments: Value| {
        let message = Value::map([("text", Value::text(text)), ("attachments", attachments)]);
        match sent(vec![Value::list([element(message)])]).first().map(|message| message.kind.clone()) {
            Some(OutgoingKind::Send { text, .. }) => Some(text),
            _ => None,
        }
    };
    assert_eq!(text("", Value::list([old.clone()])).unwrap(), "Order \"17\"\nPay\nhttps://p.test/17\nSum\n5");
    assert_eq!(text("", Value::map([("richData", new)])).unwrap(), "News\nhttps://n.test");
    assert_eq!(text("said", Value::list([old])).unwrap(), "said");
    for nothing in
        [Value::list([]), Value::list([Value::text("{broken")]), Value::text("x"), Value::list([Value::Int(5)])]
    {
        assert_eq!(text("", nothing.clone()), None, "{nothing:?}");
    }
}

/// `portal-box-observed.md` §1 and §10: ids of either type, stubs for either version, typing without `im`.
#[test]
fn ids_come_as_numbers_or_texts_and_stubs_are_nothing() {
    for version in ["17.0.14", "26.100.0"] {
        let status = |chat: Value, message: Value| {
            let named = Value::map([("chat", Value::map([("id", chat)])), ("message", Value::map([("id", message)]))]);
            let body = identity(version).command("setStatusDelivered", "x", Some("3"), vec![Value::list([named])]);
            prove(&body).args
        };
        let want = Args::Statuses(vec![("555".into(), "42".into())]);
        assert_eq!(status(Value::text("555"), Value::Int(42)), want);
        assert_eq!(status(Value::Int(555), Value::text("42")), want);
        assert_eq!(status(Value::text("AbC"), Value::text("x")), Args::Statuses(vec![("AbC".into(), "x".into())]));
        assert_eq!(status(Value::text("555"), Value::text("")), Args::Statuses(vec![]));
        assert_eq!(status(Value::Null, Value::list([])), Args::Statuses(vec![]));
        let line = |argument: Value| prove(&identity(version).command("deleteLine", "all", None, vec![argument])).args;
        assert_eq!(line(Value::Int(9)), line(Value::text("9")));
        assert_eq!(line(Value::Bool(false)), Args::Text(None));
        let line = |line: &str| prove(&identity(version).command("register", "x", Some(line), vec![])).line;
        assert_eq!((line("0").as_deref(), line("#EMPTY#"), line("")), (Some("0"), None, None));
    }
    let typing = Value::map([
        ("message", Value::map([("type", Value::text("typing_start"))])),
        ("chat", Value::map([("id", Value::text("c"))])),
    ]);
    assert_eq!(sent(vec![Value::list([typing])])[0].kind, OutgoingKind::Typing);
}

#[test]
fn names_are_compared_without_regard_to_case() {
    for (word, name) in [
        ("SENDMESSAGE", Name::SendMessage),
        ("setstatusreading", Name::SetStatusReading),
        ("startSession", Name::StartSession),
        ("finishSession", Name::FinishSession),
        ("receivingMessage", Name::Unknown("receivingMessage".into())),
    ] {
        let arguments = vec![Value::list([Value::map([])])];
        assert_eq!(prove(&identity("26.100.0").command(word, "x", Some("3"), arguments)).name, name);
    }
}
