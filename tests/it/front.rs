//! The front against slow, broken and hostile clients: every row of the table of tiny_http's faults (`limits.md` A) is a
//! test of ours, and promise 10: each limit has a clear answer.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use trunkline::http::front::{Bind, Front, Limits};
use trunkline::http::{Request, Response};

use crate::support::http::Client;
use crate::support::program::{Place, Server};
use crate::support::until;

struct Port {
    front: Option<Front>,
    address: String,
    handled: Arc<AtomicUsize>,
}

fn limits() -> Limits {
    Limits {
        workers: 4,
        max_connections: 2000,
        max_body: 100_000,
        header_timeout: Duration::from_millis(400),
        body_timeout: Duration::from_millis(600),
        idle_timeout: Duration::from_secs(1),
        write_timeout: Duration::from_millis(600),
        head_max: 16 * 1024,
        queue: 600,
    }
}

fn port(limits: Limits) -> Port {
    let handled = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&handled);
    let handler: trunkline::http::front::Handler = Arc::new(move |request: Request| {
        count.fetch_add(1, Ordering::SeqCst);
        match request.path.as_str() {
            "/panic" => panic!("on purpose"),
            "/big" => Response::text(200, "text/plain", vec![b'x'; 3_000_000]),
            "/slow" => {
                std::thread::park_timeout(Duration::from_millis(300));
                Response::text(200, "text/plain", "slow")
            }
            _ => Response::text(200, "text/plain", format!("{} {}", request.method, request.body.len())),
        }
    });
    let any = Bind::Tcp("127.0.0.1:0".parse().unwrap());
    let front = Front::start(&any, &any, None, limits, &handler).unwrap();
    let address = front.public_addr().trim_start_matches("http://").to_owned();
    Port { front: Some(front), address, handled }
}

impl Port {
    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream
    }

    /// Sends bytes and reads until the server closes or `enough` was read.
    fn send(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect();
        let _ = stream.write_all(bytes);
        let _ = stream.shutdown(Shutdown::Write);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// A proper request is still served.
    fn is_well(&self) {
        let answer = self.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi");
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("POST 2"), "{answer}");
    }

    fn handled(&self) -> usize {
        self.handled.load(Ordering::SeqCst)
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        if let Some(front) = self.front.take() {
            front.stop();
        }
    }
}

/// The program with short deadlines, for rows that look at a process's memory, threads and descriptors.
fn program() -> (Place, Server) {
    let place = Place::new("[http]\nheader_timeout = \"1s\"\nidle_timeout = \"60s\"\n");
    let server = place.serve();
    (place, server)
}

fn connect(server: &Server) -> TcpStream {
    let stream = TcpStream::connect(server.public.trim_start_matches("http://")).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream
}

fn serves(server: &Server) -> bool {
    let answer = Client::connect(&server.public).and_then(|mut client| client.request("GET", "/healthz", "", b""));
    answer.is_ok_and(|answer| answer.status == 200)
}

