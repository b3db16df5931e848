//! NAL units of a message: in which form they stand, one after another, and what each is to the picture.

use crate::VideoCodec;

use super::bits::{BitReader, unescape};
use super::{NalUnits, h264, is_whole};

/// How NAL units stand in a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum UnitForm {
    /// Each behind its length, in so many bytes (ISO/IEC 14496-15).
    Prefixed(u8),
    /// Each behind a start code (annex B of ITU-T H.264 and H.265).
    AnnexB,
}

/// The form of a message; [`None`] for what is neither.
///
/// A length of 256 to 511 looks like a start code, and one of 1 like a longer one: a chain of lengths that ends where the
/// message ends is no chance, so lengths are looked for first.
pub(crate) fn form_of(data: &[u8], length_size: u8) -> Option<UnitForm> {
    if is_whole(data, length_size) {
        Some(UnitForm::Prefixed(length_size))
    } else if length_size != 4 && is_whole(data, 4) {
        Some(UnitForm::Prefixed(4))
    } else if starts_with_start_code(data) {
        Some(UnitForm::AnnexB)
    } else {
        None
    }
}

/// Whether data begins with `00 00 01` or `00 00 00 01`.
pub(crate) fn starts_with_start_code(data: &[u8]) -> bool {
    data.starts_with(&[0, 0, 1]) || data.starts_with(&[0, 0, 0, 1])
}

/// The units of a message in a form that [`form_of`] has told.
pub(crate) fn units_of(data: &[u8], form: UnitForm) -> Units<'_> {
    match form {
        UnitForm::Prefixed(length_size) => {
            Units::Prefixed(NalUnits { data, length_size: usize::from(length_size) })
        }
        UnitForm::AnnexB => Units::AnnexB(after_start_code(data)),
    }
}

/// See [`units_of`]. None of them is empty.
pub(crate) enum Units<'a> {
    Prefixed(NalUnits<'a>),
    /// What follows the start code of the next unit.
    AnnexB(Option<&'a [u8]>),
}

impl<'a> Iterator for Units<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = match self {
            Self::Prefixed(units) => return units.next(),
            Self::AnnexB(rest) => rest,
        };
        loop {
            let data = rest.take()?;
            let unit = match find_start_code(data) {
                Some(at) => {
                    *rest = Some(&data[at + 3..]);
                    &data[..at]
                }
                None => data,
            };
            // A NAL unit never ends in a zero byte: what stands there belongs to the next start code (`trailing_zero_8bits`).
            let end = unit.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
            if end > 0 {
                return Some(&unit[..end]);
            }
        }
    }
}

fn after_start_code(data: &[u8]) -> Option<&[u8]> {
    find_start_code(data).map(|at| &data[at + 3..])
}

/// Where `00 00 01` begins.
fn find_start_code(data: &[u8]) -> Option<usize> {
    let mut at = 2;
    while let Some(byte) = data.get(at) {
        match byte {
            0 => at += 1,
            1 if data[at - 1] == 0 && data[at - 2] == 0 => return Some(at - 2),
            // No start code can have this byte at its first or second place.
            _ => at += 3,
        }
    }
    None
}

/// What a NAL unit is to the pictures around it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum UnitKind {
    /// The first slice of a picture. `is_random_access`: of an IDR (H.264) or IRAP (HEVC) picture.
    FirstSlice {
        /// Whether decoding can start at it.
        is_random_access: bool,
    },
    /// Another slice of the picture before it.
    Slice,
    /// A parameter set: belongs to the picture after it.
    ParameterSet,
    /// Anything else that belongs to the picture after it.
    Before,
    /// Anything else that belongs to the picture before it.
    After,
}

/// What a unit is (ITU-T H.264 table 7-1 and §7.4.1.2.3, H.265 table 7-1 and §7.4.2.4.4).
pub(crate) fn unit_kind(codec: VideoCodec, unit: &[u8]) -> UnitKind {
    let Some(&header) = unit.first() else { return UnitKind::Before };
    match codec {
        VideoCodec::H264 => match header & 0x1f {
            // `first_mb_in_slice` is 0: its code is one bit that is set.
            kind @ (1 | 2 | 5) if unit.get(1).is_some_and(|byte| byte & 0x80 != 0) => {
                UnitKind::FirstSlice { is_random_access: kind == 5 }
            }
            1..=5 | 19..=21 => UnitKind::Slice,
            7 | 8 | 13 | 15 => UnitKind::ParameterSet,
            10..=12 => UnitKind::After,
            _ => UnitKind::Before,
        },
        VideoCodec::Hevc => {
            let kind = (header >> 1) & 0x3f;
            let layer = (header & 1) << 5 | unit.get(1).map_or(0, |byte| byte >> 3);
            match kind {
                // `first_slice_segment_in_pic_flag`; pictures of other layers belong to the base layer's access unit.
                0..=31 if layer == 0 && unit.get(2).is_some_and(|byte| byte & 0x80 != 0) => {
                    UnitKind::FirstSlice { is_random_access: (16..=23).contains(&kind) }
                }
                0..=31 => UnitKind::Slice,
                32..=34 => UnitKind::ParameterSet,
                36..=38 | 40 | 45..=47 | 56..=63 => UnitKind::After,
                _ => UnitKind::Before,
            }
        }
    }
}

