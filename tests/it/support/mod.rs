//! What the tests from outside share: the built program, a plain HTTP client, a portal that only takes messages, seeded
//! random numbers. It knows nothing of the crate's inside.

pub mod browser;
pub mod far_end;
pub mod house;
pub mod http;
pub mod ledger;
pub mod portal;
pub mod program;
pub mod raw;

use std::time::Duration;

/// A small generator with a seed that a failing test can print (SplitMix64).
#[derive(Debug)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}

/// Waits until `condition` holds; panics with `what` after `limit`.
pub fn until(what: &str, limit: Duration, condition: impl FnMut() -> bool) {
    assert!(comes_true(limit, condition), "waited {limit:?} in vain: {what}");
}

/// Waits until `condition` holds; false after `limit`.
#[expect(clippy::disallowed_methods, reason = "tests wait for other processes")]
pub fn comes_true(limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let start = std::time::Instant::now();
    while !condition() {
        if start.elapsed() >= limit {
            return false;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    true
}

/// How much of something a test does: what its variable says, else `usual`.
pub fn asked(variable: &str, usual: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}
