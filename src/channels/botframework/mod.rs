//! Microsoft Bot Framework (Azure Bot Service): Teams, Slack, Web Chat and others through one protocol.
//! Facts and their sources stand in the project's notes on it; odd here: one real channel carries many virtual ones,
//! the address for answers comes with every message and may be used only because a signed token named it too.

mod activity;
mod attachments;
mod auth;
mod cards;
mod keys;
mod places;
mod receive;
mod send;
mod services;
#[cfg(test)]
mod tests;
mod token;
mod wording;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC};
use url::Url;

use self::activity::{Activity, ChatData};
use self::auth::Gate;
use self::keys::Keys;
use self::services::{LINKS, ROWS};
use self::token::Tokens;
use super::{
    ConnectInfo, Connector, Field, HookAnswer, Rejected, SendError, Step, TestError, Tools, Verified, Virtual, Webhook,
};
use crate::message::{Outgoing, Progress, Received, User};
use crate::records::Settings;
use crate::secret::Secret;

/// Everything but RFC 3986's unreserved characters: conversation ids hold `/`, `;`, `|` and spaces.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Whether callers must prove themselves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Authentication {
    /// Every webhook carries a channel token.
    #[default]
    Required,
    /// Anonymous callers with a loopback `serviceUrl`, no token on the way out: local test channels only.
    Off,
}

/// Configuration of this connector.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Whether callers must prove themselves.
    pub authentication: Authentication,
    /// Instead of the cloud's own metadata address.
    pub openid_metadata_url: Option<String>,
    /// Instead of the cloud's own token address; may hold `{tenant}`.
    pub token_url: Option<String>,
    /// The US government cloud.
    pub gov: bool,
}

/// The connector.
#[derive(Debug)]
pub struct BotFramework {
    tools: Tools,
    options: Options,
    gate: Gate,
    tokens: Tokens,
}

impl BotFramework {
    /// A connector with empty caches.
    pub fn new(tools: &Tools, options: &Options) -> Self {
        let (issuer, metadata, token, scope, tenant) = if options.gov {
            (
                "https://api.botframework.us",
                "https://login.botframework.azure.us/v1/.well-known/openidconfiguration",
                "https://login.microsoftonline.us/{tenant}/oauth2/v2.0/token",
                "https://api.botframework.us/.default",
                "MicrosoftServices.onmicrosoft.us",
            )
        } else {
            (
                "https://api.botframework.com",
                "https://login.botframework.com/v1/.well-known/openidconfiguration",
                "https://login.microsoftonline.com/{tenant}/oauth2/v2.0/token",
                "https://api.botframework.com/.default",
                "botframework.com",
            )
        };
        let metadata = options.openid_metadata_url.clone().unwrap_or_else(|| metadata.to_owned());
        let metadata = metadata.replace("{tenant}", tenant);
        let token = options.token_url.clone().unwrap_or_else(|| token.to_owned());
        Self {
            tools: tools.clone(),
            options: options.clone(),
            gate: Gate::new(issuer, Keys::new(metadata)),
            tokens: Tokens::new(token, scope, tenant),
        }
    }
}

/// Https, or plain http to this machine for tests.
fn is_safe(url: &str) -> bool {
    Url::parse(url).is_ok_and(|url| url.scheme() == "https" || (url.scheme() == "http" && is_loopback(&url)))
}

/// The host is this machine.
fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

const fn setting(key: &'static str, label: &'static str) -> Field {
    Field { key, label, secret: false, required: false, visible: true }
}

const NO_ACTIVITY: Rejected = Rejected::Malformed("the body is not an activity");

const FIELDS: &[Field] = &[
    Field { required: true, ..setting("bot_handle", "Bot handle") },
    Field { required: true, ..setting("app_id", "App id") },
    Field { required: true, secret: true, visible: false, ..setting("app_secret", "App secret") },
    Field { visible: false, ..setting("app_tenant", "Tenant id of a single-tenant bot") },
    setting("url_skypebot", "Skype address"),
    setting("url_slack", "Slack address"),
    setting("url_kik", "Kik address"),
    setting("url_groupme", "GroupMe address"),
    setting("url_twilio", "SMS address"),
    setting("url_msteams", "Teams address"),
    setting("url_webchat", "Web Chat address"),
    setting("url_email", "E-mail address"),
    setting("url_telegram", "Telegram address"),
    setting("url_facebook", "Facebook address"),
];

