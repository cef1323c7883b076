//! The bytes of one connection, below TLS: deadlines by what the connection is doing, and a peer that is gone looks like
//! one that has said everything. Beside `front`, `listen` and `worded` the only file that knows of asynchronous input and
//! output.
//!
//! It lies below TLS because resets and full send buffers happen there. Above, a reset behind the last byte would end
//! the handshake that came with it, and an answer that waits in the TLS layer would have no deadline.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

use super::limits::Limits;

/// A connection's bytes, whatever carries them.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Between two requests.
const IDLE: usize = 0;
/// Within a head.
const HEAD: usize = 1;
/// A request is being read or answered; the service has its own deadlines.
const BUSY: usize = 2;
const PHASE: usize = 3;
const TURN: usize = 4;

/// What a connection is doing. The phase carries the number of the request, so that a second head which begins before
/// anybody looked is not taken for the first.
#[derive(Debug, Default)]
pub(super) struct Progress(AtomicUsize);

impl Progress {
    /// A head is complete.
    pub(super) fn begin(&self) {
        self.0.store(self.now() & !PHASE | BUSY, Ordering::Relaxed);
    }

    /// Its answer is known.
    pub(super) fn end(&self) {
        self.0.store((self.now() & !PHASE).wrapping_add(TURN), Ordering::Relaxed);
    }

    /// A head has begun and is not complete.
    pub(super) fn is_in_head(&self) -> bool {
        self.now() & PHASE == HEAD
    }

    fn heard(&self) {
        if self.now() & PHASE == IDLE {
            self.0.store(self.now() | HEAD, Ordering::Relaxed);
        }
    }

    fn now(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// A stream with deadlines, whose resets look like ends.
pub(super) struct Watched {
    inner: Box<dyn Stream>,
    progress: Arc<Progress>,
    /// The progress that `deadline` was set for; `None` sets it anew.
    timed: Option<usize>,
    deadline: Pin<Box<Sleep>>,
    write_deadline: Option<Pin<Box<Sleep>>>,
    /// The peer takes nothing any more: what is written goes nowhere, what it has sent is still read.
    gone: bool,
    idle: Duration,
    head: Duration,
    write: Duration,
}

impl Watched {
    pub(super) fn new(inner: Box<dyn Stream>, limits: &Limits, progress: Arc<Progress>) -> Self {
        Self {
            inner,
            timed: Some(progress.now()),
            progress,
            // The first request is due like a head: who connects has something to say.
            deadline: Box::pin(sleep(limits.header_timeout)),
            write_deadline: None,
            gone: false,
            idle: limits.idle_timeout,
            head: limits.header_timeout,
            write: limits.write_timeout,
        }
    }

    /// Sets the deadline anew when something has changed; true when it has passed.
    fn is_late(&mut self, context: &mut Context<'_>) -> bool {
        let now = self.progress.now();
        if self.timed != Some(now) {
            self.timed = Some(now);
            let wait = if now & PHASE == HEAD { self.head } else { self.idle };
            self.deadline.as_mut().reset(Instant::now() + wait);
        }
        now & PHASE != BUSY && self.deadline.as_mut().poll(context).is_ready()
    }
}

impl AsyncRead for Watched {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        match Pin::new(&mut self.inner).poll_read(context, buf) {
            Poll::Ready(Ok(())) => {
                if buf.filled().len() > before {
                    self.progress.heard();
                }
                // A byte now and then does not buy time: a head has one deadline from its first byte on.
                if self.is_late(context) {
                    Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
                } else {
                    Poll::Ready(Ok(()))
                }
            }
            // A peer that is gone has said what it had to say; a body cut short is noticed by its length.
            Poll::Ready(Err(error)) if is_gone(&error) => Poll::Ready(Ok(())),
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending if self.is_late(context) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

fn is_gone(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::NotConnected
    )
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if self.gone {
            return Poll::Ready(Ok(buf.len()));
        }
        match Pin::new(&mut self.inner).poll_write(context, buf) {
            Poll::Ready(Ok(written)) => {
                self.write_deadline = None;
                if self.progress.now() & PHASE == IDLE {
                    // An answer that is being taken is not idleness.
                    self.timed = None;
                }
                Poll::Ready(Ok(written))
            }
            // An error here would end the connection before the requests behind this answer were read.
            Poll::Ready(Err(error)) if is_gone(&error) => {
                self.gone = true;
                Poll::Ready(Ok(buf.len()))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => {
                let wait = self.write;
                let deadline = self.write_deadline.get_or_insert_with(|| Box::pin(sleep(wait)));
                if deadline.as_mut().poll(context).is_ready() {
                    return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
                }
                Poll::Pending
            }
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.inner).poll_shutdown(context) {
            Poll::Ready(Err(error)) if is_gone(&error) => Poll::Ready(Ok(())),
            other => other,
        }
    }
}

/// A TLS stream whose peer may close without saying so. Nothing hangs on the farewell: a body is whole by its length or
/// its last chunk, and a cut one is dropped.
pub(super) struct Unfarewelled<S>(pub(super) S);

impl<S: Stream> AsyncRead for Unfarewelled<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.0).poll_read(context, buf) {
            Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => Poll::Ready(Ok(())),
            other => other,
        }
    }
}

impl<S: Stream> AsyncWrite for Unfarewelled<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}
