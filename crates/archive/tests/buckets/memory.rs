//! The bucket in memory, and how it fails on request.

use std::{sync::Arc, time::Duration};

use turepe_archive::bucket::{
    Bucket, BucketError, BucketFault, BucketFaultRule, BucketOperation, MemoryBucket, multipart_etag,
};
use world::SimulatedClock;

use crate::suite::{self, Profile, bytes};

fn bucket() -> MemoryBucket {
    MemoryBucket::new(Arc::new(SimulatedClock::new(1_763_665_200_000_000))).with_min_part_bytes(16)
}

#[tokio::test]
async fn keeps_to_the_suite() {
    suite::run(&bucket(), Profile::TINY).await;
}

#[tokio::test]
async fn the_least_part_is_that_of_s3_unless_told() {
    let bucket = MemoryBucket::new(Arc::new(SimulatedClock::new(1)));
    suite::run(&bucket, Profile::S3).await;
}

#[tokio::test]
async fn faults_strike_as_they_were_told_and_calls_are_counted() {
    let bucket = bucket();
    let busy = BucketFault::Busy(Some(Duration::from_secs(3)));
    bucket.inject(BucketFaultRule::on(BucketOperation::Put, busy).name("b").after(1).times(2));
    for (name, is_fine) in [("a", true), ("b", true), ("b", false), ("a", true), ("b", false), ("b", true)] {
        let put = bucket.put(name, bytes(1, 0)).await;
        assert_eq!(put.is_ok(), is_fine, "{name}: {put:?}");
        if let Err(error) = put {
            let wait = Some(Duration::from_secs(3));
            assert!(
                matches!(&error, BucketError::Busy { retry_after, .. } if *retry_after == wait),
                "{error}"
            );
            assert!(error.is_transient());
        }
    }
    assert_eq!(bucket.calls(BucketOperation::Put), 6);
    bucket.set_away(true);
    assert!(matches!(bucket.head("a").await, Err(BucketError::Unreachable { .. })));
    bucket.set_away(false);
    assert!(bucket.head("a").await.unwrap().is_some());
    assert_eq!((bucket.calls(BucketOperation::Head), bucket.all_calls()), (2, 8));
    bucket.inject(BucketFaultRule::always(BucketFault::Refused));
    assert!(!bucket.list("", None, 1).await.unwrap_err().is_transient());
    bucket.heal();
    assert_eq!(bucket.list("", None, 9).await.unwrap().len(), 2);
}

#[tokio::test]
async fn what_is_done_may_stay_unknown() {
    let bucket = bucket();
    let upload = bucket.begin_upload("film").await.unwrap();
    bucket.inject(BucketFaultRule::on(BucketOperation::PutPart, BucketFault::Damaged).times(1));
    let damaged = bucket.put_part("film", &upload, 1, bytes(3, 1)).await.unwrap_err();
    assert!(matches!(&damaged, BucketError::Checksum { .. }) && damaged.is_transient());
    let etag = bucket.put_part("film", &upload, 1, bytes(3, 1)).await.unwrap();

    bucket.inject(BucketFaultRule::on(BucketOperation::CompleteUpload, BucketFault::AnswerLost).times(1));
    let parts = [(1, etag.clone())];
    let lost = bucket.complete_upload("film", &upload, &parts).await.unwrap_err();
    assert!(matches!(lost, BucketError::Unreachable { .. }));
    let head = bucket.head("film").await.unwrap().unwrap();
    assert_eq!(Some(head.etag), multipart_etag([etag.as_str()]));
    let again = bucket.complete_upload("film", &upload, &parts).await.unwrap_err();
    assert_eq!(again, BucketError::NoSuchUpload);
    assert_eq!(bucket.bytes("film").unwrap(), bytes(3, 1));

    bucket.inject(BucketFaultRule::on(BucketOperation::Read, BucketFault::TruncatedRead).times(1));
    assert!(bucket.read("film", 0..3).await.is_err());
    bucket.inject(BucketFaultRule::on(BucketOperation::Head, BucketFault::WrongEtag).times(1));
    assert!(bucket.head("film").await.unwrap().unwrap().etag.starts_with("not-"));
    bucket.inject(BucketFaultRule::on(BucketOperation::Head, BucketFault::Stalled).times(1));
    let stalled = tokio::time::timeout(Duration::from_millis(10), bucket.head("film")).await;
    assert!(stalled.is_err());

    let upload = bucket.begin_upload("film").await.unwrap();
    bucket.inject(BucketFaultRule::on(BucketOperation::Parts, BucketFault::UploadForgotten).times(1));
    assert_eq!(bucket.parts("film", &upload).await.unwrap_err(), BucketError::NoSuchUpload);
    assert_eq!(bucket.pending_uploads(), 0);
    // Clones are the same bucket.
    assert_eq!(bucket.clone().names(), ["film"]);
}
