//! Data directory, rights, disk, clock.

use std::time::Duration;

use crate::clock::UnixMillis;
use crate::doctor::facts::{Database, FileFacts};
use crate::doctor::{Facts, Finding, Severity, words};
use crate::queue::blocks::Schedule;

/// Below this the server says itself that it is not ready.
const ROOM_MIN_BYTES: u64 = 64 * 1024 * 1024;
/// Below this, and below a twentieth of the disk, somebody should look.
const ROOM_LOW_BYTES: u64 = 2 * 1024 * 1024 * 1024;
/// What two clocks may differ by before it means something. Channels' tokens are taken up to five minutes off.
const SKEW: Duration = Duration::from_mins(2);

pub(super) fn folder(facts: &Facts) -> Vec<Finding> {
    let name = facts.folder().display();
    if let Some(why) = &facts.place.refused {
        let message = format!(
            "The data directory `{name}` can't be used: {why}. It belongs to the service's user, so look as that user."
        );
        let finding = Finding::new(Severity::Broken, "data_dir_refused", "data directory", message);
        return vec![finding.remedy("sudo -u trunkline trunkline doctor")];
    }
    if facts.place.exists && !matches!(facts.database, Database::Missing) {
        return Vec::new();
    }
    let message = format!(
        "There is no database in `{name}`: the server has never run here, or `data_dir` should name another folder."
    );
    let finding = Finding::new(Severity::Warning, "data_dir_missing", "data directory", message);
    vec![finding.remedy("trunkline config show --origin")]
}

pub(super) fn rights(facts: &Facts) -> Vec<Finding> {
    let (place, name) = (&facts.place, facts.folder().display());
    let mut findings = Vec::new();
    let named = |files: &[&FileFacts]| {
        let names: Vec<String> = files.iter().map(|file| format!("`{}`", file.name)).collect();
        names.join(", ")
    };
    let which =
        |wanted: &dyn Fn(&FileFacts) -> bool| place.files.iter().filter(|file| wanted(file)).collect::<Vec<_>>();
    let locked = which(&|file| file.mode & 0o200 == 0);
    if place.read_only {
        let message = format!("The file system of `{name}` is mounted read-only: nothing can be stored.");
        let finding = Finding::new(Severity::Broken, "read_only", "disk", message);
        findings.push(finding.remedy(format!("findmnt -T {name}")));
    } else if !locked.is_empty() {
        let message = format!("Nobody may write {} in `{name}`: nothing can be stored.", named(&locked));
        let finding = Finding::new(Severity::Broken, "read_only", "data directory", message);
        findings.push(finding.remedy(format!("sudo chmod u+w {name}/*")));
    }
    let foreign = which(&|file| file.owner != place.owner);
    if !foreign.is_empty() {
        let message = format!(
            "These files in `{name}` have another owner than the folder, so the server can't use them: {}. A command was \
             run as another user, such as root.",
            named(&foreign)
        );
        let finding = Finding::new(Severity::Broken, "owners_mixed", "data directory", message);
        findings.push(finding.remedy(format!("sudo chown -R --reference={name} {name}")));
    }
    let exposed = which(&|file| file.mode & 0o044 != 0 && file.name.starts_with(crate::store::FILE));
    if place.mode & 0o011 != 0 && !exposed.is_empty() {
        let message =
            format!("Other users can read these files in `{name}`, where keys and messages lie: {}.", named(&exposed));
        let finding = Finding::new(Severity::Warning, "files_exposed", "data directory", message);
        findings.push(finding.remedy(format!("sudo chmod go= {name}/*")));
    }
    findings
}

pub(super) fn disk(facts: &Facts) -> Vec<Finding> {
    let (place, name) = (&facts.place, facts.folder().display());
    if !place.exists {
        return Vec::new();
    }
    let room = format!("{} MiB", place.free_bytes / (1024 * 1024));
    let full = place.free_bytes < ROOM_MIN_BYTES;
    if full || place.free_files == Some(0) {
        let what = if full { format!("has {room} left") } else { "can't hold another file".to_owned() };
        let message =
            format!("The disk of `{name}` {what}: soon nothing can be stored, and channels are answered 503.");
        let finding = Finding::new(Severity::Broken, "disk_full", "disk", message);
        return vec![finding.remedy(format!("df -h {name}"))];
    }
    if place.free_bytes < ROOM_LOW_BYTES && place.free_bytes < place.whole_bytes / 20 {
        let message = format!("The disk of `{name}` has {room} left; below 64 MiB the server takes no more messages.");
        let finding = Finding::new(Severity::Warning, "disk_low", "disk", message);
        return vec![finding.remedy(format!("df -h {name}"))];
    }
    Vec::new()
}

pub(super) fn clock(facts: &Facts) -> Vec<Finding> {
    let now = facts.now;
    let mut findings = Vec::new();
    let changed = facts.place.files.iter().map(|file| file.changed_at).max();
    let newest = facts.contents().and_then(|contents| contents.newest).max(changed);
    if let Some(newest) = newest.filter(|newest| newest.since(now) > SKEW) {
        let message = format!(
            "The clock says {} UTC, yet something was stored at {} UTC: it is behind now or was ahead then. Until it gets \
             there, blocks last too long and times are wrong.",
            now.stamp(),
            newest.stamp()
        );
        findings.push(Finding::new(Severity::Broken, "clock_back", "clock", message).remedy("timedatectl"));
    } else if let Some((before, after)) = facts.contents().and_then(|contents| contents.step_back) {
        let message = format!(
            "The clock was set back not long ago, from {} UTC to {} UTC: times around then are wrong.",
            before.stamp(),
            after.stamp()
        );
        findings.push(Finding::new(Severity::Note, "clock_stepped", "clock", message).remedy("timedatectl"));
    }
    findings.extend(differs(facts));
    let blocks = Schedule::new(facts.config.retry.blocks.clone());
    let longest = blocks.wait(blocks.attempts());
    for line in facts.lines() {
        let until = line.line.blocked_until.unwrap_or(UnixMillis(0));
        if until.since(now) > longest.saturating_add(SKEW) {
            let message = format!(
                "{} is blocked until {} UTC, longer than any block lasts: the clock was ahead when the block began.",
                words::name(line),
                until.stamp()
            );
            let finding = Finding::new(Severity::Broken, "block_too_long", format!("line {}", line.line.id), message);
            findings.push(finding.remedy(format!("trunkline line unblock {}", line.line.id)));
        }
    }
    findings
}

/// One other clock may be wrong itself; where several agree with each other, ours is the odd one.
fn differs(facts: &Facts) -> Option<Finding> {
    let clocks = &facts.answers.as_ref()?.clocks;
    let allowed = i64::try_from(SKEW.as_secs()).unwrap_or(i64::MAX);
    let off: Vec<_> = clocks.iter().filter(|(_, ahead)| ahead.abs() > allowed).collect();
    let (host, ahead) = off.first()?;
    let agree = off.len() == clocks.len();
    let way = if *ahead > 0 { "behind" } else { "ahead of" };
    let span = ahead.abs() / 60;
    let others = match off.len() {
        1 => String::new(),
        count => format!(" and of {} more", count - 1),
    };
    let guess =
        if agree { "Tokens of channels are refused when it is off by five minutes." } else { "Others agree with it." };
    let message = format!("This machine's clock is {span} minutes {way} that of `{host}`{others}. {guess}");
    let severity = if agree { Severity::Warning } else { Severity::Note };
    Some(Finding::new(severity, "clock_differs", "clock", message).remedy("timedatectl"))
}
