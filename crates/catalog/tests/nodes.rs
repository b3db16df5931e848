//! Nodes that share a catalog: each touches its own rows and leaves those of others alone.
#![expect(clippy::unwrap_used, reason = "a test says what went wrong by stopping")]

use databases::Home;
use media::EndCause;
use turepe_catalog::{
    Catalog, CatalogError, DeletionReason, GapRow, LocalCopy, Place, SealedSegment, SegmentState,
};
use uuid::Uuid;

mod common;
use common::{DAY, SECOND, catalog, channel, new_segment, record, sealed};

const QUARTER: i64 = 900 * SECOND;

/// A catalog as two nodes see it, and a channel.
async fn two_nodes(home: &Home) -> (Catalog, Catalog, Uuid) {
    let catalog = catalog(home).await;
    let channel_id = channel(&catalog).await.1.id;
    let (a, b) = (catalog.for_node(Uuid::now_v7()), catalog.for_node(Uuid::now_v7()));
    a.begin_run("norte", Uuid::now_v7()).await.unwrap();
    b.begin_run("sur", Uuid::now_v7()).await.unwrap();
    (a, b, channel_id)
}

async fn grow(catalog: &Catalog, channel_id: Uuid, start_us: i64) -> Uuid {
    let new = new_segment(catalog, channel_id, start_us);
    let id = new.id;
    catalog.insert_segment(new).await.unwrap();
    id
}

async fn store(catalog: &Catalog, channel_id: Uuid, start_us: i64) -> Uuid {
    let id = grow(catalog, channel_id, start_us).await;
    let to_bucket = SealedSegment { place: Place::ToBucket, ..sealed(start_us + QUARTER) };
    catalog.seal_segment(id, to_bucket).await.unwrap();
    assert!(catalog.store_segment(id, "tag", start_us).await.unwrap());
    id
}

fn ids(rows: &[turepe_catalog::SegmentRow]) -> Vec<Uuid> {
    rows.iter().map(|row| row.id).collect()
}

async fn each_node_is_told_its_own_work(home: Home) {
    let (a, b, channel_id) = two_nodes(&home).await;
    let growing = (grow(&a, channel_id, DAY).await, grow(&b, channel_id, DAY + 1).await);
    let stored = (store(&a, channel_id, DAY - QUARTER).await, store(&b, channel_id, DAY - QUARTER).await);
    let sealed_there = record(&b, channel_id, DAY - 2 * QUARTER, DAY - QUARTER).await;

    assert_eq!(ids(&a.growing_segments().await.unwrap()), [growing.0]);
    assert_eq!(ids(&b.growing_segments().await.unwrap()), [growing.1]);
    assert_eq!(ids(&a.evictable_segments(9).await.unwrap()), [stored.0]);
    assert_eq!(ids(&a.oldest_local_segments(9).await.unwrap()), [stored.0], "not what lies on another disk");
    assert_eq!(ids(&b.oldest_local_segments(9).await.unwrap()), [sealed_there, stored.1]);
    assert_eq!(a.evictable_bytes().await.unwrap(), 450_000_000);

    a.leave_local(&[stored.0, stored.1]).await.unwrap();
    assert!(b.leaving_segments(9).await.unwrap().is_empty(), "another node cannot let go of a copy");
    a.left_local(&[stored.0, stored.1]).await.unwrap();
    let row = a.segment(stored.0).await.unwrap().unwrap();
    assert_eq!((row.local_copy, row.node_id), (LocalCopy::None, None), "the bucket alone has it");
    assert_eq!(b.segment(stored.1).await.unwrap().unwrap().node_id, b.node_id());
    b.found_local(&[stored.0]).await.unwrap();
    assert_eq!(a.segment(stored.0).await.unwrap().unwrap().node_id, b.node_id(), "it was found there");

    // Everybody reads everything.
    let all = a.segments_in_range(channel_id, DAY - 9 * QUARTER, DAY + QUARTER).await.unwrap();
    assert_eq!(all.len(), 5);
    let nobody = catalog_of_nobody(&home).await;
    assert!(nobody.growing_segments().await.unwrap().is_empty());
    assert!(nobody.oldest_local_segments(9).await.unwrap().is_empty());
}

async fn catalog_of_nobody(home: &Home) -> Catalog {
    Catalog::open(&home.url).await.unwrap()
}

async fn what_grows_elsewhere_is_neither_sealed_nor_forgotten(home: Home) {
    let (a, b, channel_id) = two_nodes(&home).await;
    let id = grow(&b, channel_id, DAY).await;
    assert!(!a.delete_segment(id).await.unwrap());
    let error = a.seal_segment(id, sealed(DAY + QUARTER)).await.unwrap_err();
    assert!(matches!(error, CatalogError::HeldElsewhere(other) if other == id), "{error}");
    let elsewhere = a.growing_elsewhere(channel_id).await.unwrap();
    assert_eq!(elsewhere.len(), 1);
    assert_eq!(elsewhere[0].1.as_ref().unwrap().name, "sur");
    assert!(b.growing_elsewhere(channel_id).await.unwrap().is_empty());

    b.seal_segment(id, sealed(DAY + QUARTER)).await.unwrap();
    assert!(!a.delete_segment(id).await.unwrap());
    assert_eq!(a.segment(id).await.unwrap().unwrap().state, SegmentState::Sealed);
    assert!(b.delete_segment(id).await.unwrap());
}

