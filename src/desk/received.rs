//! What customers write, as a portal takes it (`portal-box.md` §4.4, §4.5): what it would drop without a word is left out
//! here too, names are split, attachments become text.

use super::values::{number, plain};
use super::{FileLink, WayBack};
use crate::portals::boxed::php::Value;
use crate::portals::boxed::portal_side::{Push, fingerprint};

/// What an element of `receivingMessage` is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// New.
    Message,
    /// An edit.
    Update,
    /// A deletion.
    Delete,
    /// What comments are written under.
    Post,
    /// An edit of that.
    PostUpdate,
}

impl Kind {
    fn of(word: Option<&str>) -> Option<Self> {
        Some(match word.unwrap_or("message") {
            "message" | "" => Self::Message,
            "message_update" => Self::Update,
            "message_del" => Self::Delete,
            "post" => Self::Post,
            "post_update" => Self::PostUpdate,
            _ => return None,
        })
    }
}

/// An element of `receivingMessage`.
#[derive(Clone, Debug, PartialEq)]
pub struct Received {
    /// What it is.
    pub kind: Kind,
    /// Who wrote it.
    pub user: Customer,
    /// External chat id.
    pub chat: String,
    /// External message id; empty for posts.
    pub message: String,
    /// Unix seconds, where the channel says so.
    pub date: Option<i64>,
    /// BB-code, attachments with it.
    pub text: String,
    /// Files to fetch ([`super::fetch`]).
    pub files: Vec<FileLink>,
    /// For channels of the Bot Framework.
    pub way_back: Option<WayBack>,
}

/// A customer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Customer {
    /// External user id; the portal's key of a user is the connector's id and this.
    pub id: String,
    /// First name, nick name or `Guest`.
    pub name: String,
    /// Last name.
    pub last_name: String,
    /// Address of the profile.
    pub url: Option<String>,
    /// Address of the picture.
    pub picture: Option<String>,
    /// Changes with anything that is said of the customer: a user is looked at anew only then.
    pub fingerprint: String,
}

impl Customer {
    fn read(user: &Value, connector: &str) -> Option<Self> {
        let field = |name: &str| user.get(name).and_then(plain).unwrap_or_default();
        let filled = |text: String| Some(text).filter(|text| !text.is_empty());
        let (mut name, mut last_name) = (field("name"), field("last_name"));
        if last_name.is_empty()
            && let Some((first, second)) = two_words(&name)
        {
            // There the last name stands first.
            let swapped = connector == "instagram";
            (name, last_name) = if swapped { (second, first) } else { (first, second) };
        }
        if name.is_empty() && last_name.is_empty() {
            name = filled(field("title")).unwrap_or_else(|| "Guest".to_owned());
        }
        Some(Self {
            id: filled(field("id"))?,
            name,
            last_name,
            url: filled(field("url")),
            picture: user.get("picture").and_then(|picture| picture.get("url")).and_then(plain).and_then(filled),
            fingerprint: fingerprint(user),
        })
    }

    /// Both names.
    pub fn full_name(&self) -> String {
        [self.name.as_str(), &self.last_name].into_iter().filter(|name| !name.is_empty()).collect::<Vec<_>>().join(" ")
    }
}

fn two_words(name: &str) -> Option<(String, String)> {
    let mut words = name.split_whitespace();
    let pair = (words.next()?.to_owned(), words.next()?.to_owned());
    words.next().is_none().then_some(pair)
}

impl Received {
    /// What a portal makes of a packet.
    pub fn all(push: &Push) -> Vec<Self> {
        push.data.items().filter_map(|item| Self::read(item, &push.connector)).collect()
    }

    fn read(item: &Value, connector: &str) -> Option<Self> {
        let kind = Kind::of(item.get("type_message").and_then(plain).as_deref())?;
        let message = item.get("message");
        let inner = |name: &str| message.and_then(|message| message.get(name));
        let chat = item.get("chat").and_then(|chat| chat.get("id")).and_then(plain).filter(|id| !id.is_empty())?;
        let text = inner("text").and_then(plain).unwrap_or_default();
        let text = inner("attachments").into_iter().flat_map(Value::items).fold(text, with);
        let files = inner("files").into_iter().flat_map(Value::items).filter_map(file).collect::<Vec<_>>();
        if kind != Kind::Delete && text.is_empty() && files.is_empty() {
            return None;
        }
        let service_url = item.get("service_url").and_then(plain).filter(|url| !url.is_empty());
        let is_post = matches!(kind, Kind::Post | Kind::PostUpdate);
        Some(Self {
            kind,
            user: Customer::read(item.get("user")?, connector)?,
            chat,
            message: inner("id").and_then(plain).filter(|_| !is_post).unwrap_or_default(),
            date: inner("date").and_then(number),
            text,
            files,
            way_back: item
                .get("recipient")
                .cloned()
                .zip(service_url)
                .map(|(recipient, service_url)| WayBack { recipient, service_url }),
        })
    }
}

