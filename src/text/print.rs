//! [`Doc`] → a channel's text, and → BB-code. Each line is marked up on its own: marks never span line feeds, stand
//! next to a letter rather than a space, and are left out where the channel would not see them as marks.

use std::borrow::Cow;
use std::ops::Range;

use super::doc::{BOLD, Doc, ITALIC, MARKS, STRIKE, UNDERLINE, same_link};

/// What a channel reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Print {
    /// Nothing but text; links in brackets.
    Plain,
    /// CommonMark with `~~`.
    Markdown,
    /// The XML of Skype.
    Xml,
    /// The XML of Teams, which has other names.
    TeamsXml,
    /// mrkdwn.
    Slack,
}

/// What [`render`] can write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// For a channel.
    To(Print),
    /// BB-code for a portal.
    Bbcode,
}

impl Form {
    /// The signs of a mark, or nothing when this form has none for it.
    fn pair(self, mark: u8) -> Option<(&'static str, &'static str)> {
        Some(match (self, mark) {
            (Self::To(Print::Markdown), BOLD) => ("**", "**"),
            (Self::To(Print::Markdown), ITALIC) | (Self::To(Print::Slack), BOLD) => ("*", "*"),
            (Self::To(Print::Markdown), STRIKE) => ("~~", "~~"),
            (Self::To(Print::Slack), ITALIC) => ("_", "_"),
            (Self::To(Print::Slack), STRIKE) => ("~", "~"),
            (Self::To(Print::Xml), BOLD) => ("<b>", "</b>"),
            (Self::To(Print::Xml), ITALIC) => ("<i>", "</i>"),
            (Self::To(Print::Xml), STRIKE) => ("<s>", "</s>"),
            (Self::To(Print::TeamsXml), BOLD) => ("<strong>", "</strong>"),
            (Self::To(Print::TeamsXml), ITALIC) => ("<em>", "</em>"),
            (Self::To(Print::TeamsXml), STRIKE) => ("<strike>", "</strike>"),
            (Self::To(Print::Xml | Print::TeamsXml), UNDERLINE) => ("<u>", "</u>"),
            (Self::Bbcode, BOLD) => ("[b]", "[/b]"),
            (Self::Bbcode, ITALIC) => ("[i]", "[/i]"),
            (Self::Bbcode, UNDERLINE) => ("[u]", "[/u]"),
            (Self::Bbcode, STRIKE) => ("[s]", "[/s]"),
            _ => return None,
        })
    }

    fn is_xml(self) -> bool {
        matches!(self, Self::To(Print::Xml | Print::TeamsXml))
    }
}

/// Writes `range` of a document. Tags that are open at its borders are closed and reopened.
pub(super) fn render(doc: &Doc, range: Range<usize>, form: Form) -> String {
    let mut out = String::new();
    // Whether the line before was quoted, and whether it was blank.
    let mut before: Option<(bool, bool)> = None;
    for line in doc.lines(range) {
        let quoted = doc.is_quoted(line.start);
        let printed = print_line(doc, line, form);
        let blank = printed.trim().is_empty();
        out.push_str(&joint(form, before, (quoted, blank)));
        out.push_str(printed.as_str());
        before = Some((quoted, blank));
    }
    if form.is_xml() && before.is_some_and(|(quoted, _)| quoted) {
        out.push_str("</blockquote>");
    }
    out
}

/// What stands between two lines, the sign of a quote included.
fn joint(form: Form, before: Option<(bool, bool)>, (quoted, blank): (bool, bool)) -> String {
    let was_quoted = before.is_some_and(|(quoted, _)| quoted);
    if form.is_xml() {
        return match (before.is_some(), was_quoted, quoted) {
            (_, false, true) => "<blockquote>",
            (_, true, false) => "</blockquote>",
            (true, ..) => "<br/>",
            (false, ..) => "",
        }
        .to_owned();
    }
    let feed = match before {
        None => "",
        // Without a blank line Markdown would draw the next line into the quote.
        Some((true, _)) if !quoted && !blank && form == Form::To(Print::Markdown) => "\n\n",
        Some((_, false)) if !blank && was_quoted == quoted && form == Form::To(Print::Markdown) => "  \n",
        Some(_) => "\n",
    };
    let sign = match form {
        _ if !quoted => "",
        Form::To(Print::Slack) => ">",
        Form::To(_) => "> ",
        Form::Bbcode => ">>",
    };
    format!("{feed}{sign}")
}

