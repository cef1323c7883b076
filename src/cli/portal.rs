//! `trunkline portal`: the table of portals.

#![expect(clippy::indexing_slicing, reason = "a missing key of a JSON value is null, not a panic")]

use std::io::Write;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use serde_json::json;

use super::open::{Opened, WAIT};
use super::{CliError, Context, ExitCode, output, read_secret};
use crate::net::Reach;
use crate::portals::{boxed, protocol};
use crate::records::Portal;
use crate::registry;
use crate::store::directory::{self, NewPortal};

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
    /// Give a portal another licence key; queue and lines stay
    #[command(before_long_help = "Example:\n  trunkline portal set office --license-key-file licence.txt")]
    Set(SetArgs),
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

/// `portal set`.
#[derive(Args, Debug)]
pub struct SetArgs {
    /// Name of the portal
    pub name: String,
    /// File with the licence key, - for standard input
    #[arg(long, value_name = "FILE")]
    pub license_key_file: PathBuf,
}

pub(crate) fn run(ctx: &Context, args: &PortalArgs, out: &mut dyn Write) -> Result<ExitCode, CliError> {
    let open = Opened::new(ctx)?;
    match &args.command {
        PortalCommand::Add(args) => add(ctx, &open, args, out)?,
        PortalCommand::List => list(ctx, &open, out)?,
        PortalCommand::Show { name } => show(ctx, &open, &open.portal(name)?, out)?,
        PortalCommand::Test { name } => test(ctx, &open, &open.portal(name)?, out)?,
        PortalCommand::Move(args) => move_to(ctx, &open, args, out)?,
        PortalCommand::Set(args) => set(ctx, &open, args, out)?,
        PortalCommand::Remove { name, yes } => remove(ctx, &open, &open.portal(name)?, *yes, out)?,
    }
    Ok(ExitCode::Done)
}

