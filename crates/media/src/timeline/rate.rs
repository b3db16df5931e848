//! Frame rates: which one a run of rounded timestamps comes from.

use crate::TICKS_PER_SECOND_VIDEO;

/// Observed times may lie this far apart on their grid: 3 ms, three roundings to a millisecond, and a little.
const WIDEST_RESIDUAL: i64 = 285;
/// Observations from which a rate is found.
const LEAST_OBSERVATIONS: usize = 12;
/// As [`LEAST_OBSERVATIONS`], when there will be no more.
const FEWEST_OBSERVATIONS: usize = 4;

/// Frames per second as a fraction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Rate {
    numerator: u32,
    denominator: u32,
}

impl Rate {
    pub(super) const fn new(numerator: u32, denominator: u32) -> Self {
        Self { numerator, denominator }
    }

    /// A rate somebody told us, if it is one a camera can have. Decimal roundings of the NTSC rates become exact.
    pub(super) fn from_hint(fps: f64) -> Option<Self> {
        if !(0.5..=300.0).contains(&fps) {
            return None;
        }
        let thousandths = (fps * 1000.0).round() as u32;
        // 29.97 and 23.98 are what people write for 30 000/1001 and 24 000/1001.
        let near = |rate: &Rate| (rate.per_second() - fps).abs() < 0.006;
        Some(standard_rates().find(near).unwrap_or(Self::new(thousandths, 1000)))
    }

    /// A rate from the video's own headers, if it is one a camera can have.
    pub(super) fn from_fraction(numerator: u32, denominator: u32) -> Option<Self> {
        let rate = Self::new(numerator, denominator);
        (denominator > 0 && (0.5..=300.0).contains(&rate.per_second())).then_some(rate)
    }

    fn per_second(self) -> f64 {
        f64::from(self.numerator) / f64::from(self.denominator)
    }

    /// Ticks from frame 0 to frame `index`, rounded down, so that the grid never drifts from the rate.
    pub(super) fn ticks(self, index: i64) -> i64 {
        let product = i128::from(index) * i128::from(TICKS_PER_SECOND_VIDEO) * i128::from(self.denominator);
        product.div_euclid(i128::from(self.numerator)) as i64
    }

    /// Ticks of one frame, rounded down; at least 1.
    pub(super) fn step(self) -> i64 {
        self.ticks(1).max(1)
    }

    /// Number of frames nearest to a number of ticks.
    pub(super) fn frames(self, ticks: i64) -> i64 {
        let scale = i128::from(TICKS_PER_SECOND_VIDEO) * i128::from(self.denominator);
        (i128::from(ticks) * i128::from(self.numerator) + scale / 2).div_euclid(scale) as i64
    }
}

/// The rates cameras and encoders offer: every whole number, the three NTSC ones that are real, and halves.
///
/// A whole number and its NTSC neighbour differ by 2 ms in the time that is measured, which few or badly rounded stamps
/// cannot tell; so 15 000/1001 and the like, which only a hint can know, are not among them.
fn standard_rates() -> impl Iterator<Item = Rate> {
    let ntsc = [24_000, 30_000, 60_000].map(|numerator| Rate::new(numerator, 1001));
    let halves = [25, 15].map(|numerator| Rate::new(numerator, 2));
    (1..=120).map(|whole| Rate::new(whole, 1)).chain(ntsc).chain(halves)
}

/// How well observed times lie on the grid of a rate.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Fit {
    pub(super) rate: Rate,
    /// Mean square distance from the grid, in ticks².
    pub(super) variance: i64,
    /// Where the grid has the last observed frame.
    pub(super) last: i64,
    /// Slots from the first observed frame to the last.
    pub(super) slots: i64,
}

/// Lays the grid of a rate under observed times (ticks, in decode order); `None` if they are not on it.
pub(super) fn fit(times: &[i64], rate: Rate) -> Option<Fit> {
    let first = *times.first()?;
    let (mut slot, mut previous) = (0i64, first);
    let (mut sum, mut squares, mut least, mut most) = (0i64, 0i64, 0i64, 0i64);
    for &time in &times[1..] {
        slot += rate.frames(time - previous).max(1);
        previous = time;
        let residual = time - first - rate.ticks(slot);
        least = least.min(residual);
        most = most.max(residual);
        if most - least > WIDEST_RESIDUAL {
            return None;
        }
        sum += residual;
        squares += residual * residual;
    }
    let count = times.len() as i64;
    // Any even grid is also on every multiple of its rate; a rate whose slots are mostly empty is not the rate. The encoder
    // may leave out a few frames.
    if slot > count - 1 + count / 8 {
        return None;
    }
    let mean = sum.div_euclid(count);
    Some(Fit {
        rate,
        variance: squares / count - mean * mean,
        last: first + rate.ticks(slot) + mean,
        slots: slot,
    })
}

/// What measuring has found out so far.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Finding {
    /// The frames come at this rate.
    Rate(Fit),
    /// The frames come at no constant rate.
    Variable,
    /// Several rates are still possible.
    Undecided,
}

/// Finds the rate of observed times: a hint that holds, or the only rate that holds; with `is_last`, the best of them.
pub(super) fn find(times: &[i64], hints: &[Rate], is_last: bool) -> Finding {
    if times.len() < LEAST_OBSERVATIONS && !is_last {
        return Finding::Undecided;
    }
    if let Some(hinted) = hints.iter().find_map(|rate| fit(times, *rate)) {
        return Finding::Rate(hinted);
    }
    if times.len() < FEWEST_OBSERVATIONS {
        return Finding::Variable;
    }
    let mut best: Option<Fit> = None;
    let mut fitting = 0;
    for fit in fits_near(times) {
        fitting += 1;
        if best.is_none_or(|best| fit.variance < best.variance) {
            best = Some(fit);
        }
    }
    match best {
        Some(best) if fitting == 1 || is_last => Finding::Rate(best),
        None if is_last || times.len() >= 2 * LEAST_OBSERVATIONS => Finding::Variable,
        _ => Finding::Undecided,
    }
}

/// A rate that explains observed times clearly better than `current` does.
pub(super) fn better(times: &[i64], current: Rate) -> Option<Fit> {
    /// Half of what 30 000/1001 instead of 30, or 60 000/1001 instead of 60, costs in a second or two.
    const MARGIN: i64 = 1_500;
    let now = fit(times, current).map_or(i64::MAX - MARGIN, |fit| fit.variance);
    fits_near(times)
        .filter(|fit| fit.rate != current && fit.variance + MARGIN < now)
        .min_by_key(|fit| fit.variance)
}

fn fits_near(times: &[i64]) -> impl Iterator<Item = Fit> {
    let mut steps: Vec<i64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    steps.sort_unstable();
    let median = steps.get(steps.len() / 2).copied().unwrap_or(0);
    standard_rates()
        .filter(move |rate| (rate.step() - median).abs() <= WIDEST_RESIDUAL)
        .filter_map(|rate| fit(times, rate))
}
