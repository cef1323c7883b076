//! What a portal's settings page does with a line: the form, saving, testing, deleting.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Failure, Refused, line_of, not_connected, reader, target};
use crate::http::service::Service;
use crate::portals::boxed::command::Command;
use crate::portals::boxed::reply;
use crate::portals::protocol;
use crate::records::{Line, Portal, Settings};
use crate::registry::{self, Connect};
use crate::sender::Event;
use crate::store::directory;

pub(super) fn save(
    service: &Service,
    portal: &Portal,
    command: &Command,
    given: &[(String, Option<String>)],
) -> Result<Value, Failure> {
    let (connector, number) = target(service, command)?;
    let db = reader(service)?;
    let stored = match directory::line_of(&db, portal.id, connector.name(), &number)? {
        Some(line) => directory::settings(&db, line.id)?,
        None => Settings::default(),
    };
    drop(db);
    let settings = registry::merge(connector, &stored, given);
    let who = format!("portal {}", portal.name);
    let connect = Connect::new(&service.factory, portal.id, connector.name(), &number, settings, who)
        .map_err(|error| Failure::from(Refused::new(error.code, error.message)))?;
    let done = service.writer.write(service.commit_wait, move |tx| connect.apply(tx))?;
    changed(service);
    for line in done.ended {
        log::info!(line:% = line.id, portal = portal.name.as_str(); "a line was taken over");
        service.sender.wake(line.id);
    }
    Ok(reply::ok(&json!({})))
}

/// Only that something is stored; a value never leaves.
pub(super) fn read_settings(service: &Service, portal: &Portal, command: &Command) -> Result<Value, Failure> {
    let (connector, number) = target(service, command)?;
    let db = reader(service)?;
    let settings = match directory::line_of(&db, portal.id, connector.name(), &number)? {
        Some(line) => directory::settings(&db, line.id)?,
        None => Settings::default(),
    };
    let known: BTreeMap<&str, &str> = settings.keys().map(|key| (key, registry::HIDDEN)).collect();
    Ok(reply::ok_result(&json!(known)))
}

/// The form: visible values, placeholders for secrets, and the webhook address, which exists from now on.
pub(super) fn authorization(service: &Service, portal: &Portal, command: &Command) -> Result<Value, Failure> {
    let line = ensure_line(service, portal, command)?;
    let (connector, _) = target(service, command)?;
    let db = reader(service)?;
    let settings = directory::settings(&db, line.id)?;
    let mut form = BTreeMap::new();
    for field in connector.fields() {
        let shown = match settings.get(field.key) {
            Some(_) if field.secret => registry::HIDDEN.to_owned(),
            Some(value) => reply::printable_setting(value),
            None => continue,
        };
        form.insert(field.key, shown);
    }
    let url = registry::webhook_url(&service.base_url(), line.hash.as_deref().unwrap_or_default());
    Ok(reply::ok_result(&json!({"SETTINGS": form, "URL_WEBHOOK": url})))
}

fn ensure_line(service: &Service, portal: &Portal, command: &Command) -> Result<Line, Failure> {
    let (connector, number) = target(service, command)?;
    let (id, name, hash) = (portal.id, connector.name(), registry::new_hash());
    Ok(service.writer.write(service.commit_wait, move |tx| directory::ensure_line(tx, id, name, &number, &hash))?)
}

/// Both ends: the channel takes the credentials, and the portal answers a signed request of ours while its own waits.
pub(super) fn test(service: &Service, portal: &Portal, command: &Command) -> Result<Value, Failure> {
    let line = ensure_line(service, portal, command)?;
    let (connector, number) = target(service, command)?;
    let (_, settings) = line_of(service, portal, command)?;
    connector.test(&settings).map_err(|error| Failure::from(Refused::new(error.code, error.message)))?;
    let Some(protocol) = protocol(&portal.protocol) else { return Err(not_connected()) };
    protocol.test(service.net.as_ref(), portal, connector.name(), &number).map_err(|error| {
        let mut why = format!("the portal at {} can't be reached from the connector server: {error}", portal.url);
        if !command.domain.is_empty() && command.domain != portal.url {
            let domain = reply::printable(&command.domain);
            why = format!("{why}; it says of itself that it is at {domain}: see `trunkline portal move`");
        }
        Failure::from(Refused::new("PORTAL_UNREACHABLE", why))
    })?;
    // The channel's word counts for the line's state too: a broken line is whole again.
    let id = line.id;
    service.writer.write(service.commit_wait, move |tx| directory::mend(tx, id))?;
    changed(service);
    Ok(reply::ok(&json!({})))
}

/// Nothing to set at the channel: the administrator of the channel enters the webhook address there.
pub(super) fn register(service: &Service, portal: &Portal, command: &Command) -> Result<Value, Failure> {
    ensure_line(service, portal, command)?;
    line_of(service, portal, command)?;
    Ok(reply::ok(&json!({})))
}

pub(super) fn delete_line(service: &Service, portal: &Portal, number: &str) -> Result<Value, Failure> {
    let db = reader(service)?;
    let lines = directory::lines_of_portal(&db, portal.id)?;
    drop(db);
    for line in lines.into_iter().filter(|line| line.line == number) {
        remove(service, portal, &line)?;
    }
    Ok(reply::ok(&json!({})))
}

pub(super) fn delete_connector(service: &Service, portal: &Portal, command: &Command) -> Result<Value, Failure> {
    // What is not here is as deleted as it can be, a connector of another server included: refusing would keep it at the
    // portal for ever.
    if service.factory.get(&command.connector).is_none() {
        return Ok(reply::ok(&json!({})));
    }
    let (connector, number) = target(service, command)?;
    let db = reader(service)?;
    let line = directory::line_of(&db, portal.id, connector.name(), &number)?;
    drop(db);
    if let Some(line) = line {
        remove(service, portal, &line)?;
    }
    Ok(reply::ok(&json!({})))
}

fn remove(service: &Service, portal: &Portal, line: &Line) -> Result<(), Failure> {
    registry::remove(&service.writer, service.commit_wait, line.id, &format!("portal {}", portal.name))?;
    changed(service);
    Ok(())
}

/// Settings or lines are different from now on.
fn changed(service: &Service) {
    service.sender.tell(Event::Changed);
    service.dispatcher.tell(crate::dispatcher::Event::Changed);
}
