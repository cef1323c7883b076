//! The twins: a portal and a Bot Framework service that speak their real wire protocols, for the demo, for tests and for
//! whoever tests an integration without either. They run on tiny_http, so that they share no HTTP code with the server
//! they face, and know nothing of its database.

pub mod args;
pub mod bot_framework;
mod host;
pub mod portal;

use std::time::Duration;

use crate::desk::watched::Watched;

/// How long a page's question for news is held.
const NEWS_WAIT: Duration = Duration::from_secs(25);

/// Faults on demand.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// Every request is answered 503.
    pub down: bool,
    /// Every answer waits this long.
    pub slow: Duration,
    /// The portal takes messages but neither confirms nor answers OK.
    pub no_confirm: bool,
    /// Share of requests that fail, 0 to 1.
    pub fail_rate: f64,
}

impl Faults {
    /// Takes what a control request names; other faults stay as they are.
    fn update(&mut self, body: &serde_json::Value) {
        let flag = |name: &str| body.get(name).and_then(serde_json::Value::as_bool);
        self.down = flag("down").unwrap_or(self.down);
        self.no_confirm = flag("no_confirm").unwrap_or(self.no_confirm);
        if let Some(millis) = body.get("slow").and_then(serde_json::Value::as_u64) {
            self.slow = Duration::from_millis(millis);
        }
        if let Some(share) = body.get("fail_rate").and_then(serde_json::Value::as_f64) {
            self.fail_rate = share;
        }
    }

    /// In the words of [`Self::update`].
    fn shown(&self) -> serde_json::Value {
        serde_json::json!({"down": self.down, "no_confirm": self.no_confirm, "fail_rate": self.fail_rate,
            "slow": u64::try_from(self.slow.as_millis()).unwrap_or(u64::MAX)})
    }
}
