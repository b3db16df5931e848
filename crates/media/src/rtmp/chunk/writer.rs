//! Messages in, chunks out.

use bytes::{BufMut, Bytes, BytesMut};

use super::EXTENDED;
use crate::rtmp::limits::{DEFAULT_CHUNK_SIZE, MAX_CHUNK_SIZE};
use crate::rtmp::message::MessageHeader;
use crate::rtmp::transmit::Transmit;

/// Messages up to this many bytes are copied beside their header: one piece costs less than two.
const COPY_MAX_BYTES: usize = 1024;

/// Headers are cut off blocks of this many bytes, so that not each is an allocation of its own.
const SCRATCH_BYTES: usize = 4096;

/// Writes every message with a header of type 0, so that any message can be dropped without harm to the next; the payload
/// goes out as slices of what was handed in.
#[derive(Debug)]
pub struct ChunkWriter {
    chunk_size: usize,
    scratch: BytesMut,
}

impl Default for ChunkWriter {
    fn default() -> Self {
        Self::new()
    }
}

impl ChunkWriter {
    /// A writer with the chunk size that both ends begin with.
    #[must_use]
    pub fn new() -> Self {
        Self { chunk_size: DEFAULT_CHUNK_SIZE as usize, scratch: BytesMut::new() }
    }

    /// Cuts chunks of that many payload bytes from now on. The peer must have been told before.
    pub fn set_chunk_size(&mut self, size: u32) {
        self.chunk_size = size.clamp(1, MAX_CHUNK_SIZE) as usize;
    }

    /// Writes a message whose body is `prefix` and `payload` in one. What exceeds the 24-bit length field is the caller's
    /// fault and is cut off.
    pub fn write(&mut self, header: &MessageHeader, prefix: &[u8], mut payload: Bytes, out: &mut Transmit) {
        let length = (prefix.len() + payload.len()).min(0xff_ffff);
        payload.truncate(length.saturating_sub(prefix.len()));
        let copied = if length <= COPY_MAX_BYTES { length } else { prefix.len() };
        let chunks = length.div_ceil(self.chunk_size.max(1)).max(1);
        // 18 bytes for the first header, 7 for each further one that may fall among the copied bytes.
        self.reserve(18 + copied + 7 * chunks.min(copied + 1));

        self.put_full_header(header, length);
        let mut left = self.chunk_size;
        let mut prefix = prefix;
        loop {
            let take = prefix.len().min(left);
            self.scratch.put_slice(&prefix[..take]);
            prefix = &prefix[take..];
            left -= take;
            if prefix.is_empty() {
                break;
            }
            self.put_continuation(header);
            left = self.chunk_size;
        }
        while !payload.is_empty() {
            if left == 0 {
                self.reserve(7);
                self.put_continuation(header);
                left = self.chunk_size;
            }
            let piece = payload.split_to(payload.len().min(left));
            left -= piece.len();
            if length <= COPY_MAX_BYTES {
                self.scratch.put_slice(&piece);
            } else {
                out.push(self.scratch.split().freeze());
                out.push(piece);
            }
        }
        out.push(self.scratch.split().freeze());
    }

    fn reserve(&mut self, size: usize) {
        if self.scratch.capacity() - self.scratch.len() < size {
            self.scratch.reserve(size.max(SCRATCH_BYTES));
        }
    }

    fn put_full_header(&mut self, header: &MessageHeader, length: usize) {
        self.put_basic_header(0, header.chunk_stream_id);
        let field = header.timestamp_ms.min(EXTENDED);
        self.scratch.put_uint(u64::from(field), 3);
        self.scratch.put_uint(length as u64, 3);
        self.scratch.put_u8(header.type_id);
        self.scratch.put_u32_le(header.stream_id);
        self.put_extended(header);
    }

    fn put_continuation(&mut self, header: &MessageHeader) {
        self.put_basic_header(3, header.chunk_stream_id);
        self.put_extended(header);
    }

    /// RTMP §5.3.1.3: also in chunks of type 3.
    fn put_extended(&mut self, header: &MessageHeader) {
        if header.timestamp_ms >= EXTENDED {
            self.scratch.put_u32(header.timestamp_ms);
        }
    }

    fn put_basic_header(&mut self, format: u8, id: u32) {
        let format = format << 6;
        match id {
            2..64 => self.scratch.put_u8(format | id as u8),
            64..320 => {
                self.scratch.put_u8(format);
                self.scratch.put_u8((id - 64) as u8);
            }
            _ => {
                let id = id.clamp(64, 65_599) - 64;
                self.scratch.put_u8(format | 1);
                self.scratch.put_u16_le(id as u16);
            }
        }
    }
}
