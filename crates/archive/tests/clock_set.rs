//! The node's clock is set while cameras record: what overlaps is shown once, nothing is overwritten, nothing stands still.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use media::{
    EndCause,
    playlist::{VodSegment, vod},
};
use support::{Camera, House, NOON_US, S, collect, push_all};
use turepe_archive::{AlarmKind, Archive, Gap};
use world::{Fault, FaultRule, Operation};

/// Records a session for each range, in seconds after noon, one behind the other on the way to the disk.
async fn record(house: &House, archive: &Archive, sessions: &[(i64, i64)], cause: EndCause) {
    let recorder = house.recorder(archive);
    for (number, (start_s, end_s)) in sessions.iter().enumerate() {
        let (mut camera, start) = Camera::start(NOON_US + start_s * S);
        push_all(&recorder, start).await;
        push_all(&recorder, camera.film_until(NOON_US + end_s * S)).await;
        let is_last = number + 1 == sessions.len();
        push_all(&recorder, camera.stop(if is_last { cause } else { EndCause::Unknown })).await;
    }
    archive.settle().await;
}

/// The dates of a playlist of everything around noon, and its length.
async fn playlist(house: &House, archive: &Archive) -> (Vec<String>, i64) {
    let views = archive.views(house.channel_id, NOON_US - 3600 * S, NOON_US + 3600 * S).await.unwrap();
    let sessions: Vec<_> = views.iter().map(|view| view.session_id.to_string()).collect();
    let segments: Vec<_> = views
        .iter()
        .zip(&sessions)
        .map(|(view, session)| VodSegment {
            uri: "segment",
            init_uri: "init",
            session,
            start_us: view.start_us,
            end_us: view.end_us,
            index: &view.index,
        })
        .collect();
    let playlist = vod(&segments, NOON_US - 3600 * S, NOON_US + 3600 * S, true);
    let dates = playlist.text.lines().filter_map(|line| line.strip_prefix("#EXT-X-PROGRAM-DATE-TIME:"));
    (dates.map(str::to_owned).collect(), playlist.duration_us)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_recorded_twice_is_shown_once_and_none_of_it_is_gone() {
    // Sessions, and how many seconds of them are shown.
    let cases: &[(&[(i64, i64)], i64)] = &[
        (&[(0, 12), (4, 20)], 20),
        (&[(0, 13), (0, 16)], 16),
        (&[(60, 90), (30, 70)], 60),
        (&[(0, 30), (22, 40), (32, 50)], 50),
        (&[(0, 30), (10, 20)], 30),
    ];
    for (sessions, shown_s) in cases {
        let house = House::new().await;
        let archive = house.open();
        record(&house, &archive, sessions, EndCause::Camera).await;
        let rows = house.rows().await;
        assert!(rows.iter().all(catalog::SegmentRow::is_whole), "{sessions:?}");
        let recorded_us: i64 = rows.iter().map(|row| row.end_us.unwrap() - row.start_us).sum();
        let sent_us: i64 = sessions.iter().map(|(start, end)| (end - start) * S).sum();
        assert_eq!(recorded_us, sent_us, "{sessions:?}: every row stands");
        for row in &rows {
            let object = archive.open_segment(row.id).await.unwrap();
            assert_eq!(collect(object.stream(0..object.len)).await, house.object(row), "it can be had");
        }
        let (dates, length_us) = playlist(&house, &archive).await;
        assert!(dates.windows(2).all(|pair| pair[0] < pair[1]), "{sessions:?}: {dates:?}");
        assert_eq!(length_us, shown_s * S, "{sessions:?}");

        let cut = archive.cut(house.channel_id, NOON_US - 3600 * S, NOON_US + 3600 * S).await.unwrap();
        assert_eq!(cut.cut.duration_us, shown_s * S, "{sessions:?}");
        let bytes = collect(cut.stream(0..cut.len())).await;
        assert_eq!(bytes.len() as u64, cut.len());
        let spans = archive.spans(house.channel_id, NOON_US, NOON_US + 3600 * S).await.unwrap();
        assert_eq!(spans.len(), 1, "{sessions:?}: {spans:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_set_back_leaves_no_gap_open_in_the_future() {
    let house = House::new().await;
    let archive = house.open();
    // At 30 the clock is set back to 10; at 15 the camera is pulled out; at 40 there is a gap again.
    record(&house, &archive, &[(0, 30), (10, 15)], EndCause::Network).await;
    record(&house, &archive, &[(35, 40)], EndCause::Camera).await;
    let found = archive.gaps(house.channel_id, NOON_US, NOON_US + 60 * S, NOON_US + 50 * S).await.unwrap();
    let gap =
        |start: i64, end: i64, cause| Gap { start_us: NOON_US + start * S, end_us: NOON_US + end * S, cause };
    assert_eq!(found, [gap(30, 35, EndCause::Network), gap(40, 50, EndCause::Camera)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_beyond_ten_seconds_is_an_alarm_for_a_day() {
    for (step_s, is_alarm) in
        [(-3600, true), (-30, true), (86_400, true), (-8, false), (9, false), (0, false)]
    {
        let house = House::new().await;
        let archive = house.open();
        assert_eq!(archive.ledger().await.unwrap().alarms, []);
        house.clock.advance(100 * S);
        house.clock.step(step_s * S);
        let alarms = archive.ledger().await.unwrap().alarms;
        let kinds: Vec<_> = alarms.iter().map(|alarm| alarm.kind).collect();
        assert_eq!(kinds.contains(&AlarmKind::ClockSet), is_alarm, "{step_s} s");
        house.clock.advance(25 * 3600 * S);
        let alarms = archive.ledger().await.unwrap().alarms;
        assert!(alarms.iter().all(|alarm| alarm.kind != AlarmKind::ClockSet));
    }
}

/// The pause after a full disk is measured, not read off the wall.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_tried_again_in_time_although_the_clock_was_set_back() {
    for step_s in [-3600, -30, 0] {
        let house = House::new().await;
        let archive = house.open();
        let recorder = house.recorder(&archive);
        let (mut camera, start) = Camera::start(NOON_US);
        house.disk.inject(FaultRule::on(Operation::Create, Fault::NoSpace));
        push_all(&recorder, start).await;
        push_all(&recorder, camera.film_until(NOON_US + 2 * S)).await;
        archive.flush().await;
        assert_eq!(house.rows().await.len(), 0);
        house.disk.heal();
        house.clock.step(step_s * S);
        house.clock.advance(10 * S);
        push_all(&recorder, camera.film_until(NOON_US + 4 * S)).await;
        push_all(&recorder, camera.stop(EndCause::Camera)).await;
        archive.settle().await;
        assert_eq!(house.rows().await.len(), 1, "{step_s} s");
    }
}
