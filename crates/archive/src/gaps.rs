//! What is missing from a range, and why: pure.
//!
//! What is recorded decides what is missing; the rows only give it a cause. So a lost row costs a word, and a row too
//! many costs nothing.

use catalog::GapRow;
use media::EndCause;

use crate::limits::JOIN_TOLERANCE_US;

/// Time that should have been recorded and was not.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Gap {
    /// UTC microseconds where it begins.
    pub start_us: i64,
    /// UTC microseconds where it ends.
    pub end_us: i64,
    /// Why.
    pub cause: EndCause,
}

/// Sorts spans, and joins those that touch or nearly touch.
pub(crate) fn join_spans(mut spans: Vec<(i64, i64)>) -> Vec<(i64, i64)> {
    spans.sort_unstable();
    let mut joined: Vec<(i64, i64)> = Vec::with_capacity(spans.len());
    for (start_us, end_us) in spans {
        if end_us <= start_us {
            continue;
        }
        match joined.last_mut() {
            Some(last) if start_us <= last.1.saturating_add(JOIN_TOLERANCE_US) => last.1 = last.1.max(end_us),
            _ => joined.push((start_us, end_us)),
        }
    }
    joined
}

/// The parts of `[from_us, to_us)` that no span covers, leaving out what is shorter than a frame.
pub(crate) fn missing(spans: &[(i64, i64)], from_us: i64, to_us: i64) -> Vec<(i64, i64)> {
    let mut missing = Vec::new();
    let mut at_us = from_us;
    for &(start_us, end_us) in spans {
        if start_us >= to_us {
            break;
        }
        if start_us - at_us > JOIN_TOLERANCE_US {
            missing.push((at_us, start_us));
        }
        at_us = at_us.max(end_us);
    }
    if to_us - at_us > JOIN_TOLERANCE_US {
        missing.push((at_us, to_us));
    }
    missing
}

/// What is known about a channel beside its rows.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Background {
    /// When the channel was made; before that nobody could know anything.
    pub(crate) created_us: Option<i64>,
    /// Start of the first segment ever; before that its camera never spoke.
    pub(crate) first_recorded_us: Option<i64>,
}

/// Whether rows alone explain all that is missing.
pub(crate) fn is_explained(missing: &[(i64, i64)], rows: &[GapRow]) -> bool {
    let explained =
        join_spans(rows.iter().map(|row| (row.start_us, row.end_us.unwrap_or(i64::MAX))).collect());
    missing.iter().all(|&(start_us, end_us)| self::missing(&explained, start_us, end_us).is_empty())
}

/// Gives what is missing its causes.
///
/// Of several rows the one that began last tells: what happened later explains better why there still is nothing. With
/// no row: a channel that never was recorded before was silent ([`EndCause::Camera`] is also the one who never spoke);
/// before it existed, and where a row was lost, nothing is known.
pub(crate) fn explain(missing: &[(i64, i64)], rows: &[GapRow], background: Background) -> Vec<Gap> {
    let mut gaps = Vec::new();
    for &(from_us, to_us) in missing {
        // The instants where the answer may change.
        let mut edges = vec![from_us, to_us];
        edges.extend(rows.iter().flat_map(|row| [Some(row.start_us), row.end_us]).flatten());
        edges.extend(background.created_us);
        edges.extend(background.first_recorded_us);
        edges.retain(|edge| (from_us..=to_us).contains(edge));
        edges.sort_unstable();
        edges.dedup();
        let mut found: Vec<Gap> = Vec::new();
        for pair in edges.windows(2) {
            let &[start_us, end_us] = pair else { continue };
            let cause = cause_at(start_us, rows, background);
            match found.last_mut() {
                // A sliver belongs to what is beside it: rows and segments end on different roundings.
                Some(last) if last.cause == cause || end_us - start_us <= JOIN_TOLERANCE_US => {
                    last.end_us = end_us
                }
                Some(last) if last.end_us - last.start_us <= JOIN_TOLERANCE_US => {
                    last.end_us = end_us;
                    last.cause = cause;
                }
                _ => found.push(Gap { start_us, end_us, cause }),
            }
        }
        gaps.append(&mut found);
    }
    gaps
}

