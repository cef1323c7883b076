//! Named steps at which a test ends the process as a crash would. A debug build that finds `CRASH_AT` in its environment
//! dies at that step by SIGKILL, or panics there; in a release build the steps compile to nothing, and not even the
//! variable's name is left (a step of `.ci/run` looks for it).
//!
//! `CRASH_AT=after post` dies at the first passing, `after post:3` at the third, `panic before commit` panics.

#[cfg(debug_assertions)]
pub use armed::{arm, point};
#[cfg(not(debug_assertions))]
pub use disarmed::{arm, point};

#[cfg(debug_assertions)]
mod armed {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    use signal_hook::consts::SIGKILL;

    /// What was asked for, once for the process.
    static CRASH: OnceLock<Crash> = OnceLock::new();

    #[derive(Debug)]
    struct Crash {
        step: String,
        panics: bool,
        /// Passings left, the last of which is the end.
        left: AtomicU64,
    }

    impl Crash {
        fn read(text: &str) -> Self {
            let (panics, rest) = text.strip_prefix("panic ").map_or((false, text), |rest| (true, rest));
            let counted = rest.rsplit_once(':').and_then(|(step, count)| Some((step, count.parse().ok()?)));
            let (step, left) = counted.unwrap_or((rest, 1));
            Self { step: step.to_owned(), panics, left: AtomicU64::new(left) }
        }

        /// Whether this passing of `step` is the one.
        fn is_due(&self, step: &str) -> bool {
            self.step == step && self.left.fetch_sub(1, Ordering::SeqCst) == 1
        }
    }

    /// Reads the variable from the environment that was handed in.
    pub fn arm<'a>(variable: impl FnOnce(&'static str) -> Option<&'a str>) {
        if let Some(text) = variable("CRASH_AT") {
            // A second command in one process keeps the first one's.
            let _ = CRASH.set(Crash::read(text));
        }
    }

    /// One of the named steps.
    pub fn point(step: &str) {
        if let Some(crash) = CRASH.get()
            && crash.is_due(step)
        {
            assert!(!crash.panics, "asked for at the step `{step}`");
            // Not `abort`: that may write a core file for each of hundreds of crashes.
            let _ = signal_hook::low_level::raise(SIGKILL);
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn the_nth_passing_of_the_named_step_is_the_one() {
            for (text, panics, due) in [
                ("after post", false, [true, false, false]),
                ("after post:3", false, [false, false, true]),
                ("panic after post:2", true, [false, true, false]),
                ("before post", false, [false; 3]),
            ] {
                let crash = Crash::read(text);
                assert_eq!(crash.panics, panics, "{text}");
                assert!(!crash.is_due("another step"));
                assert_eq!([(); 3].map(|()| crash.is_due("after post")), due, "{text}");
            }
        }
    }
}

#[cfg(not(debug_assertions))]
mod disarmed {
    /// Nothing: release builds have no steps.
    #[inline]
    pub fn arm<'a>(_: impl FnOnce(&'static str) -> Option<&'a str>) {}

    /// Nothing.
    #[inline]
    pub fn point(_: &str) {}
}
