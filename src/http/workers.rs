//! The synchronous pool behind the front. A handler that must wait for the disk leaves its [`Answer`] to the writer; one
//! that waits for somebody else keeps its worker. A handler's panic is one answer 500 and one line in the log, never a
//! worker less.

use std::collections::VecDeque;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use tokio::sync::oneshot;

use super::limits::FrontStats;
use super::{Request, Response};

/// What answers requests, now or later: the worker is free for the next one when the handler returns.
pub type Handler = Arc<dyn Fn(Request, Answer) + Send + Sync>;

/// The way back to one request's client.
#[derive(Debug)]
pub struct Answer(Option<oneshot::Sender<Response>>);

impl Answer {
    /// Answers. The client may be gone: what it asked for is done all the same.
    pub fn give(mut self, response: Response) {
        if let Some(client) = self.0.take() {
            let _ = client.send(response);
        }
    }
}

impl Drop for Answer {
    /// Whoever had to answer has panicked.
    fn drop(&mut self) {
        if let Some(client) = self.0.take() {
            let made = "the server has made a mistake; it is in its log";
            let _ = client.send(Response::error(500, "INTERNAL", made));
        }
    }
}

/// A worker's stack: handlers parse nested data of bounded depth; sixty-four of these are half of what one default
/// thread would reserve twice over.
const STACK_BYTES: usize = 512 * 1024;

struct Job {
    request: Request,
    answer: Answer,
    pace: Pace,
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job").field("path", &super::shown_path(&self.request.path)).finish_non_exhaustive()
    }
}

/// What a worker will do with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pace {
    /// It computes, and is soon back.
    Quick,
    /// It waits for the disk or for somebody else.
    Waiting,
}

#[derive(Debug, Default)]
struct State {
    jobs: VecDeque<Job>,
    /// Jobs begun so far.
    begun: u64,
    /// Workers that sleep and have not been called.
    asleep: usize,
    /// Calls that no sleeper has heard yet.
    calls: usize,
    /// Workers that will come for the next job by themselves: called ones, and those with a quick job.
    awake: usize,
    closed: bool,
}

/// The queue between the front and the workers. A sleeper is called only while fewer workers are awake than the machine
/// has cores: one with a quick job comes back for the next by itself, and calling another would cost more than the job. A
/// worker that waits for somebody does not count as awake. For quick jobs that turn out to wait there is [`Gate::nudge`].
#[derive(Debug)]
struct Queue {
    state: Mutex<State>,
    more: Condvar,
    cores: usize,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn call(&self, state: &mut State) {
        if state.asleep > 0 {
            state.asleep -= 1;
            state.awake += 1;
            state.calls += 1;
            self.more.notify_one();
        }
    }

    fn call_if_few(&self, state: &mut State) {
        if state.awake < self.cores && !state.jobs.is_empty() {
            self.call(state);
        }
    }

    /// The next job for a worker whose last one had that pace; `None` at the end.
    fn next(&self, last: Pace) -> Option<Job> {
        let mut state = self.lock();
        if last == Pace::Waiting {
            state.awake += 1;
        }
        loop {
            if let Some(job) = state.jobs.pop_front() {
                state.begun += 1;
                if job.pace == Pace::Waiting {
                    state.awake -= 1;
                    self.call_if_few(&mut state);
                }
                return Some(job);
            }
            if state.closed {
                return None;
            }
            state.awake -= 1;
            state.asleep += 1;
            let is_uncalled = |state: &mut State| state.calls == 0 && !state.closed;
            state = self.more.wait_while(state, is_uncalled).unwrap_or_else(PoisonError::into_inner);
            if state.calls > 0 {
                state.calls -= 1;
            } else {
                // Closed: nobody has counted this one as awake.
                state.asleep -= 1;
                state.awake += 1;
            }
        }
    }
}

/// The way to the pool. What may wait for a worker is counted in bytes of bodies, not in requests: a portal that has
/// closed its socket would never read a 503, so a burst of small commands must find room, however long (`limits.md` C).
/// The number of requests has its own bound, one for each connection.
#[derive(Debug)]
pub(super) struct Gate {
    queue: Arc<Queue>,
    stats: Arc<FrontStats>,
    max_requests: usize,
    max_bytes: usize,
}

/// A request in the pool's hands.
#[derive(Debug)]
pub(super) struct Given {
    pub(super) answered: oneshot::Receiver<Response>,
    number: u64,
}

impl Gate {
    /// Hands a request over; gives nothing when as much waits as may. A request always finds room where none waits.
    pub(super) fn give(&self, request: Request, pace: Pace) -> Option<Given> {
        let (answer, answered) = oneshot::channel();
        let bytes = request.body.len();
        // Only the front's thread adds, so nothing comes between the look and the addition.
        let waiting = self.stats.waiting.load(Ordering::Relaxed);
        if waiting > 0 && waiting + bytes > self.max_bytes {
            return None;
        }
        let mut state = self.queue.lock();
        if state.jobs.len() >= self.max_requests {
            return None;
        }
        self.stats.waiting.fetch_add(bytes, Ordering::Relaxed);
        let number = state.begun + state.jobs.len() as u64;
        state.jobs.push_back(Job { request, answer: Answer(Some(answer)), pace });
        self.queue.call_if_few(&mut state);
        Some(Given { answered, number })
    }

    /// A request has been waiting for a worker for some time: those that are awake must be held up.
    pub(super) fn nudge(&self, given: &Given) {
        let mut state = self.queue.lock();
        if state.begun <= given.number {
            self.queue.call(&mut state);
        }
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.queue.lock().closed = true;
        self.queue.more.notify_all();
    }
}

/// The threads.
#[derive(Debug)]
pub(super) struct Workers(Vec<JoinHandle<()>>);

impl Workers {
    /// `count` threads, for which `requests` of `bytes` in all may wait.
    pub(super) fn start(
        count: usize,
        requests: usize,
        bytes: usize,
        stats: &Arc<FrontStats>,
        handler: &Handler,
    ) -> std::io::Result<(Gate, Self)> {
        let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        // Each worker begins awake.
        let state = Mutex::new(State { awake: count, ..State::default() });
        let queue = Arc::new(Queue { state, more: Condvar::new(), cores });
        // First, so that threads that were started end with it when one can't be.
        let gate =
            Gate { queue: Arc::clone(&queue), stats: Arc::clone(stats), max_requests: requests, max_bytes: bytes };
        let threads = (0..count)
            .map(|number| {
                let (queue, handler, stats) = (Arc::clone(&queue), Arc::clone(handler), Arc::clone(stats));
                std::thread::Builder::new()
                    .name(format!("http-{number}"))
                    .stack_size(STACK_BYTES)
                    .spawn(move || work(&queue, &handler, &stats))
            })
            .collect::<std::io::Result<Vec<_>>>()?;
        Ok((gate, Self(threads)))
    }

    /// Ends when the [`Gate`] is gone.
    pub(super) fn join(self) {
        for thread in self.0 {
            if thread.join().is_err() {
                log::error!("an HTTP worker ended with a panic");
            }
        }
    }
}

fn work(queue: &Queue, handler: &Handler, stats: &FrontStats) {
    let mut last = Pace::Quick;
    while let Some(Job { request, answer, pace }) = queue.next(last) {
        last = pace;
        stats.waiting.fetch_sub(request.body.len(), Ordering::Relaxed);
        let shown = super::shown_path(&request.path).to_owned();
        if catch_unwind(AssertUnwindSafe(|| handler(request, answer))).is_err() {
            log::error!(path = shown.as_str(); "a handler panicked; the request was answered 500");
        }
    }
}
