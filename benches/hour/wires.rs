//! Requests of the clients' side.

use std::net::{Shutdown, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::wire;

/// Connects and waits until the other side has ended the connection.
pub fn knock(address: SocketAddr) {
    use std::io::Read;
    if let Ok(mut stream) = std::net::TcpStream::connect(address) {
        let _ = stream.set_read_timeout(Some(Duration::from_secs(10)));
        let _ = stream.shutdown(Shutdown::Write);
        let _ = stream.read(&mut [0]);
    }
}

/// One request on an open connection: status and body of the answer, and whether the connection ends with it.
pub async fn exchange(stream: &mut TcpStream, request: &[u8], answer: &mut Vec<u8>) -> Option<(u16, bool)> {
    stream.write_all(request).await.ok()?;
    read(stream, answer).await
}

/// The same without the request.
pub async fn read(stream: &mut TcpStream, answer: &mut Vec<u8>) -> Option<(u16, bool)> {
    answer.clear();
    loop {
        if stream.read_buf(answer).await.ok()? == 0 {
            return None;
        }
        if let Some(head) = wire::head(answer)
            && answer.len() >= head.length + head.body
        {
            answer.drain(..head.length);
            return Some((head.status?, head.close));
        }
    }
}

/// One request on a connection of its own: status and body.
pub async fn ask(address: SocketAddr, request: &[u8], patience: Duration) -> Option<(u16, Vec<u8>)> {
    let asked = async {
        let mut stream = TcpStream::connect(address).await.ok()?;
        stream.set_nodelay(true).ok()?;
        let mut answer = Vec::new();
        let (status, _) = exchange(&mut stream, request, &mut answer).await?;
        Some((status, answer))
    };
    tokio::time::timeout(patience, asked).await.ok()?
}

/// One request on a connection of its own, closed before anybody could answer; true when all of it has left.
pub async fn tell(address: SocketAddr, request: &[u8]) -> bool {
    let Ok(mut stream) = TcpStream::connect(address).await else { return false };
    let _ = stream.set_nodelay(true);
    stream.write_all(request).await.is_ok()
}

/// Whether a portal's reply says so.
pub fn says_ok(body: &[u8]) -> bool {
    serde_json::from_slice::<serde_json::Value>(body).is_ok_and(|reply| reply["OK"] == true)
}
