//! The front against slow, broken and hostile clients: every row of the table of tiny_http's faults (`limits.md` A) is a
//! test of ours, and promise 10: each limit has a clear answer. Row 9 is our `header_timeout` (row 8's test), row 11 is
//! in `wire`, row 14 is one half of row 4's test.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use trunkline::http::Response;
use trunkline::http::front::{Bind, Front, Limits};

use crate::support::http::Client;
use crate::support::program::{Place, Server};
use crate::support::raw::{Port, limits, rest, tls_client};
use crate::support::until;

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

/// Processor time of a process, hundredths of a second.
fn cpu_ticks(server: &Server) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{}/stat", server.child.id())).unwrap();
    let fields: Vec<&str> = text.rsplit(')').next().unwrap().split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

fn threads(server: &Server) -> usize {
    std::fs::read_dir(format!("/proc/{}/task", server.child.id())).unwrap().count()
}

#[test]
fn row_1_a_huge_content_length_costs_nothing() {
    let port = Port::open(limits());
    for length in ["1000000000000", "18446744073709551615", "99999999999999999999999", "100001"] {
        let answer = port.send(format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\nabc").as_bytes());
        assert!(answer.starts_with("HTTP/1.1 4"), "{length}: {answer}");
    }
    assert_eq!(port.handled(), 0);
    port.is_well();
}

#[test]
fn row_2_other_http_versions_leave_nothing_behind() {
    let port = Port::open(limits());
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
        let port = Port::open(limits());
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

/// Who has closed reads no 503: a burst behind a pool whose workers all wait for the disk must find room.
#[test]
fn row_4_a_burst_behind_busy_workers_is_handled_500_of_500() {
    let port = Port::open(Limits { workers: 1, ..limits() });
    let mut first = port.connect();
    first.write_all(b"GET /held HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    until("the worker is busy", Duration::from_secs(10), || port.handled() == 1);
    for _ in 0..500 {
        let mut stream = port.connect();
        stream.write_all(b"POST /x HTTP/1.0\r\nContent-Length: 5\r\n\r\nhello").unwrap();
    }
    port.release();
    until("500 of 500", Duration::from_secs(20), || port.handled() == 501);
    assert_eq!(port.stats().overloaded.load(Ordering::SeqCst), 0);
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
    let port = Port::open(limits());
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
    let port = Port::open(limits());
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
    let port = Port::open(limits());
    port.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\nhello");
    port.send(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel");
    port.send(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
    let whole = port.send(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
    assert!(whole.starts_with("HTTP/1.1 200") && whole.ends_with("POST 5"), "{whole}");
    assert!(whole.to_lowercase().contains("connection: close"), "no two parties may disagree about the next request");
    assert_eq!(port.handled(), 1);
}

#[test]
fn row_3_a_server_out_of_descriptors_recovers() {
    let place = Place::new("[http]\nworkers = 2\n[queue]\ndelivery_workers = 2\n[outbox]\nchannel_workers = 2\n");
    let server = place.serve_with_descriptors(100);
    let many: Vec<_> = (0..300).map(|_| connect(&server)).collect();
    until("no descriptors", Duration::from_secs(10), || server.log.text().contains("could not be accepted"));
    drop(many);
    until("recovery", Duration::from_secs(10), || serves(&server));
    // Twenty tries a second are not twenty lines; each port tells for itself.
    let told = server.log.text().matches("could not be accepted").count();
    assert!(told <= 2, "told {told} times");
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
    // One less when the check of the database has ended meanwhile.
    assert!(threads(&server) <= before.0, "{} threads, {} before", threads(&server), before.0);
    let grown = resident(&server) - before.1;
    assert!(grown < 40_000_000, "memory grew by {grown}");
    println!("{} bytes for each of {} idle connections", grown / 1000, idle.len());
}

#[test]
fn row_13_odd_but_lawful_requests() {
    let port = Port::open(limits());
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
    let port = Port::open(limits());
    for _ in 0..100 {
        let answer = port.send(b"GET /panic HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        assert!(answer.starts_with("HTTP/1.1 500") && answer.contains("\"INTERNAL\""), "{answer}");
    }
    port.is_well();
}

#[test]
fn row_16_a_stop_lets_the_request_in_flight_finish() {
    let mut port = Port::open(limits());
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
    let handler: trunkline::http::front::Handler =
        Arc::new(|_, answer| answer.give(Response::text(200, "text/plain", "here")));
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

/// Row 18: a silent TLS client stops nobody.
#[test]
fn row_18_silent_tls_clients_stop_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let port = Port::open_tls(limits(), folder.path());
    let silent: Vec<_> = (0..20).map(|_| port.connect()).collect();
    let mut client = tls_client(folder.path(), &rustls::version::TLS13);
    let mut stream = port.connect();
    let answer = {
        let mut tls = rustls::Stream::new(&mut client, &mut stream);
        tls.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
        rest(&mut tls)
    };
    assert!(answer.ends_with("GET 0"), "{answer}");
    // `portal-box-observed.md` §2: no ticket that a portal would leave unread.
    assert_eq!(client.tls13_tickets_received(), 0);
    for mut stream in silent {
        assert_eq!(rest(&mut stream), "", "closed when its time is up");
    }
}

/// Row 19: seven bytes of farewell do not spin a core, neither while their sender stays nor after it left.
#[test]
fn row_19_a_farewell_spins_no_core() {
    let place = Place::new("");
    let names = ["localhost".to_owned()];
    let (cert, key) =
        trunkline::http::tls::self_signed(&names, trunkline::clock::UnixMillis(1_790_000_000_000)).unwrap();
    std::fs::write(place.path("cert.pem"), cert).unwrap();
    std::fs::write(place.path("key.pem"), key).unwrap();
    let config = format!(
        "{}[http]\nheader_timeout = \"1s\"\n[tls]\ncert_file = {:?}\nkey_file = {:?}\n",
        std::fs::read_to_string(place.path("trunkline.toml")).unwrap(),
        place.path("cert.pem"),
        place.path("key.pem")
    );
    std::fs::write(place.path("trunkline.toml"), config).unwrap();
    let server = place.serve();
    let address = server.public.trim_start_matches("https://").to_owned();
    let farewell = || {
        let mut stream = TcpStream::connect(&address).unwrap();
        stream.write_all(&[21, 3, 3, 0, 2, 1, 0]).unwrap();
        stream
    };
    let before = cpu_ticks(&server);
    let _staying: Vec<_> = (0..10).map(|_| farewell()).collect();
    (0..10).for_each(|_| drop(farewell()));
    // The end of a silent client is the clock: it comes after `header_timeout`, a second.
    let mut silent = TcpStream::connect(&address).unwrap();
    silent.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    assert_eq!(rest(&mut silent), "");
    let used = cpu_ticks(&server) - before;
    assert!(used < 50, "{used} ticks of CPU in a second; a spinning core uses 100");
}

/// Promise 10: the cap of connections and the full pool have their answers.
#[test]
fn promise_10_caps_are_answered_503_with_retry_after() {
    let capped = Port::open(Limits { max_connections: 3, header_timeout: Duration::from_secs(5), ..limits() });
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

    // Two bodies of 40 bytes wait where there is room for 100; the third is told to come back, small ones still fit.
    let full = Port::open(Limits { workers: 1, waiting_bytes: 100, ..limits() });
    let ask = |path: &str, bytes: usize| {
        let mut stream = full.connect();
        let body = "x".repeat(bytes);
        write!(stream, "POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {bytes}\r\n\r\n{body}")
            .unwrap();
        stream
    };
    let mut held = ask("/held", 5000);
    until("the worker is busy", Duration::from_secs(5), || full.handled() == 1);
    let mut waiting: Vec<_> = (0..2).map(|_| ask("/x", 40)).collect();
    until("both wait", Duration::from_secs(5), || full.stats().waiting.load(Ordering::SeqCst) == 80);
    let refused = rest(&mut ask("/x", 40));
    assert!(refused.starts_with("HTTP/1.1 503") && refused.contains("retry-after: 1"), "{refused}");
    waiting.push(ask("/x", 20));
    until("three wait", Duration::from_secs(5), || full.stats().waiting.load(Ordering::SeqCst) == 100);
    full.release();
    assert!(rest(&mut held).ends_with("released"));
    for mut stream in waiting {
        assert!(rest(&mut stream).starts_with("HTTP/1.1 200"));
    }
    assert_eq!(full.stats().overloaded.load(Ordering::SeqCst), 1);
    assert_eq!(full.stats().waiting.load(Ordering::SeqCst), 0);
}

/// Webhooks are expected to be quick and call no further worker each; one that waits for a channel's keys all the same
/// must not keep the others waiting, however many cores there are.
#[test]
fn webhooks_that_are_held_up_hold_up_nobody() {
    let held = 40;
    let port = Port::open(Limits { workers: held + 1, ..limits() });
    let ask = |path: &str| {
        let mut stream = port.connect();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        stream
    };
    let mut waiting: Vec<_> = (0..held).map(|_| ask("/imwebhook/h/held")).collect();
    until("every one is begun", Duration::from_secs(10), || port.handled() == held);
    assert!(rest(&mut ask("/imwebhook/h/x")).ends_with("GET 0"));
    assert!(rest(&mut ask("/x")).ends_with("GET 0"));
    (0..held).for_each(|_| port.release());
    for stream in &mut waiting {
        assert!(rest(stream).ends_with("released"));
    }
}

#[test]
fn an_answer_that_nobody_takes_is_given_up() {
    let port = Port::open(limits());
    let mut stream = port.connect();
    stream.write_all(b"GET /big/3000000 HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let stats = Arc::clone(port.front.as_ref().unwrap().stats());
    until("the connection's end", Duration::from_secs(10), || {
        port.handled() == 1 && stats.open.load(Ordering::SeqCst) == 0
    });
    port.is_well();
}