/// A base address as it is stored: http or https with a host, no path's last slash, no query.
fn base_url(text: &str) -> Result<String, CliError> {
    let bad = |why: &str| CliError::Usage(format!("`{text}` can't be a portal's address: {why}"));
    let url = url::Url::parse(text).map_err(|_| bad("write it as https://portal.example.com"))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(bad("write it as https://portal.example.com"));
    }
    if url.query().is_some() || url.fragment().is_some() || !url.username().is_empty() || url.password().is_some() {
        return Err(bad("only scheme, host, port and path belong here"));
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

fn add(ctx: &Context, open: &Opened, args: &AddArgs, out: &mut dyn Write) -> Result<(), CliError> {
    let (ProtocolName::Box, Some(file)) = (args.protocol, &args.license_key_file) else {
        return Err(CliError::Refused("this version speaks to boxed portals only: --protocol box".to_owned()));
    };
    let key = read_secret(file)?;
    let key = key.reveal().trim();
    boxed::check_key(key).map_err(|error| CliError::Refused(error.to_string()))?;
    let new = NewPortal {
        name: args.name.clone(),
        protocol: "box",
        url: base_url(&args.url)?,
        licence: boxed::licence_id(key),
        key: boxed::key_md5(key),
    };
    if directory::portal_by_name(&open.db, &new.name)?.is_some() {
        return Err(CliError::Refused(format!("there is a portal `{}` already; choose another name", new.name)));
    }
    if let Some(portal) = directory::portal_by_licence(&open.db, &new.licence)? {
        return Err(CliError::Refused(format!(
            "the portal with this licence key is registered already as `{}`; `trunkline portal move` changes its address",
            portal.name
        )));
    }
    open.write(move |tx| {
        let id = directory::add_portal(tx.db(), &new, tx.now)?;
        directory::journal(tx, "command line", "portal added", None, &new.name)?;
        Ok(id)
    })?;
    let portal = open.portal(&args.name)?;
    if ctx.global.json {
        output::json(out, &as_json(&portal))?;
    } else {
        writeln!(out, "registered `{}` at {}", portal.name, portal.url)?;
        writeln!(out, "on the portal, set CONTROLLER_CONNECTOR_URL to {}", host_of(&open.public_url()))?;
    }
    Ok(())
}

/// What the portal's constant takes: no scheme (`portal-box.md` §3.1).
fn host_of(url: &str) -> &str {
    url.split_once("://").map_or(url, |(_, rest)| rest)
}

fn as_json(portal: &Portal) -> serde_json::Value {
    json!({
        "name": portal.name, "protocol": portal.protocol, "url": portal.url,
        "state": if portal.version.is_some() { "seen" } else { "new" }, "version": portal.version,
    })
}

fn list(ctx: &Context, open: &Opened, out: &mut dyn Write) -> Result<(), CliError> {
    let portals = directory::portals(&open.db)?;
    if ctx.global.json {
        output::json(out, &portals.iter().map(as_json).collect::<Vec<_>>().into())?;
        return Ok(());
    }
    let rows: Vec<Vec<String>> = portals
        .into_iter()
        .map(|portal| vec![portal.name, portal.protocol, portal.version.unwrap_or_else(|| "-".into()), portal.url])
        .collect();
    output::table(out, &["name", "protocol", "version", "url"], &rows)?;
    Ok(())
}

fn show(ctx: &Context, open: &Opened, portal: &Portal, out: &mut dyn Write) -> Result<(), CliError> {
    let lines = directory::lines_of_portal(&open.db, portal.id)?;
    if ctx.global.json {
        let mut document = as_json(portal);
        document["lines"] = lines.iter().map(|line| line.id.0).collect::<Vec<_>>().into();
        output::json(out, &document)?;
        return Ok(());
    }
    writeln!(out, "portal `{}`, protocol {}, at {}", portal.name, portal.protocol, portal.url)?;
    match &portal.version {
        Some(version) => writeln!(out, "module version {version}")?,
        None => writeln!(out, "it has never called this server")?,
    }
    for line in lines {
        writeln!(out, "line {}: {} on the portal's line {}", line.id, line.connector, line.line)?;
    }
    Ok(())
}

fn test(ctx: &Context, open: &Opened, portal: &Portal, out: &mut dyn Write) -> Result<(), CliError> {
    let Some(protocol) = protocol(&portal.protocol) else {
        return Err(CliError::Failed(format!("this version does not speak `{}`", portal.protocol)));
    };
    protocol
        .knock(open.net.as_ref(), portal, Reach::Configured)
        .map_err(|error| CliError::Failed(format!("portal `{}`: {error}", portal.name)))?;
    let words = format!("portal `{}` answered and its key is right", portal.name);
    output::result(ctx, &json!({"ok": true, "portal": portal.name}), &words, out)
}

fn move_to(ctx: &Context, open: &Opened, args: &MoveArgs, out: &mut dyn Write) -> Result<(), CliError> {
    let portal = open.portal(&args.name)?;
    let url = base_url(&args.url)?;
    if args.dry_run {
        let words = format!("`{}` would move from {} to {url}; nothing was changed", portal.name, portal.url);
        let document = json!({"dry_run": true, "portal": portal.name, "from": portal.url, "to": url});
        return output::result(ctx, &document, &words, out);
    }
    let (id, to) = (portal.id, url.clone());
    open.write(move |tx| {
        directory::move_portal(tx.db(), id, &to)?;
        directory::journal(tx, "command line", "portal moved", None, &to)
    })?;
    if ctx.global.json {
        output::json(out, &as_json(&open.portal(&args.name)?))?;
    } else {
        writeln!(out, "`{}` moved from {} to {url}", portal.name, portal.url)?;
    }
    Ok(())
}

/// A portal that gets another licence signs with another key from then on; its lines and what waits for it are the same.
fn set(ctx: &Context, open: &Opened, args: &SetArgs, out: &mut dyn Write) -> Result<(), CliError> {
    let portal = open.portal(&args.name)?;
    let key = read_secret(&args.license_key_file)?;
    let key = key.reveal().trim();
    boxed::check_key(key).map_err(|error| CliError::Refused(error.to_string()))?;
    let (licence, secret) = (boxed::licence_id(key), boxed::key_md5(key));
    if let Some(other) = directory::portal_by_licence(&open.db, &licence)?.filter(|other| other.id != portal.id) {
        return Err(CliError::Refused(format!("portal `{}` has this licence key already", other.name)));
    }
    let (id, name) = (portal.id, portal.name);
    open.write(move |tx| {
        directory::set_portal_key(tx.db(), id, &licence, &secret)?;
        directory::journal(tx, "command line", "portal key changed", None, &name)
    })?;
    let portal = open.portal(&args.name)?;
    if ctx.global.json {
        output::json(out, &as_json(&portal))?;
    } else {
        writeln!(out, "`{}` has another key; prove it: trunkline portal test {}", portal.name, portal.name)?;
    }
    Ok(())
}

fn remove(ctx: &Context, open: &Opened, portal: &Portal, yes: bool, out: &mut dyn Write) -> Result<(), CliError> {
    let lines = directory::lines_of_portal(&open.db, portal.id)?;
    let mut waiting = 0;
    for line in &lines {
        waiting += crate::queue::count(&open.db, line.id)? + crate::outbox::count(&open.db, line.id)?;
    }
    if !yes {
        return Err(CliError::Refused(format!(
            "`{}` has {} lines, {waiting} messages wait and would become dead letters; say --yes to remove it",
            portal.name,
            lines.len()
        )));
    }
    let ids: Vec<_> = lines.iter().map(|line| line.id).collect();
    for line in &ids {
        registry::remove(&open.writer, WAIT, *line, "command line")?;
    }
    let (id, name, ended) = (portal.id, portal.name.clone(), ids.len());
    open.write(move |tx| {
        directory::remove_portal(tx.db(), id)?;
        directory::journal(tx, "command line", "portal removed", None, &name)
    })?;
    let words = format!("removed `{}`; {waiting} messages became dead letters", portal.name);
    let document = json!({"removed": portal.name, "lines": ended, "dead_letters": waiting});
    output::result(ctx, &document, &words, out)
}
