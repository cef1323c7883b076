//! What `doctor` finds: each fault of the list shown without having it, as a page that people read; then some of them for
//! real.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Parser;
use trunkline::channels::TestError;
use trunkline::clock::UnixMillis;
use trunkline::config::{Config, Env, Listen, Loaded, Mistakes, TlsFiles, load_text};
use trunkline::doctor::facts::{
    Answers, Contents, Database, Dead, Facts, FileFacts, LineFacts, Place, PortalFacts, Ready, Server, Waiting,
};
use trunkline::doctor::{CHECKS, Finding, Severity, checks, examine, misconfigured, worst};
use trunkline::ids::{LineId, PortalId};
use trunkline::net::NetError;
use trunkline::portals::PortalError;
use trunkline::records::{Line, LineState, Portal};
use trunkline::secret::Secret;
use trunkline::store::counters::Accounting;
use trunkline::store::look::WriteLock;

/// 2026-11-24T14:00:00Z.
const NOW: UnixMillis = UnixMillis(1_795_528_800_000);

fn ago(span: Duration) -> UnixMillis {
    UnixMillis(NOW.0 - i64::try_from(span.as_millis()).unwrap())
}

fn hours(hours: u64) -> Duration {
    Duration::from_hours(hours)
}

fn load(text: &str) -> Result<Loaded, Mistakes> {
    load_text(Some((Path::new("/etc/trunkline/trunkline.toml"), text)), &Env::default(), &[])
}

fn config() -> Config {
    let text = "data_dir = \"/var/lib/trunkline\"\npublic_url = \"https://im.example.com\"\n";
    load(text).unwrap().config
}

fn line() -> LineFacts {
    LineFacts {
        line: Line {
            id: LineId(3),
            portal: PortalId(1),
            connector: "botframework".into(),
            line: "7".into(),
            hash: Some("hash".into()),
            state: LineState::Active,
            attempts: 0,
            first_attempt_at: None,
            blocked_until: None,
            last_error: None,
        },
        portal: "sales".into(),
        connected: true,
        created_at: ago(hours(1000)),
        proved_at: Some(ago(hours(1))),
        status_missing_at: None,
        queue: Waiting::default(),
        outbox: Waiting::default(),
        confirmed_at: Some(ago(hours(1))),
        sent_at: Some(ago(hours(1))),
        attempts: vec![],
        taken_over: None,
    }
}

fn portal() -> PortalFacts {
    let portal = Portal {
        id: PortalId(1),
        name: "sales".into(),
        protocol: "box".into(),
        url: "https://portal.example.com".into(),
        licence: "licence".into(),
        key: Secret::new("key"),
        version: Some("20.0.75".into()),
    };
    PortalFacts { portal, seen_at: Some(ago(hours(1))), created_at: ago(hours(1000)) }
}

/// A server with one portal and one line, where nothing is wrong.
fn healthy() -> Facts {
    let file = |name: &str| FileFacts { name: name.into(), owner: 998, mode: 0o600, changed_at: ago(hours(1)) };
    Facts {
        now: NOW,
        config: config(),
        place: Place {
            refused: None,
            exists: true,
            owner: 998,
            mode: 0o700,
            runs_as: 998,
            free_bytes: 50 << 30,
            whole_bytes: 100 << 30,
            free_files: Some(1_000_000),
            read_only: false,
            files: ["trunkline.db", "trunkline.db-wal", "trunkline.db-shm", "server.lock"].map(file).into(),
        },
        server: Server::Running(Ready::Yes),
        certificate: None,
        database: Database::Open(Box::new(Contents {
            write_lock: WriteLock::Free,
            lock_holder: None,
            accounting: Accounting { accepted: 900, confirmed: 880, dead: 20, queued: 0, outbox: 0 },
            portals: vec![portal()],
            lines: vec![line()],
            dead: Dead::default(),
            newest: Some(ago(hours(1))),
            step_back: None,
        })),
        answers: Some(Answers {
            portals: vec![("sales".into(), Ok(()))],
            channels: vec![(LineId(3), Ok(()))],
            clocks: vec![("portal.example.com".into(), 1), ("login.microsoftonline.com".into(), 0)],
            unasked: 0,
            limit: Duration::from_secs(8),
        }),
    }
}

