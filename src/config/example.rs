//! The commented example file, made from the table of keys. It is also the list of defaults: read as it stands, it
//! changes nothing.

use std::fmt::Write;

use super::keys::{KEYS, Key};
use super::kinds::Raw;

const HEAD: &str = "\
# Configuration of Trunkline, with every key.
# What is not commented out is the default; what is commented out is unset by default.
#
# Each key can also be set by the environment: TRUNKLINE_LISTEN, TRUNKLINE_QUEUE__CONFIRM_TIMEOUT,
# lists with commas between the values. Flags win over the environment, the environment over this file.
# Durations are \"500ms\", \"90s\", \"15m\", \"12h\", \"7d\"; sizes are \"64KiB\", \"1MiB\" or plain bytes.
# Keys named *_file also take \"credential:NAME\", a systemd credential.
";

/// The text of `trunkline.example.toml`.
pub fn example() -> String {
    let mut text = String::from(HEAD);
    let mut section = "";
    for key in KEYS {
        if key.section() != section {
            section = key.section();
            _ = write!(text, "\n[{section}]\n");
        }
        text.push_str(&entry(key));
    }
    text
}

fn entry(key: &Key) -> String {
    let mut text = String::from("\n");
    for line in wrap(key.doc, 110).into_iter().chain([format!("Takes {}.", key.allowed())]) {
        _ = writeln!(text, "# {line}");
    }
    let written = |value: &str| key.kind.json(&Raw::Typed(value.to_owned())).to_string().replace("\",\"", "\", \"");
    // Writing into a string can't fail.
    _ = match key.default {
        Some(default) => writeln!(text, "{} = {}", key.name(), written(default)),
        None => writeln!(text, "# {} = {}", key.name(), written(key.example)),
    };
    text
}

/// Breaks a sentence at blanks.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = vec![];
    for word in text.split(' ') {
        match lines.last_mut().filter(|line| line.len() + word.len() < width) {
            Some(line) => {
                line.push(' ');
                line.push_str(word);
            }
            None => lines.push(word.to_owned()),
        }
    }
    lines
}
