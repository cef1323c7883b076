//! `trunkline tls`: a certificate for a portal on the LAN. Boxed portals do not verify certificates, so a self-signed
//! one is enough where no public CA can help.

use std::fs::{DirBuilder, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::json;

use super::{CliError, Context, ExitCode, output};
use crate::clock::UnixMillis;

/// Make a self-signed certificate for a portal on the LAN
#[derive(Args, Debug)]
#[command(before_long_help = "\
Example:
  trunkline tls self-signed --host 192.168.0.5 --dir /etc/trunkline")]
pub struct TlsArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: TlsCommand,
}

/// What can be made.
#[derive(Debug, Subcommand)]
pub enum TlsCommand {
    /// Make cert.pem and key.pem and print the lines for the configuration
    #[command(before_long_help = "\
Example:
  trunkline tls self-signed --host im.office.lan --host 192.168.0.5")]
    SelfSigned(SelfSignedArgs),
}

/// `tls self-signed`.
#[derive(Args, Debug)]
pub struct SelfSignedArgs {
    /// Name or address that portals call; may be given more than once
    #[arg(long, value_name = "NAME", required = true, num_args = 1..)]
    pub host: Vec<String>,
    /// Folder for the two files
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub dir: PathBuf,
}

pub(crate) fn run(ctx: &Context, args: &TlsArgs, out: &mut dyn Write) -> Result<ExitCode, CliError> {
    let TlsCommand::SelfSigned(args) = &args.command;
    let dir = &args.dir;
    let (cert_file, key_file) = (dir.join("cert.pem"), dir.join("key.pem"));
    for path in [&cert_file, &key_file] {
        if path.exists() {
            let name = path.display();
            return Err(CliError::Refused(format!("`{name}` is there already; move it away or choose another --dir")));
        }
    }
    let (cert, key) = make_pair(&args.host, ctx.clock.now())?;
    let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.map_err(CliError::io(format!("`{}` can't be made", dir.display())))?;
    save(&key_file, &key)?;
    save(&cert_file, &cert)?;
    let absolute = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned()).display().to_string();
    let (cert_file, key_file) = (absolute(&cert_file), absolute(&key_file));
    if ctx.global.json {
        output::json(out, &json!({"cert_file": cert_file, "key_file": key_file, "hosts": args.host}))?;
    } else {
        writeln!(out, "[tls]\ncert_file = {}\nkey_file = {}", json!(cert_file), json!(key_file))?;
    }
    Ok(ExitCode::Done)
}

/// PEM of the certificate and of its key.
fn make_pair(names: &[String], now: UnixMillis) -> Result<(String, String), CliError> {
    crate::http::tls::self_signed(names, now).map_err(|error| CliError::Failed(error.to_string()))
}

/// Readable by the owner only, and never over a file that is there.
fn save(path: &Path, pem: &str) -> Result<(), CliError> {
    let what = format!("`{}` can't be written", path.display());
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let mut file = file.map_err(CliError::io(what.clone()))?;
    file.write_all(pem.as_bytes()).and_then(|()| file.sync_all()).map_err(CliError::io(what))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// Promise 9.
    #[test]
    fn keys_are_for_the_owner_and_never_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key.pem");
        save(&path, "first").unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(save(&path, "second").is_err());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "first");
    }
}
