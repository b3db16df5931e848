//! The server's end.

use bytes::{Buf as _, Bytes};

use super::digest::{Signer, find_first, sign_first, sign_second};
use super::{HandshakeError, PACKET_BYTES, Packet, VERSION, noise};
use crate::rtmp::transmit::Transmit;

/// Version that we claim in a signed S1: Flash Media Server 3.5.1.1, as FFmpeg and others know it.
const SERVER_VERSION: [u8; 4] = [3, 5, 1, 1];

/// Reads C0, C1 and C2 and answers.
///
/// C2 is not looked at: clients that fill it wrongly are common, and nothing hangs on it.
#[derive(Debug)]
pub struct ServerHandshake {
    seed: u64,
    has_answered: bool,
}

impl ServerHandshake {
    /// A handshake whose filler is made from `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { seed, has_answered: false }
    }

    /// Takes the handshake's bytes off `input`; `true` when it is done.
    ///
    /// # Errors
    /// [`HandshakeError`]: the peer speaks something else.
    pub fn advance(&mut self, input: &mut &[u8], out: &mut Transmit) -> Result<bool, HandshakeError> {
        if !self.has_answered {
            match input.first() {
                Some(&VERSION) => {}
                Some(&other) => return Err(HandshakeError::of_first_byte(other)),
                None => return Ok(false),
            }
            let Some(c1) = input.get(1..).and_then(|rest| rest.first_chunk::<PACKET_BYTES>()) else {
                return Ok(false);
            };
            self.answer(c1, out);
            input.advance(1 + PACKET_BYTES);
            self.has_answered = true;
        }
        if input.len() < PACKET_BYTES {
            return Ok(false);
        }
        input.advance(PACKET_BYTES);
        Ok(true)
    }

    fn answer(&self, c1: &Packet, out: &mut Transmit) {
        let mut s1: Packet = [0; PACKET_BYTES];
        noise::fill(self.seed, &mut s1[8..]);
        // A client without digests leaves the version zero.
        let signed = if c1[4..8] == [0; 4] { None } else { find_first(Signer::Client, c1) };
        let s2 = match signed {
            Some((scheme, digest)) => {
                s1[4..8].copy_from_slice(&SERVER_VERSION);
                sign_first(Signer::Server, scheme, &mut s1);
                let mut s2: Packet = [0; PACKET_BYTES];
                noise::fill(!self.seed, &mut s2);
                sign_second(Signer::Server, &digest, &mut s2);
                s2
            }
            None => *c1,
        };
        out.push(Bytes::from_static(&[VERSION]));
        out.push(Bytes::copy_from_slice(&s1));
        out.push(Bytes::copy_from_slice(&s2));
    }
}
