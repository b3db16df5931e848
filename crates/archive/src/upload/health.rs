//! Whether the bucket takes what it is given, and when it is asked again: pure, time is an argument.

use std::time::{Duration, Instant};

use crate::{
    bucket::BucketError,
    limits::{UPLOAD_PAUSE_CEILING_MS, UPLOAD_PAUSE_FLOOR_MS, UPLOAD_REFUSED_PAUSE_MS, UPLOAD_TICK_MS},
};

/// How patiently a bucket that fails is tried again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pauses {
    /// First pause after a failure, doubled with each.
    pub floor: Duration,
    /// Longest pause.
    pub ceiling: Duration,
    /// Pause after a refusal, which somebody has to mend first; also the longest that the bucket may ask for.
    pub refused: Duration,
    /// How often it is looked whether a growing segment has another part to send.
    pub tick: Duration,
}

impl Default for Pauses {
    fn default() -> Self {
        Self {
            floor: Duration::from_millis(UPLOAD_PAUSE_FLOOR_MS),
            ceiling: Duration::from_millis(UPLOAD_PAUSE_CEILING_MS),
            refused: Duration::from_millis(UPLOAD_REFUSED_PAUSE_MS),
            tick: Duration::from_millis(UPLOAD_TICK_MS),
        }
    }
}

impl Pauses {
    /// Doubles with every failure up to the ceiling; the upper half of it is drawn by lot, so that nodes and segments do
    /// not all come back at once.
    pub(crate) fn after(&self, failures: u32, seed: u64) -> Duration {
        let full = self.floor.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(self.ceiling);
        // Fibonacci hashing: enough of a lot, and a test can draw it again.
        let lot = (seed ^ u64::from(failures)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 48;
        let parts = u32::try_from(lot).unwrap_or(0);
        full / 2 + (full / 2).saturating_mul(parts) / (1 << 16)
    }
}

/// The bucket's health, as its answers tell. While it is ill, one call at a time is tried, with growing pauses.
#[derive(Debug)]
pub(crate) struct Health {
    pauses: Pauses,
    /// Failures since the last success.
    failures: u32,
    paused_until: Option<Instant>,
    trouble: Option<Trouble>,
}

/// What is wrong.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Trouble {
    /// Since when, UTC microseconds.
    pub since_us: i64,
    /// In the words of the last failure.
    pub reason: String,
    /// Whether somebody has to do something: credentials, rights, a cap, a bucket that is not there.
    pub needs_somebody: bool,
    /// Failures in a row.
    pub failures: u32,
}

impl Health {
    /// Well, as far as is known.
    pub(crate) fn new(pauses: Pauses) -> Self {
        Self { pauses, failures: 0, paused_until: None, trouble: None }
    }

    /// A call succeeded; what had been wrong until then.
    pub(crate) fn succeeded(&mut self) -> Option<Trouble> {
        self.failures = 0;
        self.paused_until = None;
        self.trouble.take()
    }

    /// A call failed. `seed` spreads the pauses of nodes and segments, so that they do not all come back at once.
    pub(crate) fn failed(&mut self, error: &BucketError, now: Instant, now_us: i64, seed: u64) {
        self.failures = self.failures.saturating_add(1);
        let needs_somebody = !error.is_transient();
        let pause = if needs_somebody { self.pauses.refused } else { self.pauses.after(self.failures, seed) };
        let asked_for = match error {
            BucketError::Busy { retry_after: Some(pause), .. } => (*pause).min(self.pauses.refused),
            _ => Duration::ZERO,
        };
        let until = now + pause.max(asked_for);
        self.paused_until = Some(self.paused_until.map_or(until, |earlier| earlier.max(until)));
        let since_us = self.trouble.as_ref().map_or(now_us, |trouble| trouble.since_us);
        self.trouble =
            Some(Trouble { since_us, reason: error.to_string(), needs_somebody, failures: self.failures });
    }

    /// How many calls may run at once now, of `limit`.
    pub(crate) fn allowance(&self, limit: usize, now: Instant) -> usize {
        if self.paused_until.is_some_and(|until| now < until) {
            0
        } else if self.failures > 0 {
            1
        } else {
            limit
        }
    }

    /// When something may be tried again.
    pub(crate) fn paused_until(&self) -> Option<Instant> {
        self.paused_until
    }

    pub(crate) fn trouble(&self) -> Option<&Trouble> {
        self.trouble.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn busy(retry_after: Option<u64>) -> BucketError {
        BucketError::Busy {
            status: 503,
            retry_after: retry_after.map(Duration::from_secs),
            message: "no tomes available".into(),
        }
    }

    #[test]
    fn pauses_grow_within_bounds_and_are_spread() {
        for failures in 1..40 {
            let pause = Pauses::default().after(failures, 7).as_millis();
            assert!(pause >= u128::from(UPLOAD_PAUSE_FLOOR_MS / 2), "{failures}: {pause}");
            assert!(pause <= u128::from(UPLOAD_PAUSE_CEILING_MS), "{failures}: {pause}");
        }
        let spread: std::collections::HashSet<_> =
            (0..100).map(|seed| Pauses::default().after(10, seed)).collect();
        assert!(spread.len() > 50);
    }

    #[test]
    fn an_ill_bucket_is_asked_by_one_call_at_a_time() {
        let (mut health, now) = (Health::new(Pauses::default()), Instant::now());
        assert_eq!(health.allowance(4, now), 4);
        health.failed(&busy(None), now, 5, 0);
        health.failed(&busy(None), now, 9, 0);
        assert_eq!(health.allowance(4, now), 0);
        let later = health.paused_until().unwrap();
        assert_eq!(health.allowance(4, later), 1);
        let trouble = health.trouble().unwrap();
        assert_eq!((trouble.since_us, trouble.failures, trouble.needs_somebody), (5, 2, false));
        assert!(health.succeeded().is_some());
        assert_eq!(health.allowance(4, now), 4);
        assert!(health.succeeded().is_none());
    }

    #[test]
    fn what_the_bucket_asks_for_is_respected_within_reason() {
        let (mut health, now) = (Health::new(Pauses::default()), Instant::now());
        health.failed(&busy(Some(20)), now, 0, 0);
        assert_eq!(health.paused_until().unwrap() - now, Duration::from_secs(20));
        let mut health = Health::new(Pauses::default());
        health.failed(&busy(Some(1_000_000)), now, 0, 0);
        assert_eq!(health.paused_until().unwrap() - now, Duration::from_millis(UPLOAD_REFUSED_PAUSE_MS));
        let refused = BucketError::Refused { status: 403, message: "cap exceeded".into() };
        let mut health = Health::new(Pauses::default());
        health.failed(&refused, now, 0, 0);
        assert!(health.trouble().unwrap().needs_somebody);
        assert!(health.trouble().unwrap().reason.contains("cap exceeded"));
    }
}
