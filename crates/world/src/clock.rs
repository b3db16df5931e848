//! What time it is: by the wall clock, which dates footage and which people set, and by the monotonic clock, which measures
//! how long something takes. Waiting and timers are not here: those who wait take deadlines as arguments.

use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Both clocks at one instant.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Now {
    /// [`Clock::monotonic_us`].
    pub monotonic_us: i64,
    /// [`Clock::now_us`].
    pub wall_us: i64,
}

/// Tells the time.
pub trait Clock: Send + Sync + 'static {
    /// The wall clock: UTC microseconds since 1970-01-01T00:00:00Z.
    ///
    /// It steps in either direction when somebody sets it. It says when something was; never how long something took.
    fn now_us(&self) -> i64;

    /// The monotonic clock: microseconds since an instant of its own choosing. It goes on whatever is done to the wall
    /// clock, and means nothing to another process or after a restart.
    fn monotonic_us(&self) -> i64;

    /// Both clocks, read so close to one another that their difference changes only when the wall clock is set.
    fn now(&self) -> Now {
        Now { monotonic_us: self.monotonic_us(), wall_us: self.now_us() }
    }
}

/// The machine's clocks.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

/// Readings of both clocks further apart than this are made again: a thread that was stopped between them would see a step
/// that nobody made.
const READ_WITHIN_US: i64 = 1_000;

/// How often they are made again at most. On a machine that stops every thread that often, the last ones are taken.
const READ_ATTEMPTS: usize = 8;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
    fn now_us(&self) -> i64 {
        match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => micros(since),
            Err(before) => -micros(before.duration()),
        }
    }

    fn monotonic_us(&self) -> i64 {
        static ORIGIN: OnceLock<Instant> = OnceLock::new();
        micros(ORIGIN.get_or_init(Instant::now).elapsed())
    }

    fn now(&self) -> Now {
        let mut monotonic_us = self.monotonic_us();
        let mut wall_us = self.now_us();
        for _ in 0..READ_ATTEMPTS {
            let after_us = self.monotonic_us();
            if after_us - monotonic_us <= READ_WITHIN_US {
                break;
            }
            monotonic_us = after_us;
            wall_us = self.now_us();
        }
        Now { monotonic_us, wall_us }
    }
}

/// Saturates some 292 000 years away from 1970.
fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

/// Clocks that stand still until they are told otherwise.
#[derive(Debug, Default)]
pub struct SimulatedClock(Mutex<Now>);

impl SimulatedClock {
    /// A clock that shows `now_us`; its monotonic clock begins at 0.
    #[must_use]
    pub fn new(now_us: i64) -> Self {
        Self(Mutex::new(Now { monotonic_us: 0, wall_us: now_us }))
    }

    /// Lets time pass until the wall clock shows `now_us`; what lies back is a step of the wall clock, as time does not run
    /// backwards.
    pub fn set(&self, now_us: i64) {
        self.change(|now| {
            now.monotonic_us = now.monotonic_us.saturating_add(now_us.saturating_sub(now.wall_us).max(0));
            now.wall_us = now_us;
        });
    }

    /// Lets `by_us` pass and returns the new wall time; a negative time is a step back of the wall clock.
    pub fn advance(&self, by_us: i64) -> i64 {
        self.change(|now| {
            now.monotonic_us = now.monotonic_us.saturating_add(by_us.max(0));
            now.wall_us = now.wall_us.wrapping_add(by_us);
        })
    }

    /// Somebody sets the wall clock, forwards or backwards, while no time passes; returns what it shows then.
    pub fn step(&self, by_us: i64) -> i64 {
        self.change(|now| now.wall_us = now.wall_us.wrapping_add(by_us))
    }

    fn change(&self, change: impl FnOnce(&mut Now)) -> i64 {
        let mut now = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut now);
        now.wall_us
    }
}

impl Clock for SimulatedClock {
    fn now_us(&self) -> i64 {
        self.now().wall_us
    }

    fn monotonic_us(&self) -> i64 {
        self.now().monotonic_us
    }

    fn now(&self) -> Now {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
    fn the_machines_monotonic_clock_goes_on_and_both_are_read_together() {
        let (before, monotonic_us) = (SystemClock.now(), SystemClock.monotonic_us());
        assert!(monotonic_us >= before.monotonic_us);
        let after = SystemClock.now();
        assert!(after.monotonic_us >= monotonic_us);
        let apart = |now: Now| now.wall_us - now.monotonic_us;
        assert!((apart(after) - apart(before)).abs() < 100_000, "{before:?} {after:?}");
    }

    #[test]
    fn only_the_wall_clock_of_a_simulated_clock_is_set() {
        let clock = SimulatedClock::new(1_000);
        assert_eq!(clock.now(), Now { monotonic_us: 0, wall_us: 1_000 });
        assert_eq!(clock.step(-700), 300);
        assert_eq!(clock.now(), Now { monotonic_us: 0, wall_us: 300 });
        clock.advance(50);
        clock.set(1_000);
        assert_eq!(clock.now(), Now { monotonic_us: 700, wall_us: 1_000 });
        clock.set(900);
        clock.advance(-100);
        assert_eq!(clock.now(), Now { monotonic_us: 700, wall_us: 800 });
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
