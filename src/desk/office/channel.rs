//! The settings page of a Bot Framework channel, in the order in which a portal's page calls the server
//! (`portal-box.md` §3.5, `portal-box-observed.md` §4).

use serde_json::Value as Json;

use super::settings::{self, line_id};
use super::{Office, OfficeError};
use crate::desk::CallError;
use crate::desk::office::events::EventKind;
use crate::portals::boxed::php::Value;

/// The real connector whose settings these are.
const CONNECTOR: &str = "botframework";
/// The form's fields, in the order in which they are sent.
const FIELDS: [&str; 13] = [
    "bot_handle",
    "app_id",
    "app_secret",
    "url_skypebot",
    "url_slack",
    "url_kik",
    "url_groupme",
    "url_twilio",
    "url_msteams",
    "url_webchat",
    "url_email",
    "url_telegram",
    "url_facebook",
];
/// First version that clears an existing connection before it saves; older ones clear a new one.
const CLEARS_EXISTING_FROM: u32 = 20;
/// First version that works without the server's list of connectors.
const WITHOUT_LIST_FROM: u32 = 18;

/// What the settings page of a channel shows.
#[derive(Clone, Debug, PartialEq)]
pub struct Channel {
    /// What is connected with the line, as the desk knows it.
    pub line: settings::Line,
    /// The address that the bot's own settings need.
    pub webhook: String,
    /// What the server keeps, by key; a secret is the text `#HIDDEN#`.
    pub settings: Json,
    /// Addresses at which customers reach the bot, by `URL_…`; null while nothing is connected.
    pub links: Json,
}

impl Office {
    fn ask(&self, line: &str, command: &str, args: Vec<Value>) -> Result<Json, CallError> {
        self.client.output(CONNECTOR, line).call(command, args)
    }

    /// 17.x works only with the server's list of connectors, which it asks for once a day.
    pub(super) fn knows_connectors(&self) -> bool {
        self.client.identity().major() >= WITHOUT_LIST_FROM || self.client.list_connectors().is_ok()
    }

    /// What the settings page shows; asks the server.
    pub fn channel(&self, line: &str) -> Result<Channel, OfficeError> {
        let line = self.line(line)?;
        let data = self.ask(&line.line, "getAuthorizationInformation", vec![])?;
        let webhook = data.pointer("/RESULT/URL_WEBHOOK").and_then(Json::as_str).ok_or(CallError::NotJson)?.to_owned();
        let settings = data.pointer("/RESULT/SETTINGS").cloned().unwrap_or_default();
        let links = if line.bot.is_some() { self.links(&line.line) } else { Json::Null };
        Ok(Channel { line, webhook, settings, links })
    }

    /// Addresses at which customers reach the bot; null when the server has none.
    fn links(&self, line: &str) -> Json {
        self.ask(line, "infoConnectLink", vec![]).unwrap_or_default()
    }

    /// Saves the form. `value` gives what was typed into a field; an empty secret stays as it is.
    pub fn save_channel(&self, line: &str, value: impl Fn(&str) -> String) -> Result<(), OfficeError> {
        let id = line_id(line)?;
        if !self.knows_connectors() {
            let words = "the list of connectors can't be had, so its page offers none";
            return Err(CallError::Refused(words.to_owned()).into());
        }
        let connected = self.line(id)?.bot.is_some();
        // The reply is ignored.
        if connected == (self.client.identity().major() >= CLEARS_EXISTING_FROM) {
            let _ = self.ask(id, "unregister", vec![]);
        }
        let form = FIELDS.map(|key| (key, Value::text(value(key).trim())));
        self.client.forget();
        self.ask(id, "saveSettingsBotFramework", vec![Value::map(form)])?;
        self.add_line(id)
    }

    /// Tests the connection; what passes is connected, under the name `bot`.
    pub fn test_channel(&self, line: &str, bot: &str) -> Result<(), OfficeError> {
        let id = line_id(line)?;
        self.ask(id, "testConnect", vec![])?;
        let was = self.line(id)?;
        let kind = if was.bot.is_some() { EventKind::UpdateStatus } else { EventKind::AddStatus };
        let event = self.connection(kind, CONNECTOR, id, serde_json::json!({"connected": true, "error": false}));
        self.store.write(|tx| {
            settings::set_bot(tx, id, Some(bot))?;
            self.keep_events(tx, std::slice::from_ref(&event))
        })?;
        self.client.forget();
        self.publish(&[event]);
        Ok(())
    }

    /// Ends the connection; on failure the desk keeps it, as a portal does.
    pub fn disconnect_channel(&self, line: &str) -> Result<(), OfficeError> {
        let id = line_id(line)?;
        self.ask(id, "deleteConnector", vec![])?;
        let event = self.connection(EventKind::DeleteStatus, CONNECTOR, id, serde_json::json!({"connected": false}));
        self.store.write(|tx| {
            settings::set_bot(tx, id, None)?;
            self.keep_events(tx, std::slice::from_ref(&event))
        })?;
        self.client.forget();
        self.publish(&[event]);
        Ok(())
    }
}
