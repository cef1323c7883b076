//! What is attached to an activity (`botframework.md` §5.4, §5.5): files become links, everything else text, and
//! nothing is dropped.

use serde_json::Value;
use url::Url;

use super::activity::{Activity, Attached, at};
use super::{cards, places, wording};
use crate::message::FileLink;
use crate::net::Net;
use crate::text;

/// All attachments of one activity, by what becomes of them.
#[derive(Debug, Default)]
pub(super) struct Sorted {
    /// Links that the portal downloads.
    pub(super) files: Vec<FileLink>,
    /// Quote blocks; they stand before the text.
    pub(super) quotes: String,
    /// Lines that stand behind the text.
    pub(super) lines: Vec<String>,
    /// The message once more as HTML, for one that has no text.
    pub(super) html: String,
}

/// Sorts what is attached.
pub(super) fn sort(activity: &Activity, net: &dyn Net) -> Sorted {
    let mut sorted = Sorted::default();
    for attached in &activity.attachments {
        if attached.content_type == "messageReference" {
            sorted.quotes.push_str(&quote(activity, attached));
        } else if attached.content_type == "text/html" && attached.content_url.is_empty() {
            sorted.html = html(attached);
        } else if places::is_place(attached) {
            // The portal shows it on a map.
        } else if let Some(file) = file(activity, attached).filter(|file| net.may_pass_on(&file.url)) {
            sorted.files.push(file);
        } else {
            sorted.lines.push(described(activity, attached));
        }
    }
    sorted
}

fn html(attached: &Attached) -> String {
    let written = attached.content.as_str().unwrap_or_default().replace("&nbsp;", " ");
    wording::html(&written)
}

/// What the message answers, as the portal shows quotes.
fn quote(activity: &Activity, attached: &Attached) -> String {
    let content = unfolded(&attached.content);
    let preview = at(&content, "/messagePreview");
    let names = ["/messageSender/user/displayName", "/messageSender/application/displayName"];
    let name = names.iter().map(|name| at(&content, name)).find(|name| !name.is_empty()).unwrap_or_default();
    if preview.trim().is_empty() {
        return String::new();
    }
    // Teams' message ids are the time in milliseconds.
    let date = at(&content, "/messageId").parse::<i64>().ok().and_then(|millis| text::date_time(millis / 1000));
    text::quote(&name, &date.unwrap_or_default(), &wording::incoming(activity, &preview))
}

/// Content that came as JSON text is JSON all the same.
fn unfolded(content: &Value) -> Value {
    let parsed = content.as_str().and_then(|text| serde_json::from_str::<Value>(text).ok());
    parsed.filter(|parsed| parsed.is_object() || parsed.is_array()).unwrap_or_else(|| content.clone())
}

/// Hosts whose files the bot's token opens: Teams' of each cloud …
const TOKEN_HOSTS: &[&str] = &[
    "smba.infra.dod.teams.microsoft.us",
    "smba.infra.gcc.teams.microsoft.com",
    "smba.infra.gov.teams.microsoft.us",
    "smba.trafficmanager.net",
];
/// … and whatever lies below these.
const TOKEN_DOMAINS: &[&str] = &[".botframework.azure.us", ".botframework.com", ".skype.com"];

/// Services whose links anyone can open, whatever their host.
const OPEN_SERVICES: &[&str] = &[
    "directline",
    "directlinespeech",
    "email",
    "facebook",
    "groupme",
    "kik",
    "line",
    "sms",
    "telegram",
    "twilio-sms",
    "webchat",
];

/// Whether the bot's token may go to that address at all, and opens it.
pub(super) fn takes_token(address: &str) -> bool {
    let Ok(url) = Url::parse(address) else { return false };
    let plain = url.scheme() == "https" && url.port().is_none() && url.username().is_empty();
    let host = url.domain().filter(|_| plain).unwrap_or_default();
    TOKEN_HOSTS.contains(&host) || TOKEN_DOMAINS.iter().any(|domain| host.ends_with(domain))
}

/// A file the portal can be given as a link.
fn file(activity: &Activity, attached: &Attached) -> Option<FileLink> {
    let teams = attached.content_type == "application/vnd.microsoft.teams.file.download.info";
    let content = if teams { unfolded(&attached.content) } else { Value::Null };
    let address = if teams { at(&content, "/downloadUrl") } else { attached.content_url.clone() };
    let url = Url::parse(&address).ok().filter(|url| matches!(url.scheme(), "https" | "http"))?;
    let host = url.host_str()?;
    // Only Slack's own token opens these.
    if host == "slack.com" || host.ends_with(".slack.com") {
        return None;
    }
    let kind = Some(attached.content_type.as_str()).filter(|kind| !teams && !kind.is_empty());
    let extension = Some(at(&content, "/fileType")).filter(|end| !end.is_empty() && !attached.name.contains('.'));
    let name = match extension {
        Some(end) => text::file_name(Some(&format!("{}.{end}", attached.name)), None),
        None => text::file_name(Some(&attached.name), kind),
    };
    let mime = kind.filter(|kind| kind.contains('/') && !kind.ends_with("/*")).map(str::to_owned);
    let protected = !teams && !OPEN_SERVICES.contains(&activity.channel_id.as_str()) && takes_token(&address);
    Some(FileLink { url: address, name, mime, protected })
}

/// What stands for an attachment that is no file.
fn described(activity: &Activity, attached: &Attached) -> String {
    let mut lines = cards::lines(&unfolded(&attached.content));
    let url = attached.content_url.as_str();
    if let Some(data) = url.strip_prefix("data:") {
        lines.push(inlined(attached, data));
    } else {
        lines.push(attached.name.clone());
        lines.push(permalink(activity, url).unwrap_or_else(|| url.to_owned()));
    }
    lines.retain(|line| !line.trim().is_empty());
    if lines.is_empty() {
        let kind = Some(attached.content_type.as_str()).filter(|kind| !kind.is_empty());
        lines.push(format!("({})", kind.unwrap_or("attachment")));
    }
    wording::incoming(activity, &lines.join("\n"))
}

/// A file inside the message has no address that a portal could be given.
fn inlined(attached: &Attached, data: &str) -> String {
    let (kind, payload) = data.split_once(',').unwrap_or((data, ""));
    let bytes = if kind.ends_with(";base64") {
        payload.trim_end_matches('=').len() * 3 / 4
    } else {
        percent_encoding::percent_decode_str(payload).count()
    };
    let name = text::file_name(Some(&attached.name), Some(&attached.content_type)).unwrap_or_else(|| "file".to_owned());
    format!("{name} ({bytes} bytes inside the message, which can't be passed on)")
}

/// The page of a Slack file, which whoever is signed in there can open.
fn permalink(activity: &Activity, url: &str) -> Option<String> {
    let lists = ["/SlackMessage/event/files", "/SlackMessage/files"];
    let files = lists.iter().filter_map(|list| activity.channel_data.pointer(list)?.as_array()).flatten();
    let found = files.filter(|file| at(file, "/url_private") == url).map(|file| at(file, "/permalink"));
    found.into_iter().find(|link| !link.is_empty())
}
