//! The same job on the stack that connectors are usually built with: nginx, PHP-FPM, a table in MariaDB as the queue, one
//! sender process. Left out, and said so, where one of them is not installed.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::Bench;
use super::rig::{Delivering, WARM_UP, steady};
use super::table::{Table, Target, Verdicts};
use crate::support::fill::{self, LICENCE_KEY, Line};
use crate::support::load::{Load, Until};
use crate::support::portal::Sink;
use crate::support::process;

const LINES: usize = 10;
/// Processes of PHP, as in the comparison of `limits.md` E.
const CHILDREN: usize = 16;
const PATIENCE: Duration = Duration::from_secs(30);
const OURS: &str = "trunkline";
const PEER: &str = "PHP + MariaDB";

pub fn run(bench: &Bench) {
    let Some(programs) = Programs::find() else { return };
    let mut table = Table::default();
    for round in 0..bench.rounds {
        let pair = Delivering::start(bench, LINES);
        let (before, build) = (process::cpu(pair.server.pid()), fill::webhooks(&pair.lines, &format!("{round}")));
        let slice = steady(bench.slice, &pair.server, &build);
        table.note(OURS, "accepted/s", slice.accepted);
        table.note(OURS, "delivered/s", slice.delivered);
        table.note(OURS, "accept 99 % ms", slice.outcome.latency.millis(0.99));
        if pair.drain(0.0, PATIENCE) {
            let cpu = process::cpu(pair.server.pid()).saturating_sub(before);
            table.note(OURS, "CPU µs", cpu.as_secs_f64() * 1e6 / slice.outcome.ok as f64);
        }
        table.note(OURS, "MB at most", pair.server.usage().peak_mb);
        drop(pair);
        Peer::start(&programs, bench).measure(bench, &mut table, round);
    }
    table.print();
    let mut verdicts = Verdicts::default();
    verdicts.add("delivered : PHP + MariaDB", &table.ratio("delivered/s", OURS, PEER), Target::AtLeast(5.0));
    verdicts.add("accepted : PHP + MariaDB", &table.ratio("accepted/s", OURS, PEER), Target::None);
    verdicts.print();
}

/// Where the peer's programs are.
struct Programs {
    install: PathBuf,
    database: PathBuf,
    client: PathBuf,
    fpm: PathBuf,
    nginx: PathBuf,
}

impl Programs {
    fn find() -> Option<Self> {
        let find = |start: &str| {
            let found = ["/usr/sbin", "/usr/bin"].iter().find_map(|folder| {
                let names = std::fs::read_dir(folder).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
                let rest = |path: &PathBuf| Some(path.file_name()?.to_str()?.strip_prefix(start)?.to_owned());
                // `php-fpm8.2` counts as `php-fpm`.
                names
                    .filter(|path| rest(path).is_some_and(|rest| rest.chars().all(|c| c.is_ascii_digit() || c == '.')))
                    .max()
            });
            if found.is_none() {
                println!("left out: {start} is not installed");
            }
            found
        };
        Some(Self {
            install: find("mariadb-install-db")?,
            database: find("mariadbd")?,
            client: find("mariadb")?,
            fpm: find("php-fpm")?,
            nginx: find("nginx")?,
        })
    }
}

/// The running stack; killed when dropped.
struct Peer {
    children: Vec<Child>,
    client: PathBuf,
    socket: PathBuf,
    address: SocketAddr,
    lines: Vec<Line>,
    sink: Sink,
    folder: tempfile::TempDir,
}

impl Drop for Peer {
    fn drop(&mut self) {
        // The sender and the front first, the database last. PHP's own children end when they are told to.
        for child in self.children.iter_mut().rev() {
            let _ = Command::new("kill").arg(child.id().to_string()).status();
            let _ = child.wait();
        }
    }
}

