//! Who gets a conversation that waits. Pure: who is here and what each has to do comes in as values, and what came of an
//! offer is the caller's to remember (`tried`).

use std::fmt;
use std::str::FromStr;

use crate::clock::UnixMillis;

/// How a line hands out its conversations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// To everybody at once: the first to answer has it.
    All,
    /// To one after another, whoever has the least to do first.
    Evenly,
    /// To one after another in the order of the queue.
    Strictly,
}

impl Mode {
    const ALL: [Self; 3] = [Self::All, Self::Evenly, Self::Strictly];

    /// The word that stands for it in what is stored and shown.
    pub fn word(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Evenly => "evenly",
            Self::Strictly => "strictly",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// A word that stands for no [`Mode`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownMode(String);

impl fmt::Display for UnknownMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is no way to hand out conversations; it is `all`, `evenly` or `strictly`", self.0)
    }
}

impl std::error::Error for UnknownMode {}

impl FromStr for Mode {
    type Err = UnknownMode;

    fn from_str(word: &str) -> Result<Self, UnknownMode> {
        Self::ALL.into_iter().find(|mode| mode.word() == word).ok_or_else(|| UnknownMode(word.to_owned()))
    }
}

/// An operator who could take the conversation now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The operator.
    pub id: i64,
    /// How many conversations the operator has.
    pub load: u32,
    /// When the operator was last offered one.
    pub last_offer: Option<UnixMillis>,
}

/// Who gets the conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// All who are here.
    Everybody,
    /// This operator.
    To(i64),
    /// There is nobody.
    Nobody,
}

/// A decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Next {
    /// Who gets the conversation.
    pub turn: Turn,
    /// All who are here had been tried, and this is the first turn of a new round: what was tried before it is to be
    /// forgotten.
    pub anew: bool,
}

