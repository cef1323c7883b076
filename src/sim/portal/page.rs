//! The operator's desk in the browser and the control addresses of the portal's twin.

use serde_json::{Value as Json, json};

use super::desk::{Entry, State};
use super::{ActError, PortalTwin};
use crate::desk::CallError;
use crate::sim::NEWS_WAIT;
use crate::sim::host::{Ask, Tell};

impl PortalTwin {
    /// Answers what belongs to the page and to control; nothing for addresses of the protocol.
    pub(super) fn page(&self, ask: &Ask) -> Option<Tell> {
        Some(match (ask.method.as_str(), ask.path.as_str()) {
            ("GET", "/") => Tell::page("text/html; charset=utf-8", include_bytes!("../pages/operator.html")),
            ("GET", "/operator.js") => {
                Tell::page("text/javascript; charset=utf-8", include_bytes!("../pages/operator.js"))
            }
            ("GET", "/common.js") => Tell::page("text/javascript; charset=utf-8", include_bytes!("../pages/common.js")),
            ("GET", "/style.css") => Tell::page("text/css; charset=utf-8", include_bytes!("../pages/style.css")),
            ("GET", "/sim/state") => {
                let after = ask.query("after").and_then(|text| text.parse().ok()).unwrap_or(0);
                self.0.state.news(after, NEWS_WAIT, |version, state| Tell::json(200, &self.shown(version, state)))
            }
            ("GET", "/sim/messages") => Tell::json(200, &self.0.state.read(messages)),
            ("POST", path) => return self.control(path, &ask.json()),
            _ => return None,
        })
    }

    fn control(&self, path: &str, body: &Json) -> Option<Tell> {
        let text = |name: &str| body.get(name).and_then(Json::as_str).unwrap_or_default();
        let number = |name: &str| body.get(name).and_then(Json::as_i64).unwrap_or(0);
        Some(match path {
            "/sim/say" => {
                let file = Some((text("file_name").to_owned(), text("file").to_owned()));
                let file = file.filter(|(_, link)| !link.is_empty());
                done(self.say(number("talk"), text("text"), file))
            }
            "/sim/edit" => done(self.edit(number("id"), text("text"))),
            "/sim/delete" => done(self.delete(number("id"))),
            "/sim/connect" => {
                let line = Some(text("line")).filter(|line| !line.is_empty()).unwrap_or("1");
                match self.connect_bot(line, text("bot_handle"), text("app_id"), text("app_secret")) {
                    Ok(webhook) => Tell::json(200, &json!({"webhook_url": webhook})),
                    Err(error) => failed(&error.into()),
                }
            }
            "/sim/faults" => {
                let faults = self.0.state.change(|state| {
                    state.faults.update(body);
                    state.faults.shown()
                });
                Tell::json(200, &faults)
            }
            _ => return None,
        })
    }

    fn shown(&self, version: u64, state: &State) -> Json {
        let talks = state.talks.iter().map(|talk| {
            json!({"id": talk.id, "connector": talk.connector, "line": talk.line, "name": talk.name,
                "entries": talk.entries.iter().map(entry).collect::<Vec<_>>()})
        });
        json!({"version": version, "module": self.0.version, "deactivated": state.deactivated,
            "faults": state.faults.shown(), "talks": talks.collect::<Vec<_>>()})
    }
}

fn entry(entry: &Entry) -> Json {
    let files: Vec<_> = entry.files.iter().map(|(name, url)| json!({"name": name, "url": url})).collect();
    json!({"id": entry.id, "at": entry.at.0, "operator": entry.by_operator, "text": entry.text, "files": files,
        "mark": entry.mark.word(), "external": entry.external, "edited": entry.edited, "deleted": entry.deleted})
}

/// Every message of every conversation, flat, for scripts.
fn messages(state: &State) -> Json {
    let all = state.talks.iter().flat_map(|talk| {
        talk.entries.iter().map(move |one| {
            let mut shown = entry(one);
            if let Some(map) = shown.as_object_mut() {
                map.insert("talk".to_owned(), json!(talk.id));
                map.insert("connector".to_owned(), json!(talk.connector));
                map.insert("line".to_owned(), json!(talk.line));
                map.insert("chat".to_owned(), json!(talk.chat));
                map.insert("user".to_owned(), json!(talk.user));
                map.insert("name".to_owned(), json!(talk.name));
            }
            shown
        })
    });
    Json::Array(all.collect())
}

fn done(result: Result<i64, ActError>) -> Tell {
    match result {
        Ok(id) => Tell::json(200, &json!({"id": id})),
        Err(error) => failed(&error),
    }
}

fn failed(error: &ActError) -> Tell {
    let status = match error {
        ActError::NotThere(_) => 404,
        ActError::Call(CallError::Refused(_)) => 409,
        ActError::Call(CallError::Unreachable(_) | CallError::NotJson) => 502,
    };
    Tell::json(status, &json!({"error": error.to_string()}))
}
