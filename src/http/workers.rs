//! The synchronous pool behind the front: as many threads as commits may be in flight. A handler's panic is one answer
//! 500 and one line in the log, never a worker less.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use tokio::sync::oneshot;

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

/// The way to the pool.
#[derive(Clone, Debug)]
pub(super) struct Gate(Sender<Job>);

impl std::fmt::Debug for Job {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Job").field("path", &super::shown_path(&self.request.path)).finish_non_exhaustive()
    }
}

impl Gate {
    /// Hands a request over; gives nothing when as many wait as may.
    pub(super) fn give(&self, request: Request) -> Option<oneshot::Receiver<Response>> {
        let (answer, answered) = oneshot::channel();
        match self.0.try_send(Job { request, answer }) {
            Ok(()) => Some(answered),
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => None,
        }
    }
}

/// The threads.
#[derive(Debug)]
pub(super) struct Workers(Vec<JoinHandle<()>>);

impl Workers {
    pub(super) fn start(count: usize, queue: usize, handler: &Handler) -> std::io::Result<(Gate, Self)> {
        let (gate, jobs) = bounded::<Job>(queue);
        let threads = (0..count)
            .map(|number| {
                let (jobs, handler) = (jobs.clone(), Arc::clone(handler));
                std::thread::Builder::new()
                    .name(format!("http-{number}"))
                    .stack_size(STACK_BYTES)
                    .spawn(move || work(&jobs, &handler))
            })
            .collect::<std::io::Result<Vec<_>>>()?;
        Ok((Gate(gate), Self(threads)))
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

fn work(jobs: &Receiver<Job>, handler: &Handler) {
    for Job { request, answer } in jobs {
        let path = request.path.clone();
        let response = catch_unwind(AssertUnwindSafe(|| handler(request))).unwrap_or_else(|_| {
            log::error!(path = super::shown_path(&path); "a handler panicked; the request was answered 500");
            Response::error(500, "INTERNAL", "the server has made a mistake; it is in its log")
        });
        // The client may be gone: what it asked for is done all the same.
        let _ = answer.send(response);
    }
}
