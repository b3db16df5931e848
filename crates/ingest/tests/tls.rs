//! RTMPS: what comes through TLS is what comes without, and who never finishes its handshake keeps nobody out.

#![expect(clippy::expect_used, clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::path::Path;
use std::process::{Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use common::{Camera, Clip, PATIENCE, Server, channel, closed};
use media::EndCause;
use media::TrackKind;
use media::timeline::TimelineEvent;
use testing::certificates::Authority;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::ServerName;
use turepe_ingest::RtmpConfig;

fn start(authority: &Authority, change: impl FnOnce(&mut RtmpConfig)) -> Server {
    Server::start_with(change, Some(authority.issue().server(&[])))
}

async fn publish(url: &str) -> Output {
    let clip = Path::new(env!("CARGO_MANIFEST_DIR")).join("../turepe/assets/demo.mp4");
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-re", "-t", "4", "-i"])
        .arg(clip)
        .args(["-c", "copy", "-f", "flv", url])
        .stdin(Stdio::null())
        .output();
    tokio::time::timeout(PATIENCE, output).await.expect("ffmpeg ends").expect("ffmpeg is installed")
}

/// Kind, place on the timeline and bytes of all that a channel was sent.
fn frames(server: &Server, number: u128) -> Vec<(TrackKind, i64, Bytes)> {
    let frames = server.told.of(channel(number)).into_iter().filter_map(|event| match event {
        TimelineEvent::Sample { sample, .. } => Some((sample.track, sample.decode_time, sample.data)),
        _ => None,
    });
    let frames: Vec<_> = frames.collect();
    let first = frames.first().map_or(0, |frame| frame.1);
    frames.into_iter().map(|(track, at, data)| (track, at - first, data)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn ffmpeg_publishes_through_it_as_without() {
    let server = start(&Authority::new(), |_| {});
    let (secure, plain) = (server.tls_url("camera-1"), server.url("camera-2"));
    for output in <[Output; 2]>::from(tokio::join!(publish(&secure), publish(&plain))) {
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    for number in [1, 2] {
        assert_eq!(server.told.end(channel(number)).await, EndCause::Camera);
    }
    let (secure, plain) = (frames(&server, 1), frames(&server, 2));
    assert!(plain.len() > 200, "{}", plain.len());
    assert!(secure == plain, "{} and {} frames", secure.len(), plain.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_refused_is_told_why() {
    let server = start(&Authority::new(), |_| {});
    let output = publish(&server.tls_url("wrong")).await;
    assert!(!output.status.success());
    assert!(server.told.all().is_empty());
}

async fn shake(server: &Server, authority: &Authority) -> TlsStream<TcpStream> {
    let stream = TcpStream::connect(server.tls_address.unwrap()).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(authority.client()).connect(name, stream).await.expect("a handshake")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handshake_that_does_not_end_is_cut_off_and_keeps_nobody_out() {
    const LIMIT: Duration = Duration::from_millis(700);
    let authority = Authority::new();
    let server = start(&authority, |config| {
        config.max_waiting_per_address = 12;
        config.establish_timeout = LIMIT;
    });
    let address = server.tls_address.unwrap();
    let begin = Instant::now();
    let mut idle = Vec::new();
    for kind in 0..9 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        // Nothing; the head of a record of which nothing follows; the same that goes on byte by byte, below.
        if kind % 3 > 0 {
            stream.write_all(&[22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3]).await.unwrap();
        }
        idle.push(stream);
    }
    // A handshake that ends, and then nothing.
    let mut silent = shake(&server, &authority).await;
    // There is room beside them.
    let camera = tokio::time::timeout(PATIENCE, Camera::connect(&server, "camera-1")).await.unwrap();
    let camera = camera.expect("accepted").keep_sending();
    let drips = idle.split_off(6).into_iter().map(|mut stream| {
        tokio::spawn(async move {
            while stream.write_all(&[0]).await.is_ok() {
                tokio::time::sleep(LIMIT / 20).await;
            }
        })
    });
    for drip in drips.collect::<Vec<_>>() {
        tokio::time::timeout(PATIENCE, drip).await.expect("it is cut off").unwrap();
    }
    for mut stream in idle {
        closed(&mut stream).await;
    }
    let mut rest = Vec::new();
    let read = tokio::time::timeout(PATIENCE, silent.read_to_end(&mut rest)).await;
    drop(read.expect("it is cut off"));
    assert!(begin.elapsed() >= LIMIT, "not before its time");
    server.told.until(channel(1), "samples", |events| events.len() > 30).await;
    camera.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_tls_is_sent_away_at_once() {
    let server = start(&Authority::new(), |config| config.establish_timeout = Duration::from_secs(300));
    for garbage in [&[0xFF; 3000][..], b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", &[3; 1537]] {
        let mut stream = TcpStream::connect(server.tls_address.unwrap()).await.unwrap();
        stream.write_all(garbage).await.unwrap();
        closed(&mut stream).await;
    }
    // And TLS is no RTMP.
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(&[22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3]).await.unwrap();
    closed(&mut stream).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn both_ports_have_their_places_together() {
    let authority = Authority::new();
    let server = start(&authority, |config| {
        config.max_waiting_per_address = 2;
        config.establish_timeout = Duration::from_secs(300);
    });
    let mut plain = TcpStream::connect(server.address).await.unwrap();
    let mut second = shake(&server, &authority).await;
    let _third = shake(&server, &authority).await;
    // Who has waited longest made room, whichever way it came.
    closed(&mut plain).await;
    let _fourth = TcpStream::connect(server.address).await.unwrap();
    let mut rest = Vec::new();
    drop(tokio::time::timeout(PATIENCE, second.read_to_end(&mut rest)).await.expect("it is closed"));
}

/// The other end of TLS than ffmpeg's, at the clip's full speed: large writes, small ones, and a goodbye in the same packet.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_sent_before_the_goodbye_is_kept() {
    let authority = Authority::new();
    let server = start(&authority, |_| {});
    // Our client session speaks over a pipe; two tasks carry it through TLS.
    let secure = shake(&server, &authority).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut door = Server::start(|_| {});
    door.address = listener.local_addr().unwrap();
    let carried = tokio::spawn(async move {
        let (mut inner, _) = listener.accept().await.unwrap();
        let mut secure = secure;
        drop(tokio::io::copy_bidirectional(&mut inner, &mut secure).await);
    });
    let mut camera = Camera::connect(&door, "camera-1").await.expect("accepted");
    let clip = Arc::new(Clip::demo());
    camera.send(&clip, 0, 1500).await.unwrap();
    camera.stream.shutdown().await.unwrap();
    server.told.end(channel(1)).await;
    let pictures = frames(&server, 1).into_iter().filter(|frame| frame.0 == TrackKind::Video).count();
    let sent = clip.video().1.iter().filter(|(at_ms, _)| *at_ms < 1500).count();
    assert_eq!(pictures, sent);
    carried.abort();
}
