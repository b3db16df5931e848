//! The timeline from outside: stamps in, samples out.

use bytes::Bytes;
use proptest::prelude::*;

use super::{DEAD_BAND_US, KEYFRAME_WITHIN_BYTES, Timeline, TimelineConfig, TimelineError, TimelineEvent};
use crate::{
    EndCause, Sample, TICKS_PER_SECOND_VIDEO, TrackKind, VideoCodec,
    flv::{AudioTag, VideoTag},
};

/// x264, 1280×720; its VUI says 25 frames a second.
const RECORD_25: &[u8] = &[
    0x01, 0xf4, 0x00, 0x1f, 0xff, 0xe1, 0x00, 0x1a, 0x67, 0xf4, 0x00, 0x1f, 0x91, 0x9b, 0x28, 0x0a, 0x00,
    0xb7, 0x60, 0x22, 0x00, 0x00, 0x03, 0x00, 0x02, 0x00, 0x00, 0x03, 0x00, 0x64, 0x1e, 0x30, 0x63, 0x2c,
    0x01, 0x00, 0x06, 0x68, 0xeb, 0xe3, 0xc4, 0x48, 0x44, 0xff, 0xf8, 0xf8, 0x00,
];
/// The same at 30 000/1001.
const RECORD_NTSC: &[u8] = &[
    0x01, 0xf4, 0x00, 0x1f, 0xff, 0xe1, 0x00, 0x18, 0x67, 0xf4, 0x00, 0x1f, 0x91, 0x9b, 0x28, 0x0a, 0x00,
    0xb7, 0x60, 0x22, 0x00, 0x00, 0x07, 0xd2, 0x00, 0x01, 0xd4, 0xc0, 0x1e, 0x30, 0x63, 0x2c, 0x01, 0x00,
    0x06, 0x68, 0xeb, 0xe3, 0xc4, 0x48, 0x44, 0xff, 0xf8, 0xf8, 0x00,
];
/// AAC-LC, 48 kHz, stereo.
const ASC_48: &[u8] = &[0x11, 0x90];
/// AAC-LC, 44.1 kHz, stereo.
const ASC_44: &[u8] = &[0x12, 0x10];
const START: i64 = 1_795_212_000_000_000;

fn video_header(record: &'static [u8]) -> VideoTag {
    VideoTag::SequenceHeader { codec: VideoCodec::H264, record: Bytes::from_static(record) }
}

fn picture(is_key: bool, composition_time_ms: i32) -> VideoTag {
    let data: &[u8] = if is_key { &[0, 0, 0, 2, 0x65, 1] } else { &[0, 0, 0, 2, 0x41, 1] };
    VideoTag::Frame { is_key, composition_time_ms, data: Bytes::copy_from_slice(data) }
}

fn sound() -> AudioTag {
    AudioTag::Frame { data: Bytes::from_static(&[0x21, 0x10, 0x05]) }
}

/// One session as it came out.
#[derive(Debug, Default)]
struct Recorded {
    start_us: i64,
    end: Option<(i64, EndCause)>,
    has_audio: bool,
    has_video: bool,
    video: Vec<(Sample, i64)>,
    audio: Vec<(Sample, i64)>,
}

impl Recorded {
    fn durations(&self) -> Vec<u32> {
        self.video.iter().map(|(sample, _)| sample.duration).collect()
    }
}

/// A publisher whose messages arrive when they are made, unless a test says otherwise.
struct Publisher {
    timeline: Timeline,
    sessions: Vec<Recorded>,
    /// Arrival minus stamp.
    delay_us: i64,
}

impl Publisher {
    fn new() -> Self {
        Self { timeline: Timeline::new(TimelineConfig::default()), sessions: Vec::new(), delay_us: START }
    }

    fn with_video() -> Self {
        let mut publisher = Self::new();
        publisher.header(video_header(RECORD_25));
        publisher
    }

    fn with_both() -> Self {
        let mut publisher = Self::with_video();
        publisher.audio_header(ASC_48);
        publisher
    }

    fn header(&mut self, tag: VideoTag) {
        self.timeline.video(0, tag, self.delay_us).unwrap();
    }

    fn audio_header(&mut self, record: &'static [u8]) {
        let tag = AudioTag::SequenceHeader { record: Bytes::from_static(record) };
        self.timeline.audio(0, tag, self.delay_us).unwrap();
    }

    fn try_video(&mut self, stamp: i64, tag: VideoTag, now_us: i64) -> Result<(), TimelineError> {
        let result = self.timeline.video(stamp as u32, tag, now_us);
        self.drain();
        result
    }

    fn video_at(&mut self, stamp: i64, is_key: bool, now_us: i64) {
        self.try_video(stamp, picture(is_key, 0), now_us).unwrap();
    }

    fn video(&mut self, stamp: i64, is_key: bool) {
        self.video_at(stamp, is_key, self.delay_us + stamp * 1000);
    }

    fn audio_at(&mut self, stamp: i64, now_us: i64) {
        self.timeline.audio(stamp as u32, sound(), now_us).unwrap();
        self.drain();
    }

    fn audio(&mut self, stamp: i64) {
        self.audio_at(stamp, self.delay_us + stamp * 1000);
    }

    /// 25 frames a second with a keyframe every second, and audio if `with_audio`, over `[from, to)` ms.
    fn both(&mut self, from: i64, to: i64, with_audio: bool) {
        self.tracks(from, to, true, with_audio);
    }

    fn tracks(&mut self, from: i64, to: i64, with_video: bool, with_audio: bool) {
        for ms in from..to {
            if with_video && ms % 40 == 0 {
                self.video(ms, ms % 1000 == 0);
            }
            // 48 000 Hz / 1024: frame n begins at n × 21.33 ms.
            let number = (ms * 3 + 63) / 64;
            if with_audio && (number * 64 / 3) == ms {
                self.audio(ms);
            }
        }
    }

