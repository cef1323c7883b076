//! What is done beside the answers: conversations pass on, what was left unsent is sent, files are fetched, the hook is
//! called. Each on a thread that sleeps until it is rung for or something is due.

use std::io;
use std::sync::{Arc, Weak};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded, select};
use rusqlite::{Connection, OptionalExtension, named_params};

use super::{Office, OfficeError, events};
use crate::clock::UnixMillis;
use crate::desk::fetch::{FileLink, fetch};
use crate::desk::hook;

/// How long an errand that failed for a reason of our own waits.
const AFTER_TROUBLE: Duration = Duration::from_secs(30);
/// How often a file is tried again that could not be fetched for the moment, and after how long, times the tries.
const FILE_RETRIES: u32 = 3;
const FILE_RETRY_AFTER: Duration = Duration::from_secs(20);
/// Nothing is due: somebody will ring.
const LONG: Duration = Duration::from_hours(1);

const NEXT_FILE: &str = "select id, name, url, kind, headers, attempts, due from files where state = 'waiting'
    order by due, id limit 1";
const HERE: &str = "update files set state = 'here', name = :name, kind = :kind, size = :size, content = :content,
        headers = '[]' where id = :id";
const LATER: &str = "update files set attempts = attempts + 1, due = :due where id = :id";
const FAILED: &str = "update files set state = 'failed', headers = '[]' where id = :id";

/// Wakes the threads; a ring while one is awake is not lost.
#[derive(Debug)]
pub(super) struct Bell(Vec<(Sender<()>, Receiver<()>)>);

impl Default for Bell {
    fn default() -> Self {
        Self(ERRANDS.iter().map(|_| bounded(1)).collect())
    }
}

impl Bell {
    pub(super) fn ring(&self) {
        for (bell, _) in &self.0 {
            match bell.try_send(()) {
                // Full: it will wake anyway.
                Ok(()) | Err(TrySendError::Full(()) | TrySendError::Disconnected(())) => (),
            }
        }
    }
}

#[cfg(test)]
impl Bell {
    /// Whether somebody rang since this was last asked, with nobody there to hear it.
    pub(super) fn was_rung(&self) -> bool {
        self.0.iter().filter(|(_, bell)| bell.try_recv().is_ok()).count() > 0
    }
}

/// An errand: does what is due and says when to come again.
type Errand = fn(&Office) -> Result<Duration, OfficeError>;

const ERRANDS: [(&str, Errand); 4] = [
    ("desk-turns", Office::pass_turns),
    ("desk-left", Office::send_what_is_left),
    ("desk-files", Office::fetch_file),
    ("desk-hook", Office::call_hook),
];

/// The running threads; dropping it ends and joins them.
#[derive(Debug)]
pub struct Errands {
    stop: Option<Sender<()>>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl Drop for Errands {
    fn drop(&mut self) {
        drop(self.stop.take());
        for thread in self.threads.drain(..) {
            // A thread that panicked has said so itself.
            let _ = thread.join();
        }
    }
}

impl Office {
    /// Starts the threads. They also end when nobody holds the office any more.
    pub fn run_errands(self: &Arc<Self>) -> io::Result<Errands> {
        let (stop, stopped) = bounded::<()>(0);
        let mut threads = Vec::new();
        for ((name, errand), (_, bell)) in ERRANDS.into_iter().zip(&self.errands.0) {
            let (office, stopped, bell) = (Arc::downgrade(self), stopped.clone(), bell.clone());
            let run = move || run(&office, errand, &stopped, &bell);
            threads.push(std::thread::Builder::new().name(name.to_owned()).spawn(run)?);
        }
        Ok(Errands { stop: Some(stop), threads })
    }

    fn pass_turns(&self) -> Result<Duration, OfficeError> {
        let due = self.pass_on()?;
        Ok(due.map_or(LONG, |due| due.since(self.clock.now())))
    }

    fn send_what_is_left(&self) -> Result<Duration, OfficeError> {
        Ok(self.send_left()?.unwrap_or(LONG))
    }

