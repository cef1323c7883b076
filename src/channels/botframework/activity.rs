//! Wire structs of the Bot Framework. Lenient by rule: `null` means absent, unknown fields are ignored, ids may be
//! numbers, a field of the wrong type counts as absent. Only this folder sees them.

use std::fmt::{self, Formatter};
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, IgnoredAny, MapAccess, SeqAccess, Visitor};
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
    #[serde(deserialize_with = "object")]
    pub(super) from: Account,
    #[serde(deserialize_with = "object")]
    pub(super) recipient: Account,
    #[serde(deserialize_with = "object")]
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
    #[serde(deserialize_with = "flag", skip_serializing_if = "Option::is_none")]
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
        if body.trim_ascii_start().first() != Some(&b'{') {
            return None;
        }
        // A name that stands there twice fails the first way; the second takes the last of them.
        let read = serde_json::from_slice(body);
        let activity: Self =
            read.or_else(|_| serde_json::from_slice(body).and_then(serde_json::from_value::<Self>)).ok()?;
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

/// A text or a number as text; anything else is absent. A visitor rather than a `Value`: most of a webhook is such fields.
fn text<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    struct Text;
    impl<'de> Visitor<'de> for Text {
        type Value = String;

        fn expecting(&self, f: &mut Formatter<'_>) -> fmt::Result {
            f.write_str("anything")
        }

        fn visit_str<E>(self, text: &str) -> Result<String, E> {
            Ok(text.to_owned())
        }

        fn visit_string<E>(self, text: String) -> Result<String, E> {
            Ok(text)
        }

        fn visit_i64<E>(self, number: i64) -> Result<String, E> {
            Ok(number.to_string())
        }

        fn visit_u64<E>(self, number: u64) -> Result<String, E> {
            Ok(number.to_string())
        }

        fn visit_f64<E>(self, number: f64) -> Result<String, E> {
            Ok(plain(&number.into()))
        }

        fn visit_bool<E>(self, _: bool) -> Result<String, E> {
            Ok(String::new())
        }

        fn visit_unit<E>(self) -> Result<String, E> {
            Ok(String::new())
        }

        fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<String, A::Error> {
            IgnoredAny.visit_seq(seq).map(|_| String::new())
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<String, A::Error> {
            IgnoredAny.visit_map(map).map(|_| String::new())
        }
    }
    from.deserialize_any(Text)
}

/// An object of lenient fields; anything else is absent.
fn object<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(from: D) -> Result<T, D::Error> {
    struct Object<T>(PhantomData<T>);
    impl<'de, T: Deserialize<'de> + Default> Visitor<'de> for Object<T> {
        type Value = T;

        fn expecting(&self, f: &mut Formatter<'_>) -> fmt::Result {
            f.write_str("anything")
        }

        fn visit_str<E>(self, _: &str) -> Result<T, E> {
            Ok(T::default())
        }

        fn visit_i64<E>(self, _: i64) -> Result<T, E> {
            Ok(T::default())
        }

        fn visit_u64<E>(self, _: u64) -> Result<T, E> {
            Ok(T::default())
        }

        fn visit_f64<E>(self, _: f64) -> Result<T, E> {
            Ok(T::default())
        }

        fn visit_bool<E>(self, _: bool) -> Result<T, E> {
            Ok(T::default())
        }

        fn visit_unit<E>(self) -> Result<T, E> {
            Ok(T::default())
        }

        fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<T, A::Error> {
            IgnoredAny.visit_seq(seq).map(|_| T::default())
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
            T::deserialize(MapAccessDeserializer::new(map))
        }
    }
    from.deserialize_any(Object(PhantomData))
}

fn flag<'de, D: Deserializer<'de>>(from: D) -> Result<Option<bool>, D::Error> {
    Value::deserialize(from).map(|value| value.as_bool())
}

fn list<'de, D: Deserializer<'de>, T: DeserializeOwned>(from: D) -> Result<Vec<T>, D::Error> {
    let value = Value::deserialize(from)?;
    let items = if let Value::Array(items) = value { items } else { vec![] };
    Ok(items.into_iter().filter_map(|item| serde_json::from_value(item).ok()).collect())
}
