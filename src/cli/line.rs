//! `trunkline line`: which channel is joined to which Open Line.

#![expect(clippy::indexing_slicing, reason = "a missing key of a JSON value is null, not a panic")]

use std::io::Write;

use clap::{Args, Subcommand};

use std::path::Path;

use serde_json::{Value, json};

use super::open::{Opened, WAIT, time};
use super::{CliError, Context, ExitCode, output, pair, read_secret};
use crate::channels::Connector;
use crate::queue::blocks::Schedule;
use crate::records::{Line, LineState, Settings};
use crate::registry::{self, Connect};
use crate::store::directory;

/// Connect channels to lines of portals
#[derive(Args, Debug)]
#[command(before_long_help = "\
Example:
  trunkline line list")]
pub struct LineArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: LineCommand,
}

/// What can be done with lines.
#[derive(Debug, Subcommand)]
pub enum LineCommand {
    /// Connect a channel without the portal's page; prints the webhook address
    #[command(before_long_help = "\
Example:
  trunkline line add --portal office --connector botframework --line 7 \\
      --set bot_handle=shop --set app_id=… --set-file app_secret=secret.txt")]
    Add(AddArgs),
    /// List the lines
    #[command(before_long_help = "Example:\n  trunkline line list --json")]
    List,
    /// Show a line: state, why blocked, next attempt, what is lost when
    #[command(before_long_help = "Example:\n  trunkline line show 3")]
    Show {
        /// Id of the line, as `line list` shows it
        id: i64,
    },
    /// Change settings of a line
    #[command(before_long_help = "Example:\n  trunkline line set 3 --set-file app_secret=secret.txt")]
    Set {
        /// Id of the line
        id: i64,
        /// Settings to change; an empty value removes one.
        #[command(flatten)]
        settings: SettingArgs,
    },
    /// Check the channel's credentials against its network
    #[command(before_long_help = "Example:\n  trunkline line test 3")]
    Test {
        /// Id of the line
        id: i64,
    },
    /// End the block of a line and try at once
    #[command(before_long_help = "Example:\n  trunkline line unblock 3")]
    Unblock {
        /// Id of the line
        id: i64,
    },
    /// Say whose connection would end if a line took this channel
    #[command(
        override_usage = "trunkline line takeover [OPTIONS] --portal <NAME> --connector <ID> \\\n           --line <L> --dry-run"
    )]
    #[command(before_long_help = "\
Example:
  trunkline line takeover --portal office --connector botframework --line 7 \\
      --set app_id=… --dry-run")]
    Takeover(TakeoverArgs),
    /// Remove a line; what waits becomes dead letters
    #[command(before_long_help = "Example:\n  trunkline line remove 3 --yes")]
    Remove {
        /// Id of the line
        id: i64,
        /// Do it; without this the command says what would be lost
        #[arg(long)]
        yes: bool,
    },
}

/// Which line of which portal, which channel.
#[derive(Args, Debug)]
pub struct TargetArgs {
    /// Name of the portal
    #[arg(long, value_name = "NAME")]
    pub portal: String,
    /// Channel, see `connector list`
    #[arg(long, value_name = "ID")]
    pub connector: String,
    /// The portal's own number of the line
    #[arg(long, value_name = "L")]
    pub line: String,
}

/// Connection parameters.
#[derive(Args, Debug)]
pub struct SettingArgs {
    /// A setting, see `connector show`; secrets go by --set-file
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
    pub set: Vec<(String, String)>,
    /// A setting whose value is in a file, - for standard input
    #[arg(long, value_name = "KEY=FILE", value_parser = pair)]
    pub set_file: Vec<(String, String)>,
}

/// `line add`.
#[derive(Args, Debug)]
pub struct AddArgs {
    /// Where.
    #[command(flatten)]
    pub target: TargetArgs,
    /// With what.
    #[command(flatten)]
    pub settings: SettingArgs,
}

