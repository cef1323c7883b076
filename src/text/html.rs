//! Tags and entities of the HTML that channels send: just enough to read it, never an error. A tag ends before the
//! next `<`, so reading is linear whatever is left open.

/// A piece of rich text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// Text between tags, entities still in it.
    Text(&'a str),
    /// `<name attrs>`, or `<name attrs/>` when `empty`.
    Open {
        /// As written.
        name: &'a str,
        /// What follows the name.
        attrs: &'a str,
        /// Closes itself.
        empty: bool,
    },
    /// `</name>`.
    Close(&'a str),
}

/// Cuts rich text into its tokens. What is no tag stays text.
pub(super) fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut tokens = vec![];
    let (mut from, mut search) = (0, 0);
    while let Some(at) = text.get(search..).and_then(|rest| rest.find('<')).map(|at| search + at) {
        search = at + 1;
        let Some((token, length)) = text.get(at..).and_then(tag) else { continue };
        if let Some(before) = text.get(from..at).filter(|before| !before.is_empty()) {
            tokens.push(Token::Text(before));
        }
        tokens.push(token);
        search = at + length;
        from = search;
    }
    if let Some(rest) = text.get(from..).filter(|rest| !rest.is_empty()) {
        tokens.push(Token::Text(rest));
    }
    tokens
}

/// The tag at the start of `text` and its length.
fn tag(text: &str) -> Option<(Token<'_>, usize)> {
    let inner = text.strip_prefix('<')?;
    let mut quote = None;
    let end = inner.char_indices().find_map(|(at, char)| match (quote, char) {
        (_, '<') => Some(Err(())),
        (None, '>') => Some(Ok(at)),
        (None, '"' | '\'') => {
            quote = Some(char);
            None
        }
        (Some(open), _) if open == char => {
            quote = None;
            None
        }
        _ => None,
    })?;
    let body = inner.get(..end.ok()?)?;
    let length = body.len() + 2;
    let is_name = |name: &str| {
        name.starts_with(|char: char| char.is_ascii_alphabetic())
            && name.chars().all(|char| char.is_ascii_alphanumeric() || char == '_')
    };
    if let Some(name) = body.strip_prefix('/') {
        let name = name.trim_end();
        return is_name(name).then_some((Token::Close(name), length));
    }
    let empty = body.ends_with('/');
    let body = body.strip_suffix('/').unwrap_or(body);
    let (name, attrs) = body.split_at(body.find(char::is_whitespace).unwrap_or(body.len()));
    is_name(name).then_some((Token::Open { name, attrs, empty }, length))
}

/// The decoded value of an attribute.
pub(super) fn attr(attrs: &str, wanted: &str) -> Option<String> {
    let mut rest = attrs.trim_start();
    while let Some((name, behind)) = rest.split_once('=') {
        let behind = behind.trim_start();
        let quote = behind.chars().next().filter(|char| matches!(char, '"' | '\''));
        let (value, next) = match quote {
            Some(quote) => behind.get(1..)?.split_once(quote)?,
            None => behind.split_at(behind.find(char::is_whitespace).unwrap_or(behind.len())),
        };
        // Attributes without a value may stand before this name.
        if name.split_whitespace().next_back() == Some(wanted) {
            return Some(decode(value));
        }
        rest = next;
    }
    None
}

/// Decodes the five XML entities and numeric ones, once. Everything else stays.
pub(super) fn decode(text: &str) -> String {
    /// `&#x10FFFF;` without its ampersand.
    const LONGEST: usize = 9;
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, inner)) = rest.split_once('&') {
        out.push_str(before);
        let found = inner
            .bytes()
            .take(LONGEST)
            .position(|byte| byte == b';')
            .and_then(|end| Some((character(inner.get(..end)?)?, inner.get(end + 1..)?)));
        let (char, behind) = found.unwrap_or(('&', inner));
        out.push(char);
        rest = behind;
    }
    out.push_str(rest);
    out
}

fn character(entity: &str) -> Option<char> {
    match entity {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => {
            let number = entity.strip_prefix('#')?;
            let code = match number.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                None => number.parse().ok()?,
            };
            char::from_u32(code).filter(|char| *char != '\0')
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags() {
        let open = |name, attrs, empty| Token::Open { name, attrs, empty };
        assert_eq!(
            tokens("a<b x=\"1>2\">c</b><br/><'>> <i"),
            [
                Token::Text("a"),
                open("b", " x=\"1>2\"", false),
                Token::Text("c"),
                Token::Close("b"),
                open("br", "", true),
                Token::Text("<'>> <i")
            ]
        );
    }

    #[test]
    fn attributes() {
        for (attrs, name, want) in [
            (" a=\"x\" b='y &amp; z'", "b", Some("y & z")),
            (" checked a=x/y b = \"c d\"", "b", Some("c d")),
            (" checked a=x", "a", Some("x")),
            (" data-id=\"1\"", "id", None),
            (" a=\"x", "a", None),
            ("", "a", None),
        ] {
            assert_eq!(attr(attrs, name).as_deref(), want, "{attrs}");
        }
    }

    #[test]
    fn entities_once() {
        for (text, want) in [
            ("&lt;&amp;lt;&gt;&quot;&apos;", "<&lt;>\"'"),
            ("&#128075;&#x1F44B;&nbsp;&#0;&#xD800;&#99999999;&;&", "👋👋&nbsp;&#0;&#xD800;&#99999999;&;&"),
        ] {
            assert_eq!(decode(text), want);
        }
    }
}
