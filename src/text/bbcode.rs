//! Operators' BB-code → [`Doc`]. A tag counts when it is closed; what is never closed, and brackets that are no tags,
//! stay text. Unknown pairs lose their tags and keep what is inside.

use std::collections::HashMap;
use std::ops::Range;

use super::doc::{BOLD, Doc, ITALIC, Look, STRIKE, UNDERLINE, Writer};
use super::{QUOTE_LINE, emoji, normal, safe_link};

enum Token<'a> {
    Text(&'a str),
    Tag(Tag<'a>),
}

/// `raw` is the tag as written, `value` what follows its name.
struct Tag<'a> {
    raw: &'a str,
    name: String,
    closing: bool,
    value: &'a str,
}

/// Longest name of a tag.
const NAME_MAX_BYTES: usize = 20;

/// Reads an operator's text.
pub(super) fn parse(text: &str) -> Doc {
    let text = normal::characters(text);
    let tokens = tokens(&text);
    let mates = mates(&tokens);
    let mut reader =
        Reader { tokens: &tokens, mates: &mates, writer: Writer::default(), after_break: false, link_end: None };
    for index in 0..tokens.len() {
        reader.token(index);
    }
    quotes(reader.writer.finish())
}

fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut tokens = vec![];
    let mut rest = text;
    let mut text_start = text;
    // Set once nothing closes a code block any more, so that many open ones are not searched for again and again.
    let mut code_ended = false;
    while let Some(at) = rest.find('[') {
        let (_, tail) = rest.split_at(at);
        let Some((tag, after)) = tag(tail) else {
            rest = tail.get(1..).unwrap_or_default();
            continue;
        };
        push_text(&mut tokens, text_start, tail);
        rest = after;
        if tag.name == "code" && !tag.closing && !code_ended {
            match find_code_end(after) {
                Some((inside, behind)) => {
                    tokens.push(Token::Text(inside));
                    rest = behind;
                    text_start = rest;
                    continue;
                }
                None => code_ended = true,
            }
        }
        tokens.push(Token::Tag(tag));
        text_start = rest;
    }
    push_text(&mut tokens, text_start, "");
    tokens
}

/// The part of `from` before its own end `tail`.
fn push_text<'a>(tokens: &mut Vec<Token<'a>>, from: &'a str, tail: &str) {
    if let Some(text) = from.get(..from.len().saturating_sub(tail.len())).filter(|text| !text.is_empty()) {
        tokens.push(Token::Text(text));
    }
}

/// What is inside a code block, and what follows it.
fn find_code_end(text: &str) -> Option<(&str, &str)> {
    const END: &str = "[/code]";
    let at = text
        .match_indices('[')
        .map(|(at, _)| at)
        .find(|at| text.get(*at..at + END.len()).is_some_and(|end| end.eq_ignore_ascii_case(END)))?;
    Some((text.get(..at)?, text.get(at + END.len()..)?))
}

/// The tag at the start of `text`, and the rest. Stops at the next bracket, so reading stays linear.
fn tag(text: &str) -> Option<(Tag<'_>, &str)> {
    let inner = text.strip_prefix('[')?;
    let end = inner.find(['[', ']', '\n'])?;
    let (body, after) = inner.split_at_checked(end)?;
    let after = after.strip_prefix(']')?;
    let closing = body.starts_with('/');
    let named = body.strip_prefix('/').unwrap_or(body);
    let name_end = named.find(|char: char| !char.is_ascii_alphanumeric()).unwrap_or(named.len());
    let (name, value) = named.split_at_checked(name_end)?;
    if name.is_empty() || name.len() > NAME_MAX_BYTES || !(value.is_empty() || value.starts_with(['=', ' '])) {
        return None;
    }
    let raw = text.get(..body.len() + 2)?;
    let value = value.strip_prefix('=').unwrap_or(value).trim();
    Some((Tag { raw, name: name.to_ascii_lowercase(), closing, value }, after))
}

/// For each token the partner of its tag: the nearest open one of the same name.
fn mates(tokens: &[Token<'_>]) -> Vec<Option<usize>> {
    let mut mates = vec![None; tokens.len()];
    let mut open: HashMap<&str, Vec<usize>> = HashMap::new();
    for (index, token) in tokens.iter().enumerate() {
        let Token::Tag(tag) = token else { continue };
        let same = open.entry(&tag.name).or_default();
        if !tag.closing {
            same.push(index);
        } else if let Some(start) = same.pop() {
            if let Some(mate) = mates.get_mut(start) {
                *mate = Some(index);
            }
            if let Some(mate) = mates.get_mut(index) {
                *mate = Some(start);
            }
        }
    }
    mates
}

struct Reader<'a> {
    tokens: &'a [Token<'a>],
    mates: &'a [Option<usize>],
    writer: Writer,
    /// The operator's signature puts one space after its `[br]`.
    after_break: bool,
    /// The token that ends the open link.
    link_end: Option<usize>,
}

