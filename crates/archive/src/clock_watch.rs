//! Watches the node's wall clock: a step is logged once for all channels, and a large one is an alarm. Each channel's timeline
//! sees the step for itself, at the frame at which it happened.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use media::timeline::{Arrival, ClockWatch};
use tracing::warn;

use crate::core::Core;

/// A step beyond this is an alarm: footage is dated wrongly on one side of it, by as much.
pub(crate) const ALARM_US: i64 = 10_000_000;

/// How often the clocks are compared.
const TICK: Duration = Duration::from_secs(1);

/// The last step that is an alarm.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct ClockStep {
    /// By how much the clock was set; positive is forwards.
    pub(crate) by_us: i64,
    /// When it was seen, by the wall clock as it was set.
    pub(crate) at_us: i64,
    /// When it was seen, by the monotonic clock.
    pub(crate) monotonic_us: i64,
}

/// What is known of steps.
#[derive(Debug, Default)]
pub(crate) struct ClockState(Mutex<(ClockWatch, Option<ClockStep>)>);

impl ClockState {
    /// The last step that is an alarm, if there was one.
    pub(crate) fn last_step(&self) -> Option<ClockStep> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).1
    }

    /// Compares the clocks; by how much the wall clock was set since the last time.
    pub(crate) fn look(&self, now: world::Now) -> Option<i64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let by_us = state.0.observe(Arrival { monotonic_us: now.monotonic_us, wall_us: now.wall_us })?;
        if by_us.saturating_abs() > ALARM_US {
            state.1 = Some(ClockStep { by_us, at_us: now.wall_us, monotonic_us: now.monotonic_us });
        }
        Some(by_us)
    }
}

/// Watches until the archive goes.
pub(crate) async fn run(core: Arc<Core>) {
    loop {
        look(&core);
        tokio::select! {
            () = core.is_gone.cancelled() => return,
            () = tokio::time::sleep(TICK) => {}
        }
    }
}

/// Compares the clocks, and says what it sees.
pub(crate) fn look(core: &Core) {
    if let Some(by_us) = core.clock_state.look(core.clock.now()) {
        warn!(
            by_ms = by_us / 1000,
            "the wall clock was set {}: what is recorded from now on is dated by it",
            if by_us < 0 { "back" } else { "forwards" }
        );
    }
}
