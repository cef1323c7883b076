//! The open ports: certificate, TLS, addresses.

use std::time::Duration;

use crate::config::Listen;
use crate::doctor::{Facts, Finding, Severity};

/// Whoever renews by hand needs some days; whoever renews by machine does it a month before.
const EXPIRES_SOON: Duration = Duration::from_hours(14 * 24);
/// From this module version on a portal's calls may be plain http.
const HTTP_FROM: u32 = 21;

pub(super) fn certificate(facts: &Facts) -> Vec<Finding> {
    let Some(files) = &facts.config.tls else { return Vec::new() };
    let now = facts.now;
    let name = files.cert_file.display();
    let found = |severity, code, message: String, remedy: String| {
        vec![Finding::new(severity, code, "certificate", message).remedy(remedy)]
    };
    let show = format!("openssl x509 -noout -subject -dates -in {name}");
    match &facts.certificate {
        None => Vec::new(),
        Some(Err(why)) => {
            let message = format!("The server can't start with TLS: {why}.");
            found(
                Severity::Broken,
                "certificate_unusable",
                message,
                format!("ls -l {name} {}", files.key_file.display()),
            )
        }
        Some(Ok((from, until))) => {
            if now > *until {
                let message = format!("The certificate `{name}` expired {}.", until.adverb(now));
                found(Severity::Broken, "certificate_expired", message, show)
            } else if now < *from {
                let message = format!("The certificate `{name}` is valid only from {} UTC on.", from.stamp());
                found(Severity::Broken, "certificate_not_yet", message, show)
            } else if until.since(now) < EXPIRES_SOON {
                let days = until.since(now).as_secs() / 86_400;
                let message = format!("The certificate `{name}` expires {}, in {days} days.", until.adverb(now));
                found(Severity::Warning, "certificate_expires", message, show)
            } else {
                Vec::new()
            }
        }
    }
}

pub(super) fn tls(facts: &Facts) -> Vec<Finding> {
    let old = facts.portals().iter().find(|facts| (1..HTTP_FROM).contains(&facts.portal.major()));
    let Some(old) = old else { return Vec::new() };
    let config = &facts.config;
    let plain_url = config.public_url.as_ref().is_some_and(|url| url.starts_with("http://"));
    let open = config.tls.is_none() && !config.listen.is_local();
    let (why, remedy) = match (open, plain_url) {
        (true, _) => (
            format!("`listen` = {} is open to the network without [tls]", config.listen),
            "trunkline tls self-signed --host HOST --dir /etc/trunkline",
        ),
        (false, true) if config.tls.is_none() && !facts.is_local_test() => {
            ("`public_url` begins with http://".to_owned(), "trunkline config show --origin")
        }
        (false, _) => return Vec::new(),
    };
    let version = old.portal.version.as_deref().unwrap_or_default();
    let message = format!(
        "Portal `{}` has version {version} of the module, which calls https addresses only, but {why}. A certificate of \
         your own is enough: portals do not verify it.",
        old.portal.name
    );
    vec![
        Finding::new(Severity::Warning, "tls_missing", format!("portal `{}`", old.portal.name), message).remedy(remedy),
    ]
}

pub(super) fn addresses(facts: &Facts) -> Vec<Finding> {
    let config = &facts.config;
    let mut findings = Vec::new();
    let lines = facts.lines().iter().any(|line| line.connected);
    if lines && config.public_url.is_none() && config.listen.is_local() && !facts.is_local_test() {
        let message = format!(
            "`public_url` is not set and `listen` = {} can be reached from this machine only: channels are told an address \
             that they can't call.",
            config.listen
        );
        let finding = Finding::new(Severity::Warning, "public_url_missing", "configuration", message);
        findings.push(finding.remedy("trunkline config show --origin"));
    }
    if let (Listen::Tcp(address), false) = (&config.admin_listen, config.admin_listen.is_local()) {
        let message = format!(
            "`admin_listen` = {address} is open to the network; what it tells needs no password and is nobody else's affair."
        );
        let finding = Finding::new(Severity::Warning, "admin_public", "configuration", message);
        findings.push(finding.remedy("trunkline config show --origin"));
    }
    if !config.bot_framework.authentication_required {
        let message = "`bot_framework.authentication` is off: every program on this machine can play a customer. That is \
                       for tests.";
        findings.push(Finding::new(Severity::Note, "authentication_off", "configuration", message));
    }
    findings
}
