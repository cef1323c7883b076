//! Characters and line ends that every text shares, whatever its markup.

use std::borrow::Cow;

/// Unifies line ends, drops control characters except line feed and tab, and what XML and old databases refuse. Most texts
/// have nothing of it and are not copied.
pub(super) fn characters(text: &str) -> Cow<'_, str> {
    let is_plain = |byte: &u8| matches!(byte, b'\n' | b'\t' | b' '..=b'~');
    if text.as_bytes().iter().all(is_plain) {
        return text.into();
    }
    let Some(mut at) = text.find(is_replaced) else { return text.into() };
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    loop {
        let (plain, from) = rest.split_at(at);
        out.push_str(plain);
        let mut chars = from.chars();
        match chars.next() {
            Some('\r') => {
                out.push('\n');
                rest = chars.as_str();
                rest = rest.strip_prefix('\n').unwrap_or(rest);
            }
            Some(char) => {
                match char {
                    '\u{2028}' | '\u{2029}' => out.push('\n'),
                    '\u{A0}' => out.push(' '),
                    _ => (),
                }
                rest = chars.as_str();
            }
            None => return out.into(),
        }
        at = rest.find(is_replaced).unwrap_or(rest.len());
    }
}

/// What does not stay as it is.
fn is_replaced(char: char) -> bool {
    match char {
        '\n' | '\t' => false,
        '\u{2028}' | '\u{2029}' | '\u{A0}' | '\u{FEFF}' | '\u{FFFE}' | '\u{FFFF}' => true,
        char => char.is_control(),
    }
}

/// [`characters`], at most two blank lines in a row, trimmed ends.
pub(super) fn tidy(text: &str) -> String {
    let text = characters(text);
    let mut out = String::with_capacity(text.len());
    let mut blank = 0;
    for line in text.trim().lines() {
        blank = if line.trim().is_empty() { blank + 1 } else { 0 };
        if blank <= 2 {
            if !out.is_empty() {
                out.push('\n');
            }
            out.push_str(line);
        }
    }
    out
}

/// `2017-07-14 02:40` in UTC, for quotes and `[timestamp]`; `None` outside the years 1970 to 9999.
pub fn date_time(unix_secs: i64) -> Option<String> {
    const LAST: i64 = 253_402_300_799;
    if !(0..=LAST).contains(&unix_secs) {
        return None;
    }
    let (mut days, secs) = (unix_secs / 86_400, unix_secs % 86_400);
    // Civil date from days with the year starting in March, so that the leap day comes last.
    days += 719_468;
    let era = days / 146_097;
    let day_of_era = days % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    Some(format!("{year:04}-{month:02}-{day:02} {:02}:{:02}", secs / 3_600, secs / 60 % 60))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        for (secs, want) in [
            (0, "1970-01-01 00:00"),
            (951_782_400, "2000-02-29 00:00"),
            (1_500_000_000, "2017-07-14 02:40"),
            (253_402_300_799, "9999-12-31 23:59"),
        ] {
            assert_eq!(date_time(secs).as_deref(), Some(want));
        }
        assert_eq!(date_time(-1), None);
        assert_eq!(date_time(i64::MAX), None);
    }

    #[test]
    fn characters_that_no_one_wants() {
        for (text, want) in [
            ("a\0b\u{7}c\td", "abc\td"),
            ("a\rb\r\nc\u{2028}d", "a\nb\nc\nd"),
            ("a\u{A0}b", "a b"),
            ("\u{FEFF}я\r\r\n\u{85}ю\u{FFFF}\r", "я\n\nю"),
            ("  \n a \n\n\n\n b \n", "a \n\n\n b"),
        ] {
            assert_eq!(tidy(text), want, "{text:?}");
        }
    }
}
