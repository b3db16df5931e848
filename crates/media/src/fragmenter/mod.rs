//! The fragmenter: samples of a session become fragments of about half a second, each muxed once.
//!
//! Here belongs which sample goes into which fragment. Not here: the bytes of a fragment (`mp4::fragment`), and cutting
//! into segments (the archive does that, at key fragments).
//!
//! - A keyframe of the lead track always begins a fragment; the fragments of a session that has only audio are all key.
//! - Lead samples are contiguous across fragments, so their lengths add up exactly to the length of the session.
//! - Audio goes by its presentation time into the fragment whose video it is heard with. For audio that lags, a finished
//!   fragment waits until the video is [`AUDIO_WAIT_90K`] ahead; audio that comes later still goes into the next fragment.
//! - Decode times in fragments count from the Unix epoch, not from the session's origin: across sessions of a playlist
//!   they then never run backwards, which readers that keep one index for a playlist (ffmpeg) need to show every picture.
//! - A fragment's wall time is that of its first lead sample's decode time, which for key fragments is its presentation.

use std::{collections::VecDeque, fmt::Write as _, sync::Arc};

use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::{
    EndCause, Fragment, Sample, SessionConfig, TICKS_PER_SECOND_VIDEO, TrackKind,
    mp4::{fragment::write_fragment, init::init_segment},
    timeline::TimelineEvent,
};

#[cfg(test)]
mod tests;

/// Length at which a fragment ends, if no keyframe ends it earlier: half a second.
pub const FRAGMENT_90K: i64 = 45_000;
/// Most samples of the lead track in a fragment.
pub const MAX_FRAGMENT_SAMPLES: usize = 256;
/// Most payload bytes in a fragment; a single larger sample stands alone.
pub const MAX_FRAGMENT_BYTES: usize = 16 << 20;
/// How long a finished fragment waits for its audio, in ticks of 1/90 000 s of video: longer than publishers let it lag.
pub const AUDIO_WAIT_90K: i64 = 45_000;
/// Most audio samples that may be waiting for video; beyond, the oldest are left out. The timeline ends a session whose
/// video has stopped before: 10 s are 940 samples at 96 kHz.
pub const MAX_WAITING_AUDIO: usize = 2_048;
/// Most finished fragments that may be waiting for audio.
const MAX_WAITING_FRAGMENTS: usize = 16;

/// A session as the archive and players see it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Session {
    /// Number of the session within its fragmenter, from 0.
    pub id: u64,
    /// The configuration of its tracks.
    pub config: Arc<SessionConfig>,
    /// Initialisation section: `ftyp` and `moov`, as players fetch it.
    pub init: Bytes,
    /// Name of `init`: the first 128 bits of its SHA-256 in hexadecimal.
    pub init_hash: String,
    /// UTC microseconds of its first presented instant.
    pub start_us: i64,
}

/// What a fragmenter gives.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum FragmentEvent {
    /// A session begins.
    SessionStart(Arc<Session>),
    /// The next fragment of the session.
    Fragment(Arc<Fragment>),
    /// The session is over; all its fragments have been given.
    SessionEnd {
        /// UTC microseconds of the end of its last fragment.
        end_us: i64,
        /// Why.
        cause: EndCause,
    },
}

/// Lead samples of one fragment.
#[derive(Debug, Default)]
struct Part {
    samples: Vec<Sample>,
    bytes: usize,
    start_us: i64,
    is_key: bool,
}

/// What is added to the decode times of a session, in ticks of each track: its start since the Unix epoch, rounded down to
/// an instant that both timescales can express, so that sound and picture keep their distance to the tick.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Origin {
    video: i64,
    audio: i64,
}

