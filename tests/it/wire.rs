//! The front on the wire: framing, resets, deadlines and stops, each as the bytes a client sends. The rows of the table
//! of faults are in `front`; here is what lies between them.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use trunkline::clock::{Clock, SystemClock};
use trunkline::http::front::{Bind, Limits};

use crate::support::program::Place;
use crate::support::raw::{Port, limits, reset_on_close, rest, tls_client};
use crate::support::until;

/// Regression: the deadline of the first head ran on when the next request was there before anybody had looked, so a
/// busy pipelining client was cut off after `header_timeout`.
#[test]
fn a_pipelining_client_outlives_the_deadline_of_its_first_head() {
    let port = Port::open(limits());
    let mut stream = port.connect();
    let mut writer = stream.try_clone().unwrap();
    let enough = Arc::new(AtomicBool::new(false));
    let heard = Arc::clone(&enough);
    let feeder = std::thread::spawn(move || {
        let batch = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".repeat(50);
        while !heard.load(Ordering::SeqCst) && writer.write_all(&batch).is_ok() {}
    });
    let clock = SystemClock::new();
    let mut buffer = [0; 65536];
    while clock.ticks() < 3 * limits().header_timeout {
        let count = stream.read(&mut buffer).unwrap();
        assert!(count > 0, "cut off after {:?} and {} requests", clock.ticks(), port.handled());
    }
    enough.store(true, Ordering::SeqCst);
    drop(stream);
    feeder.join().unwrap();
}

/// Regression: the answer to the first request met the reset, and its error ended the connection before the requests
/// behind it were looked at.
#[test]
fn every_whole_request_before_a_reset_is_handled() {
    let plain = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello";
    let expecting = "POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello";
    for (bytes, requests) in [(plain.repeat(3), 3), (expecting.to_owned(), 1)] {
        let port = Port::open(limits());
        for _ in 0..200 {
            let mut stream = port.connect();
            stream.write_all(bytes.as_bytes()).unwrap();
            reset_on_close(&stream);
        }
        until("all of them", Duration::from_secs(10), || port.handled() == 200 * requests);
        port.is_well();
    }
}

/// Row 4 over TLS: no farewell, no waiting for the answer. The bodies reach across several records.
#[test]
fn row_4_over_tls_500_of_500() {
    let folder = tempfile::tempdir().unwrap();
    let (new, old) = (&rustls::version::TLS13, &rustls::version::TLS12);
    for (version, reset, size, rounds) in
        [(new, false, 5, 500), (new, true, 5, 500), (new, true, 50_000, 100), (old, true, 5, 100)]
    {
        let port = Port::open_tls(limits(), folder.path());
        for _ in 0..rounds {
            let mut client = tls_client(folder.path(), version);
            let mut stream = port.connect();
            let mut tls = rustls::Stream::new(&mut client, &mut stream);
            let request = format!("POST / HTTP/1.0\r\nContent-Length: {size}\r\n\r\n{}", "a".repeat(size));
            tls.write_all(request.as_bytes()).unwrap();
            tls.flush().unwrap();
            if reset {
                reset_on_close(&stream);
            }
        }
        until("all of them", Duration::from_secs(20), || port.handled() == rounds);
    }
}

/// Regression: an answer that fitted the TLS layer but not the socket waited there without a deadline, for ever. Which
/// sizes do depends on the kernel, so many are tried.
#[test]
fn an_answer_that_nobody_takes_is_given_up_over_tls() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("public.sock");
    let port = Port::open_tls_at(limits(), folder.path(), &Bind::Unix(path.clone()));
    let sizes = (80_000..400_000_usize).step_by(8_000);
    let waiting: Vec<_> = sizes
        .map(|size| {
            let mut client = tls_client(folder.path(), &rustls::version::TLS13);
            let mut stream = UnixStream::connect(&path).unwrap();
            let mut tls = rustls::Stream::new(&mut client, &mut stream);
            let request = format!("GET /big/{size} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
            tls.write_all(request.as_bytes()).unwrap();
            tls.flush().unwrap();
            (client, stream)
        })
        .collect();
    let stats = port.stats();
    until("all answered", Duration::from_secs(5), || port.handled() == waiting.len());
    until("no connection left", Duration::from_secs(5), || stats.open.load(Ordering::SeqCst) == 0);
}

