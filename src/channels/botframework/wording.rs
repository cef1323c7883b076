//! Text between portals and channels in its plainest form. The conversions proper belong to `text`; this file only
//! keeps foreign BB-code from acting and removes ours before it leaves.

/// Tags with which a customer could address the portal's users, commands or files.
const ACTING: &[&str] = &["user", "send", "put", "call", "disk", "attach", "icon", "chat", "rating", "pch"];

/// Tags that mean nothing to a channel.
const SHOWN: &[&str] = &["b", "i", "u", "s"];

/// Customer's text with acting tags made harmless by an invisible space.
pub(super) fn incoming(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for (at, char) in text.char_indices() {
        out.push(char);
        let rest = text.get(at + char.len_utf8()..).unwrap_or_default();
        let rest = rest.strip_prefix('/').unwrap_or(rest);
        let starts = |tag: &str| rest.get(..tag.len()).is_some_and(|word| word.eq_ignore_ascii_case(tag));
        if char == '[' && ACTING.iter().any(|tag| starts(tag)) {
            out.push('\u{200b}');
        }
    }
    out.replace("\r\n", "\n").trim().to_owned()
}

/// Operator's text without markup, cut into pieces of at most `max_units` UTF-16 units at lines or words.
pub(super) fn outgoing(text: &str, max_units: usize) -> Vec<String> {
    let mut plain = text.replace("[br] ", "\n").replace("[br]", "\n").replace("#BR#", "\n");
    for tag in SHOWN {
        for form in [tag.to_lowercase(), tag.to_uppercase()] {
            plain = plain.replace(&format!("[{form}]"), "").replace(&format!("[/{form}]"), "");
        }
    }
    let mut parts = vec![];
    let mut rest = plain.trim();
    while !rest.is_empty() {
        let (part, after) = rest.split_at(cut(rest, max_units.max(2)));
        parts.push(part.trim_end().to_owned());
        rest = after.trim_start();
    }
    parts
}

/// Where the first piece ends, in bytes; never 0.
fn cut(text: &str, max_units: usize) -> usize {
    let (mut units, mut word) = (0, None);
    for (at, char) in text.char_indices() {
        units += char.len_utf16();
        if units > max_units {
            return word.unwrap_or(at);
        }
        if char.is_whitespace() && at > 0 {
            word = Some(at);
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_tags_do_not_act_and_ours_do_not_leave() {
        assert_eq!(
            incoming("[USER=1]x[/user] [b]y[/b]"),
            "[\u{200b}USER=1]x[/\u{200b}user] [b]y[/b]".replace("[/\u{200b}", "[\u{200b}/")
        );
        assert_eq!(outgoing("[b]Anna:[/b][br] Hello", 100), ["Anna:\nHello"]);
        assert_eq!(outgoing("one two three", 8), ["one two", "three"]);
        assert_eq!(outgoing("😀😀😀", 4), ["😀😀", "😀"]);
    }
}