impl Origin {
    fn new(config: &SessionConfig, start_us: i64) -> Self {
        let video = i64::from(TICKS_PER_SECOND_VIDEO);
        let audio = i64::from(config.timescale(TrackKind::Audio));
        // 6000 steps a second for 48 kHz, 900 for 44.1 kHz: finer than the distance of two frames.
        let steps_per_second = greatest_common_divisor(video, audio);
        let steps = i128::from(start_us.max(0)) * i128::from(steps_per_second) / 1_000_000;
        let steps = i64::try_from(steps).unwrap_or(0);
        Self {
            video: steps.saturating_mul(video / steps_per_second),
            audio: steps.saturating_mul(audio / steps_per_second),
        }
    }

    fn of(self, track: TrackKind) -> i64 {
        match track {
            TrackKind::Video => self.video,
            TrackKind::Audio => self.audio,
        }
    }
}

/// Collects samples into fragments. Feed it, then drain [`Self::poll`].
#[derive(Debug, Default)]
pub struct Fragmenter {
    sessions: u64,
    config: Option<Arc<SessionConfig>>,
    origin: Origin,
    sequence: u32,
    /// The fragment being filled.
    filling: Part,
    /// Finished fragments that wait for audio.
    waiting: VecDeque<Part>,
    audio: VecDeque<Sample>,
    /// Emptied lists, to be filled again.
    spare: Vec<Vec<Sample>>,
    audio_part: Vec<Sample>,
    left_out_audio: u64,
    out: VecDeque<FragmentEvent>,
}

impl Fragmenter {
    /// A fragmenter without a session.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next event of a timeline.
    pub fn push(&mut self, event: TimelineEvent) {
        match event {
            TimelineEvent::SessionStart { config, start_us } => {
                self.flush();
                self.start(config, start_us);
            }
            TimelineEvent::Sample { sample, wall_us } => self.sample(sample, wall_us),
            TimelineEvent::SessionEnd { end_us, cause } => {
                self.flush();
                self.config = None;
                self.out.push_back(FragmentEvent::SessionEnd { end_us, cause });
            }
        }
    }

    /// The next event, in order.
    pub fn poll(&mut self) -> Option<FragmentEvent> {
        self.out.pop_front()
    }

    /// Audio samples that were left out as [`MAX_WAITING_AUDIO`] had been reached.
    #[must_use]
    pub fn left_out_audio(&self) -> u64 {
        self.left_out_audio
    }

    fn start(&mut self, config: Arc<SessionConfig>, start_us: i64) {
        let init = init_segment(&config);
        let mut init_hash = String::with_capacity(32);
        for byte in &Sha256::digest(&init)[..16] {
            // Writing to a String cannot fail.
            let _ = write!(init_hash, "{byte:02x}");
        }
        let id = self.sessions;
        self.sessions += 1;
        self.sequence = 0;
        self.origin = Origin::new(&config, start_us);
        self.config = Some(Arc::clone(&config));
        self.out.push_back(FragmentEvent::SessionStart(Arc::new(Session {
            id,
            config,
            init,
            init_hash,
            start_us,
        })));
    }

    fn sample(&mut self, mut sample: Sample, wall_us: i64) {
        let Some(config) = &self.config else { return };
        sample.decode_time = sample.decode_time.saturating_add(self.origin.of(sample.track));
        if sample.track == config.lead() {
            self.lead_sample(sample, wall_us);
        } else if config.audio.is_some() {
            self.audio.push_back(sample);
            if self.audio.len() > MAX_WAITING_AUDIO {
                self.audio.pop_front();
                self.left_out_audio += 1;
            }
        } else {
            return;
        }
        self.settle();
    }

