//! Mending what loses nothing: a copy is only given up for another one that was seen to be good.

use std::sync::Arc;

use catalog::{LocalCopy, SegmentRow, SegmentState};
use tracing::info;

use super::{Copy, Fault, FaultKind, Side, Verifier, is_same_tag};
use crate::{error::ArchiveError, objects::patiently, store::Store as _};

impl Verifier {
    /// Mends a fault, if that was asked for and there is a good copy on the other side.
    pub(super) async fn mend(&self, fault: &mut Fault, row: &SegmentRow) -> Result<(), ArchiveError> {
        if !self.config.mends || self.bucket.is_none() {
            return Ok(());
        }
        let done = match fault.side {
            // The uploader takes it up from its local copy, over what is there.
            Side::Bucket if self.is_good(Side::Local, row).await? => {
                self.catalog.unstore_segment(row.id).await?.then_some("it is uploaded again")
            }
            Side::Local if self.is_good(Side::Bucket, row).await? => {
                if row.node_id.is_none() {
                    self.catalog.claim_segments(&[row.id], None).await?;
                }
                self.catalog.leave_local(&[row.id]).await?;
                if fault.kind != FaultKind::Missing {
                    self.remove_local(&row.object_name).await?;
                }
                self.catalog.left_local(&[row.id]).await?;
                Some("the bucket's copy is counted on alone")
            }
            _ => None,
        };
        if let Some(done) = done {
            info!(segment_id = %row.id, object = row.object_name, "mended: {done}");
            fault.says = format!("{}: {done}", fault.says);
            fault.is_mended = true;
        }
        Ok(())
    }

    /// Whether the other copy is there and every byte of it is right.
    async fn is_good(&self, side: Side, row: &SegmentRow) -> Result<bool, ArchiveError> {
        let is_said = match side {
            Side::Local => row.local_copy == LocalCopy::Kept && !self.is_elsewhere(side, row),
            Side::Bucket => row.state == SegmentState::Stored,
        };
        if !is_said {
            return Ok(false);
        }
        let Some(meta) = self.present(side, &row.object_name).await? else { return Ok(false) };
        if meta.size_bytes != row.size_bytes || !is_same_tag(side, row, &meta) {
            return Ok(false);
        }
        Ok(matches!(self.read(side, row).await?, Some(Copy::Good)))
    }

    /// Removes an orphan, if that was asked for and this catalog is the one that would know it.
    pub(super) async fn remove_orphan(&self, fault: &mut Fault) -> Result<(), ArchiveError> {
        if !self.config.removes_orphans {
            return Ok(());
        }
        if self.catalog.channel(fault.channel_id).await?.is_none() {
            fault.says = format!("{}; it is kept, as its channel is unknown too", fault.says);
            return Ok(());
        }
        if let Some(row) = self.catalog.segment(fault.segment_id).await?
            && fault.side == Side::Local
            && !self.is_good(Side::Bucket, &row).await?
        {
            fault.says = format!("{}; it is kept, as that copy is not good", fault.says);
            return Ok(());
        }
        match (fault.side, &self.bucket) {
            (Side::Local, _) => self.remove_local(&fault.object_name).await?,
            (Side::Bucket, Some(bucket)) => patiently(|| bucket.delete(&fault.object_name)).await?,
            (Side::Bucket, None) => return Ok(()),
        }
        info!(object = fault.object_name, "an orphan is removed");
        fault.says = format!("{}: removed", fault.says);
        fault.is_mended = true;
        Ok(())
    }

    async fn remove_local(&self, name: &str) -> Result<(), ArchiveError> {
        let (store, name) = (Arc::clone(&self.store), name.to_owned());
        let removed = tokio::task::spawn_blocking(move || store.remove(&name).map_err(|error| (error, name)));
        let removed =
            removed.await.map_err(|error| ArchiveError::io("removing", std::io::Error::other(error)))?;
        removed.map_err(|(error, name)| ArchiveError::io(format!("removing {name}"), error))
    }
}
