//! The house rules as a test: who may import whom (ARCHITECTURE.md), where a channel may be named, how long a file may
//! be, words that must not be left behind.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|end| end == "rs") {
            files.push(path);
        }
    }
    files
}

/// Every source file with its path below `src` and its text up to its own tests.
fn sources() -> Vec<(String, String)> {
    let src = root().join("src");
    rust_files(&src)
        .into_iter()
        .map(|path| {
            let name = path.strip_prefix(&src).unwrap().to_str().unwrap().to_owned();
            (name, std::fs::read_to_string(&path).unwrap())
        })
        .collect()
}

fn code(text: &str) -> &str {
    text.split("#[cfg(test)]").next().unwrap_or(text)
}

/// The module a file belongs to: the first part of its path.
fn module(name: &str) -> &str {
    name.split(['/', '.']).next().unwrap()
}

/// Leaves first; each module with those it may use.
fn directions() -> BTreeMap<&'static str, Vec<&'static str>> {
    let leaves = ["clock", "secret", "ids", "language", "message", "records", "metrics", "fault"];
    let with = |more: &[&'static str]| leaves.iter().chain(more).copied().collect::<Vec<_>>();
    let below_http =
        ["text", "net", "store", "queue", "outbox", "channels", "portals", "sender", "dispatcher", "registry", "trace"];
    let mut everything = with(&below_http);
    everything.extend(["http", "config", "logging", "desk", "sim", "simulate", "app"]);
    BTreeMap::from([
        ("clock", vec![]),
        ("secret", vec![]),
        ("ids", vec![]),
        ("language", vec![]),
        ("fault", vec![]),
        ("message", vec![]),
        ("metrics", vec![]),
        ("records", vec!["clock", "secret", "ids"]),
        ("text", vec![]),
        ("net", vec!["clock", "secret"]),
        ("logging", vec!["clock"]),
        ("config", vec!["secret", "clock", "language"]),
        ("store", with(&[])),
        ("queue", with(&["store"])),
        ("outbox", with(&["store", "queue"])),
        ("channels", with(&["text", "net"])),
        ("portals", with(&["text", "net"])),
        ("sender", with(&["queue", "store", "portals", "net"])),
        ("dispatcher", with(&["outbox", "queue", "store", "channels", "sender"])),
        ("registry", with(&["queue", "store", "channels"])),
        ("trace", with(&["queue", "store"])),
        ("http", with(&below_http)),
        ("desk", with(&["text", "net", "portals"])),
        ("sim", with(&["text", "net", "portals", "desk"])),
        ("simulate", with(&["net", "store", "queue", "portals", "sender"])),
        ("bench", with(&["store", "queue"])),
        ("app", with(&[&below_http[..], &["http", "config"]].concat())),
        ("demo", everything.clone()),
        ("doctor", with(&[&below_http[..], &["http", "config"]].concat())),
        ("cli", [everything.clone(), vec!["demo", "doctor", "bench"]].concat()),
        ("lib", [everything, vec!["cli"]].concat()),
        ("main", vec![]),
    ])
}

#[test]
fn imports_go_one_way() {
    let directions = directions();
    let mut wrong = Vec::new();
    for (name, text) in sources() {
        let own = module(&name);
        let Some(allowed) = directions.get(own) else {
            wrong.push(format!("{name}: the module `{own}` has no place in the directions"));
            continue;
        };
        for part in code(&text).split("crate::").skip(1) {
            // `use crate::{a, b::c}` and `crate::a::b` alike.
            let names: Vec<String> = match part.strip_prefix('{') {
                Some(list) => list
                    .split('}')
                    .next()
                    .unwrap()
                    .split(',')
                    .map(|item| item.trim().split("::").next().unwrap().to_owned())
                    .filter(|item| !item.is_empty())
                    .collect(),
                None => {
                    vec![part.split(|char: char| !char.is_alphanumeric() && char != '_').next().unwrap().to_owned()]
                }
            };
            for used in names {
                if used != own && directions.contains_key(used.as_str()) && !allowed.contains(&used.as_str()) {
                    wrong.push(format!("{name} uses `{used}`"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn each_third_party_crate_has_one_home() {
    let homes: &[(&str, &[&str])] = &[
        (
            "rusqlite",
            &[
                "store",
                "queue",
                "outbox",
                "registry",
                "trace",
                "sender",
                "dispatcher",
                "http",
                "cli",
                "simulate",
                "doctor",
                "bench",
                "desk",
            ],
        ),
        ("ureq", &["net"]),
        ("hyper", &["http"]),
        ("tokio", &["http"]),
        ("rustls", &["http", "net", "desk"]),
        ("tiny_http", &["sim"]),
        ("env_logger", &["logging"]),
        ("jsonwebtoken", &["channels", "sim"]),
        ("md5", &["portals", "sim"]),
        ("toml", &["config"]),
        ("clap", &["cli", "sim"]),
    ];
    let mut wrong = Vec::new();
    for (name, text) in sources() {
        for (krate, allowed) in homes {
            let uses = code(&text).lines().any(|line| {
                !line.trim_start().starts_with("//")
                    && (line.contains(&format!("use {krate}::")) || line.contains(&format!(" {krate}::")))
            });
            if uses && !allowed.contains(&module(&name)) {
                wrong.push(format!("{name} uses `{krate}`"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Adding a channel touches its own folder and the factory only.
#[test]
fn no_other_file_names_a_channel() {
    let mut wrong = Vec::new();
    for (name, text) in sources() {
        // The wire of the box protocol has a command and a form of that name, which its other end calls; configuration has
        // its section; the twin of a channel is about that channel; help shows an example.
        let may = ["channels", "portals", "desk", "config", "sim", "demo", "cli", "app"].contains(&module(&name));
        if may {
            continue;
        }
        for (number, line) in code(&text).lines().enumerate() {
            let prose = line.trim_start().starts_with("//");
            if !prose && line.to_lowercase().contains("\"botframework") {
                wrong.push(format!("{name}:{}: {line}", number + 1));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn files_stay_readable() {
    let mut wrong = Vec::new();
    for (name, text) in sources() {
        let lines = text.lines().count();
        // Only data tables may be long.
        if lines > 600 && !name.contains("table") && !name.contains("keys.rs") {
            wrong.push(format!("{name} has {lines} lines"));
        }
        if !text.starts_with("//!") {
            wrong.push(format!("{name} does not begin with what lives in it"));
        }
        for (number, line) in text.lines().enumerate() {
            if line.chars().count() > 160 && !name.contains("table") {
                wrong.push(format!("{name}:{} is {} characters long", number + 1, line.chars().count()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn nothing_is_left_behind() {
    let mut wrong = Vec::new();
    let words = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X"), concat!("unimpl", "emented!")];
    for (name, text) in sources() {
        for (number, line) in text.lines().enumerate() {
            if words.iter().any(|word| line.contains(word)) {
                wrong.push(format!("{name}:{}: {line}", number + 1));
            }
            if line.contains("#[allow(") {
                wrong.push(format!("{name}:{}: say `expect` with a reason", number + 1));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_changelog_has_its_heading() {
    let text = std::fs::read_to_string(root().join("CHANGELOG.md")).unwrap();
    assert!(text.contains("## Unreleased"), "what changed for the operator stands under \"Unreleased\"");
}
