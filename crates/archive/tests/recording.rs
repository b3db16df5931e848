//! What is recorded: segments, sessions, gaps, and what a slow or full disk does to them.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use catalog::SegmentState;
use media::{EndCause, fragmenter::FragmentEvent};
use support::{Camera, House, NOON_US, S, push_all};
use turepe_archive::{self as archive, Gap};
use world::{Disk as _, Fault, FaultRule, Operation};

fn times(rows: &[catalog::SegmentRow]) -> Vec<(i64, i64)> {
    rows.iter().map(|row| ((row.start_us - NOON_US) / 1000, (row.end_us.unwrap() - NOON_US) / 1000)).collect()
}

fn gaps(gaps: &[Gap]) -> Vec<(i64, i64, EndCause)> {
    gaps.iter()
        .map(|gap| ((gap.start_us - NOON_US) / 1000, (gap.end_us - NOON_US) / 1000, gap.cause))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn segments_are_cut_at_the_wall_clock() {
    let house = House::new().await;
    let archive = house.open();
    let recorder = house.recorder(&archive);
    // Keyframes every second, off the grid by 300 ms.
    let (mut camera, start) = Camera::start(NOON_US + 2_300_000);
    push_all(&recorder, start).await;
    push_all(&recorder, camera.film_until(NOON_US + 12 * S)).await;
    push_all(&recorder, camera.stop(EndCause::Camera)).await;
    archive.settle().await;
    let rows = house.rows().await;
    assert_eq!(times(&rows), [(2300, 5300), (5300, 10_300), (10_300, 12_020)]);
    assert!(rows.iter().all(|row| row.state == SegmentState::Sealed && row.session_id == rows[0].session_id));
    for row in &rows {
        let object = house.object(row);
        assert_eq!(object.len() as u64, row.size_bytes);
        assert_eq!(media::mp4::reader::sealed_moov_offset(&object), Some(row.moov_offset));
        assert!(row.object_name.starts_with(&format!("club/court/{}/2025/11/24/1200", house.channel_id)));
        assert!(house.catalog.init(&row.init_hash).await.unwrap().is_some());
    }
    assert_eq!(house.spool_files(), Vec::<std::path::PathBuf>::new());
    let spans = archive.spans(house.channel_id, NOON_US, NOON_US + 60 * S).await.unwrap();
    assert_eq!(spans, [(NOON_US + 2_300_000, NOON_US + 12_020_000)]);
}

/// SRS #1787: after a reconnect segments no longer follow the wall clock. Frigate #3122, Moonfire #302: after a camera drop
/// recording never resumes, or shatters into shards.
#[tokio::test(flavor = "multi_thread")]
async fn after_a_reconnect_segments_are_cut_on_the_same_grid() {
    let house = House::new().await;
    let archive = house.open();
    for (from_us, to_us, cause) in
        [(1_300_000, 3_100_000, EndCause::Network), (7_700_000, 21_220_000, EndCause::Camera)]
    {
        let recorder = house.recorder(&archive);
        let (mut camera, start) = Camera::start(NOON_US + from_us);
        push_all(&recorder, start).await;
        push_all(&recorder, camera.film_until(NOON_US + to_us)).await;
        push_all(&recorder, camera.stop(cause)).await;
    }
    archive.settle().await;
    let expected = [(1300, 3100), (7700, 10_700), (10_700, 15_700), (15_700, 20_700), (20_700, 21_220)];
    assert_eq!(times(&house.rows().await), expected);
    let found =
        archive.gaps(house.channel_id, NOON_US + 2 * S, NOON_US + 21 * S, NOON_US + 60 * S).await.unwrap();
    assert_eq!(gaps(&found), [(3100, 7700, EndCause::Network)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_segment_belongs_to_one_session() {
    let house = House::new().await;
    let archive = house.open();
    let recorder = house.recorder(&archive);
    let (mut camera, start) = Camera::start(NOON_US);
    push_all(&recorder, start).await;
    push_all(&recorder, camera.film_until(NOON_US + 2 * S)).await;
    push_all(&recorder, camera.stop(EndCause::Network)).await;
    drop(recorder);
    // The next publisher has a recorder of its own.
    let recorder = house.recorder(&archive);
    let (mut camera, start) = Camera::start(NOON_US + 3 * S);
    push_all(&recorder, start).await;
    push_all(&recorder, camera.film_until(NOON_US + 4 * S)).await;
    push_all(&recorder, camera.stop(EndCause::Camera)).await;
    archive.settle().await;
    let rows = house.rows().await;
    assert_eq!(times(&rows), [(0, 2000), (3000, 4000)]);
    assert_ne!(rows[0].session_id, rows[1].session_id);
    let found =
        archive.gaps(house.channel_id, NOON_US - 5 * S, NOON_US + 9 * S, NOON_US + 6 * S).await.unwrap();
    let expected =
        [(-5000, 0, EndCause::Camera), (2000, 3000, EndCause::Network), (4000, 6000, EndCause::Camera)];
    // The channel of this test was made after the recording's simulated time: before it nothing is known.
    assert_eq!(gaps(&found)[1..], expected[1..]);
    assert_eq!((found[0].start_us, found[0].end_us), (NOON_US - 5 * S, NOON_US));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_edge_of_a_running_recording_is_no_gap() {
    let house = House::new().await;
    let archive = house.open();
    let recorder = house.recorder(&archive);
    let (mut camera, start) = Camera::start(NOON_US);
    push_all(&recorder, start).await;
    push_all(&recorder, camera.film_until(NOON_US + 3 * S)).await;
    archive.flush().await;
    assert!(archive.is_recording(house.channel_id));
    assert_eq!(archive.gaps(house.channel_id, NOON_US, NOON_US + 9 * S, NOON_US + 4 * S).await.unwrap(), []);
    let views = archive.views(house.channel_id, NOON_US, NOON_US + 9 * S).await.unwrap();
    assert_eq!(views.len(), 1);
    assert!(views[0].is_growing);
    assert_eq!(views[0].size_bytes, views[0].index.end_bytes());
    push_all(&recorder, camera.stop(EndCause::Camera)).await;
    archive.settle().await;
    let found = archive.gaps(house.channel_id, NOON_US, NOON_US + 9 * S, NOON_US + 4 * S).await.unwrap();
    assert_eq!(gaps(&found), [(3000, 4000, EndCause::Camera)]);
}

/// Frigate #7297: a slow disk or NAS discards footage without a word.
#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_does_not_keep_up_leaves_a_gap_and_never_blocks() {
    let mut house = House::new().await;
    house.config.segment_us = 60 * S;
    let archive = house.open();
    let recorder = house.recorder(&archive);
    let (mut camera, start) = Camera::start(NOON_US);
    camera.frame_bytes = 100_000;
    push_all(&recorder, start).await;
    push_all(&recorder, camera.film_until(NOON_US + 2 * S)).await;
    archive.flush().await;
    house.disk.inject(FaultRule::on(Operation::Append, Fault::Held));
    // 2.5 MB a second: the queue holds three seconds of it.
    let refused =
        camera.film_until(NOON_US + 10 * S).into_iter().filter(|event| recorder.push(event.clone()).is_err());
    assert!(refused.count() > 8);
    assert!(archive.status().queued_bytes <= archive::limits::CHANNEL_QUEUE_BYTES + 2_000_000);
    house.disk.heal();
    archive.flush().await;
    for event in camera.film_until(NOON_US + 12 * S).into_iter().chain(camera.stop(EndCause::Camera)) {
        // What the camera still held back from before the keyframe at 10 s is of no use.
        let is_useful =
            !matches!(&event, FragmentEvent::Fragment(fragment) if fragment.start_us < NOON_US + 10 * S);
        assert_eq!(recorder.push(event).is_ok(), is_useful);
        archive.flush().await;
    }
    archive.settle().await;
    let rows = house.rows().await;
    assert_eq!(rows.len(), 2, "{:?}", times(&rows));
    assert_eq!(rows[0].session_id, rows[1].session_id);
    assert!(rows[0].end_us.unwrap() > NOON_US + 4 * S);
    assert_eq!(times(&rows)[1], (10_000, 12_000));
    let found = archive.gaps(house.channel_id, NOON_US, NOON_US + 12 * S, NOON_US + 12 * S).await.unwrap();
    assert_eq!(
        found,
        [Gap { start_us: rows[0].end_us.unwrap(), end_us: NOON_US + 10 * S, cause: EndCause::Disk }]
    );
    assert_eq!(archive.status().queued_bytes, 0);
}

/// MediaMTX #3631, ZoneMinder #914, SRS #1632: a full disk stops the recorder for good, or corrupts what it had.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_keeps_what_there_is_and_goes_on_when_there_is_room() {
    let house = House::new().await;
    let archive = house.open();
    let recorder = house.recorder(&archive);
    let (mut camera, start) = Camera::start(NOON_US);
    push_all(&recorder, start).await;
    push_all(&recorder, camera.film_until(NOON_US + 3 * S)).await;
    archive.flush().await;
    // Torn in the middle of a fragment, then nothing but refusals.
    house.disk.inject(FaultRule::on(Operation::Append, Fault::TornWrite(700)).times(1));
    house.disk.inject(FaultRule::on(Operation::Create, Fault::NoSpace));
    push_all(&recorder, camera.film_until(NOON_US + 6 * S)).await;
    archive.flush().await;
    house.disk.heal();
    // Not tried again before its time.
    house.clock.advance(2 * S);
    push_all(&recorder, camera.film_until(NOON_US + 8 * S)).await;
    archive.flush().await;
    house.clock.advance(10 * S);
    push_all(&recorder, camera.film_until(NOON_US + 12 * S)).await;
    push_all(&recorder, camera.stop(EndCause::Camera)).await;
    archive.settle().await;
    let rows = house.rows().await;
    assert_eq!(times(&rows)[1..], [(8000, 10_000), (10_000, 12_000)]);
    let found = archive.gaps(house.channel_id, NOON_US, NOON_US + 12 * S, NOON_US + 12 * S).await.unwrap();
    assert_eq!(
        found,
        [Gap { start_us: rows[0].end_us.unwrap(), end_us: NOON_US + 8 * S, cause: EndCause::Disk }]
    );
    for row in &rows {
        let object = house.object(row);
        let moov = bytes::Bytes::copy_from_slice(&object[usize::try_from(row.moov_offset).unwrap()..]);
        assert_eq!(media::mp4::reader::read_moov(&moov).unwrap().end_offset(), row.moov_offset);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_sync_ends_the_segment_and_its_bytes_are_copied() {
    let house = House::new().await;
    let archive = house.open();
    let recorder = house.recorder(&archive);
    let (mut camera, start) = Camera::start(NOON_US);
    house.disk.inject(FaultRule::on(Operation::SyncData, Fault::Io).path(".part").times(1));
    push_all(&recorder, start).await;
    push_all(&recorder, camera.film_until(NOON_US + 2 * S)).await;
    while archive.status().sync_failures == 0 {
        tokio::task::yield_now().await;
    }
    push_all(&recorder, camera.film_until(NOON_US + 4 * S)).await;
    archive.flush().await;
    house.clock.advance(10 * S);
    push_all(&recorder, camera.film_until(NOON_US + 4_500_000)).await;
    push_all(&recorder, camera.stop(EndCause::Camera)).await;
    archive.settle().await;
    drop(archive);
    house.disk.crash();
    let rows = house.rows().await;
    assert_eq!(rows.len(), 2, "{:?}", times(&rows));
    for row in &rows {
        let object = house.object(row);
        assert_eq!(object.len() as u64, row.size_bytes);
        let scan = media::mp4::reader::TailScanner::run(object.len() as u64, |want| {
            let start = usize::try_from(want.offset).unwrap();
            Ok::<_, ()>(object[start..start + usize::try_from(want.len).unwrap()].to_vec())
        });
        let scan = scan.unwrap().unwrap();
        assert!(scan.is_sealed);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_seals_everything_in_time() {
    let house = House::new().await;
    let archive = house.open();
    let mut recorders = Vec::new();
    for number in 0..20 {
        let channel =
            catalog::NewChannel { court_id: None, name: format!("c{number}"), source: catalog::Source::Push };
        let (channel, _) = house.catalog.create_channel(channel).await.unwrap();
        let target = archive::RecorderTarget { channel_id: channel.id, prefix: "club/court".into() };
        let recorder = archive.recorder(target);
        let (mut camera, start) = Camera::start(NOON_US);
        push_all(&recorder, start).await;
        push_all(&recorder, camera.film_until(NOON_US + 4 * S)).await;
        recorders.push((recorder, camera));
    }
    let started = std::time::Instant::now();
    archive.shutdown().await;
    assert!(started.elapsed().as_millis() < 2_000, "{:?}", started.elapsed());
    for (recorder, mut camera) in recorders {
        let event = camera.film_until(NOON_US + 6 * S).remove(0);
        assert!(matches!(event, FragmentEvent::Fragment(_)));
        recorder.push(event).unwrap_err();
    }
    // Nobody waits for a writer that is gone.
    let late = house.recorder(&archive);
    let (_, start) = Camera::start(NOON_US);
    late.push(start[0].clone()).unwrap_err();
    archive.flush().await;
    assert_eq!(house.catalog.growing_segments().await.unwrap(), []);
    let channels = house.catalog.channels().await.unwrap();
    for channel in channels.iter().filter(|channel| channel.id != house.channel_id) {
        let rows = house.catalog.segments_in_range(channel.id, NOON_US, NOON_US + 60 * S).await.unwrap();
        assert_eq!(rows.len(), 1);
        let end_us = rows[0].end_us.unwrap();
        let gaps = house.catalog.gaps_in_range(channel.id, NOON_US, NOON_US + 60 * S).await.unwrap();
        assert_eq!(gaps, [catalog::GapRow { start_us: end_us, end_us: None, cause: EndCause::Process }]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_channel_costs_nobody_its_footage() {
    let house = House::new().await;
    let archive = house.open();
    let channel_id = uuid::Uuid::now_v7();
    let recorder = archive.recorder(archive::RecorderTarget { channel_id, prefix: "club/court".into() });
    let (mut camera, start) = Camera::start(NOON_US);
    push_all(&recorder, start).await;
    push_all(&recorder, camera.film_until(NOON_US + 2 * S)).await;
    push_all(&recorder, camera.stop(EndCause::Camera)).await;
    archive.flush().await;
    let quarantine = house.config.spool.join("quarantine").join(channel_id.to_string());
    let started = std::time::Instant::now();
    while house.disk.list(&quarantine).unwrap_or_default().is_empty() {
        assert!(started.elapsed().as_secs() < 10);
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_camera_without_keyframes_is_recorded_for_hours_and_cut_soon_after_each_quarter() {
    const QUARTER: i64 = 900 * S;
    // One keyframe for ever, and one every 40 minutes: more than two hours, the longest that a segment may be.
    for frames_per_gop in [i64::MAX, 40 * 60 * 25] {
        let mut house = House::new().await;
        house.config.segment_us = QUARTER;
        let archive = house.open();
        let recorder = house.recorder(&archive);
        let (mut camera, start) = Camera::start(NOON_US + 7 * S);
        (camera.frames_per_gop, camera.frame_bytes) = (frames_per_gop, 16);
        push_all(&recorder, start).await;
        let end_us = NOON_US + 135 * 60 * S;
        while camera.now_us() < end_us {
            let until_us = (camera.now_us() + 60 * S).min(end_us);
            push_all(&recorder, camera.film_until(until_us)).await;
        }
        archive.settle().await;
        // Ten seconds more than two hours after the only keyframe.
        let from_us = NOON_US + 125 * 60 * S;
        let download = archive.cut(house.channel_id, from_us, from_us + 10 * S).await.unwrap();
        assert!((download.cut.start_us - from_us).abs() <= 40_000, "{}", download.cut.start_us - from_us);
        // 25 pictures of 16 bytes and 47 sounds of 24 a second, and their tables: a minute and a half at most.
        assert!(download.len() < 100 * 4_000, "{} bytes", download.len());
        push_all(&recorder, camera.stop(EndCause::Camera)).await;
        archive.settle().await;

        let rows = house.catalog.segments_in_range(house.channel_id, NOON_US, end_us).await.unwrap();
        assert!(rows.len() >= 9, "{:?}", times(&rows));
        for row in &rows {
            let boundary_us = (row.start_us.div_euclid(QUARTER) + 1) * QUARTER;
            let late_us = row.end_us.unwrap() - boundary_us;
            assert!(late_us <= 91 * S, "{late_us} us after its boundary: {:?}", times(&rows));
            assert_eq!(row.state, SegmentState::Sealed);
        }
        let spans = archive.spans(house.channel_id, NOON_US, end_us).await.unwrap();
        assert_eq!(spans, [(NOON_US + 7 * S, end_us)], "nothing is missing");
        // What a player is told: all of it, and a short way to the first frame.
        let views = archive.views(house.channel_id, from_us, end_us).await.unwrap();
        for view in &views {
            let run = view.index.run_for_us(view.start_us, from_us, end_us).unwrap();
            let start_us = view.start_us + media::index::ticks_to_us(run.time_90k.start);
            assert!(from_us - start_us <= 91 * S, "a lead-in of {} s", (from_us - start_us) / S);
        }
    }
}
