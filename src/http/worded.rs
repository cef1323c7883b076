//! Words for what hyper refuses by itself. A head that it can't read it answers with a bare status, and one that takes
//! too long with nothing; here both get the error shape of the public side (`interface.md` §3). It lies above TLS, where
//! the bytes are those of HTTP.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::Response;
use super::limits::FrontStats;
use super::watched::{Progress, Stream};

/// A stream that says in words what hyper says in numbers.
pub(super) struct Worded<S> {
    inner: S,
    progress: Arc<Progress>,
    stats: Arc<FrontStats>,
    /// The request line of the present head has ended.
    past_line: bool,
    /// Words that the stream has not taken yet.
    rest: Vec<u8>,
}

impl<S: Stream> Worded<S> {
    pub(super) fn new(inner: S, progress: Arc<Progress>, stats: Arc<FrontStats>) -> Self {
        Self { inner, progress, stats, past_line: false, rest: Vec::new() }
    }

    /// The answer as bytes; the connection ends behind it.
    fn refuse(&mut self, status: u16, reason: &str, code: &str, message: &str) {
        self.stats.reject(status);
        let body = String::from_utf8(Response::error(status, code, message).body).unwrap_or_default();
        let length = body.len();
        self.rest = format!(
            "HTTP/1.1 {status} {reason}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\
             connection: close\r\n\r\n{body}"
        )
        .into_bytes();
    }

    /// Writes what is left of the words.
    fn poll_rest(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.rest.is_empty() {
            match Pin::new(&mut self.inner).poll_write(context, &self.rest) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(written)) => drop(self.rest.drain(..written.min(self.rest.len()))),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// Whether hyper wrote this by itself: our own refusals always say what they carry.
fn status_alone(buf: &[u8]) -> Option<u16> {
    let text = std::str::from_utf8(buf).ok()?;
    let rest = text.strip_prefix("HTTP/1.1 ")?;
    let status = rest.get(..3)?.parse().ok().filter(|status| matches!(status, 400 | 414 | 431))?;
    (text.ends_with("\r\n\r\n") && !text.contains("content-type:")).then_some(status)
}

impl<S: Stream> AsyncRead for Worded<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.inner).poll_read(context, buf);
        match &read {
            Poll::Ready(Ok(())) if self.progress.is_in_head() => {
                self.past_line |= buf.filled().get(before..).is_some_and(|new| new.contains(&b'\n'));
            }
            Poll::Ready(Ok(())) => self.past_line = false,
            Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::TimedOut && self.progress.is_in_head() => {
                // One try, without waiting: nobody owes a slow client more.
                self.refuse(408, "Request Timeout", "TOO_SLOW", "the request took too long to begin");
                let _ = self.poll_rest(context);
                let _ = Pin::new(&mut self.inner).poll_flush(context);
            }
            Poll::Ready(Err(_)) | Poll::Pending => (),
        }
        read
    }
}

impl<S: Stream> AsyncWrite for Worded<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.poll_rest(context) {
            Poll::Ready(Ok(())) => (),
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            Poll::Pending => return Poll::Pending,
        }
        let Some(status) = status_alone(buf) else { return Pin::new(&mut self.inner).poll_write(context, buf) };
        match status {
            400 => self.refuse(400, "Bad Request", "MALFORMED", "this is not a request of HTTP/1.1"),
            431 if self.past_line => {
                let reason = "Request Header Fields Too Large";
                self.refuse(431, reason, "HEAD_TOO_LARGE", "the headers are longer than this server takes");
            }
            _ => self.refuse(414, "URI Too Long", "ADDRESS_TOO_LONG", "the address is longer than this server takes"),
        }
        // Taken as a whole; what does not fit goes out before anything else.
        match self.poll_rest(context) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Ready(Ok(())) | Poll::Pending => Poll::Ready(Ok(buf.len())),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.poll_rest(context) {
            Poll::Ready(Ok(())) => Pin::new(&mut self.inner).poll_flush(context),
            other => other,
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.poll_rest(context) {
            Poll::Ready(Ok(())) => Pin::new(&mut self.inner).poll_shutdown(context),
            other => other,
        }
    }
}
