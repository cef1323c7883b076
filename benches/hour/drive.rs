//! The run: starts everybody, carries out the schedule, looks at the server, and holds the books against each other when
//! all is over.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::dice::Dice;
use super::ends::FarEnds;
use super::house::{self, CHATS, ODD_CHATS, PORTALS};
use super::ledger::{End, Ledger};
use super::load::{Load, Plan};
use super::report::{self, Look, Row};
use super::schedule::{Api, Blow, Event, Manner, schedule};
use crate::support::machine;
use crate::support::server::{Figures, Place, Server};

/// What is wished for.
#[derive(Clone, Debug)]
pub struct Wish {
    pub minutes: f64,
    /// Customers' messages a second.
    pub rate: f64,
    /// Operators' messages a second.
    pub operators: f64,
    pub seed: u64,
    pub dir: PathBuf,
    pub program: PathBuf,
    /// Whether the server is killed and restarted.
    pub blows: bool,
}

/// How long everything may take to drain when all faults are over: no pause of portal or channel here is longer than a
/// few seconds.
const DRAIN: Duration = Duration::from_mins(2);
/// How long the server is stopped.
const STOPPED: Duration = Duration::from_secs(3);
/// Carries it out; true when every verdict is good.
pub fn run(wish: &Wish) -> bool {
    machine::raise_descriptors();
    let report = report::Report::new(wish.dir.join(format!("endurance-{}.log", wish.seed)));
    let length = wish.minutes * 60.0;
    let ledger = Arc::new(Ledger::new(CHATS + ODD_CHATS));
    let ends = FarEnds::start(&ledger, wish.seed);
    // Long enough for every retry of this run, short enough to see the file come to rest within it.
    let keep = (length / 12.0).clamp(60.0, 300.0);
    let blocks = [1, 1, 2, 4].into_iter().chain(std::iter::repeat_n(6, 60));
    let blocks: Vec<String> = blocks.map(|seconds| format!("\"{seconds}s\"")).collect();
    let settings = format!(
        "[queue]\nconfirm_timeout = \"8s\"\ndedup_keep = \"{keep:.0}s\"\n[retry]\nblocks = [{}]\n",
        blocks.join(", ")
    );
    let place = Place::new(&wish.dir, &wish.program, &settings);
    house::furnish(&place.store(), &ends.urls());
    let server = place.serve();
    place.keep_ports(&server);
    let identities = house::identities(&ends.urls());
    ends.introduce(server.public, &identities);
    let load = Load::start(Plan {
        ledger: Arc::clone(&ledger),
        server: server.public,
        channel: ends.channel_url(),
        identities: Arc::new(identities),
        dice: Dice::new(wish.seed).split(2),
        run: wish.seed,
        rates: (wish.rate, wish.operators),
    });
    let mut drive = Drive {
        wish: wish.clone(),
        length,
        began: ledger.now(),
        server: Some(server),
        server_since: ledger.now(),
        place,
        ledger,
        ends,
        load,
        report,
        looks: Vec::new(),
        rows: Vec::new(),
        row_at: 0.0,
        in_force: BTreeMap::new(),
        happened: Vec::new(),
        blows: BTreeMap::new(),
        verdicts: Vec::new(),
    };
    drive.carry_out()
}

/// A run and all who take part.
pub(super) struct Drive {
    pub(super) wish: Wish,
    pub(super) length: f64,
    /// When the schedule began, by the ledger's clock.
    pub(super) began: f64,
    pub(super) server: Option<Server>,
    pub(super) server_since: f64,
    pub(super) place: Place,
    pub(super) ledger: Arc<Ledger>,
    pub(super) ends: FarEnds,
    pub(super) load: Load,
    pub(super) report: report::Report,
    pub(super) looks: Vec<Look>,
    pub(super) rows: Vec<Row>,
    /// When the last row was made.
    pub(super) row_at: f64,
    /// Faults that go on, by what they concern; until when, where that is known.
    pub(super) in_force: BTreeMap<String, (String, f64)>,
    /// What has happened since the last row.
    pub(super) happened: Vec<String>,
    /// How often each blow fell.
    pub(super) blows: BTreeMap<&'static str, usize>,
    pub(super) verdicts: Vec<(bool, String)>,
}