/// A stretch of a line that is printed alike.
#[derive(Clone, Debug)]
struct Piece<'a> {
    text: Cow<'a, str>,
    marks: u8,
    link: Option<usize>,
    /// Already in the channel's writing.
    raw: bool,
}

impl Piece<'_> {
    fn is_space(&self) -> bool {
        self.text.chars().all(char::is_whitespace)
    }
}

fn print_line(doc: &Doc, line: Range<usize>, form: Form) -> String {
    let mut pieces = split_edges(doc, line);
    bare_spaces(&mut pieces);
    let mut pieces = settle_links(doc, pieces, form);
    for piece in &mut pieces {
        for mark in MARKS {
            if form.pair(mark).is_none() {
                piece.marks &= !mark;
            }
        }
    }
    drop_unseen_marks(&mut pieces, form);
    let text = emit(doc, &pieces, form);
    match form {
        Form::To(Print::Markdown) => shallow(text),
        _ => text,
    }
}

/// Cuts the spaces at both edges of each stretch off, so that they can lose their marks.
fn split_edges(doc: &Doc, line: Range<usize>) -> Vec<Piece<'_>> {
    let mut pieces = vec![];
    for (text, look) in doc.pieces(line) {
        let body = text.trim_start();
        let (lead, body) = text.split_at(text.len() - body.len());
        let (body, tail) = body.split_at(body.trim_end().len());
        for part in [lead, body, tail] {
            if !part.is_empty() {
                pieces.push(Piece { text: Cow::Borrowed(part), marks: look.marks, link: look.link, raw: false });
            }
        }
    }
    pieces
}

/// Spaces between two words keep the marks and the link that both words have; all others lose them, which moves the
/// spaces at the edges of a tag out of it.
fn bare_spaces(pieces: &mut [Piece<'_>]) {
    let mut before: (u8, Option<usize>) = (0, None);
    let mut after = vec![(0, None); pieces.len()];
    let mut next = (0, None);
    for (piece, after) in pieces.iter().zip(&mut after).rev() {
        *after = next;
        if !piece.is_space() {
            next = (piece.marks, piece.link);
        }
    }
    for (piece, after) in pieces.iter_mut().zip(after) {
        if piece.is_space() {
            piece.marks &= before.0 & after.0;
            piece.link = piece.link.filter(|link| before.1 == Some(*link) && after.1 == Some(*link));
        } else {
            before = (piece.marks, piece.link);
        }
    }
}

/// Writes out the links that need no tag or cannot hold one, and keeps the others for [`emit`].
fn settle_links<'a>(doc: &Doc, pieces: Vec<Piece<'a>>, form: Form) -> Vec<Piece<'a>> {
    let mut settled = Vec::with_capacity(pieces.len());
    let mut pieces = pieces.into_iter().peekable();
    while let Some(piece) = pieces.next() {
        let Some(number) = piece.link else {
            settled.push(piece);
            continue;
        };
        let mut group = vec![piece];
        while let Some(piece) = pieces.next_if(|next| next.link == Some(number)) {
            group.push(piece);
        }
        let url = doc.link(number);
        let label: String = group.iter().map(|piece| piece.text.as_ref()).collect();
        let marks = group.iter().fold(u8::MAX, |marks, piece| marks & piece.marks);
        let raw = match form {
            Form::To(Print::Markdown) if label == url => url.to_owned(),
            Form::To(Print::Slack) if label == url => format!("<{}>", escape_xml(url)),
            // Slack reads no marks inside a label.
            Form::To(Print::Slack) => format!("<{}|{}>", escape_xml(url), escape_xml(&label)),
            Form::Bbcode if same_link(&label, url) => {
                for piece in &mut group {
                    piece.link = None;
                }
                settled.append(&mut group);
                continue;
            }
            _ => {
                settled.append(&mut group);
                continue;
            }
        };
        settled.push(Piece { text: Cow::Owned(raw), marks, link: None, raw: true });
    }
    settled
}

