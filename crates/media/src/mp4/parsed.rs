//! A `moov` of anybody's, read into sample tables. Everything that is believed has been checked against the bytes there.

use super::boxes::{BoxError, Boxes, Cursor, find};
use super::entry::{EntryError, OwnedEntry, read_entries};
use super::tables::{Chunk, DurationRun, TrackTable, index, push_duration};
use crate::TrackKind;

/// The most samples of a track that are read: 19 hours at 60 frames a second.
pub const MAX_SAMPLES: u32 = 1 << 22;
/// The most tracks that are looked at.
const MAX_TRACKS: usize = 64;
/// The most lines of an edit list that are read.
const MAX_EDITS: usize = 4096;

/// A `trak`, its sample entries still unread.
pub(super) struct ParsedTrack<'a> {
    pub(super) id: u32,
    pub(super) kind: TrackKind,
    pub(super) timescale: u32,
    /// Duration in ticks of the movie, media time in ticks of the track.
    pub(super) edits: Vec<(u64, i64)>,
    stsd: &'a [u8],
    stbl: &'a [u8],
}

/// The video and audio tracks of a `moov` body.
pub(super) fn tracks(moov: &[u8]) -> Result<Vec<ParsedTrack<'_>>, BoxError> {
    let traks = Boxes(moov).filter(|(kind, _)| kind == b"trak").take(MAX_TRACKS);
    let parsed = traks.filter_map(|(_, trak)| track(trak).transpose());
    parsed.collect()
}

/// Ticks per second of the movie.
pub(super) fn movie_timescale(moov: &[u8]) -> Result<u32, BoxError> {
    let mvhd = find(moov, b"mvhd").ok_or(BoxError::Missing("mvhd"))?;
    timescale(mvhd).ok_or(BoxError::Damaged("mvhd"))
}

/// The timescale in an `mvhd` or `mdhd`.
fn timescale(body: &[u8]) -> Option<u32> {
    let mut cursor = Cursor::new(body);
    let (version, _) = cursor.version()?;
    cursor.take(if version == 1 { 16 } else { 8 })?;
    cursor.u32().filter(|timescale| *timescale > 0)
}

fn track(trak: &[u8]) -> Result<Option<ParsedTrack<'_>>, BoxError> {
    let mdia = find(trak, b"mdia").ok_or(BoxError::Missing("mdia"))?;
    let hdlr = find(mdia, b"hdlr").ok_or(BoxError::Missing("hdlr"))?;
    let kind = match hdlr.get(8..12) {
        Some(b"vide") => TrackKind::Video,
        Some(b"soun") => TrackKind::Audio,
        _ => return Ok(None),
    };
    let tkhd = find(trak, b"tkhd").ok_or(BoxError::Missing("tkhd"))?;
    let id = (|| {
        let mut cursor = Cursor::new(tkhd);
        let (version, _) = cursor.version()?;
        cursor.take(if version == 1 { 16 } else { 8 })?;
        cursor.u32()
    })();
    let mdhd = find(mdia, b"mdhd").ok_or(BoxError::Missing("mdhd"))?;
    let minf = find(mdia, b"minf").ok_or(BoxError::Missing("minf"))?;
    let stbl = find(minf, b"stbl").ok_or(BoxError::Missing("stbl"))?;
    let edits = match find(trak, b"edts").and_then(|edts| find(edts, b"elst")) {
        Some(elst) => edits(elst).ok_or(BoxError::Damaged("elst"))?,
        None => Vec::new(),
    };
    Ok(Some(ParsedTrack {
        id: id.ok_or(BoxError::Damaged("tkhd"))?,
        kind,
        timescale: timescale(mdhd).ok_or(BoxError::Damaged("mdhd"))?,
        edits,
        stsd: find(stbl, b"stsd").ok_or(BoxError::Missing("stsd"))?,
        stbl,
    }))
}

fn edits(elst: &[u8]) -> Option<Vec<(u64, i64)>> {
    let mut cursor = Cursor::new(elst);
    let (version, _) = cursor.version()?;
    let count = cursor.u32()? as usize;
    let mut edits = Vec::new();
    for _ in 0..count.min(MAX_EDITS) {
        edits.push(if version == 1 {
            (cursor.u64()?, cursor.i64()?)
        } else {
            (u64::from(cursor.u32()?), i64::from(cursor.i32()?))
        });
        cursor.u32()?; // media_rate
    }
    Some(edits)
}