/// `line takeover`.
#[derive(Args, Debug)]
pub struct TakeoverArgs {
    /// Where.
    #[command(flatten)]
    pub target: TargetArgs,
    /// With what.
    #[command(flatten)]
    pub settings: SettingArgs,
    /// Required: the command only says what would happen
    #[arg(long, required = true)]
    pub dry_run: bool,
}

pub(crate) fn run(ctx: &Context, args: &LineArgs, out: &mut dyn Write) -> Result<ExitCode, CliError> {
    let open = Opened::new(ctx)?;
    match &args.command {
        LineCommand::Add(args) => add(ctx, &open, args, out)?,
        LineCommand::List => list(ctx, &open, out)?,
        LineCommand::Show { id } => show(ctx, &open, &open.line(*id)?, out)?,
        LineCommand::Set { id, settings } => set(ctx, &open, &open.line(*id)?, settings, out)?,
        LineCommand::Test { id } => test(&open, &open.line(*id)?, out)?,
        LineCommand::Unblock { id } => unblock(&open, open.line(*id)?, out)?,
        LineCommand::Takeover(args) => takeover(ctx, &open, args, out)?,
        LineCommand::Remove { id, yes } => remove(&open, &open.line(*id)?, *yes, out)?,
    }
    Ok(ExitCode::Done)
}

fn connector<'a>(open: &'a Opened, id: &str) -> Result<&'a dyn Connector, CliError> {
    open.factory.get(id).map(AsRef::as_ref).ok_or_else(|| CliError::NotFound {
        what: "connector",
        name: id.to_owned(),
        near: open.factory.iter().map(|connector| connector.name().to_owned()).next(),
    })
}

/// Joins what was given with what is stored; an unknown key is a mistake here, unlike in a portal's form.
fn merged(connector: &dyn Connector, stored: &Settings, args: &SettingArgs) -> Result<Settings, CliError> {
    let mut settings = stored.clone();
    let mut put = |key: &str, value: &str, typed: bool| {
        let Some(field) = connector.fields().iter().find(|field| field.key == key) else {
            let known: Vec<_> = connector.fields().iter().map(|field| field.key).collect();
            return Err(CliError::Usage(format!(
                "`{}` has no setting `{key}`; it has {}",
                connector.name(),
                known.join(", ")
            )));
        };
        if field.secret && typed {
            return Err(CliError::Usage(format!(
                "`{key}` is a secret: put it into a file and say --set-file {key}=FILE, or {key}=- for standard input"
            )));
        }
        if value.is_empty() {
            settings.remove(field.key);
        } else {
            settings.set(field.key, value);
        }
        Ok(())
    };
    for (key, value) in &args.set {
        put(key, value, true)?;
    }
    for (key, file) in &args.set_file {
        put(key, read_secret(Path::new(file))?.reveal(), false)?;
    }
    Ok(settings)
}

fn connect(open: &Opened, connect: Connect) -> Result<registry::Connected, CliError> {
    open.write(move |tx| connect.apply(tx))
}

fn add(ctx: &Context, open: &Opened, args: &AddArgs, out: &mut dyn Write) -> Result<(), CliError> {
    let portal = open.portal(&args.target.portal)?;
    let connector = connector(open, &args.target.connector)?;
    let stored = match directory::line_of(&open.db, portal.id, connector.name(), &args.target.line)? {
        Some(line) => directory::settings(&open.db, line.id)?,
        None => Settings::default(),
    };
    let settings = merged(connector, &stored, &args.settings)?;
    let wish = Connect::new(
        &open.factory,
        portal.id,
        connector.name(),
        &args.target.line,
        settings,
        "command line".to_owned(),
    )
    .map_err(|error| CliError::Usage(error.message))?;
    let done = connect(open, wish)?;
    told(ctx, open, &done, out)
}

