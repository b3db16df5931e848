//! Clocks that are set, and stamps that say nothing: what has to come out whatever happens to time.

use bytes::Bytes;
use proptest::prelude::*;

use super::{
    Arrival, Timeline, TimelineConfig, TimelineEvent, TimelineNotice,
    limits::{LONGEST_RHYTHM_MS, START_AHEAD_US},
};
use crate::{
    EndCause, TrackKind, VideoCodec,
    flv::{AudioTag, VideoTag},
};

/// x264, 1280×720; its VUI says 25 frames a second.
const RECORD: &[u8] = &[
    0x01, 0xf4, 0x00, 0x1f, 0xff, 0xe1, 0x00, 0x1a, 0x67, 0xf4, 0x00, 0x1f, 0x91, 0x9b, 0x28, 0x0a, 0x00,
    0xb7, 0x60, 0x22, 0x00, 0x00, 0x03, 0x00, 0x02, 0x00, 0x00, 0x03, 0x00, 0x64, 0x1e, 0x30, 0x63, 0x2c,
    0x01, 0x00, 0x06, 0x68, 0xeb, 0xe3, 0xc4, 0x48, 0x44, 0xff, 0xf8, 0xf8, 0x00,
];
/// AAC-LC, 48 kHz, stereo.
const ASC: &[u8] = &[0x11, 0x90];
const WALL: i64 = 1_795_212_000_000_000;
const S: i64 = 1_000_000;
const MS: i64 = 1_000;

#[derive(Debug, Default)]
struct Recorded {
    start_us: i64,
    end: Option<(i64, EndCause)>,
    /// Number, wall time and duration of each frame.
    video: Vec<(u32, i64, u32)>,
    audio: Vec<(u32, i64, u32)>,
}

/// A node with both of its clocks, and a publisher whose frames are numbered.
struct Scene {
    timeline: Timeline,
    sessions: Vec<Recorded>,
    notices: Vec<TimelineNotice>,
    /// Wall clock minus monotonic clock.
    offset_us: i64,
    sent: [u32; 2],
}

impl Scene {
    fn new(earliest_start_us: i64, has_audio: bool) -> Self {
        let mut scene = Self::bare(earliest_start_us);
        scene.configure(true, has_audio);
        scene
    }

    fn bare(earliest_start_us: i64) -> Self {
        Self {
            timeline: Timeline::new(TimelineConfig { earliest_start_us }),
            sessions: Vec::new(),
            notices: Vec::new(),
            offset_us: WALL,
            sent: [0; 2],
        }
    }

    fn configure(&mut self, video: bool, audio: bool) {
        let now = self.at(0);
        if video {
            let record = Bytes::from_static(RECORD);
            let tag = VideoTag::SequenceHeader { codec: VideoCodec::H264, record };
            self.timeline.video(0, tag, now).unwrap();
        }
        if audio {
            let tag = AudioTag::SequenceHeader { record: Bytes::from_static(ASC) };
            self.timeline.audio(0, tag, now).unwrap();
        }
    }

    fn at(&self, monotonic_us: i64) -> Arrival {
        Arrival { monotonic_us, wall_us: monotonic_us + self.offset_us }
    }

    fn video(&mut self, stamp_ms: i64, is_key: bool, monotonic_us: i64) {
        let mut data = vec![0, 0, 0, 5, if is_key { 0x65 } else { 0x41 }];
        data.extend(self.sent[0].to_be_bytes());
        self.sent[0] += 1;
        let tag = VideoTag::Frame { is_key, composition_time_ms: 0, data: data.into() };
        let now = self.at(monotonic_us);
        self.timeline.video(stamp_ms as u32, tag, now).unwrap();
        self.drain();
    }

    fn audio(&mut self, stamp_ms: i64, monotonic_us: i64) {
        let data = Bytes::copy_from_slice(&self.sent[1].to_be_bytes());
        self.sent[1] += 1;
        let now = self.at(monotonic_us);
        self.timeline.audio(stamp_ms as u32, AudioTag::Frame { data }, now).unwrap();
        self.drain();
    }

