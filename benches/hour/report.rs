//! What is shown: a line for each minute, a table of quarters, verdicts; on the screen and in a file.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use trunkline::store::FILE;

use super::ledger::Window;
use crate::support::process::{self, Usage};

/// Says everything twice: on the screen and in a file.
pub struct Report {
    file: File,
    pub path: PathBuf,
}

impl Report {
    pub fn new(path: PathBuf) -> Self {
        Self { file: File::create(&path).unwrap(), path }
    }

    pub fn say(&mut self, line: impl AsRef<str>) {
        println!("{}", line.as_ref());
        self.note(line.as_ref());
    }

    /// What belongs into the file alone.
    pub fn note(&mut self, line: &str) {
        writeln!(self.file, "{line}").unwrap();
    }
}

/// A look at the server and its files.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    pub at: f64,
    /// How long this process has lived.
    pub age: f64,
    pub usage: Usage,
    pub db_mb: f64,
    pub wal_mb: f64,
}

/// Looks; nothing when the process is no more.
pub fn look(pid: u32, at: f64, age: f64, data: &Path) -> Option<Look> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let state = status.lines().find_map(|line| line.strip_prefix("State:"))?;
    if state.trim_start().starts_with(['Z', 'X']) {
        return None;
    }
    let mb = |name: &str| std::fs::metadata(data.join(name)).map_or(0.0, |file| file.len() as f64 / 1_048_576.0);
    let (db_mb, wal_mb) = (mb(FILE), mb(&format!("{FILE}-wal")));
    Some(Look { at, age, usage: process::usage(pid), db_mb, wal_mb })
}

/// One line of the table.
#[derive(Clone, Debug)]
pub struct Row {
    pub look: Look,
    pub window: Window,
    pub seconds: f64,
    pub queued: f64,
    pub outbox: f64,
    pub dead: f64,
    pub faults: String,
}

pub const HEAD: &str = "\
 time   acc/s  del/s queued outbox | accept ms p50   p99    max | age ms p50     p99 calm p99 | RSS MB thr  fds | db MB wal MB dead | in force";

impl Row {
    pub fn text(&self) -> String {
        let (window, look) = (&self.window, &self.look);
        let rate = |ways: &[u64; 2]| (ways[0] + ways[1]) as f64 / self.seconds;
        format!(
            "{:02}:{:02} {:7.0} {:6.0} {:6.0} {:6.0} | {:13.1} {:5.0} {:6.0} | {:10.0} {:7.0} {:8.0} | {:6.1} {:3} {:4} | {:5.0} {:6.0} {:4.0} | {}",
            look.at as u64 / 60,
            look.at as u64 % 60,
            rate(&window.acknowledged),
            rate(&window.taken),
            self.queued,
            self.outbox,
            window.accept.millis(0.5),
            window.accept.millis(0.99),
            window.accept.longest_millis(),
            window.age.millis(0.5),
            window.age.millis(0.99),
            window.calm_age.millis(0.99),
            look.usage.resident_mb,
            look.usage.threads,
            look.usage.descriptors,
            look.db_mb,
            look.wal_mb,
            self.dead,
            self.faults,
        )
    }
}

/// A quarter of the run.
#[derive(Clone, Debug, Default)]
pub struct Quarter {
    pub window: Window,
    /// Median of the processes that have lived for a while.
    pub resident_mb: f64,
    pub resident_max: f64,
    pub db_max: f64,
    pub wal_max: f64,
}

/// Processes younger than this have not seen what a server at work keeps.
const GROWN_UP_SECS: f64 = 8.0;

/// The run in four parts, by rows and looks.
pub fn quarters(rows: &[Row], looks: &[Look], length: f64) -> [Quarter; 4] {
    let mut quarters: [Quarter; 4] = Default::default();
    let place = |at: f64| ((at / length * 4.0) as usize).min(3);
    for row in rows {
        // A row stands for the time before it.
        quarters[place((row.look.at - row.seconds / 2.0).max(0.0))].window.absorb(&row.window);
    }
    for (number, quarter) in quarters.iter_mut().enumerate() {
        let own: Vec<&Look> = looks.iter().filter(|look| place(look.at) == number && look.at <= length).collect();
        let mut resident: Vec<f64> =
            own.iter().filter(|look| look.age >= GROWN_UP_SECS).map(|look| look.usage.resident_mb).collect();
        resident.sort_by(f64::total_cmp);
        quarter.resident_mb = resident.get(resident.len() / 2).copied().unwrap_or(0.0);
        quarter.resident_max = resident.last().copied().unwrap_or(0.0);
        let most = |of: fn(&Look) -> f64| own.iter().map(|look| of(look)).fold(0.0, f64::max);
        (quarter.db_max, quarter.wal_max) = (most(|look| look.db_mb), most(|look| look.wal_mb));
    }
    quarters
}

/// The table of quarters.
pub fn quarters_text(quarters: &[Quarter; 4]) -> Vec<String> {
    let mut lines = vec![
        "| quarter | acknowledged | taken | accept ms p50 | p99 | max | age ms p50 | p99 | calm p99 | RSS MB median | max | db MB max | wal MB max |".to_owned(),
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |".to_owned(),
    ];
    for (number, quarter) in quarters.iter().enumerate() {
        let window = &quarter.window;
        lines.push(format!(
            "| {} | {} | {} | {:.1} | {:.0} | {:.0} | {:.0} | {:.0} | {:.0} | {:.1} | {:.1} | {:.0} | {:.0} |",
            number + 1,
            window.acknowledged.iter().sum::<u64>(),
            window.taken.iter().sum::<u64>(),
            window.accept.millis(0.5),
            window.accept.millis(0.99),
            window.accept.longest_millis(),
            window.age.millis(0.5),
            window.age.millis(0.99),
            window.calm_age.millis(0.99),
            quarter.resident_mb,
            quarter.resident_max,
            quarter.db_max,
            quarter.wal_max,
        ));
    }
    lines
}
