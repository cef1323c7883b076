//! The channel's API: takes operators' messages, or refuses them, in the manner of the hour.

use std::sync::Arc;

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::ends::{Counted, SLOW, Shared, accept, answer, hold, request};
use super::ledger::Direction;
use super::schedule::Api;

/// How often the channel leaves one message's outcome open: the server gives up at the fourth time, as it should.
const OPEN_OUTCOMES_MAX: u8 = 2;

/// The service behind `serviceUrl`.
#[derive(Clone)]
pub(super) struct Channel {
    pub(super) api: watch::Receiver<Api>,
    pub(super) shared: Arc<Shared>,
}

impl Channel {
    /// Takes connections.
    pub(super) async fn run(self, listener: TcpListener) {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = accept(Some(&listener)) => {
                    let (own, Some(stream)) = (self.clone(), accepted) else { continue };
                    connections.spawn(own.serve(stream, Counted::new(&self.shared)));
                }
                Some(_) = connections.join_next() => (),
            }
        }
    }

    async fn serve(self, mut stream: TcpStream, _counted: Counted) -> Option<()> {
        let mut bytes = Vec::with_capacity(4 * 1024);
        let head = request(&mut stream, &mut bytes).await?;
        let first = std::str::from_utf8(&bytes[..head.length]).ok()?.lines().next()?.to_owned();
        let path = first.split(' ').nth(1)?;
        if path.contains("token") {
            let token = "{\"token_type\":\"Bearer\",\"expires_in\":3600,\"access_token\":\"endurance\"}";
            return stream.write_all(&answer("200 OK", "application/json", token)).await.ok();
        }
        let body: serde_json::Value = serde_json::from_slice(&bytes[head.length..]).unwrap_or_default();
        let text = body["text"].as_str().unwrap_or_default();
        let number: Option<u32> =
            text.strip_prefix("out-").and_then(|text| text.split(' ').next()).and_then(|word| word.parse().ok());
        let Some(number) = number.filter(|_| path.ends_with("/activities")) else {
            self.shared.ledger.stray(format!("the channel was asked for {first}: {text}"));
            return None;
        };
        let (bytes, yes) = self.judge(&mut stream, number).await?;
        let sent = !bytes.is_empty() && stream.write_all(&bytes).await.is_ok();
        if let Some(yes) = yes {
            self.shared.ledger.answered(Direction::Out, &[number], yes && sent);
        }
        stream.shutdown().await.ok()
    }

    /// What is said to a message, and whether it is a yes; nothing where it was not taken at all.
    async fn judge(&self, stream: &mut TcpStream, number: u32) -> Option<(Vec<u8>, Option<bool>)> {
        let later = |status: &str, seconds: u32| {
            let body = "{\"error\":{\"code\":\"ServiceError\",\"message\":\"come again\"}}";
            format!(
                "HTTP/1.1 {status}\r\nRetry-After: {seconds}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            )
            .into_bytes()
        };
        let taken = || self.shared.ledger.came(Direction::Out, &[number], false);
        let yes = || answer("201 Created", "application/json", &format!("{{\"id\":\"sent-{number}\"}}"));
        let api = *self.api.borrow();
        Some(match api {
            Api::Storm => (later("429 Too Many Requests", 1 + number % 4), None),
            Api::Away => (later("503 Service Unavailable", 2), None),
            Api::Fails if self.may_leave_open(number) => {
                let failed = answer("500 Internal Server Error", "text/plain", "oops");
                if number.is_multiple_of(2) {
                    taken();
                    (failed, Some(false))
                } else {
                    (failed, None)
                }
            }
            Api::Cuts if self.may_leave_open(number) => {
                taken();
                (Vec::new(), Some(false))
            }
            Api::Slow => {
                taken();
                let Some(()) = hold(stream, SLOW).await else {
                    return Some((Vec::new(), Some(false)));
                };
                (yes(), Some(true))
            }
            Api::Well | Api::Fails | Api::Cuts => {
                taken();
                (yes(), Some(true))
            }
        })
    }

    fn may_leave_open(&self, number: u32) -> bool {
        let mut outcomes = self.shared.outcomes.lock().unwrap();
        let at = number as usize;
        if outcomes.len() <= at {
            outcomes.resize(at + 1, 0);
        }
        outcomes[at] += 1;
        outcomes[at] <= OPEN_OUTCOMES_MAX
    }
}
