//! One tag, one frame: what publishers send becomes whole pictures and plain AAC with a configuration that fits them.
//!
//! In: the bodies of audio and video messages with their stamps. Out: tags for the timeline, where each frame is one picture whose
//! NAL units stand behind their lengths, or one frame of AAC; what the stream is beside that ([`Notice`], [`FramerStats`]); and
//! what a message means to players that are passed the publisher's own bytes ([`TagRole`]). Not in: times (`timeline`), the layout
//! of tags (`flv`) and of records (`codec`).
//!
//! What is mended, and where it was seen:
//!
//! | in the stream | becomes |
//! |-|-|
//! | a picture in several messages: slices, SEI, parameter sets each of their own | one picture |
//! | NAL units behind start codes (annex B), in frames or in the sequence header | NAL units behind lengths |
//! | parameter sets between the pictures and no sequence header, or one without sets | a configuration made of them |
//! | parameter sets between the pictures that change | a new configuration |
//! | HEVC under AVC's number, and the other way round | what it is |
//! | multitrack messages | their first track |
//! | ADTS headers before AAC frames, several frames in a message | plain frames, and the configuration where there is none |
//! | a message that cannot be read | nothing: it is counted, and refused by its name only where nothing else comes |
//!
//! A picture that comes whole in one message is passed on at once and not copied. So is the first message of one that does not:
//! what follows is passed on as [`Framed::MoreOfPicture`], and as a timeline holds a frame until it knows the next one, nothing is
//! delayed and no guess is needed whether more will come. Only what comes before a picture in messages of its own is held until its
//! first slice is there. Only a first slice begins a picture: pictures that rounding gave the same millisecond stay two.

mod adts;
mod audio;
mod error;
mod limits;
mod notice;
#[cfg(test)]
mod tests;
mod video;

use bytes::Bytes;

pub use self::error::FramingError;
pub use self::notice::{FramerStats, Notice};
use self::{audio::AudioFramer, notice::Notices, video::VideoFramer};
use crate::flv::{AudioTag, FlvError, TagRole, VideoTag, parse_audio_message, parse_video_message};

/// Something for the timeline.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Framed {
    /// A configuration, or the beginning of a picture, which often is all of it.
    Video {
        /// Milliseconds on the publisher's clock, modulo 2³².
        timestamp_ms: u32,
        /// A sequence header or a frame.
        tag: VideoTag,
    },
    /// What belongs to the picture that came last.
    MoreOfPicture {
        /// Length-prefixed NAL units.
        data: Bytes,
    },
    /// A configuration, one frame of AAC, or audio that cannot be carried.
    Audio {
        /// Milliseconds on the publisher's clock, modulo 2³².
        timestamp_ms: u32,
        /// The tag.
        tag: AudioTag,
    },
}

/// Reads the messages of one publication. What it gives for a message is added to `out` before the call returns.
#[derive(Debug, Default)]
pub struct Framer {
    video: VideoFramer,
    audio: AudioFramer,
    video_track: TrackChoice,
    audio_track: TrackChoice,
    unreadable: Option<Unreadable>,
    stats: FramerStats,
    notices: Notices,
}

/// Which track of a stream is taken: number 0, or until it comes the first that there is.
#[derive(Clone, Copy, Debug, Default)]
struct TrackChoice(Option<u8>);

/// Video that cannot be read, and nothing between that can.
#[derive(Clone, Copy, Debug)]
struct Unreadable {
    since_us: i64,
    messages: u64,
}

impl Framer {
    /// A framer for one publication.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the body of a video message. Tells what the message is to players who are passed it as it came.
    ///
    /// `now_us` is any clock in microseconds that goes on.
    ///
    /// # Errors
    /// [`FramingError`]: for seconds nothing has come but video that cannot be recorded. The connection should be closed.
    pub fn video(
        &mut self,
        timestamp_ms: u32,
        body: Bytes,
        now_us: i64,
        out: &mut Vec<Framed>,
    ) -> Result<TagRole, FramingError> {
        let message = match parse_video_message(body) {
            Ok(message) => message,
            Err(error) => return self.skip_video(error, now_us).map(|()| TagRole::Video),
        };
        self.skip_tracks(message.other_tracks);
        let Some(codec) = message.codec else { return Ok(TagRole::Video) };
        if !self.video_track.takes(message.track) {
            self.skip_tracks(1);
            return Ok(TagRole::Video);
        }
        let role = match message.tag {
            VideoTag::SequenceHeader { record, .. } => {
                self.video.header(codec, record, timestamp_ms, now_us, &mut self.notices, out)
            }
            VideoTag::Frame { is_key, composition_time_ms, data } => {
                let frame = video::Incoming { codec, timestamp_ms, is_key, composition_time_ms, data };
                self.video.frame(frame, &mut self.stats, &mut self.notices, out)
            }
            VideoTag::EndOfSequence | VideoTag::Metadata | VideoTag::Ignored(_) => return Ok(TagRole::Video),
        };
        match role {
            Ok(role) => {
                self.unreadable = None;
                self.video.check(now_us)?;
                Ok(role)
            }
            Err(error) => self.skip_video(error, now_us).map(|()| TagRole::Video),
        }
    }

    /// Takes the body of an audio message. Whatever is wrong with it, video goes on.
    pub fn audio(&mut self, timestamp_ms: u32, body: Bytes, out: &mut Vec<Framed>) -> TagRole {
        let message = match parse_audio_message(body) {
            Ok(message) => message,
            Err(error) => {
                self.skip_audio(&error);
                return TagRole::Audio;
            }
        };
        self.skip_tracks(message.other_tracks);
        if message.tag == AudioTag::Ignored {
            return TagRole::Audio;
        }
        if !self.audio_track.takes(message.track) {
            self.skip_tracks(1);
            return TagRole::Audio;
        }
        let role = match message.tag {
            AudioTag::SequenceHeader { .. } => TagRole::AudioHeader,
            _ => TagRole::Audio,
        };
        self.audio.tag(timestamp_ms, message.tag, &mut self.notices, out);
        role
    }

    /// What was left out or mended so far.
    #[must_use]
    pub fn stats(&self) -> FramerStats {
        self.stats
    }

    /// What an operator should know of the stream, each thing once.
    pub fn poll_notice(&mut self) -> Option<Notice> {
        self.notices.pop()
    }

    fn skip_video(&mut self, error: FlvError, now_us: i64) -> Result<(), FramingError> {
        self.stats.skipped_video += 1;
        self.notices.skipped_video(&error);
        let run = self.unreadable.get_or_insert(Unreadable { since_us: now_us, messages: 0 });
        run.messages += 1;
        let is_over = now_us.saturating_sub(run.since_us) >= limits::UNREADABLE_US
            && run.messages >= limits::UNREADABLE_MESSAGES;
        if is_over { Err(FramingError::Unreadable(error)) } else { Ok(()) }
    }

    fn skip_audio(&mut self, error: &FlvError) {
        self.stats.skipped_audio += 1;
        self.notices.skipped_audio(error);
    }

    fn skip_tracks(&mut self, count: usize) {
        if count > 0 {
            self.stats.other_tracks += count as u64;
            self.notices.add(Notice::OtherTracks);
        }
    }
}

impl TrackChoice {
    fn takes(&mut self, track: u8) -> bool {
        match self.0 {
            Some(chosen) if chosen == track => true,
            Some(_) if track != 0 => false,
            _ => {
                self.0 = Some(track);
                true
            }
        }
    }
}
