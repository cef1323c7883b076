//! Unicode emoji ↔ the short names of portals before 20, whose database holds no supplementary-plane characters and
//! whose own conversion breaks raw emoji (`portal-box.md` §6). Their set has 1,820 sequences of Unicode 9.

use std::collections::HashMap;
use std::sync::LazyLock;

use emojis::{Emoji, SkinTone, UnicodeVersion};
use unicode_segmentation::UnicodeSegmentation;

use super::emoji::{by_shortname, code_of};
use super::emoji_table::{FALLBACKS, OTHER_NAMES, OWN_NAMES, SMILEYS};

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

/// Reads short names as portals before 20 show them: `:smile:` becomes the character, and so does the escape of later
/// ones, `:f09f9880:`, which is the UTF-8 of one character outside the basic plane. Further names that GitHub has for an
/// emoji of the set are read too; what is no name stays as it is, `10:30:45` for one.
///
/// ```
/// use trunkline::text::from_shortnames;
/// assert_eq!(from_shortnames("10:30:45 :thumbsup_tone3: :f09f9880: :Smile:"), "10:30:45 👍🏽 😀 :Smile:");
/// ```
pub fn from_shortnames(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, inner)) = rest.split_once(':') {
        out.push_str(before);
        let end = inner.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || b"+-_".contains(byte)).count();
        let (name, behind) = inner.split_at(end);
        let closed = behind.strip_prefix(':').filter(|_| !name.is_empty());
        match closed.and_then(|_| shown(name)) {
            Some(emoji) => out.push_str(&emoji),
            None => out.extend([":", name, if closed.is_some() { ":" } else { "" }]),
        }
        // Also an unknown name takes its second colon with it, as at the portal.
        rest = closed.unwrap_or(behind);
    }
    out.push_str(rest);
    out
}

/// What a portal shows for a name between colons.
fn shown(name: &str) -> Option<String> {
    // They look names up as they are written, and none of theirs has a capital letter.
    let known = || by_shortname(name).filter(|_| !name.bytes().any(|byte| byte.is_ascii_uppercase()));
    let in_theirs = |found: &str| {
        let emoji = emojis::get(found)?;
        let base = emoji.skin_tones().and_then(|mut tones| tones.next()).unwrap_or(emoji);
        in_set(base).map(|_| emoji.as_str().to_owned())
    };
    escaped(name).or_else(|| part(name)).or_else(|| in_theirs(known()?))
}

/// A tone or a flag's letter by itself.
fn part(name: &str) -> Option<String> {
    let letter = name.strip_prefix("regional_indicator_").map(|sign| (sign, 'a', 0x1F1E6));
    let (sign, first, code) = letter.or_else(|| Some((name.strip_prefix("tone")?, '1', 0x1F3FB)))?;
    let mut signs = sign.chars();
    let place = u32::from(signs.next()?).checked_sub(first.into())?;
    let part = char::from_u32(code + place)?;
    let is_part = matches!(part, '\u{1F1E6}'..='\u{1F1FF}' | '\u{1F3FB}'..='\u{1F3FF}');
    (is_part && signs.next().is_none()).then(|| part.to_string())
}

/// Eight hexadecimal digits that are the four bytes of a character.
fn escaped(name: &str) -> Option<String> {
    let number = u32::from_str_radix(name, 16).ok().filter(|_| name.len() == 8)?;
    let bytes = number.to_be_bytes();
    let text = std::str::from_utf8(&bytes).ok()?;
    text.chars().all(|char| char.len_utf16() > 1).then(|| text.to_owned())
}

