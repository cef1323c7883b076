//! Text that must never be printed: licence keys, bot secrets, tokens (promise 9 of the design).

use std::fmt;

use subtle::ConstantTimeEq;

/// A secret text. No `Display`, no `Serialize`, no `PartialEq`; `Debug` prints dots.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// Takes the secret in.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself. Every caller of this is a place where a secret may leave: keep them few.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Compares without telling by its duration how much was right.
    pub fn matches(&self, other: &str) -> bool {
        self.0.as_bytes().ct_eq(other.as_bytes()).into()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Promise 9.
    #[test]
    fn a_secret_never_prints() {
        let secret = Secret::new("TEST-LICENCE-KEY-0001");
        assert!(!format!("{secret:?} {:?}", Some(&secret)).contains("TEST"));
        assert!(secret.matches("TEST-LICENCE-KEY-0001"));
        assert!(!secret.matches("TEST-LICENCE-KEY-0002"));
    }
}
