//! Making foreign text harmless (`portal-box.md` §10): BB-code that a customer must not be able to write, names, file
//! names, links, values that a portal prints unescaped.

use std::fmt::Write as _;

use unicode_segmentation::UnicodeSegmentation;

/// Tags that act on the portal, or show something foreign there, when a customer writes them.
const ACTING: &[&str] = &[
    "attach",
    "call",
    "chat",
    "code",
    "context",
    "disk",
    "dislike",
    "icon",
    "img",
    "like",
    "pch",
    "put",
    "rating",
    "send",
    "timestamp",
    "user",
    "video",
];

/// Longer words are no tags.
const TAG_MAX_CHARS: usize = 16;

/// Takes the meaning from tags that a customer must not make: their opening bracket becomes a full-width one, which
/// reads the same and which no portal parses. Bold and its like stay, and links that [`safe_link`] would not change.
pub fn neutralise(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, inner)) = rest.split_once('[') {
        out.push_str(before);
        out.push(if is_acting(inner) { '［' } else { '[' });
        rest = inner;
    }
    out.push_str(rest);
    out
}

/// Whether what follows an opening bracket makes it a tag that must not stay one. Characters that nobody sees do not
/// count, because whoever drops them later would put the tag together.
fn is_acting(inner: &str) -> bool {
    let mut chars = inner.chars().filter(|char| !(is_unseen(*char) || char.is_whitespace())).peekable();
    let closing = chars.next_if_eq(&'/').is_some();
    let mut name = String::new();
    while let Some(char) = chars.next_if(char::is_ascii_alphabetic) {
        name.push(char.to_ascii_lowercase());
        if name.len() > TAG_MAX_CHARS {
            return false;
        }
    }
    if name == "url" && !closing {
        return !is_plain_url_tag(inner);
    }
    // Whatever else takes a value may be a tag of tomorrow.
    ACTING.contains(&name.as_str()) || (!closing && !name.is_empty() && chars.peek() == Some(&'='))
}

/// `url=U]…` or `url]U[…` exactly as we write it ourselves, with a safe U.
fn is_plain_url_tag(inner: &str) -> bool {
    let Some((name, rest)) = inner.split_at_checked(3) else { return false };
    let target = match rest.strip_prefix('=') {
        Some(rest) => {
            until(rest, &[']', '[', '\n']).filter(|url| rest.get(url.len()..).is_some_and(|rest| rest.starts_with(']')))
        }
        None => rest.strip_prefix(']').map(|rest| until(rest, &['[', '\n']).unwrap_or(rest)),
    };
    name.eq_ignore_ascii_case("url") && target.is_some_and(|url| safe_link(url).as_deref() == Some(url))
}

/// The text before the first of `ends`. Brackets always are among them, so many open tags do not each read everything.
fn until<'a>(text: &'a str, ends: &[char]) -> Option<&'a str> {
    text.find(ends).and_then(|end| text.get(..end))
}

/// Characters that turn, join or hide text without being seen.
fn is_unseen(char: char) -> bool {
    char.is_control()
        || matches!(char, '\u{AD}' | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}'
            | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}' | '\u{E0000}'..='\u{E0FFF}')
}

/// Characters that turn the direction of writing, with which `exe.gpj` shows as `jpg.exe`.
fn is_turning(char: char) -> bool {
    matches!(char, '\u{200B}' | '\u{200E}' | '\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{FEFF}')
}

/// A name on one line, without what could be markup on a portal's page, at most `max_chars` characters and never cut
/// inside a grapheme.
pub fn clean_name(name: &str, max_chars: usize) -> String {
    let plain: String = name
        .chars()
        .map(|char| match char {
            '<' | '>' | '"' | '&' => ' ',
            '\'' => '’',
            '[' => '(',
            ']' => ')',
            char if char.is_control() || is_turning(char) => ' ',
            char => char,
        })
        .collect();
    let words: Vec<&str> = plain.split_whitespace().collect();
    cut(&words.join(" "), max_chars).trim_end().to_owned()
}

/// The longest beginning of whole graphemes with at most `max_chars` characters.
fn cut(text: &str, max_chars: usize) -> &str {
    let mut count = 0;
    for (at, grapheme) in text.grapheme_indices(true) {
        count += grapheme.chars().count();
        if count > max_chars {
            return text.get(..at).unwrap_or_default();
        }
    }
    text
}

