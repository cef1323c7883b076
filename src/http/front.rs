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
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Context;
use std::thread::JoinHandle;
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Body, Bytes, Incoming};
use hyper::header::{CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, HOST, HeaderName, HeaderValue, TRANSFER_ENCODING};
use hyper::service::service_fn;
use hyper::{Method, Version};
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWrite;
use tokio::sync::{Semaphore, watch};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use super::listen::{ACCEPT_PAUSE, Listener, Trouble, listen, name, next};
use super::watched::{Progress, Stream, Unfarewelled, Watched};
use super::worded::Worded;
use super::workers::{Gate, Workers};
use super::{Request, Response, Side};

pub use super::limits::{Bind, FrontError, FrontStats, Limits};
pub use super::workers::{Answer, Handler};

/// How long a stop waits for requests in flight.
const GRACE: Duration = Duration::from_secs(10);
/// How long a stop waits for a head or a handshake that has begun.
const HEAD_GRACE: Duration = Duration::from_secs(1);
/// A request that no worker has begun by then calls one more: those that are awake may be held up.
const NUDGE_AFTER: Duration = Duration::from_millis(10);
/// Open connections of the admin side.
const ADMIN_CONNECTIONS: usize = 64;

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
        let open = |bind: &Bind, side: Side| {
            let _inside = runtime.enter();
            listen(bind, side).map_err(failed(&format!("{bind} can't be listened on")))
        };
        let (public_listener, admin_listener) = (open(public, Side::Public)?, open(admin, Side::Admin)?);
        let scheme = if tls.is_some() { "https" } else { "http" };
        let (public_name, admin_name) = (name(scheme, &public_listener), name("http", &admin_listener));
        let stats = Arc::new(FrontStats::default());
        let (gate, workers) =
            Workers::start(limits.workers, limits.max_connections, limits.waiting_bytes, &stats, handler)
                .map_err(failed("the workers can't be started"))?;
        let shared = Arc::new(Shared {
            gate,
            connections: Arc::new(Semaphore::new(limits.max_connections)),
            admin: Arc::new(Semaphore::new(ADMIN_CONNECTIONS)),
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
                let all = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
                let _ = timeout(GRACE, async {
                    let _ = shared.connections.acquire_many(all(shared.limits.max_connections)).await;
                    let _ = shared.admin.acquire_many(all(ADMIN_CONNECTIONS)).await;
                })
                .await;
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

struct Shared {
    gate: Gate,
    connections: Arc<Semaphore>,
    /// A flood of the public side must not hide what is going on from the administrator.
    admin: Arc<Semaphore>,
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

fn admit(
    shared: &Arc<Shared>,
    mut stream: Box<dyn Stream>,
    peer: Option<IpAddr>,
    side: Side,
    tls: Option<TlsAcceptor>,
    mut stopped: watch::Receiver<bool>,
) {
    let shared = Arc::clone(shared);
    let room = if side == Side::Public { &shared.connections } else { &shared.admin };
    let Ok(permit) = Arc::clone(room).try_acquire_owned() else {
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
    let stream = Worded::new(stream, Arc::clone(&from.progress), Arc::clone(&shared.stats));
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
    let path = request.uri().path().to_owned();
    let mut response = match handled(shared, request, from).await {
        Ok(response) => response,
        Err(response) => super::service::refused(&path, response),
    };
    response.close |= close;
    write(response)
}

/// The handler's answer; the front's own for what did not get so far.
async fn handled(shared: &Shared, request: hyper::Request<Incoming>, from: &Source) -> Result<Response, Response> {
    let request = read(shared, request, from).await.inspect_err(|response| shared.stats.reject(response.status))?;
    let pace = super::service::pace(&request);
    let Some(mut given) = shared.gate.give(request, pace) else {
        shared.stats.overloaded.fetch_add(1, Ordering::Relaxed);
        return Err(Response::error(503, "OVERLOADED", "too many requests at once").with("retry-after", "1"));
    };
    let answered = if let Ok(answered) = timeout(NUDGE_AFTER, &mut given.answered).await {
        answered
    } else {
        shared.gate.nudge(&given);
        given.answered.await
    };
    answered.map_err(|_| closing(Response::error(503, "STOPPING", "the server is stopping").with("retry-after", "5")))
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
    // Nothing here looks at the name, but a proxy in front may: it must not be able to read another one than we do.
    if head.version == Version::HTTP_11 && head.headers.get_all(HOST).iter().count() != 1 {
        return refuse(400, "FRAMING", "a request names its host once");
    }
    if head.headers.get(CONTENT_ENCODING).is_some_and(|value| !value.as_bytes().eq_ignore_ascii_case(b"identity")) {
        let refused = Response::error(415, "ENCODING_UNSUPPORTED", "bodies are taken as they are, not compressed");
        return Err(closing(refused.with("accept-encoding", "identity")));
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
