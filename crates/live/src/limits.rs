//! Every limit of this room that is not beside its queue, with its reason. Together with the live window they are what a channel
//! may cost: see `a_channel_costs_what_is_named` in the tests.

use std::time::Duration;

/// Bytes of tag bodies kept per channel for players that join or lag: at least one group of pictures, so that who joins begins
/// at once. OBS's default of 8.3 s at 8 Mbit/s is 8.3 MB. The bodies are those of the samples that the live window and the
/// recorder hold: of their own, tags cost some hundred bytes each.
pub const TAG_CACHE_BYTES: usize = 16 * 1024 * 1024;

/// Runs of tags kept per channel: a publisher is read twenty times a second, so this is nearly a minute.
pub const TAG_CACHE_RUNS: usize = 1024;

/// A reader may lag this far behind before it is taken to the newest keyframe, also where keyframes are close together.
pub const TAG_KEPT_MS: u32 = 3_000;

/// Tags are handed on as they come to so many readers of a channel. Beyond, they are gathered, as each reader costs a wake-up
/// and a system call per run.
pub const MERGE_FREE_READERS: usize = 8;

/// Longest time for which tags are gathered, however many readers there are: what SRS's `mw_latency` is by default.
pub const MERGE_MAX_MS: u32 = 350;

/// Bytes after which a run of tags is handed on, however short it is.
pub const MERGE_MAX_BYTES: usize = 1024 * 1024;

/// A publisher's clock may go ahead by this much from one tag to the next, or back by [`TAG_BACK_MS`]; anything else is another
/// clock, and players are shielded from it.
pub const TAG_AHEAD_MS: u32 = 10_000;

/// See [`TAG_AHEAD_MS`]: interleaving and B-frames are well within.
pub const TAG_BACK_MS: u32 = 2_000;

/// From one clock to the next on the players' timeline.
pub const TAG_STEP_MS: u32 = 40;

/// An HLS media segment ends at the first key fragment from this length on.
pub const SEGMENT_MIN_US: i64 = 2_000_000;

/// An HLS media segment without a further keyframe goes on for this long, then it ends anyway, which is better than a part list
/// without end. Who is there plays on; who comes waits for the next keyframe.
pub const SEGMENT_MAX_US: i64 = 30_000_000;

/// HLS media segments that are kept whatever their length: what a player without parts needs to begin (RFC 8216bis §6.2.2).
pub const WINDOW_MIN_SEGMENTS: usize = 3;

/// HLS media segments in the window: fragments of a flapping session are short.
pub const WINDOW_MAX_SEGMENTS: usize = 64;

/// Bytes of fragments in the window of one channel, whatever its configured length.
pub const WINDOW_MAX_BYTES: usize = 64 * 1024 * 1024;

/// Length of the window where nothing is configured.
pub const WINDOW_DEFAULT_US: i64 = 16_000_000;

/// How long players of a channel wait for its next publisher before they are sent away.
pub const GRACE: Duration = Duration::from_secs(10);

const _: () = assert!(WINDOW_MIN_SEGMENTS < WINDOW_MAX_SEGMENTS);
const _: () = assert!(MERGE_MAX_MS < TAG_KEPT_MS && TAG_BACK_MS < TAG_AHEAD_MS);
const _: () = assert!(MERGE_MAX_BYTES < TAG_CACHE_BYTES);
const _: () = assert!(SEGMENT_MIN_US < SEGMENT_MAX_US && SEGMENT_MIN_US * 3 <= WINDOW_DEFAULT_US);
