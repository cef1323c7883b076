//! Durations of any number in little memory: 64 steps to each doubling, so that a value is at most 1.6 % off.

use std::time::Duration;

const STEPS: u64 = 64;
const BITS: u32 = STEPS.ilog2();

/// Counted durations.
#[derive(Clone, Debug, Default)]
pub struct Histogram {
    counts: Vec<u64>,
    total: u64,
    longest: u64,
}

impl Histogram {
    /// Counts one.
    pub fn note(&mut self, took: Duration) {
        let nanos = u64::try_from(took.as_nanos()).unwrap();
        let at = slot(nanos);
        if self.counts.len() <= at {
            self.counts.resize(at + 1, 0);
        }
        self.counts[at] += 1;
        self.total += 1;
        self.longest = self.longest.max(nanos);
    }

    /// Adds another's counts.
    pub fn absorb(&mut self, other: &Self) {
        if self.counts.len() < other.counts.len() {
            self.counts.resize(other.counts.len(), 0);
        }
        for (own, more) in self.counts.iter_mut().zip(&other.counts) {
            *own += more;
        }
        self.total += other.total;
        self.longest = self.longest.max(other.longest);
    }

    /// How many were counted.
    pub fn count(&self) -> u64 {
        self.total
    }

    /// The duration below which that share of them lies, in milliseconds; 0 without any.
    pub fn millis(&self, share: f64) -> f64 {
        let wanted = (self.total as f64 * share).ceil() as u64;
        let mut seen = 0;
        for (at, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted && seen > 0 {
                return middle(at) / 1e6;
            }
        }
        0.0
    }

    /// The longest, in milliseconds.
    pub fn longest_millis(&self) -> f64 {
        self.longest as f64 / 1e6
    }
}

/// Below two doublings each value has its slot; above, the highest bits choose it.
fn slot(nanos: u64) -> usize {
    let shift = nanos.max(1).ilog2().saturating_sub(BITS);
    usize::try_from(u64::from(shift) * STEPS + (nanos >> shift)).unwrap()
}

fn middle(slot: usize) -> f64 {
    let slot = slot as u64;
    let shift = (slot / STEPS).saturating_sub(1);
    let low = (slot - shift * STEPS) << shift;
    low as f64 + ((1_u64 << shift) - 1) as f64 / 2.0
}
