//! A node that died with hundreds of open segments: they are taken up in parallel while new recording runs, on a real
//! folder and a real database.
//!
//! `cargo xtask soak repair` runs it with a thousand of them on a release build and prints the figures.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::disallowed_methods, reason = "a test works on real files")]

mod support;

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use catalog::{Catalog, NewChannel, NewSegment, SegmentState, Source};
use media::{
    EndCause,
    fragmenter::FragmentEvent,
    mp4::reader::{read_moov, sealed_moov_offset},
};
use support::{Camera, House, NOON_US, S, push_all};
use turepe_archive::{Archive, ArchiveConfig, RecorderTarget};
use uuid::Uuid;
use world::{Clock as _, SystemClock, SystemDisk};

/// Torn segments to repair; `SOAK_FILES` asks for others.
const TORN: usize = 200;

/// Longest wait for all of them, on any machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// What a killed node leaves of a segment, its name without identity, and what its row says.
async fn torn_segment() -> (Vec<u8>, catalog::SegmentRow, Bytes) {
    let house = House::new().await;
    let archive = house.open();
    let recorder = house.recorder(&archive);
    let (mut camera, start) = Camera::start(NOON_US);
    camera.frame_bytes = 4_000;
    push_all(&recorder, start).await;
    push_all(&recorder, camera.film_until(NOON_US + 4 * S)).await;
    archive.flush().await;
    let row = house.rows().await.remove(0);
    let init = house.catalog.init(&row.init_hash).await.unwrap().unwrap();
    let mut bytes = house.read(&house.spool_files()[0]);
    // A fragment that was being filled.
    bytes.extend_from_slice(b"\0\0\x02\0moof\0\0\0\x10mfhd\0\0\0\0");
    drop(archive);
    (bytes, row, init)
}

async fn new_channel(catalog: &Catalog, name: String) -> Uuid {
    catalog.create_channel(NewChannel { court_id: None, name, source: Source::Push }).await.unwrap().0.id
}

/// Lays torn files of as many channels, with their rows.
async fn lay_torn(catalog: &Catalog, spool: &Path, count: usize) -> Vec<NewSegment> {
    let (bytes, row, init) = torn_segment().await;
    catalog.put_init(&row.init_hash, &init).await.unwrap();
    let mut laid = Vec::new();
    for number in 0..count {
        let channel_id = new_channel(catalog, format!("torn {number}")).await;
        let new = NewSegment {
            id: Uuid::now_v7(),
            channel_id,
            session_id: Uuid::now_v7(),
            start_us: NOON_US,
            object_name: format!("club/court/{channel_id}/2025/11/24/120000Z-torn.mp4"),
            init_hash: row.init_hash.clone(),
        };
        catalog.insert_segment(new.clone()).await.unwrap();
        let folder = spool.join(channel_id.to_string());
        std::fs::create_dir_all(&folder).unwrap();
        let name = format!("{}~{}~{NOON_US}~club~court.mp4.part", new.id, new.session_id);
        std::fs::write(folder.join(name), &bytes).unwrap();
        laid.push(new);
    }
    laid
}

#[tokio::test(flavor = "multi_thread")]
async fn hundreds_of_torn_segments_are_repaired_while_new_recording_runs() {
    let count = std::env::var("SOAK_FILES").map_or(TORN, |text| text.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let catalog =
        Catalog::open(&format!("sqlite:{}", folder.path().join("turepe.db").display())).await.unwrap();
    let config = ArchiveConfig::new(folder.path().join("spool"), folder.path().join("store"));
    let laid = lay_torn(&catalog, &config.spool, count).await;
    let live_id = new_channel(&catalog, "live".into()).await;

    let begun = Instant::now();
    let archive =
        Archive::open(config.clone(), Arc::new(SystemDisk), Arc::new(SystemClock), catalog.clone()).unwrap();
    // A camera films ten times faster than time passes, and nobody waits for the disk on its behalf.
    let recorder = archive.recorder(RecorderTarget { channel_id: live_id, prefix: "club/court".into() });
    let start_us = SystemClock.now_us();
    let (mut camera, start) = Camera::start(start_us);
    camera.frame_bytes = 20_000;
    for event in start {
        recorder.push(event).unwrap();
    }
    let (mut fragments, mut longest) = (0, Duration::ZERO);
    let mut tick = tokio::time::interval(Duration::from_millis(50));
    while !archive.status().is_repaired || archive.status().unregistered_segments > 0 {
        tick.tick().await;
        let pushed = Instant::now();
        for event in camera.film_until(camera.now_us() + S / 2) {
            fragments += u32::from(matches!(event, FragmentEvent::Fragment(_)));
            recorder.push(event).expect("no fragment is lost");
        }
        recorder.flush().await;
        longest = longest.max(pushed.elapsed());
        assert!(begun.elapsed() < PATIENCE, "{:?}", archive.status());
    }
    let took = begun.elapsed();
    println!(
        "{count} torn segments repaired in {:.2} s ({:.0} a second); {fragments} fragments recorded meanwhile, \
         the slowest written after {:.1} ms",
        took.as_secs_f64(),
        count as f64 / took.as_secs_f64(),
        longest.as_secs_f64() * 1e3
    );
    assert!(longest < Duration::from_secs(2), "recording was held up: {longest:?}");
    for event in camera.stop(EndCause::Camera) {
        recorder.push(event).unwrap();
    }
    archive.settle().await;

    for new in &laid {
        let row = catalog.segment(new.id).await.unwrap().unwrap();
        assert_eq!(row.state, SegmentState::Sealed);
        assert_eq!((row.session_id, &row.object_name), (new.session_id, &new.object_name));
        // Four seconds, but for what the fragmenter still held back when the node died.
        assert!(row.end_us.unwrap() >= NOON_US + 3 * S, "{row:?}");
        let object = std::fs::read(config.store.join(&row.object_name)).unwrap();
        assert_eq!(object.len() as u64, row.size_bytes);
        assert_eq!(sealed_moov_offset(&object), Some(row.moov_offset));
        let moov = Bytes::copy_from_slice(&object[usize::try_from(row.moov_offset).unwrap()..]);
        assert_eq!(read_moov(&moov).unwrap().end_offset(), row.moov_offset);
        let gaps = catalog.gaps_in_range(new.channel_id, NOON_US, NOON_US + 60 * S).await.unwrap();
        assert_eq!(gaps.len(), 1);
        assert_eq!((gaps[0].start_us, gaps[0].cause), (row.end_us.unwrap(), EndCause::Process));
        let spool = config.spool.join(new.channel_id.to_string());
        assert_eq!(std::fs::read_dir(&spool).unwrap().count(), 0, "nothing is left in the spool");
    }
    let spans = archive.spans(live_id, start_us, start_us + 24 * 3600 * S).await.unwrap();
    assert_eq!(spans.len(), 1, "the new recording has no hole: {spans:?}");
    archive.shutdown().await;
}
