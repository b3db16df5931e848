//! Crashes: of the program and of the power, at every step; torn tails at every byte; what does not belong together.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::{io::IoSlice, path::PathBuf, time::Duration};

use bytes::Bytes;
use catalog::{NewSegment, SegmentState};
use media::{
    EndCause,
    fragmenter::FragmentEvent,
    mp4::reader::{TailScanner, read_moov, sealed_moov_offset},
};
use support::{Camera, House, NOON_US, S, push_all};
use tokio::runtime::Runtime;
use turepe_archive::Gap;
use uuid::Uuid;
use world::{Disk, SimulatedDisk};

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// Ends a life without any goodbye: tasks stop where they are.
fn kill(runtime: Runtime) {
    runtime.shutdown_timeout(Duration::from_secs(5));
}

/// Checks what must hold after any repair: nothing grows, every row's object is whole, nothing is left in the spool.
async fn check(house: &House) -> Vec<catalog::SegmentRow> {
    assert_eq!(house.catalog.growing_segments().await.unwrap(), []);
    assert_eq!(house.spool_files(), Vec::<PathBuf>::new());
    let rows = house.rows().await;
    for row in &rows {
        let object = house.object(row);
        assert_eq!(object.len() as u64, row.size_bytes);
        assert_eq!(sealed_moov_offset(&object), Some(row.moov_offset));
        let moov = Bytes::copy_from_slice(&object[usize::try_from(row.moov_offset).unwrap()..]);
        let table = read_moov(&moov).unwrap();
        assert_eq!(table.end_offset(), row.moov_offset);
        let index = house.catalog.segment_indexes(&[row.id]).await.unwrap().remove(0).1;
        assert_eq!(index, table.index().encode());
        assert!((table.index().duration_us() - (row.end_us.unwrap() - row.start_us)).abs() <= 50_000);
    }
    rows
}

#[test]
fn a_killed_program_loses_only_the_fragment_being_filled() {
    let first = runtime();
    let mut house = first.block_on(House::new());
    first.block_on(async {
        let archive = house.open();
        let recorder = house.recorder(&archive);
        let (mut camera, start) = Camera::start(NOON_US);
        push_all(&recorder, start).await;
        push_all(&recorder, camera.film_until(NOON_US + 8 * S)).await;
        archive.flush().await;
        let spans = archive.spans(house.channel_id, NOON_US, NOON_US + 60 * S).await.unwrap();
        assert_eq!(spans.len(), 1);
        assert!(spans[0].1 >= NOON_US + 7_500_000);
        std::mem::forget(recorder);
    });
    kill(first);
    let second = runtime();
    second.block_on(async {
        house.move_in().await;
        let archive = house.open();
        archive.wait_repaired().await;
        archive.settle().await;
        let rows = check(&house).await;
        assert_eq!(rows.len(), 2);
        let end_us = rows[1].end_us.unwrap();
        assert!(end_us >= NOON_US + 7_500_000);
        // Recording goes on: what lies between is the fault of the process.
        let recorder = house.recorder(&archive);
        let (mut camera, start) = Camera::start(NOON_US + 20 * S);
        push_all(&recorder, start).await;
        push_all(&recorder, camera.film_until(NOON_US + 22 * S)).await;
        archive.flush().await;
        archive.settle().await;
        let gaps = archive.gaps(house.channel_id, NOON_US, NOON_US + 21 * S, NOON_US + 60 * S).await.unwrap();
        assert_eq!(gaps, [Gap { start_us: end_us, end_us: NOON_US + 20 * S, cause: EndCause::Process }]);
    });
}

