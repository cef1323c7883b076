//! The synchronous pool behind the front. A handler that must wait for the disk leaves its [`Answer`] to the writer; one
//! that waits for somebody else keeps its worker. A handler's panic is one answer 500 and one line in the log, never a
//! worker less.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
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
}

/// The way to the pool. What may wait for a worker is counted in bytes of bodies, not in requests: a portal that has
/// closed its socket would never read a 503, so a burst of small commands must find room, however long (`limits.md` C).
/// The number of requests has its own bound, one for each connection.
#[derive(Clone, Debug)]
pub(super) struct Gate {
    jobs: Sender<Job>,
    stats: Arc<FrontStats>,
    max: usize,
}

impl std::fmt::Debug for Job {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Job").field("path", &super::shown_path(&self.request.path)).finish_non_exhaustive()
    }
}

impl Gate {
    /// Hands a request over; gives nothing when as much waits as may. A request always finds room where none waits.
    pub(super) fn give(&self, request: Request) -> Option<oneshot::Receiver<Response>> {
        let (answer, answered) = oneshot::channel();
        let bytes = request.body.len();
        // Only the front's thread adds, so nothing comes between the look and the addition.
        let waiting = self.stats.waiting.load(Ordering::Relaxed);
        if waiting > 0 && waiting + bytes > self.max {
            return None;
        }
        self.stats.waiting.fetch_add(bytes, Ordering::Relaxed);
        match self.jobs.try_send(Job { request, answer: Answer(Some(answer)) }) {
            Ok(()) => Some(answered),
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.stats.waiting.fetch_sub(bytes, Ordering::Relaxed);
                None
            }
        }
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
        let (gate, jobs) = bounded::<Job>(requests);
        let threads = (0..count)
            .map(|number| {
                let (jobs, handler, stats) = (jobs.clone(), Arc::clone(handler), Arc::clone(stats));
                std::thread::Builder::new()
                    .name(format!("http-{number}"))
                    .stack_size(STACK_BYTES)
                    .spawn(move || work(&jobs, &handler, &stats))
            })
            .collect::<std::io::Result<Vec<_>>>()?;
        Ok((Gate { jobs: gate, stats: Arc::clone(stats), max: bytes }, Self(threads)))
    }

    /// Ends when the last [`Gate`] is gone.
    pub(super) fn join(self) {
        for thread in self.0 {
            if thread.join().is_err() {
                log::error!("an HTTP worker ended with a panic");
            }
        }
    }
}

fn work(jobs: &Receiver<Job>, handler: &Handler, stats: &FrontStats) {
    for Job { request, answer } in jobs {
        stats.waiting.fetch_sub(request.body.len(), Ordering::Relaxed);
        let shown = super::shown_path(&request.path).to_owned();
        if catch_unwind(AssertUnwindSafe(|| handler(request, answer))).is_err() {
            log::error!(path = shown.as_str(); "a handler panicked; the request was answered 500");
        }
    }
}
