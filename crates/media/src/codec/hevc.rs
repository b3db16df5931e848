//! `HEVCDecoderConfigurationRecord` and the H.265 sequence parameter set.

use std::fmt::Write as _;

use bytes::Bytes;

use super::bits::{BitReader, unescape};
use super::{CodecError, MAX_RECORD_BYTES, frame_rate, split_parameter_set, vui_start};
use crate::{VideoCodec, VideoConfig};

const RECORD: &str = "hvcC";
pub(super) const NAL_VPS: u8 = 32;
pub(super) const NAL_SPS: u8 = 33;
pub(super) const NAL_PPS: u8 = 34;
/// Bytes in front of the arrays of parameter sets.
const FIXED_BYTES: usize = 23;

/// ISO/IEC 14496-15 §8.3.3.1.2
pub(super) fn config(record: Bytes) -> Result<VideoConfig, CodecError> {
    if record.len() > MAX_RECORD_BYTES {
        return Err(CodecError::TooLong { record: RECORD, size_bytes: record.len() });
    }
    let Some((fixed, arrays)) = record.split_first_chunk::<FIXED_BYTES>() else {
        return Err(CodecError::Truncated { record: RECORD });
    };
    let invalid = |problem| CodecError::Invalid { record: RECORD, problem };
    // Version 0 was written by encoders that followed drafts of the standard; the layout is the same.
    if fixed[0] > 1 {
        return Err(invalid("its version is not 1"));
    }
    if fixed[21] & 3 == 2 {
        return Err(invalid("NAL unit lengths of 3 bytes do not exist"));
    }
    let units = units(arrays, fixed[22]).ok_or(CodecError::Truncated { record: RECORD })?;
    let sps = units.iter().find(|(kind, _)| *kind == NAL_SPS);
    let (_, sps) = sps.ok_or_else(|| invalid("it has no sequence parameter set"))?;
    let sps = parse_sps(sps).ok_or_else(|| invalid("its sequence parameter set is damaged"))?;
    Ok(VideoConfig {
        codec: VideoCodec::Hevc,
        width: sps.width,
        height: sps.height,
        codec_string: codec_string(fixed),
        frame_rate: sps.frame_rate,
        pixel_aspect_ratio: sps.pixel_aspect_ratio,
        record,
    })
}

/// The NAL units in the arrays of a record, and of which type they are said to be.
fn units(mut arrays: &[u8], count: u8) -> Option<Vec<(u8, &[u8])>> {
    let mut units = Vec::new();
    for _ in 0..count {
        let (&[kind, high, low], mut rest) = arrays.split_first_chunk::<3>()?;
        for _ in 0..u16::from_be_bytes([high, low]) {
            let (unit, after) = split_parameter_set(rest)?;
            units.push((kind & 0x3f, unit));
            rest = after;
        }
        arrays = rest;
    }
    Some(units)
}

/// The parameter sets of a record.
pub(super) fn parameter_sets(record: &[u8]) -> Option<Vec<&[u8]>> {
    let (fixed, arrays) = record.split_first_chunk::<FIXED_BYTES>()?;
    let parameter_sets = units(arrays, fixed[22])?.into_iter().filter(|(kind, _)| (32..=34).contains(kind));
    Some(parameter_sets.map(|(_, unit)| unit).collect())
}

/// ISO/IEC 14496-15 annex E.3
fn codec_string(fixed: &[u8; FIXED_BYTES]) -> String {
    let mut text = String::from("hvc1.");
    if let Some(space) = [None, Some('A'), Some('B'), Some('C')][usize::from(fixed[1] >> 6)] {
        text.push(space);
    }
    let compatibility = u32::from_be_bytes([fixed[2], fixed[3], fixed[4], fixed[5]]).reverse_bits();
    let tier = if fixed[1] & 0x20 == 0 { 'L' } else { 'H' };
    let _ = write!(text, "{}.{compatibility:X}.{tier}{}", fixed[1] & 0x1f, fixed[12]);
    let constraints = &fixed[6..12];
    let used = constraints.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    for byte in &constraints[..used] {
        let _ = write!(text, ".{byte:X}");
    }
    text
}

