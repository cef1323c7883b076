//! The token that outgoing calls carry (`botframework.md` §3): client credentials, refreshed five minutes before it
//! expires, one fetch at a time for each bot. A still valid token outlives a failed refresh.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use percent_encoding::utf8_percent_encode;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::activity::at;
use super::{SEGMENT, is_safe};
use crate::channels::{TestError, Tools};
use crate::clock::UnixMillis;
use crate::net::{Answer, Call, Reach};
use crate::records::Settings;
use crate::secret::Secret;

const REFRESH_BEFORE: Duration = Duration::from_mins(5);
/// After a failed refresh, while the old token is still good.
const REFRESH_RETRY: Duration = Duration::from_secs(30);
/// After a failed fetch without any token: whatever waits must not each ask again.
const RETRY: Duration = Duration::from_secs(5);
const FETCH_TIMEOUT: Duration = Duration::from_secs(15);
const WAIT: Duration = Duration::from_secs(20);
const ANSWER_MAX_BYTES: usize = 256 * 1024;
const TOKENS_MAX: usize = 1000;

/// Why there is no token.
#[derive(Clone, Debug)]
pub(super) struct NoToken {
    /// Trying again later may help.
    pub(super) temporary: bool,
    /// Code and sentence for people.
    pub(super) error: TestError,
}

impl NoToken {
    fn new(temporary: bool, code: &'static str, message: impl Into<String>) -> Self {
        Self { temporary, error: TestError { code, message: message.into() } }
    }
}

#[derive(Clone, Debug)]
struct Token {
    secret: Arc<Secret>,
    /// From then on a new one is asked for.
    refresh_at: UnixMillis,
    /// From then on it is worth nothing.
    until: UnixMillis,
}

#[derive(Debug, Default)]
struct Slot {
    token: Option<Token>,
    fetching: bool,
    /// The sign-in service could not be asked: what it came to, and when it may be asked again.
    failed: Option<(NoToken, UnixMillis)>,
}

impl Slot {
    fn valid(&self, now: UnixMillis) -> Option<&Token> {
        self.token.as_ref().filter(|token| now < token.until)
    }

    /// What a fetch has come to.
    fn take(&mut self, fetched: &Result<Token, NoToken>, now: UnixMillis) {
        match fetched {
            Ok(token) => (self.token, self.failed) = (Some(token.clone()), None),
            Err(why) if why.temporary => {
                self.failed = Some((why.clone(), now.plus(RETRY)));
                if let Some(token) = &mut self.token {
                    token.refresh_at = now.plus(REFRESH_RETRY);
                }
            }
            Err(_) => (),
        }
    }
}

/// Tokens of all bots.
#[derive(Debug)]
pub(super) struct Tokens {
    url: String,
    scope: &'static str,
    default_tenant: &'static str,
    slots: Mutex<HashMap<[u8; 32], Slot>>,
    fetched: Condvar,
}

/// Who asks for a token, read from the settings.
struct Asker<'a> {
    app_id: String,
    secret: &'a str,
    url: String,
    key: [u8; 32],
}

impl Tokens {
    pub(super) fn new(url: String, scope: &'static str, default_tenant: &'static str) -> Self {
        Self { url, scope, default_tenant, slots: Mutex::default(), fetched: Condvar::new() }
    }

