//! The client's end.

use bytes::{Buf as _, Bytes};

use super::digest::{Scheme, Signer, find_first, sign_first, sign_second};
use super::{HandshakeError, PACKET_BYTES, Packet, VERSION, noise};
use crate::rtmp::transmit::Transmit;

/// Version that we claim in a signed C1: Flash Player 10.0.32.18.
const CLIENT_VERSION: [u8; 4] = [0x80, 0, 7, 2];

/// Sends C0 and C1, reads S0, S1 and S2, answers with C2.
#[derive(Debug)]
pub struct ClientHandshake {
    seed: u64,
    scheme: Option<Scheme>,
    has_begun: bool,
}

impl ClientHandshake {
    /// A handshake whose filler is made from `seed`; simple, or signed by a scheme.
    #[must_use]
    pub fn new(seed: u64, scheme: Option<Scheme>) -> Self {
        Self { seed, scheme, has_begun: false }
    }

    /// Sends what is due and takes the handshake's bytes off `input`; `true` when it is done.
    ///
    /// # Errors
    /// [`HandshakeError`]: the peer speaks something else.
    pub fn advance(&mut self, input: &mut &[u8], out: &mut Transmit) -> Result<bool, HandshakeError> {
        if !self.has_begun {
            let mut c1: Packet = [0; PACKET_BYTES];
            noise::fill(self.seed, &mut c1[8..]);
            if let Some(scheme) = self.scheme {
                c1[4..8].copy_from_slice(&CLIENT_VERSION);
                sign_first(Signer::Client, scheme, &mut c1);
            }
            out.push(Bytes::from_static(&[VERSION]));
            out.push(Bytes::copy_from_slice(&c1));
            self.has_begun = true;
        }
        match input.first() {
            Some(&VERSION) => {}
            Some(&other) => return Err(HandshakeError::of_first_byte(other)),
            None => return Ok(false),
        }
        if input.len() < 1 + 2 * PACKET_BYTES {
            return Ok(false);
        }
        input.advance(1);
        let Some(s1) = input.first_chunk::<PACKET_BYTES>() else { return Ok(false) };
        let c2 = match self.scheme.and_then(|_| find_first(Signer::Server, s1)) {
            Some((_, digest)) => {
                let mut c2: Packet = [0; PACKET_BYTES];
                noise::fill(!self.seed, &mut c2);
                sign_second(Signer::Client, &digest, &mut c2);
                c2
            }
            None => *s1,
        };
        out.push(Bytes::copy_from_slice(&c2));
        input.advance(2 * PACKET_BYTES);
        Ok(true)
    }
}