fn cause_at(at_us: i64, rows: &[GapRow], background: Background) -> EndCause {
    let covers = |row: &&GapRow| row.start_us <= at_us && row.end_us.is_none_or(|end_us| at_us < end_us);
    match rows.iter().filter(covers).max_by_key(|row| row.start_us) {
        Some(row) => row.cause,
        None => {
            let exists = background.created_us.is_some_and(|created_us| created_us <= at_us);
            let never_spoke = background.first_recorded_us.is_none_or(|first_us| at_us < first_us);
            if exists && never_spoke { EndCause::Camera } else { EndCause::Unknown }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: i64 = 1_000_000;
    const NOTHING: Background = Background { created_us: None, first_recorded_us: None };

    fn row(start_us: i64, end_us: Option<i64>, cause: EndCause) -> GapRow {
        GapRow { start_us, end_us, cause }
    }

    fn causes(gaps: &[Gap]) -> Vec<(i64, i64, EndCause)> {
        gaps.iter().map(|gap| (gap.start_us / S, gap.end_us / S, gap.cause)).collect()
    }

    #[test]
    fn spans_that_nearly_touch_are_one() {
        let spans = vec![
            (20 * S, 30 * S),
            (0, 10 * S),
            (10 * S + 40_000, 15 * S),
            (12 * S, 13 * S),
            (40 * S, 40 * S),
        ];
        assert_eq!(join_spans(spans), [(0, 15 * S), (20 * S, 30 * S)]);
    }

    #[test]
    fn what_no_span_covers_is_missing() {
        let spans = [(0, 10 * S), (20 * S, 30 * S)];
        assert_eq!(missing(&spans, 5 * S, 40 * S), [(10 * S, 20 * S), (30 * S, 40 * S)]);
        assert_eq!(missing(&spans, 12 * S, 15 * S), [(12 * S, 15 * S)]);
        assert_eq!(missing(&spans, 2 * S, 10 * S + 30_000), []);
        assert_eq!(missing(&[], S, 2 * S), [(S, 2 * S)]);
        assert_eq!(missing(&spans, 2 * S, S), []);
    }

    #[test]
    fn the_row_that_began_last_tells_the_cause() {
        let rows = [row(10 * S, None, EndCause::Camera), row(14 * S, Some(18 * S), EndCause::Process)];
        let gaps = explain(&[(10 * S, 20 * S)], &rows, NOTHING);
        let expected = [(10, 14, EndCause::Camera), (14, 18, EndCause::Process), (18, 20, EndCause::Camera)];
        assert_eq!(causes(&gaps), expected);
    }

    #[test]
    fn a_sliver_belongs_to_what_is_beside_it() {
        let rows = [row(10 * S + 20_000, None, EndCause::Network)];
        assert_eq!(causes(&explain(&[(10 * S, 20 * S)], &rows, NOTHING)), [(10, 20, EndCause::Network)]);
        let rows = [row(0, Some(20 * S - 20_000), EndCause::Network)];
        assert_eq!(causes(&explain(&[(10 * S, 20 * S)], &rows, NOTHING)), [(10, 20, EndCause::Network)]);
    }

    #[test]
    fn without_a_row_only_a_channel_that_never_spoke_is_explained() {
        let background = Background { created_us: Some(10 * S), first_recorded_us: Some(30 * S) };
        let gaps = explain(&[(0, 30 * S), (40 * S, 50 * S)], &[], background);
        let expected = [(0, 10, EndCause::Unknown), (10, 30, EndCause::Camera), (40, 50, EndCause::Unknown)];
        assert_eq!(causes(&gaps), expected);
        let background = Background { created_us: Some(0), first_recorded_us: None };
        assert_eq!(causes(&explain(&[(S, 3 * S)], &[], background)), [(1, 3, EndCause::Camera)]);
    }
}
