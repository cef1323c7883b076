//! From activities to what is stored (`botframework.md` §1, §5).

use super::*;

/// `botframework.md` §1.2 and §1.4.
#[test]
fn activities_become_messages_and_never_vanish() {
    let first = received(&body());
    let message = &first.messages[0];
    assert_eq!((message.connector.as_str(), message.text.as_str()), ("botframework.msteams", "hi"));
    assert_eq!(first, received(&body()), "the same event gives the same key");
    let edit = |text: &str| received(&with(with(body(), "type", json!("messageUpdate")), "text", json!(text)));
    assert_ne!(edit("a").messages[0].key, edit("b").messages[0].key, "a second edit is no repeat");
    assert_eq!(received(&with(body(), "id", Value::Null)).messages[0].key, None);
    assert_eq!(received(&with(body(), "text", Value::Null)).messages[0].text, "(empty message)");
    let long = received(&with(body(), "id", json!("x".repeat(101))));
    assert_eq!((long.messages[0].message_id.len(), long.aliases.len()), (27, 1));
    let odd = &received(&with(body(), "channelId", json!("acs"))).chats[0];
    assert_eq!((odd.chat.as_str(), odd.connector.as_str()), ("acs:a:1", "botframework.directline"));
    let removed = with(body(), "type", json!("conversationUpdate"));
    assert!(received(&with(removed, "membersRemoved", json!([{"id": "28:b"}]))).chats[0].closed);
    let place = json!([{"type": "Place", "name": "Home", "geo": {"latitude": 1.5, "longitude": "2"}}]);
    assert_eq!(received(&with(body(), "entities", place)).messages[0].attachments.len(), 1);
    for odd in [json!({"type": 5, "from": "x", "attachments": {}}), json!({"type": "message", "channelId": "x"})] {
        let _ = rig().bot.receive(&Verified(hook("", &odd)), &settings());
    }
}
