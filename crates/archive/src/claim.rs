//! Rows change hands on evidence: a node takes over what the catalog says somebody else holds, or nobody, only where the
//! bytes lie in its own folders.
//!
//! Belongs here: rows from before nodes were told apart, rows of a folder that is another one than it was. Not here: whether
//! the former holder still runs with a copy of the same files. The caller has to know that (`turepe`'s data folder, or the
//! operator).

use std::{
    collections::HashSet,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use catalog::{Catalog, LocalCopy, SegmentRow, SegmentState};
use uuid::Uuid;
use world::Disk;

use crate::{error::ArchiveError, limits::CLAIM_PAGE, name::SpoolName};

/// What a look at somebody's rows has found.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Claimed {
    /// Segments whose bytes are here: this node holds them now.
    pub segments: u64,
    /// Segments whose bytes are not here. Their holder does not change.
    pub absent: u64,
}

/// Takes over what `holder` holds, or with `None` what nobody does, as far as its bytes lie below `spool` and `store`.
/// `catalog` speaks for the node that takes. Doing it twice is the same as once.
///
/// # Errors
/// Catalog or disk do not answer; what was taken until then stays taken.
pub async fn claim(
    catalog: &Catalog,
    disk: &Arc<dyn Disk>,
    spool: &Path,
    store: &Path,
    holder: Option<Uuid>,
) -> Result<Claimed, ArchiveError> {
    let mut claimed = Claimed::default();
    if catalog.node_id() == holder {
        return Ok(claimed);
    }
    let (mut from_us, mut limit) = (i64::MIN, CLAIM_PAGE);
    // Those of the last instant that were looked at: a page begins where the last one ended.
    let mut seen: HashSet<Uuid> = HashSet::new();
    loop {
        let page = catalog.held_segments(holder, from_us, limit).await?;
        let is_last = (page.len() as u64) < limit;
        let new: Vec<SegmentRow> = page.into_iter().filter(|row| !seen.contains(&row.id)).collect();
        if let Some(last) = new.last() {
            if last.start_us > from_us {
                (from_us, limit) = (last.start_us, CLAIM_PAGE);
                seen.clear();
            }
            seen.extend(new.iter().filter(|row| row.start_us == from_us).map(|row| row.id));
            let count = new.len() as u64;
            let look = Evidence { disk: Arc::clone(disk), spool: spool.to_owned(), store: store.to_owned() };
            let here = tokio::task::spawn_blocking(move || look.of(&new)).await.map_err(io::Error::other);
            let here = here.flatten().map_err(|error| ArchiveError::io("looking for segments", error))?;
            if !here.is_empty() {
                claimed.segments += catalog.claim_segments(&here, holder).await?;
            }
            claimed.absent += count - here.len() as u64;
        } else {
            // More of one instant than a page holds.
            limit = limit.saturating_mul(2);
        }
        if is_last {
            return Ok(claimed);
        }
    }
}

/// Where bytes would be.
struct Evidence {
    disk: Arc<dyn Disk>,
    spool: PathBuf,
    store: PathBuf,
}

impl Evidence {
    /// Those of the segments whose bytes are here.
    fn of(&self, rows: &[SegmentRow]) -> io::Result<Vec<Uuid>> {
        let mut spooled: HashSet<Uuid> = HashSet::new();
        let mut listed: HashSet<Uuid> = HashSet::new();
        let mut here = Vec::new();
        for row in rows {
            if row.state == SegmentState::Growing && listed.insert(row.channel_id) {
                spooled.extend(self.spool_files(row.channel_id)?);
            }
            if spooled.contains(&row.id) || self.is_in_store(row)? {
                here.push(row.id);
            }
        }
        Ok(here)
    }

    fn spool_files(&self, channel_id: Uuid) -> io::Result<Vec<Uuid>> {
        match self.disk.list(&self.spool.join(channel_id.to_string())) {
            Ok(files) => {
                Ok(files.iter().filter_map(|file| SpoolName::parse(&file.name)).map(|name| name.id).collect())
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// A whole segment has the length that its row says; one that grows, or whose copy is leaving, says none that counts.
    fn is_in_store(&self, row: &SegmentRow) -> io::Result<bool> {
        let len = match self.disk.open(&self.store.join(&row.object_name)).and_then(|file| file.len()) {
            Ok(len) => len,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        Ok(!row.is_whole() || row.local_copy == LocalCopy::Leaving || len == row.size_bytes)
    }
}
