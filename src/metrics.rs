//! What `/metrics` shows and other modules measure as they go. Sums that must survive a restart live in the database
//! (`store::counters`); here are durations, which start anew with each process.

use std::time::Duration;

use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};

/// Histograms that the loops and handlers fill. Clones share their figures.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// A webhook's time from the whole request to its answer.
    pub accept: Histogram,
    /// A message's time from its commit to the portal's confirmation.
    pub delivery: Histogram,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            // 0.25 ms … 8 s
            accept: Histogram::new(exponential_buckets(0.000_25, 2.0, 16)),
            // 1 ms … 36 h
            delivery: Histogram::new(exponential_buckets(0.001, 4.0, 14)),
        }
    }
}

impl Metrics {
    /// Notes one accepted webhook.
    pub fn accepted(&self, took: Duration) {
        self.accept.observe(took.as_secs_f64());
    }

    /// Notes one confirmed message.
    pub fn delivered(&self, took: Duration) {
        self.delivery.observe(took.as_secs_f64());
    }
}