    fn drain(&mut self) {
        while let Some(event) = self.timeline.poll() {
            match event {
                TimelineEvent::SessionStart { config, start_us } => {
                    assert!(self.sessions.last().is_none_or(|last| last.end.is_some()), "sessions overlap");
                    self.sessions.push(Recorded {
                        start_us,
                        has_audio: config.audio.is_some(),
                        has_video: config.video.is_some(),
                        ..Recorded::default()
                    });
                }
                TimelineEvent::Sample { sample, wall_us } => {
                    let session = self.sessions.last_mut().expect("a sample within a session");
                    assert!(session.end.is_none());
                    match sample.track {
                        TrackKind::Video => session.video.push((sample, wall_us)),
                        TrackKind::Audio => session.audio.push((sample, wall_us)),
                    }
                }
                TimelineEvent::SessionEnd { end_us, cause } => {
                    self.sessions.last_mut().expect("a session to end").end = Some((end_us, cause));
                }
            }
        }
    }

    fn end(self) -> Vec<Recorded> {
        self.end_with(0)
    }

    /// Ends, and checks what came out; wall time may step back by `slack_us` between frames shown in another order than
    /// they were decoded.
    fn end_with(mut self, slack_us: i64) -> Vec<Recorded> {
        self.timeline.end(START, EndCause::Camera);
        self.drain();
        for session in &self.sessions {
            check(session, slack_us);
        }
        self.sessions
    }
}

/// What holds for every session whatever the publisher does.
fn check(session: &Recorded, slack_us: i64) {
    for track in [&session.video, &session.audio] {
        for pair in track.windows(2) {
            let (before, after) = (&pair[0].0, &pair[1].0);
            assert!(after.decode_time > before.decode_time);
            assert_eq!(before.decode_time + i64::from(before.duration), after.decode_time, "a hole");
        }
        let mut shown: Vec<_> = track
            .iter()
            .map(|(sample, wall_us)| (sample.decode_time + i64::from(sample.composition_offset), *wall_us))
            .collect();
        shown.sort_unstable();
        let back_us = shown.windows(2).map(|pair| pair[0].1 - pair[1].1).max().unwrap_or(0);
        assert!(back_us <= slack_us, "wall time runs backwards by {back_us} µs");
        assert!(track.iter().all(|(sample, _)| sample.duration > 0));
    }
    assert!(!session.has_video || !session.video.is_empty());
    assert!(session.has_video || !session.audio.is_empty());
    if let Some((first, wall_us)) = session.video.first() {
        assert!(first.is_sync);
        assert_eq!((first.decode_time, first.composition_offset), (0, 0));
        assert_eq!(*wall_us, session.start_us);
    }
    assert!(session.audio.first().is_none_or(|(sample, _)| sample.decode_time >= 0));
    let length_us = session.end.map(|(end_us, _)| end_us - session.start_us);
    assert!(
        length_us.is_some_and(|length_us| length_us > 0),
        "a session of {length_us:?} µs, {} pictures",
        session.video.len()
    );
}

/// Common rates, as (numerator, denominator).
const RATES: &[(i64, i64)] = &[
    (24_000, 1001),
    (24, 1),
    (25, 1),
    (30_000, 1001),
    (30, 1),
    (50, 1),
    (60_000, 1001),
    (60, 1),
    (15, 1),
    (12, 1),
    (20, 1),
    (25, 2),
    (120, 1),
];

fn exact(rate: (i64, i64), frame: i64) -> i64 {
    frame * i64::from(TICKS_PER_SECOND_VIDEO) * rate.1 / rate.0
}

/// The lengths between two frames of an exact grid.
fn steps(rate: (i64, i64)) -> [u32; 2] {
    let (ticks, frames) = (i64::from(TICKS_PER_SECOND_VIDEO) * rate.1, rate.0);
    [(ticks / frames) as u32, ((ticks + frames - 1) / frames) as u32]
}

#[test]
fn every_rounding_of_every_rate_becomes_constant_steps() {
    for &rate in RATES {
        for (name, rounding) in [("floor", 0), ("nearest", rate.0 / 2), ("ceiling", rate.0 - 1)] {
            let mut publisher = Publisher::with_video();
            for frame in 0..600 {
                let stamp = (frame * 1000 * rate.1 + rounding) / rate.0;
                publisher.video(7_654_321 + stamp, frame % 50 == 0);
            }
            let sessions = publisher.end();
            assert_eq!(sessions.len(), 1);
            let durations = sessions[0].durations();
            assert_eq!(durations.len(), 600);
            assert!(
                durations.iter().all(|step| steps(rate).contains(step)),
                "{rate:?} {name}: {durations:?}"
            );
            let last = sessions[0].video[599].0.decode_time;
            assert!((last - exact(rate, 599)).abs() <= 1, "{rate:?} {name}: {last}");
        }
    }
}

#[test]
fn ntsc_steps_are_3003_and_film_steps_alternate() {
    for (rate, expected) in [
        ((30_000, 1001), vec![3003; 8]),
        ((24_000, 1001), vec![3753, 3754, 3754, 3754, 3753, 3754, 3754, 3754]),
    ] {
        let mut publisher = Publisher::with_video();
        publisher.timeline.frame_rate_hint(rate.0 as f64 / rate.1 as f64);
        for frame in 0..200 {
            publisher.video((frame * 1000 * rate.1 + rate.0 / 2) / rate.0, frame == 0);
        }
        let durations = publisher.end()[0].durations();
        assert_eq!(durations[..8], expected);
        assert_eq!(durations.iter().map(|step| i64::from(*step)).sum::<i64>(), exact(rate, 200));
    }
}

