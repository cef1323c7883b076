//! What commands share: tables, JSON documents, spans of time in words, secrets from files.

use std::io::{self, Read, Write};
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::Context;
use super::exit::CliError;
use crate::secret::Secret;

/// Longest secret that is read from a file.
const SECRET_MAX_BYTES: u64 = 64 * 1024;

/// Writes rows below a heading, each column as wide as its widest cell, the last one ragged.
pub(crate) fn table(out: &mut dyn Write, head: &[&str], rows: &[Vec<String>]) -> io::Result<()> {
    let head: Vec<String> = head.iter().map(|cell| cell.to_uppercase()).collect();
    let width = |column: usize| {
        let cells = rows.iter().chain([&head]).filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    for row in [&head].into_iter().chain(rows) {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        writeln!(out, "{}", cells.collect::<Vec<_>>().join("  ").trim_end())?;
    }
    Ok(())
}

/// Writes one JSON document, indented.
pub(crate) fn json(out: &mut dyn Write, value: &Value) -> io::Result<()> {
    writeln!(out, "{value:#}")
}

/// Writes a list as one JSON document, an element a line, as it is read: a long list never lies in memory.
pub(crate) fn array(
    out: &mut dyn Write,
    elements: impl Iterator<Item = Result<Value, CliError>>,
) -> Result<(), CliError> {
    let mut before = "[";
    for element in elements {
        write!(out, "{before}\n  {}", element?)?;
        before = ",";
    }
    writeln!(out, "{}", if before == "[" { "[]" } else { "\n]" })?;
    Ok(())
}

/// Writes what a command has done: the document with `--json`, else the sentence.
pub(crate) fn result(ctx: &Context, document: &Value, words: &str, out: &mut dyn Write) -> Result<(), CliError> {
    if ctx.global.json {
        json(out, document)?;
    } else {
        writeln!(out, "{words}")?;
    }
    Ok(())
}

/// `1 message`, `212 messages`.
pub(crate) fn many(count: i64, word: &str) -> String {
    if count == 1 { format!("1 {word}") } else { format!("{count} {word}s") }
}

/// A span of time in words: `1h 22m 30s`, `42.1875s`, `24h`, `3d 12h`, `0s`.
pub(crate) fn span(duration: Duration) -> String {
    let secs = duration.as_secs();
    // Up to two days people count hours: the retries run for 24 of them.
    let days = if secs < 172_800 { 0 } else { secs / 86_400 };
    let hours = (secs - days * 86_400) / 3_600;
    let counted = [(days, "d"), (hours, "h"), (secs / 60 % 60, "m")];
    let mut words: Vec<String> =
        counted.iter().filter(|(count, _)| *count > 0).map(|(count, unit)| format!("{count}{unit}")).collect();
    let fraction = format!("{:09}", duration.subsec_nanos());
    match fraction.trim_end_matches('0') {
        "" if secs.is_multiple_of(60) && !words.is_empty() => (),
        "" => words.push(format!("{}s", secs % 60)),
        fraction => words.push(format!("{}.{fraction}s", secs % 60)),
    }
    words.join(" ")
}

/// Seconds as a JSON number, whole ones without a fraction.
pub(crate) fn seconds(duration: Duration) -> Value {
    if duration.subsec_nanos() == 0 { duration.as_secs().into() } else { duration.as_secs_f64().into() }
}

/// Reads a secret from a file, `-` for standard input. One line break at the end belongs to the editor, not to the
/// secret.
///
/// Commands take secrets only this way: flags show in the process list and in the shell's history.
pub fn read_secret(path: &Path) -> Result<Secret, CliError> {
    if path == Path::new("-") {
        return secret_from(&mut io::stdin().lock(), "standard input");
    }
    let name = path.display().to_string();
    let mut file = std::fs::File::open(path).map_err(CliError::io(format!("`{name}` can't be read")))?;
    secret_from(&mut file, &name)
}

fn secret_from(source: &mut dyn Read, name: &str) -> Result<Secret, CliError> {
    let mut text = String::new();
    let mut limited = source.take(SECRET_MAX_BYTES);
    limited.read_to_string(&mut text).map_err(CliError::io(format!("`{name}` can't be read")))?;
    if limited.limit() == 0 {
        return Err(CliError::Usage(format!("`{name}` is longer than a secret can be (64 KiB)")));
    }
    let line = text.strip_suffix('\n').unwrap_or(&text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    if line.is_empty() {
        return Err(CliError::Usage(format!("`{name}` is empty, a secret was expected")));
    }
    Ok(Secret::new(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let mut out = vec![];
        let rows = [vec!["1".into(), "юг".into(), "x".into()], vec!["10".into(), "north".into(), String::new()]];
        table(&mut out, &["id", "name", "note"], &rows).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "ID  NAME   NOTE\n1   юг     x\n10  north\n");
    }

    #[test]
    fn a_list_is_one_document() {
        for count in 0..3 {
            let mut out = vec![];
            array(&mut out, (0..count).map(|number| Ok(serde_json::json!({"n": number})))).unwrap();
            let document: Vec<Value> = serde_json::from_slice(&out).unwrap();
            assert_eq!(document.len(), count);
        }
    }

    #[test]
    fn spans_in_words() {
        for (millis, want) in [
            (0, "0s"),
            (500, "0.5s"),
            (42_188, "42.188s"),
            (60_000, "1m"),
            (4_950_000, "1h 22m 30s"),
            (86_400_000, "24h"),
            (302_400_000, "3d 12h"),
        ] {
            assert_eq!(span(Duration::from_millis(millis)), want);
        }
        assert_eq!(seconds(Duration::from_millis(500)).to_string(), "0.5");
        assert_eq!(seconds(Duration::from_hours(24)).to_string(), "86400");
    }

    #[test]
    fn a_secret_loses_one_line_break_only() {
        let read = |text: &str| secret_from(&mut text.as_bytes(), "f");
        for (text, want) in [("abc\n", "abc"), ("abc\r\n", "abc"), ("abc", "abc"), (" a b \n\n", " a b \n")] {
            assert_eq!(read(text).unwrap().reveal(), want);
        }
        assert!(matches!(read("\n"), Err(CliError::Usage(_))));
        assert!(matches!(read(&"x".repeat(70_000)), Err(CliError::Usage(_))));
    }
}
