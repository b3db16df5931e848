//! What a decoder is told before the first frame: `avcC`, `hvcC` and `AudioSpecificConfig`.
//!
//! In: configuration records exactly as a publisher sent them, and the first bytes of frames. Out: dimensions, RFC 6381
//! strings, hints, and whether decoding can start at a picture (`access`). Not here: any decoding of pictures or sound, and the boxes
//! that carry the records (`mp4`).

mod aac;
mod access;
mod bits;
mod h264;
mod hevc;
mod sets;
mod units;

use bytes::Bytes;

pub use self::access::{Access, access, is_reference};
pub(crate) use self::h264::Interlacing;
pub(crate) use self::sets::{ParameterSets, codec_of_sps};
pub(crate) use self::units::{
    Field, UnitForm, UnitKind, form_of, starts_with_start_code, unit_kind, units_of,
};
use crate::{VideoCodec, VideoConfig};

/// The longest configuration record that is looked at, in bytes.
///
/// Real ones have fewer than 300; the record also goes into every MP4 header.
pub const MAX_RECORD_BYTES: usize = 16 * 1024;

/// Why a configuration record was refused.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CodecError {
    /// The record ends before what it announces.
    #[error("{record} is cut short")]
    Truncated {
        /// Name of the record.
        record: &'static str,
    },
    /// The record is longer than [`MAX_RECORD_BYTES`].
    #[error("{record} has {size_bytes} bytes, more than {MAX_RECORD_BYTES}")]
    TooLong {
        /// Name of the record.
        record: &'static str,
        /// Its length.
        size_bytes: usize,
    },
    /// A field has a value that the specification does not allow.
    #[error("{record}: {problem}")]
    Invalid {
        /// Name of the record.
        record: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The record is valid, but cannot be carried.
    #[error("{what} is not supported")]
    Unsupported {
        /// What it asks for.
        what: String,
    },
}

impl VideoConfig {
    /// Reads an `AVCDecoderConfigurationRecord` or `HEVCDecoderConfigurationRecord` (ISO/IEC 14496-15 §5.3.3, §8.3.3).
    ///
    /// # Errors
    ///
    /// If the record or its first sequence parameter set is damaged. Damage inside the VUI only costs the hints.
    pub fn from_record(codec: VideoCodec, record: Bytes) -> Result<Self, CodecError> {
        match codec {
            VideoCodec::H264 => h264::config(record),
            VideoCodec::Hevc => hevc::config(record),
        }
    }

    /// Bytes in the length prefix of each NAL unit: 1, 2 or 4.
    #[must_use]
    pub fn nal_length_size(&self) -> u8 {
        self.record.get(self.length_size_at()).map_or(4, |byte| (byte & 3) + 1)
    }
}

/// What a record tells that has no parameter sets, or [`None`] where it has some or is none: how long lengths are.
pub(crate) fn length_size_without_sets(codec: VideoCodec, record: &[u8]) -> Option<u8> {
    match codec {
        VideoCodec::H264 => h264::length_size_without_sets(record),
        VideoCodec::Hevc => hevc::length_size_without_sets(record),
    }
}

/// The parameter sets in a record of the form of `avcC`, whichever codec they are of.
pub(crate) fn sets_in_avc_record(record: &[u8]) -> Vec<&[u8]> {
    if record.first() == Some(&1) { h264::parameter_sets(record).unwrap_or_default() } else { Vec::new() }
}

impl VideoConfig {
    /// The same for NAL units behind lengths of 4 bytes.
    pub(crate) fn with_length_size_4(&self) -> Option<Self> {
        let mut record = self.record.to_vec();
        *record.get_mut(self.length_size_at())? |= 3;
        Self::from_record(self.codec, record.into()).ok()
    }

    /// Where in the record the length of lengths stands.
    fn length_size_at(&self) -> usize {
        match self.codec {
            VideoCodec::H264 => 4,
            VideoCodec::Hevc => 21,
        }
    }

    /// What of the first sequence parameter set tells fields from frames (H.264).
    pub(crate) fn interlacing(&self) -> Option<Interlacing> {
        match self.codec {
            VideoCodec::H264 => h264::interlacing(&self.record),
            VideoCodec::Hevc => None,
        }
    }

