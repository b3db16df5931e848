//! The timeline: a publisher's 32-bit millisecond stamps become samples on one monotonic time that is anchored to the wall
//! clock.
//!
//! Here belongs every repair of time, and the decision where a session begins and ends. Not here: bytes (`flv`, `codec`),
//! fragments (`fragmenter`), sockets.
//!
//! ```text
//! stamps ─ ticks ─> common time ─ video, audio ─> session time ─ wall ─> wall time
//!          roll-over,             constant frame                 drift
//!          strays, jumps          rate, chained audio
//! ```
//!
//! # Sessions
//!
//! A session begins at a keyframe, which is any place where decoding can start (`entries`), or, when no video comes, at an
//! audio frame. It goes on while configuration and clock stay the same. Its origin is the presentation of its first frame: decode time 0, composition offset 0, wall time
//! `start_us`. At its start it holds frames for a moment (at most 2.2 s) to measure the frame rate and to
//! see whether there is audio; after that each track holds one frame, whose duration the next one tells.
//!
//! A new session begins at the next keyframe when a configuration changes, when audio appears or disappears, and when the
//! publisher's clock has jumped; in the last case its wall start is the arrival of the keyframe, unless that is within half
//! a second of where the last session ended. A silence of more than three seconds ends the session at once: that is a gap.
//!
//! # The node's own clock
//!
//! Everything is measured by the monotonic clock; the wall clock only dates what is recorded (`clock`). When somebody sets it,
//! the session that runs goes on by the time it was started with until the next session can begin, which is at the next
//! keyframe (of sound alone: at the next frame). That one begins exactly where the last ended by the monotonic clock, and is
//! dated by the new wall clock: no frame is lost or given twice, wall time never jumps within a session, and between the two
//! it jumps by the step. What has not begun yet is dated by the new clock at once.
//!
//! After a step back, footage of two sessions bears the same times. Both stay; whoever reads shows one of them at a time.
//!
//! A session starts no earlier than the last one of its channel ended, also over connections, as far as that lies at most two
//! seconds ahead of its first frame's arrival. Beyond, it starts at its arrival: a source that sends what it had queued at
//! every reconnect would otherwise be dated further ahead with each.
//!
//! # Stamps that say nothing
//!
//! Where the stamps of a track stand still, arrivals take over (`still`), which [`Timeline::poll_notice`] tells once.

mod audio;
mod clock;
#[cfg(test)]
mod clock_tests;
mod entries;
mod limits;
mod more;
mod problem;
mod rate;
mod session;
mod still;
#[cfg(test)]
mod tests;
mod ticks;
mod video;
mod wall;

use std::{collections::VecDeque, sync::Arc};

use bytes::Bytes;

pub use self::{
    clock::{Arrival, CLOCK_STEP_US, ClockWatch},
    limits::{KEYFRAME_WITHIN_BYTES, KEYFRAME_WITHIN_US},
    problem::AudioProblem,
    wall::DEAD_BAND_US,
};
use self::{
    entries::{Entries, Picture},
    limits::{
        ARRIVAL_CREDIT_US, AUDIO_GRACE_MS, AUDIO_LOST_MS, AUDIO_ONLY_AFTER_MS, AUDIO_UNKNOWN_GRACE_MS,
        BURST_FRAMES, BURST_US, CONTIGUOUS_US, INTERLEAVE_MS, LATE_US, LONGEST_COMPOSITION_MS, MAX_NOTICES,
        MEASURE_BYTES, MEASURE_FRAMES, MEASURE_LEAST_FRAMES, MEASURE_MS, START_AHEAD_US, TICKS_PER_MS,
        UNUSABLE_AUDIO_FRAMES, VIDEO_LOST_MS, WAITING_AUDIO_BYTES, WAITING_AUDIO_FRAMES,
    },
    rate::{Finding, Rate, find},
    session::{Session, VideoFrame},
    ticks::{Change, Ticks, Timed},
};
use crate::{
    AudioConfig, EndCause, Sample, SessionConfig, TrackKind, VideoCodec, VideoConfig,
    codec::{Access, CodecError, access},
    flv::{AudioTag, VideoTag},
};

/// What a timeline is told at its start.
#[derive(Clone, Copy, Debug)]
pub struct TimelineConfig {
    /// Where what is already recorded of the channel ends, if that is known: [`Timeline::ended_us`] of its last timeline, on the
    /// monotonic clock. No session starts before it, as far as that is not too far ahead.
    pub earliest_start_us: i64,
}

impl Default for TimelineConfig {
    fn default() -> Self {
        Self { earliest_start_us: i64::MIN }
    }
}

/// What a timeline gives.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum TimelineEvent {
    /// A session begins.
    SessionStart {
        /// The configuration of its tracks.
        config: Arc<SessionConfig>,
        /// UTC microseconds of decode time 0.
        start_us: i64,
    },
    /// The next sample of a track, in decode order.
    Sample {
        /// The sample.
        sample: Sample,
        /// UTC microseconds of its presentation.
        wall_us: i64,
    },
    /// The session is over.
    SessionEnd {
        /// UTC microseconds of the end of the lead track's last sample.
        end_us: i64,
        /// Why.
        cause: EndCause,
    },
}

