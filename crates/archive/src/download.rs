//! A range of a channel as one plain MP4: a new header, and contiguous byte ranges of segments.

use std::{ops::Range, sync::Arc};

use media::mp4::cut::Cut;
use uuid::Uuid;

use crate::read::{ByteStream, Part, Reader, slice_parts};

/// A cut that is ready to be streamed. Nothing is open for it: each piece is read from where its segment is by then.
#[derive(Clone)]
pub struct Download {
    /// Header, ranges and lengths.
    pub cut: Arc<Cut>,
    /// The segments that the cut's ranges count, in time order.
    pub segments: Vec<Uuid>,
    /// A strong entity tag without its quotes.
    pub etag: String,
    /// Whether a later answer for the same range may be longer: a part of it is still being recorded.
    pub is_growing: bool,
    pub(crate) parts: Vec<Part>,
    pub(crate) reader: Arc<Reader>,
}

impl Download {
    /// Length of the whole file in bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.cut.len
    }

    /// Whether there are no bytes; never so for a cut.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.cut.len == 0
    }

    /// The bytes of a range, clamped to the length.
    pub fn stream(&self, range: Range<u64>) -> ByteStream {
        ByteStream::new(Arc::clone(&self.reader), slice_parts(&self.parts, &range))
    }
}
