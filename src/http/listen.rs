//! The listening sockets of both sides: opening them, taking connections, saying that none can be taken. Beside `front`
//! and `watched` the only file that knows of asynchronous input and output.

use std::fs::Permissions;
use std::io;
use std::net::IpAddr;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, UnixListener};
use tokio::time::Instant;

use super::Side;
use super::limits::Bind;
use super::watched::Stream;

/// Connections that may wait to be accepted: a burst of portals that reconnect must not be turned away.
const BACKLOG: u32 = 1024;
/// The pause after an accept that failed for want of descriptors.
pub(super) const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Between two warnings about that.
const TELL_EVERY: Duration = Duration::from_secs(30);

/// An open port.
pub(super) enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// Opens a port.
pub(super) fn listen(bind: &Bind, side: Side) -> io::Result<Listener> {
    match bind {
        Bind::Tcp(address) => {
            let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
            // A restart must not wait for the last connections' time to run out.
            socket.set_reuseaddr(true)?;
            socket.bind(*address)?;
            Ok(Listener::Tcp(socket.listen(BACKLOG)?))
        }
        Bind::Unix(path) => {
            clear(path)?;
            let listener = UnixListener::bind(path)?;
            // Public means what a port on loopback would: anybody on this machine, such as a proxy with a user of its own.
            // The admin side is for its user and group.
            let mode = if side == Side::Public { 0o666 } else { 0o660 };
            std::fs::set_permissions(path, Permissions::from_mode(mode))?;
            Ok(Listener::Unix(listener))
        }
    }
}

/// A socket that nobody listens on is what a killed server left behind. Anything else of that name is somebody's file:
/// a slip in the configuration must not delete it.
fn clear(path: &Path) -> io::Result<()> {
    match std::fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => match std::os::unix::net::UnixStream::connect(path) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => std::fs::remove_file(path),
            Ok(_) | Err(_) => Ok(()),
        },
        Ok(_) => Err(io::Error::new(io::ErrorKind::AlreadyExists, "there is a file of that name that is no socket")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Its address as the `ready` line shows it, with the real port.
pub(super) fn name(scheme: &str, listener: &Listener) -> String {
    match listener {
        Listener::Tcp(listener) => {
            listener.local_addr().map_or_else(|_| String::new(), |address| format!("{scheme}://{address}"))
        }
        Listener::Unix(listener) => {
            let address = listener.local_addr().ok();
            let path = address.as_ref().and_then(|address| address.as_pathname());
            format!("unix:{}", path.map(|path| path.display().to_string()).unwrap_or_default())
        }
    }
}

/// Accepting that fails: said once a while, not twenty times a second, and said when it is over.
#[derive(Default)]
pub(super) struct Trouble {
    failed: u64,
    last: Option<Instant>,
    told: Option<Instant>,
}

impl Trouble {
    pub(super) fn tell(&mut self, error: &io::Error) {
        let now = Instant::now();
        self.failed = self.failed.saturating_add(1);
        self.last = Some(now);
        if self.told.is_none_or(|told| now.duration_since(told) >= TELL_EVERY) {
            self.told = Some(now);
            log::warn!(attempts = self.failed, error:% = error; "a connection could not be accepted");
        }
    }

    /// Descriptors come and go one by one: only a while without failures counts as recovery.
    pub(super) fn over(&mut self) {
        if self.last.is_some_and(|last| last.elapsed() >= 4 * ACCEPT_PAUSE) {
            log::info!(attempts = self.failed; "connections are accepted again");
            (self.failed, self.last) = (0, None);
        }
    }
}

/// The next connection.
pub(super) async fn next(listener: &Listener) -> io::Result<(Box<dyn Stream>, Option<IpAddr>)> {
    match listener {
        Listener::Tcp(listener) => {
            let (stream, peer) = listener.accept().await?;
            let _ = stream.set_nodelay(true);
            Ok((Box::new(stream), Some(peer.ip())))
        }
        Listener::Unix(listener) => Ok((Box::new(listener.accept().await?.0), None)),
    }
}
