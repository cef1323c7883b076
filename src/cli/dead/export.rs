//! `trunkline dead export`: the only command that shows what was said.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::as_json;
use crate::cli::open::Opened;
use crate::cli::output::{self, many};
use crate::cli::{CliError, Context};
use crate::queue::dead::{self, Chosen};

pub(super) fn run(
    ctx: &Context,
    open: &Opened,
    path: &Path,
    letters: &[Chosen],
    out: &mut dyn Write,
) -> Result<(), CliError> {
    let name = path.display().to_string();
    if path.exists() {
        return Err(CliError::Refused(format!("`{name}` is there already; move it away or choose another name")));
    }
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let file = made.map_err(CliError::io(format!("`{name}` can't be made")))?;
    let count = match write(open, file, letters, &name) {
        Ok(count) => count,
        Err(error) => {
            // Half an export would be taken for a whole one. When it can't even be removed, the error says enough.
            let _ = std::fs::remove_file(path);
            return Err(error);
        }
    };
    if ctx.global.json {
        output::json(out, &json!({"exported": count, "file": name}))?;
    } else {
        writeln!(out, "wrote {} into `{name}`; it holds what people wrote", many(count, "dead letter"))?;
    }
    Ok(())
}

fn write(open: &Opened, file: File, letters: &[Chosen], name: &str) -> Result<i64, CliError> {
    let failed = || CliError::io(format!("`{name}` can't be written"));
    let mut writer = BufWriter::new(file);
    let mut count = 0;
    for one in letters {
        // One that was purged or replayed in between is left out.
        let (Some(letter), Some(body)) = (dead::by_id(&open.db, one.id)?, dead::body(&open.db, one.id)?) else {
            continue;
        };
        if letter.replayed.is_some() {
            continue;
        }
        let mut document = as_json(open, &letter);
        if let Some(fields) = document.as_object_mut() {
            match serde_json::from_slice::<Value>(&body) {
                Ok(content) => fields.insert("content".to_owned(), content),
                Err(_) => fields.insert("content_base64".to_owned(), STANDARD.encode(&body).into()),
            };
        }
        writeln!(writer, "{document}").map_err(failed())?;
        count += 1;
    }
    let file = writer.into_inner().map_err(|error| failed()(error.into_error()))?;
    file.sync_all().map_err(failed())?;
    Ok(count)
}
