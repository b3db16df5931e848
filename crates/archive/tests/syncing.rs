//! Group commit over many channels: what a tick asks of the disk, and what a disk that fails or hangs does to it.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::{
    collections::BTreeMap,
    path::PathBuf,
    time::{Duration, Instant},
};

use catalog::{NewChannel, Source};
use media::EndCause;
use support::{Camera, House, NOON_US, S, push_all};
use turepe_archive::{Archive, ArchiveStatus, Recorder, RecorderTarget, limits::MAX_FILE_SYNCS};
use uuid::Uuid;
use world::{Disk as _, Fault, FaultRule, Operation};

const CHANNELS: usize = 4 * MAX_FILE_SYNCS;

/// One channel that is being recorded.
struct Filming {
    channel_id: Uuid,
    recorder: Recorder,
    camera: Camera,
}

/// Begins to record on many channels.
async fn begin(house: &House, archive: &Archive) -> Vec<Filming> {
    let mut filming = Vec::new();
    for number in 0..CHANNELS {
        let new = NewChannel { court_id: None, name: format!("c{number}"), source: Source::Push };
        let (channel, _) = house.catalog.create_channel(new).await.unwrap();
        let recorder =
            archive.recorder(RecorderTarget { channel_id: channel.id, prefix: "club/court".into() });
        let (camera, start) = Camera::start(NOON_US);
        push_all(&recorder, start).await;
        filming.push(Filming { channel_id: channel.id, recorder, camera });
    }
    filming
}

async fn film_until(filming: &mut [Filming], until_us: i64) {
    for one in filming {
        push_all(&one.recorder, one.camera.film_until(until_us)).await;
    }
}

async fn stop(filming: Vec<Filming>) {
    for one in filming {
        push_all(&one.recorder, one.camera.stop(EndCause::Camera)).await;
    }
}

