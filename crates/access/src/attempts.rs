//! How often codes may be tried. Pure: the counters lie in the catalog, so that a restart forgets nothing.

/// How many wrong attempts there may be in a window of time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limit {
    /// Wrong attempts that are answered.
    pub failures: u32,
    /// Length of the window in microseconds; it begins with the first of them.
    pub window_us: i64,
}

/// From one address, or one IPv6 /64 network: all players of a club may come from one.
pub const PER_ADDRESS: Limit = Limit { failures: 20, window_us: 15 * 60 * 1_000_000 };

/// For one slot, from wherever: with [`crate::code::CODES`] codes and a life of [`crate::code::LIFE_US`] one in some 40,000 slots that are
/// tried without a pause is opened.
pub const PER_SLOT: Limit = Limit { failures: 30, window_us: 60 * 60 * 1_000_000 };

/// Attempts that were counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Counter {
    /// When the window began, UTC microseconds.
    pub window_from_us: i64,
    /// Attempts in it that were not right.
    pub failures: u32,
}

impl Limit {
    /// The counter with one more attempt.
    ///
    /// # Errors
    ///
    /// Where there were too many: when the next attempt may be made, UTC microseconds, and the counter, which is to be kept as well.
    pub fn attempt(self, counter: Option<Counter>, now_us: i64) -> Result<Counter, (i64, Counter)> {
        let fresh = Counter { window_from_us: now_us, failures: 1 };
        let Some(Counter { window_from_us, failures }) = counter else { return Ok(fresh) };
        // A clock that was set back makes nobody wait for it to catch up, and forgets nothing.
        let window_from_us = window_from_us.min(now_us);
        let end_us = window_from_us.saturating_add(self.window_us);
        if now_us >= end_us {
            return Ok(fresh);
        }
        if failures >= self.failures {
            return Err((end_us, Counter { window_from_us, failures }));
        }
        Ok(Counter { window_from_us, failures: failures + 1 })
    }
}

const _: () = assert!(PER_ADDRESS.failures > 0 && PER_SLOT.failures > 0);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_and_then_a_pause() {
        let limit = Limit { failures: 3, window_us: 1_000 };
        let mut counter = None;
        for now_us in [10, 20, 30] {
            counter = Some(limit.attempt(counter, now_us).unwrap());
        }
        assert_eq!(limit.attempt(counter, 1_009), Err((1_010, counter.unwrap())));
        assert_eq!(limit.attempt(counter, 1_010), Ok(Counter { window_from_us: 1_010, failures: 1 }));
        // Set back by a day: as many as there were, and no longer a pause than ever.
        let (next_us, moved) = limit.attempt(counter, -90_000).unwrap_err();
        assert_eq!(next_us, -89_000);
        assert_eq!(limit.attempt(Some(moved), -89_500), Err((-89_000, moved)), "the end stays where it is");
        assert!(limit.attempt(Some(moved), next_us).is_ok());
    }
}
