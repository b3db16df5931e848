//! The MP4 room against ffmpeg: what we write must decode without a warning, picture for picture and on time.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test panics where it fails")]
#![expect(clippy::disallowed_methods, reason = "a test works on real files")]

mod cut;
mod demux;
mod peer;
mod recording;
mod segment;