    /// The parameter sets of the record as NAL units behind their lengths, as they may stand in front of a keyframe.
    ///
    /// Empty where the record is damaged.
    pub(crate) fn parameter_sets(&self) -> Vec<u8> {
        let sets = match self.codec {
            VideoCodec::H264 => h264::parameter_sets(&self.record),
            VideoCodec::Hevc => hevc::parameter_sets(&self.record),
        };
        let length_size = usize::from(self.nal_length_size());
        let mut out = Vec::new();
        for set in sets.unwrap_or_default() {
            let length = (set.len() as u64).to_be_bytes();
            if set.len() as u64 >> (8 * length_size) != 0 {
                return Vec::new();
            }
            out.extend_from_slice(&length[length.len() - length_size..]);
            out.extend_from_slice(set);
        }
        out
    }
}

/// Whether `data` is a chain of NAL units that ends exactly where the data ends, none of them empty.
pub(crate) fn is_whole(data: &[u8], length_size: u8) -> bool {
    let mut units = NalUnits { data, length_size: usize::from(length_size) };
    !data.is_empty() && units.by_ref().all(|unit| !unit.is_empty()) && units.data.is_empty()
}

/// Length-prefixed NAL units; stops in front of damage.
pub(crate) struct NalUnits<'a> {
    data: &'a [u8],
    length_size: usize,
}

impl<'a> Iterator for NalUnits<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let prefix = self.data.get(..self.length_size)?;
        let length = prefix.iter().fold(0_usize, |length, byte| length << 8 | usize::from(*byte));
        let unit = self.data.get(self.length_size..)?.get(..length)?;
        self.data = &self.data[self.length_size + length..];
        (self.length_size > 0).then_some(unit)
    }
}

/// Reads a big-endian `u16` length and as many bytes; what is left over comes back second.
fn split_parameter_set(data: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = data.split_first_chunk::<2>()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))
}

/// A frame rate from the VUI in lowest terms, if it is one.
fn frame_rate(numerator: u32, denominator: u32) -> Option<(u32, u32)> {
    if numerator == 0 || denominator == 0 {
        return None;
    }
    let (mut a, mut b) = (numerator, denominator);
    while b != 0 {
        (a, b) = (b, a % b);
    }
    Some((numerator / a, denominator / a))
}

/// The VUI's leading part, the same in ITU-T H.264 §E.1.1 and H.265 §E.2.1: up to the chroma locations.
///
/// Returns the pixel aspect ratio where it is told and not square.
fn vui_start(bits: &mut bits::BitReader<'_>) -> Option<Option<(u16, u16)>> {
    // ITU-T H.264 table E-1, H.265 table E-1.
    const ASPECT_RATIOS: [(u16, u16); 17] = [
        (0, 0),
        (1, 1),
        (12, 11),
        (10, 11),
        (16, 11),
        (40, 33),
        (24, 11),
        (20, 11),
        (32, 11),
        (80, 33),
        (18, 11),
        (15, 11),
        (64, 33),
        (160, 99),
        (4, 3),
        (3, 2),
        (2, 1),
    ];
    const EXTENDED_SAR: u32 = 255;
    let mut aspect = (0, 0);
    if bits.flag()? {
        aspect = match bits.bits(8)? {
            EXTENDED_SAR => (u16::try_from(bits.bits(16)?).ok()?, u16::try_from(bits.bits(16)?).ok()?),
            index => ASPECT_RATIOS.get(usize::try_from(index).ok()?).copied().unwrap_or((0, 0)),
        };
    }
    if bits.flag()? {
        bits.skip(1)?; // overscan_appropriate_flag
    }
    if bits.flag()? {
        bits.skip(4)?; // video_format, video_full_range_flag
        if bits.flag()? {
            bits.skip(24)?; // colour description
        }
    }
    if bits.flag()? {
        bits.ue()?; // chroma sample locations
        bits.ue()?;
    }
    Some((aspect.0 != 0 && aspect.1 != 0 && aspect.0 != aspect.1).then_some(aspect))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_zeroed_tail_is_not_whole() {
        assert!(is_whole(&[0, 0, 0, 1, 7], 4));
        assert!(!is_whole(&[0, 0, 0, 1, 7, 0, 0, 0, 0], 4));
        assert!(!is_whole(&[0, 0, 0, 2, 7], 4));
        assert!(!is_whole(&[0, 0, 0, 1, 7, 0], 4));
        assert!(!is_whole(&[], 4));
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(data in prop::collection::vec(any::<u8>(), 0..600), length_size in 0_u8..6) {
            let bytes = Bytes::from(data.clone());
            let _ = VideoConfig::from_record(VideoCodec::H264, bytes.clone());
            let _ = VideoConfig::from_record(VideoCodec::Hevc, bytes.clone());
            let _ = crate::AudioConfig::from_asc(bytes);
            let _ = is_whole(&data, length_size);
        }
    }
}
