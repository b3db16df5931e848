//! MP4 files of users, for publishing them: which sample stands where and when it is shown.
//!
//! In: the `moov` of a plain MP4. Out: the samples of its first video and first audio track, in the order in which they are
//! sent. Not here: reading the file, and files in fragments.

use bytes::Bytes;

use super::boxes::{BoxError, BoxHead, find};
use super::entry::{EntryError, OwnedEntry};
use super::movie::rescale;
use super::parsed::{self, ParsedTrack};
use super::tables::TrackTable;
use crate::codec::CodecError;
use crate::{AudioConfig, TrackKind, VideoConfig};

/// The longest `moov` that is worth reading, in bytes.
pub const MAX_MOOV_BYTES: u64 = 256 * 1024 * 1024;
/// How many bytes at the start of a box [`locate_moov`] asks for.
pub const BOX_HEAD_BYTES: usize = 16;
/// The most boxes that [`locate_moov`] steps over.
const MAX_TOP_LEVEL_BOXES: usize = 100_000;

/// Why a user's file cannot be used.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DemuxError {
    /// There is no `moov`: it is no MP4, or it was never finished.
    #[error("no moov box found: not an MP4 file, or its recording was interrupted")]
    NoMovie,
    /// The `moov` is longer than [`MAX_MOOV_BYTES`].
    #[error("the moov box is too long")]
    MovieTooLong,
    /// The samples are in fragments.
    #[error("the file is a fragmented MP4; turn it into a plain one first: ffmpeg -i IN.mp4 -c copy OUT.mp4")]
    Fragmented,
    /// No track can be used.
    #[error("the file has no H.264, H.265 or AAC track")]
    NoTrack,
    /// A track changes its configuration.
    #[error("the {0:?} track has several sample descriptions")]
    SeveralDescriptions(TrackKind),
    /// A box is missing or damaged.
    #[error(transparent)]
    Box(#[from] BoxError),
    /// A codec configuration is damaged, or its codec cannot be carried.
    #[error(transparent)]
    Codec(#[from] CodecError),
}

impl From<EntryError> for DemuxError {
    fn from(error: EntryError) -> Self {
        match error {
            EntryError::Box(error) => Self::Box(error),
            EntryError::Codec(error) => Self::Codec(error),
        }
    }
}

/// A sample of a user's file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DemuxSample {
    /// Which track.
    pub track: TrackKind,
    /// Decode time in ticks of the track, such that presentation starts at 0; negative where a picture has to be decoded
    /// before that, or is hidden.
    pub decode_time: i64,
    /// Presentation minus decode time, in ticks.
    pub composition_offset: i32,
    /// Offset of its first byte in the file.
    pub offset: u64,
    /// Its length in bytes.
    pub size: u32,
    /// Whether decoding can start here.
    pub is_sync: bool,
}

/// A user's file: configuration, and samples ordered by decode time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mp4File {
    /// Its first H.264 or H.265 track.
    pub video: Option<VideoConfig>,
    /// Its first AAC track.
    pub audio: Option<AudioConfig>,
    /// Ticks per second of the video track.
    pub video_timescale: u32,
    /// Ticks per second of the audio track.
    pub audio_timescale: u32,
    /// All samples in the order of their decode times.
    pub samples: Vec<DemuxSample>,
    /// Length of the longer track in microseconds, from presentation time 0.
    pub duration_us: i64,
}

impl Mp4File {
    /// Reads a `moov` box, from its first byte on.
    ///
    /// Of several tracks of a kind, the first that can be used is taken; others are ignored.
    ///
    /// # Errors
    ///
    /// If the file is in fragments, the box is damaged, or no track can be used.
    pub fn from_moov(bytes: &[u8]) -> Result<Self, DemuxError> {
        let moov = find(bytes, b"moov").ok_or(DemuxError::NoMovie)?;
        if find(moov, b"mvex").is_some() {
            return Err(DemuxError::Fragmented);
        }
        let movie_timescale = parsed::movie_timescale(moov)?;
        let tracks = parsed::tracks(moov)?;
        let video = first_usable(&tracks, TrackKind::Video);
        let audio = first_usable(&tracks, TrackKind::Audio);
        if let (None | Some(Err(_)), None | Some(Err(_))) = (&video, &audio) {
            return Err([video, audio]
                .into_iter()
                .flatten()
                .find_map(Result::err)
                .unwrap_or(DemuxError::NoTrack));
        }
        let mut file = Self {
            video: None,
            audio: None,
            video_timescale: 1,
            audio_timescale: 1,
            samples: Vec::new(),
            duration_us: 0,
        };
        for (track, entry) in [video, audio].into_iter().flatten().filter_map(Result::ok) {
            match entry {
                OwnedEntry::Video(config) => {
                    file.video = Some(config);
                    file.video_timescale = track.timescale;
                }
                OwnedEntry::Audio(config) => {
                    file.audio = Some(config);
                    file.audio_timescale = track.timescale;
                }
            }
            let table = track.table()?;
            let start = presentation_start(track, movie_timescale);
            let end_us = rescale(table.end.saturating_add(start), track.timescale, 1_000_000);
            file.duration_us = file.duration_us.max(end_us);
            file.add_samples(track.kind, &table, start);
        }
        let scales = (file.video_timescale, file.audio_timescale);
        // Stable: samples of a track stay in their order.
        file.samples.sort_by_key(|sample| decode_us(sample, scales));
        Ok(file)
    }