#[test]
fn a_slow_but_steady_reader_gets_everything() {
    let port = Port::open(limits());
    let mut stream = port.connect();
    stream.write_all(b"GET /big/12000000 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let (mut buffer, mut total) = (vec![0; 200_000], 0);
    // Longer than a connection may idle, never as long as an answer may lie.
    loop {
        match stream.read(&mut buffer).unwrap() {
            0 => break,
            count => total += count,
        }
        std::thread::park_timeout(Duration::from_millis(20));
    }
    assert!(total > 12_000_000, "{total}");
}

/// Row 11 in full. `handled` counts what reached the handler, the request that is smuggled behind included: 2 is right
/// only where the framing is beyond doubt.
#[test]
fn row_11_framing_is_beyond_doubt_or_refused() {
    let port = Port::open(limits());
    let whole = "5\r\nhello\r\n0\r\n\r\n";
    for (head, body, handled) in [
        ("Content-Length: 5", "hello", 2),
        // hyper merges equal lengths and hides a length beside an encoding, both as RFC 9112 §6.3 has it; in the second
        // case the connection ends, so nothing behind is run.
        ("Content-Length: 5\r\nContent-Length: 5", "hello", 2),
        ("Content-Length: 5\r\nTransfer-Encoding: chunked", whole, 1),
        ("Transfer-Encoding: chunked\r\nContent-Length: 5", whole, 1),
        ("Transfer-Encoding: chunked", whole, 1),
        ("Transfer-Encoding: Chunked", "5;extension=1\r\nhello\r\n0\r\n\r\n", 1),
        ("Transfer-Encoding: chunked", "5\r\nhello\r\n0\r\nContent-Length: 9\r\n\r\n", 1),
        ("Content-Length: 5\r\nContent-Length: 40", "hello", 0),
        ("Content-Length: 5, 5", "hello", 0),
        ("Content-Length: abc", "hello", 0),
        ("Content-Length: 0x5", "hello", 0),
        ("Content-Length: -1", "hello", 0),
        ("Content-Length: +5", "hello", 0),
        ("Content-Length:", "hello", 0),
        ("Content-Length : 5", "hello", 0),
        (" Content-Length: 5", "hello", 0),
        ("X: y\r\n Content-Length: 5", "hello", 0),
        ("X: a\rb\r\nContent-Length: 5", "hello", 0),
        ("X: a\0b\r\nContent-Length: 5", "hello", 0),
        ("Transfer-Encoding: xchunked", whole, 0),
        ("Transfer-Encoding: identity", whole, 0),
        ("Transfer-Encoding: gzip, chunked", whole, 0),
        ("Transfer-Encoding: chunked, chunked", whole, 0),
        ("Transfer-Encoding: identity\r\nTransfer-Encoding: chunked", whole, 0),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", whole, 0),
        ("Transfer-Encoding:\u{b}chunked", whole, 0),
        ("Transfer-Encoding: chunked", "5\nhello\n0\n\n", 0),
        ("Transfer-Encoding: chunked", "-5\r\nhello\r\n0\r\n\r\n", 0),
        ("Transfer-Encoding: chunked", "FFFFFFFFFFFFFFFFFF\r\nhello\r\n0\r\n\r\n", 0),
    ] {
        let before = port.handled();
        let smuggled = "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n";
        let answer = port.send(format!("POST / HTTP/1.1\r\nHost: x\r\n{head}\r\n\r\n{body}{smuggled}").as_bytes());
        assert_eq!(port.handled() - before, handled, "{head:?} {body:?}: {answer}");
        let status = if handled == 0 { "HTTP/1.1 400" } else { "HTTP/1.1 200" };
        assert!(answer.starts_with(status), "{head:?} {body:?}: {answer}");
        assert!(handled == 2 || answer.contains("connection: close"), "{head:?} {body:?}: {answer}");
    }
}

#[test]
fn http_1_0_is_told_that_the_connection_closes() {
    let port = Port::open(limits());
    for head in ["", "Connection: keep-alive\r\n", "Expect: 100-continue\r\n"] {
        let mut stream = port.connect();
        stream.write_all(format!("POST / HTTP/1.0\r\n{head}Content-Length: 5\r\n\r\nhello").as_bytes()).unwrap();
        // The client does not close: the answer ends because the server does.
        let answer = rest(&mut stream);
        assert!(answer.starts_with("HTTP/1.0 200") && answer.ends_with("POST 5"), "{head}: {answer}");
        assert!(answer.contains("connection: close") && answer.contains("content-length: 6"), "{head}: {answer}");
    }
}

#[test]
fn refusals_have_a_clear_answer_and_are_counted() {
    let port = Port::open(limits());
    let long = format!("GET / HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "a".repeat(20_000));
    let large = format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5000000\r\n\r\n{}", "a".repeat(5_000_000));
    let chunks = "3e8\r\n".to_owned() + &"a".repeat(1000) + "\r\n";
    let chunked = format!("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n{}", chunks.repeat(200));
    let bare = "POST / HTTP/1.1\r\nHost: x\r\n\r\n".to_owned();
    let connect = "CONNECT a:1 HTTP/1.1\r\nHost: x\r\n\r\n".to_owned();
    let address = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(20_000));
    let get = |headers: &str| format!("GET / HTTP/1.1\r\n{headers}\r\n");
    let (nameless, twice) = (get(""), get("Host: x\r\nHost: y\r\n"));
    let packed = "POST / HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\nContent-Length: 1\r\n\r\nx".to_owned();
    for (status, request) in [
        (431, long),
        (414, address),
        (413, large),
        (413, chunked),
        (405, connect),
        (411, bare),
        (415, packed),
        (400, "nonsense\r\n\r\n".to_owned()),
        (400, nameless),
        (400, twice),
    ] {
        let answer = port.send(request.as_bytes());
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{status}: {answer}");
        assert!(answer.contains("connection: close") && answer.contains("content-length: "), "{status}: {answer}");
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.contains("content-type: application/json"), "{status}: {answer}");
        assert!(head.contains(&format!("content-length: {}\r\n", body.len())), "{status}: {answer}");
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        assert!(body["error"]["code"].is_string() && body["error"]["message"].is_string(), "{status}: {answer}");
    }
    let counted: Vec<_> = port.stats().rejected().filter(|(_, count)| *count > 0).collect();
    assert_eq!(counted, [(400, 3), (405, 1), (411, 1), (413, 2), (414, 1), (415, 1), (431, 1)]);
    assert_eq!(port.handled(), 0);
}

