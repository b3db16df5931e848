//! What there is to say of a stream.

use std::collections::VecDeque;
use std::fmt;

use crate::VideoCodec;
use crate::flv::FlvError;

/// What was left out or mended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct FramerStats {
    /// Video messages that could not be read.
    pub skipped_video: u64,
    /// Audio messages that could not be read.
    pub skipped_audio: u64,
    /// Messages, or parts of them, of tracks other than the first.
    pub other_tracks: u64,
    /// Messages that were joined to the picture before or after them.
    pub joined: u64,
}

/// Something worth a line in the log, once for a publication.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Notice {
    /// A video message was left out.
    SkippedVideo(String),
    /// An audio message was left out.
    SkippedAudio(String),
    /// Tracks other than the first are not recorded.
    OtherTracks,
    /// Pictures come in several messages.
    Joined,
    /// NAL units stand behind start codes.
    AnnexB,
    /// The configuration is made of parameter sets between the pictures.
    InBandConfig,
    /// Messages name one codec and hold another.
    OtherCodec {
        /// What they hold.
        holds: VideoCodec,
    },
    /// AAC frames have ADTS headers.
    Adts,
}

impl Notice {
    /// Whether something of the stream is not recorded.
    #[must_use]
    pub fn is_loss(&self) -> bool {
        matches!(self, Self::SkippedVideo(_) | Self::SkippedAudio(_) | Self::OtherTracks)
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SkippedVideo(problem) => write!(f, "a video message was left out: {problem}"),
            Self::SkippedAudio(problem) => write!(f, "an audio message was left out: {problem}"),
            Self::OtherTracks => f.write_str("the stream has several tracks: only the first is recorded"),
            Self::Joined => f.write_str("pictures come in several messages: they are joined"),
            Self::AnnexB => f.write_str("NAL units come behind start codes: they are put behind lengths"),
            Self::InBandConfig => {
                f.write_str("the video configuration is made of parameter sets between the pictures")
            }
            Self::OtherCodec { holds } => {
                let (named, held) = match holds {
                    VideoCodec::H264 => ("HEVC", "H.264"),
                    VideoCodec::Hevc => ("H.264", "HEVC"),
                };
                write!(f, "the video is said to be {named} and is {held}: it is read as {held}")
            }
            Self::Adts => f.write_str("AAC frames have ADTS headers: they are taken off"),
        }
    }
}

/// Notices that wait to be told; each kind is told once.
#[derive(Debug, Default)]
pub(super) struct Notices {
    told: Vec<std::mem::Discriminant<Notice>>,
    waiting: VecDeque<Notice>,
}

impl Notices {
    pub(super) fn add(&mut self, notice: Notice) {
        let kind = std::mem::discriminant(&notice);
        if !self.told.contains(&kind) {
            self.told.push(kind);
            self.waiting.push_back(notice);
        }
    }

    pub(super) fn skipped_video(&mut self, error: &FlvError) {
        self.add(Notice::SkippedVideo(error.to_string()));
    }

    pub(super) fn skipped_audio(&mut self, error: &FlvError) {
        self.add(Notice::SkippedAudio(error.to_string()));
    }

    pub(super) fn pop(&mut self) -> Option<Notice> {
        self.waiting.pop_front()
    }
}