/// Why a publisher cannot be recorded.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TimelineError {
    /// The video configuration is damaged or not supported.
    #[error("the video configuration cannot be used: {0}")]
    VideoConfig(#[source] CodecError),
    /// Video came without a keyframe, longer than [`KEYFRAME_WITHIN_US`] or [`KEYFRAME_WITHIN_BYTES`].
    #[error("no keyframe within {waited_ms} ms and {bytes} bytes of video")]
    NoKeyframe {
        /// Milliseconds since the first frame.
        waited_ms: i64,
        /// Bytes of frames received.
        bytes: u64,
    },
    /// Nothing but audio that cannot be carried came, as long as in [`Self::NoKeyframe`].
    #[error("no video within {waited_ms} ms, and {problem}")]
    AudioOnly {
        /// Milliseconds since the first frame.
        waited_ms: i64,
        /// Why the audio is not recorded.
        problem: AudioProblem,
    },
    /// Frames came without the configuration they need, as long as in [`Self::NoKeyframe`].
    #[error("no usable video or audio configuration within {waited_ms} ms and {bytes} bytes of media")]
    NoConfig {
        /// Milliseconds since the first frame.
        waited_ms: i64,
        /// Bytes of frames received.
        bytes: u64,
    },
}

/// What a timeline had to repair or leave out.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct TimelineStats {
    /// Sessions started.
    pub sessions: u64,
    /// Video frames left out: before a keyframe, or without a configuration.
    pub dropped_video_frames: u64,
    /// Audio frames left out: before the session's origin, without a configuration, or where audio was already.
    pub dropped_audio_frames: u64,
    /// Stamps that were far from their neighbours and have been replaced.
    pub stray_stamps: u64,
    /// Jumps of the publisher's clock.
    pub clock_jumps: u64,
}

/// Something odd about a publisher, which somebody may want to mend. Each is told once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TimelineNotice {
    /// The time stamps of a track stand still: its frames get the time of their arrival.
    StampsStandStill {
        /// Which track.
        track: TrackKind,
    },
    /// The wall clock was set; the next session is dated by it.
    ClockSet {
        /// By how much, in microseconds; positive is forwards.
        by_us: i64,
    },
}

/// A frame on its way to common time.
#[derive(Debug)]
enum Frame {
    Video { composition_ms: i32, is_sync: bool, data: Bytes },
    Audio { data: Bytes },
}

impl Frame {
    fn track(&self) -> TrackKind {
        match self {
            Self::Video { .. } => TrackKind::Video,
            Self::Audio { .. } => TrackKind::Audio,
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Video { data, .. } | Self::Audio { data } => data.len(),
        }
    }
}

/// No session: a keyframe, or a while of nothing but audio, is awaited.
#[derive(Debug, Default)]
struct Waiting {
    /// Arrival of the first frame.
    since_us: Option<i64>,
    bytes: u64,
    audio: VecDeque<Timed<Frame>>,
    audio_bytes: usize,
    /// Common time of the first audio frame and of the last video frame.
    first_audio_ms: Option<i64>,
    last_video_ms: Option<i64>,
}

/// A keyframe has come; frames are held to measure the rate.
#[derive(Debug)]
struct Starting {
    video_config: VideoConfig,
    early_audio: VecDeque<Timed<Frame>>,
    /// The keyframe first.
    frames: Vec<Timed<Frame>>,
    /// Stamps of the video frames, in ticks.
    stamps: Vec<i64>,
    bytes: usize,
    has_audio: bool,
    anchor: Anchor,
}

/// Where a session begins.
#[derive(Clone, Copy, Debug)]
enum Anchor {
    /// At the arrival of its first frame.
    Arrival,
    /// Where the last session ended, on the monotonic clock.
    At(i64),
}

#[derive(Debug)]
enum State {
    Waiting(Waiting),
    Starting(Starting),
    Running(Box<Session>),
}

/// Turns a publisher's tags into samples. Feed it, then drain [`Self::poll`].
///
/// Between two drains it gives at most what a session start held (`MEASURE_FRAMES` of video and the audio of that time)
/// and a handful of events more.
#[derive(Debug)]
pub struct Timeline {
    earliest_start_us: i64,
    ticks: Ticks<Frame>,
    settled: Vec<(Change, Timed<Frame>)>,
    video_config: Option<VideoConfig>,
    audio_config: Option<AudioConfig>,
    audio_problem: Option<AudioProblem>,
    /// Audio frames in a row that cannot be used.
    unusable_audio: u32,
    /// The picture that was taken last.
    last_picture: Option<more::Mark>,
    /// A new video configuration has come and its keyframe has not.
    awaits_key: bool,
    entries: Entries,
    /// Whether the video frame taken last is a place to start.
    took_entry: bool,
    hint: Option<Rate>,
    last_rate: Option<Rate>,
    state: State,
    /// The next keyframe begins a new session, anchored anew.
    is_reanchoring: bool,
    watch: ClockWatch,
    /// Wall clock minus monotonic clock, as the session that runs is dated: what `watch` knows, until the clock is set.
    dating_us: i64,
    /// The clock was set, and the session that runs is still dated by what it was before.
    is_set: bool,
    notices: VecDeque<TimelineNotice>,
    /// Tracks of which was told that they stand still: video, audio.
    told_still: [bool; 2],
    last_video_ms: Option<i64>,
    last_audio_ms: Option<i64>,
    out: VecDeque<TimelineEvent>,
    stats: TimelineStats,
}

