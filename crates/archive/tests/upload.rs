//! Segments on their way to the bucket: while they grow, over faults, across restarts.
#![expect(clippy::unwrap_used, reason = "a test says what went wrong by stopping")]

use catalog::SegmentState;
use futures_util::StreamExt;
use turepe_archive::{
    AlarmKind,
    bucket::{Bucket as _, BucketFault, BucketFaultRule, BucketOperation},
};

mod support;
use support::{
    NOON_US, S, collect,
    uploading::{PART_BYTES, Uploading, film, until, until_stored},
};

/// MediaMTX #4056, Frigate #2964, restreamer #913: no script between recording and bucket.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_sealed_is_stored_and_read_from_wherever_it_is() {
    let uploading = Uploading::new().await;
    let archive = uploading.open();
    uploading.record(&archive, 12).await;
    until_stored(&archive, 3).await;
    uploading.assert_all_stored(&archive).await;
    let row = &uploading.house.rows().await[0];
    assert!(row.etag.as_deref().unwrap().contains('-'), "a long one goes in parts");
    let channel_id = uploading.house.channel_id;
    let range = (NOON_US + S, NOON_US + 11 * S);
    let local = archive.cut(channel_id, range.0, range.1).await.unwrap();
    let local = collect(local.stream(0..local.len())).await;

    // The copy of the first one goes: the same download is made of the bucket and of the local store.
    uploading.house.catalog.leave_local(&[row.id]).await.unwrap();
    archive.keep_house().await.unwrap();
    assert!(!uploading.house.disk.files().iter().any(|file| file.ends_with(&row.object_name)));
    let mixed = archive.cut(channel_id, range.0, range.1).await.unwrap();
    assert_eq!(collect(mixed.stream(0..mixed.len())).await, local);
    let whole = archive.open_segment(row.id).await.unwrap();
    assert_eq!(collect(whole.stream(0..whole.len)).await, uploading.bucket.bytes(&row.object_name).unwrap());
    assert!(archive.keyframe(channel_id, NOON_US + 2 * S).await.unwrap().is_some());
}

