//! Which pictures are places to start: for sessions, segments, cuts, and players that join.
//!
//! An IDR or IRAP picture always is, whatever the container says of it; a recovery point or an I picture is where the
//! container calls it a key. Some encoders (drones, gradual refresh without SEI) have none of these, or only at their very
//! start. A stream without entries could not be recorded, cut or joined, so after a while a poorer picture is taken: first one
//! that says something for itself, at last any. Who starts there sees the picture build up, and everything is recorded.
//!
//! Only a picture with slices is ever taken: bytes that are no H.264 or H.265 stay refused.

use super::limits::{
    ANY_AGAIN_MS, ANY_AT_START_MS, ANY_WITHIN_MS, GRADUAL_SPACING_MS, LONGEST_RHYTHM_MS, UNFLAGGED_AFTER_MS,
};
use crate::codec::Access;

/// The entries of one video configuration. One call a picture, in decode order.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Entries {
    last: Option<Moment>,
    /// Time since the last entry; `None` before the first one.
    since_entry_ms: Option<i64>,
    /// Time for which nothing could be recorded for want of an entry.
    awaited_ms: i64,
    /// The last entry was a picture that promises nothing: the stream has no better ones.
    is_makeshift: bool,
}

/// When a picture was sent, by its stamp, and when it arrived.
#[derive(Clone, Copy, Debug)]
struct Moment {
    stamp_ms: u32,
    now_us: i64,
}

/// What is known of a picture.
#[derive(Clone, Copy, Debug)]
pub(super) struct Picture {
    /// What it is.
    pub(super) access: Access,
    /// Whether the container calls it a key.
    pub(super) is_key: bool,
    /// Whether nothing is recorded until there is an entry.
    pub(super) is_awaited: bool,
    pub(super) stamp_ms: u32,
    pub(super) now_us: i64,
}

impl Entries {
    /// Whether this picture is an entry.
    pub(super) fn take(&mut self, picture: Picture) -> bool {
        let passed_ms = self.passed(picture.stamp_ms, picture.now_us);
        self.since_entry_ms = self.since_entry_ms.map(|since_ms| since_ms.saturating_add(passed_ms));
        self.awaited_ms = if picture.is_awaited { self.awaited_ms.saturating_add(passed_ms) } else { 0 };
        let (is_entry, is_makeshift) = self.judge(picture);
        if is_entry {
            self.since_entry_ms = Some(0);
            self.awaited_ms = 0;
            self.is_makeshift = is_makeshift;
        }
        is_entry
    }

    /// Whether it is an entry, and a makeshift one.
    fn judge(&self, picture: Picture) -> (bool, bool) {
        let has_passed = |least_ms| self.since_entry_ms.is_none_or(|since_ms| since_ms >= least_ms);
        let says_so = match picture.access {
            Access::Unknown => return (false, false),
            Access::Clean => return (true, false),
            Access::Intra | Access::Recovery { frames: 0 } => picture.is_key,
            // Some encoders announce a recovery in front of every picture.
            Access::Recovery { .. } => {
                picture.is_key && (picture.is_awaited || has_passed(GRADUAL_SPACING_MS))
            }
            Access::Inter => false,
        };
        if says_so {
            return (true, false);
        }
        if picture.access != Access::Inter {
            return (picture.is_awaited || has_passed(UNFLAGGED_AFTER_MS), false);
        }
        let is_late = if picture.is_awaited {
            // Once it has been seen that nothing better comes, nothing is lost by waiting for it.
            self.is_makeshift || self.awaited_ms >= ANY_AT_START_MS
        } else {
            has_passed(if self.is_makeshift { ANY_AGAIN_MS } else { ANY_WITHIN_MS })
        };
        (is_late, is_late)
    }