impl Timeline {
    /// A timeline for one connection of a publisher.
    #[must_use]
    pub fn new(config: TimelineConfig) -> Self {
        Self {
            earliest_start_us: config.earliest_start_us,
            ticks: Ticks::new(),
            settled: Vec::new(),
            video_config: None,
            audio_config: None,
            audio_problem: None,
            unusable_audio: 0,
            last_picture: None,
            awaits_key: false,
            entries: Entries::default(),
            took_entry: false,
            hint: None,
            last_rate: None,
            state: State::Waiting(Waiting::default()),
            is_reanchoring: false,
            watch: ClockWatch::default(),
            dating_us: 0,
            is_set: false,
            notices: VecDeque::new(),
            told_still: [false; 2],
            last_video_ms: None,
            last_audio_ms: None,
            out: VecDeque::new(),
            stats: TimelineStats::default(),
        }
    }

    /// The frame rate the publisher names in its metadata. It is believed only as far as the stamps agree.
    pub fn frame_rate_hint(&mut self, frames_per_second: f64) {
        self.hint = Rate::from_hint(frames_per_second);
    }

    /// Takes a video message.
    ///
    /// # Errors
    /// If the publisher cannot be recorded; the connection should be closed.
    pub fn video(
        &mut self,
        timestamp_ms: u32,
        tag: VideoTag,
        now: impl Into<Arrival>,
    ) -> Result<(), TimelineError> {
        let now_us = self.arrive(now.into());
        self.took_entry = false;
        match tag {
            VideoTag::SequenceHeader { codec, record } => self.configure_video(codec, record),
            VideoTag::Frame { is_key, composition_time_ms, data } if !data.is_empty() => {
                let is_sync = self.is_entry(is_key, &data, timestamp_ms, now_us);
                let composition_ms =
                    if composition_time_ms.abs() <= LONGEST_COMPOSITION_MS { composition_time_ms } else { 0 };
                self.last_picture = Some(more::Mark::of(&data));
                let frame = Frame::Video { composition_ms, is_sync, data };
                self.frame(TrackKind::Video, timestamp_ms, now_us, frame)
            }
            _ => Ok(()),
        }
    }

    /// Takes an audio message. Audio that cannot be carried is left out, with [`Self::audio_problem`] as the reason: video
    /// is recorded in any case.
    ///
    /// # Errors
    /// If the publisher cannot be recorded; the connection should be closed.
    pub fn audio(
        &mut self,
        timestamp_ms: u32,
        tag: AudioTag,
        now: impl Into<Arrival>,
    ) -> Result<(), TimelineError> {
        let now_us = self.arrive(now.into());
        match tag {
            AudioTag::SequenceHeader { record } => self.configure_audio(record),
            AudioTag::Frame { data } if !data.is_empty() => {
                return self.frame(TrackKind::Audio, timestamp_ms, now_us, Frame::Audio { data });
            }
            AudioTag::Unsupported { codec } => {
                // One odd message among good audio is no problem.
                self.unusable_audio = self.unusable_audio.saturating_add(1);
                if self.audio_config.is_none() || self.unusable_audio >= UNUSABLE_AUDIO_FRAMES {
                    self.audio_problem.get_or_insert(AudioProblem::Codec(codec));
                }
                self.stats.dropped_audio_frames += 1;
                return self.check_waiting(now_us, 0);
            }
            _ => {}
        }
        Ok(())
    }

    /// Ends the session: what is held is given with usual durations.
    pub fn end(&mut self, _now_us: i64, cause: EndCause) {
        let mut rest = Vec::new();
        self.ticks.finish(|_, timed| rest.push(timed));
        for timed in rest {
            // Nothing is awaited any more, so no limit can be broken.
            let _ = self.place(timed);
        }
        if let State::Waiting(waiting) = &mut self.state
            && waiting.last_video_ms.is_none()
            && !waiting.audio.is_empty()
        {
            let audio = std::mem::take(&mut waiting.audio);
            self.start_audio_alone(audio, Anchor::Arrival);
        }
        self.end_session(cause);
    }

    /// Whether the video frame taken last is a place to start: for those who pass on its tag.
    #[must_use]
    pub fn took_entry(&self) -> bool {
        self.took_entry
    }

