//! Unicode emoji → the short names of portals before 20, whose database holds no supplementary-plane characters and
//! whose own conversion breaks raw emoji (`portal-box.md` §6). Their set has 1,820 sequences of Unicode 9.

use std::collections::HashMap;
use std::sync::LazyLock;

use emojis::{Emoji, SkinTone, UnicodeVersion};
use unicode_segmentation::UnicodeSegmentation;

use super::emoji::code_of;
use super::emoji_table::{FALLBACKS, OTHER_NAMES, OWN_NAMES};

/// The last Unicode version of the set.
const LAST_VERSION: UnicodeVersion = UnicodeVersion::new(9, 0);

/// In the version but not in the set.
const MISSING: [&str; 4] = ["♀️", "♂️", "⚕️", "🇺🇳"];

/// Names of the set that have no toned ones beside them.
const WITHOUT_TONES: [&str; 4] = ["golfer", "levitate", "sleeping_accommodation", "snowboarder"];

static OWN: LazyLock<HashMap<&'static str, &'static str>> = LazyLock::new(|| OWN_NAMES.iter().copied().collect());

/// Writes emoji as the short names that old portals know; what they lack becomes its nearest relative or its Unicode
/// name in brackets. No character outside the basic plane survives.
pub fn to_shortnames(text: &str) -> String {
    if text.is_ascii() {
        return text.to_owned();
    }
    let mut out = Output { text: String::with_capacity(text.len()), settled: 0 };
    for grapheme in text.graphemes(true) {
        // Also ©, ® and ™, which are of the set; digits are not, only their keycaps.
        if grapheme.is_ascii() {
            out.text.push_str(grapheme);
        } else if let Some(emoji) = emojis::get(grapheme) {
            out.emoji(emoji);
        } else if grapheme.chars().any(|char| char.len_utf16() > 1) {
            out.by_characters(grapheme);
        } else {
            out.text.push_str(grapheme);
        }
    }
    out.text
}

struct Output {
    text: String,
    /// Where the last short name ended.
    settled: usize,
}

impl Output {
    fn emoji(&mut self, emoji: &Emoji) {
        match name_of(emoji) {
            Some(name) => self.short_name(&name),
            None => self.words(emoji.name()),
        }
    }

    fn short_name(&mut self, name: &str) {
        // After `10:30` or `a:b` the portal would read the first colon of the name as the end of another one.
        let tail = self.text.get(self.settled..).unwrap_or_default();
        let word = tail.trim_end_matches(|char: char| char.is_alphanumeric() || matches!(char, '+' | '-' | '_'));
        if word.len() < tail.len() && word.ends_with(':') {
            self.text.push(' ');
        }
        self.text.push(':');
        self.text.push_str(name);
        self.text.push(':');
        self.settled = self.text.len();
    }

    fn words(&mut self, words: &str) {
        let plain = |char: char| if char.len_utf16() > 1 || matches!(char, '[' | ']') { '?' } else { char };
        self.text.push('(');
        self.text.extend(words.chars().map(plain));
        self.text.push(')');
    }

    /// A sequence that nobody knows: what is known of it, each by itself.
    fn by_characters(&mut self, grapheme: &str) {
        // Signs that only change another one go when that one has left a trace. Without it they must leave their own:
        // gone, they could put a tag together that was none (`[us🏽er=1]`).
        let mut shown = false;
        for char in grapheme.chars() {
            match char {
                '\u{200D}' | '\u{FE0F}' | '\u{1F3FB}'..='\u{1F3FF}' | '\u{E0020}'..='\u{E007F}' if shown => continue,
                '\u{1F1E6}'..='\u{1F1FF}' => {
                    let letter = char::from_u32(u32::from('A') + u32::from(char) - 0x1F1E6).unwrap_or('?');
                    self.words(letter.encode_utf8(&mut [0; 4]));
                }
                char => match emojis::get(char.encode_utf8(&mut [0; 4])) {
                    Some(emoji) => self.emoji(emoji),
                    None if char.len_utf16() == 1 => {
                        self.text.push(char);
                        continue;
                    }
                    None => self.text.push('\u{FFFD}'),
                },
            }
            shown = true;
        }
    }
}

/// The short name that shows this emoji, or its stand-in, at an old portal.
fn name_of(emoji: &Emoji) -> Option<String> {
    let tone = match emoji.skin_tone() {
        Some(SkinTone::Light) => Some(1),
        Some(SkinTone::MediumLight) => Some(2),
        Some(SkinTone::Medium) => Some(3),
        Some(SkinTone::MediumDark) => Some(4),
        Some(SkinTone::Dark) => Some(5),
        _ => None,
    };
    let base = emoji.skin_tones().and_then(|mut tones| tones.next()).unwrap_or(emoji);
    if let Some(name) = in_set(base) {
        let has_tones = emoji.unicode_version() <= LAST_VERSION && !WITHOUT_TONES.contains(&name.as_str());
        return Some(match tone.filter(|_| has_tones) {
            Some(tone) => format!("{name}_tone{tone}"),
            None => name,
        });
    }
    FALLBACKS.iter().find(|(known, _)| *known == base.as_str()).map(|(_, name)| (*name).to_owned())
}

