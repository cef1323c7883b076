//! How a command ends.

use std::fmt;
use std::io;

use crate::config::Mistakes;

/// The exit codes of the contract (`interface.md` §1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitCode {
    /// Done.
    Done = 0,
    /// Tried and failed.
    Failed = 1,
    /// The command line is wrong.
    Usage = 2,
    /// What was named is not there.
    NotFound = 3,
    /// Needs `--yes`, or would break a rule.
    Refused = 4,
    /// The configuration is wrong (`EX_CONFIG`, which keeps systemd from restarting for ever).
    Config = 78,
}

/// `doctor` has its own meaning for two of the numbers.
impl ExitCode {
    /// Something should be looked at.
    pub const WARNINGS: Self = Self::Failed;
    /// Something does not work.
    pub const BROKEN: Self = Self::Usage;
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        Self::from(code as u8)
    }
}

/// Why a command did not do what it was asked.
#[derive(Debug)]
pub enum CliError {
    /// The configuration has mistakes.
    Config(Mistakes),
    /// A word of the command line can't be used: what, and what would be right.
    Usage(String),
    /// Something named on the command line is not there.
    NotFound {
        /// `portal`, `line`, `connector` …
        what: &'static str,
        /// As it was named.
        name: String,
        /// The nearest thing that is there.
        near: Option<String>,
    },
    /// A rule or the missing `--yes` stands against it; the text says what would be done and how to insist.
    Refused(String),
    /// It was tried; the text says what failed and what to do.
    Failed(String),
    /// A file or a pipe.
    Io {
        /// What was being done, with the name of the file.
        what: String,
        /// What the system says.
        error: io::Error,
    },
}

impl CliError {
    /// The code the process ends with.
    pub fn code(&self) -> ExitCode {
        match self {
            Self::Config(_) => ExitCode::Config,
            Self::Usage(_) => ExitCode::Usage,
            Self::NotFound { .. } => ExitCode::NotFound,
            Self::Refused(_) => ExitCode::Refused,
            // Whoever reads our output has seen enough (`trunkline config default | head`).
            Self::Io { error, .. } if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::Done,
            Self::Failed(_) | Self::Io { .. } => ExitCode::Failed,
        }
    }

    /// For `map_err`: names what was being done.
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |error| Self::Io { what, error }
    }
}

/// Writing the result failed.
impl From<io::Error> for CliError {
    fn from(error: io::Error) -> Self {
        Self::Io { what: String::from("the result can't be written"), error }
    }
}

impl From<Mistakes> for CliError {
    fn from(mistakes: Mistakes) -> Self {
        Self::Config(mistakes)
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(mistakes) => write!(f, "{mistakes}"),
            Self::Usage(what) | Self::Refused(what) | Self::Failed(what) => f.write_str(what),
            Self::NotFound { what, name, near: None } => write!(f, "there is no {what} `{name}`"),
            Self::NotFound { what, name, near: Some(near) } => {
                write!(f, "there is no {what} `{name}`; did you mean `{near}`?")
            }
            Self::Io { what, error } => write!(f, "{what}: {error}"),
        }
    }
}

impl std::error::Error for CliError {}