    /// 25 pictures a second, a keyframe every `key_ms`, and sound, over `[from, to)` ms; `stamps` tells what stands on a frame
    /// of each track, `delay` when it arrives.
    fn run(
        &mut self,
        range_ms: std::ops::Range<i64>,
        key_ms: i64,
        tracks: (bool, bool),
        stamps: (impl Fn(i64) -> i64, impl Fn(i64) -> i64),
        arrival_us: impl Fn(i64) -> i64,
    ) {
        for ms in range_ms {
            if tracks.0 && ms % 40 == 0 {
                self.video(stamps.0(ms), ms % key_ms == 0, arrival_us(ms));
            }
            let number = (ms * 3 + 63) / 64;
            if tracks.1 && number * 64 / 3 == ms {
                self.audio(stamps.1(ms), arrival_us(ms));
            }
        }
    }

    /// A good publisher, read every 50 ms.
    fn good(&mut self, range_ms: std::ops::Range<i64>, tracks: (bool, bool)) {
        self.run(range_ms, 2_000, tracks, (|ms| ms, |ms| ms), read_at);
    }

    fn drain(&mut self) {
        while let Some(event) = self.timeline.poll() {
            match event {
                TimelineEvent::SessionStart { start_us, .. } => {
                    self.sessions.push(Recorded { start_us, ..Recorded::default() });
                }
                TimelineEvent::Sample { sample, wall_us } => {
                    let session = self.sessions.last_mut().unwrap();
                    let number = u32::from_be_bytes(sample.data[sample.data.len() - 4..].try_into().unwrap());
                    let frame = (number, wall_us, sample.duration);
                    match sample.track {
                        TrackKind::Video => session.video.push(frame),
                        TrackKind::Audio => session.audio.push(frame),
                    }
                }
                TimelineEvent::SessionEnd { end_us, cause } => {
                    self.sessions.last_mut().unwrap().end = Some((end_us, cause));
                }
            }
        }
        while let Some(notice) = self.timeline.poll_notice() {
            self.notices.push(notice);
        }
    }

    fn end(&mut self) -> &[Recorded] {
        self.end_with(0)
    }

    /// Ends; wall time may step back by `slack_us`, where stamps do.
    fn end_with(&mut self, slack_us: i64) -> &[Recorded] {
        self.timeline.end(0, EndCause::Camera);
        self.drain();
        for session in &self.sessions {
            for track in [&session.video, &session.audio] {
                assert!(
                    track.windows(2).all(|pair| pair[0].1 <= pair[1].1 + slack_us),
                    "wall time runs backwards"
                );
            }
        }
        &self.sessions
    }

    /// Every frame that was sent has been recorded once, in order.
    fn is_whole(&self) -> bool {
        let video = self.sessions.iter().flat_map(|session| &session.video).map(|frame| frame.0);
        let audio = self.sessions.iter().flat_map(|session| &session.audio).map(|frame| frame.0);
        video.eq(0..self.sent[0]) && audio.eq(0..self.sent[1])
    }

    fn still(&self) -> Vec<TrackKind> {
        let track = |notice: &TimelineNotice| match notice {
            TimelineNotice::StampsStandStill { track } => Some(*track),
            TimelineNotice::ClockSet { .. } => None,
        };
        self.notices.iter().filter_map(track).collect()
    }
}

/// When a message of this millisecond is read by a loop that reads every 50 ms.
fn read_at(ms: i64) -> i64 {
    (ms / 50 + 1) * 50 * MS
}

