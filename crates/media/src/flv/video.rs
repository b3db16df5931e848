//! Video tag bodies (FLV §E.4.3; E-RTMP v2, "ExVideoTagHeader").

use bytes::Bytes;

use super::ex::{Track, skip_mod_ex, take, unwrap_multitrack};
use super::{FlvError, four_cc};
use crate::sample::VideoCodec;

/// What a video tag carries.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum VideoTag {
    /// Decoder configuration.
    SequenceHeader {
        /// Which codec.
        codec: VideoCodec,
        /// Body of the `avcC` or `hvcC` box.
        record: Bytes,
    },
    /// One frame.
    Frame {
        /// Whether the tag says that decoding can start here.
        is_key: bool,
        /// Presentation minus decode time in milliseconds.
        composition_time_ms: i32,
        /// Length-prefixed NAL units.
        data: Bytes,
    },
    /// The encoder says that the sequence ends.
    EndOfSequence,
    /// Colour information and the like (Enhanced RTMP); not used.
    Metadata,
    /// Nothing to record, and why.
    Ignored(&'static str),
}

/// A video message: the tag, and what stands around it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct VideoMessage {
    /// Number of the track; 0 where the message says nothing of tracks.
    pub track: u8,
    /// Further tracks in the same message, which are passed over.
    pub other_tracks: usize,
    /// Which codec the message says it is of; [`None`] for what is of none.
    pub codec: Option<VideoCodec>,
    /// What it carries.
    pub tag: VideoTag,
}

impl VideoMessage {
    fn of(codec: VideoCodec, tag: VideoTag) -> Self {
        Self { track: 0, other_tracks: 0, codec: Some(codec), tag }
    }

    fn of_none(tag: VideoTag) -> Self {
        Self { track: 0, other_tracks: 0, codec: None, tag }
    }
}

/// Packet types of the extended header.
mod packet {
    pub(super) const SEQUENCE_START: u8 = 0;
    pub(super) const CODED_FRAMES: u8 = 1;
    pub(super) const SEQUENCE_END: u8 = 2;
    pub(super) const CODED_FRAMES_X: u8 = 3;
    pub(super) const METADATA: u8 = 4;
    pub(super) const MPEG2_TS_SEQUENCE_START: u8 = 5;
    pub(super) const MULTITRACK: u8 = 6;
}

const FRAME_KEY: u8 = 1;
/// "Generated key frame": reserved for servers, and a keyframe.
const FRAME_GENERATED_KEY: u8 = 4;
const FRAME_COMMAND: u8 = 5;

/// Reads the body of a video tag; payloads are slices of it. A track other than the first one is nothing to record.
///
/// # Errors
/// [`FlvError`]: the body is torn, or its codec is none that we carry.
pub fn parse_video(body: Bytes) -> Result<VideoTag, FlvError> {
    let message = parse_video_message(body)?;
    Ok(if message.track == 0 { message.tag } else { VideoTag::Ignored("another track") })
}

/// Reads the body of a video tag of any track; payloads are slices of it.
///
/// # Errors
/// [`FlvError`]: the body is torn, or its codec is none that we carry.
pub fn parse_video_message(body: Bytes) -> Result<VideoMessage, FlvError> {
    let Some(&first) = body.first() else {
        return Ok(VideoMessage::of_none(VideoTag::Ignored("empty tag")));
    };
    let frame_type = (first >> 4) & 0x07;
    if first & 0x80 != 0 {
        return parse_extended(&body, frame_type, first & 0x0f);
    }
    if frame_type == FRAME_COMMAND {
        return Ok(VideoMessage::of_none(VideoTag::Ignored("command frame")));
    }
    let codec = match first & 0x0f {
        7 => VideoCodec::H264,
        // Never specified; what Chinese encoders and FFmpeg forks send for H.265.
        12 => VideoCodec::Hevc,
        other => return Err(FlvError::VideoCodec(other)),
    };
    let mut rest = &body[1..];
    let [packet_type] = *take::<1>(&mut rest)?;
    let tag = match packet_type {
        0 => {
            // The composition time of a sequence header says nothing.
            take::<3>(&mut rest)?;
            sequence_header(codec, body.slice_ref(rest))
        }
        1 => {
            let composition_time_ms = signed_24(*take::<3>(&mut rest)?);
            frame(frame_type, composition_time_ms, body.slice_ref(rest))
        }
        2 => VideoTag::EndOfSequence,
        other => return Err(FlvError::PacketType(other)),
    };
    Ok(VideoMessage::of(codec, tag))
}

fn parse_extended(body: &Bytes, frame_type: u8, packet_type: u8) -> Result<VideoMessage, FlvError> {
    let mut rest = &body[1..];
    let packet_type = skip_mod_ex(packet_type, &mut rest)?;
    match packet_type {
        packet::METADATA => return Ok(VideoMessage::of_none(VideoTag::Metadata)),
        _ if frame_type == FRAME_COMMAND => {
            return Ok(VideoMessage::of_none(VideoTag::Ignored("command frame")));
        }
        _ => {}
    }
    let track = if packet_type == packet::MULTITRACK {
        unwrap_multitrack(rest)?
    } else {
        let four_cc = *take::<4>(&mut rest)?;
        Track { packet_type, four_cc, id: 0, body: rest, others: 0 }
    };
    let mut rest = track.body;
    if track.packet_type == packet::METADATA {
        return Ok(VideoMessage { track: track.id, ..VideoMessage::of_none(VideoTag::Metadata) });
    }
    let codec = match track.four_cc {
        four_cc::AVC | four_cc::AVC_IN_BAND => VideoCodec::H264,
        four_cc::HEVC | four_cc::HEVC_IN_BAND => VideoCodec::Hevc,
        other => return Err(FlvError::VideoFourCc(other)),
    };
    let tag = match track.packet_type {
        packet::SEQUENCE_START => sequence_header(codec, body.slice_ref(rest)),
        packet::CODED_FRAMES => {
            let composition_time_ms = signed_24(*take::<3>(&mut rest)?);
            frame(frame_type, composition_time_ms, body.slice_ref(rest))
        }
        packet::CODED_FRAMES_X => frame(frame_type, 0, body.slice_ref(rest)),
        packet::SEQUENCE_END => VideoTag::EndOfSequence,
        packet::MPEG2_TS_SEQUENCE_START => VideoTag::Ignored("MPEG-2 TS sequence start"),
        other => return Err(FlvError::PacketType(other)),
    };
    Ok(VideoMessage { track: track.id, other_tracks: track.others, ..VideoMessage::of(codec, tag) })
}

fn sequence_header(codec: VideoCodec, record: Bytes) -> VideoTag {
    if record.is_empty() {
        return VideoTag::Ignored("empty sequence header");
    }
    VideoTag::SequenceHeader { codec, record }
}

fn frame(frame_type: u8, composition_time_ms: i32, data: Bytes) -> VideoTag {
    if data.is_empty() {
        return VideoTag::Ignored("empty frame");
    }
    let is_key = matches!(frame_type, FRAME_KEY | FRAME_GENERATED_KEY);
    VideoTag::Frame { is_key, composition_time_ms, data }
}

/// SI24.
fn signed_24(bytes: [u8; 3]) -> i32 {
    i32::from_be_bytes([bytes[0], bytes[1], bytes[2], 0]) >> 8
}
