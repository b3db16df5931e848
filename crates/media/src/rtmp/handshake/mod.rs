//! The handshake (RTMP §5.2), simple and with digests.
//!
//! In: the 3073 bytes each way before the chunk stream. The digest form is not in the specification; it is what Flash Player 9
//! and Flash Media Server 3 began, and what FFmpeg, librtmp and hardware encoders speak: 32 bytes of HMAC-SHA256 hidden in C1
//! and S1 at an offset that other bytes tell ("schemes" 0 and 1 differ in where), and answered in S2 and C2.
//! Not in: RTMPE.

mod client;
mod digest;
mod error;
mod noise;
mod server;

#[cfg(test)]
mod tests;

pub use client::ClientHandshake;
pub use digest::Scheme;
pub use error::HandshakeError;
pub use server::ServerHandshake;

/// The only version in use (RTMP §5.2.2).
const VERSION: u8 = 3;

/// Length of C1, C2, S1 and S2.
const PACKET_BYTES: usize = 1536;

type Packet = [u8; PACKET_BYTES];
