//! The conditions of a run: the machine, its disk, and the disk's own rate in the same minute.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use super::histogram::Histogram;

/// What every table must be read with, in one paragraph.
pub fn conditions(folder: &Path) -> String {
    let cores = std::thread::available_parallelism().unwrap();
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let load = std::fs::read_to_string("/proc/loadavg").unwrap();
    let load = load.split(' ').next().unwrap();
    let system = file_system(folder);
    format!("{cores} cores, kernel {}, {system} at {}, load {load}", kernel.trim(), folder.display())
}

/// The type of the file system that holds `folder`.
pub fn file_system(folder: &Path) -> String {
    let folder = folder.canonicalize().unwrap();
    let mounts = std::fs::read_to_string("/proc/mounts").unwrap();
    let words = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let holding = words.filter(|words| folder.starts_with(words[1]));
    holding.max_by_key(|words| words[1].len()).unwrap()[2].to_owned()
}

/// 4 KB overwritten and brought to the disk, one after the other, for that long: syncs a second and their times.
pub fn raw_syncs(folder: &Path, time: Duration) -> Raw {
    const PAGES: u64 = 256;
    let path = folder.join("raw");
    let file = OpenOptions::new().create(true).truncate(true).write(true).open(&path).unwrap();
    let page = [0x5a; 4096];
    // Every page is there before: an overwrite needs no change of the file's own record.
    for at in 0..PAGES {
        file.write_all_at(&page, at * 4096).unwrap();
    }
    file.sync_all().unwrap();
    let begin = Instant::now();
    let mut latency = Histogram::default();
    while begin.elapsed() < time {
        let start = Instant::now();
        file.write_all_at(&page, latency.count() % PAGES * 4096).unwrap();
        File::sync_data(&file).unwrap();
        latency.note(start.elapsed());
    }
    let per_second = latency.count() as f64 / begin.elapsed().as_secs_f64();
    std::fs::remove_file(path).unwrap();
    Raw { per_second, latency }
}

/// The disk's own rate.
#[derive(Clone, Debug)]
pub struct Raw {
    pub per_second: f64,
    pub latency: Histogram,
}

/// Lets this process and its children open as many files as the system allows them; gives how many.
pub fn raise_descriptors() -> u64 {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}
