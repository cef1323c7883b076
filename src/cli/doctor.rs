//! `trunkline doctor`: gathers the facts and tells what is wrong with them. Opens nothing for writing, so it works beside a
//! running server, without one, and where the database is broken.

use std::io::Write;
use std::sync::Arc;

use clap::Args;
use serde_json::{Value, json};

use super::output::{self, many};
use super::{CliError, Context, ExitCode};
use crate::app;
use crate::config::Config;
use crate::doctor::facts::{Answers, Database, Facts, LineFacts, Server};
use crate::doctor::{Finding, Severity, ask, examine, look, misconfigured, words, worst};
use crate::net::Net;
use crate::records::Settings;
use crate::store::directory;

/// Say in words what is wrong, and the one command that helps
///
/// Looks at configuration, disk, database, clock, certificate, portals, channels, queue and dead letters. Changes nothing.
/// Portals and channels are asked over the network, all at once and for some seconds at most.
#[derive(Args, Debug)]
#[command(before_long_help = "\
Example:
  trunkline doctor
  trunkline doctor --offline --json")]
#[command(after_long_help = "\
Exit codes:
  0 nothing is wrong, 1 warnings, 2 something is broken")]
pub struct DoctorArgs {
    /// Ask no portal and no channel
    #[arg(long)]
    pub offline: bool,
}

pub(crate) fn run(ctx: &Context, args: &DoctorArgs, out: &mut dyn Write) -> Result<ExitCode, CliError> {
    let (findings, facts) = match ctx.load(Vec::new()) {
        Ok(loaded) => {
            let facts = gather(ctx, loaded.config, args.offline)?;
            (examine(&facts), Some(facts))
        }
        Err(mistakes) => (misconfigured(&mistakes), None),
    };
    let worst = worst(&findings);
    if ctx.global.json {
        output::json(out, &as_json(&findings, worst))?;
    } else {
        told(&findings, facts.as_ref(), out)?;
    }
    Ok(match worst {
        None | Some(Severity::Note) => ExitCode::Done,
        Some(Severity::Warning) => ExitCode::WARNINGS,
        Some(Severity::Broken) => ExitCode::BROKEN,
    })
}

fn gather(ctx: &Context, config: Config, offline: bool) -> Result<Facts, CliError> {
    let net = app::net(&config, &ctx.clock).map_err(CliError::Failed)?;
    let place = look::place(&config.data_dir);
    let server = look::server(&config, net.as_ref());
    let database = look::database(&config.data_dir, &server, &ctx.clock);
    let certificate = config.tls.as_ref().map(look::certificate);
    let mut facts = Facts { now: ctx.clock.now(), config, place, server, certificate, database, answers: None };
    if !offline {
        facts.answers = ask(ctx, &facts, net)?;
    }
    Ok(facts)
}

fn ask(ctx: &Context, facts: &Facts, net: Arc<dyn Net>) -> Result<Option<Answers>, CliError> {
    let Database::Open(contents) = &facts.database else { return Ok(None) };
    let db = crate::store::look::open(facts.folder())?;
    let with_settings = |line: &LineFacts| -> Result<(LineFacts, Settings), CliError> {
        Ok((line.clone(), directory::settings(&db, line.line.id)?))
    };
    let lines = contents.lines.iter().map(with_settings).collect::<Result<Vec<_>, _>>()?;
    let hurried = Arc::new(ask::Hurried::new(net, Arc::clone(&ctx.clock)));
    let way: Arc<dyn Net> = Arc::clone(&hurried) as Arc<dyn Net>;
    let factory = app::factory(&facts.config, &way, &ctx.clock, Arc::new(ask::NoShelf));
    Ok(Some(ask::everybody(&contents.portals, &lines, &hurried, &factory)))
}

fn as_json(findings: &[Finding], worst: Option<Severity>) -> Value {
    let one = |finding: &Finding| {
        json!({
            "code": finding.code, "severity": finding.severity.as_str(), "subject": finding.subject,
            "message": finding.message, "try": finding.remedy,
        })
    };
    json!({
        "state": worst.map_or("ok", Severity::as_str),
        "findings": findings.iter().map(one).collect::<Vec<_>>(),
    })
}

fn told(findings: &[Finding], facts: Option<&Facts>, out: &mut dyn Write) -> Result<(), CliError> {
    for finding in findings {
        writeln!(out, "{}: {}", finding.severity.as_str(), finding.message)?;
        if !finding.remedy.is_empty() {
            writeln!(out, "  try: {}", finding.remedy)?;
        }
    }
    let count = |severity| findings.iter().filter(|finding| finding.severity == severity).count();
    let (broken, warnings) = (count(Severity::Broken), count(Severity::Warning));
    if !findings.is_empty() {
        writeln!(out)?;
    }
    if let Some(facts) = facts {
        writeln!(out, "{}", sight(facts))?;
    }
    let warnings_in_words = many(i64::try_from(warnings).unwrap_or(i64::MAX), "warning");
    match (broken, warnings) {
        (0, 0) => writeln!(out, "nothing is wrong")?,
        (0, _) => writeln!(out, "{warnings_in_words}")?,
        (_, 0) => writeln!(out, "{broken} broken")?,
        (_, _) => writeln!(out, "{broken} broken, {warnings_in_words}")?,
    }
    Ok(())
}

/// What was looked at, in a line.
fn sight(facts: &Facts) -> String {
    let server = if facts.server == Server::Stopped { "the server does not run" } else { "the server runs" };
    let Some(contents) = facts.contents() else { return server.to_owned() };
    let count = |count: usize, word: &str| many(i64::try_from(count).unwrap_or(i64::MAX), word);
    let asked = if facts.answers.is_some() { "" } else { ", nobody was asked" };
    format!(
        "{server}; {}, {}{asked}; {}",
        count(contents.portals.len(), "portal"),
        count(contents.lines.len(), "line"),
        words::waits(contents.accounting.queued + contents.accounting.outbox)
    )
}
