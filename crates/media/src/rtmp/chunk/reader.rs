//! Chunks in, messages out.

use bytes::{Bytes, BytesMut};

use super::blocks::Blocks;
use super::header::WireHeader;
use super::streams::{ChunkStream, ChunkStreams, Misplaced};
use super::{ChunkError, ChunkFault};
use crate::rtmp::limits::{
    DEFAULT_CHUNK_SIZE, MAX_CHUNK_SIZE, MAX_COMMAND_MESSAGE_BYTES, MAX_DATA_MESSAGE_BYTES, MAX_MESSAGE_BYTES,
    MAX_PARTIAL_BYTES,
};
use crate::rtmp::message::{Message, message_type};

/// Puts messages together. Obeys "set chunk size" and "abort" itself; every other message is handed out.
///
/// A payload is copied once, to where it stays. After an error the reader must not be used again.
#[derive(Debug)]
pub struct ChunkReader {
    chunk_size: u32,
    max_media_bytes: u32,
    streams: ChunkStreams,
    blocks: Blocks,
    /// The slot whose chunk is being read.
    current: usize,
    /// Payload bytes of that chunk that are still to come; 0 between chunks.
    left_in_chunk: usize,
    partial_bytes: u32,
    position: u64,
    skips_long_data: bool,
    /// The last message that was thrown away and has not been told.
    skipped: Option<SkippedMessage>,
}

/// A message that was too long to be kept and not needed to go on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SkippedMessage {
    /// One of [`message_type`].
    pub type_id: u8,
    /// Its length in bytes.
    pub length: u32,
}

impl Default for ChunkReader {
    fn default() -> Self {
        Self::new()
    }
}

impl ChunkReader {
    /// A reader at the first byte after the handshake.
    #[must_use]
    pub fn new() -> Self {
        Self {
            chunk_size: DEFAULT_CHUNK_SIZE,
            max_media_bytes: MAX_MESSAGE_BYTES,
            streams: ChunkStreams::default(),
            blocks: Blocks::default(),
            current: 0,
            left_in_chunk: 0,
            partial_bytes: 0,
            position: 0,
            skips_long_data: false,
            skipped: None,
        }
    }

    /// Limits audio, video and aggregate messages that begin from now on, in bytes.
    pub fn set_max_media_bytes(&mut self, limit: u32) {
        self.max_media_bytes = limit.min(MAX_MESSAGE_BYTES);
    }

    /// Whether messages that a stream goes on without are thrown away where they are too long (data, and types that are none of
    /// ours), instead of being an error.
    pub fn set_skips_long_data(&mut self, skips: bool) {
        self.skips_long_data = skips;
    }

    /// A message that was thrown away since this was asked last; of several, the last.
    pub fn take_skipped(&mut self) -> Option<SkippedMessage> {
        self.skipped.take()
    }

    /// Bytes read since the handshake.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Announced bytes of messages that have begun and not ended.
    #[must_use]
    pub fn partial_bytes(&self) -> u32 {
        self.partial_bytes
    }

    /// Takes bytes off the front of `input` until a message is whole; `None` when the input is used up (but for an incomplete
    /// header of at most 18 bytes, which is to stand before what comes next).
    ///
    /// # Errors
    /// [`ChunkError`]: the stream is broken or goes beyond a limit.
    pub fn read(&mut self, input: &mut &[u8]) -> Result<Option<Message>, ChunkError> {
        loop {
            if self.left_in_chunk == 0 {
                let Some(size) = self.begin_chunk(input).map_err(|fault| self.error(0, fault))? else {
                    return Ok(None);
                };
                if !self.streams.slot(self.current).is_partial {
                    self.begin_assembly().map_err(|fault| self.error(size, fault))?;
                }
                self.advance(input, size);
            }
            let size = self.copy_payload(input);
            self.advance(input, size);
            let stream = self.streams.slot(self.current);
            if self.left_in_chunk == 0 && stream.missing() == 0 {
                stream.is_partial = false;
                if stream.is_skipped {
                    stream.thrown_away = 0;
                    self.skipped = Some(SkippedMessage { type_id: stream.type_id, length: stream.length });
                    if input.is_empty() {
                        return Ok(None);
                    }
                    continue;
                }
                let payload = std::mem::take(&mut stream.assembly).freeze();
                self.partial_bytes -= stream.length;
                if let Some(message) = self.finish(payload)? {
                    return Ok(Some(message));
                }
            } else if input.is_empty() {
                return Ok(None);
            }
        }
    }

    fn advance(&mut self, input: &mut &[u8], size: usize) {
        *input = input.get(size..).unwrap_or_default();
        self.position += size as u64;
    }

    fn error(&self, at: usize, fault: ChunkFault) -> ChunkError {
        ChunkError { offset: self.position + at as u64, fault }
    }

