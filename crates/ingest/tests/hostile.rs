//! Connections as they should not be. Each ends within a named limit, and a camera beside it never notices.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::time::Duration;

use common::{Camera, Clip, PATIENCE, Server, channel, closed};
use media::EndCause;
use media::timeline::TimelineEvent;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// A server with short limits and a camera on channel 1 that must not notice anything.
async fn bystander() -> (Server, tokio::task::JoinHandle<()>) {
    let server = Server::start(|config| {
        config.establish_timeout = Duration::from_millis(500);
        config.idle_timeout = Duration::from_secs(2);
        config.max_connections_per_address = 20;
    });
    let camera = Camera::connect(&server, "camera-1").await.unwrap().keep_sending();
    server.told.until(channel(1), "the bystander's session", |events| events.len() > 20).await;
    (server, camera)
}

/// The bystander goes on, in its first session.
async fn unnoticed(server: &Server, camera: &tokio::task::JoinHandle<()>) {
    let so_far = server.told.samples(channel(1));
    server
        .told
        .until(channel(1), "the bystander's next frames", |events| {
            events.iter().filter(|event| matches!(event, TimelineEvent::Sample { .. })).count() > so_far + 50
        })
        .await;
    assert!(!camera.is_finished());
    let told = server.told.of(channel(1));
    assert_eq!(told.iter().filter(|event| !matches!(event, TimelineEvent::Sample { .. })).count(), 1);
    camera.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_at_all() {
    let (server, camera) = bystander().await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let start = tokio::time::Instant::now();
    closed(&mut stream).await;
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
    unnoticed(&server, &camera).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_after_the_handshake() {
    let (server, camera) = bystander().await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    handshake(&mut stream).await;
    let start = tokio::time::Instant::now();
    closed(&mut stream).await;
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
    unnoticed(&server, &camera).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_after_the_publication_was_accepted() {
    let (server, camera) = bystander().await;
    let mut silent = Camera::connect(&server, "camera-2").await.unwrap();
    silent.closed().await;
    assert!(server.told.of(channel(2)).is_empty());
    unnoticed(&server, &camera).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage() {
    let (server, camera) = bystander().await;
    // A fixed sequence that looks like noise.
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    })
    .take(32_768)
    .flatten()
    .collect();
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    // The server may close while this is being sent.
    drop(stream.write_all(&noise).await);
    closed(&mut stream).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    handshake(&mut stream).await;
    drop(stream.write_all(&noise).await);
    closed(&mut stream).await;
    unnoticed(&server, &camera).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_chunk_streams() {
    let (server, camera) = bystander().await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    handshake(&mut stream).await;
    // Each begins a message of 200 bytes and never ends it (RTMP §5.3.1: two-byte ids from 64 on).
    let chunks: Vec<u8> = (0..10_000u32)
        .flat_map(|number| {
            let [low, high] = (number as u16).to_le_bytes();
            let mut chunk = vec![1, low, high, 0, 0, 0, 0, 0, 200, 20, 0, 0, 0, 0];
            chunk.extend([0; 128]);
            chunk
        })
        .collect();
    drop(stream.write_all(&chunks).await);
    closed(&mut stream).await;
    unnoticed(&server, &camera).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_connections_than_one_address_may_have() {
    let (server, camera) = bystander().await;
    let mut streams = Vec::new();
    for _ in 0..200 {
        streams.push(TcpStream::connect(server.address).await.unwrap());
    }
    // Those beyond the limit are closed at once, the others after the time they have to begin.
    for stream in &mut streams {
        closed(stream).await;
    }
    drop(streams);
    // The server frees a seat when it has seen that we are gone.
    let next = async {
        loop {
            if let Ok(camera) = Camera::connect(&server, "camera-2").await {
                return camera;
            }
            tokio::task::yield_now().await;
        }
    };
    let mut next = tokio::time::timeout(PATIENCE, next).await.unwrap();
    next.send(&Clip::demo(), 0, 3000).await.unwrap();
    server.told.until(channel(2), "a session after the flood", |events| events.len() > 50).await;
    unnoticed(&server, &camera).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publisher_that_turns_to_garbage_ends_its_own_session_only() {
    let (server, camera) = bystander().await;
    let mut broken = Camera::connect(&server, "camera-2").await.unwrap();
    broken.send(&Clip::demo(), 0, 3000).await.unwrap();
    server.told.until(channel(2), "samples", |events| events.len() > 50).await;
    drop(broken.stream.write_all(&[0x3f; 100_000]).await);
    assert_eq!(server.told.end(channel(2)).await, EndCause::Camera);
    broken.closed().await;
    unnoticed(&server, &camera).await;
}

/// The simple handshake (RTMP §5.2).
async fn handshake(stream: &mut TcpStream) {
    let mut c0_c1 = vec![0; 1537];
    c0_c1[0] = 3;
    stream.write_all(&c0_c1).await.unwrap();
    let mut replies = vec![0; 1 + 1536 + 1536];
    stream.read_exact(&mut replies).await.unwrap();
    stream.write_all(&replies[1..1537]).await.unwrap();
}
