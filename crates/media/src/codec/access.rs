//! Where decoding can start: what a picture says of itself, by its NAL unit types, its slices and its recovery-point SEI.
//!
//! Nothing is decoded. What becomes of it (whether a session, a segment or a player may begin there) is decided by the
//! timeline, which also knows what the container says and what came before.

use super::NalUnits;
use super::bits::BitReader;
use crate::VideoCodec;

/// ITU-T H.264 §D.1.8, H.265 §D.2.8: `payloadType` of the recovery point SEI message.
const SEI_RECOVERY_POINT: u32 = 6;
/// Most SEI messages of one NAL unit that are looked at; real ones have fewer than ten.
const MAX_SEI_MESSAGES: usize = 32;
/// Bytes of a recovery point that are read: one Exp-Golomb code of at most 32 bits and its zeros.
const RECOVERY_POINT_BYTES: usize = 8;
/// Bytes of a slice that are read: two Exp-Golomb codes.
const SLICE_START_BYTES: usize = 12;

/// What a picture offers to a decoder that knows nothing before it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// No slice was found: damaged, or no picture at all. Nothing can start here.
    Unknown,
    /// It refers to pictures before it.
    Inter,
    /// Every slice is coded without reference to others, but nothing promises that what follows does not refer to what was
    /// before. H.264 only.
    Intra,
    /// The encoder promises that whoever starts here has whole pictures soon (recovery point SEI).
    Recovery {
        /// How far behind this picture the first whole one is: 0 in an open group of pictures, more with gradual refresh. H.264
        /// counts reference pictures (`recovery_frame_cnt`), H.265 all of them (`recovery_poc_cnt`).
        frames: u32,
    },
    /// An IDR (H.264) or IRAP picture (H.265: IDR, CRA, BLA).
    Clean,
}

impl Access {
    /// Whether the picture can be decoded without any other one.
    #[must_use]
    pub fn is_alone(self) -> bool {
        matches!(self, Self::Intra | Self::Recovery { frames: 0 } | Self::Clean)
    }
}

/// What a picture is; `data` holds its NAL units, each behind its length in `length_size` bytes.
#[must_use]
pub fn access(codec: VideoCodec, data: &[u8], length_size: u8) -> Access {
    let units = NalUnits { data, length_size: usize::from(length_size) };
    match codec {
        VideoCodec::H264 => h264(units),
        VideoCodec::Hevc => hevc(units),
    }
}

/// Whether this picture counts on the way to the first whole one ([`Access::Recovery`]): those that others may refer to
/// (H.264 §7.4.1, `nal_ref_idc`), all in H.265.
#[must_use]
pub fn is_reference(codec: VideoCodec, data: &[u8], length_size: u8) -> bool {
    let mut units = NalUnits { data, length_size: usize::from(length_size) };
    let is_slice = |unit: &&[u8]| unit.first().is_some_and(|header| matches!(header & 0x1f, 1..=5));
    match codec {
        VideoCodec::H264 => {
            units.find(is_slice).and_then(|unit| unit.first()).is_none_or(|header| header & 0x60 != 0)
        }
        VideoCodec::Hevc => true,
    }
}

/// ITU-T H.264 table 7-1.
fn h264(units: NalUnits<'_>) -> Access {
    let mut recovery = None;
    let mut slices = 0_u32;
    let mut is_intra = true;
    for unit in units {
        let Some((header, body)) = unit.split_first() else { break };
        match header & 0x1f {
            6 if slices == 0 => recovery = recovery.or_else(|| h264_recovery(body)),
            // The first slice tells an IDR picture; all slices of a picture are of the same kind (§7.4.1.2.4).
            5 if slices == 0 => return Access::Clean,
            // Slices, and partition A of slices; B and C have no slice type.
            1 | 2 | 5 => {
                slices += 1;
                is_intra &= is_h264_intra_slice(body);
                if !is_intra && recovery.is_none() {
                    return Access::Inter;
                }
                if recovery.is_some() {
                    break;
                }
            }
            _ => {}
        }
    }
    match (slices, recovery) {
        (0, _) => Access::Unknown,
        (_, Some(frames)) => Access::Recovery { frames },
        (_, None) => Access::Intra,
    }
}

