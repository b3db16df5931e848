//! What is remembered of a segment while it grows, and the two writes that turn it into a plain MP4.
//!
//! Sealing a file: append [`SampleTable::moov`], sync, write [`SampleTable::mdat_patch`] over `free`, sync. In front of the
//! patch the file is a fragmented MP4 with something behind it, after it a plain MP4. Not here: those writes.

use std::sync::Arc;

use bytes::Bytes;

use super::boxes::{BoxWriter, Cursor};
use super::entry::{MOVIE_TIMESCALE, sample_description};
use super::init::{FREE_BYTES, FREE_OFFSET, entry_of};
use super::movie::{Edit, Movie, Taken, TrackBuilder, rescale};
use super::tables::TrackTable;
use crate::codec::{Access, access, is_reference};
use crate::index::MAX_RECOVERY_90K;
use crate::{
    Fragment, FragmentIndexEntry, SegmentIndex, SessionConfig, TICKS_PER_SECOND_VIDEO, TrackKind, TrackRun,
};

/// Type of the `uuid` box in a sealed segment's `moov` that holds what the tables of a plain MP4 cannot say.
pub(super) const SEGMENT_UUID: [u8; 16] = *b"turepe/segment/1";

/// Type of the box inside it that holds the [`Label`]. Readers that do not know it pass over it.
pub(super) const LABEL_BOX: [u8; 4] = *b"labl";

/// Type of the box inside it that holds [`SegmentIndex::recovery_90k`], where that is not 0.
pub(super) const RECOVERY_BOX: [u8; 4] = *b"rcvy";

/// How long whoever starts at a picture that promises nothing is taken to see it build up: encoders that refresh gradually
/// take a few seconds for a round.
const MAKESHIFT_RECOVERY_90K: u32 = 10 * TICKS_PER_SECOND_VIDEO;

/// What is known of a segment when it is sealed and what neither its name nor its samples say: with it, a catalog can be
/// rebuilt from the file alone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Label {
    /// The session it is a part of, as the bytes of a UUID.
    pub session_id: [u8; 16],
    /// End of its last presented instant, exclusive, UTC microseconds. Its ticks tell it without the drift that the next
    /// segment's start took out.
    pub end_us: i64,
    /// CRC-32 of its fragments, where it was counted while they were written.
    pub crc32: Option<u32>,
}

/// The samples and fragments of one segment file: five to nine bytes a sample.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SampleTable {
    pub(super) config: Arc<SessionConfig>,
    pub(super) index: SegmentIndex,
    pub(super) end_offset: u64,
    pub(super) start_us: Option<i64>,
    pub(super) label: Option<Label>,
    pub(super) video: TrackTable,
    pub(super) audio: TrackTable,
}

impl SampleTable {
    /// The table of a segment without fragments. `first_fragment_offset` is the length of its file header.
    #[must_use]
    pub fn new(config: Arc<SessionConfig>, first_fragment_offset: u32) -> Self {
        Self {
            config,
            index: SegmentIndex { first_fragment_offset, ..SegmentIndex::default() },
            end_offset: u64::from(first_fragment_offset),
            start_us: None,
            label: None,
            video: TrackTable::default(),
            audio: TrackTable::default(),
        }
    }

    /// Appends a fragment that stands in the file directly behind the one before.
    pub fn push(&mut self, fragment: &Fragment) {
        self.start_us.get_or_insert(fragment.start_us);
        // In a fragment audio stands before video.
        if let Some(data) = fragment.payload.get(fragment.audio.samples.len()) {
            self.note_entry(fragment, data);
        }
        self.push_runs(fragment);
    }

    /// [`SampleTable::push`] for a fragment whose wall-clock time is not known.
    pub(super) fn push_runs(&mut self, fragment: &Fragment) {
        if fragment.is_key {
            self.index.recovery_90k = self.index.recovery_90k.max(leading_90k(&fragment.video));
        }
        self.video.push(&fragment.video, self.end_offset + u64::from(fragment.video.data_offset));
        self.audio.push(&fragment.audio, self.end_offset + u64::from(fragment.audio.data_offset));
        self.index.fragments.push(FragmentIndexEntry {
            size_bytes: fragment.size_bytes,
            duration_90k: fragment.duration_90k,
            is_key: fragment.is_key,
        });
        self.end_offset += u64::from(fragment.size_bytes);
    }

