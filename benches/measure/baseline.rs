//! Servers that do less than ours: they store what they are sent through the same store writer, unread. Each runs as a
//! process of its own, this program started again, so that memory and processor time are counted alike.

use std::convert::Infallible;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use trunkline::clock::SystemClock;
use trunkline::store::{Store, Tx, Writer};

use crate::support::fill;

/// The hidden first word of the command line.
const WORD: &str = "--baseline";
const WAIT: Duration = Duration::from_secs(8);
/// As many as the real server's pool has.
const THREADS: usize = 64;

/// Which one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// hyper on one thread; the request waits for its commit without a thread of its own, which costs less than the
    /// pool that code with blocking calls needs.
    Hyper,
    /// The same, with a pool of 64 threads behind the front, as the real server has.
    HyperPool,
    /// tiny_http with 64 threads.
    TinyHttp,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Hyper => "bare hyper",
            Self::HyperPool => "hyper + 64 threads",
            Self::TinyHttp => "tiny_http",
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Hyper => "hyper",
            Self::HyperPool => "hyper-pool",
            Self::TinyHttp => "tiny-http",
        }
    }
}

/// What a command line asks for that was made by [`Baseline::start`].
pub fn named(words: &[String]) -> Option<impl FnOnce() + use<>> {
    let [word, kind, folder] = words else { return None };
    let kinds = [Kind::Hyper, Kind::HyperPool, Kind::TinyHttp];
    let kind = kinds.into_iter().find(|one| word == WORD && one.word() == kind)?;
    let folder = folder.clone();
    Some(move || serve(kind, Path::new(&folder)))
}

/// A running one; killed when dropped.
pub struct Baseline {
    child: Child,
    pub address: SocketAddr,
    _folder: tempfile::TempDir,
}

impl Baseline {
    pub fn start(kind: Kind, parent: &Path) -> Self {
        let folder = tempfile::tempdir_in(parent).unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([WORD, kind.word()])
            .arg(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { child, address: line.trim().parse().unwrap(), _folder: folder }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Baseline {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn serve(kind: Kind, folder: &Path) {
    let store = Store::open(folder).unwrap();
    fill::lines(&store, &["http://127.0.0.1:9".to_owned()], 1);
    // The thread lives as long as the process.
    let (writer, _thread) = Writer::start(store.writing().unwrap(), Arc::new(SystemClock::new()), || ()).unwrap();
    match kind {
        Kind::Hyper => hyper_front(move |body, answer| {
            writer.submit(
                move |tx| insert(tx, &body),
                move |stored| {
                    // An error is a client that went away.
                    let _ = answer.send(stored.is_ok());
                },
            );
        }),
        Kind::HyperPool => {
            let (give, take) = crossbeam_channel::bounded::<(Bytes, Answer)>(4096);
            for _ in 0..THREADS {
                let (take, writer) = (take.clone(), writer.clone());
                std::thread::spawn(move || {
                    for (body, answer) in take {
                        let stored = writer.write(WAIT, move |tx| insert(tx, &body));
                        let _ = answer.send(stored.is_ok());
                    }
                });
            }
            hyper_front(move |body, answer| give.send((body, answer)).unwrap());
        }
        Kind::TinyHttp => tiny_http_front(&writer),
    }
}

/// The least that a durable queue does with a message.
pub fn insert(tx: &mut Tx<'_>, body: &[u8]) -> rusqlite::Result<()> {
    const INSERT: &str = "
        insert into queue (line_id, connector, command, chat, message, files, body, accepted_at)
        values (1, 'botframework.webchat', 'message', 'conversation', 'id', 0, ?1, ?2)";
    tx.db().prepare_cached(INSERT)?.execute((body, tx.now.0)).map(drop)
}

type Answer = tokio::sync::oneshot::Sender<bool>;

fn hyper_front(store: impl Fn(Bytes, Answer) + 'static) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let store = std::rc::Rc::new(store);
    tokio::task::LocalSet::new().block_on(&runtime, async move {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        println!("{}", listener.local_addr().unwrap());
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            let store = std::rc::Rc::clone(&store);
            tokio::task::spawn_local(async move {
                let service = service_fn(async |request: Request<Incoming>| {
                    if request.method() == hyper::Method::GET {
                        return Ok(hyper::Response::new(Empty::<Bytes>::new()));
                    }
                    let body = request.into_body().collect().await.unwrap().to_bytes();
                    let (answer, answered) = tokio::sync::oneshot::channel();
                    store(body, answer);
                    let mut response = hyper::Response::new(Empty::<Bytes>::new());
                    if !answered.await.unwrap_or(false) {
                        *response.status_mut() = hyper::StatusCode::SERVICE_UNAVAILABLE;
                    }
                    Ok::<_, Infallible>(response)
                });
                // An error here is a client that went away.
                let _ =
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
}

fn tiny_http_front(writer: &Writer) {
    let server = Arc::new(tiny_http::Server::http("127.0.0.1:0").unwrap());
    println!("{}", server.server_addr());
    let threads: Vec<_> = (0..THREADS)
        .map(|_| {
            let (server, writer) = (Arc::clone(&server), writer.clone());
            std::thread::spawn(move || {
                while let Ok(mut request) = server.recv() {
                    if *request.method() == tiny_http::Method::Get {
                        let _ = request.respond(tiny_http::Response::empty(200));
                        continue;
                    }
                    let mut body = Vec::new();
                    request.as_reader().read_to_end(&mut body).unwrap();
                    let status = writer.write(WAIT, move |tx| insert(tx, &body)).map_or(503, |()| 200);
                    // An error here is a client that went away.
                    let _ = request.respond(tiny_http::Response::empty(status));
                }
            })
        })
        .collect();
    for thread in threads {
        let _ = thread.join();
    }
}
