//! The same wire seen from the portal: signed commands to the server, pushes from it. For `desk`; the server itself never
//! calls this.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::form::{Form, md5_hex};
use super::php::{self, Value};
use super::{key_md5, licence_id};
use crate::secret::Secret;

/// Who a portal is on the wire.
#[derive(Clone, Debug)]
pub struct Identity {
    licence: String,
    key: Secret,
    /// Public address, `BX_DOMAIN`.
    pub domain: String,
    /// Module version, `BX_VERSION`; decides the set of fields and the stub for empty lists.
    pub version: String,
}

impl Identity {
    /// A portal with this licence key.
    pub fn new(license_key: &str, domain: &str, version: &str) -> Self {
        Self {
            licence: licence_id(license_key),
            key: key_md5(license_key),
            domain: domain.to_owned(),
            version: version.to_owned(),
        }
    }

    /// `BX_LICENCE`, the public account id.
    pub fn licence(&self) -> &str {
        &self.licence
    }

    /// Major module version.
    pub fn major(&self) -> u32 {
        self.version.split('.').next().and_then(|major| major.parse().ok()).unwrap_or(0)
    }

    /// The body of a command. `args` are the positional arguments of the remote call, none for a command without.
    pub fn command(&self, command: &str, connector: &str, line: Option<&str>, args: Vec<Value>) -> String {
        let newer = self.major() >= 23;
        let data = stub(Value::list(args), newer);
        let mut fields = vec![
            ("BX_COMMAND", command.to_owned()),
            ("BX_LICENCE", self.licence.clone()),
            ("BX_DOMAIN", self.domain.clone()),
            ("BX_TYPE", "CP".to_owned()),
        ];
        if newer {
            fields.push(("BX_REGION", "ru".to_owned()));
        }
        fields.extend([
            ("BX_VERSION", self.version.clone()),
            ("CONNECTOR", connector.to_owned()),
            ("LINE", line.unwrap_or("#EMPTY#").to_owned()),
            ("DATA", STANDARD.encode(php::encode(&data))),
        ]);
        let mut form = Form(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect());
        form.sign(&self.key);
        form.encode()
    }

    /// Reads a push. The signature's verdict is part of the result: portals before version 20 report a wrong one and
    /// carry the command out all the same.
    pub fn read_push(&self, body: &[u8]) -> Option<Push> {
        let form = Form::decode(body).ok()?;
        let field = |name| form.get(name).unwrap_or_default().to_owned();
        let data = STANDARD.decode(form.get("DATA")?).ok().and_then(|bytes| php::decode(&bytes).ok());
        Some(Push {
            command: field("BX_COMMAND"),
            connector: field("CONNECTOR"),
            line: field("LINE"),
            signed: form.get("BX_TYPE") == Some("CP") && form.is_signed_with(&self.key),
            // What is no array becomes an empty one.
            data: data.filter(|data| matches!(data, Value::Array(_))).unwrap_or_else(|| Value::list([])),
        })
    }
}

/// A push as the portal sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct Push {
    /// `receivingMessage` …
    pub command: String,
    /// Connector id.
    pub connector: String,
    /// Line.
    pub line: String,
    /// The signature fits.
    pub signed: bool,
    /// The list.
    pub data: Value,
}

/// What a portal compares a customer's data by: the md5 of the serialized array (`portal-box.md` §4.5).
pub fn fingerprint(user: &Value) -> String {
    md5_hex(php::encode(user).as_bytes())
}

/// Replaces every empty value, at any depth, by the text that stands for it (`portal-box.md` §2.3).
fn stub(value: Value, newer: bool) -> Value {
    match value {
        Value::Null | Value::Bool(false) => Value::text("#EMPTY#"),
        Value::Str(text) if text.is_empty() => Value::text("#EMPTY#"),
        Value::Array(pairs) if pairs.is_empty() => Value::text(if newer { "#EMPTY_ARRAY#" } else { "#EMPTY#" }),
        Value::Array(pairs) => Value::Array(pairs.into_iter().map(|(key, value)| (key, stub(value, newer))).collect()),
        other @ (Value::Bool(true) | Value::Int(_) | Value::Float(_) | Value::Str(_)) => other,
    }
}
