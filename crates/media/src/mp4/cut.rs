//! A range of recorded time as one plain MP4: a header that is computed, and byte ranges that already lie on disk.
//!
//! - The first shown picture is the one on screen at the start of the range. What has to be decoded before it, from its
//!   keyframe on, is hidden by the edit list; no byte from before that keyframe is in the file.
//! - No picture or sound that begins at or after the end is presented. Pictures from behind it are only there where a
//!   shown one refers to them. No byte behind the last needed one is in the file.
//! - Gaps are closed up. Sound is put back beside its picture at every join: whole frames are left out, or filled in with
//!   silence, so that also a player that counts samples stays within half a frame; the rest is told by sample times.
//! - Segments of one session join without a seam; where the configuration changes, its parameter sets go in band.
//!
//! The same sources and range give the same bytes, so that a hash of them is an `ETag`.

use std::ops::Range;

use bytes::Bytes;

use super::boxes::BoxWriter;
use super::entry::MOVIE_TIMESCALE;
use super::init::{entry_of, parameter_sets};
use super::movie::{Edit, Movie, Taken, TrackBuilder, rescale};
use super::seal::SampleTable;
use super::tables::{TrackTable, index};
use crate::index::{LATE_LEAD_IN_90K, MAX_LEAD_IN_90K};
use crate::{TICKS_PER_SECOND_VIDEO, TrackKind};

/// Frames of sound in front of the first heard one: each AAC frame overlaps with the one before it.
const AUDIO_PREROLL_FRAMES: usize = 1;
/// How many frames of silence stand in a row in the file, to be used again and again.
const SILENCE_BLOCK_FRAMES: u32 = 64;
/// How far the wall clocks of two segments of one session may disagree with their ticks.
const SESSION_TOLERANCE_US: i64 = 500_000;
/// Samples that one file has at most, sound included: a day of 120 pictures a second. A sample takes 4 to 24 bytes of the header,
/// which is made in memory.
const MAX_CUT_SAMPLES: usize = 16_000_000;
/// A plain MP4 with signed composition offsets (ISO/IEC 14496-12 annex E).
const FTYP: [u8; 28] = *b"\0\0\0\x1cftypisom\0\0\x02\0isomiso6mp41";

/// A segment that takes part in a cut.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// Its samples.
    pub table: &'a SampleTable,
    /// UTC microseconds of its first sample's decode time, on a timeline on which a session's first picture is decoded when
    /// it is shown: [`crate::Fragment::start_us`] of its first fragment.
    pub start_us: i64,
    /// UTC microseconds at which it ends.
    pub end_us: i64,
    /// Nothing of it is shown before its first keyframe at or after this instant: [`i64::MIN`], or what
    /// [`shown`](crate::overlap::shown) says.
    pub shown_us: i64,
}

/// Bytes of a source that belong into the file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CutRange {
    /// Index of the source.
    pub source: usize,
    /// Offset of the first byte in the segment file.
    pub start: u64,
    /// Offset after the last byte.
    pub end: u64,
}

/// A plain MP4: `header`, then every range, in this order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cut {
    /// `ftyp`, `moov`, and the head of the `mdat` (and silence, where sound is missing).
    pub header: Bytes,
    /// What follows; every range is longer than nothing.
    pub ranges: Vec<CutRange>,
    /// UTC microseconds of the first shown picture: at most one frame before what was asked for.
    pub start_us: i64,
    /// Length of what is presented; gaps are not in it.
    pub duration_us: i64,
    /// Length of the file in bytes.
    pub len: u64,
}

/// Why a range cannot be cut.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CutError {
    /// Nothing was recorded in it.
    #[error("nothing was recorded in the range")]
    Empty,
    /// The codec changes within it, and one track cannot hold both.
    #[error("the video codec changes within the range")]
    MixedCodecs,
    /// It has more samples than a sample table can count.
    #[error("the range is too long for one file")]
    TooLong,
}

