//! The far ends, all on one thread: ten portals that read every packet and remember what came, and the channel's API.
//! They behave as the schedule tells them.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;
use trunkline::portals::boxed::portal_side::Identity;

use super::channel::Channel;
use super::house::PORTALS;
use super::ledger::Ledger;
use super::portal::Portal;
use super::schedule::{Api, Manner};
use super::wires;
use crate::support::wire;

/// What slow ones wait before they answer.
pub(super) const SLOW: Duration = Duration::from_secs(2);

/// All far ends; they stop when dropped.
pub struct FarEnds {
    shared: Arc<Shared>,
    portals: Vec<SocketAddr>,
    channel: SocketAddr,
    manners: Vec<watch::Sender<Manner>>,
    api: watch::Sender<Api>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

pub(super) struct Shared {
    pub(super) ledger: Arc<Ledger>,
    pub(super) identities: OnceLock<Vec<Identity>>,
    /// Where the server takes commands, once it is known.
    pub(super) server: OnceLock<SocketAddr>,
    pub(super) run: u64,
    /// Open connections.
    pub(super) open: AtomicUsize,
    /// From which millisecond of the run on a portal's ages say something of the server alone.
    pub(super) calm_after: Vec<AtomicU64>,
    pub(super) server_calm_after: AtomicU64,
    /// How often each operator's message was left with an open outcome.
    pub(super) outcomes: Mutex<Vec<u8>>,
    /// Confirmations by command that the server answered, and that it could not.
    pub(super) confirmed: [AtomicU64; 2],
}

impl FarEnds {
    /// Starts them all, well.
    pub fn start(ledger: &Arc<Ledger>, run: u64) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let listen = || runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let listeners: Vec<TcpListener> = (0..PORTALS).map(|_| listen()).collect();
        let api_listener = listen();
        let portals = listeners.iter().map(|listener| listener.local_addr().unwrap()).collect();
        let channel = api_listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            ledger: Arc::clone(ledger),
            identities: OnceLock::new(),
            server: OnceLock::new(),
            run,
            open: AtomicUsize::new(0),
            calm_after: (0..PORTALS).map(|_| AtomicU64::new(0)).collect(),
            server_calm_after: AtomicU64::new(0),
            outcomes: Mutex::default(),
            confirmed: Default::default(),
        });
        let manners: Vec<_> = (0..PORTALS).map(|_| watch::channel(Manner::Well).0).collect();
        let api = watch::channel(Api::Well).0;
        let (stop, stopped) = oneshot::channel();
        let tasks: Vec<Portal> = manners
            .iter()
            .enumerate()
            .map(|(index, manner)| Portal { index, manner: manner.subscribe(), shared: Arc::clone(&shared) })
            .collect();
        let channel_task = Channel { api: api.subscribe(), shared: Arc::clone(&shared) };
        let thread = std::thread::Builder::new().name("far ends".into()).spawn(move || {
            runtime.block_on(async move {
                let mut ends = JoinSet::new();
                for (portal, listener) in tasks.into_iter().zip(listeners) {
                    ends.spawn(portal.run(listener));
                }
                ends.spawn(channel_task.run(api_listener));
                let _ = stopped.await;
            });
        });
        let thread = Some(thread.unwrap());
        Self { shared, portals, channel, manners, api, stop: Some(stop), thread }
    }

    /// Base addresses of the portals.
    pub fn urls(&self) -> Vec<String> {
        self.portals.iter().map(|address| format!("http://{address}")).collect()
    }

    /// Base address of the channel's API.
    pub fn channel_url(&self) -> String {
        format!("http://{}", self.channel)
    }

    /// Tells them where the server is and who they are themselves.
    pub fn introduce(&self, server: SocketAddr, identities: &[Identity]) {
        self.shared.server.get_or_init(|| server);
        self.shared.identities.get_or_init(|| identities.to_vec());
    }

    /// Changes one portal's ways.
    pub fn set(&self, portal: usize, manner: Manner) {
        let after = if manner == Manner::Well { self.millis() + 20_000 } else { u64::MAX };
        self.shared.calm_after[portal].store(after, Ordering::Relaxed);
        self.manners[portal].send_replace(manner);
    }

    /// Changes the channel's ways.
    pub fn set_api(&self, api: Api) {
        self.api.send_replace(api);
    }

    /// The server has just started, or was held up.
    pub fn server_disturbed(&self) {
        self.shared.server_calm_after.store(self.millis() + 5_000, Ordering::Relaxed);
    }

    fn millis(&self) -> u64 {
        (self.shared.ledger.now() * 1000.0) as u64
    }

    /// Confirmations by command that were answered, and that could not be.
    pub fn confirmations(&self) -> (u64, u64) {
        let [well, lost] = &self.shared.confirmed;
        (well.load(Ordering::Relaxed), lost.load(Ordering::Relaxed))
    }

    /// Waits until all that a dead server had put on the wire has been heard. Connections are taken in their order, so
    /// that the end of one of our own means that every earlier one has been taken.
    pub fn hear_out(&self) {
        let begin = std::time::Instant::now();
        loop {
            for (portal, address) in self.portals.iter().enumerate() {
                if *self.manners[portal].borrow() != Manner::Refuses {
                    wires::knock(*address);
                }
            }
            wires::knock(self.channel);
            if self.shared.open.load(Ordering::SeqCst) == 0 {
                return;
            }
            assert!(begin.elapsed() < Duration::from_secs(20), "a dead server's connections do not end");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for FarEnds {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Counts a connection for as long as it is served.
pub(super) struct Counted(Arc<Shared>);

impl Counted {
    pub(super) fn new(shared: &Arc<Shared>) -> Self {
        shared.open.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(shared))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::SeqCst);
    }
}

/// One whole request: its head, and its body.
pub(super) async fn request(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> Option<wire::Head> {
    let mut head = None;
    while head.as_ref().is_none_or(|head: &wire::Head| bytes.len() < head.length + head.body) {
        if stream.read_buf(bytes).await.ok()? == 0 {
            return None;
        }
        head = head.or_else(|| wire::head(bytes));
    }
    head
}

/// Waits for that long, or until the other side ends the connection: then none.
pub(super) async fn hold(stream: &mut TcpStream, time: Duration) -> Option<()> {
    let mut byte = [0];
    tokio::select! {
        () = tokio::time::sleep(time) => Some(()),
        _ = stream.read(&mut byte) => None,
    }
}

pub(super) fn answer(status: &str, kind: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}")
        .into_bytes()
}

/// Takes connections and forgets those that have ended.
pub(super) async fn accept(listener: Option<&TcpListener>) -> Option<TcpStream> {
    match listener {
        Some(listener) => listener.accept().await.ok().map(|(stream, _)| stream),
        None => std::future::pending().await,
    }
}
