//! The load: customers and operators on one thread, in an open loop. What falls due while the server is away waits, and
//! is sent again with the same id until it is acknowledged, as platforms do.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use trunkline::portals::boxed::portal_side::Identity;

use super::dice::Dice;
use super::house::{self, CHATS, CONNECTIONS, ODD_CHATS, OLD, Shape};
use super::ledger::{Direction, Ledger};
use super::schedule::Odd;
use super::wires;

/// How finely the open loop is cut.
const TICK: Duration = Duration::from_millis(5);
/// How long an answer may take before the connection is given up.
const PATIENCE: Duration = Duration::from_secs(15);
/// Pause before a message is sent again.
const AGAIN: Duration = Duration::from_millis(100);
/// Operators' tasks; a chat belongs to one.
const OPERATORS: usize = 8;

/// What the load needs.
#[derive(Clone)]
pub struct Plan {
    pub ledger: Arc<Ledger>,
    pub server: SocketAddr,
    pub channel: String,
    pub identities: Arc<Vec<Identity>>,
    pub dice: Dice,
    /// Sets this run's messages apart.
    pub run: u64,
    /// Customers' and operators' messages a second.
    pub rates: (f64, f64),
}

/// A running load.
pub struct Load {
    /// How many times the usual rate, as bits.
    times: Arc<AtomicU64>,
    over: Arc<AtomicBool>,
    abandoned: Arc<AtomicBool>,
    odd: mpsc::UnboundedSender<(Odd, f64)>,
    repeats: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Load {
    /// Starts at the usual rate.
    pub fn start(plan: Plan) -> Self {
        let times = Arc::new(AtomicU64::new(1.0_f64.to_bits()));
        let (over, abandoned) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let repeats = Arc::new(AtomicU64::new(0));
        let (odd, odds) = mpsc::unbounded_channel();
        let pacer = Pacer {
            plan,
            times: Arc::clone(&times),
            over: Arc::clone(&over),
            abandoned: Arc::clone(&abandoned),
            repeats: Arc::clone(&repeats),
            known: Arc::new((0..CHATS).map(|_| AtomicBool::new(false)).collect()),
        };
        let thread = std::thread::Builder::new().name("load".into()).spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(pacer.run(odds));
        });
        Self { times, over, abandoned, odd, repeats, thread: Some(thread.unwrap()) }
    }

    /// So many times the usual rate from now on.
    pub fn set_times(&self, times: f64) {
        self.times.store(times.to_bits(), Ordering::Relaxed);
    }

    /// Clients of that kind for so many seconds.
    pub fn odd(&self, odd: Odd, seconds: f64) {
        let _ = self.odd.send((odd, seconds));
    }

    /// Repeats of acknowledged messages so far.
    pub fn repeats(&self) -> u64 {
        self.repeats.load(Ordering::Relaxed)
    }

    /// Nothing new; what is not acknowledged is still sent until it is.
    pub fn end(&self) {
        self.over.store(true, Ordering::Relaxed);
    }

    /// Whether everybody has got an answer.
    pub fn has_ended(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.end();
        self.abandoned.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A message that is due.
struct Due {
    number: u32,
    chat: usize,
    shape: Shape,
    repeat: bool,
    since: Instant,
}

#[derive(Clone)]
struct Pacer {
    plan: Plan,
    times: Arc<AtomicU64>,
    over: Arc<AtomicBool>,
    abandoned: Arc<AtomicBool>,
    repeats: Arc<AtomicU64>,
    /// Chats of which the server knows, so that operators can write.
    known: Arc<Vec<AtomicBool>>,
}

impl Pacer {
    async fn run(self, mut odds: mpsc::UnboundedReceiver<(Odd, f64)>) {
        let mut tasks = tokio::task::JoinSet::new();
        let customers: Vec<_> = (0..CONNECTIONS)
            .map(|_| {
                let (give, take) = mpsc::unbounded_channel();
                tasks.spawn(self.clone().customer(take));
                give
            })
            .collect();
        let operators: Vec<_> = (0..OPERATORS)
            .map(|_| {
                let (give, take) = mpsc::unbounded_channel();
                tasks.spawn(self.clone().operator(take));
                give
            })
            .collect();
        for chat in (0..CHATS).filter(|chat| house::portal_of(house::line_of(*chat)) == OLD) {
            self.plan.ledger.is_unordered(Direction::Out, chat);
        }
        // Each direction its own, so that the timing of one does not change what the other says.
        let (mut dice, mut own) = (self.plan.dice.split(1), self.plan.dice.split(2));
        let mut earlier: Vec<Option<u32>> = vec![None; CHATS];
        let mut owed = (0.0, 0.0);
        let mut ticks = tokio::time::interval(TICK);
        let mut last = Instant::now();
        while !self.over.load(Ordering::Relaxed) {
            ticks.tick().await;
            let now = Instant::now();
            let passed = now.duration_since(last).as_secs_f64();
            last = now;
            let times = f64::from_bits(self.times.load(Ordering::Relaxed));
            owed = (owed.0 + passed * self.plan.rates.0 * times, owed.1 + passed * self.plan.rates.1);
            while owed.0 >= 1.0 {
                owed.0 -= 1.0;
                let chat = dice.below(CHATS as u64) as usize;
                let shape = match (dice.below(1000), earlier[chat]) {
                    (0..30, Some(number)) => Shape::Edit(number),
                    (30..40, _) => Shape::Long,
                    (40..60, _) => Shape::File,
                    _ => Shape::Text,
                };
                let number = self.plan.ledger.number(Direction::In, chat);
                if !matches!(shape, Shape::Edit(_)) {
                    earlier[chat] = Some(number);
                }
                let due = Due { number, chat, shape, repeat: dice.permille(30), since: now };
                let _ = customers[house::connection_of(chat)].send(due);
            }
            while owed.1 >= 1.0 {
                owed.1 -= 1.0;
                let chat = own.below(CHATS as u64) as usize;
                if self.known[chat].load(Ordering::Relaxed) {
                    let number = self.plan.ledger.number(Direction::Out, chat);
                    let due = Due { number, chat, shape: Shape::Text, repeat: own.permille(30), since: now };
                    let _ = operators[chat % OPERATORS].send(due);
                }
            }
            while let Ok((odd, seconds)) = odds.try_recv() {
                tasks.spawn(self.clone().odd(odd, seconds));
            }
            // Ended ones.
            while tasks.try_join_next().is_some() {}
        }
        drop((customers, operators));
        while tasks.join_next().await.is_some() {}
    }

    fn is_abandoned(&self) -> bool {
        self.abandoned.load(Ordering::Relaxed)
    }

    /// One connection of the platform: a message after the other, each until it is acknowledged.
    async fn customer(self, mut dues: mpsc::UnboundedReceiver<Due>) {
        let (mut stream, mut answer) = (None, Vec::new());
        // Before this the server was away, which is not its answers' fault.
        let mut away = self.plan.ledger.begin();
        while let Some(due) = dues.recv().await {
            let request = house::webhook(self.plan.run, due.number, due.chat, due.shape, &self.plan.channel);
            let mut since = due.since.max(away);
            while !self.is_abandoned() && !self.send(&mut stream, &request, &mut answer).await {
                self.plan.ledger.refused();
                tokio::time::sleep(AGAIN).await;
                (since, away) = (Instant::now(), Instant::now());
            }
            if self.is_abandoned() {
                return;
            }
            self.plan.ledger.acknowledged(Direction::In, due.number, since.elapsed());
            self.known[due.chat].store(true, Ordering::Relaxed);
            if due.repeat && self.send(&mut stream, &request, &mut answer).await {
                self.repeats.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// One try; true for 200.
    async fn send(&self, stream: &mut Option<TcpStream>, request: &[u8], answer: &mut Vec<u8>) -> bool {
        if stream.is_none() {
            *stream = TcpStream::connect(self.plan.server).await.ok();
            if let Some(open) = stream {
                let _ = open.set_nodelay(true);
            }
        }
        let Some(open) = stream else { return false };
        let exchanged = tokio::time::timeout(PATIENCE, wires::exchange(open, request, answer)).await;
        let (status, close) = exchanged.ok().flatten().unzip();
        if close != Some(false) {
            *stream = None;
        }
        status == Some(200)
    }

    /// Portals' commands: each on a connection of its own.
    async fn operator(self, mut dues: mpsc::UnboundedReceiver<Due>) {
        while let Some(due) = dues.recv().await {
            let portal = house::portal_of(house::line_of(due.chat));
            let request = house::command(&self.plan.identities[portal], due.number, due.chat);
            if portal == OLD {
                while !wires::tell(self.plan.server, &request).await {
                    if self.is_abandoned() {
                        return;
                    }
                    tokio::time::sleep(AGAIN).await;
                }
                self.plan.ledger.unheard(due.number);
                continue;
            }
            while !self.is_abandoned() && !self.order(&request).await {
                self.plan.ledger.refused();
                tokio::time::sleep(AGAIN).await;
            }
            if self.is_abandoned() {
                return;
            }
            self.plan.ledger.acknowledged(Direction::Out, due.number, None);
            if due.repeat && self.order(&request).await {
                self.repeats.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    async fn order(&self, request: &[u8]) -> bool {
        let answer = wires::ask(self.plan.server, request, PATIENCE).await;
        answer.is_some_and(|(status, body)| status == 200 && wires::says_ok(&body))
    }

    /// Clients of one kind until their time is over.
    async fn odd(self, odd: Odd, seconds: f64) {
        let end = Instant::now() + Duration::from_secs_f64(seconds);
        let mut clients = tokio::task::JoinSet::new();
        match odd {
            Odd::Idle => {
                let mut idle = Vec::new();
                for _ in 0..IDLE {
                    idle.extend(TcpStream::connect(self.plan.server).await);
                }
                tokio::time::sleep_until(end.into()).await;
                return;
            }
            Odd::SlowHeads | Odd::SlowBodies | Odd::HalfBodies => {
                for client in 0..ODD_CHATS {
                    clients.spawn(self.clone().odd_client(odd, CHATS + client, end));
                }
            }
        }
        while clients.join_next().await.is_some() {}
    }

    /// Half of the slow ones stay within the server's patience and must be served; nobody sends anything again.
    async fn odd_client(self, odd: Odd, chat: usize, end: Instant) {
        while Instant::now() < end && !self.is_abandoned() {
            let number = self.plan.ledger.number(Direction::In, chat);
            let request = house::webhook(self.plan.run, number, chat, Shape::Text, &self.plan.channel);
            let body = request.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
            let is_patient = chat.is_multiple_of(2);
            let (slow, pause) = match odd {
                // In twenty steps of 150 ms or 1 s: the server waits 10 s for a head, 30 s for a body.
                Odd::SlowHeads => (0..body, if is_patient { 150 } else { 1000 }),
                _ => (body..request.len(), if is_patient { 200 } else { 2000 }),
            };
            let since = Instant::now();
            let Ok(mut stream) = TcpStream::connect(self.plan.server).await else {
                tokio::time::sleep(AGAIN).await;
                continue;
            };
            let _ = stream.set_nodelay(true);
            if odd == Odd::HalfBodies {
                let _ = stream.write_all(&request[..body + 100]).await;
                drop(stream);
                tokio::time::sleep(Duration::from_millis(200)).await;
                continue;
            }
            let acknowledged = self.trickle(&mut stream, &request, slow, Duration::from_millis(pause)).await;
            if acknowledged {
                self.plan.ledger.acknowledged(Direction::In, number, None);
            } else {
                self.plan.ledger.refused();
            }
            if since.elapsed() < AGAIN {
                tokio::time::sleep(AGAIN).await;
            }
        }
    }

    async fn trickle(
        &self,
        stream: &mut TcpStream,
        request: &[u8],
        slow: std::ops::Range<usize>,
        pause: Duration,
    ) -> bool {
        if stream.write_all(&request[..slow.start]).await.is_err() {
            return false;
        }
        for part in request[slow.clone()].chunks(slow.len().div_ceil(20)) {
            if stream.write_all(part).await.is_err() {
                return false;
            }
            tokio::time::sleep(pause).await;
        }
        if stream.write_all(&request[slow.end..]).await.is_err() {
            return false;
        }
        let mut answer = Vec::new();
        let read = tokio::time::timeout(PATIENCE, wires::read(stream, &mut answer)).await;
        matches!(read, Ok(Some((200, _))))
    }
}

/// Connections that say nothing.
const IDLE: usize = 2000;
