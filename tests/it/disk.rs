//! `trunkline bench disk` from outside: it measures, says what that promises, leaves nothing behind, and touches no
//! database. What it prints depends on the machine, so the tests hold relations, not numbers.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::support::program::Place;
use crate::support::until;

const BRIEF: [&str; 4] = ["bench", "disk", "--seconds", "0.1"];

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// What a refused measurement says.
fn refusal(place: &Place, data_dir: &Path) -> String {
    let output = place.output(&[&["--data-dir", data_dir.to_str().unwrap()], &BRIEF[..]].concat());
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(1), &b""[..]));
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn it_measures_and_leaves_nothing_behind() {
    let place = Place::new("");
    let before = names(place.folder.path());
    let measured = place.json(&BRIEF);
    assert_eq!(names(place.folder.path()), before, "there is no data directory yet, and none was made");
    let number = |value: &Value| value.as_f64().unwrap_or_else(|| panic!("{value} in {measured:#}"));

    assert_eq!(measured["folder"], place.folder.path().to_str().unwrap());
    assert_eq!(measured["served"], false);
    let raw = &measured["raw"];
    assert!(number(&raw["count"]) >= 4.0 && number(&raw["per_second"]) > 0.0, "{raw}");
    let rounds = measured["store"].as_array().unwrap();
    assert_eq!(rounds.iter().map(|round| round["callers"].as_u64().unwrap()).collect::<Vec<_>>(), [1, 8, 64]);
    for round in rounds {
        assert!(number(&round["count"]) >= number(&round["callers"]), "{round}");
        assert!(number(&round["median_ms"]) <= number(&round["p99_ms"]), "{round}");
        // A caller waits for its own commit: no more callers than that can be under way.
        let under_way = number(&round["per_second"]) * number(&round["median_ms"]) / 1e3;
        assert!(under_way <= 3.0 * number(&round["callers"]), "{round}");
        assert!(number(&round["per_raw_sync"]) > 0.0, "{round}");
    }
    assert!(number(&measured["unsynced_per_second"]) > 0.0);
    let trusted = ["sound", "slow"].contains(&measured["disk"].as_str().unwrap());
    assert_eq!(measured["promise"].is_object(), trusted, "{measured:#}");
    if trusted {
        let promise = &measured["promise"];
        assert_eq!(promise["one_connection_per_second"], rounds[0]["per_second"]);
        assert_eq!(promise["many_connections_per_second"], rounds[2]["per_second"]);
        assert!(number(&promise["server_per_second"]) < number(&rounds[2]["per_second"]));
        assert!(number(&promise["server_per_day"]) > 86_000.0 * number(&promise["server_per_second"]));
    }
    assert!((2..=5).contains(&measured["sentences"].as_array().unwrap().len()), "{measured:#}");
}

#[test]
fn it_is_a_table_and_sentences_in_the_configured_language() {
    for (language, words) in [("en", "One connection that waits"), ("ru", "По одному соединению")] {
        let place = Place::new(&format!("language = \"{language}\"\n"));
        std::fs::create_dir(place.path("data")).unwrap();
        let told = place.run(&BRIEF);
        let lines: Vec<&str> = told.lines().collect();
        let data = place.path("data");
        assert!(lines[0].starts_with(&format!("Measured in `{}`", data.display())), "{told}");
        assert!(lines[2].starts_with("WHAT") && lines[2].ends_with("PER RAW SYNC"), "{told}");
        for (line, what) in lines[3..].iter().zip([
            "4 KB written and synced",
            "messages of 1 caller ",
            "messages of 8 callers",
            "messages of 64 callers",
            "the same without syncs",
        ]) {
            assert!(line.starts_with(what), "{told}");
        }
        assert!(lines[9..].iter().any(|line| line.starts_with(words)), "{told}");
        assert_eq!(names(&data), [""; 0]);
    }
}