async fn wait_for(archive: &Archive, is_so: impl Fn(ArchiveStatus) -> bool) -> ArchiveStatus {
    let started = Instant::now();
    loop {
        let status = archive.status();
        if is_so(status) {
            return status;
        }
        assert!(started.elapsed() < Duration::from_secs(20), "{status:?}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// The segments that grow; the journal of gaps beside them has a sync of its own.
fn spool(house: &House) -> BTreeMap<PathBuf, Vec<u8>> {
    let files = house.disk.files().into_iter().filter(|path| {
        path.starts_with(&house.config.spool) && path.extension().is_some_and(|extension| extension == "part")
    });
    files.map(|path| (path.clone(), house.disk.bytes(&path).unwrap())).collect()
}

/// Ends the archive as a power cut does, and what the spool holds before and after it.
fn cut_power(
    house: &House,
    archive: Archive,
    filming: Vec<Filming>,
) -> (BTreeMap<PathBuf, Vec<u8>>, BTreeMap<PathBuf, Vec<u8>>) {
    let before = spool(house);
    std::mem::forget(filming);
    house.disk.cut_power_at(house.disk.operations());
    drop(archive);
    house.disk.crash();
    (before, spool(house))
}

/// Frigate #7297, and one `fsync` per channel and second that makes a disk slow in the first place.
#[tokio::test(flavor = "multi_thread")]
async fn many_channels_are_synced_by_one_call_a_tick() {
    let mut house = House::new().await;
    house.config.sync_us = 200_000;
    let archive = house.open();
    let mut filming = begin(&house, &archive).await;
    film_until(&mut filming, NOON_US + 2 * S).await;
    archive.flush().await;
    let status = wait_for(&archive, |status| status.unsynced_bytes == 0).await;
    assert!(status.syncs.volumes >= 1, "{status:?}");
    assert!(status.syncs.files < CHANNELS as u64, "not one by one: {status:?}");
    assert!(status.syncs.folders <= status.syncs.files, "{status:?}");
    let (before, after) = cut_power(&house, archive, filming);
    assert_eq!(before.len(), CHANNELS);
    assert_eq!(before, after, "what was synced outlives a power cut, names and bytes");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_few_channels_are_synced_one_by_one() {
    let house = House::new().await;
    let archive = house.open();
    let mut filming = begin(&house, &archive).await;
    filming.truncate(MAX_FILE_SYNCS);
    film_until(&mut filming, NOON_US + 2 * S).await;
    archive.flush().await;
    let status = wait_for(&archive, |status| status.unsynced_bytes == 0).await;
    assert_eq!(status.syncs.volumes, 0, "strangers' bytes are not flushed for a few files: {status:?}");
    assert_eq!(status.syncs.folders, MAX_FILE_SYNCS as u64, "each name once: {status:?}");
    let (before, after) = cut_power(&house, archive, filming);
    assert_eq!(before, after);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_system_that_cannot_be_synced_as_one_is_synced_file_by_file() {
    let house = House::new().await;
    house.disk.create_dir_all(&house.config.spool).unwrap();
    house.disk.inject(FaultRule::on(Operation::Open, Fault::Denied).path("spool").times(1));
    let archive = house.open();
    house.disk.heal();
    let mut filming = begin(&house, &archive).await;
    film_until(&mut filming, NOON_US + 2 * S).await;
    archive.flush().await;
    let status = wait_for(&archive, |status| status.unsynced_bytes == 0).await;
    assert_eq!(status.syncs.volumes, 0, "{status:?}");
    assert!(status.syncs.files >= CHANNELS as u64, "{status:?}");
    let (before, after) = cut_power(&house, archive, filming);
    assert_eq!(before, after);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_sync_of_all_costs_only_the_segment_that_is_hit() {
    let mut house = House::new().await;
    house.config.sync_us = 200_000;
    let archive = house.open();
    let mut filming = begin(&house, &archive).await;
    let hit = filming[3].channel_id;
    house.disk.inject(FaultRule::on(Operation::SyncData, Fault::Io).path(&hit.to_string()).times(1));
    film_until(&mut filming, NOON_US + 2 * S).await;
    wait_for(&archive, |status| status.sync_failures > 0).await;
    film_until(&mut filming, NOON_US + 3 * S).await;
    archive.flush().await;
    house.clock.advance(10 * S);
    film_until(&mut filming, NOON_US + 4_500_000).await;
    let channels: Vec<Uuid> = filming.iter().map(|one| one.channel_id).collect();
    stop(filming).await;
    archive.settle().await;
    let status = archive.status();
    assert!(status.syncs.volumes >= 1, "{status:?}");
    assert_eq!(status.sync_failures, 1, "{status:?}");
    drop(archive);
    house.disk.crash();
    for channel_id in channels {
        let rows = house.catalog.segments_in_range(channel_id, NOON_US, NOON_US + 60 * S).await.unwrap();
        assert_eq!(rows.len(), if channel_id == hit { 2 } else { 1 });
        for row in rows {
            let object = house.object(&row);
            assert_eq!(object.len() as u64, row.size_bytes);
            let scan = media::mp4::reader::TailScanner::run(object.len() as u64, |want| {
                let start = usize::try_from(want.offset).unwrap();
                Ok::<_, ()>(object[start..start + usize::try_from(want.len).unwrap()].to_vec())
            });
            assert!(scan.unwrap().unwrap().is_sealed);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_that_fails_leaves_every_file_to_its_own_sync() {
    let house = House::new().await;
    let archive = house.open();
    house.disk.inject(FaultRule::on(Operation::SyncAll, Fault::Io));
    let mut filming = begin(&house, &archive).await;
    for second in 1..4 {
        film_until(&mut filming, NOON_US + second * S).await;
        archive.flush().await;
        wait_for(&archive, |status| status.unsynced_bytes == 0).await;
    }
    let status = archive.status();
    assert_eq!(status.sync_failures, 0, "{status:?}");
    let (before, after) = cut_power(&house, archive, filming);
    assert_eq!(before, after);
}

/// Frigate #7297: a disk that hangs in a sync holds up neither writing nor reading, and ticks do not pile up behind it.
#[tokio::test(flavor = "multi_thread")]
async fn a_sync_that_hangs_holds_up_nothing() {
    let mut house = House::new().await;
    house.config.segment_us = 3600 * S;
    let archive = house.open();
    house.disk.inject(FaultRule::on(Operation::SyncAll, Fault::Held));
    let mut filming = begin(&house, &archive).await;
    let mut second = 1;
    film_until(&mut filming, NOON_US + second * S).await;
    while house.disk.held() == 0 {
        second += 1;
        film_until(&mut filming, NOON_US + second * S).await;
        archive.flush().await;
    }
    // Many intervals long.
    let hung = Instant::now();
    while hung.elapsed() < Duration::from_millis(400) {
        second += 1;
        film_until(&mut filming, NOON_US + second * S).await;
        archive.flush().await;
        assert_eq!(house.disk.held(), 1, "the next tick waits for this one");
    }
    let status = archive.status();
    assert_eq!(status.syncs.volumes, 0, "{status:?}");
    assert!(status.unsynced_bytes > 0 && status.queued_bytes == 0, "{status:?}");
    let views = archive.views(filming[0].channel_id, NOON_US, NOON_US + 3600 * S).await.unwrap();
    assert!(views.last().unwrap().end_us > NOON_US + (second - 2) * S, "what is written is seen at once");
    house.disk.heal();
    let status = wait_for(&archive, |status| status.unsynced_bytes == 0).await;
    assert!((2..=4).contains(&status.syncs.volumes), "one tick for all that waited: {status:?}");
    assert!(status.syncs.slowest_us > 300_000, "{status:?}");
    let (before, after) = cut_power(&house, archive, filming);
    assert_eq!(before, after);
}
