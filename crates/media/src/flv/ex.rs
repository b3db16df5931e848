//! What the extended headers of audio and video have in common (E-RTMP v2).

use super::FlvError;

/// One track of a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Track<'a> {
    /// Packet type of what it carries.
    pub(super) packet_type: u8,
    pub(super) four_cc: [u8; 4],
    pub(super) id: u8,
    pub(super) body: &'a [u8],
    /// How many others the message has.
    pub(super) others: usize,
}

/// `AvMultitrackType`
mod multitrack {
    pub(super) const ONE_TRACK: u8 = 0;
    // 1 is several tracks of one codec.
    pub(super) const MANY_TRACKS_MANY_CODECS: u8 = 2;
}

/// Unwraps a multitrack message (E-RTMP v2, "ExVideoTagBody", "ExAudioTagBody"): of several tracks, the one of the lowest number.
pub(super) fn unwrap_multitrack<'a>(mut bytes: &'a [u8]) -> Result<Track<'a>, FlvError> {
    let [kinds] = *take::<1>(&mut bytes)?;
    let (kind, packet_type) = (kinds >> 4, kinds & 0x0f);
    if kind > multitrack::MANY_TRACKS_MANY_CODECS {
        return Err(FlvError::MultitrackType(kind));
    }
    let shared =
        if kind == multitrack::MANY_TRACKS_MANY_CODECS { None } else { Some(*take::<4>(&mut bytes)?) };
    let mut lowest: Option<Track<'a>> = None;
    let mut others = 0;
    loop {
        let four_cc = match shared {
            Some(four_cc) => four_cc,
            None => *take::<4>(&mut bytes)?,
        };
        let [id] = *take::<1>(&mut bytes)?;
        let size = if kind == multitrack::ONE_TRACK {
            bytes.len()
        } else {
            let &[high, middle, low] = take::<3>(&mut bytes)?;
            u32::from_be_bytes([0, high, middle, low]) as usize
        };
        let body = bytes.get(..size).ok_or(FlvError::Truncated)?;
        bytes = &bytes[size..];
        others += usize::from(lowest.is_some());
        if lowest.is_none_or(|lowest| id < lowest.id) {
            lowest = Some(Track { packet_type, four_cc, id, body, others: 0 });
        }
        if bytes.is_empty() {
            break;
        }
    }
    lowest.map(|track| Track { others, ..track }).ok_or(FlvError::Truncated)
}

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
