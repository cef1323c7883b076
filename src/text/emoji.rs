//! Emoji by every name they are known under: shortnames of portals and GitHub, Skype's types, Slack's names, code
//! points. The crate `emojis` knows GitHub's names and Unicode's; the rest is `emoji_table`.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::LazyLock;

use emojis::{Emoji, SkinTone};

use super::emoji_table::{ALIASES, LIST_B, LIST_C, OTHER_NAMES, OWN_NAMES, SLACK_NAMES, TABLE_A};

type Names = HashMap<String, &'static str>;

/// Every emoji, toned ones too, by its code points as portals write them.
static BY_CODE: LazyLock<Names> = LazyLock::new(|| {
    let toned = emojis::iter().flat_map(|emoji| emoji.skin_tones().into_iter().flatten().skip(1));
    toned.chain(emojis::iter()).map(|emoji| (code_of(emoji.as_str()), emoji.as_str())).collect()
});

/// The portal's own short names.
static BY_OWN_NAME: LazyLock<Names> = LazyLock::new(|| {
    let own = OWN_NAMES.iter().filter_map(|(code, name)| Some(((*name).to_owned(), by_code(code)?)));
    let other = OTHER_NAMES.iter().map(|(emoji, name)| ((*name).to_owned(), *emoji));
    // Later entries win: a name of the portal's own table is its first meaning.
    ALIASES.iter().map(|(name, emoji)| ((*name).to_owned(), *emoji)).chain(other).chain(own).collect()
});

/// Unicode's and GitHub's names without anything but letters and digits.
static BY_LETTERS: LazyLock<Names> = LazyLock::new(|| {
    let mut names = Names::new();
    for emoji in emojis::iter() {
        names.entry(letters(emoji.name())).or_insert(emoji.as_str());
    }
    for emoji in emojis::iter() {
        for name in emoji.shortcodes() {
            names.entry(letters(name)).or_insert(emoji.as_str());
        }
    }
    names
});

/// Types of `<ss>`.
static BY_TYPE: LazyLock<HashMap<&'static str, &'static str>> = LazyLock::new(|| {
    let lists = LIST_C.iter().chain(LIST_B).copied();
    lists.chain(TABLE_A.iter().map(|(name, _, emoji)| (*name, *emoji))).collect()
});

/// Bare codes that are worth converting.
static BY_BARE_NAME: LazyLock<HashMap<&'static str, &'static str>> = LazyLock::new(|| {
    let coded = TABLE_A.iter().flat_map(|(_, names, emoji)| names.split(' ').map(move |name| (name, *emoji)));
    LIST_B.iter().copied().chain(coded).filter(|(name, _)| name.len() >= 3).collect()
});

/// Code points as portals name their pictures: lower-case hexadecimal, at least four digits, joined by `-`, without
/// the variation selector and the joiner.
pub(super) fn code_of(emoji: &str) -> String {
    let mut code = String::new();
    for char in emoji.chars().filter(|char| !matches!(char, '\u{FE0F}' | '\u{200D}')) {
        if !code.is_empty() {
            code.push('-');
        }
        // Writing to a string cannot fail.
        let _ = write!(code, "{:04x}", u32::from(char));
    }
    code
}

/// The emoji of a picture's name.
pub(super) fn by_code(code: &str) -> Option<&'static str> {
    BY_CODE.get(&code.to_ascii_lowercase()).copied()
}

/// The emoji of a portal's short name, without its colons.
pub(super) fn by_shortname(name: &str) -> Option<&'static str> {
    let name = name.to_ascii_lowercase();
    let plain = |name: &str| {
        BY_OWN_NAME
            .get(name)
            .copied()
            .or_else(|| emojis::get_by_shortcode(name).map(Emoji::as_str))
            .or_else(|| flag(name.strip_prefix("flag_").unwrap_or(name)))
    };
    plain(&name).or_else(|| {
        let (base, tone) = name.rsplit_once("_tone")?;
        toned(plain(base)?, tone.parse().ok()?)
    })
}

/// The emoji in one of five tones, 1 the lightest.
fn toned(emoji: &str, tone: u8) -> Option<&'static str> {
    let tone = match tone {
        1 => SkinTone::Light,
        2 => SkinTone::MediumLight,
        3 => SkinTone::Medium,
        4 => SkinTone::MediumDark,
        5 => SkinTone::Dark,
        _ => return None,
    };
    emojis::get(emoji)?.with_skin_tone(tone).map(Emoji::as_str)
}

/// The flag of a country or region by its two letters.
pub(super) fn flag(country: &str) -> Option<&'static str> {
    if country.len() != 2 {
        return None;
    }
    let pair: Option<String> = country
        .chars()
        .map(|char| {
            let place = u32::from(char.to_ascii_lowercase()).checked_sub(u32::from('a')).filter(|place| *place < 26)?;
            char::from_u32(0x1F1E6 + place)
        })
        .collect();
    emojis::get(&pair?).map(Emoji::as_str)
}

