//! What is kept and what goes: copies that the bucket has, footage past its retention, a disk that is full.
#![expect(clippy::unwrap_used, reason = "a test says what went wrong by stopping")]

use bytes::Bytes;
use catalog::{DeletionReason, LocalCopy, NewClub, NewProtection, SegmentState};
use media::EndCause;
use turepe_archive::{
    AlarmKind, Archive, OnFull, RetentionWaiting, WaitReason,
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

/// A house with so many seconds of segments in local store and bucket, of 5 s each, and no archive open on it.
async fn stored_house(seconds: i64) -> Uploading {
    let uploading = Uploading::new().await;
    let archive = uploading.open();
    uploading.record(&archive, seconds).await;
    until_stored(&archive, seconds.unsigned_abs().div_ceil(5)).await;
    archive.shutdown().await;
    uploading
}

/// Lets the disk be so low that copies have to go, but not so low that a silent bucket ends recording.
fn lower_the_disk(uploading: &mut Uploading) {
    let used = used_bytes(uploading);
    uploading.house.config.retention.min_free_bytes = used / 2;
    uploading.house.disk.set_capacity(Some(used + used / 2 - used / 20));
}

async fn alarm(archive: &Archive, kind: AlarmKind) -> Option<String> {
    let alarms = archive.ledger().await.unwrap().alarms;
    alarms.into_iter().find(|alarm| alarm.kind == kind).map(|alarm| alarm.message)
}

async fn waiting(uploading: &Uploading) -> RetentionWaiting {
    RetentionWaiting::read(&uploading.house.catalog).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_stay_and_go_up_again_when_somebody_else_has_emptied_the_bucket() {
    let mut uploading = stored_house(36).await;
    for name in uploading.bucket.names() {
        uploading.bucket.lose(&name);
    }
    lower_the_disk(&mut uploading);
    let archive = uploading.open();
    archive.keep_house().await.unwrap();
    until("an alarm says so", async || alarm(&archive, AlarmKind::BucketLost).await.is_some()).await;
    until("everything that was asked for is there again", async || {
        uploading.house.rows().await.iter().all(|row| {
            row.state == SegmentState::Stored
                && (row.local_copy == LocalCopy::Kept || uploading.bucket.bytes(&row.object_name).is_some())
        })
    })
    .await;
    assert!(uploading.bucket.calls(BucketOperation::Head) >= 8);
    for row in uploading.house.rows().await {
        let local = uploading.house.disk.files().iter().any(|file| file.ends_with(&row.object_name));
        assert!(
            local || uploading.bucket.bytes(&row.object_name).is_some(),
            "{} is nowhere",
            row.object_name
        );
    }
    assert!(uploading.house.catalog.deletions(None, 9).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn one_object_that_differs_goes_up_again_and_the_others_copies_go() {
    for replaced in [Bytes::from_static(b""), Bytes::from_static(b"other bytes")] {
        let mut uploading = stored_house(21).await;
        let rows = uploading.house.rows().await;
        uploading.bucket.replace(&rows[0].object_name, replaced);
        // As many bytes as before, and others.
        let mut forged = uploading.bucket.bytes(&rows[1].object_name).unwrap().to_vec();
        forged[100] ^= 1;
        uploading.bucket.replace(&rows[1].object_name, forged.into());
        let whole = [&rows[0], &rows[1]].map(|row| uploading.house.object(row));
        uploading.house.config.retention.keep_local_us = Some(0);
        let archive = uploading.open();
        // The camera's last segment ends in the future of the tests' clock.
        uploading.house.clock.advance(3600 * S);
        until("both are there again", async || {
            let _ = archive.keep_house().await;
            [0, 1].iter().all(|at| {
                uploading.bucket.bytes(&rows[*at].object_name).is_some_and(|object| object == whole[*at])
            })
        })
        .await;
        until("and then all copies go", async || {
            let _ = archive.keep_house().await;
            local_objects(&uploading) == 0
        })
        .await;
        let says = alarm(&archive, AlarmKind::BucketLost).await.unwrap();
        assert!(says.contains("2 segments are uploaded again"), "{says}");
        uploading.assert_all_stored(&archive).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_goes_on_account_of_a_bucket_that_does_not_answer() {
    let troubles = [BucketFault::Unreachable, BucketFault::Busy(None), BucketFault::Refused];
    for trouble in troubles {
        let mut uploading = stored_house(21).await;
        uploading.bucket.inject(BucketFaultRule::on(BucketOperation::Head, trouble));
        lower_the_disk(&mut uploading);
        let archive = uploading.open();
        assert!(archive.keep_house().await.is_err(), "{trouble:?}: it is held up");
        assert_eq!(local_objects(&uploading), 5, "{trouble:?}");
        assert!(alarm(&archive, AlarmKind::CopiesUnconfirmed).await.is_some(), "{trouble:?}");
        assert!(!archive.ledger().await.unwrap().keeper.is_stopped, "{trouble:?}: recording goes on");
        uploading.bucket.heal();
        until("it goes on", async || archive.keep_house().await.is_ok() && local_objects(&uploading) < 5)
            .await;
        assert_eq!(alarm(&archive, AlarmKind::CopiesUnconfirmed).await, None);
        uploading.assert_all_stored(&archive).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_is_all_full_waits_for_a_silent_bucket_before_it_gives_anything_up() {
    let mut uploading = stored_house(21).await;
    uploading.bucket.set_away(true);
    uploading.house.disk.set_capacity(Some(2 * used_bytes(&uploading)));
    uploading.house.config.retention.min_free_bytes = 1 << 40;
    let archive = uploading.open();
    let _ = archive.keep_house().await;
    let _ = archive.keep_house().await;
    assert_eq!((local_objects(&uploading), uploading.house.rows().await.len()), (5, 5));
    assert!(archive.ledger().await.unwrap().keeper.is_stopped);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_was_leaving_stays_if_the_bucket_has_lost_it_meanwhile() {
    let uploading = stored_house(11).await;
    let rows = uploading.house.rows().await;
    uploading.house.catalog.leave_local(&[rows[0].id, rows[1].id]).await.unwrap();
    uploading.bucket.lose(&rows[0].object_name);
    // Of the second one the crash had taken the file already: it is nowhere, and its row stays.
    uploading.bucket.lose(&rows[1].object_name);
    world::Disk::remove(&uploading.house.disk, &uploading.house.config.store.join(&rows[1].object_name))
        .unwrap();
    let archive = uploading.open();
    until("the first is there again", async || {
        let _ = archive.keep_house().await;
        uploading.bucket.bytes(&rows[0].object_name).is_some()
    })
    .await;
    assert!(uploading.house.disk.files().iter().any(|file| file.ends_with(&rows[0].object_name)));
    let says = alarm(&archive, AlarmKind::BucketLost).await.unwrap();
    assert!(says.contains("1 segments are uploaded again, 1 are nowhere"), "{says}");
    let lost = uploading.house.catalog.segment(rows[1].id).await.unwrap().unwrap();
    assert_eq!((lost.state, lost.local_copy), (SegmentState::Stored, LocalCopy::None));
}

/// No witness confirms the clock: no NTP, a database in the process, a bucket without a clock.
#[tokio::test(flavor = "multi_thread")]
async fn a_start_far_ahead_of_the_newest_footage_deletes_nothing() {
    for ahead_us in [8 * DAY_US, 15 * DAY_US, 3650 * DAY_US] {
        let mut uploading = stored_house(36).await;
        uploading.bucket.show_clock(None);
        uploading.house.config.retention.days = Some(7);
        uploading.house.config.retention.max_share_percent = 100;
        uploading.house.clock.advance(ahead_us);
        let archive = uploading.open();
        archive.keep_house().await.unwrap();
        // What this run records by that clock is no witness of it.
        let recorder = uploading.house.recorder(&archive);
        film(&recorder, ahead_us / S, ahead_us / S + 7).await.stop(&recorder).await;
        archive.settle().await;
        archive.keep_house().await.unwrap();
        assert_eq!(uploading.house.rows().await.len(), 8);
        let says = alarm(&archive, AlarmKind::RetentionWaits).await.unwrap();
        assert!(says.contains("ahead of the newest footage") && says.contains("--confirm"), "{says}");
        let waiting = waiting(&uploading).await;
        assert_eq!(waiting.items.len(), 1);
        assert_eq!((waiting.items[0].reason, waiting.items[0].segments), (WaitReason::Clock, 8));
        assert_eq!(waiting.items[0].cutoff_us, NOON_US + ahead_us - 7 * DAY_US);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_whose_clock_differs_keeps_footage_and_one_that_agrees_lets_it_go() {
    for (bucket_ahead_us, left) in [(-8 * DAY_US, 3), (3600 * S, 3), (-5 * S, 0)] {
        let mut uploading = stored_house(11).await;
        uploading.house.config.retention.days = Some(7);
        uploading.house.clock.advance(8 * DAY_US);
        uploading.bucket.show_clock(Some(bucket_ahead_us));
        let archive = uploading.open();
        archive.keep_house().await.unwrap();
        assert_eq!(uploading.house.rows().await.len(), left, "{bucket_ahead_us}");
        assert_eq!(alarm(&archive, AlarmKind::RetentionWaits).await.is_some(), left > 0);
        if left > 0 {
            // The clock is put right: nothing waits, nothing is due.
            uploading.house.clock.advance(-8 * DAY_US);
            uploading.bucket.show_clock(Some(0));
            archive.keep_house().await.unwrap();
            assert_eq!(alarm(&archive, AlarmKind::RetentionWaits).await, None);
            assert_eq!(uploading.house.rows().await.len(), left);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_leaps_while_the_node_runs_expires_nothing() {
    let mut uploading = stored_house(36).await;
    uploading.house.config.retention.days = Some(7);
    uploading.house.config.retention.max_share_percent = 100;
    uploading.bucket.show_clock(None);
    let archive = uploading.open();
    archive.keep_house().await.unwrap();
    uploading.house.clock.advance(30 * DAY_US);
    archive.keep_house().await.unwrap();
    assert_eq!(uploading.house.rows().await.len(), 8);
    assert!(alarm(&archive, AlarmKind::RetentionWaits).await.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn most_of_a_clubs_footage_waits_for_a_person_and_goes_by_their_word_alone() {
    let mut uploading = stored_house(36).await;
    uploading.house.config.retention.days = Some(7);
    uploading.house.clock.advance(8 * DAY_US);
    let archive = uploading.open();
    archive.keep_house().await.unwrap();
    assert_eq!(uploading.house.rows().await.len(), 8, "the clock is right, and all would go at once");
    let shown = waiting(&uploading).await;
    let [item] = &shown.items[..] else { panic!("{shown:?}") };
    assert_eq!((item.reason, item.segments, item.of_segments, item.days), (WaitReason::Share, 8, 8, 7));
    assert_eq!(shown.doubt, None);
    assert!(alarm(&archive, AlarmKind::RetentionWaits).await.unwrap().contains("8 segments"));
    // What is shown stays what it is, however long nobody answers.
    uploading.house.clock.advance(DAY_US);
    archive.keep_house().await.unwrap();
    assert_eq!(waiting(&uploading).await.items[0].cutoff_us, item.cutoff_us);
    waiting(&uploading).await.confirm(&uploading.house.catalog).await.unwrap();
    until("a running node sees it by itself", async || uploading.house.rows().await.is_empty()).await;
    until("and says that nothing waits", async || {
        alarm(&archive, AlarmKind::RetentionWaits).await.is_none()
            && waiting(&uploading).await.items.is_empty()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_word_lets_go_of_what_was_shown_and_no_more() {
    let mut uploading = stored_house(60).await;
    uploading.house.config.retention.days = Some(7);
    uploading.house.clock.advance(8 * DAY_US);
    let archive = uploading.open();
    archive.keep_house().await.unwrap();
    let mut shown = waiting(&uploading).await;
    assert_eq!(shown.segments(), 12);
    archive.shutdown().await;
    // As if seven segments had been shown.
    shown.items[0].cutoff_us = NOON_US + 35 * S;
    shown.confirm(&uploading.house.catalog).await.unwrap();
    let archive = uploading.open();
    for _ in 0..3 {
        archive.keep_house().await.unwrap();
        let rows = uploading.house.rows().await;
        assert_eq!((rows.len(), rows[0].start_us), (5, NOON_US + 35 * S), "the word is spent");
    }
    assert_eq!(waiting(&uploading).await.segments(), 5, "what is left waits anew");
    archive.shutdown().await;

    // A retention that is put right before the word is kept wins.
    let mut uploading = stored_house(36).await;
    uploading.house.config.retention.days = Some(7);
    uploading.house.clock.advance(8 * DAY_US);
    let archive = uploading.open();
    archive.keep_house().await.unwrap();
    let shown = waiting(&uploading).await;
    archive.shutdown().await;
    drop(archive);
    shown.confirm(&uploading.house.catalog).await.unwrap();
    uploading.house.config.retention.days = Some(100);
    let archive = uploading.open();
    archive.keep_house().await.unwrap();
    assert_eq!(uploading.house.rows().await.len(), 8);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_confirmed_clock_is_believed_from_there_on() {
    let mut uploading = stored_house(36).await;
    uploading.house.config.retention.days = Some(7);
    uploading.house.config.retention.max_share_percent = 100;
    uploading.bucket.show_clock(None);
    uploading.house.clock.advance(8 * DAY_US);
    let archive = uploading.open();
    archive.keep_house().await.unwrap();
    waiting(&uploading).await.confirm(&uploading.house.catalog).await.unwrap();
    until("the word is kept", async || {
        archive.keep_house().await.unwrap();
        uploading.house.rows().await.is_empty() && alarm(&archive, AlarmKind::RetentionWaits).await.is_none()
    })
    .await;
}

/// `--days 1` instead of `--days 100`, for one club of two.
#[tokio::test(flavor = "multi_thread")]
async fn a_mistyped_retention_of_one_club_waits() {
    let uploading = stored_house(36).await;
    let catalog = &uploading.house.catalog;
    let club = NewClub {
        slug: "padel".into(),
        name: "Padel".into(),
        zone: "UTC".into(),
        hours: "08:00-24:00".parse().unwrap(),
        appointment_duration_min: 90,
    };
    let club = catalog.create_club(club).await.unwrap();
    let court = catalog.create_court(club.id, "pista-1", "Pista 1").await.unwrap();
    let new =
        catalog::NewChannel { court_id: Some(court.id), name: "c".into(), source: catalog::Source::Push };
    let (channel, _) = catalog.create_channel(new).await.unwrap();
    let archive = uploading.open();
    let recorder = archive
        .recorder(turepe_archive::RecorderTarget { channel_id: channel.id, prefix: "padel/pista-1".into() });
    film(&recorder, 40, 70).await.stop(&recorder).await;
    archive.settle().await;
    catalog.set_retention(club.id, Some(1)).await.unwrap();
    uploading.house.clock.advance(3 * DAY_US);
    archive.keep_house().await.unwrap();
    let shown = waiting(&uploading).await;
    let [item] = &shown.items[..] else { panic!("{shown:?}") };
    assert_eq!(
        (item.club.as_deref(), item.reason, item.segments, item.days),
        (Some("padel"), WaitReason::Share, 6, 1)
    );
    // It is put right again.
    catalog.set_retention(club.id, Some(100)).await.unwrap();
    archive.keep_house().await.unwrap();
    assert!(waiting(&uploading).await.items.is_empty());
    let channels = [uploading.house.channel_id, channel.id];
    for (channel_id, count) in channels.into_iter().zip([8, 6]) {
        let rows = catalog.segments_in_range(channel_id, NOON_US, NOON_US + 3600 * S).await.unwrap();
        assert_eq!(rows.len(), count);
    }
}

/// A machine without a battery begins in 1970; then NTP puts its clock right.
#[tokio::test(flavor = "multi_thread")]
async fn footage_that_a_wrong_clock_has_dated_does_not_expire_as_old() {
    for began_us in [60 * S, 946_684_800 * S] {
        let mut uploading = Uploading::new().await;
        uploading.house.config.retention.days = Some(7);
        uploading.house.config.retention.max_share_percent = 100;
        uploading.house.clock.set(began_us);
        let archive = uploading.open();
        let recorder = uploading.house.recorder(&archive);
        film(&recorder, (began_us - NOON_US) / S, (began_us - NOON_US) / S + 36).await.stop(&recorder).await;
        archive.settle().await;
        uploading.house.clock.set(NOON_US);
        archive.keep_house().await.unwrap();
        let channel_id = uploading.house.channel_id;
        let footage = uploading.house.catalog.footage(channel_id).await.unwrap();
        assert!(footage.segments >= 8, "{footage:?}");
        let shown = waiting(&uploading).await;
        assert_eq!(shown.items.len(), 1, "{shown:?}");
        assert_eq!((shown.items[0].reason, shown.items[0].segments), (WaitReason::Undated, footage.segments));
        shown.confirm(&uploading.house.catalog).await.unwrap();
        archive.keep_house().await.unwrap();
        assert_eq!(uploading.house.catalog.footage(channel_id).await.unwrap().segments, 0);
    }
}