/// §7.3.3: `first_mb_in_slice`, `slice_type`; 2 and 7 are I, 4 and 9 SI.
fn is_h264_intra_slice(body: &[u8]) -> bool {
    let (start, length) = start_of::<SLICE_START_BYTES>(Unescaped::new(body));
    let mut bits = BitReader::new(&start[..length]);
    let slice_type = bits.ue().and_then(|_first_mb| bits.ue());
    slice_type.is_some_and(|slice_type| slice_type < 10 && matches!(slice_type % 5, 2 | 4))
}

/// §D.1.8: `recovery_frame_cnt`.
fn h264_recovery(body: &[u8]) -> Option<u32> {
    let (payload, length) = recovery_point(body)?;
    BitReader::new(&payload[..length]).ue()
}

/// ITU-T H.265 table 7-1: below 32 are slices, 16 to 23 those of IRAP pictures, 39 is a prefix SEI.
fn hevc(units: NalUnits<'_>) -> Access {
    let mut recovery = None;
    for unit in units {
        let Some(header) = unit.first() else { break };
        match (header >> 1) & 0x3f {
            39 => recovery = recovery.or_else(|| unit.get(2..).and_then(hevc_recovery)),
            16..=23 => return Access::Clean,
            0..=31 => return recovery.map_or(Access::Inter, |frames| Access::Recovery { frames }),
            _ => {}
        }
    }
    Access::Unknown
}

/// §D.2.8: `recovery_poc_cnt`. It counts in output order and may point back, to what is whole already.
fn hevc_recovery(body: &[u8]) -> Option<u32> {
    let (payload, length) = recovery_point(body)?;
    let count = BitReader::new(&payload[..length]).se()?;
    Some(u32::try_from(count).unwrap_or(0))
}

/// The first bytes of the recovery point among the messages of an SEI NAL unit (§7.3.2.3.1), whose header is left out.
fn recovery_point(body: &[u8]) -> Option<([u8; RECOVERY_POINT_BYTES], usize)> {
    let mut bytes = Unescaped::new(body);
    for _ in 0..MAX_SEI_MESSAGES {
        let kind = sei_number(&mut bytes)?;
        let size = usize::try_from(sei_number(&mut bytes)?).ok()?;
        if kind == SEI_RECOVERY_POINT {
            return Some(start_of(bytes.take(size)));
        }
        if let Some(last) = size.checked_sub(1) {
            // What is cut short ends the search.
            bytes.nth(last)?;
        }
    }
    None
}

/// `payloadType` and `payloadSize`: a run of 255 and one smaller byte, added up.
fn sei_number(bytes: &mut Unescaped<'_>) -> Option<u32> {
    let mut sum = 0_u32;
    loop {
        let byte = bytes.next()?;
        sum = sum.checked_add(u32::from(byte))?;
        if byte != 0xff {
            return Some(sum);
        }
    }
}

/// The first bytes, and how many there are.
fn start_of<const N: usize>(bytes: impl Iterator<Item = u8>) -> ([u8; N], usize) {
    let mut start = [0; N];
    let mut length = 0;
    for (to, from) in start.iter_mut().zip(bytes) {
        *to = from;
        length += 1;
    }
    (start, length)
}

/// Bytes of a NAL unit without emulation prevention (ITU-T H.264 §7.4.1, H.265 §7.4.2), without a copy: this is done for
/// every picture.
struct Unescaped<'a> {
    rest: std::slice::Iter<'a, u8>,
    zeros: u32,
}

impl<'a> Unescaped<'a> {
    fn new(body: &'a [u8]) -> Self {
        Self { rest: body.iter(), zeros: 0 }
    }
}

