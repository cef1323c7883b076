//! PHP's `serialize` format, the part that portals use: null, booleans, integers, floats, strings, arrays. Everything
//! else, objects above all, is refused (`portal-box.md` §10).

use std::fmt;

/// Deepest nesting that is read.
const DEPTH_MAX: usize = 16;
/// Most values in one document.
const NODES_MAX: usize = 10_000;

/// A PHP value. Strings are UTF-8: portals convert before they serialize.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `N;`
    Null,
    /// `b:1;`
    Bool(bool),
    /// `i:5;`
    Int(i64),
    /// `d:1.5;`
    Float(f64),
    /// `s:2:"ab";`, length in bytes.
    Str(String),
    /// `a:1:{…}`, order kept.
    Array(Vec<(Key, Value)>),
}

/// An array's key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// `i:0;`
    Int(i64),
    /// `s:2:"id";`
    Str(String),
}

/// Why bytes are no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PhpError {
    /// An object, reference or custom type: never accepted.
    Forbidden(char),
    /// Not the format, at this byte.
    Malformed(usize),
    /// A string's length does not fit.
    Length(usize),
    /// A string is not UTF-8.
    NotUtf8(usize),
    /// The same key twice in one array.
    DuplicateKey,
    /// Nested too deeply.
    TooDeep,
    /// Too many values.
    TooMany,
    /// Bytes behind the value.
    Trailing(usize),
}

impl fmt::Display for PhpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Forbidden(kind) => write!(f, "type `{}` is not accepted", kind.escape_default()),
            Self::Malformed(at) => write!(f, "not a serialized value at byte {at}"),
            Self::Length(at) => write!(f, "a length at byte {at} does not fit"),
            Self::NotUtf8(at) => write!(f, "the string at byte {at} is not UTF-8"),
            Self::DuplicateKey => f.write_str("an array has the same key twice"),
            Self::TooDeep => write!(f, "nested deeper than {DEPTH_MAX}"),
            Self::TooMany => write!(f, "more than {NODES_MAX} values"),
            Self::Trailing(at) => write!(f, "something follows the value at byte {at}"),
        }
    }
}

impl std::error::Error for PhpError {}

impl Value {
    /// A list with keys 0, 1, 2 …
    pub fn list(items: impl IntoIterator<Item = Value>) -> Self {
        Self::Array((0..).map(Key::Int).zip(items).collect())
    }

    /// An array with these text keys.
    pub fn map<'a>(pairs: impl IntoIterator<Item = (&'a str, Value)>) -> Self {
        Self::Array(pairs.into_iter().map(|(key, value)| (Key::Str(key.to_owned()), value)).collect())
    }

    /// A text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Str(text.into())
    }

    /// The value under a text key.
    pub fn get(&self, name: &str) -> Option<&Value> {
        match self {
            Self::Array(pairs) => {
                pairs.iter().find(|(key, _)| matches!(key, Key::Str(key) if key == name)).map(|(_, value)| value)
            }
            Self::Null | Self::Bool(_) | Self::Int(_) | Self::Float(_) | Self::Str(_) => None,
        }
    }

    /// The values of an array, in order.
    pub fn items(&self) -> impl Iterator<Item = &Value> {
        let pairs: &[(Key, Value)] = match self {
            Self::Array(pairs) => pairs,
            Self::Null | Self::Bool(_) | Self::Int(_) | Self::Float(_) | Self::Str(_) => &[],
        };
        pairs.iter().map(|(_, value)| value)
    }
}

/// Value → bytes, as PHP's `serialize` writes them.
pub fn encode(value: &Value) -> String {
    let mut out = String::new();
    write(value, &mut out);
    out
}

