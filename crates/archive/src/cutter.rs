//! When a segment begins and ends: pure decisions, tested with tables.

use media::Fragment;

use crate::limits::{KEY_WAIT_BYTES, KEY_WAIT_US, MAX_SEGMENT_BYTES};

/// What the writer knows of the segment it is writing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Current {
    /// UTC microseconds of its first presented instant.
    pub(crate) start_us: i64,
    /// End of its last fragment.
    pub(crate) end_us: i64,
    /// Bytes of its file.
    pub(crate) size_bytes: u64,
}

/// What the writer does with a fragment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Verdict {
    /// Append it to the current segment.
    Append,
    /// Begin a segment with it, ending the current one, if there is one, where this one starts.
    Begin,
    /// Begin a segment with it; the current one ended before, there is a hole in between.
    BeginAfterHole,
    /// The current segment ended before, and this fragment is of no use: nothing can start with it.
    End,
    /// Nothing can start with it.
    Skip,
}

/// Decides about one fragment.
pub(crate) fn judge(current: Option<Current>, fragment: &Fragment, segment_us: i64) -> Verdict {
    let Some(current) = current else {
        return if fragment.is_key { Verdict::Begin } else { Verdict::Skip };
    };
    // The sample tables know no holes: a jump inside a session, which the timeline should have made two sessions of,
    // is at least not hidden.
    let is_contiguous = (fragment.start_us - current.end_us).abs() <= MAX_DRIFT_US;
    if !is_contiguous {
        return if fragment.is_key { Verdict::BeginAfterHole } else { Verdict::End };
    }
    // Without a keyframe in time the next segment begins with another picture. Who plays on from the segment before sees every
    // picture whole; who starts in this one sees what the decoder makes of it.
    let (wait_us, most_bytes) = if fragment.is_key {
        (0, MAX_SEGMENT_BYTES)
    } else {
        (KEY_WAIT_US, MAX_SEGMENT_BYTES + KEY_WAIT_BYTES)
    };
    let is_due = fragment.start_us >= next_boundary(current.start_us, segment_us) + wait_us;
    if is_due || current.size_bytes >= most_bytes { Verdict::Begin } else { Verdict::Append }
}

/// How far a fragment may start from where the one before it ended and still follow it. Drift is corrected in steps far
/// below this, but a fragment's first presented instant also moves by the reorder depth of its B-frames, which at five
/// frames a second is most of a second.
const MAX_DRIFT_US: i64 = 2_000_000;

/// The first multiple of `segment_us` since the epoch after `start_us`.
pub(crate) fn next_boundary(start_us: i64, segment_us: i64) -> i64 {
    (start_us.div_euclid(segment_us) + 1) * segment_us
}

