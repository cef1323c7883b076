//! Wire structs of the Bot Framework. Lenient by rule: `null` means absent, unknown fields are ignored, ids may be
//! numbers, a field of the wrong type counts as absent. Only this folder sees them.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

/// One event of a channel.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Activity {
    #[serde(rename = "type", deserialize_with = "text")]
    pub(super) kind: String,
    #[serde(deserialize_with = "text")]
    pub(super) id: String,
    #[serde(deserialize_with = "text")]
    pub(super) timestamp: String,
    #[serde(deserialize_with = "text")]
    pub(super) service_url: String,
    #[serde(deserialize_with = "text")]
    pub(super) channel_id: String,
    #[serde(deserialize_with = "lenient")]
    pub(super) from: Account,
    #[serde(deserialize_with = "lenient")]
    pub(super) recipient: Account,
    #[serde(deserialize_with = "lenient")]
    pub(super) conversation: Conversation,
    #[serde(deserialize_with = "text")]
    pub(super) text: String,
    #[serde(deserialize_with = "text")]
    pub(super) summary: String,
    #[serde(deserialize_with = "text")]
    pub(super) locale: String,
    #[serde(deserialize_with = "text")]
    pub(super) name: String,
    #[serde(deserialize_with = "text")]
    pub(super) action: String,
    #[serde(deserialize_with = "text")]
    pub(super) delivery_mode: String,
    #[serde(deserialize_with = "list")]
    pub(super) attachments: Vec<Attached>,
    #[serde(deserialize_with = "list")]
    pub(super) entities: Vec<Value>,
    #[serde(deserialize_with = "list")]
    pub(super) members_removed: Vec<Account>,
    pub(super) value: Value,
    pub(super) channel_data: Value,
}

/// A person or a bot.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub(super) struct Account {
    #[serde(deserialize_with = "text")]
    pub(super) id: String,
    #[serde(deserialize_with = "text", skip_serializing_if = "String::is_empty")]
    pub(super) name: String,
}

/// Where a message was written.
#[expect(clippy::struct_field_names, reason = "the protocol's own name")]
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Conversation {
    #[serde(deserialize_with = "text")]
    pub(super) id: String,
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub(super) is_group: Option<bool>,
    #[serde(deserialize_with = "text", skip_serializing_if = "String::is_empty")]
    pub(super) conversation_type: String,
    #[serde(deserialize_with = "text", skip_serializing_if = "String::is_empty")]
    pub(super) tenant_id: String,
}

/// A file, a picture or a card.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Attached {
    #[serde(deserialize_with = "text")]
    pub(super) content_type: String,
    #[serde(deserialize_with = "text")]
    pub(super) content_url: String,
    #[serde(deserialize_with = "text")]
    pub(super) name: String,
    pub(super) content: Value,
}

/// What a later send needs; stored as the chat record's data. What an activity does not know is left out, so that an
/// event of the channel changes only what it names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ChatData {
    /// The real channel, which decides conversion.
    pub(super) channel: String,
    /// The newest address that a proved activity named.
    pub(super) service_url: String,
    /// The conversation as received.
    pub(super) conversation: Conversation,
    /// Our side of the chat.
    #[serde(skip_serializing_if = "Account::is_nobody")]
    pub(super) bot: Account,
    /// The customer who wrote last.
    #[serde(skip_serializing_if = "Account::is_nobody")]
    pub(super) user: Account,
    /// Language of the last message.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) locale: String,
}

impl Activity {
    /// Reads a body; `None` when it is not a JSON object or has no `type`.
    pub(super) fn parse(body: &[u8]) -> Option<Self> {
        let value: Value = serde_json::from_slice(body).ok()?;
        if !value.is_object() {
            return None;
        }
        let activity: Self = serde_json::from_value(value).ok()?;
        (!activity.kind.is_empty()).then_some(activity)
    }
}

impl Account {
    fn is_nobody(&self) -> bool {
        self.id.is_empty()
    }
}

impl Conversation {
    /// Several people may write here.
    pub(super) fn is_group(&self) -> bool {
        self.is_group == Some(true) || matches!(self.conversation_type.as_str(), "groupChat" | "channel")
    }
}

/// A text or a number as text; anything else is absent.
pub(super) fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => String::new(),
    }
}

/// The text at a JSON pointer, empty when there is none.
pub(super) fn at(value: &Value, pointer: &str) -> String {
    value.pointer(pointer).map(plain).unwrap_or_default()
}

fn text<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    Value::deserialize(from).map(|value| plain(&value))
}

fn lenient<'de, D: Deserializer<'de>, T: DeserializeOwned + Default>(from: D) -> Result<T, D::Error> {
    Value::deserialize(from).map(|value| serde_json::from_value(value).unwrap_or_default())
}

fn list<'de, D: Deserializer<'de>, T: DeserializeOwned>(from: D) -> Result<Vec<T>, D::Error> {
    let value = Value::deserialize(from)?;
    let items = if let Value::Array(items) = value { items } else { vec![] };
    Ok(items.into_iter().filter_map(|item| serde_json::from_value(item).ok()).collect())
}
