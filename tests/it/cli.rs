//! Runs the built program as a user does.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

/// A home that vanishes, so that no test reads the machine's own configuration through the environment.
fn trunkline(home: &TempDir, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trunkline"));
    command.env_clear().env("HOME", home.path()).current_dir(home.path()).args(args);
    command
}

fn run(args: &[&str]) -> (i32, String, String) {
    ended(trunkline(&tempfile::tempdir().unwrap(), args).output().unwrap())
}

fn ended(output: Output) -> (i32, String, String) {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn json(args: &[&str]) -> Value {
    let (code, out, err) = run(args);
    assert_eq!((code, err.as_str()), (0, ""), "{args:?}");
    serde_json::from_str(&out).unwrap()
}

/// Compares with `tests/golden/NAME`, or writes it when `UPDATE_GOLDEN` is set.
fn golden(name: &str, got: &str) {
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "tests", "golden", name].iter().collect();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, got).unwrap();
    }
    let want = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(got, want, "{name} differs; UPDATE_GOLDEN=1 rewrites it");
}

/// The words under "Commands:" of a short help.
fn inner(help: &str) -> Vec<String> {
    let lines = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    lines
        .filter_map(|line| line.strip_prefix("  ").filter(|rest| !rest.starts_with(' '))?.split(' ').next())
        .filter(|word| *word != "help")
        .map(str::to_owned)
        .collect()
}

/// Short and long help of a command and of those below it.
fn helps(path: &[String], text: &mut String) -> String {
    let mut words: Vec<&str> = path.iter().map(String::as_str).collect();
    let mut short = String::new();
    for flag in ["-h", "--help"] {
        words.push(flag);
        let (code, out, err) = run(&words);
        assert_eq!((code, err.as_str()), (0, ""), "{words:?}");
        text.extend(["$ trunkline ", &words.join(" "), "\n"]);
        // The library pads empty lines.
        text.extend(out.lines().flat_map(|line| [line.trim_end(), "\n"]));
        text.push('\n');
        if flag == "-h" {
            for line in out.lines() {
                assert!(line.chars().count() <= 79, "{words:?}: {line}");
            }
            assert!(out.lines().count() <= 40, "{words:?} does not fit a screen");
            short = out;
        } else {
            assert!(out.starts_with("Example:\n  trunkline"), "{words:?} begins without an example");
        }
        words.pop();
    }
    short
}

fn helps_below(path: &[String], text: &mut String) {
    let short = helps(path, text);
    for word in inner(&short) {
        helps_below(&[path, &[word]].concat(), text);
    }
}

#[test]
fn help_is_golden() {
    let mut text = String::new();
    let top = helps(&[], &mut text);
    golden("help-trunkline.txt", &text);
    for command in inner(&top) {
        let mut text = String::new();
        helps_below(std::slice::from_ref(&command), &mut text);
        golden(&format!("help-{command}.txt"), &text);
    }
}

#[test]
fn wrong_usage_ends_with_2_and_says_where_to_look() {
    for (args, words) in [
        (&["qeueu", "list"][..], &["'queue'", "try: trunkline help"][..]),
        (&["queue", "lsit"][..], &["'list'", "try: trunkline help queue"][..]),
        (&["portal", "add", "x", "--protocol", "box"][..], &["--url", "try: trunkline help portal add"][..]),
        (&["portal", "add", "x", "--protocol", "box", "--url", "u"][..], &["--license-key-file"][..]),
        (&["line", "set", "1", "--set", "novalue"][..], &["must be KEY=VALUE"][..]),
        (&["schedule", "--first", "tomorrow"][..], &["must be a moment"][..]),
        (&["-q", "-v", "config", "check"][..], &["cannot be used with"][..]),
    ] {
        let (code, out, err) = run(args);
        assert_eq!((code, out.as_str()), (2, ""), "{args:?}");
        for word in words {
            assert!(err.contains(word), "{args:?}: {err}");
        }
    }
}

