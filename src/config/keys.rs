//! The table of all keys: path, kind with its range, default, example and one sentence. Adding a setting is one entry
//! here and one field in [`super::Config`].

use std::time::Duration;

use super::kinds::{Kind, Raw};
use super::{Confirm, Language};

/// One key of the configuration.
#[derive(Debug)]
pub struct Key {
    /// Section and name as in the file, e.g. `queue.confirm_timeout`.
    pub path: &'static str,
    /// What it takes and where the value goes.
    pub(super) kind: Kind,
    /// The value when nobody says anything, as the environment would write it; `None` leaves the thing unset.
    pub(super) default: Option<&'static str>,
    /// What the example file shows for a key without a default.
    pub(super) example: &'static str,
    /// What it is for, one sentence.
    pub doc: &'static str,
}

impl Key {
    /// The section, empty at the top of the file.
    pub fn section(&self) -> &'static str {
        self.path.split_once('.').map_or("", |(section, _)| section)
    }

    /// The name within its section.
    pub fn name(&self) -> &'static str {
        self.path.split_once('.').map_or(self.path, |(_, name)| name)
    }

    /// The environment variable that sets it.
    pub fn env_name(&self) -> String {
        format!("TRUNKLINE_{}", self.path.replace('.', "__").to_uppercase())
    }

    /// The default as TOML writes it, `None` when the key is unset by default.
    pub fn default_text(&self) -> Option<String> {
        self.default.map(|default| self.kind.json(&Raw::Typed(default.to_owned())).to_string())
    }

    /// What may stand there, in words.
    pub fn allowed(&self) -> String {
        self.kind.allowed()
    }
}

const SEC: Duration = Duration::from_secs(1);
const MIN: Duration = Duration::from_mins(1);
const DAY: Duration = Duration::from_hours(24);
const MIB: usize = 1 << 20;

const fn key(path: &'static str, kind: Kind, default: Option<&'static str>, doc: &'static str) -> Key {
    Key { path, kind, default, example: "", doc }
}

const fn optional(path: &'static str, kind: Kind, example: &'static str, doc: &'static str) -> Key {
    Key { path, kind, default: None, example, doc }
}

