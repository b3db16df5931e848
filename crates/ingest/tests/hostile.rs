//! Connections as they should not be. Each ends within a named limit, and a camera beside it never notices.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::time::Duration;

use common::{Camera, Clip, PATIENCE, Server, channel, closed, try_to_play};
use media::timeline::TimelineEvent;
use media::{EndCause, TrackKind};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use testing::certificates::Authority;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

/// A server with short limits and a camera on channel 1 that must not notice anything.
async fn bystander() -> (Server, tokio::task::JoinHandle<()>) {
    let server = Server::start(|config| {
        config.establish_timeout = Duration::from_millis(500);
        config.idle_timeout = Duration::from_secs(2);
        config.max_waiting_per_address = 20;
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
    // Those beyond the limit push out the oldest at once; the others are closed after the time they have to begin.
    for stream in &mut streams {
        closed(stream).await;
    }
    drop(streams);
    let mut next = Camera::connect(&server, "camera-2").await.unwrap();
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

/// With the documented limits: strangers on both ports who never go on, and players of whom none ever leaves, each kind from several
/// addresses and more than everything together may be.
#[tokio::test(flavor = "multi_thread")]
async fn strangers_and_players_lock_no_camera_out() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).unwrap();
    let change = |config: &mut turepe_ingest::RtmpConfig| {
        // None of them goes because its time is over.
        config.establish_timeout = Duration::from_secs(600);
    };
    let server = Server::start_with(change, Some(Authority::new().issue().server(&[])));
    let camera = Camera::connect(&server, "camera-1").await.unwrap().keep_sending();
    server.told.until(channel(1), "the bystander's session", |events| events.len() > 20).await;

    let mut held = Vec::new();
    for number in 0..1500 {
        let mut stream = from(2 + number % 6, server.address).await;
        // Beyond the limit it is refused, here or there.
        let played = tokio::time::timeout(PATIENCE, try_to_play(&mut stream, "court")).await;
        drop(played.expect("an answer"));
        held.push(stream);
    }
    let players =
        || server.connections.all().into_iter().filter(|connection| connection.role.is_some()).count() - 1;
    wait("players", || players() >= 1000).await;
    for number in 0..3000 {
        let port = if number % 2 == 0 { server.address } else { server.tls_address.unwrap() };
        let mut stream = from(8 + number % 6, port).await;
        drop(stream.write_all(&[if number % 2 == 0 { 3 } else { 22 }]).await);
        held.push(stream);
    }

    // At once and from an address of which others wait; a second one replaces it, as cameras do that were cut off.
    let clip = Clip::demo();
    for _ in 0..2 {
        let mut late = Camera::connect(&server, "camera-2").await.expect("a camera with a valid key gets in");
        late.send(&clip, 0, 3000).await.unwrap();
        let sent = clip.video().1.iter().filter(|(at_ms, _)| *at_ms < 3000).count();
        let of_video = |event: &TimelineEvent| matches!(event, TimelineEvent::Sample { sample, .. } if sample.track == TrackKind::Video);
        server
            .told
            .until(channel(2), "every picture", |events| {
                let session =
                    events.iter().rposition(|event| matches!(event, TimelineEvent::SessionStart { .. }));
                session.is_some_and(|start| {
                    events[start..].iter().filter(|event| of_video(event)).count() + 1 >= sent
                })
            })
            .await;
        held.push(late.stream);
    }
    // No more are there than may be, and who plays has lost nothing to those that came later.
    wait("the displaced to be gone", || server.connections.len() <= 3 + 1000 + 1024).await;
    assert_eq!(players(), 1000 + 1);
    unnoticed(&server, &camera).await;
}

async fn wait(what: &str, mut is_so: impl FnMut() -> bool) {
    let waited = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, waited).await.is_ok(), "{what}");
}

/// A connection from 127.0.0.`host`.
async fn from(host: u32, to: std::net::SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(((0x7f00_0000 | host).to_be_bytes(), 0).into()).unwrap();
    socket.connect(to).await.unwrap()
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