#[test]
fn a_clock_that_is_set_loses_no_frame_and_the_next_session_bears_the_new_time() {
    for step_us in [-3_600 * S, -30 * S, -8 * S, -S, 700 * MS, 8 * S, 30 * S, 3_600 * S, 8 * 86_400 * S] {
        for tracks in [(true, true), (true, false), (false, true)] {
            let mut scene = Scene::bare(i64::MIN);
            scene.configure(tracks.0, tracks.1);
            scene.good(0..20_500, tracks);
            scene.offset_us += step_us;
            scene.good(20_500..40_000, tracks);
            scene.end();
            assert!(scene.is_whole(), "{step_us} {tracks:?}");
            let [before, after] = &scene.sessions[..] else {
                panic!("{step_us}: {:?}", scene.sessions.len())
            };
            let (end_us, cause) = before.end.unwrap();
            assert_eq!(cause, EndCause::Clock, "no camera's doing");
            assert!((after.start_us - end_us - step_us).abs() < MS, "{step_us}: {}", after.start_us - end_us);
            // At the next keyframe, or the next frame of sound.
            let ran_us = end_us - before.start_us;
            let until_us = if tracks.0 { 22_000 * MS } else { 20_530 * MS };
            assert!((ran_us - until_us).abs() < 30 * MS, "{step_us} {tracks:?}: {ran_us}");
            assert_eq!(scene.notices, [TimelineNotice::ClockSet { by_us: step_us }]);
        }
    }
}

#[test]
fn a_clock_that_is_slewed_or_moved_a_little_begins_nothing() {
    for step_us in [-400 * MS, 100 * MS, 400 * MS] {
        let mut scene = Scene::new(i64::MIN, true);
        scene.good(0..10_500, (true, true));
        scene.offset_us += step_us;
        scene.good(10_500..30_000, (true, true));
        assert_eq!(scene.end().len(), 1, "{step_us}");
        assert!(scene.is_whole());
    }
    // 500 ppm, the most that NTP slews by.
    let mut scene = Scene::new(i64::MIN, false);
    for second in 0..4_000 {
        scene.offset_us = WALL + second * 500;
        scene.good(second * 1000..(second + 1) * 1000, (true, false));
    }
    let end_us = scene.end()[0].end.unwrap().0;
    assert_eq!(scene.sessions.len(), 1);
    assert!((end_us - WALL - 4_002 * S).abs() < 200 * MS, "the footage follows: {}", end_us - WALL);
}

#[test]
fn what_has_not_begun_when_the_clock_is_set_is_dated_by_the_new_time_alone() {
    for step_us in [-3_600 * S, 30 * S] {
        let mut scene = Scene::new(i64::MIN, true);
        scene.good(0..160, (true, true));
        assert!(scene.sessions.is_empty(), "it is still being measured");
        scene.offset_us += step_us;
        scene.good(160..6_000, (true, true));
        scene.end();
        assert!(scene.is_whole());
        assert_eq!(scene.sessions.len(), 1);
        assert!((scene.sessions[0].start_us - WALL - step_us - 50 * MS).abs() < 100 * MS);
    }
}

#[test]
fn who_comes_back_after_the_clock_was_set_is_dated_by_the_new_time() {
    for (step_us, away_us) in [(-3_600 * S, 2 * S), (-8 * S, 5 * S), (3_600 * S, 2 * S)] {
        let mut first = Scene::new(i64::MIN, true);
        first.good(0..10_000, (true, true));
        first.end();
        let mut second = Scene::new(first.timeline.ended_us(), true);
        second.offset_us += step_us;
        let base_us = 10 * S + away_us;
        second.run(0..6_000, 2_000, (true, true), (|ms| ms, |ms| ms), |ms| base_us + read_at(ms));
        second.end();
        assert!(second.is_whole());
        let late_us = second.sessions[0].start_us - (WALL + step_us + base_us);
        assert!((0..100 * MS).contains(&late_us), "{step_us}: {late_us}");
    }
}

