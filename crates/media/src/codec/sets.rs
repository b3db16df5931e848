//! Parameter sets that come between the pictures, and the configuration record that they make.

use bytes::Bytes;

use super::{MAX_RECORD_BYTES, h264, hevc};
use crate::{VideoCodec, VideoConfig};

/// Most parameter sets that are kept of a stream. H.264 and HEVC know up to 32 SPS and 256 PPS; encoders send fewer than ten.
const MAX_SETS: usize = 64;
/// The sets of a record in bytes: with their lengths they stay below [`MAX_RECORD_BYTES`].
const MAX_SET_BYTES: usize = 12 * 1024;

const _: () = assert!(MAX_SET_BYTES + 4 * MAX_SETS + 64 <= MAX_RECORD_BYTES);

/// One parameter set; a later one of the same type and id takes its place.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Set {
    /// `nal_unit_type`
    kind: u8,
    id: u32,
    data: Bytes,
}

/// The parameter sets of a stream.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct ParameterSets {
    codec: VideoCodec,
    /// By type, then by id.
    sets: Vec<Set>,
}

impl ParameterSets {
    pub(crate) fn new(codec: VideoCodec) -> Self {
        Self { codec, sets: Vec::new() }
    }

    /// Those of a configuration record.
    pub(crate) fn of(config: &VideoConfig) -> Self {
        let mut sets = Self::new(config.codec);
        let units = match config.codec {
            VideoCodec::H264 => h264::parameter_sets(&config.record),
            VideoCodec::Hevc => hevc::parameter_sets(&config.record),
        };
        for unit in units.unwrap_or_default() {
            sets.offer(unit);
        }
        sets
    }

    pub(crate) fn codec(&self) -> VideoCodec {
        self.codec
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.sets.is_empty()
    }

    pub(crate) fn clear(&mut self) {
        self.sets.clear();
    }

    /// Takes a parameter set; what is damaged, or one too many, is passed over.
    pub(crate) fn offer(&mut self, unit: &[u8]) {
        let Some((kind, id)) = identity(self.codec, unit) else { return };
        let place = self.sets.binary_search_by_key(&(kind, id), |set| (set.kind, set.id));
        let bytes: usize = self.sets.iter().map(|set| set.data.len()).sum();
        let set = || Set { kind, id, data: Bytes::copy_from_slice(unit) };
        match place {
            Ok(at) if self.sets[at].data == unit => {}
            Ok(at) if bytes - self.sets[at].data.len() + unit.len() <= MAX_SET_BYTES => self.sets[at] = set(),
            Err(at) if self.sets.len() < MAX_SETS && bytes + unit.len() <= MAX_SET_BYTES => {
                self.sets.insert(at, set());
            }
            Ok(_) | Err(_) => {}
        }
    }

    /// Whether all of these are among `known`, byte by byte.
    pub(crate) fn are_known_to(&self, known: &Self) -> bool {
        self.codec == known.codec && self.sets.iter().all(|set| known.sets.contains(set))
    }

    /// These over those of `known`; all of `known` is forgotten where these are enough to decode with.
    pub(crate) fn over(&self, known: &Self) -> Self {
        if self.is_complete() || self.codec != known.codec {
            return self.clone();
        }
        let mut sets = known.clone();
        for set in &self.sets {
            sets.offer(&set.data);
        }
        sets
    }

    /// Whether a decoder has all that it needs.
    pub(crate) fn is_complete(&self) -> bool {
        let kinds: &[u8] = match self.codec {
            VideoCodec::H264 => &[h264::NAL_SPS, h264::NAL_PPS],
            VideoCodec::Hevc => &[hevc::NAL_VPS, hevc::NAL_SPS, hevc::NAL_PPS],
        };
        kinds.iter().all(|kind| self.of_kind(*kind).next().is_some())
    }

    /// The configuration that they make, for NAL units behind lengths of 4 bytes; [`None`] where one is missing.
    pub(crate) fn config(&self) -> Option<VideoConfig> {
        if !self.is_complete() {
            return None;
        }
        let record = match self.codec {
            VideoCodec::H264 => h264::record(
                &self.of_kind(h264::NAL_SPS).collect::<Vec<_>>(),
                &self.of_kind(h264::NAL_PPS).collect::<Vec<_>>(),
            ),
            VideoCodec::Hevc => hevc::record(
                &[hevc::NAL_VPS, hevc::NAL_SPS, hevc::NAL_PPS]
                    .map(|kind| (kind, self.of_kind(kind).collect::<Vec<_>>())),
            ),
        };
        VideoConfig::from_record(self.codec, record?).ok()
    }

    fn of_kind(&self, kind: u8) -> impl Iterator<Item = &[u8]> {
        self.sets.iter().filter(move |set| set.kind == kind).map(|set| &set.data[..])
    }
}

/// Type and id of a parameter set that can be used.
fn identity(codec: VideoCodec, unit: &[u8]) -> Option<(u8, u32)> {
    // The lengths of a record have 16 bits.
    if unit.len() > usize::from(u16::MAX) {
        return None;
    }
    match codec {
        VideoCodec::H264 => h264::set_identity(unit),
        VideoCodec::Hevc => hevc::set_identity(unit),
    }
}

/// The codec whose sequence parameter set a unit is, whatever the tag around it says.
pub(crate) fn codec_of_sps(unit: &[u8]) -> Option<VideoCodec> {
    let is_sps = |codec, kind| identity(codec, unit).is_some_and(|(found, _)| found == kind);
    if is_sps(VideoCodec::H264, h264::NAL_SPS) {
        Some(VideoCodec::H264)
    } else if is_sps(VideoCodec::Hevc, hevc::NAL_SPS) {
        Some(VideoCodec::Hevc)
    } else {
        None
    }
}
