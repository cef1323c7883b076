//! Boxed portals reduced to a sink: one thread reads every post to its end and answers as told. It reads no form and
//! keeps nothing, so that it costs the server under measurement little of the machine.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use base64::Engine;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;
use trunkline::portals::boxed::form::Form;
use trunkline::portals::boxed::php::{self, Value};

use super::wire;

/// How a portal behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// Takes every packet.
    Answers,
    /// The same after a while.
    After(Duration),
    /// Reads and never says a word.
    Silent,
    /// 502, as a proxy before a dead one says.
    Fails,
    /// Nobody listens.
    Refuses,
}

/// Called on the sink's thread with the portal's index and the body of a post, before it is answered.
pub type OnPacket = Arc<dyn Fn(usize, &[u8]) + Send + Sync>;
/// The same at a connection's first byte.
pub type OnFirstByte = Arc<dyn Fn(usize, Instant) + Send + Sync>;

/// What is told besides the count.
#[derive(Clone, Default)]
pub struct Ears {
    pub packet: Option<OnPacket>,
    pub first_byte: Option<OnFirstByte>,
}

/// Running portals, each on a port of its own; they stop when dropped.
pub struct Sink {
    addresses: Vec<SocketAddr>,
    manners: Vec<watch::Sender<Manner>>,
    packets: Arc<Vec<AtomicU64>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Sink {
    /// So many portals that answer.
    pub fn start(portals: usize) -> Self {
        Self::with(portals, &Ears::default())
    }

    /// The same, and somebody hears what they get.
    pub fn with(portals: usize, ears: &Ears) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let listeners: Vec<TcpListener> =
            (0..portals).map(|_| runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap()).collect();
        let addresses = listeners.iter().map(|listener| listener.local_addr().unwrap()).collect();
        let manners: Vec<_> = (0..portals).map(|_| watch::channel(Manner::Answers).0).collect();
        let packets: Arc<Vec<AtomicU64>> = Arc::new((0..portals).map(|_| AtomicU64::new(0)).collect());
        let (stop, stopped) = oneshot::channel();
        let tasks: Vec<Portal> = manners
            .iter()
            .enumerate()
            .map(|(index, manner)| Portal {
                index,
                manner: manner.subscribe(),
                packets: Arc::clone(&packets),
                ears: ears.clone(),
            })
            .collect();
        let thread = std::thread::spawn(move || {
            runtime.block_on(async move {
                let mut portals = JoinSet::new();
                for (portal, listener) in tasks.into_iter().zip(listeners) {
                    portals.spawn(portal.run(listener));
                }
                // The sender is gone with the sink: either way it is over.
                let _ = stopped.await;
            });
        });
        Self { addresses, manners, packets, stop: Some(stop), thread: Some(thread) }
    }

    /// Base addresses, as the portals' records hold them.
    pub fn urls(&self) -> Vec<String> {
        self.addresses.iter().map(|address| format!("http://{address}")).collect()
    }

    /// Where they listen.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Changes one portal's ways, also towards posts that it holds back.
    pub fn set(&self, portal: usize, manner: Manner) {
        self.manners[portal].send_replace(manner);
    }

    /// Changes them all.
    pub fn set_all(&self, manner: Manner) {
        for portal in 0..self.manners.len() {
            self.set(portal, manner);
        }
    }

    /// Posts that were read to their end.
    pub fn packets(&self) -> u64 {
        (0..self.packets.len()).map(|portal| self.packets_of(portal)).sum()
    }

    /// The same of one portal.
    pub fn packets_of(&self, portal: usize) -> u64 {
        self.packets[portal].load(Ordering::Relaxed)
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[derive(Clone)]
struct Portal {
    index: usize,
    manner: watch::Receiver<Manner>,
    packets: Arc<Vec<AtomicU64>>,
    ears: Ears,
}

impl Portal {
    async fn run(mut self, listener: TcpListener) {
        let address = listener.local_addr().unwrap();
        let mut listener = Some(listener);
        // Connections go with the listener: a machine that is down has none.
        let mut connections = JoinSet::new();
        loop {
            let refuses = *self.manner.borrow_and_update() == Manner::Refuses;
            if refuses {
                listener = None;
                connections.abort_all();
            } else if listener.is_none() {
                listener = Some(TcpListener::bind(address).await.unwrap());
            }
            tokio::select! {
                changed = self.manner.changed() => if changed.is_err() { return },
                accepted = accept(listener.as_ref()) => {
                    let own = self.clone();
                    connections.spawn(async move { own.serve(accepted).await });
                }
                Some(_) = connections.join_next() => (),
            }
        }
    }

    /// One connection to its end.
    async fn serve(mut self, mut stream: TcpStream) -> Option<()> {
        stream.set_nodelay(true).ok()?;
        let mut bytes = Vec::with_capacity(16 * 1024);
        loop {
            let mut head = None;
            while head.as_ref().is_none_or(|head: &wire::Head| bytes.len() < head.length + head.body) {
                let was_empty = bytes.is_empty();
                if stream.read_buf(&mut bytes).await.ok()? == 0 {
                    return None;
                }
                if let Some(ear) = self.ears.first_byte.as_ref().filter(|_| was_empty) {
                    ear(self.index, Instant::now());
                }
                head = head.or_else(|| wire::head(&bytes));
            }
            let head = head?;
            let whole = head.length + head.body;
            self.packets[self.index].fetch_add(1, Ordering::Relaxed);
            if let Some(ear) = &self.ears.packet {
                ear(self.index, &bytes[head.length..whole]);
            }
            let answer = self.answer().await?;
            stream.write_all(answer).await.ok()?;
            if head.close {
                return stream.shutdown().await.ok();
            }
            bytes.drain(..whole);
        }
    }

    /// What is said, once it is time to say it.
    async fn answer(&mut self) -> Option<&'static [u8]> {
        loop {
            let manner = *self.manner.borrow_and_update();
            match manner {
                Manner::Answers => return Some(OK),
                Manner::Fails => return Some(BAD_GATEWAY),
                Manner::Refuses => return None,
                Manner::After(delay) => {
                    tokio::time::sleep(delay).await;
                    return Some(OK);
                }
                Manner::Silent => self.manner.changed().await.ok()?,
            }
        }
    }
}

async fn accept(listener: Option<&TcpListener>) -> TcpStream {
    match listener {
        Some(listener) => listener.accept().await.unwrap().0,
        None => std::future::pending().await,
    }
}

/// What module 23 says when it has taken a packet.
const OK: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 21\r\n\r\n{\"OK\":true,\"DATA\":[]}";
const BAD_GATEWAY: &[u8] = b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n";

/// The elements of a post's `DATA`, for ears that want to know what came; this costs about as much as making it did.
pub fn elements(body: &[u8]) -> Vec<Value> {
    let form = Form::decode(body).expect("the server posts forms");
    let data = base64::engine::general_purpose::STANDARD.decode(form.get("DATA").unwrap()).unwrap();
    php::decode(&data).unwrap().items().cloned().collect()
}

/// The external ids of the messages in a post, in order.
pub fn message_ids(body: &[u8]) -> Vec<String> {
    elements(body)
        .iter()
        .filter_map(|element| match element.get("message")?.get("id")? {
            Value::Str(id) => Some(id.clone()),
            _ => None,
        })
        .collect()
}