impl Peer {
    fn start(programs: &Programs, bench: &Bench) -> Self {
        let folder = tempfile::Builder::new().prefix("peer-").tempdir_in(&bench.folder).unwrap();
        let sink = Sink::start(LINES);
        let mut peer = Self {
            children: Vec::new(),
            client: programs.client.clone(),
            socket: folder.path().join("db.sock"),
            address: free_address(),
            lines: Vec::new(),
            sink,
            folder,
        };
        peer.start_database(programs);
        peer.fill();
        peer.start_front(programs);
        let mut sender = Command::new("php");
        sender.arg(source("send.php")).arg(&peer.socket).arg(LICENCE_KEY);
        peer.spawn(sender, "send");
        peer
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn spawn(&mut self, mut command: Command, name: &str) {
        let log = std::fs::File::create(self.path(&format!("{name}.log"))).unwrap();
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        self.children.push(child);
    }

    fn start_database(&mut self, programs: &Programs) {
        let data = format!("--datadir={}", self.path("data").display());
        let made = Command::new(&programs.install)
            .args(["--no-defaults", &data, "--skip-test-db", "--auth-root-authentication-method=normal"])
            .args(as_root("--user=root"))
            .env_remove("LD_PRELOAD")
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let mut server = Command::new(&programs.database);
        server.args(["--no-defaults", &data, "--skip-networking", "--innodb-flush-log-at-trx-commit=1"]);
        server.args(["--innodb-buffer-pool-size=256M", "--innodb-log-file-size=256M"]);
        server.arg(format!("--socket={}", self.socket.display())).args(as_root("--user=root"));
        self.spawn(server, "database");
        self.wait_for(|peer| UnixStream::connect(&peer.socket).is_ok());
        self.query("", "create database peer");
    }

    fn fill(&mut self) {
        self.query("peer", &std::fs::read_to_string(source("schema.sql")).unwrap());
        for (index, url) in self.sink.urls().into_iter().enumerate() {
            let line = Line { id: index as i64 + 1, hash: format!("{:064x}", index + 1) };
            self.query("peer", &format!("insert into line values ({}, '{}', '{url}')", line.id, line.hash));
            self.lines.push(line);
        }
    }

    fn start_front(&mut self, programs: &Programs) {
        let fpm = self.path("fpm.sock");
        let conf = format!(
            "[global]\ndaemonize = no\nerror_log = /dev/null\n[www]\nlisten = {}\n{}\
             pm = static\npm.max_children = {CHILDREN}\nphp_admin_flag[opcache.enable] = on\n",
            fpm.display(),
            if is_root() { "user = root\ngroup = root\n" } else { "" }
        );
        std::fs::write(self.path("fpm.conf"), conf).unwrap();
        let mut php = Command::new(&programs.fpm);
        php.arg("--nodaemonize").arg("-y").arg(self.path("fpm.conf")).args(as_root("-R"));
        self.spawn(php, "php");
        self.wait_for(|_| UnixStream::connect(&fpm).is_ok());
        let conf = format!(
            "{}daemon off;\nmaster_process off;\npid nginx.pid;\nerror_log stderr error;\nevents {{}}\nhttp {{\n\
             access_log off;\nkeepalive_requests 100000000;\nclient_body_temp_path body;\nfastcgi_temp_path fastcgi;\n\
             proxy_temp_path proxy;\nuwsgi_temp_path uwsgi;\nscgi_temp_path scgi;\n\
             upstream php {{ server unix:{}; }}\n\
             server {{\nlisten {};\nlocation / {{\nfastcgi_pass php;\n\
             fastcgi_param SCRIPT_FILENAME {};\nfastcgi_param REQUEST_METHOD $request_method;\n\
             fastcgi_param QUERY_STRING $query_string;\nfastcgi_param CONTENT_TYPE $content_type;\n\
             fastcgi_param CONTENT_LENGTH $content_length;\nfastcgi_param DB_SOCKET {};\n}}\n}}\n}}\n",
            if is_root() { "user root;\n" } else { "" },
            fpm.display(),
            self.address,
            source("accept.php").display(),
            self.socket.display(),
        );
        std::fs::write(self.path("nginx.conf"), conf).unwrap();
        let mut nginx = Command::new(&programs.nginx);
        nginx.arg("-p").arg(self.path("")).args(["-c", "nginx.conf", "-e", "stderr"]);
        self.spawn(nginx, "nginx");
        self.wait_for(|peer| TcpStream::connect(peer.address).is_ok());
    }

    fn wait_for(&mut self, is_there: impl Fn(&Self) -> bool) {
        let begin = Instant::now();
        while !is_there(self) {
            let ended = self.children.iter_mut().any(|child| child.try_wait().unwrap().is_some());
            assert!(!ended && begin.elapsed() < PATIENCE, "the peer does not start; see {}", self.path("").display());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn query(&self, database: &str, sql: &str) -> String {
        let mut client = Command::new(&self.client);
        client.args(["--no-defaults", "-N", "-B", "-u", "root"]).arg(format!("--socket={}", self.socket.display()));
        let out = client.args(["-e", sql, database]).env_remove("LD_PRELOAD").output().unwrap();
        assert!(out.status.success(), "{sql}: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap()
    }

    /// Messages accepted and delivered so far.
    fn figures(&self) -> (f64, f64) {
        let out = self.query("peer", "select (select count(*) from seen), (select count(*) from queue)");
        let counts: Vec<f64> = out.split_whitespace().map(|word| word.parse().unwrap()).collect();
        (counts[0], counts[0] - counts[1])
    }

    fn cpu(&self) -> Duration {
        let children = |pid: u32| std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
        let own = self.children.iter().map(Child::id);
        let all = own.flat_map(|pid| {
            let below: Vec<u32> = children(pid).split_whitespace().map(|pid| pid.parse().unwrap()).collect();
            std::iter::once(pid).chain(below)
        });
        all.map(process::cpu).sum()
    }

    fn measure(&self, bench: &Bench, table: &mut Table, round: usize) {
        let build = fill::webhooks(&self.lines, &format!("{round}"));
        let (cpu, stop) = (self.cpu(), Arc::new(AtomicBool::new(false)));
        let load = Load { until: Until::Told(Arc::clone(&stop)), ..Load::for_requests(self.address, 64, 0, &build) };
        let load = load.spawn();
        std::thread::sleep(WARM_UP);
        let (before, begin) = (self.figures(), Instant::now());
        std::thread::sleep(bench.slice);
        let (after, seconds) = (self.figures(), begin.elapsed().as_secs_f64());
        stop.store(true, Ordering::Relaxed);
        let outcome = load.join().unwrap();
        assert!(outcome.is_clean(), "answers {:?}, broken connections {}", outcome.other, outcome.broken);
        table.note(PEER, "accepted/s", (after.0 - before.0) / seconds);
        table.note(PEER, "delivered/s", (after.1 - before.1) / seconds);
        table.note(PEER, "accept 99 % ms", outcome.latency.millis(0.99));
        let begin = Instant::now();
        while self.figures().1 < self.figures().0 {
            assert!(begin.elapsed() < PATIENCE, "the peer's sender is stuck");
            std::thread::sleep(Duration::from_millis(20));
        }
        assert!(self.figures().0 as u64 == outcome.ok, "a message is missing");
        table.note(PEER, "CPU µs", self.cpu().saturating_sub(cpu).as_secs_f64() * 1e6 / outcome.ok as f64);
    }
}

fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peer").join(name)
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// These programs want to be told that it is meant.
fn as_root(word: &'static str) -> Option<&'static str> {
    is_root().then_some(word)
}

fn free_address() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap()
}
