//! The twins on the command line, for other people's integration tests.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use super::Faults;
use super::bot_framework::{self, BotFrameworkTwin};
use super::portal::{self, PortalTwin};
use crate::clock::Clock;
use crate::desk::fetch::Limits;
use crate::desk::hook::Hook;
use crate::net::Net;
use crate::secret::Secret;

/// Faults on demand.
#[derive(Args, Clone, Debug)]
pub struct FaultArgs {
    /// Answer every request of the protocol with 503
    #[arg(long)]
    pub down: bool,
    /// Wait so many milliseconds before each answer
    #[arg(long, value_name = "MS", default_value_t = 0)]
    pub slow: u64,
    /// Share of requests that fail, 0 to 1
    #[arg(long, value_name = "P", default_value_t = 0.0, value_parser = share)]
    pub fail_rate: f64,
}

/// A number from 0 to 1.
fn share(text: &str) -> Result<f64, String> {
    let share = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| "it must be a number from 0 to 1, such as 0.1".to_owned())
}

/// A version of the module that the twin can play.
fn module(text: &str) -> Result<String, String> {
    let parts: Option<Vec<u32>> = text.split('.').map(|part| part.parse().ok()).collect();
    match parts.as_deref() {
        Some([17..=26, _, ..]) => Ok(text.to_owned()),
        _ => Err("it must be a version from 17.0 to 26.x, such as 17.0.14, 18.7.200, 20.0.75 or 23.100.0".to_owned()),
    }
}

impl FaultArgs {
    fn faults(&self, no_confirm: bool) -> Faults {
        Faults { down: self.down, slow: Duration::from_millis(self.slow), no_confirm, fail_rate: self.fail_rate }
    }
}

/// A boxed portal with an operator's desk in the browser
#[derive(Args, Debug)]
#[command(override_usage = "trunkline sim portal [OPTIONS] --server <URL> \\\n           --license-key-file <FILE>")]
#[command(before_long_help = "\
Example:
  trunkline sim portal --server http://127.0.0.1:8080 --license-key-file licence.txt --module 20.0.75")]
#[command(after_long_help = "\
For scripts, JSON in and out:
  GET  /sim/messages   every message of every conversation
  POST /sim/connect    {line, bot_handle, app_id, app_secret}: saves the form as its page does
  POST /sim/say        {talk, text, file, file_name}: an operator writes
  POST /sim/edit       {id, text}
  POST /sim/delete     {id}
  POST /sim/faults     {down, slow, no_confirm, fail_rate}: faults from now on")]
pub struct PortalArgs {
    /// Base address of the server, what CONTROLLER_CONNECTOR_URL would name
    #[arg(long, value_name = "URL")]
    pub server: String,
    /// File with the licence key that the portal is registered with, - for standard input
    #[arg(long, value_name = "FILE")]
    pub license_key_file: std::path::PathBuf,
    /// Version of the portal's module, 17.0.14 to 26.100.0; decides fields, emoji and confirmations
    #[arg(long, value_name = "VERSION", default_value = "20.0.75", value_parser = module)]
    pub module: String,
    /// Port on 127.0.0.1, 0 for any
    #[arg(long, value_name = "P", default_value_t = 0)]
    pub port: u16,
    /// Keep conversations in this file; without it they end with the process
    #[arg(long, value_name = "FILE")]
    pub data: Option<std::path::PathBuf>,
    /// Serve the protocol and the addresses for scripts, but no page for operators
    #[arg(long, hide_short_help = true)]
    pub no_page: bool,
    /// Fetch customers' files, as a portal does, also from this machine; without it they stay links
    #[arg(long, hide_short_help = true)]
    pub fetch_files: bool,
    /// Post every event to this address, signed as Standard Webhooks are
    #[arg(long, value_name = "URL", requires = "hook_secret_file", hide_short_help = true)]
    pub hook: Option<String>,
    /// File with the hook's secret, whsec_ and base64
    #[arg(long, value_name = "FILE", requires = "hook", hide_short_help = true)]
    pub hook_secret_file: Option<std::path::PathBuf>,
    /// Take messages but neither confirm them nor answer OK
    #[arg(long)]
    pub no_confirm: bool,
    /// Faults.
    #[command(flatten)]
    pub faults: FaultArgs,
}