    /// A token that is valid now.
    pub(super) fn get(&self, tools: &Tools, settings: &Settings) -> Result<Arc<Secret>, NoToken> {
        let asker = self.asker(settings)?;
        let now = tools.clock.now();
        let mut slots = self.lock();
        if slots.len() >= TOKENS_MAX {
            slots.retain(|_, slot| slot.fetching || slot.valid(now).is_some());
        }
        let slot = slots.entry(asker.key).or_default();
        let valid = slot.valid(now).cloned();
        if let Some(token) = &valid
            && (slot.fetching || now < token.refresh_at)
        {
            return Ok(Arc::clone(&token.secret));
        }
        // A pause longer than ours is one of a clock that was wrong.
        if let Some((why, _)) = slot.failed.as_ref().filter(|(_, at)| now < *at && *at <= now.plus(RETRY))
            && valid.is_none()
        {
            return Err(why.clone());
        }
        if slot.fetching {
            let fetching =
                |slots: &mut HashMap<[u8; 32], Slot>| slots.get(&asker.key).is_some_and(|slot| slot.fetching);
            let (slots, _) =
                self.fetched.wait_timeout_while(slots, WAIT, fetching).unwrap_or_else(PoisonError::into_inner);
            let token = slots.get(&asker.key).and_then(|slot| slot.valid(now));
            return token.map(|token| Arc::clone(&token.secret)).ok_or_else(unreachable_authority);
        }
        slot.fetching = true;
        drop(slots);
        match (self.refresh(tools, &asker), valid) {
            (Ok(token), _) | (Err(_), Some(token)) => Ok(token.secret),
            (Err(why), None) => Err(why),
        }
    }

    /// Fetches a token and keeps it. The caller has claimed the fetch.
    fn refresh(&self, tools: &Tools, asker: &Asker<'_>) -> Result<Token, NoToken> {
        /// Ends the claim, also when the fetch panics: nobody would ever ask again.
        struct Claim<'a>(&'a Tokens, [u8; 32]);
        impl Drop for Claim<'_> {
            fn drop(&mut self) {
                if let Some(slot) = self.0.lock().get_mut(&self.1) {
                    slot.fetching = false;
                }
                self.0.fetched.notify_all();
            }
        }
        let _claim = Claim(self, asker.key);
        let fetched = self.fetch(tools, asker);
        self.lock().entry(asker.key).or_default().take(&fetched, tools.clock.now());
        fetched
    }

    /// Forgets `used` after a channel refused it; a newer token of another thread stays.
    pub(super) fn drop_used(&self, settings: &Settings, used: &Arc<Secret>) {
        let Ok(asker) = self.asker(settings) else { return };
        if let Some(slot) = self.lock().get_mut(&asker.key)
            && slot.token.as_ref().is_some_and(|token| Arc::ptr_eq(&token.secret, used))
        {
            slot.token = None;
        }
    }

    /// Asks the directory although a token may be there: the proof that id and secret fit.
    pub(super) fn try_fetch(&self, tools: &Tools, settings: &Settings) -> Result<(), NoToken> {
        let asker = self.asker(settings)?;
        let fetched = self.fetch(tools, &asker);
        self.lock().entry(asker.key).or_default().take(&fetched, tools.clock.now());
        fetched.map(drop)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<[u8; 32], Slot>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn asker<'a>(&self, settings: &'a Settings) -> Result<Asker<'a>, NoToken> {
        let app_id = app_id(settings).ok_or_else(|| NoToken::new(false, "APP_ID_MISSING", "`app_id` is missing"))?;
        let secret = settings.get("app_secret");
        let secret = secret.ok_or_else(|| NoToken::new(false, "APP_SECRET_MISSING", "`app_secret` is missing"))?;
        let tenant = tenant(settings).unwrap_or_else(|| self.default_tenant.to_owned());
        let url = self.url.replace("{tenant}", &utf8_percent_encode(&tenant, SEGMENT).to_string());
        let mut hasher = Sha256::new();
        for part in [url.as_str(), tenant.as_str(), app_id.as_str(), self.scope, secret] {
            hasher.update(part.len().to_be_bytes());
            hasher.update(part.as_bytes());
        }
        Ok(Asker { app_id, secret, url, key: hasher.finalize().into() })
    }

    fn fetch(&self, tools: &Tools, asker: &Asker<'_>) -> Result<Token, NoToken> {
        if !is_safe(&asker.url) {
            return Err(NoToken::new(false, "TOKEN_URL_BAD", "the sign-in address is not https"));
        }
        let form = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("grant_type", "client_credentials")
            .append_pair("client_id", &asker.app_id)
            .append_pair("client_secret", asker.secret)
            .append_pair("scope", self.scope)
            .finish();
        let call = Call {
            method: "POST",
            url: asker.url.clone(),
            headers: vec![
                (String::from("content-type"), String::from("application/x-www-form-urlencoded")),
                (String::from("accept"), String::from("application/json")),
            ],
            body: form.into_bytes(),
            reach: Reach::Configured,
            timeout: FETCH_TIMEOUT,
            answer_max_bytes: ANSWER_MAX_BYTES,
        };
        let answer = tools.net.call(call).map_err(|_| unreachable_authority())?;
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let token = at(&body, "/access_token");
        if answer.status != 200 || token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(explain(&answer, &body));
        }
        let life = Duration::from_secs(at(&body, "/expires_in").parse().unwrap_or(3600));
        let now = tools.clock.now();
        let refresh_at = now.plus(life.saturating_sub(REFRESH_BEFORE.min(life / 2)));
        Ok(Token { secret: Arc::new(Secret::new(token)), refresh_at, until: now.plus(life) })
    }
}

