//! Decode times of audio: frames chained by their number of PCM samples, checked against the publisher's stamps.
//!
//! A stamp is rounded to milliseconds and jitters; the length of an AAC frame is exact. So the chain is believed while
//! stamps stay near it, and a slow drift is taken up by one PCM sample a frame. A stamp far away is held until the next
//! frame tells whether it was a stray, a hole, or a step back.

use bytes::Bytes;

use super::limits::{AUDIO_TOLERANCE_MS, LONGEST_BUNDLE_MS};

/// The chain follows the stamps when their mean distance passes this …
const DRIFT_START_MS: i64 = 10;
/// … until it is below this.
const DRIFT_STOP_MS: i64 = 2;
/// Weight of one frame in the mean distance, as a power of two.
const MEAN_SHIFT: u32 = 6;

/// Gives audio frames their decode times, in PCM samples of the session's time.
#[derive(Debug)]
pub(super) struct AudioClock {
    samples_per_frame: i64,
    sample_rate: i64,
    /// What stamps that stand for one frame may be off …
    least_tolerance: i64,
    /// … and what they may be off now.
    tolerance: i64,
    /// Most PCM samples that one stamp stands for.
    longest_bundle: i64,
    /// Where the next frame goes; `None` before the first.
    next: Option<i64>,
    /// Stamp of the last frame.
    last_stamp: Option<i64>,
    /// How many frames in a row have had it.
    bundle: i64,
    doubted: Option<(i64, Bytes)>,
    is_overlapping: bool,
    mean: i64,
    is_drifting: bool,
    /// Frames left out because their time was taken already.
    pub(super) dropped: u64,
}

impl AudioClock {
    pub(super) fn new(sample_rate: u32, samples_per_frame: u32) -> Self {
        let samples_per_frame = i64::from(samples_per_frame.max(1));
        let rate = i64::from(sample_rate.max(1));
        // At 8 kHz one frame is 128 ms long.
        let tolerance = (AUDIO_TOLERANCE_MS * rate / 1000).max(samples_per_frame * 3 / 4);
        Self {
            samples_per_frame,
            sample_rate: rate,
            least_tolerance: tolerance,
            tolerance,
            longest_bundle: LONGEST_BUNDLE_MS * rate / 1000,
            next: None,
            last_stamp: None,
            bundle: 0,
            doubted: None,
            is_overlapping: false,
            mean: 0,
            is_drifting: false,
            dropped: 0,
        }
    }

    /// Takes a frame stamped `stamp` and gives those whose time is now known, in order.
    pub(super) fn push(&mut self, stamp: i64, data: Bytes, out: &mut impl FnMut(i64, Bytes)) {
        let is_shared = self.last_stamp.replace(stamp) == Some(stamp);
        if is_shared {
            self.bundle += 1;
        } else {
            // How exactly a stamp tells its time, where it stands for several frames.
            self.tolerance = self.least_tolerance.max(self.bundle * self.samples_per_frame / 2);
            self.bundle = 1;
        }
        let Some(next) = self.next else {
            // What begins before the session's origin belongs to nothing that is shown; rounding may put it 1 ms off.
            let begins = stamp + (self.bundle - 1) * self.samples_per_frame;
            if begins < -(self.sample_rate / 1000) {
                self.dropped += 1;
                return;
            }
            self.next = Some(begins.max(0));
            self.chain(Some(begins), data, out);
            return;
        };
        if let Some((doubted, doubted_data)) = self.doubted.take() {
            let is_lasting = (stamp - doubted - self.samples_per_frame).abs() <= self.tolerance;
            if is_lasting && doubted > next {
                self.next = Some(doubted);
                self.mean = 0;
                self.chain(Some(doubted), doubted_data, out);
            } else if is_lasting && !is_shared {
                self.is_overlapping = true;
                self.dropped += 1;
            } else {
                // A stray stamp on a good frame, or one of several frames.
                self.chain(None, doubted_data, out);
            }
        }
        let next = self.next.unwrap_or(next);
        let distance = stamp - next;
        if self.is_overlapping && distance < -self.samples_per_frame / 2 {
            self.dropped += 1;
            return;
        }
        self.is_overlapping = false;
        let is_of_bundle = is_shared && (-self.longest_bundle..=0).contains(&distance);
        if is_of_bundle {
            self.chain(None, data, out);
        } else if distance.abs() <= self.tolerance {
            self.chain(Some(stamp), data, out);
        } else {
            self.doubted = Some((stamp, data));
        }
    }

    /// Gives what is still held.
    pub(super) fn finish(&mut self, out: &mut impl FnMut(i64, Bytes)) {
        if self.next.is_some()
            && let Some((_, data)) = self.doubted.take()
        {
            self.chain(None, data, out);
        }
    }

    /// Puts a frame behind the last one. Its stamp, where it has one that says something, tells how well the chain lies.
    fn chain(&mut self, stamp: Option<i64>, data: Bytes, out: &mut impl FnMut(i64, Bytes)) {
        let at = self.next.or(stamp).unwrap_or(0);
        out(at, data);
        if let Some(stamp) = stamp {
            self.mean += (stamp - at) - (self.mean >> MEAN_SHIFT);
        }
        let mean = self.mean >> MEAN_SHIFT;
        let limit_ms = if self.is_drifting { DRIFT_STOP_MS } else { DRIFT_START_MS };
        self.is_drifting = mean.abs() * 1000 > limit_ms * self.sample_rate;
        let mut length = self.samples_per_frame;
        if self.is_drifting {
            length += mean.signum();
            self.mean -= mean.signum() << MEAN_SHIFT;
        }
        self.next = Some(at + length.max(1));
    }
}
