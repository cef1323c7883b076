//! Signed hooks against a real receiver: Python's package for Standard Webhooks takes what the desk posts, and nothing
//! else. Left out, and said so, where Python or the package is missing; `PEER_PYTHON` names another interpreter.

use std::io::{BufRead, BufReader, Lines};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;

use serde_json::{Value as Json, json};
use trunkline::clock::{Clock, SystemClock, UnixMillis};
use trunkline::desk::{Hook, HookError};
use trunkline::net::Out;
use trunkline::secret::Secret;

const PEER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/peers/hook.py");
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const OTHER: &str = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// The receiver; killed when dropped.
struct Receiver {
    child: Child,
    says: Lines<BufReader<ChildStdout>>,
    url: String,
}

impl Receiver {
    fn start() -> Option<Self> {
        let python = std::env::var("PEER_PYTHON").unwrap_or_else(|_| "python3".to_owned());
        let mut child = match Command::new(&python).args([PEER, SECRET]).stdout(Stdio::piped()).spawn() {
            Ok(child) => child,
            Err(error) => {
                println!("left out: {python} can't be run ({error})");
                return None;
            }
        };
        let mut says = BufReader::new(child.stdout.take().unwrap()).lines();
        let url = says.next().expect("the receiver says where it is").unwrap();
        let receiver = Self { child, says, url };
        if receiver.url == "missing" {
            println!("left out: {python} lacks the package standardwebhooks");
            return None;
        }
        Some(receiver)
    }

    fn said(&mut self) -> Json {
        serde_json::from_str(&self.says.next().unwrap().unwrap()).unwrap()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn another_implementation_takes_our_hooks() {
    let Some(mut receiver) = Receiver::start() else { return };
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let net = Out::new(&clock, vec![], &[]).unwrap();
    let now = clock.now();
    let ago = UnixMillis(now.0 - 600_000);
    let body = json!({"type": "message", "text": "Привет 👋 \"x\" & \\ \n"}).to_string();
    let url = receiver.url.clone();
    let post =
        |secret: &str, at: UnixMillis| Hook::new(&url, &Secret::new(secret)).unwrap().post(&net, "event-1", at, &body);

    assert_eq!(post(SECRET, now), Ok(()));
    let event = serde_json::from_str::<Json>(&body).unwrap();
    assert_eq!(receiver.said(), json!({"id": "event-1", "event": event}));
    for (secret, at, why) in [(OTHER, now, "No matching signature found"), (SECRET, ago, "Message timestamp too old")] {
        assert_eq!(post(secret, at), Err(HookError::Status(401)), "{why}");
        assert_eq!(receiver.said(), json!({"refused": why}));
    }
}