/// A head that takes too long has its answer, over TLS too; who has said nothing is told nothing.
#[test]
fn a_slow_head_is_answered_408() {
    let folder = tempfile::tempdir().unwrap();
    let whole = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    // A first request is answered, then the head of the next one stops.
    fn half(stream: &mut (impl Read + Write), whole: &str) {
        stream.write_all(whole.as_bytes()).unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"GET 0") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            answer.extend(byte);
        }
        stream.write_all(b"GET / HTTP/1.1\r\nHo").unwrap();
        let answer = rest(stream);
        assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("connection: close\r\n"), "{answer}");
        assert!(answer.ends_with('}'), "{answer}");
    }
    let (plain, tls) = (Port::open(limits()), Port::open_tls(limits(), folder.path()));
    half(&mut plain.connect(), whole);
    let mut client = tls_client(folder.path(), &rustls::version::TLS13);
    half(&mut rustls::Stream::new(&mut client, &mut tls.connect()), whole);
    let mut first = plain.connect();
    first.write_all(b"G").unwrap();
    assert!(rest(&mut first).starts_with("HTTP/1.1 408 "));
    assert_eq!(rest(&mut plain.connect()), "");
    let mut stream = plain.connect();
    stream.write_all(whole.as_bytes()).unwrap();
    assert!(rest(&mut stream).ends_with("GET 0"), "an idle connection just ends");
    assert_eq!(plain.stats().rejected().find(|(status, _)| *status == 408), Some((408, 2)));
}

