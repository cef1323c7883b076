//! The synchronous pool behind the front: as many threads as commits may be in flight. A handler's panic is one answer
//! 500 and one line in the log, never a worker less.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use tokio::sync::oneshot;

use super::limits::FrontStats;
use super::{Request, Response};

/// What answers requests.
pub type Handler = Arc<dyn Fn(Request) -> Response + Send + Sync>;

/// A worker's stack: handlers parse nested data of bounded depth; sixty-four of these are half of what one default
/// thread would reserve twice over.
const STACK_BYTES: usize = 512 * 1024;

struct Job {
    request: Request,
    answer: oneshot::Sender<Response>,
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
        match self.jobs.try_send(Job { request, answer }) {
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
        let path = request.path.clone();
        let response = catch_unwind(AssertUnwindSafe(|| handler(request))).unwrap_or_else(|_| {
            log::error!(path = super::shown_path(&path); "a handler panicked; the request was answered 500");
            Response::error(500, "INTERNAL", "the server has made a mistake; it is in its log")
        });
        // The client may be gone: what it asked for is done all the same.
        let _ = answer.send(response);
    }
}
