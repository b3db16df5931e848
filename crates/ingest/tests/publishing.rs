//! Publishers as they should be: accepted, refused, replaced, paced, ended.

mod common;

use std::time::Duration;

use common::{Camera, Clip, PATIENCE, Server, channel};
use media::EndCause;
use media::rtmp::client::ClientEvent;
use media::timeline::TimelineEvent;
use turepe_ingest::Role;
use world::{Clock as _, SystemClock};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_published_arrives_whole_and_ends_as_the_publisher_says() {
    let server = Server::start(|_| {});
    let mut camera = Camera::connect(&server, "camera-1").await.unwrap();
    assert!(server.publishers.is_publishing(channel(1)));
    camera.send(&Clip::demo(), 0, 4000).await.unwrap();
    camera.client.unpublish();
    camera.flush().await.unwrap();
    assert_eq!(server.told.end(channel(1)).await, EndCause::Camera);
    let told = server.told.of(channel(1));
    assert!(
        matches!(&told[0], TimelineEvent::SessionStart { config, .. } if config.video.is_some() && config.audio.is_some())
    );
    let video = told.iter().filter(|event| matches!(event, TimelineEvent::Sample { sample, .. } if sample.track == media::TrackKind::Video));
    assert_eq!(video.count(), 100);
    // The channel is free as soon as the publication has ended, not only when the connection has.
    assert!(!server.publishers.is_publishing(channel(1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_key_is_refused_with_bad_name_and_nothing_is_recorded() {
    let server = Server::start(|_| {});
    let refused = Camera::connect(&server, "s3cret-typo").await.err().unwrap();
    let ClientEvent::Rejected { code, description } = refused else { panic!("{refused:?}") };
    assert_eq!(code, "NetStream.Publish.BadName");
    assert_eq!(description, "unknown stream key");
    assert!(server.told.all().is_empty() && server.publishers.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_key_again_takes_over_at_once_with_one_session_at_any_moment() {
    let server = Server::start(|_| {});
    // In real time: what reaches far ahead of the clock is not waited for by the next session.
    let stale = Camera::connect(&server, "camera-1").await.unwrap().keep_sending();
    server.told.until(channel(1), "a first session", |events| events.len() > 50).await;

    let start = tokio::time::Instant::now();
    let fresh = Camera::connect(&server, "camera-1").await.unwrap();
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    let fresh = fresh.keep_sending();
    tokio::time::timeout(PATIENCE, stale).await.expect("the stale connection is closed").unwrap();
    let sessions = |events: &[TimelineEvent]| {
        events.iter().filter(|event| matches!(event, TimelineEvent::SessionStart { .. })).count()
    };
    server.told.until(channel(1), "a second session", |events| sessions(events) == 2).await;
    assert_eq!(server.publishers.len(), 1);
    fresh.abort();

    let told = server.told.of(channel(1));
    let mut last_end_us = None;
    let mut is_running = false;
    for event in &told {
        match event {
            TimelineEvent::SessionStart { start_us, .. } => {
                assert!(!is_running, "two sessions at once");
                assert!(last_end_us.is_none_or(|end_us| end_us <= *start_us), "sessions overlap");
                is_running = true;
            }
            TimelineEvent::Sample { .. } => assert!(is_running),
            TimelineEvent::SessionEnd { end_us, cause } => {
                assert_eq!(*cause, EndCause::Network);
                (last_end_us, is_running) = (Some(*end_us), false);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_publishers_of_one_key_end_with_one_session() {
    let server = Server::start(|_| {});
    let mut cameras = Vec::new();
    for _ in 0..20 {
        if let Ok(camera) = Camera::connect(&server, "camera-1").await {
            cameras.push(camera.keep_sending());
        }
    }
    let last = cameras.pop().unwrap();
    for camera in cameras {
        tokio::time::timeout(PATIENCE, camera).await.expect("a replaced camera is disconnected").unwrap();
    }
    assert_eq!(server.publishers.len(), 1);
    assert!(!last.is_finished());
    last.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_connection_ends_the_session_as_network() {
    let server = Server::start(|_| {});
    let mut camera = Camera::connect(&server, "camera-1").await.unwrap();
    camera.send(&Clip::demo(), 0, 3000).await.unwrap();
    server.told.until(channel(1), "samples", |events| events.len() > 50).await;
    drop(camera);
    assert_eq!(server.told.end(channel(1)).await, EndCause::Network);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publisher_whose_key_is_taken_back_is_disconnected_and_the_others_stay() {
    let server = Server::start(|_| {});
    let mut camera = Camera::connect(&server, "camera-1").await.unwrap();
    camera.send(&Clip::demo(), 0, 3000).await.unwrap();
    server.told.until(channel(1), "samples", |events| events.len() > 50).await;
    let bystander = Camera::connect(&server, "camera-2").await.unwrap();
    assert!(!server.publishers.drop_publisher(channel(3)));
    assert!(server.publishers.drop_publisher(channel(1)));
    assert_eq!(server.told.end(channel(1)).await, EndCause::Camera);
    camera.closed().await;
    assert!(!server.publishers.is_publishing(channel(1)));
    assert!(server.publishers.is_publishing(channel(2)));
    drop(bystander);
    // Whether it may come back is the gate's to say.
    assert!(Camera::connect(&server, "camera-1").await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_listed_and_one_is_dropped_by_its_number() {
    let server = Server::start(|_| {});
    let mut camera = Camera::connect(&server, "camera-1").await.unwrap();
    camera.send(&Clip::demo(), 0, 3000).await.unwrap();
    server.told.until(channel(1), "samples", |events| events.len() > 50).await;
    let bystander = Camera::connect(&server, "camera-2").await.unwrap();
    let all = server.connections.all();
    assert_eq!(
        all.iter().map(|one| one.role).collect::<Vec<_>>(),
        [1, 2].map(|number| Some(Role::Publishes(channel(number))))
    );
    assert!(all[0].received_bytes > 10_000 && all[0].sent_bytes > 3000, "{:?}", all[0]);
    assert!(server.connections.drop_connection(all[0].id));
    assert_eq!(server.told.end(channel(1)).await, EndCause::Process);
    camera.closed().await;
    assert!(server.publishers.is_publishing(channel(2)));
    drop(bystander);
    // Nothing forbids it to come back.
    assert!(Camera::connect(&server, "camera-1").await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_publisher_is_disconnected_after_the_idle_timeout() {
    let server = Server::start(|config| config.idle_timeout = Duration::from_millis(300));
    let mut camera = Camera::connect(&server, "camera-1").await.unwrap();
    camera.send(&Clip::demo(), 0, 3000).await.unwrap();
    assert_eq!(server.told.end(channel(1)).await, EndCause::Network);
    camera.closed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publisher_ahead_of_the_clock_is_slowed_down() {
    let server = Server::start(|_| {});
    let mut camera = Camera::connect(&server, "camera-1").await.unwrap();
    // Ten minutes at once: more than all socket buffers of a loopback connection hold.
    let sender = tokio::spawn(async move {
        drop(camera.send(&Clip::demo(), 0, 600_000).await);
        camera
    });
    server.told.until(channel(1), "samples", |events| events.len() > 100).await;
    // For a second, what has arrived stays near the clock: 2 s ahead, and what the first read brings at this low rate.
    let until = tokio::time::Instant::now() + Duration::from_secs(1);
    while tokio::time::Instant::now() < until {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let newest_us = server.told.of(channel(1)).iter().rev().find_map(|event| match event {
            TimelineEvent::Sample { wall_us, .. } => Some(*wall_us),
            _ => None,
        });
        let ahead_ms = (newest_us.unwrap() - SystemClock.now_us()) / 1000;
        assert!(ahead_ms < 6000, "{ahead_ms} ms ahead of the clock");
    }
    sender.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_ends_every_session_as_process_within_a_second() {
    let mut server = Server::start(|_| {});
    let mut cameras = Vec::new();
    for number in 1..=5 {
        let mut camera = Camera::connect(&server, &format!("camera-{number}")).await.unwrap();
        camera.send(&Clip::demo(), 0, 3000).await.unwrap();
        server.told.until(channel(number), "samples", |events| events.len() > 50).await;
        cameras.push(camera);
    }
    let start = tokio::time::Instant::now();
    server.stop().await;
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    for number in 1..=5 {
        assert_eq!(server.told.end(channel(number)).await, EndCause::Process);
    }
    assert!(tokio::net::TcpStream::connect(server.address).await.is_err());
}
