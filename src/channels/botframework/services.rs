//! The services behind the one protocol: their ids at portals, what they can do, how long a text they take
//! (`botframework.md` §4.4, §5.1).

use std::time::Duration;

use crate::channels::{Pace, Scope, Virtual};

const fn row(id: &'static str, title: &'static str, text_max_units: usize) -> Virtual {
    Virtual { id, title, edit: false, delete: false, group: false, text_max_units, pace: &[] }
}

const fn pace(scope: Scope, calls: u32, secs: u64) -> Pace {
    Pace { scope, calls, per: Duration::from_secs(secs) }
}

/// What Teams allows a bot in a conversation, and an app in a tenant (`botframework.md` §4.2).
const TEAMS_PACE: &[Pace] = &[
    pace(Scope::Chat, 7, 1),
    pace(Scope::Chat, 8, 2),
    pace(Scope::Chat, 60, 30),
    pace(Scope::Chat, 1_800, 3_600),
    pace(Scope::Bot, 30, 1),
];

pub(super) const ROWS: &[Virtual] = &[
    Virtual {
        edit: true,
        delete: true,
        group: true,
        pace: TEAMS_PACE,
        ..row("botframework.msteams", "Microsoft Teams", 28_000)
    },
    Virtual { edit: true, group: true, ..row("botframework.skype", "Skype", 10_000) },
    Virtual { edit: true, delete: true, group: true, ..row("botframework.slack", "Slack", 4_000) },
    row("botframework.webchat", "Web Chat", 28_000),
    row("botframework.directline", "Direct Line", 28_000),
    row("botframework.emailoffice365", "E-mail (Office 365)", 60_000),
    row("botframework.twilio", "SMS (Twilio)", 1_600),
    Virtual { edit: true, group: true, ..row("botframework.telegram", "Telegram", 4_096) },
    row("botframework.facebookmessenger", "Facebook Messenger", 2_000),
    Virtual { group: true, ..row("botframework.groupme", "GroupMe", 1_000) },
    row("botframework.kik", "Kik", 1_000),
];

/// The portal's id of a channel; `None` for channels it has no id for.
pub(super) fn virtual_id(channel: &str) -> Option<&'static str> {
    Some(match channel {
        "msteams" => "botframework.msteams",
        "webchat" => "botframework.webchat",
        "directline" | "directlinespeech" => "botframework.directline",
        "email" => "botframework.emailoffice365",
        "sms" | "twilio-sms" => "botframework.twilio",
        "telegram" => "botframework.telegram",
        "facebook" => "botframework.facebookmessenger",
        "slack" => "botframework.slack",
        "groupme" => "botframework.groupme",
        "skype" | "skypeforbusiness" => "botframework.skype",
        "kik" => "botframework.kik",
        _ => return None,
    })
}

/// Longest text of one message, in UTF-16 units: by the service itself, because several share a portal's id.
pub(super) fn text_max_units(channel: &str) -> usize {
    if channel == "line" {
        return 5_000;
    }
    let row = virtual_id(channel).and_then(|id| ROWS.iter().find(|row| row.id == id));
    row.map_or(UNKNOWN_MAX_UNITS, |row| row.text_max_units)
}

/// For services nobody has measured.
const UNKNOWN_MAX_UNITS: usize = 4_000;

/// Setting → virtual channel of the chat addresses.
pub(super) const LINKS: &[(&str, &str)] = &[
    ("url_skypebot", "botframework.skype"),
    ("url_slack", "botframework.slack"),
    ("url_kik", "botframework.kik"),
    ("url_groupme", "botframework.groupme"),
    ("url_twilio", "botframework.twilio"),
    ("url_msteams", "botframework.msteams"),
    ("url_webchat", "botframework.webchat"),
    ("url_email", "botframework.emailoffice365"),
    ("url_telegram", "botframework.telegram"),
    ("url_facebook", "botframework.facebookmessenger"),
];
