//! Portal → server: from the bytes of a body to a proved command with typed arguments (`portal-box.md` §3). Nothing but
//! `BX_LICENCE` is looked at before the signature has been checked.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::attach;
use super::form::Form;
use super::php::{self, Value};
use crate::message::{OutFile, Outgoing, OutgoingKind, PortalRef};
use crate::secret::Secret;

/// Why a request is not carried out. Its code and sentence go to the portal's page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Not a form of this protocol.
    Malformed(&'static str),
    /// A cloud portal's request: its signature can't be checked by anybody but its vendor.
    Cloud,
    /// No portal with this licence is registered here.
    UnknownPortal,
    /// The signature is wrong.
    Signature,
    /// `DATA` can't be read.
    Data(String),
}

impl Refusal {
    /// The `CODE` of the reply.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "REQUEST_MALFORMED",
            Self::Cloud => "CLOUD_PORTAL",
            // The same for both, so that nobody learns which licences are known here.
            Self::UnknownPortal | Self::Signature => "LICENCE_ERROR",
            Self::Data(_) => "DATA_MALFORMED",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(why) => write!(f, "the request can't be read: {why}"),
            Self::Cloud => f.write_str("cloud portals are connected by REST, not by this address"),
            Self::UnknownPortal | Self::Signature => f.write_str(
                "the licence key does not fit; register the portal on the connector server with `trunkline portal add`",
            ),
            Self::Data(why) => write!(f, "the request's data can't be read: {why}"),
        }
    }
}

impl std::error::Error for Refusal {}

/// The commands of `portal-box.md` §3.4 that the server knows.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the wire's own name")]
pub enum Name {
    ListConnector,
    SaveDomainSite,
    DeleteLine,
    InfoConnectorsLine,
    SaveSettings,
    SaveSettingsBotFramework,
    ReadSettings,
    GetAuthorizationInformation,
    TestConnect,
    Register,
    Unregister,
    DeleteConnector,
    InfoConnect,
    InfoConnectLink,
    SendMessage,
    UpdateMessage,
    DeleteMessage,
    SetStatusDelivered,
    SetStatusReading,
    InitializeReceiveMessages,
    StartSession,
    FinishSession,
    Unknown(String),
}

impl Name {
    /// Names are compared without regard to case.
    fn read(text: &str) -> Self {
        match text.to_ascii_lowercase().as_str() {
            "listconnector" => Self::ListConnector,
            "savedomainsite" => Self::SaveDomainSite,
            "deleteline" => Self::DeleteLine,
            "infoconnectorsline" => Self::InfoConnectorsLine,
            "savesettings" => Self::SaveSettings,
            "savesettingsbotframework" => Self::SaveSettingsBotFramework,
            "readsettings" => Self::ReadSettings,
            "getauthorizationinformation" => Self::GetAuthorizationInformation,
            "testconnect" => Self::TestConnect,
            "register" => Self::Register,
            "unregister" => Self::Unregister,
            "deleteconnector" => Self::DeleteConnector,
            "infoconnect" => Self::InfoConnect,
            "infoconnectlink" => Self::InfoConnectLink,
            "sendmessage" => Self::SendMessage,
            "updatemessage" => Self::UpdateMessage,
            "deletemessage" => Self::DeleteMessage,
            "setstatusdelivered" => Self::SetStatusDelivered,
            "setstatusreading" => Self::SetStatusReading,
            "initializereceivemessages" => Self::InitializeReceiveMessages,
            "startsession" => Self::StartSession,
            "finishsession" => Self::FinishSession,
            _ => Self::Unknown(text.to_owned()),
        }
    }
}

/// Arguments by shape.
#[derive(Clone, Debug, PartialEq)]
pub enum Args {
    /// None, or none that matter.
    None,
    /// One text or number: a line, an address. `None` when it was a stub.
    Text(Option<String>),
    /// `{key: value}`; `None` for a stub.
    Settings(Vec<(String, Option<String>)>),
    /// Operators' messages; elements that can't be read are left out and logged.
    Messages(Vec<Outgoing>),
    /// `(chat, message)` of a status.
    Statuses(Vec<(String, String)>),
}

/// A request whose sender is not yet proved.
#[derive(Debug)]
pub struct Unproved(Form);

