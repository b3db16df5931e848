//! What the catalog remembers of uploads, retention and deletions.
#![expect(clippy::unwrap_used, reason = "a test says what went wrong by stopping")]

use databases::Home;
use media::EndCause;
use turepe_catalog::{
    Catalog, CatalogError, DeletionReason, InvalidInput, Kind, LocalCopy, MAX_RETENTION_DAYS, NewProtection,
    Place, SealedSegment, SegmentState, Unstored,
};
use uuid::Uuid;

mod common;
use common::{DAY, SECOND, catalog, channel, new_club, new_segment, record, sealed};

const QUARTER: i64 = 900 * SECOND;

/// Records quarters from `DAY` on that are on their way to the bucket.
async fn record_for_bucket(catalog: &Catalog, channel_id: Uuid, count: i64) -> Vec<Uuid> {
    let mut ids = Vec::new();
    for number in 0..count {
        let start_us = DAY + number * QUARTER;
        let new = new_segment(catalog, channel_id, start_us);
        ids.push(new.id);
        catalog.insert_segment(new).await.unwrap();
        let to_bucket = SealedSegment { place: Place::ToBucket, ..sealed(start_us + QUARTER) };
        catalog.seal_segment(ids[ids.len() - 1], to_bucket).await.unwrap();
    }
    ids
}

async fn a_segment_is_unstored_until_the_bucket_was_seen_to_have_it(home: Home) {
    let catalog = catalog(&home).await;
    let channel = channel(&catalog).await.1.id;
    record(&catalog, channel, DAY - QUARTER, DAY).await;
    let ids = record_for_bucket(&catalog, channel, 3).await;
    let unstored = catalog.unstored_segments(2).await.unwrap();
    assert_eq!(unstored.iter().map(|row| row.id).collect::<Vec<_>>(), ids[..2], "the oldest first");
    let expected = Unstored {
        segments: 3,
        size_bytes: 3 * 450_000_000,
        duration_us: 3 * QUARTER,
        oldest_start_us: Some(DAY),
    };
    assert_eq!(catalog.unstored().await.unwrap(), expected);

    assert!(catalog.store_segment(ids[0], "abc-29", DAY).await.unwrap());
    assert!(!catalog.store_segment(ids[0], "abc-29", DAY).await.unwrap(), "news once");
    let row = catalog.segment(ids[0]).await.unwrap().unwrap();
    assert_eq!((row.state, row.local_copy), (SegmentState::Stored, LocalCopy::Kept));
    assert_eq!((row.etag.as_deref(), row.crc32), (Some("abc-29"), Some(7)));
    assert!(row.is_whole());
    assert_eq!(catalog.unstored().await.unwrap().segments, 2);
    assert_eq!(catalog.spans(channel, DAY, DAY + QUARTER).await.unwrap(), [(DAY, DAY + QUARTER)]);

    assert!(catalog.unstore_segment(ids[0]).await.unwrap(), "the bucket has lost it");
    assert_eq!(catalog.unstored().await.unwrap().segments, 3);
    assert!(!catalog.unstore_segment(ids[0]).await.unwrap());
}

async fn a_node_that_is_given_a_bucket_uploads_what_it_has(home: Home) {
    let catalog = catalog(&home).await;
    let channel = channel(&catalog).await.1.id;
    let old = record(&catalog, channel, DAY - QUARTER, DAY).await;
    let ids = record_for_bucket(&catalog, channel, 2).await;
    catalog.store_segment(ids[1], "abc-1", DAY).await.unwrap();
    catalog.insert_segment(new_segment(&catalog, channel, DAY + 9 * QUARTER)).await.unwrap();
    assert_eq!(catalog.queue_for_bucket().await.unwrap(), 1);
    assert_eq!(catalog.queue_for_bucket().await.unwrap(), 0);
    let mut unstored: Vec<_> =
        catalog.unstored_segments(9).await.unwrap().into_iter().map(|row| row.id).collect();
    unstored.sort_unstable();
    assert_eq!(unstored, [old, ids[0]]);
    assert_eq!(catalog.unstored_segments(9).await.unwrap().len(), 2);
}

