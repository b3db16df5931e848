//! Segment files of our own, read back: a sealed one by its `moov`, a torn one by its fragments.
//!
//! Not here: files of others ([`super::demux`]), and any reading from disk: the caller brings the bytes.

use std::sync::Arc;

use bytes::Bytes;

use super::boxes::{BoxError, BoxHead, Boxes, Cursor, find};
use super::entry::{EntryError, OwnedEntry, read_entries};
use super::init::{FREE_BYTES, FREE_OFFSET};
use super::parsed;
use super::seal::{LABEL_BOX, Label, RECOVERY_BOX, SEGMENT_UUID, SampleTable};
use super::tables::TrackTable;
use super::{AUDIO_TRACK_ID, VIDEO_TRACK_ID};
use crate::codec::CodecError;
use crate::{FragmentIndexEntry, SegmentIndex, SessionConfig, TICKS_PER_SECOND_VIDEO, TrackKind};

pub use super::scan::{MAX_FRAGMENT_BYTES, MAX_HEADER_BYTES, Scan, ScanError, TailScanner, Want};

/// How many bytes of a file [`sealed_moov_offset`] needs.
pub const SEALED_HEAD_BYTES: usize = FREE_OFFSET as usize + FREE_BYTES;

/// Why a sealed segment cannot be read.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ReadError {
    /// A box is missing or damaged.
    #[error(transparent)]
    Box(#[from] BoxError),
    /// A codec configuration is damaged.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// It is an MP4, but none of ours.
    #[error("the moov box is not that of a sealed segment")]
    NotASegment,
    /// Its tables contradict each other.
    #[error("the tables of the segment contradict each other: {0}")]
    Inconsistent(&'static str),
}

impl From<EntryError> for ReadError {
    fn from(error: EntryError) -> Self {
        match error {
            EntryError::Box(error) => Self::Box(error),
            EntryError::Codec(error) => Self::Codec(error),
        }
    }
}

/// Where the final `moov` of a sealed segment starts, read from its first [`SEALED_HEAD_BYTES`]; `None` while it is not
/// sealed.
#[must_use]
pub fn sealed_moov_offset(head: &[u8]) -> Option<u64> {
    let ftyp = BoxHead::read(head).filter(|ftyp| &ftyp.kind == b"ftyp" && ftyp.size == Some(FREE_OFFSET))?;
    let mdat = BoxHead::read(head.get(ftyp.size? as usize..)?)?;
    (&mdat.kind == b"mdat").then_some(mdat.size?.checked_add(FREE_OFFSET)).flatten()
}

/// Reads the final `moov` box of a sealed segment, from its first byte on, back into the table it was made from.
///
/// Fragment boundaries follow from it as well: every fragment has one chunk of each of its tracks, the sound directly in
/// front of the picture, and between two fragments there is always a `moof`.
///
/// # Errors
///
/// If it is not such a box, or damaged.
pub fn read_moov(bytes: &Bytes) -> Result<SampleTable, ReadError> {
    let moov = find(bytes, b"moov").ok_or(BoxError::Missing("moov"))?;
    let facts = Boxes(moov)
        .filter(|(kind, _)| kind == b"uuid")
        .find_map(|(_, body)| body.strip_prefix(&SEGMENT_UUID))
        .ok_or(ReadError::NotASegment)?;
    let facts = SegmentFacts::read(facts).ok_or(BoxError::Damaged("uuid"))?;

    let mut config = SessionConfig::default();
    let (mut video, mut audio) = (TrackTable::default(), TrackTable::default());
    for track in parsed::tracks(moov)? {
        let entry = track.entries()?.into_iter().next();
        let mut table = track.table()?;
        match (track.id, entry) {
            (VIDEO_TRACK_ID, Some(OwnedEntry::Video(entry))) if track.timescale == TICKS_PER_SECOND_VIDEO => {
                rebase(&mut table, facts.video_base, facts.shift)?;
                config.video = Some(entry);
                video = table;
            }
            (AUDIO_TRACK_ID, Some(OwnedEntry::Audio(entry))) if track.timescale == entry.sample_rate => {
                rebase(&mut table, facts.audio_base, 0)?;
                config.audio = Some(entry);
                audio = table;
            }
            _ => return Err(ReadError::Inconsistent("an unknown track")),
        }
    }
    for (_, stsd) in Boxes(facts.unused).filter(|(kind, _)| kind == b"stsd") {
        match (read_entries(stsd, TrackKind::Video), read_entries(stsd, TrackKind::Audio)) {
            (Ok(mut video), _) if config.video.is_none() => {
                config.video = video.pop().and_then(OwnedEntry::into_video);
            }
            (_, Ok(mut audio)) if config.audio.is_none() => {
                config.audio = audio.pop().and_then(OwnedEntry::into_audio);
            }
            _ => return Err(ReadError::Inconsistent("an unknown configuration")),
        }
    }
    let label = match find(facts.unused, &LABEL_BOX) {
        Some(body) => Some(Label::read(body).ok_or(BoxError::Damaged("labl"))?),
        None => None,
    };
    let mut table = SampleTable {
        config: Arc::new(config),
        index: SegmentIndex {
            first_fragment_offset: facts.first_fragment_offset,
            recovery_90k: match find(facts.unused, &RECOVERY_BOX) {
                Some(body) => Cursor::new(body).u32().ok_or(BoxError::Damaged("rcvy"))?,
                None => 0,
            },
            fragments: Vec::new(),
        },
        end_offset: facts.end_offset,
        start_us: facts.start_us,
        label,
        video,
        audio,
    };
    table.index.fragments = fragments(&table)?;
    Ok(table)
}

/// What [`SampleTable::moov`] adds to a plain MP4.
struct SegmentFacts<'a> {
    first_fragment_offset: u32,
    start_us: Option<i64>,
    video_base: i64,
    audio_base: i64,
    shift: i32,
    end_offset: u64,
    /// `stsd` boxes of tracks without samples, and the label.
    unused: &'a [u8],
}

