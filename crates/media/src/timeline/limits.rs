//! Every limit of the timeline, with the reason for its size.

/// Ticks of video in one millisecond of a publisher's clock.
pub(super) const TICKS_PER_MS: i64 = 90;

/// A step of one track beyond this is doubted until the next frame confirms it.
///
/// It costs one frame of delay and nothing else, so it can be well below any real interruption.
pub(super) const DOUBTED_STEP_MS: i64 = 500;
/// A step backwards of one track beyond this is doubted; less is repaired in place.
pub(super) const DOUBTED_BACK_MS: i64 = 200;
/// Tracks of one publisher that keep the same clock are interleaved at least this well.
pub(super) const INTERLEAVE_MS: i64 = 1_000;
/// The first frame of a track may be this far from the other track's and still count by the same clock.
pub(super) const FIRST_INTERLEAVE_MS: i64 = 10_000;
/// A frame is shown this long, unless its source is slower; a longer silence ends the session and is a gap.
pub(super) const LONGEST_STEP_MS: i64 = 3_000;
/// A source that is slower has its own measure: so many of its usual steps …
pub(super) const RHYTHM_STEPS: i64 = 3;
/// … but never more than this. A camera that sends a picture every 15 s is still recorded as one session.
pub(super) const LONGEST_RHYTHM_MS: i64 = 15_000;
/// A silence as long as the last one is a rhythm if no more frames than this lie between them.
pub(super) const RHYTHM_FRAMES: u32 = 4;
/// So many frames in a row agree on a new time before a jump of the publisher's clock is believed.
pub(super) const JUMP_FRAMES: usize = 3;
/// No more than this is held while a jump is doubted.
pub(super) const DOUBTED_BYTES: usize = 8 << 20;

/// Presentation may follow decoding by this much: 16 frames (H.264 A.3.1) at a little over 3 frames a second.
pub(super) const LONGEST_COMPOSITION_MS: i32 = 5_000;

/// While the frame rate is measured, at most this much is held at the start of a session.
///
/// 29.97 and 30 frames a second drift apart by 2 ms in this time, which is what rounding may hide.
pub(super) const MEASURE_MS: i64 = 2_200;
/// As [`MEASURE_MS`], in frames.
pub(super) const MEASURE_FRAMES: usize = 128;
/// As [`MEASURE_MS`], in bytes.
pub(super) const MEASURE_BYTES: usize = 32 << 20;
/// Frames that must agree with a hint, or with one rate alone, before measuring ends early.
pub(super) const MEASURE_LEAST_FRAMES: usize = 12;
/// Audio that has told its configuration has this long to bring its first frame before a session starts without it.
pub(super) const AUDIO_GRACE_MS: i64 = 1_000;
/// Audio that has told nothing has this long.
pub(super) const AUDIO_UNKNOWN_GRACE_MS: i64 = 400;

/// A session without video starts when no video has come for this long.
pub(super) const AUDIO_ONLY_AFTER_MS: i64 = 5_000;
/// A session with video ends when audio alone has come for this long.
pub(super) const VIDEO_LOST_MS: i64 = 10_000;
/// At the next keyframe a session goes on without audio when none has come for this long: browsers wait at the end of a
/// track that has stopped.
pub(super) const AUDIO_LOST_MS: i64 = 5_000;

/// So many audio frames in a row that cannot be used say that none can: a second at 44.1 kHz.
pub(super) const UNUSABLE_AUDIO_FRAMES: u32 = 43;

/// Audio held while a keyframe is awaited, in frames: a little more than [`AUDIO_ONLY_AFTER_MS`] at 96 kHz.
pub(super) const WAITING_AUDIO_FRAMES: usize = 1_024;
/// Audio held while a keyframe is awaited, in bytes.
pub(super) const WAITING_AUDIO_BYTES: usize = 2 << 20;

/// A publisher that has sent video for this long has sent a keyframe. The longest group of pictures encoders offer is 10 s
/// to 20 s.
pub const KEYFRAME_WITHIN_US: i64 = 30_000_000;
/// A publisher that has sent this much has sent a keyframe: 30 s at 34 Mbit/s, whatever the clock says.
pub const KEYFRAME_WITHIN_BYTES: u64 = 128 << 20;