/// The app id as the directory wants it; `None` when there is none.
pub(super) fn app_id(settings: &Settings) -> Option<String> {
    settings.get("app_id").map(|id| id.trim().to_lowercase()).filter(|id| !id.is_empty())
}

/// The tenant of a single-tenant bot: its own setting, else what follows `@` in the handle.
pub(super) fn tenant(settings: &Settings) -> Option<String> {
    let handle = || settings.get("bot_handle").and_then(|handle| handle.split_once('@')).map(|(_, tenant)| tenant);
    settings.get("app_tenant").or_else(handle).map(|tenant| tenant.trim().to_owned()).filter(|it| !it.is_empty())
}

fn unreachable_authority() -> NoToken {
    NoToken::new(true, "SIGN_IN_UNREACHABLE", "no way to the sign-in service; check the network and try again")
}

/// Words for the directory's refusal. Its own description is foreign text and is not repeated.
fn explain(answer: &Answer, body: &Value) -> NoToken {
    let code = body.pointer("/error_codes/0").and_then(Value::as_u64).or_else(|| described_code(body));
    if answer.status == 200 || answer.status == 408 || answer.status == 429 || answer.status >= 500 {
        let status = answer.status;
        return NoToken::new(true, "SIGN_IN_BUSY", format!("the sign-in service answered {status}; try again later"));
    }
    if at(body, "/error") == "temporarily_unavailable" {
        return NoToken::new(true, "SIGN_IN_BUSY", "the sign-in service is busy; try again later");
    }
    let (name, words) = match code {
        Some(700_016) => (
            "APP_ID_UNKNOWN",
            "the app id is not known in that directory: check `app_id`; a single-tenant bot needs its tenant id in \
             `app_tenant` (or write `bot_handle` as `handle@tenant`)",
        ),
        Some(7_000_215) => ("APP_SECRET_WRONG", "the secret is wrong: paste the secret's value, not its id"),
        Some(7_000_222) => ("APP_SECRET_EXPIRED", "the secret has expired: create a new one"),
        Some(7_000_229) => ("APP_NOT_IN_TENANT", "the app has no service principal in that tenant; check `app_tenant`"),
        Some(90_002 | 900_023) => ("TENANT_UNKNOWN", "the tenant is unknown; check `app_tenant`"),
        _ => ("SIGN_IN_REFUSED", "refused by the directory"),
    };
    let code = code.map_or_else(|| format!("it answered {}", answer.status), |code| format!("AADSTS{code}"));
    NoToken::new(false, name, format!("{words} ({code})"))
}

/// The number at the start of the description, for answers without a list of numbers.
fn described_code(body: &Value) -> Option<u64> {
    let description = at(body, "/error_description");
    let digits = description.strip_prefix("AADSTS")?;
    let end = digits.find(|char: char| !char.is_ascii_digit()).unwrap_or(digits.len());
    digits.get(..end)?.parse().ok()
}
