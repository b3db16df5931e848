//! Tags as players and relays are sent them: a body that stays as the publisher sent it, and what it means to a newcomer.

use bytes::Bytes;

use super::{AudioTag, FlvTagKind, TagPrefix, VideoTag};

/// What a tag means to somebody who joins in the middle.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TagRole {
    /// `onMetaData`: comes first.
    Metadata,
    /// Decoder configuration of the video: before any picture.
    VideoHeader,
    /// Decoder configuration of the audio: before any sound.
    AudioHeader,
    /// A picture where decoding can begin.
    KeyFrame,
    /// Any other picture, and what belongs to pictures (colour information, the end of a sequence).
    Video,
    /// Sound.
    Audio,
}

/// One tag: the body of an RTMP message or of a tag in an FLV stream is `prefix` and `payload` in one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FlvTag {
    /// What it means.
    pub role: TagRole,
    /// Milliseconds, modulo 2³².
    pub timestamp_ms: u32,
    /// First bytes of the body; none where the body is the publisher's own.
    pub prefix: TagPrefix,
    /// The rest of the body, shared with whoever else holds it.
    pub payload: Bytes,
}

impl FlvTag {
    /// A publisher's video message, passed through: `tag` is what [`super::parse_video`] said of `body`.
    #[must_use]
    pub fn video(timestamp_ms: u32, body: Bytes, tag: &VideoTag) -> Self {
        let role = match tag {
            VideoTag::SequenceHeader { .. } => TagRole::VideoHeader,
            VideoTag::Frame { is_key: true, .. } => TagRole::KeyFrame,
            _ => TagRole::Video,
        };
        Self { role, timestamp_ms, prefix: TagPrefix::default(), payload: body }
    }

    /// A publisher's audio message, passed through: `tag` is what [`super::parse_audio`] said of `body`.
    #[must_use]
    pub fn audio(timestamp_ms: u32, body: Bytes, tag: &AudioTag) -> Self {
        let role = match tag {
            AudioTag::SequenceHeader { .. } => TagRole::AudioHeader,
            _ => TagRole::Audio,
        };
        Self { role, timestamp_ms, prefix: TagPrefix::default(), payload: body }
    }

    /// A publisher's audio or video message, passed through: `role` is what a [`Framer`](crate::framing::Framer) said of `body`.
    #[must_use]
    pub fn passed(role: TagRole, timestamp_ms: u32, body: Bytes) -> Self {
        Self { role, timestamp_ms, prefix: TagPrefix::default(), payload: body }
    }

    /// A publisher's metadata, passed through: AMF0 from the string `onMetaData` on.
    #[must_use]
    pub fn metadata(timestamp_ms: u32, body: Bytes) -> Self {
        Self { role: TagRole::Metadata, timestamp_ms, prefix: TagPrefix::default(), payload: body }
    }

    /// What kind of tag it is in an FLV stream.
    #[must_use]
    pub fn kind(&self) -> FlvTagKind {
        match self.role {
            TagRole::Metadata => FlvTagKind::Script,
            TagRole::VideoHeader | TagRole::KeyFrame | TagRole::Video => FlvTagKind::Video,
            TagRole::AudioHeader | TagRole::Audio => FlvTagKind::Audio,
        }
    }

    /// Length of the body in bytes.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        self.prefix.as_slice().len() + self.payload.len()
    }
}