async fn an_upload_goes_on_where_it_stopped(home: Home) {
    let catalog = catalog(&home).await;
    let channel = channel(&catalog).await.1.id;
    let new = new_segment(&catalog, channel, DAY);
    let id = new.id;
    assert!(matches!(catalog.begin_upload(id, "u1", 16).await, Err(CatalogError::NotFound(Kind::Segment))));
    catalog.insert_segment(new).await.unwrap();
    assert_eq!(catalog.upload(id).await.unwrap(), None);
    catalog.begin_upload(id, "u1", 16).await.unwrap();
    for (number, etag) in [(3, "c"), (2, "b"), (3, "c2")] {
        catalog.put_upload_part(id, number, etag).await.unwrap();
    }
    let upload = catalog.upload(id).await.unwrap().unwrap();
    assert_eq!((upload.upload_id.as_str(), upload.part_bytes), ("u1", 16));
    assert_eq!(upload.parts, [(2, "b".to_owned()), (3, "c2".to_owned())]);
    assert_eq!(catalog.upload_ids().await.unwrap(), ["u1"]);

    catalog.begin_upload(id, "u2", 16).await.unwrap();
    assert_eq!(catalog.upload(id).await.unwrap().unwrap().parts, [], "another upload begins without parts");
    let to_bucket = SealedSegment { place: Place::ToBucket, ..sealed(DAY + QUARTER) };
    catalog.seal_segment(id, to_bucket).await.unwrap();
    assert!(catalog.upload(id).await.unwrap().is_some(), "the seal does not end it");
    catalog.store_segment(id, "abc-2", DAY).await.unwrap();
    assert!(catalog.upload_ids().await.unwrap().is_empty());
    for too_long in [String::new(), "x".repeat(1025)] {
        assert!(catalog.begin_upload(id, &too_long, 16).await.is_err());
    }
}

async fn a_local_copy_goes_only_after_the_bucket_has_it(home: Home) {
    let catalog = catalog(&home).await;
    let channel = channel(&catalog).await.1.id;
    let ids = record_for_bucket(&catalog, channel, 3).await;
    catalog.store_segment(ids[0], "a", DAY).await.unwrap();
    catalog.store_segment(ids[2], "c", DAY).await.unwrap();
    let evictable = catalog.evictable_segments(9).await.unwrap();
    assert_eq!(evictable.iter().map(|row| row.id).collect::<Vec<_>>(), [ids[0], ids[2]]);
    assert_eq!(catalog.evictable_bytes().await.unwrap(), 900_000_000);
    catalog.leave_local(&ids).await.unwrap();
    let copies = async || {
        let mut copies = Vec::new();
        for id in &ids {
            copies.push(catalog.segment(*id).await.unwrap().unwrap().local_copy);
        }
        copies
    };
    assert_eq!(copies().await, [LocalCopy::Leaving, LocalCopy::Kept, LocalCopy::Leaving]);
    assert_eq!(catalog.leaving_segments(9).await.unwrap().len(), 2);
    catalog.left_local(&ids).await.unwrap();
    assert_eq!(copies().await, [LocalCopy::None, LocalCopy::Kept, LocalCopy::None]);
    assert_eq!(catalog.evictable_bytes().await.unwrap(), 0);
    assert!(!catalog.unstore_segment(ids[0]).await.unwrap(), "there is nothing left to upload");
    // A copy that was leaving is still one.
    catalog.found_local(&ids[..1]).await.unwrap();
    catalog.leave_local(&ids[..1]).await.unwrap();
    assert!(catalog.unstore_segment(ids[0]).await.unwrap());
    let row = catalog.segment(ids[0]).await.unwrap().unwrap();
    assert_eq!((row.state, row.local_copy, row.etag), (SegmentState::Sealed, LocalCopy::Kept, None));
}

