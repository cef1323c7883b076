//! The table, the three sources and the mistakes, from outside.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::*;

fn home() -> Env {
    Env::from_pairs([("HOME", "/home/ann")])
}

fn read(text: &str, env: &Env, flags: &[Flag]) -> Result<Loaded, Mistakes> {
    load_text(Some((Path::new("t.toml"), text)), env, flags)
}

fn mistakes(text: &str, env: &Env) -> Vec<String> {
    match read(text, env, &[]) {
        Ok(_) => vec![],
        Err(mistakes) => mistakes.0.iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn the_defaults_are_those_of_the_interface() {
    let config = load_text(None, &home(), &[]).unwrap().config;
    assert_eq!(config.data_dir, PathBuf::from("/home/ann/.local/state/trunkline"));
    assert_eq!(
        (config.listen.to_string(), config.admin_listen.to_string()),
        ("127.0.0.1:8080".into(), "127.0.0.1:8081".into())
    );
    assert_eq!(config.retry.blocks.len(), 12);
    assert_eq!(config.retry.blocks.iter().sum::<Duration>(), Duration::from_hours(24));
    assert_eq!(config.retry.blocks.last(), Some(&Duration::from_hours(12)));
    assert_eq!((config.http.workers, config.http.max_body), (64, 1 << 20));
    assert_eq!(
        (config.http.commit_wait, config.queue.confirm_timeout),
        (Duration::from_secs(8), Duration::from_secs(90))
    );
    assert_eq!((config.queue.packet_max_messages, config.queue.packet_max_files), (10, 3));
    assert_eq!(config.queue.dedup_keep, Duration::from_hours(7 * 24));
    assert_eq!((config.retry.poison_attempts, config.outbox.ttl), (3, Duration::from_hours(24)));
    assert_eq!((config.dead_letters.keep, config.dead_letters.notify_portal), (Duration::from_hours(30 * 24), true));
    assert!(config.bot_framework.authentication_required && !config.bot_framework.gov);
    assert_eq!((config.tls, config.public_url, config.network.allow), (None, None, vec![]));
}

#[test]
fn the_committed_example_is_the_table_and_changes_nothing() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("trunkline.example.toml");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, example()).unwrap();
    }
    assert_eq!(std::fs::read_to_string(path).unwrap(), example(), "run the tests with UPDATE_GOLDEN=1");
    let (plain, example_read) = (load_text(None, &home(), &[]).unwrap(), read(&example(), &home(), &[]).unwrap());
    assert_eq!(plain.config, example_read.config);
    for line in example().lines() {
        assert!(line.len() <= 200, "{line}");
    }
}

/// Every commented-out key can be used as it stands.
#[test]
fn the_example_can_be_uncommented() {
    let open: String = example()
        .lines()
        .map(|line| match line.strip_prefix("# ") {
            Some(entry) if KEYS.iter().any(|key| entry.starts_with(&format!("{} = ", key.name()))) => {
                format!("{entry}\n")
            }
            _ => format!("{line}\n"),
        })
        .collect();
    let env = Env::from_pairs([("CREDENTIALS_DIRECTORY", "/run/credentials/trunkline.service")]);
    let config = read(&open, &env, &[]).unwrap().config;
    assert_eq!(config.data_dir, PathBuf::from("/var/lib/trunkline"));
    assert_eq!(config.tls.unwrap().key_file, PathBuf::from("/run/credentials/trunkline.service/tls-key"));
    assert!(config.bot_framework.token_url.unwrap().contains("{tenant}"));
}

#[test]
fn keys_have_unique_names_and_one_sentence() {
    for (at, key) in KEYS.iter().enumerate() {
        assert!(KEYS.iter().skip(at + 1).all(|other| other.path != key.path), "{}", key.path);
        assert!(key.doc.ends_with('.') || key.doc.ends_with(")."), "{}", key.path);
        assert!(key.default.is_some() == key.example.is_empty(), "{}: a default or an example", key.path);
        assert!(key.path.matches('.').count() <= 1, "{}", key.path);
    }
}

