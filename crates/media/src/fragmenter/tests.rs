use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;

use super::{FragmentEvent, Fragmenter, MAX_FRAGMENT_BYTES, MAX_FRAGMENT_SAMPLES, Session};
use crate::{
    AudioConfig, EndCause, Fragment, Sample, SessionConfig, TrackKind, VideoCodec, VideoConfig,
    timeline::TimelineEvent,
};

const START: i64 = 1_795_212_000_000_000;

fn config(with_video: bool, with_audio: bool) -> Arc<SessionConfig> {
    Arc::new(SessionConfig {
        video: with_video.then(|| VideoConfig {
            codec: VideoCodec::H264,
            record: Bytes::from_static(&[1, 100, 0, 31, 255, 224, 0]),
            width: 1280,
            height: 720,
            codec_string: "avc1.64001f".to_owned(),
            frame_rate: None,
            pixel_aspect_ratio: None,
        }),
        audio: with_audio.then(|| AudioConfig {
            record: Bytes::from_static(&[0x11, 0x90]),
            sample_rate: 48_000,
            channels: 2,
            samples_per_frame: 1024,
            codec_string: "mp4a.40.2".to_owned(),
        }),
    })
}

fn video(number: i64, is_sync: bool, size: usize) -> TimelineEvent {
    TimelineEvent::Sample {
        sample: Sample {
            track: TrackKind::Video,
            decode_time: number * 3003,
            duration: 3003,
            composition_offset: if is_sync { 0 } else { 3003 },
            is_sync,
            data: Bytes::from(vec![7; size]),
        },
        wall_us: START + (number + i64::from(!is_sync)) * 3003 * 100 / 9,
    }
}

fn audio(number: i64) -> TimelineEvent {
    TimelineEvent::Sample {
        sample: Sample {
            track: TrackKind::Audio,
            decode_time: number * 1024,
            duration: 1024,
            composition_offset: 0,
            is_sync: true,
            data: Bytes::from_static(b"sound"),
        },
        wall_us: START + number * 64_000 / 3,
    }
}

#[derive(Default)]
struct Recorded {
    session: Option<Arc<Session>>,
    fragments: Vec<Arc<Fragment>>,
    ends: usize,
}

fn run(events: impl IntoIterator<Item = TimelineEvent>, config: Arc<SessionConfig>) -> Recorded {
    let mut fragmenter = Fragmenter::new();
    fragmenter.push(TimelineEvent::SessionStart { config, start_us: START });
    for event in events {
        fragmenter.push(event);
    }
    fragmenter.push(TimelineEvent::SessionEnd { end_us: START + 1, cause: EndCause::Camera });
    let mut recorded = Recorded::default();
    while let Some(event) = fragmenter.poll() {
        match event {
            FragmentEvent::SessionStart(session) => recorded.session = Some(session),
            FragmentEvent::Fragment(fragment) => recorded.fragments.push(fragment),
            FragmentEvent::SessionEnd { .. } => recorded.ends += 1,
        }
    }
    recorded
}

/// What holds for the fragments of any session.
fn check(fragments: &[Arc<Fragment>]) {
    let mut next: [Option<i64>; 2] = [None, None];
    let mut sum = 0;
    for fragment in fragments {
        for (next, run) in next.iter_mut().zip([&fragment.video, &fragment.audio]) {
            if run.samples.is_empty() {
                continue;
            }
            assert!(next.is_none_or(|next| next == run.base_decode_time), "a hole between fragments");
            let length: i64 = run.samples.iter().map(|sample| i64::from(sample.duration)).sum();
            *next = Some(run.base_decode_time + length);
        }
        if let Some(lead) = fragment.video.samples.first() {
            assert_eq!(fragment.is_key, lead.is_sync);
            assert!(fragment.video.samples[1..].iter().all(|sample| !sample.is_sync));
            assert_eq!(
                fragment.video.base_decode_time,
                START * 9 / 100 + sum,
                "decode times count from the epoch"
            );
            assert!((fragment.start_us - START - sum * 100 / 9).abs() <= 1, "{}", fragment.start_us);
        }
        sum += i64::from(fragment.duration_90k);
        assert!(fragment.video.samples.len() <= MAX_FRAGMENT_SAMPLES);
    }
}

/// 30 000/1001 frames a second with a keyframe every second, and audio that comes in time.
fn interleaved(frames: i64, audio_delay: i64) -> Vec<TimelineEvent> {
    let mut events = Vec::new();
    let mut sound = 0;
    for number in 0..frames {
        events.push(video(number, number % 30 == 0, 1000));
        while sound * 1024 * 15 / 8 + audio_delay * 3003 < (number + 1) * 3003 {
            events.push(audio(sound));
            sound += 1;
        }
    }
    events
}

#[test]
fn fragments_are_half_a_second_and_begin_at_keyframes() {
    let recorded = run(interleaved(120, 0), config(true, true));
    check(&recorded.fragments);
    let session = recorded.session.unwrap();
    assert_eq!((session.id, session.start_us, recorded.ends), (0, START, 1));
    assert_eq!(session.init_hash.len(), 32);
    assert!(session.init.len() > 500);
    let lengths: Vec<_> = recorded.fragments.iter().map(|fragment| fragment.duration_90k / 3003).collect();
    assert_eq!(lengths, [15, 15].repeat(4));
    assert_eq!(
        recorded.fragments.iter().map(|fragment| fragment.is_key).collect::<Vec<_>>(),
        [true, false].repeat(4)
    );
}

