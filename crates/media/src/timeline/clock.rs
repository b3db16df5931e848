//! The node's two clocks: the monotonic one says how much time passed, the wall clock says what it is called.
//!
//! Everything in a timeline is measured by the monotonic clock. The wall clock is only the difference to it, which changes
//! when somebody sets the clock, and at no other time: NTP slews both clocks at once. So a sudden change of the difference
//! is a step, whatever the network or the source did meanwhile.

/// When a message came, by both clocks of the node, read together.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Arrival {
    /// Microseconds of a clock that is never set. Its origin means nothing, but is the same for all timelines of a node.
    pub monotonic_us: i64,
    /// UTC microseconds.
    pub wall_us: i64,
}

/// The time of a clock that is never set, such as the one of a file that is imported.
impl From<i64> for Arrival {
    fn from(now_us: i64) -> Self {
        Self { monotonic_us: now_us, wall_us: now_us }
    }
}

/// A sudden change of the wall clock beyond this is a step; less is followed without a seam.
pub const CLOCK_STEP_US: i64 = 500_000;

/// The wall clock may go off from the monotonic one by one part in this many without being called set: what slews only one of
/// the two (a hypervisor, a container's clock) is slower.
const FOLLOWED: i64 = 1_000;

/// Watches the difference of the two clocks. Many readings or few: the answer is the same.
#[derive(Clone, Copy, Debug, Default)]
pub struct ClockWatch {
    /// Monotonic time of the last reading, and the wall clock minus the monotonic clock as far as it was followed.
    known: Option<(i64, i64)>,
}

impl ClockWatch {
    /// Takes a reading. By how much the wall clock was set since the last one, if it was; positive is forwards.
    pub fn observe(&mut self, now: Arrival) -> Option<i64> {
        let told_us = now.wall_us.saturating_sub(now.monotonic_us);
        let Some((at_us, offset_us)) = self.known else {
            self.known = Some((now.monotonic_us, told_us));
            return None;
        };
        let off_us = told_us.saturating_sub(offset_us);
        if off_us.saturating_abs() > CLOCK_STEP_US {
            self.known = Some((now.monotonic_us, told_us));
            return Some(off_us);
        }
        let most_us = now.monotonic_us.saturating_sub(at_us).max(0) / FOLLOWED;
        // What is too short to move the difference counts with the next reading.
        if most_us > 0 {
            let offset_us = offset_us.saturating_add(off_us.clamp(-most_us, most_us));
            self.known = Some((now.monotonic_us, offset_us));
        }
        None
    }

    /// What has to be added to the monotonic clock to get UTC microseconds; 0 before the first reading.
    #[must_use]
    pub fn offset_us(&self) -> i64 {
        self.known.map_or(0, |(_, offset_us)| offset_us)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: i64 = 1_000_000;

    fn at(monotonic_us: i64, offset_us: i64) -> Arrival {
        Arrival { monotonic_us, wall_us: monotonic_us + offset_us }
    }

    #[test]
    fn a_step_is_told_once_with_its_size_and_a_silence_is_none() {
        for step_us in [-3_600 * S, -30 * S, -8 * S, -S, 600_000, 5 * S, 3_600 * S, 8 * 86_400 * S] {
            for pause_us in [1_000, 40_000, 20 * S, 7_200 * S] {
                let mut watch = ClockWatch::default();
                assert_eq!(watch.observe(at(5 * S, 100 * S)), None);
                assert_eq!(watch.observe(at(5 * S + pause_us, 100 * S)), None, "{pause_us}");
                let after_us = 5 * S + 2 * pause_us;
                assert_eq!(watch.observe(at(after_us, 100 * S + step_us)), Some(step_us), "{step_us}");
                assert_eq!(watch.observe(at(after_us + 40_000, 100 * S + step_us)), None);
                assert_eq!(watch.offset_us(), 100 * S + step_us);
            }
        }
    }

    #[test]
    fn a_clock_that_is_slewed_is_followed_and_not_called_set() {
        for (slew_ppm, reading_us) in [(500, 50_000), (-500, 50_000), (100, 1_000), (-900, 7 * S)] {
            let mut watch = ClockWatch::default();
            for number in 0..200_000i64 {
                let now_us = number * reading_us;
                let offset_us = now_us * slew_ppm / 1_000_000;
                assert_eq!(watch.observe(at(now_us, offset_us)), None, "{slew_ppm} ppm");
                assert!((watch.offset_us() - offset_us).abs() < 20_000, "{slew_ppm} ppm");
            }
        }
    }

    #[test]
    fn small_steps_that_add_up_are_one() {
        let mut watch = ClockWatch::default();
        let steps: Vec<i64> =
            (0..10).filter_map(|number| watch.observe(at(number * S, number * 200_000))).collect();
        assert_eq!(steps.len(), 3, "{steps:?}");
        assert!(steps.iter().all(|step| (500_000..700_000).contains(step)), "{steps:?}");
    }
}