fn file(file: &Value) -> Option<FileLink> {
    let filled = |value: &Value, name: &str| value.get(name).and_then(plain).filter(|text| !text.is_empty());
    let header = |header: &Value| Some((filled(header, "name")?, filled(header, "value").unwrap_or_default()));
    Some(FileLink {
        name: filled(file, "name"),
        url: filled(file, "url")?,
        kind: filled(file, "type"),
        headers: file.get("headers").into_iter().flat_map(Value::items).filter_map(header).collect(),
    })
}

/// How a messenger draws the border of a quote.
const BORDER: &str = "------------------------------------------------------";

/// The text with one attachment: quotes stand around all of it, everything else comes after.
fn with(text: String, attachment: &Value) -> String {
    let of = |value: &Value, names: &[&str]| {
        let words = names.iter().filter_map(|name| value.get(name).and_then(plain)).filter(|word| !word.is_empty());
        words.collect::<Vec<_>>().join(" ")
    };
    if let Some(quote) = attachment.get("forward").or_else(|| attachment.get("reply")) {
        let who = quote.get("user").map(|user| of(user, &["name", "last_name"])).unwrap_or_default();
        return [BORDER, &who, &text, BORDER]
            .into_iter()
            .filter(|line| !line.is_empty())
            .collect::<Vec<_>>()
            .join("\n");
    }
    let line = if let Some(place) = attachment.get("location") {
        let at = |name: &str| place.get("coordinates").and_then(|point| point.get(name)).and_then(plain);
        let link = at("latitude").zip(at("longitude")).map(|(latitude, longitude)| {
            format!("https://yandex.ru/maps/?text={}", [latitude, longitude].map(|part| escaped(&part)).join("%2C"))
        });
        [of(place, &["title", "text"]), link.unwrap_or_default()].join(" ").trim().to_owned()
    } else if let Some(contact) = attachment.get("contact") {
        of(contact, &["name", "phone"])
    } else if let Some(wall) = attachment.get("wall") {
        of(wall, &["name", "text", "url"])
    } else {
        String::new()
    };
    if text.is_empty() || line.is_empty() { text + &line } else { format!("{text}\n{line}") }
}

