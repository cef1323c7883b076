//! The keys that channels sign with, as the Bot Framework's twin has them: one endorsed for every channel, one for none,
//! and one that is published nowhere. Tokens come right or wrong on purpose.

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair as RsaKey, KeySize};
use aws_lc_rs::signature::KeyPair;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use super::Boxed;

/// What the token of an activity is like; each but the first must be refused (`botframework.md` §2.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Proof {
    /// As the service makes it.
    #[default]
    Good,
    /// No `Authorization` at all.
    Missing,
    /// Signed with a published key that is endorsed for no channel.
    Unendorsed,
    /// Signed with a key that is published nowhere, under its own name.
    UnknownKey,
    /// Signed with that key under the good one's name.
    Forged,
    /// Ended an hour ago.
    Expired,
    /// Begins in an hour.
    Early,
    /// For another bot.
    OtherAudience,
    /// From another issuer.
    OtherIssuer,
    /// For another `serviceUrl` than the activity's.
    OtherServiceUrl,
}

impl Proof {
    /// Every kind with the word that control requests use.
    pub const ALL: [(&'static str, Self); 10] = [
        ("good", Self::Good),
        ("missing", Self::Missing),
        ("unendorsed", Self::Unendorsed),
        ("unknown-key", Self::UnknownKey),
        ("forged", Self::Forged),
        ("expired", Self::Expired),
        ("early", Self::Early),
        ("other-audience", Self::OtherAudience),
        ("other-issuer", Self::OtherIssuer),
        ("other-service-url", Self::OtherServiceUrl),
    ];

    /// The kind of that word.
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.iter().find(|(name, _)| *name == word).map(|(_, proof)| *proof)
    }

    /// Its word.
    pub(super) fn word(self) -> &'static str {
        Self::ALL.iter().find(|(_, proof)| *proof == self).map_or("good", |(name, _)| name)
    }
}

/// A private key and its public half.
struct Key {
    kid: String,
    private: EncodingKey,
    public: Value,
}

impl Key {
    fn new(kid: String, endorsements: &[&str]) -> Result<Self, Boxed> {
        let key = RsaKey::generate(KeySize::Rsa2048)?;
        let der: Pkcs8V1Der<'_> = key.as_der()?;
        let text = STANDARD.encode(der.as_ref());
        let lines: Vec<_> = text.as_bytes().chunks(64).map(String::from_utf8_lossy).collect();
        let pem = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", lines.join("\n"));
        let public = json!({
            "kty": "RSA", "use": "sig", "kid": kid, "x5t": kid, "e": "AQAB", "x5c": [], "endorsements": endorsements,
            "n": URL_SAFE_NO_PAD.encode(key.public_key().modulus().big_endian_without_leading_zero()),
        });
        Ok(Self { kid, private: EncodingKey::from_rsa_pem(pem.as_bytes())?, public })
    }
}

/// What a token says of itself.
pub(super) struct Claims<'a> {
    pub app_id: &'a str,
    pub service_url: &'a str,
    /// Unix seconds.
    pub now: i64,
}

/// The keys of this moment.
pub(super) struct Ring {
    endorsed: Key,
    bare: Key,
    secret: Key,
    made: u64,
}

impl Ring {
    pub(super) fn new(endorsements: &[&str]) -> Result<Self, Boxed> {
        Ok(Self {
            endorsed: Key::new("twin-1".to_owned(), endorsements)?,
            bare: Key::new("twin-2".to_owned(), &[])?,
            secret: Key::new("twin-unpublished".to_owned(), &[])?,
            made: 2,
        })
    }

    /// Replaces the endorsed key; the old one is published no longer.
    pub(super) fn rotate(&mut self, endorsements: &[&str]) -> Result<(), Boxed> {
        self.made += 1;
        self.endorsed = Key::new(format!("twin-{}", self.made), endorsements)?;
        Ok(())
    }

    /// The JWKS document.
    pub(super) fn published(&self) -> Value {
        json!({"keys": [self.endorsed.public, self.bare.public]})
    }

    /// The value of `Authorization`, `None` for a request without one.
    pub(super) fn authorization(&self, proof: Proof, claims: &Claims<'_>) -> Result<Option<String>, Boxed> {
        let (key, kid) = match proof {
            Proof::Missing => return Ok(None),
            Proof::Unendorsed => (&self.bare, &self.bare.kid),
            Proof::UnknownKey => (&self.secret, &self.secret.kid),
            Proof::Forged => (&self.secret, &self.endorsed.kid),
            Proof::Good
            | Proof::Expired
            | Proof::Early
            | Proof::OtherAudience
            | Proof::OtherIssuer
            | Proof::OtherServiceUrl => (&self.endorsed, &self.endorsed.kid),
        };
        let hours = |hours: i64| claims.now + hours * 3600;
        let (from, until) = match proof {
            Proof::Expired => (hours(-2), hours(-1)),
            Proof::Early => (hours(1), hours(2)),
            _ => (claims.now - 60, hours(1)),
        };
        let audience =
            if proof == Proof::OtherAudience { "99999999-0000-4000-8000-000000000000" } else { claims.app_id };
        let issuer =
            if proof == Proof::OtherIssuer { "https://issuer.example.com" } else { "https://api.botframework.com" };
        let elsewhere = "https://elsewhere.example.com/";
        let service_url = if proof == Proof::OtherServiceUrl { elsewhere } else { claims.service_url };
        let mut header = Header::new(Algorithm::RS256);
        header.kid = Some(kid.clone());
        let claims = json!({"serviceurl": service_url, "nbf": from, "exp": until, "iss": issuer, "aud": audience});
        Ok(Some(format!("Bearer {}", jsonwebtoken::encode(&header, &claims, &key.private)?)))
    }
}
