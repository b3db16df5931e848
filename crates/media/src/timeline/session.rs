//! One running session: frames in common time become samples in session time.

use std::{collections::VecDeque, sync::Arc};

use bytes::Bytes;

use super::{
    TimelineEvent,
    audio::AudioClock,
    limits::{AUDIO_AHEAD_MS, TICKS_PER_MS},
    rate::{Finding, Rate},
    video::{VideoClock, VideoTime},
    wall::Wall,
};
use crate::{EndCause, Sample, SessionConfig, TICKS_PER_SECOND_VIDEO, TrackKind};

/// Pictures that follow the first keyframe but are shown before it: rounding may put others up to 2 ms early.
const LEADING: i64 = -2 * TICKS_PER_MS;

/// A video frame in common time.
#[derive(Debug)]
pub(super) struct VideoFrame {
    pub(super) ms: i64,
    pub(super) composition_ms: i32,
    pub(super) is_sync: bool,
    pub(super) data: Bytes,
    pub(super) now_us: i64,
}

#[derive(Debug)]
struct VideoTrack {
    clock: VideoClock,
    /// Times of the first keyframe; its presentation is the session's origin.
    first: VideoTime,
    is_leading: bool,
    held: Held,
    last_duration: u32,
}

#[derive(Debug)]
struct AudioTrack {
    clock: AudioClock,
    sample_rate: i64,
    held: Option<Held>,
    last_duration: u32,
}

/// A sample whose duration the next one will tell.
#[derive(Debug)]
struct Held {
    sample: Sample,
    wall_us: i64,
}

impl Held {
    fn new(sample: Sample, wall: &Wall, timescale: i64) -> Self {
        let presentation = sample.decode_time + i64::from(sample.composition_offset);
        Self { wall_us: wall.at(to_us(presentation, timescale)), sample }
    }

    fn end(&self) -> i64 {
        self.sample.decode_time + i64::from(self.sample.duration)
    }

    fn lasting(mut self, ticks: i64) -> TimelineEvent {
        self.sample.duration = clamped_duration(ticks);
        TimelineEvent::Sample { sample: self.sample, wall_us: self.wall_us }
    }
}

/// A session that has started.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) config: Arc<SessionConfig>,
    /// Common time of the origin, in ticks of 1/90 000 s.
    origin: i64,
    video: Option<VideoTrack>,
    audio: Option<AudioTrack>,
    wall: Wall,
    /// Frames left out.
    pub(super) dropped_video: u64,
}

impl Session {
    /// Starts with a keyframe.
    pub(super) fn with_video(
        config: Arc<SessionConfig>,
        key: VideoFrame,
        finding: Finding,
        hints: Vec<Rate>,
        start_us: i64,
        dating_us: i64,
    ) -> Self {
        let mut clock = VideoClock::new(finding, hints);
        let first = clock.place(key.ms, key.composition_ms);
        let last_duration = clock.rate().map_or(TICKS_PER_SECOND_VIDEO / 25, |rate| rate.step() as u32);
        let held = Sample {
            track: TrackKind::Video,
            decode_time: 0,
            duration: last_duration,
            composition_offset: 0,
            is_sync: true,
            data: key.data,
        };
        let mut wall = Wall::new(start_us);
        let held = Held::new(held, &wall, i64::from(TICKS_PER_SECOND_VIDEO));
        wall.observe(0, key.now_us.saturating_add(dating_us));
        let video = VideoTrack { clock, first, is_leading: true, held, last_duration };
        Self {
            audio: audio_track(&config),
            config,
            origin: first.presentation,
            video: Some(video),
            wall,
            dropped_video: 0,
        }
    }

    /// Starts without video at the time of the first audio frame.
    pub(super) fn with_audio_alone(config: Arc<SessionConfig>, first_ms: i64, start_us: i64) -> Self {
        Self {
            audio: audio_track(&config),
            config,
            origin: first_ms * TICKS_PER_MS,
            video: None,
            wall: Wall::new(start_us),
            dropped_video: 0,
        }
    }

    /// The frame rate found in this session.
    pub(super) fn rate(&self) -> Option<Rate> {
        self.video.as_ref().and_then(|video| video.clock.rate())
    }

    /// The bytes of the last picture, which is held until its duration is known.
    pub(super) fn held_picture(&mut self) -> Option<&mut Bytes> {
        self.video.as_mut().map(|video| &mut video.held.sample.data)
    }

    /// Audio frames left out.
    pub(super) fn dropped_audio(&self) -> u64 {
        self.audio.as_ref().map_or(0, |audio| audio.clock.dropped)
    }

    /// UTC microseconds of the newest sample of the lead track.
    pub(super) fn newest_us(&self) -> i64 {
        match (&self.video, &self.audio) {
            (Some(video), _) => video.held.wall_us,
            (None, Some(AudioTrack { held: Some(held), .. })) => held.wall_us,
            (None, _) => self.wall.at(0),
        }
    }