/// Who of `candidates`, who stand in the order of the queue and are all here, gets a conversation that those in `tried`
/// did not take in this round.
///
/// Evenly, it is whoever has the smallest load, of those whoever has waited longest for an offer (never is longest), of
/// those the first. Strictly, it is the first. Nobody gets it twice before everybody has had it once.
pub fn next(mode: Mode, candidates: &[Candidate], tried: &[i64]) -> Next {
    let untried = || candidates.iter().filter(|candidate| !tried.contains(&candidate.id));
    let anew = !candidates.is_empty() && untried().next().is_none();
    // Of equals, both of these give the first; `None` is less than any moment.
    let turn = match mode {
        Mode::All => candidates.first().map(|_| Turn::Everybody),
        Mode::Evenly => {
            let by_need = |candidate: &&Candidate| (candidate.load, candidate.last_offer);
            let one = if anew { candidates.iter().min_by_key(by_need) } else { untried().min_by_key(by_need) };
            one.map(|candidate| Turn::To(candidate.id))
        }
        Mode::Strictly => {
            let one = if anew { candidates.first() } else { untried().next() };
            one.map(|candidate| Turn::To(candidate.id))
        }
    };
    Next { turn: turn.unwrap_or(Turn::Nobody), anew: anew && mode != Mode::All }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn candidate(id: i64, load: u32, last_offer: i64) -> Candidate {
        Candidate { id, load, last_offer: (last_offer > 0).then_some(UnixMillis(last_offer)) }
    }

    #[test]
    fn words() {
        for mode in Mode::ALL {
            assert_eq!(mode.to_string().parse(), Ok(mode));
        }
        for word in ["", "All", "evenly ", "random"] {
            assert_eq!(word.parse::<Mode>(), Err(UnknownMode(word.to_owned())));
        }
        let words = UnknownMode("random".to_owned()).to_string();
        assert!(words.contains("`random`") && words.contains("`strictly`"), "{words}");
    }

    #[test]
    fn turns() {
        let (one, two, three) = (candidate(1, 2, 50), candidate(2, 1, 90), candidate(3, 1, 80));
        let all = [one, two, three];
        let (to, anew) = (|id| Next { turn: Turn::To(id), anew: false }, |id| Next { turn: Turn::To(id), anew: true });
        for (mode, candidates, tried, want) in [
            (Mode::Strictly, all.as_slice(), [].as_slice(), to(1)),
            (Mode::Strictly, &all, &[1], to(2)),
            (Mode::Strictly, &all, &[2], to(1)),
            (Mode::Strictly, &all, &[3, 1], to(2)),
            (Mode::Strictly, &all, &[3, 1, 2], anew(1)),
            // Somebody who was tried has gone, somebody else has come.
            (Mode::Strictly, &[two, three], &[1], to(2)),
            (Mode::Strictly, &[three], &[1, 3], anew(3)),
            (Mode::Evenly, &all, &[], to(3)),
            (Mode::Evenly, &all, &[3], to(2)),
            (Mode::Evenly, &all, &[3, 2], to(1)),
            (Mode::Evenly, &all, &[3, 2, 1], anew(3)),
            (Mode::Evenly, &[candidate(1, 0, 5), candidate(2, 0, 0)], &[], to(2)),
            (Mode::Evenly, &[candidate(1, 0, 5), candidate(2, 0, 5)], &[], to(1)),
            (Mode::Evenly, &[candidate(1, 0, 0), candidate(2, 0, 0)], &[], to(1)),
        ] {
            assert_eq!(next(mode, candidates, tried), want, "{mode} {candidates:?} {tried:?}");
        }
        for (candidates, tried) in [(all.as_slice(), [].as_slice()), (&all, &[1, 2, 3])] {
            assert_eq!(next(Mode::All, candidates, tried), Next { turn: Turn::Everybody, anew: false });
        }
        for mode in Mode::ALL {
            assert_eq!(next(mode, &[], &[1]), Next { turn: Turn::Nobody, anew: false }, "{mode}");
        }
    }

    proptest! {
        /// Whatever the loads are and however they change in between.
        #[test]
        fn everybody_gets_a_turn_before_anybody_gets_a_second(
            strictly: bool,
            loads in prop::collection::vec(prop::collection::vec(0_u32..4, 7), 1..20),
            count in 1_usize..=7,
        ) {
            let mode = if strictly { Mode::Strictly } else { Mode::Evenly };
            let (mut tried, mut offers) = (Vec::new(), vec![0; count]);
            for (now, loads) in (1..).zip(&loads) {
                let all: Vec<_> = (0..).zip(loads).zip(&offers).map(|((id, load), last)| candidate(id, *load, *last)).collect();
                let Next { turn, anew } = next(mode, &all, &tried);
                let Turn::To(id) = turn else { panic!("{turn:?}") };
                prop_assert_eq!(anew, tried.len() == count, "a round ends with everybody's turn");
                if anew {
                    tried.clear();
                }
                prop_assert!(!tried.contains(&id), "{} twice in {:?}", id, tried);
                tried.push(id);
                offers[usize::try_from(id).unwrap()] = now;
            }
        }

        /// Also while operators come and go: whoever is here and untried goes before anybody who is tried.
        #[test]
        fn nobody_who_is_here_is_overlooked(
            strictly: bool,
            ids in prop::collection::btree_set(0_i64..8, 1..8),
            tried in prop::collection::vec(0_i64..8, 0..8),
        ) {
            let mode = if strictly { Mode::Strictly } else { Mode::Evenly };
            let all: Vec<_> = ids.iter().map(|id| candidate(*id, 0, 0)).collect();
            let Next { turn, anew } = next(mode, &all, &tried);
            let untried: Vec<_> = ids.iter().filter(|id| !tried.contains(id)).collect();
            prop_assert_eq!(anew, untried.is_empty());
            let Turn::To(id) = turn else { panic!("{turn:?}") };
            prop_assert!(ids.contains(&id) && (anew || untried.contains(&&id)));
        }
    }
}
