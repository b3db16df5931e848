//! What is read back: growing and sealed segments, cuts, pictures.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use media::EndCause;
use support::{Camera, House, NOON_US, S, collect, push_all};
use turepe_archive::{Archive, ArchiveError};
use uuid::Uuid;

/// Twelve seconds in three segments, the last of which grows if `is_running`.
async fn record(
    house: &House,
    archive: &Archive,
    is_running: bool,
) -> Option<(turepe_archive::Recorder, Camera)> {
    let recorder = house.recorder(archive);
    let (mut camera, start) = Camera::start(NOON_US);
    push_all(&recorder, start).await;
    push_all(&recorder, camera.film_until(NOON_US + 12 * S)).await;
    if is_running {
        archive.settle().await;
        return Some((recorder, camera));
    }
    push_all(&recorder, camera.stop(EndCause::Camera)).await;
    archive.settle().await;
    None
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sealed_object_is_read_in_any_range() {
    let house = House::new().await;
    let archive = house.open();
    record(&house, &archive, false).await;
    let row = &house.rows().await[0];
    let bytes = house.object(row);
    let object = archive.open_segment(row.id).await.unwrap();
    assert_eq!((object.len, object.is_growing), (bytes.len() as u64, false));
    for range in [0..object.len, 0..1, 5..17, object.len - 1..object.len, 3..3, 10..object.len + 99] {
        let expected: Vec<u8> = bytes
            .iter()
            .copied()
            .skip(range.start as usize)
            .take((range.end - range.start) as usize)
            .collect();
        assert_eq!(collect(object.stream(range.clone())).await, expected, "{range:?}");
    }
    assert_eq!(archive.open_segment(row.id).await.unwrap().etag, object.etag);
    assert!(matches!(archive.open_segment(Uuid::nil()).await, Err(ArchiveError::SegmentNotFound(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_segment_is_read_while_it_grows() {
    let house = House::new().await;
    let archive = house.open();
    let recorder = house.recorder(&archive);
    let (mut camera, start) = Camera::start(NOON_US);
    push_all(&recorder, start).await;
    let writer = tokio::spawn(async move {
        for tenth in 1..45 {
            push_all(&recorder, camera.film_until(NOON_US + tenth * S / 10)).await;
            tokio::task::yield_now().await;
        }
        (recorder, camera)
    });
    let mut etags = Vec::new();
    let mut seen = 0;
    while !writer.is_finished() || seen == 0 {
        let views = archive.views(house.channel_id, NOON_US, NOON_US + 60 * S).await.unwrap();
        let Some(view) = views.first() else { continue };
        assert!(view.index.end_bytes() <= view.size_bytes && view.index.fragments.len() >= seen);
        seen = view.index.fragments.len();
        let object = archive.open_segment(view.id).await.unwrap();
        assert!(object.len >= view.size_bytes);
        // Every fragment that the index promises is there, whole, at its place.
        for position in view.index.positions() {
            let fragment = collect(object.stream(position.offset_bytes..position.end_bytes())).await;
            assert_eq!(fragment.len() as u64, position.end_bytes() - position.offset_bytes);
            assert_eq!(&fragment[4..8], b"moof");
        }
        etags.push((object.len, object.etag));
    }
    etags.dedup();
    let mut lens: Vec<_> = etags.iter().map(|etag| etag.0).collect();
    lens.dedup();
    assert_eq!(lens.len(), etags.len(), "another length, another tag");
    let (recorder, camera) = writer.await.unwrap();
    push_all(&recorder, camera.stop(EndCause::Camera)).await;
    archive.settle().await;
    let view = archive.views(house.channel_id, NOON_US, NOON_US + 60 * S).await.unwrap().remove(0);
    assert!(!view.is_growing);
    let sealed = archive.open_segment(view.id).await.unwrap();
    assert!(etags.iter().all(|etag| etag.1 != sealed.etag));
}

#[tokio::test(flavor = "multi_thread")]
async fn views_are_the_same_growing_and_sealed() {
    let house = House::new().await;
    let archive = house.open();
    let running = record(&house, &archive, true).await.unwrap();
    let growing = archive.views(house.channel_id, NOON_US, NOON_US + 60 * S).await.unwrap();
    push_all(&running.0, running.1.stop(EndCause::Camera)).await;
    archive.settle().await;
    let sealed = archive.views(house.channel_id, NOON_US, NOON_US + 60 * S).await.unwrap();
    assert_eq!(growing.iter().map(|view| view.is_growing).collect::<Vec<_>>(), [false, false, true]);
    assert_eq!(sealed.iter().map(|view| view.is_growing).collect::<Vec<_>>(), [false; 3]);
    for (growing, sealed) in growing.iter().zip(&sealed) {
        assert_eq!(
            (growing.id, growing.session_id, growing.start_us),
            (sealed.id, sealed.session_id, sealed.start_us)
        );
        let (before, after) = (&growing.index.fragments, &sealed.index.fragments);
        assert_eq!(before[..], after[..before.len()]);
    }
    // One segment touches the range, another ends where it starts.
    let views = archive.views(house.channel_id, NOON_US + 5 * S, NOON_US + 6 * S).await.unwrap();
    assert_eq!(views.iter().map(|view| view.start_us).collect::<Vec<_>>(), [NOON_US + 5 * S]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_is_one_header_and_contiguous_ranges() {
    let house = House::new().await;
    let archive = house.open();
    let _running = record(&house, &archive, true).await;
    let (from_us, to_us) = (NOON_US + 2 * S + 440_000, NOON_US + 11 * S);
    let download = archive.cut(house.channel_id, from_us, to_us).await.unwrap();
    assert_eq!(download.segments.len(), 3);
    assert!(download.is_growing);
    assert_eq!(download.cut.duration_us, to_us - from_us);
    let whole = collect(download.stream(0..download.len())).await;
    assert_eq!(whole.len() as u64, download.len());
    assert!(whole.starts_with(&download.cut.header));
    for start in [0, 100, download.cut.header.len() as u64 - 7, download.len() - 1000] {
        let end = (start + 5000).min(download.len());
        assert_eq!(collect(download.stream(start..end)).await, whole[start as usize..end as usize]);
    }
    // The same question has the same answer, from the cache or not.
    let again = archive.cut(house.channel_id, from_us, to_us).await.unwrap();
    assert_eq!(again.etag, download.etag);
    assert!(std::sync::Arc::ptr_eq(&again.cut, &download.cut));
    let other = archive.cut(house.channel_id, from_us, to_us + 1).await.unwrap();
    assert_ne!(other.etag, download.etag);
    assert!(matches!(archive.cut(house.channel_id, 0, S).await, Err(ArchiveError::NoFootage)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_goes_on_while_its_segment_is_sealed() {
    let house = House::new().await;
    let archive = house.open();
    let (recorder, camera) = record(&house, &archive, true).await.unwrap();
    let download = archive.cut(house.channel_id, NOON_US, NOON_US + 12 * S).await.unwrap();
    let before = collect(download.stream(0..download.len())).await;
    push_all(&recorder, camera.stop(EndCause::Camera)).await;
    archive.settle().await;
    assert_eq!(collect(download.stream(0..download.len())).await, before);
    let after = archive.cut(house.channel_id, NOON_US, NOON_US + 12 * S).await.unwrap();
    assert_ne!(after.etag, download.etag);
    assert!(!after.is_growing);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_is_the_keyframe_before_the_instant() {
    let house = House::new().await;
    let archive = house.open();
    let _running = record(&house, &archive, true).await;
    for at_us in [0, 1, 999_999, S, 3_500_000, 7 * S + 7, 11 * S] {
        let picture = archive.keyframe(house.channel_id, NOON_US + at_us).await.unwrap().unwrap();
        assert_eq!(picture.start_us, NOON_US + at_us / S * S, "{at_us}");
        assert_eq!(&picture.fragment[4..8], b"moof");
        assert_eq!(&picture.init[4..8], b"ftyp");
    }
    assert!(archive.keyframe(house.channel_id, NOON_US - 1).await.unwrap().is_none());
    assert!(archive.keyframe(house.channel_id, NOON_US + 13 * S).await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_object_is_an_error_and_no_panic() {
    let house = House::new().await;
    let archive = house.open();
    record(&house, &archive, false).await;
    let row = &house.rows().await[1];
    world::Disk::remove(&house.disk, &house.config.store.join(&row.object_name)).unwrap();
    assert!(matches!(archive.open_segment(row.id).await, Err(ArchiveError::Io { .. })));
    assert!(matches!(
        archive.cut(house.channel_id, NOON_US, NOON_US + 9 * S).await,
        Err(ArchiveError::Io { .. })
    ));
}
