//! `[covers]`: for `live`.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::settings::Keys;
use super::{ConfigError, Span};

/// The pictures of live channels.
#[derive(Clone, Debug)]
pub(crate) struct Covers {
    /// Offline for so long, a channel has a slate.
    pub(crate) slate_after: Span,
    /// A JPEG; `None` for the one that is built in.
    pub(crate) slate: Option<PathBuf>,
}

impl Covers {
    pub(super) fn read(keys: &Keys<'_>) -> Result<Self, ConfigError> {
        let file = |text: &str| Ok((!text.is_empty()).then(|| PathBuf::from(text)));
        Ok(Self {
            slate_after: keys.span("covers.slate_after", "0s", "30d")?,
            slate: keys.parse("covers.slate", file)?,
        })
    }

    pub(super) fn to_json(&self) -> Value {
        let slate = self.slate.as_ref().map(|path| path.display().to_string());
        json!({ "slate_after": self.slate_after.to_string(), "slate": slate.unwrap_or_default() })
    }
}
