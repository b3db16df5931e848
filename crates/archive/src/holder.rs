//! Which node has the bytes of a row, and whether they can be read from here.

use std::sync::Arc;

use catalog::{Node, SegmentRow, SegmentState};

use crate::{archive::Archive, core::Core, error::ArchiveError, limits::NODE_ALIVE_US};

impl Core {
    /// Whether the catalog says that a segment's bytes are on another node's disk.
    pub(crate) fn is_held_elsewhere(&self, row: &SegmentRow) -> bool {
        row.node_id.is_some() && row.node_id != self.catalog.node_id()
    }
}

/// Up to when a segment is recorded that grows on another node: as long as that is seen to run, up to now; then up to where
/// it was last seen.
pub(crate) fn recorded_until(row: &SegmentRow, node: Option<&Node>, longest_us: i64, now_us: i64) -> i64 {
    let seen_us = node.map_or(row.start_us, |node| node.last_seen_us);
    let until_us = if now_us.saturating_sub(seen_us) <= NODE_ALIVE_US { now_us } else { seen_us };
    until_us.clamp(row.start_us, row.start_us.saturating_add(longest_us))
}

impl Archive {
    /// Whether a whole segment can be read from here: from this node's store, from the bucket, or from a file that happens
    /// to be here as well, in a folder that was copied.
    pub(crate) async fn is_here(&self, row: &SegmentRow) -> bool {
        let core = &self.inner.core;
        let is_in_bucket = row.state == SegmentState::Stored && core.bucket.is_some();
        if is_in_bucket || row.node_id == core.catalog.node_id() {
            return true;
        }
        let (store, name) = (Arc::clone(&core.store), row.object_name.clone());
        self.inner.reader.run(move || Ok(store.exists(&name))).await.unwrap_or(false)
    }

    /// The refusal to read what is on another node.
    pub(crate) async fn elsewhere(&self, row: &SegmentRow) -> ArchiveError {
        let holder = match row.node_id {
            Some(id) => match self.inner.core.catalog.node(id).await {
                Ok(node) => Some(node.map_or_else(|| id.to_string(), |node| node.name)),
                Err(error) => return error.into(),
            },
            None => None,
        };
        ArchiveError::Elsewhere { id: row.id, holder }
    }
}

#[cfg(test)]
mod tests {
    use catalog::LocalCopy;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn what_grows_elsewhere_is_believed_as_far_as_its_node_was_seen() {
        let row = SegmentRow {
            id: Uuid::nil(),
            channel_id: Uuid::nil(),
            session_id: Uuid::nil(),
            start_us: 1_000_000_000,
            end_us: None,
            state: SegmentState::Growing,
            size_bytes: 0,
            moov_offset: 0,
            object_name: String::new(),
            init_hash: String::new(),
            local_copy: LocalCopy::Kept,
            etag: None,
            crc32: None,
            node_id: Some(Uuid::max()),
        };
        let seen =
            |last_seen_us| Node { id: Uuid::max(), name: "sur".into(), first_seen_us: 0, last_seen_us };
        let longest_us = 7_000_000_000;
        let table = [
            ("it runs", Some(seen(1_590_000_000)), 1_600_000_000, 1_600_000_000),
            ("its clock is ahead", Some(seen(1_700_000_000)), 1_600_000_000, 1_600_000_000),
            ("it died", Some(seen(1_200_000_000)), 1_600_000_000, 1_200_000_000),
            ("it was not seen since", Some(seen(900_000_000)), 1_600_000_000, 1_000_000_000),
            ("nobody knows it", None, 1_600_000_000, 1_000_000_000),
            ("a segment ends", Some(seen(9_000_000_000)), 9_000_000_000, 8_000_000_000),
        ];
        for (what, node, now_us, until_us) in table {
            assert_eq!(recorded_until(&row, node.as_ref(), longest_us, now_us), until_us, "{what}");
        }
    }
}
