//! Repair of a segment file that was torn: by a crash, a power cut, a full disk.
//!
//! [`TailScanner`] walks over the fragments without reading their payload, and looks at the payload of the last few only:
//! after a power cut a file may have its length, but not yet its bytes. What it returns is what stands.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;

use super::boxes::{BoxHead, Boxes, Cursor, find};
use super::entry::OwnedEntry;
use super::fragment::{
    FLAGS_NON_SYNC, TFHD_BASE_DATA_OFFSET, TFHD_DURATION, TFHD_FLAGS, TFHD_SAMPLE_DESCRIPTION, TFHD_SIZE,
    TRUN_DATA_OFFSET, TRUN_DURATION, TRUN_FIRST_FLAGS, TRUN_FLAGS, TRUN_OFFSET, TRUN_SIZE, duration_90k,
};
use super::init::{FREE_BYTES, FREE_OFFSET};
use super::seal::SampleTable;
use super::{AUDIO_TRACK_ID, VIDEO_TRACK_ID, parsed};
use crate::codec::is_whole;
use crate::{Fragment, SampleMeta, SessionConfig, TICKS_PER_SECOND_VIDEO, TrackKind, TrackRun};

/// The longest file header that is read, in bytes; real ones have about 1300.
pub const MAX_HEADER_BYTES: u64 = 256 * 1024;
/// The longest fragment that is believed, in bytes.
pub const MAX_FRAGMENT_BYTES: u64 = 256 * 1024 * 1024;
/// The longest `moof` that is read, in bytes.
pub(super) const MAX_MOOF_BYTES: u64 = 4 * 1024 * 1024;
/// How many fragments at the end are read to see whether their bytes arrived: more than a second of them, which is what
/// one sync covers.
const CHECKED_FRAGMENTS: usize = 16;
/// First attempt at a header or a `moof`, in bytes.
const FIRST_READ_BYTES: u64 = 4096;
/// Payload bytes that are read at a time while checking.
const CHECK_READ_BYTES: u64 = 32 * 1024 * 1024;

/// Why nothing of a torn file can be used.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ScanError {
    /// Not even its header is whole.
    #[error("the file has no whole header of a segment")]
    NoHeader,
}

/// Bytes that [`TailScanner`] wants to see next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Want {
    /// Offset from the start of the file.
    pub offset: u64,
    /// How many; they all lie within the length that the scanner was told.
    pub len: u64,
}

/// What stands of a torn file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Scan {
    /// Its samples and fragments; may be empty.
    pub table: SampleTable,
    /// Everything from here on is torn and can be cut off. At least the length of the file header.
    pub valid_len: u64,
    /// Whether `free` has already become the head of the `mdat`: the final `moov` is at `valid_len`, and the file is whole.
    pub is_sealed: bool,
}

/// Rebuilds the table of a segment from its bytes: sans-IO, in order, in bounded memory.
///
/// While [`TailScanner::wanted`] asks for bytes, hand them to [`TailScanner::supply`]; fewer than asked for mean that the
/// file ends there. Then take [`TailScanner::finish`].
#[derive(Debug)]
pub struct TailScanner {
    file_len: u64,
    state: State,
    table: Option<SampleTable>,
    is_sealed: bool,
    /// Where the fragments end at the latest.
    limit: u64,
    /// Offset of the next fragment to read.
    position: u64,
    /// Fragments that are whole by their length, but not yet in the table.
    unchecked: VecDeque<Fragment>,
    /// The fragment at the front of `unchecked`: how many of its samples were checked, and where the next one starts.
    checked_samples: usize,
    checked_position: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Header(u64),
    Fragment(u64),
    Check,
    Done,
}

impl TailScanner {
    /// A scanner for a file of `file_len` bytes.
    #[must_use]
    pub fn new(file_len: u64) -> Self {
        Self {
            file_len,
            state: State::Header(FIRST_READ_BYTES),
            table: None,
            is_sealed: false,
            limit: file_len,
            position: 0,
            unchecked: VecDeque::new(),
            checked_samples: 0,
            checked_position: 0,
        }
    }

