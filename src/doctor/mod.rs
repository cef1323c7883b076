//! What is wrong, in the words of a person, and the one command that helps. `look` and `ask` gather facts: from files and
//! database without changing them, from portals and channels in parallel and not for long. `checks` are functions over
//! these facts, so that each fault can be shown without having it.

pub mod ask;
pub mod checks;
pub mod facts;
pub mod look;
pub mod words;

pub use checks::{CHECKS, examine, misconfigured};
pub use facts::Facts;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Good to know; nothing is wrong.
    Note,
    /// Wrong, or soon.
    Warning,
    /// Messages are not taken, not delivered, or lost soon.
    Broken,
}

impl Severity {
    /// As it is shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Broken => "broken",
        }
    }
}

/// One thing that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Stable code.
    pub code: &'static str,
    /// How bad.
    pub severity: Severity,
    /// What it is about: `line 3`, ``portal `sales` ``, `disk`.
    pub subject: String,
    /// Whole sentences.
    pub message: String,
    /// The command that helps; empty for notes that ask for nothing.
    pub remedy: String,
}

impl Finding {
    /// A finding; the remedy is added by [`Finding::remedy`].
    pub(crate) fn new(
        severity: Severity,
        code: &'static str,
        subject: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        Self { code, severity, subject: subject.into(), message: message.into(), remedy: String::new() }
    }

    /// The same with the command that helps.
    pub(crate) fn remedy(mut self, command: impl Into<String>) -> Self {
        self.remedy = command.into();
        self
    }
}

/// The worst of several findings; `None` when nothing is wrong.
pub fn worst(findings: &[Finding]) -> Option<Severity> {
    findings.iter().map(|finding| finding.severity).max().filter(|severity| *severity > Severity::Note)
}
