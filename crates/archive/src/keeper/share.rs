//! Whether so much may expire at once without a person: a pure decision.
//!
//! In the ordinary course a channel loses a segment every quarter of an hour. A large part of a club's footage goes at once
//! when a clock is wrong, when a retention was mistyped, or when the node was off for long: only a person can tell which.

use crate::limits::EXPIRY_FLOOR_SEGMENTS;

/// What of a club's footage is due.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Due {
    /// The most segments that are due of any one channel.
    pub(super) most_of_a_channel: u64,
    /// Segments that are due of all its channels.
    pub(super) segments: u64,
    /// Segments of all its channels.
    pub(super) of_segments: u64,
}

/// Whether it has to wait for a person: more than `max_share_percent` of all, and of some channel more than an hour, which
/// even the smallest installation may lose in the ordinary course.
pub(super) fn waits(due: Due, max_share_percent: u8) -> bool {
    due.most_of_a_channel > EXPIRY_FLOOR_SEGMENTS
        && u128::from(due.segments) * 100 > u128::from(due.of_segments) * u128::from(max_share_percent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_at_once_is_bounded_by_share_and_by_an_hour() {
        let due = |most_of_a_channel, segments, of_segments| Due { most_of_a_channel, segments, of_segments };
        let table = [
            ("a quarter of an hour of a week", due(1, 1, 672), 25, false),
            ("all of a tiny installation", due(4, 4, 4), 25, false),
            ("a few of each of many courts", due(4, 64, 70), 25, false),
            ("all", due(8, 8, 8), 25, true),
            ("all but the newest", due(671, 671, 672), 25, true),
            ("a third, after a weekend", due(224, 224, 672), 25, true),
            ("a quarter", due(168, 168, 672), 25, false),
            ("a little more", due(169, 169, 672), 25, true),
            ("a month of one court of eight", due(2_880, 2_880, 23_040), 25, false),
            ("whatever the share", due(8, 8, 8), 100, false),
            ("never without a person", due(5, 5, 10_000), 0, true),
            ("the largest numbers", due(u64::MAX, u64::MAX, u64::MAX), 99, true),
        ];
        for (what, due, percent, is_waiting) in table {
            assert_eq!(waits(due, percent), is_waiting, "{what}");
        }
    }
}
