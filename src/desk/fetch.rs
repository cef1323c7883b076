//! A customer's file, fetched as a portal does: the packet has only its address (`portal-box.md` §4.4 `message.files[]`).
//! Whoever wrote to the server chose that address, so it may lead only to public networks, and the name under which the
//! file is to be kept is made harmless here.

use std::fmt;
use std::time::Duration;

use percent_encoding::percent_decode_str;

use crate::net::{Answer, Call, Net, NetError, Reach};
use crate::text::file_name;

/// A file as a link.
#[derive(Clone, PartialEq, Eq)]
pub struct FileLink {
    /// Its name, as somebody outside wrote it.
    pub name: Option<String>,
    /// Where the bytes are.
    pub url: String,
    /// `type`: a MIME type, or what a channel takes for one.
    pub kind: Option<String>,
    /// Names and values of headers that open it. Secret: with them anybody reads what the channel keeps.
    pub headers: Vec<(String, String)>,
}

impl fmt::Debug for FileLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headers: Vec<_> = self.headers.iter().map(|(name, _)| name).collect();
        let mut shown = f.debug_struct("FileLink");
        shown.field("name", &self.name).field("url", &self.url).field("kind", &self.kind);
        shown.field("headers", &headers).finish()
    }
}

/// What a file may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest content.
    pub max_bytes: usize,
    /// From the first byte asked to the last one read.
    pub timeout: Duration,
}

impl Default for Limits {
    /// 20 MiB, what channels take; a minute, as a portal has it.
    fn default() -> Self {
        Self { max_bytes: 20 * 1024 * 1024, timeout: Duration::from_mins(1) }
    }
}

/// A file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// Safe as the name of a file on any system, at most 100 characters. Two files may have the same.
    pub name: String,
    /// MIME type in lower case without parameters; `application/octet-stream` where nobody says. It is somebody's word,
    /// not a look at the content.
    pub kind: String,
    /// The bytes.
    pub content: Vec<u8>,
}

/// Why there is no file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FetchError {
    /// Another status than 200, redirects too.
    Status(u16),
    /// No whole answer.
    Net(NetError),
}

impl FetchError {
    /// A later try may do better.
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Status(status) => matches!(status, 408 | 429 | 500..),
            Self::Net(NetError::Resolve(_) | NetError::Connect(_) | NetError::Timeout(_) | NetError::Broken(_)) => true,
            Self::Net(NetError::BadUrl(_) | NetError::Forbidden(_) | NetError::TooLong(_)) => false,
        }
    }
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "the file's address answered {status} instead of 200"),
            Self::Net(error) => write!(f, "the file can't be fetched: {error}"),
        }
    }
}

impl std::error::Error for FetchError {}

/// Fetches a file: public addresses only, whatever stands in the packet.
pub fn fetch(net: &dyn Net, link: &FileLink, limits: &Limits) -> Result<Fetched, FetchError> {
    let call = Call {
        method: "GET",
        url: link.url.clone(),
        headers: link.headers.iter().filter(|(name, value)| may_be_sent(name, value)).cloned().collect(),
        body: Vec::new(),
        reach: Reach::Learned,
        timeout: limits.timeout,
        answer_max_bytes: limits.max_bytes,
    };
    let answer = net.call(call).map_err(FetchError::Net)?;
    if answer.status != 200 {
        return Err(FetchError::Status(answer.status));
    }
    let kind = kind_of(link, &answer);
    // A bare word such as `image` is no type, yet better than nothing for the end of a name.
    let name = safe_name(link, kind.as_deref().or(link.kind.as_deref()));
    Ok(Fetched { name, kind: kind.unwrap_or_else(|| UNKNOWN.to_owned()), content: answer.body })
}

/// The type of what nobody knows anything of.
const UNKNOWN: &str = "application/octet-stream";

/// The server's word first: it knows the channel's, which storages often do not.
fn kind_of(link: &FileLink, answer: &Answer) -> Option<String> {
    [link.kind.as_deref(), answer.header("content-type")].into_iter().flatten().find_map(|said| {
        let kind = said.split(';').next()?.trim().to_ascii_lowercase();
        let (class, exact) = kind.split_once('/')?;
        let is_word = |word: &str| {
            let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte);
            (1..=100).contains(&word.len()) && word.bytes().all(fits)
        };
        (is_word(class) && is_word(exact) && kind != UNKNOWN).then_some(kind)
    })
}

/// Headers that say how the request itself is written are our client's, and one that can't be a header is nobody's.
fn may_be_sent(name: &str, value: &str) -> bool {
    let ours = ["connection", "content-length", "expect", "host", "te", "trailer", "transfer-encoding", "upgrade"];
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty()
        && name.bytes().all(is_token)
        && !ours.iter().any(|our| our.eq_ignore_ascii_case(name))
        && !value.chars().any(char::is_control)
}