#[test]
fn a_hint_that_is_nearly_right_is_corrected() {
    let mut publisher = Publisher::with_video();
    publisher.timeline.frame_rate_hint(30.0);
    for frame in 0..1000 {
        publisher.video((frame * 1_001_000 + 15_000) / 30_000, frame == 0);
    }
    let durations = publisher.end()[0].durations();
    assert!(durations[400..].iter().all(|step| *step == 3003), "{:?}", &durations[80..]);
    assert!(durations.iter().all(|step| (2990..=3015).contains(step)), "{durations:?}");
}

#[test]
fn hints_that_are_wrong_are_not_believed() {
    for hint in [0.0, -1.0, f64::NAN, f64::INFINITY, 15.0, 50.0, 1000.0, 29.97] {
        let mut publisher = Publisher::with_video();
        publisher.timeline.frame_rate_hint(hint);
        publisher.both(0, 4000, false);
        assert_eq!(publisher.end()[0].durations(), [3600; 100], "{hint}");
    }
}

#[test]
fn variable_frame_rate_is_passed_through_to_the_millisecond() {
    let steps = [17, 93, 41, 12, 66, 30, 101, 23, 77, 35, 9, 58];
    let mut publisher = Publisher::with_video();
    let mut stamp = 1000;
    for frame in 0..300usize {
        publisher.video(stamp, frame == 0);
        stamp += steps[frame * 7 % steps.len()];
    }
    let durations = publisher.end()[0].durations();
    for (frame, duration) in durations[..299].iter().enumerate() {
        assert_eq!(i64::from(*duration), steps[frame * 7 % steps.len()] * 90);
    }
}

/// A group of pictures with two B-frames between references, as (frame shown, decode order).
const SHOWN: [i64; 12] = [0, 3, 1, 2, 6, 4, 5, 9, 7, 8, 11, 10];

#[test]
fn b_frames_keep_their_order_on_an_exact_grid() {
    for rate in [(25, 1), (30_000, 1001), (24_000, 1001), (60_000, 1001)] {
        let ms = |frame: i64| (frame * 1000 * rate.1 + rate.0 / 2).div_euclid(rate.0);
        let mut publisher = Publisher::with_video();
        for frame in 0..240i64 {
            let (group, place) = (frame / 12, (frame % 12) as usize);
            // Frames are decoded one step apart; a picture is shown at least one step after it is decoded.
            let (decode, shown) = (ms(frame), ms(group * 12 + SHOWN[place] + 1));
            let tag = picture(place == 0, (shown - decode) as i32);
            publisher.try_video(decode, tag, START + decode * 1000).unwrap();
        }
        let sessions = publisher.end();
        let video = &sessions[0].video;
        let mut shown: Vec<i64> = video
            .iter()
            .map(|(sample, _)| sample.decode_time + i64::from(sample.composition_offset))
            .collect();
        for (frame, shown) in shown.iter().enumerate() {
            let place = frame as i64 / 12 * 12 + SHOWN[frame % 12];
            assert!((shown - exact(rate, place)).abs() <= 1, "{rate:?} frame {frame}: {shown}");
        }
        assert!(video.iter().any(|(sample, _)| sample.composition_offset < 0));
        assert!(
            video
                .iter()
                .filter(|(sample, _)| sample.is_sync)
                .all(|(sample, _)| sample.composition_offset.abs() <= 1)
        );
        shown.sort_unstable();
        assert!(shown.windows(2).all(|pair| steps(rate).contains(&((pair[1] - pair[0]) as u32))));
    }
}

#[test]
fn pictures_shown_before_the_first_keyframe_are_left_out() {
    let mut publisher = Publisher::with_video();
    // Open group: the keyframe is shown at 120, then come two pictures of before it.
    for (stamp, composition, is_key) in
        [(0, 120, true), (40, 0, false), (80, 0, false), (120, 120, false), (160, 0, false), (200, 0, false)]
    {
        publisher.try_video(stamp, picture(is_key, composition), START).unwrap();
    }
    let sessions = publisher.end();
    let shown: Vec<_> = sessions[0]
        .video
        .iter()
        .map(|(sample, _)| (sample.decode_time + i64::from(sample.composition_offset)) / 3600)
        .collect();
    assert_eq!(shown, [0, 3, 1, 2]);
}

#[test]
fn stamps_roll_over() {
    let mut publisher = Publisher::with_both();
    let near = (1i64 << 32) - 3000;
    // Arrival is counted from the same moment, so that nothing else is odd.
    publisher.both(near / 1000 * 1000, near / 1000 * 1000 + 9000, true);
    let sessions = publisher.end();
    assert_eq!(sessions.len(), 1);
    assert_eq!(sessions[0].durations(), [3600; 225]);
    assert!(sessions[0].audio.iter().all(|(sample, _)| (1023..=1025).contains(&sample.duration)));
}

/// MediaMTX #1431, #6255: a camera that stamps a frame hours away ends its recording.
#[test]
fn a_single_stray_stamp_changes_nothing() {
    for stray in [-7_200_000i64, 3_600_000, 2_000, -5_000, 86_400_000, 700] {
        let mut publisher = Publisher::with_both();
        for ms in (10_000_000..10_008_000).step_by(20) {
            let now = START + ms * 1000;
            let odd = if ms == 10_004_000 { stray } else { 0 };
            if ms % 40 == 0 {
                publisher.video_at(ms + odd, ms % 1000 == 0, now);
            }
        }
        assert!(publisher.timeline.stats().stray_stamps <= 1);
        let sessions = publisher.end();
        assert_eq!(sessions.len(), 1, "{stray}");
        assert_eq!(sessions[0].durations(), [3600; 200], "{stray}");
    }
}

#[test]
fn a_stray_on_both_tracks_is_harmless() {
    let mut publisher = Publisher::with_both();
    publisher.both(0, 3000, true);
    publisher.video_at(50_000_000, false, START + 3_000_000);
    publisher.audio_at(90_000_000, START + 3_008_000);
    publisher.both(3040, 6000, true);
    let sessions = publisher.end();
    assert_eq!(sessions.len(), 1);
    assert_eq!(sessions[0].durations(), [3600; 150]);
}

