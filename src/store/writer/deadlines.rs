//! Callers that leave instead of waiting for their commit: whoever is first, the writer with the result or this watch with
//! the news that it took too long, answers for them. One thread for all of them, asleep while nothing is in the writer's
//! hands, and woken at most once for as long as a command may take.

use std::collections::VecDeque;
use std::fmt;
use std::marker::PhantomData;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::WriteError;
use super::job::Begun;
use super::trouble::Trouble;
use crate::clock::Clock;

/// A command in the writer's hands whose caller has left.
pub struct Kept {
    /// In ticks.
    deadline: Duration,
    command: Arc<dyn GiveUp>,
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kept").field("deadline", &self.deadline).finish_non_exhaustive()
    }
}

impl Kept {
    pub(super) fn new(deadline: Duration, command: Arc<dyn GiveUp>) -> Self {
        Self { deadline, command }
    }
}

pub(super) trait GiveUp: Send + Sync {
    /// Says that it took too long, unless the result is known.
    fn give_up(&self, now: Duration);
    /// The result is known.
    fn is_over(&self) -> bool;
}

/// What tells the caller, once.
pub(super) struct Held<D> {
    done: Mutex<Option<D>>,
    begun: Begun,
    late: Arc<Mutex<Trouble>>,
}

impl<D> Held<D> {
    pub(super) fn new(done: D, begun: Begun, late: Arc<Mutex<Trouble>>) -> Self {
        Self { done: Mutex::new(Some(done)), begun, late }
    }

    pub(super) fn take(&self) -> Option<D> {
        self.done.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Fixes what the caller is told to: a bare `FnOnce` would leave its argument open.
pub(super) trait Done: Send {
    fn fail(self, error: WriteError);
}

/// What a caller that has left wants to be told.
pub(super) struct Told<T, D>(D, PhantomData<fn(T)>);

impl<T, D: FnOnce(Result<T, WriteError>)> Told<T, D> {
    pub(super) fn new(done: D) -> Self {
        Self(done, PhantomData)
    }

    pub(super) fn tell(self, result: Result<T, WriteError>) {
        (self.0)(result);
    }
}

impl<T, D: FnOnce(Result<T, WriteError>) + Send> Done for Told<T, D> {
    fn fail(self, error: WriteError) {
        self.tell(Err(error));
    }
}

impl<D: Done> GiveUp for Held<D> {
    fn give_up(&self, now: Duration) {
        if let Some(done) = self.take() {
            let error = WriteError::Timeout { unknown: !self.begun.cancel() };
            self.late.lock().unwrap_or_else(PoisonError::into_inner).failed(now, &error.to_string());
            done.fail(error);
        }
    }

    fn is_over(&self) -> bool {
        self.done.lock().unwrap_or_else(PoisonError::into_inner).is_none()
    }
}

#[derive(Default)]
struct State {
    kept: VecDeque<Kept>,
    /// The thread sleeps without an end.
    asleep: bool,
    stopped: bool,
}

struct Shared {
    state: Mutex<State>,
    wake: Condvar,
    clock: Arc<dyn Clock>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The way to the watch; clones share it.
#[derive(Clone)]
pub struct Deadlines(Arc<Shared>);

impl fmt::Debug for Deadlines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deadlines").field("kept", &self.0.lock().kept.len()).finish()
    }
}

impl Deadlines {
    /// A watch that [`Deadlines::run`] keeps.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self(Arc::new(Shared { state: Mutex::default(), wake: Condvar::new(), clock }))
    }

    /// Watches a command. All of them wait equally long, so the oldest stands first.
    pub fn keep(&self, kept: Kept) {
        let mut state = self.0.lock();
        drop_answered(&mut state);
        state.kept.push_back(kept);
        if state.asleep {
            self.0.wake.notify_one();
        }
    }

    /// Watches until [`Deadlines::stop`].
    pub fn run(&self) {
        let shared = &self.0;
        let mut state = shared.lock();
        while !state.stopped {
            drop_answered(&mut state);
            let now = shared.clock.ticks();
            match state.kept.front().map(|kept| kept.deadline) {
                None => {
                    state.asleep = true;
                    state = shared.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
                    state.asleep = false;
                }
                Some(deadline) if deadline <= now => {
                    let kept = state.kept.pop_front();
                    // Answering may take a while; others go on adding.
                    drop(state);
                    if let Some(kept) = kept {
                        kept.command.give_up(now);
                    }
                    state = shared.lock();
                }
                Some(deadline) => {
                    let wait = deadline.saturating_sub(now);
                    state = shared.wake.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner).0;
                }
            }
        }
    }

    /// Ends the watch; stop it after the writer.
    pub fn stop(&self) {
        self.0.lock().stopped = true;
        self.0.wake.notify_all();
    }
}

fn drop_answered(state: &mut State) {
    while state.kept.front().is_some_and(|kept| kept.command.is_over()) {
        state.kept.pop_front();
    }
}