fn write(value: &Value, out: &mut String) {
    use fmt::Write;
    // Writing to a String has no way to fail.
    let _ = match value {
        Value::Null => write!(out, "N;"),
        Value::Bool(flag) => write!(out, "b:{};", u8::from(*flag)),
        Value::Int(number) => write!(out, "i:{number};"),
        Value::Float(number) => write!(out, "d:{};", float(*number)),
        Value::Str(text) => write!(out, "s:{}:\"{text}\";", text.len()),
        Value::Array(pairs) => {
            let _ = write!(out, "a:{}:{{", pairs.len());
            for (key, value) in pairs {
                let _ = match key {
                    Key::Int(number) => write!(out, "i:{number};"),
                    Key::Str(text) => write!(out, "s:{}:\"{text}\";", text.len()),
                };
                write(value, out);
            }
            write!(out, "}}")
        }
    };
}

/// PHP writes the shortest text that reads back, as Rust does, but other words for the odd ones and an exponent from
/// 10^15 on (`serialize_precision` -1).
fn float(number: f64) -> String {
    if number.is_nan() {
        "NAN".to_owned()
    } else if number.is_infinite() {
        if number > 0.0 { "INF".to_owned() } else { "-INF".to_owned() }
    } else if number != 0.0 && (number.abs() >= 1e15 || number.abs() < 1e-4) {
        let text = format!("{number:E}");
        match text.split_once('E') {
            Some((digits, power)) => {
                let digits = if digits.contains('.') { digits.to_owned() } else { format!("{digits}.0") };
                let sign = if power.starts_with('-') { "" } else { "+" };
                format!("{digits}E{sign}{power}")
            }
            None => text,
        }
    } else {
        format!("{number}")
    }
}

/// Bytes → value, strictly.
pub fn decode(bytes: &[u8]) -> Result<Value, PhpError> {
    let mut reader = Reader { bytes, at: 0, nodes: 0 };
    let value = reader.value(0)?;
    if reader.at == bytes.len() { Ok(value) } else { Err(PhpError::Trailing(reader.at)) }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    nodes: usize,
}

impl<'a> Reader<'a> {
    fn malformed<T>(&self) -> Result<T, PhpError> {
        Err(PhpError::Malformed(self.at))
    }

    fn expect(&mut self, what: &[u8]) -> Result<(), PhpError> {
        if self.bytes.get(self.at..).is_some_and(|rest| rest.starts_with(what)) {
            self.at += what.len();
            Ok(())
        } else {
            self.malformed()
        }
    }

