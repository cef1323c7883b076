//! Lines: blocks, credentials, webhooks, what waits too long, dead letters.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::channels::TestError;
use crate::doctor::facts::{LineFacts, Server, Waiting};
use crate::doctor::{Facts, Finding, Severity, words};
use crate::ids::LineId;
use crate::language::Language;
use crate::queue::blocks::Schedule;
use crate::queue::dead::Reason;
use crate::records::LineState;

/// A new line gets so long to be set up at its channel.
const NEW: Duration = Duration::from_hours(1);
/// Operators write, and no customer answers for so long: the channel calls somebody else.
const LOST: Duration = Duration::from_hours(7 * 24);
/// Nothing waits so long where nothing is in its way.
const STUCK: Duration = Duration::from_mins(10);
/// Confirmations that were missing longer ago are history.
const RECENT: Duration = Duration::from_hours(24);

fn subject(facts: &LineFacts) -> String {
    format!("line {}", facts.line.id)
}

pub(super) fn blocked(facts: &Facts) -> Vec<Finding> {
    let schedule = Schedule::new(facts.config.retry.blocks.clone());
    let one = |line: &LineFacts| {
        if line.line.state == LineState::TakenOver {
            return None;
        }
        let sentence = words::blocked(line, &schedule, facts.now)?;
        // In the last quarter of the schedule somebody must act.
        let left = words::end(line, &schedule)?.since(facts.now);
        let late = left < schedule.total() / 4 && line.queue.count > 0;
        let severity = if late { Severity::Broken } else { Severity::Warning };
        let asked = facts.answers.iter().flat_map(|answers| &answers.portals);
        let alive = asked.into_iter().any(|(name, answer)| *name == line.portal && answer.is_ok());
        let news = if alive { " The portal answers now." } else { "" };
        let finding = Finding::new(severity, "line_blocked", subject(line), format!("{sentence}.{news}"));
        Some(finding.remedy(if alive {
            format!("trunkline line unblock {}", line.line.id)
        } else {
            format!("trunkline portal test {}", line.portal)
        }))
    };
    facts.lines().iter().filter_map(one).collect()
}

pub(super) fn credentials(facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    let asked = facts.answers.iter().flat_map(|answers| &answers.channels);
    let refused: BTreeMap<LineId, &TestError> =
        asked.filter_map(|(line, answer)| Some((*line, answer.as_ref().err()?))).collect();
    for line in facts.lines() {
        let waiting = match line.outbox.count {
            0 => String::new(),
            count => format!(" Until then {} for it.", words::waits(count)),
        };
        if let Some(TestError { code, message }) = refused.get(&line.line.id) {
            let message = format!("The channel of {} does not work ({code}): {message}.{waiting}", named(line));
            let finding = Finding::new(Severity::Broken, "channel_refuses", subject(line), message);
            findings.push(finding.remedy(format!("trunkline line test {}", line.line.id)));
        } else if line.line.state == LineState::Broken {
            let error = line.line.last_error.as_deref().unwrap_or("no reason was noted");
            let message = format!(
                "The channel of {} refused its credentials: {error}. It takes messages again when new ones are saved, on \
                 the portal's page or here.{waiting}",
                named(line)
            );
            let finding = Finding::new(Severity::Broken, "line_broken", subject(line), message);
            findings.push(finding.remedy(format!("trunkline line set {} --set-file KEY=FILE", line.line.id)));
        }
    }
    findings
}

fn named(line: &LineFacts) -> String {
    format!("line {} of portal `{}`", line.line.id, line.portal)
}

pub(super) fn taken_over(facts: &Facts) -> Vec<Finding> {
    let lines = facts.lines().iter().filter(|line| line.line.state == LineState::TakenOver);
    lines
        .map(|line| {
            let how = line.taken_over.as_deref().map(|how| format!(": {how}")).unwrap_or_default();
            let message = format!(
                "{} has no channel any more{how}. Its portal was told; save its settings again to take the channel back, or \
                 remove it.",
                words::name(line)
            );
            let finding = Finding::new(Severity::Note, "line_taken_over", subject(line), message);
            finding.remedy(format!("trunkline line remove {}", line.line.id))
        })
        .collect()
}

