//! Puts file, environment and flags together, the later ones winning, and remembers where each value came from.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::keys::{KEYS, Key};
use super::kinds::{Draft, Raw};
use super::mistakes::{Mistake, Mistakes, Origin, nearest};
use super::{
    BotFramework, Config, Confirm, DeadLetters, Env, Http, Language, Listen, Network, Outbox, Queue, Retry, checks,
};

/// The file that is read when nobody names one and it is there.
pub const DEFAULT_FILE: &str = "/etc/trunkline/trunkline.toml";

/// A flag of the command line that sets a key.
#[derive(Clone, Debug)]
pub struct Flag {
    /// As typed, e.g. `--listen`.
    pub name: &'static str,
    /// The key it sets.
    pub path: &'static str,
    /// The value as typed.
    pub value: String,
}

/// The value in force of one key.
#[derive(Clone, Debug)]
pub struct Setting {
    /// The key.
    pub key: &'static Key,
    /// The value as it was written; `null` when the key is not set. Printed, it is also how TOML writes it.
    pub value: Value,
    /// Where it was written.
    pub origin: Origin,
}

/// A configuration without mistakes.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// Typed and checked.
    pub config: Config,
    /// Every key in the order of the table.
    pub settings: Vec<Setting>,
    /// The file that was read.
    pub file: Option<PathBuf>,
}

/// The file to read: `--config`, else `$TRUNKLINE_CONFIG`, else the default one if it is there.
pub fn find_file(flag: Option<&Path>, env: &Env) -> Option<PathBuf> {
    let named = flag.map(Path::to_owned).or_else(|| env.get("TRUNKLINE_CONFIG").map(PathBuf::from));
    named.or_else(|| Some(PathBuf::from(DEFAULT_FILE)).filter(|path| path.exists()))
}

/// Reads the file, if there is one, and puts everything together.
pub fn load(file: Option<&Path>, env: &Env, flags: &[Flag]) -> Result<Loaded, Mistakes> {
    let Some(path) = file else {
        return load_text(None, env, flags);
    };
    match std::fs::read_to_string(path) {
        Ok(text) => load_text(Some((path, &text)), env, flags),
        Err(error) => {
            let origin = Origin::File { path: path.to_owned(), line: 0 };
            Err(Mistakes(vec![Mistake { origin, what: format!("the file can't be read: {error}") }]))
        }
    }
}

/// The same with the file's text handed in.
pub fn load_text(file: Option<(&Path, &str)>, env: &Env, flags: &[Flag]) -> Result<Loaded, Mistakes> {
    let mut gather = Gather { values: BTreeMap::new(), mistakes: vec![], draft: blank(), env };
    for key in KEYS {
        if let Some(default) = key.default {
            gather.set(key, Raw::Typed(default.to_owned()), Origin::Default);
        }
    }
    if let Some((path, text)) = file {
        gather.file(path, text);
    }
    gather.environment();
    for flag in flags {
        match KEYS.iter().find(|key| key.path == flag.path) {
            Some(key) => gather.set(key, Raw::Typed(flag.value.clone()), Origin::Flag(flag.name)),
            None => gather.wrong(Origin::Flag(flag.name), format!("`{}` is not a key", flag.path)),
        }
    }
    gather.data_dir();
    gather.finish(file.map(|(path, _)| path.to_owned()))
}

/// Every mistake on the way and every value that was found.
struct Gather<'a> {
    values: BTreeMap<&'static str, (Raw, Origin)>,
    mistakes: Vec<Mistake>,
    draft: Draft,
    env: &'a Env,
}

