//! `trunkline config`: checks, shows and explains the configuration.

use std::io::Write;
use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::output::{self, seconds, span};
use super::{CliError, Context, ExitCode};
use crate::config::{Loaded, Mistakes, Setting, example};

/// Check and show the configuration
#[derive(Args, Debug)]
#[command(before_long_help = "\
Example:
  trunkline --config trunkline.toml config check")]
pub struct ConfigArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: ConfigCommand,
}

/// What can be done with the configuration.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Look for mistakes and tell all of them at once
    #[command(before_long_help = "Example:\n  trunkline --config trunkline.toml config check")]
    Check,
    /// Print the values in force
    #[command(before_long_help = "Example:\n  trunkline config show --origin")]
    Show {
        /// Say where each value comes from: file and line, variable, flag, default
        #[arg(long)]
        origin: bool,
    },
    /// Print a commented file with every key and its default
    #[command(before_long_help = "Example:\n  trunkline config default > trunkline.toml")]
    Default,
}

pub(crate) fn run(ctx: &Context, args: &ConfigArgs, out: &mut dyn Write) -> Result<ExitCode, CliError> {
    match &args.command {
        ConfigCommand::Check => check(ctx, out),
        ConfigCommand::Show { origin } => show(&ctx.load(vec![])?, *origin, ctx.global.json, out),
        ConfigCommand::Default => {
            if ctx.global.json {
                output::json(out, &json!(example()))?;
            } else {
                out.write_all(example().as_bytes())?;
            }
            Ok(ExitCode::Done)
        }
    }
}

fn check(ctx: &Context, out: &mut dyn Write) -> Result<ExitCode, CliError> {
    let loaded = match ctx.load(vec![]) {
        Ok(loaded) => loaded,
        Err(mistakes) if ctx.global.json => {
            output::json(out, &json!({"ok": false, "mistakes": listed(&mistakes)}))?;
            return Ok(ExitCode::Config);
        }
        Err(mistakes) => return Err(mistakes.into()),
    };
    let blocks = &loaded.config.retry.blocks;
    let total: Duration = blocks.iter().sum();
    if ctx.global.json {
        let file = loaded.file.as_ref().map(|path| path.display().to_string());
        let retry = json!({"attempts": blocks.len(), "total_seconds": seconds(total)});
        output::json(out, &json!({"ok": true, "file": file, "retry": retry}))?;
        return Ok(ExitCode::Done);
    }
    match &loaded.file {
        Some(path) => writeln!(out, "file: {}", path.display())?,
        None => writeln!(out, "file: none, the defaults are used")?,
    }
    writeln!(out, "retry: {} attempts in {}, then dead letters", blocks.len(), span(total))?;
    writeln!(out, "no mistakes")?;
    Ok(ExitCode::Done)
}

fn listed(mistakes: &Mistakes) -> Vec<Value> {
    let one = |mistake: &crate::config::Mistake| json!({"origin": mistake.origin.to_string(), "message": mistake.what});
    mistakes.0.iter().map(one).collect()
}

/// Prints TOML that can be used as a file, or a list of `{key, value, origin}`. No value is secret: secrets stand in
/// files, the keys only name these.
fn show(loaded: &Loaded, origin: bool, as_json: bool, out: &mut dyn Write) -> Result<ExitCode, CliError> {
    if as_json {
        let one = |setting: &Setting| {
            let mut entry = json!({"key": setting.key.path, "value": setting.value});
            if let (true, Some(entry)) = (origin, entry.as_object_mut()) {
                entry.insert(String::from("origin"), json!(setting.origin.to_string()));
            }
            entry
        };
        output::json(out, &loaded.settings.iter().map(one).collect())?;
        return Ok(ExitCode::Done);
    }
    let mut section = "";
    for setting in &loaded.settings {
        if setting.key.section() != section {
            section = setting.key.section();
            writeln!(out, "\n[{section}]")?;
        }
        match &setting.value {
            Value::Null => write!(out, "# {} is not set", setting.key.name())?,
            value => write!(out, "{} = {value}", setting.key.name())?,
        }
        match (origin, &setting.value) {
            (true, Value::Null) | (false, _) => writeln!(out)?,
            (true, _) => writeln!(out, "  # {}", setting.origin)?,
        }
    }
    Ok(ExitCode::Done)
}
