//! One `moof` and the head of its `mdat` (ISO/IEC 14496-12 §8.8.4 to §8.8.12). The payload is never touched.

use bytes::Bytes;

use super::boxes::BoxWriter;
use super::{AUDIO_TRACK_ID, VIDEO_TRACK_ID};
use crate::{Fragment, Sample, SampleMeta, SessionConfig, TICKS_PER_SECOND_VIDEO, TrackKind, TrackRun};

/// `sample_depends_on` 2: an I picture (§8.6.4.3).
pub(super) const FLAGS_SYNC: u32 = 0x0200_0000;
/// `sample_depends_on` 1 and `sample_is_non_sync_sample`.
pub(super) const FLAGS_NON_SYNC: u32 = 0x0101_0000;

pub(super) const TFHD_BASE_DATA_OFFSET: u32 = 0x1;
pub(super) const TFHD_SAMPLE_DESCRIPTION: u32 = 0x2;
pub(super) const TFHD_DURATION: u32 = 0x8;
pub(super) const TFHD_SIZE: u32 = 0x10;
pub(super) const TFHD_FLAGS: u32 = 0x20;
pub(super) const TFHD_DEFAULT_BASE_IS_MOOF: u32 = 0x2_0000;
pub(super) const TRUN_DATA_OFFSET: u32 = 0x1;
pub(super) const TRUN_FIRST_FLAGS: u32 = 0x4;
pub(super) const TRUN_DURATION: u32 = 0x100;
pub(super) const TRUN_SIZE: u32 = 0x200;
pub(super) const TRUN_FLAGS: u32 = 0x400;
pub(super) const TRUN_OFFSET: u32 = 0x800;

/// Writes a fragment out of samples in decode order and empties both lists.
///
/// `lead_start_us` and `is_key` are carried over into the fragment as they are. Samples of a track that `config` does not
/// have are dropped. Together the payloads stay far below 4 GiB: whoever collects samples limits them.
#[must_use]
pub fn write_fragment(
    sequence: u32,
    config: &SessionConfig,
    lead_start_us: i64,
    video: &mut Vec<Sample>,
    audio: &mut Vec<Sample>,
    is_key: bool,
) -> Fragment {
    if config.video.is_none() {
        video.clear();
    }
    if config.audio.is_none() {
        audio.clear();
    }
    let mut payload = Vec::with_capacity(audio.len() + video.len());
    let (mut audio_run, audio_bytes) = take(audio, &mut payload);
    let (mut video_run, video_bytes) = take(video, &mut payload);

    // moof 8, mfhd 16, per track traf 8, tfhd ≤ 28, tfdt 20, trun ≤ 24 + 16 a sample, mdat 8
    let samples = audio_run.samples.len() + video_run.samples.len();
    let mut w = BoxWriter::with_capacity(8 + 16 + 2 * 80 + 16 * samples + 8);
    let (mut audio_position, mut video_position) = (None, None);
    w.boxed(b"moof", |w| {
        w.full(b"mfhd", 0, 0, |w| w.u32(sequence));
        if !video_run.samples.is_empty() {
            video_position = Some(track_fragment(w, VIDEO_TRACK_ID, &video_run));
        }
        if !audio_run.samples.is_empty() {
            audio_position = Some(track_fragment(w, AUDIO_TRACK_ID, &audio_run));
        }
    });
    let head_bytes = w.out.len() as u64 + 8;
    audio_run.data_offset = saturating_u32(head_bytes);
    video_run.data_offset = saturating_u32(head_bytes + audio_bytes);
    for (position, run) in [(audio_position, &audio_run), (video_position, &video_run)] {
        if let Some(position) = position {
            w.out[position..position + 4].copy_from_slice(&run.data_offset.to_be_bytes());
        }
    }
    w.u32(saturating_u32(8 + audio_bytes + video_bytes));
    w.bytes(b"mdat");

    let duration_90k = match config.lead() {
        TrackKind::Video => duration_90k(&video_run, TICKS_PER_SECOND_VIDEO),
        TrackKind::Audio => duration_90k(&audio_run, config.timescale(TrackKind::Audio)),
    };
    Fragment {
        start_us: lead_start_us,
        duration_90k,
        is_key,
        head: Bytes::from(w.out),
        payload,
        size_bytes: saturating_u32(head_bytes + audio_bytes + video_bytes),
        video: video_run,
        audio: audio_run,
    }
}

