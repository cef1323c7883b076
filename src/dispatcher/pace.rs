//! How fast a bot may speak: pure. For each chat and each bot stands how many calls were made lately, no finer than the
//! connector's limits need, so that a busy hour of a chat costs a few hundred bytes. A restart forgets it; then the
//! channel's own 429 does what is left to do.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use super::Lane;
use crate::channels::{Pace, Scope};
use crate::clock::UnixMillis;
use crate::ids::LineId;

/// Groups that a limit is counted in: of more calls several share one.
const GROUPS_MAX: u32 = 64;
/// Chats and bots that are remembered before those are looked for that need not be.
const SWEEP_MIN: usize = 1024;
/// Chats and bots that are ever remembered: far more than a server's workers can bring near a limit.
const KEPT_MAX: usize = 65_536;

/// Calls counted for one limit. Each group stands at the time of its newest call, so that it never counts too short.
#[derive(Debug, Default)]
struct Count {
    groups: VecDeque<(UnixMillis, u32)>,
}

impl Count {
    fn forget(&mut self, pace: &Pace, now: UnixMillis) {
        // A group from the future is one of a clock that was wrong.
        self.groups.retain(|(at, _)| *at <= now && now.since(*at) <= pace.per);
    }

    fn calls(&self) -> u32 {
        self.groups.iter().map(|(_, calls)| calls).sum()
    }

    fn free_at(&mut self, pace: &Pace, now: UnixMillis) -> UnixMillis {
        self.forget(pace, now);
        match self.groups.front() {
            Some((oldest, _)) if self.calls() >= pace.calls => oldest.plus(pace.per + Duration::from_millis(1)),
            _ => now,
        }
    }

    fn note(&mut self, pace: &Pace, now: UnixMillis) {
        let size = pace.calls.div_ceil(GROUPS_MAX);
        match self.groups.back_mut() {
            Some((at, calls)) if *calls < size => (*at, *calls) = (now, *calls + 1),
            _ => self.groups.push_back((now, 1)),
        }
    }
}

/// What is counted together: a chat, or all that a bot says through one channel.
type Key = (LineId, Scope, String);

/// Everything that is counted.
#[derive(Debug, Default)]
pub(super) struct Paces {
    counts: HashMap<Key, Vec<Count>>,
    /// How far the longest limit looks back.
    longest: Duration,
    sweep_at: usize,
}

const SCOPES: [Scope; 2] = [Scope::Chat, Scope::Bot];

fn key(lane: &Lane, connector: &str, scope: Scope) -> Key {
    let name = match scope {
        Scope::Chat => lane.chat.as_str(),
        Scope::Bot => connector,
    };
    (lane.line, scope, name.to_owned())
}

fn limits(paces: &[Pace], scope: Scope) -> impl Iterator<Item = &Pace> {
    paces.iter().filter(move |pace| pace.scope == scope)
}

impl Paces {
    /// When the next call of a lane may be made.
    pub(super) fn free_at(&mut self, lane: &Lane, connector: &str, paces: &[Pace], now: UnixMillis) -> UnixMillis {
        let mut free = now;
        for scope in SCOPES.into_iter().filter(|scope| limits(paces, *scope).next().is_some()) {
            let counts = self.counts.get_mut(&key(lane, connector, scope)).into_iter().flatten();
            for (count, pace) in counts.zip(limits(paces, scope)) {
                free = free.max(count.free_at(pace, now));
            }
        }
        free
    }

    /// A call begins.
    pub(super) fn note(&mut self, lane: &Lane, connector: &str, paces: &[Pace], now: UnixMillis) {
        for scope in SCOPES {
            let size = limits(paces, scope).count();
            if size == 0 {
                continue;
            }
            let counts = self.counts.entry(key(lane, connector, scope)).or_default();
            counts.resize_with(size, Count::default);
            counts.iter_mut().zip(limits(paces, scope)).for_each(|(count, pace)| count.note(pace, now));
        }
        self.longest = paces.iter().map(|pace| pace.per).fold(self.longest, Duration::max);
        self.sweep(now);
    }

    /// A call has ended. In a chat, where one follows another, its time counts from here: whenever it arrived in
    /// between, the channel then counts no more calls in any window than we do.
    pub(super) fn ended(&mut self, lane: &Lane, connector: &str, paces: &[Pace], now: UnixMillis) {
        if paces.is_empty() {
            return;
        }
        for count in self.counts.get_mut(&key(lane, connector, Scope::Chat)).into_iter().flatten() {
            if let Some((at, _)) = count.groups.back_mut() {
                *at = now.max(*at);
            }
        }
    }

