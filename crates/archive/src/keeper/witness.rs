//! Whether the clock may be believed by which footage expires: a pure decision.
//!
//! A clock that is ahead deletes footage before its time, all of it if it is far enough ahead. So it is compared with
//! whoever else knows what time it is. A club that was closed for two weeks and a clock that is two weeks ahead look the
//! same from here: then another witness has to confirm, or a person.

use std::fmt;

use super::DAY_US;
use crate::{bucket::BucketClock, limits::CLOCK_TOLERANCE_US, limits::MAX_UNCONFIRMED_LEAD_US};

/// What is known of the time.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Facts {
    /// What this machine's clock shows, UTC microseconds.
    pub(super) now_us: i64,
    /// The newest instant that surely has been, of footage and of trusted rounds, carried on by the time that this node has
    /// run since by the monotonic clock.
    pub(super) known_us: Option<i64>,
    /// What the database's server shows. It may run on this machine, so it can contradict and not confirm.
    pub(super) database_us: Option<i64>,
    /// What the bucket's service shows.
    pub(super) bucket: Option<BucketClock>,
    /// Whether NTP keeps this machine's clock.
    pub(super) is_synchronised: Option<bool>,
}

/// Why a clock is not believed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Doubt {
    /// The database's clock is another one by so much; positive: ours is ahead.
    Database { ahead_us: i64 },
    /// The bucket's is.
    Bucket { ahead_us: i64 },
    /// It is that much ahead of everything that is known, and nothing confirms it.
    Ahead { ahead_us: i64 },
    /// It is behind what is known to have been, and nothing confirms it.
    Behind { behind_us: i64 },
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = |us: i64| if us > 0 { "ahead of" } else { "behind" };
        match *self {
            Self::Database { ahead_us } => {
                write!(f, "this machine's clock is {} {} the database's", Span(ahead_us), side(ahead_us))
            }
            Self::Bucket { ahead_us } => {
                write!(f, "this machine's clock is {} {} the bucket's", Span(ahead_us), side(ahead_us))
            }
            Self::Ahead { ahead_us } => write!(
                f,
                "this machine's clock is {} ahead of the newest footage, and neither NTP nor a bucket confirms it",
                Span(ahead_us)
            ),
            Self::Behind { behind_us } => write!(
                f,
                "this machine's clock is {} behind the newest footage, and neither NTP nor a bucket confirms it",
                Span(behind_us)
            ),
        }
    }
}

/// A span for people.
struct Span(i64);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let minutes = self.0.unsigned_abs() / 60_000_000;
        match (minutes / 1440, minutes / 60 % 24, minutes % 60) {
            (0, 0, minutes) => write!(f, "{minutes} min"),
            (0, hours, minutes) => write!(f, "{hours} h {minutes} min"),
            (days, hours, _) => write!(f, "{days} d {hours} h"),
        }
    }
}

/// Whether footage may expire by this clock.
pub(super) fn judge(facts: Facts) -> Result<(), Doubt> {
    let ahead_of = |other_us: i64| facts.now_us.saturating_sub(other_us);
    let contradicts = |ahead_us: &i64| ahead_us.saturating_abs() > CLOCK_TOLERANCE_US;
    if let Some(ahead_us) = facts.database_us.map(ahead_of).filter(contradicts) {
        return Err(Doubt::Database { ahead_us });
    }
    if let Some(ahead_us) = facts.bucket.map(|clock| ahead_of(clock.now_us)).filter(contradicts) {
        return Err(Doubt::Bucket { ahead_us });
    }
    let is_confirmed =
        facts.is_synchronised == Some(true) || facts.bucket.is_some_and(|clock| clock.is_elsewhere);
    match facts.known_us.map(ahead_of) {
        Some(ahead_us) if ahead_us > MAX_UNCONFIRMED_LEAD_US && !is_confirmed => {
            Err(Doubt::Ahead { ahead_us })
        }
        Some(ahead_us) if ahead_us < -CLOCK_TOLERANCE_US && !is_confirmed => {
            Err(Doubt::Behind { behind_us: ahead_us.saturating_neg() })
        }
        _ => Ok(()),
    }
}

