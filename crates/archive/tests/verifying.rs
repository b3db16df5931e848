//! Comparing catalog, store and bucket: every difference is found and named, what is in order is not, and mending loses
//! nothing.
#![expect(clippy::unwrap_used, reason = "a test says what went wrong by stopping")]

use std::{path::PathBuf, sync::Arc};

use bytes::Bytes;
use catalog::{DeletionReason, LocalCopy, SegmentRow, SegmentState};
use turepe_archive::{
    FaultKind, Side, Verifier, VerifyConfig, VerifyReport,
    bucket::{Bucket, BucketFault, BucketFaultRule, BucketOperation},
};
use uuid::Uuid;
use world::{Clock, Disk as _};

mod support;
use support::{
    S,
    uploading::{PART_BYTES, Uploading, film, until_stored},
};

fn config(uploading: &Uploading) -> VerifyConfig {
    VerifyConfig {
        store: uploading.house.config.store.clone(),
        etag_part_bytes: Some(PART_BYTES),
        is_deep: false,
        club: None,
        mends: false,
        removes_orphans: false,
    }
}

fn verifier(uploading: &Uploading, config: VerifyConfig) -> Verifier {
    Verifier::new(
        uploading.house.catalog.clone(),
        Arc::new(uploading.house.disk.clone()),
        Arc::clone(&uploading.house.clock) as Arc<dyn Clock>,
        Some(Arc::new(uploading.bucket.clone())),
        config,
    )
}

async fn verify(uploading: &Uploading, config: VerifyConfig) -> VerifyReport {
    verifier(uploading, config).run().await.unwrap()
}

async fn deep(uploading: &Uploading) -> VerifyReport {
    verify(uploading, VerifyConfig { is_deep: true, ..config(uploading) }).await
}

/// What was found: where, what, of which of the rows.
fn found(report: &VerifyReport, rows: &[SegmentRow]) -> Vec<(Side, FaultKind, Option<usize>)> {
    let number = |id: Uuid| rows.iter().position(|row| row.id == id);
    report.faults.iter().map(|fault| (fault.side, fault.kind, number(fault.segment_id))).collect()
}

fn path(uploading: &Uploading, row: &SegmentRow) -> PathBuf {
    uploading.house.config.store.join(&row.object_name)
}

fn flip(uploading: &Uploading, row: &SegmentRow, offset: u64) {
    let file = uploading.house.disk.open_rw(&path(uploading, row)).unwrap();
    let mut byte = [0];
    file.read_at(&mut byte, offset).unwrap();
    file.write_all_at(&[byte[0] ^ 0x55], offset).unwrap();
}

