//! FLV files (FLV §E.2, §E.3), read as they come.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::FlvError;

/// Header of a file without its length field's promise: signature, version, flags, offset.
const FILE_HEADER_BYTES: usize = 9;
const TAG_HEADER_BYTES: usize = 11;
const PREVIOUS_SIZE_BYTES: usize = 4;

/// Longest header that a file may announce, in bytes. All known files say 9.
const MAX_FILE_HEADER_BYTES: usize = 1024;

/// What a tag of a file holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FlvTagKind {
    /// Audio, see [`super::parse_audio`].
    Audio,
    /// Video, see [`super::parse_video`].
    Video,
    /// AMF0, usually `onMetaData`.
    Script,
    /// Anything else.
    Other(u8),
}

/// One tag of a file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FlvFileTag {
    /// Decode time in milliseconds, modulo 2³².
    pub timestamp_ms: u32,
    /// What it holds.
    pub kind: FlvTagKind,
    /// The body.
    pub body: Bytes,
}

/// Reads a file piece by piece: [`FlvReader::push`], then [`FlvReader::next_tag`] until it is `None`. Holds at most one tag
/// (16 MiB) beyond what was pushed last.
#[derive(Debug, Default)]
pub struct FlvReader {
    buffer: BytesMut,
    has_header: bool,
}

impl FlvReader {
    /// A reader at the start of a file.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the next bytes of the file.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole tag; `None` when more bytes are needed (or the file has ended).
    ///
    /// # Errors
    /// [`FlvError`]: this is no FLV file, or an encrypted one.
    pub fn next_tag(&mut self) -> Result<Option<FlvFileTag>, FlvError> {
        if !self.has_header {
            if !b"FLV".starts_with(&self.buffer[..self.buffer.len().min(3)]) {
                return Err(FlvError::NotFlv);
            }
            let Some(header) = self.buffer.first_chunk::<FILE_HEADER_BYTES>() else { return Ok(None) };
            let offset = u32::from_be_bytes([header[5], header[6], header[7], header[8]]) as usize;
            if !(FILE_HEADER_BYTES..=MAX_FILE_HEADER_BYTES).contains(&offset) {
                return Err(FlvError::NotFlv);
            }
            if self.buffer.len() < offset + PREVIOUS_SIZE_BYTES {
                return Ok(None);
            }
            self.buffer.advance(offset + PREVIOUS_SIZE_BYTES);
            self.has_header = true;
        }
        let Some(header) = self.buffer.first_chunk::<TAG_HEADER_BYTES>() else { return Ok(None) };
        // Bit 5: the body is encrypted.
        if header[0] & 0x20 != 0 {
            return Err(FlvError::Encrypted);
        }
        let kind = match header[0] & 0x1f {
            8 => FlvTagKind::Audio,
            9 => FlvTagKind::Video,
            18 => FlvTagKind::Script,
            other => FlvTagKind::Other(other),
        };
        let size = u32::from_be_bytes([0, header[1], header[2], header[3]]) as usize;
        let timestamp_ms = u32::from_be_bytes([header[7], header[4], header[5], header[6]]);
        if self.buffer.len() < TAG_HEADER_BYTES + size + PREVIOUS_SIZE_BYTES {
            return Ok(None);
        }
        self.buffer.advance(TAG_HEADER_BYTES);
        let body = self.buffer.split_to(size).freeze();
        self.buffer.advance(PREVIOUS_SIZE_BYTES);
        Ok(Some(FlvFileTag { timestamp_ms, kind, body }))
    }
}

/// Writes the header of a file.
pub fn write_file_header(has_video: bool, has_audio: bool, out: &mut BytesMut) {
    let flags = u8::from(has_video) | (u8::from(has_audio) << 2);
    out.put_slice(&[b'F', b'L', b'V', 1, flags, 0, 0, 0, 9, 0, 0, 0, 0]);
}

/// Writes one tag. A body is at most 16 MiB − 1 long; what is longer is left out.
pub fn write_file_tag(tag: &FlvFileTag, out: &mut BytesMut) {
    let Some(size) = u32::try_from(tag.body.len()).ok().filter(|size| *size <= 0xff_ffff) else { return };
    let kind = match tag.kind {
        FlvTagKind::Audio => 8,
        FlvTagKind::Video => 9,
        FlvTagKind::Script => 18,
        FlvTagKind::Other(other) => other & 0x1f,
    };
    let [extended, time @ ..] = tag.timestamp_ms.to_be_bytes();
    out.put_u8(kind);
    out.put_uint(u64::from(size), 3);
    out.put_slice(&time);
    out.put_u8(extended);
    out.put_uint(0, 3);
    out.put_slice(&tag.body);
    out.put_u32(size + TAG_HEADER_BYTES as u32);
}
