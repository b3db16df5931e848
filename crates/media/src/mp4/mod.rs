//! MP4 (ISO/IEC 14496-12): the segment file, what is cut out of it, and what users bring.
//!
//! A segment is a hybrid. While it grows it is fragmented: `ftyp free moov(mvex) (moof mdat)*`. Sealed, a `moov` with
//! full tables stands at its end and `free` has become the head of one `mdat` that spans everything between. No byte of a
//! fragment ever moves.
//!
//! - **In**: samples, fragments, sample tables, bytes of files somebody else reads.
//! - **Out**: boxes, sample tables, byte ranges.
//! - **Invariants**: the same input gives the same bytes; whatever [`reader`] and [`demux`] are fed, they end without
//!   panic and hold memory in proportion to it.
//! - **Not here**: files, clocks, the playlist, when a fragment ends.

mod boxes;
pub mod check;
pub mod cut;
pub mod demux;
mod entry;
pub mod fragment;
pub mod init;
mod movie;
mod parsed;
pub mod reader;
mod scan;
pub mod seal;
mod tables;

pub use boxes::BoxError;
pub use parsed::MAX_SAMPLES;

/// Track id of the video track in every file of ours.
pub const VIDEO_TRACK_ID: u32 = 1;
/// Track id of the audio track in every file of ours.
pub const AUDIO_TRACK_ID: u32 = 2;