const _: () = assert!(CLOCK_TOLERANCE_US < MAX_UNCONFIRMED_LEAD_US && MAX_UNCONFIRMED_LEAD_US <= DAY_US);

#[cfg(test)]
mod tests {
    use super::*;

    const H: i64 = 3_600_000_000;
    const NOW: i64 = 1_763_985_600_000_000;

    fn at(now_us: i64, is_elsewhere: bool) -> Option<BucketClock> {
        Some(BucketClock { now_us, is_elsewhere })
    }

    #[test]
    fn a_clock_is_believed_until_somebody_knows_better() {
        let alone = Facts { now_us: NOW, known_us: Some(NOW - 60_000_000), ..Facts::default() };
        let known = |known_us| Facts { known_us: Some(known_us), ..alone };
        let eight_days = known(NOW - 8 * DAY_US);
        let ahead = |days: i64| Some(Doubt::Ahead { ahead_us: days * DAY_US });
        let table = [
            ("a node that runs", alone, None),
            ("nothing was ever recorded", Facts { known_us: None, ..alone }, None),
            ("off over night", known(NOW - 12 * H), None),
            ("off for a day to the second", known(NOW - DAY_US), None),
            ("8 days ahead, or closed", eight_days, ahead(8)),
            (
                "2 weeks, and NTP is off",
                Facts { is_synchronised: Some(false), ..known(NOW - 14 * DAY_US) },
                ahead(14),
            ),
            ("closed, as NTP confirms", Facts { is_synchronised: Some(true), ..eight_days }, None),
            (
                "closed, as the bucket confirms",
                Facts { bucket: at(NOW - 1_000_000, true), ..eight_days },
                None,
            ),
            (
                "a bucket on this machine confirms nothing",
                Facts { bucket: at(NOW, false), ..eight_days },
                ahead(8),
            ),
            ("a database confirms nothing", Facts { database_us: Some(NOW), ..eight_days }, ahead(8)),
            (
                "the bucket knows better",
                Facts { bucket: at(NOW - 8 * DAY_US, true), ..alone },
                Some(Doubt::Bucket { ahead_us: 8 * DAY_US }),
            ),
            (
                "even one on this machine, and against NTP",
                Facts { bucket: at(NOW - H, false), is_synchronised: Some(true), ..alone },
                Some(Doubt::Bucket { ahead_us: H }),
            ),
            (
                "the database knows better, whatever the bucket says",
                Facts { database_us: Some(NOW - 2 * H), bucket: at(NOW, true), ..alone },
                Some(Doubt::Database { ahead_us: 2 * H }),
            ),
            (
                "a little off is as good as right",
                Facts { database_us: Some(NOW + 9 * 60_000_000), ..alone },
                None,
            ),
            ("1970", Facts { now_us: 0, ..known(NOW) }, Some(Doubt::Behind { behind_us: NOW })),
            (
                "1970 by the bucket",
                Facts { now_us: 0, bucket: at(NOW, true), ..known(0) },
                Some(Doubt::Bucket { ahead_us: -NOW }),
            ),
            (
                "footage of an earlier wrong clock, which NTP has put right",
                Facts { is_synchronised: Some(true), ..known(NOW + 365 * DAY_US) },
                None,
            ),
            (
                "the end of time",
                Facts { now_us: i64::MAX, ..known(i64::MIN) },
                Some(Doubt::Ahead { ahead_us: i64::MAX }),
            ),
        ];
        for (what, facts, doubt) in table {
            assert_eq!(judge(facts).err(), doubt, "{what}");
        }
    }

    #[test]
    fn doubts_are_told_in_words() {
        let says = |doubt: Doubt| doubt.to_string();
        assert!(
            says(Doubt::Ahead { ahead_us: 8 * DAY_US + 2 * H })
                .contains("8 d 2 h ahead of the newest footage")
        );
        assert!(
            says(Doubt::Bucket { ahead_us: -90 * 60_000_000 }).contains("1 h 30 min behind the bucket's")
        );
        assert!(
            says(Doubt::Database { ahead_us: 11 * 60_000_000 }).contains("11 min ahead of the database's")
        );
    }
}
