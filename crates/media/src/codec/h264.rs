//! `AVCDecoderConfigurationRecord` and the H.264 sequence parameter set.

use bytes::Bytes;

use super::bits::{BitReader, unescape};
use super::{CodecError, MAX_RECORD_BYTES, frame_rate, split_parameter_set, vui_start};
use crate::{VideoCodec, VideoConfig};

const RECORD: &str = "avcC";
pub(super) const NAL_SPS: u8 = 7;
pub(super) const NAL_PPS: u8 = 8;

/// ISO/IEC 14496-15 §5.3.3.1.2
pub(super) fn config(record: Bytes) -> Result<VideoConfig, CodecError> {
    if record.len() > MAX_RECORD_BYTES {
        return Err(CodecError::TooLong { record: RECORD, size_bytes: record.len() });
    }
    let &[version, profile, compatibility, level, length, sets, ref rest @ ..] = &record[..] else {
        return Err(CodecError::Truncated { record: RECORD });
    };
    let invalid = |problem| CodecError::Invalid { record: RECORD, problem };
    if version != 1 {
        return Err(invalid("its version is not 1"));
    }
    if length & 3 == 2 {
        return Err(invalid("NAL unit lengths of 3 bytes do not exist"));
    }
    if sets & 0x1f == 0 {
        return Err(invalid("it has no sequence parameter set"));
    }
    let (sps, _) = split_parameter_set(rest).ok_or(CodecError::Truncated { record: RECORD })?;
    let sps = parse_sps(sps).ok_or_else(|| invalid("its sequence parameter set is damaged"))?;
    Ok(VideoConfig {
        codec: VideoCodec::H264,
        width: sps.width,
        height: sps.height,
        codec_string: format!("avc1.{profile:02x}{compatibility:02x}{level:02x}"),
        frame_rate: sps.frame_rate,
        pixel_aspect_ratio: sps.pixel_aspect_ratio,
        record,
    })
}

/// The sequence and picture parameter sets of a record.
pub(super) fn parameter_sets(record: &[u8]) -> Option<Vec<&[u8]>> {
    let mut sets = Vec::new();
    let (count, mut rest) = record.get(5..)?.split_first()?;
    for _ in 0..count & 0x1f {
        let (set, after) = split_parameter_set(rest)?;
        sets.push(set);
        rest = after;
    }
    let (count, mut rest) = rest.split_first()?;
    for _ in 0..*count {
        let (set, after) = split_parameter_set(rest)?;
        sets.push(set);
        rest = after;
    }
    Some(sets)
}

/// A record with these parameter sets, for NAL units behind lengths of 4 bytes (ISO/IEC 14496-15 §5.3.3.1.2). [`None`] where there
/// is no usable SPS first, or where there are more sets than fit.
pub(super) fn record(sequence: &[&[u8]], picture: &[&[u8]]) -> Option<Bytes> {
    let first = sequence.first()?;
    let sps = parse_sps(first)?;
    let &[_, profile, compatibility, level, ..] = *first else { return None };
    let mut record = vec![1, profile, compatibility, level, 0xff];
    record.push(0xe0 | u8::try_from(sequence.len()).ok().filter(|count| *count <= 31)?);
    put_sets(&mut record, sequence)?;
    record.push(u8::try_from(picture.len()).ok()?);
    put_sets(&mut record, picture)?;
    if !matches!(profile, 66 | 77 | 88) {
        let [chroma, luma_depth, chroma_depth] = sps.format;
        record.extend([0xfc | chroma, 0xf8 | luma_depth, 0xf8 | chroma_depth, 0]);
    }
    Some(record.into())
}

fn put_sets(record: &mut Vec<u8>, sets: &[&[u8]]) -> Option<()> {
    for set in sets {
        record.extend(u16::try_from(set.len()).ok()?.to_be_bytes());
        record.extend_from_slice(set);
    }
    Some(())
}

/// Type and id of a sequence or picture parameter set; [`None`] for anything else, and for a damaged one.
pub(super) fn set_identity(unit: &[u8]) -> Option<(u8, u32)> {
    match unit.first()? & 0x9f {
        NAL_SPS => Some((NAL_SPS, parse_sps(unit)?.id)),
        NAL_PPS => {
            let payload = unescape(unit.get(1..unit.len().min(9))?);
            let mut bits = BitReader::new(&payload);
            let id = bits.ue().filter(|id| *id < 256)?;
            bits.ue().filter(|sps_id| *sps_id < 32)?;
            Some((NAL_PPS, id))
        }
        _ => None,
    }
}

/// How long lengths are, of a record that has no sequence parameter set.
pub(super) fn length_size_without_sets(record: &[u8]) -> Option<u8> {
    match record {
        &[1, _, _, _, length, sets, ..] if length & 3 != 2 && sets & 0x1f == 0 => Some((length & 3) + 1),
        _ => None,
    }
}

/// What tells the fields of a frame from frames.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Interlacing {
    /// Not `frame_mbs_only_flag`.
    pub(super) may_have_fields: bool,
    /// `separate_colour_plane_flag`
    pub(super) has_separate_planes: bool,
    /// Length of `frame_num`.
    pub(super) frame_num_bits: u32,
}

impl Interlacing {
    /// Whether fields may be pictures of their own.
    pub(crate) fn may_have_fields(&self) -> bool {
        self.may_have_fields
    }
}

