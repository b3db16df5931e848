//! A `moov` with full sample tables (ISO/IEC 14496-12 §8.6, §8.7): for a sealed segment and for a download.

use std::ops::Range;

use super::boxes::BoxWriter;
use super::entry::{self, Entry, MOVIE_TIMESCALE};
use super::tables::{DurationRun, TrackTable, index, push_duration, set_last_duration};

/// One line of an edit list (§8.6.6): what of the track is presented, for how long.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Edit {
    /// Ticks of [`MOVIE_TIMESCALE`].
    pub(super) duration: u64,
    /// Ticks of the track; −1 presents nothing.
    pub(super) media_time: i64,
}

/// Samples that are taken over from a segment.
pub(super) struct Taken<'t> {
    pub(super) table: &'t TrackTable,
    pub(super) samples: Range<usize>,
    /// Ticks per second of `table`.
    pub(super) timescale: u32,
    /// Added to every composition offset.
    pub(super) shift: i32,
    /// Index of the sample description.
    pub(super) description: u32,
    /// Bytes in front of the first sample that become part of it.
    pub(super) prefix: u32,
}

/// A track that is put together run by run.
pub(super) struct TrackBuilder<'a> {
    pub(super) timescale: u32,
    pub(super) entries: Vec<Entry<'a>>,
    pub(super) edits: Vec<Edit>,
    durations: Vec<DurationRun>,
    /// Composition offsets as `ctts` holds them: big-endian pairs of count and offset.
    offsets: Vec<u8>,
    offset_entries: u32,
    offset_run: (u32, i32),
    least_offset: i32,
    greatest_offset: i32,
    /// Media time up to which something is presented.
    presented_end: i64,
    sizes: Vec<u8>,
    count: u32,
    sync: Vec<u32>,
    is_all_sync: bool,
    chunks: Vec<u64>,
    /// First chunk (from 1), samples per chunk, sample description (from 1): a run of `stsc`.
    chunk_runs: Vec<(u32, u32, u32)>,
    /// Media time at which the last sample ends.
    end: i64,
}

