//! The customer's chat in the browser and the control addresses of the Bot Framework's twin.

use serde_json::{Value, json};

use super::{BotFrameworkTwin, CHANNELS, Heard, Proof, Refused, Said, State};
use crate::sim::NEWS_WAIT;
use crate::sim::host::{Ask, Tell};

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const SHEET: &str = "text/css; charset=utf-8";

/// The page and its parts; most of them are the operator's desk's too.
const ASSETS: &[(&str, &str, &[u8])] = &[
    ("/", HTML, include_bytes!("../pages/customer.html")),
    ("/customer.css", SHEET, include_bytes!("../pages/customer.css")),
    ("/customer.js", SCRIPT, include_bytes!("../pages/customer.js")),
    ("/base.css", SHEET, include_bytes!("../../desk/page/base.css")),
    ("/common.js", SCRIPT, include_bytes!("../../desk/page/common.js")),
    ("/emoji.js", SCRIPT, include_bytes!("../../desk/page/emoji.js")),
    ("/emoji_table.js", SCRIPT, include_bytes!("../../desk/page/emoji_table.js")),
    ("/glyphs.js", SCRIPT, include_bytes!("../../desk/page/glyphs.js")),
    ("/writer.js", SCRIPT, include_bytes!("../../desk/page/writer.js")),
];

fn asset(path: &str) -> Option<Tell> {
    ASSETS.iter().find(|(name, ..)| *name == path).map(|(_, kind, body)| Tell::page(kind, body))
}

impl BotFrameworkTwin {
    /// Answers what belongs to the page and to control; nothing for addresses of the protocol.
    pub(super) fn page(&self, ask: &Ask) -> Option<Tell> {
        Some(match (ask.method.as_str(), ask.path.as_str()) {
            ("GET", "/sim/state") => {
                let after = ask.query("after").and_then(|text| text.parse().ok()).unwrap_or(0);
                self.0.state.news(after, NEWS_WAIT, |version, state| Tell::json(200, &shown(version, state)))
            }
            ("GET", "/sim/messages") => Tell::json(200, &self.0.state.read(messages)),
            ("GET", "/sim/received") => {
                Tell::json(200, &self.0.state.read(|state| state.heard.iter().map(received).collect()))
            }
            ("GET", path) => return asset(path),
            ("POST", path) => return self.control(path, &ask.json()),
            _ => return None,
        })
    }

    fn control(&self, path: &str, body: &Value) -> Option<Tell> {
        let text = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default();
        Some(match path {
            "/sim/say" => {
                let file = Some((text("file_name").to_owned(), text("file").to_owned()));
                let file = file.filter(|(_, link)| !link.is_empty());
                done(self.say(text("channel"), text("name"), text("text"), file))
            }
            "/sim/edit" => done(self.edit(text("conversation"), text("id"), text("text"))),
            "/sim/delete" => done(self.delete(text("conversation"), text("id"))),
            "/sim/activity" => match (Proof::named(text("token")), body.get("activity")) {
                (None, _) if body.get("token").is_some() => wrong("no such kind of token"),
                (_, None) => wrong("`activity` is missing"),
                (proof, Some(activity)) => match self.post_activity(activity, proof.unwrap_or_default()) {
                    Ok((status, answer)) => Tell::json(200, &json!({"status": status, "body": answer})),
                    Err(refused) => failed(&refused),
                },
            },
            "/sim/webhook" => {
                self.set_webhook(text("url"));
                Tell::json(200, &json!({"webhook_url": text("url")}))
            }
            "/sim/rotate" => match self.rotate_keys() {
                Ok(()) => Tell::json(200, &json!({"rotated": true})),
                Err(error) => Tell::json(500, &json!({"error": error.to_string()})),
            },
            "/sim/faults" => {
                let proof = Proof::named(text("token"));
                if proof.is_none() && body.get("token").is_some() {
                    return Some(wrong("no such kind of token"));
                }
                let shown = self.0.state.change(|state| {
                    state.faults.update(body);
                    state.proof = proof.unwrap_or(state.proof);
                    let mut shown = state.faults.shown();
                    if let Some(map) = shown.as_object_mut() {
                        map.remove("no_confirm");
                        map.insert("token".to_owned(), json!(state.proof.word()));
                    }
                    shown
                });
                Tell::json(200, &shown)
            }
            _ => return None,
        })
    }
}

fn wrong(what: &str) -> Tell {
    Tell::json(400, &json!({"error": what}))
}

fn done(result: Result<(String, String), Refused>) -> Tell {
    match result {
        Ok((conversation, id)) => Tell::json(200, &json!({"conversation": conversation, "id": id})),
        Err(refused) => failed(&refused),
    }
}

fn failed(refused: &Refused) -> Tell {
    let status = match refused {
        Refused::NoConversation | Refused::NoMessage => 404,
        Refused::NoWebhook => 409,
        Refused::NoToken | Refused::Net(_) | Refused::Status(_) => 502,
    };
    Tell::json(status, &json!({"error": refused.to_string()}))
}

fn message(said: &Said) -> Value {
    let files: Vec<_> = said.files.iter().map(|(name, url)| json!({"name": name, "url": url})).collect();
    json!({"id": said.id, "at": said.at.0, "bot": said.by_bot, "text": said.text, "format": said.format, "files": files,
        "edited": said.edited, "deleted": said.deleted, "taken": said.taken, "failed": said.failed})
}

fn shown(version: u64, state: &State) -> Value {
    let chats = state.conversations.iter().map(|(id, chat)| {
        let messages: Vec<_> = chat.messages.iter().map(message).collect();
        (id.clone(), json!({"channel": chat.channel, "name": chat.name, "messages": messages}))
    });
    let chats: serde_json::Map<_, _> = chats.collect();
    json!({"version": version, "channels": CHANNELS, "ready": state.webhook.is_some(), "chats": chats})
}

/// Every message of every conversation, flat, for scripts.
fn messages(state: &State) -> Value {
    let all = state.conversations.iter().flat_map(|(id, chat)| {
        chat.messages.iter().map(move |said| {
            let mut shown = message(said);
            if let Some(map) = shown.as_object_mut() {
                map.insert("conversation".to_owned(), json!(id));
                map.insert("channel".to_owned(), json!(chat.channel));
                map.insert("name".to_owned(), json!(chat.name));
            }
            shown
        })
    });
    Value::Array(all.collect())
}

fn received(heard: &Heard) -> Value {
    json!({"method": heard.method, "conversation": heard.conversation, "activity_id": heard.activity,
        "activity": heard.body})
}