/// A value that the portal's settings page prints unescaped: without `< > " ' &` and control characters.
pub fn clean_html_value(value: &str) -> String {
    value.chars().filter(|char| !matches!(char, '<' | '>' | '"' | '\'' | '&') && !char.is_control()).collect()
}

/// A link that may stand in BB-code, or nothing when its scheme is not http, https, mailto or tel. Brackets, quotes,
/// spaces and whatever is not seen are percent-encoded; letters of any script stay as they are.
pub fn safe_link(url: &str) -> Option<String> {
    let url = url.trim();
    let (scheme, rest) = url.split_once(':')?;
    let is = |known: &str| scheme.eq_ignore_ascii_case(known);
    let host = if is("http") || is("https") {
        rest.strip_prefix("//")?
    } else if is("mailto") || is("tel") {
        rest
    } else {
        return None;
    };
    if host.is_empty() || host.starts_with(['/', '\\', '?', '#']) {
        return None;
    }
    let mut out = String::with_capacity(url.len());
    for char in url.chars() {
        let unsafe_char = char.is_whitespace()
            || is_unseen(char)
            || matches!(char, '[' | ']' | '"' | '\'' | '<' | '>' | '\\' | '`' | '{' | '}' | '|' | '^');
        if unsafe_char {
            for byte in char.encode_utf8(&mut [0; 4]).bytes() {
                // Writing to a string cannot fail.
                let _ = write!(out, "%{byte:02X}");
            }
        } else {
            out.push(char);
        }
    }
    Some(out)
}

/// Longest file name, in characters.
const FILE_NAME_MAX_CHARS: usize = 100;

/// A file name without a path and without characters that a file system refuses, at most 100 characters, with an
/// extension that fits the MIME type when it has none. Nothing when there is neither.
pub fn file_name(name: Option<&str>, mime: Option<&str>) -> Option<String> {
    let name = name.unwrap_or_default();
    // Only an address has a query; `C#.txt` is a name.
    let path = if name.contains("://") { name.split(['?', '#']).next().unwrap_or_default() } else { name };
    let last = path.rsplit(['/', '\\']).next().unwrap_or_default();
    let shown: String =
        last.chars().map(|char| if matches!(char, ':' | '*' | '?' | '|') { '_' } else { char }).collect();
    let clean = clean_name(&shown, usize::MAX);
    let clean = clean.trim_matches(['.', ' ']);
    let (stem, extension) = match clean.rsplit_once('.') {
        Some((stem, end)) if is_extension(end) => (stem, Some(end)),
        _ => (clean, None),
    };
    let extension = extension.or_else(|| mime.and_then(extension_of));
    match (stem.is_empty(), extension) {
        (true, None) => None,
        (true, Some(extension)) => Some(format!("file.{extension}")),
        (false, None) => Some(cut(stem, FILE_NAME_MAX_CHARS).trim_end_matches(['.', ' ']).to_owned()),
        (false, Some(extension)) => {
            let max = FILE_NAME_MAX_CHARS.saturating_sub(extension.len() + 1);
            Some(format!("{}.{extension}", cut(stem, max).trim_end()))
        }
    }
}