/// A reader holds nothing open, so that a copy which leaves gives its space back; he goes on where the segment is by then.
#[tokio::test(flavor = "multi_thread")]
async fn a_download_goes_on_from_the_bucket_and_ends_where_footage_is_deleted() {
    let uploading = Uploading::new().await;
    let archive = uploading.open();
    uploading.record(&archive, 12).await;
    until_stored(&archive, 3).await;
    let rows = uploading.house.rows().await;
    let (channel_id, range) = (uploading.house.channel_id, (NOON_US + S, NOON_US + 11 * S));
    let download = archive.cut(channel_id, range.0, range.1).await.unwrap();
    let whole = collect(download.stream(0..download.len())).await;
    let begun = [download.stream(0..download.len()), download.stream(0..download.len())];

    for row in &rows {
        uploading.house.catalog.leave_local(&[row.id]).await.unwrap();
    }
    archive.keep_house().await.unwrap();
    assert!(!uploading.house.disk.files().iter().any(|file| file.ends_with(&rows[0].object_name)));
    let [goes_on, is_cut_off] = begun;
    assert_eq!(collect(goes_on).await, whole);

    for row in &rows {
        uploading.house.catalog.delete_segment(row.id).await.unwrap();
        uploading.bucket.delete(&row.object_name).await.unwrap();
    }
    let pieces: Vec<_> = is_cut_off.collect().await;
    let error = pieces.last().unwrap().as_ref().unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::NotFound, "{error}");
    assert!(error.to_string().contains(&rows[0].id.to_string()), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_go_up_while_a_segment_grows_and_the_first_comes_last() {
    let uploading = Uploading::new().await;
    let archive = uploading.open();
    let recorder = uploading.house.recorder(&archive);
    let camera = film(&recorder, 0, 4).await;
    until("parts of the growing segment arrive", async || {
        uploading.bucket.calls(BucketOperation::PutPart) >= 4
    })
    .await;
    let row = &uploading.house.rows().await[0];
    assert_eq!(row.state, SegmentState::Growing);
    let upload = uploading.house.catalog.upload(row.id).await.unwrap().unwrap();
    assert!(upload.parts.iter().all(|(number, _)| *number > 1), "{:?}", upload.parts);
    camera.stop(&recorder).await;
    archive.settle().await;
    until_stored(&archive, 1).await;
    uploading.assert_all_stored(&archive).await;
}

/// Kerberos #159, Ant Media #2598, unifi-protect-backup #106, and B2's «no tomes available»: no fault is taken for success.
#[tokio::test(flavor = "multi_thread")]
async fn faults_of_every_kind_cost_time_and_nothing_else() {
    use BucketOperation::*;
    let faults = [
        ("503 no tomes available", BucketFaultRule::on(PutPart, BucketFault::Busy(None)).times(3)),
        ("begin refused for a while", BucketFaultRule::on(BeginUpload, BucketFault::Refused).times(2)),
        ("a reset", BucketFaultRule::on(PutPart, BucketFault::Unreachable).after(1).times(2)),
        ("a damaged body", BucketFaultRule::on(PutPart, BucketFault::Damaged).times(1)),
        ("a wrong tag of a part", BucketFaultRule::on(PutPart, BucketFault::WrongEtag).times(1)),
        ("a lost answer to a part", BucketFaultRule::on(PutPart, BucketFault::AnswerLost).times(2)),
        ("a lost answer to the end", BucketFaultRule::on(CompleteUpload, BucketFault::AnswerLost).times(1)),
        ("a busy end", BucketFaultRule::on(CompleteUpload, BucketFault::Busy(None)).times(2)),
        ("a forgotten upload", BucketFaultRule::on(PutPart, BucketFault::UploadForgotten).after(2).times(1)),
        ("a wrong tag at the end", BucketFaultRule::on(CompleteUpload, BucketFault::WrongEtag).times(1)),
        ("no answer to the look", BucketFaultRule::on(Head, BucketFault::Unreachable).times(2)),
        ("a part is never taken", BucketFaultRule::on(PutPart, BucketFault::Busy(None)).after(3).times(9)),
        ("forgotten at the end", BucketFaultRule::on(CompleteUpload, BucketFault::UploadForgotten).times(1)),
        ("forgotten twice", BucketFaultRule::on(CompleteUpload, BucketFault::UploadForgotten).times(2)),
        ("not listed", BucketFaultRule::on(Parts, BucketFault::Refused)),
        ("a lost answer to a begin", BucketFaultRule::on(BeginUpload, BucketFault::AnswerLost).times(1)),
    ];
    for (what, rule) in faults {
        let uploading = Uploading::new().await;
        uploading.bucket.inject(rule);
        let archive = uploading.open();
        uploading.record(&archive, 7).await;
        until_stored(&archive, 2).await;
        let rows = uploading.house.rows().await;
        for row in &rows {
            let object = uploading.bucket.bytes(&row.object_name).unwrap();
            assert_eq!(uploading.house.object(row), object, "{what}");
            assert_eq!(row.state, SegmentState::Stored, "{what}");
        }
    }
}

/// B2 and others drop uploads, and now and then say so of one that they have.
#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_the_bucket_does_not_know_begins_anew_and_the_old_one_goes() {
    use BucketOperation::*;
    for fault in [BucketFault::UploadForgotten, BucketFault::UploadHidden] {
        for (operation, after, times) in
            [(CompleteUpload, 0, 1), (CompleteUpload, 1, 3), (Parts, 0, 1), (PutPart, 2, 1), (PutPart, 5, 2)]
        {
            let what = format!("{fault:?} {operation:?} {after} {times}");
            let uploading = Uploading::new().await;
            uploading.bucket.inject(BucketFaultRule::on(operation, fault).after(after).times(times));
            let archive = uploading.open();
            uploading.record(&archive, 7).await;
            until_stored(&archive, 2).await;
            uploading.assert_all_stored(&archive).await;
            assert!(archive.ledger().await.unwrap().upload.restarts > 0, "{what}");
            assert_eq!(archive.ledger().await.unwrap().alarms, [], "{what}");
        }
    }
}

