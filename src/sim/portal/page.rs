//! Control addresses of the portal's twin, for scripts.

use serde_json::{Value as Json, json};

use super::PortalTwin;
use crate::desk::office::{Author, Entry, Mark, OfficeError, Talk};
use crate::desk::web::status_of;
use crate::sim::host::{Ask, Tell};

impl PortalTwin {
    /// Answers what belongs to control; nothing for other addresses.
    pub(super) fn control(&self, ask: &Ask) -> Option<Tell> {
        if (ask.method.as_str(), ask.path.as_str()) == ("GET", "/sim/messages") {
            return Some(Tell::json(200, &messages(&self.talks())));
        }
        if ask.method != "POST" {
            return None;
        }
        let body = ask.json();
        let text = |name: &str| body.get(name).and_then(Json::as_str).unwrap_or_default();
        let number = |name: &str| body.get(name).and_then(Json::as_i64).unwrap_or(0);
        Some(match ask.path.as_str() {
            "/sim/say" => {
                let file = Some((text("file_name").to_owned(), text("file").to_owned()));
                let file = file.filter(|(_, link)| !link.is_empty());
                done(self.say(number("talk"), text("text"), file))
            }
            "/sim/edit" => done(self.edit(number("id"), text("text")).map(|()| number("id"))),
            "/sim/delete" => done(self.delete(number("id")).map(|()| number("id"))),
            "/sim/connect" => {
                let line = Some(text("line")).filter(|line| !line.is_empty()).unwrap_or("1");
                match self.connect_bot(line, text("bot_handle"), text("app_id"), text("app_secret")) {
                    Ok(webhook) => Tell::json(200, &json!({"webhook_url": webhook})),
                    Err(error) => failed(&error),
                }
            }
            "/sim/faults" => {
                let faults = self.0.faults.change(|faults| {
                    faults.update(&body);
                    faults.shown()
                });
                Tell::json(200, &faults)
            }
            _ => return None,
        })
    }
}

/// Every message of every conversation, flat.
fn messages(talks: &[Talk]) -> Json {
    let all = talks.iter().flat_map(|talk| talk.entries.iter().map(move |entry| shown(talk, entry)));
    Json::Array(all.collect())
}

fn shown(talk: &Talk, entry: &Entry) -> Json {
    let files = entry.files.iter();
    let files: Vec<_> = files
        .map(|file| json!({"id": file.id, "name": file.name, "url": file.url, "state": file.state.word()}))
        .collect();
    // Nothing is left to be done for a customer's.
    let mark = entry.mark.unwrap_or(Mark::Delivered);
    json!({"id": entry.id, "at": entry.at.0, "operator": entry.author != Author::Customer, "text": entry.text,
        "files": files, "mark": mark.word(), "external": entry.external, "edited": entry.edited,
        "deleted": entry.deleted, "talk": talk.id, "connector": talk.connector, "line": talk.line, "chat": talk.chat,
        "user": talk.user, "name": talk.name, "state": talk.state.word()})
}

fn done(result: Result<i64, OfficeError>) -> Tell {
    match result {
        Ok(id) => Tell::json(200, &json!({"id": id})),
        Err(error) => failed(&error),
    }
}

fn failed(error: &OfficeError) -> Tell {
    Tell::json(status_of(error), &json!({"error": error.to_string()}))
}
