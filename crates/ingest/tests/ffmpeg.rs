//! Real ffmpeg as the publisher.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

mod common;

use std::process::Stdio;

use common::{PATIENCE, Server, channel};
use media::timeline::TimelineEvent;
use media::{EndCause, TrackKind};
use tokio::process::{Child, Command};

/// Publishes a test picture and a tone in real time.
fn ffmpeg(url: &str, more: &[&str]) -> Child {
    Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-re", "-f", "lavfi", "-i", "testsrc=size=320x240:rate=25"])
        .args(["-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000"])
        .args(["-c:v", "libx264", "-preset", "ultrafast", "-bf", "2", "-g", "25", "-c:a", "aac"])
        .args(more)
        .args(["-f", "flv", url])
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("ffmpeg is installed")
}

#[tokio::test(flavor = "multi_thread")]
async fn is_received_to_its_last_frame() {
    let server = Server::start(|_| {});
    let child = ffmpeg(&server.url("camera-1"), &["-t", "3"]);
    let output = tokio::time::timeout(PATIENCE, child.wait_with_output()).await.unwrap().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(server.told.end(channel(1)).await, EndCause::Camera);
    let video = server.told.of(channel(1)).into_iter().filter_map(|event| match event {
        TimelineEvent::Sample { sample, .. } if sample.track == TrackKind::Video => Some(sample),
        _ => None,
    });
    assert_eq!(video.count(), 75);
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_it_ends_as_network_and_its_successor_takes_over() {
    let server = Server::start(|_| {});
    let mut first = ffmpeg(&server.url("camera-1"), &[]);
    server.told.until(channel(1), "samples", |events| events.len() > 100).await;
    let _second = ffmpeg(&server.url("camera-1"), &[]);
    assert_eq!(server.told.end(channel(1)).await, EndCause::Network);
    // The replaced one notices that it is closed.
    tokio::time::timeout(PATIENCE, first.wait()).await.expect("the replaced ffmpeg ends").unwrap();
    server
        .told
        .until(channel(1), "the successor's session", |events| {
            events.iter().filter(|event| matches!(event, TimelineEvent::SessionStart { .. })).count() == 2
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_wrong_key_it_fails_and_nothing_is_recorded() {
    let server = Server::start(|_| {});
    let child = ffmpeg(&server.url("wrong"), &["-t", "5"]);
    let output = tokio::time::timeout(PATIENCE, child.wait_with_output()).await.unwrap().unwrap();
    assert!(!output.status.success());
    assert!(server.told.all().is_empty());
}
