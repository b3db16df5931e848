//! Playlists of what is being broadcast: with parts (LL-HLS), and valid for players that know nothing of them.
//!
//! Two use it: the live window, whose segments and parts are files of their own beside the playlist, and the rewind window, whose
//! segments and parts are byte ranges of recorded segments. The fragments are the same.

use super::text::{push_instant, push_number, push_seconds};
use super::vod::{CONTINUITY_TOLERANCE_US, VodSegment, ends_before};
use crate::index::{FragmentPosition, ticks_to_us};

/// `EXT-X-TARGETDURATION`, at least: it should never change (RFC 8216bis §4.4.3.1), and covers the keyframe intervals of nearly
/// all encoders. A longer one raises it when it first comes.
pub const MIN_LIVE_TARGET_S: u64 = 4;

/// `PART-TARGET`, at least.
pub const MIN_PART_TARGET_US: i64 = 500_000;

/// Parts are listed for so many target durations from the end (RFC 8216bis §6.2.2).
const PARTS_FOR_TARGETS: i64 = 3;

/// `CAN-SKIP-UNTIL` in target durations; the least that is allowed (RFC 8216bis §4.4.3.8).
const SKIP_UNTIL_TARGETS: i64 = 6;

/// `PART-HOLD-BACK` in part targets (RFC 8216bis §4.4.3.8: at least two, better three).
const PART_HOLD_BACK_PARTS: i64 = 3;

/// Where bytes are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place<'a> {
    /// `{number}.m4s` beside the playlist.
    Segment(u64),
    /// `{number}.{part}.m4s` beside the playlist.
    Part(u64, usize),
    /// Bytes of a file: address, offset, length.
    Range(&'a str, u64, u64),
}

/// A part: one fragment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LivePart<'a> {
    /// Length in microseconds.
    pub duration_us: i64,
    /// Whether playback may begin with it.
    pub is_key: bool,
    /// Its bytes.
    pub place: Place<'a>,
}

/// A media segment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LiveMedia<'a> {
    /// UTC microseconds of its first instant.
    pub start_us: i64,
    /// Length in microseconds; so far, while it is open.
    pub duration_us: i64,
    /// Whether it does not go on where the one before it ended.
    pub is_discontinuous: bool,
    /// Address of its initialisation section.
    pub init_uri: &'a str,
    /// All its bytes; `None` while it is open.
    pub whole: Option<Place<'a>>,
    /// Its fragments, where they are known.
    pub parts: Vec<LivePart<'a>>,
}

/// Everything a playlist says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LivePlaylist<'a> {
    /// Number of the first segment.
    pub media_sequence: u64,
    /// Discontinuities before the first segment.
    pub discontinuity_sequence: u64,
    /// The longest segment so far, in microseconds, listed or not.
    pub longest_segment_us: i64,
    /// The longest part so far, in microseconds, listed or not.
    pub longest_part_us: i64,
    /// The segments; only the last one can be open.
    pub media: &'a [LiveMedia<'a>],
    /// The part that comes next, where it has an address already.
    pub hint: Option<Place<'a>>,
    /// Whether nothing is ever removed.
    pub is_event: bool,
}

