//! Skype's rich text (`botframework.md` §6.2). Nothing but a known tag tells it from plain text, in which entities
//! stay as they are. Broken markup is never an error: what cannot be read is text.

use std::collections::HashMap;

use super::doc::{BOLD, ITALIC, STRIKE, UNDERLINE, Writer};
use super::html::{self, Token, attr, decode};
use super::mention::{self, Mention, Recipient};
use super::print::{Form, render};
use super::{QUOTE_LINE, clean_name, emoji, normal, safe_link};

/// Tags that make a text rich.
const KNOWN: &[&str] = &[
    "URIObject",
    "a",
    "addmember",
    "at",
    "b",
    "blockquote",
    "br",
    "c_i",
    "code",
    "contacts",
    "del",
    "deletemember",
    "div",
    "e_m",
    "em",
    "ended",
    "flag",
    "font",
    "i",
    "img",
    "legacyquote",
    "li",
    "location",
    "ol",
    "p",
    "partlist",
    "pre",
    "quote",
    "s",
    "script",
    "span",
    "ss",
    "strike",
    "strong",
    "style",
    "topicupdate",
    "u",
    "ul",
];

/// Tags that go with what is in them: events, edit marks, code.
const DROPPED: &[&str] =
    &["addmember", "c_i", "deletemember", "e_m", "ended", "legacyquote", "partlist", "script", "style", "topicupdate"];

/// Hosts whose links only a signed-in Skype opens.
const PRIVATE_HOST: &str = "skype.com";

/// Reads a text from Skype as BB-code, and whether it was addressed to the bot by name.
pub(super) fn read(text: &str, recipient: &Recipient, mentions: &[Mention]) -> (String, bool) {
    let tokens = html::tokens(text);
    let is_rich = tokens.iter().any(|token| match token {
        Token::Open { name, .. } | Token::Close(name) => KNOWN.contains(name),
        Token::Text(_) => false,
    });
    if !is_rich {
        return mention::plain(&emoji::bare_skype(text), recipient, mentions);
    }
    let mut reader = Reader {
        ends: ends(&tokens),
        tokens: &tokens,
        recipient,
        writer: Writer::default(),
        quotes: 0,
        addressed: false,
    };
    let mut next = 0;
    while let Some(token) = tokens.get(next) {
        next = reader.token(next, *token);
    }
    if reader.quotes > 0 {
        reader.end_quote();
    }
    let addressed = reader.addressed;
    let doc = reader.writer.finish();
    (render(&doc, 0..doc.text().len(), Form::Bbcode), addressed)
}

/// For each opening tag the index of the next closing one of its name.
fn ends(tokens: &[Token<'_>]) -> Vec<Option<usize>> {
    let mut next: HashMap<&str, usize> = HashMap::new();
    let mut ends = vec![None; tokens.len()];
    for (index, (token, end)) in tokens.iter().zip(&mut ends).enumerate().rev() {
        match token {
            Token::Close(name) => {
                next.insert(name, index);
            }
            Token::Open { name, empty: false, .. } => *end = next.get(name).copied(),
            _ => (),
        }
    }
    ends
}

struct Reader<'a> {
    tokens: &'a [Token<'a>],
    ends: Vec<Option<usize>>,
    recipient: &'a Recipient,
    writer: Writer,
    /// How deep in quotes; only the outermost gets its lines of dashes, for the portal knows no nested ones.
    quotes: u32,
    addressed: bool,
}