/// Names of devices, which Windows opens instead of a file whatever extension they carry.
const DEVICES: [&str; 4] = ["con", "prn", "aux", "nul"];

impl FileLink {
    /// What the file is called before it is fetched, as safe as [`Fetched::name`].
    pub fn safe_name(&self) -> String {
        safe_name(self, self.kind.as_deref())
    }
}

/// From the name, else from the address, else `file`.
fn safe_name(link: &FileLink, kind: Option<&str>) -> String {
    let given = link.name.as_deref().and_then(|name| file_name(Some(name), None));
    let found = given.or_else(|| file_name(Some(&last_part(&link.url)?), None));
    let Some(name) = file_name(found.as_deref(), kind) else { return "file".to_owned() };
    let stem = name.split('.').next().unwrap_or_default().trim_end().to_lowercase();
    let numbered = ["com", "lpt"].iter().find_map(|port| stem.strip_prefix(port));
    // The raised digits count there too.
    let is_port = numbered.is_some_and(|number| matches!(number, "¹" | "²" | "³") || is_digit(number));
    if is_port || DEVICES.contains(&stem.as_str()) || matches!(stem.as_str(), "conin$" | "conout$") {
        return file_name(Some(&format!("_{name}")), None).unwrap_or_else(|| "file".to_owned());
    }
    name
}

