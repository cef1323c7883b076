//! Moments on the command line: RFC 3339, or a span that counts back from now.

use std::time::Duration;

use crate::clock::UnixMillis;
use crate::config::read_duration;

/// A moment as it was typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// This one.
    At(UnixMillis),
    /// So long ago.
    Ago(Duration),
}

impl Since {
    /// The moment that is meant at `now`.
    pub(crate) fn moment(self, now: UnixMillis) -> UnixMillis {
        match self {
            Self::At(at) => at,
            Self::Ago(span) => UnixMillis(now.0.saturating_sub(i64::try_from(span.as_millis()).unwrap_or(i64::MAX))),
        }
    }
}

/// `2026-11-24T10:00:00Z`.
pub(crate) fn moment(text: &str) -> Result<UnixMillis, String> {
    let parsed: Result<jiff::Timestamp, _> = text.parse();
    parsed
        .map(|at| UnixMillis(at.as_millisecond()))
        .map_err(|_| String::from("must be a moment such as 2026-11-24T10:00:00Z"))
}

/// The same, or a span such as `2h`.
pub(crate) fn since(text: &str) -> Result<Since, String> {
    if let Some(span) = read_duration(text) {
        return Ok(Since::Ago(span));
    }
    moment(text)
        .map(Since::At)
        .map_err(|_| String::from("must be a moment such as 2026-11-24T10:00:00Z or a span such as 90m, 2h, 7d"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments() {
        assert_eq!(moment("1970-01-01T00:00:01Z"), Ok(UnixMillis(1000)));
        assert_eq!(moment("1970-01-01T01:00:00+01:00"), Ok(UnixMillis(0)));
        assert!(moment("tomorrow").is_err());
    }

    #[test]
    fn spans_count_back() {
        let now = UnixMillis(10_000_000);
        assert_eq!(since("2h").unwrap().moment(now), UnixMillis(10_000_000 - 7_200_000));
        assert_eq!(since("1970-01-01T00:00:01Z").unwrap().moment(now), UnixMillis(1000));
        assert!(since("yesterday").unwrap_err().contains("2h"));
    }
}
