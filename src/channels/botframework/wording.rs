//! How each channel writes and reads text and files (`botframework.md` §5.3, §7). The conversions themselves belong to
//! `text`; here stands only which channel wants which.

use serde_json::{Value, json};

use super::activity::{Activity, at};
use super::services::text_max_units;
use crate::message::OutFile;
use crate::text::{self, Markup, Mention, Print, Recipient};

fn markup(channel: &str) -> Markup {
    match channel {
        "skype" | "skypeforbusiness" => Markup::Skype,
        "msteams" => Markup::Teams,
        "slack" => Markup::Slack,
        _ => Markup::Plain,
    }
}

/// What a channel renders, and the `textFormat` that says so. A channel that refuses or mangles markup gets plain text.
fn print(channel: &str) -> (Print, &'static str) {
    match channel {
        "msteams" => (Print::TeamsXml, "xml"),
        "skype" | "skypeforbusiness" => (Print::Xml, "xml"),
        "webchat" | "directline" => (Print::Markdown, "markdown"),
        _ => (Print::Plain, "plain"),
    }
}

/// A customer's text as BB-code, mentions resolved, nothing in it that could act on a portal.
pub(super) fn incoming(activity: &Activity, written: &str) -> String {
    let mentions: Vec<Mention> = activity
        .entities
        .iter()
        .filter(|entity| at(entity, "/type") == "mention")
        .map(|entity| Mention {
            id: at(entity, "/mentioned/id"),
            name: at(entity, "/mentioned/name"),
            text: at(entity, "/text"),
        })
        .collect();
    let recipient = Recipient { id: activity.recipient.id.clone(), name: activity.recipient.name.clone() };
    text::to_bbcode(markup(&activity.channel_id), written, &recipient, &mentions)
}

/// A message that came as HTML only, as BB-code.
pub(super) fn html(written: &str) -> String {
    text::to_bbcode(Markup::Skype, written, &Recipient::default(), &[])
}

/// One message for the channel.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Part {
    /// Text as printed for the channel; empty when the part is a file.
    pub(super) text: String,
    /// `textFormat`.
    pub(super) format: &'static str,
    /// The attachment, `Null` when there is none.
    pub(super) attachment: Value,
    /// The same in plain text, for a channel that refuses the other form.
    pub(super) fallback: String,
    /// It stands for a file of the operator.
    pub(super) is_file: bool,
}

/// An operator's text and files as the channel's messages, in order: text first, then a message for each file, so that
/// every one has an id of its own.
pub(super) fn outgoing(channel: &str, bbcode: &str, files: &[OutFile]) -> Vec<Part> {
    let (how, format) = print(channel);
    let max_units = text_max_units(channel);
    let printed = text::print_parts(bbcode, how, max_units);
    let plain = text::print_parts(bbcode, Print::Plain, max_units);
    let mut parts: Vec<Part> = printed
        .into_iter()
        .enumerate()
        .map(|(number, text)| Part {
            fallback: plain.get(number).cloned().unwrap_or_else(|| text.clone()),
            text,
            format,
            attachment: Value::Null,
            is_file: false,
        })
        .collect();
    parts.extend(files.iter().map(|file| file_part(channel, file)));
    parts
}

fn file_part(channel: &str, file: &OutFile) -> Part {
    let link = if file.name.is_empty() { file.link.clone() } else { format!("{}: {}", file.name, file.link) };
    let (text, attachment) = match attachable(channel, file) {
        Some(mime) => (String::new(), json!({"contentType": mime, "contentUrl": file.link, "name": file.name})),
        None => (link.clone(), Value::Null),
    };
    Part { text, format: "plain", attachment, fallback: link, is_file: true }
}

/// The type under which a file may be attached. Only portals that tell a type give links to the bytes; a page with a
/// download button must never be sent as a picture.
fn attachable<'a>(channel: &str, file: &'a OutFile) -> Option<&'a str> {
    let mime = file.mime.as_deref().filter(|mime| mime.contains('/'))?;
    let image = mime.starts_with("image/");
    match channel {
        "webchat" | "directline" | "telegram" | "facebook" => Some(mime),
        "slack" | "groupme" | "kik" | "line" if image => Some(mime),
        "msteams" if matches!(mime, "image/png" | "image/jpeg" | "image/gif") => Some(mime),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_channel_gets_what_it_renders() {
        let signed = "[b]Anna:[/b][br] 5 < 6";
        for (channel, want, format) in [
            ("msteams", "<strong>Anna:</strong><br/>5 &lt; 6", "xml"),
            ("skype", "<b>Anna:</b><br/>5 &lt; 6", "xml"),
            ("webchat", "**Anna:**  \n5 \\< 6", "markdown"),
            ("telegram", "Anna:\n5 < 6", "plain"),
            ("somethingnew", "Anna:\n5 < 6", "plain"),
        ] {
            let parts = outgoing(channel, signed, &[]);
            assert_eq!(parts.len(), 1);
            assert_eq!((parts[0].text.as_str(), parts[0].format), (want, format), "{channel}");
            assert_eq!(parts[0].fallback, "Anna:\n5 < 6");
        }
    }

    #[test]
    fn a_page_is_never_sent_as_a_picture() {
        let file = |mime: Option<&str>| OutFile {
            name: "a.png".into(),
            link: "https://p/~x".into(),
            image: true,
            mime: mime.map(Into::into),
        };
        let part = |channel: &str, mime| outgoing(channel, "", &[file(mime)]).remove(0);
        assert_eq!(part("webchat", None).text, "a.png: https://p/~x");
        assert_eq!(part("webchat", Some("image/png")).attachment["contentUrl"], "https://p/~x");
        assert_eq!(part("msteams", Some("image/png")).attachment["contentType"], "image/png");
    }

    /// `botframework.md` §7, row by row.
    #[test]
    fn each_channel_gets_files_as_it_takes_them() {
        let types = ["image/png", "image/webp", "video/mp4", "application/pdf"];
        for (channel, attached) in [
            ("msteams", [true, false, false, false]),
            ("webchat", [true; 4]),
            ("directline", [true; 4]),
            ("telegram", [true; 4]),
            ("facebook", [true; 4]),
            ("slack", [true, true, false, false]),
            ("groupme", [true, true, false, false]),
            ("kik", [true, true, false, false]),
            ("line", [true, true, false, false]),
            ("email", [false; 4]),
            ("sms", [false; 4]),
            ("skype", [false; 4]),
            ("somethingnew", [false; 4]),
        ] {
            for (mime, attached) in types.into_iter().zip(attached) {
                let (name, link) = (String::from("f"), String::from("https://p/~x"));
                let file = OutFile { name, link, image: false, mime: Some(mime.to_owned()) };
                let part = outgoing(channel, "", &[file]).remove(0);
                assert_eq!(!part.attachment.is_null(), attached, "{channel} {mime}");
                assert_eq!(part.text.is_empty(), attached, "{channel} {mime}");
                assert!(part.is_file && part.fallback == "f: https://p/~x");
            }
        }
    }
}