impl Drive {
    fn carry_out(&mut self) -> bool {
        let events = schedule(self.wish.seed, self.length, self.wish.blows);
        self.introduce(&events);
        let every = (self.length / 12.0).clamp(10.0, 60.0);
        let pause = (self.length / 240.0).clamp(1.0, 5.0);
        let (mut next_row, mut next_look) = (every, pause);
        let mut events = events.into_iter().peekable();
        while self.at() < self.length {
            let now = self.at();
            if let Some((_, event)) = events.next_if(|(at, _)| *at <= now) {
                self.report.note(&format!("{now:8.1} s  {event}"));
                if !self.happen(event) {
                    return self.died();
                }
                continue;
            }
            if now >= next_look {
                next_look = now + pause;
                if !self.look() {
                    return self.died();
                }
            }
            if now >= next_row {
                next_row = now + every;
                self.row();
            }
            let next = events.peek().map_or(self.length, |(at, _)| *at).min(next_look).min(next_row).min(self.length);
            std::thread::sleep(Duration::from_secs_f64((next - self.at()).max(0.001)));
        }
        self.drain();
        self.judge();
        self.close()
    }

    fn introduce(&mut self, events: &[(f64, Event)]) {
        let conditions = machine::conditions(&self.wish.dir);
        let wish = self.wish.clone();
        self.report.say(format!(
            "endurance: {} min, {} customers' and {} operators' messages/s, seed {}, {}",
            wish.minutes,
            wish.rate,
            wish.operators,
            wish.seed,
            wish.program.display()
        ));
        self.report.say(conditions);
        self.report.say(format!(
            "{PORTALS} portals, {} lines, {CHATS} chats, {} changes on the schedule; log {}",
            house::LINES,
            events.len(),
            self.report.path.display()
        ));
        self.report.say(report::HEAD);
    }

    /// Seconds of the schedule.
    fn at(&self) -> f64 {
        self.ledger.now() - self.began
    }

    /// One change; false when the server was found dead.
    fn happen(&mut self, event: Event) -> bool {
        match event {
            Event::Portal(portal, manner) => {
                self.ends.set(portal, manner);
                self.force(format!("p{portal}"), (manner != Manner::Well).then(|| format!("{manner:?}")));
            }
            Event::Api(api) => {
                self.ends.set_api(api);
                self.force("channel".to_owned(), (api != Api::Well).then(|| format!("{api:?}")));
            }
            Event::Odd(odd, seconds) => {
                self.load.odd(odd, seconds);
                self.happened.push(format!("clients {odd:?}"));
                self.in_force.insert("clients".to_owned(), (format!("{odd:?}"), self.at() + seconds));
            }
            Event::Burst(times) => {
                self.load.set_times(times);
                if times > 1.0 {
                    self.happened.push(format!("burst ×{times}"));
                }
            }
            Event::Blow(blow) => return self.blow(blow),
        }
        true
    }

    fn force(&mut self, what: String, how: Option<String>) {
        match how {
            Some(how) => {
                self.happened.push(format!("{what} {how}"));
                self.in_force.insert(what, (how, f64::INFINITY));
            }
            None => drop(self.in_force.remove(&what)),
        }
    }

    fn blow(&mut self, blow: Blow) -> bool {
        let name = match blow {
            Blow::Terminate => "TERM",
            Blow::Kill => "KILL",
            Blow::Stop => "STOP",
        };
        if !self.look() {
            return false;
        }
        *self.blows.entry(name).or_default() += 1;
        self.happened.push(name.to_owned());
        let Some(server) = self.server.take() else { return false };
        if blow == Blow::Stop {
            let pid = Pid::from_raw(i32::try_from(server.pid()).unwrap()).unwrap();
            kill_process(pid, Signal::STOP).unwrap();
            std::thread::sleep(STOPPED);
            kill_process(pid, Signal::CONT).unwrap();
            self.ends.server_disturbed();
            self.server = Some(server);
            return true;
        }
        let begin = Instant::now();
        let end = match blow {
            Blow::Terminate => {
                let status = server.terminate();
                if !status.success() {
                    self.verdicts
                        .push((false, format!("at {:.0} s SIGTERM ended the server with {status}", self.at())));
                }
                End::Terminated
            }
            Blow::Kill | Blow::Stop => {
                server.kill();
                End::Killed
            }
        };
        let ended = self.ledger.now();
        self.ends.hear_out();
        self.ledger.life_ended(ended, end);
        let took = begin.elapsed().as_secs_f64();
        let server = self.place.serve();
        self.report.note(&format!(
            "            {name}: gone after {took:.1} s, ready after {:.0} ms",
            server.ready_after.as_secs_f64() * 1000.0
        ));
        self.server = Some(server);
        self.server_since = self.ledger.now();
        self.ends.server_disturbed();
        true
    }