/// Cuts `[from_us, to_us)` out of `sources`, which are in time order.
///
/// # Errors
///
/// If there is nothing in the range, or nothing that fits into one file.
pub fn cut(sources: &[Source<'_>], from_us: i64, to_us: i64) -> Result<Cut, CutError> {
    let mut pieces = select(sources, from_us, to_us);
    let (Some(first), Some(last)) = (pieces.first(), pieces.last()) else { return Err(CutError::Empty) };
    let total = last.start + last.length;
    let start_us = first.start_us;
    let mut codecs = pieces.iter().filter(|piece| !piece.video[0].is_empty());
    let mut codecs = codecs.by_ref().filter_map(|piece| Some(piece.table.config.video.as_ref()?.codec));
    if let Some(codec) = codecs.next()
        && codecs.any(|other| other != codec)
    {
        return Err(CutError::MixedCodecs);
    }
    find_parameter_sets(&mut pieces);
    let sound = Sound::plan(&mut pieces);
    let samples: usize = pieces.iter().map(|piece| piece.video_len() + piece.audio.len()).sum();
    if samples + sound.silent_frames() > MAX_CUT_SAMPLES {
        return Err(CutError::TooLong);
    }

    // Where the bytes go: silence, then the ranges, counted from the first byte of the payload.
    let silence = sound.silence(&pieces);
    let mut ranges = Vec::new();
    let mut payload = silence.len() as u64;
    let mut placed = Vec::with_capacity(pieces.len());
    for (position, piece) in pieces.iter().enumerate() {
        let own = piece.ranges(position + 1 == pieces.len());
        let mut places = Vec::with_capacity(own.len());
        for range in own {
            places.push(Place { range: range.clone(), payload });
            payload += range.end - range.start;
            ranges.push(CutRange { source: piece.source, start: range.start, end: range.end });
        }
        placed.push(places);
    }

    let video = picture_track(&pieces, &placed, total);
    let audio = sound.track(&pieces, &placed, total);
    let mut tracks: Vec<_> = [video, audio].into_iter().flatten().collect();

    // The length of the header depends on how wide chunk offsets are, and the offsets on the length of the header.
    let build = |tracks: &mut [TrackBuilder<'_>], is_wide: bool| {
        let mut movie = Movie::write(tracks, is_wide, Some(start_us), |_| {});
        let head = mdat_head(payload);
        let header_len = (FTYP.len() + movie.bytes.len() + head.len()) as u64;
        if !is_wide && u32::try_from(header_len + payload).is_err() {
            return None;
        }
        movie.move_chunks(header_len);
        let mut w = BoxWriter::with_capacity(header_len as usize + silence.len());
        for part in [&FTYP[..], &movie.bytes, &head, &silence] {
            w.bytes(part);
        }
        Some(w.out)
    };
    let header = match build(&mut tracks, false) {
        Some(header) => header,
        None => build(&mut tracks, true).ok_or(CutError::TooLong)?,
    };
    Ok(Cut {
        len: header.len() as u64 - silence.len() as u64 + payload,
        header: header.into(),
        ranges,
        start_us,
        duration_us: rescale(total, MOVIE_TIMESCALE, 1_000_000),
    })
}

fn mdat_head(payload: u64) -> Vec<u8> {
    match u32::try_from(payload + 8) {
        Ok(size) => [&size.to_be_bytes()[..], b"mdat"].concat(),
        Err(_) => [&[0, 0, 0, 1][..], b"mdat", &(payload + 16).to_be_bytes()].concat(),
    }
}

/// What is taken of one source.
#[derive(Debug)]
struct Piece<'a> {
    source: usize,
    table: &'a SampleTable,
    lead: TrackKind,
    /// UTC microseconds of its first presented instant.
    start_us: i64,
    /// Ticks of the lead track at its first presented instant.
    origin: i64,
    /// Where that stands in the new file, in ticks of 1/90 000 s.
    start: i64,
    /// For how long it is presented, in ticks of 1/90 000 s.
    length: i64,
    /// Whether it goes on in the same session exactly where the piece before it ends.
    continues: bool,
    /// Whether the range ends before the source does.
    is_cut_short: bool,
    /// Number of the first shown picture among those taken, from 1.
    shown: u32,
    /// Pictures in decode order; the second range is empty unless leading pictures have to be left out between.
    video: [Range<usize>; 2],
    /// Where in the source the parameter sets stand that go in front of the first picture.
    parameter_sets: Option<Range<u64>>,
    audio: Range<usize>,
    /// Added to a sound's ticks, gives its place in the new file in ticks of its own timescale.
    audio_shift: i64,
}