    /// Looks at the first picture of a key fragment: from when on pictures are whole for who starts there.
    pub(super) fn note_entry(&mut self, fragment: &Fragment, data: &[u8]) {
        let Some(config) = self.config.video.as_ref().filter(|_| fragment.is_key) else { return };
        let length_size = config.nal_length_size();
        let recovery_90k = match access(config.codec, data, length_size) {
            Access::Recovery { frames } if frames > 0 => {
                let samples = &fragment.video.samples;
                // What is counted may be every third picture only, and which ones is told by what the fragment holds.
                let first = fragment.audio.samples.len();
                let counted = fragment.payload.get(first..).unwrap_or_default();
                let counted =
                    counted.iter().filter(|data| is_reference(config.codec, data, length_size)).count();
                let length: u64 = samples.iter().map(|sample| u64::from(sample.duration)).sum();
                let ticks = u64::from(frames).saturating_mul(length) / (counted.max(1) as u64);
                u32::try_from(ticks).unwrap_or(u32::MAX).min(MAX_RECOVERY_90K)
            }
            Access::Inter => MAKESHIFT_RECOVERY_90K,
            // Pictures that lead it are seen in the tables.
            _ => 0,
        };
        self.index.recovery_90k = self.index.recovery_90k.max(recovery_90k);
    }

    /// The configuration of its session.
    #[must_use]
    pub fn config(&self) -> &Arc<SessionConfig> {
        &self.config
    }

    /// Where its fragments lie.
    #[must_use]
    pub fn index(&self) -> &SegmentIndex {
        &self.index
    }

    /// Offset of the byte after the last fragment: where the final `moov` goes.
    #[must_use]
    pub fn end_offset(&self) -> u64 {
        self.end_offset
    }

    /// What these samples take in the tables of a plain MP4 at most, in bytes.
    #[must_use]
    pub fn max_table_bytes(&self) -> u64 {
        [&self.video, &self.audio].into_iter().map(TrackTable::max_box_bytes).sum()
    }

    /// UTC microseconds of its first presented instant, as far as it is known.
    #[must_use]
    pub fn start_us(&self) -> Option<i64> {
        self.start_us
    }

    /// Says when it starts; for a table that was rebuilt from a torn file.
    pub fn set_start_us(&mut self, start_us: i64) {
        self.start_us = Some(start_us);
    }

    /// What the sealed file says of the segment beside its samples.
    #[must_use]
    pub fn label(&self) -> Option<Label> {
        self.label
    }

    /// Says it; before [`SampleTable::moov`].
    pub fn set_label(&mut self, label: Label) {
        self.label = Some(label);
    }

    /// Number of samples of a track.
    #[must_use]
    pub fn sample_count(&self, track: TrackKind) -> usize {
        self.track(track).len()
    }

    /// Decode time of the first sample of a track and where its last sample ends, in ticks since the session's origin.
    #[must_use]
    pub fn decode_range(&self, track: TrackKind) -> Option<(i64, i64)> {
        let table = self.track(track);
        (!table.is_empty()).then_some((table.base, table.end))
    }

    /// The track whose times rule: video where there is any.
    #[must_use]
    pub fn lead(&self) -> TrackKind {
        if self.video.is_empty() { TrackKind::Audio } else { TrackKind::Video }
    }

    pub(super) fn track(&self, track: TrackKind) -> &TrackTable {
        match track {
            TrackKind::Video => &self.video,
            TrackKind::Audio => &self.audio,
        }
    }

    /// The `moov` box of the sealed file: full tables of everything in it.
    ///
    /// Presentation starts with the first picture at 0. Sound that starts later is delayed by an edit list, sound from
    /// before it is hidden by one.
    #[must_use]
    pub fn moov(&self) -> Bytes {
        let video_scale = TICKS_PER_SECOND_VIDEO;
        let audio_scale = self.config.timescale(TrackKind::Audio);
        let mut tracks = Vec::new();
        let shift = self.video.offset_raise(0..self.video.len());
        if let Some(entry) = entry_of(&self.config, TrackKind::Video) {
            let mut track = TrackBuilder::new(video_scale, self.video.len());
            let description = track.entry(entry);
            track.append(whole(&self.video, video_scale, shift, description), |offset| offset);
            let media_time = i64::from(self.video.offset(0)) + i64::from(shift);
            if media_time > 0 {
                let length = u64::try_from(track.presented_end() - media_time).unwrap_or(0);
                track.edits.push(Edit { duration: length, media_time });
            }
            tracks.push(track);
        }
        if let Some(entry) = entry_of(&self.config, TrackKind::Audio) {
            let mut track = TrackBuilder::new(audio_scale, self.audio.len());
            let description = track.entry(entry);
            track.append(whole(&self.audio, audio_scale, 0, description), |offset| offset);
            if !self.video.is_empty() && !self.audio.is_empty() {
                let origin = self.video.base + i64::from(self.video.offset(0));
                let start = self.audio.base - rescale(origin, video_scale, audio_scale);
                track.edits = place(start, track.end(), audio_scale);
            }
            tracks.push(track);
        }
        let is_wide = u32::try_from(self.end_offset).is_err();
        let movie = Movie::write(&mut tracks, is_wide, self.start_us, |w| self.write_segment_box(w, shift));
        movie.bytes.into()
    }

