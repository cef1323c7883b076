//! The far ends, all on one thread: ten portals that read every packet and remember what came, and the channel's API.
//! They behave as the schedule tells them.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::Duration;

use base64::Engine;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;
use trunkline::portals::boxed::form::Form;
use trunkline::portals::boxed::php::{self, Value};
use trunkline::portals::boxed::portal_side::Identity;

use super::house::{self, OLD, OUT, PORTALS};
use super::ledger::{Direction, Ledger};
use super::schedule::{Api, Manner};
use super::wires;
use crate::support::wire;

/// What slow ones wait before they answer.
const SLOW: Duration = Duration::from_secs(2);
/// How often the channel leaves one message's outcome open: the server gives up at the fourth time, as it should.
const OPEN_OUTCOMES_MAX: u8 = 2;

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

struct Shared {
    ledger: Arc<Ledger>,
    identities: OnceLock<Vec<Identity>>,
    /// Where the server takes commands, once it is known.
    server: OnceLock<SocketAddr>,
    run: u64,
    /// Open connections.
    open: AtomicUsize,
    /// From which millisecond of the run on a portal's ages say something of the server alone.
    calm_after: Vec<AtomicU64>,
    server_calm_after: AtomicU64,
    /// How often each operator's message was left with an open outcome.
    outcomes: std::sync::Mutex<Vec<u8>>,
    /// Confirmations by command that the server answered, and that it could not.
    pub confirmed: [AtomicU64; 2],
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
            outcomes: std::sync::Mutex::default(),
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
struct Counted(Arc<Shared>);

impl Counted {
    fn new(shared: &Arc<Shared>) -> Self {
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
async fn request(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> Option<wire::Head> {
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
async fn hold(stream: &mut TcpStream, time: Duration) -> Option<()> {
    let mut byte = [0];
    tokio::select! {
        () = tokio::time::sleep(time) => Some(()),
        _ = stream.read(&mut byte) => None,
    }
}

fn answer(status: &str, kind: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}")
        .into_bytes()
}

/// Takes connections and forgets those that have ended.
async fn accept(listener: Option<&TcpListener>) -> Option<TcpStream> {
    match listener {
        Some(listener) => listener.accept().await.ok().map(|(stream, _)| stream),
        None => std::future::pending().await,
    }
}

#[derive(Clone)]
struct Portal {
    index: usize,
    manner: watch::Receiver<Manner>,
    shared: Arc<Shared>,
}

/// What one post brought.
#[derive(Default)]
struct Packet {
    line: String,
    messages: Vec<u32>,
    statuses: Vec<u32>,
    /// Chat and id of each message, as `setStatusDelivered` names them.
    names: Vec<(String, String)>,
}

impl Portal {
    async fn run(mut self, listener: TcpListener) {
        let address = listener.local_addr().unwrap();
        let mut listener = Some(listener);
        let mut connections = JoinSet::new();
        loop {
            if *self.manner.borrow_and_update() == Manner::Refuses {
                listener = None;
                connections.abort_all();
            } else if listener.is_none() {
                listener = Some(TcpListener::bind(address).await.unwrap());
            }
            tokio::select! {
                changed = self.manner.changed() => if changed.is_err() { return },
                accepted = accept(listener.as_ref()) => {
                    let (own, Some(stream)) = (self.clone(), accepted) else { continue };
                    connections.spawn(own.serve(stream, Counted::new(&self.shared)));
                }
                Some(_) = connections.join_next() => (),
            }
        }
    }

    async fn serve(mut self, mut stream: TcpStream, _counted: Counted) -> Option<()> {
        let mut bytes = Vec::with_capacity(16 * 1024);
        let head = request(&mut stream, &mut bytes).await?;
        let packet = self.read(&bytes[head.length..]);
        let calm_from = self.shared.calm_after[self.index].load(Ordering::Relaxed);
        let calm_from = calm_from.max(self.shared.server_calm_after.load(Ordering::Relaxed));
        let calm = (self.shared.ledger.now() * 1000.0) as u64 > calm_from;
        self.shared.ledger.came(Direction::In, &packet.messages, calm);
        // When the task is dropped in the middle, nothing was answered.
        let mut verdict = Verdict { shared: Arc::clone(&self.shared), messages: packet.messages.clone(), yes: false };
        verdict.yes = self.reply(&mut stream, &packet).await == Some(true);
        if verdict.yes {
            self.shared.ledger.statuses(&packet.statuses);
        }
        drop(verdict);
        stream.shutdown().await.ok()
    }

    /// Answers in the portal's present manner; true for a clear yes that has left.
    async fn reply(&mut self, stream: &mut TcpStream, packet: &Packet) -> Option<bool> {
        const JSON: &str = "application/json";
        let yes = answer("200 OK", JSON, "{\"OK\":true,\"DATA\":[]}");
        let manner = *self.manner.borrow_and_update();
        let (bytes, is_yes) = match manner {
            Manner::Well => {
                self.confirm(packet).await;
                (yes, true)
            }
            Manner::Slow => {
                hold(stream, SLOW).await?;
                (yes, true)
            }
            Manner::Silent => {
                let mut byte = [0];
                tokio::select! {
                    _ = self.manner.changed() => (),
                    _ = stream.read(&mut byte) => (),
                }
                return None;
            }
            Manner::Refuses => return None,
            Manner::Fails => (answer("500 Internal Server Error", "text/plain", "out of memory"), false),
            Manner::Html => (answer("200 OK", "text/html", "<html><body>We are moving house</body></html>"), false),
            Manner::Half => (yes[..yes.len() - 9].to_vec(), false),
        };
        stream.write_all(&bytes).await.ok()?;
        Some(is_yes)
    }

    /// Old portals confirm by a command before they answer.
    async fn confirm(&self, packet: &Packet) {
        let Some(server) = self.shared.server.get().filter(|_| self.index == OLD && !packet.names.is_empty()) else {
            return;
        };
        let identity = &self.shared.identities.get().unwrap()[self.index];
        let command = house::confirmation(identity, &packet.line, &packet.names);
        let told = wires::ask(*server, &command, Duration::from_secs(3)).await;
        let is_taken = told.is_some_and(|(status, body)| status == 200 && wires::says_ok(&body));
        if is_taken {
            // It counts as a yes, whatever becomes of the answer.
            self.shared.ledger.answered(Direction::In, &packet.messages, true);
        }
        self.shared.confirmed[usize::from(!is_taken)].fetch_add(1, Ordering::Relaxed);
    }

    /// Reads a post as a portal does.
    fn read(&self, body: &[u8]) -> Packet {
        let form = Form::decode(body).expect("the server posts forms");
        let field = |name| form.get(name).unwrap_or_default().to_owned();
        let data = base64::engine::general_purpose::STANDARD.decode(field("DATA")).unwrap();
        let data = php::decode(&data).unwrap();
        let mut packet = Packet { line: field("LINE"), ..Packet::default() };
        let command = field("BX_COMMAND");
        for element in data.items() {
            match command.as_str() {
                "receivingMessage" => self.message(element, &mut packet),
                "receivingStatusDelivery" => packet.statuses.extend(self.status(element)),
                // The doctor's question.
                "testConnect" => (),
                other => self.shared.ledger.notice(format!("{other} at portal {}: {element:?}", self.index)),
            }
        }
        packet
    }

    fn message(&self, element: &Value, packet: &mut Packet) {
        let inner = |outer: &str, name: &str| match element.get(outer).and_then(|value| value.get(name)) {
            Some(Value::Str(text)) => text.clone(),
            _ => String::new(),
        };
        let (text, chat, id) = (inner("message", "text"), inner("chat", "id"), inner("message", "id"));
        let number = text.strip_prefix("in-").and_then(|text| text.split(' ').next()?.parse().ok());
        let place = chat.strip_prefix("conversation-").and_then(|chat| chat.parse::<usize>().ok());
        let (Some(number), Some(place)) = (number, place) else {
            // What the server says itself: a loss, or a failure in the words of old portals.
            return self.shared.ledger.notice(format!("message {id} at portal {} in {chat}: {text}", self.index));
        };
        let line = house::line_of(place);
        let is_edit = element.get("type_message") == Some(&Value::text("message_update"));
        if house::portal_of(line) != self.index || house::number(line) != packet.line {
            let index = self.index;
            self.shared.ledger.stray(format!("in-{number} came to portal {index}, line {}, from {chat}", packet.line));
        }
        if !is_edit && id != format!("{}-{number}", self.shared.run) {
            self.shared.ledger.stray(format!("in-{number} came with the id {id}"));
        }
        packet.messages.push(number);
        packet.names.push((chat, id));
    }

    fn status(&self, element: &Value) -> Option<u32> {
        let Some(Value::Int(id)) = element.get("im").and_then(|im| im.get("message_id")) else {
            self.shared.ledger.stray(format!("a status without a number: {element:?}"));
            return None;
        };
        u32::try_from(id - OUT).ok()
    }
}

/// Tells the ledger how a post was answered, also when its connection is cut.
struct Verdict {
    shared: Arc<Shared>,
    messages: Vec<u32>,
    yes: bool,
}

impl Drop for Verdict {
    fn drop(&mut self) {
        self.shared.ledger.answered(Direction::In, &self.messages, self.yes);
    }
}

#[derive(Clone)]
struct Channel {
    api: watch::Receiver<Api>,
    shared: Arc<Shared>,
}

impl Channel {
    async fn run(self, listener: TcpListener) {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = accept(Some(&listener)) => {
                    let (own, Some(stream)) = (self.clone(), accepted) else { continue };
                    connections.spawn(own.serve(stream, Counted::new(&self.shared)));
                }
                Some(_) = connections.join_next() => (),
            }
        }
    }

    async fn serve(self, mut stream: TcpStream, _counted: Counted) -> Option<()> {
        let mut bytes = Vec::with_capacity(4 * 1024);
        let head = request(&mut stream, &mut bytes).await?;
        let first = std::str::from_utf8(&bytes[..head.length]).ok()?.lines().next()?.to_owned();
        let path = first.split(' ').nth(1)?;
        if path.contains("token") {
            let token = "{\"token_type\":\"Bearer\",\"expires_in\":3600,\"access_token\":\"endurance\"}";
            return stream.write_all(&answer("200 OK", "application/json", token)).await.ok();
        }
        let body: serde_json::Value = serde_json::from_slice(&bytes[head.length..]).unwrap_or_default();
        let text = body["text"].as_str().unwrap_or_default();
        let number: Option<u32> =
            text.strip_prefix("out-").and_then(|text| text.split(' ').next()).and_then(|word| word.parse().ok());
        let Some(number) = number.filter(|_| path.ends_with("/activities")) else {
            self.shared.ledger.stray(format!("the channel was asked for {first}: {text}"));
            return None;
        };
        let (bytes, yes) = self.judge(&mut stream, number).await?;
        let sent = !bytes.is_empty() && stream.write_all(&bytes).await.is_ok();
        if let Some(yes) = yes {
            self.shared.ledger.answered(Direction::Out, &[number], yes && sent);
        }
        stream.shutdown().await.ok()
    }

    /// What is said to a message, and whether it is a yes; nothing where it was not taken at all.
    async fn judge(&self, stream: &mut TcpStream, number: u32) -> Option<(Vec<u8>, Option<bool>)> {
        let later = |status: &str, seconds: u32| {
            let body = "{\"error\":{\"code\":\"ServiceError\",\"message\":\"come again\"}}";
            format!(
                "HTTP/1.1 {status}\r\nRetry-After: {seconds}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            )
            .into_bytes()
        };
        let taken = || self.shared.ledger.came(Direction::Out, &[number], false);
        let yes = || answer("201 Created", "application/json", &format!("{{\"id\":\"sent-{number}\"}}"));
        let api = *self.api.borrow();
        Some(match api {
            Api::Storm => (later("429 Too Many Requests", 1 + number % 4), None),
            Api::Away => (later("503 Service Unavailable", 2), None),
            Api::Fails if self.may_leave_open(number) => {
                let failed = answer("500 Internal Server Error", "text/plain", "oops");
                if number.is_multiple_of(2) {
                    taken();
                    (failed, Some(false))
                } else {
                    (failed, None)
                }
            }
            Api::Cuts if self.may_leave_open(number) => {
                taken();
                (Vec::new(), Some(false))
            }
            Api::Slow => {
                taken();
                let Some(()) = hold(stream, SLOW).await else {
                    return Some((Vec::new(), Some(false)));
                };
                (yes(), Some(true))
            }
            Api::Well | Api::Fails | Api::Cuts => {
                taken();
                (yes(), Some(true))
            }
        })
    }

    fn may_leave_open(&self, number: u32) -> bool {
        let mut outcomes = self.shared.outcomes.lock().unwrap();
        let at = number as usize;
        if outcomes.len() <= at {
            outcomes.resize(at + 1, 0);
        }
        outcomes[at] += 1;
        outcomes[at] <= OPEN_OUTCOMES_MAX
    }
}
