//! The RTMP sessions against real peers: FFmpeg publishing to us, FFmpeg receiving from us, and recorded publishers.

#[cfg(test)]
mod driver;
#[cfg(test)]
mod live;
#[cfg(test)]
mod recorded;
