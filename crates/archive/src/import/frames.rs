//! The frames of an FLV or MP4 file, one after the other, as a publisher would send them.

use std::{collections::VecDeque, sync::Arc};

use bytes::Bytes;
use media::{
    TrackKind,
    flv::{AudioTag, FlvReader, FlvTagKind, VideoTag},
    framing::{Framed, Framer},
    mp4::demux::{DemuxSample, Mp4File, locate_moov},
};
use world::{DiskFile, read_exact_at};

use super::error::ImportError;
use crate::limits::{MAX_IMPORT_FRAME_BYTES, READ_BYTES};

/// One message of a publisher.
pub(super) struct Frame {
    /// Microseconds since the file's first frame.
    pub(super) at_us: i64,
    pub(super) tag: Tag,
}

pub(super) enum Tag {
    Video(VideoTag),
    Audio(AudioTag),
    /// What belongs to the last picture.
    MoreOfPicture(Bytes),
}

impl Tag {
    /// Whether it is a frame, and not what says how frames are to be understood.
    pub(super) fn is_frame(&self) -> bool {
        matches!(self, Self::Video(VideoTag::Frame { .. }) | Self::Audio(AudioTag::Frame { .. }))
    }
}

/// What a look at all of a file has told.
pub(super) struct Measured {
    pub(super) length_us: i64,
    pub(super) has_video: bool,
}

/// Length of a frame where a file has but one.
const FALLBACK_FRAME_US: i64 = 40_000;

/// The end of each track, as far as it is known.
#[derive(Default)]
struct Ends {
    video: Option<End>,
    audio: Option<End>,
}

#[derive(Clone, Copy)]
struct End {
    last_us: i64,
    /// Distance of the last two frames.
    step_us: Option<i64>,
}

impl Ends {
    fn note(&mut self, track: TrackKind, at_us: i64) {
        let end = match track {
            TrackKind::Video => &mut self.video,
            TrackKind::Audio => &mut self.audio,
        };
        *end = match *end {
            Some(end) if at_us <= end.last_us => return,
            Some(end) => Some(End { last_us: at_us, step_us: Some(at_us - end.last_us) }),
            None => Some(End { last_us: at_us, step_us: None }),
        };
    }

    fn is_empty(&self) -> bool {
        self.video.is_none() && self.audio.is_none()
    }
}

/// Looks at a file from its beginning to its end.
pub(super) fn measure(file: &Arc<dyn DiskFile>) -> Result<Measured, ImportError> {
    let mut ends = Ends::default();
    let mut frames = Frames::open(file)?;
    if let Frames::Mp4(frames) = &frames {
        // Its table tells, without a frame being read.
        frames.mp4.samples.iter().for_each(|sample| ends.note(sample.track, frames.at_us(sample)));
    } else {
        loop {
            match frames.next() {
                Ok(Some(frame)) if frame.tag.is_frame() => ends.note(frame.tag.track(), frame.at_us),
                Ok(Some(_)) => {}
                Ok(None) => break,
                // Up to there it is good: the recording says so again.
                Err(_) if !ends.is_empty() => break,
                Err(error) => return Err(error),
            }
        }
    }
    let end = ends.video.or(ends.audio).ok_or(ImportError::Empty)?;
    let length_us = end.last_us + end.step_us.unwrap_or(FALLBACK_FRAME_US);
    Ok(Measured { length_us, has_video: ends.video.is_some() })
}

/// A file being read.
pub(super) enum Frames {
    Flv(Box<FlvFrames>),
    Mp4(Box<Mp4Frames>),
}

pub(super) struct FlvFrames {
    file: Arc<dyn DiskFile>,
    offset: u64,
    reader: FlvReader,
    buffer: Vec<u8>,
    framer: Framer,
    /// What the framer gave for the last tag, and what of it is still to be told.
    read: Vec<Framed>,
    framed: VecDeque<Framed>,
    /// Of the first frame.
    first_ms: Option<u32>,
    /// Of the last one.
    last_ms: u32,
}

pub(super) struct Mp4Frames {
    file: Arc<dyn DiskFile>,
    pub(super) mp4: Mp4File,
    first_us: i64,
    setup: Vec<Tag>,
    next: usize,
}