    /// Everything up to `end`, which is skipped; at most 32 bytes, for numbers.
    fn until(&mut self, end: u8) -> Result<&'a str, PhpError> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let length = rest.iter().take(32).position(|byte| *byte == end);
        let Some(text) = length.and_then(|length| rest.get(..length)) else { return self.malformed() };
        let Ok(text) = std::str::from_utf8(text) else { return self.malformed() };
        self.at += text.len() + 1;
        Ok(text)
    }

    /// A decimal number in the one way PHP writes it: no plus, no leading zeros.
    fn int(&mut self, end: u8) -> Result<i64, PhpError> {
        let at = self.at;
        let text = self.until(end)?;
        match text.parse::<i64>() {
            Ok(number) if number.to_string() == text => Ok(number),
            Ok(_) | Err(_) => Err(PhpError::Malformed(at)),
        }
    }

    fn length(&mut self) -> Result<usize, PhpError> {
        let at = self.at;
        usize::try_from(self.int(b':')?).map_err(|_| PhpError::Length(at))
    }

    fn text(&mut self) -> Result<String, PhpError> {
        let start = self.at;
        let length = self.length()?;
        self.expect(b"\"")?;
        let bytes = self.at.checked_add(length).and_then(|end| self.bytes.get(self.at..end));
        let Some(bytes) = bytes else { return Err(PhpError::Length(start)) };
        let text = std::str::from_utf8(bytes).map_err(|_| PhpError::NotUtf8(start))?.to_owned();
        self.at += length;
        self.expect(b"\";").map_err(|_| PhpError::Length(start))?;
        Ok(text)
    }

    fn value(&mut self, depth: usize) -> Result<Value, PhpError> {
        self.nodes += 1;
        if self.nodes > NODES_MAX {
            return Err(PhpError::TooMany);
        }
        let Some(kind) = self.bytes.get(self.at).copied() else { return self.malformed() };
        if kind == b'N' {
            self.expect(b"N;")?;
            return Ok(Value::Null);
        }
        if !matches!(kind, b'b' | b'i' | b'd' | b's' | b'a') {
            return Err(PhpError::Forbidden(char::from(kind)));
        }
        self.at += 1;
        self.expect(b":")?;
        match kind {
            b'b' => match self.until(b';')? {
                "1" => Ok(Value::Bool(true)),
                "0" => Ok(Value::Bool(false)),
                _ => self.malformed(),
            },
            b'i' => Ok(Value::Int(self.int(b';')?)),
            b'd' => self.float(),
            b's' => Ok(Value::Str(self.text()?)),
            _ => self.array(depth),
        }
    }

    fn float(&mut self) -> Result<Value, PhpError> {
        let at = self.at;
        match self.until(b';')? {
            "NAN" => Ok(Value::Float(f64::NAN)),
            "INF" => Ok(Value::Float(f64::INFINITY)),
            "-INF" => Ok(Value::Float(f64::NEG_INFINITY)),
            text if text.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte)) => {
                text.parse().map(Value::Float).map_err(|_| PhpError::Malformed(at))
            }
            _ => Err(PhpError::Malformed(at)),
        }
    }

    fn array(&mut self, depth: usize) -> Result<Value, PhpError> {
        if depth >= DEPTH_MAX {
            return Err(PhpError::TooDeep);
        }
        let length = self.length()?;
        if length > NODES_MAX {
            return Err(PhpError::TooMany);
        }
        self.expect(b"{")?;
        let mut pairs: Vec<(Key, Value)> = Vec::with_capacity(length.min(64));
        for _ in 0..length {
            let key = self.key()?;
            pairs.push((key, self.value(depth + 1)?));
        }
        self.expect(b"}")?;
        let mut keys: Vec<&Key> = pairs.iter().map(|(key, _)| key).collect();
        keys.sort_unstable();
        if keys.windows(2).any(|pair| matches!(pair, [a, b] if a == b)) {
            return Err(PhpError::DuplicateKey);
        }
        Ok(Value::Array(pairs))
    }

    fn key(&mut self) -> Result<Key, PhpError> {
        match self.bytes.get(self.at) {
            Some(b'i') => {
                self.at += 1;
                self.expect(b":")?;
                Ok(Key::Int(self.int(b';')?))
            }
            Some(b's') => {
                self.at += 1;
                self.expect(b":")?;
                let text = self.text()?;
                // PHP keeps such a key as a number: `"5"` and `5` are one key, so they must not pass for two.
                Ok(match text.parse::<i64>() {
                    Ok(number) if number.to_string() == text => Key::Int(number),
                    Ok(_) | Err(_) => Key::Str(text),
                })
            }
            Some(other @ (b'O' | b'C' | b'E' | b'R' | b'r' | b'S')) => Err(PhpError::Forbidden(char::from(*other))),
            Some(_) | None => self.malformed(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn values_are_written_as_php_writes_them() {
        for (value, want) in [
            (Value::Null, "N;"),
            (Value::Bool(true), "b:1;"),
            (Value::Int(-5), "i:-5;"),
            (Value::Float(1.5), "d:1.5;"),
            (Value::Float(0.0), "d:0;"),
            (Value::Float(1e25), "d:1.0E+25;"),
            (Value::Float(1.5e-7), "d:1.5E-7;"),
            (Value::text("Привет"), "s:12:\"Привет\";"),
            (Value::list([]), "a:0:{}"),
            (Value::map([("x", Value::list([Value::Int(1)]))]), "a:1:{s:1:\"x\";a:1:{i:0;i:1;}}"),
        ] {
            assert_eq!(encode(&value), want);
            assert_eq!(decode(want.as_bytes()).unwrap(), value);
        }
    }

    /// `portal-box.md` §10.
    #[test]
    fn what_portals_never_send_is_refused() {
        for (text, want) in [
            ("O:8:\"stdClass\":0:{}", PhpError::Forbidden('O')),
            ("C:1:\"a\":0:{}", PhpError::Forbidden('C')),
            ("E:3:\"A:B\";", PhpError::Forbidden('E')),
            ("a:1:{i:0;R:1;}", PhpError::Forbidden('R')),
            ("a:1:{i:0;r:1;}", PhpError::Forbidden('r')),
            ("S:1:\"a\";", PhpError::Forbidden('S')),
            ("a:1:{O:1:\"a\":0:{}i:1;}", PhpError::Forbidden('O')),
            ("s:3:\"ab\";", PhpError::Length(2)),
            ("s:1:\"ab\";", PhpError::Length(2)),
            ("s:-1:\"\";", PhpError::Length(2)),
            ("s:99999999999999:\"\";", PhpError::Length(2)),
            ("s:01:\"a\";", PhpError::Malformed(2)),
            ("i:1;i:2;", PhpError::Trailing(4)),
            ("i:1;\n", PhpError::Trailing(4)),
            ("i:+1;", PhpError::Malformed(2)),
            ("i:99999999999999999999;", PhpError::Malformed(2)),
            ("d:0x1;", PhpError::Malformed(2)),
            ("b:2;", PhpError::Malformed(4)),
            ("a:1:{d:1;i:1;}", PhpError::Malformed(5)),
            ("a:2:{i:0;i:1;i:0;i:2;}", PhpError::DuplicateKey),
            ("a:2:{i:5;i:1;s:1:\"5\";i:2;}", PhpError::DuplicateKey),
            ("a:2:{s:2:\"-5\";i:1;s:2:\"-5\";i:2;}", PhpError::DuplicateKey),
            ("a:2:{i:0;i:1;}", PhpError::Malformed(13)),
            ("a:1:{i:0;i:1;", PhpError::Malformed(13)),
            ("a:10001:{}", PhpError::TooMany),
            ("", PhpError::Malformed(0)),
            ("N", PhpError::Malformed(0)),
        ] {
            assert_eq!(decode(text.as_bytes()), Err(want), "{text}");
        }
        assert_eq!(decode(b"s:2:\"\xff\xff\";"), Err(PhpError::NotUtf8(2)));
    }

    #[test]
    fn a_key_that_php_keeps_as_a_number_is_one() {
        let value = decode(b"a:3:{s:1:\"5\";i:1;s:2:\"05\";i:2;s:2:\"-0\";i:3;}").unwrap();
        let keys = [Key::Int(5), Key::Str("05".into()), Key::Str("-0".into())];
        assert!(matches!(value, Value::Array(pairs) if pairs.iter().map(|(key, _)| key).eq(&keys)));
    }

    #[test]
    fn depth_and_size_are_limited() {
        let nested = |depth: usize| format!("{}i:1;{}", "a:1:{i:0;".repeat(depth), "}".repeat(depth));
        assert!(decode(nested(16).as_bytes()).is_ok());
        assert_eq!(decode(nested(17).as_bytes()), Err(PhpError::TooDeep));
        assert_eq!(decode(nested(100_000).as_bytes()), Err(PhpError::TooDeep));
        let list = |count: i64| encode(&Value::list((0..count).map(Value::Int)));
        assert!(decode(list(9_999).as_bytes()).is_ok());
        assert_eq!(decode(list(10_000).as_bytes()), Err(PhpError::TooMany));
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::Bool),
            any::<i64>().prop_map(Value::Int),
            proptest::num::f64::NORMAL.prop_map(Value::Float),
            ".{0,20}".prop_map(Value::Str),
        ];
        leaf.prop_recursive(4, 64, 8, |inner| {
            proptest::collection::btree_map(
                prop_oneof![any::<i64>().prop_map(Key::Int), "([^0-9-].{0,8})?".prop_map(Key::Str)],
                inner,
                0..8,
            )
            .prop_map(|map| Value::Array(map.into_iter().collect()))
        })
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(value in any_value()) {
            prop_assert_eq!(decode(encode(&value).as_bytes()), Ok(value));
        }

        #[test]
        fn nothing_makes_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&bytes);
        }

        #[test]
        fn nothing_like_it_makes_it_panic(text in "[asibdN:;{}\"0-9]{0,80}") {
            let _ = decode(text.as_bytes());
        }
    }
}
