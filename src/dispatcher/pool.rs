//! The channel workers: threads that make the blocking calls for the dispatcher. They decide nothing. Each has a reader
//! of its own for the chat's record and for long ids.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, bounded};
use rusqlite::Connection;

use super::Event;
use super::outcome::Outcome;
use crate::channels::{Connector, SendError, Step};
use crate::clock::Clock;
use crate::fault;
use crate::message::{Outgoing, OutgoingKind, Progress};
use crate::outbox::{Lane, Waiting};
use crate::records::Settings;
use crate::store::{Store, StoreError, directory};

/// One call to make.
#[derive(Debug)]
pub(super) struct Job {
    pub lane: Lane,
    pub waiting: Waiting,
    pub message: Outgoing,
    pub progress: Progress,
    pub connector: Arc<dyn Connector>,
    pub settings: Arc<Settings>,
}

#[derive(Debug)]
pub(super) struct Pool {
    jobs: Sender<Job>,
    threads: Vec<JoinHandle<()>>,
    /// Workers without a job.
    pub free: usize,
}

impl Pool {
    pub(super) fn start(
        workers: usize,
        store: &Store,
        clock: &Arc<dyn Clock>,
        events: &Sender<Event>,
    ) -> Result<Self, StoreError> {
        let (jobs, queue) = bounded::<Job>(workers);
        let mut threads = Vec::with_capacity(workers);
        for number in 0..workers {
            let (db, clock) = (store.reading()?, Arc::clone(clock));
            let (queue, events) = (queue.clone(), events.clone());
            let thread = std::thread::Builder::new()
                .name(format!("channel-{number}"))
                .stack_size(512 * 1024)
                .spawn(move || work(&db, clock.as_ref(), &queue, &events))
                .map_err(|why| StoreError::Folder { path: "channel workers".into(), why })?;
            threads.push(thread);
        }
        Ok(Self { jobs, threads, free: workers })
    }

    /// Hands a job over; the caller has checked `free`.
    pub(super) fn give(&mut self, job: Job) {
        self.free = self.free.saturating_sub(1);
        if self.jobs.send(job).is_err() {
            log::error!("every channel worker has ended");
        }
    }

    pub(super) fn stop(self) {
        drop(self.jobs);
        for thread in self.threads {
            if thread.join().is_err() {
                log::error!("a channel worker ended with a panic");
            }
        }
    }
}

fn work(db: &Connection, clock: &dyn Clock, queue: &Receiver<Job>, events: &Sender<Event>) {
    for mut job in queue {
        fault::point("before send");
        let began = clock.ticks();
        let result = catch_unwind(AssertUnwindSafe(|| send(db, &mut job))).unwrap_or_else(|_| {
            Err(SendError::Retry { why: "internal error while sending".into(), after: None, ambiguous: true })
        });
        fault::point("after send");
        let Job { lane, waiting, message, progress, settings, .. } = job;
        let took = clock.ticks().saturating_sub(began);
        let outcome = Outcome::called(lane.line, &waiting, message, progress, settings, result, took);
        if events.send(Event::Done(lane, Box::new(outcome))).is_err() {
            return;
        }
    }
}

fn send(db: &Connection, job: &mut Job) -> Result<Step, SendError> {
    let busy = |error: rusqlite::Error| SendError::Retry { why: error.to_string(), after: None, ambiguous: false };
    let chat = directory::chat(db, job.lane.line, &job.lane.chat).map_err(busy)?;
    if chat.as_ref().is_some_and(|chat| chat.closed) && job.message.kind != OutgoingKind::Typing {
        let why = String::from("the customer has removed or blocked the bot in this chat");
        return Err(SendError::Permanent { code: "CHAT_CLOSED", why });
    }
    let resolve = |short: &str| directory::alias(db, job.lane.line, short).ok().flatten();
    let data = chat.as_ref().map(|chat| chat.data.as_str());
    job.connector.send(&job.settings, data, &job.message, &resolve, &mut job.progress)
}