    /// Forgets whoever has been silent for as long as any limit looks back; when that is not enough, those that are far
    /// from each limit.
    fn sweep(&mut self, now: UnixMillis) {
        if self.counts.len() < self.sweep_at.max(SWEEP_MIN) {
            return;
        }
        let newest = |counts: &[Count]| counts.iter().filter_map(|count| count.groups.back()).map(|(at, _)| *at).max();
        let longest = self.longest;
        self.counts.retain(|_, counts| newest(counts).is_some_and(|at| at <= now && now.since(at) <= longest));
        if self.counts.len() > KEPT_MAX / 2 {
            self.counts.retain(|_, counts| counts.iter().any(|count| count.calls() > 4));
        }
        if self.counts.len() > KEPT_MAX / 2 {
            self.counts.clear();
        }
        self.sweep_at = self.counts.len() * 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn pace(scope: Scope, calls: u32, secs: u64) -> Pace {
        Pace { scope, calls, per: Duration::from_secs(secs) }
    }

    const LIMITS: &[Pace] = &[
        pace(Scope::Chat, 7, 1),
        pace(Scope::Chat, 8, 2),
        pace(Scope::Chat, 60, 30),
        pace(Scope::Chat, 1800, 3600),
        pace(Scope::Bot, 30, 1),
    ];

    fn lane(chat: &str) -> Lane {
        Lane { line: LineId(1), chat: chat.to_owned() }
    }

    /// Calls as fast as they may be made, each taking `takes`; when each of them ended.
    fn calls(count: usize, takes: Duration, limits: &[Pace]) -> Vec<i64> {
        let (mut paces, lane, mut now) = (Paces::default(), lane("c"), UnixMillis(1_000_000));
        let mut ended = vec![];
        for _ in 0..count {
            now = paces.free_at(&lane, "x", limits, now);
            paces.note(&lane, "x", limits, now);
            now = now.plus(takes);
            paces.ended(&lane, "x", limits, now);
            ended.push(now.0);
        }
        ended
    }

    /// `botframework.md` §4.2: in no window of that length more calls than allowed, and not many fewer.
    #[test]
    fn every_window_keeps_its_limit() {
        for takes in [Duration::ZERO, Duration::from_millis(50), Duration::from_millis(400)] {
            let ended = calls(2500, takes, LIMITS);
            for pace in LIMITS {
                let (most, per) = (usize::try_from(pace.calls).unwrap(), i64::try_from(pace.per.as_millis()).unwrap());
                for (index, at) in ended.iter().enumerate().skip(most) {
                    assert!(at - ended[index - most] > per, "{pace:?} {takes:?}");
                }
            }
            let hour = ended.iter().filter(|at| **at <= ended[0] + 3_600_000).count();
            assert!(hour > 1700, "{hour} calls in the first hour");
        }
        let alone = calls(9, Duration::ZERO, LIMITS);
        assert_eq!(alone[6], alone[0], "the first seven wait for nothing");
        assert_eq!((alone[7] - alone[0], alone[8] - alone[0]), (1001, 2001));
        assert_eq!(calls(5, Duration::ZERO, &[]).last(), Some(&1_000_000), "no limits, no waits");
    }

    #[test]
    fn chats_have_their_own_pace_and_a_bot_one_for_all() {
        let (mut paces, now) = (Paces::default(), UnixMillis(0));
        for number in 0..30 {
            let lane = lane(&format!("chat {number}"));
            assert_eq!(paces.free_at(&lane, "x", LIMITS, now), now);
            paces.note(&lane, "x", LIMITS, now);
        }
        assert_eq!(paces.free_at(&lane("one more"), "x", LIMITS, now), UnixMillis(1001));
        assert_eq!(paces.free_at(&lane("one more"), "y", LIMITS, now), now, "another channel");
        let other = Lane { line: LineId(2), chat: String::from("chat 0") };
        assert_eq!(paces.free_at(&other, "x", LIMITS, now), now, "another bot");
    }

    #[test]
    fn memory_is_bounded() {
        let (mut paces, mut now) = (Paces::default(), UnixMillis(0));
        for number in 0..200_000 {
            paces.note(&lane(&number.to_string()), "x", LIMITS, now);
            assert!(paces.counts.len() <= KEPT_MAX);
        }
        now = now.plus(Duration::from_hours(2));
        for number in 0..100_000 {
            paces.note(&lane("busy"), "x", LIMITS, now);
            if number % 100 == 0 {
                paces.note(&lane(&number.to_string()), "x", LIMITS, now);
            }
        }
        let groups: usize =
            paces.counts[&key(&lane("busy"), "x", Scope::Chat)].iter().map(|count| count.groups.len()).sum();
        assert!(groups > 0);
        let mut count = Count::default();
        for _ in 0..5000 {
            now = count.free_at(&LIMITS[3], now);
            count.note(&LIMITS[3], now);
            assert!(count.groups.len() <= 64);
        }
    }

    #[test]
    fn a_clock_set_back_stops_nobody() {
        let (mut paces, lane) = (Paces::default(), lane("c"));
        for _ in 0..7 {
            paces.note(&lane, "x", LIMITS, UnixMillis(86_400_000));
        }
        assert_eq!(paces.free_at(&lane, "x", LIMITS, UnixMillis(0)), UnixMillis(0));
    }
}