/// SQLite has the clock of this process; a server's is a witness.
async fn a_database_server_tells_its_clock(home: Home) {
    use world::Clock as _;
    let is_server = home.engine != databases::Engine::Sqlite;
    let catalog = catalog(&home).await;
    let told_us = catalog.database_now_us().await.unwrap();
    assert_eq!(told_us.is_some(), is_server);
    if let Some(told_us) = told_us {
        let off_us = told_us - world::SystemClock.now_us();
        assert!(off_us.abs() < 5_000_000, "{off_us}");
    }
}

async fn what_is_protected_outlives_retention(home: Home) {
    let catalog = catalog(&home).await;
    let channel = channel(&catalog).await.1.id;
    let ids = record_for_bucket(&catalog, channel, 4).await;
    let before = DAY + 3 * QUARTER;
    let expired = async || {
        let rows = catalog.expired_segments(channel, 0, before, 9).await.unwrap();
        rows.iter().map(|row| row.id).collect::<Vec<_>>()
    };
    assert_eq!(expired().await, ids[..3]);
    let later = catalog.expired_segments(channel, DAY + 1, before, 9).await.unwrap();
    assert_eq!(later.iter().map(|row| row.id).collect::<Vec<_>>(), ids[1..3], "not what began before");
    let footage = catalog.expired_footage(channel, 0, before).await.unwrap();
    assert_eq!((footage.segments, footage.size_bytes), (3, 3 * 450_000_000));
    assert_eq!((footage.first_start_us, footage.last_end_us), (Some(DAY), Some(before)));
    let newest = catalog.newest_segments(2).await.unwrap();
    assert_eq!(newest.iter().map(|row| row.id).collect::<Vec<_>>(), [ids[3], ids[2]]);
    let range =
        |from_us, to_us| NewProtection { channel_id: channel, from_us, to_us, reason: "final".into() };
    let protection = catalog.protect(range(DAY + QUARTER - 1, DAY + QUARTER + 1)).await.unwrap();
    assert_eq!(expired().await, ids[2..3], "both segments that it touches stay");
    let oldest = catalog.oldest_local_segments(9).await.unwrap();
    assert_eq!(oldest.iter().map(|row| row.id).collect::<Vec<_>>(), ids[2..]);
    assert_eq!(catalog.protections(channel, DAY, 9).await.unwrap(), std::slice::from_ref(&protection));
    assert_eq!(catalog.protections(channel, protection.to_us, 9).await.unwrap(), []);
    catalog.unprotect(protection.id).await.unwrap();
    assert_eq!(expired().await, ids[..3]);
    assert!(matches!(catalog.unprotect(protection.id).await, Err(CatalogError::NotFound(Kind::Protection))));
    assert!(matches!(
        catalog.protect(range(DAY, DAY)).await,
        Err(CatalogError::Invalid(InvalidInput::ProtectedRange))
    ));
}

