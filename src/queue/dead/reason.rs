//! Why messages are given up: one code and one sentence in each language for every reason, in one table.

use crate::language::Language;

/// Why a message was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The portal confirmed nothing for the whole schedule.
    Expired,
    /// Another line took the external entity.
    TakenOver,
    /// The line or its portal was removed.
    LineRemoved,
    /// An administrator dropped it.
    Dropped,
    /// The channel will never take it.
    Permanent,
    /// The channel did not take it within `outbox.ttl`.
    TooOld,
    /// The stored body can't be read.
    Unreadable,
    /// It failed again and again while others of its line passed.
    Poison,
    /// The channel may have it, and may not.
    UnknownOutcome,
}

/// Every reason.
pub const REASONS: &[Reason] = &[
    Reason::Expired,
    Reason::TakenOver,
    Reason::LineRemoved,
    Reason::Dropped,
    Reason::Permanent,
    Reason::TooOld,
    Reason::Unreadable,
    Reason::Poison,
    Reason::UnknownOutcome,
];

impl Reason {
    /// The code that is stored and shown, and the sentence in English and in Russian.
    fn words(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Expired => (
                "expired",
                "the portal confirmed nothing until the retries were over",
                "портал ничего не подтвердил, пока не закончились повторы",
            ),
            Self::TakenOver => (
                "taken_over",
                "the bot, group or page was connected to another line",
                "бот, группу или страницу подключили к другой линии",
            ),
            Self::LineRemoved => ("line_removed", "the line or its portal was removed", "линию или её портал удалили"),
            Self::Dropped => {
                ("dropped", "an administrator took it out of the queue", "администратор убрал сообщение из очереди")
            }
            Self::Permanent => {
                ("permanent", "the channel refused it for good", "канал окончательно отказался его принять")
            }
            Self::TooOld => ("too_old", "the channel did not take it in time", "канал не принял его вовремя"),
            Self::Unreadable => {
                ("unreadable", "what was stored of it can't be read", "сохранённое сообщение не удаётся прочитать")
            }
            Self::Poison => (
                "poison",
                "the portal left it unconfirmed again and again while it took others of the line",
                "портал раз за разом его не подтверждал, хотя другие сообщения линии принимал",
            ),
            Self::UnknownOutcome => (
                "unknown_outcome",
                "the channel may have taken it; sending it again could show it twice",
                "канал, возможно, уже принял его; повторная отправка могла бы показать его дважды",
            ),
        }
    }

    /// As it is stored and shown.
    pub fn as_str(self) -> &'static str {
        self.words().0
    }

    /// The sentence for people.
    pub fn sentence(self, language: Language) -> &'static str {
        let (_, en, ru) = self.words();
        match language {
            Language::En => en,
            Language::Ru => ru,
        }
    }

    /// The reason of that code; `None` for one of a newer program.
    pub fn from_code(code: &str) -> Option<Self> {
        REASONS.iter().copied().find(|reason| reason.as_str() == code)
    }

    /// The command whose rows stay in the queue when a whole line is given up for this reason: after a takeover the
    /// earlier portal must still hear of it.
    pub(super) fn spares(self) -> &'static str {
        if self == Self::TakenOver { "deactivated" } else { "" }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Design promise 6: every give-up has a code and a sentence in both languages.
    #[test]
    fn every_reason_has_its_own_words() {
        let mut codes = std::collections::BTreeSet::new();
        for reason in REASONS.iter().copied() {
            assert_eq!(Reason::from_code(reason.as_str()), Some(reason));
            assert!(codes.insert(reason.as_str()), "{reason:?}");
            let (en, ru) = (reason.sentence(Language::En), reason.sentence(Language::Ru));
            assert!(en.is_ascii() && !en.ends_with('.'), "{en}");
            assert!(ru.chars().any(|char| ('а'..='я').contains(&char)) && !ru.ends_with('.'), "{ru}");
        }
        assert_eq!(Reason::from_code("of the future"), None);
    }
}
