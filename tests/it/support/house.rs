//! Queue, sender and box protocol on a manual clock, each portal played by a closure. Every look at the sums checks
//! promise 4.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use trunkline::clock::{Clock, UnixMillis};
use trunkline::ids::LineId;
use trunkline::net::{Answer, Call, Net, NetError};
use trunkline::queue::blocks::Schedule;
use trunkline::queue::lost::Tell;
use trunkline::records::Line;
use trunkline::sender::{self, packet};
use trunkline::simulate::Stage;
use trunkline::store::counters::Accounting;
use trunkline::store::directory;

pub const START: UnixMillis = UnixMillis(1_500_000_000_000);

pub type Reply = Result<Answer, NetError>;
type Behaviour = Box<dyn FnMut(&[String]) -> Reply + Send>;

/// Every portal of a test: answers by host, OK where nothing else was said; notes every post.
#[derive(Default)]
pub struct Portals {
    posts: Mutex<Vec<(String, Vec<String>)>>,
    behaviours: Mutex<HashMap<String, Arc<Mutex<Behaviour>>>>,
}

impl std::fmt::Debug for Portals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Portals")
    }
}

pub fn answer(status: u16, body: &str) -> Reply {
    Ok(Answer { status, headers: vec![], body: body.as_bytes().to_vec() })
}

pub fn ok() -> Reply {
    answer(200, r#"{"OK":true,"DATA":[]}"#)
}

pub fn gone() -> Reply {
    Err(NetError::Connect("refused".into()))
}

pub fn silent() -> Reply {
    Err(NetError::Timeout(Duration::from_secs(90)))
}

pub fn refused() -> Reply {
    answer(200, r#"{"OK":false,"DATA":[],"ERROR":[{"CODE":"NOT_ACTIVE_LINE"}]}"#)
}

/// The texts of a posted packet, in order.
fn marks(call: &Call) -> Vec<String> {
    let data = url::form_urlencoded::parse(&call.body).find(|(key, _)| key == "DATA").unwrap().1.into_owned();
    let data = base64::engine::general_purpose::STANDARD.decode(data).unwrap();
    let data = String::from_utf8_lossy(&data).into_owned();
    data.split("\"text\";s:").skip(1).map(|part| part.split('"').nth(1).unwrap().to_owned()).collect()
}

impl Net for Portals {
    fn call(&self, call: Call) -> Reply {
        let host = url::Url::parse(&call.url).unwrap().host_str().unwrap().to_owned();
        let marks = marks(&call);
        self.posts.lock().unwrap().push((host.clone(), marks.clone()));
        let behaviour = self.behaviours.lock().unwrap().get(&host).cloned();
        match behaviour {
            Some(behaviour) => behaviour.lock().unwrap()(&marks),
            None => ok(),
        }
    }
}

/// How a house differs from the usual one.
#[derive(Clone, Debug)]
pub struct Ways {
    pub by_status: bool,
    pub workers: usize,
    pub poison_attempts: u32,
    pub messages: usize,
    pub tell: Option<Tell>,
}

impl Default for Ways {
    fn default() -> Self {
        Self { by_status: false, workers: 4, poison_attempts: 3, messages: 10, tell: None }
    }
}

/// The stage with its portals.
#[derive(Debug)]
pub struct House {
    pub stage: Stage,
    portals: Arc<Portals>,
}

impl House {
    pub fn new() -> Self {
        Self::with(Ways::default())
    }

    pub fn with(ways: Ways) -> Self {
        let portals = Arc::new(Portals::default());
        let options = sender::Options {
            limits: packet::Limits { messages: ways.messages, files: 3, bytes: 1 << 20 },
            by_status: ways.by_status,
            confirm_timeout: Duration::from_secs(90),
            workers: ways.workers,
            schedule: Schedule::default(),
            poison_attempts: ways.poison_attempts,
            tell: ways.tell,
        };
        Self { stage: Stage::new(START, portals.clone(), options).unwrap(), portals }
    }

    /// From now on the portal at `host` answers so.
    pub fn portal(&self, host: &str, behaviour: impl FnMut(&[String]) -> Reply + Send + 'static) {
        self.portals.behaviours.lock().unwrap().insert(host.to_owned(), Arc::new(Mutex::new(Box::new(behaviour))));
    }

    /// The portal at `host` answers so, one after the other, and then OK.
    pub fn script(&self, host: &str, replies: impl IntoIterator<Item = Reply>) {
        let mut replies: std::collections::VecDeque<Reply> = replies.into_iter().collect();
        self.portal(host, move |_| replies.pop_front().unwrap_or_else(ok));
    }

    pub fn line(&self, host: &str, number: &str, version: &str) -> LineId {
        self.stage.line(host, number, version).unwrap()
    }

    pub fn push(&self, line: LineId, mark: &str) {
        self.stage.push(line, mark).unwrap();
    }

    pub fn settle(&mut self) {
        self.stage.settle().unwrap();
        self.sums();
    }

    /// Moves the clock by `by`, stopping at every timer.
    pub fn pass(&mut self, by: Duration) {
        self.stage.advance(self.stage.clock.now().plus(by)).unwrap();
        self.sums();
    }

    pub fn sums(&self) -> Accounting {
        let sums = self.stage.sums().unwrap();
        assert_eq!(sums.difference(), 0, "promise 4: {sums:?}");
        sums
    }

    /// The marks that reached a host, post by post.
    pub fn heard(&self, host: &str) -> Vec<Vec<String>> {
        let posts = self.portals.posts.lock().unwrap();
        posts.iter().filter(|(of, _)| of == host).map(|(_, marks)| marks.clone()).collect()
    }

    pub fn record(&self, line: LineId) -> Line {
        directory::line_by_id(&self.stage.store.reading().unwrap(), line).unwrap().unwrap()
    }

    /// How long the line is blocked from now.
    pub fn blocked_for(&self, line: LineId) -> Option<Duration> {
        self.record(line).blocked_until.map(|until| until.since(self.stage.clock.now()))
    }
}
