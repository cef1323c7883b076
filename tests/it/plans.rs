//! Every statement of the server against the schema: what is in a message's way finds its rows by an index, and what
//! scans a table that grows is named here with the reason.

use std::path::{Path, PathBuf};

use rusqlite::Connection;

/// Tables that grow with the traffic.
const GROWING: [&str; 8] = ["queue", "outbox", "seen", "chats", "aliases", "dead_letters", "deliveries", "attempts"];

/// Statements that walk through such a table, by a piece of their text: each is typed by a person, runs once at the start
/// or counts what must really be counted.
const WALKS: &[(&str, &str)] = &[
    ("count(*) from dead_letters where replayed_at is null", "a person's command"),
    ("and died_at >= :since and :line is null", "a person's replay of all lines"),
    ("from queue order by id limit 1", "stops at the first row"),
    ("delete from seen where id <=", "stops at the limit"),
    ("select distinct line_id, chat from outbox", "once at the start, over the index alone"),
    ("(select count(*) from queue) as queued", "the books must count what is really there"),
    ("messages, minute, last_at from deliveries", "the beginning of statements that go on with a key"),
];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|end| end == "rs") {
            found.push(path);
        }
    }
}

/// The SQL among the string literals of a source file, up to its tests.
fn statements(text: &str) -> Vec<String> {
    let code = text.split("#[cfg(test)]").next().unwrap();
    let code: Vec<&str> = code.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    let code = code.join("\n").replace("\\\"", "\u{1}");
    let words = |literal: &str| literal.replace("\\\n", " ").split_whitespace().collect::<Vec<_>>().join(" ");
    let is_sql =
        |text: &String| ["select ", "insert ", "update ", "delete ", "with "].iter().any(|verb| text.starts_with(verb));
    code.split('"').skip(1).step_by(2).map(words).filter(is_sql).collect()
}

#[test]
fn what_is_in_a_messages_way_finds_its_rows_by_an_index() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let db = Connection::open_in_memory().unwrap();
    db.execute_batch(&std::fs::read_to_string(root.join("schema.sql")).unwrap()).unwrap();
    let mut files = Vec::new();
    for module in ["queue", "queue.rs", "outbox", "store", "registry.rs", "dispatcher", "sender", "http"] {
        let path = root.join("src").join(module);
        if path.is_dir() {
            sources(&path, &mut files);
        }
    }
    let (mut planned, mut wrong, mut used) = (0, Vec::new(), vec![false; WALKS.len()]);
    for file in files.iter().filter(|file| !file.ends_with("tests.rs")) {
        for sql in statements(&std::fs::read_to_string(file).unwrap()) {
            // Pieces that a macro joins are no statements of their own.
            let Ok(mut plan) = db.prepare(&format!("explain query plan {sql}")) else { continue };
            planned += 1;
            let nothing = vec![None::<i64>; plan.parameter_count()];
            let steps =
                plan.query_map(rusqlite::params_from_iter(nothing), |row| row.get::<_, String>("detail")).unwrap();
            for step in steps.map(Result::unwrap) {
                let walks = GROWING
                    .iter()
                    .any(|table| step == format!("SCAN {table}") || step.starts_with(&format!("SCAN {table} ")));
                if !walks {
                    continue;
                }
                match WALKS.iter().position(|(piece, _)| sql.contains(piece)) {
                    Some(at) => used[at] = true,
                    None => wrong.push(format!("{}: {sql}: {step}", file.display())),
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(planned >= 60, "only {planned} statements were found");
    let stale: Vec<_> = WALKS.iter().zip(used).filter(|(_, used)| !used).collect();
    assert!(stale.is_empty(), "no statement like this walks any more: {stale:#?}");
}
