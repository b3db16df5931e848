//! What can go wrong, in words for the one who can do something about it.

use std::io;

use catalog::CatalogError;
use media::{
    index::IndexError,
    mp4::{cut::CutError, reader::ReadError},
};
use uuid::Uuid;

use crate::bucket::BucketError;

/// An error of this room.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArchiveError {
    /// A setting that cannot be worked with.
    #[error("{key}: {reason}")]
    Config {
        /// The setting, as it is called in the configuration.
        key: &'static str,
        /// Why it is refused.
        reason: String,
    },
    /// [`Archive::open`](crate::Archive::open) was called outside a tokio runtime.
    #[error("the archive has to be opened inside a tokio runtime")]
    NoRuntime,
    /// The catalog did not answer.
    #[error("catalog: {0}")]
    Catalog(#[from] CatalogError),
    /// The bucket did not do what it was asked.
    #[error(transparent)]
    Bucket(#[from] BucketError),
    /// A file could not be read or written.
    #[error("{doing}: {source}")]
    Io {
        /// What was being done, with the file's name relative to spool or store.
        doing: String,
        /// What the system said.
        source: io::Error,
    },
    /// There is no such segment.
    #[error("segment {0} is not known")]
    SegmentNotFound(Uuid),
    /// A segment's bytes are on the disk of another node, and the bucket does not have them, or this node no bucket.
    #[error("segment {id} is held by {}", holder.as_deref().unwrap_or("a node that is not known"))]
    Elsewhere {
        /// The segment.
        id: Uuid,
        /// What the node is called; `None` where no node has claimed it.
        holder: Option<String>,
    },
    /// Nothing was recorded in the range.
    #[error("nothing was recorded in the range")]
    NoFootage,
    /// The range touches more segments than one answer may.
    #[error("the range touches {segments} segments, more than {limit}")]
    RangeTooLong {
        /// How many it touches.
        segments: usize,
        /// [`MAX_CUT_SEGMENTS`](crate::limits::MAX_CUT_SEGMENTS).
        limit: usize,
    },
    /// The range could not be cut out.
    #[error("cutting: {0}")]
    Cut(#[from] CutError),
    /// A segment's file is not what its row says.
    #[error("segment {id}: {source}")]
    Damaged {
        /// Which segment.
        id: Uuid,
        /// What was found.
        source: ReadError,
    },
    /// A segment's index in the catalog cannot be read.
    #[error("index of segment {id}: {source}")]
    DamagedIndex {
        /// Which segment.
        id: Uuid,
        /// What was found.
        source: IndexError,
    },
}

impl ArchiveError {
    /// An I/O error with what was being done.
    pub(crate) fn io(doing: impl Into<String>, source: io::Error) -> Self {
        Self::Io { doing: doing.into(), source }
    }
}
