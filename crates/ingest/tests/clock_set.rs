//! The node's wall clock is set while cameras publish: sockets are read on, nothing times out, and no frame is lost.

mod common;

use std::sync::Arc;

use common::{Camera, Clip, Server, SetClock, channel};
use media::TrackKind;
use media::timeline::TimelineEvent;

const S: i64 = 1_000_000;

fn sessions(events: &[TimelineEvent]) -> usize {
    events.iter().filter(|event| matches!(event, TimelineEvent::SessionStart { .. })).count()
}

fn pictures(events: &[TimelineEvent]) -> usize {
    let is_picture = |event: &&TimelineEvent| matches!(event, TimelineEvent::Sample { sample, .. } if sample.track == TrackKind::Video);
    events.iter().filter(is_picture).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publisher_is_read_on_whatever_the_wall_clock_says() {
    // All at once: each waits for the next keyframe of the clip.
    let cases = [-3_600 * S, -30 * S, -8 * S, 30 * S, 3_600 * S].map(|step_us| {
        tokio::spawn(async move {
            let clock = Arc::new(SetClock::default());
            let server = Server::start_by(|_| {}, None, clock.clone());
            let mut camera = Camera::connect(&server, "camera-1").await.unwrap();
            let clip = Clip::demo();
            let mut ticks = tokio::time::interval(std::time::Duration::from_millis(40));
            let mut sent = 0;
            let mut is_set = false;
            while sent < 160 {
                ticks.tick().await;
                camera.send(&clip, sent * 40, (sent + 1) * 40).await.unwrap();
                sent += 1;
                if !is_set && server.told.samples(channel(1)) > 40 {
                    clock.step(step_us);
                    is_set = true;
                }
            }
            camera.client.unpublish();
            camera.flush().await.unwrap();
            server
                .told
                .until(channel(1), "the end", |events| {
                    matches!(events.last(), Some(TimelineEvent::SessionEnd { .. }))
                })
                .await;
            let told = server.told.of(channel(1));
            assert_eq!(pictures(&told), 160, "{step_us}: no frame is lost");
            assert_eq!(sessions(&told), 2, "{step_us}");
            let ends = told.iter().filter_map(|event| match event {
                TimelineEvent::SessionEnd { end_us, .. } => Some(*end_us),
                _ => None,
            });
            let starts = told.iter().filter_map(|event| match event {
                TimelineEvent::SessionStart { start_us, .. } => Some(*start_us),
                _ => None,
            });
            let jumps: Vec<_> =
                ends.zip(starts.skip(1)).map(|(end_us, start_us)| start_us - end_us).collect();
            assert!((jumps[0] - step_us).abs() < 1_000, "{step_us}: {jumps:?}");
        })
    });
    for case in cases {
        case.await.unwrap();
    }
}

/// The limit for media counts time that passed.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_times_out_because_the_clock_was_set() {
    let clock = Arc::new(SetClock::default());
    let server = Server::start_by(|_| {}, None, clock.clone());
    let camera = Camera::connect(&server, "camera-1").await.unwrap().keep_sending();
    let mut last = 0;
    for step_us in [86_400 * S, -2 * 86_400 * S, 3_600 * S] {
        clock.step(step_us);
        server.told.until(channel(1), "pictures after the step", |events| pictures(events) > last + 30).await;
        last = pictures(&server.told.of(channel(1)));
    }
    assert!(server.publishers.is_publishing(channel(1)));
    camera.abort();
}

/// A node that sends what it had queued at every reconnect.
#[tokio::test(flavor = "multi_thread")]
async fn bursts_at_every_reconnect_do_not_date_footage_into_the_future() {
    let server = Server::start(|_| {});
    let clip = Clip::demo();
    for number in 1..=12 {
        let mut camera = Camera::connect(&server, "camera-1").await.unwrap();
        camera.send(&clip, 0, 2_480).await.unwrap();
        camera.client.unpublish();
        camera.flush().await.unwrap();
        let ended = |events: &[TimelineEvent]| {
            events.iter().filter(|event| matches!(event, TimelineEvent::SessionEnd { .. })).count() == number
        };
        server.told.until(channel(1), "its end", ended).await;
        let told = server.told.of(channel(1));
        let Some(TimelineEvent::SessionEnd { end_us, .. }) = told.last() else { panic!("no end") };
        let ahead_us = end_us - world::Clock::now_us(&world::SystemClock);
        assert!(ahead_us < 5 * S, "connection {number} ends {ahead_us} µs ahead");
        assert_eq!(pictures(&told), number * 62, "no frame is lost");
    }
}
