//! The playlist of a range: a finished match, or one that is still being played.

use super::text::{push_instant, push_number, push_seconds};
use crate::{
    SegmentIndex,
    index::{FragmentRun, ticks_to_us},
    overlap::{Stretch, shown},
};

/// A run of fragments becomes an HLS media segment at the first key fragment at or after this length.
///
/// With the usual 1 to 4 s between keyframes HLS media segments are 4 to 8 s long. Where it ends depends only on what
/// came before, so that the playlist of a growing match only ever grows.
pub const PREFERRED_RUN_US: i64 = 4_000_000;

/// Without a key fragment a run ends at this length all the same: a match that is being played shall not wait for a keyframe
/// that does not come, and no player for a media segment without end. What follows plays on from what was before it.
pub const LONGEST_RUN_US: i64 = 30_000_000;

const _: () = assert!(PREFERRED_RUN_US < LONGEST_RUN_US);

/// Whether a media segment of this length ends before a fragment.
pub(super) fn ends_before(length_us: i64, is_key: bool) -> bool {
    length_us >= if is_key { PREFERRED_RUN_US } else { LONGEST_RUN_US }
}

/// Two segments of one session this close to one another are one: less than this cannot have been lost, as nothing
/// smaller than a fragment ever is, and the slow correction of the wall clock moves borders by a little.
pub const CONTINUITY_TOLERANCE_US: i64 = 250_000;

/// `EXT-X-TARGETDURATION`, at least: the value must never change (RFC 8216bis §4.4.3.1), also not when a match that was
/// being played has ended, so it cannot be taken from what happens to be there.
const MIN_TARGET_S: i64 = 8;

/// One recorded segment that overlaps the range.
#[derive(Clone, Copy, Debug)]
pub struct VodSegment<'a> {
    /// Address of the segment's object, as it shall stand in the playlist.
    pub uri: &'a str,
    /// Address of its initialisation section (`ftyp` and `moov`).
    pub init_uri: &'a str,
    /// Name of its session: between different ones there is always a discontinuity.
    pub session: &'a str,
    /// UTC microseconds of its first presented instant.
    pub start_us: i64,
    /// UTC microseconds of its end; for a growing segment, of the end of what is indexed.
    pub end_us: i64,
    /// Its fragments.
    pub index: &'a SegmentIndex,
}

/// A playlist and what a player needs to know beside it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Playlist {
    /// The playlist: `application/vnd.apple.mpegurl`, UTF-8, `\n` at the end of each line.
    pub text: String,
    /// Microseconds from the first media instant to the start of the range: the length of the lead-in from the keyframe
    /// before it; 0 where footage begins only after the start of the range.
    pub start_offset_us: i64,
    /// Length of all listed media in microseconds.
    pub duration_us: i64,
    /// UTC microseconds of the first media instant; `None` where there is no media in the range.
    pub media_start_us: Option<i64>,
    /// UTC microseconds of the end of the last media; `None` where there is no media in the range.
    pub media_end_us: Option<i64>,
    /// Number of HLS media segments.
    pub segments: usize,
}