#[test]
fn sources_that_send_what_they_had_queued_at_every_reconnect_do_not_run_into_the_future() {
    for (burst_ms, every_us) in [(2_500, 900 * MS), (2_500, 2 * S), (1_500, 200 * MS), (6_000, S)] {
        let mut earliest_us = i64::MIN;
        let mut sent = 0;
        for connection in 0..20i64 {
            let now_us = connection * every_us;
            let mut scene = Scene::new(earliest_us, true);
            scene.run(0..burst_ms, 2_000, (true, true), (|ms| ms, |ms| ms), |_| now_us);
            scene.end();
            assert!(scene.is_whole());
            sent += scene.sent[0];
            let ahead_us = scene.sessions.last().unwrap().end.unwrap().0 - WALL - now_us;
            let most_us = START_AHEAD_US + burst_ms * MS + 100 * MS;
            assert!(ahead_us <= most_us, "connection {connection}, {ahead_us} µs ahead");
            earliest_us = scene.timeline.ended_us();
        }
        assert_eq!(i64::from(sent), 20 * ((burst_ms + 39) / 40));
        // And when it has caught up, it is now again.
        let now_us = 20 * every_us + 10 * S;
        let mut scene = Scene::new(earliest_us, true);
        scene.run(0..4_000, 2_000, (true, true), (|ms| ms, |ms| ms), |ms| now_us + read_at(ms));
        let start_us = scene.end()[0].start_us;
        assert!((0..100 * MS).contains(&(start_us - WALL - now_us)));
    }
}

#[test]
fn being_ahead_is_told_by_the_monotonic_clock() {
    for step_us in [-3_600 * S, 0, 3_600 * S] {
        let mut scene = Scene::new(i64::MIN, false);
        // 10 s of pictures come at once.
        scene.run(0..10_000, 2_000, (true, false), (|ms| ms, |_| 0), |_| 5 * S);
        scene.offset_us += step_us;
        scene.video(10_000, false, 5 * S);
        let ahead_us = scene.timeline.ahead_us(6 * S);
        assert!((8 * S - 200 * MS..=9 * S).contains(&ahead_us), "{step_us}: {ahead_us}");
    }
}

#[test]
fn arrivals_tell_the_time_where_stamps_stand_still() {
    use TrackKind::{Audio, Video};
    type Stamp = fn(i64) -> i64;
    let (good, zero, odd): (Stamp, Stamp, Stamp) = (|ms| ms, |_| 0, |_| 4_000_000);
    let (counted, by_the_second): (Stamp, Stamp) = (|ms| ms / 40, |ms| ms / 1000);
    type Case<'a> = (&'a str, (Stamp, Stamp), bool, &'a [TrackKind]);
    let table: &[Case<'_>] = &[
        ("all zero", (zero, zero), true, &[Video, Audio]),
        ("all zero, no sound", (zero, zero), false, &[Video]),
        ("always the same", (odd, odd), true, &[Video, Audio]),
        ("pictures beside good sound", (zero, good), true, &[Video]),
        ("sound beside good pictures", (good, zero), true, &[Audio]),
        ("frames counted", (counted, good), true, &[Video]),
        ("seconds counted", (by_the_second, by_the_second), true, &[Video, Audio]),
    ];
    for (what, stamps, has_audio, expected) in table {
        let mut scene = Scene::new(i64::MIN, *has_audio);
        scene.run(0..14_000, 2_000, (true, *has_audio), *stamps, read_at);
        scene.end();
        assert_eq!(scene.sessions.len(), 1, "{what}");
        assert!(scene.is_whole(), "{what}");
        let session = &scene.sessions[0];
        let length_us = session.end.unwrap().0 - session.start_us;
        assert!((length_us - 14 * S).abs() < 300 * MS, "{what}: {length_us}");
        for (number, wall_us, duration) in &session.video {
            let off_us = wall_us - WALL - i64::from(*number) * 40 * MS;
            assert!(off_us.abs() < 200 * MS, "{what}: picture {number} is {off_us} µs off");
            assert!((1_200..=7_200).contains(duration), "{what}: picture {number} lasts {duration}");
        }
        for (number, wall_us, _) in &session.audio {
            let off_us = wall_us - WALL - i64::from(*number) * 64 * MS / 3;
            assert!(off_us.abs() < 200 * MS, "{what}: sound {number} is {off_us} µs off");
        }
        let mut still = scene.still();
        still.sort_unstable();
        assert_eq!(still, *expected, "{what}: told once");
    }
}