fn told(ctx: &Context, open: &Opened, done: &registry::Connected, out: &mut dyn Write) -> Result<(), CliError> {
    if ctx.global.json {
        output::json(out, &as_json(open, &done.line)?)?;
        return Ok(());
    }
    writeln!(out, "line {} is connected; its webhook address:", done.line.id)?;
    writeln!(out, "{}", address(open, &done.line).unwrap_or_default())?;
    for line in &done.ended {
        writeln!(out, "the connection of line {} has ended: it had the same bot, group or page", line.id)?;
    }
    Ok(())
}

fn address(open: &Opened, line: &Line) -> Option<String> {
    line.hash.as_deref().map(|hash| registry::webhook_url(&open.public_url(), hash))
}

/// `active`, `blocked`, `broken`, `taken_over`.
fn state(open: &Opened, line: &Line) -> &'static str {
    match line.state {
        LineState::Active if line.blocked_until.is_some_and(|until| until > open.clock.now()) => "blocked",
        other => directory::state_name(other),
    }
}

fn as_json(open: &Opened, line: &Line) -> Result<Value, CliError> {
    let portal = directory::portal_by_id(&open.db, line.portal)?.map(|portal| portal.name);
    Ok(json!({
        "id": line.id.0, "portal": portal, "connector": line.connector, "line": line.line, "hash": line.hash,
        "webhook_url": address(open, line), "state": state(open, line), "attempts": line.attempts,
        "blocked_until": time(line.blocked_until), "last_error": line.last_error,
        "queued": crate::queue::count(&open.db, line.id)?, "outbox": crate::outbox::count(&open.db, line.id)?,
    }))
}

fn list(ctx: &Context, open: &Opened, out: &mut dyn Write) -> Result<(), CliError> {
    let lines = directory::lines(&open.db)?;
    let documents = lines.iter().map(|line| as_json(open, line)).collect::<Result<Vec<_>, _>>()?;
    if ctx.global.json {
        output::json(out, &documents.into())?;
        return Ok(());
    }
    let cell = |document: &Value, key: &str| match document.get(key) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Null) | None => "-".to_owned(),
        Some(other) => other.to_string(),
    };
    let columns = ["id", "portal", "connector", "line", "state", "queued", "outbox"];
    let rows: Vec<Vec<String>> =
        documents.iter().map(|document| columns.iter().map(|key| cell(document, key)).collect()).collect();
    output::table(out, &columns, &rows)?;
    Ok(())
}

fn show(ctx: &Context, open: &Opened, line: &Line, out: &mut dyn Write) -> Result<(), CliError> {
    let document = as_json(open, line)?;
    if ctx.global.json {
        output::json(out, &document)?;
        return Ok(());
    }
    let portal = document["portal"].as_str().unwrap_or("?");
    writeln!(out, "line {}: {} on line {} of portal `{portal}`", line.id, line.connector, line.line)?;
    if let Some(address) = address(open, line) {
        writeln!(out, "webhook address: {address}")?;
    }
    writeln!(out, "{}", in_words(open, line, portal))?;
    writeln!(out, "{} messages wait for the portal, {} for the channel", document["queued"], document["outbox"])?;
    Ok(())
}

/// The state as a person would say it: why, since when, what happens next, what is lost when.
fn in_words(open: &Opened, line: &Line, portal: &str) -> String {
    let error = line.last_error.as_deref().unwrap_or("no reason was noted");
    match line.state {
        LineState::TakenOver => {
            "another line has taken this bot, group or page; save the settings here again to take it back".to_owned()
        }
        LineState::Broken => format!(
            "the channel refuses the credentials ({error}); messages to it wait; save new ones or `trunkline line test {}`",
            line.id
        ),
        LineState::Active => match (line.first_attempt_at, line.blocked_until) {
            (Some(first), Some(until)) => {
                let schedule = Schedule::new(open.config.retry.blocks.clone());
                format!(
                    "blocked until {} because {} attempts since {} were not confirmed ({error}); if nothing changes, what \
                     waits becomes dead letters at {}; try: trunkline portal test {portal}",
                    until.rfc3339(),
                    line.attempts,
                    first.rfc3339(),
                    first.plus(schedule.total()).rfc3339(),
                )
            }
            _ => "working".to_owned(),
        },
    }
}

