//! A catalog that is lost is rebuilt from the footage: the same replay, to the byte.
#![expect(clippy::unwrap_used, reason = "a test says what went wrong by stopping")]

use std::sync::Arc;

use bytes::Bytes;
use catalog::{Catalog, DeletionReason, LocalCopy, NewChannel, NewClub, SegmentState, Source};
use turepe_archive::{
    Archive, FoundCourt, ReindexReport, Reindexer, SegmentView, Verifier, VerifyConfig,
    bucket::{Bucket, TimeOuts},
};
use world::{Clock, SimulatedDisk};

#[path = "support/s3.rs"]
mod s3;
mod support;
use support::{
    House, NOON_US, S, collect,
    uploading::{Uploading, film, until_stored},
};

/// A catalog as new, and its folder.
async fn empty() -> (tempfile::TempDir, Catalog) {
    let folder = tempfile::tempdir().unwrap();
    let catalog = Catalog::open_file(&folder.path().join("turepe.db")).await.unwrap();
    (folder, catalog)
}

fn reindexer(
    house: &House,
    disk: &SimulatedDisk,
    catalog: &Catalog,
    bucket: Option<Arc<dyn Bucket>>,
    is_dry: bool,
) -> Reindexer {
    let clock = Arc::clone(&house.clock) as Arc<dyn Clock>;
    let (store, spool) = (house.config.store.clone(), house.config.spool.clone());
    Reindexer::new(catalog.clone(), Arc::new(disk.clone()), clock, bucket, store, spool, is_dry)
}

fn open(house: &House, disk: &SimulatedDisk, catalog: &Catalog, bucket: Option<Arc<dyn Bucket>>) -> Archive {
    let clock = Arc::clone(&house.clock) as Arc<dyn Clock>;
    Archive::open_with_bucket(house.config.clone(), Arc::new(disk.clone()), clock, catalog.clone(), bucket)
        .unwrap()
}

/// Everything that a replay is made of.
#[derive(PartialEq, Debug)]
struct Replay {
    views: Vec<SegmentView2>,
    spans: Vec<(i64, i64)>,
    cut: Vec<u8>,
    inits: Vec<Option<Bytes>>,
}

/// A view as a comparable value.
type SegmentView2 = (uuid::Uuid, uuid::Uuid, i64, i64, u64, String, Vec<u8>);

async fn replay(house: &House, archive: &Archive, catalog: &Catalog) -> Replay {
    let range = (NOON_US + S, NOON_US + 28 * S);
    let views: Vec<SegmentView> = archive.views(house.channel_id, range.0, range.1).await.unwrap();
    let mut inits = Vec::new();
    for view in &views {
        inits.push(catalog.init(&view.init_hash).await.unwrap());
    }
    let cut = archive.cut(house.channel_id, range.0, range.1).await.unwrap();
    Replay {
        views: views
            .into_iter()
            .map(|view| {
                let index = view.index.encode();
                (view.id, view.session_id, view.start_us, view.end_us, view.size_bytes, view.init_hash, index)
            })
            .collect(),
        spans: archive.spans(house.channel_id, range.0, range.1).await.unwrap(),
        cut: collect(cut.stream(0..cut.len())).await,
        inits,
    }
}

/// Two sessions with a hole between them.
async fn record(house: &House, archive: &Archive) {
    for (from_s, to_s) in [(0, 12), (20, 27)] {
        let recorder = house.recorder(archive);
        film(&recorder, from_s, to_s).await.stop(&recorder).await;
    }
    archive.settle().await;
}

fn numbers(report: &ReindexReport) -> (u64, u64, u64) {
    (report.objects, report.added, report.known)
}

