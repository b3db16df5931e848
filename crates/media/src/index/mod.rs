//! The index of a segment: its compact form in the catalog, and finding fragments and byte ranges by time.
//!
//! Here belongs what can be answered from a `SegmentIndex` alone. Not here: sample tables (`mp4::seal`), playlists
//! (`playlist`), and anything that reads an object.

mod encoding;
mod position;

pub use encoding::{IndexError, MAX_INDEX_FRAGMENTS};
pub use position::{
    FragmentPosition, FragmentPositions, FragmentRun, LATE_LEAD_IN_90K, MAX_LEAD_IN_90K, MAX_RECOVERY_90K,
    ticks_to_us, us_to_ticks,
};

#[cfg(test)]
mod tests;