    /// Looks at the process; false when it is no more.
    fn look(&mut self) -> bool {
        let Some(server) = &self.server else { return false };
        let age = self.ledger.now() - self.server_since;
        let look = report::look(server.pid(), self.at(), age, &self.place.data());
        self.looks.extend(look);
        look.is_some()
    }

    fn row(&mut self) {
        if !self.look() {
            return;
        }
        let (Some(server), Some(look)) = (&self.server, self.looks.last().copied()) else { return };
        let figures = server.figures();
        let now = look.at;
        self.in_force.retain(|_, (_, until)| *until > now);
        // What came and went, and what goes on.
        let mut faults = std::mem::take(&mut self.happened);
        for (what, (how, _)) in &self.in_force {
            let words = format!("{what} {how}");
            if !faults.contains(&words) {
                faults.push(words);
            }
        }
        let row = Row {
            look,
            window: self.ledger.window(),
            seconds: now - self.row_at,
            queued: figures.queued(),
            outbox: figures.sum("outbox"),
            dead: figures.sum("dead_total"),
            faults: faults.join(", "),
        };
        self.row_at = now;
        self.report.say(row.text());
        self.rows.push(row);
    }

    /// All faults end and nothing new comes; waits until nothing waits.
    fn drain(&mut self) {
        for portal in 0..PORTALS {
            self.ends.set(portal, Manner::Well);
        }
        self.ends.set_api(Api::Well);
        self.load.set_times(1.0);
        self.load.end();
        self.in_force.clear();
        self.row();
        let begin = Instant::now();
        let drained = loop {
            let is_empty = |figures: &Figures| figures.queued() == 0.0 && figures.sum("outbox") == 0.0;
            if self.load.has_ended() && self.server.as_ref().is_some_and(|server| is_empty(&server.figures())) {
                break true;
            }
            if begin.elapsed() > DRAIN || !self.look() {
                break false;
            }
            std::thread::sleep(Duration::from_millis(500));
        };
        let took = begin.elapsed().as_secs_f64();
        self.verdicts.push((drained, format!("everything drained {took:.0} s after the end of the load")));
        if let Some(server) = &self.server {
            // The log goes into the file at an idle moment.
            server.rests(Duration::from_secs(30));
        }
        self.happened.push("drained".to_owned());
        self.row();
    }

    /// The server has ended by itself.
    fn died(&mut self) -> bool {
        self.verdicts.push((false, format!("the server died by itself at {:.0} s", self.at())));
        let log = self.server.as_ref().map(Server::log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        for line in &lines[lines.len().saturating_sub(30)..] {
            self.report.say(format!("  {line}"));
        }
        self.close()
    }

    fn close(&mut self) -> bool {
        let all = self.verdicts.iter().all(|(good, _)| *good);
        for (good, words) in std::mem::take(&mut self.verdicts) {
            self.report.say(format!("{} {words}", if good { "ok    " } else { "FAILED" }));
        }
        self.report.say(if all { "passed" } else { "failed" });
        if !all {
            let kept = self.keep();
            self.report.say(format!("what is left of the server is in {}", kept.display()));
        }
        all
    }

    /// Copies the folder, which would vanish, to where it can be looked at.
    fn keep(&mut self) -> PathBuf {
        let to = self.wish.dir.join(format!("endurance-{}", self.wish.seed));
        if let Some(server) = self.server.take() {
            server.terminate();
        }
        let from = self.place.path("");
        copy(&from, &to);
        to
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().flatten() {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else if entry.path().is_file() {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