fn escaped(part: &str) -> String {
    url::form_urlencoded::byte_serialize(part.as_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desk::tests::{KEY, portal};
    use crate::message::{Attachment, Body, Chat, FileLink, Incoming, IncomingKind, Route, User};
    use crate::portals::boxed::portal_side::Identity;
    use crate::portals::boxed::push;

    /// What the server's own code makes of a message, read by a portal of that version.
    fn received(version: &str, message: Incoming) -> Vec<Received> {
        let portal = portal(version, KEY);
        let connector = message.connector.clone();
        let (command, data) = push::content(&portal, &[Body::Message(Box::new(message))]);
        let body = push::form(&portal, command, &connector, "7", &data).encode();
        let identity = Identity::new(KEY, "https://portal.test", version);
        Received::all(&identity.read_push(body.as_bytes()).unwrap())
    }

    fn written(text: &str) -> Incoming {
        Incoming {
            connector: "botframework.msteams".into(),
            kind: IncomingKind::Message,
            key: None,
            user: User { id: "29:u".into(), name: "Ben Smith".into(), ..User::default() },
            chat: Chat { id: "a:1".into(), ..Chat::default() },
            message_id: "m1".into(),
            date: Some(1_500_000_000),
            text: text.into(),
            files: vec![],
            attachments: vec![],
            route: None,
        }
    }

    #[test]
    fn what_the_server_sends_is_understood_by_every_version() {
        for version in ["17.0.14", "23.100.0"] {
            let mut message = written("Hi");
            message.files =
                vec![FileLink { url: "https://cdn.test/a".into(), name: Some("a.png".into()), ..FileLink::default() }];
            message.attachments = vec![
                Attachment::Contact { name: "Eve".into(), phone: "+1".into() },
                Attachment::Location {
                    title: "Shop".into(),
                    text: String::new(),
                    latitude: "1.5".into(),
                    longitude: "2&x".into(),
                },
            ];
            message.route = Some(Route {
                recipient_id: "28:bot".into(),
                recipient_name: "Bot".into(),
                service_url: "https://smba.test/".into(),
            });
            let got = received(version, message).remove(0);
            assert_eq!(got.kind, Kind::Message);
            assert_eq!((got.user.name.as_str(), got.user.last_name.as_str()), ("Ben", "Smith"));
            assert_eq!((got.chat.as_str(), got.message.as_str(), got.date), ("a:1", "m1", Some(1_500_000_000)));
            assert_eq!(got.text, "Hi\nEve +1\nShop https://yandex.ru/maps/?text=1.5%2C2%26x");
            let [file] = got.files.as_slice() else { panic!("{:?}", got.files) };
            assert_eq!((file.name.as_deref(), file.url.as_str()), (Some("a.png"), "https://cdn.test/a"));
            let back = got.way_back.unwrap();
            assert_eq!(
                (back.recipient.get("id").and_then(plain), back.service_url.as_str()),
                (Some("28:bot".into()), "https://smba.test/")
            );
            for (kind, want) in [(IncomingKind::Update, Kind::Update), (IncomingKind::Delete, Kind::Delete)] {
                assert_eq!(received(version, Incoming { kind, ..written("Hi") }).remove(0).kind, want, "{version}");
            }
        }
    }

    #[test]
    fn a_customer_is_looked_at_anew_only_after_a_change() {
        let one = |user: User| received("20.0.75", Incoming { user, ..written("Hi") }).remove(0).user;
        let ben = || User { id: "29:u".into(), name: "Ben".into(), ..User::default() };
        assert_eq!(one(ben()).fingerprint, one(ben()).fingerprint);
        let changed = User { picture: Some("https://cdn.test/ben".into()), ..ben() };
        assert_ne!(one(ben()).fingerprint, one(changed).fingerprint);
    }

    fn element(pairs: Vec<(&'static str, Value)>) -> Value {
        let id = |id: &str| Value::map([("id", Value::text(id))]);
        let mut all = vec![("user", id("u")), ("chat", id("c")), ("message", Value::map([("text", Value::text("x"))]))];
        all.retain(|(name, _)| pairs.iter().all(|(other, _)| other != name));
        all.extend(pairs);
        Value::map(all)
    }

    /// `portal-box.md` §4.4 `user`.
    #[test]
    fn names_are_split_as_the_portal_splits_them() {
        for (connector, name, last, title, want) in [
            ("viber", "Ann Lee", "", "", ("Ann", "Lee")),
            ("instagram", "Lee Ann", "", "", ("Ann", "Lee")),
            ("viber", "Ann van Lee", "", "", ("Ann van Lee", "")),
            ("viber", "Ann Mary", "Lee", "", ("Ann Mary", "Lee")),
            ("viber", "", "", "annie", ("annie", "")),
            ("viber", "", "", "#EMPTY#", ("Guest", "")),
        ] {
            let user = [("id", "u"), ("name", name), ("last_name", last), ("title", title)];
            let user = Value::map(user.map(|(key, text)| (key, Value::text(text))));
            let got = Received::read(&element(vec![("user", user)]), connector).unwrap().user;
            assert_eq!((got.name.as_str(), got.last_name.as_str()), want, "{connector} {name}");
        }
    }

    #[test]
    fn what_a_portal_drops_is_left_out() {
        let nothing = || Value::map([("id", Value::text("m"))]);
        for dropped in [
            vec![("user", Value::map([("name", Value::text("Ann"))]))],
            vec![("chat", Value::map([("id", Value::text(""))]))],
            vec![("message", nothing())],
            vec![("type_message", Value::text("typing_start"))],
        ] {
            assert_eq!(Received::read(&element(dropped.clone()), "viber"), None, "{dropped:?}");
        }
        let deletion = element(vec![("message", nothing()), ("type_message", Value::text("message_del"))]);
        assert_eq!(Received::read(&deletion, "viber").unwrap().message, "m");
    }

    /// `portal-box.md` §4.4 `message.files[]`; what a file lacks comes as nothing or as the stub.
    #[test]
    fn files_come_with_what_opens_them() {
        let pair = |name: &str, value: &str| Value::map([("name", Value::text(name)), ("value", Value::text(value))]);
        let files = [
            Value::map([
                ("url", Value::text("https://cdn.test/a")),
                ("name", Value::text("a.png")),
                ("type", Value::text("image/png")),
                (
                    "headers",
                    Value::list([pair("Authorization", "Bearer x"), pair("", "y"), pair("X-Empty", "#EMPTY#")]),
                ),
            ]),
            Value::map([
                ("url", Value::text("https://cdn.test/b")),
                ("name", Value::text("#EMPTY#")),
                ("headers", Value::text("#EMPTY#")),
            ]),
            Value::map([("name", Value::text("without an address"))]),
        ];
        let message = Value::map([("files", Value::list(files))]);
        let got = Received::read(&element(vec![("message", message)]), "viber").unwrap().files;
        let headers = [("Authorization", "Bearer x"), ("X-Empty", "")];
        let opened = super::FileLink {
            name: Some("a.png".into()),
            url: "https://cdn.test/a".into(),
            kind: Some("image/png".into()),
            headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
        };
        let bare = super::FileLink { name: None, url: "https://cdn.test/b".into(), kind: None, headers: vec![] };
        assert_eq!(got, [opened, bare]);
    }

    #[test]
    fn quotes_stand_around_the_text() {
        let who = Value::map([("name", Value::text("Ann")), ("last_name", Value::text("Lee"))]);
        for kind in ["forward", "reply"] {
            let quote = Value::map([(kind, Value::map([("user", who.clone())]))]);
            assert_eq!(with("a\nb".into(), &quote), format!("{BORDER}\nAnn Lee\na\nb\n{BORDER}"), "{kind}");
        }
        assert_eq!(BORDER.len(), 54);
        let wall = [("url", Value::text("https://x.test/1")), ("name", Value::text("News"))];
        assert_eq!(with("a".into(), &Value::map([("wall", Value::map(wall))])), "a\nNews https://x.test/1");
        assert_eq!(with("a".into(), &Value::map([("poll", Value::Int(1))])), "a");
    }
}
