//! What goes wrong when: made from a seed and the length of the run before anything starts, so that the same numbers
//! give the same hour. Lengths shrink with the run, the kinds stay.

use std::fmt;

use super::dice::Dice;
use super::house::PORTALS;

/// How a portal behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    Well,
    /// Nobody listens, and what was connected is cut.
    Refuses,
    /// Reads and says nothing; when it is over, what hangs is cut.
    Silent,
    /// 500.
    Fails,
    /// A page in place of an answer.
    Html,
    /// Half of an answer.
    Half,
    /// A clear yes after two seconds.
    Slow,
}

/// How the channel's API behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Api {
    Well,
    /// 429 with `Retry-After`.
    Storm,
    /// 500; half of these have taken the message.
    Fails,
    /// 503: not taken.
    Away,
    /// Takes the message and cuts the connection.
    Cuts,
    /// A clear yes after two seconds.
    Slow,
}

/// What clients do besides the load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Odd {
    SlowHeads,
    SlowBodies,
    HalfBodies,
    Idle,
}

/// What is done to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blow {
    Terminate,
    Kill,
    Stop,
}

/// One change.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Event {
    Portal(usize, Manner),
    Api(Api),
    Odd(Odd, f64),
    Blow(Blow),
    /// So many times the usual rate.
    Burst(f64),
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Portal(portal, manner) => write!(f, "portal {portal} {manner:?}"),
            Self::Api(api) => write!(f, "channel {api:?}"),
            Self::Odd(odd, time) => write!(f, "clients {odd:?} for {time:.0} s"),
            Self::Blow(blow) => write!(f, "server {blow:?}"),
            Self::Burst(times) => write!(f, "rate ×{times}"),
        }
    }
}

const MANNERS: [Manner; 6] = [Manner::Refuses, Manner::Silent, Manner::Fails, Manner::Html, Manner::Half, Manner::Slow];
const APIS: [Api; 5] = [Api::Storm, Api::Fails, Api::Cuts, Api::Away, Api::Slow];
const ODDS: [Odd; 4] = [Odd::SlowHeads, Odd::SlowBodies, Odd::HalfBodies, Odd::Idle];

/// Every change of a run of so many seconds, in order. Nothing begins in the last twentieth.
pub fn schedule(seed: u64, length: f64, blows: bool) -> Vec<(f64, Event)> {
    let dice = Dice::new(seed);
    let (low, high) = ((length / 180.0).clamp(5.0, 20.0), (length / 30.0).clamp(10.0, 120.0));
    let quiet = length * 0.95;
    let mut events = Vec::new();
    // Two at a time, each with half of the portals, so that no portal has two.
    for half in 0..2 {
        let mut dice = dice.split(10 + half);
        let mut at = dice.between(0.2, 0.8) * low;
        'track: loop {
            for manner in dice.shuffled(&MANNERS) {
                let end = at + dice.between(low, high);
                if end > quiet {
                    break 'track;
                }
                let portal = 2 * dice.below(PORTALS as u64 / 2) as usize + half as usize;
                events.extend([(at, Event::Portal(portal, manner)), (end, Event::Portal(portal, Manner::Well))]);
                at = end + dice.between(0.2, 0.8) * low;
            }
        }
    }
    let mut own = dice.split(20);
    let mut at = low;
    'api: loop {
        for api in own.shuffled(&APIS) {
            let end = at + own.between(low, high * 0.6);
            if end > quiet {
                break 'api;
            }
            events.extend([(at, Event::Api(api)), (end, Event::Api(Api::Well))]);
            at = end + own.between(low, 1.5 * low);
        }
    }
    let mut own = dice.split(30);
    let mut at = low / 2.0;
    'odd: loop {
        for odd in own.shuffled(&ODDS) {
            let time = own.between(low, high * 0.5).max(8.0);
            if at + time > quiet {
                break 'odd;
            }
            events.push((at, Event::Odd(odd, time)));
            at += time + own.between(low, 2.0 * low);
        }
    }
    let mut own = dice.split(40);
    // Minutes of an hour, whatever the length.
    let every = |events: &mut Vec<(f64, Event)>, own: &mut Dice, minutes: f64, event: Event| {
        let pause = length * minutes / 60.0;
        let mut at = pause * own.between(0.6, 1.0);
        while at < quiet {
            events.push((at, event));
            at += pause * own.between(0.9, 1.1);
        }
    };
    if blows {
        every(&mut events, &mut own, 7.0, Event::Blow(Blow::Terminate));
        every(&mut events, &mut own, 9.0, Event::Blow(Blow::Kill));
        every(&mut events, &mut own, 11.0, Event::Blow(Blow::Stop));
    }
    let bursts = events.len();
    every(&mut events, &mut own, 5.0, Event::Burst(10.0));
    let ends: Vec<_> = events[bursts..].iter().map(|(at, _)| (at + 5.0, Event::Burst(1.0))).collect();
    events.extend(ends);
    events.sort_by(|a, b| a.0.total_cmp(&b.0));
    events
}
