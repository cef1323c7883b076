//! The wiring: opens, starts the threads, stops and joins them in the order of the data's way. The one file that knows
//! every part.

mod lent;

use std::fmt;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TryRecvError, bounded, unbounded};

use crate::channels::{self, Factory, Shelf, Tools, botframework};
use crate::clock::Clock;
use crate::config::{Config, Confirm, Listen};
use crate::fault;
use crate::http::front::{Bind, Front, FrontError, Limits};
use crate::http::known::KnownLines;
use crate::http::service::Service;
use crate::http::tls::{self, TlsError};
use crate::metrics::Metrics;
use crate::net::{Net, Out};
use crate::queue::blocks::Schedule;
use crate::queue::{self, dead, lost};
use crate::sender::{SenderLoop, packet};
use crate::store::check::{self, Verdict};
use crate::store::readers::Readers;
use crate::store::writer::{Deadlines, WriterThread};
use crate::store::{ServerLock, Store, StoreError, Writer};
use crate::{dispatcher, sender};

pub use lent::{Files, StoreShelf};

/// How long a stop waits for each loop; what is in flight after that is repeated after the next start.
const GRACE: Duration = Duration::from_secs(10);
/// How often old rows are forgotten.
const SWEEP: Duration = Duration::from_mins(1);
/// The pause after a check of the database that stood in the way; doubles up to [`CHECK_PAUSE_MAX`].
const CHECK_PAUSE: Duration = Duration::from_mins(1);
/// The longest such pause.
const CHECK_PAUSE_MAX: Duration = Duration::from_hours(1);
/// Rows forgotten in one command.
const SWEEP_STEP: usize = 2000;

/// Why the server did not start.
#[derive(Debug)]
pub enum AppError {
    /// The database.
    Store(StoreError),
    /// The ports.
    Front(FrontError),
    /// Certificate or key.
    Tls(TlsError),
    /// The way out can't be made: which file, why.
    Net(String),
    /// A thread can't be started.
    Thread(std::io::Error),
}

impl fmt::Display for AppError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(error) => write!(f, "{error}"),
            Self::Front(error) => write!(f, "{error}"),
            Self::Tls(error) => write!(f, "{error}"),
            Self::Net(error) => f.write_str(error),
            Self::Thread(error) => write!(f, "a thread can't be started: {error}"),
        }
    }
}

impl std::error::Error for AppError {}

impl From<StoreError> for AppError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<FrontError> for AppError {
    fn from(error: FrontError) -> Self {
        Self::Front(error)
    }
}

/// The way out as configured.
pub fn net(config: &Config, clock: &Arc<dyn Clock>) -> Result<Arc<dyn Net>, String> {
    let out = Out::new(clock, config.network.allow.clone(), &config.network.ca_files);
    Ok(Arc::new(out.map_err(|error| error.to_string())?))
}

/// The connectors as configured.
pub fn factory(config: &Config, net: &Arc<dyn Net>, clock: &Arc<dyn Clock>, shelf: Arc<dyn Shelf>) -> Factory {
    let tools = Tools { net: Arc::clone(net), clock: Arc::clone(clock), shelf };
    let options = channels::Options {
        botframework: botframework::Options {
            authentication: if config.bot_framework.authentication_required {
                botframework::Authentication::Required
            } else {
                botframework::Authentication::Off
            },
            openid_metadata_url: config.bot_framework.openid_metadata_url.clone(),
            token_url: config.bot_framework.token_url.clone(),
            gov: config.bot_framework.gov,
        },
    };
    Factory::new(&tools, &options)
}

/// What webhook addresses begin with when `public_url` is not set: the listening address itself.
pub fn public_url(config: &Config) -> String {
    config.public_url.clone().unwrap_or_else(|| match &config.listen {
        Listen::Tcp(address) => {
            let scheme = if config.tls.is_some() { "https" } else { "http" };
            format!("{scheme}://{address}")
        }
        Listen::Unix(_) => "http://localhost".to_owned(),
    })
}

fn bind(listen: &Listen) -> Bind {
    match listen {
        Listen::Tcp(address) => Bind::Tcp(*address),
        Listen::Unix(path) => Bind::Unix(path.clone()),
    }
}

