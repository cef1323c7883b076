//! What the commands that look into the database share: opening it beside a running server, writing a change, and the
//! looks-ups by name with their "there is no …" answers. A running server notices the change within a second.

use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;

use super::{CliError, Context};
use crate::app;
use crate::channels::Factory;
use crate::clock::{Clock, UnixMillis};
use crate::config::Config;
use crate::ids::LineId;
use crate::net::Net;
use crate::queue::dead;
use crate::records::{Line, Portal};
use crate::store::writer::WriterThread;
use crate::store::{Store, StoreError, Tx, Writer, directory};

/// How long a command waits for the server to let it write.
pub(crate) const WAIT: Duration = Duration::from_secs(30);

/// The opened database and what else commands need.
pub(crate) struct Opened {
    pub config: Config,
    pub db: Connection,
    pub writer: Writer,
    pub clock: Arc<dyn Clock>,
    pub net: Arc<dyn Net>,
    pub factory: Factory,
    thread: Option<WriterThread>,
}

impl From<StoreError> for CliError {
    fn from(error: StoreError) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<rusqlite::Error> for CliError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Failed(format!("the database refused: {error}"))
    }
}

impl From<crate::store::WriteError> for CliError {
    fn from(error: crate::store::WriteError) -> Self {
        Self::Failed(error.to_string())
    }
}

impl Opened {
    /// Opens the configured database, making it when there is none yet.
    pub(crate) fn new(ctx: &Context) -> Result<Self, CliError> {
        let config = ctx.load(Vec::new())?.config;
        let store = Store::open(&config.data_dir)?;
        let writing = dead::writing(&store, config.dead_letters.keep)?;
        let (writer, thread) = Writer::start(writing, Arc::clone(&ctx.clock), || ())
            .map_err(CliError::io("the writer can't be started"))?;
        let net = app::net(&config, &ctx.clock).map_err(CliError::Failed)?;
        let shelf = Arc::new(app::StoreShelf::new(store.clone(), writer.clone()));
        let factory = app::factory(&config, &net, &ctx.clock, shelf);
        let db = store.reading()?;
        let clock = Arc::clone(&ctx.clock);
        Ok(Self { config, db, writer, clock, net, factory, thread: Some(thread) })
    }

    /// Commits one change.
    pub(crate) fn write<T: Send + 'static>(
        &self,
        work: impl Fn(&mut Tx<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, CliError> {
        Ok(self.writer.write(WAIT, work)?)
    }

    /// The portal of that name.
    pub(crate) fn portal(&self, name: &str) -> Result<Portal, CliError> {
        if let Some(portal) = directory::portal_by_name(&self.db, name)? {
            return Ok(portal);
        }
        let names = directory::portals(&self.db)?.into_iter().map(|portal| portal.name);
        Err(CliError::NotFound { what: "portal", name: name.to_owned(), near: nearest(name, names) })
    }

    /// The line with that id.
    pub(crate) fn line(&self, id: i64) -> Result<Line, CliError> {
        directory::line_by_id(&self.db, LineId(id))?.ok_or_else(|| CliError::NotFound {
            what: "line",
            name: id.to_string(),
            near: None,
        })
    }

    /// The address that channels call.
    pub(crate) fn public_url(&self) -> String {
        app::public_url(&self.config)
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take() {
            thread.stop();
        }
    }
}

/// The word most like `name`, when one is near enough to be a slip of the fingers.
fn nearest(name: &str, words: impl Iterator<Item = String>) -> Option<String> {
    words
        .map(|word| (strsim::damerau_levenshtein(name, &word), word))
        .filter(|(distance, word)| *distance * 3 <= word.chars().count().max(3))
        .min()
        .map(|(_, word)| word)
}

/// RFC 3339, or null.
pub(crate) fn time(at: Option<UnixMillis>) -> serde_json::Value {
    at.map_or(serde_json::Value::Null, |at| at.rfc3339().into())
}
