//! A message for a line that has nothing to do: how long after its 200 the portal hears the first byte. Every packet is
//! a connection of its own, so a bare client that connects and sends stands beside it.

use std::io::Write;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Bench;
use super::rig::Delivering;
use super::table::{Samples, Table, Target, Verdicts};
use crate::support::fill;
use crate::support::histogram::Histogram;
use crate::support::portal::Ears;
use crate::support::wire;

/// Messages of a round for each second of its slice.
const PER_SECOND: f64 = 30.0;
const PATIENCE: Duration = Duration::from_secs(10);

pub fn run(bench: &Bench) {
    let (tell, heard) = crossbeam_channel::unbounded();
    let ears = Ears {
        packet: None,
        first_byte: Some(Arc::new(move |_, at| tell.send(at).expect("the measurement outlives its portal"))),
    };
    let pair = Delivering::with(bench, 1, 1, "", &ears);
    let mut client = TcpStream::connect(pair.server.public).unwrap();
    client.set_nodelay(true).unwrap();
    let build = fill::webhooks(&pair.lines, "idle");
    let mut table = Table::default();
    let mut raw = Samples::default();
    let mut number = 0;
    for _ in 0..bench.rounds {
        raw.push(bench.raw().latency.millis(0.5));
        let (mut bare, mut after, mut whole) = (Histogram::default(), Histogram::default(), Histogram::default());
        for _ in 0..(bench.slice.as_secs_f64() * PER_SECOND).ceil() as u64 {
            let start = Instant::now();
            let mut direct = TcpStream::connect(pair.sink.addresses()[0]).unwrap();
            direct.write_all(b"POST / HTTP/1.1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").unwrap();
            bare.note(heard.recv_timeout(PATIENCE).unwrap() - start);

            let mut request = Vec::new();
            build(number, &mut request);
            number += 1;
            let start = Instant::now();
            assert_eq!(wire::exchange(&mut client, &request), 200);
            let stored = Instant::now();
            let first_byte: Instant = heard.recv_timeout(PATIENCE).unwrap();
            // The sender is woken before the answer is written, so that it may be first.
            after.note(first_byte.saturating_duration_since(stored));
            whole.note(first_byte - start);
            assert!(pair.drain(0.0, PATIENCE), "the message was not confirmed");
        }
        for (row, times) in [("bare client", bare), ("after the 200", after), ("after the request", whole)] {
            table.note(row, "median ms", times.millis(0.5));
            table.note(row, "99 % ms", times.millis(0.99));
        }
    }
    println!("raw sync, median ms {}", raw.show());
    table.print();
    let mut verdicts = Verdicts::default();
    verdicts.add("200 to first byte, median ms", &table.get("after the 200", "median ms"), Target::AtMost(2.0));
    verdicts.add(
        "200 to first byte : bare client",
        &table.ratio("median ms", "after the 200", "bare client"),
        Target::None,
    );
    verdicts.print();
}
