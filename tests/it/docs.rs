//! Holds the documents against the program: what they tell a reader to type must be understood.

use std::path::Path;

use clap::{CommandFactory, Parser};
use trunkline::cli::Cli;

fn document(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

/// The command lines for `trunkline` in a text, continuation lines joined, redirections cut off.
fn commands(text: &str) -> Vec<String> {
    let joined = text.replace("\\\n", " ");
    let lines = joined.lines().map(|line| line.trim().trim_start_matches("sudo "));
    let ours = lines.map(|line| line.replace("cargo run --release -- ", "trunkline "));
    ours.filter(|line| line.starts_with("trunkline "))
        .map(|line| line.split(['>', '|']).next().unwrap_or_default().trim().to_owned())
        .collect()
}

fn must_parse(command: &str, place: &str) {
    if let Err(error) = Cli::try_parse_from(command.split_whitespace()) {
        panic!("{place}: `{command}`\n{error}");
    }
}

#[test]
fn the_commands_of_the_readme_are_understood() {
    // Only whole lines of code blocks: what stands in a sentence is often a part of a command.
    let readme = document("README.md");
    let blocks: String = readme.split("```").skip(1).step_by(2).collect();
    let commands = commands(&blocks);
    assert!(commands.len() >= 7, "{commands:?}");
    for command in commands {
        must_parse(&command, "README.md");
    }
}

#[test]
fn the_commands_of_the_page_on_capacity_are_understood() {
    let page = document("docs/capacity.md");
    let blocks: String = page.split("```").skip(1).step_by(2).collect();
    let commands = commands(&blocks);
    assert!(!commands.is_empty());
    for command in commands {
        must_parse(&command, "docs/capacity.md");
    }
}

#[test]
fn the_examples_in_the_help_are_understood() {
    fn check(command: &clap::Command) {
        let help = command.get_before_long_help().map(ToString::to_string).unwrap_or_default();
        for example in commands(&help) {
            must_parse(&example, command.get_name());
        }
        command.get_subcommands().for_each(check);
    }
    check(&Cli::command());
}

#[test]
fn links_of_the_documents_lead_somewhere() {
    for name in
        ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/capacity.md", "docs/portal-client.md"]
    {
        let text = document(name);
        // The picture is taken from the demo at release.
        let text = text.replace("](docs/demo.png)", "");
        let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for target in targets.filter(|target| !target.starts_with('#') && !target.starts_with("http")) {
            let place = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
            let target = target.split('#').next().unwrap();
            assert!(place.parent().unwrap().join(target).exists(), "{name}: {target}");
        }
    }
}

/// The service restarts neither on a wrong command line nor on a bad configuration.
#[test]
fn the_unit_knows_the_exit_codes() {
    let unit = document("systemd/trunkline.service");
    assert!(unit.contains("RestartPreventExitStatus=2 4 78\n"));
    assert_eq!((trunkline::ExitCode::Usage as u8, trunkline::ExitCode::Refused as u8), (2, 4));
    assert_eq!(trunkline::ExitCode::Config as u8, 78);
}
