//! The whole system on loopback: the real server with its database in a folder that vanishes, a portal's twin and the Bot
//! Framework's. `play` is one conversation both ways, each step seen at its far end.

use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use crate::app::App;
use crate::clock::Clock;
use crate::config::{self, Env, Flag};
use crate::desk::office::{Author, Mark};
use crate::net::{Net, Out};
use crate::portals::boxed;
use crate::registry;
use crate::secret::Secret;
use crate::sim::Faults;
use crate::sim::bot_framework::{self, BotFrameworkTwin};
use crate::sim::portal::{self, PortalTwin};
use crate::store::counters;
use crate::store::directory::{self, NewPortal};

/// The bot of the demo.
const APP_ID: &str = "d3e0d3e0-0000-4000-8000-000000000001";
/// How long a step may take.
const STEP: Duration = Duration::from_secs(10);

/// Why the demo did not come up or did not play.
pub type Failed = Box<dyn std::error::Error + Send + Sync>;

/// Everything that runs.
#[derive(Debug)]
pub struct Demo {
    /// The server.
    pub app: App,
    /// The portal's twin.
    pub portal: PortalTwin,
    /// The Bot Framework's twin.
    pub bot: BotFrameworkTwin,
    secret: Secret,
    net: Arc<dyn Net>,
    clock: Arc<dyn Clock>,
    _folder: tempfile::TempDir,
}

impl Demo {
    /// Starts all three and connects them as an administrator would on the portal's page. `port` is the operators' desk,
    /// the next one the customer's chat; 0 takes free ones. `version` is the portal's module version.
    pub fn start(clock: &Arc<dyn Clock>, port: u16, version: &str) -> Result<Self, Failed> {
        let demo = Self::unconnected(clock, port, version)?;
        let webhook = demo.portal.connect_bot("1", "demo-bot", APP_ID, demo.secret.reveal())?;
        demo.bot.set_webhook(&webhook);
        Ok(demo)
    }

    /// Starts all three; the settings page of the desk is left to connect them.
    pub fn unconnected(clock: &Arc<dyn Clock>, port: u16, version: &str) -> Result<Self, Failed> {
        let folder = tempfile::Builder::new().prefix("trunkline-demo-").tempdir()?;
        let net: Arc<dyn Net> = Arc::new(Out::new(clock, Vec::new(), &[])?);
        let secret = Secret::new(registry::new_hash());
        let options = bot_framework::Options {
            port: if port == 0 { 0 } else { port.saturating_add(1) },
            app_id: APP_ID.to_owned(),
            app_secret: secret.reveal().to_owned(),
            webhook: None,
            faults: Faults::default(),
        };
        let bot = BotFrameworkTwin::start(options, Arc::clone(clock), Arc::clone(&net))?;
        let app = server(folder.path(), clock, &bot)?;
        let portal = join(&app, "demo", port, version, clock, &net)?;
        Ok(Self { app, portal, bot, secret, net, clock: Arc::clone(clock), _folder: folder })
    }

    /// Another portal at the same server.
    pub fn add_portal(&self, name: &str, version: &str) -> Result<PortalTwin, Failed> {
        join(&self.app, name, 0, version, &self.clock, &self.net)
    }

    /// App id and secret of the bot.
    pub fn bot_keys(&self) -> (&str, &Secret) {
        (APP_ID, &self.secret)
    }

    /// Plays the conversation and prints each step; an error names the step that was not seen.
    pub fn play(&self, out: &mut dyn Write) -> Result<(), Failed> {
        let mut scene = Scene { demo: self, out, number: 0 };
        let (conversation, question) = scene.customer_writes()?;
        let talk = self.portal.talks().first().map_or(0, |talk| talk.id);
        let answer = scene.operator_answers(talk, &conversation)?;
        scene.both_edit(&conversation, &question, answer)?;
        scene.files_go_both_ways(talk, &conversation)?;
        scene.both_delete(&conversation, &question, answer)?;
        scene.books_balance()
    }
}

