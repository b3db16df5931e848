//! Two nodes on one catalog, each with a disk of its own: neither touches what the other holds, and what cannot be read from
//! here says where it is.
#![expect(clippy::unwrap_used, reason = "a test says what went wrong by stopping")]

use std::sync::Arc;

use catalog::{Catalog, DeletionReason, LocalCopy, SegmentRow, SegmentState};
use media::EndCause;
use turepe_archive::{
    Archive, ArchiveConfig, ArchiveError, Claimed, HeldElsewhere, Verifier, VerifyConfig, bucket::Bucket,
    claim,
};
use uuid::Uuid;
use world::{Clock, Disk, SimulatedDisk};

mod support;
use support::{
    House, NOON_US, S, collect, push_all,
    uploading::{Uploading, film, until, until_stored},
};

const HOUR_US: i64 = 3_600 * S;

/// A node: its name in the catalog, and its disk.
struct Machine {
    disk: SimulatedDisk,
    catalog: Catalog,
    config: ArchiveConfig,
}

impl Machine {
    /// One more node of a house.
    async fn new(house: &House, name: &str) -> Self {
        let catalog = house.catalog.for_node(Uuid::now_v7());
        catalog.begin_run(name, Uuid::now_v7()).await.unwrap();
        Self { disk: SimulatedDisk::new(), catalog, config: house.config.clone() }
    }

    fn id(&self) -> Uuid {
        self.catalog.node_id().unwrap()
    }

    fn open(&self, house: &House) -> Archive {
        self.open_with(house, None)
    }

    fn open_with(&self, house: &House, bucket: Option<Arc<dyn Bucket>>) -> Archive {
        let clock = Arc::clone(&house.clock) as Arc<dyn Clock>;
        let disk = Arc::new(self.disk.clone());
        Archive::open_with_bucket(self.config.clone(), disk, clock, self.catalog.clone(), bucket).unwrap()
    }

    async fn record(&self, house: &House, from_s: i64, to_s: i64) -> Vec<SegmentRow> {
        let archive = self.open(house);
        let recorder = house.recorder(&archive);
        film(&recorder, from_s, to_s).await.stop(&recorder).await;
        archive.settle().await;
        archive.shutdown().await;
        let mut rows = house.rows().await;
        rows.retain(|row| row.node_id == Some(self.id()));
        rows
    }

    fn has(&self, row: &SegmentRow) -> bool {
        self.disk.exists(&self.config.store.join(&row.object_name))
    }

    fn used_bytes(&self) -> u64 {
        self.disk.files().iter().map(|file| self.disk.bytes(file).unwrap().len() as u64).sum()
    }
}