/// Of the first sequence parameter set of a record.
pub(super) fn interlacing(record: &[u8]) -> Option<Interlacing> {
    Some(parse_sps(parameter_sets(record)?.first()?)?.interlacing)
}

struct Sps {
    id: u32,
    /// `chroma_format_idc`, `bit_depth_luma_minus8`, `bit_depth_chroma_minus8`
    format: [u8; 3],
    interlacing: Interlacing,
    width: u16,
    height: u16,
    frame_rate: Option<(u32, u32)>,
    pixel_aspect_ratio: Option<(u16, u16)>,
}

/// ITU-T H.264 §7.3.2.1.1, up to the timing in the VUI.
fn parse_sps(nal_unit: &[u8]) -> Option<Sps> {
    if nal_unit.first()? & 0x9f != NAL_SPS {
        return None;
    }
    let payload = unescape(&nal_unit[1..]);
    let mut bits = BitReader::new(&payload);
    let profile = bits.bits(8)?;
    bits.skip(16)?; // constraint flags, level_idc
    let id = bits.ue().filter(|id| *id < 32)?;
    let mut chroma_format = 1;
    let mut depths = [0, 0];
    let mut is_separate_planes = false;
    if matches!(profile, 100 | 110 | 122 | 244 | 44 | 83 | 86 | 118 | 128 | 138 | 139 | 134 | 135) {
        chroma_format = bits.ue()?;
        if chroma_format == 3 {
            is_separate_planes = bits.flag()?;
        }
        for depth in &mut depths {
            *depth = bits.ue().filter(|depth| *depth <= 6)? as u8;
        }
        bits.skip(1)?; // qpprime_y_zero_transform_bypass_flag
        if bits.flag()? {
            for list in 0..if chroma_format == 3 { 12 } else { 8 } {
                if bits.flag()? {
                    skip_scaling_list(&mut bits, if list < 6 { 16 } else { 64 })?;
                }
            }
        }
    }
    let frame_num_bits = bits.ue().filter(|bits| *bits <= 12)? + 4;
    match bits.ue()? {
        0 => {
            bits.ue()?;
        }
        1 => {
            bits.skip(1)?;
            bits.skip_se()?;
            bits.skip_se()?;
            let cycle = bits.ue()?;
            if cycle > 255 {
                return None;
            }
            for _ in 0..cycle {
                bits.skip_se()?;
            }
        }
        2 => {}
        _ => return None,
    }
    bits.ue()?; // max_num_ref_frames
    bits.skip(1)?; // gaps_in_frame_num_value_allowed_flag
    let width_mbs = u64::from(bits.ue()?) + 1;
    let height_map_units = u64::from(bits.ue()?) + 1;
    let is_frame_mbs_only = bits.flag()?;
    if !is_frame_mbs_only {
        bits.skip(1)?; // mb_adaptive_frame_field_flag
    }
    bits.skip(1)?; // direct_8x8_inference_flag
    let fields = if is_frame_mbs_only { 1 } else { 2 };
    // Equations 7-18 to 7-21: what one unit of cropping is.
    let (unit_x, unit_y) = match chroma_format {
        _ if is_separate_planes => (1, fields),
        0 | 3 => (1, fields),
        1 => (2, 2 * fields),
        2 => (2, fields),
        _ => return None,
    };
    let (mut crop_x, mut crop_y) = (0, 0);
    if bits.flag()? {
        crop_x = unit_x * (u64::from(bits.ue()?) + u64::from(bits.ue()?));
        crop_y = unit_y * (u64::from(bits.ue()?) + u64::from(bits.ue()?));
    }
    let width = (width_mbs * 16).checked_sub(crop_x).filter(|width| *width > 0)?;
    let height = (height_map_units * 16 * fields).checked_sub(crop_y).filter(|height| *height > 0)?;
    let (pixel_aspect_ratio, frame_rate) = parse_vui(&mut bits).unwrap_or_default();
    Some(Sps {
        id,
        format: [u8::try_from(chroma_format).ok()?, depths[0], depths[1]],
        interlacing: Interlacing {
            may_have_fields: !is_frame_mbs_only,
            has_separate_planes: is_separate_planes,
            frame_num_bits,
        },
        width: u16::try_from(width).ok()?,
        height: u16::try_from(height).ok()?,
        frame_rate,
        pixel_aspect_ratio,
    })
}

type Hints = (Option<(u16, u16)>, Option<(u32, u32)>);

/// ITU-T H.264 §E.1.1
fn parse_vui(bits: &mut BitReader<'_>) -> Option<Hints> {
    if !bits.flag()? {
        return None;
    }
    let aspect = vui_start(bits)?;
    let timing = |bits: &mut BitReader<'_>| {
        if !bits.flag()? {
            return None;
        }
        let units_in_tick = bits.bits(32)?;
        let time_scale = bits.bits(32)?;
        // A tick is a field: two of them make a frame (§E.2.1).
        frame_rate(time_scale, units_in_tick.checked_mul(2)?)
    };
    Some((aspect, timing(bits)))
}

/// ITU-T H.264 §7.3.2.1.1.1
fn skip_scaling_list(bits: &mut BitReader<'_>, size: usize) -> Option<()> {
    let (mut last, mut next) = (8_i32, 8_i32);
    for _ in 0..size {
        if next != 0 {
            next = (last + bits.se()?.clamp(-128, 127) + 256) % 256;
        }
        if next != 0 {
            last = next;
        }
    }
    Some(())
}