    /// The next event, in order.
    pub fn poll(&mut self) -> Option<TimelineEvent> {
        self.out.pop_front()
    }

    /// The next thing that somebody may want to know of the publisher.
    pub fn poll_notice(&mut self) -> Option<TimelineNotice> {
        self.notices.pop_front()
    }

    /// Where what is recorded ends, on the monotonic clock: [`TimelineConfig::earliest_start_us`] of the channel's next one.
    #[must_use]
    pub fn ended_us(&self) -> i64 {
        self.earliest_start_us
    }

    /// How far the newest sample is ahead of an instant of the monotonic clock, in microseconds. Only of a running session:
    /// what is not dated yet is not ahead.
    #[must_use]
    pub fn ahead_us(&self, monotonic_us: i64) -> i64 {
        match &self.state {
            State::Running(session) => {
                session.newest_us().saturating_sub(self.dating_us).saturating_sub(monotonic_us)
            }
            State::Waiting(_) | State::Starting(_) => 0,
        }
    }

    /// What was repaired or left out so far.
    #[must_use]
    pub fn stats(&self) -> TimelineStats {
        let mut stats = self.stats;
        stats.stray_stamps = self.ticks.strays;
        stats.clock_jumps = self.ticks.jumps;
        if let State::Running(session) = &self.state {
            stats.dropped_video_frames += session.dropped_video;
            stats.dropped_audio_frames += session.dropped_audio();
        }
        stats
    }

    /// Why audio is not recorded, if it was offered and cannot be.
    #[must_use]
    pub fn audio_problem(&self) -> Option<&AudioProblem> {
        self.audio_problem.as_ref()
    }

    /// Frames held back, over all buffers.
    #[cfg(test)]
    fn held_frames(&self) -> usize {
        self.ticks.doubted()
            + match &self.state {
                State::Waiting(waiting) => waiting.audio.len(),
                State::Starting(starting) => starting.early_audio.len() + starting.frames.len(),
                State::Running(_) => 3,
            }
    }

    fn is_entry(&mut self, is_key: bool, data: &[u8], stamp_ms: u32, now_us: i64) -> bool {
        let access = match &self.video_config {
            Some(config) => access(config.codec, data, config.nal_length_size()),
            None => Access::Unknown,
        };
        let is_awaited = self.awaits_key || matches!(self.state, State::Waiting(_));
        self.took_entry = self.entries.take(Picture { access, is_key, is_awaited, stamp_ms, now_us });
        self.took_entry
    }

    fn configure_video(&mut self, codec: VideoCodec, record: Bytes) -> Result<(), TimelineError> {
        if self.video_config.as_ref().is_some_and(|known| known.codec == codec && known.record == record) {
            return Ok(());
        }
        let config = VideoConfig::from_record(codec, record).map_err(TimelineError::VideoConfig)?;
        self.video_config = Some(config);
        self.awaits_key = true;
        self.entries = Entries::default();
        Ok(())
    }

    fn configure_audio(&mut self, record: Bytes) {
        if self.audio_config.as_ref().is_some_and(|known| known.record == record) {
            return;
        }
        // What is held came with the old configuration.
        match &mut self.state {
            State::Waiting(waiting) => waiting.forget_audio(),
            State::Starting(starting) if starting.has_audio => self.finish_start(true),
            State::Starting(_) | State::Running(_) => {}
        }
        match AudioConfig::from_asc(record) {
            Ok(config) => {
                self.audio_config = Some(config);
                self.audio_problem = None;
            }
            Err(error) => {
                self.audio_config = None;
                self.audio_problem = Some(AudioProblem::Configuration(error));
            }
        }
    }

    fn frame(
        &mut self,
        kind: TrackKind,
        timestamp_ms: u32,
        now_us: i64,
        frame: Frame,
    ) -> Result<(), TimelineError> {
        let mut settled = std::mem::take(&mut self.settled);
        let was_still = self.ticks.still(kind).is_some();
        self.ticks.push(kind, timestamp_ms, now_us, frame, Frame::len, |change, timed| {
            settled.push((change, timed));
        });
        if !was_still && self.ticks.still(kind).is_some() {
            self.note_still(kind);
        }
        let mut result = Ok(());
        for (change, timed) in settled.drain(..) {
            match change {
                Change::None => {}
                Change::Hole => self.end_session(EndCause::Network),
                Change::Jump => self.is_reanchoring |= !matches!(self.state, State::Waiting(_)),
            }
            result = result.and(self.place(timed));
        }
        self.settled = settled;
        result
    }

    /// Takes a reading of the node's clocks; returns the arrival by the monotonic one.
    fn arrive(&mut self, now: Arrival) -> i64 {
        let step_us = self.watch.observe(now);
        if let Some(by_us) = step_us {
            self.notice(TimelineNotice::ClockSet { by_us });
            let is_running = matches!(self.state, State::Running(_));
            self.is_reanchoring |= is_running;
            self.is_set = is_running;
        }
        if !self.is_set {
            self.dating_us = self.watch.offset_us();
        }
        now.monotonic_us
    }