/// The same files on another disk, as `cp -a` makes them.
fn copy_of(disk: &SimulatedDisk) -> SimulatedDisk {
    let copy = SimulatedDisk::new();
    for path in disk.files() {
        copy.create_dir_all(path.parent().unwrap()).unwrap();
        let file = copy.create_new(&path).unwrap();
        file.append_vectored(&[std::io::IoSlice::new(&disk.bytes(&path).unwrap())]).unwrap();
        file.sync_data().unwrap();
        copy.sync_dir(path.parent().unwrap()).unwrap();
    }
    copy
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_repairs_its_own_and_leaves_what_the_other_one_records() {
    let house = House::new().await;
    let (a, b) = (Machine::new(&house, "norte").await, Machine::new(&house, "sur").await);
    let (archive_a, archive_b) = (a.open(&house), b.open(&house));
    let (recorder_a, recorder_b) = (house.recorder(&archive_a), house.recorder(&archive_b));
    let _camera_a = film(&recorder_a, 0, 4).await;
    let mut camera_b = film(&recorder_b, 10, 14).await;
    archive_a.flush().await;
    archive_b.flush().await;
    let growing = house.rows().await;
    assert_eq!(growing.len(), 2);

    // The first one is killed and comes back, while the second one records.
    drop((archive_a, recorder_a));
    let archive_a = a.open(&house);
    archive_a.wait_repaired().await;
    archive_a.settle().await;
    let rows = house.rows().await;
    assert_eq!(rows.len(), 2, "nothing is forgotten");
    assert_eq!((rows[0].state, rows[0].node_id), (SegmentState::Sealed, Some(a.id())));
    assert_eq!((rows[1].state, rows[1].node_id), (SegmentState::Growing, Some(b.id())));
    assert_eq!(archive_a.status().repaired_segments, 1);

    push_all(&recorder_b, camera_b.0.film_until(NOON_US + 17 * S)).await;
    camera_b.stop(&recorder_b).await;
    archive_b.settle().await;
    let rows = house.rows().await;
    let row = rows.iter().find(|row| row.id == growing[1].id).unwrap();
    assert_eq!(row.node_id, Some(b.id()));
    assert!(row.is_whole() && b.has(row) && !a.has(row));
    assert_eq!(row.end_us, Some(NOON_US + 15 * S), "cut at its quarter, and whole up to there");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_away_for_long_keeps_what_it_was_recording() {
    let house = House::new().await;
    let (a, b) = (Machine::new(&house, "norte").await, Machine::new(&house, "sur").await);
    let archive_b = b.open(&house);
    let recorder_b = house.recorder(&archive_b);
    let _camera = film(&recorder_b, 0, 9).await;
    archive_b.flush().await;
    drop((archive_b, recorder_b));
    // The other one starts ten times meanwhile, and keeps house.
    for _ in 0..10 {
        let archive_a = a.open(&house);
        archive_a.wait_repaired().await;
        archive_a.keep_house().await.unwrap();
        archive_a.shutdown().await;
    }
    let rows = house.rows().await;
    assert!(!rows.is_empty() && rows.iter().all(|row| row.node_id == Some(b.id())), "{rows:?}");
    let archive_b = b.open(&house);
    archive_b.wait_repaired().await;
    archive_b.settle().await;
    assert_eq!(archive_b.spans(house.channel_id, NOON_US, NOON_US + 60 * S).await.unwrap().len(), 1);
    assert!(house.rows().await.iter().all(SegmentRow::is_whole));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_gives_up_what_lies_on_it_and_nothing_else() {
    let house = House::new().await;
    let (mut a, b) = (Machine::new(&house, "norte").await, Machine::new(&house, "sur").await);
    // The oldest footage of all lies on the other disk.
    let theirs = b.record(&house, 0, 11).await;
    let own = a.record(&house, 100, 111).await;
    assert_eq!((theirs.len(), own.len()), (3, 3));
    a.disk.set_capacity(Some(a.used_bytes()));
    a.config.retention.min_free_bytes = own[0].size_bytes + 1;
    let archive = a.open(&house);
    archive.wait_repaired().await;
    archive.keep_house().await.unwrap();
    let rows = house.rows().await;
    let left: Vec<Uuid> = rows.iter().filter(|row| row.node_id == Some(a.id())).map(|row| row.id).collect();
    assert!(!left.contains(&own[0].id) && left.contains(&own[2].id), "the oldest of its own");
    assert!(theirs.iter().all(|theirs| rows.contains(theirs) && b.has(theirs)), "{rows:?}");
    assert!(archive.ledger().await.unwrap().keeper.lost_segments > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_lies_on_another_disk_is_seen_here_and_read_there() {
    let house = House::new().await;
    let (a, b) = (Machine::new(&house, "norte").await, Machine::new(&house, "sur").await);
    let theirs = b.record(&house, 0, 11).await;
    a.record(&house, 12, 20).await;
    let archive = a.open(&house);
    archive.wait_repaired().await;
    let (channel_id, to_us) = (house.channel_id, NOON_US + 60 * S);
    let spans = archive.spans(channel_id, NOON_US, to_us).await.unwrap();
    assert_eq!(spans, [(NOON_US, NOON_US + 11 * S), (NOON_US + 12 * S, NOON_US + 20 * S)]);
    let views = archive.views(channel_id, NOON_US, to_us).await.unwrap();
    assert_eq!(views.iter().filter(|view| view.is_here).count(), 2);
    assert_eq!(views.len(), 5);

    let is_at_sur = |error: ArchiveError| {
        matches!(&error, ArchiveError::Elsewhere { holder: Some(name), .. } if name == "sur")
            && error.to_string().contains("sur")
    };
    assert!(is_at_sur(archive.open_segment(theirs[1].id).await.err().unwrap()));
    assert!(is_at_sur(archive.cut(channel_id, NOON_US, to_us).await.err().unwrap()), "of both");
    assert!(is_at_sur(archive.readable_views(channel_id, NOON_US, to_us).await.unwrap_err()));
    assert!(is_at_sur(archive.keyframe(channel_id, NOON_US + 2 * S).await.unwrap_err()));
    let (from_us, to_us) = (NOON_US + 12 * S, NOON_US + 20 * S);
    assert_eq!(archive.readable_views(channel_id, from_us, to_us).await.unwrap().len(), 2);
    let download = archive.cut(channel_id, from_us, to_us).await.unwrap();
    assert_eq!(collect(download.stream(0..download.len())).await.len() as u64, download.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_grows_elsewhere_is_no_gap_and_not_read() {
    let house = House::new().await;
    let (a, b) = (Machine::new(&house, "norte").await, Machine::new(&house, "sur").await);
    let archive_b = b.open(&house);
    let recorder_b = house.recorder(&archive_b);
    let _camera = film(&recorder_b, 0, 4).await;
    archive_b.flush().await;
    house.clock.advance(4 * S);
    let archive = a.open(&house);
    archive.wait_repaired().await;
    let (channel_id, now_us) = (house.channel_id, NOON_US + 4 * S);
    assert_eq!(archive.spans(channel_id, NOON_US - S, now_us).await.unwrap(), [(NOON_US, now_us)]);
    assert_eq!(archive.gaps(channel_id, NOON_US, now_us, now_us).await.unwrap(), []);
    let error = archive.readable_views(channel_id, NOON_US, now_us).await.unwrap_err();
    assert!(matches!(error, ArchiveError::Elsewhere { .. }), "{error}");
    let row = house.rows().await.remove(0);
    let error = archive.open_segment(row.id).await.err().unwrap();
    assert!(matches!(error, ArchiveError::Elsewhere { .. }), "not unknown: {error}");
    let error = archive.cut(channel_id, NOON_US, now_us).await.err().unwrap();
    assert!(matches!(error, ArchiveError::Elsewhere { .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_bucket_has_is_read_by_every_node() {
    let uploading = Uploading::new().await;
    let house = &uploading.house;
    let (a, b) = (Machine::new(house, "norte").await, Machine::new(house, "sur").await);
    let bucket = || Some(Arc::new(uploading.bucket.clone()) as Arc<dyn Bucket>);
    uploading.bucket.set_away(true);
    let archive_b = b.open_with(house, bucket());
    let recorder = house.recorder(&archive_b);
    film(&recorder, 0, 11).await.stop(&recorder).await;
    archive_b.settle().await;
    let archive_a = a.open_with(house, bucket());
    archive_a.wait_repaired().await;
    let rows = house.rows().await;
    assert!(archive_a.open_segment(rows[0].id).await.is_err(), "not yet");
    assert_eq!(archive_a.ledger().await.unwrap().unstored_segments, 0, "no work of this one");
    assert_eq!(archive_b.ledger().await.unwrap().unstored_segments, 3);

    uploading.bucket.set_away(false);
    until_stored(&archive_b, 3).await;
    for row in &rows {
        let segment = archive_a.open_segment(row.id).await.unwrap();
        let bytes = collect(segment.stream(0..segment.len)).await;
        assert_eq!(bytes, uploading.bucket.bytes(&row.object_name).unwrap());
    }
    assert_eq!(archive_a.ledger().await.unwrap().upload.stored_segments, 0);

    // A node that has no bucket says so, and not that something is broken.
    let c = Machine::new(house, "oeste").await;
    let archive_c = c.open(house);
    archive_c.wait_repaired().await;
    let error = archive_c.open_segment(rows[0].id).await.err().unwrap();
    assert!(matches!(error, ArchiveError::Elsewhere { .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_held_what_expires_removes_it_and_the_bucket_waits_for_nobody() {
    let uploading = Uploading::new().await;
    let house = &uploading.house;
    let (mut a, b) = (Machine::new(house, "norte").await, Machine::new(house, "sur").await);
    let bucket = || Some(Arc::new(uploading.bucket.clone()) as Arc<dyn Bucket>);
    let archive_b = b.open_with(house, bucket());
    let recorder = house.recorder(&archive_b);
    film(&recorder, 0, 11).await.stop(&recorder).await;
    archive_b.settle().await;
    until_stored(&archive_b, 3).await;
    let rows = house.rows().await;
    // The one that holds it is switched off; the other one deletes what is too old.
    archive_b.shutdown().await;
    a.config.retention.days = None;
    let archive_a = a.open_with(house, bucket());
    archive_a.wait_repaired().await;
    let ids: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
    a.catalog.delete_segments(&ids, DeletionReason::Retention, None).await.unwrap();
    archive_a.keep_house().await.unwrap();
    assert!(rows.iter().all(|row| b.has(row)), "not its disk");
    assert!(uploading.bucket.bytes(&rows[0].object_name).is_some(), "its own node would do it");
    // It does not for longer than a running one would need: the deletions were decided by the catalog's clock.
    house.clock.advance(Clock::now_us(&world::SystemClock) - NOON_US + 2 * HOUR_US);
    archive_a.keep_house().await.unwrap();
    assert!(
        rows.iter().all(|row| uploading.bucket.bytes(&row.object_name).is_none()),
        "what is deleted is gone"
    );
    assert!(rows.iter().all(|row| b.has(row)));
    let pending = async || b.catalog.pending_deletions(9).await.unwrap().len();
    assert_eq!(pending().await, 3, "its disk still has them");

    let archive_b = b.open_with(house, bucket());
    until("it is back and removes them", async || {
        archive_b.keep_house().await.is_ok() && pending().await == 0
    })
    .await;
    assert!(!rows.iter().any(|row| b.has(row)));
}

#[tokio::test(flavor = "multi_thread")]
async fn verify_looks_at_its_own_and_counts_the_rest() {
    let house = House::new().await;
    let (a, b) = (Machine::new(&house, "norte").await, Machine::new(&house, "sur").await);
    let theirs = b.record(&house, 0, 11).await;
    let own = a.record(&house, 100, 111).await;
    let verify = async || {
        let config = VerifyConfig {
            store: a.config.store.clone(),
            etag_part_bytes: None,
            is_deep: true,
            club: None,
            mends: false,
            removes_orphans: false,
        };
        let (disk, clock) = (Arc::new(a.disk.clone()), Arc::clone(&house.clock) as Arc<dyn Clock>);
        Verifier::new(a.catalog.clone(), disk, clock, None, config).run().await.unwrap()
    };
    let report = verify().await;
    assert_eq!((report.fault_count, report.good_copies, report.rows), (0, 3, 6), "{report:?}");
    let sur =
        HeldElsewhere { node_id: Some(b.id()), name: Some("sur".into()), segments: theirs.len() as u64 };
    assert_eq!(report.elsewhere, [sur]);
    // What is missing here is missing, whatever lies elsewhere.
    a.disk.remove(&a.config.store.join(&own[1].object_name)).unwrap();
    let report = verify().await;
    assert_eq!((report.fault_count, report.faults[0].segment_id), (1, own[1].id));
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_upgrade_each_node_finds_what_it_has() {
    let house = House::new().await;
    // Two nodes that nobody told apart: what grows, what is sealed.
    let nobody =
        |disk: SimulatedDisk| Machine { disk, catalog: house.catalog.clone(), config: house.config.clone() };
    let (old_a, old_b) = (nobody(SimulatedDisk::new()), nobody(SimulatedDisk::new()));
    let archives = [old_a.open(&house), old_b.open(&house)];
    let (mut last, mut recorders) = (Vec::new(), Vec::new());
    for archive in &archives {
        // Before either records: what they did to each other is no part of this.
        archive.wait_repaired().await;
    }
    for (archive, from_s) in archives.iter().zip([0, 100]) {
        let recorder = house.recorder(archive);
        last.push(film(&recorder, from_s, from_s + 13).await);
        archive.flush().await;
        until("what is cut is sealed", async || archive.status().unregistered_segments == 0).await;
        until("what grows has its row", async || {
            house.rows().await.iter().filter(|row| !row.is_whole()).count() == last.len()
        })
        .await;
        recorders.push(recorder);
    }
    drop((archives, recorders));
    assert!(house.rows().await.iter().all(|row| row.node_id.is_none()));
    assert_eq!(house.rows().await.iter().filter(|row| !row.is_whole()).count(), 2);

    let mut a = Machine::new(&house, "norte").await;
    a.disk = old_a.disk;
    let archive = a.open(&house);
    archive.wait_repaired().await;
    archive.settle().await;
    let rows = house.rows().await;
    let (own, others): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| row.start_us < NOON_US + 50 * S);
    assert!(own.iter().all(|row| row.node_id == Some(a.id()) && row.is_whole()), "{own:?}");
    assert!(others.iter().all(|row| row.node_id.is_none()), "evidence alone counts: {others:?}");
    assert!(others.iter().any(|row| row.state == SegmentState::Growing), "not forgotten by a stranger");
    let error = archive.open_segment(others[0].id).await.err().unwrap();
    assert!(matches!(error, ArchiveError::Elsewhere { holder: None, .. }), "{error}");

    let mut b = Machine::new(&house, "sur").await;
    b.disk = old_b.disk;
    let archive_b = b.open(&house);
    archive_b.wait_repaired().await;
    archive_b.settle().await;
    let rows = house.rows().await;
    let of_b: Vec<_> = rows.iter().filter(|row| row.node_id == Some(b.id())).collect();
    assert_eq!(of_b.len(), others.len());
    assert!(rows.iter().all(SegmentRow::is_whole));
    assert_eq!(own.len() + of_b.len(), rows.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copied_folder_reads_what_it_has_and_touches_nothing() {
    let house = House::new().await;
    let original = Machine::new(&house, "norte").await;
    original.record(&house, 0, 7).await;
    let archive = original.open(&house);
    archive.wait_repaired().await;
    let recorder = house.recorder(&archive);
    let mut camera = film(&recorder, 10, 13).await;
    archive.flush().await;
    // Copied while it records.
    let mut copy = Machine::new(&house, "copy").await;
    copy.disk = copy_of(&original.disk);
    let files = copy.disk.files().len();
    let archive_copy = copy.open(&house);
    archive_copy.wait_repaired().await;
    archive_copy.keep_house().await.unwrap();
    assert_eq!(copy.disk.files().len(), files, "its copy of what grows stays as it is");
    let rows = house.rows().await;
    assert!(rows.iter().all(|row| row.node_id == Some(original.id())), "{rows:?}");
    let whole = archive_copy.cut(house.channel_id, NOON_US, NOON_US + 7 * S).await.unwrap();
    assert!(!collect(whole.stream(0..whole.len())).await.is_empty(), "what is here is read here");

    push_all(&recorder, camera.0.film_until(NOON_US + 14 * S)).await;
    camera.stop(&recorder).await;
    archive.settle().await;
    assert!(house.rows().await.iter().all(|row| row.is_whole() && original.has(row)));
    archive.shutdown().await;
    drop(archive);

    // The original is gone for good, and its footage is taken over where it is.
    let disk: Arc<dyn Disk> = Arc::new(copy.disk.clone());
    let (spool, store) = (&copy.config.spool, &copy.config.store);
    let taken = claim(&copy.catalog, &disk, spool, store, Some(original.id())).await.unwrap();
    assert_eq!(taken, Claimed { segments: 2, absent: 1 });
    let again = claim(&copy.catalog, &disk, spool, store, Some(original.id())).await.unwrap();
    assert_eq!(again, Claimed { segments: 0, absent: 1 });
    assert_eq!(claim(&copy.catalog, &disk, spool, store, Some(copy.id())).await.unwrap().segments, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_brought_its_catalog_goes_on_where_it_was() {
    let house = House::new().await;
    let old = Machine::new(&house, "old").await;
    old.record(&house, 0, 7).await;
    let archive = old.open(&house);
    let recorder = house.recorder(&archive);
    let _camera = film(&recorder, 10, 13).await;
    archive.flush().await;
    drop((archive, recorder));
    let mut new = Machine::new(&house, "new").await;
    new.disk = old.disk.clone();
    new.config.former_nodes = vec![Uuid::now_v7(), old.id()];
    let archive = new.open(&house);
    archive.wait_repaired().await;
    archive.settle().await;
    let rows = house.rows().await;
    assert_eq!(rows.len(), 3);
    assert!(rows.iter().all(|row| row.is_whole() && row.node_id == Some(new.id())), "{rows:?}");
    assert_eq!(rows[0].local_copy, LocalCopy::Kept);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_that_record_one_channel_at_once_keep_both() {
    let house = House::new().await;
    let (a, b) = (Machine::new(&house, "norte").await, Machine::new(&house, "sur").await);
    a.record(&house, 0, 9).await;
    b.record(&house, 3, 13).await;
    assert_eq!(house.rows().await.len(), 5);
    let archive = a.open(&house);
    archive.wait_repaired().await;
    let spans = archive.spans(house.channel_id, NOON_US, NOON_US + 60 * S).await.unwrap();
    assert_eq!(spans, [(NOON_US, NOON_US + 13 * S)], "counted once");
    let gaps = archive.gaps(house.channel_id, NOON_US, NOON_US + 13 * S, NOON_US + HOUR_US).await.unwrap();
    assert_eq!(gaps, []);
    assert!(house.catalog.open_gap(house.channel_id, NOON_US + 13 * S, EndCause::Camera).await.is_ok());
}
