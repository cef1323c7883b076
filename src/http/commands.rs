//! Boxed portals' commands: verify, decode, do, answer. What the portal can show is always HTTP 200 with `OK:false` and a
//! list of errors; 4xx and 5xx only where there is no such body (`interface.md` §6).
//!
//! Commands that the portal does not wait for are stored before anything else, so that a closed socket loses nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use crossbeam_channel::bounded;
use serde_json::{Value, json};

use super::service::{Service, not_stored, unavailable};
use super::{Request, Response};
use crate::channels::Connector;
use crate::message::Outgoing;
use crate::outbox::{self, Lane};
use crate::portals::boxed::command::{Args, Command, Name, Refusal, decode};
use crate::portals::boxed::reply;
use crate::portals::protocol;
use crate::records::{Line, Portal, Settings};
use crate::registry::{self, Connect};
use crate::sender::Event;
use crate::store::directory;

/// How long a confirmation's handler waits for its deletion to be on the disk; the answer does not depend on it.
const STATUS_WAIT: Duration = Duration::from_secs(5);

/// Why a command was not carried out; both parts reach the portal's page.
struct Refused {
    code: String,
    message: String,
}

impl Refused {
    fn new(code: &str, message: impl Into<String>) -> Self {
        Self { code: code.to_owned(), message: message.into() }
    }
}

/// What a command comes to: the reply's body, or an answer without one (not stored).
enum Failure {
    Refused(Refused),
    Http(Response),
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        log::error!(error:% = error; "a command can't read the database");
        Self::Http(unavailable("the database can't be read at the moment"))
    }
}

impl From<crate::store::WriteError> for Failure {
    fn from(error: crate::store::WriteError) -> Self {
        Self::Http(not_stored(&error))
    }
}

/// `POST /imwebhook/portal.php`.
pub(super) fn portal(service: &Service, request: &Request) -> Response {
    let outcome = prove(service, &request.body).and_then(|(portal, command)| {
        let done = carry_out(service, &portal, &command);
        if let Err(Failure::Refused(refused)) = &done {
            log::warn!(
                portal = portal.name.as_str(), connector = command.connector.as_str(), error = refused.message.as_str();
                "a portal's command was refused"
            );
        }
        done
    });
    match outcome {
        Ok(body) => closing(Response::text(200, "application/json; charset=utf-8", body.to_string())),
        Err(Failure::Refused(refused)) => {
            let body = reply::error(&refused.code, &refused.message).to_string();
            closing(Response::text(200, "application/json; charset=utf-8", body))
                .with("x-bitrix-error", header_safe(&refused.code))
        }
        Err(Failure::Http(response)) => closing(response),
    }
}

/// Portals read to the end of the stream.
fn closing(mut response: Response) -> Response {
    response.close = true;
    response
}

fn header_safe(code: &str) -> String {
    code.chars().filter(|char| char.is_ascii_alphanumeric() || *char == '_').collect()
}

/// Signature first, then everything else.
fn prove(service: &Service, body: &[u8]) -> Result<(Portal, Command), Failure> {
    let refuse = |refusal: Refusal| {
        log::warn!(error:% = refusal; "a portal's request was refused");
        Failure::Refused(Refused::new(refusal.code(), refusal.to_string()))
    };
    let unproved = decode(body).map_err(refuse)?;
    let db = service.reader().map_err(Failure::Http)?;
    let Some(portal) = directory::portal_by_licence(&db, unproved.licence())? else {
        return Err(refuse(Refusal::UnknownPortal));
    };
    let command = unproved.prove(&portal.key).map_err(refuse)?;
    note_version(service, &portal, &command);
    service.sender.tell(Event::Alive(portal.id));
    Ok((portal, command))
}

/// Keeps the version that decides emoji and confirmations; the sender learns of a new one.
fn note_version(service: &Service, portal: &Portal, command: &Command) {
    let (id, version) = (portal.id, command.version.clone());
    let news = portal.version.as_deref() != Some(version.as_str());
    let sender = service.sender.clone();
    service.writer.submit(
        move |tx| directory::portal_seen(tx, id, &version),
        move |result| {
            if news && result.is_ok() {
                sender.tell(Event::Changed);
            }
        },
    );
}