/// The Bot Framework: tokens, keys, channel service and a customer's chat in the browser
#[derive(Args, Debug)]
#[command(
    override_usage = "trunkline sim bot-framework [OPTIONS] --app-id <ID> \\\n           --app-secret-file <FILE>"
)]
#[command(before_long_help = "\
Example:
  trunkline sim bot-framework --app-id 11111111-2222-3333-4444-555555555555 \\
      --app-secret-file secret.txt --webhook 'http://127.0.0.1:8080/imwebhook/?hash=…'")]
#[command(after_long_help = "\
For scripts, JSON in and out:
  GET  /sim/messages   every message of every conversation
  GET  /sim/received   every request of the bot to the channel service
  POST /sim/say        {channel, name, text, file, file_name}: a customer writes
  POST /sim/edit       {conversation, id, text}
  POST /sim/delete     {conversation, id}
  POST /sim/activity   {activity, token}: posts any activity to the webhook address
  POST /sim/webhook    {url}: the bot's messaging endpoint from now on
  POST /sim/rotate     signs with a new key from now on
  POST /sim/faults     {down, slow, fail_rate, token}: faults from now on")]
pub struct BotFrameworkArgs {
    /// App id of the bot
    #[arg(long, value_name = "ID")]
    pub app_id: String,
    /// File with the bot's secret, - for standard input
    #[arg(long, value_name = "FILE")]
    pub app_secret_file: std::path::PathBuf,
    /// The bot's messaging endpoint: the webhook address of the line
    #[arg(long, value_name = "URL")]
    pub webhook: Option<String>,
    /// Port on 127.0.0.1, 0 for any
    #[arg(long, value_name = "P", default_value_t = 0)]
    pub port: u16,
    /// Faults.
    #[command(flatten)]
    pub faults: FaultArgs,
}

type Failed = Box<dyn std::error::Error + Send + Sync>;

impl PortalArgs {
    /// Starts the twin and prints one `ready` line.
    pub fn run(
        &self,
        key: &Secret,
        hook_secret: Option<Secret>,
        clock: Arc<dyn Clock>,
        net: Arc<dyn Net>,
        out: &mut dyn Write,
    ) -> Result<PortalTwin, Failed> {
        let hook = self.hook.as_deref().zip(hook_secret).map(|(url, secret)| Hook::new(url, &secret)).transpose()?;
        let options = portal::Options {
            port: self.port,
            license_key: key.reveal().trim().to_owned(),
            version: self.module.clone(),
            server: self.server.clone(),
            faults: self.faults.faults(self.no_confirm),
            file: self.data.clone(),
            fetch: self.fetch_files.then(Limits::default),
            hook,
            page: !self.no_page,
        };
        let twin = PortalTwin::start(options, clock, net)?;
        writeln!(out, "ready portal={}", twin.url())?;
        out.flush()?;
        Ok(twin)
    }
}

impl BotFrameworkArgs {
    /// Starts the twin and prints one `ready` line with what the server's configuration needs.
    pub fn run(
        &self,
        secret: &Secret,
        clock: Arc<dyn Clock>,
        net: Arc<dyn Net>,
        out: &mut dyn Write,
    ) -> Result<BotFrameworkTwin, Failed> {
        let options = bot_framework::Options {
            port: self.port,
            app_id: self.app_id.clone(),
            app_secret: secret.reveal().to_owned(),
            webhook: self.webhook.clone(),
            faults: self.faults.faults(false),
        };
        let twin = BotFrameworkTwin::start(options, clock, net)?;
        writeln!(
            out,
            "ready page={} token_url={} openid_metadata_url={}",
            twin.url(),
            twin.token_url(),
            twin.metadata_url()
        )?;
        out.flush()?;
        Ok(twin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_has_a_version() {
        for text in ["17.0.14", "18.7.200", "20.0.75", "23.100", "26.100.0"] {
            assert_eq!(module(text).as_deref(), Ok(text));
        }
        for text in ["", "17", "16.5.0", "27.0", "20.x", "latest", "-20.0"] {
            assert!(module(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_share_lies_between_nothing_and_all() {
        for (text, want) in [("0", Some(0.0)), ("0.25", Some(0.25)), ("1", Some(1.0)), ("1.1", None), ("-1", None)] {
            assert_eq!(share(text).ok(), want, "{text}");
        }
        for text in ["", "NaN", "half", "10%"] {
            assert!(share(text).is_err(), "{text}");
        }
    }
}
