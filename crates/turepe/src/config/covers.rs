//! `[covers]`: for `live`.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::settings::Keys;
use super::{ConfigError, Span};

/// The pictures of live channels.
#[derive(Clone, Debug)]
pub(crate) struct Covers {
    /// Where they are, open to everybody on the machine; `None`: in the data folder, and private.
    pub(crate) shared: Option<PathBuf>,
    /// Offline for so long, a channel has a slate.
    pub(crate) slate_after: Span,
    /// A JPEG; `None` for the one that is built in.
    pub(crate) slate: Option<PathBuf>,
}

impl Covers {
    /// `data` is the data folder: nobody else may enter it.
    pub(super) fn read(keys: &Keys<'_>, data: &Path) -> Result<Self, ConfigError> {
        let file = |text: &str| Ok((!text.is_empty()).then(|| PathBuf::from(text)));
        let folder = |text: &str| match text {
            "" => Ok(None),
            text if is_within(Path::new(text), data) => {
                Err("lies in the data folder, which nobody else may enter: name a folder outside of it"
                    .to_owned())
            }
            text => Ok(Some(PathBuf::from(text))),
        };
        Ok(Self {
            shared: keys.parse("covers.folder", folder)?,
            slate_after: keys.span("covers.slate_after", "0s", "30d")?,
            slate: keys.parse("covers.slate", file)?,
        })
    }

    pub(super) fn to_json(&self) -> Value {
        let shown =
            |path: &Option<PathBuf>| path.as_ref().map_or(String::new(), |path| path.display().to_string());
        json!({
            "folder": shown(&self.shared),
            "slate_after": self.slate_after.to_string(),
            "slate": shown(&self.slate),
        })
    }
}

fn is_within(path: &Path, folder: &Path) -> bool {
    let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    absolute(path).starts_with(absolute(folder))
}
