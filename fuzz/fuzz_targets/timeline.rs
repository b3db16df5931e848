//! Foreign times and bodies through timeline and fragmenter: decode times of a track strictly increase within a session.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use media::flv::{AudioTag, VideoTag, parse_audio, parse_video};
use media::fragmenter::{FragmentEvent, Fragmenter};
use media::timeline::{Timeline, TimelineConfig, TimelineEvent};
use media::{EndCause, TrackKind, VideoCodec};

/// Baseline, 320x240.
const AVCC: &[u8] = &[
    0x01, 0x42, 0xc0, 0x1e, 0xff, 0xe1, 0x00, 0x09, 0x67, 0x42, 0xc0, 0x1e, 0xd9, 0x01, 0x41, 0xfb, 0x01,
    0x01, 0x00, 0x04, 0x68, 0xce, 0x3c, 0x80,
];

/// AAC-LC, 48 kHz, stereo.
const ASC: &[u8] = &[0x11, 0x90];

/// What a publisher does next, in eight bytes.
struct Step {
    kind: u8,
    timestamp_ms: u32,
    later_us: i64,
    composition_time_ms: i32,
}

fn steps(bytes: &[u8]) -> impl Iterator<Item = Step> {
    bytes.as_chunks::<8>().0.iter().map(|step| {
        let [kind, a, b, c, d, e, f, g] = *step;
        Step {
            kind,
            timestamp_ms: u32::from_be_bytes([a, b, c, d]),
            later_us: i64::from(e) * i64::from(e) * 1000,
            composition_time_ms: i32::from(i16::from_be_bytes([f, g])),
        }
    })
}

fuzz_target!(|bytes: &[u8]| {
    let mut timeline = Timeline::new(TimelineConfig::default());
    let mut fragmenter = Fragmenter::new();
    let mut now_us = 1_700_000_000_000_000;
    let mut running_ms = 0_u32;
    let mut last = [None; 2];
    for step in steps(bytes) {
        now_us += step.later_us;
        // Mostly a plausible stream, sometimes any time at all.
        running_ms = if step.kind & 0x80 != 0 {
            step.timestamp_ms
        } else {
            running_ms.wrapping_add(step.timestamp_ms >> 26)
        };
        let nal = Bytes::from_static(&[0, 0, 0, 2, 0x65, 0x88]);
        let result = match step.kind & 0x07 {
            0 => timeline.video(
                running_ms,
                VideoTag::SequenceHeader { codec: VideoCodec::H264, record: Bytes::from_static(AVCC) },
                now_us,
            ),
            1..=3 => {
                let is_key = step.kind & 0x07 == 1;
                let composition_time_ms = step.composition_time_ms;
                timeline.video(running_ms, VideoTag::Frame { is_key, composition_time_ms, data: nal }, now_us)
            }
            4 => timeline.audio(
                running_ms,
                AudioTag::SequenceHeader { record: Bytes::from_static(ASC) },
                now_us,
            ),
            5 => timeline.audio(running_ms, AudioTag::Frame { data: nal }, now_us),
            6 => parse_video(Bytes::copy_from_slice(bytes))
                .map_or(Ok(()), |tag| timeline.video(running_ms, tag, now_us)),
            _ => parse_audio(Bytes::copy_from_slice(bytes))
                .map_or(Ok(()), |tag| timeline.audio(running_ms, tag, now_us)),
        };
        if result.is_err() {
            break;
        }
        drain(&mut timeline, &mut fragmenter, &mut last);
    }
    timeline.end(now_us, EndCause::Network);
    drain(&mut timeline, &mut fragmenter, &mut last);
});

fn drain(timeline: &mut Timeline, fragmenter: &mut Fragmenter, last: &mut [Option<i64>; 2]) {
    while let Some(event) = timeline.poll() {
        match &event {
            TimelineEvent::SessionStart { .. } => *last = [None; 2],
            TimelineEvent::Sample { sample, .. } => {
                let last = &mut last[usize::from(sample.track == TrackKind::Audio)];
                assert!(last.is_none_or(|last| last < sample.decode_time), "decode times increase");
                assert!(sample.duration > 0);
                *last = Some(sample.decode_time);
            }
            TimelineEvent::SessionEnd { .. } => {}
        }
        fragmenter.push(event);
        while let Some(event) = fragmenter.poll() {
            if let FragmentEvent::Fragment(fragment) = event {
                let payload: usize = fragment.payload.iter().map(Bytes::len).sum();
                assert_eq!(fragment.head.len() + payload, fragment.size_bytes as usize);
            }
        }
    }
}
