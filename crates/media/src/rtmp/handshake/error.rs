//! Why first bytes are no handshake.

/// What stood where the version should.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum HandshakeError {
    /// A TLS record: the peer wants `rtmps`.
    #[error("the peer speaks TLS (rtmps), this port is plain RTMP")]
    Tls,
    /// The first letter of an HTTP method.
    #[error("the peer speaks HTTP (or RTMPT), this port is RTMP")]
    Http,
    /// Encrypted RTMP.
    #[error("the peer asks for RTMPE (version {0}), which is not supported")]
    Encrypted(u8),
    /// Something else.
    #[error("the first byte is {0}, not RTMP version 3")]
    Version(u8),
}

impl HandshakeError {
    /// The error for a first byte that is not the version.
    pub(super) fn of_first_byte(byte: u8) -> Self {
        match byte {
            0x16 => Self::Tls,
            b'A'..=b'Z' => Self::Http,
            6 | 8 | 9 => Self::Encrypted(byte),
            other => Self::Version(other),
        }
    }
}
