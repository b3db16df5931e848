//! HLS media playlists over recorded segments (draft-pantos-hls-rfc8216bis).
//!
//! Here belongs the text of a playlist, built from catalog facts alone: no object is read. Not here: the live window's
//! playlists with parts, signing of addresses, HTTP.
//!
//! A recorded segment is one MP4 object of minutes; an HLS media segment is a run of its whole fragments that starts at a
//! key fragment, addressed by `EXT-X-BYTERANGE`.

mod text;
mod vod;

pub use vod::{CONTINUITY_TOLERANCE_US, PREFERRED_RUN_US, Playlist, VodSegment, vod};

#[cfg(test)]
mod tests;
