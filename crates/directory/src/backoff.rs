//! How long to wait before trying again.

use std::time::Duration;

/// Doubles from `first` to `longest`, then takes away up to half, by `salt`: channels that failed together do not come
/// back together.
pub(crate) fn pause(attempt: u32, first: Duration, longest: Duration, salt: u64) -> Duration {
    let doubled = first.saturating_mul(1 << attempt.saturating_sub(1).min(16)).min(longest);
    let share = (mix(salt ^ u64::from(attempt)) >> 11) as f64 / (1_u64 << 53) as f64;
    doubled.mul_f64(1.0 - share / 2.0)
}

/// SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014).
fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_doubles_within_its_limits_and_spreads() {
        let (first, longest) = (Duration::from_millis(500), Duration::from_secs(30));
        for salt in 0..100 {
            let mut full = first;
            for attempt in 1..40 {
                let pause = pause(attempt, first, longest, salt);
                assert!(pause <= full && pause >= full / 2, "{pause:?} for {full:?}");
                full = (full * 2).min(longest);
            }
        }
        let mut pauses: Vec<_> = (0..100).map(|salt| pause(3, first, longest, salt)).collect();
        pauses.sort();
        pauses.dedup();
        assert!(pauses.len() > 95);
    }
}