/// The real database is neither opened nor locked, and a running server does not notice.
#[test]
fn it_touches_no_database() {
    let place = Place::new(crate::commands::OFF);
    let (_, hash) = place.connect("office", "http://127.0.0.1:9", "11111111-2222-3333-4444-555555555555");
    let database = place.path("data/trunkline.db");
    let before = (names(&place.path("data")), std::fs::read(&database).unwrap());
    assert_eq!(place.json(&BRIEF)["served"], false);
    assert_eq!((names(&place.path("data")), std::fs::read(&database).unwrap()), before);

    let server = place.serve();
    let measured = place.json(&BRIEF);
    assert_eq!(measured["served"], true);
    assert!(measured["sentences"].to_string().contains("A server works in this data directory"), "{measured:#}");
    assert!(!names(&place.path("data")).iter().any(|name| name.starts_with(".bench")));
    let mut client = crate::support::http::Client::connect(&server.public).unwrap();
    let body = crate::crash::activity("mark-1");
    assert_eq!(client.post_json(&format!("/imwebhook/?hash={hash}"), &body).unwrap().status, 200);
    assert_eq!(server.metric("trunkline_accounting_difference"), 0.0);
    assert_eq!(place.json(&["queue", "list"]).as_array().unwrap().len(), 1, "the measurement's messages are not ours");
}

#[test]
fn a_folder_that_cannot_be_measured_is_told_in_a_sentence() {
    let place = Place::new("");
    let file = place.path("file");
    std::fs::write(&file, "").unwrap();
    let told = refusal(&place, &file);
    assert!(
        told.contains(&format!("`{}` can't be measured", file.display())) && told.contains("names a folder"),
        "{told}"
    );

    // Not even root may make a folder here.
    let told = refusal(&place, Path::new("/proc/nowhere"));
    assert!(told.starts_with("trunkline: `/proc` can't be measured: ") && told.lines().count() == 1, "{told}");

    let output = place.output(&["bench", "disk", "--seconds", "0"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("from 0.1 to 60"), "{output:?}");
}

#[test]
fn a_folder_of_somebody_else_is_told_so() {
    use std::os::unix::fs::PermissionsExt;
    if rustix::process::geteuid().is_root() {
        println!("left out: nothing is forbidden to root");
        return;
    }
    let place = Place::new("");
    let closed = place.path("closed");
    std::fs::create_dir(&closed).unwrap();
    std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o555)).unwrap();
    let told = refusal(&place, &closed);
    assert!(told.contains("ermission denied") && told.contains("measure as that user"), "{told}");
}

/// A disk with little room is not filled: the server on it would stop taking messages.
#[test]
fn a_full_disk_is_not_filled() {
    let place = Place::new("");
    let Some(disk) = crate::faults::Disk::mount(&place.path("data"), "32m") else { return };
    let told = refusal(&place, &place.path("data"));
    assert!(told.contains("MiB left and the measurement needs 512 MiB; make room"), "{told}");
    assert_eq!(names(&place.path("data")), [""; 0]);
    drop(disk);
}

/// On a file system in memory the figures promise nothing, and that is said first.
#[test]
fn memory_promises_nothing() {
    let place = Place::new("");
    let Some(_disk) = crate::faults::Disk::mount(&place.path("data"), "600m") else { return };
    let measured = place.json(&BRIEF);
    assert_eq!((measured["file_system"].as_str(), measured["disk"].as_str()), (Some("tmpfs"), Some("memory")));
    assert_eq!(measured["promise"], Value::Null);
    let first = measured["sentences"][0].as_str().unwrap();
    assert!(first.contains("lies in memory (tmpfs): these figures promise nothing"), "{first}");
    assert_eq!(names(&place.path("data")), [""; 0]);
}

/// Somebody presses Ctrl-C in the middle.
#[test]
fn an_interrupted_measurement_leaves_nothing_behind() {
    let place = Place::new("");
    std::fs::create_dir(place.path("data")).unwrap();
    let mut command = place.command(&["bench", "disk", "--seconds", "60"]);
    let child = command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap();
    let limit = Duration::from_secs(20);
    until("the database of the measurement", limit, || {
        let folder = names(&place.path("data")).pop();
        folder.is_some_and(|folder| place.path("data").join(folder).join("data/trunkline.db").exists())
    });
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "trunkline: interrupted, nothing is left behind\n");
    assert_eq!(names(&place.path("data")), [""; 0]);
}
