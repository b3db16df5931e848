//! Sessions that no encoder made: every sample has bytes of its own, so that it is known again wherever it turns up.

use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;
use turepe_media::mp4::fragment::write_fragment;
use turepe_media::mp4::init;
use turepe_media::mp4::seal::SampleTable;
use turepe_media::{AudioConfig, Fragment, Sample, SessionConfig, TrackKind, VideoCodec, VideoConfig};

/// `avcC` of x264: 320×180, 25 frames a second, B-frames.
const AVCC: &[u8] = &[
    0x01, 0x64, 0x00, 0x0c, 0xff, 0xe1, 0x00, 0x1a, 0x67, 0x64, 0x00, 0x0c, 0xac, 0xd9, 0x41, 0x41, 0x9f,
    0x9f, 0x01, 0x10, 0x00, 0x00, 0x03, 0x00, 0x10, 0x00, 0x00, 0x03, 0x03, 0x20, 0xf1, 0x42, 0x99, 0x60,
    0x01, 0x00, 0x04, 0x68, 0xef, 0x8f, 0xcb, 0xfd, 0xf8, 0xf8, 0x00,
];

pub(crate) fn config(has_video: bool, sample_rate: Option<u32>) -> Arc<SessionConfig> {
    let asc = |rate| if rate == 48_000 { [0x11, 0x90] } else { [0x12, 0x10] };
    Arc::new(SessionConfig {
        video: has_video
            .then(|| VideoConfig::from_record(VideoCodec::H264, Bytes::from_static(AVCC)).unwrap()),
        audio: sample_rate.map(|rate| AudioConfig::from_asc(Bytes::copy_from_slice(&asc(rate))).unwrap()),
    })
}

/// How a session looks.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    pub(crate) frame: u32,
    /// Frames per GOP.
    pub(crate) gops: Vec<usize>,
    pub(crate) b_frames: usize,
    pub(crate) jitter: Vec<u32>,
    pub(crate) sample_rate: Option<u32>,
    /// Ticks of sound between the origin and the first frame of sound.
    pub(crate) audio_start: u32,
    /// GOPs per segment.
    pub(crate) gops_per_segment: usize,
    pub(crate) seed: u32,
}

pub(crate) fn shape() -> impl Strategy<Value = Shape> {
    (
        prop::sample::select(vec![3600_u32, 3003, 1500, 3000]),
        prop::collection::vec(1_usize..40, 1..7),
        0_usize..4,
        prop_oneof![Just(Vec::new()), prop::collection::vec(0_u32..900, 1..20)],
        prop::option::weighted(0.9, prop::sample::select(vec![48_000_u32, 44_100])),
        0_u32..3000,
        1_usize..4,
        any::<u32>(),
    )
        .prop_map(|(frame, gops, b_frames, jitter, sample_rate, audio_start, gops_per_segment, seed)| {
            Shape { frame, gops, b_frames, jitter, sample_rate, audio_start, gops_per_segment, seed }
        })
}

fn payload(shape: &Shape, track: TrackKind, number: usize, is_sync: bool) -> Bytes {
    let name = [&shape.seed.to_be_bytes()[..], &(number as u32).to_be_bytes(), &[track as u8 + 1]].concat();
    let filling = (number * 37 + shape.seed as usize) % if is_sync { 900 } else { 200 };
    let mut body = vec![if is_sync { 0x65 } else { 0x41 }];
    body.extend_from_slice(&name);
    body.resize(body.len() + filling, 0xee);
    match track {
        TrackKind::Video => [&(body.len() as u32).to_be_bytes()[..], &body].concat().into(),
        TrackKind::Audio => body.into(),
    }
}

