//! What a check of the directory found, for `turepe doctor`.

use std::fmt;

/// How bad it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Severity {
    /// As it should be.
    Good,
    /// Works, and there is something to know.
    Hint,
    /// Works, and should be changed.
    Warning,
    /// Does not work.
    Error,
}

/// One finding, in words for the operator.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What was looked at: `key`, `reach`, `read`, `update`, `row-level security`.
    pub subject: &'static str,
    /// What was seen and what to do about it. Contains no secret.
    pub message: String,
}

impl Finding {
    pub(crate) fn new(severity: Severity, subject: &'static str, message: impl Into<String>) -> Self {
        Self { severity, subject, message: message.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self.severity {
            Severity::Good => "ok",
            Severity::Hint => "hint",
            Severity::Warning => "warning",
            Severity::Error => "error",
        };
        write!(f, "{word}: {}: {}", self.subject, self.message)
    }
}