impl Frames {
    pub(super) fn open(file: &Arc<dyn DiskFile>) -> Result<Self, ImportError> {
        let mut magic = [0; 3];
        let is_flv = read_exact_at(file.as_ref(), &mut magic, 0).is_ok() && &magic == b"FLV";
        let file = Arc::clone(file);
        if is_flv {
            let reader = FlvReader::new();
            let buffer = vec![0; READ_BYTES];
            return Ok(Self::Flv(Box::new(FlvFrames {
                file,
                offset: 0,
                reader,
                buffer,
                framer: Framer::new(),
                read: Vec::new(),
                framed: VecDeque::new(),
                first_ms: None,
                last_ms: 0,
            })));
        }
        let length = file.len()?;
        let moov = locate_moov(length, |offset, wanted| {
            let wanted = usize::try_from(length.saturating_sub(offset)).unwrap_or(usize::MAX).min(wanted);
            let mut buffer = vec![0; wanted];
            read_exact_at(file.as_ref(), &mut buffer, offset).map(|()| Bytes::from(buffer))
        })??;
        let mp4 = Mp4File::from_moov(&moov)?;
        let mut setup = Vec::new();
        if let Some(audio) = &mp4.audio {
            setup.push(Tag::Audio(AudioTag::SequenceHeader { record: audio.record.clone() }));
        }
        // Popped from the end: video first.
        if let Some(video) = &mp4.video {
            let (codec, record) = (video.codec, video.record.clone());
            setup.push(Tag::Video(VideoTag::SequenceHeader { codec, record }));
        }
        let first_us = mp4.samples.first().map_or(0, |sample| mp4.decode_time_us(sample));
        Ok(Self::Mp4(Box::new(Mp4Frames { file, mp4, first_us, setup, next: 0 })))
    }

    /// The next frame, in decode order.
    pub(super) fn next(&mut self) -> Result<Option<Frame>, ImportError> {
        match self {
            Self::Flv(frames) => frames.next(),
            Self::Mp4(frames) => frames.next(),
        }
    }
}

impl FlvFrames {
    fn next(&mut self) -> Result<Option<Frame>, ImportError> {
        loop {
            if let Some(framed) = self.framed.pop_front() {
                return Ok(Some(self.frame(framed)));
            }
            let Some(tag) = self.reader.next_tag()? else {
                let count = self.file.read_at(&mut self.buffer, self.offset)?;
                if count == 0 {
                    // A torn last tag is none.
                    return Ok(None);
                }
                self.offset += count as u64;
                self.reader.push(self.buffer.get(..count).unwrap_or_default());
                continue;
            };
            let at_ms = tag.timestamp_ms;
            match tag.kind {
                FlvTagKind::Video => {
                    // The file's own time: how long nothing has been readable.
                    self.framer.video(at_ms, tag.body, i64::from(at_ms) * 1000, &mut self.read)?;
                }
                FlvTagKind::Audio => {
                    self.framer.audio(at_ms, tag.body, &mut self.read);
                }
                FlvTagKind::Script | FlvTagKind::Other(_) => continue,
            }
            self.framed.extend(self.read.drain(..));
        }
    }

    fn frame(&mut self, framed: Framed) -> Frame {
        let (timestamp_ms, tag) = match framed {
            Framed::Video { timestamp_ms, tag } => (timestamp_ms, Tag::Video(tag)),
            Framed::Audio { timestamp_ms, tag } => (timestamp_ms, Tag::Audio(tag)),
            Framed::MoreOfPicture { data } => (self.last_ms, Tag::MoreOfPicture(data)),
        };
        self.last_ms = timestamp_ms;
        let first_ms = match self.first_ms {
            Some(first_ms) => first_ms,
            None if tag.is_frame() => *self.first_ms.insert(timestamp_ms),
            None => timestamp_ms,
        };
        // A frame that is stamped before the first one counts as with it.
        let at_ms = i64::from(timestamp_ms) - i64::from(first_ms);
        Frame { at_us: at_ms.max(0) * 1000, tag }
    }
}

impl Mp4Frames {
    pub(super) fn at_us(&self, sample: &DemuxSample) -> i64 {
        (self.mp4.decode_time_us(sample) - self.first_us).max(0)
    }

    fn next(&mut self) -> Result<Option<Frame>, ImportError> {
        if let Some(tag) = self.setup.pop() {
            return Ok(Some(Frame { at_us: 0, tag }));
        }
        let Some(sample) = self.mp4.samples.get(self.next) else { return Ok(None) };
        self.next += 1;
        if sample.size > MAX_IMPORT_FRAME_BYTES {
            return Err(std::io::Error::from(std::io::ErrorKind::FileTooLarge).into());
        }
        let mut data = vec![0; sample.size as usize];
        read_exact_at(self.file.as_ref(), &mut data, sample.offset)?;
        let data = Bytes::from(data);
        let tag = match sample.track {
            TrackKind::Video => {
                let composition_us = self.mp4.presentation_time_us(sample) - self.mp4.decode_time_us(sample);
                let composition_time_ms = i32::try_from((composition_us + 500).div_euclid(1000)).unwrap_or(0);
                Tag::Video(VideoTag::Frame { is_key: sample.is_sync, composition_time_ms, data })
            }
            TrackKind::Audio => Tag::Audio(AudioTag::Frame { data }),
        };
        Ok(Some(Frame { at_us: self.at_us(sample), tag }))
    }
}
