//! Mentions (`botframework.md` §6.3): the bot's own are how a group speaks to it and no part of the message, others
//! become `@Name`. Who is meant is told by id, never by name.

use super::html::{self, Token};

/// A mention that the channel listed beside the text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mention {
    /// The mentioned account.
    pub id: String,
    /// Its name.
    pub name: String,
    /// How the text writes it, more or less.
    pub text: String,
}

/// The bot's own account in the chat.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recipient {
    /// Account id.
    pub id: String,
    /// Name.
    pub name: String,
}

/// More mentions than anybody types; the rest is not looked at.
pub(super) const MAX_MENTIONS: usize = 50;

/// Removes the bot's own mentions from plain text. The flag tells whether there were any.
pub(super) fn plain(text: &str, recipient: &Recipient, mentions: &[Mention]) -> (String, bool) {
    let mut text = text.to_owned();
    let mut addressed = false;
    for mention in mentions.iter().take(MAX_MENTIONS).filter(|mention| is_own(mention, recipient)) {
        let bare = bare(&mention.text);
        if let Some(shorter) = without(&text, &mention.text) {
            text = shorter;
            addressed = true;
        } else if let Some(rest) = led_by(&text, &bare) {
            // The list has a tag that the text lacks: only the address in front is safe to take away.
            text = rest.to_owned();
            addressed = true;
        }
    }
    (text, addressed)
}

fn is_own(mention: &Mention, recipient: &Recipient) -> bool {
    !recipient.id.is_empty() && mention.id == recipient.id
}

/// A mention's text without tags.
fn bare(text: &str) -> String {
    let tokens = html::tokens(text);
    let words = tokens.iter().filter_map(|token| match token {
        Token::Text(text) => Some(*text),
        _ => None,
    });
    words.collect::<String>().trim().to_owned()
}

/// `text` without each `word` that stands alone, or nothing when there is none.
fn without(text: &str, word: &str) -> Option<String> {
    if word.trim().is_empty() {
        return None;
    }
    let mut out = String::with_capacity(text.len());
    let mut from = 0;
    let mut found = false;
    for (at, _) in text.match_indices(word) {
        let end = at + word.len();
        let before = text.get(from..at).unwrap_or_default();
        let joined = |outside: Option<char>, inside: Option<char>| {
            outside.is_some_and(char::is_alphanumeric) && inside.is_some_and(char::is_alphanumeric)
        };
        let starts = text.get(..at).and_then(|text| text.chars().next_back());
        let ends = text.get(end..).and_then(|text| text.chars().next());
        if joined(starts, word.chars().next()) || joined(ends, word.chars().next_back()) {
            continue;
        }
        push_gap(&mut out, before);
        from = end;
        found = true;
    }
    push_gap(&mut out, text.get(from..).unwrap_or_default());
    found.then_some(out)
}

/// Appends what follows something removed; of two spaces that then meet, one goes.
fn push_gap(out: &mut String, text: &str) {
    let text = if out.ends_with(' ') { text.strip_prefix(' ').unwrap_or(text) } else { text };
    out.push_str(text);
}

fn led_by<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let text = text.trim_start();
    let rest = text.strip_prefix('@').unwrap_or(text).strip_prefix(name).filter(|_| !name.is_empty())?;
    (!rest.starts_with(char::is_alphanumeric)).then_some(rest)
}

/// Resolves the `<at>` tags of Teams, whose text is plain otherwise.
pub(super) fn teams(text: &str, recipient: &Recipient, mentions: &[Mention]) -> (String, bool) {
    // The one entity that Teams writes; it may follow a mention.
    let text = text.replace("&nbsp;", " ");
    let mentions: Vec<(&Mention, String)> =
        mentions.iter().take(MAX_MENTIONS).map(|mention| (mention, bare(&mention.text))).collect();
    let mut used = vec![false; mentions.len()];
    let mut out = String::with_capacity(text.len());
    let mut addressed = false;
    let mut rest = text.as_str();
    while let Some((head, behind)) = rest.split_once(AT_END) {
        rest = behind;
        let Some((before, name)) = at_tag(head) else {
            push_gap(&mut out, head);
            out.push_str(AT_END);
            continue;
        };
        push_gap(&mut out, before);
        let found = who(&mentions, &used, name);
        if let Some(used) = found.and_then(|index| used.get_mut(index)) {
            *used = true;
        }
        match found.and_then(|index| mentions.get(index)) {
            Some((mention, _)) if is_own(mention, recipient) => addressed = true,
            Some((mention, _)) => push_name(&mut out, &mention.name, name),
            None => push_name(&mut out, name, name),
        }
    }
    push_gap(&mut out, rest);
    if addressed {
        return (out, true);
    }
    let own: Vec<Mention> = mentions.into_iter().map(|(mention, _)| mention.clone()).collect();
    plain(&out, recipient, &own)
}

