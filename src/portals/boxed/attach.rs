//! The words of a messenger's attach (`portal-box.md` §5.1 `attachments`): coloured blocks that no channel can show. Only
//! for messages that hold nothing else, so that they reach the customer at all.

use serde_json::Value as Json;

use super::command;
use super::php::Value;

/// What is worth saying of a block, in this order.
const KEYS: [&str; 10] = ["NAME", "title", "MESSAGE", "DESC", "description", "VALUE", "LINK", "url", "BLOCKS", "GRID"];
/// Longest text that is made.
const BYTES_MAX: usize = 16 * 1024;

/// One line for each text of the attaches: JSON texts up to 20, a map later on.
pub(super) fn text(attachments: &Value) -> String {
    let mut lines = Vec::new();
    for attachment in attachments.items() {
        match attachment {
            Value::Array(_) => ["title", "description", "url"]
                .iter()
                .filter_map(|key| command::text(attachment.get(key)))
                .for_each(|line| add(&mut lines, &line)),
            other => {
                let parsed = command::text(Some(other)).and_then(|text| serde_json::from_str::<Json>(&text).ok());
                collect(&parsed.unwrap_or_default(), &mut lines);
            }
        }
    }
    let mut text = lines.join("\n");
    text.truncate(text.floor_char_boundary(BYTES_MAX));
    text
}

/// Depth is bounded by what `serde_json` reads.
fn collect(value: &Json, lines: &mut Vec<String>) {
    match value {
        Json::Array(items) => items.iter().for_each(|item| collect(item, lines)),
        Json::Object(map) => {
            let known = KEYS.iter().filter_map(|key| map.get(*key));
            for value in known {
                match value {
                    Json::String(text) => add(lines, text),
                    other => collect(other, lines),
                }
            }
            // Blocks are wrapped once more: `{"LINK": {"NAME": …}}` is among the known keys, `{"USER": {…}}` is not.
            map.iter().filter(|(key, _)| !KEYS.contains(&key.as_str())).for_each(|(_, value)| collect(value, lines));
        }
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => (),
    }
}

fn add(lines: &mut Vec<String>, line: &str) {
    let line = line.trim();
    if !line.is_empty() && lines.last().is_none_or(|last| last != line) {
        lines.push(line.to_owned());
    }
}
