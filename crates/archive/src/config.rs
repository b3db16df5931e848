//! The settings of this room.

use std::path::PathBuf;

use uuid::Uuid;

use crate::{error::ArchiveError, keeper::RetentionConfig, upload::UploadConfig};

/// Microseconds of an hour, which segments divide.
const HOUR_US: i64 = 3_600_000_000;

/// Where and how is recorded.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ArchiveConfig {
    /// Folder where segments grow.
    pub spool: PathBuf,
    /// Folder of the local store. On the spool's file system a sealed segment is renamed into it, else copied.
    pub store: PathBuf,
    /// Length of a segment in microseconds: a divisor of an hour, at least [`ArchiveConfig::MIN_SEGMENT_US`].
    pub segment_us: i64,
    /// How often written fragments are synced, in microseconds: what a power cut may cost.
    pub sync_us: i64,
    /// How the bucket is filled, if there is one.
    pub upload: UploadConfig,
    /// How long footage is kept.
    pub retention: RetentionConfig,
    /// From where players get what the bucket has.
    pub play_from: PlayFrom,
    /// Nodes that these folders were before: what they hold is taken over at the start, as far as it is here. Only for who
    /// knows that none of them runs with this catalog.
    pub former_nodes: Vec<Uuid>,
}

/// From where players get what the bucket has.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum PlayFrom {
    /// Straight from the bucket, by signed URLs: the club's uplink is spared.
    #[default]
    Bucket,
    /// Through this node, which reads its local copy or the bucket: for buckets that players cannot reach.
    Node,
}

impl ArchiveConfig {
    /// A quarter of an hour.
    pub const DEFAULT_SEGMENT_US: i64 = 900_000_000;
    /// One second.
    pub const DEFAULT_SYNC_US: i64 = 1_000_000;
    /// Shortest segment.
    pub const MIN_SEGMENT_US: i64 = 5_000_000;
    /// Shortest time between two syncs.
    pub const MIN_SYNC_US: i64 = 10_000;
    /// Longest time between two syncs.
    pub const MAX_SYNC_US: i64 = 60_000_000;

    /// The default lengths with these folders.
    #[must_use]
    pub fn new(spool: impl Into<PathBuf>, store: impl Into<PathBuf>) -> Self {
        Self {
            spool: spool.into(),
            store: store.into(),
            segment_us: Self::DEFAULT_SEGMENT_US,
            sync_us: Self::DEFAULT_SYNC_US,
            upload: UploadConfig::default(),
            retention: RetentionConfig::default(),
            play_from: PlayFrom::default(),
            former_nodes: Vec::new(),
        }
    }

    /// Whether everything can be worked with.
    ///
    /// # Errors
    /// The first setting that cannot, with the reason.
    pub fn validate(&self) -> Result<(), ArchiveError> {
        if self.segment_us < Self::MIN_SEGMENT_US || HOUR_US % self.segment_us != 0 {
            return Err(ArchiveError::Config {
                key: "archive.segment",
                reason: "must divide an hour and be at least 5s".into(),
            });
        }
        if !(Self::MIN_SYNC_US..=Self::MAX_SYNC_US).contains(&self.sync_us) {
            return Err(ArchiveError::Config {
                key: "archive.sync",
                reason: "must be from 10ms to 60s".into(),
            });
        }
        let UploadConfig { part_bytes, concurrency, .. } = self.upload;
        if !(1..=UploadConfig::MAX_PART_BYTES).contains(&part_bytes) {
            return Err(ArchiveError::Config {
                key: "store.part_size",
                reason: "must be at most 256 MiB".into(),
            });
        }
        if !(1..=UploadConfig::MAX_CONCURRENCY).contains(&concurrency) {
            return Err(ArchiveError::Config {
                key: "store.concurrency",
                reason: format!("must be from 1 to {}", UploadConfig::MAX_CONCURRENCY),
            });
        }
        if self.retention.max_share_percent > 100 {
            return Err(ArchiveError::Config {
                key: "retention.max_share",
                reason: "must be from 0% to 100%".into(),
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_divide_an_hour() {
        let with = |segment_us, sync_us| {
            ArchiveConfig { segment_us, sync_us, ..ArchiveConfig::new("a", "b") }.validate()
        };
        assert!(with(900_000_000, 1_000_000).is_ok());
        assert!(with(5_000_000, 10_000).is_ok());
        for (segment_us, sync_us) in [
            (4_000_000, 1_000_000),
            (7_000_000, 1_000_000),
            (7_200_000_000, 1_000_000),
            (0, 1),
            (900_000_000, 0),
            (900_000_000, i64::MAX),
        ] {
            assert!(with(segment_us, sync_us).is_err(), "{segment_us} {sync_us}");
        }
    }
}
