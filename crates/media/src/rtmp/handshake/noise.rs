//! The filler of handshake packets. RTMP §5.2.3: "need not be cryptographically secure"; it only has to differ between ends.

/// Fills `bytes` from `seed` (splitmix64).
pub(super) fn fill(mut seed: u64, bytes: &mut [u8]) {
    for block in bytes.chunks_mut(8) {
        seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = seed;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        block.copy_from_slice(&mixed.to_le_bytes()[..block.len()]);
    }
}