    fn lead_sample(&mut self, sample: Sample, wall_us: i64) {
        let Some(config) = &self.config else { return };
        let (lead, timescale) = (config.lead(), i64::from(config.timescale(config.lead())));
        let is_key = sample.is_sync && lead == TrackKind::Video;
        let filling = &self.filling;
        if let Some(first) = filling.samples.first() {
            let length = sample.decode_time - first.decode_time;
            let half = i64::from(sample.duration) / 2;
            let target = FRAGMENT_90K * timescale / i64::from(TICKS_PER_SECOND_VIDEO);
            if is_key
                || length + half > target
                || filling.samples.len() >= MAX_FRAGMENT_SAMPLES
                || filling.bytes + sample.data.len() > MAX_FRAGMENT_BYTES
            {
                self.finish_filling();
            }
        }
        let filling = &mut self.filling;
        if filling.samples.is_empty() {
            let ahead_us = i64::from(sample.composition_offset) * 1_000_000 / timescale;
            filling.start_us = wall_us - ahead_us;
            filling.is_key = is_key || lead == TrackKind::Audio;
        }
        filling.bytes += sample.data.len();
        filling.samples.push(sample);
    }

    fn finish_filling(&mut self) {
        let mut next = Part { samples: self.spare.pop().unwrap_or_default(), ..Part::default() };
        std::mem::swap(&mut next, &mut self.filling);
        self.waiting.push_back(next);
    }

    /// Writes the finished fragments whose audio is complete, or that have waited long enough.
    fn settle(&mut self) {
        while let Some(part) = self.waiting.front() {
            let Some(config) = &self.config else { return };
            let Some(end) = part.samples.last().map(end_of) else {
                self.waiting.pop_front();
                continue;
            };
            if let (Some(audio), TrackKind::Video) = (&config.audio, config.lead()) {
                let audio_end = self.audio.back().map(|last| to_90k(end_of(last), audio.sample_rate));
                let has_come = audio_end.is_some_and(|audio_end| audio_end >= end);
                let newest = self.filling.samples.last().map_or(end, end_of);
                if !has_come && newest - end < AUDIO_WAIT_90K && self.waiting.len() < MAX_WAITING_FRAGMENTS {
                    return;
                }
            }
            self.write_front(end);
        }
    }

    /// Writes the first waiting fragment with the audio that is heard before its end.
    fn write_front(&mut self, end: i64) {
        let (Some(config), Some(mut part)) = (&self.config, self.waiting.pop_front()) else { return };
        if let (Some(audio), TrackKind::Video) = (&config.audio, config.lead()) {
            while let Some(first) = self.audio.front()
                && to_90k(first.decode_time, audio.sample_rate) < end
                && let Some(sample) = self.audio.pop_front()
            {
                self.audio_part.push(sample);
            }
        }
        self.sequence = self.sequence.wrapping_add(1);
        let (video, audio) = match config.lead() {
            TrackKind::Video => (&mut part.samples, &mut self.audio_part),
            TrackKind::Audio => (&mut self.audio_part, &mut part.samples),
        };
        let fragment = write_fragment(self.sequence, config, part.start_us, video, audio, part.is_key);
        self.out.push_back(FragmentEvent::Fragment(Arc::new(fragment)));
        self.audio_part.clear();
        part.samples.clear();
        if self.spare.len() < 2 {
            self.spare.push(part.samples);
        }
    }

    /// Writes all that is there; the last fragment takes the rest of the audio.
    fn flush(&mut self) {
        if !self.filling.samples.is_empty() {
            self.finish_filling();
        }
        while let Some(part) = self.waiting.front() {
            let is_last = self.waiting.len() == 1;
            let end = if is_last { i64::MAX } else { part.samples.last().map_or(0, end_of) };
            self.write_front(end);
        }
        self.audio.clear();
        self.filling = Part::default();
    }
}

/// At least 1, for timescales of at least 1.
fn greatest_common_divisor(mut a: i64, mut b: i64) -> i64 {
    while b > 0 {
        (a, b) = (b, a % b);
    }
    a.max(1)
}

fn end_of(sample: &Sample) -> i64 {
    sample.decode_time + i64::from(sample.duration)
}

fn to_90k(ticks: i64, timescale: u32) -> i64 {
    (i128::from(ticks) * i128::from(TICKS_PER_SECOND_VIDEO) / i128::from(timescale.max(1))) as i64
}
