//! A boxed portal: reads each packet to its end as a portal does, and answers in the manner of the hour.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use base64::Engine;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use trunkline::portals::boxed::form::Form;
use trunkline::portals::boxed::php::{self, Value};

use super::ends::{Counted, SLOW, Shared, accept, answer, hold, request};
use super::house::{self, OLD, OUT};
use super::ledger::Direction;
use super::schedule::Manner;
use super::wires;

/// One of them.
#[derive(Clone)]
pub(super) struct Portal {
    pub(super) index: usize,
    pub(super) manner: watch::Receiver<Manner>,
    pub(super) shared: Arc<Shared>,
}

/// What one post brought.
#[derive(Default)]
struct Packet {
    line: String,
    messages: Vec<u32>,
    statuses: Vec<u32>,
    /// Chat and id of each message, as `setStatusDelivered` names them.
    names: Vec<(String, String)>,
}

impl Portal {
    /// Takes connections as its manner has it.
    pub(super) async fn run(mut self, listener: TcpListener) {
        let address = listener.local_addr().unwrap();
        let mut listener = Some(listener);
        let mut connections = JoinSet::new();
        loop {
            if *self.manner.borrow_and_update() == Manner::Refuses {
                listener = None;
                connections.abort_all();
            } else if listener.is_none() {
                listener = Some(TcpListener::bind(address).await.unwrap());
            }
            tokio::select! {
                changed = self.manner.changed() => if changed.is_err() { return },
                accepted = accept(listener.as_ref()) => {
                    let (own, Some(stream)) = (self.clone(), accepted) else { continue };
                    connections.spawn(own.serve(stream, Counted::new(&self.shared)));
                }
                Some(_) = connections.join_next() => (),
            }
        }
    }

    async fn serve(mut self, mut stream: TcpStream, _counted: Counted) -> Option<()> {
        let mut bytes = Vec::with_capacity(16 * 1024);
        let head = request(&mut stream, &mut bytes).await?;
        let packet = self.read(&bytes[head.length..]);
        let calm_from = self.shared.calm_after[self.index].load(Ordering::Relaxed);
        let calm_from = calm_from.max(self.shared.server_calm_after.load(Ordering::Relaxed));
        let calm = (self.shared.ledger.now() * 1000.0) as u64 > calm_from;
        self.shared.ledger.came(Direction::In, &packet.messages, calm);
        // When the task is dropped in the middle, nothing was answered.
        let mut verdict = Verdict { shared: Arc::clone(&self.shared), messages: packet.messages.clone(), yes: false };
        verdict.yes = self.reply(&mut stream, &packet).await == Some(true);
        if verdict.yes {
            self.shared.ledger.statuses(&packet.statuses);
        }
        drop(verdict);
        stream.shutdown().await.ok()
    }

    /// Answers in the portal's present manner; true for a clear yes that has left.
    async fn reply(&mut self, stream: &mut TcpStream, packet: &Packet) -> Option<bool> {
        const JSON: &str = "application/json";
        let yes = answer("200 OK", JSON, "{\"OK\":true,\"DATA\":[]}");
        let manner = *self.manner.borrow_and_update();
        let (bytes, is_yes) = match manner {
            Manner::Well => {
                self.confirm(packet).await;
                (yes, true)
            }
            Manner::Slow => {
                hold(stream, SLOW).await?;
                (yes, true)
            }
            Manner::Silent => {
                let mut byte = [0];
                tokio::select! {
                    _ = self.manner.changed() => (),
                    _ = stream.read(&mut byte) => (),
                }
                return None;
            }
            Manner::Refuses => return None,
            Manner::Fails => (answer("500 Internal Server Error", "text/plain", "out of memory"), false),
            Manner::Html => (answer("200 OK", "text/html", "<html><body>We are moving house</body></html>"), false),
            Manner::Half => (yes[..yes.len() - 9].to_vec(), false),
        };
        stream.write_all(&bytes).await.ok()?;
        Some(is_yes)
    }