/// A proved command.
#[derive(Clone, Debug, PartialEq)]
pub struct Command {
    /// What to do.
    pub name: Name,
    /// Connector id as sent, possibly virtual; `all` for portal-wide commands.
    pub connector: String,
    /// The portal's line number; `None` for a stub.
    pub line: Option<String>,
    /// `BX_DOMAIN` without a trailing slash.
    pub domain: String,
    /// Module version, `BX_VERSION`.
    pub version: String,
    /// Arguments.
    pub args: Args,
}

/// The fields a portal sends, in this order; others may stand between them (`portal-box.md` §3.2).
const ORDER: [&str; 9] =
    ["BX_COMMAND", "BX_LICENCE", "BX_DOMAIN", "BX_TYPE", "BX_VERSION", "CONNECTOR", "LINE", "DATA", "BX_HASH"];

/// Reads a body as far as the fields.
pub fn decode(body: &[u8]) -> Result<Unproved, Refusal> {
    let form = Form::decode(body)?;
    let known: Vec<&str> = form.0.iter().map(|(name, _)| name.as_str()).filter(|name| ORDER.contains(name)).collect();
    if known != ORDER {
        return Err(Refusal::Malformed("a field is missing or stands in another place"));
    }
    if form.get("BX_TYPE") != Some("CP") {
        return Err(Refusal::Cloud);
    }
    Ok(Unproved(form))
}

impl Unproved {
    /// `BX_LICENCE`, the public account id: finds the portal whose key proves the rest.
    pub fn licence(&self) -> &str {
        self.0.get("BX_LICENCE").unwrap_or_default()
    }

    /// Checks the signature with the portal's `K`, then reads the rest.
    pub fn prove(self, key: &Secret) -> Result<Command, Refusal> {
        let form = self.0;
        if !form.is_signed_with(key) {
            return Err(Refusal::Signature);
        }
        let field = |name| form.get(name).unwrap_or_default();
        let data = STANDARD
            .decode(field("DATA"))
            .map_err(|_| Refusal::Data("it is not base64".to_owned()))
            .and_then(|bytes| php::decode(&bytes).map_err(|error| Refusal::Data(error.to_string())))?;
        let name = Name::read(field("BX_COMMAND"));
        let connector = field("CONNECTOR").to_owned();
        let domain = not_stub(field("BX_DOMAIN")).unwrap_or_default().trim_end_matches('/').to_owned();
        let args = args(&name, &Sender { connector: &connector, domain: &domain }, &data)?;
        Ok(Command {
            line: not_stub(field("LINE")).map(str::to_owned),
            domain,
            version: field("BX_VERSION").chars().take(32).collect(),
            name,
            connector,
            args,
        })
    }
}

/// `""`, `#EMPTY#` and `#EMPTY_ARRAY#` are one and the same thing, anywhere (§2.3).
fn not_stub(text: &str) -> Option<&str> {
    (!matches!(text, "" | "#EMPTY#" | "#EMPTY_ARRAY#")).then_some(text)
}

/// A scalar as text; ids come as int or text without any rule.
pub(super) fn text(value: Option<&Value>) -> Option<String> {
    match value? {
        Value::Str(text) => not_stub(text).map(str::to_owned),
        Value::Int(number) => Some(number.to_string()),
        Value::Float(number) => Some(number.to_string()),
        Value::Bool(true) => Some("1".to_owned()),
        Value::Bool(false) | Value::Null | Value::Array(_) => None,
    }
}

/// What of the form an element of the data is read with.
struct Sender<'a> {
    connector: &'a str,
    domain: &'a str,
}

fn args(name: &Name, sender: &Sender<'_>, data: &Value) -> Result<Args, Refusal> {
    let first = data.items().next();
    Ok(match name {
        Name::SaveDomainSite | Name::DeleteLine | Name::InfoConnectorsLine => Args::Text(text(first)),
        Name::SaveSettings | Name::SaveSettingsBotFramework => Args::Settings(settings(first)?),
        Name::SendMessage | Name::UpdateMessage | Name::DeleteMessage => {
            Args::Messages(list(first)?.filter_map(|element| message(name, sender, element)).collect())
        }
        Name::SetStatusDelivered | Name::SetStatusReading => Args::Statuses(
            list(first)?
                .filter_map(|element| Some((inner(element, "chat", "id")?, inner(element, "message", "id")?)))
                .collect(),
        ),
        Name::ListConnector
        | Name::ReadSettings
        | Name::GetAuthorizationInformation
        | Name::TestConnect
        | Name::Register
        | Name::Unregister
        | Name::DeleteConnector
        | Name::InfoConnect
        | Name::InfoConnectLink
        | Name::InitializeReceiveMessages
        | Name::StartSession
        | Name::FinishSession
        | Name::Unknown(_) => Args::None,
    })
}