impl<'a> TrackBuilder<'a> {
    pub(super) fn new(timescale: u32, samples: usize) -> Self {
        Self {
            timescale,
            entries: Vec::new(),
            edits: Vec::new(),
            durations: Vec::new(),
            offsets: Vec::new(),
            offset_entries: 0,
            offset_run: (0, 0),
            least_offset: 0,
            greatest_offset: 0,
            presented_end: 0,
            sizes: Vec::with_capacity(4 * samples),
            count: 0,
            sync: Vec::new(),
            is_all_sync: true,
            chunks: Vec::new(),
            chunk_runs: Vec::new(),
            end: 0,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Media time at which the last sample ends.
    pub(super) fn end(&self) -> i64 {
        self.end
    }

    /// Media time up to which something is presented.
    pub(super) fn presented_end(&self) -> i64 {
        self.presented_end
    }

    /// Media time at which the last sample starts.
    pub(super) fn last_start(&self) -> i64 {
        self.end - i64::from(self.durations.last().map_or(0, |run| run.duration))
    }

    /// Index of a sample description, added where it is new.
    pub(super) fn entry(&mut self, entry: Entry<'a>) -> u32 {
        let known = self.entries.iter().position(|known| *known == entry);
        let position = known.unwrap_or_else(|| {
            self.entries.push(entry);
            self.entries.len() - 1
        });
        index(position) + 1
    }

    /// Lets the last sample last until `time`, at least one tick.
    pub(super) fn stretch_to(&mut self, time: i64) {
        if self.is_empty() {
            return;
        }
        let start = self.last_start();
        let duration = u32::try_from((time - start).max(1)).unwrap_or(u32::MAX);
        set_last_duration(&mut self.durations, duration);
        self.end = start + i64::from(duration);
    }

    /// Appends samples of a segment; `place` says where in the new file a byte of the segment lies.
    pub(super) fn append(&mut self, taken: Taken<'_>, mut place: impl FnMut(u64) -> u64) {
        let Taken { table, samples, timescale, shift, description, prefix } = taken;
        if samples.is_empty() {
            return;
        }
        self.sizes.reserve(4 * samples.len());
        let first_size = table.sizes[samples.start].saturating_add(prefix);
        self.sizes.extend_from_slice(&first_size.to_be_bytes());
        self.sizes
            .extend(table.sizes[samples.start + 1..samples.end].iter().flat_map(|size| size.to_be_bytes()));

        // Composition offsets, while the times still count from here.
        if table.offsets.is_empty() {
            let length = table.decode_time(samples.end) - table.decode_time(samples.start);
            self.push_offset(index(samples.len()), shift);
            self.presented_end = self.presented_end.max(self.end + i64::from(shift) + length);
        } else {
            let mut time = self.end;
            let mut offsets = table.offsets[samples.clone()].iter();
            for run in table.durations(samples.clone()) {
                for offset in offsets.by_ref().take(run.count as usize) {
                    let offset = offset.saturating_add(shift);
                    time += i64::from(run.duration);
                    self.presented_end = self.presented_end.max(time + i64::from(offset));
                    self.push_offset(1, offset);
                }
            }
        }

        if timescale == self.timescale {
            for run in table.durations(samples.clone()) {
                push_duration(&mut self.durations, run.count, run.duration);
                self.end += i64::from(run.count) * i64::from(run.duration);
            }
        } else {
            // Each time is rounded, not each duration: no drift.
            let (first, mut passed) = (self.end, 0);
            for run in table.durations(samples.clone()) {
                for _ in 0..run.count {
                    passed += i64::from(run.duration);
                    let end = first + rescale(passed, timescale, self.timescale);
                    let duration = (end - self.end).max(1);
                    push_duration(&mut self.durations, 1, u32::try_from(duration).unwrap_or(u32::MAX));
                    self.end += duration;
                }
            }
        }

        if self.is_all_sync && !table.is_all_sync {
            self.is_all_sync = false;
            self.sync = (1..=self.count).collect();
        }
        if !self.is_all_sync {
            let moved = |sample: u32| sample - index(samples.start) + self.count + 1;
            if table.is_all_sync {
                self.sync.extend((index(samples.start)..index(samples.end)).map(moved));
            } else {
                let from = table.sync.partition_point(|sync| (*sync as usize) < samples.start);
                let to = table.sync.partition_point(|sync| (*sync as usize) < samples.end);
                self.sync.extend(table.sync[from..to].iter().copied().map(moved));
            }
        }
        self.count += index(samples.len());

        for chunk in table.chunk_of(samples.start)..=table.chunk_of(samples.end - 1) {
            let inside = table.chunk_samples(chunk);
            let taken = inside.start.max(samples.start)..inside.end.min(samples.end);
            if !taken.is_empty() {
                let count = index(taken.len());
                let skipped = table.sizes[inside.start..taken.start].iter().map(|size| u64::from(*size));
                let offset = place(table.chunks[chunk].offset + skipped.sum::<u64>());
                let prefix = if taken.start == samples.start { u64::from(prefix) } else { 0 };
                self.push_chunk(offset.saturating_sub(prefix), count, description);
            }
        }
    }

    /// Appends `count` samples that all are the first of `block` equal ones standing at `offset`.
    pub(super) fn append_repeated(
        &mut self,
        count: u32,
        size: u32,
        duration: u32,
        description: u32,
        offset: u64,
        block: u32,
    ) {
        self.sizes.extend(std::iter::repeat_n(size.to_be_bytes(), count as usize).flatten());
        self.push_offset(count, 0);
        push_duration(&mut self.durations, count, duration);
        self.end += i64::from(count) * i64::from(duration);
        if !self.is_all_sync {
            self.sync.extend(self.count + 1..=self.count + count);
        }
        self.count += count;
        let mut left = count;
        while left > 0 {
            let taken = left.min(block.max(1));
            self.push_chunk(offset, taken, description);
            left -= taken;
        }
    }

    /// Says that decoding starts with the first sample, whatever it is, and with none of those up to the sample of this number
    /// (from 1): readers look for the last sync sample before the first one that is shown, and begin there.
    pub(super) fn start_with_sync(&mut self, shown: u32) {
        if self.count == 0 || self.is_all_sync {
            return;
        }
        self.sync.retain(|sample| *sample > shown.max(1));
        self.sync.insert(0, 1);
    }

    fn push_chunk(&mut self, offset: u64, samples: u32, description: u32) {
        self.chunks.push(offset);
        if self.chunk_runs.last().is_none_or(|last| (last.1, last.2) != (samples, description)) {
            self.chunk_runs.push((index(self.chunks.len()), samples, description));
        }
    }

    #[inline]
    fn push_offset(&mut self, count: u32, offset: i32) {
        if self.offset_run.0 > 0 && self.offset_run.1 == offset {
            self.offset_run.0 += count;
            return;
        }
        self.flush_offsets();
        self.offset_run = (count, offset);
        self.least_offset = self.least_offset.min(offset);
        self.greatest_offset = self.greatest_offset.max(offset);
    }

    fn flush_offsets(&mut self) {
        let (count, offset) = self.offset_run;
        if count > 0 {
            let mut pair = [0; 8];
            pair[..4].copy_from_slice(&count.to_be_bytes());
            pair[4..].copy_from_slice(&offset.to_be_bytes());
            self.offsets.extend_from_slice(&pair);
            self.offset_entries += 1;
            self.offset_run = (0, 0);
        }
    }

    /// Length of what the edit list presents, in ticks of [`MOVIE_TIMESCALE`].
    fn presentation(&self) -> u64 {
        if self.edits.is_empty() {
            u64::try_from(rescale(self.end, self.timescale, MOVIE_TIMESCALE)).unwrap_or(0)
        } else {
            self.edits.iter().map(|edit| edit.duration).sum()
        }
    }
}

/// A time in another timescale, rounded to the nearest tick.
pub(super) fn rescale(time: i64, from: u32, to: u32) -> i64 {
    if from == to {
        return time;
    }
    let (from, to) = (i128::from(from.max(1)), i128::from(to));
    let scaled = (i128::from(time) * to * 2 + from).div_euclid(2 * from);
    i64::try_from(scaled).unwrap_or(if scaled < 0 { i64::MIN } else { i64::MAX })
}

/// Where the chunk offsets of a finished `moov` stand, so that they can be moved.
pub(super) struct Movie {
    pub(super) bytes: Vec<u8>,
    is_wide: bool,
    tables: Vec<Range<usize>>,
}

impl Movie {
    /// Writes a `moov`. Tracks without samples are left out; `extra` goes in last.
    pub(super) fn write(
        tracks: &mut [TrackBuilder<'_>],
        is_wide: bool,
        created_us: Option<i64>,
        extra: impl FnOnce(&mut BoxWriter),
    ) -> Self {
        tracks.iter_mut().for_each(TrackBuilder::flush_offsets);
        let room: usize = tracks
            .iter()
            .map(|track| {
                let tables = track.sizes.len() + track.offsets.len() + 4 * track.sync.len();
                tables + 8 * track.durations.len() + 8 * track.chunks.len() + 12 * track.chunk_runs.len()
            })
            .sum();
        let mut w = BoxWriter::with_capacity(room + 4096);
        let mut tables = Vec::new();
        let duration = tracks.iter().map(TrackBuilder::presentation).max().unwrap_or(0);
        w.boxed(b"moov", |w| {
            entry::movie_header(w, duration, created_us);
            for track in tracks.iter().filter(|track| !track.is_empty()) {
                tables.extend(write_track(w, track, is_wide, created_us));
            }
            extra(w);
        });
        Self { bytes: w.out, is_wide, tables }
    }

    /// Adds to every chunk offset.
    pub(super) fn move_chunks(&mut self, by: u64) {
        for table in &self.tables {
            let offsets = &mut self.bytes[table.clone()];
            if self.is_wide {
                for offset in offsets.as_chunks_mut::<8>().0 {
                    *offset = (u64::from_be_bytes(*offset) + by).to_be_bytes();
                }
            } else {
                let by = by as u32;
                for offset in offsets.as_chunks_mut::<4>().0 {
                    *offset = u32::from_be_bytes(*offset).wrapping_add(by).to_be_bytes();
                }
            }
        }
    }
}

/// Writes a `trak` and returns where its chunk offsets stand.
fn write_track(
    w: &mut BoxWriter,
    track: &TrackBuilder<'_>,
    is_wide: bool,
    created_us: Option<i64>,
) -> Option<Range<usize>> {
    let first = *track.entries.first()?;
    let mut table = None;
    w.boxed(b"trak", |w| {
        entry::track_header(w, first, track.presentation(), created_us);
        if !track.edits.is_empty() {
            write_edits(w, &track.edits);
        }
        w.boxed(b"mdia", |w| {
            entry::media_header(w, track.timescale, u64::try_from(track.end).unwrap_or(0), created_us);
            entry::handler(w, first);
            w.boxed(b"minf", |w| {
                entry::media_information(w, first);
                w.boxed(b"stbl", |w| table = Some(write_sample_table(w, track, is_wide)));
            });
        });
    });
    table
}

/// `edts`
fn write_edits(w: &mut BoxWriter, edits: &[Edit]) {
    let wide = edits
        .iter()
        .any(|edit| u32::try_from(edit.duration).is_err() || i32::try_from(edit.media_time).is_err());
    w.boxed(b"edts", |w| {
        w.full(b"elst", u8::from(wide), 0, |w| {
            w.u32(index(edits.len()));
            for edit in edits {
                if wide {
                    w.u64(edit.duration);
                    w.i64(edit.media_time);
                } else {
                    w.u32(edit.duration as u32);
                    w.i32(edit.media_time as i32);
                }
                w.u32(0x1_0000); // media_rate 1
            }
        });
    });
}

/// The children of `stbl`; returns where the chunk offsets stand.
fn write_sample_table(w: &mut BoxWriter, track: &TrackBuilder<'_>, is_wide: bool) -> Range<usize> {
    entry::sample_description(w, &track.entries);
    w.full(b"stts", 0, 0, |w| {
        w.u32(index(track.durations.len()));
        for run in &track.durations {
            w.u32(run.count);
            w.u32(run.duration);
        }
    });
    if track.least_offset != 0 || track.greatest_offset != 0 {
        w.full(b"ctts", u8::from(track.least_offset < 0), 0, |w| {
            w.u32(track.offset_entries);
            w.bytes(&track.offsets);
        });
    }
    if !track.is_all_sync {
        w.full(b"stss", 0, 0, |w| {
            w.u32(index(track.sync.len()));
            for sample in &track.sync {
                w.u32(*sample);
            }
        });
    }
    w.full(b"stsc", 0, 0, |w| {
        w.u32(index(track.chunk_runs.len()));
        for (first, samples, description) in &track.chunk_runs {
            w.u32(*first);
            w.u32(*samples);
            w.u32(*description);
        }
    });
    w.full(b"stsz", 0, 0, |w| {
        w.u32(0);
        w.u32(track.count);
        w.bytes(&track.sizes);
    });
    let mut table = 0..0;
    w.full(if is_wide { b"co64" } else { b"stco" }, 0, 0, |w| {
        w.u32(index(track.chunks.len()));
        let start = w.out.len();
        for offset in &track.chunks {
            if is_wide { w.u64(*offset) } else { w.u32(*offset as u32) }
        }
        table = start..w.out.len();
    });
    table
}
