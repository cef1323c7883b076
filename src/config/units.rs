//! Durations and sizes as people write them: `"42.1875s"`, `"12h"`, `"1MiB"`. One number, one unit, nothing rounded.

use std::time::Duration;

/// Unit and its length in nanoseconds, longest first.
const TIMES: &[(&str, u64)] = &[
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
];

/// Unit and its length in bytes, longest first.
const SIZES: &[(&str, usize)] = &[("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

/// Reads `"90s"`, `"500ms"`, `"42.1875s"`, `"0"`. `None` for anything else, for what does not fit and for fractions of
/// a nanosecond.
pub fn duration(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let unit_at = text.find(|char: char| char.is_ascii_alphabetic())?;
    let (number, unit) = text.split_at_checked(unit_at)?;
    let (_, nanos) = TIMES.iter().find(|(name, _)| *name == unit)?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    if !is_digits(whole) || !is_digits(fraction) || fraction.len() > 9 {
        return None;
    }
    let scale = 10_u64.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let part = fraction.parse::<u64>().ok()?.checked_mul(*nanos)?;
    if part % scale != 0 {
        return None;
    }
    let total = whole.parse::<u64>().ok()?.checked_mul(*nanos)?.checked_add(part / scale)?;
    Some(Duration::from_nanos(total))
}

/// Reads `"1MiB"`, `"64KiB"` and plain bytes.
pub(super) fn size(text: &str) -> Option<usize> {
    let unit_at = text.find(|char: char| char.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(unit_at)?;
    let bytes = if unit.is_empty() { 1 } else { SIZES.iter().find(|(name, _)| *name == unit)?.1 };
    if is_digits(number) { number.parse::<usize>().ok()?.checked_mul(bytes) } else { None }
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Writes a duration in the longest unit that needs no fraction, seconds with a fraction otherwise. What it writes,
/// the configuration reads.
pub fn show_duration(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    if nanos == 0 {
        return String::from("0");
    }
    for (unit, length) in TIMES.iter().take(4) {
        if nanos.is_multiple_of(u128::from(*length)) {
            return format!("{}{unit}", nanos / u128::from(*length));
        }
    }
    if duration < Duration::from_secs(1) && nanos.is_multiple_of(1_000_000) {
        return format!("{}ms", nanos / 1_000_000);
    }
    let fraction = format!("{:09}", duration.subsec_nanos());
    format!("{}.{}s", duration.as_secs(), fraction.trim_end_matches('0'))
}

/// Writes a size in the longest unit that needs no fraction.
pub fn show_size(bytes: usize) -> String {
    let fits = SIZES.iter().find(|(_, length)| bytes >= *length && bytes.is_multiple_of(*length));
    fits.map_or_else(|| bytes.to_string(), |(unit, length)| format!("{}{unit}", bytes / length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_and_written_back() {
        for (text, millis) in [
            ("500ms", 500.0),
            ("42.1875s", 42_187.5),
            ("60s", 60_000.0),
            ("12h", 43_200_000.0),
            ("7d", 604_800_000.0),
            ("1.5m", 90_000.0),
            ("0", 0.0),
        ] {
            let read = duration(text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!(read, Duration::from_secs_f64(millis / 1000.0), "{text}");
            assert_eq!(duration(&show_duration(read)), Some(read), "{text}");
        }
        assert_eq!(show_duration(Duration::from_secs(90)), "90s");
        assert_eq!(show_duration(Duration::from_millis(42_188)), "42.188s");
        for text in
            ["", "s", "90", "90 s", "-1s", "1.s", ".5s", "1e3s", "1h30m", "1w", "0.0000000001s", "999999999999d"]
        {
            assert_eq!(duration(text), None, "{text}");
        }
    }

    #[test]
    fn sizes_are_read_and_written_back() {
        for (text, bytes) in [("1MiB", 1_048_576), ("64KiB", 65_536), ("700", 700), ("700B", 700), ("0", 0)] {
            assert_eq!(size(text), Some(bytes), "{text}");
            assert_eq!(size(&show_size(bytes)), Some(bytes), "{text}");
        }
        for text in ["", "MiB", "1MB", "1.5MiB", "-1", "1 MiB", "99999999999999GiB"] {
            assert_eq!(size(text), None, "{text}");
        }
    }
}
