//! Stamps that stand still: all zero, or counting frames instead of milliseconds. They tell the order of frames and nothing
//! else, so the arrival has to tell their time.
//!
//! Frames of one read arrive at once and networks jitter, so a frame does not get the time of its own arrival: a loop that
//! is locked to the arrivals gives even steps. What is slow to come, as on a link that is too narrow, still brings stamps that
//! move by a frame for each frame, and is not mistaken for this.

use super::limits::{
    LONGEST_RHYTHM_MS, STILL_AFTER_MS, STILL_ARRIVALS, STILL_MS_PER_FRAME, STILL_PART, STILL_STEP_MS,
};

/// Where a track was when its stamps were last seen to move.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Since {
    /// Common time.
    pub(super) ms: i64,
    /// Arrival.
    pub(super) now_us: i64,
    /// Frames after it.
    pub(super) frames: i64,
}

/// What the stamps of the last second say.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Seen {
    /// Nothing yet.
    Nothing,
    /// They stand still.
    Still(Since),
    /// They move as time does.
    Moving,
}

/// Watches how the stamps of one track move beside their arrivals.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Motion {
    last_raw_ms: i64,
    last_now_us: i64,
    since: Since,
    /// How far stamps have moved, and how far they have on their way there.
    moved_ms: i64,
    travelled_ms: i64,
    /// In how much time, silences cut short.
    passed_ms: i64,
    /// By how much less they had moved before: they may have stopped while it was looked at whether they move.
    behind_ms: i64,
    arrivals: u32,
}

impl Motion {
    /// At a frame of this stamp and arrival.
    pub(super) fn begin(raw_ms: i64, now_us: i64) -> Self {
        Self {
            last_raw_ms: raw_ms,
            last_now_us: now_us,
            since: Since { ms: 0, now_us, frames: 0 },
            ..Self::default()
        }
    }

    /// The next frame; the one before it stands at `common_ms`.
    pub(super) fn see(&mut self, raw_ms: i64, common_ms: i64, now_us: i64) -> Seen {
        if self.since.frames == 0 {
            self.since.ms = common_ms + self.behind_ms;
        }
        let step_ms = raw_ms - self.last_raw_ms;
        let passed_us = now_us.saturating_sub(self.last_now_us);
        if !(-LONGEST_RHYTHM_MS..=LONGEST_RHYTHM_MS).contains(&step_ms) || passed_us < 0 {
            // A jump says nothing about how time passes.
            *self = Self::begin(raw_ms, now_us);
            return Seen::Nothing;
        }
        (self.last_raw_ms, self.last_now_us) = (raw_ms, now_us);
        self.since.frames += 1;
        self.moved_ms += step_ms;
        self.travelled_ms += step_ms.abs();
        self.passed_ms += (passed_us / 1000).min(STILL_STEP_MS);
        self.arrivals += u32::from(passed_us > 0);
        if self.passed_ms < STILL_AFTER_MS || self.arrivals < STILL_ARRIVALS {
            return Seen::Nothing;
        }
        let (since, is_still) = (self.since, self.is_still());
        let is_moving = self.moved_ms * 2 >= self.passed_ms;
        let behind_ms = if is_still { 0 } else { (self.passed_ms - self.moved_ms).max(0) };
        *self = Self { behind_ms, ..Self::begin(raw_ms, now_us) };
        match (is_still, is_moving) {
            (true, _) => Seen::Still(since),
            (false, true) => Seen::Moving,
            (false, false) => Seen::Nothing,
        }
    }

    /// Whether the last frames have not moved, so far.
    pub(super) fn is_suspicious(&self) -> bool {
        self.arrivals > 1 && self.is_still()
    }

    fn is_still(&self) -> bool {
        self.travelled_ms < self.since.frames * STILL_MS_PER_FRAME
            && self.travelled_ms * STILL_PART < self.passed_ms
    }
}

/// The correction of one step is at most this part of it …
const STEP_PART: i64 = 16;
/// … and that of the usual step this one.
const PERIOD_PART: i64 = 256;
/// Gains of the loop, as powers of two: how much of its error it takes into the next time, and into the usual step.
const STEP_SHIFT: u32 = 4;
const PERIOD_SHIFT: u32 = 10;
/// An error beyond this is not worked off.
const LOST_US: i64 = 2_000_000;
/// A silence counts for at most this much common time: a day.
const LONGEST_SILENCE_US: i64 = 86_400_000_000;

/// Even times from uneven arrivals.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Pace {
    pub(super) since: Since,
    /// Common time of the last frame, and the usual step, in microseconds.
    last_us: i64,
    period_us: i64,
}

impl Pace {
    /// Begins with a frame that arrives at `now_us`, the last of those counted in `since`.
    pub(super) fn begin(since: Since, now_us: i64) -> Self {
        let passed_us = now_us.saturating_sub(since.now_us).max(1);
        let period_us = (passed_us / since.frames.max(1)).max(1);
        Self { since, last_us: since.ms * 1000 + passed_us - period_us, period_us }
    }

    /// Common time, in milliseconds, of the next frame.
    pub(super) fn place(&mut self, now_us: i64, is_silence: bool) -> i64 {
        let passed_us = now_us.saturating_sub(self.since.now_us);
        let arrival_us = self.since.ms.saturating_mul(1000).saturating_add(passed_us);
        let error_us = arrival_us.saturating_sub(self.last_us + self.period_us);
        if is_silence || error_us.saturating_abs() > LOST_US.max(4 * self.period_us) {
            self.last_us = arrival_us.clamp(self.last_us, self.last_us + LONGEST_SILENCE_US);
            self.since = Since { ms: self.last_us.div_euclid(1000), now_us, frames: 0 };
        } else {
            let most_us = (self.period_us / STEP_PART).max(1);
            let most_period_us = (self.period_us / PERIOD_PART).max(1);
            self.last_us += self.period_us + (error_us >> STEP_SHIFT).clamp(-most_us, most_us);
            self.period_us += (error_us >> PERIOD_SHIFT).clamp(-most_period_us, most_period_us);
            self.period_us = self.period_us.max(1);
        }
        self.last_us.div_euclid(1000)
    }

    /// Common time, in milliseconds, of the frame with this number, counted from the one in `since`.
    pub(super) fn spread_ms(&self, number: i64) -> i64 {
        self.since.ms + self.period_us * number / 1000
    }
}