impl Piece<'_> {
    fn video_len(&self) -> usize {
        self.video.iter().map(Range::len).sum()
    }

    /// From the first to the last picture, those left out included.
    fn video_span(&self) -> Range<usize> {
        let [first, second] = &self.video;
        first.start..if second.is_empty() { first.end } else { second.end }
    }

    fn audio_scale(&self) -> u32 {
        self.table.config.timescale(TrackKind::Audio)
    }

    /// The bytes that are needed, parameter sets directly in front of the first picture.
    fn ranges(&self, is_last: bool) -> Vec<Range<u64>> {
        let mut ranges = self.sample_ranges(is_last);
        if let Some(sets) = &self.parameter_sets {
            let picture = sample_bytes(&self.table.video, self.video[0].start).start;
            if let Some(position) = ranges.iter().position(|range| range.contains(&picture)) {
                let whole = ranges[position].clone();
                let split = [whole.start..picture, sets.clone(), picture..whole.end];
                ranges.splice(position..=position, split.into_iter().filter(|range| !range.is_empty()));
            }
        }
        ranges
    }

    /// The bytes of the samples that are needed, in file order. Only at the very end are there any to leave out.
    fn sample_ranges(&self, is_last: bool) -> Vec<Range<u64>> {
        let tracks = [(&self.table.video, self.video_span()), (&self.table.audio, self.audio.clone())];
        let used = || tracks.iter().filter(|(_, span)| !span.is_empty());
        let Some(start) = used().map(|(table, span)| sample_bytes(table, span.start).start).min() else {
            return Vec::new();
        };
        let end = used().map(|(table, span)| sample_bytes(table, span.end - 1).end).max().unwrap_or(start);
        if !is_last {
            return std::iter::once(start..end).collect();
        }
        // From the chunk on in which one of the tracks ends, bytes are looked at chunk by chunk.
        let tail = used()
            .map(|(table, span)| table.chunks[table.chunk_of(span.end - 1)].offset)
            .min()
            .unwrap_or(start);
        let mut chunks = Vec::new();
        for (table, span) in &tracks {
            let first = table.chunks.partition_point(|chunk| chunk.offset < tail);
            let after = table.chunks.partition_point(|chunk| chunk.offset < end);
            for chunk in first..after.max(first) {
                let inside = table.chunk_samples(chunk);
                let wanted = inside.start.max(span.start)..inside.end.min(span.end);
                let bytes = (!wanted.is_empty()).then(|| table.bytes(chunk, wanted));
                chunks.push((table.chunks[chunk].offset, bytes, inside.end > span.end));
            }
        }
        chunks.sort_unstable_by_key(|(offset, ..)| *offset);
        let mut ranges = Vec::new();
        let mut current = start..tail.max(start);
        let mut is_past_end = false;
        for (_, bytes, has_later) in chunks {
            if let Some(bytes) = bytes {
                if is_past_end {
                    ranges.push(std::mem::replace(&mut current, bytes));
                    is_past_end = false;
                } else {
                    current.end = bytes.end;
                }
            }
            is_past_end |= has_later;
        }
        ranges.push(current);
        ranges.retain(|range| !range.is_empty());
        ranges
    }
}

fn sample_bytes(table: &TrackTable, sample: usize) -> Range<u64> {
    table.bytes(table.chunk_of(sample), sample..sample + 1)
}

/// Ticks of a track for a length in microseconds, to the nearest: instants are told in microseconds, frames are not.
fn ticks(length_us: i64, timescale: u32) -> i64 {
    rescale(length_us, 1_000_000, timescale)
}

