//! Making foreign text harmless (`portal-box.md` §10): BB-code that a customer must not be able to write, names, file
//! names, links, values that a portal prints unescaped.

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use unicode_segmentation::UnicodeSegmentation;

/// Tags that act on the portal when a customer writes them.
const DANGEROUS: [&str; 17] = [
    "user",
    "chat",
    "send",
    "put",
    "call",
    "pch",
    "disk",
    "attach",
    "icon",
    "like",
    "dislike",
    "rating",
    "context",
    "timestamp",
    "code",
    "img",
    "video",
];

/// Takes the meaning from tags that a customer must not make: the opening bracket of each becomes a full-width one.
/// Links with another scheme than http, https, mailto and tel lose their tag the same way.
pub fn neutralise(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('[') {
        let (before, tail) = rest.split_at(at);
        out.push_str(before);
        let inner = tail.strip_prefix('[').unwrap_or(tail);
        out.push(if is_dangerous(inner) { '［' } else { '[' });
        rest = inner;
    }
    out.push_str(rest);
    out
}

/// Whether a tag that begins with this text (behind its bracket) must not stay one.
fn is_dangerous(inner: &str) -> bool {
    let body = inner.strip_prefix('/').unwrap_or(inner).trim_start();
    let name: String = body.chars().take_while(char::is_ascii_alphabetic).take(12).collect::<String>().to_lowercase();
    if name == "url" {
        let after = body.get(name.len()..).unwrap_or_default();
        let target = match after.trim_start().strip_prefix('=') {
            Some(target) => target,
            // `[url]address[/url]`; a closing tag has no target and does no harm.
            None => match after.trim_start().strip_prefix(']') {
                Some(target) if !inner.starts_with('/') => target,
                _ => return false,
            },
        };
        let end = target.find([']', '[']).unwrap_or(target.len());
        return safe_link(target.get(..end).unwrap_or_default().trim_matches(['"', '\'', ' '])).is_none();
    }
    DANGEROUS.contains(&name.as_str())
}

/// A name on one line, without what could be markup on a portal's page, at most `max` characters.
pub fn clean_name(name: &str, max: usize) -> String {
    let plain: String = name
        .chars()
        .map(|char| match char {
            '<' | '>' | '"' | '&' => ' ',
            '\'' => '’',
            '[' => '(',
            ']' => ')',
            char if char.is_control() || is_invisible(char) => ' ',
            char => char,
        })
        .collect();
    let words: Vec<&str> = plain.split_whitespace().collect();
    let mut out = String::new();
    let mut count = 0;
    for grapheme in words.join(" ").graphemes(true) {
        count += grapheme.chars().count();
        if count > max {
            break;
        }
        out.push_str(grapheme);
    }
    out.trim_end().to_owned()
}

/// Characters that turn or hide text.
fn is_invisible(char: char) -> bool {
    matches!(char, '\u{200B}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{FEFF}' | '\u{00A0}')
}

/// A value that the portal's settings page prints unescaped.
pub fn clean_html_value(value: &str) -> String {
    value.chars().filter(|char| !matches!(char, '<' | '>' | '"' | '\'' | '&') && !char.is_control()).take(500).collect()
}

const UNSAFE_IN_LINK: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'\'')
    .add(b'<')
    .add(b'>')
    .add(b'[')
    .add(b']')
    .add(b'\\')
    .add(b'`')
    .add(b'{')
    .add(b'}');

/// A link that may stand in BB-code, or nothing when its scheme is not http, https, mailto or tel.
pub fn safe_link(url: &str) -> Option<String> {
    let url = url.trim();
    let (scheme, rest) = url.split_once(':')?;
    let known = ["http", "https", "mailto", "tel"].iter().any(|known| scheme.eq_ignore_ascii_case(known));
    let web = scheme.to_ascii_lowercase().starts_with("http");
    if !known || rest.is_empty() || (web && !rest.starts_with("//")) {
        return None;
    }
    Some(utf8_percent_encode(url, UNSAFE_IN_LINK).to_string())
}

