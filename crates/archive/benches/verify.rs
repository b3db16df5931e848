//! How fast catalog and local store are compared, and footage is read through: on real files of the real pipeline.
//!
//! `cargo bench -p turepe-archive --bench verify` records more than a gigabyte and makes a hundred thousand small
//! segments, in the folder that `TMPDIR` names, and prints a table. Run as a test (without `--bench`) it does the same
//! with little, to see that it works.
#![expect(clippy::unwrap_used, reason = "a benchmark says what went wrong by stopping")]

use std::{path::Path, sync::Arc, time::Instant};

use catalog::{Catalog, NewChannel, NewSegment, Place, SealedSegment, Source};
use media::EndCause;
use turepe_archive::{
    Archive, ArchiveConfig, RecorderTarget, Reindexer, Verifier, VerifyConfig, VerifyReport,
};
use uuid::Uuid;
use world::{Clock, Disk, SimulatedClock, SystemDisk};

#[path = "../tests/support/mod.rs"]
mod support;
use support::{Camera, NOON_US, S, push_all};

/// What is measured in.
struct House {
    folder: tempfile::TempDir,
    clock: Arc<SimulatedClock>,
    catalog: Catalog,
    channel_id: Uuid,
}

impl House {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let catalog = Catalog::open_file(&folder.path().join("turepe.db")).await.unwrap();
        let channel = NewChannel { court_id: None, name: "camera".into(), source: Source::Push };
        let channel_id = catalog.create_channel(channel).await.unwrap().0.id;
        Self { folder, clock: Arc::new(SimulatedClock::new(NOON_US)), catalog, channel_id }
    }

    fn store(&self) -> std::path::PathBuf {
        self.folder.path().join("store")
    }

    async fn verify(&self, is_deep: bool) -> (VerifyReport, f64) {
        let config = VerifyConfig {
            store: self.store(),
            etag_part_bytes: None,
            is_deep,
            club: None,
            mends: false,
            removes_orphans: false,
        };
        let clock = Arc::clone(&self.clock) as Arc<dyn Clock>;
        let verifier = Verifier::new(self.catalog.clone(), Arc::new(SystemDisk), clock, None, config);
        let start = Instant::now();
        let report = verifier.run().await.unwrap();
        assert_eq!((report.fault_count, report.good_copies), (0, report.rows));
        (report, start.elapsed().as_secs_f64())
    }
}

fn main() {
    let is_bench = std::env::args().any(|argument| argument == "--bench");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (seconds, rows) = if is_bench { (2_700, 100_000) } else { (12, 1_500) };
    runtime.block_on(async {
        deep(seconds).await;
        shallow(rows).await;
    });
}

/// Footage of a 4 Mbit/s court, in segments of 15 minutes.
async fn deep(seconds: i64) {
    let house = House::new().await;
    let config = ArchiveConfig {
        sync_us: ArchiveConfig::MAX_SYNC_US,
        ..ArchiveConfig::new(house.folder.path().join("spool"), house.store())
    };
    let (disk, clock): (Arc<dyn Disk>, _) =
        (Arc::new(SystemDisk), Arc::clone(&house.clock) as Arc<dyn Clock>);
    let archive = Archive::open(config, disk, clock, house.catalog.clone()).unwrap();
    let target = RecorderTarget { channel_id: house.channel_id, prefix: "club/court".into() };
    let recorder = archive.recorder(target);
    let (mut camera, events) = Camera::start(NOON_US);
    camera.frame_bytes = 20_000;
    push_all(&recorder, events).await;
    for second in 1..=seconds {
        push_all(&recorder, camera.film_until(NOON_US + second * S)).await;
    }
    push_all(&recorder, camera.stop(EndCause::Camera)).await;
    archive.settle().await;
    archive.shutdown().await;
    for round in ["first", "again"] {
        let (report, took_s) = house.verify(true).await;
        println!(
            "verify --deep, {round}: {} segments, {:.0} MB in {took_s:.2} s: {:.0} MB/s",
            report.rows,
            report.read_bytes as f64 / 1e6,
            report.read_bytes as f64 / 1e6 / took_s
        );
    }
    let lost = House::new().await;
    let clock = Arc::clone(&house.clock) as Arc<dyn Clock>;
    let spool = house.folder.path().join("spool");
    let (disk, store) = (Arc::new(SystemDisk), house.store());
    let reindexer = Reindexer::new(lost.catalog.clone(), disk, clock, None, store, spool, false);
    let start = Instant::now();
    let report = reindexer.run().await.unwrap();
    println!("reindex: {} segments in {:.3} s", report.added, start.elapsed().as_secs_f64());
}

/// Many rows, and a file of three bytes for each.
async fn shallow(count: usize) {
    let house = House::new().await;
    let channel_id = house.channel_id;
    let rows = (0..count).map(|number| {
        let start_us = NOON_US + i64::try_from(number).unwrap() * 900 * S;
        let (id, at) = (house.catalog.new_id(), jiff::Timestamp::from_microsecond(start_us).unwrap());
        let when = at.strftime("%Y/%m/%d/%H%M%S");
        let object_name = format!("club/court/{channel_id}/{when}Z-{id}.mp4");
        write(&house.store().join(&object_name));
        let init_hash = "0".repeat(32);
        let new = NewSegment { id, channel_id, session_id: id, start_us, object_name, init_hash };
        let sealed = SealedSegment {
            end_us: start_us + 900 * S,
            size_bytes: 3,
            moov_offset: 2,
            index: Vec::new(),
            crc32: None,
            place: Place::Local,
        };
        (new, sealed)
    });
    let rows: Vec<_> = rows.collect();
    house.catalog.insert_sealed_segments(rows).await.unwrap();
    let (report, took_s) = house.verify(false).await;
    println!("verify: {} rows in {took_s:.2} s: {:.0} rows/s", report.rows, report.rows as f64 / took_s);
}

fn write(path: &Path) {
    SystemDisk.create_dir_all(path.parent().unwrap()).unwrap();
    let file = SystemDisk.create_new(path).unwrap();
    file.append_vectored(&[std::io::IoSlice::new(b"abc")]).unwrap();
}