/// The pieces, their pictures chosen, one behind the other.
fn select<'a>(sources: &[Source<'a>], from_us: i64, to_us: i64) -> Vec<Piece<'a>> {
    let mut pieces: Vec<Piece<'a>> = Vec::new();
    for (position, source) in sources.iter().enumerate() {
        if pieces.last().is_some_and(|previous| previous.is_cut_short) {
            break;
        }
        let previous = pieces.last().map(|previous| (previous, &sources[previous.source]));
        let piece = match source.table.lead() {
            TrackKind::Video => select_pictures(source, previous, from_us, to_us),
            TrackKind::Audio => select_sounds(source, previous, from_us, to_us),
        };
        let Some(mut piece) = piece else { continue };
        piece.source = position;
        if let Some(previous) = pieces.last_mut() {
            if piece.continues {
                let scale = previous.table.config.timescale(piece.lead);
                previous.length = rescale(piece.origin - previous.origin, scale, MOVIE_TIMESCALE);
            }
            piece.start = previous.start + previous.length;
        }
        pieces.push(piece);
    }
    pieces
}

/// Whether `source` goes on where `previous` ends.
fn continues(source: &Source<'_>, previous: Option<(&Piece<'_>, &Source<'_>)>) -> bool {
    let Some((piece, before)) = previous else { return false };
    let lead = source.table.lead();
    let (own, other) = (source.table.track(lead), before.table.track(lead));
    let scale = source.table.config.timescale(lead);
    let passed_us = rescale(own.base.saturating_sub(other.base), scale, 1_000_000);
    let drift_us = source.start_us.saturating_sub(before.start_us).saturating_sub(passed_us);
    piece.lead == lead
        && other.end == own.base
        && drift_us.saturating_abs() <= SESSION_TOLERANCE_US
        && source.table.config == before.table.config
}

fn select_pictures<'a>(
    source: &Source<'a>,
    previous: Option<(&Piece<'_>, &Source<'_>)>,
    from_us: i64,
    to_us: i64,
) -> Option<Piece<'a>> {
    let table = &source.table.video;
    let presented = |sample: usize| table.decode_time(sample) + i64::from(table.offset(sample));
    let at = |us: i64| {
        table.base.saturating_add(ticks(us.saturating_sub(source.start_us), TICKS_PER_SECOND_VIDEO))
    };
    // What follows a piece starts with its first picture, whatever clocks say, unless that piece has shown this time already.
    let from = if previous.is_some() { i64::MIN } else { at(from_us) };
    let is_trimmed = source.shown_us > source.start_us;
    let from = if is_trimmed {
        let shown = at(source.shown_us);
        let key = table.syncs().find(|sample| presented(*sample) >= shown)?;
        from.max(presented(key))
    } else {
        from
    };
    let to = at(to_us);

    let (mut shown, mut last, mut has_later) = (None, None, false);
    let (mut earliest, mut latest) = (i64::MAX, (i64::MIN, 0));
    let mut time = table.base;
    let mut sample = 0;
    for run in &table.durations {
        let duration = i64::from(run.duration);
        for _ in 0..run.count {
            let start = time + i64::from(table.offset(sample));
            if start <= from && shown.is_none_or(|(_, best)| start > best) {
                shown = Some((sample, start));
            }
            if start < to {
                last = Some(sample);
                earliest = earliest.min(start);
                latest = latest.max((start, duration));
            } else {
                has_later = true;
            }
            time += duration;
            sample += 1;
        }
    }
    let last = last?;
    // All pictures together are on screen as long as they take to decode, unless some are missing at the end.
    let end = match earliest.saturating_add(table.end - table.base) {
        _ if has_later => to,
        end if end > latest.0 => end,
        _ => latest.0 + latest.1,
    };
    if from >= end {
        return None;
    }
    let continues = !is_trimmed && continues(source, previous);
    let (shown, mut origin) = shown.unwrap_or((0, presented(0)));
    // Only the first piece has a lead-in: of the others it would be shown.
    let mut key = match previous {
        None => lead_in(source.table, shown, origin),
        Some(_) => table.sync_at_or_before(shown).unwrap_or(0),
    };
    if presented(key) > origin {
        // A leading picture: it refers to what stands before its keyframe.
        key = match key.checked_sub(1).and_then(|before| table.sync_at_or_before(before)) {
            Some(before) => before,
            None => {
                origin = presented(key);
                key
            }
        };
    }
    let mut video = [key..last + 1, 0..0];
    let mut number = shown.saturating_sub(key) + 1;
    if !continues {
        // Leading pictures of the first keyframe refer to what is not there.
        let start = presented(key);
        let leading = (key + 1..=last).take_while(|sample| presented(*sample) < start).count();
        if leading > 0 {
            number = number.saturating_sub(leading);
            video = [key..key + 1, key + 1 + leading..last + 1];
        }
    }
    if continues {
        // Pictures that lead the first keyframe are shown before it.
        origin = table.base;
    }
    let length = end.min(to) - origin;
    (length > 0).then_some(Piece {
        source: 0,
        table: source.table,
        lead: TrackKind::Video,
        start_us: source.start_us.saturating_add(rescale(
            origin - table.base,
            TICKS_PER_SECOND_VIDEO,
            1_000_000,
        )),
        origin,
        start: 0,
        length,
        continues,
        is_cut_short: has_later || end > to,
        shown: index(number),
        video,
        parameter_sets: None,
        audio: 0..0,
        audio_shift: 0,
    })
}

