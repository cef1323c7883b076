//! The delivery workers: threads that make the blocking calls for the sender. They decide nothing.

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

/// The threads and the way to them. The channel holds as many jobs as there are workers, and the sender counts its
/// jobs, so that it never waits here.
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
        net: &Arc<dyn Net>,
        opener: &Arc<dyn Opener>,
        events: &Sender<Event>,
    ) -> std::io::Result<Self> {
        let (jobs, queue) = bounded::<Job>(workers);
        let threads = (0..workers)
            .map(|number| {
                let (net, opener) = (Arc::clone(net), Arc::clone(opener));
                let (queue, events) = (queue.clone(), events.clone());
                std::thread::Builder::new()
                    .name(format!("delivery-{number}"))
                    .stack_size(512 * 1024)
                    .spawn(move || work(net.as_ref(), opener.as_ref(), &queue, &events))
            })
            .collect::<std::io::Result<Vec<_>>>()?;
        Ok(Self { jobs, threads, free: workers })
    }

    /// Hands a job over; the caller has checked `free`.
    pub(super) fn give(&mut self, job: Job) {
        self.free = self.free.saturating_sub(1);
        if self.jobs.send(job).is_err() {
            log::error!("every delivery worker has ended");
        }
    }

    pub(super) fn stop(self) {
        drop(self.jobs);
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
