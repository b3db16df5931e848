//! Every limit of framing, with the reason for its size.

/// A picture that comes in several messages has this many bytes at most: the longest message.
pub(super) const PICTURE_BYTES: usize = 16 << 20;
/// A picture comes in at most this many messages: more than H.264 allows slices at level 4 (600 a second at 10 pictures, A.3.1).
pub(super) const PICTURE_MESSAGES: usize = 256;
/// Slices of one picture whose encoder stamps each by its clock are this far apart at most. Pictures are 4 ms apart at 240 a second.
pub(super) const SLICE_SPREAD_MS: u32 = 3;
/// What comes before a picture in messages of its own (parameter sets, SEI) has this many bytes at most …
pub(super) const BEFORE_BYTES: usize = 256 << 10;
/// … and as many messages.
pub(super) const BEFORE_MESSAGES: usize = 64;

/// Nothing but video that cannot be read, for this long, is refused by its name.
pub(super) const UNREADABLE_US: i64 = 3_000_000;
/// As many messages have to be unreadable for that: a camera of one picture every 5 s is judged by more than one odd tag.
pub(super) const UNREADABLE_MESSAGES: u64 = 3;
/// A damaged configuration may be mended by parameter sets between the pictures for this long: encoders that repeat them do so at
/// each keyframe, and these come every 2 to 4 s.
pub(super) const CONFIG_US: i64 = 8_000_000;

/// AAC frames in one message: 2 s at 48 kHz are 94.
pub(super) const ADTS_FRAMES: usize = 256;

const _: () = assert!(
    UNREADABLE_US < crate::timeline::KEYFRAME_WITHIN_US && CONFIG_US < crate::timeline::KEYFRAME_WITHIN_US
);
