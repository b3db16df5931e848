//! A clip recorded as the program does it: samples, fragments, segment files; all in memory.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use turepe_media::mp4::demux::{DemuxError, Mp4File, locate_moov};
use turepe_media::mp4::fragment::write_fragment;
use turepe_media::mp4::init;
use turepe_media::mp4::seal::SampleTable;
use turepe_media::{Fragment, Sample, SessionConfig, TICKS_PER_SECOND_VIDEO, TrackKind};

use super::peer::{Clip, clip};

/// Reads a file with our demuxer.
pub(crate) fn demux(path: &Path) -> (Result<Mp4File, DemuxError>, Bytes) {
    let bytes = Bytes::from(std::fs::read(path).unwrap());
    let read = |offset: u64, len: usize| -> Result<Bytes, ()> {
        let start = (offset as usize).min(bytes.len());
        Ok(bytes.slice(start..start.saturating_add(len).min(bytes.len())))
    };
    let file = locate_moov(bytes.len() as u64, read).unwrap().and_then(|moov| Mp4File::from_moov(&moov));
    (file, bytes)
}

/// The samples of a clip on the timeline of a session: it starts with the first keyframe at 0.
pub(crate) fn samples(path: &Path) -> (Arc<SessionConfig>, Vec<Sample>) {
    let (file, bytes) = demux(path);
    let file = file.unwrap();
    let config = SessionConfig { video: file.video.clone(), audio: file.audio.clone() };
    let rescale = |time: i64, from: u32, to: u32| {
        (time * i64::from(to) * 2 + i64::from(from)).div_euclid(2 * i64::from(from))
    };
    let first = file.samples.iter().find(|sample| sample.track == TrackKind::Video).unwrap();
    let (first_decoded, first_offset) = (first.decode_time, first.composition_offset);
    let mut samples = Vec::new();
    for sample in &file.samples {
        let data = bytes.slice(sample.offset as usize..sample.offset as usize + sample.size as usize);
        let scale = file.timescale(sample.track);
        let (decode_time, composition_offset) = match sample.track {
            TrackKind::Video => {
                let decode_time = rescale(sample.decode_time - first_decoded, scale, TICKS_PER_SECOND_VIDEO);
                let shown =
                    sample.decode_time - first_decoded + i64::from(sample.composition_offset - first_offset);
                let shown = rescale(shown, scale, TICKS_PER_SECOND_VIDEO);
                (decode_time, (shown - decode_time) as i32)
            }
            TrackKind::Audio => (sample.decode_time, 0),
        };
        if decode_time >= 0 {
            let track = sample.track;
            samples.push(Sample {
                track,
                decode_time,
                duration: 0,
                composition_offset,
                is_sync: sample.is_sync,
                data,
            });
        }
    }
    for track in [TrackKind::Video, TrackKind::Audio] {
        let of_track = || |sample: &&mut Sample| sample.track == track;
        let times: Vec<_> = samples.iter_mut().filter(of_track()).map(|sample| sample.decode_time).collect();
        for (position, sample) in samples.iter_mut().filter(of_track()).enumerate() {
            // The last one lasts as long as the one before it.
            let next = (position + 1).min(times.len() - 1);
            sample.duration = (times[next] - times[next - 1]) as u32;
        }
    }
    (Arc::new(config), samples)
}

/// Half-second fragments, a new one at every keyframe.
pub(crate) fn fragments(config: &SessionConfig, samples: &[Sample], start_us: i64) -> Vec<Fragment> {
    let mut fragments = Vec::new();
    let (mut video, mut audio) = (Vec::<Sample>::new(), Vec::<Sample>::new());
    let mut waiting: std::collections::VecDeque<_> =
        samples.iter().filter(|sample| sample.track == TrackKind::Audio).cloned().collect();
    let mut flush = |video: &mut Vec<Sample>, audio: &mut Vec<Sample>| {
        let Some(first) = video.first() else { return };
        let (start, is_key) = (start_us + first.decode_time * 100 / 9, first.is_sync);
        fragments.push(write_fragment(fragments.len() as u32 + 1, config, start, video, audio, is_key));
    };
    for sample in samples.iter().filter(|sample| sample.track == TrackKind::Video) {
        let is_long = video.first().is_some_and(|first| sample.decode_time - first.decode_time >= 45_000);
        if sample.is_sync || is_long {
            flush(&mut video, &mut audio);
        }
        video.push(sample.clone());
        let until = (sample.decode_time + i64::from(sample.duration)) as f64 / 90_000.0;
        while waiting.front().is_some_and(|sound| {
            (sound.decode_time as f64) < until * f64::from(config.timescale(TrackKind::Audio))
        }) {
            audio.extend(waiting.pop_front());
        }
    }
    flush(&mut video, &mut audio);
    fragments
}

/// A segment file.
pub(crate) struct Segment {
    pub(crate) table: SampleTable,
    pub(crate) start_us: i64,
    pub(crate) end_us: i64,
    /// The file while it grows.
    pub(crate) growing: Vec<u8>,
    /// The file once it is sealed.
    pub(crate) sealed: Vec<u8>,
}

/// Segments of at least `segment_us` each, cut at keyframes.
pub(crate) fn segments(config: &Arc<SessionConfig>, fragments: &[Fragment], segment_us: i64) -> Vec<Segment> {
    let mut groups: Vec<Vec<&Fragment>> = Vec::new();
    for fragment in fragments {
        match groups.last_mut() {
            Some(group) if !fragment.is_key || fragment.start_us - group[0].start_us < segment_us => {
                group.push(fragment)
            }
            _ => groups.push(vec![fragment]),
        }
    }
    groups
        .iter()
        .map(|group| {
            let mut growing = init::file_header(config).to_vec();
            let mut table = SampleTable::new(Arc::clone(config), growing.len() as u32);
            for fragment in group {
                table.push(fragment);
                growing.extend_from_slice(&fragment.head);
                fragment.payload.iter().for_each(|payload| growing.extend_from_slice(payload));
                assert_eq!(growing.len() as u64, table.end_offset());
            }
            let mut sealed = growing.clone();
            sealed.extend_from_slice(&table.moov());
            let (offset, patch) = table.mdat_patch(growing.len() as u64);
            sealed[offset as usize..offset as usize + patch.len()].copy_from_slice(&patch);
            let length: i64 = group.iter().map(|fragment| i64::from(fragment.duration_90k)).sum();
            let start_us = group[0].start_us;
            Segment { table, start_us, end_us: start_us + length * 100 / 9, growing, sealed }
        })
        .collect()
}

/// The start of every test session, in UTC microseconds.
pub(crate) const START_US: i64 = 1_790_000_000_000_000;

/// A clip recorded into segments of about `segment_us`.
pub(crate) fn record(source: Clip, start_us: i64, segment_us: i64) -> Vec<Segment> {
    let (config, samples) = samples(&clip(source));
    segments(&config, &fragments(&config, &samples, start_us), segment_us)
}
