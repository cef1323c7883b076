//! Which rows of a line's head travel together: pure.

use crate::ids::MessageId;
use crate::message::Body;
use crate::queue::Queued;
use crate::queue::body;

/// Limits of one packet (design §6).
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Messages.
    pub messages: usize,
    /// Files, avatars included: a portal downloads them inside the request.
    pub files: usize,
    /// Bytes of stored bodies.
    pub bytes: usize,
}

/// A packet and the rows behind it.
#[derive(Clone, Debug)]
pub struct Cut {
    /// Virtual connector id of all of them.
    pub connector: String,
    /// Row, decoded body, in order.
    pub rows: Vec<(Queued, Body)>,
}

/// What the head of a line gives.
#[derive(Clone, Debug)]
pub enum Next {
    /// Nothing waits.
    Empty,
    /// Post this.
    Packet(Cut),
    /// The first row's body can't be read; it must leave before anything else can.
    Unreadable(MessageId, String),
}

/// Takes from the oldest rows what fits into one packet: the same connector and command, at least one row.
pub fn cut(rows: Vec<Queued>, limits: Limits) -> Next {
    let mut taken: Vec<(Queued, Body)> = Vec::new();
    let (mut files, mut bytes) = (0, 0);
    for row in rows {
        if let Some((first, _)) = taken.first() {
            let foreign = first.connector != row.connector || first.command != row.command;
            let full = taken.len() >= limits.messages
                || files + row.files > limits.files
                || bytes + row.body.len() > limits.bytes;
            // Only one deactivation or failure notice at a time: the portal's reply tells nothing of single elements.
            if foreign || full || row.command == "deactivated" {
                break;
            }
        }
        match body::decode(&row.body) {
            Ok(mut body) => {
                files += row.files;
                bytes += row.body.len();
                // Without a date the portal would show the time of the delivery, which may be a day later.
                if let Body::Message(message) = &mut body {
                    message.date.get_or_insert(row.accepted_at.secs());
                }
                taken.push((row, body));
            }
            Err(error) if taken.is_empty() => return Next::Unreadable(row.id, error.to_string()),
            Err(_) => break,
        }
    }
    match taken.first() {
        None => Next::Empty,
        Some((first, _)) => Next::Packet(Cut { connector: first.connector.clone(), rows: taken }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::UnixMillis;
    use crate::message::Notice;

    const LIMITS: Limits = Limits { messages: 10, files: 3, bytes: 10_000 };

    fn row(id: i64, connector: &str, command: &str, files: usize) -> Queued {
        Queued {
            id: MessageId(id),
            connector: connector.into(),
            command: command.into(),
            chat: String::new(),
            message: String::new(),
            files,
            body: body::encode(Body::Notice(Notice::Deactivated)),
            accepted_at: UnixMillis(0),
            attempts: 0,
        }
    }

    fn taken(rows: Vec<Queued>, limits: Limits) -> usize {
        match cut(rows, limits) {
            Next::Packet(cut) => cut.rows.len(),
            Next::Empty => 0,
            Next::Unreadable(..) => panic!("readable"),
        }
    }

    #[test]
    fn a_packet_ends_at_each_limit() {
        let plain = |count: i64| (1..=count).map(|id| row(id, "a", "message", 0)).collect::<Vec<_>>();
        assert_eq!(taken(vec![], LIMITS), 0);
        assert_eq!(taken(plain(25), LIMITS), 10);
        assert_eq!(taken(plain(25), Limits { bytes: 50, ..LIMITS }), 2);
        assert_eq!(taken(plain(2), Limits { bytes: 1, ..LIMITS }), 1, "at least one");
        let with_files = vec![row(1, "a", "message", 2), row(2, "a", "message", 1), row(3, "a", "message", 1)];
        assert_eq!(taken(with_files, LIMITS), 2);
        assert_eq!(taken(vec![row(1, "a", "message", 9), row(2, "a", "message", 0)], LIMITS), 1);
    }

    #[test]
    fn a_packet_has_one_connector_and_one_command() {
        assert_eq!(taken(vec![row(1, "a", "message", 0), row(2, "b", "message", 0)], LIMITS), 1);
        assert_eq!(taken(vec![row(1, "a", "message", 0), row(2, "a", "delivered", 0)], LIMITS), 1);
        assert_eq!(taken(vec![row(1, "a", "deactivated", 0), row(2, "a", "deactivated", 0)], LIMITS), 1);
    }

    /// A message whose channel gave no time, delivered a day late or replayed.
    #[test]
    fn a_message_without_a_date_has_the_time_it_was_accepted() {
        for (date, want) in [(None, 1_500_000_000), (Some(7), 7)] {
            let mut message = body::tests::full();
            message.date = date;
            let mut stored = row(1, "a", "message", 0);
            (stored.body, stored.accepted_at) =
                (body::encode(Body::Message(Box::new(message))), UnixMillis(1_500_000_000_999));
            let Next::Packet(cut) = cut(vec![stored], LIMITS) else { panic!("a packet") };
            let Some((_, Body::Message(message))) = cut.rows.first() else { panic!("a message") };
            assert_eq!(message.date, Some(want));
        }
    }

    #[test]
    fn an_unreadable_row_stands_alone() {
        let mut bad = row(2, "a", "message", 0);
        bad.body = b"rubbish".to_vec();
        assert_eq!(taken(vec![row(1, "a", "message", 0), bad.clone()], LIMITS), 1);
        assert!(matches!(cut(vec![bad], LIMITS), Next::Unreadable(MessageId(2), _)));
    }
}