/// A fragment's length on the wall clock.
pub(crate) fn duration_us(fragment: &Fragment) -> i64 {
    i64::from(fragment.duration_90k) * 100 / 9
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUARTER_US: i64 = 900_000_000;

    fn fragment(start_us: i64, is_key: bool) -> Fragment {
        Fragment {
            start_us,
            duration_90k: 45_000,
            is_key,
            head: bytes::Bytes::new(),
            payload: Vec::new(),
            size_bytes: 100,
            video: media::TrackRun::default(),
            audio: media::TrackRun::default(),
        }
    }

    fn current(start_us: i64, end_us: i64) -> Option<Current> {
        Some(Current { start_us, end_us, size_bytes: 1000 })
    }

    #[test]
    fn boundaries_are_multiples_since_the_epoch() {
        for (start, boundary) in [
            (0, QUARTER_US),
            (1, QUARTER_US),
            (QUARTER_US - 1, QUARTER_US),
            (QUARTER_US, 2 * QUARTER_US),
            (-1, 0),
        ] {
            assert_eq!(next_boundary(start, QUARTER_US), boundary, "{start}");
        }
    }

    #[test]
    fn segments_begin_with_keyframes_at_or_after_the_boundary() {
        let table = [
            ("nothing before a keyframe", None, 0, false, Verdict::Skip),
            ("a keyframe begins", None, 7, true, Verdict::Begin),
            (
                "a keyframe before the boundary",
                current(0, QUARTER_US - 1),
                QUARTER_US - 1,
                true,
                Verdict::Append,
            ),
            ("a keyframe at the boundary", current(0, QUARTER_US), QUARTER_US, true, Verdict::Begin),
            ("no keyframe at the boundary", current(0, QUARTER_US), QUARTER_US, false, Verdict::Append),
            (
                "no keyframe just before the end of the wait",
                current(0, QUARTER_US + KEY_WAIT_US - 1),
                QUARTER_US + KEY_WAIT_US - 1,
                false,
                Verdict::Append,
            ),
            (
                "no keyframe for too long",
                current(0, QUARTER_US + KEY_WAIT_US),
                QUARTER_US + KEY_WAIT_US,
                false,
                Verdict::Begin,
            ),
            (
                "the first keyframe after it",
                current(0, QUARTER_US + 1_900_000),
                QUARTER_US + 1_900_000,
                true,
                Verdict::Begin,
            ),
            (
                "a late start keeps to the grid",
                current(QUARTER_US - 2_000_000, QUARTER_US),
                QUARTER_US,
                true,
                Verdict::Begin,
            ),
            ("corrected drift", current(0, 5_000_000), 5_040_000, false, Verdict::Append),
            ("a jump to a keyframe", current(0, 5_000_000), 9_000_000, true, Verdict::BeginAfterHole),
            ("a jump back", current(0, 5_000_000), 2_000_000, true, Verdict::BeginAfterHole),
            ("a jump without one", current(0, 5_000_000), 9_000_000, false, Verdict::End),
            ("never a keyframe again", current(0, 4 * QUARTER_US), 4 * QUARTER_US, false, Verdict::Begin),
        ];
        for (what, current, start_us, is_key, verdict) in table {
            assert_eq!(judge(current, &fragment(start_us, is_key), QUARTER_US), verdict, "{what}");
        }
    }

    #[test]
    fn a_huge_file_ends_at_the_next_keyframe() {
        let huge = Some(Current { start_us: 0, end_us: 500_000, size_bytes: MAX_SEGMENT_BYTES });
        assert_eq!(judge(huge, &fragment(500_000, true), QUARTER_US), Verdict::Begin);
        assert_eq!(judge(huge, &fragment(500_000, false), QUARTER_US), Verdict::Append);
        let huger = huge.map(|huge| Current { size_bytes: MAX_SEGMENT_BYTES + KEY_WAIT_BYTES, ..huge });
        assert_eq!(judge(huger, &fragment(500_000, false), QUARTER_US), Verdict::Begin);
    }

    /// Three hours of fragments of half a second, of which `is_key` says which are key fragments; the starts of the segments,
    /// and the end.
    fn three_hours(segment_us: i64, is_key: impl Fn(i64) -> bool) -> Vec<i64> {
        let mut starts = Vec::new();
        let mut now: Option<Current> = None;
        for number in 0..3 * 7200 {
            let start_us = 7_000_000 + number * 500_000;
            let fragment = fragment(start_us, is_key(number));
            let size_bytes = now.map_or(0, |now| now.size_bytes) + 100;
            let start_us = match judge(now, &fragment, segment_us) {
                Verdict::Append => now.unwrap().start_us,
                Verdict::Begin => {
                    starts.push(start_us);
                    start_us
                }
                verdict => panic!("fragment {number}: {verdict:?}"),
            };
            now = Some(Current { start_us, end_us: fragment.start_us + duration_us(&fragment), size_bytes });
        }
        starts.push(now.unwrap().end_us);
        starts
    }

    #[test]
    fn every_segment_ends_soon_after_its_boundary_and_nothing_is_left_out() {
        // Keys at a distance (in half seconds), and from some time on none at all.
        for seconds in [5, 60, 900, 3600] {
            for group in [1, 4, 19, 97, 240, 3600, 15_000] {
                for until in [1, 500, 7201, 14_399, i64::MAX] {
                    let segment_us = seconds * 1_000_000;
                    let starts = three_hours(segment_us, |number| number % group == 0 && number < until);
                    assert!(starts.len() > usize::try_from(10_800 / (seconds + 180)).unwrap());
                    for pair in starts.windows(2) {
                        let latest_us = next_boundary(pair[0], segment_us) + KEY_WAIT_US + 500_000;
                        assert!(pair[1] <= latest_us, "{seconds} s, {group}, {until}: {pair:?}");
                    }
                }
            }
        }
    }
}
