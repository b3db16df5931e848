//! Wall-clock time. Waiting and timers are not here: those who wait take deadlines as arguments.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Tells the wall-clock time.
pub trait Clock: Send + Sync + 'static {
    /// UTC microseconds since 1970-01-01T00:00:00Z.
    ///
    /// It can step in either direction when the machine's clock is corrected; who needs steadiness counts ticks.
    fn now_us(&self) -> i64;
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
    fn now_us(&self) -> i64 {
        match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => micros(since),
            Err(before) => -micros(before.duration()),
        }
    }
}

/// Saturates some 292 000 years away from 1970.
fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

/// A clock that stands still until it is told otherwise.
#[derive(Debug, Default)]
pub struct SimulatedClock(AtomicI64);

impl SimulatedClock {
    /// A clock that shows `now_us`.
    #[must_use]
    pub fn new(now_us: i64) -> Self {
        Self(AtomicI64::new(now_us))
    }

    /// Sets the time, forwards or backwards.
    pub fn set(&self, now_us: i64) {
        self.0.store(now_us, Ordering::SeqCst);
    }

    /// Moves the time by `by_us` and returns the new time.
    pub fn advance(&self, by_us: i64) -> i64 {
        self.0.fetch_add(by_us, Ordering::SeqCst).wrapping_add(by_us)
    }
}

impl Clock for SimulatedClock {
    fn now_us(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machines_clock_counts_microseconds_of_this_century() {
        let now_us = SystemClock.now_us();
        assert!(now_us > 1_700_000_000_000_000, "{now_us}");
        assert!(now_us < 4_000_000_000_000_000, "{now_us}");
        assert!(SystemClock.now_us() >= now_us);
    }

    #[test]
    fn a_simulated_clock_moves_only_when_told() {
        let clock = SimulatedClock::new(5);
        assert_eq!(clock.now_us(), 5);
        assert_eq!(clock.advance(10), 15);
        assert_eq!(clock.now_us(), 15);
        clock.set(-3);
        assert_eq!(clock.now_us(), -3);
    }
}