fn is_digit(text: &str) -> bool {
    text.len() == 1 && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// What stands behind the last slash of an address, decoded.
fn last_part(address: &str) -> Option<String> {
    let url = url::Url::parse(address).ok()?;
    let part = url.path_segments()?.rfind(|part| !part.is_empty())?;
    Some(percent_decode_str(part).decode_utf8_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    const LIMITS: Limits = Limits { max_bytes: 1000, timeout: Duration::from_secs(7) };

    /// Answers every call alike and remembers it.
    #[derive(Debug)]
    struct Memory {
        answer: Result<Answer, NetError>,
        calls: Mutex<Vec<Call>>,
    }

    impl Memory {
        fn answering(status: u16, kind: &str) -> Self {
            let headers = vec![("content-type".to_owned(), kind.to_owned())];
            Self { answer: Ok(Answer { status, headers, body: b"bytes".to_vec() }), calls: Mutex::default() }
        }
    }

    impl Net for Memory {
        fn call(&self, call: Call) -> Result<Answer, NetError> {
            self.calls.lock().unwrap().push(call);
            self.answer.clone()
        }
    }

    fn link(name: &str, url: &str, kind: &str) -> FileLink {
        let filled = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        FileLink { name: filled(name), url: url.to_owned(), kind: filled(kind), headers: vec![] }
    }

    #[test]
    fn a_file_is_asked_for_like_any_learned_address() {
        let net = Memory::answering(200, "image/png; x=1");
        let secret = ("Authorization".to_owned(), "Bearer TOKEN".to_owned());
        let headers = [("Host", "inner.test"), ("a b", "x"), ("X-A", "1\r\nX-B: 2"), ("content-length", "5")];
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let link = FileLink {
            headers: [secret.clone()].into_iter().chain(headers).collect(),
            ..link("a.png", "https://x.test/f?t=1", "")
        };
        let got = fetch(&net, &link, &LIMITS).unwrap();
        assert_eq!(got, Fetched { name: "a.png".into(), kind: "image/png".into(), content: b"bytes".to_vec() });
        let call = net.calls.lock().unwrap().remove(0);
        assert_eq!((call.method, call.url.as_str(), call.reach), ("GET", "https://x.test/f?t=1", Reach::Learned));
        assert_eq!((call.timeout, call.answer_max_bytes, call.body.len()), (LIMITS.timeout, LIMITS.max_bytes, 0));
        assert_eq!(call.headers, [secret], "what frames the request, or another one, is not sent");
    }

    /// Promise 9.
    #[test]
    fn headers_never_print() {
        let headers = vec![("Authorization".to_owned(), "Bearer TOKEN".to_owned())];
        let shown = format!("{:?}", FileLink { headers, ..link("a.png", "https://x.test/", "") });
        assert!(shown.contains("Authorization") && shown.contains("a.png") && !shown.contains("TOKEN"), "{shown}");
    }

    #[test]
    fn only_200_counts() {
        for (status, temporary) in [
            (204, false),
            (206, false),
            (301, false),
            (302, false),
            (404, false),
            (408, true),
            (429, true),
            (503, true),
        ] {
            let net = Memory::answering(status, "text/plain");
            let error = fetch(&net, &link("a", "https://x.test/", ""), &LIMITS).unwrap_err();
            assert_eq!((&error, error.is_temporary()), (&FetchError::Status(status), temporary));
            assert_eq!(net.calls.lock().unwrap().len(), 1, "redirects are not followed");
        }
        assert_eq!(FetchError::Status(404).to_string(), "the file's address answered 404 instead of 200");
        for (error, temporary) in [
            (NetError::Forbidden("10.0.0.1".into()), false),
            (NetError::TooLong(1000), false),
            (NetError::Timeout(LIMITS.timeout), true),
        ] {
            let words = error.to_string();
            let net = Memory { answer: Err(error), calls: Mutex::default() };
            let error = fetch(&net, &link("a", "https://x.test/", ""), &LIMITS).unwrap_err();
            assert_eq!((error.is_temporary(), error.to_string().ends_with(&words)), (temporary, true), "{error}");
        }
    }

    #[test]
    fn types() {
        for (said, answered, want) in [
            ("Image/JPEG", "text/html", "image/jpeg"),
            ("", "Application/PDF; charset=x", "application/pdf"),
            ("application/octet-stream", "image/png", "image/png"),
            ("image", "", UNKNOWN),
            ("image/png\r\nX: 1", "text/<b>", UNKNOWN),
            ("image/", "/png", UNKNOWN),
        ] {
            let net = Memory::answering(200, answered);
            let got = fetch(&net, &link("a.png", "https://x.test/", said), &LIMITS).unwrap();
            assert_eq!(got.kind, want, "{said} {answered}");
        }
    }

    #[test]
    fn names() {
        let at = "https://x.test/files/";
        for (name, url, kind, want) in [
            ("price.pdf", at, "", "price.pdf"),
            ("", "https://x.test/a/%D0%BF%D1%80%D0%B0%D0%B9%D1%81.pdf?sig=1#x", "", "прайс.pdf"),
            ("", "https://x.test/a/b/", "image/png", "b.png"),
            ("", "https://x.test/", "image/png", "file.png"),
            ("", "https://x.test", "", "file"),
            ("..", "https://x.test/a.txt", "", "a.txt"),
            ("photo", at, "image/jpeg", "photo.jpg"),
            ("photo", at, "image", "photo.jpg"),
            ("photo.png", at, "image/jpeg", "photo.png"),
            // Out of the folder.
            ("../../etc/passwd", at, "", "passwd"),
            ("/etc/passwd", at, "", "passwd"),
            ("C:\\Windows\\system.ini", at, "", "system.ini"),
            ("", "https://x.test/..%2F..%2Fetc%2Fpasswd", "", "passwd"),
            ("", "https://x.test/a%5C..%5Cb.txt", "", "b.txt"),
            ("a:stream.txt", at, "", "a_stream.txt"),
            // Hidden, cut short or shown as something else.
            (".htaccess", at, "", "htaccess"),
            ("...", at, "", "files"),
            ("a\0b\r\nc.txt", at, "", "a b c.txt"),
            ("", "https://x.test/a%00%0Ab.txt", "", "a b.txt"),
            ("invoice\u{202E}fdp.exe", at, "", "invoice fdp.exe"),
            ("report.txt. . .", at, "", "report.txt"),
            // Devices.
            ("CON", at, "", "_CON"),
            ("nul.tar.gz", at, "", "_nul.tar.gz"),
            ("aux .x.txt", at, "", "_aux .x.txt"),
            ("Lpt1.pdf", at, "", "_Lpt1.pdf"),
            ("COM²", at, "", "_COM²"),
            ("conin$", at, "", "_conin$"),
            ("con", at, "text/plain", "_con.txt"),
            ("", "https://x.test/%63on", "", "_con"),
            ("console.txt", at, "", "console.txt"),
            ("com10.txt", at, "", "com10.txt"),
        ] {
            assert_eq!(safe_name(&link(name, url, kind), Some(kind)), want, "{name:?} {url}");
        }
    }

    #[test]
    fn long_names_keep_their_end() {
        for stem in ["ж".repeat(300), format!("con.{}", "a".repeat(300))] {
            let name = safe_name(&link(&format!("{stem}.docx"), "https://x.test/", ""), None);
            assert_eq!((name.chars().count(), name.rsplit('.').next()), (100, Some("docx")), "{name}");
        }
        // Cut at a dot, which Windows would drop.
        let name = safe_name(&link(&format!("{}.дата", "a".repeat(99)), "https://x.test/", ""), None);
        assert_eq!(name, "a".repeat(99));
    }
}