#[test]
fn the_version_is_a_result() {
    assert_eq!(run(&["--version"]), (0, format!("trunkline {}\n", env!("CARGO_PKG_VERSION")), String::new()));
}

#[test]
fn a_connector_that_is_not_there_ends_with_3() {
    let (code, out, err) = run(&["connector", "show", "carrierpigeon"]);
    assert_eq!((code, out.as_str(), err.as_str()), (3, "", "trunkline: there is no connector `carrierpigeon`\n"));
}

#[test]
fn connectors_are_listed() {
    let list = json(&["--json", "connector", "list"]);
    for connector in list.as_array().unwrap() {
        let id = connector["id"].as_str().unwrap();
        assert_eq!(&json(&["connector", "show", id, "--json"]), connector);
        let (code, out, _) = run(&["connector", "show", id]);
        assert!(code == 0 && out.starts_with(id), "{out}");
    }
    assert!(run(&["connector", "list"]).1.starts_with("ID  "));
}

/// Promise 7 of the design names 24 hours; the default schedule keeps to it.
#[test]
fn the_schedule_ends_after_exactly_24_hours() {
    let table = json(&["--json", "schedule", "--first", "2026-11-24T10:00:00Z"]);
    let entries = table.as_array().unwrap();
    assert_eq!(entries.len(), 12);
    assert_eq!(entries[1]["after_seconds"], 42.1875);
    assert_eq!(entries[0]["at"], "2026-11-24T10:00:00.000Z");
    let last = &entries[11];
    assert_eq!((last["attempt"].as_u64(), last["block_seconds"].as_u64()), (Some(12), Some(43_200)));
    assert_eq!(last["after_seconds"].as_u64().unwrap() + 43_200, 86_400);
    assert_eq!(last["end"], "2026-11-25T10:00:00.000Z");
    let (code, out, err) = run(&["schedule", "--first", "2026-11-24T10:00:00Z"]);
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(out.ends_with("24h after the first attempt, at 2026-11-25 10:00:00 UTC,\nwhat still waits for the line becomes dead letters\n"), "{out}");
}

#[test]
fn the_schedule_follows_the_configuration() {
    let home = tempfile::tempdir().unwrap();
    let mut command = trunkline(&home, &["--json", "schedule"]);
    let (code, out, _) = ended(command.env("TRUNKLINE_RETRY__BLOCKS", "1s,500ms").output().unwrap());
    assert_eq!((code, out.as_str()), (78, ""));
    let mut command = trunkline(&home, &["--json", "schedule"]);
    let (code, out, _) = ended(command.env("TRUNKLINE_RETRY__BLOCKS", "500ms,1s").output().unwrap());
    let list: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &list[1]["after_seconds"]), (0, &Value::from(0.5)));
}

#[test]
fn the_default_configuration_is_the_committed_example() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("trunkline.example.toml");
    assert_eq!(run(&["config", "default"]).1, std::fs::read_to_string(example).unwrap());
}

#[test]
fn mistakes_end_with_78_and_name_file_line_and_nearest_key() {
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("t.toml"), "\nlissten = \"x\"\n[http]\nworkers = 0\n").unwrap();
    let (code, out, err) = ended(trunkline(&home, &["--config", "t.toml", "config", "check"]).output().unwrap());
    assert_eq!((code, out.as_str()), (78, ""));
    assert_eq!(
        err,
        "trunkline: t.toml:2: `lissten` is not a key; did you mean `listen`?\n\
         t.toml:4: `http.workers` = 0 must be a whole number from 1 to 1024\n"
    );
    let mut command = trunkline(&home, &["--json", "config", "check"]);
    let (code, out, _) = ended(command.env("TRUNKLINE_CONFIG", "t.toml").output().unwrap());
    let document: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, document["mistakes"][0]["origin"].as_str()), (78, Some("t.toml:2")));
    let (code, _, err) = run(&["--config", "nowhere.toml", "serve"]);
    assert!(code == 78 && err.contains("nowhere.toml"), "{err}");
}

