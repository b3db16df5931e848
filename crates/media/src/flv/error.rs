//! Why bytes are not FLV that we carry.

/// What was wrong with a tag body or a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FlvError {
    /// The body ends inside its header.
    #[error("the tag ends inside its header")]
    Truncated,
    /// A video codec of the old form that we do not carry.
    #[error("video codec {} is not supported: send H.264 or HEVC", legacy_name(*.0))]
    VideoCodec(u8),
    /// A video codec of Enhanced RTMP that we do not carry.
    #[error("video codec {} is not supported: send H.264 or HEVC", four_cc_name(*.0))]
    VideoFourCc([u8; 4]),
    /// A packet type that its codec does not have.
    #[error("packet type {0} is unknown")]
    PacketType(u8),
    /// A sequence header in a good stream that cannot be read.
    #[error("the video configuration is damaged")]
    VideoConfig,
    /// A frame of another codec than the stream, without its configuration.
    #[error("the video changed its codec without a configuration")]
    OtherCodec,
    /// An arrangement of tracks that Enhanced RTMP does not know.
    #[error("multitrack type {0} is unknown")]
    MultitrackType(u8),
    /// A file that does not begin with `FLV`.
    #[error("this is not an FLV file")]
    NotFlv,
    /// A tag that is marked as encrypted.
    #[error("the FLV file is encrypted")]
    Encrypted,
}

/// What a codec of the old form is called, with its number.
fn legacy_name(id: u8) -> String {
    let name = match id {
        1 => "JPEG",
        2 => "Sorenson H.263",
        3 | 6 => "Screen video",
        4 => "VP6",
        5 => "VP6 with alpha",
        8 => "H.263",
        9 => "MPEG-4 part 2",
        // Never specified; what Chinese encoders and FFmpeg forks send.
        13 => "AV1",
        14 => "VP8",
        15 => "VP9",
        _ => return format!("number {id} of FLV"),
    };
    format!("{name} (number {id} of FLV)")
}

/// What a codec of Enhanced RTMP is called, with its FourCC.
fn four_cc_name(four_cc: [u8; 4]) -> String {
    let code = four_cc.escape_ascii();
    match &four_cc {
        b"av01" => format!("AV1 ({code})"),
        b"vp08" => format!("VP8 ({code})"),
        b"vp09" => format!("VP9 ({code})"),
        b"vvc1" | b"vvi1" => format!("H.266 ({code})"),
        b"dvh1" | b"dvhe" => format!("Dolby Vision ({code})"),
        _ => format!("with the FourCC {code}"),
    }
}