/// A record with these parameter sets by their types, for NAL units behind lengths of 4 bytes (ISO/IEC 14496-15 §8.3.3.1.2).
/// [`None`] where there is no usable SPS.
pub(super) fn record(sets: &[(u8, Vec<&[u8]>)]) -> Option<Bytes> {
    let (_, sequence) = sets.iter().find(|(kind, _)| *kind == NAL_SPS)?;
    let sps = parse_sps(sequence.first()?)?;
    let mut record = vec![1];
    record.extend(sps.profile_tier_level);
    record.extend([0xf0, 0, 0xfc]); // nothing said of segmentation and parallelism
    let [chroma, luma_depth, chroma_depth] = sps.format;
    record.extend([0xfc | chroma, 0xf8 | luma_depth, 0xf8 | chroma_depth]);
    record.extend([0, 0]); // avgFrameRate
    record.push(sps.sub_layers << 3 | u8::from(sps.is_nested) << 2 | 3);
    record.push(u8::try_from(sets.len()).ok()?);
    for (kind, units) in sets {
        record.push(0x80 | kind);
        record.extend(u16::try_from(units.len()).ok()?.to_be_bytes());
        for unit in units {
            record.extend(u16::try_from(unit.len()).ok()?.to_be_bytes());
            record.extend_from_slice(unit);
        }
    }
    Some(record.into())
}

/// Type and id of a parameter set of the base layer; [`None`] for anything else, and for a damaged one.
pub(super) fn set_identity(unit: &[u8]) -> Option<(u8, u32)> {
    let &[first, second, third, ..] = unit else { return None };
    // forbidden_zero_bit, nuh_layer_id and nuh_temporal_id_plus1 of a parameter set that is for everyone
    if first & 0x81 != 0 || second >> 3 != 0 || second & 7 == 0 {
        return None;
    }
    match first >> 1 {
        NAL_VPS => Some((NAL_VPS, u32::from(third >> 4))),
        NAL_SPS => Some((NAL_SPS, parse_sps(unit)?.id)),
        NAL_PPS => {
            let payload = unescape(unit.get(2..unit.len().min(10))?);
            let mut bits = BitReader::new(&payload);
            let id = bits.ue().filter(|id| *id < 64)?;
            bits.ue().filter(|sps_id| *sps_id < 16)?;
            Some((NAL_PPS, id))
        }
        _ => None,
    }
}

/// How long lengths are, of a record that has no sequence parameter set.
pub(super) fn length_size_without_sets(record: &[u8]) -> Option<u8> {
    let (fixed, arrays) = record.split_first_chunk::<FIXED_BYTES>()?;
    let has_set = units(arrays, fixed[22])?.iter().any(|(kind, _)| *kind == NAL_SPS);
    (fixed[0] == 1 && fixed[21] & 3 != 2 && !has_set).then_some((fixed[21] & 3) + 1)
}

struct Sps {
    id: u32,
    /// As in the record: profile space, tier and profile, compatibility, constraints, level.
    profile_tier_level: [u8; 12],
    sub_layers: u8,
    is_nested: bool,
    /// `chroma_format_idc`, `bit_depth_luma_minus8`, `bit_depth_chroma_minus8`
    format: [u8; 3],
    width: u16,
    height: u16,
    frame_rate: Option<(u32, u32)>,
    pixel_aspect_ratio: Option<(u16, u16)>,
}

/// ITU-T H.265 §7.3.2.2.1, up to the timing in the VUI.
fn parse_sps(nal_unit: &[u8]) -> Option<Sps> {
    if (nal_unit.first()? >> 1) & 0x3f != NAL_SPS {
        return None;
    }
    let payload = unescape(nal_unit.get(2..)?);
    let mut bits = BitReader::new(&payload);
    bits.skip(4)?; // sps_video_parameter_set_id
    let max_sub_layers_minus1 = bits.bits(3)?;
    let is_nested = bits.flag()?;
    // One byte in: the general part of profile_tier_level() is whole bytes.
    let profile_tier_level = *payload.get(1..)?.first_chunk::<12>()?;
    skip_profile_tier_level(&mut bits, max_sub_layers_minus1)?;
    let id = bits.ue().filter(|id| *id < 16)?;
    let chroma_format = bits.ue()?;
    let (unit_x, unit_y) = match chroma_format {
        0 => (1, 1),
        1 => (2, 2),
        2 => (2, 1),
        3 => {
            bits.skip(1)?; // separate_colour_plane_flag
            (1, 1)
        }
        _ => return None,
    };
    let mut width = u64::from(bits.ue()?);
    let mut height = u64::from(bits.ue()?);
    if bits.flag()? {
        width = width.checked_sub(unit_x * (u64::from(bits.ue()?) + u64::from(bits.ue()?)))?;
        height = height.checked_sub(unit_y * (u64::from(bits.ue()?) + u64::from(bits.ue()?)))?;
    }
    let mut depth = || bits.ue().filter(|depth| *depth <= 8).unwrap_or(0) as u8;
    let depths = [depth(), depth()];
    let (pixel_aspect_ratio, frame_rate) = parse_hints(&mut bits, max_sub_layers_minus1).unwrap_or_default();
    Some(Sps {
        id,
        profile_tier_level,
        sub_layers: max_sub_layers_minus1 as u8 + 1,
        is_nested,
        format: [chroma_format as u8, depths[0], depths[1]],
        width: u16::try_from(width).ok().filter(|width| *width > 0)?,
        height: u16::try_from(height).ok().filter(|height| *height > 0)?,
        frame_rate,
        pixel_aspect_ratio,
    })
}