/// The samples of a session, decoded in this order.
pub(crate) fn samples(shape: &Shape) -> (Arc<SessionConfig>, Vec<Sample>) {
    let mut video = Vec::new();
    let mut time = 0_i64;
    for frames in &shape.gops {
        // Decode order: key, then groups of a P-frame and the B-frames shown before it.
        let mut shown = vec![0];
        while shown.len() < *frames {
            let start = shown.len();
            let group = (shape.b_frames + 1).min(frames - start);
            shown.push(start + group - 1);
            shown.extend(start..start + group - 1);
        }
        let duration = |number: usize| {
            let jitter = shape.jitter.get(number % shape.jitter.len().max(1)).copied().unwrap_or(0);
            shape.frame - jitter.min(shape.frame - 1)
        };
        let first = video.len();
        let starts: Vec<i64> = (0..=*frames)
            .scan(time, |next, number| {
                let start = *next;
                *next += i64::from(duration(first + number));
                Some(start)
            })
            .collect();
        for (decoded, shown) in shown.into_iter().enumerate() {
            let number = first + decoded;
            video.push(Sample {
                track: TrackKind::Video,
                decode_time: starts[decoded],
                duration: (starts[decoded + 1] - starts[decoded]) as u32,
                composition_offset: (starts[shown] - starts[decoded]) as i32,
                is_sync: decoded == 0,
                data: payload(shape, TrackKind::Video, number, decoded == 0),
            });
        }
        time = starts[*frames];
    }
    let config = config(true, shape.sample_rate);
    let mut all = video;
    if let Some(rate) = shape.sample_rate {
        let end = time * i64::from(rate) / 90_000;
        let starts = (0..).map(|number| i64::from(shape.audio_start) + number * 1024);
        for (number, decode_time) in starts.take_while(|start| *start < end).enumerate() {
            all.push(Sample {
                track: TrackKind::Audio,
                decode_time,
                duration: 1024,
                composition_offset: 0,
                is_sync: true,
                data: payload(shape, TrackKind::Audio, number, true),
            });
        }
    }
    (config, all)
}

/// A segment file and where in time it lies.
pub(crate) struct Segment {
    pub(crate) table: SampleTable,
    pub(crate) start_us: i64,
    pub(crate) end_us: i64,
    pub(crate) growing: Vec<u8>,
}

/// Fragments of about half a second.
pub(crate) fn fragments(config: &SessionConfig, samples: &[Sample], start_us: i64) -> Vec<Fragment> {
    let of = |track| samples.iter().filter(move |sample| sample.track == track);
    let rate = i64::from(config.timescale(TrackKind::Audio));
    let mut sound = of(TrackKind::Audio).peekable();
    let (mut fragments, mut video) = (Vec::new(), Vec::<Sample>::new());
    let mut pictures = of(TrackKind::Video).peekable();
    while let Some(picture) = pictures.next() {
        video.push(picture.clone());
        let next_is_key = pictures.peek().is_none_or(|next| next.is_sync);
        if next_is_key || picture.decode_time - video[0].decode_time >= 42_000 {
            let end = (picture.decode_time + i64::from(picture.duration)) * rate / 90_000;
            let mut audio: Vec<_> =
                std::iter::from_fn(|| sound.next_if(|sound| sound.decode_time < end)).cloned().collect();
            let us = start_us + (video[0].decode_time + i64::from(video[0].composition_offset)) * 100 / 9;
            let is_key = video[0].is_sync;
            fragments.push(write_fragment(7, config, us, &mut video, &mut audio, is_key));
        }
    }
    fragments
}

/// The files of a session.
pub(crate) fn record(shape: &Shape, start_us: i64) -> Vec<Segment> {
    let (config, samples) = samples(shape);
    let mut segments: Vec<Segment> = Vec::new();
    let mut gops = 0;
    for fragment in fragments(&config, &samples, start_us) {
        gops += usize::from(fragment.is_key);
        if segments.is_empty() || (fragment.is_key && gops > shape.gops_per_segment) {
            gops = 1;
            let growing = init::file_header(&config).to_vec();
            let table = SampleTable::new(Arc::clone(&config), growing.len() as u32);
            segments.push(Segment { table, start_us: fragment.start_us, end_us: fragment.start_us, growing });
        }
        let segment = segments.last_mut().unwrap();
        segment.table.push(&fragment);
        segment.growing.extend_from_slice(&fragment.head);
        fragment.payload.iter().for_each(|payload| segment.growing.extend_from_slice(payload));
        segment.end_us = fragment.start_us + i64::from(fragment.duration_90k) * 100 / 9;
    }
    segments
}
