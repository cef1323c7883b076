//! Files that only a channel's credentials open. A portal downloads each file of a message itself, so it is handed the
//! headers that its download needs; they are asked for when the packet is posted and stored nowhere.

use std::collections::BTreeMap;
use std::fmt::Debug;

use super::Packet;
use crate::ids::LineId;
use crate::message::{Body, FileLink, Incoming};
use crate::secret::Secret;
use crate::text;

/// Header names and values of one download.
pub type Headers = Vec<(String, Secret)>;

/// Knows how the files of a line's channel are opened. Portals and channels do not know each other, so the wiring hands
/// one in.
pub trait Opener: Debug + Send + Sync {
    /// What the download of `url`, a protected file that came in on `line`, needs; `None` when nobody can open it now.
    /// Blocking; never called while a transaction is open.
    fn headers(&self, line: LineId, url: &str) -> Option<Headers>;
}

/// Opens nothing: for whoever has no channels.
#[derive(Clone, Copy, Debug)]
pub struct Shut;

impl Opener for Shut {
    fn headers(&self, _: LineId, _: &str) -> Option<Headers> {
        None
    }
}

/// Headers by the address of their file.
#[derive(Clone, Debug, Default)]
pub struct Opened(BTreeMap<String, Headers>);

impl Opened {
    /// What the download of that file needs; nothing for a file that anyone can open.
    pub fn of(&self, file: &FileLink) -> &[(String, Secret)] {
        self.0.get(&file.url).filter(|_| file.protected).map_or(&[], Vec::as_slice)
    }
}

impl Packet {
    /// Asks for what the protected files of all messages need. A file that cannot be opened now leaves its link in the
    /// text: the portal would drop it without a word.
    pub fn open(&mut self, line: LineId, opener: &dyn Opener) {
        for body in &mut self.bodies {
            let Body::Message(message) = body else { continue };
            let (open, shut) = std::mem::take(&mut message.files).into_iter().partition(|file| {
                !file.protected
                    || self.opened.0.contains_key(&file.url)
                    || opener
                        .headers(line, &file.url)
                        .is_some_and(|headers| self.opened.0.insert(file.url.clone(), headers).is_none())
            });
            message.files = open;
            tell(message, shut);
        }
    }
}

/// Writes the links of files under the text.
fn tell(message: &mut Incoming, files: Vec<FileLink>) {
    for file in files {
        // Only addresses that were taken for web links are files; this one is made safe for BB-code.
        let link = text::safe_link(&file.url).unwrap_or_default();
        let line = file.name.map_or_else(|| link.clone(), |name| format!("{name}: {link}"));
        if !message.text.is_empty() {
            message.text.push('\n');
        }
        message.text.push_str(&line);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::message::{Chat, IncomingKind, User};

    /// Opens what is on `open.test`; counts how often it was asked.
    #[derive(Debug, Default)]
    struct Some(Mutex<usize>);

    impl Opener for Some {
        fn headers(&self, line: LineId, url: &str) -> Option<Headers> {
            assert_eq!(line, LineId(7));
            *self.0.lock().unwrap() += 1;
            let headers = vec![(String::from("Authorization"), Secret::new("Bearer MARK"))];
            url.starts_with("https://open.test/").then_some(headers)
        }
    }

    fn file(url: &str, protected: bool) -> FileLink {
        FileLink { url: url.into(), name: Option::Some("p.png".into()), mime: None, protected }
    }

    fn packet(text: &str, files: Vec<FileLink>) -> Packet {
        let message = Incoming {
            connector: "x".into(),
            kind: IncomingKind::Message,
            key: None,
            user: User::default(),
            chat: Chat::default(),
            message_id: "1".into(),
            date: None,
            text: text.into(),
            files,
            attachments: vec![],
            route: None,
        };
        Packet::new("x".into(), "1".into(), vec![Body::Message(Box::new(message))])
    }

    #[test]
    fn a_file_is_opened_or_its_link_stays_in_the_text() {
        let open = file("https://open.test/1", true);
        let files =
            vec![open.clone(), file("https://shut.test/[2]", true), file("https://anyone.test/3", false), open.clone()];
        for (text, want) in [("see", "see\np.png: https://shut.test/%5B2%5D"), ("", "p.png: https://shut.test/%5B2%5D")]
        {
            let (mut packet, opener) = (packet(text, files.clone()), Some::default());
            packet.open(LineId(7), &opener);
            assert_eq!(*opener.0.lock().unwrap(), 2, "once for each address that needs it");
            let Body::Message(message) = &packet.bodies[0] else { panic!() };
            assert_eq!(message.text, want);
            let kept: Vec<&str> = message.files.iter().map(|file| file.url.as_str()).collect();
            assert_eq!(kept, ["https://open.test/1", "https://anyone.test/3", "https://open.test/1"]);
            assert_eq!(packet.opened.of(&open)[0].1.reveal(), "Bearer MARK");
            assert!(packet.opened.of(&file("https://open.test/1", false)).is_empty());
            assert!(!format!("{packet:?}").contains("MARK"), "promise 9");
        }
    }
}