#[test]
fn above_the_cap_the_answer_is_whole() {
    let port = Port::open(Limits { max_connections: 1, header_timeout: Duration::from_secs(5), ..limits() });
    let stats = port.stats();
    let _held = port.connect();
    until("held", Duration::from_secs(5), || stats.open.load(Ordering::SeqCst) == 1);
    let answer = rest(&mut port.connect());
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 503") && head.contains("retry-after: 1"), "{answer}");
    assert!(head.contains(&format!("content-length: {}\r\n", body.len())), "{answer}");
    assert!(serde_json::from_str::<serde_json::Value>(body).unwrap()["error"]["code"] == "OVERLOADED", "{answer}");
}

/// Regression: a client that had begun and then said nothing held up a stop for as long as a head may take.
#[test]
fn a_stop_does_not_wait_for_those_who_have_asked_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let patient = Limits { header_timeout: Duration::from_secs(30), ..limits() };
    // The beginning of a head; behind TLS that of a greeting.
    for (mut port, bytes) in [
        (Port::open(patient.clone()), b"GET / HT".as_slice()),
        (Port::open_tls(patient, folder.path()), &[22, 3, 1, 2, 0, 1]),
    ] {
        let mut half = port.connect();
        let _silent = port.connect();
        half.write_all(bytes).unwrap();
        let stats = port.stats();
        until("both open", Duration::from_secs(5), || stats.open.load(Ordering::SeqCst) == 2);
        let clock = SystemClock::new();
        port.front.take().unwrap().stop();
        assert!(clock.ticks() < Duration::from_secs(4), "{:?}", clock.ticks());
    }
}

/// A webhook's address is as good as a password. Regression: the warning of a cut body held it.
#[test]
fn a_hash_never_reaches_the_log() {
    let place = Place::new("");
    let server = place.serve();
    let mut stream = TcpStream::connect(server.public.trim_start_matches("http://")).unwrap();
    stream
        .write_all(b"POST /imwebhook/h/0123456789abcdef HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\nabc")
        .unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    assert!(rest(&mut stream).contains("TRUNCATED"));
    until("the warning", Duration::from_secs(5), || server.log.text().contains("a body ended"));
    let log = server.log.text();
    assert!(log.contains("path=/imwebhook") && !log.contains("0123456789abcdef"), "{log}");
}

/// Regression: whatever lay at the socket's path was deleted.
#[test]
fn only_a_dead_socket_makes_room_for_ours() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("trunkline.db");
    std::fs::write(&file, "precious").unwrap();
    let error = Port::try_open(limits(), &Bind::Unix(file.clone())).unwrap_err().to_string();
    assert!(error.contains("trunkline.db") && error.contains("no socket"), "{error}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "precious");

    let path = folder.path().join("public.sock");
    let alive = UnixListener::bind(&path).unwrap();
    assert!(Port::try_open(limits(), &Bind::Unix(path.clone())).is_err(), "somebody listens there");
    drop(alive);
    assert!(path.exists(), "a killed server leaves its socket behind");
    drop(Port::try_open(limits(), &Bind::Unix(path.clone())).unwrap());
    assert!(!path.exists());
}
