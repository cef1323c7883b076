//! `trunkline line`: which channel is joined to which Open Line.

#![expect(clippy::indexing_slicing, reason = "a missing key of a JSON value is null, not a panic")]

mod show;

use std::io::Write;
use std::path::Path;

use clap::{Args, Subcommand};
use serde_json::json;

use super::open::{Opened, WAIT};
use super::output::many;
use super::{CliError, Context, ExitCode, output, pair, read_secret};
use crate::channels::Connector;
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
        LineCommand::List => show::list(ctx, &open, out)?,
        LineCommand::Show { id } => show::show(ctx, &open, open.line(*id)?, out)?,
        LineCommand::Set { id, settings } => set(ctx, &open, &open.line(*id)?, settings, out)?,
        LineCommand::Test { id } => test(ctx, &open, &open.line(*id)?, out)?,
        LineCommand::Unblock { id } => unblock(ctx, &open, open.line(*id)?, out)?,
        LineCommand::Takeover(args) => takeover(ctx, &open, args, out)?,
        LineCommand::Remove { id, yes } => remove(ctx, &open, &open.line(*id)?, *yes, out)?,
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
        output::json(out, &show::as_json(open, &done.line)?)?;
        return Ok(());
    }
    writeln!(out, "line {} is connected; its webhook address:", done.line.id)?;
    writeln!(out, "{}", show::address(open, &done.line).unwrap_or_default())?;
    for line in &done.ended {
        writeln!(out, "the connection of line {} has ended: it had the same bot, group or page", line.id)?;
    }
    Ok(())
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

fn test(ctx: &Context, open: &Opened, line: &Line, out: &mut dyn Write) -> Result<(), CliError> {
    let connector = connector(open, &line.connector)?;
    let settings = directory::settings(&open.db, line.id)?;
    connector.test(&settings).map_err(|error| CliError::Failed(format!("{} ({})", error.message, error.code)))?;
    let id = line.id;
    let mut words = format!("the channel takes the credentials of line {id}");
    let mended = line.state == LineState::Broken;
    if mended {
        open.write(move |tx| directory::mend(tx, id))?;
        words.push_str("\nit is in use again; what waits leaves within a second if the server runs");
    }
    output::result(ctx, &json!({"ok": true, "line": id.0, "mended": mended}), &words, out)
}

fn unblock(ctx: &Context, open: &Opened, mut line: Line, out: &mut dyn Write) -> Result<(), CliError> {
    let id = line.id;
    if line.blocked_until.is_none_or(|until| until <= open.clock.now()) {
        let words = format!("line {id} is not blocked");
        return output::result(ctx, &json!({"unblocked": false, "line": id.0}), &words, out);
    }
    // The count of attempts and the 24 hours run on: unblocking is one more try, not a new day.
    line.blocked_until = None;
    open.write(move |tx| {
        directory::set_block(tx, &line)?;
        directory::journal(tx, "command line", "unblocked", Some(id), "")
    })?;
    let words = format!("line {id} tries again within a second if the server runs");
    output::result(ctx, &json!({"unblocked": true, "line": id.0}), &words, out)
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
    if connector.entity(&settings).is_none() {
        let keys: Vec<_> = connector.fields().iter().filter(|field| field.required).map(|field| field.key).collect();
        return Err(CliError::Usage(format!(
            "these settings name no bot, group or page yet; `{}` needs {}",
            connector.name(),
            keys.join(", ")
        )));
    }
    let ending = registry::would_end(&open.db, connector, own.map(|line| line.id), &settings)?;
    if ctx.global.json {
        let ending = ending.iter().map(|line| show::as_json(open, line)).collect::<Result<Vec<_>, _>>()?;
        output::json(out, &json!({ "would_end": ending }))?;
        return Ok(());
    }
    if ending.is_empty() {
        writeln!(out, "nobody's connection would end")?;
    }
    for line in ending {
        let document = show::as_json(open, &line)?;
        writeln!(
            out,
            "the connection of line {} (portal `{}`) would end; {} messages to the portal and {} to the channel would \
             become dead letters, and the portal would be told",
            line.id,
            document["portal"].as_str().unwrap_or("?"),
            document["queued"],
            document["outbox"]
        )?;
    }
    writeln!(out, "nothing was changed")?;
    Ok(())
}

fn remove(ctx: &Context, open: &Opened, line: &Line, yes: bool, out: &mut dyn Write) -> Result<(), CliError> {
    let waiting = crate::queue::count(&open.db, line.id)? + crate::outbox::count(&open.db, line.id)?;
    let waiting_in_words = many(waiting, "waiting message");
    if !yes {
        return Err(CliError::Refused(format!(
            "line {} would end and {waiting_in_words} become dead letters without a way back; say --yes to remove it",
            line.id
        )));
    }
    registry::remove(&open.writer, WAIT, line.id, "command line")?;
    let words = format!("removed line {}; {waiting_in_words} became dead letters", line.id);
    output::result(ctx, &json!({"removed": line.id.0, "dead_letters": waiting}), &words, out)
}