#[test]
fn audio_goes_with_the_picture_it_is_heard_with() {
    // Even when it comes a third of a second late.
    for delay in [0, 10] {
        let recorded = run(interleaved(120, delay), config(true, true));
        check(&recorded.fragments);
        for (number, fragment) in recorded.fragments.iter().enumerate().take(7) {
            let (start, end) = (number as i64 * 15 * 3003, (number as i64 + 1) * 15 * 3003);
            let first = fragment.audio.base_decode_time * 15 / 8 - START * 9 / 100;
            assert!((start..start + 1920).contains(&first), "fragment {number} with delay {delay}");
            let last = first + (fragment.audio.samples.len() as i64 - 1) * 1920;
            assert!((end - 1920..end).contains(&last), "fragment {number} with delay {delay}");
        }
    }
}

#[test]
fn audio_that_does_not_come_is_not_waited_for_long() {
    let mut fragmenter = Fragmenter::new();
    fragmenter.push(TimelineEvent::SessionStart { config: config(true, true), start_us: START });
    let mut fragments = 0;
    for number in 0..60 {
        fragmenter.push(video(number, number == 0, 10));
        while let Some(event) = fragmenter.poll() {
            fragments += i32::from(matches!(event, FragmentEvent::Fragment(_)));
        }
    }
    // The last of four is being filled.
    assert_eq!(fragments, 3);
}

#[test]
fn late_audio_still_goes_in() {
    let mut events: Vec<_> = (0..60).map(|number| video(number, number % 30 == 0, 10)).collect();
    events.extend((0..90).map(audio));
    events.extend((60..90).map(|number| video(number, number % 30 == 0, 10)));
    let recorded = run(events, config(true, true));
    check(&recorded.fragments);
    assert_eq!(recorded.fragments.iter().map(|fragment| fragment.audio.samples.len()).sum::<usize>(), 90);
}

#[test]
fn audio_alone_gives_key_fragments_whose_lengths_add_up() {
    let recorded = run((0..1000).map(audio), config(false, true));
    check(&recorded.fragments);
    assert!(recorded.fragments.iter().all(|fragment| fragment.is_key));
    let sum: u64 = recorded.fragments.iter().map(|fragment| u64::from(fragment.duration_90k)).sum();
    assert_eq!(sum, 1000 * 1920);
    assert!(recorded.fragments.iter().all(|fragment| fragment.duration_90k <= 48_000));
}

#[test]
fn fragments_are_bounded_in_bytes_and_samples() {
    let recorded =
        run((0..9).map(|number| video(number, number == 0, MAX_FRAGMENT_BYTES / 3)), config(true, false));
    check(&recorded.fragments);
    assert_eq!(recorded.fragments.len(), 3);

    let tiny = (0..1000).map(|number| TimelineEvent::Sample {
        sample: Sample {
            track: TrackKind::Video,
            decode_time: number,
            duration: 1,
            composition_offset: 0,
            is_sync: number == 0,
            data: Bytes::from_static(b"x"),
        },
        wall_us: START + number * 100 / 9,
    });
    check(&run(tiny, config(true, false)).fragments);
}

#[test]
fn the_same_configuration_has_the_same_name() {
    let hashes: Vec<_> = [(true, true), (true, true), (true, false), (false, true)]
        .map(|(with_video, with_audio)| {
            run([], config(with_video, with_audio)).session.unwrap().init_hash.clone()
        })
        .into();
    assert_eq!(hashes[0], hashes[1]);
    assert!(hashes[1] != hashes[2] && hashes[2] != hashes[3]);
}

proptest! {
    #[test]
    fn every_sample_is_written_once_in_order(
        keys in prop::collection::vec(prop::bool::weighted(0.05), 1..200),
        order in prop::collection::vec(0u8..4, 400),
    ) {
        let (mut pictures, mut sounds) = (0, 0);
        let mut events = Vec::new();
        for choice in order {
            if choice == 0 && pictures < keys.len() {
                events.push(video(pictures as i64, pictures == 0 || keys[pictures], 10 + pictures));
                pictures += 1;
            } else if choice > 0 {
                events.push(audio(sounds));
                sounds += 1;
            }
        }
        let recorded = run(events, config(true, true));
        check(&recorded.fragments);
        let written = |run: fn(&Fragment) -> usize| recorded.fragments.iter().map(|fragment| run(fragment)).sum::<usize>();
        prop_assert_eq!(written(|fragment| fragment.video.samples.len()), pictures);
        if pictures > 0 {
            prop_assert_eq!(written(|fragment| fragment.audio.samples.len()), sounds as usize);
        }
        for fragment in &recorded.fragments {
            let payload: usize = fragment.payload.iter().map(Bytes::len).sum();
            prop_assert_eq!(fragment.size_bytes as usize, fragment.head.len() + payload);
        }
    }
}

#[test]
fn decode_times_of_both_tracks_count_from_the_same_instant() {
    let with_rate = |sample_rate| {
        let mut config = config(true, true).as_ref().clone();
        if let Some(audio) = &mut config.audio {
            audio.sample_rate = sample_rate;
        }
        config
    };
    for (sample_rate, longest_us) in [(48_000, 167), (44_100, 1_112), (22_050, 2_223), (8_000, 1_000)] {
        let start_us = START + 123_457;
        let origin = super::Origin::new(&with_rate(sample_rate), start_us);
        let (video, audio) = (i128::from(origin.video), i128::from(origin.audio));
        assert_eq!(video * i128::from(sample_rate), audio * 90_000, "at {sample_rate} Hz");
        let late_us = i128::from(start_us) - video * 100 / 9;
        assert!((0..=longest_us).contains(&late_us), "{late_us} us at {sample_rate} Hz");
    }
    assert_eq!(super::Origin::new(&with_rate(48_000), -5), super::Origin::default());
}
