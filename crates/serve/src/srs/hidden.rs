//! Text that may hold a stream key.

use serde::{Deserialize, Deserializer};
use std::fmt;

/// Prints as `***`; [`Hidden::expose`] is the one way to its text.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Hidden(String);

impl Hidden {
    /// Hides a text.
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself: to compare, to hash, to open; never for a log.
    #[must_use]
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl<'de> Deserialize<'de> for Hidden {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // An error would repeat what it found: nothing is said of it.
        let hide = |_| serde::de::Error::custom("is no text");
        Option::<String>::deserialize(deserializer).map(|text| Self(text.unwrap_or_default())).map_err(hide)
    }
}