/// A restart meets the same.
#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_was_forgotten_while_nobody_ran_begins_anew() {
    for fault in [BucketFault::UploadForgotten, BucketFault::UploadHidden] {
        let uploading = Uploading::new().await;
        uploading
            .bucket
            .inject(BucketFaultRule::on(BucketOperation::CompleteUpload, BucketFault::Unreachable));
        let archive = uploading.open();
        uploading.record(&archive, 4).await;
        until("all parts have arrived", async || uploading.bucket.calls(BucketOperation::CompleteUpload) > 0)
            .await;
        drop(archive);
        uploading.bucket.heal();
        uploading.bucket.inject(BucketFaultRule::on(BucketOperation::Parts, fault).times(1));
        let archive = uploading.open();
        until_stored(&archive, 1).await;
        uploading.assert_all_stored(&archive).await;
    }
}

/// Without the right to abort, a new upload does not wait for the old one to go.
#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_cannot_be_aborted_holds_up_nothing() {
    let uploading = Uploading::new().await;
    uploading.bucket.inject(BucketFaultRule::on(BucketOperation::AbortUpload, BucketFault::Refused));
    uploading
        .bucket
        .inject(BucketFaultRule::on(BucketOperation::CompleteUpload, BucketFault::UploadHidden).times(1));
    let archive = uploading.open();
    uploading.record(&archive, 4).await;
    until_stored(&archive, 1).await;
}

