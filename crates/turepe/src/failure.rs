//! How a command ends when it does not succeed: a sentence for the reader and an exit code for scripts.

use std::fmt;
use std::process::ExitCode;

/// Exit codes, as `turepe --help` documents them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// Something went wrong while doing it.
    Failed = 1,
    /// Wrong usage or configuration.
    Usage = 2,
    /// What was named does not exist.
    NotFound = 3,
    /// What was to be created exists.
    Exists = 4,
    /// The other side said no.
    Refused = 5,
    /// It was looked, and something is not as it should be.
    Faults = 6,
}

/// An error with its exit code.
#[derive(Debug)]
pub(crate) struct Failure {
    kind: Kind,
    message: String,
}

impl Failure {
    /// With a whole sentence that says what to do.
    pub(crate) fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    /// Wrong usage.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Kind::Usage, message)
    }

    /// An underlying error with what was being done.
    pub(crate) fn context(doing: impl fmt::Display, error: impl std::error::Error) -> Self {
        Self::new(Kind::Failed, format!("{doing}: {}", chain(&error)))
    }

    /// For `main`.
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.kind as u8)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

impl From<crate::config::ConfigError> for Failure {
    fn from(error: crate::config::ConfigError) -> Self {
        Self::usage(format!("configuration: {error}"))
    }
}

/// The error and its causes in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        // Wrappers often repeat their cause in their own words.
        if !text.contains(&inner_text) {
            text.push_str(": ");
            text.push_str(&inner_text);
        }
        cause = inner.source();
    }
    text
}
