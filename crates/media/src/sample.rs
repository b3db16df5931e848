//! What every room agrees on: one encoded frame, the configuration it was encoded with, and why a run of them ended.

use bytes::Bytes;

/// Video timescale: ticks of 1/90 000 s. Audio counts in its own sample rate.
pub const TICKS_PER_SECOND_VIDEO: u32 = 90_000;

/// One of a channel's two tracks.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub enum TrackKind {
    /// Track id 1 in our MP4 files.
    Video,
    /// Track id 2 in our MP4 files.
    Audio,
}

/// A video codec that is carried untouched.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum VideoCodec {
    /// H.264, sample entry `avc1`.
    H264,
    /// H.265, sample entry `hvc1`.
    Hevc,
}

/// Decoder configuration of a video track.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct VideoConfig {
    /// Which codec.
    pub codec: VideoCodec,
    /// Body of the `avcC` or `hvcC` box exactly as the publisher sent it (ISO/IEC 14496-15).
    pub record: Bytes,
    /// Width of the picture in pixels, after cropping.
    pub width: u16,
    /// Height of the picture in pixels, after cropping.
    pub height: u16,
    /// RFC 6381 codec string, for example `avc1.64001f` or `hvc1.1.6.L93.B0`.
    pub codec_string: String,
    /// Frames per second as `numerator / denominator`, when the VUI tells it; a hint, never trusted over the ticks.
    pub frame_rate: Option<(u32, u32)>,
    /// Pixel aspect ratio, when it is told and is not square.
    pub pixel_aspect_ratio: Option<(u16, u16)>,
}

/// Decoder configuration of an AAC track.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct AudioConfig {
    /// `AudioSpecificConfig` exactly as the publisher sent it (ISO/IEC 14496-3 §1.6.2.1).
    pub record: Bytes,
    /// Timescale of the track: the core sampling frequency in Hz, 1 to 96 000.
    pub sample_rate: u32,
    /// Number of channels, 1 to 8.
    pub channels: u8,
    /// PCM samples per frame at `sample_rate`: 1024 or 960.
    pub samples_per_frame: u32,
    /// RFC 6381 codec string, for example `mp4a.40.2`.
    pub codec_string: String,
}

/// The configuration of both tracks. When it changes, a new session begins. At least one track is present.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct SessionConfig {
    /// Video, if the session has any.
    pub video: Option<VideoConfig>,
    /// Audio, if the session has any.
    pub audio: Option<AudioConfig>,
}

impl SessionConfig {
    /// The track whose keyframes, times and duration rule fragments and segments: video where there is any.
    #[must_use]
    pub fn lead(&self) -> TrackKind {
        if self.video.is_some() { TrackKind::Video } else { TrackKind::Audio }
    }

    /// Ticks per second of a track.
    ///
    /// Video is always [`TICKS_PER_SECOND_VIDEO`]; audio is its sample rate (or 48 000 where there is no audio).
    #[must_use]
    pub fn timescale(&self, track: TrackKind) -> u32 {
        match track {
            TrackKind::Video => TICKS_PER_SECOND_VIDEO,
            TrackKind::Audio => self.audio.as_ref().map_or(48_000, |audio| audio.sample_rate),
        }
    }
}

/// One encoded frame with its times, on the session's timeline.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sample {
    /// Which track.
    pub track: TrackKind,
    /// Decode time in ticks of the track's timescale since the session's origin; strictly increasing per track.
    pub decode_time: i64,
    /// Ticks until the next sample of the track; at least 1.
    pub duration: u32,
    /// Presentation time minus decode time, in ticks; negative for B-frames, 0 for the session's first keyframe.
    pub composition_offset: i32,
    /// Whether decoding can start here.
    pub is_sync: bool,
    /// Video: length-prefixed NAL units (prefix length as the record says). Audio: one raw AAC frame.
    pub data: Bytes,
}

/// Why a session, and with it the recording, ended: the cause of the gap that follows.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum EndCause {
    /// The publisher said goodbye, or never spoke.
    Camera,
    /// The connection was lost, timed out or was replaced.
    Network,
    /// The disk was full, failed or too slow.
    Disk,
    /// This program stopped or crashed.
    Process,
    /// The time leapt: the node's clock was set, or the source's times leapt against it. What lies between was not missed, it
    /// never was.
    Clock,
    /// Nothing is known.
    Unknown,
}

impl EndCause {
    /// The word used in the API and in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Camera => "camera",
            Self::Network => "network",
            Self::Disk => "disk",
            Self::Process => "process",
            Self::Clock => "clock",
            Self::Unknown => "unknown",
        }
    }

    /// The cause for a word of the API or the database; an unknown word is [`EndCause::Unknown`].
    #[must_use]
    pub fn from_word(word: &str) -> Self {
        match word {
            "camera" => Self::Camera,
            "network" => Self::Network,
            "disk" => Self::Disk,
            "process" => Self::Process,
            "clock" => Self::Clock,
            _ => Self::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_is_read_back_from_its_word() {
        use EndCause::{Camera, Clock, Disk, Network, Process, Unknown};
        for cause in [Camera, Network, Disk, Process, Clock, Unknown] {
            assert_eq!(EndCause::from_word(cause.as_str()), cause);
        }
        assert_eq!(EndCause::from_word("a word of a newer version"), Unknown);
    }
}