    /// From here on the wall clock as it is now dates what comes.
    fn date_anew(&mut self) {
        self.is_set = false;
        self.dating_us = self.watch.offset_us();
    }

    fn notice(&mut self, notice: TimelineNotice) {
        if self.notices.len() < MAX_NOTICES {
            self.notices.push_back(notice);
        }
    }

    /// The stamps of a track stand still: what is held of it gets its time anew, and it is told once.
    fn note_still(&mut self, kind: TrackKind) {
        if let (State::Starting(starting), Some(pace)) = (&mut self.state, self.ticks.still(kind)) {
            starting.spread(kind, |number| pace.spread_ms(number), pace.since.frames);
        }
        let told = match kind {
            TrackKind::Video => &mut self.told_still[0],
            TrackKind::Audio => &mut self.told_still[1],
        };
        if !std::mem::replace(told, true) {
            self.notice(TimelineNotice::StampsStandStill { track: kind });
        }
    }

    /// Sees a track move in common time further than its frames can: it has been laid beside the other one anew.
    fn note_step(&mut self, kind: TrackKind, ms: i64) {
        let is_lead = match &self.state {
            State::Running(session) => session.config.lead() == kind,
            State::Waiting(_) | State::Starting(_) => kind == TrackKind::Video,
        };
        let last_ms = match kind {
            TrackKind::Video => self.last_video_ms.replace(ms),
            TrackKind::Audio => self.last_audio_ms.replace(ms),
        };
        let step_ms = last_ms.map_or(0, |last_ms| ms - last_ms);
        if is_lead && step_ms > VIDEO_LOST_MS.max(self.ticks.longest_step_ms(kind)) {
            self.end_session(EndCause::Network);
        } else if is_lead && step_ms < -INTERLEAVE_MS {
            self.is_reanchoring |= !matches!(self.state, State::Waiting(_));
        }
    }

    fn place(&mut self, timed: Timed<Frame>) -> Result<(), TimelineError> {
        match timed.frame {
            Frame::Video { composition_ms, is_sync, data } => {
                self.note_step(TrackKind::Video, timed.ms);
                let frame = VideoFrame { ms: timed.ms, composition_ms, is_sync, data, now_us: timed.now_us };
                self.place_video(frame)
            }
            Frame::Audio { data } => {
                self.note_step(TrackKind::Audio, timed.ms);
                self.place_audio(timed.ms, data, timed.now_us)
            }
        }
    }

    fn place_video(&mut self, frame: VideoFrame) -> Result<(), TimelineError> {
        let (now_us, size) = (frame.now_us, frame.data.len());
        if let State::Waiting(waiting) = &mut self.state {
            waiting.last_video_ms = Some(frame.ms);
        }
        if frame.is_sync {
            self.awaits_key = false;
            if matches!(self.state, State::Starting(_)) && self.wants_new_session(frame.ms) {
                self.finish_start(true);
            }
            if matches!(self.state, State::Running(_)) && self.wants_new_session(frame.ms) {
                self.hand_over(frame);
                return Ok(());
            }
            if matches!(self.state, State::Waiting(_)) {
                self.begin(frame, Anchor::Arrival);
                return Ok(());
            }
        }
        match &mut self.state {
            State::Waiting(_) => {
                self.stats.dropped_video_frames += 1;
                self.check_waiting(now_us, size)
            }
            _ if self.awaits_key => {
                self.stats.dropped_video_frames += 1;
                Ok(())
            }
            State::Starting(starting) => {
                starting.push(frame.into_timed());
                self.finish_start(false);
                Ok(())
            }
            State::Running(session) => {
                let error_us = session.push_video(frame, self.dating_us, &mut self.out);
                self.is_reanchoring |= error_us > LATE_US;
                Ok(())
            }
        }
    }