#[test]
fn the_effective_configuration_is_shown_with_origins() {
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("t.toml"), "[queue]\nconfirm_timeout = \"10s\"\n").unwrap();
    let args = ["--config", "t.toml", "--data-dir", "/srv/t", "config", "show", "--origin"];
    let (code, out, err) = ended(trunkline(&home, &args).env("TRUNKLINE_HTTP__WORKERS", "8").output().unwrap());
    assert_eq!((code, err.as_str()), (0, ""));
    for line in [
        "data_dir = \"/srv/t\"  # --data-dir",
        "confirm_timeout = \"10s\"  # t.toml:2",
        "workers = 8  # $TRUNKLINE_HTTP__WORKERS",
        "listen = \"127.0.0.1:8080\"  # default",
        "# public_url is not set",
    ] {
        assert!(out.lines().any(|shown| shown == line), "{line} is missing in\n{out}");
    }
    // What is shown can be used as a file.
    std::fs::write(home.path().join("again.toml"), &out).unwrap();
    let (code, _, err) = ended(trunkline(&home, &["--config", "again.toml", "config", "check"]).output().unwrap());
    assert_eq!((code, err.as_str()), (0, ""));
    let list = json(&["--json", "config", "show", "--origin"]);
    assert!(list.as_array().unwrap().iter().any(|entry| entry["key"] == "http.workers" && entry["value"] == 64));
}

#[test]
fn completions_for_each_shell() {
    for shell in ["bash", "zsh", "fish"] {
        let (code, out, err) = run(&["completions", shell]);
        assert!(code == 0 && err.is_empty() && out.contains("trunkline"), "{shell}");
    }
}

#[test]
fn manual_pages_are_written() {
    let home = tempfile::tempdir().unwrap();
    let (code, out, err) = ended(trunkline(&home, &["man", "pages"]).output().unwrap());
    assert_eq!((code, err.as_str()), (0, ""));
    for name in ["trunkline.1", "trunkline-portal-add.1", "trunkline.toml.5"] {
        assert!(out.contains(name), "{out}");
        assert!(std::fs::read_to_string(home.path().join("pages").join(name)).unwrap().contains(".TH"), "{name}");
    }
    let page = std::fs::read_to_string(home.path().join("pages/trunkline.toml.5")).unwrap();
    assert!(page.contains("queue.confirm_timeout") && page.contains("TRUNKLINE_QUEUE__CONFIRM_TIMEOUT"));
}

/// `trunkline config default | head -1` is not a failure.
#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let home = tempfile::tempdir().unwrap();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = trunkline(&home, &["config", "default"]).stdout(writer).output().unwrap();
    let (code, _, err) = ended(output);
    assert_eq!((code, err.as_str()), (0, ""));
}

/// The virtual clock: thirty hours against the real queue, with the sums of promise 4.
#[test]
fn an_outage_is_played_as_a_timeline() {
    let args = ["simulate", "outage", "--hours", "30", "--messages-per-hour", "60", "--first", "2026-11-24T10:00:00Z"];
    let (code, out, err) = run(&args);
    assert_eq!((code, err.as_str()), (0, ""));
    golden("simulate-outage.txt", &out);
    let played = json(&[&["--json"], &args[..]].concat());
    assert_eq!(played["difference"], 0);
    let events = played["events"].as_array().unwrap();
    let expired: Vec<&Value> = events.iter().filter(|event| event["event"] == "expired").collect();
    assert_eq!((expired.len(), &expired[0]["at"]), (1, &Value::from("2026-11-25T10:00:00.000Z")), "exactly 24 h");
    assert_eq!(events.iter().filter(|event| event["event"] == "back").count(), 1);
    let (code, _, err) = run(&["simulate", "outage", "--hours", "8760", "--messages-per-hour", "1000"]);
    assert!(code == 2 && err.contains("1000000 messages"), "{err}");
}
