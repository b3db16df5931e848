//! Decode and presentation times of video: millisecond stamps put back on the grid of a constant frame rate.
//!
//! A grid is a rate and a phase. As long as stamps lie within two roundings of the grid, frames take its slots one after
//! the other and every step is exact. What is not on the grid is answered in this order: frames left out (whole slots are
//! skipped), single stray stamps (the next slot is taken), a lasting shift (the grid moves), another rate, and at last no
//! rate at all: then stamps are taken as they are until a rate can be found again.

use super::{
    limits::TICKS_PER_MS,
    rate::{Finding, Rate, better, find, fit},
};

/// Stamps within this of their slot are on the grid.
const TOLERANCE: i64 = 270;
/// So many stamps beside the grid, more than on it, and the grid is given up.
const STRAYS: u32 = 8;
/// Stamps remembered to find a rate.
const REMEMBERED: usize = 128;
/// While there is no rate, one is looked for every so many frames; a young one is looked at again as often.
const LOOK_EVERY: u32 = 32;
/// The grid follows the publisher's clock when the mean distance passes 1.5 ms …
const DRIFT_START: i64 = 135;
/// … until it is below a quarter of that, by one tick a frame.
const DRIFT_STOP: i64 = 33;
/// Weight of one frame in the mean distance, as a power of two.
const MEAN_SHIFT: u32 = 6;
/// The least step without a rate: a millisecond, what a publisher could have told.
const LEAST_STEP: i64 = TICKS_PER_MS;

/// When a frame is decoded and shown, in ticks of 1/90 000 s of the publisher's time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct VideoTime {
    pub(super) decode: i64,
    pub(super) presentation: i64,
}

#[derive(Clone, Copy, Debug)]
struct Grid {
    rate: Rate,
    /// Time of slot 0.
    base: i64,
    /// The slot taken last.
    slot: i64,
}

impl Grid {
    fn time(&self, slot: i64) -> i64 {
        self.base + self.rate.ticks(slot)
    }
}

/// The last stamps, oldest first when copied out.
#[derive(Clone, Debug)]
struct Memory {
    times: Box<[i64; REMEMBERED]>,
    count: usize,
}

impl Memory {
    fn push(&mut self, time: i64) {
        self.times[self.count % REMEMBERED] = time;
        self.count += 1;
    }

    fn recent(&self, most: usize) -> Vec<i64> {
        let length = most.min(self.count).min(REMEMBERED);
        (self.count - length..self.count).map(|number| self.times[number % REMEMBERED]).collect()
    }
}

/// Gives frames their times.
#[derive(Clone, Debug)]
pub(super) struct VideoClock {
    grid: Option<Grid>,
    memory: Memory,
    hints: Vec<Rate>,
    last_decode: Option<i64>,
    strays: u32,
    frames: u32,
    /// Mean distance of stamps from the grid, times 2^[`MEAN_SHIFT`].
    mean: i64,
    is_drifting: bool,
}

impl VideoClock {
    /// Starts with what measuring found; the first frame that was measured will be placed first.
    pub(super) fn new(finding: Finding, hints: Vec<Rate>) -> Self {
        let grid = match finding {
            // The phase is the mean of all that was measured; the first frame goes into slot 0.
            Finding::Rate(fit) => {
                Some(Grid { rate: fit.rate, base: fit.last - fit.rate.ticks(fit.slots), slot: -1 })
            }
            Finding::Variable | Finding::Undecided => None,
        };
        Self {
            grid,
            memory: Memory { times: Box::new([0; REMEMBERED]), count: 0 },
            hints,
            last_decode: None,
            strays: 0,
            frames: 0,
            mean: 0,
            is_drifting: false,
        }
    }

    /// The rate the grid has now.
    pub(super) fn rate(&self) -> Option<Rate> {
        self.grid.map(|grid| grid.rate)
    }