/// The picture with which decoding starts for `shown`, presented at `origin`, to be whole: as [`crate::SegmentIndex::entry_for`]
/// finds it, to the picture.
fn lead_in(source: &SampleTable, shown: usize, origin: i64) -> usize {
    let table = &source.video;
    let recovery = i64::from(source.index.recovery_90k);
    let earlier = |sample: usize| sample.checked_sub(1).and_then(|before| table.sync_at_or_before(before));
    let mut key = table.sync_at_or_before(shown).unwrap_or(0);
    while recovery > 0 && table.decode_time(key).saturating_add(recovery) > origin {
        let Some(before) = earlier(key) else { break };
        key = before;
    }
    if origin.saturating_sub(table.decode_time(key)) <= MAX_LEAD_IN_90K.cast_signed() {
        return key;
    }
    let late = table.first_at_or_after(origin - LATE_LEAD_IN_90K.cast_signed()).min(shown);
    table.chunk_samples(table.chunk_of(late)).start
}

/// For a source without pictures; its sounds themselves are chosen with those of the others.
fn select_sounds<'a>(
    source: &Source<'a>,
    previous: Option<(&Piece<'_>, &Source<'_>)>,
    from_us: i64,
    to_us: i64,
) -> Option<Piece<'a>> {
    let table = &source.table.audio;
    let scale = source.table.config.timescale(TrackKind::Audio);
    let at = |us: i64| table.base.saturating_add(ticks(us.saturating_sub(source.start_us), scale));
    let is_trimmed = source.shown_us > source.start_us;
    let origin = if previous.is_some() { table.base } else { at(from_us).max(table.base) };
    let origin = if is_trimmed { origin.max(at(source.shown_us)) } else { origin };
    let end = at(to_us).min(table.end);
    (origin < end).then(|| Piece {
        source: 0,
        table: source.table,
        lead: TrackKind::Audio,
        start_us: source.start_us.saturating_add(rescale(origin - table.base, scale, 1_000_000)),
        origin,
        start: 0,
        length: rescale(end - origin, scale, MOVIE_TIMESCALE),
        continues: !is_trimmed && continues(source, previous),
        is_cut_short: end < table.end,
        shown: 0,
        video: [0..0, 0..0],
        parameter_sets: None,
        audio: 0..0,
        audio_shift: 0,
    })
}

