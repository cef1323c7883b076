//! What a call has come to, and how that gets to the disk. The verdict is made once; the writing is repeated until it
//! succeeds, because asking the channel again would show the message twice.

use std::sync::Arc;
use std::time::Duration;

use super::lane::Stage;
use super::{Dispatcher, Event, Lane};
use crate::channels::{SendError, Step};
use crate::ids::{LineId, MessageId};
use crate::message::{Body, Notice, Outgoing, OutgoingKind, Progress, User};
use crate::outbox::{self, Waiting, body};
use crate::queue::{self, dead};
use crate::records::{LineState, Settings};
use crate::store::attempts::{self, Attempt};
use crate::store::counters::{Counter, Direction};
use crate::store::{StoreError, Tx, directory};

/// The first wait after a failed try; doubles up to [`WAIT_MAX`].
const WAIT_FIRST: Duration = Duration::from_secs(2);
/// The longest wait between two tries.
const WAIT_MAX: Duration = Duration::from_mins(10);
/// The shortest wait that a channel may ask for.
const WAIT_MIN: Duration = Duration::from_secs(1);
/// Tries of one call with unknown outcome (`botframework.md` §4.2: "a few times"); each may have shown the message.
const UNKNOWN_MAX: u32 = 4;
/// Failed tries kept for each line.
const ATTEMPTS_KEPT: i64 = 50;

/// What becomes of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is done with.
    Settle,
    /// A part of it is.
    Note,
    /// It is tried again after that long; `spent` when that counts as a failed try.
    Postpone { wait: Duration, spent: bool },
    /// It will never leave: a dead letter, and the operator is told.
    GiveUp { reason: dead::Reason, code: &'static str, why: String },
    /// The channel refuses the credentials.
    Break { why: String },
}

/// What a worker brings back, or what was decided without one.
#[derive(Debug)]
pub struct Outcome {
    pub(super) id: MessageId,
    /// `None` when it can't be read.
    pub(super) message: Option<Outgoing>,
    pub(super) progress: Progress,
    /// Tries of unknown outcome before this one.
    pub(super) unknown: u32,
    pub(super) verdict: Verdict,
    /// With which the channel was called.
    pub(super) settings: Option<Arc<Settings>>,
    /// What the call complained of, and how long it took.
    pub(super) failed: Option<(String, Duration)>,
}

/// What writing an outcome has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The lane's next message has its turn.
    Next,
    /// The line's state or settings are others now.
    LineChanged,
}

impl Outcome {
    /// A verdict about a message that nobody was called for.
    pub(super) fn judged(waiting: &Waiting, message: Option<Outgoing>, verdict: Verdict) -> Self {
        let progress = body::decode_progress(&waiting.progress);
        Self { id: waiting.id, message, unknown: progress.unknown, progress, verdict, settings: None, failed: None }
    }

    /// What the channel's word means.
    pub(super) fn called(
        line: LineId,
        waiting: &Waiting,
        message: Outgoing,
        mut progress: Progress,
        settings: Arc<Settings>,
        result: Result<Step, SendError>,
        took: Duration,
    ) -> Self {
        let failed = result.as_ref().err().map(|error| (why(error).to_owned(), took));
        let unknown = body::decode_progress(&waiting.progress).unknown;
        let verdict = match result {
            Ok(Step::Done) => Verdict::Settle,
            Ok(Step::More) => Verdict::Note,
            // A typing mark is worth nothing a moment later.
            Err(_) if message.kind == OutgoingKind::Typing => Verdict::Settle,
            Err(SendError::Permanent { code, why }) => {
                Verdict::GiveUp { reason: dead::Reason::Permanent, code, why: with_rest(&why, &progress) }
            }
            Err(SendError::Retry { why, ambiguous: true, .. }) if progress.unknown + 1 >= UNKNOWN_MAX => {
                progress.unknown += 1;
                let why = with_rest(&why, &progress);
                Verdict::GiveUp { reason: dead::Reason::UnknownOutcome, code: "OUTCOME_UNKNOWN", why }
            }
            Err(SendError::Retry { why, after, ambiguous }) => {
                log::warn!(line:% = line, message:% = waiting.id, error = why.as_str(); "the channel did not take a message; it is tried again");
                progress.unknown += u32::from(ambiguous);
                let wait = after.map_or_else(|| backoff(waiting), |after| after.max(WAIT_MIN));
                Verdict::Postpone { wait, spent: after.is_none() }
            }
            Err(SendError::Auth { why }) => Verdict::Break { why },
        };
        if let Verdict::GiveUp { why, .. } = &verdict {
            log::warn!(line:% = line, message:% = waiting.id, error = why.as_str(); "a message to the channel is given up");
        }
        Self { id: waiting.id, message: Some(message), progress, unknown, verdict, settings: Some(settings), failed }
    }
}

