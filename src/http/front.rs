//! The front: one thread on which hyper frames the requests of both ports, the only asynchronous file. It limits and
//! times everything a stranger controls and hands whole requests to the synchronous pool (`limits.md` A, decision).
//!
//! Three things are not hyper's defaults. A client that closes or resets after its last byte does not cancel its
//! request: on the reading side a reset looks like an end, and a half-closed connection is served. Waiting for a
//! request, for its head, for its body and for the answer to be taken have a deadline each. And an answer to a chunked
//! request closes the connection, so that no two parties can disagree about where the next one begins.

use std::convert::Infallible;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::thread::JoinHandle;
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Body, Bytes, Incoming};
use hyper::header::{CONNECTION, CONTENT_LENGTH, HeaderName, HeaderValue, TRANSFER_ENCODING};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpSocket, UnixListener};
use tokio::sync::{Semaphore, watch};
use tokio::time::{Sleep, sleep, timeout};
use tokio_rustls::TlsAcceptor;

use super::workers::{Gate, Workers};
use super::{Request, Response, Side};

pub use super::workers::Handler;

/// How long a stop waits for requests in flight.
const GRACE: Duration = Duration::from_secs(10);
/// Connections that may wait to be accepted: a burst of portals that reconnect must not be turned away.
const BACKLOG: u32 = 1024;
/// The pause after an accept that failed for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Everything a stranger could use up.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Threads of the pool.
    pub workers: usize,
    /// Open connections of both ports.
    pub max_connections: usize,
    /// Bytes of a body.
    pub max_body: usize,
    /// From the first byte of a head to its last; also the TLS handshake.
    pub header_timeout: Duration,
    /// The whole body.
    pub body_timeout: Duration,
    /// Between two requests of a connection.
    pub idle_timeout: Duration,
    /// Without any byte of the answer being taken.
    pub write_timeout: Duration,
    /// Bytes of a head.
    pub head_max: usize,
    /// Requests that may wait for a worker.
    pub queue: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            workers: 64,
            max_connections: 4096,
            max_body: 1024 * 1024,
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(75),
            write_timeout: Duration::from_secs(30),
            head_max: 16 * 1024,
            queue: 256,
        }
    }
}

/// Where a side listens.
#[derive(Clone, Debug)]
pub enum Bind {
    /// Address and port; port 0 takes any free one.
    Tcp(SocketAddr),
    /// A socket in the file system.
    Unix(PathBuf),
}

impl fmt::Display for Bind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Why a side can't be opened.
#[derive(Debug)]
pub struct FrontError {
    what: String,
    why: io::Error,
}

impl fmt::Display for FrontError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.why)
    }
}

impl std::error::Error for FrontError {}

/// Figures for `/metrics`.
#[derive(Debug, Default)]
pub struct FrontStats {
    /// Connections open now.
    pub open: AtomicUsize,
    /// Connections refused because of the cap.
    pub refused: AtomicU64,
    /// Requests answered 503 because every worker was busy.
    pub overloaded: AtomicU64,
    /// Requests whose body ended before its announced length: dropped, never parsed.
    pub truncated: AtomicU64,
}

/// The running front.
#[derive(Debug)]
pub struct Front {
    public: String,
    admin: String,
    stop: watch::Sender<bool>,
    thread: JoinHandle<()>,
    workers: Workers,
    stats: Arc<FrontStats>,
    sockets: Vec<PathBuf>,
}

enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Front {
    /// Binds both sides and starts the front's thread and the pool. TLS is for the public side only.
    pub fn start(
        public: &Bind,
        admin: &Bind,
        tls: Option<Arc<rustls::ServerConfig>>,
        limits: Limits,
        handler: &Handler,
    ) -> Result<Self, FrontError> {
        let failed = |what: &str| {
            let what = what.to_owned();
            move |why| FrontError { what, why }
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(failed("the front's thread can't be set up"))?;
        let open = |bind: &Bind| {
            let _inside = runtime.enter();
            listen(bind).map_err(failed(&format!("{bind} can't be listened on")))
        };
        let (public_listener, admin_listener) = (open(public)?, open(admin)?);
        let scheme = if tls.is_some() { "https" } else { "http" };
        let (public_name, admin_name) = (name(scheme, &public_listener), name("http", &admin_listener));
        let (gate, workers) =
            Workers::start(limits.workers, limits.queue, handler).map_err(failed("the workers can't be started"))?;
        let stats = Arc::new(FrontStats::default());
        let shared = Arc::new(Shared {
            gate,
            connections: Arc::new(Semaphore::new(limits.max_connections)),
            limits,
            stats: Arc::clone(&stats),
        });
        let (stop, stopped) = watch::channel(false);
        let acceptor = tls.map(TlsAcceptor::from);
        let thread = std::thread::Builder::new().name("front".into()).spawn(move || {
            runtime.block_on(async move {
                let admin = accept(Arc::clone(&shared), admin_listener, Side::Admin, None, stopped.clone());
                let admin = tokio::spawn(admin);
                accept(Arc::clone(&shared), public_listener, Side::Public, acceptor, stopped).await;
                let _ = admin.await;
                // Every connection holds a permit: all back means all done.
                let all = u32::try_from(shared.limits.max_connections).unwrap_or(u32::MAX);
                let _ = timeout(GRACE, shared.connections.acquire_many(all)).await;
            });
        });
        let sockets = [public, admin]
            .into_iter()
            .filter_map(|bind| match bind {
                Bind::Unix(path) => Some(path.clone()),
                Bind::Tcp(_) => None,
            })
            .collect();
        Ok(Self {
            public: public_name,
            admin: admin_name,
            stop,
            thread: thread.map_err(failed("the front's thread can't be started"))?,
            workers,
            stats,
            sockets,
        })
    }

    /// `http://127.0.0.1:8080`, with the real port.
    pub fn public_addr(&self) -> String {
        self.public.clone()
    }

    /// The admin side's.
    pub fn admin_addr(&self) -> String {
        self.admin.clone()
    }

    /// Figures for `/metrics`.
    pub fn stats(&self) -> &Arc<FrontStats> {
        &self.stats
    }

    /// Takes no more connections, lets requests in flight finish, joins every thread.
    pub fn stop(self) {
        let _ = self.stop.send(true);
        if self.thread.join().is_err() {
            log::error!("the front ended with a panic");
        }
        self.workers.join();
        for path in self.sockets {
            let _ = std::fs::remove_file(path);
        }
    }
}

fn listen(bind: &Bind) -> io::Result<Listener> {
    match bind {
        Bind::Tcp(address) => {
            let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
            // A restart must not wait for the last connections' time to run out.
            socket.set_reuseaddr(true)?;
            socket.bind(*address)?;
            Ok(Listener::Tcp(socket.listen(BACKLOG)?))
        }
        Bind::Unix(path) => {
            // A socket that nobody listens on is what a killed server left behind.
            if std::os::unix::net::UnixStream::connect(path).is_err() {
                match std::fs::remove_file(path) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    Ok(()) | Err(_) => (),
                }
            }
            Ok(Listener::Unix(UnixListener::bind(path)?))
        }
    }
}

fn name(scheme: &str, listener: &Listener) -> String {
    match listener {
        Listener::Tcp(listener) => {
            listener.local_addr().map_or_else(|_| String::new(), |address| format!("{scheme}://{address}"))
        }
        Listener::Unix(listener) => {
            let address = listener.local_addr().ok();
            let path = address.as_ref().and_then(|address| address.as_pathname());
            format!("unix:{}", path.map(|path| path.display().to_string()).unwrap_or_default())
        }
    }
}

struct Shared {
    gate: Gate,
    connections: Arc<Semaphore>,
    limits: Limits,
    stats: Arc<FrontStats>,
}

/// A connection's bytes, whatever carries them.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