const AT_END: &str = "</at>";

/// The text before the last `<at>`, and the name behind it.
fn at_tag(head: &str) -> Option<(&str, &str)> {
    let (before, tag) = head.split_at(head.rfind("<at")?);
    let (attrs, name) = tag.strip_prefix("<at")?.split_once('>')?;
    (attrs.is_empty() || attrs.starts_with(' ')).then_some((before, name))
}

/// The mention that an `<at>` stands for: two accounts of one name are listed in the order of the text.
fn who(mentions: &[(&Mention, String)], used: &[bool], name: &str) -> Option<usize> {
    let name = html::decode(name);
    let name = name.trim();
    let is = |(mention, bare): &(&Mention, String)| bare == name || mention.name == name;
    let fresh = mentions.iter().zip(used).position(|(mention, used)| !used && is(mention));
    fresh.or_else(|| mentions.iter().position(is))
}

/// `@Name`, from the list or from the text.
pub(super) fn push_name(out: &mut String, name: &str, written: &str) {
    let name = if name.trim().is_empty() { written } else { name };
    out.push('@');
    out.push_str(name.trim().trim_start_matches('@'));
}

/// What remains of a message after the bot's name was taken away, without the comma or colon of the address. If that
/// is nothing, the name stays: an empty message would not be shown.
pub(super) fn after_address(text: &str, recipient: &Recipient, mentions: &[Mention]) -> String {
    let text = text.trim();
    let text = text.strip_prefix([',', ':']).unwrap_or(text).trim();
    if !text.is_empty() {
        return text.to_owned();
    }
    let listed = mentions.iter().find(|mention| is_own(mention, recipient)).map_or("", |mention| mention.name.as_str());
    let mut name = String::new();
    push_name(&mut name, &recipient.name, listed);
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mention(id: &str, name: &str, text: &str) -> Mention {
        Mention { id: id.to_owned(), name: name.to_owned(), text: text.to_owned() }
    }

    #[test]
    fn plain_mentions() {
        let bot = Recipient { id: "b".to_owned(), name: "Bot".to_owned() };
        for (text, listed, want) in [
            ("@Bot hi @Bot", "@Bot", (" hi ", true)),
            ("Bot, hi Robot", "<at>Bot</at>", (", hi Robot", true)),
            ("Robot hi", "Bot", ("Robot hi", false)),
            ("say <at>Bot</at> now", "<at>Bot</at>", ("say now", true)),
            ("hi", "", ("hi", false)),
        ] {
            let (out, addressed) = plain(text, &bot, &[mention("b", "Bot", listed)]);
            assert_eq!((out.as_str(), addressed), want, "{text}");
        }
        assert!(!plain("@Bot", &bot, &[mention("x", "Bot", "@Bot")]).1, "told by id, not by name");
        assert!(!plain("@Bot", &Recipient::default(), &[mention("", "Bot", "@Bot")]).1);
    }

    #[test]
    fn teams_mentions() {
        let bot = Recipient { id: "b".to_owned(), name: "Bot".to_owned() };
        let listed = [mention("b", "Bot", "<at>Bot</at>"), mention("p", "Bot", "<at>Bot</at>")];
        for (text, want) in [
            ("<at>Bot</at> ask <at>Bot</at>", " ask @Bot"),
            ("<at id=\"0\">Bot</at>&nbsp;hi", " hi"),
            ("<at>x <at>Bot</at>", "<at>x "),
            ("</at> <at>Bot</at> x <at>", "</at> x <at>"),
            ("<attic>x</at>", "<attic>x</at>"),
        ] {
            assert_eq!(teams(text, &bot, &listed).0, want, "{text}");
        }
    }
}