/// Resident memory of a process, bytes.
fn resident(server: &Server) -> usize {
    let text = std::fs::read_to_string(format!("/proc/{}/statm", server.child.id())).unwrap();
    text.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

fn threads(server: &Server) -> usize {
    std::fs::read_dir(format!("/proc/{}/task", server.child.id())).unwrap().count()
}

#[test]
fn row_1_a_huge_content_length_costs_nothing() {
    let port = port(limits());
    for length in ["1000000000000", "18446744073709551615", "99999999999999999999999", "100001"] {
        let answer = port.send(format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\nabc").as_bytes());
        assert!(answer.starts_with("HTTP/1.1 4"), "{length}: {answer}");
    }
    assert_eq!(port.handled(), 0);
    port.is_well();
}

#[test]
fn row_2_other_http_versions_leave_nothing_behind() {
    let port = port(limits());
    for _ in 0..50 {
        for line in ["GET / HTTP/2.0", "GET / HTTP/3.0", "PRI * HTTP/2.0", "GET / HTTP/9", "nonsense"] {
            let answer = port.send(format!("{line}\r\nHost: x\r\n\r\n").as_bytes());
            assert!(!answer.contains("200"), "{line}: {answer}");
        }
    }
    assert_eq!(port.handled(), 0);
    port.is_well();
    let stats = Arc::clone(port.front.as_ref().unwrap().stats());
    until("no connection left", Duration::from_secs(5), || stats.open.load(Ordering::SeqCst) == 0);
}

#[test]
fn row_4_clients_that_close_or_reset_at_once_are_handled_500_of_500() {
    for reset in [false, true] {
        let port = port(limits());
        for _ in 0..500 {
            let mut stream = port.connect();
            stream.write_all(b"POST /x HTTP/1.0\r\nContent-Length: 5\r\n\r\n").unwrap();
            stream.write_all(b"hello").unwrap();
            if reset {
                rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).unwrap();
            }
        }
        until("500 of 500", Duration::from_secs(20), || port.handled() == 500);
        port.is_well();
    }
}

#[test]
fn row_5_endless_heads_are_cut_off() {
    let (_place, server) = program();
    let before = resident(&server);
    let floods: [&[u8]; 3] = [b"GET /", b"GET / HTTP/1.1\r\nX: ", b"GET / HTTP/1.1\r\n"];
    for start in floods {
        let mut stream = connect(&server);
        let _ = stream.write_all(start);
        let chunk = if start.ends_with(b"\r\n") { b"A: b\r\n".repeat(4000) } else { vec![b'a'; 24_000] };
        let mut sent = 0;
        while sent < 50_000_000 && stream.write_all(&chunk).is_ok() {
            sent += chunk.len();
        }
        assert!(sent < 50_000_000, "the connection was never closed");
    }
    assert!(resident(&server) < before + 10_000_000, "memory grew by {}", resident(&server) - before);
    assert!(serves(&server));
}

#[test]
fn row_6_a_pipelining_flood_is_bounded() {
    let (_place, server) = program();
    let before = resident(&server);
    let mut stream = connect(&server);
    stream.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
    let flood = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n".repeat(2000);
    let mut sent = 0_usize;
    // Nothing is read: the server must stop reading, not gather answers.
    while sent < 200_000_000 && stream.write_all(&flood).is_ok() {
        sent += flood.len();
    }
    assert!(sent < 200_000_000, "the server took everything");
    assert!(resident(&server) < before + 10_000_000, "memory grew by {}", resident(&server) - before);
    assert!(serves(&server));
}

#[test]
fn row_7_slow_bodies_hold_no_worker() {
    let port = port(limits());
    let slow: Vec<_> = (0..20)
        .map(|_| {
            let mut stream = port.connect();
            stream.write_all(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\nabc").unwrap();
            stream
        })
        .collect();
    port.is_well();
    for mut stream in slow {
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    }
}

#[test]
fn row_8_slow_heads_and_idle_connections_end() {
    let port = port(limits());
    let mut slow = port.connect();
    let mut idle = port.connect();
    idle.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    // A byte now and then does not buy time.
    let mut bytes = b"GET / HTTP/1.1\r\nHost: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa".iter();
    slow.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    until("the slow head's end", Duration::from_secs(5), || {
        if let Some(byte) = bytes.next()
            && slow.write_all(&[*byte]).is_err()
        {
            return true;
        }
        matches!(slow.read(&mut [0; 64]), Ok(0)) || bytes.len() == 0
    });
    assert!(bytes.len() > 0, "the head was waited for to its end");
    let mut answer = String::new();
    idle.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "served once, then closed: {answer}");
    port.is_well();
}

#[test]
fn row_10_a_cut_body_never_reaches_a_handler() {
    let port = port(limits());
    port.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\nhello");
    port.send(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel");
    port.send(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
    let whole = port.send(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
    assert!(whole.starts_with("HTTP/1.1 200") && whole.ends_with("POST 5"), "{whole}");
    assert!(whole.to_lowercase().contains("connection: close"), "no two parties may disagree about the next request");
    assert_eq!(port.handled(), 1);
}

#[test]
fn row_11_ambiguous_framing_is_refused() {
    let port = port(limits());
    for head in [
        "Content-Length: 5\r\nContent-Length: 40",
        "Content-Length: abc",
        "Content-Length: -1",
        "Content-Length: +5",
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: identity",
        "X: a\u{0}b\r\nContent-Length: 5",
    ] {
        let smuggled = "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n";
        let answer = port.send(format!("POST / HTTP/1.1\r\nHost: x\r\n{head}\r\n\r\nhello{smuggled}").as_bytes());
        assert!(!answer.contains("200 OK"), "{head}: {answer}");
    }
    assert_eq!(port.handled(), 0);
    let answer = port.send(b"POST / HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 411"), "{answer}");
    port.is_well();
}

#[test]
fn row_3_a_server_out_of_descriptors_recovers() {
    let place = Place::new("[http]\nworkers = 2\n[queue]\ndelivery_workers = 2\n[outbox]\nchannel_workers = 2\n");
    let server = place.serve_with_descriptors(100);
    let many: Vec<_> = (0..300).map(|_| connect(&server)).collect();
    until("no descriptors", Duration::from_secs(10), || server.log.text().contains("could not be accepted"));
    drop(many);
    until("recovery", Duration::from_secs(10), || serves(&server));
}

#[test]
fn row_12_a_thousand_idle_connections_disturb_nobody() {
    let (_place, server) = program();
    let before = (threads(&server), resident(&server));
    let idle: Vec<_> = (0..1000)
        .map(|_| {
            // Each has asked once, so that it idles between two requests.
            let mut client = Client::connect(&server.public).unwrap();
            assert_eq!(client.request("GET", "/healthz", "", b"").unwrap().status, 200);
            client
        })
        .collect();
    assert!((0..50).all(|_| serves(&server)));
    assert_eq!(threads(&server), before.0);
    let grown = resident(&server) - before.1;
    assert!(grown < 40_000_000, "memory grew by {grown}");
    println!("{} bytes for each of {} idle connections", grown / 1000, idle.len());
}

#[test]
fn row_13_odd_but_lawful_requests() {
    let port = port(limits());
    for (request, want) in [
        ("HEAD / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "HTTP/1.1 200"),
        ("GET / HTTP/1.0\r\n\r\n", "HTTP/1.0 200"),
        ("GET http://elsewhere/a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "HTTP/1.1 200"),
        ("\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "HTTP/1.1 200"),
        ("GET / HTTP/1.1\nHost: x\nConnection: close\n\n", "HTTP/1.1 200"),
    ] {
        let answer = port.send(request.as_bytes());
        assert!(answer.starts_with(want), "{request:?}: {answer}");
        assert!(!answer.to_lowercase().contains("transfer-encoding"), "{answer}");
        assert!(!answer.to_lowercase().contains("server:"), "{answer}");
    }
    let head = port.send(b"HEAD / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert!(head.ends_with("\r\n\r\n"), "no body: {head}");
}

#[test]
fn row_15_a_panicking_handler_costs_no_worker() {
    let port = port(limits());
    for _ in 0..100 {
        let answer = port.send(b"GET /panic HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        assert!(answer.starts_with("HTTP/1.1 500") && answer.contains("\"INTERNAL\""), "{answer}");
    }
    port.is_well();
}

#[test]
fn row_16_a_stop_lets_the_request_in_flight_finish() {
    let mut port = port(limits());
    let mut stream = port.connect();
    stream.write_all(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    until("in flight", Duration::from_secs(5), || port.handled() == 1);
    port.front.take().unwrap().stop();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("slow"), "{answer}");
    assert!(TcpStream::connect(&port.address).is_err(), "no longer listening");
}

#[test]
fn row_17_unix_sockets_work_and_are_cleaned_up() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("public.sock");
    let handler: trunkline::http::front::Handler = Arc::new(|_| Response::text(200, "text/plain", "here"));
    for _ in 0..2 {
        let admin = Bind::Tcp("127.0.0.1:0".parse().unwrap());
        let front = Front::start(&Bind::Unix(path.clone()), &admin, None, limits(), &handler).unwrap();
        assert!(front.public_addr().starts_with("unix:/"));
        let mut stream = std::os::unix::net::UnixStream::connect(&path).unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.ends_with("here"), "{answer}");
        front.stop();
        assert!(!path.exists());
    }
}

fn tls_port(folder: &std::path::Path) -> (Front, String) {
    let (cert, key) =
        trunkline::http::tls::self_signed(&["localhost".to_owned()], trunkline::clock::UnixMillis(1_790_000_000_000))
            .unwrap();
    std::fs::write(folder.join("cert.pem"), cert).unwrap();
    std::fs::write(folder.join("key.pem"), key).unwrap();
    let tls = trunkline::http::tls::load(&folder.join("cert.pem"), &folder.join("key.pem")).unwrap();
    let handler: trunkline::http::front::Handler = Arc::new(|_| Response::text(200, "text/plain", "over TLS"));
    let any = Bind::Tcp("127.0.0.1:0".parse().unwrap());
    let front = Front::start(&any, &any, Some(tls), limits(), &handler).unwrap();
    let address = front.public_addr().trim_start_matches("https://").to_owned();
    (front, address)
}

/// Rows 18 and 19: a silent TLS client stops nobody, and seven bytes do not spin a core.
#[test]
fn rows_18_and_19_tls_clients_that_say_nothing_or_goodbye() {
    let folder = tempfile::tempdir().unwrap();
    let (front, address) = tls_port(folder.path());
    let _silent: Vec<_> = (0..20).map(|_| TcpStream::connect(&address).unwrap()).collect();
    let mut goodbye = TcpStream::connect(&address).unwrap();
    goodbye.write_all(&[21, 3, 3, 0, 2, 1, 0]).unwrap();

    let mut roots = rustls::RootCertStore::empty();
    use rustls::pki_types::pem::PemObject;
    roots.add(rustls::pki_types::CertificateDer::from_pem_file(folder.path().join("cert.pem")).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = rustls::pki_types::ServerName::try_from("localhost").unwrap();
    let mut client = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
    let mut stream = TcpStream::connect(&address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let mut tls = rustls::Stream::new(&mut client, &mut stream);
    tls.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = String::new();
    let _ = tls.read_to_string(&mut answer);
    assert!(answer.ends_with("over TLS"), "{answer}");
    // `portal-box-observed.md` §2: no ticket that a portal would leave unread.
    assert_eq!(client.tls13_tickets_received(), 0);

    let cpu = || {
        let text = std::fs::read_to_string("/proc/self/stat").unwrap();
        let fields: Vec<&str> = text.rsplit(')').next().unwrap().split_whitespace().collect();
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    };
    let stats = Arc::clone(front.stats());
    let before = cpu();
    until("the silent ones' end", Duration::from_secs(5), || stats.open.load(Ordering::SeqCst) == 0);
    assert!(cpu() - before < 200, "no core was spun: {} ticks", cpu() - before);
    front.stop();
}

/// Promise 10: the cap of connections and the full pool have their answers.
#[test]
fn promise_10_caps_are_answered_503_with_retry_after() {
    let capped = port(Limits { max_connections: 3, header_timeout: Duration::from_secs(5), ..limits() });
    let held: Vec<_> = (0..3).map(|_| capped.connect()).collect();
    let stats = Arc::clone(capped.front.as_ref().unwrap().stats());
    until("three open", Duration::from_secs(5), || stats.open.load(Ordering::SeqCst) == 3);
    let mut refused = capped.connect();
    let mut answer = String::new();
    let _ = refused.read_to_string(&mut answer);
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("retry-after"), "{answer}");
    drop(held);
    until("room again", Duration::from_secs(5), || stats.open.load(Ordering::SeqCst) == 0);
    capped.is_well();

    let full = port(Limits { workers: 1, queue: 1, ..limits() });
    let busy: Vec<_> = (0..12)
        .map(|_| {
            let mut stream = full.connect();
            stream.write_all(b"GET /slow HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
            stream
        })
        .collect();
    let answers: Vec<String> = busy
        .into_iter()
        .map(|mut stream| {
            let mut answer = String::new();
            let _ = stream.read_to_string(&mut answer);
            answer
        })
        .collect();
    let count = |start: &str| answers.iter().filter(|answer| answer.starts_with(start)).count();
    assert!(count("HTTP/1.1 200") >= 1 && count("HTTP/1.1 503") >= 8, "{answers:?}");
    assert!(answers.iter().all(|answer| answer.contains("200 OK") || answer.contains("retry-after: 1")));
}

#[test]
fn an_answer_that_nobody_takes_is_given_up() {
    let port = port(limits());
    let mut stream = port.connect();
    stream.write_all(b"GET /big HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let stats = Arc::clone(port.front.as_ref().unwrap().stats());
    until("the connection's end", Duration::from_secs(10), || {
        port.handled() == 1 && stats.open.load(Ordering::SeqCst) == 0
    });
    port.is_well();
}