fn carry_out(service: &Service, portal: &Portal, command: &Command) -> Result<Value, Failure> {
    match (&command.name, &command.args) {
        (_, Args::Messages(messages)) => send(service, portal, command, messages),
        (Name::SetStatusDelivered, Args::Statuses(named)) => delivered(service, portal, command, named),
        // Operators' reading marks: no channel here takes them yet.
        (Name::SetStatusReading | Name::InitializeReceiveMessages, _) => Ok(reply::ok(&json!({}))),
        (Name::ListConnector, _) => Ok(reply::ok(&list(service))),
        (Name::SaveDomainSite, Args::Text(Some(url))) => save_domain(service, portal, url),
        (Name::DeleteLine, Args::Text(Some(number))) => delete_line(service, portal, number),
        (Name::InfoConnectorsLine, Args::Text(Some(number))) => info_line(service, portal, number),
        (Name::SaveSettings | Name::SaveSettingsBotFramework, Args::Settings(given)) => {
            save(service, portal, command, given)
        }
        (Name::ReadSettings, _) => read_settings(service, portal, command),
        (Name::GetAuthorizationInformation, _) => authorization(service, portal, command),
        (Name::TestConnect, _) => test(service, portal, command),
        (Name::Register, _) => register(service, portal, command),
        // Sent before the first save of every form: nothing is registered with the channel that could be taken back,
        // and the settings must survive it.
        (Name::Unregister, _) => target(service, command).map(|_| reply::ok(&json!({}))),
        (Name::DeleteConnector, _) => delete_connector(service, portal, command),
        (Name::InfoConnect, _) => info(service, portal, command),
        (Name::InfoConnectLink, _) => info_link(service, portal, command),
        (Name::Unknown(name), _) => Err(Refused::new(
            "COMMAND_UNKNOWN",
            format!("this server has no command `{}`", crate::text::clean_name(name, 50)),
        )
        .into()),
        (name, _) => Err(Refused::new("ARGUMENTS_WRONG", format!("the arguments of {name:?} can't be read")).into()),
    }
}

/// The connector and the portal's line number that a command names.
fn target<'a>(service: &'a Service, command: &Command) -> Result<(&'a dyn Connector, String), Failure> {
    let Some(connector) = service.factory.get(&command.connector) else {
        let name = crate::text::clean_name(&command.connector, 50);
        return Err(Refused::new("CONNECTOR_UNKNOWN", format!("this server has no connector `{name}`")).into());
    };
    match &command.line {
        Some(line) if !line.is_empty() && line.len() <= 20 => Ok((connector.as_ref(), line.clone())),
        _ => Err(Refused::new("LINE_MISSING", "the command names no line").into()),
    }
}

/// The line that a command names; only this portal's own lines are ever looked at.
fn line_of(service: &Service, portal: &Portal, command: &Command) -> Result<(Line, Settings), Failure> {
    let (connector, number) = target(service, command)?;
    let db = service.reader().map_err(Failure::Http)?;
    let Some(line) = directory::line_of(&db, portal.id, connector.name(), &number)? else {
        return Err(not_connected());
    };
    let settings = directory::settings(&db, line.id)?;
    if settings.is_empty() { Err(not_connected()) } else { Ok((line, settings)) }
}

fn not_connected() -> Failure {
    Refused::new("LINE_NOT_CONNECTED", "this line is not connected to a channel; save its settings first").into()
}

/// Operators' messages: stored, then answered, then sent. Repeats of `im.message_id` add nothing.
fn send(service: &Service, portal: &Portal, command: &Command, messages: &[Outgoing]) -> Result<Value, Failure> {
    if messages.is_empty() {
        return Err(Refused::new("MESSAGE_EMPTY", "the command carries no message that can be read").into());
    }
    let (line, _) = line_of(service, portal, command)?;
    let (id, batch) = (line.id, messages.to_vec());
    service.writer.write(service.commit_wait, move |tx| {
        for message in &batch {
            outbox::push(tx, id, message)?;
        }
        Ok(())
    })?;
    for message in messages {
        service.dispatcher.wake(Lane { line: id, chat: message.chat.clone() });
    }
    Ok(reply::ok(&json!({})))
}