/// ITU-T H.265 §7.3.3
fn skip_profile_tier_level(bits: &mut BitReader<'_>, max_sub_layers_minus1: u32) -> Option<()> {
    bits.skip(96)?; // the general part: 2 + 1 + 5 + 32 + 48 + 8
    let mut present = Vec::new();
    for _ in 0..max_sub_layers_minus1 {
        present.push((bits.flag()?, bits.flag()?));
    }
    if max_sub_layers_minus1 > 0 {
        bits.skip(2 * (8 - max_sub_layers_minus1 as usize))?;
    }
    for (has_profile, has_level) in present {
        bits.skip(if has_profile { 88 } else { 0 } + if has_level { 8 } else { 0 })?;
    }
    Some(())
}

type Hints = (Option<(u16, u16)>, Option<(u32, u32)>);

/// From behind the bit depths to the VUI: everything between has to be read to find it.
fn parse_hints(bits: &mut BitReader<'_>, max_sub_layers_minus1: u32) -> Option<Hints> {
    let poc_lsb_bits = bits.ue()?.checked_add(4).filter(|count| *count <= 16)?;
    let layers = if bits.flag()? { max_sub_layers_minus1 + 1 } else { 1 };
    for _ in 0..3 * layers {
        bits.ue()?;
    }
    for _ in 0..6 {
        bits.ue()?; // block sizes and transform depths
    }
    if bits.flag()? && bits.flag()? {
        skip_scaling_lists(bits)?;
    }
    bits.skip(2)?; // amp_enabled_flag, sample_adaptive_offset_enabled_flag
    if bits.flag()? {
        bits.skip(8)?; // PCM bit depths
        bits.ue()?;
        bits.ue()?;
        bits.skip(1)?;
    }
    skip_reference_picture_sets(bits)?;
    if bits.flag()? {
        let count = bits.ue()?;
        if count > 32 {
            return None;
        }
        bits.skip(count as usize * (poc_lsb_bits as usize + 1))?;
    }
    bits.skip(2)?; // sps_temporal_mvp_enabled_flag, strong_intra_smoothing_enabled_flag
    if !bits.flag()? {
        return None;
    }
    // §E.2.1
    let aspect = vui_start(bits)?;
    let timing = |bits: &mut BitReader<'_>| {
        bits.skip(3)?; // neutral_chroma_indication_flag, field_seq_flag, frame_field_info_present_flag
        if bits.flag()? {
            for _ in 0..4 {
                bits.ue()?; // default display window
            }
        }
        if !bits.flag()? {
            return None;
        }
        let units_in_tick = bits.bits(32)?;
        let time_scale = bits.bits(32)?;
        frame_rate(time_scale, units_in_tick)
    };
    Some((aspect, timing(bits)))
}

/// ITU-T H.265 §7.3.4
fn skip_scaling_lists(bits: &mut BitReader<'_>) -> Option<()> {
    for size in 0..4_u32 {
        for _ in 0..if size == 3 { 2 } else { 6 } {
            if !bits.flag()? {
                bits.ue()?; // scaling_list_pred_matrix_id_delta
                continue;
            }
            let coefficients = 64.min(1 << (4 + 2 * size));
            for _ in 0..coefficients + u32::from(size > 1) {
                bits.skip_se()?;
            }
        }
    }
    Some(())
}

/// ITU-T H.265 §7.3.7 for every set of the SPS.
fn skip_reference_picture_sets(bits: &mut BitReader<'_>) -> Option<()> {
    let count = bits.ue()?;
    if count > 64 {
        return None;
    }
    let mut deltas = 0;
    for index in 0..count {
        if index > 0 && bits.flag()? {
            bits.skip(1)?; // delta_rps_sign
            bits.ue()?; // abs_delta_rps_minus1
            let mut kept = 0;
            for _ in 0..=deltas {
                let is_used = bits.flag()?;
                if is_used || bits.flag()? {
                    kept += 1;
                }
            }
            deltas = kept;
        } else {
            let (negative, positive) = (bits.ue()?, bits.ue()?);
            if negative > 16 || positive > 16 {
                return None;
            }
            deltas = negative + positive;
            for _ in 0..deltas {
                bits.ue()?;
                bits.skip(1)?;
            }
        }
    }
    Some(())
}