#[test]
fn a_lasting_jump_loses_no_frame_and_begins_a_session_at_the_next_keyframe() {
    for jump in [3_600_000i64, -3_600_000, 40_000, -20_000, 1 << 31] {
        let mut publisher = Publisher::with_both();
        let base = 20_000_000;
        let mut step = |from: i64, to: i64, jump: i64| {
            for ms in from..to {
                let now = START + ms * 1000;
                if ms % 40 == 0 {
                    publisher.video_at(base + ms + jump, ms % 1000 == 0, now);
                }
                if (ms * 3 + 63) / 64 * 64 / 3 == ms {
                    publisher.audio_at(base + ms + jump, now);
                }
            }
        };
        step(0, 3400, 0);
        step(3400, 8000, jump);
        let sessions = publisher.end();
        assert_eq!(sessions.len(), 2, "{jump}");
        assert_eq!(sessions[0].durations(), [3600; 100], "{jump}");
        assert_eq!(sessions[1].durations(), [3600; 100], "{jump}");
        // The arrival went on, so there is no gap between them.
        assert_eq!(sessions[0].end, Some((START + 4_000_000, EndCause::Camera)));
        assert_eq!(sessions[1].start_us, START + 4_000_000);
        assert!(sessions[1].has_audio);
        let audio: u32 = sessions[0].audio.iter().map(|(sample, _)| sample.duration).sum();
        assert!((48 * 3900..48 * 4100).contains(&audio), "{audio}");
    }
}

#[test]
fn a_real_silence_ends_the_session_and_the_next_begins_at_its_keyframe() {
    let mut publisher = Publisher::with_both();
    publisher.both(0, 4000, true);
    publisher.both(20_040, 24_000, true);
    let sessions = publisher.end();
    assert_eq!(sessions.len(), 2);
    assert_eq!(sessions[0].end, Some((START + 4_000_000, EndCause::Network)));
    assert_eq!(sessions[1].start_us, START + 21_000_000);
    assert_eq!(sessions[1].durations(), [3600; 75]);
}

#[test]
fn a_publisher_that_restarts_its_clock_after_a_silence_begins_anew() {
    let mut publisher = Publisher::with_video();
    publisher.both(50_000, 53_000, false);
    for ms in (0..4000).step_by(40) {
        publisher.video_at(ms, ms % 1000 == 0, START + 63_000_000 + ms * 1000);
    }
    let sessions = publisher.end();
    assert_eq!(sessions.len(), 2);
    assert_eq!(sessions[0].end, Some((START + 53_000_000, EndCause::Network)));
    assert_eq!(sessions[1].start_us, START + 63_000_000);
}

#[test]
fn a_short_silence_is_one_long_frame() {
    let mut publisher = Publisher::with_both();
    publisher.both(0, 2000, true);
    publisher.both(4000, 6000, true);
    let sessions = publisher.end();
    assert_eq!(sessions.len(), 1);
    let mut expected = vec![3600; 100];
    expected[49] = 3600 * 51;
    assert_eq!(sessions[0].durations(), expected);
    let longest = sessions[0].audio.iter().map(|(sample, _)| sample.duration).max().unwrap();
    assert!((95_000..98_500).contains(&longest), "{longest}");
    let last = &sessions[0].audio.last().unwrap().0;
    assert!((last.decode_time - 48 * 5973).abs() < 48 * 40, "{}", last.decode_time);
}

#[test]
fn frames_that_the_encoder_left_out_leave_whole_slots() {
    let mut publisher = Publisher::with_video();
    for frame in (0..200).filter(|frame| !(100..103).contains(frame) && *frame != 150) {
        publisher.video((frame * 1_001_000 + 15_000) / 30_000, frame == 0);
    }
    let durations = publisher.end()[0].durations();
    assert_eq!(durations[99], 4 * 3003);
    assert_eq!(durations.iter().filter(|step| **step == 2 * 3003).count(), 1);
    assert_eq!(durations.iter().filter(|step| **step == 3003).count(), 196 - 2);
}

#[test]
fn duplicated_stamps_are_spread() {
    let mut publisher = Publisher::with_video();
    for ms in (0..8000).step_by(40) {
        // One frame stamped late, with the stamp of the one before it.
        publisher.video_at(if ms == 4040 { 4000 } else { ms }, ms == 0, START + ms * 1000);
    }
    assert_eq!(publisher.end()[0].durations(), [3600; 200]);

    // A frame too many: the grid is left for a moment, and the picture does not stay behind the stamps.
    let mut publisher = Publisher::with_video();
    for ms in (0..8000).step_by(40) {
        publisher.video(ms, ms == 0);
        if ms == 4000 {
            publisher.video(ms, false);
        }
    }
    let sessions = publisher.end();
    let (last, _) = sessions[0].video.last().unwrap();
    assert_eq!(sessions[0].video.len(), 201);
    assert!((last.decode_time - 7960 * 90).abs() < 900, "{}", last.decode_time);
}

#[test]
fn stamps_that_never_move_still_give_increasing_times() {
    let mut publisher = Publisher::with_both();
    for frame in 0..500 {
        publisher.video_at(1000, frame == 0, START + frame * 40_000);
        publisher.audio_at(1000, START + frame * 40_000);
    }
    let sessions = publisher.end();
    assert_eq!(sessions[0].video.len(), 500);
}

#[test]
fn audio_is_chained_by_its_frame_length() {
    for (asc, rate) in [(ASC_48, 48_000i64), (ASC_44, 44_100)] {
        let mut publisher = Publisher::with_video();
        publisher.audio_header(asc);
        let mut next = 0;
        for ms in 0..30_000 {
            if ms % 40 == 0 {
                publisher.video(ms, ms == 0);
            }
            while next * 1024 * 1000 / rate <= ms {
                publisher.audio(next * 1024 * 1000 / rate);
                next += 1;
            }
        }
        let sessions = publisher.end();
        assert_eq!(sessions[0].audio[0].0.decode_time, 0);
        assert!(sessions[0].audio.iter().all(|(sample, _)| sample.duration == 1024));
        assert_eq!(sessions[0].audio.len() as i64, next);
    }
}