fn contents(facts: &mut Facts) -> &mut Contents {
    match &mut facts.database {
        Database::Open(contents) => contents,
        other => panic!("{other:?}"),
    }
}

fn first(facts: &mut Facts) -> &mut LineFacts {
    &mut contents(facts).lines[0]
}

fn answers(facts: &mut Facts) -> &mut Answers {
    facts.answers.as_mut().unwrap()
}

fn block(line: &mut LineFacts, attempts: u32, first: UnixMillis, until: UnixMillis, waiting: i64) {
    line.line.attempts = attempts;
    line.line.first_attempt_at = Some(first);
    line.line.blocked_until = Some(until);
    line.line.last_error = Some("the portal answered 502 and not in the protocol".into());
    line.queue = Waiting { count: waiting, oldest: Some(first), error: None };
}

fn tls(facts: &mut Facts, certificate: Result<(UnixMillis, UnixMillis), String>) {
    let file = |name: &str| PathBuf::from("/etc/trunkline").join(name);
    facts.config.tls = Some(TlsFiles { cert_file: file("cert.pem"), key_file: file("key.pem") });
    facts.certificate = Some(certificate);
}

type Case = (&'static str, fn(&mut Facts));

/// Every fault: what it is, and how the facts look then.
const CASES: &[Case] = &[
    ("data_dir_missing", |facts| (facts.place.exists, facts.database) = (false, Database::Missing)),
    ("data_dir_refused", |facts| {
        facts.place.refused = Some("Permission denied (os error 13)".into());
        facts.database = Database::Missing;
    }),
    ("read_only", |facts| facts.place.read_only = true),
    ("read_only", |facts| facts.place.files[0].mode = 0o400),
    ("owners_mixed", |facts| facts.place.files[1].owner = 0),
    ("files_exposed", |facts| (facts.place.mode, facts.place.files[0].mode) = (0o755, 0o644)),
    ("disk_full", |facts| facts.place.free_bytes = 12 << 20),
    ("disk_full", |facts| facts.place.free_files = Some(0)),
    ("disk_low", |facts| facts.place.free_bytes = 700 << 20),
    ("database_refused", |facts| facts.database = Database::Refused("unable to open database file".into())),
    ("database_damaged", |facts| facts.database = Database::Damaged("database disk image is malformed".into())),
    ("schema_newer", |facts| facts.database = Database::Schema { found: 9, known: 2 }),
    ("schema_older", |facts| facts.database = Database::Schema { found: 1, known: 2 }),
    ("database_locked", |facts| {
        contents(facts).write_lock = WriteLock::Held;
        contents(facts).lock_holder = Some("process 4711 (sqlite3)".into());
    }),
    ("accounting", |facts| contents(facts).accounting.confirmed -= 3),
    ("accounting", |facts| contents(facts).accounting.queued += 2),
    ("server_stopped", |facts| {
        facts.server = Server::Stopped;
        contents(facts).accounting = Accounting { accepted: 912, confirmed: 880, dead: 20, queued: 12, outbox: 0 };
    }),
    ("server_silent", |facts| {
        facts.server = Server::Running(Ready::Silent("no answer within 8 s".into()));
    }),
    ("server_not_ready", |facts| {
        let reason = |code: &str, text: &str| (code.to_owned(), text.to_owned());
        let moves = reason("silent_loop", "the sender does not move");
        facts.server = Server::Running(Ready::No(vec![moves, reason("disk_full", "told elsewhere")]));
    }),
    ("clock_back", |facts| contents(facts).newest = Some(NOW.plus(hours(24)))),
    ("clock_stepped", |facts| contents(facts).step_back = Some((ago(hours(2)), ago(hours(3))))),
    ("clock_differs", |facts| {
        let clocks = &mut answers(facts).clocks;
        clocks.iter_mut().for_each(|(_, ahead)| *ahead = 840);
    }),
    ("clock_differs", |facts| answers(facts).clocks[0].1 = -840),
    ("block_too_long", |facts| {
        let first = first(facts);
        block(first, 1, ago(Duration::from_secs(30)), NOW.plus(hours(26)), 0);
    }),
    ("certificate_unusable", |facts| {
        let why = "certificate and key can't be used together: `/etc/trunkline/cert.pem`, `/etc/trunkline/key.pem`: \
                   keys may not be consistent: KeyMismatch";
        tls(facts, Err(why.into()));
    }),
    ("certificate_expired", |facts| tls(facts, Ok((ago(hours(2000)), ago(hours(30)))))),
    ("certificate_expires", |facts| tls(facts, Ok((ago(hours(2000)), NOW.plus(hours(24 * 9 + 1)))))),
    ("certificate_not_yet", |facts| tls(facts, Ok((NOW.plus(hours(10)), NOW.plus(hours(2000)))))),
    ("tls_missing", |facts| facts.config.listen = Listen::Tcp("0.0.0.0:8080".parse().unwrap())),
    ("tls_missing", |facts| facts.config.public_url = Some("http://im.example.com".into())),
    ("public_url_missing", |facts| facts.config.public_url = None),
    ("admin_public", |facts| facts.config.admin_listen = Listen::Tcp("192.168.0.5:8081".parse().unwrap())),
    ("authentication_off", |facts| facts.config.bot_framework.authentication_required = false),
    ("portal_key_wrong", |facts| {
        answers(facts).portals[0].1 = Err(PortalError::Refused { code: "LICENCE_ERROR".into() });
    }),
    ("portal_key_wrong", |facts| {
        facts.answers = None;
        first(facts).line.last_error = Some("the portal refused with `LICENCE_ERROR`".into());
    }),
    ("portal_unreachable", |facts| {
        let why = "Connection refused (os error 111)".to_owned();
        answers(facts).portals[0].1 = Err(PortalError::Net(NetError::Connect(why)));
    }),
    ("portal_refuses", |facts| {
        answers(facts).portals[0].1 = Err(PortalError::Refused { code: "IMCONNECTOR_NOT_ACTIVE".into() });
    }),
    ("not_all_asked", |facts| answers(facts).unasked = 212),
    ("portal_never_called", |facts| contents(facts).portals[0].seen_at = None),
    ("portal_plain_http", |facts| contents(facts).portals[0].portal.url = "http://portal.example.com".into()),
    ("portal_private", |facts| contents(facts).portals[0].portal.url = "https://192.168.0.10".into()),
    ("line_blocked", |facts| {
        facts.answers = None;
        block(first(facts), 4, ago(Duration::from_mins(59)), NOW.plus(Duration::from_mins(20)), 212);
    }),
    ("line_blocked", |facts| {
        block(first(facts), 12, ago(hours(22)), NOW.plus(hours(2)), 1);
    }),
    ("line_blocked", |facts| {
        block(first(facts), 0, ago(Duration::from_secs(20)), NOW.plus(Duration::from_secs(22)), 5);
        first(facts).line.last_error = Some("the portal answered 503 and not in the protocol".into());
    }),
    ("line_blocked", |facts| {
        facts.server = Server::Running(Ready::Unasked);
        block(first(facts), 1, ago(Duration::from_mins(1)), ago(Duration::from_secs(1)), 0);
    }),
    ("line_broken", |facts| {
        let first = first(facts);
        first.line.state = LineState::Broken;
        first.line.last_error =
            Some("the secret is wrong: paste the secret's value, not its id (AADSTS7000215)".into());
        first.outbox = Waiting { count: 4, oldest: Some(ago(hours(1))), error: None };
    }),
    ("channel_refuses", |facts| {
        let why = "the secret has expired: create a new one (AADSTS7000222)";
        answers(facts).channels[0].1 = Err(TestError { code: "APP_SECRET_EXPIRED", message: why.into() });
    }),
    ("line_taken_over", |facts| {
        let first = first(facts);
        first.line.state = LineState::TakenOver;
        first.taken_over = Some("the entity now belongs to line 9 (portal office)".into());
    }),
    ("webhook_never_called", |facts| first(facts).proved_at = None),
    ("webhook_lost", |facts| first(facts).proved_at = Some(ago(hours(24 * 30)))),
    ("queue_stuck", |facts| {
        first(facts).queue = Waiting { count: 3000, oldest: Some(ago(Duration::from_mins(40))), error: None };
    }),
    ("outbox_stuck", |facts| {
        let error = Some("the channel answered 503".into());
        first(facts).outbox = Waiting { count: 2, oldest: Some(ago(hours(3))), error };
    }),
    ("confirmations_missing", |facts| first(facts).status_missing_at = Some(ago(hours(2)))),
    ("dead_letters", |facts| contents(facts).dead.fresh = vec![("expired".into(), 30), ("permanent".into(), 7)]),
    ("dead_letters_kept", |facts| contents(facts).dead.older = 12),
];

fn shown(code: &str, finding: &Finding) -> String {
    let Finding { severity, subject, message, remedy, .. } = finding;
    let try_it = if remedy.is_empty() { String::new() } else { format!("\nTry: `{remedy}`\n") };
    format!("\n## {code}\n\n{}, {subject}\n\n> {message}\n{try_it}", severity.as_str())
}

#[test]
fn nothing_is_found_where_nothing_is_wrong() {
    assert_eq!(examine(&healthy()), []);
    let mut offline = healthy();
    offline.answers = None;
    assert_eq!(examine(&offline), []);
}

/// The page that people read is what the checks say.
#[test]
fn every_fault_has_its_words() {
    let mut page = String::from(
        "# What `trunkline doctor` finds\n\nEvery fault with the words it is told in; the names, times and numbers are \
         examples.\nA test writes this page from the program itself (`UPDATE_GOLDEN=1 cargo test --test it doctor`).\n\
         The exit code is 0 when nothing is found or notes only, 1 for warnings, 2 when something is broken.\n",
    );
    let mistakes = load("data_dir = \"/x\"\nlissten = \"127.0.0.1:8080\"\n").unwrap_err();
    let wrong = misconfigured(&mistakes);
    assert_eq!((wrong.len(), worst(&wrong)), (1, Some(Severity::Broken)));
    page += &shown(checks::CONFIG_WRONG, &wrong[0]);
    let mut seen = std::collections::BTreeSet::new();
    for (code, spoil) in CASES {
        let mut facts = healthy();
        spoil(&mut facts);
        let findings = examine(&facts);
        let found: Vec<_> = findings.iter().filter(|finding| finding.code == *code).collect();
        assert_eq!(found.len(), 1, "{code}: {findings:?}");
        // What else is found then would be the same trouble told twice.
        assert!(findings.len() == 1 || *code == "block_too_long", "{code}: {findings:#?}");
        seen.insert(*code);
        page += &shown(code, found[0]);
    }
    for code in CHECKS.iter().flat_map(|check| check.codes) {
        assert!(seen.contains(code), "{code} has no case here");
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/doctor.md");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    assert_eq!(page, std::fs::read_to_string(&path).unwrap_or_default(), "UPDATE_GOLDEN=1 rewrites docs/doctor.md");
}

/// What it tells people to type is understood.
#[test]
fn every_remedy_can_be_typed() {
    for (code, spoil) in CASES {
        let mut facts = healthy();
        spoil(&mut facts);
        for finding in examine(&facts) {
            assert!(!finding.remedy.is_empty() || finding.severity == Severity::Note, "{code}");
            let ours = finding.remedy.strip_prefix("sudo -u trunkline ").unwrap_or(&finding.remedy);
            let ends = ["--version"];
            if ours.starts_with("trunkline ") && !ends.iter().any(|end| ours.ends_with(end)) {
                trunkline::cli::Cli::try_parse_from(ours.split(' ')).unwrap_or_else(|error| panic!("{ours}: {error}"));
            }
            assert!(finding.message.ends_with('.') && !finding.message.contains("  "), "{}", finding.message);
        }
    }
}

/// Asking, with a network that answers from memory.
mod asking {
    use std::sync::{Arc, Mutex};

    use trunkline::channels::{Factory, Options, Tools};
    use trunkline::clock::ManualClock;
    use trunkline::doctor::ask::{Hurried, NoShelf, everybody};
    use trunkline::net::{Answer, Call, Net};
    use trunkline::records::Settings;

    use super::*;

    #[derive(Debug, Default)]
    struct Memory {
        timeouts: Mutex<Vec<Duration>>,
    }

    impl Net for Memory {
        fn call(&self, call: Call) -> Result<Answer, NetError> {
            self.timeouts.lock().unwrap().push(call.timeout);
            let date = ("date".to_owned(), "Tue, 24 Nov 2026 14:10:00 GMT".to_owned());
            let answer = |status, body: &str| Answer { status, headers: vec![date.clone()], body: body.into() };
            if call.url.contains("sales") {
                Ok(answer(200, r#"{"OK":true,"DATA":[]}"#))
            } else if call.url.contains("lost") {
                Ok(answer(200, r#"{"OK":false,"DATA":{"RESULT":"OK"},"ERROR":[{"CODE":"LICENCE_ERROR"}]}"#))
            } else if call.url.contains("dead") {
                Err(NetError::Timeout(call.timeout))
            } else {
                Ok(answer(401, r#"{"error":"invalid_client","error_codes":[7000222]}"#))
            }
        }
    }

    #[test]
    fn everybody_is_asked_once_and_in_a_hurry() {
        let memory = Arc::new(Memory::default());
        let clock = Arc::new(ManualClock::at(NOW));
        let hurried = Arc::new(Hurried::new(memory.clone(), clock.clone()));
        let tools = Tools { net: hurried.clone(), clock, shelf: Arc::new(NoShelf) };
        let factory = Factory::new(&tools, &Options::default());
        let named = |name: &str, id: i64| {
            let mut portal = portal();
            (portal.portal.id, portal.portal.name) = (PortalId(id), name.to_owned());
            portal.portal.url = format!("https://{name}.test");
            portal
        };
        let portals = [named("dead", 2), named("lost", 3), named("sales", 1)];
        let settings = Settings::from_pairs(
            [("bot_handle", "b"), ("app_id", "11111111-2222-3333-4444-555555555555"), ("app_secret", "s")]
                .map(|(key, value)| (key.to_owned(), value.to_owned())),
        );
        let mut away = line();
        (away.line.id, away.line.state) = (LineId(4), LineState::TakenOver);
        let answers = everybody(&portals, &[(line(), settings.clone()), (away, settings)], &hurried, &factory);
        let portals: Vec<_> = answers.portals.iter().map(|(name, answer)| (name.as_str(), answer.is_ok())).collect();
        assert_eq!(portals, [("dead", false), ("lost", false), ("sales", true)]);
        assert_eq!(answers.portals[1].1, Err(PortalError::Refused { code: "LICENCE_ERROR".into() }));
        let [(LineId(3), Err(error))] = answers.channels.as_slice() else { panic!("{:?}", answers.channels) };
        assert_eq!((error.code, answers.unasked), ("APP_SECRET_EXPIRED", 0));
        assert_eq!(answers.clocks.len(), 3, "{:?}", answers.clocks);
        assert!(answers.clocks.iter().all(|(_, ahead)| *ahead == 600), "{:?}", answers.clocks);
        let timeouts = memory.timeouts.lock().unwrap();
        assert!(
            timeouts.len() == 4 && timeouts.iter().all(|timeout| *timeout <= Duration::from_secs(4)),
            "{timeouts:?}"
        );
    }
}

/// The program itself.
mod program {
    use std::collections::BTreeMap;
    use std::os::unix::fs::PermissionsExt;

    use rusqlite::Connection;
    use serde_json::Value;

    use super::*;
    use crate::crash::activity;
    use crate::support::http::Client;
    use crate::support::portal::Ear;
    use crate::support::program::Place;
    use crate::support::until;

    const APP: &str = "11111111-2222-3333-4444-555555555555";

    fn doctor(place: &Place, more: &[&str]) -> (i32, Value) {
        let output = place.output(&[&["--json", "doctor"], more].concat());
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
        (output.status.code().unwrap(), serde_json::from_slice(&output.stdout).unwrap())
    }

    fn codes(report: &Value) -> Vec<String> {
        let findings = report["findings"].as_array().unwrap().iter();
        findings.map(|finding| finding["code"].as_str().unwrap().to_owned()).collect()
    }

    fn files(place: &Place) -> BTreeMap<std::path::PathBuf, Vec<u8>> {
        let entries = std::fs::read_dir(place.path("data")).unwrap().map(|entry| entry.unwrap().path());
        entries.map(|path| (path.clone(), std::fs::read(path).unwrap())).collect()
    }

    fn database(place: &Place) -> Connection {
        Connection::open(place.path("data/trunkline.db")).unwrap()
    }

    /// A stopped server's folder with nothing but the database.
    fn at_rest(place: &Place) {
        database(place).query_row("pragma wal_checkpoint(truncate)", [], |_| Ok(())).unwrap();
        for end in ["-wal", "-shm"] {
            let _ = std::fs::remove_file(place.path(&format!("data/trunkline.db{end}")));
        }
    }

    #[test]
    fn a_stopped_server_is_examined_without_a_trace() {
        let place = Place::new(crate::commands::OFF);
        assert_eq!(codes(&doctor(&place, &[]).1), ["data_dir_missing", "authentication_off"]);
        assert!(!place.path("data").exists(), "looking makes nothing");
        let ear = Ear::start();
        place.connect("office", &ear.url, APP);
        at_rest(&place);
        let before = files(&place);
        let (exit, report) = doctor(&place, &[]);
        assert_eq!((exit, report["state"].as_str()), (1, Some("warning")), "{report}");
        assert_eq!(codes(&report), ["server_stopped", "authentication_off"]);
        assert_eq!(files(&place), before);
        let words = place.output(&["doctor", "--offline"]);
        let words = String::from_utf8_lossy(&words.stdout).into_owned();
        assert!(
            words.contains("warning: The server does not run.\n  try: sudo systemctl start trunkline\n"),
            "{words}"
        );
        assert!(words.ends_with("1 portal, 1 line, nobody was asked; nothing waits\n1 warning\n"), "{words}");
    }

    #[test]
    fn a_running_server_where_nothing_is_wrong_ends_with_0() {
        let ear = Ear::start();
        let place = Place::new(crate::commands::OFF);
        place.connect("office", &ear.url, APP);
        let _server = place.serve();
        let (exit, report) = doctor(&place, &[]);
        assert_eq!(
            (exit, report["state"].as_str(), codes(&report)),
            (0, Some("ok"), vec!["authentication_off".into()])
        );
        assert!(place.run(&["doctor"]).ends_with("nothing is wrong\n"));
    }

    /// Promise 4: an unequal sum is told by both.
    #[test]
    fn a_difference_in_the_accounts_is_told_by_doctor_and_readyz() {
        let place = Place::new(crate::commands::OFF);
        let (_, hash) = place.connect("office", "http://127.0.0.1:9", APP);
        let server = place.serve();
        let path = format!("/imwebhook/?hash={hash}");
        assert_eq!(Client::connect(&server.public).unwrap().post_json(&path, &activity("m")).unwrap().status, 200);
        let ready = || Client::connect(&server.admin).unwrap().request("GET", "/readyz", "", b"").unwrap();
        assert_eq!(ready().status, 200);
        database(&place).execute("update counters set value = value + 2 where name = 'accepted'", []).unwrap();
        let answer = ready();
        assert_eq!((answer.status, &answer.json()["codes"][0]), (503, &Value::from("accounting")));
        assert_eq!(server.metric("trunkline_accounting_difference"), 2.0);
        let (exit, report) = doctor(&place, &["--offline"]);
        let told = report["findings"].as_array().unwrap().iter().find(|finding| finding["code"] == "accounting");
        assert!(told.unwrap()["message"].as_str().unwrap().contains("2 accepted messages are in no place"), "{report}");
        assert_eq!((exit, report["state"].as_str()), (2, Some("broken")));
    }

    #[test]
    fn a_blocked_line_is_explained_beside_a_running_server() {
        let ear = Ear::start();
        ear.well.store(false, std::sync::atomic::Ordering::SeqCst);
        let place = Place::new(crate::commands::OFF);
        let (line, hash) = place.connect("office", &ear.url, APP);
        let server = place.serve();
        let path = format!("/imwebhook/?hash={hash}");
        assert_eq!(Client::connect(&server.public).unwrap().post_json(&path, &activity("m")).unwrap().status, 200);
        let wait = Duration::from_secs(10);
        until("the block", wait, || place.json(&["line", "show", &line.to_string()])["state"] == "blocked");
        let (exit, report) = doctor(&place, &[]);
        assert_eq!(
            (exit, codes(&report)),
            (1, vec!["portal_unreachable".to_owned(), "line_blocked".to_owned(), "authentication_off".to_owned(),])
        );
        let message = report["findings"][1]["message"].as_str().unwrap();
        for part in ["of portal `office` waits until", "502", "1 message waits", "becomes a dead letter tomorrow at"] {
            assert!(message.contains(part), "{part}: {message}");
        }
        assert_eq!(report["findings"][1]["try"], "trunkline portal test office");
        ear.well.store(true, std::sync::atomic::Ordering::SeqCst);
        let (_, report) = doctor(&place, &[]);
        assert_eq!(report["findings"][0]["try"], format!("trunkline line unblock {line}"), "{report}");
    }

    #[test]
    fn a_database_that_cannot_be_used_is_told_apart() {
        let place = Place::new(crate::commands::OFF);
        place.connect("office", "http://127.0.0.1:9", APP);
        let path = place.path("data/trunkline.db");

        let holder = database(&place);
        holder.execute_batch("begin immediate; insert into shelf (name, body, at) values ('x', '', 0)").unwrap();
        let (exit, report) = doctor(&place, &["--offline"]);
        let locked = report["findings"].as_array().unwrap().iter().find(|finding| finding["code"] == "database_locked");
        let message = locked.unwrap_or_else(|| panic!("{report}"))["message"].as_str().unwrap().to_owned();
        assert!(exit == 2 && message.contains(&format!("process {}", std::process::id())), "{message}");
        drop(holder);

        at_rest(&place);
        let set = |mode| std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        set(0o400);
        let (exit, report) = doctor(&place, &["--offline"]);
        assert!(exit == 2 && codes(&report).contains(&"read_only".to_owned()), "{report}");
        set(0o600);

        database(&place).pragma_update(None, "user_version", 9).unwrap();
        assert!(codes(&doctor(&place, &["--offline"]).1).contains(&"schema_newer".to_owned()));
        database(&place).pragma_update(None, "user_version", 1).unwrap();
        assert!(codes(&doctor(&place, &["--offline"]).1).contains(&"schema_older".to_owned()));
        database(&place).pragma_update(None, "user_version", 2).unwrap();

        at_rest(&place);
        let mut bytes = std::fs::read(&path).unwrap();
        for byte in bytes.iter_mut().skip(4096 * 3).take(4096) {
            *byte = 0x5a;
        }
        std::fs::write(&path, &bytes).unwrap();
        let (exit, report) = doctor(&place, &["--offline"]);
        assert!(exit == 2 && codes(&report).contains(&"database_damaged".to_owned()), "{report}");
        std::fs::write(&path, b"not a database, but longer than the header of one would be, in plain words").unwrap();
        assert!(codes(&doctor(&place, &["--offline"]).1).contains(&"database_damaged".to_owned()));
    }

    #[test]
    fn a_wrong_configuration_and_a_wrong_pair_are_faults_too() {
        let place = Place::new("lissten = \"x\"\n");
        let (exit, report) = doctor(&place, &[]);
        assert_eq!((exit, codes(&report)), (2, vec!["config_wrong".to_owned()]));
        assert!(report["findings"][0]["subject"].as_str().unwrap().ends_with("trunkline.toml:4"), "{report}");

        let place = Place::new("[tls]\ncert_file = \"cert.pem\"\nkey_file = \"other/key.pem\"\n");
        let pair = |dir: &str| place.run(&["tls", "self-signed", "--host", "im.office.lan", "--dir", dir]);
        let home = place.folder.path().to_str().unwrap().to_owned();
        pair(&home);
        pair(&format!("{home}/other"));
        let mut command = place.command(&["--json", "doctor", "--offline"]);
        let output = command.current_dir(&home).output().unwrap();
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert!(codes(&report).contains(&"certificate_unusable".to_owned()), "{report}");
    }

    #[test]
    fn a_portals_key_can_be_changed() {
        let place = Place::new(crate::commands::OFF);
        place.connect("office", "http://127.0.0.1:9", APP);
        std::fs::write(place.path("new"), "ANOTHER-KEY-0002\n").unwrap();
        let file = place.path("new");
        let file = file.to_str().unwrap();
        assert!(place.run(&["portal", "set", "office", "--license-key-file", file]).contains("another key"));
        let args =
            ["portal", "add", "second", "--protocol", "box", "--url", "https://x.test", "--license-key-file", file];
        assert_eq!(place.output(&args).status.code(), Some(4), "the key is known now");
        std::fs::write(place.path("demo"), "DEMO").unwrap();
        let demo = place.path("demo");
        let args = ["portal", "set", "office", "--license-key-file", demo.to_str().unwrap()];
        assert_eq!(place.output(&args).status.code(), Some(4));
    }
}