fn why(error: &SendError) -> &str {
    match error {
        SendError::Permanent { why, .. } | SendError::Retry { why, .. } | SendError::Auth { why } => why,
    }
}

/// 2 s, 4 s, 8 s … 10 min.
fn growing(times: u32) -> Duration {
    (WAIT_FIRST * 2_u32.saturating_pow(times.min(16))).min(WAIT_MAX)
}

/// The same, up to a quarter longer: lanes that failed together do not come back together.
fn backoff(waiting: &Waiting) -> Duration {
    let wait = growing(waiting.attempts);
    let dice =
        u64::from(waiting.attempts).wrapping_add(waiting.id.0.unsigned_abs()).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    wait + wait * u32::try_from(dice >> 48).unwrap_or(0) / (4 * 65_536)
}

/// A sentence, and what may have arrived all the same.
pub(super) fn with_rest(why: &str, progress: &Progress) -> String {
    let mut why = why.to_owned();
    if progress.parts > 0 {
        why += "; a part of the message has arrived";
    }
    if progress.unknown > 0 {
        let tries = progress.unknown;
        why = format!("{why}; the outcome of {tries} tries is unknown, it may have been delivered");
    }
    why
}

/// Stands for the id of a message that the channel gave none: without any the portal would show "sending" for ever.
fn own_id(id: MessageId) -> String {
    format!("{OWN}{id}")
}

/// An id that no channel gave: the message can be neither changed nor withdrawn.
pub(super) fn is_own(id: &str) -> bool {
    id.starts_with(OWN)
}

const OWN: &str = "trunkline-";

impl Dispatcher {
    /// A worker is back.
    pub(super) fn done(&mut self, lane: &Lane, outcome: Outcome) {
        self.pool.free += 1;
        let share = self.share();
        let now = self.clock.now();
        if let Some(line) = self.lines.get_mut(&lane.line) {
            line.in_flight = line.in_flight.saturating_sub(1);
            if let Some(message) = &outcome.message {
                let id = message.connector.as_str();
                self.paces.ended(lane, id, line.connector.pace(id), now);
            }
            // Others need not be refused too; whether it is broken for good is decided with the disk.
            if matches!(outcome.verdict, Verdict::Break { .. })
                && outcome.settings.as_ref().is_some_and(|used| Arc::ptr_eq(used, &line.settings))
            {
                line.state = LineState::Broken;
            }
            if line.in_flight < share {
                self.ready.extend(line.parked.pop_front());
            }
        }
        self.judge(lane, outcome);
    }

    /// Keeps a verdict until it is on the disk.
    pub(super) fn judge(&mut self, lane: &Lane, outcome: Outcome) {
        if let Verdict::Break { why } = &outcome.verdict {
            log::error!(line:% = lane.line, error = why.as_str(); "the channel refuses the line's credentials; its messages wait for new settings");
        }
        let Some(task) = self.lanes.get_mut(lane) else { return };
        task.stage = Stage::Unwritten(Arc::new(outcome));
        self.write(lane);
    }

    /// Writes what a lane has brought.
    pub(super) fn write(&mut self, lane: &Lane) {
        let Some(task) = self.lanes.get_mut(lane) else { return };
        let Stage::Unwritten(outcome) = std::mem::take(&mut task.stage) else { return };
        (task.stage, task.due) = (Stage::Writing(Arc::clone(&outcome)), None);
        let told = Told { wanted: self.options.notify, customer: self.customer(lane, &outcome.verdict) };
        let (bell, sender, lane) = (self.bell.clone(), self.sender.clone(), lane.clone());
        let place = lane.clone();
        self.writer.submit(
            move |tx| apply(tx, &place, &outcome, &told),
            move |result| {
                if let Err(error) = &result {
                    log::error!(line:% = lane.line, error:% = error; "the outcome of a send can't be written; it is kept and written later");
                }
                sender.wake(lane.line);
                bell.tell(Event::Written(lane, result.ok()));
            },
        );
    }