impl Iterator for Unescaped<'_> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        let mut byte = *self.rest.next()?;
        if self.zeros >= 2 && byte == 3 {
            self.zeros = 0;
            byte = *self.rest.next()?;
        }
        self.zeros = if byte == 0 { self.zeros + 1 } else { 0 };
        Some(byte)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{TrackKind, mp4::demux::Mp4File};

    /// The pictures of a file of `tests/fixtures/access`, each as what it is and whether its encoder called it a key.
    fn pictures(file: &[u8]) -> Vec<(Access, bool)> {
        let moov = file.windows(4).rposition(|kind| kind == b"moov").unwrap() - 4;
        let mp4 = Mp4File::from_moov(&file[moov..]).unwrap();
        let config = mp4.video.unwrap();
        let samples = mp4.samples.iter().filter(|sample| sample.track == TrackKind::Video);
        let data =
            |sample: &crate::mp4::demux::DemuxSample| &file[sample.offset as usize..][..sample.size as usize];
        samples
            .map(|sample| (access(config.codec, data(sample), config.nal_length_size()), sample.is_sync))
            .collect()
    }

    /// Runs of equal pictures, as their length and what they are.
    fn runs(pictures: &[(Access, bool)]) -> Vec<(usize, Access, bool)> {
        let mut runs: Vec<(usize, Access, bool)> = Vec::new();
        for (access, is_key) in pictures {
            match runs.last_mut() {
                Some((count, last, was_key)) if (*last, *was_key) == (*access, *is_key) => *count += 1,
                _ => runs.push((1, *access, *is_key)),
            }
        }
        runs
    }

    #[test]
    fn pictures_of_real_encoders_are_told_apart() {
        use Access::{Clean, Inter, Intra, Recovery};
        const OPEN: Access = Recovery { frames: 0 };
        const REFRESH: Access = Recovery { frames: 4 };
        type Expected = &'static [(usize, Access, bool)];
        let table: [(&str, &[u8], Expected); 6] = [
            (
                "x264, closed groups, two slices a picture",
                include_bytes!("../../tests/fixtures/access/x264-closed-gop.mp4"),
                &[
                    (1, Clean, true),
                    (19, Inter, false),
                    (1, Clean, true),
                    (19, Inter, false),
                    (1, Clean, true),
                    (19, Inter, false),
                ],
            ),
            (
                "x264, open groups",
                include_bytes!("../../tests/fixtures/access/x264-open-gop.mp4"),
                &[
                    (1, Clean, true),
                    (18, Inter, false),
                    (1, OPEN, true),
                    (19, Inter, false),
                    (1, OPEN, true),
                    (20, Inter, false),
                ],
            ),
            (
                "x264, open groups, SEI taken out by ffmpeg",
                include_bytes!("../../tests/fixtures/access/x264-open-gop-no-sei.mp4"),
                &[
                    (1, Clean, true),
                    (18, Inter, false),
                    (1, Intra, true),
                    (19, Inter, false),
                    (1, Intra, true),
                    (20, Inter, false),
                ],
            ),
            (
                "x264, gradual refresh, two slices a picture",
                include_bytes!("../../tests/fixtures/access/x264-intra-refresh.mp4"),
                &[
                    (1, Clean, true),
                    (19, Inter, false),
                    (1, REFRESH, true),
                    (19, Inter, false),
                    (1, REFRESH, true),
                    (19, Inter, false),
                ],
            ),
            (
                "x265, open groups",
                include_bytes!("../../tests/fixtures/access/x265-open-gop.mp4"),
                &[
                    (1, Clean, true),
                    (18, Inter, false),
                    (1, Clean, true),
                    (19, Inter, false),
                    (1, Clean, true),
                    (20, Inter, false),
                ],
            ),
            (
                "x265, gradual refresh without SEI",
                include_bytes!("../../tests/fixtures/access/x265-intra-refresh.mp4"),
                &[(1, Clean, true), (59, Inter, false)],
            ),
        ];
        for (what, file, expected) in table {
            assert_eq!(runs(&pictures(file)), expected, "{what}");
        }
    }

    /// NAL units behind lengths of two bytes.
    fn units(units: &[&[u8]]) -> Vec<u8> {
        let mut data = Vec::new();
        for unit in units {
            data.extend_from_slice(&(unit.len() as u16).to_be_bytes());
            data.extend_from_slice(unit);
        }
        data
    }

    #[test]
    fn what_stands_before_the_first_slice_decides() {
        // first_mb 0, then the slice type: P 0, B 1, I 2, I 7.
        let (p, b, i, i7): (&[u8], &[u8], &[u8], &[u8]) =
            (&[0x41, 0b1100_0000], &[0x01, 0b1010_0000], &[0x61, 0b1011_0000], &[0x61, 0b1000_1000]);
        let idr: &[u8] = &[0x65, 0b1011_0000];
        let parameter_sets: &[u8] = &[0x67, 1];
        // One byte each: frame count 0, 3 and 9.
        let (now, in_3, in_9): (&[u8], &[u8], &[u8]) =
            (&[6, 6, 1, 0xc4, 0x80], &[6, 6, 1, 0b0010_0100, 0x80], &[6, 6, 2, 0b0001_0101, 0x20, 0x80]);
        let timing: &[u8] = &[6, 1, 2, 0xaa, 0xbb, 0x80];
        let timing_and_recovery: &[u8] = &[6, 1, 2, 0xaa, 0xbb, 6, 1, 0b0010_0100, 0x80];
        // Zeros within another message, with the byte that keeps them from looking like a start code.
        let escaped: &[u8] = &[6, 5, 4, 0, 0, 3, 1, 7, 6, 1, 0xc4, 0x80];
        let recovery = |frames| Access::Recovery { frames };
        let h264: [(&str, &[&[u8]], Access); 19] = [
            ("nothing", &[], Access::Unknown),
            ("parameter sets alone", &[parameter_sets], Access::Unknown),
            ("SEI alone", &[now], Access::Unknown),
            ("P", &[p], Access::Inter),
            ("B", &[b], Access::Inter),
            ("I", &[i], Access::Intra),
            ("I of another kind", &[parameter_sets, i7], Access::Intra),
            ("I and P slices", &[i, p], Access::Inter),
            ("IDR", &[parameter_sets, idr, idr], Access::Clean),
            ("IDR with a recovery point", &[now, idr], Access::Clean),
            ("an IDR slice behind others", &[p, idr], Access::Inter),
            ("recovery now", &[now, i], recovery(0)),
            ("recovery in 3", &[in_3, p], recovery(3)),
            ("recovery in 9", &[in_9, p, p], recovery(9)),
            ("another SEI first", &[timing, in_3, p], recovery(3)),
            ("another message first", &[timing_and_recovery, p], recovery(3)),
            ("emulation prevention", &[escaped, i], recovery(0)),
            ("timing only", &[timing, p], Access::Inter),
            ("SEI behind the slice", &[p, now], Access::Inter),
        ];
        for (what, pictures, expected) in h264 {
            assert_eq!(access(VideoCodec::H264, &units(pictures), 2), expected, "{what}");
        }
        let (trailing, cra, bla, idr): (&[u8], &[u8], &[u8], &[u8]) =
            (&[1 << 1, 1], &[21 << 1, 1], &[16 << 1, 1], &[19 << 1, 1]);
        // se(v): 0, 2 and -1.
        let (now, in_2, past): (&[u8], &[u8], &[u8]) =
            (&[39 << 1, 1, 6, 1, 0xc0], &[39 << 1, 1, 6, 1, 0b0010_0100], &[39 << 1, 1, 6, 1, 0b0111_0000]);
        let hevc: [(&str, &[&[u8]], Access); 8] = [
            ("trailing", &[trailing], Access::Inter),
            ("CRA", &[&[33 << 1, 1], cra], Access::Clean),
            ("BLA", &[bla], Access::Clean),
            ("IDR", &[idr], Access::Clean),
            ("recovery now", &[now, trailing], recovery(0)),
            ("recovery in 2", &[in_2, trailing], recovery(2)),
            ("recovered already", &[past, trailing], recovery(0)),
            ("suffix SEI", &[trailing, &[40 << 1, 1, 6, 1, 0xc0]], Access::Inter),
        ];
        for (what, pictures, expected) in hevc {
            assert_eq!(access(VideoCodec::Hevc, &units(pictures), 2), expected, "{what}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(data in prop::collection::vec(any::<u8>(), 0..300), length_size in 0_u8..6) {
            let _ = access(VideoCodec::H264, &data, length_size);
            let _ = access(VideoCodec::Hevc, &data, length_size);
        }

        #[test]
        fn unescaping_is_that_of_the_parameter_sets(data in prop::collection::vec(0_u8..5, 0..60)) {
            prop_assume!(!data.ends_with(&[0, 0, 3]));
            let unescaped: Vec<u8> = Unescaped::new(&data).collect();
            prop_assert_eq!(unescaped, super::super::bits::unescape(&data));
        }
    }
}
