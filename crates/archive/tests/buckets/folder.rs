//! The bucket in a folder, on a real disk and on one that loses power at every step.

use std::{path::PathBuf, sync::Arc};

use bytes::Bytes;
use turepe_archive::bucket::{Bucket, BucketError, FolderBucket, looks_like_md5, md5_etag};
use world::{Disk, Fault, FaultRule, Operation, SimulatedClock, SimulatedDisk, SystemClock, SystemDisk};

use crate::suite::{self, Profile, bytes};

fn on(disk: &SimulatedDisk) -> FolderBucket {
    let clock = Arc::new(SimulatedClock::new(1_763_665_200_000_000));
    FolderBucket::new(Arc::new(disk.clone()), PathBuf::from("/store"), clock).with_min_part_bytes(16)
}

#[tokio::test]
async fn keeps_to_the_suite_on_a_simulated_disk() {
    suite::run(&on(&SimulatedDisk::new()), Profile::TINY).await;
}

#[tokio::test]
async fn keeps_to_the_suite_on_a_real_disk() {
    let folder = tempfile::tempdir().unwrap();
    let disk: Arc<dyn Disk> = Arc::new(SystemDisk);
    let bucket = FolderBucket::new(disk.clone(), folder.path().join("store"), Arc::new(SystemClock));
    suite::run(&bucket, Profile::S3).await;
    // Nothing is left of what was deleted, not even empty folders.
    let left = |path: &str| disk.list(&folder.path().join("store").join(path)).unwrap();
    assert_eq!(left("").into_iter().map(|entry| entry.name).collect::<Vec<_>>(), [".etags", ".uploads"]);
    assert_eq!((left(".etags"), left(".uploads")), (Vec::new(), Vec::new()));
}

#[tokio::test]
async fn what_came_by_renaming_is_an_object_too() {
    let disk = SimulatedDisk::new();
    let bucket = on(&disk);
    let place = |name: &str| PathBuf::from("/store/club").join(name);
    disk.create_dir_all(&PathBuf::from("/store/club")).unwrap();
    for name in ["a.mp4", "b.incoming"] {
        let file = disk.create_new(&place(name)).unwrap();
        file.append_vectored(&[std::io::IoSlice::new(b"match")]).unwrap();
    }
    let listed = bucket.list("", None, 9).await.unwrap();
    assert_eq!(listed.len(), 1, "what is still being copied is no object: {listed:?}");
    let head = bucket.head("club/a.mp4").await.unwrap().unwrap();
    assert_eq!((head.size_bytes, head.modified_us), (5, 0));
    assert!(!head.etag.is_empty() && !looks_like_md5(&head.etag));
    assert_eq!(bucket.read("club/a.mp4", 1..3).await.unwrap(), "at");
    assert_eq!(bucket.head("club").await.unwrap(), None);
    for hidden in [".uploads/x", ".etags/club/a.mp4", ".etags"] {
        assert!(
            matches!(bucket.put(hidden, Bytes::new()).await, Err(BucketError::Invalid { .. })),
            "{hidden}"
        );
    }
    let foreign = bucket.parts("x", "../../etc").await.unwrap_err();
    assert_eq!(foreign, BucketError::NoSuchUpload);
}

#[tokio::test]
async fn an_error_of_the_disk_is_worth_another_try() {
    let disk = SimulatedDisk::new();
    let bucket = on(&disk);
    bucket.put("a", bytes(5, 1)).await.unwrap();
    for fault in [Fault::NoSpace, Fault::Io, Fault::TornWrite(2)] {
        disk.inject(FaultRule::on(Operation::Append, fault).times(1));
        let error = bucket.put("a", bytes(9, 2)).await.unwrap_err();
        assert!(error.is_transient(), "{error}");
        assert_eq!(bucket.read("a", 0..5).await.unwrap(), bytes(5, 1));
        disk.heal();
    }
    bucket.put("a", bytes(9, 2)).await.unwrap();
    assert_eq!(bucket.read("a", 0..9).await.unwrap(), bytes(9, 2));
}

/// Runs `change` with the power cut at each of its steps, and looks at what stands after the restart. `change` says
/// whether it was told that all went well.
async fn at_every_step(
    before: impl AsyncFn(&FolderBucket),
    change: impl AsyncFn(&FolderBucket) -> bool,
    look: impl AsyncFn(&FolderBucket, bool),
) {
    for step in 0.. {
        assert!(step < 500, "it never ends");
        let disk = SimulatedDisk::new();
        let bucket = on(&disk);
        before(&bucket).await;
        disk.cut_power_at(disk.operations() + step);
        let is_told = change(&bucket).await;
        if step % 2 == 0 {
            disk.crash();
        } else {
            disk.crash_torn(step);
        }
        let after = on(&disk);
        look(&after, is_told).await;
        // What a crash leaves is in nobody's way.
        assert!(change(&after).await, "step {step}");
        look(&after, true).await;
        if is_told {
            assert!(step > 5);
            break;
        }
    }
}

/// The object is one of the two, whole, and its ETag is its own.
async fn look_at(bucket: &FolderBucket, is_told: bool, old: &Bytes, new: &Bytes) {
    let head = bucket.head("club/film").await.unwrap().unwrap();
    let body = bucket.read("club/film", 0..head.size_bytes).await.unwrap();
    assert!(body == *new || (!is_told && body == *old));
    if looks_like_md5(&head.etag) {
        assert_eq!(head.etag, md5_etag(&body));
    }
    if is_told {
        assert!(!head.etag.starts_with("folder"), "{}", head.etag);
    }
}

#[tokio::test]
async fn a_power_cut_leaves_the_old_object_or_the_new_one() {
    // Of one length, so that nothing but the ETag tells them apart.
    let (old, new) = (bytes(40, 1), bytes(40, 2));
    at_every_step(
        async |bucket| {
            bucket.put("club/film", old.clone()).await.unwrap();
        },
        async |bucket| bucket.put("club/film", new.clone()).await.is_ok(),
        async |bucket, is_told| look_at(bucket, is_told, &old, &new).await,
    )
    .await;
}

#[tokio::test]
async fn a_power_cut_while_parts_become_an_object() {
    let (old, new) = (bytes(40, 1), bytes(36, 2));
    let whole = new.clone();
    at_every_step(
        async |bucket| {
            bucket.put("club/film", old.clone()).await.unwrap();
            let upload = bucket.begin_upload("club/film").await.unwrap();
            bucket.put_part("club/film", &upload, 1, new.slice(..20)).await.unwrap();
            bucket.put_part("club/film", &upload, 2, new.slice(20..)).await.unwrap();
        },
        async |bucket| {
            // Whoever restarts goes by what the bucket knows.
            let Ok(uploads) = bucket.uploads("").await else { return false };
            let Some(upload) = uploads.first() else {
                let head = bucket.head("club/film").await;
                return head.is_ok_and(|head| head.is_some_and(|head| head.size_bytes == 36));
            };
            let Ok(parts) = bucket.parts("club/film", &upload.upload_id).await else { return false };
            let parts: Vec<_> = parts.into_iter().map(|part| (part.number, part.etag)).collect();
            bucket.complete_upload("club/film", &upload.upload_id, &parts).await.is_ok()
        },
        async |bucket, is_told| look_at(bucket, is_told, &old, &whole).await,
    )
    .await;
}
