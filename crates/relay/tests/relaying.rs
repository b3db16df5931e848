//! Relays over real sockets to targets that keep to RTMP, and to some that do not.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use live::{Live, Publisher};
use media::VideoCodec;
use media::flv::{AudioTag, FlvTag, VideoTag};
use media::rtmp::server::{ServerConfig, ServerEvent, ServerSession};
use media::rtmp::{RtmpUrl, StreamKey};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use turepe_relay::{Address, BaseUrl, Publishing, Relays, State, Status, Target};
use uuid::Uuid;
use world::{Clock as _, SystemClock};

const CHANNEL: Uuid = Uuid::from_u128(1);

const PATIENCE: Duration = Duration::from_secs(20);

/// How a target behaves once it is asked to take a stream.
#[derive(Clone, Copy)]
enum Manner {
    Takes,
    Refuses,
    TalksWithoutEnd,
}

/// A target; gives what it is sent.
async fn target(manner: Manner) -> (SocketAddr, mpsc::Receiver<ServerEvent>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (events, received) = mpsc::channel(1000);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, manner, events.clone()));
        }
    });
    (address, received)
}

async fn serve(mut stream: TcpStream, manner: Manner, events: mpsc::Sender<ServerEvent>) {
    let mut session = ServerSession::new(ServerConfig::default(), SystemClock.now_us());
    let mut scratch = [0; 4096];
    loop {
        while let Some(event) = session.poll_event() {
            if matches!(event, ServerEvent::PublishRequested { .. }) {
                match manner {
                    Manner::Takes => session.accept_publish(),
                    Manner::Refuses => {
                        session.refuse_publish("stream own-key?pass=hunter22 is not for hunter22")
                    }
                    Manner::TalksWithoutEnd => {
                        let noise = [0xff; 4096];
                        while stream.write_all(&noise).await.is_ok() {}
                        return;
                    }
                }
            }
            if events.send(event).await.is_err() {
                return;
            }
        }
        while let Some(piece) = session.poll_transmit() {
            if stream.write_all(&piece).await.is_err() {
                return;
            }
        }
        if session.should_close() {
            return;
        }
        let Ok(count @ 1..) = stream.read(&mut scratch).await else { return };
        if session.handle_input(&scratch[..count], SystemClock.now_us()).is_err() {
            return;
        }
    }
}

struct Node {
    live: Live,
    relays: Relays,
    stop: Option<oneshot::Sender<()>>,
    ended: tokio::task::JoinHandle<()>,
}

impl Node {
    fn start(for_all: Vec<Target>) -> Self {
        let live = Live::new();
        let relays = Relays::new(live.clone(), Arc::new(SystemClock), for_all);
        let (stop, stopped) = oneshot::channel();
        let running = relays.clone().run(async { drop(stopped.await) });
        Self { live, relays, stop: Some(stop), ended: tokio::spawn(running) }
    }