    /// Runs the whole scan over something that reads at an offset; fewer bytes than asked for mean the end.
    ///
    /// # Errors
    ///
    /// What `read_at` returns.
    pub fn run<E>(
        file_len: u64,
        mut read_at: impl FnMut(Want) -> Result<Vec<u8>, E>,
    ) -> Result<Result<Scan, ScanError>, E> {
        let mut scanner = Self::new(file_len);
        while let Some(want) = scanner.wanted() {
            scanner.supply(&read_at(want)?);
        }
        Ok(scanner.finish())
    }

    /// The next bytes to read; `None` when the scan is over.
    #[must_use]
    pub fn wanted(&self) -> Option<Want> {
        let (offset, len) = match self.state {
            State::Header(len) => (0, len),
            State::Fragment(len) => (self.position, len),
            State::Check => (self.checked_position, self.check_len()?),
            State::Done => return None,
        };
        let len = len.min(self.file_len.saturating_sub(offset));
        (len > 0).then_some(Want { offset, len })
    }

    /// Hands over the bytes that were wanted, or those that there are.
    pub fn supply(&mut self, bytes: &[u8]) {
        let wanted = self.wanted().map_or(0, |want| want.len);
        let is_end = (bytes.len() as u64) < wanted;
        match self.state {
            State::Header(asked) => {
                let next = self.read_header(bytes);
                self.state = match next {
                    Some(len) if len > asked && !is_end && len <= MAX_HEADER_BYTES => State::Header(len),
                    Some(_) => State::Done,
                    None => State::Fragment(FIRST_READ_BYTES),
                };
            }
            State::Fragment(asked) => {
                self.state = match self.read_fragment(bytes) {
                    Step::Next => State::Fragment(FIRST_READ_BYTES),
                    Step::More(len) if len > asked && !is_end => State::Fragment(len),
                    Step::More(_) | Step::End => self.start_check(),
                };
            }
            State::Check => self.check(bytes, is_end),
            State::Done => {}
        }
        if self.state != State::Done && self.wanted().is_none() {
            match self.state {
                State::Fragment(_) => self.state = self.start_check(),
                _ => self.state = State::Done,
            }
            if self.state == State::Check && self.wanted().is_none() {
                self.state = State::Done;
            }
        }
    }

    /// What stands of the file.
    ///
    /// # Errors
    ///
    /// If not even the header of the file does.
    pub fn finish(self) -> Result<Scan, ScanError> {
        let table = self.table.ok_or(ScanError::NoHeader)?;
        let valid_len = table.end_offset();
        Ok(Scan { is_sealed: self.is_sealed && valid_len == self.limit, valid_len, table })
    }

    /// Reads `ftyp free moov`; returns how many bytes it needs when these are not enough.
    fn read_header(&mut self, bytes: &[u8]) -> Option<u64> {
        /// No number of bytes will do.
        const NEVER: u64 = u64::MAX;
        let moov_offset = FREE_OFFSET as usize + FREE_BYTES;
        let Some(moov) = bytes.get(moov_offset..).and_then(BoxHead::read) else { return Some(NEVER) };
        let ftyp_is_ours =
            BoxHead::read(bytes).is_some_and(|ftyp| &ftyp.kind == b"ftyp" && ftyp.size == Some(FREE_OFFSET));
        let free = BoxHead::read(&bytes[FREE_OFFSET as usize..]);
        match free {
            Some(free) if &free.kind == b"free" && free.size == Some(FREE_BYTES as u64) => {}
            Some(BoxHead { kind: [b'm', b'd', b'a', b't'], head_bytes: 16, size: Some(size) }) => {
                self.is_sealed = true;
                self.limit = size.saturating_add(FREE_OFFSET).min(self.file_len);
            }
            _ => return Some(NEVER),
        }
        let (true, b"moov", Some(size)) = (ftyp_is_ours, &moov.kind, moov.size) else { return Some(NEVER) };
        let end = (moov_offset as u64).saturating_add(size);
        let Some(whole) = usize::try_from(end).ok().and_then(|end| bytes.get(moov_offset..end)) else {
            return Some(end);
        };
        let Some(config) = read_config(whole) else { return Some(NEVER) };
        self.position = end;
        let first_fragment_offset = u32::try_from(end).unwrap_or(u32::MAX);
        self.table = Some(SampleTable::new(Arc::new(config), first_fragment_offset));
        None
    }