    /// The times of the next frame in decode order. Decode times strictly increase whatever the stamps are.
    pub(super) fn place(&mut self, decode_ms: i64, composition_ms: i32) -> VideoTime {
        let stamp = decode_ms * TICKS_PER_MS;
        let composition = i64::from(composition_ms) * TICKS_PER_MS;
        self.memory.push(stamp);
        self.frames = self.frames.wrapping_add(1);
        if self.grid.is_none() && self.frames.is_multiple_of(LOOK_EVERY) {
            // The frame being placed is the last one remembered.
            self.grid = self.look(-1);
        }
        let was_drifting = self.is_drifting;
        self.take_slot(stamp);
        let verify_every = if self.frames <= 2 * REMEMBERED as u32 { LOOK_EVERY } else { REMEMBERED as u32 };
        if self.frames.is_multiple_of(verify_every) || (self.is_drifting && !was_drifting) {
            self.verify();
        }
        let time = match self.grid {
            Some(grid) => {
                let slot_time = grid.time(grid.slot);
                let least = self.last_decode.map_or(slot_time, |last| last + (grid.rate.step() / 4).max(1));
                let slots = grid.rate.frames(composition);
                let presentation = if (grid.rate.ticks(slots) - composition).abs() <= TOLERANCE {
                    grid.time(grid.slot + slots)
                } else {
                    slot_time + composition
                };
                VideoTime { decode: slot_time.max(least), presentation }
            }
            None => {
                let least = self.last_decode.map_or(stamp, |last| last + LEAST_STEP);
                VideoTime { decode: stamp.max(least), presentation: stamp + composition }
            }
        };
        self.last_decode = Some(time.decode);
        time
    }

    /// Moves the grid to the slot of a stamp, or gives the grid up.
    fn take_slot(&mut self, stamp: i64) {
        let Some(grid) = &mut self.grid else { return };
        let expected = grid.slot + 1;
        let distance = stamp - grid.time(expected);
        if distance.abs() <= TOLERANCE {
            grid.slot = expected;
            self.strays = self.strays.saturating_sub(1);
            self.follow_drift(distance);
            return;
        }
        let nearest = expected + grid.rate.frames(distance);
        let is_on_grid = (stamp - grid.time(nearest)).abs() <= TOLERANCE;
        let is_late = distance > grid.rate.step() * 3 / 2;
        grid.slot = if nearest > expected && (is_on_grid || is_late) { nearest } else { expected };
        if is_on_grid && nearest > expected {
            return;
        }
        self.strays += 1;
        if self.strays >= STRAYS {
            self.shift();
        }
    }

    /// Follows a publisher whose frames are not exactly as long as its clock says, by at most one tick a frame.
    fn follow_drift(&mut self, distance: i64) {
        self.mean += distance - (self.mean >> MEAN_SHIFT);
        let mean = self.mean >> MEAN_SHIFT;
        self.is_drifting = if self.is_drifting { mean.abs() > DRIFT_STOP } else { mean.abs() > DRIFT_START };
        if let (true, Some(grid)) = (self.is_drifting, &mut self.grid) {
            grid.base += mean.signum();
            self.mean -= mean.signum() << MEAN_SHIFT;
        }
    }

    /// Stamps have left the grid for good: move it if they still come at its rate, or look for another.
    fn shift(&mut self) {
        let recent = self.memory.recent(STRAYS as usize);
        let shifted = self.grid.and_then(|grid| fit(&recent, grid.rate));
        self.grid = shifted.map(|fit| Grid { rate: fit.rate, base: fit.last, slot: 0 });
        self.strays = 0;
        self.mean = 0;
        self.is_drifting = false;
        if self.grid.is_none() {
            self.grid = self.look(0);
        }
    }

    /// Looks for a rate in what is remembered; the slot after `slot` is the next to be taken, and slot 0 is now.
    fn look(&self, slot: i64) -> Option<Grid> {
        [REMEMBERED, LOOK_EVERY as usize].into_iter().find_map(|length| {
            let recent = self.memory.recent(length);
            if recent.len() < LOOK_EVERY as usize {
                return None;
            }
            match find(&recent, &self.hints, true) {
                Finding::Rate(fit) => Some(Grid { rate: fit.rate, base: fit.last, slot }),
                Finding::Variable | Finding::Undecided => None,
            }
        })
    }

    /// Corrects a hint that was nearly right: 30 for 29.97.
    fn verify(&mut self) {
        let recent = self.memory.recent(REMEMBERED);
        if let (Some(grid), true) = (&mut self.grid, recent.len() >= REMEMBERED / 2)
            && let Some(found) = better(&recent, grid.rate)
        {
            *grid = Grid { rate: found.rate, base: grid.time(grid.slot), slot: 0 };
            self.mean = 0;
        }
    }
}
