//! The front: one thread on which hyper frames the requests of both ports. It limits and times everything a stranger
//! controls and hands whole requests to the synchronous pool (`limits.md` A, decision).
//!
//! Three things are not hyper's defaults. A client that closes or resets after its last byte does not cancel its
//! request: a half-closed connection is served, and below everything else a reset looks like an end (`watched`). Waiting
//! for a request, for its head, for its body and for the answer to be taken have a deadline each. And an answer to a
//! chunked request closes the connection, so that no two parties can disagree about where the next one begins: hyper
//! hides a `Content-Length` that stood beside the encoding, so such a request can't be told from a chunked one.

use std::convert::Infallible;
use std::io;
use std::net::IpAddr;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Context;
use std::thread::JoinHandle;
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Body, Bytes, Incoming};
use hyper::header::{CONNECTION, CONTENT_LENGTH, HeaderName, HeaderValue, TRANSFER_ENCODING};
use hyper::service::service_fn;
use hyper::{Method, Version};
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWrite;
use tokio::net::{TcpListener, TcpSocket, UnixListener};
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::TlsAcceptor;

use super::watched::{Progress, Stream, Unfarewelled, Watched};
use super::workers::{Gate, Workers};
use super::{Request, Response, Side};

pub use super::limits::{Bind, FrontError, FrontStats, Limits};
pub use super::workers::Handler;

/// How long a stop waits for requests in flight.
const GRACE: Duration = Duration::from_secs(10);
/// How long a stop waits for a head or a handshake that has begun.
const HEAD_GRACE: Duration = Duration::from_secs(1);
/// Connections that may wait to be accepted: a burst of portals that reconnect must not be turned away.
const BACKLOG: u32 = 1024;
/// The pause after an accept that failed for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Between two warnings about that.
const TELL_EVERY: Duration = Duration::from_secs(30);

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
        let stats = Arc::new(FrontStats::default());
        let (gate, workers) =
            Workers::start(limits.workers, limits.max_connections, limits.waiting_bytes, &stats, handler)
                .map_err(failed("the workers can't be started"))?;
        let shared = Arc::new(Shared {
            gate,
            connections: Arc::new(Semaphore::new(limits.max_connections)),
            limits,
            stats: Arc::clone(&stats),
            busy: busy(),
        });
        let (stop, stopped) = watch::channel(false);
        let acceptor = tls.map(TlsAcceptor::from);
        let thread = std::thread::Builder::new().name("front".into()).spawn(move || {
            runtime.block_on(async move {
                // In one task: a panic of either side ends the thread, and with it the process, instead of one port.
                tokio::join!(
                    accept(Arc::clone(&shared), admin_listener, Side::Admin, None, stopped.clone()),
                    accept(Arc::clone(&shared), public_listener, Side::Public, acceptor, stopped),
                );
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
        // Before the threads are waited for: a successor may want to listen there.
        for path in self.sockets {
            let _ = std::fs::remove_file(path);
        }
        if self.thread.join().is_err() {
            log::error!("the front ended with a panic");
        }
        self.workers.join();
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
            clear(path)?;
            Ok(Listener::Unix(UnixListener::bind(path)?))
        }
    }
}

/// A socket that nobody listens on is what a killed server left behind. Anything else of that name is somebody's file:
/// a slip in the configuration must not delete it.
fn clear(path: &Path) -> io::Result<()> {
    match std::fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => match std::os::unix::net::UnixStream::connect(path) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => std::fs::remove_file(path),
            Ok(_) | Err(_) => Ok(()),
        },
        Ok(_) => Err(io::Error::new(io::ErrorKind::AlreadyExists, "there is a file of that name that is no socket")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
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
    busy: String,
}

/// What a connection above the cap gets, made once.
fn busy() -> String {
    let body = Response::error(503, "OVERLOADED", "too many connections at once").body;
    let body = String::from_utf8_lossy(&body);
    let length = body.len();
    format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\
         retry-after: 1\r\nconnection: close\r\n\r\n{body}"
    )
}

