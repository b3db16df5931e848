//! Audio tag bodies (FLV §E.4.2; E-RTMP v2, "ExAudioTagHeader").

use bytes::Bytes;

use super::ex::{skip_mod_ex, take};
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
        codec: &'static str,
    },
    /// Nothing to record.
    Ignored,
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

/// Reads the body of an audio tag; payloads are slices of it.
///
/// # Errors
/// [`FlvError`]: the body is torn.
pub fn parse_audio(body: Bytes) -> Result<AudioTag, FlvError> {
    let Some(&first) = body.first() else { return Ok(AudioTag::Ignored) };
    let mut rest = &body[1..];
    let packet_type = match first >> 4 {
        FORMAT_AAC => {
            let [packet_type] = *take::<1>(&mut rest)?;
            packet_type
        }
        FORMAT_EXTENDED => {
            let packet_type = skip_mod_ex(first & 0x0f, &mut rest)?;
            // OBS sends further tracks so; the first one goes in the old form.
            if packet_type == packet::MULTITRACK {
                return Ok(AudioTag::Ignored);
            }
            let four_cc = *take::<4>(&mut rest)?;
            if four_cc != four_cc::AAC {
                return Ok(AudioTag::Unsupported { codec: extended_name(four_cc) });
            }
            match packet_type {
                packet::SEQUENCE_END | packet::MULTICHANNEL_CONFIG => return Ok(AudioTag::Ignored),
                other => other,
            }
        }
        format => return Ok(AudioTag::Unsupported { codec: legacy_name(format) }),
    };
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

fn extended_name(four_cc: [u8; 4]) -> &'static str {
    match &four_cc {
        b"Opus" => "Opus",
        b"fLaC" => "FLAC",
        b"ac-3" => "AC-3",
        b"ec-3" => "E-AC-3",
        b".mp3" => "MP3",
        _ => "unknown",
    }
}

fn legacy_name(format: u8) -> &'static str {
    match format {
        0 | 3 => "PCM",
        1 => "ADPCM",
        2 | 14 => "MP3",
        4..=6 => "Nellymoser",
        7 => "G.711 A-law",
        8 => "G.711 mu-law",
        11 => "Speex",
        // Never specified; what some encoders send for Opus.
        13 => "Opus",
        _ => "unknown",
    }
}