#[test]
fn stamps_that_stop_in_the_middle_cost_no_time_and_may_go_on() {
    for (stop_ms, go_ms) in [(5_000, 30_000), (5_010, 12_000), (9_000, 16_000)] {
        let mut scene = Scene::new(i64::MIN, false);
        let stamp = |ms: i64| if (stop_ms..go_ms).contains(&ms) { stop_ms } else { ms };
        scene.run(0..40_000, 2_000, (true, false), (stamp, |_| 0), read_at);
        scene.end_with(400 * MS);
        assert!(scene.is_whole());
        assert_eq!(scene.still(), [TrackKind::Video]);
        let end_us = scene.sessions.last().unwrap().end.unwrap().0;
        assert!((end_us - WALL - 40 * S).abs() < 500 * MS, "{stop_ms}: {}", end_us - WALL);
    }
}

#[test]
fn frames_that_are_slow_to_come_do_not_stand_still() {
    for slower in [2, 5, 20] {
        let mut scene = Scene::new(i64::MIN, true);
        let slow = move |ms| if ms < 4_000 { read_at(ms) } else { read_at(4_000 + (ms - 4_000) * slower) };
        scene.run(0..6_000, 2_000, (true, true), (|ms| ms, |ms| ms), slow);
        scene.end();
        assert_eq!(scene.still(), [], "{slower} times");
        assert!(scene.is_whole());
    }
}

#[test]
fn sound_that_comes_in_bundles_with_one_stamp_is_chained_by_its_length() {
    for bundle in [2i64, 6, 8, 16, 47] {
        for jitter_ms in [0, 15] {
            let mut scene = Scene::new(i64::MIN, true);
            let mut next = 0;
            for ms in 0..20_000 {
                if ms % 40 == 0 {
                    scene.video(ms, ms % 2000 == 0, ms * MS);
                }
                let end_ms = (next + bundle) * 64 / 3;
                if ms == end_ms {
                    let stamp_ms = next * 64 / 3 + (next / bundle % 3) * jitter_ms;
                    for _ in 0..bundle {
                        scene.audio(stamp_ms, ms * MS);
                    }
                    next += bundle;
                }
            }
            scene.end();
            assert!(scene.is_whole(), "{bundle} frames, {jitter_ms} ms");
            assert_eq!(scene.sessions.len(), 1);
            let odd = scene.sessions[0].audio.iter().find(|frame| !(1023..=1025).contains(&frame.2));
            assert_eq!(odd, None, "{bundle} frames, {jitter_ms} ms");
        }
    }
}

/// The first picture of a stream with B-frames is shown after the first sound.
#[test]
fn of_a_bundle_only_what_begins_before_the_first_picture_is_left_out() {
    for (bundle, early_ms, left_out) in [(47, 80, 4), (8, 80, 4), (6, 20, 1), (6, 0, 0)] {
        let mut clock = super::audio::AudioClock::new(48_000, 1_024);
        let mut given = Vec::new();
        for number in 0..3 * bundle {
            let stamp = number / bundle * bundle * 1_024 - early_ms * 48;
            clock.push(stamp, Bytes::new(), &mut |at, _| given.push(at));
        }
        assert_eq!(clock.dropped, left_out, "{bundle} frames, {early_ms} ms");
        assert_eq!(given.len() as i64, 3 * bundle - left_out as i64);
        assert_eq!(given[0], left_out as i64 * 1_024 - early_ms * 48);
        assert!(given.windows(2).all(|pair| pair[1] - pair[0] == 1_024));
    }
}

#[test]
fn sound_in_bundles_of_six_and_eight_is_chained_too() {
    let mut scene = Scene::new(i64::MIN, true);
    let mut next = 0;
    for ms in 0..20_000i64 {
        if ms % 40 == 0 {
            scene.video(ms, ms % 2000 == 0, ms * MS);
        }
        let bundle = if next % 14 == 0 { 6 } else { 8 };
        if (next + bundle) * 64 / 3 == ms {
            for _ in 0..bundle {
                scene.audio(next * 64 / 3, ms * MS);
            }
            next += bundle;
        }
    }
    scene.end();
    assert!(scene.is_whole());
    assert!(scene.sessions[0].audio.iter().all(|frame| (1023..=1025).contains(&frame.2)));
}

