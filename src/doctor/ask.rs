//! Facts of the network: every portal and every channel is asked once, many at a time and none for long, so that a dead
//! one costs seconds however many of them there are. Whatever answers also tells its clock.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crossbeam_channel::unbounded;

use super::facts::{Answers, LineFacts, PortalFacts};
use crate::channels::{Factory, Shelf, TestError};
use crate::clock::Clock;
use crate::ids::LineId;
use crate::net::{Answer, Call, Net, NetError, Reach};
use crate::portals::{PortalError, protocol};
use crate::records::{LineState, Settings};

/// How long one call may take.
const CALL: Duration = Duration::from_secs(4);
/// After this nothing more is asked.
const LIMIT: Duration = Duration::from_secs(8);
/// Asked at once.
const AT_ONCE: usize = 64;

/// The way out for somebody who does not wait: shortens every call and notes whose clock says what.
#[derive(Debug)]
pub struct Hurried {
    net: Arc<dyn Net>,
    clock: Arc<dyn Clock>,
    clocks: Mutex<BTreeMap<String, i64>>,
}

impl Hurried {
    /// The same way, in a hurry.
    pub fn new(net: Arc<dyn Net>, clock: Arc<dyn Clock>) -> Self {
        Self { net, clock, clocks: Mutex::default() }
    }

    fn note(&self, host: &str, answer: &Answer) {
        let date = answer.header("date").and_then(|date| jiff::fmt::rfc2822::parse(date).ok());
        if let Some(date) = date {
            let ahead = date.timestamp().as_second() - self.clock.now().secs();
            self.clocks.lock().unwrap_or_else(PoisonError::into_inner).insert(host.to_owned(), ahead);
        }
    }
}

impl Net for Hurried {
    fn call(&self, mut call: Call) -> Result<Answer, NetError> {
        call.timeout = call.timeout.min(CALL);
        let host = url::Url::parse(&call.url).ok().and_then(|url| url.host_str().map(str::to_owned));
        let answer = self.net.call(call)?;
        self.note(&host.unwrap_or_default(), &answer);
        Ok(answer)
    }
}

/// Whoever only asks keeps nothing.
#[derive(Clone, Copy, Debug)]
pub struct NoShelf;

impl Shelf for NoShelf {
    fn get(&self, _name: &str) -> Option<String> {
        None
    }

    fn put(&self, _name: &str, _text: &str) {}
}

/// One question.
enum Question<'a> {
    Portal(&'a PortalFacts),
    Channel(&'a LineFacts, &'a Settings),
}

enum Reply {
    Portal(String, Result<(), PortalError>),
    Channel(LineId, Result<(), TestError>),
}

/// Asks all portals, and the channels of all lines that have one. `factory` must use `net`.
pub fn everybody(
    portals: &[PortalFacts],
    lines: &[(LineFacts, Settings)],
    net: &Hurried,
    factory: &Factory,
) -> Answers {
    let live = |line: &LineFacts| line.connected && line.line.state != LineState::TakenOver;
    let questions: Vec<Question<'_>> = portals
        .iter()
        .map(Question::Portal)
        .chain(lines.iter().filter(|(line, _)| live(line)).map(|(line, settings)| Question::Channel(line, settings)))
        .collect();
    let until = net.clock.ticks() + LIMIT;
    let next = AtomicUsize::new(0);
    let (tell, told) = unbounded();
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE.min(questions.len()) {
            let (tell, next, questions) = (tell.clone(), &next, &questions);
            scope.spawn(move || {
                while let Some(question) = questions.get(next.fetch_add(1, Ordering::Relaxed))
                    && net.clock.ticks() < until
                {
                    // The receiver outlives the threads.
                    let _ = tell.send(ask(question, net, factory));
                }
            });
        }
    });
    drop(tell);
    let mut answers = Answers { limit: LIMIT, ..Answers::default() };
    for reply in told {
        match reply {
            Reply::Portal(name, answer) => answers.portals.push((name, answer)),
            Reply::Channel(line, answer) => answers.channels.push((line, answer)),
        }
    }
    answers.portals.sort_by(|one, other| one.0.cmp(&other.0));
    answers.channels.sort_by_key(|(line, _)| *line);
    answers.unasked = questions.len() - answers.portals.len() - answers.channels.len();
    let clocks = net.clocks.lock().unwrap_or_else(PoisonError::into_inner);
    answers.clocks = clocks.iter().map(|(host, ahead)| (host.clone(), *ahead)).collect();
    answers
}

fn ask(question: &Question<'_>, net: &Hurried, factory: &Factory) -> Reply {
    match question {
        Question::Portal(PortalFacts { portal, .. }) => {
            let answer = match protocol(&portal.protocol) {
                Some(protocol) => protocol.knock(net, portal, Reach::Configured),
                // Nothing this version could say to it.
                None => Ok(()),
            };
            Reply::Portal(portal.name.clone(), answer)
        }
        Question::Channel(line, settings) => {
            let unknown = || TestError {
                code: "CONNECTOR_UNKNOWN",
                message: format!("this version has no connector `{}`", line.line.connector),
            };
            let answer =
                factory.get(&line.line.connector).ok_or_else(unknown).and_then(|connector| connector.test(settings));
            Reply::Channel(line.line.id, answer)
        }
    }
}
