//! The digests of the digest handshake.

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use super::{PACKET_BYTES, Packet};

const DIGEST_BYTES: usize = 32;

/// What both keys end in.
const COMMON: [u8; 32] = [
    0xf0, 0xee, 0xc2, 0x4a, 0x80, 0x68, 0xbe, 0xe8, 0x2e, 0x00, 0xd0, 0xd1, 0x02, 0x9e, 0x7e, 0x57, 0x6e,
    0xec, 0x5d, 0x2d, 0x29, 0x80, 0x6f, 0xab, 0x93, 0xb8, 0xe6, 0x36, 0xcf, 0xeb, 0x31, 0xae,
];
const SERVER_NAME: &[u8] = b"Genuine Adobe Flash Media Server 001";
const CLIENT_NAME: &[u8] = b"Genuine Adobe Flash Player 001";

/// One end of the handshake: whose key signs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Signer {
    Client,
    Server,
}

impl Signer {
    fn name(self) -> &'static [u8] {
        match self {
            Self::Client => CLIENT_NAME,
            Self::Server => SERVER_NAME,
        }
    }
}

/// Where the digest hides in C1 and S1.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scheme {
    /// In the first half, bytes 8 to 771.
    First,
    /// In the second half, bytes 772 to 1535.
    Second,
}

impl Scheme {
    /// The offset of the digest in a packet.
    fn offset(self, packet: &Packet) -> usize {
        let base = match self {
            Self::First => 8,
            Self::Second => 772,
        };
        let sum: usize = packet[base..base + 4].iter().map(|byte| usize::from(*byte)).sum();
        sum % 728 + base + 4
    }
}

/// HMAC-SHA256 (RFC 2104) over the parts in one.
fn hmac(key: &[u8], parts: &[&[u8]]) -> [u8; DIGEST_BYTES] {
    // A key longer than a block of SHA-256 is replaced by its hash, a shorter one is filled up with zeros (RFC 2104 §2).
    let mut block = [0; 64];
    if key.len() > block.len() {
        block[..DIGEST_BYTES].copy_from_slice(&Sha256::digest(key));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let mut mac = Hmac::<Sha256>::new(&block.into());
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

fn first_packet_digest(signer: Signer, packet: &Packet, offset: usize) -> [u8; DIGEST_BYTES] {
    hmac(signer.name(), &[&packet[..offset], &packet[offset + DIGEST_BYTES..]])
}

/// Signs C1 or S1.
pub(super) fn sign_first(signer: Signer, scheme: Scheme, packet: &mut Packet) -> [u8; DIGEST_BYTES] {
    let offset = scheme.offset(packet);
    let digest = first_packet_digest(signer, packet, offset);
    packet[offset..offset + DIGEST_BYTES].copy_from_slice(&digest);
    digest
}

/// The scheme and digest of a signed C1 or S1; `None` when it is not signed. It is no secret that is compared here.
pub(super) fn find_first(signer: Signer, packet: &Packet) -> Option<(Scheme, [u8; DIGEST_BYTES])> {
    [Scheme::First, Scheme::Second].into_iter().find_map(|scheme| {
        let offset = scheme.offset(packet);
        let digest = first_packet_digest(signer, packet, offset);
        (packet[offset..offset + DIGEST_BYTES] == digest).then_some((scheme, digest))
    })
}

/// Signs C2 or S2, which answers the peer's digest in its last 32 bytes.
pub(super) fn sign_second(signer: Signer, peer_digest: &[u8; DIGEST_BYTES], packet: &mut Packet) {
    let digest = second_packet_digest(signer, peer_digest, packet);
    packet[PACKET_BYTES - DIGEST_BYTES..].copy_from_slice(&digest);
}

fn second_packet_digest(
    signer: Signer,
    peer_digest: &[u8; DIGEST_BYTES],
    packet: &Packet,
) -> [u8; DIGEST_BYTES] {
    let key = hmac(&[signer.name(), &COMMON].concat(), &[peer_digest]);
    hmac(&key, &[&packet[..PACKET_BYTES - DIGEST_BYTES]])
}

/// Whether C2 or S2 answers our digest.
#[cfg(test)]
pub(super) fn is_second_signed(signer: Signer, our_digest: &[u8; DIGEST_BYTES], packet: &Packet) -> bool {
    packet[PACKET_BYTES - DIGEST_BYTES..] == second_packet_digest(signer, our_digest, packet)
}