/// Tells in `drop` that a part has ended, so that a panic tells too. No part ends while the server runs: one that is gone
/// must take the process with it, or the server would go on deaf.
struct Tell {
    name: &'static str,
    anybody: Sender<&'static str>,
    /// The part has done what it was for.
    is_done: bool,
}

impl Tell {
    fn new(name: &'static str, anybody: &Sender<&'static str>) -> Self {
        Self { name, anybody: anybody.clone(), is_done: false }
    }
}

impl Drop for Tell {
    fn drop(&mut self) {
        if !self.is_done {
            let _ = self.anybody.try_send(self.name);
        }
    }
}

/// Whether a part has ended for good when it returns, or is expected to go on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Life {
    /// Until it is told to stop.
    Endless,
    /// Until its work is done.
    Task,
}

/// A loop's thread and the word that it has ended.
#[derive(Debug)]
struct Loop {
    name: &'static str,
    thread: JoinHandle<()>,
    ended: Receiver<()>,
}

impl Loop {
    /// Starts a part whose end, but for a task that is done, is told to `anybody`.
    fn start(
        name: &'static str,
        life: Life,
        anybody: &Sender<&'static str>,
        run: impl FnOnce() -> Result<(), StoreError> + Send + 'static,
    ) -> Result<Self, AppError> {
        let (end, ended) = bounded::<()>(0);
        let tell = Tell::new(name, anybody);
        let thread = std::thread::Builder::new().name(name.into()).spawn(move || {
            // Dropped with the thread, whether it returns or panics.
            let (mut tell, _end) = (tell, end);
            match run() {
                Ok(()) => tell.is_done = life == Life::Task,
                Err(error) => log::error!(error:% = error; "the {name} has ended"),
            }
        });
        Ok(Self { name, thread: thread.map_err(AppError::Thread)?, ended })
    }

    fn join(self) {
        if self.ended.recv_timeout(GRACE) == Err(RecvTimeoutError::Timeout) {
            log::warn!("the {} did not end in time; what it had in flight is repeated after the next start", self.name);
            return;
        }
        if self.thread.join().is_err() {
            log::error!("the {} ended with a panic", self.name);
        }
    }
}

/// The running server.
#[derive(Debug)]
pub struct App {
    front: Front,
    service: Arc<Service>,
    sender: Loop,
    dispatcher: Loop,
    housekeeper: Loop,
    check: Loop,
    stop_background: Sender<()>,
    writer: WriterThread,
    deadlines: Loop,
    ended: Receiver<&'static str>,
    _lock: ServerLock,
}