impl Reader<'_> {
    /// Reads one token, or an element whole, and returns the index of the next token.
    fn token(&mut self, index: usize, token: Token<'_>) -> usize {
        match token {
            Token::Text(text) => self.writer.text(&emoji::bare_skype(&decode(text))),
            Token::Close(name) => self.close(name),
            Token::Open { name, attrs, .. } => {
                let end = self.ends.get(index).copied().flatten();
                if DROPPED.contains(&name) {
                    return end.unwrap_or(index) + 1;
                }
                if self.element(name, attrs, index, end) {
                    return end.unwrap_or(index) + 1;
                }
                self.open(name, attrs);
            }
        }
        index + 1
    }

    /// Elements that are read whole; `false` for all others.
    fn element(&mut self, name: &str, attrs: &str, index: usize, end: Option<usize>) -> bool {
        let inner = || self.inner(index, end);
        let text = match name {
            "ss" => {
                let shown = attr(attrs, "type").and_then(|kind| emoji::by_skype_type(&kind));
                shown.map_or_else(inner, str::to_owned)
            }
            "flag" => {
                let shown = attr(attrs, "country").and_then(|country| emoji::flag(&country));
                shown.map_or_else(inner, str::to_owned)
            }
            "at" => {
                if attr(attrs, "id").is_some_and(|id| !id.is_empty() && id == self.recipient.id) {
                    self.addressed = true;
                    return true;
                }
                let mut shown = String::new();
                mention::push_name(&mut shown, &inner(), "");
                shown
            }
            "img" => attr(attrs, "alt").unwrap_or_default(),
            "contacts" => self.contacts(index, end),
            "location" => location(attrs),
            "URIObject" => {
                self.file(attrs, index, end);
                return true;
            }
            _ => return false,
        };
        self.writer.text(&text);
        true
    }

    fn within(&self, index: usize, end: Option<usize>) -> &[Token<'_>] {
        end.and_then(|end| self.tokens.get(index + 1..end)).unwrap_or_default()
    }

    /// The text inside an element.
    fn inner(&self, index: usize, end: Option<usize>) -> String {
        text_of(self.within(index, end))
    }

    fn open(&mut self, name: &str, attrs: &str) {
        match name {
            "br" => self.writer.text("\n"),
            "p" | "div" | "ul" | "ol" => self.writer.fresh_line(),
            "li" => {
                self.writer.fresh_line();
                self.writer.text("• ");
            }
            "a" => {
                if let Some(url) = attr(attrs, "href").and_then(|url| safe_link(&url)) {
                    self.writer.open_link(url);
                }
            }
            "quote" | "blockquote" => self.begin_quote(attrs),
            _ => {
                if let Some(mark) = mark(name) {
                    self.writer.open(mark);
                }
            }
        }
    }

    fn close(&mut self, name: &str) {
        match name {
            "p" | "div" => self.writer.text("\n"),
            "li" | "ul" | "ol" => self.writer.fresh_line(),
            "a" => self.writer.close_link(),
            "quote" | "blockquote" if self.quotes == 1 => self.end_quote(),
            "quote" | "blockquote" => self.quotes = self.quotes.saturating_sub(1),
            _ => {
                if let Some(mark) = mark(name) {
                    self.writer.close(mark);
                }
            }
        }
    }

    fn begin_quote(&mut self, attrs: &str) {
        self.quotes = self.quotes.saturating_add(1);
        self.writer.fresh_line();
        if self.quotes > 1 {
            return;
        }
        let name = attr(attrs, "authorname").or_else(|| attr(attrs, "author")).unwrap_or_default();
        let stamp = attr(attrs, "timestamp").unwrap_or_default();
        let date = stamp.trim().parse().ok().and_then(normal::date_time).unwrap_or_else(|| clean_name(&stamp, 30));
        self.writer.text(&format!("{QUOTE_LINE}\n{}[{date}]\n", clean_name(&name, 50)));
    }

    fn end_quote(&mut self) {
        self.quotes = 0;
        self.writer.fresh_line();
        self.writer.text(&format!("{QUOTE_LINE}\n"));
    }

    /// `Name (id)` for each card, on lines of their own.
    fn contacts(&self, index: usize, end: Option<usize>) -> String {
        let cards = self.within(index, end).iter().filter_map(|token| match token {
            Token::Open { name: "c", attrs, .. } => {
                let (name, id) = (attr(attrs, "f").unwrap_or_default(), attr(attrs, "s").unwrap_or_default());
                Some(if name.is_empty() || name == id { id } else { format!("{name} ({id})") })
            }
            _ => None,
        });
        cards.collect::<Vec<_>>().join("\n")
    }

    /// A shared file: its name, as a link when others than Skype can open it.
    fn file(&mut self, attrs: &str, index: usize, end: Option<usize>) {
        let within = self.within(index, end);
        let find = |wanted: &str, key: &str| {
            within.iter().find_map(|token| match token {
                Token::Open { name, attrs, .. } if *name == wanted => attr(attrs, key),
                _ => None,
            })
        };
        let title = within.iter().position(|token| matches!(token, Token::Open { name: "Title", .. })).and_then(|at| {
            match within.get(at + 1) {
                Some(Token::Text(title)) => Some(decode(title)),
                _ => None,
            }
        });
        let name = find("OriginalName", "v").or(title).filter(|name| !name.trim().is_empty());
        let link = find("a", "href")
            .or_else(|| attr(attrs, "uri"))
            .and_then(|url| safe_link(&url))
            .filter(|url| is_public(url));
        let name = name.unwrap_or_else(|| text_of(within).trim().to_owned());
        match link {
            Some(url) => {
                self.writer.open_link(url);
                self.writer.text(&name);
                self.writer.close_link();
            }
            None => self.writer.text(&name),
        }
    }
}