    fn place_audio(&mut self, ms: i64, data: Bytes, now_us: i64) -> Result<(), TimelineError> {
        if self.audio_config.is_none() {
            self.stats.dropped_audio_frames += 1;
            self.unusable_audio = self.unusable_audio.saturating_add(1);
            if self.unusable_audio >= UNUSABLE_AUDIO_FRAMES {
                self.audio_problem.get_or_insert(AudioProblem::NoConfiguration);
            }
            return self.check_waiting(now_us, data.len());
        }
        (self.audio_problem, self.unusable_audio) = (None, 0);
        let video_silence_ms = self.last_video_ms.map(|last| ms - last);
        if let State::Running(session) = &self.state {
            let longest_ms = VIDEO_LOST_MS.max(self.ticks.longest_step_ms(TrackKind::Video));
            let is_without_video =
                session.config.video.is_some() && video_silence_ms.is_some_and(|ms| ms > longest_ms);
            if is_without_video {
                self.end_session(EndCause::Camera);
            }
        }
        if let State::Running(session) = &self.state
            && session.config.video.is_none()
            && (self.is_reanchoring || session.config.audio != self.audio_config)
        {
            let anchor = self.end_before(None, now_us);
            let first = Timed { ms, now_us, frame: Frame::Audio { data } };
            self.start_audio_alone(VecDeque::from([first]), anchor);
            return Ok(());
        }
        let timed = Timed { ms, now_us, frame: Frame::Audio { data } };
        match &mut self.state {
            State::Waiting(waiting) => {
                let size = timed.frame.len();
                waiting.hold_audio(timed);
                let since_ms = waiting.first_audio_ms.max(waiting.last_video_ms).unwrap_or(ms);
                if ms - since_ms >= AUDIO_ONLY_AFTER_MS {
                    let audio = std::mem::take(&mut waiting.audio);
                    self.start_audio_alone(audio, Anchor::Arrival);
                    return Ok(());
                }
                if waiting.last_video_ms.is_some() {
                    return self.check_waiting(now_us, size);
                }
            }
            State::Starting(starting) => {
                starting.push(timed);
                self.finish_start(false);
            }
            State::Running(session) => {
                if let Frame::Audio { data } = timed.frame {
                    let is_new_config = session.config.audio != self.audio_config;
                    if is_new_config {
                        // It belongs to the session that begins at the next keyframe.
                        self.stats.dropped_audio_frames += 1;
                    } else {
                        let wall_us = now_us.saturating_add(self.dating_us);
                        let error_us = session.push_audio(ms, data, wall_us, &mut self.out);
                        self.is_reanchoring |= error_us > LATE_US;
                    }
                }
            }
        }
        Ok(())
    }

    /// Whether a keyframe at this time begins another session.
    fn wants_new_session(&self, ms: i64) -> bool {
        let (video, audio) = match &self.state {
            State::Waiting(_) => return true,
            State::Starting(starting) => {
                return self.is_reanchoring || self.video_config.as_ref() != Some(&starting.video_config);
            }
            State::Running(session) => (&session.config.video, &session.config.audio),
        };
        let has_audio = self.last_audio_ms.is_some_and(|last| ms - last < AUDIO_LOST_MS);
        let wanted_audio = if has_audio { self.audio_config.as_ref() } else { None };
        self.is_reanchoring || *video != self.video_config || audio.as_ref() != wanted_audio
    }

    /// Ends the running session where the keyframe of the next one begins, and begins that one.
    fn hand_over(&mut self, key: VideoFrame) {
        let State::Running(session) = &mut self.state else { return };
        let (end_decode_time, key_us) = session.locate(key.ms, key.composition_ms);
        let key_us = key_us.saturating_sub(self.dating_us);
        let anchor = match self.end_before(end_decode_time, key.now_us) {
            Anchor::At(end_us) => Anchor::At(end_us.max(key_us)),
            Anchor::Arrival => Anchor::Arrival,
        };
        self.begin(key, anchor);
    }

    /// Ends the running session and tells where the next one, whose first frame arrived at `now_us`, is anchored.
    fn end_before(&mut self, end_decode_time: Option<i64>, now_us: i64) -> Anchor {
        let is_reanchoring = self.is_reanchoring;
        // That the clock was set is nobody's doing out there.
        let cause = if self.is_set { EndCause::Clock } else { EndCause::Camera };
        let Some(end_us) = self.end_running(end_decode_time, cause) else { return Anchor::Arrival };
        let is_near = now_us.abs_diff(end_us) <= CONTIGUOUS_US as u64;
        if is_near || !is_reanchoring { Anchor::At(end_us) } else { Anchor::Arrival }
    }

    fn begin(&mut self, key: VideoFrame, anchor: Anchor) {
        let Some(video_config) = self.video_config.clone() else { return };
        let state = std::mem::replace(&mut self.state, State::Waiting(Waiting::default()));
        let early_audio = match state {
            State::Waiting(waiting) => waiting.audio,
            State::Starting(_) | State::Running(_) => VecDeque::new(),
        };
        self.is_reanchoring = false;
        self.date_anew();
        let mut starting = Starting {
            video_config,
            has_audio: !early_audio.is_empty(),
            early_audio,
            frames: Vec::with_capacity(MEASURE_LEAST_FRAMES * 4),
            stamps: Vec::with_capacity(MEASURE_LEAST_FRAMES * 2),
            bytes: 0,
            anchor,
        };
        starting.push(key.into_timed());
        self.state = State::Starting(starting);
    }