/// Where the configuration changes, the new parameter sets go in front of the pictures as well: most players, Chromium and
/// the parser of ffmpeg among them, look at the first sample description only.
fn find_parameter_sets(pieces: &mut [Piece<'_>]) {
    let mut current = None;
    for piece in pieces.iter_mut().filter(|piece| !piece.video[0].is_empty()) {
        let config = piece.table.config.video.as_ref();
        if current.is_some() && current != Some(config) {
            piece.parameter_sets =
                parameter_sets(&piece.table.config, piece.table.index.first_fragment_offset);
        }
        current = Some(config);
    }
}

/// A range of a source, and where it lies in the payload of the new file.
struct Place {
    range: Range<u64>,
    payload: u64,
}

/// The video track, if any piece has pictures.
fn picture_track<'a>(pieces: &[Piece<'a>], placed: &[Vec<Place>], total: i64) -> Option<TrackBuilder<'a>> {
    let first = pieces.iter().find(|piece| !piece.video[0].is_empty())?;
    let samples = pieces.iter().map(Piece::video_len).sum();
    let mut track = TrackBuilder::new(TICKS_PER_SECOND_VIDEO, samples);
    // Media time of the first shown picture, whose keyframe is decoded at media time 0.
    let lead_in = first.origin - first.table.video.decode_time(first.video[0].start);
    let raise =
        pieces.iter().map(|piece| piece.table.video.offset_raise(piece.video_span())).max().unwrap_or(0);
    let raised = i64::from(raise);
    for (piece, places) in pieces.iter().zip(placed) {
        let table = &piece.table.video;
        let Some(entry) = entry_of(&piece.table.config, TrackKind::Video) else { continue };
        if piece.video[0].is_empty() {
            continue;
        }
        let description = track.entry(entry);
        let moved = lead_in - piece.origin + piece.start - first.start;
        let wanted = table.decode_time(piece.video[0].start) + moved;
        let late = if track.is_empty() { 0 } else { (track.last_start() + 1 - wanted).max(0) };
        let shift = i32::try_from(raised - late).unwrap_or(0);
        let mut prefix = piece.parameter_sets.as_ref().map_or(0, |sets| (sets.end - sets.start) as u32);
        for range in piece.video.iter().filter(|range| !range.is_empty()) {
            track.stretch_to(table.decode_time(range.start) + moved + late);
            let samples = range.clone();
            let timescale = TICKS_PER_SECOND_VIDEO;
            let taken = Taken { table, samples, timescale, shift, description, prefix };
            track.append(taken, |offset| place_in(places, offset));
            prefix = 0;
        }
    }
    track.start_with_sync(first.shown);
    // Where the last pieces have no picture, the last one there was stays.
    let missing = lead_in + raised + total - first.start - track.presented_end();
    if missing > 0 {
        track.stretch_to(track.end() + missing);
    }
    if first.start > 0 {
        track.edits.push(Edit { duration: first.start.unsigned_abs(), media_time: -1 });
    }
    let duration = u64::try_from(total - first.start).unwrap_or(0);
    track.edits.push(Edit { duration, media_time: lead_in + raised });
    Some(track)
}

/// Where in the payload a byte of a source lies.
fn place_in(places: &[Place], offset: u64) -> u64 {
    let place = places.iter().find(|place| place.range.contains(&offset));
    place.map_or(0, |place| place.payload + (offset - place.range.start))
}

/// A run of sound, and the silence in front of it.
#[derive(Debug)]
struct SoundRun {
    piece: usize,
    /// Place of its first sample, in ticks of the track; negative is hidden.
    at: i64,
    /// Where its last sample ends by itself.
    end: i64,
    silent_frames: u32,
}

/// Which sounds go where.
#[derive(Debug, Default)]
struct Sound {
    timescale: u32,
    runs: Vec<SoundRun>,
}

