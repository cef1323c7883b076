//! What the kernel says about a running process.

use std::time::Duration;

/// USER_HZ: what `/proc` counts processor time in, on every Linux this is built for.
const TICKS_PER_SECOND: f64 = 100.0;

/// A look at one process.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    pub resident_mb: f64,
    /// The most it has been so far.
    pub peak_mb: f64,
    pub threads: usize,
    /// User and system time of all its threads since it began.
    pub cpu: Duration,
    /// Open file descriptors.
    pub descriptors: usize,
}

/// Looks at the process `pid`.
pub fn usage(pid: u32) -> Usage {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let field = |name: &str| -> f64 {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    };
    Usage {
        resident_mb: field("VmRSS:") / 1024.0,
        peak_mb: field("VmHWM:") / 1024.0,
        threads: field("Threads:") as usize,
        cpu: cpu(pid),
        descriptors: std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count(),
    }
}

/// User and system time of all its threads.
pub fn cpu(pid: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    // The name in brackets may hold anything; after it utime and stime are the 12th and 13th words.
    let (_, words) = stat.rsplit_once(')').unwrap();
    let ticks: f64 = words.split_whitespace().skip(11).take(2).map(|word| word.parse::<f64>().unwrap()).sum();
    Duration::from_secs_f64(ticks / TICKS_PER_SECOND)
}