impl ParsedTrack<'_> {
    pub(super) fn entries(&self) -> Result<Vec<OwnedEntry>, EntryError> {
        read_entries(self.stsd, self.kind)
    }

    /// The sample tables, counted from decode time 0.
    pub(super) fn table(&self) -> Result<TrackTable, BoxError> {
        let sizes = sizes(self.required(b"stsz", "stsz")?)?;
        let count = index(sizes.len());
        let durations = durations(self.required(b"stts", "stts")?, count).ok_or(BoxError::Damaged("stts"))?;
        let offsets = match find(self.stbl, b"ctts") {
            Some(ctts) => offsets(ctts, count).ok_or(BoxError::Damaged("ctts"))?,
            None => Vec::new(),
        };
        let sync = match find(self.stbl, b"stss") {
            Some(stss) => Some(sync(stss, count).ok_or(BoxError::Damaged("stss"))?),
            None => None,
        };
        let chunks = self.chunks(&sizes)?;
        let end = durations.iter().map(|run| i64::from(run.count) * i64::from(run.duration)).sum();
        let is_all_sync = sync.as_ref().is_none_or(|sync| sync.len() == sizes.len());
        Ok(TrackTable {
            base: 0,
            end,
            durations,
            offsets,
            sync: if is_all_sync { Vec::new() } else { sync.unwrap_or_default() },
            is_all_sync,
            chunks,
            sizes,
        })
    }

    fn required(&self, kind: &[u8; 4], name: &'static str) -> Result<&[u8], BoxError> {
        find(self.stbl, kind).ok_or(BoxError::Missing(name))
    }

    /// `stsc` and `stco` or `co64`.
    fn chunks(&self, sizes: &[u32]) -> Result<Vec<Chunk>, BoxError> {
        let (table, is_wide) = match find(self.stbl, b"stco") {
            Some(stco) => (stco, false),
            None => (self.required(b"co64", "stco")?, true),
        };
        let mut cursor = Cursor::new(table);
        let header = cursor.version().zip(cursor.u32());
        let (_, chunk_count) = header.ok_or(BoxError::Damaged("stco"))?;
        let width = if is_wide { 8 } else { 4 };
        let table = (chunk_count as usize).checked_mul(width).and_then(|length| cursor.take(length));
        let table = table.ok_or(BoxError::Damaged("stco"))?;

        let mut cursor = Cursor::new(self.required(b"stsc", "stsc")?);
        let header = cursor.version().zip(cursor.u32());
        let (_, run_count) = header.ok_or(BoxError::Damaged("stsc"))?;
        let runs = (run_count as usize).checked_mul(12).and_then(|length| cursor.take(length));
        let runs = runs.ok_or(BoxError::Damaged("stsc"))?.as_chunks::<12>().0;
        let field =
            |run: &[u8; 12], at: usize| u32::from_be_bytes([run[at], run[at + 1], run[at + 2], run[at + 3]]);

        let mut chunks = Vec::with_capacity((chunk_count as usize).min(sizes.len()));
        let mut sample = 0_u32;
        let total = index(sizes.len());
        for (position, run) in runs.iter().enumerate() {
            let first = field(run, 0);
            let after = runs.get(position + 1).map_or(chunk_count.saturating_add(1), |next| field(next, 0));
            let per_chunk = field(run, 4);
            if first == 0 || after < first || after > chunk_count.saturating_add(1) {
                return Err(BoxError::Damaged("stsc"));
            }
            if per_chunk == 0 {
                continue;
            }
            for chunk in first - 1..after - 1 {
                if sample >= total {
                    break;
                }
                let at = chunk as usize * width;
                let mut cursor = Cursor::new(&table[at..at + width]);
                let offset = if is_wide { cursor.u64() } else { cursor.u32().map(u64::from) };
                chunks.push(Chunk { offset: offset.ok_or(BoxError::Damaged("stco"))?, first: sample });
                sample = sample.saturating_add(per_chunk);
            }
        }
        if sample < total {
            return Err(BoxError::Damaged("stsc"));
        }
        // Sums of offsets and sizes are made all over: none may overflow.
        let limit = u64::MAX >> 2;
        if chunks.iter().any(|chunk| chunk.offset > limit) {
            Err(BoxError::Damaged("stco"))
        } else {
            Ok(chunks)
        }
    }
}

fn sizes(stsz: &[u8]) -> Result<Vec<u32>, BoxError> {
    let damaged = BoxError::Damaged("stsz");
    let mut cursor = Cursor::new(stsz);
    let header = cursor.version().zip(cursor.u32()).zip(cursor.u32());
    let ((_, size), count) = header.ok_or(damaged.clone())?;
    if count > MAX_SAMPLES {
        return Err(BoxError::TooMany("stsz"));
    }
    if size != 0 {
        return Ok(vec![size; count as usize]);
    }
    let table = cursor.take(4 * count as usize).ok_or(damaged)?;
    Ok(table.as_chunks::<4>().0.iter().map(|size| u32::from_be_bytes(*size)).collect())
}

fn durations(stts: &[u8], count: u32) -> Option<Vec<DurationRun>> {
    let mut cursor = Cursor::new(stts);
    cursor.version()?;
    let entries = cursor.u32()? as usize;
    let table = cursor.take(entries.checked_mul(8)?)?;
    let mut runs = Vec::with_capacity(entries);
    let mut left = count;
    let mut cursor = Cursor::new(table);
    for _ in 0..entries {
        let run = DurationRun { count: cursor.u32()?.min(left), duration: cursor.u32()? };
        left -= run.count;
        push_duration(&mut runs, run.count, run.duration);
    }
    (left == 0).then_some(runs)
}

/// Version 0 is unsigned on paper and signed in QuickTime's files: both are read as signed.
fn offsets(ctts: &[u8], count: u32) -> Option<Vec<i32>> {
    let mut cursor = Cursor::new(ctts);
    cursor.version()?;
    let entries = cursor.u32()? as usize;
    let table = cursor.take(entries.checked_mul(8)?)?;
    let mut offsets = Vec::with_capacity(count as usize);
    let mut cursor = Cursor::new(table);
    let mut is_zero = true;
    for _ in 0..entries {
        let run = (cursor.u32()? as usize).min(count as usize - offsets.len());
        let offset = cursor.i32()?;
        is_zero &= offset == 0 || run == 0;
        offsets.resize(offsets.len() + run, offset);
    }
    if is_zero {
        return Some(Vec::new());
    }
    offsets.resize(count as usize, 0);
    Some(offsets)
}

fn sync(stss: &[u8], count: u32) -> Option<Vec<u32>> {
    let mut cursor = Cursor::new(stss);
    cursor.version()?;
    let entries = cursor.u32()? as usize;
    let table = cursor.take(entries.checked_mul(4)?)?;
    let numbers = table.as_chunks::<4>().0.iter().map(|number| u32::from_be_bytes(*number));
    let indexes: Vec<u32> =
        numbers.filter_map(|number| number.checked_sub(1)).filter(|at| *at < count).collect();
    indexes.is_sorted_by(|a, b| a < b).then_some(indexes)
}
