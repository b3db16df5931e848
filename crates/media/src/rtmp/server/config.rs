//! What a server session is told beforehand.

use crate::rtmp::limits::{
    FIRST_MEDIA_LIMIT_US, IDLE_LIMIT_US, SEND_CHUNK_SIZE, SETUP_LIMIT_US, WINDOW_BYTES,
};

/// Settings of a server session; the default is right for everything but tests.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ServerConfig {
    /// Makes the handshake's filler differ between connections; no secret.
    pub seed: u64,
    /// Bytes after which the peer is to acknowledge, and may be: see RTMP §5.4.4.
    pub window_bytes: u32,
    /// Our chunk size in bytes.
    pub chunk_size: u32,
    /// From the connection to `publish`, in microseconds.
    pub setup_limit_us: i64,
    /// From accepting to the first audio or video message, in microseconds.
    pub first_media_limit_us: i64,
    /// Between audio or video messages, in microseconds.
    pub idle_limit_us: i64,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            seed: 0,
            window_bytes: WINDOW_BYTES,
            chunk_size: SEND_CHUNK_SIZE,
            setup_limit_us: SETUP_LIMIT_US,
            first_media_limit_us: FIRST_MEDIA_LIMIT_US,
            idle_limit_us: IDLE_LIMIT_US,
        }
    }
}
