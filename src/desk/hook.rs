//! Events for programs in other languages: posted to an address and signed as the Standard Webhooks have it
//! (standardwebhooks.com), for which most languages have a ready check. One post here; what is to be posted, and how
//! often it was tried, is the caller's to keep.

use std::fmt;
use std::time::Duration;

use base64::Engine;
use base64::alphabet;
use base64::engine::general_purpose::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::clock::UnixMillis;
use crate::net::{Call, Net, NetError, Reach};
use crate::secret::Secret;

/// What the text of a secret begins with.
const PREFIX: &str = "whsec_";
/// Shortest and longest secret, bytes, as the specification has it.
const SECRET_MIN_BYTES: usize = 24;
const SECRET_MAX_BYTES: usize = 64;
/// Secrets come with their padding or without, as who made them likes.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);
/// Longest wait for an answer.
const TIMEOUT: Duration = Duration::from_secs(15);
/// Longest answer that is read; nobody looks into it.
const ANSWER_MAX_BYTES: usize = 64 * 1024;

/// An address that wants to hear of events.
pub struct Hook {
    url: String,
    /// Holds the secret.
    mac: Hmac<Sha256>,
}

impl fmt::Debug for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Some receivers have a password in their address.
        f.debug_struct("Hook").finish_non_exhaustive()
    }
}

/// Why a text is no secret for signing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadSecret {
    /// It does not begin with `whsec_`.
    Prefix,
    /// What follows is no base64.
    Base64,
    /// It has so many bytes.
    Length(usize),
}

impl fmt::Display for BadSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Prefix => write!(f, "the secret must begin with `{PREFIX}`"),
            Self::Base64 => write!(f, "what follows `{PREFIX}` in the secret must be base64"),
            Self::Length(bytes) => write!(
                f,
                "the secret has {bytes} bytes behind its base64; it must have {SECRET_MIN_BYTES} to {SECRET_MAX_BYTES}"
            ),
        }
    }
}

impl std::error::Error for BadSecret {}

/// Why nobody has heard of an event, as far as can be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HookError {
    /// Another status than 2xx, redirects too.
    Status(u16),
    /// No whole answer.
    Net(NetError),
}

impl HookError {
    /// The receiver wants to hear nothing any more: its way to say so is 410.
    pub fn is_gone(&self) -> bool {
        match self {
            Self::Status(status) => *status == 410,
            Self::Net(_) => false,
        }
    }
}

impl fmt::Display for HookError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "the hook's address answered {status} instead of 2xx"),
            Self::Net(error) => write!(f, "the hook can't be reached: {error}"),
        }
    }
}

impl std::error::Error for HookError {}

impl Hook {
    /// Events for `url`, which the administrator chose, signed with `secret`: `whsec_` and base64 of 24 to 64 bytes.
    pub fn new(url: &str, secret: &Secret) -> Result<Self, BadSecret> {
        let text = secret.reveal().strip_prefix(PREFIX).ok_or(BadSecret::Prefix)?;
        let key = LENIENT.decode(text).map_err(|_| BadSecret::Base64)?;
        if !(SECRET_MIN_BYTES..=SECRET_MAX_BYTES).contains(&key.len()) {
            return Err(BadSecret::Length(key.len()));
        }
        let mac = Hmac::new_from_slice(&key).map_err(|_| BadSecret::Length(key.len()))?;
        Ok(Self { url: url.to_owned(), mac })
    }

    /// Posts one event. `id` names the event: it stays the same when it is posted again, so that the receiver knows a
    /// repeat, and has no dot. `at` is now, because receivers refuse what is more than some minutes old. `body` is JSON.
    pub fn post(&self, net: &dyn Net, id: &str, at: UnixMillis, body: &str) -> Result<(), HookError> {
        let timestamp = at.secs().to_string();
        let signature = format!("v1,{}", self.signature(id, &timestamp, body));
        let headers = [
            ("content-type", "application/json"),
            ("webhook-id", id),
            ("webhook-timestamp", &timestamp),
            ("webhook-signature", &signature),
        ];
        let call = Call {
            method: "POST",
            url: self.url.clone(),
            headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
            body: body.as_bytes().to_vec(),
            reach: Reach::Configured,
            timeout: TIMEOUT,
            answer_max_bytes: ANSWER_MAX_BYTES,
        };
        let answer = net.call(call).map_err(HookError::Net)?;
        if (200..300).contains(&answer.status) { Ok(()) } else { Err(HookError::Status(answer.status)) }
    }

    fn signature(&self, id: &str, timestamp: &str, body: &str) -> String {
        let parts = [id, timestamp, body].join(".");
        STANDARD.encode(self.mac.clone().chain_update(parts).finalize().into_bytes())
    }
}

/// Seconds from one attempt to the next, at first.
const WAIT_SECS: [u64; 5] = [5, 30, 120, 600, 3600];
/// Seconds from one attempt to the next, then.
const LAST_WAIT_SECS: u64 = 3 * 3600;
/// Seconds after which nothing is tried any more.
const ALL_SECS: u64 = 24 * 3600;

