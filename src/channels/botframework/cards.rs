//! Cards and button presses as lines of text. A portal has no cards, and what a card says must not be lost: texts, the
//! addresses of pictures and media, buttons with their links.

use serde_json::Value;

use super::activity::{at, plain};
use crate::text::safe_link;

/// Deeper nesting is no card.
const DEPTH_MAX: usize = 16;
/// More lines than anybody reads.
const LINES_MAX: usize = 100;

/// What a card of any kind says, top to bottom.
pub(super) fn lines(content: &Value) -> Vec<String> {
    let mut lines = vec![];
    walk(content, &mut lines, 0);
    lines.truncate(LINES_MAX);
    lines
}

/// Members that hold more of a card, in the order in which they are shown.
const INNER: &[&str] = &[
    "image", "images", "media", "facts", "body", "items", "columns", "rows", "cells", "inlines", "card", "buttons",
    "actions",
];

fn walk(value: &Value, lines: &mut Vec<String>, depth: usize) {
    if depth > DEPTH_MAX || lines.len() >= LINES_MAX {
        return;
    }
    match value {
        Value::Array(items) => items.iter().for_each(|item| walk(item, lines, depth + 1)),
        Value::Object(_) => object(value, lines, depth),
        Value::String(text) => push(lines, text),
        Value::Null | Value::Bool(_) | Value::Number(_) => (),
    }
}

fn object(value: &Value, lines: &mut Vec<String>, depth: usize) {
    let before = lines.len();
    let first = |names: [&str; 2]| names.iter().map(|name| at(value, name)).find(|text| !text.is_empty());
    let title = first(["/title", "/key"]).unwrap_or_default();
    let target = first(["/value", "/url"]).unwrap_or_default();
    // A fact, or a button that opens something; the value of other buttons is not meant for people.
    let is_fact = value.get("type").is_none() && value.get("value").is_some();
    if !title.is_empty() && !target.is_empty() && (is_fact || safe_link(&target).is_some()) {
        push(lines, &format!("{title}: {target}"));
    } else {
        push(lines, &title);
        push(lines, &at(value, "/url"));
    }
    for name in ["/subtitle", "/text", "/price"] {
        push(lines, &at(value, name));
    }
    for inner in INNER.iter().filter_map(|name| value.get(name)) {
        walk(inner, lines, depth + 1);
    }
    for name in ["tax", "vat", "total"] {
        let sum = value.get(name).map(plain).unwrap_or_default();
        if !sum.is_empty() {
            push(lines, &format!("{name}: {sum}"));
        }
    }
    if lines.len() == before {
        push(lines, &first(["/fallbackText", "/altText"]).unwrap_or_default());
    }
}

fn push(lines: &mut Vec<String>, text: &str) {
    let text = text.trim();
    // A picture inside the card itself has no address.
    if !text.is_empty() && !text.starts_with("data:") {
        lines.push(text.to_owned());
    }
}

/// What a pressed button or a filled form has sent, when it is all that a message has.
pub(super) fn pressed(value: &Value) -> String {
    let scalar = |value: &Value| match value {
        Value::Bool(flag) => flag.to_string(),
        other => plain(other),
    };
    match value {
        Value::Object(members) => {
            let text = at(value, "/text");
            if !text.is_empty() {
                return text;
            }
            let pairs =
                members.iter().map(|(name, value)| (name, scalar(value))).filter(|(_, value)| !value.is_empty());
            let lines: Vec<String> = pairs.take(LINES_MAX).map(|(name, value)| format!("{name}: {value}")).collect();
            lines.join("\n")
        }
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(scalar).filter(|item| !item.is_empty()).take(LINES_MAX).collect();
            items.join("\n")
        }
        other => scalar(other),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_card_says_what_it_shows() {
        let hero = json!({"title": "Shop", "subtitle": "Open", "text": "Come in",
            "images": [{"url": "https://ex.test/a.png", "alt": "door"}],
            "buttons": [{"type": "openUrl", "title": "Site", "value": "https://ex.test"},
                        {"type": "imBack", "title": "Yes", "value": "internal-1"}]});
        assert_eq!(lines(&hero), ["Shop", "Open", "Come in", "https://ex.test/a.png", "Site: https://ex.test", "Yes"]);
        let adaptive = json!({"type": "AdaptiveCard", "version": "1.5", "fallbackText": "not shown",
            "body": [{"type": "TextBlock", "text": "Order 7"},
                     {"type": "ColumnSet", "columns": [{"type": "Column", "items": [{"type": "TextBlock", "text": "left"}]}]},
                     {"type": "FactSet", "facts": [{"title": "Sum", "value": 12}]},
                     {"type": "RichTextBlock", "inlines": ["plain", {"type": "TextRun", "text": "run"}]},
                     {"type": "Image", "url": "data:image/png;base64,AAAA"}],
            "actions": [{"type": "Action.OpenUrl", "title": "Pay", "url": "https://ex.test/pay"},
                        {"type": "Action.ShowCard", "title": "More",
                         "card": {"type": "AdaptiveCard", "body": [{"type": "TextBlock", "text": "inside"}]}}]});
        assert_eq!(
            lines(&adaptive),
            ["Order 7", "left", "Sum: 12", "plain", "run", "Pay: https://ex.test/pay", "More", "inside"]
        );
        let receipt = json!({"title": "Receipt", "facts": [{"key": "No", "value": "1"}],
            "items": [{"title": "Tea", "subtitle": "green", "price": "3", "quantity": "1"}], "tax": "1", "total": "4"});
        assert_eq!(lines(&receipt), ["Receipt", "No: 1", "Tea", "green", "3", "tax: 1", "total: 4"]);
        let video = json!({"title": "Clip", "media": [{"url": "https://ex.test/v.mp4"}], "image": {"url": "https://ex.test/p.png"}});
        assert_eq!(lines(&video), ["Clip", "https://ex.test/p.png", "https://ex.test/v.mp4"]);
        let sign_in = json!({"text": "Please", "buttons": [{"type": "signin", "title": "Sign in", "value": "https://ex.test/s"}]});
        assert_eq!(lines(&sign_in), ["Please", "Sign in: https://ex.test/s"]);
        assert_eq!(lines(&json!({"fallbackText": "old client"})), ["old client"]);
        assert!(lines(&json!(7)).is_empty());
    }

    #[test]
    fn huge_and_deep_cards_end() {
        let wide: Vec<Value> = (0..5000).map(|number| json!({"text": number.to_string()})).collect();
        assert_eq!(lines(&json!({"body": wide})).len(), LINES_MAX);
        let deep = (0..100).fold(json!({"text": "x"}), |inner, _| json!({"items": [inner]}));
        assert!(lines(&deep).is_empty());
    }

    #[test]
    fn presses() {
        for (value, want) in [
            (json!("yes"), "yes"),
            (json!(5), "5"),
            (json!(true), "true"),
            (json!({"text": "Option B", "choice": 2}), "Option B"),
            (json!({"choice": 2, "again": false, "nested": {}, "none": null}), "again: false\nchoice: 2"),
            (json!(["a", {}, 1]), "a\n1"),
            (json!(null), ""),
        ] {
            assert_eq!(pressed(&value), want, "{value}");
        }
    }
}