    /// What to write over `free` once the `moov` is durable: offset and bytes of the head of an `mdat` that spans
    /// everything up to `end`, where the `moov` starts.
    #[must_use]
    pub fn mdat_patch(&self, end: u64) -> (u64, [u8; FREE_BYTES]) {
        let mut head = *b"\0\0\0\x01mdat\0\0\0\0\0\0\0\0";
        head[8..].copy_from_slice(&end.saturating_sub(FREE_OFFSET).to_be_bytes());
        (FREE_OFFSET, head)
    }

    fn write_segment_box(&self, w: &mut BoxWriter, shift: i32) {
        w.boxed(b"uuid", |w| {
            w.bytes(&SEGMENT_UUID);
            w.u32(self.index.first_fragment_offset);
            w.i64(self.start_us.unwrap_or(i64::MIN));
            w.i64(self.video.base);
            w.i64(self.audio.base);
            w.i32(shift);
            w.u64(self.end_offset);
            // A track without samples is not in the tables, but in the configuration of the session.
            for track in [TrackKind::Video, TrackKind::Audio] {
                if let Some(entry) = entry_of(&self.config, track).filter(|_| self.track(track).is_empty()) {
                    sample_description(w, &[entry]);
                }
            }
            if self.index.recovery_90k > 0 {
                w.boxed(&RECOVERY_BOX, |w| w.u32(self.index.recovery_90k));
            }
            if let Some(label) = &self.label {
                w.boxed(&LABEL_BOX, |w| label.write(w));
            }
        });
    }
}

impl Label {
    fn write(&self, w: &mut BoxWriter) {
        w.bytes(&self.session_id);
        w.i64(self.end_us);
        w.u8(u8::from(self.crc32.is_some()));
        w.u32(self.crc32.unwrap_or(0));
    }

    pub(super) fn read(body: &[u8]) -> Option<Self> {
        let mut cursor = Cursor::new(body);
        let (session_id, end_us) = (cursor.array()?, cursor.i64()?);
        let (is_known, crc32) = (cursor.u8()? != 0, cursor.u32()?);
        Some(Self { session_id, end_us, crc32: is_known.then_some(crc32) })
    }
}

/// How long after its decode time the first picture of a run is shown, if pictures behind it are shown before it (open groups
/// of pictures); else 0.
fn leading_90k(run: &TrackRun) -> u32 {
    let mut decode_time = 0_i64;
    let mut first = None;
    for sample in &run.samples {
        let presented = decode_time + i64::from(sample.composition_offset);
        if presented < *first.get_or_insert(presented) {
            let lag = first.unwrap_or(0).clamp(0, i64::from(MAX_RECOVERY_90K));
            return u32::try_from(lag).unwrap_or(0);
        }
        decode_time += i64::from(sample.duration);
    }
    0
}

fn whole(table: &TrackTable, timescale: u32, shift: i32, description: u32) -> Taken<'_> {
    Taken { table, samples: 0..table.len(), timescale, shift, description, prefix: 0 }
}

/// The edit list for a track whose first sample is presented at `start` (ticks of the track, may be negative), and whose
/// media lasts until `media_end`. Nothing where it is not needed.
pub(super) fn place(start: i64, media_end: i64, timescale: u32) -> Vec<Edit> {
    let to_movie = |time: i64| u64::try_from(rescale(time, timescale, MOVIE_TIMESCALE)).unwrap_or(0);
    match start {
        0 => Vec::new(),
        1.. => vec![
            Edit { duration: to_movie(start), media_time: -1 },
            Edit { duration: to_movie(media_end), media_time: 0 },
        ],
        _ => vec![Edit { duration: to_movie(media_end + start), media_time: -start }],
    }
}