    /// Ticks per second of a track.
    #[must_use]
    pub fn timescale(&self, track: TrackKind) -> u32 {
        match track {
            TrackKind::Video => self.video_timescale,
            TrackKind::Audio => self.audio_timescale,
        }
    }

    /// Decode time of a sample in microseconds.
    #[must_use]
    pub fn decode_time_us(&self, sample: &DemuxSample) -> i64 {
        decode_us(sample, (self.video_timescale, self.audio_timescale))
    }

    /// Presentation time of a sample in microseconds.
    #[must_use]
    pub fn presentation_time_us(&self, sample: &DemuxSample) -> i64 {
        let time = sample.decode_time.saturating_add(i64::from(sample.composition_offset));
        rescale(time, self.timescale(sample.track), 1_000_000)
    }

    fn add_samples(&mut self, track: TrackKind, table: &TrackTable, start: i64) {
        self.samples.reserve(table.len());
        let mut durations =
            table.durations.iter().flat_map(|run| std::iter::repeat_n(run.duration, run.count as usize));
        let mut decode_time = start;
        let mut sync = table.sync.iter().peekable();
        for chunk in 0..table.chunks.len() {
            let mut offset = table.chunks[chunk].offset;
            for sample in table.chunk_samples(chunk) {
                let size = table.sizes[sample];
                let is_sync = table.is_all_sync || sync.next_if(|next| **next as usize == sample).is_some();
                self.samples.push(DemuxSample {
                    track,
                    decode_time,
                    composition_offset: table.offset(sample),
                    offset,
                    size,
                    is_sync,
                });
                offset += u64::from(size);
                decode_time = decode_time.saturating_add(i64::from(durations.next().unwrap_or(0)));
            }
        }
    }
}

fn decode_us(sample: &DemuxSample, (video, audio): (u32, u32)) -> i64 {
    let timescale = if sample.track == TrackKind::Video { video } else { audio };
    rescale(sample.decode_time, timescale, 1_000_000)
}

type Usable<'a, 'b> = Result<(&'b ParsedTrack<'a>, OwnedEntry), DemuxError>;

/// The first track of a kind that can be used, or why the first one cannot.
fn first_usable<'a, 'b>(tracks: &'b [ParsedTrack<'a>], kind: TrackKind) -> Option<Usable<'a, 'b>> {
    let mut refusal = None;
    for track in tracks.iter().filter(|track| track.kind == kind) {
        match track.entries() {
            Ok(mut entries) if entries.len() == 1 => {
                if let Some(entry) = entries.pop() {
                    return Some(Ok((track, entry)));
                }
            }
            Ok(_) => refusal = refusal.or(Some(DemuxError::SeveralDescriptions(kind))),
            Err(error) => refusal = refusal.or(Some(error.into())),
        }
    }
    refusal.map(Err)
}

/// Where media time 0 of a track is presented, in ticks of the track: an empty edit delays it, the first other edit says
/// what of the media is presented first.
fn presentation_start(track: &ParsedTrack<'_>, movie_timescale: u32) -> i64 {
    let mut delay = 0_i64;
    for (duration, media_time) in &track.edits {
        if *media_time >= 0 {
            return rescale(delay, movie_timescale, track.timescale)
                .saturating_sub(*media_time)
                .clamp(-MAX_START, MAX_START);
        }
        delay = delay.saturating_add(i64::try_from(*duration).unwrap_or(i64::MAX));
    }
    rescale(delay, movie_timescale, track.timescale).clamp(-MAX_START, MAX_START)
}

/// Starts further away than this are nonsense, and would overflow.
const MAX_START: i64 = i64::MAX >> 8;

/// Looks for the `moov` of a file of `file_len` bytes and reads it.
///
/// `read` gets an offset and a length and returns as many bytes, or fewer at the end of the file. Only heads of boxes and
/// the `moov` itself are read.
///
/// # Errors
///
/// The outer error is that of `read`; the inner one says what is wrong with the file.
pub fn locate_moov<E>(
    file_len: u64,
    mut read: impl FnMut(u64, usize) -> Result<Bytes, E>,
) -> Result<Result<Bytes, DemuxError>, E> {
    let mut offset = 0_u64;
    for _ in 0..MAX_TOP_LEVEL_BOXES {
        if offset >= file_len {
            break;
        }
        let head = read(offset, BOX_HEAD_BYTES)?;
        let Some(head) = BoxHead::read(&head) else { break };
        let size = head.size.unwrap_or(file_len - offset);
        if &head.kind == b"moov" {
            let Some(len) = usize::try_from(size).ok().filter(|_| size <= MAX_MOOV_BYTES) else {
                return Ok(Err(DemuxError::MovieTooLong));
            };
            return Ok(Ok(read(offset, len)?));
        }
        if &head.kind == b"moof" {
            return Ok(Err(DemuxError::Fragmented));
        }
        offset = match offset.checked_add(size) {
            Some(next) => next,
            None => break,
        };
    }
    Ok(Err(DemuxError::NoMovie))
}
