//! Why audio is left out.

use std::borrow::Cow;

use crate::codec::CodecError;

/// Why the audio of a publisher is not recorded, while its video is.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AudioProblem {
    /// Its codec does not go into MP4 as it is.
    #[error("{0} audio cannot be carried: send AAC")]
    Codec(Cow<'static, str>),
    /// AAC came, and nothing that says how to decode it.
    #[error("AAC audio came without its configuration")]
    NoConfiguration,
    /// The configuration of the AAC is damaged or not supported.
    #[error("the audio configuration cannot be used: {0}")]
    Configuration(#[source] CodecError),
}

impl AudioProblem {
    /// The codec, where that is the reason.
    #[must_use]
    pub fn codec(&self) -> Option<&str> {
        match self {
            Self::Codec(codec) => Some(codec),
            Self::NoConfiguration | Self::Configuration(_) => None,
        }
    }
}
