//! How often a channel may begin a session: each is a segment with its file, its syncs, its row and its upload.

use crate::limits::{SESSION_BURST, SESSION_REFILL_US};

/// A token bucket (as the generic cell rate algorithm, ITU-T I.371 §A). It belongs to the channel, so reconnecting fills nothing. Pure.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct SessionPace {
    /// When all tokens are back, microseconds of the monotonic clock.
    full_at_us: i64,
    /// Whether the log has it.
    is_told: bool,
}

/// What follows from the beginning of a session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Paced {
    /// Before this instant of the monotonic clock no more of the publisher is read.
    pub(super) not_before_us: i64,
    /// To be said: the first time since all tokens were there.
    pub(super) is_news: bool,
}

impl SessionPace {
    /// A session has begun.
    pub(super) fn begun(&mut self, now_us: i64) -> Paced {
        if self.full_at_us <= now_us {
            *self = Self { full_at_us: now_us, is_told: false };
        }
        self.full_at_us = self.full_at_us.saturating_add(SESSION_REFILL_US);
        let not_before_us = self.not_before_us();
        let is_news = not_before_us > now_us && !std::mem::replace(&mut self.is_told, not_before_us > now_us);
        Paced { not_before_us, is_news }
    }

    /// When there is a token for the next one.
    pub(super) fn not_before_us(&self) -> i64 {
        self.full_at_us.saturating_sub(i64::from(SESSION_BURST - 1) * SESSION_REFILL_US)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seconds at which sessions begin that come as fast as they may.
    fn greedy(count: u32, pace: &mut SessionPace, mut now_us: i64) -> i64 {
        for _ in 0..count {
            now_us = now_us.max(pace.not_before_us());
            pace.begun(now_us);
        }
        now_us
    }

    #[test]
    fn a_burst_is_free_and_the_rest_comes_at_the_pace() {
        let (mut pace, start) = (SessionPace::default(), 1_000_000_000);
        assert_eq!(greedy(SESSION_BURST, &mut pace, start), start);
        assert_eq!(greedy(100, &mut pace, start), start + 100 * SESSION_REFILL_US);
        // After a rest everything is there again.
        let rested = start + 1000 * SESSION_REFILL_US;
        assert_eq!(greedy(SESSION_BURST, &mut pace, rested), rested);
    }

    #[test]
    fn who_begins_one_at_each_refill_never_waits() {
        let (mut pace, start) = (SessionPace::default(), -5);
        for number in 0..10_000 {
            let now_us = start + number * SESSION_REFILL_US;
            let paced = pace.begun(now_us);
            assert!(paced.not_before_us <= now_us && !paced.is_news);
        }
    }

    #[test]
    fn it_is_said_once_until_all_is_quiet_again() {
        let mut pace = SessionPace::default();
        let news = |pace: &mut SessionPace, now_us| (0..100).filter(|_| pace.begun(now_us).is_news).count();
        assert_eq!((news(&mut pace, 0), news(&mut pace, SESSION_REFILL_US)), (1, 0));
        assert_eq!(news(&mut pace, 1000 * SESSION_REFILL_US), 1);
    }
}