    fn read_fragment(&mut self, bytes: &[u8]) -> Step {
        let Some(moof) = BoxHead::read(bytes) else { return Step::End };
        let Some(moof_size) = moof.size.filter(|size| &moof.kind == b"moof" && *size <= MAX_MOOF_BYTES)
        else {
            return Step::End;
        };
        let head_len = moof_size + 8;
        let Some(head) = bytes.get(..head_len as usize) else { return Step::More(head_len) };
        let (moof_bytes, mdat) = head.split_at(moof_size as usize);
        let Some(mdat) = BoxHead::read(mdat).filter(|mdat| &mdat.kind == b"mdat") else { return Step::End };
        let Some(size) = mdat.size.map(|size| size + moof_size).filter(|size| *size <= MAX_FRAGMENT_BYTES)
        else {
            return Step::End;
        };
        let Some(table) = &mut self.table else { return Step::End };
        let Some(fragment) = read_moof(moof_bytes, head, size, &table.config) else { return Step::End };
        if self.position + size > self.limit {
            return Step::End;
        }
        self.position += size;
        self.unchecked.push_back(fragment);
        if self.unchecked.len() > CHECKED_FRAGMENTS
            && let Some(first) = self.unchecked.pop_front()
        {
            table.push_runs(&first);
        }
        Step::Next
    }

    fn start_check(&mut self) -> State {
        self.checked_samples = 0;
        match (&self.table, self.unchecked.front()) {
            (Some(table), Some(first)) => {
                self.checked_position = table.end_offset() + first_payload(first);
                State::Check
            }
            _ => State::Done,
        }
    }

    /// As many whole samples of the fragment as fit in one read, or one sample, however long.
    fn check_len(&self) -> Option<u64> {
        let fragment = self.unchecked.front()?;
        let mut len = 0;
        for sample in samples(fragment).skip(self.checked_samples) {
            if len > 0 && len + u64::from(sample.1.size) > CHECK_READ_BYTES {
                break;
            }
            len += u64::from(sample.1.size);
        }
        Some(len)
    }

    /// Looks whether the bytes are those of the samples, not what a file system leaves where none arrived.
    fn check(&mut self, bytes: &[u8], is_end: bool) {
        let (Some(table), Some(fragment)) = (&mut self.table, self.unchecked.front()) else {
            self.state = State::Done;
            return;
        };
        let length_size = table.config.video.as_ref().map_or(4, crate::VideoConfig::nal_length_size);
        let mut rest = bytes;
        let mut checked = 0;
        for (track, sample) in samples(fragment).skip(self.checked_samples) {
            let Some((data, after)) = rest.split_at_checked(sample.size as usize) else { break };
            if self.checked_samples + checked == fragment.audio.samples.len() {
                table.note_entry(fragment, data);
            }
            if !is_sound(track, data, length_size) {
                self.state = State::Done;
                return;
            }
            checked += 1;
            rest = after;
        }
        if is_end || checked == 0 {
            self.state = State::Done;
            return;
        }
        self.checked_samples += checked;
        self.checked_position += (bytes.len() - rest.len()) as u64;
        if self.checked_samples == samples(fragment).count() {
            if let Some(fragment) = self.unchecked.pop_front() {
                table.push_runs(&fragment);
            }
            self.state = self.start_check();
        }
    }
}