#[test]
fn a_slow_camera_is_one_session() {
    for every_ms in [1_000i64, 4_000, 5_000, 9_000, 12_000, LONGEST_RHYTHM_MS] {
        for has_audio in [false, true] {
            let mut scene = Scene::new(i64::MIN, has_audio);
            for ms in 0..120_000i64 {
                if ms % every_ms == 0 {
                    scene.video(ms, true, read_at(ms));
                }
                let number = (ms * 3 + 63) / 64;
                if has_audio && number * 64 / 3 == ms {
                    scene.audio(ms, read_at(ms));
                }
            }
            scene.end();
            assert_eq!(scene.sessions.len(), 1, "every {every_ms} ms, sound {has_audio}");
            assert!(scene.is_whole(), "every {every_ms} ms, sound {has_audio}");
            let video = &scene.sessions[0].video;
            let steps = video[..video.len() - 1].iter().map(|frame| i64::from(frame.2));
            assert!(steps.eq(std::iter::repeat_n(every_ms * 90, video.len() - 1)), "every {every_ms} ms");
        }
    }
}

#[test]
fn what_no_media_means_follows_the_source() {
    // A camera that slows down at night is recorded in few sessions, and not one for each picture.
    let mut scene = Scene::new(i64::MIN, false);
    scene.good(0..20_000, (true, false));
    for ms in (20_000..200_000).step_by(5_000) {
        scene.video(ms, true, read_at(ms));
    }
    scene.good(200_000..220_000, (true, false));
    // By day again, a silence is a silence.
    scene.good(226_000..240_000, (true, false));
    scene.end();
    assert!(scene.is_whole());
    let causes: Vec<_> = scene.sessions.iter().map(|session| session.end.unwrap()).collect();
    assert!(causes.len() <= 4, "{causes:?}");
    let by_day = causes[causes.len() - 2];
    assert!((by_day.0 - WALL - 220 * S).abs() < 200 * MS && by_day.1 == EndCause::Network, "{causes:?}");

    // And a slow one that is silent for long was away.
    let mut scene = Scene::new(i64::MIN, false);
    for ms in (0..40_000).step_by(5_000).chain((80_000..120_000).step_by(5_000)) {
        scene.video(ms, true, read_at(ms));
    }
    scene.end();
    assert!(scene.is_whole());
    assert_eq!(scene.sessions.len(), 2);
}

#[test]
fn a_small_step_back_of_a_stamp_ends_nothing() {
    for back_ms in [1, 20, 80, 150] {
        let mut scene = Scene::new(i64::MIN, true);
        let stamp = move |ms: i64| if ms % 400 == 200 { (ms - back_ms).max(0) } else { ms };
        scene.run(0..10_000, 2_000, (true, true), (stamp, |ms| ms), read_at);
        scene.end_with(back_ms * MS);
        assert!(scene.is_whole(), "{back_ms}");
        assert_eq!(scene.sessions.len(), 1, "{back_ms}");
        assert_eq!(scene.timeline.stats().clock_jumps, 0);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn however_often_the_clock_is_set_every_frame_is_recorded_once(
        steps in prop::collection::vec((500i64..9_000, -7_200_000_000i64..7_200_000_000), 0..6),
        key_ms in prop::sample::select(vec![40i64, 1_000, 2_000, 10_000]),
        has_audio: bool,
    ) {
        let mut scene = Scene::new(i64::MIN, has_audio);
        let mut at_ms = 0;
        let mut set_us = 0;
        for (after_ms, step_us) in steps {
            scene.run(at_ms..at_ms + after_ms, key_ms, (true, has_audio), (|ms| ms, |ms| ms), read_at);
            at_ms += after_ms;
            scene.offset_us += step_us;
            set_us += step_us;
        }
        scene.run(at_ms..at_ms + 21_000, key_ms, (true, has_audio), (|ms| ms, |ms| ms), read_at);
        scene.end();
        prop_assert!(scene.is_whole());
        let end_us = scene.sessions.last().unwrap().end.unwrap().0;
        let off_us = end_us - (WALL + set_us + (at_ms + 21_000) * MS);
        // Steps too small to be one are followed slowly.
        prop_assert!(off_us.abs() < 700 * MS, "{} µs", off_us);
    }
}
