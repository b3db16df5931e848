//! The file to publish: read once, shared by every stream.
//!
//! Belongs here: MP4 or FLV in, frames with their times out. Not here: when they are sent.

use std::io;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use media::flv::{self, AudioTag, FlvReader, FlvTagKind, VideoTag};
use media::{TrackKind, VideoCodec};
use world::{Disk, DiskFile, read_exact_at};

use crate::failure::{Failure, Kind};

/// Files up to this size are held in memory, whoever publishes them how often; of larger MP4 files each frame is read
/// when it is due.
const MAX_BYTES_IN_MEMORY: u64 = 1 << 30;

/// Length of the last frame when the file does not tell it and has no other frame to compare with.
const FALLBACK_FRAME_US: i64 = 40_000;

/// Timestamps of an FLV file are milliseconds modulo 2³²; a step back further than this is a roll-over.
const ROLL_OVER_MS: i64 = 1 << 31;

/// A file ready to be published.
pub(crate) struct Clip {
    /// Sent before the first frame: metadata and decoder configurations.
    pub(crate) setup: Vec<Payload>,
    /// In the order of their decode times, which start at 0.
    pub(crate) frames: Vec<Frame>,
    /// After this time it starts over, without a jump.
    pub(crate) duration_us: i64,
    /// Codec of the video, where there is any.
    pub(crate) codec: VideoCodec,
    /// Where frames that are not in memory stand.
    pub(super) file: Option<Arc<dyn DiskFile>>,
}

/// One audio or video frame.
#[derive(Debug)]
pub(crate) struct Frame {
    /// Decode time in microseconds.
    pub(crate) dts_us: i64,
    /// What is sent then.
    pub(crate) payload: Payload,
}

/// What one message carries.
#[derive(Clone, Debug)]
pub(crate) enum Payload {
    /// The body of a message as the FLV file has it.
    Body(TrackKind, Bytes),
    /// Metadata as the FLV file has it.
    Metadata(Bytes),
    /// Something to be wrapped into a message.
    Video(VideoTag),
    /// The same for audio.
    Audio(AudioTag),
    /// A frame that is read when it is due.
    OnDisk { track: TrackKind, offset: u64, size: u32, is_key: bool, composition_time_ms: i32 },
}

