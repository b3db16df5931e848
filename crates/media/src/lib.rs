//! The media core: protocols, codecs and containers, as pure state machines.
//!
//! - **In**: bytes from a socket or file, and `now` as an argument.
//! - **Out**: protocol replies, [`Sample`]s, [`Fragment`]s, MP4 headers, playlists.
//! - **Invariants**: decode times of a track strictly increase; a payload byte is copied once after the socket; every
//!   buffer has a limit named in the module that owns it; any input, cut anywhere, gives the same result as in one piece.
//! - **Never**: a clock, a file, a socket, `async`, a panic on foreign bytes, another crate of ours.

pub mod amf0;
pub mod codec;
pub mod flv;
mod fragment;
pub mod fragmenter;
pub mod framing;
pub mod index;
pub mod mp4;
pub mod overlap;
pub mod playlist;
pub mod rtmp;
mod sample;
pub mod timeline;

pub use fragment::{Fragment, FragmentIndexEntry, SampleMeta, SegmentIndex, TrackRun};
pub use sample::{
    AudioConfig, EndCause, Sample, SessionConfig, TICKS_PER_SECOND_VIDEO, TrackKind, VideoCodec, VideoConfig,
};
