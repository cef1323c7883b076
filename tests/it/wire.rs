//! The front on the wire: framing, resets, deadlines and stops, each as the bytes a client sends. The rows of the table
//! of faults are in `front`; here is what lies between them.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use trunkline::clock::{Clock, SystemClock};
use trunkline::http::front::Bind;

use crate::support::program::Place;
use crate::support::raw::{Port, limits, reset_on_close, rest, tls_client};
use crate::support::until;

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
