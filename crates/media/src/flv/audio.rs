//! Audio tag bodies (FLV §E.4.2; E-RTMP v2, "ExAudioTagHeader").

use std::borrow::Cow;

use bytes::Bytes;

use super::ex::{Track, skip_mod_ex, take, unwrap_multitrack};
use super::{FlvError, four_cc};

/// What an audio tag carries.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AudioTag {
    /// Decoder configuration.
    SequenceHeader {
        /// `AudioSpecificConfig`.
        record: Bytes,
    },
    /// One frame.
    Frame {
        /// A raw AAC frame.
        data: Bytes,
    },
    /// A codec that cannot go into MP4 as it is: video is recorded without it.
    Unsupported {
        /// Its name.
        codec: Cow<'static, str>,
    },
    /// Nothing to record.
    Ignored,
}

/// An audio message: the tag, and what stands around it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AudioMessage {
    /// Number of the track; 0 where the message says nothing of tracks.
    pub track: u8,
    /// Further tracks in the same message, which are passed over.
    pub other_tracks: usize,
    /// What it carries.
    pub tag: AudioTag,
}

const FORMAT_EXTENDED: u8 = 9;
const FORMAT_AAC: u8 = 10;

/// Packet types of the extended header.
mod packet {
    pub(super) const SEQUENCE_START: u8 = 0;
    pub(super) const CODED_FRAMES: u8 = 1;
    pub(super) const SEQUENCE_END: u8 = 2;
    pub(super) const MULTICHANNEL_CONFIG: u8 = 4;
    pub(super) const MULTITRACK: u8 = 5;
}

/// Reads the body of an audio tag; payloads are slices of it. A track other than the first one is nothing to record.
///
/// # Errors
/// [`FlvError`]: the body is torn.
pub fn parse_audio(body: Bytes) -> Result<AudioTag, FlvError> {
    let message = parse_audio_message(body)?;
    Ok(if message.track == 0 { message.tag } else { AudioTag::Ignored })
}

/// Reads the body of an audio tag of any track; payloads are slices of it.
///
/// # Errors
/// [`FlvError`]: the body is torn.
pub fn parse_audio_message(body: Bytes) -> Result<AudioMessage, FlvError> {
    let of = |tag| AudioMessage { track: 0, other_tracks: 0, tag };
    let Some(&first) = body.first() else { return Ok(of(AudioTag::Ignored)) };
    let mut rest = &body[1..];
    match first >> 4 {
        FORMAT_AAC => {
            let [packet_type] = *take::<1>(&mut rest)?;
            Ok(of(aac(&body, packet_type, rest)?))
        }
        FORMAT_EXTENDED => {
            let packet_type = skip_mod_ex(first & 0x0f, &mut rest)?;
            let track = if packet_type == packet::MULTITRACK {
                unwrap_multitrack(rest)?
            } else {
                let four_cc = *take::<4>(&mut rest)?;
                Track { packet_type, four_cc, id: 0, body: rest, others: 0 }
            };
            let tag = match (track.four_cc, track.packet_type) {
                (four_cc::AAC, packet::SEQUENCE_END | packet::MULTICHANNEL_CONFIG) => AudioTag::Ignored,
                (four_cc::AAC, packet_type) => aac(&body, packet_type, track.body)?,
                (other, _) => AudioTag::Unsupported { codec: extended_name(other) },
            };
            Ok(AudioMessage { track: track.id, other_tracks: track.others, tag })
        }
        format => Ok(of(AudioTag::Unsupported { codec: legacy_name(format) })),
    }
}

fn aac(body: &Bytes, packet_type: u8, rest: &[u8]) -> Result<AudioTag, FlvError> {
    if rest.is_empty() {
        return Ok(AudioTag::Ignored);
    }
    let data = body.slice_ref(rest);
    match packet_type {
        packet::SEQUENCE_START => Ok(AudioTag::SequenceHeader { record: data }),
        packet::CODED_FRAMES => Ok(AudioTag::Frame { data }),
        other => Err(FlvError::PacketType(other)),
    }
}

fn extended_name(four_cc: [u8; 4]) -> Cow<'static, str> {
    Cow::Borrowed(match &four_cc {
        b"Opus" => "Opus",
        b"fLaC" => "FLAC",
        b"ac-3" => "AC-3",
        b"ec-3" => "E-AC-3",
        b".mp3" => "MP3",
        _ => return Cow::Owned(format!("FourCC {}", four_cc.escape_ascii())),
    })
}

fn legacy_name(format: u8) -> Cow<'static, str> {
    Cow::Borrowed(match format {
        0 | 3 => "PCM",
        1 => "ADPCM",
        2 | 14 => "MP3",
        4..=6 => "Nellymoser",
        7 => "G.711 A-law",
        8 => "G.711 mu-law",
        11 => "Speex",
        // Never specified; what some encoders send for Opus.
        13 => "Opus",
        other => return Cow::Owned(format!("number {other} of FLV")),
    })
}