impl<'a> SegmentFacts<'a> {
    fn read(body: &'a [u8]) -> Option<Self> {
        let mut cursor = Cursor::new(body);
        Some(Self {
            first_fragment_offset: cursor.u32()?,
            start_us: cursor.i64().map(|start| (start != i64::MIN).then_some(start))?,
            video_base: cursor.i64()?,
            audio_base: cursor.i64()?,
            shift: cursor.i32()?,
            end_offset: cursor.u64()?,
            unused: cursor.rest,
        })
    }
}

/// Moves a table that was read from 0 on back to where it stands in its session.
fn rebase(table: &mut TrackTable, base: i64, shift: i32) -> Result<(), ReadError> {
    let overflow = ReadError::Inconsistent("a decode time out of range");
    table.end = table.end.checked_add(base).ok_or(overflow.clone())?;
    // Twice as far must not overflow either, whatever is computed with it.
    if base.checked_mul(4).is_none() || table.end.checked_mul(4).is_none() {
        return Err(overflow);
    }
    table.base = base;
    if shift != 0 {
        if table.offsets.is_empty() {
            table.offsets = vec![0; table.len()];
        }
        for offset in &mut table.offsets {
            *offset = offset.wrapping_sub(shift);
        }
        if table.offsets.iter().all(|offset| *offset == 0) {
            table.offsets = Vec::new();
        }
    }
    Ok(())
}

/// A chunk with what the index needs to know of it.
struct ChunkFacts {
    start: u64,
    end: u64,
    duration_90k: u32,
    is_sync: bool,
    track: TrackKind,
}

/// The fragments, from the chunks of both tracks.
fn fragments(table: &SampleTable) -> Result<Vec<FragmentIndexEntry>, ReadError> {
    let lead = table.config.lead();
    let mut chunks = chunk_facts(&table.video, TrackKind::Video, TICKS_PER_SECOND_VIDEO);
    chunks.extend(chunk_facts(&table.audio, TrackKind::Audio, table.config.timescale(TrackKind::Audio)));
    chunks.sort_unstable_by_key(|chunk| chunk.start);
    let mut fragments: Vec<FragmentIndexEntry> = Vec::with_capacity(table.video.chunks.len());
    let mut end = u64::from(table.index.first_fragment_offset);
    let mut previous = None;
    for chunk in chunks {
        if chunk.start < end {
            return Err(ReadError::Inconsistent("chunks overlap"));
        }
        let size =
            u32::try_from(chunk.end - end).map_err(|_| ReadError::Inconsistent("a fragment is too long"))?;
        let is_lead = chunk.track == lead;
        let continues =
            chunk.start == end && previous == Some(TrackKind::Audio) && chunk.track == TrackKind::Video;
        let is_key = is_lead && chunk.is_sync;
        let duration_90k = if is_lead { chunk.duration_90k } else { 0 };
        match fragments.last_mut() {
            Some(fragment) if continues => {
                fragment.size_bytes = fragment.size_bytes.saturating_add(size);
                fragment.duration_90k += duration_90k;
                fragment.is_key |= is_key;
            }
            _ => fragments.push(FragmentIndexEntry { size_bytes: size, duration_90k, is_key }),
        }
        end = chunk.end;
        // Picture behind picture is always a new fragment.
        previous = Some(chunk.track);
    }
    if end == table.end_offset { Ok(fragments) } else { Err(ReadError::Inconsistent("it ends elsewhere")) }
}

fn chunk_facts(table: &TrackTable, track: TrackKind, timescale: u32) -> Vec<ChunkFacts> {
    let to_90k =
        |time: i64| i128::from(time) * i128::from(TICKS_PER_SECOND_VIDEO) / i128::from(timescale.max(1));
    let mut runs = table.durations.iter().copied();
    let mut run = runs.next();
    let mut time = table.base;
    let facts = (0..table.chunks.len()).map(|chunk| {
        let samples = table.chunk_samples(chunk);
        let start = time;
        let mut left = u32::try_from(samples.len()).unwrap_or(u32::MAX);
        while let Some(current) = run.as_mut().filter(|_| left > 0) {
            let taken = left.min(current.count);
            time += i64::from(taken) * i64::from(current.duration);
            current.count -= taken;
            left -= taken;
            if current.count == 0 {
                run = runs.next();
            }
        }
        let bytes = table.bytes(chunk, samples.clone());
        ChunkFacts {
            start: bytes.start,
            end: bytes.end,
            duration_90k: u32::try_from(to_90k(time) - to_90k(start)).unwrap_or(u32::MAX),
            is_sync: table.sync_at_or_before(samples.start) == Some(samples.start),
            track,
        }
    });
    facts.collect()
}
