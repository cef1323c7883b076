//! Slack's mrkdwn → BB-code (`botframework.md` §6.4): spans in angle brackets first, three entities once, then marks
//! at word borders and emoji names, neither inside back-ticks.

use super::doc::{BOLD, ITALIC, STRIKE, Writer};
use super::mention::{self, Mention, Recipient};
use super::print::{Form, render};
use super::{emoji, safe_link};

/// A character, or a span in angle brackets with its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cell<'a> {
    Char(char),
    Span(&'a str),
}

impl Cell<'_> {
    fn is_word(self) -> bool {
        matches!(self, Self::Char(char) if char.is_alphanumeric())
    }

    fn is_space(self) -> bool {
        matches!(self, Self::Char(char) if char.is_whitespace())
    }
}

/// What a cell does besides, or instead of, being shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Shown,
    Opens(u8),
    Closes(u8),
    /// Inside back-ticks.
    Code,
}

/// Reads a text from Slack as BB-code, and whether it was addressed to the bot by name.
pub(super) fn read(text: &str, recipient: &Recipient, mentions: &[Mention]) -> (String, bool) {
    let cells = cells(text);
    let mut roles = vec![Role::Shown; cells.len()];
    find_code(&cells, &mut roles);
    find_marks(&cells, &mut roles);
    let mut writer = Writer::default();
    let mut addressed = false;
    let mut index = 0;
    while let (Some(cell), Some(role)) = (cells.get(index), roles.get(index)) {
        index += 1;
        match (*role, *cell) {
            (Role::Opens(mark), _) => writer.open(mark),
            (Role::Closes(mark), _) => writer.close(mark),
            (_, Cell::Span(span)) => addressed |= write_span(&mut writer, span, recipient, mentions),
            (Role::Shown, Cell::Char(':')) => match emoji_at(cells.get(index..).unwrap_or_default()) {
                Some((emoji, length)) => {
                    writer.text(emoji);
                    index += length;
                }
                None => writer.text(":"),
            },
            (_, Cell::Char(char)) => writer.text(char.encode_utf8(&mut [0; 4])),
        }
    }
    let doc = writer.finish();
    let text = render(&doc, 0..doc.text().len(), Form::Bbcode);
    (text, addressed)
}

fn cells(text: &str) -> Vec<Cell<'_>> {
    const ENTITIES: [(&str, char); 3] = [("&amp;", '&'), ("&lt;", '<'), ("&gt;", '>')];
    let mut cells = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(char) = rest.chars().next() {
        let inner = rest.get(char.len_utf8()..).unwrap_or_default();
        let span = || {
            let end = inner.find(['<', '>', '\n']).filter(|end| *end > 0)?;
            Some((inner.get(..end)?, inner.get(end..)?.strip_prefix('>')?))
        };
        if char == '<'
            && let Some((span, behind)) = span()
        {
            cells.push(Cell::Span(span));
            rest = behind;
        } else if char == '&'
            && let Some((decoded, behind)) =
                ENTITIES.iter().find_map(|(entity, char)| Some((*char, rest.strip_prefix(entity)?)))
        {
            cells.push(Cell::Char(decoded));
            rest = behind;
        } else {
            cells.push(Cell::Char(char));
            rest = inner;
        }
    }
    cells
}

fn decode(text: &str) -> String {
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}