impl App {
    /// Opens the data directory and the ports and starts every thread.
    pub fn start(config: &Config, clock: Arc<dyn Clock>) -> Result<Self, AppError> {
        let store = Store::open(&config.data_dir)?;
        let lock = store.lock()?;
        check::at_start(&store)?;
        let (sender_bell, sender_events) = sender::channel();
        let (dispatcher_bell, dispatcher_events) = dispatcher::channel();
        let (anybody, ended) = unbounded();
        let changed = (sender_bell.clone(), dispatcher_bell.clone());
        let tell = Tell::new("store writer", &anybody);
        let on_change = move || {
            // The writer's thread owns this function, so its end is the thread's.
            let _alive = &tell;
            changed.0.tell(sender::Event::Changed);
            changed.1.tell(dispatcher::Event::Changed);
        };
        let (writer, writer_thread) =
            Writer::start(dead::writing(&store, config.dead_letters.keep)?, Arc::clone(&clock), on_change)
                .map_err(AppError::Thread)?;
        let net = net(config, &clock).map_err(AppError::Net)?;
        let shelf = Arc::new(StoreShelf::new(store.clone(), writer.clone()));
        let factory = Arc::new(factory(config, &net, &clock, shelf));
        let metrics = Metrics::default();

        let deadlines = Deadlines::new(Arc::clone(&clock));
        let service = Arc::new(Service {
            readers: Readers::new(store.clone(), config.http.workers),
            data_dir: config.data_dir.clone(),
            writer: writer.clone(),
            deadlines: deadlines.clone(),
            clock: Arc::clone(&clock),
            net: Arc::clone(&net),
            factory: Arc::clone(&factory),
            sender: sender_bell.clone(),
            dispatcher: dispatcher_bell.clone(),
            metrics: metrics.clone(),
            commit_wait: config.http.commit_wait,
            lines: KnownLines::default(),
            seen: std::sync::Mutex::default(),
            front: std::sync::OnceLock::new(),
            public_url: std::sync::OnceLock::new(),
        });
        // The ports come first: a wrong address is the commonest mistake and nothing has been posted yet.
        let front = front(config, &service, Tell::new("front", &anybody))?;
        // Not the configured port, which may be 0.
        let url = match (&config.public_url, &config.listen) {
            (None, Listen::Tcp(_)) => front.public_addr(),
            (Some(_), _) | (None, Listen::Unix(_)) => public_url(config),
        };
        let _ = service.public_url.set(url);
        let _ = service.front.set(Arc::clone(front.stats()));

        let readers = Readers::new(store.clone(), config.queue.delivery_workers);
        let parts = sender::Parts {
            store: store.clone(),
            writer: writer.clone(),
            clock: Arc::clone(&clock),
            net,
            opener: Arc::new(Files::new(readers, Arc::clone(&factory))),
            metrics,
        };
        let sender_loop = SenderLoop::new(parts, sender_options(config), sender_bell.clone(), sender_events)?;
        let (checked, check_clock) = (store.clone(), Arc::clone(&clock));
        let parts = dispatcher::Parts { store, writer, clock, factory, sender: sender_bell };
        let options = dispatcher::Options {
            ttl: config.outbox.ttl,
            workers: config.outbox.channel_workers,
            notify: config.dead_letters.notify_portal,
        };
        let dispatcher_loop = dispatcher::Dispatcher::new(parts, options, dispatcher_bell, dispatcher_events)?;

        let (stop_background, stop) = bounded(1);
        let stop_check = stop.clone();
        let keep = Keep { seen: config.queue.dedup_keep, dead: config.dead_letters.keep };
        let housed = Arc::clone(&service);
        Ok(Self {
            front,
            service,
            sender: Loop::start("sender", Life::Endless, &anybody, move || sender_loop.run())?,
            dispatcher: Loop::start("dispatcher", Life::Endless, &anybody, move || dispatcher_loop.run())?,
            housekeeper: Loop::start("housekeeper", Life::Endless, &anybody, move || {
                housekeep(&housed, &keep, &stop);
                Ok(())
            })?,
            check: Loop::start("check of the database", Life::Task, &anybody, move || {
                inspect(&checked, check_clock.as_ref(), &stop_check)
            })?,
            stop_background,
            writer: writer_thread,
            deadlines: Loop::start("deadlines", Life::Endless, &anybody, move || {
                deadlines.run();
                Ok(())
            })?,
            ended,
            _lock: lock,
        })
    }

    /// Where the public side listens, with the real port.
    pub fn public_addr(&self) -> String {
        self.front.public_addr()
    }

    /// Where the admin side listens, with the real port.
    pub fn admin_addr(&self) -> String {
        self.front.admin_addr()
    }

    /// The database's readers, for commands that look in from the same process.
    pub fn service(&self) -> &Arc<Service> {
        &self.service
    }

    /// Gives the name of a loop that has ended, which none does while the server runs: it must not go on without.
    pub fn ended(&self) -> &Receiver<&'static str> {
        &self.ended
    }

    /// Stops in the order of the data's way. Correctness never needs it: a kill at any point loses nothing.
    pub fn stop(self) {
        self.front.stop();
        self.service.dispatcher.tell(dispatcher::Event::Stop);
        self.dispatcher.join();
        self.service.sender.tell(sender::Event::Stop);
        self.sender.join();
        drop(self.stop_background);
        self.housekeeper.join();
        self.check.join();
        self.writer.stop();
        self.service.deadlines.stop();
        self.deadlines.join();
    }
}

/// `tell` lives as long as somebody can hand requests on: the front's thread and the workers behind it.
fn front(config: &Config, service: &Arc<Service>, tell: Tell) -> Result<Front, AppError> {
    let tls = match &config.tls {
        Some(files) => Some(tls::load(&files.cert_file, &files.key_file).map_err(AppError::Tls)?),
        None => None,
    };
    let limits = Limits {
        workers: config.http.workers,
        max_connections: config.http.max_connections,
        max_body: config.http.max_body,
        header_timeout: config.http.header_timeout,
        body_timeout: config.http.body_timeout,
        idle_timeout: config.http.idle_timeout,
        ..Limits::default()
    };
    let handler = Arc::clone(service);
    let handler: crate::http::front::Handler = Arc::new(move |request, answer| {
        let _alive = &tell;
        handler.handle(&request, answer);
    });
    Ok(Front::start(&bind(&config.listen), &bind(&config.admin_listen), tls, limits, &handler)?)
}

