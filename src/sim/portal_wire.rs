//! How the portal's twin calls the server: awaited commands read to the end of the stream, no-wait commands are written
//! and the connection is closed, as the module's versions do (`portal-box.md` §3.1).

#![expect(clippy::indexing_slicing, reason = "a missing key of a JSON value is null, not a panic")]

use std::io::Write;
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use serde_json::Value as Json;

use crate::net::{Call, Net, Reach};
use crate::portals::boxed::php::Value;
use crate::portals::boxed::portal_side::Identity;

/// Longest wait for the server.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Why the server did not do what the portal asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallError {
    /// No answer.
    Unreachable(String),
    /// An answer that is not of the protocol.
    NotJson,
    /// `OK:false` with these words.
    Refused(String),
}

impl std::fmt::Display for CallError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unreachable(why) => write!(f, "the connector server can't be reached: {why}"),
            Self::NotJson => f.write_str("the connector server answered something that is no reply"),
            Self::Refused(why) => write!(f, "the connector server refused: {why}"),
        }
    }
}

impl std::error::Error for CallError {}

/// The portal's way to the server.
#[derive(Debug)]
pub(super) struct Wire {
    pub identity: Identity,
    pub server: String,
}

impl Wire {
    fn address(&self) -> String {
        format!("{}/imwebhook/portal.php", self.server.trim_end_matches('/'))
    }

    /// A command whose reply somebody waits for; gives `DATA`.
    pub(super) fn ask(
        &self,
        net: &dyn Net,
        command: &str,
        connector: &str,
        line: Option<&str>,
        args: Vec<Value>,
    ) -> Result<Json, CallError> {
        let answer = net
            .call(Call {
                method: "POST",
                url: self.address(),
                headers: vec![
                    ("Content-Type".to_owned(), "application/x-www-form-urlencoded".to_owned()),
                    ("Connection".to_owned(), "close".to_owned()),
                ],
                body: self.identity.command(command, connector, line, args).into_bytes(),
                reach: Reach::Configured,
                timeout: TIMEOUT,
                answer_max_bytes: 1024 * 1024,
            })
            .map_err(|error| CallError::Unreachable(error.to_string()))?;
        let reply: Json = serde_json::from_slice(&answer.body).map_err(|_| CallError::NotJson)?;
        if reply["OK"] == true {
            Ok(reply["DATA"].clone())
        } else {
            Err(CallError::Refused(reply["ERROR"][0]["MESSAGE"].as_str().unwrap_or("no reason given").to_owned()))
        }
    }

    /// A command that nobody waits for. Up to version 20 the portal closes as soon as it has written; from 23 on it reads
    /// the head of the answer first.
    pub(super) fn tell(
        &self,
        net: &dyn Net,
        command: &str,
        connector: &str,
        line: &str,
        args: Vec<Value>,
    ) -> Result<(), CallError> {
        let newer = self.identity.major() >= 23;
        let Some((host, prefix)) = self.server.strip_prefix("http://").filter(|_| !newer).map(split) else {
            return self.ask(net, command, connector, Some(line), args).map(drop);
        };
        let body = self.identity.command(command, connector, Some(line), args);
        let unreachable = |error: std::io::Error| CallError::Unreachable(error.to_string());
        let address = host.to_socket_addrs().map_err(unreachable)?.next();
        let address = address.ok_or_else(|| CallError::Unreachable(format!("`{host}` has no address")))?;
        let mut stream = TcpStream::connect_timeout(&address, TIMEOUT).map_err(unreachable)?;
        stream.set_write_timeout(Some(TIMEOUT)).map_err(unreachable)?;
        let name = host.split(':').next().unwrap_or(host);
        let head = format!(
            "POST {prefix}/imwebhook/portal.php HTTP/1.0\r\nUser-Agent: Bitrix Connector Client\r\nHost: {name}\r\n\
             Connection: close\r\nAccept: */*\r\nAccept-Language: en\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes())).map_err(unreachable)
    }
}

/// `host:port` and the path before `/imwebhook`.
fn split(rest: &str) -> (&str, &str) {
    let rest = rest.trim_end_matches('/');
    rest.find('/').map_or((rest, ""), |at| rest.split_at(at))
}