impl Connector for BotFramework {
    fn name(&self) -> &'static str {
        "botframework"
    }

    fn title(&self) -> &'static str {
        "Microsoft Bot Framework"
    }

    fn fields(&self) -> &'static [Field] {
        FIELDS
    }

    fn virtuals(&self) -> &'static [Virtual] {
        ROWS
    }

    fn entity(&self, settings: &Settings) -> Option<String> {
        token::app_id(settings)
    }

    fn check(&self, settings: &Settings) -> Result<(), TestError> {
        for field in FIELDS.iter().filter(|field| field.required) {
            if settings.get(field.key).is_none_or(|value| value.trim().is_empty()) {
                return Err(TestError { code: "SETTING_MISSING", message: format!("`{}` is missing", field.key) });
            }
        }
        if !token::app_id(settings).is_some_and(|id| is_guid(&id)) {
            let message = String::from("`app_id` is not an id like 11111111-2222-3333-4444-555555555555");
            return Err(TestError { code: "APP_ID_BAD", message });
        }
        Ok(())
    }

    fn verify(&self, hook: &Webhook<'_>, settings: &Settings) -> Result<Verified, Rejected> {
        let activity = match self.options.authentication {
            Authentication::Required => {
                let app_id = token::app_id(settings).unwrap_or_default();
                self.gate.check(&self.tools, hook.header("authorization"), &app_id, hook.body)?
            }
            Authentication::Off => {
                let activity = Activity::parse(hook.body).ok_or(NO_ACTIVITY)?;
                if !Url::parse(&activity.service_url).is_ok_and(|url| is_loopback(&url)) {
                    return Err(Rejected::Forbidden("without authentication only local channels may call"));
                }
                activity
            }
        };
        Ok(Verified(Box::new(activity)))
    }

    fn receive(&self, hook: &Verified, settings: &Settings) -> Result<Received, Rejected> {
        let _ = settings;
        let activity = hook.read::<Activity>().ok_or(NO_ACTIVITY)?;
        receive::receive(activity, self.tools.net.as_ref(), self.tools.clock.now())
    }

    fn answer(&self, hook: &Verified) -> HookAnswer {
        let Some(activity) = hook.read::<Activity>() else {
            return HookAnswer { status: 200, body: vec![] };
        };
        match (activity.kind.as_str(), activity.delivery_mode.as_str()) {
            ("invoke", _) if activity.name == "fileConsent/invoke" => HookAnswer { status: 200, body: vec![] },
            ("invoke", _) => HookAnswer { status: 501, body: vec![] },
            (_, "expectReplies") => HookAnswer { status: 200, body: br#"{"activities":[]}"#.to_vec() },
            _ => HookAnswer { status: 200, body: vec![] },
        }
    }

    fn send(
        &self,
        settings: &Settings,
        chat: Option<&str>,
        message: &Outgoing,
        resolve: &dyn Fn(&str) -> Option<String>,
        progress: &mut Progress,
    ) -> Result<Step, SendError> {
        let authentication = self.options.authentication;
        let way = send::Way { tools: &self.tools, tokens: &self.tokens, settings, authentication };
        way.send(chat, message, resolve, progress)
    }

    fn file_headers(&self, settings: &Settings, url: &str) -> Result<Vec<(String, Secret)>, String> {
        if self.options.authentication == Authentication::Off || !attachments::takes_token(url) {
            return Err(String::from("the bot's token must not go to that address"));
        }
        let token = self.tokens.get(&self.tools, settings).map_err(|why| why.error.message)?;
        Ok(vec![(String::from("Authorization"), Secret::new(format!("Bearer {}", token.reveal())))])
    }

    fn customer(&self, chat: &str) -> Option<User> {
        let chat: ChatData = serde_json::from_str(chat).ok()?;
        let is_known = !chat.conversation.is_group() && !chat.user.id.is_empty();
        is_known.then(|| receive::user_of(&chat.channel, &chat.user))
    }

    fn test(&self, settings: &Settings) -> Result<(), TestError> {
        self.check(settings)?;
        match self.options.authentication {
            Authentication::Required => {
                self.tokens.try_fetch(&self.tools, settings).map_err(|why| why.error)?;
                self.gate.ready(&self.tools)
            }
            Authentication::Off => Ok(()),
        }
    }

    fn info(&self, settings: &Settings) -> ConnectInfo {
        let id = token::app_id(settings).unwrap_or_default();
        let handle = settings.get("bot_handle").unwrap_or_default();
        let name = handle.split_once('@').map_or(handle, |(name, _)| name).to_owned();
        let link = |(key, channel): &(&str, &str)| {
            let derived = match *channel {
                "botframework.msteams" => Some(format!("https://teams.microsoft.com/l/chat/0/0?users=28:{id}")),
                "botframework.skype" => Some(format!("https://join.skype.com/bot/{id}")),
                _ => None,
            };
            // The portal's page prints it unescaped.
            let typed = settings.get(key).and_then(crate::text::safe_link);
            let url = typed.or(derived.filter(|_| is_guid(&id)))?;
            Some(((*channel).to_owned(), url))
        };
        let links = LINKS.iter().filter_map(link).collect();
        let segment = percent_encoding::utf8_percent_encode(&name, SEGMENT);
        let url = format!("https://dev.botframework.com/bots?id={segment}");
        ConnectInfo { id, name, url, links }
    }
}

/// 8-4-4-4-12 hex digits.
fn is_guid(id: &str) -> bool {
    let lengths = id.split('-').map(str::len);
    lengths.eq([8, 4, 4, 4, 12]) && id.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit())
}