    async fn wait_for(&self, what: &str, is_it: impl Fn(&[Status]) -> bool) -> Vec<Status> {
        let looked = async {
            loop {
                let statuses = self.relays.statuses();
                if is_it(&statuses) {
                    return statuses;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let found = tokio::time::timeout(PATIENCE, looked).await;
        found.unwrap_or_else(|_| panic!("waited in vain for {what}: {:?}", self.relays.statuses()))
    }
}

fn of_channel(url: &str) -> HashMap<Uuid, Vec<Target>> {
    let address = Address::Whole(RtmpUrl::parse(url).unwrap());
    HashMap::from([(CHANNEL, vec![Target { id: "own".into(), name: None, address }])])
}

fn for_all(address: SocketAddr) -> Vec<Target> {
    let address = Address::WithKey(BaseUrl::parse(&format!("rtmp://{address}/live?x=1")).unwrap());
    vec![Target { id: "all-1".into(), name: None, address }]
}

fn publish(node: &Node) -> Publisher {
    node.live.publish(CHANNEL, Vec::new()).with_own_tags()
}

fn metadata() -> Bytes {
    Bytes::from_static(b"\x02\x00\x0aonMetaData\x08\x00\x00\x00\x00\x00\x00\x09")
}

fn body(number: u32, length: usize) -> Bytes {
    let mut body = number.to_be_bytes().to_vec();
    body.resize(length, number as u8);
    body.into()
}

/// Metadata and decoder configurations, then groups of a keyframe, sound and two other pictures.
fn headers() -> Vec<FlvTag> {
    let header = VideoTag::SequenceHeader { codec: VideoCodec::H264, record: Bytes::new() };
    let sound = AudioTag::SequenceHeader { record: Bytes::new() };
    vec![
        FlvTag::metadata(0, metadata()),
        FlvTag::video(0, Bytes::from_static(b"\x17\x00header"), &header),
        FlvTag::audio(0, Bytes::from_static(b"\xaf\x00header"), &sound),
    ]
}

fn group(first: u32, length: usize) -> Vec<FlvTag> {
    let frame = |is_key| VideoTag::Frame { is_key, composition_time_ms: 0, data: Bytes::new() };
    let at = first * 40;
    vec![
        FlvTag::video(at, body(first, length), &frame(true)),
        FlvTag::audio(at + 5, body(first, 300), &AudioTag::Ignored),
        FlvTag::video(at + 40, body(first + 1, length / 3), &frame(false)),
        FlvTag::video(at + 80, body(first + 2, length / 3), &frame(false)),
    ]
}

async fn next(received: &mut mpsc::Receiver<ServerEvent>) -> ServerEvent {
    tokio::time::timeout(PATIENCE, received.recv()).await.unwrap().unwrap()
}

/// What a target gets when a publication begins, up to its first picture.
async fn beginning(received: &mut mpsc::Receiver<ServerEvent>, key: &str) -> (u32, Bytes) {
    let ServerEvent::Connected { .. } = next(received).await else { panic!("not connected") };
    let ServerEvent::PublishRequested { key: shown, .. } = next(received).await else { panic!("no request") };
    assert_eq!(shown.expose(), key);
    let ServerEvent::Metadata { body, .. } = next(received).await else { panic!("metadata comes first") };
    assert_eq!(body, metadata());
    let ServerEvent::Video { body, .. } = next(received).await else { panic!("then the configurations") };
    assert_eq!(&body[..], b"\x17\x00header");
    let ServerEvent::Audio { body, .. } = next(received).await else { panic!("of both") };
    assert_eq!(&body[..], b"\xaf\x00header");
    let ServerEvent::Video { timestamp_ms, body } = next(received).await else { panic!("then a picture") };
    (timestamp_ms, body)
}

#[tokio::test]
async fn a_channel_arrives_byte_by_byte_from_a_keyframe_to_a_goodbye() {
    let (address, mut received) = target(Manner::Takes).await;
    let node = Node::start(for_all(address));
    let mut publisher = publish(&node);
    let said = Publishing { key: Some(StreamKey::new("publishers-key?a=1")), ..Publishing::default() };
    let publication = node.relays.publishing(CHANNEL, said);
    publisher.push_tags(&mut headers());
    publisher.push_tags(&mut group(0, 200_000));
    let (at_ms, first) = beginning(&mut received, "publishers-key?x=1").await;
    assert_eq!((at_ms, first), (0, body(0, 200_000)));
    let mut expected = group(0, 200_000).split_off(1);
    for number in 1..30 {
        for tag in expected {
            match next(&mut received).await {
                ServerEvent::Video { timestamp_ms, body } | ServerEvent::Audio { timestamp_ms, body } => {
                    assert_eq!((timestamp_ms, body), (tag.timestamp_ms, tag.payload));
                }
                other => panic!("{other:?}"),
            }
        }
        expected = group(number * 3, 70_000);
        publisher.push_tags(&mut expected.clone());
    }
    let told = node.relays.statuses();
    assert_eq!((told.len(), told[0].reconnects, told[0].skipped), (1, 0, 0));
    assert!(matches!(told[0].state, State::Live { .. }) && told[0].sent_bytes > 200_000, "{told:?}");
    assert_eq!(told[0].address, format!("rtmp://{address}/live/***"));
    // The node stops: the target is told.
    drop(node.stop);
    while next(&mut received).await != ServerEvent::Unpublished {}
    node.ended.await.unwrap();
    drop((publication, publisher));
}

#[tokio::test]
async fn what_is_changed_while_a_channel_is_live_is_in_force_at_once() {
    let (address, mut received) = target(Manner::Takes).await;
    let node = Node::start(Vec::new());
    let mut publisher = publish(&node);
    let publication = node.relays.publishing(CHANNEL, Publishing::default());
    publisher.push_tags(&mut headers());
    publisher.push_tags(&mut group(0, 1000));
    publisher.push_tags(&mut group(3, 1000));
    node.relays.set_targets(of_channel(&format!("rtmp://{address}/live/one")));
    // Not from its beginning: from its newest keyframe.
    assert_eq!(beginning(&mut received, "one").await, (120, body(3, 1000)));
    // Another key of the same target is another publication, a target that is gone none.
    node.relays.set_targets(of_channel(&format!("rtmp://{address}/live/two")));
    let mut keys = Vec::new();
    while keys.len() < 2 {
        match next(&mut received).await {
            ServerEvent::PublishRequested { key, .. } => keys.push(key.expose().to_owned()),
            ServerEvent::Unpublished => keys.push("over".to_owned()),
            _ => {}
        }
    }
    keys.sort();
    assert_eq!(keys, ["over", "two"]);
    node.wait_for("the second", |all| matches!(all, [Status { state: State::Live { .. }, .. }])).await;
    node.relays.set_targets(HashMap::new());
    while next(&mut received).await != ServerEvent::Unpublished {}
    assert_eq!(node.relays.statuses(), []);
    drop((publication, publisher));
}

#[tokio::test]
async fn what_goes_wrong_is_told_without_a_secret_and_tried_again() {
    for (manner, reason) in [
        (Manner::Refuses, "refused: NetStream.Publish.BadName: stream *** is not for ***"),
        (Manner::TalksWithoutEnd, "RTMP"),
    ] {
        let (address, _received) = target(manner).await;
        let node = Node::start(Vec::new());
        let mut publisher = publish(&node);
        let publication = node.relays.publishing(CHANNEL, Publishing::default());
        publisher.push_tags(&mut headers());
        publisher.push_tags(&mut group(0, 1000));
        node.relays.set_targets(of_channel(&format!("rtmp://{address}/live/own-key?pass=hunter22")));
        let told = node
            .wait_for("a second try", |all| {
                matches!(all, [Status { state: State::BackingOff { .. }, reconnects: 1.., .. }])
            })
            .await;
        let State::BackingOff { reason: said, next_us } = &told[0].state else { panic!() };
        assert!(said.contains(reason) || matches!(manner, Manner::TalksWithoutEnd), "{said}");
        assert!(!said.contains("own-key") && !said.contains("hunter22"), "{said}");
        assert!(*next_us > SystemClock.now_us() - 1_000_000);
        // The channel ends: so does the waiting.
        drop((publication, publisher));
        let ended = Duration::from_secs(12);
        let over = async {
            node.wait_for("the end", |all| matches!(all, [Status { state: State::Waiting, .. }])).await
        };
        tokio::time::timeout(ended, over).await.unwrap();
    }
}

#[tokio::test]
async fn this_very_node_is_no_target() {
    let (address, _received) = target(Manner::Takes).await;
    let node = Node::start(Vec::new());
    node.relays.set_own_ingest(address);
    let mut publisher = publish(&node);
    let publication = node.relays.publishing(CHANNEL, Publishing::default());
    publisher.push_tags(&mut headers());
    publisher.push_tags(&mut group(0, 1000));
    node.relays.set_targets(of_channel(&format!("rtmp://{address}/live/own-key")));
    let told =
        node.wait_for("a stop", |all| matches!(all, [Status { state: State::Stopped { .. }, .. }])).await;
    let State::Stopped { reason } = &told[0].state else { panic!() };
    assert!(reason.contains("this node's own ingest"), "{reason}");
    drop((publication, publisher));
}

/// Who forwards in this node's place is told no target that it would not serve itself.
#[tokio::test]
async fn somebody_else_is_given_no_target_that_this_node_would_stop() {
    let key = StreamKey::new("some-key");
    let given = |node: &Node| -> Vec<String> {
        node.relays.addresses(CHANNEL, &key).into_iter().map(|(target, _)| target.id).collect()
    };
    let node = Node::start(Vec::new());
    node.relays.set_own_ingest("127.0.0.1:1935".parse().unwrap());
    node.relays.set_targets(of_channel("rtmp://127.0.0.1:1935/live/own-key"));
    assert!(given(&node).is_empty(), "its own ingest, before anything is relayed");
    node.relays.set_targets(of_channel("rtmp://127.0.0.1:1936/live/own-key"));
    assert_eq!(given(&node), ["own"]);
}
