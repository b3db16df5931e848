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

/// Puts a file into quarantine as a node does.
fn quarantined(house: &House, file: &std::path::Path) -> std::path::PathBuf {
    use world::Disk as _;
    let folder = house.config.spool.join("quarantine").join(house.channel_id.to_string());
    house.disk.create_dir_all(&folder).unwrap();
    let kept = folder.join(file.file_name().unwrap());
    house.disk.rename(file, &kept).unwrap();
    kept
}

fn exists(house: &House, path: &std::path::Path) -> bool {
    world::Disk::exists(&house.disk, path)
}

/// Three segments: the last is torn in the spool; the first is whole in the spool, as if the node had died before it came into the
/// store; and the one between them is where it belongs.
async fn torn_and_whole(house: &House) -> (std::path::PathBuf, std::path::PathBuf) {
    let archive = house.open();
    let recorder = house.recorder(&archive);
    let camera = film(&recorder, 0, 13).await;
    archive.settle().await;
    drop((archive, recorder, camera));
    let torn = house.spool_files().remove(0);
    let file = world::Disk::open_rw(&house.disk, &torn).unwrap();
    file.append_vectored(&[std::io::IoSlice::new(b"\0\0\x02\0moof\0\0\0\x10mfhd")]).unwrap();
    let sealed = house.rows().await.remove(0);
    assert!(sealed.is_whole());
    let name = format!("{}~{}~{}~club~court.mp4.part", sealed.id, sealed.session_id, sealed.start_us);
    let whole = torn.with_file_name(name);
    world::Disk::rename(&house.disk, &house.config.store.join(&sealed.object_name), &whole).unwrap();
    (torn, whole)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_lies_in_quarantine_is_taken_in_torn_or_whole() {
    let house = House::new().await;
    let (torn, whole) = torn_and_whole(&house).await;
    let kept = [quarantined(&house, &torn), quarantined(&house, &whole)];
    // Nothing can be made of this one, and nobody throws it away.
    let nonsense = kept[0].with_file_name(format!("{0}~{0}~5~club~court.mp4.part", uuid::Uuid::now_v7()));
    world::write_whole(&house.disk, &nonsense, &[7; 5000]).unwrap();

    let (_folder, catalog) = empty().await;
    let before = house.disk.files();
    let dry = reindexer(&house, &house.disk, &catalog, None, true).run().await.unwrap();
    assert_eq!(house.disk.files(), before, "a dry run changes nothing");
    let report = reindexer(&house, &house.disk, &catalog, None, false).run().await.unwrap();
    assert_eq!((dry.added, dry.recovered, dry.unreadable_count), (3, 2, 1), "{dry:?}");
    assert_eq!((report.added, report.recovered, report.unreadable_count), (3, 2, 1), "{report:?}");
    assert!(report.unreadable[0].object_name.contains("quarantine"), "{report:?}");
    assert!(exists(&house, &nonsense) && !kept.iter().any(|kept| exists(&house, kept)));
    let again = reindexer(&house, &house.disk, &catalog, None, false).run().await.unwrap();
    assert_eq!((again.added, again.known), (0, 3), "twice is the same as once");

    let archive = open(&house, &house.disk, &catalog, None);
    archive.wait_repaired().await;
    let spans = archive.spans(house.channel_id, NOON_US, NOON_US + 3600 * S).await.unwrap();
    assert!(
        spans.len() == 1 && spans[0].0 == NOON_US && spans[0].1 > NOON_US + 12 * S,
        "to the last whole fragment: {spans:?}"
    );
    let cut = archive.cut(house.channel_id, NOON_US, NOON_US + 12 * S).await.unwrap();
    assert_eq!(collect(cut.stream(0..cut.len())).await.len() as u64, cut.len(), "and it plays");
    archive.shutdown().await;
    let config = VerifyConfig {
        store: house.config.store.clone(),
        etag_part_bytes: None,
        is_deep: true,
        club: None,
        mends: false,
        removes_orphans: false,
    };
    let clock = Arc::clone(&house.clock) as Arc<dyn Clock>;
    let report =
        Verifier::new(catalog, Arc::new(house.disk.clone()), clock, None, config).run().await.unwrap();
    assert_eq!((report.fault_count, report.good_copies), (0, 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_lies_in_the_spool_is_taken_in_where_no_node_works_on_it() {
    let house = House::new().await;
    let (torn, whole) = torn_and_whole(&house).await;
    let (_folder, catalog) = empty().await;
    let beside = reindexer(&house, &house.disk, &catalog, None, false).run().await.unwrap();
    assert_eq!((beside.added, beside.recovered), (1, 0), "a running node has the spool to itself");
    assert!(exists(&house, &torn) && exists(&house, &whole));
    let alone = reindexer(&house, &house.disk, &catalog, None, false).with_spool().run().await.unwrap();
    assert_eq!((alone.added, alone.recovered, alone.known), (2, 2, 1));
    assert_eq!(house.spool_files(), Vec::<std::path::PathBuf>::new());
    let spans = open(&house, &house.disk, &catalog, None)
        .spans(house.channel_id, NOON_US, NOON_US + 3600 * S)
        .await
        .unwrap();
    assert!(spans.len() == 1 && spans[0].1 > NOON_US + 12 * S, "{spans:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_catalog_does_not_know_stays_where_it_is_and_is_told() {
    let house = House::new().await;
    let (torn, whole) = torn_and_whole(&house).await;
    let before = house.disk.files();
    // Another catalog, or one that knows neither channel nor rows.
    let (_folder, catalog) = empty().await;
    let archive = open(&house, &house.disk, &catalog, None);
    archive.wait_repaired().await;
    archive.settle().await;
    let alarm = async |archive: &Archive| {
        let alarms = archive.ledger().await.unwrap().alarms;
        alarms.into_iter().find(|alarm| alarm.kind == turepe_archive::AlarmKind::FootageUnknown)
    };
    let told = async |archive: &Archive, what: &str| {
        let look = async {
            loop {
                match alarm(archive).await {
                    Some(alarm) if alarm.message.contains(what) => return alarm.message,
                    _ => tokio::time::sleep(std::time::Duration::from_millis(5)).await,
                }
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(30), look).await.unwrap()
    };
    let message = told(&archive, "does not know 3 recordings").await;
    assert!(message.contains("turepe reindex"), "{message}");
    assert_eq!(house.disk.files(), before, "nothing is moved, removed or made");
    archive.shutdown().await;
    reindexer(&house, &house.disk, &catalog, None, false).with_spool().run().await.unwrap();
    assert!(!exists(&house, &torn) && !exists(&house, &whole));
    let archive = open(&house, &house.disk, &catalog, None);
    archive.wait_repaired().await;
    assert_eq!(alarm(&archive).await, None);
    archive.shutdown().await;

    // An old backup: the channel is known, and the newest rows are gone.
    let rows = catalog.segments_in_range(house.channel_id, 0, i64::MAX).await.unwrap();
    catalog.delete_segment(rows[2].id).await.unwrap();
    let archive = open(&house, &house.disk, &catalog, None);
    told(&archive, "does not know 1 recordings").await;
    let report = reindexer(&house, &house.disk, &catalog, None, false).run().await.unwrap();
    assert_eq!((report.added, report.known), (1, 2), "beside the running node");
}
