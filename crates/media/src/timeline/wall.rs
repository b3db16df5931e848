//! What o'clock it was: media time laid on the node's wall clock, and slowly held there.
//!
//! A publisher's clock runs a little fast or slow; the network delivers late, never early. So the wall clock of a session
//! is its start plus its media time, corrected by the *least* lateness of the last minutes: a stall makes frames late and
//! changes nothing, a drift makes even the most punctual frame late or early and is followed. The correction moves by at
//! most a thousandth of the media time that passes, so that wall time never runs backwards within a session.
//!
//! A step of the node's clock begins a new session (`clock`); what comes here goes on without steps.

/// The error that is left alone is below this; the correction begins at half of it, as lateness is seen with delay.
pub const DEAD_BAND_US: i64 = 100_000;

/// The correction begins here …
const START_US: i64 = DEAD_BAND_US / 2;
/// … and ends here.
const STOP_US: i64 = DEAD_BAND_US / 10;
/// Media time moves against wall time by at most one part in this many.
const SLOWEST: i64 = 1_000;
/// Media time between two frames counts as at most this: what is held of before such a leap is dated after it.
const LONGEST_PASS_US: i64 = 5_000_000;
/// Lateness is remembered in so many buckets …
const BUCKETS: usize = 10;
/// … of this length.
const BUCKET_US: i64 = 30_000_000;

/// The wall clock of one session.
#[derive(Clone, Debug)]
pub(super) struct Wall {
    start_us: i64,
    correction_us: i64,
    is_correcting: bool,
    last_media_us: i64,
    /// Least lateness per bucket, the current one at `bucket`.
    least_us: [i64; BUCKETS],
    bucket: usize,
    bucket_start_us: i64,
}

impl Wall {
    pub(super) fn new(start_us: i64) -> Self {
        Self {
            start_us,
            correction_us: 0,
            is_correcting: false,
            last_media_us: 0,
            least_us: [i64::MAX; BUCKETS],
            bucket: 0,
            bucket_start_us: 0,
        }
    }

    /// UTC microseconds of a media time of the session.
    pub(super) fn at(&self, media_us: i64) -> i64 {
        self.start_us.saturating_add(media_us).saturating_add(self.correction_us)
    }

    /// Notes that a frame of this media time arrived; returns how far the wall clock is from where it should be.
    pub(super) fn observe(&mut self, media_us: i64, now_us: i64) -> i64 {
        let lateness_us = now_us.saturating_sub(self.start_us).saturating_sub(media_us);
        if media_us - self.bucket_start_us >= BUCKET_US {
            self.bucket = (self.bucket + 1) % BUCKETS;
            self.bucket_start_us = media_us;
            self.least_us[self.bucket] = i64::MAX;
        }
        self.least_us[self.bucket] = self.least_us[self.bucket].min(lateness_us);
        let least_us = self.least_us.iter().copied().min().unwrap_or(0);
        let error_us = least_us.saturating_sub(self.correction_us);
        let limit_us = if self.is_correcting { STOP_US } else { START_US };
        self.is_correcting = error_us.saturating_abs() > limit_us;
        let passed_us = (media_us - self.last_media_us).clamp(0, LONGEST_PASS_US);
        if self.is_correcting {
            let most_us = passed_us / SLOWEST;
            self.correction_us += error_us.clamp(-most_us, most_us);
        }
        self.last_media_us = self.last_media_us.max(media_us);
        error_us
    }
}