impl LivePlaylist<'_> {
    /// `EXT-X-TARGETDURATION` in seconds: not less than any EXTINF rounded to the nearest second.
    #[must_use]
    pub fn target_s(&self) -> u64 {
        let longest_s = u64::try_from((self.longest_segment_us + 500_000) / 1_000_000).unwrap_or(0);
        longest_s.max(MIN_LIVE_TARGET_S)
    }

    fn part_target_us(&self) -> i64 {
        self.longest_part_us.max(MIN_PART_TARGET_US)
    }

    /// How many parts beyond what is there a reload may wait for (RFC 8216bis §6.2.5.2, "Advance Part Limit").
    #[must_use]
    pub fn advance_part_limit(&self) -> usize {
        match usize::try_from(self.part_target_us()) {
            Ok(target_us) if target_us < 1_000_000 => 3_000_000_usize.div_ceil(target_us),
            _ => 3,
        }
    }

    /// The text. With `skip`, what the reader of an earlier one knows already is left out, if it is much (RFC 8216bis §6.2.5.1).
    #[must_use]
    pub fn text(&self, skip: bool) -> String {
        let target_us = i64::try_from(self.target_s()).unwrap_or(i64::MAX / 100) * 1_000_000;
        let total_us: i64 = self.media.iter().map(|media| media.duration_us).sum();
        let mut before_end_us = total_us;
        // Segments that begin and end further from the end than the limit.
        let skipped = self.media.iter().take_while(|media| {
            before_end_us -= media.duration_us;
            skip && media.whole.is_some() && before_end_us >= target_us * SKIP_UNTIL_TARGETS
        });
        let skipped = skipped.count();
        let mut text = String::with_capacity(512 + (self.media.len() - skipped) * 400);
        self.push_head(&mut text, target_us, skipped);
        let mut before_end_us: i64 = self.media.iter().skip(skipped).map(|media| media.duration_us).sum();
        let mut init_uri = None;
        for media in self.media.iter().skip(skipped) {
            // At the first line it stands before the playlist, or was skipped with the segment before.
            if media.is_discontinuous {
                text.push_str("#EXT-X-DISCONTINUITY\n");
            }
            if init_uri != Some(media.init_uri) || media.is_discontinuous {
                text.push_str("#EXT-X-MAP:URI=\"");
                text.push_str(media.init_uri);
                text.push_str("\"\n");
                init_uri = Some(media.init_uri);
            }
            text.push_str("#EXT-X-PROGRAM-DATE-TIME:");
            push_instant(&mut text, media.start_us);
            text.push('\n');
            before_end_us -= media.duration_us;
            if before_end_us < target_us * PARTS_FOR_TARGETS {
                media.parts.iter().for_each(|part| push_part(&mut text, part));
            }
            if let Some(whole) = &media.whole {
                text.push_str("#EXTINF:");
                push_seconds(&mut text, media.duration_us);
                text.push_str(",\n");
                if let Place::Range(_, offset, length) = whole {
                    text.push_str("#EXT-X-BYTERANGE:");
                    push_number(&mut text, *length);
                    text.push('@');
                    push_number(&mut text, *offset);
                    text.push('\n');
                }
                push_address(&mut text, whole);
                text.push('\n');
            }
        }
        if let Some(hint) = &self.hint {
            text.push_str("#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"");
            push_address(&mut text, hint);
            text.push_str("\"\n");
        }
        text
    }

    fn push_head(&self, text: &mut String, target_us: i64, skipped: usize) {
        // Version 9 is for EXT-X-SKIP alone, which only readers that asked for it get.
        text.push_str(if skipped > 0 {
            "#EXTM3U\n#EXT-X-VERSION:9\n"
        } else {
            "#EXTM3U\n#EXT-X-VERSION:7\n"
        });
        text.push_str("#EXT-X-TARGETDURATION:");
        push_number(text, self.target_s());
        text.push_str("\n#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=");
        push_seconds(text, target_us * SKIP_UNTIL_TARGETS);
        text.push_str(",HOLD-BACK=");
        push_seconds(text, target_us * 3);
        text.push_str(",PART-HOLD-BACK=");
        push_seconds(text, self.part_target_us() * PART_HOLD_BACK_PARTS);
        text.push_str("\n#EXT-X-PART-INF:PART-TARGET=");
        push_seconds(text, self.part_target_us());
        text.push_str("\n#EXT-X-MEDIA-SEQUENCE:");
        push_number(text, self.media_sequence);
        text.push_str("\n#EXT-X-DISCONTINUITY-SEQUENCE:");
        push_number(text, self.discontinuity_sequence);
        text.push('\n');
        if self.is_event {
            text.push_str("#EXT-X-PLAYLIST-TYPE:EVENT\n");
        }
        // Segments without known parts begin with a key.
        let is_independent = |media: &LiveMedia<'_>| media.parts.first().is_none_or(|part| part.is_key);
        if self.media.iter().all(is_independent) {
            text.push_str("#EXT-X-INDEPENDENT-SEGMENTS\n");
        }
        if skipped > 0 {
            text.push_str("#EXT-X-SKIP:SKIPPED-SEGMENTS=");
            push_number(text, skipped as u64);
            text.push('\n');
        }
    }
}

