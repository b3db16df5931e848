//! What the extended headers of audio and video have in common (E-RTMP v2).

use super::FlvError;

/// Packet type that precedes the real one with data about it.
pub(super) const MOD_EX: u8 = 7;

/// Takes `N` bytes off the front.
pub(super) fn take<'a, const N: usize>(bytes: &mut &'a [u8]) -> Result<&'a [u8; N], FlvError> {
    let (front, rest) = bytes.split_first_chunk::<N>().ok_or(FlvError::Truncated)?;
    *bytes = rest;
    Ok(front)
}

/// Skips all ModEx packets: they refine times below a millisecond or say things we do not use. Returns the packet type that
/// stands behind them. Each takes at least two bytes, so the loop ends.
pub(super) fn skip_mod_ex(mut packet_type: u8, bytes: &mut &[u8]) -> Result<u8, FlvError> {
    while packet_type == MOD_EX {
        let [size] = *take::<1>(bytes)?;
        let mut size = usize::from(size) + 1;
        if size == 256 {
            size = usize::from(u16::from_be_bytes(*take::<2>(bytes)?)) + 1;
        }
        *bytes = bytes.get(size..).ok_or(FlvError::Truncated)?;
        packet_type = take::<1>(bytes)?[0] & 0x0f;
    }
    Ok(packet_type)
}
