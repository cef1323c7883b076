//! `trunkline man`: trunkline(1), one page a command, and trunkline.toml(5) from the table of keys.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::{Args, Command, CommandFactory};
use clap_mangen::Man;
use clap_mangen::roff::{Inline, Roff, bold, italic, roman};

use super::{Cli, CliError, ExitCode};
use crate::config::{DEFAULT_FILE, KEYS, Key};

/// Write the manual pages into a folder
///
/// trunkline(1), a page for each command, and trunkline.toml(5).
#[derive(Args, Debug)]
#[command(before_long_help = "\
Example:
  trunkline man target/man")]
pub struct ManArgs {
    /// Folder, made when it is not there
    pub dir: PathBuf,
}

pub(crate) fn run(args: &ManArgs, out: &mut dyn Write) -> Result<ExitCode, CliError> {
    std::fs::create_dir_all(&args.dir).map_err(CliError::io(format!("`{}` can't be made", args.dir.display())))?;
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    pages(&command, &args.dir, out)?;
    let mut page = vec![];
    configuration(&mut page)?;
    save(&args.dir.join("trunkline.toml.5"), &page, out)?;
    Ok(ExitCode::Done)
}

/// Writes the page of a command and of those below it, and prints the names.
fn pages(command: &Command, dir: &Path, out: &mut dyn Write) -> Result<(), CliError> {
    let name = command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned();
    let mut page = vec![];
    render(command, &name, &mut page)?;
    save(&dir.join(format!("{name}.1")), &page, out)?;
    command.get_subcommands().try_for_each(|inner| pages(inner, dir, out))
}

/// The generator's page with our example before the options, where a reader looks first.
fn render(command: &Command, name: &str, page: &mut Vec<u8>) -> io::Result<()> {
    let source = format!("trunkline {}", env!("CARGO_PKG_VERSION"));
    let man = Man::new(command.clone()).title(name).source(source).manual("Trunkline");
    man.render_title(page)?;
    man.render_name_section(page)?;
    man.render_synopsis_section(page)?;
    man.render_description_section(page)?;
    if let Some(example) = command.get_before_long_help() {
        let mut roff = Roff::new();
        roff.control("SH", ["EXAMPLES"]).control("nf", []);
        for line in example.to_string().lines().skip(1) {
            roff.text([roman(line)]);
        }
        roff.control("fi", []).to_writer(page)?;
    }
    man.render_options_section(page)?;
    if command.has_subcommands() {
        man.render_subcommands_section(page)?;
    }
    if let Some(after) = command.get_after_long_help() {
        let mut roff = Roff::new();
        roff.control("SH", ["FILES AND EXIT CODES"]).control("nf", []);
        for line in after.to_string().lines() {
            roff.text([roman(line)]);
        }
        roff.control("fi", []).to_writer(page)?;
    }
    let mut roff = Roff::new();
    roff.control("SH", ["SEE ALSO"]).text([bold("trunkline"), roman("(1), "), bold("trunkline.toml"), roman("(5)")]);
    roff.to_writer(page)
}

fn configuration(page: &mut Vec<u8>) -> io::Result<()> {
    let source = concat!("trunkline ", env!("CARGO_PKG_VERSION"));
    let mut roff = Roff::new();
    roff.control("TH", ["trunkline.toml", "5", "", source, "Trunkline"]);
    roff.control("SH", ["NAME"]).text([roman("trunkline.toml - configuration of the connector server")]);
    roff.control("SH", ["DESCRIPTION"]);
    roff.text([roman(format!(
        "The file is the one named by --config, else by $TRUNKLINE_CONFIG, else {DEFAULT_FILE}. Each key can also be \
         set by an environment variable, lists with commas between the values. Flags win over the environment, the \
         environment over the file. Durations are written \"500ms\", \"90s\", \"15m\", \"12h\", \"7d\", sizes \"64KiB\", \
         \"1MiB\" or plain bytes. Keys named *_file also take \"credential:NAME\", a systemd credential."
    ))]);
    let mut section = None;
    for key in KEYS {
        if section != Some(key.section()) {
            section = Some(key.section());
            let title = if key.section().is_empty() { "TOP OF THE FILE" } else { key.section() };
            roff.control("SH", [title.to_uppercase().as_str()]);
        }
        roff.control("TP", []).text([bold(key.path)]).text([roman(key.doc)]);
        roff.control("br", []).text(facts(key));
    }
    roff.control("SH", ["SEE ALSO"]).text([bold("trunkline"), roman("(1)")]);
    roff.to_writer(page)
}

fn facts(key: &Key) -> Vec<Inline> {
    let default = key.default_text().unwrap_or_else(|| String::from("unset"));
    vec![
        roman(format!("Takes {}. Default: ", key.allowed())),
        bold(default),
        roman(". Variable: "),
        italic(key.env_name()),
    ]
}

fn save(path: &Path, page: &[u8], out: &mut dyn Write) -> Result<(), CliError> {
    std::fs::write(path, page).map_err(CliError::io(format!("`{}` can't be written", path.display())))?;
    writeln!(out, "{}", path.display())?;
    Ok(())
}
