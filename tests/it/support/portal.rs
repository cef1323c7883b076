//! A portal reduced to its ear: answers every post as told and keeps what it was sent. For tests in which the portal's
//! own behaviour does not matter; the twin of `sim` plays a real one.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use base64::Engine;

use super::far_end::{self, FarEnd};

/// A listening ear.
#[derive(Clone, Debug)]
pub struct Ear {
    pub url: String,
    /// Decoded `DATA` of every post that was answered OK, in order.
    pub heard: Arc<Mutex<Vec<String>>>,
    pub posts: Arc<AtomicUsize>,
    /// Whether posts are answered OK; otherwise with 502.
    pub well: Arc<AtomicBool>,
    pub far_end: Option<FarEnd>,
}

impl Ear {
    pub fn start() -> Self {
        let mut ear = Self {
            url: String::new(),
            heard: Arc::default(),
            posts: Arc::default(),
            well: Arc::new(AtomicBool::new(true)),
            far_end: None,
        };
        let inner = ear.clone();
        let far_end = FarEnd::start(move |body| inner.hear(body));
        ear.url.clone_from(&far_end.url);
        ear.far_end = Some(far_end);
        ear
    }

    fn hear(&self, body: &[u8]) -> Option<Vec<u8>> {
        self.posts.fetch_add(1, Ordering::SeqCst);
        if !self.well.load(Ordering::SeqCst) {
            return Some(far_end::answer("502 Bad Gateway", ""));
        }
        self.heard.lock().unwrap().push(data(body)?);
        Some(far_end::answer("200 OK", "{\"OK\":true,\"DATA\":[]}"))
    }

    /// How often each text `PREFIX-NUMBER` was heard.
    pub fn marks(&self, prefix: &str) -> HashMap<u64, usize> {
        let mut marks = HashMap::new();
        for data in self.heard.lock().unwrap().iter() {
            for number in marks_of(data, prefix) {
                *marks.entry(number).or_default() += 1;
            }
        }
        marks
    }
}

/// The decoded `DATA` of a post.
pub fn data(body: &[u8]) -> Option<String> {
    let data = url::form_urlencoded::parse(body).find(|(key, _)| key == "DATA")?.1.into_owned();
    let data = base64::engine::general_purpose::STANDARD.decode(data).ok()?;
    Some(String::from_utf8_lossy(&data).into_owned())
}

/// The texts `PREFIX-NUMBER` of one post, in order.
pub fn marks_of<'a>(data: &'a str, prefix: &'a str) -> impl Iterator<Item = u64> + 'a {
    // `s:4:"text";s:7:"mark-42";`
    data.split("\"text\";s:").skip(1).filter_map(move |part| {
        let text = part.split('"').nth(1).unwrap();
        text.strip_prefix(prefix)?.strip_prefix('-')?.parse().ok()
    })
}