fn delivered(
    service: &Service,
    portal: &Portal,
    command: &Command,
    named: &[(String, String)],
) -> Result<Value, Failure> {
    let (connector, number) = target(service, command)?;
    let db = service.reader().map_err(Failure::Http)?;
    let Some(line) = directory::line_of(&db, portal.id, connector.name(), &number)? else {
        return Err(not_connected());
    };
    let (done, on_disk) = bounded(1);
    service.sender.tell(Event::Status {
        line: line.id,
        connector: command.connector.clone(),
        named: named.to_vec(),
        done: Some(done),
    });
    if on_disk.recv_timeout(STATUS_WAIT).is_err() {
        log::warn!(line:% = line.id; "a confirmation is not on the disk yet");
    }
    Ok(reply::ok(&json!({})))
}

/// Every real and virtual id; the portal offers a connector when its id is among them.
fn list(service: &Service) -> Value {
    let mut ids = BTreeMap::new();
    for connector in service.factory.iter() {
        ids.insert(connector.name(), connector.name());
        for channel in connector.virtuals() {
            ids.insert(channel.id, channel.id);
        }
    }
    json!(ids)
}

/// A new public address is stored only after the portal has answered there with its own key (`portal-box.md` §10).
fn save_domain(service: &Service, portal: &Portal, url: &str) -> Result<Value, Failure> {
    const PREFIX: &str = "IM_CONNECTOR_SERVER_ERROR_";
    let refuse = |tail: &str, why: String| Failure::from(Refused::new(&format!("{PREFIX}{tail}"), why));
    let parsed = url::Url::parse(url).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    let Some(parsed) = parsed else {
        return Err(refuse("PUBLIC_URL_MALFORMED", "the address can't be read".to_owned()));
    };
    let mut moved = portal.clone();
    parsed.as_str().trim_end_matches('/').clone_into(&mut moved.url);
    if moved.url == portal.url {
        return Ok(reply::ok(&json!({})));
    }
    // The address came in a message: where it may lead is decided by the rule for learned addresses, unless the host is
    // the one the administrator wrote.
    let same_host = url::Url::parse(&portal.url).is_ok_and(|known| known.host() == parsed.host());
    if !same_host {
        service
            .net
            .call(crate::net::Call::probe(&moved.url))
            .map_err(|error| refuse("PUBLIC_URL_FAIL", error.to_string()))?;
    }
    let Some(protocol) = protocol(&portal.protocol) else { return Err(not_connected()) };
    protocol
        .test(service.net.as_ref(), &moved, probe_connector(service), "0")
        .map_err(|error| refuse("PUBLIC_URL_CONNECT_ERROR", error.to_string()))?;
    let (id, to) = (portal.id, moved.url);
    let who = format!("portal {}", portal.name);
    service.writer.write(service.commit_wait, move |tx| {
        directory::move_portal(tx.db(), id, &to)?;
        directory::journal(tx, &who, "portal moved", None, &to)
    })?;
    service.sender.tell(Event::Changed);
    Ok(reply::ok(&json!({})))
}

/// `CONNECTOR` of a request that is about no connector must still not be empty.
fn probe_connector(service: &Service) -> &'static str {
    service.factory.iter().next().map_or("all", |connector| connector.name())
}

fn delete_line(service: &Service, portal: &Portal, number: &str) -> Result<Value, Failure> {
    let db = service.reader().map_err(Failure::Http)?;
    let lines = directory::lines_of_portal(&db, portal.id)?;
    drop(db);
    for line in lines.into_iter().filter(|line| line.line == number) {
        remove(service, portal, &line)?;
    }
    Ok(reply::ok(&json!({})))
}

