//! The unit that is written, synced and sent live, and the index that finds it again.

use bytes::Bytes;

/// What a sample table needs to know of one sample, without its bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SampleMeta {
    /// Payload length in bytes.
    pub size: u32,
    /// Ticks until the next sample of the track.
    pub duration: u32,
    /// Presentation minus decode time in ticks.
    pub composition_offset: i32,
    /// Whether decoding can start here.
    pub is_sync: bool,
}

/// The samples of one track in one fragment: contiguous in the file, in decode order.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TrackRun {
    /// Decode time of the first sample, in ticks of the track since the Unix epoch (`tfdt`).
    pub base_decode_time: i64,
    /// Offset of the first payload byte from the start of the fragment (of its `moof`).
    pub data_offset: u32,
    /// The samples; empty where the track has none in this fragment.
    pub samples: Vec<SampleMeta>,
}

/// A CMAF chunk: one `moof` and one `mdat`, about half a second, muxed once and shared by everyone.
///
/// In the `mdat` the audio samples come first and the video samples last, so that a cut at the end of a range leaves no
/// picture behind it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fragment {
    /// UTC microseconds of the first presented instant of the lead track.
    pub start_us: i64,
    /// Length of the lead track's samples in ticks of 1/90 000 s.
    pub duration_90k: u32,
    /// Whether it starts with a keyframe of the lead track: playback, segments and HLS segments may begin here.
    pub is_key: bool,
    /// `moof` box and the header of the `mdat`.
    pub head: Bytes,
    /// The payloads in file order: audio, then video.
    pub payload: Vec<Bytes>,
    /// Length of `head` and `payload` together, in bytes.
    pub size_bytes: u32,
    /// The video samples.
    pub video: TrackRun,
    /// The audio samples.
    pub audio: TrackRun,
}

/// One fragment in a segment's index.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FragmentIndexEntry {
    /// Bytes of `moof` and `mdat` together.
    pub size_bytes: u32,
    /// Length in ticks of 1/90 000 s.
    pub duration_90k: u32,
    /// Whether playback may begin here.
    pub is_key: bool,
}

/// Where the fragments of a segment lie: enough for a playlist without reading the object.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SegmentIndex {
    /// Offset of the first fragment from the start of the file, in bytes.
    pub first_fragment_offset: u32,
    /// For how long after the start of a key fragment pictures may not be whole for who starts there, in ticks of 1/90 000 s:
    /// 0 where all groups of pictures are closed, the pictures that lead a keyframe in open ones, a whole round with gradual
    /// refresh. Playback that is to show an instant starts that much earlier.
    pub recovery_90k: u32,
    /// The fragments in file order, without holes between them.
    pub fragments: Vec<FragmentIndexEntry>,
}
