//! Writes tag bodies: H.264 and AAC in the old form, which every server knows, HEVC as Enhanced RTMP `hvc1`.

use bytes::{BufMut, Bytes, BytesMut};

use super::{AudioTag, VideoTag, four_cc};
use crate::sample::VideoCodec;

/// AAC; the three flags after the format are fixed for AAC (FLV §E.4.2.1): 44 kHz, 16 bit, stereo, whatever is inside.
const AAC_HEADER: u8 = 0xaf;

/// The bytes of a tag body before its payload.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct TagPrefix {
    bytes: [u8; 8],
    length: usize,
}

impl TagPrefix {
    /// The bytes.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    fn of(parts: &[&[u8]]) -> Self {
        let mut prefix = Self::default();
        for byte in parts.iter().copied().flatten() {
            if let Some(place) = prefix.bytes.get_mut(prefix.length) {
                *place = *byte;
                prefix.length += 1;
            }
        }
        prefix
    }
}

/// The body of a video tag as prefix and payload, so that the payload need not be copied; `None` for `Metadata` and `Ignored`.
/// The codec of a sequence header counts before `codec`.
#[must_use]
pub fn video_parts(codec: VideoCodec, tag: &VideoTag) -> Option<(TagPrefix, Bytes)> {
    Some(match tag {
        VideoTag::SequenceHeader { codec: VideoCodec::H264, record } => {
            (TagPrefix::of(&[&[0x17, 0, 0, 0, 0]]), record.clone())
        }
        VideoTag::SequenceHeader { codec: VideoCodec::Hevc, record } => {
            (TagPrefix::of(&[&[0x90], &four_cc::HEVC]), record.clone())
        }
        VideoTag::Frame { is_key, composition_time_ms, data } => {
            let frame_type = if *is_key { 0x10 } else { 0x20 };
            // SI24: what does not fit (over two hours) is cut off at the limit.
            let time = (*composition_time_ms).clamp(-0x80_0000, 0x7f_ffff).to_be_bytes();
            let prefix = match codec {
                VideoCodec::H264 => TagPrefix::of(&[&[frame_type | 7, 1], &time[1..]]),
                VideoCodec::Hevc if *composition_time_ms == 0 => {
                    TagPrefix::of(&[&[0x80 | frame_type | 3], &four_cc::HEVC])
                }
                VideoCodec::Hevc => TagPrefix::of(&[&[0x80 | frame_type | 1], &four_cc::HEVC, &time[1..]]),
            };
            (prefix, data.clone())
        }
        VideoTag::EndOfSequence => {
            let prefix = match codec {
                VideoCodec::H264 => TagPrefix::of(&[&[0x17, 2, 0, 0, 0]]),
                VideoCodec::Hevc => TagPrefix::of(&[&[0x92], &four_cc::HEVC]),
            };
            (prefix, Bytes::new())
        }
        VideoTag::Metadata | VideoTag::Ignored(_) => return None,
    })
}

/// The body of an AAC tag as prefix and payload; `None` for what is no AAC.
#[must_use]
pub fn audio_parts(tag: &AudioTag) -> Option<(TagPrefix, Bytes)> {
    match tag {
        AudioTag::SequenceHeader { record } => Some((TagPrefix::of(&[&[AAC_HEADER, 0]]), record.clone())),
        AudioTag::Frame { data } => Some((TagPrefix::of(&[&[AAC_HEADER, 1]]), data.clone())),
        AudioTag::Unsupported { .. } | AudioTag::Ignored => None,
    }
}

/// The body of a video tag in one piece; empty for `Metadata` and `Ignored`.
#[must_use]
pub fn write_video(codec: VideoCodec, tag: &VideoTag) -> Bytes {
    join(video_parts(codec, tag))
}

/// The body of an AAC tag in one piece; empty for what is no AAC.
#[must_use]
pub fn write_audio(tag: &AudioTag) -> Bytes {
    join(audio_parts(tag))
}

fn join(parts: Option<(TagPrefix, Bytes)>) -> Bytes {
    let Some((prefix, payload)) = parts else { return Bytes::new() };
    let mut body = BytesMut::with_capacity(prefix.length + payload.len());
    body.put_slice(prefix.as_slice());
    body.put_slice(&payload);
    body.freeze()
}