/// Starts a portal and registers it.
fn join(
    app: &App,
    name: &str,
    port: u16,
    version: &str,
    clock: &Arc<dyn Clock>,
    net: &Arc<dyn Net>,
) -> Result<PortalTwin, Failed> {
    let license_key = registry::new_hash();
    let options = portal::Options {
        port,
        license_key: license_key.clone(),
        version: version.to_owned(),
        server: app.public_addr(),
        faults: Faults::default(),
        file: None,
        // Whoever tries this offline sees links where a portal would wait for names that nobody knows.
        fetch: None,
        hook: None,
        page: true,
    };
    let portal = PortalTwin::start(options, Arc::clone(clock), Arc::clone(net))?;
    let new = NewPortal {
        name: name.to_owned(),
        protocol: "box",
        url: portal.url().to_owned(),
        licence: boxed::licence_id(&license_key),
        key: boxed::key_md5(&license_key),
    };
    app.service().writer.write(STEP, move |tx| directory::add_portal(tx.db(), &new, tx.now))?;
    Ok(portal)
}

/// The server as `serve` would start it, with the twin as its Bot Framework.
fn server(folder: &std::path::Path, clock: &Arc<dyn Clock>, bot: &BotFrameworkTwin) -> Result<App, Failed> {
    let flag = |path: &'static str, value: String| Flag { name: "demo", path, value };
    let flags = [
        flag("data_dir", folder.join("data").display().to_string()),
        flag("listen", "127.0.0.1:0".to_owned()),
        flag("admin_listen", "127.0.0.1:0".to_owned()),
        flag("network.allow", "127.0.0.0/8".to_owned()),
        flag("bot_framework.token_url", bot.token_url()),
        flag("bot_framework.openid_metadata_url", bot.metadata_url()),
    ];
    let loaded = config::load(None, &Env::default(), &flags).map_err(|mistakes| mistakes.to_string())?;
    Ok(App::start(&loaded.config, Arc::clone(clock))?)
}

struct Scene<'a> {
    demo: &'a Demo,
    out: &'a mut dyn Write,
    number: u32,
}