/// Every key, in the order of the example file.
pub static KEYS: &[Key] = &[
    optional(
        "data_dir",
        Kind::Folder(|draft, value| draft.config.data_dir = value),
        "/var/lib/trunkline",
        "Where the database is; when not set $STATE_DIRECTORY, else $XDG_STATE_HOME/trunkline, else \
         ~/.local/state/trunkline.",
    ),
    key(
        "listen",
        Kind::Address(|draft, value| draft.config.listen = value),
        Some("127.0.0.1:8080"),
        "The public side, for channels and portals: behind a proxy that ends TLS unless [tls] is given.",
    ),
    key(
        "admin_listen",
        Kind::Address(|draft, value| draft.config.admin_listen = value),
        Some("127.0.0.1:8081"),
        "The admin page, its API and the metrics; never make this one public.",
    ),
    optional(
        "public_url",
        Kind::Url(|draft, value| draft.config.public_url = Some(value)),
        "https://im.example.com",
        "What webhook addresses and file links begin with.",
    ),
    key(
        "language",
        Kind::Word(&["en", "ru"], |draft, value| {
            draft.config.language = if value == "ru" { Language::Ru } else { Language::En };
        }),
        Some("en"),
        "Language of the sentences that operators read.",
    ),
    optional(
        "admin_token_file",
        Kind::File(|draft, value| draft.config.admin_token_file = Some(value)),
        "credential:admin-token",
        "File with the admin token; when not set, data_dir/admin-token, made at the first start.",
    ),
    optional(
        "tls.cert_file",
        Kind::File(|draft, value| draft.cert_file = Some(value)),
        "/etc/trunkline/cert.pem",
        "Certificate chain in PEM, the server's own first; a private CA will do, boxed portals do not verify.",
    ),
    optional(
        "tls.key_file",
        Kind::File(|draft, value| draft.key_file = Some(value)),
        "credential:tls-key",
        "Private key in PEM.",
    ),
    key(
        "http.workers",
        Kind::Count(1, 1024, |draft, value| draft.config.http.workers = value),
        Some("64"),
        "Requests handled at once, which is also how many share one commit.",
    ),
    key(
        "http.max_connections",
        Kind::Count(1, 100_000, |draft, value| draft.config.http.max_connections = value),
        Some("8192"),
        "Open connections of the public side; a further one is answered 503 and closed.",
    ),
    key(
        "http.max_body",
        Kind::Size(1024, 64 * MIB, |draft, value| draft.config.http.max_body = value),
        Some("1MiB"),
        "Longest request body; a longer one is answered 413.",
    ),
    key(
        "http.header_timeout",
        Kind::Duration(Duration::from_millis(100), 10 * 60, |draft, value| draft.config.http.header_timeout = value),
        Some("10s"),
        "Time for the request line and the headers.",
    ),
    key(
        "http.body_timeout",
        Kind::Duration(Duration::from_millis(100), 10 * 60, |draft, value| draft.config.http.body_timeout = value),
        Some("30s"),
        "Time for the whole body.",
    ),
    key(
        "http.idle_timeout",
        Kind::Duration(Duration::from_millis(100), 3_600, |draft, value| draft.config.http.idle_timeout = value),
        Some("75s"),
        "A connection without a request is closed after this; keep it above the proxy's own.",
    ),
    key(
        "http.commit_wait",
        Kind::Duration(Duration::from_millis(1), 60, |draft, value| draft.config.http.commit_wait = value),
        Some("8s"),
        "How long a request waits for a busy disk before it is answered 503; channels give up after 10 to 15 s.",
    ),
    key(
        "queue.packet_max_messages",
        Kind::Count(1, 1_000, |draft, value| draft.config.queue.packet_max_messages = value),
        Some("10"),
        "Messages of one packet to a portal.",
    ),
    key(
        "queue.packet_max_files",
        Kind::Count(1, 1_000, |draft, value| draft.config.queue.packet_max_files = value),
        Some("3"),
        "Files of one packet; a portal downloads them before it answers.",
    ),
    key(
        "queue.packet_max_bytes",
        Kind::Size(16 * 1024, 8 * MIB, |draft, value| draft.config.queue.packet_max_bytes = value),
        Some("1MiB"),
        "Bytes of one packet; PHP's own limit (post_max_size) is 8 MB unless it was changed.",
    ),
    key(
        "queue.confirm",
        Kind::Word(&["either", "status"], |draft, value| {
            draft.config.queue.confirm = if value == "status" { Confirm::Status } else { Confirm::Either };
        }),
        Some("either"),
        "What confirms a packet at a boxed portal: the reply or setStatusDelivered, whichever is first, or only the \
         latter.",
    ),
    key(
        "queue.confirm_timeout",
        Kind::Duration(Duration::from_millis(100), 3_600, |draft, value| draft.config.queue.confirm_timeout = value),
        Some("90s"),
        "Time for the confirmation of a packet; after it the attempt has failed.",
    ),
    key(
        "queue.delivery_workers",
        Kind::Count(1, 256, |draft, value| draft.config.queue.delivery_workers = value),
        Some("16"),
        "Packets in flight over all lines, at most one for each line. One without an answer for a second gives its place to a line that waits.",
    ),
    key(
        "queue.dedup_keep",
        Kind::Duration(MIN, 90 * DAY.as_secs(), |draft, value| draft.config.queue.dedup_keep = value),
        Some("7d"),
        "How long ids of events are kept to recognise a platform's repeats.",
    ),
    key(
        "retry.blocks",
        Kind::Durations(Duration::from_millis(1), 7 * DAY.as_secs(), |draft, value| {
            draft.config.retry.blocks = value;
        }),
        Some("42.1875s,42.1875s,84.375s,168.75s,337.5s,675s,1350s,2700s,5400s,3h,6h,12h"),
        "Pauses of a line after its 1st, 2nd, ... failed attempt, none shorter than the one before; when the last one \
         ends, what waits becomes dead letters (these twelve make 24 h).",
    ),
    key(
        "retry.poison_attempts",
        Kind::Count(1, 100, |draft, value| {
            draft.config.retry.poison_attempts = u32::try_from(value).unwrap_or(u32::MAX);
        }),
        Some("3"),
        "A single message that fails so often while others of its line pass becomes a dead letter.",
    ),
    key(
        "outbox.ttl",
        Kind::Duration(SEC, 30 * DAY.as_secs(), |draft, value| draft.config.outbox.ttl = value),
        Some("24h"),
        "How long an operator's message is tried at a channel that is down.",
    ),
    key(
        "outbox.channel_workers",
        Kind::Count(1, 256, |draft, value| draft.config.outbox.channel_workers = value),
        Some("16"),
        "Calls to channels in flight, at most one for each chat.",
    ),
    key(
        "dead_letters.keep",
        Kind::Duration(Duration::ZERO, 3_650 * DAY.as_secs(), |draft, value| draft.config.dead_letters.keep = value),
        Some("30d"),
        "How long dead letters are kept; \"0\" deletes at once.",
    ),
    key(
        "dead_letters.notify_portal",
        Kind::Switch(|draft, value| draft.config.dead_letters.notify_portal = value),
        Some("true"),
        "Tell the portal, in the chat, that a message could not be delivered.",
    ),
    key(
        "network.allow",
        Kind::Networks(|draft, value| draft.config.network.allow = value),
        Some(""),
        "Private ranges, such as \"192.168.0.0/16\", that addresses from messages may reach; portals in the table are \
         always allowed.",
    ),
    key(
        "network.ca_files",
        Kind::Files(|draft, value| draft.config.network.ca_files = value),
        Some(""),
        "Further root certificates in PEM, for portals whose certificate comes from a private CA.",
    ),
    key(
        "bot_framework.authentication",
        Kind::Word(&["required", "off"], |draft, value| {
            draft.config.bot_framework.authentication_required = value != "off";
        }),
        Some("required"),
        "Whether the tokens of Bot Framework webhooks are checked; \"off\" is taken on loopback listeners only.",
    ),
    optional(
        "bot_framework.openid_metadata_url",
        Kind::Endpoint(|draft, value| draft.config.bot_framework.openid_metadata_url = Some(value)),
        "https://login.botframework.com/v1/.well-known/openidconfiguration",
        "Where the public keys of webhook tokens are named, when not at Microsoft's address; plain http on loopback \
         only.",
    ),
    optional(
        "bot_framework.token_url",
        Kind::Endpoint(|draft, value| draft.config.bot_framework.token_url = Some(value)),
        "https://login.microsoftonline.com/{tenant}/oauth2/v2.0/token",
        "Where the server gets its own tokens, when not at Microsoft's address; may hold {tenant}; plain http on \
         loopback only.",
    ),
    key(
        "bot_framework.channel_service",
        Kind::Word(&["public", "gov"], |draft, value| draft.config.bot_framework.gov = value == "gov"),
        Some("public"),
        "Which Microsoft cloud the bot is registered in.",
    ),
];
