//! Portals: key, answer, silence, address.

use std::time::Duration;

use url::{Host, Url};

use crate::doctor::{Facts, Finding, Severity};
use crate::portals::PortalError;

/// What the portal says when it is asked with a wrong key.
const KEY_WRONG: &str = "LICENCE_ERROR";
/// A new portal gets so long to be set up.
const NEW: Duration = Duration::from_hours(1);

fn subject(name: &str) -> String {
    format!("portal `{name}`")
}

pub(super) fn answers(facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    let asked = facts.answers.iter().flat_map(|answers| &answers.portals);
    for (name, answer) in asked {
        let Err(error) = answer else { continue };
        let (severity, code, message) = match error {
            PortalError::Refused { code } if code == KEY_WRONG => {
                (Severity::Broken, "portal_key_wrong", key_wrong(name))
            }
            PortalError::Refused { code } => (
                Severity::Warning,
                "portal_refuses",
                format!("Portal `{name}` answers, but refuses a test with `{code}`."),
            ),
            PortalError::Net(_) | PortalError::Rubbish { .. } => (
                Severity::Warning,
                "portal_unreachable",
                format!("Portal `{name}` can't be reached: {error}. Messages to it wait."),
            ),
        };
        let finding = Finding::new(severity, code, subject(name), message);
        findings.push(match code {
            "portal_key_wrong" => finding.remedy(new_key(name)),
            _ => finding.remedy(format!("trunkline portal test {name}")),
        });
    }
    // What a line heard from its portal counts when nobody asked today.
    let heard = facts.lines().iter().filter(|line| {
        let error = line.line.last_error.as_deref().unwrap_or_default();
        error.contains(KEY_WRONG) && facts.answers.is_none()
    });
    let mut names: Vec<&str> = heard.map(|line| line.portal.as_str()).collect();
    names.dedup();
    for name in names {
        let finding = Finding::new(Severity::Broken, "portal_key_wrong", subject(name), key_wrong(name));
        findings.push(finding.remedy(new_key(name)));
    }
    if let Some(answers) = facts.answers.as_ref().filter(|answers| answers.unasked > 0) {
        let message = format!(
            "{} portals and channels were not asked: the first ones took all of the {} s.",
            answers.unasked,
            answers.limit.as_secs()
        );
        findings.push(Finding::new(Severity::Note, "not_all_asked", "network", message));
    }
    findings
}

fn key_wrong(name: &str) -> String {
    format!(
        "Portal `{name}` says that the licence key it is asked with is not its own: nothing it is sent can be trusted, nor \
         anything it sends. Its own page of updates shows the right one."
    )
}

fn new_key(name: &str) -> String {
    format!("trunkline portal set {name} --license-key-file FILE")
}

pub(super) fn silence(facts: &Facts) -> Vec<Finding> {
    let waited = facts.portals().iter().filter(|portal| {
        let has_lines = facts.lines().iter().any(|line| line.portal == portal.portal.name);
        has_lines && portal.seen_at.is_none() && facts.now.since(portal.created_at) > NEW
    });
    waited
        .map(|portal| {
            let name = &portal.portal.name;
            let message = format!(
                "Portal `{name}` has never called this server: operators' messages do not arrive, nor do its confirmations. \
                 Its CONTROLLER_CONNECTOR_URL names another server, it can't reach this one, or the key is wrong."
            );
            let finding = Finding::new(Severity::Warning, "portal_never_called", subject(name), message);
            finding.remedy(format!("trunkline portal show {name}"))
        })
        .collect()
}

pub(super) fn address(facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    for portal in facts.portals() {
        let Ok(url) = Url::parse(&portal.portal.url) else { continue };
        let name = &portal.portal.name;
        let private = is_private(&url, facts);
        if url.scheme() == "http" && private.is_none() {
            let message = format!(
                "Messages to portal `{name}` travel readable for everybody on the way: its address begins with http://. \
                 They are signed, not hidden."
            );
            let finding = Finding::new(Severity::Warning, "portal_plain_http", subject(name), message);
            findings.push(finding.remedy(format!("trunkline portal move {name} --url https://HOST --dry-run")));
        }
        if private == Some(false) {
            let message = format!(
                "Portal `{name}` lies in a private network. It is reached all the same, but addresses that messages bring \
                 from there, such as a new address that it announces, are refused unless `network.allow` names the range; \
                 and customers can't open links to operators' files."
            );
            let finding = Finding::new(Severity::Note, "portal_private", subject(name), message);
            findings.push(finding.remedy("trunkline config show"));
        }
    }
    findings
}

/// `None` for a public address or a name; else whether `network.allow` names its range or it is this machine.
fn is_private(url: &Url, facts: &Facts) -> Option<bool> {
    let ip: std::net::IpAddr = match url.host()? {
        Host::Ipv4(ip) => ip.into(),
        Host::Ipv6(ip) => ip.into(),
        Host::Domain("localhost") => return Some(true),
        Host::Domain(_) => return None,
    };
    if crate::net::is_public(ip) {
        return None;
    }
    Some(ip.is_loopback() || facts.config.network.allow.iter().any(|net| net.contains(&ip)))
}