fn text_of(tokens: &[Token<'_>]) -> String {
    let words = tokens.iter().filter_map(|token| match token {
        Token::Text(text) => Some(decode(text)),
        _ => None,
    });
    words.collect()
}

fn mark(name: &str) -> Option<u8> {
    match name {
        "b" | "strong" => Some(BOLD),
        "i" | "em" => Some(ITALIC),
        "u" => Some(UNDERLINE),
        "s" | "strike" | "del" => Some(STRIKE),
        _ => None,
    }
}

fn is_public(url: &str) -> bool {
    let host = url.split("//").nth(1).unwrap_or_default();
    let host = host.split(['/', '?', '#', ':']).next().unwrap_or_default().to_ascii_lowercase();
    !(host == PRIVATE_HOST || host.ends_with(&format!(".{PRIVATE_HOST}")))
}

/// A place as text: address and degrees.
fn location(attrs: &str) -> String {
    let degrees = |name: &str| {
        let value = attr(attrs, name)?;
        // Whole numbers are millionths of a degree.
        match value.trim().parse::<i64>() {
            Ok(millionths) => {
                let sign = if millionths < 0 { "-" } else { "" };
                let size = millionths.unsigned_abs();
                Some(format!("{sign}{}.{:06}", size / 1_000_000, size % 1_000_000))
            }
            Err(_) => value.trim().parse::<f64>().ok().filter(|value| value.is_finite()).map(|value| value.to_string()),
        }
    };
    let address = attr(attrs, "address").unwrap_or_default();
    match (address.trim(), degrees("latitude").zip(degrees("longitude"))) {
        (address, None) => address.to_owned(),
        ("", Some((latitude, longitude))) => format!("{latitude}, {longitude}"),
        (address, Some((latitude, longitude))) => format!("{address} ({latitude}, {longitude})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements() {
        let bot = Recipient { id: "28:bot".to_owned(), name: "Bot".to_owned() };
        for (text, want) in [
            ("<b>one<br/>two</b>", "[b]one[/b]\n[b]two[/b]"),
            ("<ul><li>a</li><li>b</li></ul>c", "• a\n• b\nc"),
            ("<p>a</p><p>b &amp;lt; c</p>", "a\nb &lt; c\n"),
            ("a<script>x</script>b<script>c", "abc"),
            ("<contacts><c t=\"s\" s=\"anna\" f=\"Anna\"/></contacts>", "Anna (anna)"),
            (
                "<location latitude=\"55750000\" longitude=\"-37600001\" address=\"Street 1\">x</location>",
                "Street 1 (55.750000, -37.600001)",
            ),
            (
                "<URIObject type=\"File.1\" uri=\"https://api.asm.skype.com/v1/x\"><Title>Title: a</Title><OriginalName v=\"a.pdf\"/></URIObject>",
                "a.pdf",
            ),
            (
                "<URIObject type=\"File.1\"><a href=\"https://ex.test/a.pdf\">x</a><OriginalName v=\"a.pdf\"/></URIObject>",
                "[url=https://ex.test/a.pdf]a.pdf[/url]",
            ),
            ("hm <img alt=\"😀\" src=\"x\"/>", "hm 😀"),
            ("<xyz>a</xyz> <b>b</b>", "a [b]b[/b]"),
            ("<b>a < c", "[b]a < c[/b]"),
            ("<ss type=\"hi\">", "👋"),
            ("<a href=\"https://ex.test\"></a>", "https://ex.test"),
        ] {
            assert_eq!(read(text, &bot, &[]).0, want, "{text}");
        }
    }

    #[test]
    fn quotes() {
        let bot = Recipient::default();
        let text = "<quote author=\"anna\" authorname=\"Anna [x]\" timestamp=\"1500000000\"><legacyquote>[1] Anna: \
                    </legacyquote>question<legacyquote>\n\n&lt;&lt;&lt; </legacyquote></quote>answer";
        let want = format!("{QUOTE_LINE}\nAnna (x)[2017-07-14 02:40]\nquestion\n{QUOTE_LINE}\nanswer");
        assert_eq!(read(text, &bot, &[]).0, want);
        let nested = read("<quote>a<quote>b</quote>c", &bot, &[]).0;
        assert_eq!(nested.matches(QUOTE_LINE).count(), 2, "{nested}");
    }
}