fn sender_options(config: &Config) -> sender::Options {
    sender::Options {
        limits: packet::Limits {
            messages: config.queue.packet_max_messages,
            files: config.queue.packet_max_files,
            bytes: config.queue.packet_max_bytes,
        },
        by_status: config.queue.confirm == Confirm::Status,
        confirm_timeout: config.queue.confirm_timeout,
        workers: config.queue.delivery_workers,
        schedule: Schedule::new(config.retry.blocks.clone()),
        poison_attempts: config.retry.poison_attempts,
        tell: config
            .dead_letters
            .notify_portal
            .then_some(lost::Tell { language: config.language, kept: !config.dead_letters.keep.is_zero() }),
    }
}

struct Keep {
    seen: Duration,
    dead: Duration,
}

/// Forgets what was kept long enough and feeds systemd's watchdog while the loops move.
fn housekeep(service: &Service, keep: &Keep, stop: &Receiver<()>) {
    let watchdog = sd_notify::watchdog_enabled().map(|limit| limit / 3);
    let pause = watchdog.map_or(SWEEP, |watchdog| watchdog.min(SWEEP));
    let mut swept_at = service.clock.ticks();
    loop {
        match stop.recv_timeout(pause) {
            Err(RecvTimeoutError::Timeout) => (),
            Ok(()) | Err(RecvTimeoutError::Disconnected) => return,
        }
        fault::point("housekeeping");
        if watchdog.is_some() {
            let silent = service.silent_loops(pause);
            if silent.is_empty() {
                let _ = sd_notify::notify(&[sd_notify::NotifyState::Watchdog]);
            } else {
                log::error!("the {} gave no sign of life", silent.join(" and the "));
            }
        }
        let now = service.clock.ticks();
        if now.saturating_sub(swept_at) >= SWEEP {
            swept_at = now;
            sweep(&service.writer, keep);
        }
    }
}

/// The whole check of the database, once in a server's life. Where it would stand in the way of much writing it waits for
/// a quieter time.
fn inspect(store: &Store, clock: &dyn Clock, stop: &Receiver<()>) -> Result<(), StoreError> {
    let mut pause = CHECK_PAUSE;
    loop {
        let (began, stopped) = (clock.ticks(), stop.clone());
        match check::whole(store, move || stopped.try_recv() == Err(TryRecvError::Empty)) {
            Ok(Verdict::Sound) => {
                log::debug!(millis = clock.ticks().saturating_sub(began).as_millis(); "the database is sound");
                return Ok(());
            }
            Ok(Verdict::Damaged(why)) | Err(StoreError::Corrupt(why)) => return Err(StoreError::Corrupt(why)),
            Ok(Verdict::Interrupted) => (),
            Err(error) => log::warn!(error:% = error; "the database can't be checked at the moment"),
        }
        match stop.recv_timeout(pause) {
            Err(RecvTimeoutError::Timeout) => log::info!("much is written; the database is checked again"),
            Ok(()) | Err(RecvTimeoutError::Disconnected) => return Ok(()),
        }
        pause = (pause * 2).min(CHECK_PAUSE_MAX);
    }
}

fn sweep(writer: &Writer, keep: &Keep) {
    let (seen, dead_keep) = (keep.seen, keep.dead);
    loop {
        let swept = writer.write(GRACE, move |tx| {
            let before =
                |keep: Duration| crate::clock::UnixMillis(tx.now.0 - i64::try_from(keep.as_millis()).unwrap_or(0));
            let seen = queue::forget_seen(tx, before(seen), SWEEP_STEP)?;
            Ok(seen + dead::forget(tx, before(dead_keep), SWEEP_STEP)?)
        });
        match swept {
            Ok(0) => return,
            Ok(_) => (),
            Err(error) => {
                log::warn!(error:% = error; "old rows could not be forgotten; the next sweep tries again");
                return;
            }
        }
    }
}
