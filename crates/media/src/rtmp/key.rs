//! The secret a publisher presents.

use std::fmt;

/// A stream key. It prints as `***`; [`StreamKey::expose`] is the one way to its text.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct StreamKey(String);

impl StreamKey {
    /// A key of that text.
    #[must_use]
    pub fn new(key: impl Into<String>) -> Self {
        Self(key.into())
    }

    /// The secret text itself: for hashing and for the wire, never for a log.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// `text` with every occurrence of the key replaced: for words of a peer that may echo it.
    #[must_use]
    pub fn redact(&self, text: &str) -> String {
        let mut clean = text.to_owned();
        let bare = self.0.split('?').next().unwrap_or_default();
        for secret in [self.0.as_str(), bare] {
            if !secret.is_empty() {
                clean = clean.replace(secret, "***");
            }
        }
        clean
    }
}

impl fmt::Debug for StreamKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for StreamKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::StreamKey;

    #[test]
    fn a_key_does_not_print() {
        let key = StreamKey::new("s3cret?user=1");
        assert_eq!(format!("{key} {key:?}"), "*** ***");
        assert_eq!(key.redact("stream live/s3cret?user=1 is busy: s3cret"), "stream live/*** is busy: ***");
    }
}
