//! Every limit of covers, with its reason.

use std::time::Duration;

use crate::sandbox::limits::{FFMPEG_FILE_BYTES, FFMPEG_FILES};

/// A live channel's cover is made anew this often.
pub const PERIOD: Duration = Duration::from_secs(10);

/// How long a channel may be offline before a slate takes the place of its cover, where nobody says otherwise.
pub const SLATE_AFTER: Duration = Duration::from_secs(60);

/// Keyframes that go through one ffmpeg. Its start costs some 60 ms and a keyframe of 1080p some 20: from here on more would
/// save less than a tenth, and each takes 8 MB (measured with 1, 8, 16, 24 and 32).
pub const BATCH_CHANNELS: usize = 16;

/// ffmpeg processes at once.
pub const PROCESSES: usize = 2;

/// How many of them may work on channels that failed the last time: the others always have one left.
pub const SUSPECT_PROCESSES: usize = 1;

/// How long a batch may run: half a second of work, by a niced process on a machine that has other things to do.
pub const BATCH_TIMEOUT: Duration = Duration::from_secs(8);

/// How long one keyframe alone may run.
pub const SINGLE_TIMEOUT: Duration = Duration::from_secs(5);

/// Longest pause of a channel of which no cover can be made; it begins with twice the period and doubles.
pub const BACK_OFF_MAX: Duration = Duration::from_secs(300);

/// Width of a cover in pixels; the height follows.
pub const COVER_WIDTH: u32 = 480;

/// Largest cover, and largest slate, in bytes. Covers have 10 to 60 kB.
pub const MAX_COVER_BYTES: usize = 512 * 1024;

/// Largest keyframe that is tried, in bytes: one per live channel is kept until the next one comes.
pub const MAX_KEYFRAME_BYTES: usize = 8 * 1024 * 1024;

/// Most pictures that are kept, and decoded, for one that builds up: ten seconds.
pub const MAX_KEYFRAME_PICTURES: usize = 300;

/// Largest picture that is decoded, in pixels: 8K, in either direction.
pub const MAX_PIXELS: u64 = 8192 * 4608;

/// Most of ffmpeg's complaint that is kept, in bytes.
pub const MAX_COMPLAINT_BYTES: u64 = 2 * 1024;

/// Most of a complaint that is logged, in characters.
pub const MAX_REASON_CHARS: usize = 200;

/// Below this much free space no covers are made, in bytes: the recording needs it more.
pub const MIN_FREE_BYTES: u64 = 64 * 1024 * 1024;

/// How often the channels that there are, are asked for.
pub const ROSTER_PERIOD: Duration = Duration::from_secs(5);

// A batch that hangs is given up before its next turn.
const _: () = assert!(BATCH_TIMEOUT.as_millis() < PERIOD.as_millis());
const _: () = assert!(SINGLE_TIMEOUT.as_millis() <= BATCH_TIMEOUT.as_millis());
const _: () = assert!(SUSPECT_PROCESSES < PROCESSES);
const _: () = assert!(BACK_OFF_MAX.as_millis() >= 2 * PERIOD.as_millis());
// An input and an output for each channel, and what the program itself has open.
const _: () = assert!(2 * BATCH_CHANNELS + 32 <= FFMPEG_FILES);
const _: () = assert!(MAX_COVER_BYTES <= FFMPEG_FILE_BYTES);
