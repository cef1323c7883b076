//! What the page is shown, as JSON.

use serde_json::{Value as Json, json};

use super::{Page, Request};
use crate::clock::UnixMillis;
use crate::desk::office::{Author, Channel, Entry, FileState, Line, OfficeError, Operator, Summary};

/// Conversations in the list.
const TALKS_MAX: u32 = 200;
/// Messages of a conversation at once.
const MESSAGES_MAX: u32 = 100;
/// Types that a browser may show: no page and no drawing that could hold a script.
pub(super) const PICTURES: [&str; 4] = ["image/png", "image/jpeg", "image/gif", "image/webp"];

impl Page {
    pub(super) fn news(&self, version: u64, me: &Operator, talk: Option<i64>) -> Result<Json, OfficeError> {
        let office = &self.office;
        let identity = office.client().identity();
        let operators = office.operators()?;
        let now = operators.iter().find(|operator| operator.id == me.id).unwrap_or(me);
        let talks = office.summaries(me.id, TALKS_MAX)?;
        let talk = match talk {
            Some(id) if talks.iter().any(|talk| talk.id == id) => {
                let (entries, older) = office.entries(id, i64::MAX, MESSAGES_MAX)?;
                json!({"id": id, "messages": entries.iter().map(entry).collect::<Vec<_>>(), "older": older})
            }
            _ => Json::Null,
        };
        let lines = office.lines()?;
        let attention = lines.iter().filter_map(|line| {
            let since = line.attention_since?;
            Some(json!({"line": line.line, "connector": "botframework", "since": since.0}))
        });
        let people =
            operators.iter().map(|one| json!({"id": one.id, "name": one.name, "here": one.here, "load": one.load}));
        let shown_lines =
            lines.iter().map(|line| json!({"line": line.line, "connected": line.bot.is_some(), "name": line.bot}));
        Ok(json!({"version": version, "me": self::me(now), "module": identity.version, "domain": identity.domain,
            "operators": people.collect::<Vec<_>>(), "talks": talks.iter().map(summary).collect::<Vec<_>>(),
            "talk": talk, "attention": attention.collect::<Vec<_>>(), "lines": shown_lines.collect::<Vec<_>>()}))
    }

    pub(super) fn older(&self, request: &Request) -> Result<Json, OfficeError> {
        let (talk, before) = (request.number("talk").unwrap_or(0), request.number("before").unwrap_or(0));
        let (entries, older) = self.office.entries(talk, before, MESSAGES_MAX)?;
        Ok(json!({"messages": entries.iter().map(entry).collect::<Vec<_>>(), "older": older}))
    }
}

/// The operator who asks.
pub(super) fn me(operator: &Operator) -> Json {
    json!({"id": operator.id, "name": operator.name, "here": operator.here})
}

fn summary(talk: &Summary) -> Json {
    let waits = talk.state.word() == "waiting";
    let offered = waits.then(|| {
        let turn = talk.turn;
        json!({"to": turn.map(|(to, _)| to), "until": turn.map(|(_, UnixMillis(until))| until)})
    });
    let last = talk.last.as_ref().map(|last| {
        json!({"at": last.at.0, "author": last.author.word(), "who": last.who, "text": last.text,
            "deleted": last.deleted, "file": last.files.first().map(|file| &file.name)})
    });
    json!({"id": talk.id, "connector": talk.connector, "line": talk.line, "name": talk.name, "group": talk.group,
        "state": talk.state.word(), "operator": talk.operator, "offered": offered, "since": talk.since.0,
        "unread": talk.unread, "rating": talk.rating, "last": last,
        "can": {"edit": talk.abilities.edit, "delete": talk.abilities.delete, "write": !talk.blocked}})
}

fn entry(entry: &Entry) -> Json {
    let files = entry.files.iter().map(|file| {
        let picture =
            file.state == FileState::Here && file.mime.as_deref().is_some_and(|mime| PICTURES.contains(&mime));
        json!({"id": file.id, "name": file.name, "url": file.url, "state": file.state.word(), "size": file.size,
            "image": picture})
    });
    let who = if entry.author == Author::System { "Desk" } else { entry.who.as_str() };
    json!({"id": entry.id, "at": entry.at.0, "author": entry.author.word(), "who": who, "text": entry.text,
        "files": files.collect::<Vec<_>>(), "mark": entry.mark.map(super::super::office::Mark::word), "why": entry.why,
        "edited": entry.edited, "deleted": entry.deleted})
}

/// The settings page of a channel.
pub(super) fn channel(channel: &Channel) -> Json {
    json!({"line": channel.line.line, "connected": channel.line.bot.is_some(),
        "attention": channel.line.attention_since.is_some(), "webhook": channel.webhook,
        "settings": channel.settings, "links": channel.links})
}

/// How a line works.
pub(super) fn line_settings(line: &Line) -> Json {
    let mut shown = line.settings.to_json();
    if let Some(map) = shown.as_object_mut() {
        map.insert("line".to_owned(), json!(line.line));
    }
    shown
}
