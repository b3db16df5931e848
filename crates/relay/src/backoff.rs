//! How long to wait before a target is tried again.

use std::time::Duration;

use crate::limits::{BACK_OFF_FIRST, BACK_OFF_LONGEST, STEADY};

/// Pauses that double, up to a ceiling, and begin anew after a publication that lasted.
#[derive(Debug)]
pub(crate) struct BackOff {
    failures: u32,
    salt: u64,
}

impl BackOff {
    /// `salt` is another one for each relay, so that those that failed together do not come back together.
    pub(crate) fn new(salt: u64) -> Self {
        Self { failures: 0, salt }
    }

    /// The pause after a failure; the publication before it had lasted for `lasted`.
    pub(crate) fn pause(&mut self, lasted: Duration) -> Duration {
        self.failures = if lasted >= STEADY { 1 } else { self.failures.saturating_add(1) };
        let doubled = BACK_OFF_FIRST.saturating_mul(1 << (self.failures - 1).min(16)).min(BACK_OFF_LONGEST);
        // Up to half of it is taken away.
        let share = (mix(self.salt ^ u64::from(self.failures)) >> 11) as f64 / (1_u64 << 53) as f64;
        doubled.mul_f64(1.0 - share / 2.0)
    }
}

/// SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014).
pub(crate) fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_doubles_to_its_ceiling_and_begins_anew_after_a_success() {
        for salt in 0..50 {
            let mut back_off = BackOff::new(salt);
            let mut full = BACK_OFF_FIRST;
            for _ in 0..40 {
                // One that closes every second never counts as a success.
                let pause = back_off.pause(Duration::from_secs(1));
                assert!(pause <= full && pause >= full / 2, "{pause:?} for {full:?}");
                full = (full * 2).min(BACK_OFF_LONGEST);
            }
            assert!(back_off.pause(STEADY) <= BACK_OFF_FIRST);
        }
    }

    #[test]
    fn those_that_failed_together_come_back_apart() {
        let mut pauses: Vec<_> = (0..100).map(|salt| BackOff::new(salt).pause(Duration::ZERO)).collect();
        pauses.sort();
        pauses.dedup();
        assert!(pauses.len() > 95);
    }
}
