//! Which of several segments is shown where they bear the same times: after the node's clock was set back, or where a source
//! sent more than the time that had passed.
//!
//! A session that is shown is shown to its end, and what began later takes over from its first keyframe after that. So
//! nothing is shown twice, two sessions never alternate, and what a playlist has listed stays as it is while footage comes.
//! What is not shown is still there: each segment can be had for itself.

use std::{collections::HashMap, hash::Hash};

/// Segments that reach this little into one another do not overlap: borders are rounded, and drift is corrected.
pub const OVERLAP_TOLERANCE_US: i64 = 250_000;

/// When one segment is, and which session it is a part of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stretch<S> {
    /// Name of its session.
    pub session: S,
    /// UTC microseconds of its first instant.
    pub start_us: i64,
    /// UTC microseconds of its end.
    pub end_us: i64,
}

/// An unbroken run of segments of one session.
struct Run {
    start_us: i64,
    end_us: i64,
    segments: Vec<usize>,
}

/// One segment that is shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Shown {
    /// Its place in what was asked about.
    pub number: usize,
    /// From the first keyframe at or after this instant; [`i64::MIN`] from its beginning.
    pub from_us: i64,
}

/// Which of these segments, that are in order of their starts, are shown, in the order in which they are, which may be another.
#[must_use]
pub fn shown<S: Copy + Eq + Hash>(segments: &[Stretch<S>]) -> Vec<Shown> {
    let mut runs: Vec<Run> = Vec::new();
    let mut newest: HashMap<S, usize> = HashMap::new();
    for (number, segment) in segments.iter().enumerate() {
        let run = newest
            .get(&segment.session)
            .copied()
            .filter(|run| segment.start_us <= runs[*run].end_us.saturating_add(OVERLAP_TOLERANCE_US));
        match run {
            Some(run) => {
                runs[run].end_us = runs[run].end_us.max(segment.end_us);
                runs[run].segments.push(number);
            }
            None => {
                newest.insert(segment.session, runs.len());
                let (start_us, end_us) = (segment.start_us, segment.end_us);
                runs.push(Run { start_us, end_us, segments: vec![number] });
            }
        }
    }
    let mut shown = Vec::with_capacity(segments.len());
    let mut shown_to_us = i64::MIN;
    for run in &runs {
        let is_free = run.start_us.saturating_add(OVERLAP_TOLERANCE_US) >= shown_to_us;
        for &number in &run.segments {
            let segment = &segments[number];
            if is_free || segment.start_us >= shown_to_us {
                shown.push(Shown { number, from_us: i64::MIN });
            } else if segment.end_us > shown_to_us {
                shown.push(Shown { number, from_us: shown_to_us });
            }
        }
        shown_to_us = shown_to_us.max(run.end_us);
    }
    shown
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const S: i64 = 1_000_000;
    /// From where each of these is shown, in their own order.
    fn shown_from<N: Copy + Eq + Hash>(segments: &[Stretch<N>]) -> Vec<Option<i64>> {
        let mut from = vec![None; segments.len()];
        let mut last_us = i64::MIN;
        for shown in shown(segments) {
            let starts_us = shown.from_us.max(segments[shown.number].start_us);
            assert!(starts_us >= last_us, "out of order");
            last_us = starts_us;
            from[shown.number] = Some(shown.from_us);
        }
        from
    }

    const WHOLE: Option<i64> = Some(i64::MIN);

    fn stretches(table: &[(char, i64, i64)]) -> Vec<Stretch<char>> {
        let stretch = |&(session, start, end): &_| Stretch { session, start_us: start * S, end_us: end * S };
        table.iter().map(stretch).collect()
    }

    #[test]
    fn a_session_is_shown_to_its_end_and_the_next_from_there() {
        type Case<'a> = (&'a str, &'a [(char, i64, i64)], &'a [Option<i64>]);
        let from = |at: i64| Some(at * S);
        let cases: &[Case<'_>] = &[
            ("one behind the other", &[('a', 0, 9), ('a', 9, 18), ('b', 20, 30)], &[WHOLE; 3]),
            (
                "the clock was set back by an hour of four segments",
                &[
                    ('a', 0, 15),
                    ('b', 3, 15),
                    ('a', 15, 30),
                    ('b', 15, 30),
                    ('a', 30, 45),
                    ('b', 30, 45),
                    ('a', 45, 58),
                    ('b', 45, 60),
                    ('b', 60, 75),
                ],
                &[WHOLE, None, WHOLE, None, WHOLE, None, WHOLE, from(58), WHOLE],
            ),
            ("set back by a little", &[('a', 0, 60), ('b', 52, 100)], &[WHOLE, from(60)]),
            ("twice", &[('a', 0, 60), ('b', 30, 70), ('c', 50, 90)], &[WHOLE, from(60), from(70)]),
            ("within", &[('a', 0, 60), ('b', 30, 40), ('a', 60, 90)], &[WHOLE, None, WHOLE]),
            (
                "a hole in the first",
                &[('a', 0, 10), ('b', 5, 30), ('a', 20, 40)],
                &[WHOLE, from(10), from(30)],
            ),
        ];
        for (what, table, expected) in cases {
            assert_eq!(shown_from(&stretches(table)), *expected, "{what}");
        }
        assert_eq!(shown_from::<char>(&[]), []);
    }

    #[test]
    fn a_rounding_is_no_overlap() {
        let mut both = stretches(&[('a', 0, 60), ('b', 60, 90)]);
        both[1].start_us -= OVERLAP_TOLERANCE_US;
        assert_eq!(shown_from(&both), [WHOLE, WHOLE]);
        both[1].start_us -= 1;
        assert_eq!(shown_from(&both), [WHOLE, from_us(60 * S)]);
    }

    fn from_us(at_us: i64) -> Option<i64> {
        Some(at_us)
    }

    proptest! {
        #[test]
        fn whatever_overlaps_nothing_is_shown_twice_and_nothing_is_missed(
            mut table in prop::collection::vec((0u8..4, 0i64..400, 1i64..60), 0..24)
        ) {
            table.sort_by_key(|(session, start, _)| (*start, *session));
            let segments: Vec<_> = table
                .iter()
                .map(|&(session, start, length)| Stretch { session, start_us: start * S, end_us: (start + length) * S })
                .collect();
            // Within a session, segments follow one another: here they may overlap, which counts as one run.
            let shown = shown_from(&segments);
            for second in 0..500 {
                let at_us = second * S + S / 2;
                let covers = |stretch: &Stretch<u8>| stretch.start_us <= at_us && at_us < stretch.end_us;
                let is_covered = segments.iter().any(covers);
                let here: std::collections::HashSet<u8> = segments
                    .iter()
                    .zip(&shown)
                    .filter(|(stretch, from)| covers(stretch) && from.is_some_and(|from_us| from_us <= at_us))
                    .map(|(stretch, _)| stretch.session)
                    .collect();
                prop_assert!(here.len() <= 1, "at {second}: {here:?}");
                prop_assert_eq!(is_covered, !here.is_empty(), "at {}", second);
            }
        }
    }
}
