//! A listening server reduced to what the far ends need: one request a connection, answered with bytes that a closure
//! gives. It outlives peers that are killed in the middle of a word.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A listening end.
#[derive(Clone, Debug)]
pub struct FarEnd {
    pub url: String,
    open: Arc<AtomicUsize>,
}

impl FarEnd {
    /// Answers each whole request with the bytes that `answer` gives; without any it hangs up.
    pub fn start(answer: impl Fn(&[u8]) -> Option<Vec<u8>> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let open = Arc::new(AtomicUsize::new(0));
        let far_end = Self { url: format!("http://{}", listener.local_addr().unwrap()), open: open.clone() };
        let answer = Arc::new(answer);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (answer, open) = (answer.clone(), open.clone());
                open.fetch_add(1, Ordering::SeqCst);
                std::thread::spawn(move || {
                    let _ = serve(stream, answer.as_ref());
                    open.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        far_end
    }

    /// Nobody is being answered at the moment, nor waits to be: connections are taken in their order, so that the end of
    /// one of our own means that every earlier one has been taken.
    pub fn is_quiet(&self) -> bool {
        let own = TcpStream::connect(self.url.trim_start_matches("http://")).and_then(|mut stream| {
            stream.shutdown(std::net::Shutdown::Write)?;
            stream.read(&mut [0])
        });
        own.is_ok() && self.open.load(Ordering::SeqCst) == 0
    }
}

fn serve(stream: TcpStream, answer: &impl Fn(&[u8]) -> Option<Vec<u8>>) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    let mut line = String::from("-");
    while !line.trim().is_empty() {
        line.clear();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let answer = answer(&body)?;
    reader.get_mut().write_all(&answer).ok()
}

/// A whole answer that ends its connection.
pub fn answer(status: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}").into_bytes()
}