const _: () = {
    let (mut rest, mut total, mut last) = (WAIT_SECS.as_slice(), 0, 0);
    while let [next, tail @ ..] = rest {
        assert!(last < *next, "each wait is longer than the one before");
        (rest, total, last) = (tail, total + *next, *next);
    }
    assert!(last < LAST_WAIT_SECS && total + LAST_WAIT_SECS < ALL_SECS);
};

/// How long to wait after so many failed attempts: 5 s, 30 s, 2 min, 10 min, 1 h, then 3 h each time; nothing once the
/// next attempt would come more than a day after the first. The length of the attempts themselves does not count.
pub fn retry_after(attempts: u32) -> Option<Duration> {
    let waits = WAIT_SECS.into_iter().chain(std::iter::repeat(LAST_WAIT_SECS));
    let (mut last, mut all) = (0, 0);
    for wait in waits.take(usize::try_from(attempts).unwrap_or(usize::MAX)) {
        (last, all) = (wait, all + wait);
        if all > ALL_SECS {
            return None;
        }
    }
    Some(Duration::from_secs(last))
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::net::Answer;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    #[derive(Debug)]
    struct Memory(Result<u16, NetError>, Mutex<Vec<Call>>);

    impl Net for Memory {
        fn call(&self, call: Call) -> Result<Answer, NetError> {
            self.1.lock().unwrap().push(call);
            self.0.clone().map(|status| Answer { status, ..Answer::default() })
        }
    }

    fn hook() -> Hook {
        Hook::new("https://x.test/?token=MARK", &Secret::new(SECRET)).unwrap()
    }

    /// The example of the specification's own libraries.
    #[test]
    fn an_event_is_signed() {
        let net = Memory(Ok(204), Mutex::default());
        let (id, body) = ("msg_p5jXN8AQM9LWM0D4loKWxJek", "{\"test\": 2432232314}");
        assert_eq!(hook().post(&net, id, UnixMillis(1_614_265_330_999), body), Ok(()));
        let call = net.1.lock().unwrap().remove(0);
        assert_eq!(
            (call.method, call.url.as_str(), call.reach),
            ("POST", "https://x.test/?token=MARK", Reach::Configured)
        );
        assert_eq!((call.body.as_slice(), call.timeout), (body.as_bytes(), TIMEOUT));
        let header = |name: &str| call.headers.iter().find(|(key, _)| key == name).unwrap().1.as_str();
        assert_eq!((header("webhook-id"), header("webhook-timestamp")), (id, "1614265330"));
        assert_eq!(header("webhook-signature"), "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        assert_eq!(header("content-type"), "application/json");
    }

    #[test]
    fn only_2xx_is_success() {
        let post = |answer| hook().post(&Memory(answer, Mutex::default()), "e1", UnixMillis(0), "{}");
        for status in [200, 202, 204, 299] {
            assert_eq!(post(Ok(status)), Ok(()));
        }
        for status in [199, 301, 302, 400, 404, 410, 500] {
            let error = post(Ok(status)).unwrap_err();
            assert_eq!((&error, error.is_gone()), (&HookError::Status(status), status == 410));
            assert!(error.to_string().contains(&status.to_string()), "{error}");
        }
        let error = post(Err(NetError::Timeout(TIMEOUT))).unwrap_err();
        assert_eq!(error.to_string(), "the hook can't be reached: no answer within 15 s");
    }

    #[test]
    fn secrets() {
        let of = |bytes: usize| format!("whsec_{}", STANDARD.encode(vec![7; bytes]));
        for (secret, want) in [
            (SECRET.to_owned(), None),
            (of(25), None),
            (of(25).trim_end_matches('=').to_owned(), None),
            (of(64), None),
            (of(23), Some(BadSecret::Length(23))),
            (of(65), Some(BadSecret::Length(65))),
            ("whsec_".to_owned(), Some(BadSecret::Length(0))),
            ("whsec_?".to_owned(), Some(BadSecret::Base64)),
            (format!("{SECRET}\n"), Some(BadSecret::Base64)),
            (SECRET.replace("whsec_", ""), Some(BadSecret::Prefix)),
        ] {
            assert_eq!(Hook::new("", &Secret::new(secret.as_str())).err(), want, "{secret}");
        }
        assert!(BadSecret::Length(5).to_string().contains("24 to 64"));
    }

    /// Promise 9.
    #[test]
    fn a_hook_never_prints() {
        assert_eq!(format!("{:?}", hook()), "Hook { .. }");
    }

    #[test]
    fn attempts_grow_rarer_for_a_day() {
        let waits: Vec<_> = (1..).map_while(retry_after).map(|wait| wait.as_secs()).collect();
        let three = 3 * 3600;
        assert_eq!(waits, [5, 30, 120, 600, 3600, three, three, three, three, three, three, three]);
        let all: u64 = waits.iter().sum();
        assert!(all <= ALL_SECS && all + three > ALL_SECS);
        assert_eq!((retry_after(0), retry_after(13), retry_after(u32::MAX)), (Some(Duration::ZERO), None, None));
    }
}