async fn a_deletion_is_seen_at_once_done_later_and_remembered(home: Home) {
    let catalog = catalog(&home).await;
    let channel = channel(&catalog).await.1.id;
    let ids = record_for_bucket(&catalog, channel, 3).await;
    catalog.store_segment(ids[0], "a", DAY).await.unwrap();
    let growing = new_segment(&catalog, channel, DAY + 3 * QUARTER);
    let growing_id = growing.id;
    catalog.insert_segment(growing).await.unwrap();

    let gone = [ids[0], growing_id, Uuid::max()];
    let deleted = catalog.delete_segments(&gone, DeletionReason::Retention, None).await.unwrap();
    assert_eq!(deleted.len(), 1, "what grows stays, what is unknown is passed over");
    assert!(deleted[0].was_stored && deleted[0].segment_id == ids[0]);
    let lost =
        catalog.delete_segments(&ids[1..2], DeletionReason::Space, Some(EndCause::Disk)).await.unwrap();
    assert!(!lost[0].was_stored);
    assert!(catalog.segment(ids[0]).await.unwrap().is_none());
    assert!(catalog.is_deleted(ids[0]).await.unwrap() && !catalog.is_deleted(ids[2]).await.unwrap());
    let gaps = catalog.gaps_in_range(channel, DAY, DAY + 3 * QUARTER).await.unwrap();
    assert_eq!(gaps.len(), 1);
    assert_eq!((gaps[0].start_us, gaps[0].cause), (DAY + QUARTER, EndCause::Disk));
    assert_eq!(catalog.unstored().await.unwrap().segments, 1, "nothing is uploaded that is gone");

    assert_eq!(catalog.pending_deletions(9).await.unwrap().len(), 2);
    catalog.deletion_done(ids[0]).await.unwrap();
    let pending = catalog.pending_deletions(9).await.unwrap();
    assert_eq!(pending.iter().map(|deletion| deletion.segment_id).collect::<Vec<_>>(), ids[1..2]);
    let page = catalog.deletions(None, 1).await.unwrap();
    assert_eq!((page[0].segment_id, page[0].reason.as_str()), (ids[1], "space"));
    let next = catalog.deletions(Some((page[0].requested_us, page[0].segment_id)), 9).await.unwrap();
    assert_eq!(next.len(), 1);
    assert!(next[0].segment_id == ids[0] && next[0].done_us.is_some());
}

async fn a_club_says_how_long_its_footage_is_kept(home: Home) {
    let catalog = catalog(&home).await;
    let club = catalog.create_club(new_club("norte")).await.unwrap();
    assert_eq!(club.retention_days, None);
    for days in [Some(1), Some(MAX_RETENTION_DAYS), None] {
        catalog.set_retention(club.id, days).await.unwrap();
        assert_eq!(catalog.club(club.id).await.unwrap().unwrap().retention_days, days);
    }
    for days in [0, MAX_RETENTION_DAYS + 1] {
        assert!(catalog.set_retention(club.id, Some(days)).await.is_err());
    }
    assert!(matches!(
        catalog.set_retention(Uuid::nil(), Some(1)).await,
        Err(CatalogError::NotFound(Kind::Club))
    ));
}

async fn a_rebuilt_catalog_knows_what_lies_in_the_bucket_alone(home: Home) {
    let catalog = catalog(&home).await;
    let channel = channel(&catalog).await.1.id;
    let rows: Vec<_> = (0..3)
        .map(|number| {
            let start_us = DAY + number * QUARTER;
            let place = Place::Bucket { etag: format!("tag-{number}"), stored_us: DAY };
            (
                new_segment(&catalog, channel, start_us),
                SealedSegment { place, crc32: None, ..sealed(start_us + QUARTER) },
            )
        })
        .collect();
    assert_eq!(catalog.insert_sealed_segments(rows).await.unwrap(), 3);
    let page = catalog.whole_segments(None, 2).await.unwrap();
    assert_eq!(page.len(), 2);
    assert!(page.iter().all(|row| row.state == SegmentState::Stored && row.local_copy == LocalCopy::None));
    let rest = catalog.whole_segments(Some(page[1].id), 2).await.unwrap();
    assert_eq!(rest.len(), 1);
    let mut tags: Vec<_> = page.iter().chain(&rest).filter_map(|row| row.etag.clone()).collect();
    tags.sort_unstable();
    assert_eq!(tags, ["tag-0", "tag-1", "tag-2"]);
    assert_eq!(catalog.evictable_segments(9).await.unwrap(), []);
}

databases::on_every_engine![
    a_segment_is_unstored_until_the_bucket_was_seen_to_have_it,
    a_node_that_is_given_a_bucket_uploads_what_it_has,
    an_upload_goes_on_where_it_stopped,
    a_local_copy_goes_only_after_the_bucket_has_it,
    what_is_protected_outlives_retention,
    a_deletion_is_seen_at_once_done_later_and_remembered,
    a_club_says_how_long_its_footage_is_kept,
    a_rebuilt_catalog_knows_what_lies_in_the_bucket_alone,
    a_database_server_tells_its_clock,
];
