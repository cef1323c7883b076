//! Database and server.

use crate::doctor::facts::{Database, Ready, Server};
use crate::doctor::{Facts, Finding, Severity, words};
use crate::store::look::WriteLock;

/// Reasons of a server that is not ready which this program sees for itself and tells in its own words.
const TOLD_ELSEWHERE: &[&str] = &["disk_full", "accounting"];

pub(super) fn readable(facts: &Facts) -> Vec<Finding> {
    let name = facts.folder().join(crate::store::FILE);
    let name = name.display();
    let broken = |code, message: String, remedy: &str| {
        vec![Finding::new(Severity::Broken, code, "database", message).remedy(remedy)]
    };
    match &facts.database {
        Database::Open(_) | Database::Missing => Vec::new(),
        Database::Refused(why) => {
            let message = format!("`{name}` can't be read: {why}.");
            broken("database_refused", message, &format!("ls -l {}", facts.folder().display()))
        }
        Database::Damaged(why) => {
            let message = format!(
                "`{name}` is damaged ({why}). Stop the server, keep a copy of the file as it is, and bring back a backup; \
                 what can still be read of it can be saved with sqlite3."
            );
            broken("database_damaged", message, "sudo systemctl stop trunkline")
        }
        Database::Schema { found, known } if found > known => {
            let message = format!(
                "`{name}` has schema {found} and this program knows up to {known}: it was written by a newer one. \
                 Install that again."
            );
            broken("schema_newer", message, "trunkline --version")
        }
        Database::Schema { found, known } => {
            let message = format!(
                "`{name}` has schema {found}; a server of this version brings it to {known} when it starts, and only then \
                 can it be examined."
            );
            let finding = Finding::new(Severity::Warning, "schema_older", "database", message);
            vec![finding.remedy("sudo systemctl restart trunkline")]
        }
    }
}

pub(super) fn locked(facts: &Facts) -> Vec<Finding> {
    let Some(contents) = facts.contents().filter(|contents| contents.write_lock == WriteLock::Held) else {
        return Vec::new();
    };
    let who = contents.lock_holder.as_deref().unwrap_or("another process");
    let message = format!(
        "The database is locked by {who}: until that ends nothing can be stored, and channels are answered 503 after \
         `http.commit_wait`."
    );
    let finding = Finding::new(Severity::Broken, "database_locked", "database", message);
    vec![finding.remedy(format!("sudo fuser -v {}", facts.folder().join(crate::store::FILE).display()))]
}

pub(super) fn accounting(facts: &Facts) -> Vec<Finding> {
    let Some(contents) = facts.contents().filter(|contents| contents.accounting.difference() != 0) else {
        return Vec::new();
    };
    let sums = contents.accounting;
    let difference = sums.difference();
    let what = if difference > 0 {
        format!("{difference} accepted messages are in no place: they were lost")
    } else {
        format!("{} messages were counted twice or came from nowhere", -difference)
    };
    let message = format!(
        "The sums do not agree: {} accepted, but {} confirmed + {} dead letters + {} in the queue + {} in the outbox make \
         {}. {what}, or somebody changed the database by hand. Please report it with this message.",
        sums.accepted,
        sums.confirmed,
        sums.dead,
        sums.queued,
        sums.outbox,
        sums.accepted - difference
    );
    let finding = Finding::new(Severity::Broken, "accounting", "database", message);
    vec![finding.remedy("trunkline dead list")]
}

pub(super) fn server(facts: &Facts) -> Vec<Finding> {
    match &facts.server {
        Server::Running(Ready::Yes | Ready::Unasked) => Vec::new(),
        Server::Running(Ready::Silent(why)) => {
            let message = format!(
                "A server has the data directory, but its admin side at {} gives no answer: {why}. It hangs, or it was \
                 started with another `admin_listen`.",
                facts.config.admin_listen
            );
            let finding = Finding::new(Severity::Broken, "server_silent", "server", message);
            vec![finding.remedy("sudo systemctl restart trunkline")]
        }
        Server::Running(Ready::No(reasons)) => reasons
            .iter()
            .filter(|(code, _)| !TOLD_ELSEWHERE.contains(&code.as_str()))
            .map(|(_, reason)| {
                let message = format!("The server says that it is not ready: {reason}.");
                let finding = Finding::new(Severity::Broken, "server_not_ready", "server", message);
                finding.remedy("journalctl -u trunkline -n 50")
            })
            .collect(),
        Server::Stopped => {
            let Some(contents) = facts.contents() else { return Vec::new() };
            let waiting = contents.accounting.queued + contents.accounting.outbox;
            let message = match waiting {
                0 => "The server does not run.".to_owned(),
                _ => format!("The server does not run, and {}.", words::waits(waiting)),
            };
            let finding = Finding::new(Severity::Warning, "server_stopped", "server", message);
            vec![finding.remedy("sudo systemctl start trunkline")]
        }
    }
}
