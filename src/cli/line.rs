//! `trunkline line`: which channel is joined to which Open Line.

use std::io::Write;

use clap::{Args, Subcommand};

use super::{CliError, Context, ExitCode, not_yet, pair};

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

pub(crate) fn run(_ctx: &Context, _args: &LineArgs, _out: &mut dyn Write) -> Result<ExitCode, CliError> {
    Err(not_yet("line"))
}
