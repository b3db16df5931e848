//! What a reader remembers of each chunk stream.

use bytes::BytesMut;

use super::header::Fields;
use crate::rtmp::limits::MAX_CHUNK_STREAMS;

/// The last header of one chunk stream, and the message that is being put together on it.
#[derive(Debug, Default)]
pub(super) struct ChunkStream {
    pub(super) id: u32,
    has_header: bool,
    is_extended: bool,
    /// The time field of the last header of type 0, 1 or 2: what type 3 repeats.
    delta_ms: u32,
    pub(super) timestamp_ms: u32,
    pub(super) length: u32,
    pub(super) type_id: u8,
    pub(super) stream_id: u32,
    /// Whether a message has begun and not ended.
    pub(super) is_partial: bool,
    /// What of it has come.
    pub(super) assembly: BytesMut,
    /// Whether it is thrown away as it comes.
    pub(super) is_skipped: bool,
    /// How much of it has been.
    pub(super) thrown_away: usize,
}

/// Why a header cannot stand where it stands.
pub(super) enum Misplaced {
    NoHeader,
    InsideMessage,
}

impl ChunkStream {
    /// The one byte that continues the message on this stream, where one byte does.
    pub(super) fn plain_continuation(&self) -> Option<u8> {
        if self.id < 64 && !self.is_extended { Some(0xc0 | self.id as u8) } else { None }
    }

    /// Bytes of the message that have not come yet.
    pub(super) fn missing(&self) -> usize {
        self.length as usize - self.assembly.len() - self.thrown_away
    }

    /// Whether a header of that type may come now.
    ///
    /// Type 1 on a fresh stream has no message stream to refer to; librtmp did send it, and stream 0 does no harm.
    pub(super) fn check(&self, fields: &Fields) -> Result<(), Misplaced> {
        match fields.format() {
            0..=2 if self.is_partial => Err(Misplaced::InsideMessage),
            2 | 3 if !self.has_header => Err(Misplaced::NoHeader),
            _ => Ok(()),
        }
    }

    /// Bytes of the extended timestamp after a header of type 3; `None` while too few bytes are there to tell.
    ///
    /// RTMP §5.3.1.3 has it repeated in every chunk of type 3. Some encoders leave it out: the four bytes are then payload,
    /// and they are the time only by a chance of 2⁻³². Some repeat the absolute time after a difference.
    pub(super) fn repeated_time_size(&self, after: &[u8]) -> Option<usize> {
        if !self.is_extended {
            return Some(0);
        }
        let value = u32::from_be_bytes(after.get(..4)?.try_into().ok()?);
        let is_time = value == self.delta_ms || (self.is_partial && value == self.timestamp_ms);
        Some(if is_time { 4 } else { 0 })
    }

    /// Takes a new message's header over.
    ///
    /// RTMP §5.3.1.2.4: type 3 repeats the last difference, and after type 0 the difference is the absolute time itself. A
    /// difference is unsigned there (§5.3.1.2.2), but encoders whose time goes back by a little write it as a negative number of
    /// 24 bits. Taken at its word that is a jump by more than two hours, which no difference is otherwise.
    pub(super) fn begin(&mut self, fields: &Fields) {
        let time = match *fields {
            Fields::Full { time, length, type_id, stream_id } => {
                (self.length, self.type_id, self.stream_id) = (length, type_id, stream_id);
                self.timestamp_ms = 0;
                Some(time)
            }
            Fields::SameStream { time, length, type_id } => {
                (self.length, self.type_id) = (length, type_id);
                Some(time)
            }
            Fields::SameLength { time } => Some(time),
            Fields::Nothing => None,
        };
        if let Some(time) = time {
            let is_difference = !matches!(fields, Fields::Full { .. });
            let is_negative = is_difference && !time.is_extended && time.milliseconds & 0x80_0000 != 0;
            self.is_extended = time.is_extended;
            self.delta_ms = time.milliseconds | if is_negative { 0xff00_0000 } else { 0 };
        }
        self.timestamp_ms = self.timestamp_ms.wrapping_add(self.delta_ms);
        self.has_header = true;
    }
}

/// The chunk streams of a connection: those with a one-byte id are found by index.
#[derive(Debug)]
pub(super) struct ChunkStreams {
    low: [u8; 64],
    high: Vec<(u32, u8)>,
    slots: Vec<ChunkStream>,
}

const NO_SLOT: u8 = 0xff;

impl Default for ChunkStreams {
    fn default() -> Self {
        Self { low: [NO_SLOT; 64], high: Vec::new(), slots: Vec::new() }
    }
}

impl ChunkStreams {
    /// The slot of a chunk stream, if there is one.
    pub(super) fn find(&self, id: u32) -> Option<usize> {
        let slot = match self.low.get(id as usize) {
            Some(slot) => *slot,
            None => self.high.iter().find(|(other, _)| *other == id)?.1,
        };
        (slot != NO_SLOT).then_some(usize::from(slot))
    }

    /// The slot of a chunk stream, made where there is none; `None` when there are [`MAX_CHUNK_STREAMS`] already.
    #[inline]
    pub(super) fn find_or_make(&mut self, id: u32) -> Option<usize> {
        if let Some(slot) = self.find(id) {
            return Some(slot);
        }
        let slot = self.slots.len();
        if slot >= MAX_CHUNK_STREAMS {
            return None;
        }
        let number = u8::try_from(slot).ok()?;
        self.slots.push(ChunkStream { id, ..ChunkStream::default() });
        match self.low.get_mut(id as usize) {
            Some(entry) => *entry = number,
            None => self.high.push((id, number)),
        }
        Some(slot)
    }

    #[inline]
    pub(super) fn slot(&mut self, slot: usize) -> &mut ChunkStream {
        &mut self.slots[slot]
    }
}
