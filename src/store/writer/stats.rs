//! What the writer counts and times.

use std::sync::atomic::AtomicU64;

use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};

/// Figures for `/metrics`.
#[derive(Debug)]
pub struct Stats {
    /// Commits so far.
    pub commits: AtomicU64,
    /// Commands in them.
    pub commands: AtomicU64,
    /// Commits that failed as a whole.
    pub failures: AtomicU64,
    /// From begin to the end of a commit.
    pub commit_seconds: Histogram,
    /// Commands committed together.
    pub group_size: Histogram,
}

impl Default for Stats {
    fn default() -> Self {
        Self {
            commits: AtomicU64::new(0),
            commands: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            // 0.1 ms … 3.3 s
            commit_seconds: Histogram::new(exponential_buckets(0.000_1, 2.0, 16)),
            group_size: Histogram::new(exponential_buckets(1.0, 2.0, 11)),
        }
    }
}
