//! Pictures and their configuration.

use bytes::{Bytes, BytesMut};

use super::{
    Framed, FramerStats, FramingError, Notice,
    limits::{BEFORE_BYTES, BEFORE_MESSAGES, CONFIG_US, PICTURE_BYTES, PICTURE_MESSAGES, SLICE_SPREAD_MS},
    notice::Notices,
};
use crate::codec::{
    CodecError, Field, Interlacing, ParameterSets, UnitForm, UnitKind, codec_of_sps, form_of,
    length_size_without_sets, sets_in_avc_record, starts_with_start_code, unit_kind, units_of,
};
use crate::flv::{FlvError, TagRole, VideoTag};
use crate::{VideoCodec, VideoConfig};

/// Length prefixes where nothing else is said.
const USUAL_LENGTH_SIZE: u8 = 4;

/// A frame as it came.
pub(super) struct Incoming {
    /// What the message says it is.
    pub(super) codec: VideoCodec,
    pub(super) timestamp_ms: u32,
    pub(super) is_key: bool,
    pub(super) composition_time_ms: i32,
    pub(super) data: Bytes,
}

/// The video of a publication.
#[derive(Debug)]
pub(super) struct VideoFramer {
    /// The codec that messages name; they may hold another one.
    named: Option<VideoCodec>,
    /// The last sequence header as it came: encoders repeat theirs.
    header: Option<Bytes>,
    /// Length prefixes in the publisher's frames.
    length_size: u8,
    /// What the timeline was told.
    config: Option<VideoConfig>,
    interlacing: Option<Interlacing>,
    /// Parameter sets of the configuration, and those that came between the pictures since.
    known: ParameterSets,
    /// Those that came before the next picture.
    fresh: ParameterSets,
    /// Whether the last keyframe brought all parameter sets. Two in a row: the stream needs no record to be decoded.
    last_key_has_sets: bool,
    /// Units that belong to the next picture, behind lengths; they came in messages of their own.
    before: BytesMut,
    before_messages: usize,
    /// The picture that came last.
    picture: Option<Picture>,
    /// Whether players were told where the picture begins that is coming.
    is_entered: bool,
    /// Why there is no configuration, and since when.
    problem: Option<(CodecError, i64)>,
}

#[derive(Debug)]
struct Picture {
    timestamp_ms: u32,
    bytes: usize,
    messages: usize,
    field: Option<Field>,
}

/// What the units of a message are in all.
#[derive(Default)]
struct Content {
    /// Kind of the first slice.
    slice: Option<UnitKind>,
    has_before: bool,
    has_after: bool,
}

/// What a sequence header turned out to be.
enum Header {
    Config(VideoConfig),
    /// It has no parameter sets: these come between the pictures.
    WithoutSets {
        codec: VideoCodec,
        length_size: u8,
    },
    Damaged(CodecError),
}

impl Default for VideoFramer {
    fn default() -> Self {
        Self {
            named: None,
            header: None,
            length_size: USUAL_LENGTH_SIZE,
            config: None,
            interlacing: None,
            known: ParameterSets::new(VideoCodec::H264),
            fresh: ParameterSets::new(VideoCodec::H264),
            last_key_has_sets: false,
            before: BytesMut::new(),
            before_messages: 0,
            picture: None,
            is_entered: false,
            problem: None,
        }
    }
}

impl VideoFramer {
    /// Takes a sequence header.
    pub(super) fn header(
        &mut self,
        codec: VideoCodec,
        record: Bytes,
        timestamp_ms: u32,
        now_us: i64,
        notices: &mut Notices,
        out: &mut Vec<Framed>,
    ) -> Result<TagRole, FlvError> {
        if self.named == Some(codec) && self.header.as_ref() == Some(&record) {
            return Ok(TagRole::VideoHeader);
        }
        match read_header(codec, &record) {
            Header::Config(config) => {
                self.name(codec, config.codec, notices);
                if starts_with_start_code(&record) {
                    notices.add(Notice::AnnexB);
                }
                self.header = Some(record);
                self.length_size = config.nal_length_size();
                self.known = ParameterSets::of(&config);
                self.configure(config, timestamp_ms, out);
            }
            Header::WithoutSets { codec: holds, length_size } => {
                self.name(codec, holds, notices);
                self.header = Some(record);
                self.length_size = length_size;
                self.problem = None;
            }
            Header::Damaged(error) if self.config.is_none() => {
                self.name(codec, codec, notices);
                self.header = Some(record);
                self.problem = Some((error, now_us));
            }
            // A damaged one in a good stream changes nothing.
            Header::Damaged(_) => return Err(FlvError::VideoConfig),
        }
        Ok(TagRole::VideoHeader)
    }

