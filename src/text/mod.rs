//! Text between channels and portals: pure functions, no I/O, nothing else of the crate. A portal's side is BB-code;
//! inside the server it carries Unicode emoji, which old portals get as short names.
//!
//! In: [`to_bbcode`] reads what a channel wrote and leaves nothing that could act on a portal. Out: [`print()`] and
//! [`print_parts`] write an operator's BB-code the way a channel reads it. Both meet in one model (`doc`): plain text
//! with ranges, so that wrongly nested markup needs no rule of its own and no input can nest too deep.

mod bbcode;
mod doc;
mod emoji;
mod emoji_table;
mod html;
mod mention;
mod normal;
mod print;
mod safe;
mod shortnames;
mod skype;
mod slack;
mod split;
#[cfg(test)]
mod tests;

pub use mention::{Mention, Recipient};
pub use normal::date_time;
pub use print::Print;
pub use safe::{clean_html_value, clean_name, file_name, neutralise, safe_link};
pub use shortnames::{from_shortnames, smileys, to_shortnames};
pub use split::print_parts;

/// How a channel writes text to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Markup {
    /// As typed; nothing is markup.
    Plain,
    /// Plain or entity-encoded rich text without any flag that tells which.
    Skype,
    /// Plain with `<at>` tags for mentions.
    Teams,
    /// Slack's mrkdwn.
    Slack,
}

/// Line of a quote block at the portal: exactly so many dashes.
const QUOTE_LINE: &str = "------------------------------------------------------";

const _: () = assert!(QUOTE_LINE.len() == 54);

/// Turns a channel's text into BB-code with Unicode emoji: line ends unified, control characters dropped, mentions
/// resolved, and no tag left with which a customer could act on the portal.
///
/// ```
/// use trunkline::text::{Markup, Recipient, to_bbcode};
/// let bot = Recipient { id: "28:bot".to_owned(), name: "Bot".to_owned() };
/// let text = r#"<at id="28:bot">Bot</at> <ss type="hi">(hi)</ss> <b raw_pre="*">all</b>"#;
/// assert_eq!(to_bbcode(Markup::Skype, text, &bot, &[]), "👋 [b]all[/b]");
/// ```
pub fn to_bbcode(markup: Markup, text: &str, recipient: &Recipient, mentions: &[Mention]) -> String {
    let text = normal::characters(text);
    let (text, addressed) = match markup {
        Markup::Plain => mention::plain(&text, recipient, mentions),
        Markup::Teams => mention::teams(&text, recipient, mentions),
        Markup::Skype => skype::read(&text, recipient, mentions),
        Markup::Slack => slack::read(&text, recipient, mentions),
    };
    let mut text = normal::tidy(&text);
    if addressed {
        text = mention::after_address(&text, recipient, mentions);
    }
    // Last, because decoding and dropping characters can put a tag together.
    neutralise(&text)
}

/// Writes an operator's BB-code as the channel reads it.
///
/// ```
/// use trunkline::text::{Print, print};
/// assert_eq!(print("[b]Anna:[/b][br] 5 < 6", Print::Markdown), "**Anna:**  \n5 \\< 6");
/// ```
pub fn print(bbcode: &str, how: Print) -> String {
    let doc = split::prepared(bbcode, how);
    print::render(&doc, 0..doc.text().len(), print::Form::To(how))
}

/// The portal's quote block: a line of dashes, `Name[date]`, the text, a line of dashes. Ends with a line feed, so an
/// answer can follow at once. `text` is BB-code.
pub fn quote(name: &str, date: &str, text: &str) -> String {
    let mut out = format!("{QUOTE_LINE}\n{}[{}]\n", clean_name(name, 50), clean_name(date, 30));
    for line in neutralise(text).trim_matches('\n').lines() {
        // A line of dashes inside would end the block early.
        out.push_str(if line.trim() == QUOTE_LINE { "---" } else { line });
        out.push('\n');
    }
    out.push_str(QUOTE_LINE);
    out.push('\n');
    out
}
