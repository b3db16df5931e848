//! The RTMP sessions against real peers: FFmpeg publishing to us, FFmpeg receiving from us, and recorded publishers.

mod driver;
mod live;
mod recorded;