fn delete_connector(service: &Service, portal: &Portal, command: &Command) -> Result<Value, Failure> {
    let (connector, number) = target(service, command)?;
    let db = service.reader().map_err(Failure::Http)?;
    let line = directory::line_of(&db, portal.id, connector.name(), &number)?;
    drop(db);
    // A line that is gone already is as deleted as it can be.
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

fn save(
    service: &Service,
    portal: &Portal,
    command: &Command,
    given: &[(String, Option<String>)],
) -> Result<Value, Failure> {
    let (connector, number) = target(service, command)?;
    let db = service.reader().map_err(Failure::Http)?;
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
fn read_settings(service: &Service, portal: &Portal, command: &Command) -> Result<Value, Failure> {
    let (connector, number) = target(service, command)?;
    let db = service.reader().map_err(Failure::Http)?;
    let settings = match directory::line_of(&db, portal.id, connector.name(), &number)? {
        Some(line) => directory::settings(&db, line.id)?,
        None => Settings::default(),
    };
    let known: BTreeMap<&str, &str> = settings.keys().map(|key| (key, "#HIDDEN#")).collect();
    Ok(reply::ok_result(&json!(known)))
}

/// The form: visible values, placeholders for secrets, and the webhook address, which exists from now on.
fn authorization(service: &Service, portal: &Portal, command: &Command) -> Result<Value, Failure> {
    let line = ensure_line(service, portal, command)?;
    let (connector, _) = target(service, command)?;
    let db = service.reader().map_err(Failure::Http)?;
    let settings = directory::settings(&db, line.id)?;
    let mut form = BTreeMap::new();
    for field in connector.fields() {
        let shown = match settings.get(field.key) {
            Some(_) if field.secret => "#HIDDEN#".to_owned(),
            Some(value) => crate::text::clean_html_value(value),
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
fn test(service: &Service, portal: &Portal, command: &Command) -> Result<Value, Failure> {
    let line = ensure_line(service, portal, command)?;
    let (connector, number) = target(service, command)?;
    let (_, settings) = line_of(service, portal, command)?;
    connector.test(&settings).map_err(|error| Failure::from(Refused::new(error.code, error.message)))?;
    let Some(protocol) = protocol(&portal.protocol) else { return Err(not_connected()) };
    protocol.test(service.net.as_ref(), portal, connector.name(), &number).map_err(|error| {
        let why = format!("the portal at {} can't be reached from the connector server: {error}", portal.url);
        Failure::from(Refused::new("PORTAL_UNREACHABLE", why))
    })?;
    // The channel's word counts for the line's state too: a broken line is whole again.
    let id = line.id;
    service.writer.write(service.commit_wait, move |tx| directory::mend(tx, id))?;
    changed(service);
    Ok(reply::ok(&json!({})))
}

/// Nothing to set at the channel: the administrator of the channel enters the webhook address there.
fn register(service: &Service, portal: &Portal, command: &Command) -> Result<Value, Failure> {
    ensure_line(service, portal, command)?;
    line_of(service, portal, command)?;
    Ok(reply::ok(&json!({})))
}

fn info(service: &Service, portal: &Portal, command: &Command) -> Result<Value, Failure> {
    let (_, settings) = line_of(service, portal, command)?;
    let (connector, _) = target(service, command)?;
    let info = connector.info(&settings);
    Ok(reply::ok(&json!({
        "id": crate::text::clean_html_value(&info.id), "name": crate::text::clean_html_value(&info.name),
        "url": info.url, "url_im": info.links.first().map_or(info.url.clone(), |(_, url)| url.clone()),
    })))
}

fn info_link(service: &Service, portal: &Portal, command: &Command) -> Result<Value, Failure> {
    let (_, settings) = line_of(service, portal, command)?;
    let (connector, _) = target(service, command)?;
    let info = connector.info(&settings);
    let mut keys = BTreeMap::from([("ID", crate::text::clean_html_value(&info.id)), ("URL", info.url)]);
    for (channel, url) in info.links {
        if let Some(key) = reply::link_key(&channel) {
            keys.insert(key, url);
        }
    }
    Ok(reply::ok(&json!(keys)))
}

/// What the portal's site widgets link to, for every connector of one line.
fn info_line(service: &Service, portal: &Portal, number: &str) -> Result<Value, Failure> {
    let db = service.reader().map_err(Failure::Http)?;
    let mut all = serde_json::Map::new();
    for line in directory::lines_of_portal(&db, portal.id)?.into_iter().filter(|line| line.line == number) {
        let settings = directory::settings(&db, line.id)?;
        let Some(connector) = service.factory.get(&line.connector).filter(|_| !settings.is_empty()) else { continue };
        let info = connector.info(&settings);
        for (channel, url) in info.links {
            let name = crate::text::clean_html_value(&info.name);
            all.insert(
                channel,
                json!({"id": crate::text::clean_html_value(&info.id), "url": url, "url_im": url, "name": name}),
            );
        }
    }
    Ok(reply::ok(&Value::Object(all)))
}
