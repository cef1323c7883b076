//! Requests over keep-alive connections from one thread: each connection sends its next request when the last one is
//! answered. Requests are numbered through all connections, and every number is sent once.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::histogram::Histogram;
use super::wire;

/// Writes the request of that number, head and body, into an empty buffer.
pub type Build = Arc<dyn Fn(u64, &mut Vec<u8>) + Send + Sync>;
/// Told the number of each request and the status of its answer, or none when the connection broke: then nobody knows
/// what became of it.
pub type Answered = Arc<dyn Fn(u64, Option<u16>) + Send + Sync>;

/// When a load ends; requests in flight are waited for.
#[derive(Clone, Debug)]
pub enum Until {
    Time(Duration),
    Requests(u64),
    /// Once this is true.
    Told(Arc<AtomicBool>),
}

/// How long a connection waits before it tries again to reach a server that is away.
const AGAIN: Duration = Duration::from_millis(10);
/// How long an answer may take before the connection is given up.
const PATIENCE: Duration = Duration::from_secs(30);

/// A load to be.
#[derive(Clone)]
pub struct Load {
    pub address: SocketAddr,
    pub connections: usize,
    pub until: Until,
    /// The number of the first request.
    pub first: u64,
    /// At most so many requests a second; the time of one that found no free connection runs from when it was due.
    pub per_second: Option<f64>,
    pub build: Build,
    pub answered: Option<Answered>,
}

impl Load {
    /// As many requests as are answered in that time.
    pub fn for_time(address: SocketAddr, connections: usize, time: Duration, build: &Build) -> Self {
        Self {
            address,
            connections,
            until: Until::Time(time),
            first: 0,
            per_second: None,
            build: Arc::clone(build),
            answered: None,
        }
    }

    /// So many requests.
    pub fn for_requests(address: SocketAddr, connections: usize, requests: u64, build: &Build) -> Self {
        Self { until: Until::Requests(requests), ..Self::for_time(address, connections, Duration::ZERO, build) }
    }

    /// Runs it on this thread.
    pub fn run(self) -> Outcome {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let next = Arc::new(AtomicU64::new(self.first));
        let load = Arc::new(self);
        let mut outcome = Outcome::default();
        runtime.block_on(async {
            // Before the clock starts, and one by one: a server that makes a thread for each (tiny_http) leaves some of
            // those that come at once waiting behind the others.
            let mut open = Vec::new();
            for _ in 0..load.connections {
                open.push(load.open().await);
            }
            let begin = Instant::now();
            let mut connections = JoinSet::new();
            for stream in open {
                connections.spawn(connection(Arc::clone(&load), stream, Arc::clone(&next), begin));
            }
            while let Some(own) = connections.join_next().await {
                outcome.absorb(&own.unwrap());
            }
            outcome.seconds = begin.elapsed().as_secs_f64();
        });
        outcome.next = next.load(Ordering::Relaxed);
        outcome
    }

    /// Runs it on a thread of its own.
    pub fn spawn(self) -> std::thread::JoinHandle<Outcome> {
        std::thread::spawn(move || self.run())
    }

    /// A connection that has had an answer; none from a server that is away.
    async fn open(&self) -> Option<TcpStream> {
        let mut stream = TcpStream::connect(self.address).await.ok()?;
        stream.set_nodelay(true).ok()?;
        let (request, mut answer) = (hello(self.address), Vec::new());
        let exchanged = exchange(&mut stream, request.as_bytes(), &mut answer);
        let (status, close) = tokio::time::timeout(PATIENCE, exchanged).await.ok()??;
        (status == 200 && !close).then_some(stream)
    }

    fn is_over(&self, begin: Instant) -> bool {
        match &self.until {
            Until::Time(time) => begin.elapsed() >= *time,
            Until::Told(told) => told.load(Ordering::Relaxed),
            Until::Requests(_) => false,
        }
    }

