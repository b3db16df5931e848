//! What can go wrong in a bucket, by what to do about it. No message holds a secret or a signed URL.

use std::time::Duration;

/// An error of one call. [`BucketError::is_transient`] says whether the same call may succeed later.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BucketError {
    /// The service asks to try again later: HTTP 408, 429 and 500–599 but 501. B2 answers so as a matter of routine.
    #[error("the bucket is busy (HTTP {status}): {message}")]
    Busy {
        /// The answer's status.
        status: u16,
        /// How long it asks to wait.
        retry_after: Option<Duration>,
        /// What it said.
        message: String,
    },
    /// No whole answer came: no connection, a reset, a time-out, a body cut short. What was asked may have been done.
    #[error("the bucket cannot be reached: {reason}")]
    Unreachable {
        /// What happened.
        reason: String,
    },
    /// The credentials, their rights, or a cap of the account (HTTP 401 and 403).
    #[error("the bucket refuses (HTTP {status}): {message}")]
    Refused {
        /// The answer's status.
        status: u16,
        /// What it said: B2 names the cap that was reached here.
        message: String,
    },
    /// There is no such object.
    #[error("the bucket has no object {name}")]
    NotFound {
        /// Which one.
        name: String,
    },
    /// The upload was completed, aborted or never begun.
    #[error("the bucket does not know the upload")]
    NoSuchUpload,
    /// A part named at the end is not there as named.
    #[error("the bucket does not have the parts as they were named: {message}")]
    InvalidPart {
        /// What it said.
        message: String,
    },
    /// What arrived is not what was sent.
    #[error("damaged on the way to the bucket: {message}")]
    Checksum {
        /// What differs.
        message: String,
    },
    /// Anything else that would fail the same way again.
    #[error("the bucket cannot do that{}: {message}", status.map(|status| format!(" (HTTP {status})")).unwrap_or_default())]
    Invalid {
        /// The answer's status, if there was one.
        status: Option<u16>,
        /// What is wrong.
        message: String,
    },
}

impl BucketError {
    /// Whether the same call may succeed later. A damaged body is sent again; refusals and mistakes are not.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Busy { .. } | Self::Unreachable { .. } | Self::Checksum { .. })
    }

    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::Invalid { status: None, message: message.into() }
    }

    pub(super) fn unreachable(reason: impl Into<String>) -> Self {
        Self::Unreachable { reason: reason.into() }
    }

    pub(super) fn not_found(name: &str) -> Self {
        Self::NotFound { name: name.to_owned() }
    }
}
