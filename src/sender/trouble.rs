//! What a line's unconfirmed packets teach (design §6), pure: how much of its head travels at once, and which single
//! message is the one that does not pass.
//!
//! A message is given up as poison only against evidence: it has failed alone `poison_attempts` times, right after the
//! last time another message passed, and then it failed once more, for the portal may have come back between the two.
//! A portal that is down or refuses everything gives no such evidence, so its messages wait out the schedule.
//!
//! The order of a chat is kept (promise 3): the evidence is the first that waits of a chat other than the suspect's. Where
//! only that one chat waits, what follows the suspect is evidence too, but only right after the portal has answered the
//! suspect: behind a silence it may have come back meanwhile, and would take both in the wrong order.

use std::collections::BTreeSet;

use crate::ids::MessageId;

/// Messages behind a suspect that are asked at most, one after each of its failures.
const EVIDENCE_MAX: usize = 100;
/// How far behind the head a chat is looked for that may give evidence.
pub(super) const EVIDENCE_WITHIN: usize = 1000;

/// What the next post takes from the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Plan {
    /// The head, at most so many messages; `None` for as many as a packet holds.
    Head(Option<usize>),
    /// One message behind the suspect: the evidence, which [`Evidence::of`] finds.
    Behind(Evidence),
}

/// What may be evidence against a suspect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Evidence {
    suspect: MessageId,
    /// So many further on than the next.
    skip: usize,
    /// The portal has just answered the suspect.
    answered: bool,
}

impl Evidence {
    /// The message to ask, of the first ones that wait, each with its chat, in order.
    pub(super) fn of(self, waiting: &[(MessageId, String)]) -> Option<MessageId> {
        let own = waiting.iter().find(|(row, _)| *row == self.suspect).map(|(_, chat)| chat)?;
        let mut seen = BTreeSet::from([own]);
        let firsts = waiting.iter().filter(|(_, chat)| seen.insert(chat)).map(|(row, _)| *row);
        // A chat that begins before the suspect is in the middle of its own.
        let others: Vec<_> = firsts.filter(|row| *row > self.suspect).collect();
        if others.is_empty() && self.answered && waiting.iter().all(|(_, chat)| chat == own) {
            return waiting.iter().map(|(row, _)| *row).filter(|row| *row > self.suspect).nth(self.skip);
        }
        others.get(self.skip).copied()
    }
}

/// A message that failed alone.
#[derive(Clone, Copy, Debug)]
struct Suspect {
    row: MessageId,
    failures: u32,
    /// The portal answered it, the last time.
    answered: bool,
    /// Messages behind it that failed as evidence: they may be poison too, so the next one is asked.
    skip: usize,
}

/// One line's troubles.
#[derive(Debug, Default)]
pub(super) struct Trouble {
    size: Option<usize>,
    suspect: Option<Suspect>,
    /// The suspect has failed often enough: what follows it shall show whether others pass.
    wants_evidence: bool,
    others_passed: bool,
}

impl Trouble {
    /// The next post shall be the evidence, as soon as there is a message behind the suspect.
    pub(super) fn wants_evidence(&self) -> bool {
        self.wants_evidence
    }

    /// What to post; `evidence` when this is the try for it.
    pub(super) fn plan(&self, evidence: bool) -> Plan {
        match self.suspect {
            Some(Suspect { row, skip, answered, .. }) if evidence => {
                Plan::Behind(Evidence { suspect: row, skip, answered })
            }
            _ => Plan::Head(self.size),
        }
    }

    /// A packet of `posted` messages was not taken and `open` of them are unconfirmed; `answered`: the portal said so.
    /// Returns the message that is proved to be poison.
    pub(super) fn refused(
        &mut self,
        posted: usize,
        open: &[MessageId],
        poison_attempts: u32,
        answered: bool,
    ) -> Option<MessageId> {
        let partly = open.len() < posted;
        self.size = Some((if partly { open.len() } else { posted } / 2).max(1));
        self.wants_evidence = false;
        let [row] = *open else {
            self.suspect = None;
            self.others_passed = false;
            return None;
        };
        let before = self.suspect.filter(|suspect| suspect.row == row);
        let failures = before.map_or(0, |suspect| suspect.failures).saturating_add(1);
        self.others_passed = partly || (before.is_some() && self.others_passed);
        let skip = before.map_or(0, |suspect| suspect.skip);
        self.suspect = Some(Suspect { row, failures, answered, skip });
        if failures < poison_attempts {
            return None;
        }
        if self.others_passed {
            *self = Self { size: self.size, ..Self::default() };
            return Some(row);
        }
        self.wants_evidence = true;
        None
    }

    /// The evidence failed like the suspect: the fault is not the suspect's, or both are poison. After the suspect's
    /// next failure a message further on is asked.
    pub(super) fn evidence_failed(&mut self) {
        self.wants_evidence = false;
        if let Some(suspect) = &mut self.suspect {
            suspect.skip = suspect.skip.saturating_add(1).min(EVIDENCE_MAX);
        }
    }

    /// There is no message so far behind: the next one that comes in may be the evidence.
    pub(super) fn evidence_missing(&mut self) {
        if let Some(suspect) = &mut self.suspect {
            suspect.skip = 0;
        }
    }

    /// The evidence passed: the suspect is given its last try.
    pub(super) fn evidence_passed(&mut self) {
        self.wants_evidence = false;
        self.others_passed = self.suspect.is_some();
    }