/// Audio frames that share one stamp are chained as long as their lengths add up to no more than this.
pub(super) const LONGEST_BUNDLE_MS: i64 = 2_500;

/// A recovery point or I picture that the container does not call a key is an entry when there was none for this long: a
/// little more than the longest usual group of pictures, so that nothing changes where there are better ones.
pub(super) const UNFLAGGED_AFTER_MS: i64 = 12_000;
/// While nothing is recorded for want of an entry, any picture becomes one after this long.
///
/// A publisher's first picture nearly always is an entry. Where it is none, waiting costs footage, and not waiting costs a
/// picture that builds up.
pub(super) const ANY_AT_START_MS: i64 = 5_000;
/// While a session runs, any picture becomes an entry after this long: more than the longest groups of pictures that "smart"
/// codecs make (1200 pictures at 25 a second), which shall stay whole.
pub(super) const ANY_WITHIN_MS: i64 = 60_000;
/// Once any picture had to do, the next one does after this long.
pub(super) const ANY_AGAIN_MS: i64 = 10_000;
/// Least distance of two recovery points of a gradual refresh that are both entries.
pub(super) const GRADUAL_SPACING_MS: i64 = 1_000;

/// Audio frames whose times are within this of the sum of their lengths are chained.
pub(super) const AUDIO_TOLERANCE_MS: i64 = 60;

/// A source that is later than it ever was by more than this, for minutes, has lost that time: a new session says so.
pub(super) const LATE_US: i64 = 10_000_000;
/// A session starts where the last one ended if that is at most this far ahead of its arrival; else it starts at its arrival,
/// and what the two have in common is shown once. Sources that send what they had queued at every reconnect would otherwise
/// date each connection further into the future.
pub(super) const START_AHEAD_US: i64 = 2_000_000;
/// A track stands still when its stamps pass less than this for each frame: fewer than a frame of sound, or of video at 200
/// frames a second, lasts …
pub(super) const STILL_MS_PER_FRAME: i64 = 4;
/// … and less than this part of the time in which they came …
pub(super) const STILL_PART: i64 = 16;
/// … over at least this time …
pub(super) const STILL_AFTER_MS: i64 = 1_500;
/// … in which a silence counts only this much, as frames that wait in a network arrive one by one after it …
pub(super) const STILL_STEP_MS: i64 = 200;
/// … and over at least so many readings of the clock.
pub(super) const STILL_ARRIVALS: u32 = 5;
/// Notices that wait to be asked for; more are left out.
pub(super) const MAX_NOTICES: usize = 8;
/// A new session goes on where the last one ended when that is this close to what the clock says.
pub(super) const CONTIGUOUS_US: i64 = 500_000;
/// How much earlier than its arrival the first keyframe may be taken to have been shown, when what follows it came so
/// fast that it must have waited somewhere.
pub(super) const ARRIVAL_CREDIT_US: i64 = 1_000_000;
/// Frames come in a burst while the last so many …
pub(super) const BURST_FRAMES: usize = 6;
/// … have gained more than this on their arrival.
pub(super) const BURST_US: i64 = 50_000;
/// Audio further ahead of its session's video than this does not belong to it.
pub(super) const AUDIO_AHEAD_MS: i64 = 20_000;

const _: () = {
    assert!(DOUBTED_STEP_MS < LONGEST_STEP_MS);
    assert!(MEASURE_LEAST_FRAMES <= MEASURE_FRAMES);
    assert!(AUDIO_GRACE_MS < MEASURE_MS && AUDIO_UNKNOWN_GRACE_MS < MEASURE_MS);
    assert!(AUDIO_ONLY_AFTER_MS > LONGEST_STEP_MS);
    assert!(LONGEST_STEP_MS < LONGEST_RHYTHM_MS && LONGEST_RHYTHM_MS < AUDIO_AHEAD_MS);
    assert!(ANY_AT_START_MS * 1000 < KEYFRAME_WITHIN_US && UNFLAGGED_AFTER_MS < ANY_WITHIN_MS);
    assert!(GRADUAL_SPACING_MS < ANY_AGAIN_MS && ANY_AGAIN_MS < ANY_WITHIN_MS);
    assert!((AUDIO_ONLY_AFTER_MS / 10) < WAITING_AUDIO_FRAMES as i64);
};
