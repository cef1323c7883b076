//! Boxed portals' commands: verify, decode, do, answer. What the portal can show is always HTTP 200 with `OK:false` and a
//! list of errors; 4xx and 5xx only for what was not stored or not even read (`interface.md` §6).
//!
//! Commands that the portal does not wait for are stored before anything else, so that a closed socket loses nothing.

mod domain;
mod info;
mod messages;
mod settings;

use serde_json::{Value, json};

use self::domain::save_domain;
use self::info::{info, info_line, info_link, list};
use self::messages::{delivered, send};
use self::settings::{authorization, delete_connector, delete_line, read_settings, register, save, test};
use super::service::Service;
use super::{Request, Response};
use crate::channels::Connector;
use crate::portals::boxed::command::{Args, Command, Name, Refusal, decode};
use crate::portals::boxed::reply;
use crate::records::{Line, Portal, Settings};
use crate::sender::Event;
use crate::store::readers::Reader;
use crate::store::{WriteError, directory};

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

/// Why a command has no result.
enum Failure {
    /// It must not or can't be done.
    Refused(Refused),
    /// It could not be stored or looked up; another try may succeed.
    Unavailable(&'static str),
}

const NO_DATABASE: Failure = Failure::Unavailable("the database can't be read at the moment");

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        log::error!(error:% = error; "a command can't read the database");
        NO_DATABASE
    }
}

impl From<WriteError> for Failure {
    fn from(error: WriteError) -> Self {
        // The writer says so once a while, for somebody must act.
        log::debug!(error:% = error; "a portal's command could not be stored");
        Self::Unavailable("the command could not be stored; try again")
    }
}

/// `POST /imwebhook/portal.php`.
pub(super) fn portal(service: &Service, request: &Request) -> Response {
    let outcome = prove(service, &request.body).and_then(|(portal, command)| {
        let done = carry_out(service, &portal, &command);
        if let Err(Failure::Refused(refused)) = &done {
            let connector = crate::text::clean_name(&command.connector, 50);
            log::warn!(
                portal = portal.name.as_str(), connector = connector.as_str(), error = refused.message.as_str();
                "a portal's command was refused"
            );
        }
        done
    });
    match outcome {
        Ok(body) => said(200, &body),
        Err(Failure::Refused(refused)) => {
            said(200, &reply::error(&refused.code, &refused.message)).with("x-bitrix-error", header_safe(&refused.code))
        }
        Err(Failure::Unavailable(message)) => in_portals_words(super::service::unavailable(message)),
    }
}

/// Portals read to the end of the stream.
fn said(status: u16, body: &Value) -> Response {
    let mut response = Response::text(status, "application/json; charset=utf-8", body.to_string());
    response.close = true;
    response
}

/// An answer of the public side's error shape that a portal can show as well: it looks at the body alone, and from
/// version 23 on at one header, whatever the status (`portal-box-observed.md` §3).
pub(super) fn in_portals_words(response: Response) -> Response {
    let error: Value = serde_json::from_slice(&response.body).unwrap_or_default();
    let word = |name: &str| error.pointer(name).and_then(Value::as_str).unwrap_or_default();
    let code = word("/error/code");
    let mut body = reply::error(code, word("/error/message"));
    if let (Some(body), Some(error)) = (body.as_object_mut(), error.get("error")) {
        body.insert("error".to_owned(), error.clone());
    }
    let mut answer = said(response.status, &body).with("x-bitrix-error", header_safe(code));
    answer.headers.extend(response.headers.into_iter().filter(|(name, _)| *name != "content-type"));
    answer
}

fn header_safe(code: &str) -> String {
    code.chars().filter(|char| char.is_ascii_alphanumeric() || *char == '_').collect()
}

fn reader(service: &Service) -> Result<Reader, Failure> {
    service.reader().map_err(|_| NO_DATABASE)
}

/// Signature first, then everything else.
fn prove(service: &Service, body: &[u8]) -> Result<(Portal, Command), Failure> {
    let refuse = |refusal: Refusal| {
        log::warn!(error:% = refusal; "a portal's request was refused");
        Failure::Refused(Refused::new(refusal.code(), refusal.to_string()))
    };
    let unproved = decode(body).map_err(refuse)?;
    let db = reader(service)?;
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
    // A stub or a word is no version; the last one known is nearer to the truth.
    if !command.version.starts_with(|char: char| char.is_ascii_digit()) {
        return;
    }
    let (id, version) = (portal.id, command.version.clone());
    let news = portal.version.as_deref() != Some(version.as_str());
    if !news && service.was_seen_lately(id) {
        return;
    }
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
        // Nothing that a channel here could do with them.
        (Name::StartSession | Name::FinishSession, _) => target(service, command).map(|_| reply::ok(&json!({}))),
        (Name::ListConnector, _) => Ok(reply::ok(&list(service))),
        (Name::SaveDomainSite, Args::Text(url)) => save_domain(service, portal, url.as_deref().unwrap_or_default()),
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
    let db = reader(service)?;
    let Some(line) = directory::line_of(&db, portal.id, connector.name(), &number)? else {
        return Err(not_connected());
    };
    let settings = directory::settings(&db, line.id)?;
    if settings.is_empty() { Err(not_connected()) } else { Ok((line, settings)) }
}

fn not_connected() -> Failure {
    Refused::new("LINE_NOT_CONNECTED", "this line is not connected to a channel; save its settings first").into()
}
