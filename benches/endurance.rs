//! An hour of mixed load with faults against the real program on the real disk: portals that die and return, slow
//! clients, a channel that says 429, restarts and kills. In the end nothing may be missing, nothing may have come twice
//! without a reason, and memory and file must be flat; README.md beside this file says how to read it.
//!
//! `cargo bench --bench endurance -- --minutes 60 --rate 200`

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
    clippy::float_cmp,
    reason = "a measurement ends at the first surprise and reads the machine's clock"
)]

mod hour;
mod support;

use std::process::ExitCode;

use hour::drive::{Wish, run};

const USAGE: &str = "\
usage: cargo bench --bench endurance -- [OPTION ...]
  --minutes N      length of the load (60)
  --rate N         customers' messages a second, outside of bursts (200)
  --operators N    operators' messages a second (20)
  --seed N         of the schedule and the messages (the time)
  --dir PATH       where the server's folder and the log are made (below target/)
  --program PATH   the program to run, such as target/release/trunkline
  --undisturbed    the server is neither stopped nor restarted nor killed: one life for the whole run";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    match wish(&words) {
        Ok(wish) if run(&wish) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("{why}\n{USAGE}");
            ExitCode::from(2)
        }
    }
}

fn wish(words: &[String]) -> Result<Wish, String> {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let mut wish = Wish {
        minutes: 60.0,
        rate: 200.0,
        operators: 20.0,
        seed: now.as_secs(),
        dir: env!("CARGO_TARGET_TMPDIR").into(),
        program: env!("CARGO_BIN_EXE_trunkline").into(),
        blows: true,
    };
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("{word} wants a value"));
        let number = |text: &str| text.parse::<f64>().map_err(|_| format!("{word} wants a number, not {text}"));
        match word.as_str() {
            "--minutes" => wish.minutes = number(value()?)?,
            "--rate" => wish.rate = number(value()?)?,
            "--operators" => wish.operators = number(value()?)?,
            "--seed" => wish.seed = number(value()?)? as u64,
            "--dir" => wish.dir = value()?.into(),
            "--program" => wish.program = value()?.into(),
            "--undisturbed" => wish.blows = false,
            other => return Err(format!("there is no option {other}")),
        }
    }
    if wish.minutes < 2.0 || wish.rate <= 0.0 || wish.operators < 0.0 {
        return Err("it takes at least two minutes and some messages to see anything".to_owned());
    }
    std::fs::create_dir_all(&wish.dir).map_err(|error| format!("{}: {error}", wish.dir.display()))?;
    Ok(wish)
}