/// One field of a frame whose two fields are pictures of their own (ITU-T H.264 §7.4.3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Field {
    frame_num: u32,
    is_bottom: bool,
}

impl Field {
    /// Whether `next` is the other field of the same frame.
    pub(crate) fn is_completed_by(self, next: Self) -> bool {
        self.frame_num == next.frame_num && self.is_bottom != next.is_bottom
    }

    /// The field that a slice of H.264 belongs to; [`None`] where it belongs to a frame.
    pub(crate) fn of(slice: &[u8], sps: &h264::Interlacing) -> Option<Self> {
        if !sps.may_have_fields || !matches!(slice.first()? & 0x1f, 1 | 2 | 5) {
            return None;
        }
        // The fields that are read have far fewer than 256 bits.
        let header = unescape(slice.get(1..slice.len().min(33))?);
        let mut bits = BitReader::new(&header);
        bits.ue()?; // first_mb_in_slice
        bits.ue()?; // slice_type
        bits.ue()?; // pic_parameter_set_id
        if sps.has_separate_planes {
            bits.skip(2)?;
        }
        let frame_num = bits.bits(sps.frame_num_bits)?;
        if !bits.flag()? {
            return None;
        }
        Some(Self { frame_num, is_bottom: bits.flag()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn units(data: &[u8], form: UnitForm) -> Vec<Vec<u8>> {
        units_of(data, form).map(<[u8]>::to_vec).collect()
    }

    #[test]
    fn start_codes_of_both_lengths_are_cut_at() {
        let data = [0, 0, 0, 1, 0x67, 1, 2, 0, 0, 1, 0x68, 3, 0, 0, 0, 1, 0x65, 0, 0, 3, 1, 0, 0];
        assert_eq!(form_of(&data, 4), Some(UnitForm::AnnexB));
        let expected: [&[u8]; 3] = [&[0x67, 1, 2], &[0x68, 3], &[0x65, 0, 0, 3, 1]];
        assert_eq!(units(&data, UnitForm::AnnexB), expected);
        assert!(units(&[0, 0, 1], UnitForm::AnnexB).is_empty());
        assert_eq!(units(&[0, 0, 1, 0, 0, 1, 9], UnitForm::AnnexB), [[9]]);
    }

    #[test]
    fn lengths_that_look_like_start_codes_are_lengths() {
        let mut long = vec![0, 0, 1, 4];
        long.extend([7; 260]);
        assert_eq!(form_of(&long, 4), Some(UnitForm::Prefixed(4)));
        assert_eq!(form_of(&[0, 0, 0, 1, 0x0a], 4), Some(UnitForm::Prefixed(4)));
        assert_eq!(form_of(&[0, 2, 0x65, 1], 2), Some(UnitForm::Prefixed(2)));
        assert_eq!(form_of(&[0, 0, 0, 2, 0x65, 1], 2), Some(UnitForm::Prefixed(4)));
        assert_eq!(form_of(&[9, 9, 9], 4), None);
        assert_eq!(form_of(&[], 4), None);
    }

    #[test]
    fn units_belong_to_the_picture_before_or_after_them() {
        use UnitKind::{After, Before, FirstSlice, ParameterSet, Slice};
        let first = |is_random_access| FirstSlice { is_random_access };
        for (unit, kind) in [
            (&[0x65, 0x88][..], first(true)),
            (&[0x41, 0x9a], first(false)),
            (&[0x65, 0x40], Slice),
            (&[0x01, 0x10], Slice),
            (&[0x41], Slice),
            (&[0x67, 1], ParameterSet),
            (&[0x68, 1], ParameterSet),
            (&[0x06, 5], Before),
            (&[0x09, 0xf0], Before),
            (&[0x0a], After),
            (&[0x0c, 0xff], After),
        ] {
            assert_eq!(unit_kind(VideoCodec::H264, unit), kind, "{unit:x?}");
        }
        for (unit, kind) in [
            (&[0x26, 1, 0xaf][..], first(true)),
            (&[0x2a, 1, 0x80], first(true)),
            (&[0x02, 1, 0xd0], first(false)),
            (&[0x02, 1, 0x50], Slice),
            (&[0x02, 9, 0xd0], Slice),
            (&[0x40, 1], ParameterSet),
            (&[0x46, 1], Before),
            (&[0x4e, 1], Before),
            (&[0x50, 1], After),
        ] {
            assert_eq!(unit_kind(VideoCodec::Hevc, unit), kind, "{unit:x?}");
        }
    }
}