async fn accept(
    shared: Arc<Shared>,
    listener: Listener,
    side: Side,
    tls: Option<TlsAcceptor>,
    mut stopped: watch::Receiver<bool>,
) {
    let mut trouble = Trouble::default();
    loop {
        let accepted = tokio::select! {
            _ = stopped.changed() => return,
            accepted = next(&listener) => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                trouble.over();
                crate::fault::point("accepted");
                admit(&shared, stream, peer, side, tls.clone(), stopped.clone());
            }
            // No descriptors, or a client that was gone before it was accepted: never the end of listening.
            Err(error) => {
                trouble.tell(&error);
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Accepting that fails: said once a while, not twenty times a second, and said when it is over.
#[derive(Default)]
struct Trouble {
    failed: u64,
    last: Option<Instant>,
    told: Option<Instant>,
}

impl Trouble {
    fn tell(&mut self, error: &io::Error) {
        let now = Instant::now();
        self.failed = self.failed.saturating_add(1);
        self.last = Some(now);
        if self.told.is_none_or(|told| now.duration_since(told) >= TELL_EVERY) {
            self.told = Some(now);
            log::warn!(attempts = self.failed, error:% = error; "a connection could not be accepted");
        }
    }

    /// Descriptors come and go one by one: only a while without failures counts as recovery.
    fn over(&mut self) {
        if self.last.is_some_and(|last| last.elapsed() >= 4 * ACCEPT_PAUSE) {
            log::info!(attempts = self.failed; "connections are accepted again");
            (self.failed, self.last) = (0, None);
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
    mut stopped: watch::Receiver<bool>,
) {
    let shared = Arc::clone(shared);
    let Ok(permit) = Arc::clone(&shared.connections).try_acquire_owned() else {
        shared.stats.refused.fetch_add(1, Ordering::Relaxed);
        if tls.is_none() {
            // One try, without waiting: a refused client must cost nothing.
            let mut context = Context::from_waker(std::task::Waker::noop());
            let _ = Pin::new(&mut stream).poll_write(&mut context, shared.busy.as_bytes());
        }
        return;
    };
    tokio::spawn(async move {
        shared.stats.open.fetch_add(1, Ordering::Relaxed);
        let progress = Arc::new(Progress::default());
        let stream = Watched::new(stream, &shared.limits, Arc::clone(&progress));
        let from = Source { peer, side, progress };
        match tls {
            None => serve(&shared, stream, from, stopped).await,
            Some(acceptor) => {
                let accepted = tokio::select! {
                    accepted = timeout(shared.limits.header_timeout, acceptor.accept(stream)) => accepted,
                    () = async { stopping(&mut stopped).await; sleep(HEAD_GRACE).await } => Ok(Err(io::Error::other("the server is stopping"))),
                };
                match accepted {
                    Ok(Ok(stream)) => serve(&shared, Unfarewelled(stream), from, stopped).await,
                    Ok(Err(error)) => log::debug!(error:% = error; "a TLS handshake failed"),
                    Err(_) => log::debug!("a TLS handshake took too long"),
                }
            }
        }
        shared.stats.open.fetch_sub(1, Ordering::Relaxed);
        drop(permit);
    });
}

/// Where a connection's requests come from.
struct Source {
    peer: Option<IpAddr>,
    side: Side,
    progress: Arc<Progress>,
}

async fn serve(shared: &Shared, stream: impl Stream, from: Source, mut stopped: watch::Receiver<bool>) {
    let from = &from;
    let service = service_fn(async |request: hyper::Request<Incoming>| {
        from.progress.begin();
        let response = answer(shared, request, from).await;
        from.progress.end();
        Ok::<_, Infallible>(response)
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .half_close(true)
        .max_buf_size(shared.limits.head_max.max(8192))
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let served = tokio::select! {
        // What has arrived is read before the stop is heard.
        biased;
        served = connection.as_mut() => served,
        () = stopping(&mut stopped) => {
            connection.as_mut().graceful_shutdown();
            loop {
                tokio::select! {
                    served = connection.as_mut() => break served,
                    () = sleep(HEAD_GRACE) => if from.progress.is_in_head() {
                        return;
                    },
                }
            }
        }
    };
    if let Err(error) = served {
        // These hyper has answered by itself, without a body.
        if error.is_parse() {
            shared.stats.reject(if error.is_parse_too_large() { 431 } else { 400 });
        }
        log::debug!(error:% = error; "a connection ended early");
    }
}

/// Ends when a stop is asked for.
async fn stopping(stopped: &mut watch::Receiver<bool>) {
    let _ = stopped.wait_for(|stopped| *stopped).await;
}

/// One request from its head to its answer.
async fn answer(shared: &Shared, request: hyper::Request<Incoming>, from: &Source) -> hyper::Response<Full<Bytes>> {
    // HTTP/1.0 asks to keep a connection in a way that proxies pass on by mistake; portals of that age read to the end.
    let close = request.headers().contains_key(TRANSFER_ENCODING) || request.version() == Version::HTTP_10;
    let mut response = match read(shared, request, from).await {
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
        Err(response) => {
            shared.stats.reject(response.status);
            response
        }
    };
    response.close |= close;
    write(response)
}

fn closing(mut response: Response) -> Response {
    response.close = true;
    response
}

/// Checks the framing and reads the body under its limits.
async fn read(shared: &Shared, request: hyper::Request<Incoming>, from: &Source) -> Result<Request, Response> {
    let refuse = |status, code, message| Err(closing(Response::error(status, code, message)));
    let (head, body) = request.into_parts();
    if head.method == Method::CONNECT {
        let refused = Response::error(405, "METHOD_NOT_ALLOWED", "this server is no proxy");
        return Err(closing(refused.with("allow", "GET, HEAD, POST")));
    }
    let mut encodings = head.headers.get_all(TRANSFER_ENCODING).iter();
    let encoding = encodings.next();
    if encodings.next().is_some() || encoding.is_some_and(|value| !value.as_bytes().eq_ignore_ascii_case(b"chunked")) {
        return refuse(400, "FRAMING", "only the encoding \"chunked\" is understood");
    }
    let is_framed = encoding.is_some() || head.headers.contains_key(CONTENT_LENGTH);
    if !is_framed && matches!(head.method.as_str(), "POST" | "PUT" | "PATCH") {
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
        side: from.side,
        method: head.method.as_str().to_owned(),
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        headers,
        body: body.into(),
        peer: from.peer,
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