    /// Takes the next video frame in decode order; `dating_us` is the wall clock minus the clock by which it arrived. Returns
    /// how far the wall clock is from where it should be.
    pub(super) fn push_video(
        &mut self,
        frame: VideoFrame,
        dating_us: i64,
        out: &mut VecDeque<TimelineEvent>,
    ) -> i64 {
        let Some(video) = &mut self.video else {
            self.dropped_video += 1;
            return 0;
        };
        let time = video.clock.place(frame.ms, frame.composition_ms);
        let decode_time = time.decode - video.first.decode;
        let presentation = time.presentation - video.first.presentation;
        if video.is_leading {
            if presentation < LEADING {
                self.dropped_video += 1;
                return 0;
            }
            video.is_leading = false;
        }
        let sample = Sample {
            track: TrackKind::Video,
            decode_time,
            duration: 1,
            composition_offset: clamped_i32(presentation - decode_time),
            is_sync: frame.is_sync,
            data: frame.data,
        };
        let wall_us = frame.now_us.saturating_add(dating_us);
        let error_us = self.wall.observe(video_us(decode_time), wall_us);
        let length = decode_time - video.held.sample.decode_time;
        video.last_duration = clamped_duration(length);
        let held = Held::new(sample, &self.wall, i64::from(TICKS_PER_SECOND_VIDEO));
        out.push_back(std::mem::replace(&mut video.held, held).lasting(length));
        error_us
    }

    /// Takes the next audio frame, which arrived at `now_us` of the wall clock. Returns how far the wall clock is from where it should be, if audio alone rules it.
    pub(super) fn push_audio(
        &mut self,
        ms: i64,
        data: Bytes,
        now_us: i64,
        out: &mut VecDeque<TimelineEvent>,
    ) -> i64 {
        let Some(audio) = &mut self.audio else { return 0 };
        let ticks = ms * TICKS_PER_MS - self.origin;
        if self
            .video
            .as_ref()
            .is_some_and(|video| ticks - video.held.sample.decode_time > AUDIO_AHEAD_MS * TICKS_PER_MS)
        {
            audio.clock.dropped += 1;
            return 0;
        }
        let stamp = ticks.saturating_mul(audio.sample_rate) / i64::from(TICKS_PER_SECOND_VIDEO);
        let mut error_us = 0;
        if self.video.is_none() {
            error_us = self.wall.observe(video_us(ticks), now_us);
        }
        let (wall, held, last, rate) = (&self.wall, &mut audio.held, &audio.last_duration, audio.sample_rate);
        audio.clock.push(stamp, data, &mut |at, data| hold_audio(at, data, held, last, wall, rate, out));
        error_us
    }

    /// Where a keyframe lies that begins the next session: its decode time, if this session has video, and its wall time.
    /// The frame itself is not taken.
    pub(super) fn locate(&mut self, ms: i64, composition_ms: i32) -> (Option<i64>, i64) {
        match &mut self.video {
            Some(video) => {
                let decode_time = video.clock.place(ms, composition_ms).decode - video.first.decode;
                (Some(decode_time), self.wall.at(video_us(decode_time)))
            }
            None => {
                let shown = (ms + i64::from(composition_ms)) * TICKS_PER_MS - self.origin;
                (None, self.wall.at(video_us(shown)))
            }
        }
    }

    /// Ends the session: at a decode time of the lead track, or one usual step after the last frame.
    pub(super) fn finish(
        mut self,
        end_decode_time: Option<i64>,
        cause: EndCause,
        out: &mut VecDeque<TimelineEvent>,
    ) -> i64 {
        let mut end_us = self.wall.at(0);
        if let Some(audio) = &mut self.audio {
            let (wall, held, last, rate) =
                (&self.wall, &mut audio.held, &audio.last_duration, audio.sample_rate);
            audio.clock.finish(&mut |at, data| hold_audio(at, data, held, last, wall, rate, out));
            if let Some(held) = audio.held.take() {
                end_us = self.wall.at(to_us(held.end(), rate));
                out.push_back(held.lasting(i64::from(audio.last_duration)));
            }
        }
        if let Some(VideoTrack { held, last_duration, .. }) = self.video {
            let from = held.sample.decode_time;
            let length = end_decode_time.map_or(i64::from(last_duration), |end| (end - from).max(1));
            end_us = self.wall.at(video_us(from + length));
            out.push_back(held.lasting(length));
        }
        out.push_back(TimelineEvent::SessionEnd { end_us, cause });
        end_us
    }
}

fn audio_track(config: &SessionConfig) -> Option<AudioTrack> {
    config.audio.as_ref().map(|audio| AudioTrack {
        clock: AudioClock::new(audio.sample_rate, audio.samples_per_frame),
        sample_rate: i64::from(audio.sample_rate.max(1)),
        held: None,
        last_duration: audio.samples_per_frame.max(1),
    })
}

/// Holds an audio frame, and gives the one held before, whose duration is now known.
fn hold_audio(
    at: i64,
    data: Bytes,
    held: &mut Option<Held>,
    last_duration: &u32,
    wall: &Wall,
    sample_rate: i64,
    out: &mut VecDeque<TimelineEvent>,
) {
    let sample = Sample {
        track: TrackKind::Audio,
        decode_time: at,
        duration: *last_duration,
        composition_offset: 0,
        is_sync: true,
        data,
    };
    if let Some(done) = held.replace(Held::new(sample, wall, sample_rate)) {
        let length = at - done.sample.decode_time;
        out.push_back(done.lasting(length));
    }
}

fn to_us(ticks: i64, timescale: i64) -> i64 {
    // Sessions of thousands of years aside, the product stays in range: 2^63 / 10^6 ticks at 96 kHz are three years, so
    // whole seconds are converted apart.
    let seconds = ticks.div_euclid(timescale);
    seconds.saturating_mul(1_000_000) + ticks.rem_euclid(timescale) * 1_000_000 / timescale
}

fn video_us(ticks: i64) -> i64 {
    to_us(ticks, i64::from(TICKS_PER_SECOND_VIDEO))
}

fn clamped_duration(ticks: i64) -> u32 {
    ticks.clamp(1, i64::from(u32::MAX)) as u32
}

fn clamped_i32(ticks: i64) -> i32 {
    ticks.clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32
}
