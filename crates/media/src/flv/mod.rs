//! FLV: the bodies of audio and video tags, as RTMP carries them too, and FLV files.
//!
//! In: tag headers of H.264, HEVC and AAC, old form and Enhanced RTMP (E-RTMP v2, "Enhancing Video", "Enhancing Audio"), both
//! ways; tags and runs of them as players and relays are sent them. Not in: what a decoder configuration or a frame holds (`codec`), times (`timeline`).
//!
//! Specification: "Adobe Flash Video File Format" 10.1, Annex E.

mod audio;
mod error;
mod ex;
mod file;
mod retag;
mod run;
mod tag;
mod video;
mod write;

#[cfg(test)]
mod tests;

pub use audio::{AudioMessage, AudioTag, parse_audio, parse_audio_message};
pub use error::FlvError;
pub use file::{FlvFileTag, FlvReader, FlvTagKind, write_file_header, write_file_tag};
pub use retag::Retagger;
pub use run::{PLAY_STREAM, TagRun};
pub use tag::{FlvTag, TagRole};
pub use video::{VideoMessage, VideoTag, parse_video, parse_video_message};
pub use write::{TagPrefix, audio_parts, video_parts, write_audio, write_video};

/// FourCCs that we carry.
mod four_cc {
    pub(super) const AVC: [u8; 4] = *b"avc1";
    pub(super) const HEVC: [u8; 4] = *b"hvc1";
    /// As ISO/IEC 14496-15 has them for parameter sets between the pictures; E-RTMP has not, encoders do.
    pub(super) const AVC_IN_BAND: [u8; 4] = *b"avc3";
    pub(super) const HEVC_IN_BAND: [u8; 4] = *b"hev1";
    pub(super) const AAC: [u8; 4] = *b"mp4a";
}
