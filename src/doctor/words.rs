//! A line's state as a person would say it: why, since when, what happens next, what is lost when. For `doctor` and
//! `line show` alike.

use super::facts::{LineFacts, Waiting};
use crate::clock::UnixMillis;
use crate::queue::blocks::Schedule;

/// `1 message waits`, `212 messages wait`.
pub fn waits(count: i64) -> String {
    match count {
        0 => "nothing waits".to_owned(),
        1 => "1 message waits".to_owned(),
        _ => format!("{count} messages wait"),
    }
}

/// When what waits for a blocked line becomes dead letters.
pub fn end(facts: &LineFacts, schedule: &Schedule) -> Option<UnixMillis> {
    facts.line.first_attempt_at.map(|first| first.plus(schedule.total()))
}

/// ``Line 3 of portal `sales` waits until 14:20 UTC because …``, without the last full stop. `None` for a line that waits
/// for nothing.
pub fn blocked(facts: &LineFacts, schedule: &Schedule, now: UnixMillis) -> Option<String> {
    let line = &facts.line;
    let (first, end) = (line.first_attempt_at?, end(facts, schedule)?);
    let error = line.last_error.as_deref().unwrap_or("no reason was noted");
    let since = first.spoken(now);
    let why = match line.attempts {
        0 => format!("the portal has been asking for a pause since {since} ({error})"),
        1 => format!("an attempt {} failed: {error}", first.adverb(now)),
        attempts => format!("{attempts} attempts since {since} failed: {error}"),
    };
    let state = match line.blocked_until.filter(|until| *until > now) {
        Some(until) => format!("waits until {} because {why}", until.spoken(now)),
        None => format!("is due for its next attempt: {why}"),
    };
    let waiting = waits(facts.queue.count);
    let pronoun = if facts.queue.count == 1 { "it becomes a dead letter" } else { "they become dead letters" };
    let fate = match facts.queue.count {
        0 => String::new(),
        _ if end <= now => format!("; {pronoun} now"),
        _ => format!("; if nothing changes {pronoun} {}", end.adverb(now)),
    };
    Some(format!("{} {state}; {waiting}{fate}", name(facts)))
}

/// ``Line 3 of portal `sales` ``, for the begin of a sentence.
pub fn name(facts: &LineFacts) -> String {
    format!("Line {} of portal `{}`", facts.line.id, facts.portal)
}

/// `212 messages wait for the portal, the oldest since 13:01 UTC`.
pub fn waiting(waiting: &Waiting, whom: &str, now: UnixMillis) -> String {
    let Waiting { count, oldest, error } = waiting;
    let since = match oldest {
        Some(oldest) if *count == 1 => format!(", since {}", oldest.spoken(now)),
        Some(oldest) => format!(", the oldest since {}", oldest.spoken(now)),
        None => String::new(),
    };
    let error = error.as_deref().map(|error| format!(" (its last error: {error})")).unwrap_or_default();
    format!("{} for the {whom}{since}{error}", waits(*count))
}