fn settings(first: Option<&Value>) -> Result<Vec<(String, Option<String>)>, Refusal> {
    match first {
        Some(Value::Array(pairs)) => Ok(pairs
            .iter()
            .filter_map(|(key, value)| match key {
                php::Key::Str(key) => Some((key.clone(), text(Some(value)))),
                php::Key::Int(_) => None,
            })
            .collect()),
        Some(Value::Str(stub)) if not_stub(stub).is_none() => Ok(Vec::new()),
        _ => Err(Refusal::Data("the settings are no map".to_owned())),
    }
}

fn list(first: Option<&Value>) -> Result<impl Iterator<Item = &Value>, Refusal> {
    match first {
        Some(list @ Value::Array(_)) => Ok(list.items()),
        _ => Err(Refusal::Data("a list of messages was expected".to_owned())),
    }
}

fn inner(element: &Value, outer: &str, name: &str) -> Option<String> {
    text(element.get(outer)?.get(name))
}

/// One element of `sendMessage`, `updateMessage`, `deleteMessage` (§5.1).
fn message(name: &Name, sender: &Sender<'_>, element: &Value) -> Option<Outgoing> {
    let built = build(name, sender, element);
    if built.is_none() {
        log::warn!(connector = sender.connector; "an element of a portal's command can't be read and was left out");
    }
    built
}

fn build(name: &Name, sender: &Sender<'_>, element: &Value) -> Option<Outgoing> {
    let chat = inner(element, "chat", "id")?;
    let body = element.get("message");
    let im = PortalRef {
        chat_id: inner(element, "im", "chat_id").unwrap_or_default(),
        message_id: inner(element, "im", "message_id").unwrap_or_default(),
    };
    let said = || body.and_then(|body| text(body.get("text"))).unwrap_or_default();
    let kind = match name {
        Name::SendMessage if body.and_then(|body| text(body.get("type"))).as_deref() == Some("typing_start") => {
            OutgoingKind::Typing
        }
        Name::SendMessage => {
            let files: Vec<OutFile> = body
                .and_then(|body| body.get("files"))
                .into_iter()
                .flat_map(Value::items)
                .filter_map(|value| file(value, sender.domain))
                .collect();
            let mut text = said();
            if text.is_empty() && files.is_empty() {
                text = body.and_then(|body| body.get("attachments")).map(attach::text).unwrap_or_default();
            }
            if text.is_empty() && files.is_empty() || im.message_id.is_empty() {
                return None;
            }
            OutgoingKind::Send { text, files }
        }
        Name::UpdateMessage => {
            let ids = body.and_then(|body| body.get("id"))?;
            let ids: Vec<String> = match ids {
                Value::Array(_) => ids.items().filter_map(|id| text(Some(id))).collect(),
                other => text(Some(other)).into_iter().collect(),
            };
            if ids.is_empty() {
                return None;
            }
            OutgoingKind::Update { ids, text: said() }
        }
        Name::DeleteMessage => OutgoingKind::Delete { id: inner(element, "message", "id")? },
        _ => return None,
    };
    let service_url = text(element.get("service_url"));
    Some(Outgoing { connector: sender.connector.to_lowercase(), chat, im, kind, service_url })
}

fn file(value: &Value, domain: &str) -> Option<OutFile> {
    let link = text(value.get("link"))?;
    // Short links (`/~xxxxx`) are the portal's own; elsewhere only the whole address leads to them.
    let link = if link.starts_with('/') && !link.starts_with("//") { format!("{domain}{link}") } else { link };
    Some(OutFile {
        name: text(value.get("name")).unwrap_or_else(|| "file".to_owned()),
        image: text(value.get("type")).as_deref() == Some("image"),
        mime: text(value.get("mime")),
        link,
    })
}