    /// The number of the next request, when there is to be one.
    fn take(&self, next: &AtomicU64) -> Option<u64> {
        let last = match self.until {
            Until::Requests(count) => self.first + count,
            Until::Time(_) | Until::Told(_) => u64::MAX,
        };
        next.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |number| (number < last).then_some(number + 1)).ok()
    }
}

/// What came of a load.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Requests answered 200.
    pub ok: u64,
    /// Other answers.
    pub other: BTreeMap<u16, u64>,
    /// Requests whose connection broke before the answer; tries to connect are not counted.
    pub broken: u64,
    /// From the first request to the last answer.
    pub seconds: f64,
    /// Of the requests answered 200.
    pub latency: Histogram,
    /// The number that would have come next.
    pub next: u64,
}

impl Outcome {
    /// Requests a second that were answered 200.
    pub fn rate(&self) -> f64 {
        self.ok as f64 / self.seconds
    }

    /// Whether every request was answered 200.
    pub fn is_clean(&self) -> bool {
        self.other.is_empty() && self.broken == 0
    }

    fn absorb(&mut self, other: &Self) {
        self.ok += other.ok;
        self.broken += other.broken;
        for (status, count) in &other.other {
            *self.other.entry(*status).or_default() += count;
        }
        self.latency.absorb(&other.latency);
    }
}

async fn connection(load: Arc<Load>, mut stream: Option<TcpStream>, next: Arc<AtomicU64>, begin: Instant) -> Outcome {
    let mut own = Outcome::default();
    let (mut request, mut answer) = (Vec::new(), Vec::new());
    while !load.is_over(begin) {
        let Some(open) = stream.as_mut() else {
            match TcpStream::connect(load.address).await {
                Ok(open) => {
                    open.set_nodelay(true).unwrap();
                    stream = Some(open);
                }
                Err(_) => tokio::time::sleep(AGAIN).await,
            }
            continue;
        };
        let Some(number) = load.take(&next) else { break };
        let mut since = Instant::now();
        if let Some(per_second) = load.per_second {
            let due = begin + Duration::from_secs_f64((number - load.first) as f64 / per_second);
            if due > since {
                tokio::time::sleep_until(due.into()).await;
                // Timers are late by up to a millisecond, which is not the server's fault.
                since = Instant::now();
            } else {
                since = due;
            }
        }
        request.clear();
        (load.build)(number, &mut request);
        let exchanged = tokio::time::timeout(PATIENCE, exchange(open, &request, &mut answer)).await;
        let (status, close) = exchanged.ok().flatten().unzip();
        match status {
            Some(200) => {
                own.ok += 1;
                own.latency.note(since.elapsed());
            }
            Some(status) => *own.other.entry(status).or_default() += 1,
            None => own.broken += 1,
        }
        if let Some(answered) = &load.answered {
            answered(number, status);
        }
        if close != Some(false) {
            stream = None;
        }
    }
    own
}

/// The status of the answer, and whether the connection ends with it.
async fn exchange(stream: &mut TcpStream, request: &[u8], answer: &mut Vec<u8>) -> Option<(u16, bool)> {
    stream.write_all(request).await.ok()?;
    answer.clear();
    loop {
        if stream.read_buf(answer).await.ok()? == 0 {
            return None;
        }
        if let Some(head) = wire::head(answer)
            && answer.len() >= head.length + head.body
        {
            return Some((head.status?, head.close));
        }
    }
}

/// A request that stores nothing anywhere.
fn hello(address: SocketAddr) -> String {
    format!("GET /healthz HTTP/1.1\r\nHost: {address}\r\n\r\n")
}

/// Opens so many connections that have had one answer each and then say nothing more.
pub fn idle_connections(address: SocketAddr, count: usize) -> Vec<std::net::TcpStream> {
    let request = hello(address);
    let open = (0..count).map(|_| {
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        assert_eq!(wire::exchange(&mut stream, request.as_bytes()), 200);
        stream
    });
    open.collect()
}
