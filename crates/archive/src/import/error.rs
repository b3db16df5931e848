//! Why a file cannot be imported. Its name is not in it: the name may hold a stream key.

use std::io;

use catalog::CatalogError;
use media::{flv::FlvError, framing::FramingError, mp4::demux::DemuxError, timeline::TimelineError};

use crate::ArchiveError;

/// Why a file is not imported, or not to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// It cannot be read.
    #[error("the file cannot be read: {0}")]
    Read(#[from] io::Error),
    /// It is damaged, or no FLV file.
    #[error("the FLV file cannot be used: {0}")]
    Flv(#[from] FlvError),
    /// For seconds it has nothing but video that cannot be recorded.
    #[error("its video cannot be recorded: {0}")]
    Framing(#[from] FramingError),
    /// It is damaged, or no MP4 file.
    #[error("the MP4 file cannot be used: {0}")]
    Mp4(#[from] DemuxError),
    /// Its frames cannot be recorded.
    #[error("its frames cannot be recorded: {0}")]
    Timeline(#[from] TimelineError),
    /// It has no frame.
    #[error("the file has no audio or video frame")]
    Empty,
    /// It is longer than is imported.
    #[error("the file is {} hours long", length_us / 3_600_000_000)]
    TooLong {
        /// How long.
        length_us: i64,
    },
    /// The catalog does not answer, or has no such channel.
    #[error("catalog: {0}")]
    Catalog(#[from] CatalogError),
    /// The archive could not say what it has.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// The node stops.
    #[error("the import was interrupted")]
    Interrupted,
}

impl ImportError {
    /// Whether the same file may be imported another time.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Read(_) | Self::Catalog(_) | Self::Archive(_) | Self::Interrupted)
    }
}