pub(super) fn webhooks(facts: &Facts) -> Vec<Finding> {
    let one = |line: &LineFacts| {
        if !line.connected || line.line.state == LineState::TakenOver {
            return None;
        }
        let remedy = format!("trunkline line show {}", line.line.id);
        match (line.proved_at, line.sent_at) {
            (None, _) if facts.now.since(line.created_at) > NEW => {
                let message = format!(
                    "No channel has ever called {} with a proof that was right: its webhook address is not entered at the \
                     channel, the channel can't reach it, or the bot's id differs.",
                    named(line)
                );
                let finding = Finding::new(Severity::Warning, "webhook_never_called", subject(line), message);
                Some(finding.remedy(remedy))
            }
            (Some(proved), Some(sent)) if sent.since(proved) > LOST => {
                let message = format!(
                    "The channel has not called {} since {}, though it still takes operators' messages: its webhook address \
                     may have been replaced by somebody else's.",
                    named(line),
                    proved.spoken(facts.now)
                );
                Some(Finding::new(Severity::Warning, "webhook_lost", subject(line), message).remedy(remedy))
            }
            _ => None,
        }
    };
    facts.lines().iter().filter_map(one).collect()
}

/// Only where nothing is in the way: a stopped server, a block and a broken line have their own words.
pub(super) fn stuck(facts: &Facts) -> Vec<Finding> {
    if facts.server == Server::Stopped {
        return Vec::new();
    }
    let old = |waiting: &Waiting| waiting.oldest.is_some_and(|oldest| facts.now.since(oldest) > STUCK);
    let mut findings = Vec::new();
    for line in facts.lines().iter().filter(|line| line.line.state == LineState::Active) {
        if line.line.first_attempt_at.is_none() && old(&line.queue) {
            let message = format!(
                "{}: {}, and nothing is in their way: the portal is slower than they come in, or the server is stuck.",
                words::name(line),
                words::waiting(&line.queue, "portal", facts.now)
            );
            let finding = Finding::new(Severity::Warning, "queue_stuck", subject(line), message);
            findings.push(finding.remedy(format!("trunkline line show {}", line.line.id)));
        }
        if old(&line.outbox) {
            let message = format!(
                "{}: {}; after `outbox.ttl` they become dead letters.",
                words::name(line),
                words::waiting(&line.outbox, "channel", facts.now)
            );
            let finding = Finding::new(Severity::Warning, "outbox_stuck", subject(line), message);
            findings.push(finding.remedy(format!("trunkline line test {}", line.line.id)));
        }
    }
    findings
}

pub(super) fn confirmations(facts: &Facts) -> Vec<Finding> {
    let one = |line: &LineFacts| {
        let at = line.status_missing_at.filter(|at| facts.now.since(*at) < RECENT)?;
        let message = format!(
            "Portal `{}` took messages of line {} and never confirmed them, last {}: the connector is switched off there, \
             or the portal can't reach this server.",
            line.portal,
            line.line.id,
            at.adverb(facts.now)
        );
        let finding = Finding::new(Severity::Warning, "confirmations_missing", subject(line), message);
        Some(finding.remedy(format!("trunkline portal show {}", line.portal)))
    };
    facts.lines().iter().filter_map(one).collect()
}

pub(super) fn dead(facts: &Facts) -> Vec<Finding> {
    let Some(contents) = facts.contents() else { return Vec::new() };
    let dead = &contents.dead;
    let count: i64 = dead.fresh.iter().map(|(_, count)| count).sum();
    if count > 0 {
        let reasons: Vec<String> = dead
            .fresh
            .iter()
            .map(|(code, count)| {
                let why = Reason::from_code(code).map_or(code.as_str(), |reason| reason.sentence(Language::En));
                format!("{count} because {why}")
            })
            .collect();
        let message = format!("{count} messages became dead letters within the last day: {}.", reasons.join("; "));
        let finding = Finding::new(Severity::Warning, "dead_letters", "dead letters", message);
        return vec![finding.remedy("trunkline dead replay --since 24h --dry-run")];
    }
    if dead.older > 0 {
        let message = format!("{} dead letters of earlier days are kept; they can be replayed or deleted.", dead.older);
        let finding = Finding::new(Severity::Note, "dead_letters_kept", "dead letters", message);
        return vec![finding.remedy("trunkline dead list")];
    }
    Vec::new()
}