    /// Whose chat it is, where a failure is to be told in it.
    fn customer(&self, lane: &Lane, verdict: &Verdict) -> Option<Box<User>> {
        if !matches!(verdict, Verdict::GiveUp { .. } | Verdict::Break { .. }) {
            return None;
        }
        let line = self.lines.get(&lane.line)?;
        let chat = directory::chat(&self.db, lane.line, &lane.chat).ok()??;
        line.connector.customer(&chat.data).map(Box::new)
    }

    /// The disk has answered.
    pub(super) fn written(&mut self, lane: &Lane, fate: Option<Fate>) -> Result<(), StoreError> {
        let Some(task) = self.lanes.get_mut(lane) else { return Ok(()) };
        let stage = std::mem::take(&mut task.stage);
        let refusals = std::mem::take(&mut task.refusals);
        match (fate, stage) {
            (None, Stage::Writing(outcome)) => {
                (task.stage, task.refusals) = (Stage::Unwritten(outcome), refusals.saturating_add(1));
                self.wait_until(lane, self.clock.now().plus(growing(refusals)));
                return Ok(());
            }
            (None | Some(Fate::Next), _) => (),
            (Some(Fate::LineChanged), _) => self.reload(lane.line)?,
        }
        self.wake(lane);
        Ok(())
    }
}

/// Writes one outcome. The row may be gone: its line was removed or taken over meanwhile.
fn apply(tx: &mut Tx<'_>, lane: &Lane, outcome: &Outcome, told: &Told) -> rusqlite::Result<Fate> {
    if let Some((why, took)) = &outcome.failed {
        note_failure(tx, lane, outcome.id, why, *took)?;
    }
    match &outcome.verdict {
        Verdict::Settle => settle(tx, lane, outcome)?,
        Verdict::Note => put_off(tx, outcome, Duration::ZERO, false)?,
        Verdict::Postpone { wait, spent } => put_off(tx, outcome, *wait, *spent)?,
        Verdict::GiveUp { reason, code, why } => give_up(tx, lane, outcome, (*reason, code, why), told)?,
        Verdict::Break { why } => {
            break_line(tx, lane, outcome, why, told)?;
            return Ok(Fate::LineChanged);
        }
    }
    Ok(Fate::Next)
}

/// For `line show` and `trace`: what the call complained of.
fn note_failure(tx: &Tx<'_>, lane: &Lane, id: MessageId, why: &str, took: Duration) -> rusqlite::Result<()> {
    outbox::note_error(tx, id, why)?;
    let attempt = Attempt {
        line: lane.line,
        direction: Direction::Out,
        millis: i64::try_from(took.as_millis()).unwrap_or(i64::MAX),
        messages: 1,
        range: Some((id, id)),
        outcome: why,
    };
    attempts::note(tx, &attempt, ATTEMPTS_KEPT)
}

/// The channel has the message: the row leaves, and the portal learns the external ids.
fn settle(tx: &mut Tx<'_>, lane: &Lane, outcome: &Outcome) -> rusqlite::Result<()> {
    let Some(message) = &outcome.message else { return Ok(()) };
    if !outbox::settle(tx, outcome.id, &message.connector)? {
        log::warn!(line:% = lane.line, message:% = outcome.id; "the channel has taken a message that was given up meanwhile");
        return Ok(());
    }
    if outcome.unknown > 0 {
        tx.deltas.add(Counter::MaybeTwice, &message.connector, Direction::Out, "", 1);
    }
    for (id, words) in &outcome.progress.aliases {
        directory::put_alias(tx, lane.line, id, words)?;
    }
    let ids = &outcome.progress.ids;
    let news = match &message.kind {
        OutgoingKind::Send { .. } => true,
        // An edit that became longer or shorter has other parts now.
        OutgoingKind::Update { ids: before, .. } => before != ids,
        OutgoingKind::Delete { .. } | OutgoingKind::Typing => false,
    };
    if news {
        let ids = if ids.is_empty() { vec![own_id(outcome.id)] } else { ids.clone() };
        let (im, chat) = (message.im.clone(), message.chat.clone());
        let notice = Notice::Delivered { im, chat, ids, date: tx.now.secs() };
        queue::push(tx, lane.line, &message.connector, None, &Body::Notice(notice))?;
    }
    Ok(())
}

