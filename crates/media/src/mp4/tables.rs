//! The samples of one track of one segment file, in about five to nine bytes each.

use std::ops::Range;

use crate::TrackRun;

/// Samples that follow each other in the file without a hole.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Chunk {
    /// Offset of the first payload byte from the start of the file.
    pub(super) offset: u64,
    /// Index of the first sample.
    pub(super) first: u32,
}

/// `count` samples in a row with the same duration.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct DurationRun {
    pub(super) count: u32,
    pub(super) duration: u32,
}

/// Appends a duration, to the last run where it is the same.
pub(super) fn push_duration(runs: &mut Vec<DurationRun>, count: u32, duration: u32) {
    match runs.last_mut() {
        Some(run) if run.duration == duration => run.count += count,
        _ if count == 0 => {}
        _ => runs.push(DurationRun { count, duration }),
    }
}

/// Changes the duration of the last sample.
pub(super) fn set_last_duration(runs: &mut Vec<DurationRun>, duration: u32) {
    if let Some(run) = runs.last_mut() {
        run.count -= 1;
        if run.count == 0 {
            runs.pop();
        }
        push_duration(runs, 1, duration);
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct TrackTable {
    /// Decode time of the first sample, in ticks since the session's origin.
    pub(super) base: i64,
    /// Decode time at which the last sample ends.
    pub(super) end: i64,
    pub(super) sizes: Vec<u32>,
    pub(super) durations: Vec<DurationRun>,
    /// Composition offsets; empty while all are 0.
    pub(super) offsets: Vec<i32>,
    /// Indexes of the sync samples; empty while all are.
    pub(super) sync: Vec<u32>,
    pub(super) is_all_sync: bool,
    pub(super) chunks: Vec<Chunk>,
}

impl Default for TrackTable {
    fn default() -> Self {
        Self {
            base: 0,
            end: 0,
            sizes: Vec::new(),
            durations: Vec::new(),
            offsets: Vec::new(),
            sync: Vec::new(),
            is_all_sync: true,
            chunks: Vec::new(),
        }
    }
}

impl TrackTable {
    pub(super) fn len(&self) -> usize {
        self.sizes.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.sizes.is_empty()
    }

    /// What `stsz` (4 bytes a sample), `stts` and `ctts` (8 a run), `stss` (4), `stsc` (12 a chunk) and `co64` (8) take at most.
    pub(super) fn max_box_bytes(&self) -> u64 {
        (self.len() as u64) * (4 + 8 + 8 + 4) + (self.chunks.len() as u64) * (12 + 8)
    }

    /// Appends the samples of a fragment whose first payload byte lies at `offset`.
    ///
    /// Decode times follow from durations. Where a run does not start where the one before it ended, the sample before it
    /// lasts longer or shorter.
    pub(super) fn push(&mut self, run: &TrackRun, offset: u64) {
        if run.samples.is_empty() {
            return;
        }
        if self.is_empty() {
            self.base = run.base_decode_time;
            self.end = run.base_decode_time;
        } else if run.base_decode_time != self.end {
            let last = i64::from(self.durations.last().map_or(0, |last| last.duration));
            let wanted = last.saturating_add(run.base_decode_time.saturating_sub(self.end));
            let duration = u32::try_from(wanted.max(1)).unwrap_or(u32::MAX);
            set_last_duration(&mut self.durations, duration);
            self.end = self.end.saturating_add(i64::from(duration) - last);
        }
        let first = self.len();
        self.chunks.push(Chunk { offset, first: index(first) });
        reserve(&mut self.sizes, run.samples.len());
        for (position, sample) in run.samples.iter().enumerate() {
            let sample_index = first + position;
            self.sizes.push(sample.size);
            push_duration(&mut self.durations, 1, sample.duration);
            self.end = self.end.saturating_add(i64::from(sample.duration));
            if sample.composition_offset != 0 && self.offsets.is_empty() {
                self.offsets.resize(sample_index, 0);
                self.offsets.push(sample.composition_offset);
            } else if !self.offsets.is_empty() {
                reserve(&mut self.offsets, 1);
                self.offsets.push(sample.composition_offset);
            }
            if !sample.is_sync && self.is_all_sync {
                self.is_all_sync = false;
                self.sync = (0..index(sample_index)).collect();
            } else if sample.is_sync && !self.is_all_sync {
                self.sync.push(index(sample_index));
            }
        }
    }

    /// Durations of a range of samples, as runs.
    pub(super) fn durations(&self, range: Range<usize>) -> impl Iterator<Item = DurationRun> {
        let mut position = 0_usize;
        self.durations.iter().filter_map(move |run| {
            let start = position.max(range.start);
            position += run.count as usize;
            let end = position.min(range.end);
            (start < end).then(|| DurationRun { count: index(end - start), duration: run.duration })
        })
    }

    /// Decode time of a sample, or the end after the last one.
    pub(super) fn decode_time(&self, sample: usize) -> i64 {
        let passed = self.durations(0..sample).map(|run| i64::from(run.count) * i64::from(run.duration));
        self.base + passed.sum::<i64>()
    }

    /// Index of the first sample that is decoded at `time` or later.
    pub(super) fn first_at_or_after(&self, time: i64) -> usize {
        let (mut position, mut start) = (0, self.base);
        for run in &self.durations {
            let length = i64::from(run.count) * i64::from(run.duration);
            if start + length >= time {
                let duration = i64::from(run.duration.max(1));
                let passed = (time - start).max(0);
                return position + ((passed + duration - 1) / duration) as usize;
            }
            position += run.count as usize;
            start += length;
        }
        position
    }

    pub(super) fn offset(&self, sample: usize) -> i32 {
        self.offsets.get(sample).copied().unwrap_or(0)
    }

    /// What has to be added to the composition offsets of these samples so that none is negative.
    ///
    /// Offsets in a plain MP4 are raised by it, and the edit list takes it back: older readers know only unsigned offsets,
    /// and ffmpeg finds out too late about negative ones in a short table.
    pub(super) fn offset_raise(&self, samples: Range<usize>) -> i32 {
        let least = self.offsets.get(samples).and_then(|offsets| offsets.iter().min());
        0.max(least.map_or(0, |least| least.saturating_neg()))
    }

    /// The last sync sample at or before a sample.
    pub(super) fn sync_at_or_before(&self, sample: usize) -> Option<usize> {
        if self.is_all_sync {
            return Some(sample);
        }
        let after = self.sync.partition_point(|sync| *sync as usize <= sample);
        after.checked_sub(1).map(|position| self.sync[position] as usize)
    }

    /// Indexes of the samples at which decoding can start.
    pub(super) fn syncs(&self) -> impl Iterator<Item = usize> + '_ {
        let every = if self.is_all_sync { self.len() } else { 0 };
        let listed = if self.is_all_sync { &[][..] } else { &self.sync[..] };
        (0..every).chain(listed.iter().map(|sample| *sample as usize))
    }

    /// Indexes of the samples of a chunk.
    pub(super) fn chunk_samples(&self, chunk: usize) -> Range<usize> {
        let end = self.chunks.get(chunk + 1).map_or(self.len(), |next| next.first as usize);
        self.chunks[chunk].first as usize..end
    }

    /// Index of the chunk that holds a sample.
    pub(super) fn chunk_of(&self, sample: usize) -> usize {
        self.chunks.partition_point(|chunk| chunk.first as usize <= sample).saturating_sub(1)
    }

    /// Bytes of a range of samples of one chunk.
    pub(super) fn bytes(&self, chunk: usize, samples: Range<usize>) -> Range<u64> {
        let sum = |range: Range<usize>| self.sizes[range].iter().map(|size| u64::from(*size)).sum::<u64>();
        let start = self.chunks[chunk].offset + sum(self.chunk_samples(chunk).start..samples.start);
        start..start + sum(samples)
    }
}

/// An index or count as the file formats hold it.
pub(super) fn index(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

/// Makes room in steps of an eighth: a table that lives for 15 minutes shall not be half empty.
fn reserve<T>(values: &mut Vec<T>, additional: usize) {
    if values.capacity() - values.len() < additional {
        values.reserve_exact(additional.max(values.len() / 8).max(64));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SampleMeta;

    fn run(base: i64, durations: &[u32]) -> TrackRun {
        let samples = durations
            .iter()
            .map(|duration| SampleMeta {
                size: 10,
                duration: *duration,
                composition_offset: 0,
                is_sync: true,
            })
            .collect();
        TrackRun { base_decode_time: base, data_offset: 0, samples }
    }

    #[test]
    fn times_follow_from_durations() {
        let mut table = TrackTable::default();
        table.push(&run(1000, &[10, 10, 12]), 100);
        table.push(&run(1032, &[10]), 200);
        assert_eq!(table.end, 1042);
        let times: Vec<_> = (0..=4).map(|sample| table.decode_time(sample)).collect();
        assert_eq!(times, [1000, 1010, 1020, 1032, 1042]);
        let firsts: Vec<_> =
            [0, 1000, 1001, 1010, 1031, 1032, 1033, 1042, 9999].map(|t| table.first_at_or_after(t)).into();
        assert_eq!(firsts, [0, 0, 1, 1, 3, 3, 4, 4, 4]);
        assert_eq!(table.bytes(1, 3..4), 200..210);
    }

    #[test]
    fn a_hole_stretches_the_sample_before_it() {
        let mut table = TrackTable::default();
        table.push(&run(0, &[10, 10]), 0);
        table.push(&run(50, &[10]), 0);
        assert_eq!(table.decode_time(2), 50);
        assert_eq!(table.end, 60);
        table.push(&run(55, &[10]), 0);
        assert_eq!(table.decode_time(3), 55);
    }
}
