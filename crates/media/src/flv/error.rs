//! Why bytes are not FLV that we carry.

/// What was wrong with a tag body or a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FlvError {
    /// The body ends inside its header.
    #[error("the tag ends inside its header")]
    Truncated,
    /// A video codec of the old form that we do not carry.
    #[error("video codec {0} (id {1}) is not supported: send H.264 or HEVC")]
    VideoCodec(&'static str, u8),
    /// A video codec of Enhanced RTMP that we do not carry.
    #[error("video codec {} is not supported: send H.264 or HEVC", .0.escape_ascii())]
    VideoFourCc([u8; 4]),
    /// A packet type that its codec does not have.
    #[error("packet type {0} is unknown")]
    PacketType(u8),
    /// A file that does not begin with `FLV`.
    #[error("this is not an FLV file")]
    NotFlv,
    /// A tag that is marked as encrypted.
    #[error("the FLV file is encrypted")]
    Encrypted,
}