    /// Takes a frame.
    pub(super) fn frame(
        &mut self,
        frame: Incoming,
        stats: &mut FramerStats,
        notices: &mut Notices,
        out: &mut Vec<Framed>,
    ) -> Result<TagRole, FlvError> {
        let form = form_of(&frame.data, self.length_size);
        let holds = form.and_then(|form| units_of(&frame.data, form).find_map(codec_of_sps));
        if self.config.is_some() && self.named != Some(frame.codec) && holds.is_none() {
            // Of another codec than the stream, and nothing tells how to decode it.
            return Err(FlvError::OtherCodec);
        }
        let codec = holds.unwrap_or(match self.named {
            Some(named) if named == frame.codec => self.known.codec(),
            _ => frame.codec,
        });
        if self.named != Some(frame.codec) || self.known.codec() != codec {
            self.name(frame.codec, codec, notices);
        }
        let begins = self.before_messages == 0;
        // What cannot be read is recorded as it is: a decoder may make more of it.
        let Some(form) = form else {
            self.is_entered &= !begins;
            let role = self.role(frame.is_key);
            self.begin_picture(frame, None, out);
            return Ok(role);
        };
        if form == UnitForm::AnnexB {
            notices.add(Notice::AnnexB);
        }
        let content = self.look_into(codec, &frame.data, form);
        let Some(slice) = content.slice else {
            if content.has_after && !content.has_before {
                let data = self.rewritten(&frame.data, form).unwrap_or(frame.data);
                self.more(data, stats, notices, out);
                return Ok(TagRole::Video);
            }
            self.is_entered &= !begins;
            self.hold(&frame.data, form);
            stats.joined += 1;
            notices.add(Notice::Joined);
            return Ok(self.role(frame.is_key));
        };
        let is_key = frame.is_key || slice == UnitKind::FirstSlice { is_random_access: true };
        let field = self.field(&frame.data, form);
        if self.continues(slice, field, frame.timestamp_ms, frame.data.len()) {
            let data = self.rewritten(&frame.data, form).unwrap_or(frame.data);
            self.more(data, stats, notices, out);
            return Ok(self.role(is_key));
        }
        self.follow_sets(is_key, frame.timestamp_ms, notices, out);
        self.widen(form, frame.timestamp_ms, out);
        self.is_entered &= !begins;
        let field = field.or_else(|| self.field(&frame.data, form));
        let data = self.rewritten(&frame.data, form).unwrap_or(frame.data);
        self.begin_picture(Incoming { data, ..frame }, field, out);
        Ok(self.role(is_key))
    }

    /// Whether the stream has a configuration, or may still get one.
    pub(super) fn check(&self, now_us: i64) -> Result<(), FramingError> {
        match &self.problem {
            Some((error, since_us)) if now_us.saturating_sub(*since_us) > CONFIG_US => {
                Err(FramingError::Config(error.clone()))
            }
            _ => Ok(()),
        }
    }

    /// What messages are of a codec by name and by content. If either is new, everything begins anew.
    fn name(&mut self, named: VideoCodec, holds: VideoCodec, notices: &mut Notices) {
        if named != holds {
            notices.add(Notice::OtherCodec { holds });
        }
        if self.named == Some(named) && self.known.codec() == holds {
            return;
        }
        let before = std::mem::take(self);
        *self = Self {
            named: Some(named),
            known: ParameterSets::new(holds),
            fresh: ParameterSets::new(holds),
            problem: before.problem,
            ..Self::default()
        };
    }

    fn configure(&mut self, config: VideoConfig, timestamp_ms: u32, out: &mut Vec<Framed>) {
        self.problem = None;
        self.interlacing = config.interlacing();
        let tag = VideoTag::SequenceHeader { codec: config.codec, record: config.record.clone() };
        out.push(Framed::Video { timestamp_ms, tag });
        self.config = Some(config);
    }

