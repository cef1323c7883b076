//! Two servers behind one nginx, with the configuration that the documents show. Left out, and said so, where nginx is
//! not installed. It runs in the foreground on a free loopback port, as whoever runs the tests.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rustls::version::{TLS12, TLS13};
use rustls::{StreamOwned, SupportedProtocolVersion};
use serde_json::Value as Json;
use trunkline::portals::boxed::php::Value;

use crate::commands::{Channel, House, OFF, house_of};
use crate::crash::activity;
use crate::support::raw::tls_client_for;
use crate::support::until;

const WAIT: Duration = Duration::from_secs(30);
const NAMES: [&str; 3] = ["im.example.com", "a.im.example.com", "b.im.example.com"];
/// What the shown file is embedded in: both versions of TLS as distributions have it, and one process, so that its end is
/// the end of nginx.
const AROUND: &str = "
daemon off;
master_process off;
pid nginx.pid;
error_log stderr warn;
events {}
http {
    access_log off;
    ssl_protocols TLSv1.2 TLSv1.3;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    include shown.conf;
}
";

fn document(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

/// Where Debian puts it is in no ordinary user's path.
fn nginx() -> Option<&'static str> {
    let is_there = |name: &&str| Command::new(name).arg("-v").stderr(Stdio::null()).status().is_ok();
    let found = ["nginx", "/usr/sbin/nginx"].into_iter().find(is_there);
    if found.is_none() {
        println!("left out: nginx can't be run");
    }
    found
}

/// A loopback address that nobody else uses, neither another test nor the end of somebody's connection: a port on it that
/// was free a moment ago still is.
fn own_address() -> String {
    static MADE: AtomicU32 = AtomicU32::new(0);
    let number = std::process::id() * 4 + MADE.fetch_add(1, Ordering::SeqCst);
    let [_, a, b, c] = number.to_be_bytes();
    format!("127.{a}.{b}.{c}")
}

fn free_port(address: &str) -> u16 {
    TcpListener::bind((address, 0)).unwrap().local_addr().unwrap().port()
}

fn replaced(text: &str, what: &str, times: usize, with: &str) -> String {
    assert_eq!(text.matches(what).count(), times, "`{what}` in docs/nginx.conf.example");
    text.replace(what, with)
}

/// A running nginx; killed when dropped.
struct Nginx {
    child: Child,
    /// Address and port.
    listens: String,
    folder: tempfile::TempDir,
}

impl Nginx {
    /// The shown configuration on a port of `address`, before the servers at these addresses.
    fn start(program: &str, address: &str, servers: [&str; 2]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let now = trunkline::clock::UnixMillis(1_790_000_000_000);
        let (cert, key) = trunkline::http::tls::self_signed(&NAMES.map(str::to_owned), now).unwrap();
        std::fs::write(folder.path().join("cert.pem"), cert).unwrap();
        std::fs::write(folder.path().join("key.pem"), key).unwrap();
        std::fs::write(folder.path().join("nginx.conf"), AROUND).unwrap();
        let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        let shown = document("docs/nginx.conf.example");
        let shown = replaced(&shown, "/etc/ssl/im.example.com.pem", 2, &file("cert.pem"));
        let shown = replaced(&shown, "/etc/ssl/im.example.com.key", 2, &file("key.pem"));
        let shown = replaced(&shown, "server 127.0.0.1:8080;", 1, &format!("server {};", servers[0]));
        let shown = replaced(&shown, "server 127.0.0.1:8090;", 1, &format!("server {};", servers[1]));
        let listens = format!("{address}:{}", free_port(address));
        let shown = replaced(&shown, "listen 443 ssl;", 2, &format!("listen {listens} ssl;"));
        std::fs::write(folder.path().join("shown.conf"), shown).unwrap();
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let mut command = Command::new(program);
        command.arg("-p").arg(folder.path()).args(["-c", "nginx.conf", "-e", "stderr"]);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        let mut nginx = Self { child, listens, folder };
        until("nginx listens", WAIT, || {
            assert!(nginx.child.try_wait().unwrap().is_none(), "nginx has ended");
            TcpStream::connect(&nginx.listens).is_ok()
        });
        nginx
    }

    /// A connection to one of the names, its handshake done.
    fn connect(
        &self,
        host: &str,
        version: &'static SupportedProtocolVersion,
    ) -> StreamOwned<rustls::ClientConnection, TcpStream> {
        let stream = TcpStream::connect(&self.listens).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(70))).unwrap();
        let client = tls_client_for(self.folder.path(), version, host);
        let mut stream = StreamOwned::new(client, stream);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock).unwrap();
        }
        stream
    }

    /// Asks and reads to the end; status and body.
    fn post(&self, url: &str, kind: &str, body: &str) -> (u16, String) {
        let (host, path) = parts(url);
        let mut stream = self.connect(host, &TLS13);
        stream.write_all(request(host, path, kind, body).as_bytes()).unwrap();
        let mut answer = Vec::new();
        // nginx ends the connection without a word of TLS.
        let _ = stream.read_to_end(&mut answer);
        let answer = String::from_utf8(answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer from {url}: {answer}"));
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    /// A webhook of the channel.
    fn hook(&self, url: &str, body: &str) -> u16 {
        self.post(url, "application/json", body).0
    }

    /// A command of a portal that waits for its answer.
    fn command(&self, base: &str, body: &str) -> Json {
        let (status, text) = self.post(&portal_php(base), FORM, body);
        assert_eq!(status, 200, "{text}");
        serde_json::from_str(&text).unwrap()
    }

    /// A command of a portal that writes it and closes, as portals send operators' messages.
    fn shout(&self, base: &str, version: &'static SupportedProtocolVersion, body: &str) {
        let url = portal_php(base);
        let (host, path) = parts(&url);
        let mut stream = self.connect(host, version);
        stream.write_all(request(host, path, FORM, body).as_bytes()).unwrap();
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            println!("nginx: {}", std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default());
        }
    }
}

