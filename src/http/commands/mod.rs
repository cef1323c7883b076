//! Boxed portals' commands: verify, decode, do, answer. What the portal can show is always HTTP 200 with `OK:false` and a
//! list of errors; 4xx and 5xx only where there is no such body (`interface.md` §6).
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
use super::service::{Service, not_stored, unavailable};
use super::{Request, Response};
use crate::channels::Connector;
use crate::portals::boxed::command::{Args, Command, Name, Refusal, decode};
use crate::portals::boxed::reply;
use crate::records::{Line, Portal, Settings};
use crate::sender::Event;
use crate::store::directory;

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
