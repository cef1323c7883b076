//! `trunkline portal`: the table of portals.

use std::io::Write;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::{CliError, Context, ExitCode, not_yet};

/// Register and look after portals
#[derive(Args, Debug)]
#[command(before_long_help = "\
Example:
  trunkline portal list")]
pub struct PortalArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: PortalCommand,
}

/// What can be done with portals.
#[derive(Debug, Subcommand)]
pub enum PortalCommand {
    /// Register a portal
    #[command(before_long_help = "\
Example:
  trunkline portal add office --protocol box --url https://portal.example.com \\
      --license-key-file licence.txt")]
    Add(AddArgs),
    /// List the portals
    #[command(before_long_help = "Example:\n  trunkline portal list --json")]
    List,
    /// Show a portal and its lines
    #[command(before_long_help = "Example:\n  trunkline portal show office")]
    Show {
        /// Name of the portal
        name: String,
    },
    /// Ask a portal for a sign of life that proves its key
    #[command(before_long_help = "Example:\n  trunkline portal test office")]
    Test {
        /// Name of the portal
        name: String,
    },
    /// Give a portal a new address; queue and lines stay
    #[command(before_long_help = "\
Example:
  trunkline portal move office --url https://crm.example.com --dry-run")]
    Move(MoveArgs),
    /// Remove a portal with its lines; what waits becomes dead letters
    #[command(before_long_help = "Example:\n  trunkline portal remove office --yes")]
    Remove {
        /// Name of the portal
        name: String,
        /// Do it; without this the command says what would be lost
        #[arg(long)]
        yes: bool,
    },
}

/// How a portal talks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ProtocolName {
    /// Boxed Bitrix24
    Box,
    /// Cloud Bitrix24
    Rest,
    /// Any backend that speaks Standard Webhooks
    Webhook,
}

/// `portal add`.
#[derive(Args, Debug)]
pub struct AddArgs {
    /// Name of your choice, used by the other commands
    pub name: String,
    /// How the portal talks
    #[arg(long, value_enum)]
    pub protocol: ProtocolName,
    /// Base address of the portal
    #[arg(long)]
    pub url: String,
    /// box: file with the licence key, - for standard input
    #[arg(long, value_name = "FILE", required_if_eq("protocol", "box"))]
    pub license_key_file: Option<PathBuf>,
    /// rest: id of the local application
    #[arg(long, value_name = "ID", required_if_eq("protocol", "rest"))]
    pub client_id: Option<String>,
    /// rest: file with the application's secret, - for standard input
    #[arg(long, value_name = "FILE", required_if_eq("protocol", "rest"))]
    pub client_secret_file: Option<PathBuf>,
    /// webhook: file with the shared secret; made and printed once when not given
    #[arg(long, value_name = "FILE")]
    pub secret_file: Option<PathBuf>,
}

/// `portal move`.
#[derive(Args, Debug)]
pub struct MoveArgs {
    /// Name of the portal
    pub name: String,
    /// New base address
    #[arg(long)]
    pub url: String,
    /// Say what would change, change nothing
    #[arg(long)]
    pub dry_run: bool,
}

pub(crate) fn run(_ctx: &Context, _args: &PortalArgs, _out: &mut dyn Write) -> Result<ExitCode, CliError> {
    Err(not_yet("portal"))
}