#[test]
fn a_power_cut_at_every_step_leaves_a_recording_that_can_be_repaired() {
    let mut last_operations = u64::MAX;
    for step in 0.. {
        let first = runtime();
        let mut house = first.block_on(House::new());
        house.disk.cut_power_at(step);
        // Where even the folder cannot be made there is nothing to look at.
        let is_opened = first.block_on(async {
            let opened = turepe_archive::Archive::open(
                house.config.clone(),
                std::sync::Arc::new(house.disk.clone()),
                std::sync::Arc::clone(&house.clock) as _,
                house.catalog.clone(),
            );
            let Ok(archive) = opened else { return false };
            let recorder = house.recorder(&archive);
            let (mut camera, start) = Camera::start(NOON_US + 3 * S);
            push_all(&recorder, start).await;
            push_all(&recorder, camera.film_until(NOON_US + 7 * S)).await;
            push_all(&recorder, camera.stop(EndCause::Camera)).await;
            archive.flush().await;
            // Until everything is done, or nothing can be done any more.
            let done = async {
                archive.settle().await;
                archive.wait_repaired().await;
            };
            let dead = async {
                while house.disk.operations() <= step {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            };
            tokio::select! { () = done => {} () = dead => {} }
            true
        });
        kill(first);
        let operations = house.disk.operations();
        let sealed: Vec<_> = runtime().block_on(async {
            house.move_in().await;
            house.rows().await
        });
        let sealed: Vec<_> = sealed.into_iter().filter(|row| row.state == SegmentState::Sealed).collect();
        if step % 2 == 0 {
            house.disk.crash()
        } else {
            house.disk.crash_torn(step)
        }
        if is_opened {
            let second = runtime();
            second.block_on(async {
                house.move_in().await;
                let archive = house.open();
                archive.wait_repaired().await;
                archive.settle().await;
                let rows = check(&house).await;
                for row in &sealed {
                    assert!(rows.contains(row), "step {step}: a sealed row stands for ever");
                }
                if operations <= step {
                    assert_eq!(rows.len(), 2, "step {step}: nothing failed");
                }
            });
        }
        if operations <= step {
            last_operations = operations;
            break;
        }
    }
    assert!(last_operations > 20, "the scenario has steps: {last_operations}");
}

/// A spool file as a killed program leaves it, its name, and the offsets at which its fragments end.
fn torn_file(house: &House, first: Runtime) -> (PathBuf, Vec<u8>, Vec<usize>, catalog::SegmentRow) {
    let row = first.block_on(async {
        let archive = house.open();
        let recorder = house.recorder(&archive);
        let (mut camera, start) = Camera::start(NOON_US);
        camera.frame_bytes = 20;
        push_all(&recorder, start).await;
        push_all(&recorder, camera.film_until(NOON_US + 2 * S)).await;
        archive.flush().await;
        std::mem::forget(recorder);
        loop {
            if let Some(row) = house.rows().await.into_iter().next() {
                break row;
            }
            tokio::task::yield_now().await;
        }
    });
    kill(first);
    let path = house.spool_files().remove(0);
    let bytes = house.read(&path);
    let scan = TailScanner::run(bytes.len() as u64, |want| {
        let start = usize::try_from(want.offset).unwrap();
        Ok::<_, ()>(bytes[start..start + usize::try_from(want.len).unwrap()].to_vec())
    });
    let table = scan.unwrap().unwrap().table;
    let ends =
        table.index().positions().map(|position| usize::try_from(position.end_bytes()).unwrap()).collect();
    (path, bytes, ends, row)
}

fn place(disk: &SimulatedDisk, path: &std::path::Path, bytes: &[u8]) {
    disk.create_dir_all(path.parent().unwrap()).unwrap();
    disk.create_new(path).unwrap().append_vectored(&[IoSlice::new(bytes)]).unwrap();
}

#[test]
fn a_tail_torn_at_any_byte_is_cut_off() {
    let first = runtime();
    let mut house = first.block_on(House::new());
    let (path, mut bytes, ends, row) = torn_file(&house, first);
    assert!(ends.len() >= 3, "{ends:?}");
    // What a crash in the middle of sealing leaves behind the fragments.
    bytes.extend_from_slice(b"\0\0\x10\0moov\0\0\0\x6cmvhd");
    let second = runtime();
    second.block_on(async {
        house.move_in().await;
        for len in 0..=bytes.len() {
            house.disk = SimulatedDisk::new();
            place(&house.disk, &path, &bytes[..len]);
            // With and without the row that belongs to it.
            house.catalog.delete_segment(row.id).await.unwrap();
            if len % 2 == 0 {
                house.catalog.insert_segment(new_segment(&row)).await.unwrap();
            }
            let archive = house.open();
            archive.wait_repaired().await;
            archive.settle().await;
            let whole = ends.iter().filter(|end| **end <= len).count();
            let views = archive.views(house.channel_id, NOON_US, NOON_US + 60 * S).await.unwrap();
            if whole == 0 {
                assert!(views.is_empty(), "{len}");
                assert_eq!(house.rows().await, [], "{len}");
                assert_eq!(house.spool_files(), Vec::<PathBuf>::new());
                continue;
            }
            assert_eq!(views.len(), 1, "{len}");
            assert_eq!(views[0].index.fragments.len(), whole, "{len}");
            assert_eq!(
                (views[0].id, views[0].session_id, views[0].start_us),
                (row.id, row.session_id, row.start_us)
            );
            assert_eq!(views[0].init_hash, row.init_hash);
            if len % 97 == 0 || len == bytes.len() {
                check(&house).await;
            }
        }
    });
}

fn new_segment(row: &catalog::SegmentRow) -> NewSegment {
    NewSegment {
        id: row.id,
        channel_id: row.channel_id,
        session_id: row.session_id,
        start_us: row.start_us,
        object_name: row.object_name.clone(),
        init_hash: row.init_hash.clone(),
    }
}

#[test]
fn what_does_not_belong_together_is_sorted_out() {
    let first = runtime();
    let mut house = first.block_on(House::new());
    let (path, bytes, _, row) = torn_file(&house, first);
    let second = runtime();
    second.block_on(async {
        house.move_in().await;
        // A row without a file.
        house.disk = SimulatedDisk::new();
        let archive = house.open();
        archive.wait_repaired().await;
        assert_eq!(house.rows().await, []);
        drop(archive);

        // Damage from the first byte on, too long for a torn beginning: kept.
        let limit = usize::try_from(turepe_archive::limits::MAX_TORN_FIRST_FRAGMENT_BYTES).unwrap();
        place(&house.disk, &path, &vec![7; limit + 1]);
        house.catalog.insert_segment(new_segment(&row)).await.unwrap();
        let archive = house.open();
        archive.wait_repaired().await;
        assert_eq!(house.rows().await, []);
        assert_eq!(house.spool_files(), Vec::<PathBuf>::new());
        let quarantine = house.config.spool.join("quarantine").join(house.channel_id.to_string());
        let kept = quarantine.join(path.file_name().unwrap());
        assert_eq!(house.read(&kept).len(), limit + 1);
        drop(archive);

        // Sealed and moved into the store, but not yet registered.
        house.disk = SimulatedDisk::new();
        place(&house.disk, &path, &bytes);
        let archive = house.open();
        archive.wait_repaired().await;
        archive.settle().await;
        let sealed = check(&house).await.remove(0);
        drop(archive);
        house.catalog.delete_segment(row.id).await.unwrap();
        house.catalog.insert_segment(new_segment(&sealed)).await.unwrap();
        let archive = house.open();
        archive.wait_repaired().await;
        assert_eq!(check(&house).await, [sealed]);
        drop(archive);

        // Files that are not ours stay as they are; copies in progress go.
        let folder = path.parent().unwrap();
        place(&house.disk, &folder.join("notes.txt"), b"hello");
        place(&house.disk, &folder.join("x.mp4.rescue"), b"half");
        let archive = house.open();
        archive.wait_repaired().await;
        assert_eq!(house.spool_files(), [folder.join("notes.txt")]);
    });
}

#[test]
fn recording_runs_while_the_past_is_repaired() {
    let first = runtime();
    let mut house = first.block_on(House::new());
    let (_, _, _, row) = torn_file(&house, first);
    let second = runtime();
    second.block_on(async {
        house.move_in().await;
        let archive = house.open();
        // At once, before anything can be repaired.
        let recorder = house.recorder(&archive);
        let (mut camera, start) = Camera::start(NOON_US + 30 * S);
        for event in start.into_iter().chain(camera.film_until(NOON_US + 33 * S)) {
            recorder.push(event).unwrap();
        }
        archive.flush().await;
        archive.wait_repaired().await;
        for event in camera.film_until(NOON_US + 34 * S).into_iter().chain(camera.stop(EndCause::Camera)) {
            let is_end = matches!(event, FragmentEvent::SessionEnd { .. });
            recorder.push(event).unwrap();
            if is_end {
                archive.settle().await;
            }
        }
        let rows = check(&house).await;
        assert_eq!(rows.len(), 2);
        assert_eq!(rows[0].id, row.id);
        assert_ne!(rows[1].id, Uuid::nil());
        assert_eq!(rows[1].start_us, NOON_US + 30 * S);
        let gaps = archive.gaps(house.channel_id, NOON_US, NOON_US + 34 * S, NOON_US + 60 * S).await.unwrap();
        let end_us = rows[0].end_us.unwrap();
        assert_eq!(gaps, [Gap { start_us: end_us, end_us: NOON_US + 30 * S, cause: EndCause::Process }]);
    });
}

/// A node that dies again while it repairs: whatever step that hits, the first death keeps its cause in every channel.
#[test]
fn a_crash_in_the_middle_of_a_repair_loses_no_cause() {
    for step in 0.. {
        let first = runtime();
        let mut house = first.block_on(House::new());
        let (path, bytes, _, row) = torn_file(&house, first);
        let second = runtime();
        let other_id = second.block_on(async {
            house.move_in().await;
            lay_another(&house, &path, &bytes, &row).await
        });
        house.disk.cut_power_at(house.disk.operations() + step);
        second.block_on(async {
            let Ok(archive) = turepe_archive::Archive::open(
                house.config.clone(),
                std::sync::Arc::new(house.disk.clone()),
                std::sync::Arc::clone(&house.clock) as _,
                house.catalog.clone(),
            ) else {
                return;
            };
            let dead = async {
                while !house.disk.is_powerless() {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            };
            tokio::select! { () = archive.wait_repaired() => {} () = dead => {} }
        });
        kill(second);
        let is_whole = !house.disk.is_powerless();
        // It is the program that dies, the machine goes on: what was written stands.
        house.disk.restore_power();
        let third = runtime();
        third.block_on(async {
            house.move_in().await;
            let archive = house.open();
            archive.wait_repaired().await;
            archive.settle().await;
            let rows = check(&house).await;
            assert_eq!(rows.len(), 1, "step {step}");
            let gap =
                Gap { start_us: rows[0].end_us.unwrap(), end_us: NOON_US + 60 * S, cause: EndCause::Process };
            for channel_id in [house.channel_id, other_id] {
                let gaps = archive.gaps(channel_id, NOON_US, gap.end_us, gap.end_us).await.unwrap();
                assert_eq!(gaps, [gap], "step {step}");
            }
        });
        kill(third);
        if is_whole {
            assert!(step > 20, "the repair has steps: {step}");
            break;
        }
    }
}

/// The same torn file in another channel, with its row.
async fn lay_another(house: &House, path: &std::path::Path, bytes: &[u8], row: &catalog::SegmentRow) -> Uuid {
    let channel = catalog::NewChannel { court_id: None, name: "other".into(), source: catalog::Source::Push };
    let channel_id = house.catalog.create_channel(channel).await.unwrap().0.id;
    let id = Uuid::now_v7();
    let object_name = row.object_name.replace(&row.id.to_string(), &id.to_string());
    house
        .catalog
        .insert_segment(NewSegment { id, channel_id, object_name, ..new_segment(row) })
        .await
        .unwrap();
    let name = path.file_name().unwrap().to_str().unwrap().replace(&row.id.to_string(), &id.to_string());
    place(&house.disk, &house.config.spool.join(channel_id.to_string()).join(name), bytes);
    channel_id
}

#[test]
fn a_catalog_that_is_away_costs_no_footage() {
    let first = runtime();
    let mut house = first.block_on(House::new());
    first.block_on(async {
        let archive = house.open();
        archive.wait_repaired().await;
        house.catalog.clone().close().await.unwrap();
        let recorder = house.recorder(&archive);
        let (mut camera, start) = Camera::start(NOON_US);
        push_all(&recorder, start).await;
        push_all(&recorder, camera.film_until(NOON_US + 12 * S)).await;
        push_all(&recorder, camera.stop(EndCause::Camera)).await;
        recorder.flush().await;
        // What was pushed is on the disk, whoever does not answer; and a stop is not held up either.
        assert_eq!(house.spool_files().len(), 3);
        let started = std::time::Instant::now();
        archive.shutdown().await;
        assert!(started.elapsed() < Duration::from_secs(2));
    });
    kill(first);
    let second = runtime();
    second.block_on(async {
        house.move_in().await;
        assert_eq!(house.rows().await, []);
        let archive = house.open();
        archive.wait_repaired().await;
        archive.settle().await;
        let rows = check(&house).await;
        assert_eq!(rows.len(), 3);
        let spans = archive.spans(house.channel_id, NOON_US, NOON_US + 60 * S).await.unwrap();
        assert_eq!(spans, [(NOON_US, NOON_US + 12 * S)]);
    });
}
