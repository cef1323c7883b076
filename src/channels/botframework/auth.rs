//! Proof that a webhook comes from the channel service (`botframework.md` §2.1): the checks stand in the table's
//! order, each failure is final. Emulator and skill tokens have another issuer and are refused.
//! A proved token is remembered by its digest, so a busy channel costs no signature check a message.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::activity::{Activity, at};
use super::keys::{Key, Keys, NoKey};
use crate::channels::{Rejected, TestError, Tools};

const SKEW_SECS: i64 = 300;
const TOKEN_MAX_BYTES: usize = 16 * 1024;
const REMEMBERED_MAX: usize = 4096;

/// What a token has proved, apart from the body.
#[derive(Clone, Debug)]
struct Proof {
    audience: String,
    service_url: Option<String>,
    not_before: Option<i64>,
    expires: i64,
    key: Arc<Key>,
}

/// The check with its caches.
#[derive(Debug)]
pub(super) struct Gate {
    issuer: &'static str,
    keys: Keys,
    proved: Mutex<HashMap<[u8; 32], Proof>>,
}

impl Gate {
    pub(super) fn new(issuer: &'static str, keys: Keys) -> Self {
        Self { issuer, keys, proved: Mutex::default() }
    }

    /// All checks for one request; gives what the body holds.
    pub(super) fn check(
        &self,
        tools: &Tools,
        header: Option<&str>,
        app_id: &str,
        body: &[u8],
    ) -> Result<Activity, Rejected> {
        let token = bearer(header)?;
        let proof = self.prove(tools, token)?;
        check_times(&proof, tools.clock.now().secs())?;
        if app_id.is_empty() || !proof.audience.eq_ignore_ascii_case(app_id) {
            return Err(Rejected::Unproved("the token is for another app id"));
        }
        let activity = Activity::parse(body).ok_or(super::NO_ACTIVITY)?;
        check_body(&proof, &activity)?;
        Ok(activity)
    }

    /// Whether callers can be proved at all.
    pub(super) fn ready(&self, tools: &Tools) -> Result<(), TestError> {
        if self.keys.ready(tools) {
            return Ok(());
        }
        let message = format!(
            "the sign-in service takes the credentials, but the channel's public keys can't be fetched from {}: no \
             message of a customer could be proved",
            self.keys.host()
        );
        Err(TestError { code: "KEYS_UNREACHABLE", message })
    }

    /// Steps 2 to 6.
    fn prove(&self, tools: &Tools, token: &str) -> Result<Proof, Rejected> {
        let digest: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        if let Some(proof) = self.lock().get(&digest) {
            return Ok(proof.clone());
        }
        let proof = self.prove_anew(tools, token)?;
        let now = tools.clock.now().secs();
        check_times(&proof, now)?;
        let mut proved = self.lock();
        if proved.len() >= REMEMBERED_MAX {
            proved.retain(|_, proof| proof.expires > now.saturating_sub(SKEW_SECS));
        }
        if proved.len() < REMEMBERED_MAX {
            proved.insert(digest, proof.clone());
        }
        Ok(proof)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<[u8; 32], Proof>> {
        self.proved.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn prove_anew(&self, tools: &Tools, token: &str) -> Result<Proof, Rejected> {
        const SHAPE: Rejected = Rejected::Unproved("the token can't be read");
        let (signed, signature) = token.rsplit_once('.').ok_or(SHAPE)?;
        let (header, claims) = signed.split_once('.').ok_or(SHAPE)?;
        let (header, claims) = (json(header).ok_or(SHAPE)?, json(claims).ok_or(SHAPE)?);
        if at(&header, "/alg") != "RS256" {
            return Err(Rejected::Unproved("the token's algorithm is not RS256"));
        }
        if claims.get("iss").and_then(Value::as_str) != Some(self.issuer) {
            return Err(Rejected::Unproved("the token has another issuer"));
        }
        let Some(kid) = header.get("kid").and_then(Value::as_str).filter(|kid| !kid.is_empty()) else {
            return Err(Rejected::Unproved("the token names no key"));
        };
        let key = self.keys.find(tools, kid).map_err(|why| match why {
            NoKey::Unknown => Rejected::Unproved("the token's key is unknown"),
            NoKey::Unavailable => Rejected::Unavailable("the channel's keys can't be loaded"),
        })?;
        let right = DecodingKey::from_rsa_components(&key.n, &key.e)
            .and_then(|key| jsonwebtoken::crypto::verify(signature, signed.as_bytes(), &key, Algorithm::RS256));
        if !matches!(right, Ok(true)) {
            return Err(Rejected::Unproved("the token's signature is wrong"));
        }
        let expires = seconds(&claims, "exp").ok_or(Rejected::Unproved("the token never expires"))?;
        let not_before = match claims.get("nbf") {
            None | Some(Value::Null) => None,
            Some(_) => Some(seconds(&claims, "nbf").ok_or(SHAPE)?),
        };
        let audience = claims.get("aud").and_then(Value::as_str);
        let audience = audience.ok_or(Rejected::Unproved("the token names no single audience"))?.to_owned();
        let service_url = claims.get("serviceurl").and_then(Value::as_str).map(str::to_owned);
        Ok(Proof { audience, service_url, not_before, expires, key })
    }
}

/// Step 1.
fn bearer(header: Option<&str>) -> Result<&str, Rejected> {
    let parts = header.map(|header| header.split(' ').collect::<Vec<_>>()).unwrap_or_default();
    match parts.as_slice() {
        [scheme, token] if scheme.eq_ignore_ascii_case("bearer") && token.len() <= TOKEN_MAX_BYTES => Ok(token),
        _ => Err(Rejected::Unproved("a bearer token is needed")),
    }
}

/// Step 7.
fn check_times(proof: &Proof, now: i64) -> Result<(), Rejected> {
    if proof.expires <= now.saturating_sub(SKEW_SECS) {
        return Err(Rejected::Unproved("the token has expired"));
    }
    if proof.not_before.is_some_and(|from| from >= now.saturating_add(SKEW_SECS)) {
        return Err(Rejected::Unproved("the token is not valid yet"));
    }
    Ok(())
}

/// Steps 9 to 11.
fn check_body(proof: &Proof, activity: &Activity) -> Result<(), Rejected> {
    if activity.channel_id.is_empty() {
        return Err(Rejected::Forbidden("the activity names no channel"));
    }
    if !proof.key.endorsements.contains(&activity.channel_id) {
        return Err(Rejected::Forbidden("the key does not speak for this channel"));
    }
    match &proof.service_url {
        Some(url) if !url.is_empty() && *url == activity.service_url => Ok(()),
        _ => Err(Rejected::Forbidden("the token is for another service address")),
    }
}

fn json(part: &str) -> Option<Value> {
    let value: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()?;
    value.is_object().then_some(value)
}

/// A date claim; fractions are legal in the standard and cut here.
#[expect(clippy::cast_possible_truncation, reason = "a cast from float saturates, and no date is that far away")]
fn seconds(claims: &Value, name: &str) -> Option<i64> {
    let value = claims.get(name)?;
    value.as_i64().or_else(|| value.as_f64().map(|secs| secs as i64))
}