const FORM: &str = "application/x-www-form-urlencoded";

fn portal_php(base: &str) -> String {
    format!("{base}/imwebhook/portal.php")
}

/// Host and path of an address.
fn parts(url: &str) -> (&str, &str) {
    let rest = url.strip_prefix("https://").unwrap();
    rest.split_at(rest.find('/').unwrap())
}

/// As a portal of 2017 writes it.
fn request(host: &str, path: &str, kind: &str, body: &str) -> String {
    format!(
        "POST {path} HTTP/1.0\r\nHost: {host}\r\nConnection: close\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// A server with its portal and its channel.
struct Side {
    house: House,
    channel: Channel,
    /// The address by path, which is the server's `public_url`.
    by_path: String,
    by_name: String,
}

impl Side {
    fn start(letter: &str, address: &str) -> Self {
        let by_path = format!("https://im.example.com/{letter}");
        let config = format!("public_url = \"{by_path}\"\n{OFF}");
        let house = house_of("17.0.14", &config, &format!("TEST-LICENCE-KEY-{letter}"), address);
        Self { house, channel: Channel::start(), by_path, by_name: format!("https://{letter}.im.example.com") }
    }

    fn address(&self) -> &str {
        self.house.server.public.trim_start_matches("http://")
    }

    fn bases(&self) -> [&str; 2] {
        [&self.by_path, &self.by_name]
    }

    /// Connects a bot of its own through nginx, as an administrator does on the portal's page; gives the webhook address
    /// that the page shows.
    fn connect(&self, nginx: &Nginx, app: &str) -> String {
        let call = |command: &str, args: Vec<Value>| {
            nginx.command(&self.by_path, &self.house.portal.command(command, "botframework", Some("7"), args))
        };
        let settings =
            [("bot_handle", Value::text("shop")), ("app_id", Value::text(app)), ("app_secret", Value::text("s3cret"))];
        let saved = call("saveSettingsBotFramework", vec![Value::map(settings)]);
        assert_eq!(saved["OK"], true, "{saved}");
        let form = call("getAuthorizationInformation", vec![]);
        form["DATA"]["RESULT"]["URL_WEBHOOK"].as_str().unwrap().to_owned()
    }

    /// What a customer writes; the chat's answers go to this side's channel.
    fn activity(&self, mark: &str) -> String {
        activity(mark).replace("http://127.0.0.1:9/", &self.channel.url)
    }

    fn heard(&self, mark: &str) -> usize {
        self.house.ear.heard.lock().unwrap().iter().filter(|data| data.contains(&format!("\"{mark}\""))).count()
    }
}

/// Both sides behind nginx, each with a connected bot; and the addresses of their webhooks, by path.
fn both() -> Option<(Nginx, [Side; 2], [String; 2])> {
    let program = nginx()?;
    let address = own_address();
    let sides = ["a", "b"].map(|letter| Side::start(letter, &address));
    let nginx = Nginx::start(program, &address, [sides[0].address(), sides[1].address()]);
    let hooks = [0, 1].map(|at| sides[at].connect(&nginx, &format!("{at}1111111-2222-3333-4444-555555555555")));
    Some((nginx, sides, hooks))
}

#[test]
fn webhooks_and_commands_reach_the_server_whose_they_are() {
    let Some((nginx, sides, hooks)) = both() else { return };
    for (side, hook) in sides.iter().zip(&hooks) {
        let query = hook.strip_prefix(&format!("{}/imwebhook/?hash=", side.by_path));
        let hash = query.unwrap_or_else(|| panic!("{hook} carries the prefix"));
        for (number, url) in [
            hook.clone(),
            format!("{}/imwebhook/h/{hash}", side.by_path),
            format!("{}/imwebhook/?hash={hash}", side.by_name),
        ]
        .iter()
        .enumerate()
        {
            let mark = format!("mark-{number}-of-{}", side.by_path.replace('/', "-"));
            assert_eq!(nginx.hook(url, &side.activity(&mark)), 200, "{url}");
            until(&mark, WAIT, || side.heard(&mark) == 1);
            assert_eq!(sides.iter().map(|side| side.heard(&mark)).sum::<usize>(), 1, "{mark} at one portal only");
        }
        // The other one knows neither the address nor the portal.
        let other = sides.iter().find(|other| other.by_path != side.by_path).unwrap();
        for base in other.bases() {
            let (status, body) =
                nginx.post(&format!("{base}/imwebhook/?hash={hash}"), "application/json", &side.activity("astray"));
            assert_eq!(status, 404, "{body}");
            assert_eq!(serde_json::from_str::<Json>(&body).unwrap()["error"]["code"], "UNKNOWN_HASH");
            let list = side.house.portal.command("listConnector", "all", None, vec![]);
            let refused = nginx.command(base, &list);
            assert_eq!((&refused["OK"], &refused["ERROR"][0]["CODE"]), (&false.into(), &"LICENCE_ERROR".into()));
        }
        for base in side.bases() {
            let list = nginx.command(base, &side.house.portal.command("listConnector", "all", None, vec![]));
            assert_eq!(list["DATA"]["botframework"], "botframework", "{list}");
        }
    }
    assert_eq!(sides.iter().map(|side| side.heard("astray")).sum::<usize>(), 0);
    let (status, _) = nginx.post("https://im.example.com/imwebhook/?hash=00", "application/json", "{}");
    assert_eq!(status, 404, "without a prefix it is nobody's");
    for side in &sides {
        assert_eq!(side.house.server.metric("trunkline_accounting_difference"), 0.0);
    }
}

/// `portal-box-observed.md`: the portal does not wait. nginx's default would give up the request with its client.
#[test]
fn operators_messages_arrive_whose_portal_hangs_up_at_once() {
    const EACH: i64 = 15;
    let Some((nginx, sides, hooks)) = both() else { return };
    for (side, hook) in sides.iter().zip(&hooks) {
        // An operator can only answer in a chat that is known.
        assert_eq!(nginx.hook(hook, &side.activity("mark-1")), 200);
    }
    // Longer than what a socket takes at once, up to a long answer with a picture in it.
    let ballast = |number: i64| "x".repeat([0, 40_000, 300_000][usize::try_from(number).unwrap() % 3]);
    for number in 0..EACH {
        for side in &sides {
            for (way, base) in side.bases().into_iter().enumerate() {
                let params = Value::map([("ballast", Value::text(ballast(number)))]);
                let id = number * 2 + i64::try_from(way).unwrap();
                let version = if number % 2 == 0 { &TLS13 } else { &TLS12 };
                nginx.shout(base, version, &side.house.said_with(1_000 + id, &format!("answer-{id}."), params));
            }
        }
    }
    for side in &sides {
        let sent = || (0..EACH * 2).filter(|id| side.channel.count(&format!("answer-{id}.")) == 1).count();
        until("every answer is in its chat once", Duration::from_secs(60), || {
            sent() == usize::try_from(EACH).unwrap() * 2
        });
        assert_eq!(side.channel.count("answer-"), usize::try_from(EACH).unwrap() * 2);
    }
}

#[test]
fn a_stopped_server_does_not_hurt_the_portals_of_the_other() {
    let Some((nginx, sides, hooks)) = both() else { return };
    let [well, mut stopped] = sides;
    let address = stopped.address().to_owned();
    let restarted = stopped.house.place.command(&["serve", "--listen", &address]);
    assert_eq!(stopped.house.server.terminate(), Some(0));

    assert_eq!(nginx.hook(&hooks[1], &activity("mark-1")), 502, "the channel sends it again");
    assert_eq!(nginx.post(&portal_php(&stopped.by_name), FORM, "x").0, 502);
    for (number, base) in well.bases().into_iter().enumerate() {
        let (mark, answer) = (format!("mark-{number}"), format!("answer-{number}."));
        let url = hooks[0].replace(&well.by_path, base);
        assert_eq!(nginx.hook(&url, &well.activity(&mark)), 200);
        until(&mark, WAIT, || well.heard(&mark) == 1);
        nginx.shout(base, &TLS13, &well.house.said(2_000 + i64::try_from(number).unwrap(), &answer));
        until(&answer, WAIT, || well.channel.count(&answer) == 1);
    }

    stopped.house.server = stopped.house.place.start(restarted);
    let body = activity("mark-1").replace("http://127.0.0.1:9/", &stopped.channel.url);
    assert_eq!(nginx.hook(&hooks[1], &body), 200, "nginx needs no word that it is back");
    let heard = stopped.house.ear.heard.clone();
    until("mark-1", WAIT, || heard.lock().unwrap().iter().any(|data| data.contains("\"mark-1\"")));
}

/// README explains the lines; the shown file has them all.
#[test]
fn what_the_readme_says_of_nginx_stands_in_the_example() {
    let (readme, example) = (document("README.md"), document("docs/nginx.conf.example"));
    let block = readme.split("```nginx").nth(1).unwrap().split("```").next().unwrap();
    let lines = block.lines().map(str::trim).filter(|line| line.ends_with(';') && !line.starts_with("proxy_pass"));
    let lines: Vec<&str> = lines.collect();
    assert!(lines.len() >= 10, "{lines:?}");
    for line in lines {
        assert!(example.lines().any(|shown| shown.trim() == line), "`{line}` is missing");
    }
}