enum Step {
    Next,
    More(u64),
    End,
}

/// Where the payload of a fragment starts, from its own start on.
fn first_payload(fragment: &Fragment) -> u64 {
    u64::from(if fragment.audio.samples.is_empty() {
        fragment.video.data_offset
    } else {
        fragment.audio.data_offset
    })
}

/// The samples in file order.
pub(super) fn samples(fragment: &Fragment) -> impl Iterator<Item = (TrackKind, &SampleMeta)> {
    let audio = fragment.audio.samples.iter().map(|sample| (TrackKind::Audio, sample));
    audio.chain(fragment.video.samples.iter().map(|sample| (TrackKind::Video, sample)))
}

/// The configuration in the `moov` of a file header.
pub(super) fn read_config(moov: &[u8]) -> Option<SessionConfig> {
    let mut config = SessionConfig::default();
    for track in parsed::tracks(find(moov, b"moov")?).ok()? {
        match (track.id, track.entries().ok()?.into_iter().next()?) {
            (VIDEO_TRACK_ID, OwnedEntry::Video(video)) if track.timescale == TICKS_PER_SECOND_VIDEO => {
                config.video = Some(video);
            }
            (AUDIO_TRACK_ID, OwnedEntry::Audio(audio)) if track.timescale == audio.sample_rate => {
                config.audio = Some(audio);
            }
            _ => return None,
        }
    }
    (config.video.is_some() || config.audio.is_some()).then_some(config)
}

/// A whole fragment, from its first byte to its last; `None` if it is not one of ours.
pub(super) fn read_fragment(bytes: &[u8], config: &SessionConfig) -> Option<Fragment> {
    let moof = BoxHead::read(bytes).filter(|moof| &moof.kind == b"moof")?;
    let moof_size = usize::try_from(moof.size.filter(|size| *size <= MAX_MOOF_BYTES)?).ok()?;
    let head = bytes.get(..moof_size.checked_add(8)?)?;
    let mdat = BoxHead::read(head.get(moof_size..)?).filter(|mdat| &mdat.kind == b"mdat")?;
    let size = mdat.size?.checked_add(moof_size as u64).filter(|size| *size == bytes.len() as u64)?;
    read_moof(&head[..moof_size], head, size, config)
}

/// The sample of a fragment whose bytes are not those of one, by its number within the fragment.
pub(super) fn damaged_sample(bytes: &[u8], fragment: &Fragment, config: &SessionConfig) -> Option<usize> {
    let length_size = config.video.as_ref().map_or(4, crate::VideoConfig::nal_length_size);
    let mut rest = usize::try_from(first_payload(fragment)).ok().and_then(|start| bytes.get(start..));
    samples(fragment).position(|(track, sample)| {
        let split = rest.and_then(|rest| rest.split_at_checked(sample.size as usize));
        let Some((data, after)) = split else { return true };
        rest = Some(after);
        !is_sound(track, data, length_size)
    })
}

/// Whether bytes can be those of a sample, not what a file system leaves where none arrived.
fn is_sound(track: TrackKind, data: &[u8], length_size: u8) -> bool {
    match track {
        TrackKind::Video => is_whole(data, length_size),
        TrackKind::Audio => data.iter().any(|byte| *byte != 0),
    }
}

