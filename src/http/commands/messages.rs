//! Operators' messages and the portal's confirmations: what must not be lost though nobody waits for the answer.

use std::time::Duration;

use crossbeam_channel::bounded;
use serde_json::{Value, json};

use super::{Failure, Refused, line_of, not_connected, target};
use crate::http::service::Service;
use crate::message::Outgoing;
use crate::outbox::{self, Lane};
use crate::portals::boxed::command::Command;
use crate::portals::boxed::reply;
use crate::records::Portal;
use crate::sender::Event;
use crate::store::directory;

/// How long a confirmation's handler waits for its deletion to be on the disk; the answer does not depend on it.
const STATUS_WAIT: Duration = Duration::from_secs(5);

/// Operators' messages: stored, then answered, then sent. Repeats of `im.message_id` add nothing.
pub(super) fn send(
    service: &Service,
    portal: &Portal,
    command: &Command,
    messages: &[Outgoing],
) -> Result<Value, Failure> {
    if messages.is_empty() {
        return Err(Refused::new("MESSAGE_EMPTY", "the command carries no message that can be read").into());
    }
    let (line, _) = line_of(service, portal, command)?;
    let (id, batch) = (line.id, messages.to_vec());
    service.writer.write(service.commit_wait, move |tx| {
        for message in &batch {
            outbox::push(tx, id, message)?;
        }
        Ok(())
    })?;
    for message in messages {
        service.dispatcher.wake(Lane { line: id, chat: message.chat.clone() });
    }
    Ok(reply::ok(&json!({})))
}

pub(super) fn delivered(
    service: &Service,
    portal: &Portal,
    command: &Command,
    named: &[(String, String)],
) -> Result<Value, Failure> {
    let (connector, number) = target(service, command)?;
    let db = service.reader().map_err(Failure::Http)?;
    let Some(line) = directory::line_of(&db, portal.id, connector.name(), &number)? else {
        return Err(not_connected());
    };
    let (done, on_disk) = bounded(1);
    service.sender.tell(Event::Status {
        line: line.id,
        connector: command.connector.clone(),
        named: named.to_vec(),
        done: Some(done),
    });
    if on_disk.recv_timeout(STATUS_WAIT).is_err() {
        log::warn!(line:% = line.id; "a confirmation is not on the disk yet");
    }
    Ok(reply::ok(&json!({})))
}
