//! Players on the RTMP port: real ffmpeg, one that stops, one that never reads, and who gets nothing.
#![expect(clippy::unwrap_used, reason = "a test says what went wrong by stopping")]

mod common;

use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use common::{Clip, PATIENCE, closed};
use media::VideoCodec;
use media::flv::{FlvTag, TagRun, VideoTag, write_video};
use media::rtmp::StreamKey;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::sync::{Notify, oneshot};
use turepe_ingest::limits::LINGER_TIMEOUT;
use turepe_ingest::{BoxFuture, Connections, Feed, Gate, Publication, Refusal, Role, RtmpConfig, RtmpServer};
use uuid::Uuid;
use world::SystemClock;

/// Lets anybody play `court` until its tags are over.
struct Court {
    tags: Vec<FlvTag>,
    /// A player has gone.
    gone: Arc<Notify>,
}

impl Gate for Court {
    fn authorise(&self, _key: &StreamKey, _peer: SocketAddr) -> BoxFuture<'_, Result<Publication, Refusal>> {
        Box::pin(std::future::ready(Err(Refusal::UnknownKey)))
    }

    fn play(&self, name: &StreamKey, _peer: SocketAddr) -> BoxFuture<'_, Option<Box<dyn Feed>>> {
        let runs = || Runs { tags: self.tags.clone().into_iter(), gone: Arc::clone(&self.gone) };
        let feed = (name.expose() == "court").then(|| Box::new(runs()) as Box<dyn Feed>);
        Box::pin(std::future::ready(feed))
    }
}

/// Five tags a run, as fast as they are taken.
struct Runs {
    tags: std::vec::IntoIter<FlvTag>,
    gone: Arc<Notify>,
}

impl Drop for Runs {
    fn drop(&mut self) {
        self.gone.notify_one();
    }
}

impl Feed for Runs {
    fn channel_id(&self) -> Uuid {
        Uuid::from_u128(7)
    }

    fn next(&mut self) -> BoxFuture<'_, Option<Arc<TagRun>>> {
        Box::pin(async {
            let tags: Vec<_> = self.tags.by_ref().take(5).collect();
            (!tags.is_empty()).then(|| Arc::new(TagRun::new(tags)))
        })
    }
}

/// A server whose court plays the demo clip's pictures, `repeat` times.
fn start(repeat: u32) -> (SocketAddr, oneshot::Sender<()>, Arc<Notify>) {
    let (address, stop, gone, _) = start_listed(repeat);
    (address, stop, gone)
}

/// The same with the list of its connections.
fn start_listed(repeat: u32) -> (SocketAddr, oneshot::Sender<()>, Arc<Notify>, Connections) {
    let clip = Clip::demo();
    let (header, frames) = clip.video();
    let body = |tag: &VideoTag| write_video(VideoCodec::H264, tag);
    // What every encoder sends: FFmpeg loses the first tag of a stream that has none.
    let metadata = Bytes::from_static(b"\x02\x00\x0aonMetaData\x08\x00\x00\x00\x00\x00\x00\x09");
    let mut tags = vec![FlvTag::metadata(0, metadata), FlvTag::video(0, body(header), header)];
    for round in 0..repeat {
        tags.extend(
            frames.iter().map(|(at_ms, tag)| {
                FlvTag::video(at_ms + round * Clip::LEN_MS, Bytes::clone(&body(tag)), tag)
            }),
        );
    }
    let config = RtmpConfig::new("127.0.0.1:0".parse().unwrap());
    let gone = Arc::new(Notify::new());
    let court = Arc::new(Court { tags, gone: Arc::clone(&gone) });
    let server = RtmpServer::bind(config, court, Arc::new(SystemClock)).unwrap();
    let address = server.local_addr().unwrap();
    let connections = server.connections();
    let (stop, stopped) = oneshot::channel::<()>();
    tokio::spawn(server.run(async {
        drop(stopped.await);
    }));
    (address, stop, gone, connections)
}

async fn ffmpeg(url: &str) -> std::process::Output {
    let output = Command::new("ffmpeg")
        .args(["-v", "info", "-nostdin", "-i", url, "-f", "null", "-"])
        .stdin(Stdio::null())
        .output();
    tokio::time::timeout(PATIENCE, output).await.unwrap().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn ffmpeg_plays_to_the_end() {
    let (address, _stop, _gone) = start(1);
    let output = ffmpeg(&format!("rtmp://{address}/live/court")).await;
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("frame=  600"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_player_gets_the_end_too() {
    let (address, _stop, gone) = start(1);
    let mut stream = TcpStream::connect(address).await.unwrap();
    common::play_blindly(&mut stream, "court").await;
    tokio::time::timeout(PATIENCE, gone.notified()).await.expect("all is on its way");
    // It decodes what it has; what is said of a refusal would be over by now.
    tokio::time::sleep(2 * LINGER_TIMEOUT).await;
    // An acknowledgement, as players send them while they read (Adobe RTMP §5.4.3).
    stream.write_all(&[2, 0, 0, 0, 0, 0, 4, 3, 0, 0, 0, 0, 0, 0, 16, 0]).await.unwrap();
    let mut rest = Vec::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut rest));
    read.await.expect("it ends").expect("nothing is taken away");
    let last_word = b"NetStream.Play.Stop";
    assert!(rest.windows(last_word.len()).any(|window| window == last_word), "to the last word");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_for_something_else_gets_nothing() {
    let (address, _stop, _gone) = start(1);
    let output = ffmpeg(&format!("rtmp://{address}/live/secret-key")).await;
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("No such stream"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_player_that_never_reads_is_cut_off() {
    let (address, _stop, gone) = start(200);
    let mut stream = TcpStream::connect(address).await.unwrap();
    common::play_blindly(&mut stream, "court").await;
    tokio::time::timeout(PATIENCE, gone.notified()).await.expect("the server lets it go");
    closed(&mut stream).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_player_is_listed_counted_and_dropped() {
    let (address, _stop, gone, connections) = start_listed(1000);
    let mut stream = TcpStream::connect(address).await.unwrap();
    common::play_blindly(&mut stream, "court").await;
    let listed = async {
        loop {
            let status = connections.all().first().copied();
            if let Some(status) = status.filter(|status| status.role.is_some()) {
                return status;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let status = tokio::time::timeout(PATIENCE, listed).await.expect("it is listed");
    assert_eq!(status.role, Some(Role::Plays(Uuid::from_u128(7))));
    // It reads one piece more than before: the count follows.
    let mut some = vec![0; 1 << 20];
    stream.read_exact(&mut some).await.unwrap();
    assert!(connections.all()[0].sent_bytes >= 1 << 20);
    // Also while nothing can be written to it.
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(connections.drop_connection(status.id));
    tokio::time::timeout(PATIENCE, gone.notified()).await.expect("the server lets it go");
    closed(&mut stream).await;
    drop(stream);
    let unlisted = async {
        while !connections.is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, unlisted).await.expect("it is listed no more");
}
