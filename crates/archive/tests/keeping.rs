//! What is kept and what goes: copies that the bucket has, footage past its retention, a disk that is full.
#![expect(clippy::unwrap_used, reason = "a test says what went wrong by stopping")]

use catalog::{DeletionReason, LocalCopy, NewProtection, SegmentState};
use media::EndCause;
use turepe_archive::{
    AlarmKind, OnFull,
    bucket::{BucketFault, BucketFaultRule, BucketOperation},
};
use world::{Fault, FaultRule, Operation};

mod support;
use support::{
    NOON_US, S,
    uploading::{Uploading, film, until, until_stored},
};

const DAY_US: i64 = 86_400 * S;

/// Bytes of all files of the simulated disk.
fn used_bytes(uploading: &Uploading) -> u64 {
    let disk = &uploading.house.disk;
    disk.files().iter().map(|file| disk.bytes(file).unwrap().len() as u64).sum()
}

/// Names of the objects in the local store.
fn local_objects(uploading: &Uploading) -> usize {
    uploading.house.disk.files().iter().filter(|file| file.starts_with(&uploading.house.config.store)).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_that_the_bucket_has_go_first_when_the_disk_fills() {
    let uploading = Uploading::new().await;
    let archive = uploading.open();
    uploading.record(&archive, 26).await;
    until_stored(&archive, 6).await;
    drop(archive);
    // As much room as there is now, and a floor of a quarter of it.
    let used = used_bytes(&uploading);
    let mut uploading = uploading;
    uploading.house.disk.set_capacity(Some(used + used / 8));
    uploading.house.config.retention.min_free_bytes = used / 4;
    let archive = uploading.open();
    archive.keep_house().await.unwrap();
    // A round of its own may be at it, too.
    until("the oldest copies go", async || uploading.house.rows().await[0].local_copy == LocalCopy::None)
        .await;
    let rows = uploading.house.rows().await;
    assert_eq!(rows.len(), 6, "nothing is lost");
    assert!(rows.iter().all(|row| row.state == SegmentState::Stored));
    let ledger = archive.ledger().await.unwrap();
    assert!(ledger.keeper.evicted_segments > 0 && ledger.keeper.lost_segments == 0);
    assert_eq!(ledger.alarms, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_gives_up_the_oldest_and_says_so_mediamtx_3631_zoneminder_914() {
    let mut uploading = Uploading::new().await;
    uploading.bucket.set_away(true);
    let archive = uploading.open();
    uploading.record(&archive, 26).await;
    drop(archive);
    let before = uploading.house.rows().await;
    let protect = &before[0];
    let reason = "the final".to_owned();
    let (from_us, to_us) = (protect.start_us, protect.start_us + S);
    let channel_id = uploading.house.channel_id;
    uploading.house.catalog.protect(NewProtection { channel_id, from_us, to_us, reason }).await.unwrap();
    let used = used_bytes(&uploading);
    uploading.house.disk.set_capacity(Some(used));
    uploading.house.config.retention.min_free_bytes = before[1].size_bytes + 1;
    let archive = uploading.open();
    assert!(archive.keep_house().await.is_err(), "the bucket cannot be told yet");
    let rows = uploading.house.rows().await;
    let ids: Vec<_> = rows.iter().map(|row| row.id).collect();
    let kept = [0, 3, 4, 5].map(|number| before[number].id);
    assert_eq!(ids, kept, "the oldest go, but not what is protected, and not more than needed");
    assert_eq!(local_objects(&uploading), 4);
    let lost = &before[1];
    let end_us = before[2].end_us.unwrap();
    let gaps = archive.gaps(channel_id, lost.start_us, end_us, NOON_US + DAY_US).await.unwrap();
    assert_eq!(gaps.len(), 1, "{gaps:?}");
    assert_eq!((gaps[0].start_us, gaps[0].cause), (lost.start_us, EndCause::Disk));
    let alarms = archive.ledger().await.unwrap().alarms;
    assert!(alarms.iter().any(|alarm| alarm.kind == AlarmKind::FootageLost), "{alarms:?}");
    // The audit tells, and the bucket is asked too, as soon as it answers.
    uploading.bucket.set_away(false);
    until("the deletions are done", async || {
        archive.keep_house().await.is_ok()
            && uploading.house.catalog.pending_deletions(9).await.unwrap().is_empty()
    })
    .await;
    let audit = uploading.house.catalog.deletions(None, 9).await.unwrap();
    assert_eq!(audit.len(), 2);
    assert!(audit.iter().all(|deletion| deletion.reason == DeletionReason::Space.as_str()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_stops_recording_where_nothing_may_be_given_up() {
    let mut uploading = Uploading::new().await;
    uploading.bucket.set_away(true);
    let archive = uploading.open();
    uploading.record(&archive, 11).await;
    drop(archive);
    let used = used_bytes(&uploading);
    uploading.house.config.retention.on_full = OnFull::StopRecording;
    uploading.house.config.retention.min_free_bytes = used;
    uploading.house.disk.set_capacity(Some(used + used / 2));
    let archive = uploading.open();
    let recorder = uploading.house.recorder(&archive);
    archive.keep_house().await.unwrap();
    let alarms = archive.ledger().await.unwrap().alarms;
    assert_eq!(alarms[0].kind, AlarmKind::RecordingStopped);
    let camera = film(&recorder, 20, 26).await;
    let count = uploading.house.rows().await.len();
    assert_eq!(count, 3, "nothing is written, and nothing is given up");

    uploading.house.disk.set_capacity(None);
    archive.keep_house().await.unwrap();
    let mut camera = camera;
    support::push_all(&recorder, camera.0.film_until(NOON_US + 33 * S)).await;
    camera.stop(&recorder).await;
    archive.settle().await;
    let channel_id = uploading.house.channel_id;
    let gaps = archive.gaps(channel_id, NOON_US + 20 * S, NOON_US + 33 * S, NOON_US + DAY_US).await.unwrap();
    assert_eq!(gaps.len(), 1, "{gaps:?}");
    assert_eq!((gaps[0].start_us, gaps[0].cause), (NOON_US + 20 * S, EndCause::Disk));
    assert_eq!(gaps[0].end_us, NOON_US + 26 * S, "the first keyframe after there is room");
    assert!(!archive.ledger().await.unwrap().keeper.is_stopped);
}

#[tokio::test(flavor = "multi_thread")]
async fn footage_past_its_retention_goes_from_here_and_from_the_bucket_mediamtx_4449() {
    let mut uploading = Uploading::new().await;
    uploading.house.config.retention.days = Some(10);
    let archive = uploading.open();
    uploading.record(&archive, 11).await;
    until_stored(&archive, 3).await;
    let rows = uploading.house.rows().await;
    let (from_us, to_us) = (rows[1].start_us, rows[1].start_us + S);
    let channel_id = uploading.house.channel_id;
    let clip = NewProtection { channel_id, from_us, to_us, reason: "clip".into() };
    let clip = uploading.house.catalog.protect(clip).await.unwrap();
    archive.keep_house().await.unwrap();
    assert_eq!(uploading.house.rows().await.len(), 3, "not before its time");

    uploading.house.clock.advance(11 * DAY_US);
    uploading.bucket.inject(BucketFaultRule::on(BucketOperation::Delete, BucketFault::Busy(None)).times(1));
    assert!(archive.keep_house().await.is_err(), "the bucket does not do it at once");
    let left = uploading.house.rows().await;
    assert_eq!(
        left.iter().map(|row| row.id).collect::<Vec<_>>(),
        [rows[1].id],
        "no answer names it any more"
    );
    until("it is tried again", async || archive.keep_house().await.is_ok()).await;
    assert_eq!(uploading.bucket.names(), [rows[1].object_name.clone()]);
    assert_eq!(local_objects(&uploading), 1);

    uploading.house.catalog.unprotect(clip.id).await.unwrap();
    archive.keep_house().await.unwrap();
    assert!(uploading.bucket.names().is_empty());
    assert_eq!(local_objects(&uploading), 0);
    let audit = uploading.house.catalog.deletions(None, 9).await.unwrap();
    assert_eq!(audit.len(), 3);
    assert!(audit.iter().all(|deletion| deletion.done_us.is_some() && deletion.was_stored));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_was_leaving_when_the_power_went_is_gone_after_the_next_start() {
    let uploading = Uploading::new().await;
    let archive = uploading.open();
    uploading.record(&archive, 7).await;
    until_stored(&archive, 2).await;
    drop(archive);
    let row = uploading.house.rows().await.remove(0);
    uploading.house.catalog.leave_local(&[row.id]).await.unwrap();
    uploading.house.disk.inject(FaultRule::on(Operation::Remove, Fault::Io).times(1));
    let archive = uploading.open();
    until("the copy is gone", async || {
        let copy = uploading.house.catalog.segment(row.id).await.unwrap().unwrap().local_copy;
        archive.keep_house().await.is_ok() && copy == LocalCopy::None
    })
    .await;
    assert_eq!(local_objects(&uploading), 1);
    let object = archive.open_segment(row.id).await.unwrap();
    assert_eq!(object.len, row.size_bytes);
}

#[tokio::test(flavor = "multi_thread")]
async fn local_copies_stay_as_long_as_they_are_to() {
    let mut uploading = Uploading::new().await;
    uploading.house.config.retention.keep_local_us = Some(2 * DAY_US);
    let archive = uploading.open();
    uploading.record(&archive, 7).await;
    until_stored(&archive, 2).await;
    archive.keep_house().await.unwrap();
    assert_eq!(local_objects(&uploading), 2);
    uploading.house.clock.advance(3 * DAY_US);
    archive.keep_house().await.unwrap();
    assert_eq!(local_objects(&uploading), 0);
    uploading.assert_all_stored(&archive).await;
}