/// Owncast #3963: nothing remote stands in the way of recording.
#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_is_away_is_waited_for_and_said() {
    let uploading = Uploading::new().await;
    uploading.bucket.set_away(true);
    let archive = uploading.open();
    uploading.record(&archive, 21).await;
    until("trouble is noticed", async || archive.ledger().await.unwrap().upload.trouble.is_some()).await;
    let ledger = archive.ledger().await.unwrap();
    assert_eq!(ledger.unstored_segments, 5);
    assert!(ledger.unsafe_bytes > 100_000 && ledger.unsafe_duration_us > 20 * S, "{ledger:?}");
    uploading.house.clock.advance(3600 * S);
    let ledger = archive.ledger().await.unwrap();
    assert!(ledger.upload_lag_us > 3500 * S);
    assert_eq!(ledger.alarms.iter().map(|alarm| alarm.kind).collect::<Vec<_>>(), [AlarmKind::BucketAway]);
    // It is not hammered: pauses grow to their ceiling.
    uploading.bucket.set_away(false);
    until_stored(&archive, 5).await;
    uploading.assert_all_stored(&archive).await;
    assert_eq!(archive.ledger().await.unwrap().alarms, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_goes_on_with_the_parts_that_have_arrived() {
    let uploading = Uploading::new().await;
    // The first run gets some parts through and no more.
    uploading.bucket.inject(BucketFaultRule::on(BucketOperation::PutPart, BucketFault::Unreachable).after(4));
    let archive = uploading.open();
    uploading.record(&archive, 4).await;
    let id = uploading.house.rows().await[0].id;
    until("some parts have arrived", async || {
        uploading.house.catalog.upload(id).await.unwrap().is_some_and(|upload| upload.parts.len() == 4)
    })
    .await;
    drop(archive);
    uploading.bucket.heal();
    let archive = uploading.open();
    until_stored(&archive, 1).await;
    uploading.assert_all_stored(&archive).await;
    let row = &uploading.house.rows().await[0];
    let sent_bytes = archive.ledger().await.unwrap().upload.sent_bytes;
    assert_eq!(sent_bytes, row.size_bytes - 4 * PART_BYTES, "what has arrived is not sent again");
    assert_eq!(uploading.bucket.calls(BucketOperation::BeginUpload), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn footage_from_before_the_bucket_is_brought_there_too() {
    let uploading = Uploading::new().await;
    let archive = uploading.house.open();
    uploading.record(&archive, 7).await;
    archive.shutdown().await;
    drop(archive);
    assert!(uploading.house.rows().await.iter().all(|row| row.state == SegmentState::Sealed));
    let archive = uploading.open();
    until_stored(&archive, 2).await;
    uploading.assert_all_stored(&archive).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn orphaned_uploads_are_aborted_and_those_of_others_are_not() {
    use turepe_archive::bucket::Bucket as _;
    let uploading = Uploading::new().await;
    let of = |channel: uuid::Uuid, number: u8| {
        format!("club/court/{channel}/2025/11/24/1200{number:02}Z-{}.mp4", uuid::Uuid::now_v7())
    };
    let ours = uploading.house.channel_id;
    // Of a channel that this catalog does not know, and nothing that we have named: another catalog's, or that of one that
    // was lost.
    let others = [of(uuid::Uuid::now_v7(), 1), "club/court/backup.tar".to_owned()];
    uploading.bucket.begin_upload(&of(ours, 2)).await.unwrap();
    for other in &others {
        uploading.bucket.begin_upload(other).await.unwrap();
    }
    uploading.house.clock.advance(25 * 3600 * S);
    let young = of(ours, 3);
    uploading.bucket.begin_upload(&young).await.unwrap();
    let archive = uploading.open();
    until("the orphan is gone", async || uploading.bucket.pending_uploads() == 3).await;
    let mut left: Vec<_> =
        uploading.bucket.uploads("").await.unwrap().into_iter().map(|upload| upload.name).collect();
    left.sort();
    let [other, foreign] = others;
    let mut expected = [other, foreign, young];
    expected.sort();
    assert_eq!(left, expected);
    drop(archive);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_deleted_on_its_way_does_not_stay_in_the_bucket() {
    use catalog::DeletionReason;
    let uploading = Uploading::new().await;
    uploading.bucket.inject(BucketFaultRule::on(BucketOperation::CompleteUpload, BucketFault::Unreachable));
    let archive = uploading.open();
    uploading.record(&archive, 4).await;
    until("it is all there but for the end", async || {
        uploading.bucket.calls(BucketOperation::CompleteUpload) > 0
    })
    .await;
    let row = uploading.house.rows().await.remove(0);
    uploading.house.catalog.delete_segments(&[row.id], DeletionReason::Admin, None).await.unwrap();
    uploading.bucket.heal();
    until("its bytes are gone", async || {
        archive.keep_house().await.unwrap();
        uploading.bucket.names().is_empty()
            && uploading.bucket.pending_uploads() == 0
            && uploading.house.catalog.pending_deletions(9).await.unwrap().is_empty()
    })
    .await;
    assert!(!uploading.house.disk.files().iter().any(|file| file.ends_with(&row.object_name)));
}

/// Riak CS, Ceph with encryption, AWS with SSE-KMS: tags of whole objects that nobody can compute.
#[tokio::test(flavor = "multi_thread")]
async fn a_service_with_tags_of_its_own_confirms_by_its_list_of_parts_and_its_answer() {
    use BucketOperation::*;
    let faults = [
        None,
        Some(BucketFaultRule::on(CompleteUpload, BucketFault::AnswerLost).times(1)),
        Some(BucketFaultRule::on(CompleteUpload, BucketFault::WrongEtag).times(1)),
        Some(BucketFaultRule::on(Parts, BucketFault::Busy(None)).times(2)),
    ];
    for fault in faults {
        let uploading = Uploading::new().await;
        uploading.bucket.set_own_etags(true);
        if let Some(rule) = fault.clone() {
            uploading.bucket.inject(rule);
        }
        let archive = uploading.open();
        uploading.record(&archive, 7).await;
        until_stored(&archive, 2).await;
        uploading.assert_all_stored(&archive).await;
        let rows = uploading.house.rows().await;
        assert!(rows.iter().all(|row| row.etag.as_deref().unwrap().starts_with("own-")), "{fault:?}");
    }
}

/// Two objects of equal length, of which the second overwrites the first after it was completed.
#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_is_not_what_was_sent_is_never_confirmed() {
    let uploading = Uploading::new().await;
    // Nobody can look for a while.
    uploading.bucket.inject(BucketFaultRule::on(BucketOperation::Head, BucketFault::Unreachable));
    let archive = uploading.open();
    uploading.record(&archive, 4).await;
    let row = uploading.house.rows().await.remove(0);
    until("it is completed", async || uploading.bucket.bytes(&row.object_name).is_some()).await;
    let mut other = uploading.bucket.bytes(&row.object_name).unwrap().to_vec();
    let last = other.len() - 1;
    other[last] ^= 0xFF;
    uploading.bucket.replace(&row.object_name, other.into());
    uploading.bucket.heal();
    until_stored(&archive, 1).await;
    uploading.assert_all_stored(&archive).await;
    assert!(archive.ledger().await.unwrap().upload.restarts > 0);
}