/// Reads a `moof` as [`super::fragment::write_fragment`] writes them. `size` is that of the whole fragment.
fn read_moof(moof: &[u8], head: &[u8], size: u64, config: &SessionConfig) -> Option<Fragment> {
    let (mut video, mut audio) = (TrackRun::default(), TrackRun::default());
    for (_, traf) in Boxes(find(moof, b"moof")?).filter(|(kind, _)| kind == b"traf") {
        let (id, run) = read_traf(traf)?;
        match id {
            VIDEO_TRACK_ID if config.video.is_some() && video.samples.is_empty() => video = run,
            AUDIO_TRACK_ID if config.audio.is_some() && audio.samples.is_empty() => audio = run,
            _ => return None,
        }
    }
    // Sound first, picture last, nothing else, nothing between.
    let bytes = |run: &TrackRun| run.samples.iter().map(|sample| u64::from(sample.size)).sum::<u64>();
    let audio_end = head.len() as u64 + bytes(&audio);
    let is_in_place = |run: &TrackRun, at: u64| run.samples.is_empty() || u64::from(run.data_offset) == at;
    if !is_in_place(&audio, head.len() as u64)
        || !is_in_place(&video, audio_end)
        || audio_end + bytes(&video) != size
        || (audio.samples.is_empty() && video.samples.is_empty())
    {
        return None;
    }
    let lead = config.lead();
    let run = if lead == TrackKind::Video { &video } else { &audio };
    Some(Fragment {
        start_us: 0,
        duration_90k: duration_90k(run, config.timescale(lead)),
        is_key: run.samples.first().is_some_and(|sample| sample.is_sync),
        head: Bytes::new(),
        payload: Vec::new(),
        size_bytes: u32::try_from(size).ok()?,
        video,
        audio,
    })
}

fn read_traf(traf: &[u8]) -> Option<(u32, TrackRun)> {
    let mut tfhd = Cursor::new(find(traf, b"tfhd")?);
    let (_, flags) = tfhd.version()?;
    let id = tfhd.u32()?;
    if flags & TFHD_BASE_DATA_OFFSET != 0 {
        return None;
    }
    let mut field = |flag: u32| if flags & flag == 0 { Some(None) } else { tfhd.u32().map(Some) };
    field(TFHD_SAMPLE_DESCRIPTION)?;
    let default_duration = field(TFHD_DURATION)?;
    let default_size = field(TFHD_SIZE)?;
    let default_flags = field(TFHD_FLAGS)?;

    let mut tfdt = Cursor::new(find(traf, b"tfdt")?);
    let (version, _) = tfdt.version()?;
    let base = if version == 1 { tfdt.i64()? } else { i64::from(tfdt.u32()?) };
    // Far from where sums could overflow: a thousand years of the finest timescale.
    if !(0..i64::MAX >> 8).contains(&base) {
        return None;
    }

    let mut runs = Boxes(traf).filter(|(kind, _)| kind == b"trun");
    let mut trun = Cursor::new(runs.next()?.1);
    if runs.next().is_some() {
        return None;
    }
    let (_, flags) = trun.version()?;
    let count = trun.u32()? as usize;
    let data_offset = if flags & TRUN_DATA_OFFSET == 0 { None } else { trun.u32() };
    let first_flags = if flags & TRUN_FIRST_FLAGS == 0 { None } else { Some(trun.u32()?) };
    let fields = [TRUN_DURATION, TRUN_SIZE, TRUN_FLAGS, TRUN_OFFSET];
    let width = 4 * fields.iter().filter(|field| flags & **field != 0).count();
    if width == 0 || trun.rest.len() != count.checked_mul(width)? {
        return None;
    }
    let mut samples = Vec::with_capacity(count);
    for position in 0..count {
        let mut field =
            |flag: u32, default: Option<u32>| if flags & flag == 0 { default } else { trun.u32() };
        let duration = field(TRUN_DURATION, default_duration)?;
        let size = field(TRUN_SIZE, default_size)?;
        let own_flags = field(TRUN_FLAGS, first_flags.filter(|_| position == 0).or(default_flags))?;
        let composition_offset = field(TRUN_OFFSET, Some(0))? as i32;
        let is_sync = own_flags & (FLAGS_NON_SYNC & 0x1_0000) == 0;
        samples.push(SampleMeta { size, duration, composition_offset, is_sync });
    }
    Some((id, TrackRun { base_decode_time: base, data_offset: data_offset?, samples }))
}