#[test]
fn audio_drift_is_taken_up_without_jumps() {
    for drift_ppm in [-400i64, -100, 100, 400] {
        let mut publisher = Publisher::with_both();
        let mut next = 0;
        let stamp_of = |number: i64| number * 1024 * (1_000_000 + drift_ppm) / 48_000_000;
        for ms in 0..300_000 {
            if ms % 40 == 0 {
                publisher.video(ms, ms == 0);
            }
            while stamp_of(next) <= ms {
                publisher.audio(stamp_of(next));
                next += 1;
            }
        }
        let sessions = publisher.end();
        assert_eq!(sessions.len(), 1);
        let audio = &sessions[0].audio;
        assert!(audio.iter().all(|(sample, _)| (1023..=1025).contains(&sample.duration)));
        for (number, (sample, _)) in audio.iter().enumerate() {
            let off_ms = sample.decode_time / 48 - stamp_of(number as i64);
            assert!(off_ms.abs() <= 20, "{drift_ppm}: frame {number} is {off_ms} ms off");
        }
    }
}

#[test]
fn audio_that_steps_back_a_little_is_left_out_until_it_is_new() {
    let mut publisher = Publisher::with_both();
    publisher.both(0, 3000, true);
    for ms in (3000..6000).step_by(20) {
        if ms % 40 == 0 {
            publisher.video(ms, false);
        }
    }
    // 150 ms are sent twice.
    for number in 134..300 {
        publisher.audio_at(number * 64 / 3, START + 3_000_000 + (number - 134) * 21_333);
    }
    assert!(publisher.timeline.stats().dropped_audio_frames >= 5);
    let sessions = publisher.end();
    assert!(sessions[0].audio.iter().all(|(sample, _)| sample.duration < 1200));
}

#[test]
fn a_single_late_audio_stamp_is_no_hole() {
    let mut publisher = Publisher::with_both();
    for number in 0..300i64 {
        let stamp = number * 64 / 3;
        if stamp / 40 != ((number - 1) * 64).div_euclid(3).div_euclid(40) {
            publisher.video(stamp / 40 * 40, number == 0);
        }
        publisher.audio(if number == 150 { stamp + 200 } else { stamp });
    }
    let sessions = publisher.end();
    assert_eq!(sessions[0].audio.len(), 300);
    assert!(sessions[0].audio.iter().all(|(sample, _)| sample.duration == 1024));
}

#[test]
fn audio_that_appears_late_begins_a_session_at_the_next_keyframe() {
    let mut publisher = Publisher::with_video();
    publisher.both(0, 5500, false);
    publisher.audio_header(ASC_48);
    publisher.both(5520, 9000, true);
    let sessions = publisher.end();
    assert_eq!(sessions.iter().map(|session| session.has_audio).collect::<Vec<_>>(), [false, true]);
    assert_eq!(sessions[0].durations(), [3600; 150]);
    assert_eq!(sessions[0].end.unwrap().0, START + 6_000_000);
    assert_eq!(sessions[1].start_us, START + 6_000_000);
    assert!(sessions[1].audio[0].0.decode_time < 2048);
}

#[test]
fn audio_that_stops_ends_its_track_at_a_keyframe() {
    let mut publisher = Publisher::with_both();
    publisher.both(0, 4000, true);
    publisher.both(4000, 14_000, false);
    publisher.both(14_000, 17_000, true);
    let sessions = publisher.end();
    assert_eq!(sessions.iter().map(|session| session.has_audio).collect::<Vec<_>>(), [true, false, true]);
    assert_eq!(sessions.iter().map(|session| session.video.len()).sum::<usize>(), 425);
    assert_eq!(sessions[0].end.unwrap().0, sessions[1].start_us);
    assert_eq!(sessions[1].end.unwrap().0, sessions[2].start_us);
}

#[test]
fn audio_announced_but_never_sent_is_not_in_the_configuration() {
    let mut publisher = Publisher::with_both();
    publisher.both(0, 4000, false);
    let sessions = publisher.end();
    assert_eq!(sessions.len(), 1);
    assert!(!sessions[0].has_audio);
    assert_eq!(sessions[0].video.len(), 100);
}

/// Frigate #1712: G.711 sound kills the recording.
#[test]
fn audio_that_cannot_be_carried_is_left_out_with_a_reason() {
    let mut publisher = Publisher::with_video();
    for ms in (0..4000).step_by(40) {
        publisher.video(ms, ms % 1000 == 0);
        let tag = AudioTag::Unsupported { codec: "G.711 A-law".into() };
        publisher.timeline.audio(ms as u32, tag, START + ms * 1000).unwrap();
    }
    let problem = publisher.timeline.audio_problem().map(ToString::to_string);
    assert_eq!(problem.as_deref(), Some("G.711 A-law audio cannot be carried: send AAC"));
    let sessions = publisher.end();
    assert_eq!((sessions.len(), sessions[0].has_audio), (1, false));
}

#[test]
fn audio_alone_is_recorded_and_video_that_comes_late_begins_a_session() {
    let mut publisher = Publisher::new();
    publisher.audio_header(ASC_48);
    publisher.tracks(0, 8000, false, true);
    publisher.header(video_header(RECORD_25));
    publisher.both(8000, 11_000, true);
    let sessions = publisher.end();
    assert_eq!(sessions.iter().map(|session| session.has_video).collect::<Vec<_>>(), [false, true]);
    assert_eq!(sessions[0].start_us, START);
    assert_eq!(sessions[0].audio.len(), 375);
    assert_eq!(sessions[0].end.unwrap().0, START + 8_000_000);
    assert_eq!(sessions[1].start_us, START + 8_000_000);
    assert_eq!(sessions[1].durations(), [3600; 75]);
}

