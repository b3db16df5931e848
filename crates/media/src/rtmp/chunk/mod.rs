//! The chunk stream (RTMP §5.3): messages to chunks and back.
//!
//! In: chunk headers, timestamps, assembly, the two control messages that belong to this layer (set chunk size, abort).
//! Not in: what a message means.

mod blocks;
mod error;
mod header;
mod reader;
mod streams;
mod writer;

#[cfg(test)]
mod tests;

pub use error::{ChunkError, ChunkFault};
pub use reader::{ChunkReader, SkippedMessage};
pub use writer::ChunkWriter;

/// The value of a 24-bit timestamp field that says: the time stands in four bytes after the header (RTMP §5.3.1.3).
const EXTENDED: u32 = 0xff_ffff;
