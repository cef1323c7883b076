//! What the run has come to: quarters, books, figures.

use super::drive::Drive;
use super::ledger::Balance;
use super::report;
use crate::support::server::Server;

/// The memory of the last quarter may be so many times that of the second.
const MEMORY_MAX: f64 = 1.15;
/// The same for the most that the file was: it never shrinks, and backlogs are not all of one size.
const FILE_MAX: f64 = 1.25;
/// Shorter runs are over before memory and file have come to rest.
const MEMORY_FROM_MINUTES: f64 = 8.0;
const FILE_FROM_MINUTES: f64 = 20.0;

impl Drive {
    /// The verdicts.
    pub(super) fn judge(&mut self) {
        let quarters = report::quarters(&self.rows, &self.looks, self.length);
        self.report.say("");
        for line in report::quarters_text(&quarters) {
            self.report.say(line);
        }
        self.report.say("");
        let [_, second, _, last] = &quarters;
        // How long a restarted server lives after it has held 2,000 connections decides the median: there the most is told.
        let memory =
            |quarter: &report::Quarter| if self.wish.blows { quarter.resident_max } else { quarter.resident_mb };
        let grown = memory(last) / memory(second);
        self.limited(
            MEMORY_FROM_MINUTES,
            grown <= MEMORY_MAX,
            format!("memory of the last quarter is {grown:.2} of the second's (at most {MEMORY_MAX})"),
        );
        let grown = last.db_max / second.db_max;
        let (size, free) = self.file();
        self.limited(
            FILE_FROM_MINUTES,
            grown <= FILE_MAX,
            format!(
                "the database's most in the last quarter is {grown:.2} of the second's (at most {FILE_MAX}); in the end it \
                 has {size:.0} MB, {free:.0} of them free"
            ),
        );
        let balance = self.ledger.balance();
        self.judge_books(&balance);
        self.judge_server(&balance);
    }

    /// Size of the database, and how much of it is free, in MB.
    fn file(&self) -> (f64, f64) {
        let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
        let path = self.place.data().join(trunkline::store::FILE);
        let db = rusqlite::Connection::open_with_flags(path, flags).unwrap();
        let number = |name: &str| db.query_row(&format!("pragma {name}"), [], |row| row.get::<_, i64>(0)).unwrap();
        let mb = |pages: i64| (pages * number("page_size")) as f64 / 1_048_576.0;
        (mb(number("page_count")), mb(number("freelist_count")))
    }

    fn limited(&mut self, from_minutes: f64, good: bool, words: String) {
        if self.wish.minutes >= from_minutes {
            self.verdicts.push((good, words));
        } else {
            self.report.say(format!("not judged in so short a run: {words}"));
        }
    }

    fn judge_books(&mut self, balance: &Balance) {
        let (incoming, outgoing) = (balance.incoming, balance.outgoing);
        for (name, sums) in [("in", incoming), ("out", outgoing)] {
            self.report.say(format!(
                "{name}: {} acknowledged, {} came, {} taken; came again {} times after an unclear answer, {} after a kill",
                sums.acknowledged, sums.came, sums.taken, sums.again_after_doubt, sums.again_after_kill
            ));
        }
        let (confirmed, lost) = self.ends.confirmations();
        self.report.say(format!(
            "{} repeats of acknowledged messages; {} commands of a portal that does not listen, {} of them met a server \
             that had just died; {confirmed} confirmations by command, {lost} unanswered; {:?}",
            self.load.repeats(),
            balance.unheard,
            balance.unheard_lost,
            self.blows
        ));
        self.verdicts
            .push((balance.missing_count == 0, format!("{} acknowledged messages missing", balance.missing_count)));
        self.verdicts.push((
            balance.statuses_missing == 0,
            format!("{} operators' messages without the news of their delivery", balance.statuses_missing),
        ));
        self.verdicts.push((
            balance.faults == 0,
            format!("{} messages twice without doubt, out of order or at the wrong place", balance.faults),
        ));
        self.verdicts.push((balance.notices.is_empty(), format!("{} failures told to portals", balance.notices.len())));
        for word in balance.missing.iter().chain(&balance.words).chain(&balance.notices) {
            self.report.say(format!("  {word}"));
        }
    }

    fn judge_server(&mut self, balance: &Balance) {
        let Some(server) = &self.server else { return };
        let figures = server.figures();
        let difference = figures.sum("accounting_difference");
        self.verdicts.push((difference == 0.0, format!("accounting difference {difference}")));
        let dead = figures.sum("dead_total");
        self.verdicts.push((dead == 0.0, format!("{dead} dead letters")));
        // Each message that left brought the news of its delivery, which is accepted for the portal like a message.
        let known = balance.incoming.came + balance.outgoing.came + balance.outgoing.taken;
        let accepted = figures.accepted();
        self.verdicts.push((
            accepted == known as f64 || dead > 0.0,
            format!("{accepted} accepted by the server, {known} known here: each was stored once"),
        ));
        self.report.say(format!(
            "the server counted {} repeats that added nothing and {} posts after an unclear outcome",
            figures.sum("repeated_total"),
            figures.sum("maybe_twice_total")
        ));
        if dead > 0.0 {
            let list = self.place.command(&["dead", "list", "--json"]).output().unwrap();
            for line in String::from_utf8_lossy(&list.stdout).lines().take(60) {
                self.report.say(format!("  {line}"));
            }
        }
        let doctor = self.place.command(&["doctor"]).output().unwrap();
        let code = doctor.status.code();
        self.verdicts.push((matches!(code, Some(0 | 1)), format!("doctor ends with {code:?}")));
        for line in String::from_utf8_lossy(&doctor.stdout).lines() {
            self.report.note(&format!("  doctor: {line}"));
        }
        let log = self.server.as_ref().map(Server::log).unwrap_or_default();
        let errors: Vec<&str> =
            log.lines().filter(|line| line.contains("ERROR") || line.contains("panicked")).collect();
        self.verdicts.push((errors.is_empty(), format!("{} errors in the server's log", errors.len())));
        for line in errors.iter().take(20) {
            self.report.say(format!("  {line}"));
        }
    }
}
