//! `trunkline connector`: what the factory has, read from the connectors themselves.

use std::io::Write;
use std::sync::Arc;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::output;
use super::{CliError, Context, ExitCode};
use crate::channels::{Connector, Factory, Field, Options, Shelf, Tools, Virtual};
use crate::net::{Answer, Call, Net, NetError};

/// Show which channels this server can talk to
#[derive(Args, Debug)]
#[command(before_long_help = "\
Example:
  trunkline connector list")]
pub struct ConnectorArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: ConnectorCommand,
}

/// What can be asked of connectors.
#[derive(Debug, Subcommand)]
pub enum ConnectorCommand {
    /// List the connectors
    #[command(before_long_help = "Example:\n  trunkline connector list --json")]
    List,
    /// Show a connector's settings, channels and limits
    #[command(before_long_help = "Example:\n  trunkline connector show botframework")]
    Show {
        /// Id, of the connector or of one of its channels
        id: String,
    },
}

/// Metadata needs no network and no shelf, so none is reachable from here.
#[derive(Debug)]
struct Nothing;

impl Net for Nothing {
    fn call(&self, call: Call) -> Result<Answer, NetError> {
        Err(NetError::Forbidden(call.url))
    }
}

impl Shelf for Nothing {
    fn get(&self, _name: &str) -> Option<String> {
        None
    }

    fn put(&self, _name: &str, _text: &str) {}
}

pub(crate) fn run(ctx: &Context, args: &ConnectorArgs, out: &mut dyn Write) -> Result<ExitCode, CliError> {
    let tools = Tools { net: Arc::new(Nothing), clock: Arc::clone(&ctx.clock), shelf: Arc::new(Nothing) };
    let factory = Factory::new(&tools, &Options::default());
    match &args.command {
        ConnectorCommand::List => list(&factory, ctx.global.json, out)?,
        ConnectorCommand::Show { id } => {
            let connector = factory.get(id).ok_or_else(|| CliError::NotFound {
                what: "connector",
                name: id.clone(),
                near: nearest(&factory, id),
            })?;
            show(connector.as_ref(), ctx.global.json, out)?;
        }
    }
    Ok(ExitCode::Done)
}

fn nearest(factory: &Factory, id: &str) -> Option<String> {
    let near = factory.iter().map(|one| (strsim::damerau_levenshtein(one.name(), id), one.name()));
    near.filter(|(distance, _)| *distance <= 3).min().map(|(_, name)| name.to_owned())
}

fn list(factory: &Factory, as_json: bool, out: &mut dyn Write) -> Result<(), CliError> {
    if as_json {
        output::json(out, &factory.iter().map(|one| document(one.as_ref())).collect())?;
        return Ok(());
    }
    let row = |one: &Arc<dyn Connector>| {
        let keys: Vec<_> = one.fields().iter().map(|field| field.key).collect();
        vec![one.name().to_owned(), one.title().to_owned(), one.virtuals().len().to_string(), keys.join(", ")]
    };
    output::table(out, &["id", "name", "channels", "settings"], &factory.iter().map(row).collect::<Vec<_>>())?;
    Ok(())
}

fn show(connector: &dyn Connector, as_json: bool, out: &mut dyn Write) -> Result<(), CliError> {
    if as_json {
        output::json(out, &document(connector))?;
        return Ok(());
    }
    writeln!(out, "{}  {}\n", connector.name(), connector.title())?;
    let yes = |flag: bool| if flag { "yes" } else { "no" }.to_owned();
    let field = |one: &Field| vec![one.key.to_owned(), yes(one.required), yes(one.secret), one.label.to_owned()];
    let fields: Vec<_> = connector.fields().iter().map(field).collect();
    output::table(out, &["setting", "required", "secret", "what it is"], &fields)?;
    let channel = |one: &Virtual| {
        let limit = one.text_max_units.to_string();
        vec![one.id.to_owned(), yes(one.edit), yes(one.delete), yes(one.group), limit, one.title.to_owned()]
    };
    let channels: Vec<_> = connector.virtuals().iter().map(channel).collect();
    if !channels.is_empty() {
        writeln!(out)?;
        output::table(out, &["channel", "edit", "delete", "group", "longest text", "name"], &channels)?;
    }
    Ok(())
}

fn document(connector: &dyn Connector) -> Value {
    let field =
        |one: &Field| json!({"key": one.key, "label": one.label, "required": one.required, "secret": one.secret});
    let channel = |one: &Virtual| {
        json!({
            "id": one.id, "title": one.title, "edit": one.edit, "delete": one.delete, "group": one.group,
            "text_max_units": one.text_max_units,
        })
    };
    json!({
        "id": connector.name(),
        "title": connector.title(),
        "settings": connector.fields().iter().map(field).collect::<Vec<_>>(),
        "channels": connector.virtuals().iter().map(channel).collect::<Vec<_>>(),
    })
}