impl Sound {
    /// Chooses the sounds of every piece.
    fn plan(pieces: &mut [Piece<'_>]) -> Self {
        choose_sounds(pieces);
        let with_sound = || pieces.iter().filter(|piece| !piece.audio.is_empty());
        let Some(timescale) = with_sound().map(Piece::audio_scale).max() else { return Self::default() };
        let mut runs: Vec<SoundRun> = Vec::new();
        // How much longer the sample times of the track are than its samples.
        let mut stretched = 0_i64;
        for position in 0..pieces.len() {
            let piece = &pieces[position];
            if piece.audio.is_empty() {
                continue;
            }
            let (table, scale) = (&piece.table.audio, piece.audio_scale());
            let at = rescale(table.decode_time(piece.audio.start) + piece.audio_shift, scale, timescale);
            let mut silent_frames = 0;
            if let Some(previous) = runs.last_mut() {
                let change = stretched + at - previous.end;
                let before = &mut pieces[previous.piece];
                let frame = before.frame_ticks(timescale).max(1);
                let frames = (2 * change + frame).div_euclid(2 * frame);
                if frames < 0 {
                    // Too many of them: the last ones go.
                    let spare = before.audio.len() - 1;
                    let dropped =
                        usize::try_from(frames.unsigned_abs()).map_or(spare, |frames| frames.min(spare));
                    let kept = before.audio.end - dropped;
                    let table = &before.table.audio;
                    let ticks = table.decode_time(before.audio.end) - table.decode_time(kept);
                    let ticks = rescale(ticks, before.audio_scale(), timescale);
                    before.audio.end = kept;
                    previous.end -= ticks;
                    stretched = change + ticks;
                } else {
                    if before.table.config.audio.as_ref().is_some_and(|config| config.silence().is_some()) {
                        silent_frames = u32::try_from(frames).unwrap_or(u32::MAX);
                    }
                    stretched = change - frames * frame;
                }
            }
            let piece = &pieces[position];
            let table = &piece.table.audio;
            let length = table.decode_time(piece.audio.end) - table.decode_time(piece.audio.start);
            let end = at + rescale(length, piece.audio_scale(), timescale);
            runs.push(SoundRun { piece: position, at, end, silent_frames });
        }
        Self { timescale, runs }
    }

    fn silent_frames(&self) -> usize {
        self.runs.iter().map(|run| run.silent_frames as usize).sum()
    }

    /// Frames of silence for every configuration that needs them, [`SILENCE_BLOCK_FRAMES`] each.
    fn silence(&self, pieces: &[Piece<'_>]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (frame, _) in self.silences(pieces) {
            bytes.extend_from_slice(&frame.repeat(SILENCE_BLOCK_FRAMES as usize));
        }
        bytes
    }

    /// The distinct frames of silence, and the offsets of their blocks.
    fn silences(&self, pieces: &[Piece<'_>]) -> Vec<(&'static [u8], u64)> {
        let mut blocks: Vec<(&'static [u8], u64)> = Vec::new();
        let mut offset = 0;
        for pair in self.runs.windows(2).filter(|pair| pair[1].silent_frames > 0) {
            let frame =
                pieces[pair[0].piece].table.config.audio.as_ref().and_then(crate::AudioConfig::silence);
            if let Some(frame) = frame.filter(|frame| blocks.iter().all(|(known, _)| known != frame)) {
                blocks.push((frame, offset));
                offset += frame.len() as u64 * u64::from(SILENCE_BLOCK_FRAMES);
            }
        }
        blocks
    }

    /// The audio track, if there is any sound.
    fn track<'a>(&self, pieces: &[Piece<'a>], placed: &[Vec<Place>], total: i64) -> Option<TrackBuilder<'a>> {
        let first = self.runs.first()?;
        let samples = pieces.iter().map(|piece| piece.audio.len()).sum::<usize>() + self.silent_frames();
        let mut track = TrackBuilder::new(self.timescale, samples);
        let blocks = self.silences(pieces);
        let mut before: Option<(&Piece<'a>, u32)> = None;
        for run in &self.runs {
            let piece = &pieces[run.piece];
            let Some(entry) = entry_of(&piece.table.config, TrackKind::Audio) else { continue };
            if let Some((before, description)) = before
                && let Some(frame) = before.table.config.audio.as_ref().and_then(crate::AudioConfig::silence)
                && let Some((_, offset)) = blocks.iter().find(|(known, _)| *known == frame)
                && run.silent_frames > 0
            {
                let duration = u32::try_from(before.frame_ticks(self.timescale)).unwrap_or(1);
                let size = index(frame.len());
                track.append_repeated(
                    run.silent_frames,
                    size,
                    duration,
                    description,
                    *offset,
                    SILENCE_BLOCK_FRAMES,
                );
            }
            let description = track.entry(entry);
            track.stretch_to(run.at - first.at);
            let places = &placed[run.piece];
            let (table, scale) = (&piece.table.audio, piece.audio_scale());
            let samples = piece.audio.clone();
            let taken = Taken { table, samples, timescale: scale, shift: 0, description, prefix: 0 };
            track.append(taken, |offset| place_in(places, offset));
            before = Some((piece, description));
        }
        let delay = rescale(first.at.max(0), self.timescale, MOVIE_TIMESCALE);
        let heard =
            rescale(track.end() + first.at.min(0), self.timescale, MOVIE_TIMESCALE).min(total - delay);
        if delay > 0 {
            track.edits.push(Edit { duration: delay.unsigned_abs(), media_time: -1 });
        }
        track.edits.push(Edit { duration: u64::try_from(heard).unwrap_or(0), media_time: 0.max(-first.at) });
        Some(track)
    }
}

impl Piece<'_> {
    /// Length of one frame of sound.
    fn frame_ticks(&self, timescale: u32) -> i64 {
        let frame = self.table.config.audio.as_ref().map_or(1024, |audio| audio.samples_per_frame);
        rescale(i64::from(frame), self.audio_scale(), timescale)
    }
}

