//! What a client session is told beforehand.

use crate::rtmp::handshake::Scheme;
use crate::rtmp::key::StreamKey;
use crate::rtmp::limits::{SEND_CHUNK_SIZE, SETUP_LIMIT_US};
use crate::rtmp::url::RtmpUrl;

/// Where and how to publish.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClientConfig {
    /// `tcUrl` of `connect`: the address without the key.
    pub tc_url: String,
    /// Application.
    pub app: String,
    /// Stream name.
    pub key: StreamKey,
    /// What we call ourselves. Servers judge encoders by it; "FMLE/3.0" is what they know.
    pub flash_ver: String,
    /// Our chunk size in bytes.
    pub chunk_size: u32,
    /// Whether the handshake is signed; simple is accepted everywhere seen.
    pub scheme: Option<Scheme>,
    /// Makes the handshake's filler differ between connections; no secret.
    pub seed: u64,
    /// From the connection to the acceptance of the publication, in microseconds.
    pub setup_limit_us: i64,
}

impl ClientConfig {
    /// The usual settings for an address.
    #[must_use]
    pub fn new(url: &RtmpUrl) -> Self {
        Self {
            tc_url: url.tc_url(),
            app: url.app.clone(),
            key: url.key.clone(),
            flash_ver: "FMLE/3.0 (compatible; TuRepe)".to_owned(),
            chunk_size: SEND_CHUNK_SIZE,
            scheme: None,
            seed: 0,
            setup_limit_us: SETUP_LIMIT_US,
        }
    }
}