async fn stored(seconds: i64, count: u64) -> (Uploading, turepe_archive::Archive, Vec<SegmentRow>) {
    let uploading = Uploading::new().await;
    let archive = uploading.open();
    uploading.record(&archive, seconds).await;
    until_stored(&archive, count).await;
    let rows = uploading.house.rows().await;
    (uploading, archive, rows)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_order_is_found_in_order_to_the_last_byte() {
    let (uploading, archive, rows) = stored(22, 5).await;
    let recorder = uploading.house.recorder(&archive);
    let camera = film(&recorder, 30, 33).await;
    archive.flush().await;
    let report = deep(&uploading).await;
    assert_eq!((report.faults, report.growing, report.foreign), (vec![], 1, 0));
    assert_eq!((report.rows, report.good_copies), (10, 10));
    let bytes: u64 = rows.iter().map(|row| row.size_bytes).sum();
    assert_eq!(report.read_bytes, 2 * bytes, "each copy once");
    assert_eq!(report.other_bucket, None);
    camera.stop(&recorder).await;

    // Of what was evicted only the bucket's copy is asked for; and the club's alone when it is named.
    uploading.house.catalog.leave_local(&[rows[0].id]).await.unwrap();
    archive.keep_house().await.unwrap();
    until_stored(&archive, 6).await;
    let report = deep(&uploading).await;
    assert_eq!((report.faults, report.rows, report.good_copies), (vec![], 12, 11));
    let nobody = VerifyConfig { club: Some("elsewhere".into()), ..config(&uploading) };
    assert_eq!(verify(&uploading, nobody).await, VerifyReport::default());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_damage_is_found_and_named() {
    let (uploading, archive, rows) = stored(42, 9).await;
    archive.shutdown().await;
    let (disk, bucket) = (&uploading.house.disk, &uploading.bucket);
    disk.remove(&path(&uploading, &rows[0])).unwrap();
    disk.open_rw(&path(&uploading, &rows[1])).unwrap().set_len(rows[1].size_bytes - 1).unwrap();
    disk.open_rw(&path(&uploading, &rows[2]))
        .unwrap()
        .append_vectored(&[std::io::IoSlice::new(b"x")])
        .unwrap();
    bucket.delete(&rows[3].object_name).await.unwrap();
    let object = bucket.bytes(&rows[4].object_name).unwrap();
    bucket.put(&rows[4].object_name, object.slice(..100)).await.unwrap();
    let mut other = bucket.bytes(&rows[5].object_name).unwrap().to_vec();
    *other.last_mut().unwrap() ^= 1;
    bucket.put(&rows[5].object_name, other.into()).await.unwrap();
    let shallow = [
        (Side::Local, FaultKind::Missing, Some(0)),
        (Side::Local, FaultKind::Short, Some(1)),
        (Side::Local, FaultKind::Long, Some(2)),
        (Side::Bucket, FaultKind::Missing, Some(3)),
        (Side::Bucket, FaultKind::Short, Some(4)),
        (Side::Bucket, FaultKind::Etag, Some(5)),
    ];
    assert_eq!(found(&verify(&uploading, config(&uploading)).await, &rows), shallow);

    // In the structure of a fragment, in a picture, and in the tables: only reading finds it.
    flip(&uploading, &rows[6], 2_000);
    flip(&uploading, &rows[7], rows[7].moov_offset - 100);
    flip(&uploading, &rows[8], rows[8].moov_offset + 4);
    assert_eq!(verify(&uploading, config(&uploading)).await.fault_count, 6);
    let report = deep(&uploading).await;
    let corrupted = [6, 7, 8].map(|row| (Side::Local, FaultKind::Corrupted, Some(row)));
    assert_eq!(found(&report, &rows), [&shallow[..], &corrupted].concat());
    assert!(report.faults[6].says.contains("fragment"), "{}", report.faults[6].says);
    assert!(report.faults[7].says.contains("checksum"), "{}", report.faults[7].says);
    assert!(report.faults[8].says.contains("tables"), "{}", report.faults[8].says);
    assert_eq!((report.fault_count, report.unmended), (9, 9));
}

#[tokio::test(flavor = "multi_thread")]
async fn mending_takes_each_copy_from_the_good_one() {
    let (uploading, archive, rows) = stored(27, 6).await;
    archive.shutdown().await;
    let (disk, bucket) = (&uploading.house.disk, &uploading.bucket);
    disk.remove(&path(&uploading, &rows[0])).unwrap();
    flip(&uploading, &rows[1], rows[1].moov_offset - 100);
    bucket.delete(&rows[2].object_name).await.unwrap();
    bucket.put(&rows[3].object_name, Bytes::from_static(b"nonsense")).await.unwrap();
    // Neither copy of these is good: nothing may be touched.
    disk.remove(&path(&uploading, &rows[4])).unwrap();
    bucket.delete(&rows[4].object_name).await.unwrap();
    flip(&uploading, &rows[5], 2_000);
    bucket.put(&rows[5].object_name, Bytes::from_static(b"nonsense")).await.unwrap();

    let mending = VerifyConfig { is_deep: true, mends: true, ..config(&uploading) };
    let report = verify(&uploading, mending).await;
    let unmended: Vec<_> = report.faults.iter().filter(|fault| !fault.is_mended).collect();
    assert_eq!((report.fault_count, report.unmended), (8, 4), "{:?}", report.faults);
    assert!(unmended.iter().all(|fault| [rows[4].id, rows[5].id].contains(&fault.segment_id)));
    let archive = uploading.open();
    until_stored(&archive, 2).await;
    archive.shutdown().await;

    let after = uploading.house.rows().await;
    assert_eq!([after[0].local_copy, after[1].local_copy], [LocalCopy::None; 2]);
    assert!(!disk.exists(&path(&uploading, &rows[1])), "the damaged copy is gone");
    for row in &after[..4] {
        assert_eq!(row.state, SegmentState::Stored);
        assert_eq!(bucket.bytes(&row.object_name).unwrap().len() as u64, row.size_bytes);
    }
    assert!(disk.exists(&path(&uploading, &rows[5])), "what may still hold something stays");
    assert_eq!(deep(&uploading).await.fault_count, 4, "the four that nothing can mend");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_row_names_is_an_orphan_once_it_is_old() {
    let (uploading, archive, rows) = stored(7, 2).await;
    archive.shutdown().await;
    let (disk, bucket) = (&uploading.house.disk, &uploading.bucket);
    let renamed = |row: &SegmentRow, id: Uuid| row.object_name.replace(&row.id.to_string(), &id.to_string());
    let mine = renamed(&rows[0], Uuid::from_u128(1));
    let strange = mine.replace(&rows[0].channel_id.to_string(), &Uuid::from_u128(2).to_string());
    let body = bucket.bytes(&rows[0].object_name).unwrap();
    for name in [&strange, "notes.txt"] {
        bucket.put(name, body.clone()).await.unwrap();
    }
    // A channel of ours, and no recording; and one that the catalog forgot, as after an old backup was put back.
    bucket.put(&mine, Bytes::from_static(&[7; 5000])).await.unwrap();
    let forgotten = renamed(&rows[0], Uuid::from_u128(3));
    bucket.put(&forgotten, body.clone()).await.unwrap();
    let local = uploading.house.config.store.join(&mine);
    disk.create_new(&local).unwrap();
    // A segment that is being deleted, and one whose local file was left behind.
    uploading.house.catalog.delete_segments(&[rows[1].id], DeletionReason::Admin, None).await.unwrap();
    uploading.house.catalog.leave_local(&[rows[0].id]).await.unwrap();
    uploading.house.catalog.left_local(&[rows[0].id]).await.unwrap();

    let report = verify(&uploading, config(&uploading)).await;
    assert_eq!(
        found(&report, &rows),
        [(Side::Local, FaultKind::Orphan, Some(0))],
        "what is young is on its way"
    );
    uploading.house.clock.advance(4 * 3600 * S);
    let report = verify(&uploading, config(&uploading)).await;
    let names: Vec<_> = report.faults.iter().map(|fault| (fault.side, fault.object_name.as_str())).collect();
    let mut expected = [
        (Side::Local, mine.as_str()),
        (Side::Bucket, &mine),
        (Side::Bucket, &forgotten),
        (Side::Bucket, &strange),
        (Side::Local, &rows[0].object_name),
    ];
    expected.sort_by_key(|(side, name)| (*name, *side as u8));
    assert_eq!(names, expected);
    assert!(report.faults.iter().all(|fault| fault.kind == FaultKind::Orphan));
    assert_eq!(report.foreign, 1);

    let removing = VerifyConfig { removes_orphans: true, ..config(&uploading) };
    let report = verify(&uploading, removing).await;
    assert_eq!(report.unmended, 2, "{:?}", report.faults);
    let kept = report.faults.iter().find(|fault| fault.object_name == forgotten).unwrap();
    assert!(!kept.is_mended && kept.says.contains("reindex"), "{kept:?}");
    assert!(!disk.exists(&local) && !disk.exists(&path(&uploading, &rows[0])));
    let mut names = bucket.names();
    names.sort();
    let mut left = vec![
        rows[0].object_name.clone(),
        rows[1].object_name.clone(),
        forgotten,
        strange,
        "notes.txt".into(),
    ];
    left.sort();
    assert_eq!(names, left, "what another catalog may know is kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn beside_recording_eviction_and_deletion_nothing_looks_like_a_fault() {
    let (uploading, archive, _) = stored(82, 17).await;
    uploading.house.clock.advance(4 * 3600 * S);
    let working = async {
        for (number, row) in uploading.house.rows().await.into_iter().enumerate() {
            let catalog = &uploading.house.catalog;
            if number % 2 == 0 {
                catalog.leave_local(&[row.id]).await.unwrap();
            } else {
                catalog.delete_segments(&[row.id], DeletionReason::Admin, None).await.unwrap();
            }
            archive.keep_house().await.unwrap();
            let second = 100 + number as i64 * 6;
            let recorder = uploading.house.recorder(&archive);
            film(&recorder, second, second + 5).await.stop(&recorder).await;
        }
    };
    let looking = async {
        let mut rounds = 0;
        loop {
            let report = deep(&uploading).await;
            assert_eq!(report.faults, [], "round {rounds}");
            rounds += 1;
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        () = working => {}
        () = looking => {}
    }
    assert_eq!(deep(&uploading).await.faults, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_is_away_is_no_fault_but_an_error() {
    let (uploading, archive, _) = stored(7, 2).await;
    archive.shutdown().await;
    uploading.bucket.inject(BucketFaultRule::on(BucketOperation::List, BucketFault::Refused));
    let error = verifier(&uploading, config(&uploading)).run().await.unwrap_err();
    assert!(error.to_string().contains("refuses"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_are_walked_over_many_pages_and_folders() {
    use catalog::{NewSegment, Place, SealedSegment};
    let uploading = Uploading::new().await;
    let (channel_id, start_us) = (uploading.house.channel_id, support::NOON_US);
    // Two in every second, and the court is renamed half-way.
    let rows = (0..2_600_i64).map(|number| {
        let at_us = start_us + number * S / 2;
        let mixed = number.unsigned_abs().wrapping_mul(0x9E37_79B9) & 0xFFFF_FFFF;
        let id = Uuid::from_u64_pair(mixed, number.unsigned_abs() + 1);
        let at = jiff::Timestamp::from_microsecond(at_us).unwrap().strftime("%Y/%m/%d/%H%M%S");
        let court = if number < 1_300 { "old" } else { "new" };
        let new = NewSegment {
            id,
            channel_id,
            session_id: id,
            start_us: at_us,
            object_name: format!("club/{court}/{channel_id}/{at}Z-{id}.mp4"),
            init_hash: "0".repeat(32),
        };
        let sealed = SealedSegment {
            end_us: at_us + S / 2,
            size_bytes: 3,
            moov_offset: 2,
            index: vec![1],
            crc32: None,
            place: Place::Bucket { etag: turepe_archive::bucket::md5_etag(b"abc"), stored_us: 1 },
        };
        (new, sealed)
    });
    let rows: Vec<_> = rows.collect();
    for (number, (new, _)) in rows.iter().enumerate() {
        if number % 1_000 != 7 {
            uploading.bucket.put(&new.object_name, Bytes::from_static(b"abc")).await.unwrap();
        }
    }
    uploading.house.catalog.insert_sealed_segments(rows).await.unwrap();
    let before = uploading.bucket.calls(BucketOperation::List);
    let verifier = verifier(&uploading, config(&uploading));
    let progress = verifier.progress();
    let report = verifier.run().await.unwrap();
    assert_eq!(uploading.bucket.calls(BucketOperation::List) - before, 3, "one call a thousand objects");
    assert_eq!((report.rows, report.good_copies, report.fault_count), (5_200, 2_597, 3));
    assert!(report.faults.iter().all(|fault| (fault.side, fault.kind) == (Side::Bucket, FaultKind::Missing)));
    assert_eq!((progress.done(), progress.total(), progress.faults()), (5_200, 5_200, 3));
}