impl Scene<'_> {
    fn seen(&mut self, seen: bool, what: &str) -> Result<(), Failed> {
        self.number += 1;
        if !seen {
            return Err(format!("step {}: not seen: {what}", self.number).into());
        }
        writeln!(self.out, "{:>2}. {what}", self.number)?;
        Ok(())
    }

    fn customer_writes(&mut self) -> Result<(String, String), Failed> {
        let Demo { portal, bot, .. } = self.demo;
        let text = "Hello! Is the blue one in stock? 👋";
        let ids = bot.say("msteams", "Ben", text, None)?;
        let arrived = portal.wait(STEP, |talks| {
            let mut entries = talks.iter().filter(|talk| talk.name == "Ben").flat_map(|talk| &talk.entries);
            // Old portals keep the hand as a short name.
            entries.any(|entry| entry.text.starts_with("Hello! Is the blue one in stock?"))
        });
        self.seen(arrived, "the customer's message is on the operator's desk")?;
        Ok(ids)
    }

    fn operator_answers(&mut self, talk: i64, conversation: &str) -> Result<i64, Failed> {
        let Demo { portal, bot, .. } = self.demo;
        let id = portal.say(talk, "Yes, [b]three[/b] are left & waiting.", None)?;
        let arrived = bot.wait(conversation, STEP, |chat| {
            chat.messages.iter().any(|said| said.by_bot && said.text.contains("three") && said.text.contains("Anna"))
        });
        self.seen(arrived, "the operator's answer is in the customer's chat")?;
        let marked = portal.wait(STEP, |talks| {
            let mut entries = talks.iter().flat_map(|talk| &talk.entries);
            entries.any(|entry| entry.id == id && entry.mark == Some(Mark::Delivered) && !entry.external.is_empty())
        });
        self.seen(marked, "its delivery mark is back on the desk")?;
        Ok(id)
    }

    fn both_edit(&mut self, conversation: &str, question: &str, answer: i64) -> Result<(), Failed> {
        let Demo { portal, bot, .. } = self.demo;
        portal.edit(answer, "Yes, four are left.")?;
        let arrived = bot.wait(conversation, STEP, |chat| {
            chat.messages.iter().any(|said| said.edited && said.text.contains("four"))
        });
        self.seen(arrived, "the operator's edit is in the customer's chat")?;
        bot.edit(conversation, question, "Is the green one in stock?")?;
        let arrived = portal.wait(STEP, |talks| {
            let mut entries = talks.iter().flat_map(|talk| &talk.entries);
            entries.any(|entry| entry.edited && entry.text.contains("green"))
        });
        self.seen(arrived, "the customer's edit is on the desk")
    }

    fn files_go_both_ways(&mut self, talk: i64, conversation: &str) -> Result<(), Failed> {
        let Demo { portal, bot, .. } = self.demo;
        let file = |name: &str| Some((name.to_owned(), format!("https://files.example.com/{name}")));
        portal.say(talk, "Our list:", file("prices.pdf"))?;
        let arrived = bot.wait(conversation, STEP, |chat| {
            chat.messages.iter().any(|said| {
                said.by_bot
                    && (said.text.contains("prices.pdf") || said.files.iter().any(|(name, _)| name == "prices.pdf"))
            })
        });
        self.seen(arrived, "the operator's file is a link in the customer's chat")?;
        bot.say("msteams", "Ben", "My drawing", file("drawing.png"))?;
        let arrived = portal.wait(STEP, |talks| {
            let mut entries = talks.iter().flat_map(|talk| &talk.entries);
            entries.any(|entry| entry.files.iter().any(|file| file.name == "drawing.png"))
        });
        self.seen(arrived, "the customer's file is a link on the desk")
    }

    fn both_delete(&mut self, conversation: &str, question: &str, answer: i64) -> Result<(), Failed> {
        let Demo { portal, bot, .. } = self.demo;
        portal.delete(answer)?;
        let gone = bot.wait(conversation, STEP, |chat| chat.messages.iter().any(|said| said.by_bot && said.deleted));
        self.seen(gone, "the operator's deletion is in the customer's chat")?;
        bot.delete(conversation, question)?;
        let gone = portal.wait(STEP, |talks| {
            talks.iter().flat_map(|talk| &talk.entries).any(|entry| entry.author == Author::Customer && entry.deleted)
        });
        self.seen(gone, "the customer's deletion is on the desk")
    }

    fn books_balance(&mut self) -> Result<(), Failed> {
        let service = self.demo.app.service();
        let deadline = service.clock.ticks() + STEP;
        let (_keep, pause) = crossbeam_channel::bounded::<()>(0);
        loop {
            let sums = counters::accounting(&*service.readers.get()?)?;
            let settled = sums.queued == 0 && sums.outbox == 0;
            if settled || service.clock.ticks() > deadline {
                let what = format!(
                    "the books balance: {} accepted = {} confirmed + {} dead + {} waiting",
                    sums.accepted,
                    sums.confirmed,
                    sums.dead,
                    sums.queued + sums.outbox
                );
                return self.seen(settled && sums.difference() == 0 && sums.dead == 0, &what);
            }
            let _ = pause.recv_timeout(Duration::from_millis(20));
        }
    }
}

/// What a person needs to know once everything runs.
pub fn greet(demo: &Demo, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "Trunkline is running on this machine, with a portal and a messaging channel to try it on.\n")?;
    writeln!(out, "  the operator's desk    {}", demo.portal.url())?;
    writeln!(out, "  the customer's chat    {}", demo.bot.url())?;
    writeln!(out, "  the server             {}", demo.app.public_addr())?;
    writeln!(out, "  its figures            {}/metrics\n", demo.app.admin_addr())?;
    writeln!(out, "Open the first two side by side, come in as one of the operators, and write as the customer.")?;
    writeln!(out, "Ctrl+C ends it; nothing stays behind.")?;
    out.flush()
}
