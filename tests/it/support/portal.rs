//! A portal reduced to its ear: answers every post as told and keeps what it was sent. For tests in which the portal's
//! own behaviour does not matter; the twin of `sim` plays a real one.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use base64::Engine;

/// A listening ear.
#[derive(Clone, Debug)]
pub struct Ear {
    pub url: String,
    /// Decoded `DATA` of every post, in order.
    pub heard: Arc<Mutex<Vec<String>>>,
    pub posts: Arc<AtomicUsize>,
    /// Whether posts are answered OK; otherwise with 502.
    pub well: Arc<AtomicBool>,
}

impl Ear {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let ear = Self {
            url: format!("http://{}", listener.local_addr().unwrap()),
            heard: Arc::default(),
            posts: Arc::default(),
            well: Arc::new(AtomicBool::new(true)),
        };
        let inner = ear.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let inner = inner.clone();
                std::thread::spawn(move || inner.serve(stream));
            }
        });
        ear
    }

    fn serve(&self, stream: std::net::TcpStream) -> Option<()> {
        let mut reader = BufReader::new(stream);
        let mut length = 0;
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        while !line.trim().is_empty() {
            if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().ok()?;
            }
            line.clear();
            reader.read_line(&mut line).ok()?;
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        self.posts.fetch_add(1, Ordering::SeqCst);
        let answer = if self.well.load(Ordering::SeqCst) {
            let data = url::form_urlencoded::parse(&body).find(|(key, _)| key == "DATA")?.1.into_owned();
            let data = base64::engine::general_purpose::STANDARD.decode(data).ok()?;
            self.heard.lock().unwrap().push(String::from_utf8_lossy(&data).into_owned());
            "HTTP/1.1 200 OK\r\nContent-Length: 21\r\nConnection: close\r\n\r\n{\"OK\":true,\"DATA\":[]}"
        } else {
            "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        };
        reader.get_mut().write_all(answer.as_bytes()).ok()
    }

    /// How often each text `PREFIX-NUMBER` was heard.
    pub fn marks(&self, prefix: &str) -> std::collections::HashMap<u64, usize> {
        let mut marks = std::collections::HashMap::new();
        for data in self.heard.lock().unwrap().iter() {
            // `s:4:"text";s:7:"mark-42";`
            for part in data.split("\"text\";s:").skip(1) {
                let text = part.split('"').nth(1).unwrap();
                if let Some(number) = text.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('-')) {
                    *marks.entry(number.parse().unwrap()).or_default() += 1;
                }
            }
        }
        marks
    }
}