impl Gather<'_> {
    fn wrong(&mut self, origin: Origin, what: String) {
        self.mistakes.push(Mistake { origin, what });
    }

    fn set(&mut self, key: &'static Key, raw: Raw, origin: Origin) {
        if let Err(why) = key.kind.take(&raw, self.env, &mut self.draft) {
            self.wrong(origin.clone(), format!("`{}` = {} {why}", key.path, key.kind.json(&raw)));
        }
        self.values.insert(key.path, (raw, origin));
    }

    fn file(&mut self, path: &Path, text: &str) {
        let at = |span: usize| {
            let line = text.get(..span).map_or(0, |before| before.matches('\n').count()).saturating_add(1);
            Origin::File { path: path.to_owned(), line }
        };
        let (table, errors) = DeTable::parse_recoverable(text);
        for error in errors {
            self.wrong(at(error.span().map_or(0, |span| span.start)), error.message().to_owned());
        }
        self.table("", table.get_ref(), &at);
    }

    /// Walks one table; sections are at most one deep, so a deeper one is an unknown key.
    fn table(&mut self, section: &str, table: &DeTable<'_>, at: &dyn Fn(usize) -> Origin) {
        let mut entries: Vec<_> = table.iter().collect();
        entries.sort_by_key(|(name, _)| name.span().start);
        for (name, value) in entries {
            let origin = at(name.span().start);
            let path =
                if section.is_empty() { name.get_ref().to_string() } else { format!("{section}.{}", name.get_ref()) };
            if let Some(key) = KEYS.iter().find(|key| key.path == path) {
                self.set(key, raw(value), origin);
            } else if let (DeValue::Table(inner), true) = (value.get_ref(), is_section(&path)) {
                self.table(&path, inner, at);
            } else if let DeValue::Table(_) = value.get_ref() {
                let near = nearest(&path, KEYS.iter().map(Key::section).filter(|name| !name.is_empty()));
                self.wrong(origin, format!("`[{path}]` is not a section{}", did_you_mean(near, "[", "]")));
            } else {
                let near = nearest(&path, KEYS.iter().map(|key| key.path));
                self.wrong(origin, format!("`{path}` is not a key{}", did_you_mean(near, "", "")));
            }
        }
    }

    fn environment(&mut self) {
        let names: Vec<_> = KEYS.iter().map(|key| (key.env_name(), key)).collect();
        for (name, value) in self.env.starting_with("TRUNKLINE_") {
            if name == "TRUNKLINE_CONFIG" {
                continue;
            }
            let origin = Origin::Env(name.to_owned());
            if let Some((_, key)) = names.iter().find(|(known, _)| known == name) {
                self.set(key, Raw::Typed(value.to_owned()), origin);
            } else {
                let near = nearest(name, names.iter().map(|(known, _)| known.as_str()));
                self.wrong(origin, format!("no key has this variable{}", did_you_mean(near, "$", "")));
            }
        }
    }

    /// The one default that depends on the environment.
    fn data_dir(&mut self) {
        let Some(key) = KEYS.iter().find(|key| key.path == "data_dir") else { return };
        if self.values.contains_key(key.path) {
            return;
        }
        // systemd separates several state directories by colons; the first is ours.
        let state = self.env.get("STATE_DIRECTORY").and_then(|list| list.split(':').next()).map(PathBuf::from);
        let xdg = || self.env.get("XDG_STATE_HOME").map(|dir| Path::new(dir).join("trunkline"));
        let home = || self.env.get("HOME").map(|dir| Path::new(dir).join(".local/state/trunkline"));
        match state.or_else(xdg).or_else(home) {
            Some(dir) => self.set(key, Raw::Typed(dir.display().to_string()), Origin::Default),
            None => self.wrong(
                Origin::Default,
                String::from(
                    "`data_dir` is not set, and neither $STATE_DIRECTORY, $XDG_STATE_HOME nor $HOME is; give it",
                ),
            ),
        }
    }

    fn finish(mut self, file: Option<PathBuf>) -> Result<Loaded, Mistakes> {
        let values = &self.values;
        let origin = |path: &str| values.get(path).map(|(_, origin)| origin.clone()).filter(|o| *o != Origin::Default);
        self.mistakes.extend(checks::across(&mut self.draft, &origin));
        if !self.mistakes.is_empty() {
            return Err(Mistakes(self.mistakes));
        }
        let settings = KEYS.iter().map(|key| match self.values.get(key.path) {
            Some((raw, origin)) => Setting { key, value: key.kind.json(raw), origin: origin.clone() },
            None => Setting { key, value: Value::Null, origin: Origin::Default },
        });
        Ok(Loaded { settings: settings.collect(), config: self.draft.config, file })
    }
}

fn is_section(path: &str) -> bool {
    KEYS.iter().any(|key| !path.is_empty() && key.section() == path)
}

fn did_you_mean(near: Option<&str>, before: &str, after: &str) -> String {
    near.map_or_else(String::new, |near| format!("; did you mean `{before}{near}{after}`?"))
}

fn raw(value: &Spanned<DeValue<'_>>) -> Raw {
    match value.get_ref() {
        DeValue::String(text) => Raw::Text(text.to_string()),
        DeValue::Boolean(value) => Raw::Bool(*value),
        DeValue::Integer(number) => {
            let parsed = i64::from_str_radix(number.as_str(), number.radix());
            parsed.map_or(Raw::Other("an integer out of range"), Raw::Int)
        }
        DeValue::Array(items) => {
            let texts: Option<Vec<_>> = items.iter().map(|item| item.get_ref().as_str().map(str::to_owned)).collect();
            texts.map_or(Raw::Other("a list that holds more than texts"), Raw::List)
        }
        DeValue::Float(_) => Raw::Other("a float"),
        DeValue::Datetime(_) => Raw::Other("a date"),
        DeValue::Table(_) => Raw::Other("a table"),
    }
}

/// Every field is overwritten by the table's defaults; a test holds the table to that.
fn blank() -> Draft {
    let none = Duration::ZERO;
    let nowhere = || Listen::Unix(PathBuf::new());
    Draft {
        cert_file: None,
        key_file: None,
        config: Config {
            data_dir: PathBuf::new(),
            listen: nowhere(),
            admin_listen: nowhere(),
            public_url: None,
            language: Language::En,
            admin_token_file: None,
            tls: None,
            http: Http {
                workers: 0,
                max_connections: 0,
                max_body: 0,
                header_timeout: none,
                body_timeout: none,
                idle_timeout: none,
                commit_wait: none,
            },
            queue: Queue {
                packet_max_messages: 0,
                packet_max_files: 0,
                packet_max_bytes: 0,
                confirm: Confirm::Either,
                confirm_timeout: none,
                delivery_workers: 0,
                dedup_keep: none,
            },
            retry: Retry { blocks: vec![], poison_attempts: 0 },
            outbox: Outbox { ttl: none, channel_workers: 0 },
            dead_letters: DeadLetters { keep: none, notify_portal: false },
            network: Network { allow: vec![], ca_files: vec![] },
            bot_framework: BotFramework {
                authentication_required: true,
                openid_metadata_url: None,
                token_url: None,
                gov: false,
            },
        },
    }
}
