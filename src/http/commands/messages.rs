//! Operators' messages and the portal's confirmations: what must not be lost though nobody waits for the answer.

use std::time::Duration;

use crossbeam_channel::bounded;
use serde_json::{Value, json};

use super::{Failure, Refused, line_of, not_connected, reader, target};
use crate::http::service::Service;
use crate::message::Outgoing;
use crate::outbox::{self, Lane};
use crate::portals::boxed::command::Command;
use crate::portals::boxed::reply;
use crate::records::Portal;
use crate::sender::Event;
use crate::store::{Tx, directory};

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
    let lanes: Vec<Lane> = messages.iter().map(|message| Lane { line: id, chat: message.chat.clone() }).collect();
    let work = move |tx: &mut Tx<'_>| batch.iter().try_for_each(|message| outbox::push(tx, id, message).map(drop));
    if is_unheard(command) {
        return store_unheard(service, work, lanes);
    }
    service.writer.write(service.commit_wait, work)?;
    for lane in lanes {
        service.dispatcher.wake(lane);
    }
    Ok(reply::ok(&json!({})))
}

/// Up to this version the portal has closed its socket and told the operator that all is well (`portal-box-observed.md`
/// §2); from 23 on it reads the head of the answer.
fn is_unheard(command: &Command) -> bool {
    let major = command.version.split('.').next().and_then(|major| major.parse::<u32>().ok());
    major.is_some_and(|major| major < 21)
}

/// What nobody will ever send again must not be given up when the disk is busy or full for longer than a caller could
/// wait: it stays with the writer until it is stored, and is sent from there.
fn store_unheard(
    service: &Service,
    work: impl Fn(&mut Tx<'_>) -> rusqlite::Result<()> + Send + 'static,
    lanes: Vec<Lane>,
) -> Result<Value, Failure> {
    let (tell, stored) = bounded(1);
    let dispatcher = service.dispatcher.clone();
    service.writer.submit(work, move |result| {
        match &result {
            Ok(()) => {
                for lane in lanes {
                    dispatcher.wake(lane);
                }
            }
            Err(error) => log::error!(error:% = error; "an operator's message could not be stored and is lost"),
        }
        let _ = tell.try_send(result);
    });
    let Ok(result) = stored.recv_timeout(service.commit_wait) else {
        return Err(Failure::Unavailable("the command waits for the database"));
    };
    result?;
    Ok(reply::ok(&json!({})))
}

pub(super) fn delivered(
    service: &Service,
    portal: &Portal,
    command: &Command,
    named: &[(String, String)],
) -> Result<Value, Failure> {
    let (connector, number) = target(service, command)?;
    let db = reader(service)?;
    let Some(line) = directory::line_of(&db, portal.id, connector.name(), &number)? else {
        return Err(not_connected());
    };
    let (done, on_disk) = bounded(1);
    service.sender.tell(Event::Status {
        line: line.id,
        connector: command.connector.to_lowercase(),
        named: named.to_vec(),
        done: Some(done),
    });
    if on_disk.recv_timeout(STATUS_WAIT).is_err() {
        log::warn!(line:% = line.id; "a confirmation is not on the disk yet");
    }
    Ok(reply::ok(&json!({})))
}