fn set(ctx: &Context, open: &Opened, line: &Line, args: &SettingArgs, out: &mut dyn Write) -> Result<(), CliError> {
    let connector = connector(open, &line.connector)?;
    let settings = merged(connector, &directory::settings(&open.db, line.id)?, args)?;
    let who = "command line".to_owned();
    let wish = Connect::new(&open.factory, line.portal, connector.name(), &line.line, settings, who)
        .map_err(|error| CliError::Usage(error.message))?;
    let done = connect(open, wish)?;
    told(ctx, open, &done, out)
}

fn test(open: &Opened, line: &Line, out: &mut dyn Write) -> Result<(), CliError> {
    let connector = connector(open, &line.connector)?;
    let settings = directory::settings(&open.db, line.id)?;
    connector.test(&settings).map_err(|error| CliError::Failed(format!("{} ({})", error.message, error.code)))?;
    writeln!(out, "the channel takes the credentials of line {}", line.id)?;
    if line.state == LineState::Broken {
        let id = line.id;
        open.write(move |tx| directory::mend(tx, id))?;
        writeln!(out, "it is in use again; what waits leaves within a second if the server runs")?;
    }
    Ok(())
}

fn unblock(open: &Opened, mut line: Line, out: &mut dyn Write) -> Result<(), CliError> {
    if line.blocked_until.is_none() {
        writeln!(out, "line {} is not blocked", line.id)?;
        return Ok(());
    }
    let id = line.id;
    // The count of attempts and the 24 hours run on: unblocking is one more try, not a new day.
    line.blocked_until = None;
    open.write(move |tx| {
        directory::set_block(tx, &line)?;
        directory::journal(tx, "command line", "unblocked", Some(id), "")
    })?;
    writeln!(out, "line {id} tries again within a second if the server runs")?;
    Ok(())
}

fn takeover(ctx: &Context, open: &Opened, args: &TakeoverArgs, out: &mut dyn Write) -> Result<(), CliError> {
    let portal = open.portal(&args.target.portal)?;
    let connector = connector(open, &args.target.connector)?;
    let own = directory::line_of(&open.db, portal.id, connector.name(), &args.target.line)?;
    let stored = match &own {
        Some(line) => directory::settings(&open.db, line.id)?,
        None => Settings::default(),
    };
    let settings = merged(connector, &stored, &args.settings)?;
    let ending = registry::would_end(&open.db, connector, own.map(|line| line.id), &settings)?;
    if ctx.global.json {
        let ending = ending.iter().map(|line| as_json(open, line)).collect::<Result<Vec<_>, _>>()?;
        output::json(out, &json!({ "would_end": ending }))?;
        return Ok(());
    }
    if ending.is_empty() {
        writeln!(out, "nobody's connection would end")?;
    }
    for line in ending {
        let document = as_json(open, &line)?;
        writeln!(
            out,
            "the connection of line {} (portal `{}`) would end; {} messages to the portal and {} to the channel would \
             become dead letters",
            line.id,
            document["portal"].as_str().unwrap_or("?"),
            document["queued"],
            document["outbox"]
        )?;
    }
    Ok(())
}

fn remove(open: &Opened, line: &Line, yes: bool, out: &mut dyn Write) -> Result<(), CliError> {
    let waiting = crate::queue::count(&open.db, line.id)? + crate::outbox::count(&open.db, line.id)?;
    if !yes {
        return Err(CliError::Refused(format!(
            "line {} would end and {waiting} waiting messages become dead letters; say --yes to remove it",
            line.id
        )));
    }
    registry::remove(&open.writer, WAIT, line.id, "command line")?;
    writeln!(out, "removed line {}; {waiting} messages became dead letters", line.id)?;
    Ok(())
}
