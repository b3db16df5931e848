//! Covers, as this program wires them: where they lie, and which channels there are.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use catalog::Catalog;
use live::covers::{Covers, CoversConfig, Roster, check_slate, limits};
use uuid::Uuid;
use world::Disk;

use crate::config::Config;
use crate::failure::{Failure, Kind};

/// Covers in the data folder, or in one that others may read.
pub(super) fn open(config: &Config, disk: Arc<dyn Disk>) -> Result<Covers, Failure> {
    let mut covers = CoversConfig {
        ffmpeg: config.node.ffmpeg.clone(),
        private: config.private_folders(),
        slate_after: config.covers.slate_after.duration(),
        is_shared: config.covers.shared.is_some(),
        ..CoversConfig::new(config.covers.shared.clone().unwrap_or_else(|| config.node.data.join("covers")))
    };
    if let Some(parent) = config.covers.shared.as_ref().and_then(|folder| folder.parent())
        && !parent.as_os_str().is_empty()
        && !disk.exists(parent)
    {
        return Err(Failure::usage(format!(
            "configuration: `covers.folder`: {} is not there: make it, so that your web server may enter it",
            parent.display()
        )));
    }
    if let Some(path) = &config.covers.slate {
        let problem = |reason: String| {
            Failure::new(Kind::Failed, format!("`covers.slate`: {} {reason}", path.display()))
        };
        // One byte more than is shown tells that it is too long.
        let bytes = world::read_whole(disk.as_ref(), path, limits::MAX_COVER_BYTES + 1);
        let bytes = bytes.map_err(|error| problem(format!("cannot be read: {error}")))?;
        check_slate(&bytes).map_err(problem)?;
        covers.slate = bytes.into();
    }
    Ok(Covers::new(covers, disk))
}

/// The catalog's channels.
pub(super) struct Channels(pub(super) Catalog);

impl Roster for Channels {
    fn channels(&self) -> Pin<Box<dyn Future<Output = Option<Vec<Uuid>>> + Send + '_>> {
        Box::pin(async {
            match self.0.channels().await {
                Ok(channels) => Some(channels.into_iter().map(|channel| channel.id).collect()),
                Err(error) => {
                    // Who needs the catalog more says it louder.
                    tracing::debug!(%error, "the catalog does not tell its channels");
                    None
                }
            }
        })
    }
}