/// Chooses the sounds that belong to the pictures of each piece, and says where they go.
fn choose_sounds(pieces: &mut [Piece<'_>]) {
    for position in 0..pieces.len() {
        let is_first = position == 0;
        let joins = pieces.get(position + 1).map(|next| next.continues);
        let shift_before = position.checked_sub(1).map(|before| pieces[before].audio_shift);
        let piece = &mut pieces[position];
        let (table, scale) = (&piece.table.audio, piece.audio_scale());
        let to_sound = |time: i64| rescale(time, MOVIE_TIMESCALE, scale);
        piece.audio_shift = match (shift_before, piece.lead) {
            (Some(shift), _) if piece.continues => shift,
            (_, TrackKind::Video) => to_sound(piece.start - piece.origin),
            (_, TrackKind::Audio) => to_sound(piece.start) - piece.origin,
        };
        let start = to_sound(piece.start) - piece.audio_shift;
        let end = to_sound(piece.start + piece.length) - piece.audio_shift;
        // At a join, a frame belongs to the side on which most of it lies.
        let half = piece.frame_ticks(scale) / 2;
        let first = if is_first {
            let heard = table.first_at_or_after(start.saturating_add(1)).saturating_sub(1);
            heard.saturating_sub(AUDIO_PREROLL_FRAMES).max(first_allowed_sound(piece))
        } else if piece.continues {
            0
        } else {
            table.first_at_or_after(start - half)
        };
        let after = match joins {
            None => table.first_at_or_after(end),
            Some(true) => table.len(),
            Some(false) => table.first_at_or_after(end - half),
        };
        piece.audio = first..after.max(first);
    }
}

/// The first sound that does not stand in front of the fragment of the first picture: bytes from before that fragment would
/// bring pictures along that nobody asked for.
fn first_allowed_sound(piece: &Piece<'_>) -> usize {
    let [pictures, _] = &piece.video;
    if pictures.is_empty() {
        return 0;
    }
    let (video, audio) = (&piece.table.video, &piece.table.audio);
    let chunk = video.chunk_of(pictures.start);
    let picture = video.chunks[chunk];
    let after = audio.chunks.partition_point(|sound| sound.offset < picture.offset);
    let same_fragment = after.checked_sub(1).filter(|before| {
        picture.first as usize == pictures.start
            && audio.bytes(*before, audio.chunk_samples(*before)).end == picture.offset
    });
    let chunk = same_fragment.unwrap_or(after);
    audio.chunks.get(chunk).map_or(audio.len(), |sound| sound.first as usize)
}
