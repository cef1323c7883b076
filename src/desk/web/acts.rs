//! What an operator does on the page.

use serde_json::{Value as Json, json};

use super::{COOKIE, Page, Reply, Request, shown};
use crate::desk::office::{FileGiven, LineSettings, OfficeError, Operator};

/// The JSON object of a request.
pub(super) fn body(request: &Request) -> Result<Json, OfficeError> {
    let body: Option<Json> = serde_json::from_slice(&request.body).ok();
    body.filter(Json::is_object).ok_or_else(|| OfficeError::Wrong("the body must be a JSON object".to_owned()))
}

fn refuse(why: &str) -> Result<Reply, OfficeError> {
    Err(OfficeError::NotAllowed(why.to_owned()))
}

impl Page {
    pub(super) fn act(&self, request: &Request, name: &str, me: &Operator) -> Result<Reply, OfficeError> {
        let body = body(request)?;
        let text = |name: &str| body.get(name).and_then(Json::as_str).unwrap_or_default();
        let number = |name: &str| body.get(name).and_then(Json::as_i64);
        let (talk, id) = (number("talk").unwrap_or(0), number("id").unwrap_or(0));
        let office = &self.office;
        let mut done = json!({});
        match name {
            "say" => {
                let (url, name) = (text("file"), text("file_name"));
                let name = if name.is_empty() { "file" } else { name };
                let file = FileGiven { name: name.to_owned(), url: url.to_owned() };
                match office.say(me.id, talk, text("text"), Some(&file).filter(|_| !url.is_empty())) {
                    Ok(id) => done = json!({"id": id}),
                    // It stands in the conversation with the reason and another try. An error would leave it in the
                    // writing row too, to be sent twice.
                    Err(OfficeError::Call(_)) => (),
                    Err(error) => return Err(error),
                }
            }
            "edit" if !office.abilities(id)?.edit => return refuse("this channel takes no edits"),
            "delete" if !office.abilities(id)?.delete => return refuse("this channel takes no deletions"),
            "edit" => office.edit(id, text("text"))?,
            "delete" => office.delete(id)?,
            "again" => done = json!({"id": office.send_again(id)?}),
            "read" => office.read_all(me.id, talk)?,
            "take" => office.take_free(me.id, talk)?,
            "take-over" => office.take_over(me.id, talk)?,
            "transfer" => office.transfer(talk, number("to"))?,
            "close" => office.close(talk)?,
            "here" => office.set_here(me.id, body.get("here").and_then(Json::as_bool).unwrap_or(true))?,
            "sign-out" => {
                if let Some(token) = request.token() {
                    office.sign_out(&token)?;
                }
                let gone = format!("{COOKIE}=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict");
                return Ok(Reply::json(&done).with("Set-Cookie", gone));
            }
            "line" => office.set_line(text("line"), &LineSettings::from_json(&body).map_err(OfficeError::Wrong)?)?,
            "line/add" => office.add_line(text("line"))?,
            "channel/save" => {
                let field = |key: &str| {
                    let value = body.get("settings").and_then(|settings| settings.get(key)).and_then(Json::as_str);
                    value.unwrap_or_default().to_owned()
                };
                office.save_channel(text("line"), field)?;
                done = json!({"webhook": office.channel(text("line"))?.webhook});
            }
            "channel/test" => {
                let channel = office.channel(text("line"))?;
                let bot = channel.settings.get("bot_handle").and_then(Json::as_str).unwrap_or("bot").to_owned();
                office.test_channel(text("line"), &bot)?;
                done = shown::channel(&office.channel(text("line"))?);
            }
            "channel/disconnect" => office.disconnect_channel(text("line"))?,
            _ => return Ok(Reply::error(404, "nothing is here")),
        }
        Ok(Reply::json(&done))
    }
}
