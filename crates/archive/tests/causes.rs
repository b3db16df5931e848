//! Causes of gaps are told as what they were: whatever the disk says, whichever step of noting them fails, and however the
//! process ends.
#![expect(clippy::unwrap_used, reason = "a test says what went wrong by stopping")]

use std::{path::Path, time::Duration};

use media::EndCause;
use turepe_archive::{Archive, Gap, Recorder};
use world::{Fault, FaultRule, Operation};

mod support;
use support::{Camera, House, NOON_US, S, push_all};

/// Nothing here takes as long on any machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Polls, as these things happen in other threads.
async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let is_true = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, is_true).await.is_ok(), "waited in vain for {what}");
}

/// Films a piece from one second after noon to another, and ends it.
async fn film(recorder: &Recorder, from_s: i64, to_s: i64, cause: EndCause) {
    let (mut camera, start) = Camera::start(NOON_US + from_s * S);
    push_all(recorder, start).await;
    push_all(recorder, camera.film_until(NOON_US + to_s * S)).await;
    push_all(recorder, camera.stop(cause)).await;
}

async fn gaps(house: &House, archive: &Archive, to_s: i64) -> Vec<Gap> {
    let to_us = NOON_US + to_s * S;
    archive.gaps(house.channel_id, NOON_US, to_us, to_us).await.unwrap()
}

/// What is said of one second after noon; `None` where it was recorded.
async fn cause_at(house: &House, archive: &Archive, second: i64) -> Option<EndCause> {
    let at_us = NOON_US + second * S;
    let gaps = gaps(house, archive, 3600).await;
    gaps.iter().find(|gap| gap.start_us <= at_us && at_us < gap.end_us).map(|gap| gap.cause)
}

/// Whether the catalog has been told of a cause.
async fn is_noted(house: &House, cause: EndCause) -> bool {
    let rows = house.catalog.gaps_in_range(house.channel_id, NOON_US, i64::MAX).await.unwrap();
    rows.iter().any(|row| row.cause == cause)
}

/// Every operation that changes something on a disk.
const CHANGING: [Operation; 10] = [
    Operation::CreateDir,
    Operation::Create,
    Operation::Append,
    Operation::WriteAt,
    Operation::SyncData,
    Operation::SyncAll,
    Operation::SyncDir,
    Operation::SetLen,
    Operation::Rename,
    Operation::Remove,
];

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_whose_first_append_failed_keeps_the_causes_that_follow() {
    for operation in [Operation::Create, Operation::Append, Operation::SyncData] {
        for fault in [Fault::Io, Fault::NoSpace, Fault::ReadOnly] {
            let mut house = House::new().await;
            let archive = house.open();
            archive.wait_repaired().await;
            let recorder = house.recorder(&archive);
            film(&recorder, 0, 3, EndCause::Network).await;
            archive.settle().await;
            // From now on only the journal knows, and its first append fails.
            house.catalog.close().await.unwrap();
            house.disk.inject(FaultRule::on(operation, fault).path("gaps.journal").times(1));
            let (mut camera, start) = Camera::start(NOON_US + 10 * S);
            push_all(&recorder, start).await;
            push_all(&recorder, camera.film_until(NOON_US + 13 * S)).await;
            recorder.flush().await;
            until("what is written to be durable", async || archive.status().unsynced_bytes == 0).await;
            push_all(&recorder, camera.stop(EndCause::Camera)).await;
            let journal = Path::new("/data/spool/gaps.journal");
            until("the cause in the journal", async || {
                let bytes = house.disk.bytes(journal).unwrap_or_default();
                String::from_utf8(bytes).unwrap().contains("camera .\n")
            })
            .await;
            house.disk.heal();
            // A kill: nothing is told to anybody any more.
            drop((archive, recorder));
            house.move_in().await;
            let archive = house.open();
            archive.wait_repaired().await;
            let recorder = house.recorder(&archive);
            film(&recorder, 30, 33, EndCause::Camera).await;
            archive.settle().await;
            let what = format!("{operation:?} {fault:?}");
            assert_eq!(cause_at(&house, &archive, 5).await, Some(EndCause::Network), "{what}");
            assert_eq!(cause_at(&house, &archive, 20).await, Some(EndCause::Camera), "{what}");
            archive.shutdown().await;
        }
    }
}

