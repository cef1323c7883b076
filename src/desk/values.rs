//! Reading what PHP made of scalars.

use crate::portals::boxed::php::Value;

/// A scalar as text; the stub for an empty value is one (`portal-box.md` §2.3).
pub(super) fn plain(value: &Value) -> Option<String> {
    match value {
        Value::Str(text) if text == "#EMPTY#" => Some(String::new()),
        Value::Str(text) => Some(text.clone()),
        Value::Int(number) => Some(number.to_string()),
        Value::Null | Value::Bool(_) | Value::Float(_) | Value::Array(_) => None,
    }
}

/// A whole number, also as text.
pub(super) fn number(value: &Value) -> Option<i64> {
    plain(value)?.parse().ok()
}