    /// Makes a configuration of the parameter sets before a picture, where they are news.
    ///
    /// Sets that come with every keyframe need no new configuration when they change, as whoever begins at a keyframe has them,
    /// unless they say what players are told beforehand: the size of the picture and the profile. Sets that came once are lost
    /// to whoever begins later, so the configuration has to have them.
    fn follow_sets(&mut self, is_key: bool, timestamp_ms: u32, notices: &mut Notices, out: &mut Vec<Framed>) {
        let is_complete = self.fresh.is_complete();
        let comes_with_keys = is_key && is_complete && self.last_key_has_sets;
        if is_key {
            self.last_key_has_sets = is_complete;
        }
        if self.fresh.is_empty() {
            return;
        }
        let is_news = self.config.is_none() || !self.fresh.are_known_to(&self.known);
        let sets = self.fresh.over(&self.known);
        self.fresh.clear();
        if !is_news {
            return;
        }
        self.known = sets;
        let Some(config) = self.known.config() else { return };
        let is_alike = self.config.as_ref().is_some_and(|known| is_alike(known, &config));
        if !(is_alike && comes_with_keys) {
            notices.add(Notice::InBandConfig);
            self.configure(config, timestamp_ms, out);
        }
    }

    /// Sees what the units are, and keeps parameter sets.
    fn look_into(&mut self, codec: VideoCodec, data: &[u8], form: UnitForm) -> Content {
        let mut content = Content::default();
        for unit in units_of(data, form) {
            let kind = unit_kind(codec, unit);
            match kind {
                UnitKind::FirstSlice { .. } | UnitKind::Slice => content.slice = content.slice.or(Some(kind)),
                UnitKind::ParameterSet => {
                    content.has_before = true;
                    self.fresh.offer(unit);
                }
                UnitKind::Before => content.has_before = true,
                UnitKind::After => content.has_after = true,
            }
        }
        content
    }

    /// The field that the first slice belongs to, where it belongs to one.
    fn field(&self, data: &[u8], form: UnitForm) -> Option<Field> {
        let interlacing = self.interlacing.as_ref().filter(|interlacing| interlacing.may_have_fields())?;
        let is_slice = |unit: &&[u8]| {
            matches!(unit_kind(VideoCodec::H264, unit), UnitKind::FirstSlice { .. } | UnitKind::Slice)
        };
        Field::of(units_of(data, form).find(is_slice)?, interlacing)
    }

    /// Whether a message goes on with the picture that came last.
    fn continues(&self, slice: UnitKind, field: Option<Field>, timestamp_ms: u32, size: usize) -> bool {
        let Some(picture) = &self.picture else { return false };
        if picture.messages >= PICTURE_MESSAGES || picture.bytes + size > PICTURE_BYTES {
            return false;
        }
        if slice == UnitKind::Slice {
            // What lost its first slice is a picture of its own: it has its own time.
            return timestamp_ms.wrapping_sub(picture.timestamp_ms) <= SLICE_SPREAD_MS;
        }
        match (picture.field, field) {
            (Some(first), Some(second)) => {
                timestamp_ms == picture.timestamp_ms && first.is_completed_by(second)
            }
            _ => false,
        }
    }

    fn begin_picture(&mut self, frame: Incoming, field: Option<Field>, out: &mut Vec<Framed>) {
        let Incoming { timestamp_ms, is_key, composition_time_ms, data, .. } = frame;
        self.picture = Some(Picture { timestamp_ms, bytes: data.len(), messages: 1, field });
        let tag = VideoTag::Frame { is_key, composition_time_ms, data };
        out.push(Framed::Video { timestamp_ms, tag });
    }

    fn more(&mut self, data: Bytes, stats: &mut FramerStats, notices: &mut Notices, out: &mut Vec<Framed>) {
        if let Some(picture) = &mut self.picture {
            picture.bytes += data.len();
            picture.messages += 1;
            stats.joined += 1;
            notices.add(Notice::Joined);
            out.push(Framed::MoreOfPicture { data });
        }
    }