#[test]
fn a_short_audio_session_is_not_lost() {
    let mut publisher = Publisher::new();
    publisher.audio_header(ASC_48);
    publisher.tracks(0, 2000, false, true);
    let sessions = publisher.end();
    assert_eq!(sessions[0].audio.len(), 94);
}

#[test]
fn video_that_stops_leaves_a_session_of_audio() {
    let mut publisher = Publisher::with_both();
    publisher.both(0, 4000, true);
    publisher.tracks(4000, 24_000, false, true);
    publisher.both(24_000, 27_000, true);
    let sessions = publisher.end();
    assert_eq!(sessions.iter().map(|session| session.has_video).collect::<Vec<_>>(), [true, false, true]);
    assert_eq!(sessions[0].end, Some((START + 4_000_000, EndCause::Camera)));
    assert_eq!(sessions[2].durations(), [3600; 75]);
}

#[test]
fn a_changed_configuration_begins_a_session_at_its_keyframe_and_a_repeated_one_does_not() {
    let mut publisher = Publisher::with_both();
    publisher.both(0, 3000, true);
    publisher.header(video_header(RECORD_25));
    publisher.audio_header(ASC_48);
    publisher.both(3000, 6000, true);
    publisher.header(video_header(RECORD_NTSC));
    publisher.both(6000, 9000, true);
    let sessions = publisher.end();
    assert_eq!(sessions.len(), 2);
    assert_eq!(sessions[0].durations(), [3600; 150]);
    assert_eq!(sessions[1].durations(), [3600; 75]);
    assert_eq!(sessions[0].end, Some((START + 6_000_000, EndCause::Camera)));
    assert_eq!(sessions[1].start_us, START + 6_000_000);
}

#[test]
fn a_changed_audio_configuration_begins_a_session_too() {
    let mut publisher = Publisher::with_both();
    publisher.both(0, 3000, true);
    publisher.audio_header(ASC_44);
    publisher.both(3000, 6000, true);
    let sessions = publisher.end();
    assert_eq!(sessions.len(), 2);
    assert_eq!(sessions.iter().map(|session| session.video.len()).collect::<Vec<_>>(), [75, 75]);
}

#[test]
fn frames_after_a_new_configuration_wait_for_its_keyframe() {
    let mut publisher = Publisher::with_video();
    publisher.both(0, 3400, false);
    publisher.header(video_header(RECORD_NTSC));
    publisher.both(3400, 6000, false);
    assert_eq!(publisher.timeline.stats().dropped_video_frames, 15);
    let sessions = publisher.end();
    assert_eq!(sessions.len(), 2);
    assert_eq!(sessions[0].durations().last(), Some(&(16 * 3600)));
}

#[test]
fn no_keyframe_is_refused_after_a_time_or_a_size() {
    // No NAL units: nothing can start with these, whatever the tags say.
    let mut publisher = Publisher::with_video();
    let garbage =
        || VideoTag::Frame { is_key: true, composition_time_ms: 0, data: Bytes::from_static(b"garbage") };
    let error = (0..2000)
        .find_map(|frame| publisher.try_video(frame * 40, garbage(), START + frame * 40_000).err())
        .unwrap();
    assert_eq!(error, TimelineError::NoKeyframe { waited_ms: 30_040, bytes: 752 * 7 });

    let mut publisher = Publisher::with_video();
    let data = Bytes::from(vec![0x41; 1 << 20]);
    let error = (0..2000)
        .find_map(|frame| {
            let tag = VideoTag::Frame { is_key: true, composition_time_ms: 0, data: data.clone() };
            publisher.try_video(frame, tag, START).err()
        })
        .unwrap();
    let bytes = KEYFRAME_WITHIN_BYTES + (1 << 20);
    assert_eq!(error, TimelineError::NoKeyframe { waited_ms: 0, bytes });
}

/// What a picture may be: its NAL units, and whether its tag says that it is a key.
fn made_of(units: &[&[u8]], is_key: bool) -> VideoTag {
    let mut data = Vec::new();
    for unit in units {
        data.extend_from_slice(&(unit.len() as u32).to_be_bytes());
        data.extend_from_slice(unit);
    }
    VideoTag::Frame { is_key, composition_time_ms: 0, data: data.into() }
}

const P_SLICE: &[u8] = &[0x41, 0b1100_0000];
const I_SLICE: &[u8] = &[0x61, 0b1011_0000];
const IDR_SLICE: &[u8] = &[0x65, 0b1011_0000];
const RECOVERY_NOW: &[u8] = &[6, 6, 1, 0xc4, 0x80];
const RECOVERY_IN_3: &[u8] = &[6, 6, 1, 0b0010_0100, 0x80];

/// Publishes `seconds` at 25 pictures a second and returns the times of the entries within the session, in seconds, and how
/// many pictures were recorded.
fn recorded_entries(seconds: i64, kind: impl Fn(i64) -> VideoTag) -> (Vec<i64>, usize) {
    let mut publisher = Publisher::with_video();
    for frame in 0..seconds * 25 {
        publisher.try_video(frame * 40, kind(frame), START + frame * 40_000).unwrap();
    }
    let sessions = publisher.end();
    assert_eq!(sessions.len(), 1);
    let keys = sessions[0].video.iter().filter(|(sample, _)| sample.is_sync);
    (keys.map(|(sample, _)| sample.decode_time / 90_000).collect(), sessions[0].video.len())
}