    /// Reads a chunk header and makes its stream the current one. Returns the header's size, or `None` when it is not whole.
    #[inline]
    fn begin_chunk(&mut self, bytes: &[u8]) -> Result<Option<usize>, ChunkFault> {
        let Some(header) = WireHeader::parse(bytes) else { return Ok(None) };
        let chunk_stream_id = header.chunk_stream_id;
        let slot = self.streams.find_or_make(chunk_stream_id).ok_or(ChunkFault::TooManyChunkStreams)?;
        let stream = self.streams.slot(slot);
        let format = header.fields.format();
        stream.check(&header.fields).map_err(|misplaced| match misplaced {
            Misplaced::NoHeader => ChunkFault::NoHeader { chunk_stream_id, format },
            Misplaced::InsideMessage => ChunkFault::HeaderInsideMessage { chunk_stream_id, format },
        })?;
        let mut size = header.size_bytes;
        if format == 3 {
            let Some(repeated) = stream.repeated_time_size(&bytes[size..]) else { return Ok(None) };
            size += repeated;
        }
        if stream.is_partial {
            self.left_in_chunk = stream.missing().min(self.chunk_size as usize);
        } else {
            stream.begin(&header.fields);
            let limit = match stream.type_id {
                message_type::AUDIO | message_type::VIDEO | message_type::AGGREGATE => self.max_media_bytes,
                message_type::DATA | message_type::DATA_AMF3 => MAX_DATA_MESSAGE_BYTES,
                _ => MAX_COMMAND_MESSAGE_BYTES,
            };
            let is_needed = matches!(
                stream.type_id,
                message_type::AUDIO
                    | message_type::VIDEO
                    | message_type::AGGREGATE
                    | message_type::COMMAND
                    | message_type::COMMAND_AMF3
                    | ..=message_type::SET_PEER_BANDWIDTH
            );
            stream.is_skipped = stream.length > limit && self.skips_long_data && !is_needed;
            if stream.length > limit && !stream.is_skipped {
                let ChunkStream { type_id, length, .. } = *stream;
                return Err(ChunkFault::MessageTooLong { type_id, length, limit });
            }
            self.left_in_chunk = stream.length.min(self.chunk_size) as usize;
        }
        self.current = slot;
        Ok(Some(size))
    }

    /// Makes room for the message that the current stream has begun.
    fn begin_assembly(&mut self) -> Result<(), ChunkFault> {
        let stream = self.streams.slot(self.current);
        if stream.is_skipped {
            stream.is_partial = true;
            return Ok(());
        }
        let partial = self.partial_bytes.saturating_add(stream.length);
        if partial > MAX_PARTIAL_BYTES {
            return Err(ChunkFault::PartialBudget);
        }
        self.partial_bytes = partial;
        let length = stream.length as usize;
        stream.assembly = match stream.type_id {
            message_type::AUDIO | message_type::VIDEO | message_type::AGGREGATE => self.blocks.room(length),
            _ => BytesMut::with_capacity(length),
        };
        stream.is_partial = true;
        Ok(())
    }

    /// Copies payload of the current chunk, and of the chunks that follow it on the same stream with a header of one byte:
    /// the loop that small chunks spend their time in. Returns the bytes used.
    #[inline]
    fn copy_payload(&mut self, bytes: &[u8]) -> usize {
        let stream = self.streams.slot(self.current);
        let continuation = stream.plain_continuation();
        let chunk_size = self.chunk_size as usize;
        let mut missing = stream.missing();
        let mut left = self.left_in_chunk;
        let mut at = 0;
        loop {
            let take = left.min(bytes.len() - at);
            if stream.is_skipped {
                stream.thrown_away += take;
            } else {
                stream.assembly.extend_from_slice(&bytes[at..at + take]);
            }
            at += take;
            left -= take;
            missing -= take;
            if left > 0 || missing == 0 || at == bytes.len() || continuation != Some(bytes[at]) {
                break;
            }
            at += 1;
            left = missing.min(chunk_size);
        }
        self.left_in_chunk = left;
        at
    }

    /// Obeys a whole message that belongs to this layer, or hands it out.
    fn finish(&mut self, payload: Bytes) -> Result<Option<Message>, ChunkError> {
        let stream = self.streams.slot(self.current);
        let type_id = stream.type_id;
        if type_id != message_type::SET_CHUNK_SIZE && type_id != message_type::ABORT {
            let ChunkStream { timestamp_ms, type_id, stream_id, .. } = *stream;
            return Ok(Some(Message { timestamp_ms, type_id, stream_id, payload }));
        }
        let number = crate::rtmp::control::number(&payload)
            .ok_or_else(|| self.error(0, ChunkFault::ShortControl(type_id)))?;
        if type_id == message_type::SET_CHUNK_SIZE {
            if number == 0 || number > MAX_CHUNK_SIZE {
                return Err(self.error(0, ChunkFault::ChunkSize(number)));
            }
            self.chunk_size = number;
        } else if let Some(slot) = self.streams.find(number) {
            let stream = self.streams.slot(slot);
            if stream.is_partial {
                stream.is_partial = false;
                stream.assembly = BytesMut::new();
                stream.thrown_away = 0;
                if !stream.is_skipped {
                    self.partial_bytes -= stream.length;
                }
            }
        }
        Ok(None)
    }
}