/// Length of a run in ticks of 1/90 000 s, so that the lengths of many add up without drift.
pub(super) fn duration_90k(run: &TrackRun, timescale: u32) -> u32 {
    let length: i64 = run.samples.iter().map(|sample| i64::from(sample.duration)).sum();
    let scaled =
        |ticks: i64| i128::from(ticks) * i128::from(TICKS_PER_SECOND_VIDEO) / i128::from(timescale.max(1));
    let duration = scaled(run.base_decode_time.saturating_add(length)) - scaled(run.base_decode_time);
    u32::try_from(duration).unwrap_or(u32::MAX)
}

/// Moves the payloads out; what is left of each sample goes into the run.
fn take(samples: &mut Vec<Sample>, payload: &mut Vec<Bytes>) -> (TrackRun, u64) {
    // `tfdt` is unsigned (§8.8.12): nothing is decoded before the session's origin.
    let base_decode_time = samples.first().map_or(0, |sample| sample.decode_time.max(0));
    let mut metas = Vec::with_capacity(samples.len());
    let mut bytes = 0;
    for sample in samples.drain(..) {
        let size = saturating_u32(sample.data.len() as u64);
        bytes += u64::from(size);
        metas.push(SampleMeta {
            size,
            duration: sample.duration,
            composition_offset: sample.composition_offset,
            is_sync: sample.is_sync,
        });
        payload.push(sample.data);
    }
    (TrackRun { base_decode_time, data_offset: 0, samples: metas }, bytes)
}

/// Writes a `traf` and returns where its data offset has to be filled in.
fn track_fragment(w: &mut BoxWriter, track_id: u32, run: &TrackRun) -> usize {
    let samples = &run.samples[..];
    let first = &samples[0];
    // What all samples share is said once, in `tfhd`.
    let (mut same_duration, mut same_flags_but_first, mut has_offsets) = (true, true, false);
    let rest_is_sync = samples.get(1).is_some_and(|sample| sample.is_sync);
    for sample in &samples[1..] {
        same_duration &= sample.duration == first.duration;
        same_flags_but_first &= sample.is_sync == rest_is_sync;
        has_offsets |= sample.composition_offset != 0;
    }
    has_offsets |= first.composition_offset != 0;
    let default_flags = if samples.len() == 1 { flags_of(first.is_sync) } else { flags_of(rest_is_sync) };
    let first_differs = same_flags_but_first && flags_of(first.is_sync) != default_flags;

    let mut tfhd = TFHD_DEFAULT_BASE_IS_MOOF;
    let mut trun = TRUN_DATA_OFFSET | TRUN_SIZE;
    if same_duration {
        tfhd |= TFHD_DURATION;
    } else {
        trun |= TRUN_DURATION;
    }
    if same_flags_but_first {
        tfhd |= TFHD_FLAGS;
    } else {
        trun |= TRUN_FLAGS;
    }
    if first_differs {
        trun |= TRUN_FIRST_FLAGS;
    }
    if has_offsets {
        trun |= TRUN_OFFSET;
    }

    let mut data_offset_position = 0;
    w.boxed(b"traf", |w| {
        w.full(b"tfhd", 0, tfhd, |w| {
            w.u32(track_id);
            if same_duration {
                w.u32(first.duration);
            }
            if same_flags_but_first {
                w.u32(default_flags);
            }
        });
        w.full(b"tfdt", 1, 0, |w| w.i64(run.base_decode_time));
        w.full(b"trun", 1, trun, |w| {
            w.u32(saturating_u32(samples.len() as u64));
            data_offset_position = w.out.len();
            w.u32(0);
            if first_differs {
                w.u32(flags_of(first.is_sync));
            }
            for sample in samples {
                if !same_duration {
                    w.u32(sample.duration);
                }
                w.u32(sample.size);
                if !same_flags_but_first {
                    w.u32(flags_of(sample.is_sync));
                }
                if has_offsets {
                    w.i32(sample.composition_offset);
                }
            }
        });
    });
    data_offset_position
}

fn flags_of(is_sync: bool) -> u32 {
    if is_sync { FLAGS_SYNC } else { FLAGS_NON_SYNC }
}

fn saturating_u32(value: u64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}
