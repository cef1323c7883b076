//! What changes who is connected with whom: new settings with the takeover they may cause (design §8), removal. Portals'
//! commands and the command line both come here, so that the rules have one home.

use std::time::Duration;

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use rusqlite::Connection;

use crate::channels::{Connector, Factory, TestError};
use crate::ids::{LineId, PortalId};
use crate::message::{Body, Notice};
use crate::queue::{self, dead};
use crate::records::{Line, Settings};
use crate::store::counters::Direction;
use crate::store::{Tx, WriteError, Writer, directory};

/// Rows moved to dead letters in one command when a line is removed.
const STEP: usize = 500;

/// What a form shows instead of a secret that is stored.
pub const HIDDEN: &str = "#HIDDEN#";

/// A fresh hash: 256 random bits in hex.
pub fn new_hash() -> String {
    use std::fmt::Write;
    let mut bytes = [0_u8; 32];
    // The system's generator fails only where there is none; a server without randomness must not make addresses.
    SystemRandom::new().fill(&mut bytes).expect("the system has a random generator");
    bytes.iter().fold(String::with_capacity(64), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// The address a channel's platform is given.
pub fn webhook_url(public_url: &str, hash: &str) -> String {
    format!("{}/imwebhook/?hash={hash}", public_url.trim_end_matches('/'))
}

/// What new settings lead to.
#[derive(Clone, Debug)]
pub struct Connected {
    /// The line, live.
    pub line: Line,
    /// Lines whose connection has ended because this one took their entity.
    pub ended: Vec<Line>,
}

/// Joins what a portal's form or the command line gives with what is stored. `None` is an untouched or emptied field:
/// a visible one is cleared, a hidden one keeps its value, and so does one that comes back as the placeholder it was
/// shown as (`portal-box.md` §3.5). Unknown keys are ignored: newer portals send more.
pub fn merge(connector: &dyn Connector, stored: &Settings, given: &[(String, Option<String>)]) -> Settings {
    let mut merged = stored.clone();
    for (key, value) in given {
        let Some(field) = connector.fields().iter().find(|field| field.key == key) else { continue };
        match value.as_deref().map(str::trim) {
            Some(HIDDEN) => (),
            Some(value) if !value.is_empty() => merged.set(field.key, value),
            Some(_) | None if field.visible => merged.remove(field.key),
            Some(_) | None => (),
        }
    }
    merged
}

/// The lines whose connection would end if `settings` were saved for that line: at most one today.
pub fn would_end(
    db: &Connection,
    connector: &dyn Connector,
    own: Option<LineId>,
    settings: &Settings,
) -> rusqlite::Result<Vec<Line>> {
    let Some(entity) = connector.entity(settings) else { return Ok(Vec::new()) };
    let holder = directory::line_by_entity(db, connector.name(), &entity)?;
    Ok(holder.into_iter().filter(|line| Some(line.id) != own).collect())
}

/// A line to connect.
#[derive(Clone, Debug)]
pub struct Connect {
    /// Its portal.
    pub portal: PortalId,
    /// Real connector id.
    pub connector: &'static str,
    /// The portal's own line number.
    pub line: String,
    /// Whole settings, already merged and checked.
    pub settings: Settings,
    /// External entity.
    pub entity: Option<String>,
    /// For the journal: `portal NAME`, `command line`.
    pub who: String,
}

impl Connect {
    /// Checks the settings' shape and names their entity.
    pub fn new(
        factory: &Factory,
        portal: PortalId,
        connector: &str,
        line: &str,
        settings: Settings,
        who: String,
    ) -> Result<Self, TestError> {
        let Some(connector) = factory.get(connector) else {
            return Err(TestError {
                code: "CONNECTOR_UNKNOWN",
                message: format!("this server has no connector `{connector}`"),
            });
        };
        connector.check(&settings)?;
        let entity = connector.entity(&settings);
        Ok(Self { portal, connector: connector.name(), line: line.to_owned(), settings, entity, who })
    }

    /// Saves the settings. The newest wins and works at once: an earlier holder of the entity loses hash and settings,
    /// and its portal is told through the queue. What still waited there becomes dead letters; the sender moves it, so
    /// that a long queue does not hold up this commit.
    pub fn apply(&self, tx: &mut Tx<'_>) -> rusqlite::Result<Connected> {
        let line = directory::ensure_line(tx, self.portal, self.connector, &self.line, &new_hash())?;
        let mut ended = Vec::new();
        if let Some(entity) = &self.entity
            && let Some(holder) = directory::line_by_entity(tx.db(), self.connector, entity)?
            && holder.id != line.id
        {
            directory::retire_line(tx, holder.id)?;
            queue::push(tx, holder.id, self.connector, None, &Body::Notice(Notice::Deactivated))?;
            let detail = format!("the entity now belongs to line {} ({})", line.id, self.who);
            directory::journal(tx, &self.who, "takeover", Some(holder.id), &detail)?;
            ended.push(holder);
        }
        directory::save_settings(tx, line.id, &self.settings, self.entity.as_deref())?;
        directory::journal(tx, &self.who, "settings saved", Some(line.id), "")?;
        let line = directory::line_by_id(tx.db(), line.id)?.unwrap_or(line);
        Ok(Connected { line, ended })
    }
}

/// Ends a line for good: its hash and settings go at once, what waited becomes dead letters, then the row goes.
pub fn remove(writer: &Writer, wait: Duration, line: LineId, who: &str) -> Result<(), WriteError> {
    const WHY: &str = "the line was removed";
    let owner = who.to_owned();
    writer.write(wait, move |tx| {
        directory::retire_line(tx, line)?;
        directory::journal(tx, &owner, "line removed", Some(line), "")
    })?;
    loop {
        let moved = writer.write(wait, move |tx| {
            let incoming = dead::bury_line(tx, Direction::In, line, dead::Reason::LineRemoved, WHY, STEP)?;
            let outgoing = dead::bury_line(tx, Direction::Out, line, dead::Reason::LineRemoved, WHY, STEP)?;
            if incoming + outgoing == 0 {
                directory::remove_line(tx, line)?;
            }
            Ok(incoming + outgoing)
        })?;
        if moved == 0 {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::clock::SystemClock;
    use crate::secret::Secret;
    use crate::store::directory::NewPortal;
    use crate::store::{Store, counters};

    /// A line that was taken over and whose portal has not heard of it yet still has the notice in its queue. Removing
    /// such a line once failed on that row for ever.
    #[test]
    fn a_line_with_an_unheard_deactivation_can_be_removed() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let (writer, thread) = Writer::start(store.writing().unwrap(), Arc::new(SystemClock::new()), || ()).unwrap();
        let wait = Duration::from_secs(5);
        let line = writer
            .write(wait, |tx| {
                let new = NewPortal {
                    name: "p".into(),
                    protocol: "box",
                    url: "https://p.test".into(),
                    licence: "l".into(),
                    key: Secret::new("k"),
                };
                let portal = directory::add_portal(tx.db(), &new, tx.now)?;
                let line = directory::ensure_line(tx, portal, "x", "1", "h")?.id;
                queue::push(tx, line, "x", None, &Body::Notice(Notice::Deactivated))?;
                Ok(line)
            })
            .unwrap();
        remove(&writer, wait, line, "test").unwrap();
        thread.stop();
        let db = store.reading().unwrap();
        assert!(directory::line_by_id(&db, line).unwrap().is_none());
        let sums = counters::accounting(&db).unwrap();
        assert_eq!((sums.dead, sums.difference()), (1, 0));
    }
}
