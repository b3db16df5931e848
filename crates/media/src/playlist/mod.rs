//! HLS media playlists: of recorded segments, and of what is being broadcast (draft-pantos-hls-rfc8216bis).
//!
//! Here belongs the text of a playlist, built from facts alone: no object is read. Not here: which fragments the live window
//! holds (`live`), signing of addresses, waiting for a part, HTTP.
//!
//! A recorded segment is one MP4 object of minutes; an HLS media segment is a run of its whole fragments that starts at a
//! key fragment, addressed by `EXT-X-BYTERANGE`.

mod live;
mod text;
mod vod;

pub use live::{LiveMedia, LivePart, LivePlaylist, MIN_LIVE_TARGET_S, MIN_PART_TARGET_US, Place, rewind};
pub use vod::{CONTINUITY_TOLERANCE_US, LONGEST_RUN_US, PREFERRED_RUN_US, Playlist, VodSegment, vod};

#[cfg(test)]
mod live_tests;
#[cfg(test)]
mod tests;
