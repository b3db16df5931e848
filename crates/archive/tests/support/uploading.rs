//! A house with a bucket in memory.

use std::{sync::Arc, time::Duration};

use catalog::{LocalCopy, SegmentState};
use media::EndCause;
use turepe_archive::{Archive, Pauses, Recorder, UploadConfig, bucket::MemoryBucket};
use world::Clock;

use super::{Camera, House, NOON_US, S, push_all};

/// Parts as small as the test's segments.
pub(crate) const PART_BYTES: u64 = 8 * 1024;

pub(crate) struct Uploading {
    pub(crate) house: House,
    pub(crate) bucket: MemoryBucket,
}

impl Uploading {
    pub(crate) async fn new() -> Self {
        let mut house = House::new().await;
        house.config.upload = UploadConfig {
            part_bytes: PART_BYTES,
            pauses: Pauses {
                floor: Duration::from_millis(2),
                ceiling: Duration::from_millis(40),
                refused: Duration::from_millis(40),
                tick: Duration::from_millis(5),
            },
            ..UploadConfig::default()
        };
        house.config.retention.min_free_bytes = 0;
        let clock = Arc::clone(&house.clock) as Arc<dyn Clock>;
        let bucket = MemoryBucket::new(clock).with_min_part_bytes(PART_BYTES / 2);
        // A service elsewhere, whose clock goes with the tests' one: time that passes there has passed.
        bucket.show_clock(Some(0));
        Self { bucket, house }
    }

    pub(crate) fn open(&self) -> Archive {
        let clock = Arc::clone(&self.house.clock) as Arc<dyn Clock>;
        Archive::open_with_bucket(
            self.house.config.clone(),
            Arc::new(self.house.disk.clone()),
            clock,
            self.house.catalog.clone(),
            Some(Arc::new(self.bucket.clone())),
        )
        .unwrap()
    }

    /// Records so many seconds from noon on and ends the session.
    pub(crate) async fn record(&self, archive: &Archive, seconds: i64) {
        let recorder = self.house.recorder(archive);
        film(&recorder, 0, seconds).await.stop(&recorder).await;
        archive.settle().await;
    }

    /// Every row is stored, and the bucket has just what the row says.
    pub(crate) async fn assert_all_stored(&self, archive: &Archive) {
        let rows = self.house.rows().await;
        assert!(!rows.is_empty());
        for row in rows {
            assert_eq!(row.state, SegmentState::Stored, "{}", row.object_name);
            let object = self.bucket.bytes(&row.object_name).unwrap();
            assert_eq!(object.len() as u64, row.size_bytes);
            if row.local_copy == LocalCopy::Kept {
                assert_eq!(self.house.object(&row), object, "byte for byte");
            }
        }
        let ledger = archive.ledger().await.unwrap();
        assert_eq!((ledger.unstored_segments, ledger.unsafe_bytes, ledger.upload_lag_us), (0, 0, 0));
        assert_eq!(self.bucket.pending_uploads(), 0, "no upload is left behind");
    }
}

pub(crate) struct Filming(pub(crate) Camera);

impl Filming {
    pub(crate) async fn stop(self, recorder: &Recorder) {
        push_all(recorder, self.0.stop(EndCause::Camera)).await;
        recorder.flush().await;
    }
}

pub(crate) async fn film(recorder: &Recorder, from_s: i64, to_s: i64) -> Filming {
    let (mut camera, events) = Camera::start(NOON_US + from_s * S);
    camera.frame_bytes = 2_000;
    push_all(recorder, events).await;
    push_all(recorder, camera.film_until(NOON_US + to_s * S)).await;
    recorder.flush().await;
    Filming(camera)
}

/// Waits for a condition, as long as a busy machine may need.
pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(30), waiting).await.is_ok(), "never: {what}");
}

pub(crate) async fn until_stored(archive: &Archive, count: u64) {
    until("everything is stored", async || {
        let ledger = archive.ledger().await.unwrap();
        ledger.unstored_segments == 0 && ledger.upload.stored_segments >= count
    })
    .await;
}