#[test]
fn flags_win_over_the_environment_and_that_over_the_file() {
    let text = "listen = \"127.0.0.1:1\"\nadmin_listen = \"127.0.0.1:2\"\n[queue]\nconfirm_timeout = \"10s\"\n";
    let env = Env::from_pairs([
        ("TRUNKLINE_CONFIG", "t.toml"),
        ("TRUNKLINE_LISTEN", "127.0.0.1:3"),
        ("TRUNKLINE_QUEUE__CONFIRM_TIMEOUT", "20s"),
        ("TRUNKLINE_NETWORK__ALLOW", "10.0.0.0/8, 192.168.1.7"),
        ("STATE_DIRECTORY", "/var/lib/trunkline:/var/lib/other"),
    ]);
    let flags = [Flag { name: "--listen", path: "listen", value: String::from("unix:/run/t.sock") }];
    let loaded = read(text, &env, &flags).unwrap();
    assert_eq!(loaded.config.listen, Listen::Unix("/run/t.sock".into()));
    assert_eq!(loaded.config.queue.confirm_timeout, Duration::from_secs(20));
    assert_eq!(loaded.config.data_dir, PathBuf::from("/var/lib/trunkline"));
    assert_eq!(loaded.config.network.allow, vec!["10.0.0.0/8".parse().unwrap(), "192.168.1.7/32".parse().unwrap()]);
    let origin = |path: &str| loaded.settings.iter().find(|s| s.key.path == path).unwrap().origin.to_string();
    assert_eq!(origin("listen"), "--listen");
    assert_eq!(origin("admin_listen"), "t.toml:2");
    assert_eq!(origin("queue.confirm_timeout"), "$TRUNKLINE_QUEUE__CONFIRM_TIMEOUT");
    assert_eq!(origin("http.workers"), "default");
}