/// Turns the commonest ASCII smileys into emoji, as portals before 20 do: one that stands at the start or behind white
/// space, and before the end, white space or one of `! , . ?`.
///
/// ```
/// use trunkline::text::smileys;
/// assert_eq!(smileys("Hi :-), f(8) http://x.test/ :D"), "Hi 🙂, f(8) http://x.test/ 😃");
/// ```
pub fn smileys(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut is_free = true;
    while let Some(char) = rest.chars().next() {
        let smiley = SMILEYS.iter().filter(|_| is_free).find_map(|(smiley, emoji)| {
            let behind = rest.strip_prefix(smiley)?;
            let ends = behind.chars().next().is_none_or(|next| next.is_whitespace() || "!,.?".contains(next));
            ends.then_some((*emoji, behind))
        });
        if let Some((emoji, behind)) = smiley {
            out.push_str(emoji);
            (rest, is_free) = (behind, false);
        } else {
            out.push(char);
            (rest, is_free) = (rest.get(char.len_utf8()..).unwrap_or_default(), char.is_whitespace());
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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
            let back = by_shortname(&name);
            let shown = if WITHOUT_TONES.contains(&name.as_str()) { base } else { emoji };
            assert_eq!(back.map(code_of), Some(code_of(shown.as_str())), "{name}");
        }
        // The set has 1,820; signs that are no emoji of their own make the rest.
        assert!((1_750..=1_820).contains(&count), "{count}");
    }

    #[test]
    fn what_portals_show() {
        for (text, want) in [
            (":smile::heart: :+1: :thumbsup:", "😄❤️ 👍 👍"),
            (":ru: :flag_ru: :one: :family_mwg: :rainbow_flag:", "🇷🇺 🇷🇺 1️⃣ 👨‍👩‍👧 🏳️‍🌈"),
            ("::smile:: a:smile:", ":😄: a😄"),
            // The portal's pattern takes colons in pairs from the left.
            (":unknown:smile: 10:30:smile:", ":unknown:smile: 10:30:smile:"),
            ("10:30:45 http://ex.test:8080/a:b C:\\ :: : :a b:", "10:30:45 http://ex.test:8080/a:b C:\\ :: : :a b:"),
            (":Smile: :SMILE:", ":Smile: :SMILE:"),
            (
                ":star_struck: :thumbsup_tone9: :joy_tone1: :thumbsup_tone3_tone3:",
                ":star_struck: :thumbsup_tone9: :joy_tone1: :thumbsup_tone3_tone3:",
            ),
            (":f09f9880: :F09F9880::f09fa4a9:", "😀 😀🤩"),
            (
                ":tone1: :tone6: :tone: :tone11: :regional_indicator_z: :regional_indicator_|:",
                "🏻 :tone6: :tone: :tone11: 🇿 :regional_indicator_|:",
            ),
            // Not four bytes of one character.
            (
                ":f09f98: :f09f988: :41424344: :f5808080: :c3a9c3a9: :e282ac41:",
                ":f09f98: :f09f988: :41424344: :f5808080: :c3a9c3a9: :e282ac41:",
            ),
            (":п: :smileю: 😀:smile:", ":п: :smileю: 😀😄"),
        ] {
            assert_eq!(from_shortnames(text), want, "{text}");
        }
    }

    /// `portal-box.md` §6.
    #[test]
    fn smileys_stand_by_themselves() {
        for (text, want) in [
            (":) :D ;) :( :'( :P <3 </3 8)", "🙂 😃 😉 😞 😢 😛 ❤️ 💔 😎"),
            (":)\n:-), :D! :(? :P.", "🙂\n🙂, 😃! 😞? 😛."),
            (":):) a:) :)a (:)) :)) http://x", ":):) a:) :)a (:)) :)) http://x"),
            ("[b]:)[/b]", "[b]:)[/b]"),
            ("п :) ю", "п 🙂 ю"),
        ] {
            assert_eq!(smileys(text), want, "{text}");
        }
        for (smiley, emoji) in SMILEYS {
            assert_eq!(smileys(smiley), *emoji);
            assert!(emojis::get(emoji).is_some_and(|known| known.as_str() == *emoji), "{smiley}");
        }
    }

    /// The emoji of the set, toned ones too.
    fn set() -> Vec<&'static str> {
        let all = emojis::iter().flat_map(|emoji| emoji.skin_tones().into_iter().flatten().skip(1).chain([emoji]));
        let is_in = |emoji: &&Emoji| {
            let base = emoji.skin_tones().and_then(|mut tones| tones.next()).unwrap_or(emoji);
            let loses_tone = base != *emoji && name_of(base) == name_of(emoji);
            in_set(base).is_some() && emoji.unicode_version() <= LAST_VERSION && !loses_tone
        };
        all.filter(is_in).map(Emoji::as_str).collect()
    }

    /// Equal but for signs that nobody sees.
    #[test]
    fn every_emoji_of_the_set_comes_back() {
        let set = set();
        assert!(set.len() >= 1_750, "{}", set.len());
        for emoji in set {
            let back = from_shortnames(&to_shortnames(emoji));
            assert_eq!(code_of(&back), code_of(emoji), "{emoji}");
        }
    }

    proptest! {
        #[test]
        fn texts_come_back(parts in prop::collection::vec((prop::sample::select(set()), "[a-z0-9 .,]{0,3}"), 0..8)) {
            let text: String = parts.iter().flat_map(|(emoji, word)| [*emoji, word]).collect();
            prop_assert_eq!(code_of(&from_shortnames(&to_shortnames(&text))), code_of(&text));
        }

        #[test]
        fn what_has_no_names_stays(text in "[^:]{0,40}", port in 1_u16.., time in "[0-2][0-9]:[0-5][0-9]:[0-5][0-9]") {
            let text = format!("{text} https://ex.test:{port}/ {time}");
            prop_assert_eq!(from_shortnames(&text), text);
        }

        #[test]
        fn any_text_is_read(text in "(:|[a-z0-9_+-]|\\PC){0,40}") {
            from_shortnames(&text);
            smileys(&text);
        }
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