    /// Fetches one file, if one waits.
    pub(super) fn fetch_file(&self) -> Result<Duration, OfficeError> {
        let Some(limits) = &self.fetch else { return Ok(LONG) };
        let Some(file) = self.store.read(next_file)? else { return Ok(LONG) };
        let (id, link, now) = (file.id, file.link, self.clock.now());
        if file.due > now {
            return Ok(file.due.since(now));
        }
        match fetch(self.net.as_ref(), &link, limits) {
            Ok(file) => self.store.write(|tx| {
                let size = i64::try_from(file.content.len()).unwrap_or(i64::MAX);
                let row = named_params! {":id": id, ":name": file.name, ":kind": file.kind, ":size": size,
                ":content": file.content};
                Ok::<_, OfficeError>(tx.prepare_cached(HERE)?.execute(row).map(drop)?)
            })?,
            Err(error) if error.is_temporary() && file.attempts < FILE_RETRIES => {
                log::info!(error:% = error; "a customer's file will be fetched later");
                let due = now.plus(FILE_RETRY_AFTER.saturating_mul(file.attempts.saturating_add(1)));
                self.store.write(|tx| {
                    let row = named_params! {":id": id, ":due": due.0};
                    Ok::<_, OfficeError>(tx.prepare_cached(LATER)?.execute(row).map(drop)?)
                })?;
            }
            Err(error) => {
                log::info!(error:% = error; "a customer's file was not fetched, the link is left");
                self.store.write(|tx| {
                    Ok::<_, OfficeError>(tx.prepare_cached(FAILED)?.execute(named_params! {":id": id}).map(drop)?)
                })?;
            }
        }
        Ok(Duration::ZERO)
    }

    /// Posts the oldest event, if it is due; one after another, so that their order holds.
    pub(super) fn call_hook(&self) -> Result<Duration, OfficeError> {
        let Some(hook) = &self.hook else { return Ok(LONG) };
        let Some(event) = self.store.read(events::oldest)? else { return Ok(LONG) };
        let now = self.clock.now();
        if event.due > now {
            return Ok(event.due.since(now));
        }
        let posted = hook.post(self.net.as_ref(), &format!("evt_{}", event.id), now, &event.body);
        let Err(error) = posted else {
            self.store.write(|tx| Ok::<_, OfficeError>(events::done(tx, event.id)?))?;
            return Ok(Duration::ZERO);
        };
        let attempts = event.attempts.saturating_add(1);
        // A hook that says it is gone gets what comes next all the same: its address may be another one by then.
        let Some(after) = hook::retry_after(attempts).filter(|_| !error.is_gone()) else {
            log::error!(attempts, error:% = error; "an event is given up: the hook never took it");
            self.store.write(|tx| Ok::<_, OfficeError>(events::done(tx, event.id)?))?;
            return Ok(Duration::ZERO);
        };
        log::warn!(attempts, error:% = error; "the hook did not take an event");
        self.store.write(|tx| Ok::<_, OfficeError>(events::later(tx, event.id, now.plus(after))?))?;
        Ok(after)
    }
}

/// A file to fetch.
struct ToFetch {
    id: i64,
    link: FileLink,
    attempts: u32,
    due: UnixMillis,
}

fn next_file(db: &Connection) -> rusqlite::Result<Option<ToFetch>> {
    let read = |row: &rusqlite::Row<'_>| {
        let headers: String = row.get("headers")?;
        let link = FileLink {
            name: Some(row.get("name")?),
            url: row.get("url")?,
            kind: row.get("kind")?,
            headers: serde_json::from_str(&headers).unwrap_or_default(),
        };
        Ok(ToFetch { id: row.get("id")?, link, attempts: row.get("attempts")?, due: UnixMillis(row.get("due")?) })
    };
    db.prepare_cached(NEXT_FILE)?.query_row([], read).optional()
}

fn run(office: &Weak<Office>, errand: Errand, stopped: &Receiver<()>, bell: &Receiver<()>) {
    loop {
        let wait = match office.upgrade() {
            Some(office) => errand(&office).unwrap_or_else(|error| {
                log::error!(error:% = error; "an errand of the desk failed");
                AFTER_TROUBLE
            }),
            None => return,
        };
        select! {
            recv(stopped) -> _ => return,
            recv(bell) -> _ => (),
            default(wait) => (),
        }
    }
}