/// The name of an emoji of the set.
fn in_set(emoji: &Emoji) -> Option<String> {
    let text = emoji.as_str();
    let own = OWN.get(code_of(text).as_str()).copied();
    if text == "🏳️‍🌈" {
        return Some("rainbow_flag".to_owned());
    }
    let joined = text.contains('\u{200D}') && own.is_none();
    if joined || MISSING.contains(&text) || emoji.unicode_version() > LAST_VERSION {
        return None;
    }
    if let Some(name) = own {
        return Some(name.to_owned());
    }
    if let Some(country) = country(text) {
        return Some(format!("flag_{country}"));
    }
    let plain = text.trim_end_matches('\u{FE0F}');
    if let Some((_, name)) = OTHER_NAMES.iter().find(|(known, _)| known.trim_end_matches('\u{FE0F}') == plain) {
        return Some((*name).to_owned());
    }
    emoji.shortcode().map(str::to_owned)
}

/// The letters of a flag.
fn country(text: &str) -> Option<String> {
    let letters: Option<String> = text
        .chars()
        .map(|char| {
            let place = u32::from(char).checked_sub(0x1F1E6).filter(|place| *place < 26)?;
            char::from_u32(u32::from('a') + place)
        })
        .collect();
    letters.filter(|letters| letters.len() == 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_portals() {
        for (text, want) in [
            ("👍🏽 🇷🇺 🤮 👩‍💻", ":+1_tone3: :flag_ru: :nauseated_face: (woman technologist)"),
            ("❤ ❤️ ☺️ ©", ":heart: :heart: :relaxed: :copyright:"),
            ("1️⃣ 12 #", ":one: 12 #"),
            ("🐞 🏏 🌆 🕉", ":beetle: :cricket: :city_dusk: :om_symbol:"),
            ("👨‍👩‍👧 👨‍👩‍👦 🏳️‍🌈", ":family_mwg: :family: :rainbow_flag:"),
            ("🤝🏽 🤞🏿 🏌🏽 🔵", ":handshake: :fingers_crossed_tone5: :golfer: :blue_circle:"),
            ("10:30😀 😀😀", "10:30 :grinning: :grinning::grinning:"),
            ("🇺🇳 ♀", "(flag: United Nations) (female sign)"),
            ("𠀋 𝐛 🏽", "\u{FFFD} \u{FFFD} \u{FFFD}"),
            ("[us😀er=1]", "[us:grinning:er=1]"),
            ("[us🏽er=1] :🏽", "[us\u{FFFD}er=1] :\u{FFFD}"),
            ("[\u{E0075}user=1]", "[\u{FFFD}user=1]"),
            ("Привет, 世界! é", "Привет, 世界! é"),
        ] {
            assert_eq!(to_shortnames(text), want, "{text}");
        }
    }

    /// What we write is what we read: no two emoji share a name, and the portal's titles lead back.
    #[test]
    fn short_names_lead_back() {
        let mut count = 0;
        for emoji in emojis::iter().flat_map(|emoji| emoji.skin_tones().into_iter().flatten().skip(1).chain([emoji])) {
            let base = emoji.skin_tones().and_then(|mut tones| tones.next()).unwrap_or(emoji);
            if in_set(base).is_none() || emoji.unicode_version() > LAST_VERSION {
                continue;
            }
            let name = name_of(emoji).unwrap();
            count += 1;
            let back = crate::text::emoji::by_shortname(&name);
            let shown = if WITHOUT_TONES.contains(&name.as_str()) { base } else { emoji };
            assert_eq!(back.map(code_of), Some(code_of(shown.as_str())), "{name}");
        }
        // The set has 1,820; signs that are no emoji of their own make the rest.
        assert!((1_750..=1_820).contains(&count), "{count}");
    }

    /// Also those that the set lacks: by their name, without a trace of the sequence.
    #[test]
    fn every_emoji_becomes_plain() {
        for emoji in emojis::iter().flat_map(|emoji| emoji.skin_tones().into_iter().flatten().chain([emoji])) {
            let out = to_shortnames(emoji.as_str());
            assert!(out.chars().all(|char| char.len_utf16() == 1), "{emoji} {out}");
            assert!(!out.contains(['\u{FFFD}', '\u{200D}']), "{emoji} {out}");
        }
    }
}