fn push_part(text: &mut String, part: &LivePart<'_>) {
    text.push_str("#EXT-X-PART:DURATION=");
    push_seconds(text, part.duration_us);
    text.push_str(",URI=\"");
    push_address(text, &part.place);
    text.push('"');
    if let Place::Range(_, offset, length) = part.place {
        text.push_str(",BYTERANGE=\"");
        push_number(text, length);
        text.push('@');
        push_number(text, offset);
        text.push('"');
    }
    text.push_str(if part.is_key { ",INDEPENDENT=YES\n" } else { "\n" });
}

fn push_address(text: &mut String, place: &Place<'_>) {
    match place {
        Place::Segment(number) => push_number(text, *number),
        Place::Part(number, part) => {
            push_number(text, *number);
            text.push('.');
            push_number(text, *part as u64);
        }
        Place::Range(uri, ..) => return text.push_str(uri),
    }
    text.push_str(".m4s");
}

/// Recorded segments as media segments and parts, from the first of them to the newest fragment of the last.
///
/// They are cut where [`super::vod()`] cuts a match that begins with a recorded segment, so that where one ends depends on nothing
/// but the recording: numbers counted from the first one hold for every reader and every reload. The last one is open if
/// `is_growing`.
#[must_use]
pub fn rewind<'a>(segments: &[VodSegment<'a>], is_growing: bool) -> Vec<LiveMedia<'a>> {
    let mut all: Vec<LiveMedia<'a>> = Vec::new();
    let mut previous: Option<&VodSegment<'a>> = None;
    for (number, segment) in segments.iter().enumerate() {
        let continues = previous.is_some_and(|before| {
            before.session == segment.session
                && segment.start_us.abs_diff(before.end_us) <= CONTINUITY_TOLERANCE_US as u64
        });
        let from = all.len();
        for position in segment.index.positions() {
            let start_90k = position.start_90k;
            let ends = all.len() > from
                && all.last().is_some_and(|last| ends_before(last.duration_us, position.entry.is_key));
            if ends || all.len() == from {
                all.push(LiveMedia {
                    start_us: segment.start_us + ticks_to_us(start_90k),
                    duration_us: 0,
                    is_discontinuous: all.len() == from && previous.is_some() && !continues,
                    init_uri: segment.init_uri,
                    whole: Some(Place::Range(segment.uri, position.offset_bytes, 0)),
                    parts: Vec::new(),
                });
            }
            if let Some(last) = all.last_mut() {
                grow(last, segment, &position);
            }
        }
        if is_growing
            && number + 1 == segments.len()
            && all.len() > from
            && let Some(last) = all.last_mut()
        {
            last.whole = None;
        }
        previous = Some(segment);
    }
    all
}

/// Adds a fragment to the media segment that it belongs to.
fn grow<'a>(media: &mut LiveMedia<'a>, segment: &VodSegment<'a>, position: &FragmentPosition) {
    // From borders, not from lengths: the sum of all EXTINF stays exact.
    let end_us = segment.start_us + ticks_to_us(position.end_90k());
    let part_us = end_us - media.start_us - media.duration_us;
    media.duration_us += part_us;
    let length = u64::from(position.entry.size_bytes);
    media.parts.push(LivePart {
        duration_us: part_us,
        is_key: position.entry.is_key,
        place: Place::Range(segment.uri, position.offset_bytes, length),
    });
    if let Some(Place::Range(_, _, whole)) = &mut media.whole {
        *whole += length;
    }
}
