//! How much of a range was recorded. Pure.

/// What may be missing of a range before it counts as missing: less than two frames, lost to rounding between segments.
/// A segment is never that short.
const SLACK_US: i64 = 60_000;

/// Recorded time inside of `from_us..to_us`; `spans` are in order and do not overlap.
pub(crate) fn recorded_us(spans: &[(i64, i64)], from_us: i64, to_us: i64) -> i64 {
    inside(spans, from_us, to_us).map(|(start, end)| end - start).sum()
}

/// The parts of the spans that lie inside of `from_us..to_us`.
pub(crate) fn inside(spans: &[(i64, i64)], from_us: i64, to_us: i64) -> impl Iterator<Item = (i64, i64)> {
    spans
        .iter()
        .map(move |&(start, end)| (start.max(from_us), end.min(to_us)))
        .filter(|(start, end)| start < end)
}

/// Whether nothing is missing of `whole_us`.
pub(crate) fn is_whole(recorded_us: i64, whole_us: i64) -> bool {
    recorded_us.saturating_add(SLACK_US) >= whole_us
}

/// The share of `whole_us` that `recorded_us` is: 0 to 1 in steps of 1/10 000, and 1 only when nothing is missing.
#[expect(clippy::cast_precision_loss, reason = "at most 10 000")]
pub(crate) fn share(recorded_us: i64, whole_us: i64) -> f64 {
    if whole_us <= 0 || recorded_us <= 0 {
        return 0.0;
    }
    if is_whole(recorded_us, whole_us) {
        return 1.0;
    }
    let steps = i128::from(recorded_us) * 10_000 / i128::from(whole_us);
    (steps as f64) / 10_000.0
}

#[cfg(test)]
mod tests {
    use super::{inside, recorded_us, share};

    #[test]
    fn only_what_lies_inside_counts() {
        let spans = [(0, 10), (20, 30), (40, 50)];
        assert_eq!(recorded_us(&spans, 5, 45), 20);
        assert_eq!(recorded_us(&spans, 10, 20), 0);
        assert_eq!(recorded_us(&spans, -100, 100), 30);
        assert_eq!(recorded_us(&[], 0, 10), 0);
        assert_eq!(inside(&spans, 25, 42).collect::<Vec<_>>(), [(25, 30), (40, 42)]);
    }

    #[test]
    fn all_is_said_only_of_all() {
        let minute = 60_000_000;
        assert_eq!(share(minute, minute), 1.0);
        assert_eq!(share(minute - 20_000, minute), 1.0);
        assert_eq!(share(90 * minute - 100_000, 90 * minute), 0.9999);
        assert_eq!(share(minute / 2, minute), 0.5);
        assert_eq!(share(0, minute), 0.0);
        assert_eq!(share(minute, 0), 0.0);
        assert_eq!(share(2 * minute, minute), 1.0);
    }
}