/// A file name without a path, at most 100 characters, with an extension that fits the MIME type when it has none.
pub fn file_name(name: Option<&str>, mime: Option<&str>) -> Option<String> {
    let name = name.unwrap_or_default();
    let last = name.split(['?', '#']).next().unwrap_or_default().rsplit(['/', '\\']).next().unwrap_or_default();
    let clean = clean_name(&last.replace([':', '*', '|'], "_"), 100);
    let clean = clean.trim_matches(['.', ' ']).to_owned();
    let extension = mime.and_then(extension);
    match (clean.is_empty(), extension) {
        (true, None) => None,
        (true, Some(extension)) => Some(format!("file.{extension}")),
        (false, Some(extension)) if !clean.contains('.') => Some(format!("{clean}.{extension}")),
        (false, _) => Some(clean),
    }
}

fn extension(mime: &str) -> Option<&'static str> {
    Some(match mime.split(';').next().unwrap_or_default().trim() {
        "image/jpeg" | "image/jpg" | "image" => "jpg",
        "image/png" => "png",
        "image/gif" => "gif",
        "image/webp" => "webp",
        "video/mp4" | "video" => "mp4",
        "audio/mpeg" | "audio" => "mp3",
        "audio/ogg" => "ogg",
        "application/pdf" => "pdf",
        "application/zip" => "zip",
        "text/plain" => "txt",
        "text/csv" => "csv",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Promise 8, `portal-box.md` §10: BB-code injection.
    #[test]
    fn a_customer_writes_no_tags_that_act() {
        for bad in [
            "[user=1]x[/user]",
            "[USER=1]x",
            "[send=/cmd]x[/send]",
            "[ put=x]",
            "[icon=http://x]",
            "[url=javascript:alert(1)]x[/url]",
            "[url]javascript:alert(1)[/url]",
            "[url = \"data:text/html,x\"]x",
            "[[user=1]]",
        ] {
            let out = neutralise(bad);
            assert!(
                !out.to_lowercase().replace("[/", "").contains("[u") && !out.contains("[s") || out.contains("［"),
                "{bad} → {out}"
            );
            assert!(out.contains('［'), "{bad} → {out}");
        }
        for good in
            ["[b]x[/b]", "[url=https://ex.test/?a=1]x[/url]", "a [1] b", "[", "[/url]", "[url]https://ex.test[/url]"]
        {
            assert_eq!(neutralise(good), good);
        }
        assert_eq!(neutralise(&"[".repeat(1_000_000)).len(), 1_000_000);
    }

    #[test]
    fn names_are_one_harmless_line() {
        for (name, want) in [
            ("Ann\nLee", "Ann Lee"),
            ("<script>alert(1)</script>", "script alert(1) /script"),
            ("O'Neil & \"Co\"", "O’Neil Co"),
            ("[b]x[/b]", "(b)x(/b)"),
            ("\u{202E}gpj.exe", "gpj.exe"),
            ("   ", ""),
        ] {
            assert_eq!(clean_name(name, 50), want);
        }
        assert_eq!(clean_name("👨‍👩‍👧👨‍👩‍👧", 6), "👨‍👩‍👧", "never inside a grapheme");
    }

    #[test]
    fn links_and_file_names() {
        assert_eq!(safe_link("https://ex.test/a b[c]").as_deref(), Some("https://ex.test/a%20b%5Bc%5D"));
        for bad in ["javascript:x", "data:text/html,x", "https:x", "ex.test", "http:", ""] {
            assert_eq!(safe_link(bad), None, "{bad}");
        }
        for (name, mime, want) in [
            (Some("../../etc/passwd"), None, Some("passwd")),
            (Some("C:\\a\\price.pdf"), None, Some("price.pdf")),
            (Some("https://x/y/photo?sig=1"), Some("image/png"), Some("photo.png")),
            (None, Some("image"), Some("file.jpg")),
            (Some(".."), None, None),
            (None, None, None),
        ] {
            assert_eq!(file_name(name, mime).as_deref(), want, "{name:?}");
        }
    }
}
