//! What the design promises about speed and size, each as a ratio of two things measured side by side in one run;
//! README.md beside this file says what each name means.
//!
//! `cargo bench --bench speed`, or some of it: `cargo bench --bench speed -- accept pipeline --rounds 5 --seconds 3`.

#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    clippy::indexing_slicing,
    reason = "a measurement ends at the first surprise and reads the machine's clock"
)]

mod measure;
mod support;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use measure::{Bench, MEASUREMENTS};
use support::machine;

const USAGE: &str = "\
usage: cargo bench --bench speed -- [NAME ...] [OPTION ...]
  --rounds N       rounds of each measurement (3)
  --seconds N      length of one slice of a round (2)
  --queued N       messages of a long queue (1000000)
  --program PATH   the program to measure, such as target/release/trunkline
  --sync-us N      on tmpfs, with a sleep of so many microseconds in every sync
  --folder PATH    where the databases are made (below target/)
names:";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    if let Some(baseline) = measure::baseline::named(&words) {
        baseline();
        return ExitCode::SUCCESS;
    }
    let wish = match Wish::read(&words) {
        Ok(wish) => wish,
        Err(why) => {
            eprintln!("{why}\n{USAGE}");
            for measurement in MEASUREMENTS {
                eprintln!("  {:16} {}", measurement.name, measurement.about);
            }
            return ExitCode::from(2);
        }
    };
    if let Some(micros) = wish.sync_us.filter(|_| std::env::var_os("SYNC_DELAY_US").is_none()) {
        return slowed_down(micros);
    }
    wish.carry_out();
    ExitCode::SUCCESS
}

/// Runs this program again with slow syncs, which its servers inherit.
fn slowed_down(micros: u64) -> ExitCode {
    let folder = tempfile::tempdir().unwrap();
    let library = folder.path().join("sync-delay.so");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/sync-delay.c");
    let built = Command::new("cc").args(["-O2", "-shared", "-fPIC", "-o"]).arg(&library).arg(source).status();
    assert!(built.is_ok_and(|status| status.success()), "the C compiler `cc` is needed for --sync-us");
    let status = Command::new(std::env::current_exe().unwrap())
        .args(std::env::args_os().skip(1))
        .env("LD_PRELOAD", library)
        .env("SYNC_DELAY_US", micros.to_string())
        .status();
    if status.unwrap().success() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The command line.
struct Wish {
    names: Vec<String>,
    rounds: usize,
    seconds: f64,
    program: PathBuf,
    sync_us: Option<u64>,
    queued: i64,
    folder: Option<PathBuf>,
}

impl Wish {
    fn read(words: &[String]) -> Result<Self, String> {
        let mut wish = Self {
            names: Vec::new(),
            rounds: 3,
            seconds: 2.0,
            program: env!("CARGO_BIN_EXE_trunkline").into(),
            sync_us: None,
            queued: 1_000_000,
            folder: None,
        };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or(format!("{word} wants a value"));
            let number = |text: &str| text.parse().map_err(|_| format!("{word} wants a number, not {text}"));
            match word.as_str() {
                "--rounds" => wish.rounds = number(value()?)?,
                "--seconds" => wish.seconds = value()?.parse().map_err(|_| "--seconds wants a number".to_owned())?,
                "--sync-us" => wish.sync_us = Some(number(value()?)? as u64),
                "--queued" => wish.queued = number(value()?)? as i64,
                "--program" => wish.program = value()?.into(),
                "--folder" => wish.folder = Some(value()?.into()),
                name if MEASUREMENTS.iter().any(|measurement| measurement.name == name) => {
                    wish.names.push(name.to_owned());
                }
                other => return Err(format!("there is no measurement {other}")),
            }
        }
        if wish.rounds == 0 || wish.seconds <= 0.0 {
            return Err("nothing is measured in no time".to_owned());
        }
        Ok(wish)
    }

    fn carry_out(self) {
        let parent = self.folder.unwrap_or_else(|| match self.sync_us {
            Some(_) => PathBuf::from("/dev/shm"),
            None => PathBuf::from(env!("CARGO_TARGET_TMPDIR")),
        });
        let folder = tempfile::Builder::new().prefix("speed-").tempdir_in(parent).unwrap();
        machine::raise_descriptors();
        println!("{}", machine::conditions(folder.path()));
        if let Some(micros) = self.sync_us {
            println!("every sync sleeps {micros} µs");
        }
        println!("{} rounds, slices of {} s, {}", self.rounds, self.seconds, self.program.display());
        let bench = Bench {
            rounds: self.rounds,
            slice: Duration::from_secs_f64(self.seconds),
            folder: folder.path().to_owned(),
            program: self.program,
            queued: self.queued,
        };
        for measurement in MEASUREMENTS {
            if self.names.is_empty() || self.names.iter().any(|name| name == measurement.name) {
                println!("\n## {}: {}", measurement.name, measurement.about);
                let begin = Instant::now();
                (measurement.run)(&bench);
                println!("({:.0} s)", begin.elapsed().as_secs_f64());
            }
        }
    }
}
