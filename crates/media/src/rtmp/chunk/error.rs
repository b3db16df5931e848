//! Why bytes are not a chunk stream we go along with.

use crate::rtmp::limits::{MAX_CHUNK_SIZE, MAX_CHUNK_STREAMS, MAX_PARTIAL_BYTES};

/// A fault and where it stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("RTMP chunk at byte {offset}: {fault}")]
pub struct ChunkError {
    /// Bytes after the handshake up to the chunk (or message) at fault: as found in a capture.
    pub offset: u64,
    /// What was wrong.
    pub fault: ChunkFault,
}

/// What was wrong with the chunk stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ChunkFault {
    /// A header of type 2 or 3 on a chunk stream that had none to refer to.
    #[error("chunk stream {chunk_stream_id} begins with a header of type {format}")]
    NoHeader {
        /// Chunk stream id.
        chunk_stream_id: u32,
        /// Header type.
        format: u8,
    },
    /// A header of type 0, 1 or 2 while a message was incomplete.
    #[error("chunk stream {chunk_stream_id}: header of type {format} inside a message")]
    HeaderInsideMessage {
        /// Chunk stream id.
        chunk_stream_id: u32,
        /// Header type.
        format: u8,
    },
    /// More chunk streams than [`MAX_CHUNK_STREAMS`].
    #[error("more than {MAX_CHUNK_STREAMS} chunk streams")]
    TooManyChunkStreams,
    /// A chunk size of 0, or beyond [`MAX_CHUNK_SIZE`].
    #[error("chunk size {0} is not between 1 and {MAX_CHUNK_SIZE}")]
    ChunkSize(u32),
    /// A message longer than its type may be.
    #[error("message of type {type_id} with {length} bytes, limit {limit}")]
    MessageTooLong {
        /// Message type id.
        type_id: u8,
        /// Announced length in bytes.
        length: u32,
        /// The limit for that type, in bytes.
        limit: u32,
    },
    /// More bytes announced in incomplete messages than [`MAX_PARTIAL_BYTES`].
    #[error("more than {MAX_PARTIAL_BYTES} bytes of incomplete messages")]
    PartialBudget,
    /// A control message too short for its number.
    #[error("control message of type {0} is too short")]
    ShortControl(u8),
}

impl ChunkFault {
    /// A short stable name, for logs and counters.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::NoHeader { .. } => "chunk_no_header",
            Self::HeaderInsideMessage { .. } => "chunk_header_inside_message",
            Self::TooManyChunkStreams => "chunk_too_many_streams",
            Self::ChunkSize(_) => "chunk_size",
            Self::MessageTooLong { .. } => "message_too_long",
            Self::PartialBudget => "partial_budget",
            Self::ShortControl(_) => "short_control",
        }
    }
}