/// Builds the playlist of `[from_us, to_us)` over segments in time order.
///
/// It begins with the key fragment from which `from_us` is shown whole ([`SegmentIndex::entry_for`]), with `EXT-X-START` at `from_us` itself, and ends with the last
/// fragment that begins before `to_us`. A range that is `finished` gives a VOD playlist; any other gives an EVENT
/// playlist without `EXT-X-ENDLIST`, which lists only HLS media segments that will not change any more.
///
/// Where segments bear the same times, they are shown as [`shown`] says: time in a playlist never runs backwards.
#[must_use]
pub fn vod(segments: &[VodSegment<'_>], from_us: i64, to_us: i64, finished: bool) -> Playlist {
    let mut playlist = Playlist::default();
    let mut body = Body::default();
    let stretches: Vec<_> = segments
        .iter()
        .map(|segment| Stretch {
            session: segment.session,
            start_us: segment.start_us,
            end_us: segment.end_us,
        })
        .collect();
    let runs = shown(&stretches)
        .into_iter()
        .filter_map(|shown| {
            let segment = &segments[shown.number];
            let run = segment.index.run_from_us(segment.start_us, shown.from_us, from_us, to_us)?;
            Some((segment, run))
        })
        .collect::<Vec<_>>();
    if let Some((segment, run)) = runs.first() {
        body.text.reserve(runs.iter().map(|(segment, run)| estimated_len(segment, run)).sum());
        let media_start_us = segment.start_us + ticks_to_us(run.time_90k.start);
        playlist.media_start_us = Some(media_start_us);
        playlist.start_offset_us = (from_us - media_start_us).max(0);
    }
    let mut previous: Option<(&VodSegment<'_>, &FragmentRun)> = None;
    for (number, (segment, run)) in runs.iter().enumerate() {
        body.open(segment, run, previous);
        // What follows the last run may still come to belong to it, unless it reached the end of the range.
        let is_closed =
            finished || number + 1 < runs.len() || segment.start_us + ticks_to_us(run.time_90k.end) >= to_us;
        body.list(segment, run, is_closed);
        previous = Some((segment, run));
    }
    if body.segments == 0 {
        playlist.media_start_us = None;
        playlist.start_offset_us = 0;
    }
    playlist.media_end_us = body.media_end_us;
    playlist.duration_us = body.duration_us;
    playlist.segments = body.segments;
    playlist.text = head(&playlist, &body, finished);
    playlist.text.push_str(&body.text);
    if finished {
        playlist.text.push_str("#EXT-X-ENDLIST\n");
    }
    playlist
}

/// The lines before the first media segment.
fn head(playlist: &Playlist, body: &Body, finished: bool) -> String {
    // Not less than any EXTINF rounded to the nearest second (RFC 8216bis §4.4.3.1).
    let target_s = ((body.longest_us + 500_000) / 1_000_000).max(MIN_TARGET_S) as u64;
    let mut text = String::with_capacity(256);
    text.push_str("#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:");
    push_number(&mut text, target_s);
    text.push_str("\n#EXT-X-MEDIA-SEQUENCE:0\n#EXT-X-PLAYLIST-TYPE:");
    text.push_str(if finished { "VOD\n" } else { "EVENT\n" });
    if !body.has_dependent {
        text.push_str("#EXT-X-INDEPENDENT-SEGMENTS\n");
    }
    // Without this line a player would begin a growing match near its live edge (RFC 8216bis §4.4.2.2).
    text.push_str("#EXT-X-START:TIME-OFFSET=");
    push_seconds(&mut text, playlist.start_offset_us);
    text.push_str(",PRECISE=YES\n");
    text
}

/// Upper bound of the text for a run, so that the body is allocated once.
fn estimated_len(segment: &VodSegment<'_>, run: &FragmentRun) -> usize {
    let us = ticks_to_us(run.time_90k.end - run.time_90k.start).max(0);
    let lines = (us / PREFERRED_RUN_US) as usize + 2;
    segment.init_uri.len() + 160 + lines * (segment.uri.len() + 70)
}

#[derive(Default)]
struct Body {
    text: String,
    segments: usize,
    longest_us: i64,
    duration_us: i64,
    media_end_us: Option<i64>,
    /// Whether a media segment begins with a picture that needs those before it.
    has_dependent: bool,
}

impl Body {
    /// The lines that stand before the first HLS media segment of a recorded segment.
    fn open(
        &mut self,
        segment: &VodSegment<'_>,
        run: &FragmentRun,
        previous: Option<(&VodSegment<'_>, &FragmentRun)>,
    ) {
        let continues =
            previous.is_some_and(|(before, before_run)| is_continuous(before, before_run, segment, run));
        if previous.is_some() && !continues {
            self.text.push_str("#EXT-X-DISCONTINUITY\n");
        }
        if !continues || previous.is_some_and(|(before, _)| before.init_uri != segment.init_uri) {
            self.text.push_str("#EXT-X-MAP:URI=\"");
            self.text.push_str(segment.init_uri);
            self.text.push_str("\"\n");
        }
        // Also between continuous segments: there the wall clock's slow correction becomes visible.
        self.text.push_str("#EXT-X-PROGRAM-DATE-TIME:");
        push_instant(&mut self.text, segment.start_us + ticks_to_us(run.time_90k.start));
        self.text.push('\n');
    }

    /// Lists the HLS media segments of one recorded segment; the last one only if it cannot grow any more.
    fn list(&mut self, segment: &VodSegment<'_>, run: &FragmentRun, is_closed: bool) {
        let mut start_90k = run.time_90k.start;
        let mut start_bytes = run.bytes.start;
        self.has_dependent |=
            segment.index.fragments.get(run.fragments.start).is_some_and(|first| !first.is_key);
        for position in segment.index.positions().take(run.fragments.end).skip(run.fragments.start + 1) {
            let length_us = ticks_to_us(position.start_90k) - ticks_to_us(start_90k);
            if ends_before(length_us, position.entry.is_key) {
                self.push(segment, start_90k..position.start_90k, start_bytes..position.offset_bytes);
                start_90k = position.start_90k;
                start_bytes = position.offset_bytes;
                self.has_dependent |= !position.entry.is_key;
            }
        }
        if is_closed {
            self.push(segment, start_90k..run.time_90k.end, start_bytes..run.bytes.end);
        }
    }

    fn push(
        &mut self,
        segment: &VodSegment<'_>,
        time_90k: std::ops::Range<u64>,
        bytes: std::ops::Range<u64>,
    ) {
        // Rounding the borders and not the lengths keeps the sum of all EXTINF exact.
        let length_us = ticks_to_us(time_90k.end) - ticks_to_us(time_90k.start);
        self.segments += 1;
        self.longest_us = self.longest_us.max(length_us);
        self.duration_us += length_us;
        self.media_end_us = Some(segment.start_us + ticks_to_us(time_90k.end));
        self.text.push_str("#EXTINF:");
        push_seconds(&mut self.text, length_us);
        self.text.push_str(",\n#EXT-X-BYTERANGE:");
        push_number(&mut self.text, bytes.end - bytes.start);
        self.text.push('@');
        push_number(&mut self.text, bytes.start);
        self.text.push('\n');
        self.text.push_str(segment.uri);
        self.text.push('\n');
    }
}

/// Whether a segment goes on where the one before it ended: in the same session, with nothing left out.
fn is_continuous(
    before: &VodSegment<'_>,
    before_run: &FragmentRun,
    segment: &VodSegment<'_>,
    run: &FragmentRun,
) -> bool {
    before.session == segment.session
        && before_run.fragments.end == before.index.fragments.len()
        && run.fragments.start == 0
        && segment.start_us.abs_diff(before.end_us) <= CONTINUITY_TOLERANCE_US as u64
}
