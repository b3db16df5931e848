//! Files that hold something, but nothing that can be registered: kept whole, out of the way, with the reason in the log.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use tracing::error;
use uuid::Uuid;

use crate::core::Core;

/// Folder below the spool.
pub(crate) const QUARANTINE: &str = "quarantine";

/// Moves a spool file into quarantine; whether it is there now.
pub(crate) async fn quarantine(core: &Arc<Core>, channel_id: Uuid, file: &Path, reason: &str) -> bool {
    let work = (Arc::clone(core), file.to_owned());
    let moved = tokio::task::spawn_blocking(move || take(&work.0, channel_id, work.1))
        .await
        .map_err(io::Error::other);
    match moved.flatten() {
        Ok(kept) => {
            error!(%channel_id, file = %kept.display(), reason, "a spool file is put in quarantine");
            true
        }
        Err(error) => {
            error!(%channel_id, file = %file.display(), reason, %error, "a spool file for quarantine stays where it is");
            false
        }
    }
}

fn take(core: &Core, channel_id: Uuid, file: PathBuf) -> io::Result<PathBuf> {
    let folder = core.config.spool.join(QUARANTINE).join(channel_id.to_string());
    let name = file.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let kept = folder.join(name);
    core.disk.create_dir_all(&folder)?;
    core.disk.rename(&file, &kept)?;
    core.disk.sync_dir(&folder)?;
    core.disk.sync_dir(file.parent().unwrap_or(Path::new(".")))?;
    Ok(kept)
}
