//! What a long queue costs: the same work with ten thousand and with a million messages waiting. Prints one table; the
//! numbers of one run are compared with each other, see README.md.
//!
//! `cargo bench --bench growth`, or with another size: `cargo bench --bench growth -- 5000000`.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::cast_precision_loss,
    clippy::indexing_slicing,
    clippy::unnecessary_debug_formatting,
    reason = "a measurement ends at the first surprise and reads the machine's clock"
)]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use trunkline::clock::{SystemClock, UnixMillis};
use trunkline::ids::{LineId, MessageId};
use trunkline::message::{Body, Chat, Incoming, IncomingKind, User};
use trunkline::queue::{self, body};
use trunkline::store::{Store, Writer, counters};

const LINES: i64 = 1_000;
const WAIT: Duration = Duration::from_mins(1);

fn main() {
    let large = std::env::args().find_map(|word| word.parse().ok()).unwrap_or(1_000_000);
    let rows: Vec<Row> = [10_000, large].into_iter().map(measure).collect();
    println!(
        "\n{:>10} {:>9} {:>12} {:>12} {:>12} {:>12} {:>10} {:>9}",
        "queued", "file MB", "packet µs/row", "commit µs", "lines ms", "books ms", "ready ms", "RSS MB"
    );
    for row in &rows {
        println!(
            "{:>10} {:>9} {:>12.1} {:>12.1} {:>12.1} {:>12.1} {:>10.0} {:>9.0}",
            row.queued, row.file_mb, row.packet, row.commit, row.lines, row.books, row.ready, row.resident_mb
        );
    }
    if let [small, large] = &rows[..] {
        println!(
            "\nlarge : small  packet {:.2}, commit {:.2}",
            large.packet / small.packet,
            large.commit / small.commit
        );
    }
}

struct Row {
    queued: i64,
    file_mb: u64,
    packet: f64,
    commit: f64,
    lines: f64,
    books: f64,
    ready: f64,
    resident_mb: f64,
}

fn message(text: &str) -> Body {
    Body::Message(Box::new(Incoming {
        connector: "botframework.webchat".into(),
        kind: IncomingKind::Message,
        key: None,
        user: User { id: "customer".into(), name: "Ann Example".into(), ..User::default() },
        chat: Chat { id: "conversation".into(), ..Chat::default() },
        message_id: "0123456789abcdef".into(),
        date: Some(1_500_000_000),
        text: text.into(),
        files: vec![],
        attachments: vec![],
        route: None,
    }))
}

fn fill(store: &Store, queued: i64) {
    let db = store.writing().unwrap();
    db.pragma_update(None, "synchronous", "off").unwrap();
    let body = body::encode(message(&"x".repeat(500)));
    // The portal refuses connections, so that a started server has every line blocked at once.
    db.execute_batch(&format!(
        "insert into portals (name, protocol, url, licence, key, created_at)
         values ('p', 'box', 'http://127.0.0.1:9', 'l', 'k', 0);
         with recursive n(i) as (select 1 union all select i + 1 from n where i < {LINES})
         insert into lines (portal_id, connector, line, hash, created_at) select 1, 'botframework', i, 'h' || i, 0 from n;"
    ))
    .unwrap();
    db.execute(
        "with recursive n(i) as (select 0 union all select i + 1 from n where i < ?1 - 1)
         insert into queue (line_id, connector, command, chat, message, files, body, accepted_at)
         select 1 + i % ?2, 'botframework.webchat', 'message', 'c' || i, 'm' || i, 0, ?3, 0 from n",
        (queued, LINES, &body),
    )
    .unwrap();
    db.execute("insert into counters values ('accepted', 'botframework.webchat', 'in', '', ?1)", [queued]).unwrap();
    db.query_row("pragma wal_checkpoint(truncate)", [], |_| Ok(())).unwrap();
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn micros(work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    start.elapsed().as_secs_f64() * 1e6
}

fn measure(queued: i64) -> Row {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let store = Store::open(&data).unwrap();
    fill(&store, queued);
    let db = store.reading().unwrap();
    let packet =
        median((0..2_000).map(|at| micros(|| read(&db, at))).collect()) / 10.0_f64.min(queued as f64 / LINES as f64);
    let lines =
        median((0..5).map(|_| micros(|| assert_eq!(queue::waiting_lines(&db).unwrap().len(), 1_000))).collect());
    let books =
        median((0..5).map(|_| micros(|| assert_eq!(counters::accounting(&db).unwrap().difference(), 0))).collect());
    let (writer, thread) = Writer::start(store.writing().unwrap(), Arc::new(SystemClock::new()), || ()).unwrap();
    let commit = median((0..3_000).map(|at| micros(|| push(&writer, at))).collect());
    thread.stop();
    drop(db);
    let file_mb = std::fs::metadata(store.path()).unwrap().len() / 1_000_000;
    let (ready, resident_mb) = start(folder.path(), &data);
    Row { queued, file_mb, packet, commit, lines: lines / 1e3, books: books / 1e3, ready, resident_mb }
}

fn read(db: &rusqlite::Connection, at: i64) {
    let rows = queue::head(db, LineId(1 + at * 7 % LINES), MessageId(0), 10).unwrap();
    assert!(!rows.is_empty());
}

fn push(writer: &Writer, at: i64) {
    let body = message(&"y".repeat(500));
    let line = LineId(1 + at * 13 % LINES);
    let key = format!("event {at} {:?}", UnixMillis(at));
    writer.write(WAIT, move |tx| queue::push(tx, line, "botframework.webchat", Some(&key), &body)).unwrap();
}

/// Starts the program on that data and gives the milliseconds until it takes requests, and its memory two seconds later.
fn start(folder: &Path, data: &Path) -> (f64, f64) {
    let config = folder.join("trunkline.toml");
    let text = format!("data_dir = {data:?}\nlisten = \"127.0.0.1:0\"\nadmin_listen = \"127.0.0.1:0\"\n");
    std::fs::write(&config, text).unwrap();
    let begin = Instant::now();
    let mut child = Command::new(env!("CARGO_BIN_EXE_trunkline"))
        .args(["--config", config.to_str().unwrap(), "--quiet", "serve"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let ready = begin.elapsed().as_secs_f64() * 1e3;
    assert!(line.starts_with("ready "), "{line}");
    std::thread::sleep(Duration::from_secs(2));
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let resident: f64 = resident.trim().trim_end_matches(" kB").parse().unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    (ready, resident / 1024.0)
}