#[test]
fn all_mistakes_are_told_at_once_with_line_value_and_range() {
    let text = "\
lissten = \"127.0.0.1:1\"
confirm_timeout = \"1s\"
[http]
workers = 0
max_body = \"1MB\"
[queue]
confirm_timeout = 90
confirm = \"both\"
[qeueu]
x = 1
[retry]
blocks = [\"2s\", \"1s\"]
[tls]
cert_file = \"cert.pem\"
";
    let env = Env::from_pairs([("HOME", "/h"), ("TRUNKLINE_QUEUE_CONFIRM", "x"), ("TRUNKLINE_HTTP__WORKERS", "many")]);
    let want = [
        "t.toml:1: `lissten` is not a key; did you mean `listen`?",
        "t.toml:2: `confirm_timeout` is not a key; did you mean `queue.confirm_timeout`?",
        "t.toml:4: `http.workers` = 0 must be a whole number from 1 to 1024",
        "t.toml:5: `http.max_body` = \"1MB\" must be a size from 1KiB to 64MiB, such as \"1MiB\"",
        "t.toml:7: `queue.confirm_timeout` = 90 must be a duration from 100ms to 1h, such as \"90s\"",
        "t.toml:8: `queue.confirm` = \"both\" must be \"either\" or \"status\"",
        "t.toml:9: `[qeueu]` is not a section; did you mean `[queue]`?",
        "$TRUNKLINE_HTTP__WORKERS: `http.workers` = \"many\" must be a whole number from 1 to 1024",
        "$TRUNKLINE_QUEUE_CONFIRM: no key has this variable; did you mean `$TRUNKLINE_QUEUE__CONFIRM`?",
        "t.toml:14: `tls.cert_file` needs `tls.key_file` beside it",
        "t.toml:12: `retry.blocks`: block 2 (1s) is shorter than the one before (2s)",
    ];
    assert_eq!(mistakes(text, &env), want);
}

#[test]
fn broken_toml_is_told_with_its_line() {
    let told = mistakes("language = \"en\"\nlisten = \n", &home());
    assert!(told.first().is_some_and(|first| first.starts_with("t.toml:2: ")), "{told:?}");
    let twice = mistakes("language = \"en\"\nlanguage = \"ru\"\n", &home());
    assert!(twice.first().is_some_and(|first| first.contains(":2: ")), "{twice:?}");
}

#[test]
fn rules_across_keys() {
    let off = "[bot_framework]\nauthentication = \"off\"\n";
    for (listen, fine) in [
        ("127.0.0.1:0", true),
        ("[::1]:0", true),
        ("unix:/run/x", true),
        ("0.0.0.0:0", false),
        ("192.168.0.1:80", false),
    ] {
        assert_eq!(mistakes(&format!("listen = \"{listen}\"\n{off}"), &home()).is_empty(), fine, "{listen}");
    }
    assert_eq!(mistakes("listen = \"127.0.0.1:8081\"", &home()).len(), 1);
    assert!(mistakes("listen = \"127.0.0.1:0\"\nadmin_listen = \"127.0.0.1:0\"", &home()).is_empty());
    assert_eq!(mistakes("[retry]\nblocks = []", &home()).len(), 1);
    assert!(mistakes("[retry]\nblocks = [\"500ms\"]", &home()).is_empty());
    let no_home = mistakes("", &Env::default());
    assert!(no_home.first().is_some_and(|first| first.contains("`data_dir` is not set")), "{no_home:?}");
}

#[test]
fn addresses_and_files() {
    for (line, fine) in [
        ("public_url = \"https://im.example.com/\"", true),
        ("public_url = \"http://10.0.0.1:8080/trunkline\"", true),
        ("public_url = \"im.example.com\"", false),
        ("public_url = \"ftp://im.example.com\"", false),
        ("public_url = \"https://ann:word@im.example.com\"", false),
        ("public_url = \"https://im.example.com/?a\"", false),
        ("bot_framework.token_url = \"http://127.0.0.1:9/{tenant}/token\"", true),
        ("bot_framework.token_url = \"http://10.0.0.1/token\"", false),
        ("bot_framework.openid_metadata_url = \"http://[::1]:9/x\"", true),
        ("admin_token_file = \"credential:../x\"", false),
        ("admin_token_file = \"credential:x\"", false),
        ("admin_token_file = \"\"", false),
        ("network.allow = [\"10.0.0.0/8\", \"fd00::/8\"]", true),
        ("network.allow = [\"10.0.0.0/64\"]", false),
        ("network.allow = [1]", false),
        ("listen = \"localhost:80\"", false),
        ("listen = \"unix:run/x\"", false),
    ] {
        assert_eq!(mistakes(line, &home()).is_empty(), fine, "{line}");
    }
    let config = read("public_url = \"https://im.example.com/\"", &home(), &[]).unwrap().config;
    assert_eq!(config.public_url.as_deref(), Some("https://im.example.com"));
    let told = mistakes("admin_token_file = \"credential:adm\"", &home());
    assert!(told.first().is_some_and(|first| first.contains("LoadCredential=adm")), "{told:?}");
}

#[test]
fn a_file_that_is_not_there_is_a_mistake() {
    let told = load(Some(Path::new("/nowhere/t.toml")), &home(), &[]).unwrap_err().to_string();
    assert!(told.starts_with("/nowhere/t.toml: the file can't be read"), "{told}");
}

proptest::proptest! {
    /// No file, however broken, ends the program: it has mistakes or it has none.
    #[test]
    fn rubbish_is_told_not_obeyed(at in 0_usize..6000, cut in 0_usize..40, put in "\\PC{0,12}|[\\[\\]={}\"'#.,\n0-9a-z_-]{0,24}") {
        let text = example();
        let mut chars: Vec<char> = text.chars().collect();
        let from = at.min(chars.len());
        let to = (from + cut).min(chars.len());
        chars.splice(from..to, put.chars());
        let broken: String = chars.into_iter().collect();
        let told = mistakes(&broken, &home());
        proptest::prop_assert!(told.iter().all(|one| one.starts_with("t.toml:") || one.starts_with("default: ")), "{told:?}");
        mistakes(&put, &home());
    }
}