/// Later; that may lie behind the end of the message's time, at which it is looked at in any case.
fn put_off(tx: &Tx<'_>, outcome: &Outcome, wait: Duration, spent: bool) -> rusqlite::Result<()> {
    let progress = body::encode_progress(&outcome.progress);
    outbox::postpone(tx, outcome.id, tx.now.plus(wait), spent, &progress)
}

/// Out of the outbox for good; the operator is told where there is somebody to tell.
fn give_up(
    tx: &mut Tx<'_>,
    lane: &Lane,
    outcome: &Outcome,
    (reason, code, why): (dead::Reason, &str, &str),
    told: &Told,
) -> rusqlite::Result<()> {
    if dead::bury(tx, Direction::Out, outcome.id, reason, why)?
        && let Some(message) = &outcome.message
    {
        outbox::may_come_again(tx, lane.line, message)?;
        told.tell(tx, lane, message, code, why)?;
    }
    Ok(())
}

/// The line's messages wait for new settings; the portal is told once for each breakdown. Nothing breaks when the
/// refused settings are not the line's any more, or the line is not.
fn break_line(tx: &mut Tx<'_>, lane: &Lane, outcome: &Outcome, why: &str, told: &Told) -> rusqlite::Result<()> {
    let current = directory::settings(tx.db(), lane.line)?;
    let stale = outcome.settings.as_ref().is_none_or(|used| !used.is_same(&current));
    put_off(tx, outcome, Duration::ZERO, !stale)?;
    if !stale
        && directory::break_line(tx, lane.line, why)?
        && let Some(message) = &outcome.message
    {
        let why = format!("{why}; the message waits for new settings");
        told.tell(tx, lane, message, "CREDENTIALS_REFUSED", &why)?;
    }
    Ok(())
}

/// How an operator is told of a failure.
struct Told {
    /// Unless it was switched off.
    wanted: bool,
    customer: Option<Box<User>>,
}

impl Told {
    fn tell(&self, tx: &mut Tx<'_>, lane: &Lane, message: &Outgoing, code: &str, why: &str) -> rusqlite::Result<()> {
        if !self.wanted {
            return Ok(());
        }
        let deleting = matches!(message.kind, OutgoingKind::Delete { .. });
        let (im, chat, customer) = (message.im.clone(), message.chat.clone(), self.customer.clone());
        let notice = Notice::Failed { im, chat, deleting, code: code.to_owned(), text: why.to_owned(), customer };
        queue::push(tx, lane.line, &message.connector, None, &Body::Notice(notice)).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::UnixMillis;

    fn waiting(id: i64, attempts: u32) -> Waiting {
        Waiting {
            id: MessageId(id),
            body: vec![],
            progress: String::new(),
            accepted_at: UnixMillis(0),
            attempts,
            due_at: UnixMillis(0),
        }
    }

    #[test]
    fn waits_grow_and_differ() {
        for (attempts, secs) in [(0, 2), (1, 4), (4, 32), (8, 512), (9, 600), (200, 600)] {
            let waits: Vec<Duration> = (1..50).map(|id| backoff(&waiting(id, attempts))).collect();
            let least = Duration::from_secs(secs);
            assert!(waits.iter().all(|wait| (least..=least * 5 / 4).contains(wait)), "{attempts}: {waits:?}");
            assert!(waits.windows(2).any(|pair| pair[0] != pair[1]));
        }
    }

    #[test]
    fn sentences_say_what_may_have_arrived() {
        let progress = |parts, unknown| Progress { parts, unknown, ..Progress::default() };
        assert_eq!(with_rest("no", &progress(0, 0)), "no");
        assert_eq!(with_rest("no", &progress(2, 0)), "no; a part of the message has arrived");
        assert!(with_rest("no", &progress(0, 4)).contains("4 tries is unknown, it may have been delivered"));
    }
}