impl Reader<'_> {
    fn token(&mut self, index: usize) {
        match self.tokens.get(index) {
            Some(Token::Text(text)) => self.text(text),
            Some(Token::Tag(tag)) => self.tag(index, tag),
            None => (),
        }
    }

    fn text(&mut self, text: &str) {
        for (nth, part) in text.split("#BR#").enumerate() {
            if nth > 0 {
                self.line_break();
            }
            let part = if self.after_break { part.strip_prefix(' ').unwrap_or(part) } else { part };
            self.after_break &= part.is_empty();
            self.writer.text(part);
        }
    }

    fn line_break(&mut self) {
        self.writer.text("\n");
        self.after_break = true;
    }

    fn tag(&mut self, index: usize, tag: &Tag<'_>) {
        if !tag.closing && self.single(tag) {
            return;
        }
        let Some(mate) = self.mates.get(index).copied().flatten() else {
            // Single tags have no end; everything else unpaired is what somebody typed.
            self.text(tag.raw);
            return;
        };
        match (tag.name.as_str(), tag.closing) {
            // Links do not nest: only the end of the outermost one ends it.
            ("url" | "img", true) => {
                if self.link_end == Some(index) {
                    self.writer.close_link();
                    self.link_end = None;
                }
            }
            ("url" | "img", false) => {
                if self.link_end.is_none()
                    && let Some(url) = self.address(index, mate, tag)
                {
                    self.writer.open_link(url);
                    self.link_end = Some(mate);
                }
            }
            (name, closing) => {
                let Some(mark) = mark(name) else { return };
                if closing { self.writer.close(mark) } else { self.writer.open(mark) }
            }
        }
    }

    /// Tags that stand alone; `false` for all others.
    fn single(&mut self, tag: &Tag<'_>) -> bool {
        let text = match tag.name.as_str() {
            "br" => {
                self.line_break();
                return true;
            }
            "like" => "👍".to_owned(),
            "dislike" => "👎".to_owned(),
            "rating" if !tag.value.is_empty() => format!("{}/5", tag.value),
            "icon" if !tag.value.is_empty() => icon(tag.value),
            // The file itself cannot be named from its number.
            "disk" | "attach" if !tag.value.is_empty() => "📎".to_owned(),
            "timestamp" if !tag.value.is_empty() => timestamp(tag.value),
            _ => return false,
        };
        self.text(&text);
        true
    }

    /// The address that a tag names or, without a value, encloses.
    fn address(&self, start: usize, end: usize, tag: &Tag<'_>) -> Option<String> {
        if tag.name == "url" && !tag.value.is_empty() {
            return safe_link(tag.value.trim_matches(['"', '\'']));
        }
        match self.tokens.get(start + 1..end)? {
            [Token::Text(text)] => safe_link(text),
            _ => None,
        }
    }
}

fn mark(name: &str) -> Option<u8> {
    match name {
        "b" => Some(BOLD),
        "i" => Some(ITALIC),
        "u" => Some(UNDERLINE),
        "s" => Some(STRIKE),
        _ => None,
    }
}

/// An emoji by the picture's file name, else by its title, else the title.
fn icon(value: &str) -> String {
    let address = value.split_whitespace().next().unwrap_or_default();
    let path = address.split(['?', '#']).next().unwrap_or_default();
    let file = path.rsplit('/').next().unwrap_or_default();
    let code = file.rsplit_once('.').map_or(file, |(stem, _)| stem);
    let title = title(value);
    emoji::by_code(code)
        .or_else(|| emoji::by_shortname(title.strip_prefix(':')?.strip_suffix(':')?))
        .map_or_else(|| title.to_owned(), str::to_owned)
}

/// The value of `title=`: quoted, or up to the next attribute.
fn title(value: &str) -> &str {
    let lower = value.to_ascii_lowercase();
    let Some(at) = lower.find("title=") else { return "" };
    let rest = value.get(at + "title=".len()..).unwrap_or_default();
    if let Some((title, _)) = rest.strip_prefix('"').and_then(|rest| rest.split_once('"')) {
        return title;
    }
    let lower = lower.get(at + "title=".len()..).unwrap_or_default();
    let end = [" size=", " width=", " height="].iter().filter_map(|next| lower.find(next)).min().unwrap_or(rest.len());
    rest.get(..end).unwrap_or_default().trim()
}

fn timestamp(value: &str) -> String {
    let number = value.split_whitespace().next().unwrap_or_default();
    number.parse().ok().and_then(normal::date_time).unwrap_or_else(|| number.to_owned())
}

/// Finds the portal's quotes, `>>` lines and blocks between two lines of dashes, and takes their signs away.
fn quotes(doc: Doc) -> Doc {
    if !doc.text().contains(">>") && !doc.text().contains(QUOTE_LINE) {
        return doc;
    }
    let lines: Vec<Range<usize>> = doc.lines(0..doc.text().len()).collect();
    let line = |range: &Range<usize>| doc.text().get(range.clone()).unwrap_or_default();
    let mut dashes = lines.iter().filter(|range| line(range).trim_end() == QUOTE_LINE).count();
    // A last one without a partner is just a line.
    dashes -= dashes % 2;
    let mut out = Doc::sharing_links(&doc);
    let (mut seen, mut first) = (0, true);
    for range in lines {
        if seen < dashes && line(&range).trim_end() == QUOTE_LINE {
            seen += 1;
            continue;
        }
        let by_sign = line(&range).starts_with(">>");
        if !first {
            out.push("\n", Look::default());
        }
        first = false;
        let start = out.text().len();
        let inner = if by_sign {
            let behind = range.start + 2;
            behind + usize::from(line(&(behind..range.end)).starts_with(' '))..range.end
        } else {
            range
        };
        for (text, look) in doc.pieces(inner) {
            out.push(text, look);
        }
        if by_sign || seen % 2 == 1 {
            out.add_quote(start..out.text().len());
        }
    }
    out
}