async fn uploads_wait_at_the_node_that_has_the_bytes(home: Home) {
    let (a, b, channel_id) = two_nodes(&home).await;
    let at_a = record(&a, channel_id, DAY, DAY + QUARTER).await;
    let at_b = record(&b, channel_id, DAY + QUARTER, DAY + 2 * QUARTER).await;
    assert_eq!(a.queue_for_bucket().await.unwrap(), 1, "its own alone");
    assert_eq!(ids(&a.unstored_segments(9).await.unwrap()), [at_a]);
    assert_eq!(b.unstored().await.unwrap().segments, 0);
    assert_eq!(b.queue_for_bucket().await.unwrap(), 1);
    assert_eq!(ids(&b.unstored_segments(9).await.unwrap()), [at_b]);
    assert_eq!((a.unstored().await.unwrap().segments, b.unstored().await.unwrap().segments), (1, 1));

    assert!(b.store_segment(at_b, "tag", DAY).await.unwrap());
    // Whoever finds out that the bucket lost it: the one who has the copy brings it again.
    assert!(a.unstore_segment(at_b).await.unwrap());
    assert_eq!(ids(&b.unstored_segments(9).await.unwrap()), [at_b]);
    assert_eq!(ids(&a.unstored_segments(9).await.unwrap()), [at_a]);
}

async fn a_deletion_is_the_work_of_who_has_the_bytes(home: Home) {
    let (a, b, channel_id) = two_nodes(&home).await;
    let sealed_there = record(&b, channel_id, DAY, DAY + QUARTER).await;
    let stored_there = store(&b, channel_id, DAY + QUARTER).await;
    let nowhere = store(&a, channel_id, DAY + 2 * QUARTER).await;
    a.leave_local(&[nowhere]).await.unwrap();
    a.left_local(&[nowhere]).await.unwrap();
    let all = [sealed_there, stored_there, nowhere];
    assert_eq!(a.delete_segments(&all, DeletionReason::Retention, None).await.unwrap().len(), 3);

    let pending = async |catalog: &Catalog| {
        let pending = catalog.pending_deletions(9).await.unwrap();
        pending.iter().map(|deletion| deletion.segment_id).collect::<Vec<_>>()
    };
    assert_eq!(pending(&a).await, [nowhere], "what only the bucket has is anybody's");
    assert_eq!(pending(&b).await, all);
    assert_eq!(b.pending_deletions(1).await.unwrap().len(), 1);

    // The bucket's part of it is done by others when its node does not.
    let now_us = i64::MAX;
    let neglected = a.neglected_deletions(now_us, 9).await.unwrap();
    assert_eq!(neglected.iter().map(|deletion| deletion.segment_id).collect::<Vec<_>>(), [stored_there]);
    assert!(a.neglected_deletions(0, 9).await.unwrap().is_empty(), "it is given time");
    assert!(b.neglected_deletions(now_us, 9).await.unwrap().is_empty());
    a.deletion_left_bucket(stored_there).await.unwrap();
    assert!(a.neglected_deletions(now_us, 9).await.unwrap().is_empty());
    assert_eq!(pending(&b).await, all, "its file is there yet");
    for id in all {
        b.deletion_done(id).await.unwrap();
    }
    assert!(pending(&a).await.is_empty() && pending(&b).await.is_empty());
}