#[test]
fn a_session_has_entries_without_idr_pictures() {
    let every_2_s = |first: &'static [&'static [u8]], key: &'static [&'static [u8]], is_key| {
        move |frame: i64| match frame % 50 {
            _ if frame == 0 => made_of(first, true),
            0 => made_of(key, is_key),
            _ => made_of(&[P_SLICE], false),
        }
    };
    let idr: &[&[u8]] = &[IDR_SLICE];
    for (what, key, is_key) in [
        ("open groups", &[RECOVERY_NOW, I_SLICE] as &[&[u8]], true),
        ("gradual refresh", &[RECOVERY_IN_3, P_SLICE], true),
        ("I pictures alone", &[I_SLICE], true),
        ("IDR in tags of inter frames", idr, false),
    ] {
        let (entries, pictures) = recorded_entries(9, every_2_s(idr, key, is_key));
        assert_eq!((&entries[..], pictures), (&[0, 2, 4, 6, 8][..], 225), "{what}");
    }
}

#[test]
fn a_publisher_without_any_entry_is_recorded_all_the_same() {
    let (entries, pictures) = recorded_entries(60, |_| made_of(&[P_SLICE], false));
    assert_eq!(entries, [0, 10, 20, 30, 40, 50]);
    assert_eq!(pictures, 55 * 25, "all but the five seconds in which a better one was awaited");

    let (entries, pictures) = recorded_entries(10 * 60, |frame| {
        if frame == 0 { made_of(&[IDR_SLICE], true) } else { made_of(&[P_SLICE], false) }
    });
    assert_eq!(pictures, 10 * 60 * 25);
    assert!(entries.windows(2).all(|pair| pair[1] - pair[0] <= 60), "{entries:?}");

    let (entries, pictures) = recorded_entries(20, |frame| {
        if frame % 25 == 10 { made_of(&[RECOVERY_NOW, I_SLICE], false) } else { made_of(&[P_SLICE], false) }
    });
    assert_eq!(
        (entries[0], pictures),
        (0, 490),
        "the first recovery point is not passed over for want of a flag"
    );
}

#[test]
fn video_before_its_header_is_left_out_and_refused_in_the_end() {
    let mut publisher = Publisher::new();
    publisher.both(0, 1000, false);
    publisher.header(video_header(RECORD_25));
    publisher.both(1000, 2000, false);
    assert_eq!(publisher.timeline.stats().dropped_video_frames, 25);
    assert_eq!(publisher.end()[0].video.len(), 25);

    let mut publisher = Publisher::new();
    let error = (0..2000)
        .find_map(|frame| publisher.try_video(frame * 40, picture(true, 0), START + frame * 40_000).err())
        .unwrap();
    assert!(matches!(error, TimelineError::NoConfig { .. }));
}

#[test]
fn a_damaged_video_configuration_is_an_error() {
    let mut publisher = Publisher::new();
    let error = publisher.try_video(0, video_header(&[1, 2, 3]), START).unwrap_err();
    assert!(matches!(error, TimelineError::VideoConfig(_)));
}

#[test]
fn a_flag_alone_is_no_keyframe() {
    let mut publisher = Publisher::with_video();
    for ms in (0..2000).step_by(40) {
        // Flagged as key, but its slice is no IDR picture.
        let data = Bytes::from_static(&[0, 0, 0, 2, 0x41, 1]);
        let tag = VideoTag::Frame { is_key: true, composition_time_ms: 0, data };
        publisher.try_video(ms, tag, START + ms * 1000).unwrap();
    }
    publisher.both(2000, 3000, false);
    assert_eq!(publisher.end()[0].video.len(), 25);
}

#[test]
fn empty_frames_are_nothing() {
    let mut publisher = Publisher::with_both();
    for ms in (0..2000).step_by(40) {
        publisher.video(ms, ms == 0);
        let tag = VideoTag::Frame { is_key: true, composition_time_ms: 0, data: Bytes::new() };
        publisher.try_video(ms + 10, tag, START).unwrap();
        publisher.timeline.audio(ms as u32, AudioTag::Frame { data: Bytes::new() }, START).unwrap();
    }
    let sessions = publisher.end();
    assert_eq!((sessions[0].durations(), sessions[0].has_audio), (vec![3600; 50], false));
}

#[test]
fn the_last_sample_has_the_usual_length() {
    let mut publisher = Publisher::with_both();
    publisher.both(0, 2000, true);
    let sessions = publisher.end();
    assert_eq!(sessions[0].video.last().unwrap().0.duration, 3600);
    assert_eq!(sessions[0].audio.last().unwrap().0.duration, 1024);
    assert_eq!(sessions[0].end, Some((START + 2_000_000, EndCause::Camera)));

    let mut publisher = Publisher::with_video();
    publisher.video(0, true);
    assert_eq!(publisher.end()[0].end, Some((START + 40_000, EndCause::Camera)));
}

#[test]
fn tracks_with_clocks_of_their_own_are_laid_side_by_side() {
    let mut publisher = Publisher::with_both();
    for ms in 0..6000 {
        let now = START + ms * 1000;
        if ms % 40 == 0 {
            publisher.video_at(2_000_000_000 + ms, ms % 1000 == 0, now);
        }
        if (ms * 3 + 63) / 64 * 64 / 3 == ms {
            publisher.audio_at(ms, now);
        }
    }
    let sessions = publisher.end();
    assert_eq!(sessions.len(), 1);
    assert_eq!(sessions[0].video.len(), 150);
    assert!(sessions[0].audio.len() > 275);
}

#[test]
fn a_burst_at_the_start_was_shown_before_it_came() {
    let mut publisher = Publisher::with_video();
    for ms in (0..10_000).step_by(40) {
        publisher.video_at(ms, ms % 1000 == 0, START + (ms * 1000).max(800_000));
    }
    assert_eq!(publisher.end()[0].start_us, START);
}

#[test]
fn no_session_starts_before_what_is_recorded() {
    let mut publisher = Publisher::new();
    publisher.timeline = Timeline::new(TimelineConfig { earliest_start_us: START + 900_000 });
    publisher.header(video_header(RECORD_25));
    publisher.both(0, 1000, false);
    assert_eq!(publisher.end()[0].start_us, START + 900_000);
}