    /// A packet from the head passed: twice as much may travel, up to the limit of `full` messages.
    pub(super) fn passed(&mut self, full: usize) {
        let size = self.size.map(|size| size.saturating_mul(2)).filter(|size| *size < full);
        *self = Self { size, ..Self::default() };
    }

    /// These were confirmed late, outside of any post.
    pub(super) fn confirmed(&mut self, rows: &[MessageId]) {
        if self.suspect.is_some_and(|suspect| rows.contains(&suspect.row)) {
            *self = Self { size: self.size, ..Self::default() };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(numbers: std::ops::RangeInclusive<i64>) -> Vec<MessageId> {
        numbers.map(MessageId).collect()
    }

    fn behind(suspect: i64, skip: usize) -> Plan {
        Plan::Behind(Evidence { suspect: MessageId(suspect), skip, answered: true })
    }

    /// Promise 3: nobody is overtaken by a message of the same chat, as far as the portal's silence can hide its return.
    #[test]
    fn evidence_is_the_first_that_waits_of_another_chat() {
        for (chats, suspect, skip, answered, want) in [
            ("aab", 1, 0, true, Some(3)),
            ("aab", 1, 0, false, Some(3)),
            ("aabbc", 1, 1, false, Some(5)),
            ("aabbc", 1, 2, false, None),
            // The second of a chat whose first stands before the suspect, as after a partial confirmation.
            ("babc", 2, 0, false, Some(4)),
            ("bab", 2, 0, true, None),
            ("aaa", 1, 0, true, Some(2)),
            ("aaa", 1, 1, true, Some(3)),
            ("aaa", 1, 0, false, None),
            ("a", 1, 0, true, None),
            ("bb", 7, 0, true, None),
        ] {
            let waiting: Vec<_> = (1..).map(MessageId).zip(chats.chars().map(String::from)).collect();
            let evidence = Evidence { suspect: MessageId(suspect), skip, answered };
            assert_eq!(evidence.of(&waiting), want.map(MessageId), "{chats} {suspect} {skip} {answered}");
        }
    }

    #[test]
    fn a_refused_packet_is_halved_down_to_one_and_grows_again() {
        let mut trouble = Trouble::default();
        assert_eq!(trouble.plan(false), Plan::Head(None));
        for (posted, then) in [(10, 5), (5, 2), (2, 1), (1, 1)] {
            let open = ids(1..=i64::try_from(posted).unwrap());
            assert_eq!(trouble.refused(posted, &open, 9, true), None);
            assert_eq!(trouble.plan(false), Plan::Head(Some(then)), "after {posted}");
        }
        for then in [Some(2), Some(4), Some(8), None] {
            trouble.passed(10);
            assert_eq!(trouble.plan(false), Plan::Head(then));
        }
    }

    #[test]
    fn evidence_is_wanted_after_the_last_lone_failure() {
        let mut trouble = Trouble::default();
        for _ in 0..2 {
            assert_eq!(trouble.refused(1, &ids(7..=7), 3, true), None);
            assert!(!trouble.wants_evidence());
        }
        assert_eq!(trouble.refused(1, &ids(7..=7), 3, true), None);
        assert!(trouble.wants_evidence());
        assert_eq!(trouble.plan(true), behind(7, 0));
        assert_eq!(trouble.plan(false), Plan::Head(Some(1)));
        trouble.evidence_passed();
        assert!(!trouble.wants_evidence());
        assert_eq!(trouble.refused(1, &ids(7..=7), 3, true), Some(MessageId(7)));
    }

    /// A portal that refuses everything, or was away: nobody is poison.
    #[test]
    fn without_evidence_nothing_is_poison() {
        let mut trouble = Trouble::default();
        for _ in 0..20 {
            assert_eq!(trouble.refused(1, &ids(7..=7), 3, true), None);
            trouble.evidence_failed();
        }
        assert_eq!(trouble.plan(true), behind(7, 20), "each time a message further on");
        // The portal is back: the suspect gets its try before it is judged.
        assert_eq!(trouble.refused(1, &ids(7..=7), 3, true), None);
        trouble.evidence_passed();
        assert_eq!(trouble.plan(false), Plan::Head(Some(1)));
        assert_eq!(trouble.refused(1, &ids(7..=7), 3, true), Some(MessageId(7)));
    }

    #[test]
    fn others_of_the_same_packet_are_evidence_too() {
        let mut trouble = Trouble::default();
        assert_eq!(trouble.refused(10, &ids(4..=4), 2, true), None);
        assert_eq!(trouble.refused(3, &ids(4..=4), 2, true), Some(MessageId(4)));
        assert_eq!(trouble.refused(10, &ids(4..=7), 1, true), None, "four are no single message");
        assert_eq!(trouble.plan(false), Plan::Head(Some(2)));
    }

    #[test]
    fn a_suspect_that_passes_late_is_forgotten() {
        let mut trouble = Trouble::default();
        for _ in 0..3 {
            trouble.refused(1, &ids(7..=7), 3, true);
        }
        trouble.confirmed(&ids(7..=7));
        assert!(!trouble.wants_evidence());
        assert_eq!(trouble.refused(1, &ids(8..=8), 3, true), None);
        assert!(!trouble.wants_evidence(), "the next one starts at one failure");
    }
}
