//! As much of HTTP/1.1 as both ends of a measurement need: where a head ends and how long its body is. Both ends are
//! known, so anything else is a mistake of theirs.

use std::io::{Read, Write};

/// What a head says.
pub struct Head {
    /// Bytes of it, the empty line included.
    pub length: usize,
    /// Of an answer.
    pub status: Option<u16>,
    /// Bytes that follow it.
    pub body: usize,
    /// Whether the connection ends after that.
    pub close: bool,
}

/// Reads a head; nothing while it is not whole.
pub fn head(bytes: &[u8]) -> Option<Head> {
    let length = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(&bytes[..length]).unwrap();
    let mut lines = text.split("\r\n");
    let status = lines.next()?.split(' ').nth(1).and_then(|word| word.parse().ok());
    let mut head = Head { length, status, body: 0, close: false };
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        if name.eq_ignore_ascii_case("content-length") {
            head.body = value.trim().parse().unwrap();
        } else if name.eq_ignore_ascii_case("connection") {
            head.close = value.trim().eq_ignore_ascii_case("close");
        }
    }
    Some(head)
}

/// Sends one request and reads its whole answer; gives the status.
pub fn exchange(stream: &mut std::net::TcpStream, request: &[u8]) -> u16 {
    stream.write_all(request).unwrap();
    let (mut answer, mut part) = (Vec::new(), [0; 4096]);
    loop {
        let count = stream.read(&mut part).unwrap();
        assert!(count > 0, "the connection ended before the answer");
        answer.extend_from_slice(&part[..count]);
        if let Some(head) = head(&answer)
            && answer.len() >= head.length + head.body
        {
            return head.status.unwrap();
        }
    }
}