    /// Keeps a message for the picture after it. What is too much is let go, oldest first: it is no picture.
    fn hold(&mut self, data: &[u8], form: UnitForm) {
        if self.before_messages >= BEFORE_MESSAGES || self.before.len() + data.len() > BEFORE_BYTES {
            self.before.clear();
            self.before_messages = 0;
        }
        if data.len() <= BEFORE_BYTES {
            for unit in units_of(data, form) {
                put_unit(&mut self.before, unit, USUAL_LENGTH_SIZE);
            }
            self.before_messages += 1;
        }
    }

    /// Makes the lengths of the configuration long enough for units that came without any.
    fn widen(&mut self, form: UnitForm, timestamp_ms: u32, out: &mut Vec<Framed>) {
        let Some(config) = self.config.as_ref().filter(|config| config.nal_length_size() < USUAL_LENGTH_SIZE)
        else {
            return;
        };
        if form != UnitForm::Prefixed(config.nal_length_size())
            && let Some(config) = config.with_length_size_4()
        {
            self.configure(config, timestamp_ms, out);
        }
    }

    /// The units of a message behind lengths of the configuration, after what was held for them; [`None`] where the message is so
    /// as it is.
    fn rewritten(&mut self, data: &[u8], form: UnitForm) -> Option<Bytes> {
        let length_size = self.out_length_size();
        if form == UnitForm::Prefixed(length_size) && self.before_messages == 0 {
            return None;
        }
        let before = std::mem::take(&mut self.before);
        self.before_messages = 0;
        let mut out = BytesMut::with_capacity(before.len() + data.len() + 64);
        let before = units_of(&before, UnitForm::Prefixed(USUAL_LENGTH_SIZE));
        for unit in before.chain(units_of(data, form)) {
            put_unit(&mut out, unit, length_size);
        }
        Some(out.freeze())
    }

    /// Length prefixes in what goes out.
    fn out_length_size(&self) -> u8 {
        self.config.as_ref().map_or(self.length_size, VideoConfig::nal_length_size)
    }

    fn role(&mut self, is_key: bool) -> TagRole {
        if is_key && !self.is_entered {
            self.is_entered = true;
            TagRole::KeyFrame
        } else {
            TagRole::Video
        }
    }
}

fn put_unit(out: &mut BytesMut, unit: &[u8], length_size: u8) {
    let length = (unit.len() as u64).to_be_bytes();
    out.extend_from_slice(&length[length.len() - usize::from(length_size)..]);
    out.extend_from_slice(unit);
}

/// Whether players are told the same of both beforehand.
fn is_alike(one: &VideoConfig, other: &VideoConfig) -> bool {
    one.codec == other.codec
        && (one.width, one.height) == (other.width, other.height)
        && one.codec_string == other.codec_string
        && one.pixel_aspect_ratio == other.pixel_aspect_ratio
}

/// What a sequence header holds, whatever it is called.
fn read_header(named: VideoCodec, record: &Bytes) -> Header {
    let other = match named {
        VideoCodec::H264 => VideoCodec::Hevc,
        VideoCodec::Hevc => VideoCodec::H264,
    };
    let problem = match VideoConfig::from_record(named, record.clone()) {
        Ok(config) => return Header::Config(config),
        Err(problem) => problem,
    };
    if let Ok(config) = VideoConfig::from_record(other, record.clone()) {
        return Header::Config(config);
    }
    // Parameter sets as NAL units, or those of HEVC in a record made for H.264.
    let units: Vec<&[u8]> = match form_of(record, USUAL_LENGTH_SIZE) {
        Some(form @ UnitForm::Prefixed(_)) => units_of(record, form).collect(),
        _ if starts_with_start_code(record) => units_of(record, UnitForm::AnnexB).collect(),
        _ => sets_in_avc_record(record),
    };
    if let Some(holds) = units.iter().copied().find_map(codec_of_sps) {
        let mut sets = ParameterSets::new(holds);
        units.iter().for_each(|unit| sets.offer(unit));
        if let Some(config) = sets.config() {
            return Header::Config(config);
        }
    }
    for codec in [named, other] {
        if let Some(length_size) = length_size_without_sets(codec, record) {
            return Header::WithoutSets { codec, length_size };
        }
    }
    Header::Damaged(problem)
}