    /// Old portals confirm by a command before they answer. Once begun it goes on even if the post is cut off: the server
    /// may have heard it, and then it must not be overlooked here.
    async fn confirm(&self, packet: &Packet) {
        let Some(server) = self.shared.server.get().filter(|_| self.index == OLD && !packet.names.is_empty()) else {
            return;
        };
        let identity = &self.shared.identities.get().unwrap()[self.index];
        let command = house::confirmation(identity, &packet.line, &packet.names);
        let (server, shared, messages) = (*server, Arc::clone(&self.shared), packet.messages.clone());
        let told = tokio::spawn(async move {
            let told = wires::ask(server, &command, Duration::from_secs(3)).await;
            let is_taken = told.is_some_and(|(status, body)| status == 200 && wires::says_ok(&body));
            if is_taken {
                // It counts as a yes, whatever becomes of the answer.
                shared.ledger.answered(Direction::In, &messages, true);
            }
            shared.confirmed[usize::from(!is_taken)].fetch_add(1, Ordering::Relaxed);
        });
        // It ends early only with the runtime.
        let _ = told.await;
    }

    /// Reads a post as a portal does.
    fn read(&self, body: &[u8]) -> Packet {
        let form = Form::decode(body).expect("the server posts forms");
        let field = |name| form.get(name).unwrap_or_default().to_owned();
        let data = base64::engine::general_purpose::STANDARD.decode(field("DATA")).unwrap();
        let data = php::decode(&data).unwrap();
        let mut packet = Packet { line: field("LINE"), ..Packet::default() };
        let command = field("BX_COMMAND");
        for element in data.items() {
            match command.as_str() {
                "receivingMessage" => self.message(element, &mut packet),
                "receivingStatusDelivery" => packet.statuses.extend(self.status(element)),
                // The doctor's question.
                "testConnect" => (),
                other => self.shared.ledger.notice(format!("{other} at portal {}: {element:?}", self.index)),
            }
        }
        packet
    }

    fn message(&self, element: &Value, packet: &mut Packet) {
        let inner = |outer: &str, name: &str| match element.get(outer).and_then(|value| value.get(name)) {
            Some(Value::Str(text)) => text.clone(),
            _ => String::new(),
        };
        let (text, chat, id) = (inner("message", "text"), inner("chat", "id"), inner("message", "id"));
        let number = text.strip_prefix("in-").and_then(|text| text.split(' ').next()?.parse().ok());
        let place = chat.strip_prefix("conversation-").and_then(|chat| chat.parse::<usize>().ok());
        let (Some(number), Some(place)) = (number, place) else {
            // What the server says itself: a loss, or a failure in the words of old portals.
            return self.shared.ledger.notice(format!("message {id} at portal {} in {chat}: {text}", self.index));
        };
        let line = house::line_of(place);
        let is_edit = element.get("type_message") == Some(&Value::text("message_update"));
        if house::portal_of(line) != self.index || house::number(line) != packet.line {
            let index = self.index;
            self.shared.ledger.stray(format!("in-{number} came to portal {index}, line {}, from {chat}", packet.line));
        }
        if !is_edit && id != format!("{}-{number}", self.shared.run) {
            self.shared.ledger.stray(format!("in-{number} came with the id {id}"));
        }
        packet.messages.push(number);
        packet.names.push((chat, id));
    }

    fn status(&self, element: &Value) -> Option<u32> {
        let Some(Value::Int(id)) = element.get("im").and_then(|im| im.get("message_id")) else {
            self.shared.ledger.stray(format!("a status without a number: {element:?}"));
            return None;
        };
        u32::try_from(id - OUT).ok()
    }
}

/// Tells the ledger how a post was answered, also when its connection is cut.
struct Verdict {
    shared: Arc<Shared>,
    messages: Vec<u32>,
    yes: bool,
}

impl Drop for Verdict {
    fn drop(&mut self) {
        self.shared.ledger.answered(Direction::In, &self.messages, self.yes);
    }
}
