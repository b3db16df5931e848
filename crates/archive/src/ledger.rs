//! The ledger in numbers: what is safe, what is not yet, and how long the disk lasts.

use crate::{
    alarms::{Alarm, Incidents, alarms, clock_alarm},
    archive::Archive,
    clock_watch,
    error::ArchiveError,
    keeper::KeeperStatus,
    limits::RATE_WINDOW_US,
    upload::UploadStatus,
};

/// What is safe and what is not yet.
#[derive(Clone, PartialEq, Debug)]
pub struct Ledger {
    /// Whether there is a bucket; without one, what is sealed in the local store is where it is to be.
    pub has_bucket: bool,
    /// Sealed segments that the bucket has not confirmed.
    pub unstored_segments: u64,
    /// Bytes that are recorded and not where they are to be: unconfirmed by the bucket, or growing.
    pub unsafe_bytes: u64,
    /// Recorded time of the same, microseconds.
    pub unsafe_duration_us: i64,
    /// How long ago the oldest segment ended that the bucket has not confirmed, microseconds; 0 when there is none.
    pub upload_lag_us: i64,
    /// Bytes of segments that grow or wait for their seal.
    pub growing_bytes: u64,
    /// Those of them that a power cut would cost now.
    pub unsynced_bytes: u64,
    /// Bytes of local copies that may go as the bucket has them.
    pub evictable_bytes: u64,
    /// Bytes that are recorded in a day, at the rate of the last hour that was measured.
    pub recorded_bytes_per_day: Option<u64>,
    /// How many days the disk lasts if the bucket takes nothing more, to the floor of free bytes.
    pub days_until_full: Option<f64>,
    /// What the uploader has done and is at.
    pub upload: UploadStatus,
    /// What the keeper has done and is at.
    pub keeper: KeeperStatus,
    /// What somebody has to know at once.
    pub alarms: Vec<Alarm>,
}

impl Archive {
    /// The ledger at this instant. A few queries of short lists.
    ///
    /// # Errors
    /// The catalog does not answer.
    pub async fn ledger(&self) -> Result<Ledger, ArchiveError> {
        let core = &self.inner.core;
        let now_us = core.clock.now_us();
        let has_bucket = core.bucket.is_some();
        let unstored = if has_bucket { core.catalog.unstored().await? } else { catalog::Unstored::default() };
        let evictable_bytes = if has_bucket { core.catalog.evictable_bytes().await? } else { 0 };
        let (mut growing_bytes, mut growing_us) = (0, 0);
        for segment in core.registry.all() {
            growing_bytes += segment.len();
            growing_us += segment.end_us() - segment.start_us;
        }
        let lag = match core.catalog.unstored_segments(1).await?.first() {
            Some(oldest) if has_bucket => now_us - oldest.end_us.unwrap_or(oldest.start_us),
            _ => 0,
        };
        let (upload, keeper) = (core.upload.status(), core.keeper.status());
        let recorded_bytes_per_day = core.written.per_day(core.clock.monotonic_us());
        let free = keeper.free_bytes.map(|free| free.saturating_sub(core.config.retention.min_free_bytes));
        let days_until_full = match (free, recorded_bytes_per_day) {
            (Some(free), Some(rate)) if rate > 0 => {
                Some(free.saturating_add(evictable_bytes) as f64 / rate as f64)
            }
            _ => None,
        };
        let alarms = self.alarms();
        Ok(Ledger {
            has_bucket,
            unstored_segments: unstored.segments,
            unsafe_bytes: unstored.size_bytes + growing_bytes,
            unsafe_duration_us: unstored.duration_us + growing_us,
            upload_lag_us: lag.max(0),
            growing_bytes,
            unsynced_bytes: core.registry.unsynced_bytes(),
            evictable_bytes,
            recorded_bytes_per_day,
            days_until_full,
            upload,
            keeper,
            alarms,
        })
    }
}

impl Archive {
    /// The alarms that are on, from memory: they can be read while the catalog or the disk is away.
    #[must_use]
    pub fn alarms(&self) -> Vec<Alarm> {
        let core = &self.inner.core;
        let (upload, keeper) = (core.upload.status(), core.keeper.status());
        let mut alarms = alarms(&upload, &keeper, &Incidents::of(&core.keeper), core.clock.now_us());
        clock_watch::look(core);
        alarms.extend(clock_alarm(core.clock_state.last_step(), core.clock.monotonic_us()));
        alarms.extend(core.unknown.alarm());
        alarms
    }
}

/// How much is written: bytes since the last mark, and the rate between the last two.
#[derive(Debug, Default)]
pub(crate) struct Written {
    state: std::sync::Mutex<Marks>,
}

#[derive(Debug, Default)]
struct Marks {
    since_us: Option<i64>,
    bytes: u64,
    /// Since the start.
    total_bytes: u64,
    /// Of the last whole window.
    per_day: Option<u64>,
}

impl Written {
    /// So many bytes were written.
    pub(crate) fn add(&self, bytes: u64, now_us: i64) {
        let mut marks = self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let since_us = *marks.since_us.get_or_insert(now_us);
        marks.bytes += bytes;
        marks.total_bytes += bytes;
        if now_us - since_us >= RATE_WINDOW_US {
            marks.per_day = per_day(marks.bytes, now_us - since_us);
            (marks.since_us, marks.bytes) = (Some(now_us), 0);
        }
    }

    /// Bytes since the start.
    pub(crate) fn total_bytes(&self) -> u64 {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner).total_bytes
    }

    /// The rate of the last whole window, else of what has passed of the first one.
    fn per_day(&self, now_us: i64) -> Option<u64> {
        let marks = self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        marks.per_day.or_else(|| per_day(marks.bytes, now_us - marks.since_us?))
    }
}

fn per_day(bytes: u64, elapsed_us: i64) -> Option<u64> {
    /// Below this a rate is noise.
    const LEAST_US: i64 = 1_000_000;
    (elapsed_us >= LEAST_US)
        .then(|| u64::try_from(i128::from(bytes) * 86_400_000_000 / i128::from(elapsed_us)).ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_that_of_the_last_whole_window() {
        let written = Written::default();
        assert_eq!(written.per_day(0), None);
        written.add(1_000, 0);
        written.add(1_000, 10_000_000);
        assert_eq!(written.per_day(10_000_000), Some(2_000 * 8_640), "of ten seconds, for want of better");
        written.add(0, RATE_WINDOW_US);
        let per_hour = 2_000 * 24;
        assert_eq!(written.per_day(RATE_WINDOW_US + 5), Some(per_hour));
        written.add(9_000_000, RATE_WINDOW_US + 10);
        assert_eq!(written.per_day(RATE_WINDOW_US + 2_000_000), Some(per_hour), "not of a burst");
        assert_eq!(written.total_bytes(), 9_002_000);
    }
}