#[test]
fn a_day_of_drift_stays_within_the_dead_band_and_stalls_do_not_move_it() {
    const HOUR_US: i64 = 3_600_000_000;
    for drift_ppm in [-100i64, 0, 100] {
        let mut publisher = Publisher::with_video();
        let mut worst_us = 0;
        for frame in 0..24 * 3600 * 5 {
            let stamp = frame * 200;
            let true_us = stamp * 1000 + stamp * drift_ppm / 1000;
            // Every half past the network stands still for 20 s, and then all comes at once.
            let after_half_us = true_us % HOUR_US - HOUR_US / 2;
            let late_us =
                if (0..20_000_000).contains(&after_half_us) { 20_000_000 - after_half_us } else { 0 };
            publisher.video_at(stamp, frame % 10 == 0, START + true_us + late_us);
            for (sample, wall_us) in publisher.sessions.iter_mut().flat_map(|session| session.video.drain(..))
            {
                let shown_us = sample.decode_time * 100 / 9;
                worst_us =
                    worst_us.max((wall_us - START - shown_us - shown_us * drift_ppm / 1_000_000).abs());
            }
        }
        assert_eq!(publisher.sessions.len(), 1);
        assert!(worst_us <= DEAD_BAND_US, "{drift_ppm} ppm: {worst_us} µs off");
        assert!(drift_ppm != 0 || worst_us < 1000, "moved by {worst_us} µs without drift");
    }
}

#[test]
fn a_source_that_is_late_for_minutes_begins_a_session() {
    let mut publisher = Publisher::with_video();
    publisher.both(0, 10_000, false);
    publisher.delay_us += 30_000_000;
    publisher.both(10_000, 400_000, false);
    let sessions = publisher.end();
    assert_eq!(sessions.len(), 2);
    let late_us = sessions[1].start_us - sessions[0].end.unwrap().0;
    assert!((29_000_000..31_000_000).contains(&late_us), "{late_us}");
}

/// Anything a publisher can do.
#[derive(Clone, Debug)]
enum Deed {
    Video { step: i64, key: bool, composition: i32 },
    Audio { step: i64 },
    Jump(u32),
    Wait(i64),
    VideoHeader(bool),
    AudioHeader(bool),
    Hint(f64),
}

fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    let step = prop_oneof![8 => 0i64..60, 1 => -300i64..300, 1 => -6000i64..6000];
    let deed = prop_oneof![
        20 => (step.clone(), prop::bool::weighted(0.1), prop_oneof![4 => 0i32..200, 1 => any::<i32>()])
            .prop_map(|(step, key, composition)| Deed::Video { step, key, composition }),
        20 => step.prop_map(|step| Deed::Audio { step }),
        1 => any::<u32>().prop_map(Deed::Jump),
        1 => prop_oneof![0i64..20_000_000, -(1i64 << 52)..(1 << 52)].prop_map(Deed::Wait),
        1 => any::<bool>().prop_map(Deed::VideoHeader),
        1 => any::<bool>().prop_map(Deed::AudioHeader),
        1 => any::<f64>().prop_map(Deed::Hint),
    ];
    prop::collection::vec(deed, 1..400)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn jitter_of_a_millisecond_gives_constant_steps(
        rate in prop::sample::select(RATES),
        jitter in prop::collection::vec(0i64..=1, 400),
        start in 10i64..4_000_000_000,
        hinted: bool,
    ) {
        let mut publisher = Publisher::with_video();
        if hinted {
            publisher.timeline.frame_rate_hint(rate.0 as f64 / rate.1 as f64);
        }
        for (frame, jitter) in jitter.iter().enumerate() {
            // Rounded down or up at random; where the rate is told, by a millisecond more.
            let stamp = start + frame as i64 * 1000 * rate.1 / rate.0;
            let jitter = if hinted { jitter - (frame as i64 / 3) % 2 } else { *jitter };
            publisher.video(stamp + jitter, frame % 50 == 0);
        }
        let sessions = publisher.end();
        prop_assert_eq!(sessions.len(), 1);
        let durations = sessions[0].durations();
        prop_assert!(durations.iter().all(|step| steps(rate).contains(step)), "{:?} {:?}", rate, durations);
    }

    #[test]
    fn whatever_a_publisher_does_times_increase_and_memory_is_bounded(deeds in deeds()) {
        let mut publisher = Publisher::with_both();
        let (mut stamp, mut now) = ([0i64, 0], START);
        for deed in deeds {
            now = now.saturating_add(13_000);
            match deed {
                Deed::Video { step, key, composition } => {
                    stamp[0] = stamp[0].wrapping_add(step);
                    let _ = publisher.timeline.video(stamp[0] as u32, picture(key, composition), now);
                }
                Deed::Audio { step } => {
                    stamp[1] = stamp[1].wrapping_add(step);
                    let _ = publisher.timeline.audio(stamp[1] as u32, sound(), now);
                }
                Deed::Jump(by) => stamp = stamp.map(|stamp| stamp.wrapping_add(i64::from(by))),
                Deed::Wait(us) => now = now.saturating_add(us),
                Deed::VideoHeader(first) => {
                    let record = if first { RECORD_25 } else { RECORD_NTSC };
                    let _ = publisher.timeline.video(0, video_header(record), now);
                }
                Deed::AudioHeader(first) => {
                    let record = Bytes::from_static(if first { ASC_48 } else { ASC_44 });
                    let _ = publisher.timeline.audio(0, AudioTag::SequenceHeader { record }, now);
                }
                Deed::Hint(fps) => publisher.timeline.frame_rate_hint(fps),
            }
            prop_assert!(publisher.timeline.held_frames() <= 2048);
            publisher.drain();
        }
        // Reordered by up to 10 s, while the wall clock is corrected by a thousandth of that.
        publisher.end_with(10_000);
    }
}
