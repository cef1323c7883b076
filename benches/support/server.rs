//! The real program as a process, with a folder of its own.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use trunkline::store::Store;

use super::process::{self, Usage};

/// What a test channel on this machine needs; `more` of a [`Place`] may add sections, not these.
const BASE: &str = "\
[bot_framework]
authentication = \"off\"
[network]
allow = [\"127.0.0.0/8\"]
";

/// A folder with configuration and data; it vanishes with this value.
#[derive(Debug)]
pub struct Place {
    folder: tempfile::TempDir,
    program: PathBuf,
    more: String,
}

impl Place {
    /// A new folder inside `parent` for `program`, which listens on ports of the system's choice. `more` is added to the
    /// configuration: whole sections but `[bot_framework]` and `[network]`.
    pub fn new(parent: &Path, program: &Path, more: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("trunkline-").tempdir_in(parent).unwrap();
        let place = Self { folder, program: program.to_owned(), more: more.to_owned() };
        place.configure("127.0.0.1:0", "127.0.0.1:0");
        place
    }

    fn configure(&self, listen: &str, admin: &str) {
        let data = self.data();
        let (data, more) = (data.to_str().unwrap(), &self.more);
        let text = format!("data_dir = {data:?}\nlisten = {listen:?}\nadmin_listen = {admin:?}\n{BASE}{more}\n");
        std::fs::write(self.path("trunkline.toml"), text).unwrap();
    }

    /// Makes every later start listen where this server listens, so that its clients find it again.
    pub fn keep_ports(&self, server: &Server) {
        self.configure(&server.public.to_string(), &server.admin.to_string());
    }

    /// A path inside the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Where the database is.
    pub fn data(&self) -> PathBuf {
        self.path("data")
    }

    /// Opens the database, for filling it while no server runs.
    pub fn store(&self) -> Store {
        Store::open(&self.data()).unwrap()
    }

    /// A command of the program with this place's configuration and no other.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        // What slows the syncs down (`machine`) must reach it, a stray setting must not.
        let kept = std::env::vars().filter(|(name, _)| name == "LD_PRELOAD" || name.starts_with("SYNC_DELAY"));
        command.env_clear().envs(kept).env("HOME", self.folder.path());
        command.arg("--config").arg(self.path("trunkline.toml")).args(args);
        command
    }

    /// Starts the server and waits until it takes requests.
    pub fn serve(&self) -> Server {
        let log = self.path("serve.log");
        let to_log = std::fs::OpenOptions::new().create(true).append(true).open(&log).unwrap();
        let begin = Instant::now();
        let mut child = self
            .command(&["--quiet", "serve"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(to_log)
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", self.program.display()));
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ready_after = begin.elapsed();
        let address = |key: &str| {
            let word = line.split_whitespace().find_map(|word| word.strip_prefix(key));
            word.and_then(|word| word.parse().ok())
        };
        let (Some(public), Some(admin)) = (address("public=http://"), address("admin=http://")) else {
            let _ = child.kill();
            let _ = child.wait();
            panic!("the server is not ready: {line}{}", std::fs::read_to_string(&log).unwrap());
        };
        Server { child, public, admin, ready_after, log }
    }
}

/// A running server; killed when dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    pub public: SocketAddr,
    pub admin: SocketAddr,
    /// From the start of the process to its ready line.
    pub ready_after: Duration,
    log: PathBuf,
}

impl Server {
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Memory, threads, processor time.
    pub fn usage(&self) -> Usage {
        process::usage(self.pid())
    }

    /// All of `/metrics`.
    pub fn figures(&self) -> Figures {
        Figures::read(self.admin)
    }

    /// What it has complained of, in all its runs in this place.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// SIGTERM, and waits for the end.
    pub fn terminate(mut self) -> ExitStatus {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        self.child.wait().unwrap()
    }

    /// SIGKILL.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits until the process has next to nothing to do: what follows a start, such as the check of the database, is
    /// over. False when it goes on for longer than `patience`.
    pub fn rests(&self, patience: Duration) -> bool {
        const LOOK: Duration = Duration::from_millis(500);
        let (begin, mut before) = (Instant::now(), process::cpu(self.pid()));
        while begin.elapsed() < patience {
            std::thread::sleep(LOOK);
            let now = process::cpu(self.pid());
            if now.saturating_sub(before) < LOOK / 20 {
                return true;
            }
            before = now;
        }
        false
    }

    /// Looks at the figures every few milliseconds until they are as wished; gives them, or none when it took longer than
    /// `patience`.
    pub fn wait_for(&self, patience: Duration, wish: impl Fn(&Figures) -> bool) -> Option<Figures> {
        let begin = Instant::now();
        while begin.elapsed() < patience {
            let figures = self.figures();
            if wish(&figures) {
                return Some(figures);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        None
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What `/metrics` said at one moment.
#[derive(Clone, Debug)]
pub struct Figures(BTreeMap<String, f64>);

impl Figures {
    /// Asks the admin side there.
    pub fn read(admin: SocketAddr) -> Self {
        let text = get(admin, "/metrics");
        let figures = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| {
            let (name, value) = line.rsplit_once(' ')?;
            Some((name.to_owned(), value.parse().ok()?))
        });
        Self(figures.collect())
    }

    /// The sum over all labels of `trunkline_NAME`; 0 for what is not shown yet.
    pub fn sum(&self, name: &str) -> f64 {
        let full = format!("trunkline_{name}");
        let is_it = |key: &str| key.strip_prefix(&full).is_some_and(|rest| rest.is_empty() || rest.starts_with('{'));
        // From 0: the sum of nothing is -0.
        self.0.iter().filter(|(key, _)| is_it(key)).fold(0.0, |sum, (_, value)| sum + value)
    }

    /// Messages taken in, both directions.
    pub fn accepted(&self) -> f64 {
        self.sum("accepted_total")
    }

    /// Messages confirmed by a portal or taken by a channel.
    pub fn confirmed(&self) -> f64 {
        self.sum("confirmed_total")
    }

    /// Messages that wait for a portal.
    pub fn queued(&self) -> f64 {
        self.sum("queued")
    }
}

/// The body of a page.
pub fn get(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{path}: {head}");
    body.to_owned()
}
