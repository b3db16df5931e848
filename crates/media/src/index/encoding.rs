//! The index as bytes in the catalog: about three bytes a fragment.
//!
//! ```text
//! version (1 byte) | first_fragment_offset | recovery_90k (version 2 only) | count | size_bytes × count | run × n
//! run = 0, duration_90k << 1 | is_key                  one fragment, spelt out
//!     | length, distance                               `length` fragments, each like the one `distance` before it
//! ```
//!
//! Version 1 is written where `recovery_90k` is 0, so that only segments that need it take the newer form.
//!
//! All numbers are unsigned LEB128. Sizes differ and take what they take; durations and key flags repeat with the group
//! of pictures, so a whole segment is a handful of spelt-out fragments and one or two copies of them.

use crate::{FragmentIndexEntry, SegmentIndex};

/// Most fragments an index may have: an hour of all-intra video at 60 frames a second fits.
pub const MAX_INDEX_FRAGMENTS: usize = 1 << 18;

/// First byte of the encoded form.
const VERSION: u8 = 1;
/// First byte of the form that also says when pictures are whole.
const VERSION_RECOVERY: u8 = 2;
/// How far back a repetition is looked for: a group of pictures of 32 s.
const MAX_DISTANCE: usize = 64;
/// Fewer repeated fragments than this are spelt out.
const MIN_COPY: usize = 2;

/// An index that is not what [`SegmentIndex::encode`] writes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum IndexError {
    /// The first byte names a form this program does not know.
    #[error("segment index has version {0}, this program knows up to {VERSION_RECOVERY}")]
    Version(u8),
    /// The bytes end within a number or before the last fragment.
    #[error("segment index ends early, at byte {0}")]
    Truncated(usize),
    /// A number, a copy or the count is out of its range.
    #[error("segment index has a value out of range at byte {0}")]
    OutOfRange(usize),
    /// There are bytes after the last fragment.
    #[error("segment index has bytes left over from byte {0}")]
    Trailing(usize),
}

impl SegmentIndex {
    /// The index as bytes for the catalog.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let fragments = &self.fragments;
        let mut out = Vec::with_capacity(16 + fragments.len() * 4);
        out.push(if self.recovery_90k == 0 { VERSION } else { VERSION_RECOVERY });
        push_varint(&mut out, u64::from(self.first_fragment_offset));
        if self.recovery_90k > 0 {
            push_varint(&mut out, u64::from(self.recovery_90k));
        }
        push_varint(&mut out, fragments.len() as u64);
        for entry in fragments {
            push_varint(&mut out, u64::from(entry.size_bytes));
        }
        let mut at = 0;
        while at < fragments.len() {
            let (distance, length) = longest_copy(fragments, at);
            if length >= MIN_COPY {
                push_varint(&mut out, length as u64);
                push_varint(&mut out, distance as u64);
                at += length;
            } else {
                push_varint(&mut out, 0);
                push_varint(
                    &mut out,
                    u64::from(fragments[at].duration_90k) << 1 | u64::from(fragments[at].is_key),
                );
                at += 1;
            }
        }
        out
    }

    /// Reads what [`Self::encode`] wrote; any other bytes are an error, never a panic, and never take more memory than
    /// [`MAX_INDEX_FRAGMENTS`] entries or a few times the input's length.
    ///
    /// # Errors
    /// [`IndexError`] with the offset of the byte that is wrong.
    pub fn decode(bytes: &[u8]) -> Result<Self, IndexError> {
        let mut reader = Reader { bytes, at: 0 };
        let version = reader.byte()?;
        if !(VERSION..=VERSION_RECOVERY).contains(&version) {
            return Err(IndexError::Version(version));
        }
        let first_fragment_offset = reader.u32()?;
        let recovery_90k = if version == VERSION { 0 } else { reader.u32()? };
        let count = reader.varint()?;
        // Every fragment has at least one byte of size, so a short input cannot ask for much memory.
        if count > MAX_INDEX_FRAGMENTS as u64 {
            return Err(IndexError::OutOfRange(reader.at));
        }
        let count = count as usize;
        if count > bytes.len() - reader.at {
            return Err(IndexError::Truncated(bytes.len()));
        }
        let mut fragments = Vec::with_capacity(count);
        for _ in 0..count {
            fragments.push(FragmentIndexEntry { size_bytes: reader.u32()?, duration_90k: 0, is_key: false });
        }
        let mut at = 0;
        while at < count {
            let length = reader.varint()?;
            let value = reader.varint()?;
            if length == 0 {
                let Ok(duration_90k) = u32::try_from(value >> 1) else {
                    return Err(IndexError::OutOfRange(reader.at));
                };
                fragments[at].duration_90k = duration_90k;
                fragments[at].is_key = value & 1 == 1;
                at += 1;
                continue;
            }
            if length > (count - at) as u64 || value == 0 || value > at as u64 {
                return Err(IndexError::OutOfRange(reader.at));
            }
            for _ in 0..length {
                let from = fragments[at - value as usize];
                fragments[at].duration_90k = from.duration_90k;
                fragments[at].is_key = from.is_key;
                at += 1;
            }
        }
        if reader.at != bytes.len() {
            return Err(IndexError::Trailing(reader.at));
        }
        Ok(Self { first_fragment_offset, recovery_90k, fragments })
    }
}

/// Distance and length of the longest repetition of what came before, at most [`MAX_DISTANCE`] back.
fn longest_copy(fragments: &[FragmentIndexEntry], at: usize) -> (usize, usize) {
    let alike = |a: usize, b: usize| {
        fragments[a].duration_90k == fragments[b].duration_90k && fragments[a].is_key == fragments[b].is_key
    };
    let mut best = (0, 0);
    for distance in 1..=MAX_DISTANCE.min(at) {
        let mut length = 0;
        while at + length < fragments.len() && alike(at + length, at + length - distance) {
            length += 1;
        }
        if length > best.1 {
            best = (distance, length);
        }
    }
    best
}

fn push_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn byte(&mut self) -> Result<u8, IndexError> {
        let byte = *self.bytes.get(self.at).ok_or(IndexError::Truncated(self.at))?;
        self.at += 1;
        Ok(byte)
    }

    fn varint(&mut self) -> Result<u64, IndexError> {
        let start = self.at;
        let mut value = 0u64;
        // Five groups of seven bits: no number here needs more than 33.
        for shift in [0, 7, 14, 21, 28] {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(IndexError::OutOfRange(start))
    }

    fn u32(&mut self) -> Result<u32, IndexError> {
        let start = self.at;
        u32::try_from(self.varint()?).map_err(|_| IndexError::OutOfRange(start))
    }
}
