//! Sample entries (`avc1`, `hvc1`, `mp4a`) and the boxes around them that every `trak` needs.

use bytes::Bytes;

use super::boxes::{BoxError, BoxWriter, Boxes, Cursor, find};
use crate::codec::CodecError;
use crate::{AudioConfig, TrackKind, VideoCodec, VideoConfig};

/// Ticks per second of `mvhd`, `tkhd` and edit lists: the video's, so that picture times are exact.
pub(super) const MOVIE_TIMESCALE: u32 = 90_000;
/// ISO 639-2 `und`, packed (ISO/IEC 14496-12 §8.4.2.3).
const LANGUAGE_UNDETERMINED: u16 = 0x55c4;
/// Seconds from 1904-01-01, where `creation_time` counts from, to 1970-01-01.
const SECONDS_1904_TO_1970: i64 = 2_082_844_800;
const UNITY_MATRIX: [u32; 9] = [0x1_0000, 0, 0, 0, 0x1_0000, 0, 0, 0, 0x4000_0000];

/// The configuration of one run of samples.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Entry<'a> {
    Video(&'a VideoConfig),
    Audio(&'a AudioConfig),
}

/// ISO/IEC 14496-12 §12.1.3, 14496-15 §5.4.2.1 and §8.4.1.1
fn visual(w: &mut BoxWriter, config: &VideoConfig) {
    let (entry, record) = match config.codec {
        VideoCodec::H264 => (b"avc1", b"avcC"),
        VideoCodec::Hevc => (b"hvc1", b"hvcC"),
    };
    w.boxed(entry, |w| {
        w.zeros(6);
        w.u16(1); // data_reference_index
        w.zeros(16);
        w.u16(config.width);
        w.u16(config.height);
        w.u32(0x0048_0000); // 72 dpi
        w.u32(0x0048_0000);
        w.u32(0);
        w.u16(1); // frames per sample
        w.zeros(32); // compressorname
        w.u16(0x18); // depth
        w.u16(0xffff);
        w.boxed(record, |w| w.bytes(&config.record));
        if let Some((horizontal, vertical)) = config.pixel_aspect_ratio {
            w.boxed(b"pasp", |w| {
                w.u32(u32::from(horizontal));
                w.u32(u32::from(vertical));
            });
        }
    });
}

/// ISO/IEC 14496-12 §12.2.3, 14496-14 §5.6.1
fn audible(w: &mut BoxWriter, config: &AudioConfig) {
    w.boxed(b"mp4a", |w| {
        w.zeros(6);
        w.u16(1); // data_reference_index
        w.zeros(8);
        w.u16(u16::from(config.channels));
        w.u16(16); // bits a sample
        w.u32(0);
        // 16.16; a rate that does not fit is told by the AudioSpecificConfig alone.
        w.u32(u32::from(u16::try_from(config.sample_rate).unwrap_or(0)) << 16);
        w.full(b"esds", 0, 0, |w| {
            // ISO/IEC 14496-1 §7.2.6.5: ES_Descriptor(DecoderConfigDescriptor(DecoderSpecificInfo), SLConfig).
            let record = config.record.len();
            descriptor(w, 3, 3 + 5 + 13 + 5 + record + 5 + 1);
            w.u16(0); // ES_ID is 0 in files (14496-14 §4.1.2)
            w.u8(0);
            descriptor(w, 4, 13 + 5 + record);
            w.u8(0x40); // MPEG-4 audio
            w.u8(0x15); // audio stream
            w.zeros(3 + 4 + 4); // buffer size and bit rates are not known
            descriptor(w, 5, record);
            w.bytes(&config.record);
            descriptor(w, 6, 1);
            w.u8(2); // as in MP4 files
        });
    });
}

/// Tag and length of a descriptor, the length in the four-byte form that every writer uses.
fn descriptor(w: &mut BoxWriter, tag: u8, length: usize) {
    w.u8(tag);
    for shift in [21, 14, 7] {
        w.u8(0x80 | (length >> shift) as u8 & 0x7f);
    }
    w.u8(length as u8 & 0x7f);
}

/// `stsd`
pub(super) fn sample_description(w: &mut BoxWriter, entries: &[Entry<'_>]) {
    w.full(b"stsd", 0, 0, |w| {
        w.u32(entries.len() as u32);
        for entry in entries {
            match entry {
                Entry::Video(config) => visual(w, config),
                Entry::Audio(config) => audible(w, config),
            }
        }
    });
}

/// `mvhd`
pub(super) fn movie_header(w: &mut BoxWriter, duration: u64, created_us: Option<i64>) {
    let created = creation_time(created_us);
    let wide = u32::try_from(duration).is_err();
    w.full(b"mvhd", u8::from(wide), 0, |w| {
        times(w, wide, created, None, MOVIE_TIMESCALE, duration);
        w.u32(0x1_0000); // rate
        w.u16(0x100); // volume
        w.zeros(10);
        for value in UNITY_MATRIX {
            w.u32(value);
        }
        w.zeros(24);
        w.u32(super::AUDIO_TRACK_ID + 1); // next_track_ID
    });
}

/// `tkhd`
pub(super) fn track_header(w: &mut BoxWriter, entry: Entry<'_>, duration: u64, created_us: Option<i64>) {
    let wide = u32::try_from(duration).is_err();
    let is_audio = matches!(entry, Entry::Audio(_));
    w.full(b"tkhd", u8::from(wide), 3, |w| {
        times(w, wide, creation_time(created_us), Some(track_id(entry)), 0, duration);
        w.zeros(8);
        w.u16(0); // layer
        w.u16(u16::from(is_audio)); // alternate_group
        w.u16(if is_audio { 0x100 } else { 0 }); // volume
        w.u16(0);
        for value in UNITY_MATRIX {
            w.u32(value);
        }
        let (width, height) = match entry {
            Entry::Video(config) => {
                let (horizontal, vertical) = config.pixel_aspect_ratio.unwrap_or((1, 1));
                let width =
                    u64::from(config.width) * 0x1_0000 * u64::from(horizontal) / u64::from(vertical.max(1));
                (u32::try_from(width).unwrap_or(u32::MAX), u32::from(config.height) << 16)
            }
            Entry::Audio(_) => (0, 0),
        };
        w.u32(width);
        w.u32(height);
    });
}

/// `mdhd`
pub(super) fn media_header(w: &mut BoxWriter, timescale: u32, duration: u64, created_us: Option<i64>) {
    let wide = u32::try_from(duration).is_err();
    w.full(b"mdhd", u8::from(wide), 0, |w| {
        times(w, wide, creation_time(created_us), None, timescale, duration);
        w.u16(LANGUAGE_UNDETERMINED);
        w.u16(0);
    });
}

/// `hdlr`, and the `vmhd` or `smhd` and `dinf` of a `minf`.
pub(super) fn handler(w: &mut BoxWriter, entry: Entry<'_>) {
    let (kind, name): (&[u8], &[u8]) = match entry {
        Entry::Video(_) => (b"vide", b"video\0"),
        Entry::Audio(_) => (b"soun", b"audio\0"),
    };
    w.full(b"hdlr", 0, 0, |w| {
        w.u32(0);
        w.bytes(kind);
        w.zeros(12);
        w.bytes(name);
    });
}

/// The boxes of a `minf` in front of its `stbl`.
pub(super) fn media_information(w: &mut BoxWriter, entry: Entry<'_>) {
    match entry {
        Entry::Video(_) => w.full(b"vmhd", 0, 1, |w| w.zeros(8)),
        Entry::Audio(_) => w.full(b"smhd", 0, 0, |w| w.zeros(4)),
    }
    w.boxed(b"dinf", |w| {
        w.full(b"dref", 0, 0, |w| {
            w.u32(1);
            w.full(b"url ", 0, 1, |_| {}); // in this file
        });
    });
}

pub(super) fn track_id(entry: Entry<'_>) -> u32 {
    match entry {
        Entry::Video(_) => super::VIDEO_TRACK_ID,
        Entry::Audio(_) => super::AUDIO_TRACK_ID,
    }
}

/// Creation and modification times, then what stands between them and the duration, and the duration.
fn times(w: &mut BoxWriter, wide: bool, created: u64, track_id: Option<u32>, timescale: u32, duration: u64) {
    let word = |w: &mut BoxWriter, value: u64| {
        if wide { w.u64(value) } else { w.u32(u32::try_from(value).unwrap_or(0)) }
    };
    word(w, created);
    word(w, created);
    match track_id {
        Some(id) => {
            w.u32(id);
            w.u32(0);
        }
        None => w.u32(timescale),
    }
    word(w, duration);
}

fn creation_time(created_us: Option<i64>) -> u64 {
    created_us.map_or(0, |us| u64::try_from(us.div_euclid(1_000_000) + SECONDS_1904_TO_1970).unwrap_or(0))
}

/// What a sample entry that was read says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum OwnedEntry {
    Video(VideoConfig),
    Audio(AudioConfig),
}

impl OwnedEntry {
    pub(super) fn into_video(self) -> Option<VideoConfig> {
        if let Self::Video(config) = self { Some(config) } else { None }
    }

    pub(super) fn into_audio(self) -> Option<AudioConfig> {
        if let Self::Audio(config) = self { Some(config) } else { None }
    }
}

/// Why a sample entry cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum EntryError {
    #[error(transparent)]
    Box(#[from] BoxError),
    #[error(transparent)]
    Codec(#[from] CodecError),
}

/// Reads one entry of an `stsd`.
pub(super) fn read_entry(kind: [u8; 4], body: &[u8], track: TrackKind) -> Result<OwnedEntry, EntryError> {
    /// Fixed fields of a visual sample entry.
    const VISUAL_BYTES: usize = 78;
    let unsupported = || {
        let what = format!("codec {}", String::from_utf8_lossy(&kind).escape_debug());
        EntryError::Codec(CodecError::Unsupported { what })
    };
    match track {
        TrackKind::Video => {
            let boxes = body.get(VISUAL_BYTES..).ok_or(BoxError::Damaged("stsd"))?;
            let (codec, record, name) = match &kind {
                b"avc1" | b"avc3" => (VideoCodec::H264, b"avcC", "avcC"),
                b"hvc1" | b"hev1" => (VideoCodec::Hevc, b"hvcC", "hvcC"),
                _ => return Err(unsupported()),
            };
            let record = find(boxes, record).ok_or(BoxError::Missing(name))?;
            let mut config = VideoConfig::from_record(codec, Bytes::copy_from_slice(record))?;
            if let Some(pasp) = find(boxes, b"pasp") {
                let mut cursor = Cursor::new(pasp);
                let pair = cursor.u32().zip(cursor.u32()).and_then(|(h, v)| {
                    Some((u16::try_from(h).ok()?, u16::try_from(v).ok()?)).filter(|(h, v)| *h > 0 && *v > 0)
                });
                config.pixel_aspect_ratio = pair.filter(|(h, v)| h != v);
            }
            Ok(OwnedEntry::Video(config))
        }
        TrackKind::Audio => {
            if kind != *b"mp4a" {
                return Err(unsupported());
            }
            // QuickTime's version 1 has 16 more bytes, version 2 has 36.
            let version =
                Cursor::new(body.get(8..).unwrap_or_default()).u16().ok_or(BoxError::Damaged("stsd"))?;
            let fixed = 28 + [0, 16, 36].get(usize::from(version)).copied().unwrap_or(0);
            let boxes = body.get(fixed..).ok_or(BoxError::Damaged("stsd"))?;
            let esds = find(boxes, b"esds")
                .or_else(|| find(boxes, b"wave").and_then(|wave| find(wave, b"esds")))
                .ok_or(BoxError::Missing("esds"))?;
            let (object_type, record) = decoder_specific_info(esds).ok_or(BoxError::Damaged("esds"))?;
            // 0x40 is MPEG-4 audio, 0x67 MPEG-2 AAC-LC (ISO/IEC 14496-1 table 5).
            if object_type != 0x40 && object_type != 0x67 {
                return Err(EntryError::Codec(CodecError::Unsupported {
                    what: format!("audio of MPEG object type {object_type:#04x}"),
                }));
            }
            Ok(OwnedEntry::Audio(AudioConfig::from_asc(Bytes::copy_from_slice(record))?))
        }
    }
}

/// Object type indication and `DecoderSpecificInfo` of an `esds`.
fn decoder_specific_info(esds: &[u8]) -> Option<(u8, &[u8])> {
    let mut cursor = Cursor::new(esds.get(4..)?);
    let (tag, body) = read_descriptor(&mut cursor)?;
    if tag != 3 {
        return None;
    }
    let mut cursor = Cursor::new(body);
    cursor.u16()?;
    let flags = cursor.u8()?;
    if flags & 0x80 != 0 {
        cursor.u16()?; // dependsOn_ES_ID
    }
    if flags & 0x40 != 0 {
        let length = cursor.u8()?;
        cursor.take(usize::from(length))?; // URL
    }
    if flags & 0x20 != 0 {
        cursor.u16()?; // OCR_ES_Id
    }
    let (tag, body) = read_descriptor(&mut cursor)?;
    if tag != 4 {
        return None;
    }
    let mut cursor = Cursor::new(body);
    let object_type = cursor.u8()?;
    cursor.take(12)?;
    while let Some((tag, body)) = read_descriptor(&mut cursor) {
        if tag == 5 {
            return Some((object_type, body));
        }
    }
    None
}

fn read_descriptor<'a>(cursor: &mut Cursor<'a>) -> Option<(u8, &'a [u8])> {
    let tag = cursor.u8()?;
    let mut length = 0_usize;
    for _ in 0..4 {
        let byte = cursor.u8()?;
        length = length << 7 | usize::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            break;
        }
    }
    // Some writers announce more than the box holds; what is there is taken.
    let length = length.min(cursor.rest.len());
    Some((tag, cursor.take(length)?))
}

/// The entries of an `stsd` body.
pub(super) fn read_entries(stsd: &[u8], track: TrackKind) -> Result<Vec<OwnedEntry>, EntryError> {
    /// A file of ours has one for each configuration in it.
    const MAX_ENTRIES: usize = 4096;
    let boxes = Boxes(stsd.get(8..).ok_or(BoxError::Damaged("stsd"))?);
    let entries = boxes
        .take(MAX_ENTRIES)
        .map(|(kind, body)| read_entry(kind, body, track))
        .collect::<Result<Vec<_>, _>>()?;
    if entries.is_empty() { Err(BoxError::Damaged("stsd").into()) } else { Ok(entries) }
}