    /// Starts the session that is being measured, if enough is known of it, or in any case.
    fn finish_start(&mut self, is_forced: bool) {
        let State::Starting(starting) = &self.state else { return };
        let is_full = is_forced || starting.is_full();
        if !is_full
            && (!starting.frames_since_measured().is_multiple_of(4)
                || starting.is_bursting()
                || self.ticks.may_stand_still())
        {
            return;
        }
        let hints: Vec<Rate> = starting
            .video_config
            .frame_rate
            .and_then(|(numerator, denominator)| Rate::from_fraction(numerator, denominator))
            .into_iter()
            .chain(self.hint)
            .chain(self.last_rate)
            .collect();
        let finding = find(&starting.stamps, &hints, is_full);
        let audio_grace_ms = match (&self.audio_config, &self.audio_problem) {
            _ if starting.has_audio => 0,
            (Some(_), _) => AUDIO_GRACE_MS,
            (None, Some(_)) => 0,
            (None, None) => AUDIO_UNKNOWN_GRACE_MS,
        };
        if !is_full && (finding == Finding::Undecided || starting.span_ms() < audio_grace_ms) {
            return;
        }
        let State::Starting(starting) =
            std::mem::replace(&mut self.state, State::Waiting(Waiting::default()))
        else {
            return;
        };
        self.start_with_video(starting, finding, hints);
    }

    fn start_with_video(&mut self, starting: Starting, finding: Finding, hints: Vec<Rate>) {
        let start_us = self.anchored(starting.anchor, &starting.frames).saturating_add(self.dating_us);
        let mut frames = starting.frames.into_iter();
        let Some(Timed { ms, now_us, frame: Frame::Video { composition_ms, is_sync, data } }) = frames.next()
        else {
            return;
        };
        let key = VideoFrame { ms, composition_ms, is_sync, data, now_us };
        let audio = if starting.has_audio { self.audio_config.clone() } else { None };
        let config = Arc::new(SessionConfig { video: Some(starting.video_config), audio });
        self.stats.sessions += 1;
        self.out.push_back(TimelineEvent::SessionStart { config: Arc::clone(&config), start_us });
        let mut session = Session::with_video(config, key, finding, hints, start_us, self.dating_us);
        for timed in starting.early_audio.into_iter().chain(frames) {
            match timed.frame {
                Frame::Video { composition_ms, is_sync, data } => {
                    let frame =
                        VideoFrame { ms: timed.ms, composition_ms, is_sync, data, now_us: timed.now_us };
                    session.push_video(frame, self.dating_us, &mut self.out);
                }
                Frame::Audio { data } => {
                    let wall_us = timed.now_us.saturating_add(self.dating_us);
                    session.push_audio(timed.ms, data, wall_us, &mut self.out);
                }
            }
        }
        self.state = State::Running(Box::new(session));
    }

    fn start_audio_alone(&mut self, audio: VecDeque<Timed<Frame>>, anchor: Anchor) {
        let (Some(first), Some(config)) = (audio.front(), self.audio_config.clone()) else { return };
        let first_ms = first.ms;
        let audio = Vec::from(audio);
        self.date_anew();
        let start_us = self.anchored(anchor, &audio).saturating_add(self.dating_us);
        let config = Arc::new(SessionConfig { video: None, audio: Some(config) });
        self.is_reanchoring = false;
        self.stats.sessions += 1;
        self.out.push_back(TimelineEvent::SessionStart { config: Arc::clone(&config), start_us });
        let mut session = Session::with_audio_alone(config, first_ms, start_us);
        for timed in audio {
            if let Frame::Audio { data } = timed.frame {
                let wall_us = timed.now_us.saturating_add(self.dating_us);
                session.push_audio(timed.ms, data, wall_us, &mut self.out);
            }
        }
        self.state = State::Running(Box::new(session));
    }

    /// Start of a session on the monotonic clock: by its anchor, but not before what was recorded last, unless that is too far
    /// ahead.
    ///
    /// Frames that follow faster than their time passes have waited somewhere, and so has the first one: it was shown that
    /// much before it arrived.
    fn anchored(&self, anchor: Anchor, frames: &[Timed<Frame>]) -> i64 {
        match (anchor, frames.first()) {
            (Anchor::At(at_us), _) => at_us,
            (Anchor::Arrival, None) => self.earliest_start_us,
            (Anchor::Arrival, Some(first)) => {
                if self.earliest_start_us > first.now_us.saturating_add(START_AHEAD_US) {
                    return first.now_us;
                }
                let start_us = first.now_us.saturating_sub(waited_us(frames).clamp(0, ARRIVAL_CREDIT_US));
                start_us.max(self.earliest_start_us)
            }
        }
    }

    fn end_session(&mut self, cause: EndCause) {
        self.finish_start(true);
        self.end_running(None, cause);
        self.is_reanchoring = false;
        self.date_anew();
        // A session that was still awaited goes on being awaited: silences do not extend its limits.
        if let State::Waiting(waiting) = &mut self.state {
            waiting.forget_audio();
        }
    }

    /// Ends the running session; returns where on the monotonic clock.
    fn end_running(&mut self, end_decode_time: Option<i64>, cause: EndCause) -> Option<i64> {
        let state = std::mem::replace(&mut self.state, State::Waiting(Waiting::default()));
        let State::Running(session) = state else {
            self.state = state;
            return None;
        };
        self.last_rate = session.rate().or(self.last_rate);
        self.stats.dropped_video_frames += session.dropped_video;
        self.stats.dropped_audio_frames += session.dropped_audio();
        let end_us = session.finish(end_decode_time, cause, &mut self.out).saturating_sub(self.dating_us);
        self.earliest_start_us = self.earliest_start_us.max(end_us);
        Some(end_us)
    }

