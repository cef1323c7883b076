//! What the sender knows of one portal, pure: whose turn it is there, and whether it is down (design §6: a portal that is
//! down is probed by one line at a time, not by all of its lines).

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use crate::clock::UnixMillis;
use crate::ids::LineId;
use crate::portals::PortalError;
use crate::records::Portal;

/// How long other lines take one line's word that the portal is down.
const FRESH: Duration = Duration::from_mins(1);

/// One portal.
#[derive(Debug)]
pub(super) struct PortalTask {
    pub record: Arc<Portal>,
    pub in_flight: usize,
    /// Lines that wait for their turn.
    pub parked: VecDeque<LineId>,
    /// Loaded lines with a block: a sign of life lifts them.
    pub blocked: BTreeSet<LineId>,
    /// Lines that may have lost something of which the portal has yet to hear.
    pub untold: BTreeSet<LineId>,
    down: Option<Down>,
}

/// Nobody could be reached there.
#[derive(Debug)]
struct Down {
    at: UnixMillis,
    by: LineId,
    error: PortalError,
    /// Two lines have found it so. One alone may have choked the portal with a message of its own: the others would
    /// wait for nothing.
    seconded: bool,
}

impl PortalTask {
    pub(super) fn new(record: Portal) -> Self {
        Self {
            record: Arc::new(record),
            in_flight: 0,
            parked: VecDeque::new(),
            blocked: BTreeSet::new(),
            untold: BTreeSet::new(),
            down: None,
        }
    }

    /// Another packet may leave for it: `share` at once, one while it is down.
    pub(super) fn has_room(&self, share: usize) -> bool {
        self.in_flight < if self.down.is_some() { 1 } else { share }
    }

    /// The clock was set by so much.
    pub(super) fn shift(&mut self, millis: i64) {
        if let Some(down) = &mut self.down {
            down.at = down.at.shifted(millis);
        }
    }

    pub(super) fn found_up(&mut self) {
        self.down = None;
    }

    pub(super) fn found_down(&mut self, by: LineId, error: PortalError, at: UnixMillis) {
        let seconded = self.down.as_ref().is_some_and(|down| down.seconded || down.by != by);
        self.down = Some(Down { at, by, error, seconded });
    }

    /// What another line has found since `since`, when that is new enough to be taken for a try of one's own.
    pub(super) fn finding(&self, line: LineId, since: UnixMillis, now: UnixMillis) -> Option<&PortalError> {
        let down = self.down.as_ref()?;
        let counts = down.seconded && down.by != line && down.at >= since && now.since(down.at) < FRESH;
        counts.then_some(&down.error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::PortalId;
    use crate::net::NetError;
    use crate::secret::Secret;

    #[test]
    fn two_lines_must_find_a_portal_down_before_others_believe_it() {
        let (a, b, c) = (LineId(1), LineId(2), LineId(3));
        let mut portal = PortalTask::new(Portal {
            id: PortalId(1),
            name: String::new(),
            protocol: "box".into(),
            url: String::new(),
            licence: String::new(),
            key: Secret::new(""),
            version: None,
        });
        let error = || PortalError::Net(NetError::Connect("refused".into()));
        let at = UnixMillis;
        assert!(portal.has_room(4));
        portal.found_down(a, error(), at(10));
        portal.found_down(a, error(), at(20));
        assert!(portal.finding(b, at(0), at(20)).is_none(), "one line's word");
        portal.in_flight = 1;
        assert!(!portal.has_room(4), "one at a time");
        portal.found_down(b, error(), at(30));
        assert!(portal.finding(c, at(30), at(30)).is_some());
        assert!(portal.finding(c, at(31), at(40)).is_none(), "found before the line asked");
        assert!(portal.finding(b, at(0), at(40)).is_none(), "its own finding");
        assert!(portal.finding(c, at(0), at(30 + 60_000)).is_none(), "a minute old");
        portal.found_up();
        assert!(portal.has_room(4) == (portal.in_flight < 4) && portal.finding(c, at(0), at(30)).is_none());
    }
}