/// The emoji of `<ss type>`: the tables, then code points before a `_`, then names that say the same.
pub(super) fn by_skype_type(kind: &str) -> Option<&'static str> {
    let kind = kind.to_ascii_lowercase();
    BY_TYPE
        .get(kind.as_str())
        .copied()
        .or_else(|| by_code(kind.split_once('_')?.0))
        .or_else(|| BY_LETTERS.get(&letters(&kind)).copied().filter(|_| !letters(&kind).is_empty()))
}

/// The emoji of a Slack name without its colons; `tone` is Slack's, 2 to 6.
pub(super) fn by_slack_name(name: &str, tone: Option<u8>) -> Option<&'static str> {
    let emoji = SLACK_NAMES
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, emoji)| *emoji)
        .or_else(|| emojis::get_by_shortcode(name).map(Emoji::as_str))
        .or_else(|| flag(name.strip_prefix("flag-")?))
        .or_else(|| {
            // Professions are written `female-cook` here and `woman cook` in Unicode.
            let name = name.strip_prefix("fe").filter(|rest| rest.starts_with("male-")).map_or_else(
                || name.strip_prefix("male-").map_or_else(|| name.to_owned(), |job| format!("man{job}")),
                |rest| format!("woman{}", rest.trim_start_matches("male-")),
            );
            BY_LETTERS.get(&letters(&name)).copied().filter(|_| name.len() > 1)
        })?;
    match tone {
        Some(tone) => toned(emoji, tone.checked_sub(1)?).or(Some(emoji)),
        None => Some(emoji),
    }
}

/// Replaces Skype's bare codes of three letters and more; shorter ones are text such as "option (a)".
pub(super) fn bare_skype(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, inner)) = rest.split_once('(') {
        out.push_str(before);
        let end = inner.bytes().take_while(u8::is_ascii_lowercase).count();
        let (name, behind) = inner.split_at(end);
        let found = behind.strip_prefix(')').and_then(|behind| Some((*BY_BARE_NAME.get(name)?, behind)));
        let (shown, behind) = found.unwrap_or(("(", inner));
        out.push_str(shown);
        rest = behind;
    }
    out.push_str(rest);
    out
}

fn letters(name: &str) -> String {
    name.chars().filter(|char| char.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_of_the_tables_is_an_emoji() {
        let all = TABLE_A.iter().map(|(name, _, emoji)| (*name, *emoji)).chain(LIST_B.iter().copied());
        for (name, emoji) in all.chain(LIST_C.iter().copied()).chain(SLACK_NAMES.iter().copied()) {
            assert!(emojis::get(emoji).is_some(), "{name} {emoji}");
        }
        for (code, name) in OWN_NAMES {
            assert!(by_code(code).is_some(), "{code} {name}");
        }
    }

    #[test]
    fn skype_types() {
        for (kind, want) in [
            ("hi", Some("👋")),
            ("HEART", Some("❤")),
            ("yawn", Some("🥱")),
            ("happyeyes", Some("😄")),
            ("1f44b_wavinghand", Some("👋")),
            ("1f1e9-1f1ea_flag", Some("🇩🇪")),
            ("grinningfacewithbigeyes", Some("😃")),
            ("mooning", None),
            ("", None),
            ("_", None),
        ] {
            assert_eq!(by_skype_type(kind), want, "{kind}");
        }
        assert_eq!(bare_skype("(wave) option (a) (unknown) ((hug)) (Wave) ("), "👋 option (a) (unknown) (🤗) (Wave) (");
    }

    #[test]
    fn short_names() {
        for (name, want) in [
            ("slight_smile", Some("🙂")),
            ("slightly_smiling_face", Some("🙂")),
            ("+1", Some("👍")),
            ("thumbsup_tone3", Some("👍🏽")),
            ("flag_ru", Some("🇷🇺")),
            ("ua", Some("🇺🇦")),
            ("om", Some("🇴🇲")),
            ("cl", Some("🆑")),
            ("flag_cl", Some("🇨🇱")),
            ("city_sunset", Some("🌇")),
            ("fingers_crossed_tone1", Some("🤞🏻")),
            ("family_mwg", Some("👨‍👩‍👧")),
            ("beetle", Some("🐞")),
            ("thumbsup_tone9", None),
            ("nothing_of_this_name", None),
        ] {
            assert_eq!(by_shortname(name), want, "{name}");
        }
    }

    #[test]
    fn slack_names() {
        for (name, tone, want) in [
            ("email", None, Some("✉️")),
            ("thumbsup", Some(3), Some("👍🏼")),
            ("thumbsup", Some(9), Some("👍")),
            ("flag-de", None, Some("🇩🇪")),
            ("man-shrugging", None, Some("🤷‍♂️")),
            ("female-technologist", None, Some("👩‍💻")),
            ("male-cook", None, Some("👨‍🍳")),
            ("acme", None, None),
        ] {
            assert_eq!(by_slack_name(name, tone), want, "{name}");
        }
    }
}