    /// Counts what came while nothing could be started, and refuses a publisher with whom nothing ever can.
    fn check_waiting(&mut self, now_us: i64, size: usize) -> Result<(), TimelineError> {
        let State::Waiting(waiting) = &mut self.state else { return Ok(()) };
        waiting.bytes += size as u64;
        let since_us = *waiting.since_us.get_or_insert(now_us);
        let waited_us = now_us.saturating_sub(since_us);
        if waited_us <= KEYFRAME_WITHIN_US && waiting.bytes <= KEYFRAME_WITHIN_BYTES {
            return Ok(());
        }
        let (waited_ms, bytes) = (waited_us / 1000, waiting.bytes);
        Err(if self.video_config.is_some() && waiting.last_video_ms.is_some() {
            TimelineError::NoKeyframe { waited_ms, bytes }
        } else if waiting.last_video_ms.is_none()
            && let Some(problem) = self.audio_problem.clone()
        {
            TimelineError::AudioOnly { waited_ms, problem }
        } else {
            TimelineError::NoConfig { waited_ms, bytes }
        })
    }
}

/// How much longer than the last the first of these frames was under way: how much faster the others of its track came
/// than their time passes.
fn waited_us(frames: &[Timed<Frame>]) -> i64 {
    let Some(first) = frames.first() else { return 0 };
    let kind = std::mem::discriminant(&first.frame);
    frames
        .iter()
        .filter(|timed| std::mem::discriminant(&timed.frame) == kind)
        .map(|timed| (timed.ms - first.ms) * 1000 - timed.now_us.saturating_sub(first.now_us))
        .max()
        .unwrap_or(0)
}

impl VideoFrame {
    fn into_timed(self) -> Timed<Frame> {
        let frame =
            Frame::Video { composition_ms: self.composition_ms, is_sync: self.is_sync, data: self.data };
        Timed { ms: self.ms, now_us: self.now_us, frame }
    }
}

impl Waiting {
    fn forget_audio(&mut self) {
        self.audio.clear();
        self.audio_bytes = 0;
        self.first_audio_ms = None;
    }

    fn hold_audio(&mut self, timed: Timed<Frame>) {
        self.first_audio_ms.get_or_insert(timed.ms);
        self.audio_bytes += timed.frame.len();
        self.audio.push_back(timed);
        while self.audio.len() > WAITING_AUDIO_FRAMES || self.audio_bytes > WAITING_AUDIO_BYTES {
            let Some(oldest) = self.audio.pop_front() else { break };
            self.audio_bytes -= oldest.frame.len();
        }
    }
}

impl Starting {
    fn push(&mut self, timed: Timed<Frame>) {
        self.bytes += timed.frame.len();
        match timed.frame {
            Frame::Video { .. } => self.stamps.push(timed.ms * TICKS_PER_MS),
            Frame::Audio { .. } => self.has_audio = true,
        }
        self.frames.push(timed);
    }

    /// Gives what is held of a track, whose stamps stand still, its times: the frame that comes next has number `next`.
    fn spread(&mut self, kind: TrackKind, ms_of: impl Fn(i64) -> i64, next: i64) {
        let held = self.early_audio.iter_mut().chain(&mut self.frames);
        let mut own: Vec<_> = held.filter(|timed| timed.frame.track() == kind).collect();
        for (number, timed) in (0..next).rev().zip(own.iter_mut().rev()) {
            timed.ms = ms_of(number);
        }
        self.stamps.clear();
        let is_video = |timed: &&Timed<Frame>| timed.frame.track() == TrackKind::Video;
        self.stamps.extend(self.frames.iter().filter(is_video).map(|timed| timed.ms * TICKS_PER_MS));
    }

    /// Whether no more may be held.
    fn is_full(&self) -> bool {
        self.span_ms() >= MEASURE_MS
            || self.stamps.len() >= MEASURE_FRAMES
            || self.frames.len() >= 4 * MEASURE_FRAMES
            || self.bytes >= MEASURE_BYTES
    }

    /// Milliseconds from the first frame to the last.
    fn span_ms(&self) -> i64 {
        match (self.frames.first(), self.frames.last()) {
            (Some(first), Some(last)) => last.ms - first.ms,
            _ => 0,
        }
    }

    /// Whether frames still come faster than their time passes: then the first one's time is not known yet.
    fn is_bursting(&self) -> bool {
        let before = self.frames.len().saturating_sub(BURST_FRAMES);
        waited_us(&self.frames) - waited_us(&self.frames[..before.max(1)]) > BURST_US
    }

    /// Video frames beyond the fewest that can be measured.
    fn frames_since_measured(&self) -> usize {
        if self.stamps.len() < MEASURE_LEAST_FRAMES { 1 } else { self.stamps.len() - MEASURE_LEAST_FRAMES }
    }
}