    /// Roughly how much time has passed since the picture before: stamps may stand still or jump, and arrivals come in bursts.
    fn passed(&mut self, stamp_ms: u32, now_us: i64) -> i64 {
        let Some(last) = self.last.replace(Moment { stamp_ms, now_us }) else { return 0 };
        let told_ms = i64::from(stamp_ms.wrapping_sub(last.stamp_ms).cast_signed());
        let told_ms = if told_ms <= LONGEST_RHYTHM_MS { told_ms } else { 0 };
        let arrived_ms = now_us.saturating_sub(last.now_us) / 1000;
        told_ms.max(arrived_ms).clamp(0, LONGEST_RHYTHM_MS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPEN: Access = Access::Recovery { frames: 0 };
    const GRADUAL: Access = Access::Recovery { frames: 9 };

    /// Times in milliseconds of the entries of `seconds` at 25 pictures a second; `kind` says what the picture with a number
    /// is and whether it is flagged. The session is awaited until the first entry.
    fn entries(seconds: u32, kind: impl Fn(u32) -> (Access, bool)) -> Vec<u32> {
        let mut entries = Entries::default();
        let mut found: Vec<u32> = Vec::new();
        for number in 0..seconds * 25 {
            let (access, is_key) = kind(number);
            let stamp_ms = number * 40;
            let picture = Picture {
                access,
                is_key,
                is_awaited: found.is_empty(),
                // Across the roll-over of stamps.
                stamp_ms: stamp_ms.wrapping_sub(5_000),
                now_us: i64::from(stamp_ms) * 1000,
            };
            if entries.take(picture) {
                found.push(stamp_ms);
            }
        }
        found
    }

    #[test]
    fn encoders_get_the_entries_they_offer() {
        let every = |group: u32, first: (Access, bool), key: (Access, bool)| {
            move |number: u32| match number {
                0 => first,
                _ if number.is_multiple_of(group) => key,
                _ => (Access::Inter, false),
            }
        };
        let idr = (Access::Clean, true);
        let table: [(&str, Vec<u32>, &[u32]); 9] = [
            ("IDR", entries(7, every(50, idr, idr)), &[0, 2000, 4000, 6000]),
            (
                "IDR in tags of inter frames",
                entries(7, every(50, (Access::Clean, false), (Access::Clean, false))),
                &[0, 2000, 4000, 6000],
            ),
            ("open groups", entries(7, every(50, idr, (OPEN, true))), &[0, 2000, 4000, 6000]),
            ("gradual refresh", entries(7, every(50, idr, (GRADUAL, true))), &[0, 2000, 4000, 6000]),
            (
                "I pictures with the flag",
                entries(7, every(50, idr, (Access::Intra, true))),
                &[0, 2000, 4000, 6000],
            ),
            (
                "joined without an IDR",
                entries(7, every(50, (Access::Inter, false), (OPEN, true))),
                &[2000, 4000, 6000],
            ),
            (
                "I pictures that a scene change made, between IDR pictures of a usual distance",
                entries(21, |number| {
                    if number.is_multiple_of(250) {
                        idr
                    } else if number % 40 == 7 {
                        (Access::Intra, false)
                    } else {
                        (Access::Inter, false)
                    }
                }),
                &[0, 10_000, 20_000],
            ),
            (
                "a flag on every tag",
                entries(11, |number| if number.is_multiple_of(100) { idr } else { (Access::Inter, true) }),
                &[0, 4000, 8000],
            ),
            (
                "a gradual recovery announced in front of every picture",
                entries(3, |number| if number == 0 { idr } else { (GRADUAL, true) }),
                &[0, 1000, 2000],
            ),
        ];
        for (what, found, expected) in table {
            assert_eq!(found, expected, "{what}");
        }
    }

    #[test]
    fn a_stream_without_entries_gets_makeshift_ones() {
        let never = entries(200, |_| (Access::Inter, false));
        assert_eq!(i64::from(never[0]), ANY_AT_START_MS);
        assert!(never.windows(2).all(|pair| i64::from(pair[1] - pair[0]) == ANY_AGAIN_MS), "{never:?}");

        let once =
            entries(200, |number| (if number == 0 { Access::Clean } else { Access::Inter }, number == 0));
        assert_eq!(&once[..3], [0, ANY_WITHIN_MS as u32, (ANY_WITHIN_MS + ANY_AGAIN_MS) as u32]);

        let unflagged = entries(60, |number| (if number % 25 == 3 { OPEN } else { Access::Inter }, false));
        assert_eq!(unflagged[0], 120, "what says something for itself is not waited for");
        assert!(unflagged.windows(2).all(|pair| i64::from(pair[1] - pair[0]) <= UNFLAGGED_AFTER_MS + 1000));

        assert_eq!(entries(200, |_| (Access::Unknown, true)), [], "no pictures at all");
    }

    #[test]
    fn long_groups_of_pictures_stay_whole() {
        // "Smart" codecs stretch groups up to 1200 pictures.
        let found = entries(200, |number| {
            (if number % 1200 == 0 { Access::Clean } else { Access::Inter }, number % 1200 == 0)
        });
        assert_eq!(found, [0, 48_000, 96_000, 144_000, 192_000]);
    }

    #[test]
    fn after_a_silence_a_stream_without_entries_goes_on_at_once() {
        let mut state = Entries::default();
        let mut at = |ms: u32, is_awaited| {
            let picture = Picture {
                access: Access::Inter,
                is_key: false,
                is_awaited,
                stamp_ms: ms,
                now_us: i64::from(ms) * 1000,
            };
            state.take(picture)
        };
        let first = (0..).map(|number| number * 40).find(|ms| at(*ms, true)).unwrap();
        assert!(!at(first + 40, false));
        assert!(at(first + 9_000, true), "nothing better is to be expected");
    }

    #[test]
    fn stamps_that_stand_still_do_not_stop_the_clock() {
        let mut state = Entries::default();
        let found = (0..250).find(|number| {
            let now_us = i64::from(*number) * 40_000;
            state.take(Picture {
                access: Access::Inter,
                is_key: false,
                is_awaited: true,
                stamp_ms: 0,
                now_us,
            })
        });
        assert_eq!(found.map(|number: u32| i64::from(number) * 40), Some(ANY_AT_START_MS));
    }
}
