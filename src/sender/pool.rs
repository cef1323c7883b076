//! The delivery workers: threads that make the blocking calls for the sender. They decide nothing.
//!
//! A worker whose portal keeps silent is lost for as long as a packet may stay unconfirmed. Such a post is not counted
//! among those that share the configured workers; another thread takes its place, so that many silent portals at once do
//! not stop the others.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::Event;
use crate::fault;
use crate::ids::LineId;
use crate::net::{Net, NetError};
use crate::portals::files::Opener;
use crate::portals::{Packet, PortalError, Receipt, protocol};
use crate::records::Portal;

/// One post to make.
#[derive(Debug)]
pub(super) struct Job {
    pub line: LineId,
    pub portal: Arc<Portal>,
    pub packet: Packet,
    pub timeout: Duration,
}

/// The threads and the way to them. The channel holds as many jobs as there may be threads, and the sender counts its
/// jobs, so that it never waits here.
pub(super) struct Pool {
    jobs: Sender<Job>,
    queue: Receiver<Job>,
    net: Arc<dyn Net>,
    opener: Arc<dyn Opener>,
    events: Sender<Event>,
    threads: Vec<JoinHandle<()>>,
    workers: usize,
    /// Posts that keep a thread beyond the configured ones.
    slow: usize,
    /// Workers without a job.
    pub free: usize,
}

/// Threads for slow posts, for each configured worker.
const SLOW_FACTOR: usize = 7;

impl Pool {
    pub(super) fn start(
        workers: usize,
        net: &Arc<dyn Net>,
        opener: &Arc<dyn Opener>,
        events: &Sender<Event>,
    ) -> std::io::Result<Self> {
        let (jobs, queue) = bounded::<Job>(workers * (1 + SLOW_FACTOR));
        let (net, opener, events) = (Arc::clone(net), Arc::clone(opener), events.clone());
        let mut pool = Self { jobs, queue, net, opener, events, threads: Vec::new(), workers, slow: 0, free: workers };
        for _ in 0..workers {
            pool.add()?;
        }
        Ok(pool)
    }

    fn add(&mut self) -> std::io::Result<()> {
        let (net, opener) = (Arc::clone(&self.net), Arc::clone(&self.opener));
        let (queue, events) = (self.queue.clone(), self.events.clone());
        let thread = std::thread::Builder::new()
            .name(format!("delivery-{}", self.threads.len()))
            .stack_size(512 * 1024)
            .spawn(move || work(net.as_ref(), opener.as_ref(), &queue, &events))?;
        self.threads.push(thread);
        Ok(())
    }

    /// There are not as many slow posts yet as may be.
    pub(super) fn can_relieve(&self) -> bool {
        self.slow < self.workers * SLOW_FACTOR
    }

    /// A post has become slow: its worker's place is free again. False when that can't be.
    pub(super) fn relieve(&mut self) -> bool {
        if !self.can_relieve() {
            return false;
        }
        if self.threads.len() < self.workers + self.slow + 1
            && let Err(error) = self.add()
        {
            log::warn!(error:% = error; "no further delivery worker can be started");
            return false;
        }
        self.slow += 1;
        self.free += 1;
        true
    }

    /// A post has ended.
    pub(super) fn ended(&mut self, was_slow: bool) {
        if was_slow {
            self.slow = self.slow.saturating_sub(1);
        } else {
            self.free += 1;
        }
    }

    /// Hands a job over; the caller has checked `free`.
    pub(super) fn give(&mut self, job: Job) {
        self.free = self.free.saturating_sub(1);
        if self.jobs.send(job).is_err() {
            log::error!("every delivery worker has ended");
        }
    }

    pub(super) fn stop(self) {
        drop((self.jobs, self.queue));
        for thread in self.threads {
            if thread.join().is_err() {
                log::error!("a delivery worker ended with a panic");
            }
        }
    }
}

fn work(net: &dyn Net, opener: &dyn Opener, queue: &Receiver<Job>, events: &Sender<Event>) {
    for job in queue {
        let line = job.line;
        fault::point("before post");
        let result = catch_unwind(AssertUnwindSafe(|| deliver(net, opener, job)))
            .unwrap_or_else(|_| Err(PortalError::Net(NetError::Broken("internal error while posting".into()))));
        fault::point("after post");
        if events.send(Event::Done { line, result }).is_err() {
            return;
        }
    }
}

fn deliver(net: &dyn Net, opener: &dyn Opener, mut job: Job) -> Result<Receipt, PortalError> {
    job.packet.open(job.line, opener);
    match protocol(&job.portal.protocol) {
        Some(protocol) => protocol.deliver(net, &job.portal, &job.packet, job.timeout),
        None => Err(PortalError::Net(NetError::BadUrl(format!("unknown protocol `{}`", job.portal.protocol)))),
    }
}