async fn rows_of_nobody_are_claimed_by_who_has_their_bytes(home: Home) {
    let nobody = catalog(&home).await;
    let channel_id = channel(&nobody).await.1.id;
    let grows = grow(&nobody, channel_id, DAY).await;
    let whole = record(&nobody, channel_id, DAY - QUARTER, DAY).await;
    let stored = store(&nobody, channel_id, DAY - 2 * QUARTER).await;
    assert_eq!(nobody.queue_for_bucket().await.unwrap(), 1);
    let (a, b) = (nobody.for_node(Uuid::now_v7()), nobody.for_node(Uuid::now_v7()));

    assert!(a.growing_segments().await.unwrap().is_empty(), "a stranger to it");
    assert!(a.oldest_local_segments(9).await.unwrap().is_empty());
    assert_eq!(ids(&a.held_segments(None, i64::MIN, 9).await.unwrap()), [stored, whole, grows]);
    assert_eq!(ids(&a.held_segments(None, DAY - QUARTER, 1).await.unwrap()), [whole]);

    assert_eq!(a.claim_segments(&[grows, whole], None).await.unwrap(), 2);
    assert_eq!(b.claim_segments(&[grows, whole], None).await.unwrap(), 0, "once");
    assert_eq!(ids(&a.growing_segments().await.unwrap()), [grows]);
    assert_eq!(ids(&a.unstored_segments(9).await.unwrap()), [whole]);
    assert_eq!(ids(&a.held_segments(None, i64::MIN, 9).await.unwrap()), [stored]);
    assert!(nobody.growing_segments().await.unwrap().is_empty());

    // A folder that moved to another machine.
    assert_eq!(b.claim_segments(&[grows, whole], a.node_id()).await.unwrap(), 2);
    assert_eq!(ids(&b.growing_segments().await.unwrap()), [grows]);
    assert!(a.growing_segments().await.unwrap().is_empty());

    let held = a.node_holdings().await.unwrap();
    let of = |node_id| *held.iter().find(|held| held.node_id == node_id).unwrap();
    assert_eq!((of(None).copies, of(None).growing), (1, 0));
    assert_eq!((of(b.node_id()).growing, of(b.node_id()).sealed), (1, 1));
    assert_eq!(of(b.node_id()).sealed_bytes, 450_000_000);
    assert_eq!(held.len(), 2);
}

async fn a_late_node_opens_no_gap_where_another_one_records(home: Home) {
    let (a, b, channel_id) = two_nodes(&home).await;
    let gaps = async || a.gaps_in_range(channel_id, DAY - QUARTER, DAY + 9 * QUARTER).await.unwrap();
    // A died at DAY; B took over two seconds later, and stopped and went on since.
    record(&b, channel_id, DAY + 2 * SECOND, DAY + QUARTER).await;
    assert!(b.open_gap(channel_id, DAY + QUARTER, EndCause::Network).await.unwrap());
    assert!(b.close_gap(channel_id, DAY + QUARTER + SECOND).await.unwrap());
    grow(&b, channel_id, DAY + QUARTER + SECOND).await;

    assert!(a.open_gap(channel_id, DAY, EndCause::Process).await.unwrap());
    assert!(!a.open_gap(channel_id, DAY, EndCause::Process).await.unwrap(), "told twice");
    let process = GapRow { start_us: DAY, end_us: Some(DAY + 2 * SECOND), cause: EndCause::Process };
    let network =
        GapRow { start_us: DAY + QUARTER, end_us: Some(DAY + QUARTER + SECOND), cause: EndCause::Network };
    assert_eq!(gaps().await, [process, network]);
    // Its camera is gone, and B records the other one of the channel.
    assert!(!a.open_gap(channel_id, DAY + 2 * QUARTER, EndCause::Camera).await.unwrap());
    assert!(!a.open_gap(channel_id, DAY + 5 * SECOND, EndCause::Camera).await.unwrap());
    assert_eq!(gaps().await, [process, network]);
    // B's own stop is what it was.
    assert!(b.open_gap(channel_id, DAY + 3 * QUARTER, EndCause::Disk).await.unwrap());
    assert_eq!(gaps().await.last().unwrap().cause, EndCause::Disk);
    // What B left growing a day ago does not hide what happens today.
    let today = DAY + 96 * QUARTER;
    assert!(a.close_gap(channel_id, today).await.unwrap());
    assert!(a.open_gap(channel_id, today + SECOND, EndCause::Camera).await.unwrap());
}

async fn two_runs_of_one_identity_are_seen(home: Home) {
    let (a, b, _) = two_nodes(&home).await;
    let (first, second) = (Uuid::now_v7(), Uuid::now_v7());
    a.begin_run("norte", first).await.unwrap();
    assert!(a.go_on(first).await.unwrap());
    assert!(a.go_on(first).await.unwrap(), "twice within one instant");
    a.begin_run("norte, cloned", second).await.unwrap();
    assert!(!a.go_on(first).await.unwrap());
    assert!(a.go_on(second).await.unwrap());
    let nodes = b.nodes().await.unwrap();
    assert_eq!(nodes.len(), 2);
    assert_eq!(nodes.iter().map(|node| node.name.as_str()).collect::<Vec<_>>(), ["norte, cloned", "sur"]);
    assert_eq!(a.node(b.node_id().unwrap()).await.unwrap().unwrap().name, "sur");
    assert!(a.begin_run("", first).await.is_err());
}

databases::on_every_engine![
    each_node_is_told_its_own_work,
    what_grows_elsewhere_is_neither_sealed_nor_forgotten,
    uploads_wait_at_the_node_that_has_the_bytes,
    a_deletion_is_the_work_of_who_has_the_bytes,
    rows_of_nobody_are_claimed_by_who_has_their_bytes,
    a_late_node_opens_no_gap_where_another_one_records,
    two_runs_of_one_identity_are_seen,
];