/// Takes away marks that the channel would show as characters: CommonMark and mrkdwn look at the neighbours of a sign.
fn drop_unseen_marks(pieces: &mut [Piece<'_>], form: Form) {
    let Form::To(how @ (Print::Markdown | Print::Slack)) = form else { return };
    for mark in MARKS {
        let mut start = 0;
        while start < pieces.len() {
            let has = |piece: &Piece<'_>| piece.marks & mark != 0;
            let rest = pieces.get(start..).unwrap_or_default();
            let skip = rest.iter().take_while(|piece| !has(piece)).count();
            let from = start + skip;
            let length = rest.iter().skip(skip).take_while(|piece| has(piece)).count();
            let before = from.checked_sub(1).and_then(|at| pieces.get(at)).and_then(|piece| piece.text.chars().last());
            let after = pieces.get(from + length).and_then(|piece| piece.text.chars().next());
            let run = pieces.get(from..from + length).unwrap_or_default();
            let first = run.first().and_then(|piece| piece.text.chars().next());
            let last = run.last().and_then(|piece| piece.text.chars().last());
            if !(is_seen(how, before, first) && is_seen(how, after, last)) {
                for piece in pieces.iter_mut().skip(from).take(length) {
                    piece.marks &= !mark;
                }
            }
            start = from + length.max(1);
        }
    }
}

/// Whether a sign between a character outside and one inside is a sign.
fn is_seen(how: Print, outside: Option<char>, inside: Option<char>) -> bool {
    let is_word = |char: char| char.is_alphanumeric();
    match (outside, inside) {
        (Some(outside), Some(_)) if how == Print::Slack => !is_word(outside),
        (Some(outside), Some(inside)) => is_word(inside) || outside.is_whitespace() || !is_word(outside),
        (_, None) | (None, Some(_)) => true,
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Tag {
    Mark(u8),
    Link(usize),
}

impl Tag {
    fn is_on(self, piece: &Piece<'_>) -> bool {
        match self {
            Self::Mark(mark) => piece.marks & mark != 0,
            Self::Link(number) => piece.link == Some(number),
        }
    }
}

/// Writes the pieces with their tags. What lasts longer is opened first, so that few tags must be reopened.
fn emit(doc: &Doc, pieces: &[Piece<'_>], form: Form) -> String {
    let mut out = String::new();
    let mut open: Vec<Tag> = vec![];
    for (index, piece) in pieces.iter().enumerate() {
        let keep = open.iter().position(|tag| !tag.is_on(piece)).unwrap_or(open.len());
        for tag in open.drain(keep..).rev() {
            close(&mut out, doc, tag, form);
        }
        let mut wanted: Vec<(usize, Tag)> = piece
            .link
            .map(Tag::Link)
            .into_iter()
            .chain(MARKS.into_iter().map(Tag::Mark))
            .filter(|tag| tag.is_on(piece) && !open.contains(tag))
            .map(|tag| (pieces.iter().skip(index).take_while(|piece| tag.is_on(piece)).count(), tag))
            .collect();
        wanted.sort_by_key(|(length, _)| std::cmp::Reverse(*length));
        for (_, tag) in wanted {
            begin(&mut out, doc, tag, form);
            open.push(tag);
        }
        if piece.raw {
            out.push_str(&piece.text);
        } else {
            escape(&mut out, &piece.text, form);
        }
    }
    for tag in open.into_iter().rev() {
        close(&mut out, doc, tag, form);
    }
    out
}

fn begin(out: &mut String, doc: &Doc, tag: Tag, form: Form) {
    match (tag, form) {
        (Tag::Mark(mark), _) => out.push_str(form.pair(mark).map_or("", |(begin, _)| begin)),
        (Tag::Link(_), Form::To(Print::Markdown)) => out.push('['),
        (Tag::Link(number), Form::To(Print::Xml | Print::TeamsXml)) => {
            out.push_str("<a href=\"");
            out.push_str(&escape_xml(doc.link(number)));
            out.push_str("\">");
        }
        (Tag::Link(number), Form::Bbcode) => {
            out.push_str("[url=");
            out.push_str(doc.link(number));
            out.push(']');
        }
        // Written out before.
        (Tag::Link(_), Form::To(Print::Plain | Print::Slack)) => (),
    }
}

fn close(out: &mut String, doc: &Doc, tag: Tag, form: Form) {
    match (tag, form) {
        (Tag::Mark(mark), _) => out.push_str(form.pair(mark).map_or("", |(_, close)| close)),
        (Tag::Link(number), Form::To(Print::Markdown)) => {
            out.push_str("](");
            out.push_str(&doc.link(number).replace('(', "%28").replace(')', "%29"));
            out.push(')');
        }
        (Tag::Link(_), Form::To(Print::Xml | Print::TeamsXml)) => out.push_str("</a>"),
        (Tag::Link(_), Form::Bbcode) => out.push_str("[/url]"),
        (Tag::Link(_), Form::To(Print::Plain | Print::Slack)) => (),
    }
}

fn escape(out: &mut String, text: &str, form: Form) {
    match form {
        Form::To(Print::Plain) | Form::Bbcode => out.push_str(text),
        Form::To(Print::Xml | Print::TeamsXml) => out.push_str(&escape_xml(text).replace('"', "&quot;")),
        Form::To(Print::Slack) => out.push_str(&escape_xml(text)),
        Form::To(Print::Markdown) => escape_markdown(out, text),
    }
}

fn escape_xml(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Backslashes before what CommonMark would read, except inside addresses.
fn escape_markdown(out: &mut String, text: &str) {
    let mut rest = text;
    // Signs of headings, lists and underlined headings count at the start of a line only.
    if out.trim().is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|char: char| char.is_ascii_digit()).len();
        let (number, behind) = rest.split_at(digits);
        if digits > 0 && behind.starts_with(['.', ')']) {
            out.push_str(number);
            out.push('\\');
            let (sign, behind) = behind.split_at(1);
            out.push_str(sign);
            rest = behind;
        } else if rest.starts_with(['#', '+', '-', '=']) {
            out.push('\\');
        }
    }
    let mut before = out.chars().last();
    while let Some(char) = rest.chars().next() {
        let is_address = char == 'h'
            && before.is_none_or(|before| !before.is_alphanumeric())
            && (rest.starts_with("https://") || rest.starts_with("http://"));
        let length = if is_address { address_length(rest) } else { char.len_utf8() };
        let (now, behind) = rest.split_at(length);
        let special = matches!(char, '\\' | '*' | '_' | '~' | '[' | ']' | '<' | '>' | '`');
        if special || (char == '&' && is_entity(behind)) {
            out.push('\\');
        }
        out.push_str(now);
        before = now.chars().last();
        rest = behind;
    }
}

/// How far an address reaches, without the punctuation that ends a sentence.
fn address_length(text: &str) -> usize {
    let end = text
        .find(|char: char| char.is_whitespace() || matches!(char, '<' | '>' | '[' | ']' | '"' | '\'' | '`' | '\\'))
        .unwrap_or(text.len());
    let address = text.get(..end).unwrap_or_default();
    address.trim_end_matches(['.', ',', ';', ':', '!', '?', ')', '*', '_', '~']).len().max(1)
}

/// Whether `&` before this text would begin an entity.
fn is_entity(behind: &str) -> bool {
    let name: usize = behind.chars().take(33).take_while(|char| char.is_ascii_alphanumeric() || *char == '#').count();
    name > 0 && behind.get(name..).is_some_and(|rest| rest.starts_with(';'))
}

/// At most three leading spaces: four would be a block of code.
fn shallow(text: String) -> String {
    let body = text.trim_start();
    if text.len() - body.len() > 3 || text.starts_with('\t') { format!("   {body}") } else { text }
}
