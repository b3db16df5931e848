//! The bandwidth cap: a token bucket, pure.

use std::time::{Duration, Instant};

/// Bytes that may be sent, earned by time. A part is let go when its bytes are earned.
#[derive(Debug)]
pub(crate) struct Pace {
    bytes_per_s: Option<u64>,
    /// What has been earned and not spent by `at`; below zero after a part that was let go early.
    earned_bytes: i128,
    at: Instant,
}

impl Pace {
    /// Without a cap where `bytes_per_s` is `None`.
    pub(crate) fn new(bytes_per_s: Option<u64>, now: Instant) -> Self {
        Self { bytes_per_s: bytes_per_s.map(|cap| cap.max(1)), earned_bytes: 0, at: now }
    }

    /// When the next part may be sent.
    pub(crate) fn ready_at(&self) -> Instant {
        match self.bytes_per_s {
            Some(cap) if self.earned_bytes < 0 => {
                let debt = u64::try_from(-self.earned_bytes).unwrap_or(u64::MAX);
                self.at + Duration::from_secs_f64(debt as f64 / cap as f64)
            }
            _ => self.at,
        }
    }

    /// A part is sent: the next one waits until its bytes are earned. Time in which nothing was sent is not saved up.
    pub(crate) fn spend(&mut self, bytes: u64, now: Instant) {
        let Some(cap) = self.bytes_per_s else { return };
        let elapsed = now.saturating_duration_since(self.at).as_secs_f64();
        let earned = (elapsed * cap as f64) as i128;
        self.earned_bytes = (self.earned_bytes + earned).min(0) - i128::from(bytes);
        self.at = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_spaced_by_their_bytes() {
        let start = Instant::now();
        let mut pace = Pace::new(Some(1_000), start);
        assert_eq!(pace.ready_at(), start);
        pace.spend(2_000, start);
        assert_eq!(pace.ready_at() - start, Duration::from_secs(2));
        let later = start + Duration::from_secs(2);
        pace.spend(500, later);
        assert_eq!(pace.ready_at() - later, Duration::from_millis(500));
        // An idle hour earns nothing for later.
        let much_later = later + Duration::from_secs(3600);
        pace.spend(1_000, much_later);
        assert_eq!(pace.ready_at() - much_later, Duration::from_secs(1));
    }

    #[test]
    fn without_a_cap_nothing_waits() {
        let start = Instant::now();
        let mut pace = Pace::new(None, start);
        pace.spend(u64::MAX, start);
        assert_eq!(pace.ready_at(), start);
    }
}