impl Clip {
    /// Reads a file; blocks.
    pub(crate) fn open(disk: &dyn Disk, path: &Path) -> Result<Self, Failure> {
        let problem = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => {
                Failure::new(Kind::NotFound, format!("there is no file {}", path.display()))
            }
            _ => Failure::context(format_args!("cannot read {}", path.display()), error),
        };
        let file = disk.open(path).map_err(problem)?;
        let len = file.len().map_err(problem)?;
        if len > MAX_BYTES_IN_MEMORY {
            return Self::from_large_file(file, len).map_err(|reason| unfit(path, &reason));
        }
        let mut bytes = vec![0; usize::try_from(len).unwrap_or(0)];
        read_exact_at(file.as_ref(), &mut bytes, 0).map_err(problem)?;
        Self::from_bytes(&Bytes::from(bytes)).map_err(|reason| unfit(path, &reason))
    }

    /// The same from memory; the frames are slices of `bytes`.
    pub(crate) fn from_bytes(bytes: &Bytes) -> Result<Self, String> {
        let clip =
            if bytes.starts_with(b"FLV") { Self::from_flv(bytes)? } else { Self::from_mp4_bytes(bytes)? };
        clip.checked()
    }

    /// Bytes of a second, on average.
    pub(crate) fn bytes_per_s(&self) -> u64 {
        let bytes: u64 = self.frames.iter().map(|frame| frame.payload.len() as u64).sum();
        bytes.saturating_mul(1_000_000) / self.duration_us.max(1).unsigned_abs()
    }

    /// Length of a frame of the leading track.
    pub(crate) fn frame_us(&self) -> i64 {
        self.typical_step_us(self.lead())
    }

    fn lead(&self) -> TrackKind {
        let has_video = self.frames.iter().any(|frame| frame.payload.track() == Some(TrackKind::Video));
        if has_video { TrackKind::Video } else { TrackKind::Audio }
    }

    fn checked(self) -> Result<Self, String> {
        if self.frames.is_empty() {
            return Err("it has no audio or video frame".to_owned());
        }
        Ok(self)
    }

    fn from_flv(bytes: &[u8]) -> Result<Self, String> {
        let mut reader = FlvReader::new();
        reader.push(bytes);
        let mut clip = Self {
            setup: Vec::new(),
            frames: Vec::new(),
            duration_us: 0,
            codec: VideoCodec::H264,
            file: None,
        };
        let (mut previous_ms, mut rolled_ms) = (0i64, 0i64);
        while let Some(tag) = reader.next_tag().map_err(|error| error.to_string())? {
            let mut at_ms = i64::from(tag.timestamp_ms) + rolled_ms;
            if at_ms < previous_ms - ROLL_OVER_MS {
                rolled_ms += 1 << 32;
                at_ms += 1 << 32;
            }
            previous_ms = at_ms;
            let (track, is_setup) = match tag.kind {
                FlvTagKind::Video => (TrackKind::Video, is_video_setup(&tag.body)?),
                FlvTagKind::Audio => (TrackKind::Audio, is_audio_setup(&tag.body)?),
                FlvTagKind::Script => {
                    clip.setup.push(Payload::Metadata(tag.body));
                    continue;
                }
                FlvTagKind::Other(_) => continue,
            };
            // A configuration that comes later is a change in mid-stream and stays where it is.
            if is_setup && clip.frames.is_empty() {
                clip.setup.push(Payload::Body(track, tag.body));
            } else {
                clip.frames.push(Frame { dts_us: at_ms * 1000, payload: Payload::Body(track, tag.body) });
            }
        }
        clip.frames.sort_by_key(|frame| frame.dts_us);
        let first_us = clip.frames.first().map_or(0, |frame| frame.dts_us);
        for frame in &mut clip.frames {
            frame.dts_us -= first_us;
        }
        clip.close_loop();
        Ok(clip)
    }

    /// Sets the length so that the leading track goes on in its own steps when the clip starts over; what of the other
    /// track would then overlap its own beginning is left out.
    pub(super) fn close_loop(&mut self) {
        let lead = self.lead();
        let (first_us, end_us) = self.span_us(lead).unwrap_or((0, FALLBACK_FRAME_US));
        let duration_us = end_us - first_us;
        self.duration_us = duration_us;
        if lead == TrackKind::Video
            && let Some((first_us, _)) = self.span_us(TrackKind::Audio)
        {
            let step_us = self.typical_step_us(TrackKind::Audio);
            self.frames.retain(|frame| {
                frame.payload.track() != Some(TrackKind::Audio)
                    || frame.dts_us + step_us / 2 < first_us + duration_us
            });
        }
    }

    /// First decode time of a track and where its last frame probably ends.
    fn span_us(&self, track: TrackKind) -> Option<(i64, i64)> {
        let mut times = self.frames.iter().filter(|frame| frame.payload.track() == Some(track));
        let first_us = times.next()?.dts_us;
        let last_us = times.next_back().map_or(first_us, |frame| frame.dts_us);
        Some((first_us, last_us + self.typical_step_us(track)))
    }

    /// The most usual distance of a track's frames.
    fn typical_step_us(&self, track: TrackKind) -> i64 {
        let times =
            self.frames.iter().filter(|frame| frame.payload.track() == Some(track)).map(|frame| frame.dts_us);
        let mut steps: Vec<i64> =
            times.clone().zip(times.skip(1)).map(|(a, b)| b - a).filter(|step| *step > 0).collect();
        steps.sort_unstable();
        steps.get(steps.len() / 2).copied().unwrap_or(FALLBACK_FRAME_US)
    }
}

impl Payload {
    /// Length in bytes, without headers.
    fn len(&self) -> usize {
        match self {
            Self::Body(_, data)
            | Self::Metadata(data)
            | Self::Video(VideoTag::Frame { data, .. })
            | Self::Audio(AudioTag::Frame { data }) => data.len(),
            Self::OnDisk { size, .. } => *size as usize,
            Self::Video(_) | Self::Audio(_) => 0,
        }
    }

    /// Which track it belongs to, if any.
    pub(crate) fn track(&self) -> Option<TrackKind> {
        match self {
            Self::Body(track, _) | Self::OnDisk { track, .. } => Some(*track),
            Self::Video(_) => Some(TrackKind::Video),
            Self::Audio(_) => Some(TrackKind::Audio),
            Self::Metadata(_) => None,
        }
    }
}

fn is_video_setup(body: &Bytes) -> Result<bool, String> {
    match flv::parse_video(body.clone()) {
        Ok(tag) => Ok(matches!(tag, VideoTag::SequenceHeader { .. } | VideoTag::Metadata)),
        Err(error) => Err(error.to_string()),
    }
}

fn is_audio_setup(body: &Bytes) -> Result<bool, String> {
    match flv::parse_audio(body.clone()) {
        Ok(tag) => Ok(matches!(tag, AudioTag::SequenceHeader { .. })),
        Err(error) => Err(error.to_string()),
    }
}

fn unfit(path: &Path, reason: &str) -> Failure {
    Failure::new(Kind::Failed, format!("{} cannot be published: {reason}", path.display()))
}
