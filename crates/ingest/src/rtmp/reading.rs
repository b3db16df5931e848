//! How much is read at once, and how often: few wake-ups at a steady rate, none too many bytes held.

use std::time::Duration;

use tokio::time::Instant;

use crate::limits::{
    BUSY_READ_BYTES, BUSY_READ_TICK, FIRST_READ_BYTES, MAX_PAUSE, MAX_READ_BYTES, MIN_READ_BYTES,
    PACED_READ_BYTES, READ_TICK,
};

/// Decides the size and the moment of the next read of one connection.
#[derive(Debug)]
pub(super) struct Reading {
    /// Most bytes of the next read.
    size: usize,
    due: Due,
    /// Whether media flows: only then is waiting worth while.
    is_publishing: bool,
    /// The ticks of all connections fall on one grid, so that one wake-up of a worker serves many of them.
    grid: Instant,
}

/// When the next read may happen.
#[derive(Clone, Copy, Debug)]
enum Due {
    Now,
    /// At the next tick.
    Tick(Instant),
    /// After a publisher that runs ahead has waited.
    Pause(Instant),
}

impl Reading {
    /// `grid` is the same for all connections of a server.
    pub(super) fn new(grid: Instant) -> Self {
        Self { size: FIRST_READ_BYTES, due: Due::Now, is_publishing: false, grid }
    }

    /// Most bytes to read.
    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// When the next read may happen; `None`: at once.
    pub(super) fn not_before(&self) -> Option<Instant> {
        match self.due {
            Due::Now => None,
            Due::Tick(at) | Due::Pause(at) => Some(at),
        }
    }

    /// The tick at which the next read is due, where that is what it waits for.
    pub(super) fn tick(&self) -> Option<Instant> {
        match self.due {
            Due::Tick(at) => Some(at),
            Due::Now | Due::Pause(_) => None,
        }
    }

    /// Media begins or ends.
    pub(super) fn set_publishing(&mut self, is_publishing: bool) {
        self.is_publishing = is_publishing;
        self.due = Due::Now;
        self.size = if is_publishing { MIN_READ_BYTES } else { FIRST_READ_BYTES };
    }

    /// `count` bytes arrived where `offered` were asked for; the publisher is `ahead` of where it may be.
    pub(super) fn arrived(&mut self, count: usize, offered: usize, ahead: Duration, now: Instant) {
        self.due = Due::Now;
        if !self.is_publishing {
            return;
        }
        if !ahead.is_zero() {
            self.size = PACED_READ_BYTES;
            self.pause(ahead, now);
            return;
        }
        if count < offered {
            // The socket is empty: let the next packets gather, but not more than its buffer holds.
            let tick = if count < BUSY_READ_BYTES { READ_TICK } else { BUSY_READ_TICK };
            self.due = Due::Tick(self.next_tick(now, tick));
        }
        if count >= offered {
            self.size = (self.size * 2).min(MAX_READ_BYTES);
        } else if count < self.size / 4 {
            self.size = (self.size / 2).max(MIN_READ_BYTES);
        }
    }

    /// The publisher is `ahead` of where it may be: it waits, and is judged anew after at most [`MAX_PAUSE`].
    pub(super) fn pause(&mut self, ahead: Duration, now: Instant) {
        self.due = Due::Pause(now + ahead.min(MAX_PAUSE));
    }

    /// There was nothing to read.
    pub(super) fn empty(&mut self, now: Instant) {
        self.due = if self.is_publishing { Due::Tick(self.next_tick(now, READ_TICK)) } else { Due::Now };
    }

    fn next_tick(&self, now: Instant, tick: Duration) -> Instant {
        let since = now.saturating_duration_since(self.grid).as_micros();
        let tick = tick.as_micros();
        let wait = tick - since % tick;
        now + Duration::from_micros(u64::try_from(wait).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn before_publishing_nothing_waits_and_reads_are_small() {
        let now = Instant::now();
        let mut reading = Reading::new(now);
        reading.arrived(100, FIRST_READ_BYTES, Duration::ZERO, now);
        assert_eq!((reading.size(), reading.not_before()), (FIRST_READ_BYTES, None));
    }

    #[test]
    fn a_drained_socket_is_left_alone_until_the_next_tick_of_the_grid() {
        let grid = Instant::now();
        let mut reading = Reading::new(grid);
        reading.set_publishing(true);
        let now = grid + READ_TICK * 3 + Duration::from_millis(1);
        reading.arrived(1000, MIN_READ_BYTES, Duration::ZERO, now);
        assert_eq!(reading.not_before(), Some(grid + READ_TICK * 4));
        assert_eq!(reading.tick(), reading.not_before());
    }

    #[test]
    fn reads_grow_while_they_are_filled_and_shrink_again() {
        let now = Instant::now();
        let mut reading = Reading::new(now);
        reading.set_publishing(true);
        for _ in 0..5 {
            reading.arrived(reading.size(), reading.size(), Duration::ZERO, now);
        }
        assert_eq!((reading.size(), reading.not_before()), (MAX_READ_BYTES, None));
        for _ in 0..5 {
            reading.arrived(10, reading.size(), Duration::ZERO, now);
        }
        assert_eq!(reading.size(), MIN_READ_BYTES);
    }

    #[test]
    fn a_publisher_that_is_ahead_pauses_in_bounded_steps() {
        let now = Instant::now();
        let mut reading = Reading::new(now);
        reading.set_publishing(true);
        reading.arrived(MIN_READ_BYTES, MIN_READ_BYTES, Duration::from_secs(3600), now);
        assert_eq!((reading.size(), reading.not_before()), (PACED_READ_BYTES, Some(now + MAX_PAUSE)));
        assert_eq!(reading.tick(), None);
    }
}
