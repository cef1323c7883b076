//! The signed form that both directions share: fields in order, values joined with `|`, md5 with the licence key's md5
//! (`portal-box.md` §2). Strict on the way in: names are not signed, so nothing ambiguous about them is accepted.

use std::fmt::Write;

use md5::{Digest, Md5};

use super::command::Refusal;
use crate::secret::Secret;

/// Fields in the order sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Form(pub Vec<(String, String)>);

/// Lower-case hex of an md5.
pub(super) fn md5_hex(bytes: &[u8]) -> String {
    Md5::digest(bytes).iter().fold(String::with_capacity(32), |mut hex, byte| {
        // Writing to a String has no way to fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

impl Form {
    /// The value of a field.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// `md5( md5(values joined with "|") + K )`, `BX_HASH` left out.
    fn hash(&self, key: &Secret) -> String {
        let values: Vec<&str> =
            self.0.iter().filter(|(name, _)| name != "BX_HASH").map(|(_, value)| value.as_str()).collect();
        let inner = md5_hex(values.join("|").as_bytes());
        md5_hex(format!("{inner}{}", key.reveal()).as_bytes())
    }

    /// Appends the signature.
    pub fn sign(&mut self, key: &Secret) {
        let hash = self.hash(key);
        self.0.push(("BX_HASH".to_owned(), hash));
    }

    /// Whether `BX_HASH` is right, compared in constant time.
    pub fn is_signed_with(&self, key: &Secret) -> bool {
        self.get("BX_HASH").is_some_and(|given| Secret::new(self.hash(key)).matches(given))
    }

    /// As PHP's `http_build_query` writes it.
    pub fn encode(&self) -> String {
        url::form_urlencoded::Serializer::new(String::new()).extend_pairs(&self.0).finish()
    }

    /// Reads a body: UTF-8 throughout, no name twice, no brackets in names, no `|` in values.
    pub fn decode(body: &[u8]) -> Result<Self, Refusal> {
        let text = std::str::from_utf8(body).map_err(|_| Refusal::Malformed("the form is not plain ASCII"))?;
        let mut fields: Vec<(String, String)> = Vec::new();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            if fields.len() >= 64 {
                return Err(Refusal::Malformed("the form has too many fields"));
            }
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (name, value) = (unescape(name)?, unescape(value)?);
            if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte)) {
                return Err(Refusal::Malformed("a field has a name that portals never send"));
            }
            if value.contains('|') {
                return Err(Refusal::Malformed("a field's value holds `|`, which would make the signature ambiguous"));
            }
            if fields.iter().any(|(known, _)| *known == name) {
                return Err(Refusal::Malformed("a field stands there twice"));
            }
            fields.push((name, value));
        }
        Ok(Self(fields))
    }
}

fn unescape(text: &str) -> Result<String, Refusal> {
    let spaced = text.replace('+', " ");
    percent_encoding::percent_decode_str(&spaced)
        .decode_utf8()
        .map(std::borrow::Cow::into_owned)
        .map_err(|_| Refusal::Malformed("a field is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ambiguous_forms_are_refused() {
        for body in ["a=1&a=2", "a[]=1", "a%5B0%5D=1", "a=1%7C2", "a=1|2", "a=%FF", "=1", "a%00=1", &"a=1&".repeat(2)] {
            assert!(matches!(Form::decode(body.as_bytes()), Err(Refusal::Malformed(_))), "{body}");
        }
        let many: Vec<String> = (0..65).map(|number| format!("f{number}=1")).collect();
        assert!(Form::decode(many.join("&").as_bytes()).is_err());
        let form = Form::decode(b"A=x+y%2B&B=").unwrap();
        assert_eq!(form.0, [("A".into(), "x y+".into()), ("B".into(), String::new())]);
    }
}
