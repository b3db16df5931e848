//! Why a stream cannot be recorded.

use crate::codec::CodecError;
use crate::flv::FlvError;

/// What was all that came, for seconds.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FramingError {
    /// Video messages that cannot be read; the last of them.
    #[error(transparent)]
    Unreadable(FlvError),
    /// The sequence header cannot be used, and no parameter sets came with the pictures.
    #[error("the video configuration cannot be used: {0}")]
    Config(#[source] CodecError),
}