/// Marks what is inside back-ticks: three of them over several lines, one within a line.
fn find_code(cells: &[Cell<'_>], roles: &mut [Role]) {
    const TICK: Cell<'_> = Cell::Char('`');
    let fill = |roles: &mut [Role], from: usize, to: usize| {
        roles.iter_mut().skip(from).take(to - from).for_each(|role| *role = Role::Code);
    };
    let (mut block, mut inline) = (None, None);
    let mut index = 0;
    while let Some(cell) = cells.get(index) {
        if cells.get(index..index + 3) == Some(&[TICK; 3]) {
            inline = None;
            index += 3;
            block = match block {
                Some(start) => {
                    fill(roles, start, index);
                    None
                }
                None => Some(index - 3),
            };
            continue;
        }
        index += 1;
        match (cell, inline) {
            (Cell::Char('\n'), _) => inline = None,
            (cell, Some(start)) if *cell == TICK => {
                fill(roles, start, index);
                inline = None;
            }
            (cell, None) if *cell == TICK => inline = Some(index - 1),
            _ => (),
        }
    }
}

/// Finds the signs that are marks: opening behind a border and before a character, closing the other way round, both
/// on one line.
fn find_marks(cells: &[Cell<'_>], roles: &mut [Role]) {
    for (sign, mark) in [('*', BOLD), ('_', ITALIC), ('~', STRIKE)] {
        let sign = Cell::Char(sign);
        let mut open: Option<usize> = None;
        for (index, cell) in cells.iter().enumerate() {
            if *cell == Cell::Char('\n') {
                open = None;
            }
            if *cell != sign || roles.get(index) != Some(&Role::Shown) {
                continue;
            }
            let before = index.checked_sub(1).and_then(|at| cells.get(at)).copied();
            let after = cells.get(index + 1).copied();
            let touches = |cell: Option<Cell<'_>>| cell.is_some_and(|cell| !cell.is_space() && cell != sign);
            let is_border = |cell: Option<Cell<'_>>| cell.is_none_or(|cell| !cell.is_word() && cell != sign);
            match open {
                Some(start) if touches(before) && is_border(after) => {
                    if let Some(role) = roles.get_mut(start) {
                        *role = Role::Opens(mark);
                    }
                    if let Some(role) = roles.get_mut(index) {
                        *role = Role::Closes(mark);
                    }
                    open = None;
                }
                _ if is_border(before) && touches(after) => open = Some(index),
                _ => (),
            }
        }
    }
}

/// Longest name of an emoji.
const NAME_MAX_CHARS: usize = 64;

/// The emoji whose name stands behind a colon, and how many cells that takes, a skin tone included.
fn emoji_at(cells: &[Cell<'_>]) -> Option<(&'static str, usize)> {
    let (name, length) = name_at(cells)?;
    let tone = cells
        .get(length..)
        .and_then(|rest| match rest {
            [Cell::Char(':'), rest @ ..] => name_at(rest),
            _ => None,
        })
        .and_then(|(tone, more)| Some((tone.strip_prefix("skin-tone-")?.parse().ok()?, more + 1)));
    match tone {
        Some((tone @ 2..=6, more)) => Some((emoji::by_slack_name(&name, Some(tone))?, length + more)),
        _ => Some((emoji::by_slack_name(&name, None)?, length)),
    }
}

/// A name up to its closing colon, and its length with it.
fn name_at(cells: &[Cell<'_>]) -> Option<(String, usize)> {
    let mut name = String::new();
    for (index, cell) in cells.iter().take(NAME_MAX_CHARS).enumerate() {
        match cell {
            Cell::Char(':') => return (!name.is_empty()).then_some((name, index + 1)),
            Cell::Char(char) if char.is_alphanumeric() || matches!(char, '_' | '-' | '+' | '\'') => name.push(*char),
            _ => return None,
        }
    }
    None
}

/// Writes a span; tells whether it was the bot's own name.
fn write_span(writer: &mut Writer, span: &str, recipient: &Recipient, mentions: &[Mention]) -> bool {
    let (target, label) = span.split_once('|').map_or((span, ""), |(target, label)| (target, label));
    let shown = if label.is_empty() { decode(target) } else { decode(label) };
    if let Some(id) = target.strip_prefix('@') {
        let mention = mentions
            .iter()
            .take(mention::MAX_MENTIONS)
            .find(|mention| is_account(&mention.id, id) || mention.text.contains(id));
        if is_account(&recipient.id, id) || mention.is_some_and(|mention| mention.id == recipient.id) {
            return true;
        }
        let mut name = String::new();
        mention::push_name(&mut name, mention.map_or("", |mention| &mention.name), &shown);
        writer.text(&name);
    } else if target.starts_with('#') {
        writer.text(&format!("#{}", shown.trim_start_matches('#')));
    } else if let Some(command) = target.strip_prefix('!') {
        // `<!date^…|text>` and groups bring their text; `<!here>` is its own.
        let bare = command.split('^').next().unwrap_or_default();
        writer.text(&if label.is_empty() { format!("@{bare}") } else { shown });
    } else if let Some(url) = safe_link(&decode(target)) {
        writer.open_link(url);
        writer.text(&shown);
        writer.close_link();
    } else if label.is_empty() {
        // No link: somebody's angle brackets.
        writer.text(&format!("<{shown}>"));
    } else {
        writer.text(&shown);
    }
    false
}

/// Accounts are `U…` in the text and `U…:T…` as ids of the connector.
fn is_account(id: &str, written: &str) -> bool {
    !written.is_empty() && (id == written || id.split(':').next() == Some(written))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mrkdwn() {
        let bot = Recipient { id: "B1:T1".to_owned(), name: "Bot".to_owned() };
        let anna = Mention { id: "U2:T1".to_owned(), name: "Anna".to_owned(), text: "<@U2>".to_owned() };
        for (text, want) in [
            ("*bold _both_* end", "[b]bold [i]both[/i][/b] end"),
            ("*<https://ex.test|site>*", "[url=https://ex.test][b]site[/b][/url]"),
            ("`*x* :smile:` ```\n_y_\n``` *z*", "`*x* :smile:` ```\n_y_\n``` [b]z[/b]"),
            ("* a * b* *c", "* a * b* *c"),
            ("*a\nb*", "*a\nb*"),
            ("**a**", "**a**"),
            ("<@U2> <@U9> <@U9|nick>", "@Anna @U9 @nick"),
            ("<!date^1^{date}|today> <!subteam^S1|@team> <!channel>", "today @team @channel"),
            ("a < b > c &lt;x&gt; <not a link>", "a < b > c <x> <not a link>"),
            ("<javascript:x|y>", "y"),
            ("<https://ex.test/?a=1&amp;b=2|p&amp;q>", "[url=https://ex.test/?a=1&b=2]p&q[/url]"),
            ("10:30:15 :man-shrugging: :nope:", "10:30:15 🤷‍♂️ :nope:"),
        ] {
            assert_eq!(read(text, &bot, std::slice::from_ref(&anna)).0, want, "{text}");
        }
        assert_eq!(read("<@B1> hi", &bot, &[]), (" hi".to_owned(), true));
    }
}
