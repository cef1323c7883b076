//! The checks: each looks for the faults it names. They read facts and nothing else.

mod database;
mod lines;
mod place;
mod portals;
mod ports;

use super::{Facts, Finding, Severity};
use crate::config::Mistakes;

/// One look at the facts.
#[derive(Clone, Copy, Debug)]
pub struct Check {
    /// The codes of what it may find.
    pub codes: &'static [&'static str],
    /// Finds it.
    pub run: fn(&Facts) -> Vec<Finding>,
}

/// Every check, in the order in which their findings help: what stops everything else first.
pub static CHECKS: &[Check] = &[
    Check { codes: &["data_dir_missing", "data_dir_refused"], run: place::folder },
    Check { codes: &["read_only", "owners_mixed", "files_exposed"], run: place::rights },
    Check { codes: &["disk_full", "disk_low"], run: place::disk },
    Check { codes: &["database_refused", "database_damaged", "schema_newer", "schema_older"], run: database::readable },
    Check { codes: &["database_locked"], run: database::locked },
    Check { codes: &["accounting"], run: database::accounting },
    Check { codes: &["server_stopped", "server_silent", "server_not_ready"], run: database::server },
    Check { codes: &["clock_back", "clock_stepped", "clock_differs", "block_too_long"], run: place::clock },
    Check {
        codes: &["certificate_unusable", "certificate_expired", "certificate_expires", "certificate_not_yet"],
        run: ports::certificate,
    },
    Check { codes: &["tls_missing"], run: ports::tls },
    Check { codes: &["public_url_missing", "admin_public", "authentication_off"], run: ports::addresses },
    Check {
        codes: &["portal_key_wrong", "portal_unreachable", "portal_refuses", "not_all_asked"],
        run: portals::answers,
    },
    Check { codes: &["portal_never_called"], run: portals::silence },
    Check { codes: &["portal_plain_http", "portal_private"], run: portals::address },
    Check { codes: &["line_blocked"], run: lines::blocked },
    Check { codes: &["line_broken", "channel_refuses"], run: lines::credentials },
    Check { codes: &["line_taken_over"], run: lines::taken_over },
    Check { codes: &["webhook_never_called", "webhook_lost"], run: lines::webhooks },
    Check { codes: &["queue_stuck", "outbox_stuck"], run: lines::stuck },
    Check { codes: &["confirmations_missing"], run: lines::confirmations },
    Check { codes: &["dead_letters", "dead_letters_kept"], run: lines::dead },
];

/// The code of a configuration that can't be used.
pub const CONFIG_WRONG: &str = "config_wrong";

/// Everything that is found, the worst first.
pub fn examine(facts: &Facts) -> Vec<Finding> {
    let mut findings: Vec<Finding> = CHECKS.iter().flat_map(|check| (check.run)(facts)).collect();
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    findings
}

/// Mistakes in the configuration: nothing else can be examined then.
pub fn misconfigured(mistakes: &Mistakes) -> Vec<Finding> {
    let one = |mistake: &crate::config::Mistake| {
        let stop = if mistake.what.ends_with('?') { "" } else { "." };
        let message = format!("The configuration can't be used: {}{stop}", mistake.what);
        let finding = Finding::new(Severity::Broken, CONFIG_WRONG, mistake.origin.to_string(), message);
        finding.remedy("trunkline config check")
    };
    mistakes.0.iter().map(one).collect()
}
