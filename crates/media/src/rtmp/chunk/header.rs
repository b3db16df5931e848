//! The bytes of a chunk header (RTMP §5.3.1), without the memory of the stream it stands in.

use super::EXTENDED;

/// A chunk header as it stands on the wire.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct WireHeader {
    pub(super) chunk_stream_id: u32,
    pub(super) fields: Fields,
    /// Bytes of the header; for type 3 without the extended timestamp, which only the stream's memory can tell.
    pub(super) size_bytes: usize,
}

/// What the header says, by its type.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fields {
    /// Type 0: absolute time and everything else.
    Full { time: Time, length: u32, type_id: u8, stream_id: u32 },
    /// Type 1: time difference, length and type.
    SameStream { time: Time, length: u32, type_id: u8 },
    /// Type 2: time difference.
    SameLength { time: Time },
    /// Type 3: nothing.
    Nothing,
}

/// A timestamp or timestamp delta in milliseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Time {
    pub(super) milliseconds: u32,
    pub(super) is_extended: bool,
}

impl Fields {
    /// The type of the header.
    pub(super) fn format(&self) -> u8 {
        match self {
            Self::Full { .. } => 0,
            Self::SameStream { .. } => 1,
            Self::SameLength { .. } => 2,
            Self::Nothing => 3,
        }
    }
}

impl WireHeader {
    /// Reads a header; `None` when the bytes end before it does.
    #[inline]
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let first = *bytes.first()?;
        let (chunk_stream_id, basic) = match first & 0x3f {
            0 => (64 + u32::from(*bytes.get(1)?), 2),
            1 => (64 + u32::from(*bytes.get(1)?) + 256 * u32::from(*bytes.get(2)?), 3),
            id => (u32::from(id), 1),
        };
        let rest = bytes.get(basic..)?;
        let (fields, size) = match first >> 6 {
            0 => {
                let header = rest.get(..11)?;
                let time = time(header, rest.get(11..))?;
                let stream_id = u32::from_le_bytes([header[7], header[8], header[9], header[10]]);
                let fields = Fields::Full { time, length: u24(&header[3..6]), type_id: header[6], stream_id };
                (fields, 11 + extended_size(time))
            }
            1 => {
                let header = rest.get(..7)?;
                let time = time(header, rest.get(7..))?;
                let fields = Fields::SameStream { time, length: u24(&header[3..6]), type_id: header[6] };
                (fields, 7 + extended_size(time))
            }
            2 => {
                let header = rest.get(..3)?;
                let time = time(header, rest.get(3..))?;
                (Fields::SameLength { time }, 3 + extended_size(time))
            }
            _ => (Fields::Nothing, 0),
        };
        Some(Self { chunk_stream_id, fields, size_bytes: basic + size })
    }
}

fn u24(bytes: &[u8]) -> u32 {
    u32::from_be_bytes([0, bytes[0], bytes[1], bytes[2]])
}

fn time(header: &[u8], after: Option<&[u8]>) -> Option<Time> {
    let field = u24(&header[..3]);
    if field != EXTENDED {
        return Some(Time { milliseconds: field, is_extended: false });
    }
    let extended = after?.get(..4)?.try_into().ok()?;
    Some(Time { milliseconds: u32::from_be_bytes(extended), is_extended: true })
}

fn extended_size(time: Time) -> usize {
    if time.is_extended { 4 } else { 0 }
}