/// The disk refuses everything in some way, and nothing on it can say so: not the journal. The catalog, which is elsewhere, does.
async fn refused_and_killed(fault: Fault, is_closed: bool) {
    let what = format!("{fault:?}, closed {is_closed}");
    let house = House::new().await;
    let archive = house.open();
    archive.wait_repaired().await;
    let recorder = house.recorder(&archive);
    film(&recorder, 0, 3, EndCause::Network).await;
    archive.settle().await;
    let (mut camera, start) = Camera::start(NOON_US + 10 * S);
    push_all(&recorder, start).await;
    push_all(&recorder, camera.film_until(NOON_US + 13 * S)).await;
    recorder.flush().await;
    for operation in CHANGING {
        house.disk.inject(FaultRule::on(operation, fault).path("/data"));
    }
    house.clock.set(NOON_US + 13 * S);
    push_all(&recorder, camera.film_until(NOON_US + 20 * S)).await;
    if is_closed {
        // What the publisher does then changes nothing about why there is no picture.
        push_all(&recorder, camera.stop(EndCause::Network)).await;
    }
    until("the cause in the catalog", async || is_noted(&house, EndCause::Disk).await).await;
    // A kill, and the disk is mounted anew.
    drop((archive, recorder));
    house.disk.heal();
    let archive = house.open();
    archive.wait_repaired().await;
    let recorder = house.recorder(&archive);
    film(&recorder, 60, 63, EndCause::Camera).await;
    archive.settle().await;
    assert_eq!(cause_at(&house, &archive, 5).await, Some(EndCause::Network), "{what}");
    assert_eq!(cause_at(&house, &archive, 11).await, None, "{what}");
    assert_eq!(cause_at(&house, &archive, 17).await, Some(EndCause::Disk), "{what}");
    assert_eq!(cause_at(&house, &archive, 40).await, Some(EndCause::Disk), "{what}");
    archive.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_refused_before_a_kill_is_the_cause_after_it() {
    for fault in [Fault::ReadOnly, Fault::Io, Fault::NoSpace, Fault::Denied] {
        for is_closed in [false, true] {
            refused_and_killed(fault, is_closed).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_outrun_by_the_disk_is_told_as_that_even_where_it_hangs_to_the_end() {
    for is_killed in [false, true] {
        let house = House::new().await;
        let archive = house.open();
        archive.wait_repaired().await;
        let recorder = house.recorder(&archive);
        film(&recorder, 0, 3, EndCause::Network).await;
        archive.settle().await;
        let (mut camera, start) = Camera::start(NOON_US + 10 * S);
        camera.frame_bytes = 40_000;
        push_all(&recorder, start).await;
        push_all(&recorder, camera.film_until(NOON_US + 12 * S)).await;
        recorder.flush().await;
        until("what is written to be durable", async || archive.status().unsynced_bytes == 0).await;
        // Nothing is refused, nothing is done: not even the journal is written to.
        house.disk.inject(FaultRule::on(Operation::Append, Fault::Held));
        let mut until_s = 12;
        let mut is_full = false;
        while !is_full {
            until_s += 1;
            assert!(until_s < 100, "the queue has a limit");
            for event in camera.film_until(NOON_US + until_s * S) {
                is_full |= recorder.push(event).is_err();
            }
        }
        // Then its connection is lost as well.
        for event in camera.stop(EndCause::Network) {
            let _ = recorder.push(event);
        }
        until("the cause in the catalog", async || is_noted(&house, EndCause::Disk).await).await;
        if is_killed {
            drop((archive, recorder));
            house.disk.crash();
            house.disk.heal();
            let archive = house.open();
            archive.wait_repaired().await;
            let recorder = house.recorder(&archive);
            film(&recorder, 200, 203, EndCause::Camera).await;
            archive.settle().await;
            assert_eq!(cause_at(&house, &archive, 11).await, None);
            assert_eq!(cause_at(&house, &archive, until_s + 50).await, Some(EndCause::Disk));
        } else {
            house.disk.heal();
            recorder.flush().await;
            film(&recorder, 200, 203, EndCause::Camera).await;
            archive.settle().await;
            assert_eq!(cause_at(&house, &archive, 15).await, None, "what waited was written");
            assert_eq!(cause_at(&house, &archive, until_s + 50).await, Some(EndCause::Disk));
            archive.shutdown().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_fails_once_at_any_step_leaves_no_cause_out() {
    for operation in CHANGING {
        for fault in [Fault::Io, Fault::NoSpace, Fault::ReadOnly] {
            for after in [0, 1, 2] {
                let what = format!("{operation:?} {fault:?} after {after}");
                let house = House::new().await;
                let archive = house.open();
                archive.wait_repaired().await;
                let recorder = house.recorder(&archive);
                house.disk.inject(FaultRule::on(operation, fault).path("/data").after(after).times(1));
                for (from_s, to_s) in [(0, 6), (20, 26), (40, 46)] {
                    film(&recorder, from_s, to_s, EndCause::Camera).await;
                    archive.settle().await;
                    house.clock.set(NOON_US + (to_s + 10) * S);
                }
                let found = gaps(&house, &archive, 46).await;
                let may = |cause| matches!(cause, EndCause::Camera | EndCause::Disk);
                assert!(found.iter().all(|gap| may(gap.cause)), "{what}: {found:?}");
                assert!(cause_at(&house, &archive, 33).await.is_some(), "{what}: {found:?}");
                archive.shutdown().await;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn time_that_leaps_inside_a_session_is_told_as_that() {
    use media::fragmenter::FragmentEvent;
    for leap_s in [7, 3_000] {
        let house = House::new().await;
        let archive = house.open();
        let recorder = house.recorder(&archive);
        let (mut camera, start) = Camera::start(NOON_US);
        push_all(&recorder, start).await;
        push_all(&recorder, camera.film_until(NOON_US + 3 * S)).await;
        let later: Vec<_> = camera
            .film_until(NOON_US + 6 * S)
            .into_iter()
            .map(|event| match event {
                FragmentEvent::Fragment(fragment) => {
                    let mut fragment = (*fragment).clone();
                    fragment.start_us += leap_s * S;
                    FragmentEvent::Fragment(fragment.into())
                }
                other => other,
            })
            .collect();
        push_all(&recorder, later).await;
        archive.flush().await;
        let leapt = archive.gaps(house.channel_id, NOON_US, NOON_US + (leap_s + 4) * S, i64::MAX).await;
        let causes: Vec<_> = leapt.unwrap().iter().map(|gap| gap.cause).collect();
        archive.settle().await;
        assert!(is_noted(&house, EndCause::Clock).await, "{causes:?}");
        archive.shutdown().await;
    }
}
