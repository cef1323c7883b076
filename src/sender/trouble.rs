//! What a line's unconfirmed packets teach (design §6), pure: how much of its head travels at once, and which single
//! message is the one that does not pass.
//!
//! A message is given up as poison only against evidence: it has failed alone `poison_attempts` times, right after the
//! last time the next message passed, and then it failed once more, for the portal may have come back between the two.
//! A portal that is down or refuses everything gives no such evidence, so its messages wait out the schedule. The order
//! of a chat is kept: what follows the suspect is posted only as that evidence, and once it has passed the suspect has
//! its last try at once.

use crate::ids::MessageId;

/// Messages behind a suspect that are asked at most, one after each of its failures.
const EVIDENCE_MAX: usize = 100;

/// What the next post takes from the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Plan {
    /// The head, at most so many messages; `None` for as many as a packet holds.
    Head(Option<usize>),
    /// One message behind this one, so many further on than the next: the evidence.
    Behind(MessageId, usize),
}

/// A message that failed alone.
#[derive(Clone, Copy, Debug)]
struct Suspect {
    row: MessageId,
    failures: u32,
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
            Some(suspect) if evidence => Plan::Behind(suspect.row, suspect.skip),
            _ => Plan::Head(self.size),
        }
    }

    /// A packet of `posted` messages was not taken and `open` of them are unconfirmed. Returns the message that is
    /// proved to be poison.
    pub(super) fn refused(&mut self, posted: usize, open: &[MessageId], poison_attempts: u32) -> Option<MessageId> {
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
        self.suspect = Some(Suspect { row, failures, skip });
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

    #[test]
    fn a_refused_packet_is_halved_down_to_one_and_grows_again() {
        let mut trouble = Trouble::default();
        assert_eq!(trouble.plan(false), Plan::Head(None));
        for (posted, then) in [(10, 5), (5, 2), (2, 1), (1, 1)] {
            let open = ids(1..=i64::try_from(posted).unwrap());
            assert_eq!(trouble.refused(posted, &open, 9), None);
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
            assert_eq!(trouble.refused(1, &ids(7..=7), 3), None);
            assert!(!trouble.wants_evidence());
        }
        assert_eq!(trouble.refused(1, &ids(7..=7), 3), None);
        assert!(trouble.wants_evidence());
        assert_eq!(trouble.plan(true), Plan::Behind(MessageId(7), 0));
        assert_eq!(trouble.plan(false), Plan::Head(Some(1)));
        trouble.evidence_passed();
        assert!(!trouble.wants_evidence());
        assert_eq!(trouble.refused(1, &ids(7..=7), 3), Some(MessageId(7)));
    }

    /// A portal that refuses everything, or was away: nobody is poison.
    #[test]
    fn without_evidence_nothing_is_poison() {
        let mut trouble = Trouble::default();
        for _ in 0..20 {
            assert_eq!(trouble.refused(1, &ids(7..=7), 3), None);
            trouble.evidence_failed();
        }
        assert_eq!(trouble.plan(true), Plan::Behind(MessageId(7), 20), "each time a message further on");
        // The portal is back: the suspect gets its try before it is judged.
        assert_eq!(trouble.refused(1, &ids(7..=7), 3), None);
        trouble.evidence_passed();
        assert_eq!(trouble.plan(false), Plan::Head(Some(1)));
        assert_eq!(trouble.refused(1, &ids(7..=7), 3), Some(MessageId(7)));
    }

    #[test]
    fn others_of_the_same_packet_are_evidence_too() {
        let mut trouble = Trouble::default();
        assert_eq!(trouble.refused(10, &ids(4..=4), 2), None);
        assert_eq!(trouble.refused(3, &ids(4..=4), 2), Some(MessageId(4)));
        assert_eq!(trouble.refused(10, &ids(4..=7), 1), None, "four are no single message");
        assert_eq!(trouble.plan(false), Plan::Head(Some(2)));
    }

    #[test]
    fn a_suspect_that_passes_late_is_forgotten() {
        let mut trouble = Trouble::default();
        for _ in 0..3 {
            trouble.refused(1, &ids(7..=7), 3);
        }
        trouble.confirmed(&ids(7..=7));
        assert!(!trouble.wants_evidence());
        assert_eq!(trouble.refused(1, &ids(8..=8), 3), None);
        assert!(!trouble.wants_evidence(), "the next one starts at one failure");
    }
}
