//! ADTS: AAC frames behind headers of their own (ISO/IEC 14496-3 §1.A.3.2).

use std::ops::Range;

use super::limits::ADTS_FRAMES;

/// PCM samples of a frame.
const SAMPLES_PER_FRAME: u64 = 1024;
/// Table 1.18, in Hz.
const SAMPLE_RATES: [u64; 13] =
    [96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350];

/// What a header says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Header {
    /// The same as an `AudioSpecificConfig`.
    pub(super) config: [u8; 2],
    sample_rate: u64,
    header_bytes: usize,
    frame_bytes: usize,
    is_one_block: bool,
}

impl Header {
    /// Reads a header. No frame of AAC without one begins so: it would begin with its end.
    pub(super) fn parse(data: &[u8]) -> Option<Self> {
        let &[0xff, second, third, fourth, fifth, sixth, seventh, ..] = data else { return None };
        if second & 0xf6 != 0xf0 {
            return None;
        }
        let object_type = (third >> 6) + 1;
        let rate_index = (third >> 2) & 0x0f;
        let channels = (third & 1) << 2 | fourth >> 6;
        Some(Self {
            config: [object_type << 3 | rate_index >> 1, (rate_index & 1) << 7 | channels << 3],
            sample_rate: *SAMPLE_RATES.get(usize::from(rate_index))?,
            header_bytes: if second & 1 == 1 { 7 } else { 9 },
            frame_bytes: usize::from(fourth & 3) << 11 | usize::from(fifth) << 3 | usize::from(sixth >> 5),
            is_one_block: seventh & 3 == 0,
        })
    }

    /// Milliseconds from the first frame of a message to another.
    pub(super) fn offset_ms(&self, frame: usize) -> u32 {
        ((frame as u64 * SAMPLES_PER_FRAME * 1000 + self.sample_rate / 2) / self.sample_rate) as u32
    }
}

/// The frames of a message, without their headers; [`None`] for what is no chain of ADTS frames.
///
/// Blocks that share one header have no lengths of their own and stay together: nothing in the field sends them.
pub(super) fn frames(data: &[u8]) -> Option<(Header, Vec<Range<usize>>)> {
    let first = Header::parse(data)?;
    let mut frames = Vec::with_capacity(1);
    let mut at = 0;
    while at < data.len() {
        let header = Header::parse(&data[at..])?;
        let end = at.checked_add(header.frame_bytes)?;
        let start = at + header.header_bytes;
        if !header.is_one_block || start >= end || end > data.len() || frames.len() >= ADTS_FRAMES {
            return None;
        }
        frames.push(start..end);
        at = end;
    }
    Some((first, frames))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A frame of AAC-LC, 48 kHz, stereo.
    fn adts(payload: &[u8], has_crc: bool) -> Vec<u8> {
        let header = if has_crc { 9 } else { 7 };
        let size = (payload.len() + header) as u32;
        let [_, _, high, low] = (size << 5 | 0x1f).to_be_bytes();
        let top = (size >> 11) as u8;
        let mut frame = vec![0xff, if has_crc { 0xf0 } else { 0xf1 }, 0x4c, 0x80 | top, high, low, 0xfc];
        if has_crc {
            frame.extend([0, 0]);
        }
        frame.extend(payload);
        frame
    }

    #[test]
    fn headers_go_and_say_what_a_configuration_says() {
        for has_crc in [false, true] {
            let data = [adts(b"one", has_crc), adts(b"three", has_crc)].concat();
            let (header, frames) = frames(&data).unwrap();
            assert_eq!(header.config, [0x11, 0x90]);
            let frames: Vec<_> = frames.into_iter().map(|range| &data[range]).collect();
            assert_eq!(frames, [&b"one"[..], b"three"]);
            assert_eq!([0, 1, 2].map(|frame| header.offset_ms(frame)), [0, 21, 43]);
        }
    }

    #[test]
    fn what_only_begins_alike_is_no_adts() {
        let whole = adts(b"frame", false);
        assert!(frames(&whole).is_some());
        assert_eq!(frames(&whole[..whole.len() - 1]), None);
        assert_eq!(frames(&[&whole[..], &[0x21]].concat()), None);
        assert_eq!(frames(&[0xff, 0xf1]), None);
        // Layer 3: an MP3 frame.
        assert_eq!(frames(&[0xff, 0xfb, 0x90, 0x64, 0, 0, 0, 0]), None);
        assert_eq!(frames(b""), None);
    }
}