fn is_extension(end: &str) -> bool {
    (1..=10).contains(&end.len()) && end.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// What channels send; the bare words are theirs too.
fn extension_of(mime: &str) -> Option<&'static str> {
    let mime = mime.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    Some(match mime.as_str() {
        "image/jpeg" | "image/jpg" | "image/pjpeg" | "image" | "image/*" => "jpg",
        "image/png" => "png",
        "image/gif" => "gif",
        "image/webp" => "webp",
        "image/heic" => "heic",
        "image/bmp" => "bmp",
        "image/tiff" => "tif",
        "image/svg+xml" => "svg",
        "video/mp4" | "video" | "video/*" => "mp4",
        "video/quicktime" => "mov",
        "video/webm" => "webm",
        "video/3gpp" => "3gp",
        "audio/mpeg" | "audio/mp3" | "audio" | "audio/*" => "mp3",
        "audio/ogg" | "audio/opus" => "ogg",
        "audio/mp4" | "audio/x-m4a" | "audio/aac" => "m4a",
        "audio/wav" | "audio/x-wav" => "wav",
        "audio/amr" => "amr",
        "application/pdf" => "pdf",
        "application/zip" => "zip",
        "application/json" => "json",
        "application/msword" => "doc",
        "application/vnd.ms-excel" => "xls",
        "application/vnd.ms-powerpoint" => "ppt",
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document" => "docx",
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet" => "xlsx",
        "application/vnd.openxmlformats-officedocument.presentationml.presentation" => "pptx",
        "text/plain" => "txt",
        "text/csv" => "csv",
        "text/html" => "html",
        "text/vcard" | "text/x-vcard" => "vcf",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `portal-box.md` §10, BB-code injection.
    #[test]
    fn a_customer_writes_no_tags_that_act() {
        for bad in [
            "[user=1]x",
            "[USER=1]x",
            "[send=/cmd]x",
            "[ put=x]",
            "[\tcall=1]",
            "[icon=http://x title=y]",
            "[like]",
            "[Dislike]",
            "[rating=5]",
            "[pch=1]",
            "[attach=1]",
            "[disk=1]",
            "[chat=1]",
            "[/user]",
            "[newtag=1]",
            "[us\u{200B}er=1]",
            "[u\u{FE0F}ser=1]",
            "[us\0er=1]",
            "[url=javascript:alert(1)]x",
            "[URL=JavaScript:alert(1)]x",
            "[url]javascript:alert(1)",
            "[url = https://ex.test]x",
            "[url=\"data:text/html,x\"]x",
            "[url=https://ex.test\" onclick=\"x]x",
            "[url=https://ex.test",
        ] {
            let out = neutralise(bad);
            assert_eq!(out, bad.replacen('[', "［", 1), "{bad}");
        }
        assert_eq!(neutralise("[[user=1]]"), "[［user=1]]");
        assert_eq!(neutralise("[url=https://a[user=1]b]"), "［url=https://a［user=1]b]");
        for good in [
            "[b]x[/b] [I]y[/I] [s]z[/s] [u]v[/u]",
            "[url=https://ex.test/?a=1]x[/url]",
            "[url]https://ex.test[/url]",
            "a [1] b [x] [note: y]",
            "[likely]",
            "[",
            "[/url]",
            "[=]",
        ] {
            assert_eq!(neutralise(good), good);
        }
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
        assert_eq!(clean_html_value("<a href=\"x\" onclick='y'>&\n"), "a href=x onclick=y");
    }

    #[test]
    fn links() {
        for (url, want) in [
            ("https://ex.test/a b[c]", "https://ex.test/a%20b%5Bc%5D"),
            (" HTTP://ex.test/?a=1&b=2#c ", "HTTP://ex.test/?a=1&b=2#c"),
            ("https://пример.рф/путь", "https://пример.рф/путь"),
            ("https://ex.test/\"'\n", "https://ex.test/%22%27"),
            ("https://ex.test/\u{202E}a", "https://ex.test/%E2%80%AEa"),
            ("mailto:a@ex.test", "mailto:a@ex.test"),
            ("tel:+1", "tel:+1"),
        ] {
            assert_eq!(safe_link(url).as_deref(), Some(want));
        }
        for bad in [
            "javascript:x",
            "java\tscript:x",
            "data:text/html,x",
            "https:x",
            "ex.test",
            "http://",
            "http:///x",
            "",
            "file:///x",
        ] {
            assert_eq!(safe_link(bad), None, "{bad}");
        }
    }

    #[test]
    fn file_names() {
        for (name, mime, want) in [
            (Some("../../etc/passwd"), None, Some("passwd")),
            (Some("C:\\a\\price.pdf"), None, Some("price.pdf")),
            (Some("https://x/y/photo?sig=1"), Some("image/png"), Some("photo.png")),
            (Some("C#.txt"), None, Some("C#.txt")),
            (Some("a\0b\n<c>.jpg"), None, Some("a b c.jpg")),
            (Some("\u{202E}gpj.exe"), None, Some("gpj.exe")),
            (Some("photo"), Some("image/jpeg; q=1"), Some("photo.jpg")),
            (Some("v1.2 report"), Some("application/pdf"), Some("v1.2 report.pdf")),
            (None, Some("image"), Some("file.jpg")),
            (Some(".."), None, None),
            (None, Some("x/y"), None),
            (None, None, None),
        ] {
            assert_eq!(file_name(name, mime).as_deref(), want, "{name:?}");
        }
        let long = file_name(Some(&format!("{}.docx", "ж".repeat(300))), None).unwrap();
        assert!(long.chars().count() == 100 && long.rsplit('.').next() == Some("docx"), "{long}");
    }
}