async fn from_a_bucket_alone(house: &House, bucket: Arc<dyn Bucket>) {
    let archive = open(house, &house.disk, &house.catalog, Some(Arc::clone(&bucket)));
    record(house, &archive).await;
    until_stored(&archive, 5).await;
    let before = replay(house, &archive, &house.catalog).await;
    let rows = house.rows().await;
    archive.shutdown().await;

    // Database and disk are gone.
    let (_folder, catalog) = empty().await;
    let disk = SimulatedDisk::new();
    let run = |is_dry| reindexer(house, &disk, &catalog, Some(Arc::clone(&bucket)), is_dry).run();
    let dry = run(true).await.unwrap();
    assert!(catalog.channels().await.unwrap().is_empty() && catalog.clubs().await.unwrap().is_empty());
    let report = run(false).await.unwrap();
    assert_eq!(dry, report, "a dry run says what a true one does");
    assert_eq!(numbers(&report), (5, 5, 0));
    assert_eq!((report.unreadable, report.foreign), (vec![], 0));
    assert_eq!((report.clubs, report.channels), (vec!["club".to_owned()], vec![house.channel_id]));
    assert_eq!(report.courts, [FoundCourt { club: "club".into(), court: "court".into() }]);
    assert_eq!(numbers(&run(false).await.unwrap()), (5, 0, 5), "twice is the same as once");

    let route = catalog.channel_route(house.channel_id).await.unwrap().unwrap();
    assert_eq!((route.club_slug.as_deref(), route.court_slug.as_deref()), (Some("club"), Some("court")));
    let rebuilt = catalog.segments_in_range(house.channel_id, NOON_US, NOON_US + 60 * S).await.unwrap();
    assert_eq!(rebuilt.len(), rows.len());
    for (row, rebuilt) in rows.iter().zip(&rebuilt) {
        let expected = catalog::SegmentRow { local_copy: LocalCopy::None, ..row.clone() };
        assert_eq!(*rebuilt, expected, "the row is the same but for the local copy, which is gone");
    }
    let archive = open(house, &disk, &catalog, Some(Arc::clone(&bucket)));
    assert!(replay(house, &archive, &catalog).await == before, "the same replay, byte for byte");
    archive.shutdown().await;
    let config = VerifyConfig {
        store: house.config.store.clone(),
        etag_part_bytes: Some(house.config.upload.part_bytes),
        is_deep: true,
        club: Some("club".into()),
        mends: false,
        removes_orphans: false,
    };
    let clock = Arc::clone(&house.clock) as Arc<dyn Clock>;
    let verifier = Verifier::new(catalog, Arc::new(disk), clock, Some(bucket), config);
    let report = verifier.run().await.unwrap();
    assert_eq!((report.fault_count, report.good_copies), (0, 5));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_in_memory_gives_the_same_replay_back() {
    let uploading = Uploading::new().await;
    from_a_bucket_alone(&uploading.house, Arc::new(uploading.bucket.clone())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_of_s3_gives_the_same_replay_back() {
    let mut uploading = Uploading::new().await;
    // Parts of at least what the service takes: these objects are stored whole.
    uploading.house.config.upload.part_bytes = 5 * 1024 * 1024;
    let service = s3::TestS3::start().await;
    let bucket = s3::bucket_at(service.address, "tu-repe", "", TimeOuts::default());
    from_a_bucket_alone(&uploading.house, Arc::new(bucket)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_gives_the_same_replay_back() {
    let house = House::new().await;
    let archive = house.open();
    record(&house, &archive).await;
    let before = replay(&house, &archive, &house.catalog).await;
    archive.shutdown().await;
    let (_folder, catalog) = empty().await;
    let report = reindexer(&house, &house.disk, &catalog, None, false).run().await.unwrap();
    assert_eq!(numbers(&report), (5, 5, 0));
    let again = reindexer(&house, &house.disk, &catalog, None, false).run().await.unwrap();
    assert_eq!(numbers(&again), (5, 0, 5));
    let rebuilt = catalog.segments_in_range(house.channel_id, NOON_US, NOON_US + 60 * S).await.unwrap();
    assert_eq!(rebuilt, house.rows().await);
    let archive = open(&house, &house.disk, &catalog, None);
    assert!(replay(&house, &archive, &catalog).await == before);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_only_this_machine_has_goes_on_its_way_to_the_bucket() {
    let uploading = Uploading::new().await;
    let house = &uploading.house;
    let archive = uploading.open();
    uploading.record(&archive, 12).await;
    until_stored(&archive, 3).await;
    archive.shutdown().await;
    let rows = house.rows().await;
    uploading.bucket.delete(&rows[2].object_name).await.unwrap();
    // A club that somebody has set up again already stays as it is, and so does what was deleted.
    let (_folder, catalog) = empty().await;
    let club = NewClub {
        slug: "club".into(),
        name: "El Club".into(),
        zone: "Europe/Madrid".into(),
        hours: "08:00-24:00".parse().unwrap(),
        appointment_duration_min: 60,
    };
    let club = catalog.create_club(club).await.unwrap();
    let bucket = || Some(Arc::new(uploading.bucket.clone()) as Arc<dyn Bucket>);
    let report = reindexer(house, &house.disk, &catalog, bucket(), false).run().await.unwrap();
    assert_eq!((report.added, report.local_copies, report.clubs.len()), (3, 2, 0));
    assert_eq!(catalog.club(club.id).await.unwrap().unwrap(), club);
    let unstored = catalog.unstored_segments(10).await.unwrap();
    assert_eq!(unstored.iter().map(|row| row.id).collect::<Vec<_>>(), [rows[2].id]);
    for row in &rows[..2] {
        let rebuilt = catalog.segment(row.id).await.unwrap().unwrap();
        assert_eq!((rebuilt.state, rebuilt.local_copy), (SegmentState::Stored, LocalCopy::Kept));
    }
    catalog.delete_segments(&[rows[0].id], DeletionReason::Admin, None).await.unwrap();
    let report = reindexer(house, &house.disk, &catalog, bucket(), false).run().await.unwrap();
    assert_eq!((report.added, report.deleted), (0, 2), "neither the object nor the file comes back");
    let archive = open(house, &house.disk, &catalog, bucket());
    until_stored(&archive, 1).await;
    assert!(uploading.bucket.bytes(&rows[2].object_name).is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_in_the_spool_finds_its_channel_and_nonsense_is_named() {
    let house = House::new().await;
    let archive = house.open();
    let recorder = house.recorder(&archive);
    let camera = film(&recorder, 0, 8).await;
    archive.flush().await;
    drop((archive, recorder, camera));
    let row = house.rows().await.remove(0);
    let nonsense = house.config.store.join(row.object_name.replace("court", "other"));
    world::Disk::create_dir_all(&house.disk, nonsense.parent().unwrap()).unwrap();
    world::write_whole(&house.disk, &nonsense, &[7; 5000]).unwrap();

    let (_folder, catalog) = empty().await;
    let report = reindexer(&house, &house.disk, &catalog, None, false).run().await.unwrap();
    assert_eq!(report.channels, [house.channel_id]);
    assert_eq!((report.added, report.unreadable_count), (1, 1), "one was sealed in time: {report:?}");
    let archive = open(&house, &house.disk, &catalog, None);
    archive.wait_repaired().await;
    let spans = archive.spans(house.channel_id, NOON_US, NOON_US + 60 * S).await.unwrap();
    assert!(spans[0].0 == NOON_US && spans[0].1 > NOON_US + 7 * S, "{spans:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_without_a_court_gets_none() {
    let house = House::new().await;
    let channel = NewChannel { court_id: None, name: "lone".into(), source: Source::Push };
    let lone = house.catalog.create_channel(channel).await.unwrap().0;
    let archive = house.open();
    let target = turepe_archive::RecorderTarget { channel_id: lone.id, prefix: "none/none".into() };
    let recorder = archive.recorder(target);
    film(&recorder, 0, 3).await.stop(&recorder).await;
    archive.settle().await;
    let (_folder, catalog) = empty().await;
    let report = reindexer(&house, &house.disk, &catalog, None, false).run().await.unwrap();
    assert_eq!((report.clubs.len(), report.courts.len(), report.channels), (0, 0, vec![lone.id]));
    assert_eq!(catalog.channel(lone.id).await.unwrap().unwrap().court_id, None);
}