async fn accept(
    shared: Arc<Shared>,
    listener: Listener,
    side: Side,
    tls: Option<TlsAcceptor>,
    mut stopped: watch::Receiver<bool>,
) {
    loop {
        let accepted = tokio::select! {
            _ = stopped.changed() => return,
            accepted = next(&listener) => accepted,
        };
        match accepted {
            Ok((stream, peer)) => admit(&shared, stream, peer, side, tls.clone(), stopped.clone()),
            // No descriptors, or a client that was gone before it was accepted: never the end of listening.
            Err(error) => {
                log::warn!(error:% = error; "a connection could not be accepted");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn next(listener: &Listener) -> io::Result<(Box<dyn Stream>, Option<IpAddr>)> {
    match listener {
        Listener::Tcp(listener) => {
            let (stream, peer) = listener.accept().await?;
            let _ = stream.set_nodelay(true);
            Ok((Box::new(stream), Some(peer.ip())))
        }
        Listener::Unix(listener) => Ok((Box::new(listener.accept().await?.0), None)),
    }
}

fn admit(
    shared: &Arc<Shared>,
    mut stream: Box<dyn Stream>,
    peer: Option<IpAddr>,
    side: Side,
    tls: Option<TlsAcceptor>,
    stopped: watch::Receiver<bool>,
) {
    let shared = Arc::clone(shared);
    let Ok(permit) = Arc::clone(&shared.connections).try_acquire_owned() else {
        shared.stats.refused.fetch_add(1, Ordering::Relaxed);
        if tls.is_none() {
            // One try, without waiting: a refused client must cost nothing.
            const BUSY: &[u8] =
                b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nretry-after: 1\r\nconnection: close\r\n\r\n";
            let mut context = Context::from_waker(std::task::Waker::noop());
            let _ = Pin::new(&mut stream).poll_write(&mut context, BUSY);
        }
        return;
    };
    tokio::spawn(async move {
        shared.stats.open.fetch_add(1, Ordering::Relaxed);
        match tls {
            None => serve(&shared, stream, peer, side, stopped).await,
            Some(acceptor) => match timeout(shared.limits.header_timeout, acceptor.accept(stream)).await {
                Ok(Ok(stream)) => serve(&shared, Box::new(stream), peer, side, stopped).await,
                Ok(Err(error)) => log::debug!(error:% = error; "a TLS handshake failed"),
                Err(_) => log::debug!("a TLS handshake took too long"),
            },
        }
        shared.stats.open.fetch_sub(1, Ordering::Relaxed);
        drop(permit);
    });
}

async fn serve(
    shared: &Arc<Shared>,
    stream: Box<dyn Stream>,
    peer: Option<IpAddr>,
    side: Side,
    mut stopped: watch::Receiver<bool>,
) {
    let phase = Arc::new(AtomicUsize::new(IDLE));
    let watched = Watched::new(stream, &shared.limits, Arc::clone(&phase));
    let service = service_fn(|request: hyper::Request<Incoming>| {
        let (shared, phase) = (Arc::clone(shared), Arc::clone(&phase));
        async move {
            phase.store(BUSY, Ordering::Relaxed);
            let response = answer(&shared, request, peer, side).await;
            phase.store(IDLE, Ordering::Relaxed);
            Ok::<_, Infallible>(response)
        }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .half_close(true)
        .max_buf_size(shared.limits.head_max.max(8192))
        .serve_connection(TokioIo::new(watched), service);
    let mut connection = std::pin::pin!(connection);
    let served = tokio::select! {
        served = connection.as_mut() => served,
        _ = stopped.changed() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = served {
        log::debug!(error:% = error; "a connection ended early");
    }
}

/// One request from its head to its answer.
async fn answer(
    shared: &Shared,
    request: hyper::Request<Incoming>,
    peer: Option<IpAddr>,
    side: Side,
) -> hyper::Response<Full<Bytes>> {
    let chunked = request.headers().contains_key(TRANSFER_ENCODING);
    let mut response = match read(shared, request, peer, side).await {
        Ok(request) => {
            if let Some(answered) = shared.gate.give(request) {
                answered.await.unwrap_or_else(|_| {
                    closing(Response::error(503, "STOPPING", "the server is stopping").with("retry-after", "5"))
                })
            } else {
                shared.stats.overloaded.fetch_add(1, Ordering::Relaxed);
                Response::error(503, "OVERLOADED", "too many requests at once").with("retry-after", "1")
            }
        }
        Err(response) => response,
    };
    response.close |= chunked;
    write(response)
}

fn closing(mut response: Response) -> Response {
    response.close = true;
    response
}

/// Checks the framing and reads the body under its limits.
async fn read(
    shared: &Shared,
    request: hyper::Request<Incoming>,
    peer: Option<IpAddr>,
    side: Side,
) -> Result<Request, Response> {
    let refuse = |status, code, message| Err(closing(Response::error(status, code, message)));
    let (head, body) = request.into_parts();
    let has_length = head.headers.contains_key(CONTENT_LENGTH);
    let has_encoding = head.headers.contains_key(TRANSFER_ENCODING);
    if has_length && has_encoding {
        return refuse(400, "FRAMING", "a request has either a length or an encoding");
    }
    if !has_length && !has_encoding && matches!(head.method.as_str(), "POST" | "PUT" | "PATCH") {
        return refuse(411, "LENGTH_REQUIRED", "say how long the body is");
    }
    let announced = body.size_hint().exact();
    let limit = shared.limits.max_body;
    if announced.is_some_and(|length| length > limit as u64) {
        return refuse(413, "TOO_LARGE", "the body is larger than this server takes");
    }
    let body = match timeout(shared.limits.body_timeout, Limited::new(body, limit).collect()).await {
        Ok(Ok(collected)) => collected.to_bytes(),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => {
            return refuse(413, "TOO_LARGE", "the body is larger than this server takes");
        }
        Ok(Err(_)) => {
            shared.stats.truncated.fetch_add(1, Ordering::Relaxed);
            log::warn!(path = super::shown_path(head.uri.path()); "a body ended before its announced length and was dropped");
            return refuse(400, "TRUNCATED", "the body ended too early");
        }
        Err(_) => return refuse(408, "TOO_SLOW", "the body took too long"),
    };
    let headers = head
        .headers
        .iter()
        .map(|(name, value)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect();
    Ok(Request {
        side,
        method: head.method.as_str().to_owned(),
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        headers,
        body: body.into(),
        peer,
    })
}

fn write(response: Response) -> hyper::Response<Full<Bytes>> {
    let mut out = hyper::Response::new(Full::new(Bytes::from(response.body)));
    *out.status_mut() =
        hyper::StatusCode::from_u16(response.status).unwrap_or(hyper::StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in response.headers {
        // A value with a line break in it would be a mistake of ours: leave it out rather than split the answer.
        if let Ok(value) = HeaderValue::from_str(&value) {
            out.headers_mut().insert(HeaderName::from_static(name), value);
        }
    }
    if response.close {
        out.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    out
}

/// Between two requests.
const IDLE: usize = 0;
/// Within a head.
const HEAD: usize = 1;
/// A request is being read or answered; the service has its own deadlines.
const BUSY: usize = 2;

/// A stream with deadlines by phase, whose resets look like ends.
struct Watched {
    inner: Box<dyn Stream>,
    phase: Arc<AtomicUsize>,
    timed: usize,
    deadline: Pin<Box<Sleep>>,
    write_deadline: Option<Pin<Box<Sleep>>>,
    idle: Duration,
    head: Duration,
    write: Duration,
}

impl Watched {
    fn new(inner: Box<dyn Stream>, limits: &Limits, phase: Arc<AtomicUsize>) -> Self {
        Self {
            inner,
            phase,
            timed: IDLE,
            // The first request is due like a head: who connects has something to say.
            deadline: Box::pin(sleep(limits.header_timeout)),
            write_deadline: None,
            idle: limits.idle_timeout,
            head: limits.header_timeout,
            write: limits.write_timeout,
        }
    }

    /// Sets the deadline anew when the phase has changed; true when it has passed.
    fn is_late(&mut self, context: &mut Context<'_>) -> bool {
        let phase = self.phase.load(Ordering::Relaxed);
        if phase != self.timed {
            self.timed = phase;
            let wait = if phase == HEAD { self.head } else { self.idle };
            self.deadline.as_mut().reset(tokio::time::Instant::now() + wait);
        }
        phase != BUSY && self.deadline.as_mut().poll(context).is_ready()
    }
}

impl AsyncRead for Watched {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        match Pin::new(&mut self.inner).poll_read(context, buf) {
            Poll::Ready(Ok(())) => {
                if buf.filled().len() > before {
                    let _ = self.phase.compare_exchange(IDLE, HEAD, Ordering::Relaxed, Ordering::Relaxed);
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
            | io::ErrorKind::UnexpectedEof
    )
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write(context, buf);
        if written.is_ready() {
            self.write_deadline = None;
            return written;
        }
        let wait = self.write;
        let deadline = self.write_deadline.get_or_insert_with(|| Box::pin(sleep(wait)));
        if deadline.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Poll::Pending
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}
